//! The command line: options that every verb has, and the verbs. Each verb's own arguments stand with the verb.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;

/// PostgreSQL migrations planned, applied safely, verified and reported.
#[derive(Debug, Parser)]
#[command(name = "cutover", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  cutover init                         describe the migrations of this folder in cutover.toml
  cutover new \"add orders\"             a new migration in the project's own convention
  cutover plan                         what would be done, in order
  cutover apply --verify               do it, then measure every claim
  cutover apply --sandbox --verify     the same on a throwaway server

Exit codes:
  0 done   1 the check says no   2 usage or configuration   3 cannot connect or connection lost
  4 failed and rolled back   5 failed and needs a person   6 lock not obtained   130 interrupted
  docs/exit-codes.md says what to do after each.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every verb.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Folder of the project; without it, the folder of the nearest cutover.toml upward, else the current one
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// Database: a URL or key=value list; before `CUTOVER_URL`, `DATABASE_URL`, .env, cutover.toml and PG*
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Accept a password in --url or --dev-url, where other users of this machine can read it
    #[arg(long, global = true)]
    pub(crate) allow_url_password: bool,
    /// Use a throwaway server in place of a database; it ends with the command
    #[arg(long, global = true, conflicts_with = "url")]
    pub(crate) sandbox: bool,
    /// Server for scratch databases, for checks that build something, in place of a throwaway one
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) dev_url: Option<String>,
    /// Folder of the PostgreSQL programs that throwaway servers and backups use
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) pg_bin: Option<PathBuf>,
    /// Wait this long for a server that is starting, e.g. 30s
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) wait: Option<Duration>,
    /// Answer yes where a terminal would ask
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Form of standard output, text where nothing else is said
    #[arg(long, global = true, value_enum)]
    pub(crate) format: Option<Format>,
    /// When to use colours; `NO_COLOR` and `CLICOLOR_FORCE` are heard
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Say only what was asked for, and errors: no progress, no remarks, no warnings
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more, e.g. which files are left alone
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// Form of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: versioned documents, one a line
    Json,
    /// A document, for `report` only
    Markdown,
    /// A page that needs no other file, for `report` only
    Html,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::Arguments),
    New(commands::new::Arguments),
    Status(commands::status::Arguments),
    Plan(commands::plan::Arguments),
    Graph(commands::graph::Arguments),
    Lint(commands::lint::Arguments),
    Rehearse(commands::rehearse::Arguments),
    Apply(commands::apply::Arguments),
    Verify(commands::verify::Arguments),
    Report(commands::report::Arguments),
    Revert(commands::revert::Arguments),
    Repair(commands::repair::Arguments),
    Baseline(commands::baseline::Arguments),
    Adopt(commands::adopt::Arguments),
    Diff(commands::diff::Arguments),
    Align(commands::align::Arguments),
    Worker(commands::worker::Arguments),
    Config(commands::config::Arguments),
    Sandbox(commands::sandbox::Arguments),
    Demo(commands::demo::Arguments),
    Completions(commands::completions::Arguments),
}

/// Heading of the options that choose migrations.
const WHICH: &str = "Which migrations";

/// Which migrations, for verbs that plan.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectionArgs {
    /// Exactly these versions and no others; also names deferred and optional ones. In their place a plan of
    /// `plan --out`, a file named .json: `plan` shows it, `apply` applies it
    #[arg(value_name = "VERSION", conflicts_with_all = ["to", "to_stage", "optional", "deferred"])]
    pub(crate) versions: Vec<String>,
    /// Up to and including this version
    #[arg(help_heading = WHICH, long, value_name = "VERSION", conflicts_with = "to_stage")]
    pub(crate) to: Option<String>,
    /// Up to and including this stage
    #[arg(help_heading = WHICH, long, value_name = "STAGE")]
    pub(crate) to_stage: Option<String>,
    /// Leave this version for later and remember that; may be repeated
    #[arg(help_heading = WHICH, long, value_name = "VERSION")]
    pub(crate) defer: Vec<String>,
    /// Also those declared optional
    #[arg(help_heading = WHICH, long)]
    pub(crate) optional: bool,
    /// Also those deferred
    #[arg(help_heading = WHICH, long)]
    pub(crate) deferred: bool,
    /// Also those below the highest applied version
    #[arg(help_heading = WHICH, long)]
    pub(crate) out_of_order: bool,
}

impl From<&SelectionArgs> for cutover::plan::select::Selection {
    fn from(args: &SelectionArgs) -> Self {
        Self {
            to: args.to.clone(),
            to_stage: args.to_stage.clone(),
            only: args.versions.clone(),
            defer: args.defer.clone(),
            optional: args.optional,
            deferred: args.deferred,
            out_of_order: args.out_of_order,
        }
    }
}

/// `--var`, for verbs that read migration files.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VarArgs {
    /// Value of a ${NAME} placeholder, in place of the one in cutover.toml; may be repeated
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) vars: Vec<(String, String)>,
}

/// Reads a length of time as `cutover.toml` writes them.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    cutover::project::config::parse_duration(text)
        .map_err(|error| format!("{error}: write a number and a unit, e.g. 30s"))
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_contradicts_nothing() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_variable_may_hold_an_equals_sign_and_needs_a_name() {
        assert_eq!(assignment("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(assignment("=c").is_err());
        assert!(assignment("a").is_err());
    }
}
