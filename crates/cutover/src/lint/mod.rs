//! Findings about the migrations of a project: the rules of `cutover-analysis` over its files, in the order in which they would be
//! applied, with what a database says of itself where one is asked. Runs nothing.

pub(crate) mod database;
mod document;
mod files;
pub mod fix;
mod github;
pub(crate) mod of_run;
mod sarif;
mod settings;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::sync::Arc;

use cutover_analysis::lint::fix::Mended;
pub use cutover_analysis::lint::{About, Known, Seen, Severity, all, by_code, page};
use cutover_analysis::lint::{Finding, Linter, Selected};
use serde::{Deserialize, Serialize};

use crate::migration::Migration;
use crate::places::{self, FilePlace};
use crate::project::{Place, Problem, Project};
use crate::script::{self, Broken, Looked, Pieces};
use crate::secrets::Secrets;

pub use database::{Pending, pending};
pub use document::{document, mended_document, rule_document, rules_document};
pub use github::annotations;
pub use of_run::told;
pub use sarif::sarif;
pub use settings::{AtApply, LintSettings};
pub use text::lines;

/// A finding with its place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// The rule's code.
    pub code: String,
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
    /// How `lint --fix` would mend it, or why it would not; nothing where that takes thought.
    #[serde(rename = "fix", skip_deserializing)]
    pub mending: Option<Mending>,
}

/// How a finding is mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mending {
    /// Number of the statement in the file, from 0.
    pub statement: usize,
    /// The safe form, or why it is not mechanical here.
    pub fix: Mended,
}

impl Serialize for Mending {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Said<'a> {
            done: Option<&'a str>,
            why_not: Option<&'a str>,
        }
        let said = match &self.fix {
            Ok(fix) => Said { done: Some(fix.title), why_not: None },
            Err(why) => Said { done: None, why_not: Some(why) },
        };
        said.serialize(serializer)
    }
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
        self.findings
            .iter()
            .filter(move |finding| finding.severity == Severity::Error && !allow.contains(&finding.code))
    }
}

/// What is looked at, and what counts as one run: what a run makes itself may be locked freely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All files, each as a run of its own.
    Each,
    /// Those at these places of the project, each as a run of its own; the others are there before.
    These(BTreeSet<usize>),
    /// Those at these places of the project as one run; the others are there before.
    OneRun(BTreeSet<usize>),
}

impl Which {
    fn is_meant(&self, place: usize) -> bool {
        match self {
            Self::Each => true,
            Self::These(places) | Self::OneRun(places) => places.contains(&place),
        }
    }

    /// Whether each file is a run of its own.
    fn is_each(&self) -> bool {
        !matches!(self, Self::OneRun(_))
    }
}

/// Looks at the migrations of a project. `known` is what a database says of itself before the first of those that are meant; without it
/// the files before them say what is there.
pub fn look(project: &Project, which: &Which, known: Option<Known>) -> Found {
    let asked = known.is_some();
    let mut run = Run {
        project,
        linter: Linter::new(known.unwrap_or_default().with_naming(project.lint.naming.clone())),
        found: Found::default(),
        said: Vec::new(),
        of_runs: 0,
        last: None,
    };
    let meant = |(place, _): &(usize, &Migration)| which.is_meant(*place) || !asked;
    let list: Vec<(usize, &Migration)> = project.migrations.iter().enumerate().filter(meant).collect();
    let migrations: Vec<&Migration> = list.iter().map(|(_, migration)| *migration).collect();
    let mut is_inside = false;
    script::look_through(&migrations, &project.vars, |at, pieces| {
        let is_meant = which.is_meant(list[at].0);
        if which.is_each() || is_meant != is_inside {
            run.put_off();
        }
        is_inside = is_meant;
        run.file((at, migrations[at]), is_meant, pieces);
    });
    run.finish(&migrations, &|place| which.is_meant(place))
}

/// Looks at the file at one place of the project, with what is before it as there.
pub fn look_at(project: &Project, place: usize) -> Found {
    let mut until = project.clone();
    until.migrations.truncate(place + 1);
    look(&until, &Which::OneRun([place].into()), None)
}

/// A finding, and of those about a run as a whole the how manieth of all.
struct Said {
    finding: Finding,
    of_run: Option<usize>,
}

struct Run<'a> {
    project: &'a Project,
    linter: Linter,
    found: Found,
    /// What was said, each with the place of its file in the list, and its own in the file where that is known already.
    said: Vec<(usize, Said, Option<FilePlace>)>,
    /// How much was said of runs as a whole: what is said next of one is this one of all.
    of_runs: usize,
    /// The last file, where its text is at hand, and what was said of it: its place in the list.
    last: Option<(usize, Arc<str>, Vec<Said>)>,
}

impl Run<'_> {
    /// Ends a run, and begins another one with the next file.
    fn put_off(&mut self) {
        let found = self.linter.begin_run();
        self.say_of_run(found);
        self.leave_file();
    }

    fn say_of_run(&mut self, found: Vec<(usize, Finding)>) {
        for (at, finding) in found {
            let said = Said { finding, of_run: Some(self.of_runs) };
            self.of_runs += 1;
            match &mut self.last {
                Some((last, _, findings)) if *last == at => findings.push(said),
                _ => self.said.push((at, said, None)),
            }
        }
    }

    /// Gives what was said of the last file its places, while the text is at hand.
    fn leave_file(&mut self) {
        let Some((at, text, findings)) = self.last.take().filter(|(.., findings)| !findings.is_empty())
        else {
            return;
        };
        let starts: Vec<usize> = findings.iter().map(|said| said.finding.span.start).collect();
        let mut placed = places::in_text(&text, &starts).unwrap_or_default().into_iter();
        self.said.extend(findings.into_iter().map(|finding| (at, finding, placed.next())));
    }

    fn file(&mut self, (at, migration): (usize, &Migration), is_meant: bool, pieces: &mut Pieces) {
        let vars = &self.project.vars;
        let selected =
            if is_meant { self.project.lint.selected(&migration.path) } else { Selected::nothing() };
        self.found.files += usize::from(is_meant);
        let mut file = self.linter.file(&selected, migration.no_transaction);
        while let Some(looked) = pieces.next() {
            let broken = match looked {
                Looked::Statement(statement, prepared) => match file.statement(&statement, prepared) {
                    Ok(spent) => {
                        pieces.give_back(spent);
                        continue;
                    }
                    Err(error) => {
                        let (line, column, source_line) = Secrets::of(vars).locate(
                            &statement.text,
                            error.offset,
                            statement.line,
                            statement.column,
                        );
                        let mut place = FilePlace { line, column, source_line };
                        places::into_file(migration, vars, &mut [&mut place]);
                        problem(migration, Some(place), error.message, None)
                    }
                },
                Looked::Broken(Broken { place, in_file, message, hint }) => {
                    let place = place.map(|Place { line, column }| {
                        let mut place = FilePlace { line, column, source_line: String::new() };
                        if !in_file {
                            places::into_file(migration, vars, &mut [&mut place]);
                        }
                        place
                    });
                    problem(migration, place, message, hint)
                }
            };
            self.found.broken.extend(Some(broken).filter(|_| is_meant));
        }
        let findings: Vec<Said> =
            file.end().into_iter().map(|finding| Said { finding, of_run: None }).collect();
        self.leave_file();
        match pieces.text() {
            Some(text) => self.last = Some((at, text, findings)),
            None => self.said.extend(findings.into_iter().map(|finding| (at, finding, None))),
        }
    }

    /// Gives every finding its place, and adds what the names of files say.
    fn finish(mut self, migrations: &[&Migration], is_meant: &dyn Fn(usize) -> bool) -> Found {
        // What a later file has put right is right.
        let (found, holds) = std::mem::take(&mut self.linter).end();
        self.say_of_run(found);
        self.leave_file();
        let holds = |of_run: usize| holds.get(of_run).copied().unwrap_or(true);
        self.said.retain(|(_, said, _)| said.of_run.is_none_or(holds));
        self.said.sort_by_key(|(at, said, _)| (*at, said.finding.span.start));
        for of_file in self.said.chunk_by_mut(|(one, ..), (other, ..)| one == other) {
            let Some(migration) = of_file.first().map(|(at, ..)| migrations[*at]) else { continue };
            let sought: Vec<_> = of_file.iter_mut().filter(|(.., place)| place.is_none()).collect();
            let wanted: Vec<(usize, usize)> =
                sought.iter().map(|(_, said, _)| (said.finding.statement, said.finding.offset)).collect();
            if wanted.is_empty() {
                continue;
            }
            let placed = places::of_parts(migration, &self.project.vars, &wanted);
            sought.into_iter().zip(placed).for_each(|((.., place), found)| *place = Some(found));
        }
        let located = self
            .said
            .into_iter()
            .filter_map(|(at, said, place)| Some(located(migrations[at], said.finding, place?)));
        self.found.findings.extend(located);
        self.found.findings.extend(files::findings(self.project, is_meant));
        self.found
    }
}

fn problem(
    migration: &Migration,
    place: Option<FilePlace>,
    message: String,
    hint: Option<String>,
) -> Problem {
    let (place, source_line) = match place {
        Some(FilePlace { line, column, source_line }) => (Some(Place { line, column }), source_line),
        None => (None, String::new()),
    };
    Problem { path: migration.path.clone(), place, source_line, message, hint, twin: false }
}

fn located(migration: &Migration, finding: Finding, place: FilePlace) -> Located {
    let statement = finding.statement;
    Located {
        code: finding.code.to_owned(),
        severity: finding.severity,
        path: migration.path.clone(),
        line: place.line,
        column: place.column,
        source_line: place.source_line,
        message: finding.message,
        help: finding.help,
        seen_by: finding.seen_by,
        mending: finding.fix.map(|fix| Mending { statement, fix }),
    }
}
