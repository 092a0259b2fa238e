//! `cutover baseline`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use cutover::SystemClock;
use cutover::baseline::{self, Outlook, Request};
use cutover::hazard::{BASELINE_DIFFERS, BASELINE_MISSING};
use cutover::report::format::count;
use cutover::text::{complaints, visible};

use crate::app::{App, overrides};
use crate::args::VarArgs;
use crate::error::{CliError, Exit};
use crate::surroundings;

/// Record migrations as applied without running them, for a database that has their effects already
///
/// What they make is built on a throwaway server and compared with the database first: tables with their columns,
/// constraints, indexes, triggers and policies, views, sequences, types and functions. Where no server programs are found,
/// names and kinds are looked at, and that is said. Then it is asked. Everything behind the version stays pending.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cutover baseline 0012          everything up to 0012 is in this database already
  cutover status                 what is pending then")]
pub(crate) struct Arguments {
    /// Up to and including this version
    version: String,
    /// Accept that something they make is not there, or is otherwise there; may be repeated
    #[arg(long, value_name = "CODE", value_parser = PossibleValuesParser::new([BASELINE_MISSING, BASELINE_DIFFERS]))]
    allow: Vec<String>,
    #[command(flatten)]
    vars: VarArgs,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("baseline", "")?;
    let project = app.project(&overrides(&arguments.vars))?;
    let clock = SystemClock::new();
    let sandbox = app.scratch()?;
    let request = Request {
        to: &arguments.version,
        allow: &arguments.allow,
        sandbox: &sandbox,
        operator: surroundings::operator(&app.environment),
        tool: concat!("cutover ", env!("CARGO_PKG_VERSION")).to_owned(),
        clock: &clock,
    };
    let recorded = app.block_on(async |signals| {
        let looking = async {
            let target = app.target(&project).await?;
            let outlook = baseline::look(&project, &target.options, &request).await?;
            Ok((target, outlook))
        };
        let (target, outlook) = signals.or_end(Box::pin(looking)).await?;
        if outlook.recorded.is_empty() {
            return Ok(0);
        }
        for accepted in &outlook.accepted {
            app.output.warn(&visible(accepted));
        }
        for remark in &outlook.remarks {
            app.output.warn(&visible(remark));
        }
        if let Some(agreement) = &outlook.agreement {
            app.output.say(agreement);
        }
        app.confirm(&question(&outlook, &arguments.version))?;
        let recording =
            async { Ok(baseline::record(&project, &target.options, &request, &outlook).await?.len()) };
        signals.or_end(Box::pin(recording)).await
    })?;
    let words = match recorded {
        0 => format!("nothing to record: everything up to {} is applied", arguments.version),
        recorded => format!(
            "recorded as applied, and not run: {}, up to {}",
            count(recorded, "migration", "migrations"),
            arguments.version
        ),
    };
    app.output.say(&words);
    Ok(Exit::Done)
}

/// What is asked: which migrations, where, and what is there already.
fn question(outlook: &Outlook, version: &str) -> String {
    let paths: Vec<String> = outlook.recorded.iter().map(|path| format!("  {}", visible(path))).collect();
    let applied = match outlook.applied {
        0 => String::new(),
        applied => format!(" ({} up to there {} applied)", applied, if applied == 1 { "is" } else { "are" }),
    };
    let (all, them) = match outlook.recorded.len() {
        1 => ("this migration".to_owned(), "it"),
        several => (format!("these {several} migrations"), "them"),
    };
    format!(
        "in database {}, up to {version}{applied}:\n{}\nRecord {all} as applied without running {them}?",
        visible(&outlook.database),
        complaints(&paths, "\n"),
    )
}
