//! `committed/000001-create-users.sql`: committed migrations of graphile-migrate.
//!
//! Source: `src/migration.ts`, `src/migrationFilename.ts` and `src/header.ts` of graphile/migrate: six or more digits,
//! perhaps `-` and a name, `.sql`, in the order of their names; each begins with `--! Previous:` and `--! Hash:`, and names
//! the hash of the one before it. `--! no-transaction` runs it without one. The hash is the SHA-1 of the one before and the
//! text below the header (`src/hash.ts`), unless the header has `--! AllowInvalidHash`. A case it gets right: a file whose `Previous` is not the hash of the file before it is refused. One it
//! declines: `current.sql`, which is not committed.

use std::io;

use sha1::{Digest as _, Sha1};

use super::files::{Class, read_files};
use super::{
    About, Contents, Convention, Folder, Found, Frame, NewFile, Reading, Scan, Trouble, Wrong, contents,
    leading_digits, number,
};
use crate::migration::{Migration, Version};
use crate::project::text::hex;

/// The convention `graphile-migrate`.
#[derive(Debug, Clone, Copy)]
pub struct Graphile;

const FOLDER: &str = "committed";
const PREVIOUS: &str = "--! Previous:";
const HASH: &str = "--! Hash:";

impl Convention for Graphile {
    fn name(&self) -> &'static str {
        "graphile-migrate"
    }

    fn example(&self) -> &'static str {
        "committed/000001.sql"
    }

    fn about(&self) -> About {
        About {
            tool: "graphile-migrate",
            files: "`committed/000001.sql` or `committed/000001-create-users.sql`, with `--! Previous:` and `--! Hash:`",
            order: "by name",
            back: "none",
            no_transaction: "`--! no-transaction` below the header",
            right: "a file whose `Previous` is not the hash of the file before it is refused, and one that is not what its own `Hash` says, unless it has `--! AllowInvalidHash`",
            declines: "`current.sql`, which is not committed, is pointed out and never run; so is `:DATABASE_NAME`",
        }
    }

    fn enters(&self, folder: &str) -> bool {
        folder == FOLDER
    }

    fn looks_into(&self, folder: &str) -> bool {
        folder == FOLDER
    }

    fn evidence(&self, folder: &Folder<'_>) -> Option<String> {
        let found = folder.first_with(
            |path| matches!(classify(path), Class::Migration(_)),
            |head| head.starts_with(PREVIOUS),
        );
        found.map(|path| format!("{path} begins with `{PREVIOUS}`"))
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        let by_name = |a: &Found, b: &Found| a.path.cmp(&b.path);
        let mut reading = read_files(folder, by_name, classify);
        let mut before: Option<(String, String)> = None;
        for found in &reading.migrations {
            let head = folder.head(&found.path);
            match header(&head) {
                Ok((previous, hash)) => {
                    reading.problems.extend(unlinked(found, previous, before.as_ref()));
                    reading.problems.extend(changed(folder, found, hash, before.as_ref()));
                    before = Some((found.path.clone(), hash.to_owned()));
                }
                // Names alone have no headers.
                Err(_) if head.is_empty() => {}
                Err(why) => reading.problems.push(Wrong::file(&found.path, why)),
            }
        }
        reading.migrations.retain(|found| reading.problems.iter().all(|wrong| wrong.path != found.path));
        reading
    }

    fn scan(&self) -> Option<Scan> {
        Some(scan)
    }

    fn frame(&self, path: &str, _is_there: bool) -> Result<Option<Frame>, String> {
        if !path.starts_with("committed/") {
            return Ok(None);
        }
        Err("graphile-migrate makes its files from current.sql: write that, then `graphile-migrate commit`"
            .to_owned())
    }

    fn version(&self, text: &str) -> Option<Version> {
        super::Numbered.version(text)
    }

    fn next(&self, _existing: &[&Migration], _slug: &str, _now: u64) -> Result<Vec<NewFile>, String> {
        Err("graphile-migrate makes its files from current.sql: write there, then `graphile-migrate commit`"
            .to_owned())
    }
}

/// The hash of the migration before, and its own.
fn header(head: &str) -> Result<(&str, &str), String> {
    let mut lines = head.lines();
    let mut value = |key: &str| {
        let line = lines.next().and_then(|line| line.strip_prefix(key)).map(str::trim);
        line.ok_or_else(|| {
            format!("it does not begin with `{PREVIOUS}` and `{HASH}`, as committed migrations do")
        })
    };
    Ok((value(PREVIOUS)?, value(HASH)?))
}

fn unlinked(found: &Found, previous: &str, before: Option<&(String, String)>) -> Option<Wrong> {
    let expected = before.map_or("-", |(_, hash)| hash.as_str());
    if previous == expected || (before.is_none() && previous.is_empty()) {
        return None;
    }
    let message = match before {
        Some((path, hash)) => format!("it follows {previous}, and {path} before it is {hash}"),
        None => format!("it follows {previous}, and there is no migration before it"),
    };
    let hint =
        "committed migrations are a chain: restore the file that is missing, or the one that was changed";
    Some(Wrong::file(&found.path, message).with_hint(hint))
}

/// What is not what its own hash says.
fn changed(
    folder: &Folder<'_>,
    found: &Found,
    hash: &str,
    before: Option<&(String, String)>,
) -> Option<Wrong> {
    let is_digest = |digest: &str| digest.len() == 40 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hash.strip_prefix("sha1:").is_some_and(is_digest) {
        return None;
    }
    // A file that is too large to be looked at as a whole is left to the chain.
    let text = folder.text(&found.path).ok()?;
    let is_header = |line: &&str| {
        line.strip_prefix("--! ").is_some_and(|key| key.starts_with(|c: char| c.is_ascii_uppercase()))
    };
    let header: Vec<&str> = text.lines().take_while(is_header).collect();
    if header.iter().any(|line| line.starts_with("--! AllowInvalidHash")) {
        return None;
    }
    let length: usize = header.iter().map(|line| line.len() + 1).sum();
    let now = hash_of(before.map_or("", |(_, hash)| hash), text.get(length..).unwrap_or_default());
    (now != hash).then(|| {
        Wrong::file(&found.path, format!("it is not what was committed: its hash is {now}, and its header says {hash}"))
            .with_hint("put the file back; where it is meant to be so, `--! AllowInvalidHash` in its header says it, to graphile-migrate too")
    })
}

/// What graphile-migrate's hash of a text is, with the one before it (empty for the first).
pub(crate) fn hash_of(before: &str, body: &str) -> String {
    let hashed = format!("{before}\n{}", body.trim());
    format!("sha1:{}", hex(&Sha1::digest(format!("{}\n", hashed.trim()))))
}

fn scan(lines: &mut contents::LineReader<'_>) -> io::Result<Contents> {
    let mut contents = Contents::default();
    let mut in_header = true;
    while let Some((line, text)) = lines.next_line()? {
        let told = text.strip_prefix("--!").map(str::trim_start);
        in_header &= told.is_some() || text.is_empty();
        if in_header && told.is_some_and(|told| told.starts_with("no-transaction")) {
            contents.no_transaction = true;
        }
        let placeholder = [":DATABASE_NAME", ":DATABASE_OWNER"].into_iter().find(|name| text.contains(name));
        if let Some(name) = placeholder {
            contents.wrong.push(Trouble {
                line,
                text,
                message: format!("the placeholder {name} is not filled in"),
                hint: "write ${name} in its place and give it a value: [vars] of cutover.toml, or --var",
            });
        }
    }
    Ok(contents)
}

fn classify(path: &str) -> Class {
    let Some(name) = path.strip_prefix("committed/") else {
        return if path == "current.sql" || path.starts_with("current/") {
            Class::NearMiss(
                "what is current is not committed: `graphile-migrate commit` makes a migration of it".into(),
            )
        } else {
            Class::Other("not in the folder committed")
        };
    };
    let Some(stem) = name.strip_suffix(".sql").filter(|stem| !stem.contains('/')) else {
        return Class::Other("not a .sql file");
    };
    let (digits, rest) = leading_digits(stem);
    let description =
        if rest.is_empty() { Some("") } else { rest.strip_prefix('-').filter(|rest| !rest.is_empty()) };
    match description {
        Some(description) if digits.len() >= 6 => match number(digits) {
            Ok(value) => Class::migration(Version::new(vec![value], digits), description, path),
            Err(why) => Class::wrong(why),
        },
        _ => Class::NearMiss("its name is not six or more digits, perhaps - and a name, .sql".into()),
    }
}
