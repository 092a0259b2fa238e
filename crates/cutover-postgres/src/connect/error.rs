//! Why no connection came about.

use std::fmt;

use crate::message::ServerMessage;
use crate::sqlstate;

/// One thing that was tried and how it ended. Holds no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What was tried: host, port, user, database, sslmode.
    pub target: String,
    /// What happened.
    pub happened: String,
    /// What can be done about it; empty when nothing general can be said.
    pub advice: String,
    /// What the server said, where it said something.
    pub server: Option<ServerMessage>,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {}", self.target, self.happened)
    }
}

/// Why no connection came about. Messages say what was tried and what happened; [`ConnectError::advice`] what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The options contradict each other or cannot be read.
    #[error("{message}")]
    Usage {
        /// What is wrong, naming where it was written.
        message: String,
        /// What to do; may be empty.
        advice: String,
    },
    /// Nothing answers there: refused, no such host, no such socket, timeout, connection cut off.
    #[error("{0}")]
    Unreachable(Box<Attempt>),
    /// The server is there and not ready yet (starting, recovering, stopping).
    #[error("{0}")]
    Starting(Box<Attempt>),
    /// The login was refused: password, role, `pg_hba.conf`, channel binding.
    #[error("{0}")]
    Auth(Box<Attempt>),
    /// TLS could not be agreed on, or the certificate does not hold.
    #[error("{0}")]
    Tls(Box<Attempt>),
    /// The database does not exist.
    #[error("{0}")]
    NoSuchDatabase(Box<Attempt>),
    /// The server refused for another reason: too many connections, no privilege, a bad startup setting.
    #[error("{0}")]
    Refused(Box<Attempt>),
    /// A connection pooler is in between that does not take the settings a session begins with.
    #[error("{0}")]
    Pooler(Box<Attempt>),
    /// Servers answer, but none is of the kind `target_session_attrs` asks for.
    #[error("{0}")]
    WrongServer(Box<Attempt>),
}

impl ConnectError {
    pub(crate) fn usage(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), advice: advice.into() }
    }

    /// What can be done about it; empty when nothing general can be said.
    pub fn advice(&self) -> &str {
        match self {
            Self::Usage { advice, .. } => advice,
            _ => self.attempt().map_or("", |attempt| &attempt.advice),
        }
    }

    /// What was tried; `None` for a usage error.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Usage { .. } => None,
            Self::Unreachable(attempt)
            | Self::Starting(attempt)
            | Self::Auth(attempt)
            | Self::Tls(attempt)
            | Self::NoSuchDatabase(attempt)
            | Self::Refused(attempt)
            | Self::Pooler(attempt)
            | Self::WrongServer(attempt) => Some(attempt),
        }
    }

    pub(crate) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match self {
            Self::Usage { .. } => None,
            Self::Unreachable(attempt)
            | Self::Starting(attempt)
            | Self::Auth(attempt)
            | Self::Tls(attempt)
            | Self::NoSuchDatabase(attempt)
            | Self::Refused(attempt)
            | Self::Pooler(attempt)
            | Self::WrongServer(attempt) => Some(attempt),
        }
    }

    /// Whether trying again in a moment may help, which is what waiting for a server does.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Starting(_))
    }

    /// Sorts what a server said while a session was being established.
    pub(crate) fn from_server(target: String, message: &ServerMessage) -> Self {
        let code = message.code.as_str();
        let (make, advice): (fn(Box<Attempt>) -> Self, &str) = match code {
            sqlstate::CANNOT_CONNECT_NOW => {
                (Self::Starting, "the server is starting or stopping: try again in a moment, or wait for it")
            }
            sqlstate::NO_SUCH_DATABASE => (Self::NoSuchDatabase, "create the database, or correct its name"),
            sqlstate::INVALID_PASSWORD => (
                Self::Auth,
                "check the password: PGPASSWORD, the password file, or the URL in the environment",
            ),
            sqlstate::TOO_MANY_CONNECTIONS => {
                (Self::Refused, "close other sessions, or raise max_connections or the role's limit")
            }
            sqlstate::INSUFFICIENT_PRIVILEGE => {
                (Self::Refused, "grant the role CONNECT on the database, or use another role")
            }
            sqlstate::INVALID_AUTHORIZATION => (
                Self::Auth,
                "check the role's name and that pg_hba.conf has a line for this host, role and database",
            ),
            _ if message.message.contains("unsupported startup parameter") => (
                Self::Pooler,
                "a connection pooler is in between, and a run needs the settings its sessions begin with: connect to the \
                 server itself, past the pooler",
            ),
            _ if sqlstate::is_authorization(code) => (Self::Auth, "check the role and how it may log in"),
            _ => (Self::Refused, message.hint.as_deref().unwrap_or("")),
        };
        let mut happened = format!("the server says: {message}");
        if let Some(detail) = &message.detail {
            happened = format!("{happened}: {detail}");
        }
        make(Box::new(Attempt { target, happened, advice: advice.to_owned(), server: Some(message.clone()) }))
    }
}
