//! What a database holds, in numbers: its tables and the rows of each, for comparing a database with its restored dump.

use std::collections::BTreeMap;

use cutover_analysis::sql::{quote_ident, quote_qualified};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};

use crate::asking::AskError;

use crate::text::visible;

/// Tables whose rows are counted in one flush.
const FLUSH: usize = 50;
/// Differences that are named.
const NAMED: usize = 5;

/// Tables that a dump holds with their rows. What belongs to an extension comes with the extension; a partitioned table
/// has its rows in its partitions.
const TABLES: &str = "
SELECT n.nspname::text, c.relname::text, c.relkind = 'r' FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1, 2";

/// Tables, each with the number of its rows; none for a partitioned table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content(BTreeMap<(String, String), Option<u64>>);

impl Content {
    /// How many tables, and how many rows in all of them.
    pub(super) fn numbers(&self) -> (u64, u64) {
        let tables = u64::try_from(self.0.len()).unwrap_or(u64::MAX);
        (tables, self.0.values().flatten().sum())
    }
}

/// Opens a transaction whose snapshot `pg_dump` can use as well, as long as the session stays in it.
pub(super) async fn export_snapshot(session: &mut Session) -> Result<String, Failure> {
    // As pg_dump: no time limits, and rows hidden by row-level security are an error.
    session
        .execute(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
             SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL row_security = off",
        )
        .await?;
    let done = session.execute("SELECT pg_catalog.pg_export_snapshot()").await?;
    done.scalar().map(str::to_owned).ok_or_else(|| Failure::Invalid("no snapshot was exported".to_owned()))
}

/// Counts, in whatever snapshot the session has.
pub(super) async fn of(session: &mut Session) -> Result<Content, Failure> {
    let rows = session.query(TABLES, &[]).await?;
    let mut content = Content::default();
    let mut counted = Vec::new();
    for row in &rows {
        let name: (String, String) = (row.get(0), row.get(1));
        content.0.insert(name.clone(), None);
        if row.get(2) {
            counted.push(name);
        }
    }
    for names in counted.chunks(FLUSH) {
        let count = |(schema, table): &(String, String)| {
            format!("SELECT pg_catalog.count(*) FROM ONLY {}", quote_qualified(schema, table))
        };
        let texts: Vec<String> = names.iter().map(count).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for (name, outcome) in names.iter().zip(session.pipeline(&texts).await) {
            let rows = outcome.result?.scalar().and_then(|rows| rows.parse().ok());
            content.0.insert(name.clone(), rows);
        }
    }
    Ok(content)
}

/// An error that names what the copy does not have as the original has it.
pub(super) fn compare(original: &Content, copy: &Content) -> Result<(), String> {
    let words = |found: Option<&Option<u64>>| match found {
        None => "no such table".to_owned(),
        Some(None) => "a partitioned table".to_owned(),
        Some(Some(rows)) => format!("{rows} rows"),
    };
    let names = original.0.keys().chain(copy.0.keys().filter(|name| !original.0.contains_key(*name)));
    let different: Vec<String> = names
        .filter(|name| original.0.get(*name) != copy.0.get(*name))
        .map(|name| {
            let (there, here) = (words(original.0.get(name)), words(copy.0.get(name)));
            format!(
                "{}: {there} in the database, {here} in the restored dump",
                visible(&quote_qualified(&name.0, &name.1))
            )
        })
        .collect();
    if different.is_empty() {
        return Ok(());
    }
    let more = different.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    let first: Vec<&str> = different.iter().take(NAMED).map(String::as_str).collect();
    Err(format!("the restored dump is not what the database was:\n  {}{more}", first.join("\n  ")))
}

/// Names of the roles of the server: policies and user mappings of a dump name them.
pub(super) async fn roles(session: &mut Session) -> Result<Vec<String>, Failure> {
    let sql = "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1";
    Ok(session.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Makes roles of these names on a throwaway server; they may do nothing there.
pub(super) async fn create_roles(options: &ConnectOptions, names: &[String]) -> Result<(), AskError> {
    let mut session = Session::connect(options, &Startup::default()).await?;
    let texts: Vec<String> = names.iter().map(|name| format!("CREATE ROLE {}", quote_ident(name))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for outcome in session.pipeline(&texts).await {
        match outcome.result {
            // The superuser's own name.
            Err(failure) if failure.code() != Some("42710") => return Err(failure.into()),
            _ => {}
        }
    }
    session.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(tables: &[(&str, Option<u64>)]) -> Content {
        Content(tables.iter().map(|(name, rows)| (("s".to_owned(), (*name).to_owned()), *rows)).collect())
    }

    #[test]
    fn what_is_missing_or_short_is_named() {
        let original = content(&[("a", Some(2)), ("b", None), ("c", Some(1))]);
        assert_eq!(original.numbers(), (3, 3));
        assert_eq!(compare(&original, &content(&[("a", Some(2)), ("b", None), ("c", Some(1))])), Ok(()));
        let why = compare(&original, &content(&[("a", Some(1)), ("b", None), ("d", Some(0))])).unwrap_err();
        let lines: Vec<&str> = why.lines().map(str::trim).collect();
        assert_eq!(
            lines[1..],
            [
                "s.a: 2 rows in the database, 1 rows in the restored dump",
                "s.c: 1 rows in the database, no such table in the restored dump",
                "s.d: no such table in the database, 0 rows in the restored dump",
            ]
        );
    }
}
