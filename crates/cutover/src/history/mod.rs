//! What was applied, by whom, when and with what outcome; the runner's lock and fencing; the journal of units.
//!
//! It must not decide what to run: that is `plan`'s and `apply`'s work.

pub mod compress;
pub mod differences;
pub mod journal;
pub mod lock;
pub mod records;
pub mod schema;
pub mod snapshots;
pub mod units;

use cutover_postgres::session::Failure;
use thiserror::Error;

/// Why the history could not be read or written.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// Schema `cutover` exists but is not ours to trust.
    #[error(
        "schema \"cutover\" (owner {owner}) cannot be trusted: {why}\nnothing was written; look at it, and drop or rename it, or connect as the role that applied the earlier migrations"
    )]
    ForeignSchema {
        /// Its owner.
        owner: String,
        /// What is wrong with it.
        why: String,
    },
    /// The role may not read the history.
    #[error(
        "role {role} may not read the history in schema \"cutover\" (owner {owner})\n  hint: connect as the role that applied the \
         earlier migrations, or as a member of it; to look only: GRANT USAGE ON SCHEMA cutover TO {quoted}; \
         GRANT SELECT ON ALL TABLES IN SCHEMA cutover TO {quoted}\nnothing was written",
        quoted = cutover_analysis::sql::quote_ident(role)
    )]
    Unreadable {
        /// Owner of the schema.
        owner: String,
        /// The role.
        role: String,
    },
    /// A newer build wrote the history.
    #[error(
        "the history in schema \"cutover\" has version {found}, this build knows {known}: use a newer cutover"
    )]
    NewerSchema {
        /// Version found.
        found: i32,
        /// Version known.
        known: i32,
    },
    /// What is between here and the server does not keep sessions apart.
    #[error(
        "a connection pooler is between here and the server, and {0}: locks and settings of a session cannot be relied on\n\
         nothing was written; connect to the server itself, past the pooler"
    )]
    Pooler(String),
    /// Another runner kept the lock for longer than the wait allowed.
    #[error(
        "the runner's lock was not obtained within {waited_seconds} s: it is held by {holder}\nnothing was done; it is safe to try again"
    )]
    LockNotObtained {
        /// Who holds it, in words.
        holder: String,
        /// Seconds waited.
        waited_seconds: u64,
    },
    /// The wait was given up on request.
    #[error("interrupted while waiting for the runner's lock; nothing was done")]
    Interrupted,
    /// The server refused, or the connection is gone.
    #[error("{0}")]
    Failed(#[from] Failure),
    /// Something in our own tables is not as we write it.
    #[error("the history is not as expected: {0}")]
    Unexpected(String),
}
