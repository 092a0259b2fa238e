//! One connection to a server. Outcomes (command tags, transaction status, notices) are read from the wire.
//! One set of requests is in flight at a time (`&mut self`); what to run and whether to try again is the caller's.

mod cancel;
mod copy;
mod establish;
mod outcome;
mod pipeline;
mod problem;
mod silence;
mod socket;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

pub use cancel::{CancelError, CancelToken};
pub use copy::{CopyIn, CopyOut};
pub use outcome::{Done, Failure, StatementOutcome, TransactionStatus};
pub use pipeline::{Answer, InFlight};
pub use silence::SILENCE;
pub use tokio_postgres::{Row, SimpleColumn};

pub use crate::message::ServerMessage;
pub use crate::wire::CopySink;

use crate::connect::{ConnectError, ConnectOptions};
use crate::message::error_chain;
use crate::wire::{Cycle, SharedRecorder, lock};
use silence::{Ear, Lookout};
use socket::Endpoint;

/// How long [`Session::close`] waits for the server to end the connection.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What a session starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// `application_name`; when empty, the one of the options, else `cutover`.
    pub application_name: String,
    /// Settings that are the session's defaults (`RESET ALL` returns to them), e.g. `("lock_timeout", "250ms")`.
    /// Sent while connecting, so they cost no round trip.
    pub settings: Vec<(String, String)>,
    /// How long to go on trying while nothing answers or the server is starting; the last try is made when it is over,
    /// and may take a second. `None`: try once.
    pub wait: Option<Duration>,
    /// What is asked is waited for as long as the server is at work on it. Where nothing comes or goes for so long, another
    /// session looks; where the server has nothing to do, or cannot be reached anew, the connection counts as lost, and is
    /// ended. The same time limits connecting to an address where the options have no `connect_timeout`. `None`: both are
    /// waited for without end.
    pub silence: Option<Duration>,
}

impl Default for Startup {
    fn default() -> Self {
        Self { application_name: String::new(), settings: Vec::new(), wait: None, silence: Some(SILENCE) }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    client: Client,
    recorder: SharedRecorder,
    driver: JoinHandle<()>,
    /// Number of simple queries handed to the client: the number the next one has on the wire.
    simple_sent: u64,
    endpoint: Arc<Endpoint>,
    encrypted: bool,
    /// Who looks where the server says nothing.
    lookout: Option<Arc<Lookout>>,
}

impl Session {
    /// Connects to the first server of the list that answers and will do.
    ///
    /// # Errors
    /// See [`ConnectError`]; nothing is left open.
    pub async fn connect(options: &ConnectOptions, startup: &Startup) -> Result<Self, ConnectError> {
        establish::connect(options, startup).await
    }

    /// Process id of the server's backend, as `pg_backend_pid()` gives it.
    pub fn backend_pid(&self) -> i32 {
        lock(&self.recorder).state().backend.map_or(0, |(pid, _)| pid)
    }

    /// The server's version as a number: 150018 for 15.18, 90624 for 9.6.24. Zero when it cannot be read.
    pub fn server_version_num(&self) -> u32 {
        self.parameter("server_version").map_or(0, |version| version_number(&version))
    }

    /// A parameter the server reports by itself: `server_version`, `TimeZone`, `in_hot_standby` (14+),
    /// `standard_conforming_strings`, ...
    pub fn parameter(&self, name: &str) -> Option<String> {
        lock(&self.recorder).state().parameters.get(name).cloned()
    }

    /// Whether the connection is over, or the server has said that it ends it. Known as soon as this process has read
    /// it; nobody is asked.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed() || self.driver.is_finished() || lock(&self.recorder).state().dismissed
    }

    /// Whether the connection was given up because the server said nothing and was not at work, see [`Startup::silence`].
    pub fn fell_silent(&self) -> bool {
        lock(&self.recorder).state().silent
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The transaction status the server gave last.
    pub fn transaction_status(&self) -> TransactionStatus {
        lock(&self.recorder).state().status
    }

    /// Takes the notices that came outside [`pipeline`](Self::pipeline) and its relatives: while connecting, during
    /// [`query`](Self::query), or unasked.
    pub fn take_notices(&mut self) -> Vec<ServerMessage> {
        std::mem::take(&mut lock(&self.recorder).state().other_notices)
    }

    /// How many notifications (`NOTIFY`) came on this session so far. What they said is not kept.
    pub fn notifications(&self) -> u64 {
        lock(&self.recorder).state().notifications
    }

    /// Returns once more than `seen` notifications came: how many there are now.
    ///
    /// # Errors
    /// [`Failure::Lost`] when the connection is over before that.
    pub async fn notified(&self, seen: u64) -> Result<u64, Failure> {
        let notify = Arc::clone(&lock(&self.recorder).state().settled);
        loop {
            let notified = notify.notified();
            let (came, over) = {
                let mut recorder = lock(&self.recorder);
                let state = recorder.state();
                (state.notifications, state.lost.is_some())
            };
            if came > seen {
                return Ok(came);
            }
            if over {
                return Err(self.lost());
            }
            notified.await;
        }
    }

    /// Whether the server is a standby: nothing can be written there.
    ///
    /// # Errors
    /// When the server has to be asked and does not answer.
    pub async fn is_standby(&mut self) -> Result<bool, Failure> {
        if let Some(answer) = self.parameter("in_hot_standby") {
            return Ok(answer == "on");
        }
        let done = self.query_text("SELECT pg_catalog.pg_is_in_recovery()").await?;
        Ok(done.scalar() == Some("t"))
    }

    /// A handle that cancels whatever this session runs, from anywhere.
    pub fn cancel_token(&self) -> CancelToken {
        let key = lock(&self.recorder).state().backend;
        CancelToken::new(Arc::clone(&self.endpoint), key, self.encrypted)
    }

    /// Reads rows with typed columns. Without parameters this is one round trip, otherwise two.
    ///
    /// # Errors
    /// [`Failure::Invalid`] when a parameter does not fit its type.
    pub async fn query(&mut self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        let ear = self.ear();
        let answer = pin!(async {
            let answer = if params.is_empty() {
                self.client.query_typed(sql, &[]).await
            } else {
                self.client.query(sql, params).await
            };
            self.settle(answer).await
        });
        match ear.hear(answer).await {
            Ok(answer) => answer,
            Err(why) => Err(self.give_up(why)),
        }
    }

    /// As [`query`](Self::query) with the parameters' types given, which saves the second round trip.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn query_typed(
        &mut self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Failure> {
        let ear = self.ear();
        let answer = pin!(async {
            let answer = self.client.query_typed(sql, params).await;
            self.settle(answer).await
        });
        match ear.hear(answer).await {
            Ok(answer) => answer,
            Err(why) => Err(self.give_up(why)),
        }
    }

    /// Says goodbye and waits until the server has let go of the session.
    pub async fn close(self) {
        let Self { client, driver, .. } = self;
        drop(client);
        let abort = driver.abort_handle();
        if tokio::time::timeout(CLOSE_LIMIT, driver).await.is_err() {
            abort.abort();
        }
    }

    /// What it takes to wait for an answer.
    fn ear(&self) -> Ear {
        Ear { lookout: self.lookout.clone(), recorder: Arc::clone(&self.recorder) }
    }

    /// Ends the connection of a server that says nothing.
    fn give_up(&self, why: String) -> Failure {
        {
            let mut recorder = lock(&self.recorder);
            let state = recorder.state();
            state.silent = true;
            state.dismissed = true;
            state.status = TransactionStatus::Idle;
            state.lost = Some(why);
            state.settled.notify_waiters();
        }
        // The socket goes with it: should the network come back, the server learns that nobody waits any more.
        self.driver.abort();
        self.lost()
    }

    /// Turns tokio-postgres' error into ours, after the server is ready again (so that the status is true).
    async fn settle<T>(&self, answer: Result<T, tokio_postgres::Error>) -> Result<T, Failure> {
        match answer {
            Ok(value) => Ok(value),
            Err(error) => {
                self.settled().await;
                Err(self.failure(&error))
            }
        }
    }

    /// Waits until every request has been answered, or the connection is over.
    async fn settled(&self) {
        let notify = Arc::clone(&lock(&self.recorder).state().settled);
        loop {
            let notified = notify.notified();
            if lock(&self.recorder).state().is_settled() {
                return;
            }
            notified.await;
        }
    }

    fn failure(&self, error: &tokio_postgres::Error) -> Failure {
        match error.as_db_error() {
            Some(server) => {
                let message = ServerMessage::from(server);
                if message.is_fatal() { Failure::Lost(message.to_string()) } else { message.into() }
            }
            None if self.is_closed() => self.lost(),
            None => Failure::Invalid(error_chain(error)),
        }
    }

    /// The connection is over; why, as far as is known.
    fn lost(&self) -> Failure {
        let mut recorder = lock(&self.recorder);
        let state = recorder.state();
        let Cycle { error, .. } = state.take_unfinished();
        let why = error.map(|error| error.to_string()).or_else(|| state.lost.clone());
        if let Some(why) = &why {
            state.lost = Some(why.clone());
        }
        Failure::Lost(why.unwrap_or_else(|| "the connection was closed".to_owned()))
    }
}

/// `15.18 (Debian 15.18-1)` → 150018, `9.6.24` → 90624, `18beta1` → 180000.
fn version_number(text: &str) -> u32 {
    let digits = |part: &str| {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..end].parse::<u32>().unwrap_or(0)
    };
    let mut parts = text.split('.').map(digits);
    let mut next = || parts.next().unwrap_or(0);
    let major = next();
    if major >= 10 { major * 10_000 + next() } else { major * 10_000 + next() * 100 + next() }
}

#[cfg(test)]
mod tests {
    use super::version_number;

    #[test]
    fn versions_are_numbers() {
        assert_eq!(version_number("15.18 (Debian 15.18-0+deb12u1)"), 150_018);
        assert_eq!(version_number("18beta1"), 180_000);
        assert_eq!(version_number("9.6.24"), 90_624);
        assert_eq!(version_number("unknown"), 0);
    }
}
