//! Applied and begun migrations as rows, and their kept texts.

use std::collections::{BTreeSet, HashMap};

use cutover_postgres::session::Session;
use sha2::{Digest as _, Sha256};

use super::differences::Renumbering;
use super::{HistoryError, compress};
use crate::migration::{Migration, MigrationId, Version};
use crate::plan::{Lines, UnitFailure, UnitState};
use crate::project::Project;
use crate::project::text::hex;

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
    /// What its text is known by, see [`crate::script::Part::digest`].
    pub digest: String,
    /// Where it stood in the file.
    pub lines: Lines,
    /// How it began, placeholders not replaced, secrets starred.
    pub statement: String,
    /// Run that began it.
    pub run: String,
    /// The error it ended with, where that was seen; what it left behind is open all the same.
    pub failure: Option<UnitFailure>,
    /// OIDs of indexes that were there before it began, with spaces between them; `None` where nobody looked.
    pub found: Option<String>,
}

/// A unit that ended with an error outside a transaction, and of which nothing is in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedUnit {
    /// Number of the unit, from 0.
    pub unit: u32,
    /// What its text was known by then, see [`crate::script::Part::digest`].
    pub digest: String,
    /// The error.
    pub failure: UnitFailure,
}

/// A migration that is begun but not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Path when a run last went on with it.
    pub path: String,
    /// SHA-256 over its normalised text then, hex.
    pub checksum: String,
    /// The units that are done or were begun, in order.
    pub units: Vec<UnitRow>,
}

impl Begun {
    /// How many units are done.
    pub fn done(&self) -> usize {
        self.units.iter().take_while(|unit| unit.done).count()
    }

    /// The unit that was begun outside a transaction and of which it is not known what is there.
    pub fn open(&self) -> Option<&UnitRow> {
        self.units.iter().find(|unit| !unit.done)
    }

    /// Where a unit stands.
    pub fn state(&self, unit: usize) -> UnitState {
        let row = self.units.iter().find(|row| usize::try_from(row.unit) == Ok(unit));
        match row {
            None => UnitState::Pending,
            Some(row) if row.done => UnitState::Done,
            Some(_) => UnitState::Begun,
        }
    }
}

/// Everything the history knows of one project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    applied: HashMap<MigrationId, Applied>,
    highest: HashMap<String, Version>,
    /// Number of rows of applied migrations: a repeatable one has one for each run.
    rows: usize,
    begun: HashMap<MigrationId, Begun>,
    failed: HashMap<MigrationId, FailedUnit>,
    /// Migrations that a run was told to leave for later.
    pub deferred: BTreeSet<MigrationId>,
    /// Migrations that a run meant to apply and did not, while it applied later ones beside them: they may go in behind
    /// those.
    pub overtaken: BTreeSet<MigrationId>,
}

impl History {
    /// Adds an applied migration. Of several runs of a repeatable one the last counts.
    pub fn insert(&mut self, row: Applied) {
        if self.applied.get(&row.id).is_some_and(|known| known.at_micros > row.at_micros) {
            return;
        }
        let highest = self.highest.get_mut(&row.id.root);
        match highest {
            _ if !row.id.version.is_ordered() => {}
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

    /// Nothing of the project is applied or begun.
    pub fn is_empty(&self) -> bool {
        self.applied.is_empty() && self.begun.is_empty()
    }

    /// Number of rows that the database has of applied migrations.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// All applied migrations, in no particular order.
    pub fn applied(&self) -> impl Iterator<Item = &Applied> {
        self.applied.values()
    }

    /// What is known of a migration that is begun but not finished.
    pub fn begun(&self, id: &MigrationId) -> Option<&Begun> {
        self.begun.get(id)
    }

    /// The unit of a migration that is not applied which a run tried last, where it left nothing but its error.
    pub fn failed(&self, id: &MigrationId) -> Option<&FailedUnit> {
        self.failed.get(id)
    }

    /// All migrations that are begun but not finished, in no particular order.
    pub fn all_begun(&self) -> impl Iterator<Item = (&MigrationId, &Begun)> {
        self.begun.iter()
    }

    /// The highest applied version of a root, of those that are in the order of their numbers.
    pub fn highest(&self, root: &str) -> Option<&Version> {
        self.highest.get(root)
    }

    /// The same without what is not meant.
    #[must_use]
    pub fn only(mut self, meant: impl Fn(&MigrationId) -> bool) -> Self {
        self.begun.retain(|id, _| meant(id));
        self.failed.retain(|id, _| meant(id));
        self.deferred.retain(&meant);
        self.overtaken.retain(&meant);
        let applied = std::mem::take(&mut self.applied);
        self.highest.clear();
        for row in applied.into_values().filter(|row| meant(&row.id)) {
            self.insert(row);
        }
        self.rows = self.applied.len();
        self
    }

    /// What it is known by: another one whenever something was applied, begun, reverted or recorded. SHA-256, hex.
    pub fn digest(&self) -> String {
        let line = |id: &MigrationId, what: &str| format!("{}\0{}\0{what}\0", id.root, id.version.key());
        let mut lines: Vec<String> = self.applied.values().map(|row| line(&row.id, &row.run)).collect();
        lines.extend(self.begun.iter().map(|(id, begun)| line(id, &format!("begun {}", begun.units.len()))));
        lines.sort_unstable();
        hex(&Sha256::digest(lines.concat()))
    }

    /// The history as it is once the rows have followed their files to other numbers.
    #[must_use]
    pub fn renumbered(mut self, moves: &[Renumbering]) -> Self {
        if moves.is_empty() {
            return self;
        }
        let taken: Vec<_> = moves
            .iter()
            .map(|one| {
                let from = &one.from;
                (one, self.applied.remove(from), self.begun.remove(from), self.failed.remove(from))
            })
            .collect();
        for (Renumbering { to, to_path, .. }, applied, begun, failed) in taken {
            self.failed.remove(to);
            if let Some(failed) = failed {
                self.failed.insert(to.clone(), failed);
            }
            if let Some(row) = applied {
                self.applied.insert(to.clone(), Applied { id: to.clone(), path: to_path.clone(), ..row });
            }
            if let Some(begun) = begun {
                self.begun.insert(to.clone(), Begun { path: to_path.clone(), ..begun });
            }
            self.deferred.remove(to);
        }
        let applied = std::mem::take(&mut self.applied);
        self.highest.clear();
        for row in applied.into_values() {
            self.insert(row);
        }
        self
    }
}

pub(super) fn version(key: &str, text: String) -> Result<Version, HistoryError> {
    Version::of_key(key, text)
        .ok_or_else(|| HistoryError::Unexpected(format!("version {key:?} is none that this build knows")))
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
    history.rows = rows.len();
    for row in &rows {
        history.insert(Applied {
            id: MigrationId { root: row.get(0), version: version(row.get(1), row.get(2))? },
            path: row.get(3),
            checksum: row.get(4),
            run: row.get(5),
            at_micros: row.get(6),
        });
    }
    read_begun(session, project, &mut history).await?;
    let rows = session
        .query("SELECT root, version, version_text FROM cutover.deferral WHERE project = $1", &[&project])
        .await?;
    for row in &rows {
        history.deferred.insert(MigrationId { root: row.get(0), version: version(row.get(1), row.get(2))? });
    }
    read_overtaken(session, project, &mut history).await?;
    Ok(history)
}

/// Reads what runs that work side by side left undone. Only those that did not complete, and applied something.
async fn read_overtaken(
    session: &mut Session,
    project: &str,
    history: &mut History,
) -> Result<(), HistoryError> {
    let rows = session
        .query(
            "SELECT (step->'migration')::text
               FROM cutover.run r CROSS JOIN LATERAL json_array_elements(r.head->'plan'->'steps') AS step
              WHERE r.project = $1 AND r.outcome IS DISTINCT FROM 'completed' AND r.head->>'jobs' IS NOT NULL
                AND EXISTS (SELECT FROM cutover.migration m WHERE m.project = $1 AND m.run = r.id)
                AND step->'state'->>'state' IN ('pending', 'pending_out_of_order', 'resume')",
            &[&project],
        )
        .await?;
    for row in &rows {
        let id = serde_json::from_str::<MigrationId>(row.get(0)).map_err(|error| {
            HistoryError::Unexpected(format!("the plan of a run cannot be read: {error}"))
        })?;
        if history.get(&id).is_none() {
            history.overtaken.insert(id);
        }
    }
    Ok(())
}

/// Reads what is begun and not finished.
async fn read_begun(session: &mut Session, project: &str, history: &mut History) -> Result<(), HistoryError> {
    let rows = session
        .query(
            "SELECT u.root, u.version, u.version_text, u.unit, u.state, u.digest, u.first_line, u.last_line, u.run,
                    coalesce(b.path, ''), coalesce(b.checksum, ''), (extract(epoch FROM u.at) * 1000000)::int8,
                    coalesce(u.code, ''), u.error, u.found, u.statement
               FROM cutover.unit u LEFT JOIN cutover.begun b USING (project, root, version)
              WHERE u.project = $1 ORDER BY u.root, u.version, u.unit",
            &[&project],
        )
        .await?;
    for row in &rows {
        let number = |column: usize| u32::try_from(row.get::<_, i32>(column)).unwrap_or(0);
        let id = MigrationId { root: row.get(0), version: version(row.get(1), row.get(2))? };
        let error: Option<String> = row.get(13);
        let failure = error.map(|message| UnitFailure {
            at_micros: row.get(11),
            code: row.get(12),
            message,
            next: String::new(),
        });
        let state: &str = row.get(4);
        if state == "failed" {
            if let Some(failure) = failure {
                history.failed.insert(id, FailedUnit { unit: number(3), digest: row.get(5), failure });
            }
            continue;
        }
        let unit = UnitRow {
            unit: number(3),
            done: state == "done",
            digest: row.get(5),
            lines: Lines { first: number(6), last: number(7) },
            statement: row.get(15),
            run: row.get(8),
            failure,
            found: row.get(14),
        };
        let begun = history.begun.entry(id).or_insert_with(|| Begun {
            path: row.get(9),
            checksum: row.get(10),
            units: Vec::new(),
        });
        begun.units.push(unit);
    }
    Ok(())
}

/// Paths of what is begun and not finished of a project, in order.
///
/// # Errors
/// As the server says.
pub async fn begun_paths(session: &mut Session, project: &str) -> Result<Vec<String>, HistoryError> {
    let rows = session
        .query(
            "SELECT DISTINCT coalesce(b.path, u.version_text)
               FROM cutover.unit u LEFT JOIN cutover.begun b USING (project, root, version)
              WHERE u.project = $1 AND u.state <> 'failed' ORDER BY 1",
            &[&project],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Migrations that were recorded as applied without being run, by a baseline; those that another tool has run are not
/// among them.
///
/// # Errors
/// As the server says, or [`HistoryError::Unexpected`] for rows this tool did not write.
pub async fn recorded(
    session: &mut Session,
    project: &str,
    schema_version: i32,
) -> Result<BTreeSet<MigrationId>, HistoryError> {
    let adopted = if schema_version < 2 { "" } else { " AND run NOT IN (SELECT run FROM cutover.adoption)" };
    let question = format!(
        "SELECT root, version, version_text FROM cutover.migration WHERE project = $1 AND attempts = 0{adopted}"
    );
    let rows = session.query(&question, &[&project]).await?;
    let id = |root, key, text| Ok(MigrationId { root, version: version(key, text)? });
    rows.iter().map(|row| id(row.get(0), row.get(1), row.get(2))).collect()
}

/// Migrations that another tool has run, recorded by an adoption.
///
/// # Errors
/// As the server says, or [`HistoryError::Unexpected`] for rows this tool did not write.
pub async fn adopted(
    session: &mut Session,
    project: &str,
    schema_version: i32,
) -> Result<BTreeSet<MigrationId>, HistoryError> {
    if schema_version < 2 {
        return Ok(BTreeSet::new());
    }
    let question = "SELECT root, version, version_text FROM cutover.migration
                     WHERE project = $1 AND run IN (SELECT run FROM cutover.adoption)";
    let rows = session.query(question, &[&project]).await?;
    let id = |root, key, text| Ok(MigrationId { root, version: version(key, text)? });
    rows.iter().map(|row| id(row.get(0), row.get(1), row.get(2))).collect()
}

/// Whether the history is exactly these migrations, under their paths and with their texts, and nothing is unfinished.
/// A run with nothing to do, the most frequent one, has its answer from one value in place of a row of twenty columns a
/// migration. It comes unsorted: sorting where it is in order already costs less than any order the server can make.
///
/// # Errors
/// As the server says.
pub async fn is_exactly(
    session: &mut Session,
    project: &str,
    migrations: &[Migration],
) -> Result<bool, HistoryError> {
    if !migrations.iter().all(|migration| migration.kind.is_versioned()) {
        // Their rows are not one a file.
        return Ok(false);
    }
    let rows = session
        .query(
            "SELECT coalesce(string_agg(concat_ws(chr(31), root, version, path, checksum), chr(30)), ''),
                    EXISTS (SELECT FROM cutover.unit WHERE project = $1 AND state <> 'failed')
               FROM cutover.migration WHERE project = $1",
            &[&project],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(false) };
    if row.get::<_, bool>(1) {
        return Ok(false);
    }
    let mut recorded: Vec<&str> = row.get::<_, &str>(0).split('\u{1e}').collect();
    recorded.retain(|line| !line.is_empty());
    recorded.sort_unstable();
    let mut here: Vec<String> = migrations.iter().map(line_of).collect();
    here.sort_unstable();
    Ok(here == recorded)
}

fn line_of(migration: &Migration) -> String {
    let Migration { id, path, checksums, .. } = migration;
    [id.root.as_str(), &id.version.key(), path, &checksums.normalised].join("\u{1f}")
}

/// The text that was applied, or with which a migration was begun that is not finished, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Path then, or the one that it was given since.
    pub path: String,
    /// SHA-256 over the normalised text, hex.
    pub checksum: String,
    /// Run that applied it, or last went on with it.
    pub run: String,
    /// When, microseconds since the Unix epoch.
    pub at_micros: i64,
    /// Only parts of it are applied.
    pub unfinished: bool,
    /// The normalised text, placeholders not replaced; `None` where it was too large to keep.
    pub text: Option<String>,
}

/// The other project of this database that has applied most of these files, and how many of them.
///
/// # Errors
/// As the server says.
pub async fn applied_elsewhere(
    session: &mut Session,
    project: &Project,
) -> Result<Option<(String, usize)>, HistoryError> {
    let texts: Vec<&str> =
        project.migrations.iter().map(|migration| migration.checksums.normalised.as_str()).collect();
    let rows = session
        .query(
            "SELECT project, count(DISTINCT checksum) FROM cutover.migration
              WHERE project <> $1 AND checksum = ANY ($2) GROUP BY project ORDER BY 2 DESC, 1 LIMIT 1",
            &[&project.name, &texts],
        )
        .await?;
    Ok(rows.first().map(|row| (row.get(0), usize::try_from(row.get::<_, i64>(1)).unwrap_or(0))))
}

/// What is kept of a migration; `None` where the history does not know it.
///
/// # Errors
/// As the server says, or [`HistoryError::Unexpected`] for a stored text that cannot be unpacked.
pub async fn kept(
    session: &mut Session,
    project: &str,
    id: &MigrationId,
) -> Result<Option<Kept>, HistoryError> {
    let rows = session
        .query(
            "SELECT path, checksum, run, (extract(epoch FROM applied_at) * 1000000)::int8, false, source
               FROM cutover.migration WHERE project = $1 AND root = $2
                AND (version = $3 OR $3 LIKE '~%' AND left(version, length(version) - strpos(reverse(version), '#') + 1) = $3)
             UNION ALL
             SELECT path, checksum, run, (extract(epoch FROM at) * 1000000)::int8, true, source
               FROM cutover.begun WHERE project = $1 AND root = $2 AND version = $3
              ORDER BY 5 DESC, 4 DESC LIMIT 1",
            &[&project, &id.root, &id.version.key()],
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let source: Option<Vec<u8>> = row.get(5);
    let text = source.map(|bytes| compress::unpack(&bytes)).transpose().map_err(|error| {
        HistoryError::Unexpected(format!("the stored text of {id} cannot be unpacked: {error}"))
    })?;
    Ok(Some(Kept {
        path: row.get(0),
        checksum: row.get(1),
        run: row.get(2),
        at_micros: row.get(3),
        unfinished: row.get(4),
        text,
    }))
}
