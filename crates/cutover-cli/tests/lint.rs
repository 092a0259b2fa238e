//! `cutover lint`, and what `plan` and `apply` say of what it finds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here has failed the test")]

mod common;

use common::{Outcome, Place, says};

/// Fails the test unless all of these are on standard output.
#[track_caller]
fn shows(outcome: &Outcome, parts: &[&str]) {
    for part in parts {
        assert!(outcome.stdout.contains(part), "{part:?} is not in\n{}", outcome.stdout);
    }
}

#[test]
fn a_database_takes_findings_away_and_stops_what_would_lose_something() {
    let place = Place::new();
    let database = place.database();
    database.run("CREATE TABLE users (id int PRIMARY KEY, mail text); INSERT INTO users VALUES (1, 'a')");
    place.write("migrations/0001_a.sql", "CREATE INDEX by_mail ON users (mail);");
    // By the files alone nobody knows that the table is small.
    shows(&place.run(&["lint"]).ends_with(1), &["error[create-index-blocks-writes]", "1 file: 1 error"]);
    shows(&place.run(&["lint", "--database"]).ends_with(0), &["1 file: nothing found"]);
    place.run(&["apply"]).ends_with(0);
    shows(&place.run(&["lint", "--database"]).ends_with(0), &["0 files: nothing found"]);
    place.write("migrations/0002_b.sql", "ALTER TABLE users DROP COLUMN mail;");
    shows(&place.run(&["lint", "--database"]).ends_with(1), &["0002_b.sql:1:1: error[drop-column]"]);
    says(&place.run(&["lint", "--database", "--since", "0001"]).ends_with(2), &["cannot be used with"]);
    let plan = place.run(&["plan"]).ends_with(1);
    shows(&plan, &["error[drop-column] line 1: what users.mail holds is lost"]);
    says(&plan, &["a run would stop before its first statement:", "(drop-column)", "--allow drop-column"]);
    let stopped = place.run(&["apply"]).ends_with(1);
    says(&stopped, &["(drop-column)", "nothing was done"]);
    assert_eq!(database.value("SELECT mail FROM users"), "a");
    let allowed = ["--allow", "drop-column"];
    // A plan that is kept has it, and is applied by whoever accepts it.
    let kept = place.folder.join("plan.json");
    let kept = kept.to_str().unwrap();
    place.run(&[&["plan", "--out", kept][..], &allowed].concat()).ends_with(0);
    shows(&place.run(&["plan", kept]).ends_with(0), &["error[drop-column] line 1"]);
    place.run(&["apply", kept]).ends_with(1);
    let done = place.run(&[&["apply", kept][..], &allowed].concat()).ends_with(0);
    shows(&done, &["note: 0002: error[drop-column] line 1"]);
    shows(&place.run(&["report", "--format", "markdown", "-o", "-"]).ends_with(0), &["drop-column"]);
}

#[test]
fn two_files_of_one_version_are_a_finding_of_lint() {
    let place = Place::without_database();
    place.write("migrations/0001_a.sql", "SELECT 1;");
    place.write("migrations/001_b.sql", "SELECT 2;");
    shows(&place.run(&["lint"]).ends_with(1), &["error[duplicate-version]: the same version as"]);
}
