//! What a digest tells apart, and what not.

use super::hostile;
use crate::catalog::{CatalogError, TableDigest, digest, digests};
use testkit::Database;

async fn of(database: &Database, table: &str) -> TableDigest {
    digest(&database.options(), table).await.unwrap()
}

#[tokio::test]
async fn null_the_empty_string_and_delimiters_are_told_apart() {
    let database = testkit::database();
    database.run(
        "CREATE TABLE empty_text AS SELECT ''::text AS a, 'x'::text AS b;
         CREATE TABLE null_text AS SELECT NULL::text AS a, 'x'::text AS b;
         CREATE TABLE left_bar AS SELECT 'a|b'::text AS a, 'c'::text AS b;
         CREATE TABLE right_bar AS SELECT 'a'::text AS a, 'b|c'::text AS b;",
    );
    assert_ne!(of(&database, "empty_text").await, of(&database, "null_text").await);
    assert_ne!(of(&database, "left_bar").await, of(&database, "right_bar").await);
}

#[tokio::test]
async fn order_does_not_count_and_duplicates_do() {
    let database = testkit::database();
    database.run(
        "CREATE TABLE up AS SELECT n, n::text AS t FROM generate_series(1, 100) n ORDER BY n;
         CREATE TABLE down AS SELECT n, n::text AS t FROM generate_series(1, 100) n ORDER BY n DESC;
         CREATE TABLE twice AS SELECT * FROM up UNION ALL SELECT * FROM up;
         CREATE TABLE pair_a (n int); INSERT INTO pair_a VALUES (1), (1);
         CREATE TABLE pair_b (n int); INSERT INTO pair_b VALUES (2), (2);",
    );
    let up = of(&database, "up").await;
    assert_eq!(up, of(&database, "down").await);
    assert_eq!(up.rows, 100);
    let twice = of(&database, "twice").await;
    assert_eq!(twice.rows, 200);
    assert_ne!(twice.digest, up.digest);
    assert_ne!(of(&database, "pair_a").await.digest, of(&database, "pair_b").await.digest);
}

#[tokio::test]
async fn values_count_as_stored_whatever_the_settings_of_the_role() {
    let database = testkit::database();
    database.run(
        "CREATE TABLE one AS SELECT 1.0::numeric AS n, '{\"a\": 1}'::json AS j, now() AS at, 0.1::float8 AS f;
         CREATE TABLE other AS SELECT 1.00::numeric AS n, j, at, f FROM one;",
    );
    let before = of(&database, "one").await;
    assert_ne!(before, of(&database, "other").await);
    let name = database.name();
    database.run(&format!(
        "ALTER DATABASE {name} SET TimeZone = 'Asia/Tokyo'; ALTER DATABASE {name} SET DateStyle = 'German';
         ALTER DATABASE {name} SET extra_float_digits = -5; ALTER DATABASE {name} SET row_security = on"
    ));
    assert_eq!(before, of(&database, "one").await);
}

#[tokio::test]
async fn types_without_a_lasting_binary_form_are_read_as_text() {
    let database = testkit::database();
    let make = "CREATE TYPE mood AS ENUM ('ok', 'bad'); CREATE TYPE pair AS (a int, b mood); CREATE DOMAIN pairs AS pair[];
         CREATE TABLE t AS SELECT ARRAY['ok'::mood] AS m, (1, 'bad')::pair AS p, ARRAY[(1, 'ok')::pair]::pairs AS d,
           'pg_class'::regclass AS r, '{}'::aclitem[] AS acl, 'x'::tsvector AS v;";
    database.run(make);
    let other = testkit::database();
    // Other object ids, same content.
    other.run(&format!("CREATE TYPE first AS ENUM ('x'); {make}"));
    assert_eq!(of(&database, "t").await, of(&other, "t").await);
}

#[tokio::test]
async fn dropped_columns_are_left_out_and_generated_ones_count() {
    let database = testkit::database();
    database.run(
        "CREATE TABLE with_dropped (a int, gone text, b int GENERATED ALWAYS AS (a * 2) STORED);
         INSERT INTO with_dropped (a, gone) VALUES (1, 'x'); ALTER TABLE with_dropped DROP COLUMN gone;
         CREATE TABLE plain AS SELECT 1 AS a, 2 AS b;
         CREATE TABLE swapped AS SELECT 2 AS b, 1 AS a;
         CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES;",
    );
    assert_eq!(of(&database, "with_dropped").await, of(&database, "plain").await);
    assert_ne!(of(&database, "swapped").await, of(&database, "plain").await);
    assert_eq!(of(&database, "no_columns").await.rows, 1);
}

#[tokio::test]
async fn empty_tables_views_and_hostile_names() {
    let database = testkit::database();
    let name = hostile();
    database.run(&format!(
        "CREATE SCHEMA {name}; CREATE TABLE {name}.{name} ({name} text); CREATE VIEW v AS SELECT * FROM {name}.{name};
         CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE SEQUENCE s;"
    ));
    let table = format!("{name}.{name}");
    assert_eq!(of(&database, &table).await, TableDigest { rows: 0, digest: "0".repeat(32) });
    database.run(&format!("INSERT INTO {table} VALUES (E'\\n')"));
    assert_eq!(of(&database, &table).await, of(&database, "v").await);
    assert_eq!(of(&database, "m").await.rows, 1);
    let missing = digest(&database.options(), "missing").await.unwrap_err();
    assert!(matches!(missing, CatalogError::NoSuchTable(_)), "{missing}");
    let sequence = digest(&database.options(), "s").await.unwrap_err();
    assert!(matches!(sequence, CatalogError::NotATable(..)), "{sequence}");
}

#[tokio::test]
async fn partitions_count_once_whatever_the_order_of_their_columns() {
    let database = testkit::database();
    database.run(
        "CREATE TABLE whole (a int, b text); INSERT INTO whole SELECT n, n::text FROM generate_series(1, 300) n;
         CREATE TABLE parts (a int, b text) PARTITION BY RANGE (a);
         CREATE TABLE low (b text, a int); ALTER TABLE parts ATTACH PARTITION low FOR VALUES FROM (0) TO (100);
         CREATE TABLE mid PARTITION OF parts FOR VALUES FROM (100) TO (200) PARTITION BY LIST (b);
         CREATE TABLE mid_default PARTITION OF mid DEFAULT;
         CREATE TABLE rest PARTITION OF parts DEFAULT;
         INSERT INTO parts SELECT * FROM whole;
         CREATE TABLE heir (c int) INHERITS (whole); INSERT INTO heir VALUES (301, 'x', 7);",
    );
    assert_eq!(of(&database, "parts").await.rows, 300);
    let whole = of(&database, "whole").await;
    assert_eq!(whole.rows, 301);
    database.run("INSERT INTO parts VALUES (301, 'x')");
    assert_eq!(of(&database, "parts").await, whole);
}

#[tokio::test]
async fn rows_hidden_by_a_policy_are_an_error_and_never_a_smaller_count() {
    let database = testkit::database();
    let role = testkit::role("");
    database.run(&format!(
        "CREATE TABLE tenants (id int, who text); INSERT INTO tenants VALUES (1, 'a'), (2, 'b');
         ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON tenants USING (who = 'a'); GRANT SELECT ON tenants TO {0};
         CREATE TABLE parts (id int) PARTITION BY LIST (id); CREATE TABLE part PARTITION OF parts DEFAULT;
         INSERT INTO parts VALUES (1), (2); ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
         CREATE POLICY own ON parts USING (id = 1); GRANT SELECT ON parts, part TO {0};
         CREATE TABLE open (id int) PARTITION BY LIST (id); CREATE TABLE closed PARTITION OF open DEFAULT;
         INSERT INTO open VALUES (1), (2); GRANT SELECT ON open TO {0};
         CREATE TABLE secret (id int);",
        role.name
    ));
    let options = database.options_as(&role);
    for table in ["tenants", "parts", "secret"] {
        let error = digest(&options, table).await.unwrap_err();
        assert_eq!(error.code(), Some("42501"), "{table}: {error}");
    }
    // The right to read the parent is enough, as it is for a query.
    assert_eq!(digest(&options, "open").await.unwrap(), of(&database, "open").await);
}

#[tokio::test]
async fn many_rows_on_two_connections_in_one_snapshot() {
    let database = testkit::database();
    database.run(
        "CREATE TABLE big (id int, filler text);
         INSERT INTO big SELECT n, repeat(n::text, 20) FROM generate_series(1, 200000) n; ANALYZE big;
         CREATE VIEW same AS SELECT * FROM big;",
    );
    let blocks: i64 = database.value("SELECT pg_relation_size('big') / 8192").parse().unwrap();
    assert!(blocks > 2048, "the table must be large enough for ranges, not {blocks} blocks");
    let before = resident();
    let found = digests(&database.options(), &["big".to_owned(), "same".to_owned()]).await.unwrap();
    let grown = resident().saturating_sub(before);
    assert_eq!(found[0].rows, 200_000);
    // Read by ranges on two connections and as a whole on one: the same.
    assert_eq!(found[0], found[1]);
    assert!(grown < 20 << 10, "memory grew by {grown} KiB");
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
