//! What the boxes of a picture are: migrations; where there are more than one can tell apart, their stages; without
//! stages, several of those that stand in one column; where these are too many as well, ranges.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use super::{Arrow, Node, Picture};
use crate::migration::MigrationId;
use crate::plan::{Plan, Step};
use crate::report::digest::several_roots;
use crate::report::format::count;

/// Above this number of boxes their groups are drawn.
const MOST: usize = 200;
/// So many boxes at most that stand for several in a column.
const IN_COLUMNS: usize = 120;
/// So many ranges at most.
const RANGES: usize = 60;
/// More members of a box are listed by their versions alone.
const MEMBERS: usize = 20;
/// Of these, more are counted.
const VERSIONS: usize = 200;
/// More reasons of an arrow between groups are counted.
const REASONS: usize = 5;

/// A plan, and whether its migrations are of several folders.
#[derive(Clone, Copy)]
struct Of<'a> {
    plan: &'a Plan,
    several_roots: bool,
}

pub(super) fn picture(plan: &Plan) -> Picture {
    let of = Of { plan, several_roots: several_roots(plan) };
    if plan.steps.len() <= MOST {
        let (nodes, arrows) = migrations(of);
        return Picture { nodes, arrows, instead: None };
    }
    let all = count(plan.steps.len(), "migration", "migrations");
    let each = "`cutover graph` lists each of them with what it needs.";
    let stages = stages(plan);
    if (2..=MOST).contains(&stages.len()) {
        let (nodes, arrows) = grouped(of, &stages, false);
        return Picture { nodes, arrows, instead: Some(format!("{all}, drawn as their stages. {each}")) };
    }
    let (groups, size) = columns(of).unwrap_or_else(|| ranges(of));
    let (nodes, arrows) = grouped(of, &groups, true);
    let instead = format!(
        "{all}, up to {size} in a box. An arrow says that something in one box needs something in the other; what follows from other \
         arrows is left out. {each}"
    );
    Picture { nodes, arrows, instead: Some(instead) }
}

fn migrations(of: Of<'_>) -> (Vec<Node>, Vec<Arrow>) {
    let plan = of.plan;
    let places: HashMap<&MigrationId, usize> =
        plan.steps.iter().enumerate().map(|(place, step)| (&step.migration, place)).collect();
    let nodes = plan.steps.iter().map(|step| node(of, step)).collect();
    let mut arrows = Vec::new();
    for (from, step) in plan.steps.iter().enumerate() {
        for need in &step.needs {
            let Some(&to) = places.get(&need.migration) else { continue };
            let tooltip = needs(of, step, &plan.steps[to], &need.why.join("; "));
            arrows.push(Arrow { from, to, tooltip, late: to > from });
        }
    }
    (nodes, arrows)
}

fn needs(of: Of<'_>, step: &Step, other: &Step, why: &str) -> String {
    format!("{} needs {}: {why}", label(of, step), label(of, other))
}

fn node(of: Of<'_>, step: &Step) -> Node {
    let band = step.stage.as_deref().map(|id| heading(of.plan, id));
    let label = label(of, step);
    let mut tooltip = format!("{label} {}", step.name);
    for lock in &step.locks {
        let _ = write!(tooltip, "\nlocks {} in {} mode (line {})", lock.relation, lock.mode, lock.line);
    }
    tooltip.extend(step.late.iter().chain(&step.unseen).map(|late| format!("\n{late}")));
    let class = if step.opaque.is_some() { "opaque" } else { "known" };
    Node { label: format!("{label} {}", step.name), tooltip, band, class }
}

/// A version, with its folder where there are several.
fn label(of: Of<'_>, step: &Step) -> String {
    let label = step.label();
    if of.several_roots { format!("{}/{label}", step.migration.root) } else { label }
}

fn heading(plan: &Plan, stage: &str) -> String {
    let title = plan.stages.iter().find(|known| known.id == stage).map_or("", |known| known.title.as_str());
    format!("{stage} {title}")
}

/// Migrations that are drawn as one box, as places in the plan.
struct Group {
    name: String,
    members: Vec<usize>,
}

/// Each stage, and what is in none, in the order of their first migrations.
fn stages(plan: &Plan) -> Vec<Group> {
    let mut places: HashMap<Option<&str>, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (place, step) in plan.steps.iter().enumerate() {
        let stage = step.stage.as_deref();
        let group = *places.entry(stage).or_insert_with(|| {
            let name = stage.map_or_else(|| "without a stage".to_owned(), |id| heading(plan, id));
            groups.push(Group { name, members: Vec::new() });
            groups.len() - 1
        });
        groups[group].members.push(place);
    }
    groups
}

/// 1, 2, 5, 10 and so on.
fn round_sizes() -> impl Iterator<Item = usize> {
    (0_u32..9).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_usize.pow(power)))
}

/// Migrations that need only what stands in columns before theirs, so many in one box; none where that are too many boxes.
fn columns(of: Of<'_>) -> Option<(Vec<Group>, usize)> {
    let plan = of.plan;
    let places: HashMap<&MigrationId, usize> =
        plan.steps.iter().enumerate().map(|(place, step)| (&step.migration, place)).collect();
    let mut column_of = vec![0_usize; plan.steps.len()];
    let mut columns: Vec<Vec<usize>> = Vec::new();
    for (place, step) in plan.steps.iter().enumerate() {
        let before =
            step.needs.iter().filter_map(|need| places.get(&need.migration)).filter(|to| **to < place);
        let column = before.map(|to| column_of[*to] + 1).max().unwrap_or(0);
        column_of[place] = column;
        if column >= columns.len() {
            columns.resize_with(column + 1, Vec::new);
        }
        columns[column].push(place);
    }
    let boxes = |size: usize| columns.iter().map(|column| column.len().div_ceil(size)).sum::<usize>();
    let size = round_sizes().find(|size| boxes(*size) <= IN_COLUMNS)?;
    let group = |members: &[usize]| {
        let name = match members {
            [first, .., last] => {
                let (first, last) = (label(of, &plan.steps[*first]), label(of, &plan.steps[*last]));
                format!("{first} … {last} ({})", members.len())
            }
            _ => members.first().map(|only| node(of, &plan.steps[*only]).label).unwrap_or_default(),
        };
        Group { name, members: members.to_vec() }
    };
    Some((columns.iter().flat_map(|column| column.chunks(size)).map(group).collect(), size))
}

/// Migrations in their order, so many in one.
fn ranges(of: Of<'_>) -> (Vec<Group>, usize) {
    let plan = of.plan;
    let size = round_sizes().find(|size| plan.steps.len().div_ceil(*size) <= RANGES).unwrap_or(usize::MAX);
    let places: Vec<usize> = (0..plan.steps.len()).collect();
    let group = |members: &[usize]| {
        let name = match members {
            [first, .., last] => {
                format!("{} – {}", label(of, &plan.steps[*first]), label(of, &plan.steps[*last]))
            }
            _ => members.first().map(|only| label(of, &plan.steps[*only])).unwrap_or_default(),
        };
        Group { name, members: members.to_vec() }
    };
    (places.chunks(size).map(group).collect(), size)
}

/// Groups and what they need of one another. `reduced`: an arrow that follows from others is left out.
fn grouped(of: Of<'_>, groups: &[Group], reduced: bool) -> (Vec<Node>, Vec<Arrow>) {
    let plan = of.plan;
    let mut group_of: HashMap<&MigrationId, (usize, usize)> = HashMap::new();
    let mut late: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (group, Group { members, .. }) in groups.iter().enumerate() {
        group_of.extend(members.iter().map(|place| (&plan.steps[*place].migration, (group, *place))));
    }
    let mut within = vec![0_usize; groups.len()];
    let mut reasons: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        for need in &step.needs {
            let (Some((from, own)), Some((to, place))) =
                (group_of.get(&step.migration), group_of.get(&need.migration))
            else {
                continue;
            };
            if from == to {
                within[*from] += 1;
                continue;
            }
            if place > own {
                late.insert((*from, *to));
            }
            reasons.entry((*from, *to)).or_default().push(needs(
                of,
                step,
                &plan.steps[*place],
                &need.why.join("; "),
            ));
        }
    }
    if reduced {
        leave_out_what_follows(&mut reasons, &late);
    }
    let nodes = groups.iter().zip(within).map(|(Group { name, members }, within)| {
        let many = count(members.len(), "migration", "migrations");
        let within =
            if within > 0 { format!(", which need one another {}", times(within)) } else { String::new() };
        let mut tooltip = format!("{name}: {many}{within}");
        for place in members.iter().take(MEMBERS) {
            let step = &plan.steps[*place];
            let _ = write!(tooltip, "\n{} {}", label(of, step), step.name);
        }
        if let Some(rest) = members.get(MEMBERS..).filter(|rest| !rest.is_empty()) {
            let versions: Vec<String> =
                rest.iter().take(VERSIONS).map(|place| label(of, &plan.steps[*place])).collect();
            let _ = write!(tooltip, "\nand {}", versions.join(", "));
            if rest.len() > VERSIONS {
                let _ = write!(tooltip, " and {} more", rest.len() - VERSIONS);
            }
        }
        Node { label: name.clone(), tooltip, band: None, class: "known" }
    });
    let arrows = reasons.into_iter().map(|((from, to), why)| {
        let more =
            if why.len() > REASONS { format!("; and {} more", why.len() - REASONS) } else { String::new() };
        let first = why.get(..REASONS).unwrap_or(&why).join("; ");
        let tooltip = format!("{} needs {}: {first}{more}", groups[from].name, groups[to].name);
        Arrow { from, to, tooltip, late: late.contains(&(from, to)) }
    });
    (nodes.collect(), arrows.collect())
}

fn times(number: usize) -> String {
    count(number, "time", "times")
}

/// Leaves out arrows to earlier groups that other such arrows lead to as well.
fn leave_out_what_follows(
    arrows: &mut BTreeMap<(usize, usize), Vec<String>>,
    late: &BTreeSet<(usize, usize)>,
) {
    let mut reached: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut followed = Vec::new();
    let back: Vec<(usize, usize)> =
        arrows.keys().copied().filter(|arrow| arrow.1 < arrow.0 && !late.contains(arrow)).collect();
    for of_one in back.chunk_by(|one, next| one.0 == next.0) {
        let mut all: BTreeSet<usize> = BTreeSet::new();
        // The nearest first: whatever leads to a farther one comes before it.
        for &(from, to) in of_one.iter().rev() {
            if !all.insert(to) {
                followed.push((from, to));
            }
            all.extend(reached.get(&to).into_iter().flatten());
        }
        if let Some((from, _)) = of_one.first() {
            reached.insert(*from, all);
        }
    }
    for arrow in followed {
        arrows.remove(&arrow);
    }
}
