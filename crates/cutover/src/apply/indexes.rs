//! What the catalogue says of indexes that are built, rebuilt or dropped concurrently, and of what is left of them when
//! that is cut off. It only looks.
//!
//! Asked on the worker, which has the user's search path. An index that is not valid and whose table another session is
//! working on may be that session's: it is told apart.

use cutover_analysis::effects::{IndexShape, ObjectRef, Reindexed};
use cutover_analysis::sql::{quote_ident, quote_literal, quote_qualified};
use cutover_postgres::session::{Failure, Session};

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

/// Whether an index is what a statement makes, as far as names of columns tell: expressions and conditions are not
/// compared.
pub(super) async fn has_shape(
    session: &mut Session,
    named: Named<'_>,
    shape: &IndexShape,
) -> Result<bool, Failure> {
    let look = format!(
        "SELECT i.indisunique, m.amname::text, i.indpred IS NOT NULL, i.indnkeyatts::int4,
                ARRAY(SELECT coalesce(a.attname::text, '') FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (n, ord)
                        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n ORDER BY k.ord)
           FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
           JOIN pg_catalog.pg_am m ON m.oid = c.relam JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE {}",
        is_named(named)
    );
    let rows = session.query(&look, &[]).await?;
    let Some(row) = rows.first() else { return Ok(false) };
    let keys = shape.keys.iter().map(|key| key.clone().unwrap_or_default());
    let columns: Vec<String> = keys.chain(shape.included.iter().cloned()).collect();
    let found: (bool, String, bool, i32, Vec<String>) =
        (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
    let key_count = i32::try_from(shape.keys.len()).unwrap_or(i32::MAX);
    Ok(found == (shape.unique, shape.method.clone(), shape.partial, key_count, columns))
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

/// The invalid indexes that a `REINDEX … CONCURRENTLY` left behind: `…_ccnew` where the new one was not finished,
/// `…_ccold` where the old one was not removed yet, beside the index they stand for. Schema and name of each; not those
/// of a table that another session is at work on.
pub(super) async fn leftovers(
    session: &mut Session,
    reindexed: &Reindexed,
) -> Result<Vec<(String, String)>, Failure> {
    // PostgreSQL cuts a long name to make room for the ending, and numbers the ending where the name is taken.
    let look = format!(
        "WITH wanted AS ({wanted})
         SELECT n.nspname::text, c.relname::text
           FROM pg_catalog.pg_index i
           JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          CROSS JOIN LATERAL (SELECT pg_catalog.regexp_replace(c.relname::text, '_cc(new|old)[0-9]*$', '') AS stem) s
          WHERE NOT i.indisvalid AND s.stem <> c.relname::text AND NOT {AT_WORK}
            AND EXISTS (SELECT FROM wanted w JOIN pg_catalog.pg_class b ON b.oid = w.index
                         WHERE w.table = i.indrelid AND w.index <> i.indexrelid
                           AND (b.relname::text = s.stem
                                OR (pg_catalog.octet_length(c.relname::text) = 63
                                    AND pg_catalog.starts_with(b.relname::text, s.stem))))
          ORDER BY 1, 2",
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
