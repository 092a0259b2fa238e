//! `cutover plan`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use cutover::apply::run_id;
use cutover::hazard;
use cutover::inspect::{self, Inspection, Stop};
use cutover::plan::Plan;
use cutover::plan::build::Read;
use cutover::plan::file::{PlanFile, Surroundings};
use cutover::plan::handover;
use cutover::plan::select::Selection;
use cutover::project::{Draft, Project};
use cutover::put;
use cutover::report::format::count;
use cutover::report::text::{plan_lines, precondition_lines};
use cutover::run::{Run, Runner};
use cutover::text::complaints;
use cutover::verify::{self, Precondition};
use cutover::{Clock, SystemClock};
use cutover_postgres::connect::ConnectOptions;
use serde::Serialize;

use super::apply::codes;
use super::{kept, written};
use crate::app::{App, overrides};
use crate::args::{SelectionArgs, VarArgs};
use crate::database::is_configured;
use crate::error::{CliError, Exit};

/// Show what would be done, in order, and why
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the files and, where a database is configured, its history. Measures the preconditions of what is pending where
what they read is there already. Writes nothing. Ends with 1 or 2 where a run would stop before its first statement.

Examples:
  cutover plan
  cutover plan --to-stage 3.2
  cutover plan --out plan.json         then, once reviewed: cutover apply plan.json
  cutover plan plan.json               that plan with its statements; needs no database
  cutover plan --sql plan.sql          a script for whoever may change the database
  cutover plan --offline --format json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: SelectionArgs,
    /// From the files alone: everything counts as pending
    #[arg(long, conflicts_with_all = ["url", "sandbox"])]
    offline: bool,
    /// Also write the plan to this file, for `cutover apply FILE`: it is applied to this database alone, and only while
    /// nothing has moved there or among the files
    #[arg(long, value_name = "FILE.json", conflicts_with = "offline")]
    out: Option<PathBuf>,
    /// Also write it to this file as a script for psql, for somebody else to run on this database; the history it leaves
    /// is that of a run
    #[arg(long, value_name = "FILE.sql", conflicts_with = "offline")]
    sql: Option<PathBuf>,
    /// Accept a hazard, or what a rule of `cutover lint --rules` finds, by its code; may be repeated. See docs/allow.md for
    /// when that is right
    #[arg(long, value_name = "CODE", value_parser = codes())]
    allow: Vec<String>,
    /// Let --out and --sql write over a file that is no earlier plan or script; never over a file of the project
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    vars: VarArgs,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    if let Some(file) = kept::named("plan", &arguments.selection)? {
        return show_kept(app, arguments, file);
    }
    let draft = app.draft(&overrides(&arguments.vars))?;
    let selection = Selection::from(&arguments.selection);
    if !draft.problems.is_empty() {
        return Err(refuse_draft(app, &draft, &selection, arguments.offline, &arguments.allow));
    }
    if arguments.out.is_some() || arguments.sql.is_some() {
        needs_database(app, &draft.project)?;
    }
    for file in arguments.out.iter().chain(&arguments.sql) {
        written::may_write(&draft.project, file, arguments.force)?;
    }
    let around = match &arguments.out {
        Some(file) => Some(surroundings(app, &draft.project, file)?),
        None => None,
    };
    let read = match (&arguments.out, app.output.is_verbose()) {
        (Some(_), true) => Read::AllListed,
        (Some(_), false) => Read::Listed,
        (None, true) => Read::All,
        (None, false) => Read::Pending,
    };
    let inspection = inspection(app, &draft.project, &selection, arguments.offline, read)?;
    show(app, &inspection, &arguments.allow)?;
    refuse(&inspection, &arguments.allow, Vec::new())?;
    if let Some(file) = &arguments.sql {
        write_sql(app, file, &draft.project, &selection, &inspection)?;
    }
    if let (Some(file), Some(around)) = (&arguments.out, around) {
        write(app, file, &draft.project, inspection, selection, around)?;
    }
    Ok(Exit::Done)
}

/// A plan that was kept is shown as it was made.
fn show_kept(app: &App, arguments: &Arguments, file: &str) -> Result<Exit, CliError> {
    let SelectionArgs { defer, out_of_order, .. } = &arguments.selection;
    let others = [
        ("--out", arguments.out.is_some()),
        ("--sql", arguments.sql.is_some()),
        ("--var", !arguments.vars.vars.is_empty()),
        ("--defer", !defer.is_empty()),
        ("--out-of-order", *out_of_order),
        ("--allow", !arguments.allow.is_empty()),
    ];
    if let Some((flag, _)) = others.iter().find(|(_, given)| *given) {
        return Err(CliError::usage(format!(
            "{file} is shown as it was made, which leaves nothing for {flag} to do; to plan anew, leave {file} out"
        )));
    }
    kept::show(app, &kept::read(file)?)?;
    Ok(Exit::Done)
}

/// The database before the plan is made: what changes in between must be found later.
fn surroundings(app: &App, project: &Project, file: &Path) -> Result<Surroundings, CliError> {
    if file.extension().is_none_or(|extension| extension != "json") {
        return Err(CliError::usage(
            "--out names a file that ends in .json: `cutover apply` knows a plan by that",
        ));
    }
    app.block_on(async |signals| {
        let work = async {
            let target = app.target(project).await?;
            Ok(inspect::surroundings(&target.options, app.global.wait).await?)
        };
        signals.or_end(Box::pin(work)).await
    })
}

fn needs_database(app: &App, project: &Project) -> Result<(), CliError> {
    if app.global.sandbox || !is_configured(&app.resolve(project)?) {
        return Err(CliError::usage(
            "a plan to be applied later is made for a database that stays: name one, e.g. with --url",
        ));
    }
    Ok(())
}

/// Nobody else may read it: values of placeholders and passwords stand in it as the files have them.
fn write_sql(
    app: &App,
    file: &Path,
    project: &Project,
    selection: &Selection,
    inspection: &Inspection,
) -> Result<(), CliError> {
    let Some(found) = &inspection.found else {
        return Err(CliError::usage("there is no database to look at"));
    };
    let clock = SystemClock::new();
    let runner = Runner {
        id: run_id(&clock),
        operator: String::new(),
        tool: format!("cutover {} (script for psql)", env!("CARGO_PKG_VERSION")),
        started_micros: clock.now_micros(),
    };
    let run = Run::begun_by(runner, &project.name, found, inspection.built.plan.clone());
    let mut text = Vec::new();
    // Who runs it has a password of their own.
    let options = app.resolve(project)?.options;
    let to = shell_word(&options.libpq_string());
    let (elsewhere, left_out) = options.libpq_string_elsewhere();
    let elsewhere = (shell_word(&elsewhere), left_out);
    let elsewhere = (elsewhere.0.as_str(), elsewhere.1.as_slice());
    handover::write(project, &inspection.built, selection, found.version, &run, elsewhere, &mut text)
        .map_err(|error| CliError::new(Exit::No, error.to_string()))?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(file)
        .and_then(|mut file| file.write_all(&text))
        .map_err(|error| CliError::usage(format!("cannot write {}: {error}", file.display())))?;
    app.output.say(&format!(
        "written to {}; to run it: psql --no-psqlrc --file {} {to}",
        file.display(),
        shell_word(&file.display().to_string())
    ));
    Ok(())
}

/// One word of a command line, as shells take it.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn write(
    app: &App,
    file: &Path,
    project: &Project,
    inspection: Inspection,
    selection: Selection,
    found: Surroundings,
) -> Result<(), CliError> {
    let tool = concat!("cutover ", env!("CARGO_PKG_VERSION")).to_owned();
    let made = (tool, SystemClock::new().now_micros());
    let plan = PlanFile::new(project, inspection, selection, found, made)
        .map_err(|error| CliError::new(Exit::No, error.to_string()))?;
    let text = serde_json::to_string_pretty(&plan).map_err(|error| CliError::usage(error.to_string()))?;
    put::over(file, &(text + "\n"))
        .map_err(|error| CliError::usage(format!("cannot write {}: {error}", file.display())))?;
    let word = shell_word(&file.display().to_string());
    app.output.say(&format!(
        "written to {}; to review it: cutover plan {word}; to apply it: cutover apply {word}",
        file.display()
    ));
    Ok(())
}

fn inspection(
    app: &App,
    project: &Project,
    selection: &Selection,
    offline: bool,
    read: Read,
) -> Result<Inspection, CliError> {
    let configured = app.global.sandbox || (!offline && is_configured(&app.resolve(project)?));
    if !configured {
        if !offline {
            app.output.remark("no database is configured: everything counts as pending");
        }
        return Ok(inspect::files_only(project, selection)?);
    }
    app.block_on(async |signals| {
        let work = async {
            let target = app.target(project).await?;
            look(app, project, &target.options, selection, read).await
        };
        signals.or_end(Box::pin(work)).await
    })
}

/// Looks at a database, as closely as can be done by reading alone.
pub(crate) async fn look(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    selection: &Selection,
    read: Read,
) -> Result<Inspection, CliError> {
    let mut session = inspect::connect(options, app.global.wait).await?;
    let mut inspection = inspect::database(project, &mut session, selection, read).await?;
    inspect::look_at_open(project, options, &mut session, &mut inspection).await?;
    session.close().await;
    inspect::look_closer(project, options, &mut inspection).await?;
    Ok(inspection)
}

/// A plan as JSON: the plan itself, and what is known besides.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    #[serde(flatten)]
    pub(crate) plan: &'a Plan,
    /// Preconditions of what would run.
    pub(crate) preconditions: &'a [Precondition],
    /// What would stop a run before its first statement, in words.
    pub(crate) stops: Vec<String>,
    /// What is probably wrong and does not stop a run.
    pub(crate) doubts: Vec<String>,
}

/// The plan itself, what is known of preconditions, and what is doubtful.
pub(crate) fn show(app: &App, inspection: &Inspection, allowed: &[String]) -> Result<(), CliError> {
    let doubts = || inspection.doubts(allowed).map(ToString::to_string);
    if app.output.is_json() {
        return app.output.json(&Document {
            plan: &inspection.built.plan,
            preconditions: &inspection.preconditions,
            stops: inspection.stops(allowed).map(|stop| stop.text).collect(),
            doubts: doubts().collect(),
        });
    }
    let style = app.output.style();
    app.output.print(&plan_lines(&inspection.built.plan, style));
    app.output.print(&precondition_lines(&inspection.preconditions, style));
    for doubt in doubts() {
        app.output.warn(&doubt);
    }
    Ok(())
}

/// Ends with everything that would stop a run of this plan before its first statement, if anything would; `others` is
/// what the caller found.
pub(crate) fn refuse(inspection: &Inspection, allowed: &[String], others: Vec<Stop>) -> Result<(), CliError> {
    let mut stops: Vec<Stop> = inspection.stops(allowed).collect();
    stops.extend(others);
    if stops.is_empty() {
        return Ok(());
    }
    let configuration = stops.iter().any(|stop| stop.configuration);
    let exit = if configuration { Exit::Usage } else { Exit::No };
    Err(CliError::new(exit, all(stops.into_iter().map(|stop| stop.text))))
}

/// Several complaints as one text.
fn all(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    match texts.as_slice() {
        [one] => format!("a run would stop before its first statement:\n{one}"),
        many => format!(
            "{} would stop a run before its first statement:\n\n{}",
            count(many.len(), "problem", "problems"),
            complaints(many, "\n\n")
        ),
    }
}

/// Everything that is wrong with a project that cannot be read as a whole: also what its migrations and checks say, as
/// far as they can be read. The database is asked only for what is pending, and is no reason to say less.
pub(crate) fn refuse_draft(
    app: &App,
    draft: &Draft,
    selection: &Selection,
    offline: bool,
    allowed: &[String],
) -> CliError {
    let project = &draft.project;
    let from_files = || inspect::files_only(project, selection).ok();
    let from_database = || inspection(app, project, selection, false, Read::Pending).ok();
    let mut inspection = if offline { from_files() } else { from_database().or_else(from_files) };
    if let Some(inspection) = &mut inspection {
        // Files that are left out, or stand twice, would be taken for deleted or edited ones.
        inspection.differences.clear();
        inspection.described.clear();
    }
    let mut problems = verify::problems_of(draft);
    if !allowed.iter().any(|code| code == hazard::UNPARSED) {
        problems.absorb(verify::unparsed(project));
    }
    problems.absorb(draft.problems.clone());
    let problems = problems.sorted().0.into_iter().map(|problem| problem.to_string());
    let stops = inspection.iter().flat_map(|inspection| inspection.stops(allowed));
    // What is wrong with checks is among the problems, as far as it can be known.
    let others = stops.filter(|stop| !stop.configuration).map(|stop| stop.text);
    let texts: Vec<String> = problems.chain(others).collect();
    match texts.as_slice() {
        [one] => CliError::usage(one),
        many => CliError::usage(format!(
            "{} in this project:\n\n{}",
            count(many.len(), "problem", "problems"),
            complaints(many, "\n\n")
        )),
    }
}
