//! Statements that PostgreSQL refuses inside a transaction. Each is journaled before and after. What a crash or a
//! failure leaves behind is looked at, and finished or removed where that can be decided; otherwise it is asked about.
//!
//! The fencing row is checked when the statement is journaled, just before it runs. A runner that loses its lock
//! between the two cannot be stopped: these statements cannot hold the row.

use cutover_analysis::effects::{Check, ObjectRef, Retry};
use cutover_analysis::sql::{quote_ident, quote_literal, quote_qualified};
use cutover_postgres::session::{Failure, Session};
use tokio::time::Instant;

use super::failure::{self, StepFailure};
use super::feed::Feed;
use super::locate::Place;
use super::step::{OpenUnit, Step, Tools, lock_timeout};
use super::worker::{Notices, Trouble};
use crate::history::{journal, lock};
use crate::run::{EventKind, Outcome};
use crate::script::{Outside, Unit};

/// State of an index in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
enum IndexState {
    Missing,
    Valid,
    /// Left behind by a failed build; schema and name.
    Invalid(String, String),
    /// Not valid, and another session is at work on its table: it may be a build under way.
    Building(String),
}

/// Runs one statement outside a transaction.
pub(super) async fn run(
    step: &Step<'_>,
    index: usize,
    unit: &Unit,
    feed: &mut Feed<'_>,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let Some(outside) = &unit.outside else { return Ok(()) };
    let start = Instant::now();
    feed.seek(unit).map_err(|why| failure::unreadable(step, &why))?;
    let statement = feed.one().map_err(|why| failure::unreadable(step, &why))?;
    // A build that failed long ago would make IF NOT EXISTS succeed without an index that works.
    clear_invalid(step, index, outside, tools).await?;
    name_is_free(step, index, outside, &statement, tools).await?;
    journal_unit(step, index, &statement, false, tools).await?;
    tools.watch.forget();
    tools.watch.longest_block = Some(step.config.lock_wait);
    let mut notices = Notices::new();
    tools.crash.point();
    let result = tools.worker.outside(&statement, &mut notices, tools.watch).await;
    tools.crash.point();
    tools.watch.longest_block = None;
    for (number, notice) in notices {
        step.notice(feed.line_of(number), &notice, tools);
    }
    match result {
        Ok(()) => {
            verify(step, index, outside, tools).await?;
            journal_unit(step, index, &statement, true, tools).await?;
            step.unit_finished(index, start.elapsed(), tools);
            Ok(())
        }
        Err(trouble) => {
            let place = feed.place_of(&trouble);
            Err(after_failure(step, index, outside, trouble, place, tools).await)
        }
    }
}

async fn journal_unit(
    step: &Step<'_>,
    index: usize,
    statement: &str,
    done: bool,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let run = tools.recorder.run().to_owned();
    let record = journal::upsert_unit(step.project, &run, step.migration, number, done, statement);
    write(step, index, &record, tools).await
}

async fn write(
    step: &Step<'_>,
    index: usize,
    record: &str,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let timeout = lock_timeout(20, step.config.lock_timeout);
    match tools.worker.record(record, timeout, tools.watch).await {
        Ok(()) => Ok(()),
        Err(trouble) => {
            tools.worker.roll_back().await;
            Err(failure::from_trouble(step, index, &trouble, None, tools))
        }
    }
}

/// The statement failed, was cancelled, or the connection is gone.
async fn after_failure(
    step: &Step<'_>,
    index: usize,
    outside: &Outside,
    trouble: Trouble,
    place: Option<Place>,
    tools: &mut Tools<'_, '_, '_>,
) -> StepFailure {
    let lost = matches!(trouble, Trouble::Lost { .. });
    let mut failed = failure::from_trouble(step, index, &trouble, place.as_ref(), tools);
    if lost {
        failed.state = format!(
            "{} of {} may still be running or be done; the next run looks and finishes it, or asks",
            outside.what, step.migration.path
        );
        return failed;
    }
    tools.watch.forget();
    // Whoever asked to cancel wants the database clean all the same; that it is asked again is not heard here.
    tools.watch.deaf = true;
    clean_up(step, index, outside, &mut failed, tools).await;
    tools.watch.deaf = false;
    failed
}

/// Removes what a failed statement left behind, and says in `failed` what could not be.
async fn clean_up(
    step: &Step<'_>,
    index: usize,
    outside: &Outside,
    failed: &mut StepFailure,
    tools: &mut Tools<'_, '_, '_>,
) {
    if let Err(cleaning) = clear_invalid(step, index, outside, tools).await {
        // Who was in the way is part of the message already.
        let first = cleaning.message.lines().next().unwrap_or_default();
        failed.state = format!("{first}; the next run looks again");
        return;
    }
    if outside.retry == Retry::Unknown {
        failed.state = format!(
            "{} of {} failed; what it did before it failed is not known",
            outside.what, step.migration.path
        );
        failed.outcome = Outcome::NeedsDecision;
        return;
    }
    if index_check(&outside.retry).is_none() {
        failed.state = format!(
            "{} of {} did not finish and can be run again; it may have left an invalid index behind (pg_index.indisvalid)",
            outside.what, step.migration.path
        );
    }
    // Nothing of it stands in the way, so the journal need not ask about it.
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let record = journal::delete_unit(step.project, step.migration, number);
    if let Err(failure) = write(step, index, &record, tools).await {
        failed.state = format!("{}\n{}", failed.state, failure.message);
    }
}

/// An index that is not valid and whose table another session is working on may be that session's: it is not ours to drop.
fn at_work(step: &Step<'_>, index: usize, name: &str) -> StepFailure {
    let message = format!(
        "{}: index {} is not valid, and another session is at work on its table: it may be building it\n  \
         hint: try again when it is done; if nobody is, drop the index",
        step.migration.path,
        quote_ident(name)
    );
    StepFailure::clean(message, failure::rolled_back(step, index))
}

/// A name that is taken is refused before the statement is journaled: after a crash, an index of that name would
/// otherwise be taken for ours.
async fn name_is_free(
    step: &Step<'_>,
    index: usize,
    outside: &Outside,
    statement: &str,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let Some(check) = index_check(&outside.retry) else { return Ok(()) };
    let words = statement.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
    if words.contains(" IF NOT EXISTS ") {
        return Ok(());
    }
    let state = index_state(&mut tools.worker.session, check)
        .await
        .map_err(|error| failed_look(step, index, &error))?;
    if state != IndexState::Valid {
        return Ok(());
    }
    let message = format!("{}: index {} exists already", step.migration.path, quote_ident(&check.0.name));
    Err(StepFailure::clean(message, failure::rolled_back(step, index)))
}

/// Removes what a failed concurrent build left behind.
async fn clear_invalid(
    step: &Step<'_>,
    index: usize,
    outside: &Outside,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let Some(check) = index_check(&outside.retry) else { return Ok(()) };
    let state = index_state(&mut tools.worker.session, check)
        .await
        .map_err(|error| failed_look(step, index, &error))?;
    let (schema, name) = match state {
        IndexState::Invalid(schema, name) => (schema, name),
        IndexState::Building(name) => return Err(at_work(step, index, &name)),
        IndexState::Missing | IndexState::Valid => return Ok(()),
    };
    let drop = format!("DROP INDEX CONCURRENTLY {}", quote_qualified(&schema, &name));
    tools.watch.longest_block = Some(step.config.lock_wait);
    let result = tools.worker.outside(&drop, &mut Notices::new(), tools.watch).await;
    tools.watch.longest_block = None;
    match result {
        Ok(()) => {
            tools.recorder.tell(EventKind::Notice {
                migration: step.migration.id.clone(),
                severity: "INFO".into(),
                code: "00000".into(),
                message: format!(
                    "dropped the invalid index {} that a failed build left behind",
                    quote_ident(&name)
                ),
                line: 1,
            });
            Ok(())
        }
        Err(trouble) => {
            let cause = failure::from_trouble(step, index, &trouble, None, tools);
            let message = format!(
                "the invalid index {} is still there and could not be dropped: {}",
                quote_ident(&name),
                cause.message
            );
            Err(StepFailure { message, ..cause })
        }
    }
}

/// After success: the index is there and valid.
async fn verify(
    step: &Step<'_>,
    index: usize,
    outside: &Outside,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let Some(check) = index_check(&outside.retry) else { return Ok(()) };
    let ran =
        format!("{} of {} ran; the next run looks what became of it", outside.what, step.migration.path);
    let state = index_state(&mut tools.worker.session, check).await;
    let state =
        state.map_err(|error| StepFailure { state: ran.clone(), ..failed_look(step, index, &error) })?;
    if state == IndexState::Valid {
        return Ok(());
    }
    let message = format!(
        "{}: {} succeeded, but the index is {state:?} in the catalogue",
        step.migration.path, outside.what
    );
    Err(StepFailure::clean(message, ran))
}

fn index_check(retry: &Retry) -> Option<(&ObjectRef, Option<&ObjectRef>)> {
    match retry {
        Retry::Checkable(Check::IndexValid { index, table }) if !index.name.is_empty() => {
            Some((index, table.as_ref()))
        }
        _ => None,
    }
}

fn name_of(object: &ObjectRef) -> String {
    match &object.schema {
        Some(schema) => quote_qualified(schema, &object.name),
        None => quote_ident(&object.name),
    }
}

/// Asked on the worker itself, which has the user's search path: an unqualified index lives in its table's schema.
async fn index_state(
    session: &mut Session,
    (index, table): (&ObjectRef, Option<&ObjectRef>),
) -> Result<IndexState, Failure> {
    let which = match (&index.schema, table) {
        (None, Some(table)) => format!(
            "i.indrelid = pg_catalog.to_regclass({}) AND c.relname = {}",
            quote_literal(&name_of(table)),
            quote_literal(&index.name)
        ),
        _ => format!("c.oid = pg_catalog.to_regclass({})", quote_literal(&name_of(index))),
    };
    let look = format!(
        "SELECT i.indisvalid, n.nspname::text, c.relname::text,
                EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.relation = i.indrelid AND l.granted
                           AND l.mode = 'ShareUpdateExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
                           AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
           FROM pg_catalog.pg_index i
           JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE {which}"
    );
    let rows = session.query(&look, &[]).await?;
    Ok(match rows.first() {
        None => IndexState::Missing,
        Some(row) if row.get::<_, bool>(0) => IndexState::Valid,
        Some(row) if row.get::<_, bool>(3) => IndexState::Building(row.get(2)),
        Some(row) => IndexState::Invalid(row.get(1), row.get(2)),
    })
}

fn failed_look(step: &Step<'_>, index: usize, error: &Failure) -> StepFailure {
    let message = format!("{}: the catalogue could not be read: {error}", step.migration.path);
    let mut failed = StepFailure::clean(message, failure::rolled_back(step, index));
    if let Failure::Lost(_) = error {
        failed.outcome = Outcome::ConnectionLost;
        failed.lost = Some(false);
    }
    failed
}

/// A unit that an earlier run began outside a transaction and whose end it never recorded: says whether it is done.
/// What can be looked at is looked at; what cannot is asked about, and nothing runs.
pub(super) async fn settle(
    step: &Step<'_>,
    open: &OpenUnit,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<bool, StepFailure> {
    let index = usize::try_from(open.unit).unwrap_or(usize::MAX);
    let Some(Unit { outside: Some(outside), .. }) = step.script.units.get(index) else { return Ok(false) };
    wait_for_owner(step, &open.run, tools).await?;
    let done = match &outside.retry {
        Retry::Idempotent => false,
        Retry::Checkable(check) => match is_done(check, &mut tools.worker.session).await {
            Ok(Some(done)) => done,
            Ok(None) => return Err(undecided(step, index, outside)),
            Err(error) => return Err(failed_look(step, index, &error)),
        },
        Retry::Unknown => return Err(undecided(step, index, outside)),
    };
    let run = tools.recorder.run().to_owned();
    let record = if done {
        journal::upsert_unit(step.project, &run, step.migration, open.unit, true, &outside.what)
    } else {
        journal::delete_unit(step.project, step.migration, open.unit)
    };
    write(step, index, &record, tools).await?;
    Ok(done)
}

/// What the catalogue says of a statement whose end nobody saw; `None` where it cannot say.
async fn is_done(check: &Check, session: &mut Session) -> Result<Option<bool>, Failure> {
    match check {
        Check::IndexValid { index, table } if !index.name.is_empty() => {
            let state = index_state(session, (index, table.as_ref())).await?;
            Ok(Some(state == IndexState::Valid))
        }
        Check::IndexAbsent { index } => {
            let state = index_state(session, (index, None)).await?;
            Ok(Some(state == IndexState::Missing))
        }
        _ => Ok(None),
    }
}

fn undecided(step: &Step<'_>, index: usize, outside: &Outside) -> StepFailure {
    let (path, units) = (&step.migration.path, step.script.units.len());
    StepFailure::undecided(
        format!(
            "{path}: an earlier run began {} (part {} of {units}) and never learned how it ended",
            outside.what,
            index + 1,
        ),
        format!(
            "nothing was run; look whether its effect is there, then say so with \
             `cutover repair {} --mark done` or `--mark not-done`",
            step.migration.id.version
        ),
    )
}

/// Waits until the session of the run that began the unit is gone: its statement may still be running.
async fn wait_for_owner(
    step: &Step<'_>,
    run: &str,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let asked = tools.watch.stop().clone();
    let events = &mut *tools.recorder;
    let result =
        lock::wait_for_run_to_end(tools.watch.monitor(), run, step.config.lock_wait, &asked, |holder| {
            events.mention(EventKind::RunnerWaiting { holder: holder.to_owned() });
        })
        .await;
    result.map_err(|error| StepFailure::clean(error.to_string(), failure::rolled_back(step, 0)))
}
