//! Applied migrations as rows, and how a project's files compare with them.

use std::collections::{BTreeSet, HashMap, HashSet};

use cutover_postgres::session::Session;
use sha2::{Digest, Sha256};
use similar::TextDiff;

use super::{HistoryError, compress};
use crate::hazard;
use crate::migration::{Migration, MigrationId, Version};
use crate::project::text;

/// One applied migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its identity.
    pub id: MigrationId,
    /// Path when it was applied.
    pub path: String,
    /// SHA-256 over the normalised text that was applied, hex.
    pub checksum: String,
    /// Run that applied it.
    pub run: String,
    /// When, microseconds since the Unix epoch.
    pub at_micros: i64,
}

/// A unit of a migration that is begun but not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitRow {
    /// Number of the unit, from 0.
    pub unit: u32,
    /// Committed; otherwise it was begun and its outcome is open.
    pub done: bool,
    /// Checksum of the file it was taken from.
    pub checksum: String,
    /// Run that began it.
    pub run: String,
}

/// Everything the history knows of one project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    applied: HashMap<MigrationId, Applied>,
    highest: HashMap<String, Version>,
    /// Units of unfinished migrations.
    pub units: HashMap<MigrationId, Vec<UnitRow>>,
    /// Migrations that a run was told to leave for later.
    pub deferred: BTreeSet<MigrationId>,
}

impl History {
    /// Adds an applied migration.
    pub fn insert(&mut self, row: Applied) {
        let highest = self.highest.get_mut(&row.id.root);
        match highest {
            Some(highest) if *highest >= row.id.version => {}
            Some(highest) => highest.clone_from(&row.id.version),
            None => {
                self.highest.insert(row.id.root.clone(), row.id.version.clone());
            }
        }
        self.applied.insert(row.id.clone(), row);
    }

    /// The row of a migration.
    pub fn get(&self, id: &MigrationId) -> Option<&Applied> {
        self.applied.get(id)
    }

    /// All applied migrations, in no particular order.
    pub fn applied(&self) -> impl Iterator<Item = &Applied> {
        self.applied.values()
    }

    /// Units already journaled for a migration, in order.
    pub fn units_of(&self, id: &MigrationId) -> &[UnitRow] {
        self.units.get(id).map_or(&[], Vec::as_slice)
    }

    /// The highest applied version of a root.
    pub fn highest(&self, root: &str) -> Option<&Version> {
        self.highest.get(root)
    }
}

pub(super) fn version(key: &str, text: String) -> Result<Version, HistoryError> {
    let parts: Result<Vec<u64>, _> = key.split('.').map(str::parse).collect();
    let parts =
        parts.map_err(|_| HistoryError::Unexpected(format!("version {key:?} is not made of numbers")))?;
    Ok(Version::new(parts, text))
}

/// Reads what is known of one project.
///
/// # Errors
/// As the server says, or [`HistoryError::Unexpected`] for rows this tool did not write.
pub async fn read(session: &mut Session, project: &str) -> Result<History, HistoryError> {
    let mut history = History::default();
    let rows = session
        .query(
            "SELECT root, version, version_text, path, checksum, run,
                    (extract(epoch FROM applied_at) * 1000000)::int8
               FROM cutover.migration WHERE project = $1",
            &[&project],
        )
        .await?;
    history.applied.reserve(rows.len());
    for row in &rows {
        history.insert(Applied {
            id: MigrationId { root: row.get(0), version: version(row.get(1), row.get(2))? },
            path: row.get(3),
            checksum: row.get(4),
            run: row.get(5),
            at_micros: row.get(6),
        });
    }
    let rows = session
        .query(
            "SELECT root, version, version_text, unit, state = 'done', checksum, run
               FROM cutover.unit WHERE project = $1 ORDER BY root, version, unit",
            &[&project],
        )
        .await?;
    for row in &rows {
        let unit = UnitRow {
            unit: u32::try_from(row.get::<_, i32>(3)).unwrap_or(0),
            done: row.get(4),
            checksum: row.get(5),
            run: row.get(6),
        };
        let id = MigrationId { root: row.get(0), version: version(row.get(1), row.get(2))? };
        history.units.entry(id).or_default().push(unit);
    }
    let rows = session
        .query("SELECT root, version, version_text FROM cutover.deferral WHERE project = $1", &[&project])
        .await?;
    for row in &rows {
        history.deferred.insert(MigrationId { root: row.get(0), version: version(row.get(1), row.get(2))? });
    }
    Ok(history)
}

/// Whether the history is exactly these migrations, under their paths and with their texts, and nothing is unfinished.
/// One digest is compared instead of a row a migration: a run with nothing to do, the most frequent one, reads no rows.
///
/// # Errors
/// As the server says.
pub async fn is_exactly(
    session: &mut Session,
    project: &str,
    migrations: &[Migration],
) -> Result<bool, HistoryError> {
    let rows = session
        .query(
            "SELECT encode(sha256(convert_to(coalesce(string_agg(concat_ws(chr(31), root, version, path, checksum), chr(30)
                           ORDER BY root COLLATE \"C\", version COLLATE \"C\"), ''), 'UTF8')), 'hex'),
                    EXISTS (SELECT FROM cutover.unit WHERE project = $1)
               FROM cutover.migration WHERE project = $1",
            &[&project],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(false) };
    let mut lines: Vec<(&str, String, &str, &str)> = migrations
        .iter()
        .map(|m| (m.id.root.as_str(), m.id.version.key(), m.path.as_str(), m.checksums.normalised.as_str()))
        .collect();
    lines.sort_unstable();
    let mut hasher = Sha256::new();
    for (n, (root, version, path, checksum)) in lines.iter().enumerate() {
        let separator = if n == 0 { "" } else { "\u{1e}" };
        for part in [separator, root, "\u{1f}", version, "\u{1f}", path, "\u{1f}", checksum] {
            hasher.update(part);
        }
    }
    Ok(!row.get::<_, bool>(1) && row.get::<_, String>(0) == text::hex(&hasher.finalize()))
}

/// How a file and the history disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The file's text changed after it was applied (or begun).
    Edited {
        /// Which migration.
        id: MigrationId,
        /// Its path now.
        path: String,
        /// Checksum applied.
        applied: String,
        /// Checksum now.
        now: String,
        /// Parts of it are applied: the rest of another text must not follow them.
        unfinished: bool,
    },
    /// Applied, but no file has that version any more.
    Deleted {
        /// Which migration.
        id: MigrationId,
        /// Path when it was applied.
        path: String,
    },
    /// Same version and text under another name.
    Renamed {
        /// Which migration.
        id: MigrationId,
        /// Path when it was applied.
        from: String,
        /// Path now.
        to: String,
    },
}

impl Difference {
    /// The code by which `--allow` accepts it; renames need none.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Edited { unfinished: true, .. } => Some(hazard::EDITED_UNFINISHED),
            Self::Edited { .. } => Some(hazard::EDITED_MIGRATION),
            Self::Deleted { .. } => Some(hazard::DELETED_MIGRATION),
            Self::Renamed { .. } => None,
        }
    }
}

/// Compares files with the history; in the order of the files, deleted ones last.
pub fn compare(migrations: &[Migration], history: &History) -> Vec<Difference> {
    let mut differences = Vec::new();
    for migration in migrations {
        let now = &migration.checksums.normalised;
        let begun = history.units_of(&migration.id).iter().find(|unit| unit.checksum != *now);
        let row = history.get(&migration.id);
        let stale = row.filter(|row| row.checksum != *now).map(|row| &row.checksum);
        let stale = stale.or(begun.filter(|_| row.is_none()).map(|unit| &unit.checksum));
        if let Some(applied) = stale {
            differences.push(Difference::Edited {
                id: migration.id.clone(),
                path: migration.path.clone(),
                applied: applied.clone(),
                now: now.clone(),
                unfinished: row.is_none(),
            });
        } else if let Some(row) = row.filter(|row| row.path != migration.path) {
            differences.push(Difference::Renamed {
                id: migration.id.clone(),
                from: row.path.clone(),
                to: migration.path.clone(),
            });
        }
    }
    let known: HashSet<&MigrationId> = migrations.iter().map(|migration| &migration.id).collect();
    let mut gone: Vec<&Applied> = history.applied().filter(|row| !known.contains(&row.id)).collect();
    gone.sort_by(|a, b| a.id.cmp(&b.id));
    differences.extend(
        gone.into_iter().map(|row| Difference::Deleted { id: row.id.clone(), path: row.path.clone() }),
    );
    differences
}

/// The text that was applied, where it was small enough to keep.
///
/// # Errors
/// As the server says, or [`HistoryError::Unexpected`] for a stored text that cannot be unpacked.
pub async fn applied_text(
    session: &mut Session,
    project: &str,
    id: &MigrationId,
) -> Result<Option<String>, HistoryError> {
    let rows = session
        .query(
            "SELECT source FROM cutover.migration WHERE project = $1 AND root = $2 AND version = $3",
            &[&project, &id.root, &id.version.key()],
        )
        .await?;
    let Some(bytes) = rows.first().and_then(|row| row.get::<_, Option<Vec<u8>>>(0)) else { return Ok(None) };
    let text = compress::unpack(&bytes).map_err(|error| {
        HistoryError::Unexpected(format!("the stored text of {id} cannot be unpacked: {error}"))
    })?;
    Ok(Some(text))
}

/// A unified diff of what was applied against the file as it is now.
pub fn unified_diff(applied: &str, now: &str, path: &str) -> String {
    TextDiff::from_lines(applied, now)
        .unified_diff()
        .context_radius(3)
        .header(&format!("{path} (as applied)"), &format!("{path} (now)"))
        .to_string()
}
