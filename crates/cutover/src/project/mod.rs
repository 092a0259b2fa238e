//! From a folder to a [`Project`]: `cutover.toml`, the migration files in their convention's order with checksums,
//! stages, claims, checks and placeholders. Everything that is wrong is said at once, with its place.
//!
//! Reads files only. It knows nothing of databases, does not parse SQL, and believes nothing a claim says.

mod api;
pub mod config;
pub mod conventions;
mod create;
mod files;
mod flyway;
mod folders;
mod globs;
mod jobs;
mod link;
mod load;
mod marks;
mod overlay;
mod problem;
pub(crate) mod section;
#[cfg(test)]
mod tests;
pub mod text;
pub(crate) mod vars;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use api::routine_in;
pub use api::{Internal, Replaces};
pub use config::{ApplyConfig, DatabaseConfig, Origin, Override, Overrides, Setting, Settings};
pub use conventions::{Convention, Stray};
pub use create::{Body, Created, initialise};
pub use flyway::DefaultSchema;
pub use jobs::{Job, JobPlaces, one_statement};
pub use problem::{Place, Problem, Problems, ProjectError};
pub(crate) use vars::Substituted;
pub use vars::{PlaceholderError, Replaced, VarError, Vars};

use crate::align::ModelsSettings;
use crate::lint::LintSettings;
use crate::migration::{Migration, MigrationId, Source};
use crate::text::suggest;

/// The name of the configuration file.
pub const CONFIG_FILE: &str = "cutover.toml";

/// Folders looked for where no configuration names one.
pub const FOLDERS: [&str; 9] = [
    "migrations",
    "db/migrations",
    "db/migration",
    "sql",
    "supabase/migrations",
    "prisma/migrations",
    "src/main/resources/db/migration",
    "database/migrations",
    "db/migrate",
];

/// A project: what is to be done to a database, and how.
#[derive(Debug, Clone)]
pub struct Project {
    /// The key under which the database's history knows it.
    pub name: String,
    /// Which rules look at which files.
    pub lint: LintSettings,
    /// The application's models.
    pub models: ModelsSettings,
    /// The project folder, absolute, without links. Empty for a project compiled into a program.
    pub root: PathBuf,
    /// The configuration, absolute; none for a bare folder of migrations.
    pub config_path: Option<PathBuf>,
    /// The folder of the user's own templates for documents: absolute.
    pub templates: Option<PathBuf>,
    /// How to reach the database, as far as the file says so.
    pub database: DatabaseConfig,
    /// How migrations are applied.
    pub apply: ApplyConfig,
    /// The migration folders, in the order of the file.
    pub roots: Vec<MigrationRoot>,
    /// Values of placeholders.
    pub vars: Vars,
    /// The design source.
    pub design: Design,
    /// The stages, in the order of the file.
    pub stages: Vec<Stage>,
    /// All migrations: folder by folder, each in its convention's order.
    pub migrations: Vec<Migration>,
    /// Every object that stages and their claims name, with its place in the configuration.
    pub claim_places: Vec<ClaimPlace>,
    /// The checks, in the order of the file.
    pub checks: Vec<CheckSpec>,
    /// What `cutover worker` runs, in the order of the file.
    pub jobs: Vec<Job>,
    /// Which call of an old function becomes which call of a new one, in the order of the file.
    pub replaces: Vec<Replaces>,
    /// Patterns of functions that are no client's, in the order of the file.
    pub internal: Vec<Internal>,
    /// SQL files whose statements must return no rows: absolute, sorted.
    pub check_files: Vec<PathBuf>,
    /// Files in migration folders that say something of migrations and are none: lists, settings. Absolute.
    pub companions: Vec<PathBuf>,
    /// Files in migration folders that are none.
    pub strays: Vec<Stray>,
    /// The schema in which the tool of its files makes what is named without one, where its settings say so.
    pub default_schema: Option<DefaultSchema>,
    /// Its migrations are the ways back of those of another project.
    pub takes_back: Option<TakesBack>,
    /// Every effective value with its origin.
    pub settings: Settings,
}

/// The project whose migrations another one takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakesBack {
    /// Its name.
    pub project: String,
    /// What its history was known by when the ways back were found out, see [`crate::history::records::History::digest`].
    pub history: String,
}

/// A project as far as it can be read, with everything that is wrong with it.
#[derive(Debug)]
pub struct Draft {
    /// The project. Where something is wrong it is not what its files say, and only good for finding what else is.
    pub project: Project,
    /// What is wrong, sorted by place; nothing for a project that may be used.
    pub problems: Problems,
    /// All migration files could be read: one that is not among the migrations does not exist.
    pub complete: bool,
}

/// A folder of migrations.
#[derive(Debug, Clone)]
pub struct MigrationRoot {
    /// Path relative to the project, with `/`; `.` for the project folder itself.
    pub path: String,
    /// How its files are named and ordered.
    pub convention: &'static dyn Convention,
}

/// Where the wanted shape of the database is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Design {
    /// SQL files: absolute, sorted by path, each once.
    pub ddl: Vec<PathBuf>,
}

/// A phase, sprint, domain, week …: a part of the plan with the migrations that belong to it, often none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name on the command line, unique.
    pub id: String,
    /// What people call it; the id where nothing is said.
    pub title: String,
    /// What sort of stage it is, any word; `stage` where nothing is said.
    pub kind: String,
    /// Remarks for reports.
    pub notes: Vec<String>,
    /// Objects that what is built in it reads, verified once it is reached.
    pub uses: Vec<String>,
    /// A backup is taken before its first migration.
    pub require_backup: bool,
    /// Indexes into [`Project::migrations`], in the project's order.
    pub migrations: Vec<usize>,
    /// Its line in the configuration, counted from 1.
    pub line: u32,
}

/// An object as a claim names it, and where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPlace {
    /// As it is written, e.g. `table users`.
    pub text: String,
    /// Its place, as a problem that says nothing yet.
    pub place: Problem,
}

/// When a check is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// After the run.
    After,
    /// Before this migration: a precondition.
    Before(MigrationId),
}

/// A `[[check]]` as it is written; what its kind makes of the other keys is the kind's business.
#[derive(Debug, Clone)]
pub struct CheckSpec {
    /// Its name, unique.
    pub name: String,
    /// Which kind measures it.
    pub kind: String,
    /// Index of the stage from which on it is measured; none means always.
    pub stage: Option<usize>,
    /// When it is measured.
    pub when: When,
    /// All other keys with their places. Clone it, take what the kind knows and finish it.
    pub params: config::Table,
    /// Its line, counted from 1.
    pub line: u32,
    /// The file it stands in, as problems call it.
    pub file: String,
    kind_span: std::ops::Range<usize>,
}

impl CheckSpec {
    /// The file that its SQL is read from, where it names one.
    pub fn file_path(&self, project: &Project) -> Option<PathBuf> {
        self.params.peek_string("file").map(|file| project.root.join(file))
    }

    /// The problem of a kind that nobody knows, with the known one most alike.
    pub fn unknown_kind(&self, known: &[&str]) -> Problem {
        let problem =
            self.params.problem_at(&self.kind_span, format!("unknown kind of check {:?}", self.kind));
        match suggest(&self.kind, known.iter().copied()) {
            Some(alike) => problem.with_hint(format!("did you mean {alike:?}?")),
            None => problem.with_hint(format!("known kinds: {}", known.join(", "))),
        }
    }
}

impl Project {
    /// Whether its migrations are in several folders: a version alone may then name more than one.
    pub fn has_several_folders(&self) -> bool {
        self.migrations.windows(2).any(|two| two[0].id.root != two[1].id.root)
    }

    /// Loads the project in a folder: by its `cutover.toml`, or without one as a folder of migrations.
    ///
    /// # Errors
    /// Everything that is wrong, or that there is no project.
    pub fn load(folder: &Path, overrides: &Overrides) -> Result<Self, ProjectError> {
        load::load(folder, overrides)
    }

    /// As [`Project::load`], but gives what can be read where something is wrong, so that all of it can be said at once.
    ///
    /// # Errors
    /// There is no project, or no part of it can be read.
    pub fn draft(folder: &Path, overrides: &Overrides) -> Result<Draft, ProjectError> {
        load::draft(folder, overrides)
    }

    /// As [`Project::draft`], but reads no migrations, which need not be there: for what has to do with the configuration alone.
    ///
    /// # Errors
    /// The folder or its configuration cannot be read.
    pub fn without_migrations(folder: &Path, overrides: &Overrides) -> Result<Draft, ProjectError> {
        load::without_migrations(folder, overrides)
    }

    /// The folder to load from a place within a project: the nearest one upward with a `cutover.toml`, otherwise
    /// `start` itself.
    ///
    /// # Errors
    /// `start` cannot be read.
    pub fn find(start: &Path) -> Result<PathBuf, ProjectError> {
        load::find(start)
    }

    /// A project of files compiled into a program: pairs of a file name, which the convention reads, and the text.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn embedded(name: &str, files: &[(&str, &[u8])]) -> Result<Self, ProjectError> {
        folders::embedded(name, files)
    }

    /// Makes the files of the next migration in the project's own convention and says what they are, the one to run first. `root` chooses the folder
    /// where there are several; `now` is UTC as `YYYYMMDDhhmmss`, for conventions that number by time. An existing
    /// file is never changed.
    ///
    /// # Errors
    /// There is no next name, or the file cannot be made.
    pub fn create_migration(
        &self,
        title: &str,
        root: Option<&str>,
        now: u64,
    ) -> Result<Vec<Created>, ProjectError> {
        create::migration(self, title, root, now, &Body::default())
    }

    /// As [`create_migration`](Self::create_migration), with statements below the title.
    ///
    /// # Errors
    /// There is no next name, or the file cannot be made.
    pub fn write_migration(
        &self,
        title: &str,
        root: Option<&str>,
        now: u64,
        body: &Body<'_>,
    ) -> Result<Vec<Created>, ProjectError> {
        create::migration(self, title, root, now, body)
    }

    /// Statements as they are to stand in a file: in the sections of the folder of migrations that it lies in, where its
    /// convention has them; as they are elsewhere.
    ///
    /// # Errors
    /// Why the file would not be a migration of that folder although it looks like one, or would break it, and what to do.
    pub fn as_migration(&self, file: &Path, text: &str) -> Result<String, String> {
        create::framed(self, file, text)
    }

    /// Names of placeholders that stand in none of its migration and design files, of those given, with the placeholder
    /// that was probably meant. Reads all these files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn unused_placeholders<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<Vec<(&'a str, Option<String>)>> {
        let mut used = BTreeSet::new();
        for migration in &self.migrations {
            used.extend(vars::names_in(crate::source::normalised(migration)?)?);
        }
        for path in &self.design.ddl {
            used.extend(vars::names_in(text::open(&Source::File(path.clone()))?)?);
        }
        let unused = names.into_iter().filter(|name| !used.contains(*name));
        let meant = |name: &str| suggest(name, used.iter().map(String::as_str)).map(str::to_owned);
        Ok(unused.map(|name| (name, meant(name))).collect())
    }

    /// A path as people would name it: relative to the project where it lies within.
    pub fn display_path(&self, path: &Path) -> String {
        files::relative(&self.root, path)
    }

    /// The stray files that look like migrations, to be shown without being asked for.
    pub fn near_misses(&self) -> impl Iterator<Item = &Stray> {
        self.strays.iter().filter(|stray| stray.near_miss)
    }
}
