//! Edges, cycles, late-bound references and conflicts of migrations given as SQL.
#![allow(clippy::expect_used, reason = "a test helper")]

use cutover_analysis::effects::{Context, effects_in};
use cutover_analysis::graph::{Conflicts, Graph, LateFate, Vertex};
use cutover_analysis::sql::{Item, Splitter, parse};

/// A vertex for each text, in order, from an empty database on.
fn vertices(migrations: &[&str]) -> Vec<Vertex> {
    let mut context = Context::of_empty_database(15);
    let mut all = Vec::new();
    for (number, text) in migrations.iter().enumerate() {
        let mut vertex = Vertex::called(format!("{number:03}"));
        for item in Splitter::new(text.as_bytes()) {
            let Item::Statement(statement) = item.expect("splits") else { continue };
            let parsed = parse(&statement.text).expect("parses");
            vertex.add(&effects_in(&parsed, &context), statement.line);
            context.learn(&parsed);
        }
        all.push(vertex);
    }
    all
}

fn edges(migrations: &[&str]) -> Vec<String> {
    let vertices = vertices(migrations);
    let graph = Graph::of(&vertices);
    let words = |edge: &cutover_analysis::graph::Edge| {
        let why: Vec<String> = edge.why.iter().map(ToString::to_string).collect();
        format!("{} needs {}: {}", vertices[edge.from].label, vertices[edge.to].label, why.join("; "))
    };
    graph.edges.iter().map(words).collect()
}

const USERS: &str = "CREATE TABLE users (id int PRIMARY KEY)";
const TASKS: &str =
    "CREATE TABLE tasks (id int, user_id int REFERENCES users); CREATE INDEX tasks_user ON tasks (user_id)";
const CONVERSATIONS: &str = "CREATE TABLE conversations (id int PRIMARY KEY, user_id int NOT NULL,
     FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE)";
const MESSAGES: &str = "CREATE TABLE messages (id int, conversation_id int REFERENCES conversations,
     user_id int REFERENCES users)";

#[test]
fn edges_say_why() {
    assert_eq!(
        edges(&[USERS, TASKS, CONVERSATIONS, MESSAGES]),
        [
            "001 needs 000: foreign key tasks.user_id → users",
            "002 needs 000: foreign key conversations.user_id → users",
            "003 needs 000: foreign key messages.user_id → users",
            "003 needs 002: foreign key messages.conversation_id → conversations",
        ]
    );
    let graph = Graph::of(&vertices(&[USERS, TASKS, CONVERSATIONS, MESSAGES]));
    assert_eq!(graph.waves(4), [vec![0], vec![1, 2], vec![3]]);
}

#[test]
fn what_every_server_has_is_not_missing() {
    let vertices = vertices(&[
        "CREATE VIEW v AS SELECT FROM pg_class, pg_tables, pg_catalog.pg_type, information_schema.columns, pg_mine",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
           PERFORM FROM pg_class, pg_stat_activity, information_schema.tables, pg_catalog.pg_proc, pg_other; END $$",
        "GRANT SELECT ON pg_catalog.pg_authid, information_schema.columns TO PUBLIC; GRANT USAGE ON SCHEMA pg_catalog TO PUBLIC",
    ]);
    let graph = Graph::of(&vertices);
    let outside: Vec<_> = graph.outside.iter().map(|(_, reference)| reference.object.name.as_str()).collect();
    let late: Vec<_> = graph.late.iter().map(|late| late.reference.object.name.as_str()).collect();
    assert_eq!((outside, late), (vec!["pg_mine"], vec!["pg_other"]));
}

#[test]
fn the_last_maker_before_counts_and_later_ones_only_where_there_is_none() {
    assert_eq!(
        edges(&[
            "CREATE TABLE t (a int)",
            "DROP TABLE t; CREATE TABLE t (b int)",
            "CREATE INDEX ON t (b)",
            "CREATE INDEX ON late (b)",
            "CREATE TABLE late (b int)",
        ]),
        [
            "001 needs 000: table t (dropped)",
            "002 needs 001: relation t (indexed)",
            "003 needs 004: relation late (indexed)",
        ]
    );
}

#[test]
fn schemas_tell_names_apart_and_search_paths_do_not() {
    assert_eq!(
        edges(&[
            "CREATE SCHEMA a; CREATE TABLE a.t (id int)",
            "CREATE SCHEMA b; CREATE TABLE b.t (id int)",
            "CREATE INDEX ON a.t (id)",
            "CREATE INDEX ON b.t (id)",
            "CREATE VIEW v AS SELECT * FROM t",
        ]),
        [
            "002 needs 000: relation a.t (indexed)",
            "003 needs 001: relation b.t (indexed)",
            "004 needs 001: relation t (read by a view)",
        ]
    );
}

#[test]
fn what_is_in_a_schema_needs_it() {
    let schema = "CREATE SCHEMA ss";
    for (made, why) in [
        ("CREATE TABLE ss.x (id int)", "table ss.x made in it"),
        ("CREATE FUNCTION ss.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "function ss.f made in it"),
        ("CREATE TYPE ss.e AS ENUM ('a')", "type ss.e made in it"),
        ("CREATE SEQUENCE ss.s", "sequence ss.s made in it"),
        ("CREATE VIEW ss.v AS SELECT 1", "view ss.v made in it"),
        ("ALTER TABLE IF EXISTS ss.x ADD a int", "column ss.x.a made in it"),
        ("CREATE VIEW v AS SELECT * FROM ss.x", "relation ss.x in it"),
        ("SET search_path = ss; CREATE TABLE x (id int)", "in the search path"),
    ] {
        assert_eq!(edges(&[schema, made]), [format!("001 needs 000: schema ss ({why})")], "{made}");
    }
    assert_eq!(
        edges(&["CREATE TABLE ss.x (id int)", schema]),
        ["000 needs 001: schema ss (table ss.x made in it)"]
    );
    // Another reason says it already; a search path may name what is not there yet.
    assert_eq!(
        edges(&["CREATE SCHEMA ss; CREATE TABLE ss.t (id int)", "CREATE INDEX i ON ss.t (id)"]),
        ["001 needs 000: relation ss.t (indexed)"]
    );
    assert!(edges(&["SET search_path = ss; CREATE TABLE x (id int)", schema]).is_empty());
    // What no migration makes is as unnamed as before.
    let graph = Graph::of(&vertices(&["CREATE TABLE elsewhere.x (id int)"]));
    assert!(graph.outside.is_empty(), "{:?}", graph.outside);
}

#[test]
fn a_renamed_schema_has_what_it_had() {
    let all = vertices(&[
        "CREATE SCHEMA a; CREATE TABLE a.t (id int)",
        "ALTER SCHEMA a RENAME TO b",
        "CREATE VIEW v AS SELECT * FROM b.t",
    ]);
    let graph = Graph::of(&all);
    let pairs: Vec<_> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    assert_eq!(pairs, [(1, 0), (2, 1)]);
    assert!(graph.outside.is_empty(), "{:?}", graph.outside);
}

#[test]
fn a_relation_is_a_type_and_types_come_with_others() {
    let b = "CREATE TABLE b (id int)";
    let declare = |what: &str| {
        format!(
            "CREATE FUNCTION f(p int) RETURNS int LANGUAGE plpgsql AS $$ DECLARE {what}; BEGIN RETURN 1; END $$"
        )
    };
    let (range, mood) = ("CREATE TYPE rt AS RANGE (subtype = int)", "CREATE TYPE mood AS ENUM ('a')");
    for (made, user) in [
        (b, "CREATE TABLE x (v b)"),
        (b, "CREATE TABLE x (v b[])"),
        (b, "CREATE TABLE x (v _b)"),
        (b, "CREATE FUNCTION f(x b) RETURNS int LANGUAGE sql AS 'SELECT 1'"),
        (b, "CREATE FUNCTION f() RETURNS SETOF b LANGUAGE plpgsql AS 'BEGIN END'"),
        (b, "CREATE FUNCTION f() RETURNS TABLE (z b) LANGUAGE plpgsql AS 'BEGIN END'"),
        (b, "CREATE VIEW v AS SELECT NULL::b AS z"),
        (b, &declare("r b%ROWTYPE")),
        (b, &declare("i b.id%TYPE")),
        (b, &declare("i b := NULL")),
        (mood, &declare("i mood")),
        (mood, &declare("i mood[]")),
        ("CREATE TYPE c AS (a int)", &declare("i CONSTANT c DEFAULT NULL")),
        (range, "CREATE VIEW v AS SELECT rt(1, 2) AS z"),
        (range, "CREATE TABLE x (r rt_multirange)"),
        ("CREATE TYPE textrange AS RANGE (subtype = text)", "CREATE TABLE x (r textmultirange)"),
        ("CREATE TYPE r AS RANGE (subtype = int, multirange_type_name = own)", "CREATE TABLE x (r own)"),
        ("ALTER TABLE b ADD z int", &declare("i b.z%TYPE")),
        (
            "CREATE TABLE t (a int PRIMARY KEY, b int UNIQUE)",
            "CREATE VIEW v AS SELECT 1; REINDEX INDEX t_b_key",
        ),
    ] {
        let found = edges(&[made, user]);
        assert!(
            matches!(found.as_slice(), [edge] if edge.starts_with("001 needs 000: ")),
            "{user}: {found:?}"
        );
    }
    for plain in
        ["i int", "i double precision", "i p%TYPE", "t timestamp with time zone", "n numeric(10, 2) := 1"]
    {
        let all = vertices(&[&declare(plain)]);
        assert!(all[0].needs.is_empty(), "{plain}: {:?}", all[0].needs);
    }
    // Unless the server is told not to look.
    let unchecked = format!("SET check_function_bodies = off; {}", declare("r b%ROWTYPE"));
    assert!(edges(&[&unchecked, b]).is_empty());
    assert_eq!(edges(&[&declare("r b%ROWTYPE"), b]), ["000 needs 001: relation b (type of a variable)"]);
}

#[test]
fn what_nobody_makes_is_the_databases() {
    let vertices = vertices(&["CREATE VIEW v AS SELECT now(), lower(name) FROM elsewhere"]);
    let graph = Graph::of(&vertices);
    let names: Vec<_> = graph.outside.iter().map(|(_, reference)| reference.object.to_string()).collect();
    assert_eq!(names, ["relation elsewhere"]);
    // Which names PostgreSQL chose is not always known.
    let numbered =
        ["CREATE TABLE t (a int); CREATE INDEX ON t (a); CREATE INDEX ON t (a)", "DROP INDEX t_a_idx1"];
    assert!(Graph::of(&self::vertices(&numbered)).outside.is_empty());
    assert_eq!(Graph::of(&self::vertices(&["DROP INDEX i"])).outside.len(), 1);
}

#[test]
fn cycles_are_whole() {
    let all = vertices(&[
        "CREATE VIEW a AS SELECT * FROM b",
        "CREATE VIEW b AS SELECT * FROM c",
        "CREATE VIEW c AS SELECT * FROM a",
    ]);
    assert_eq!(Graph::of(&all).cycles, [[0, 1, 2]]);
}

#[test]
fn names_in_bodies_are_satisfied_before_later_or_never() {
    let all = vertices(&[
        "CREATE TABLE before (a int)",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO before VALUES (1); INSERT INTO after VALUES (1); DELETE FROM never; RETURN NEW; END $$",
        "CREATE TABLE after (a int)",
    ]);
    let graph = Graph::of(&all);
    let found: Vec<_> =
        graph.late.iter().map(|late| (late.reference.object.name.as_str(), late.fate)).collect();
    assert_eq!(found, [("after", LateFate::Later(2)), ("never", LateFate::NoMigration)]);
    assert!(graph.edges.is_empty());
}

#[test]
fn the_rows_that_a_trigger_hands_over_are_no_table() {
    let all = vertices(&[
        "CREATE TABLE orders (a int);
         CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN DELETE FROM orders WHERE a IN (SELECT a FROM added); DELETE FROM never; RETURN NULL; END $$",
        "CREATE TRIGGER t AFTER INSERT ON orders REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION f()",
    ]);
    let late = Graph::of(&all).late;
    let found: Vec<_> = late.iter().map(|late| late.reference.object.name.as_str()).collect();
    assert_eq!(found, ["never"]);
}

fn conflicts(migrations: &[&str]) -> Vec<(usize, usize)> {
    let conflicts = Conflicts::of(&vertices(migrations));
    conflicts.before.iter().flatten().map(|conflict| (conflict.from, conflict.to)).collect()
}

#[test]
fn what_one_changes_the_other_may_not_touch() {
    let t = "CREATE TABLE t (a int, b int)";
    assert_eq!(conflicts(&[t, "CREATE INDEX ON t (a)", "CREATE INDEX ON t (b)"]), [(1, 0), (2, 1)]);
    assert_eq!(
        conflicts(&[t, "INSERT INTO t VALUES (1)", "CREATE TABLE x AS SELECT * FROM t"]),
        [(1, 0), (2, 1)]
    );
    // Two readers may overlap.
    assert_eq!(
        conflicts(&[t, "CREATE VIEW x AS SELECT * FROM t", "CREATE VIEW y AS SELECT * FROM t"]),
        [(1, 0), (2, 0)]
    );
    assert_eq!(conflicts(&[t, "DO $$ BEGIN END $$", "CREATE TABLE y (a int)"]), [(1, 0), (2, 1)]);
    assert_eq!(conflicts(&["GRANT a TO b", "GRANT a TO c"]), [(1, 0)]);
    assert_eq!(conflicts(&["CREATE TABLE x (a int)", "CREATE TABLE y (a int)"]), []);
}

#[test]
fn names_that_postgresql_chooses_are_made_in_order() {
    for (first, second) in [
        // Whoever comes second gets another name.
        (
            "CREATE TABLE a (b_c int); CREATE INDEX ON a (b_c)",
            "CREATE TABLE a_b (c int); CREATE INDEX ON a_b (c)",
        ),
        ("CREATE TABLE a (b_c int UNIQUE)", "CREATE TABLE a_b (c int); ALTER TABLE a_b ADD UNIQUE (c)"),
        ("CREATE TABLE a (b_c serial)", "CREATE TABLE a_b (c int GENERATED ALWAYS AS IDENTITY)"),
        ("CREATE TABLE t1 (id int UNIQUE)", "CREATE TABLE t1_id_key (id int)"),
        ("CREATE TABLE t1_pkey (id int)", "CREATE TABLE t1 (id int PRIMARY KEY)"),
        ("CREATE TABLE t (a int); CREATE INDEX x ON t (a)", "CREATE TABLE x (a int)"),
        ("CREATE TABLE t (a text); CREATE INDEX ON t (lower(a))", "CREATE SEQUENCE t_lower_idx"),
        ("CREATE TABLE t (a text); CREATE INDEX ON t ((a || a))", "CREATE SEQUENCE t_expr_idx"),
        (
            "CREATE TABLE t (a text); CREATE INDEX ON t (a, (a::int), (a || 'x')) INCLUDE (a)",
            "CREATE SEQUENCE t_a_a1_expr_a2_idx",
        ),
        ("CREATE TABLE t (a int, EXCLUDE USING btree (a WITH =))", "CREATE TABLE t_a_excl (a int)"),
        ("CREATE TYPE t9 AS (a int)", "CREATE TABLE t9 (id int)"),
        ("CREATE SCHEMA ss", "SET search_path = ss, public; CREATE TABLE x (a int)"),
    ] {
        assert_eq!(conflicts(&[first, second]), [(1, 0)], "{first} | {second}");
        assert_eq!(conflicts(&[second, first]), [(1, 0)], "{second} | {first}");
    }
    assert_eq!(conflicts(&["CREATE TABLE x (a int UNIQUE)", "CREATE TABLE y (a int UNIQUE)"]), []);
}

#[test]
fn foreign_keys_to_one_parent_only_wait() {
    let all = vertices(&[USERS, TASKS, CONVERSATIONS, "ALTER TABLE users ADD x int"]);
    let found = Conflicts::of(&all);
    let pairs: Vec<_> = found.before.iter().flatten().map(|conflict| (conflict.from, conflict.to)).collect();
    assert_eq!(pairs, [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2)]);
    assert_eq!(found.waits[1], ["users"]);
    assert_eq!(found.waits[2], ["users"]);
    assert_eq!(found.before[3].last().expect("one").why, "one changes users, the other points to it");
}

#[test]
fn mermaid_survives_any_name() {
    let all = vertices(&[
        "CREATE TABLE \"a\"\"]; end <b>\" (id int PRIMARY KEY)",
        "CREATE TABLE c (a int REFERENCES \"a\"\"]; end <b>\")",
    ]);
    let text = Graph::of(&all)
        .mermaid(&["000 a\"]; end <b>".to_owned(), "001".to_owned()], &[("Phase \"1\"".to_owned(), vec![0])]);
    assert_eq!(
        text,
        "flowchart LR\n  subgraph s0[\"Phase #quot;1#quot;\"]\n    m0[\"000 a#quot;]; end #lt;b#gt;\"]\n  end\n  m1[\"001\"]\n  \
         m1 -- \"foreign key c.a → a#quot;]; end #lt;b#gt;\" --> m0\n"
    );
}
