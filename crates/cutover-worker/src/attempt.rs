//! One run of one job, on a session of its own: taken, done and recorded.
//!
//! ```text
//! take (token + 1, lease)                       committed: others see who has it
//! BEGIN; fence FOR UPDATE, token?; the command; lease FOR UPDATE, token?; end of the run, next due time; COMMIT
//! ```
//! The work and its record are one transaction. A run that was taken over meanwhile fails at its token.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cutover::jitter::Jitter;
use cutover::secrets::without_passwords;
use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup, StatementOutcome, TransactionStatus};

use crate::event::{RunEnd, RunOutcome};
use crate::kinds::Kind;
use crate::store::{self, Failed, Plan, Taken, Task};

/// Characters of an error that are kept.
const MOST: usize = 2_000;
/// The first wait before a further try; it doubles with each.
const RETRY: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// What leads back to the session as it was, inside the transaction, so that what is recorded is recorded by us. Whatever
/// waits for the end of the transaction happens now, while the timeout holds.
const OURS_AGAIN: &str = "SET CONSTRAINTS ALL IMMEDIATE; RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

/// Runs under way here, by job: their numbers, for whoever keeps the leases.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held(Arc<Mutex<HashMap<String, i64>>>);

impl Held {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, i64>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn runs(&self) -> Vec<i64> {
        self.with(|held| held.values().copied().collect())
    }
}

/// What every run of a worker is done with.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) options: ConnectOptions,
    pub(crate) startup: Startup,
    pub(crate) worker: String,
    pub(crate) lease: Duration,
    pub(crate) held: Held,
    /// What is under way is to be cancelled.
    pub(crate) cancel: Stop,
}

/// What came of an attempt.
pub(crate) struct Attempted {
    pub(crate) job: String,
    /// To be used again.
    pub(crate) session: Option<Session>,
    pub(crate) result: Result<Option<RunEnd>, String>,
}

/// Tries to take a job and run it. `Ok(None)`: somebody else has it. An error: the database was not to be had.
pub(crate) async fn attempt(
    around: Surroundings,
    session: Option<Session>,
    task: Task,
    plan: Plan,
    kind: &'static dyn Kind,
) -> Attempted {
    let job = task.job.clone();
    let mut session = match session.filter(|session| !session.is_closed()) {
        Some(session) => session,
        None => match Session::connect(&around.options, &around.startup).await {
            Ok(session) => session,
            Err(error) => return Attempted { job, session: None, result: Err(error.to_string()) },
        },
    };
    let result = taken(&around, &mut session, &task, plan, kind).await;
    around.held.with(|held| held.remove(&job));
    let session =
        (!session.is_closed() && session.transaction_status() == TransactionStatus::Idle).then_some(session);
    Attempted { job, session, result }
}

async fn taken(
    around: &Surroundings,
    session: &mut Session,
    task: &Task,
    plan: Plan,
    kind: &'static dyn Kind,
) -> Result<Option<RunEnd>, String> {
    if around.cancel.is_requested() {
        return Ok(None);
    }
    let taking = store::take(session, task, plan, &around.worker, around.lease).await;
    let Some(taken) = taking.map_err(|failure| failure.to_string())? else { return Ok(None) };
    around.held.with(|held| held.insert(task.job.clone(), taken.run));
    let scheduled = task.scheduled.or(plan.scheduled).unwrap_or(task.now);
    let begun = Instant::now();
    let work = work(around, session, task, taken, &kind.statement(&task.command)).await;
    let seconds = begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let lag_seconds = (task.now - scheduled).max(0) as f64 / 1e6;
    let mut end = RunEnd {
        job: task.job.clone(),
        scheduled_micros: scheduled,
        attempt: taken.attempt,
        outcome: RunOutcome::Done,
        rows: None,
        error: None,
        again: false,
        seconds,
        lag_seconds,
    };
    match work {
        Ok(rows) => end.rows = rows,
        Err(Undone { failure: Failure::Lost(why), .. }) => {
            (end.outcome, end.error, end.again) = (RunOutcome::Unknown, Some(why), true);
        }
        Err(undone) => undo(around, session, task, taken, &mut end, undone).await,
    }
    Ok(Some(end))
}

/// Why the work was not done.
struct Undone {
    failure: Failure,
    /// It was cancelled as the worker stops.
    cancelled: bool,
    timed_out: bool,
}

impl From<Failure> for Undone {
    fn from(failure: Failure) -> Self {
        Self { failure, cancelled: false, timed_out: false }
    }
}

/// A worker on a busy machine may need so long from one statement of a run to the next.
const SHORTEST_IDLE: Duration = Duration::from_secs(5);

/// The transaction: gives the rows that the command speaks of.
async fn work(
    around: &Surroundings,
    session: &mut Session,
    task: &Task,
    taken: Taken,
    command: &str,
) -> Result<Option<u64>, Undone> {
    let timeout = store::millis(task.timeout).clamp(1, i64::from(i32::MAX));
    // A worker that is stopped, or cut off without a word, gives up what it holds when its lease is over: the server sees to that.
    let idle = store::millis(around.lease.max(SHORTEST_IDLE)).clamp(1, i64::from(i32::MAX));
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE; SET LOCAL statement_timeout = {timeout}; \
         SET LOCAL idle_in_transaction_session_timeout = {idle}"
    );
    session.execute(&begin).await?;
    let sent = Instant::now();
    let timed = |failure, cancelled| undone(failure, cancelled, sent.elapsed(), task.timeout);
    store::begin(session, &task.job, taken).await.map_err(|failure| timed(failure, false))?;
    let (outcome, cancelled) = heard(around, session, command).await;
    let done = match outcome.result {
        Ok(done) => done,
        Err(failure) => return Err(timed(failure, cancelled)),
    };
    if outcome.status != TransactionStatus::InTransaction || outcome.tags.len() != 1 {
        let why = "its command is not one statement, or ended the transaction it was run in";
        return Err(Failure::Invalid(why.to_owned()).into());
    }
    let rows = done.rows_affected();
    session.execute(OURS_AGAIN).await.map_err(|failure| timed(failure, cancelled))?;
    store::finish(session, &task.job, taken, rows.and_then(|rows| i64::try_from(rows).ok())).await?;
    let mut ends = session.pipeline(&["COMMIT", "DISCARD ALL"]).await.into_iter();
    let committed = ends.next().map(|outcome| outcome.result);
    match committed {
        Some(Ok(done)) if done.tag() == "COMMIT" => Ok(rows),
        Some(Err(failure)) => Err(failure.into()),
        _ => Err(Failure::Invalid("its transaction was rolled back".to_owned()).into()),
    }
}

/// Runs the command and cancels it where the worker must stop.
async fn heard(around: &Surroundings, session: &mut Session, command: &str) -> (StatementOutcome, bool) {
    let token = session.cancel_token();
    let flight = session.launch(command).await;
    let mut landing = pin!(session.land(flight));
    tokio::select! {
        outcome = &mut landing => return (outcome, false),
        () = around.cancel.cancelled() => {}
    }
    if let Err(error) = token.cancel().await {
        tracing::debug!(%error, "the run could not be cancelled");
    }
    (landing.await, true)
}

fn undone(failure: Failure, cancelled: bool, took: Duration, limit: Duration) -> Undone {
    let stopped = failure.code() == Some("57014");
    Undone { cancelled: cancelled && stopped, timed_out: stopped && !cancelled && took >= limit, failure }
}

/// Rolls back and records.
async fn undo(
    around: &Surroundings,
    session: &mut Session,
    task: &Task,
    taken: Taken,
    end: &mut RunEnd,
    undone: Undone,
) {
    let error: String = without_passwords(&undone.failure.to_string()).chars().take(MOST).collect();
    let (outcome, error) = if undone.cancelled {
        (RunOutcome::Lost, "cancelled as its worker stopped".to_owned())
    } else if undone.timed_out {
        (RunOutcome::TimedOut, error)
    } else {
        (RunOutcome::Failed, error)
    };
    (end.outcome, end.error) = (outcome, Some(error.clone()));
    let mut jitter =
        Jitter::seeded(taken.run.unsigned_abs() ^ u64::from(session.backend_pid().unsigned_abs()));
    let doubled = RETRY.saturating_mul(1 << (taken.attempt - 1).clamp(0, 10));
    let wait = jitter.around(doubled.min(LONGEST_RETRY));
    session.pipeline(&["ROLLBACK", "DISCARD ALL"]).await;
    let failed = Failed { outcome: outcome.name(), error: &error, wait, again: undone.cancelled };
    match store::fail(session, &task.job, taken, &failed).await {
        Ok(again) => end.again = again,
        // Its lease runs out, and whoever takes it over records it.
        Err(failure) => {
            tracing::warn!(job = task.job, worker = around.worker, %failure, "a failed run is not recorded");
        }
    }
}
