//! `cutover status`.

use std::fmt::Write as _;

use clap::Args;
use cutover::history::differences::Difference;
use cutover::history::journal::Failed;
use cutover::inspect::{self, Inspection};
use cutover::migration::MigrationKind;
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::plan::{DownSummary, Plan, Step, StepState, UnitState, UnitSummary};
use cutover::project::{Overrides, Project};
use cutover::report::format::{count, server_version, utc};
use cutover::report::parts_lines;
use cutover::text::{complaints, visible};
use serde::Serialize;

use crate::app::App;
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;

/// Show what is applied, what is pending, and which files differ from what was applied
#[derive(Debug, Args)]
#[command(after_help = "\
With -v every migration is listed, also the applied ones.

Examples:
  cutover status
  cutover status --exit-code && echo up to date
  cutover status --show 0005 > migrations/0005_add_orders.sql    bring back a file that was deleted")]
pub(crate) struct Arguments {
    /// End with 1 when something is pending or an applied file was edited or deleted
    #[arg(long)]
    exit_code: bool,
    /// Print the text of this migration as it was applied (or begun), also when its file was edited or deleted since
    ///
    /// Exactly that text, as the checksums in the history are taken of it: LF line ends, no byte order mark,
    /// placeholders not replaced.
    #[arg(long, value_name = "VERSION", conflicts_with = "exit_code")]
    show: Option<String>,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    let project = app.project(&Overrides::default())?;
    if let Some(version) = &arguments.show {
        return show(app, &project, version);
    }
    let selection = Selection::default();
    let (inspection, failures) = app.block_on(async |signals| {
        let work = async {
            let target = app.target(&project).await?;
            let mut session = inspect::connect(&target.options, app.global.wait).await?;
            let mut inspection = inspect::database(&project, &mut session, &selection, Read::Pending).await?;
            inspect::look_at_open(&project, &target.options, &mut session, &mut inspection).await?;
            let failures = inspect::last_failures(&mut session, &project.name, &inspection).await?;
            Ok((inspection, failures))
        };
        signals.or_end(Box::pin(work)).await
    })?;
    if app.output.is_json() {
        app.output.json(&Document::new(&inspection, &failures))?;
    } else {
        app.output.print(&text(&inspection, &failures, app.output.is_verbose()));
    }
    let pending = inspection.built.pending().next().is_some();
    let differs = inspection.differences.iter().any(|difference| difference.is_refused(&[]));
    Ok(if arguments.exit_code && (pending || differs) { Exit::No } else { Exit::Done })
}

/// Prints the kept text of a migration.
fn show(app: &App, project: &Project, version: &str) -> Result<Exit, CliError> {
    let kept = app.block_on(async |signals| {
        let work = async {
            let target = app.target(project).await?;
            let mut session = inspect::connect(&target.options, app.global.wait).await?;
            Ok(inspect::kept_text(&mut session, &project.name, version).await?)
        };
        signals.or_end(work).await
    })?;
    if app.output.is_json() {
        app.output.json(&Shown {
            format_version: FORMAT_VERSION,
            path: &kept.path,
            checksum: &kept.checksum,
            run: &kept.run,
            at_micros: kept.at_micros,
            unfinished: kept.unfinished,
            text: kept.text.as_deref(),
        })?;
        return Ok(Exit::Done);
    }
    let Some(text) = &kept.text else {
        let message = format!(
            "{}: its text was too large to be kept; its SHA-256 is {}",
            visible(&kept.path),
            visible(&kept.checksum)
        );
        return Err(CliError::new(Exit::No, message));
    };
    app.output.print(text);
    Ok(Exit::Done)
}

/// The kept text of a migration.
#[derive(Serialize)]
struct Shown<'a> {
    format_version: u32,
    path: &'a str,
    checksum: &'a str,
    run: &'a str,
    at_micros: i64,
    unfinished: bool,
    text: Option<&'a str>,
}

/// Migrations by state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
struct Counts {
    applied: usize,
    pending: usize,
    deferred: usize,
    optional: usize,
}

impl Counts {
    fn of<'a>(steps: impl Iterator<Item = &'a Step>) -> Self {
        let mut counts = Self::default();
        for step in steps {
            match step.state {
                StepState::Applied { .. } => counts.applied += 1,
                StepState::Deferred => counts.deferred += 1,
                StepState::Optional => counts.optional += 1,
                StepState::Pending | StepState::PendingOutOfOrder | StepState::Resume { .. } => {
                    counts.pending += 1;
                }
                StepState::AboveTarget | StepState::NotNeeded { .. } => {}
            }
        }
        counts
    }

    fn words(self) -> String {
        let parts = [
            (self.applied, "applied"),
            (self.pending, "pending"),
            (self.deferred, "deferred"),
            (self.optional, "optional"),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{number} {what}"))
            .collect();
        if parts.is_empty() { "no migrations".to_owned() } else { parts.join(", ") }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    project: &'a str,
    database: Option<&'a str>,
    server_version: Option<&'a str>,
    counts: Counts,
    stages: Vec<StageLine<'a>>,
    migrations: Vec<MigrationLine<'a>>,
    differences: Vec<DifferenceLine<'a>>,
    /// Why an apply of all that is pending would be refused.
    refused: Vec<String>,
    /// What failed in the newest run.
    failures: &'a [Failed],
}

#[derive(Serialize)]
struct StageLine<'a> {
    id: &'a str,
    title: &'a str,
    kind: &'a str,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct MigrationLine<'a> {
    root: &'a str,
    version: &'a str,
    path: &'a str,
    stage: Option<&'a str>,
    #[serde(flatten)]
    state: &'a StepState,
    /// The transactions and statements outside one of a migration that is not applied.
    units: &'a [UnitSummary],
    #[serde(skip_serializing_if = "MigrationKind::is_versioned")]
    kind: MigrationKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    down: Option<&'a DownSummary>,
}

#[derive(Serialize)]
struct DifferenceLine<'a> {
    kind: &'static str,
    path: &'a str,
    described: &'a str,
}

impl<'a> Document<'a> {
    fn new(inspection: &'a Inspection, failures: &'a [Failed]) -> Self {
        let plan = &inspection.built.plan;
        let stages = plan.stages.iter().map(|stage| StageLine {
            id: &stage.id,
            title: &stage.title,
            kind: &stage.kind,
            counts: Counts::of(members(plan, Some(&stage.id))),
        });
        let migrations = plan.steps.iter().map(|step| MigrationLine {
            root: &step.migration.root,
            version: step.migration.version.text(),
            path: &step.path,
            stage: step.stage.as_deref(),
            state: &step.state,
            units: &step.units,
            kind: step.kind,
            down: step.down.as_ref(),
        });
        let differences =
            inspection.differences.iter().zip(&inspection.described).map(|(difference, described)| {
                let (kind, path) = match difference {
                    Difference::Edited { path, .. } => ("edited", path.as_str()),
                    Difference::EditedUnfinished { path, .. } => ("edited_unfinished", path.as_str()),
                    Difference::Deleted { path, unfinished: false, .. } => ("deleted", path.as_str()),
                    Difference::Deleted { path, unfinished: true, .. } => {
                        ("deleted_unfinished", path.as_str())
                    }
                    Difference::Renamed { to, .. } => ("renamed", to.as_str()),
                    Difference::Renumbered(renumbering) => ("renumbered", renumbering.to_path.as_str()),
                    Difference::AppliedElsewhere { .. } => ("applied_elsewhere", ""),
                    Difference::SameText { files, .. } => {
                        ("same_text", files.first().map_or("", String::as_str))
                    }
                };
                DifferenceLine { kind, path, described }
            });
        Self {
            format_version: FORMAT_VERSION,
            project: &plan.project,
            database: inspection.found.as_ref().map(|found| found.database.as_str()),
            server_version: inspection.found.as_ref().map(|found| found.server_version.as_str()),
            counts: Counts::of(plan.steps.iter()),
            stages: stages.collect(),
            migrations: migrations.collect(),
            differences: differences.collect(),
            refused: refusals(inspection).collect(),
            failures,
        }
    }
}

/// Why an apply of all that is pending would be refused, but for files that differ: these are said by themselves.
fn refusals(inspection: &Inspection) -> impl Iterator<Item = String> {
    let checks = inspection.wrong_checks(&[]).map(ToString::to_string);
    let refused = inspection.refused.iter().map(ToString::to_string);
    let scripts = inspection.built.script_errors(&[]).map(ToString::to_string);
    checks.chain(refused).chain(scripts).chain(inspection.begun_back.iter().cloned())
}

fn members<'a>(plan: &'a Plan, stage: Option<&'a str>) -> impl Iterator<Item = &'a Step> {
    plan.steps.iter().filter(move |step| step.stage.as_deref() == stage)
}

fn text(inspection: &Inspection, failures: &[Failed], all: bool) -> String {
    let plan = &inspection.built.plan;
    let mut out = visible(&plan.project);
    if let Some(found) = &inspection.found {
        let _ = write!(
            out,
            " on database {} (PostgreSQL {})",
            visible(&found.database),
            server_version(found.server_version_num)
        );
    }
    let _ = writeln!(out, ": {}", Counts::of(plan.steps.iter()).words());
    let name = |kind: &str, id: &str| visible(format!("{kind} {id}").trim());
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let names = width(&mut plan.stages.iter().map(|stage| name(&stage.kind, &stage.id).chars().count()));
    let titles =
        width(&mut plan.stages.iter().map(|stage| visible(stage.own_title()).chars().count())).min(50);
    for stage in &plan.stages {
        let id = name(&stage.kind, &stage.id);
        let counts = Counts::of(members(plan, Some(&stage.id))).words();
        let _ = writeln!(out, "  {id:names$}  {:titles$}  {counts}", visible(stage.own_title()));
        steps(&mut out, members(plan, Some(&stage.id)), all);
    }
    if !plan.stages.is_empty() && members(plan, None).next().is_some() {
        let _ = writeln!(out, "  without a stage: {}", Counts::of(members(plan, None)).words());
    }
    steps(&mut out, members(plan, None), all);
    last_run(&mut out, failures);
    if !inspection.differences.is_empty() {
        let _ = writeln!(out, "\n{}:", count(inspection.differences.len(), "file differs", "files differ"));
        let _ = writeln!(out, "{}", complaints(&inspection.described, "\n"));
    }
    let refusals: Vec<String> = refusals(inspection).collect();
    match refusals.as_slice() {
        [] => {}
        [one] => {
            let _ = writeln!(out, "\napply would refuse: {}", visible_lines(one));
        }
        several => {
            let _ = writeln!(out, "\napply would refuse, for {}:", count(several.len(), "reason", "reasons"));
            let several: Vec<String> = several.iter().map(|refusal| visible_lines(refusal)).collect();
            let _ = writeln!(out, "\n  {}", complaints(&several, "\n\n  "));
        }
    }
    out
}

/// What the newest run failed with, each in a line, and what was true then.
fn last_run(out: &mut String, failures: &[Failed]) {
    let Some(first) = failures.first() else { return };
    let _ = writeln!(
        out,
        "\nthe last run, {} of {}, failed (`cutover report` shows all of it):",
        visible(&first.run),
        utc(first.started_micros)
    );
    for failed in failures {
        let message = failed.message.lines().next().unwrap_or_default();
        let _ = writeln!(out, "  {}\n    {}", visible(message), visible_lines(&failed.state));
    }
}

/// Several lines, each made fit to be shown.
fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n  ")
}

fn steps<'a>(out: &mut String, steps: impl Iterator<Item = &'a Step>, all: bool) {
    for step in steps {
        let state = match &step.state {
            StepState::Applied { at_micros, .. } if all => format!("applied {}", utc(*at_micros)),
            StepState::NotNeeded { why } if all => format!("not needed: {}", visible(why)),
            StepState::Applied { .. } | StepState::NotNeeded { .. } => continue,
            StepState::Pending => "pending".to_owned(),
            StepState::PendingOutOfOrder => "pending below the highest applied version".to_owned(),
            StepState::Resume { .. } => begun(step),
            StepState::Deferred if is_begun(step) => format!("deferred, {}", begun(step)),
            StepState::Optional if is_begun(step) => format!("optional, {}", begun(step)),
            StepState::Deferred => "deferred".to_owned(),
            StepState::Optional => "optional".to_owned(),
            StepState::AboveTarget => "above the target".to_owned(),
        };
        let _ = writeln!(out, "      {}  {state}", visible(&step.path));
        if !matches!(step.state, StepState::Applied { .. }) {
            for line in parts_lines(step) {
                let _ = writeln!(out, "        {}", visible(&line));
            }
        }
    }
}

/// Whether an earlier run began it and did not finish it.
fn is_begun(step: &Step) -> bool {
    step.units.iter().any(|unit| matches!(unit.state, UnitState::Begun | UnitState::Done))
}

fn begun(step: &Step) -> String {
    let done = step.units.iter().filter(|unit| unit.state == UnitState::Done).count();
    format!("begun: {done} of {} done", count(step.units.len(), "part", "parts"))
}
