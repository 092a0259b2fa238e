//! `cutover report --documents`.

use std::path::Path;

use cutover::documents::{self, Request};
use cutover::project::Overrides;
use cutover::report::format::count;
use cutover::text::visible;

use super::written;
use crate::app::App;
use crate::error::{CliError, Exit};

/// The document that is written where there are functions.
const API: &str = "API.md";

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) folder: &'a Path,
    pub(super) templates: Option<&'a Path>,
    pub(super) force: bool,
}

pub(super) fn run(app: &App, asked: &Asked<'_>, overrides: &Overrides) -> Result<Exit, CliError> {
    if app.global.format.is_some() {
        return Err(CliError::usage("--documents writes files of their own forms: without --format"));
    }
    app.not_in_a_sandbox("report", "")?;
    let project = app.project(overrides)?;
    // What nobody may write is said before anything is measured.
    let names = documents::template_names().map(|name| name.trim_end_matches(".jinja"));
    // Whether there is an API to write of is not known yet.
    for name in names.chain(["erd.svg"]).filter(|name| *name != API) {
        written::may_write_document(&project, &asked.folder.join(name), asked.force)?;
    }
    let sandbox = app.scratch()?;
    let found = app.block_on(async |signals| {
        let work = async {
            let target = app.target(&project).await?;
            let request = Request {
                options: &target.options,
                sandbox: &sandbox,
                folder: Some(asked.folder),
                wait: app.global.wait,
            };
            Ok(Box::pin(documents::gather(&project, request)).await?)
        };
        Box::pin(signals.or_end(work)).await
    })?;
    let templates = asked.templates.or(project.templates.as_deref());
    let files = found.render(templates).map_err(CliError::usage)?;
    if files.iter().any(|file| file.name == API) {
        written::may_write_document(&project, &asked.folder.join(API), asked.force)?;
    }
    let written = documents::write(asked.folder, &files).map_err(|(name, error)| {
        CliError::usage(format!("cannot write {name} in {}: {error}", asked.folder.display()))
    })?;
    let shown = visible(&asked.folder.display().to_string());
    let as_before = files.len() - written;
    let others = if as_before == 0 { String::new() } else { format!("; {as_before} are as they were") };
    app.output.say(&format!("written to {shown}: {}{others}", count(written, "file", "files")));
    for line in found.unresolved() {
        app.output.remark(&visible(line));
    }
    let is_root = asked
        .folder
        .canonicalize()
        .is_ok_and(|folder| project.root.canonicalize().is_ok_and(|root| folder == root));
    if is_root && written > 0 {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        app.output.remark(&format!(
            "these are in the project's own folder, among its files: {}; `--documents docs/database` keeps them apart",
            names.join(", ")
        ));
    }
    Ok(Exit::Done)
}
