//! The API contract against real databases: what the catalogue says, what leaves a function, old calls beside new ones, and
//! what is hostile or secret.

use serde_json::{Value, json};
use testkit::markdown::table;

use crate::documents::Documents;
use crate::documents::tests::{NAME, are_well_formed, found, project, text_of};

const CONFIG: &str = "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n[[stage]]\nid = \"core\"\n[[stage.migration]]\nversion = \"0001\"\n";

fn named<'a>(api: &'a Value, list: &str, signature: &str) -> &'a Value {
    let all = api[list].as_array().unwrap();
    all.iter().find(|one| one["signature"] == signature).unwrap_or_else(|| panic!("{signature} in {all:#?}"))
}

/// `SQLSTATE message from`, with `?` where it may be caught.
fn errors(api: &Value, signature: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let told = |error: &Value| {
        let mark = if error["perhaps"] == true { "?" } else { "" };
        format!("{}{mark} {} {}", text(&error["sqlstate"]), text(&error["message"]), text(&error["from"]))
    };
    named(api, "functions", signature)["errors"].as_array().unwrap().iter().map(told).collect()
}

const FIRST: &str = "CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('a');
CREATE TABLE app.t (n int);
CREATE FUNCTION app.check_it(n int, m app.mood DEFAULT 'a') RETURNS int LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER
PARALLEL SAFE SET search_path = app, pg_temp SET work_mem = '1MB' AS $$
BEGIN
    IF n < 0 THEN RAISE EXCEPTION '% is below 0', n USING ERRCODE = 'AP001', HINT = 'Count up.'; END IF;
    RETURN n;
END $$;
REVOKE EXECUTE ON FUNCTION app.check_it(int, app.mood) FROM PUBLIC;
COMMENT ON FUNCTION app.check_it IS 'Looks at a number.';

CREATE FUNCTION app.fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'never' USING ERRCODE = 'AP009'; END $$;
CREATE TRIGGER fires BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.fires();
CREATE PROCEDURE app.add(n int, INOUT total bigint DEFAULT NULL) LANGUAGE plpgsql SET search_path = app AS $$
BEGIN
    INSERT INTO t VALUES (check_it(n)); SELECT count(*) INTO total FROM t;
END $$;
CREATE FUNCTION app.safe(n int) RETURNS jsonb LANGUAGE plpgsql SET search_path = app AS $$
BEGIN
    BEGIN PERFORM check_it(n); EXCEPTION WHEN SQLSTATE 'AP001' THEN RETURN jsonb_build_object('ok', false, 'why', SQLERRM); END;
    IF n = 7 THEN RETURN app.other(n); END IF;
    EXECUTE 'SELECT ' || n;
    RETURN jsonb_build_object('ok', true);
END $$;
CREATE FUNCTION app.other(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN PERFORM app.safe(n); PERFORM missing_one(n); RETURN to_jsonb(n); END $$;
CREATE FUNCTION app.rows(VARIADIC ns int[]) RETURNS TABLE (n int, m text) LANGUAGE sql AS 'SELECT 1, ''x''';
CREATE AGGREGATE app.total(int) (sfunc = int4pl, stype = int);
";

/// The documents of a project whose files are these, applied; with its folder and its database.
async fn whole() -> (tempfile::TempDir, testkit::Database, Documents) {
    let second = "\nCREATE OR REPLACE FUNCTION app.check_it(n int, m app.mood DEFAULT 'a') RETURNS int LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER
        PARALLEL SAFE SET search_path = app, pg_temp SET work_mem = '1MB' AS $$ BEGIN IF n < 0 THEN
        RAISE EXCEPTION '% is below 0', n USING ERRCODE = 'AP001', HINT = 'Count up.'; END IF; RETURN n; END $$;";
    let files = [
        ("cutover.toml", CONFIG),
        ("m/0001_a.sql", FIRST),
        ("m/0002_b.sql", second),
        ("m/0003_c.sql", "CREATE FUNCTION later() RETURNS int LANGUAGE sql AS 'SELECT 1';"),
    ];
    let (folder, project) = project(&files);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    // What is not there any more is none of it.
    database.run("DROP FUNCTION later()");
    let documents = found(&project, &database).await;
    (folder, database, documents)
}

#[tokio::test]
async fn what_the_catalogue_says_is_in_it() {
    let (_folder, database, documents) = whole().await;
    let api = &documents.context()["api"];
    let check = named(api, "functions", "app.check_it(integer, app.mood)");
    let owner = database.value("SELECT current_user");
    for (field, value) in [
        ("call", json!("app.check_it(n integer, m app.mood DEFAULT 'a'::app.mood)")),
        ("kind", json!("function")),
        ("result", json!("integer")),
        ("volatility", json!("STABLE")),
        ("strict", json!(true)),
        ("security", json!("DEFINER")),
        ("parallel", json!("SAFE")),
        ("search_path", json!("app, pg_temp")),
        ("settings", json!(["work_mem=1MB"])),
        ("execute", json!([owner])),
        ("comment", json!("Looks at a number.")),
        ("made_by", json!({"migration": "0001", "stage": "core", "path": "m/0001_a.sql", "line": 4})),
        ("changed_by", json!({"migration": "0002", "stage": null, "path": "m/0002_b.sql", "line": 2})),
        ("unknown", json!([])),
    ] {
        assert_eq!(check[field], value, "{field}");
    }
    assert_eq!(
        check["arguments"][1],
        json!({"name": "m", "mode": "IN", "type": "app.mood", "default": "'a'::app.mood"})
    );
    assert_eq!(check["errors"][0]["hint"], "Count up.");
}

#[tokio::test]
async fn what_the_bodies_say_is_in_it() {
    let (folder, database, documents) = whole().await;
    let api = &documents.context()["api"];
    let owner = database.value("SELECT current_user");
    let add = named(api, "functions", "app.add(integer, bigint)");
    assert_eq!((&add["kind"], &add["arguments"][1]["mode"]), (&json!("procedure"), &json!("INOUT")));
    assert_eq!((&add["reads"], &add["writes"]), (&json!(["app.t"]), &json!(["app.t"])));
    assert_eq!(
        (&add["calls"], &add["fires"]),
        (&json!(["app.check_it(integer, app.mood)"]), &json!(["app.fires()"]))
    );
    assert_eq!(add["execute"], json!(["PUBLIC", owner]));
    assert_eq!(
        errors(api, "app.add(integer, bigint)"),
        ["AP001 % is below 0 app.check_it(integer, app.mood)", "AP009? never app.fires()"]
    );
    // Caught on the way, and in a circle.
    assert!(errors(api, "app.safe(integer)").is_empty() && errors(api, "app.other(integer)").is_empty());
    let safe = named(api, "functions", "app.safe(integer)");
    assert_eq!(
        safe["unknown"],
        json!([
            {"from": "app.other(integer)", "why": "it calls missing_one with 1 argument, and there is no such function"},
            {"from": "app.safe(integer)", "why": "it runs a statement that it makes at run time: EXECUTE 'SELECT ' || n"},
        ])
    );
    let results: Vec<&str> =
        safe["results"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(results, ["object", "another", "object"]);
    assert_eq!(safe["results"][1]["of"], json!(["app.other(integer)"]));
    assert_eq!(named(api, "functions", "app.other(integer)")["results"][0]["kind"], "not stated");
    let rows = named(api, "functions", "app.rows(integer[])");
    assert_eq!(
        (&rows["result"], &rows["arguments"][0]["mode"], &rows["arguments"][2]["mode"]),
        (&json!("TABLE(n integer, m text)"), &json!("VARIADIC"), &json!("TABLE"))
    );
    assert_eq!(named(api, "functions", "app.total(integer)")["kind"], "aggregate");
    assert_eq!(named(api, "triggers", "app.fires()")["errors"][0]["sqlstate"], "AP009");
    assert_eq!(
        (api["functions"].as_array().unwrap().len(), api["without_new"].as_array().unwrap().len()),
        (6, 0)
    );

    let made = documents.render(None).unwrap();
    are_well_formed(&made);
    let text = text_of(&made, "API.md");
    let raised = table(text, "### Errors of `app.add(integer, bigint)`");
    assert_eq!((raised[0]["SQLSTATE"].as_str(), raised[0]["Message"].as_str()), ("AP001", "% is below 0"));
    let keys = table(text, "### Results of `app.safe(integer)`");
    assert_eq!(keys[0]["Keys"], "ok = false, why");
    assert!(text_of(&made, "README.md").contains("[API.md](API.md)"));
    // A template of the user's goes before.
    std::fs::create_dir(folder.path().join("t")).unwrap();
    std::fs::write(
        folder.path().join("t/API.md.jinja"),
        "{% for one in api.functions %}{{ one.call|code }}\n{% endfor %}",
    )
    .unwrap();
    let own = documents.render(Some(&folder.path().join("t"))).unwrap();
    assert!(
        text_of(&own, "API.md").contains("app.rows(VARIADIC ns integer[])"),
        "{}",
        text_of(&own, "API.md")
    );
}

/// Own and others' work told apart, in a circle too; what the file says of it; what is internal; and what is cutover's own.
#[tokio::test]
async fn what_is_done_by_others_is_told_apart_and_internals_stand_last() {
    let config = "[project]\nname = \"p\"\n[api]\ninternal = [\"help_*\", \"nothing_so\"]\n[[migrations]]\npath = \"m\"\n";
    let tables = "CREATE TABLE t (n int);\nCREATE TABLE log (n int);\n\
        CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1); RETURN NULL; END $$;\n\
        CREATE TRIGGER fires AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires();";
    let functions = "-- Adds | a row,\n-- and no more.\n\n-- Writes it.\nCREATE FUNCTION help_write(n int) RETURNS void LANGUAGE plpgsql AS $$\n\
        BEGIN INSERT INTO t VALUES (n); PERFORM help_read(); END $$;\n\
        -- Reads, and begins anew.\nCREATE FUNCTION help_read() RETURNS void LANGUAGE plpgsql AS $$\n\
        BEGIN PERFORM FROM t; IF false THEN PERFORM add_row(1); END IF; PERFORM cutover_worker.schedule('a', '5 seconds', 'SELECT 1'); END $$;\n\
        CREATE FUNCTION add_row(n int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM help_write(n); DELETE FROM t WHERE false; END $$;";
    let said = "CREATE FUNCTION said() RETURNS int LANGUAGE sql AS 'SELECT 1';\nCOMMENT ON FUNCTION said IS 'In the database.';\n\
        -- In the file.\nCREATE OR REPLACE FUNCTION said() RETURNS int LANGUAGE sql AS 'SELECT 2';";
    let files = [
        ("cutover.toml", config),
        ("m/0001_a.sql", tables),
        ("m/0002_b.sql", functions),
        ("m/0003_c.sql", said),
    ];
    let (_folder, project) = project(&files);
    let database = testkit::database();
    // There since somebody made it: with defaults, and not to be read.
    database.run(
        "CREATE SCHEMA cutover_worker; CREATE FUNCTION cutover_worker.schedule(a text, b text, c text, d int DEFAULT 1) RETURNS void LANGUAGE sql AS ''",
    );
    crate::migrate(&project, &database.url()).await.unwrap();
    let documents = found(&project, &database).await;
    let api = &documents.context()["api"];
    let add = named(api, "functions", "public.add_row(integer)");
    for (field, value) in [
        ("reads", json!([])),
        ("reads_through", json!(["t"])),
        ("writes", json!(["t"])),
        ("writes_through", json!(["log"])),
        ("calls", json!(["public.help_write(integer)"])),
        ("calls_through", json!(["public.help_read()"])),
        ("description", json!("Adds | a row, and no more.")),
        (
            "unknown",
            json!([{"from": "public.help_read()", "why": "it calls cutover_worker.schedule, which is cutover's own: it is not read"}]),
        ),
    ] {
        assert_eq!(add[field], value, "{field}");
    }
    let comment = named(api, "functions", "public.said()");
    assert_eq!((&comment["comment"], &comment["description"]), (&json!("In the database."), &json!(null)));
    assert_eq!(named(api, "internal", "public.help_write(integer)")["description"], "Writes it.");
    assert_eq!(
        (api["functions"].as_array().unwrap().len(), api["internal"].as_array().unwrap().len()),
        (2, 2)
    );
    assert_eq!(
        documents.unresolved(),
        ["cutover.toml:4: internal = \"nothing_so\" means no function that migrations made"]
    );
    let made = documents.render(None).unwrap();
    are_well_formed(&made);
    let text = text_of(&made, "API.md");
    let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} in {text}"));
    assert!(place("## `public.said()`") < place("## Internal functions"));
    assert!(place("## Internal functions") < place("## `public.help_read()`"));
    assert_eq!(table(text, "## Internal functions").len(), 2);
    let what = table(text, "## `public.add_row(integer)`");
    let row = |name: &str| what.iter().find(|row| row["What"] == name).unwrap()[""].clone();
    assert_eq!(row("Writes"), "itself: t; through what it calls: log");
    assert_eq!(row("Reads"), "itself nothing; through what it calls: t");
}

#[tokio::test]
async fn old_calls_stand_beside_new_ones_or_do_not_resolve() {
    let config = "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n\
        [[api.replaces]]\nold = \"old_join(uuid)\"\nnew = \"join_it(uuid, jsonb)\"\nnote = \"Say | why.\"\n\
        [[api.replaces]]\nold = \"old_gone\"\nnew = \"join_it\"\n\
        [[api.replaces]]\nold = \"old_pair(int)\"\nnew = \"app.nowhere(int)\"\n";
    let sql = "CREATE FUNCTION join_it(who uuid, prefs jsonb DEFAULT '{}') RETURNS uuid LANGUAGE sql AS 'SELECT $1';";
    let (_folder, project) = project(&[("cutover.toml", config), ("m/0001_a.sql", sql)]);
    let database = testkit::database();
    database.run(
        "CREATE FUNCTION old_join(p_user uuid) RETURNS void LANGUAGE sql AS '';
         CREATE FUNCTION old_pair(n int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION old_left(n int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION old_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    );
    crate::migrate(&project, &database.url()).await.unwrap();
    let documents = found(&project, &database).await;
    let api = &documents.context()["api"];
    let join = &api["replaces"][0];
    assert_eq!(
        join["differences"],
        json!([
            "argument 1 has the name who instead of the name p_user",
            "argument 2, prefs jsonb, is new and need not be given (default '{}'::jsonb)",
            "the result is uuid instead of void",
        ])
    );
    assert_eq!(
        named(api, "functions", "public.join_it(uuid, jsonb)")["replaces"],
        json!(["public.old_join(uuid)", "old_gone"])
    );
    assert_eq!(
        documents.unresolved(),
        [
            "cutover.toml:10: old = \"old_gone\" does not resolve: there is no function of this name",
            "cutover.toml:13: new = \"app.nowhere(int)\" does not resolve: there is no such function",
        ]
    );
    let left: Vec<&str> =
        api["without_new"].as_array().unwrap().iter().map(|one| one["signature"].as_str().unwrap()).collect();
    assert_eq!(left, ["public.old_left(integer)"]);
    let made = documents.render(None).unwrap();
    are_well_formed(&made);
    let rows = table(text_of(&made, "API.md"), "## Old call, new call");
    let verdicts: Vec<bool> = rows.iter().map(|row| row["Verdict"] == "both are there").collect();
    assert_eq!((verdicts, rows[0]["Note"].as_str()), (vec![true, false, false], "Say | why."));
    // The check that is made of it says the same.
    let checks = table(text_of(&made, "IMPLEMENTATION_SUMMARY.md"), "### Verification");
    let check = checks.iter().find(|row| row["Check"] == "old and new calls are there").unwrap();
    assert!(check["Verdict"] == "false" && check["Found"].contains("2 rows"), "{check:?}");
}

#[tokio::test]
async fn hostile_names_stay_names_and_secrets_are_starred() {
    let quoted = NAME.replace('"', "\"\"");
    let config =
        "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n[vars]\napi_token = \"tok-5ecret-1\"\n";
    let sql = format!(
        "CREATE FUNCTION \"{quoted}\"(\"{quoted}\" text DEFAULT 'x|`<b>') RETURNS jsonb LANGUAGE plpgsql AS $f$
         BEGIN
            IF true THEN RAISE EXCEPTION '| `a` <b>x</b> ${{api_token}} %', 1 USING ERRCODE = 'AP001', HINT = '# heading\n| a'; END IF;
            RETURN jsonb_build_object('k|`<i>', 'v|`', 'hunter-2-hunter', 1);
         END $f$;
         COMMENT ON FUNCTION \"{quoted}\" IS 'a | b\n# heading\n```';
         CREATE FUNCTION says(a text DEFAULT 'tok-5ecret-1') RETURNS void LANGUAGE plpgsql AS $f$
         BEGIN CREATE ROLE r PASSWORD 'hunter-2-hunter'; RAISE EXCEPTION 'not hunter-2-hunter'; EXECUTE 'ALTER ROLE r PASSWORD ''hunter-2-hunter''' || a; END $f$;"
    );
    let (_folder, project) = project(&[("cutover.toml", config), ("m/0001_a.sql", &sql)]);
    let database = testkit::database();
    crate::migrate(&project, &database.url()).await.unwrap();
    let documents = found(&project, &database).await;
    let made = documents.render(None).unwrap();
    are_well_formed(&made);
    for document in &made {
        for secret in ["tok-5ecret-1", "hunter-2-hunter"] {
            assert!(!document.text.contains(secret), "{secret} in {}:\n{}", document.name, document.text);
        }
    }
    assert_eq!(documents.context()["api"]["functions"][0]["name"], NAME);
}

#[tokio::test]
async fn without_anything_to_call_it_is_not_written() {
    let sql = "CREATE TABLE t (n int);\nCREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';";
    let (_folder, project) = project(&[
        ("m/0001_a.sql", sql),
        ("cutover.toml", "[project]\nname = \"p\"\n[[migrations]]\npath = \"m\"\n"),
    ]);
    let database = testkit::database();
    let made = found(&project, &database).await.render(None).unwrap();
    assert!(made.iter().all(|document| document.name != "API.md"));
    crate::migrate(&project, &database.url()).await.unwrap();
    let documents = found(&project, &database).await;
    assert_eq!(named(&documents.context()["api"], "triggers", "public.f()")["kind"], "function");
    let made = documents.render(None).unwrap();
    assert!(made.iter().all(|document| document.name != "API.md"));
    assert!(!text_of(&made, "README.md").contains("API.md"));
}
