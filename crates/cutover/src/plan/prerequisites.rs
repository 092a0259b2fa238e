//! What pending migrations need and nobody provides: found before the first statement.
//!
//! Only what is certain is reported. Where names cannot be looked up from outside (a search path set in a file), where an
//! earlier statement may create anything (DO, CALL, functions, extensions), and where PostgreSQL chooses names that the
//! text does not say (the indexes of partitions and of copied tables), the server has the last word.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use cutover_analysis::effects::{ObjectKind, ObjectRef, implied};
use cutover_analysis::sql::{quote_ident, quote_qualified};
use cutover_postgres::session::{Failure, Session};

use super::build::Built;
use crate::history::schema::SCHEMA;
use crate::places;
use crate::project::Project;
use crate::script::{Need, Script};

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
    /// A migration of the project that creates it, where one does.
    pub created_by: Option<String>,
    /// That migration comes after this one.
    pub created_later: bool,
    /// The files of all migrations were read to look for one; otherwise those that would run.
    pub all_read: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, object, why, .. } = self;
        write!(f, "{path}:{line}:{column}: needs {object} ({why}), which does not exist")?;
        if !self.source_line.is_empty() {
            write!(f, "\n{}", crate::text::caret(*line, *column, &self.source_line))?;
        }
        match &self.created_by {
            Some(path) if self.created_later => {
                write!(
                    f,
                    "\n  hint: {path} creates it, but comes after this one: the numbers must be the other way round"
                )
            }
            Some(path) => write!(f, "\n  hint: {path} creates it: apply that first"),
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
}

/// Looks up what pending migrations need. `session` must have the search path the migrations will run with.
///
/// # Errors
/// As the server says.
pub async fn missing(
    project: &Project,
    built: &Built,
    session: &mut Session,
) -> Result<Vec<Missing>, Failure> {
    let candidates = candidates(built);
    let objects: Vec<&ObjectRef> = candidates.iter().map(|candidate| &candidate.need.object).collect();
    let there = exist(session, &objects).await?;
    let absent = candidates.iter().zip(there).filter(|(_, there)| !there);
    let creators = Creators::of(project, built);
    Ok(absent.map(|(candidate, _)| describe(project, &creators, candidate)).collect())
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
    let candidates = candidates(built);
    let late = candidates.iter().filter(|candidate| too_late(candidate));
    late.map(|candidate| describe(project, &creators, candidate)).collect()
}

fn describe(project: &Project, creators: &Creators<'_>, candidate: &Candidate<'_>) -> Missing {
    let Candidate { index, need } = *candidate;
    let migration = &project.migrations[index];
    let creator = creators.of_object(index, &need.object);
    let place = places::of_name(migration, &project.vars, (need.line, need.column), &need.object);
    Missing {
        path: migration.path.clone(),
        line: place.line,
        column: place.column,
        source_line: place.source_line,
        object: need.object.to_string(),
        why: need.why.clone(),
        created_by: creator.map(|creator| project.migrations[creator].path.clone()),
        created_later: creator.is_some_and(|creator| creator > index),
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

fn candidates(built: &Built) -> Vec<Candidate<'_>> {
    let mut made = Made::default();
    let mut candidates = Vec::new();
    for index in built.pending() {
        let Some(script) = built.scripts.get(&index) else { continue };
        made.look_ahead(script);
        // From here on a name may mean, or be, anything.
        if script.sets_search_path || made.by_triggers(script) {
            break;
        }
        // What a migration needed before its first part may be gone with one that is done.
        let begun =
            built.plan.steps.get(index).is_some_and(|step| built.history.begun(&step.migration).is_some());
        for need in script.needs.iter().filter(|need| !begun && need.certain) {
            // Our own tables are there when it runs, if not yet.
            let there = need.object.schema.as_deref() == Some(SCHEMA) || made.has(&need.object);
            if !there && !need.object.is_temporary() && lookup(need.object.kind).is_some() {
                candidates.push(Candidate { index, need });
            }
        }
        made.add(script);
        if script.opaque.is_some() {
            break;
        }
    }
    candidates
}

/// What pending migrations make, or may make without saying so.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
struct Made<'a> {
    /// Schemas by name.
    created: HashMap<&'a str, BTreeSet<Option<&'a str>>>,
    /// Schemas that had another name: what is in them is not known under this one.
    renamed: BTreeSet<&'a str>,
    /// There are names that PostgreSQL chooses.
    unnamed: bool,
    /// A function makes things when it runs, or may do so.
    bodies: bool,
    /// A trigger or rule calls functions when rows are written.
    triggers: bool,
    /// An event trigger calls functions when things are made.
    event_triggers: bool,
}

impl<'a> Made<'a> {
    /// What of a script matters already to itself.
    fn look_ahead(&mut self, script: &'a Script) {
        let makes = |kind| script.creates.iter().any(move |object| object.kind == kind);
        self.unnamed |= script.vertex.chosen.iter().any(|object| object.name.is_empty());
        self.bodies |= !script.vertex.late_creates.is_empty() || !script.vertex.unseen.is_empty();
        self.triggers |= makes(ObjectKind::Trigger) || makes(ObjectKind::Rule);
        self.event_triggers |= makes(ObjectKind::EventTrigger);
        let is_schema = |object: &&ObjectRef| object.kind == ObjectKind::Schema;
        if script.drops.iter().any(|object| is_schema(&object)) {
            self.renamed.extend(script.creates.iter().filter(is_schema).map(|object| object.name.as_str()));
        }
    }

    /// A function that a trigger calls may make things when the script runs.
    fn by_triggers(&self, script: &Script) -> bool {
        self.bodies && (self.event_triggers || self.triggers && !script.writes.is_empty())
    }

    fn add(&mut self, script: &'a Script) {
        for object in script.creates.iter().chain(&script.vertex.chosen) {
            self.created.entry(object.name.as_str()).or_default().insert(object.schema.as_deref());
        }
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
