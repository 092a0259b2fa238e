//! `20260102030405_create_users.sql`, or as a pair `….up.sql` and `….down.sql`: migrations of sqlx.
//!
//! Source: `sqlx-core/src/migrate/source.rs` and `migration_type.rs` of launchbadge/sqlx: a name is cut at its first `_`,
//! what is before it is a number of 63 bits, and a text that begins with `-- no-transaction` runs without one. A case it
//! gets right: `3_a.sql` beside the pair `4_b.up.sql`, `4_b.down.sql`. One it declines: a number that sqlx cannot hold.
//!
//! Names do not tell it from other tools: a text that begins with `-- no-transaction` does. Without one, `numbered` and
//! `golang-migrate` read the same files in the same order.

use std::io;

use super::files::{Class, by_version, read_files};
use super::{
    About, Contents, Convention, Folder, NewFile, Reading, Scan, contents, golang_migrate, is_sql,
    leading_digits, numbered,
};
use crate::migration::{Migration, Version};

/// The convention `sqlx`.
#[derive(Debug, Clone, Copy)]
pub struct Sqlx;

/// What a text begins with that runs without a transaction.
const MARK: &str = "-- no-transaction";

impl Convention for Sqlx {
    fn name(&self) -> &'static str {
        "sqlx"
    }

    fn example(&self) -> &'static str {
        "20260102030405_create_users.sql"
    }

    fn about(&self) -> About {
        About {
            tool: "sqlx",
            files: "`20260102030405_create_users.sql`, or a pair `….up.sql` and `….down.sql`",
            order: "by number",
            back: "`….down.sql`",
            no_transaction: "`-- no-transaction` at the very beginning of the file",
            right: "`3_a.sql` beside the pair `4_b.up.sql`, `4_b.down.sql`, where a `Cargo.toml` above names sqlx or `convention` does",
            declines: "`9223372036854775808_a.sql`: sqlx's numbers end before it",
        }
    }

    fn evidence(&self, folder: &Folder<'_>) -> Option<String> {
        let found = folder
            .first_with(|path| matches!(classify(path), Class::Migration(_)), |head| head.starts_with(MARK));
        found.map(|path| format!("{path} begins with `{MARK}`")).or_else(|| of_both_forms(folder))
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        read_files(folder, by_version, classify)
    }

    fn scan(&self) -> Option<Scan> {
        Some(scan)
    }

    fn version(&self, text: &str) -> Option<Version> {
        numbered::Numbered.version(text)
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        let first = format!("{now:014}");
        let number = numbered::next_number(existing, &first, now)?;
        if existing.last().is_some_and(|last| last.path.ends_with(".up.sql")) {
            return Ok(golang_migrate::pair(&number, slug));
        }
        Ok(vec![NewFile::plain(format!("{number}_{slug}.sql"))])
    }
}

/// Files of both forms in one folder, where a crate above uses sqlx: to golang-migrate one of them would be none.
fn of_both_forms(folder: &Folder<'_>) -> Option<String> {
    let is_pair = |path: &&String| path.ends_with(".up.sql");
    let is_single = |path: &&String| {
        !path.ends_with(".up.sql")
            && !path.ends_with(".down.sql")
            && matches!(classify(path), Class::Migration(_))
    };
    let single = folder.paths.iter().find(is_single)?;
    let pair = folder.paths.iter().find(is_pair)?;
    let is_ours = folder.above("Cargo.toml").is_some_and(|(_, text)| text.contains("sqlx"));
    is_ours.then(|| format!("{single} stands beside {pair}"))
}

fn scan(lines: &mut contents::LineReader<'_>) -> io::Result<Contents> {
    let first = lines.next_line()?;
    let no_transaction = first.is_some_and(|(_, line)| line.starts_with(MARK));
    Ok(Contents { no_transaction, ..Contents::default() })
}

fn classify(path: &str) -> Class {
    if path.contains('/') {
        return Class::Other("in a folder of its own");
    }
    if !is_sql(path) {
        return Class::Other("not a .sql file");
    }
    let (digits, rest) = leading_digits(path);
    let Some(rest) = rest.strip_prefix('_').filter(|_| !digits.is_empty()) else {
        return match digits {
            "" => Class::Other("its name does not begin with a number"),
            _ => Class::NearMiss("between the number and the description there must be one _".into()),
        };
    };
    let Some(stem) = rest.strip_suffix(".sql") else {
        return Class::NearMiss("its ending must be .sql in lower case".into());
    };
    let Some(value) = digits.parse::<u64>().ok().filter(|value| i64::try_from(*value).is_ok()) else {
        return Class::wrong(format!("the number {digits} is too large: at most {}", i64::MAX));
    };
    let version = Version::new(vec![value], digits);
    match stem.strip_suffix(".down") {
        Some(_) => Class::Down(version),
        None => Class::migration(version, stem.strip_suffix(".up").unwrap_or(stem), path),
    }
}
