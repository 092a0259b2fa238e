//! `20260102030405_create_users/migration.sql`: folders of Prisma.
//!
//! Source: `schema-engine/connectors/schema-connector/src/migrations_directory.rs` of prisma/prisma-engines: folders are
//! in the order of their names, the name is the identity, and a folder without `migration.sql` is an error. A case it gets
//! right: two folders of one time go by the rest of their names. One it declines: `migration_lock.toml` of another
//! database.

use super::diesel::by_folder;
use super::numbered;
use super::{
    About, Convention, Folder, Found, Frame, NewFile, Reading, Stray, Wrong, is_sql, leading_digits,
};
use crate::migration::{Migration, Version};

/// The convention `prisma`.
#[derive(Debug, Clone, Copy)]
pub struct Prisma;

const LOCK: &str = "migration_lock.toml";
const FILE: &str = "migration.sql";

impl Convention for Prisma {
    fn name(&self) -> &'static str {
        "prisma"
    }

    fn example(&self) -> &'static str {
        "20260102030405_create_users/migration.sql"
    }

    fn about(&self) -> About {
        About {
            tool: "Prisma",
            files: "`20260102030405_create_users/migration.sql`: a folder for each; `migration_lock.toml` beside them",
            order: "by the folder's name, as text",
            back: "`down.sql` in the folder, where one is kept",
            no_transaction: "none: what PostgreSQL refuses in a transaction is found by the parser",
            right: "`20260102030405_a` and `20260102030405_b` are two migrations, in this order",
            declines: "`provider = \"mysql\"` in `migration_lock.toml`, and `BEGIN` … `COMMIT` within a file, as Prisma writes it to change the values of an enum: \
                       where its checksum is not to change, hold the models against a database that Prisma has migrated, not against the migrations",
        }
    }

    fn enters(&self, folder: &str) -> bool {
        !folder.contains('/')
    }

    fn looks_into(&self, folder: &str) -> bool {
        !folder.contains('/')
    }

    fn evidence(&self, folder: &Folder<'_>) -> Option<String> {
        if folder.has(LOCK) {
            return Some(format!("{LOCK} is there"));
        }
        let found = folder.paths.iter().find(|path| {
            path.split_once('/')
                .is_some_and(|(name, file)| file == FILE && !leading_digits(name).0.is_empty())
        });
        found.map(|path| format!("{path} is there"))
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        let mut reading = Reading::default();
        let folders = by_folder(folder.paths, &mut reading);
        for (name, files) in folders {
            read_one(name, &files, &mut reading);
        }
        if let Some(at) = reading.strays.iter().position(|stray| stray.path == LOCK) {
            reading.strays.remove(at);
            match provider(folder) {
                Ok(()) => reading.companions.push(LOCK.to_owned()),
                Err(why) => reading.problems.push(Wrong::file(LOCK, why)),
            }
        }
        reading
    }

    fn frame(&self, path: &str, _is_there: bool) -> Result<Option<Frame>, String> {
        match path.split_once('/') {
            Some((_, "migration.sql" | "down.sql")) => Ok(Some(("", ""))),
            _ => Err("a migration of Prisma is a folder: `cutover new TITLE` makes one, and its migration.sql is the file to write over, with \
                      --force"
                .to_owned()),
        }
    }

    fn version(&self, text: &str) -> Option<Version> {
        (!text.is_empty()).then(|| Version::named(text, 1, text))
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        let time = numbered::time_after(existing.last().map(|last| last.id.version.name()), now);
        let folder = format!("{time:014}_{slug}");
        if existing.last().is_some_and(|last| last.id.version.name() >= folder.as_str()) {
            return Err(format!("there is a migration that comes after {folder}: name the folder yourself"));
        }
        Ok(vec![NewFile::plain(format!("{folder}/{FILE}"))])
    }
}

fn read_one(name: &str, files: &[&str], reading: &mut Reading) {
    let path = |file: &str| format!("{name}/{file}");
    let is_one = files.contains(&FILE);
    let mut found = is_one.then(|| {
        let (digits, rest) = leading_digits(name);
        let name_of = rest.strip_prefix('_').filter(|rest| !digits.is_empty() && !rest.is_empty());
        Found::new(Version::named(name, 1, name), name_of.unwrap_or(name), path(FILE))
    });
    for file in files.iter().filter(|file| **file != FILE) {
        match &mut found {
            Some(found) if *file == "down.sql" => found.down = Some(path(file)),
            None if is_sql(file) => {
                let wrong = Wrong::file(path(file), format!("its folder has no {FILE}"));
                reading.problems.push(
                    wrong.with_hint("Prisma refuses such a folder: restore the file, or take the folder out"),
                );
            }
            _ => {
                let why = format!("Prisma reads {FILE} alone");
                reading.strays.push(Stray { path: path(file), why, near_miss: is_sql(file) });
            }
        }
    }
    reading.migrations.extend(found);
}

/// The migrations are written for PostgreSQL.
fn provider(folder: &Folder<'_>) -> Result<(), String> {
    let text = folder.text(LOCK)?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    match table.get("provider").and_then(toml::Value::as_str) {
        Some("postgresql" | "postgres" | "cockroachdb") | None => Ok(()),
        Some(other) => Err(format!(
            "these migrations are written for {}, and cutover speaks to PostgreSQL alone",
            crate::text::visible(other)
        )),
    }
}
