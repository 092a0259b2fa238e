//! File conventions: which files of a folder are migrations, in what order, and how the next one is named.
//!
//! A convention sees the names of all files of its folder at once, and their texts where it asks for them, and answers
//! with the migrations in its own order: single files, pairs, folders, an ordered list. A convention is one file here and
//! one line in [`all`]. It does not hash migrations: `load` does, alike for all. What of a file is run, where it has
//! sections, says its [`Scan`].
//!
//! Names and sections are read as the tool reads them that a convention comes from; its source decides, and is named in
//! the file. What that tool would run and cutover cannot is refused by name, never left out.

pub mod contents;
mod dbmate;
mod detect;
mod diesel;
mod files;
mod flyway;
mod folder;
mod foreign;
mod golang_migrate;
mod goose;
pub(crate) mod graphile;
mod node_pg_migrate;
mod numbered;
mod prisma;
mod refinery;
pub(crate) mod sqitch;
mod sqlx;
mod supabase;

use std::fmt;

use crate::migration::{Migration, MigrationKind, Version};

pub use contents::{Contents, Scan, Trouble};
pub use dbmate::Dbmate;
pub(crate) use detect::which;
pub use detect::{Detected, detect, detect_all};
pub use diesel::Diesel;
pub use flyway::Flyway;
pub use folder::Folder;
pub use golang_migrate::GolangMigrate;
pub use goose::Goose;
pub use graphile::Graphile;
pub use node_pg_migrate::NodePgMigrate;
pub(in crate::project) use node_pg_migrate::is_mark as is_node_pg_mark;
pub use numbered::Numbered;
pub use prisma::Prisma;
pub use refinery::Refinery;
pub use sqitch::Sqitch;
pub use sqlx::Sqlx;
pub use supabase::Supabase;

/// A file that is not a migration and is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Path relative to the project, with `/`.
    pub path: String,
    /// Why it is none.
    pub why: String,
    /// It looks like one to a person, so that leaving it out may be a mistake: to be shown without being asked for.
    pub near_miss: bool,
}

/// A migration as its convention reads the names of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Version, unique in the folder.
    pub version: Version,
    /// What the name says beside the version.
    pub name: String,
    /// The file to run, relative to the folder, with `/`.
    pub path: String,
    /// How often it is applied.
    pub kind: MigrationKind,
    /// The file with the way back, where it is a file of its own.
    pub down: Option<String>,
    /// A file beside it says that it is not to run in a transaction. One that says so itself is [`Contents`]' business.
    pub no_transaction: bool,
    /// The tool lets it go in below versions that are applied.
    pub any_time: bool,
    /// Versions of this folder, as [`Version::text`] has them, that must be applied before it.
    pub requires: Vec<String>,
    /// A script that fails where what the migration made is not there.
    pub verify: Option<String>,
}

impl Found {
    /// Its files, the one to run first.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        [Some(self.path.as_str()), self.down.as_deref(), self.verify.as_deref()].into_iter().flatten()
    }

    /// A migration that is one file, as most are.
    pub fn new(version: Version, name: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            version,
            name: name.into(),
            path: path.into(),
            kind: MigrationKind::Versioned,
            down: None,
            no_transaction: false,
            any_time: false,
            requires: Vec::new(),
            verify: None,
        }
    }
}

/// What a convention makes of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The migrations, in the convention's order.
    pub migrations: Vec<Found>,
    /// Files that say something of migrations and are none: lists, settings. Those that [`Found`] names are not among them.
    pub companions: Vec<String>,
    /// All other files, paths relative to the folder.
    pub strays: Vec<Stray>,
    /// What must not be left out and cannot be read.
    pub problems: Vec<Wrong>,
}

impl Reading {
    /// All files that have a place in it; one that is wrong in several ways more than once.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let migrations = self.migrations.iter().flat_map(Found::files);
        let strays = self.strays.iter().map(|stray| stray.path.as_str());
        let problems = self.problems.iter().map(|wrong| wrong.path.as_str());
        migrations.chain(self.companions.iter().map(String::as_str)).chain(strays).chain(problems)
    }
}

/// A file that must not be left out and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Path relative to the folder.
    pub path: String,
    /// The line that is wrong, counted from 1, with its text; none where it is the file, or its name.
    pub line: Option<(u32, String)>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Wrong {
    /// A file that is wrong as a whole.
    pub fn file(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), line: None, message: message.into(), hint: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A file to make for the next migration: `before`, a comment with the title, `after`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Path relative to the folder, with `/`.
    pub path: String,
    /// What comes before the title.
    pub before: &'static str,
    /// What comes behind it.
    pub after: &'static str,
}

impl NewFile {
    /// A file that holds the title and nothing else yet.
    pub fn plain(path: String) -> Self {
        Self { path, before: "", after: "" }
    }
}

/// What stands before and behind the statements of a migration.
pub type Frame = (&'static str, &'static str);

/// What people are told of a convention; the page of conventions is made of it.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The tool whose convention it is; empty for cutover's own.
    pub tool: &'static str,
    /// What files are called.
    pub files: &'static str,
    /// In what order they are.
    pub order: &'static str,
    /// Where the way back is.
    pub back: &'static str,
    /// What says that a migration runs without a transaction.
    pub no_transaction: &'static str,
    /// A case that it gets right.
    pub right: &'static str,
    /// A case that it declines.
    pub declines: &'static str,
}

/// One convention.
pub trait Convention: fmt::Debug + Send + Sync {
    /// Its name in `cutover.toml`.
    fn name(&self) -> &'static str;

    /// What its files look like, e.g. `0001_create_users.sql`.
    fn example(&self) -> &'static str;

    /// What people are told of it.
    fn about(&self) -> About;

    /// Whether it reads a folder within its folder, by its path relative to that.
    fn enters(&self, _folder: &str) -> bool {
        false
    }

    /// Whether it must see what is in a folder directly within its folder to know it for one of its own.
    fn looks_into(&self, _folder: &str) -> bool {
        false
    }

    /// Whether the names of files alone tell a folder of this convention. For those that are named as others are,
    /// [`evidence`](Self::evidence) decides.
    fn is_told_by_names(&self) -> bool {
        false
    }

    /// What else tells that a folder is of this convention, in words.
    fn evidence(&self, _folder: &Folder<'_>) -> Option<String> {
        None
    }

    /// Why a folder whose names are of this convention may be of another one all the same, in words.
    fn doubt(&self, _folder: &Folder<'_>) -> Option<String> {
        None
    }

    /// Reads the folder.
    fn read(&self, folder: &Folder<'_>) -> Reading;

    /// What to do about a file in another language than SQL that nothing it has read tells from a migration, by its path
    /// relative to the folder; `beside` are the migrations. None where its tool would not run the file either.
    fn refuses(&self, _path: &str, _beside: &[Found]) -> Option<String> {
        None
    }

    /// Reads what a file says of its parts; none where a file is run as it is.
    fn scan(&self) -> Option<Scan> {
        None
    }

    /// The same for files that are ways back.
    fn scan_of_down(&self) -> Option<Scan> {
        self.scan()
    }

    /// What stands before and behind the statements of a migration in the file of this path, relative to the folder; none
    /// where such a file is none of its migrations. `is_there`: it is one already.
    ///
    /// # Errors
    /// Why a file alone is no migration, and what to do instead.
    fn frame(&self, _path: &str, _is_there: bool) -> Result<Option<Frame>, String> {
        Ok(Some(("", "")))
    }

    /// A version as people write it in `cutover.toml`.
    fn version(&self, text: &str) -> Option<Version>;

    /// The next files: `slug` is the description in lower case with `_`, `now` the UTC time as `YYYYMMDDhhmmss`.
    /// `existing` are the folder's migrations in their order. The first file is the one to run.
    ///
    /// # Errors
    /// Why there is no next name, and what to do instead.
    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String>;
}

/// All conventions, the default for an empty folder first.
pub fn all() -> &'static [&'static dyn Convention] {
    &[
        &Numbered,
        &Flyway,
        &GolangMigrate,
        &Sqlx,
        &Diesel,
        &Refinery,
        &Dbmate,
        &Goose,
        &Supabase,
        &Prisma,
        &Sqitch,
        &Graphile,
        &NodePgMigrate,
    ]
}

/// The convention of a name.
pub fn by_name(name: &str) -> Option<&'static dyn Convention> {
    all().iter().copied().find(|convention| convention.name() == name)
}

/// Looks at what is left of a folder once more: what must not be left out is refused, and strays that another convention
/// would read as migrations become near misses, for they are hardly meant to be left out.
pub(super) fn settle_strays(convention: &dyn Convention, reading: &mut Reading) {
    let (migrations, problems) = (&reading.migrations, &mut reading.problems);
    reading.strays.retain(|stray| {
        let Some(hint) = convention.refuses(&stray.path, migrations) else { return true };
        let message = "a migration in another language, and cutover runs SQL alone";
        problems.push(Wrong::file(stray.path.clone(), message).with_hint(hint));
        false
    });
    notice_other_conventions(convention, &mut reading.strays);
}

fn notice_other_conventions(convention: &dyn Convention, strays: &mut [Stray]) {
    let paths: Vec<String> = strays.iter().map(|stray| stray.path.clone()).collect();
    for other in all().iter().filter(|other| other.is_told_by_names() && other.name() != convention.name()) {
        for found in other.read(&Folder::of_names(&paths)).migrations {
            for stray in strays.iter_mut().filter(|stray| stray.path == found.path && !stray.near_miss) {
                let (is, example, this) = (other.name(), other.example(), convention.name());
                stray.why = format!("named like {is} ({example}), and this folder is {this}");
                stray.near_miss = true;
            }
        }
    }
    for stray in strays.iter_mut().filter(|stray| !stray.near_miss) {
        if let Some(why) = foreign::advice(&stray.path) {
            stray.why = why;
            stray.near_miss = true;
        }
    }
}

/// What to do about a file that is a migration in another language, by its name; none for all others.
pub(super) fn in_another_language(path: &str) -> Option<String> {
    foreign::advice(path)
}

/// The conventions with their examples, for messages.
pub fn known() -> String {
    let each: Vec<String> =
        all().iter().map(|convention| format!("{} ({})", convention.name(), convention.example())).collect();
    each.join(", ")
}

/// Whether the name ends in `.sql`, whatever the case.
pub(crate) fn is_sql(file_name: &str) -> bool {
    std::path::Path::new(file_name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"))
}

/// Reads a number of a version.
fn number(digits: &str) -> Result<u64, String> {
    digits.parse().map_err(|_| format!("the number {digits} is too large: at most {}", u64::MAX))
}

/// The ASCII digits that a text begins with, and the rest.
fn leading_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// Whether a path has this ending, as it is written.
fn ends_in(path: &str, ending: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, found)| found == ending)
}

/// The last part of a path.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
