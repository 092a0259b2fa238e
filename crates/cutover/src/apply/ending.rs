//! The end of a run in the journal: its last transaction, which waits for the disk and with it makes everything before it
//! durable. That may take as long as the server works on it; a network that swallows the answer must not hold up the
//! run for good.

use std::pin::pin;
use std::time::Duration;

use cutover_postgres::session::{Failure, Session};

use super::error::ApplyError;
use super::monitor::{ANSWER_LIMIT, Monitor, STORE_LIMIT};
use super::recorder::Recorder;
use super::store;
use crate::history::journal;
use crate::run::{EventKind, Outcome};

/// How long an answer that the server has given may be on its way: 1 s.
const UNDERWAY: Duration = Duration::from_secs(1);

/// Records how a run ended.
///
/// # Errors
/// [`ApplyError::Journal`], where the run would be a success otherwise.
pub(super) async fn finish(
    monitor: &mut Monitor,
    run: &str,
    outcome: Outcome,
    recorder: &mut Recorder<'_>,
) -> Result<(), ApplyError> {
    let reached = monitor.for_journal().await.map(drop);
    for news in monitor.news() {
        recorder.tell(news);
    }
    recorder.tell(EventKind::RunFinished { outcome });
    let stored = match reached {
        Ok(()) => store_end(monitor, &journal::finish_run(run, outcome), recorder).await,
        Err(failure) => Err(failure),
    };
    match stored {
        // The run is over and its failure is told; a journal that cannot be reached must not hide that. Success, however,
        // is said only once it is on disk.
        Err(failure) if outcome == Outcome::Completed => {
            let state = "every migration was committed, but it is not known whether all of them are on disk: a crash of the \
                         server could undo the last ones together with their records\n\
                         the next run looks, and waits for the disk; `cutover status` says what is applied";
            Err(ApplyError::Journal { failure, state: state.to_owned() })
        }
        _ => Ok(()),
    }
}

/// What became of a record that was sent.
enum Sent {
    Answered(Result<(), Failure>),
    /// No answer came, and the server is not at work on it. Another session, where one came about.
    Unheard(Option<Session>),
}

/// Stores the record, on another session where the one at hand has fallen silent: storing it twice is storing it once.
async fn store_end(monitor: &mut Monitor, record: &str, recorder: &mut Recorder<'_>) -> Result<(), Failure> {
    let other = match send(monitor, record, recorder).await {
        Sent::Answered(stored) => return stored,
        Sent::Unheard(other) => other,
    };
    let silent = monitor.give_up(STORE_LIMIT);
    let Some(other) = other else { return Err(silent) };
    monitor.go_on_with(other).await;
    let Some(session) = monitor.session() else { return Err(silent) };
    match tokio::time::timeout(STORE_LIMIT, store(session, record, recorder)).await {
        Ok(stored) => stored,
        Err(_) => Err(monitor.give_up(STORE_LIMIT)),
    }
}

async fn send(monitor: &mut Monitor, record: &str, recorder: &mut Recorder<'_>) -> Sent {
    let way = monitor.way();
    let Some(session) = monitor.session() else {
        return Sent::Answered(Err(Failure::Lost("it ended again".to_owned())));
    };
    let pid = session.backend_pid();
    let mut storing = pin!(store(session, record, recorder));
    loop {
        if let Ok(stored) = tokio::time::timeout(STORE_LIMIT, &mut storing).await {
            return Sent::Answered(stored);
        }
        let Some(mut other) = way.connect().await else { return Sent::Unheard(None) };
        if is_at_work(&mut other, pid).await {
            // It waits for the disk or a standby, as it was told to.
            other.close().await;
            continue;
        }
        if let Ok(stored) = tokio::time::timeout(UNDERWAY, &mut storing).await {
            return Sent::Answered(stored);
        }
        return Sent::Unheard(Some(other));
    }
}

/// Whether the server still runs something for this session.
async fn is_at_work(session: &mut Session, pid: i32) -> bool {
    let ask = "SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1 AND state = 'active'";
    match tokio::time::timeout(ANSWER_LIMIT, session.query(ask, &[&pid])).await {
        Ok(Ok(rows)) => !rows.is_empty(),
        _ => false,
    }
}
