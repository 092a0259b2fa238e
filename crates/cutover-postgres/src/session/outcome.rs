//! What became of a statement.

use std::fmt;

use crate::message::ServerMessage;
use crate::sqlstate;

/// The transaction status byte of `ReadyForQuery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransactionStatus {
    /// Not in a transaction block.
    #[default]
    Idle,
    /// In a transaction block.
    InTransaction,
    /// In a transaction block that failed: everything but its end is refused, and COMMIT rolls back.
    Failed,
}

impl TransactionStatus {
    pub(crate) fn from_wire(byte: Option<u8>) -> Self {
        match byte {
            Some(b'T') => Self::InTransaction,
            Some(b'E') => Self::Failed,
            _ => Self::Idle,
        }
    }
}

/// A statement (or a text of several) that ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Command tags as the server sent them, one a statement: `CREATE TABLE`, `INSERT 0 5`, and `ROLLBACK` for the
    /// COMMIT of a transaction that had failed.
    pub tags: Vec<String>,
    /// Names of the columns of the last result.
    pub columns: Vec<String>,
    /// Rows as text, `None` for NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows that came and were not kept.
    pub rows_dropped: u64,
}

impl Done {
    /// The last command tag; empty when the text held no statement.
    pub fn tag(&self) -> &str {
        self.tags.last().map_or("", String::as_str)
    }

    /// The first column of the first row.
    pub fn scalar(&self) -> Option<&str> {
        self.rows.first()?.first()?.as_deref()
    }

    /// The number of rows the last command tag speaks of: 5 for `INSERT 0 5`, none for `CREATE TABLE`.
    pub fn rows_affected(&self) -> Option<u64> {
        self.tag().rsplit(' ').next()?.parse().ok()
    }
}

/// A statement that did not run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The server refused it.
    Server(Box<ServerMessage>),
    /// The connection is gone: whether what was in flight took effect is not known. Says why, where that is known.
    Lost(String),
    /// It was never sent, or its answer does not fit what was asked: a mistake of the caller, e.g. a parameter of
    /// the wrong type or a NUL byte in the text.
    Invalid(String),
}

impl Failure {
    /// The server's message, where it sent one.
    pub fn server(&self) -> Option<&ServerMessage> {
        match self {
            Self::Server(message) => Some(message),
            Self::Lost(_) | Self::Invalid(_) => None,
        }
    }

    /// The SQLSTATE, where the server gave one.
    pub fn code(&self) -> Option<&str> {
        self.server().map(|message| message.code.as_str())
    }

    /// Whether another session stood in the way: see [`sqlstate::is_retryable_lock`].
    pub fn is_retryable_lock(&self) -> bool {
        self.code().is_some_and(sqlstate::is_retryable_lock)
    }
}

impl From<ServerMessage> for Failure {
    fn from(message: ServerMessage) -> Self {
        Self::Server(Box::new(message))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(message) => message.fmt(f),
            Self::Lost(why) => write!(f, "the connection to the server was lost: {why}"),
            Self::Invalid(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Failure {}

/// What became of one statement of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementOutcome {
    /// Whether it ran.
    pub result: Result<Done, Failure>,
    /// Command tags as the server sent them, one a statement; those before the error where one of several failed.
    pub tags: Vec<String>,
    /// The transaction status after it, from the wire; after [`Failure::Lost`] the last one known.
    pub status: TransactionStatus,
    /// What the server said while it ran, at most 1,000 messages.
    pub notices: Vec<ServerMessage>,
    /// How many statements of the text had ended before each of the notices.
    pub notices_after: Vec<usize>,
    /// Messages beyond those.
    pub notices_dropped: usize,
    /// Parameters that the server reported to have changed by its end (`client_encoding`, `TimeZone`, …), each with the
    /// value it has then.
    pub parameters: Vec<(String, String)>,
}
