//! `cutover apply --dry-run`: the plan, and everything that would stop a run of it, found by reading alone.

use cutover::apply::{ApplyError, may_write};
use cutover::inspect::{self, Inspection, Stop};
use cutover::plan::build::Read;
use cutover::project::Project;
use cutover::report::format::count;
use cutover_postgres::connect::ConnectOptions;

use super::apply::Arguments;
use super::plan::{look, refuse, show};
use crate::app::App;
use crate::error::{CliError, Exit};

pub(crate) async fn run(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    arguments: &Arguments,
) -> Result<Exit, CliError> {
    let (selection, plan) = arguments.chosen()?;
    let inspection = look(app, project, options, &selection, Read::Pending).await?;
    show(app, &inspection, &arguments.allow)?;
    let mut others = Vec::new();
    if let Some(plan) = plan {
        let now = inspect::surroundings(options, app.global.wait).await?;
        let mut moved = plan.moved(project, &inspection.built.plan, &now.objects);
        moved.extend(plan.terms_moved(&now.terms));
        others.extend((!moved.is_empty()).then(|| Stop {
            text: without_end(&ApplyError::Moved(moved).to_string()),
            configuration: false,
        }));
    }
    if inspection.built.pending().next().is_some() {
        let may_not = inspection.found.as_ref().and_then(|found| may_write(found).err());
        let of_request = |text: String| Stop { text, configuration: true };
        others.extend(may_not.map(|error| of_request(without_end(&error.to_string()))));
        others.extend(backup_missing(project, &inspection, arguments).map(of_request));
    }
    refuse(&inspection, &arguments.allow, others)?;
    let pending = inspection.built.pending().count();
    app.output.say(&format!(
        "dry run: {} would be applied; nothing was changed",
        count(pending, "migration", "migrations")
    ));
    Ok(Exit::Done)
}

/// That nothing was done goes without saying here.
fn without_end(text: &str) -> String {
    text.strip_suffix("\nnothing was done").unwrap_or(text).to_owned()
}

fn backup_missing(project: &Project, inspection: &Inspection, arguments: &Arguments) -> Option<String> {
    let mut stages = inspection.built.pending().filter_map(|index| project.migrations[index].stage);
    let stage = &project.stages[stages.find(|stage| project.stages[*stage].require_backup)?];
    let missing = arguments.backup_dir.is_none();
    missing.then(|| {
        format!("{} {} requires a backup: no folder for it was given (--backup-dir)", stage.kind, stage.id)
    })
}
