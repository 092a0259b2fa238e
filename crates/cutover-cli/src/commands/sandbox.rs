//! `cutover sandbox`.

use clap::Args;
use cutover_postgres::sandbox::Sandbox;
use serde::Serialize;

use crate::app::App;
use crate::error::{CliError, Exit};
use crate::output::FORMAT_VERSION;

/// Start a throwaway server, print its URL, and stop it at Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "\
The server listens on 127.0.0.1 only, keeps its files in memory where it can, and is gone with this command.

Examples:
  cutover sandbox
  cutover sandbox --pg-bin /usr/lib/postgresql/15/bin")]
pub(crate) struct Arguments {}

#[derive(Serialize)]
struct Started<'a> {
    format_version: u32,
    url: &'a str,
    major: u32,
}

pub(crate) fn run(app: &App, _: &Arguments) -> Result<Exit, CliError> {
    app.block_on(async |signals| {
        let sandbox =
            signals.or_end(async { Ok(Sandbox::start_in_background(app.sandbox_options()).await?) }).await?;
        let url = sandbox.url("postgres");
        if app.output.is_json() {
            app.output.json(&Started {
                format_version: FORMAT_VERSION,
                url: &url,
                major: sandbox.server().major,
            })?;
        } else {
            app.output.print(&format!("{url}\n"));
            app.output.remark("Ctrl-C stops the server and removes its files");
        }
        signals.next().await;
        sandbox.stop()?;
        Ok(Exit::Done)
    })
}
