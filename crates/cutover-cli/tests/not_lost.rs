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
         CREATE TYPE ct AS (v text); CREATE FUNCTION wipe_ct(ct) RETURNS int LANGUAGE sql AS 'SELECT wipe(($1).v)';
         CREATE CAST (ct AS int) WITH FUNCTION wipe_ct(ct);
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
        ("SELECT CAST(row(b)::ct AS int) FROM t;", "by the cast from public.ct to integer, which runs routine wipe_ct"),
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

/// A column is in all values of its table's row type.
#[test]
fn values_of_a_row_type_are_asked_for_its_columns() {
    let place = Place::new();
    place.write(
        "migrations/1_a.sql",
        "CREATE TABLE p (x int); CREATE TABLE u (y p[]); CREATE TABLE q (z int);",
    );
    place.write("migrations/2_b.sql", "ALTER TABLE p ADD COLUMN z int;");
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    database.run(
        "CREATE DOMAIN dp AS p; CREATE TYPE cp AS (d dp); CREATE TABLE w (c cp);
         INSERT INTO u VALUES (ARRAY[ROW(1, 5)::p]); INSERT INTO w VALUES (ROW(ROW(1, 6)::p::dp)::cp)",
    );
    let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
    says(
        &refused,
        &[
            "2_b.sql: this would be lost: perhaps values in column u.y, of whose type column p.z is a part",
            "perhaps values in column w.c, of whose type column p.z is a part",
        ],
    );
    database.run("DELETE FROM u; DELETE FROM w");
    on_one_server(&place, &["revert", "--yes"]).ends_with(0);
}

/// What is dropped where it is there is not there in the rehearsal.
#[test]
fn what_nobody_but_a_down_file_knows_is_named() {
    for (by_hand, down, words) in [
        (
            "CREATE TYPE hty AS ENUM ('a'); CREATE TABLE handtab (a int, b hty)",
            "DROP TYPE IF EXISTS hty CASCADE;",
            &["type hty, which none of the migrations makes", "column handtab.b, which goes with type hty by CASCADE"][..],
        ),
        (
            "CREATE DOMAIN hdo AS int; CREATE TABLE handtab (a int, b hdo)",
            "DROP DOMAIN IF EXISTS hdo CASCADE;",
            &["domain hdo, which none of the migrations makes", "column handtab.b, which goes"],
        ),
        (
            "CREATE FUNCTION ff(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; CREATE TABLE handtab (a int, b int GENERATED ALWAYS AS (ff(a)) STORED)",
            "DROP FUNCTION IF EXISTS ff(int) CASCADE;",
            &["column handtab.b, which goes with function ff by CASCADE"],
        ),
        (
            "CREATE COLLATION hc (provider = libc, locale = 'C'); CREATE TABLE handtab (a int, b text COLLATE hc)",
            "DROP COLLATION IF EXISTS hc CASCADE;",
            &["column handtab.b, which goes with collation hc by CASCADE"],
        ),
        (
            "CREATE MATERIALIZED VIEW hv AS SELECT a FROM x; CREATE FUNCTION ff() RETURNS SETOF hv LANGUAGE sql AS 'SELECT * FROM hv'",
            "DROP MATERIALIZED VIEW IF EXISTS hv CASCADE;",
            &["materialized view hv, which none of the migrations makes", "function ff(), which goes"],
        ),
        (
            "CREATE OPERATOR CLASS oc FOR TYPE int USING btree AS FUNCTION 1 btint4cmp(int, int), OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >;
             CREATE TABLE h (a int) PARTITION BY RANGE (a oc)",
            "DROP OPERATOR CLASS IF EXISTS oc USING btree CASCADE;",
            &["operator class oc, which none", "table h, which goes"],
        ),
        (
            "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER ht BEFORE INSERT ON x FOR EACH ROW EXECUTE FUNCTION tf()",
            "DROP TRIGGER IF EXISTS ht ON x;",
            &["trigger x.ht, which none of the migrations makes"],
        ),
        ("CREATE TABLE hand (b text)", "DROP TABLE IF EXISTS hand;", &["table hand, which none of the migrations makes"]),
        (
            "CREATE TABLE hand (b text); INSERT INTO hand VALUES ('a')",
            "ALTER TABLE IF EXISTS hand ALTER COLUMN b TYPE int USING NULL;",
            &["perhaps values of column hand.b, which its way back computes anew where it is there"],
        ),
        (
            "INSERT INTO x VALUES (5)",
            "DO $$ BEGIN IF EXISTS (SELECT FROM x) THEN ALTER TABLE x ALTER a TYPE int USING 0; END IF; END $$;",
            &["perhaps values of column x.a"],
        ),
        (
            "ALTER TABLE z ADD hand int; CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER ht BEFORE INSERT ON z FOR EACH ROW EXECUTE FUNCTION tf(); CREATE POLICY hp ON z USING (true); CREATE PUBLICATION hpub FOR TABLE z",
            "",
            &[
                "column z.hand, which none of the migrations makes, with its table",
                "trigger z.ht, which none of the migrations makes, with its table",
                "policy z.hp, which none of the migrations makes, with its table",
                "that table z is in publication hpub, which none of the migrations says",
            ],
        ),
        (
            "CREATE TABLE other (a int); ALTER TABLE parted ATTACH PARTITION other DEFAULT",
            "DROP TABLE parted;",
            &["table other, which is a partition of table parted by now"],
        ),
    ] {
        let place = Place::new();
        place.write("migrations/1_a.up.sql", "CREATE TABLE x (a int);");
        place.write(
            "migrations/2_b.up.sql",
            "CREATE TABLE z (q int); CREATE TABLE parted (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF parted FOR VALUES IN (1);",
        );
        let rest = if down.contains("parted") { "" } else { "DROP TABLE parted;" };
        place.write("migrations/2_b.down.sql", &format!("{down} DROP TABLE z; {rest}"));
        on_one_server(&place, &["apply"]).ends_with(0);
        // Nothing is asked where nothing was made by hand.
        on_one_server(&place, &["revert", "--dry-run"]).ends_with(0);
        place.database().run(by_hand);
        let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
        says(&refused, words);
    }
}

/// Another database is dropped for good.
#[test]
fn another_database_is_not_dropped_without_a_word() {
    let place = Place::new();
    let victim = format!("{}_victim", place.database().value("SELECT current_database()"));
    place.write("migrations/1_a.up.sql", "CREATE TABLE x (a int);");
    place.write("migrations/1_a.down.sql", &format!("DROP DATABASE IF EXISTS {victim};\nDROP TABLE x;"));
    on_one_server(&place, &["apply"]).ends_with(0);
    place.database().run(&format!("CREATE DATABASE {victim}"));
    for _ in 0..2 {
        let refused = on_one_server(&place, &["revert", "--yes"]).ends_with(1);
        says(&refused, &[&format!("database {victim} and all that is in it")]);
    }
    place.database().run(&format!("DROP DATABASE {victim}"));
    on_one_server(&place, &["revert", "--yes"]).ends_with(0);
}

/// What only went into another schema goes back with its rows.
#[test]
fn what_is_in_another_schema_goes_back() {
    let place = Place::new();
    place.write(
        "migrations/1_a.sql",
        "CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('ok'); CREATE SEQUENCE s.numbers;
         CREATE TABLE s.t (id serial PRIMARY KEY, m s.mood); CREATE VIEW s.v AS SELECT id FROM s.t; CREATE SCHEMA old; CREATE TABLE old.o (n int);",
    );
    place.write(
        "migrations/2_b.sql",
        "ALTER TABLE s.t SET SCHEMA public; ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME m TO mood; ALTER TYPE s.mood SET SCHEMA public;
         ALTER SEQUENCE s.numbers SET SCHEMA public; ALTER VIEW s.v SET SCHEMA public;
         CREATE SCHEMA new; ALTER TABLE old.o SET SCHEMA new; DROP SCHEMA old;",
    );
    on_one_server(&place, &["apply"]).ends_with(0);
    let database = place.database();
    database
        .run("INSERT INTO u (mood) VALUES ('ok'); INSERT INTO new.o VALUES (7); SELECT nextval('numbers')");
    on_one_server(&place, &["revert", "--yes"]).ends_with(0);
    assert_eq!(database.value("SELECT id || m::text FROM s.t"), "1ok");
    assert_eq!(database.value("SELECT n FROM old.o"), "7");
    assert_eq!(database.value("SELECT nextval('s.numbers')"), "2");
}

/// Neither shown nor stored are values from outside; passwords are not shown.
#[test]
fn secrets_of_ways_back_are_starred() {
    let place = Place::new();
    place.write("cutover.toml", "[project]\nname = \"x\"\n");
    place.write("migrations/1_a.up.sql", "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'v=${pw}'::text $$;");
    place.write(
        "migrations/2_b.up.sql",
        "DROP FUNCTION f(); CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (password 'srvSECRET1');",
    );
    place.write("migrations/3_c.up.sql", "DROP SERVER s;");
    place.write("migrations/4_d.up.sql", "CREATE SERVER s2 FOREIGN DATA WRAPPER w;");
    place.write(
        "migrations/4_d.down.sql",
        "ALTER SERVER s2 OPTIONS (ADD password 'dnSECRET6'); DROP SERVER s2;",
    );
    let with = |arguments: &[&str]| on_one_server(&place, &[arguments, &["--var", "pw=varSECRET1"]].concat());
    with(&["apply"]).ends_with(0);
    for format in ["text", "json"] {
        // The option of the server that was dropped cannot come back: it was never read.
        let last = ["revert", "--last", "3", "--allow", "rows-stay"];
        let dry = with(&[&last[..], &["--dry-run", "--format", format]].concat()).ends_with(0);
        assert!(!dry.stdout.contains("SECRET"), "{}", dry.stdout);
        assert!(dry.stdout.contains("'*********'") && dry.stdout.contains("v=**********"), "{}", dry.stdout);
    }
    with(&["revert", "--last", "3", "--yes"]).ends_with(1);
    let reverted = with(&["revert", "--last", "3", "--yes", "--allow", "rows-stay"]).ends_with(0);
    assert!(!reverted.stdout.contains("SECRET") && !reverted.stderr.contains("SECRET"), "{reverted:?}");
    let database = place.database();
    assert_eq!(database.value("SELECT f()"), "v=varSECRET1");
}
