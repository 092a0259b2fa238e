//! What was done between two moments, by the names of objects.

use cutover_analysis::diff::{Steps, steps};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::Id;

use super::session;
use crate::catalog::schema;

/// What a change comes to, after a base of one object of each kind.
async fn change(sql: &str) -> Steps {
    let database = testkit::database();
    database.run(
        "CREATE TABLE t (id serial PRIMARY KEY, a int); CREATE VIEW v AS SELECT a FROM t; CREATE TYPE mood AS ENUM ('ok');
         CREATE DOMAIN small AS int CHECK (VALUE < 10); CREATE SEQUENCE s; CREATE INDEX i ON t (a);
         CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'select $1'; CREATE MATERIALIZED VIEW m AS SELECT 1 AS x;
         CREATE STATISTICS st ON id, a FROM t; CREATE PUBLICATION p FOR TABLE t; CREATE SCHEMA other;
         CREATE TYPE pair AS (a int); CREATE TABLE f (n int, o int NOT NULL);
         CREATE TABLE e (n int, o int GENERATED ALWAYS AS IDENTITY) PARTITION BY LIST (n);",
    );
    let mut session = session(&database).await;
    let before = schema(&mut session, &[]).await.unwrap();
    database.run(sql);
    let after = schema(&mut session, &[]).await.unwrap();
    steps(&before, &after)
}

/// The names of those that came along with something else, or of the others.
fn names(list: &[(Id, bool)], along: bool) -> String {
    let of_kind = list.iter().filter(|(_, implied)| *implied == along);
    of_kind.map(|(object, _)| object.to_string()).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn nothing_done_is_no_change_and_our_own_schema_does_not_count() {
    assert_eq!(
        change(
            "CREATE SCHEMA cutover; CREATE TABLE cutover.migration (id int); INSERT INTO t (a) VALUES (1)"
        )
        .await,
        Steps::default()
    );
}

#[tokio::test]
async fn created_objects_are_named_and_what_comes_along_is_marked() {
    let change = change("CREATE TABLE u (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int CHECK (n > 0)); CREATE INDEX ON u (n)").await;
    assert_eq!(
        names(&change.created, false),
        "table u, column u.id, column u.n, constraint u.u_n_check, constraint u.u_pkey, index u_n_idx"
    );
    assert_eq!(names(&change.created, true), "index u_pkey, sequence u_id_seq");
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
        ("ALTER TABLE t ALTER a SET DEFAULT 1", "column t.a"),
        ("ALTER INDEX t_pkey SET (fillfactor = 50)", "index t_pkey"),
        ("COMMENT ON COLUMN v.a IS 'x'", "view v"),
        ("ALTER VIEW v ALTER a SET DEFAULT 1", "view v"),
        ("COMMENT ON COLUMN pair.a IS 'x'", "type pair"),
        ("ALTER TABLE e ATTACH PARTITION f FOR VALUES IN (1)", "table f"),
        ("ALTER TABLE e ALTER o SET INCREMENT 5", "sequence e_o_seq"),
        ("ALTER SEQUENCE t_id_seq INCREMENT 5", "sequence t_id_seq"),
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
         CREATE TYPE two AS (a int, b int); CREATE TYPE span AS RANGE (subtype = int);",
    )
    .await;
    assert_eq!(names(&found.dropped, false), "index i, view v");
    assert_eq!(
        names(&found.created, false),
        "table other.t, column other.t.id, type span, type two, function f(text), policy t.pol, rule t.r"
    );
}

/// Who owns what and who may do what is done to nothing that has a name.
#[tokio::test]
async fn privileges_are_no_step() {
    let role = testkit::role("");
    let sql = "GRANT SELECT (a) ON t TO PUBLIC; GRANT SELECT (a) ON v TO PUBLIC; GRANT ALL ON SCHEMA other TO PUBLIC;
        ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC; REVOKE ALL ON FUNCTION f(int) FROM PUBLIC";
    assert_eq!(change(&format!("{sql}; ALTER TABLE t OWNER TO {}", role.name)).await, Steps::default());
}

/// What is within another object has a name of its own, also one that PostgreSQL did not choose.
#[tokio::test]
async fn what_is_within_another_object_is_known_by_its_name() {
    let renamed = "ALTER SEQUENCE e_o_seq RENAME TO \"Odd \"\".one\"; ALTER INDEX t_pkey RENAME TO key";
    let found = change(renamed).await;
    assert_eq!(names(&found.created, true), "index key, sequence \"Odd \"\".one\"");
    assert_eq!(names(&found.dropped, true), "index t_pkey, sequence e_o_seq");
    let found = change("ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey UNIQUE (id, a)").await;
    let altered: Vec<String> = found.altered.iter().map(ToString::to_string).collect();
    let along: Vec<String> = found.along.iter().map(ToString::to_string).collect();
    assert_eq!((altered, along), (vec!["constraint t.t_pkey".to_owned()], vec!["index t_pkey".to_owned()]));
}

/// It is the same index before and after, with another meaning.
#[tokio::test]
async fn an_index_that_becomes_that_of_a_constraint_is_neither_new_nor_changed() {
    let database = testkit::database();
    database.run("CREATE TABLE t (a int NOT NULL); CREATE UNIQUE INDEX k ON t (a)");
    let mut session = session(&database).await;
    let before = schema(&mut session, &[]).await.unwrap();
    database.run("ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX k");
    let found = steps(&before, &schema(&mut session, &[]).await.unwrap());
    let made = Id::part(ObjectKind::Constraint, "public", "t", "k");
    assert_eq!(found, Steps { created: vec![(made, false)], ..Steps::default() });
}
