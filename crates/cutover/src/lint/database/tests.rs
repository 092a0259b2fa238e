//! What a database says, and what lint makes of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cutover_analysis::lint::Seen;
use cutover_postgres::session::Startup;
use testkit::{Database, database};

use super::*;
use crate::catalog;

async fn asked(database: &Database) -> Asked {
    let mut session = Session::connect(&database.options(), &Startup::default()).await.unwrap();
    let context = catalog::context(&mut session, Vec::new()).await.unwrap();
    ask(&mut session, context, Ask { bodies: true }).await.unwrap()
}

/// What is found in a file, and who saw it.
async fn found(database: &Database, sql: &str) -> Vec<(String, Seen)> {
    let project = Project::embedded("x", &[("0001_a.sql", sql.as_bytes())]).unwrap();
    let known = asked(database).await.known;
    let found = look(&project, &Which::OneRun([0].into()), Some(known));
    assert!(found.broken.is_empty(), "{:?}", found.broken);
    found.findings.into_iter().map(|finding| (finding.code, finding.seen_by)).collect()
}

async fn codes(database: &Database, sql: &str) -> Vec<String> {
    found(database, sql).await.into_iter().map(|(code, _)| code).collect()
}

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn small_tables_may_be_locked_and_large_ones_not() {
    let database = database();
    database.run(
        "CREATE TABLE none (n int); CREATE TABLE few (n int); INSERT INTO few SELECT generate_series(1, 100);
         CREATE TABLE many (n int); INSERT INTO many SELECT generate_series(1, 60000);
         CREATE TABLE counted (n int); INSERT INTO counted SELECT generate_series(1, 60000); ANALYZE counted;
         CREATE TABLE grown (n int); INSERT INTO grown VALUES (1); ANALYZE grown; INSERT INTO grown SELECT generate_series(1, 60000);
         CREATE TABLE emptied (n int); INSERT INTO emptied VALUES (1); DELETE FROM emptied; ANALYZE emptied;
         CREATE TABLE parts (n int) PARTITION BY LIST (n); CREATE TABLE part PARTITION OF parts DEFAULT;
         INSERT INTO parts SELECT generate_series(1, 60000); CREATE TABLE bare (n int) PARTITION BY LIST (n)",
    );
    for (table, is_large) in [
        ("none", false),
        ("few", false),
        ("many", true),
        ("counted", true),
        ("grown", true),
        ("emptied", false),
        ("parts", true),
        ("bare", false),
    ] {
        let expected = if is_large { vec!["create-index-blocks-writes"] } else { vec![] };
        assert_eq!(codes(&database, &format!("CREATE INDEX ON {table} (n)")).await, expected, "{table}");
    }
    // Only what holds nothing at all is lost without being asked about. What was counted is no word for that.
    for (table, is_lost) in [("none", false), ("few", true), ("emptied", true), ("many", true)] {
        let expected = if is_lost { vec![("drop-table".to_owned(), Seen::Catalogue)] } else { vec![] };
        assert_eq!(found(&database, &format!("DROP TABLE {table}")).await, expected, "{table}");
    }
}

#[test]
fn only_a_table_without_a_page_is_empty() {
    let rows = |rows, pages, now| Estimate { rows, pages, now, outside: 0 }.size().map(|size| size.rows);
    assert_eq!(rows(-1, 0, Some(0)), Some(0));
    assert_eq!(rows(0, 0, Some(0)), Some(0));
    // Emptied, and perhaps filled again since somebody counted.
    assert_eq!(rows(0, 5, Some(5)), Some(5));
    assert_eq!(rows(0, 0, Some(1000)), Some(81_920), "before 14 nobody may have counted");
    assert_eq!(rows(-1, 0, Some(2)), Some(163));
    // One row was there, and nobody has counted since.
    assert_eq!(rows(1, 1, Some(266)), Some(21_790));
    assert_eq!(rows(100, 1, Some(50)), Some(5000));
    // Of a locked table there is what was counted, or nothing.
    assert_eq!(rows(100, 1, None), Some(100));
    assert_eq!(rows(-1, 0, None), None);
    assert_eq!(rows(i64::MAX, 1, Some(u64::MAX)), Some(u64::MAX));
    // What is stored out of line counts too, but not where there is no row that has it.
    let outside = |now| Estimate { rows: -1, pages: 0, now: Some(now), outside: 20_000 }.size();
    assert_eq!(outside(20).map(|size| size.rows), Some(80_000));
    assert_eq!(outside(0), Some(Size::default()));
}

/// Few rows may be much to write anew.
#[tokio::test]
async fn values_out_of_line_count() {
    let database = database();
    database.run(
        "CREATE TABLE wide (n int, c text); ALTER TABLE wide ALTER c SET STORAGE EXTERNAL;
         INSERT INTO wide SELECT n, repeat('x', 60000) FROM generate_series(1, 1000) n;
         CREATE TABLE few (n int, c text); INSERT INTO few SELECT n, repeat('x', 60000) FROM generate_series(1, 10) n;
         CREATE TABLE none (n int, c text)",
    );
    assert_eq!(
        codes(&database, "ALTER TABLE wide ADD u uuid DEFAULT gen_random_uuid()").await,
        ["volatile-default-rewrites"]
    );
    assert_eq!(codes(&database, "ALTER TABLE few ADD u uuid DEFAULT gen_random_uuid()").await, NOTHING);
    assert_eq!(codes(&database, "DROP TABLE none").await, NOTHING);
}

/// What was measured before the run is not what the run finds after it has written.
#[tokio::test]
async fn what_the_run_writes_is_counted() {
    let database = database();
    database.run(
        "CREATE TABLE big (n int); INSERT INTO big SELECT generate_series(1, 60000); CREATE TABLE none (n int);
         CREATE TABLE users (id int PRIMARY KEY, a int); INSERT INTO users SELECT n FROM generate_series(1, 60000) n;
         CREATE TABLE pt (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE pt1 PARTITION OF pt DEFAULT;
         CREATE TABLE rp (p int REFERENCES pt)",
    );
    let index = "create-index-blocks-writes";
    assert_eq!(
        codes(&database, "INSERT INTO none SELECT n FROM big; CREATE INDEX ON none (n)").await,
        [index]
    );
    assert_eq!(codes(&database, "COPY none FROM '/nowhere'; CREATE INDEX ON none (n)").await, [index]);
    assert_eq!(codes(&database, "INSERT INTO none VALUES (1); CREATE INDEX ON none (n)").await, NOTHING);
    assert_eq!(codes(&database, "TRUNCATE pt1 CASCADE").await, ["truncate-cascade"]);
    // A block that would make what is there makes nothing.
    let block = "DO $$ BEGIN IF to_regclass('users') IS NULL THEN CREATE TABLE users (id int); END IF; END $$; DROP TABLE users";
    assert!(codes(&database, block).await.contains(&"drop-table".to_owned()));
    let made =
        "DO $$ BEGIN IF to_regclass('t') IS NULL THEN CREATE TABLE t (id int); END IF; END $$; DROP TABLE t";
    assert_eq!(codes(&database, made).await, NOTHING);
    let there = "CREATE TABLE IF NOT EXISTS users (id int); DROP TABLE users";
    assert!(codes(&database, there).await.contains(&"drop-table".to_owned()));
    let heirs = "CREATE TABLE np (id int, a int); ALTER TABLE users INHERIT np; DELETE FROM np";
    assert!(codes(&database, heirs).await.contains(&"update-or-delete-without-where".to_owned()));
    let view = "CREATE VIEW vv AS SELECT * FROM users; DELETE FROM vv";
    assert!(codes(&database, view).await.contains(&"update-or-delete-without-where".to_owned()));
}

/// What is asked waits for nobody.
#[test]
fn a_locked_table_is_one_of_which_nothing_is_known() {
    let database = database();
    database.run("CREATE TABLE held (n int); CREATE TABLE other (n int)");
    let holder = database.hold("LOCK TABLE held");
    let is_over = AtomicBool::new(false);
    // Who waits here waits for seconds.
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let has_waited = || {
        let (mut has_waited, begun) = (false, Instant::now());
        while !is_over.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(60) {
            has_waited |= database.value(waits) != "0";
        }
        has_waited
    };
    std::thread::scope(|scope| {
        let watching = scope.spawn(has_waited);
        let found = |sql: &str| testkit::block_on(codes(&database, sql));
        let (held, other) = (found("CREATE INDEX ON held (n)"), found("CREATE INDEX ON other (n)"));
        is_over.store(true, Ordering::Relaxed);
        assert!(!watching.join().unwrap(), "it waited");
        assert_eq!(held, ["create-index-blocks-writes"]);
        assert_eq!(other, NOTHING);
    });
    holder.lets_go();
}

/// Databases that were copied from one another have tables of the same number.
#[tokio::test]
async fn what_is_locked_in_another_database_is_known_here() {
    const TABLE: &str = "CREATE TABLE t (n int)";
    let template = || testkit::database_from_template(TABLE, |database| database.run(TABLE));
    let (here, there) = (template(), template());
    let number = "SELECT 't'::regclass::oid";
    assert_eq!(here.value(number), there.value(number));
    let holder = there.hold("LOCK TABLE t");
    assert_eq!(codes(&here, "CREATE INDEX ON t (n)").await, NOTHING);
    holder.lets_go();
}

#[tokio::test]
async fn what_is_there_takes_findings_away() {
    let database = database();
    database.run(
        "CREATE TABLE t (a int, b int NOT NULL, c int, v varchar(10), CHECK (c IS NOT NULL));
         CREATE UNIQUE INDEX t_b ON t (b); INSERT INTO t SELECT n, n, n FROM generate_series(1, 60000) n",
    );
    for (sql, expected) in [
        ("ALTER TABLE t ALTER a SET NOT NULL", &["set-not-null-scans"][..]),
        ("ALTER TABLE t ALTER b SET NOT NULL", &[]),
        ("ALTER TABLE t ALTER c SET NOT NULL", &[]),
        ("ALTER TABLE t ALTER v TYPE varchar(20)", &["type-change-breaks-prepared-statements"]),
        (
            "ALTER TABLE t ALTER a TYPE bigint",
            &["type-change-rewrites", "type-change-breaks-prepared-statements"],
        ),
        ("ALTER TABLE t ADD UNIQUE USING INDEX t_b", &[]),
        ("CREATE UNIQUE INDEX CONCURRENTLY t_bc ON t (b, c)", &[]),
        ("CREATE UNIQUE INDEX CONCURRENTLY t_ac ON t (a, c)", &["unique-over-existing-data"]),
        ("DROP TABLE IF EXISTS not_there", &[]),
        ("ALTER TABLE t DROP COLUMN IF EXISTS not_there", &[]),
    ] {
        let mut expected: Vec<&str> = expected.to_vec();
        let mut found = codes(&database, sql).await;
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected, "{sql}");
    }
    // And a migration that has been prepared runs as it says.
    database.run("ALTER TABLE t ALTER c SET NOT NULL");
}

#[tokio::test]
async fn row_security_policies_views_and_functions_are_known() {
    let database = database();
    database.run(
        "CREATE SCHEMA app; CREATE TABLE app.docs (id int PRIMARY KEY, owner text); ALTER TABLE app.docs ENABLE ROW LEVEL SECURITY;
         CREATE TABLE app.teams (id int PRIMARY KEY); ALTER TABLE app.teams ENABLE ROW LEVEL SECURITY;
         CREATE POLICY mine ON app.docs USING (owner = current_user);
         CREATE POLICY of_teams ON app.teams USING (EXISTS (SELECT FROM app.docs WHERE docs.id = teams.id));
         CREATE VIEW app.v WITH (security_barrier = true) AS SELECT 1 AS n;
         CREATE FUNCTION app.named() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.docs';
         CREATE FUNCTION app.steady() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION app.wild() RETURNS int LANGUAGE sql AS 'SELECT 1';
         INSERT INTO app.docs SELECT n, 'x' FROM generate_series(1, 60000) n",
    );
    for (sql, expected) in [
        ("CREATE TABLE app.notes (id int)", vec!["row-level-security-disabled"]),
        ("CREATE POLICY open ON app.docs USING (true)", vec!["policy-always-true"]),
        ("CREATE POLICY round ON app.docs USING (EXISTS (SELECT FROM app.teams))", vec!["policy-recursion"]),
        ("CREATE VIEW app.all_docs AS SELECT * FROM app.docs", vec!["view-bypasses-rls"]),
        ("CREATE OR REPLACE VIEW app.v AS SELECT 1 AS n", vec!["replace-view-drops-options"]),
        ("ALTER TABLE app.docs ADD a int DEFAULT app.steady()", vec![]),
        ("ALTER TABLE app.docs ADD a int DEFAULT app.wild()", vec!["volatile-default-rewrites"]),
        (
            "CREATE FUNCTION app.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT id FROM app.docs LIMIT 1); END'",
            vec![],
        ),
        (
            "CREATE FUNCTION app.f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT id FROM app.dogs LIMIT 1); END'",
            vec!["function-body-names-missing-object"],
        ),
    ] {
        let expected: Vec<(String, Seen)> =
            expected.into_iter().map(|code| (code.to_owned(), Seen::Catalogue)).collect();
        assert_eq!(found(&database, sql).await, expected, "{sql}");
    }
    let moved = codes(&database, "ALTER TABLE app.docs RENAME TO papers").await;
    assert!(moved.iter().any(|code| code == "function-name-unresolved-after-move"), "{moved:?}");
}

/// Names are looked for where those of migrations are.
#[tokio::test]
async fn names_without_a_schema_are_those_of_the_search_path() {
    let database = database();
    database.run(&format!(
        "CREATE SCHEMA app; CREATE TABLE app.t (n int); ALTER DATABASE {} SET search_path = app",
        quote_ident(database.name())
    ));
    assert_eq!(codes(&database, "CREATE INDEX ON t (n); DROP TABLE t").await, NOTHING);
    assert!(!asked(&database).await.is_empty);
    assert!(asked(&testkit::database()).await.is_empty);
}
