//! What happened: the one document every report, live line and stored journal is made from.
//! Value types only; nothing here talks to a database or a terminal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::erd::Erd;
use crate::history::schema::Found;
use crate::migration::MigrationId;
use crate::plan::Plan;

/// Version of the JSON form of [`RunEvent`] and [`Run`]; raised when a reader of the old form would be misled.
pub const FORMAT_VERSION: u32 = 1;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything planned was applied (and what was to be verified holds).
    Completed,
    /// Nothing was pending.
    NothingToDo,
    /// Something failed and was rolled back; the database is as the last finished step, or part of one, left it.
    FailedClean,
    /// The state of a non-transactional step is not known: a person must decide.
    NeedsDecision,
    /// Stopped on request after or within a step.
    Interrupted,
    /// A lock could not be had in time; nothing of the step's part at hand is applied, and trying again is safe.
    LockNotObtained,
    /// The connection was lost; what became of the step at hand was learned from the history where that was possible.
    ConnectionLost,
}

/// How many parts of a migration are applied and recorded. A file that is one transaction has one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartsDone {
    /// That many, of this run and earlier ones.
    pub done: u32,
    /// Of so many.
    pub of: u32,
}

/// A session that stands in the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blocker {
    /// Backend process id.
    pub pid: i32,
    /// Role name.
    pub user: String,
    /// `application_name` of the session.
    pub application: String,
    /// State as `pg_stat_activity` names it, e.g. `idle in transaction`.
    pub state: String,
    /// Seconds since its transaction began.
    pub transaction_seconds: f64,
    /// The first 200 characters of its last query.
    pub query: String,
}

/// One measured answer of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's name, as the project or the tool gives it.
    pub name: String,
    /// Kind of check, e.g. `no_rows`.
    pub kind: String,
    /// The migration it speaks of, where it speaks of one.
    pub migration: Option<MigrationId>,
    /// Id of the stage it belongs to.
    pub stage: Option<String>,
    /// What was measured, in words or as the query itself.
    pub measured: String,
    /// What should have been found.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Time the measurement took. Called `took` in JSON: a check's fields stand beside those of its [`RunEvent`],
    /// which has an `elapsed` of its own.
    #[serde(rename = "took", with = "seconds")]
    pub elapsed: Duration,
}

/// Verdict of a check: what was not measured is said to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Found what was expected.
    Holds,
    /// Found something else: the claim is false.
    False,
    /// It could not be measured; `found` says why. Counts as a failure for exit codes.
    NotMeasured,
    /// There was nothing to measure yet: it rests on a migration that waits, named in `found`. No failure.
    Skipped,
}

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Wall clock, microseconds since the Unix epoch.
    pub at_micros: i64,
    /// Time since the run began.
    #[serde(with = "seconds")]
    pub elapsed: Duration,
    /// What it was.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The kinds of events; one enum between the engine and every reporter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A run began.
    RunStarted {
        /// Run id.
        run: String,
        /// Number of steps planned.
        steps: usize,
    },
    /// Another runner holds the lock.
    RunnerWaiting {
        /// Whom it waits for, in words.
        holder: String,
    },
    /// The runner's lock was obtained.
    RunnerLocked {
        /// The fencing token that every writing transaction checks.
        token: i64,
    },
    /// The history row of a migration followed its file to another number, or to another name (`from` is then the
    /// migration itself).
    Renumbered {
        /// Which migration it is now.
        migration: MigrationId,
        /// Its path now.
        path: String,
        /// Which it was when it was applied.
        from: MigrationId,
        /// Its path then.
        from_path: String,
    },
    /// The session that holds the runner's lock was lost while the run was under way. The fencing token still keeps
    /// others from committing at the same time.
    RunnerLockLost {
        /// Why, as far as is known.
        why: String,
    },
    /// The runner's lock is held again, by a new session; nobody has taken over in between.
    RunnerLockRegained {
        /// The fencing token, which is the same.
        token: i64,
    },
    /// A backup that a stage requires is begun: dumped, hashed, then restored in a throwaway server.
    BackupStarted {
        /// Stage that asks for it.
        stage: String,
        /// Path of the dump.
        path: String,
    },
    /// The dump is complete. It is not proven yet: see [`EventKind::BackupRestored`].
    BackupTaken {
        /// Stage that asked for it.
        stage: String,
        /// Path of the dump.
        path: String,
        /// Size in bytes.
        bytes: u64,
        /// SHA-256 of the dump, hex.
        sha256: String,
    },
    /// The dump was restored in a throwaway server, and there has every table with as many rows as the database had in
    /// the dump's own snapshot.
    BackupRestored {
        /// Stage that asked for it.
        stage: String,
        /// Path of the dump.
        path: String,
        /// Tables compared.
        tables: u64,
        /// Rows in all of them.
        rows: u64,
        /// Time from the start of the backup to here.
        #[serde(with = "seconds")]
        took: Duration,
    },
    /// A step began.
    StepStarted {
        /// Which migration.
        migration: MigrationId,
        /// Its path.
        path: String,
    },
    /// How a step is run, where that is not as its file says; told before its first statement. The plan has it too.
    StepNote {
        /// Which migration.
        migration: MigrationId,
        /// In words, e.g. that its outer BEGIN … COMMIT is replaced.
        note: String,
    },
    /// A lock was not had at once; the step is tried again. Of a statement outside a transaction, which waits by itself:
    /// it was seen waiting, for a lock or for transactions of others to end.
    LockWaiting {
        /// Which migration.
        migration: MigrationId,
        /// Attempts so far; where the statement waits by itself, how often that was seen.
        attempt: u32,
        /// Sessions in the way, where they could be seen.
        blockers: Vec<Blocker>,
    },
    /// The server said something.
    Notice {
        /// Which migration.
        migration: MigrationId,
        /// Severity as the server names it.
        severity: String,
        /// SQLSTATE.
        code: String,
        /// Message.
        message: String,
        /// Line of the statement in the file, counted from 1.
        line: u32,
    },
    /// One transaction or non-transactional statement of a step with several is done.
    UnitFinished {
        /// Which migration.
        migration: MigrationId,
        /// Which unit, counted from 1.
        unit: u32,
        /// Of how many.
        units: u32,
        /// Time it took.
        #[serde(with = "seconds")]
        took: Duration,
    },
    /// A step is durable (or will be when the run ends, where durability is shared).
    StepFinished {
        /// Which migration.
        migration: MigrationId,
        /// Number of statements run.
        statements: u32,
        /// Time it took.
        #[serde(with = "seconds")]
        took: Duration,
        /// Attempts it needed (1 = at once).
        attempts: u32,
    },
    /// A step failed; what is now true of the database is said in words.
    StepFailed {
        /// Which migration.
        migration: MigrationId,
        /// Error as shown to people, one or more lines.
        message: String,
        /// SQLSTATE where the server gave one.
        code: Option<String>,
        /// What is now true of the database.
        state: String,
        /// What of it is applied all the same.
        #[serde(default)]
        parts: PartsDone,
    },
    /// A migration was left out on purpose.
    StepSkipped {
        /// Which migration.
        migration: MigrationId,
        /// Why: deferred, optional, above the target.
        why: String,
    },
    /// What a table held before the first statement, for the checks that say it stays so.
    Figures {
        /// The table, as its check names it.
        table: String,
        /// Number of rows.
        rows: u64,
        /// Digest of its content, 32 hex digits.
        digest: String,
    },
    /// Checks are measured after the run, directly or later, once or again. The answers follow.
    VerificationStarted {
        /// Who asked for it, as [`Run::operator`].
        operator: String,
    },
    /// A check was measured.
    CheckDone(CheckResult),
    /// What the database is made of when the run ends was read, and is kept to find drift by.
    SchemaLeft {
        /// The tables that the run touched; none where it touched none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        erd: Option<Erd>,
    },
    /// The run ended.
    RunFinished {
        /// How.
        outcome: Outcome,
    },
}

/// Receives events as they happen. Implementations must not block for long: the step waits for them.
pub trait EventSink: Send {
    /// Called for each event, in order.
    fn event(&mut self, event: &RunEvent);
}

impl<F: FnMut(&RunEvent) + Send> EventSink for F {
    fn event(&mut self, event: &RunEvent) {
        self(event);
    }
}

/// A whole run, as stored in the database's journal and as reports read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`FORMAT_VERSION`] it was written with.
    pub format_version: u32,
    /// Unique id.
    pub id: String,
    /// Project name.
    pub project: String,
    /// Tool version.
    pub tool: String,
    /// Who ran it: database role.
    pub role: String,
    /// Operating system user and host, where the caller gave them.
    pub operator: String,
    /// Started, microseconds since the Unix epoch.
    pub started_micros: i64,
    /// How many migrations were allowed to run side by side.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub jobs: u32,
    /// Server version as `server_version` says it.
    pub server_version: String,
    /// Database name.
    pub database: String,
    /// How it ended; `None` while it runs, or when it was killed.
    pub outcome: Option<Outcome>,
    /// What was to be done, as planned when the run began.
    pub plan: Plan,
    /// Events, in order.
    pub events: Vec<RunEvent>,
}

/// Who begins a run, when, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// See [`Run::id`].
    pub id: String,
    /// See [`Run::operator`].
    pub operator: String,
    /// See [`Run::tool`].
    pub tool: String,
    /// See [`Run::started_micros`].
    pub started_micros: i64,
}

impl Run {
    /// A run as it begins, one migration after the other: nothing has happened yet.
    pub fn begun_by(runner: Runner, project: &str, found: &Found, plan: Plan) -> Self {
        let Runner { id, operator, tool, started_micros } = runner;
        Self {
            format_version: FORMAT_VERSION,
            id,
            project: project.to_owned(),
            tool,
            role: found.role.clone(),
            operator,
            started_micros,
            jobs: one(),
            server_version: found.server_version.clone(),
            database: found.database.clone(),
            outcome: None,
            plan,
            events: Vec::new(),
        }
    }
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_one(jobs: &u32) -> bool {
    *jobs == 1
}

/// Durations as seconds with a fraction in JSON.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(value.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let value = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(value).map_err(serde::de::Error::custom)
    }
}
