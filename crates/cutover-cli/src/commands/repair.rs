//! `cutover repair`.

use clap::{Args, ValueEnum};
use cutover::project::Overrides;
use cutover::repair::{self, Mark};
use cutover::text::visible;

use crate::app::App;
use crate::error::{CliError, Exit};

/// Settle by hand whether a statement outside a transaction took effect
///
/// A statement such as CREATE INDEX CONCURRENTLY commits by itself. When the connection is lost while one runs, and
/// its effect cannot be looked up, nobody but you can say what became of it: look, then mark it. The next `apply`
/// goes on from there. A mark is refused while a session of the run that began it lives, and where the catalogue says
/// otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cutover repair 0330 --mark done        its effect is there: go on after it
  cutover repair 0330 --mark not-done    its effect is not there: run it again")]
pub(crate) struct Arguments {
    /// The migration
    version: String,
    /// What you found
    #[arg(long, value_enum, value_name = "FOUND")]
    mark: Found,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Found {
    /// The statement took effect
    Done,
    /// It did not
    NotDone,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("repair", "")?;
    let project = app.project(&Overrides::default())?;
    let (mark, words) = match arguments.mark {
        Found::Done => (Mark::Done, "took effect: it will not be run again"),
        Found::NotDone => (Mark::NotDone, "did not take effect: it will be run again"),
    };
    app.block_on(async |signals| {
        let (target, open) = signals
            .or_end(async {
                let target = app.target(&project).await?;
                let open = repair::look(&project, &target.options, &arguments.version).await?;
                Ok((target, open))
            })
            .await?;
        app.confirm(&format!("Record that {} {words}?", visible(&open.to_string())))?;
        let marking =
            async { Ok(repair::mark(&project, &target.options, &arguments.version, &open, mark).await?) };
        signals.or_end(Box::pin(marking)).await
    })?;
    app.output.say(&format!("recorded: the open statement of {} {words}", arguments.version));
    Ok(Exit::Done)
}
