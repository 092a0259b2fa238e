//! Why a run did not start, or could not be recorded.

use cutover_postgres::connect::ConnectError;
use cutover_postgres::session::Failure;
use thiserror::Error;

use super::failure::explain;
use super::monitor::{LockLost, Now};
use crate::adopt::Unadopted;
use crate::history::HistoryError;
use crate::plan::existing::AlreadyThere;
use crate::plan::held::Held;
use crate::plan::prerequisites::Missing;
use crate::plan::select::SelectError;
use crate::plan::twice::CreatedTwice;
use crate::project::Problems;
use crate::script::ScriptError;
use crate::text::complaints;

/// Why a run did not start, or could not be recorded. Unless a variant says otherwise, nothing was done.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The server could not be reached, or refused the connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The history could not be read, or the runner's lock not obtained.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The selection makes no sense.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// Files that cannot run.
    #[error("{}\nnothing was done", complaints(.0, "\n\n"))]
    Scripts(Vec<ScriptError>),
    /// Something that pending migrations need is not there.
    #[error("{}\nnothing was done", complaints(.0, "\n\n"))]
    Missing(Vec<Missing>),
    /// Something that pending migrations create is there already.
    #[error("{0}\nnothing was done")]
    AlreadyThere(Box<AlreadyThere>),
    /// Another tool has applied what is pending.
    #[error("{0}\nnothing was done")]
    NotAdopted(Unadopted),
    /// What lint finds in what would run, against what is there.
    #[error("{}\nnothing was done", complaints(.0, "\n\n"))]
    Linted(Vec<String>),
    /// Something is created by two pending migrations, or twice by one.
    #[error("{0}\nnothing was done")]
    CreatedTwice(Box<CreatedTwice>),
    /// Something is built on what pending migrations drop or give another type.
    #[error("{}\nnothing was done", complaints(.0, "\n\n"))]
    Held(Vec<Held>),
    /// Applied files were edited or deleted.
    #[error("{}\nnothing was done", complaints(.0, "\n"))]
    ChangedFiles(Vec<String>),
    /// The plan that was to be applied was made for another state of the database or the files.
    #[error("the plan does not hold any more, since it was made:\n{}\n  hint: plan again\nnothing was done", complaints(.0, "\n"))]
    Moved(Vec<String>),
    /// Checks or claims are written wrong.
    #[error("{0}\nnothing was done")]
    Checks(Problems),
    /// Several of these at once.
    #[error("{}\nnothing was done", all(.0))]
    Several(Vec<ApplyError>),
    /// The role or the server does not allow what the run needs.
    #[error("{0}\nnothing was done")]
    NotAllowed(String),
    /// A backup that a stage requires could not be taken and proven. No migration was applied.
    #[error("{0}\nno migration was applied")]
    Backup(String),
    /// Figures to compare with later could not be taken. No migration was applied.
    #[error("{0}\nno migration was applied")]
    Figures(String),
    /// The journal could not be written.
    #[error("the run could not be recorded: {}\n{state}", explain(failure))]
    Journal {
        /// What went wrong.
        failure: Failure,
        /// What is now true of the database.
        state: String,
    },
    /// A question to the database failed.
    #[error("{}\nnothing was done", explain(.0))]
    Failed(#[from] Failure),
    /// The server refused something before the first step, or the connection was lost there.
    #[error("{doing}: {}\n{state}", explain(failure))]
    Refused {
        /// What was being done, e.g. `creating schema cutover`.
        doing: &'static str,
        /// What went wrong.
        failure: Failure,
        /// What is now true of the database.
        state: String,
        /// The run was recorded as begun.
        begun: bool,
    },
    /// A further connection, e.g. that of the session which changes the database, did not come about.
    #[error("{error}\n{state}")]
    Connection {
        /// Why.
        error: ConnectError,
        /// What is now true of the database.
        state: String,
    },
    /// The runner's lock was lost before the first step. No migration was applied.
    #[error("{message}\n{state}")]
    LockLost {
        /// What happened.
        message: String,
        /// Another runner has it; otherwise nobody could be asked.
        taken_over: bool,
        /// What is now true of the database.
        state: String,
    },
}

/// How far a run has come, for errors that end it: what was being done, and what is true of the database then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first connection is made.
    Connecting,
    /// Nothing is written yet.
    Looking,
    /// Waiting for the runner's lock.
    Locking,
    /// Our own tables are made, in one transaction.
    Creating,
    /// The lock is held and the tables are there; whether this run made them.
    Holding { created: bool },
    /// The run is about to be recorded.
    Recording { created: bool },
    /// The run is recorded.
    Begun,
}

impl Phase {
    /// What is next is the record of the run.
    pub(super) fn recording(&mut self) {
        if let Self::Holding { created } = *self {
            *self = Self::Recording { created };
        }
    }

    fn doing(self) -> &'static str {
        match self {
            Self::Connecting | Self::Looking => "looking at the database",
            Self::Locking => "taking the runner's lock",
            Self::Creating => "creating or upgrading the tables in schema cutover",
            Self::Holding { .. } => "preparing the run",
            Self::Recording { .. } => "recording that the run begins",
            Self::Begun => "before the first migration",
        }
    }

    /// What is true where the connection was lost: what was sent last may be there.
    fn state_after_loss(self) -> String {
        let state = match self {
            Self::Creating => {
                "no migration was applied; whether schema cutover was created or upgraded is not known, and the next run looks"
            }
            Self::Recording { .. } => {
                "no migration was applied; whether the run is recorded is not known, and the next run begins anew"
            }
            Self::Begun => "no migration was applied; the next run begins anew",
            _ => return self.state(),
        };
        state.to_owned()
    }

    pub(super) fn state(self) -> String {
        let state = match self {
            Self::Connecting | Self::Looking | Self::Locking | Self::Creating => "nothing was done",
            Self::Holding { created: true } | Self::Recording { created: true } => {
                "schema cutover was created; no migration was applied"
            }
            Self::Holding { created: false } | Self::Recording { created: false } | Self::Begun => {
                "no migration was applied"
            }
        };
        state.to_owned()
    }
}

impl ApplyError {
    /// The error with what was being done and what is now true, where it does not say so itself.
    pub(super) fn at(self, phase: Phase) -> Self {
        let (doing, state) = (phase.doing(), phase.state());
        match self {
            Self::Failed(failure) | Self::History(HistoryError::Failed(failure)) => {
                let state =
                    if matches!(failure, Failure::Lost(_)) { phase.state_after_loss() } else { state };
                Self::Refused { doing, failure, state, begun: phase == Phase::Begun }
            }
            Self::Connect(error) if phase != Phase::Connecting => Self::Connection { error, state },
            other => other,
        }
    }

    /// The lock was lost before the first step.
    pub(super) fn lock_lost(lost: &LockLost, phase: Phase) -> Self {
        let taken_over = matches!(lost.now, Now::TakenOver(_));
        Self::LockLost { message: lost.to_string(), taken_over, state: phase.state() }
    }
}

/// Each reason as it is said alone, but for the line that they have in common.
fn all(errors: &[ApplyError]) -> String {
    let text = |error: &ApplyError| {
        let text = error.to_string();
        let without = text.rsplit_once('\n').filter(|(_, last)| LAST_LINES.contains(last));
        without.map_or(text.clone(), |(reason, _)| reason.to_owned())
    };
    complaints(&errors.iter().map(text).collect::<Vec<_>>(), "\n\n")
}

/// How reasons not to start end when they are said alone.
const LAST_LINES: [&str; 2] = ["nothing was done", "no migration was applied"];
