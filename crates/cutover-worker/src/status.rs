//! What a database says of its jobs.

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use serde::Serialize;

use crate::error::WorkerError;
use crate::schema;

/// One job, as view `cutover_worker.status` says it. Times are text with their offset from UTC.
#[derive(Debug, Clone, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts about a job, not a state")]
pub struct JobStatus {
    /// Its name.
    pub name: String,
    /// When it is due.
    pub schedule: String,
    /// In which time zone.
    pub time_zone: String,
    /// The project whose `cutover.toml` declares it; none where SQL did.
    pub project: Option<String>,
    /// `worker` or `pg_cron`.
    pub runner: String,
    /// Whether it is run at all.
    pub enabled: bool,
    /// Whether it runs now.
    pub running: bool,
    /// Who runs it now.
    pub worker: Option<String>,
    /// When its last run that ended began.
    pub last_started: Option<String>,
    /// When that ended.
    pub last_ended: Option<String>,
    /// How: `done`, `failed`, `timed_out`, `lost`.
    pub last_outcome: Option<String>,
    /// Which try that was.
    pub last_attempt: Option<i32>,
    /// What went wrong.
    pub last_error: Option<String>,
    /// When a run last did its work.
    pub last_succeeded: Option<String>,
    /// When it is due next, or tried again; none before a worker has found it out.
    pub next_at: Option<String>,
    /// Nobody runs it although it is due.
    pub overdue: bool,
    /// How often due times passed without a run.
    pub gaps: i64,
    /// Why no worker can run it.
    pub problem: Option<String>,
}

impl JobStatus {
    /// Whether somebody should look.
    pub fn is_amiss(&self) -> bool {
        self.enabled
            && (self.overdue
                || self.problem.is_some()
                || self.last_outcome.as_deref().is_some_and(|outcome| outcome != "done"))
    }
}

const STATUS: &str = "
SELECT name, schedule, time_zone, project, runner, enabled, running, worker, last_started::text, last_ended::text,
       last_outcome, last_attempt, last_error, last_succeeded::text, next_at::text, overdue, gaps, problem
  FROM cutover_worker.status ORDER BY name";

/// Reads the status of all jobs.
///
/// # Errors
/// The database cannot be reached or read, or no worker was started on it yet.
pub async fn status(options: &ConnectOptions, startup: &Startup) -> Result<Vec<JobStatus>, WorkerError> {
    let mut session = Session::connect(options, startup).await?;
    schema::begin_reading(&mut session).await?;
    let rows = session.query_typed(STATUS, &[]).await?;
    let one = |row: &cutover_postgres::Row| JobStatus {
        name: row.get(0),
        schedule: row.get(1),
        time_zone: row.get(2),
        project: row.get(3),
        runner: row.get(4),
        enabled: row.get(5),
        running: row.get(6),
        worker: row.get(7),
        last_started: row.get(8),
        last_ended: row.get(9),
        last_outcome: row.get(10),
        last_attempt: row.get(11),
        last_error: row.get(12),
        last_succeeded: row.get(13),
        next_at: row.get(14),
        overdue: row.get(15),
        gaps: row.get(16),
        problem: row.get(17),
    };
    let jobs = rows.iter().map(one).collect();
    session.execute("COMMIT").await?;
    session.close().await;
    Ok(jobs)
}
