//! Keeps an eye on a request that takes long: who blocks it (asked on another session), and whether it should be
//! cancelled because the user says so or because a wait outside a transaction has lasted too long.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use cutover_postgres::session::{CancelToken, Session};
use tokio::time::Instant;

use crate::run::Blocker;
use crate::stop::Stop;

/// A request that is answered within this time is not looked at: 3 ms.
const FIRST_LOOK: Duration = Duration::from_millis(3);
/// Pause between later looks.
const LATER_LOOKS: Duration = Duration::from_millis(500);

const BLOCKERS: &str = "
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.state, 'unknown'),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, left(coalesce(a.query, ''), 200)
  FROM unnest(pg_blocking_pids($1)) AS b (pid) JOIN pg_stat_activity a ON a.pid = b.pid
 GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 5 DESC LIMIT 10";

/// What became of a watched request.
pub(super) enum Watched<T> {
    /// It was answered.
    Done(T),
    /// A cancel was sent; this is how it was answered.
    Cancelled(T),
}

/// The watching side: another session, and what it has seen.
pub(super) struct Watch<'a> {
    monitor: &'a mut Session,
    stop: &'a Stop,
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
    pub(super) fn new(monitor: &'a mut Session, stop: &'a Stop) -> Self {
        Self { monitor, stop, blockers: Vec::new(), longest_block: None, gave_up: false, deaf: false }
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

    /// Another session for questions while the worker is idle.
    pub(super) fn monitor(&mut self) -> &mut Session {
        self.monitor
    }

    /// Waits for `request`, looking now and then.
    pub(super) async fn during<T>(
        &mut self,
        request: impl Future<Output = T>,
        pid: i32,
        cancel: CancelToken,
    ) -> Watched<T> {
        let mut request = pin!(request);
        let mut pause = FIRST_LOOK;
        let mut blocked_since: Option<Instant> = None;
        let mut cancelled = false;
        // Not again at once where a cancel cannot be delivered.
        let mut refused: Option<Instant> = None;
        loop {
            let hears = !cancelled && !self.deaf && refused.is_none_or(|at| at.elapsed() >= LATER_LOOKS);
            tokio::select! {
                biased;
                answer = &mut request => {
                    return if cancelled { Watched::Cancelled(answer) } else { Watched::Done(answer) };
                }
                () = self.stop.cancelled(), if hears => {
                    cancelled = send_cancel(&cancel).await;
                    refused = (!cancelled).then(Instant::now);
                }
                () = tokio::time::sleep(pause) => {
                    pause = LATER_LOOKS;
                    let blockers = self.look(pid).await;
                    if blockers.is_empty() {
                        blocked_since = None;
                        continue;
                    }
                    self.blockers = blockers;
                    let since = *blocked_since.get_or_insert_with(Instant::now);
                    if !cancelled && self.longest_block.is_some_and(|longest| since.elapsed() > longest) {
                        self.gave_up = true;
                        cancelled = send_cancel(&cancel).await;
                    }
                }
            }
        }
    }

    async fn look(&mut self, pid: i32) -> Vec<Blocker> {
        let Ok(rows) = self.monitor.query(BLOCKERS, &[&pid]).await else { return Vec::new() };
        let blocker = |row: &cutover_postgres::session::Row| Blocker {
            pid: row.get(0),
            user: row.get(1),
            application: row.get(2),
            state: row.get(3),
            transaction_seconds: row.get(4),
            query: row.get(5),
        };
        rows.iter().map(blocker).collect()
    }
}

/// A cancel that cannot be delivered is tried again at the next look.
async fn send_cancel(cancel: &CancelToken) -> bool {
    cancel.cancel().await.is_ok()
}
