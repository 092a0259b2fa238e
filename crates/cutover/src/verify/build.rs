//! Building the design: the statements of all DDL files in an order in which each finds what it needs, whatever the
//! files are called and however they are cut.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::path::Path;

use cutover_analysis::effects::{Effects, ObjectKind, ObjectRef, effects_of_text};
use cutover_analysis::sql::{Item, SplitError, Splitter};
use cutover_postgres::session::Session;

use super::failure_text;
use crate::migration::Source;
use crate::project::{CONFIG_FILE, Place, PlaceholderError, Problem, Project, text};
use crate::reading::Reported;
use crate::text::locate;

/// A statement of the design with where it comes from.
#[derive(Debug)]
pub(crate) struct Definition {
    /// File relative to the project.
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) text: String,
    pub(crate) effects: Effects,
}

impl Definition {
    fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// The tables it creates, also partitions.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &ObjectRef> {
        self.effects
            .creates
            .iter()
            .filter(|object| object.kind == ObjectKind::Table && !object.is_temporary())
    }
}

/// Reads all statements of the design's files, in the order of files and lines.
pub(crate) fn read(project: &Project) -> Result<Vec<Definition>, String> {
    let mut definitions = Vec::new();
    for path in &project.design.ddl {
        definitions.extend(read_file(project, path).map_err(|problem| in_one_line(&problem))?);
    }
    Ok(definitions)
}

/// What keeps the design from being read or ordered, as far as its text says.
pub(crate) fn problems(project: &Project) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut definitions = Vec::new();
    for path in &project.design.ddl {
        match read_file(project, path) {
            Ok(of_file) => definitions.extend(of_file),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty()
        && let Err(why) = order(&definitions)
    {
        problems.push(Problem::of_file(CONFIG_FILE, why));
    }
    problems
}

fn in_one_line(problem: &Problem) -> String {
    let place = problem.place.map_or_else(String::new, |Place { line, column }| format!(":{line}:{column}"));
    format!("{}{place}: {}", problem.path, problem.message)
}

fn read_file(project: &Project, path: &Path) -> Result<Vec<Definition>, Problem> {
    let file = project.display_path(path);
    let at = |line: u32, column: u32, source_line: &str, message: &str| Problem {
        place: Some(Place { line, column }),
        source_line: source_line.to_owned(),
        ..Problem::of_file(&file, message)
    };
    let opened = text::open(&Source::File(path.to_owned()))
        .map_err(|error| Problem::of_file(&file, format!("cannot read the file: {error}")))?;
    let reader = text::substitute(opened, project.vars.clone());
    let mut definitions: Vec<Definition> = Vec::new();
    for item in Splitter::new(reader) {
        match item {
            Ok(Item::Statement(statement)) => {
                let effects = effects_of_text(&statement.text).map_err(|error| {
                    let (line, column, source_line) =
                        locate(&statement.text, error.offset, statement.line, statement.column);
                    at(line, column, &source_line, &error.message)
                })?;
                definitions.push(Definition {
                    file: file.clone(),
                    line: statement.line,
                    text: statement.text,
                    effects,
                });
            }
            Ok(Item::CopyData(_) | Item::CopyEnd) => {
                let line = definitions.last().map_or(1, |copy| copy.line);
                return Err(at(line, 1, "", "data has no place in the design"));
            }
            Ok(Item::PsqlCommand { text, line, column }) => {
                return Err(at(line, column, "", &format!("{text}: commands of psql are not SQL")));
            }
            Err(SplitError::Read(cause)) => {
                return Err(match PlaceholderError::of(&cause) {
                    Some(missing) => missing.in_file(&file),
                    None => Problem::of_file(&file, format!("cannot read the file: {cause}")),
                });
            }
            Err(error) => {
                let (line, column) = error.place().map_or((1, 1), |place| (place.line, place.column));
                return Err(at(line, column, "", &error.to_string()));
            }
        }
    }
    Ok(definitions)
}

/// An order in which everything is there when it is needed, as close to the files' own as possible.
pub(crate) fn order(definitions: &[Definition]) -> Result<Vec<usize>, String> {
    let needs: Vec<BTreeSet<usize>> = (0..definitions.len()).map(|index| needs(definitions, index)).collect();
    let mut left: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let ready = (0..definitions.len()).filter(|index| left[*index] == 0).map(Reverse);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.collect();
    let mut order = Vec::with_capacity(definitions.len());
    while let Some(Reverse(next)) = ready.pop() {
        order.push(next);
        for (later, needed) in needs.iter().enumerate() {
            if needed.contains(&next) {
                left[later] -= 1;
                if left[later] == 0 {
                    ready.push(Reverse(later));
                }
            }
        }
    }
    if order.len() == definitions.len() { Ok(order) } else { Err(cycle(definitions, &needs, &order)) }
}

/// The statements that create what this one needs. Where several do (`CREATE OR REPLACE`), the nearest before it.
fn needs(definitions: &[Definition], index: usize) -> BTreeSet<usize> {
    let own = &definitions[index].effects;
    let needed = own.references.iter().map(|reference| &reference.object).chain(&own.alters);
    let mut found = BTreeSet::new();
    for object in needed.filter(|object| !own.creates.iter().any(|made| same(made, object))) {
        let makes = |at: &usize| {
            *at != index && definitions[*at].effects.creates.iter().any(|made| same(made, object))
        };
        let before = (0..index).rev().find(makes);
        found.extend(before.or_else(|| (index + 1..definitions.len()).find(makes)));
    }
    found
}

/// Whether two names mean one object, as far as names without a schema tell.
fn same(one: &ObjectRef, other: &ObjectRef) -> bool {
    let schema = one.schema.is_none() || other.schema.is_none() || one.schema == other.schema;
    one.name == other.name
        && one.kind.family() == other.kind.family()
        && schema
        && (one.table.is_none() || other.table.is_none() || one.table == other.table)
}

/// Names statements that wait for each other.
fn cycle(definitions: &[Definition], needs: &[BTreeSet<usize>], done: &[usize]) -> String {
    let stuck = |index: &usize| !done.contains(index);
    let mut path: Vec<usize> = Vec::new();
    let mut next = (0..definitions.len()).find(stuck);
    while let Some(index) = next {
        if let Some(start) = path.iter().position(|seen| *seen == index) {
            path.drain(..start);
            break;
        }
        path.push(index);
        next = needs[index].iter().copied().find(stuck);
    }
    let places: Vec<String> = path.iter().map(|index| definitions[*index].place()).collect();
    format!(
        "the design cannot be built: {} need each other; give one of the keys in an ALTER TABLE of its own",
        places.join(", ")
    )
}

/// Builds the design in an empty database.
pub(crate) async fn build(session: &mut Session, definitions: &[Definition]) -> Result<(), String> {
    // Bodies of functions may name what comes later.
    session.execute("SET check_function_bodies = off").await.map_err(|failure| failure_text(&failure))?;
    let mut reported = Reported::default();
    for index in order(definitions)? {
        let definition = &definitions[index];
        if let Some(bent) = reported.misreads(&definition.text) {
            let by = definitions.get(bent.by).map_or_else(String::new, Definition::place);
            return Err(format!("the design cannot be built: {by}: {}", bent.because()));
        }
        let flight = session.launch(&definition.text).await;
        let outcome = session.land(flight).await;
        reported.take(index, &outcome.parameters);
        if let Err(failure) = outcome.result {
            let missing = missing(definitions, index).map(|why| format!("; {why}")).unwrap_or_default();
            return Err(format!(
                "the design cannot be built: {}: {}{missing}",
                definition.place(),
                failure_text(&failure)
            ));
        }
    }
    Ok(())
}

/// What a statement needs that no file of the design creates.
fn missing(definitions: &[Definition], index: usize) -> Option<String> {
    let own = &definitions[index].effects;
    let made = |object: &ObjectRef| {
        definitions.iter().any(|other| other.effects.creates.iter().any(|made| same(made, object)))
    };
    let missing: Vec<String> = own
        .references
        .iter()
        .filter(|reference| {
            reference.object.kind.family() == ObjectKind::Relation && !made(&reference.object)
        })
        .map(|reference| format!("{} ({})", reference.object, reference.why))
        .collect();
    (!missing.is_empty()).then(|| format!("no file of the design creates {}", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions(texts: &[&str]) -> Vec<Definition> {
        let definition = |(line, text): (usize, &&str)| Definition {
            file: "a.sql".into(),
            line: u32::try_from(line).unwrap() + 1,
            text: (*text).into(),
            effects: effects_of_text(text).unwrap(),
        };
        texts.iter().enumerate().map(definition).collect()
    }

    #[test]
    fn a_table_comes_before_what_needs_it_and_the_rest_stays_in_order() {
        let all = definitions(&[
            "CREATE TABLE runs (id int PRIMARY KEY, job int REFERENCES jobs)",
            "CREATE INDEX ON runs (job)",
            "CREATE TABLE other (id int)",
            "CREATE VIEW v AS SELECT * FROM runs",
            "CREATE TABLE jobs (id int PRIMARY KEY, state mood)",
            "CREATE TYPE mood AS ENUM ('ok')",
        ]);
        assert_eq!(order(&all).unwrap(), [2, 5, 4, 0, 1, 3]);
    }

    #[test]
    fn tables_that_need_each_other_are_named() {
        let all =
            definitions(&["CREATE TABLE a (b int REFERENCES b)", "CREATE TABLE b (a int REFERENCES a)"]);
        let why = order(&all).unwrap_err();
        assert!(why.contains("a.sql:1, a.sql:2 need each other"), "{why}");
    }

    #[test]
    fn a_table_may_refer_to_itself() {
        let all = definitions(&["CREATE TABLE a (id int PRIMARY KEY, up int REFERENCES a)"]);
        assert_eq!(order(&all).unwrap(), [0]);
    }
}
