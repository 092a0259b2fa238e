//! What a test asked the proxy to do, and what the proxy has seen.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Longest wait for something a test expects to happen. Reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client to the server.
    Frontend,
    /// From the server to the client.
    Backend,
}

/// When, relative to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// None of it has been passed on.
    Before,
    /// Only its first half has been passed on.
    Inside,
    /// All of it has been passed on.
    After,
}

/// A place in the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    /// Number of the connection; `None` is the first that gets so far.
    pub connection: Option<usize>,
    /// Direction of the message.
    pub direction: Direction,
    /// Number of the message in its direction, from 1, not counting the startup.
    pub message: usize,
    /// Before, inside or after it.
    pub when: When,
}

/// How a connection is cut, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// Closed in good order, as when a process ends.
    Close,
    /// Reset, as when a firewall or a host gives up. What the peer has not read yet may be lost.
    Reset,
}

/// Which connections a cut takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Only the one at the point.
    One,
    /// All that are open.
    All,
}

/// One message seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Message {
    /// Number of its connection.
    pub connection: usize,
    /// Its direction.
    pub direction: Direction,
    /// Its number in that direction, from 1.
    pub number: usize,
    /// Its type, e.g. `b'Q'`.
    pub tag: u8,
    /// Length on the wire in bytes, type included.
    pub length: usize,
}

impl Message {
    /// The place before, inside or after this message.
    pub fn point(&self, when: When) -> Point {
        Point { connection: Some(self.connection), direction: self.direction, message: self.number, when }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionKind {
    /// Has not said yet.
    Starting,
    /// An ordinary session.
    Session,
    /// A session inside TLS: passed on unseen.
    Encrypted,
    /// A request to cancel.
    Cancel,
}

/// A message that waits. Dropping this releases it.
#[derive(Debug)]
pub struct Hold(Arc<HoldState>);

/// A connection that nothing passes through, not even its end. Dropping this lets everything through.
#[derive(Debug)]
pub struct Stall {
    released: watch::Sender<bool>,
    hold: Hold,
}

impl Stall {
    /// Blocks until something has come that does not get through. Panics if nothing does within a minute.
    pub fn wait_reached(&self) {
        self.hold.wait_reached();
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.released.send_replace(true);
    }
}

/// What the relays of a stalled connection wait at.
#[derive(Debug, Clone)]
struct Stalled {
    connection: usize,
    released: watch::Receiver<bool>,
    reached: Arc<HoldState>,
}

#[derive(Debug, Default)]
struct HoldState {
    reached: Mutex<bool>,
    arrived: Condvar,
    release: Notify,
}

impl Hold {
    /// Blocks until the message has come and is held. Panics if it does not come within a minute.
    pub fn wait_reached(&self) {
        let reached = guard(&self.0.reached);
        let waited = self.0.arrived.wait_timeout_while(reached, PATIENCE, |reached| !*reached);
        let (reached, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(*reached, "the message to be held never came");
    }

    /// Lets the message go on.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.release.notify_one();
    }
}

#[derive(Debug)]
enum Action {
    Cut(How, Scope),
    Hold(Arc<HoldState>),
}

/// State that the test and the relays share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    rules: Mutex<Vec<(Point, Action)>>,
    stalls: Mutex<Vec<Stalled>>,
    messages: Mutex<Vec<Message>>,
    connections: Mutex<Vec<ConnectionKind>>,
    cuts: Mutex<usize>,
    cut: Condvar,
    everything: watch::Sender<Option<How>>,
}

impl Shared {
    pub(super) fn add_cut(&self, point: Point, how: How, scope: Scope) {
        guard(&self.rules).push((point, Action::Cut(how, scope)));
    }

    pub(super) fn add_hold(&self, point: Point) -> Hold {
        let state = Arc::new(HoldState::default());
        guard(&self.rules).push((point, Action::Hold(Arc::clone(&state))));
        Hold(state)
    }

    pub(super) fn add_stall(&self, connection: usize) -> Stall {
        let (released, receiver) = watch::channel(false);
        let reached = Arc::new(HoldState::default());
        let stalled = Stalled { connection, released: receiver, reached: Arc::clone(&reached) };
        guard(&self.stalls).push(stalled);
        Stall { released, hold: Hold(reached) }
    }

    /// Waits where the connection is stalled. A message and the end of the connection come by here.
    pub(super) async fn unstalled(&self, connection: usize) {
        let find = || guard(&self.stalls).iter().find(|stalled| stalled.connection == connection).cloned();
        while let Some(mut stalled) = find() {
            *guard(&stalled.reached.reached) = true;
            stalled.reached.arrived.notify_all();
            // Its end, in whatever way, lets everything through.
            let _ = stalled.released.wait_for(|released| *released).await;
            guard(&self.stalls).retain(|other| !Arc::ptr_eq(&other.reached, &stalled.reached));
        }
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        guard(&self.messages).clone()
    }

    pub(super) fn connections(&self) -> Vec<ConnectionKind> {
        guard(&self.connections).clone()
    }

    pub(super) fn cuts(&self) -> usize {
        *guard(&self.cuts)
    }

    pub(super) fn wait_cuts(&self, least: usize) {
        let waited = self.cut.wait_timeout_while(guard(&self.cuts), PATIENCE, |cuts| *cuts < least);
        let (cuts, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(*cuts >= least, "{least} cuts were to happen, {cuts} did");
    }

    pub(super) fn accepted(&self) -> usize {
        let mut connections = guard(&self.connections);
        connections.push(ConnectionKind::Starting);
        connections.len() - 1
    }

    pub(super) fn is(&self, connection: usize, kind: ConnectionKind) {
        guard(&self.connections)[connection] = kind;
    }

    pub(super) fn saw(&self, message: Message) {
        guard(&self.messages).push(message);
    }

    /// Tells when a cut takes all connections that are open now.
    pub(super) fn watch_everything(&self) -> watch::Receiver<Option<How>> {
        self.everything.subscribe()
    }

    /// Does what was asked for this place: returns after a hold, fails with how to cut.
    pub(super) async fn pass(&self, message: Message, when: When) -> Result<(), How> {
        while let Some(action) = self.take(message, when) {
            match action {
                Action::Hold(state) => {
                    *guard(&state.reached) = true;
                    state.arrived.notify_all();
                    state.release.notified().await;
                }
                Action::Cut(how, scope) => {
                    *guard(&self.cuts) += 1;
                    self.cut.notify_all();
                    if scope == Scope::All {
                        self.everything.send_replace(Some(how));
                    }
                    return Err(how);
                }
            }
        }
        Ok(())
    }

    /// Removes and returns the first rule for this place.
    fn take(&self, message: Message, when: When) -> Option<Action> {
        let mut rules = guard(&self.rules);
        let at = rules.iter().position(|(point, _)| {
            let here =
                Point { connection: point.connection.map(|_| message.connection), ..message.point(when) };
            *point == here
        })?;
        Some(rules.remove(at).1)
    }
}

/// A test that panics elsewhere must not make this one panic too.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
