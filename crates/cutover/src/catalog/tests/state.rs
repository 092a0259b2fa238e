//! Whether anything has moved.

use super::session;
use crate::catalog::introspect::schema;
use crate::catalog::state::state;

/// Something of most kinds.
const MADE: &str = "
CREATE SCHEMA app; CREATE TABLE app.a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b text, c int DEFAULT 7 CHECK (c > 0));
CREATE TABLE a (n int, m text); CREATE INDEX a_m ON a (lower(m)); ALTER TABLE a ADD late int DEFAULT 3;
CREATE UNIQUE INDEX a_n ON a (n); CREATE TABLE b (n int REFERENCES a (n));
INSERT INTO a SELECT i, repeat('x', 100) FROM generate_series(1, 1000) AS i;
CREATE TABLE p (n int) PARTITION BY RANGE (n); CREATE INDEX ON p (n);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE VIEW v AS SELECT * FROM a; CREATE MATERIALIZED VIEW mv AS SELECT n FROM a; CREATE UNIQUE INDEX ON mv (n);
CREATE SEQUENCE s; CREATE TYPE e AS ENUM ('x'); CREATE TYPE k AS (a int, b text); CREATE DOMAIN d AS int CHECK (VALUE > 0);
CREATE FUNCTION f(int) RETURNS bool LANGUAGE sql AS 'SELECT true'; CREATE AGGREGATE g (int) (sfunc = int4pl, stype = int);
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION t(); CREATE RULE r AS ON DELETE TO b DO INSTEAD NOTHING;
CREATE POLICY pol ON a USING (true); CREATE STATISTICS st ON n, m FROM a; CREATE PUBLICATION pub FOR TABLE a;
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER srv FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE ft (n int) SERVER srv;
CREATE USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (password 'x');
CREATE TEXT SEARCH CONFIGURATION ts (COPY = simple); CREATE COLLATION c (locale = 'C');
CREATE OPERATOR <<< (LEFTARG = int, RIGHTARG = int, FUNCTION = int4lt); CREATE CAST (text AS e) WITH INOUT;
COMMENT ON TABLE a IS 'a'; COMMENT ON COLUMN a.n IS 'n'; COMMENT ON CONSTRAINT b_n_fkey ON b IS 'k';";

#[tokio::test]
async fn what_moves_by_itself_is_no_move() {
    let database = testkit::database();
    database.run(MADE);
    let mut session = session(&database).await;
    let before = state(&mut session).await.unwrap();
    let objects = [
        "table a",
        "table app.a",
        "view v",
        "schema app",
        "schema public",
        "function f(integer)",
        "foreign table ft",
    ];
    for object in objects {
        assert!(before.contains_key(object), "{object}: {before:#?}");
    }
    let noise = [
        "INSERT INTO a SELECT i FROM generate_series(1001, 3000) AS i; SELECT nextval('s'); SELECT lo_create(0)",
        "ANALYZE",
        "VACUUM (FREEZE, ANALYZE)",
        "VACUUM FULL a",
        "CLUSTER a USING a_n; ALTER TABLE a SET WITHOUT CLUSTER",
        "REINDEX TABLE CONCURRENTLY a",
        "REINDEX TABLE b",
        "TRUNCATE b",
        "REFRESH MATERIALIZED VIEW mv",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY mv",
        "CREATE TEMP TABLE tt (n serial PRIMARY KEY, m text); CREATE TYPE pg_temp.te AS ENUM ('a'); COMMENT ON TABLE tt IS 'x'",
        "CREATE SCHEMA cutover; CREATE TABLE cutover.m (n int PRIMARY KEY CHECK (n > 0), t text DEFAULT 'x'); \
         COMMENT ON SCHEMA cutover IS 'ours'; COMMENT ON COLUMN cutover.m.n IS 'n'; CREATE INDEX ON cutover.m (t); \
         CREATE VIEW cutover.v AS SELECT 1; CREATE FUNCTION cutover.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ];
    for sql in noise {
        for statement in sql.split("; ") {
            session.execute(statement).await.unwrap();
        }
        let after = state(&mut session).await.unwrap();
        let moved: Vec<_> =
            after.iter().filter(|(name, digest)| before.get(*name) != Some(*digest)).collect();
        assert!(moved.is_empty() && after.len() == before.len(), "{sql}: {moved:?}");
    }
}

/// From 15.20 on the server keeps a number of its own among the options of a column. It is planted here,
/// so that each server has it.
#[tokio::test]
async fn what_the_server_keeps_among_the_options_of_columns_is_nobodys() {
    let database = testkit::database();
    database.run(MADE);
    database.run("ALTER TABLE a ALTER n SET (n_distinct = 5)");
    let mut session = session(&database).await;
    let number = |number: u32| {
        format!(
            "UPDATE pg_attribute SET attoptions = array_remove(attoptions, (SELECT o FROM unnest(attoptions) o WHERE o LIKE 'pg\\_attver=%'))
                                                   || 'pg_attver={number}'::text
              WHERE attnum > 0 AND attrelid IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'c') AND oid >= 16384)"
        )
    };
    let mut seen = Vec::new();
    for planted in [1, 2] {
        session.execute(&number(planted)).await.unwrap();
        seen.push((state(&mut session).await.unwrap(), schema(&mut session, &[]).await.unwrap()));
    }
    assert_eq!(seen[0].0, seen[1].0);
    assert_eq!(seen[0].1, seen[1].1);
    let text = serde_json::to_string(&seen[0].1).unwrap();
    assert!(text.contains("n_distinct=5") && !text.contains("attver"), "{text}");
    // What people set is seen as ever.
    let other =
        "UPDATE pg_attribute SET attoptions = array_replace(attoptions, 'n_distinct=5', 'n_distinct=6')
                  WHERE attrelid = 'a'::regclass AND attname = 'n'";
    session.execute(other).await.unwrap();
    assert_ne!(state(&mut session).await.unwrap()["table a"], seen[0].0["table a"]);
}

/// Each alone, with the object that is said to have moved.
#[tokio::test]
async fn whatever_else_is_done_is_a_move() {
    // Goes after the database: it comes to own something there.
    let role = testkit::role("");
    let database = testkit::database();
    let name = &role.name;
    database.run(MADE);
    let mut session = session(&database).await;
    let moves = [
        ("GRANT SELECT ON a TO ROLE", "table a"),
        ("GRANT UPDATE (n) ON a TO ROLE", "table a"),
        ("GRANT USAGE ON SCHEMA app TO ROLE", "schema app"),
        ("GRANT CREATE ON SCHEMA public TO ROLE", "schema public"),
        ("GRANT EXECUTE ON FUNCTION f(int) TO ROLE", "function f(integer)"),
        (
            "GRANT EXECUTE ON FUNCTION pg_catalog.pg_current_logfile() TO ROLE",
            "privileges on the system's own objects",
        ),
        ("GRANT SELECT ON v TO ROLE", "view v"),
        ("GRANT USAGE ON SEQUENCE s TO ROLE", "sequence s"),
        ("GRANT USAGE ON TYPE e TO ROLE", "type e"),
        ("ALTER TABLE a OWNER TO ROLE", "table a"),
        ("ALTER FUNCTION f(int) OWNER TO ROLE", "function f(integer)"),
        ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ROLE", "default privileges for role "),
        ("ALTER DATABASE DATABASE SET search_path = app", "a setting of all roles in this database"),
        ("ALTER ROLE ROLE IN DATABASE DATABASE SET work_mem = '1MB'", "a setting of role "),
        ("GRANT CREATE ON DATABASE DATABASE TO ROLE", "the database itself"),
        ("CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION etf()", "event trigger et"),
        ("CREATE CAST (text AS k) WITH INOUT", "cast (pg_catalog.text AS public.k)"),
        ("CREATE OPERATOR >>> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4gt)", "operator >>>"),
        (
            "CREATE OPERATOR CLASS oc FOR TYPE int USING btree AS OPERATOR 1 <, FUNCTION 1 btint4cmp(int, int)",
            "operator class oc",
        ),
        ("CREATE COLLATION c2 (locale = 'C')", "collation c2"),
        ("CREATE SERVER srv2 FOREIGN DATA WRAPPER w", "server srv2"),
        ("ALTER SERVER srv OPTIONS (host 'x')", "server srv"),
        ("ALTER FOREIGN TABLE ft OPTIONS (x 'y')", "foreign table ft"),
        ("CREATE USER MAPPING FOR ROLE SERVER srv", "user mapping role"),
        ("ALTER TEXT SEARCH CONFIGURATION ts DROP MAPPING FOR word", "text search configuration ts"),
        ("CREATE ACCESS METHOD am TYPE INDEX HANDLER bthandler", "access method am"),
        ("CREATE LANGUAGE la HANDLER plpgsql_call_handler", "language la"),
        ("COMMENT ON TABLE a IS 'other'", "table a"),
        ("COMMENT ON COLUMN a.n IS 'other'", "table a"),
        ("COMMENT ON INDEX a_m IS 'other'", "table a"),
        ("COMMENT ON CONSTRAINT b_n_fkey ON b IS 'other'", "table constraint b_n_fkey on b"),
        ("COMMENT ON SCHEMA public IS 'other'", "schema public"),
        ("COMMENT ON DATABASE DATABASE IS 'other'", "the database itself"),
        ("ALTER TABLE a DISABLE TRIGGER t", "table a"),
        ("ALTER TABLE b DISABLE RULE r", "table b"),
        ("ALTER INDEX a_m SET (fillfactor = 50)", "table a"),
        ("ALTER TABLE app.a DROP COLUMN b, ADD b text", "table app.a"),
        ("ALTER TYPE e ADD VALUE 'y'", "type e"),
        ("ALTER TYPE k ADD ATTRIBUTE c int", "type k"),
        ("ALTER DOMAIN d ADD CHECK (VALUE < 9)", "type d"),
        ("ALTER PUBLICATION pub ADD TABLE b", "publication pub"),
        ("ALTER STATISTICS st OWNER TO ROLE", "statistics object st"),
        ("ALTER SEQUENCE s INCREMENT 2", "sequence s"),
        ("DROP AGGREGATE g (int)", "aggregate g(integer)"),
    ];
    database.run("CREATE FUNCTION etf() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'");
    let mut before = state(&mut session).await.unwrap();
    let mut missed = Vec::new();
    let own = database.value("SELECT quote_ident(current_database())");
    for (sql, object) in moves {
        let sql = sql
            .replace(" ROLE ROLE ", &format!(" ROLE {name} "))
            .replace("DATABASE DATABASE", &format!("DATABASE {own}"));
        let sql = sql.strip_suffix("ROLE").map(|head| format!("{head}{name}")).unwrap_or(sql);
        let sql = sql.replace(" FOR ROLE SERVER", &format!(" FOR {name} SERVER"));
        session.execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let after = state(&mut session).await.unwrap();
        let changed = after.iter().filter(|(name, digest)| before.get(*name) != Some(*digest));
        let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
        let told: Vec<String> = changed.chain(gone).map(|(name, _)| name.clone()).collect();
        if !told.iter().any(|told| told.starts_with(object)) {
            missed.push(format!("{sql}: {told:?}"));
        }
        before = after;
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
