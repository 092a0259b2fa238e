//! `cutover init`.

use std::path::Path;

use clap::Args;
use cutover::project;
use serde::Serialize;

use crate::app::{App, current_folder};
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;

/// Make a project of this folder: cutover.toml, and a folder for migrations where there is none
#[derive(Debug, Args)]
#[command(after_help = "\
A folder of migrations that is there is kept, with the convention its files follow. Nothing that exists is changed.

Examples:
  cutover init
  cutover init -C services/shop --name shop")]
pub(crate) struct Arguments {
    /// Name of the project, its key in the database's history; default: the folder's name
    #[arg(long)]
    name: Option<String>,
}

#[derive(Serialize)]
struct Made {
    format_version: u32,
    made: Vec<String>,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    let here = current_folder()?;
    let folder = app.global.project.as_deref().map_or_else(|| here.clone(), |folder| here.join(folder));
    let made = project::initialise(&folder, arguments.name.as_deref())?;
    let made: Vec<String> = made.iter().map(|path| shown(path, &here)).collect();
    if app.output.is_json() {
        app.output.json(&Made { format_version: FORMAT_VERSION, made })?;
    } else {
        app.output.print(&(made.join("\n") + "\n"));
        // Without a folder to make there are migrations already.
        let next =
            if made.len() > 1 { "cutover new \"create users\", then cutover plan" } else { "cutover plan" };
        app.output.remark(&format!("next: {next}"));
    }
    Ok(Exit::Done)
}

fn shown(path: &Path, here: &Path) -> String {
    let here = std::fs::canonicalize(here).unwrap_or_else(|_| here.to_owned());
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}
