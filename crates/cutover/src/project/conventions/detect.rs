//! Which convention a folder follows: by what its files are called, and where that is not enough by what is in them.

use std::borrow::Cow;

use super::files::uninteresting;
use super::{Convention, Folder, Reading, all, foreign, is_sql, known};

/// Which convention a folder follows, and how that was seen.
#[derive(Debug, Clone)]
pub struct Detected {
    /// The convention.
    pub convention: &'static dyn Convention,
    /// The reason, in words.
    pub why: String,
}

/// Finds the convention of a folder, of which the files in the folders within are given too, one level deep.
///
/// What a file says of itself, or a file that only one tool has, goes before names that several share.
///
/// # Errors
/// Files of several conventions, or `.sql` files of none, named; migrations in other languages, with what to do.
pub fn detect(folder: &Folder<'_>) -> Result<Detected, String> {
    detect_in(folder, |_, _| false)
}

/// The same for files that are all there is, however deep: nobody would look for a folder of migrations among them.
///
/// # Errors
/// As [`detect`].
pub fn detect_all(folder: &Folder<'_>) -> Result<Detected, String> {
    detect_in(folder, |convention, folder| convention.enters(folder))
}

fn detect_in(
    folder: &Folder<'_>,
    enters: impl Fn(&dyn Convention, &str) -> bool,
) -> Result<Detected, String> {
    let evident: Vec<(&'static dyn Convention, String)> = all()
        .iter()
        .filter_map(|convention| {
            let paths = visible_to(*convention, folder.paths, &enters);
            Some((*convention, convention.evidence(&folder.with_paths(&paths))?))
        })
        .collect();
    match evident.as_slice() {
        [] => by_names(folder, &enters),
        [(convention, why)] => Ok(Detected { convention: *convention, why: why.clone() }),
        several => {
            let named: Vec<String> =
                several.iter().map(|(convention, why)| format!("{} ({why})", convention.name())).collect();
            Err(format!("files of several conventions in one folder: {}", named.join(", ")))
        }
    }
}

/// The paths that a convention sees when it is to be told from others: those of the folder itself, and those in folders
/// within that it must look into.
fn visible_to<'a>(
    convention: &dyn Convention,
    paths: &'a [String],
    enters: &dyn Fn(&dyn Convention, &str) -> bool,
) -> Cow<'a, [String]> {
    those_in(paths, |folder| convention.looks_into(folder) || enters(convention, folder))
}

/// The paths of the folder itself, and those within that are seen. Folders of thousands of files have nothing within, mostly:
/// then nothing is copied.
fn those_in(paths: &[String], sees: impl Fn(&str) -> bool) -> Cow<'_, [String]> {
    let is_seen = |path: &&String| path.rsplit_once('/').is_none_or(|(folder, _)| sees(folder));
    if paths.iter().all(|path| memchr::memchr(b'/', path.as_bytes()).is_none() || is_seen(&path)) {
        return Cow::Borrowed(paths);
    }
    Cow::Owned(paths.iter().filter(is_seen).cloned().collect())
}

fn by_names(folder: &Folder<'_>, enters: &dyn Fn(&dyn Convention, &str) -> bool) -> Result<Detected, String> {
    let told = || all().iter().filter(|convention| convention.is_told_by_names());
    let paths = those_in(folder.paths, |within| told().any(|convention| enters(*convention, within)));
    let seen = folder.with_paths(&paths).to_be_told();
    let readings: Vec<(&'static dyn Convention, Reading)> = told()
        .map(|convention| (*convention, convention.read(&seen)))
        .filter(|(_, reading)| !reading.migrations.is_empty() || !reading.problems.is_empty())
        .collect();
    let sql = paths.iter().filter(|path| is_sql(path)).count();
    match readings.as_slice() {
        [(convention, reading)] => {
            if let Some(doubt) = convention.doubt(&seen) {
                return Err(doubt);
            }
            let downs = reading.migrations.iter().filter(|found| found.down.is_some()).count();
            let count = reading.migrations.len() + downs;
            let why = format!("{count} of {sql} .sql files are named like {}", convention.example());
            Ok(Detected { convention: *convention, why })
        }
        [] => of_none(&paths, sql),
        several => {
            let named: Vec<String> = several
                .iter()
                .map(|(convention, reading)| {
                    let path = reading.migrations.first().map(|found| &found.path);
                    let path = path.or_else(|| reading.problems.first().map(|wrong| &wrong.path));
                    format!("{} is {}", path.map_or("", String::as_str), convention.name())
                })
                .collect();
            Err(format!("files of several conventions in one folder: {}", named.join(", ")))
        }
    }
}

fn of_none(paths: &[String], sql: usize) -> Result<Detected, String> {
    if let Some((path, advice)) = paths.iter().find_map(|path| Some((path, foreign::advice(path)?))) {
        return Err(format!("{path}: {advice}"));
    }
    match paths.iter().find(|path| is_sql(path) && uninteresting(path).is_none()) {
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
    }
}

/// What to do about a folder whose convention cannot be seen.
pub(crate) fn which(folder: &str) -> String {
    let names: Vec<&str> = all().iter().map(|convention| convention.name()).collect();
    format!(
        "move what is no migration elsewhere, or say in cutover.toml which files count:\n    [[migrations]]\n    \
         path = {folder:?}\n    convention = \"{}\"",
        names.join("\" or \"")
    )
}

/// The first file that is nearly of a convention, in words to go between commas; else nothing.
fn near_miss(paths: &[String]) -> String {
    let told = all().iter().filter(|convention| convention.is_told_by_names());
    let mut strays = told.flat_map(|convention| convention.read(&Folder::of_names(paths)).strays);
    let near = strays.find(|stray| stray.near_miss);
    near.map_or_else(String::new, |stray| format!(" (of {}: {})", stray.path, stray.why))
}
