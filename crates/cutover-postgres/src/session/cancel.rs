//! Cancelling what a session runs, over a connection of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::problem::Problem;
use super::socket::{Endpoint, Wish};

/// Time limit where the session has no `connect_timeout`.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a cancel request did not reach the server.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// The server gave no key for cancelling (some poolers do not).
    #[error("the server gave this session no key for cancelling")]
    NoKey,
    /// No connection came about.
    #[error("the cancel request could not be sent: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("the cancel request was not taken within {0:?}")]
    Timeout(Duration),
}

/// Cancels whatever one session runs at the moment the request arrives; may be used from any task, any number of
/// times.
#[derive(Debug, Clone)]
pub struct CancelToken {
    endpoint: Arc<Endpoint>,
    key: Option<(i32, i32)>,
    encrypted: bool,
}

impl CancelToken {
    pub(super) fn new(endpoint: Arc<Endpoint>, key: Option<(i32, i32)>, encrypted: bool) -> Self {
        Self { endpoint, key, encrypted }
    }

    /// Sends the request, encrypted where the session is, and waits until the server has taken it. That says
    /// nothing of its effect: the statement fails with 57014, or was done before.
    ///
    /// # Errors
    /// When the request cannot be delivered.
    pub async fn cancel(&self) -> Result<(), CancelError> {
        let (process, secret) = self.key.ok_or(CancelError::NoKey)?;
        let limit = self.endpoint.connect_timeout.unwrap_or(LIMIT);
        tokio::time::timeout(limit, self.send(process, secret))
            .await
            .map_err(|_| CancelError::Timeout(limit))?
            .map_err(|problem| CancelError::Unreachable(problem.describe()))
    }

    async fn send(&self, process: i32, secret: i32) -> Result<(), Problem> {
        let wish = if self.encrypted { Wish::Tls } else { Wish::Plain };
        let mut stream = self.endpoint.open(wish).await?.transport;
        let mut request = BytesMut::new();
        frontend::cancel_request(process, secret, &mut request);
        stream.write_all(&request).await.map_err(Problem::Io)?;
        stream.flush().await.map_err(Problem::Io)?;
        // The server closes the connection once the signal is sent; however it does so, it is done.
        match stream.read(&mut [0; 1]).await {
            Ok(_) => Ok(()),
            Err(error) if is_end(&error) => Ok(()),
            Err(error) => Err(Problem::Io(error)),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}
