//! Measuring what a project claims: checks of `cutover.toml`, SQL files that must return no rows, objects that stages
//! use. Each answer says what was measured, what was expected and what was found.
//!
//! Every check runs in a transaction that is rolled back, read-only where its kind allows, with a limit for each
//! statement and a short one for locks, so that measuring never holds up other work for long. Nothing is believed
//! because it could not be measured: what went wrong is the answer then. See `docs/checks.md`.

mod build;
pub(crate) mod checks;
pub(crate) mod claim;
pub(crate) mod in_psql;
pub(crate) mod measure;
mod prepare;
mod preview;
pub(crate) mod replay;
mod runner;
pub(crate) mod sandbox;
mod shared;
mod stages;
mod statements;
#[cfg(test)]
mod tests;

use std::time::Duration;

use cutover_postgres::connect::{ConnectError, ConnectOptions};
use cutover_postgres::session::{Failure, Session, Startup};
use thiserror::Error;

use crate::catalog::{self, CatalogError};
use crate::history::records::History;
use crate::migration::MigrationId;
use crate::project::{Problem, Problems, Project, When};
use crate::run::{CheckResult, Verdict};
use crate::text::visible;

pub use checks::{KindInfo, kinds};
pub use measure::Limits;
pub use prepare::{Prepared, prepare, problems_of, unparsed};
pub use preview::{Precondition, preview};
pub use sandbox::SandboxProvider;
pub use stages::reached;

use measure::{Ctx, Wider};

/// What is to be measured.
#[derive(Debug, Clone, Default)]
pub struct VerifyRequest {
    /// Names of checks; empty means all.
    pub names: Vec<String>,
    /// Kinds of checks; empty means all.
    pub kinds: Vec<String>,
    /// Index of the stage reached: checks of later stages are neither measured nor listed. `None` takes it from the
    /// history, see [`reached`].
    pub stage: Option<usize>,
    /// The database was made by this run: checks of kind `empty` are measured only then.
    pub fresh: bool,
    /// Measure the preconditions of this migration, and nothing else.
    pub before: Option<MigrationId>,
    /// Figures taken before the run, see [`figures`]: checks of kind `unchanged` are measured only against these.
    pub figures: Vec<Figure>,
    /// Limits of each measurement.
    pub limits: Limits,
}

/// Row count and digest of a table at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// The table, as its check names it.
    pub table: String,
    /// Number of rows.
    pub rows: u64,
    /// Digest of the content, 32 hex digits.
    pub digest: String,
}

/// Why nothing could be measured at all.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// Checks are written wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// No such check.
    #[error("there is no check named {name:?}{}\n  hint: there are: {known}", suggestion.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default())]
    UnknownCheck {
        /// The name asked for.
        name: String,
        /// One that is alike.
        suggestion: Option<String>,
        /// The first of those that there are.
        known: String,
    },
    /// A check asked for by name is the precondition of a migration, which is measured before that alone.
    #[error(
        "check {name:?} is a precondition of {path}: it is measured before that migration, and at no other time\n  hint: `cutover plan` measures it while the migration is pending, and `cutover apply` before it runs"
    )]
    Precondition {
        /// The name asked for.
        name: String,
        /// Path of the migration.
        path: String,
    },
    /// No such kind of check.
    #[error("there is no kind of check {kind:?}{}; known kinds: {known}", suggestion.as_ref().map(|kind| format!(" (did you mean {kind}?)")).unwrap_or_default())]
    UnknownKind {
        /// The kind asked for.
        kind: String,
        /// One that is alike.
        suggestion: Option<String>,
        /// All of them.
        known: String,
    },
    /// A check asked for by name is of another kind than those asked for.
    #[error(
        "check {name:?} is of kind {kind}, and only {asked} is asked for\n  hint: leave out the kind: a name says enough"
    )]
    OtherKind {
        /// The name asked for.
        name: String,
        /// Its kind.
        kind: &'static str,
        /// The kinds asked for.
        asked: String,
    },
    /// No check of this kind can be measured as it is asked for.
    #[error("{why}\n  hint: there are: {known}")]
    NoneOfKind {
        /// Why not, in words.
        why: String,
        /// The first of the checks that there are, each with its kind.
        known: String,
    },
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The figures could not be taken.
    #[error("cannot take the figures of {table}: {error}")]
    Figures {
        /// The table.
        table: String,
        /// Why.
        #[source]
        error: CatalogError,
    },
}

/// Measures the checks of a project, one after the other, and tells each answer as it comes.
///
/// # Errors
/// [`VerifyError`], before anything is measured or when no connection can be had any more. A check that fails or
/// cannot be measured is an answer, not an error.
pub async fn verify(
    project: &Project,
    options: &ConnectOptions,
    sandbox: &SandboxProvider,
    history: &History,
    request: &VerifyRequest,
    mut on_result: impl FnMut(&CheckResult),
) -> Result<Vec<CheckResult>, VerifyError> {
    let prepared = prepare(project)?;
    let chosen = runner::choose(project, history, request, &prepared)?;
    let mut results = Vec::new();
    let mut session: Option<Session> = None;
    for check in chosen {
        // A check may have ended the connection: the next one gets a new one.
        let open = match session.take().filter(|session| !session.is_closed()) {
            Some(open) => session.insert(open),
            None => session.insert(connect(options).await?),
        };
        let wider = Wider { options, sandbox, history, request };
        let mut ctx = Ctx { session: open, project, limits: request.limits, wider: Some(wider) };
        for result in runner::measure(check, &mut ctx, history).await {
            on_result(&result);
            results.push(result);
        }
    }
    if let Some(session) = session {
        session.close().await;
    }
    Ok(results)
}

/// Measures the preconditions of a migration on a session that has the search path migrations run with, and is not
/// inside a transaction.
///
/// # Errors
/// [`VerifyError::Problems`] when checks are written wrong.
pub async fn preconditions(
    project: &Project,
    session: &mut Session,
    history: &History,
    migration: &MigrationId,
) -> Result<Vec<CheckResult>, VerifyError> {
    let mut results = Vec::new();
    for check in prepare(project)?.iter().filter(|check| check.when == When::Before(migration.clone())) {
        let mut ctx = Ctx { session, project, limits: Limits::default(), wider: None };
        results.extend(runner::measure(check, &mut ctx, history).await);
    }
    Ok(results)
}

/// Takes the figures that checks of kind `unchanged` will compare with, in one snapshot. Tables that do not exist yet
/// are left out.
///
/// # Errors
/// [`VerifyError::Figures`] for the first table that cannot be read as a whole, [`VerifyError::Problems`] when checks
/// are written wrong.
pub async fn figures(project: &Project, options: &ConnectOptions) -> Result<Vec<Figure>, VerifyError> {
    let mut tables: Vec<String> =
        prepare(project)?.iter().flat_map(|check| check.check.tables_before()).cloned().collect();
    tables.sort_unstable();
    tables.dedup();
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |table: &str, error: CatalogError| VerifyError::Figures { table: table.to_owned(), error };
    let mut session = connect(options).await?;
    let mut there = Vec::new();
    for table in tables {
        let found =
            measure::resolve(&mut session, &table).await.map_err(|error| failed(&table, error.into()))?;
        if found.is_some() {
            there.push(table);
        }
    }
    session.close().await;
    let digests =
        catalog::digests(options, &there).await.map_err(|error| failed(&there.join(", "), error))?;
    let figure = |(table, found): (String, catalog::TableDigest)| Figure {
        table,
        rows: found.rows,
        digest: found.digest,
    };
    Ok(there.into_iter().zip(digests).map(figure).collect())
}

/// What is probably wrong with the design, but is for the server to say: SQL that the grammar of PostgreSQL 18 refuses, a
/// design that cannot be put in order. Nothing of it keeps a run from starting.
pub fn doubts(project: &Project) -> Vec<Problem> {
    build::problems(project)
}

/// An answer that is not what was expected, in one line.
pub(crate) fn complaint(answer: &CheckResult) -> String {
    let verb = if answer.verdict == Verdict::NotMeasured { "could not be measured:" } else { "found" };
    format!(
        "{}: expected {}, {verb} {}",
        visible(&answer.name),
        visible(&answer.expected),
        visible(&answer.found)
    )
}

/// Whether answers let a run succeed: false and not measured do not, skipped does.
pub fn succeeded(results: &[CheckResult]) -> bool {
    results.iter().all(|result| matches!(result.verdict, Verdict::Holds | Verdict::Skipped))
}

/// A session as the user's own: their search path, no settings of ours but a limit for being left alone.
async fn connect(options: &ConnectOptions) -> Result<Session, ConnectError> {
    let idle = Duration::from_secs(60).as_millis().to_string();
    let settings = vec![("idle_in_transaction_session_timeout".to_owned(), idle)];
    Session::connect(options, &Startup { settings, ..Startup::default() }).await
}

/// The server's words and what goes with them, in one or two lines.
pub(crate) fn failure_text(failure: &Failure) -> String {
    let mut text = failure.to_string();
    if let Some(detail) = failure.server().and_then(|message| message.detail.as_ref()) {
        text = format!("{text}: {detail}");
    }
    text
}
