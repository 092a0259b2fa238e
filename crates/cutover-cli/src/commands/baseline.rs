//! `cutover baseline`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use cutover::SystemClock;
use cutover::baseline::{self, Request};
use cutover::hazard::BASELINE_MISSING;
use cutover::report::format::count;

use crate::app::{App, overrides};
use crate::args::VarArgs;
use crate::error::{CliError, Exit};
use crate::surroundings;

/// Record migrations as applied without running them, for a database that has their effects already
///
/// What they create is looked for in the database first. Everything behind the version stays pending.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cutover baseline 0012          everything up to 0012 is in this database already
  cutover status                 what is pending then")]
pub(crate) struct Arguments {
    /// Up to and including this version
    version: String,
    /// Accept that something they create is not there
    #[arg(long, value_name = "CODE", value_parser = PossibleValuesParser::new([BASELINE_MISSING]))]
    allow: Vec<String>,
    #[command(flatten)]
    vars: VarArgs,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("baseline", "")?;
    let project = app.project(&overrides(&arguments.vars))?;
    let recorded = app.block_on(async |signals| {
        let target = app.target(&project).await?;
        app.confirm(&format!(
            "Record everything up to {} as applied without running it?",
            arguments.version
        ))?;
        let clock = SystemClock::new();
        let request = Request {
            to: &arguments.version,
            allow: &arguments.allow,
            operator: surroundings::operator(&app.environment),
            tool: concat!("cutover ", env!("CARGO_PKG_VERSION")).to_owned(),
            clock: &clock,
        };
        signals.or_end(async { Ok(baseline::baseline(&project, &target.options, &request).await?) }).await
    })?;
    let words = match recorded.as_slice() {
        [] => format!("nothing to record: everything up to {} is applied", arguments.version),
        recorded => format!(
            "recorded as applied, and not run: {}, up to {}",
            count(recorded.len(), "migration", "migrations"),
            arguments.version
        ),
    };
    app.output.say(&words);
    Ok(Exit::Done)
}
