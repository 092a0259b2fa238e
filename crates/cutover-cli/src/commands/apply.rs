//! `cutover apply`.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use cutover::apply::{BackupSettings, Request};
use cutover::hazard::{self, HAZARDS, Hazard};
use cutover::plan::file::PlanFile;
use cutover::plan::select::Selection;
use cutover::project::{Overrides, Project};
use cutover::report::answers;
use cutover::run::Outcome;
use cutover::verify::{self, VerifyRequest};

use crate::app::{App, from_flag, overrides};
use crate::args::{SelectionArgs, VarArgs, duration};
use crate::commands::plan::refuse_draft;
use crate::commands::{dry_run, kept};
use crate::database::Target;
use crate::error::{CliError, Exit};
use crate::signals::Signals;
use crate::{running, verifying};

/// Apply what is pending, each migration and its history row in one transaction
///
/// Ctrl-C once finishes the migration at hand (and a small one already sent behind it), twice cancels it and rolls it
/// back. Whatever stops a run, the next one goes on from there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cutover apply --dry-run              what would be done, and what would stop it
  cutover apply --to-stage 2.1 --verify
  cutover apply 0330                   exactly this one, also when deferred
  cutover apply plan.json              what `cutover plan --out plan.json` wrote, if nothing has moved since
  cutover apply --format json          one event a line")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// Show the plan and what would stop it, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Accept a hazard, or what a rule of `cutover lint --rules` finds, by its code; may be repeated. See docs/allow.md for
    /// when that is right
    #[arg(long, value_name = "CODE", value_parser = codes())]
    pub(crate) allow: Vec<String>,
    /// Make each migration durable by itself, not all together at the end
    #[arg(long)]
    durable_each: bool,
    /// How many migrations may run side by side, each on a connection of its own, where neither needs nor excludes the
    /// other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// How long to wait for another runner
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10min")]
    runner_wait: Duration,
    /// How long to try for locks that other sessions hold, in all for one migration
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    lock_wait: Option<Duration>,
    /// Folder for backups, which stages may require
    #[arg(long, value_name = "DIR")]
    pub(crate) backup_dir: Option<PathBuf>,
    /// Measure every claim and check afterwards
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,
    #[command(flatten)]
    vars: VarArgs,
}

/// Codes of what other verbs refuse: known here too, and of no use.
const OF_OTHERS: [&str; 8] = [
    hazard::BASELINE_MISSING,
    hazard::BASELINE_DIFFERS,
    hazard::ADOPT_CHANGED,
    hazard::ADOPT_MISSING,
    hazard::ADOPT_DIFFERS,
    hazard::DATA_LOSS,
    hazard::ROWS_STAY,
    hazard::REVERT_DIFFERS,
];

/// A code that `--allow` knows: of a hazard, or of a rule of lint.
#[derive(Debug, Clone)]
pub(crate) struct Codes(PossibleValuesParser);

/// The codes that `--allow` knows; hazards that mean something here are listed. There are too many rules to list them too.
pub(crate) fn codes() -> Codes {
    let known = |hazard: &Hazard| {
        let help = hazard.meaning.trim_end_matches('.');
        PossibleValue::new(hazard.code).help(help).hide(OF_OTHERS.contains(&hazard.code))
    };
    Codes(PossibleValuesParser::new(HAZARDS.iter().map(known).collect::<Vec<_>>()))
}

impl TypedValueParser for Codes {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        match value.to_str() {
            Some(code) if hazard::is_known(code) => Ok(code.to_owned()),
            Some(code) => {
                let complaint = hazard::all_known(&[code.to_owned()]).err().unwrap_or_default();
                Err(clap::Error::raw(ErrorKind::InvalidValue, complaint + "\n").with_cmd(command))
            }
            None => self.0.parse_ref(command, argument, value),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

impl Arguments {
    fn overrides(&self) -> Overrides {
        Overrides {
            lock_wait: self.lock_wait.map(|wait| from_flag("--lock-wait", wait)),
            durable_each: self.durable_each.then(|| from_flag("--durable-each", true)),
            ..overrides(&self.vars)
        }
    }

    /// Which migrations: by the plan that is named, else by the flags.
    pub(crate) fn chosen(&self) -> Result<(Selection, Option<Box<PlanFile>>), CliError> {
        let plan = self.plan()?.map(Box::new);
        let selection =
            plan.as_ref().map_or_else(|| Selection::from(&self.selection), |plan| plan.selection.clone());
        Ok((selection, plan))
    }

    fn request(&self, app: &App) -> Result<Request, CliError> {
        let (selection, plan) = self.chosen()?;
        let backup = self
            .backup_dir
            .as_ref()
            .map(|folder| BackupSettings { folder: folder.clone(), sandbox: app.sandbox_options() });
        Ok(Request {
            selection,
            allow: self.allow.clone(),
            jobs: usize::from(self.jobs),
            durable_each: self.durable_each,
            wait: app.global.wait,
            runner_wait: self.runner_wait,
            backup,
            plan,
        })
    }

    /// The plan to apply, where one is named in place of versions.
    fn plan(&self) -> Result<Option<PlanFile>, CliError> {
        let Some(file) = kept::named("apply", &self.selection)? else { return Ok(None) };
        if !self.selection.defer.is_empty() || self.selection.out_of_order {
            return Err(CliError::usage(
                "a plan has its own selection: --defer and --out-of-order are for `cutover plan`",
            ));
        }
        kept::read(file).map(Some)
    }
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    kept::named("apply", &arguments.selection)?;
    let draft = app.draft(&arguments.overrides())?;
    if !draft.problems.is_empty() {
        let (selection, _) = arguments.chosen()?;
        return Err(refuse_draft(app, &draft, &selection, false, &arguments.allow));
    }
    let project = draft.project;
    // A dry run says them behind the plan. Where checks are written wrong, that is said instead.
    if !arguments.dry_run && verify::prepare(&project).is_ok() {
        // What does not parse stops the run where it is not allowed.
        let allowed = arguments.allow.iter().any(|code| code == hazard::UNPARSED);
        let unparsed = if allowed { verify::unparsed(&project).0 } else { Vec::new() };
        for doubt in unparsed.into_iter().chain(verify::doubts(&project)) {
            app.output.warn(&doubt.to_string());
        }
    }
    app.block_on(async |signals| {
        let target = signals.or_end(app.target(&project)).await?;
        if arguments.dry_run {
            let looking = Box::pin(dry_run::run(app, &project, &target.options, arguments));
            return signals.or_end(looking).await;
        }
        if arguments.verify {
            return Box::pin(apply_and_verify(app, &project, &target, arguments, signals)).await;
        }
        let request = arguments.request(app)?;
        let run = running::apply(app, &project, &target.options, &request, signals, true).await?;
        Ok(running::tell_end(app, &project, &run))
    })
}

async fn apply_and_verify(
    app: &App,
    project: &Project,
    target: &Target,
    arguments: &Arguments,
    signals: &mut Signals,
) -> Result<Exit, CliError> {
    let request = arguments.request(app)?;
    let verification = VerifyRequest {
        stage: verifying::stage(project, request.selection.to_stage.as_deref())?,
        fresh: target.is_sandbox(),
        ..VerifyRequest::default()
    };
    let mut run = running::apply(app, project, &target.options, &request, signals, true).await?;
    if !matches!(run.outcome, Some(Outcome::Completed | Outcome::NothingToDo)) {
        return Ok(running::tell_end(app, project, &run));
    }
    signals
        .or_end(verifying::after_run(app, project, &target.options, &verification, &mut run, None))
        .await?;
    let exit = running::tell_end(app, project, &run);
    verifying::verdict(&answers(&run))?;
    Ok(exit)
}
