//! `20260102030405_create_users.sql` with `-- migrate:up` and `-- migrate:down`: migrations of dbmate.
//!
//! Source: `pkg/dbmate/db.go` and `migration.go` of amacneil/dbmate: digits, anything, `.sql`, in the order of the whole
//! names; the digits, as they are written, are the version. A mark begins its line; nothing but comments may stand before
//! the first one, and what stands behind the mark are options, of which `transaction:false` is one. A case it gets right:
//! an error below `-- migrate:down` is none of the way forward. One it declines: statements above `-- migrate:up`.

use std::io;

use super::contents::{LineReader, Sections};
use super::files::{Class, read_files};
use super::numbered;
use super::{
    About, Contents, Convention, Folder, Found, Frame, NewFile, Reading, Scan, Trouble, is_sql,
    leading_digits,
};
use crate::migration::{Migration, Section, Version};

/// The convention `dbmate`.
#[derive(Debug, Clone, Copy)]
pub struct Dbmate;

impl Convention for Dbmate {
    fn name(&self) -> &'static str {
        "dbmate"
    }

    fn example(&self) -> &'static str {
        "20260102030405_create_users.sql with -- migrate:up"
    }

    fn about(&self) -> About {
        About {
            tool: "dbmate",
            files: "`20260102030405_create_users.sql` with `-- migrate:up`",
            order: "by the whole name, as text",
            back: "below `-- migrate:down` in the same file",
            no_transaction: "`-- migrate:up transaction:false`",
            right: "what stands below `-- migrate:down` is not run, and an error above it has its line in the file",
            declines: "statements above `-- migrate:up`, which dbmate refuses too",
        }
    }

    fn evidence(&self, folder: &Folder<'_>) -> Option<String> {
        let marked = |head: &str| head.lines().any(|line| mark(line).is_some_and(|(up, _)| up));
        let found = folder.first_with(|path| matches!(classify(path), Class::Migration(_)), marked);
        found.map(|path| format!("{path} has `-- migrate:up`"))
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        read_files(folder, |a: &Found, b: &Found| a.path.cmp(&b.path), classify)
    }

    fn scan(&self) -> Option<Scan> {
        Some(scan)
    }

    fn frame(&self, _path: &str, _is_there: bool) -> Result<Option<Frame>, String> {
        Ok(Some(("-- migrate:up\n", "\n-- migrate:down\n")))
    }

    fn version(&self, text: &str) -> Option<Version> {
        let is_digits = !text.is_empty() && leading_digits(text).1.is_empty();
        is_digits.then(|| Version::named(text, 1, text))
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        let time = numbered::time_after(existing.last().map(|last| last.file_name()), now);
        let name = format!("{time:014}_{slug}.sql");
        if existing.last().is_some_and(|last| last.file_name() >= name.as_str()) {
            return Err(format!("there is a migration that comes after {name}: name the file yourself"));
        }
        Ok(vec![NewFile { path: name, before: "-- migrate:up\n", after: "\n-- migrate:down\n" }])
    }
}

fn classify(path: &str) -> Class {
    if path.contains('/') {
        return Class::Other("in a folder of its own");
    }
    let (digits, rest) = leading_digits(path);
    match rest.strip_suffix(".sql") {
        _ if !is_sql(path) => Class::Other("not a .sql file"),
        _ if digits.is_empty() => Class::Other("its name does not begin with a number"),
        None => Class::NearMiss("its ending must be .sql in lower case".into()),
        Some(name) => Class::migration(Version::named(digits, 1, digits), name.trim_start_matches('_'), path),
    }
}

/// Whether a line is the mark of what is run or of the way back, and the options behind it.
fn mark(line: &str) -> Option<(bool, &str)> {
    let rest = line.strip_prefix("--")?.trim_start().strip_prefix("migrate:")?;
    let (up, options) = match (rest.strip_prefix("up"), rest.strip_prefix("down")) {
        (Some(options), _) => (true, options),
        (_, Some(options)) => (false, options),
        _ => return None,
    };
    (options.is_empty() || options.starts_with(char::is_whitespace)).then_some((up, options.trim()))
}

fn scan(lines: &mut LineReader<'_>) -> io::Result<Contents> {
    let mut contents = Contents::default();
    let mut sections = Sections::default();
    let (mut last, mut transactions) = (0, Vec::new());
    while let Some((line, text)) = lines.next_line()? {
        last = line;
        let Some((up, options)) = mark(&text) else {
            let is_empty = text.trim().is_empty() || text.trim_start().starts_with("--");
            if sections.is_up().is_none() && !is_empty && contents.wrong.is_empty() {
                let hint = "put `-- migrate:up` above everything that is to be run";
                let message = "a statement stands above `-- migrate:up`, where dbmate refuses it".to_owned();
                contents.wrong.push(Trouble { line, text, message, hint });
            }
            continue;
        };
        let no_transaction = options.split_whitespace().any(|option| option == "transaction:false");
        if !up && sections.is_up().is_none() {
            let message = "`-- migrate:down` stands above `-- migrate:up`".to_owned();
            contents.wrong.push(Trouble {
                line,
                text: text.clone(),
                message,
                hint: "dbmate wants the way forward first",
            });
        }
        if up {
            transactions.push(no_transaction);
            contents.no_transaction |= no_transaction;
        } else {
            contents.down_no_transaction |= no_transaction;
        }
        sections.begin(up, line);
        if contents.no_transaction && transactions.contains(&false) {
            let message =
                "the blocks of one file run partly within a transaction and partly without".to_owned();
            let hint = "make two migrations of it";
            contents.wrong.push(Trouble { line, text, message, hint });
        }
    }
    sections.end(last);
    if transactions.is_empty() {
        let message = "it has no `-- migrate:up`, which dbmate needs".to_owned();
        let hint = "put `-- migrate:up` above what is to be run";
        contents.wrong.push(Trouble { line: 1, text: String::new(), message, hint });
    }
    contents.up = Section::of_lines(sections.up);
    contents.down = (!sections.down.is_empty()).then(|| Section::of_lines(sections.down));
    Ok(contents)
}
