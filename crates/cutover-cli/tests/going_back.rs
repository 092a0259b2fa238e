//! Ways back of what other tools, baselines and repeatable files have to do with.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Place, on_one_server, says};

/// The table of another tool is no migration's, though one that reads it cannot be rehearsed without it.
#[test]
fn the_table_of_another_tool_is_in_no_way_back() {
    let place = Place::new();
    place.write("migrations/1_a.up.sql", "CREATE TABLE users (id int);");
    place.write("migrations/1_a.down.sql", "DROP TABLE users;");
    place.write("migrations/2_b.up.sql", "CREATE TABLE b (id int);");
    place.write("migrations/2_b.down.sql", "DROP TABLE b;");
    place.write(
        "migrations/3_c.up.sql",
        "ALTER TABLE users ADD name text; CREATE VIEW v AS SELECT * FROM schema_migrations;",
    );
    place.write("migrations/3_c.down.sql", "DROP VIEW v; ALTER TABLE users DROP name;");
    place.database().run(
        "CREATE TABLE users (id int); CREATE TABLE b (id int);
         CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean); INSERT INTO schema_migrations VALUES (2, false)",
    );
    on_one_server(&place, &["adopt", "--yes"]).ends_with(0);
    on_one_server(&place, &["apply"]).ends_with(0);
    let shown = on_one_server(&place, &["revert", "--derive", "3", "--dry-run"]).ends_with(0).stdout;
    assert!(shown.contains("DROP VIEW public.v;") && !shown.contains("DROP TABLE"), "{shown}");
    on_one_server(&place, &["revert", "--derive", "3", "--yes"]).ends_with(0);
    assert_eq!(place.database().value("SELECT version FROM schema_migrations"), "2");
    on_one_server(&place, &["apply"]).ends_with(0);
    on_one_server(&place, &["revert", "--yes"]).ends_with(0);
    assert_eq!(place.database().value("SELECT to_regclass('v') IS NULL"), "t");
}

/// What another tool has applied, or failed at, is not run: its table may be a view, and may have gone on since.
#[test]
fn what_another_tool_goes_on_with_is_not_run_here() {
    let place = Place::new();
    for (file, text) in [
        ("1_a.up.sql", "CREATE TABLE a (n int);"),
        ("1_a.down.sql", "DROP TABLE a;"),
        ("2_b.up.sql", "CREATE TABLE b (n int);"),
        ("2_b.down.sql", "DROP TABLE b;"),
    ] {
        place.write(&format!("migrations/{file}"), text);
    }
    place.database().run(
        "CREATE TABLE a (n int); CREATE SCHEMA ops; CREATE TABLE ops.kept (version bigint PRIMARY KEY, dirty boolean);
         INSERT INTO ops.kept VALUES (1, false); CREATE VIEW schema_migrations AS TABLE ops.kept",
    );
    let refused = on_one_server(&place, &["apply"]).ends_with(1);
    says(
        &refused,
        &[
            "golang-migrate has applied here what is pending: its table public.schema_migrations",
            "1_a.up.sql",
        ],
    );
    on_one_server(&place, &["adopt", "--yes"]).ends_with(0);
    place.database().run("UPDATE ops.kept SET version = 2, dirty = true");
    let refused = on_one_server(&place, &["apply"]).ends_with(1);
    says(&refused, &["what is pending, or has failed at it", "2_b.up.sql"]);
    place.database().run("UPDATE ops.kept SET version = 1, dirty = false");
    on_one_server(&place, &["apply"]).ends_with(0);
}

/// A body that is stored writes nothing, though PostgreSQL locks what it would write; one that is run does.
#[test]
fn a_body_that_a_way_back_stores_loses_no_rows() {
    let place = Place::new();
    let function = |what: &str| {
        format!("CREATE OR REPLACE FUNCTION add(n int) RETURNS void LANGUAGE sql AS $$ {what} $$;")
    };
    place.write("migrations/1_a.up.sql", "CREATE TABLE a (n int);");
    place.write("migrations/1_a.down.sql", "DROP TABLE a;");
    place.write("migrations/2_f.up.sql", &function("INSERT INTO a VALUES (n)"));
    place.write("migrations/2_f.down.sql", "DROP FUNCTION add(int);");
    place.write("migrations/3_f.up.sql", &function("INSERT INTO a VALUES (n + 1)"));
    place.write("migrations/3_f.down.sql", &function("INSERT INTO a VALUES (n)"));
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run("INSERT INTO a VALUES (1)");
    on_one_server(&place, &["revert", "--yes"]).ends_with(0);
    // What is wrong in it is found all the same.
    on_one_server(&place, &["apply"]).ends_with(0);
    place.write("migrations/3_f.down.sql", &function("INSERT INTO nowhere VALUES (n)"));
    says(&on_one_server(&place, &["revert", "--yes"]).ends_with(1), &["3_f.down.sql:1", "nowhere"]);
    let hidden = function("INSERT INTO a VALUES (n)") + "DO $$ BEGIN EXECUTE 'dele' || 'te from a'; END $$;";
    place.write("migrations/3_f.down.sql", &hidden);
    says(
        &on_one_server(&place, &["revert", "--yes"]).ends_with(1),
        &["this would be lost", "--allow data-loss"],
    );
    assert_eq!(place.database().value("SELECT count(*) FROM a"), "1");
}

/// What is kept and needs what goes is named with the command that takes both.
#[test]
fn what_is_kept_on_top_of_what_goes_can_go_too() {
    let place = Place::new();
    place.write("migrations/V1__a.sql", "CREATE TABLE a (n int);");
    place.write("migrations/V2__b.sql", "CREATE TABLE b (n int);");
    place.write("migrations/R__v.sql", "CREATE OR REPLACE VIEW v AS SELECT n FROM b;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "V2", "--yes"]).ends_with(1);
    says(&refused, &["R__v.sql:1", "hint: `cutover revert R__v 2` takes it back too"]);
    on_one_server(&place, &["revert", "R__v", "V2", "--yes"]).ends_with(0);
    assert_eq!(
        place.database().value("SELECT to_regclass('b') IS NULL AND to_regclass('a') IS NOT NULL"),
        "t"
    );
    let place = Place::new();
    place.write("migrations/0001_a.sql", "CREATE TABLE a (n int);");
    on_one_server(&place, &["apply"]).ends_with(0);
    place.write("migrations/0002_b.sql", "ALTER TABLE a ADD m int;");
    place.database().run("ALTER TABLE a ADD m int");
    on_one_server(&place, &["baseline", "0002", "--yes"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    let hint = "`cutover revert 0002 0001 --allow data-loss` takes it back too, which a baseline recorded";
    says(&refused, &["0002_b.sql:1", hint]);
    on_one_server(&place, &["revert", "0002", "0001", "--allow", "data-loss", "--yes"]).ends_with(0);
    assert_eq!(place.database().value("SELECT to_regclass('a') IS NULL"), "t");
}

/// Rows in a table that goes as well stay nowhere.
#[test]
fn rows_of_a_table_that_is_reverted_as_well_do_not_stay() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TABLE a (n int);");
    place.write("migrations/2_rows.sql", "INSERT INTO a VALUES (1);");
    on_one_server(&place, &["apply"]).ends_with(0);
    says(
        &on_one_server(&place, &["revert", "--yes"]).ends_with(1),
        &["the rows that it wrote in a stay", "rows-stay"],
    );
    on_one_server(&place, &["revert", "--all", "--yes", "--allow", "data-loss"]).ends_with(0);
    assert_eq!(place.database().value("SELECT to_regclass('a') IS NULL"), "t");
    // A file that says so of a table that was there has not made it.
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TABLE a (n int);");
    place.write("migrations/2_b.sql", "CREATE TABLE IF NOT EXISTS a (n int);");
    place.write("migrations/3_rows.sql", "INSERT INTO a VALUES (1);");
    on_one_server(&place, &["apply"]).ends_with(0);
    let refused = on_one_server(&place, &["revert", "2", "3", "--yes"]).ends_with(1);
    says(&refused, &["3_rows.sql: the rows that it wrote in a stay", "rows-stay"]);
}
