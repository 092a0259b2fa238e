//! What a check must not do, and what it says when it may not measure.

use std::time::{Duration, Instant};

use cutover_postgres::session::{Session, Startup};

use super::{World, expect, named};
use crate::migration::{MigrationId, Version};
use crate::run::Verdict::{False, Holds, NotMeasured, Skipped};
use crate::verify::{Limits, VerifyError, VerifyRequest, preconditions, succeeded};

fn check(kind: &str, keys: &str) -> World {
    World::with_checks(&format!("[[check]]\nname = \"it\"\nkind = \"{kind}\"\n{keys}\n"))
}

#[tokio::test]
async fn a_role_without_privileges_measures_nothing_and_says_so() {
    let role = testkit::role("");
    for (kind, keys) in [
        ("no_rows", "sql = 'SELECT * FROM t'"),
        ("scalar", "sql = 'SELECT count(*) FROM t'\nequals = 0"),
        ("fails", "sql = 'INSERT INTO t VALUES (1)'\nsqlstate = '23505'"),
        ("foreign_keys", ""),
    ] {
        let world = check(kind, keys);
        world.database.run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (id int REFERENCES p)");
        expect(&world.one_as(&world.database.options_as(&role)).await, NotMeasured, "42501");
    }
}

/// A check is rolled back, also where code that it runs changes how the server reads the rest of it.
#[tokio::test]
async fn a_check_cannot_bring_out_a_commit() {
    let hidden = r"SELECT '\', '; COMMIT; CREATE TABLE sneaked (i int); --'";
    let world = check(
        "scalar",
        &format!("setup = 'SELECT f()'\nsql = \"\"\"{}\"\"\"\nequals = 1", hidden.replace('\\', r"\\")),
    );
    world.database.run(
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT set_config('standard_conforming_strings', 'off', true) $$",
    );
    world.one().await;
    assert_eq!(world.database.value("SELECT to_regclass('sneaked') IS NULL"), "t");
}

#[tokio::test]
async fn rows_hidden_by_a_policy_do_not_make_a_claim_true() {
    let role = testkit::role("");
    for (kind, keys) in [
        ("no_rows", "sql = 'SELECT * FROM t'"),
        ("scalar", "sql = 'SELECT count(*) FROM t'\nequals = 0"),
        ("foreign_keys", ""),
    ] {
        let world = check(kind, keys);
        world.database.run(&format!(
            "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (id int REFERENCES p); INSERT INTO p VALUES (1); INSERT INTO t VALUES (1);
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT SELECT ON p, t TO {}",
            role.name
        ));
        expect(&world.one_as(&world.database.options_as(&role)).await, NotMeasured, "row-level security");
    }
    // A check with a setup may well be about what a role sees.
    let sees = check("scalar", "setup = 'SELECT 1'\nsql = 'SELECT count(*) FROM t'\nequals = 0");
    sees.database.run(&format!("CREATE TABLE t (id int); INSERT INTO t VALUES (1); ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT SELECT ON t TO {}", role.name));
    expect(&sees.one_as(&sees.database.options_as(&role)).await, Holds, "0");
}

#[tokio::test]
async fn a_check_gives_up_soon_behind_a_lock_and_after_its_limit() {
    let world = check("no_rows", "sql = 'SELECT * FROM t'");
    world.database.run("CREATE TABLE t (id int)");
    let _other = world.database.hold("LOCK TABLE t");
    let limits = Limits { lock: Duration::from_millis(50), ..Limits::default() };
    let start = Instant::now();
    let result = world.verify(&VerifyRequest { limits, ..VerifyRequest::default() }).await.remove(0);
    expect(&result, NotMeasured, "55P03");
    assert!(start.elapsed() < Duration::from_secs(10));
    let slow = check("no_rows", "sql = 'SELECT pg_sleep(60)'\ntimeout = '30ms'");
    expect(&slow.one().await, NotMeasured, "57014");
}

#[tokio::test]
async fn a_check_that_ends_the_connection_does_not_end_the_others() {
    let world = World::with_checks(
        "[[check]]\nname = \"a\"\nkind = \"no_rows\"\nsql = 'SELECT pg_terminate_backend(pg_backend_pid())'\n
         [[check]]\nname = \"b\"\nkind = \"no_rows\"\nsql = 'SELECT 1 WHERE false'",
    );
    let results = world.verify(&VerifyRequest::default()).await;
    expect(named(&results, "a"), NotMeasured, "lost");
    expect(named(&results, "b"), Holds, "no rows");
    assert!(!succeeded(&results));
}

#[tokio::test]
async fn checks_keep_the_search_path_of_the_role() {
    let role = testkit::role("");
    let world = check("scalar", "sql = 'SELECT current_schema() || count(*) FROM t'\nequals = 'app0'");
    world.database.run(&format!(
        "CREATE SCHEMA app; CREATE TABLE app.t (); GRANT USAGE ON SCHEMA app TO {0}; GRANT SELECT ON app.t TO {0};
         ALTER ROLE {0} IN DATABASE {1} SET search_path = app",
        role.name,
        world.database.name()
    ));
    expect(&world.one_as(&world.database.options_as(&role)).await, Holds, "app0");
}

const STAGES: &str = "
[[migrations]]
path = \"migrations\"
[[stage]]
id = \"a\"
uses = [\"t\", \"view v\"]
[[stage.migration]]
version = \"1\"
[[stage]]
id = \"b\"
[[stage.migration]]
version = \"2\"
[[stage.migration]]
version = \"3\"
deferred = true
[[check]]
name = \"of a\"
kind = \"scalar\"
stage = \"a\"
sql = \"SELECT 1\"
equals = 1
[[check]]
name = \"of b\"
kind = \"scalar\"
stage = \"b\"
sql = \"SELECT 1\"
equals = 1
[[check]]
name = \"of 3\"
kind = \"scalar\"
stage = \"b\"
requires = [\"3\"]
sql = \"SELECT 1\"
equals = 2
[[check]]
name = \"before 2\"
kind = \"no_rows\"
when = \"before\"
before = \"2\"
sql = \"SELECT 'dangling' AS row\"
";

fn staged() -> World {
    World::new(&[
        ("cutover.toml", STAGES),
        ("migrations/V1__t.sql", "CREATE TABLE t (id int);"),
        ("migrations/V2__v.sql", "CREATE VIEW v AS SELECT 1;"),
        ("migrations/V3__u.sql", "CREATE TABLE u (id int);"),
    ])
}

fn names(results: &[crate::run::CheckResult]) -> Vec<&str> {
    results.iter().map(|result| result.name.as_str()).collect()
}

#[tokio::test]
async fn stages_not_reached_are_not_listed_and_what_waits_is_skipped() {
    let mut world = staged();
    assert!(world.verify(&VerifyRequest::default()).await.is_empty());
    world.apply(&["1"]).await;
    let results = world.verify(&VerifyRequest::default()).await;
    assert_eq!(names(&results), ["of a", "stage a finds what it uses"]);
    expect(&results[1], False, "missing: view v");
    assert_eq!(results[1].stage.as_deref(), Some("a"));
    world.apply(&["2"]).await;
    let results = world.verify(&VerifyRequest::default()).await;
    assert_eq!(names(&results), ["of a", "of b", "of 3", "stage a finds what it uses"]);
    expect(&results[3], Holds, "2 of 2");
    expect(&results[2], Skipped, "V3__u.sql is deferred");
    assert!(succeeded(&results), "what is skipped fails no run");
    world.apply(&["3"]).await;
    expect(named(&world.verify(&VerifyRequest::default()).await, "of 3"), False, "1");
    let only = VerifyRequest { stage: Some(0), ..VerifyRequest::default() };
    assert_eq!(names(&world.verify(&only).await), ["of a", "stage a finds what it uses"]);
}

#[tokio::test]
async fn checks_are_chosen_by_name_and_kind_and_mistakes_are_named() {
    let world = staged();
    let options = world.database.options();
    let named = VerifyRequest { names: vec!["of b".into()], ..VerifyRequest::default() };
    assert_eq!(names(&world.verify(&named).await), ["of b"]);
    let kind = VerifyRequest { kinds: vec!["uses".into()], stage: Some(1), ..VerifyRequest::default() };
    assert_eq!(names(&world.verify(&kind).await), ["stage a finds what it uses"]);
    let wrong = VerifyRequest { names: vec!["of bb".into()], ..VerifyRequest::default() };
    let error = world.try_verify(&options, &wrong).await.unwrap_err();
    assert!(error.to_string().contains("did you mean \"of b\"?"), "{error}");
    let wrong = VerifyRequest { kinds: vec!["scalars".into()], ..VerifyRequest::default() };
    assert!(matches!(world.try_verify(&options, &wrong).await, Err(VerifyError::UnknownKind { .. })));
    // A kind beside names, and a kind of which there is none, or none now: nothing is left out in silence.
    let ask = async |names: &[&str], kinds: &[&str]| {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let request = VerifyRequest { names: own(names), kinds: own(kinds), ..VerifyRequest::default() };
        world.try_verify(&options, &request).await
    };
    assert_eq!(names(&ask(&["of b"], &["no_rows", "scalar"]).await.unwrap()), ["of b"]);
    for (names, kinds, said) in [
        (
            &["of b"][..],
            &["no_rows"][..],
            "check \"of b\" is of kind scalar, and only no_rows is asked for\n  hint: ",
        ),
        (&[], &["scalar", "columns"], "no check is of kind columns\n  hint: there are: "),
        (&[], &["columns"], "of b (scalar)"),
    ] {
        let error = ask(names, kinds).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_kind_of_which_nothing_is_measured_now_says_why() {
    let check = |name: &str, kind: &str, keys: &str| {
        format!("[[check]]\nname = \"{name}\"\nkind = \"{kind}\"\n{keys}\n")
    };
    let checks = check("first", "no_rows", "sql = 'SELECT 1'\nbefore = '1'")
        + &check("bare", "empty", "tables = ['t']");
    let world = World::with_checks(&checks);
    world.database.run("CREATE TABLE t ()");
    let options = world.database.options();
    let ask = async |kind: &str, fresh: bool| {
        let request = VerifyRequest { kinds: vec![kind.to_owned()], fresh, ..VerifyRequest::default() };
        world.try_verify(&options, &request).await
    };
    let precondition = ask("no_rows", false).await.unwrap_err().to_string();
    assert!(precondition.contains("each check of kind no_rows is a precondition"), "{precondition}");
    let bare = ask("empty", false).await.unwrap_err().to_string();
    assert!(
        bare.contains("(--fresh), or by their names\n  hint: there are: first (no_rows), bare (empty)"),
        "{bare}"
    );
    assert_eq!(names(&ask("empty", true).await.unwrap()), ["bare"]);
}

#[tokio::test]
async fn preconditions_are_measured_before_their_migration_and_only_then() {
    let world = staged();
    let project = world.project();
    let mut session = Session::connect(&world.database.options(), &Startup::default()).await.unwrap();
    let id = |version: u64| MigrationId {
        root: "migrations".into(),
        version: Version::new(vec![version], version.to_string()),
    };
    assert!(preconditions(&project, &mut session, &world.history, &id(1)).await.unwrap().is_empty());
    let results = preconditions(&project, &mut session, &world.history, &id(2)).await.unwrap();
    expect(&results[0], False, "1 row: row = dangling");
    assert_eq!(results[0].migration, Some(id(2)));
    // The session is free for the migration itself.
    session.execute("BEGIN").await.unwrap();
    let request = VerifyRequest { before: Some(id(2)), ..VerifyRequest::default() };
    assert_eq!(names(&world.verify(&request).await), ["before 2"]);
}
