//! What is read of a table, and in which pieces, so that two connections can share the work.

use cutover_analysis::sql::{quote_ident, quote_qualified};
use cutover_postgres::session::Session;

use super::super::CatalogError;

/// First server version that reads a range of ctids without scanning the whole table.
const TID_RANGE_SCAN: u32 = 140_000;
/// Tables smaller than this many blocks are read in one piece.
const SMALL: u64 = 2048;
/// Pieces a large table is cut into: enough for both connections to end at about the same time.
const PIECES: u64 = 16;
/// Longest piece in blocks: 1 GiB of the usual size.
const LONGEST: u64 = 131_072;

/// A table as the session sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) oid: u32,
    pub(super) name: String,
    /// It holds rows of its own or of its partitions, all of them in heaps.
    pub(super) is_table: bool,
    /// The role may read all of it: it may be locked.
    pub(super) lockable: bool,
}

/// Finds a table by its name as SQL spells it, by the session's search path.
pub(super) async fn find(session: &mut Session, table: &str) -> Result<Source, CatalogError> {
    let rows = session
        .query(
            "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, has_table_privilege(c.oid, 'SELECT')
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE c.oid = pg_catalog.to_regclass($1)",
            &[&table],
        )
        .await?;
    let Some(row) = rows.first() else { return Err(CatalogError::NoSuchTable(table.to_owned())) };
    let kind: String = row.get(3);
    let what = match kind.as_str() {
        "r" | "p" | "v" | "m" | "f" => None,
        "S" => Some("a sequence"),
        "i" | "I" => Some("an index"),
        _ => Some("no table"),
    };
    if let Some(what) = what {
        return Err(CatalogError::NotATable(table.to_owned(), what.to_owned()));
    }
    let is_table = matches!(kind.as_str(), "r" | "p");
    let name = quote_qualified(row.get(1), row.get(2));
    Ok(Source { oid: row.get(0), name, is_table, lockable: is_table && row.get(4) })
}

/// Columns in their order. What has no binary form that means the same everywhere is read as text: composite values
/// and arrays of types that are not built in carry object ids, `reg…` values are object ids.
const COLUMNS: &str = "
SELECT a.attname::text,
       t.typsend = 0 OR t.typtype IN ('c', 'p') OR t.typname LIKE 'reg%' AND t.typnamespace = 'pg_catalog'::regnamespace
       OR e.oid IS NOT NULL AND (e.oid >= 16384 OR e.typsend = 0 OR e.typtype IN ('c', 'p') OR e.typname LIKE 'reg%')
  FROM pg_attribute a
 CROSS JOIN LATERAL (
   WITH RECURSIVE base (oid, depth) AS (
     SELECT a.atttypid, 0
     UNION ALL
     SELECT d.typbasetype, base.depth + 1 FROM base JOIN pg_type d ON d.oid = base.oid WHERE d.typtype = 'd')
   SELECT base.oid FROM base ORDER BY depth DESC LIMIT 1) b
  JOIN pg_type t ON t.oid = b.oid
  LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
 WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum";

/// The table and all that inherit from it, with their size in blocks.
const MEMBERS: &str = "
WITH RECURSIVE tree (oid) AS (
  SELECT $1::oid UNION SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid)
SELECT n.nspname::text, c.relname::text, c.relkind::text,
       CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) / current_setting('block_size')::int8 ELSE 0 END,
       has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AND NOT c.relrowsecurity
  FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace
 ORDER BY 4 DESC, 1, 2";

/// Whether the role may read each of the tables that inherit from this one by itself. The session's search path may be
/// anything.
pub(super) async fn all_readable(session: &mut Session, source: &Source) -> Result<bool, CatalogError> {
    let rows = session
        .query(
            "WITH RECURSIVE tree (oid) AS (
               SELECT $1::pg_catalog.oid
               UNION SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)
             SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(oid, 'SELECT')) FROM tree",
            &[&source.oid],
        )
        .await?;
    Ok(rows.first().is_some_and(|row| row.get(0)))
}

/// The COPY statements that together read every row once. The session's search path must be `pg_catalog`.
pub(super) async fn pieces(session: &mut Session, source: &Source) -> Result<Vec<String>, CatalogError> {
    let columns = session.query(COLUMNS, &[&source.oid]).await?;
    let columns: Vec<String> = columns
        .iter()
        .map(|row| {
            let name = quote_ident(row.get(0));
            if row.get(1) { format!("{name}::pg_catalog.text") } else { name }
        })
        .collect();
    let columns = columns.join(", ");
    let copy = |from: &str| format!("COPY (SELECT {columns} FROM {from}) TO STDOUT (FORMAT binary)");
    let whole = || vec![copy(&source.name)];
    if !source.is_table {
        return Ok(whole());
    }
    let members = session.query(MEMBERS, &[&source.oid]).await?;
    // Privileges and policies are those of the table asked for. Its parts are read directly only where that makes
    // no difference.
    if !members.iter().all(|row| row.get::<_, bool>(4)) {
        return Ok(whole());
    }
    let ranges = session.server_version_num() >= TID_RANGE_SCAN;
    let mut pieces = Vec::new();
    for row in &members {
        let name = quote_qualified(row.get(0), row.get(1));
        let kind: String = row.get(2);
        let blocks = u64::try_from(row.get::<_, i64>(3)).unwrap_or(0);
        match kind.as_str() {
            "p" => {}
            "r" if ranges && blocks >= SMALL => pieces.extend(
                conditions(blocks).into_iter().map(|range| copy(&format!("ONLY {name} WHERE {range}"))),
            ),
            _ => pieces.push(copy(&format!("ONLY {name}"))),
        }
    }
    Ok(pieces)
}

/// Conditions on the ctid that part a table of so many blocks; the last one is open, whatever was added since.
fn conditions(blocks: u64) -> Vec<String> {
    let length = (blocks / PIECES).clamp(SMALL / 2, LONGEST);
    let starts: Vec<u64> = (0..blocks / length).map(|n| n * length).collect();
    let at = |block: u64| format!("'({block},0)'::pg_catalog.tid");
    let mut conditions = Vec::with_capacity(starts.len());
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map(|next| format!(" AND ctid < {}", at(*next))).unwrap_or_default();
        conditions.push(format!("ctid >= {}{end}", at(*start)));
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::conditions;

    #[test]
    fn ranges_touch_and_the_last_is_open() {
        let ranges = conditions(2048);
        assert_eq!(ranges.len(), 2);
        assert_eq!(ranges[0], "ctid >= '(0,0)'::pg_catalog.tid AND ctid < '(1024,0)'::pg_catalog.tid");
        assert_eq!(ranges[1], "ctid >= '(1024,0)'::pg_catalog.tid");
        assert!(conditions(100_000_000).iter().rev().skip(1).all(|range| range.contains("AND ctid <")));
    }
}
