//! `00001_create_users.sql` with `-- +goose Up` and `-- +goose Down`: migrations of goose.
//!
//! Source: `internal/sqlparser/parser.go` and `migrate.go` of pressly/goose: digits above zero, `_`, a name, `.sql` or
//! `.go`, in the order of the numbers; annotations begin their lines, in either case. Where statements end says PostgreSQL's own
//! grammar here, so `StatementBegin` and `StatementEnd` are only looked at for being a pair. A case it gets right: a function
//! whose body has semicolons, between them. One it declines: `-- +goose ENVSUB ON`, for placeholders of cutover have values
//! that are part of the project.

use std::io;

use super::contents::{LineReader, Sections};
use super::files::{Class, by_version, read_files};
use super::{
    About, Contents, Convention, Folder, Frame, NewFile, Reading, Scan, Trouble, ends_in, foreign, is_sql,
    leading_digits, numbered,
};
use crate::migration::{Migration, Section, Version};

/// The convention `goose`.
#[derive(Debug, Clone, Copy)]
pub struct Goose;

impl Convention for Goose {
    fn name(&self) -> &'static str {
        "goose"
    }

    fn example(&self) -> &'static str {
        "00001_create_users.sql with -- +goose Up"
    }

    fn about(&self) -> About {
        About {
            tool: "goose",
            files: "`00001_create_users.sql` with `-- +goose Up`",
            order: "by number",
            back: "below `-- +goose Down` in the same file",
            no_transaction: "`-- +goose NO TRANSACTION`",
            right: "a function with semicolons in its body, between `StatementBegin` and `StatementEnd` or without them",
            declines: "`-- +goose ENVSUB ON`, and `00002_b.go`, which is a program",
        }
    }

    fn evidence(&self, folder: &Folder<'_>) -> Option<String> {
        let is_ours = |path: &str| ends_in(path, "go") || matches!(classify(path), Class::Migration(_));
        let marked = |head: &str| {
            head.lines().any(|line| annotation(line).is_some_and(|word| word.eq_ignore_ascii_case("Up")))
                || head.contains("\"github.com/pressly/goose")
        };
        let found = folder.first_with(is_ours, marked);
        found.map(|path| format!("{path} is written for goose"))
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        read_files(folder, by_version, classify)
    }

    fn scan(&self) -> Option<Scan> {
        Some(scan)
    }

    fn frame(&self, _path: &str, _is_there: bool) -> Result<Option<Frame>, String> {
        Ok(Some(("-- +goose Up\n", "\n-- +goose Down\n")))
    }

    fn version(&self, text: &str) -> Option<Version> {
        numbered::Numbered.version(text)
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        let number = numbered::next_number(existing, "00001", now)?;
        let path = format!("{number}_{slug}.sql");
        Ok(vec![NewFile { path, before: "-- +goose Up\n", after: "\n-- +goose Down\n" }])
    }
}

fn classify(path: &str) -> Class {
    if path.contains('/') {
        return Class::Other("in a folder of its own");
    }
    if let Some(hint) = foreign::advice(path).filter(|_| ends_in(path, "go")) {
        return Class::Wrong("goose would run this, and cutover runs SQL alone".to_owned(), Some(hint));
    }
    if !is_sql(path) {
        return Class::Other("not a .sql file");
    }
    let (digits, rest) = leading_digits(path);
    let Some(rest) = rest.strip_prefix('_').filter(|_| !digits.is_empty()) else {
        let why = "its name is not a number, `_` and a description";
        return if digits.is_empty() { Class::Other(why) } else { Class::NearMiss(why.into()) };
    };
    let Some(name) = rest.strip_suffix(".sql") else {
        return Class::NearMiss("its ending must be .sql in lower case".into());
    };
    match digits.parse::<u64>().ok().filter(|value| i64::try_from(*value).is_ok()) {
        None => Class::wrong(format!("the number {digits} is too large: at most {}", i64::MAX)),
        Some(0) => Class::wrong("goose's versions are greater than zero"),
        Some(value) => Class::migration(Version::new(vec![value], digits), name, path),
    }
}

/// What an annotation says; none where the line is something else.
fn annotation(line: &str) -> Option<&str> {
    line.trim()
        .strip_prefix("--")?
        .trim()
        .strip_prefix("+goose")
        .filter(|rest| rest.starts_with(' '))
        .map(str::trim)
}

/// What is read while lines go by.
#[derive(Default)]
struct Reader {
    contents: Contents,
    sections: Sections,
    /// The line of a `StatementBegin` that is open.
    statement: Option<u32>,
    was_up: bool,
}

impl Reader {
    fn wrong(&mut self, line: u32, text: &str, message: &str, hint: &'static str) {
        let (text, message) = (text.to_owned(), message.to_owned());
        self.contents.wrong.push(Trouble { line, text, message, hint });
    }

    fn annotation(&mut self, line: u32, text: &str, word: &str) {
        const PAIR: &str = "StatementBegin and StatementEnd go in pairs, within Up or Down";
        if text.starts_with(char::is_whitespace) {
            return self.wrong(
                line,
                text,
                "an annotation behind blanks, where goose refuses it",
                "begin the line with --",
            );
        }
        match word.to_ascii_lowercase().as_str() {
            "up" if self.was_up => self.wrong(line, text, "a second `-- +goose Up`", "goose reads one"),
            "up" => {
                self.was_up = true;
                self.sections.begin(true, line);
            }
            "down" if self.sections.is_up() != Some(true) || self.statement.is_some() => {
                let hint = "it ends the section that `-- +goose Up` begins";
                self.wrong(line, text, "`-- +goose Down` without `-- +goose Up` before it", hint);
            }
            "down" => self.sections.begin(false, line),
            "statementbegin" if self.statement.is_some() || self.sections.is_up().is_none() => {
                self.wrong(line, text, "`-- +goose StatementBegin` in the wrong place", PAIR);
            }
            "statementbegin" => self.statement = Some(line),
            "statementend" if self.statement.take().is_none() => {
                self.wrong(line, text, "`-- +goose StatementEnd` without a beginning", PAIR);
            }
            "statementend" | "envsub off" | "envsubst off" => {}
            "no transaction" => {
                self.contents.no_transaction = true;
                self.contents.down_no_transaction = true;
            }
            "envsub on" | "envsubst on" => {
                let hint = "take the line out: ${name} is filled in without it, from [vars] of cutover.toml or by --var";
                self.wrong(line, text, "goose would fill in variables of the environment here", hint);
            }
            _ => self.wrong(
                line,
                text,
                "an annotation that is not known",
                "known: Up, Down, StatementBegin, StatementEnd, NO TRANSACTION",
            ),
        }
    }
}

fn scan(lines: &mut LineReader<'_>) -> io::Result<Contents> {
    let mut reader = Reader::default();
    let mut last = 0;
    while let Some((line, text)) = lines.next_line()? {
        last = line;
        if let Some(word) = annotation(&text) {
            reader.annotation(line, &text, word);
        } else if reader.sections.is_up().is_none() && reader.contents.wrong.is_empty() {
            let trimmed = text.trim_start();
            if !trimmed.is_empty() && !trimmed.starts_with("--") {
                let hint = "put `-- +goose Up` above everything that is to be run";
                reader.wrong(
                    line,
                    &text,
                    "a statement stands above `-- +goose Up`, where goose refuses it",
                    hint,
                );
            }
        }
    }
    if let Some(line) = reader.statement {
        reader.wrong(line, "", "`-- +goose StatementBegin` without an end", "goose wants a StatementEnd");
    }
    if !reader.was_up {
        let hint = "put `-- +goose Up` above what is to be run";
        reader.wrong(1, "", "it has no `-- +goose Up`, which goose needs", hint);
    }
    reader.sections.end(last);
    let Reader { mut contents, sections, .. } = reader;
    contents.up = Section::of_lines(sections.up);
    contents.down = (!sections.down.is_empty()).then(|| Section::of_lines(sections.down));
    Ok(contents)
}
