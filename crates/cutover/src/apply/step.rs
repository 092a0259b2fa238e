//! One migration from its first statement to its history row: attempts, lock waits, units, and the words for what
//! went wrong.

use std::time::Duration;

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_postgres::session::ServerMessage;
use tokio::time::Instant;

use super::application_name;
use super::crash::CrashPoints;
use super::emptied::Locked;
use super::failure::{self, StepFailure};
use super::feed::Feed;
use super::outside;
use super::recorder::{Recorder, Reserved};
use super::watch::Watch;
use super::worker::{Closing, FIRST_LOCK_TIMEOUT, Notices, Record, Trouble, Worker};
use crate::history::{journal, units};
use crate::jitter::Jitter;
use crate::migration::Migration;
use crate::plan::UnitFailure;
use crate::project::ApplyConfig;
use crate::run::{EventKind, PartsDone};
use crate::script::{Script, Unit};
use crate::source::Vars;

/// Pause between attempts.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// An attempt that takes longer than this is not made again only to see who is in the way.
const WORTH_A_LOOK: Duration = Duration::from_secs(5);

/// Everything a step needs to know.
#[derive(Clone)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub(super) struct Step<'a> {
    /// Its migration's place in the project.
    pub(super) index: usize,
    pub(super) project: &'a str,
    pub(super) migration: &'a Migration,
    pub(super) script: &'a Script,
    pub(super) stage: Option<&'a str>,
    pub(super) vars: &'a Vars,
    pub(super) config: &'a ApplyConfig,
    /// Units already done by an earlier run.
    pub(super) done: u32,
    /// A unit that an earlier run began outside a transaction, with an outcome nobody knows.
    pub(super) open_unit: Option<OpenUnit>,
    /// The journal has an attempt that left nothing behind.
    pub(super) has_failed: bool,
    /// What is to be said of a statement that failed in an earlier run.
    pub(super) failed_before: Option<String>,
    /// The journal has the text of the file as it is now.
    pub(super) text_is_kept: bool,
    /// An earlier run recorded that it is left for later.
    pub(super) was_deferred: bool,
    /// Its migrations are the ways back of those of this project.
    pub(super) takes_back: Option<&'a str>,
    /// The next step begins with a transaction: its prelude may go along with our commit.
    pub(super) next_is_transactional: bool,
}

/// A unit with an unknown outcome.
#[derive(Clone)]
pub(super) struct OpenUnit {
    /// Its number, from 0.
    pub(super) unit: u32,
    /// The run that began it.
    pub(super) run: String,
    /// The error it ended with, where that was seen.
    pub(super) failure: Option<UnitFailure>,
    /// OIDs of indexes that were there before it began, where that was looked up.
    pub(super) found: Option<String>,
}

/// The lock timeout of an attempt: short at first, then longer, so that a busy table is had in the end. Behind a reader
/// of three seconds, waiting 5 ms at a time costs other clients 10 ms and ends at the same moment as waiting in the
/// queue, which costs them three seconds (measured).
pub(super) fn lock_timeout(attempt: u32, cap: Duration) -> Duration {
    let factor = 1.25f64.powi(i32::try_from(attempt.saturating_sub(1).min(40)).unwrap_or(40));
    FIRST_LOCK_TIMEOUT.mul_f64(factor).min(cap).max(Duration::from_millis(1))
}

/// The tools a step works with; one set a run.
pub(super) struct Tools<'a, 'w, 'r> {
    pub(super) worker: &'a mut Worker,
    pub(super) watch: &'a mut Watch<'w>,
    pub(super) recorder: &'a mut Recorder<'r>,
    pub(super) crash: &'a CrashPoints,
}

/// One transaction of a step.
#[derive(Clone, Copy)]
struct Part<'u> {
    /// Number of the unit, from 0.
    index: usize,
    unit: &'u Unit,
    /// The step ends with it: it writes the history row.
    closing: bool,
    /// Attempts so far, the one at hand included; at least what earlier units needed.
    attempts: u32,
    /// When the step began.
    began: Instant,
}

/// A unit that was committed.
struct Committed {
    /// Attempts it needed.
    attempts: u32,
    /// The time of the step as its history row has it, where the unit closed the step.
    took: Option<Duration>,
}

impl Step<'_> {
    /// Runs what is left of the migration.
    pub(super) async fn run(&self, tools: &mut Tools<'_, '_, '_>) -> Result<(), StepFailure> {
        tools.recorder.step_started(self.started());
        self.tell_notes(tools.recorder);
        self.run_after(0, tools).await
    }

    /// What is to be said of it before it runs, e.g. that its outer transaction is replaced.
    pub(super) fn tell_notes(&self, recorder: &mut Recorder<'_>) {
        for note in self.script.notes.iter().chain(&self.failed_before) {
            let migration = self.migration.id.clone();
            recorder.mention(EventKind::StepNote { migration, note: note.clone() });
        }
    }

    /// The event of its beginning.
    pub(super) fn started(&self) -> EventKind {
        EventKind::StepStarted { migration: self.migration.id.clone(), path: self.migration.path.clone() }
    }

    /// Runs what is left of the migration, whose beginning was told, after so many attempts that did not get a lock.
    pub(super) async fn run_after(
        &self,
        attempted: u32,
        tools: &mut Tools<'_, '_, '_>,
    ) -> Result<(), StepFailure> {
        let mut done = usize::try_from(self.done).unwrap_or(usize::MAX);
        let result = self.run_units(attempted, &mut done, tools).await;
        result.map_err(|failure| failure.after(self.parts(done)))
    }

    /// As [`Step::run_after`]; counts in `done` the units that are.
    async fn run_units(
        &self,
        attempted: u32,
        done: &mut usize,
        tools: &mut Tools<'_, '_, '_>,
    ) -> Result<(), StepFailure> {
        let began = Instant::now();
        let mut attempts = attempted + 1;
        let mut feed = Feed::new(self.script, self.migration, self.vars);
        if let Some(open) = &self.open_unit
            && outside::settle(self, open, &mut feed, tools).await?
        {
            *done += 1;
        }
        let units = self.script.units.len();
        let mut took = None;
        let mut closed = false;
        for (index, unit) in self.script.units.iter().enumerate().skip(*done) {
            *done = index;
            let closing = index + 1 == units;
            if tools.watch.stop().is_cancelled() {
                tools.worker.roll_back().await;
                return Err(failure::interrupted(self, index));
            }
            if unit.outside.is_some() {
                self.still_empty_outside(index, tools).await?;
                outside::run(self, index, unit, &mut feed, tools).await?;
                continue;
            }
            let part = Part { index, unit, closing, attempts, began };
            let done = self.transaction(part, &mut feed, tools).await?;
            (attempts, took) = (attempts.max(done.attempts), done.took);
            closed |= closing;
        }
        if !closed {
            *done = units;
            // Nothing to send, or the last statement ran outside a transaction: the row gets a transaction of its own.
            let nothing = Unit { first: self.script.statements, count: 0, outside: None };
            let part = Part { index: units, unit: &nothing, closing: true, attempts, began };
            let done = self.transaction(part, &mut feed, tools).await?;
            (attempts, took) = (attempts.max(done.attempts), done.took);
        }
        // The time of a step is that of its history row, whoever tells of it.
        let took = took.unwrap_or_else(|| began.elapsed());
        tools.recorder.step_finished(&self.migration.id, self.script.statements, took, attempts);
        Ok(())
    }

    /// Runs one unit in one transaction, as often as locks make it necessary.
    async fn transaction(
        &self,
        mut part: Part<'_>,
        feed: &mut Feed<'_>,
        tools: &mut Tools<'_, '_, '_>,
    ) -> Result<Committed, StepFailure> {
        let start = Instant::now();
        // Since when it waits for somebody who is not of this run.
        let mut waiting_since = start;
        let own = application_name(tools.recorder.run());
        let earlier = part.attempts;
        let pid = u64::from(tools.worker.session.backend_pid().unsigned_abs());
        let mut jitter = Jitter::seeded((pid << 20) | u64::from(part.unit.first));
        let mut attempt = 1;
        // An attempt may end before anybody looked; whoever was seen last is probably still there.
        let mut seen = Vec::new();
        // Set for the last attempt where nobody was seen until then: it lasts as long as one may, and is looked at closely.
        let mut closely = false;
        loop {
            tools.watch.forget();
            let began = Instant::now();
            let timeout = lock_timeout(if closely { u32::MAX } else { attempt }, self.config.lock_timeout);
            feed.seek(part.unit).map_err(|why| failure::unreadable(self, part.index, &why))?;
            part.attempts = earlier.max(attempt);
            tools.watch.closely = closely;
            let result = self.attempt(part, timeout, feed, tools).await;
            tools.watch.closely = false;
            let trouble = match result {
                Ok(took) => {
                    if !part.closing {
                        self.unit_finished(part.index, start.elapsed(), tools);
                    }
                    return Ok(Committed { attempts: attempt, took });
                }
                Err(trouble) => trouble,
            };
            let place = feed.place_of(&trouble, tools.recorder.secrets());
            tools.worker.roll_back().await;
            if !trouble.is_retryable() {
                return Err(failure::from_trouble(self, part.index, &trouble, place.as_ref(), tools));
            }
            let blockers = std::mem::take(&mut tools.watch.blockers);
            if !blockers.is_empty() {
                seen.clone_from(&blockers);
            }
            // A migration that runs beside it will end; whoever else holds the lock may not.
            if !blockers.is_empty() && blockers.iter().all(|blocker| blocker.application == own) {
                waiting_since = Instant::now();
            }
            if waiting_since.elapsed() >= self.config.lock_wait {
                let worth_a_look = seen.is_empty() && !closely && began.elapsed() < WORTH_A_LOOK;
                if !worth_a_look {
                    return Err(failure::lock_not_obtained(
                        self,
                        part.index,
                        &trouble,
                        place.as_ref(),
                        &seen,
                        start.elapsed(),
                    ));
                }
                closely = true;
            }
            tools.recorder.mention(EventKind::LockWaiting {
                migration: self.migration.id.clone(),
                attempt,
                blockers,
            });
            if tools.watch.stop().is_requested() {
                return Err(failure::interrupted(self, part.index));
            }
            tokio::time::sleep(jitter.around(PAUSE)).await;
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        part: Part<'_>,
        lock_timeout: Duration,
        feed: &mut Feed<'_>,
        tools: &mut Tools<'_, '_, '_>,
    ) -> Result<Option<Duration>, Trouble> {
        tools.crash.point();
        let before = part.began.elapsed();
        tools.worker.begin(lock_timeout, tools.watch).await?;
        self.still_empty(Locked::Yes, tools).await?;
        let mut notices = Notices::new();
        let result = self.send_all(part, before, feed, &mut notices, tools).await;
        for (statement, notice) in notices {
            self.notice(feed.line_of(statement), &notice, tools);
        }
        result
    }

    async fn send_all(
        &self,
        part: Part<'_>,
        before: Duration,
        feed: &mut Feed<'_>,
        notices: &mut Notices,
        tools: &mut Tools<'_, '_, '_>,
    ) -> Result<Option<Duration>, Trouble> {
        let statements = feed.all_but_last_window(tools.worker, tools.watch, tools.crash, notices).await?;
        let record = if part.closing {
            let events = tools.recorder.flush();
            let reserved = tools.recorder.closing();
            let reserved = reserved.ok_or_else(|| Trouble::Unreadable("the step has ended before".into()))?;
            self.closing_record(part.attempts, before, feed, tools.recorder.run(), events, &reserved)?
        } else {
            Record::Text(self.unit_record(part.index, true, None, tools.recorder.run())?)
        };
        let next = self.opens_next(tools).filter(|_| part.closing);
        tools.crash.point();
        let closing = Closing {
            statements: &statements,
            record: &record,
            session_state: self.may_leave_state(),
            runs_code: self.runs_code(),
            one_by_one: tools.crash.one_by_one(),
            next,
        };
        let result = tools.worker.commit(&closing, notices, tools.watch).await;
        tools.crash.point();
        tools.worker.event_triggers |= self.script.opaque.is_some() || self.makes_event_triggers();
        if result.is_ok() && part.closing {
            tools.recorder.step_stored();
        }
        result
    }

    /// The lock timeout of the transaction of the next step, where one is sure to follow.
    pub(super) fn opens_next(&self, tools: &Tools<'_, '_, '_>) -> Option<Duration> {
        (self.next_is_transactional && tools.watch.may_begin())
            .then(|| lock_timeout(1, self.config.lock_timeout))
    }

    /// Whether the session may hold something of the file afterwards: by its own statements, or by triggers of tables
    /// that it writes to and did not make itself.
    pub(super) fn may_leave_state(&self) -> bool {
        let script = self.script;
        let code = |made: &ObjectRef| matches!(made.kind, ObjectKind::Trigger | ObjectKind::Rule);
        let own = |written: &ObjectRef| script.makes(written);
        script.session_state || script.creates.iter().any(code) || !script.writes.iter().all(own)
    }

    /// Whether every command after it may run code.
    pub(super) fn makes_event_triggers(&self) -> bool {
        self.script.creates.iter().any(|made| made.kind == ObjectKind::EventTrigger)
    }

    /// Whether any function may run: in a default, a condition, an index.
    pub(super) fn runs_code(&self) -> bool {
        self.script.needs.iter().any(|need| need.object.kind.family() == ObjectKind::Routine)
    }

    /// What is written beside the effects of a unit that others follow, in the same transaction; for a unit outside a
    /// transaction, what is written before (`done` is false then) and after it.
    pub(super) fn unit_record(
        &self,
        index: usize,
        done: bool,
        found: Option<&str>,
        run: &str,
    ) -> Result<String, Trouble> {
        let parts = &self.script.parts;
        let Some(part) = parts.list.get(index) else {
            return Err(Trouble::Unreadable("it has fewer statements than when it was read before".into()));
        };
        let unit = u32::try_from(index).unwrap_or(u32::MAX);
        let (project, migration) = (self.project, self.migration);
        let mut record =
            units::upsert(&units::UnitRecord { project, run, migration, unit, part, done, found });
        // Once a run: with the first unit it goes on with, which is the next one where the open one turned out to be done.
        if !self.text_is_kept && (self.done..=self.done.saturating_add(1)).contains(&unit) {
            record.push_str("; ");
            record.push_str(&units::keep_text(project, run, migration, parts.text.as_deref()));
        }
        Ok(record)
    }

    /// Whether the journal has none of its units.
    pub(super) fn has_no_units(&self) -> bool {
        self.done == 0 && self.open_unit.is_none() && !self.has_failed
    }

    /// What of the migration is applied when that many of its units are done.
    pub(super) fn parts(&self, done: usize) -> PartsDone {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        PartsDone { done: number(done), of: number(self.script.units.len().max(1)) }
    }

    /// What is written beside the effects of the last unit, in the same transaction; `events` go with it.
    pub(super) fn closing_record(
        &self,
        attempts: u32,
        before: Duration,
        feed: &mut Feed<'_>,
        run: &str,
        events: String,
        reserved: &Reserved,
    ) -> Result<Record, Trouble> {
        let source = feed.text_as_read().map_err(Trouble::Unreadable)?;
        let values = journal::step_values(&journal::Record {
            project: self.project,
            run,
            migration: self.migration,
            stage: self.stage,
            statements: self.script.statements,
            source: source.as_deref(),
            attempts,
            started: &reserved.started,
            ended: reserved.ended,
        });
        let more = [
            events,
            if self.script.is_one_transaction() && self.has_no_units() {
                String::new()
            } else {
                units::forget_all(self.project, &self.migration.id)
            },
            if self.was_deferred {
                journal::delete_deferral(self.project, &self.migration.id)
            } else {
                String::new()
            },
            match (self.takes_back, &self.migration.takes_back) {
                (Some(project), Some(way)) => units::forget_applied(project, &way.of),
                _ => String::new(),
            },
        ];
        let more = more.iter().filter(|part| !part.is_empty()).flat_map(|part| ["; ", part]).collect();
        Ok(Record::Step { values, before, more })
    }

    pub(super) fn notice(&self, line: u32, notice: &ServerMessage, tools: &mut Tools<'_, '_, '_>) {
        tools.recorder.tell(EventKind::Notice {
            migration: self.migration.id.clone(),
            severity: notice.severity.clone(),
            code: notice.code.clone(),
            message: notice.message.clone(),
            line,
        });
    }

    pub(super) fn unit_finished(&self, index: usize, took: Duration, tools: &mut Tools<'_, '_, '_>) {
        tools.recorder.tell(EventKind::UnitFinished {
            migration: self.migration.id.clone(),
            unit: u32::try_from(index + 1).unwrap_or(u32::MAX),
            units: u32::try_from(self.script.units.len()).unwrap_or(u32::MAX),
            took,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_begin_short_and_end_at_the_cap() {
        let cap = Duration::from_millis(250);
        assert_eq!(lock_timeout(1, cap), Duration::from_millis(5));
        assert!(lock_timeout(5, cap) > lock_timeout(4, cap));
        assert_eq!(lock_timeout(1000, cap), cap);
    }
}
