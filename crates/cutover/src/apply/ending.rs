//! The end of a run in the journal: its last transaction, which waits for the disk and with it makes everything before it
//! durable. That may take as long as the server works on it; a network that swallows the answer must not hold up the
//! run for good.

use cutover_postgres::session::Failure;

use super::error::ApplyError;
use super::monitor::Monitor;
use super::recorder::Recorder;
use super::store;
use crate::compare::Schema;
use crate::compare::drift::{self, Before};
use crate::erd::{Erd, Touched};
use crate::history::journal;
use crate::run::{EventKind, Outcome};

/// Records how a run ended.
///
/// # Errors
/// [`ApplyError::Journal`], where the run would be a success otherwise.
pub(super) async fn finish(
    monitor: &mut Monitor,
    project: &str,
    run: &str,
    (outcome, touched, before): (Outcome, &Touched, Option<&Before>),
    recorder: &mut Recorder<'_>,
) -> Result<(), ApplyError> {
    let reached = monitor.for_journal().await.map(drop);
    for news in monitor.news() {
        recorder.tell(news);
    }
    let left = if reached.is_ok() { schema_left(monitor, project, run, before).await } else { None };
    let mut record = journal::finish_run(run, outcome);
    if let Some((schema, insert)) = left {
        recorder.tell(EventKind::SchemaLeft { erd: Erd::of(&schema, touched) });
        record.extend(["; ".to_owned(), insert]);
    }
    recorder.tell(EventKind::RunFinished { outcome });
    let stored = match reached {
        Ok(()) => store_end(monitor, &record, recorder).await,
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

/// What the database is made of now, as a statement that records it. A schema that cannot be read (somebody keeps a table
/// locked) is no failure of the run: drift is measured against an earlier one then, and that is said.
async fn schema_left(
    monitor: &mut Monitor,
    project: &str,
    run: &str,
    before: Option<&Before>,
) -> Option<(Schema, String)> {
    let session = monitor.session()?;
    drift::record_of(session, project, run, before).await.ok()?
}

/// Stores the record, on another session where the one at hand has fallen silent: storing it twice is storing it once.
async fn store_end(monitor: &mut Monitor, record: &str, recorder: &mut Recorder<'_>) -> Result<(), Failure> {
    let Some(session) = monitor.session() else { return Err(Failure::Lost("it ended again".to_owned())) };
    let stored = store(session, record, recorder).await;
    if stored.is_ok() || !session.fell_silent() {
        return stored;
    }
    let Some(other) = monitor.way().connect().await else { return stored };
    monitor.go_on_with(other).await;
    match monitor.session() {
        Some(session) => store(session, record, recorder).await,
        None => stored,
    }
}
