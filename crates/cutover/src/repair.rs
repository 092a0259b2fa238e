//! Settling by a person what the tool cannot know: whether a statement that ran outside a transaction took effect.

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Failure;
use thiserror::Error;

use crate::apply::ApplyError;
use crate::apply::pooler;
use crate::history::records::Begun;
use crate::history::{HistoryError, lock, records, schema, units};
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
    #[error("{path}: no statement of it waits for a decision; nothing was changed{}", because(failed.as_deref()))]
    NothingOpen {
        /// Path of the migration.
        path: String,
        /// What is known of a statement of it that failed and left nothing behind, in words.
        failed: Option<String>,
    },
    /// The server refused.
    #[error(transparent)]
    Failed(#[from] Failure),
}

fn because(failed: Option<&str>) -> String {
    failed.map_or_else(String::new, |failed| {
        format!("\n{failed}; nothing of it is there, and the next run runs it again as it is")
    })
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
    let nothing_open = |failed| RepairError::NothingOpen { path: migration.path.clone(), failed };
    let mut session = inspect::connect(options, None).await?;
    let found = schema::look(&mut session).await?;
    if found.version.is_none() {
        return Err(nothing_open(None));
    }
    pooler::refuse(&found, &mut session, options, "repair").await?;
    // A runner at work may be just about to settle it itself.
    lock::acquire(&mut session, std::time::Duration::from_secs(5), &Stop::new(), |_| {}).await?;
    let history = records::read(&mut session, &project.name).await?;
    let failed = history.failed(&migration.id);
    let failed = failed.map(|unit| format!("part {} {}", unit.unit + 1, unit.failure.happened()));
    let open = history.begun(&migration.id).and_then(Begun::open).ok_or_else(|| nothing_open(failed))?;
    let change = match mark {
        Mark::Done => units::mark_done(&project.name, &open.run, &migration.id, open.unit),
        Mark::NotDone => units::forget(&project.name, &migration.id, open.unit),
    };
    session.execute(&format!("BEGIN; SET LOCAL synchronous_commit = on; {change}; COMMIT")).await?;
    session.close().await;
    Ok(())
}
