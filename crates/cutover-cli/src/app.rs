//! From the command line to an exit code.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::FromArgMatches as _;
use cutover::project::{Draft, Origin, Override, Overrides, Project};
use cutover::verify;
use cutover_postgres::Environment;

use crate::args::{Cli, Command, Format, Global, VarArgs};
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::signals::Signals;
use crate::terminal::Styles;
use crate::{commands, help, surroundings, terminal};

/// What every command is given.
pub(crate) struct App {
    pub(crate) global: Global,
    pub(crate) environment: Environment,
    pub(crate) output: Output,
    /// Interrupting must not just end the process: it changes a database, or a throwaway server runs.
    hears_signals: bool,
}

/// Runs the command of this process.
pub(crate) fn run() -> ExitCode {
    let environment = surroundings::environment();
    let help = help::command(terminal::help_width(&environment));
    let parsed = help.try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let Cli { global, command } = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. A reader that went away is no error.
            let _ = error.print();
            return exit(if error.use_stderr() { Exit::Usage } else { Exit::Done });
        }
    };
    let styles = Styles::find(global.color, &environment);
    let output = Output::new(global.format.unwrap_or(Format::Text), styles, global.quiet, global.verbose);
    let leaves_something = matches!(
        command,
        Command::Apply(_)
            | Command::Verify(_)
            | Command::Baseline(_)
            | Command::Adopt(_)
            | Command::Diff(_)
            | Command::Revert(_)
            | Command::Demo(_)
            | Command::Sandbox(_)
    );
    let makes_documents = matches!(&command, Command::Report(arguments) if arguments.makes_documents());
    let works = matches!(&command, Command::Worker(arguments) if arguments.works());
    let hears_signals = leaves_something || makes_documents || works || global.sandbox;
    let app = App { global, environment, output, hears_signals };
    let result = app.check(&command).and_then(|()| app.dispatch(command));
    let result = match (result, app.output.failure()) {
        (Ok(Exit::Done), Some(unwritten)) => Err(unwritten),
        (result, _) => result,
    };
    exit(result.unwrap_or_else(|error| {
        app.output.error(&error);
        error.exit
    }))
}

fn exit(code: Exit) -> ExitCode {
    ExitCode::from(code as u8)
}

impl App {
    fn check(&self, command: &Command) -> Result<(), CliError> {
        let document = match self.global.format {
            Some(Format::Markdown) => true,
            Some(Format::Html) => !matches!(command, Command::Rehearse(_)),
            _ => false,
        };
        if document && !matches!(command, Command::Report(_)) {
            return Err(CliError::usage(
                "--format markdown and --format html are for `cutover report`; `cutover rehearse` also writes html",
            ));
        }
        Ok(())
    }

    fn dispatch(&self, command: Command) -> Result<Exit, CliError> {
        match command {
            Command::Init(arguments) => commands::init::run(self, &arguments),
            Command::New(arguments) => commands::new::run(self, &arguments),
            Command::Status(arguments) => commands::status::run(self, &arguments),
            Command::Graph(arguments) => commands::graph::run(self, &arguments),
            Command::Lint(arguments) => commands::lint::run(self, &arguments),
            Command::Rehearse(arguments) => commands::rehearse::run(self, &arguments),
            Command::Plan(arguments) => commands::plan::run(self, &arguments),
            Command::Apply(arguments) => commands::apply::run(self, &arguments),
            Command::Verify(arguments) => commands::verify::run(self, &arguments),
            Command::Report(arguments) => commands::report::run(self, &arguments),
            Command::Revert(arguments) => commands::revert::run(self, &arguments),
            Command::Repair(arguments) => commands::repair::run(self, &arguments),
            Command::Baseline(arguments) => commands::baseline::run(self, &arguments),
            Command::Adopt(arguments) => commands::adopt::run(self, &arguments),
            Command::Diff(arguments) => commands::diff::run(self, &arguments),
            Command::Align(arguments) => commands::align::run(self, &arguments),
            Command::Worker(arguments) => commands::worker::run(self, &arguments),
            Command::Config(arguments) => commands::config::run(self, &arguments),
            Command::Sandbox(arguments) => commands::sandbox::run(self, &arguments),
            Command::Demo(arguments) => commands::demo::run(self, &arguments),
            Command::Completions(arguments) => commands::completions::run(self, &arguments),
        }
    }

    /// Runs async work on this thread.
    pub(crate) fn block_on<T>(
        &self,
        work: impl AsyncFnOnce(&mut Signals) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CliError::usage(format!("cannot start: {error}")))?;
        runtime.block_on(async {
            let mut signals = if self.hears_signals { Signals::hear()? } else { Signals::leave() };
            work(&mut signals).await
        })
    }

    /// The project of this command. Where something is wrong with it, everything that can be seen without its database.
    pub(crate) fn project(&self, overrides: &Overrides) -> Result<Project, CliError> {
        let draft = self.draft(overrides)?;
        if draft.problems.is_empty() {
            return Ok(draft.project);
        }
        let mut problems = verify::problems_of(&draft);
        problems.absorb(draft.problems);
        Err(CliError::usage(problems.sorted()))
    }

    /// The project of a command that looks at records alone: what is to be said of its files is not.
    pub(crate) fn project_of_records(&self) -> Result<Project, CliError> {
        let draft = Project::draft(&self.folder()?, &Overrides::default())?;
        if draft.problems.is_empty() {
            Ok(draft.project)
        } else {
            Err(CliError::usage(draft.problems.sorted()))
        }
    }

    pub(crate) fn folder(&self) -> Result<PathBuf, CliError> {
        match &self.global.project {
            Some(folder) => Ok(folder.clone()),
            None => Ok(Project::find(&current_folder()?)?),
        }
    }

    /// The project of this command as far as it can be read.
    pub(crate) fn draft(&self, overrides: &Overrides) -> Result<Draft, CliError> {
        self.draft_in(&self.folder()?, overrides)
    }

    /// The project in a folder as far as it can be read. Says which files look like migrations and are none, and which
    /// values nobody asks for.
    pub(crate) fn draft_in(&self, folder: &Path, overrides: &Overrides) -> Result<Draft, CliError> {
        let draft = Project::draft(folder, overrides)?;
        for stray in &draft.project.strays {
            if stray.near_miss {
                self.output.warn(&format!("{}: left alone: {}", stray.path, stray.why));
            } else if self.output.is_verbose() {
                self.output.remark(&format!("{}: left alone: {}", stray.path, stray.why));
            }
        }
        if !overrides.vars.is_empty() {
            let names = overrides.vars.iter().map(|(name, _)| name.as_str());
            // A file that cannot be read is complained about when it is its turn.
            for (name, meant) in draft.project.unused_placeholders(names).unwrap_or_default() {
                let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
                self.output.warn(&format!("--var {name}: no file has the placeholder ${{{name}}}{meant}"));
            }
        }
        Ok(draft)
    }

    /// Asks on the terminal, unless `--yes` has answered. Without a terminal it fails and names the flag.
    pub(crate) fn confirm(&self, question: &str) -> Result<(), CliError> {
        if self.global.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(CliError::usage(format!(
                "this has to be confirmed, and there is no terminal to ask on: {question}\n  hint: --yes answers yes"
            )));
        }
        match self.ask(&format!("{question} [y/N] "))?.to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(CliError::usage("not confirmed; nothing was changed")),
        }
    }

    /// Whether somebody can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        !self.output.is_json() && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// What somebody says to a question on the terminal.
    pub(crate) fn ask(&self, question: &str) -> Result<String, CliError> {
        self.output.to_stderr(question);
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        match std::io::stdin().read_line(&mut answer) {
            Ok(0) => Err(CliError::usage("there was no answer; nothing was changed")),
            Ok(_) => Ok(answer.trim().to_owned()),
            Err(error) => Err(CliError::usage(format!("cannot read the answer: {error}"))),
        }
    }
}

/// The folder this process is in.
pub(crate) fn current_folder() -> Result<PathBuf, CliError> {
    std::env::current_dir()
        .map_err(|error| CliError::usage(format!("the current folder cannot be read: {error}")))
}

/// A value that a flag gives in place of the file's.
pub(crate) fn from_flag<T>(flag: &str, value: T) -> Override<T> {
    Override { value, origin: Origin::Flag(flag.to_owned()) }
}

/// What `--var` says.
pub(crate) fn overrides(vars: &VarArgs) -> Overrides {
    let vars = vars.vars.iter().map(|(name, value)| (name.clone(), from_flag("--var", value.clone())));
    Overrides { vars: vars.collect(), ..Overrides::default() }
}
