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

#[test]
fn files_are_looked_at_alone() {
    let place = Place::without_database();
    place.write("migrations/0001_a.up.sql", "CREATE TABLE a (n int);");
    place.write("migrations/0001_a.down.sql", "DROP TABLE a;");
    place.write("migrations/0002_b.up.sql", "CREATE INDEX i ON a (n);");
    place.write("notes.sql", "DROP TABLE a;");
    let up = |name: &str| place.folder.join(name).to_str().unwrap().to_owned();
    let (first, second) = (up("migrations/0001_a.up.sql"), up("migrations/0002_b.up.sql"));
    shows(&place.run(&["lint", &first]).ends_with(0), &["1 file: nothing found"]);
    shows(
        &place.run(&["lint", &first, &second]).ends_with(1),
        &["error[create-index-blocks-writes]", "2 files: 1 error"],
    );
    let down = up("migrations/0001_a.down.sql");
    says(&place.run(&["lint", &down, &first]).ends_with(0), &["is not looked at: it takes a migration back"]);
    says(
        &place.run(&["lint", &up("notes.sql")]).ends_with(2),
        &["is in no folder of migrations of this project"],
    );
    says(&place.run(&["lint", &first, "--since", "0001"]).ends_with(2), &["cannot be used with"]);
}

#[test]
fn paths_for_pull_requests_lead_from_the_repository() {
    let place = Place::without_database();
    place.write("db/migrations/0001_a.sql", "CREATE INDEX i ON a (n);");
    std::fs::create_dir(place.folder.join(".git")).unwrap();
    let lint = |form: &str| place.run(&["-C", "db", "lint", "--as", form]).ends_with(1);
    shows(&lint("github"), &["::error file=db/migrations/0001_a.sql,line=1", "%0Ahelp: "]);
    assert!(lint("sarif").stdout.contains("\"uri\":\"db/migrations/0001_a.sql\""));
    let both = place.run(&["-C", "db", "lint", "--as", "sarif", "--format", "json"]).ends_with(2);
    says(&both, &["give one of them"]);
}

#[test]
fn a_transaction_around_what_cannot_be_in_one_is_named() {
    let place = Place::without_database();
    place.write("migrations/0001_a.sql", "BEGIN;\nCREATE INDEX CONCURRENTLY i ON a (n);\nCOMMIT;");
    let refused = place.run(&["plan", "--offline"]).ends_with(1);
    says(
        &refused,
        &[
            "BEGIN around CREATE INDEX CONCURRENTLY, which cannot run in a transaction",
            "remove BEGIN and COMMIT",
        ],
    );
}
