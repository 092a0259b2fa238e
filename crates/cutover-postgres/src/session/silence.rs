//! A server that says nothing: is it at work, or has the network swallowed what was asked, or the answer? Another session
//! looks. It decides nothing about what was asked: whether that took effect is not known.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Session, Startup};
use crate::connect::{ConnectError, ConnectOptions};
use crate::wire::{SharedRecorder, lock};

/// How long a server may say nothing before it is looked whether it is at work, where a [`Startup`] says nothing else:
/// 15 s.
pub const SILENCE: Duration = Duration::from_secs(15);
/// A statement may take hours: the pauses between two looks grow to so many times the first one.
const RARER: u32 = 4;
/// How long a look may take, connecting included: 10 s.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How long an answer that the server has given may be on its way: 1 s.
const UNDERWAY: Duration = Duration::from_secs(1);

/// What another session sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The server is at work on what was asked, or waits itself: for a lock, the disk, a standby.
    AtWork,
    /// It has nothing to do for the session, waits for its client, or does not know it any more.
    NothingToDo,
    /// It answers, and does not tell: it takes no more sessions, or a pooler hides who is who.
    Untold,
    /// Nothing answers.
    Unreachable,
}

/// How to look whether a server is at work for a session.
#[derive(Debug)]
pub(super) struct Lookout {
    /// The same server at the same address, and no other.
    options: ConnectOptions,
    /// Nothing may come and go for so long before somebody looks.
    silence: Duration,
}

impl Lookout {
    pub(super) fn new(options: ConnectOptions, silence: Duration) -> Self {
        Self { options, silence }
    }

    /// Boxed, with its type written out: connecting asks questions in its turn.
    fn look(&self, process: i32) -> Pin<Box<dyn Future<Output = Seen> + Send + '_>> {
        Box::pin(async move {
            let looking = tokio::time::timeout(LOOK_LIMIT, self.ask(process));
            looking.await.unwrap_or(Seen::Unreachable)
        })
    }

    async fn ask(&self, process: i32) -> Seen {
        let startup = Startup { silence: None, ..Startup::default() };
        let mut session = match Session::connect(&self.options, &startup).await {
            Ok(session) => session,
            Err(ConnectError::Unreachable(_)) => return Seen::Unreachable,
            Err(error) => {
                tracing::debug!(%error, "whether the server is at work is not known");
                return Seen::Untold;
            }
        };
        // Through a pooler a session has another number than its process. One that waits for its client in the middle of a
        // request counts as active.
        let ask = format!(
            "SELECT CASE WHEN pg_catalog.pg_backend_pid() <> {} THEN 'pooled' ELSE coalesce((SELECT CASE \
             WHEN wait_event IN ('ClientRead', 'ClientWrite') THEN 'idle' ELSE coalesce(state, 'untold') END \
             FROM pg_catalog.pg_stat_activity WHERE pid = {process}), 'gone') END",
            session.backend_pid()
        );
        let seen = match session.query_text(&ask).await.as_ref().map(|done| done.scalar()) {
            Ok(Some("gone")) => Seen::NothingToDo,
            Ok(Some(state)) if state.starts_with("idle") => Seen::NothingToDo,
            Ok(Some("pooled" | "untold" | "disabled")) => Seen::Untold,
            Ok(_) => Seen::AtWork,
            Err(_) => Seen::Unreachable,
        };
        session.close().await;
        seen
    }
}

/// What it takes to wait for the answers of one session.
pub(super) struct Ear {
    pub(super) lookout: Option<Arc<Lookout>>,
    pub(super) recorder: SharedRecorder,
}

impl Ear {
    /// Waits for an answer as long as one can come: as long as bytes come or go, or the server is seen at work.
    ///
    /// # Errors
    /// In words, why none is waited for any more.
    pub(super) async fn hear<T>(self, mut answer: Pin<&mut impl Future<Output = T>>) -> Result<T, String> {
        let Some(lookout) = &self.lookout else { return Ok(answer.await) };
        let (mut pause, mut since) = (lookout.silence, Instant::now());
        loop {
            if let Ok(answer) = tokio::time::timeout_at(since + pause, &mut answer).await {
                return Ok(answer);
            }
            if self.has_moved(&mut since) {
                continue;
            }
            let seen = tokio::select! {
                biased;
                answer = &mut answer => return Ok(answer),
                seen = lookout.look(self.process()) => seen,
            };
            let why = match seen {
                Seen::AtWork => {
                    (pause, since) = ((pause * 2).min(lookout.silence * RARER), Instant::now());
                    continue;
                }
                Seen::Untold => {
                    since = Instant::now();
                    continue;
                }
                Seen::NothingToDo => "the server is not at work on it any more",
                Seen::Unreachable => "the server cannot be reached anew",
            };
            if let Ok(answer) = tokio::time::timeout(UNDERWAY, &mut answer).await {
                return Ok(answer);
            }
            if !self.has_moved(&mut since) {
                return Err(format!("it did not answer within {} s, and {why}", pause.as_secs_f64()));
            }
        }
    }

    fn process(&self) -> i32 {
        lock(&self.recorder).state().backend.map_or(0, |(process, _)| process)
    }

    /// Whether bytes came or went since then, and if so, when they last did.
    fn has_moved(&self, since: &mut Instant) -> bool {
        let moved = lock(&self.recorder).state().moved.filter(|moved| *moved > *since);
        *since = moved.unwrap_or(*since);
        moved.is_some()
    }
}
