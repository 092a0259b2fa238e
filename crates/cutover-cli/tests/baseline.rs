//! Databases that were made without the tool.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Place, says};

const HISTORY: &str =
    "SELECT string_agg(version_text || ' ' || attempts, ',' ORDER BY version) FROM cutover.migration";

fn place() -> Place {
    let place = Place::new();
    place.write(
        "migrations/0001_a.sql",
        "CREATE TABLE a (id serial PRIMARY KEY, n int CHECK (n > 0)); CREATE INDEX a_n ON a (n); CREATE TABLE gone (n int);",
    );
    place.write(
        "migrations/0002_b.sql",
        "DROP TABLE gone; ALTER TABLE a ADD COLUMN m int; CREATE TYPE mood AS ENUM ('good');\n\
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE ROLE nobody_looks_for;",
    );
    place.write("migrations/0003_c.sql", "CREATE TABLE c (n int);");
    place
}

fn by_hand(place: &Place) {
    place.database().run(
        "CREATE TABLE a (id serial PRIMARY KEY, n int CHECK (n > 0)); CREATE INDEX a_n ON a (n);
         ALTER TABLE a ADD COLUMN m int; CREATE TYPE mood AS ENUM ('good');
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
}

#[test]
fn what_is_there_is_recorded_and_the_rest_is_applied() {
    let place = place();
    by_hand(&place);
    let asked = place.run(&["baseline", "0002"]).ends_with(2);
    let name = place.database().name().to_owned();
    says(
        &asked,
        &[
            "this has to be confirmed, and there is no terminal to ask on: in database ",
            &format!("{name}, up to 0002:\n  migrations/0001_a.sql\n  migrations/0002_b.sql\n"),
            "Record these 2 migrations as applied without running them?",
        ],
    );
    assert_eq!(place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    let recorded = place.run(&["baseline", "0002", "--yes"]).ends_with(0);
    assert_eq!(recorded.stdout, "recorded as applied, and not run: 2 migrations, up to 0002\n");
    assert_eq!(place.database().value(HISTORY), "0001 0,0002 0");
    let report = place.run(&["report"]).ends_with(0);
    assert!(report.stdout.contains("recorded as applied without being run (baseline)"), "{}", report.stdout);
    place.run(&["status", "--exit-code"]).ends_with(1);
    says(
        &place.run(&["baseline", "0003", "--allow", "baseline-missing"]).ends_with(2),
        &["(2 up to there are applied)", "Record this migration"],
    );
    place.run(&["apply"]).ends_with(0);
    assert_eq!(place.database().value(HISTORY), "0001 0,0002 0,0003 1");
    // What was applied and has gone since is not the baseline's concern.
    place.database().run("DROP TABLE c");
    let again = place.run(&["baseline", "0003"]).ends_with(0);
    assert_eq!(again.stdout, "nothing to record: everything up to 0003 is applied\n");
    let text = place.run(&["status", "--show", "0003"]).ends_with(0);
    assert!(text.stdout.contains("CREATE TABLE c"), "{}", text.stdout);
}

#[test]
fn what_is_not_there_is_named_and_nothing_recorded() {
    let place = place();
    by_hand(&place);
    place.database().run("ALTER TABLE a DROP COLUMN m; DROP INDEX a_n; DROP TYPE mood");
    // It looks before it asks.
    let refused = place.run(&["baseline", "0003"]).ends_with(1);
    assert!(!refused.stderr.contains("confirmed"), "{}", refused.stderr);
    says(
        &refused,
        &[
            "migrations/0001_a.sql creates index a_n, which is not in the database",
            "migrations/0002_b.sql creates column a.m, which is not in the database",
            "migrations/0002_b.sql creates type mood, which is not in the database",
            "migrations/0003_c.sql creates table c, which is not in the database",
            "nothing was recorded",
            "--allow baseline-missing",
        ],
    );
    assert_eq!(place.database().value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    let accepted = ["baseline", "0003", "--allow", "baseline-missing"];
    let missing = "warning: migrations/0003_c.sql creates table c, which is not in the database";
    says(&place.run(&accepted).ends_with(2), &[missing, "Record these 3 migrations"]);
    says(&place.run(&[&accepted[..], &["--yes"]].concat()).ends_with(0), &[missing]);
    assert_eq!(place.database().value(HISTORY), "0001 0,0002 0,0003 0");
    says(&place.run(&["baseline", "0009"]).ends_with(2), &["no migration has version 0009"]);
}

#[test]
fn a_migration_that_is_half_applied_is_not_recorded_over() {
    let place = Place::new();
    place.write(
        "migrations/0001_a.sql",
        "CREATE TABLE a (n int);\n-- cutover: new-transaction\nSELECT 1 / 0;",
    );
    place.run(&["apply"]).ends_with(4);
    let refused = place.run(&["baseline", "0001"]).ends_with(1);
    says(&refused, &["migrations/0001_a.sql is applied in part", "nothing was recorded"]);
}
