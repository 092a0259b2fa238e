//! File conventions: which files of a folder are migrations, in what order, and how the next one is named.
//!
//! A convention sees the names of all files of its folder at once and answers with the migrations in its own order,
//! so one may read pairs of files, folders or an ordered list; [`Found`] grows with what they need. A convention is
//! one file here and one line in [`all`]. It does not read or hash migrations: `load` does, alike for all.

mod flyway;
mod numbered;

use std::fmt;

use crate::migration::{Migration, Version};

pub use flyway::Flyway;
pub use numbered::Numbered;

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

/// A migration as its convention reads the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Version, unique in the folder.
    pub version: Version,
    /// What the name says beside the version.
    pub name: String,
    /// The file to run, relative to the folder, with `/`.
    pub path: String,
}

/// What a convention makes of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// The migrations, in the convention's order.
    pub migrations: Vec<Found>,
    /// All other files, paths relative to the folder.
    pub strays: Vec<Stray>,
    /// Names that cannot be read but must not be left out: path relative to the folder and what is wrong.
    pub problems: Vec<(String, String)>,
}

/// One convention.
pub trait Convention: fmt::Debug + Send + Sync {
    /// Its name in `cutover.toml`.
    fn name(&self) -> &'static str;

    /// What its files look like, e.g. `0001_create_users.sql`.
    fn example(&self) -> &'static str;

    /// Whether it also reads the folders within its folder.
    fn recursive(&self) -> bool {
        false
    }

    /// Reads the folder: paths relative to it, with `/`, sorted.
    fn read(&self, paths: &[String]) -> Reading;

    /// A version as people write it in `cutover.toml`.
    fn version(&self, text: &str) -> Option<Version>;

    /// The next file: `slug` is the description in lower case with `_`, `now` the UTC time as `YYYYMMDDhhmmss`.
    /// `existing` are the folder's migrations in their order.
    ///
    /// # Errors
    /// Why there is no next name.
    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<String, String>;
}

/// All conventions, the default for an empty folder first.
pub fn all() -> &'static [&'static dyn Convention] {
    &[&Numbered, &Flyway]
}

/// The convention of a name.
pub fn by_name(name: &str) -> Option<&'static dyn Convention> {
    all().iter().copied().find(|convention| convention.name() == name)
}

/// What one file is to a convention of single files.
pub(super) enum Class {
    /// A migration with its version and name.
    Migration(Version, String),
    /// Looks like one.
    NearMiss(String),
    /// Something else.
    Other(String),
    /// Must not be left out, cannot be read.
    Wrong(String),
}

/// Reads a folder file by file and sorts by version. For conventions where each migration is one file.
pub(super) fn read_single_files(paths: &[String], classify: impl Fn(&str) -> Class) -> Reading {
    let mut reading = Reading::default();
    for path in paths {
        let file_name = path.rsplit('/').next().unwrap_or(path);
        let class =
            uninteresting(file_name).map_or_else(|| classify(path), |why| Class::Other(why.to_owned()));
        let (why, near_miss) = match class {
            Class::Migration(version, name) => {
                reading.migrations.push(Found { version, name, path: path.clone() });
                continue;
            }
            Class::Wrong(why) => {
                reading.problems.push((path.clone(), why));
                continue;
            }
            Class::NearMiss(why) => (why, true),
            Class::Other(why) => (why, false),
        };
        reading.strays.push(Stray { path: path.clone(), why, near_miss });
    }
    reading.migrations.sort_by(|a, b| a.version.cmp(&b.version).then_with(|| a.path.cmp(&b.path)));
    reading
}

/// Files that no convention looks at.
fn uninteresting(file_name: &str) -> Option<&'static str> {
    const BACKUPS: [&str; 5] = ["~", ".swp", ".bak", ".orig", ".rej"];
    if file_name.starts_with('.') {
        return Some("hidden");
    }
    let backup = BACKUPS.iter().any(|end| file_name.ends_with(end)) || file_name.starts_with('#');
    backup.then_some("an editor's backup")
}

/// Whether the name ends in `.sql`, whatever the case.
pub(crate) fn is_sql(file_name: &str) -> bool {
    std::path::Path::new(file_name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql"))
}

/// Reads a number of a version.
pub(super) fn number(digits: &str) -> Result<u64, String> {
    digits.parse().map_err(|_| format!("the number {digits} is too large: at most {}", u64::MAX))
}

/// Which convention a folder follows, and how that was seen.
#[derive(Debug, Clone)]
pub struct Detected {
    /// The convention.
    pub convention: &'static dyn Convention,
    /// The reason, in words.
    pub why: String,
}

/// Finds the convention of a folder by its file names.
///
/// # Errors
/// Files of several conventions, or `.sql` files of none, named.
pub fn detect(paths: &[String]) -> Result<Detected, String> {
    let readings: Vec<(&'static dyn Convention, Reading)> = all()
        .iter()
        .map(|convention| (*convention, convention.read(paths)))
        .filter(|(_, reading)| !reading.migrations.is_empty() || !reading.problems.is_empty())
        .collect();
    let sql = paths.iter().filter(|path| is_sql(path)).count();
    match readings.as_slice() {
        [(convention, reading)] => {
            let count = reading.migrations.len();
            let why = format!("{count} of {sql} .sql files are named like {}", convention.example());
            Ok(Detected { convention: *convention, why })
        }
        [] => match paths.iter().find(|path| is_sql(path) && uninteresting(path).is_none()) {
            None => {
                let convention = all()[0];
                Ok(Detected {
                    convention,
                    why: format!("the folder has no .sql files; {} is the default", convention.name()),
                })
            }
            Some(path) => Err(format!(
                "the {sql} .sql files, for example {path}{}, follow no known convention: {}",
                near_miss(paths),
                known()
            )),
        },
        several => {
            let named: Vec<String> = several
                .iter()
                .map(|(convention, reading)| {
                    let path = reading.migrations.first().map(|found| &found.path);
                    let path = path.or_else(|| reading.problems.first().map(|(path, _)| path));
                    format!("{} is {}", path.map_or("", String::as_str), convention.name())
                })
                .collect();
            Err(format!("files of several conventions in one folder: {}", named.join(", ")))
        }
    }
}

/// What to do about a folder whose convention cannot be seen.
pub(super) fn which(folder: &str) -> String {
    let names: Vec<&str> = all().iter().map(|convention| convention.name()).collect();
    format!(
        "move what is no migration elsewhere, or say in cutover.toml which files count:\n    [[migrations]]\n    \
         path = {folder:?}\n    convention = \"{}\"",
        names.join("\" or \"")
    )
}

/// The first file that is nearly of a convention, in words to go between commas; else nothing.
fn near_miss(paths: &[String]) -> String {
    let mut strays = all().iter().flat_map(|convention| convention.read(paths).strays);
    let near = strays.find(|stray| stray.near_miss);
    near.map_or_else(String::new, |stray| format!(" (of {}: {})", stray.path, stray.why))
}

/// Makes strays that another convention would read as migrations near misses: they are hardly meant to be left out.
pub(super) fn notice_other_conventions(convention: &dyn Convention, strays: &mut [Stray]) {
    let paths: Vec<String> = strays.iter().map(|stray| stray.path.clone()).collect();
    for other in all().iter().filter(|other| other.name() != convention.name()) {
        for found in other.read(&paths).migrations {
            for stray in strays.iter_mut().filter(|stray| stray.path == found.path && !stray.near_miss) {
                let (is, example, this) = (other.name(), other.example(), convention.name());
                stray.why = format!("named like {is} ({example}), and this folder is {this}");
                stray.near_miss = true;
            }
        }
    }
}

/// The conventions with their examples, for messages.
pub fn known() -> String {
    let each: Vec<String> =
        all().iter().map(|convention| format!("{} ({})", convention.name(), convention.example())).collect();
    each.join(", ")
}
