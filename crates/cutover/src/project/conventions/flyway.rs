//! `V1.2__create_users.sql`: Flyway's migrations. Numbers are divided by dots or single underscores and compared as
//! numbers; two underscores come before the description. Folders within the folder are read too. `U` with the version of
//! a `V` is its way back, `R` is made anew whenever it changes, and `B` stands for all up to its version in a database
//! that has no history yet.
//!
//! Source: Flyway's documentation of migrations, of script configuration files and of undo migrations
//! (documentation.red-gate.com/flyway), of callback events, and `ScriptMigrationResolver.java` of flyway/flyway. A case it gets right: `V1_10__b.sql` comes after `V1.9__a.sql`. One it declines:
//! `V1__a.java`, which is a program.

use std::collections::BTreeSet;

use super::files::{Class, by_version, read_files};
use super::{
    About, Convention, Folder, Found, NewFile, Reading, Stray, Wrong, file_name, foreign, is_sql, number,
    numbered, refinery,
};
use crate::migration::{Migration, MigrationKind, Version};

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

    fn about(&self) -> About {
        About {
            tool: "Flyway",
            files: "`V1.2__create_users.sql`: `V`, numbers with `.` or `_` between them, `__`, a description; `R__views.sql` is made anew whenever it changes; `B5__all.sql` stands for all up to 5 where there is no history; folders within are read",
            order: "part by part: 1.9 before 1.10; then what is repeatable, by description",
            back: "`U1.2__….sql`",
            no_transaction: "`executeInTransaction=false` in `V1.2__….sql.conf`",
            right: "`V1_10__b.sql` comes after `V1.9__a.sql`, and `U1.9__a.sql` is its way back",
            declines: "`V1__a.java` and `V1__a.py`, which are programs; callbacks (`beforeMigrate.sql`, `afterMigrate__grants.sql`), which Flyway runs whenever it migrates; `${flyway:user}` and the like without a value in `[vars]`",
        }
    }

    fn enters(&self, _folder: &str) -> bool {
        true
    }

    fn is_told_by_names(&self) -> bool {
        true
    }

    fn doubt(&self, folder: &Folder<'_>) -> Option<String> {
        let (path, version, _) = refinery::lonely(folder).filter(|_| !is_certain(folder))?;
        Some(format!(
            "{path} is there without a V{version}: to refinery it is a migration, which is run, and to Flyway a way back of \
             nothing, which is left out"
        ))
    }

    fn read(&self, folder: &Folder<'_>) -> Reading {
        let mut reading = read_files(folder, by_version, |path| classify(folder, path));
        if reading.migrations.is_empty() {
            // Names such as these alone make no folder of Flyway's.
            let (callbacks, problems) =
                std::mem::take(&mut reading.problems).into_iter().partition(|wrong| is_callback(&wrong.path));
            reading.problems = problems;
            let stray = |wrong: Wrong| Stray { path: wrong.path, why: wrong.message, near_miss: true };
            reading.strays.extend(Vec::into_iter(callbacks).map(stray));
        }
        reading
    }

    fn version(&self, text: &str) -> Option<Version> {
        if let Some(name) = text.strip_prefix("R__") {
            return Some(Version::repeatable(name));
        }
        if let Some(numbers) = text.strip_prefix('B') {
            return Some(Version::baseline(version(numbers)?.ok()?.parts().to_vec(), text));
        }
        version(text.strip_prefix('V').unwrap_or(text))?.ok()
    }

    fn next(&self, existing: &[&Migration], slug: &str, now: u64) -> Result<Vec<NewFile>, String> {
        let existing: Vec<&&Migration> =
            existing.iter().filter(|migration| migration.kind.is_versioned()).collect();
        let Some(last) = existing.last() else { return Ok(vec![NewFile::plain(format!("V1__{slug}.sql"))]) };
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
        let name = format!("{before}{next:0width$}__{slug}.sql", width = digits.len());
        let mut files = vec![NewFile::plain(format!("V{name}"))];
        if last.down.is_some() {
            files.push(NewFile::plain(format!("U{name}")));
        }
        Ok(files)
    }
}

/// What Flyway runs of callbacks while it migrates, which it connects, validates and, where it has to, makes schemas for.
const CALLBACKS: [&str; 20] = [
    "beforeMigrate",
    "beforeRepeatables",
    "beforeEachMigrate",
    "beforeEachMigrateStatement",
    "afterEachMigrateStatement",
    "afterEachMigrateStatementError",
    "afterEachMigrate",
    "afterEachMigrateError",
    "afterMigrate",
    "afterMigrateApplied",
    "afterVersioned",
    "afterMigrateError",
    "beforeValidate",
    "afterValidate",
    "afterValidateError",
    "createSchema",
    "beforeCreateSchema",
    "beforeConnect",
    "afterConnect",
    "afterMigrateOperationFinish",
];

/// Other commands of Flyway's that have callbacks.
const COMMANDS: [&str; 6] = ["Undo", "Deploy", "Clean", "Info", "Baseline", "Repair"];

/// Programs that Flyway runs as it runs SQL.
const PROGRAMS: [&str; 6] = ["ps1", "bat", "cmd", "sh", "bash", "py"];

/// The event that a file is a callback of: what its name says before `__` and its ending.
fn event(path: &str) -> Option<&str> {
    let (stem, ending) = file_name(path).rsplit_once('.')?;
    (ending == "sql" || PROGRAMS.contains(&ending))
        .then(|| stem.split_once("__").map_or(stem, |(event, _)| event))
}

/// Whether Flyway would run it whenever it migrates.
fn is_callback(path: &str) -> bool {
    event(path).is_some_and(|event| CALLBACKS.contains(&event))
}

/// What a file is whose name is that of an event.
fn callback(path: &str) -> Option<Class> {
    let event = event(path)?;
    if CALLBACKS.contains(&event) {
        let why = format!("a callback, which Flyway would run ({event}) and cutover does not");
        let hint = "write what it does into migrations (what is to be done again after changes, into R__….sql), and keep the \
                    file elsewhere";
        return Some(Class::Wrong(why, Some(hint.to_owned())));
    }
    let command = COMMANDS.into_iter().find(|command| {
        let rest = event.strip_prefix("before").or_else(|| event.strip_prefix("after"));
        let rest = rest.map(|rest| rest.strip_prefix("Each").unwrap_or(rest));
        let rest = rest.and_then(|rest| rest.strip_prefix(command));
        rest.is_some_and(|rest| {
            matches!(rest, "" | "Error" | "Statement" | "StatementError" | "OperationFinish")
        })
    })?;
    let command = command.to_lowercase();
    Some(Class::NearMiss(format!("a callback of `flyway {command}`, which cutover does not run")))
}

/// Whether a folder is Flyway's for more than its `V`s, which refinery has too.
pub(super) fn is_certain(folder: &Folder<'_>) -> bool {
    let is_spring = folder.path.ends_with("src/main/resources/db/migration");
    let is_ours = |path: &String| {
        let name = file_name(path);
        let numbers = name.split_once("__").and_then(|(before, _)| before.strip_prefix(['V', 'U', 'B']));
        let has_parts =
            numbers.is_some_and(|numbers| numbers.contains(['.', '_']) && version(numbers).is_some());
        let of_ours_alone = name.starts_with("R__") || numbers.is_some() && name.starts_with('B');
        has_parts
            || (of_ours_alone && is_sql(name))
            || is_callback(path)
            || name.strip_suffix(".sql.conf").and_then(version_of).is_some()
            || name
                .rsplit_once('.')
                .is_some_and(|(stem, ending)| is_program(ending) && foreign::is_java(stem))
    };
    // Two files of one version are an error to refinery.
    let has_back = || {
        let versions = |letter: char| {
            folder.paths.iter().filter_map(move |path| {
                let (before, _) = file_name(path).strip_suffix(".sql")?.split_once("__")?;
                version(before.strip_prefix(letter)?)?.ok()
            })
        };
        let forward: BTreeSet<Version> = versions('V').collect();
        versions('U').any(|version| forward.contains(&version))
    };
    let is_configured = || ["flyway.conf", "flyway.toml"].iter().any(|name| folder.above(name).is_some());
    is_spring || folder.paths.iter().any(is_ours) || has_back() || is_configured()
}

/// Whether files of this ending are programs that Flyway runs.
fn is_program(ending: &str) -> bool {
    PROGRAMS.contains(&ending) || matches!(ending, "java" | "kt" | "class")
}

/// Number parts of a version; none if the text is not one.
pub(super) fn version(text: &str) -> Option<Result<Version, String>> {
    let parts: Vec<&str> = text.split(['.', '_']).collect();
    let all_digits = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !parts.iter().all(all_digits) {
        return None;
    }
    let numbers: Result<Vec<u64>, String> = parts.into_iter().map(number).collect();
    Some(numbers.map(|numbers| Version::new(numbers, text)))
}

fn classify(folder: &Folder<'_>, path: &str) -> Class {
    let name = file_name(path);
    if let Some(of) = name.strip_suffix(".conf") {
        return configured(folder, path, of);
    }
    if let Some((stem, ending)) = name.rsplit_once('.')
        && is_program(ending)
        && foreign::is_java(stem)
    {
        let hint = foreign::advice(path).unwrap_or_else(|| {
            "a script, which is a program: write its statements as a .sql file of the same version".to_owned()
        });
        return Class::Wrong("Flyway would run this, and cutover runs SQL alone".to_owned(), Some(hint));
    }
    if let Some(class) = callback(path) {
        return class;
    }
    if !is_sql(name) {
        return Class::Other("not a .sql file");
    }
    let (stem, ending) = name.split_at(name.len() - ".sql".len());
    let (letter, rest) = match stem.chars().next() {
        Some(letter) if letter.is_ascii_alphabetic() => (letter, &stem[1..]),
        _ => return Class::Other("its name does not begin with V and a version"),
    };
    let (number_text, description) = rest.split_once("__").unwrap_or((rest, ""));
    let versioned = version(number_text);
    match letter {
        'R' if number_text.is_empty() => repeatable(path, rest, description, ending),
        'v' | 'u' | 'b' if rest.starts_with(|c: char| c.is_ascii_digit()) => Class::NearMiss(format!(
            "the {} before the version must be upper case",
            letter.to_ascii_uppercase()
        )),
        'V' | 'U' | 'B' => match classify_versioned(rest, versioned, description, ending) {
            Ok(version) if letter == 'U' => Class::Down(version),
            Ok(version) if letter == 'B' => {
                let version = Version::baseline(version.parts().to_vec(), format!("B{}", version.text()));
                let found = Found::new(version, description, path);
                Class::Migration(Box::new(Found { kind: MigrationKind::Baseline, ..found }))
            }
            Ok(version) => Class::migration(version, description, path),
            Err(class) => class,
        },
        _ => Class::Other("its name does not begin with V and a version"),
    }
}

fn repeatable(path: &str, rest: &str, description: &str, ending: &str) -> Class {
    if !rest.starts_with("__") {
        return Class::Other("its name does not begin with V and a version");
    }
    if description.trim_matches('_').is_empty() {
        return Class::NearMiss("it has no description after __".into());
    }
    if ending != ".sql" {
        return Class::NearMiss(format!("its ending must be .sql in lower case, not {ending}"));
    }
    let found = Found::new(Version::repeatable(description), description, path);
    Class::Migration(Box::new(Found { kind: MigrationKind::Repeatable, ..found }))
}

/// The version of a file's name, without `.sql`.
fn version_of(stem: &str) -> Option<Version> {
    if let Some(description) = stem.strip_prefix("R__") {
        return Some(Version::repeatable(description));
    }
    let (letter, numbers) = (stem.get(..1)?, stem.get(1..)?.split_once("__")?.0);
    let found = version(numbers)?.ok()?;
    match letter {
        "V" => Some(found),
        "B" => Some(Version::baseline(found.parts().to_vec(), stem)),
        _ => None,
    }
}

/// What stands in the settings of one migration (`V1__a.sql.conf`). Flyway reads them as Java properties; of its keys,
/// `executeInTransaction` is the one that changes how SQL is run and can be followed.
fn configured(folder: &Folder<'_>, path: &str, of: &str) -> Class {
    let Some(version) = of.strip_suffix(".sql").and_then(version_of) else {
        return Class::Other("settings of no migration");
    };
    let text = match folder.text(path) {
        Ok(text) => text,
        Err(why) => return Class::wrong(why),
    };
    let mut class = Class::Companion;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!'])) {
        let (key, value) =
            line.split_once(['=', ':']).map_or((line, ""), |(key, value)| (key.trim(), value.trim()));
        match (key, value.to_ascii_lowercase().as_str()) {
            ("executeInTransaction", "false") => class = Class::NoTransaction(version.clone()),
            ("executeInTransaction" | "placeholderReplacement", "true") => {}
            ("executeInTransaction", _) => {
                let value = crate::text::visible(value);
                let hint =
                    "write `executeInTransaction = true` or `= false`; a # behind a value is a part of it";
                let why = format!("the setting `executeInTransaction` is `{value}`, neither true nor false");
                return Class::Wrong(why, Some(hint.to_owned()));
            }
            _ => {
                let hint = "of these settings only executeInTransaction = true or false is followed: take the line out, and \
                            write what it says into the migration";
                return Class::Wrong(
                    format!("the setting `{}` is not supported", crate::text::visible(key)),
                    Some(hint.to_owned()),
                );
            }
        }
    }
    class
}

fn classify_versioned(
    rest: &str,
    version: Option<Result<Version, String>>,
    description: &str,
    ending: &str,
) -> Result<Version, Class> {
    if !rest.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Class::Other("its name does not begin with V and a version"));
    }
    let near = |why: &str| Err(Class::NearMiss(why.to_owned()));
    if !rest.contains("__") {
        return near("between the version and the description there must be two underscores (__)");
    }
    match version {
        None => near("its version is not made of numbers with dots or single underscores between"),
        Some(_) if description.trim_matches('_').is_empty() => near("it has no description after __"),
        Some(_) if ending != ".sql" => near(&format!("its ending must be .sql in lower case, not {ending}")),
        Some(Err(why)) => Err(Class::wrong(why)),
        Some(Ok(version)) => Ok(version),
    }
}
