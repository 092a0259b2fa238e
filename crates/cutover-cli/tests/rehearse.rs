//! `cutover rehearse` as people run it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here has failed the test")]

mod common;

use common::{Place, on_one_server, says};
use serde_json::Value;

/// Followed by a code that there is not: which the list of all codes is not to be asked for.
const ALLOW_WRONG: &[&str] = &["rehearse", "--allow"];

/// A database in use, with a project for it.
fn shop() -> Place {
    let place = Place::new();
    place.database().run(
        "CREATE TABLE users (id bigint PRIMARY KEY, mail text); INSERT INTO users SELECT n, n FROM generate_series(1, 20000) n; ANALYZE users",
    );
    place.write("migrations/0001_index.sql", "CREATE INDEX CONCURRENTLY users_mail ON users (mail);\n");
    place
}

#[test]
fn what_is_seen_is_told_and_the_exit_code_says_whether_it_may_go_on() {
    let place = shop();
    let outcome = on_one_server(&place, &["rehearse"]).ends_with(0);
    assert!(outcome.stdout.contains("SHARE UPDATE EXCLUSIVE on public.users"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("waits for whoever uses it"), "{}", outcome.stdout);
    place.write("migrations/0002_type.sql", "ALTER TABLE users\n    ALTER COLUMN mail TYPE varchar(10);\n");
    let outcome = on_one_server(&place, &["rehearse", "--no-workload"]).ends_with(1);
    for part in [
        "ACCESS EXCLUSIVE on public.users",
        "writes public.users anew",
        "error[type-change-rewrites]",
        "measured: held",
    ] {
        assert!(outcome.stdout.contains(part), "{part}: {}", outcome.stdout);
    }
    // Allowed by name; a name that nothing has is a mistake.
    on_one_server(&place, &["rehearse", "--no-workload", "--allow", "type-change-rewrites"]).ends_with(0);
    let outcome = on_one_server(&place, &[ALLOW_WRONG, &["type-changes"]].concat()).ends_with(2);
    says(&outcome, &["type-changes: no finding has this code", "cutover lint --rules"]);
    // Nothing of it stays.
    assert_eq!(
        place
            .database()
            .value("SELECT to_regclass('users_mail') IS NULL AND to_regnamespace('cutover') IS NULL"),
        "t"
    );
}

#[test]
fn rows_make_times_and_a_page_and_json_show_the_same() {
    let place = shop();
    place.write(
        "migrations/0002_more.sql",
        "ALTER TABLE users ADD COLUMN key uuid DEFAULT gen_random_uuid();\n",
    );
    let outcome =
        on_one_server(&place, &["rehearse", "--with-data", "--full", "--format", "json"]).ends_with(1);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(document["ground"]["rows"], 1000);
    assert_eq!(document["migrations"][1]["statements"][0]["rewritten"][0], "public.users");
    assert_eq!(document["proof"]["migrations"][1]["reverted"]["answer"], "yes");
    let page = on_one_server(&place, &["rehearse", "--format", "html"]).ends_with(1).stdout;
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("class=\"bar lock all\""), "{page}");
    on_one_server(&place, &["rehearse", "--format", "markdown"]).ends_with(2);
}

#[test]
fn every_file_that_cannot_be_applied_is_told() {
    let place = Place::new();
    for n in 1..=300 {
        let text = match n % 50 {
            0 => "SELECT 1 FROM there_is_no_such_table;\n".to_owned(),
            25 => "CREATE TABEL t (n int);\n".to_owned(),
            _ => format!("CREATE TABLE t{n} (n int);\n"),
        };
        place.write(&format!("migrations/{n:04}_a.sql"), &text);
    }
    let outcome = on_one_server(&place, &["rehearse", "--format", "json"]).ends_with(1);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let failed: Vec<&str> = document["migrations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|migration| !migration["failure"].is_null())
        .map(|migration| migration["version"].as_str().unwrap())
        .collect();
    assert_eq!(
        failed,
        ["0025", "0050", "0075", "0100", "0125", "0150", "0175", "0200", "0225", "0250", "0275", "0300"]
    );
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let place = shop();
    let outcome =
        common::outcome(&place.command_with(Some("/nonexistent".into()), &["rehearse"]).output().unwrap());
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    says(&outcome, &["nothing to rehearse on", "/nonexistent"]);
    let nowhere = Place::without_database();
    nowhere.write("migrations/0001_a.sql", "SELECT 1;\n");
    let outcome = nowhere.run(&["rehearse"]).ends_with(2);
    says(&outcome, &["no database is configured", "--sandbox"]);
}
