//! `cutover revert`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use cutover::apply;
use cutover::hazard::{APPLIED_ELSEWHERE, DATA_LOSS, EMPTY_MIGRATION, REVERT_DIFFERS, ROWS_STAY};
use cutover::report::format::count;
use cutover::revert::{self, Back, Outlook, Request, Which};
use cutover::run::Outcome;
use cutover::text::visible;
use serde::Serialize;

use crate::app::{App, overrides};
use crate::args::VarArgs;
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;
use crate::running;

/// Take applied migrations back, by their down files or by what undoes what they really changed
///
/// Without a version, the last applied one. What undoes a migration that has no down file is found out on a throwaway
/// server, from what it changes there. Every way back is rehearsed there first: it must lead to what the other migrations
/// alone make. What would be lost is named and refused unless it is accepted.
#[derive(Debug, Args)]
#[command(after_help = "\
Each way back and the end of its record are one transaction, under the runner's lock. What was reverted is pending again.

Examples:
  cutover revert --dry-run             what the last migration's way back is, and what would be lost
  cutover revert 0012
  cutover revert --to 0009             everything behind 0009, and applied after it
  cutover revert --stage 2.1
  cutover revert --last 3 --allow data-loss
  cutover revert --all --derive failing   past down files that do not work")]
pub(crate) struct Arguments {
    /// Exactly these versions
    #[arg(value_name = "VERSION", conflicts_with_all = ["to", "stage", "last", "all"])]
    versions: Vec<String>,
    /// Everything that was applied after this version, whatever its folder, or is behind it in its own
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["stage", "last", "all"])]
    to: Option<String>,
    /// Everything of this stage that is applied
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["last", "all"])]
    stage: Option<String>,
    /// The last applied ones, that many
    #[arg(long, value_name = "N", conflicts_with = "all")]
    last: Option<usize>,
    /// Everything
    #[arg(long)]
    all: bool,
    /// Show the ways back, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Accept what would be lost or stay, by its code; may be repeated
    #[arg(long, value_name = "CODE", value_parser = PossibleValuesParser::new([DATA_LOSS, ROWS_STAY, REVERT_DIFFERS]))]
    allow: Vec<String>,
    /// Go back by what undoes this migration, and not by its down file; may be repeated. `failing` means all whose down file
    /// fails in the rehearsal, `all` all
    #[arg(long, value_name = "VERSION")]
    derive: Vec<String>,
    #[command(flatten)]
    vars: VarArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    ways_back: Vec<Way<'a>>,
    differs: &'a [String],
    misfits: &'a [String],
    missing: &'a [&'static str],
}

#[derive(Serialize)]
struct Way<'a> {
    path: &'a str,
    version: &'a str,
    down: Option<&'a str>,
    sql: &'a str,
    losses: &'a [String],
    stays: &'a [String],
}

impl Arguments {
    fn which(&self) -> Which {
        match self {
            Self { all: true, .. } => Which::All,
            Self { to: Some(version), .. } => Which::To(version.clone()),
            Self { stage: Some(stage), .. } => Which::Stage(stage.clone()),
            Self { last: Some(count), .. } => Which::Last(*count),
            Self { versions, .. } if !versions.is_empty() => Which::These(versions.clone()),
            _ => Which::Last(1),
        }
    }
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("revert", "")?;
    let project = app.project(&overrides(&arguments.vars))?;
    let sandbox = app.scratch()?;
    let request = Request {
        which: arguments.which(),
        allow: &arguments.allow,
        derive: &arguments.derive,
        sandbox: &sandbox,
        only_look: arguments.dry_run,
    };
    let (exit, reverted) = app.block_on(async |signals| {
        let looking = async {
            let target = app.target(&project).await?;
            let outlook = Box::pin(revert::look(&project, &target.options, &request)).await?;
            Ok((target, outlook))
        };
        let (target, outlook) = signals.or_end(Box::pin(looking)).await?;
        for remark in &outlook.remarks {
            app.output.remark(&visible(remark));
        }
        if arguments.dry_run {
            show(app, &outlook)?;
            let exit = if outlook.missing.is_empty() && outlook.misfits.is_empty() { Exit::Done } else { Exit::No };
            return Ok((exit, 0));
        }
        if outlook.backs.is_empty() {
            return Ok((Exit::Done, 0));
        }
        app.confirm(&question(&outlook))?;
        // The same text may have been a way back of another project; what has nothing to do, be it found out or a down file left
        // empty, was seen in the rehearsal.
        let allow = vec![APPLIED_ELSEWHERE.to_owned(), EMPTY_MIGRATION.to_owned()];
        let request = apply::Request { allow, ..apply::Request::default() };
        let run = running::apply(app, &outlook.project, &target.options, &request, signals, false).await?;
        let exit = running::tell_end(app, &outlook.project, &run);
        if exit == Exit::RolledBack {
            let is_by_files = outlook.backs.iter().any(|back| back.down.is_some());
            app.output.remark(if is_by_files {
                "what was reverted until then is; the same command goes on from there. Where a down file does not fit the rows that are \
                 there, mend either, or go back by what undoes its migration: --derive VERSION"
            } else {
                "what was reverted until then is; the same command goes on from there. Where something is in the way, mend it first, or \
                 write a down file that sees to it"
            });
        }
        let reverted = if run.outcome == Some(Outcome::Completed) { outlook.backs.len() } else { 0 };
        Ok((exit, reverted))
    })?;
    if !arguments.dry_run && !app.output.is_json() {
        match reverted {
            0 if exit == Exit::Done => app.output.say("nothing to revert"),
            0 => {}
            reverted => app.output.say(&format!("reverted: {}", count(reverted, "migration", "migrations"))),
        }
    }
    Ok(exit)
}

fn show(app: &App, outlook: &Outlook) -> Result<(), CliError> {
    if app.output.is_json() {
        let ways_back = outlook.backs.iter().map(|back| Way {
            path: &back.path,
            version: back.migration.version.text(),
            down: back.down.as_deref(),
            sql: &back.shown,
            losses: &back.losses,
            stays: &back.stays,
        });
        return app.output.json(&Document {
            format_version: FORMAT_VERSION,
            ways_back: ways_back.collect(),
            differs: &outlook.differs,
            misfits: &outlook.misfits,
            missing: &outlook.missing,
        });
    }
    if outlook.backs.is_empty() {
        app.output.print("nothing to revert\n");
    }
    for back in &outlook.backs {
        app.output.print(&way(back));
    }
    for differs in &outlook.differs {
        app.output.print(&format!("-- {}\n", visible(differs)));
    }
    for misfit in &outlook.misfits {
        app.output.print(&format!("-- would fail: {}\n", visible(misfit)));
    }
    if !outlook.missing.is_empty() {
        let flags: Vec<String> = outlook.missing.iter().map(|code| format!("--allow {code}")).collect();
        app.output.print(&format!("-- refused without {}\n", flags.join(" ")));
    }
    Ok(())
}

/// A way back, as SQL with what is to be known of it as comments.
fn way(back: &Back) -> String {
    let from = match &back.down {
        None => "found out from what it changes".to_owned(),
        Some(down) if *down == back.path => "its own way back".to_owned(),
        Some(down) => visible(down),
    };
    let mut text = format!("-- {}: {from}\n", visible(&back.path));
    for lost in &back.losses {
        text.extend(["-- lost: ", &visible(lost), "\n"]);
    }
    for stays in &back.stays {
        text.extend(["-- ", &visible(stays), "\n"]);
    }
    text + &back.shown + "\n"
}

fn question(outlook: &Outlook) -> String {
    let lines: Vec<String> = outlook
        .backs
        .iter()
        .map(|back| {
            let how = back.down.as_ref().map_or_else(|| "what undoes it".to_owned(), |down| visible(down));
            format!("  {} ({how})", visible(&back.path))
        })
        .collect();
    let lost: Vec<String> = outlook
        .backs
        .iter()
        .flat_map(|back| &back.losses)
        .map(|lost| format!("  lost: {}", visible(lost)))
        .collect();
    let all: Vec<String> = lines.into_iter().chain(lost).collect();
    format!(
        "in database {}:\n{}\nRevert {}?",
        visible(&outlook.database),
        cutover::text::complaints(&all, "\n"),
        count(outlook.backs.len(), "migration", "migrations"),
    )
}
