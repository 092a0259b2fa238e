//! `cutover config`.

use clap::{Args, Subcommand};
use cutover::project::Overrides;
use cutover::secrets::without_passwords;
use cutover::text::visible;
use serde::Serialize;

use crate::app::App;
use crate::database::is_configured;
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;

/// Look at the configuration
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every effective value with its origin; passwords are never shown
    #[command(after_help = "\
A flag goes before the environment, that before .env, that before cutover.toml, that before PG* variables.

Examples:
  cutover config show
  cutover config show --format json")]
    Show,
}

#[derive(Serialize)]
struct Shown {
    format_version: u32,
    settings: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    key: String,
    value: String,
    origin: String,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    let What::Show = arguments.what;
    let project = app.project(&Overrides::default())?;
    let resolved = app.resolve(&project)?;
    let mut settings: Vec<Line> = project
        .settings
        .0
        .iter()
        // The connection's own values follow below, taken apart and without the password.
        .filter(|setting| setting.key != "database.url")
        .map(|setting| Line {
            key: setting.key.clone(),
            value: without_passwords(&setting.value),
            origin: setting.origin.to_string(),
        })
        .collect();
    settings.extend(resolved.origins.iter().map(|setting| Line {
        key: format!("connection.{}", setting.name),
        // `options` may set one.
        value: without_passwords(&setting.value),
        origin: setting.origin.to_string(),
    }));
    if app.output.is_json() {
        app.output.json(&Shown { format_version: FORMAT_VERSION, settings })?;
    } else {
        app.output.print(&table(&settings));
    }
    if !is_configured(&resolved) {
        app.output.remark("no database is configured: defaults of connection.* alone are not used");
    }
    for warning in &resolved.warnings {
        app.output.warn(warning);
    }
    for remark in &resolved.not_heard {
        app.output.remark(remark);
    }
    Ok(Exit::Done)
}

fn table(lines: &[Line]) -> String {
    let rows: Vec<[String; 3]> =
        lines.iter().map(|line| [visible(&line.key), visible(&line.value), visible(&line.origin)]).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(60);
    let (keys, values) = (width(0), width(1));
    rows.iter().fold(String::new(), |out, [key, value, origin]| {
        out + &format!("{key:keys$}  {value:values$}  {origin}\n")
    })
}
