//! Files of DDL that do what they can to a server that others use.
#![allow(clippy::unwrap_used, reason = "what fails here has failed the test")]

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

use super::tests::{said, told};
use super::write_tests::project;
use super::{Alignment, align, generate};
use crate::compare::Side;
use crate::verify::SandboxProvider;

/// What of a server nothing may change: roles, databases, settings, slots, subscriptions.
const STATE: &str = "SELECT pg_catalog.concat_ws(' ',
    (SELECT pg_catalog.string_agg(rolname || rolsuper, ',' ORDER BY rolname) FROM pg_catalog.pg_roles),
    (SELECT pg_catalog.string_agg(datname, ',' ORDER BY datname) FROM pg_catalog.pg_database),
    (SELECT pg_catalog.string_agg(setconfig::text, ',') FROM pg_catalog.pg_db_role_setting),
    (SELECT pg_catalog.string_agg(slot_name, ',') FROM pg_catalog.pg_replication_slots))";

async fn value(server: &ConnectOptions, query: &str) -> String {
    let mut session = Session::connect(server, &Startup::default()).await.unwrap();
    session.query_text(query).await.unwrap().scalar().unwrap_or_default().to_owned()
}

/// Behind a table with a row, and one with partitions.
fn with_tables(statements: &[&str]) -> Vec<String> {
    let tables = ["CREATE TABLE t AS SELECT 1 AS x", "CREATE TABLE l (n text) PARTITION BY LIST (n)"];
    tables.iter().chain(statements).map(|text| (*text).to_owned()).collect()
}

/// Each of them alone has left its mark on a server before.
#[tokio::test]
async fn nothing_of_a_server_that_others_use_is_changed_by_what_files_say() {
    let server = testkit::private_server(&[("wal_level", "logical")]);
    let options = server.options("postgres");
    let mark = tempfile::tempdir().unwrap();
    let mark = mark.path().join("written").display().to_string();
    let bodies = [
        "CREATE /* x */ ROLE evil SUPERUSER",
        "ALTER -- a b\n DATABASE postgres SET work_mem = '8MB'",
        &format!("COPY (SELECT 1) TO '{mark}'"),
        "PERFORM pg_create_physical_replication_slot('evil')",
        "RESET ROLE; SET SESSION AUTHORIZATION DEFAULT; EXECUTE 'CREATE ROLE evil'",
    ];
    let mut files: Vec<Vec<String>> = Vec::new();
    for body in bodies {
        // The server believes that it is immutable.
        let function = format!(
            "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN {body}; RETURN 'x'; END $$"
        );
        let runs: [&[&str]; 10] = [
            &["ALTER TABLE t ADD COLUMN b text DEFAULT f()"],
            &["CREATE INDEX i ON t ((f()))"],
            &["CREATE TABLE u AS SELECT f() AS x"],
            &["CREATE MATERIALIZED VIEW v AS SELECT f() AS x"],
            &["CREATE TABLE p PARTITION OF l FOR VALUES IN (f())"],
            &["SELECT f()"],
            &["DO $$ BEGIN PERFORM f(); END $$"],
            &["CREATE DOMAIN d AS text CHECK (f() > VALUE)", "ALTER TABLE t ADD COLUMN c d DEFAULT 'x'"],
            &["ALTER TABLE t ADD CONSTRAINT c CHECK (f() > '')"],
            &[
                "CREATE FUNCTION g() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM f(); END $$",
                "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION g()",
                "CREATE TABLE w (n int)",
            ],
        ];
        files.extend(runs.map(|runs| with_tables(&[&[function.as_str()], runs].concat())));
    }
    for plain in [
        "ALTER TABLE t ADD COLUMN b text DEFAULT (pg_create_physical_replication_slot('evil'))::text",
        "CREATE TABLE p PARTITION OF l FOR VALUES IN ((pg_create_physical_replication_slot('evil'))::text)",
        "MERGE INTO pg_catalog.pg_db_role_setting s USING (SELECT 0 AS d) x ON s.setdatabase = 1 WHEN NOT MATCHED THEN INSERT VALUES (0, 0, '{work_mem=8MB}')",
        &format!("COPY (SELECT 1) TO '{mark}'"),
        "CREATE TABLE u AS SELECT pg_create_physical_replication_slot('evil')",
    ] {
        files.push(with_tables(&[plain]));
    }
    let before = value(&options, STATE).await;
    let sandbox = SandboxProvider::dev_url(options.clone());
    let there = project("CREATE TABLE t (x int);");
    for statements in files {
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        let side = Side::Project(Box::new(there.clone()));
        Box::pin(align(&said(&statements), side, &[], None, &sandbox)).await.unwrap();
        assert_eq!(value(&options, STATE).await, before, "{statements:#?}");
        assert!(!std::path::Path::new(&mark).exists(), "{statements:#?}");
    }
}

/// Nor by what is made of them, when that is proven behind migrations that have put rows into a table.
#[tokio::test]
async fn what_is_written_is_not_proven_where_it_may_change_a_server_that_others_use() {
    let server = testkit::private_server(&[]);
    let options = server.options("postgres");
    let before = value(&options, STATE).await;
    let sandbox = SandboxProvider::dev_url(options.clone());
    let there = project("CREATE TABLE t (x int); INSERT INTO t VALUES (1);");
    let models = said(&[
        "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN CREATE /* x */ ROLE evil; RETURN 'x'; END $$",
        "CREATE TABLE t (x int, b text DEFAULT f())",
    ]);
    let made = Box::pin(generate(&models, &there, &super::Decisions::default(), &sandbox)).await.unwrap();
    assert!(made.sql.contains("DEFAULT"), "{}", made.sql);
    let why = made.failed.unwrap();
    assert!(why.contains("others use that server"), "{why}");
    assert_eq!(value(&options, STATE).await, before);
}

/// What is not run is made all the same, as it is said.
#[tokio::test]
async fn functions_that_are_not_run_are_made_as_they_are_said() {
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let models = said(&[
        "CREATE SCHEMA app",
        "SET search_path = app, public",
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n = 7; RETURN NEW; END $$",
        "CREATE FUNCTION one() RETURNS int IMMUTABLE RETURN 1",
        "CREATE TABLE t (n int DEFAULT one())",
        "CREATE TRIGGER touched BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch()",
        "SET search_path = public",
        "DO $$ BEGIN CREATE TYPE mood AS ENUM ('good'); EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "CREATE TABLE u AS SELECT n, 'good'::mood AS m FROM app.t",
    ]);
    let side = Side::Project(Box::new(project("")));
    let alignment: Alignment = Box::pin(align(&models, side, &[], None, &sandbox)).await.unwrap();
    assert_eq!(told(&alignment), ["table-missing app.t :5", "table-missing u :9"], "{alignment:?}");
    let made =
        Box::pin(generate(&models, &project(""), &super::Decisions::default(), &sandbox)).await.unwrap();
    assert!(made.sql.contains("NEW.n = 7") && made.sql.contains("RETURN 1"), "{}", made.sql);
    assert!(made.failed.is_none() && made.still.is_empty(), "{made:?}");
}
