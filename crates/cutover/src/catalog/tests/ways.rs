//! Pairs of schemas between which the order of statements matters, or some way is barred: each is made into the other and
//! back, in the transactions that are asked for.

use cutover_analysis::schema::Schema;

use super::careful::{Case, NOTHING, check};
use super::diff::read;

/// Two schemas.
struct Pair {
    name: &'static str,
    /// The first version that has all of it, as `server_version_num`.
    since: u32,
    one: &'static str,
    two: &'static str,
    /// Parts of what is not seen to on the way there, and back.
    left: [&'static [&'static str]; 2],
}

const PAIR: Pair = Pair { name: "", since: 0, one: "", two: "", left: [&[], &[]] };

const PARTED: &[&str] = &[
    "table t: how it is partitioned",
    "constraint t.t_pkey: it is for table t",
    "constraint t.t_b_key: it is",
    "index i: it is",
];

const PARTED_BACK: &[&str] = &["table t: how it is partitioned"];

const KEYS: &[&str] = &[
    "type e: its values, now",
    "column p.a: its type, now",
    "column p.b: its type, now",
    "column p1.a: its type, now",
    "column p1.b: its type, now",
];

const PAIRS: &[Pair] = &[
    Pair {
        name: "a function reads a new column",
        one: "CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'select a from t'",
        two: "CREATE TABLE t (b int); CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'select b from t'",
        ..PAIR
    },
    Pair {
        name: "a function reads a new column of an heir, and a new one a new attribute and value",
        one: "CREATE TABLE p (a int); CREATE TABLE t () INHERITS (p); CREATE TYPE c AS (a int); CREATE TYPE e AS ENUM ('x'); CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'select a from t'",
        two: "CREATE TABLE p (a int, b int); CREATE TABLE t () INHERITS (p); CREATE TYPE c AS (a int, b int); CREATE TYPE e AS ENUM ('x', 'y'); CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'select b from t'; \
              CREATE FUNCTION g(c) RETURNS int LANGUAGE sql AS 'select ($1::c).b'; CREATE FUNCTION h(e) RETURNS bool LANGUAGE sql AS $$select $1 = 'y'::e$$",
        left: [&[], &[]],
        ..PAIR
    },
    Pair {
        name: "a function reads a view that is made anew",
        one: "CREATE TABLE t (a int); CREATE VIEW v AS SELECT a FROM t; CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'select a from v'",
        two: "CREATE TABLE t (a bigint); CREATE VIEW v AS SELECT a FROM t; CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'select a::int from v'",
        ..PAIR
    },
    Pair {
        name: "functions that call each other, and themselves",
        two: "CREATE FUNCTION g(i int) RETURNS int LANGUAGE plpgsql AS 'begin return 1; end'; CREATE FUNCTION f(i int) RETURNS int LANGUAGE sql AS 'select g(i)'; \
              CREATE OR REPLACE FUNCTION g(i int) RETURNS int LANGUAGE sql AS 'select f(i)'; SET check_function_bodies = off; CREATE FUNCTION h(i int) RETURNS int LANGUAGE sql AS 'select h(i - 1)'; \
              CREATE TABLE t (a int); CREATE FUNCTION r() RETURNS SETOF int LANGUAGE sql AS 'select a from t'",
        ..PAIR
    },
    Pair {
        name: "a check, a default and a generated column call functions that read the table",
        two: "CREATE TABLE t (b int); CREATE FUNCTION ok(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'select count(*) = 0 from t where b = $1'; ALTER TABLE t ADD CHECK (ok(b)); \
              CREATE TABLE u (b int); CREATE FUNCTION next() RETURNS bigint LANGUAGE sql AS 'select count(*) from u'; ALTER TABLE u ALTER b SET DEFAULT next(); ALTER TABLE u ADD c bigint DEFAULT next()",
        ..PAIR
    },
    Pair {
        name: "a body whose names are found on another path, and one that says which",
        two: "CREATE SCHEMA app; SET search_path = app; CREATE TABLE t (a int); CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'select a from t'; \
              CREATE FUNCTION g() RETURNS SETOF int LANGUAGE sql SET search_path = app AS 'select a from t'; CREATE FUNCTION h() RETURNS int LANGUAGE plpgsql AS 'declare r t%rowtype; begin return 1; end'",
        ..PAIR
    },
    Pair {
        name: "a body with operators, casts and a view that calls it",
        two: "CREATE TYPE e AS ENUM ('x'); CREATE FUNCTION same(e, e) RETURNS bool LANGUAGE sql AS 'select $1::text = $2::text'; CREATE OPERATOR === (LEFTARG = e, RIGHTARG = e, FUNCTION = same); \
              CREATE FUNCTION num(e) RETURNS int LANGUAGE sql AS 'select 1'; CREATE CAST (e AS int) WITH FUNCTION num(e); \
              CREATE FUNCTION a(e) RETURNS bool LANGUAGE sql AS 'select $1 === $1'; CREATE FUNCTION b(e) RETURNS int LANGUAGE sql AS 'select $1::int'; \
              CREATE TABLE z (i int); CREATE FUNCTION c() RETURNS bigint LANGUAGE sql AS 'select count(*) from z'; CREATE MATERIALIZED VIEW m AS SELECT c() AS c",
        ..PAIR
    },
    Pair {
        name: "indexes and keys of partitions, and of partitions of these, that only have other names",
        one: "CREATE TABLE r (a int PRIMARY KEY); CREATE TABLE p (a int, b int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (b); CREATE TABLE p2 PARTITION OF p1 FOR VALUES FROM (0) TO (5); \
              CREATE INDEX i ON p (b); CREATE UNIQUE INDEX u ON p (a, b); ALTER TABLE p ADD CONSTRAINT k UNIQUE (a, b), ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES r",
        two: "CREATE TABLE r (a int PRIMARY KEY); CREATE TABLE p (a int, b int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (b); CREATE TABLE p2 PARTITION OF p1 FOR VALUES FROM (0) TO (5); \
              CREATE INDEX i ON p (b); CREATE UNIQUE INDEX u ON p (a, b); ALTER TABLE p ADD CONSTRAINT k UNIQUE (a, b), ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES r; \
              ALTER INDEX p1_b_idx RENAME TO x1; ALTER INDEX p2_b_idx RENAME TO x2; ALTER INDEX p1_a_b_idx RENAME TO y1; ALTER INDEX u RENAME TO y; \
              ALTER TABLE p1 RENAME CONSTRAINT p1_a_b_key TO k1; ALTER TABLE p2 RENAME CONSTRAINT p2_a_b_key TO k2; ALTER TABLE p2 RENAME CONSTRAINT f TO f2",
        ..PAIR
    },
    Pair {
        name: "a parent's new index and keys, with other names in the partitions",
        one: "CREATE TABLE r (a int PRIMARY KEY); CREATE TABLE p (a int, b int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
        two: "CREATE TABLE r (a int PRIMARY KEY); CREATE TABLE p (a int, b int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); \
              CREATE INDEX i ON p (b); ALTER INDEX p1_b_idx RENAME TO other; ALTER TABLE p ADD CONSTRAINT k UNIQUE (a), ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES r; \
              ALTER TABLE p1 RENAME CONSTRAINT p1_a_key TO named; ALTER TABLE p1 RENAME CONSTRAINT f TO of_p1",
        ..PAIR
    },
    Pair {
        name: "a key to another table is made anew while the key that it refers to changes",
        one: "CREATE TABLE p (a int UNIQUE NOT NULL, b int PRIMARY KEY); CREATE TABLE t (x int REFERENCES p (a))",
        two: "CREATE TABLE p (a int PRIMARY KEY, b int NOT NULL); CREATE TABLE t (x int REFERENCES p (a))",
        ..PAIR
    },
    Pair {
        name: "a key and an index that are made anew stay replica identity and the one to cluster on",
        one: "CREATE TABLE p (a int, b int NOT NULL, CONSTRAINT k PRIMARY KEY (a)); ALTER TABLE p REPLICA IDENTITY USING INDEX k; ALTER TABLE p CLUSTER ON k; CREATE TABLE q (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX i ON q (a); ALTER TABLE q REPLICA IDENTITY USING INDEX i; ALTER TABLE q CLUSTER ON i; CREATE MATERIALIZED VIEW m AS SELECT a, b FROM q; CREATE INDEX mi ON m (a); ALTER MATERIALIZED VIEW m CLUSTER ON mi",
        two: "CREATE TABLE p (a int, b int NOT NULL, CONSTRAINT k PRIMARY KEY (a) INCLUDE (b)); ALTER TABLE p REPLICA IDENTITY USING INDEX k; ALTER TABLE p CLUSTER ON k; CREATE TABLE q (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX i ON q (a, b); ALTER TABLE q REPLICA IDENTITY USING INDEX i; ALTER TABLE q CLUSTER ON i; CREATE MATERIALIZED VIEW m AS SELECT a, b FROM q; CREATE INDEX mi ON m (b); ALTER MATERIALIZED VIEW m CLUSTER ON mi",
        ..PAIR
    },
    Pair {
        name: "a table leaves its parent",
        one: "CREATE TABLE p (a int NOT NULL, b text CHECK (b <> '')); CREATE TABLE p1 (c int) INHERITS (p)",
        two: "CREATE TABLE p (a int NOT NULL, b text CHECK (b <> '')); CREATE TABLE p1 (a int NOT NULL, b text, c int)",
        left: [
            &[],
            &[
                "column p1.a: whether it is only inherited",
                "column p1.b: whether it is only inherited",
                "constraint p1.p_b_check: whether it is only inherited",
            ],
        ],
        ..PAIR
    },
    Pair {
        name: "a table leaves its parent, which goes or changes",
        one: "CREATE TABLE p (a int CHECK (a > 0)); CREATE TABLE p1 (a int, c int) INHERITS (p); CREATE TABLE q (a int CHECK (a > 1)); CREATE TABLE q1 (a int, c int) INHERITS (q)",
        two: "CREATE TABLE p (a int, d int); CREATE TABLE p1 (a int, c int); CREATE TABLE q1 (a int, c int)",
        left: [
            &[],
            &["constraint p1.p_a_check: whether it is only", "constraint q1.q_a_check: whether it is only"],
        ],
        ..PAIR
    },
    Pair {
        name: "another parent, whose check is another one",
        one: "CREATE TABLE a (i int CONSTRAINT k CHECK (i > 0)); CREATE TABLE b (i int CONSTRAINT k CHECK (i > 1)); CREATE TABLE c (i int, x int) INHERITS (b)",
        two: "CREATE TABLE a (i int CONSTRAINT k CHECK (i > 2)); CREATE TABLE b (i int CONSTRAINT k CHECK (i > 1)); CREATE TABLE c (i int, x int) INHERITS (a)",
        left: [
            &["constraint c.k: whether it is only inherited"],
            &["constraint c.k: whether it is only inherited"],
        ],
        ..PAIR
    },
    Pair {
        name: "a check of one of two parents changes",
        one: "CREATE TABLE p (a int CHECK (a > 0)); CREATE TABLE q (a int CHECK (a < 9)); CREATE TABLE r () INHERITS (p, q)",
        two: "CREATE TABLE p (a int CHECK (a > 1)); CREATE TABLE q (a int CHECK (a < 9)); CREATE TABLE r () INHERITS (p, q)",
        ..PAIR
    },
    Pair {
        name: "a column and a check that an heir has as its own too",
        one: "CREATE TABLE p (a int, b int); CREATE TABLE c1 (x int) INHERITS (p); CREATE TABLE g () INHERITS (c1)",
        two: "CREATE TABLE p (a int, b int); CREATE TABLE c1 (x int) INHERITS (p); CREATE TABLE g () INHERITS (c1); ALTER TABLE g ADD d int; ALTER TABLE p ADD d int; ALTER TABLE g ADD CONSTRAINT k CHECK (a > 0); ALTER TABLE p ADD CONSTRAINT k CHECK (a > 0)",
        ..PAIR
    },
    Pair {
        name: "a domain within an array, a composite type and another domain",
        one: "CREATE DOMAIN d AS text CONSTRAINT c CHECK (value <> ''); CREATE DOMAIN e AS text CONSTRAINT c CHECK (value <> ''); CREATE DOMAIN over AS e; CREATE TYPE pair AS (e over); CREATE TABLE t (x d[], y d, z pair); CREATE DOMAIN n AS text; CREATE TABLE u (n n)",
        two: "CREATE DOMAIN d AS text CONSTRAINT c CHECK (length(value) > 2) NOT NULL; CREATE DOMAIN e AS text NOT NULL; CREATE DOMAIN over AS e; CREATE TYPE pair AS (e over); CREATE TABLE t (x d[], y d, z pair); CREATE DOMAIN n AS text NOT NULL; CREATE TABLE u (n n)",
        left: [
            &[
                "domain d: NOT NULL: PostgreSQL refuses that while column t.x",
                "domain d: CONSTRAINT c CHECK",
                "domain e: NOT NULL: PostgreSQL refuses that while column t.z",
            ],
            &["domain d: CONSTRAINT c CHECK", "domain e: CONSTRAINT c CHECK"],
        ],
        ..PAIR
    },
    Pair {
        name: "a new domain with a constraint that is not valid",
        one: "",
        two: "CREATE DOMAIN d AS text CHECK (value <> ''); ALTER DOMAIN d ADD CONSTRAINT e CHECK (length(value) < 9) NOT VALID; COMMENT ON CONSTRAINT e ON DOMAIN d IS 'x'; CREATE DOMAIN d2 AS d",
        ..PAIR
    },
    Pair {
        name: "new columns of a table whose rows are held elsewhere",
        one: "CREATE TABLE t (a int, b text); CREATE TABLE u (x t, y t[])",
        two: "CREATE TABLE t (a int, b text, c int DEFAULT 5, e text); CREATE TABLE u (x t, y t[])",
        left: [&["column t.c: rows that are there do not get its default"], &[]],
        ..PAIR
    },
    Pair {
        name: "a new identity of a table whose rows are held within a domain",
        since: 110000,
        one: "CREATE TABLE t (a int, b text); CREATE DOMAIN d AS t; CREATE TABLE u (x d)",
        two: "CREATE TABLE t (a bigint, b text, c int GENERATED ALWAYS AS IDENTITY); CREATE DOMAIN d AS t; CREATE TABLE u (x d)",
        left: [
            &["column t.a: its type", "column t.c: PostgreSQL refuses to add it while"],
            &["column t.a: its type"],
        ],
        ..PAIR
    },
    Pair {
        name: "columns of partition keys",
        one: "CREATE TYPE e AS ENUM ('a', 'b'); CREATE TABLE p (a int, b int, c int) PARTITION BY RANGE (a, abs(b)); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0, 0) TO (9, 9); CREATE TABLE q (e e, f e) PARTITION BY LIST (e)",
        two: "CREATE TYPE e AS ENUM ('b', 'a'); CREATE TABLE p (a bigint, b bigint, c bigint) PARTITION BY RANGE (a, abs(b)); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0, 0) TO (9, 9); CREATE TABLE q (e e, f e) PARTITION BY LIST (e)",
        left: [KEYS, KEYS],
        ..PAIR
    },
    Pair {
        name: "the attributes of a type that a table is of",
        one: "CREATE TYPE c AS (a int, b text, e int); CREATE TABLE t OF c; CREATE VIEW v AS SELECT a FROM t",
        two: "CREATE TYPE c AS (a int, b text, d int, f int); CREATE TABLE t OF c (d DEFAULT 3, f NOT NULL); CREATE VIEW v AS SELECT a FROM t",
        ..PAIR
    },
    Pair {
        name: "the type of an attribute of a type that a table is of",
        one: "CREATE TYPE c AS (a int, b text); CREATE TABLE t OF c",
        two: "CREATE TYPE c AS (a bigint, b text); CREATE TABLE t OF c",
        left: [
            &["type c: the type of its attribute a", "column t.a: its type"],
            &["type c: the type of its attribute a", "column t.a: its type"],
        ],
        ..PAIR
    },
    Pair {
        name: "a sequence goes over to another table's column",
        one: "CREATE TABLE t (a int, b int); CREATE TABLE u (a int); CREATE SEQUENCE t_a_seq AS int OWNED BY u.a",
        two: "CREATE TABLE t (a serial, b int)",
        ..PAIR
    },
    Pair {
        name: "an identity of a partitioned table",
        since: 170000,
        one: "CREATE TABLE t (a int, b int NOT NULL, c int GENERATED ALWAYS AS IDENTITY) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1)",
        two: "CREATE TABLE t (a int, b int GENERATED ALWAYS AS IDENTITY, c int GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY 3), d int GENERATED ALWAYS AS IDENTITY) PARTITION BY LIST (a); CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1)",
        ..PAIR
    },
    Pair {
        name: "a generated column before what it reads",
        one: "CREATE TABLE t (id int, g int GENERATED ALWAYS AS (length(txt)) STORED, txt text); CREATE VIEW v AS SELECT txt FROM t; CREATE INDEX i ON t (txt); CREATE TABLE u (id int)",
        two: "CREATE TABLE t (id int, g int GENERATED ALWAYS AS (length(txt2)) STORED, txt2 text); CREATE VIEW v AS SELECT txt2 AS txt FROM t; CREATE INDEX i ON t (txt2); CREATE TABLE u (id int, g int GENERATED ALWAYS AS (length(txt)) STORED, txt text)",
        left: [
            &["table t: the order of its columns", "table u: the order of its columns"],
            &["table t: the order of its columns"],
        ],
        ..PAIR
    },
    Pair {
        name: "passwords in options",
        one: "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'a', password 'geheim'); CREATE SERVER u FOREIGN DATA WRAPPER w",
        two: "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'b', password 'anders'); CREATE SERVER t FOREIGN DATA WRAPPER w OPTIONS (host 'b', password 'geheim'); \
              CREATE SERVER u FOREIGN DATA WRAPPER w OPTIONS (info 'host=x password=geheim', api_key 'geheim'); CREATE FOREIGN TABLE f (a int) SERVER s OPTIONS (secret 'geheim')",
        left: [
            &[
                "server t: its option password: its value may be a password and is not read: give it by hand",
                "server u: its options api_key, info: their values may",
                "foreign table f: its option secret",
            ],
            &[],
        ],
        ..PAIR
    },
    Pair {
        name: "arrays of an extension's type",
        one: "CREATE TABLE t (a text, b text[])",
        two: "CREATE EXTENSION citext; CREATE TABLE a (b citext[]); CREATE TABLE t (a citext, b citext[]); CREATE FUNCTION f(citext[]) RETURNS int LANGUAGE sql AS 'select 1'",
        ..PAIR
    },
    Pair {
        name: "a function of an array of a view's rows",
        one: "",
        two: "CREATE VIEW zv AS SELECT 1 AS x; CREATE FUNCTION af(zv[]) RETURNS int LANGUAGE sql AS 'select 1'; CREATE MATERIALIZED VIEW zm AS SELECT 1 AS x; CREATE FUNCTION am(zm[], zm) RETURNS int LANGUAGE sql AS 'select 1'",
        ..PAIR
    },
    Pair {
        name: "comments on indexes behind keys",
        one: "CREATE TABLE t (a int PRIMARY KEY, b int CONSTRAINT k UNIQUE); COMMENT ON INDEX t_pkey IS 'x'; CREATE TABLE u (a int CONSTRAINT uk UNIQUE); CREATE TABLE p (a int PRIMARY KEY) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        two: "CREATE TABLE t (a int PRIMARY KEY, b int CONSTRAINT k UNIQUE DEFERRABLE); COMMENT ON INDEX k IS 'it''s'; CREATE TABLE u (a int CONSTRAINT uk UNIQUE); COMMENT ON INDEX uk IS 'u'; COMMENT ON CONSTRAINT uk ON u IS 'c'; CREATE TABLE n (a int PRIMARY KEY); COMMENT ON INDEX n_pkey IS 'n'; CREATE TABLE p (a int PRIMARY KEY) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); COMMENT ON INDEX p1_pkey IS 'p1'",
        ..PAIR
    },
    Pair {
        name: "names for a while that something has already",
        one: "CREATE TYPE x AS ENUM ('a', 'b'); CREATE TYPE x__old AS ENUM ('q'); CREATE TABLE t (x x, y int); CREATE INDEX i ON t (y); CREATE INDEX i__new ON t (x)",
        two: "CREATE TYPE x AS ENUM ('b', 'a'); CREATE TYPE x__old AS ENUM ('q'); CREATE TABLE t (x x, y int); CREATE INDEX i ON t (x, y); CREATE INDEX i__new ON t (x)",
        ..PAIR
    },
    Pair {
        name: "types without a cast, and what is built on them",
        since: 150000,
        one: "CREATE TABLE t (a int DEFAULT 1, b date, c jsonb, d timestamp); CREATE INDEX i ON t (a)",
        two: "CREATE TABLE t (a uuid DEFAULT '00000000-0000-0000-0000-000000000000', b boolean, c int, d time, CONSTRAINT k CHECK (a <> '00000000-0000-0000-0000-000000000001')); CREATE INDEX i ON t (a)",
        left: [
            &[
                "column t.a: its type, now uuid: there is no cast from integer",
                "column t.b: its type, now boolean",
                "default t.a: it is for column t.a",
                "constraint t.k: it is for column t.a",
            ],
            &[
                "column t.a: its type",
                "column t.b: its type",
                "column t.c: its type, now jsonb",
                "column t.d: its type",
                "default t.a: it is for",
            ],
        ],
        ..PAIR
    },
    Pair {
        name: "a table that is to be partitioned, or no longer",
        one: "CREATE TABLE t (a int, b int) PARTITION BY LIST (a)",
        two: "CREATE TABLE t (a int PRIMARY KEY, b int UNIQUE); CREATE INDEX i ON t (b)",
        left: [PARTED, PARTED_BACK],
        ..PAIR
    },
    Pair {
        name: "a key to a partitioned table whose index is new, and indexes of the partitions",
        one: "CREATE TABLE t (d int, x int) PARTITION BY RANGE (d); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (9)",
        two: "CREATE TABLE t (d int, x int) PARTITION BY RANGE (d); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (9); CREATE UNIQUE INDEX ON t (d); CREATE INDEX ON t1 (x); ALTER TABLE t ADD FOREIGN KEY (x) REFERENCES t (d); CREATE TABLE u (x int REFERENCES t (d))",
        ..PAIR
    },
];

#[tokio::test]
async fn each_is_made_into_the_other_and_back() {
    let version: u32 = testkit::database().value("SHOW server_version_num").parse().unwrap();
    let mut wrong = Vec::new();
    for pair in PAIRS.iter().filter(|pair| pair.since <= version) {
        let [there, back] = pair.left;
        for (way, from, to, left) in
            [("there", pair.one, pair.two, there), ("back", pair.two, pair.one, back)]
        {
            let case = Case { name: pair.name, from, to, left, ..NOTHING };
            if let Err(why) = check(&case).await {
                wrong.push(format!("{} ({way}): {why}", pair.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn no_password_of_an_option_is_kept_or_shown() {
    let database = testkit::database();
    database.run("CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'a', password 'geheim', info 'dbname=x password=geheim')");
    let made = read(&database).await;
    let saved = serde_json::to_string(&made).unwrap();
    assert!(
        !made.canonical_text().contains("geheim")
            && !saved.contains("geheim")
            && saved.contains("password=***"),
        "{saved}"
    );
    // One that was saved before is read so too.
    let old: Schema = serde_json::from_str(&saved.replace("password=***", "password=geheim")).unwrap();
    assert_eq!(old, made);
}
