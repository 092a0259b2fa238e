//! Differences that are easily made wrong: values that would be lost, what stands in the way of a change, what cannot be
//! done. Each on rows, with what must be said of the statements and what must be there afterwards.

use cutover_analysis::diff::{Diff, Options, diff};

use super::diff::{read, unlike};
use super::{apply, session};

/// What is there, what is to be, and what must come of it.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    /// The first version that has all of it, as `server_version_num`.
    pub(super) since: u32,
    /// Put in before the statements run.
    pub(super) rows: &'static str,
    /// Statements that must be among those found, each with its hazards.
    pub(super) says: &'static [(&'static str, &'static [&'static str])],
    /// Parts of statements that may not be found.
    pub(super) never: &'static [&'static str],
    /// Queries on what was made, with their values.
    pub(super) then: &'static [(&'static str, &'static str)],
    /// Parts of what is left; the statements are run all the same, and what they make is only looked at where there is none.
    pub(super) left: &'static [&'static str],
    /// PostgreSQL must refuse, with this message, rather than lose something.
    pub(super) refused: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "a shorter varchar",
        from: "CREATE TABLE t (v varchar(10))",
        to: "CREATE TABLE t (v varchar(3))",
        rows: "INSERT INTO t VALUES ('abcdef')",
        says: &[(
            "ALTER TABLE public.t ALTER COLUMN v TYPE character varying(3)",
            &["rewrite", "may-fail", "data-loss"],
        )],
        refused: "value too long",
        ..NOTHING
    },
    Case {
        name: "new columns of which each row gets a value of its own",
        from: "CREATE TABLE t (a integer)",
        to: "CREATE TABLE t (a integer, r float8 DEFAULT random() NOT NULL, s timestamptz DEFAULT clock_timestamp(),
                             n timestamptz DEFAULT now(), c integer DEFAULT 5 NOT NULL, i serial)",
        rows: "INSERT INTO t VALUES (1)",
        says: &[
            ("ALTER TABLE public.t ADD COLUMN r double precision DEFAULT random() NOT NULL", &["rewrite"]),
            ("ALTER TABLE public.t ADD COLUMN s timestamp with time zone DEFAULT clock_timestamp()", &["rewrite"]),
            ("ALTER TABLE public.t ADD COLUMN n timestamp with time zone DEFAULT now()", &[]),
            ("ALTER TABLE public.t ADD COLUMN c integer DEFAULT 5 NOT NULL", &[]),
            (
                "ALTER TABLE public.t ADD COLUMN i integer DEFAULT nextval('public.t_i_seq'::regclass) NOT NULL",
                &["rewrite"],
            ),
        ],
        ..NOTHING
    },
    Case {
        name: "a domain over a shorter varchar",
        from: "CREATE DOMAIN d AS varchar(3); CREATE TABLE t (v text)",
        to: "CREATE DOMAIN d AS varchar(3); CREATE TABLE t (v d)",
        rows: "INSERT INTO t VALUES ('abcdef')",
        never: &["USING"],
        refused: "value too long",
        ..NOTHING
    },
    Case {
        name: "numbers and texts",
        from: "CREATE TABLE t (a integer, b text, c numeric(8,4), d timestamp, e integer, f text[])",
        to: "CREATE TABLE t (a bigint, b integer, c numeric(8,2), d date, e text, f varchar(9)[])",
        rows: "INSERT INTO t VALUES (1, '007', 1.2345, '2020-01-02 03:04', 5, '{x}')",
        says: &[
            ("ALTER TABLE public.t ALTER COLUMN a TYPE bigint", &["rewrite"]),
            (
                "ALTER TABLE public.t ALTER COLUMN b TYPE integer USING b::integer",
                &["rewrite", "may-fail", "data-loss"],
            ),
            ("ALTER TABLE public.t ALTER COLUMN c TYPE numeric(8,2)", &["rewrite", "may-fail", "data-loss"]),
            ("ALTER TABLE public.t ALTER COLUMN d TYPE date", &["rewrite", "may-fail", "data-loss"]),
            ("ALTER TABLE public.t ALTER COLUMN e TYPE text", &["rewrite"]),
        ],
        then: &[("SELECT t::text FROM t", "(1,7,1.23,2020-01-02,5,{x})")],
        ..NOTHING
    },
    Case {
        name: "wider types have room for every value, and the extremes prove it",
        from: "CREATE TABLE t (a smallint UNIQUE, b integer, c bigint, d real, e character(3), f uuid UNIQUE, g smallint[], h timestamptz)",
        to: "CREATE TABLE t (a integer UNIQUE, b double precision, c numeric, d double precision, e character(5), f text UNIQUE, g bigint[], h text)",
        rows: "INSERT INTO t VALUES (-32768, 2147483647, -9223372036854775808, 'Infinity', 'abc', '00000000-0000-0000-0000-000000000000', '{32767}', '-infinity'),
                                    (32767, -2147483648, 9223372036854775807, 'NaN', 'ä', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{NULL}', '294276-01-01')",
        says: &[
            ("ALTER TABLE public.t ALTER COLUMN a TYPE integer", &["rewrite"]),
            ("ALTER TABLE public.t ALTER COLUMN b TYPE double precision", &["rewrite"]),
            ("ALTER TABLE public.t ALTER COLUMN c TYPE numeric", &["rewrite"]),
            ("ALTER TABLE public.t ALTER COLUMN d TYPE double precision", &["rewrite"]),
            ("ALTER TABLE public.t ALTER COLUMN e TYPE character(5)", &["rewrite"]),
            ("ALTER TABLE public.t ALTER COLUMN f TYPE text", &["rewrite"]),
            ("ALTER TABLE public.t ALTER COLUMN g TYPE bigint[]", &["rewrite"]),
            ("ALTER TABLE public.t ALTER COLUMN h TYPE text", &["rewrite"]),
        ],
        then: &[("SELECT count(*) FROM t WHERE a IN (-32768, 32767) AND c IN (-9223372036854775808, 9223372036854775807)", "2")],
        ..NOTHING
    },
    Case {
        name: "what only looks wider may fail",
        from: "CREATE DOMAIN small AS bigint CHECK (VALUE < 10); CREATE TABLE t (a integer, b bigint UNIQUE, c date, d numeric, e bigint, f bigint)",
        to: "CREATE DOMAIN small AS bigint CHECK (VALUE < 10); CREATE TABLE t (a small, b double precision UNIQUE, c timestamp, d double precision, e numeric(10,2), f integer)",
        rows: "INSERT INTO t VALUES (1, 2, '2020-01-01', 4, 5, 6)",
        says: &[
            ("ALTER TABLE public.t ALTER COLUMN a TYPE public.small", &["rewrite", "may-fail"]),
            ("ALTER TABLE public.t ALTER COLUMN b TYPE double precision", &["rewrite", "may-fail", "data-loss"]),
            ("ALTER TABLE public.t ALTER COLUMN c TYPE timestamp without time zone", &["rewrite", "may-fail"]),
            ("ALTER TABLE public.t ALTER COLUMN d TYPE double precision", &["rewrite", "may-fail", "data-loss"]),
            ("ALTER TABLE public.t ALTER COLUMN e TYPE numeric(10,2)", &["rewrite", "may-fail"]),
            ("ALTER TABLE public.t ALTER COLUMN f TYPE integer", &["rewrite", "may-fail"]),
        ],
        ..NOTHING
    },
    Case {
        name: "a generated column that becomes a plain one keeps its values",
        since: 130_000,
        from: "CREATE TABLE t (a integer, b bigint GENERATED ALWAYS AS (a * 2) STORED)",
        to: "CREATE TABLE t (a bigint, b bigint)",
        rows: "INSERT INTO t VALUES (21)",
        never: &["DROP COLUMN"],
        then: &[("SELECT b FROM t", "42")],
        ..NOTHING
    },
    Case {
        name: "a generated column that becomes a plain one while what it depends on goes",
        since: 150_000,
        from: "CREATE FUNCTION f(i integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT i * 2'; CREATE TABLE t (a integer, b integer GENERATED ALWAYS AS (f(a)) STORED)",
        to: "CREATE FUNCTION f(j integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT j * 2'; CREATE TABLE t (a integer, b integer)",
        rows: "INSERT INTO t VALUES (21)",
        never: &["DROP COLUMN"],
        then: &[("SELECT b FROM t", "42")],
        ..NOTHING
    },
    Case {
        name: "a serial becomes an identity and goes on",
        from: "CREATE TABLE t (id serial PRIMARY KEY, x text)",
        to: "CREATE TABLE t (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, x text)",
        rows: "INSERT INTO t (x) VALUES ('a'), ('b'); DELETE FROM t WHERE id = 2",
        then: &[
            ("INSERT INTO t (x) VALUES ('c') RETURNING id", "3"),
            ("SELECT count(*) FROM pg_sequences", "1"),
        ],
        ..NOTHING
    },
    Case {
        name: "a plain column becomes an identity that goes on behind its values",
        from: "CREATE TABLE t (id bigint NOT NULL, x text); CREATE TABLE d (id integer NOT NULL); CREATE TABLE e (id integer NOT NULL)",
        to: "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY, x text); CREATE TABLE e (id integer GENERATED ALWAYS AS IDENTITY (START WITH 5)); \
             CREATE TABLE d (id integer GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY -2 MINVALUE -100 MAXVALUE -1))",
        rows: "INSERT INTO t VALUES (7, 'a'), (41, 'b'); INSERT INTO d VALUES (-9), (-3); INSERT INTO e VALUES (2)",
        then: &[
            ("INSERT INTO t (x) VALUES ('c') RETURNING id", "42"),
            ("INSERT INTO d DEFAULT VALUES RETURNING id", "-11"),
            ("INSERT INTO e DEFAULT VALUES RETURNING id", "5"),
        ],
        ..NOTHING
    },
    Case {
        name: "tables that refer to each other go with their sequences",
        from: "CREATE TABLE a (id serial PRIMARY KEY, b integer); CREATE TABLE b (id serial PRIMARY KEY, a integer REFERENCES a); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b",
        to: "",
        never: &["DROP SEQUENCE"],
        ..NOTHING
    },
    Case {
        name: "an identity becomes a serial and goes on",
        from: "CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x text)",
        to: "CREATE TABLE t (id serial PRIMARY KEY, x text)",
        rows: "INSERT INTO t (x) VALUES ('a'), ('b'); DELETE FROM t WHERE id = 2",
        then: &[
            ("INSERT INTO t (x) VALUES ('c') RETURNING id", "3"),
            ("SELECT count(*) FROM pg_sequences", "1"),
        ],
        ..NOTHING
    },
    Case {
        name: "an identity that was not used begins at its beginning",
        from: "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY (START WITH 7), x text)",
        to: "CREATE SEQUENCE mine START WITH 7; CREATE TABLE t (id bigint NOT NULL DEFAULT nextval('mine'), x text); ALTER SEQUENCE mine OWNED BY t.id",
        then: &[("INSERT INTO t (x) VALUES ('c') RETURNING id", "7")],
        ..NOTHING
    },
    Case {
        name: "an identity goes before its NOT NULL",
        from: "CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY)",
        to: "CREATE TABLE t (id integer)",
        ..NOTHING
    },
    Case {
        name: "a policy that is made anew is gone for no transaction",
        from: "CREATE TABLE a (i integer); CREATE INDEX a_i ON a (i); CREATE TABLE t (i integer, j integer CHECK (j > 0), k text); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t AS RESTRICTIVE USING (i > 0)",
        to: "CREATE TABLE a (i integer); CREATE INDEX a_i ON a (i) WHERE i > 0; CREATE TABLE t (i bigint, j integer CHECK (j > 0), k text NOT NULL); CREATE INDEX t_j ON t (j); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t AS RESTRICTIVE USING (i > 0)",
        says: &[("DROP POLICY own ON public.t", &[])],
        ..NOTHING
    },
    Case {
        name: "a key that is made anew is not missed meanwhile",
        from: "CREATE TABLE t (i integer, j integer, CONSTRAINT k UNIQUE (i))",
        to: "CREATE TABLE t (i integer, j integer, CONSTRAINT k UNIQUE (i, j))",
        says: &[("ALTER TABLE public.t DROP CONSTRAINT k, ADD CONSTRAINT k UNIQUE USING INDEX k__new", &[])],
        ..NOTHING
    },
    Case {
        name: "a foreign key that does something else is not missed meanwhile",
        from: "CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE t (p integer CONSTRAINT k REFERENCES p)",
        to: "CREATE TABLE p (id integer PRIMARY KEY); CREATE TABLE t (p integer CONSTRAINT k REFERENCES p ON DELETE CASCADE)",
        says: &[
            ("ALTER TABLE public.t VALIDATE CONSTRAINT k__new", &["may-fail"]),
            ("ALTER TABLE public.t DROP CONSTRAINT k", &[]),
        ],
        ..NOTHING
    },
    Case {
        name: "a key to a partitioned table is one key",
        from: "CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); CREATE TABLE t (p integer REFERENCES p)",
        to: "CREATE TABLE p (id integer PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE t (p integer REFERENCES p)",
        never: &["DROP CONSTRAINT", "ADD CONSTRAINT"],
        ..NOTHING
    },
    Case {
        name: "a key is named anew and another one refers to it",
        from: "CREATE TABLE a (id integer CONSTRAINT one PRIMARY KEY); CREATE TABLE b (a integer REFERENCES a)",
        to: "CREATE TABLE a (id integer CONSTRAINT two PRIMARY KEY); CREATE TABLE b (a integer REFERENCES a)",
        ..NOTHING
    },
    Case {
        name: "a function is replaced by one with a default, and used in the same words",
        from: "CREATE FUNCTION f(i integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE VIEW v AS SELECT f(1) AS x; CREATE TABLE t (a integer DEFAULT f(1), b integer GENERATED ALWAYS AS (f(2)) STORED, CHECK (f(1) = 1))",
        to: "CREATE FUNCTION f(i integer, j integer DEFAULT 2) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE VIEW v AS SELECT f(1) AS x; CREATE TABLE t (a integer DEFAULT f(1), b integer GENERATED ALWAYS AS (f(2)) STORED, CHECK (f(1) = 1))",
        ..NOTHING
    },
    Case {
        name: "a table becomes a view that another one reads",
        from: "CREATE TABLE base (i integer); CREATE TABLE v (i integer); CREATE VIEW w AS SELECT v.i FROM v",
        to: "CREATE TABLE base (i integer); CREATE VIEW v AS SELECT base.i FROM base; CREATE VIEW w AS SELECT v.i FROM v",
        ..NOTHING
    },
    Case {
        name: "a view becomes a table that another one reads",
        from: "CREATE TABLE base (i integer); CREATE VIEW v AS SELECT base.i FROM base; CREATE VIEW w AS SELECT v.i FROM v",
        to: "CREATE TABLE base (i integer); CREATE TABLE v (i integer); CREATE VIEW w AS SELECT v.i FROM v",
        ..NOTHING
    },
    Case {
        name: "a view's defaults are kept when it is made anew",
        from: "CREATE TABLE t (a integer, b text); CREATE VIEW v AS SELECT a, b FROM t; ALTER VIEW v ALTER b SET DEFAULT 'x'",
        to: "CREATE TABLE t (a bigint, b text); CREATE VIEW v AS SELECT a, b FROM t; ALTER VIEW v ALTER b SET DEFAULT 'x'",
        ..NOTHING
    },
    Case {
        name: "a domain's default is read with its names qualified",
        from: "CREATE SCHEMA s; CREATE FUNCTION s.f() RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
        to: "CREATE SCHEMA s; CREATE FUNCTION s.f() RETURNS text LANGUAGE sql AS 'SELECT 1::text'; SET search_path = s, public; CREATE DOMAIN public.d AS text DEFAULT f()",
        ..NOTHING
    },
    Case {
        name: "an enum loses a value, and columns that only need it stay",
        from: "CREATE TYPE mood AS ENUM ('good', 'bad', 'odd'); CREATE TABLE t (m mood, l mood[], g boolean GENERATED ALWAYS AS (m = 'good') STORED, h mood GENERATED ALWAYS AS (m) STORED)",
        to: "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE t (m mood, l mood[], g boolean GENERATED ALWAYS AS (m = 'good') STORED, h mood GENERATED ALWAYS AS (m) STORED)",
        rows: "INSERT INTO t VALUES ('good', '{bad}')",
        then: &[("SELECT t::text FROM t", "(good,{bad},t,good)")],
        ..NOTHING
    },
    Case {
        name: "an enum within a domain that columns have: nothing is taken away for it",
        from: "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN d AS mood; CREATE TABLE t (m d, n mood); CREATE VIEW v AS SELECT n FROM t",
        to: "CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN d AS mood; CREATE TABLE t (m d, n mood); CREATE VIEW v AS SELECT n FROM t",
        never: &["DROP", "CREATE"],
        left: &["type mood: domain d is in the way, and cannot be made anew because column t.m needs it"],
        ..NOTHING
    },
    Case {
        name: "an attribute of a composite type that a column uses",
        from: "CREATE TYPE c AS (a integer, b text); CREATE TABLE t (x c[])",
        to: "CREATE TYPE c AS (a bigint, b text); CREATE TABLE t (x c[])",
        never: &["ALTER ATTRIBUTE"],
        left: &[
            "type c: the type of its attribute a, now bigint: PostgreSQL refuses that while column t.x uses it",
        ],
        ..NOTHING
    },
    Case {
        name: "attributes come and go while a column uses the type",
        from: "CREATE TYPE c AS (a integer, b text); CREATE TABLE t (x c)",
        to: "CREATE TYPE c AS (a integer, d date); CREATE TABLE t (x c)",
        rows: "INSERT INTO t VALUES (ROW(1, 'x'))",
        says: &[("ALTER TYPE public.c DROP ATTRIBUTE b", &["data-loss"])],
        ..NOTHING
    },
    Case {
        name: "an index whose words do not fit another type goes first",
        from: "CREATE TABLE t (v text, w text); CREATE INDEX i ON t (w) WHERE v = '1'; CREATE INDEX j ON t (lower(v)); CREATE STATISTICS s ON v, w FROM t",
        to: "CREATE TABLE t (v integer, w text); CREATE INDEX i ON t (w) WHERE v = 1; CREATE INDEX j ON t (abs(v)); CREATE STATISTICS s ON v, w FROM t",
        rows: "INSERT INTO t VALUES ('1', 'x')",
        ..NOTHING
    },
    Case {
        name: "a user mapping whose options are not read",
        from: "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w",
        to: "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password 'geheim')",
        says: &[("CREATE USER MAPPING FOR PUBLIC SERVER s", &[])],
        left: &["its options (password): they may hold a password and are not read"],
        ..NOTHING
    },
    Case {
        name: "an extension leaves a schema that goes",
        from: "CREATE SCHEMA a; CREATE EXTENSION pgcrypto SCHEMA a",
        to: "CREATE EXTENSION pgcrypto SCHEMA public",
        ..NOTHING
    },
    Case {
        name: "a sequence with other bounds",
        from: "CREATE SEQUENCE q; CREATE TABLE t (i integer GENERATED ALWAYS AS IDENTITY)",
        to: "CREATE SEQUENCE q MINVALUE 5; CREATE TABLE t (i integer GENERATED ALWAYS AS IDENTITY (MAXVALUE 9))",
        rows: "ALTER SEQUENCE q MINVALUE 1 RESTART 7",
        says: &[
            ("ALTER SEQUENCE public.q START WITH 5 MINVALUE 5", &["may-fail"]),
            ("ALTER TABLE public.t ALTER COLUMN i SET START WITH 1 SET MAXVALUE 9", &["may-fail"]),
        ],
        ..NOTHING
    },
    Case {
        name: "another owner, and what was granted to whom",
        from: "CREATE TABLE t (i integer); GRANT SELECT ON t TO pg_monitor; GRANT SELECT, INSERT ON t TO pg_read_all_stats; REVOKE DELETE ON t FROM CURRENT_USER",
        to: "CREATE TABLE t (i integer); ALTER TABLE t OWNER TO pg_monitor; REVOKE TRUNCATE ON t FROM pg_monitor; GRANT SELECT ON t TO pg_read_all_stats; GRANT SELECT ON t TO CURRENT_USER",
        ..NOTHING
    },
    Case {
        name: "a column that is inherited stays as the heir's own",
        from: "CREATE TABLE p (a integer, b integer); CREATE TABLE c () INHERITS (p)",
        to: "CREATE TABLE p (a integer); CREATE TABLE c (b integer) INHERITS (p)",
        rows: "INSERT INTO c VALUES (1, 2)",
        then: &[("SELECT b FROM c", "2")],
        ..NOTHING
    },
    Case {
        name: "a column that is inherited and the heir's own too",
        from: "CREATE TABLE p (a integer); CREATE TABLE c () INHERITS (p)",
        to: "CREATE TABLE p (a integer); CREATE TABLE c (a integer) INHERITS (p)",
        left: &["column c.a: whether it is only inherited"],
        ..NOTHING
    },
    Case {
        name: "a partition gets other bounds while its parent gets a column and a key",
        from: "CREATE TABLE p (id integer NOT NULL, x text) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        to: "CREATE TABLE p (id integer NOT NULL, x text NOT NULL, y integer DEFAULT 3 NOT NULL, CONSTRAINT c CHECK (y > 0)) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1, 2)",
        rows: "INSERT INTO p VALUES (1, 'x')",
        says: &[("ALTER TABLE public.p ATTACH PARTITION public.p1 FOR VALUES IN (1, 2)", &["may-fail"])],
        ..NOTHING
    },
    Case {
        name: "a partition goes to another parent while its old one is dropped",
        from: "CREATE TABLE p (i integer) PARTITION BY RANGE (i); CREATE TABLE q (i integer) PARTITION BY RANGE (i); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (10)",
        to: "CREATE TABLE q (i integer) PARTITION BY RANGE (i); CREATE TABLE p1 PARTITION OF q FOR VALUES FROM (1) TO (10)",
        rows: "INSERT INTO p VALUES (5)",
        says: &[("DROP TABLE public.p", &[])],
        then: &[("SELECT i FROM p1", "5")],
        ..NOTHING
    },
    Case {
        name: "an extension with a table of its own is dropped",
        from: "CREATE EXTENSION citext; CREATE TABLE k (a integer); ALTER EXTENSION citext ADD TABLE k",
        to: "CREATE TABLE k (a integer)",
        says: &[("DROP EXTENSION citext", &["data-loss"])],
        ..NOTHING
    },
    Case {
        name: "an extension without tables is dropped",
        from: "CREATE EXTENSION citext",
        to: "",
        says: &[("DROP EXTENSION citext", &[])],
        ..NOTHING
    },
    Case {
        name: "times with and without a zone are not each other",
        since: 150_000,
        from: "CREATE TABLE t (a timestamp, b timestamptz, c integer, d integer)",
        to: "CREATE TABLE t (a timestamptz, b timestamp, c numeric(5,2), d numeric(5,-2))",
        rows: "INSERT INTO t (c, d) VALUES (123, 1234)",
        says: &[
            (
                "ALTER TABLE public.t ALTER COLUMN a TYPE timestamp with time zone",
                &["rewrite", "may-fail", "data-loss"],
            ),
            (
                "ALTER TABLE public.t ALTER COLUMN b TYPE timestamp without time zone",
                &["rewrite", "may-fail", "data-loss"],
            ),
            ("ALTER TABLE public.t ALTER COLUMN c TYPE numeric(5,2)", &["rewrite", "may-fail"]),
            ("ALTER TABLE public.t ALTER COLUMN d TYPE numeric(5,-2)", &["rewrite", "may-fail", "data-loss"]),
        ],
        then: &[("SELECT d FROM t", "1200")],
        ..NOTHING
    },
    Case {
        name: "an identity ends and a sequence that nothing owns has its name",
        from: "CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY, x text)",
        to: "CREATE SEQUENCE t_id_seq AS integer; CREATE TABLE t (id integer NOT NULL DEFAULT nextval('t_id_seq'), x text)",
        rows: "INSERT INTO t (x) VALUES ('a'), ('b')",
        then: &[("INSERT INTO t (x) VALUES ('c') RETURNING id", "3")],
        ..NOTHING
    },
    Case {
        name: "a table that a crash empties from now on",
        from: "CREATE TABLE t (i integer); CREATE UNLOGGED TABLE u (i integer)",
        to: "CREATE UNLOGGED TABLE t (i integer); CREATE TABLE u (i integer)",
        says: &[
            ("ALTER TABLE public.t SET UNLOGGED", &["rewrite", "crash-loss"]),
            ("ALTER TABLE public.u SET LOGGED", &["rewrite"]),
        ],
        ..NOTHING
    },
    Case {
        name: "a column goes from a parent and its heir, and stays as the heir's heir's own",
        from: "CREATE TABLE a (id integer, v text); CREATE TABLE b () INHERITS (a); CREATE TABLE c () INHERITS (b)",
        to: "CREATE TABLE a (id integer); CREATE TABLE b () INHERITS (a); CREATE TABLE c (v text) INHERITS (b)",
        rows: "INSERT INTO c VALUES (1, 'x')",
        says: &[("ALTER TABLE ONLY public.a DROP COLUMN v", &["data-loss"])],
        then: &[("SELECT v FROM c", "x")],
        ..NOTHING
    },
    Case {
        name: "a trigger of the parent's does not fire for a partition",
        from: "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TABLE p (i integer) PARTITION BY LIST (i); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); CREATE TRIGGER g AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE p2 DISABLE TRIGGER g",
        to: "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TABLE p (i integer) PARTITION BY LIST (i); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); CREATE TRIGGER g AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE p1 DISABLE TRIGGER g; CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3); ALTER TABLE p3 ENABLE ALWAYS TRIGGER g",
        says: &[
            ("ALTER TABLE public.p1 DISABLE TRIGGER g", &[]),
            ("ALTER TABLE public.p2 ENABLE TRIGGER g", &[]),
        ],
        then: &[(
            "SELECT string_agg(tgenabled::text, '' ORDER BY tgrelid::regclass::text) FROM pg_trigger",
            "ODOA",
        )],
        ..NOTHING
    },
    Case {
        name: "how a parent's trigger fires changes, and it goes, and a partition says otherwise",
        from: "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TABLE p (i integer) PARTITION BY LIST (i); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); CREATE TRIGGER g AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f(); CREATE TRIGGER h AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f(); CREATE TRIGGER j AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE p2 DISABLE TRIGGER g; ALTER TABLE p2 DISABLE TRIGGER j; ALTER TABLE p1 DISABLE TRIGGER h",
        to: "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TABLE p (i integer) PARTITION BY LIST (i); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); CREATE TRIGGER g AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION f(); CREATE TRIGGER j AFTER DELETE ON p FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE p ENABLE ALWAYS TRIGGER g; ALTER TABLE p2 DISABLE TRIGGER g; ALTER TABLE p2 DISABLE TRIGGER j",
        then: &[(
            "SELECT string_agg(tgenabled::text, '' ORDER BY tgname, tgrelid::regclass::text) FROM pg_trigger",
            "AADOOD",
        )],
        ..NOTHING
    },
    Case {
        name: "comments on constraints of a domain",
        from: "CREATE DOMAIN d AS integer CONSTRAINT a CHECK (VALUE > 0) CONSTRAINT b CHECK (VALUE > 1) CONSTRAINT c CHECK (VALUE > 2); COMMENT ON CONSTRAINT b ON DOMAIN d IS 'b'; COMMENT ON CONSTRAINT c ON DOMAIN d IS 'c'",
        to: "CREATE DOMAIN d AS integer CONSTRAINT a CHECK (VALUE > 0) CONSTRAINT b CHECK (VALUE > 1) CONSTRAINT c CHECK (VALUE > 3); COMMENT ON CONSTRAINT a ON DOMAIN d IS 'it''s a'; COMMENT ON CONSTRAINT c ON DOMAIN d IS 'c'; CREATE DOMAIN e AS text CONSTRAINT x CHECK (VALUE <> ''); COMMENT ON CONSTRAINT x ON DOMAIN e IS 'x'",
        says: &[
            ("COMMENT ON CONSTRAINT a ON DOMAIN public.d IS 'it''s a'", &[]),
            ("COMMENT ON CONSTRAINT b ON DOMAIN public.d IS NULL", &[]),
        ],
        ..NOTHING
    },
    Case {
        name: "the multirange of a range is in another schema",
        since: 140_000,
        from: "CREATE SCHEMA app",
        to: "CREATE SCHEMA app; CREATE TYPE app.one AS RANGE (SUBTYPE = integer); CREATE TYPE app.two AS RANGE (SUBTYPE = integer, MULTIRANGE_TYPE_NAME = app.other); CREATE TYPE app.three AS RANGE (SUBTYPE = integer, MULTIRANGE_TYPE_NAME = public.three_multirange)",
        says: &[("CREATE TYPE app.one AS RANGE (SUBTYPE = integer)", &[])],
        ..NOTHING
    },
    Case {
        name: "another owner of public",
        from: "",
        to: "ALTER SCHEMA public OWNER TO pg_monitor",
        says: &[("ALTER SCHEMA public OWNER TO pg_monitor", &[])],
        ..NOTHING
    },
    Case {
        name: "public goes back to who owns it",
        since: 150_000,
        from: "ALTER SCHEMA public OWNER TO pg_monitor",
        to: "",
        says: &[("ALTER SCHEMA public OWNER TO pg_database_owner", &[])],
        ..NOTHING
    },
    Case {
        name: "another owner of a table with a serial",
        from: "CREATE TABLE t (id serial); GRANT SELECT ON SEQUENCE t_id_seq TO pg_read_all_stats",
        to: "CREATE TABLE t (id serial); ALTER TABLE t OWNER TO pg_monitor; GRANT USAGE ON SEQUENCE t_id_seq TO pg_read_all_stats",
        never: &["ALTER SEQUENCE public.t_id_seq OWNER"],
        ..NOTHING
    },
    Case {
        name: "a sequence with another owner is its table's no longer, and another one becomes one's",
        from: "CREATE TABLE t (id serial); CREATE SEQUENCE q; CREATE TABLE u (id integer NOT NULL)",
        to: "CREATE SEQUENCE t_id_seq AS integer; ALTER SEQUENCE t_id_seq OWNER TO pg_monitor; CREATE TABLE t (id integer NOT NULL DEFAULT nextval('t_id_seq')); CREATE TABLE u (id integer NOT NULL); ALTER TABLE u OWNER TO pg_monitor; CREATE SEQUENCE q; ALTER SEQUENCE q OWNER TO pg_monitor; ALTER SEQUENCE q OWNED BY u.id",
        ..NOTHING
    },
    Case {
        name: "keys that refer to each other get a type that is compared otherwise",
        from: "CREATE TABLE a (id text PRIMARY KEY, u uuid UNIQUE); CREATE TABLE b (a text REFERENCES a, u uuid REFERENCES a (u))",
        to: "CREATE TABLE a (id integer PRIMARY KEY, u text UNIQUE); CREATE TABLE b (a integer REFERENCES a, u text REFERENCES a (u))",
        rows: "INSERT INTO a (id) VALUES ('7'); INSERT INTO b (a) VALUES ('7')",
        says: &[("ALTER TABLE public.b DROP CONSTRAINT b_u_fkey", &["gap"])],
        then: &[("SELECT a FROM b", "7")],
        ..NOTHING
    },
    Case {
        name: "keys that refer to each other get a type that is compared alike",
        from: "CREATE TABLE a (id integer PRIMARY KEY); CREATE TABLE b (a integer REFERENCES a)",
        to: "CREATE TABLE a (id bigint PRIMARY KEY); CREATE TABLE b (a bigint REFERENCES a)",
        never: &["CONSTRAINT"],
        ..NOTHING
    },
    Case {
        name: "an enum that keys refer by loses a value",
        from: "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE a (m mood PRIMARY KEY); CREATE TABLE b (m mood REFERENCES a)",
        to: "CREATE TYPE mood AS ENUM ('good'); CREATE TABLE a (m mood PRIMARY KEY); CREATE TABLE b (m mood REFERENCES a)",
        rows: "INSERT INTO a VALUES ('good'); INSERT INTO b VALUES ('good')",
        then: &[("SELECT m FROM b", "good"), ("SELECT count(*) FROM pg_type WHERE typname ~ '__old'", "0")],
        ..NOTHING
    },
    Case {
        name: "the column of a sequence goes, and the sequence stays",
        from: "CREATE TABLE t (id serial, x text)",
        to: "CREATE SEQUENCE t_id_seq AS integer; CREATE TABLE t (x text)",
        rows: "INSERT INTO t (x) VALUES ('a'), ('b')",
        then: &[("SELECT nextval('t_id_seq')", "3")],
        ..NOTHING
    },
    Case {
        name: "the table of a sequence goes, and another one has the sequence",
        from: "CREATE TABLE t (id serial, x text); CREATE TABLE u (id integer NOT NULL)",
        to: "CREATE TABLE u (id integer NOT NULL); CREATE SEQUENCE t_id_seq AS integer OWNED BY u.id; ALTER TABLE u ALTER id SET DEFAULT nextval('t_id_seq')",
        rows: "INSERT INTO t (x) VALUES ('a'), ('b')",
        then: &[("INSERT INTO u DEFAULT VALUES RETURNING id", "3")],
        ..NOTHING
    },
    Case {
        name: "a table of a type",
        from: "CREATE TYPE c AS (a integer, b text, d date)",
        to: "CREATE TYPE c AS (a integer, b text, d date); CREATE TABLE t OF c (a PRIMARY KEY, b DEFAULT 'x' CHECK (b <> '')); CREATE TABLE u OF c",
        ..NOTHING
    },
    Case {
        name: "a check has the name that the way to NOT NULL would take",
        from: "CREATE TABLE t (a integer, CONSTRAINT a__not_null CHECK (a > 0))",
        to: "CREATE TABLE t (a integer NOT NULL, CONSTRAINT a__not_null CHECK (a > 0))",
        ..NOTHING
    },
    Case {
        name: "what is granted by default from now on is not granted on what is made along with it",
        from: "CREATE SCHEMA app",
        to: "CREATE SCHEMA app; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE app.ft (i integer) SERVER s; CREATE TABLE app.t (i integer); ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC",
        then: &[(
            "SELECT count(*) FROM pg_class WHERE relacl IS NOT NULL AND relnamespace = 'app'::regnamespace",
            "0",
        )],
        ..NOTHING
    },
    Case {
        name: "an index and a key of a partition outlive the parent's",
        from: "CREATE TABLE p (k integer PRIMARY KEY, j integer) PARTITION BY LIST (k); CREATE INDEX pj ON p (j); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        to: "CREATE TABLE p (k integer NOT NULL, j integer) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE INDEX p1_j_idx ON p1 (j); ALTER TABLE p1 ADD PRIMARY KEY (k)",
        ..NOTHING
    },
    Case {
        name: "a check of an heir outlives the parent's",
        from: "CREATE TABLE a (i integer, CONSTRAINT c CHECK (i > 0)); CREATE TABLE b () INHERITS (a)",
        to: "CREATE TABLE a (i integer); CREATE TABLE b (CONSTRAINT c CHECK (i > 0)) INHERITS (a)",
        ..NOTHING
    },
    Case {
        name: "a partition comes to a parent whose index it does not have",
        from: "CREATE TABLE p (k integer) PARTITION BY LIST (k); CREATE TABLE p1 (k integer); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
        to: "CREATE TABLE p (k integer) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2); CREATE INDEX pk ON ONLY p (k); CREATE INDEX p2k ON p2 (k); ALTER INDEX pk ATTACH PARTITION p2k",
        ..NOTHING
    },
    Case {
        name: "the row type of a table is in use",
        from: "CREATE TABLE base (a integer, v varchar(3)); CREATE TABLE t (b base[])",
        to: "CREATE TABLE base (a bigint, v varchar(3)); CREATE TABLE t (b base[])",
        never: &["ALTER COLUMN"],
        left: &[
            "column base.a: its type, now bigint: PostgreSQL refuses that while column t.b is of the table's row type",
        ],
        ..NOTHING
    },
    Case {
        name: "statistics of a materialized view's column come, change and go",
        from: "CREATE MATERIALIZED VIEW v AS SELECT 1 AS a, 2 AS b, 3 AS c; ALTER MATERIALIZED VIEW v ALTER a SET STATISTICS 5; ALTER MATERIALIZED VIEW v ALTER b SET STATISTICS 5; ALTER MATERIALIZED VIEW v ALTER b SET (n_distinct = 7)",
        to: "CREATE MATERIALIZED VIEW v AS SELECT 1 AS a, 2 AS b, 3 AS c; ALTER MATERIALIZED VIEW v ALTER a SET STATISTICS 6; ALTER MATERIALIZED VIEW v ALTER c SET STATISTICS 7",
        ..NOTHING
    },
    Case {
        name: "a server's version is not taken away",
        from: "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s VERSION '2' FOREIGN DATA WRAPPER w",
        to: "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w",
        left: &["its version: no statement takes it away"],
        ..NOTHING
    },
    Case {
        name: "an heir with a key goes while its parent and what publishes both change",
        since: 150_000,
        from: "CREATE TABLE a (id integer PRIMARY KEY, n integer); CREATE TABLE b () INHERITS (a); ALTER TABLE b ADD CONSTRAINT fk FOREIGN KEY (id) REFERENCES a NOT VALID; CREATE PUBLICATION pub FOR TABLE ONLY a (id, n), ONLY b",
        to: "CREATE TABLE a (id integer PRIMARY KEY, n integer); ALTER TABLE a ALTER n SET (n_distinct_inherited = 0.5); CREATE PUBLICATION pub FOR TABLE ONLY a (id, n)",
        never: &["DROP CONSTRAINT"],
        ..NOTHING
    },
    Case {
        name: "a table is partitioned in another way",
        from: "CREATE TABLE p (i integer) PARTITION BY RANGE (i); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
        to: "CREATE TABLE p (i integer) PARTITION BY LIST (i); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3)",
        never: &["TACH PARTITION"],
        left: &[
            "table p: how it is partitioned",
            "partition p1: its parent is partitioned in another way",
            "partition p3: its parent is partitioned in another way",
        ],
        ..NOTHING
    },
    Case {
        name: "what is said of an identity's sequence",
        since: 150_000,
        from: "CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY, i integer GENERATED ALWAYS AS IDENTITY, j integer NOT NULL); GRANT SELECT ON SEQUENCE t_id_seq TO pg_monitor; COMMENT ON SEQUENCE t_i_seq IS 'x'; ALTER SEQUENCE t_i_seq SET UNLOGGED",
        to: "CREATE TABLE t (id integer GENERATED ALWAYS AS IDENTITY, i integer GENERATED ALWAYS AS IDENTITY, j integer GENERATED ALWAYS AS IDENTITY); GRANT USAGE ON SEQUENCE t_id_seq TO pg_monitor; COMMENT ON SEQUENCE t_id_seq IS 'it''s'; ALTER SEQUENCE t_id_seq SET UNLOGGED; GRANT USAGE ON SEQUENCE t_j_seq TO pg_monitor WITH GRANT OPTION; CREATE TABLE u (id integer GENERATED ALWAYS AS IDENTITY); COMMENT ON SEQUENCE u_id_seq IS 'u'; REVOKE USAGE ON SEQUENCE u_id_seq FROM CURRENT_USER",
        says: &[("ALTER SEQUENCE public.t_id_seq SET UNLOGGED", &["crash-loss"])],
        then: &[
            (
                "SELECT relacl::text ~ 'pg_monitor=U/' AND relacl::text !~ 'pg_monitor=r' FROM pg_class WHERE relname = 't_id_seq'",
                "t",
            ),
            ("SELECT obj_description('t_id_seq'::regclass)", "it's"),
            (
                "SELECT string_agg(relpersistence::text, '' ORDER BY relname) FROM pg_class WHERE relkind = 'S'",
                "pupp",
            ),
        ],
        ..NOTHING
    },
    Case {
        name: "keys and indexes that only have other names",
        from: "CREATE TABLE t (id integer CONSTRAINT olds_pkey PRIMARY KEY, v text CONSTRAINT olds_v CHECK (v <> ''), w text); CREATE INDEX olds_w_idx ON t (w); CREATE TABLE u (t integer CONSTRAINT u_old REFERENCES t)",
        to: "CREATE TABLE t (id integer CONSTRAINT news_pkey PRIMARY KEY, v text CONSTRAINT news_v CHECK (v <> ''), w text); CREATE INDEX news_w_idx ON t (w); CREATE TABLE u (t integer CONSTRAINT u_new REFERENCES t)",
        says: &[
            ("ALTER TABLE public.t RENAME CONSTRAINT olds_pkey TO news_pkey", &[]),
            ("ALTER INDEX public.olds_w_idx RENAME TO news_w_idx", &[]),
        ],
        never: &["DROP", "CREATE", "ADD"],
        ..NOTHING
    },
    Case {
        name: "names that are swapped, and one that something else has that goes",
        from: "CREATE TABLE t (a integer, b integer, CONSTRAINT x CHECK (a > 0), CONSTRAINT y CHECK (b > 0)); CREATE TABLE named (i integer); CREATE INDEX old ON t (a)",
        to: "CREATE TABLE t (a integer, b integer, CONSTRAINT x CHECK (b > 0), CONSTRAINT y CHECK (a > 0)); CREATE INDEX named ON t (a)",
        ..NOTHING
    },
    Case {
        name: "a key of a parent with heirs and partitions has another name",
        from: "CREATE TABLE a (i integer, CONSTRAINT x CHECK (i > 0)); CREATE TABLE b () INHERITS (a); CREATE TABLE p (k integer CONSTRAINT pk PRIMARY KEY) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE INDEX pi ON p (k)",
        to: "CREATE TABLE a (i integer, CONSTRAINT y CHECK (i > 0)); CREATE TABLE b () INHERITS (a); CREATE TABLE p (k integer CONSTRAINT pl PRIMARY KEY) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE INDEX pj ON p (k)",
        ..NOTHING
    },
    Case {
        name: "NOT NULL with a name, without heirs, and not looked at yet",
        since: 180_000,
        from: "CREATE TABLE t (a integer NOT NULL, b integer, c integer NOT NULL, d integer, e integer CONSTRAINT ee NOT NULL); ALTER TABLE t ADD CONSTRAINT dd NOT NULL d NOT VALID",
        to: "CREATE TABLE t (a integer CONSTRAINT aa NOT NULL, b integer, c integer NOT NULL NO INHERIT, d integer CONSTRAINT dd NOT NULL, e integer CONSTRAINT ff NOT NULL); ALTER TABLE t ADD CONSTRAINT bb NOT NULL b NO INHERIT NOT VALID; CREATE TABLE u (a integer, b integer CONSTRAINT ub NOT NULL NO INHERIT); ALTER TABLE u ADD CONSTRAINT ua NOT NULL a NOT VALID",
        says: &[
            ("ALTER TABLE public.t RENAME CONSTRAINT t_a_not_null TO aa", &[]),
            ("ALTER TABLE public.t ADD CONSTRAINT bb NOT NULL b NO INHERIT NOT VALID", &[]),
            ("ALTER TABLE public.t ALTER CONSTRAINT t_c_not_null NO INHERIT", &[]),
            ("ALTER TABLE public.t VALIDATE CONSTRAINT dd", &["may-fail"]),
        ],
        ..NOTHING
    },
    Case {
        name: "a table becomes an heir of one with the same columns, and an heir has NOT NULL of its own",
        since: 180_000,
        from: "CREATE TABLE b (id integer NOT NULL, n integer NOT NULL); CREATE TABLE c (id integer NOT NULL, n integer NOT NULL, e text); CREATE TABLE p (b integer, c integer); CREATE TABLE kid () INHERITS (p)",
        to: "CREATE TABLE b (id integer NOT NULL, n integer NOT NULL); CREATE TABLE c (id integer NOT NULL, n integer NOT NULL, e text) INHERITS (b); CREATE TABLE p (b integer, c integer NOT NULL); CREATE TABLE kid () INHERITS (p); ALTER TABLE kid ADD CONSTRAINT kk NOT NULL b",
        ..NOTHING
    },
    Case {
        name: "what a partitioned table says of its partitions' access method",
        since: 180_000,
        from: "CREATE TABLE p (i integer) PARTITION BY LIST (i); CREATE TABLE q (i integer) PARTITION BY LIST (i) USING heap",
        to: "CREATE TABLE p (i integer) PARTITION BY LIST (i) USING heap; CREATE TABLE q (i integer) PARTITION BY LIST (i)",
        says: &[
            ("ALTER TABLE public.p SET ACCESS METHOD heap", &[]),
            ("ALTER TABLE public.q SET ACCESS METHOD DEFAULT", &[]),
        ],
        ..NOTHING
    },
    Case {
        name: "generated columns are published no longer",
        since: 180_000,
        from: "CREATE PUBLICATION p WITH (publish_generated_columns = stored)",
        to: "CREATE PUBLICATION p",
        ..NOTHING
    },
];

pub(super) const NOTHING: Case = Case {
    name: "",
    since: 0,
    from: "",
    to: "",
    rows: "",
    says: &[],
    never: &[],
    then: &[],
    left: &[],
    refused: "",
};

#[tokio::test]
async fn what_is_easily_made_wrong_is_made_right() {
    let mut wrong = Vec::new();
    let version: u32 = testkit::database().value("SHOW server_version_num").parse().unwrap();
    for case in CASES.iter().filter(|case| case.since <= version) {
        if let Err(why) = check(case).await {
            wrong.push(format!("{}: {why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

pub(super) async fn check(case: &Case) -> Result<(), String> {
    let (model, copy) = (testkit::database(), testkit::database());
    model.run(case.to);
    copy.run(case.from);
    copy.run(case.rows);
    let (before, wanted) = (read(&copy).await, read(&model).await);
    let found = diff(&before, &wanted, Options::default());
    said(case, &found)?;
    let mut session = session(&copy).await;
    match apply(&mut session, &found).await {
        Ok(()) => {}
        Err(error) if !case.refused.is_empty() && error.contains(case.refused) => return Ok(()),
        Err(error) => return Err(format!("{error}\n{}", all(&found))),
    }
    if !case.refused.is_empty() {
        return Err(format!("it is not refused:\n{}", all(&found)));
    }
    let unlike = unlike(&read(&copy).await, &wanted);
    if case.left.is_empty() && !unlike.is_empty() {
        return Err(format!("{unlike}\n{}", all(&found)));
    }
    for (query, value) in case.then {
        let got = copy.value(query);
        if got != *value {
            return Err(format!("{query}: {got}\n{}", all(&found)));
        }
    }
    Ok(())
}

fn said(case: &Case, found: &Diff) -> Result<(), String> {
    for (text, hazards) in case.says {
        let known = found.statements.iter().any(|sql| sql.text == *text && sql.hazards == *hazards);
        if !known {
            return Err(format!("not said: {text} {hazards:?}\n{}", all(found)));
        }
    }
    if let Some(part) =
        case.never.iter().find(|part| found.statements.iter().any(|sql| sql.text.contains(**part)))
    {
        return Err(format!("{part}:\n{}", all(found)));
    }
    let left: Vec<String> = found.left.iter().map(ToString::to_string).collect();
    let told = case.left.len() == left.len()
        && case.left.iter().all(|part| left.iter().any(|left| left.contains(part)));
    if told { Ok(()) } else { Err(format!("left: {left:#?}\n{}", all(found))) }
}

fn all(found: &Diff) -> String {
    let lines = found
        .statements
        .iter()
        .map(|sql| format!("  {}; -- {:?} {}", sql.text, sql.place, sql.hazards.join(", ")));
    lines.collect::<Vec<_>>().join("\n")
}
