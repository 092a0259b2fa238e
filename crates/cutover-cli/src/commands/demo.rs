//! `cutover demo`.

use std::path::{Path, PathBuf};

use clap::Args;
use cutover::apply::{BackupSettings, Request};
use cutover::inspect;
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::project::{Draft, Overrides, Project};
use cutover::report::text::{Detail, plan_overview};
use cutover::report::{answers, html};
use cutover::run::Outcome;
use cutover::verify::VerifyRequest;

use super::plan::show;
use crate::app::{App, current_folder};
use crate::error::{CliError, Exit};
use crate::signals::Signals;
use crate::{running, verifying};

/// The example in a checkout of the sources.
const EXAMPLE: &str = "systems/bitstockerz";

/// Plan, apply and verify the example project on a throwaway server, and write the report
#[derive(Debug, Args)]
#[command(after_help = "\
The example is systems/bitstockerz of a checkout of the sources, looked for upward from the current folder and from
this program. With -C any other project is shown.

Examples:
  cutover demo
  cutover demo -C systems/bitstockerz -o report.html")]
pub(crate) struct Arguments {
    /// File for the report; default: in the checkout's target folder, else in the current one
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    if app.global.url.is_some() {
        return Err(CliError::usage("the demo makes a throwaway server of its own: leave --url out"));
    }
    let folder = match &app.global.project {
        Some(folder) => folder.clone(),
        None => example()?,
    };
    let Draft { project, problems, .. } = app.draft_in(&folder, &Overrides::default())?;
    problems.into_result().map_err(CliError::usage)?;
    let file = arguments.output.clone().unwrap_or_else(|| report_file(&folder));
    app.block_on(async |signals| Box::pin(show_all(app, &project, &file, signals)).await)
}

async fn show_all(
    app: &App,
    project: &Project,
    file: &Path,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let target = signals.or_end(app.sandbox_target()).await?;
    let plan = async {
        let mut session = inspect::connect(&target.options, None).await?;
        let inspection = inspect::database(project, &mut session, &Selection::default(), Read::All).await?;
        session.close().await;
        if app.output.is_json() || app.output.is_verbose() {
            return show(app, &inspection, &[]);
        }
        app.output.print(&plan_overview(&inspection.built.plan, app.output.style()));
        Ok(())
    };
    signals.or_end(plan).await?;
    app.output.say("");
    // A stage of another project may require one: it lies beside the report.
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let backups = BackupSettings { folder, sandbox: app.sandbox_options() };
    let request = Request { backup: Some(backups), ..Request::default() };
    let mut run = running::apply(app, project, &target.options, &request, signals, false).await?;
    if !matches!(run.outcome, Some(Outcome::Completed | Outcome::NothingToDo)) {
        return Ok(running::tell_end(app, project, &run));
    }
    let verification = VerifyRequest { fresh: true, ..VerifyRequest::default() };
    signals
        .or_end(verifying::after_run(
            app,
            project,
            &target.options,
            &verification,
            &mut run,
            Some(Detail::Groups),
        ))
        .await?;
    let exit = running::tell_end(app, project, &run);
    write(file, &html(&run))?;
    app.output.say(&format!("Report: {}", file.display()));
    verifying::verdict(&answers(&run))?;
    Ok(exit)
}

fn write(file: &Path, text: &str) -> Result<(), CliError> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| CliError::file(folder, &error))?;
    }
    std::fs::write(file, text).map_err(|error| CliError::file(file, &error))
}

/// The example's folder, upward from here or from this program.
fn example() -> Result<PathBuf, CliError> {
    let here = current_folder()?;
    let program = std::env::current_exe().unwrap_or_default();
    let places = here.ancestors().chain(program.ancestors());
    let found = places.map(|place| place.join(EXAMPLE)).find(|folder| folder.join("cutover.toml").is_file());
    found.ok_or_else(|| {
        CliError::usage(format!("{EXAMPLE} is neither above {} nor above this program", here.display()))
            .hint("run the demo in a checkout of cutover's sources, or name a project with -C")
    })
}

/// `target/demo` of the checkout that the project is part of, else a file here.
fn report_file(project: &Path) -> PathBuf {
    let project = std::fs::canonicalize(project).unwrap_or_else(|_| project.to_owned());
    let checkout = project
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file() && folder.join("target").is_dir());
    checkout.map_or_else(
        || PathBuf::from("cutover-demo.html"),
        |checkout| checkout.join("target/demo/report.html"),
    )
}
