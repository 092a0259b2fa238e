//! What is sent to the server to see whether a role may do something, and what its answer means.

use cutover_analysis::sql::{quote_ident, quote_literal};
use cutover_postgres::Row;
use cutover_postgres::session::{Done, Failure, Session};

use super::grid::{Grid, How, Object, Rows};
use crate::verify::failure_text;
use crate::verify::measure::Trouble;

/// Tables above this size are not changed for the sake of a count: 8 MiB.
const TRIED: i64 = 8 << 20;

/// One thing to act on.
#[derive(Debug)]
pub(super) struct Target {
    /// The line of the matrix, from 0.
    pub(super) row: usize,
    /// As people know it.
    pub(super) shown: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Relation {
        oid: u32,
        name: String,
        /// The columns that the matrix names; none for all.
        columns: Vec<String>,
        /// Those that can be written.
        writable: Vec<String>,
        /// The column that is set to itself to see which rows an UPDATE reaches; only of a table that is small enough.
        tried: Option<String>,
        /// It has rows of its own: what may be done with it is not what may be done with others besides.
        is_table: bool,
    },
    /// A function, schema or sequence: the kind as `has_…_privilege` names it, its number, and that of its schema.
    Other { kind: &'static str, oid: u32, schema: Option<u32> },
}

/// Which part of an operation is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The operation.
    Whole,
    /// The same with any column.
    AnyColumn,
    /// How many rows it reaches.
    Count,
    /// How many there are.
    Total,
}

/// One statement that is tried.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) actor: usize,
    pub(super) target: usize,
    pub(super) letter: char,
    pub(super) part: Part,
    pub(super) sql: String,
    /// The statement is the check's own: what it returns says nothing of privileges.
    pub(super) is_own: bool,
}

/// What the server said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) letter: char,
    pub(super) part: Part,
    pub(super) told: Told,
}

/// What an answer means.
#[derive(Debug)]
pub(super) enum Told {
    /// It may be done.
    Yes,
    /// It may not, and why.
    No(String),
    /// So many rows.
    Counted(u64),
    /// Nothing is known.
    Unknown(String),
}

impl Answer {
    /// Why nothing is known.
    pub(super) fn trouble(&self) -> Option<&str> {
        match &self.told {
            Told::Unknown(why) => Some(why),
            _ => None,
        }
    }
}

/// Errors that say that a statement is not for this role, or not for an object of this kind: no privilege, not updatable, not
/// of this kind, not supported.
const REFUSED: [&str; 4] = ["42501", "55000", "42809", "0A000"];

impl Probe {
    /// What the outcome of the statement means.
    pub(super) fn answer(&self, outcome: Result<Done, Failure>) -> Answer {
        let told = match outcome {
            Err(failure) => {
                let (code, text) = (failure.code().unwrap_or_default(), failure_text(&failure));
                match self.part {
                    // Somebody has set row_security off: whoever has it on is not refused.
                    _ if is_by_setting(&failure) => Told::Unknown(text),
                    _ if code == "42501" && self.part != Part::Total => Told::No(text),
                    Part::Whole | Part::AnyColumn if REFUSED.contains(&code) => Told::No(text),
                    // Privileges and policies are asked before constraints.
                    Part::Whole if self.letter == 'a' && code.starts_with("23") => Told::Yes,
                    _ => Told::Unknown(text),
                }
            }
            Ok(done) => match self.part {
                Part::Count | Part::Total => match (done.scalar(), done.rows_affected()) {
                    (Some(count), _) if count.parse::<u64>().is_ok() => {
                        Told::Counted(count.parse().unwrap_or_default())
                    }
                    (Some(why), _) => Told::Unknown(why.to_owned()),
                    (None, count) => Told::Counted(count.unwrap_or_default()),
                },
                // The server's own functions answer with a boolean, and EXPLAIN with a plan.
                Part::Whole | Part::AnyColumn if !self.is_own && last(&done) == Some("f") => {
                    Told::No("no privilege".to_owned())
                }
                Part::Whole | Part::AnyColumn => Told::Yes,
            },
        };
        Answer { letter: self.letter, part: self.part, told }
    }
}

/// Whether something is refused only because rows would be hidden and `row_security` says that this is an error. Messages are in the
/// server's language, the routine that reports it is not.
fn is_by_setting(failure: &Failure) -> bool {
    failure.code() == Some("42501")
        && failure.server().is_some_and(|message| message.routine.as_deref() == Some("check_enable_rls"))
}

/// The first column of the last row.
fn last(done: &Done) -> Option<&str> {
    done.rows.last()?.first()?.as_deref()
}

/// Takes a role for the rest of the transaction, with what is set for it. What the role of the connection has set of row security, as
/// those that make backups do, is not for others.
pub(super) fn become_role(role: &str, settings: &[(String, String)]) -> String {
    let set: Vec<String> = settings
        .iter()
        .map(|(name, value)| {
            let (name, value) = (quote_literal(name), quote_literal(value));
            format!("SELECT pg_catalog.set_config({name}, {value}, true); ")
        })
        .collect();
    format!("SET LOCAL row_security = on; {}SET LOCAL ROLE {}", set.concat(), quote_ident(role))
}

/// Whether every role is there and may be taken. What is missing is named at once.
pub(super) async fn look_at_roles(session: &mut Session, roles: &[&str]) -> Result<(), Trouble> {
    let sql = "SELECT w.name, r.oid IS NOT NULL,
               CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 160000
                    THEN pg_catalog.pg_has_role(session_user, r.oid, 'SET')
                    ELSE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') END, session_user::text
          FROM pg_catalog.unnest($1::text[]) AS w (name) LEFT JOIN pg_catalog.pg_roles r ON r.rolname = w.name";
    let mut problems: Vec<String> = Vec::new();
    for row in session.query(sql, &[&roles]).await? {
        let (name, is_there, may): (String, bool, Option<bool>) = (row.get(0), row.get(1), row.get(2));
        let problem = match (is_there, may) {
            (false, _) => format!("there is no role {name}"),
            (true, Some(true)) => continue,
            _ => {
                let own: String = row.get(3);
                let (role, own) = (quote_ident(&name), quote_ident(&own));
                format!("{own} may not take the role {role}: GRANT {role} TO {own}")
            }
        };
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Trouble(problems.join("; "))) }
}

const RELATIONS: &str = "SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relkind::text,
       columns.names, columns.updatable,
       CASE WHEN c.relkind = 'p' THEN (SELECT COALESCE(sum(pg_catalog.pg_relation_size(t.relid)), 0)::bigint
                                         FROM pg_catalog.pg_partition_tree(c.oid) t WHERE t.isleaf)
            WHEN c.relkind = 'r' THEN pg_catalog.pg_table_size(c.oid) END,
       columns.free
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (
       SELECT COALESCE(pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) ORDER BY NOT a.updatable, a.attnum), '{}') AS names,
              count(*) FILTER (WHERE a.updatable) AS updatable,
              (pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) ORDER BY a.attnum)
                 FILTER (WHERE a.attidentity <> 'a'))[1] AS free
         FROM (SELECT a.attname, a.attnum, a.attidentity,
                      pg_catalog.pg_column_is_updatable(c.oid, a.attnum, true)
                      -- The server lets nobody write these, and through a view not even their default.
                      AND NOT EXISTS (
                          SELECT FROM pg_catalog.pg_rewrite w
                            JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
                            JOIN pg_catalog.pg_attribute b ON b.attrelid = d.refobjid AND b.attnum = d.refobjsubid
                           WHERE w.ev_class = c.oid AND c.relkind = 'v' AND b.attname = a.attname
                             AND (b.attidentity = 'a' OR b.attgenerated <> '')) AS updatable
                 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') AS a) AS columns
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')";

/// What the matrix is about, and what of it is not there. Where several lines mean a relation, one that names it goes before
/// patterns, and an earlier pattern before a later one.
pub(super) async fn targets(
    session: &mut Session,
    grid: &Grid,
) -> Result<(Vec<Target>, Vec<String>), Trouble> {
    let (mut targets, mut missing): (Vec<Target>, Vec<String>) = (Vec::new(), Vec::new());
    let mut named: Vec<u32> = Vec::new();
    for is_pattern in [false, true] {
        for (row, line) in grid.rows.iter().enumerate() {
            let Object::Relation { name, columns } = &line.object else { continue };
            if name.contains('*') != is_pattern {
                continue;
            }
            let found = relations(session, row, name, columns).await?;
            if found.is_empty() {
                let what = if is_pattern { "no relation is called like" } else { "there is no relation" };
                missing.push(format!("{what} {name}"));
            }
            for target in found {
                let What::Relation { oid, columns, .. } = &target.what else { continue };
                let is_taken = named.contains(oid);
                if columns.is_empty() && !(is_pattern && is_taken) {
                    named.push(*oid);
                }
                if !(is_pattern && is_taken) {
                    targets.push(target);
                }
            }
        }
    }
    for (row, line) in grid.rows.iter().enumerate() {
        let (kind, name, query) = match &line.object {
            Object::Relation { .. } => continue,
            Object::Function(name) => (
                "function",
                name,
                "SELECT p.oid, p.pronamespace FROM pg_catalog.pg_proc p WHERE p.oid = pg_catalog.to_regprocedure($1)",
            ),
            Object::Schema(name) => (
                "schema",
                name,
                "SELECT n.oid, NULL::oid FROM pg_catalog.pg_namespace n WHERE n.oid = pg_catalog.to_regnamespace($1)",
            ),
            Object::Sequence(name) => (
                "sequence",
                name,
                "SELECT c.oid, c.relnamespace FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1) AND c.relkind = 'S'",
            ),
        };
        match session.query(query, &[&name]).await?.first() {
            None => missing.push(format!("there is no {}", line.object)),
            Some(found) => {
                let what = What::Other { kind, oid: found.get(0), schema: found.get(1) };
                targets.push(Target { row, shown: line.object.to_string(), what });
            }
        }
    }
    Ok((targets, missing))
}

async fn relations(
    session: &mut Session,
    row: usize,
    name: &str,
    columns: &[String],
) -> Result<Vec<Target>, Trouble> {
    let rows = if name.contains('*') {
        let (schema, table) = name.split_once('.').unwrap_or(("", name));
        let sql = format!(
            "{RELATIONS} AND c.relname LIKE $2 AND CASE WHEN $1 = '' THEN n.nspname = ANY (pg_catalog.current_schemas(false))
               ELSE n.nspname LIKE $1 END ORDER BY n.nspname, c.relname"
        );
        session.query(&sql, &[&like(schema), &like(table)]).await?
    } else {
        session.query(&format!("{RELATIONS} AND c.oid = pg_catalog.to_regclass($1)"), &[&name]).await?
    };
    let target = |found: &Row| {
        let kind: String = found.get(2);
        let (mut writable, updatable): (Vec<String>, i64) = (found.get(3), found.get(4));
        // Of what is not updatable at all the server is to say so itself.
        if updatable > 0 {
            writable.truncate(usize::try_from(updatable).unwrap_or(usize::MAX));
        }
        let size: Option<i64> = found.get(5);
        let own: String = found.get(1);
        let shown = match (name.contains('*'), columns) {
            (true, _) => own.clone(),
            (false, []) => name.to_owned(),
            (false, columns) => format!("{name} ({})", columns.join(", ")),
        };
        let is_table = matches!(kind.as_str(), "r" | "p" | "f");
        let is_small = matches!(kind.as_str(), "r" | "p") && size.is_some_and(|size| size <= TRIED);
        let tried = found.get::<_, Option<String>>(6).filter(|_| is_small);
        let what = What::Relation {
            oid: found.get(0),
            name: own,
            columns: columns.to_vec(),
            writable,
            tried,
            is_table,
        };
        Target { row, shown, what }
    };
    Ok(rows.iter().map(target).collect())
}

/// A pattern with `*` as LIKE has it.
fn like(pattern: &str) -> String {
    pattern.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('*', "%")
}

/// The statements that show whether something may be done, and to how many rows where that is asked.
pub(super) fn of(
    target: &Target,
    letter: char,
    how: Option<&How>,
    insert: Option<&str>,
) -> Vec<(Part, String)> {
    let (oid, name, columns, writable, tried, is_table) = match &target.what {
        What::Other { kind, oid, schema } => {
            return vec![(Part::Whole, has_privilege(kind, *oid, *schema, letter))];
        }
        What::Relation { oid, name, columns, writable, tried, is_table } => {
            (*oid, name, columns, writable, tried, *is_table)
        }
    };
    let is_whole = columns.is_empty();
    let listed = if is_whole { writable } else { columns };
    let mut probes = vec![(Part::Whole, whole(oid, name, letter, columns, listed, insert))];
    let is_partly = match letter {
        'r' => true,
        'a' => insert.is_none(),
        // There is no UPDATE of no column that could be asked.
        'w' => is_table,
        _ => false,
    };
    if is_whole && is_partly {
        probes.push((Part::AnyColumn, any_column(oid, name, letter)));
    }
    // Of a view the server tells only what it says itself of its columns, not whether what is behind it may be read.
    if columns.len() > 1 && is_table && is_partly {
        probes.push((Part::AnyColumn, any_of(oid, columns, letter)));
    }
    let Some(How::Rows(rows)) = how else { return probes };
    let read = if is_whole {
        format!("SELECT count(*) FROM {name}")
    } else {
        format!("SELECT count(*) FROM (SELECT {} FROM {name}) AS t", columns.join(", "))
    };
    let count = match (letter, tried) {
        ('r', _) => read,
        ('d', Some(_)) => format!("DELETE FROM {name}"),
        (_, Some(column)) => format!("UPDATE {name} SET {column} = {column}"),
        (_, None) => {
            format!("SELECT 'rows are changed to count them only in tables of up to {} MB'", TRIED >> 20)
        }
    };
    probes.push((Part::Count, count));
    if *rows == Rows::All {
        let all = format!("SET LOCAL ROLE NONE; SET LOCAL row_security = off; SELECT count(*) FROM {name}");
        probes.push((Part::Total, all));
    }
    probes
}

/// EXPLAIN checks what the statement would check, and runs nothing.
fn whole(
    oid: u32,
    name: &str,
    letter: char,
    columns: &[String],
    listed: &[String],
    insert: Option<&str>,
) -> String {
    let list = listed.join(", ");
    match letter {
        'r' if columns.is_empty() => format!("EXPLAIN (COSTS OFF) SELECT * FROM {name}"),
        'r' => format!("EXPLAIN (COSTS OFF) SELECT {list} FROM {name}"),
        'a' if insert.is_some() => insert.unwrap_or_default().to_owned(),
        'a' => {
            let defaults = vec!["DEFAULT"; listed.len()].join(", ");
            format!(
                "EXPLAIN (COSTS OFF) INSERT INTO {name} ({list}) VALUES ({defaults}); SELECT {}",
                lets_rows_in(oid)
            )
        }
        'w' => {
            let set: Vec<String> = listed.iter().map(|column| format!("{column} = DEFAULT")).collect();
            format!("EXPLAIN (COSTS OFF) UPDATE {name} SET {}", set.join(", "))
        }
        'd' => format!("EXPLAIN (COSTS OFF) DELETE FROM {name}"),
        _ => has_privilege("table", oid, None, letter),
    }
}

/// Whether some policy of a table lets rows in: without one none comes in, which is seen only when one would.
fn lets_rows_in(oid: u32) -> String {
    format!(
        "NOT pg_catalog.row_security_active({oid}::pg_catalog.oid) OR EXISTS (
           SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = {oid} AND p.polpermissive AND p.polcmd IN ('*', 'a')
              AND (0 = ANY (p.polroles) OR EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) AS of (role)
                                                    WHERE pg_catalog.pg_has_role(of.role, 'USAGE'))))"
    )
}

/// Whether an operation may be done with some column.
fn any_column(oid: u32, name: &str, letter: char) -> String {
    match letter {
        'r' => format!("EXPLAIN (COSTS OFF) SELECT FROM {name}"),
        'a' => format!("EXPLAIN (COSTS OFF) INSERT INTO {name} DEFAULT VALUES; SELECT {}", lets_rows_in(oid)),
        _ => format!(
            "SELECT pg_catalog.has_any_column_privilege({oid}::pg_catalog.oid, '{}')
                AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') FROM pg_catalog.pg_class c WHERE c.oid = {oid}",
            privilege(letter)
        ),
    }
}

/// Whether an operation may be done with some of these columns.
fn any_of(oid: u32, columns: &[String], letter: char) -> String {
    let one = |column: &String| {
        let (column, privilege) = (quote_literal(column), privilege(letter));
        format!(
            "pg_catalog.has_column_privilege(c.oid, (pg_catalog.parse_ident({column}))[1], '{privilege}')"
        )
    };
    let any: Vec<String> = columns.iter().map(one).collect();
    format!(
        "SELECT ({}) AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') FROM pg_catalog.pg_class c WHERE c.oid = {oid}",
        any.join(" OR ")
    )
}

/// The server's own answer about a privilege. Without USAGE of its schema an object cannot be named.
fn has_privilege(kind: &str, oid: u32, schema: Option<u32>, letter: char) -> String {
    let own = format!("pg_catalog.has_{kind}_privilege({oid}::pg_catalog.oid, '{}')", privilege(letter));
    match (kind, schema) {
        ("table", _) => format!(
            "SELECT {own} AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') FROM pg_catalog.pg_class c WHERE c.oid = {oid}"
        ),
        (_, Some(schema)) => {
            format!("SELECT {own} AND pg_catalog.has_schema_privilege({schema}::pg_catalog.oid, 'USAGE')")
        }
        (_, None) => format!("SELECT {own}"),
    }
}

fn privilege(letter: char) -> &'static str {
    match letter {
        'r' => "SELECT",
        'a' => "INSERT",
        'w' => "UPDATE",
        'd' => "DELETE",
        'D' => "TRUNCATE",
        'x' => "REFERENCES",
        't' => "TRIGGER",
        'X' => "EXECUTE",
        'C' => "CREATE",
        _ => "USAGE",
    }
}
