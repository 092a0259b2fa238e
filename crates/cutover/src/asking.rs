//! Why something that is asked of a database, beside the steps of a run, did not come about: one type for whatever asks, so
//! that each failure is taken in, told and ends a command in one way. What is true then is for whoever asked to say.

use cutover_postgres::connect::ConnectError;
use cutover_postgres::sandbox::SandboxError;
use cutover_postgres::session::Failure;
use thiserror::Error;

use crate::apply::ApplyError;
use crate::catalog::CatalogError;
use crate::history::HistoryError;

/// Why something that was asked did not come about. An error of whoever asks takes in all that this does by
/// `impl<E> From<E> for … where AskError: From<E>`.
#[derive(Debug, Error)]
pub enum AskError {
    /// The database could not be read or may not be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The history cannot be trusted, or the runner's lock was not obtained.
    #[error(transparent)]
    History(HistoryError),
    /// A throwaway server, or one of PostgreSQL's programs, did not do its part.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The catalogue is not as it should be.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The server refused, or the connection was lost.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl AskError {
    /// The error with what is true then, where it does not say that itself.
    pub fn told(&self, state: &str) -> String {
        match self {
            Self::Failed(_) | Self::Sandbox(_) | Self::Catalog(_) => format!("{self}\n{state}"),
            Self::Apply(_) | Self::History(_) => self.to_string(),
        }
    }

    /// Somebody asked to stop.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Sandbox(SandboxError::Interrupted) | Self::History(HistoryError::Interrupted))
    }
}

impl From<HistoryError> for AskError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Failed(failure) => Self::Failed(failure),
            other => Self::History(other),
        }
    }
}

impl From<ConnectError> for AskError {
    fn from(error: ConnectError) -> Self {
        Self::Apply(error.into())
    }
}

impl From<CatalogError> for AskError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Connect(error) => error.into(),
            CatalogError::Failed(failure) => Self::Failed(failure),
            other => Self::Catalog(other),
        }
    }
}
