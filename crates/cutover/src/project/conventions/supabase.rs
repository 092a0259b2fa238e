//! `supabase/migrations/20260102030405_create_users.sql`: migrations of Supabase.
//!
//! Source: `pkg/migration/list.go` and `file.go` of supabase/cli: digits, `_`, anything, `.sql`, in the order in which a
//! folder is listed, which is that of the whole names; the first file is left out where it is `…_init.sql` of a time before
//! 20211209. A case it gets right: two files of one time go by the rest of their names. One it declines:
//! `20260102030405.sql`, which Supabase skips too.

use super::files::{Class, read_files};
use super::numbered;
use super::{About, Convention, Folder, Found, NewFile, Reading, Stray, file_name, is_sql, leading_digits};
use crate::migration::{Migration, Version};

/// The convention `supabase`.
#[derive(Debug, Clone, Copy)]
pub struct Supabase;

/// `…_init.sql` of earlier times than this is not run where it is the first file.
const INIT_IS_RUN_SINCE: u64 = 20_211_209_000_000;

impl Convention for Supabase {
    fn name(&self) -> &'static str {
        "supabase"
    }

    fn example(&self) -> &'static str {
        "supabase/migrations/20260102030405_create_users.sql"
    }

    fn about(&self) -> About {
        About {
            tool: "Supabase",
            files: "`20260102030405_create_users.sql` in `supabase/migrations`",
            order: "by the whole name, as text",
            back: "none",
            no_transaction: "none: what PostgreSQL refuses in a transaction is found by the parser",
            right: "`20260102030405_a.sql` and `20260102030405_b.sql` are two migrations, in this order",
            declines: "`20260102030405.sql`, which has no name, is pointed out and never run",
        }
    }

    fn evidence(&self, folder: &Folder<'_>) -> Option<String> {
        let is_there = folder.path == "supabase/migrations" || folder.path.ends_with("/supabase/migrations");
        (is_there && folder.paths.iter().any(|path| is_sql(path)))
            .then(|| "the folder is supabase/migrations".to_owned())
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        let by_name = |a: &Found, b: &Found| a.path.cmp(&b.path);
        let mut reading = read_files(folder, by_name, classify);
        // The first of all files, as the folder is listed.
        let first = folder.paths.iter().min();
        let is_skipped = |found: &Found| Some(&found.path) == first && is_skipped(&found.path);
        if reading.migrations.first().is_some_and(is_skipped) {
            let skipped = reading.migrations.remove(0);
            let why =
                "Supabase skips `init` of that time as the first file: give it another name to have it run";
            reading.strays.push(Stray { path: skipped.path, why: why.to_owned(), near_miss: true });
        }
        reading
    }

    fn version(&self, text: &str) -> Option<Version> {
        let (digits, rest) = leading_digits(text);
        (!digits.is_empty() && rest.starts_with('_')).then(|| Version::named(text, 1, text))
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        let time = numbered::time_after(existing.last().map(|last| last.id.version.name()), now);
        let name = format!("{time:014}_{slug}");
        if existing.last().is_some_and(|last| last.id.version.name() >= name.as_str()) {
            return Err(format!("there is a migration that comes after {name}: name the file yourself"));
        }
        Ok(vec![NewFile::plain(format!("{name}.sql"))])
    }
}

fn is_skipped(path: &str) -> bool {
    let (digits, rest) = leading_digits(path);
    digits.len() == 14
        && rest == "_init.sql"
        && digits.parse().is_ok_and(|time: u64| time < INIT_IS_RUN_SINCE)
}

fn classify(path: &str) -> Class {
    if path.contains('/') {
        return Class::Other("in a folder of its own");
    }
    if !is_sql(path) {
        return Class::Other("not a .sql file");
    }
    let stem = path.strip_suffix(".sql");
    let (digits, rest) = leading_digits(stem.unwrap_or(path));
    if digits.is_empty() {
        return Class::NearMiss("its name does not begin with a time".into());
    }
    match (stem, rest.strip_prefix('_')) {
        (None, _) => Class::NearMiss("its ending must be .sql in lower case".into()),
        (_, None) => Class::NearMiss("between the time and the name there must be one _".into()),
        (Some(stem), Some(name)) => Class::migration(Version::named(stem, 1, stem), name, file_name(path)),
    }
}
