//! What can go wrong on the way to a session, and how it is told.

use std::io;
use std::time::Duration;

use super::socket::Wish;
use crate::connect::{Attempt, ConnectError};
use crate::message::{ServerMessage, error_chain};
use crate::tls::{TlsError, late_error};

/// Why a stream or a session did not come about.
#[derive(Debug)]
pub(super) enum Problem {
    Io(io::Error),
    Timeout(Duration),
    Tls(TlsError),
    /// The server has no TLS.
    NoTls,
    /// The server refused.
    Server(Box<ServerMessage>),
    /// The login failed on our side: no password, no channel binding, an unknown method.
    Login(String),
}

impl Problem {
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Io(error) => error_chain(error),
            Self::Timeout(limit) => format!("no answer within {} s (connect_timeout)", limit.as_secs_f64()),
            Self::Tls(error) => error.message.clone(),
            Self::NoTls => "the server does not speak TLS, and sslmode asks for it".to_owned(),
            Self::Server(message) => message.to_string(),
            Self::Login(text) => text.clone(),
        }
    }

    pub(super) fn into_error(self, target: String) -> ConnectError {
        let happened = self.describe();
        let attempt = |advice: &str| {
            Box::new(Attempt { target: target.clone(), happened, advice: advice.to_owned(), server: None })
        };
        match self {
            Self::Server(message) => ConnectError::from_server(target, &message),
            Self::Io(_) | Self::Timeout(_) => {
                ConnectError::Unreachable(attempt("check that the server is running and listens there"))
            }
            Self::NoTls => ConnectError::Tls(attempt(
                "set ssl = on in the server's configuration, or use a lower sslmode where the network is trusted",
            )),
            Self::Tls(error) => ConnectError::Tls(attempt(&error.advice)),
            Self::Login(text) if text.contains("password missing") => {
                let happened = "the server asks for a password and none is known".to_owned();
                let advice = "set PGPASSWORD, or add a line to the password file (~/.pgpass)".to_owned();
                ConnectError::Auth(Box::new(Attempt { target, happened, advice, server: None }))
            }
            Self::Login(text) if text.contains("channel binding") => ConnectError::Auth(attempt(
                "channel_binding=require needs TLS and a password stored as SCRAM-SHA-256",
            )),
            Self::Login(_) => ConnectError::Auth(attempt("")),
        }
    }
}

pub(super) fn login_problem(error: &tokio_postgres::Error) -> Problem {
    if let Some(server) = error.as_db_error() {
        return Problem::Server(Box::new(ServerMessage::from(server)));
    }
    if let Some(error) = late_error(error) {
        return Problem::Tls(error);
    }
    let text = error_chain(error);
    if error.is_closed() {
        return Problem::Io(io::ErrorKind::UnexpectedEof.into());
    }
    if text.starts_with("error communicating with the server") {
        return Problem::Io(io::Error::other(text));
    }
    Problem::Login(text)
}

/// Both ways failed: the second problem decides the kind, the first is told too.
pub(super) fn combine(first: Wish, before: &Problem, after: Problem) -> Problem {
    let names = if first == Wish::Plain { ("without TLS", "with TLS") } else { ("with TLS", "without TLS") };
    let story = |message: &str| format!("{message} ({}); {}: {}", names.1, names.0, before.describe());
    match after {
        Problem::Server(mut message) if message.code != server_code(before) => {
            message.message = story(&message.message);
            Problem::Server(message)
        }
        Problem::Tls(mut error) => {
            error.message = story(&error.message);
            Problem::Tls(error)
        }
        other => other,
    }
}

fn server_code(problem: &Problem) -> &str {
    match problem {
        Problem::Server(message) => &message.code,
        _ => "",
    }
}

/// Whether libpq goes on to the next address or server after this.
pub(super) fn goes_on(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Unreachable(_)
            | ConnectError::Starting(_)
            | ConnectError::WrongServer(_)
            | ConnectError::Tls(_)
    )
}

/// One error for all that was tried: the most telling kind, with what happened everywhere.
pub(super) fn summary(failures: Vec<ConnectError>) -> ConnectError {
    let rank = |error: &ConnectError| match error {
        ConnectError::WrongServer(_) => 3,
        ConnectError::Starting(_) => 2,
        ConnectError::Tls(_) => 1,
        _ => 0,
    };
    let others: Vec<Attempt> = failures.iter().filter_map(ConnectError::attempt).cloned().collect();
    let Some(mut chosen) = failures.into_iter().max_by_key(rank) else {
        return ConnectError::usage("the host name has no address", "");
    };
    if others.len() > 1
        && let Some(attempt) = chosen.attempt_mut()
    {
        for other in others.iter().filter(|other| *other != attempt).cloned().collect::<Vec<_>>() {
            let place = if other.target == attempt.target { "also" } else { other.target.as_str() };
            attempt.happened = format!("{}; {place}: {}", attempt.happened, other.happened);
        }
    }
    chosen
}
