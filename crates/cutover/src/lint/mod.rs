//! Findings about the migrations of a project: the rules of `cutover-analysis` over its files, in the order in which they would be
//! applied, with what a database says of itself where one is asked. Runs nothing.

mod document;
mod files;
mod github;
mod sarif;
mod settings;
mod text;

use std::collections::BTreeSet;

use cutover_analysis::lint::{Facts, Finding, Known, Linter, Seen, Selected, Severity};
use serde::Serialize;

use crate::migration::Migration;
use crate::places;
use crate::project::{Problem, Project};
use crate::script::{self, Looked};

pub use document::document;
pub use github::annotations;
pub use sarif::sarif;
pub use settings::LintSettings;
pub use text::lines;

/// A finding with its place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Located {
    /// The rule's code.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Path of the file relative to the project.
    pub path: String,
    /// Line, counted from 1; of findings about a file as a whole 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// The line, secrets starred; empty where there is none to show.
    pub source_line: String,
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub help: String,
    /// Who saw it.
    pub seen_by: Seen,
}

/// What was found in a project.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// In the order of the files and, within them, of the text.
    pub findings: Vec<Located>,
    /// Statements that do not parse, and files that cannot be read: nothing else is found there.
    pub broken: Vec<Problem>,
    /// How many files were looked at.
    pub files: usize,
}

impl Found {
    /// How many findings are of this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The findings that stop a run, unless their codes are allowed.
    pub fn blocking<'a>(&'a self, allow: &'a [String]) -> impl Iterator<Item = &'a Located> {
        self.findings.iter().filter(move |finding| {
            finding.severity == Severity::Error && !allow.iter().any(|code| code == finding.code)
        })
    }
}

/// Which migrations are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those at these places of the project; the others are taken for applied.
    These(BTreeSet<usize>),
}

/// Looks at migrations: `known` is what is there before the first of those that are looked at, where a database was asked.
pub fn look(project: &Project, which: &Which, known: Option<(Known, Facts)>) -> Found {
    let asked = known.is_some();
    let mut found = Found::default();
    let mut linter = Linter::new(known.map_or_else(Known::default, |(known, _)| known));
    let is_meant = |place: usize| match which {
        Which::All => true,
        Which::These(places) => places.contains(&place),
    };
    let nothing = Selected::none();
    let migrations: Vec<(usize, &Migration)> = project
        .migrations
        .iter()
        .enumerate()
        // Where the database says what is there, what is applied need not be read.
        .filter(|(place, _)| is_meant(*place) || !asked)
        .collect();
    let list: Vec<&Migration> = migrations.iter().map(|(_, migration)| *migration).collect();
    let mut located: Vec<(usize, Finding)> = Vec::new();
    script::look_through(&list, &project.vars, |at, statements| {
        let (place, migration) = migrations[at];
        let selected = if is_meant(place) { project.lint.selected(&migration.path) } else { nothing.clone() };
        found.files += usize::from(is_meant(place));
        let mut file = linter.file(&selected, migration.no_transaction);
        for looked in statements {
            match looked {
                Looked::Statement(statement, prepared) => {
                    if let Err(error) = file.statement(&statement, prepared) && is_meant(place) {
                        found.broken.push(places::of_syntax_error(migration, &project.vars, &statement, &error));
                    }
                }
                Looked::Broken(problem) => found.broken.extend(Some(problem).filter(|_| is_meant(place))),
            }
        }
        located.extend(file.end().into_iter().map(|finding| (at, finding)));
    });
    located.extend(linter.end());
    located.sort_by_key(|(at, finding)| (*at, finding.span.start));
    for (at, finding) in located {
        found.findings.push(locate(list[at], project, finding));
    }
    found.findings.extend(files::findings(project, &is_meant));
    found
}

fn locate(migration: &Migration, project: &Project, finding: Finding) -> Located {
    let place = places::of_offset(migration, &project.vars, finding.span.start);
    Located {
        code: finding.code,
        severity: finding.severity,
        path: migration.path.clone(),
        line: place.line,
        column: place.column,
        source_line: place.source_line,
        message: finding.message,
        help: finding.help,
        seen_by: finding.seen_by,
    }
}
