//! What a worker keeps in a database (schema `cutover_worker`) is cutover's own for every verb, as its history is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Place, on_one_server, says};

/// A database with a worker's schema and rows in it, beside tables of a user that are called as the worker's.
fn place() -> Place {
    let place = Place::new();
    place.write("cutover.toml", "[project]\nname = \"shop\"\n");
    place.write("migrations/1_a.up.sql", "CREATE TABLE a (n int); CREATE TABLE job (n int);");
    place.write("migrations/2_b.up.sql", "CREATE TABLE run (id bigint PRIMARY KEY, b int);");
    place.write("migrations/1_a.down.sql", "DROP TABLE job; DROP TABLE a;");
    place.write("migrations/2_b.down.sql", "DROP TABLE run;");
    place.run(&["apply", "--yes", "--quiet"]).ends_with(0);
    place.database().run(include_str!("../../cutover-worker/src/schema_v1.sql"));
    place.database().run(
        "SELECT cutover_worker.schedule('a', '1 second', 'SELECT 1');
         INSERT INTO cutover_worker.run (job, scheduled, attempt, token, worker, started) VALUES ('a', now(), 1, 1, 'w', now())",
    );
    place
}

#[test]
fn no_verb_speaks_of_what_a_worker_keeps() {
    let place = place();
    place.write(
        "migrations/3_c.up.sql",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE INDEX i ON run (b);",
    );
    let url = place.database().url();
    place.write("migrations/3_c.down.sql", "DROP FUNCTION f(); DROP INDEX i;");
    for (arguments, code, says) in [
        (&["plan"][..], 0, "1 of 3 migrations to apply"),
        (&["lint", "--database"], 0, ""),
        (&["rehearse", "--no-workload"], 0, "(3 tables)"),
        (&["rehearse", "--no-workload", "--with-data", "10"], 0, "(3 tables"),
        (&["diff"], 0, "are the same"),
        (&["diff", &url, "migrations"], 1, "2 differences"),
        (&["report", "--documents", "docs"], 0, "written to docs"),
        (&["revert", "2", "--dry-run"], 0, "DROP TABLE run"),
        (&["revert", "1", "2", "--derive", "all", "--dry-run"], 0, "DROP TABLE public.job"),
    ] {
        let outcome = on_one_server(&place, arguments).ends_with(code);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(said.contains(says) && !said.contains("cutover_worker"), "{arguments:?}: {said}");
    }
}

/// A table that is dropped by its name alone is not the worker's, whose rows are not lost.
#[test]
fn going_back_is_not_about_the_workers_rows() {
    let place = place();
    on_one_server(&place, &["revert", "2", "--yes"]).ends_with(0);
    on_one_server(&place, &["revert", "1", "--yes"]).ends_with(0);
    assert_eq!(place.database().value("SELECT count(*) FROM cutover_worker.job"), "1");
}

/// What a migration has scheduled there stays, as what it wrote anywhere would: that is said.
#[test]
fn going_back_names_a_job_that_stays() {
    let place = place();
    let body = "DO $$ BEGIN IF to_regclass('cutover_worker.job') IS NOT NULL THEN PERFORM cutover_worker.schedule('b', '1 hour', 'SELECT 1'); END IF; END $$;";
    place.write("migrations/3_c.up.sql", body);
    on_one_server(&place, &["apply", "--yes"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "3", "--yes"]).ends_with(1);
    says(&refused, &["rows that it may have written stay as they are", "--allow rows-stay"]);
    on_one_server(&place, &["revert", "3", "--yes", "--allow", "rows-stay"]).ends_with(0);
    assert_eq!(place.database().value("SELECT string_agg(name, ' ') FROM cutover_worker.job"), "a b");
}
