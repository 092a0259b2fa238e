//! Settling by a person what the tool cannot know: whether a statement that ran outside a transaction took effect.

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Failure;
use thiserror::Error;

use crate::apply::ApplyError;
use crate::apply::pooler;
use crate::history::{HistoryError, journal, lock, records, schema};
use crate::inspect;
use crate::plan::select::{self, SelectError};
use crate::project::Project;
use crate::stop::Stop;

/// What a person found when looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The statement's effect is there.
    Done,
    /// It is not.
    NotDone,
}

/// Why nothing was settled.
#[derive(Debug, Error)]
pub enum RepairError {
    /// The database could not be read.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The history could not be read, or the runner's lock not obtained.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// No such migration.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// There is nothing to settle.
    #[error("{path}: no statement of it waits for a decision; nothing was changed")]
    NothingOpen {
        /// Path of the migration.
        path: String,
    },
    /// The server refused.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Records what a person found about the open statement of a migration. The next run goes on from there.
///
/// # Errors
/// See [`RepairError`]; nothing was changed then.
pub async fn mark(
    project: &Project,
    options: &ConnectOptions,
    version: &str,
    mark: Mark,
) -> Result<(), RepairError> {
    let (_, migration) = select::find(project, version)?;
    let nothing_open = || RepairError::NothingOpen { path: migration.path.clone() };
    let mut session = inspect::connect(options, None).await?;
    let found = schema::look(&mut session).await?;
    if found.version.is_none() {
        return Err(nothing_open());
    }
    pooler::refuse(&found, &mut session, options, "repair").await?;
    // A runner at work may be just about to settle it itself.
    lock::acquire(&mut session, std::time::Duration::from_secs(5), &Stop::new(), |_| {}).await?;
    let history = records::read(&mut session, &project.name).await?;
    let open = history.units_of(&migration.id).iter().find(|unit| !unit.done).ok_or_else(nothing_open)?;
    let change = match mark {
        Mark::Done => {
            journal::upsert_unit(&project.name, &open.run, migration, open.unit, true, "settled by hand")
        }
        Mark::NotDone => journal::delete_unit(&project.name, migration, open.unit),
    };
    session.execute(&format!("BEGIN; SET LOCAL synchronous_commit = on; {change}; COMMIT")).await?;
    session.close().await;
    Ok(())
}
