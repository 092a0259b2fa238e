//! Events on their way: to whoever watches at once, and to the journal with the next transaction that commits. Migrations
//! that run side by side have a recorder each, with one numbering and one audience for all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::history::journal::{self, Numbered};
use crate::migration::MigrationId;
use crate::run::{EventKind, EventSink, RunEvent};
use crate::secrets::Secrets;

/// The places of a step's beginning and end in the journal.
#[derive(Debug, Clone)]
pub(super) struct Reserved {
    pub(super) started: Numbered,
    pub(super) ended: u64,
}

/// What all recorders of a run share.
struct Shared<'w> {
    sink: &'w mut dyn EventSink,
    next: u64,
    /// All events of the run, for the document the caller gets.
    all: Vec<RunEvent>,
}

impl Shared<'_> {
    /// Tells whoever watches.
    fn show(&mut self, event: &RunEvent) {
        self.sink.event(event);
        self.all.push(event.clone());
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Gives events their time and number.
pub(super) struct Recorder<'w> {
    clock: &'w dyn Clock,
    shared: Arc<Mutex<Shared<'w>>>,
    run: String,
    secrets: Arc<Secrets>,
    begun: Duration,
    /// Not yet in the journal.
    pending: Vec<Numbered>,
    /// Sent with transactions whose outcome is not known yet, one list a transaction, in the order of sending.
    in_flight: VecDeque<Vec<Numbered>>,
    /// The beginning of the step at hand, until its history row is committed.
    started: Option<Numbered>,
}

impl<'w> Recorder<'w> {
    pub(super) fn new(run: String, clock: &'w dyn Clock, sink: &'w mut dyn EventSink) -> Self {
        let begun = clock.monotonic();
        Self {
            clock,
            shared: Arc::new(Mutex::new(Shared { sink, next: 0, all: Vec::new() })),
            run,
            secrets: Arc::default(),
            begun,
            pending: Vec::new(),
            in_flight: VecDeque::new(),
            started: None,
        }
    }

    /// A recorder for migrations that run beside those of this one. What it has not stored when it ends is to be
    /// [taken over](Self::absorb).
    pub(super) fn beside(&self) -> Self {
        Self {
            clock: self.clock,
            shared: Arc::clone(&self.shared),
            run: self.run.clone(),
            secrets: Arc::clone(&self.secrets),
            begun: self.begun,
            pending: Vec::new(),
            in_flight: VecDeque::new(),
            started: None,
        }
    }

    /// Takes over what another recorder of the run has not stored.
    pub(super) fn absorb(&mut self, mut other: Self) {
        other.step_failed();
        other.not_stored();
        self.pending.append(&mut other.pending);
    }

    fn shared(&self) -> MutexGuard<'_, Shared<'w>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// From now on events do not show these.
    pub(super) fn hide(&mut self, secrets: Secrets) {
        self.secrets = Arc::new(secrets);
    }

    /// What no event shows.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Every event comes by here, whoever will see it: what is secret in it is starred.
    fn stamp(&self, mut kind: EventKind) -> RunEvent {
        self.secrets.star_event(&mut kind);
        let elapsed = self.clock.monotonic().saturating_sub(self.begun);
        RunEvent { at_micros: self.clock.now_micros(), elapsed, kind }
    }

    fn number(&self, event: RunEvent) -> Numbered {
        Numbered { seq: self.shared().number(), event }
    }

    /// Something happened that belongs into the journal.
    pub(super) fn tell(&mut self, kind: EventKind) {
        let event = self.stamp(kind);
        self.shared().show(&event);
        let numbered = self.number(event);
        self.pending.push(numbered);
    }

    /// Something that only watchers and JSON lines need: waiting, which is over once anything can be written.
    pub(super) fn mention(&mut self, kind: EventKind) {
        let event = self.stamp(kind);
        self.shared().show(&event);
    }

    /// A step begins. Its history row will carry the event; only if the step fails is it stored by itself.
    pub(super) fn step_started(&mut self, kind: EventKind) {
        let event = self.stamp(kind);
        self.shared().show(&event);
        self.started = Some(self.number(event));
    }

    /// What the history row of the step at hand carries: the event of its beginning and the number of that of its end.
    pub(super) fn closing(&mut self) -> Option<Reserved> {
        let ended = self.shared().number();
        self.started.clone().map(|started| Reserved { started, ended })
    }

    /// The step failed: its beginning is an event like any other.
    pub(super) fn step_failed(&mut self) {
        self.pending.splice(0..0, self.started.take());
    }

    /// The text that stores everything so far; empty where there is nothing. What was sent before and never heard of
    /// again goes along.
    pub(super) fn flush(&mut self) -> String {
        self.not_stored();
        self.flush_behind()
    }

    /// As [`flush`](Self::flush), for a transaction that is sent behind others whose outcome is not known yet.
    pub(super) fn flush_behind(&mut self) -> String {
        self.in_flight.push_back(std::mem::take(&mut self.pending));
        self.in_flight.back().map_or_else(String::new, |events| journal::insert_events(&self.run, events))
    }

    /// What was sent first is committed.
    pub(super) fn stored(&mut self) {
        self.in_flight.pop_front();
    }

    /// The history row is committed, and with it the beginning and the end of the step.
    pub(super) fn step_stored(&mut self) {
        self.stored();
        self.started = None;
    }

    /// What was sent did not commit: it goes with the next transaction.
    fn not_stored(&mut self) {
        let later = std::mem::take(&mut self.pending);
        self.pending = std::mem::take(&mut self.in_flight).into_iter().flatten().collect();
        self.pending.extend(later);
    }

    /// A step that is sent while another one is under way: its beginning, which its history row will carry, and the
    /// number of its end. Nobody hears of it before [`step_begins`](Self::step_begins).
    pub(super) fn reserve_step(&mut self, kind: EventKind) -> Reserved {
        let event = self.stamp(kind);
        let started = self.number(event);
        Reserved { started, ended: self.shared().number() }
    }

    /// The reserved step is the one at hand.
    pub(super) fn step_begins(&mut self, reserved: &Reserved) {
        let event = self.stamp(reserved.started.event.kind.clone());
        self.shared().show(&event);
        // Should it fail, the journal says what was told: that it began when it was its turn.
        self.started = Some(Numbered { seq: reserved.started.seq, event });
    }

    /// The end of a step, for watchers; the journal has it already.
    pub(super) fn step_finished(
        &mut self,
        migration: &MigrationId,
        statements: u32,
        took: Duration,
        attempts: u32,
    ) {
        self.mention(EventKind::StepFinished { migration: migration.clone(), statements, took, attempts });
    }

    /// The migrations that were told as finished.
    pub(super) fn finished(&self) -> Vec<MigrationId> {
        let finished = |event: &RunEvent| match &event.kind {
            EventKind::StepFinished { migration, .. } => Some(migration.clone()),
            _ => None,
        };
        self.shared().all.iter().filter_map(finished).collect()
    }

    /// Everything that happened.
    pub(super) fn into_events(self) -> Vec<RunEvent> {
        std::mem::take(&mut self.shared().all)
    }
}
