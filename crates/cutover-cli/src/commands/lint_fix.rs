//! `cutover lint --fix`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cutover::clock::{Clock as _, SystemClock};
use cutover::inspect;
use cutover::lint::fix::{self, Mended};
use cutover::lint::{self, Which};
use cutover::plan::StepState;
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::project::Project;
use cutover::report::format::{count, utc};
use cutover::text::visible;

use super::new::digits_of;
use crate::app::App;
use crate::error::{CliError, Exit};

/// Mends what is pending; a dry run writes nothing.
pub(super) fn run(app: &App, project: &Project, which: &Which, dry_run: bool) -> Result<Exit, CliError> {
    let pending = match which {
        Which::OneRun(places) | Which::These(places) => {
            refuse_applied(app, project, places)?;
            places.clone()
        }
        Which::Each => pending(app, project)?,
    };
    let now = digits_of(&utc(SystemClock::new().now_micros()));
    let mended = fix::mended(project, which, &pending, None, now);
    if !dry_run {
        fix::write(&mended.files).map_err(CliError::usage)?;
    }
    if app.output.is_json() {
        app.output.json(&lint::mended_document(&project.name, &mended, !dry_run))?;
        return Ok(Exit::Done);
    }
    if dry_run {
        app.output.print(&fix::diff(&mended.files));
    }
    app.output.say(text(&mended, dry_run).trim_end());
    Ok(Exit::Done)
}

/// The files that no run has applied, nor begun.
fn pending(app: &App, project: &Project) -> Result<BTreeSet<usize>, CliError> {
    if app.configured(project)?.is_none() {
        return Err(CliError::usage("which files are applied is not known: what is applied must not be edited")
            .hint("name the database (--url, CUTOVER_URL …), or say with --since VERSION from where on nothing is applied"));
    }
    untouched(app, project)
}

fn untouched(app: &App, project: &Project) -> Result<BTreeSet<usize>, CliError> {
    let inspection = app.block_on(async |signals| {
        let work = async {
            let target = app.target(project).await?;
            let mut session = inspect::connect(&target.options, app.global.wait).await?;
            Ok(inspect::database(project, &mut session, &Selection::default(), Read::Pending).await?)
        };
        signals.or_end(Box::pin(work)).await
    })?;
    let is_untouched = |state: &StepState| {
        !matches!(state, StepState::Applied { .. } | StepState::Resume { .. } | StepState::NotNeeded { .. })
    };
    let steps = inspection.built.plan.steps.iter().enumerate();
    Ok(steps.filter(|(_, step)| is_untouched(&step.state)).map(|(place, _)| place).collect())
}

/// Where a database is configured, it knows better than `--since`.
fn refuse_applied(app: &App, project: &Project, places: &BTreeSet<usize>) -> Result<(), CliError> {
    if app.configured(project)?.is_none() {
        return Ok(());
    }
    let untouched = untouched(app, project)?;
    let applied = places.iter().find(|place| !untouched.contains(place));
    match applied.and_then(|place| project.migrations.get(*place)) {
        Some(migration) => Err(CliError::usage(format!(
            "{} is applied, or begun: what is applied must not be edited",
            visible(&migration.path)
        ))
        .hint("name a later version with --since, or none")),
        None => Ok(()),
    }
}

fn text(mended: &Mended, dry_run: bool) -> String {
    let mut text = String::new();
    for fix::Fixed { path, code, done } in &mended.fixed {
        let _ = writeln!(text, "{}: {code}: {done}", visible(path));
    }
    for fix::Left { path, line, code, why } in &mended.left {
        let _ = writeln!(text, "{}:{line}: {code}: not mended: {}", visible(path), visible(why));
    }
    let files = count(mended.files.len(), "file", "files");
    let would = if dry_run { "would be written" } else { "written" };
    let _ = writeln!(text, "{} mended, {} left, {files} {would}", mended.fixed.len(), mended.left.len());
    text
}
