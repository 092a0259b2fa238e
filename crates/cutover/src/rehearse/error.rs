//! Why nothing was rehearsed.

use cutover_postgres::connect::ConnectError;
use cutover_postgres::sandbox::SandboxError;
use cutover_postgres::session::Failure;
use thiserror::Error;

use super::model::LeftOut;
use crate::apply::ApplyError;
use crate::catalog::CatalogError;

/// Why nothing was rehearsed. The real database was only read.
#[derive(Debug, Error)]
pub enum RehearseError {
    /// The database could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A server did not do what was asked.
    #[error("{0}")]
    Failed(#[from] Failure),
    /// What is pending could not be found out.
    #[error(transparent)]
    Plan(#[from] ApplyError),
    /// There is no server to rehearse on.
    #[error("nothing to rehearse on: {0}")]
    NoSandbox(String),
    /// `pg_dump` was not found, or failed.
    #[error(
        "the schema could not be read: {0}\n  hint: --replay builds it from the migrations that are applied, without pg_dump"
    )]
    NoDump(#[from] SandboxError),
    /// A catalogue on the throwaway server could not be read.
    #[error("the throwaway server: {0}")]
    Read(CatalogError),
    /// What `pg_dump` wrote cannot be read.
    #[error("what pg_dump wrote cannot be read: {0}")]
    Dump(String),
    /// Extensions that the throwaway server does not have.
    #[error("{}", missing(.0))]
    MissingExtensions(Vec<MissingExtension>),
    /// The schema could not be built.
    #[error("{}", not_built(.failed, *.more))]
    NotBuilt {
        /// The first statements that failed.
        failed: Vec<LeftOut>,
        /// How many more.
        more: usize,
    },
    /// What is applied cannot be run again.
    #[error(
        "what is applied cannot be run again on a throwaway server: {0}\n  hint: without --replay the schema comes from pg_dump"
    )]
    NotReplayed(String),
    /// The server of `--dev-url` is the database's own, and something would not stay in the copy.
    #[error("{}", same_server(.found, *.more))]
    SameServer {
        /// The first statements that may go beyond their database, with why.
        found: Vec<String>,
        /// How many more.
        more: usize,
    },
    /// The role on the scratch server may not watch.
    #[error(
        "what statements do cannot be watched: {0}\n  hint: event triggers need a superuser, which the role of --dev-url must be"
    )]
    NoTrace(String),
}

/// An extension that the throwaway server does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingExtension {
    /// Its name.
    pub name: String,
    /// What the server said.
    pub why: String,
}

fn missing(extensions: &[MissingExtension]) -> String {
    let names: Vec<&str> = extensions.iter().map(|extension| extension.name.as_str()).collect();
    let said: Vec<String> =
        extensions.iter().map(|extension| format!("  {}: {}", extension.name, extension.why)).collect();
    format!(
        "the database uses {}, which the PostgreSQL that would rehearse does not have:\n{}\n  hint: install {} for the programs that \
         are used (--pg-bin names others), name a server that has {} with --dev-url, or go on without what needs {} by --without-missing",
        names.join(", "),
        said.join("\n"),
        if names.len() == 1 { "it" } else { "them" },
        if names.len() == 1 { "it" } else { "them" },
        if names.len() == 1 { "it" } else { "them" },
    )
}

fn same_server(found: &[String], more: usize) -> String {
    let mut lines: Vec<String> = found.iter().map(|one| format!("  {one}")).collect();
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    format!(
        "the server of --dev-url is the database's own, and roles, settings and other databases of the server are not copied: what \
         would be rehearsed may change them for real:\n{}\n  hint: leave --dev-url out to rehearse on a throwaway server, or name \
         another server with it",
        lines.join("\n")
    )
}

fn not_built(failed: &[LeftOut], more: usize) -> String {
    let mut lines: Vec<String> =
        failed.iter().map(|left_out| format!("  {}\n    {}", left_out.what, left_out.why)).collect();
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    format!(
        "statements of the database's own schema fail on the throwaway server:\n{}\n  hint: --without-missing goes on without them",
        lines.join("\n")
    )
}
