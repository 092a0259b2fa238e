//! One migration from its first statement to its history row: attempts, lock waits, units, and the words for what
//! went wrong.

use std::time::Duration;

use cutover_postgres::session::ServerMessage;
use tokio::time::Instant;

use super::crash::CrashPoints;
use super::failure::{self, StepFailure};
use super::feed::Feed;
use super::outside;
use super::recorder::Recorder;
use super::watch::Watch;
use super::worker::{Notices, Trouble, Worker};
use crate::history::journal;
use crate::jitter::Jitter;
use crate::migration::Migration;
use crate::project::ApplyConfig;
use crate::run::EventKind;
use crate::script::{Script, Unit};
use crate::source::Vars;

/// Lock timeout of the first attempt. Behind a reader of three seconds, waiting 5 ms at a time costs other clients
/// 10 ms and ends at the same moment as waiting in the queue, which costs them three seconds (measured).
const FIRST_LOCK_TIMEOUT: Duration = Duration::from_millis(5);
/// Pause between attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Everything a step needs to know.
pub(super) struct Step<'a> {
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
    /// An earlier run recorded that it is left for later.
    pub(super) was_deferred: bool,
    /// The next step begins with a transaction: its prelude may go along with our commit.
    pub(super) next_is_transactional: bool,
}

/// A unit with an unknown outcome.
pub(super) struct OpenUnit {
    /// Its number, from 0.
    pub(super) unit: u32,
    /// The run that began it.
    pub(super) run: String,
}

/// The lock timeout of an attempt: short at first, then longer, so that a busy table is had in the end.
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

impl Step<'_> {
    /// Runs what is left of the migration.
    pub(super) async fn run(&self, tools: &mut Tools<'_, '_, '_>) -> Result<(), StepFailure> {
        let start = Instant::now();
        let mut attempts = 1;
        let mut feed = Feed::new(self.script, self.migration, self.vars);
        tools.recorder.tell(EventKind::StepStarted {
            migration: self.migration.id.clone(),
            path: self.migration.path.clone(),
        });
        let mut done = usize::try_from(self.done).unwrap_or(usize::MAX);
        if let Some(open) = &self.open_unit
            && outside::settle(self, open, tools).await?
        {
            done += 1;
        }
        let units = self.script.units.len();
        let mut recorded = false;
        for (index, unit) in self.script.units.iter().enumerate().skip(done) {
            let last = index + 1 == units;
            if unit.outside.is_some() {
                outside::run(self, index, unit, &mut feed, tools).await?;
                continue;
            }
            attempts = attempts.max(self.transaction(index, unit, last, &mut feed, tools).await?);
            recorded |= last;
        }
        if !recorded {
            // Nothing to send, or the last statement ran outside a transaction: the row gets a transaction of its own.
            let nothing = Unit { first: self.script.statements, count: 0, outside: None };
            self.transaction(units, &nothing, true, &mut feed, tools).await?;
        }
        let took = start.elapsed();
        tools.recorder.step_finished(&self.migration.id, self.script.statements, took, attempts);
        Ok(())
    }

    /// Runs one unit in one transaction, as often as locks make it necessary. Gives the number of attempts.
    async fn transaction(
        &self,
        index: usize,
        unit: &Unit,
        closing: bool,
        feed: &mut Feed<'_>,
        tools: &mut Tools<'_, '_, '_>,
    ) -> Result<u32, StepFailure> {
        let start = Instant::now();
        let mut jitter = Jitter::seeded(u64::from(tools.worker.session.backend_pid().unsigned_abs()) << 20 | u64::from(unit.first));
        let mut attempt = 1;
        // An attempt may end before anybody looked; whoever was seen last is probably still there.
        let mut seen = Vec::new();
        loop {
            tools.watch.forget();
            feed.seek(unit).map_err(|why| failure::unreadable(self, &why))?;
            let trouble = match self.attempt(index, unit, closing, attempt, feed, tools).await {
                Ok(()) => {
                    if !closing {
                        self.unit_finished(index, start.elapsed(), tools);
                    }
                    return Ok(attempt);
                }
                Err(trouble) => trouble,
            };
            let place = feed.place_of(&trouble);
            tools.worker.roll_back().await;
            if !trouble.is_retryable() {
                return Err(failure::from_trouble(self, index, trouble, place, tools));
            }
            let blockers = std::mem::take(&mut tools.watch.blockers);
            if !blockers.is_empty() {
                seen.clone_from(&blockers);
            }
            if start.elapsed() >= self.config.lock_wait {
                return Err(failure::lock_not_obtained(self, index, &trouble, place, &seen, start.elapsed()));
            }
            tools.recorder.mention(EventKind::LockWaiting { migration: self.migration.id.clone(), attempt, blockers });
            if tools.watch.stop().is_requested() {
                return Err(failure::interrupted(self, index));
            }
            tokio::time::sleep(jitter.around(PAUSE)).await;
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        index: usize,
        unit: &Unit,
        closing: bool,
        attempt: u32,
        feed: &mut Feed<'_>,
        tools: &mut Tools<'_, '_, '_>,
    ) -> Result<(), Trouble> {
        let cap = self.config.lock_timeout;
        tools.crash.point();
        tools.worker.begin(lock_timeout(attempt, cap), tools.watch).await?;
        let mut notices = Notices::new();
        let result = self.send_all(index, unit, closing, attempt, feed, &mut notices, tools).await;
        for (statement, notice) in notices {
            self.notice(feed.line_of(statement), &notice, tools);
        }
        result
    }

    async fn send_all(
        &self,
        index: usize,
        unit: &Unit,
        closing: bool,
        attempt: u32,
        feed: &mut Feed<'_>,
        notices: &mut Notices,
        tools: &mut Tools<'_, '_, '_>,
    ) -> Result<(), Trouble> {
        let statements = feed.all_but_last_window(tools.worker, tools.watch, tools.crash, notices).await?;
        let record = self.record(index, unit, closing.then_some(attempt), feed, tools.recorder)?;
        let next = (closing && self.next_is_transactional && !tools.watch.stop().is_requested())
            .then(|| lock_timeout(1, self.config.lock_timeout));
        tools.crash.point();
        let result = tools.worker.commit(&statements, &record, next, notices, tools.watch).await;
        tools.crash.point();
        if result.is_ok() && closing {
            tools.recorder.stored();
        }
        result
    }

    /// What is written beside the unit's effects, in the same transaction.
    fn record(
        &self,
        index: usize,
        unit: &Unit,
        closing: Option<u32>,
        feed: &mut Feed<'_>,
        recorder: &mut Recorder<'_>,
    ) -> Result<String, Trouble> {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let Some(attempts) = closing else {
            let shown = format!("statements {} to {}", unit.first + 1, unit.first + unit.count);
            return Ok(journal::upsert_unit(self.project, recorder.run(), self.migration, number, true, &shown));
        };
        let source = feed.text_as_read().map_err(Trouble::Unreadable)?;
        let mut record = journal::insert_migration(&journal::Record {
            project: self.project,
            run: recorder.run(),
            migration: self.migration,
            stage: self.stage,
            statements: self.script.statements,
            source: source.as_deref(),
        });
        let events = recorder.closing_events(&self.migration.id, self.script.statements, attempts);
        record.push_str("; ");
        record.push_str(&events);
        if !self.script.is_one_transaction() {
            record.push_str("; ");
            record.push_str(&journal::delete_units(self.project, self.migration));
        }
        if self.was_deferred {
            record.push_str("; ");
            record.push_str(&journal::delete_deferral(self.project, self.migration));
        }
        Ok(record)
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
