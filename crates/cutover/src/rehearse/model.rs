//! What a rehearsal saw, as data: terminal, JSON and pages are made of it and of nothing else.

use std::time::Duration;

use cutover_analysis::effects::LockMode;
use serde::Serialize;

use crate::lint::Located;

/// Version of the form of [`Rehearsal`] as JSON.
pub const FORMAT_VERSION: u32 = 1;

/// A rehearsal from start to end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rehearsal {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Name of the project.
    pub project: String,
    /// The database whose schema was built, where there is one.
    pub database: Option<String>,
    /// Version of the throwaway server.
    pub server_version: String,
    /// What was built before the first migration.
    pub ground: Ground,
    /// What is pending, in order.
    pub migrations: Vec<Traced>,
    /// What was found, in the order of the files.
    pub findings: Vec<Finding>,
    /// Where the trace and the analysis of the text do not agree: mistakes of cutover.
    pub disagreements: Vec<Disagreement>,
    /// What clients felt that were at work on the tables meanwhile.
    pub workload: Option<Workload>,
    /// What was proven beyond that.
    pub proof: Option<Proof>,
    /// How long the traced pass took, without building the ground.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub took: Duration,
    /// How long everything took.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub took_in_all: Duration,
}

impl Rehearsal {
    /// How many migrations could not be applied.
    pub fn failed(&self) -> usize {
        self.migrations.iter().filter(|migration| migration.failure.is_some()).count()
    }

    /// The findings that stop a run, unless their codes are allowed.
    pub fn blocking<'a>(&'a self, allow: &'a [String]) -> impl Iterator<Item = &'a Finding> {
        let stops = |finding: &&Finding| {
            finding.found.severity == crate::lint::Severity::Error && !allow.contains(&finding.found.code)
        };
        self.findings.iter().filter(stops)
    }

    /// Whether everything could be applied and proven and nothing was found that stops a run.
    pub fn is_clean(&self, allow: &[String]) -> bool {
        self.failed() == 0
            && self.blocking(allow).next().is_none()
            && self.proof.as_ref().is_none_or(Proof::holds)
            && self.workload.as_ref().is_none_or(|workload| !workload.hurts())
    }
}

/// How the database looks before the first migration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ground {
    /// What it was made of.
    pub made_of: MadeOf,
    /// Tables that are there.
    pub tables: u64,
    /// Rows of the sample, over all tables.
    pub rows: u64,
    /// What could not be built and was left out, as was allowed.
    pub left_out: Vec<LeftOut>,
    /// What else is to be known of it.
    pub remarks: Vec<String>,
    /// How long it took to find out what is pending and to build it.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub took: Duration,
}

/// What the ground of a rehearsal is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MadeOf {
    /// Nothing: an empty database.
    #[default]
    Nothing,
    /// `pg_dump` of the database.
    Dump,
    /// The migrations that are applied, run again.
    Replay,
}

/// A statement of the schema that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// How it begins.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A migration that was rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Traced {
    /// Its path relative to the project.
    pub path: String,
    /// Its version as people write it.
    pub version: String,
    /// When it began, since the first one did.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub from: Duration,
    /// When it ended.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub to: Duration,
    /// Its statements, as far as they ran.
    pub statements: Vec<TracedStatement>,
    /// The locks it held on what was there before it, each in its strongest mode.
    pub locks: Vec<Held>,
    /// Why it could not be applied.
    pub failure: Option<Failed>,
}

/// Why a migration could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Line of the file, counted from 1.
    pub line: u32,
    /// What was wrong.
    pub message: String,
    /// What to do, where that is known.
    pub hint: Option<String>,
    /// Something of it stays: it ran statements outside a transaction before.
    pub partly: bool,
    /// Rows refer to some that are not there.
    #[serde(skip)]
    pub is_of_rows: bool,
}

/// A statement that was rehearsed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TracedStatement {
    /// Line of the file, counted from 1.
    pub line: u32,
    /// How it begins.
    pub text: String,
    /// It ran outside a transaction.
    pub outside: bool,
    /// When it began, since the first migration did.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub from: Duration,
    /// When it ended.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub to: Duration,
    /// What it made, by whatever code.
    pub created: Vec<Object>,
    /// What it changed.
    pub altered: Vec<Object>,
    /// What it dropped, also what went along.
    pub dropped: Vec<Object>,
    /// Locks it took that its transaction did not hold yet, on what was there before the migration.
    pub locks: Vec<Taken>,
    /// Tables that were written anew.
    pub rewritten: Vec<String>,
    /// Those of them that were there before the first migration and were not just emptied.
    #[serde(skip)]
    pub announced: Vec<String>,
    /// Tables that were there before the first migration and that code has dropped of which the text does not say so.
    #[serde(skip)]
    pub gone: Vec<String>,
    /// Such tables that code has kept from being written to, as building an index does.
    #[serde(skip)]
    pub held: Vec<String>,
    /// Indexes that were built anew.
    pub rebuilt: Vec<String>,
    /// Tables of which every row was read.
    pub scanned: Vec<String>,
    /// Rows it wrote.
    pub wrote: Vec<Wrote>,
}

/// An object as PostgreSQL names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Object {
    /// Its kind, e.g. `table`, `function`.
    pub kind: String,
    /// Its identity, e.g. `app.users`, `app.f(integer)`.
    pub name: String,
}

/// A lock that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The relation.
    pub relation: String,
    /// The mode.
    #[serde(serialize_with = "mode")]
    pub mode: LockMode,
    /// It waited for everybody who was using the table, as it will for whoever is when it really runs.
    pub waited: bool,
}

/// Rows that were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrote {
    /// The table.
    pub table: String,
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
}

/// A lock for as long as it was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The relation.
    pub relation: String,
    /// It is a table, view or materialized view: what clients name.
    pub is_table: bool,
    /// It was made in this run: nobody uses it yet.
    pub is_new: bool,
    /// The strongest mode it was held in.
    #[serde(serialize_with = "mode")]
    pub mode: LockMode,
    /// When it was taken, since the first migration began.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub from: Duration,
    /// When it was given back.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub to: Duration,
    /// When it was waited for, where it was.
    pub waiting: Option<Waiting>,
    /// Line of the statement that took it in this mode.
    pub line: u32,
}

impl Held {
    /// How long it was held.
    pub fn took(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }

    /// Whether nobody reads meanwhile.
    pub fn blocks_reads(&self) -> bool {
        self.mode.conflicts_with(LockMode::AccessShare)
    }

    /// Whether nobody writes meanwhile.
    pub fn blocks_writes(&self) -> bool {
        self.mode.conflicts_with(LockMode::RowExclusive)
    }

    /// Whether clients may be there that have to wait for it.
    pub fn holds_up(&self) -> bool {
        self.is_table && !self.is_new && self.blocks_writes()
    }
}

/// A wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// From when.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub from: Duration,
    /// To when.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub to: Duration,
}

/// A finding, and what the trace says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The finding.
    #[serde(flatten)]
    pub found: Located,
    /// What was measured of the statement, in words; nothing where the trace has nothing to say of such a rule.
    pub measured: Option<String>,
}

/// A difference between what the text was thought to do and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// The file.
    pub path: String,
    /// The line.
    pub line: u32,
    /// How the statement begins.
    pub text: String,
    /// What was not foreseen, or foreseen and not seen, in words.
    pub what: String,
}

/// What clients felt that read and wrote the tables while the migrations ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// Waits longer than this count as blocked.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub limit: Duration,
    /// One entry a table and kind of statement.
    pub felt: Vec<Felt>,
    /// What failed with clients at work and did not without them.
    pub failed: Vec<String>,
}

impl Workload {
    /// Whether anybody was blocked for longer than the limit, or got an error.
    pub fn hurts(&self) -> bool {
        !self.failed.is_empty()
            || self.felt.iter().any(|felt| !felt.blocked.is_empty() || !felt.errors.is_empty())
    }
}

/// What one client felt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Felt {
    /// The table.
    pub table: String,
    /// It wrote; otherwise it read.
    pub writes: bool,
    /// Statements it ran.
    pub statements: u64,
    /// The longest one.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub longest: Duration,
    /// Those that took longer than the limit.
    pub blocked: Vec<Blocked>,
    /// What went wrong, each with the migration that ran when it first did.
    pub errors: Vec<Hurt>,
}

/// A client that waited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocked {
    /// When it began to, since the first migration did in this pass.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub from: Duration,
    /// How long.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub took: Duration,
    /// The migration that ran then.
    pub during: String,
    /// How long that one had been running.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
    pub since: Duration,
}

/// An error that a client got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hurt {
    /// What the server said.
    pub message: String,
    /// The migration that ran when it first did.
    pub during: String,
    /// How often.
    pub times: u64,
}

/// What `--full` proves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Of each migration what was proven.
    pub migrations: Vec<Proven>,
    /// What bodies of functions and triggers mention and does not exist.
    pub unresolved: Vec<Unresolved>,
    /// What of the whole could not be proven, with why.
    pub not_proven: Vec<String>,
    /// What is otherwise after everything was reverted, or reverted and applied again.
    pub differs: Vec<String>,
}

impl Proof {
    /// Whether everything that was tried came out well.
    pub fn holds(&self) -> bool {
        self.differs.is_empty()
            && self.unresolved.iter().all(|unresolved| !unresolved.is_new)
            && self.migrations.iter().all(Proven::holds)
    }
}

/// What was proven of a migration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Proven {
    /// Its path.
    pub path: String,
    /// Run alone in a transaction that was rolled back: what was left of it.
    pub rolled_back: Answer,
    /// Reverted: whether what was there before it is there again.
    pub reverted: Answer,
    /// Applied again: whether the same is there as after the first time.
    pub again: Answer,
}

impl Proven {
    fn holds(&self) -> bool {
        [&self.rolled_back, &self.reverted, &self.again].iter().all(|answer| !matches!(answer, Answer::No(_)))
    }
}

/// An answer that was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "answer", content = "why")]
pub enum Answer {
    /// It is so.
    Yes,
    /// It is not, for this reason.
    No(String),
    /// It was not measured, for this reason.
    NotMeasured(String),
    /// Nobody asked.
    #[default]
    NotAsked,
}

/// Something that a body mentions and that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unresolved {
    /// The function or trigger.
    pub routine: String,
    /// Line in its body, where that is known.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// It was all right before the migrations.
    pub is_new: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn mode<S: serde::Serializer>(mode: &LockMode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(mode.sql())
}
