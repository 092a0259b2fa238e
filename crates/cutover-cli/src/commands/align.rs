//! `cutover align`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use cutover::align::{self, AlignError, CODES, Fill, GenerateError, Renamed};
use cutover::compare::Side;
use cutover::project::{Problem, Problems, Project};
use cutover::secrets::without_passwords;
use cutover::text::visible;
use cutover_models::{File, Models, SOURCES, Settings, Source, by_name, recognised};

use crate::app::{App, current_folder, overrides};
use crate::args::VarArgs;
use crate::commands::align_files::Reading;
use crate::commands::align_write;
use crate::error::{CliError, Exit};

/// Hold an application's models against the database, or against what the migrations make; write the migration that is missing
///
/// Models (SQLModel and SQLAlchemy, Django, Prisma, Diesel, files of DDL) are read, and never run. What they mean is built on a
/// throwaway server and compared with what is there, as PostgreSQL itself writes both. What models leave open, or what is not
/// understood of them, is named and never called equal.
///
/// With --write, what they say otherwise than the migrations so far becomes the next migration: in the form that a table in use
/// can bear, with the way back where the folder's convention has a place for it, and proven on the throwaway server before it is
/// written. Nothing that is there is dropped, and no row is given a value, that was not decided: on the terminal, or by --drop,
/// --keep, --rename and --fill.
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0 where nothing is otherwise but what is allowed, with 1 otherwise. With --write it ends with 0 where the migration was
written, or none is needed, and with 1 where something is to be decided first or remains otherwise.

Examples:
  cutover align                              the models that cutover.toml names, against the database that is configured
  cutover align app/models --migrations      against what the migrations make, on a throwaway server
  cutover align prisma/schema.prisma --allow index --allow name
  cutover align app/models.py --sqlmodel 0.0.24 --keep 'table audit'
  cutover align app/models --write           the next migration
  cutover align app/models --write --out - --rename 'column users.mail=email' --fill users.age=0 --drop index")]
#[allow(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
pub(crate) struct Arguments {
    /// Files of models, or folders of them; without any, what [models] of cutover.toml says
    #[arg(value_name = "MODELS")]
    models: Vec<PathBuf>,
    /// What they are written in; otherwise each file says it itself
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    kind: Option<String>,
    /// Against what the migrations of the project make, in place of the database
    #[arg(long)]
    migrations: bool,
    /// The version of SQLModel: which type a datetime is depends on it
    #[arg(long, value_name = "VERSION")]
    sqlmodel: Option<String>,
    /// Django's `DEFAULT_AUTO_FIELD`, where the files do not say it
    #[arg(long, value_name = "CLASS")]
    default_auto_field: Option<String>,
    /// Accept differences by their code; may be repeated
    #[arg(long, value_name = "CODE", value_parser = codes(), conflicts_with = "write")]
    allow: Vec<String>,
    /// What is meant to be there without a model: a kind, a kind and a name, or all; may be repeated
    #[arg(long, value_name = "WHAT", value_parser = align::what)]
    keep: Vec<String>,
    /// List the codes of differences in place of looking
    #[arg(long)]
    codes: bool,
    /// Write the migration that makes what the migrations make into what the models say
    #[arg(long, conflicts_with = "codes")]
    write: bool,
    #[command(flatten)]
    decided: Decided,
    #[command(flatten)]
    vars: VarArgs,
}

/// What is said of a migration that is to be written.
#[derive(Debug, Args)]
pub(super) struct Decided {
    /// What of all that is in no model goes: a kind, a kind and a name, or all; may be repeated
    #[arg(long, value_name = "WHAT", value_parser = align::what, requires = "write")]
    pub(super) drop: Vec<String>,
    /// Something that the models call otherwise by now, e.g. 'column users.mail=email'; may be repeated
    #[arg(long = "rename", value_name = "KIND NAME=NEW", value_parser = Renamed::parse, requires = "write")]
    pub(super) renames: Vec<Renamed>,
    /// What rows that are there get in a column, e.g. users.age=0, or users.age=none where there are none; may be repeated
    #[arg(long = "fill", value_name = "COLUMN=EXPRESSION", value_parser = Fill::parse, requires = "write")]
    pub(super) fills: Vec<Fill>,
    /// What the migration is called, in a few words; otherwise by what it does
    #[arg(long, value_name = "WORDS", requires = "write")]
    pub(super) title: Option<String>,
    /// Migration folder to write it in, where the project has several
    #[arg(long = "in", value_name = "FOLDER", requires = "write")]
    pub(super) folder: Option<String>,
    /// Print it (-), or write it to this new file, in place of the folder of migrations
    #[arg(long, value_name = "FILE", requires = "write", conflicts_with_all = ["title", "folder"])]
    pub(super) out: Option<PathBuf>,
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
    let project = project(app, arguments)?;
    let began = Instant::now();
    let models = read(&project, arguments)?;
    let reading = began.elapsed();
    let mut keep = arguments.keep.clone();
    keep.extend(project.models.keep.iter().cloned());
    if arguments.write {
        return align_write::run(app, &project, &models, keep, &arguments.decided);
    }
    let mut allow = arguments.allow.clone();
    allow.extend(project.models.allow.iter().cloned());
    let mut alignment = app.block_on(async |signals| {
        let work = async {
            let sandbox = app.scratch()?;
            if arguments.migrations {
                let there = Side::Project(Box::new(project));
                return Ok(align::align(&models, there, &keep, None, &sandbox).await?);
            }
            let target = app.target(&project).await?;
            let there = Side::Database(Box::new(target.options.clone()));
            Ok(align::align(&models, there, &keep, Some(&target.options), &sandbox).await?)
        };
        Box::pin(signals.or_end(work)).await
    })?;
    alignment.took += reading;
    if app.output.is_json() {
        app.output.json(&alignment)?;
    } else {
        app.output.print(&align::lines(&alignment, &allow));
    }
    Ok(if alignment.is_aligned(&allow) { Exit::Done } else { Exit::No })
}

/// The project. Against a database, migrations need not be there, nor such that they can be read.
fn project(app: &App, arguments: &Arguments) -> Result<Project, CliError> {
    let overrides = overrides(&arguments.vars);
    if !arguments.migrations && !arguments.write {
        let draft = app.draft(&overrides)?;
        let config = draft.project.config_path.as_deref().and_then(Path::file_name);
        let is_of_config = |problem: &Problem| {
            // That it names no migrations is said of the file as a whole.
            problem.place.is_some()
                && config.is_some_and(|config| Path::new(&problem.path).file_name() == Some(config))
        };
        if !draft.problems.0.iter().any(is_of_config) {
            return Ok(draft.project);
        }
    }
    app.project(&overrides)
}

/// What the models say: those of the command line, or of the project.
fn read(project: &Project, arguments: &Arguments) -> Result<Models, CliError> {
    let said = &project.models;
    let mut reading = Reading::default();
    let current = current_folder()?;
    for path in &arguments.models {
        reading.named(&current.join(path), path)?;
    }
    if arguments.models.is_empty() {
        for (path, place) in &said.paths {
            if !project.root.join(path).exists() {
                let message = format!("{path:?}, which [models] names, is not there");
                return Err(CliError::usage(Problems::from(Problem { message, ..place.clone() })));
            }
            reading.named(&project.root.join(path), Path::new(path))?;
        }
    }
    if reading.files.is_empty() {
        return Err(match (&arguments.models[..], &said.paths[..]) {
            ([], []) => CliError::usage("no models are named")
                .hint("name files or folders (cutover align app/models), or say them in cutover.toml: [models] paths = [\"app/models\"]"),
            _ => CliError::usage("there are no files of models in what is named"),
        });
    }
    let source = source(arguments.kind.as_deref(), said.kind.as_ref(), &reading.files)?;
    let (files, unread) = reading.of(source);
    let settings = Settings {
        default_auto_field: arguments.default_auto_field.as_ref().unwrap_or(&said.default_auto_field).clone(),
        sqlmodel: arguments.sqlmodel.as_ref().unwrap_or(&said.sqlmodel).clone(),
    };
    let mut models = source.read(&files, &settings);
    for (place, what) in unread {
        models.unread(place, what);
    }
    if models.tables.is_empty() && models.statements.is_empty() {
        let given = arguments.models.iter().map(|path| path.display().to_string());
        let named: Vec<String> = given
            .chain(said.paths.iter().map(|(path, _)| path.clone()).filter(|_| arguments.models.is_empty()))
            .collect();
        // What was not understood is why there are none.
        let why = models.unsupported.first();
        let why = why.map(|one| format!("{}:{}: {}", one.place.path, one.place.line, one.what));
        return Err(CliError::usage(format!(
            "there are no tables in {} as {}",
            visible(&named.join(", ")),
            source.about
        ))
        .hint(visible(&without_passwords(&why.unwrap_or_default()))));
    }
    Ok(models)
}

/// What the files are written in: as the command line says, or `cutover.toml`, or they themselves.
fn source(
    given: Option<&str>,
    declared: Option<&(String, Problem)>,
    files: &[File],
) -> Result<&'static Source, CliError> {
    let all: Vec<&str> = SOURCES.iter().map(|source| source.name).collect();
    let unknown = |kind: &str| format!("{kind:?} is no kind of models: {}", all.join(", "));
    if let Some(kind) = given {
        return by_name(kind).ok_or_else(|| CliError::usage(unknown(kind)));
    }
    if let Some((kind, place)) = declared {
        let wrong = || Problems::from(Problem { message: unknown(kind), ..place.clone() });
        return by_name(kind).ok_or_else(|| CliError::usage(wrong()));
    }
    let mut found: Vec<&'static Source> = Vec::new();
    for source in files.iter().filter_map(recognised) {
        if !found.iter().any(|known| known.name == source.name) {
            found.push(source);
        }
    }
    if found.len() > 1 {
        // Files of SQL lie beside models in many folders.
        found.retain(|source| source.extension != "sql");
    }
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

impl From<AlignError> for CliError {
    fn from(error: AlignError) -> Self {
        match error {
            AlignError::There(error) => error.into(),
            AlignError::NoSandbox(_) => Self::usage(error),
            other => Self::new(Exit::No, other.to_string()),
        }
    }
}

impl From<GenerateError> for CliError {
    fn from(error: GenerateError) -> Self {
        match error {
            GenerateError::Align(error) => error.into(),
            GenerateError::Rename(_) | GenerateError::Idle(_) | GenerateError::Unread(..) => {
                Self::usage(error)
            }
            other => Self::new(Exit::No, other.to_string()),
        }
    }
}
