//! What a worker tells as it happens.

use serde::Serialize;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WorkerEvent {
    /// It takes jobs from now on.
    Started {
        /// Its name.
        worker: String,
        /// Whether it made schema `cutover_worker`.
        made_schema: bool,
        /// Declarations of `cutover.toml` that were new or changed.
        declared: u64,
        /// Jobs that `cutover.toml` does not declare any more, taken away.
        removed: u64,
    },
    /// A run has ended, or its end could not be seen.
    RunEnded(RunEnd),
    /// Due times passed without a run, by the job's policy.
    Skipped {
        /// The job.
        job: String,
    },
    /// A job cannot be run as it is declared.
    Problem {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// The connection to the database is lost; the worker goes on trying.
    Disconnected {
        /// Why.
        why: String,
    },
    /// The database is there again.
    Connected,
    /// Nothing more is begun: what runs is waited for.
    Stopping {
        /// How many runs.
        running: usize,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunEnd {
    /// The job.
    pub job: String,
    /// The due time, in microseconds since the Unix epoch.
    pub scheduled_micros: i64,
    /// Which try it was, from 1.
    pub attempt: i32,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Rows that its command speaks of.
    pub rows: Option<u64>,
    /// What went wrong.
    pub error: Option<String>,
    /// Whether it is tried again.
    pub again: bool,
    /// How long it took.
    pub seconds: f64,
    /// How long after its due time it began, by the database's clock.
    pub lag_seconds: f64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Its work is committed.
    Done,
    /// It failed and was rolled back.
    Failed,
    /// It took longer than it may, and was rolled back.
    TimedOut,
    /// It was cancelled as its worker stopped, and is run again.
    Lost,
    /// The connection was lost before its end was seen: the database knows.
    Unknown,
}

impl RunOutcome {
    /// As it is written down.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }
}
