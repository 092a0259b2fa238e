//! Why a worker does not begin, or ends.

use cutover_postgres::connect::ConnectError;
use cutover_postgres::session::Failure;
use thiserror::Error;

/// Why a worker does not begin, or ends.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The server cannot be reached, or does not let the worker in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server refused what the worker asked, or the connection was lost.
    #[error("{0}")]
    Failed(Failure),
    /// Schema `cutover_worker` is not there, and the role may not make it.
    #[error(
        "schema cutover_worker is not there, and role {role} may not make it in database {database}\n  \
         hint: an owner of the database runs GRANT CREATE ON DATABASE {database} TO {role}, or starts a worker once"
    )]
    MayNotCreate {
        /// The current role, quoted where needed.
        role: String,
        /// The database, quoted where needed.
        database: String,
    },
    /// The schema is there, and the role may not use all of it.
    #[error("role {role} may not use all of schema cutover_worker: {missing}\n  hint: its owner {owner} runs\n    {}", grants.join("\n    "))]
    Rights {
        /// The current role.
        role: String,
        /// The owner of the schema.
        owner: String,
        /// What is missing, in words.
        missing: String,
        /// Statements that give it.
        grants: Vec<String>,
    },
    /// Somebody prepared the schema.
    #[error(
        "schema cutover_worker cannot be trusted: {why} (its owner is {owner})\n  hint: look at what it holds; a worker makes it anew once it is dropped"
    )]
    Foreign {
        /// The owner of the schema.
        owner: String,
        /// What is wrong with it.
        why: String,
    },
    /// A newer build made the schema.
    #[error(
        "schema cutover_worker has version {found}, this build knows {known}\n  hint: use the newer cutover"
    )]
    Newer {
        /// The version that is there.
        found: i32,
        /// The one of this build.
        known: i32,
    },
    /// Nothing can be written there.
    #[error("the server is a standby or read-only: a worker writes down what it does")]
    ReadOnly,
    /// Schema `cutover_worker` is not there.
    #[error("schema cutover_worker is not there: no worker was started on this database yet")]
    Missing,
    /// A job cannot be declared.
    #[error("{0}")]
    Declare(String),
    /// The address for metrics cannot be had.
    #[error("metrics cannot be served on {address}: {why}")]
    Metrics {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        why: String,
    },
    /// The jobs cannot be given to `pg_cron`.
    #[error("{0}")]
    PgCron(String),
}

impl From<Failure> for WorkerError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl WorkerError {
    /// Whether the same may go well a little later: the server restarts, is full, or somebody holds a lock.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Connect(error) => !matches!(error, ConnectError::Usage { .. }),
            Self::Failed(Failure::Lost(_)) | Self::ReadOnly => true,
            Self::Failed(Failure::Server(message)) => {
                const PASSING: [&str; 6] = ["08", "25", "40", "53", "55", "57"];
                PASSING.iter().any(|class| message.code.starts_with(class))
            }
            _ => false,
        }
    }
}
