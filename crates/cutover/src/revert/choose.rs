//! Which migrations are to be reverted.

use std::collections::BTreeSet;

use super::RevertError;
use crate::history::records::History;
use crate::migration::{Migration, MigrationKind};
use crate::plan::select::{find, find_stage};
use crate::project::Project;

/// Which migrations are to be reverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The last applied ones, that many.
    Last(usize),
    /// All that were applied behind this version in the project's order.
    To(String),
    /// All of a stage.
    Stage(String),
    /// These versions.
    These(Vec<String>),
    /// All.
    All,
}

/// The migrations of a project, as the history knows them.
pub(super) struct Chosen<'a> {
    /// To be reverted, the last applied one first.
    pub(super) back: Vec<&'a Migration>,
    /// All that are applied, in the order in which they were.
    pub(super) applied: Vec<&'a Migration>,
}

pub(super) fn chosen<'a>(
    project: &'a Project,
    history: &History,
    which: &Which,
) -> Result<Chosen<'a>, RevertError> {
    if let Some((id, begun)) = history.all_begun().next() {
        let why = format!(
            "{} ({id}) is begun and not finished: finish it first, with `cutover apply` or `cutover repair`",
            begun.path
        );
        return Err(RevertError::Not(why));
    }
    let mut applied: Vec<(i64, usize, &Migration)> = project
        .migrations
        .iter()
        .enumerate()
        .filter_map(|(place, migration)| Some((history.get(&migration.id)?.at_micros, place, migration)))
        .collect();
    applied.sort_by_key(|(at, place, _)| (*at, *place));
    let places = places(project, history, which, &applied)?;
    let mut back: Vec<&Migration> =
        applied.iter().filter(|(_, place, _)| places.contains(place)).map(|(_, _, one)| *one).collect();
    back.reverse();
    if let Some(repeatable) = back.iter().find(|one| one.kind == MigrationKind::Repeatable) {
        let why =
            format!("{} is repeatable: it has no way back but an earlier text of its own", repeatable.path);
        return Err(RevertError::Not(why));
    }
    Ok(Chosen { back, applied: applied.into_iter().map(|(_, _, one)| one).collect() })
}

/// The places of what is asked for, among the project's migrations; some of it may not be applied.
fn places(
    project: &Project,
    history: &History,
    which: &Which,
    applied: &[(i64, usize, &Migration)],
) -> Result<BTreeSet<usize>, RevertError> {
    Ok(match which {
        Which::All => applied.iter().map(|(_, place, _)| *place).collect(),
        Which::Last(count) => applied.iter().rev().take(*count).map(|(_, place, _)| *place).collect(),
        Which::To(version) => {
            let (limit, migration) = find(project, version)?;
            let behind = project.migrations.iter().enumerate().skip(limit + 1);
            behind.filter(|(_, one)| one.id.root == migration.id.root).map(|(place, _)| place).collect()
        }
        Which::Stage(stage) => {
            let stage = project.stages.get(find_stage(project, stage)?);
            stage.map(|stage| stage.migrations.iter().copied().collect()).unwrap_or_default()
        }
        Which::These(versions) => {
            let mut places = BTreeSet::new();
            for version in versions {
                let (place, migration) = find(project, version)?;
                if history.get(&migration.id).is_none() {
                    return Err(RevertError::Not(format!("{} is not applied", migration.path)));
                }
                places.insert(place);
            }
            places
        }
    })
}
