//! `lint --fix` mends what is pending, all of it or nothing, and what is applied stays as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here has failed the test")]

mod common;

use std::fs;

use common::{Place, says};

const CONFIG: &str = "[project]\nname = \"shop\"\n\n[[migrations]]\npath = \"migrations\"\n";
const FIRST: &str = "CREATE TABLE a (n int);\nALTER TABLE a ADD COLUMN m int;\nCREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';\n";

fn fill(place: Place) -> Place {
    place.write("cutover.toml", CONFIG);
    place.write("migrations/0001_a.sql", FIRST);
    place
}

fn text(place: &Place, path: &str) -> String {
    fs::read_to_string(place.folder.join(path)).unwrap_or_default()
}

#[test]
fn what_is_pending_is_mended_and_can_be_applied() {
    let place = fill(Place::new());
    place.run(&["apply"]).ends_with(0);
    let second = "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0);\nCREATE INDEX i ON a (n);\n";
    place.write("migrations/0002_b.sql", second);
    let dry = place.run(&["lint", "--fix", "--dry-run"]).ends_with(0);
    assert!(
        dry.stdout.contains("--- a/migrations/0002_b.sql\n+++ b/migrations/0002_b.sql\n"),
        "{}",
        dry.stdout
    );
    assert!(dry.stdout.contains("+CREATE INDEX CONCURRENTLY i ON a (n);\n"), "{}", dry.stdout);
    assert_eq!(text(&place, "migrations/0002_b.sql"), second);
    let fixed = place.run(&["lint", "--fix"]).ends_with(0);
    assert!(fixed.stdout.contains("2 mended, 0 left, 2 files written"), "{} {}", fixed.stdout, fixed.stderr);
    assert_eq!(
        text(&place, "migrations/0002_b.sql"),
        "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID;\n-- cutover: new-transaction\nALTER TABLE a VALIDATE CONSTRAINT c;\n"
    );
    assert_eq!(text(&place, "migrations/0003_b_2.sql"), "CREATE INDEX CONCURRENTLY i ON a (n);\n");
    // What is applied is edited by nobody.
    assert_eq!(text(&place, "migrations/0001_a.sql"), FIRST);
    let again = place.run(&["lint", "--fix", "--format", "json"]).ends_with(0);
    let document: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&document["files"], &document["written"]), (&serde_json::json!([]), &true.into()));
    place.run(&["apply"]).ends_with(0);
    let valid = "SELECT count(*) FROM pg_index WHERE indexrelid = 'i'::regclass AND indisvalid";
    assert_eq!(place.database().value(valid), "1");
    assert_eq!(place.database().value("SELECT convalidated FROM pg_constraint WHERE conname = 'c'"), "t");
    let refused = place.run(&["lint", "--fix", "--since", "0001"]).ends_with(2);
    says(&refused, &["migrations/0001_a.sql is applied"]);
}

#[test]
fn without_a_database_it_is_said_what_is_pending() {
    let place = fill(Place::without_database());
    place.write("migrations/0002_b.sql", "CREATE UNIQUE INDEX i ON b (n);\nDROP INDEX j CASCADE;\n");
    says(
        &place.run(&["lint", "--fix"]).ends_with(2),
        &["which files are applied is not known", "--since VERSION"],
    );
    let fixed = place.run(&["lint", "--fix", "--since", "0002"]).ends_with(0);
    let left = "migrations/0003_b_2.sql:1: drop-index-locks: not mended: PostgreSQL refuses CONCURRENTLY with CASCADE";
    assert!(fixed.stdout.contains(left) && fixed.stdout.contains("1 mended, 1 left"), "{}", fixed.stdout);
    assert_eq!(text(&place, "migrations/0002_b.sql"), "CREATE UNIQUE INDEX CONCURRENTLY i ON b (n);\n");
    assert_eq!(text(&place, "migrations/0003_b_2.sql"), "DROP INDEX j CASCADE;\n");
}

/// What a fix that was killed leaves is seen by whoever would apply the files: some may hold the same statements.
#[test]
fn what_a_fix_that_was_stopped_leaves_is_not_applied() {
    let place = Place::without_database();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    place.write("migrations/0002_b.sql", "INSERT INTO a VALUES (1);");
    place.write("migrations/0002_b.sql.cutover-4711.tmp", "");
    for verb in [&["plan", "--offline"][..], &["lint"], &["apply", "--sandbox"]] {
        let stopped = place.run(verb);
        assert_ne!(stopped.code, 0, "{verb:?}");
        says(&stopped, &["0002_b.sql.cutover-4711.tmp", "lint --fix was stopped while it wrote"]);
    }
    fs::remove_file(place.folder.join("migrations/0002_b.sql.cutover-4711.tmp")).unwrap();
    place.write("migrations/notes.cutover-x.tmp", "");
    place.run(&["plan", "--offline"]).ends_with(0);
}
