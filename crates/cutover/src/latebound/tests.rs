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

/// Code, routine, what is missing, line and hint.
async fn found(sql: &str) -> Vec<String> {
    let database = testkit::database();
    database.run(&format!("{THERE}{sql}"));
    let mut session = Session::connect(&database.options(), &Startup::default()).await.unwrap();
    let before = database.value("SELECT count(*) FROM pg_proc");
    let findings = check(&mut session).await.unwrap();
    assert_eq!(database.value("SELECT count(*) FROM pg_proc"), before);
    let line = |one: &super::LateFinding| {
        let place = one.line.map_or_else(|| "?".to_owned(), |line| line.to_string());
        format!(
            "{} {} {}:{place} {}",
            one.code,
            one.routine,
            one.missing,
            one.hint.clone().unwrap_or_default()
        )
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
            "function-body-names-missing-object f(integer) table app.\"order\":3 did you mean orders?",
            "function-body-names-missing-object f(integer) function helperr:4 did you mean helper?",
            "function-name-unresolved-after-move g() table moved:2 there is one in schema other",
            "function-name-unresolved-after-move h() table users:1 there is one in schema public",
            "function-body-names-missing-object p() type mod:1 did you mean mood?",
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
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(
        found[0].starts_with("function-body-names-missing-object a() table app.\"order\":2"),
        "{found:#?}"
    );
    assert!(found[1].starts_with("function-body-names-missing-object b() column \"nam\":1"), "{found:#?}");
    assert!(
        found[2].starts_with(
            "function-name-unresolved-after-move c() function helper:1 there is one in schema public"
        ),
        "{found:#?}"
    );
    assert!(
        found[3].starts_with(
            "function-name-unresolved-after-move d() table moved:1 there is one in schema other"
        ),
        "{found:#?}"
    );
}

#[tokio::test]
async fn what_is_there_or_may_be_when_it_runs_is_not_complained_of() {
    let found = found(
        "CREATE FUNCTION a(n int) RETURNS int LANGUAGE plpgsql SET search_path = app, public AS $$ DECLARE m mood; BEGIN
           DELETE FROM orders WHERE id = n; PERFORM helper(n), nextval('s'), now(), coalesce(n, 1), 'fine'::mood, lower('A');
           WITH w AS (SELECT 1 AS x) SELECT x INTO n FROM w; RETURN (SELECT count(*) FROM pg_class c, information_schema.tables t); END $$;
         CREATE FUNCTION temporary() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE t (n int); DELETE FROM t; DELETE FROM pg_temp.u; END $$;
         CREATE FUNCTION dynamic() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE TABLE ' || 't ()'; DELETE FROM t; END $$;
         CREATE FUNCTION guarded() RETURNS void LANGUAGE plpgsql AS $$ BEGIN IF to_regclass('nowhere') IS NOT NULL THEN DELETE FROM nowhere; END IF; END $$;
         CREATE FUNCTION caught() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM nowhere; EXCEPTION WHEN undefined_table THEN NULL; END $$;
         CREATE FUNCTION handed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM changed; RETURN NULL; END $$;
         CREATE TRIGGER t AFTER INSERT ON users REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION handed();
         CREATE FUNCTION cols() RETURNS text LANGUAGE plpgsql AS $$ DECLARE u users; BEGIN SELECT * INTO u FROM users; RETURN name(u) || u.name; END $$;
         CREATE FUNCTION types() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM '{1}'::int[], '{fine}'::mood[], 'a'::varchar(3), NULL::users, NULL::app.orders[]; END $$;
         CREATE FUNCTION good() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM users $$;",
    )
    .await;
    assert_eq!(found, [""; 0]);
}
