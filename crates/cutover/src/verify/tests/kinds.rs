//! The kinds that need no scratch database: each once true, once false, once not measured.

use super::{World, expect, named};
use crate::run::Verdict::{False, Holds, NotMeasured, Skipped};
use crate::verify::{VerifyRequest, figures};

/// A check of a kind with these keys.
fn check(kind: &str, keys: &str) -> World {
    World::with_checks(&format!("[[check]]\nname = \"it\"\nkind = \"{kind}\"\n{keys}\n"))
}

#[tokio::test]
async fn no_rows() {
    let world = check("no_rows", "sql = 'SELECT id AS \"the id\", note FROM t WHERE id > 1 ORDER BY id'");
    let missing = world.one().await;
    expect(&missing, NotMeasured, "42P01");
    assert_eq!(missing.measured, "SELECT id AS \"the id\", note FROM t WHERE id > 1 ORDER BY id");
    world.database.run("CREATE TABLE t (id int, note text); INSERT INTO t VALUES (1, 'fine')");
    expect(&world.one().await, Holds, "no rows");
    world.database.run("INSERT INTO t SELECT n, CASE WHEN n > 2 THEN repeat(E'x\\n', 500) END FROM generate_series(2, 201) n");
    let wrong = world.one().await;
    expect(&wrong, False, "200 rows: the id = 2, note = NULL; the id = 3, note = x\\nx\\n");
    assert!(wrong.found.len() < 1000 && wrong.found.ends_with("; …"), "{}", wrong.found);
}

#[tokio::test]
async fn no_rows_from_files() {
    let world = World::with_checks(
        "[checks]\nsql = [\"checks/*.sql\"]\n[[check]]\nname = \"file\"\nkind = \"no_rows\"\nfile = \"one.sql\"",
    );
    world.write("one.sql", "-- about it\nSELECT 1 WHERE false;\n");
    world.write(
        "checks/all.sql",
        "-- cutover: name it's \"named\"\nSELECT 1 WHERE false;\nSELECT 2 AS two;\n",
    );
    let results = world.verify(&VerifyRequest::default()).await;
    expect(named(&results, "file"), Holds, "no rows");
    expect(named(&results, "it's \"named\""), Holds, "no rows");
    expect(named(&results, "checks/all.sql:3"), False, "1 row: two = 2");
}

#[tokio::test]
async fn a_query_cannot_write_and_nothing_is_left_behind() {
    let world = check("no_rows", "sql = 'INSERT INTO t VALUES (1) RETURNING id'");
    world.database.run("CREATE TABLE t (id int)");
    expect(&world.one().await, NotMeasured, "read-only transaction");
    let world = check(
        "scalar",
        "setup = 'INSERT INTO t VALUES (7); INSERT INTO t VALUES (8);'\nsql = 'SELECT sum(id) FROM t'\nequals = 15",
    );
    world.database.run("CREATE TABLE t (id int)");
    expect(&world.one().await, Holds, "15");
    assert_eq!(world.database.value("SELECT count(*) FROM t"), "0");
}

#[tokio::test]
async fn scalar() {
    for (equals, sql, verdict, found) in [
        ("equals = 3", "SELECT 3", Holds, "3"),
        ("equals = \"3\"", "SELECT 3::numeric", Holds, "3"),
        ("equals = 3", "SELECT 4", False, "4"),
        ("equals = true", "SELECT 1 = 1", Holds, "t"),
        ("equals = \"\"", "SELECT NULL::text", False, "NULL"),
        ("equals = \"NULL\"", "SELECT NULL::text", False, "NULL"),
        ("null = true", "SELECT NULL::text", Holds, "NULL"),
        ("null = true", "SELECT ''", False, ""),
        ("equals = 1", "SELECT 1 WHERE false", NotMeasured, "one row is expected, found no rows"),
        ("equals = 1", "SELECT 1, 2", NotMeasured, "one column is expected"),
        ("equals = 1", "SELECT 1/0", NotMeasured, "22012"),
        ("equals = 1", "SELEC 1", NotMeasured, "42601"),
        (
            "equals = 1\nsetup = \"SELECT 1; SELECT 1/0; SELECT 2\"",
            "SELECT 1",
            NotMeasured,
            "the setup failed: ERROR: division by zero (22012); at: SELECT 1/0",
        ),
    ] {
        let result = check("scalar", &format!("{equals}\nsql = \"{sql}\"")).one().await;
        expect(&result, verdict, found);
    }
}

#[tokio::test]
async fn columns() {
    for (keys, verdict, found) in [
        ("table = 't'\ncount = 2", Holds, "2 columns: id, the name"),
        ("table = 't'\ncount = 3", False, "2 columns: id, the name"),
        ("table = 't'\nnames = ['id', 'the name']", Holds, "2 columns: id, the name"),
        ("table = 't'\nnames = ['the name', 'id']", False, "2 columns: id, the name"),
        ("table = 't'\ncount = 3\nnames = ['id', 'the name']", False, "2 columns: id, the name"),
        ("table = 'none'\ncount = 0", Holds, "0 columns: "),
        ("table = 'missing'\ncount = 2", NotMeasured, "there is no table missing"),
    ] {
        let world = check("columns", keys);
        world.database.run("CREATE TABLE t (gone int, id int, \"the name\" text); ALTER TABLE t DROP gone; CREATE TABLE none ()");
        let result = world.one().await;
        expect(&result, verdict, found);
    }
}

#[tokio::test]
async fn fails() {
    const SETUP: &str = "setup = 'INSERT INTO p VALUES (1); INSERT INTO c VALUES (1);'";
    for (keys, verdict, found) in [
        ("sqlstate = '23505'\nsql = 'INSERT INTO p VALUES (1)'", Holds, "duplicate key"),
        ("sqlstate = ['23503', '23001']\nsql = 'DELETE FROM p'", Holds, "23503"),
        ("sqlstate = '23514'\nsql = 'INSERT INTO p VALUES (1)'", False, "23505"),
        ("sqlstate = '23505'\nsql = 'INSERT INTO p VALUES (2)'", False, "it was accepted: INSERT 0 1"),
        ("sqlstate = '23505'\nsql = 'SELECT pg_sleep(30)'\ntimeout = '20ms'", NotMeasured, "57014"),
        // Refused only when the transaction would end.
        ("sqlstate = '23503'\nsql = 'INSERT INTO late VALUES (5)'", Holds, "23503"),
    ] {
        let world = check("fails", &format!("{SETUP}\n{keys}"));
        world.database.run(
            "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p);
             CREATE TABLE late (p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        );
        expect(&world.one().await, verdict, found);
        assert_eq!(world.database.value("SELECT count(*) FROM p"), "0");
    }
    let broken = check("fails", "setup = 'INSERT INTO p VALUES (1)'\nsqlstate = '42P01'\nsql = 'SELECT 1'");
    expect(&broken.one().await, NotMeasured, "the setup failed");
}

#[tokio::test]
async fn foreign_keys() {
    let world = check("foreign_keys", "");
    expect(&world.one().await, Holds, "0 foreign keys");
    world.database.run(
        "CREATE TABLE \"p \"\"x\" (a int, \"b.c\" text, PRIMARY KEY (a, \"b.c\"));
         CREATE TABLE simple (a int, \"b c\" text, CONSTRAINT \"k;1\" FOREIGN KEY (a, \"b c\") REFERENCES \"p \"\"x\");
         CREATE TABLE full_match (a int, b text, CONSTRAINT k2 FOREIGN KEY (a, b) REFERENCES \"p \"\"x\" MATCH FULL);
         CREATE TABLE parts (a int PRIMARY KEY) PARTITION BY RANGE (a); CREATE TABLE part PARTITION OF parts DEFAULT;
         CREATE TABLE child (a int REFERENCES parts) PARTITION BY LIST (a); CREATE TABLE child_part PARTITION OF child DEFAULT;
         INSERT INTO \"p \"\"x\" VALUES (1, 'x'); INSERT INTO simple VALUES (1, 'x'), (NULL, 'y'), (2, NULL);
         INSERT INTO full_match VALUES (1, 'x'), (NULL, NULL); INSERT INTO parts VALUES (1); INSERT INTO child VALUES (1);",
    );
    expect(&world.one().await, Holds, "3 foreign keys, all validated, no orphans");
    // As a restore with triggers off leaves it: the catalogue says all is well.
    world.database.run(
        "SET session_replication_role = replica; INSERT INTO simple VALUES (9, 'z'); INSERT INTO full_match VALUES (NULL, 'x');
         INSERT INTO child VALUES (2), (3)",
    );
    let wrong = world.one().await;
    expect(&wrong, False, "public.simple.\"k;1\" has 1 orphan, with a = 9, b c = z");
    expect(&wrong, False, "public.full_match.k2 has 1 orphan, with a = NULL, b = x");
    expect(&wrong, False, "public.child.child_a_fkey has 2 orphans, with a = 2 / a = 3");
    world.database.run(
        "CREATE TABLE keys (api_key text PRIMARY KEY); CREATE TABLE uses (n int, api_key text REFERENCES keys);
         SET session_replication_role = replica;
         INSERT INTO uses SELECT n, 'sk' || n / 2 FROM generate_series(1, 10) n",
    );
    let wrong = world.one().await;
    expect(
        &wrong,
        False,
        "public.uses.uses_api_key_fkey has 10 orphans, with api_key = *** / api_key = *** / api_key = ***",
    );
    assert!(!wrong.found.contains("sk"), "{}", wrong.found);
    let world = check("foreign_keys", "tables = [\"t\"]");
    expect(&world.one().await, NotMeasured, "there is no t");
    world.database.run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (p int); ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p NOT VALID");
    expect(&world.one().await, False, "public.t.k is not validated");
}

#[tokio::test]
async fn explain() {
    const KEYS: &str = "sql = 'SELECT * FROM t WHERE a = 1 ORDER BY b LIMIT 5'\nindex = 'by_a_b'";
    let world = check("explain", KEYS);
    world.database.run("CREATE TABLE t (a int, b int, c int); INSERT INTO t VALUES (1, 2, 3)");
    expect(&world.one().await, False, "Sort");
    world.database.run("CREATE INDEX by_a ON t (a)");
    expect(&world.one().await, False, "Index Scan on by_a");
    world.database.run("CREATE INDEX by_a_b ON t (a, b)");
    expect(&world.one().await, Holds, "Index Scan on by_a_b");
    let sorted =
        check("explain", "sql = 'SELECT * FROM t WHERE a = 1 ORDER BY b'\nindex = 'by_a'\nno_sort = false");
    sorted.database.run("CREATE TABLE t (a int, b int); CREATE INDEX by_a ON t (a)");
    expect(&sorted.one().await, Holds, "Sort ← Index Scan on by_a");
    let never_run = check("explain", "sql = 'DELETE FROM t WHERE a = 1'\nindex = 'by_a'");
    never_run.database.run("CREATE TABLE t (a int); CREATE INDEX by_a ON t (a); INSERT INTO t VALUES (1)");
    never_run.one().await;
    assert_eq!(never_run.database.value("SELECT count(*) FROM t"), "1");
}

#[tokio::test]
async fn empty_only_when_fresh() {
    let world = check("empty", "tables = ['a', '\"b \"\"c\"']");
    assert!(
        world.verify(&VerifyRequest::default()).await.is_empty(),
        "data is no fault of a database in use"
    );
    let fresh = VerifyRequest { fresh: true, ..VerifyRequest::default() };
    expect(&world.verify(&fresh).await[0], NotMeasured, "there is no table a");
    world.database.run("CREATE TABLE a (); CREATE TABLE \"b \"\"c\" ()");
    expect(&world.verify(&fresh).await[0], Holds, "no rows");
    world.database.run("INSERT INTO \"b \"\"c\" DEFAULT VALUES");
    expect(&world.verify(&fresh).await[0], False, "rows in \"b \"\"c\"");
}

#[tokio::test]
async fn exists() {
    let world = check(
        "exists",
        "objects = ['t', 'index i', 'view other.v', 'constraint t.k', 'column t.id', 'function f']",
    );
    world.database.run("CREATE SCHEMA other; CREATE TABLE other.t (id int); CREATE INDEX i ON other.t (id)");
    // The search path does not lead to schema other.
    expect(
        &world.one().await,
        False,
        "missing: t, index i, view other.v, constraint t.k, column t.id, function f",
    );
    world.database.run(
        "CREATE TABLE t (id int, CONSTRAINT k CHECK (id > 0)); CREATE INDEX i ON t (id); CREATE VIEW other.v AS SELECT 1;
         CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'select 1'",
    );
    expect(&world.one().await, Holds, "6 of 6");
}

#[tokio::test]
async fn unchanged() {
    let world = check("unchanged", "tables = ['t', '\"late\"']");
    expect(&world.one().await, Skipped, "nothing to compare with");
    world.database.run("CREATE TABLE t (id int, note text); INSERT INTO t VALUES (1, NULL), (2, 'x')");
    let before = figures(&world.project(), &world.database.options()).await.unwrap();
    assert_eq!(before.len(), 1, "a table that is not there yet has no figures");
    assert_eq!((before[0].table.as_str(), before[0].rows), ("t", 2));
    let request = VerifyRequest { figures: before, ..VerifyRequest::default() };
    world.database.run("CREATE TABLE late ()");
    world.database.run("VACUUM FULL t");
    let results = world.verify(&request).await;
    expect(named(&results, "it: t"), Holds, "2 rows, digest ");
    expect(named(&results, "it: \"late\""), Skipped, "not there before");
    world.database.run("UPDATE t SET note = '' WHERE id = 1");
    let results = world.verify(&request).await;
    let wrong = named(&results, "it: t");
    expect(wrong, False, "2 rows, digest ");
    assert_ne!(wrong.expected, wrong.found);
}

#[tokio::test]
async fn scripts_that_verify_a_migration() {
    const NAME: &str = "verify/t.sql succeeds";
    let verify = |text: &str| {
        World::new(&[
            ("sqitch.plan", "%project=p\nt\n"),
            ("deploy/t.sql", "CREATE TABLE t ();"),
            ("verify/t.sql", text),
        ])
    };
    let ok = "-- Verify p:t\nBEGIN;\nSELECT 1 FROM t;\nINSERT INTO t DEFAULT VALUES;\nROLLBACK;\n";
    let mut world = verify(ok);
    let waiting = world.verify(&VerifyRequest::default()).await;
    expect(named(&waiting, NAME), Skipped, "t");
    world.apply(&["t"]).await;
    expect(named(&world.verify(&VerifyRequest::default()).await, NAME), Holds, "no error");
    assert_eq!(world.database.value("SELECT count(*) FROM t"), "0", "everything is rolled back");
    for (text, verdict, found) in [
        ("BEGIN;\nSELECT 1;\n\nSELECT nothing FROM t;\nROLLBACK;", False, "verify/t.sql:4: ERROR: column"),
        ("SELECT 1/count(*) FROM t;", False, "division by zero (22012)"),
        ("SET LOCAL statement_timeout = 1;\nSELECT pg_sleep(10);", NotMeasured, "57014"),
        ("-- nothing\n", NotMeasured, "no statements"),
    ] {
        world.write("verify/t.sql", text);
        expect(named(&world.verify(&VerifyRequest::default()).await, NAME), verdict, found);
    }
    for (text, why) in [
        ("\\set x 1\n", "verify/t.sql:1:1: \\set x 1: commands of psql"),
        ("SELECT 1;\nCOMMIT;\nSELECT 2;", "verify/t.sql:2:1: a check runs in a transaction of its own"),
    ] {
        world.write("verify/t.sql", text);
        let error = world.try_verify(&world.database.options(), &VerifyRequest::default()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// Reading the catalogue sets how values are printed, for itself alone: what is measured next is printed as the session does.
#[tokio::test]
async fn a_check_leaves_the_session_as_it_was() {
    let world = World::with_checks(
        "[[check]]\nname = \"there\"\nkind = \"exists\"\nobjects = [\"t\"]\n\
         [[check]]\nname = \"day\"\nkind = \"scalar\"\nsql = \"SELECT n::text FROM t\"\nequals = \"31.01.2020\"",
    );
    world.database.run("CREATE TABLE t (n date); INSERT INTO t VALUES ('2020-01-31')");
    let name = world.database.name();
    world.database.run(&format!("ALTER DATABASE {name} SET DateStyle = 'German'"));
    let results = world.verify(&VerifyRequest::default()).await;
    let names: Vec<&str> = results.iter().map(|result| result.name.as_str()).collect();
    assert_eq!(names, ["there", "day"]);
    expect(named(&results, "day"), Holds, "31.01.2020");
}
