//! `cutover report`.

use std::path::{Path, PathBuf};

use clap::Args;
use cutover::history::{journal, schema};
use cutover::inspect;
use cutover::project::Project;
use cutover::put;
use cutover::report::format::utc;
use cutover::report::text::{Detail, Progress, TextStyle, summary, verification_table};
use cutover::report::{answers, answers_besides_failures, html, markdown};
use cutover::revert;
use cutover::run::Run;
use serde::Serialize;

use super::documents::{self, Asked};
use crate::app::{App, overrides};
use crate::args::{Format, VarArgs};
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;

/// Columns of text in a file.
const FILE_WIDTH: usize = 120;
/// How many runs `--list` shows.
const LISTED: i64 = 100;

/// Show a run that is stored in the database: the newest, or one by its id
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cutover report                                 the newest run
  cutover report --list
  cutover report -o report.html                  one page that needs no other file
  cutover report --run 1a2b3c-4d --format markdown
  cutover report --documents docs/database       guide, sequence, summary, diagram, and a script that verifies")]
pub(crate) struct Arguments {
    /// Id of the run
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// List the newest runs
    #[arg(long, conflicts_with_all = ["run", "output"])]
    list: bool,
    /// File to write to; `-` is standard output. HTML goes to a file unless told otherwise. Without --format the name
    /// says the form: .html, .md or .json
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write documents into this folder, from what is measured now and what runs recorded: a guide, the sequence, a summary, a
    /// diagram, a script for psql that verifies and, where stages are sprints, the plan by sprints; where there are functions, the API
    ///
    /// The folder is made. Files that are there and were not written by this are kept unless --force is given. What the
    /// applied migrations make is built on a throwaway server, and their ways back are rehearsed there; in the
    /// database nothing is changed. The same database gives the same files.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "list", "output"])]
    documents: Option<PathBuf>,
    /// Templates that go before cutover's own, by their names, e.g. README.md.jinja; see docs/documents.md
    #[arg(long, value_name = "DIR", requires = "documents")]
    templates: Option<PathBuf>,
    /// Let --documents write over files that it did not write; never over a file of the project
    #[arg(long, requires = "documents")]
    force: bool,
    #[command(flatten)]
    vars: VarArgs,
}

impl Arguments {
    /// Whether a throwaway server runs meanwhile.
    pub(crate) fn makes_documents(&self) -> bool {
        self.documents.is_some()
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    format_version: u32,
    runs: Vec<ListedRun<'a>>,
}

#[derive(Serialize)]
struct ListedRun<'a> {
    id: &'a str,
    started_micros: i64,
    outcome: Option<&'a str>,
    /// Whether it went ways back.
    reverts: bool,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("report", "")?;
    if let Some(folder) = &arguments.documents {
        let asked = Asked { folder, templates: arguments.templates.as_deref(), force: arguments.force };
        return documents::run(app, &asked, &overrides(&arguments.vars));
    }
    if !arguments.vars.vars.is_empty() {
        return Err(CliError::usage("--var is for --documents: a stored run has its values"));
    }
    let project = app.project_of_records()?;
    if arguments.list {
        return list(app, &project);
    }
    let run = app.block_on(async |signals| {
        let work = async {
            let target = app.target(&project).await?;
            let mut session = inspect::connect(&target.options, app.global.wait).await?;
            Ok(inspect::stored_run(&mut session, &project.name, arguments.run.as_deref()).await?)
        };
        signals.or_end(work).await
    })?;
    let Some(run) = run else { return Err(not_found(&project, arguments)) };
    let default_file = PathBuf::from(format!("cutover-report-{}.html", run.id));
    let format = format(app.global.format, arguments.output.as_deref());
    let file = match (&arguments.output, format) {
        (Some(file), _) => Some(file.as_path()).filter(|file| *file != Path::new("-")),
        (None, Format::Html) => Some(default_file.as_path()),
        (None, _) => None,
    };
    let style =
        if file.is_some() { TextStyle { color: false, width: FILE_WIDTH } } else { app.output.style() };
    let document = document(&run, format, style, app.output.is_verbose())?;
    match file {
        None => app.output.print(&document),
        Some(file) => {
            put::over(file, &document).map_err(|error| CliError::file(file, &error))?;
            app.output.remark(&format!("written: {}", file.display()));
        }
    }
    Ok(Exit::Done)
}

/// The form that is asked for, or that the name of the file says.
fn format(asked: Option<Format>, output: Option<&Path>) -> Format {
    let ending = output.and_then(Path::extension).map(|ending| ending.to_string_lossy().to_lowercase());
    asked.unwrap_or(match ending.as_deref() {
        Some("html" | "htm") => Format::Html,
        Some("md" | "markdown") => Format::Markdown,
        Some("json") => Format::Json,
        _ => Format::Text,
    })
}

fn not_found(project: &Project, arguments: &Arguments) -> CliError {
    match &arguments.run {
        Some(id) => {
            CliError::usage(format!("no run has id {id}")).hint("cutover report --list shows what there is")
        }
        None => CliError::usage(format!("no run of project {} is recorded in this database", project.name))
            .hint("cutover apply makes one"),
    }
}

fn list(app: &App, project: &Project) -> Result<Exit, CliError> {
    let runs = app.block_on(async |signals| {
        let work = async {
            let target = app.target(project).await?;
            let mut session = inspect::connect(&target.options, app.global.wait).await?;
            if schema::look(&mut session).await?.version.is_none() {
                return Ok(Vec::new());
            }
            let both = [project.name.as_str(), &revert::project_name(&project.name)];
            Ok(journal::list_runs(&mut session, &both, LISTED).await?)
        };
        signals.or_end(work).await
    })?;
    if app.output.is_json() {
        let runs = runs.iter().map(|run| ListedRun {
            id: &run.id,
            started_micros: run.started_micros,
            outcome: run.outcome.as_deref(),
            reverts: revert::is_project_name(&run.project),
        });
        app.output.json(&Listed { format_version: FORMAT_VERSION, runs: runs.collect() })?;
        return Ok(Exit::Done);
    }
    let lines = runs.iter().map(|run| {
        let outcome =
            run.outcome.as_deref().unwrap_or("no end recorded: running or killed").replace('_', " ");
        let what = if revert::is_project_name(&run.project) { "revert: " } else { "" };
        format!("{}  {}  {what}{outcome}\n", run.id, utc(run.started_micros))
    });
    app.output.print(&lines.collect::<String>());
    Ok(Exit::Done)
}

fn document(run: &Run, format: Format, style: TextStyle, verbose: bool) -> Result<String, CliError> {
    Ok(match format {
        Format::Text => text(run, style, verbose),
        Format::Markdown => markdown(run),
        Format::Html => html(run),
        Format::Json => {
            let mut text = serde_json::to_string(run).map_err(CliError::usage)?;
            text.push('\n');
            text
        }
    })
}

/// The run as it was seen when it happened, with its checks and its end.
fn text(run: &Run, style: TextStyle, verbose: bool) -> String {
    let mut out = format!("{} {}  {}\n", revert::shown_name(&run.project), run.id, utc(run.started_micros));
    let mut progress = Progress::new(&run.plan, style);
    for line in run.events.iter().flat_map(|event| progress.lines(event)) {
        out.push_str(&line);
        out.push('\n');
    }
    let checks = if verbose { answers(run) } else { answers_besides_failures(run) };
    if !checks.is_empty() {
        let detail = if verbose { Detail::Full } else { Detail::Checks };
        out.push('\n');
        out.push_str(&verification_table(&checks, detail, style));
        out.push('\n');
    }
    out.push_str(&summary(run, style));
    out
}
