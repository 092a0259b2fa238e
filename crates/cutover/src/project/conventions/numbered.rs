//! `0001_create_users.sql`: a number of any width, compared as a number, then `_` and a description.

use super::files::{Class, by_version, read_files};
use super::{About, Convention, Folder, Found, NewFile, Reading, foreign, is_sql, leading_digits, number};
use crate::migration::{Migration, Version};

/// The convention `numbered`.
#[derive(Debug, Clone, Copy)]
pub struct Numbered;

impl Convention for Numbered {
    fn name(&self) -> &'static str {
        "numbered"
    }

    fn example(&self) -> &'static str {
        "0001_create_users.sql"
    }

    fn about(&self) -> About {
        About {
            tool: "",
            files: "`0001_create_users.sql`: a number of any width, `_`, a description",
            order: "by number: 999 before 1001",
            back: "none",
            no_transaction: "the directive `-- cutover: no-transaction` above a statement",
            right: "`999_a.sql` comes before `1001_b.sql`, and `0001` and `1` are one version",
            declines: "`001_a.up.sql` beside `002_b.sql`: pairs are another convention; and `003_c.py` without a `003_….sql`, whatever would run it",
        }
    }

    fn is_told_by_names(&self) -> bool {
        true
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        read_files(folder, by_version, classify)
    }

    fn refuses(&self, path: &str, beside: &[Found]) -> Option<String> {
        let hint = foreign::beside_sql(path).filter(|_| !path.contains('/'))?;
        let number = leading_digits(path).0.parse().ok();
        let is_there = |found: &Found| found.version.parts().first().copied() == number;
        (number.is_none() || !beside.iter().any(is_there)).then_some(hint)
    }

    fn version(&self, text: &str) -> Option<Version> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten()?;
        Some(Version::new(vec![number], text))
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        Ok(vec![NewFile::plain(format!("{}_{slug}.sql", next_number(existing, "0001", now)?))])
    }
}

/// The number after those there are, as wide as they are; `first` where there are none.
pub(super) fn next_number(existing: &[&Migration], first: &str, now: u64) -> Result<String, String> {
    let numbers: Vec<u64> =
        existing.iter().filter_map(|migration| migration.id.version.parts().first().copied()).collect();
    let Some((last, width)) = numbers.last().zip(existing.last().map(|last| last.id.version.text().len()))
    else {
        return Ok(first.to_owned());
    };
    let step = step(&numbers);
    let next = if is_timestamp(*last) { now.max(last.saturating_add(1)) } else { last.saturating_add(step) };
    if next == *last {
        return Err(format!("there is no number after {last}"));
    }
    Ok(format!("{next:0width$}"))
}

/// The time that a new file is called by: now, or what comes right behind the last one, where that is of the same second or a later one. `last`
/// is the last one's name, or what it begins with.
pub(super) fn time_after(last: Option<&str>, now: u64) -> u64 {
    let last = last.and_then(|name| leading_digits(name).0.parse().ok()).filter(|last| is_timestamp(*last));
    last.map_or(now, |last| now.max(last.saturating_add(1)))
}

/// A number that is a time, as `YYYYMMDDhhmmss`.
pub(super) fn is_timestamp(number: u64) -> bool {
    (19_700_101_000_000..=99_991_231_235_959).contains(&number)
}

/// The gap between numbers, where the last ones agree on it (010, 020, 030); otherwise 1. Two numbers agree on a gap
/// only if it is a round one: after 1 and 9 comes 10.
pub(super) fn step(numbers: &[u64]) -> u64 {
    let recent = &numbers[numbers.len().saturating_sub(4)..];
    let gaps: Vec<u64> = recent.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    match gaps.as_slice() {
        // A single file: 10 and 100 are the start of a series with gaps.
        [] => match recent {
            [10] => 10,
            [100] => 100,
            _ => 1,
        },
        [gap] => {
            if *gap > 0 && gap.is_multiple_of(10) {
                *gap
            } else {
                1
            }
        }
        [first, rest @ ..] => {
            if *first > 0 && rest.iter().all(|gap| gap == first) {
                *first
            } else {
                1
            }
        }
    }
}

fn classify(path: &str) -> Class {
    if path.contains('/') {
        return match classify_name(path.rsplit('/').next().unwrap_or(path)) {
            Class::Migration(_) => {
                Class::NearMiss("in a folder of its own, and numbered folders are read flat".into())
            }
            _ => Class::Other("in a folder of its own"),
        };
    }
    classify_name(path)
}

fn classify_name(file_name: &str) -> Class {
    let (version, rest) = leading_digits(file_name);
    if !is_sql(file_name) {
        return Class::Other("not a .sql file");
    }
    if version.is_empty() {
        return Class::Other("its name does not begin with a number");
    }
    let (stem, ending) = rest.split_at(rest.len() - ".sql".len());
    if ending != ".sql" {
        return Class::NearMiss(format!("its ending must be .sql in lower case, not {ending}"));
    }
    for ending in [".up", ".down", ".undo", ".rollback"] {
        if stem.ends_with(ending) {
            return Class::NearMiss(format!(
                "its name ends in {ending}.sql: pairs of files are another convention"
            ));
        }
    }
    let Some(name) = stem.strip_prefix('_').filter(|name| !name.is_empty()) else {
        return Class::NearMiss("between the number and the description there must be one _".into());
    };
    match number(version) {
        Ok(value) => Class::migration(Version::new(vec![value], version), name, file_name),
        Err(why) => Class::wrong(why),
    }
}
