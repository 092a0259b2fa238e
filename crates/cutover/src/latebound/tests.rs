//! What bodies name, on a server.

use cutover_postgres::session::{Session, Startup};

use super::check;

const THERE: &str = "
    CREATE SCHEMA app; CREATE SCHEMA other;
    CREATE TABLE app.orders (id int, total int); CREATE TABLE users (id int, name text); CREATE TABLE other.moved (id int);
    CREATE TYPE mood AS ENUM ('fine'); CREATE SEQUENCE s;
    CREATE FUNCTION helper(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    SET check_function_bodies = off;
";

/// Routine, what is wrong, line and hint.
async fn found(sql: &str) -> Vec<String> {
    found_in(&testkit::database(), sql).await
}

async fn found_in(database: &testkit::Database, sql: &str) -> Vec<String> {
    database.run(&format!("{THERE}{sql}"));
    let mut session = Session::connect(&database.options(), &Startup::default()).await.unwrap();
    let before = database.value("SELECT count(*) FROM pg_proc");
    let findings = check(&mut session).await.unwrap();
    assert_eq!(database.value("SELECT count(*) FROM pg_proc"), before);
    assert_eq!(database.value("SELECT count(*) FROM pg_extension WHERE extname = 'plpgsql_check'"), "0");
    let line = |one: &super::LateFinding| {
        let place = one.line.map_or_else(|| "?".to_owned(), |line| line.to_string());
        format!("{}:{place}: {}. {}", one.routine, one.wrong, one.hint.clone().unwrap_or_default())
    };
    findings.iter().map(line).map(|line| line.trim_end().to_owned()).collect()
}

#[tokio::test]
async fn names_in_plpgsql_that_are_not_there_are_found() {
    let found = found(
        "CREATE FUNCTION f(n int) RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  DELETE FROM app.order WHERE id = n;\n  PERFORM helperr(n);\nEND $$;
         CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n UPDATE moved SET id = 1; RETURN NEW; END $$;
         CREATE FUNCTION h() RETURNS bigint LANGUAGE plpgsql SET search_path = other AS $$ BEGIN RETURN (SELECT count(*) FROM users); END $$;
         CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN PERFORM 'fine'::mod; END $$;",
    )
    .await;
    assert_eq!(
        found,
        [
            "f(integer):3: there is no table app.\"order\". did you mean orders?",
            "f(integer):4: there is no function helperr. did you mean helper?",
            "g():2: there is no table moved. there is one in schema other",
            "h():1: there is no table users. there is one in schema public",
            "p():1: there is no type mod. did you mean mood?",
        ]
    );
}

#[tokio::test]
async fn names_in_sql_that_are_not_there_are_found() {
    let found = found(
        "CREATE FUNCTION a() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*)\n FROM app.order $$;
         CREATE FUNCTION b() RETURNS text LANGUAGE sql AS $$ SELECT nam FROM users $$;
         CREATE FUNCTION c() RETURNS int LANGUAGE sql SET search_path = app AS $$ SELECT helper(1) $$;
         CREATE FUNCTION d() RETURNS int LANGUAGE sql AS $$ SELECT id FROM moved $$;",
    )
    .await;
    assert_eq!(
        found,
        [
            "a():2: there is no table app.\"order\". did you mean orders?",
            "b():1: there is no column \"nam\". Perhaps you meant to reference the column \"users.name\".",
            "c():1: there is no function helper. there is one in schema public",
            "d():1: there is no table moved. there is one in schema other",
        ]
    );
}

/// Where a function looks for names that sets its path when it runs, nobody knows; what is nowhere is missing all the same.
#[tokio::test]
async fn what_is_nowhere_is_missing_whatever_path_a_function_sets() {
    let found = found(
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN
           PERFORM set_config('search_path', 'app', true); DELETE FROM orders; DELETE FROM nowhere; DELETE FROM public.orders; END $$",
    );
    assert_eq!(
        found.await,
        [
            "f():2: there is no table nowhere.",
            "f():2: there is no table public.orders. there is one in schema app"
        ]
    );
}

#[tokio::test]
async fn what_is_there_or_may_be_when_it_runs_is_not_complained_of() {
    let found = found(
        "CREATE FUNCTION a(n int) RETURNS int LANGUAGE plpgsql SET search_path = app, public AS $$ DECLARE m mood; BEGIN
           DELETE FROM orders WHERE id = n; PERFORM helper(n), nextval('s'), now(), coalesce(n, 1), 'fine'::mood, lower('A');
           WITH w AS (SELECT 1 AS x) SELECT x INTO n FROM w; RETURN (SELECT count(*) FROM pg_class c, information_schema.tables t); END $$;
         CREATE FUNCTION temporary() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE t (n int); DELETE FROM t; DELETE FROM pg_temp.u; END $$;
         CREATE FUNCTION temporary_too() RETURNS void LANGUAGE plpgsql AS $$ DECLARE i int; BEGIN CREATE TEMPORARY TABLE IF NOT EXISTS t (n int); SELECT n INTO i FROM t; END $$;
         CREATE FUNCTION dynamic() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE TABLE ' || 't ()'; DELETE FROM t; END $$;
         CREATE FUNCTION guarded() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF to_regclass('nowhere') IS NOT NULL THEN DELETE FROM nowhere; END IF; END $$;
         CREATE FUNCTION caught() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM nowhere; EXCEPTION WHEN undefined_table THEN NULL; END $$;
         CREATE FUNCTION handed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM changed; RETURN NULL; END $$;
         CREATE TRIGGER t AFTER INSERT ON users REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION handed();
         CREATE FUNCTION cols() RETURNS text LANGUAGE plpgsql AS $$ DECLARE u users; BEGIN SELECT * INTO u FROM users; RETURN name(u) || u.name; END $$;
         CREATE FUNCTION types() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM '{1}'::int[], '{fine}'::mood[], 'a'::varchar(3), NULL::users, NULL::app.orders[]; END $$;
         CREATE FUNCTION makes() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE made (n int); END $$;
         CREATE FUNCTION uses() RETURNS void LANGUAGE plpgsql AS $$ DECLARE m int; BEGIN PERFORM makes(); SELECT n INTO m FROM made; END $$;
         CREATE FUNCTION uses_too() RETURNS bigint LANGUAGE sql AS $$ SELECT makes(); SELECT count(*) FROM made $$;
         CREATE FUNCTION makes_somehow() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'create temp table somehow (n int)'; END $$;
         CREATE FUNCTION uses_that() RETURNS void LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN
           FOR r IN SELECT * FROM somehow LOOP PERFORM helper(r.n); END LOOP; END $$;
         CREATE FUNCTION pragmas() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
           PERFORM plpgsql_check_pragma('table: given (n int)'); DELETE FROM given; END $$;
         CREATE FUNCTION moves() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ BEGIN
           PERFORM set_config('search_path', quote_ident(TG_TABLE_SCHEMA), true); DELETE FROM orders; RETURN NULL; END $$;
         CREATE TRIGGER t3 AFTER INSERT ON app.orders FOR EACH STATEMENT EXECUTE FUNCTION moves();
         CREATE FUNCTION history() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM cutover.migrations); END $$;
         CREATE FUNCTION any_type(a anyelement, b anyarray) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN upper(a) || b[1]; END $$;
         CREATE FUNCTION records(given record) RETURNS void LANGUAGE plpgsql AS $$ DECLARE r record; BEGIN
           IF random() > 1 THEN SELECT 1 AS x INTO r; ELSE SELECT 'a' AS y INTO r; END IF;
           PERFORM r.x, given.z, helper(r.x); END $$;
         CREATE FUNCTION forever() RETURNS int LANGUAGE plpgsql AS $$ DECLARE unused int; BEGIN LOOP PERFORM 1; END LOOP; END $$;
         CREATE FUNCTION any_table() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF TG_TABLE_NAME = 'users' THEN NEW.name := 'x'; ELSE NEW.total := 1; END IF; RETURN NEW; END $$;
         CREATE TRIGGER t2 BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION any_table();
         CREATE TRIGGER t2 BEFORE INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION any_table();
         CREATE FUNCTION no_table() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.whatever := 1; RETURN NEW; END $$;
         CREATE FUNCTION good() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM users $$;",
    )
    .await;
    assert_eq!(found, [""; 0]);
}

/// Whether the server has the extension; said in the output of the test.
fn has_extension(database: &testkit::Database) -> bool {
    let has =
        database.value("SELECT count(*) FROM pg_available_extensions WHERE name = 'plpgsql_check'") == "1";
    println!("the server {} plpgsql_check", if has { "has" } else { "does not have" });
    has
}

#[tokio::test]
async fn an_extension_of_the_server_finds_what_only_postgresql_knows() {
    let database = testkit::database();
    let has = has_extension(&database);
    let found = found_in(
        &database,
        "CREATE FUNCTION a() RETURNS void LANGUAGE plpgsql AS $$\nBEGIN\n  UPDATE users SET id = 1,\n    nam = 'x';\n  DELETE FROM gone; PERFORM helper('a'::text);\nEND $$;
         CREATE FUNCTION b() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF 'bad'::mood = 'fine' THEN NULL; END IF; END $$;
         CREATE FUNCTION c() RETURNS TABLE (a int, b text) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT id FROM users; END $$;
         CREATE FUNCTION d() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.total := 1; PERFORM nam FROM changed; RETURN NEW; END $$;
         CREATE TRIGGER d AFTER INSERT ON users REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION d();
         CREATE TRIGGER d BEFORE INSERT ON app.orders FOR EACH ROW EXECUTE FUNCTION d();
         CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO users (id) VALUES (1) ON CONFLICT (id) DO NOTHING; END $$;
         CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql SET search_path = app AS $$ BEGIN RETURN (SELECT total + tota FROM orders); END $$;
         CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS $$ DECLARE\n x missing.t; BEGIN NULL; END $$;
         CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e();",
    )
    .await;
    if !has {
        assert_eq!(found, ["a():5: there is no table gone."]);
        return;
    }
    assert_eq!(
        found,
        [
            "a():5: there is no table gone.",
            "a():4: there is no column \"nam\" of relation \"users\".",
            "a():5: there is no function helper(text). No function matches the given name and argument types. You might need to add \
             explicit type casts.",
            "b():1: invalid input value for enum mood: \"bad\".",
            "c():1: structure of query does not match function result type.",
            "d():1: there is no relation \"changed\". as a trigger of app.orders",
            "d():1: record \"new\" has no field \"total\". as a trigger of users",
            "d():1: there is no column \"nam\". as a trigger of users",
            "e():1: there is no unique or exclusion constraint matching the ON CONFLICT specification.",
            "f():1: there is no column \"tota\". Perhaps you meant to reference the column \"orders.total\".",
            "g():2: there is no schema \"missing\".",
        ]
    );
}
