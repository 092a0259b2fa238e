//! What ways back would take away that a rehearsal without rows, and without what somebody made by hand, does not show.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use common::{Place, on_one_server, says};

/// Roles are of the whole server, where the migrations are built several times.
#[test]
fn migrations_that_make_roles_are_taken_back() {
    let place = Place::new();
    let role = format!("role_{}", place.database().value("SELECT current_database()"));
    place.write("migrations/1_t.up.sql", "CREATE TABLE t (a int);");
    place.write("migrations/1_t.down.sql", "DROP TABLE t;");
    place.write("migrations/2_r.up.sql", &format!("CREATE ROLE {role}; GRANT SELECT ON t TO {role};"));
    place.write("migrations/2_r.down.sql", &format!("REVOKE ALL ON t FROM {role}; DROP ROLE {role};"));
    place.write("migrations/3_u.up.sql", "CREATE TABLE u (a int);");
    place.write("migrations/3_u.down.sql", "DROP TABLE u;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let there = format!("SELECT count(*) FROM pg_roles WHERE rolname = '{role}'");
    // On a server of its own, and on one where the role is.
    place.run(&["revert", "--dry-run"]).ends_with(0);
    place.run(&["revert", "2", "3", "--dry-run"]).ends_with(0);
    place.run(&["revert", "--all", "--dry-run", "--derive", "3"]).ends_with(0);
    on_one_server(&place, &["revert", "--all", "--dry-run"]).ends_with(0);
    assert_eq!(place.database().value(&there), "1");
    on_one_server(&place, &["revert", "2", "3", "--yes"]).ends_with(0);
    assert_eq!(place.database().value(&there), "0");
    // What is made for the rehearsal is dropped with it, wherever that was.
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
    on_one_server(&place, &["revert", "--dry-run"]).ends_with(0);
    assert_eq!(place.database().value(&there), "0");
}

/// A table with rows, much that could delete them, and a second migration that does nothing but has that down file.
fn full_of_code(down: &str) -> Place {
    let place = Place::new();
    place.write(
        "migrations/1_a.up.sql",
        "CREATE TABLE t (a int PRIMARY KEY, b text, updated_at timestamptz); CREATE TABLE log (m text); CREATE TABLE quiet (m text, at timestamptz);
         CREATE TABLE u (x text); CREATE TABLE c (a int REFERENCES t ON DELETE CASCADE); CREATE TABLE z (q int);
         CREATE FUNCTION wipe(text) RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; RETURN 1; END';
         CREATE FUNCTION wipes() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; RETURN NEW; END';
         CREATE FUNCTION clean(v text) RETURNS text LANGUAGE sql AS 'SELECT lower(trim(v))';
         CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := now(); NEW.m := clean(NEW.m); RETURN NEW; END';
         CREATE TRIGGER lt BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION wipes();
         CREATE TRIGGER stamps BEFORE INSERT OR UPDATE ON quiet FOR EACH ROW EXECUTE FUNCTION stamp();
         CREATE VIEW vv AS SELECT wipe(b) FROM t; CREATE VIEW into_t AS SELECT b FROM t; CREATE TABLE by_default (m text, n int DEFAULT wipe('x'));
         CREATE TRIGGER instead INSTEAD OF INSERT ON into_t FOR EACH ROW EXECUTE FUNCTION wipes();
         CREATE FUNCTION wipe_two(text, text) RETURNS int LANGUAGE sql AS 'SELECT wipe($1)';
         CREATE OPERATOR @@@@ (LEFTARG = text, RIGHTARG = text, FUNCTION = wipe_two);",
    );
    place.write("migrations/2_b.up.sql", "SELECT 1;");
    place.write("migrations/2_b.down.sql", down);
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run("INSERT INTO t VALUES (1, 'precious'), (2, 'too'); INSERT INTO c VALUES (1)");
    place
}

#[test]
fn code_that_runs_for_rows_only_is_asked_about() {
    for (down, words) in [
        ("INSERT INTO log SELECT b FROM t;", "by trigger lt of log, which runs routine wipes"),
        ("CREATE TABLE res AS SELECT wipe(b) FROM t; DROP TABLE res;", "by routine wipe"),
        ("CREATE TABLE res AS SELECT * FROM vv; DROP TABLE res;", "by view vv, which runs routine wipe"),
        ("INSERT INTO into_t SELECT b FROM t;", "by trigger instead of into_t, which runs routine wipes"),
        ("INSERT INTO by_default (m) SELECT b FROM t;", "by what is computed for column by_default.n, which runs routine wipe"),
        ("ALTER TABLE u ADD CHECK (wipe(x) > 0); ALTER TABLE u DROP CONSTRAINT u_x_check;", "by routine wipe"),
        ("SELECT b @@@@ b FROM t;", "by operator @@@@, which runs routine wipe_two, which runs routine wipe"),
        (
            "CREATE TABLE lg (m text); CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; RETURN NEW; END';
             CREATE TRIGGER g BEFORE INSERT ON lg FOR EACH ROW EXECUTE FUNCTION g(); INSERT INTO lg SELECT b FROM t;
             DROP TABLE lg; DROP FUNCTION g();",
            "by trigger g of lg, which runs routine g",
        ),
        ("DELETE FROM t;", "perhaps rows of table c, which foreign key c_a_fkey of c deletes or changes along"),
    ] {
        let place = full_of_code(down);
        let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
        says(&refused, &["2_b.up.sql: this would be lost: ", words, "--allow data-loss"]);
        assert_eq!(place.database().value("SELECT count(*) FROM t"), "2", "{down}");
    }
}

#[test]
fn code_that_only_computes_is_not_asked_about() {
    for down in [
        "INSERT INTO quiet SELECT b FROM t; DELETE FROM z;",
        "CREATE TABLE res AS SELECT clean(b) FROM t; DROP TABLE res;",
        "SELECT clean('x');",
        "INSERT INTO u SELECT lower(b) FROM t; ALTER TABLE u ADD CHECK (clean(x) <> ''); ALTER TABLE u DROP CONSTRAINT u_x_check;",
        "DROP TRIGGER lt ON log; CREATE TRIGGER lt BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION wipes();",
    ] {
        let place = full_of_code(down);
        let allowed: &[&str] = if down.contains("DELETE") { &["--allow", "data-loss"] } else { &[] };
        let dry = on_one_server(&place, &["revert", "--dry-run"]);
        assert!(!dry.stdout.contains("nobody knows"), "{}", dry.stdout);
        on_one_server(&place, &[&["revert", "--yes"], allowed].concat()).ends_with(0);
        assert_eq!(place.database().value("SELECT count(*) FROM t"), "2", "{down}");
    }
}

/// What somebody made by hand runs as well.
#[test]
fn code_that_was_made_by_hand_is_asked_about() {
    for (by_hand, words) in [
        (
            "CREATE TRIGGER h BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION wipes()",
            "by trigger h of u, which runs routine wipes",
        ),
        ("CREATE RULE h AS ON INSERT TO u DO ALSO DELETE FROM t", "by rule h of u"),
        (
            "CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM t; END';
             CREATE EVENT TRIGGER h ON sql_drop EXECUTE FUNCTION e()",
            "by event trigger h, which runs routine e",
        ),
    ] {
        let place = full_of_code("INSERT INTO u VALUES ('back'); DROP TABLE z;");
        place.database().run(by_hand);
        let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
        says(&refused, &["2_b.up.sql: this would be lost: ", words, "--allow data-loss"]);
        assert_eq!(place.database().value("SELECT count(*) FROM t"), "2", "{by_hand}");
    }
}
