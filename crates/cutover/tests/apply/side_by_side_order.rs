//! What no text of a later migration names, and it rests on all the same: it comes first, however many sessions there are.
//! The earlier migration waits for a lock that the test holds, so that whatever may begin beside it does.

use cutover::run::Outcome;
use testkit::database;

use crate::side_by_side::{apply_and, hears, jobs};
use crate::support::{APPLIED, failure, project};

/// Runs two migrations of which the first waits for table `held`; the second must not begin before it has ended. `setup`
/// comes before both.
async fn keeps_its_order(setup: &str, first: &str, second: &str) {
    let database = database();
    database.run(&format!("CREATE TABLE held (n int); {setup}"));
    let options = database.options();
    let first = format!("COMMENT ON TABLE held IS 'x';\n{first}");
    let project = project(&[("V1__first.sql", &first), ("V2__second.sql", second)]);
    let holder = database.hold("LOCK TABLE held IN SHARE MODE");
    let (run, ()) = apply_and(&project, &options, &jobs(2), async |mut told| {
        // By the fifth attempt the second one has ended long ago, if it was let begin.
        for _ in 0..5 {
            hears(&mut told, &["waits 1"]).await;
        }
        holder.lets_go();
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
async fn an_index_of_a_table_that_is_copied() {
    let setup = "CREATE TABLE t (n int); CREATE INDEX i ON t (n)";
    keeps_its_order(setup, "ALTER INDEX i SET (fillfactor = 50);", "CREATE TABLE u (LIKE t INCLUDING ALL);")
        .await;
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

#[tokio::test]
async fn a_schema_that_things_are_made_in() {
    keeps_its_order("", "CREATE SCHEMA ss;", "CREATE TABLE ss.t (n int);").await;
}

/// Where it is made depends on whether the schema is there: it is called as the role is.
#[tokio::test]
async fn a_schema_of_the_search_path() {
    keeps_its_order("", "CREATE SCHEMA postgres;", "CREATE TABLE t (n int);").await;
    keeps_its_order("", "CREATE SCHEMA ss;", "SET search_path = ss, public; CREATE TABLE t (n int);").await;
}

#[tokio::test]
async fn the_type_of_a_variable() {
    let function =
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ DECLARE r t; BEGIN RETURN 1; END $$;";
    keeps_its_order("", "CREATE TABLE t (n int);", function).await;
    keeps_its_order("", "CREATE TYPE t AS ENUM ('a');", function).await;
}

#[tokio::test]
async fn rows_of_a_table_as_a_type() {
    keeps_its_order("", "CREATE TABLE t (n int);", "CREATE TABLE x (t t[]);").await;
    let range = "CREATE TYPE r AS RANGE (subtype = int);";
    keeps_its_order("", range, "CREATE VIEW v AS SELECT r(1, 2) AS z;").await;
}

#[tokio::test]
async fn a_name_that_postgresql_chooses() {
    let first = "CREATE TABLE a (b_c int); CREATE INDEX ON a (b_c);";
    keeps_its_order("", first, "CREATE TABLE a_b (c int); CREATE INDEX ON a_b (c);").await;
    keeps_its_order("", "CREATE TABLE t_n_key (n int);", "CREATE TABLE t (n int UNIQUE);").await;
}
