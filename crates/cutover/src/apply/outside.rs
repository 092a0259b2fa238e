//! Statements that PostgreSQL refuses inside a transaction. Each is journaled before and after. What a crash or a
//! failure leaves behind is looked at, and finished or removed where that can be decided; otherwise it is asked about.
//!
//! The fencing row is checked when the statement is journaled, just before it runs. A runner that loses its lock
//! between the two cannot be stopped: these statements cannot hold the row.

use cutover_analysis::effects::{Check, ObjectRef, Reindexed, Retry};
use cutover_analysis::sql::{quote_ident, quote_qualified};
use cutover_postgres::session::{Failure, Session};
use tokio::time::Instant;

use super::failure::{self, StepFailure};
use super::feed::Feed;
use super::indexes::{self, IndexState, Named};
use super::locate::Place;
use super::step::{OpenUnit, Step, Tools, lock_timeout};
use super::worker::{Notices, Trouble};
use crate::history::{lock, units};
use crate::run::{EventKind, Outcome};
use crate::script::{Outside, Unit};

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
    feed.seek(unit).map_err(|why| failure::unreadable(step, index, &why))?;
    let statement = feed.one().map_err(|why| failure::unreadable(step, index, &why))?;
    // A build that failed long ago would make IF NOT EXISTS succeed without an index that works.
    clear_invalid(step, index, outside, tools).await?;
    name_is_free(step, index, outside, &statement, tools).await?;
    journal_unit(step, index, false, tools).await?;
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
            journal_unit(step, index, true, tools).await?;
            step.unit_finished(index, start.elapsed(), tools);
            Ok(())
        }
        Err(trouble) => {
            let place = feed.place_of(&trouble, tools.recorder.secrets());
            Err(after_failure(step, index, outside, trouble, place, tools).await)
        }
    }
}

async fn journal_unit(
    step: &Step<'_>,
    index: usize,
    done: bool,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let record = step
        .unit_record(index, done, tools.recorder.run())
        .map_err(|trouble| failure::from_trouble(step, index, &trouble, None, tools))?;
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
    let never_there = matches!(&trouble, Trouble::Refused { message, .. } if message.code == "42704");
    tools.watch.forget();
    // Whoever asked to cancel wants the database clean all the same; that it is asked again is not heard here.
    tools.watch.deaf = true;
    // The server signals a cancel twice, and the second signal may come late: it must hit nothing that matters.
    let _ = tools.worker.session.execute("SELECT 1").await;
    match &outside.retry {
        Retry::Checkable(Check::IndexAbsent { index: gone }) if !never_there => {
            finish_drop(step, index, (outside, gone), &mut failed, tools).await;
        }
        _ => clean_up(step, index, outside, &mut failed, tools).await,
    }
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
    let cleaned = match &outside.retry {
        Retry::Reindex(reindexed) => clear_leftovers(step, index, reindexed, tools).await,
        _ => clear_invalid(step, index, outside, tools).await,
    };
    if let Err(cleaning) = cleaned {
        // Who was in the way is part of the message already.
        let first = cleaning.message.lines().next().unwrap_or_default();
        failed.state = format!("{first}; the next run looks again");
        return;
    }
    if outside.retry == Retry::Unknown && !outside.atomic {
        failed.state = format!(
            "{} of {} failed; what it did before it failed is not known: look what is there, then say so with \
             `cutover repair {version} --mark done` or `--mark not-done`",
            outside.what,
            step.migration.path,
            version = step.migration.id.version
        );
        failed.outcome = Outcome::NeedsDecision;
        return;
    }
    if let Retry::Reindex(reindexed) = &outside.retry {
        let works = match reindexed {
            Reindexed::Index(_) => "the index works",
            _ => "every index works, some may be built anew already",
        };
        let path = &step.migration.path;
        failed.state =
            format!("{works}; nothing is left behind, and the next run of {path} begins the rebuild again");
    }
    // Nothing of it stands in the way, so the journal need not ask about it.
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let record = units::forget(step.project, &step.migration.id, number);
    if let Err(failure) = write(step, index, &record, tools).await {
        failed.state = format!("{}\n{}", failed.state, failure.message);
    }
}

/// A `DROP INDEX CONCURRENTLY` that failed has either done nothing yet, or has made the index invalid for good: nobody
/// uses it any more, and only its removal is left to do. Then that is done.
async fn finish_drop(
    step: &Step<'_>,
    index: usize,
    (outside, gone): (&Outside, &ObjectRef),
    failed: &mut StepFailure,
    tools: &mut Tools<'_, '_, '_>,
) {
    let path = &step.migration.path;
    let name = quote_ident(&gone.name);
    let again = format!("index {name} may be invalid now; the next run of {path} removes it");
    let state = match indexes::state(&mut tools.worker.session, (gone, None)).await {
        Ok(state) => state,
        Err(error) => {
            failed.state = format!("{again} (the catalogue could not be read: {error})");
            return;
        }
    };
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let record = match state {
        IndexState::Valid => units::forget(step.project, &step.migration.id, number),
        // Removed by its last transaction, whatever was said after it.
        IndexState::Missing => done_unit(step, number, tools),
        IndexState::Building(_) => {
            failed.state = format!("{again}; another session is at work on its table");
            return;
        }
        IndexState::Invalid(schema, index_name) => {
            if let Err(dropping) = drop_invalid(step, index, (&schema, &index_name), tools).await {
                let first = dropping.message.lines().next().unwrap_or_default();
                failed.state = format!("{first}; the next run of {path} removes it");
                return;
            }
            failed.state = format!(
                "{} had begun and could not be taken back: index {name} is removed, and the next run goes on behind it",
                outside.what
            );
            done_unit(step, number, tools)
        }
    };
    if let Err(failure) = write(step, index, &record, tools).await {
        failed.state = format!("{}\n{}", failed.state, failure.message);
    }
}

/// The record of a begun unit that turned out to be done.
fn done_unit(step: &Step<'_>, number: u32, tools: &Tools<'_, '_, '_>) -> String {
    let run = tools.recorder.run();
    units::mark_done(step.project, run, &step.migration.id, number)
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
    let state = indexes::state(&mut tools.worker.session, check)
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
    let state = indexes::state(&mut tools.worker.session, check)
        .await
        .map_err(|error| failed_look(step, index, &error))?;
    match state {
        IndexState::Invalid(schema, name) => drop_invalid(step, index, (&schema, &name), tools).await,
        IndexState::Building(name) => Err(at_work(step, index, &name)),
        IndexState::Missing | IndexState::Valid => Ok(()),
    }
}

/// Removes what a `REINDEX … CONCURRENTLY` that was cut off left behind. The indexes themselves are as they were.
async fn clear_leftovers(
    step: &Step<'_>,
    index: usize,
    reindexed: &Reindexed,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let found = indexes::leftovers(&mut tools.worker.session, reindexed)
        .await
        .map_err(|error| failed_look(step, index, &error))?;
    for (schema, name) in &found {
        match drop_invalid(step, index, (schema, name), tools).await {
            // Those of out-of-line storage are for superusers to drop. They are in nobody's way.
            Err(failed) if schema == TOAST && failed.code.as_deref() == Some("42501") => {
                let message = format!(
                    "the invalid index {} is still there: only a superuser can drop it",
                    quote_qualified(schema, name)
                );
                remark(step, index, message, tools);
            }
            other => other?,
        }
    }
    Ok(())
}

/// The schema of what tables store out of line.
const TOAST: &str = "pg_toast";

/// Drops an invalid index and tells of it. What it waits for is limited as for any statement outside a transaction.
async fn drop_invalid(
    step: &Step<'_>,
    index: usize,
    (schema, name): (&str, &str),
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let drop = format!("DROP INDEX CONCURRENTLY {}", quote_qualified(schema, name));
    tools.watch.longest_block = Some(step.config.lock_wait);
    let result = tools.worker.outside(&drop, &mut Notices::new(), tools.watch).await;
    tools.watch.longest_block = None;
    if let Err(trouble) = result {
        let cause = failure::from_trouble(step, index, &trouble, None, tools);
        let message = format!(
            "the invalid index {} is still there and could not be dropped: {}",
            quote_ident(name),
            cause.message
        );
        return Err(StepFailure { message, ..cause });
    }
    let message = format!("dropped the invalid index {} that a failed build left behind", quote_ident(name));
    remark(step, index, message, tools);
    Ok(())
}

/// Tells of something that was done beside the migration.
fn remark(step: &Step<'_>, index: usize, message: String, tools: &mut Tools<'_, '_, '_>) {
    tools.recorder.tell(EventKind::Notice {
        migration: step.migration.id.clone(),
        severity: "INFO".into(),
        code: "00000".into(),
        message,
        line: step.script.parts.list.get(index).map_or(1, |part| part.lines.first),
    });
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
    let state = indexes::state(&mut tools.worker.session, check).await;
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

fn index_check(retry: &Retry) -> Option<Named<'_>> {
    match retry {
        Retry::Checkable(Check::IndexValid { index, table, .. }) if !index.name.is_empty() => {
            Some((index, table.as_ref()))
        }
        _ => None,
    }
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
    // The same statement, which the file has put into a transaction since: what became of it is as open as before.
    let Some(Unit { outside: Some(outside), .. }) = step.script.units.get(index) else {
        return Err(undecided(step, index, "a statement outside a transaction"));
    };
    wait_for_owner(step, &open.run, tools).await?;
    let done = match &outside.retry {
        Retry::Idempotent => false,
        Retry::Reindex(reindexed) => {
            clear_leftovers(step, index, reindexed, tools).await?;
            false
        }
        Retry::Checkable(check) => match is_done(check, &mut tools.worker.session).await {
            Ok(Some(done)) => done,
            Ok(None) => return Err(undecided(step, index, &outside.what)),
            Err(error) => return Err(failed_look(step, index, &error)),
        },
        Retry::Unknown => return Err(undecided(step, index, &outside.what)),
    };
    let run = tools.recorder.run().to_owned();
    let record = if done {
        units::mark_done(step.project, &run, &step.migration.id, open.unit)
    } else {
        units::forget_attempt(step.project, &step.migration.id, open.unit)
    };
    write(step, index, &record, tools).await?;
    Ok(done)
}

/// What the catalogue says of a statement whose end nobody saw; `None` where it cannot say.
async fn is_done(check: &Check, session: &mut Session) -> Result<Option<bool>, Failure> {
    match check {
        Check::IndexValid { index, table, shape } if !index.name.is_empty() => {
            let named = (index, table.as_ref());
            if indexes::state(session, named).await? != IndexState::Valid {
                return Ok(Some(false));
            }
            // Somebody else may have made another one of that name since.
            Ok(indexes::has_shape(session, named, shape).await?.then_some(true))
        }
        Check::IndexAbsent { index } => {
            let state = indexes::state(session, (index, None)).await?;
            Ok(Some(state == IndexState::Missing))
        }
        _ => Ok(None),
    }
}

fn undecided(step: &Step<'_>, index: usize, what: &str) -> StepFailure {
    let (path, units) = (&step.migration.path, step.script.units.len());
    StepFailure::undecided(
        format!(
            "{path}: an earlier run began {what} (part {} of {units}) and never learned how it ended",
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
    let monitor = tools.watch.monitor().answering().await;
    let monitor = monitor.map_err(|lost| failure::lock_lost(step, &lost))?;
    let result = lock::wait_for_run_to_end(monitor, run, step.config.lock_wait, &asked, |holder| {
        events.mention(EventKind::RunnerWaiting { holder: holder.to_owned() });
    })
    .await;
    let done = usize::try_from(step.done).unwrap_or(usize::MAX);
    result.map_err(|error| StepFailure::clean(error.to_string(), failure::rolled_back(step, done)))
}
