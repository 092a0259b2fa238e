//! A plan: what would be done, in order, and why. Plans are data: they are shown, stored with the run and read by
//! reports. Making one reads files and (where there is one) the history; it never writes.

pub(crate) mod alone;
pub mod build;
mod code;
pub(crate) mod does;
pub mod existing;
pub mod failures;
pub mod file;
pub mod foresight;
pub mod graph;
mod ground;
pub mod handover;
pub mod held;
mod kept;
pub mod prerequisites;
pub mod select;
pub mod statements;
pub mod twice;

use std::fmt;

use cutover_postgres::sqlstate;
use serde::{Deserialize, Serialize};

use crate::lint::Located;
use crate::migration::{Claims, Down, MigrationId, MigrationKind, Version};
use crate::report::format::utc;
use crate::text::visible;

/// Version of the JSON form of [`Plan`].
pub const FORMAT_VERSION: u32 = 1;

/// Steps in order, with the stages they belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Project name, the key in the history.
    pub project: String,
    /// The database it was made for; `None` when made from files alone.
    pub target: Option<Target>,
    /// All stages of the project in order, also empty ones.
    pub stages: Vec<StageSummary>,
    /// All migrations of the project in the convention's order; [`Step::state`] says which ones would run.
    pub steps: Vec<Step>,
    /// Remarks on the plan as a whole, e.g. that the target stage is empty. Those on one migration are [`Step::notes`].
    pub notes: Vec<String>,
}

/// Which database a plan is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `system_identifier` of the cluster where it may be read, otherwise empty.
    pub system_identifier: String,
    /// Database name.
    pub database: String,
    /// Server version number, e.g. 150018.
    pub server_version_num: u32,
}

/// A stage as reports show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSummary {
    /// Id, e.g. `2.1`.
    pub id: String,
    /// Title.
    pub title: String,
    /// Kind, e.g. `sprint`.
    pub kind: String,
    /// Free notes.
    pub notes: Vec<String>,
    /// Objects it reads.
    pub uses: Vec<String>,
    /// Whether the run reaches this stage (`--to-stage` is cumulative).
    pub within_target: bool,
}

impl StageSummary {
    /// The title where it says more than the id beside it: without one of its own a stage is called by its id.
    pub fn own_title(&self) -> &str {
        if self.title == self.id { "" } else { &self.title }
    }
}

/// One migration's place in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its identity.
    pub migration: MigrationId,
    /// Name part of the file name.
    pub name: String,
    /// Path relative to the project.
    pub path: String,
    /// Stage id.
    pub stage: Option<String>,
    /// Claims from `cutover.toml`.
    pub claims: Claims,
    /// SHA-256 over the normalised text.
    pub checksum: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Number of statements; 0 where the file was not read (already applied).
    pub statements: u32,
    /// The transactions and non-transactional statements it is made of.
    pub units: Vec<UnitSummary>,
    /// Objects the parser sees created, as `kind name`, without those in `parts`.
    pub creates: Vec<String>,
    /// Objects that belong to a table the migration creates itself: its indexes, constraints, sequences, triggers.
    pub parts: Vec<String>,
    /// Objects the parser sees altered; not what the migration creates itself.
    pub alters: Vec<String>,
    /// Tables that its new foreign keys point to, as `kind name`: locked for the moment, not changed. Not those that it
    /// creates itself.
    #[serde(default)]
    pub references: Vec<String>,
    /// Tables whose rows it writes or empties, as `kind name`. Not those that it creates itself.
    #[serde(default)]
    pub writes: Vec<String>,
    /// Objects the parser sees dropped; not what only has another name.
    pub drops: Vec<String>,
    /// Objects that get another name, or are put into another schema, as `kind name to name`: `column orders.note to remark`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renames: Vec<String>,
    /// Why the effects are not fully known, where they are not.
    pub opaque: Option<String>,
    /// Migrations it needs, in their order. One that comes later is needed too late.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Dependency>,
    /// Migrations before it that it must not run beside, without those that follow from others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Dependency>,
    /// Names in the bodies of its functions that nothing before it provides, and what becomes of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<String>,
    /// What of the bodies of its functions is not known, in words: `line 4: a body runs statements that it makes at run
    /// time (EXECUTE)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
    /// Locks on what others use, strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<LockSummary>,
    /// What else it locks, where that cannot be named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_locks: Vec<String>,
    /// Work in proportion to the size of tables that are there before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub work: Vec<WorkSummary>,
    /// Remarks on how it is run, e.g. that its outer BEGIN … COMMIT is replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What lint finds in it, against the database that the plan is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Located>,
    /// The statements themselves, in order: only in a plan that is kept (see [`file`](mod@file)), and only of what would run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sql: Vec<PlannedStatement>,
    /// How many statements follow those in `sql` that are not shown: a file may have millions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sql_more: u64,
    /// How often it is applied.
    #[serde(default, skip_serializing_if = "MigrationKind::is_versioned")]
    pub kind: MigrationKind,
    /// Its tool runs it without a transaction: each of its statements is a part of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_transaction: bool,
    /// The way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<DownSummary>,
    /// Where it stands.
    pub state: StepState,
}

/// The way back of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownSummary {
    /// Path relative to the project; the migration's own where it is a section of the same file.
    pub path: String,
    /// SHA-256 over the normalised text.
    pub checksum: String,
    /// The parts of the file that it is; empty where it is all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Lines>,
    /// Its tool runs it without a transaction.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_transaction: bool,
}

impl DownSummary {
    fn of(down: &Down) -> Self {
        let lines = down.section.lines().unwrap_or_default().iter();
        Self {
            path: down.path.clone(),
            checksum: down.checksums.normalised.clone(),
            lines: lines.map(|lines| Lines { first: *lines.start(), last: *lines.end() }).collect(),
            no_transaction: down.no_transaction,
        }
    }
}

/// Left out where there is none.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A statement of a migration as it will be sent: with the values of placeholders in place, and what is secret starred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStatement {
    /// Line of the file that its first token stands on, counted from 1.
    pub line: u32,
    /// Which of the step's units it belongs to, counted from 1.
    pub unit: u32,
    /// The text without the semicolon; the beginning where it is too long to be shown.
    pub text: String,
    /// Bytes of the text that are left out at its end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u64,
    /// Bytes of data that a COPY brings with it; they are not shown.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub data: u64,
    /// Locks on what the migration has not made itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<LockSummary>,
    /// What of it others would notice, in words: who waits, what it reads or rewrites as a whole, what is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hazards: Vec<String>,
}

/// Another migration, and why this one comes after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The other one.
    pub migration: MigrationId,
    /// Reasons in words, e.g. `foreign key messages.conversation_id → conversations`.
    pub why: Vec<String>,
}

/// A lock that a migration holds from a statement to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockSummary {
    /// The relation, as the file names it.
    pub relation: String,
    /// The mode as SQL spells it, e.g. `ACCESS EXCLUSIVE`.
    pub mode: String,
    /// Line of the statement that takes it, counted from 1.
    pub line: u32,
    /// A migration of this plan makes the relation: nobody uses it yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
}

/// What takes time in proportion to the size of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkSummary {
    /// The table, as the file names it.
    pub relation: String,
    /// `scan`, `reindex`, `rewrite` or `empty`.
    pub kind: String,
    /// It is certain; otherwise `why` is the condition.
    pub sure: bool,
    /// What it is for, or what it depends on.
    pub why: String,
    /// Line of the statement, counted from 1.
    pub line: u32,
    /// A migration of this plan makes the table: how much is in it then is for the plan's migrations to say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
}

/// A transaction, or one statement outside a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSummary {
    /// Runs inside a transaction of ours.
    pub transactional: bool,
    /// Statements in it.
    pub statements: u32,
    /// Where they stand; `None` where the whole file is one transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Lines>,
    /// For a unit outside a transaction: what makes it so.
    pub why: Option<String>,
    /// What an earlier run made of it.
    #[serde(default, skip_serializing_if = "UnitState::is_pending")]
    pub state: UnitState,
    /// The error it ended with when it was last run, outside a transaction; where that was seen and it is not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<UnitFailure>,
    /// What is known of it now, in words, where it was begun outside a transaction, its end is not recorded, and the database
    /// was asked: as `cutover repair` says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
}

/// An error that a statement outside a transaction ended with in an earlier run. What is secret in it is starred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFailure {
    /// When, microseconds since the Unix epoch.
    pub at_micros: i64,
    /// SQLSTATE.
    pub code: String,
    /// The message, one line.
    pub message: String,
    /// What the next run does about it, in words.
    pub next: String,
}

impl UnitFailure {
    /// When it failed, and with what; or when its session ended with it, which does not say what became of it.
    pub fn happened(&self) -> String {
        let Self { at_micros, code, message, .. } = self;
        let lost = sqlstate::is_shutdown(code) || code == sqlstate::CONNECTION_FAILURE;
        let what = if lost { "lost its connection" } else { "failed" };
        format!("{what} at {}: {} ({code})", utc(*at_micros), visible(message))
    }
}

impl fmt::Display for UnitFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.happened(), self.next)
    }
}

/// What earlier runs made of one unit of a migration that is not applied as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitState {
    /// Nothing.
    #[default]
    Pending,
    /// It was begun outside a transaction, and what is there of it is not known.
    Begun,
    /// It failed outside a transaction, and nothing of it is there.
    Failed,
    /// It is applied and recorded.
    Done,
}

impl UnitState {
    /// Whether no earlier run came to it.
    pub fn is_pending(&self) -> bool {
        *self == Self::Pending
    }
}

/// Lines of a file, from 1, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last } = self;
        if first == last { write!(f, "line {first}") } else { write!(f, "lines {first}–{last}") }
    }
}

/// Where a migration stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StepState {
    /// Would run.
    Pending,
    /// Would run, although later versions are applied (deferred, optional, overtaken in a run side by side, or allowed by
    /// `--out-of-order`).
    PendingOutOfOrder,
    /// Some of its units are done; it would be finished.
    Resume {
        /// Units done.
        done: u32,
    },
    /// Is applied.
    Applied {
        /// When, microseconds since the Unix epoch.
        at_micros: i64,
        /// By which run.
        run: String,
    },
    /// Declared deferred: waits until it is named.
    Deferred,
    /// Declared optional: waits until it is named or `--optional` is given.
    Optional,
    /// Behind the target of `--to` or `--to-stage`.
    AboveTarget,
    /// A baseline migration stands for it, or is itself of no use here.
    NotNeeded {
        /// Why, in words.
        why: String,
    },
}

impl Step {
    /// The version as its file name spells it: see [`label`].
    pub fn label(&self) -> String {
        label(&self.path, &self.migration.version)
    }
}

/// A version with the letter that stands before it in the file name, as people say it: `V0001` for
/// `V0001__create_users.sql`, `0330` for `0330_add_jobs.sql`.
pub fn label(path: &str, version: &Version) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    let mut chars = file.chars();
    match chars.next() {
        Some(letter) if letter.is_ascii_alphabetic() && chars.as_str().starts_with(version.text()) => {
            format!("{letter}{version}")
        }
        _ => version.text().to_owned(),
    }
}

impl StepState {
    /// Whether the step would run.
    pub fn will_run(&self) -> bool {
        matches!(self, Self::Pending | Self::PendingOutOfOrder | Self::Resume { .. })
    }
}
