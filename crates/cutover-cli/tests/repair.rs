//! Statements whose end nobody recorded: what is said of them, and who may settle them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Outcome, Place, says, with_session};
use cutover_postgres::session::Session;

/// Waits until a question is answered with 1.
async fn until(session: &mut Session, sql: &str) {
    let begun = Instant::now();
    while session.execute(sql).await.unwrap().scalar() != Some("1") {
        assert!(begun.elapsed() < Duration::from_secs(60), "never 1: {sql}");
    }
}

/// As [`says`], of standard output.
#[track_caller]
fn shows(outcome: Outcome, parts: &[&str]) {
    says(&Outcome { code: outcome.code, stdout: String::new(), stderr: outcome.stdout }, parts);
}

/// Whoever looks in another way than by `repair` is told the same of [`all_that_is_open_is_listed_with_what_is_known_of_it`],
/// and what a run would stop at.
fn is_told_elsewhere(place: &Place) {
    let again =
        "begun, its end not recorded: nothing of it is in the way; the next `cutover apply` runs it again\n";
    let same = [
        "begun, its end not recorded: the catalogue does not say whether it took effect: a person must\n",
        "CREATE INDEX CONCURRENTLY – begun, its end not recorded: the catalogue says that it is done; the next `cutover apply` goes on",
        &format!("CREATE INDEX CONCURRENTLY – {again}"),
        &format!("VACUUM – {again}"),
    ];
    shows(place.run(&["status"]).ends_with(0), &same);
    let planned = place.run(&["plan"]).ends_with(1);
    assert_eq!(planned.stdout.split_whitespace().filter(|word| *word == "recorded:").count(), 4);
    let stop = "V1__x.sql: an earlier run began DO (no-transaction) (part 1) and never learned how it ended";
    says(&planned, &[stop]);
    assert_eq!(planned.stderr.matches("never learned").count(), 1, "{}", planned.stderr);
}

/// A history of statements that were begun and never ended, of each kind one.
#[test]
fn all_that_is_open_is_listed_with_what_is_known_of_it() {
    let place = Place::new();
    let files = [
        ("1", "-- cutover: no-transaction\nDO $$ BEGIN PERFORM 'password=hunter2secret'; END $$"),
        ("2", "SELECT 1;\nCREATE INDEX CONCURRENTLY a_n ON a (n)"),
        ("3", "CREATE INDEX CONCURRENTLY a_m ON a (n)"),
        ("4", "VACUUM a"),
    ];
    for (version, text) in files {
        // It fails in its last part, so that it stays begun.
        place.write(&format!("migrations/V{version}__x.sql"), &format!("{text};\nSELECT 1 / n FROM zero;\n"));
    }
    shows(place.run(&["repair"]).ends_with(0), &["nothing waits for a decision"]);
    place.database().run("CREATE TABLE a (n int); CREATE TABLE zero AS SELECT 0 AS n");
    for (version, _) in files {
        place.run(&["apply", version, "--out-of-order"]).ends_with(4);
    }
    shows(
        place.run(&["status"]).ends_with(0),
        &[
            "failed (`cutover report` shows all of it):\n  migrations/V4__x.sql:2:1: ERROR: division by zero (22012)\n",
        ],
    );
    // As a run leaves them that is killed while they run.
    place.database().run(
        "UPDATE cutover.unit SET state = 'started', run = 'gone' WHERE unit = CASE version WHEN '2' THEN 1 ELSE 0 END;
         DROP INDEX a_m",
    );
    let decide = [
        "migrations/V1__x.sql:2: part 1, which run gone began: DO $$ BEGIN PERFORM",
        "  the catalogue does not say whether it took effect: a person must\n",
        "    cutover repair 1 --mark done          its effect is there: go on after it\n",
        "    cutover repair 1 --mark not-done      its effect is not there: run it again\n",
    ];
    let listed = place.run(&["repair"]).ends_with(5);
    assert!(!listed.stdout.contains("hunter2secret"), "{}", listed.stdout);
    let others = [
        "migrations/V2__x.sql:2: part 2, which run gone began: CREATE INDEX CONCURRENTLY a_n ON a (n)\n",
        "  the catalogue says that it is done; the next `cutover apply` goes on behind it\n",
        "migrations/V3__x.sql:1: part 1,",
        "  nothing of it is in the way; the next `cutover apply` runs it again\n",
        "migrations/V4__x.sql:1: part 1, which run gone began: VACUUM a\n",
        "  nothing of it is in the way; the next `cutover apply` runs it again\n",
        "1 statement waits for a decision\n",
    ];
    shows(listed, &[&decide[..], &others].concat());
    is_told_elsewhere(&place);
    shows(place.run(&["repair", "3"]).ends_with(0), &["V3__x.sql:1: ", "nothing waits for a decision"]);
    let json = place.run(&["repair", "--format", "json"]).ends_with(5);
    for part in [
        r#"{"format_version":1,"project":"#,
        r#""path":"migrations/V1__x.sql","part":1,"first_line":2,"last_line":2,"#,
        r#""run":"gone","failure":null,"finding":"unknown","says":"#,
        r#""commands":["cutover repair 1 --mark done","cutover repair 1 --mark not-done"]}"#,
        r#""finding":"done","#,
        r#""finding":"again","#,
    ] {
        assert!(json.stdout.contains(part), "{part}\n{}", json.stdout);
    }
    assert_eq!(json.stdout.lines().count(), 1);
    // Another text there by now, and no file at all.
    place.write("migrations/V2__x.sql", "SELECT 1;\nCREATE INDEX CONCURRENTLY a_o ON a (n);\n");
    let changed = "V2__x.sql:2: part 2, which run gone began: CREATE INDEX CONCURRENTLY a_n ON a (n)\n  its file says something else";
    shows(place.run(&["repair", "2"]).ends_with(5), &[changed, "cutover repair 2 --mark done"]);
    std::fs::remove_file(place.folder.join("migrations/V1__x.sql")).unwrap();
    shows(
        place.run(&["repair"]).ends_with(5),
        &["V1__x.sql:2: ", "its file is not there any more", "bring the file back"],
    );
    place.run(&["repair", "--mark", "done"]).ends_with(2);
    place.run(&["repair", "9"]).ends_with(2);
    assert_eq!(
        place.database().value("SELECT count(*) FROM cutover.unit WHERE state = 'started'"),
        "4",
        "it only looks"
    );
}

/// psql with a script of a plan is a runner like any other: as long as it is at work, nothing of its run is settled.
#[test]
fn a_script_at_work_is_not_settled() {
    let place = Place::new();
    place.write(
        "migrations/V1__a.sql",
        "-- cutover: no-transaction\nDO $$ BEGIN PERFORM pg_advisory_xact_lock(79); END $$;\nCREATE TABLE a (n int);\n",
    );
    place.run(&["plan", "--sql", "plan.sql"]).ends_with(0);
    with_session(&place, "watcher", "SELECT pg_advisory_lock(79)", async |session| {
        let mut psql = Command::new(testkit::clients().folder.join("psql"));
        psql.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &place.folder);
        psql.current_dir(&place.folder).args(["--no-psqlrc", "--file", "plan.sql", "--dbname"]);
        psql.arg(place.database().url()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = psql.spawn().unwrap();
        let waits = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'DO %' AND wait_event_type = 'Lock'";
        until(session, &format!("SELECT count(*) {waits}")).await;
        tokio::task::block_in_place(|| {
            for mark in ["done", "not-done"] {
                let refused = place.run(&["repair", "1", "--mark", mark, "--yes"]).ends_with(6);
                says(&refused, &["migrations/V1__a.sql: the run that began it is still there: psql (pid "]);
            }
            let listed = place.run(&["repair"]).ends_with(6);
            shows(
                listed,
                &["V1__a.sql:2: part 1, ", "the run that began it is still there: psql (pid ", ", active)"],
            );
        });
        assert_eq!(place.database().value("SELECT state FROM cutover.unit"), "started");
        until(session, &format!("SELECT count(pg_terminate_backend(pid)) {waits}")).await;
        let ended = tokio::task::block_in_place(|| child.wait_with_output().unwrap());
        assert!(!ended.status.success());
    });
    shows(place.run(&["repair"]).ends_with(5), &["cutover repair 1 --mark not-done"]);
    place.run(&["repair", "1", "--mark", "not-done", "--yes"]).ends_with(0);
    shows(place.run(&["repair"]).ends_with(0), &["nothing waits for a decision"]);
    place.run(&["apply"]).ends_with(0);
}

/// What is known of an open statement is no part of what a kept plan holds the database to.
#[test]
fn a_plan_with_an_open_statement_is_applied_as_it_was_kept() {
    let place = Place::new();
    let text = "CREATE INDEX CONCURRENTLY a_n ON a (n);\nSELECT 1 / n FROM zero;\n";
    place.write("migrations/V1__x.sql", text);
    place.database().run("CREATE TABLE a (n int); CREATE TABLE zero AS SELECT 0 AS n");
    place.run(&["apply"]).ends_with(4);
    place.database().run(
        "UPDATE cutover.unit SET state = 'started', run = 'gone'; DROP INDEX a_n; UPDATE zero SET n = 1",
    );
    shows(place.run(&["plan", "--out", "plan.json"]).ends_with(0), &["its end not recorded: nothing of it"]);
    place.run(&["apply", "plan.json"]).ends_with(0);
    assert_eq!(
        place.database().value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'a_n'::regclass"),
        "t"
    );
}
