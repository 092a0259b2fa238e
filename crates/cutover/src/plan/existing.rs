//! What pending migrations create and is in the database already: found before the first statement. A database that has the
//! tables of its files and no history was made by other means: `cutover baseline` takes it over.
//!
//! Only what is certain is reported. Something that an earlier statement drops, renames or moves may be gone by then, and what
//! belongs to it with it; where anything may have been dropped (CASCADE, DO, functions, code of the database) or names may mean
//! something else, the server has the last word.

use std::collections::HashMap;
use std::fmt;

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::sql::{quote_ident, quote_qualified};
use cutover_postgres::session::{Failure, Session};

use super::build::Built;
use super::code::Code;
use super::ground::{Ground, Runs};
use crate::places;
use crate::project::Project;
use crate::report::format::count;
use crate::script::{New, Script};
use crate::text::caret;

/// More of them are not named one by one.
const NAMED: usize = 10;

/// An object that a pending migration creates although it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Path of the migration.
    pub path: String,
    /// Line of its name, counted from 1; of the statement where it is not written out.
    pub line: u32,
    /// Column there, in characters, counted from 1.
    pub column: u32,
    /// That line, for the caret; empty where there is none to show.
    pub source_line: String,
    /// The object, as `kind name`.
    pub object: String,
}

/// Objects that pending migrations create although they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlreadyThere {
    /// The first of them, in order.
    pub first: Vec<Existing>,
    /// How many there are in all.
    pub count: usize,
    /// Name of the project, where nothing of it is recorded in the database.
    pub unknown_project: Option<String>,
    /// The last of the first pending migrations whose objects are all there.
    pub up_to: Option<String>,
}

impl fmt::Display for AlreadyThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Existing { path, line, column, source_line, object } in &self.first {
            writeln!(f, "{path}:{line}:{column}: creates {object}, which is in the database already")?;
            if !source_line.is_empty() {
                writeln!(f, "{}", caret(*line, *column, source_line))?;
            }
        }
        let more = self.count.saturating_sub(self.first.len());
        if more > 0 {
            writeln!(f, "… and {} more", count(more, "object", "objects"))?;
        }
        let version = self.up_to.as_deref().unwrap_or("VERSION");
        match &self.unknown_project {
            Some(project) => write!(
                f,
                "  hint: nothing of project {project} is recorded in this database. Where it was made by other means, \
                 `cutover baseline {version}` compares it with what the migrations up to there make and records them as \
                 applied without running them"
            ),
            None => write!(
                f,
                "  hint: where that was made by other means and is what the migration makes, `cutover baseline {version}` records \
                 it as applied; otherwise drop or rename what is there, or write IF NOT EXISTS"
            ),
        }
    }
}

struct Candidate<'a> {
    /// Index of the migration in the project.
    index: usize,
    new: &'a New,
    /// A table was dropped before: its partitions went with it.
    tables_dropped: bool,
    /// Something was dropped before: an index or sequence may have gone with it.
    any_dropped: bool,
    /// It is dropped again: a database that has all of the migrations has it not.
    passing: bool,
}

/// What is there that pending migrations create, each with the migration's place; and of how many it was looked for, by place.
pub(super) struct Found<'a> {
    candidates: Vec<Candidate<'a>>,
    there: Vec<bool>,
}

/// Looks up what pending migrations create. `session` must have the search path the migrations will run with.
pub(super) async fn look<'a>(
    built: &'a Built,
    ground: &Ground,
    session: &mut Session,
) -> Result<Found<'a>, Failure> {
    let candidates = candidates(built, ground);
    let there = are_there(&candidates, session).await?;
    Ok(Found { candidates, there })
}

impl Found<'_> {
    pub(super) fn any(&self) -> bool {
        self.there.contains(&true)
    }

    /// Whether this statement makes something that is there.
    pub(super) fn has(&self, new: &New) -> bool {
        let all = self.candidates.iter().zip(&self.there);
        all.filter(|(_, there)| **there).any(|(candidate, _)| std::ptr::eq(candidate.new, new))
    }

    /// What stays true of it where what runs from the migration at `limit` on is not known.
    pub(super) fn before(self, project: &Project, built: &Built, limit: usize) -> Option<AlreadyThere> {
        let all: Vec<(&Candidate<'_>, bool)> = self.candidates.iter().zip(self.there).collect();
        let found: Vec<&Candidate<'_>> = all
            .iter()
            .filter(|(candidate, there)| *there && candidate.index < limit)
            .map(|(candidate, _)| *candidate)
            .collect();
        if found.is_empty() {
            return None;
        }
        let lacks = |(candidate, there): &&(&Candidate<'_>, bool)| !there && !candidate.passing;
        let absent = all.iter().filter(lacks).map(|(candidate, _)| candidate.index).min();
        let whole = |candidate: &&&Candidate<'_>| absent.is_none_or(|absent| candidate.index < absent);
        let last = found.iter().filter(whole).map(|candidate| candidate.index).max();
        let first = found.iter().take(NAMED).map(|candidate| describe(project, candidate)).collect();
        Some(AlreadyThere {
            first,
            count: found.len(),
            unknown_project: built.history.is_empty().then(|| project.name.clone()),
            up_to: last.map(|index| project.migrations[index].id.version.text().to_owned()),
        })
    }
}

fn describe(project: &Project, candidate: &Candidate<'_>) -> Existing {
    let migration = &project.migrations[candidate.index];
    let New { object, line, column, .. } = candidate.new;
    let place = places::of_name(migration, &project.vars, (*line, *column), object);
    Existing {
        path: migration.path.clone(),
        line: place.line,
        column: place.column,
        source_line: place.source_line,
        object: object.to_string(),
    }
}

fn candidates<'a>(built: &'a Built, ground: &Ground) -> Vec<Candidate<'a>> {
    let mut code = Code::default();
    let mut moved = false;
    let mut dropped: Vec<&ObjectRef> = Vec::new();
    let mut candidates = Vec::new();
    for index in built.pending() {
        let Some(script) = built.scripts.get(&index) else { continue };
        code.learn(script);
        if code.may_act(script) {
            break;
        }
        moved |= ground.is_moved_by(script);
        let known = ground.known_news(script, |runs| runs != Runs::Unread);
        // What it creates may be there from the parts of it that are done.
        let begun =
            built.plan.steps.get(index).is_some_and(|step| built.history.begun(&step.migration).is_some());
        let is_new = |new: &&New| {
            let leads_elsewhere = moved && new.object.schema.is_none() && is_in_a_schema(new.object.kind);
            !begun && new.must_be_new && !leads_elsewhere
        };
        for new in script.news.iter().take(known.unwrap_or(usize::MAX)).filter(is_new) {
            let earlier = || dropped.iter().copied().chain(script.drops.iter().take(new.drops));
            if !new.object.name.is_empty() && !earlier().any(|drop| may_take_along(drop, &new.object)) {
                let tables_dropped = earlier().any(|drop| drop.kind.family() == ObjectKind::Relation);
                let any_dropped = earlier().next().is_some();
                candidates.push(Candidate { index, new, tables_dropped, any_dropped, passing: false });
            }
        }
        if known.is_some() || is_uncertain(script) {
            break;
        }
        dropped.extend(&script.drops);
    }
    note_passing(built, &mut candidates);
    candidates
}

/// Notes of each object whether its own migration or a later one drops it.
fn note_passing(built: &Built, candidates: &mut [Candidate<'_>]) {
    let drops = |index: usize| {
        built
            .scripts
            .get(&index)
            .into_iter()
            .flat_map(move |script| script.drops.iter().map(move |object| (index, object)))
    };
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (index, object) in built.pending().flat_map(drops) {
        last.insert(object.name.as_str(), index);
    }
    for candidate in candidates {
        let dropped = last.get(candidate.new.object.name.as_str());
        candidate.passing = dropped.is_some_and(|index| *index >= candidate.index);
    }
}

fn is_in_a_schema(kind: ObjectKind) -> bool {
    !matches!(kind, ObjectKind::Schema | ObjectKind::Extension)
}

/// Whether anything may be gone, or names may mean something else, behind a script of which all code is read.
pub(super) fn is_uncertain(script: &Script) -> bool {
    let extension = script.drops.iter().any(|object| object.kind == ObjectKind::Extension);
    script.sets_search_path || extension
}

/// Whether an object may be gone once another one is dropped, renamed or moved without CASCADE.
pub(super) fn may_take_along(drop: &ObjectRef, object: &ObjectRef) -> bool {
    let is_named = |kind: ObjectKind| matches!(kind.family(), ObjectKind::Relation | ObjectKind::Type);
    match drop.kind {
        ObjectKind::Schema if object.kind == ObjectKind::Schema => drop.name == object.name,
        ObjectKind::Schema => object.schema.as_ref().is_none_or(|schema| *schema == drop.name),
        ObjectKind::Extension => true,
        kind if is_named(kind) && is_named(object.kind) && drop.name == object.name => true,
        // What belongs to a table or a column goes with it.
        _ => matches!(object.kind, ObjectKind::Index | ObjectKind::Sequence),
    }
}

async fn are_there(candidates: &[Candidate<'_>], session: &mut Session) -> Result<Vec<bool>, Failure> {
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let of =
        |which: &dyn Fn(&Candidate<'_>) -> String| -> Vec<String> { candidates.iter().map(which).collect() };
    let kinds = of(&|candidate| match candidate.new.object.kind.family() {
        _ if candidate.new.object.kind == ObjectKind::Index => "index".to_owned(),
        ObjectKind::Relation => "relation".to_owned(),
        ObjectKind::Type => "type".to_owned(),
        ObjectKind::Schema => "schema".to_owned(),
        ObjectKind::Extension => "extension".to_owned(),
        _ => String::new(),
    });
    let schemas = of(&|candidate| candidate.new.object.schema.clone().unwrap_or_default().to_string());
    let names = of(&|candidate| candidate.new.object.name.to_string());
    let tables = of(&|candidate| {
        let ObjectRef { schema, table, .. } = &candidate.new.object;
        match (schema, table) {
            (Some(schema), Some(table)) => quote_qualified(schema, table),
            (None, Some(table)) => quote_ident(table),
            (_, None) => String::new(),
        }
    });
    let dropped: Vec<bool> = candidates.iter().map(|candidate| candidate.tables_dropped).collect();
    let any: Vec<bool> = candidates.iter().map(|candidate| candidate.any_dropped).collect();
    // Without a schema things are made in the first one of the search path that exists; an index in its table's.
    let rows = session
        .query(
            "SELECT CASE w.kind
                    WHEN 'relation' THEN EXISTS (SELECT FROM pg_catalog.pg_class c
                      WHERE c.relname = w.name AND c.relnamespace = n.oid AND NOT (c.relispartition AND w.dropped)
                        AND NOT (c.relkind IN ('i', 'I', 'S') AND w.any_dropped))
                    WHEN 'type' THEN EXISTS (SELECT FROM pg_catalog.pg_type t
                      WHERE t.typname = w.name AND t.typnamespace = n.oid AND t.typisdefined
                        AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid))
                    WHEN 'index' THEN EXISTS (SELECT FROM pg_catalog.pg_class t
                      JOIN pg_catalog.pg_class i ON i.relnamespace = t.relnamespace
                      WHERE w.owner <> '' AND t.oid = pg_catalog.to_regclass(nullif(w.owner, '')) AND i.relname = w.name)
                    WHEN 'schema' THEN EXISTS (SELECT FROM pg_catalog.pg_namespace s WHERE s.nspname = w.name)
                    WHEN 'extension' THEN EXISTS (SELECT FROM pg_catalog.pg_extension x WHERE x.extname = w.name)
                    ELSE false END
               FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::bool[]),
                              unnest($6::bool[]))
                    WITH ORDINALITY AS w (kind, schema, name, owner, dropped, any_dropped, n)
               LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = coalesce(nullif(w.schema, ''), pg_catalog.current_schema())
              ORDER BY w.n",
            &[&kinds, &schemas, &names, &tables, &dropped, &any],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
