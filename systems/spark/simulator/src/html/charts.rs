//! Charts as SVG inside the page. Each has a title and a description for who cannot see it, and its figures beside it as a table.

use maud::{Markup, html};

/// Geometry, in the SVG's own units; the page scales the whole.
const WIDTH: f64 = 1080.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;
/// Most numbers at an axis.
const TICKS: f64 = 8.0;

/// A place in a chart, or a length: one digit behind the point is finer than any screen.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// The smallest of 1, 2, 5, 10, 20, … that divides `most` into no more than `parts` steps.
pub(super) fn step(most: f64, parts: f64) -> f64 {
    if most.is_nan() || most <= 0.0 || most.is_infinite() {
        return 1.0;
    }
    let raw = most / parts;
    let power = 10_f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= raw * 0.999_999)
        .unwrap_or(raw)
}

/// `0.5`, `12`, `1500`: as many digits behind the point as the step has.
pub(super) fn number(value: f64, step: f64) -> String {
    if step >= 1.0 { format!("{value:.0}") } else { format!("{value:.*}", if step >= 0.1 { 1 } else { 2 }) }
}

/// What a chart is about.
pub(super) struct About<'a> {
    /// Of the page, each chart another.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What there is to see, in a sentence.
    pub(super) says: &'a str,
    /// What the axes count.
    pub(super) x: &'a str,
    pub(super) y: &'a str,
}

/// A rectangle of a chart, in its own units.
pub(super) struct Bar {
    pub(super) from: f64,
    pub(super) to: f64,
    /// Heights with their classes, the lowest first.
    pub(super) parts: Vec<(f64, &'static str)>,
    pub(super) tooltip: String,
}

struct Scale {
    most_x: f64,
    most_y: f64,
    height: f64,
}

impl Scale {
    fn x(&self, value: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (value / self.most_x.max(1e-9)).clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (self.height - TOP - BOTTOM) * (1.0 - (value / self.most_y).clamp(0.0, 1.0))
    }
}

/// What an axis shows of such numbers: a little more than the largest.
fn room(numbers: impl Iterator<Item = f64>) -> f64 {
    let most = numbers.fold(0.0, f64::max);
    if most > 0.0 { most * 1.08 } else { 1.0 }
}

/// All multiples of a step from 0 to the end.
fn marks(most: f64) -> Vec<(f64, String)> {
    let step = step(most, TICKS);
    let mut marks = Vec::new();
    let mut n = 0_u32;
    while f64::from(n) * step <= most * 1.000_001 && n < 50 {
        let value = f64::from(n) * step;
        marks.push((value, number(value, step)));
        n += 1;
    }
    marks
}

fn frame(about: &About<'_>, scale: &Scale, inside: &Markup) -> Markup {
    let (title, desc) = (format!("{}-title", about.id), format!("{}-says", about.id));
    let bottom = scale.height - BOTTOM;
    html! {
        div.scroll {
            svg.timeline.chart viewBox={ "0 0 " (px(WIDTH)) " " (px(scale.height)) } role="img" aria-labelledby={ (title) " " (desc) } {
                title id=(title) { (about.title) }
                desc id=(desc) { (about.says) }
                @for (value, text) in marks(scale.most_y) {
                    @let y = px(scale.y(value));
                    line.grid x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(y) y2=(y) {}
                    text.note.y x=(px(LEFT - 8.0)) y=(px(scale.y(value) + 4.0)) { (text) }
                }
                @for (value, text) in marks(scale.most_x) {
                    text.tick x=(px(scale.x(value))) y=(px(bottom + 16.0)) { (text) }
                }
                (inside)
                line.axis x1=(px(LEFT)) x2=(px(WIDTH - RIGHT)) y1=(px(bottom)) y2=(px(bottom)) {}
                text.tick x=(px((LEFT + WIDTH - RIGHT) / 2.0)) y=(px(bottom + 33.0)) { (about.x) }
                text.note x=(px(LEFT + 4.0)) y=(px(TOP + 8.0)) { (about.y) }
            }
        }
    }
}

/// Bars, the parts of each above each other.
pub(super) fn bars(about: &About<'_>, most_x: f64, bars: &[Bar]) -> Markup {
    let sum = |bar: &Bar| bar.parts.iter().map(|(height, _)| height).sum::<f64>();
    let most_y = room(bars.iter().map(sum));
    let scale = Scale { most_x, most_y, height: 260.0 };
    let inside = html! {
        @for bar in bars {
            g {
                title { (bar.tooltip) }
                @for (low, high, class) in stacked(&bar.parts) {
                    @let (left, right) = (scale.x(bar.from), scale.x(bar.to));
                    rect class={ "bar " (class) } x=(px(left)) width=(px((right - left).max(1.5)))
                        y=(px(scale.y(high))) height=(px(scale.y(low) - scale.y(high))) {}
                }
            }
        }
    };
    frame(about, &scale, &inside)
}

fn stacked(parts: &[(f64, &'static str)]) -> Vec<(f64, f64, &'static str)> {
    let mut low = 0.0;
    let each = parts.iter().map(|(height, class)| {
        let from = low;
        low += height;
        (from, low, *class)
    });
    each.filter(|(low, high, _)| high > low).collect()
}

/// Areas above each other: at each moment a height for each of `classes`.
pub(super) fn areas(
    about: &About<'_>,
    most_x: f64,
    classes: &[&'static str],
    points: &[(f64, Vec<f64>)],
) -> Markup {
    let sum = |point: &(f64, Vec<f64>)| point.1.iter().sum::<f64>();
    let most_y = room(points.iter().map(sum));
    let scale = Scale { most_x, most_y, height: 280.0 };
    let below = |point: &(f64, Vec<f64>), n: usize| point.1.iter().take(n).sum::<f64>();
    let place = |point: &(f64, Vec<f64>), n: usize| {
        format!("{} {}", px(scale.x(point.0)), px(scale.y(below(point, n))))
    };
    let outline = |n: usize| {
        let there = points.iter().map(|point| place(point, n + 1));
        let back = points.iter().rev().map(|point| place(point, n));
        format!("M{}Z", there.chain(back).collect::<Vec<_>>().join("L"))
    };
    let inside = html! {
        @for (n, class) in classes.iter().enumerate() {
            path class=(class) d=(outline(n)) {}
        }
    };
    frame(about, &scale, &inside)
}

/// Numbers in their order, from left to right.
pub(super) fn ordered(about: &About<'_>, numbers: &[f64]) -> Markup {
    #[allow(clippy::cast_precision_loss, reason = "a picture")]
    let place = |n: usize| n as f64;
    let most_y = room(numbers.iter().copied());
    let scale = Scale { most_x: place(numbers.len().max(1)), most_y, height: 240.0 };
    let at = |n: usize, value: f64| format!("{} {}", px(scale.x(place(n))), px(scale.y(value)));
    let steps: Vec<String> =
        numbers.iter().enumerate().flat_map(|(n, value)| [at(n, *value), at(n + 1, *value)]).collect();
    let line = steps.join("L");
    let (first, last) = (at(0, 0.0), at(numbers.len(), 0.0));
    let inside = html! {
        path.soft-fill d={ "M" (first) "L" (line) "L" (last) "Z" } {}
        path.line d={ "M" (line) } {}
    };
    frame(about, &scale, &inside)
}

/// A spread: the middle half as a box, from the tenth to the ninetieth as a line, the middle as a mark, the largest as a dot.
pub(super) struct Spread {
    pub(super) name: String,
    pub(super) class: &'static str,
    /// Percentiles 10, 25, 50, 75, 90 and 100.
    pub(super) at: [f64; 6],
    pub(super) tooltip: String,
}

/// Spreads below each other.
pub(super) fn spreads(about: &About<'_>, spreads: &[Spread]) -> Markup {
    const ROW: f64 = 44.0;
    let most_x = room(spreads.iter().map(|spread| spread.at[5]));
    #[allow(clippy::cast_precision_loss, reason = "a picture")]
    let height = TOP + BOTTOM + ROW * spreads.len() as f64;
    let scale = Scale { most_x, most_y: 1.0, height };
    let (title, desc) = (format!("{}-title", about.id), format!("{}-says", about.id));
    html! {
        div.scroll {
            svg.timeline.chart viewBox={ "0 0 " (px(WIDTH)) " " (px(height)) } role="img" aria-labelledby={ (title) " " (desc) } {
                title id=(title) { (about.title) }
                desc id=(desc) { (about.says) }
                @for (value, text) in marks(most_x) {
                    @let x = px(scale.x(value));
                    line.grid x1=(x) x2=(x) y1=(px(TOP)) y2=(px(height - BOTTOM)) {}
                    text.tick x=(x) y=(px(height - BOTTOM + 16.0)) { (text) }
                }
                @for (n, spread) in spreads.iter().enumerate() {
                    (row(&scale, TOP + ROW * (f64::from(u16::try_from(n).unwrap_or(0)) + 0.5), spread))
                }
                text.tick x=(px((LEFT + WIDTH - RIGHT) / 2.0)) y=(px(height - BOTTOM + 33.0)) { (about.x) }
            }
        }
    }
}

fn row(scale: &Scale, middle: f64, spread: &Spread) -> Markup {
    let [p10, p25, p50, p75, p90, most] = spread.at.map(|value| scale.x(value));
    html! {
        g {
            title { (spread.tooltip) }
            text.name x=(px(LEFT - 8.0)) y=(px(middle + 4.0)) { (spread.name) }
            line.whisker x1=(px(p10)) x2=(px(p90)) y1=(px(middle)) y2=(px(middle)) {}
            rect class={ "bar " (spread.class) } x=(px(p25)) width=(px((p75 - p25).max(1.5))) y=(px(middle - 11.0)) height="22" rx="3" {}
            line.middle x1=(px(p50)) x2=(px(p50)) y1=(px(middle - 11.0)) y2=(px(middle + 11.0)) {}
            circle class=(spread.class) cx=(px(most)) cy=(px(middle)) r="4" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        let found =
            [0.0, 0.4, 7.0, 60.0, 61.0, 430.0, f64::NAN].map(|most| number(step(most, 8.0), step(most, 8.0)));
        assert_eq!(found, ["1", "0.05", "1", "10", "10", "100", "1"]);
        assert_eq!(marks(60.0).last().unwrap().1, "60");
        assert!(marks(1e12).len() <= 9);
    }

    #[test]
    fn nothing_is_drawn_outside_and_nothing_is_no_number() {
        let about = About { id: "a", title: "t", says: "s", x: "x", y: "y" };
        let bar = |from, to, height| Bar {
            from,
            to,
            parts: vec![(height, "c0"), (0.0, "c1")],
            tooltip: String::new(),
        };
        let pictures = [
            bars(&about, 10.0, &[bar(0.0, 1.0, 3.0), bar(9.0, 99.0, 0.0)]),
            bars(&about, 0.0, &[]),
            areas(&about, 5.0, &["c0", "c1"], &[(0.0, vec![0.0, 0.0]), (5.0, vec![1.0, 2.0])]),
            areas(&about, 5.0, &["c0"], &[]),
            ordered(&about, &[]),
            ordered(&about, &[0.0, 1.0]),
            spreads(&about, &[]),
        ];
        for picture in pictures {
            let text = picture.into_string();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
            assert!(!text.contains("=\"-"), "{text}");
        }
    }
}
