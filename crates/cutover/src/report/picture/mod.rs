//! What needs what, as SVG: a band a stage, from left to right what needs more; reasons where one points.
//!
//! [`collapse`] decides what the boxes are (migrations, or more of them in one where there are many), [`layout`] where
//! they lie and how arrows get from one to the other without passing behind a third.

mod collapse;
mod layout;
mod legend;

use maud::{Markup, PreEscaped, html};

use self::layout::{BOX, Layout};
use super::escape;
use super::html::Shown;
use crate::plan::Plan;

/// How the picture looks where no page around it says so.
pub(super) const STYLE: &str = include_str!("picture.css");

/// A box of the picture.
#[derive(Debug, Clone)]
struct Node {
    label: String,
    tooltip: String,
    /// Heading of the band it lies in.
    band: Option<String>,
    class: &'static str,
}

/// `from` needs `to`, both as indices of nodes.
#[derive(Debug, Clone)]
struct Arrow {
    from: usize,
    to: usize,
    tooltip: String,
    /// What is needed comes later.
    late: bool,
}

/// Boxes and arrows of a plan.
#[derive(Debug)]
pub(super) struct Picture {
    nodes: Vec<Node>,
    arrows: Vec<Arrow>,
    /// What is drawn in place of each migration by itself, in words; `None` where each has its own box.
    pub(super) instead: Option<String>,
}

impl Picture {
    /// Of a plan whose steps know what they need; `None` where none needs another.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        plan.steps.iter().any(|step| !step.needs.is_empty()).then(|| collapse::picture(plan))
    }

    /// The picture as part of a page.
    pub(super) fn markup(&self) -> Markup {
        self.svg(None)
    }

    /// The picture as a file of its own.
    pub(super) fn file(&self) -> String {
        let svg = self.svg(Some("http://www.w3.org/2000/svg"));
        format!("{}\n", svg.into_string())
    }

    fn svg(&self, namespace: Option<&str>) -> Markup {
        let Self { nodes, arrows, .. } = self;
        let bands: Vec<Option<&str>> = nodes.iter().map(|node| node.band.as_deref()).collect();
        let pairs: Vec<(usize, usize)> = arrows.iter().map(|arrow| (arrow.from, arrow.to)).collect();
        let Layout { boxes, paths, bands, width, height } = layout::layout(&bands, &pairs);
        let drawn = height;
        // A page says it around the picture.
        let legend = namespace.map(|_| legend::Legend::of(nodes, arrows, self.instead.is_some(), width));
        let height = drawn + legend.as_ref().map_or(0.0, |legend| legend.height);
        html! {
            svg.graph xmlns=[namespace] height=[namespace.map(|_| format!("{height:.0}"))] viewBox=(format!("0 0 {width:.0} {height:.0}")) style=(format!("width:{width:.0}px")) role="img"
                aria-label="Graph of the migrations: an arrow leads from each to what it needs" {
                @if namespace.is_some() {
                    style { (PreEscaped(STYLE)) }
                    @if let Some(instead) = &self.instead { desc { (Shown(instead)) } }
                }
                defs {
                    marker #needs viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse" {
                        path.head d="M0 0L8 4L0 8z" {}
                    }
                }
                @for (i, (_, top, tall)) in bands.iter().enumerate() {
                    rect.band.even[i % 2 == 0] x="0" y=(px(*top)) width=(px(width)) height=(px(*tall)) {}
                }
                @for (arrow, path) in arrows.iter().zip(&paths) { (edge(arrow, path)) }
                // Above the arrows that cross the line it stands on.
                @for (heading, top, _) in &bands {
                    @if let Some(heading) = heading {
                        text.stage x="8" y=(px(top + 16.5)) { (Shown(&escape::excerpt(heading, 60))) title { (Shown(heading)) } }
                    }
                }
                @for (node, (x, y)) in nodes.iter().zip(&boxes) {
                    g {
                        title { (Shown(&node.tooltip)) }
                        rect class={ "node " (node.class) } x=(px(*x)) y=(px(*y)) rx="5" width=(px(BOX.0)) height=(px(BOX.1)) {}
                        text.label x=(px(x + 8.0)) y=(px(y + 16.0)) { (Shown(&escape::excerpt(&node.label, 24))) }
                    }
                }
                @if let Some(legend) = legend { (legend.markup(drawn)) }
            }
        }
    }
}

/// The graph of a plan as an SVG file; without a needed migration only the boxes.
pub(super) fn file(plan: &Plan) -> String {
    collapse::picture(plan).file()
}

fn edge(arrow: &Arrow, points: &[(f64, f64)]) -> Markup {
    let path = rounded(points);
    html! {
        g {
            title { (Shown(&arrow.tooltip)) }
            path.grip d=(path) {}
            path.edge.late[arrow.late] d=(path) marker-end="url(#needs)" {}
        }
    }
}

/// A path of straight lines with round corners.
fn rounded(points: &[(f64, f64)]) -> String {
    const RADIUS: f64 = 4.0;
    let mut path = String::new();
    let mut place = |letter: &str, (x, y): (f64, f64)| add!(&mut path, "{letter}{} {}", px(x), px(y));
    if let Some(first) = points.first() {
        place("M", *first);
    }
    for corner in points.windows(3) {
        let [before, at, after] = *corner else { continue };
        place("L", towards(at, before, RADIUS));
        place("Q", at);
        place(" ", towards(at, after, RADIUS));
    }
    if let Some(last) = points.last() {
        place("L", *last);
    }
    path
}

/// So far from one point towards another, at most half of the way.
fn towards((x, y): (f64, f64), (to_x, to_y): (f64, f64), far: f64) -> (f64, f64) {
    let length = (to_x - x).hypot(to_y - y);
    if length == 0.0 {
        return (x, y);
    }
    let part = (far / length).min(0.5);
    (x + (to_x - x) * part, y + (to_y - y) * part)
}

/// A coordinate with one decimal.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Dependency, StepState};
    use crate::report::fixture;

    /// So many migrations; each needs the one before it and the first.
    fn plan(many: usize) -> Plan {
        let mut plan = fixture::plan();
        plan.stages.clear();
        let version = |n: usize| format!("{n:04}");
        plan.steps = (1..=many)
            .map(|n| {
                let mut step = fixture::step(&version(n), "x", None, &[]);
                let need =
                    |n: usize| Dependency { migration: fixture::id(&version(n)), why: vec![format!("t{n}")] };
                step.needs = if n > 2 { vec![need(1), need(n - 1)] } else { Vec::new() };
                step.state = StepState::Pending;
                step
            })
            .collect();
        plan
    }

    #[test]
    fn many_migrations_without_stages_are_drawn_as_ranges() {
        let few = Picture::of(&plan(200)).unwrap();
        assert_eq!((few.nodes.len(), few.instead), (200, None));
        let many = Picture::of(&plan(250)).unwrap();
        let labels: Vec<&str> = many.nodes.iter().map(|node| node.label.as_str()).collect();
        assert_eq!((labels.len(), labels[0], labels[49]), (50, "V0001 – V0005", "V0246 – V0250"));
        assert!(
            many.nodes[0].tooltip.starts_with("V0001 – V0005: 5 migrations"),
            "{}",
            many.nodes[0].tooltip
        );
        let instead = many.instead.as_deref().unwrap();
        assert!(instead.starts_with("250 migrations, up to 5 in a box. "), "{instead}");
        // All need the first; what follows from other arrows is left out.
        assert_eq!(many.arrows.len(), 49);
        assert_eq!(many.arrows[48].tooltip, "V0246 – V0250 needs V0241 – V0245: V0246 needs V0245: t245");
        assert!(Picture::of(&plan(10_000)).unwrap().nodes.len() <= 60);
        // Those that need one and the same stand in one column.
        let mut wide = plan(600);
        for step in &mut wide.steps[1..] {
            step.needs = vec![Dependency { migration: fixture::id("0001"), why: vec!["t".to_owned()] }];
        }
        // The second needs one that comes later.
        wide.steps[1].needs[0].migration = fixture::id("0600");
        let wide = Picture::of(&wide).unwrap();
        let labels: Vec<&str> = wide.nodes.iter().map(|node| node.label.as_str()).collect();
        assert_eq!((labels.len(), &labels[..2]), (61, &["V0001 … V0002 (2)", "V0003 … V0012 (10)"][..]));
        let late: Vec<_> =
            wide.arrows.iter().filter(|arrow| arrow.late).map(|arrow| (arrow.from, arrow.to)).collect();
        assert_eq!((wide.arrows.len(), late), (61, vec![(0, 60)]));
        // With stages these are drawn.
        let mut staged = plan(250);
        for (n, step) in staged.steps.iter_mut().enumerate() {
            step.stage = Some((n / 100).to_string());
        }
        let staged = Picture::of(&staged).unwrap();
        assert_eq!(staged.nodes.len(), 3);
        assert!(staged.instead.unwrap().contains("drawn as their stages"));
    }

    /// All members of a box are named, and a file says what its signs mean, if they are in it.
    #[test]
    fn a_picture_without_a_page_explains_itself() {
        let mut wide = plan(1500);
        wide.steps[2].needs[0].migration = fixture::id("1500");
        let text = Picture::of(&wide).unwrap().file();
        for n in 1..=1500 {
            let version = format!("V{n:04}");
            let (titles, _) = text.split_once("<g class=\"legend\">").unwrap();
            assert!(titles.contains(&version), "{version}");
        }
        for words in [">migrations<", ">needs<", ">needs what comes later<", ">point at a box"] {
            assert!(text.contains(words), "{words}");
        }
        assert!(!text.contains("not all that it does"));
        let few = Picture::of(&plan(3)).unwrap();
        assert!(few.file().contains(">a migration<") && !few.file().contains("comes later<"));
        assert!(!few.markup().into_string().contains("legend"), "a page has its own words");
        // In the width of the picture, in as many rows as that takes.
        let height = |width| legend::Legend::of(&few.nodes, &few.arrows, false, width).height;
        assert!(height(250.0) > height(1000.0));
        let mut unknown = plan(3);
        unknown.steps[0].opaque = Some("DO".to_owned());
        assert!(Picture::of(&unknown).unwrap().file().contains(">not all that it does is known<"));
    }

    #[test]
    fn a_file_of_its_own_is_complete_and_well_formed() {
        let text = Picture::of(&fixture::plan()).unwrap().file();
        assert!(text.starts_with(crate::report::graph::SVG_HEAD), "{text}");
        assert!(text.contains("<style>") && text.ends_with("</svg>\n"));
        for name in ["svg", "g", "title", "rect", "text", "path", "marker", "defs", "style"] {
            let (opened, closed) = (format!("<{name}"), format!("</{name}>"));
            let opened = text
                .match_indices(&opened)
                .filter(|(at, one)| text[at + one.len()..].starts_with([' ', '>']));
            assert_eq!(opened.count(), text.matches(&closed).count(), "{name}");
        }
    }
}
