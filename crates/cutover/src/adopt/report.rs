//! What is told of an adoption before it is asked for: values, and the same as lines for people.

use std::fmt::Write as _;

use serde::Serialize;

use super::catalogue::Found;
use super::matching::{Matching, Standing};
use super::tables::{Row, TablePlace};
use super::tools::{State, Sum};
use crate::history::records::History;
use crate::history::schema;
use crate::project::Project;
use crate::report::format::{count, utc};
use crate::text::{complaints, visible};

/// What the other tool's table, the files and the database say, side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Name of the database.
    pub database: String,
    /// The tool, e.g. `flyway`.
    pub tool: &'static str,
    /// What it is called.
    pub called: &'static str,
    /// Its table, with the schema.
    pub table: String,
    /// Number of rows there.
    pub rows: usize,
    /// The files, in the project's order.
    pub files: Vec<FileLine>,
    /// Rows of which there is no file.
    pub without_file: Vec<RowLine>,
    /// Whether the database is what the files make.
    pub catalogue: Catalogue,
    /// What else is to be known, in words.
    pub remarks: Vec<String>,
    /// Codes of what would have to be accepted.
    pub refused: Vec<String>,
}

/// What the table says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileLine {
    /// Path of the file.
    pub path: String,
    /// Its version.
    pub version: String,
    /// `applied`, `pending`, `failed`, `taken_back`, or `recorded`: cutover knows of it already.
    pub state: &'static str,
    /// Of an applied one, whether it is what was applied: `same`, `changed` or `unknown`.
    pub text: Option<&'static str>,
    /// Why that is not known, or what else is to be known.
    pub why: Option<String>,
    /// When it was applied, microseconds since the Unix epoch, where the table says so.
    pub at_micros: Option<i64>,
}

/// A row without a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowLine {
    /// As it is known there.
    pub row: String,
    /// `missing`: its file is gone; `unknown`: it is nothing that its tool writes; `failed`.
    pub state: &'static str,
}

/// Whether the database is what the files make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Catalogue {
    /// Whether that was looked at.
    pub compared: bool,
    /// How many objects were compared.
    pub objects: usize,
    /// What is not as the files make it, in words.
    pub differences: Vec<String>,
    /// Who may do what, or owns what, otherwise than the files say, of which nothing follows.
    pub privileges: Vec<String>,
    /// What is there and made by none of them, of which nothing follows.
    pub besides: Vec<String>,
}

impl Catalogue {
    pub(super) fn new(compared: bool, found: &Found) -> Self {
        Self {
            compared,
            objects: found.compared,
            differences: found.differing.clone(),
            privileges: found.privileges.clone(),
            besides: found.besides.clone(),
        }
    }
}

impl Report {
    pub(super) fn new(
        project: &Project,
        server: &schema::Found,
        place: &TablePlace,
        rows: &[Row],
        matching: &Matching,
        history: &History,
    ) -> Self {
        let files = matching.standings.iter().enumerate().filter_map(|(index, standing)| {
            let migration = &project.migrations[index];
            let mut line = FileLine {
                path: migration.path.clone(),
                version: migration.id.version.text().to_owned(),
                state: "pending",
                text: None,
                why: None,
                at_micros: None,
            };
            match standing {
                Standing::Elsewhere => return None,
                Standing::Pending => {}
                Standing::MadeAnew => line.why = Some("it was changed since, and is made anew".to_owned()),
                Standing::Failed(_) => line.state = "failed",
                Standing::TakenBack(_) => line.state = "taken_back",
                Standing::Applied { row, sum } => {
                    line.state = "applied";
                    line.at_micros = row.and_then(|row| rows[row].at_micros);
                    (line.text, line.why) = match sum {
                        Sum::Same => (Some("same"), None),
                        Sum::Changed(_) => (Some("changed"), None),
                        Sum::Unknown(why) => (Some("unknown"), Some((*why).to_owned())),
                    };
                }
            }
            if history.get(&migration.id).is_some() {
                line = FileLine { state: "recorded", text: None, why: None, ..line };
            }
            Some(line)
        });
        let without_file = matching.fileless.iter().map(|one| RowLine {
            row: rows[one.row].label.clone(),
            state: match (rows[one.row].state, one.known) {
                (State::Failed, _) => "failed",
                (_, true) => "missing",
                (_, false) => "unknown",
            },
        });
        Self {
            database: server.database.clone(),
            tool: place.tool.0.name(),
            called: place.called(),
            table: format!("{}.{}", place.schema, place.table),
            rows: place.tool.0.rows_there(rows.len()),
            files: files.collect(),
            without_file: without_file.collect(),
            catalogue: Catalogue::default(),
            remarks: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn number(&self, state: &str) -> usize {
        self.files.iter().filter(|file| file.state == state).count()
    }

    /// For people, lines that end with a line feed.
    pub fn text(&self) -> String {
        let mut text = format!(
            "database {}: {} of {}, {}\n",
            visible(&self.database),
            visible(&self.table),
            self.called,
            count(self.rows, "row", "rows")
        );
        self.tell(&mut text, "applied", "applied", |file| {
            let at = file.at_micros.map(|at| format!(" at {}", utc(at))).unwrap_or_default();
            let changed = if file.text == Some("changed") { ", changed since" } else { "" };
            format!("{}{at}{changed}", visible(&file.path))
        });
        let unknown =
            self.files.iter().filter(|file| file.state == "applied" && file.text == Some("unknown"));
        let why: Vec<&str> = unknown.clone().filter_map(|file| file.why.as_deref()).collect();
        if let Some(first) = why.first() {
            let all = why.iter().all(|other| other == first);
            let _ = writeln!(
                text,
                "  whether {} what was applied is not known: {}",
                if why.len() == 1 { "1 file is".to_owned() } else { format!("{} files are", why.len()) },
                if all { first } else { "the table does not say" },
            );
        }
        self.tell(&mut text, "recorded", "recorded by cutover already", |file| {
            let why = file.why.as_ref().map(|why| format!(" ({})", visible(why))).unwrap_or_default();
            format!("{}{why}", visible(&file.path))
        });
        self.tell(&mut text, "failed", "failed there", |file| visible(&file.path));
        self.tell(&mut text, "taken_back", "taken back there, and pending", |file| visible(&file.path));
        self.tell(&mut text, "pending", "pending", |file| {
            let why = file.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("{}{why}", visible(&file.path))
        });
        for (state, words) in [
            ("missing", "applied there, without a file"),
            ("failed", "failed there, without a file"),
            ("unknown", "not to be understood"),
        ] {
            let rows: Vec<String> = self
                .without_file
                .iter()
                .filter(|row| row.state == state)
                .map(|row| format!("  {}", visible(&row.row)))
                .collect();
            if !rows.is_empty() {
                let rows_are = count(rows.len(), "row", "rows");
                let _ = writeln!(text, "{rows_are} {words}:\n{}", complaints(&rows, "\n"));
            }
        }
        self.catalogue.tell(&mut text);
        text
    }

    fn tell(&self, text: &mut String, state: &str, words: &str, line: impl Fn(&FileLine) -> String) {
        let lines: Vec<String> = self
            .files
            .iter()
            .filter(|file| file.state == state)
            .map(|file| format!("  {}", line(file)))
            .collect();
        if !lines.is_empty() {
            let files = count(self.number(state), "file", "files");
            let _ = writeln!(text, "{files} {words}:\n{}", complaints(&lines, "\n"));
        }
    }
}

impl Catalogue {
    fn tell(&self, text: &mut String) {
        let list = |list: &[String]| {
            let lines: Vec<String> = list.iter().map(|line| format!("  {}", visible(line))).collect();
            complaints(&lines, "\n")
        };
        if !self.compared {
            return;
        }
        let objects = count(self.objects, "object", "objects");
        let alike = if self.privileges.is_empty() {
            "all of it agrees"
        } else {
            "all of it agrees but for privileges"
        };
        if self.differences.is_empty() {
            let _ = writeln!(
                text,
                "what the applied files make was built on a throwaway server and compared with the database: {objects}, and {alike}"
            );
        } else {
            let _ = writeln!(
                text,
                "what the applied files make was built on a throwaway server and compared with the database: {objects}; not the same:\n{}",
                list(&self.differences)
            );
        }
        if !self.privileges.is_empty() {
            let _ = writeln!(text, "who may do what there is another matter:\n{}", list(&self.privileges));
        }
        if !self.besides.is_empty() {
            let _ = writeln!(text, "there besides, made by none of them:\n{}", list(&self.besides));
        }
    }
}
