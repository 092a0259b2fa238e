//! Kept plans: the files of `plan --out`, named in place of versions.

use std::path::Path;

use cutover::plan::file::PlanFile;
use cutover::report::text::kept_plan_lines;

use super::plan::Document;
use crate::app::App;
use crate::args::SelectionArgs;
use crate::error::CliError;

/// The plan that is named in place of versions, if one is.
///
/// # Errors
/// Where anything is named beside it: a plan has its own selection.
pub(crate) fn named<'a>(verb: &str, selection: &'a SelectionArgs) -> Result<Option<&'a str>, CliError> {
    let is_plan = |name: &&String| Path::new(name).extension().is_some_and(|extension| extension == "json");
    let versions = &selection.versions;
    let Some(file) = versions.iter().find(is_plan) else { return Ok(None) };
    if versions.len() == 1 {
        return Ok(Some(file));
    }
    let others: Vec<&str> = versions.iter().filter(|name| !is_plan(name)).map(String::as_str).collect();
    if others.is_empty() {
        return Err(CliError::usage(format!(
            "{} are kept plans: one at a time is taken, as each stands for the database as it was found\n  \
             hint: `cutover {verb} {file}`, then plan anew",
            versions.join(" and ")
        )));
    }
    let others = others.join(" ");
    let verb_words = if verb == "apply" { "applied" } else { "shown" };
    Err(CliError::usage(format!(
        "{file} is a kept plan, which is {verb_words} as a whole: no version can be chosen from it, and {others} is named beside it\n  \
         hint: `cutover {verb} {file}` for all of it; for {others} alone `cutover {verb} {others}`, or a plan of its own: \
         `cutover plan {others} --out FILE.json`"
    )))
}

pub(crate) fn read(file: &str) -> Result<PlanFile, CliError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::usage(format!("cannot read the plan {file}: {error}")))?;
    PlanFile::read(&text).map_err(|error| CliError::usage(format!("{file}: {error}")))
}

/// Shows a plan as it was made; neither the project nor its database is looked at.
pub(crate) fn show(app: &App, file: &PlanFile) -> Result<(), CliError> {
    if app.output.is_json() {
        return app.output.json(&Document {
            plan: &file.plan,
            preconditions: &file.preconditions,
            stops: Vec::new(),
            doubts: file.doubts.clone(),
        });
    }
    app.output.print(&kept_plan_lines(file, app.output.style()));
    for doubt in &file.doubts {
        app.output.warn(doubt);
    }
    Ok(())
}
