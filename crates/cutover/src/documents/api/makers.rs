//! Which file makes a routine, and which has changed it last, with their lines; followed through other names.

use std::collections::BTreeMap;

use cutover_analysis::effects::{ObjectKind, RoutineAct, RoutineName, RoutineStatement, routine_statements};
use cutover_postgres::session::{Failure, Session};
use serde::Serialize;

use super::catalogue::Catalogue;
use super::described::Comments;
use crate::documents::migrations::Labels;
use crate::inspect::Inspection;
use crate::migration::{Migration, MigrationId};
use crate::places::{self, FilePlace};
use crate::project::Project;
use crate::script::{Script, ScriptItem};

/// Where a statement stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::documents) struct Place {
    /// Label of the migration.
    pub(in crate::documents) migration: String,
    /// Its stage.
    pub(in crate::documents) stage: Option<String>,
    pub(in crate::documents) path: String,
    pub(in crate::documents) line: u32,
}

/// What is known of a routine's making.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    name: RoutineName,
    /// What the file that made it last says of it.
    pub(super) description: Option<String>,
    pub(super) made: Place,
    pub(super) changed: Option<Place>,
    /// A baseline recorded that it is there: no migration of the project was run for it.
    pub(super) is_before: bool,
}

/// Which migrations count.
pub(in crate::documents) struct Counted<'a> {
    pub(in crate::documents) project: &'a Project,
    pub(in crate::documents) files: &'a Inspection,
    pub(in crate::documents) labels: &'a Labels,
    /// Whether a migration is applied.
    pub(in crate::documents) is_applied: &'a (dyn Fn(&MigrationId) -> bool + Sync),
    /// Whether a baseline recorded it.
    pub(in crate::documents) is_before: &'a (dyn Fn(&MigrationId) -> bool + Sync),
}

/// What the applied files say of routines.
pub(super) fn of(counted: &Counted<'_>) -> Vec<Maker> {
    let mut all = Vec::new();
    let steps = counted.files.built.plan.steps.iter().zip(&counted.project.migrations).enumerate();
    for (place, (step, migration)) in steps {
        let script = counted.files.built.scripts.get(&place);
        if !(counted.is_applied)(&migration.id) || !script.is_none_or(speaks_of_routines) {
            continue;
        }
        let is_before = (counted.is_before)(&migration.id);
        for said in statements(counted.project, migration) {
            let place = Place {
                migration: counted.labels.of_id(&migration.id),
                stage: step.stage.clone(),
                path: step.path.clone(),
                line: said.line,
            };
            take(&mut all, said, place, is_before);
        }
    }
    all
}

fn speaks_of_routines(script: &Script) -> bool {
    let lists = [&script.creates, &script.alters, &script.drops];
    let is_routine = |kind: ObjectKind| kind.family() == ObjectKind::Routine || kind == ObjectKind::Aggregate;
    lists.into_iter().flatten().any(|object| is_routine(object.kind))
}

/// A statement about a routine, with its line in the file.
struct Said {
    line: u32,
    statement: RoutineStatement,
    /// What the comment above it says.
    description: Option<String>,
}

/// The statements of a file that are about routines.
fn statements(project: &Project, migration: &Migration) -> Vec<Said> {
    let script = Script::analyse(migration, &project.vars);
    let (mut found, mut alone) = (Vec::new(), true);
    for item in script.items(migration, &project.vars) {
        let Ok(ScriptItem::Statement { text, line, column, .. }) = item else { continue };
        let place = FilePlace { line, column, source_line: String::new() };
        let about = routine_statements(&text);
        alone &= !about.is_empty();
        found.extend(about.into_iter().map(|statement| (place.clone(), statement)));
    }
    let mut places: Vec<&mut FilePlace> = found.iter_mut().map(|(place, _)| place).collect();
    places::into_file(migration, &project.vars, &mut places);
    let makes = |act: &RoutineAct| matches!(act, RoutineAct::Makes { .. });
    let lines: Vec<u32> =
        found.iter().filter(|(_, statement)| makes(&statement.act)).map(|(place, _)| place.line).collect();
    let mut descriptions =
        if lines.is_empty() { Vec::new() } else { Comments::read(migration).above(&lines, alone) }
            .into_iter();
    let said = found.into_iter().map(|(place, statement)| Said {
        line: place.line,
        description: makes(&statement.act).then(|| descriptions.next()).flatten().flatten(),
        statement,
    });
    said.collect()
}

fn take(all: &mut Vec<Maker>, said: Said, place: Place, is_before: bool) {
    let Said { statement: RoutineStatement { routine, act }, description, .. } = said;
    let known = all.iter_mut().rev().find(|maker| maker.name.may_be(&routine));
    match (act, known) {
        (RoutineAct::Makes { may_replace: true } | RoutineAct::Alters, Some(known)) => {
            known.changed = Some(place);
            known.description = description.or(known.description.take());
        }
        (RoutineAct::Makes { .. }, _) => {
            all.push(Maker { name: routine, description, made: place, changed: None, is_before });
        }
        (RoutineAct::Renames(name), Some(known)) => {
            known.name.name = name;
            known.changed = Some(place);
        }
        (RoutineAct::Moves(schema), Some(known)) => {
            known.name.schema = Some(schema);
            known.changed = Some(place);
        }
        (RoutineAct::Drops, _) => {
            let last = all.iter().rposition(|maker| maker.name.may_be(&routine));
            if let Some(at) = last {
                all.remove(at);
            }
        }
        (_, None) => {}
    }
}

/// The makers by the routines that are there, as the server finds them.
pub(super) async fn found(
    session: &mut Session,
    catalogue: &Catalogue,
    makers: Vec<Maker>,
) -> Result<BTreeMap<usize, Maker>, Failure> {
    let named: Vec<String> = makers.iter().filter_map(|maker| maker.name.procedure()).collect();
    let oids = oids(session, &named).await?;
    let mut found = BTreeMap::new();
    for maker in makers {
        let oid = maker.name.procedure().and_then(|text| oids.get(&text));
        let at = oid.and_then(|oid| catalogue.by_oid(oid)).or_else(|| catalogue.only(&maker.name));
        if let Some(at) = at {
            found.insert(at, maker);
        }
    }
    Ok(found)
}

/// The routine of a text, where the server finds it.
pub(super) async fn oid(session: &mut Session, text: &str) -> Result<Option<String>, Failure> {
    Ok(oids(session, &[text.to_owned()]).await?.remove(text))
}

/// The routines of these texts that the server finds. What it refuses to look for, as in a schema that it may not look into, is not
/// found.
async fn oids(session: &mut Session, texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    if texts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let quoted: Vec<String> = texts.iter().map(|text| cutover_analysis::sql::quote_literal(text)).collect();
    let sql = format!(
        "SELECT t, pg_catalog.to_regprocedure(t)::pg_catalog.oid::pg_catalog.text FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) t \
         WHERE pg_catalog.to_regprocedure(t) IS NOT NULL",
        quoted.join(", ")
    );
    let rows = match session.query_text(&sql).await {
        Ok(found) => found.rows,
        Err(failure) if failure.code().is_some() => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let pair = |row: Vec<Option<String>>| {
        let mut fields = row.into_iter().flatten();
        Some((fields.next()?, fields.next()?))
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routine_is_followed_through_its_names() {
        let mut all = Vec::new();
        for (line, sql) in [
            (1, "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'"),
            (2, "CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'SELECT 1'"),
            (3, "CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 2'"),
            (4, "ALTER FUNCTION f(int) RENAME TO g"),
            (5, "ALTER FUNCTION g(int) SET SCHEMA s"),
            (6, "DROP FUNCTION f(text)"),
            (7, "CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'SELECT 1'"),
            (8, "ALTER FUNCTION f(text) STRICT"),
            (9, "CREATE FUNCTION gone() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
            (10, "DROP FUNCTION gone"),
        ] {
            for statement in routine_statements(sql) {
                let said = Said { line, statement, description: None };
                take(&mut all, said, Place { line, ..Place::default() }, false);
            }
        }
        let told: Vec<_> = all
            .iter()
            .map(|maker| {
                (
                    maker.name.procedure().unwrap(),
                    maker.made.line,
                    maker.changed.as_ref().map(|place| place.line),
                )
            })
            .collect();
        assert_eq!(
            told,
            [("s.g(pg_catalog.int4)".to_owned(), 1, Some(5)), ("f(pg_catalog.text)".to_owned(), 7, Some(8))]
                .map(|(name, made, changed)| (name.replace("pg_catalog.text", "text"), made, changed))
        );
    }
}
