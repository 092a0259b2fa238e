//! The SQL that records runs, events, units and applied migrations. Each function gives text that is sent in the
//! transaction it belongs to, so that an effect and its record cannot come apart.

use std::time::Duration;

use cutover_analysis::sql::quote_literal;
use cutover_postgres::session::Session;

use super::HistoryError;
use crate::migration::Migration;
use crate::plan::Plan;
use crate::run::{EventKind, Outcome, Run, RunEvent};

/// Brings the session into a state in which our own statements mean what they say, whatever a file did to it: role,
/// search path and literal syntax. Safe inside a transaction.
pub const OWN_TERMS: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; SET LOCAL search_path = pg_catalog, pg_temp; \
SET LOCAL standard_conforming_strings = on; SET LOCAL row_security = on";

/// An event with its place in the run.
#[derive(Debug, Clone)]
pub struct Numbered {
    /// Sequence number within the run.
    pub seq: u64,
    /// The event.
    pub event: RunEvent,
}

/// Inserts events. The time of `finished`, the end of a step, is measured by the server: with everything sent in one
/// flush the client cannot know before the commit how long it took. Empty input gives empty text.
pub fn insert_events(run: &str, events: &[Numbered], finished: Option<&Numbered>) -> String {
    let run = quote_literal(run);
    let mut rows: Vec<String> = events
        .iter()
        .map(|Numbered { seq, event }| format!("({run}, {seq}, {}, NULL, {})", timestamp(event.at_micros), json(event)))
        .collect();
    rows.extend(finished.map(|Numbered { seq, event }| {
        let took = "extract(epoch FROM clock_timestamp() - now())::float8";
        format!("({run}, {seq}, clock_timestamp(), {took}, {})", json(event))
    }));
    if rows.is_empty() {
        return String::new();
    }
    format!("INSERT INTO cutover.event (run, seq, at, took, event) VALUES {}", rows.join(", "))
}

/// JSON as a literal. NUL cannot stand in jsonb, so it is shown as the replacement character.
fn json<T: serde::Serialize>(value: &T) -> String {
    let text = serde_json::to_string(value).unwrap_or_else(|_| "null".into());
    quote_literal(&text.replace("\\u0000", "\u{fffd}"))
}

fn timestamp(micros: i64) -> String {
    // Whole microseconds, without a detour over floating point.
    format!("'epoch'::timestamptz + interval '{micros} microseconds'")
}

/// What the history keeps of a migration that is being applied.
pub struct Record<'a> {
    /// Project name.
    pub project: &'a str,
    /// Run id.
    pub run: &'a str,
    /// The migration.
    pub migration: &'a Migration,
    /// Stage id.
    pub stage: Option<&'a str>,
    /// Number of statements.
    pub statements: u32,
    /// Compressed text.
    pub source: Option<&'a [u8]>,
}

/// Inserts the history row; `took` is measured by the server from the start of the transaction.
pub fn insert_migration(record: &Record<'_>) -> String {
    let Record { project, run, migration, stage, statements, source } = record;
    let source = source.map_or_else(|| "NULL".to_owned(), bytea);
    format!(
        "INSERT INTO cutover.migration (project, root, version, version_text, name, path, stage, checksum, checksum_raw, \
         bytes, source, run, role, applied_at, took, statements) VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, \
         session_user, clock_timestamp(), extract(epoch FROM clock_timestamp() - now())::float8, {statements})",
        quote_literal(project),
        quote_literal(&migration.id.root),
        quote_literal(&migration.id.version.key()),
        quote_literal(migration.id.version.text()),
        quote_literal(&migration.name),
        quote_literal(&migration.path),
        stage.map_or_else(|| "NULL".to_owned(), quote_literal),
        quote_literal(&migration.checksums.normalised),
        quote_literal(&migration.checksums.raw),
        migration.checksums.bytes,
        source,
        quote_literal(run),
    )
}

fn bytea(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 24);
    text.push_str("pg_catalog.decode('");
    for byte in bytes {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text.push_str("', 'hex')");
    text
}

/// Journals a unit. `done` is false just before a statement that runs outside a transaction.
pub fn upsert_unit(project: &str, run: &str, migration: &Migration, unit: u32, done: bool, statement: &str) -> String {
    let state = if done { "done" } else { "started" };
    let shown: String = statement.chars().take(4000).collect();
    format!(
        "INSERT INTO cutover.unit (project, root, version, unit, state, checksum, statement, run, at) \
         VALUES ({}, {}, {}, {unit}, '{state}', {}, {}, {}, clock_timestamp()) \
         ON CONFLICT (project, root, version, unit) DO UPDATE SET state = excluded.state, run = excluded.run, at = excluded.at",
        quote_literal(project),
        quote_literal(&migration.id.root),
        quote_literal(&migration.id.version.key()),
        quote_literal(&migration.checksums.normalised),
        quote_literal(&shown),
        quote_literal(run),
    )
}

/// Forgets one unit: nothing of it is in the database.
pub fn delete_unit(project: &str, migration: &Migration, unit: u32) -> String {
    format!("{} AND unit = {unit}", delete_units(project, migration))
}

/// Forgets the units of a migration that is finished (its history row says more), or that never happened.
pub fn delete_units(project: &str, migration: &Migration) -> String {
    format!(
        "DELETE FROM cutover.unit WHERE project = {} AND root = {} AND version = {}",
        quote_literal(project),
        quote_literal(&migration.id.root),
        quote_literal(&migration.id.version.key()),
    )
}

/// A migration that is applied is no longer deferred.
pub fn delete_deferral(project: &str, migration: &Migration) -> String {
    format!(
        "DELETE FROM cutover.deferral WHERE project = {} AND root = {} AND version = {}",
        quote_literal(project),
        quote_literal(&migration.id.root),
        quote_literal(&migration.id.version.key()),
    )
}

/// Records that a migration is left for later.
pub fn insert_deferral(project: &str, run: &str, migration: &Migration) -> String {
    format!(
        "INSERT INTO cutover.deferral (project, root, version, version_text, run, at) \
         VALUES ({}, {}, {}, {}, {}, now()) ON CONFLICT DO NOTHING",
        quote_literal(project),
        quote_literal(&migration.id.root),
        quote_literal(&migration.id.version.key()),
        quote_literal(migration.id.version.text()),
        quote_literal(run),
    )
}

/// Records that a run began.
pub fn insert_run(run: &Run) -> String {
    let mut head = run.clone();
    head.events.clear();
    format!(
        "INSERT INTO cutover.run (id, project, started_at, head) VALUES ({}, {}, {}, {})",
        quote_literal(&run.id),
        quote_literal(&run.project),
        timestamp(run.started_micros),
        json(&head),
    )
}

/// Records how a run ended.
pub fn finish_run(run: &str, outcome: Outcome) -> String {
    let outcome = serde_json::to_value(outcome).ok().and_then(|value| value.as_str().map(str::to_owned));
    format!(
        "UPDATE cutover.run SET finished_at = clock_timestamp(), outcome = {} WHERE id = {}",
        quote_literal(&outcome.unwrap_or_default()),
        quote_literal(run),
    )
}

/// Adds events to a run that has ended, e.g. what a later verification found. Several may do so at once.
///
/// # Errors
/// As the server says; nothing is added then.
pub async fn append_events(session: &mut Session, run: &str, events: &[RunEvent]) -> Result<(), HistoryError> {
    let values: Vec<String> = events
        .iter()
        .enumerate()
        .map(|(n, event)| format!("({}, {}, {}::jsonb)", n + 1, timestamp(event.at_micros), json(event)))
        .collect();
    if values.is_empty() {
        return Ok(());
    }
    // The run's own row is locked so that two appenders number their events one after the other.
    let append = format!(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp; \
         SELECT FROM cutover.run WHERE id = {run} FOR UPDATE; \
         INSERT INTO cutover.event (run, seq, at, event) \
         SELECT {run}, (SELECT coalesce(max(seq), 0) FROM cutover.event WHERE run = {run}) + v.n, v.at, v.event \
           FROM (VALUES {}) AS v (n, at, event); COMMIT",
        values.join(", "),
        run = quote_literal(run),
    );
    if let Err(failure) = session.execute(&append).await {
        let _ = session.execute("ROLLBACK").await;
        return Err(failure.into());
    }
    Ok(())
}

/// A run as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RunLine {
    /// Id.
    pub id: String,
    /// Started, microseconds since the Unix epoch.
    pub started_micros: i64,
    /// Outcome as stored, `None` while it runs or when it was killed.
    pub outcome: Option<String>,
}

/// The runs of a project, newest first.
///
/// # Errors
/// As the server says.
pub async fn list_runs(session: &mut Session, project: &str, limit: i64) -> Result<Vec<RunLine>, HistoryError> {
    let rows = session
        .query(
            "SELECT id, (extract(epoch FROM started_at) * 1000000)::int8, outcome FROM cutover.run
              WHERE project = $1 ORDER BY started_at DESC, id DESC LIMIT $2",
            &[&project, &limit],
        )
        .await?;
    Ok(rows.iter().map(|row| RunLine { id: row.get(0), started_micros: row.get(1), outcome: row.get(2) }).collect())
}

/// Reads a whole run from the journal.
///
/// # Errors
/// As the server says, or [`HistoryError::Unexpected`] for rows that a newer or foreign tool wrote.
pub async fn read_run(session: &mut Session, id: &str) -> Result<Option<Run>, HistoryError> {
    let rows = session.query("SELECT head::text, outcome FROM cutover.run WHERE id = $1", &[&id]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let mut run: Run = parse(&row.get::<_, String>(0), "run")?;
    let outcome: Option<String> = row.get(1);
    run.outcome = outcome.map(|text| parse(&format!("\"{text}\""), "outcome")).transpose()?;
    let rows = session.query("SELECT event::text, took FROM cutover.event WHERE run = $1 ORDER BY seq", &[&id]).await?;
    for row in &rows {
        let event: RunEvent = parse(&row.get::<_, String>(0), "event")?;
        let event = with_measured_time(event, row.get(1), run.events.last());
        run.events.push(event);
    }
    in_order(&mut run.events);
    Ok(Some(run))
}

/// A transaction is opened in the flush before its step is told to begin, so the server may measure a little more
/// than lies between the client's readings: nothing ends after what follows it began.
fn in_order(events: &mut [RunEvent]) {
    for at in (1..events.len()).rev() {
        let (before, next) = (events[at - 1].at_micros, events[at].at_micros);
        events[at - 1].at_micros = before.min(next);
        events[at - 1].elapsed = events[at - 1].elapsed.min(events[at].elapsed);
    }
}

/// The end of a step with the time the server measured. The stored clock readings are the client's throughout, so that
/// two clocks that differ cannot turn a report upside down.
fn with_measured_time(mut event: RunEvent, took: Option<f64>, before: Option<&RunEvent>) -> RunEvent {
    let Some(measured) = took.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) else { return event };
    let EventKind::StepFinished { took, .. } = &mut event.kind else { return event };
    *took = measured;
    if let Some(before) = before {
        let micros = i64::try_from(measured.as_micros()).unwrap_or(i64::MAX);
        event.at_micros = event.at_micros.max(before.at_micros.saturating_add(micros));
        event.elapsed = event.elapsed.max(before.elapsed.saturating_add(measured));
    }
    event
}

fn parse<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, HistoryError> {
    serde_json::from_str(text)
        .map_err(|error| HistoryError::Unexpected(format!("a stored {what} cannot be read: {error}")))
}

/// The plan as last stored by a run of the project, newest first. Used by reports made without files at hand.
///
/// # Errors
/// As [`read_run`].
pub async fn last_plan(session: &mut Session, project: &str) -> Result<Option<Plan>, HistoryError> {
    let Some(line) = list_runs(session, project, 1).await?.into_iter().next() else { return Ok(None) };
    Ok(read_run(session, &line.id).await?.map(|run| run.plan))
}
