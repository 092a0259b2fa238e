//! `1591343909074_create_users.sql` with `-- Up Migration` and `-- Down Migration`: migrations of node-pg-migrate.
//!
//! Source: `src/sqlMigration.ts`, `migrationLoader.ts`, `migration.ts` and `utils/fileNameUtils.ts` of
//! salsita/node-pg-migrate. All files of the folder are migrations, by the number that their names begin with, of which one of
//! 17 digits is a time of UTC and any other is what it says (mostly milliseconds since 1970); those of one number by the
//! rest. The name without its ending is what the table keeps. The first line of each mark counts, in either case, with any
//! blanks and dashes before the word; each section reaches to the other mark or the end, whichever comes first, and a file
//! without marks is all way forward. A case it gets right: `1591343909074_a.sql` comes after `20200513070724505_b.sql`, which
//! is a time in May 2020. One it declines: `1591343909075_b.js`, which is a program.

use std::cmp::Ordering;
use std::io;

use super::contents::{LineReader, Sections};
use super::files::{Class, read_files};
use super::{
    About, Contents, Convention, Folder, Found, Frame, NewFile, Reading, Scan, Stray, Trouble, Wrong,
    ends_in, file_name, is_sql, leading_digits, numbered,
};
use crate::migration::{Migration, Section, Version};

/// The convention `node-pg-migrate`.
#[derive(Debug, Clone, Copy)]
pub struct NodePgMigrate;

impl Convention for NodePgMigrate {
    fn name(&self) -> &'static str {
        "node-pg-migrate"
    }

    fn example(&self) -> &'static str {
        "1591343909074_create_users.sql with -- Up Migration and -- Down Migration"
    }

    fn about(&self) -> About {
        About {
            tool: "node-pg-migrate",
            files: "`1591343909074_create_users.sql` with `-- Up Migration` and `-- Down Migration`, or without either; or a pair `….up.sql` and `….down.sql`",
            order: "by number, 17 digits being a time of UTC in milliseconds; those of one number by the rest of the name",
            back: "below `-- Down Migration` in the same file, or `….down.sql`",
            no_transaction: "none: what PostgreSQL refuses in a transaction is found by the parser",
            right: "`1591343909074_a.sql` comes after `20200513070724505_b.sql`, and what stands below `-- Down Migration` is not run",
            declines: "`1591343909075_b.js`, which is a program, and a file with `-- Down Migration` alone, all of which node-pg-migrate runs",
        }
    }

    fn evidence(&self, folder: &Folder<'_>) -> Option<String> {
        // Either mark alone is what people write above anything that goes up or down.
        let both = |head: &str| {
            let has = |word| head.lines().any(|line| is_mark(line, word));
            has("up") && has("down")
        };
        let is_single =
            |path: &str| matches!(classify(path), Class::Migration(_)) && !path.ends_with(".up.sql");
        if let Some(path) = folder.first_with(is_single, both) {
            return Some(format!("{path} has `-- Up Migration` and `-- Down Migration`"));
        }
        let program = folder.first_with(is_program, |head| head.contains("node-pg-migrate"));
        program.map(|path| format!("{path} is written for node-pg-migrate"))
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        let mut reading = read_files(folder, order, classify);
        let unclear: Vec<Wrong> = reading
            .migrations
            .windows(2)
            .filter(|two| order(&two[0], &two[1]) == Ordering::Equal)
            .map(|two| {
                let message = format!(
                    "which comes first, it or {}, node-pg-migrate leaves to the language of the machine",
                    two[0].path
                );
                Wrong::file(two[1].path.clone(), message).with_hint("give one of them another number")
            })
            .collect();
        reading.problems.extend(unclear);
        refuse_programs(&mut reading);
        reading
    }

    fn scan(&self) -> Option<Scan> {
        Some(scan)
    }

    fn scan_of_down(&self) -> Option<Scan> {
        Some(scan_down)
    }

    fn frame(&self, path: &str, _is_there: bool) -> Result<Option<Frame>, String> {
        if path.ends_with(".up.sql") || path.ends_with(".down.sql") {
            return Ok(Some(("", "")));
        }
        Ok(Some(("-- Up Migration\n", "\n-- Down Migration\n")))
    }

    fn version(&self, text: &str) -> Option<Version> {
        time(leading_digits(text).0).map(|_| Version::named(text, 1, text))
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        let last = existing.last().map_or("", |last| leading_digits(last.file_name()).0);
        let behind = last.parse::<u64>().unwrap_or_default().saturating_add(1);
        let number = match last.len() {
            17 => format!("{:017}", now.saturating_mul(1000).max(behind)),
            0 | 13 => time(&format!("{now:014}000")).unwrap_or_default().max(behind).to_string(),
            _ if last.parse().is_ok_and(numbered::is_timestamp) => format!("{:014}", now.max(behind)),
            width => format!("{behind:0width$}"),
        };
        if time(last).is_some_and(|last| time(&number).is_none_or(|number| number <= last)) {
            return Err(format!("there is a migration that comes after {number}: name the file yourself"));
        }
        let path = format!("{number}_{slug}.sql");
        Ok(vec![NewFile { path, before: "-- Up Migration\n", after: "\n-- Down Migration\n" }])
    }
}

/// Programs are refused, but for one that is there as SQL as well: under the same name, as the table has it.
fn refuse_programs(reading: &mut Reading) {
    const HINT: &str = "write its statements as a .sql file of the same name (`node-pg-migrate up --dry-run` prints those of one \
                        that is pending), or keep it elsewhere if it is applied or none";
    let stem = |path: &str| path.rsplit_once('.').map(|(stem, _)| stem.to_owned());
    let (programs, strays) = std::mem::take(&mut reading.strays).into_iter().partition(|stray| {
        let is_there = |found: &Found| Some(found.version.name()) == stem(&stray.path).as_deref();
        is_program(&stray.path) && !reading.migrations.iter().any(is_there)
    });
    reading.strays = strays;
    let wrong = |stray: Stray| {
        Wrong::file(stray.path, "node-pg-migrate would run this, and cutover runs SQL alone").with_hint(HINT)
    };
    reading.problems.extend(Vec::into_iter(programs).map(wrong));
}

fn is_program(path: &str) -> bool {
    ["js", "ts", "cjs", "mjs", "cts", "mts"].iter().any(|ending| ends_in(path, ending))
        && !path.contains('/')
        && !leading_digits(path).0.is_empty()
}

fn classify(path: &str) -> Class {
    if path.contains('/') {
        return Class::Other("in a folder of its own");
    }
    if !is_sql(path) {
        return Class::Other("not a .sql file");
    }
    let digits = leading_digits(path).0;
    let Some(stem) = path.strip_suffix(".sql") else {
        return Class::NearMiss("its ending must be .sql in lower case".into());
    };
    if digits.is_empty() {
        return Class::NearMiss(
            "its name does not begin with a number, without which there is no order".into(),
        );
    }
    if time(digits).is_none() {
        return Class::wrong(match digits.len() {
            17 => format!("17 digits are a time to node-pg-migrate, and {digits} is none"),
            _ => format!("the number {digits} is too large: at most {}", u64::MAX),
        });
    }
    // What node-pg-migrate calls the migration, of pairs as well.
    let named = |name: &str| Version::named(name, 1, name);
    if let Some(name) = stem.strip_suffix(".down") {
        return Class::Down(named(name));
    }
    let name = stem.strip_suffix(".up").unwrap_or(stem);
    Class::migration(named(name), name[digits.len()..].trim_start_matches(['_', '-']), path)
}

/// What a number comes to in the order: 17 digits are a time, in milliseconds since 1970, and all others what they say.
fn time(digits: &str) -> Option<u64> {
    let number: u64 = digits.parse().ok()?;
    if digits.len() != 17 {
        return Some(number);
    }
    let part = |digits: u32, below: u64| number / 10_u64.pow(digits) % below;
    let (year, month, day) = (part(13, 10_000), part(11, 100), part(9, 100));
    let (hour, minute, second, millis) = (part(7, 100), part(5, 100), part(3, 100), part(0, 1000));
    let of_clock = ((hour * 60 + minute) * 60 + second) * 1000 + millis;
    let is_time = hour < 24 && minute < 60 && second < 60;
    Some(days(year, month, day).filter(|_| is_time)? * 86_400_000 + of_clock)
}

/// Days from 1970 to a date of the Gregorian calendar; none for what is no date, and for earlier ones.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::try_from(month.checked_sub(1)?).ok()?;
    let length = *lengths.get(index)?;
    if year < 1970 || day == 0 || day > length {
        return None;
    }
    // Leap years before this one.
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let before = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    Some(before + lengths[..index].iter().sum::<u64>() + day - 1)
}

/// By number, then by name as a language sorts it: punctuation apart, runs of digits by their number, cases alike. What
/// that does not tell apart is equal here.
fn order(a: &Found, b: &Found) -> Ordering {
    let number = |found: &Found| time(leading_digits(file_name(&found.path)).0);
    number(a).cmp(&number(b)).then_with(|| words(&a.path).cmp(&words(&b.path)))
}

/// The letters and numbers of a name, digits before letters.
fn words(path: &str) -> Vec<(u64, char)> {
    let mut words = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let (digits, behind) = leading_digits(rest);
        if digits.is_empty() {
            rest = &rest[first.len_utf8()..];
            words.extend(first.is_alphanumeric().then(|| (u64::MAX, first.to_ascii_lowercase())));
        } else {
            rest = behind;
            words.push((digits.parse().unwrap_or(u64::MAX - 1), '0'));
        }
    }
    words
}

/// Whether a line is the mark of a section, `up` or `down`.
pub(in crate::project) fn is_mark(line: &str, word: &str) -> bool {
    let Some(rest) = line.trim_start().strip_prefix("--") else { return false };
    let rest = rest.trim_start_matches(|c: char| c == '-' || c.is_whitespace());
    let after = |text: &str, word: &str| -> Option<usize> {
        text.get(..word.len()).filter(|head| head.eq_ignore_ascii_case(word)).map(str::len)
    };
    let Some(behind) = after(rest, word).map(|length| &rest[length..]) else { return false };
    behind.starts_with(char::is_whitespace) && after(behind.trim_start(), "migration").is_some()
}

/// A file that is a way back may say so in its heading.
fn scan_down(lines: &mut LineReader<'_>) -> io::Result<Contents> {
    let contents = scan(lines)?;
    Ok(if contents.up.lines().is_some() { contents } else { Contents { wrong: Vec::new(), ..contents } })
}

fn scan(lines: &mut LineReader<'_>) -> io::Result<Contents> {
    let (mut up, mut down) = (None, None);
    let mut last = 0;
    while let Some((line, text)) = lines.next_line()? {
        last = line;
        if up.is_none() && is_mark(&text, "up") {
            up = Some(line);
        } else if down.is_none() && is_mark(&text, "down") {
            down = Some((line, text));
        }
    }
    let mut contents = Contents::default();
    let mut sections = Sections::default();
    match (up, down) {
        (None, Some((line, text))) => {
            let message = "it has `-- Down Migration` and no `-- Up Migration`: node-pg-migrate runs all of it, the way \
                           back too"
                .to_owned();
            let hint = "put `-- Up Migration` above what is to be run";
            contents.wrong.push(Trouble { line, text, message, hint });
        }
        (None, None) => {}
        (Some(up), None) => sections.begin(true, up),
        (Some(up), Some((down, _))) if up < down => {
            sections.begin(true, up);
            sections.begin(false, down);
        }
        (Some(up), Some((down, _))) => {
            sections.begin(false, down);
            sections.begin(true, up);
        }
    }
    if up.is_none() {
        return Ok(contents);
    }
    sections.end(last);
    contents.up = Section::of_lines(sections.up);
    contents.down = (!sections.down.is_empty()).then(|| Section::of_lines(sections.down));
    Ok(contents)
}
