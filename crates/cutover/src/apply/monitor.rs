//! The session that holds the runner's lock, asks who blocks, and writes the journal. It can be lost while the worker
//! lives: ended by somebody, cut off, or silent. Then the lock is taken again on a new session, unless another runner
//! has taken over; the fencing token keeps the two apart meanwhile.
//!
//! It decides nothing about steps: whoever needs the lock asks, and is told what is true.

use std::time::Duration;

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Row, Session};
use tokio::time::Instant;

use super::{application_name, own_startup};
use crate::history::lock::{self, Regained};
use crate::run::EventKind;

/// A session that does not answer within this time counts as lost: 5 s. What it is asked takes milliseconds. What it writes
/// may wait for the disk or a standby, and is waited for as any answer: see [`Startup::silence`](cutover_postgres::session::Startup).
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long to try to connect again.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait for a holder of the lock that may be the old session, or somebody who needs it for a moment.
const HOLDER_LIMIT: Duration = Duration::from_secs(2);
/// Pause between attempts to get the lock back while a statement runs.
const PAUSE: Duration = Duration::from_secs(5);

const BLOCKERS: &str = "
SELECT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.state, 'unknown'),
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8, coalesce(a.query, '')
  FROM unnest(pg_blocking_pids($1)) AS b (pid) JOIN pg_stat_activity a ON a.pid = b.pid
 -- A build may wait for the snapshot of this very question.
 WHERE a.pid <> pg_backend_pid()
 GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 5 DESC LIMIT 10";

/// The runner's lock is not held any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockLost {
    /// Why the session that held it was lost.
    pub(super) why: String,
    /// Why it could not be had again.
    pub(super) now: Now,
}

/// How to come to another session of this run, without what the first one holds.
pub(super) struct Way {
    options: ConnectOptions,
    run: String,
}

impl Way {
    /// A new session, where one comes about in time.
    pub(super) async fn connect(&self) -> Option<Session> {
        let startup = own_startup(&self.run, None);
        let connecting = Session::connect(&self.options, &startup);
        tokio::time::timeout(CONNECT_LIMIT, connecting).await.ok()?.ok()
    }
}

/// Who has the lock now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Now {
    /// Another runner, in words.
    TakenOver(String),
    /// Nobody could be asked, in words.
    Unreachable(String),
}

impl std::fmt::Display for LockLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { why, now } = self;
        match now {
            Now::TakenOver(by) => write!(
                f,
                "another runner has taken over ({by}), so this one stops: the session that held its lock was lost ({why})"
            ),
            Now::Unreachable(error) => write!(
                f,
                "the session that held the runner's lock was lost ({why}), and it could not be had again: {error}"
            ),
        }
    }
}

/// See the module.
pub(super) struct Monitor {
    session: Option<Session>,
    options: ConnectOptions,
    run: String,
    token: i64,
    /// Why there is no session.
    lost: String,
    /// When the lock was last tried for in vain.
    tried: Option<Instant>,
    /// What happened and was not told yet.
    news: Vec<EventKind>,
}

impl Monitor {
    /// A session that holds the lock, with the fencing token that goes with it.
    pub(super) fn new(session: Session, options: &ConnectOptions, run: &str, token: i64) -> Self {
        Self {
            session: Some(session),
            options: options.clone(),
            run: run.to_owned(),
            token,
            lost: String::new(),
            tried: None,
            news: Vec::new(),
        }
    }

    /// Takes what happened since the last call, for the run's events.
    pub(super) fn news(&mut self) -> Vec<EventKind> {
        std::mem::take(&mut self.news)
    }

    /// A session that holds the lock, as far as is known without asking: a new one where the old one has ended.
    ///
    /// # Errors
    /// The lock is lost for good, or for now.
    pub(super) async fn ready(&mut self) -> Result<&mut Session, LockLost> {
        // What has arrived from the server already, a goodbye too, is read first.
        tokio::task::yield_now().await;
        self.notice().await;
        if self.session.is_none() {
            self.take_again().await?;
        }
        self.session.as_mut().ok_or_else(|| LockLost {
            why: self.lost.clone(),
            now: Now::Unreachable("it ended again".to_owned()),
        })
    }

    /// As [`ready`](Self::ready), and it answers.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub(super) async fn answering(&mut self) -> Result<&mut Session, LockLost> {
        self.ping().await;
        self.ready().await
    }

    /// A session for the journal of this run, which needs no lock: the one there is, or else a new one, with the lock
    /// where it can be had.
    ///
    /// # Errors
    /// As connecting.
    pub(super) async fn for_journal(&mut self) -> Result<&mut Session, Failure> {
        self.ping().await;
        if self.session.is_none() && self.take_again().await.is_err() {
            let startup = own_startup(&self.run, Some(CONNECT_LIMIT));
            let connecting = Session::connect(&self.options, &startup);
            let session = tokio::time::timeout(CONNECT_LIMIT * 2, connecting).await;
            let session = session.map_err(|_| Failure::Lost("no new connection came about".to_owned()))?;
            self.session = Some(session.map_err(|error| Failure::Lost(error.to_string()))?);
        }
        self.session.as_mut().ok_or_else(|| Failure::Lost(self.lost.clone()))
    }

    /// Whether the session lives, as far as is known without asking.
    pub(super) fn is_there(&self) -> bool {
        self.session.as_ref().is_some_and(|session| !session.is_closed())
    }

    /// The session as it is, without asking whether it lives.
    pub(super) fn session(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    /// The way to another session.
    pub(super) fn way(&self) -> Way {
        Way { options: self.options.clone(), run: self.run.clone() }
    }

    /// Goes on with this session for the journal, which needs no lock. The silent one is ended, so that its lock keeps
    /// nobody waiting.
    pub(super) async fn go_on_with(&mut self, mut session: Session) {
        let application = application_name(&self.run);
        let regaining = lock::regain(&mut session, &application, self.token, HOLDER_LIMIT);
        let regained = tokio::time::timeout(HOLDER_LIMIT + ANSWER_LIMIT, regaining).await;
        tracing::debug!(?regained, "another session goes on");
        self.session = Some(session);
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        if let Some(session) = self.session {
            session.close().await;
        }
    }

    /// The sessions that block process `pid`; `None` where nobody could be asked. A session that does not answer is
    /// given up, and the lock taken again now and then.
    pub(super) async fn blockers(&mut self, pid: i32) -> Option<Vec<Row>> {
        self.notice().await;
        if self.session.is_none() {
            if self.tried.is_some_and(|at| at.elapsed() < PAUSE) {
                return None;
            }
            self.take_again().await.ok()?;
        }
        let session = self.session.as_mut()?;
        match tokio::time::timeout(ANSWER_LIMIT, session.query(BLOCKERS, &[&pid])).await {
            Ok(Ok(rows)) => Some(rows),
            Ok(Err(Failure::Lost(why))) => {
                self.lose(why);
                None
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "who blocks is not known");
                None
            }
            Err(_) => {
                self.lose(silent());
                None
            }
        }
    }

    async fn ping(&mut self) {
        let Some(session) = &mut self.session else { return };
        // Not a simple query: its answer may never be waited for.
        match tokio::time::timeout(ANSWER_LIMIT, session.query("SELECT 1", &[])).await {
            Ok(Err(Failure::Lost(why))) => self.lose(why),
            Ok(_) => {}
            Err(_) => self.lose(silent()),
        }
    }

    /// Takes note of a connection that has ended; asks nobody.
    async fn notice(&mut self) {
        if self.session.as_ref().is_some_and(Session::is_closed) {
            self.ping().await;
        }
    }

    fn lose(&mut self, why: String) {
        self.session = None;
        self.news.push(EventKind::RunnerLockLost { why: why.clone() });
        self.lost = why;
    }

    async fn take_again(&mut self) -> Result<(), LockLost> {
        let limit = CONNECT_LIMIT + HOLDER_LIMIT + ANSWER_LIMIT;
        let result = match tokio::time::timeout(limit, self.try_again()).await {
            Ok(result) => result,
            Err(_) => Err(Now::Unreachable("the server does not answer".to_owned())),
        };
        match result {
            Ok(session) => {
                self.session = Some(session);
                self.tried = None;
                self.news.push(EventKind::RunnerLockRegained { token: self.token });
                Ok(())
            }
            Err(now) => {
                self.tried = Some(Instant::now());
                Err(LockLost { why: self.lost.clone(), now })
            }
        }
    }

    async fn try_again(&self) -> Result<Session, Now> {
        let startup = own_startup(&self.run, Some(CONNECT_LIMIT));
        let mut session = Session::connect(&self.options, &startup)
            .await
            .map_err(|error| Now::Unreachable(error.to_string()))?;
        let application = application_name(&self.run);
        match lock::regain(&mut session, &application, self.token, HOLDER_LIMIT).await {
            Ok(Regained::Held) => Ok(session),
            Ok(Regained::TakenOver(by)) => {
                session.close().await;
                Err(Now::TakenOver(by))
            }
            Err(error) => Err(Now::Unreachable(error.to_string())),
        }
    }
}

fn silent() -> String {
    format!("it did not answer within {} s", ANSWER_LIMIT.as_secs())
}
