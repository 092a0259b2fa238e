//! What pending migrations drop, or give another type, although something in the database is built on it: PostgreSQL refuses that
//! in the middle of a run, and it is said before the first statement. Whatever is not certain stops nothing.

use testkit::database;

use crate::foresight::{said, stops};
use crate::support::{apply, completes, project};

/// A table with something of every kind that holds one of its columns.
const THERE: &str = "CREATE TABLE t (a int, b int, c int, d int, e int, f int, g int);
    CREATE TABLE other (n int);
    CREATE VIEW v AS SELECT a FROM t;
    CREATE MATERIALIZED VIEW m AS SELECT b FROM t;
    CREATE RULE r AS ON INSERT TO other DO ALSO UPDATE t SET c = 1;
    CREATE POLICY p ON t USING (d > 0);
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER u BEFORE UPDATE OF e ON t FOR EACH ROW EXECUTE FUNCTION tell();
    CREATE TRIGGER w BEFORE INSERT ON t FOR EACH ROW WHEN (new.f > 0) EXECUTE FUNCTION tell();";

#[tokio::test]
async fn what_is_built_on_what_goes_is_named_before_the_first_statement() {
    let first = ("V1__a.sql", "CREATE TABLE done (n int);");
    for (column, by) in [
        ("a", "view v"),
        ("b", "materialized view m"),
        ("c", "rule other.r"),
        ("d", "policy t.p"),
        ("e", "trigger t.u"),
        ("f", "trigger t.w"),
    ] {
        let files = [
            first,
            ("V2__b.sql", &format!("-- Wider.\nALTER TABLE t\n  ALTER COLUMN {column} TYPE bigint;")),
        ];
        let said = format!(
            "V2__b.sql:3:16: changes the type of column t.{column}, and {by} is built on it: PostgreSQL refuses that"
        );
        let then = "hint: drop it before this statement and make it again behind it";
        stops(THERE, &files, &[&said, then]).await;
        let files = [first, ("V2__b.sql", &format!("ALTER TABLE public.t DROP COLUMN {column};"))];
        let said = format!("drops column public.t.{column}, and {by} is built on it");
        stops(THERE, &files, &[&said, "hint: drop it before this statement, or make it do without it"]).await;
    }
    // A whole table, with all that is built on any of its columns; not what is its own.
    stops(
        THERE,
        &[("V1__a.sql", "DROP TABLE t;")],
        &["V1__a.sql:1:12: drops table t, and materialized view m, rule other.r, view v are built on it"],
    )
    .await;
    stops(
        "CREATE VIEW a AS SELECT 1 AS n; CREATE VIEW b AS SELECT n FROM a",
        &[("V1__a.sql", "DROP VIEW IF EXISTS a;")],
        &["drops view a, and view b is built on it"],
    )
    .await;
}

/// What refers to it from elsewhere, and a column that has its rows; not what may have gone along with something else.
#[tokio::test]
async fn keys_and_rows_of_other_tables_are_in_the_way_of_what_goes() {
    let there = "CREATE TABLE t (a int PRIMARY KEY, b int); CREATE TABLE u (a int REFERENCES t); CREATE TABLE w (x t);";
    stops(
        there,
        &[("V1__a.sql", "DROP TABLE t;")],
        &["drops table t, and column w.x, constraint u.u_a_fkey are built on it"],
    )
    .await;
    stops(
        there,
        &[("V1__a.sql", "ALTER TABLE t DROP a;")],
        &["drops column t.a, and constraint u.u_a_fkey is built on it"],
    )
    .await;
    for files in [
        &[("V1__a.sql", "DROP TABLE u, w, t;")][..],
        &[("V1__a.sql", "ALTER TABLE u DROP a; ALTER TABLE w DROP x;"), ("V2__b.sql", "DROP TABLE t;")],
        &[("V1__a.sql", "ALTER TABLE u DROP CONSTRAINT u_a_fkey; ALTER TABLE t DROP a;")],
        &[("V1__a.sql", "DROP TABLE t CASCADE;")],
        &[("V1__a.sql", "ALTER TABLE t ALTER a TYPE bigint USING a;")],
    ] {
        let there =
            if files[0].1.contains("TYPE") { there.split_once("CREATE TABLE w").unwrap().0 } else { there };
        stops(there, files, &[]).await;
    }
}

/// Functions whose bodies are parsed when they are made, which are there since PostgreSQL 14.
#[tokio::test]
async fn a_function_that_is_parsed_when_it_is_made_is_in_the_way() {
    let there = "CREATE TABLE t (a int); DO $$ BEGIN IF current_setting('server_version_num')::int >= 140000 THEN
        EXECUTE 'CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT max(a) FROM t; END'; END IF; END $$";
    let is_there = {
        let d = database();
        d.run(there);
        d.value("SELECT count(*) FROM pg_proc WHERE proname = 'f'") == "1"
    };
    let parts: &[&str] = if is_there { &["drops column t.a, and function f is built on it"] } else { &[] };
    stops(there, &[("V1__a.sql", "ALTER TABLE t DROP a;")], parts).await;
}

#[tokio::test]
async fn what_an_earlier_statement_takes_out_of_the_way_stops_nothing() {
    for files in [
        &[("V1__a.sql", "DROP VIEW v; ALTER TABLE t DROP a;")][..],
        &[("V1__a.sql", "DROP VIEW v;"), ("V2__b.sql", "ALTER TABLE t DROP a;")],
        &[
            ("V1__a.sql", "CREATE OR REPLACE VIEW v AS SELECT 1 AS a;"),
            ("V2__b.sql", "ALTER TABLE t DROP a;"),
        ],
        &[(
            "V1__a.sql",
            "DROP POLICY p ON t; DROP TRIGGER u ON t; DROP RULE r ON other; ALTER TABLE t DROP c, DROP d, DROP e;",
        )],
        &[("V1__a.sql", "ALTER POLICY p ON t USING (g > 0);"), ("V2__b.sql", "ALTER TABLE t DROP d;")],
        // What it belongs to goes.
        &[("V1__a.sql", "DROP TABLE other;"), ("V2__b.sql", "ALTER TABLE t DROP c;")],
        // Both go at once, or all that hangs on it.
        &[("V1__a.sql", "DROP MATERIALIZED VIEW m; DROP TABLE other; DROP VIEW v; DROP TABLE t;")],
        &[("V1__a.sql", "ALTER TABLE t DROP a CASCADE;")],
        &[("V1__a.sql", "DROP VIEW v CASCADE;"), ("V2__b.sql", "ALTER TABLE t DROP a;")],
        // Another one has the name by then.
        &[
            ("V1__a.sql", "ALTER TABLE t RENAME a TO z;"),
            ("V2__b.sql", "ALTER TABLE t ADD a int; ALTER TABLE t DROP a;"),
        ],
        &[
            ("V1__a.sql", "ALTER TABLE t RENAME TO s; CREATE TABLE t (a int);"),
            ("V2__b.sql", "ALTER TABLE t DROP a; DROP TABLE t;"),
        ],
        &[("V1__a.sql", "CREATE TEMP TABLE t (a int); ALTER TABLE t DROP a; DROP TABLE t;")],
        // Code that nobody reads.
        &[
            ("V1__a.sql", "DO $$ BEGIN EXECUTE 'DROP VIEW v'; END $$;"),
            ("V2__b.sql", "ALTER TABLE t DROP a;"),
        ],
        // Nothing is built on it, or it is not there.
        &[(
            "V1__a.sql",
            "ALTER TABLE t DROP g; ALTER TABLE t DROP IF EXISTS h; DROP TABLE IF EXISTS nowhere;",
        )],
        &[(
            "V1__a.sql",
            "SET search_path = pg_temp, public; CREATE TEMP TABLE t (a int); ALTER TABLE t DROP a;",
        )],
    ] {
        stops(THERE, files, &[]).await;
    }
    let schemas = "CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE VIEW w AS SELECT a FROM s.t; CREATE SCHEMA r; CREATE TABLE r.t (a int);";
    stops(
        schemas,
        &[("V1__a.sql", "ALTER SCHEMA s RENAME TO q; ALTER SCHEMA r RENAME TO s; ALTER TABLE s.t DROP a;")],
        &[],
    )
    .await;
    stops(
        "CREATE VIEW a AS SELECT 1 AS n; CREATE VIEW b AS SELECT n FROM a",
        &[("V1__a.sql", "DROP VIEW b, a;")],
        &[],
    )
    .await;
}

/// Code of the database that may take it out of the way.
#[tokio::test]
async fn behind_code_of_the_database_it_is_a_remark() {
    let there = "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t;
        CREATE FUNCTION take() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP VIEW IF EXISTS v'; END $$;
        CREATE EVENT TRIGGER took ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION take()";
    let (stopped, notes) = said(there, &[("V1__a.sql", "ALTER TABLE t DROP a;")]).await;
    assert!(
        stopped.is_empty() && notes[0].contains("or find in the way, is not fully known"),
        "{stopped:?} {notes:?}"
    );
}

/// With a history too; and what a migration made that is applied is in the way like anything else.
#[tokio::test]
async fn with_a_history_nothing_of_the_run_is_done() {
    let database = database();
    let first = ("V1__a.sql", "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t;");
    completes(&project(&[first]), &database.options()).await;
    let files =
        project(&[first, ("V2__b.sql", "CREATE TABLE u (n int);"), ("V3__c.sql", "ALTER TABLE t DROP a;")]);
    let error = apply(&files, &database.options()).await.unwrap_err().to_string();
    assert!(error.contains("V3__c.sql:1:20: drops column t.a, and view v is built on it"), "{error}");
    assert!(error.ends_with("\nnothing was done"), "{error}");
    assert_eq!(database.value("SELECT count(*) FROM cutover.run"), "1");
}
