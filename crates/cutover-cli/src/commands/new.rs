//! `cutover new`.

use clap::Args;
use cutover::clock::{Clock as _, SystemClock};
use cutover::project::Overrides;
use cutover::report::format::utc;
use serde::Serialize;

use crate::app::App;
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;

/// Make the next migration's files, named in the project's own convention
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cutover new \"add orders\"             e.g. migrations/V0405__add_orders.sql
  cutover new \"add orders\" --in sql")]
pub(crate) struct Arguments {
    /// What it does, in a few words
    title: String,
    /// Migration folder to make it in, where the project has several
    #[arg(long = "in", value_name = "FOLDER")]
    folder: Option<String>,
}

#[derive(Serialize)]
struct Made<'a> {
    format_version: u32,
    path: &'a str,
    paths: Vec<&'a str>,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    let project = app.project(&Overrides::default())?;
    let now = digits_of(&utc(SystemClock::new().now_micros()));
    let created = project.create_migration(&arguments.title, arguments.folder.as_deref(), now)?;
    let paths: Vec<&str> = created.iter().map(|file| file.path.as_str()).collect();
    if app.output.is_json() {
        let path = paths.first().copied().unwrap_or_default();
        app.output.json(&Made { format_version: FORMAT_VERSION, path, paths })?;
    } else {
        app.output.print(&(paths.join("\n") + "\n"));
    }
    Ok(Exit::Done)
}

/// `2026-11-20T09:30:00Z` as 20261120093000.
pub(super) fn digits_of(time: &str) -> u64 {
    time.bytes().filter(u8::is_ascii_digit).fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_is_read_as_one_number() {
        assert_eq!(super::digits_of("2026-11-20T09:30:00Z"), 20_261_120_093_000);
    }
}
