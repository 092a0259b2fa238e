//! Kept plans: the files of `plan --out`, named in place of versions.

use std::path::Path;

use cutover::plan::file::PlanFile;
use cutover::report::text::kept_plan_lines;

use super::plan::Document;
use crate::app::App;
use crate::args::SelectionArgs;
use crate::error::CliError;

/// The plan that is named in place of versions, if one is.
pub(crate) fn named(selection: &SelectionArgs) -> Option<&str> {
    let [only] = selection.versions.as_slice() else { return None };
    Path::new(only).extension().is_some_and(|extension| extension == "json").then_some(only)
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
