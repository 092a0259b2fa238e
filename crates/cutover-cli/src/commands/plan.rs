//! `cutover plan`.

use clap::Args;
use cutover::inspect::{self, Inspection};
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::project::Project;
use cutover::report::text::plan_lines;

use crate::app::{App, overrides};
use crate::args::{SelectionArgs, VarArgs};
use crate::error::{CliError, Exit};

/// Show what would be done, in order, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the files and, where a database is configured, its history. Writes nothing and takes no lock.

Examples:
  cutover plan
  cutover plan --to-stage 3.2
  cutover plan --offline --format json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: SelectionArgs,
    /// From the files alone: everything counts as pending
    #[arg(long, conflicts_with_all = ["url", "sandbox"])]
    offline: bool,
    #[command(flatten)]
    vars: VarArgs,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    let project = app.project(&overrides(&arguments.vars))?;
    let selection = Selection::from(&arguments.selection);
    let inspection = inspection(app, &project, &selection, arguments.offline)?;
    show(app, &inspection)?;
    let complaints = complaints(&inspection, &[]);
    if complaints.is_empty() {
        return Ok(Exit::Done);
    }
    Err(CliError::new(Exit::No, complaints.join("\n")))
}

fn inspection(
    app: &App,
    project: &Project,
    selection: &Selection,
    offline: bool,
) -> Result<Inspection, CliError> {
    let configured = app.global.sandbox || (!offline && app.configured(project)?.is_some());
    if !configured {
        if !offline {
            app.output.remark("no database is configured: everything counts as pending");
        }
        return Ok(inspect::files_only(project, selection)?);
    }
    let read = if app.output.is_verbose() { Read::All } else { Read::Pending };
    app.block_on(async |signals| {
        let work = async {
            let target = app.target(project).await?;
            let mut session = inspect::connect(&target.options, app.global.wait).await?;
            Ok(inspect::database(project, &mut session, selection, read).await?)
        };
        signals.or_end(work).await
    })
}

/// The plan itself.
pub(crate) fn show(app: &App, inspection: &Inspection) -> Result<(), CliError> {
    if app.output.is_json() {
        return app.output.json(&inspection.built.plan);
    }
    app.output.print(&plan_lines(&inspection.built.plan, app.output.style()));
    Ok(())
}

/// What would stop a run of this plan before its first statement.
pub(crate) fn complaints(inspection: &Inspection, allowed: &[String]) -> Vec<String> {
    let differences = inspection.differences.iter().zip(&inspection.described);
    let files = differences
        .filter(|(difference, _)| difference.is_refused(allowed))
        .map(|(_, described)| described.clone());
    files.chain(inspection.built.script_errors(allowed).map(ToString::to_string)).collect()
}
