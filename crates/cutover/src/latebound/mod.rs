//! What the bodies of functions, procedures and triggers name, and whether it is there. PostgreSQL looks when they run.
//!
//! Bodies in SQL are given to the server once more, which reads them as it does when they are made; that is rolled back. Bodies in
//! PL/pgSQL are read here, and the server is asked for each name where the function itself would look for it. What cannot be
//! said for sure is not said: names in bodies that put statements together, that make what they name, or that look whether
//! it is there.

#![allow(dead_code, reason = "for a rehearsal, which is under way")]

#[cfg(test)]
mod tests;

use cutover_analysis::effects::{Effects, ObjectKind, ObjectRef, effects_of_text};
use cutover_analysis::sql::quote_ident;
use cutover_postgres::session::{Failure, Session};

use crate::text::suggest;

/// The codes of the rules that say the same of files.
const MISSING: &str = "function-body-names-missing-object";
const MOVED: &str = "function-name-unresolved-after-move";

/// Words of a body that looks whether something is there, or copes where it is not.
const GUARDS: [&str; 9] = [
    "to_regclass",
    "to_regproc",
    "to_regtype",
    "pg_class",
    "pg_tables",
    "pg_proc",
    "information_schema",
    "undefined_table",
    "undefined_function",
];

/// Something that a body names and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LateFinding {
    /// The code of the rule that says the same of files.
    pub(crate) code: &'static str,
    /// The routine with the types of its arguments, as `regprocedure` shows it.
    pub(crate) routine: String,
    /// What is missing, as the body has it: `table app.orders`.
    pub(crate) missing: String,
    /// The line of the body, from 1 with the one of the opening quote; none where it is not known.
    pub(crate) line: Option<u32>,
    /// What may be meant.
    pub(crate) hint: Option<String>,
}

/// A routine of the database.
struct Routine {
    oid: u32,
    shown: String,
    language: String,
    body: String,
    definition: String,
    /// The search path that it sets, as SQL has it.
    path: Option<String>,
}

/// Whether what the bodies of the database's routines name is there. Those of extensions are left out. Nothing is changed.
pub(crate) async fn check(session: &mut Session) -> Result<Vec<LateFinding>, Failure> {
    let mut findings = Vec::new();
    for routine in routines(session).await? {
        let body = routine.body.to_ascii_lowercase();
        if GUARDS.iter().any(|word| body.contains(word)) {
            continue;
        }
        // What is too new for our grammar is not looked into, whatever its language.
        let Ok(effects) = effects_of_text(&routine.definition) else { continue };
        if effects.late_opaque.is_some() {
            continue;
        }
        if routine.language == "sql" {
            findings.extend(in_sql(session, &routine, &effects).await?);
        } else {
            findings.extend(in_plpgsql(session, &routine, &effects).await?);
        }
    }
    Ok(findings)
}

async fn routines(session: &mut Session) -> Result<Vec<Routine>, Failure> {
    // Bodies that are bound to their objects (prosqlbody, from 14 on) have no text.
    let sql = "SELECT p.oid, p.oid::pg_catalog.regprocedure::text, l.lanname::text, p.prosrc,
                      pg_catalog.pg_get_functiondef(p.oid),
                      (SELECT pg_catalog.substr(c.of, 13) FROM pg_catalog.unnest(p.proconfig) AS c (of)
                        WHERE c.of LIKE 'search\\_path=%')
                 FROM pg_catalog.pg_proc p
                 JOIN pg_catalog.pg_language l ON l.oid = p.prolang
                 JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                WHERE l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p', 'w') AND p.prosrc <> ''
                  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'cutover') AND n.nspname NOT LIKE 'pg\\_temp%'
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                                   WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                                     AND d.deptype = 'e')
                ORDER BY 2";
    let rows = session.query(sql, &[]).await?;
    let routine = |row: &cutover_postgres::Row| Routine {
        oid: row.get(0),
        shown: row.get(1),
        language: row.get(2),
        body: row.get(3),
        definition: row.get(4),
        path: row.get(5),
    };
    Ok(rows.iter().map(routine).collect())
}

/// Has the server read a body in SQL as it does when it is made: names, columns and arguments, where the function looks for them.
async fn in_sql(
    session: &mut Session,
    routine: &Routine,
    effects: &Effects,
) -> Result<Vec<LateFinding>, Failure> {
    if !effects.late_creates.is_empty() {
        return Ok(Vec::new());
    }
    let texts = ["BEGIN", "SET LOCAL check_function_bodies = on", &routine.definition, "ROLLBACK"];
    let mut outcomes = session.pipeline(&texts).await.into_iter().map(|outcome| outcome.result);
    let Some(made) = outcomes.nth(2) else { return Ok(Vec::new()) };
    outcomes.next().unwrap_or_else(|| Err(Failure::Invalid("no answer".to_owned())))?;
    let Err(failure) = made else { return Ok(Vec::new()) };
    let Some(message) = failure.server() else { return Err(failure) };
    let kind = match message.code.as_str() {
        "42P01" => Some("table"),
        "42883" => Some("function"),
        "3F000" => Some("schema"),
        "42704" => Some("type"),
        "42703" => None,
        // Whatever else is wrong is not that something is missing.
        _ => return Ok(Vec::new()),
    };
    let place = message.internal_position.or(message.position);
    let within = message.internal_query.as_deref().unwrap_or(&routine.definition);
    let line = place.and_then(|place| {
        let before: String = within.chars().take(usize::try_from(place).ok()?.checked_sub(1)?).collect();
        // Without a query of its own the place is one of the whole definition, whose first lines are not the body's.
        let body = if message.internal_query.is_some() { 0 } else { within.find(&routine.body)? };
        lines(before.get(body..)?)
    });
    let Some(kind) = kind else {
        return Ok(vec![LateFinding {
            code: MISSING,
            routine: routine.shown.clone(),
            missing: message.message.trim_end_matches(" does not exist").to_owned(),
            line,
            hint: message.hint.clone(),
        }]);
    };
    // The reference that the server means, with the kind and name that we know it by.
    let named = effects.late.iter().map(|reference| &reference.object).find(|object| {
        let schema = object.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
        let name = format!("{schema}{}", object.name);
        message.message.contains(&format!("\"{name}\"")) || message.message.contains(&format!(" {name}("))
    });
    let elsewhere = match named {
        Some(object) => Names::of(session, routine).await?.elsewhere(session, object).await?,
        None => Elsewhere::default(),
    };
    let missing = named.map_or_else(
        || message.message.trim_end_matches(" does not exist").to_owned(),
        |object| format!("{kind} {}", written(object)),
    );
    Ok(vec![finding(routine, missing, line, elsewhere)])
}

/// Reads a body in PL/pgSQL, and asks for each name.
async fn in_plpgsql(
    session: &mut Session,
    routine: &Routine,
    effects: &Effects,
) -> Result<Vec<LateFinding>, Failure> {
    let names = Names::of(session, routine).await?;
    let mut findings: Vec<LateFinding> = Vec::new();
    let mut seen: Vec<&ObjectRef> = Vec::new();
    for object in effects.late.iter().map(|reference| &reference.object) {
        let is_made = effects.late_creates.iter().any(|made| made.name == object.name);
        let Some(kind) = Kind::of(object) else { continue };
        if is_made || object.is_temporary() || seen.contains(&object) {
            continue;
        }
        seen.push(object);
        if names.has(session, kind, object).await? {
            continue;
        }
        let missing = format!("{} {}", kind.word(), written(object));
        if findings.iter().any(|finding| finding.missing == missing) {
            continue;
        }
        let elsewhere = names.elsewhere(session, object).await?;
        findings.push(finding(routine, missing, line_of(&routine.body, object), elsewhere));
    }
    Ok(findings)
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Relation,
    Routine,
    Type,
}

impl Kind {
    fn of(object: &ObjectRef) -> Option<Self> {
        match object.kind.family() {
            ObjectKind::Relation => Some(Self::Relation),
            ObjectKind::Routine => Some(Self::Routine),
            ObjectKind::Type => Some(Self::Type),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Relation => "table",
            Self::Routine => "function",
            Self::Type => "type",
        }
    }

    /// A query with the schemas that have something of the name `$1`.
    fn schemas(self) -> &'static str {
        match self {
            Self::Relation => {
                "SELECT n.nspname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relname = $1 AND c.relkind NOT IN ('i', 'I', 't', 'c')"
            }
            // Casts and columns are written like calls too: `mood(text)`, `title(tasks)`.
            Self::Routine => {
                "SELECT n.nspname::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                  WHERE p.proname = $1
                 UNION SELECT n.nspname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
                  WHERE t.typname = $1
                 UNION SELECT 'pg_catalog' FROM pg_catalog.pg_attribute a WHERE a.attname = $1 AND a.attnum > 0"
            }
            Self::Type => {
                "SELECT n.nspname::text FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
                  WHERE t.typname = $1"
            }
        }
    }
}

/// Where a routine looks for names.
struct Names {
    path: Vec<String>,
    /// Names of rows that its triggers hand over.
    transitions: Vec<String>,
}

/// Where else something of a name is, and what is called alike.
#[derive(Debug, Default)]
struct Elsewhere {
    schemas: Vec<String>,
    alike: Option<String>,
}

impl Names {
    async fn of(session: &mut Session, routine: &Routine) -> Result<Self, Failure> {
        let path = match &routine.path {
            None => {
                let sql = "SELECT pg_catalog.unnest(pg_catalog.current_schemas(true))::text";
                session.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect()
            }
            Some(path) => {
                let set = format!("SET LOCAL search_path = {}", if path.is_empty() { "''" } else { path });
                let texts =
                    ["BEGIN", &set, "SELECT pg_catalog.unnest(pg_catalog.current_schemas(true))", "ROLLBACK"];
                let outcomes = session.pipeline(&texts).await;
                let done = outcomes.into_iter().nth(2).map(|outcome| outcome.result);
                let rows = done.transpose()?.map(|done| done.rows).unwrap_or_default();
                rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
            }
        };
        let sql = "SELECT pg_catalog.unnest(ARRAY[t.tgoldtable, t.tgnewtable])::text FROM pg_catalog.pg_trigger t WHERE t.tgfoid = $1";
        let rows = session.query(sql, &[&routine.oid]).await?;
        let transitions = rows.iter().filter_map(|row| row.get(0)).collect();
        Ok(Self { path, transitions })
    }

    async fn has(&self, session: &mut Session, kind: Kind, object: &ObjectRef) -> Result<bool, Failure> {
        let name = object.name.as_str();
        if kind == Kind::Relation && self.transitions.iter().any(|one| one == name) {
            return Ok(true);
        }
        // Arrays, and types that the grammar has words for.
        let rows = session.query(kind.schemas(), &[&name]).await?;
        let mut schemas = rows.iter().map(|row| row.get::<_, String>(0));
        Ok(match object.schema.as_deref() {
            Some(schema) => schemas.any(|one| one == schema),
            None => schemas.any(|one| one == "pg_catalog" || self.path.contains(&one)),
        })
    }

    async fn elsewhere(&self, session: &mut Session, object: &ObjectRef) -> Result<Elsewhere, Failure> {
        let Some(kind) = Kind::of(object) else { return Ok(Elsewhere::default()) };
        let rows = session.query(kind.schemas(), &[&object.name.as_str()]).await?;
        let is_other = |schema: &String| {
            !schema.starts_with("pg_")
                && schema != "information_schema"
                && object.schema.as_deref() != Some(schema)
        };
        let mut schemas: Vec<String> = rows.iter().map(|row| row.get(0)).filter(is_other).collect();
        schemas.sort();
        let alike = if schemas.is_empty() { self.alike(session, kind, object).await? } else { None };
        Ok(Elsewhere { schemas, alike })
    }

    /// What is called alike where the name was looked for.
    async fn alike(
        &self,
        session: &mut Session,
        kind: Kind,
        object: &ObjectRef,
    ) -> Result<Option<String>, Failure> {
        let sql = match kind {
            Kind::Relation => {
                "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = ANY ($1) AND c.relkind NOT IN ('i', 'I', 't', 'c', 'S')"
            }
            Kind::Routine => {
                "SELECT p.proname::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                  WHERE n.nspname = ANY ($1)"
            }
            Kind::Type => {
                "SELECT t.typname::text FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
                  WHERE n.nspname = ANY ($1) AND t.typelem = 0"
            }
        };
        let own: Vec<String> = match &object.schema {
            Some(schema) => vec![schema.to_string()],
            None => self.path.iter().filter(|schema| *schema != "pg_catalog").cloned().collect(),
        };
        let rows = session.query(sql, &[&own]).await?;
        let known: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(suggest(&object.name, known.iter().map(String::as_str)).map(str::to_owned))
    }
}

fn finding(routine: &Routine, missing: String, line: Option<u32>, elsewhere: Elsewhere) -> LateFinding {
    let is_moved = !elsewhere.schemas.is_empty();
    let hint = if is_moved {
        Some(format!("there is one in schema {}", elsewhere.schemas.join(", ")))
    } else {
        elsewhere.alike.map(|alike| format!("did you mean {alike}?"))
    };
    let code = if is_moved { MOVED } else { MISSING };
    LateFinding { code, routine: routine.shown.clone(), missing, line, hint }
}

fn written(object: &ObjectRef) -> String {
    let schema = object.schema.as_ref().map(|schema| format!("{}.", quote_ident(schema))).unwrap_or_default();
    format!("{schema}{}", quote_ident(&object.name))
}

/// The line at the end of a text, from 1.
fn lines(text: &str) -> Option<u32> {
    u32::try_from(text.matches('\n').count()).ok()?.checked_add(1)
}

/// The line in which a body names something: the first one with the word.
fn line_of(body: &str, object: &ObjectRef) -> Option<u32> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let (lower, name) = (body.to_ascii_lowercase(), object.name.to_ascii_lowercase());
    let schema = object.schema.as_ref().map(|schema| schema.to_ascii_lowercase());
    let found = lower.match_indices(&name).find(|(at, _)| {
        let (before, behind) = (&lower[..*at], &lower[at + name.len()..]);
        let stands_alone = !before.ends_with(is_word) && !behind.starts_with(is_word);
        let before = before.trim_end_matches('"');
        stands_alone
            && schema.as_ref().is_none_or(|schema| {
                before
                    .strip_suffix('.')
                    .is_some_and(|before| before.trim_end_matches('"').ends_with(schema.as_str()))
            })
    });
    lines(&lower[..found?.0])
}
