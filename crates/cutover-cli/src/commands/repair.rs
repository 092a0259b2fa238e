//! `cutover repair`.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use cutover::compare::drift;
use cutover::plan::select;
use cutover::project::{Overrides, Project};
use cutover::repair::{self, Finding, Listing, Mark, Unsettled};
use cutover::report::format::count;
use cutover::text::visible;
use serde::Serialize;

use crate::app::App;
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;
use crate::surroundings;

/// Settle by hand whether a statement outside a transaction took effect
///
/// A statement such as CREATE INDEX CONCURRENTLY commits by itself. When the connection is lost while one runs, and
/// its effect cannot be looked up, nobody but you can say what became of it: look, then mark it. The next `apply`
/// goes on from there. Without a mark it shows what is open, what the catalogue says of it now, and how to settle it. A mark
/// is refused while a session of the run that began it lives (or psql with its script), and where the catalogue says
/// otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --mark it ends with 5 while something waits for a person, else with 6 while one of the statements is still at
work, else with 0. Ways back that are begun are listed too: `revert` goes on with them.

Examples:
  cutover repair                         what is open, and what is known of it
  cutover repair 0330 --mark done        its effect is there: go on after it
  cutover repair 0330 --mark not-done    its effect is not there: run it again")]
pub(crate) struct Arguments {
    /// The migration; without --mark all of them if none is named
    #[arg(required_if_eq_any([("mark", "done"), ("mark", "not-done")]))]
    version: Option<String>,
    /// What you found
    #[arg(long, value_enum, value_name = "FOUND")]
    mark: Option<Found>,
    /// Record what the database is made of now as what it should be: `cutover diff` finds no drift then
    #[arg(long, conflicts_with_all = ["version", "mark"])]
    accept_drift: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Found {
    /// The statement took effect
    Done,
    /// It did not
    NotDone,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("repair", "")?;
    let project = app.project(&Overrides::default())?;
    if arguments.accept_drift {
        return accept_drift(app, &project);
    }
    match (&arguments.version, arguments.mark) {
        (Some(version), Some(found)) => mark(app, &project, version, found),
        (version, _) => list(app, &project, version.as_deref()),
    }
}

fn accept_drift(app: &App, project: &Project) -> Result<Exit, CliError> {
    let operator = surroundings::operator(&app.environment);
    let database = app.block_on(async |signals| {
        let accepting = async {
            let target = app.target(project).await?;
            app.confirm(&format!(
                "Record what database {} is made of now as what it should be?",
                visible(&target.options.database)
            ))?;
            drift::accept(project, &target.options, &operator).await?;
            Ok(target.options.database)
        };
        signals.or_end(Box::pin(accepting)).await
    })?;
    app.output.say(&format!("recorded: database {} is as it should be", visible(&database)));
    Ok(Exit::Done)
}

fn mark(app: &App, project: &Project, version: &str, found: Found) -> Result<Exit, CliError> {
    let (mark, words) = match found {
        Found::Done => (Mark::Done, "took effect: it will not be run again"),
        Found::NotDone => (Mark::NotDone, "did not take effect: it will be run again"),
    };
    app.block_on(async |signals| {
        let (target, open) = signals
            .or_end(async {
                let target = app.target(project).await?;
                let open = repair::look(project, &target.options, version).await?;
                Ok((target, open))
            })
            .await?;
        app.confirm(&format!("Record that {} {words}?", visible(&open.to_string())))?;
        let marking = async { Ok(repair::mark(project, &target.options, version, &open, mark).await?) };
        signals.or_end(Box::pin(marking)).await
    })?;
    app.output.say(&format!("recorded: the open statement of {version} {words}"));
    Ok(Exit::Done)
}

/// What is open, as JSON.
#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    project: &'a str,
    open: Vec<Listed<'a>>,
    /// Ways back that are begun, in words.
    begun_back: &'a [String],
}

#[derive(Serialize)]
struct Listed<'a> {
    root: &'a str,
    version: &'a str,
    path: &'a str,
    part: u32,
    first_line: u32,
    last_line: u32,
    statement: &'a str,
    run: &'a str,
    failure: Option<String>,
    finding: &'static str,
    says: String,
    /// What settles it; none where there is nothing to settle.
    commands: Vec<String>,
}

fn list(app: &App, project: &Project, version: Option<&str>) -> Result<Exit, CliError> {
    let found = app.block_on(async |signals| {
        let looking = async {
            let target = app.target(project).await?;
            Ok(repair::list(project, &target.options, version).await?)
        };
        signals.or_end(Box::pin(looking)).await
    })?;
    if app.output.is_json() {
        let open = found.statements.iter().map(|one| line(project, one)).collect();
        let (project, begun_back) = (&project.name, &found.begun_back);
        app.output.json(&Document { format_version: FORMAT_VERSION, project, open, begun_back })?;
    } else {
        app.output.print(&text(project, &found));
    }
    let any = |which: fn(&Finding) -> bool| found.statements.iter().any(|one| which(&one.finding));
    Ok(if any(|finding| matches!(finding, Finding::Unknown(_))) {
        Exit::NeedsPerson
    } else if any(|finding| matches!(finding, Finding::Running { .. })) {
        Exit::Lock
    } else {
        Exit::Done
    })
}

fn line<'a>(project: &Project, one: &'a Unsettled) -> Listed<'a> {
    Listed {
        root: &one.migration.root,
        version: one.migration.version.text(),
        path: &one.open.path,
        part: one.open.part,
        first_line: one.open.lines.first,
        last_line: one.open.lines.last,
        statement: &one.statement,
        run: &one.open.run,
        failure: one.failure.as_ref().map(cutover::plan::UnitFailure::happened),
        finding: one.finding.word(),
        says: one.finding.to_string(),
        commands: commands(project, one),
    }
}

fn text(project: &Project, found: &Listing) -> String {
    let mut text = String::new();
    for begun in &found.begun_back {
        let _ = writeln!(text, "{begun}");
    }
    let found = &found.statements;
    for one in found {
        let Unsettled { open, statement, failure, finding, .. } = one;
        let (path, line, part) = (visible(&open.path), open.lines.first, open.part);
        let _ = writeln!(
            text,
            "{path}:{line}: part {part}, which run {} began: {}",
            visible(&open.run),
            visible(statement)
        );
        if let Some(failure) = failure {
            let _ = writeln!(text, "  it {}", failure.happened());
        }
        let _ = writeln!(text, "  {}", finding.to_string().replace('\n', "\n  "));
        for (command, meaning) in commands(project, one).iter().zip(MEANINGS) {
            let _ = writeln!(text, "    {command:<36}  {meaning}");
        }
        if matches!(finding, Finding::Unknown(_)) && !one.has_file {
            text.push_str(
                "  bring the file back to settle it (`cutover status --show VERSION` prints its text)\n",
            );
        }
    }
    let open = found.iter().filter(|one| matches!(one.finding, Finding::Unknown(_))).count();
    let wait = if open == 1 { "waits" } else { "wait" };
    let _ = match open {
        0 => writeln!(text, "nothing waits for a decision"),
        open => writeln!(text, "{} {wait} for a decision", count(open, "statement", "statements")),
    };
    text
}

/// What each of the [`commands`] is for.
const MEANINGS: [&str; 2] = ["its effect is there: go on after it", "its effect is not there: run it again"];

/// What settles a statement of which nobody knows.
fn commands(project: &Project, one: &Unsettled) -> Vec<String> {
    if !matches!(one.finding, Finding::Unknown(_)) || !one.has_file {
        return Vec::new();
    }
    let named = select::called(project, &one.migration);
    ["done", "not-done"].map(|mark| format!("cutover repair {named} --mark {mark}")).to_vec()
}
