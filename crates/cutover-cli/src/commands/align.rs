//! `cutover align`.

use std::path::{Path, PathBuf};

use clap::Args;
use cutover::align::{self, AlignError, CODES};
use cutover::compare::Side;
use cutover_models::{File, Models, SOURCES, Settings, Source, by_name, recognised};

use crate::app::{App, current_folder, overrides};
use crate::args::VarArgs;
use crate::error::{CliError, Exit};

/// Hold an application's models against the database, or against what the migrations make
///
/// Models (SQLModel and SQLAlchemy, Django, Prisma, Diesel) are read, and never run. What they mean is built on a throwaway server
/// and compared with what is there, as PostgreSQL itself writes both. What models leave open, or what is not understood of them, is
/// named and never called equal.
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0 where nothing is otherwise but what is allowed, with 1 otherwise.

Examples:
  cutover align app/models                   against the database that is configured
  cutover align app/models --migrations      against what the migrations make, on a throwaway server
  cutover align prisma/schema.prisma --allow index --allow name
  cutover align app/models.py --sqlmodel 0.0.24")]
pub(crate) struct Arguments {
    /// Files of models, or folders of them
    #[arg(value_name = "MODELS", required_unless_present = "codes")]
    models: Vec<PathBuf>,
    /// What they are written in; otherwise each file says it itself
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<String>,
    /// Against what the migrations of the project make, in place of the database
    #[arg(long)]
    migrations: bool,
    /// The version of SQLModel: which type a datetime is depends on it
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true)]
    sqlmodel: String,
    /// Django's `DEFAULT_AUTO_FIELD`, where the files do not say it
    #[arg(long, value_name = "CLASS", default_value = "", hide_default_value = true)]
    default_auto_field: String,
    /// Accept differences by their code; may be repeated
    #[arg(long, value_name = "CODE", value_parser = codes())]
    allow: Vec<String>,
    /// List the codes of differences in place of looking
    #[arg(long)]
    codes: bool,
    #[command(flatten)]
    vars: VarArgs,
}

fn kinds() -> clap::builder::PossibleValuesParser {
    SOURCES
        .iter()
        .map(|source| clap::builder::PossibleValue::new(source.name).help(source.about))
        .collect::<Vec<_>>()
        .into()
}

fn codes() -> clap::builder::PossibleValuesParser {
    CODES.iter().map(|(code, ..)| clap::builder::PossibleValue::new(*code)).collect::<Vec<_>>().into()
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    if arguments.codes {
        let lines: Vec<String> = CODES.iter().map(|(code, _, what)| format!("{code:<22} {what}\n")).collect();
        app.output.print(&lines.concat());
        return Ok(Exit::Done);
    }
    let models = read(arguments)?;
    let project = app.project(&overrides(&arguments.vars))?;
    let alignment = app.block_on(async |signals| {
        let work = async {
            let sandbox = app.scratch()?;
            if arguments.migrations {
                let there = Side::Project(Box::new(project));
                return Ok(align::align(&models, there, None, &sandbox).await?);
            }
            let target = app.target(&project).await?;
            let there = Side::Database(Box::new(target.options.clone()));
            Ok(align::align(&models, there, Some(&target.options), &sandbox).await?)
        };
        Box::pin(signals.or_end(work)).await
    })?;
    if app.output.is_json() {
        app.output.json(&alignment)?;
    } else {
        app.output.print(&align::lines(&alignment, &arguments.allow));
    }
    Ok(if alignment.is_aligned(&arguments.allow) { Exit::Done } else { Exit::No })
}

/// What the models say.
fn read(arguments: &Arguments) -> Result<Models, CliError> {
    let mut files = Vec::new();
    let current = current_folder()?;
    for path in &arguments.models {
        files_in(&current.join(path), path, &mut files)?;
    }
    let source = source(arguments.kind.as_deref(), &files)?;
    files.retain(|file| Path::new(&file.path).extension().is_some_and(|own| own == source.extension));
    let settings = Settings {
        default_auto_field: arguments.default_auto_field.clone(),
        sqlmodel: arguments.sqlmodel.clone(),
    };
    let models = source.read(&files, &settings);
    if models.tables.is_empty() {
        let named: Vec<String> = arguments.models.iter().map(|path| path.display().to_string()).collect();
        return Err(CliError::usage(format!(
            "there are no tables in {} as {}",
            named.join(", "),
            source.about
        )));
    }
    Ok(models)
}

/// What the files are written in.
fn source(kind: Option<&str>, files: &[File]) -> Result<&'static Source, CliError> {
    if let Some(source) = kind.and_then(by_name) {
        return Ok(source);
    }
    let mut found: Vec<&'static Source> = Vec::new();
    for source in files.iter().filter_map(recognised) {
        if !found.iter().any(|known| known.name == source.name) {
            found.push(source);
        }
    }
    let all: Vec<&str> = SOURCES.iter().map(|source| source.name).collect();
    match found[..] {
        [source] => Ok(source),
        [] => Err(CliError::usage("none of the files looks like models that can be read")
            .hint(format!("say what they are written in: --kind {}", all.join(", ")))),
        _ => {
            let named: Vec<&str> = found.iter().map(|source| source.name).collect();
            Err(CliError::usage(format!("the files are written in several ways: {}", named.join(", ")))
                .hint("name one with --kind"))
        }
    }
}

/// The files of a path, in order; folders that hold no sources are left out.
fn files_in(path: &Path, shown: &Path, files: &mut Vec<File>) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::usage(format!("cannot read {}: {error}", shown.display()));
    if !path.is_dir() {
        let text = std::fs::read(path).map_err(failed)?;
        files.push(File {
            path: shown.display().to_string(),
            text: String::from_utf8_lossy(&text).into_owned(),
        });
        return Ok(());
    }
    let mut names: Vec<_> = std::fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    names.sort();
    for name in names {
        let text = name.to_string_lossy();
        let inner = path.join(&name);
        let is_left_out = text.starts_with('.')
            || matches!(&*text, "__pycache__" | "node_modules" | "migrations" | "venv" | "target");
        let is_source = SOURCES
            .iter()
            .any(|source| Path::new(&name).extension().is_some_and(|own| own == source.extension));
        if !is_left_out && (inner.is_dir() && !inner.is_symlink() || is_source && inner.is_file()) {
            files_in(&inner, &shown.join(&name), files)?;
        }
    }
    Ok(())
}

impl From<AlignError> for CliError {
    fn from(error: AlignError) -> Self {
        match error {
            AlignError::There(error) => error.into(),
            AlignError::NoSandbox(_) => Self::usage(error),
            other => Self::new(Exit::No, other.to_string()),
        }
    }
}
