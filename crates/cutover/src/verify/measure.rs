//! What all checks share: the transaction each one runs in, answers, and rows as bounded text.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use cutover_postgres::connect::{ConnectError, ConnectOptions};
use cutover_postgres::session::{Done, Failure, Session};

use super::sandbox::SandboxProvider;
use super::{VerifyRequest, failure_text};
use crate::catalog::CatalogError;
use crate::history::records::History;
use crate::migration::MigrationId;
use crate::project::Project;
use crate::reading::{self, Flush};
use crate::run::Verdict;
use crate::text::visible;

/// How long one statement of a measurement may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `statement_timeout`; a check's own `timeout` goes before it. Zero means none.
    pub statement: Duration,
    /// `lock_timeout`: waiting longer would hold up those who wait behind.
    pub lock: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { statement: Duration::from_secs(60), lock: Duration::from_secs(1) }
    }
}

/// What a check measures with.
pub(crate) struct Ctx<'a> {
    /// A session as the user's own, outside a transaction.
    pub(crate) session: &'a mut Session,
    pub(crate) project: &'a Project,
    pub(crate) limits: Limits,
    /// What a precondition does not have.
    pub(crate) wider: Option<Wider<'a>>,
}

/// What only a check after the run has.
#[derive(Clone, Copy)]
pub(crate) struct Wider<'a> {
    pub(crate) options: &'a ConnectOptions,
    pub(crate) sandbox: &'a SandboxProvider,
    pub(crate) history: &'a History,
    pub(crate) request: &'a VerifyRequest,
}

impl<'a> Ctx<'a> {
    /// [`Ctx::wider`], which every kind that asks for it has: preconditions are of other kinds.
    pub(crate) fn wider(&self) -> Result<Wider<'a>, Trouble> {
        self.wider.ok_or_else(|| Trouble::new("this kind of check is no precondition"))
    }
}

/// Why a check could not be measured, in words.
#[derive(Debug)]
pub(crate) struct Trouble(pub(crate) String);

impl Trouble {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self(failure_text(&failure))
    }
}

impl From<ConnectError> for Trouble {
    fn from(error: ConnectError) -> Self {
        Self(error.to_string())
    }
}

impl From<CatalogError> for Trouble {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Failed(failure) => failure.into(),
            other => Self(other.to_string()),
        }
    }
}

/// One answer of a check.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Which part of the check, where it has several answers.
    pub(crate) part: Option<String>,
    pub(crate) migration: Option<MigrationId>,
    /// Where it differs from what the check says of itself.
    pub(crate) what: Option<String>,
    pub(crate) expected: Option<String>,
    pub(crate) found: String,
    pub(crate) verdict: Verdict,
    /// Where the answer has a time of its own.
    pub(crate) elapsed: Option<Duration>,
}

impl Measured {
    pub(crate) fn new(verdict: Verdict, found: impl Into<String>) -> Self {
        Self {
            part: None,
            migration: None,
            what: None,
            expected: None,
            found: found.into(),
            verdict,
            elapsed: None,
        }
    }

    pub(crate) fn holds(found: impl Into<String>) -> Self {
        Self::new(Verdict::Holds, found)
    }

    pub(crate) fn wrong(found: impl Into<String>) -> Self {
        Self::new(Verdict::False, found)
    }

    pub(crate) fn unknown(found: impl Into<String>) -> Self {
        Self::new(Verdict::NotMeasured, found)
    }

    pub(crate) fn of(mut self, part: impl Into<String>) -> Self {
        self.part = Some(part.into());
        self
    }

    pub(crate) fn expecting(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn measuring(mut self, what: impl Into<String>) -> Self {
        self.what = Some(what.into());
        self
    }
}

/// The answers of a check on their way.
pub(crate) type Measuring<'a> = Pin<Box<dyn Future<Output = Result<Vec<Measured>, Trouble>> + Send + 'a>>;

/// What a transaction for measuring is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Reads only, and all rows or none: rows hidden by row-level security are an error.
    Read,
    /// Reads only, as the role sees things.
    ReadAsRole,
    /// Brings rows of its own, as the role may.
    Write,
}

/// What became of a measurement.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The first statement of the setup that failed, and why.
    pub(crate) setup: Option<(String, Failure)>,
    /// The statement itself, and whatever was asked after it.
    pub(crate) result: Result<Done, Failure>,
}

/// Runs `setup`, then the statement, then (if it succeeds) `after`, and rolls everything back. Sent in one flush.
pub(crate) async fn rolled_back(
    session: &mut Session,
    limits: Limits,
    mode: Mode,
    setup: &[String],
    statement: &str,
    after: &[&str],
) -> Result<Outcome, Failure> {
    let begin = begin(limits, mode);
    let mut flush = Flush::default();
    flush.push(&begin, false);
    for text in setup.iter().map(String::as_str).chain([statement]).chain(after.iter().copied()) {
        // What ran before it must not make it end the transaction that is to be rolled back, nor mean something else.
        flush.push(text, reading::depends_on_terms(text));
    }
    flush.push("ROLLBACK", false);
    let outcomes = session.pipeline(flush.texts()).await;
    let mut outcomes = flush.outcomes(outcomes).into_iter().map(|outcome| outcome.result);
    let ended = || Failure::Invalid("fewer answers than statements".to_owned());
    outcomes.next().unwrap_or_else(|| Err(ended()))?;
    let mut first_failure = None;
    for text in setup {
        if let Err(failure) = outcomes.next().unwrap_or_else(|| Err(ended())) {
            first_failure.get_or_insert((text.clone(), failure));
        }
    }
    let mut result = outcomes.next().unwrap_or_else(|| Err(ended()));
    for _ in after {
        let later = outcomes.next().unwrap_or_else(|| Err(ended()));
        if let (Ok(_), Err(failure)) = (&result, later) {
            result = Err(failure);
        }
    }
    // The session is used again: it must be out of the transaction, whatever was measured.
    outcomes.next().unwrap_or_else(|| Err(ended()))?;
    Ok(Outcome { setup: first_failure, result })
}

/// Runs one reading statement and gives its rows.
pub(crate) async fn read(session: &mut Session, limits: Limits, statement: &str) -> Result<Done, Failure> {
    rolled_back(session, limits, Mode::Read, &[], statement, &[]).await?.result
}

/// Begins a transaction for measuring.
pub(crate) fn begin(limits: Limits, mode: Mode) -> String {
    let access = if mode == Mode::Write { "READ WRITE" } else { "READ ONLY" };
    let security = if mode == Mode::Read { "; SET LOCAL row_security = off" } else { "" };
    format!(
        "BEGIN {access}; SET LOCAL standard_conforming_strings = on; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}{security}",
        milliseconds(limits.statement),
        milliseconds(limits.lock),
    )
}

/// PostgreSQL counts timeouts in 31 bits.
fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// The table a name means on this session, if there is one.
pub(crate) async fn resolve(session: &mut Session, table: &str) -> Result<Option<u32>, Failure> {
    let rows = session.query("SELECT pg_catalog.to_regclass($1)::pg_catalog.oid", &[&table]).await?;
    Ok(rows.first().and_then(|row| row.get(0)))
}

/// The schemas of the session's search path that exist.
pub(crate) async fn search_path(session: &mut Session) -> Result<Vec<String>, Failure> {
    let sql = "SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))::pg_catalog.text";
    Ok(session.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Rows shown of a result, and characters of a value.
const ROWS_SHOWN: usize = 5;
const VALUE_SHOWN: usize = 80;
/// Characters of a whole text.
const TEXT_SHOWN: usize = 4000;

/// How many rows came, and the first of them with their columns.
pub(crate) fn rows_text(done: &Done) -> String {
    let total = done.rows.len() as u64 + done.rows_dropped;
    let mut text = match total {
        0 => return "no rows".to_owned(),
        1 => "1 row".to_owned(),
        many => format!("{many} rows"),
    };
    let line = |row: &Vec<Option<String>>| {
        let fields = row
            .iter()
            .zip(&done.columns)
            .map(|(value, column)| format!("{} = {}", visible(column), value_text(value.as_deref())));
        fields.collect::<Vec<_>>().join(", ")
    };
    let shown: Vec<String> = done.rows.iter().take(ROWS_SHOWN).map(line).collect();
    if shown.iter().any(|line| !line.is_empty()) {
        let _ = write!(text, ": {}", shown.join("; "));
        if total > shown.len() as u64 {
            text.push_str("; …");
        }
    }
    text
}

/// A value, bounded in length and without control characters.
pub(crate) fn value_text(value: Option<&str>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |value| visible(&bounded(value, VALUE_SHOWN)))
}

/// The first `length` characters.
pub(crate) fn bounded(text: &str, length: usize) -> String {
    let mut characters = text.chars();
    let shown: String = characters.by_ref().take(length).collect();
    if characters.next().is_none() { shown } else { format!("{shown}…") }
}

/// A whole text for an answer.
pub(crate) fn bounded_text(text: &str) -> String {
    bounded(text, TEXT_SHOWN)
}
