//! `cutover adopt`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use cutover::SystemClock;
use cutover::adopt::{self, Outlook, Report, Request};
use cutover::hazard::{ADOPT_CHANGED, ADOPT_DIFFERS, ADOPT_MISSING};
use cutover::project::Project;
use cutover::report::format::count;
use cutover::text::visible;
use serde::Serialize;

use crate::app::{App, overrides};
use crate::args::VarArgs;
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;
use crate::surroundings;

/// Take over a database from another migration tool, by that tool's own table
///
/// It says first what the table, the files and the database say: what is applied, pending, changed since, taken back, without a
/// file, and whether the database is what the applied files make. Then it asks, and records what is applied, in one transaction.
/// Nothing of the other tool's is written, and nothing is run. Known are Flyway, sqlx, golang-migrate, dbmate, Rails, diesel,
/// refinery, goose, Prisma, Supabase, Sqitch, graphile-migrate and node-pg-migrate.
#[derive(Debug, Args)]
#[command(after_help = "\
What failed in the other tool, or is dirty there, is settled with that tool first.

Examples:
  cutover adopt --dry-run                 what the other tool's table says, and what of it is so
  cutover adopt                           the same, then it asks, and records it
  cutover adopt --from app.migrations     a table with another name, or one of several
  cutover adopt --undo                    take it back, while nothing was applied since")]
pub(crate) struct Arguments {
    /// The other tool's table, where it has another name than usual or there are several
    #[arg(long, value_name = "[SCHEMA.]TABLE", conflicts_with = "undo")]
    from: Option<String>,
    /// Say what would be recorded, and record nothing
    #[arg(long, conflicts_with = "undo")]
    dry_run: bool,
    /// Take the adoption back: its records go, and the other tool goes on where it was
    #[arg(long)]
    undo: bool,
    /// Accept what is not as it should be, by its code; may be repeated
    #[arg(
        long,
        value_name = "CODE",
        value_parser = PossibleValuesParser::new([ADOPT_CHANGED, ADOPT_MISSING, ADOPT_DIFFERS]),
        conflicts_with = "undo"
    )]
    allow: Vec<String>,
    #[command(flatten)]
    vars: VarArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    project: &'a str,
    #[serde(flatten)]
    report: &'a Report,
    /// Number of migrations that were recorded; none where that was not asked for.
    recorded: Option<usize>,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("adopt", "")?;
    let project = app.project(&overrides(&arguments.vars))?;
    if arguments.undo {
        return undo(app, &project);
    }
    let clock = SystemClock::new();
    let sandbox = app.scratch()?;
    let request = Request {
        from: arguments.from.as_deref(),
        allow: &arguments.allow,
        sandbox: &sandbox,
        operator: surroundings::operator(&app.environment),
        tool: concat!("cutover ", env!("CARGO_PKG_VERSION")).to_owned(),
        clock: &clock,
    };
    app.block_on(async |signals| {
        let looking = async {
            let target = app.target(&project).await?;
            let outlook = adopt::look(&project, &target.options, &request).await?;
            Ok((target, outlook))
        };
        let (target, outlook) = signals.or_end(Box::pin(looking)).await?;
        let allowed = outlook.may_be_recorded();
        let ends_here = arguments.dry_run || allowed.is_err() || outlook.recorded() == 0;
        if ends_here || !app.output.is_json() || !app.global.yes {
            tell(app, &project, &outlook, None)?;
        }
        allowed?;
        if ends_here {
            return Ok(Exit::Done);
        }
        app.confirm(&question(&outlook))?;
        let recording = async { Ok(adopt::record(&project, &target.options, &request, &outlook).await?) };
        let recorded = signals.or_end(Box::pin(recording)).await?;
        if app.output.is_json() {
            tell(app, &project, &outlook, Some(recorded.migrations))?;
        }
        app.output.say(&format!(
            "recorded as applied, and not run: {}, from {}",
            count(recorded.migrations, "migration", "migrations"),
            outlook.table().name(),
        ));
        Ok(Exit::Done)
    })
}

fn tell(app: &App, project: &Project, outlook: &Outlook, recorded: Option<usize>) -> Result<(), CliError> {
    let report = &outlook.report;
    for accepted in &outlook.accepted {
        app.output.warn(&visible(accepted));
    }
    for remark in &report.remarks {
        // With a line of a file below it.
        let lines: Vec<String> = remark.lines().map(visible).collect();
        app.output.warn(&lines.join("\n"));
    }
    if app.output.is_json() {
        let document = Document { format_version: FORMAT_VERSION, project: &project.name, report, recorded };
        return app.output.json(&document);
    }
    app.output.print(&report.text());
    if outlook.recorded() == 0 {
        app.output.say(&match report.rows {
            0 => format!("nothing to adopt: {} is empty", visible(&report.table)),
            _ if report.files.iter().all(|file| file.state == "pending") => {
                format!("nothing to adopt: {} says nothing of these files", visible(&report.table))
            }
            _ => format!("nothing to adopt: {} says nothing that is not recorded", visible(&report.table)),
        });
    }
    Ok(())
}

fn question(outlook: &Outlook) -> String {
    format!(
        "Record {} in database {} as applied without running them, as {} had applied them?",
        count(outlook.recorded(), "migration", "migrations"),
        visible(&outlook.report.database),
        outlook.report.called,
    )
}

fn undo(app: &App, project: &Project) -> Result<Exit, CliError> {
    let clock = SystemClock::new();
    let operator = surroundings::operator(&app.environment);
    let taken_back = app.block_on(async |signals| {
        let looking = async {
            let target = app.target(project).await?;
            let outlook = adopt::look_at_undo(project, &target.options).await?;
            Ok((target, outlook))
        };
        let (target, outlook) = signals.or_end(Box::pin(looking)).await?;
        app.confirm(&format!(
            "Forget in database {} what was adopted from {}: {}?",
            visible(&outlook.database),
            outlook.from(),
            count(outlook.migrations, "migration", "migrations"),
        ))?;
        let undoing = async { Ok(adopt::undo(project, &target.options, &operator, &clock, &outlook).await?) };
        signals.or_end(Box::pin(undoing)).await
    })?;
    app.output.say(&format!(
        "taken back: {} not recorded any more; nothing else was changed",
        count(taken_back, "migration is", "migrations are"),
    ));
    Ok(Exit::Done)
}
