//! What the catalogue says of indexes that are built, rebuilt or dropped concurrently, and of what is left of them when
//! that is cut off. It changes nothing.
//!
//! Asked on the worker, which has the user's search path. An index that is not valid and whose table another session is
//! working on may be that session's: it is told apart.

use std::time::Duration;

use cutover_analysis::column_options;
use cutover_analysis::effects::{Check, ObjectRef, Reindexed, Retry};
use cutover_analysis::sql::{index_definition, quote_ident, quote_literal, quote_qualified};
use cutover_postgres::session::{Failure, ServerMessage, Session};
use cutover_postgres::sqlstate;

use crate::secrets::without_passwords;

/// State of an index in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IndexState {
    /// There is none of that name.
    Missing,
    /// It is used.
    Valid,
    /// Left behind by a failed build or drop; schema and name.
    Invalid(String, String),
    /// Not valid, and another session is at work on its table: it may be a build under way.
    Building(String),
}

/// An index, and its table where the statement names it: an unqualified index lives in its table's schema.
pub(super) type Named<'a> = (&'a ObjectRef, Option<&'a ObjectRef>);

/// Whether another session is at work on the table of index `i`: builds, rebuilds and drops hold this lock throughout.
const AT_WORK: &str = "EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.relation = i.indrelid AND l.granted
    AND l.mode = 'ShareUpdateExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))";

fn name_of(object: &ObjectRef) -> String {
    match &object.schema {
        Some(schema) => quote_qualified(schema, &object.name),
        None => quote_ident(&object.name),
    }
}

/// The condition that finds an index by its name.
fn is_named((index, table): Named<'_>) -> String {
    match (&index.schema, table) {
        (None, Some(table)) => format!(
            "i.indrelid = pg_catalog.to_regclass({}) AND c.relname = {}",
            quote_literal(&name_of(table)),
            quote_literal(&index.name)
        ),
        _ => format!("c.oid = pg_catalog.to_regclass({})", quote_literal(&name_of(index))),
    }
}

/// Whether an index is what a statement makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Likeness {
    Same,
    /// What the index is, and what the statement makes.
    Different(String, String),
    /// Why it could not be found out.
    Unknown(String),
}

/// What is asked of an index: everything that decides which rows it finds, and how; not its name, table and tablespace.
/// Expressions and conditions are shown as the server understood them, so that spelling does not matter.
const WHAT_IT_IS: &str = concat!("SELECT pg_catalog.jsonb_build_array(i.indisunique, pg_catalog.to_jsonb(i) -> 'indnullsnotdistinct',
           i.indisprimary, i.indisexclusion, m.amname, i.indnkeyatts, i.indclass::text, i.indcollation::text, i.indoption::text,
           c.reloptions, ARRAY(SELECT (", column_options!("a"), ")::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indexrelid ORDER BY a.attnum),
           columns, condition)::text,
       pg_catalog.concat(CASE WHEN i.indisunique THEN 'UNIQUE ' END,
           pg_catalog.substring(pg_catalog.pg_get_indexdef(i.indexrelid), 'USING .*'))
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_am m ON m.oid = c.relam
  CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_expr(i.indpred, i.indrelid),
           ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, n, false) FROM pg_catalog.generate_series(1, i.indnatts) AS n))
       AS texts (condition, columns)");

/// Whether a valid index is what a statement makes: the statement makes one on an empty copy of the table, in a
/// transaction that is rolled back, and the two are compared. The copy has the table's name, which a condition may repeat.
///
/// # Errors
/// As the server says where the answer may be another one later: a lock or a connection. What it refuses otherwise (no
/// right to make temporary tables) is [`Likeness::Unknown`].
pub(super) async fn likeness(
    session: &mut Session,
    named: Named<'_>,
    unique: bool,
    statement: &str,
    lock_timeout: Duration,
) -> Result<Likeness, Failure> {
    let (Some(table), Some(definition)) = (named.1, index_definition(statement)) else {
        return Ok(Likeness::Unknown("the statement is not spelled in a way that is understood".to_owned()));
    };
    let copy = quote_qualified("pg_temp", &table.name);
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = {}; CREATE TEMPORARY TABLE {copy} (LIKE {})",
        lock_timeout.as_millis(),
        name_of(table)
    );
    // Before the copy is there: its name comes first on any search path.
    let look = format!(
        "{WHAT_IT_IS} JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {}",
        is_named(named)
    );
    let unique = if unique { "UNIQUE " } else { "" };
    let create = format!("CREATE {unique}INDEX ON {copy} {definition}");
    let look_at_made =
        format!("{WHAT_IT_IS} WHERE i.indrelid = {}::pg_catalog.regclass", quote_literal(&copy));
    let result = compare(session, [&look, &begin, &create, &look_at_made]).await;
    if !session.is_closed() {
        let _ = session.execute("ROLLBACK").await;
    }
    match result {
        Err(Failure::Server(message)) if !may_pass(&message) => {
            Ok(Likeness::Unknown(without_passwords(&message.message)))
        }
        other => other,
    }
}

/// An error that says nothing of the statement.
fn may_pass(message: &ServerMessage) -> bool {
    message.is_fatal()
        || sqlstate::is_retryable_lock(&message.code)
        || sqlstate::is_out_of_resources(&message.code)
        || message.code == sqlstate::QUERY_CANCELED
}

async fn compare(
    session: &mut Session,
    [look, begin, create, look_at_made]: [&str; 4],
) -> Result<Likeness, Failure> {
    let there = what_it_is(session, look).await?;
    session.execute(begin).await?;
    session.execute(create).await?;
    let made = what_it_is(session, look_at_made).await?;
    Ok(match (there, made) {
        (Some(there), Some(made)) if there.0 == made.0 => Likeness::Same,
        (Some(there), Some(made)) => Likeness::Different(there.1, made.1),
        _ => Likeness::Unknown("it is gone".to_owned()),
    })
}

async fn what_it_is(session: &mut Session, look: &str) -> Result<Option<(String, String)>, Failure> {
    let rows = session.query(look, &[]).await?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
}

/// What is known of one index.
pub(super) async fn state(session: &mut Session, named: Named<'_>) -> Result<IndexState, Failure> {
    let which = is_named(named);
    let look = format!(
        "SELECT i.indisvalid, n.nspname::text, c.relname::text, {AT_WORK}
           FROM pg_catalog.pg_index i
           JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE {which}"
    );
    let rows = session.query(&look, &[]).await?;
    Ok(match rows.first() {
        None => IndexState::Missing,
        Some(row) if row.get::<_, bool>(0) => IndexState::Valid,
        Some(row) if row.get::<_, bool>(3) => IndexState::Building(row.get(2)),
        Some(row) => IndexState::Invalid(row.get(1), row.get(2)),
    })
}

/// What has the name of an index where the index would be, in words: an index of another table, a table, a view. `None`
/// where nothing has, or where the statement does not name the table.
pub(super) async fn taken_by(
    session: &mut Session,
    (index, table): Named<'_>,
) -> Result<Option<String>, Failure> {
    let Some(table) = table else { return Ok(None) };
    let look = format!(
        "SELECT c.relkind::pg_catalog.text, coalesce(i.indrelid::pg_catalog.regclass::pg_catalog.text, '')
           FROM pg_catalog.pg_class t
           JOIN pg_catalog.pg_class c ON c.relnamespace = t.relnamespace AND c.relname = {}
           LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
          WHERE t.oid = pg_catalog.to_regclass({}) AND i.indrelid IS DISTINCT FROM t.oid",
        quote_literal(&index.name),
        quote_literal(&name_of(table))
    );
    let rows = session.query(&look, &[]).await?;
    Ok(rows.first().map(|row| {
        let kind: String = row.get(0);
        match kind.as_str() {
            "i" | "I" => format!("an index of table {}", row.get::<_, String>(1)),
            "v" => "a view".to_owned(),
            "m" => "a materialized view".to_owned(),
            "S" => "a sequence".to_owned(),
            "c" => "a type".to_owned(),
            _ => "a table".to_owned(),
        }
    }))
}

/// SQL for the OIDs of indexes that must be known from before a statement to tell later what it did: of the index that it
/// drops, as another of that name may be made since, and of the invalid ones beside those it builds anew, which are not
/// its leftovers. One value, with spaces; `None` for other statements. Names are found by the search path of migrations.
pub(crate) fn found_before(retry: &Retry) -> Option<String> {
    match retry {
        Retry::Checkable(Check::IndexAbsent { index }) => Some(format!(
            "coalesce(pg_catalog.to_regclass({})::oid::pg_catalog.text, '')",
            quote_literal(&name_of(index))
        )),
        Retry::Reindex(reindexed) => Some(format!(
            "(WITH wanted AS ({}) SELECT coalesce(pg_catalog.string_agg(i.indexrelid::pg_catalog.text, ' '), '')
                FROM pg_catalog.pg_index i
               WHERE NOT i.indisvalid AND i.indrelid IN (SELECT w.table FROM wanted w))",
            wanted(reindexed)
        )),
        _ => None,
    }
}

/// The same as it is now.
pub(super) async fn found(session: &mut Session, retry: &Retry) -> Result<Option<String>, Failure> {
    let Some(look) = found_before(retry) else { return Ok(None) };
    let done = session.query_text(&format!("SELECT {look}")).await?;
    Ok(done.scalar().map(str::to_owned))
}

/// Whether the index of that name is the one that was found before; also where nobody looked.
pub(super) async fn is_found(
    session: &mut Session,
    index: &ObjectRef,
    found: Option<&str>,
) -> Result<bool, Failure> {
    let Some(found) = found else { return Ok(true) };
    let look =
        format!("SELECT pg_catalog.to_regclass({})::oid::pg_catalog.text", quote_literal(&name_of(index)));
    let now = session.query_text(&look).await?;
    Ok(now.scalar().is_some_and(|now| found.split(' ').any(|before| before == now)))
}

/// The invalid indexes that a `REINDEX … CONCURRENTLY` left behind: `…_ccnew` where the new one was not finished,
/// `…_ccold` where the old one was not removed yet, beside the index they stand for. Schema and name of each; not those
/// of a table that another session is at work on, nor those that were found before it began.
pub(super) async fn leftovers(
    session: &mut Session,
    reindexed: &Reindexed,
    found: Option<&str>,
) -> Result<Vec<(String, String)>, Failure> {
    let spared: Vec<&str> =
        found.unwrap_or_default().split(' ').filter(|oid| oid.parse::<u32>().is_ok()).collect();
    // PostgreSQL cuts a long name to make room for the ending, and numbers the ending where the name is taken.
    let look = format!(
        "WITH wanted AS ({wanted})
         SELECT n.nspname::text, c.relname::text
           FROM pg_catalog.pg_index i
           JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL (SELECT pg_catalog.regexp_replace(c.relname::text, '_cc(new|old)[0-9]*$', '') AS stem) s
          WHERE NOT i.indisvalid AND s.stem <> c.relname::text AND NOT {AT_WORK}
            AND i.indexrelid::pg_catalog.text <> ALL ('{{{spared}}}'::pg_catalog.text[])
            AND EXISTS (SELECT FROM wanted w JOIN pg_catalog.pg_class b ON b.oid = w.index
                         WHERE w.table = i.indrelid AND w.index <> i.indexrelid
                           AND (b.relname::text = s.stem
                                OR (pg_catalog.octet_length(c.relname::text) = 63
                                    AND pg_catalog.starts_with(b.relname::text, s.stem))))
          ORDER BY 1, 2",
        spared = spared.join(","),
        wanted = wanted(reindexed)
    );
    let rows = session.query(&look, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The indexes that a statement builds anew, with their tables.
fn wanted(reindexed: &Reindexed) -> String {
    // A partitioned index or table stands for those of its partitions; any other one for itself.
    let with_partitions = |object: &ObjectRef| {
        let oid = format!("pg_catalog.to_regclass({})", quote_literal(&name_of(object)));
        format!("SELECT {oid}::oid AS oid UNION SELECT relid::oid FROM pg_catalog.pg_partition_tree({oid})")
    };
    // What a table stores out of line has an index of its own.
    let of_tables = |tables: &str| {
        format!(
            "SELECT x.indexrelid AS index, x.indrelid AS table FROM pg_catalog.pg_index x
              WHERE x.indrelid IN (SELECT t.oid FROM ({tables}) AS t UNION
                                   SELECT r.reltoastrelid FROM pg_catalog.pg_class r JOIN ({tables}) AS t ON t.oid = r.oid)"
        )
    };
    match reindexed {
        Reindexed::Index(index) => format!(
            "SELECT x.indexrelid AS index, x.indrelid AS table FROM pg_catalog.pg_index x
              WHERE x.indexrelid IN ({})",
            with_partitions(index)
        ),
        Reindexed::Table(table) => of_tables(&with_partitions(table)),
        Reindexed::Schema(schema) => of_tables(&format!(
            "SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.to_regnamespace({})",
            quote_literal(&quote_ident(schema))
        )),
        Reindexed::Database => of_tables(
            "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')",
        ),
    }
}
