//! What the bodies of functions, procedures and triggers name, and whether it is there. PostgreSQL looks when they run.
//!
//! Bodies in SQL are given to the server once more, which reads them as it does when they are made; that is rolled back. Bodies in
//! PL/pgSQL are read here, and the server is asked for each name where the function itself would look for it; where it has the
//! extension `plpgsql_check`, that is asked too, which also knows columns and types. What cannot be said for sure is not said: names
//! in bodies that put statements together or look whether something is there, and of what any body makes. Of a body that sets its
//! search path when it runs, a name without a schema is missing only where no schema has it.

mod extension;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use cutover_analysis::effects::{Effects, ObjectKind, ObjectRef, effects_of_text};
use cutover_analysis::ours::IN_SQL;
use cutover_analysis::sql::quote_ident;
use cutover_postgres::session::{Failure, Session};

use crate::text::suggest;

/// Words of a body that looks whether something is there, or copes where it is not; and the schema that no rehearsal has.
const GUARDS: [&str; 22] = [
    "cutover.",
    "to_regclass",
    "to_regproc",
    "to_regtype",
    "to_regnamespace",
    "pg_class",
    "pg_tables",
    "pg_views",
    "pg_proc",
    "pg_type",
    "pg_attribute",
    "pg_namespace",
    "pg_extension",
    "pg_available_extensions",
    "information_schema",
    "server_version",
    "undefined_table",
    "undefined_function",
    "undefined_column",
    "undefined_object",
    "invalid_schema_name",
    "invalid_text_representation",
];

/// Something of a body that fails when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LateFinding {
    /// The routine with the types of its arguments, as `regprocedure` shows it.
    pub(crate) routine: String,
    /// What is wrong.
    pub(crate) wrong: Wrong,
    /// The line of the body, from 1 with the one of the opening quote; none where it is not known.
    pub(crate) line: Option<u32>,
    /// What may be meant.
    pub(crate) hint: Option<String>,
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Something is missing, as the body has it: `table app.orders`.
    Missing(String),
    /// Anything else, as the server says it.
    Fails(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "there is no {what}"),
            Self::Fails(message) => f.write_str(message),
        }
    }
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

impl Routine {
    /// Whether it looks for names elsewhere once it runs (`set_config('search_path', …)`): where, only the run knows.
    fn moves_its_path(&self) -> bool {
        self.body.to_ascii_lowercase().contains("search_path")
    }
}

/// Whether what the bodies of the database's routines name is there. Those of extensions are left out. Nothing is changed. The
/// session is a superuser's, whose search path is that of whoever calls them.
pub(crate) async fn check(session: &mut Session) -> Result<Vec<LateFinding>, Failure> {
    let mut made = Made::default();
    let mut read: Vec<(Routine, Effects)> = Vec::new();
    for routine in routines(session).await? {
        let body = routine.body.to_ascii_lowercase();
        // What is too new for our grammar is not looked into, whatever its language.
        let effects = effects_of_text(&routine.definition).ok();
        made.add(effects.as_ref(), &body);
        let Some(effects) = effects.filter(|effects| effects.late_opaque.is_none()) else { continue };
        if !GUARDS.iter().any(|word| body.contains(word)) {
            read.push((routine, effects));
        }
    }
    let mut told = extension::errors(session, &read).await?;
    let mut findings = Vec::new();
    for (routine, effects) in &read {
        let moves = routine.moves_its_path();
        if routine.language == "sql" {
            findings.extend(in_sql(session, routine, effects, &made).await?.into_iter().filter(|_| !moves));
            continue;
        }
        let mut found = in_plpgsql(session, routine, effects, &made).await?;
        let errors = told.remove(&routine.oid).filter(|_| !moves).unwrap_or_default();
        if !errors.is_empty() && made.concern(session, routine, effects).await? {
            findings.extend(found);
            continue;
        }
        for error in errors {
            let also = error.finding(session, routine, effects, &found).await?;
            found.extend(also.filter(|also| !found.contains(also)));
        }
        findings.extend(found);
    }
    Ok(findings)
}

/// What routines make when they run: it may be there when another one runs.
#[derive(Default)]
struct Made {
    names: BTreeSet<String>,
    /// Bodies that put statements together and may make something, in lower case.
    dark: Vec<String>,
}

impl Made {
    /// What is known of a body, and the body in lower case.
    fn add(&mut self, effects: Option<&Effects>, body: &str) {
        let makes = effects.iter().flat_map(|effects| &effects.late_creates);
        self.names.extend(makes.map(|object| object.name.to_string()));
        self.names.extend(temporary(body));
        if effects.is_none_or(|effects| effects.late_opaque.is_some()) && body.contains("create") {
            self.dark.push(body.to_owned());
        }
    }

    fn perhaps(&self, object: &ObjectRef) -> bool {
        let name = object.name.to_ascii_lowercase();
        let in_the_dark = |body: &String| places_of(body, &name).next().is_some();
        object.is_temporary()
            || self.names.contains(object.name.as_str())
            || self.dark.iter().any(in_the_dark)
    }

    /// Whether a body works with something that is made only when it or another one runs: then whatever is wrong with it may be all
    /// right by then.
    async fn concern(
        &self,
        session: &mut Session,
        routine: &Routine,
        effects: &Effects,
    ) -> Result<bool, Failure> {
        let body = routine.body.to_ascii_lowercase();
        if !effects.late_creates.is_empty() || temporary(&body).next().is_some() {
            return Ok(true);
        }
        let perhaps = effects.late.iter().map(|late| &late.object).filter(|object| self.perhaps(object));
        let perhaps: Vec<&ObjectRef> = perhaps.collect();
        if perhaps.is_empty() {
            return Ok(false);
        }
        let names = Names::of(session, routine).await?;
        for object in perhaps {
            if let Some(kind) = Kind::of(object)
                && !names.has(session, kind, object).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

async fn routines(session: &mut Session) -> Result<Vec<Routine>, Failure> {
    // Bodies that are bound to their objects (prosqlbody, from 14 on) have no text.
    let sql = format!("SELECT p.oid, p.oid::pg_catalog.regprocedure::text, l.lanname::text, p.prosrc,
                      pg_catalog.pg_get_functiondef(p.oid),
                      (SELECT pg_catalog.substr(c.of, 13) FROM pg_catalog.unnest(p.proconfig) AS c (of)
                        WHERE c.of LIKE 'search\\_path=%')
                 FROM pg_catalog.pg_proc p
                 JOIN pg_catalog.pg_language l ON l.oid = p.prolang
                 JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                WHERE l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p', 'w') AND p.prosrc <> ''
                  AND n.nspname NOT IN ('pg_catalog', 'information_schema', {IN_SQL}) AND n.nspname NOT LIKE 'pg\\_temp%'
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                                   WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                                     AND d.deptype = 'e')
                ORDER BY 2");
    let rows = session.query(&sql, &[]).await?;
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
    made: &Made,
) -> Result<Vec<LateFinding>, Failure> {
    let texts = ["BEGIN", SETTINGS, &routine.definition, "ROLLBACK"];
    let mut outcomes = session.pipeline(&texts).await.into_iter().map(|outcome| outcome.result);
    let Some(given) = outcomes.nth(2) else { return Ok(Vec::new()) };
    outcomes.next().unwrap_or_else(|| Err(Failure::Invalid("no answer".to_owned())))?;
    let Err(failure) = given else { return Ok(Vec::new()) };
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
    if made.concern(session, routine, effects).await? {
        return Ok(Vec::new());
    }
    let place = message.internal_position.or(message.position);
    let within = message.internal_query.as_deref().unwrap_or(&routine.definition);
    let line = place.and_then(|place| {
        let before: String = within.chars().take(usize::try_from(place).ok()?.checked_sub(1)?).collect();
        // Without a query of its own the place is one of the whole definition, whose first lines are not the body's.
        let body = if message.internal_query.is_some() { 0 } else { within.find(&routine.body)? };
        lines(before.get(body..)?)
    });
    let named = kind.and_then(|_| named(effects, &message.message));
    let elsewhere = match named {
        Some(object) => Names::of(session, routine).await?.elsewhere(session, object).await?,
        None => Elsewhere { hint: message.hint.clone(), ..Elsewhere::default() },
    };
    let missing = match (kind, named) {
        (Some(kind), Some(object)) => format!("{kind} {}", written(object)),
        _ => message.message.trim_end_matches(NOT_THERE).to_owned(),
    };
    Ok(vec![finding(routine, missing, line, elsewhere)])
}

/// How the server says that something is missing.
const NOT_THERE: &str = " does not exist";

/// How a session is while the server reads bodies: messages as we know them, and no event trigger of the database's own.
const SETTINGS: &str = "SET LOCAL check_function_bodies = on; SET LOCAL lc_messages = 'C'; \
                        SET LOCAL session_replication_role = replica";

/// What of the things that a body names the server means.
fn named<'a>(effects: &'a Effects, message: &str) -> Option<&'a ObjectRef> {
    effects.late.iter().map(|reference| &reference.object).find(|object| {
        let schema = object.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
        let name = format!("{schema}{}", object.name);
        message.contains(&format!("\"{name}\"")) || message.contains(&format!(" {name}("))
    })
}

/// Reads a body in PL/pgSQL, and asks for each name.
async fn in_plpgsql(
    session: &mut Session,
    routine: &Routine,
    effects: &Effects,
    made: &Made,
) -> Result<Vec<LateFinding>, Failure> {
    // Its pragmas tell of tables that are there when it runs.
    if effects.late.is_empty() || routine.body.contains("plpgsql_check") {
        return Ok(Vec::new());
    }
    let names = Names::of(session, routine).await?;
    let mut findings: Vec<LateFinding> = Vec::new();
    let mut seen: Vec<&ObjectRef> = Vec::new();
    for object in effects.late.iter().map(|reference| &reference.object) {
        let Some(kind) = Kind::of(object) else { continue };
        if made.perhaps(object) || seen.contains(&object) {
            continue;
        }
        seen.push(object);
        if names.has(session, kind, object).await? {
            continue;
        }
        let missing = format!("{} {}", kind.word(), written(object));
        if findings.iter().any(|finding| finding.is_of(&missing)) {
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
    /// It may look in any schema.
    anywhere: bool,
    /// Names of rows that its triggers hand over.
    transitions: Vec<String>,
}

/// Where else something of a name is, and what is called alike.
#[derive(Debug, Default)]
struct Elsewhere {
    schemas: Vec<String>,
    alike: Option<String>,
    /// What the server says.
    hint: Option<String>,
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
        Ok(Self { path, anywhere: routine.moves_its_path(), transitions })
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
            None => schemas.any(|one| self.anywhere || one == "pg_catalog" || self.path.contains(&one)),
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
        Ok(Elsewhere { schemas, alike, hint: None })
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
    let Elsewhere { schemas, alike, hint } = elsewhere;
    let hint = if schemas.is_empty() {
        alike.map(|alike| format!("did you mean {alike}?")).or(hint)
    } else {
        Some(format!("there is one in schema {}", schemas.join(", ")))
    };
    LateFinding { routine: routine.shown.clone(), wrong: Wrong::Missing(missing), line, hint }
}

impl LateFinding {
    fn is_of(&self, missing: &str) -> bool {
        matches!(&self.wrong, Wrong::Missing(what) if what == missing)
    }
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
    let (lower, name) = (body.to_ascii_lowercase(), object.name.to_ascii_lowercase());
    let schema = object.schema.as_ref().map(|schema| schema.to_ascii_lowercase());
    let found = places_of(&lower, &name).find(|at| {
        let before = lower[..*at].trim_end_matches('"');
        schema.as_ref().is_none_or(|schema| {
            before
                .strip_suffix('.')
                .is_some_and(|before| before.trim_end_matches('"').ends_with(schema.as_str()))
        })
    });
    lines(&lower[..found?])
}

/// What a body in lower case makes for its session, by name. The analysis leaves it out.
fn temporary(body: &str) -> impl Iterator<Item = String> {
    let is_of_words = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let words: Vec<&str> = body.split(|c| !is_of_words(c)).filter(|word| !word.is_empty()).collect();
    let between = ["table", "view", "sequence", "recursive", "if", "not", "exists"];
    let after = |at: usize| words.iter().skip(at + 1).find(|word| !between.contains(word));
    let places = words.iter().enumerate().filter(|(_, word)| ["temp", "temporary"].contains(word));
    let names: Vec<String> = places.filter_map(|(at, _)| Some((*after(at)?).to_owned())).collect();
    names.into_iter()
}

/// Where a text has a word by itself.
fn places_of(text: &str, word: &str) -> impl Iterator<Item = usize> {
    let is_of_words = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let places = text.match_indices(word).filter(move |(at, _)| {
        !text[..*at].ends_with(is_of_words) && !text[at + word.len()..].starts_with(is_of_words)
    });
    places.map(|(at, _)| at)
}
