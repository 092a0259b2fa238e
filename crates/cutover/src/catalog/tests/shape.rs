//! In what one database is not as another.

use cutover_postgres::session::Session;

use super::session;
use crate::catalog::{Sides, shape};

/// What is said of the second database.
async fn departures(first: &str, second: &str) -> Vec<String> {
    let (one, other) = (testkit::database(), testkit::database());
    one.run(first);
    other.run(second);
    let (mut here, mut there): (Session, Session) = (session(&one).await, session(&other).await);
    let here = shape(&mut here, &[]).await.unwrap();
    let there = shape(&mut there, &[]).await.unwrap();
    let found = here.departures(&there, Sides("the files", "the database"));
    found
        .into_iter()
        .map(|one| one.otherwise.unwrap_or_else(|| format!("{} is missing", one.object)))
        .collect()
}

/// A column that was dropped in between moves the numbers of those behind it, not their names.
#[tokio::test]
async fn extended_statistics_are_compared_by_the_names_of_their_columns() {
    let files = "CREATE TABLE t (a int, b int); CREATE STATISTICS s (ndistinct, dependencies) ON a, b FROM t";
    let same =
        "CREATE TABLE t (gone int, a int, gone_too int, b int); ALTER TABLE t DROP gone, DROP gone_too;
                CREATE STATISTICS s (ndistinct, dependencies) ON a, b FROM t";
    assert_eq!(departures(files, same).await, Vec::<String>::new());
    let others = "CREATE TABLE t (a int, b int); CREATE STATISTICS s (ndistinct) ON a, b FROM t";
    let said = departures(files, others).await;
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with(
            "statistics s: `CREATE STATISTICS public.s (ndistinct, dependencies) ON a, b FROM public.t` in"
        ),
        "{said:?}"
    );
}

/// No letters and flags of the catalogue.
#[tokio::test]
async fn what_differs_is_said_in_words() {
    let files = "CREATE VIEW v AS SELECT 1 AS n; CREATE MATERIALIZED VIEW m AS SELECT 1 AS n; CREATE TYPE t AS (a int);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
        CREATE TRIGGER g INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION f(); CREATE PUBLICATION p;";
    let by_hand = "ALTER VIEW v SET (security_barrier); CREATE UNIQUE INDEX i ON m (n);
        ALTER TYPE t ADD ATTRIBUTE b text; ALTER PUBLICATION p SET (publish = 'insert')";
    let said = departures(files, &format!("{files}{by_hand}")).await;
    assert_eq!(
        said,
        [
            "view v: options: nothing in the files, `security_barrier=true` in the database",
            "type t: attributes: `a integer` in the files, `a integer, b text` in the database",
            "publication p: publishes: `insert, update, delete, truncate` in the files, `insert` in the database",
            "index i is in the database, not in the files",
        ]
    );
}
