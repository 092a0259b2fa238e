//! `flyway.toml` or `flyway.conf` of a project whose files are Flyway's: what Flyway would do otherwise by it is followed
//! where it can be followed exactly, and refused by name where not. Where to connect to is none of its business here.
//!
//! Source: Flyway's documentation of configuration files and of the `flyway` namespace, `ConfigUtils.java` and
//! `PostgreSQLConnection.java` of flyway/flyway. Followed are the folder, the placeholders, the default schema and
//! `outOfOrder`; what else changes which files are run, or how they are read, must be as it is without a setting.

use std::path::Path;

use cutover_analysis::sql::quote_ident;

use super::problem::{Place, Problem, Problems};
use super::{files, text};

/// The file of settings that later versions read, and the one that all do.
const FILES: [&str; 2] = ["flyway.toml", "flyway.conf"];
/// Read up to this size: 1 MiB.
const LARGEST: u64 = 1 << 20;

/// A schema that Flyway makes things in where they are named without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultSchema {
    /// Its name.
    pub name: String,
    /// What says so, e.g. `flyway.conf:3`.
    pub said: String,
}

impl DefaultSchema {
    /// The statement that makes it where it is not there, as its tool would.
    pub fn create_sql(&self) -> String {
        format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(&self.name))
    }

    /// The search path that begins with it and goes on with PostgreSQL's own.
    pub fn search_path(&self) -> String {
        format!("{},\"$user\",public", quote_ident(&self.name))
    }
}

/// What the settings say.
#[derive(Debug, Default)]
pub(super) struct FlywaySettings {
    /// The file.
    pub(super) file: &'static str,
    /// Folders of migrations, relative to the project, with their line.
    pub(super) locations: Vec<(String, u32)>,
    /// Names, values and lines of placeholders.
    pub(super) placeholders: Vec<(String, String, u32)>,
    /// The first of its schemas.
    pub(super) default_schema: Option<DefaultSchema>,
    /// Late migrations may go in.
    pub(super) out_of_order: bool,
    /// What cannot be followed.
    pub(super) problems: Problems,
}

/// A key without `flyway.`, its values and its line, from 1.
struct Entry {
    key: String,
    values: Vec<String>,
    line: u32,
    text: String,
}

/// The settings of a project; none where it has no such file.
pub(super) fn read(project: &Path) -> Option<FlywaySettings> {
    let found = FILES
        .into_iter()
        .find_map(|file| Some((file, files::begin(project, &project.join(file), LARGEST).ok()?)));
    let (file, bytes) = found?;
    let mut settings = FlywaySettings { file, ..FlywaySettings::default() };
    let mut plain = Vec::new();
    let mut normaliser = text::Normaliser::new();
    let normal = normaliser.push(&bytes, &mut plain).and_then(|()| normaliser.finish(&mut plain));
    let content = normal.map_err(|error| error.to_string());
    let content = content.and_then(|()| String::from_utf8(plain).map_err(|error| error.to_string()));
    match content.and_then(|text| if file == FILES[0] { of_toml(&text) } else { Ok(of_properties(&text)) }) {
        Ok(entries) => entries.iter().for_each(|entry| settings.take(entry)),
        Err(why) => settings.problems.push(Problem::of_file(file, why)),
    }
    Some(settings)
}

/// Lines `flyway.key=value`; a backslash at a line's end goes on in the next one.
fn of_properties(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((first, line)) = lines.next() {
        let mut whole = first.trim().to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            let Some((next, _)) = lines.next() else { break };
            whole += next.trim();
        }
        if whole.is_empty() || whole.starts_with(['#', '!']) {
            continue;
        }
        let (key, value) = whole.split_once(['=', ':']).unwrap_or((&whole, ""));
        let Some(key) = key.trim().strip_prefix("flyway.") else { continue };
        let value = value.trim();
        // What a value that is no list has commas for is its own business.
        let values = match key {
            "locations" | "schemas" | "sqlMigrationSuffixes" => {
                value.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
            }
            _ => vec![value.to_owned()],
        };
        entries.push(Entry { key: key.to_owned(), values, line, text: first.to_owned() });
    }
    entries
}

/// The table `flyway`, and the schemas of the environment that it names.
fn of_toml(text: &str) -> Result<Vec<Entry>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let line_of = |key: &str| {
        let named = |line: &str| {
            let (name, _) = line.split_once('=').unwrap_or((line, ""));
            name.trim().trim_matches('"').rsplit('.').next() == Some(key)
        };
        text.lines().zip(1..).find(|(line, _)| named(line)).map_or((1, ""), |(line, number)| (number, line))
    };
    let mut entries = Vec::new();
    let mut add = |key: String, name: &str, value: &toml::Value| {
        let (line, text) = line_of(name);
        let plain = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let values = match value {
            toml::Value::Array(values) => values.iter().map(plain).collect(),
            value => vec![plain(value)],
        };
        entries.push(Entry { key, values, line, text: text.to_owned() });
    };
    let flyway = table.get("flyway").and_then(toml::Value::as_table);
    for (name, value) in flyway.into_iter().flatten() {
        match value {
            toml::Value::Table(within) if name == "placeholders" => {
                within.iter().for_each(|(key, value)| add(format!("placeholders.{key}"), key, value));
            }
            toml::Value::Table(_) => {}
            value => add(name.clone(), name, value),
        }
    }
    let environment = flyway.and_then(|flyway| flyway.get("environment")?.as_str()).unwrap_or("default");
    let schemas = table.get("environments").and_then(|all| all.get(environment)?.get("schemas"));
    if let Some(value) = schemas {
        add("schemas".to_owned(), "schemas", value);
    }
    Ok(entries)
}

impl FlywaySettings {
    fn take(&mut self, entry: &Entry) {
        let Entry { key, values, line, .. } = entry;
        let value = values.first().map_or("", String::as_str);
        let is_followed = matches!(key.as_str(), "locations" | "defaultSchema" | "schemas")
            || key.starts_with("placeholders.");
        if is_followed && value.contains("${") {
            return self.refuse(
                entry,
                "a value of the environment is filled in there",
                "write the value itself",
            );
        }
        match key.as_str() {
            "locations" => {
                for value in values {
                    match location(value) {
                        Some(path) => self.locations.push((path, *line)),
                        None => {
                            return self.refuse(
                                entry,
                                "is no folder of this project",
                                "name the folder in cutover.toml, under [[migrations]]",
                            );
                        }
                    }
                }
            }
            // Of several schemas the first one is the default, unless there is one.
            "schemas" if self.default_schema.is_some() || value.is_empty() => {}
            "defaultSchema" | "schemas" => {
                let said = format!("{}:{line}", self.file);
                self.default_schema = Some(DefaultSchema { name: value.to_owned(), said });
            }
            "outOfOrder" => self.out_of_order = value.eq_ignore_ascii_case("true"),
            _ if key.starts_with("placeholders.") => {
                let name = key["placeholders.".len()..].to_owned();
                self.placeholders.push((name, value.to_owned(), *line));
            }
            key => {
                if let Some(usual) = must_be(key)
                    && !values.iter().all(|value| value.eq_ignore_ascii_case(usual))
                {
                    let hint = match usual {
                        "" => "take the line out, and write what it says into a migration".to_owned(),
                        usual => format!(
                            "cutover reads files as with {key} = {usual}: change them, and take the line out"
                        ),
                    };
                    self.refuse(entry, "is not supported", &hint);
                }
            }
        }
    }

    fn refuse(&mut self, entry: &Entry, why: &str, hint: &str) {
        let Entry { key, values, line, text } = entry;
        let message = format!("flyway.{key} = {}: {why}", crate::text::visible(&values.join(",")));
        self.problems.push(Problem {
            place: Some(Place { line: *line, column: 1 }),
            source_line: text.clone(),
            ..Problem::of_file(self.file, message).with_hint(hint)
        });
    }
}

/// What a setting must be that changes which files are run or how they are read; none for all others.
fn must_be(key: &str) -> Option<&'static str> {
    Some(match key {
        "sqlMigrationPrefix" => "V",
        "undoSqlMigrationPrefix" => "U",
        "repeatableSqlMigrationPrefix" => "R",
        "baselineMigrationPrefix" => "B",
        "sqlMigrationSeparator" => "__",
        "sqlMigrationSuffixes" => ".sql",
        "encoding" => "UTF-8",
        "placeholderReplacement" | "executeInTransaction" => "true",
        "skipExecutingMigrations" => "false",
        "placeholderPrefix" => "${",
        "placeholderSuffix" => "}",
        "placeholderSeparator" => ":",
        "target" => "latest",
        "initSql" | "callbacks" | "callbackLocations" | "resolvers" | "cherryPick" => "",
        _ => return None,
    })
}

/// A folder of the project, as a location names it.
fn location(text: &str) -> Option<String> {
    let path = match text.split_once(':') {
        Some(("filesystem", path)) => path.to_owned(),
        Some(("classpath", path)) => format!("src/main/resources/{}", path.trim_start_matches('/')),
        Some(_) => return None,
        None => format!("src/main/resources/{}", text.trim_start_matches('/')),
    };
    let is_plain = !path.contains(['*', '?']) && !files::leaves_project(&path);
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").collect();
    let path = if parts.is_empty() { ".".to_owned() } else { parts.join("/") };
    is_plain.then_some(path)
}
