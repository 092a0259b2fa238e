//! What a worker keeps in a database (schema `cutover_worker`) is cutover's own for every verb, as its history is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Place, on_one_server};

/// A database with a worker's schema and rows in it, beside tables of a user that are called as the worker's.
fn place() -> Place {
    let place = Place::new();
    place.write("cutover.toml", "[project]\nname = \"shop\"\n");
    place.write("migrations/1_a.sql", "CREATE TABLE a (n int); CREATE TABLE job (n int);");
    place.write("migrations/2_b.sql", "CREATE TABLE run (id bigint PRIMARY KEY, b int);");
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
    place.write("migrations/3_c.sql", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE INDEX i ON run (b);");
    place.write("app/schema.rb", "create_table \"a\" do |t|\nend\n");
    let url = place.database().url();
    for (arguments, code) in [
        (&["plan"][..], 0),
        (&["lint", "--database"], 1),
        (&["rehearse", "--no-workload"], 0),
        (&["rehearse", "--no-workload", "--sample", "10"], 0),
        (&["diff"], 0),
        (&["diff", &url, "migrations"], 1),
        (&["report", "--documents", "docs"], 0),
        (&["verify"], 0),
        (&["adopt", "--dry-run"], 1),
        (&["revert", "2", "--dry-run"], 0),
        (&["revert", "1", "2", "--derive", "all", "--dry-run"], 0),
    ] {
        let outcome = on_one_server(&place, arguments);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        eprintln!("=== {arguments:?} {} {code}\n{said}", outcome.code);
        assert!(!said.contains("cutover_worker"), "{arguments:?}: {said}");
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
