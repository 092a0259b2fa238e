//! Small migrations one close behind the other: while the server works on one, the next is already on its way, so that
//! neither side waits for the other. Each is still a transaction of its own with its history row.
//!
//! At most one is sent ahead. If the one before it does not commit, for whatever reason, nothing of it runs: it begins
//! with a command that the server refuses outside the transaction which the one before would have opened for it.
//! Only what leaves the session alone goes this way; everything else, and whatever needs a second attempt, goes
//! through [`Step::run`].

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::failure::{self, StepFailure};
use super::feed::{Feed, WINDOW_STATEMENTS};
use super::locate::Place;
use super::recorder::Reserved;
use super::step::{PAUSE, Step, Tools, lock_timeout};
use super::worker::{Closing, Launched, Notices, Trouble};
use crate::run::EventKind;
use crate::script::Unit;

/// Transactions sent and not yet answered: the one at hand and one behind it.
const IN_FLIGHT: usize = 2;

impl Step<'_> {
    /// Whether it may be sent before the step before it has ended.
    pub(super) fn may_be_pipelined(&self) -> bool {
        let fresh = self.has_no_units();
        fresh
            && !self.is_guarded()
            && self.script.is_small(WINDOW_STATEMENTS)
            && self.script.opaque.is_none()
            && !self.makes_event_triggers()
            && !self.may_leave_state()
    }
}

/// A step on its way.
struct Flying<'s, 'a> {
    step: &'s Step<'a>,
    feed: Feed<'s>,
    reserved: Reserved,
    launched: Launched,
}

/// Runs the steps, in order, as far as no stop is asked for and none needs a second attempt. Gives how many are done;
/// one that fails is named by its place among `steps`.
pub(super) async fn run(
    steps: &[Step<'_>],
    tools: &mut Tools<'_, '_, '_>,
) -> Result<usize, (usize, StepFailure)> {
    let mut flying: VecDeque<Flying<'_, '_>> = VecDeque::with_capacity(IN_FLIGHT);
    let mut waiting = steps.iter();
    for done in 0..steps.len() {
        while flying.len() < IN_FLIGHT && may_go_on(tools) {
            let Some(step) = waiting.next() else { break };
            tools.crash.point();
            let behind = !flying.is_empty();
            match launch(step, behind, tools).await {
                Ok(next) => flying.push_back(next),
                // The one before it is still under way: its turn to fail comes when it is the one at hand.
                Err(_) if behind => {
                    waiting = steps[done + 1..].iter();
                    break;
                }
                Err(trouble) => {
                    tools.recorder.step_started(step.started());
                    let result = again_or_fail(step, None, &trouble, tools).await;
                    return result.map(|()| done + 1).map_err(|failure| (done, failure));
                }
            }
        }
        let Some(current) = flying.pop_front() else { return Ok(done) };
        tools.recorder.step_begins(&current.reserved);
        current.step.tell_notes(tools.recorder);
        let began = Instant::now();
        let mut notices = Notices::new();
        tools.watch.forget();
        let result = tools.worker.land(current.launched, &mut notices, tools.watch).await;
        tools.crash.point();
        for (statement, notice) in notices {
            current.step.notice(current.feed.line_of(statement), &notice, tools);
        }
        match result {
            // The client's own clock began when the answer may already have been there.
            Ok(took) => finished(current.step, took.unwrap_or_else(|| began.elapsed()), tools),
            Err(trouble) => {
                let behind = ground(flying, tools).await;
                let place = current.feed.place_of(&trouble, tools.recorder.secrets());
                let result = again_or_fail(current.step, place, &trouble, tools).await;
                return result.map(|()| done + 1).map_err(|failure| {
                    let behind = failure.lost.and(behind);
                    (done, StepFailure { behind, ..failure })
                });
            }
        }
    }
    Ok(steps.len())
}

/// No stop is asked for, and the session that holds the runner's lock is there; where it is not, the caller takes the
/// lock again or ends the run.
fn may_go_on(tools: &mut Tools<'_, '_, '_>) -> bool {
    tools.watch.may_begin() && tools.watch.monitor_is_there()
}

/// Sends a step.
async fn launch<'s, 'a>(
    step: &'s Step<'a>,
    behind: bool,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<Flying<'s, 'a>, Trouble> {
    if !behind {
        let timeout = lock_timeout(1, step.config.lock_timeout);
        tools.worker.begin(timeout, tools.watch).await?;
    }
    let mut feed = Feed::new(step.script, step.migration, step.vars);
    let whole = Unit { first: 0, count: step.script.statements, outside: None };
    feed.seek(&whole).map_err(Trouble::Unreadable)?;
    let statements = feed.only_window().map_err(Trouble::Unreadable)?;
    let events = if behind { tools.recorder.flush_behind() } else { tools.recorder.flush() };
    let reserved = tools.recorder.reserve_step(step.started());
    let record =
        step.closing_record(1, Duration::ZERO, &mut feed, tools.recorder.run(), events, &reserved)?;
    let closing = Closing {
        statements: &statements,
        record: &record,
        session_state: false,
        runs_code: step.runs_code(),
        one_by_one: false,
        next: step.opens_next(tools),
    };
    let launched = tools.worker.launch(&closing, behind).await;
    Ok(Flying { step, feed, reserved, launched })
}

fn finished(step: &Step<'_>, took: Duration, tools: &mut Tools<'_, '_, '_>) {
    tools.recorder.step_stored();
    tools.recorder.step_finished(&step.migration.id, step.script.statements, took, 1);
}

/// Reads the answers to what was sent behind a step that did not commit: none of it ran, unless the connection is gone
/// and nobody can tell. Gives the index of the migration behind.
async fn ground(flying: VecDeque<Flying<'_, '_>>, tools: &mut Tools<'_, '_, '_>) -> Option<usize> {
    let mut behind = None;
    for next in flying {
        let result = tools.worker.land(next.launched, &mut Notices::new(), tools.watch).await;
        debug_assert!(result.is_err(), "{} ran behind a step that failed", next.step.migration.path);
        behind.get_or_insert(next.step.index);
    }
    behind
}

/// A step that was not reached or did not get a lock is tried again by itself; any other trouble is its end.
async fn again_or_fail(
    step: &Step<'_>,
    place: Option<Place>,
    trouble: &Trouble,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    tools.worker.roll_back().await;
    if matches!(trouble, Trouble::NotReached) {
        // The one before it is committed, but its transaction did not open: why is found out by opening it.
        return step.run_after(0, tools).await;
    }
    if !trouble.is_retryable() {
        return Err(failure::from_trouble(step, 0, trouble, place.as_ref(), tools));
    }
    if tools.watch.stop().is_requested() {
        return Err(failure::interrupted(step, 0));
    }
    tools.recorder.mention(EventKind::LockWaiting {
        migration: step.migration.id.clone(),
        attempt: 1,
        blockers: std::mem::take(&mut tools.watch.blockers),
    });
    tokio::time::sleep(PAUSE).await;
    step.run_after(1, tools).await
}
