//! Reading a folder in which each migration is one file, or a pair of them.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::{Folder, Found, Reading, Stray, Wrong, file_name};
use crate::migration::Version;

/// What one file is to a convention.
pub(super) enum Class {
    /// A migration.
    Migration(Box<Found>),
    /// The way back of a version.
    Down(Version),
    /// It says something of a version's migration: that it runs without a transaction.
    NoTransaction(Version),
    /// It belongs to the folder and says nothing that matters here.
    Companion,
    /// Looks like a migration.
    NearMiss(String),
    /// Something else.
    Other(&'static str),
    /// Must not be left out, cannot be read; with what to do.
    Wrong(String, Option<String>),
}

impl Class {
    /// A migration of one file.
    pub(super) fn migration(version: Version, name: &str, path: &str) -> Self {
        Self::Migration(Box::new(Found::new(version, name, path)))
    }

    /// Must not be left out, and cannot be read.
    pub(super) fn wrong(why: impl Into<String>) -> Self {
        Self::Wrong(why.into(), None)
    }
}

/// By version: where numbers are what orders.
pub(super) fn by_version(a: &Found, b: &Found) -> Ordering {
    a.version.cmp(&b.version)
}

/// Reads a folder file by file and sorts. Files of one version belong together.
pub(super) fn read_files(
    folder: &Folder<'_>,
    order: impl Fn(&Found, &Found) -> Ordering,
    classify: impl Fn(&str) -> Class,
) -> Reading {
    let mut reading = Reading::default();
    let mut downs: Vec<(Version, String)> = Vec::new();
    let mut without: Vec<(Version, String)> = Vec::new();
    for path in folder.paths {
        let class = uninteresting(file_name(path)).map_or_else(|| classify(path), Class::Other);
        let (why, near_miss) = match class {
            Class::Migration(found) => {
                reading.migrations.push(*found);
                continue;
            }
            Class::Down(version) => {
                downs.push((version, path.clone()));
                continue;
            }
            Class::NoTransaction(version) => {
                without.push((version, path.clone()));
                continue;
            }
            Class::Companion => {
                reading.companions.push(path.clone());
                continue;
            }
            Class::Wrong(why, hint) => {
                reading.problems.push(Wrong { path: path.clone(), line: None, message: why, hint });
                continue;
            }
            Class::NearMiss(why) => (why, true),
            // A folder of thousands is asked for by a dozen conventions, to most of which it is nothing.
            Class::Other(_) if folder.is_to_be_told && super::is_sql(path) => continue,
            Class::Other(why) => (why.to_owned(), false),
        };
        reading.strays.push(Stray { path: path.clone(), why, near_miss });
    }
    reading.migrations.sort_by(|a, b| order(a, b).then_with(|| a.path.cmp(&b.path)));
    join(&mut reading, downs, without);
    reading
}

/// Gives the other files of a version to its migration.
fn join(reading: &mut Reading, downs: Vec<(Version, String)>, without: Vec<(Version, String)>) {
    if downs.is_empty() && without.is_empty() {
        return;
    }
    let mut places: HashMap<Version, usize> = HashMap::new();
    for (place, found) in reading.migrations.iter().enumerate() {
        places.entry(found.version.clone()).or_insert(place);
    }
    for (version, path) in downs {
        let Some(found) = places.get(&version).and_then(|place| reading.migrations.get_mut(*place)) else {
            let why = format!("the way back of version {version}, which no file goes forward to");
            reading.strays.push(Stray { path, why, near_miss: true });
            continue;
        };
        match &found.down {
            Some(first) => {
                let why = format!("a second way back of version {version}: {first} is one already");
                reading.problems.push(Wrong::file(path, why));
            }
            None => found.down = Some(path),
        }
    }
    for (version, path) in without {
        if let Some(found) = places.get(&version).and_then(|place| reading.migrations.get_mut(*place)) {
            found.no_transaction = true;
        }
        reading.companions.push(path);
    }
}

/// Files that no convention looks at.
pub(super) fn uninteresting(file_name: &str) -> Option<&'static str> {
    const BACKUPS: [&str; 5] = ["~", ".swp", ".bak", ".orig", ".rej"];
    if file_name.starts_with('.') {
        return Some("hidden");
    }
    let backup = BACKUPS.iter().any(|end| file_name.ends_with(end)) || file_name.starts_with('#');
    backup.then_some("an editor's backup")
}
