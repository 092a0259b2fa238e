//! Which file each row of another tool's table is of, and what that says of each file. Pure but for reading the files.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::AdoptError;
use super::tables::{Row, TablePlace};
use super::tools::{File, State, Sum};
use crate::migration::{Migration, MigrationKind, Source, Version, VersionSort};
use crate::project::Project;
use crate::recording::RecordError;
use crate::text::visible;

/// What the other tool's table says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its folder is none of that tool, or it is of a kind that no row names.
    Elsewhere,
    /// No row says that it is applied.
    Pending,
    /// It is repeatable and was changed since: it is to be made anew.
    MadeAnew,
    /// It is applied; with the place of its row, where it has one of its own.
    Applied {
        /// Its row.
        row: Option<usize>,
        /// Whether it is what was applied.
        sum: Sum,
    },
    /// It failed there.
    Failed(usize),
    /// It was taken back there, or somebody said that nothing of it is there.
    TakenBack(usize),
}

/// A row of which there is no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fileless {
    /// Its place.
    pub(crate) row: usize,
    /// Its tool writes such rows; otherwise it is nobody's.
    pub(crate) known: bool,
}

/// Rows and files side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matching {
    /// Of each migration of the project, in its order.
    pub(crate) standings: Vec<Standing>,
    /// Rows of which there is no file, in their order; what was taken back is not among them.
    pub(crate) fileless: Vec<Fileless>,
}

/// Finds the file of each row.
///
/// # Errors
/// [`AdoptError::SeveralFiles`] where a row names more than one, [`AdoptError::Unreadable`] for a file.
pub(crate) fn matching(project: &Project, place: &TablePlace, rows: &[Row]) -> Result<Matching, AdoptError> {
    let tool = place.tool.0;
    let candidates = candidates(project, place);
    let mut by_key: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for index in &candidates {
        let migration = &project.migrations[*index];
        if migration.kind != MigrationKind::Baseline
            && let Some(key) = tool.file_key(migration)
        {
            by_key.entry(key).or_default().push(*index);
        }
    }
    let mut found =
        Matching { standings: vec![Standing::Elsewhere; project.migrations.len()], fileless: Vec::new() };
    for index in by_key.values().flatten() {
        found.standings[*index] = Standing::Pending;
    }
    // All up to a version first: rows of their own say more.
    for row in rows.iter().filter(|row| matches!(row.state, State::UpTo | State::Baseline)) {
        let Some(limit) = row.key.as_deref().and_then(|key| Version::of_key(key, key)) else { continue };
        for index in by_key.values().flatten() {
            let version = &project.migrations[*index].id.version;
            if version.sort() == VersionSort::Numbers && *version <= limit {
                found.standings[*index] =
                    Standing::Applied { row: None, sum: Sum::Unknown("the table keeps no checksum of it") };
            }
        }
    }
    // Of several rows of a migration the last one counts.
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate().filter(|(_, row)| row.state != State::Mark) {
        match &row.key {
            Some(key) => _ = last.insert(key, place),
            None => found.fileless.push(Fileless { row: place, known: false }),
        }
    }
    for (key, at) in last {
        match by_key.get(key).map(Vec::as_slice) {
            Some([index]) => {
                found.standings[*index] = standing(tool, &project.migrations[*index], rows, at)?;
            }
            Some(several) => {
                return Err(AdoptError::SeveralFiles {
                    row: visible(&rows[at].label),
                    files: several.iter().map(|index| project.migrations[*index].path.clone()).collect(),
                });
            }
            None if matches!(rows[at].state, State::Applied | State::UpTo | State::Failed) => {
                found.fileless.push(Fileless { row: at, known: true });
            }
            None => {}
        }
    }
    found.fileless.sort_by_key(|one| one.row);
    Ok(found)
}

/// The migrations of folders whose files are the tool's; of all, where no folder is.
fn candidates(project: &Project, place: &TablePlace) -> BTreeSet<usize> {
    let conventions = place.tool.0.conventions();
    let roots: Vec<&str> = project
        .roots
        .iter()
        .filter(|root| conventions.contains(&root.convention.name()))
        .map(|root| root.path.as_str())
        .collect();
    let all = project.migrations.iter().enumerate();
    all.filter(|(_, migration)| roots.is_empty() || roots.contains(&migration.id.root.as_str()))
        .map(|(index, _)| index)
        .collect()
}

fn standing(
    tool: &dyn super::tools::Tool,
    migration: &Migration,
    rows: &[Row],
    at: usize,
) -> Result<Standing, AdoptError> {
    let row = &rows[at];
    Ok(match row.state {
        State::Failed => Standing::Failed(at),
        State::RolledBack | State::Undone => Standing::TakenBack(at),
        State::Applied | State::UpTo | State::Baseline | State::Mark => {
            let sum = match &row.checksum {
                // Whether the tool keeps one at all is for it to say.
                None => match tool.compare(&File { migration, bytes: &[], before: None }, "") {
                    Sum::Unknown(why) => Sum::Unknown(why),
                    _ => Sum::Unknown("its row has no checksum"),
                },
                Some(kept) => {
                    let bytes = bytes(migration).map_err(|error| {
                        RecordError::Unreadable(migration.path.clone(), error.to_string())
                    })?;
                    let before = at.checked_sub(1).and_then(|before| rows[before].checksum.as_deref());
                    tool.compare(&File { migration, bytes: &bytes, before }, kept)
                }
            };
            match sum {
                Sum::Changed(_) if migration.kind == MigrationKind::Repeatable => Standing::MadeAnew,
                sum => Standing::Applied { row: Some(at), sum },
            }
        }
    })
}

/// The file as it is on disk.
fn bytes(migration: &Migration) -> io::Result<Vec<u8>> {
    match &migration.source {
        Source::File(path) => std::fs::read(path),
        Source::Embedded(bytes) => Ok(bytes.to_vec()),
    }
}
