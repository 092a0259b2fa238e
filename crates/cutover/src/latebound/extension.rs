//! What the extension `plpgsql_check` says of bodies, where the server has it: it reads them as PL/pgSQL does when they run.
//!
//! It is made in a schema of its own, in a transaction that is rolled back. Only errors are taken, and of those only the ones that
//! do not hang on what is known when the body runs.

use std::collections::BTreeMap;

use cutover_analysis::effects::Effects;
use cutover_analysis::sql::{quote_ident, quote_literal};
use cutover_postgres::session::{Failure, Session, StatementOutcome};

use super::{
    Elsewhere, Kind, LateFinding, NOT_THERE, Names, Routine, SETTINGS, Wrong, finding, named, places_of,
    written,
};

/// The schema that it is made in.
const SCHEMA: &str = "cutover_plpgsql_check";

/// Calls that are under way at a time.
const AT_ONCE: usize = 100;

/// Words of a trigger function that may do something else for each table.
const TELLS_TABLES_APART: [&str; 5] = ["tg_", "to_json", "to_jsonb", "row_to_json", "hstore"];

/// An error of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    line: Option<u32>,
    code: String,
    message: String,
    hint: Option<String>,
}

/// A call of it.
struct Call {
    routine: u32,
    sql: String,
    /// The table whose trigger is looked at.
    table: Option<String>,
}

/// What it says of a call, with the table; nothing where it fails itself.
type Answer<'a> = (Option<&'a str>, Option<Vec<Told>>);

/// The errors of bodies in PL/pgSQL, by routine; nothing where the server does not have the extension.
pub(super) async fn errors(
    session: &mut Session,
    read: &[(Routine, Effects)],
) -> Result<BTreeMap<u32, Vec<Told>>, Failure> {
    let mut routines: BTreeMap<u32, &Routine> = read
        .iter()
        .filter(|(routine, effects)| {
            let is_plain = effects.late_creates.is_empty() && !routine.body.contains("pg_temp");
            routine.language == "plpgsql" && is_plain
        })
        .map(|(routine, _)| (routine.oid, routine))
        .collect();
    if routines.is_empty() {
        return Ok(BTreeMap::new());
    }
    let Some((schema, is_there)) = place(session).await? else { return Ok(BTreeMap::new()) };
    // What they call of the extension itself they would not find.
    routines.retain(|_, routine| is_there || !routine.body.contains("plpgsql_check"));
    let calls = calls(session, &schema, &routines).await?;
    let make = format!("CREATE SCHEMA {schema}; CREATE EXTENSION plpgsql_check SCHEMA {schema}");
    let mut texts = vec!["BEGIN", SETTINGS];
    texts.extend((!is_there).then_some(make.as_str()));
    let begun = session.pipeline(&texts).await;
    let mut by: BTreeMap<u32, Vec<Answer<'_>>> = BTreeMap::new();
    if begun.iter().all(|outcome| outcome.result.is_ok()) {
        for calls in calls.chunks(AT_ONCE) {
            let texts =
                calls.iter().flat_map(|call| ["SAVEPOINT c", call.sql.as_str(), "ROLLBACK TO SAVEPOINT c"]);
            let outcomes = session.pipeline(&texts.collect::<Vec<_>>()).await;
            for (call, outcome) in calls.iter().zip(outcomes.into_iter().skip(1).step_by(3)) {
                let routine = routines.get(&call.routine);
                let told = told(outcome, routine.map_or("", |routine| &routine.body));
                by.entry(call.routine).or_default().push((call.table.as_deref(), told));
            }
        }
    }
    session.execute("ROLLBACK").await?;
    let merged = by.into_iter().map(|(oid, told)| {
        let body = routines.get(&oid).map(|routine| routine.body.to_ascii_lowercase()).unwrap_or_default();
        (oid, merged(told, TELLS_TABLES_APART.iter().any(|word| body.contains(word))))
    });
    Ok(merged.collect())
}

/// The schema of the extension, and whether the database has it already; nothing where the server does not.
async fn place(session: &mut Session) -> Result<Option<(String, bool)>, Failure> {
    let sql = "SELECT n.nspname::text FROM pg_catalog.pg_available_extensions a
                 LEFT JOIN pg_catalog.pg_extension e ON e.extname = a.name
                 LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
                WHERE a.name = 'plpgsql_check'";
    let rows = session.query(sql, &[]).await?;
    Ok(rows.first().map(|row| match row.get::<_, Option<String>>(0) {
        Some(schema) => (quote_ident(&schema), true),
        None => (SCHEMA.to_owned(), false),
    }))
}

/// What is to be asked: each routine once, a trigger function once for each table that it is on. Of arguments of any type the
/// extension would take one; those are left out. A partition's triggers are those of its parent.
async fn calls(
    session: &mut Session,
    schema: &str,
    routines: &BTreeMap<u32, &Routine>,
) -> Result<Vec<Call>, Failure> {
    let sql = "SELECT p.oid, t.tgrelid, t.tgrelid::pg_catalog.regclass::text, t.old, t.new
                 FROM pg_catalog.pg_proc p
                 LEFT JOIN (SELECT DISTINCT t.tgfoid, t.tgrelid, t.tgoldtable::text, t.tgnewtable::text
                              FROM pg_catalog.pg_trigger t
                             WHERE NOT t.tgisinternal
                               AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i
                                                 JOIN pg_catalog.pg_trigger above ON above.tgrelid = i.inhparent
                                                WHERE i.inhrelid = t.tgrelid AND above.tgfoid = t.tgfoid)
                           ) AS t (tgfoid, tgrelid, old, new)
                   ON t.tgfoid = p.oid AND p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype
                WHERE p.oid = ANY ($1)
                  AND (t.tgrelid IS NOT NULL OR p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype)
                  AND NOT EXISTS (SELECT FROM pg_catalog.unnest(pg_catalog.array_cat(p.proargtypes::oid[], p.proallargtypes)) AS a (oid)
                                    JOIN pg_catalog.pg_type y ON y.oid = a.oid
                                   WHERE y.typtype = 'p')
                ORDER BY p.oid, t.tgrelid";
    let oids: Vec<u32> = routines.keys().copied().collect();
    let rows = session.query(sql, &[&oids]).await?;
    let call = |row: &cutover_postgres::Row| {
        let (routine, relation): (u32, Option<u32>) = (row.get(0), row.get(1));
        let handed = |name: &str, column: usize| {
            let table = row.get::<_, Option<String>>(column)?;
            Some(format!(", {name} => {}", quote_literal(&table)))
        };
        let sql = format!(
            "SELECT c.lineno, c.sqlstate, c.message, c.hint, c.position, c.query
               FROM {schema}.plpgsql_check_function_tb({routine}::pg_catalog.oid::pg_catalog.regprocedure,
                    {}::pg_catalog.oid::pg_catalog.regclass, fatal_errors => false{}{}) c
              WHERE c.level = 'error'",
            relation.unwrap_or_default(),
            handed("oldtable", 3).unwrap_or_default(),
            handed("newtable", 4).unwrap_or_default(),
        );
        Call { routine, sql, table: row.get(2) }
    };
    Ok(rows.iter().map(call).collect())
}

/// What it says, as far as that is certain; nothing where it fails itself.
fn told(outcome: StatementOutcome, body: &str) -> Option<Vec<Told>> {
    let rows = outcome.result.ok()?.rows;
    let lower = body.to_ascii_lowercase();
    let has_records = places_of(&lower, "record").next().is_some();
    let told = rows.into_iter().filter_map(|row| {
        let mut fields = row.into_iter();
        let mut field = || fields.next().flatten();
        let (line, code, message, hint) = (field(), field()?, field()?, field());
        let (position, query) = (field(), field());
        if !is_certain(&code, &message, has_records) {
            return None;
        }
        let within = position.and_then(|position| {
            let before = position.parse::<usize>().ok()?.checked_sub(1)?;
            let lines = query?.chars().take(before).filter(|c| *c == '\n').count();
            u32::try_from(lines).ok()
        });
        // What cannot be read at all has no statement: then the query is the whole body.
        let statement = line.map_or(Some(1), |line| line.parse::<u32>().ok());
        let line = statement.map(|line| line.saturating_add(within.unwrap_or_default()));
        Some(Told { line, code, message, hint })
    });
    Some(told.collect())
}

/// Whether it fails whatever is known when it runs. What a record has is known then; the rows that triggers are given are known.
fn is_certain(code: &str, message: &str, has_records: bool) -> bool {
    match code {
        // Privileges, and what has no type yet.
        "42501" | "42P18" => false,
        _ if is_of_the_row(message) => code == "42703",
        "42P01" | "3F000" | "42704" => true,
        "42703" if !message.starts_with("record ") => true,
        "22P02" => !has_records,
        _ => code.starts_with("42") && !has_records,
    }
}

fn is_of_the_row(message: &str) -> bool {
    ["record \"new\" ", "record \"old\" "].iter().any(|start| message.starts_with(start))
}

/// What it says of a routine: of a trigger function that may tell tables apart what it says for all of them, of others what it says
/// for any, and for which. Nothing where it fails itself.
fn merged(answers: Vec<Answer<'_>>, for_all: bool) -> Vec<Told> {
    let mut all: Vec<(Option<&str>, Vec<Told>)> = Vec::new();
    for (table, told) in answers {
        let Some(told) = told else { return Vec::new() };
        all.push((table, told));
    }
    let mut merged: Vec<Told> = Vec::new();
    for (table, told) in &all {
        for error in told {
            let is_everywhere = all.iter().all(|(_, one)| one.contains(error));
            let is_known =
                merged.iter().any(|known| (known.line, &known.message) == (error.line, &error.message));
            if is_known || for_all && !is_everywhere {
                continue;
            }
            let of_one = table.filter(|_| !is_everywhere).map(|table| format!("as a trigger of {table}"));
            merged.push(Told { hint: of_one.or_else(|| error.hint.clone()), ..error.clone() });
        }
    }
    merged
}

impl Told {
    /// The finding of it; nothing where it is among those that were `found`.
    pub(super) async fn finding(
        self,
        session: &mut Session,
        routine: &Routine,
        effects: &Effects,
        found: &[LateFinding],
    ) -> Result<Option<LateFinding>, Failure> {
        let Self { line, code, message, hint } = self;
        let is_missing = ["42P01", "42703", "42883", "42704", "3F000"].contains(&code.as_str());
        let Some(missing) = message.strip_suffix(NOT_THERE).filter(|_| is_missing) else {
            return Ok(Some(LateFinding {
                routine: routine.shown.clone(),
                wrong: Wrong::Fails(message),
                line,
                hint,
            }));
        };
        // Of a schema that is missing all that is in it was found to be.
        if let Some(schema) = missing.strip_prefix("schema ") {
            let schema = format!(" {}.", quote_ident(schema.trim_matches('"')));
            let is_in_it =
                |one: &LateFinding| matches!(&one.wrong, Wrong::Missing(what) if what.contains(&schema));
            if found.iter().any(is_in_it) {
                return Ok(None);
            }
        }
        let plain = Elsewhere { hint, ..Elsewhere::default() };
        let meant = named(effects, &message).filter(|_| code != "42703");
        let Some((object, kind)) = meant.and_then(|object| Some((object, Kind::of(object)?))) else {
            return Ok(Some(finding(routine, missing.to_owned(), line, plain)));
        };
        let what = format!("{} {}", kind.word(), written(object));
        if found.iter().any(|one| one.is_of(&what)) {
            return Ok(None);
        }
        let names = Names::of(session, routine).await?;
        if names.has(session, kind, object).await? {
            // There is one, but not for these arguments.
            return Ok(Some(finding(routine, missing.to_owned(), line, plain)));
        }
        let elsewhere = names.elsewhere(session, object).await?;
        Ok(Some(finding(routine, what, line, elsewhere)))
    }
}
