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

const APPLIED: &str = "SELECT coalesce(string_agg(version_text, ',' ORDER BY version), '') FROM cutover.migration WHERE project !~ '~revert'";

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
        &["Reverted in", ": 3 reverted", "what was reverted is pending again", "reverted: 3 migrations"],
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

/// What a run did it has done, whatever was reverted since.
#[test]
fn reports_of_what_was_applied_outlive_its_reverting() {
    let place = place();
    on_one_server(&place, &["apply"]).ends_with(0);
    let list = on_one_server(&place, &["report", "--list"]).ends_with(0).stdout;
    let (run, _) = list.split_once(' ').unwrap();
    let report = || on_one_server(&place, &["report", "--run", run, "--format", "json"]).ends_with(0).stdout;
    let before = report();
    on_one_server(&place, &["revert", "--to", "0002", "--yes"]).ends_with(0);
    assert_eq!(report(), before);
    let lists = on_one_server(&place, &["report", "--list"]).ends_with(0).stdout;
    let [reverted, applied] = lists.lines().collect::<Vec<_>>()[..] else { panic!("{lists}") };
    assert!(reverted.ends_with("  revert: completed") && applied.ends_with("Z  completed"), "{lists}");
    shows(&on_one_server(&place, &["report"]).ends_with(0), &["Reverted in", "2 reverted"]);
    on_one_server(&place, &["apply"]).ends_with(0);
    assert_eq!(report(), before);
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
        &on_one_server(&place, &["revert", "0001", "--yes", "--allow", "data-loss"]).ends_with(1),
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

/// Whatever drops a table fails.
const STOPS: &str = "CREATE FUNCTION stops() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''not now''; END';
    CREATE EVENT TRIGGER stops ON ddl_command_start WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION stops()";

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
    // What is in the way is seen before, by a look too; what fails in the database itself takes nothing back.
    place.database().run("CREATE VIEW by_hand AS SELECT * FROM b");
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(&refused, &["1_a.up.sql: view by_hand, which none of the migrations makes, needs table b"]);
    for derived in [&[][..], &["--derive", "all"]] {
        let dry = on_one_server(&place, &[&["revert", "--dry-run"], derived].concat()).ends_with(1);
        shows(&dry, &["-- would fail: migrations/1_a.up.sql: view by_hand"]);
    }
    place.database().run("DROP VIEW by_hand");
    place.database().run(STOPS);
    let failed = on_one_server(&place, &["revert", "--yes"]).ends_with(4);
    says(&failed, &["or go back by what undoes its migration: --derive VERSION"]);
    assert_eq!(
        place.database().value("SELECT count(*) FROM cutover.migration WHERE project !~ '~revert'"),
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
    let database = place.database();
    // What the extension itself calls its users' is lost with it; what its script wrote is not.
    database.run(
        "CREATE TABLE ours.settings (n int); ALTER EXTENSION pgcrypto ADD TABLE ours.settings; INSERT INTO ours.settings VALUES (1);
         UPDATE pg_extension SET extconfig = ARRAY['ours.settings'::regclass::oid], extcondition = ARRAY['WHERE n > 1'] WHERE extname = 'pgcrypto'",
    );
    database.run("INSERT INTO ours.settings VALUES (2)");
    let refused = on_one_server(&place, &["revert", "--all", "--yes"]).ends_with(1);
    says(
        &refused,
        &["0002_b.sql: this would be lost: rows of ours.settings, which goes with extension pgcrypto"],
    );
    database.run("DELETE FROM ours.settings WHERE n > 1");
    shows(&on_one_server(&place, &["revert", "--all", "--yes"]).ends_with(0), &["2 migrations"]);
    assert_eq!(
        database.value("SELECT string_agg(extname, ',') FROM pg_extension WHERE oid >= 16384"),
        "citext"
    );
    assert_eq!(
        database.value("SELECT to_regnamespace('ours') IS NULL AND to_regnamespace('theirs') IS NOT NULL"),
        "t"
    );
}

#[test]
fn texts_that_were_edited_or_are_gone_do_not_lead_astray() {
    let place = place();
    on_one_server(&place, &["apply"]).ends_with(0);
    // What was applied is what is taken back.
    place.write("migrations/0003_c.sql", "CREATE TABLE others (id bigint PRIMARY KEY);");
    let reverted = on_one_server(&place, &["revert", "--stage", "two", "--yes"]).ends_with(0);
    says(&reverted, &["migrations/0003_c.sql was edited after it was applied"]);
    let database = place.database();
    assert_eq!(database.value("SELECT to_regclass('posts') IS NULL"), "t");
    place.write("migrations/0004_d.sql", "CREATE INDEX CONCURRENTLY others_id ON others (id);");
    on_one_server(&place, &["apply"]).ends_with(0);
    std::fs::remove_file(place.folder.join("migrations/0004_d.sql")).unwrap();
    place.write("cutover.toml", "[project]\nname = \"shop\"\n");
    for which in [
        &["revert"][..],
        &["revert", "--last", "1"],
        &["revert", "--all"],
        &["revert", "0003"],
        &["revert", "0004"],
    ] {
        let refused = on_one_server(&place, &[which, &["--yes"]].concat()).ends_with(2);
        says(&refused, &["migrations/0004_d.sql is applied and its file is gone", "status --show 0004"]);
    }
    assert_eq!(database.value(APPLIED), "0001,0002,0003,0004");
}

#[test]
fn rows_that_come_between_the_look_and_the_lock_are_not_lost() {
    let place = place();
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    let holder = database.hold("INSERT INTO posts VALUES (1, NULL)");
    let url = database.url();
    let mut command =
        place.command(&["revert", "--stage", "two", "--yes", "--dev-url", &url, "--allow-url-password"]);
    let child = command.spawn().unwrap();
    // It has looked and found nothing: what is inserted is not committed.
    while database.value("SELECT count(*) FROM cutover.run WHERE project = 'shop~revert'") != "1" {
        std::thread::yield_now();
    }
    holder.lets_go();
    let outcome = common::outcome(&child.wait_with_output().unwrap());
    assert_ne!(outcome.code, 0, "{}", outcome.stdout);
    says(
        &outcome,
        &["table posts would be lost: there was nothing in it when it was looked at", "--allow data-loss"],
    );
    assert_eq!(database.value("SELECT count(*) FROM posts"), "1");
    assert_eq!(database.value(APPLIED), "0001,0002,0003");
    on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    on_one_server(&place, &["revert", "--yes", "--allow", "data-loss"]).ends_with(0);
    assert_eq!(database.value(APPLIED), "0001,0002");
}

#[test]
fn losses_that_are_hard_to_see_are_seen() {
    let place = Place::new();
    place.write(
        "migrations/1_a.sql",
        "CREATE TABLE a (n int); CREATE TABLE old (n int); ALTER TABLE a ADD COLUMN gone int;",
    );
    place.write("migrations/2_b.sql", "CREATE TYPE pair AS (x int, y int); ALTER TABLE a ADD COLUMN p pair;");
    place.write("migrations/3_c.sql", "CREATE SEQUENCE numbers;");
    place.write("migrations/4_d.sql", "DROP TABLE old; ALTER TABLE a DROP COLUMN gone;");
    place.write("migrations/5_e.sql", "UPDATE a SET n = n + 1;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    database.run("INSERT INTO a VALUES (1, ROW(NULL, NULL)); SELECT nextval('numbers')");
    // Nothing undoes it but what is accepted.
    on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    on_one_server(&place, &["revert", "--yes", "--allow", "rows-stay"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "the rows that table old had before the migration do not come back",
            "the values that column a.gone had before the migration do not come back",
        ],
    );
    // The column is the last one now.
    on_one_server(&place, &["revert", "--yes", "--allow", "rows-stay", "--allow", "revert-differs"])
        .ends_with(0);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(&refused, &["sequence numbers and how far it has counted"]);
    on_one_server(&place, &["revert", "--yes", "--allow", "data-loss"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(&refused, &["column a.p and its values"]);
}

#[test]
fn what_a_down_file_takes_away_is_named() {
    let place = Place::new();
    place.write("migrations/1_a.up.sql", "CREATE TABLE a (n int);");
    place.write("migrations/1_a.down.sql", "DROP TABLE a;");
    place.write("migrations/2_b.up.sql", "CREATE TABLE b (n int); INSERT INTO b VALUES (1);");
    place.write("migrations/2_b.down.sql", "DELETE FROM a WHERE n > 1; DELETE FROM b; DROP TABLE b CASCADE;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "2_b.up.sql: this would be lost: table b and its rows",
            "2_b.up.sql: this would be lost: rows of a, which its way back deletes or changes",
        ],
    );
    assert!(!refused.stderr.contains("rows of b"), "{}", refused.stderr);
    // CASCADE takes only what was dropped in the rehearsal, unless somebody else has made something.
    assert!(!refused.stderr.contains("CASCADE"), "{}", refused.stderr);
    place.write("migrations/2_b.down.sql", "DROP TABLE b CASCADE;");
    let by_hand = "CREATE VIEW by_hand AS SELECT n FROM b; CREATE VIEW above AS SELECT n FROM by_hand; CREATE VIEW beside AS SELECT n FROM a;
                   CREATE INDEX b_n ON b (n); DELETE FROM b";
    place.database().run(by_hand);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "2_b.up.sql: this would be lost: view by_hand, which none of the migrations makes, by CASCADE",
            "2_b.up.sql: this would be lost: view above, which none of the migrations makes, by CASCADE",
        ],
    );
    assert!(!refused.stderr.contains("beside") && !refused.stderr.contains("b_n"), "{}", refused.stderr);
    place.database().run("DROP VIEW beside, above, by_hand");
    on_one_server(&place, &["revert", "--yes"]).ends_with(0);
    on_one_server(&place, &["apply"]).ends_with(0);
    // What it really drops counts, and not what it should.
    place.write("migrations/2_b.down.sql", "DROP TABLE a; DROP TABLE b;");
    place.database().run("INSERT INTO a VALUES (7)");
    let refused = on_one_server(&place, &["revert", "--yes", "--allow", "revert-differs"]).ends_with(1);
    says(&refused, &["table a and its rows", "--allow data-loss"]);
}

#[test]
fn an_enum_value_has_its_old_name_again() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TYPE mood AS ENUM ('ok', 'bad'); CREATE TABLE a (m mood);");
    place.write("migrations/2_b.sql", "ALTER TYPE mood RENAME VALUE 'bad' TO 'sad';");
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    database.run("INSERT INTO a VALUES ('sad')");
    on_one_server(&place, &["revert", "--yes"]).ends_with(0);
    assert_eq!(database.value("SELECT m FROM a"), "bad");
}

#[test]
fn what_was_recorded_or_is_made_anew_is_left() {
    let place = place();
    place.database().run(
        "CREATE TABLE users (id bigint PRIMARY KEY, mail text NOT NULL); INSERT INTO users VALUES (1, 'a')",
    );
    on_one_server(&place, &["baseline", "0001", "--yes"]).ends_with(0);
    on_one_server(&place, &["apply"]).ends_with(0);
    let reverted = on_one_server(&place, &["revert", "--all", "--yes"]).ends_with(0);
    says(&reverted, &["0001_a.sql is left as it is: a baseline recorded it"]);
    let database = place.database();
    assert_eq!(database.value(APPLIED), "0001");
    let refused = on_one_server(&place, &["revert", "0001", "--yes"]).ends_with(2);
    says(&refused, &["was recorded by a baseline and not run", "--allow data-loss"]);
    assert_eq!(database.value("SELECT count(*) FROM users"), "1");
}

#[test]
fn a_way_back_that_is_begun_is_gone_on_with() {
    let place = Place::new();
    place.write("cutover.toml", "[project]\nname = \"shop\"\n");
    place.write("migrations/1_a.up.sql", "CREATE TABLE a (n int); CREATE INDEX a_n ON a (n);");
    place.write("migrations/1_a.down.sql", "DROP TABLE a;");
    place.write("migrations/2_b.up.sql", "CREATE INDEX a_n2 ON a (n); CREATE TABLE b (n int);");
    place.write("migrations/2_b.down.sql", "DROP INDEX CONCURRENTLY a_n2;\nDROP TABLE b;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    database.run(STOPS);
    on_one_server(&place, &["revert", "--yes"]).ends_with(4);
    assert_eq!(database.value("SELECT to_regclass('a_n2') IS NULL AND to_regclass('b') IS NOT NULL"), "t");
    database.run("DROP EVENT TRIGGER stops");
    let dry = on_one_server(&place, &["revert", "--dry-run"]).ends_with(0);
    says(&dry, &["migrations/2_b.down.sql is begun: its first part is done already"]);
    shows(&place.run(&["apply"]).ends_with(0), &["note: a way back is begun and not finished"]);
    let place_3 = "migrations/3_c.up.sql";
    place.write(place_3, "CREATE TABLE c (n int);");
    let status = place.run(&["status"]);
    assert!(
        status.stdout.contains("a way back is begun and not finished: migrations/2_b.down.sql"),
        "{}",
        status.stdout
    );
    let words = "a way back is begun and not finished: migrations/2_b.down.sql; `cutover revert` of its migration goes on with it";
    shows(&place.run(&["repair"]).ends_with(0), &[words, "nothing waits for a decision"]);
    shows(&place.run(&["repair", "--format", "json"]).ends_with(0), &["\"begun_back\"", words]);
    let refused = on_one_server(&place, &["apply"]).ends_with(2);
    says(&refused, &[words]);
    std::fs::remove_file(place.folder.join(place_3)).unwrap();
    let refused = on_one_server(&place, &["revert", "1", "--yes"]).ends_with(2);
    says(&refused, &["a way back is begun and not finished", "`cutover revert 2` goes on with it"]);
    // With others beside it, which is another choice than before.
    on_one_server(&place, &["revert", "--all", "--yes"]).ends_with(0);
    assert_eq!(database.value("SELECT to_regclass('a') IS NULL AND to_regclass('b') IS NULL"), "t");
    // And once more, as if nothing had been.
    on_one_server(&place, &["apply"]).ends_with(0);
    on_one_server(&place, &["revert", "--yes"]).ends_with(0);
    assert_eq!(database.value("SELECT to_regclass('a_n2') IS NULL AND to_regclass('b') IS NULL"), "t");
}

#[test]
fn what_is_made_anew_is_left_as_it_is() {
    let place = Place::new();
    place.write("migrations/V1__a.sql", "CREATE TABLE a (n int);");
    place.write("migrations/V2__b.sql", "CREATE TABLE b (n int);");
    place.write(
        "migrations/R__f.sql",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    let reverted = on_one_server(&place, &["revert", "--last", "1", "--yes"]).ends_with(0);
    says(&reverted, &["R__f.sql is left as it is: it is repeatable"]);
    let database = place.database();
    assert_eq!(database.value("SELECT to_regclass('b') IS NULL AND to_regclass('a') IS NOT NULL"), "t");
    // It goes where it is named, or with all, however often it was made anew.
    place.write(
        "migrations/R__f.sql",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2';",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    on_one_server(&place, &["revert", "--all", "--yes"]).ends_with(0);
    assert_eq!(database.value("SELECT to_regclass('a') IS NULL AND to_regprocedure('f()') IS NULL"), "t");
    assert_eq!(database.value(&APPLIED.replace("version_text", "version")), "");
    on_one_server(&place, &["apply"]).ends_with(0);
    on_one_server(&place, &["revert", "R__f", "--yes"]).ends_with(0);
    assert_eq!(database.value("SELECT to_regclass('a') IS NOT NULL AND to_regprocedure('f()') IS NULL"), "t");
}

#[test]
fn rows_that_a_policy_hides_are_there() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TYPE pair AS (x int);");
    place.write("migrations/2_b.sql", "ALTER TYPE pair ADD ATTRIBUTE y int;");
    place.write("migrations/3_c.sql", "CREATE TABLE a (n int);");
    let role = testkit::role("");
    let database = place.database();
    database.give_to(&role);
    database.run(&format!("GRANT ALL ON SCHEMA public TO {}", role.name));
    let as_role = |arguments: &[&str]| {
        let url = database.url();
        let mut command = place.command(&[arguments, &["--dev-url", &url, "--allow-url-password"]].concat());
        command.env("CUTOVER_URL", database.url_as(&role));
        common::outcome(&command.output().unwrap())
    };
    as_role(&["apply"]).ends_with(0);
    database.run(
        "INSERT INTO a VALUES (1); ALTER TABLE a ENABLE ROW LEVEL SECURITY; ALTER TABLE a FORCE ROW LEVEL SECURITY",
    );
    let refused = as_role(&["revert", "--yes"]).ends_with(1);
    says(&refused, &["table a and its rows", "--allow data-loss"]);
    assert_eq!(database.value("SELECT count(*) FROM a"), "1");
    as_role(&["revert", "--yes", "--allow", "data-loss"]).ends_with(0);
    // An attribute of a type goes with what was in it.
    let refused = as_role(&["revert", "--yes"]).ends_with(1);
    says(&refused, &["perhaps values of type pair"]);
}

#[test]
fn a_down_file_that_was_left_empty_says_that_there_is_nothing_to_do() {
    let place = Place::new();
    place.write("migrations/1_a.up.sql", "CREATE TABLE a (n int);");
    place.write("migrations/1_a.down.sql", "DROP TABLE a;");
    place.write("migrations/2_b.up.sql", "INSERT INTO a VALUES (1);");
    place.write("migrations/2_b.down.sql", "-- Not reversible\n");
    place.write("migrations/3_c.up.sql", "CREATE INDEX a_n ON a (n);");
    place.write("migrations/3_c.down.sql", "");
    on_one_server(&place, &["apply"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "--to", "1", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "2_b.up.sql: the rows that it wrote in a stay as they are",
            "3_c.up.sql: behind the way back, not as it was before: + index a_n",
            "--derive VERSION goes back by what undoes a migration in place of its down file",
        ],
    );
    let allowed = ["revert", "--to", "1", "--yes", "--allow", "rows-stay", "--allow", "revert-differs"];
    shows(&on_one_server(&place, &allowed).ends_with(0), &["reverted: 2 migrations"]);
    assert_eq!(place.database().value(APPLIED), "1");
}

/// Five pairs, of which two have down files that fail.
fn pairs() -> Place {
    let place = Place::new();
    let pairs = [
        ("1_a", "CREATE TABLE a (n int);", "DROP TABLE a;"),
        ("2_b", "CREATE TABLE b (n int); CREATE INDEX b_n ON b (n);", "DROP TABLE nowhere;"),
        ("3_c", "CREATE INDEX a_n ON a (n);", "DROP INDEX a_n;"),
        ("4_d", "DROP INDEX a_n;", "SELECT 1;"),
        ("5_e", "CREATE TABLE e (n int);", "DROP TABLE e;"),
    ];
    for (name, up, down) in pairs {
        place.write(&format!("migrations/{name}.up.sql"), up);
        place.write(&format!("migrations/{name}.down.sql"), down);
    }
    on_one_server(&place, &["apply"]).ends_with(0);
    place
}

#[test]
fn all_ways_back_that_fail_are_named() {
    let place = pairs();
    let refused = on_one_server(&place, &["revert", "--all", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "rehearsed on a throwaway server, 2 of 5 ways back fail:\nmigrations/3_c.up.sql: its own way back fails: migrations/3_c.down.sql:1: \
             ERROR: index \"a_n\" does not exist (42704); what undoes it fails too: ",
            "; the way back of migrations/4_d.up.sql does not leave index a_n as it was, which may be why\nmigrations/2_b.up.sql: its own way \
             back fails: migrations/2_b.down.sql:1: ERROR: table \"nowhere\" does not exist (42P01)\nnothing was changed",
            "`cutover revert --to 3` reverts the 2 migrations above the first of them",
            "--derive failing goes back by what undoes the migration where a down file fails, which works for 1 of them",
        ],
    );
    let database = place.database();
    assert_eq!(database.value(APPLIED), "1,2,3,4,5");
    // What is above the first one; who leaves something otherwise is named.
    let refused = on_one_server(&place, &["revert", "--to", "3", "--yes"]).ends_with(1);
    says(&refused, &["migrations/4_d.up.sql: behind the way back, not as it was before: - index a_n"]);
    on_one_server(&place, &["revert", "--to", "3", "--yes", "--allow", "revert-differs"]).ends_with(0);
    assert_eq!(database.value(APPLIED), "1,2,3");
    let refused = on_one_server(&place, &["revert", "2", "--yes"]).ends_with(1);
    says(&refused, &["1 of 1 way back fails:", "--derive 2 goes back by what undoes it, which works"]);
    on_one_server(&place, &["revert", "2", "--yes", "--derive", "2"]).ends_with(0);
    assert_eq!(database.value(APPLIED), "1,3");
}

#[test]
fn down_files_that_fail_give_way_to_what_undoes_their_migrations() {
    let place = pairs();
    // What it had done by then is not there when what undoes it is tried.
    place.write("migrations/2_b.down.sql", "DROP INDEX CONCURRENTLY b_n;\nDROP TABLE nowhere;");
    let database = place.database();
    let reverted = on_one_server(&place, &["revert", "--all", "--yes", "--derive", "failing"]).ends_with(0);
    says(
        &reverted,
        &[
            "migrations/4_d.up.sql: gone back by what undoes it, as its down file does not leave index a_n as it was, which migrations/3_c.up.sql needs",
            "migrations/2_b.up.sql: gone back by what undoes it, as its own way back fails: migrations/2_b.down.sql:2: ERROR",
        ],
    );
    assert!(!reverted.stderr.contains("3_c.up.sql: gone back"), "{}", reverted.stderr);
    assert_eq!(database.value(APPLIED), "");
    assert_eq!(
        database.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
        "0"
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    let dry = on_one_server(&place, &["revert", "--all", "--dry-run", "--derive", "all"]).ends_with(0);
    shows(&dry, &["migrations/5_e.up.sql: found out from what it changes", "CREATE INDEX a_n ON public.a"]);
}

#[test]
fn other_names_are_given_back_with_all_that_is_in_them() {
    let place = Place::new();
    place
        .write("migrations/1_a.sql", "CREATE TABLE a (x text, s text); CREATE VIEW v AS SELECT x, s FROM a;");
    place.write(
        "migrations/2_b.sql",
        "ALTER TABLE a RENAME TO b; ALTER TABLE b RENAME x TO t; ALTER TABLE b RENAME s TO x; ALTER TABLE b RENAME t TO s; ALTER TABLE b ADD z int;",
    );
    place.write("migrations/3_c.sql", "ALTER TABLE b RENAME TO b_old; CREATE TABLE b (n int);");
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    database.run("INSERT INTO b_old (s, x) VALUES ('was x', 'was s'); INSERT INTO b VALUES (1)");
    let refused = on_one_server(&place, &["revert", "--all", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "3_c.sql: this would be lost: table b and its rows",
            "1_a.sql: this would be lost: table a and its rows (now table b_old)",
        ],
    );
    assert!(!refused.stderr.contains("2_b.sql"), "{}", refused.stderr);
    database.run("DELETE FROM b");
    // Nothing is lost.
    on_one_server(&place, &["revert", "--to", "1", "--yes"]).ends_with(0);
    assert_eq!(database.value("SELECT x || ', ' || s FROM v"), "was x, was s");
    // What was empty when it was looked at is looked at again by the name that it has then.
    on_one_server(&place, &["apply", "--allow", "rename-table", "--allow", "rename-column"]).ends_with(0);
    let holder = database.hold("INSERT INTO b VALUES (1)");
    let url = database.url();
    let arguments = ["revert", "--last", "1", "--yes", "--dev-url", &url, "--allow-url-password"];
    let child = place.command(&arguments).spawn().unwrap();
    while database.value("SELECT count(*) FROM cutover.run WHERE project ~ '~revert' AND outcome IS NULL")
        != "1"
    {
        std::thread::yield_now();
    }
    holder.lets_go();
    let outcome = common::outcome(&child.wait_with_output().unwrap());
    assert_ne!(outcome.code, 0, "{}", outcome.stdout);
    says(&outcome, &["table b would be lost: there was nothing in it when it was looked at"]);
}

#[test]
fn a_down_file_that_gives_names_back_loses_nothing() {
    let place = Place::new();
    place.write("migrations/1_a.up.sql", "CREATE TABLE a (n int);");
    place.write("migrations/1_a.down.sql", "DROP TABLE a;");
    place.write("migrations/2_b.up.sql", "ALTER TABLE a RENAME TO b; ALTER TABLE b RENAME n TO m;");
    place.write("migrations/2_b.down.sql", "ALTER TABLE b RENAME TO a; ALTER TABLE a RENAME m TO n;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    database.run("INSERT INTO b VALUES (7)");
    let refused = on_one_server(&place, &["revert", "--all", "--yes"]).ends_with(1);
    says(&refused, &["1_a.up.sql: this would be lost: table a and its rows (now table b)"]);
    assert!(!refused.stderr.contains("2_b.up.sql"), "{}", refused.stderr);
    on_one_server(&place, &["revert", "--yes"]).ends_with(0);
    assert_eq!(database.value("SELECT n FROM a"), "7");
}

/// A table with a row, and an empty one; the second migration does nothing, its down file is what is to be looked at.
fn with_a_row(down: &str) -> Place {
    let place = Place::new();
    place.write(
        "migrations/1_a.up.sql",
        "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE x (n int); CREATE SCHEMA app;
         CREATE FUNCTION app.wipe() RETURNS void LANGUAGE plpgsql AS
           'DECLARE r record; BEGIN FOR r IN SELECT id FROM t LOOP DELETE FROM t WHERE id = r.id; END LOOP; END';",
    );
    place.write(
        "migrations/1_a.down.sql",
        "DROP FUNCTION app.wipe(); DROP SCHEMA app; DROP TABLE x; DROP TABLE t;",
    );
    place.write("migrations/2_b.up.sql", "SELECT 1;");
    place.write("migrations/2_b.down.sql", down);
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run(
        "INSERT INTO t VALUES (1, 'precious'); CREATE TABLE legacy (n int, hand int); INSERT INTO legacy VALUES (1, 1);
         CREATE SEQUENCE ss; SELECT nextval('ss')",
    );
    place
}

#[test]
fn a_down_file_loses_nothing_without_a_word() {
    let anew = "create table t (id int primary key, a text);";
    for (down, words) in [
        (format!("drop table t; {anew}"), "table t and its rows"),
        ("alter table t drop column a; alter table t add column a text;".to_owned(), "column t.a and its values"),
        (
            "alter table t alter a type text using null;".to_owned(),
            "perhaps values of column t.a, which its way back computes anew",
        ),
        (
            "alter table t alter a type text using '';".to_owned(),
            "perhaps values of column t.a, which its way back computes anew",
        ),
        (format!("alter table t rename to t2; drop table t2; {anew}"), "table t and its rows"),
        ("do $$ begin delete from t; end $$;".to_owned(), "rows of t, which its way back deletes or changes"),
        (
            "do $$ begin execute 'del' || 'ete from t'; end $$;".to_owned(),
            "rows of table t, which its way back deletes or changes",
        ),
        (
            "do $$ begin execute 'trun' || 'cate t'; end $$;".to_owned(),
            "rows of table t, which its way back writes anew or throws away",
        ),
        (
            "select app.wipe();".to_owned(),
            "perhaps rows of any table: nobody knows what its way back does to them by routine app.wipe",
        ),
        (
            "create rule r as on insert to x do also delete from t; insert into x values (1); drop rule r on x; delete from x;"
                .to_owned(),
            "rows of table t, which its way back deletes or changes",
        ),
        (
            "create function g() returns trigger language plpgsql as 'begin delete from t; return new; end';
             create trigger g before insert on x for each row execute function g(); insert into x values (1);
             drop trigger g on x; drop function g(); delete from x;"
                .to_owned(),
            "rows of table t, which its way back deletes or changes",
        ),
        (
            "create rule r as on insert to t do also delete from t where id = 1; insert into t values (2); drop rule r on t;".to_owned(),
            "rows of table t, which its way back deletes or changes",
        ),
        ("drop table if exists legacy;".to_owned(), "table legacy and its rows"),
        ("do $$ begin drop table if exists legacy; end $$;".to_owned(), "table legacy and its rows"),
        (
            "do $$ begin if exists (select from t) then drop table t; end if; end $$;".to_owned(),
            "table t and its rows, which its way back drops where it is there",
        ),
        ("alter table if exists legacy drop column if exists hand;".to_owned(), "column legacy.hand and its values"),
        ("drop sequence if exists ss;".to_owned(), "sequence ss and how far it has counted"),
    ] {
        let place = with_a_row(&down);
        let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
        says(&refused, &["2_b.up.sql: this would be lost: ", words, "--allow data-loss"]);
        let database = place.database();
        assert_eq!(database.value("SELECT a FROM t"), "precious", "{down}");
        on_one_server(&place, &["revert", "--yes", "--allow", "data-loss", "--allow", "revert-differs"]).ends_with(0);
    }
}

#[test]
fn a_down_file_that_loses_nothing_is_not_asked_about() {
    for (up, down) in [
        ("CREATE TABLE n (n int);", "DELETE FROM n; DROP TABLE n;"),
        ("CREATE TABLE n (n int);", "DO $$ BEGIN EXECUTE 'DROP TABLE IF EXISTS n'; END $$;"),
        (
            "ALTER TABLE x ADD COLUMN m uuid DEFAULT md5(random()::text)::uuid;",
            "ALTER TABLE x DROP COLUMN m;",
        ),
        (
            "ALTER TABLE t ALTER a SET DEFAULT 'x';",
            "ALTER TABLE t ALTER a TYPE text; ALTER TABLE t ALTER a DROP DEFAULT;",
        ),
        ("CREATE TYPE mood AS ENUM ('a');", "DO $$ BEGIN IF true THEN DROP TYPE mood; END IF; END $$;"),
        (
            "INSERT INTO x VALUES (2);",
            "SELECT set_config('x.y', now()::text, true), pg_advisory_xact_lock(1); DELETE FROM x;",
        ),
        (
            "CREATE VIEW v AS SELECT id FROM t;",
            "DROP VIEW IF EXISTS v, w CASCADE; DROP TABLE IF EXISTS nowhere;",
        ),
        ("ALTER TABLE t RENAME TO u;", "ALTER TABLE u RENAME TO t;"),
        ("ALTER TABLE t SET UNLOGGED;", "ALTER TABLE t SET LOGGED;"),
    ] {
        let place = with_a_row(down);
        on_one_server(
            &place,
            &["revert", "--yes", "--allow", "data-loss", "--allow", "revert-differs", "--derive", "all"],
        )
        .ends_with(0);
        place.write("migrations/2_b.up.sql", up);
        // A function of the test's names the table that is renamed.
        let accepted = ["rename-table", "rename-column", "function-name-unresolved-after-move"];
        let accepted = accepted.iter().flat_map(|code| ["--allow", code]);
        on_one_server(&place, &["apply"].into_iter().chain(accepted).collect::<Vec<_>>()).ends_with(0);
        place.database().run("DELETE FROM x");
        let allowed: &[&str] = if down.contains("DELETE FROM x;") { &["--allow", "data-loss"] } else { &[] };
        on_one_server(&place, &[&["revert", "--yes"], allowed].concat()).ends_with(0);
    }
}

#[test]
fn a_look_says_what_would_be_refused() {
    let place = with_a_row("DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, a text, b int);");
    let dry = on_one_server(&place, &["revert", "--dry-run"]).ends_with(1);
    shows(
        &dry,
        &[
            "-- lost: table t and its rows",
            "-- migrations/2_b.up.sql: behind the way back, not as it was before: + column t.b",
            "-- refused without --allow data-loss --allow revert-differs",
        ],
    );
    let json = on_one_server(&place, &["revert", "--dry-run", "--format", "json"]).ends_with(1);
    shows(&json, &["\"missing\"", "\"data-loss\"", "\"differs\""]);
    let allowed = ["revert", "--dry-run", "--allow", "data-loss", "--allow", "revert-differs"];
    let dry = on_one_server(&place, &allowed).ends_with(0);
    assert!(!dry.stdout.contains("refused"), "{}", dry.stdout);
}

#[test]
fn what_undoes_a_migration_fits_the_rows_or_is_refused() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TABLE a (n int NOT NULL, mail text NOT NULL);");
    place.write("migrations/2_b.sql", "ALTER TABLE a DROP COLUMN mail; ALTER TABLE a ALTER n DROP NOT NULL;");
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run("INSERT INTO a VALUES (NULL)");
    let allowed = ["--allow", "rows-stay", "--allow", "data-loss"];
    let refused = on_one_server(&place, &[&["revert", "--yes"][..], &allowed].concat()).ends_with(1);
    let words = [
        "table a has rows, and column a.mail, which it had before, is never null",
        "column a.n has nulls by now",
    ];
    says(&refused, &["2_b.sql: ", "write a down file"]);
    for word in words {
        says(&refused, &[word]);
    }
    let dry = on_one_server(&place, &[&["revert", "--dry-run"][..], &allowed].concat()).ends_with(1);
    shows(&dry, &["ADD COLUMN mail text NOT NULL", "-- would fail: migrations/2_b.sql: "]);
    shows(&dry, &words);
    place.database().run("DELETE FROM a");
    on_one_server(&place, &[&["revert", "--yes"][..], &allowed].concat()).ends_with(0);
}

#[test]
fn another_type_of_the_same_name_is_no_other_name_of_a_value() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TYPE k AS ENUM ('a', 'b', 'x'); CREATE TABLE t (k k);");
    place.write(
        "migrations/2_b.sql",
        "ALTER TYPE k RENAME TO k_old; CREATE TYPE k AS ENUM ('a', 'b', 'c');
         ALTER TABLE t ALTER k TYPE k USING (CASE k::text WHEN 'x' THEN 'a' ELSE k::text END)::k; DROP TYPE k_old;",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run("INSERT INTO t VALUES ('c')");
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(&refused, &["this would be lost: perhaps values of type k", "--allow data-loss"]);
}

#[test]
fn what_a_type_takes_along_is_named() {
    let place = Place::new();
    place.write(
        "migrations/1_a.sql",
        "CREATE TYPE bt; CREATE FUNCTION bti(cstring) RETURNS bt LANGUAGE internal STRICT IMMUTABLE AS 'textin';
         CREATE FUNCTION bto(bt) RETURNS cstring LANGUAGE internal STRICT IMMUTABLE AS 'textout';
         CREATE TYPE bt (INPUT = bti, OUTPUT = bto, LIKE = text);",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run("CREATE TABLE hand (x bt); INSERT INTO hand VALUES ('1')");
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(&refused, &["this would be lost: column hand.x, which none of the migrations makes, by CASCADE"]);
}

#[test]
fn rows_of_tables_that_go_with_an_extension_are_named() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE EXTENSION pgcrypto;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    database.run("BEGIN; CREATE TABLE given (n int); INSERT INTO given VALUES (1); ALTER EXTENSION pgcrypto ADD TABLE given; COMMIT");
    on_one_server(&place, &["revert", "--dry-run"]).ends_with(0);
    database.run("INSERT INTO given VALUES (2)");
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(&refused, &["this would be lost: rows of public.given, which goes with extension pgcrypto"]);
}

#[test]
fn what_no_schema_holds_stays_and_the_database_is_the_throwaway_one_in_the_rehearsal() {
    let place = Place::new();
    let database = place.database();
    let name = database.value("SELECT quote_ident(current_database())");
    // PostgreSQL's own schemas may be in the path.
    database.run(&format!("ALTER DATABASE {name} SET search_path = public, pg_catalog, pg_temp"));
    place.write("migrations/1_a.sql", "CREATE SEQUENCE s; CREATE TABLE a (n int);");
    place.write(
        "migrations/2_b.sql",
        &format!(
            "SELECT setval('s', 100);\nALTER DATABASE {name} SET work_mem = '2MB';\nGRANT CONNECT ON DATABASE {name} TO PUBLIC;\n\
             COMMENT ON DATABASE {name} IS 'x';\nALTER TABLE a ADD m int;"
        ),
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    shows(&on_one_server(&place, &["diff", "--replay"]).ends_with(0), &["are the same"]);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "2_b.sql: no statement takes this back: setval (line 1)",
            "2_b.sql: no statement takes this back: ALTER DATABASE … SET",
            "2_b.sql: no statement takes this back: GRANT ON DATABASE",
            "2_b.sql: no statement takes this back: COMMENT ON DATABASE",
            "(line 4)",
            "--allow rows-stay",
        ],
    );
    on_one_server(&place, &["revert", "--yes", "--allow", "rows-stay"]).ends_with(0);
}

#[test]
fn what_was_changed_by_hand_is_not_written_over_without_a_word() {
    let place = Place::new();
    let of =
        |text: &str| format!("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT {text}';");
    place.write(
        "migrations/1_a.sql",
        &(of("1") + "CREATE TABLE t (n int); CREATE VIEW v AS SELECT n FROM t;"),
    );
    place.write("migrations/2_b.sql", &of("2"));
    place.write(
        "migrations/3_c.sql",
        "DROP VIEW v; ALTER TABLE t ALTER n TYPE bigint; CREATE VIEW v AS SELECT n FROM t;",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    database.run("CREATE OR REPLACE VIEW v AS SELECT n FROM t WHERE n > 1");
    let allowed = ["revert", "--yes", "--allow", "data-loss"];
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(&refused, &["view v as it is now, which is not as the migrations have made it"]);
    on_one_server(&place, &allowed).ends_with(0);
    // What it does not touch is not asked about.
    database.run("CREATE OR REPLACE VIEW v AS SELECT n FROM t WHERE n > 2");
    database.run(&of("99"));
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "2_b.sql: this would be lost: function f() as it is now, which is not as the migrations have made it",
        ],
    );
    assert!(!refused.stderr.contains("view v"), "{}", refused.stderr);
    assert_eq!(database.value("SELECT f()"), "99");
    on_one_server(&place, &allowed).ends_with(0);
    assert_eq!(database.value("SELECT f()"), "1");
}

#[test]
fn what_has_to_go_too_is_named() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TABLE a (n int);");
    place.write("migrations/2_b.sql", "CREATE TABLE b (n int);");
    place.write("migrations/3_c.sql", "CREATE VIEW c AS SELECT n FROM a;");
    place.write("migrations/4_d.sql", "CREATE VIEW d AS SELECT n FROM c;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "1", "--yes"]).ends_with(1);
    let because = "does not stand without what is to be reverted: migrations/3_c.sql:1: ";
    says(&refused, &[because, "`cutover revert 3 4 1` takes it back too"]);
    on_one_server(&place, &["revert", "1", "3", "4", "--yes"]).ends_with(0);
    // What no file makes is another matter.
    let place = Place::new();
    place.database().run("CREATE TABLE legacy (n int)");
    place.write("migrations/2_b.sql", "ALTER TABLE legacy ADD COLUMN m int;");
    place.write("migrations/3_c.sql", "CREATE TABLE c (n int);");
    on_one_server(&place, &["apply"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(
        &refused,
        &["2_b.sql:1: ERROR: relation \"legacy\" does not exist", "no file makes it on a throwaway server"],
    );
    assert!(!refused.stderr.contains("does not stand"), "{}", refused.stderr);
}

#[test]
fn partitions_that_stay_keep_their_rows() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TABLE p1 (n int);");
    place.write(
        "migrations/2_b.sql",
        "CREATE TABLE p (n int) PARTITION BY LIST (n); ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    database.run("INSERT INTO p VALUES (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)");
    // One that nobody detaches goes along.
    let dry = on_one_server(&place, &["revert", "--dry-run"]).ends_with(1);
    shows(&dry, &["-- lost: table p2, which is a partition of table p by now"]);
    assert!(!dry.stdout.contains("its rows"), "{}", dry.stdout);
    database.run("INSERT INTO p VALUES (2)");
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(&refused, &["this would be lost: table p and its rows"]);
    database.run("DROP TABLE p2");
    on_one_server(&place, &["revert", "--yes"]).ends_with(0);
    assert_eq!(database.value("SELECT n FROM p1"), "1");
}

#[test]
fn values_of_another_column_of_the_same_name_do_not_come_back() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TABLE a (m int, n int);");
    place.write(
        "migrations/2_b.sql",
        "ALTER TABLE a DROP COLUMN n; ALTER TABLE a ADD COLUMN n int GENERATED ALWAYS AS (m + 1) STORED;",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(&refused, &["2_b.sql: the values that column a.n had before the migration do not come back"]);
}
