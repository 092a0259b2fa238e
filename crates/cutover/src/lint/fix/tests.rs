//! Mended files come to the same in a database, nothing is left of what was mended, and what is left says why.

use cutover_analysis::diff::changes;
use cutover_analysis::schema::Schema;
use cutover_postgres::session::{Session, Startup};

use super::*;
use crate::catalog;
use crate::migrate::migrate;

const NOW: u64 = 20_261_128_030_000;

type Files = Vec<(String, String)>;

fn files(list: &[(&str, &str)]) -> Files {
    list.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn project(files: &Files) -> Project {
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect();
    Project::embedded("x", &files).unwrap()
}

/// What is mended where every file is pending, and the files by then.
fn mend(before: &Files) -> (Mended, Files) {
    let project = project(before);
    let pending = (0..project.migrations.len()).collect();
    let mended = mended(&project, &Which::Each, &pending, None, NOW);
    let mut after = before.clone();
    for changed in &mended.files {
        match after.iter_mut().find(|(path, _)| *path == changed.path) {
            Some((_, text)) => {
                assert_eq!(changed.before.as_ref(), Some(&*text));
                text.clone_from(&changed.after);
            }
            None => after.push((changed.path.clone(), changed.after.clone())),
        }
    }
    (mended, after)
}

/// Texts of the files that became others.
fn texts(mended: &Mended) -> Vec<(&str, &str)> {
    mended.files.iter().map(|file| (file.path.as_str(), file.after.as_str())).collect()
}

fn server() -> u32 {
    testkit::database().value("SHOW server_version_num").parse().unwrap()
}

async fn applied(files: &Files, rows: &str) -> (testkit::Database, Schema) {
    let database = testkit::database();
    database.run(rows);
    migrate(&project(files), &database.url()).await.unwrap_or_else(|error| panic!("{files:#?}: {error}"));
    let mut session = Session::connect(&database.options(), &Startup::default()).await.unwrap();
    let schema = catalog::schema(&mut session, &[]).await.unwrap();
    (database, schema)
}

/// The mended files: they parse, what was mended is found no more, mending them again changes nothing, and they make what the
/// files made but for what is named in `other`.
async fn comes_to_the_same(before: &Files, other: &[&str]) -> Mended {
    let (mended, after) = mend(before);
    assert!(!mended.fixed.is_empty(), "{mended:#?}");
    let found = crate::lint::look(&project(&after), &Which::Each, None);
    assert!(found.broken.is_empty(), "{after:#?}: {:?}", found.broken);
    for fixed in &mended.fixed {
        let again = found.findings.iter().find(|finding| finding.code == fixed.code);
        let is_left = mended.left.iter().any(|left| left.code == fixed.code);
        assert!(again.is_none() || is_left, "{after:#?}: {again:?}");
    }
    let blocking: Vec<String> = crate::lint::look(&project(before), &Which::Each, None)
        .findings
        .iter()
        .map(|finding| finding.code.clone())
        .collect();
    let new = found.findings.iter().find(|finding| !blocking.contains(&finding.code));
    assert!(new.is_none(), "{after:#?}: {new:?}");
    let (again, _) = mend(&after);
    assert_eq!(texts(&again), [("", ""); 0], "{after:#?}");
    let ((_one, was), (_two, is)) = (applied(before, "").await, applied(&after, "").await);
    let changed: Vec<String> = changes(&was, &is)
        .iter()
        .map(|change| format!("{change:?}"))
        .filter(|text| !other.iter().any(|word| text.contains(word)))
        .collect();
    assert!(changed.is_empty(), "{after:#?}: {changed:#?}");
    mended
}

const TABLES: (&str, &str) = (
    "0001_tables.sql",
    "CREATE TABLE customers (id bigint PRIMARY KEY);\n\
     CREATE TABLE orders (id bigint NOT NULL, customer_id bigint, number text NOT NULL, total int, note text);\n\
     CREATE INDEX orders_total ON orders (total);\nINSERT INTO customers SELECT generate_series(1, 9);\n\
     INSERT INTO orders SELECT n, n, n, n, n FROM generate_series(1, 9) n;\n",
);

#[tokio::test]
async fn an_index_gets_a_file_of_its_own_where_the_next_number_is_free() {
    let before = files(&[
        TABLES,
        (
            "0002_more.sql",
            "-- What is new\r\nALTER TABLE orders ADD COLUMN at date; -- when\r\n\r\n-- to find them\r\nCREATE INDEX /* plain */ IF NOT EXISTS by_number ON orders (number); -- quick\r\n\r\nCOMMENT ON TABLE orders IS 'é';\r\n",
        ),
    ]);
    let mended = comes_to_the_same(&before, &[]).await;
    assert_eq!(
        texts(&mended),
        [
            ("0002_more.sql", "-- What is new\r\nALTER TABLE orders ADD COLUMN at date; -- when\r\n"),
            (
                "0003_more_2.sql",
                "-- to find them\r\nCREATE INDEX CONCURRENTLY /* plain */ IF NOT EXISTS by_number ON orders (number); -- quick\r\n"
            ),
            ("0004_more_3.sql", "COMMENT ON TABLE orders IS 'é';\r\n"),
        ]
    );
}

#[tokio::test]
async fn an_index_stays_in_its_file_where_other_files_come_behind_it() {
    let before = files(&[
        TABLES,
        (
            "0002_more.sql",
            "\u{feff}CREATE UNIQUE INDEX ON orders (number);DROP INDEX orders_total;\nREINDEX (VERBOSE) TABLE orders\n",
        ),
        ("0003_last.sql", "SELECT 1;"),
    ]);
    let mended = comes_to_the_same(&before, &[]).await;
    let text = "\u{feff}CREATE UNIQUE INDEX CONCURRENTLY orders_number_idx ON orders (number);DROP INDEX CONCURRENTLY orders_total;\nREINDEX (VERBOSE) TABLE CONCURRENTLY orders\n";
    assert_eq!(texts(&mended), [("0002_more.sql", text)]);
    assert_eq!(mended.fixed.len(), 3);
}

#[tokio::test]
async fn indexes_are_dropped_one_by_one() {
    let indexes = "CREATE SCHEMA app;\nCREATE TABLE app.t (n int, m int);\nCREATE INDEX i ON app.t (n);\nCREATE INDEX \"J\" ON app.t (m);\n";
    let before = files(&[
        ("0001_a.sql", indexes),
        ("0002_b.sql", "DROP INDEX IF EXISTS app.i ,\n  app.\"J\", app.k;"),
        ("0003_c.sql", "SELECT 1;"),
    ]);
    let mended = comes_to_the_same(&before, &[]).await;
    let text = "DROP INDEX CONCURRENTLY IF EXISTS app.i;\nDROP INDEX CONCURRENTLY IF EXISTS app.\"J\";\nDROP INDEX CONCURRENTLY IF EXISTS app.k;";
    assert_eq!(texts(&mended), [("0002_b.sql", text)]);
}

#[tokio::test]
async fn alterations_of_one_table_are_one_statement() {
    let sql = "  ALTER TABLE orders ADD COLUMN a uuid;\n  ALTER TABLE public.orders ALTER a SET DEFAULT md5('')::uuid;\n\n  ALTER TABLE orders ADD COLUMN b int; ALTER TABLE orders ADD CONSTRAINT c CHECK (b > 0) NOT VALID;\n-- another\nALTER TABLE orders ADD COLUMN d int;\n";
    let before = files(&[TABLES, ("0002_more.sql", sql)]);
    let mended = comes_to_the_same(&before, &[]).await;
    let text = "  ALTER TABLE orders ADD COLUMN a uuid,\n      ALTER a SET DEFAULT md5('')::uuid,\n      ADD COLUMN b int, ADD CONSTRAINT c CHECK (b > 0) NOT VALID;\n-- another\nALTER TABLE orders ADD COLUMN d int;\n";
    assert_eq!(texts(&mended), [("0002_more.sql", text)]);
    assert_eq!(mended.left.len(), 1, "{mended:#?}");
}

/// Actions on a table, of which some may not be done in another order than others.
const ACTIONS: [&str; 32] = [
    "ADD COLUMN x int",
    "ADD COLUMN IF NOT EXISTS x int",
    "ADD COLUMN x int NOT NULL DEFAULT 3",
    "ADD COLUMN y int CONSTRAINT c CHECK (y > 0)",
    "ADD COLUMN y int CHECK (y > a)",
    "ADD COLUMN z int GENERATED ALWAYS AS (a + 1) STORED",
    "ADD COLUMN a text",
    "DROP COLUMN a",
    "DROP COLUMN IF EXISTS x",
    "DROP COLUMN b CASCADE",
    "ALTER a SET DEFAULT 1",
    "ALTER a SET DEFAULT 2",
    "ALTER a DROP DEFAULT",
    "ALTER x SET DEFAULT 9",
    "ALTER a SET NOT NULL",
    "ALTER a DROP NOT NULL",
    "ALTER a TYPE text",
    "ALTER a TYPE bigint",
    "ALTER b TYPE bigint USING a + 1",
    "ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
    "ADD CONSTRAINT d CHECK (b <> a) NOT VALID",
    "ADD CHECK (a < 100) NOT VALID",
    "ADD CHECK (b < 100) NOT VALID",
    "DROP CONSTRAINT c",
    "DROP CONSTRAINT IF EXISTS c",
    "DROP CONSTRAINT IF EXISTS there",
    "ADD CONSTRAINT there CHECK (a <> 7) NOT VALID",
    "ADD CONSTRAINT k UNIQUE (a)",
    "ENABLE ROW LEVEL SECURITY",
    "DISABLE ROW LEVEL SECURITY",
    "SET UNLOGGED",
    "SET LOGGED",
];

/// Whatever two stand one behind the other: where they can be done they are done as before.
#[tokio::test]
async fn alterations_that_are_joined_come_to_the_same() {
    let database = testkit::database();
    let table = |at: usize| {
        format!(
            "CREATE TABLE t{at} (id int, a int DEFAULT 5, b int, CONSTRAINT there CHECK (b < 1000));\nINSERT INTO t{at} VALUES (1, 2, 3);\n"
        )
    };
    database.run(
        "CREATE FUNCTION can(sql text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN EXECUTE sql; RETURN true; EXCEPTION WHEN others THEN RETURN false; END $$",
    );
    let (mut tables, mut sql) = (String::new(), String::new());
    let mut count = 0;
    for one in ACTIONS {
        for other in ACTIONS {
            let both = |at: usize| {
                let [one, other] = [one, other].map(|sql| sql.replace(" k ", &format!(" k{at} ")));
                format!("ALTER TABLE t{at} {one};\nALTER TABLE t{at} {other};\n")
            };
            let tried = format!("{}{}DROP TABLE t0;", table(0), both(0)).replace('\'', "''");
            if database.value(&format!("SELECT can('{tried}')")) == "t" {
                count += 1;
                tables += &table(count);
                sql += "-- cutover: new-transaction\n";
                sql += &both(count);
            }
        }
    }
    assert!(count > 300, "{count}");
    let before = files(&[("0001_tables.sql", &tables), ("0002_more.sql", &sql)]);
    let mended = comes_to_the_same(&before, &[]).await;
    let joined = mended.fixed.iter().filter(|fixed| fixed.code == "several-alters-of-one-table").count();
    assert!(joined > 150, "{joined}");
}

#[tokio::test]
async fn what_was_added_is_validated_in_another_transaction() {
    let sql = "ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) NOT VALID;\n  ALTER TABLE orders VALIDATE CONSTRAINT c;\n";
    let before = files(&[TABLES, ("0002_more.sql", sql)]);
    let mended = comes_to_the_same(&before, &[]).await;
    let text = "ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) NOT VALID;\n  -- cutover: new-transaction\n  ALTER TABLE orders VALIDATE CONSTRAINT c;\n";
    assert_eq!(texts(&mended), [("0002_more.sql", text)]);
}

#[tokio::test]
async fn constraints_are_validated_in_another_transaction() {
    let sql = "ALTER TABLE orders\n  ADD FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE, -- theirs\n  ADD CONSTRAINT \"Positive\" CHECK (total > (0)) NO INHERIT;\n  ALTER TABLE ONLY orders ADD CHECK (total < 100 AND total <> 50)";
    let before = files(&[TABLES, ("0002_keys.sql", sql), ("0003_last.sql", "SELECT 1;")]);
    let mended = comes_to_the_same(&before, &[]).await;
    assert_eq!(
        texts(&mended),
        [(
            "0002_keys.sql",
            "ALTER TABLE orders\n  ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE NOT VALID, -- theirs\n  ADD CONSTRAINT \"Positive\" CHECK (total > (0)) NO INHERIT NOT VALID;\n-- cutover: new-transaction\nALTER TABLE orders VALIDATE CONSTRAINT \"Positive\";\n-- cutover: new-transaction\nALTER TABLE orders VALIDATE CONSTRAINT orders_customer_id_fkey;\n  ALTER TABLE ONLY orders ADD CONSTRAINT orders_total_check CHECK (total < 100 AND total <> 50) NOT VALID;\n  -- cutover: new-transaction\n  ALTER TABLE ONLY orders VALIDATE CONSTRAINT orders_total_check;"
        )]
    );
}

#[tokio::test]
async fn not_null_is_proven_by_a_check_that_goes_again() {
    let before = files(&[
        TABLES,
        (
            "0002_there.sql",
            "-- all have them\nALTER TABLE orders ALTER total SET NOT NULL, ALTER COLUMN \"note\" SET NOT NULL; SELECT 1;\n",
        ),
    ]);
    let mended = comes_to_the_same(&before, &[]).await;
    assert_eq!(
        texts(&mended),
        [(
            "0002_there.sql",
            "-- all have them\nALTER TABLE orders ADD CONSTRAINT total_not_null_check CHECK (total IS NOT NULL) NOT VALID, ADD CONSTRAINT note_not_null_check CHECK (note IS NOT NULL) NOT VALID;\n-- cutover: new-transaction\nALTER TABLE orders VALIDATE CONSTRAINT total_not_null_check;\n-- cutover: new-transaction\nALTER TABLE orders VALIDATE CONSTRAINT note_not_null_check;\n-- cutover: new-transaction\nALTER TABLE orders ALTER total SET NOT NULL, ALTER COLUMN \"note\" SET NOT NULL;\nALTER TABLE orders DROP CONSTRAINT total_not_null_check, DROP CONSTRAINT note_not_null_check; SELECT 1;\n"
        )]
    );
}

#[tokio::test]
async fn keys_are_made_of_indexes_that_were_built_beside_writers() {
    let before = files(&[
        TABLES,
        ("0002_key.sql", "ALTER TABLE orders ADD PRIMARY KEY (id, number) INCLUDE (total);\n"),
        (
            "0003_key.sql",
            "ALTER TABLE orders ADD CONSTRAINT \"One\" UNIQUE (number) DEFERRABLE INITIALLY DEFERRED;\n",
        ),
    ]);
    let mended = comes_to_the_same(&before, &[]).await;
    assert_eq!(
        texts(&mended),
        [
            (
                "0002_key.sql",
                "CREATE UNIQUE INDEX CONCURRENTLY orders_pkey ON orders (id, number) INCLUDE (total);\nALTER TABLE orders ADD PRIMARY KEY USING INDEX orders_pkey;\n"
            ),
            ("0003_key.sql", "CREATE UNIQUE INDEX CONCURRENTLY \"One\" ON orders (number);\n"),
            (
                "0004_key_2.sql",
                "ALTER TABLE orders ADD CONSTRAINT \"One\" UNIQUE USING INDEX \"One\" DEFERRABLE INITIALLY DEFERRED;\n"
            ),
        ]
    );
}

/// Where nothing separates the words, and where a table may be missing, and what is said twice.
#[tokio::test]
async fn what_is_put_in_is_words_of_its_own() {
    let before = files(&[
        TABLES,
        ("0002_key.sql", "ALTER TABLE orders ADD PRIMARY KEY(id,number)INCLUDE(total)DEFERRABLE;\n"),
        ("0003_key.sql", "ALTER TABLE orders ADD CONSTRAINT u UNIQUE(number);\n"),
        (
            "0004_key.sql",
            "ALTER TABLE orders ADD UNIQUE(id); ALTER TABLE orders ADD CONSTRAINT w UNIQUE(id);",
        ),
        (
            "0005_check.sql",
            "ALTER TABLE IF EXISTS ONLY orders ADD CHECK(total>0);\nALTER TABLE IF EXISTS orders ALTER total SET NOT NULL, ALTER total SET NOT NULL, ALTER note SET NOT NULL;",
        ),
        ("0006_index.sql", "CREATE INDEX\"Q\"ON orders(note);DROP INDEX\"Q\";"),
    ]);
    let mended = comes_to_the_same(&before, &[]).await;
    let all: String = mended.files.iter().map(|file| file.after.as_str()).collect();
    for part in [
        "PRIMARY KEY USING INDEX orders_pkey DEFERRABLE;",
        "ADD CONSTRAINT u UNIQUE USING INDEX u;",
        "ALTER TABLE IF EXISTS ONLY orders VALIDATE CONSTRAINT orders_total_check;",
        "ALTER TABLE IF EXISTS orders DROP CONSTRAINT total_not_null_check, DROP CONSTRAINT note_not_null_check;",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
}

/// The second one would have another name.
#[tokio::test]
async fn of_two_equal_keys_without_a_name_one_is_left() {
    let sql = "ALTER TABLE orders ADD UNIQUE (id);\nALTER TABLE orders ADD UNIQUE (id);\n";
    let mended =
        comes_to_the_same(&files(&[TABLES, ("0002_key.sql", sql), ("0003_last.sql", "SELECT 1;")]), &[])
            .await;
    assert!(mended.left.iter().any(|left| left.why.contains("orders_id_key is taken")), "{:?}", mended.left);
}

/// A CHECK that says what the partition held stays with it, as PostgreSQL's documentation says.
#[tokio::test]
async fn partitions_are_detached_beside_readers() {
    if server() < 140_000 {
        return;
    }
    let before = files(&[
        (
            "0001_a.sql",
            "CREATE TABLE events (at int) PARTITION BY RANGE (at);\nCREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);",
        ),
        ("0002_b.sql", "ALTER TABLE events DETACH PARTITION events_1;"),
    ]);
    let mended = comes_to_the_same(&before, &["events_1_at_check"]).await;
    assert_eq!(
        texts(&mended),
        [("0002_b.sql", "ALTER TABLE events DETACH PARTITION events_1 CONCURRENTLY;")]
    );
}

#[tokio::test]
async fn views_are_refreshed_beside_readers_where_they_have_a_key() {
    let views = "CREATE MATERIALIZED VIEW sums AS SELECT 1 AS n;\nCREATE UNIQUE INDEX ON sums (n);\nCREATE MATERIALIZED VIEW plain AS SELECT 1 AS n;\n";
    let before = files(&[
        ("0001_a.sql", views),
        (
            "0002_b.sql",
            "SET lock_timeout = '1s';\nREFRESH MATERIALIZED VIEW sums;\nREFRESH MATERIALIZED VIEW plain;",
        ),
    ]);
    let mended = comes_to_the_same(&before, &[]).await;
    let text = "SET lock_timeout = '1s';\nREFRESH MATERIALIZED VIEW CONCURRENTLY sums;\nREFRESH MATERIALIZED VIEW plain;";
    assert_eq!(texts(&mended), [("0002_b.sql", text)]);
    assert_eq!((mended.left.len(), mended.left[0].line), (1, 3));
}

/// What changes is what was wrong.
#[tokio::test]
async fn functions_and_views_are_pinned() {
    if server() < 150_000 {
        return;
    }
    let before = files(&[
        (
            "0001_a.sql",
            "CREATE TABLE docs (id int, owner text);\nALTER TABLE docs ENABLE ROW LEVEL SECURITY;\nCREATE VIEW safe WITH (security_invoker = true, security_barrier) AS SELECT 1 AS n;\n",
        ),
        (
            "0002_b.sql",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*)::int FROM docs';\nCREATE VIEW v (a) AS SELECT id FROM docs;\nCREATE OR REPLACE VIEW public.safe AS SELECT 2 AS n;\n",
        ),
    ]);
    let mended = comes_to_the_same(&before, &["security_invoker", "search_path"]).await;
    let text = "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS 'SELECT count(*)::int FROM docs';\nCREATE VIEW v (a) WITH (security_invoker = true) AS SELECT id FROM docs;\nCREATE OR REPLACE VIEW public.safe WITH (security_barrier = true, security_invoker = true) AS SELECT 2 AS n;\n";
    assert_eq!(texts(&mended), [("0002_b.sql", text)]);
}

/// Why something is not mended, by code.
fn why(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let (mended, _) = mend(&files(list));
    assert_eq!(texts(&mended), [("", ""); 0]);
    mended.left.into_iter().map(|left| (left.code, left.why)).collect()
}

#[test]
fn what_is_not_mended_says_why() {
    let one = |sql: &str| {
        let said = why(&[("0001_a.sql", "CREATE TABLE a (n int);"), ("0002_b.sql", sql)]);
        assert_eq!(said.len(), 1, "{sql}: {said:?}");
        said[0].1.clone()
    };
    for (sql, word) in [
        ("DO $$ BEGIN CREATE INDEX ON a (n); END $$;", "DO block"),
        ("CREATE INDEX ON a (n); SELEKT;", "can be read"),
        (
            "CREATE MATERIALIZED VIEW v AS SELECT 1 AS n WITH NO DATA; CREATE UNIQUE INDEX ON v (n);\n-- cutover: x\nALTER TABLE a ADD CONSTRAINT c CHECK (n > 0);",
            "`cutover: x`",
        ),
        ("ALTER TABLE a ADD CHECK (a IS NOT NULL);", "has no name"),
        ("BEGIN; CREATE INDEX ON a (n); COMMIT;", "line 1 begins a transaction"),
        ("SET search_path = b; CREATE INDEX ON public.a (n);", "sets something that holds"),
        ("CREATE TEMP TABLE t AS SELECT 1; CREATE INDEX ON a (n);", "something temporary"),
        ("LOCK TABLE a; CREATE INDEX ON a (n);", "line 1 locks"),
        ("CREATE INDEX ON unknown (n);", "give it one"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT n FROM elsewhere';",
            "which schema elsewhere",
        ),
        ("DROP INDEX i, /* not k */ j;", "one index a statement"),
        ("REINDEX SYSTEM x;", "catalogues"),
        ("ALTER TABLE unknown ADD CHECK (n > 0);", "has no name"),
        ("ALTER TABLE a ADD COLUMN m int CHECK (m > 0) DEFAULT 1;", "stands with a new column"),
        ("ALTER TABLE a ALTER n SET NOT NULL, ADD COLUMN m int;", "does other things too"),
        ("ALTER TABLE IF EXISTS a ADD UNIQUE (n);", "may be missing"),
        (
            "ALTER TABLE a DROP CONSTRAINT u; SELECT 1; ALTER TABLE a ADD CONSTRAINT u UNIQUE (n);",
            "takes u away",
        ),
        (
            "ALTER TABLE a DROP CONSTRAINT u; SELECT 1; ALTER TABLE a ADD CONSTRAINT w UNIQUE (n);",
            "takes u away",
        ),
        ("DROP INDEX CONCURRENTLY IF EXISTS i; CREATE UNIQUE INDEX i ON a (n);", "takes i away"),
        (
            "DROP TRIGGER t ON a; CREATE INDEX i ON a (n); CREATE TRIGGER t AFTER UPDATE ON a EXECUTE FUNCTION f();",
            "takes t away",
        ),
        (
            "INSERT INTO a VALUES (1); INSERT INTO b SELECT now(); CREATE INDEX i ON a (n); UPDATE b SET t = now() WHERE true;",
            "lines 1 and 1",
        ),
        ("ALTER TABLE a ADD UNIQUE (n) WITH (fillfactor = 50);", "options of its own"),
        ("-- cutover: no-transaction\nALTER TABLE a ADD CONSTRAINT c CHECK (n > 0);", "no-transaction"),
    ] {
        let said = one(sql);
        assert!(said.contains(word), "{sql}: {said}");
    }
}

#[test]
fn files_of_other_tools_are_divided_where_their_convention_lets_them() {
    let table = ("V1__a.sql", "CREATE TABLE a (n int);");
    let key = "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0);\nSELECT 1;\n";
    let (mended, _) = mend(&files(&[table, ("V2__b.sql", key)]));
    assert_eq!(
        texts(&mended),
        [
            ("V2__b.sql", "ALTER TABLE a ADD CONSTRAINT c CHECK (n > 0) NOT VALID;\n"),
            ("V3__b_2.sql", "ALTER TABLE a VALIDATE CONSTRAINT c;\nSELECT 1;\n"),
        ]
    );
    let behind = why(&[table, ("V2__b.sql", key), ("V3__c.sql", "SELECT 1;")]);
    assert!(behind[0].1.contains("there are files behind it"), "{behind:?}");
    let pair = why(&[
        ("000001_a.up.sql", "CREATE TABLE a (n int);"),
        ("000001_a.down.sql", "DROP TABLE a;"),
        ("000002_b.up.sql", key),
        ("000002_b.down.sql", "ALTER TABLE a DROP CONSTRAINT c;"),
    ]);
    assert!(pair[0].1.contains("its way back"), "{pair:?}");
    // Alone in its file it needs no other.
    let (mended, _) = mend(&files(&[
        ("000001_a.up.sql", "CREATE TABLE a (n int);"),
        ("000001_a.down.sql", "DROP TABLE a;"),
        ("000002_b.up.sql", "CREATE INDEX i ON a (n);"),
        ("000002_b.down.sql", "DROP INDEX CONCURRENTLY i;"),
    ]));
    assert_eq!(texts(&mended), [("000002_b.up.sql", "CREATE INDEX CONCURRENTLY i ON a (n);")]);
    let (mended, _) = mend(&files(&[
        ("1_a.sql", "-- no-transaction\nCREATE TABLE a (n int);"),
        ("2_b.sql", "SELECT 1;\nCREATE INDEX i ON a (n);"),
    ]));
    assert_eq!(
        texts(&mended),
        [
            ("2_b.sql", "SELECT 1;\n"),
            ("3_b_2.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON a (n);")
        ]
    );
    let goose = "-- +goose Up\nCREATE INDEX i ON a (n);\n-- +goose Down\nSELECT 1;\n";
    let said = why(&[("00001_a.sql", "-- +goose Up\nCREATE TABLE a (n int);\n"), ("00002_b.sql", goose)]);
    assert!(said[0].1.contains("NO TRANSACTION"), "{said:?}");
}

/// What needs no other transaction is mended in any file.
#[test]
fn sections_are_mended_in_their_places() {
    let goose = "-- é\n\n-- +goose Up\nCREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';\n-- +goose Down\nDROP FUNCTION f;\n";
    let (mended, _) = mend(&files(&[("00001_a.sql", goose)]));
    let text = goose.replace(" AS ", " SET search_path = pg_catalog, public, pg_temp AS ");
    assert_eq!(texts(&mended), [("00001_a.sql", text.as_str())]);
}

#[test]
fn a_view_that_holds_nothing_is_refreshed_as_it_is() {
    let view = "CREATE MATERIALIZED VIEW v AS SELECT 1 AS n WITH NO DATA;\nCREATE UNIQUE INDEX ON v (n);";
    let said = why(&[("0001_a.sql", view), ("0002_b.sql", "REFRESH MATERIALIZED VIEW v;")]);
    assert!(said[0].1.contains("holds nothing yet"), "{said:?}");
}

#[tokio::test]
async fn a_last_statement_may_lack_its_end() {
    let before =
        files(&[TABLES, ("0002_b.sql", "ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) -- why;")]);
    let mended = comes_to_the_same(&before, &[]).await;
    let text = "ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) NOT VALID; -- why;\n-- cutover: new-transaction\nALTER TABLE orders VALIDATE CONSTRAINT c;";
    assert_eq!(texts(&mended), [("0002_b.sql", text)]);
}

#[test]
fn a_file_whose_lines_end_in_two_ways_stays_one() {
    let sql = "SELECT 1;\r\nCREATE INDEX i ON a (n);\n";
    let (mended, _) = mend(&files(&[("0001_a.sql", sql)]));
    assert_eq!(texts(&mended), [("0001_a.sql", "SELECT 1;\r\nCREATE INDEX CONCURRENTLY i ON a (n);\n")]);
    let (mended, _) = mend(&files(&[("0001_a.sql", "\u{feff}SELECT 1;\r\nCREATE INDEX i ON a (n);\r\n")]));
    assert_eq!(
        texts(&mended),
        [
            ("0001_a.sql", "\u{feff}SELECT 1;\r\n"),
            ("0002_a_2.sql", "CREATE INDEX CONCURRENTLY i ON a (n);\r\n")
        ]
    );
}

#[test]
fn a_file_that_is_not_pending_stays_as_it_is() {
    let before =
        files(&[("0001_a.sql", "CREATE INDEX i ON a (n);"), ("0002_b.sql", "CREATE INDEX j ON b (n);")]);
    let mended = mended(&project(&before), &Which::Each, &BTreeSet::from([1]), None, NOW);
    assert_eq!(texts(&mended), [("0002_b.sql", "CREATE INDEX CONCURRENTLY j ON b (n);")]);
}

#[test]
fn all_files_are_written_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let changed = |name: &str, before: Option<&str>, after: &str| Changed {
        path: name.to_owned(),
        file: at(name),
        before: before.map(str::to_owned),
        after: after.to_owned(),
    };
    let names = || {
        let entries = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    std::fs::write(at("a"), "one").unwrap();
    std::fs::write(at("there"), "theirs").unwrap();
    std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
    let refused = write(&[changed("a", Some("one"), "two"), changed("there", None, "mine")]);
    assert!(matches!(refused, Err(WriteError::Exists(_))), "{refused:?}");
    let refused = write(&[changed("new", None, "x"), changed("a", Some("other"), "two")]);
    assert!(matches!(refused, Err(WriteError::Changed(_))), "{refused:?}");
    assert_eq!(names(), ["a", "link", "there"]);
    assert_eq!(std::fs::read_to_string(at("a")).unwrap(), "one");
    write(&[changed("link", Some("one"), "two"), changed("new", None, "x")]).unwrap();
    assert_eq!(names(), ["a", "link", "new", "there"]);
    assert_eq!(std::fs::read_to_string(at("a")).unwrap(), "two");
    assert!(std::fs::symlink_metadata(at("link")).unwrap().is_symlink());
}

#[test]
fn what_would_be_changed_is_a_diff() {
    let before = files(&[("0001_a.sql", "SELECT 1;\nCREATE INDEX i ON a (n);\n")]);
    assert_eq!(
        diff(&mend(&before).0.files),
        "--- a/0001_a.sql\n+++ b/0001_a.sql\n@@ -1,2 +1 @@\n SELECT 1;\n-CREATE INDEX i ON a (n);\n--- /dev/null\n+++ b/0002_a_2.sql\n@@ -0,0 +1 @@\n+CREATE INDEX CONCURRENTLY i ON a (n);\n"
    );
}

/// Statements of which most can be mended, and some cannot.
const POOL: [&str; 12] = [
    "CREATE INDEX i ON orders (number)",
    "CREATE INDEX ON orders (note, total)",
    "DROP INDEX IF EXISTS orders_total, other.x",
    "ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0), ADD FOREIGN KEY (customer_id) REFERENCES customers",
    "ALTER TABLE ONLY orders ADD CHECK (note <> ';--')",
    "ALTER TABLE orders ALTER total SET NOT NULL, ALTER note SET NOT NULL",
    "ALTER TABLE orders ADD COLUMN a int",
    "ALTER TABLE orders ADD PRIMARY KEY (id)",
    "ALTER TABLE orders ADD CONSTRAINT d CHECK (id > 0) NOT VALID",
    "ALTER TABLE orders VALIDATE CONSTRAINT d",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS $$ SELECT 1; $$",
    "COMMENT ON TABLE orders IS 'é; -- \"'",
];

/// In whatever order they stand, and whether other files come behind.
#[tokio::test]
async fn all_together_come_to_the_same() {
    for seed in 0..4_usize {
        let mut left: Vec<&str> = POOL.iter().copied().filter(|sql| !sql.contains("VALIDATE")).collect();
        let mut sql = String::new();
        let mut state = seed.wrapping_mul(7_919) + 17;
        while !left.is_empty() {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) % (1 << 31);
            let next = left.remove((state >> 8) % left.len());
            sql += next;
            sql += BETWEEN[(state >> 4) % BETWEEN.len()];
            if next.contains("CONSTRAINT d") {
                sql += "ALTER TABLE orders VALIDATE CONSTRAINT d;\n";
            }
        }
        let mut list = vec![TABLES, ("0002_more.sql", sql.as_str())];
        list.extend((seed % 2 == 0).then_some(("0003_last.sql", "SELECT 1;")));
        comes_to_the_same(&files(&list), &["search_path"]).await;
    }
}

const BETWEEN: [&str; 6] =
    [";", ";\n", "; -- said of it\n", ";\r\n\r\n  -- said of the next\r\n  ", "; /* ; */ ", "\n;\t\n"];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 96, ..Default::default() })]

    /// Whatever stands together: it parses, nothing is left of what was mended, comments stay, and a second time changes nothing.
    #[test]
    fn mended_files_are_whole(list in proptest::collection::vec((0..POOL.len(), 0..BETWEEN.len()), 1..7), last in 0..2_usize) {
        let sql: String = list.iter().flat_map(|(sql, between)| [POOL[*sql], BETWEEN[*between]]).collect();
        let behind = if last == 0 { vec![] } else { vec![("0003_last.sql", "SELECT 1;")] };
        let before = files(&[&[TABLES, ("0002_more.sql", &sql)], &behind[..]].concat());
        let (mended, after) = mend(&before);
        let found = crate::lint::look(&project(&after), &Which::Each, None);
        assert!(found.broken.is_empty(), "{after:#?}: {:?}", found.broken);
        for fixed in &mended.fixed {
            // What takes thought may be found still.
            let has_fix = |finding: &Located| finding.mending.is_some();
            let again = found.findings.iter().any(|finding| finding.code == fixed.code && has_fix(finding));
            assert!(!again || mended.left.iter().any(|left| left.code == fixed.code), "{after:#?}: {mended:#?}");
        }
        let all = |files: &Files| files.iter().map(|(_, text)| text.as_str()).collect::<String>();
        for said in ["said of it", "said of the next", "/* ; */", "COMMENT ON TABLE orders IS 'é; -- \"'"] {
            assert_eq!(all(&before).matches(said).count(), all(&after).matches(said).count(), "{after:#?}");
        }
        let (again, _) = mend(&after);
        assert_eq!(texts(&again), [("", ""); 0], "{after:#?}");
    }
}
