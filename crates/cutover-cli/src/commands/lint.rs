//! `cutover lint`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use cutover::inspect;
use cutover::lint::{self, About, Found, Severity, Which};
use cutover::plan::select;
use cutover::project::{Draft, Project, ProjectError};
use cutover::text::suggest;

use super::lint_fix;
use crate::app::{App, current_folder, overrides};
use crate::args::VarArgs;
use crate::error::{CliError, Exit};
use crate::lsp;

/// Find what would hurt a database in use, before it runs
#[derive(Debug, Args)]
#[command(after_help = "\
Reads the files alone. Each is looked at as a run of its own, in which what it makes itself may be locked freely and what
earlier files have made is there and in use; with --since, all from one version on are one run. Files that are named are
looked at alone, as a hook before a commit does. With --database what is
pending there is one run, and is looked at with what the database says of itself: what its tables hold, which indexes,
constraints and policies there are, and its version. `cutover plan` and `cutover apply` look in this way too.

`-- cutover: allow CODE reason` above a statement says that somebody has thought about it. `[lint]` of cutover.toml says which
rules look and how bad what they find is. Ends with 1 where anything is an error, or does not parse.

--fix writes the safe form of statements where that is mechanical, into files that are pending: those that the database has
not applied, or those from --since on. All files are written, or none. docs/lint.md says more.

Examples:
  cutover lint
  cutover lint migrations/0042_new.sql only this file
  cutover lint --since 0042            as one run, from this version on
  cutover lint --database              what is pending, against the database that is configured
  cutover lint --fix --dry-run         what would be mended, as a diff
  cutover lint --as sarif > lint.sarif
  cutover lint --stdin-filename migrations/0043_more.sql < draft.sql
  cutover lint --rules                 every rule, and whether it looks
  cutover lint --explain drop-column   all that is to be said of one")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct Arguments {
    /// Only these files, each as a run of its own
    #[arg(value_name = "FILE", conflicts_with_all = ["since", "database", "rules", "explain", "stdin_filename", "lsp"])]
    files: Vec<PathBuf>,
    /// Only from this version on, as one run
    #[arg(long, value_name = "VERSION")]
    since: Option<String>,
    /// Only what is pending, as one run, with what the database says of itself; --url and --sandbox ask for it too. Reads
    /// alone
    #[arg(long, conflicts_with = "since")]
    database: bool,
    /// How it is written
    #[arg(long = "as", value_enum, default_value_t = Form::Text)]
    form: Form,
    /// Also end with 1 where there are warnings alone
    #[arg(long)]
    strict: bool,
    /// List the rules in place of looking
    #[arg(long, conflicts_with_all = ["since", "strict", "database"])]
    rules: bool,
    /// Print the page of this rule in place of looking
    #[arg(long, value_name = "CODE", conflicts_with_all = ["since", "strict", "rules"])]
    explain: Option<String>,
    /// Write the safe form of statements where that is mechanical
    #[arg(long, conflicts_with_all = ["strict", "rules", "explain", "form"])]
    fix: bool,
    /// With --fix: show what would be written, as a diff, and write nothing
    #[arg(long, requires = "fix")]
    dry_run: bool,
    /// Read a file's text from standard input, as if it stood at this path of the project
    #[arg(long, value_name = "PATH", conflicts_with_all = ["since", "rules", "explain", "fix"])]
    stdin_filename: Option<PathBuf>,
    /// Speak the language server protocol on standard input and output, for editors
    #[arg(long, conflicts_with_all = ["since", "strict", "rules", "explain", "fix", "stdin_filename", "form"])]
    lsp: bool,
    #[command(flatten)]
    vars: VarArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people, with the lines
    Text,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of a pull request on GitHub
    Github,
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    if arguments.rules {
        return rules(app);
    }
    if let Some(code) = &arguments.explain {
        return explain(app, code);
    }
    let overrides = overrides(&arguments.vars);
    if arguments.lsp {
        return lsp::serve(app, &overrides);
    }
    let Draft { project, problems, .. } = app.draft(&overrides)?;
    let mut of_files = Found::default();
    let problems = of_files.take_problems(&project, problems);
    problems.into_result().map_err(ProjectError::from)?;
    if arguments.fix {
        let which = which(app, &project, arguments)?;
        return lint_fix::run(app, &project, &which, arguments.dry_run);
    }
    let mut found = if let Some(path) = &arguments.stdin_filename {
        from_stdin(&project, path)?
    } else if arguments.database || app.global.url.is_some() || app.global.sandbox {
        of_database(app, &project, arguments)?
    } else {
        lint::look(&project, &which(app, &project, arguments)?, None)
    };
    found.findings.append(&mut of_files.findings);
    tell(app, arguments, &project, &found)?;
    let is_bad = found.count(Severity::Error) > 0
        || !found.broken.is_empty()
        || (arguments.strict && !found.findings.is_empty());
    Ok(if is_bad { Exit::No } else { Exit::Done })
}

/// What is found in a text that is read from standard input.
fn from_stdin(project: &Project, path: &Path) -> Result<Found, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| CliError::usage(format!("standard input cannot be read: {error}")))?;
    let path = current_folder()?.join(path);
    let (project, place) = project.with_text(&path, &text).map_err(CliError::usage)?;
    Ok(lint::look_at(&project, place))
}

/// The page of a rule.
fn explain(app: &App, code: &str) -> Result<Exit, CliError> {
    let Some(about) = lint::by_code(code) else {
        let meant = suggest(code, lint::all().map(|about| about.code));
        let hint = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => "`cutover lint --rules` lists them".to_owned(),
        };
        return Err(CliError::usage(format!("there is no rule {code:?}")).hint(hint));
    };
    if app.output.is_json() {
        app.output.json(&lint::rule_document(about))?;
    } else {
        app.output.print(&lint::page::page_alone(about));
    }
    Ok(Exit::Done)
}

/// What is pending, against what is there.
fn of_database(app: &App, project: &Project, arguments: &Arguments) -> Result<Found, CliError> {
    if arguments.since.is_some() {
        return Err(CliError::usage(
            "--since is for the files alone: a database says itself what is pending there",
        ));
    }
    app.block_on(async |signals| {
        let work = async {
            let target = app.target(project).await?;
            Ok(inspect::lint(project, &target.options, app.global.wait).await?)
        };
        signals.or_end(Box::pin(work)).await
    })
}

fn which(app: &App, project: &Project, arguments: &Arguments) -> Result<Which, CliError> {
    if !arguments.files.is_empty() {
        return these(app, project, &arguments.files);
    }
    let Some(since) = arguments.since.as_deref() else { return Ok(Which::Each) };
    let (first, _) = select::find(project, since).map_err(CliError::usage)?;
    Ok(Which::OneRun((first..project.migrations.len()).collect::<BTreeSet<usize>>()))
}

/// The files that are named.
fn these(app: &App, project: &Project, files: &[PathBuf]) -> Result<Which, CliError> {
    let mut places = BTreeSet::new();
    for file in files {
        let path = current_folder()?.join(file);
        match project.place_of(&path).map_err(CliError::usage)? {
            Some(place) => drop(places.insert(place)),
            None => app.output.remark(&format!(
                "{} is not looked at: it takes a migration back, or verifies one",
                file.display()
            )),
        }
    }
    Ok(Which::These(places))
}

/// What leads from the repository to the project, for those who read paths from there: nothing, or a path that ends in `/`. Where
/// there is no repository, from the current folder.
fn from_repository(project: &Project) -> Result<String, CliError> {
    let root = project.root.canonicalize().unwrap_or_else(|_| project.root.clone());
    let top = root.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_path_buf);
    let top = top.map_or_else(current_folder, Ok)?;
    let inner = root.strip_prefix(&top).unwrap_or(Path::new(""));
    let parts: Vec<_> = inner.iter().map(|part| format!("{}/", part.to_string_lossy())).collect();
    Ok(parts.concat())
}

fn tell(app: &App, arguments: &Arguments, project: &Project, found: &Found) -> Result<(), CliError> {
    match arguments.form {
        Form::Sarif | Form::Github if app.output.is_json() => {
            return Err(CliError::usage("--format json and --as are two ways to write it: give one of them"));
        }
        _ if app.output.is_json() => return app.output.json(&lint::document(&project.name, found)),
        Form::Text => app.output.print(&lint::lines(found)),
        Form::Sarif => {
            return app.output.json(&lint::sarif(
                found,
                env!("CARGO_PKG_VERSION"),
                &from_repository(project)?,
            ));
        }
        Form::Github => app.output.print(&lint::annotations(found, &from_repository(project)?)),
    }
    Ok(())
}

/// Every rule in a line.
fn rules(app: &App) -> Result<Exit, CliError> {
    if app.output.is_json() {
        app.output.json(&lint::rules_document())?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for About { code, severity, on, why, .. } in lint::all() {
        let severity = if *on { severity.to_string() } else { format!("off, {severity}") };
        let _ = writeln!(text, "{code:<44} {severity:<12} {why}");
    }
    app.output.print(&text);
    Ok(Exit::Done)
}
