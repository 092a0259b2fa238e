//! The way back of applied migrations.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Outcome, Place, on_one_server, says};

#[track_caller]
fn shows(outcome: &Outcome, parts: &[&str]) {
    for part in parts {
        assert!(outcome.stdout.contains(part), "{part:?} is not in\n{}", outcome.stdout);
    }
}

const APPLIED: &str = "SELECT coalesce(string_agg(version_text, ',' ORDER BY version), '') FROM cutover.migration WHERE project !~ '~revert~'";

fn place() -> Place {
    let place = Place::new();
    place.write(
        "cutover.toml",
        "[project]\nname = \"shop\"\n\
         [[stage]]\nid = \"one\"\n[[stage.migration]]\nversion = \"0001\"\n[[stage.migration]]\nversion = \"0002\"\n\
         [[stage]]\nid = \"two\"\n[[stage.migration]]\nversion = \"0003\"\n[[stage.migration]]\nversion = \"0004\"\n",
    );
    place.write("migrations/0001_a.sql", "CREATE TABLE users (id bigint PRIMARY KEY, mail text NOT NULL);");
    place.write(
        "migrations/0002_b.sql",
        "CREATE TYPE mood AS ENUM ('ok', 'bad'); ALTER TABLE users ADD COLUMN mood mood, ALTER COLUMN mail DROP NOT NULL;\n\
         CREATE FUNCTION hello() RETURNS text LANGUAGE sql AS 'SELECT ''$${not_a_placeholder}''';",
    );
    place.write(
        "migrations/0003_c.sql",
        "CREATE TABLE posts (id bigint PRIMARY KEY, author bigint REFERENCES users); CREATE VIEW authors AS SELECT author FROM posts;",
    );
    place.write("migrations/0004_d.sql", "CREATE INDEX CONCURRENTLY posts_author ON posts (author);");
    place
}

#[test]
fn what_undoes_a_migration_is_found_out_gone_and_pending_again() {
    let place = place();
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    let before = testkit::catalogue_dump(&database.options(), &["cutover"]);
    let dry = on_one_server(&place, &["revert", "--to", "0001", "--dry-run"]).ends_with(0);
    shows(
        &dry,
        &[
            "-- migrations/0004_d.sql: found out from what it changes\nDROP INDEX public.posts_author;",
            "DROP VIEW public.authors;\nDROP TABLE public.posts;",
            "ALTER TABLE public.users ALTER COLUMN mail SET NOT NULL;",
            "DROP TYPE public.mood;",
            "DROP FUNCTION public.hello();",
        ],
    );
    assert_eq!(database.value(APPLIED), "0001,0002,0003,0004");
    says(
        &on_one_server(&place, &["revert", "--to", "0001"]).ends_with(2),
        &["migrations/0004_d.sql (what undoes it)", "Revert 3 migrations?"],
    );
    shows(
        &on_one_server(&place, &["revert", "--to", "0001", "--yes"]).ends_with(0),
        &["reverted: 3 migrations"],
    );
    assert_eq!(database.value(APPLIED), "0001");
    shows(&on_one_server(&place, &["diff", "--replay"]).ends_with(0), &["are the same"]);
    shows(&on_one_server(&place, &["diff"]).ends_with(0), &["are the same"]);
    on_one_server(&place, &["status", "--exit-code"]).ends_with(1);
    // And there again.
    on_one_server(&place, &["apply"]).ends_with(0);
    assert_eq!(testkit::catalogue_dump(&database.options(), &["cutover"]), before);
    // The same way back once more.
    shows(
        &on_one_server(&place, &["revert", "--stage", "two", "--yes"]).ends_with(0),
        &["reverted: 2 migrations"],
    );
    assert_eq!(database.value(APPLIED), "0001,0002");
    shows(&on_one_server(&place, &["revert", "--all", "--yes"]).ends_with(0), &["reverted: 2 migrations"]);
    assert_eq!(database.value(APPLIED), "");
    shows(&on_one_server(&place, &["revert", "--yes"]).ends_with(0), &["nothing to revert"]);
}

#[test]
fn what_would_be_lost_is_named_and_refused() {
    let place = place();
    place.write(
        "migrations/0005_e.sql",
        "UPDATE users SET mail = upper(mail); ALTER TABLE posts ADD COLUMN body text;",
    );
    on_one_server(&place, &["apply", "--to", "0004"]).ends_with(0);
    let database = place.database();
    database.run("INSERT INTO users VALUES (1, 'a', 'ok'); INSERT INTO posts VALUES (1, 1)");
    on_one_server(&place, &["apply"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "migrations/0005_e.sql: the rows that it wrote in users stay as they are",
            "nothing was changed",
            "--allow rows-stay accepts it",
        ],
    );
    // An empty column is no loss.
    on_one_server(&place, &["revert", "--yes", "--allow", "rows-stay"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "--to", "0001", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "migrations/0003_c.sql: this would be lost: table posts and its rows",
            "migrations/0002_b.sql: this would be lost: column users.mood and its values",
            "--allow data-loss accepts it",
        ],
    );
    assert_eq!(database.value("SELECT count(*) FROM posts"), "1");
    // What is kept needs what is to go.
    says(
        &on_one_server(&place, &["revert", "0001", "--yes", "--allow", "data-loss"]).ends_with(2),
        &["does not stand without", "users"],
    );
    says(
        &on_one_server(&place, &["revert", "0005", "--yes"]).ends_with(2),
        &["migrations/0005_e.sql is not applied"],
    );
    on_one_server(&place, &["revert", "--to", "0001", "--yes", "--allow", "data-loss"]).ends_with(0);
    assert_eq!(database.value(APPLIED), "0001");
    assert_eq!(database.value("SELECT count(*) FROM users"), "1");
}

#[test]
fn a_down_file_is_the_way_back_and_held_to_what_was_before() {
    let place = Place::new();
    place.write("migrations/1_a.up.sql", "CREATE TABLE a (n int); CREATE TABLE b (n int);");
    place.write("migrations/1_a.down.sql", "DROP TABLE a;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(
        &refused,
        &["behind the way back, not as it was before: + table b (1 column)", "--allow revert-differs"],
    );
    place.write("migrations/1_a.down.sql", "DROP TABLE nowhere;");
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "rehearsed on a throwaway server",
            "its own way back fails",
            "1_a.down.sql:1: ERROR: table \"nowhere\" does not exist",
        ],
    );
    assert_eq!(place.database().value("SELECT to_regclass('a') IS NOT NULL"), "t");
    place.write("migrations/1_a.down.sql", "DROP TABLE a;\nDROP TABLE b;");
    shows(&on_one_server(&place, &["revert", "--yes"]).ends_with(0), &["reverted: 1 migration"]);
    assert_eq!(place.database().value("SELECT to_regclass('b') IS NULL"), "t");
    on_one_server(&place, &["apply"]).ends_with(0);
    // What fails in the database itself takes nothing back.
    place.database().run("CREATE VIEW by_hand AS SELECT * FROM b");
    on_one_server(&place, &["revert", "--yes"]).ends_with(4);
    assert_eq!(
        place.database().value("SELECT count(*) FROM cutover.migration WHERE project !~ '~revert~'"),
        "1"
    );
    assert_eq!(place.database().value("SELECT to_regclass('a') IS NOT NULL"), "t");
}

#[test]
fn what_others_have_made_in_the_database_is_there_in_the_rehearsal_too() {
    let place = Place::new();
    place.database().run("CREATE SCHEMA theirs; CREATE EXTENSION citext SCHEMA theirs");
    place.write("migrations/0001_a.sql", "CREATE TABLE theirs.a (mail theirs.citext);");
    place.write("migrations/0002_b.sql", "CREATE SCHEMA ours; CREATE EXTENSION pgcrypto SCHEMA ours;");
    on_one_server(&place, &["apply"]).ends_with(0);
    shows(&on_one_server(&place, &["diff", "--replay"]).ends_with(0), &["are the same"]);
    let reverted = on_one_server(&place, &["revert", "--all", "--yes", "--allow", "rows-stay"]).ends_with(0);
    shows(&reverted, &["2 migrations"]);
    let database = place.database();
    assert_eq!(
        database.value("SELECT string_agg(extname, ',') FROM pg_extension WHERE oid >= 16384"),
        "citext"
    );
    assert_eq!(
        database.value("SELECT to_regnamespace('ours') IS NULL AND to_regnamespace('theirs') IS NOT NULL"),
        "t"
    );
}
