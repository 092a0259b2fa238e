//! The SQL that records runs, events, units and applied migrations. Each function gives text that is sent in the
//! transaction it belongs to, so that an effect and its record cannot come apart.

use std::time::Duration;

use cutover_analysis::sql::quote_literal;
use cutover_postgres::session::{Failure, Session};
use serde::Serialize;

use super::HistoryError;
use super::differences::Renumbering;
use crate::migration::{Migration, MigrationId};
use crate::plan::Plan;
use crate::run::{EventKind, Outcome, Run, RunEvent};

/// Brings the session into a state in which our own statements mean what they say, whatever a file did to it: role,
/// search path and literal syntax. Begins with a command that the server refuses outside a transaction block: should
/// a file have ended our transaction in a way nobody foresaw, its record is refused with the rest of the message.
pub const OWN_TERMS: &str = "SAVEPOINT cutover; RELEASE SAVEPOINT cutover; RESET SESSION AUTHORIZATION; RESET ROLE; SET LOCAL search_path = pg_catalog, pg_temp; \
SET LOCAL standard_conforming_strings = on; SET LOCAL row_security = on; ";

/// An event with its place in the run.
#[derive(Debug, Clone)]
pub struct Numbered {
    /// Sequence number within the run.
    pub seq: u64,
    /// The event.
    pub event: RunEvent,
}

/// Inserts events; empty input gives empty text. The beginning and the end of a step that succeeded are not among them:
/// the step's history row carries both.
pub fn insert_events(run: &str, events: &[Numbered]) -> String {
    if events.is_empty() {
        return String::new();
    }
    let run = quote_literal(run);
    let row = |Numbered { seq, event }: &Numbered| {
        format!("({run}, {seq}, {}, {})", timestamp(event.at_micros), json(event))
    };
    let rows: Vec<String> = events.iter().map(row).collect();
    // What was sent and never heard of again goes along with the next text, and may be there.
    format!(
        "INSERT INTO cutover.event (run, seq, at, event) VALUES {} ON CONFLICT DO NOTHING",
        rows.join(", ")
    )
}

/// JSON as a literal. NUL cannot stand in jsonb, so it is shown as the replacement character.
fn json<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string(value).unwrap_or_else(|_| "null".into());
    quote_literal(&text.replace("\\u0000", "\u{fffd}"))
}

/// A point in time; whole microseconds fit a double until the year 2255.
fn timestamp(micros: i64) -> String {
    format!("pg_catalog.to_timestamp({})", seconds(micros))
}

/// Microseconds as seconds with a fraction.
fn seconds(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    format!("{seconds}.{fraction:06}")
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
    /// Attempts it needed.
    pub attempts: u32,
    /// The event of its beginning.
    pub started: &'a Numbered,
    /// The number of the event of its end.
    pub ended: u64,
}

/// The columns of a history row that the client knows, in the order of [`step_values`].
const STEP_COLUMNS: &str = "project, root, version, version_text, name, path, stage, checksum, checksum_raw, bytes, source, \
run, seq, end_seq, began_at, began_after, attempts, statements";

/// The rest is measured or known by the server. How long the closing transaction took cannot be known to a client that
/// sends everything in one flush. Every name is qualified, so that it means the same whatever a file did to the session.
const STEP_MEASURED: &str = "SESSION_USER, pg_catalog.clock_timestamp(), pg_catalog.date_part('epoch', \
pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.now())";

/// Prepares the statement that [`execute_step`] runs, which gives the time the step took; for sessions that nothing has
/// touched.
pub fn prepare_step() -> String {
    format!(
        "PREPARE cutover_step (pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, \
         pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int8, pg_catalog.bytea, \
         pg_catalog.text, pg_catalog.int8, pg_catalog.int8, pg_catalog.float8, pg_catalog.float8, pg_catalog.int4, \
         pg_catalog.int4, pg_catalog.float8) AS \
         INSERT INTO cutover.migration ({STEP_COLUMNS}, role, applied_at, took) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, \
         $10, $11, $12, $13, $14, pg_catalog.to_timestamp($15), $16, $17, $18, {STEP_MEASURED} OPERATOR(pg_catalog.+) $19) \
         RETURNING took"
    )
}

/// Inserts the history row, which also is the journal's record of the step's beginning and end, by the prepared
/// statement. `before` is the time spent before the transaction that closes the step. All values are plain literals:
/// the server evaluates none of them.
pub fn execute_step(values: &StepValues, before: Duration) -> String {
    let StepValues { head, began, tail } = values;
    format!("EXECUTE cutover_step ({head}, '{began}', {tail}, '{}')", before.as_secs_f64())
}

/// As [`execute_step`] (it gives the time too), in a session that may have lost its prepared statements and where code may have run that took
/// the row away: it fails then, and with it the transaction.
pub fn insert_step(values: &StepValues, before: Duration) -> String {
    let StepValues { head, began, tail } = values;
    must_write_giving(
        "took",
        1,
        &format!(
            "INSERT INTO cutover.migration ({STEP_COLUMNS}, role, applied_at, took) \
         VALUES ({head}, pg_catalog.to_timestamp({began}), {tail}, {STEP_MEASURED} OPERATOR(pg_catalog.+) {})",
            before.as_secs_f64()
        ),
    )
}

/// As [`insert_step`], for a step of a script, whose client is not this one: SQL says when it began, and when its run did,
/// both in seconds since the Unix epoch by the server's clock.
pub fn insert_step_between(record: &Record<'_>, step: &str, run: &str) -> String {
    let StepValues { head, .. } = step_values(record);
    let (attempts, statements) = (record.attempts, record.statements);
    must_write(&format!(
        "INSERT INTO cutover.migration ({STEP_COLUMNS}, role, applied_at, took) \
         VALUES ({head}, pg_catalog.to_timestamp({step}), {step} OPERATOR(pg_catalog.-) {run}, {attempts}, {statements}, \
         SESSION_USER, pg_catalog.clock_timestamp(), \
         pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.-) {step})"
    ))
}

/// The values of a history row of what was not run: it was applied at `at_micros`, microseconds since the Unix epoch, or that
/// is not known. What comes from the future is of a clock that goes wrong.
pub fn recorded_row(record: &Record<'_>, at_micros: Option<i64>) -> String {
    let StepValues { head, tail, .. } = step_values(record);
    let at = at_micros.map_or_else(
        || "pg_catalog.now()".to_owned(),
        |at| format!("LEAST({}, pg_catalog.now())", timestamp(at)),
    );
    format!("({head}, pg_catalog.now(), {tail}, SESSION_USER, {at}, 0)")
}

/// Inserts [rows](recorded_row) of what was not run; fails where not all of them are written.
pub fn insert_recorded(rows: &[String]) -> String {
    const AT_ONCE: usize = 500;
    let insert = |rows: &[String]| {
        let insert = format!(
            "INSERT INTO cutover.migration ({STEP_COLUMNS}, role, applied_at, took) VALUES {}",
            rows.join(", ")
        );
        must_write_giving("1", rows.len(), &insert)
    };
    rows.chunks(AT_ONCE).map(insert).collect::<Vec<_>>().join("; ")
}

/// Where a run takes its rows over from.
pub struct Adoption<'a> {
    /// Run id.
    pub run: &'a str,
    /// Project name.
    pub project: &'a str,
    /// The tool.
    pub tool: &'a str,
    /// Schema of its table.
    pub schema: &'a str,
    /// Name of its table.
    pub table: &'a str,
    /// How many rows that has.
    pub rows: usize,
}

/// Records that a run takes over what another tool had applied.
pub fn insert_adoption(adoption: &Adoption<'_>) -> String {
    let Adoption { run, project, tool, schema, table, rows } = adoption;
    let values = [run, project, tool, schema, table].map(|text| quote_literal(text));
    format!(
        "INSERT INTO cutover.adoption (run, project, tool, table_schema, table_name, table_rows) VALUES ({}, {rows})",
        values.join(", ")
    )
}

/// What the server is made to say where a row of ours was not written.
pub const NOT_WRITTEN: &str = "cutover: its own record was not written";

/// An INSERT of one row that fails where it writes none: a trigger may swallow a row, and the command tag that would
/// tell comes with that of the COMMIT, too late. Costs the server about 25 µs.
pub(super) fn must_write(insert: &str) -> String {
    must_write_giving("1", 1, insert)
}

/// The same for a number of rows, giving the largest value of theirs: a number.
fn must_write_giving(value: &str, rows: usize, insert: &str) -> String {
    // Not a constant, so that it is not evaluated when the statement is planned.
    format!(
        "WITH written AS ({insert} RETURNING {value} AS given) \
         SELECT CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.=) {rows} THEN pg_catalog.max(given) \
         ELSE ({} OPERATOR(pg_catalog.||) pg_catalog.repeat(' ', pg_catalog.count(*)::pg_catalog.int4))::pg_catalog.int4 END FROM written",
        quote_literal(NOT_WRITTEN)
    )
}

/// The values of a history row as literals, in the order of its columns.
pub struct StepValues {
    head: String,
    /// When the step began, in seconds since the Unix epoch.
    began: String,
    tail: String,
}

/// The values of a history row.
pub fn step_values(record: &Record<'_>) -> StepValues {
    let Record { project, run, migration, stage, statements, source, attempts, started, ended } = record;
    let head = [
        quote_literal(project),
        quote_literal(&migration.id.root),
        quote_literal(&migration.id.version.row_key(run)),
        quote_literal(migration.id.version.text()),
        quote_literal(&migration.name),
        quote_literal(&migration.path),
        stage.map_or_else(|| "NULL".to_owned(), quote_literal),
        quote_literal(&migration.checksums.normalised),
        quote_literal(&migration.checksums.raw),
        migration.checksums.bytes.to_string(),
        source.map_or_else(|| "NULL".to_owned(), bytea),
        quote_literal(run),
        started.seq.to_string(),
        ended.to_string(),
    ];
    let tail =
        [format!("'{}'", started.event.elapsed.as_secs_f64()), attempts.to_string(), statements.to_string()];
    StepValues { head: head.join(", "), began: seconds(started.event.at_micros), tail: tail.join(", ") }
}

/// Bytes as a literal that means the same under every setting.
pub(super) fn bytea(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 8);
    text.push_str("E'\\\\x");
    for byte in bytes {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text.push('\'');
    text
}

/// A migration that is applied is no longer deferred.
pub fn delete_deferral(project: &str, id: &MigrationId) -> String {
    format!("DELETE FROM cutover.deferral WHERE {}", super::units::of(project, id))
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

/// Whether a run of the project has not ended: it is under way, or was killed.
///
/// # Errors
/// As the server says.
pub async fn has_open_runs(session: &mut Session, project: &str) -> Result<bool, HistoryError> {
    let rows = session
        .query(
            "SELECT EXISTS (SELECT FROM cutover.run WHERE project = $1 AND finished_at IS NULL)",
            &[&project],
        )
        .await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// Ends the runs that were killed; they keep no outcome. Only for the holder of the runner's lock: nobody else is at
/// work then. Committed durably, it makes all they committed durable.
pub fn close_open_runs(project: &str) -> String {
    format!(
        "UPDATE cutover.run SET finished_at = clock_timestamp() WHERE project = {} AND finished_at IS NULL",
        quote_literal(project)
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
pub async fn append_events(
    session: &mut Session,
    run: &str,
    events: &[RunEvent],
) -> Result<(), HistoryError> {
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
    /// The project, or that of its ways back.
    pub project: String,
    /// Started, microseconds since the Unix epoch.
    pub started_micros: i64,
    /// Outcome as stored, `None` while it runs or when it was killed.
    pub outcome: Option<String>,
}

/// The runs of some projects, newest first.
///
/// # Errors
/// As the server says.
pub async fn list_runs(
    session: &mut Session,
    projects: &[&str],
    limit: i64,
) -> Result<Vec<RunLine>, HistoryError> {
    let rows = session
        .query(
            "SELECT id, (extract(epoch FROM started_at) * 1000000)::int8, outcome, project FROM cutover.run
              WHERE project = ANY ($1) ORDER BY started_at DESC, id DESC LIMIT $2",
            &[&projects, &limit],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| RunLine {
            id: row.get(0),
            started_micros: row.get(1),
            outcome: row.get(2),
            project: row.get(3),
        })
        .collect())
}

/// What a migration failed with in a run, as [`EventKind::StepFailed`] has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The run.
    pub run: String,
    /// When that run began, microseconds since the Unix epoch.
    pub started_micros: i64,
    /// Error as shown to people, one or more lines.
    pub message: String,
    /// SQLSTATE where the server gave one.
    pub code: Option<String>,
    /// What was true of the database then.
    pub state: String,
}

/// What failed in the project's newest run.
///
/// # Errors
/// As the server says.
pub async fn last_failures(session: &mut Session, project: &str) -> Result<Vec<Failed>, Failure> {
    let rows = session
        .query(
            "SELECT r.id, (extract(epoch FROM r.started_at) * 1000000)::int8, e.event->>'message', e.event->>'code', e.event->>'state'
               FROM (SELECT id, started_at FROM cutover.run WHERE project = $1 ORDER BY started_at DESC, id DESC LIMIT 1) r
               JOIN cutover.event e ON e.run = r.id AND e.event->>'event' = 'step_failed' ORDER BY e.seq",
            &[&project],
        )
        .await?;
    let mut failures = Vec::with_capacity(rows.len());
    for row in &rows {
        failures.push(Failed {
            run: row.get(0),
            started_micros: row.get(1),
            message: row.get::<_, Option<String>>(2).unwrap_or_default(),
            code: row.get(3),
            state: row.get::<_, Option<String>>(4).unwrap_or_default(),
        });
    }
    Ok(failures)
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
    let mut events = step_events(session, id).await?;
    let rows = session.query("SELECT seq, event::text FROM cutover.event WHERE run = $1", &[&id]).await?;
    for row in &rows {
        events.push((row.get(0), parse(&row.get::<_, String>(1), "event")?));
    }
    run.events = in_order(events, run.jobs > 1);
    Ok(Some(run))
}

/// Events in the order in which they happened, from those with their numbers. The server measures a step from the moment it
/// opened the transaction, some microseconds before the client says so: times are moved that far, so that none goes back.
fn in_order(mut events: Vec<(i64, RunEvent)>, side_by_side: bool) -> Vec<RunEvent> {
    if side_by_side {
        // Of steps that overlap, the number of an end does not say when it came.
        let is_end = |event: &RunEvent| matches!(event.kind, EventKind::RunFinished { .. });
        let is_step = |event: &RunEvent| matches!(event.kind, EventKind::StepFinished { .. });
        let last_step =
            events.iter().filter(|(_, event)| is_step(event)).map(|(_, event)| event.elapsed).max();
        events.sort_by_key(|(seq, event)| {
            let after = last_step.filter(|_| is_end(event)).unwrap_or_default();
            (event.elapsed.max(after), is_end(event), *seq)
        });
    } else {
        events.sort_by_key(|(seq, _)| *seq);
    }
    let mut latest = (i64::MIN, Duration::ZERO);
    let moved = |(_, mut event): (i64, RunEvent)| {
        event.at_micros = event.at_micros.max(latest.0);
        event.elapsed = event.elapsed.max(latest.1);
        latest = (event.at_micros, event.elapsed);
        event
    };
    events.into_iter().map(moved).collect()
}

/// The beginnings and ends of the steps that succeeded, from their history rows. Clock readings are the client's
/// throughout, so that two clocks that differ cannot turn a report upside down; durations are the server's.
async fn step_events(session: &mut Session, run: &str) -> Result<Vec<(i64, RunEvent)>, HistoryError> {
    let rows = session
        .query(
            "SELECT seq, root, version, version_text, path, (extract(epoch FROM began_at) * 1000000)::int8, began_after, took,
                    attempts, statements, end_seq, ran_as::text FROM cutover.migration WHERE run = $1",
            &[&run],
        )
        .await?;
    let mut events = Vec::with_capacity(rows.len() * 2);
    for row in &rows {
        let id = MigrationId {
            root: row.get(1),
            version: super::records::version(&row.get::<_, String>(2), row.get(3))?,
        };
        // What the run did, it did under the number the file had then.
        let (id, path) = match row.get::<_, Option<String>>(11) {
            None => (id, row.get(4)),
            Some(then) => {
                let RanAs { migration, path } = parse(&then, "identity")?;
                (migration, path)
            }
        };
        let (at_micros, took): (i64, Duration) = (row.get(5), duration(row.get(7)));
        let started = EventKind::StepStarted { migration: id.clone(), path };
        let finished = EventKind::StepFinished {
            migration: id,
            statements: u32::try_from(row.get::<_, i32>(9)).unwrap_or(0),
            took,
            attempts: u32::try_from(row.get::<_, i32>(8)).unwrap_or(0),
        };
        let (seq, elapsed): (i64, Duration) = (row.get(0), duration(row.get(6)));
        let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        events.push((seq, RunEvent { at_micros, elapsed, kind: started }));
        let (at_micros, elapsed) = (at_micros.saturating_add(micros), elapsed + took);
        events.push((row.get::<_, i64>(10), RunEvent { at_micros, elapsed, kind: finished }));
    }
    Ok(events)
}

/// Writes the events that the history row of a migration stands for as events of their own, which stay when the row goes. The
/// row is found by the condition `of`. Every name is qualified: the session's search path may be anybody's.
pub(super) fn keep_step_events(id: &MigrationId, of: &str) -> String {
    let id = json(id);
    format!(
        "INSERT INTO cutover.event (run, seq, at, event)
         SELECT m.run, e.seq, m.began_at, e.event FROM cutover.migration m
          CROSS JOIN LATERAL (SELECT CAST(m.ran_as AS pg_catalog.jsonb) AS ran_as,
            CAST(pg_catalog.date_part('epoch', m.began_at) OPERATOR(pg_catalog.*) 1000000 AS pg_catalog.int8) AS micros) t
          CROSS JOIN LATERAL (SELECT
            coalesce(t.ran_as OPERATOR(pg_catalog.->) 'migration', CAST({id} AS pg_catalog.jsonb)) AS id,
            coalesce(t.ran_as OPERATOR(pg_catalog.->) 'path', pg_catalog.to_jsonb(m.path)) AS shown) i
          CROSS JOIN LATERAL (VALUES
            (m.seq, pg_catalog.jsonb_build_object('event', 'step_started', 'at_micros', t.micros, 'elapsed', m.began_after,
              'migration', i.id, 'path', i.shown)),
            (m.end_seq, pg_catalog.jsonb_build_object('event', 'step_finished',
              'at_micros', t.micros OPERATOR(pg_catalog.+) CAST(pg_catalog.trunc(m.took OPERATOR(pg_catalog.*) 1000000) AS pg_catalog.int8),
              'elapsed', m.began_after OPERATOR(pg_catalog.+) m.took, 'migration', i.id, 'statements', m.statements,
              'took', m.took, 'attempts', m.attempts))) e(seq, event)
          WHERE {of} ON CONFLICT DO NOTHING"
    )
}

/// Migrations of a project that were applied once and reverted since, from what [`keep_step_events`] wrote. There must be a
/// history.
///
/// # Errors
/// As [`read_run`].
pub(crate) async fn once_applied(
    session: &mut Session,
    project: &str,
) -> Result<Vec<MigrationId>, HistoryError> {
    let rows = session
        .query(
            "SELECT DISTINCT (event -> 'migration')::text FROM cutover.event
              WHERE event ->> 'event' = 'step_finished' AND run IN (SELECT id FROM cutover.run WHERE project = $1)",
            &[&project],
        )
        .await?;
    rows.iter().map(|row| parse(&row.get::<_, String>(0), "migration")).collect()
}

/// Under which number a migration ran whose file has another one now.
#[derive(serde::Serialize, serde::Deserialize)]
struct RanAs {
    migration: MigrationId,
    path: String,
}

/// Lets the rows of migrations follow their files to other numbers. All of them at once: two may have changed places.
pub fn renumber(project: &str, moves: &[Renumbering]) -> String {
    let mut text = Vec::new();
    for Renumbering { from, from_path, .. } in moves {
        let ran_as = RanAs { migration: from.clone(), path: from_path.clone() };
        let of = super::units::of(project, from);
        text.push(format!(
            "UPDATE cutover.migration SET version = 'moving ' || version, ran_as = coalesce(ran_as, {}) WHERE {of}",
            json(&ran_as)
        ));
        for table in ["unit", "begun"] {
            text.push(format!("UPDATE cutover.{table} SET version = 'moving ' || version WHERE {of}"));
        }
    }
    for Renumbering { from, to, to_name, to_path, .. } in moves {
        let of = |version: &str| {
            format!(
                "WHERE project = {} AND root = {} AND version = {}",
                quote_literal(project),
                quote_literal(&from.root),
                quote_literal(version)
            )
        };
        let moving = of(&format!("moving {}", from.version.key()));
        let identity = format!(
            "root = {}, version = {}, version_text = {}",
            quote_literal(&to.root),
            quote_literal(&to.version.key()),
            quote_literal(to.version.text())
        );
        let (name, path) = (quote_literal(to_name), quote_literal(to_path));
        text.push(format!("UPDATE cutover.migration SET {identity}, name = {name}, path = {path} {moving}"));
        // An attempt under the number that it gets now, of a file that has left it.
        let failed = super::units::of(project, to);
        text.push(format!("DELETE FROM cutover.unit WHERE {failed} AND state = 'failed'"));
        text.push(format!("UPDATE cutover.unit SET {identity} {moving}"));
        text.push(format!("UPDATE cutover.begun SET {identity}, path = {path} {moving}"));
        text.push(delete_deferral(project, to));
    }
    text.join("; ")
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
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
    let Some(line) = list_runs(session, &[project], 1).await?.into_iter().next() else { return Ok(None) };
    Ok(read_run(session, &line.id).await?.map(|run| run.plan))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::Version;

    fn step(number: u64, seqs: (i64, i64), from: u64, to: u64) -> [(i64, RunEvent); 2] {
        let migration =
            MigrationId { root: ".".to_owned(), version: Version::new(vec![number], number.to_string()) };
        let at = |seq: i64, ms: u64, kind: EventKind| {
            let at_micros = i64::try_from(ms * 1000).unwrap();
            (seq, RunEvent { at_micros, elapsed: Duration::from_millis(ms), kind })
        };
        let started = EventKind::StepStarted { migration: migration.clone(), path: String::new() };
        let took = Duration::from_millis(to - from);
        let finished = EventKind::StepFinished { migration, statements: 1, took, attempts: 1 };
        [at(seqs.0, from, started), at(seqs.1, to, finished)]
    }

    fn told(events: Vec<(i64, RunEvent)>, side_by_side: bool) -> Vec<String> {
        let word = |event: RunEvent| match event.kind {
            EventKind::StepStarted { migration, .. } => {
                format!("+{migration} {}", event.elapsed.as_millis())
            }
            EventKind::StepFinished { migration, .. } => {
                format!("-{migration} {}", event.elapsed.as_millis())
            }
            _ => format!("end {}", event.elapsed.as_millis()),
        };
        in_order(events, side_by_side).into_iter().map(word).collect()
    }

    fn end(seq: i64, ms: u64) -> (i64, RunEvent) {
        let kind = EventKind::RunFinished { outcome: Outcome::Completed };
        (seq, RunEvent { at_micros: 0, elapsed: Duration::from_millis(ms), kind })
    }

    #[test]
    fn steps_that_overlap_keep_their_times() {
        // The number of the first one's end was given when it was sent.
        let events = [step(1, (1, 2), 0, 90), step(2, (3, 4), 1, 5), step(3, (5, 6), 6, 9)].concat();
        let told = told([events, vec![end(7, 89)]].concat(), true);
        assert_eq!(told, ["+1 0", "+2 1", "-2 5", "+3 6", "-3 9", "-1 90", "end 90"]);
    }

    #[test]
    fn one_after_the_other_no_time_goes_back() {
        let events = [step(1, (1, 2), 0, 10), step(2, (3, 4), 8, 20)].concat();
        assert_eq!(told(events, false), ["+1 0", "-1 10", "+2 10", "-2 20"]);
    }
}
