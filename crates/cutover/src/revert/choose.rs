//! Which migrations are to be reverted.

use std::collections::BTreeSet;

use super::{RevertError, key_of, project_name};
use crate::history::records::{Applied, History};
use crate::migration::{Migration, MigrationId, VersionSort};
use crate::plan::select::{find, find_stage};
use crate::project::Project;

/// Which migrations are to be reverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The last applied ones, that many.
    Last(usize),
    /// All that were applied after this version, whatever their folder, and those behind it in its own.
    To(String),
    /// All of a stage.
    Stage(String),
    /// These versions.
    These(Vec<String>),
    /// All.
    All,
}

/// What the database knows of a project and of its ways back.
pub(super) struct Known {
    pub(super) history: History,
    /// The history of the ways back.
    pub(super) backs: History,
    /// Migrations that a baseline recorded: nobody ran them here.
    pub(super) recorded: BTreeSet<MigrationId>,
}

/// The migrations of a project, as the history knows them.
pub(super) struct Chosen<'a> {
    /// To be reverted, the last applied one first.
    pub(super) back: Vec<&'a Migration>,
    /// All that are applied, in the order in which they were.
    pub(super) applied: Vec<&'a Migration>,
    /// Those of them that a baseline recorded.
    pub(super) recorded: &'a BTreeSet<MigrationId>,
    /// Remarks for people.
    pub(super) remarks: Vec<String>,
}

/// An applied migration; its place in the project and its file, where it has one.
struct Row<'a> {
    row: &'a Applied,
    file: Option<(usize, &'a Migration)>,
}

/// Whether an applied migration, at its place among them, is asked for.
type Meant = Box<dyn Fn(usize, &Row<'_>) -> bool>;

impl Row<'_> {
    fn is_repeatable(&self) -> bool {
        self.row.id.version.sort() == VersionSort::Repeatable
    }
}

/// `accepts_loss`: what was recorded and not run may be taken back where it is named.
pub(super) fn chosen<'a>(
    project: &'a Project,
    known: &'a Known,
    which: &Which,
    accepts_loss: bool,
) -> Result<Chosen<'a>, RevertError> {
    if let Some((id, begun)) = known.history.all_begun().next() {
        let why = format!(
            "{} ({id}) is begun and not finished: finish it first, with `cutover apply` or `cutover repair`",
            begun.path
        );
        return Err(RevertError::Not(why));
    }
    let rows = rows(project, &known.history);
    let mut remarks = Vec::new();
    let asked = asked(project, &rows, known, which, &mut remarks)?;
    if matches!(which, Which::These(_)) {
        let mut named = asked.iter().map(|at| &rows[*at]);
        if let Some(one) = named.find(|row| known.recorded.contains(&row.row.id) && !accepts_loss) {
            let why = format!(
                "{} was recorded by a baseline and not run: what it makes was there before, and is not to be taken away with it\n  \
                 hint: --allow data-loss takes it away all the same",
                one.row.path
            );
            return Err(RevertError::Not(why));
        }
    }
    if let Some(first) = asked.first()
        && let Some(gone) = rows[*first..].iter().find(|row| row.file.is_none() && !row.is_repeatable())
    {
        let (path, version) = (&gone.row.path, gone.row.id.version.text());
        let why = format!(
            "{path} is applied and its file is gone: what it made is not known, and it stands above what is to be reverted or is to be \
             itself\n  hint: bring the file back; `cutover status --show {version}` prints its text"
        );
        return Err(RevertError::Not(why));
    }
    let migration = |at: &usize| rows[*at].file.map(|(_, migration)| migration);
    let back: Vec<&Migration> = asked.iter().rev().filter_map(migration).collect();
    none_left_begun(&rows, known, &back, &project.name)?;
    let applied = rows.iter().filter_map(|row| row.file).map(|(_, migration)| migration).collect();
    Ok(Chosen { back, applied, recorded: &known.recorded, remarks })
}

/// All that is applied, in the order in which it was.
fn rows<'a>(project: &'a Project, history: &'a History) -> Vec<Row<'a>> {
    let file = |id: &MigrationId| project.migrations.iter().enumerate().find(|(_, one)| one.id == *id);
    let mut rows: Vec<Row<'_>> = history.applied().map(|row| Row { row, file: file(&row.id) }).collect();
    rows.sort_by_key(|one| (one.row.at_micros, one.file.map_or(usize::MAX, |(place, _)| place)));
    rows
}

/// The places, among what is applied, of what is asked for; in order.
fn asked(
    project: &Project,
    rows: &[Row<'_>],
    known: &Known,
    which: &Which,
    remarks: &mut Vec<String>,
) -> Result<Vec<usize>, RevertError> {
    let meant: Meant = match which {
        Which::All | Which::Last(_) => Box::new(|_, _| true),
        Which::To(version) => {
            let (limit, migration) = find(project, version)?;
            let id = migration.id.clone();
            let since = rows.iter().position(|one| one.row.id == id);
            Box::new(move |at, one| {
                let behind = match one.file {
                    Some((place, _)) => place > limit,
                    None => one.row.id.version.is_ordered() && one.row.id.version > id.version,
                };
                // Folders have no order among each other but the one in which their files were applied.
                one.row.id.root == id.root && behind || since.is_some_and(|since| at > since)
            })
        }
        Which::Stage(stage) => {
            let stage = project.stages.get(find_stage(project, stage)?);
            let places = stage.map(|stage| stage.migrations.clone()).unwrap_or_default();
            Box::new(move |_, one| one.file.is_some_and(|(place, _)| places.contains(&place)))
        }
        Which::These(versions) => return these(project, rows, versions),
    };
    let mut places = Vec::new();
    let most = if let Which::Last(count) = which { *count } else { usize::MAX };
    for (place, one) in rows.iter().enumerate().rev().filter(|(place, one)| meant(*place, one)) {
        if places.len() == most {
            break;
        }
        let path = &one.row.path;
        // Where all goes, what it made goes too.
        if one.is_repeatable() && *which != Which::All {
            remarks.push(format!(
                "{path} is left as it is: it is repeatable, and goes only where it is named, or all is reverted"
            ));
        } else if known.recorded.contains(&one.row.id) {
            remarks.push(format!("{path} is left as it is: a baseline recorded it, nobody ran it here"));
        } else {
            places.push(place);
        }
    }
    places.reverse();
    Ok(places)
}

fn these(project: &Project, rows: &[Row<'_>], versions: &[String]) -> Result<Vec<usize>, RevertError> {
    let mut places = BTreeSet::new();
    for version in versions {
        // One whose file is gone is known by the history alone.
        let gone = rows.iter().position(|one| one.file.is_none() && one.row.id.version.text() == version);
        let place = match (find(project, version), gone) {
            (Ok((_, migration)), _) => rows
                .iter()
                .position(|one| one.row.id == migration.id)
                .ok_or_else(|| RevertError::Not(format!("{} is not applied", migration.path)))?,
            (Err(_), Some(place)) => place,
            (Err(error), None) => return Err(error.into()),
        };
        places.insert(place);
    }
    Ok(places.into_iter().collect())
}

/// A way back that is begun is gone on with before any other.
fn none_left_begun(
    rows: &[Row<'_>],
    known: &Known,
    back: &[&Migration],
    project: &str,
) -> Result<(), RevertError> {
    for (id, begun) in known.backs.all_begun() {
        let of = rows.iter().find(|one| key_of(one.row) == id.version.name());
        if of.is_some_and(|one| back.iter().any(|back| back.id == one.row.id)) {
            continue;
        }
        let next = of.map_or_else(
            || format!("see project {} in `cutover.begun`", project_name(project)),
            |one| format!("`cutover revert {}` goes on with it", one.row.id.version.text()),
        );
        return Err(RevertError::Not(format!(
            "a way back is begun and not finished: {}\n  hint: {next}",
            begun.path
        )));
    }
    Ok(())
}
