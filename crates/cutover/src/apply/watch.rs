//! Keeps an eye on a request that takes long: who blocks it (asked on another session), and whether it should be
//! cancelled because the user says so or because a wait outside a transaction has lasted too long.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use cutover_postgres::session::{CancelToken, Row};
use tokio::sync::{Mutex, MutexGuard, Notify, mpsc};
use tokio::time::Instant;

use super::monitor::Monitor;
use crate::run::Blocker;
use crate::secrets::Secrets;
use crate::stop::Stop;

/// A request that is answered within this time is not looked at: 3 ms.
const FIRST_LOOK: Duration = Duration::from_millis(3);
/// Pause between later looks.
const LATER_LOOKS: Duration = Duration::from_millis(500);
/// The same where nobody has seen yet who is in the way, and it is the last chance.
const CLOSE_LOOKS: Duration = Duration::from_millis(50);
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
    monitor: &'a Mutex<Monitor>,
    stop: &'a Stop,
    secrets: Secrets,
    /// Sessions seen in the way since [`Watch::forget`].
    pub(super) blockers: Vec<Blocker>,
    /// A request blocked for longer than this in all is cancelled; for statements that run without a lock timeout.
    pub(super) longest_block: Option<Duration>,
    /// Set when `longest_block` was the reason of the cancel.
    pub(super) gave_up: bool,
    /// Set when a step that ran beside this one has failed: nothing new is to begin.
    halt: Option<&'a AtomicBool>,
    /// Requests to cancel are not heard: what is being done undoes what a cancelled statement left.
    pub(super) deaf: bool,
    /// Looks follow closely on one another, see [`CLOSE_LOOKS`].
    pub(super) closely: bool,
    /// Where to tell of a request that is seen waiting more than once, each time.
    pub(super) tell: Option<mpsc::UnboundedSender<Waiting>>,
}

/// A request was seen waiting, again.
pub(super) struct Waiting {
    /// How often so far, not counting the first time.
    pub(super) looks: u32,
    /// For whom.
    pub(super) blockers: Vec<Blocker>,
}

impl<'a> Watch<'a> {
    /// `secrets` are starred in the queries of sessions in the way.
    pub(super) fn new(monitor: &'a Mutex<Monitor>, stop: &'a Stop, secrets: Secrets) -> Self {
        let blockers = Vec::new();
        Self {
            monitor,
            stop,
            secrets,
            blockers,
            longest_block: None,
            gave_up: false,
            halt: None,
            deaf: false,
            closely: false,
            tell: None,
        }
    }

    /// Lets steps that run beside these keep a next one from beginning.
    pub(super) fn halted_by(self, halt: &'a AtomicBool) -> Self {
        Self { halt: Some(halt), ..self }
    }

    /// Whether another step may begin.
    pub(super) fn may_begin(&self) -> bool {
        !self.stop.is_requested() && !self.halt.is_some_and(|halt| halt.load(Ordering::Relaxed))
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

    /// The session that holds the runner's lock, for questions while the worker is idle; waits while somebody else asks.
    pub(super) async fn monitor(&self) -> MutexGuard<'a, Monitor> {
        self.monitor.lock().await
    }

    /// Whether the session that holds the runner's lock lives, as far as is known without asking. Who asks it something
    /// just now finds out.
    pub(super) fn monitor_is_there(&self) -> bool {
        self.monitor.try_lock().map_or(true, |monitor| monitor.is_there())
    }

    /// Waits for `request`, looking now and then. The request is waited for whatever becomes of the looks, and a request
    /// to cancel is heard even while a look hangs.
    pub(super) async fn during<T>(
        &mut self,
        request: impl Future<Output = T>,
        pid: i32,
        cancel: CancelToken,
    ) -> Watched<T> {
        let (stop, deaf) = (self.stop, self.deaf);
        let wish = Wish::default();
        let mut request = pin!(request);
        let mut hearing = pin!(async {
            if !deaf {
                stop.cancelled().await;
                wish.cancel();
            }
            std::future::pending::<Infallible>().await
        });
        let mut delivering = pin!(wish.deliver(&cancel));
        let mut looking = pin!(self.look_on(pid, &wish));
        let mut delivered = false;
        // A look that is under way when the answer comes is let go of: its own answer is read by nobody.
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut request => break answer,
                () = &mut delivering, if !delivered => delivered = true,
                never = &mut hearing => match never {},
                never = &mut looking => match never {},
            }
        };
        let cancelled = wish.was_sent();
        // What is on its way to the server must not hit the next request.
        while wish.is_on_its_way() {
            tokio::select! {
                () = &mut delivering => {}
                () = wish.settled.notified() => {}
            }
        }
        if cancelled { Watched::Cancelled(answer) } else { Watched::Done(answer) }
    }

    /// Looks until it is dropped.
    async fn look_on(&mut self, pid: i32, wish: &Wish) -> Infallible {
        let mut pause = FIRST_LOOK;
        let mut blocked_since: Option<Instant> = None;
        let mut looks = 0;
        loop {
            tokio::time::sleep(pause).await;
            pause = if self.closely { CLOSE_LOOKS } else { LATER_LOOKS };
            match self.look(pid).await {
                Some(blockers) if blockers.is_empty() => blocked_since = None,
                Some(blockers) => {
                    self.blockers = blockers;
                    // A wait that is over before the next look is no news.
                    if blocked_since.is_some() {
                        looks += 1;
                        self.tell_of(looks);
                    }
                    blocked_since.get_or_insert_with(Instant::now);
                }
                // Nobody could be asked: what was seen last stands.
                None => {}
            }
            let too_long = |since: Instant| self.longest_block.is_some_and(|most| since.elapsed() > most);
            if blocked_since.is_some_and(too_long) && !self.gave_up && !wish.was_sent() {
                self.gave_up = true;
                wish.cancel();
            }
        }
    }

    fn tell_of(&self, looks: u32) {
        if let Some(tell) = &self.tell {
            // Where nobody listens any more the request is as good as answered.
            let _ = tell.send(Waiting { looks, blockers: self.blockers.clone() });
        }
    }

    async fn look(&mut self, pid: i32) -> Option<Vec<Blocker>> {
        let rows = self.monitor.lock().await.blockers(pid).await?;
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

/// The wish to cancel a request, and how far it has come.
#[derive(Default)]
struct Wish {
    wanted: Notify,
    state: AtomicU8,
    /// A delivery has ended, in whatever way.
    settled: Notify,
}

/// Nothing was sent, or it did not reach the server.
const IDLE: u8 = 0;
const ON_ITS_WAY: u8 = 1;
/// The server has taken it.
const TAKEN: u8 = 2;

impl Wish {
    fn cancel(&self) {
        self.wanted.notify_one();
    }

    /// The request may be answered before the server has let go of the one to cancel it: that counts too.
    fn was_sent(&self) -> bool {
        self.state.load(Ordering::Relaxed) != IDLE
    }

    fn is_on_its_way(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ON_ITS_WAY
    }

    /// Sends it once it is wanted. One that cannot be delivered is tried again.
    async fn deliver(&self, cancel: &CancelToken) {
        self.wanted.notified().await;
        loop {
            self.state.store(ON_ITS_WAY, Ordering::Relaxed);
            let taken = cancel.cancel().await.is_ok();
            self.state.store(if taken { TAKEN } else { IDLE }, Ordering::Relaxed);
            self.settled.notify_one();
            if taken {
                return;
            }
            tokio::time::sleep(LATER_LOOKS).await;
        }
    }
}
