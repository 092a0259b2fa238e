//! Keeps an eye on a request that takes long: who blocks it (asked on another session), and whether it should be
//! cancelled because the user says so or because a wait outside a transaction has lasted too long.

use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cutover_postgres::session::{CancelToken, Row};
use tokio::time::Instant;

use super::monitor::Monitor;
use crate::run::Blocker;
use crate::secrets::Secrets;
use crate::stop::Stop;

/// A request that is answered within this time is not looked at: 3 ms.
const FIRST_LOOK: Duration = Duration::from_millis(3);
/// Pause between later looks.
const LATER_LOOKS: Duration = Duration::from_millis(500);
/// Characters shown of the query of a session in the way.
const QUERY_SHOWN: usize = 200;

/// What became of a watched request.
pub(super) enum Watched<T> {
    /// It was answered.
    Done(T),
    /// A cancel was sent; this is how it was answered.
    Cancelled(T),
}

/// The watching side: another session, and what it has seen.
pub(super) struct Watch<'a> {
    monitor: &'a mut Monitor,
    stop: &'a Stop,
    secrets: Secrets,
    /// Sessions seen in the way since [`Watch::forget`].
    pub(super) blockers: Vec<Blocker>,
    /// A request blocked for longer than this in all is cancelled; for statements that run without a lock timeout.
    pub(super) longest_block: Option<Duration>,
    /// Set when `longest_block` was the reason of the cancel.
    pub(super) gave_up: bool,
    /// Requests to cancel are not heard: what is being done undoes what a cancelled statement left.
    pub(super) deaf: bool,
}

impl<'a> Watch<'a> {
    /// `secrets` are starred in the queries of sessions in the way.
    pub(super) fn new(monitor: &'a mut Monitor, stop: &'a Stop, secrets: Secrets) -> Self {
        let blockers = Vec::new();
        Self { monitor, stop, secrets, blockers, longest_block: None, gave_up: false, deaf: false }
    }

    /// Starts a new count of blockers.
    pub(super) fn forget(&mut self) {
        self.blockers.clear();
        self.gave_up = false;
    }

    /// Whether the user asked to cancel.
    pub(super) fn stop(&self) -> &Stop {
        self.stop
    }

    /// The session that holds the runner's lock, for questions while the worker is idle.
    pub(super) fn monitor(&mut self) -> &mut Monitor {
        self.monitor
    }

    /// Waits for `request`, looking now and then. The request is waited for whatever becomes of the looks, and a request
    /// to cancel is heard even while a look hangs.
    pub(super) async fn during<T>(
        &mut self,
        request: impl Future<Output = T>,
        pid: i32,
        cancel: CancelToken,
    ) -> Watched<T> {
        let cancelled = AtomicBool::new(false);
        let (stop, deaf) = (self.stop, self.deaf);
        let answer = {
            let hearing = async {
                if !deaf {
                    hear(stop, &cancel, &cancelled).await;
                }
                std::future::pending::<Infallible>().await
            };
            let looking = self.look_on(pid, &cancel, &cancelled);
            // A look that is under way when the answer comes is let go of: its own answer is read by nobody.
            tokio::select! {
                biased;
                answer = request => answer,
                never = hearing => match never {},
                never = looking => match never {},
            }
        };
        if cancelled.into_inner() { Watched::Cancelled(answer) } else { Watched::Done(answer) }
    }

    /// Looks until it is dropped.
    async fn look_on(&mut self, pid: i32, cancel: &CancelToken, cancelled: &AtomicBool) -> Infallible {
        let mut pause = FIRST_LOOK;
        let mut blocked_since: Option<Instant> = None;
        loop {
            tokio::time::sleep(pause).await;
            pause = LATER_LOOKS;
            match self.look(pid).await {
                Some(blockers) if blockers.is_empty() => blocked_since = None,
                Some(blockers) => {
                    self.blockers = blockers;
                    blocked_since.get_or_insert_with(Instant::now);
                }
                // Nobody could be asked: what was seen last stands.
                None => {}
            }
            let too_long = |since: Instant| self.longest_block.is_some_and(|most| since.elapsed() > most);
            if blocked_since.is_some_and(too_long) && !cancelled.load(Ordering::Relaxed) {
                self.gave_up = true;
                send_cancel(cancel, cancelled).await;
            }
        }
    }

    async fn look(&mut self, pid: i32) -> Option<Vec<Blocker>> {
        let rows = self.monitor.blockers(pid).await?;
        let blocker = |row: &Row| {
            let mut blocker = Blocker {
                pid: row.get(0),
                user: row.get(1),
                application: row.get(2),
                state: row.get(3),
                transaction_seconds: row.get(4),
                query: row.get(5),
            };
            // First starred, then cut: half a password is not known for one.
            self.secrets.star_blocker(&mut blocker);
            blocker.query = blocker.query.chars().take(QUERY_SHOWN).collect();
            blocker
        };
        Some(rows.iter().map(blocker).collect())
    }
}

/// Waits for the request to cancel and sends it. One that cannot be delivered is tried again.
async fn hear(stop: &Stop, cancel: &CancelToken, cancelled: &AtomicBool) {
    stop.cancelled().await;
    while !cancelled.load(Ordering::Relaxed) {
        send_cancel(cancel, cancelled).await;
        tokio::time::sleep(LATER_LOOKS).await;
    }
}

/// Says so first: the request may be answered before the server has let go of the one to cancel it.
async fn send_cancel(cancel: &CancelToken, cancelled: &AtomicBool) {
    cancelled.store(true, Ordering::Relaxed);
    cancelled.store(cancel.cancel().await.is_ok(), Ordering::Relaxed);
}
