//! `cutover rehearse`.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use cutover::hazard;
use cutover::plan::select::Selection;
use cutover::rehearse::{self, GroundRequest, RehearseError, Request};
use cutover::report::rehearsal_html;

use crate::app::{App, overrides};
use crate::args::{Format, SelectionArgs, VarArgs, duration};
use crate::error::{CliError, Exit};

/// Apply what is pending to a copy of the schema on a throwaway server, and watch what it does
///
/// The database is only read: its schema is built on a throwaway server of its major version where one is found. There each
/// statement is watched: what it makes, changes and drops, also in blocks and dynamic SQL, what it locks and for how long, what it
/// writes anew or reads as a whole, and what clients would have felt.
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0 where everything can be applied and nothing was found that would stop a run, with 1 otherwise. With --sandbox
nothing is there before, and all migrations are rehearsed. Where --dev-url names the database's own server, nothing is run
that may go beyond a database: files with roles, settings of the server or code (DO, calls of functions) are refused.

Examples:
  cutover rehearse
  cutover rehearse --full                    also back and forth again, and each alone
  cutover rehearse --with-data 5000          with rows, so that times mean something
  cutover rehearse --sandbox --full          everything from the beginning
  cutover rehearse --format html > rehearsal.html")]
#[allow(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Also prove that each leaves nothing when it is rolled back, can be reverted and applied again, and that what functions and
    /// triggers mention exists
    #[arg(long)]
    full: bool,
    /// With so many rows of each table, as they come, and those that they refer to
    #[arg(long, value_name = "ROWS", num_args = 0..=1, default_missing_value = "1000", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["replay", "sandbox"])]
    with_data: Option<u64>,
    /// Build the schema by running again what is applied, without `pg_dump`
    #[arg(long, conflicts_with = "sandbox")]
    replay: bool,
    /// Go on without what the throwaway server cannot have, e.g. an extension that is not installed here; it is named
    #[arg(long, conflicts_with = "sandbox")]
    without_missing: bool,
    /// What clients may wait for; waiting longer is said, and ends with 1
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "100ms")]
    limit: Duration,
    /// Without clients at work meanwhile
    #[arg(long, conflicts_with = "limit")]
    no_workload: bool,
    /// Accept a finding by its code; may be repeated
    #[arg(long, value_name = "CODE")]
    allow: Vec<String>,
    #[command(flatten)]
    vars: VarArgs,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    let known =
        |code: &String| hazard::find(code).is_some() || cutover::lint::all().any(|about| about.code == code);
    if let Some(code) = arguments.allow.iter().find(|code| !known(code)) {
        return Err(CliError::usage(format!("--allow {code}: no finding has this code"))
            .hint("`cutover lint --rules` lists them"));
    }
    let is_plan = |name: &&String| Path::new(name).extension().is_some_and(|own| own == "json");
    if let Some(plan) = arguments.selection.versions.iter().find(is_plan) {
        return Err(CliError::usage(format!(
            "{plan}: what is rehearsed is the files as they are, and no plan that was kept"
        ))
        .hint("name versions, or leave it out for all that is pending"));
    }
    let project = app.project(&overrides(&arguments.vars))?;
    let request = Request {
        selection: Selection::from(&arguments.selection),
        ground: GroundRequest {
            replay: arguments.replay,
            without_missing: arguments.without_missing,
            sample: arguments.with_data,
        },
        full: arguments.full,
        workload: (!arguments.no_workload).then_some(arguments.limit),
    };
    let rehearsal = app.block_on(async |signals| {
        let work = async {
            let target = if app.global.sandbox { None } else { Some(app.target(&project).await?) };
            let sandbox = app.scratch()?;
            let options = target.as_ref().map(|target| &target.options);
            let programs = app.sandbox_options();
            Ok(rehearse::rehearse(&project, options, &request, &sandbox, &programs).await?)
        };
        Box::pin(signals.or_end(work)).await
    })?;
    if app.output.is_json() {
        app.output.json(&rehearsal)?;
    } else if app.output.format == Format::Html {
        app.output.print(&rehearsal_html(&rehearsal));
    } else {
        app.output.print(&rehearse::lines(&rehearsal, app.output.is_verbose()));
    }
    Ok(if rehearsal.is_clean(&arguments.allow) { Exit::Done } else { Exit::No })
}

impl From<RehearseError> for CliError {
    fn from(error: RehearseError) -> Self {
        match error {
            RehearseError::Connect(error) => error.into(),
            RehearseError::Plan(error) => error.into(),
            RehearseError::NoSandbox(_)
            | RehearseError::NoDump(_)
            | RehearseError::MissingExtensions(_)
            | RehearseError::NoTrace(_)
            | RehearseError::SameServer { .. } => Self::usage(error),
            other => Self::new(Exit::No, other.to_string()),
        }
    }
}
