//! What pending migrations need and nobody provides: found before the first statement.
//!
//! Only what is certain is reported. Where names cannot be looked up from outside (a search path set in a file) or an
//! earlier file may create anything (DO, CALL, extensions), the server has the last word.

use std::collections::BTreeSet;
use std::fmt;

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::sql::{quote_ident, quote_qualified};
use cutover_postgres::session::{Failure, Session};

use super::build::Built;
use crate::project::Project;

/// An object that a pending migration needs and that neither the database nor an earlier migration has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Path of the migration.
    pub path: String,
    /// Line that needs it.
    pub line: u32,
    /// The object, as `kind name`.
    pub object: String,
    /// Why it is needed.
    pub why: String,
    /// A migration of the project that creates it, where one does.
    pub created_by: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: needs {} ({}), which does not exist", self.path, self.line, self.object, self.why)?;
        match &self.created_by {
            Some(path) => write!(f, "\n  hint: {path} creates it: apply that first"),
            None => write!(f, "\n  hint: no migration of this project creates it"),
        }
    }
}

struct Candidate<'a> {
    missing: Missing,
    object: &'a ObjectRef,
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
    let candidates = candidates(project, built);
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let kinds: Vec<&str> =
        candidates.iter().map(|candidate| lookup(candidate.object.kind).unwrap_or("")).collect();
    let names: Vec<String> = candidates.iter().map(|candidate| qualified(candidate.object)).collect();
    let plain: Vec<&str> = candidates.iter().map(|candidate| candidate.object.name.as_str()).collect();
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
    let absent = candidates.into_iter().zip(&rows).filter(|(_, row)| !row.get::<_, bool>(0));
    Ok(absent.map(|(candidate, _)| candidate.missing).collect())
}

fn candidates<'a>(project: &'a Project, built: &'a Built) -> Vec<Candidate<'a>> {
    let mut created: BTreeSet<(Option<&str>, &str)> = BTreeSet::new();
    let mut candidates = Vec::new();
    for index in built.pending() {
        let Some(script) = built.scripts.get(&index) else { continue };
        // From here on a name may mean, or be, anything.
        if script.sets_search_path {
            break;
        }
        // What a migration needed before its first part may be gone with one that is done.
        let begun = built.history.begun(&project.migrations[index].id).is_some();
        for need in script.needs.iter().filter(|_| !begun) {
            let there = created.contains(&(need.object.schema.as_deref(), need.object.name.as_str()))
                || created.iter().any(|(schema, name)| {
                    *name == need.object.name && (schema.is_none() || need.object.schema.is_none())
                });
            if there || need.object.is_temporary() || lookup(need.object.kind).is_none() {
                continue;
            }
            let missing = Missing {
                path: project.migrations[index].path.clone(),
                line: need.line,
                object: need.object.to_string(),
                why: need.why.clone(),
                created_by: creator(project, built, index, &need.object),
            };
            candidates.push(Candidate { missing, object: &need.object });
        }
        created.extend(script.creates.iter().map(|object| (object.schema.as_deref(), object.name.as_str())));
        if script.opaque.is_some() {
            break;
        }
    }
    candidates
}

/// The migration that creates an object, by its analysis or its claims.
fn creator(project: &Project, built: &Built, except: usize, object: &ObjectRef) -> Option<String> {
    let creates = |index: usize| {
        let by_script = built
            .scripts
            .get(&index)
            .is_some_and(|script| script.creates.iter().any(|made| made.name == object.name));
        let claims = &project.migrations[index].claims.creates;
        by_script || claims.iter().any(|claim| claim.rsplit([' ', '.']).next() == Some(object.name.as_str()))
    };
    let index =
        (0..project.migrations.len()).filter(|index| *index != except).find(|index| creates(*index))?;
    Some(project.migrations[index].path.clone())
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
