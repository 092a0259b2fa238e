//! What pending migrations need and nobody provides, also where an earlier one of them drops it: found before the first
//! statement.
//!
//! Only what is certain is reported. Where names cannot be looked up from outside (a search path set in a file), where an
//! earlier statement may create anything (DO, CALL, functions, extensions, triggers of the database: `plan/code.rs`), and
//! where PostgreSQL chooses names that the text does not say (the indexes of partitions and of copied tables), the server
//! has the last word.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use cutover_analysis::effects::{ObjectKind, ObjectRef, implied};
use cutover_analysis::sql::{quote_ident, quote_qualified};
use cutover_postgres::session::{Failure, Session};

use super::build::Built;
use super::code::Code;
use super::ground::{Ground, Runs};
use crate::adopt;
use crate::history::schema::SCHEMA;
use crate::places;
use crate::project::Project;
use crate::script::{Need, Script, same_name};

/// An object that a pending migration needs and that neither the database nor an earlier migration has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
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
    /// Why it is needed.
    pub why: String,
    /// The migration that would run before this one and drops it.
    pub dropped_by: Option<String>,
    /// A migration of the project that creates it, where one does.
    pub created_by: Option<String>,
    /// That migration comes after this one.
    pub created_later: bool,
    /// It is the table of the tool that the files are written for: which one, and how that makes it.
    pub made_by_tool: Option<(&'static str, String)>,
    /// The files of all migrations were read to look for one; otherwise those that would run.
    pub all_read: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, object, why, .. } = self;
        write!(f, "{path}:{line}:{column}: needs {object} ({why}), which ")?;
        match &self.dropped_by {
            Some(earlier) => write!(f, "{earlier} drops before")?,
            None => f.write_str("does not exist")?,
        }
        if !self.source_line.is_empty() {
            write!(f, "\n{}", crate::text::caret(*line, *column, &self.source_line))?;
        }
        match &self.created_by {
            Some(path) if self.created_later && self.dropped_by.is_some() => {
                write!(f, "\n  hint: {path} creates it again, but comes after this one")
            }
            _ if self.dropped_by.is_some() => {
                write!(f, "\n  hint: this one must come before, or do without it")
            }
            Some(path) if self.created_later => {
                write!(
                    f,
                    "\n  hint: {path} creates it, but comes after this one: the numbers must be the other way round"
                )
            }
            Some(path) => write!(f, "\n  hint: {path} creates it: apply that first"),
            None => self.nobody_makes_it(f),
        }
    }
}

impl Missing {
    fn nobody_makes_it(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.made_by_tool {
            Some((tool, statement)) => write!(
                f,
                "\n  hint: it is {tool}'s own table, which {tool} makes and no migration does: where {tool} never was, make it \
                 first, or in a migration of its own before this one: {statement}"
            ),
            None if self.all_read => write!(f, "\n  hint: no migration of this project creates it"),
            None => write!(f, "\n  hint: no pending migration creates it"),
        }
    }
}

/// Something that is needed and that no migration before provides.
struct Candidate<'a> {
    /// Index of the migration in the project.
    index: usize,
    need: &'a Need,
    gone: Option<Gone>,
}

/// An object that is dropped before it is needed.
#[derive(Debug, Clone, Copy)]
struct Gone {
    /// Index of the migration that drops it.
    by: usize,
    /// It was made by a pending one, too: the database knows it not, or as another object.
    made: bool,
}

/// Looks up what pending migrations need; each with the migration's place. `session` must have the search path the migrations
/// will run with.
///
/// # Errors
/// As the server says.
pub(super) async fn missing(
    project: &Project,
    built: &Built,
    ground: &Ground,
    session: &mut Session,
) -> Result<Vec<(usize, Missing)>, Failure> {
    let candidates = candidates(built, ground);
    let objects: Vec<&ObjectRef> = candidates.iter().map(|candidate| &candidate.need.object).collect();
    let there = exist(session, &objects).await?;
    let namesakes = namesakes(&candidates, session).await?;
    let is_absent = |(candidate, (there, namesakes)): &(&Candidate<'_>, (bool, i64))| match candidate.gone {
        // Behind one that is dropped, another one of that name may be found.
        Some(gone) => *namesakes <= i64::from(!gone.made),
        None => !there,
    };
    let absent: Vec<&Candidate<'_>> = candidates
        .iter()
        .zip(there.into_iter().zip(namesakes))
        .filter(is_absent)
        .map(|(candidate, _)| candidate)
        .collect();
    let creators = Creators::of(project, built);
    Ok(absent
        .into_iter()
        .map(|candidate| (candidate.index, describe(project, &creators, candidate)))
        .collect())
}

/// How many objects each name that is dropped may mean, in the schema that it is dropped in or, without one, in all of the
/// search path.
async fn namesakes(candidates: &[Candidate<'_>], session: &mut Session) -> Result<Vec<i64>, Failure> {
    let gone = |candidate: &Candidate<'_>| {
        let object = &candidate.need.object;
        // A schema has no other, and one that is named is not looked for elsewhere.
        candidate.gone.is_some() && object.schema.is_none() && object.kind != ObjectKind::Schema
    };
    if !candidates.iter().any(gone) {
        return Ok(vec![0; candidates.len()]);
    }
    let kinds: Vec<&str> = candidates
        .iter()
        .map(|candidate| if gone(candidate) { lookup(candidate.need.object.kind).unwrap_or("") } else { "" })
        .collect();
    let names: Vec<&str> = candidates.iter().map(|candidate| candidate.need.object.name.as_str()).collect();
    let rows = session
        .query(
            "SELECT CASE w.kind
                    WHEN 'relation' THEN (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c
                      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                     WHERE c.relname = w.name AND n.nspname = ANY (pg_catalog.current_schemas(true)))
                    WHEN 'type' THEN (SELECT pg_catalog.count(*) FROM pg_catalog.pg_type t
                      JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
                     WHERE t.typname = w.name AND n.nspname = ANY (pg_catalog.current_schemas(true)))
                    ELSE 0 END
               FROM ROWS FROM (unnest($1::text[]), unnest($2::text[])) WITH ORDINALITY AS w (kind, name, n) ORDER BY w.n",
            &[&kinds, &names],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What a run of the migrations alone, from an empty database on, would find missing although a later migration creates
/// it. From the files alone: what a real database has besides is not known.
pub fn created_too_late(project: &Project, built: &Built) -> Vec<Missing> {
    let creators = Creators::of(project, built);
    let too_late = |candidate: &Candidate<'_>| {
        creators
            .of_object(candidate.index, &candidate.need.object)
            .is_some_and(|creator| creator > candidate.index)
    };
    let candidates = candidates(built, &Ground::default());
    let late = candidates.iter().filter(|candidate| too_late(candidate));
    late.map(|candidate| describe(project, &creators, candidate)).collect()
}

fn describe(project: &Project, creators: &Creators<'_>, candidate: &Candidate<'_>) -> Missing {
    let Candidate { index, need, gone } = *candidate;
    let migration = &project.migrations[index];
    let creator = match gone {
        // What has made it before is of no use.
        Some(_) => creators.after(index, &need.object),
        None => creators.of_object(index, &need.object),
    };
    let place = places::of_name(migration, &project.vars, (need.line, need.column), &need.object);
    Missing {
        path: migration.path.clone(),
        line: place.line,
        column: place.column,
        source_line: place.source_line,
        object: need.object.to_string(),
        why: need.why.clone(),
        dropped_by: gone.map(|gone| project.migrations[gone.by].path.clone()),
        created_by: creator.map(|creator| project.migrations[creator].path.clone()),
        created_later: creator.is_some_and(|creator| creator > index),
        made_by_tool: adopt::tool_of_table(project, &need.object),
        all_read: creators.all_read,
    }
}

/// Which of these objects exist, as far as their kinds can be looked up; others count as there. `session` must have the
/// search path that the names are meant under.
///
/// # Errors
/// As the server says.
pub(crate) async fn exist(session: &mut Session, objects: &[&ObjectRef]) -> Result<Vec<bool>, Failure> {
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let kinds: Vec<&str> = objects.iter().map(|object| lookup(object.kind).unwrap_or("")).collect();
    let names: Vec<String> = objects.iter().map(|object| qualified(object)).collect();
    let plain: Vec<&str> = objects.iter().map(|object| object.name.as_str()).collect();
    let rows = session
        .query(
            "SELECT CASE w.kind
                    WHEN 'relation' THEN pg_catalog.to_regclass(w.name) IS NOT NULL
                    WHEN 'type' THEN pg_catalog.to_regtype(w.name) IS NOT NULL
                    WHEN 'schema' THEN pg_catalog.to_regnamespace(w.name) IS NOT NULL
                    WHEN 'routine' THEN EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proname = w.plain)
                    ELSE true END
               FROM ROWS FROM (unnest($1::text[]), unnest($2::text[]), unnest($3::text[]))
                    WITH ORDINALITY AS w (kind, name, plain, n) ORDER BY w.n",
            &[&kinds, &names, &plain],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn candidates<'a>(built: &'a Built, ground: &Ground) -> Vec<Candidate<'a>> {
    let mut made = Made::default();
    let mut candidates = Vec::new();
    for index in built.pending() {
        let Some(script) = built.scripts.get(&index) else { continue };
        made.look_ahead(script);
        // From here on a name may mean, or be, anything.
        if script.sets_search_path || made.code.may_act(script) {
            break;
        }
        // What a migration needed before its first part may be gone with one that is done.
        let begun =
            built.plan.steps.get(index).is_some_and(|step| built.history.begun(&step.migration).is_some());
        // An extension that is made brings what nobody has listed.
        let known = ground.known_news(script, |runs| runs == Runs::Nothing);
        let certain = |need: &&Need| !begun && need.certain && known.is_none_or(|known| need.news < known);
        for need in script.needs.iter().filter(certain) {
            // Our own tables are there when it runs, if not yet.
            let gone = made.gone(&need.object);
            let there =
                need.object.schema.as_deref() == Some(SCHEMA) || gone.is_none() && made.has(&need.object);
            if !there && !need.object.is_temporary() && lookup(need.object.kind).is_some() {
                candidates.push(Candidate { index, need, gone });
            }
        }
        made.add(index, script);
        if known.is_some() {
            break;
        }
    }
    candidates
}

/// What pending migrations make, or may make without saying so.
#[derive(Default)]
struct Made<'a> {
    /// Schemas by name.
    created: HashMap<&'a str, BTreeSet<Option<&'a str>>>,
    /// What is dropped and not made again, by name.
    dropped: HashMap<&'a str, Vec<(&'a ObjectRef, Gone)>>,
    /// Schemas that had another name: what is in them is not known under this one.
    renamed: BTreeSet<&'a str>,
    /// There are names that PostgreSQL chooses.
    unnamed: bool,
    /// What runs by itself.
    code: Code,
}

impl<'a> Made<'a> {
    /// What of a script matters already to itself.
    fn look_ahead(&mut self, script: &'a Script) {
        self.unnamed |= script.vertex.chosen.iter().any(|object| object.name.is_empty());
        self.code.learn(script);
        let is_schema = |object: &&ObjectRef| object.kind == ObjectKind::Schema;
        if script.drops.iter().any(|object| is_schema(&object)) {
            self.renamed.extend(script.creates.iter().filter(is_schema).map(|object| object.name.as_str()));
        }
    }

    fn add(&mut self, index: usize, script: &'a Script) {
        for object in &script.drops {
            // Which comes first in the file is not known here; and the name may mean a temporary object of the file.
            if script.creates.iter().any(|made| made.name == object.name) {
                continue;
            }
            let gone = Gone { by: index, made: self.has(object) };
            self.dropped.entry(object.name.as_str()).or_default().push((object, gone));
        }
        for object in script.creates.iter().chain(&script.vertex.chosen) {
            if let Some(dropped) = self.dropped.get_mut(object.name.as_str()) {
                dropped.retain(|(gone, _)| !same_name(gone, object));
            }
            self.created.entry(object.name.as_str()).or_default().insert(object.schema.as_deref());
        }
    }

    /// What has certainly dropped an object, if anything has: a name with a schema and one without may not mean the same, and
    /// a routine may have a namesake with other arguments.
    fn gone(&self, object: &ObjectRef) -> Option<Gone> {
        let dropped = |name: &str, is_it: &dyn Fn(&ObjectRef) -> bool| {
            let dropped = self.dropped.get(name)?;
            dropped.iter().find(|(gone, _)| is_it(gone)).map(|(_, gone)| *gone)
        };
        if object.kind.family() == ObjectKind::Routine {
            return None;
        }
        let family = object.kind.family();
        let itself =
            dropped(&object.name, &|gone| gone.kind.family() == family && gone.schema == object.schema);
        let schema = || {
            let schema = object.schema.as_deref()?;
            dropped(schema, &|gone| gone.kind == ObjectKind::Schema)
        };
        itself.or_else(schema)
    }

    /// Whether an object is made, or may be.
    fn has(&self, object: &ObjectRef) -> bool {
        let schema = object.schema.as_deref();
        let made = |name: &str| {
            self.created.get(name).is_some_and(|schemas| {
                schema.is_none() || schemas.contains(&None) || schemas.contains(&schema)
            })
        };
        let implied = || match object.kind.family() {
            ObjectKind::Type => implied::bases_of_type(&object.name).iter().any(|base| made(base)),
            ObjectKind::Routine => implied::range_of(&object.name).iter().any(|range| made(range)),
            _ => false,
        };
        // PostgreSQL appends a number where the name it chooses is taken.
        let chosen = || {
            let base = object.name.trim_end_matches(|c: char| c.is_ascii_digit());
            matches!(object.kind, ObjectKind::Index | ObjectKind::Sequence) && (self.unnamed || made(base))
        };
        let renamed = schema.is_some_and(|schema| self.renamed.contains(schema));
        renamed || made(&object.name) || implied() || chosen()
    }
}

/// The migrations that create something of a name, by their analysis or their claims.
struct Creators<'a> {
    by_name: HashMap<&'a str, Vec<usize>>,
    /// The analysis of all migrations is there.
    all_read: bool,
}

impl<'a> Creators<'a> {
    fn of(project: &'a Project, built: &'a Built) -> Self {
        let mut creators: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, migration) in project.migrations.iter().enumerate() {
            let script = built.scripts.get(&index).into_iter();
            let found = script.flat_map(|script| &script.creates).map(|object| object.name.as_str());
            let claimed = migration.claims.creates.iter().filter_map(|claim| claim.rsplit([' ', '.']).next());
            for name in found.chain(claimed) {
                let creators = creators.entry(name).or_default();
                if creators.last() != Some(&index) {
                    creators.push(index);
                }
            }
        }
        Self { by_name: creators, all_read: built.scripts.len() == project.migrations.len() }
    }

    /// The first migration behind this one that creates the object.
    fn after(&self, index: usize, object: &ObjectRef) -> Option<usize> {
        self.by_name.get(object.name.as_str())?.iter().copied().find(|creator| *creator > index)
    }

    /// The first migration, other than this one, that creates the object.
    fn of_object(&self, except: usize, object: &ObjectRef) -> Option<usize> {
        self.by_name.get(object.name.as_str())?.iter().copied().find(|index| *index != except)
    }
}

fn lookup(kind: ObjectKind) -> Option<&'static str> {
    match kind {
        ObjectKind::Table
        | ObjectKind::Relation
        | ObjectKind::View
        | ObjectKind::MaterializedView
        | ObjectKind::Sequence
        | ObjectKind::Index
        | ObjectKind::ForeignTable => Some("relation"),
        ObjectKind::Type | ObjectKind::Domain => Some("type"),
        ObjectKind::Schema => Some("schema"),
        ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine | ObjectKind::Aggregate => {
            Some("routine")
        }
        _ => None,
    }
}

fn qualified(object: &ObjectRef) -> String {
    match &object.schema {
        Some(schema) => quote_qualified(schema, &object.name),
        None => quote_ident(&object.name),
    }
}
