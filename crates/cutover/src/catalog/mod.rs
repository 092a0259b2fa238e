//! What a database really holds: everything it is made of as one value, what statements must know of its tables, and digests
//! of rows and of the whole.
//!
//! It reads and compares; it must not change anything, nor know of migrations, stages or claims.

mod context;
pub mod digest;
mod introspect;
mod needing;
mod state;
#[cfg(test)]
mod tests;

use cutover_postgres::connect::ConnectError;
use cutover_postgres::session::{Failure, Session};
use thiserror::Error;

pub use context::context;
pub use digest::{TableDigest, digest, digests};
pub use introspect::{fingerprint, schema};
pub(crate) use needing::{Needing, needing};
pub use state::{State, state, terms};

/// Why the catalogue could not be read.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server refused, or the connection is gone.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// Something was dropped or changed while it was read, twice in a row.
    #[error("the schema was changed while it was read ({0})\n  hint: run it again when nobody changes it")]
    Moved(Failure),
    /// There is no such table as the session sees it.
    #[error("there is no table {0}")]
    NoSuchTable(String),
    /// What it names has no rows of its own to read.
    #[error("{0} is {1}, which has no rows to compare")]
    NotATable(String, String),
    /// A row of the catalogue is not as the queries make it.
    #[error(transparent)]
    Row(#[from] cutover_analysis::schema::BadRow),
    /// The binary stream of a COPY is not as documented.
    #[error("the server's binary copy cannot be read: {0}")]
    Stream(&'static str),
    /// Long reading is done on a thread of its own.
    #[error("a thread to read tables on cannot be had: {0}")]
    Thread(std::io::Error),
}

impl CatalogError {
    /// The SQLSTATE, where the server gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Failed(failure) | Self::Moved(failure) => failure.code(),
            _ => None,
        }
    }
}

/// One transaction, one snapshot, names qualified in everything the server prints. Printing a view locks its tables. To compile
/// such queries takes longer than to run them. Constants in definitions are printed as styles
/// say, which a database or a role may have set.
pub(crate) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '5s'; \
SET LOCAL search_path = pg_catalog; SET LOCAL quote_all_identifiers = off; SET LOCAL jit = off; \
SET LOCAL DateStyle = 'ISO, MDY'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL extra_float_digits = 1; \
SET LOCAL standard_conforming_strings = on; SET LOCAL bytea_output = 'hex'";

/// Runs queries in one snapshot. The session must not be inside a transaction.
pub(crate) async fn read_all<const N: usize>(
    session: &mut Session,
    queries: [&str; N],
) -> Result<[Vec<Vec<Option<String>>>; N], Failure> {
    session.execute(BEGIN_READING).await?;
    let mut results = [const { Vec::new() }; N];
    let mut outcome = Ok(());
    for (query, rows) in queries.into_iter().zip(&mut results) {
        match session.query_text(query).await {
            Ok(done) => *rows = done.rows,
            Err(failure) => {
                outcome = Err(failure);
                break;
            }
        }
    }
    // Whatever the queries said, the transaction must end; its own failure matters only when they went well.
    let end = session.execute("ROLLBACK").await;
    outcome?;
    end?;
    Ok(results)
}

/// Rows of text, read column by column from the left.
pub(crate) struct Fields(std::vec::IntoIter<Option<String>>);

impl Fields {
    pub(crate) fn new(row: Vec<Option<String>>) -> Self {
        Self(row.into_iter())
    }

    pub(crate) fn optional(&mut self) -> Option<String> {
        self.0.next().flatten()
    }

    pub(crate) fn text(&mut self) -> String {
        self.optional().unwrap_or_default()
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.optional().as_deref() == Some("t")
    }
}
