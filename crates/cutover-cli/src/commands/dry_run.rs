//! `cutover apply --dry-run`: the plan, and everything that would stop a run of it, found by reading alone.

use cutover::apply::may_write;
use cutover::inspect::{self, Inspection};
use cutover::plan::build::Read;
use cutover::plan::prerequisites;
use cutover::plan::select::Selection;
use cutover::project::Project;
use cutover::report::format::count;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use super::apply::Arguments;
use super::plan::{complaints, show};
use crate::app::App;
use crate::error::{CliError, Exit};

pub(crate) async fn run(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    arguments: &Arguments,
) -> Result<Exit, CliError> {
    let selection = Selection::from(&arguments.selection);
    let mut session = inspect::connect(options, app.global.wait).await?;
    let inspection = inspect::database(project, &mut session, &selection, Read::Pending).await?;
    session.close().await;
    show(app, &inspection)?;
    let mut stopping = complaints(&inspection, &arguments.allow);
    if inspection.built.pending().next().is_some() {
        stopping.extend(
            inspection.found.as_ref().and_then(|found| may_write(found).err()).map(|error| error.to_string()),
        );
        stopping.extend(backup_missing(project, &inspection, arguments));
        stopping.extend(prerequisites_missing(project, options, &inspection).await?);
    }
    if !stopping.is_empty() {
        return Err(CliError::new(
            Exit::No,
            format!("a run would stop before its first statement:\n{}", stopping.join("\n")),
        ));
    }
    let pending = inspection.built.pending().count();
    app.output.say(&format!(
        "dry run: {} would be applied; nothing was changed",
        count(pending, "migration", "migrations")
    ));
    Ok(Exit::Done)
}

fn backup_missing(project: &Project, inspection: &Inspection, arguments: &Arguments) -> Option<String> {
    let mut stages = inspection.built.pending().filter_map(|index| project.migrations[index].stage);
    let stage = &project.stages[stages.find(|stage| project.stages[*stage].require_backup)?];
    let missing = arguments.backup_dir.is_none();
    missing.then(|| {
        format!("{} {} requires a backup: no folder for it was given (--backup-dir)", stage.kind, stage.id)
    })
}

/// What pending migrations need and the database does not have. The session has the search path migrations run with.
async fn prerequisites_missing(
    project: &Project,
    options: &ConnectOptions,
    inspection: &Inspection,
) -> Result<Vec<String>, CliError> {
    let settings = vec![("default_transaction_read_only".to_owned(), "on".to_owned())];
    let startup = Startup { application_name: "cutover".to_owned(), settings, wait: None };
    let mut session = Session::connect(options, &startup).await?;
    let missing = prerequisites::missing(project, &inspection.built, &mut session).await?;
    session.close().await;
    Ok(missing.iter().map(ToString::to_string).collect())
}
