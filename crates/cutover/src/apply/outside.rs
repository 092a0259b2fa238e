//! Statements that PostgreSQL refuses inside a transaction. Each is journaled before and after. What a crash or a
//! failure leaves behind is looked at, and finished or removed where that can be decided; otherwise it is asked about.
//!
//! The fencing row is checked when the statement is journaled, just before it runs. A runner that loses its lock
//! between the two cannot be stopped: these statements cannot hold the row.

use std::pin::pin;
use std::time::Duration;

use cutover_analysis::effects::{Check, ObjectRef, Reindexed, Retry};
use cutover_analysis::sql::{quote_ident, quote_literal, quote_qualified};
use cutover_postgres::session::{Failure, Session};
use cutover_postgres::sqlstate;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::failure::{self, StepFailure};
use super::feed::Feed;
use super::indexes::{self, IndexState, Likeness, Named};
use super::locate::Place;
use super::objects::{self, Detach};
use super::step::{OpenUnit, Step, Tools, lock_timeout};
use super::watch::Waiting;
use super::worker::{Notices, Trouble};
use crate::history::units::Ending;
use crate::history::{lock, units};
use crate::plan::failures;
use crate::run::{EventKind, Outcome};
use crate::script::{Outside, Unit};
use crate::text::visible;

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
    // What is left of it is ours only where the journal says that it was begun.
    if step.open_unit.as_ref().is_some_and(|open| usize::try_from(open.unit) == Ok(index)) {
        clear_invalid(step, index, outside, tools).await?;
    }
    name_is_free(step, index, outside, &statement, tools).await?;
    // What an earlier attempt found is what was there before anything of this statement was.
    let open = step.open_unit.as_ref().filter(|open| usize::try_from(open.unit) == Ok(index));
    let found = match open.and_then(|open| open.found.clone()) {
        Some(found) if matches!(outside.retry, Retry::Reindex(_)) => Some(found),
        _ => indexes::found(&mut tools.worker.session, &outside.retry)
            .await
            .map_err(|error| failed_look(step, index, &error))?,
    };
    let found = found.as_deref();
    journal_unit(step, index, false, found, tools).await?;
    tools.watch.forget();
    let mut notices = Notices::new();
    tools.crash.point();
    let result = wait_for(step, &statement, &mut notices, tools).await;
    tools.crash.point();
    for (number, notice) in notices {
        step.notice(feed.line_of(number), &notice, tools);
    }
    match result {
        Ok(()) => {
            verify(step, index, outside, tools).await?;
            journal_unit(step, index, true, None, tools).await?;
            step.unit_finished(index, start.elapsed(), tools);
            Ok(())
        }
        Err(trouble) => {
            let place = feed.place_of(&trouble, tools.recorder.secrets());
            Err(after_failure(step, index, (outside, found), trouble, place, tools).await)
        }
    }
}

/// Sends a statement that waits for locks, and for the transactions of others, as long as `lock_wait` lets it, and tells
/// for whom meanwhile.
async fn wait_for(
    step: &Step<'_>,
    statement: &str,
    notices: &mut Notices,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), Trouble> {
    let (tell, mut told) = mpsc::unbounded_channel();
    tools.watch.longest_block = Some(step.config.lock_wait);
    tools.watch.tell = Some(tell);
    let result = {
        let mut answer = pin!(tools.worker.outside(statement, notices, tools.watch));
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => break answer,
                Some(Waiting { looks, blockers }) = told.recv() => {
                    let migration = step.migration.id.clone();
                    tools.recorder.mention(EventKind::LockWaiting { migration, attempt: looks, blockers });
                }
            }
        }
    };
    tools.watch.tell = None;
    tools.watch.longest_block = None;
    result
}

async fn journal_unit(
    step: &Step<'_>,
    index: usize,
    done: bool,
    found: Option<&str>,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let record = step
        .unit_record(index, done, found.map(quote_literal).as_deref(), tools.recorder.run())
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
    (outside, found): (&Outside, Option<&str>),
    trouble: Trouble,
    place: Option<Place>,
    tools: &mut Tools<'_, '_, '_>,
) -> StepFailure {
    let mut failed = failure::from_trouble(step, index, &trouble, place.as_ref(), tools);
    if is_open(&trouble, &mut failed) {
        failed.state = format!(
            "{} of {} may still be running or be done; the next run looks and finishes it, or asks",
            outside.what, step.migration.path
        );
        failed.ending =
            ending(&trouble, tools).map(|ending| (u32::try_from(index).unwrap_or(u32::MAX), ending));
        return failed;
    }
    let ending = ending(&trouble, tools);
    let never_there = matches!(&trouble, Trouble::Refused { message, .. } if message.code == "42704");
    tools.watch.forget();
    // Whoever asked to cancel wants the database clean all the same; that it is asked again is not heard here.
    tools.watch.deaf = true;
    // The server signals a cancel twice, and the second signal may come late: it must hit nothing that matters.
    let _ = tools.worker.session.execute("SELECT 1").await;
    match &outside.retry {
        Retry::Checkable(Check::IndexAbsent { index: gone }) if !never_there => {
            finish_drop(step, index, (outside, gone, found), ending.as_ref(), &mut failed, tools).await;
        }
        Retry::Checkable(Check::PartitionDetached { parent, partition })
            if is_pending(parent, partition, tools).await =>
        {
            failed.state = format!(
                "the detach has begun and is pending; the next run of {} finishes it",
                step.migration.path
            );
            keep_ending(step, index, ending.as_ref(), tools).await;
        }
        _ => clean_up(step, index, (outside, found), ending.as_ref(), &mut failed, tools).await,
    }
    tools.watch.deaf = false;
    failed
}

/// Whether a detach that failed has begun. Where that cannot be seen, the next run looks.
async fn is_pending(parent: &ObjectRef, partition: &ObjectRef, tools: &mut Tools<'_, '_, '_>) -> bool {
    // One that failed and finds no partition of that parent has found none before: nothing of it is there.
    let state = objects::detach(&mut tools.worker.session, parent, partition).await;
    matches!(state, Ok(Detach::Pending) | Err(_))
}

/// Whether it is open what became of a statement that did not succeed; says in `failed` where the session is gone.
///
/// Before the server sends an ERROR it has rolled back the transaction that the statement was in, whatever the code: a
/// cancel request or a timeout (57014) that comes after the commit cancels nothing, and the statement succeeds. So the
/// end is known; what earlier transactions of the same statement did (VACUUM, CALL, … CONCURRENTLY) is not the code's to
/// tell, but [`Retry`]'s. It is open
/// - where the session ends with it (FATAL, PANIC, 57P01 and its like): that may happen after a commit and before the
///   answer, and nothing can be looked at or recorded on it;
/// - where the code says that nobody knows (40003, 08007): functions and foreign servers may raise these.
fn is_open(trouble: &Trouble, failed: &mut StepFailure) -> bool {
    let Trouble::Refused { message, .. } = trouble else { return matches!(trouble, Trouble::Lost { .. }) };
    if message.is_fatal() || sqlstate::is_shutdown(&message.code) {
        failed.outcome = Outcome::ConnectionLost;
        failed.lost = Some(true);
        return true;
    }
    sqlstate::leaves_outcome_open(&message.code)
}

/// The error that a statement ended with, as the journal keeps it; `None` where it was not run at all.
fn ending(trouble: &Trouble, tools: &Tools<'_, '_, '_>) -> Option<Ending> {
    let (code, message) = match trouble {
        Trouble::Refused { message, .. } => (message.code.as_str(), message.message.as_str()),
        Trouble::Cancelled if tools.watch.gave_up => {
            (sqlstate::QUERY_CANCELED, "waited too long for other sessions (lock_wait)")
        }
        Trouble::Cancelled => (sqlstate::QUERY_CANCELED, "interrupted"),
        Trouble::Lost { why, .. } => return Some(lost_with(&tools.recorder.secrets().star(why))),
        _ => return None,
    };
    let message = tools.recorder.secrets().star(message);
    Some(Ending { code: code.to_owned(), message: visible(&message) })
}

/// The end of a connection, which says at its own end the SQLSTATE that the server gave, where it gave one.
fn lost_with(why: &str) -> Ending {
    let given = why.strip_suffix(')').and_then(|why| why.rsplit_once(" ("));
    let is_code = |code: &str| code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (why, code) = given.filter(|(_, code)| is_code(code)).unwrap_or((why, sqlstate::CONNECTION_FAILURE));
    Ending { code: code.to_owned(), message: visible(why) }
}

/// Keeps the error of a statement of which something may be left.
async fn keep_ending(step: &Step<'_>, index: usize, ending: Option<&Ending>, tools: &mut Tools<'_, '_, '_>) {
    let Some(ending) = ending else { return };
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let record = units::ended_with(step.project, &step.migration.id, number, ending);
    // Without it the next run says less; what it does is the same.
    if let Err(failure) = write(step, index, &record, tools).await {
        tracing::debug!(why = failure.message, "the error of the statement is not in the journal");
    }
}

/// The record of a begun unit of which nothing is there.
fn failed_unit(step: &Step<'_>, number: u32, ending: Option<&Ending>) -> String {
    let (project, id) = (step.project, &step.migration.id);
    ending.map_or_else(
        || units::forget(project, id, number),
        |ending| units::failed(project, id, number, ending),
    )
}

/// Removes what a failed statement left behind, and says in `failed` what could not be.
async fn clean_up(
    step: &Step<'_>,
    index: usize,
    (outside, found): (&Outside, Option<&str>),
    ending: Option<&Ending>,
    failed: &mut StepFailure,
    tools: &mut Tools<'_, '_, '_>,
) {
    let cleaned = match &outside.retry {
        Retry::Reindex(reindexed) => clear_leftovers(step, index, (reindexed, found), tools).await,
        _ => clear_invalid(step, index, outside, tools).await,
    };
    if let Err(cleaning) = cleaned {
        // Who was in the way is part of the message already.
        let first = cleaning.message.lines().next().unwrap_or_default();
        failed.state = format!("{first}; the next run looks again");
        keep_ending(step, index, ending, tools).await;
        return;
    }
    if outside.retry == Retry::Unknown && !outside.atomic {
        failed.state = format!(
            "{} of {} failed; what it did before it failed is not known: {}",
            outside.what,
            step.migration.path,
            failures::decide(&step.migration.id)
        );
        failed.outcome = Outcome::NeedsDecision;
        keep_ending(step, index, ending, tools).await;
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
    let record = failed_unit(step, number, ending);
    if let Err(failure) = write(step, index, &record, tools).await {
        failed.state = format!("{}\n{}", failed.state, failure.message);
    }
}

/// A `DROP INDEX CONCURRENTLY` that failed has either done nothing yet, or has made the index invalid for good: nobody
/// uses it any more, and only its removal is left to do. Then that is done.
async fn finish_drop(
    step: &Step<'_>,
    index: usize,
    (outside, gone, found): (&Outside, &ObjectRef, Option<&str>),
    ending: Option<&Ending>,
    failed: &mut StepFailure,
    tools: &mut Tools<'_, '_, '_>,
) {
    let path = &step.migration.path;
    let name = quote_ident(&gone.name);
    let again = format!("index {name} may be invalid now; the next run of {path} removes it");
    let state = match drop_state(&mut tools.worker.session, gone, found).await {
        Ok(state) => state,
        Err(error) => {
            failed.state = format!("{again} (the catalogue could not be read: {error})");
            keep_ending(step, index, ending, tools).await;
            return;
        }
    };
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let record = match state {
        IndexState::Valid => failed_unit(step, number, ending),
        // Removed by its last transaction, whatever was said after it.
        IndexState::Missing => done_unit(step, number, tools),
        IndexState::Building(_) => {
            failed.state = format!("{again}; another session is at work on its table");
            keep_ending(step, index, ending, tools).await;
            return;
        }
        IndexState::Invalid(schema, index_name) => {
            if let Err(dropping) = drop_invalid(step, index, (&schema, &index_name), tools).await {
                let first = dropping.message.lines().next().unwrap_or_default();
                failed.state = format!("{first}; the next run of {path} removes it");
                keep_ending(step, index, ending, tools).await;
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

/// Where a drop stands; missing also where another index has the name now.
async fn drop_state(
    session: &mut Session,
    gone: &ObjectRef,
    found: Option<&str>,
) -> Result<IndexState, Failure> {
    if !indexes::is_found(session, gone, found).await? {
        return Ok(IndexState::Missing);
    }
    indexes::state(session, (gone, None)).await
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
/// otherwise be taken for ours. One that is not valid is nothing we left, or the journal would know: it is not ours to
/// drop, and IF NOT EXISTS would pass over it and leave an index that nobody can use.
async fn name_is_free(
    step: &Step<'_>,
    index: usize,
    outside: &Outside,
    statement: &str,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let Some(check) = index_check(&outside.retry) else { return Ok(()) };
    let words = statement.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
    let may_exist = words.contains(" IF NOT EXISTS ");
    let state = indexes::state(&mut tools.worker.session, check)
        .await
        .map_err(|error| failed_look(step, index, &error))?;
    let path = &step.migration.path;
    let message = match state {
        IndexState::Missing if may_exist => match taken_by(step, index, check, tools).await? {
            None => return Ok(()),
            Some(other) => format!(
                "{path}: {} is the name of {other}: IF NOT EXISTS passes over the statement, and no index would be made\n  \
                 hint: give the index another name",
                quote_ident(&check.0.name)
            ),
        },
        IndexState::Missing => return Ok(()),
        IndexState::Valid if may_exist => return Ok(()),
        IndexState::Valid => format!("{path}: index {} exists already", quote_ident(&check.0.name)),
        IndexState::Building(name) => return Err(at_work(step, index, &name)),
        IndexState::Invalid(schema, name) => {
            let skipped = if may_exist { ", and IF NOT EXISTS would leave it so" } else { "" };
            let full = quote_qualified(&schema, &name);
            format!(
                "{path}: index {full} exists already and is not valid{skipped}; it is not this project's work: no run of it \
                 has begun this statement and left anything\n  \
                 hint: DROP INDEX CONCURRENTLY {full}, and this statement builds it; or keep it: REINDEX INDEX CONCURRENTLY \
                 {full} makes it valid, ALTER INDEX {full} RENAME TO … takes it out of the way"
            )
        }
    };
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
    (reindexed, found): (&Reindexed, Option<&str>),
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let found = indexes::leftovers(&mut tools.worker.session, reindexed, found)
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
    let result = wait_for(step, &drop, &mut Notices::new(), tools).await;
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
    let name = quote_ident(&check.0.name);
    let found = match state {
        IndexState::Invalid(..) => format!("index {name} is not valid"),
        IndexState::Building(_) => {
            format!("index {name} is not valid, and another session is at work on its table")
        }
        IndexState::Missing | IndexState::Valid => match taken_by(step, index, check, tools).await {
            Ok(Some(other)) => {
                format!("there is no index {name} of this table: that is the name of {other}")
            }
            _ => format!("there is no index {name}"),
        },
    };
    let message = format!("{}: {} succeeded, but {found}", step.migration.path, outside.what);
    Err(StepFailure::clean(message, ran))
}

/// What else has the name of an index, in words.
async fn taken_by(
    step: &Step<'_>,
    index: usize,
    named: Named<'_>,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<Option<String>, StepFailure> {
    let taken = indexes::taken_by(&mut tools.worker.session, named).await;
    taken.map_err(|error| failed_look(step, index, &error))
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
    feed: &mut Feed<'_>,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<bool, StepFailure> {
    let index = usize::try_from(open.unit).unwrap_or(usize::MAX);
    // The same statement, which the file has put into a transaction since: what became of it is as open as before.
    let Some(unit @ Unit { outside: Some(outside), .. }) = step.script.units.get(index) else {
        return Err(undecided(step, open, "a statement outside a transaction", None));
    };
    wait_for_owner(step, &open.run, tools).await?;
    let done = match &outside.retry {
        Retry::Idempotent => false,
        Retry::Reindex(reindexed) => {
            clear_leftovers(step, index, (reindexed, open.found.as_deref()), tools).await?;
            false
        }
        Retry::Checkable(check) => {
            feed.seek(unit).map_err(|why| failure::unreadable(step, index, &why))?;
            let statement = feed.one().map_err(|why| failure::unreadable(step, index, &why))?;
            let limit = step.config.lock_timeout;
            let found = open.found.as_deref();
            match is_done(check, &statement, (limit, found), &mut tools.worker.session).await {
                Ok(Settled::Done) => true,
                Ok(Settled::NotDone) => false,
                Ok(Settled::Finish(statement)) => {
                    finish(step, index, &statement, tools).await?;
                    true
                }
                Ok(Settled::Open(why)) => return Err(undecided(step, open, &outside.what, why)),
                Err(error) => return Err(failed_look(step, index, &error)),
            }
        }
        Retry::Unknown => return Err(undecided(step, open, &outside.what, None)),
    };
    // One that is not done stays in the journal until it is begun again: what is left of it is known to be ours by that.
    if done {
        let record = done_unit(step, open.unit, tools);
        write(step, index, &record, tools).await?;
    }
    Ok(done)
}

/// What the catalogue says of a statement whose end nobody saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    Done,
    NotDone,
    /// It has begun, and this statement finishes it.
    Finish(String),
    /// It cannot say; why, where there is something to tell.
    Open(Option<String>),
}

/// What the catalogue says of a statement that was begun, on a session that has the search path of migrations.
///
/// # Errors
/// As the server says.
pub(crate) async fn look(
    retry: &Retry,
    statement: &str,
    (limit, found): (Duration, Option<&str>),
    session: &mut Session,
) -> Result<Settled, Failure> {
    match retry {
        Retry::Checkable(check) => is_done(check, statement, (limit, found), session).await,
        // Without such leftovers it may have been done or not have begun.
        Retry::Reindex(reindexed) => {
            let left = indexes::leftovers(session, reindexed, found).await?;
            Ok(if left.is_empty() { Settled::Open(None) } else { Settled::NotDone })
        }
        Retry::Idempotent | Retry::Unknown => Ok(Settled::Open(None)),
    }
}

async fn is_done(
    check: &Check,
    statement: &str,
    (limit, found): (Duration, Option<&str>),
    session: &mut Session,
) -> Result<Settled, Failure> {
    let settled = |done: bool| if done { Settled::Done } else { Settled::NotDone };
    match check {
        Check::IndexValid { index, table, unique } if !index.name.is_empty() => {
            let named = (index, table.as_ref());
            if indexes::state(session, named).await? != IndexState::Valid {
                return Ok(Settled::NotDone);
            }
            // Somebody else may have made another one of that name since.
            let name = quote_ident(&index.name);
            Ok(match indexes::likeness(session, named, *unique, statement, limit).await? {
                Likeness::Same => Settled::Done,
                Likeness::Different(here, made) => Settled::Open(Some(format!(
                    "index {name} is there, but it is not what the statement makes\n  there:     {here}\n  statement: {made}"
                ))),
                Likeness::Unknown(why) => Settled::Open(Some(format!(
                    "index {name} is there, and whether it is what the statement makes could not be found out: {why}"
                ))),
            })
        }
        Check::IndexAbsent { index } => {
            let state = drop_state(session, index, found).await?;
            Ok(settled(state == IndexState::Missing))
        }
        Check::PartitionDetached { parent, partition } => {
            Ok(match objects::detach(session, parent, partition).await? {
                Detach::Attached => Settled::NotDone,
                Detach::Pending => Settled::Finish(objects::finalize(parent, partition)),
                Detach::Detached => Settled::Done,
                Detach::Missing => Settled::Open(Some(format!("there is no {partition} any more"))),
            })
        }
        Check::Exists(object) | Check::Absent(object) => {
            let wanted = matches!(check, Check::Exists(_));
            let there = objects::exists(session, object).await?;
            Ok(there.map_or(Settled::Open(None), |there| settled(there == wanted)))
        }
        Check::IndexValid { .. } => Ok(Settled::Open(None)),
    }
}

/// Finishes what was begun, by a statement of its own.
async fn finish(
    step: &Step<'_>,
    index: usize,
    statement: &str,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let result = wait_for(step, statement, &mut Notices::new(), tools).await;
    if let Err(trouble) = result {
        let cause = failure::from_trouble(step, index, &trouble, None, tools);
        let message = format!("what was begun could not be finished ({statement}): {}", cause.message);
        return Err(StepFailure { message, ..cause });
    }
    remark(step, index, format!("finished what was begun: {statement}"), tools);
    Ok(())
}

fn undecided(step: &Step<'_>, open: &OpenUnit, what: &str, why: Option<String>) -> StepFailure {
    let part = format!("part {} of {}", open.unit.saturating_add(1), step.script.units.len());
    let mut message =
        format!("{}: {}", step.migration.path, failures::open(what, &part, open.failure.as_ref()));
    if let Some(why) = why {
        message.push_str("\n  ");
        message.push_str(&why);
    }
    StepFailure::undecided(message, format!("nothing was run; {}", failures::decide(&step.migration.id)))
}

/// Waits until the session of the run that began the unit is gone: its statement may still be running.
async fn wait_for_owner(
    step: &Step<'_>,
    run: &str,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let asked = tools.watch.stop().clone();
    let events = &mut *tools.recorder;
    let mut monitor = tools.watch.monitor().await;
    let monitor = monitor.answering().await.map_err(|lost| failure::lock_lost(step, &lost))?;
    let result = lock::wait_for_run_to_end(monitor, run, step.config.lock_wait, &asked, |holder| {
        events.mention(EventKind::RunnerWaiting { holder: holder.to_owned() });
    })
    .await;
    let done = usize::try_from(step.done).unwrap_or(usize::MAX);
    result.map_err(|error| StepFailure::clean(error.to_string(), failure::rolled_back(step, done)))
}
