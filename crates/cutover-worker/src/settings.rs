//! How a worker works.

use std::net::SocketAddr;
use std::time::Duration;

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name, another one for each process.
    pub worker: String,
    /// How many jobs it runs at once, each on a session of its own.
    pub jobs: usize,
    /// How long a lease lasts unless it is kept; it is kept three times as often.
    pub lease: Duration,
    /// The longest pause between two looks.
    pub poll: Duration,
    /// How long runs are remembered.
    pub keep: Duration,
    /// How long runs may go on once it is asked to stop; then they are cancelled.
    pub finish: Duration,
    /// How long to wait at the start for a server that is starting.
    pub wait: Option<Duration>,
    /// Whether it listens for changed declarations.
    pub listen: bool,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
}

impl Settings {
    /// The defaults for a worker of this name.
    pub fn new(worker: impl Into<String>) -> Self {
        Self {
            worker: worker.into(),
            jobs: 4,
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(2),
            keep: Duration::from_secs(7 * 86_400),
            finish: Duration::from_secs(60),
            wait: None,
            listen: true,
            metrics: None,
        }
    }
}
