//! What needs what, as SVG: a band a stage, from left to right what needs more; reasons where one points.
//!
//! More migrations than one can tell apart are drawn as their stages.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use maud::{Markup, html};

use super::super::digest::{Digest, several_roots};
use super::super::escape;
use super::super::format::count;
use super::Shown;
use crate::migration::MigrationId;
use crate::plan::{Plan, Step};

/// Above this number of migrations their stages are drawn.
const MOST: usize = 200;

const BOX: (f64, f64) = (176.0, 24.0);
const GAP: (f64, f64) = (46.0, 8.0);
const HEADING: f64 = 24.0;
const MARGIN: f64 = 10.0;

/// A box of the picture.
struct Node {
    label: String,
    tooltip: String,
    /// Heading of the band it lies in.
    band: Option<String>,
    class: &'static str,
}

/// `from` needs `to`, both as indices of nodes.
struct Arrow {
    from: usize,
    to: usize,
    tooltip: String,
    /// What is needed comes later.
    late: bool,
}

pub(super) fn section(digest: &Digest<'_>) -> Markup {
    let plan = &digest.run.plan;
    if plan.steps.iter().all(|step| step.needs.is_empty()) {
        return html! {};
    }
    let staged = plan.steps.len() > MOST;
    let (nodes, arrows) = if staged { stages(plan) } else { migrations(plan) };
    html! {
        section #graph {
            h2 { "What needs what" }
            p.lead {
                @if staged { (count(plan.steps.len(), "migration", "migrations")) ", drawn as their stages. " }
                "An arrow leads to what is needed. Point at it for the reason."
            }
            @if nodes.is_empty() { p.none { "There are too many to draw, and no stages to group them by." } }
            @else { div.scroll { (picture(&nodes, &arrows)) } }
        }
    }
}

fn migrations(plan: &Plan) -> (Vec<Node>, Vec<Arrow>) {
    let places: HashMap<&MigrationId, usize> =
        plan.steps.iter().enumerate().map(|(place, step)| (&step.migration, place)).collect();
    let nodes = plan.steps.iter().map(|step| node(plan, step)).collect();
    let mut arrows = Vec::new();
    for (from, step) in plan.steps.iter().enumerate() {
        for need in &step.needs {
            let Some(&to) = places.get(&need.migration) else { continue };
            let other = &plan.steps[to];
            let tooltip =
                format!("{} needs {}: {}", label(plan, step), label(plan, other), need.why.join("; "));
            arrows.push(Arrow { from, to, tooltip, late: to > from });
        }
    }
    (nodes, arrows)
}

fn node(plan: &Plan, step: &Step) -> Node {
    let band = step.stage.as_deref().map(|id| heading(plan, id));
    let label = label(plan, step);
    let mut tooltip = format!("{label} {}", step.name);
    for lock in &step.locks {
        let _ = write!(tooltip, "\nlocks {} in {} mode (line {})", lock.relation, lock.mode, lock.line);
    }
    tooltip.extend(step.late.iter().chain(&step.unseen).map(|late| format!("\n{late}")));
    let class = if step.opaque.is_some() { "opaque" } else { "known" };
    Node { label: format!("{label} {}", step.name), tooltip, band, class }
}

/// A version, with its folder where there are several.
fn label(plan: &Plan, step: &Step) -> String {
    let label = step.label();
    if several_roots(plan) { format!("{}/{label}", step.migration.root) } else { label }
}

fn heading(plan: &Plan, stage: &str) -> String {
    let title = plan.stages.iter().find(|known| known.id == stage).map_or("", |known| known.title.as_str());
    format!("{stage} {title}")
}

fn stages(plan: &Plan) -> (Vec<Node>, Vec<Arrow>) {
    let mut members: Vec<(Option<&str>, usize)> = Vec::new();
    let mut group_of: HashMap<&MigrationId, usize> = HashMap::new();
    for step in &plan.steps {
        let stage = step.stage.as_deref();
        let place = members.iter().position(|(known, _)| *known == stage).unwrap_or_else(|| {
            members.push((stage, 0));
            members.len() - 1
        });
        members[place].1 += 1;
        group_of.insert(&step.migration, place);
    }
    if members.len() < 2 {
        return (Vec::new(), Vec::new());
    }
    let mut reasons: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        for need in &step.needs {
            let (Some(&from), Some(&to)) = (group_of.get(&step.migration), group_of.get(&need.migration))
            else {
                continue;
            };
            if from != to {
                reasons.entry((from, to)).or_default().extend(need.why.iter().cloned());
            }
        }
    }
    let name =
        |stage: Option<&str>| stage.map_or_else(|| "without a stage".to_owned(), |id| heading(plan, id));
    let nodes = members.iter().map(|(stage, number)| Node {
        label: name(*stage),
        tooltip: format!("{}: {}", name(*stage), count(*number, "migration", "migrations")),
        band: None,
        class: "known",
    });
    let arrows = reasons.into_iter().map(|((from, to), why)| {
        let first: Vec<&str> = why.iter().take(5).map(String::as_str).collect();
        let more = if why.len() > 5 { format!(" and {} more", why.len() - 5) } else { String::new() };
        let tooltip =
            format!("{} needs {}: {}{more}", name(members[from].0), name(members[to].0), first.join("; "));
        Arrow { from, to, tooltip, late: to > from }
    });
    (nodes.collect(), arrows.collect())
}

/// A band: heading, top and height.
type Band = (Option<String>, f64, f64);

/// Where boxes and bands lie.
struct Layout {
    /// Left and top of each node.
    places: Vec<(f64, f64)>,
    bands: Vec<Band>,
    width: f64,
    height: f64,
}

fn layout(nodes: &[Node], arrows: &[Arrow]) -> Layout {
    // A column further to the right than everything that is needed.
    let mut column = vec![0_u16; nodes.len()];
    let mut sorted: Vec<&Arrow> = arrows.iter().filter(|arrow| !arrow.late).collect();
    sorted.sort_by_key(|arrow| (arrow.from, arrow.to));
    for arrow in sorted {
        column[arrow.from] = column[arrow.from].max(column[arrow.to].saturating_add(1));
    }
    let mut places = vec![(0.0, 0.0); nodes.len()];
    let (mut bands, mut y, mut width): (Vec<Band>, f64, f64) = (Vec::new(), MARGIN, 0.0);
    let mut start = 0;
    while start < nodes.len() {
        let band = &nodes[start].band;
        let end =
            nodes[start..].iter().position(|node| node.band != *band).map_or(nodes.len(), |n| start + n);
        let top = y;
        y += if band.is_some() { HEADING } else { GAP.1 };
        let mut filled: BTreeMap<u16, f64> = BTreeMap::new();
        for place in start..end {
            let rows = filled.entry(column[place]).or_insert(0.0);
            let x = MARGIN + f64::from(column[place]) * (BOX.0 + GAP.0);
            places[place] = (x, y + *rows * (BOX.1 + GAP.1));
            *rows += 1.0;
            width = width.max(x + BOX.0 + MARGIN);
        }
        let tallest = filled.values().copied().fold(0.0, f64::max);
        y += tallest * (BOX.1 + GAP.1);
        bands.push((band.clone(), top, y - top));
        start = end;
    }
    Layout { places, bands, width: width.max(500.0), height: y + MARGIN }
}

fn picture(nodes: &[Node], arrows: &[Arrow]) -> Markup {
    let Layout { places, bands, width, height } = layout(nodes, arrows);
    html! {
        svg.graph viewBox=(format!("0 0 {width:.0} {height:.0}")) style=(format!("width:{width:.0}px")) role="img"
            aria-label="Graph of the migrations: an arrow leads from each to what it needs" {
            defs {
                marker #needs viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse" {
                    path.head d="M0 0L8 4L0 8z" {}
                }
            }
            @for (i, (heading, top, tall)) in bands.iter().enumerate() {
                rect.band.even[i % 2 == 0] x="0" y=(px(*top)) width=(px(width)) height=(px(*tall)) {}
                @if let Some(heading) = heading {
                    text.stage x="8" y=(px(top + 16.5)) { (Shown(&escape::excerpt(heading, 60))) title { (Shown(heading)) } }
                }
            }
            @for arrow in arrows { (edge(arrow, &places)) }
            @for (node, (x, y)) in nodes.iter().zip(&places) {
                g {
                    title { (Shown(&node.tooltip)) }
                    rect class={ "node " (node.class) } x=(px(*x)) y=(px(*y)) rx="5" width=(px(BOX.0)) height=(px(BOX.1)) {}
                    text.label x=(px(x + 8.0)) y=(px(y + 16.0)) { (Shown(&escape::excerpt(&node.label, 24))) }
                }
            }
        }
    }
}

fn edge(arrow: &Arrow, places: &[(f64, f64)]) -> Markup {
    let ((from_x, from_y), (to_x, to_y)) = (places[arrow.from], places[arrow.to]);
    let (start, end) = ((from_x, from_y + BOX.1 / 2.0), (to_x + BOX.0, to_y + BOX.1 / 2.0));
    let bend = ((start.0 - end.0) / 2.0).abs().max(30.0);
    let path = format!(
        "M{} {}C{} {} {} {} {} {}",
        px(start.0),
        px(start.1),
        px(start.0 - bend),
        px(start.1),
        px(end.0 + bend),
        px(end.1),
        px(end.0),
        px(end.1)
    );
    html! {
        g {
            title { (Shown(&arrow.tooltip)) }
            path.grip d=(path) {}
            path.edge.late[arrow.late] d=(path) marker-end="url(#needs)" {}
        }
    }
}

/// A coordinate with one decimal.
fn px(value: f64) -> String {
    format!("{value:.1}")
}
