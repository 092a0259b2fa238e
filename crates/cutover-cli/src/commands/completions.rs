//! `cutover completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::app::App;
use crate::args::Cli;
use crate::error::{CliError, Exit};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cutover completions bash > ~/.local/share/bash-completion/completions/cutover
  cutover completions zsh > \"${fpath[1]}/_cutover\"
  cutover completions fish > ~/.config/fish/completions/cutover.fish")]
pub(crate) struct Arguments {
    /// Which shell
    shell: Shell,
}

#[allow(clippy::unnecessary_wraps, reason = "as every verb")]
pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "cutover", &mut script);
    app.output.print(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
