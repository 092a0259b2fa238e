//! The SQL that records the parts of a migration that is applied in several: which are done, which was begun outside a
//! transaction, and the text they were taken from. Each function gives text that is sent in the transaction it belongs to.

use cutover_analysis::sql::quote_literal;

use super::journal::{bytea, must_write};
use crate::migration::{Migration, MigrationId, VersionSort};
use crate::script::Part;
use crate::secrets::without_passwords;

/// A unit to be journaled.
#[derive(Debug, Clone, Copy)]
pub struct UnitRecord<'a> {
    /// Project name.
    pub project: &'a str,
    /// Run id.
    pub run: &'a str,
    /// The migration.
    pub migration: &'a Migration,
    /// Number of the unit, from 0.
    pub unit: u32,
    /// Its text.
    pub part: &'a Part,
    /// False just before a statement that runs outside a transaction.
    pub done: bool,
    /// SQL for the OIDs of indexes that are there before it, see `apply::indexes`; where they decide what it left behind.
    pub found: Option<&'a str>,
}

/// The error that a statement outside a transaction ended with. What is secret in it is starred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// SQLSTATE.
    pub code: String,
    /// The message, one line.
    pub message: String,
}

/// Journals a unit. Fails where no row is written.
pub fn upsert(record: &UnitRecord<'_>) -> String {
    let UnitRecord { project, run, migration, unit, part, done, found } = record;
    let state = if *done { "done" } else { "started" };
    must_write(&format!(
        "INSERT INTO cutover.unit (project, root, version, version_text, unit, state, digest, first_line, last_line, statement, \
         run, found, at) \
         VALUES ({}, {}, {unit}, '{state}', {}, {}, {}, {}, {}, {}, pg_catalog.clock_timestamp()) \
         ON CONFLICT (project, root, version, unit) DO UPDATE SET state = excluded.state, digest = excluded.digest, \
         first_line = excluded.first_line, last_line = excluded.last_line, statement = excluded.statement, run = excluded.run, \
         found = excluded.found, at = excluded.at, code = NULL, error = NULL",
        quote_literal(project),
        identity(&migration.id),
        quote_literal(&part.digest),
        part.lines.first,
        part.lines.last,
        quote_literal(&without_passwords(&part.excerpt)),
        quote_literal(run),
        found.unwrap_or("NULL"),
    ))
}

/// Keeps the text that units are taken from; `None` for one that is too large to keep.
pub fn keep_text(project: &str, run: &str, migration: &Migration, text: Option<&[u8]>) -> String {
    format!(
        "INSERT INTO cutover.begun (project, root, version, version_text, path, checksum, source, run, at) \
         VALUES ({}, {}, {}, {}, {}, {}, pg_catalog.clock_timestamp()) \
         ON CONFLICT (project, root, version) DO UPDATE SET path = excluded.path, checksum = excluded.checksum, \
         source = excluded.source, run = excluded.run, at = excluded.at",
        quote_literal(project),
        identity(&migration.id),
        quote_literal(&migration.path),
        quote_literal(&migration.checksums.normalised),
        text.map_or_else(|| "NULL".to_owned(), bytea),
        quote_literal(run),
    )
}

/// A unit that was begun outside a transaction is known to be done.
pub fn mark_done(project: &str, run: &str, id: &MigrationId, unit: u32) -> String {
    format!(
        "UPDATE cutover.unit SET state = 'done', run = {}, at = pg_catalog.clock_timestamp(), code = NULL, error = NULL \
         WHERE {} AND unit OPERATOR(pg_catalog.=) {unit}",
        quote_literal(run),
        of(project, id),
    )
}

/// A unit that was begun outside a transaction ended with this error; what it left behind is not known, or still there.
pub fn ended_with(project: &str, id: &MigrationId, unit: u32, ending: &Ending) -> String {
    set_ending("started", project, id, unit, ending)
}

/// A unit that this run began outside a transaction ended along with its session; what became of it is not known. Changes
/// nothing where anybody has gone on with it since.
pub fn lost_with(project: &str, run: &str, id: &MigrationId, unit: u32, ending: &Ending) -> String {
    format!(
        "{} AND run OPERATOR(pg_catalog.=) {} AND state OPERATOR(pg_catalog.=) 'started'",
        ended_with(project, id, unit, ending),
        quote_literal(run)
    )
}

/// A unit that was begun outside a transaction ended with this error, and nothing of it is in the database. Where
/// nothing else of its migration is either, the text is forgotten: the file may be mended.
pub fn failed(project: &str, id: &MigrationId, unit: u32, ending: &Ending) -> String {
    format!(
        "{}; {}",
        set_ending("failed", project, id, unit, ending),
        forget_text_of_nothing(&of(project, id))
    )
}

fn set_ending(state: &str, project: &str, id: &MigrationId, unit: u32, ending: &Ending) -> String {
    format!(
        "UPDATE cutover.unit SET state = '{state}', at = pg_catalog.clock_timestamp(), code = {}, error = {} \
         WHERE {} AND unit OPERATOR(pg_catalog.=) {unit}",
        quote_literal(&ending.code),
        quote_literal(&ending.message),
        of(project, id),
    )
}

/// Forgets one unit: nothing of it is in the database. With the last one the text is forgotten too.
pub fn forget(project: &str, id: &MigrationId, unit: u32) -> String {
    let of = of(project, id);
    format!(
        "DELETE FROM cutover.unit WHERE {of} AND unit OPERATOR(pg_catalog.=) {unit}; {}",
        forget_text_of_nothing(&of)
    )
}

fn forget_text_of_nothing(of: &str) -> String {
    format!(
        "DELETE FROM cutover.begun WHERE {of} AND NOT EXISTS \
         (SELECT FROM cutover.unit WHERE {of} AND state OPERATOR(pg_catalog.<>) 'failed')"
    )
}

/// Forgets all units of a migration that is finished: its history row says more.
pub fn forget_all(project: &str, id: &MigrationId) -> String {
    let of = of(project, id);
    format!("DELETE FROM cutover.unit WHERE {of}; DELETE FROM cutover.begun WHERE {of}")
}

/// Forgets that a migration is applied: its effects are taken back in the same transaction. The row also stands for two events
/// of the run that applied it, which stay.
pub fn forget_applied(project: &str, id: &MigrationId) -> String {
    let of = rows_of(project, id);
    format!("{}; DELETE FROM cutover.migration WHERE {of}", super::journal::keep_step_events(id, &of))
}

/// Root, version and its spelling, as values.
fn identity(id: &MigrationId) -> String {
    let (root, key, text) = (&id.root, id.version.key(), id.version.text());
    format!("{}, {}, {}", quote_literal(root), quote_literal(&key), quote_literal(text))
}

/// The history's rows of an applied migration: a repeatable one has one for each run that applied it.
fn rows_of(project: &str, id: &MigrationId) -> String {
    if id.version.sort() != VersionSort::Repeatable {
        return of(project, id);
    }
    let key = id.version.key();
    format!(
        "project OPERATOR(pg_catalog.=) {} AND root OPERATOR(pg_catalog.=) {} AND pg_catalog.left(version, \
         pg_catalog.length(version) OPERATOR(pg_catalog.-) pg_catalog.strpos(pg_catalog.reverse(version), '#') \
         OPERATOR(pg_catalog.+) 1) OPERATOR(pg_catalog.=) {}",
        quote_literal(project),
        quote_literal(&id.root),
        quote_literal(&key)
    )
}

/// The rows of one migration.
pub(super) fn of(project: &str, id: &MigrationId) -> String {
    format!(
        "project OPERATOR(pg_catalog.=) {} AND root OPERATOR(pg_catalog.=) {} AND version OPERATOR(pg_catalog.=) {}",
        quote_literal(project),
        quote_literal(&id.root),
        quote_literal(&id.version.key()),
    )
}
