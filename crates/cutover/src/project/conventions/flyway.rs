//! `V1.2__create_users.sql`: Flyway's versioned migrations. Numbers are divided by dots or single underscores and
//! compared as numbers; two underscores come before the description. Folders within the folder are read too.

use super::{Class, Convention, Reading, is_sql, number, numbered, read_single_files};
use crate::migration::{Migration, Version};

/// The convention `flyway`.
#[derive(Debug, Clone, Copy)]
pub struct Flyway;

impl Convention for Flyway {
    fn name(&self) -> &'static str {
        "flyway"
    }

    fn example(&self) -> &'static str {
        "V1.2__create_users.sql"
    }

    fn recursive(&self) -> bool {
        true
    }

    fn read(&self, paths: &[String]) -> Reading {
        read_single_files(paths, |path| classify(path.rsplit('/').next().unwrap_or(path)))
    }

    fn version(&self, text: &str) -> Option<Version> {
        version(text.strip_prefix('V').unwrap_or(text))?.ok()
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<String, String> {
        let Some(last) = existing.last() else { return Ok(format!("V1__{slug}.sql")) };
        let version = &last.id.version;
        let text = version.text();
        let start = text.rfind(['.', '_']).map_or(0, |at| at + 1);
        let (before, digits) = text.split_at(start);
        let last_number = number(digits)?;
        // Versions that differ in their last number only are the series that goes on.
        let series: Vec<u64> = existing
            .iter()
            .filter_map(|migration| migration.id.version.text().strip_prefix(before))
            .filter_map(|digits| digits.parse().ok())
            .collect();
        let next = if before.is_empty() && numbered::is_timestamp(last_number) {
            now.max(last_number.saturating_add(1))
        } else if !before.is_empty() && series.len() < 2 {
            // V1.10 is what comes after V1.9, and no series of tens.
            last_number.saturating_add(1)
        } else {
            last_number.saturating_add(numbered::step(&series))
        };
        if next == last_number {
            return Err(format!("there is no version after {text}"));
        }
        Ok(format!("V{before}{next:0width$}__{slug}.sql", width = digits.len()))
    }
}

/// Number parts of a version; none if the text is not one.
fn version(text: &str) -> Option<Result<Version, String>> {
    let parts: Vec<&str> = text.split(['.', '_']).collect();
    let all_digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !parts.iter().all(all_digits) {
        return None;
    }
    let numbers: Result<Vec<u64>, String> = parts.into_iter().map(number).collect();
    Some(numbers.map(|numbers| Version::new(numbers, text)))
}

fn classify(file_name: &str) -> Class {
    if !is_sql(file_name) {
        return Class::Other("not a .sql file".into());
    }
    let (stem, ending) = file_name.split_at(file_name.len() - ".sql".len());
    let (letter, rest) = match stem.chars().next() {
        Some(letter) if letter.is_ascii_alphabetic() => (letter, &stem[1..]),
        _ => return Class::Other("its name does not begin with V and a version".into()),
    };
    let (number_text, description) = rest.split_once("__").unwrap_or((rest, ""));
    let versioned = version(number_text);
    match letter {
        'R' if number_text.is_empty() && !description.is_empty() => {
            Class::NearMiss("repeatable migrations (R__) are not supported: it is never run".into())
        }
        'U' if versioned.is_some() => {
            Class::NearMiss("undo migrations (U) are not supported: it is never run".into())
        }
        'B' if versioned.is_some() => {
            Class::NearMiss("baseline migrations (B) are not supported: it is never run".into())
        }
        'v' if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            Class::NearMiss("the V before the version must be upper case".into())
        }
        'V' => classify_versioned(rest, versioned, description, ending),
        _ => Class::Other("its name does not begin with V and a version".into()),
    }
}

fn classify_versioned(
    rest: &str,
    version: Option<Result<Version, String>>,
    description: &str,
    ending: &str,
) -> Class {
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return Class::Other("its name does not begin with V and a version".into());
    }
    if !rest.contains("__") {
        return Class::NearMiss(
            "between the version and the description there must be two underscores (__)".into(),
        );
    }
    match version {
        None => Class::NearMiss(
            "its version is not made of numbers with dots or single underscores between".into(),
        ),
        Some(_) if description.trim_matches('_').is_empty() => {
            Class::NearMiss("it has no description after __".into())
        }
        Some(_) if ending != ".sql" => {
            Class::NearMiss(format!("its ending must be .sql in lower case, not {ending}"))
        }
        Some(Err(why)) => Class::Wrong(why),
        Some(Ok(version)) => Class::Migration(version, description.to_owned()),
    }
}
