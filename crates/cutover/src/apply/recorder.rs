//! Events on their way: to whoever watches at once, and to the journal with the next transaction that commits.

use std::time::Duration;

use crate::clock::Clock;
use crate::history::journal::{self, Numbered};
use crate::migration::MigrationId;
use crate::run::{EventKind, EventSink, RunEvent};

/// Gives events their time and number.
pub(super) struct Recorder<'w> {
    clock: &'w dyn Clock,
    sink: &'w mut dyn EventSink,
    run: String,
    begun: Duration,
    next: u64,
    /// Not yet in the journal.
    pending: Vec<Numbered>,
    /// Sent with a transaction whose outcome is not known yet.
    in_flight: Vec<Numbered>,
    /// All events of the run, for the document the caller gets.
    all: Vec<RunEvent>,
}

impl<'w> Recorder<'w> {
    pub(super) fn new(run: String, clock: &'w dyn Clock, sink: &'w mut dyn EventSink) -> Self {
        let begun = clock.monotonic();
        Self { clock, sink, run, begun, next: 0, pending: Vec::new(), in_flight: Vec::new(), all: Vec::new() }
    }

    pub(super) fn run(&self) -> &str {
        &self.run
    }

    fn stamp(&self, kind: EventKind) -> RunEvent {
        let elapsed = self.clock.monotonic().saturating_sub(self.begun);
        RunEvent { at_micros: self.clock.now_micros(), elapsed, kind }
    }

    fn number(&mut self, event: RunEvent) -> Numbered {
        self.next += 1;
        Numbered { seq: self.next, event }
    }

    /// Something happened that belongs into the journal.
    pub(super) fn tell(&mut self, kind: EventKind) {
        let event = self.stamp(kind);
        self.sink.event(&event);
        self.all.push(event.clone());
        let numbered = self.number(event);
        self.pending.push(numbered);
    }

    /// Something that only watchers and JSON lines need: waiting, which is over once anything can be written.
    pub(super) fn mention(&mut self, kind: EventKind) {
        let event = self.stamp(kind);
        self.sink.event(&event);
        self.all.push(event);
    }

    /// The text that stores everything so far and the end of a step. Call [`Self::stored`] once it is committed.
    pub(super) fn closing_events(&mut self, migration: &MigrationId, statements: u32, attempts: u32) -> String {
        self.not_stored();
        let kind = EventKind::StepFinished {
            migration: migration.clone(),
            statements,
            // Replaced by the server's own measurement when it is read.
            took: Duration::ZERO,
            attempts,
        };
        let event = self.stamp(kind);
        let finished = self.number(event);
        self.in_flight = std::mem::take(&mut self.pending);
        journal::insert_events(&self.run, &self.in_flight, Some(&finished))
    }

    /// The text that stores everything so far; empty where there is nothing.
    pub(super) fn flush(&mut self) -> String {
        self.not_stored();
        self.in_flight = std::mem::take(&mut self.pending);
        journal::insert_events(&self.run, &self.in_flight, None)
    }

    /// What was sent is committed.
    pub(super) fn stored(&mut self) {
        self.in_flight.clear();
    }

    /// What was sent did not commit: it goes with the next transaction.
    fn not_stored(&mut self) {
        if !self.in_flight.is_empty() {
            let later = std::mem::take(&mut self.pending);
            self.pending = std::mem::take(&mut self.in_flight);
            self.pending.extend(later);
        }
    }

    /// The end of a step, for watchers; the journal has it already.
    pub(super) fn step_finished(&mut self, migration: &MigrationId, statements: u32, took: Duration, attempts: u32) {
        self.mention(EventKind::StepFinished { migration: migration.clone(), statements, took, attempts });
    }

    /// Everything that happened.
    pub(super) fn into_events(self) -> Vec<RunEvent> {
        self.all
    }
}
