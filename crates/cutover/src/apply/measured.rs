//! What is measured around a run: figures taken before its first statement, and preconditions of single migrations.

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use super::error::ApplyError;
use super::failure::{self, StepFailure};
use super::monitor::Monitor;
use super::recorder::Recorder;
use super::step::{Step, Tools};
use super::{application_name, store_early};
use crate::history::records;
use crate::migration::Migration;
use crate::project::{Project, When};
use crate::run::{EventKind, Verdict};
use crate::verify;

/// Whether any check is to be measured before this migration.
pub(crate) fn has_preconditions(project: &Project, migration: &Migration) -> bool {
    project.checks.iter().any(|check| matches!(&check.when, When::Before(id) if *id == migration.id))
}

/// Takes and stores the figures that checks of kind `unchanged` compare with later.
pub(super) async fn take_figures(
    project: &Project,
    options: &ConnectOptions,
    monitor: &mut Monitor,
    recorder: &mut Recorder<'_>,
) -> Result<(), ApplyError> {
    let figures =
        verify::figures(project, options).await.map_err(|error| ApplyError::Figures(error.to_string()))?;
    if figures.is_empty() {
        return Ok(());
    }
    for verify::Figure { table, rows, digest } in figures {
        recorder.tell(EventKind::Figures { table, rows, digest });
    }
    monitor.for_journal().await?;
    store_early(monitor, "", recorder).await?;
    Ok(())
}

/// Measures what must hold before a migration; anything that does not keeps it from starting.
pub(super) async fn preconditions(
    project: &Project,
    options: &ConnectOptions,
    step: &Step<'_>,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<(), StepFailure> {
    let done = usize::try_from(step.done).unwrap_or(usize::MAX);
    let refuse = |message: String| {
        StepFailure::clean(message, failure::rolled_back(step, done)).after(step.parts(done))
    };
    let mut monitor = tools.watch.monitor().await;
    let monitor = monitor.answering().await.map_err(|lost| failure::lock_lost(step, &lost))?;
    let history = records::read(monitor, &project.name).await.map_err(|error| refuse(error.to_string()))?;
    // The checks' names are meant under the user's own search path, which the monitor does not have.
    let startup = Startup { application_name: application_name(tools.recorder.run()), ..Startup::default() };
    let mut session = Session::connect(options, &startup).await.map_err(|error| refuse(error.to_string()))?;
    let results = verify::preconditions(project, &mut session, &history, &step.migration.id).await;
    session.close().await;
    let results = results.map_err(|error| refuse(error.to_string()))?;
    let mut complaints = Vec::new();
    for result in results {
        if !matches!(result.verdict, Verdict::Holds | Verdict::Skipped) {
            complaints.push(format!("  {}", verify::complaint(&result)));
        }
        tools.recorder.tell(EventKind::CheckDone(result));
    }
    if complaints.is_empty() {
        return Ok(());
    }
    Err(refuse(format!(
        "{}: what must hold before it does not\n{}\n  hint: mend what was found, or the check, and run again; nothing of the \
         file was run",
        step.migration.path,
        complaints.join("\n")
    )))
}
