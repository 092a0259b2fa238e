//! Object sets before and after a change.

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::graph::is_of_the_server;

use super::session;
use crate::catalog::{Change, objects};

/// What a change comes to, after a base of one object of each kind.
async fn change(sql: &str) -> Change {
    let database = testkit::database();
    database.run(
        "CREATE TABLE t (id serial PRIMARY KEY, a int); CREATE VIEW v AS SELECT a FROM t; CREATE TYPE mood AS ENUM ('ok');
         CREATE DOMAIN small AS int CHECK (VALUE < 10); CREATE SEQUENCE s; CREATE INDEX i ON t (a);
         CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'select $1'; CREATE MATERIALIZED VIEW m AS SELECT 1 AS x;
         CREATE STATISTICS st ON id, a FROM t; CREATE PUBLICATION p FOR TABLE t; CREATE SCHEMA other;",
    );
    let mut session = session(&database).await;
    let before = objects(&mut session, &[]).await.unwrap();
    database.run(sql);
    let after = objects(&mut session, &[]).await.unwrap();
    before.change(&after)
}

#[tokio::test]
async fn nothing_done_is_no_change_and_our_own_schema_does_not_count() {
    assert_eq!(
        change(
            "CREATE SCHEMA cutover; CREATE TABLE cutover.migration (id int); INSERT INTO t (a) VALUES (1)"
        )
        .await,
        Change::default()
    );
}

#[tokio::test]
async fn created_objects_are_named_and_what_comes_along_is_marked() {
    let change = change("CREATE TABLE u (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int CHECK (n > 0)); CREATE INDEX ON u (n)").await;
    let own: Vec<String> =
        change.created.iter().filter(|(_, implied)| !implied).map(|(object, _)| object.to_string()).collect();
    assert_eq!(own, ["table u", "constraint u.u_n_check", "constraint u.u_pkey", "index u_n_idx"]);
    let implied: Vec<String> =
        change.created.iter().filter(|(_, implied)| *implied).map(|(object, _)| object.to_string()).collect();
    assert_eq!(implied, ["column u.id", "column u.n", "index u_pkey", "sequence u_id_seq"]);
    assert!(change.altered.is_empty() && change.dropped.is_empty());
}

#[tokio::test]
async fn one_planted_change_of_each_kind_is_found() {
    let cases = [
        ("ALTER TABLE t ALTER a SET NOT NULL", "column t.a"),
        ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "table t"),
        ("CREATE OR REPLACE VIEW v AS SELECT a, 1 AS b FROM t", "view v"),
        ("ALTER TYPE mood ADD VALUE 'bad'", "type mood"),
        ("ALTER DOMAIN small SET DEFAULT 3", "domain small"),
        ("ALTER SEQUENCE s INCREMENT 7", "sequence s"),
        ("ALTER INDEX i SET (fillfactor = 50)", "index i"),
        ("CREATE OR REPLACE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'select 2'", "function f(integer)"),
        ("COMMENT ON MATERIALIZED VIEW m IS 'x'", "materialized view m"),
        ("ALTER PUBLICATION p DROP TABLE t", "publication p"),
        ("COMMENT ON SCHEMA other IS 'x'", "schema other"),
    ];
    for (sql, expected) in cases {
        let change = change(sql).await;
        let altered: Vec<String> = change.altered.iter().map(ToString::to_string).collect();
        assert_eq!(altered, [expected], "{sql}");
        assert!(change.created.is_empty() && change.dropped.is_empty(), "{sql}: {change:?}");
    }
}

#[tokio::test]
async fn dropped_objects_and_new_ones_of_other_kinds_are_found() {
    let found = change(
        "DROP VIEW v; DROP INDEX i; CREATE FUNCTION f(text) RETURNS int LANGUAGE sql AS 'select 1';
         CREATE TABLE other.t (id int); CREATE POLICY pol ON t USING (true); CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING;
         CREATE TYPE pair AS (a int, b int); CREATE TYPE span AS RANGE (subtype = int);",
    )
    .await;
    let names = |objects: Vec<String>| objects.join(", ");
    assert_eq!(names(found.dropped.iter().map(ToString::to_string).collect()), "index i, view v");
    let own = found.created.iter().filter(|(_, implied)| !implied).map(|(object, _)| object.to_string());
    assert_eq!(
        names(own.collect()),
        "table other.t, type pair, type span, function f(text), policy t.pol, rule t.r"
    );
}

#[tokio::test]
async fn every_catalogue_of_the_server_is_known_as_its_own() {
    let database = testkit::database();
    let names = database.value(
        "SELECT string_agg(relname, ' ') FROM pg_class
          WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')",
    );
    let is_known = |name: &&str| is_of_the_server(&ObjectRef::new(ObjectKind::Relation, None, *name));
    let unknown: Vec<&str> = names.split_whitespace().filter(|name| !is_known(name)).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}
