//! What the worker asks of schema `cutover_worker`: a function there each. Parameters have their types, so that nothing is
//! prepared in the session, and no name depends on the search path.

use std::time::Duration;

use cutover_postgres::session::{Failure, Session};
use cutover_postgres::types::{ToSql, Type};

/// A job there is something to do about.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) job: String,
    pub(crate) kind: String,
    pub(crate) schedule: String,
    pub(crate) command: String,
    pub(crate) time_zone: String,
    pub(crate) missed: String,
    pub(crate) timeout: Duration,
    pub(crate) revision: i64,
    pub(crate) token: i64,
    /// The due time that is settled next; none where it is to be found out.
    pub(crate) next: Option<i64>,
    pub(crate) seen: Option<i64>,
    /// The due time that was chosen to be run, and begun before.
    pub(crate) scheduled: Option<i64>,
    /// A worker that is gone has it.
    pub(crate) taken: bool,
    pub(crate) now: i64,
}

/// What is run: a due time, the one behind it, and what is left out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plan {
    pub(crate) scheduled: Option<i64>,
    pub(crate) following: Option<i64>,
    pub(crate) skipped: Option<i64>,
}

/// A run that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) token: i64,
    pub(crate) run: i64,
    pub(crate) attempt: i32,
}

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

pub(crate) fn text(value: &str) -> String {
    // A server stores no NUL.
    value.replace('\0', "")
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

async fn flag(session: &mut Session, sql: &str, parameters: &[Parameter<'_>]) -> Result<bool, Failure> {
    let rows = session.query_typed(sql, parameters).await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

pub(crate) async fn look(session: &mut Session) -> Result<Vec<Task>, Failure> {
    let sql = "SELECT job, kind, schedule, command, time_zone, missed, timeout_ms, revision, token, next_us, seen_us, \
               scheduled_us, taken, now_us FROM cutover_worker._look()";
    let rows = session.query_typed(sql, &[]).await?;
    let task = |row: &cutover_postgres::Row| Task {
        job: row.get(0),
        kind: row.get(1),
        schedule: row.get(2),
        command: row.get(3),
        time_zone: row.get(4),
        missed: row.get(5),
        timeout: Duration::from_millis(row.get::<_, i64>(6).unsigned_abs()),
        revision: row.get(7),
        token: row.get(8),
        next: row.get(9),
        seen: row.get(10),
        scheduled: row.get(11),
        taken: row.get(12),
        now: row.get(13),
    };
    Ok(rows.iter().map(task).collect())
}

/// How long until something is due, as the database sees it: none where nothing is.
pub(crate) async fn wait(session: &mut Session, after: i64) -> Result<Option<Duration>, Failure> {
    let sql = "SELECT cutover_worker._wait($1)";
    let rows = session.query_typed(sql, &[(&after, Type::INT8)]).await?;
    let micros: Option<i64> = rows.first().and_then(|row| row.get(0));
    Ok(micros.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0))))
}

/// What the database's clock says.
pub(crate) async fn now(session: &mut Session) -> Result<i64, Failure> {
    let sql = "SELECT cutover_worker._micros(pg_catalog.clock_timestamp())";
    let rows = session.query_typed(sql, &[]).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

pub(crate) async fn advance(session: &mut Session, task: &Task, plan: Plan) -> Result<bool, Failure> {
    let parameters: [Parameter<'_>; 6] = [
        (&task.job, Type::TEXT),
        (&task.revision, Type::INT8),
        (&task.token, Type::INT8),
        (&task.next, Type::INT8),
        (&plan.following, Type::INT8),
        (&plan.skipped, Type::INT8),
    ];
    flag(session, "SELECT cutover_worker._advance($1, $2, $3, $4, $5, $6)", &parameters).await
}

pub(crate) async fn problem(session: &mut Session, task: &Task, problem: &str) -> Result<bool, Failure> {
    let problem = text(problem);
    let parameters: [Parameter<'_>; 3] =
        [(&task.job, Type::TEXT), (&task.revision, Type::INT8), (&problem, Type::TEXT)];
    flag(session, "SELECT cutover_worker._problem($1, $2, $3)", &parameters).await
}

/// Begins a run, unless somebody else did.
pub(crate) async fn take(
    session: &mut Session,
    task: &Task,
    plan: Plan,
    worker: &str,
    lease: Duration,
) -> Result<Option<Taken>, Failure> {
    let lease = millis(lease);
    let parameters: [Parameter<'_>; 9] = [
        (&task.job, Type::TEXT),
        (&task.revision, Type::INT8),
        (&task.token, Type::INT8),
        (&task.next, Type::INT8),
        (&plan.scheduled, Type::INT8),
        (&plan.following, Type::INT8),
        (&plan.skipped, Type::INT8),
        (&worker, Type::TEXT),
        (&lease, Type::INT8),
    ];
    let sql = "SELECT token, run, attempt FROM cutover_worker._take($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let rows = session.query_typed(sql, &parameters).await?;
    Ok(rows.first().map(|row| Taken { token: row.get(0), run: row.get(1), attempt: row.get(2) }))
}

pub(crate) async fn begin(session: &mut Session, job: &str, taken: Taken) -> Result<bool, Failure> {
    let parameters: [Parameter<'_>; 2] = [(&job, Type::TEXT), (&taken.token, Type::INT8)];
    flag(session, "SELECT cutover_worker._begin($1, $2)", &parameters).await
}

pub(crate) async fn finish(
    session: &mut Session,
    job: &str,
    taken: Taken,
    rows: Option<i64>,
) -> Result<bool, Failure> {
    let parameters: [Parameter<'_>; 4] =
        [(&job, Type::TEXT), (&taken.token, Type::INT8), (&taken.run, Type::INT8), (&rows, Type::INT8)];
    flag(session, "SELECT cutover_worker._finish($1, $2, $3, $4)", &parameters).await
}

/// A run that did not do its work, as it is recorded.
pub(crate) struct Failed<'a> {
    pub(crate) outcome: &'a str,
    pub(crate) error: &'a str,
    pub(crate) wait: Duration,
    /// It says nothing of the job.
    pub(crate) again: bool,
}

/// Whether it is tried again.
pub(crate) async fn fail(
    session: &mut Session,
    job: &str,
    taken: Taken,
    failed: &Failed<'_>,
) -> Result<bool, Failure> {
    let (wait, error) = (millis(failed.wait), text(failed.error));
    let parameters: [Parameter<'_>; 7] = [
        (&job, Type::TEXT),
        (&taken.token, Type::INT8),
        (&taken.run, Type::INT8),
        (&failed.outcome, Type::TEXT),
        (&error, Type::TEXT),
        (&wait, Type::INT8),
        (&failed.again, Type::BOOL),
    ];
    flag(session, "SELECT cutover_worker._fail($1, $2, $3, $4, $5, $6, $7)", &parameters).await
}

/// How many of these leases could be kept.
pub(crate) async fn keep(
    session: &mut Session,
    worker: &str,
    runs: &[i64],
    lease: Duration,
) -> Result<i64, Failure> {
    let lease = millis(lease);
    let parameters: [Parameter<'_>; 3] =
        [(&worker, Type::TEXT), (&runs, Type::INT8_ARRAY), (&lease, Type::INT8)];
    let rows = session.query_typed("SELECT cutover_worker._keep($1, $2, $3)", &parameters).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

pub(crate) async fn forget(session: &mut Session, keep: Duration) -> Result<i64, Failure> {
    let keep = millis(keep);
    let rows = session.query_typed("SELECT cutover_worker._forget($1)", &[(&keep, Type::INT8)]).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}
