//! `V1__create_users.sql` and `U2__add_index.sql`: migrations of refinery. `V` goes in order; `U` may also go in below
//! versions that are applied, and is no way back.
//!
//! Source: `refinery_core/src/util.rs` and `runner.rs` of rust-db/refinery: `V` or `U`, digits, `__`, letters, digits and
//! `_`, `.sql` or `.rs`, in any folder within; a version is a whole number, and two files of one version are an error. A case
//! it gets right: `U3__c.sql` without a `V3`. One it declines: `V2__b.rs`, which is a program.
//!
//! Names do not tell it from Flyway. Migrations in Rust do, and `U`s where there is no `V` at all; a `U` without the `V` of its
//! version beside other `V`s does where a `Cargo.toml` above mentions refinery, and is a reason to ask elsewhere: to Flyway it
//! is a way back of nothing.

use std::collections::BTreeSet;

use super::files::{Class, by_version, read_files};
use super::{
    About, Convention, Folder, Found, NewFile, Reading, file_name, flyway, leading_digits, numbered,
};
use crate::migration::{Migration, Version};

/// The convention `refinery`.
#[derive(Debug, Clone, Copy)]
pub struct Refinery;

impl Convention for Refinery {
    fn name(&self) -> &'static str {
        "refinery"
    }

    fn example(&self) -> &'static str {
        "U1__create_users.sql"
    }

    fn about(&self) -> About {
        About {
            tool: "refinery",
            files: "`V1__create_users.sql`, or `U1__…` for one that may go in late: a whole number, `__`, letters, digits and `_`; folders within are read",
            order: "by number",
            back: "none",
            no_transaction: "none: what PostgreSQL refuses in a transaction is found by the parser",
            right: "`U3__c.sql` without a `V3` is a migration, and may go in after 4; beside `V`s and without refinery in a `Cargo.toml`, cutover asks, for to Flyway it is a way back",
            declines: "`V2__b.rs`: a migration in Rust is a program",
        }
    }

    fn enters(&self, _folder: &str) -> bool {
        true
    }

    fn evidence(&self, folder: &Folder<'_>) -> Option<String> {
        let parsed = || folder.paths.iter().filter_map(|path| Some((path, parse(file_name(path))?)));
        if let Some((path, _)) = parsed().find(|(_, name)| name.ending == "rs") {
            return Some(format!("{path} is there"));
        }
        let (path, version, is_certain) = lonely(folder)?;
        let is_ours = || folder.above("Cargo.toml").is_some_and(|(_, text)| text.contains("refinery"));
        (!flyway::is_certain(folder) && (is_certain || is_ours()))
            .then(|| format!("{path} is there without a V{version}"))
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        read_files(folder, by_version, classify)
    }

    fn version(&self, text: &str) -> Option<Version> {
        numbered::Numbered.version(text.strip_prefix(['V', 'U']).unwrap_or(text))
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        let letter = match existing.last() {
            Some(last) if last.file_name().starts_with('U') => 'U',
            _ => 'V',
        };
        let number = numbered::next_number(existing, "1", now)?;
        // refinery allows letters, digits and `_` of any alphabet, which is what a slug is made of.
        Ok(vec![NewFile::plain(format!("{letter}{number}__{slug}.sql"))])
    }
}

/// The first `U` without the `V` of its version, that version, and whether there is no `V` at all.
pub(super) fn lonely<'a>(folder: &Folder<'a>) -> Option<(&'a str, &'a str, bool)> {
    let parsed = || folder.paths.iter().filter_map(|path| Some((path.as_str(), parse(file_name(path))?)));
    // Mostly there is none, and thousands of the others.
    if !folder.paths.iter().any(|path| file_name(path).starts_with('U')) {
        return None;
    }
    let versions: BTreeSet<&str> =
        parsed().filter(|(_, name)| name.letter == 'V').map(|(_, name)| name.version).collect();
    let mut alone = parsed().filter(|(_, name)| name.letter == 'U' && !versions.contains(name.version));
    alone.next().map(|(path, name)| (path, name.version, versions.is_empty()))
}

struct Name<'a> {
    letter: char,
    version: &'a str,
    description: &'a str,
    ending: &'a str,
}

/// The parts of a name; none for what refinery does not take for a migration.
fn parse(name: &str) -> Option<Name<'_>> {
    let (stem, ending) = name.rsplit_once('.').filter(|(_, ending)| matches!(*ending, "sql" | "rs"))?;
    let letter = stem.chars().next().filter(|letter| matches!(letter, 'V' | 'U'))?;
    let (version, description) = stem.get(1..)?.split_once("__")?;
    let (whole, rest) = leading_digits(version);
    let is_version = !whole.is_empty()
        && (rest.is_empty()
            || rest
                .strip_prefix('.')
                .is_some_and(|part| !part.is_empty() && leading_digits(part).1.is_empty()));
    let is_word = !description.is_empty() && description.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_version && is_word).then_some(Name { letter, version, description, ending })
}

fn classify(path: &str) -> Class {
    let name = file_name(path);
    let Some(Name { letter, version, description, ending }) = parse(name) else {
        let near = super::is_sql(name)
            && name.starts_with(['V', 'U', 'v', 'u'])
            && name.len() > 1
            && name.as_bytes()[1].is_ascii_digit();
        let why = "its name is not V or U, a number, `__`, letters, digits and `_`, `.sql`";
        return if near { Class::NearMiss(why.into()) } else { Class::Other(why) };
    };
    if ending == "rs" {
        let hint = format!("write its statements as {letter}{version}__{description}.sql");
        return Class::Wrong("refinery would run this, and cutover runs SQL alone".to_owned(), Some(hint));
    }
    match version.parse::<u64>().ok().filter(|value| i64::try_from(*value).is_ok()) {
        Some(value) => {
            let found = Found::new(Version::new(vec![value], version), description, path);
            Class::Migration(Box::new(Found { any_time: letter == 'U', ..found }))
        }
        None => Class::wrong(format!(
            "refinery's versions are whole numbers of at most {}, and {version} is none",
            i64::MAX
        )),
    }
}
