//! Where boxes lie and which way arrows take. Pure geometry.
//!
//! Boxes lie on a grid of columns and rows. Between columns are channels, between rows gaps, and no box is in either:
//! an arrow leaves its box to the left into a channel, changes over to another channel in a gap, and comes from the right
//! to the box it leads to. Channels and gaps have lanes; arrows to one box share theirs, others never do.

use std::collections::BTreeMap;

/// Width and height of a box.
pub(super) const BOX: (f64, f64) = (176.0, 24.0);
/// Height of a band's heading.
const HEADING: f64 = 24.0;
/// Around everything.
const MARGIN: f64 = 10.0;
/// Distance of lanes.
const LANE: f64 = 5.0;
/// Room in a channel for the head of an arrow, beside the boxes on its left.
const HEAD: f64 = 14.0;
/// Room in a channel beside the boxes on its right.
const STUB: f64 = 7.0;
/// Room above and below the lanes of a gap.
const SPARE: f64 = 4.0;
/// Arrows leave so much below the middle of a box and come so much above it, so that none lies over another.
const PORT: f64 = 4.0;

/// A band: heading, top and height.
pub(super) type Band = (Option<String>, f64, f64);

/// A picture's coordinates.
#[derive(Debug)]
pub(super) struct Layout {
    /// Left and top of each box.
    pub(super) boxes: Vec<(f64, f64)>,
    /// The points of each arrow, from the box that needs to the one that is needed; lines between them are straight and
    /// go along an axis.
    pub(super) paths: Vec<Vec<(f64, f64)>>,
    pub(super) bands: Vec<Band>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Lays out boxes, each with the heading of its band, and arrows `(from, to)` between them: `from` needs `to`.
pub(super) fn layout(bands: &[Option<&str>], arrows: &[(usize, usize)]) -> Layout {
    let grid = Grid::of(bands, arrows);
    let lanes = Lanes::of(&grid, arrows);
    let (left, width) = grid.columns(&lanes);
    let (top, bands, height) = grid.rows(&lanes);
    let place = |node: usize| (left[grid.column[node]], top[grid.row[node]]);
    let boxes: Vec<(f64, f64)> = (0..bands_len(&grid)).map(place).collect();
    let channel = |channel: usize, target: usize| {
        let from = if channel == 0 { MARGIN } else { left[channel - 1] + BOX.0 + HEAD };
        from + LANE * lanes.vertical(channel, target)
    };
    let gap = |gap: usize, target: usize| {
        let lanes_of_gap = lanes.in_gap(gap);
        let below = top.get(gap).map_or(height - MARGIN, |top| *top);
        below - SPARE - LANE * (lanes_of_gap - 1.0 - lanes.horizontal(gap, target))
    };
    let path = |&(from, to): &(usize, usize)| {
        let (start, end) = (boxes[from], boxes[to]);
        let start = (start.0, start.1 + BOX.1 / 2.0 + PORT);
        let end = (end.0 + BOX.0, end.1 + BOX.1 / 2.0 - PORT);
        let route = grid.route(from, to);
        let (out, back) = (channel(route.out, to), channel(route.back, to));
        let mut points = vec![start, (out, start.1)];
        if let Some(over) = route.over {
            let y = gap(over, to);
            points.extend([(out, y), (back, y)]);
        }
        points.extend([(back, end.1), end]);
        points
    };
    let paths = arrows.iter().map(path).collect();
    Layout { boxes, paths, bands, width: width.max(500.0), height }
}

fn bands_len(grid: &Grid) -> usize {
    grid.column.len()
}

/// The way of an arrow.
struct Route {
    /// The channel it leaves into: on the left of its box.
    out: usize,
    /// The gap in which it changes over to the other channel; none where both are one.
    over: Option<usize>,
    /// The channel it comes from: on the right of the box it leads to.
    back: usize,
}

/// Which column and row each box is in.
struct Grid {
    column: Vec<usize>,
    row: Vec<usize>,
    /// Heading, first row and number of rows of each band.
    bands: Vec<(Option<String>, usize, usize)>,
}

impl Grid {
    fn of(headings: &[Option<&str>], arrows: &[(usize, usize)]) -> Self {
        // A column further to the right than everything that is needed and comes before.
        let mut column = vec![0; headings.len()];
        let mut sorted: Vec<_> = arrows.iter().filter(|(from, to)| to < from).collect();
        sorted.sort_unstable();
        for &&(from, to) in &sorted {
            column[from] = column[from].max(column[to] + 1);
        }
        let mut row = vec![0; headings.len()];
        let mut bands = Vec::new();
        let (mut first, mut node) = (0, 0);
        for band in headings.chunk_by(|one, next| one == next) {
            let mut filled: BTreeMap<usize, usize> = BTreeMap::new();
            for _ in band {
                let rows = filled.entry(column[node]).or_default();
                row[node] = first + *rows;
                *rows += 1;
                node += 1;
            }
            let tall = filled.values().copied().max().unwrap_or(0);
            bands.push((band.first().and_then(|heading| heading.map(str::to_owned)), first, tall));
            first += tall;
        }
        Self { column, row, bands }
    }

    /// Channel `n` is on the left of column `n`, gap `n` above row `n`.
    fn route(&self, from: usize, to: usize) -> Route {
        let (out, back) = (self.column[from], self.column[to] + 1);
        let below = self.row[from] >= self.row[to];
        let over = (out != back).then(|| self.row[to] + usize::from(below));
        Route { out, over, back }
    }

    /// The left of each column, and the width of everything.
    fn columns(&self, lanes: &Lanes) -> (Vec<f64>, f64) {
        let many = self.column.iter().max().map_or(0, |last| last + 1);
        let mut left = Vec::with_capacity(many);
        let mut x = MARGIN;
        for column in 0..many {
            let wide = lanes.in_channel(column);
            // Nothing comes into the first one from the left.
            x += match (column, wide > 0.0) {
                (0, false) => 0.0,
                (0, true) => LANE * (wide - 1.0) + STUB,
                (_, false) => HEAD + STUB,
                (_, true) => HEAD + LANE * (wide - 1.0) + STUB,
            };
            left.push(x);
            x += BOX.0;
        }
        let last = lanes.in_channel(many);
        let last = if last > 0.0 { HEAD + LANE * (last - 1.0) + STUB } else { 0.0 };
        (left, x + last + MARGIN)
    }

    /// The top of each row, the bands, and the height of everything.
    fn rows(&self, lanes: &Lanes) -> (Vec<f64>, Vec<Band>, f64) {
        let mut top = Vec::new();
        let mut bands = Vec::new();
        let mut y = MARGIN;
        for (heading, first, tall) in &self.bands {
            let start = y;
            if heading.is_some() {
                y += HEADING - SPARE;
            }
            for row in *first..first + tall {
                y += 2.0 * SPARE + LANE * (lanes.in_gap(row) - 1.0).max(0.0);
                top.push(y);
                y += BOX.1;
            }
            y += SPARE;
            bands.push((heading.clone(), start, y - start));
        }
        let below = lanes.in_gap(top.len());
        (top, bands, y + MARGIN + LANE * below)
    }
}

/// Which lane arrows to a box take in a channel or gap.
struct Lanes {
    /// By channel and the box they lead to.
    vertical: BTreeMap<(usize, usize), usize>,
    /// By gap and the box they lead to.
    horizontal: BTreeMap<(usize, usize), usize>,
    /// How many lanes channels and gaps have.
    channels: BTreeMap<usize, usize>,
    gaps: BTreeMap<usize, usize>,
}

impl Lanes {
    fn of(grid: &Grid, arrows: &[(usize, usize)]) -> Self {
        let mut down = Spans::default();
        let mut across = Spans::default();
        for &(from, to) in arrows {
            // Along a channel the middle of a row is odd and a gap is even.
            let middle = |node: usize| 2 * grid.row[node] + 1;
            let Route { out, over, back } = grid.route(from, to);
            match over {
                None => down.add((out, to), middle(from), middle(to)),
                Some(over) => {
                    down.add((out, to), middle(from), 2 * over);
                    down.add((back, to), 2 * over, middle(to));
                    across.add((over, to), out, back);
                }
            }
        }
        let (vertical, channels) = down.lanes();
        let (horizontal, gaps) = across.lanes();
        Self { vertical, horizontal, channels, gaps }
    }

    fn vertical(&self, channel: usize, target: usize) -> f64 {
        number(self.vertical.get(&(channel, target)))
    }

    fn horizontal(&self, gap: usize, target: usize) -> f64 {
        number(self.horizontal.get(&(gap, target)))
    }

    fn in_channel(&self, channel: usize) -> f64 {
        number(self.channels.get(&channel))
    }

    fn in_gap(&self, gap: usize) -> f64 {
        number(self.gaps.get(&gap))
    }
}

fn number(of: Option<&usize>) -> f64 {
    of.and_then(|number| u32::try_from(*number).ok()).map_or(0.0, f64::from)
}

/// How far arrows to a box go along a channel or gap: by that and the box.
#[derive(Default)]
struct Spans(BTreeMap<(usize, usize), (usize, usize)>);

impl Spans {
    fn add(&mut self, key: (usize, usize), one: usize, other: usize) {
        let span = self.0.entry(key).or_insert((one, one));
        *span = (span.0.min(one).min(other), span.1.max(one).max(other));
    }

    /// The first lane that is free for each span, and how many there are.
    fn lanes(self) -> (BTreeMap<(usize, usize), usize>, BTreeMap<usize, usize>) {
        let mut spans: Vec<_> = self.0.into_iter().map(|((way, target), span)| (way, span, target)).collect();
        spans.sort_unstable();
        let mut lane_of = BTreeMap::new();
        let mut many = BTreeMap::new();
        for of_one in spans.chunk_by(|one, next| one.0 == next.0) {
            // Where the last span of each lane ends.
            let mut ends: Vec<usize> = Vec::new();
            for &(way, (start, end), target) in of_one {
                let lane = ends.iter().position(|last| *last < start).unwrap_or(ends.len());
                if lane == ends.len() {
                    ends.push(end);
                } else {
                    ends[lane] = end;
                }
                lane_of.insert((way, target), lane);
            }
            if let Some((way, ..)) = of_one.first() {
                many.insert(*way, ends.len());
            }
        }
        (lane_of, many)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A line of an arrow, from one corner to another, with the box it leads to.
    type Line = ((f64, f64), (f64, f64), usize);

    fn same(one: f64, other: f64) -> bool {
        (one - other).abs() < 0.001
    }

    fn lines(layout: &Layout, arrows: &[(usize, usize)]) -> Vec<Line> {
        let of = |(path, arrow): (&Vec<(f64, f64)>, &(usize, usize))| {
            path.windows(2).map(|two| (two[0], two[1], arrow.1)).collect::<Vec<_>>()
        };
        layout.paths.iter().zip(arrows).flat_map(of).collect()
    }

    /// Nothing is behind a box, and no two lines lie over each other unless they lead to the same box.
    fn check(bands: &[Option<&str>], arrows: &[(usize, usize)]) {
        let layout = layout(bands, arrows);
        assert_eq!(layout.paths.len(), arrows.len());
        for path in &layout.paths {
            for two in path.windows(2) {
                let straight = same(two[0].0, two[1].0) || same(two[0].1, two[1].1);
                assert!(straight, "{path:?}");
            }
            for (x, y) in path {
                assert!((0.0..=layout.width).contains(x) && (0.0..=layout.height).contains(y), "{path:?}");
            }
        }
        for (path, (from, to)) in layout.paths.iter().zip(arrows) {
            let (start, end) = (path[0], path[path.len() - 1]);
            let (one, other) = (layout.boxes[*from], layout.boxes[*to]);
            assert!(same(start.0, one.0) && (one.1..one.1 + BOX.1).contains(&start.1), "{path:?}");
            assert!(same(end.0, other.0 + BOX.0) && (other.1..other.1 + BOX.1).contains(&end.1), "{path:?}");
            // The arrow's head has room.
            assert!(path[path.len() - 2].0 - end.0 >= 10.0, "{path:?}");
        }
        let lines = lines(&layout, arrows);
        for ((from, to, _), (x, y)) in
            lines.iter().flat_map(|line| layout.boxes.iter().map(move |at| (line, at)))
        {
            let within = from.0.min(to.0) < x + BOX.0
                && from.0.max(to.0) > *x
                && from.1.min(to.1) < y + BOX.1
                && from.1.max(to.1) > *y;
            assert!(!within, "{from:?} – {to:?} is behind the box at {x} {y}");
        }
        for (at, one) in lines.iter().enumerate() {
            for other in lines[at + 1..].iter().filter(|other| other.2 != one.2) {
                assert!(!lie_over(one, other), "{one:?} lies over {other:?}");
            }
        }
        for (at, (x, y)) in layout.boxes.iter().enumerate() {
            for (other_x, other_y) in &layout.boxes[at + 1..] {
                assert!((x - other_x).abs() >= BOX.0 || (y - other_y).abs() >= BOX.1, "boxes overlap");
            }
        }
    }

    /// Whether two lines have more than a point in common, but for what leaves one box.
    fn lie_over(one: &Line, other: &Line) -> bool {
        let common = |a: (f64, f64), b: (f64, f64)| {
            let (a, b) = ((a.0.min(a.1), a.0.max(a.1)), (b.0.min(b.1), b.0.max(b.1)));
            a.1.min(b.1) - a.0.max(b.0) > 0.01
        };
        let level = |line: &Line| same(line.0.1, line.1.1);
        let starts_in_one_place = one.0 == other.0;
        if starts_in_one_place {
            return false;
        }
        if level(one) && level(other) {
            return same(one.0.1, other.0.1) && common((one.0.0, one.1.0), (other.0.0, other.1.0));
        }
        !level(one)
            && !level(other)
            && same(one.0.0, other.0.0)
            && common((one.0.1, one.1.1), (other.0.1, other.1.1))
    }

    #[test]
    fn an_arrow_over_several_columns_is_seen() {
        // The last needs the first; in the row between them is another box.
        check(&[None; 3], &[(1, 0), (2, 1), (2, 0)]);
        let found = layout(&[None; 3], &[(1, 0), (2, 1), (2, 0)]);
        assert_eq!(found.boxes.iter().map(|at| at.1).collect::<Vec<_>>(), [found.boxes[0].1; 3]);
    }

    #[test]
    fn circles_and_what_comes_later_are_drawn() {
        check(&[None; 2], &[(0, 1), (1, 0)]);
        check(&[None, Some("b"), Some("b"), Some("c")], &[(0, 3), (1, 3), (3, 0), (2, 0)]);
        check(&[None], &[]);
        check(&[], &[]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        #[test]
        fn no_arrow_is_hidden(
            bands in proptest::collection::vec(0_u8..4, 1..24),
            arrows in proptest::collection::btree_set((0_usize..24, 0_usize..24), 0..50),
        ) {
            let names = ["a", "b", "c"];
            let bands: Vec<Option<&str>> = bands.iter().map(|n| names.get(usize::from(*n)).copied()).collect();
            let arrows: Vec<_> = arrows.into_iter()
                .filter(|(from, to)| from != to && *from < bands.len() && *to < bands.len())
                .collect();
            check(&bands, &arrows);
        }
    }
}
