//! Why a run did not start, or could not be recorded.

use cutover_postgres::connect::ConnectError;
use cutover_postgres::session::Failure;
use thiserror::Error;

use crate::history::HistoryError;
use crate::plan::prerequisites::Missing;
use crate::plan::select::SelectError;
use crate::project::Problems;
use crate::script::ScriptError;

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
    #[error("{}\nnothing was done", join(.0))]
    Scripts(Vec<ScriptError>),
    /// Something that pending migrations need is not there.
    #[error("{}\nnothing was done", join(.0))]
    Missing(Vec<Missing>),
    /// Applied files were edited or deleted.
    #[error("{}\nnothing was done", .0.join("\n"))]
    ChangedFiles(Vec<String>),
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
    /// The journal could not be written. What was applied before stands; the history says what.
    #[error("the run could not be recorded: {0}\nsee `cutover status` for what is applied")]
    Journal(Failure),
    /// A question to the database failed.
    #[error("{0}\nnothing was done")]
    Failed(#[from] Failure),
}

/// Each reason as it is said alone, but for the line that they have in common.
fn all(errors: &[ApplyError]) -> String {
    let text = |error: &ApplyError| {
        let text = error.to_string();
        let without = text.rsplit_once('\n').filter(|(_, last)| LAST_LINES.contains(last));
        without.map_or(text.clone(), |(reason, _)| reason.to_owned())
    };
    errors.iter().map(text).collect::<Vec<_>>().join("\n\n")
}

/// How reasons not to start end when they are said alone.
const LAST_LINES: [&str; 2] = ["nothing was done", "no migration was applied"];

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}
