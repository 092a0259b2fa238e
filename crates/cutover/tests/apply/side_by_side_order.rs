//! What no text of a later migration names, and it rests on all the same: it comes first, however many sessions there are.
//! The earlier migration waits for a lock that the test holds, so that whatever may begin beside it does.

use cutover::run::Outcome;
use testkit::database;

use crate::side_by_side::{apply_and, hears, jobs};
use crate::support::{APPLIED, failure, project, session};

/// Runs two migrations of which the first waits for table `held`; the second must not begin before it has ended. `setup`
/// comes before both.
async fn keeps_its_order(setup: &str, first: &str, second: &str) {
    let database = database();
    database.run(&format!("CREATE TABLE held (n int); {setup}"));
    let options = database.options();
    let first = format!("COMMENT ON TABLE held IS 'x';\n{first}");
    let project = project(&[("V1__first.sql", &first), ("V2__second.sql", second)]);
    let mut holder = session(&options).await;
    holder.execute("BEGIN; LOCK TABLE held IN SHARE MODE").await.unwrap();
    let (run, ()) = apply_and(&project, &options, &jobs(2), async |mut told| {
        // By the fifth attempt the second one has ended long ago, if it was let begin.
        for _ in 0..5 {
            hears(&mut told, &["waits 1"]).await;
        }
        holder.execute("COMMIT").await.unwrap();
    })
    .await;
    assert_eq!(run.outcome, Some(Outcome::Completed), "{second}: {}", failure(&run));
    assert_eq!(database.value(APPLIED), "1 2");
    let order = "SELECT string_agg(version_text, ' ' ORDER BY applied_at) FROM cutover.migration";
    assert_eq!(database.value(order), "1 2", "{second}");
}

#[tokio::test]
async fn rows_that_a_foreign_key_needs() {
    let tables = "CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE t (u int REFERENCES u)";
    keeps_its_order(tables, "INSERT INTO u VALUES (1);", "INSERT INTO t VALUES (1);").await;
}

#[tokio::test]
async fn a_view_that_is_in_the_way() {
    let view = "CREATE TABLE t (n int); CREATE VIEW v AS SELECT n FROM t";
    keeps_its_order(view, "DROP VIEW v;", "ALTER TABLE t ALTER COLUMN n TYPE bigint;").await;
}

#[tokio::test]
async fn a_view_that_is_replaced() {
    let view = "CREATE TABLE t (n int); CREATE VIEW v AS SELECT n FROM t";
    let replace = "CREATE OR REPLACE VIEW v AS SELECT 1 AS n;";
    keeps_its_order(view, replace, "ALTER TABLE t ALTER COLUMN n TYPE bigint;").await;
}

#[tokio::test]
async fn a_value_of_an_enum() {
    let tables = "CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (e e)";
    keeps_its_order(tables, "ALTER TYPE e ADD VALUE 'b';", "INSERT INTO t VALUES ('b');").await;
}

#[tokio::test]
async fn privileges_of_tables_to_come() {
    let first = "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;";
    keeps_its_order("", first, "CREATE TABLE t (n int);").await;
}

#[tokio::test]
async fn what_a_view_shows() {
    let view = "CREATE TABLE t (n int); CREATE VIEW v AS SELECT n FROM t";
    keeps_its_order(view, "INSERT INTO t VALUES (1);", "CREATE TABLE copy AS SELECT n FROM v;").await;
}

#[tokio::test]
async fn a_function_in_a_check() {
    let setup = "CREATE FUNCTION f(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
        CREATE TABLE t (n int); INSERT INTO t VALUES (1);
        ALTER TABLE t ADD CONSTRAINT c CHECK (f(n)) NOT VALID";
    let first = "CREATE OR REPLACE FUNCTION f(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';";
    keeps_its_order(setup, first, "ALTER TABLE t VALIDATE CONSTRAINT c;").await;
}

#[tokio::test]
async fn a_role() {
    let role = testkit::role("");
    let first = format!("ALTER ROLE {} SET work_mem = '8MB';", role.name);
    keeps_its_order("", &first, "CREATE TABLE t (n int);").await;
}
