//! Errors, what catches them, calls, relations and results, found in bodies; and bodies of which little can be known.

use proptest::prelude::*;

use super::*;

fn plpgsql(result: &str, body: &str) -> Contract {
    contract(&format!(
        "CREATE OR REPLACE FUNCTION public.f(a integer)\n RETURNS {result}\n LANGUAGE plpgsql\nAS $function${body}$function$\n"
    ))
}

/// Errors that leave the body: SQLSTATE or its expression, message or its expression, and `?` where that is not plain.
fn errors(body: &str) -> Vec<String> {
    let contract = plpgsql("void", body);
    assert_eq!(contract.unknown, [], "{body}");
    let mut told = Vec::new();
    for raised in &contract.raises {
        let mark = match raised.guards.passage(raised.code.as_deref()) {
            Passage::Leaves => "",
            Passage::Perhaps => "?",
            Passage::Caught => continue,
        };
        let code = raised.code.clone().or_else(|| Some(format!("({})", raised.code_from.as_ref()?)));
        let message = raised.message.clone().or_else(|| Some(format!("({})", raised.message_from.as_ref()?)));
        told.push(format!("{}{mark} {}", code.unwrap_or_default(), message.unwrap_or_default()));
    }
    told
}

#[test]
fn each_way_to_raise_has_its_code_and_message() {
    for (statement, told) in [
        ("RAISE EXCEPTION 'user % is unknown', a USING ERRCODE = 'SP003'", "SP003 user % is unknown"),
        ("RAISE 'it''s %%' USING HINT = 'h'", "P0001 it's %%"),
        ("RAISE EXCEPTION unique_violation USING MESSAGE = 'there already'", "23505 there already"),
        ("RAISE unique_violation", "23505 unique_violation"),
        ("RAISE SQLSTATE 'AB123'", "AB123 AB123"),
        ("RAISE USING ERRCODE = 'X1234', MESSAGE = 'm' || a", "X1234 ('m' || a)"),
        ("RAISE EXCEPTION USING ERRCODE = 'SP000'", "SP000 SP000"),
        ("RAISE EXCEPTION 'busy' USING ERRCODE = 'serialization_failure'", "40001 busy"),
        ("RAISE EXCEPTION 'x' USING ERRCODE = 'no_such_name'", "42704 x"),
        (
            "RAISE EXCEPTION 'x' USING ERRCODE = CASE WHEN a > 1 THEN 'SP001' END",
            "(CASE WHEN a > 1 THEN 'SP001' END) x",
        ),
        ("ASSERT a > 1, 'too small'", "P0004 too small"),
        ("ASSERT a > 1", "P0004 "),
        ("CASE a WHEN 1 THEN NULL; END CASE", "20000 "),
        ("RAISE", "0Z002 stacked_diagnostics_accessed_without_active_handler"),
    ] {
        assert_eq!(errors(&format!("BEGIN {statement}; END")), [told], "{statement}");
    }
    assert_eq!(errors("BEGIN SELECT 1 INTO STRICT a; END"), ["P0002 ", "P0003 "]);
    for level in ["DEBUG", "LOG", "INFO", "NOTICE", "WARNING"] {
        assert_eq!(
            errors(&format!("BEGIN RAISE {level} 'x' USING ERRCODE = 'SP001'; END")),
            [""; 0],
            "{level}"
        );
    }
    let hinted = plpgsql("void", "BEGIN RAISE EXCEPTION 'x' USING HINT = 'do y'; END");
    assert_eq!(hinted.raises[0].hint.as_deref(), Some("do y"));
}

#[test]
fn what_is_plainly_caught_does_not_leave() {
    let around =
        |raise: &str, handlers: &str| errors(&format!("BEGIN BEGIN {raise}; EXCEPTION {handlers} END; END"));
    let raise = "RAISE EXCEPTION 'x' USING ERRCODE = 'SP001'";
    assert!(around(raise, "WHEN SQLSTATE 'SP001' THEN NULL;").is_empty());
    assert!(around(raise, "WHEN unique_violation OR others THEN NULL;").is_empty());
    // Its class.
    assert!(around(raise, "WHEN SQLSTATE 'SP000' THEN NULL;").is_empty());
    assert_eq!(around(raise, "WHEN SQLSTATE 'SP002' THEN NULL;"), ["SP001 x"]);
    assert_eq!(around("ASSERT false, 'x'", "WHEN others THEN NULL;"), ["P0004 x"]);
    assert!(around("ASSERT false, 'x'", "WHEN assert_failure THEN NULL;").is_empty());
    // The first that fits is the one.
    assert_eq!(around(raise, "WHEN SQLSTATE 'SP001' THEN RAISE; WHEN others THEN NULL;"), ["SP001? x"]);
    assert!(around(raise, "WHEN SQLSTATE 'SP001' THEN NULL; WHEN others THEN RAISE;").is_empty());
    assert_eq!(around(raise, "WHEN others THEN RAISE EXCEPTION 'y';"), ["P0001 y"]);
    assert_eq!(
        around(raise, "WHEN others THEN RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE;"),
        ["SP001? x"]
    );
    let made = "RAISE EXCEPTION 'x' USING ERRCODE = a";
    assert_eq!(around(made, "WHEN SQLSTATE 'SP001' THEN NULL;"), ["(a)? x"]);
    assert_eq!(around(made, "WHEN SQLSTATE 'SP001' THEN RAISE; WHEN others THEN NULL;"), ["(a)? x"]);
    assert!(around(made, "WHEN SQLSTATE 'SP001' THEN NULL; WHEN others THEN NULL;").is_empty());
    // A handler does not catch what it raises itself; a block around it does.
    let nested = "BEGIN BEGIN BEGIN RAISE unique_violation; EXCEPTION WHEN unique_violation THEN RAISE; END;
        EXCEPTION WHEN others THEN NULL; END; RAISE EXCEPTION 'y'; END";
    assert_eq!(errors(nested), ["P0001 y"]);
    // It is the inner one that is raised again.
    let within = "BEGIN BEGIN RAISE unique_violation; EXCEPTION WHEN others THEN
        BEGIN RAISE EXCEPTION 'y'; EXCEPTION WHEN others THEN RAISE; END; END; END";
    assert_eq!(errors(within), ["P0001? y"]);
}

fn named(objects: &[ObjectRef]) -> Vec<String> {
    let name = |object: &ObjectRef| match &object.schema {
        Some(schema) => format!("{schema}.{}", object.name),
        None => object.name.to_string(),
    };
    objects.iter().map(name).collect()
}

fn written(contract: &Contract) -> Vec<String> {
    let told = |write: &Write| {
        format!("{} {:?}", named(std::slice::from_ref(&write.relation)).concat(), write.event)
    };
    let mut all: Vec<String> = contract.writes.iter().map(told).collect();
    all.sort();
    all
}

fn calls(contract: &Contract) -> Vec<String> {
    let call = |call: &Call| {
        let caught = call.guards.passage(Some("SP001")) == Passage::Caught;
        let name = named(call.routine.as_slice()).concat();
        format!("{name}/{}{}", call.arguments, if caught { " caught" } else { "" })
    };
    contract.calls.iter().map(call).collect()
}

#[test]
fn calls_and_relations_are_found_where_they_stand() {
    let body = "DECLARE v int := app.first(1); r app.t%ROWTYPE; c CURSOR FOR SELECT * FROM looked_at; BEGIN
        PERFORM second(a, b => 2); v := third();
        BEGIN CALL fourth(v); EXCEPTION WHEN others THEN PERFORM fifth(); END;
        WITH w AS (DELETE FROM app.gone RETURNING *) INSERT INTO kept SELECT w.* FROM w JOIN read_too USING (id);
        TRUNCATE emptied; CREATE TEMP TABLE made (n int); DROP TABLE dropped;
        IF EXISTS (SELECT FROM asked WHERE sixth(id)) THEN EXECUTE 'SELECT app.seventh($1) FROM run' USING v; END IF; END";
    let found = plpgsql("void", body);
    let mut called = calls(&found);
    called.sort();
    assert_eq!(
        called,
        ["app.first/1", "app.seventh/1", "fifth/0", "fourth/1 caught", "second/2", "sixth/1", "third/0"]
    );
    let sorted = |objects: &[ObjectRef]| {
        let mut names = named(objects);
        names.sort();
        names
    };
    assert_eq!(sorted(&found.reads), ["asked", "looked_at", "read_too", "run"]);
    assert_eq!(written(&found), ["app.gone Some(Delete)", "emptied None", "kept Some(Insert)"]);
    assert_eq!(sorted(&found.changes), ["dropped", "pg_temp.made"]);
    assert_eq!(found.unknown, []);
    let sql = contract(
        "CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS $$ UPDATE a SET n = g(n); SELECT n FROM b WHERE h(n, 1) $$",
    );
    assert_eq!(
        (calls(&sql), named(&sql.reads), written(&sql)),
        (vec!["g/1".into(), "h/2".into()], vec!["b".into()], vec!["a Some(Update)".into()])
    );
    let atomic = contract(
        "CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO a VALUES (public.g(1)); SELECT n FROM b; END",
    );
    assert_eq!(
        (calls(&atomic), named(&atomic.reads), written(&atomic)),
        (vec!["public.g/1".into()], vec!["b".into()], vec!["a Some(Insert)".into()])
    );
    let plain = contract("CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN public.g(1)");
    assert_eq!(calls(&plain), ["public.g/1"]);
}

#[test]
fn what_cannot_be_known_is_said() {
    let why = |contract: &Contract| contract.unknown.iter().map(|one| one.why.clone()).collect::<Vec<_>>();
    assert_eq!(
        why(&plpgsql("void", "BEGIN EXECUTE format('DROP TABLE %I', a); END")),
        ["it runs a statement that it makes at run time: EXECUTE format('DROP TABLE %I', a)"]
    );
    for body in [
        "DECLARE r record; BEGIN FOR r IN EXECUTE a || b LOOP NULL; END LOOP; END",
        "DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE a || b; END",
    ] {
        assert_eq!(why(&plpgsql("void", body)).len(), 1, "{body}");
    }
    let caught = plpgsql("void", "BEGIN EXECUTE a; EXCEPTION WHEN others THEN NULL; END");
    assert_eq!(caught.unknown[0].guards.passage(None), Passage::Caught);
    assert!(why(&plpgsql("void", "BEGIN nonsense"))[0].starts_with("its body cannot be analysed: "));
    let python = contract("CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u AS $$ return 1 $$");
    assert_eq!(why(&python), ["a body in plpython3u is not looked into"]);
    let c = contract("CREATE FUNCTION f() RETURNS int LANGUAGE c AS '$libdir/x', 'f'");
    assert_eq!(why(&c), ["a body in c is not looked into"]);
    assert_eq!(why(&contract("SELECT 1")), ["it is not made by CREATE FUNCTION"]);
    assert!(why(&contract("CREATE FUNCTION"))[0].starts_with("its text cannot be analysed: "));
    assert!(why(&contract(""))[0].starts_with("it is not made"));
    let long = format!("BEGIN {} END", "NULL; ".repeat(60_000));
    assert_eq!(why(&plpgsql("void", &long)).len(), 1);
    let block = contract("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DO 'BEGIN END' $$");
    assert_eq!(why(&block).len(), 1);
}

/// `{key = constant, optional?, …}`
fn results(body: &str) -> Vec<String> {
    let key = |key: &Key| {
        let value = key.value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        format!("{}{}{value}", key.name, if key.optional { "?" } else { "" })
    };
    let told = |returned: &Returned| match &returned.shape {
        Shape::Object { keys, open } => {
            let more = open.then(|| "…".to_owned());
            format!("{{{}}}", keys.iter().map(key).chain(more).collect::<Vec<_>>().join(", "))
        }
        Shape::Null => "null".to_owned(),
        Shape::Of(call) => format!("of {}/{}", named(call.routine.as_slice()).concat(), call.arguments),
        Shape::NotStated => "not stated".to_owned(),
    };
    plpgsql("jsonb", body).returns.iter().map(told).collect()
}

#[test]
fn keys_of_results_are_read_from_the_text() {
    for (expression, told) in [
        (
            "jsonb_build_object('outcome', 'waiting', 'n', a, 'm', 1, 'x', NULL, 'y', true)",
            "{outcome = \"waiting\", n, m = 1, x = null, y = true}",
        ),
        ("jsonb_build_object('a', 1, key, 2)", "{a = 1, …}"),
        ("jsonb_strip_nulls(jsonb_build_object('a', a, 'b', 1))", "{a?, b = 1}"),
        ("jsonb_build_object('a', 1) || jsonb_build_object('a', 2, 'b', a)", "{a = 2, b}"),
        ("jsonb_build_object('a', 1) || v", "{a, …}"),
        ("'{\"a\": {\"b\": 1}, \"c\": \"d\"}'::jsonb", "{a, c = \"d\"}"),
        ("'{}'", "{}"),
        ("'[1]'", "not stated"),
        ("NULL", "null"),
        ("app.other(a, 1)", "of app.other/2"),
        ("(SELECT jsonb_build_object('n', count(*)))", "{n}"),
        ("a -> 'b'", "not stated"),
        ("jsonb_build_object(VARIADIC b)", "of jsonb_build_object/1"),
        ("to_jsonb('{\"a\": 1}'::text)", "of to_jsonb/1"),
        ("JSON_OBJECT('k': a, 'l': 1)", "{k, l = 1}"),
    ] {
        assert_eq!(results(&format!("BEGIN RETURN {expression}; END")), [told], "{expression}");
    }
    let branches = "CASE WHEN a > 1 THEN jsonb_build_object('a', 1) WHEN a > 2 THEN NULL ELSE v -> 'x' END";
    assert_eq!(results(&format!("BEGIN RETURN {branches}; END")), ["{a = 1}", "null", "not stated"]);
    assert_eq!(
        results("BEGIN RETURN coalesce((SELECT jsonb_build_object('a', n) FROM t), '{}'); END"),
        ["{a}", "{}"]
    );
    assert_eq!(results("DECLARE v jsonb; BEGIN RETURN v; END"), ["not stated"]);
    assert!(plpgsql("text", "BEGIN RETURN jsonb_build_object('a', 1); END").returns.is_empty());
    let sql =
        contract("CREATE FUNCTION f() RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('a', 1) $$");
    assert_eq!(sql.returns.len(), 1);
}

/// Neither recursion nor odd text ends the process.
#[test]
fn deep_bodies_break_nothing() {
    for levels in [50, 200, 1_000, 5_000, 20_000] {
        let body = format!(
            "BEGIN {} RAISE EXCEPTION 'x'; {} END",
            "IF true THEN ".repeat(levels),
            "END IF; ".repeat(levels)
        );
        let found = plpgsql("void", &body);
        assert_eq!(found.raises.len() + found.unknown.len(), 1, "{levels}");
    }
    let blocks = |levels: usize| {
        format!(
            "BEGIN {} RAISE EXCEPTION 'x'; {} END",
            "BEGIN ".repeat(levels),
            "EXCEPTION WHEN unique_violation THEN NULL; END; ".repeat(levels)
        )
    };
    assert_eq!(plpgsql("void", &blocks(500)).raises[0].guards.passage(Some("P0001")), Passage::Leaves);
    let sums = format!("BEGIN RETURN {}1; END", "jsonb_build_object('a', 1) || ".repeat(400));
    assert_eq!(plpgsql("jsonb", &sums).returns.len(), 1);
}

const PARTS: &[&str] = &[
    "BEGIN ",
    "END; ",
    "END ",
    "DECLARE v int := f(1); ",
    "RAISE EXCEPTION 'a %', v USING ERRCODE = 'SP001'; ",
    "RAISE; ",
    "EXCEPTION WHEN others THEN ",
    "WHEN unique_violation OR SQLSTATE 'SP000' THEN ",
    "RETURN jsonb_build_object('a', 1, 'b'); ",
    "RETURN; ",
    "EXECUTE v || '1'; ",
    "IF v THEN ",
    "END IF; ",
    "LOOP ",
    "END LOOP; ",
    "CASE v WHEN 1 THEN ",
    "END CASE; ",
    "PERFORM g(); ",
    "v := 1; ",
    "$x$ ",
    "'",
    "\"",
    "/* ",
    "-- \n",
    "\u{e9}\u{202e}",
    "SELECT 1 INTO STRICT v; ",
    "ASSERT v; ",
    "%, ",
    "{}}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_body_breaks_it(parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..20), language in "plpgsql|sql|c|x") {
        let body = parts.concat();
        for whole in [body.clone(), format!("BEGIN {body} END")] {
            let definition = format!("CREATE FUNCTION f(v integer) RETURNS jsonb LANGUAGE {language} AS $body${whole}$body$");
            let found = contract(&definition);
            // Whatever is not read is said.
            prop_assert!(language == "plpgsql" || language == "sql" || !found.unknown.is_empty());
            for raised in &found.raises {
                let _ = raised.guards.passage(raised.code.as_deref());
            }
        }
    }
}
