//! `2026-01-02-030405_create_users/up.sql` and `down.sql`: folders of diesel.
//!
//! Source: `diesel_migrations/migrations_internals/src/lib.rs` of diesel-rs/diesel: the version is what stands before the
//! first `_` of the folder's name, without dashes, and is compared as text. A case it gets right:
//! `2026-01-02-030405-0000_b` comes after `2026-01-02-030405_a` and before `2026-01-02-030406_c`, which as numbers it would
//! not. One it declines: a folder without `up.sql`.

use std::collections::BTreeMap;

use super::files::uninteresting;
use super::numbered;
use super::{About, Convention, Folder, Found, Frame, NewFile, Reading, Stray, Wrong, ends_in, foreign};
use crate::migration::{Migration, Version};

/// The convention `diesel`.
#[derive(Debug, Clone, Copy)]
pub struct Diesel;

impl Convention for Diesel {
    fn name(&self) -> &'static str {
        "diesel"
    }

    fn example(&self) -> &'static str {
        "2026-01-02-030405_create_users/up.sql"
    }

    fn about(&self) -> About {
        About {
            tool: "diesel",
            files: "`2026-01-02-030405_create_users/up.sql`: a folder for each",
            order: "by what stands before the first `_`, without dashes, as text",
            back: "`down.sql` in the folder",
            no_transaction: "`run_in_transaction = false` in the folder's `metadata.toml`",
            right: "`2026-01-02-030405-0000_b` comes after `2026-01-02-030405_a` and before `2026-01-02-030406_c`",
            declines: "a folder without `up.sql`, which diesel refuses too",
        }
    }

    fn enters(&self, folder: &str) -> bool {
        !folder.contains('/')
    }

    fn looks_into(&self, folder: &str) -> bool {
        !folder.contains('/')
    }

    fn evidence(&self, folder: &Folder<'_>) -> Option<String> {
        let found = folder.paths.iter().find(|path| {
            path.split_once('/').is_some_and(|(name, file)| {
                file == "up.sql" && version_of(name).starts_with(|c: char| c.is_ascii_digit())
            })
        });
        found.map(|path| format!("{path} is there"))
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        let mut reading = Reading::default();
        for (name, files) in by_folder(folder.paths, &mut reading) {
            read_one(folder, name, &files, &mut reading);
        }
        reading.migrations.sort_by(|a, b| (a.version.name(), &a.path).cmp(&(b.version.name(), &b.path)));
        reading
    }

    fn frame(&self, path: &str, _is_there: bool) -> Result<Option<Frame>, String> {
        match path.split_once('/') {
            Some((_, "up.sql" | "down.sql")) => Ok(Some(("", ""))),
            _ => Err("a migration of diesel is a folder: `cutover new TITLE` makes one, and its up.sql is the file to write over, with \
                      --force"
                .to_owned()),
        }
    }

    fn version(&self, text: &str) -> Option<Version> {
        let version = version_of(text);
        (!version.is_empty()).then(|| Version::named(version.clone(), 1, version))
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        let time = numbered::time_after(existing.last().map(|last| last.id.version.name()), now);
        let digits = format!("{time:014}");
        let (Some(date), Some(time)) = (digits.get(..8), digits.get(8..)) else {
            return Err("the time has no date".to_owned());
        };
        let dashed = format!("{}-{}-{}-{time}", &date[..4], &date[4..6], &date[6..]);
        if existing.last().is_some_and(|last| last.id.version.name() >= version_of(&dashed).as_str()) {
            return Err(format!(
                "there is a migration of a later time than {dashed}: name the folder yourself"
            ));
        }
        Ok(["up", "down"].map(|way| NewFile::plain(format!("{dashed}_{slug}/{way}.sql"))).into())
    }
}

/// Files by the folder they are in. Those in none, and those of editors, are strays.
pub(super) fn by_folder<'a>(paths: &'a [String], reading: &mut Reading) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut folders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in paths {
        let split = path.split_once('/').filter(|(folder, file)| {
            !folder.starts_with('.') && !file.contains('/') && uninteresting(file).is_none()
        });
        if let Some((folder, file)) = split {
            folders.entry(folder).or_default().push(file);
        } else {
            let why = "not in a folder of a migration".to_owned();
            reading.strays.push(Stray { path: path.clone(), why, near_miss: false });
        }
    }
    folders
}

fn read_one(folder: &Folder<'_>, name: &str, files: &[&str], reading: &mut Reading) {
    let path = |file: &str| format!("{name}/{file}");
    let version = version_of(name);
    let mut found = None;
    if !files.contains(&"up.sql") {
        reading.problems.extend(without_up(name, files));
    } else if version.is_empty() {
        reading.problems.push(Wrong::file(path("up.sql"), "its folder's name begins with no version"));
    } else {
        let rest = name.split_once('_').map_or("", |(_, rest)| rest);
        let version = Version::named(version.clone(), 1, version);
        found = Some(Found::new(version, rest, path("up.sql")));
    }
    let is_one = found.is_some();
    let (mut no_transaction, mut down) = (false, None);
    for file in files.iter().filter(|file| **file != "up.sql") {
        match *file {
            "down.sql" if is_one => down = Some(path("down.sql")),
            "metadata.toml" if is_one => match runs_in_transaction(folder, &path("metadata.toml")) {
                Ok(in_transaction) => {
                    no_transaction = !in_transaction;
                    reading.companions.push(path("metadata.toml"));
                }
                Err(why) => reading.problems.push(Wrong::file(path("metadata.toml"), why)),
            },
            other => {
                if reading.problems.iter().any(|wrong| wrong.path == path(other)) {
                    continue;
                }
                let why = foreign::advice(other)
                    .unwrap_or_else(|| "diesel reads up.sql, down.sql and metadata.toml alone".to_owned());
                let near_miss = super::is_sql(other);
                reading.strays.push(Stray { path: path(other), why, near_miss });
            }
        }
    }
    reading.migrations.extend(found.map(|found| Found { down, no_transaction, ..found }));
}

/// A folder with files in it and no way forward: diesel refuses the whole folder of migrations.
fn without_up(name: &str, files: &[&str]) -> Option<Wrong> {
    let file = files.iter().find(|file| super::is_sql(file)).or_else(|| files.first())?;
    let is_rust = files.contains(&"mod.rs") || files.iter().any(|file| ends_in(file, "rs"));
    let hint = if is_rust {
        "a migration in Rust is a program: write its statements as up.sql"
    } else {
        "call the way forward up.sql, or take the folder out"
    };
    Some(Wrong::file(format!("{name}/{file}"), "its folder has no up.sql").with_hint(hint))
}

/// What `metadata.toml` says; diesel's default is true where there is no file, and false where the file does not say.
fn runs_in_transaction(folder: &Folder<'_>, path: &str) -> Result<bool, String> {
    let text = folder.text(path)?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    match table.get("run_in_transaction") {
        None => Ok(false),
        Some(toml::Value::Boolean(value)) => Ok(*value),
        Some(_) => Err("run_in_transaction must be true or false".to_owned()),
    }
}

fn version_of(name: &str) -> String {
    name.split('_').next().unwrap_or_default().replace('-', "")
}
