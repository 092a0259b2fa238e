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
            vertex.add(effects_in(&parsed, &context), statement.line);
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
fn what_nobody_makes_is_the_databases() {
    let vertices = vertices(&["CREATE VIEW v AS SELECT now(), lower(name) FROM elsewhere"]);
    let graph = Graph::of(&vertices);
    let names: Vec<_> = graph.outside.iter().map(|(_, reference)| reference.object.to_string()).collect();
    assert_eq!(names, ["relation elsewhere"]);
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
    let text = Graph::of(&all).mermaid(&all, &[("Phase \"1\"".to_owned(), vec![0])]);
    assert_eq!(
        text,
        "flowchart LR\n  subgraph s0[\"Phase #quot;1#quot;\"]\n    m0[\"000\"]\n  end\n  m1[\"001\"]\n  \
         m1 -- \"foreign key c.a → a#quot;]; end #lt;b#gt;\" --> m0\n"
    );
}
