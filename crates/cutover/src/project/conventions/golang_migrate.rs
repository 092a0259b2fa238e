//! `000001_create_users.up.sql` and `.down.sql`: pairs of golang-migrate.
//!
//! Source: `source/parse.go` of golang-migrate/migrate: digits, `_`, a title, `.up.` or `.down.`, an ending; numbers are
//! unsigned and of 64 bits. A case it gets right: `2_b.up.sql` comes before `10_c.up.sql`. One it declines:
//! `1_a.down.sql` alone, which goes back from nowhere.

use super::files::{Class, by_version, read_files};
use super::{About, Convention, Folder, NewFile, Reading, is_sql, leading_digits, number, numbered};
use crate::migration::{Migration, Version};

/// The convention `golang-migrate`.
#[derive(Debug, Clone, Copy)]
pub struct GolangMigrate;

impl Convention for GolangMigrate {
    fn name(&self) -> &'static str {
        "golang-migrate"
    }

    fn example(&self) -> &'static str {
        "000001_create_users.up.sql"
    }

    fn about(&self) -> About {
        About {
            tool: "golang-migrate",
            files: "`000001_create_users.up.sql`: digits, `_`, a title, `.up.sql`",
            order: "by number",
            back: "`000001_create_users.down.sql`",
            no_transaction: "none: what PostgreSQL refuses in a transaction is found by the parser",
            right: "`2_b.up.sql` comes before `10_c.up.sql`, and both have their `.down.sql`",
            declines: "`1_a.down.sql` without an `.up.sql` of that number is pointed out and never run",
        }
    }

    fn is_told_by_names(&self) -> bool {
        true
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        read_files(folder, by_version, classify)
    }

    fn version(&self, text: &str) -> Option<Version> {
        numbered::Numbered.version(text)
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        let number = numbered::next_number(existing, "000001", now)?;
        Ok(pair(&number, slug))
    }
}

/// Both files of a migration.
pub(super) fn pair(number: &str, slug: &str) -> Vec<NewFile> {
    ["up", "down"].map(|way| NewFile::plain(format!("{number}_{slug}.{way}.sql"))).into()
}

fn classify(path: &str) -> Class {
    if path.contains('/') {
        return Class::Other("in a folder of its own");
    }
    let (digits, rest) = leading_digits(path);
    let Some((stem, ending)) = rest.rsplit_once('.') else { return Class::Other("no migration") };
    let way = stem.rsplit_once('.').filter(|(_, way)| matches!(*way, "up" | "down"));
    let Some((title, way)) = way else {
        return Class::Other("its name does not end in .up.sql or .down.sql");
    };
    if digits.is_empty() {
        return Class::NearMiss("its name does not begin with a number".into());
    }
    let Some(title) = title.strip_prefix('_') else {
        return Class::NearMiss("between the number and the title there must be one _".into());
    };
    if ending != "sql" {
        let why = if is_sql(path) { "in lower case, " } else { "" };
        return Class::NearMiss(format!("its ending must be .sql {why}not .{ending}"));
    }
    match number(digits) {
        Ok(value) if way == "up" => Class::migration(Version::new(vec![value], digits), title, path),
        Ok(value) => Class::Down(Version::new(vec![value], digits)),
        Err(why) => Class::wrong(why),
    }
}
