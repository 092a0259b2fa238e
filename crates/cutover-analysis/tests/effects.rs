//! The effects of one statement of each kind, as text. `UPDATE_EXPECT=1` writes the expectation anew.
#![allow(clippy::expect_used, reason = "a test helper")]

use std::fmt::Write as _;

use cutover_analysis::effects::{
    Check, Context, Control, Effects, ObjectKind, ObjectRef, Retry, TEMPORARY_SCHEMA, TransactionRule,
    effects_and_after, effects_of_text,
};
use cutover_analysis::sql::{Item, Splitter};

fn object(object: &ObjectRef) -> String {
    let mut text = format!("{:?} ", object.kind);
    for part in [&object.schema, &object.table].into_iter().flatten() {
        text.push_str(part);
        text.push('.');
    }
    text + &object.name
}

fn show(effects: &Effects) -> String {
    let mut text = String::new();
    for (sign, objects) in [
        ('+', &effects.creates),
        ('*', &effects.chosen),
        ('~', &effects.alters),
        ('-', &effects.drops),
        ('>', &effects.refers),
        ('w', &effects.writes),
        ('r', &effects.reads),
    ] {
        for one in objects {
            let _ = writeln!(text, "    {sign} {}", object(one));
        }
    }
    if effects.must_be_new {
        let _ = writeln!(text, "    must be new");
    }
    for reference in &effects.references {
        let _ = writeln!(text, "    ? {}: {}", object(&reference.object), reference.why);
    }
    for reference in &effects.late {
        let _ = writeln!(text, "    later ? {}: {}", object(&reference.object), reference.why);
    }
    for reference in &effects.checked {
        let _ = writeln!(text, "    checked ? {}: {}", object(&reference.object), reference.why);
    }
    for one in &effects.late_creates {
        let _ = writeln!(text, "    later + {}", object(one));
    }
    if let Some(reason) = &effects.late_opaque {
        let _ = writeln!(text, "    later opaque: {reason}");
    }
    for lock in &effects.locks {
        let _ = writeln!(text, "    {} {}", lock.mode.short(), object(&lock.relation));
    }
    for more in &effects.more_locks {
        let _ = writeln!(text, "    locks {more}");
    }
    for work in &effects.work {
        let sure = if work.sure { "" } else { "perhaps " };
        let _ = writeln!(text, "    {sure}{:?} {}: {}", work.kind, object(&work.relation), work.why);
    }
    if effects.transaction != TransactionRule::Allowed {
        let _ = writeln!(text, "    {:?}", effects.transaction);
    }
    if effects.retry != Retry::Unknown {
        let _ = writeln!(text, "    {:?}", effects.retry);
    }
    for (name, is_set) in [
        ("copy data", effects.copy_from_stdin),
        ("search path", effects.sets_search_path),
        ("session state", effects.session_state),
    ] {
        if is_set {
            let _ = writeln!(text, "    {name}");
        }
    }
    if let Some(reason) = &effects.opaque {
        let _ = writeln!(text, "    opaque: {reason}");
    }
    text
}

fn of(sql: &str) -> Effects {
    effects_of_text(sql).expect(sql)
}

#[test]
fn the_corpus() {
    let mut text = String::new();
    for item in Splitter::new(include_str!("corpus.sql").as_bytes()) {
        if let Item::Statement(statement) = item.expect("right") {
            let _ = write!(text, "{}\n{}", statement.text, show(&of(&statement.text)));
        }
    }
    expect_test::expect_file!["corpus.effects"].assert_eq(&text);
}

/// The corpus names everything that is a user's own function, type or operator class `own_…`, in every place an
/// expression can stand in: none may be missed.
#[test]
fn nothing_a_statement_mentions_is_missed() {
    let mut mentioned = 0;
    for item in Splitter::new(include_str!("corpus.sql").as_bytes()) {
        let Item::Statement(statement) = item.expect("right") else { continue };
        // The arguments in a signature only say which function or operator is meant.
        let signature = ["ALTER FUNCTION", "DROP OPERATOR", "DROP AGGREGATE"];
        if signature.iter().any(|start| statement.text.starts_with(start)) {
            continue;
        }
        let effects = of(&statement.text);
        let needed = effects.references.iter().map(|reference| &reference.object);
        let known: Vec<&str> = [&effects.creates, &effects.alters, &effects.drops]
            .into_iter()
            .flatten()
            .chain(needed)
            .flat_map(|object| object.name.split(' '))
            .collect();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for word in statement.text.split(|c| !is_part(c)).filter(|word| word.starts_with("own_")) {
            mentioned += 1;
            assert!(known.contains(&word), "{word} in {}", statement.text);
        }
    }
    assert!(mentioned > 120, "{mentioned}");
}

#[test]
fn names_are_those_postgresql_stores() {
    let long = "N".repeat(70);
    let created = of(&format!("CREATE TABLE App.\"Users\" (a int); CREATE TABLE {long} (a int)")).creates;
    assert_eq!(created[0], ObjectRef::new(ObjectKind::Table, Some("app".into()), "Users"));
    assert_eq!(created[1].name, "n".repeat(63));
}

#[test]
fn what_a_statement_creates_is_no_reference() {
    let effects = of(
        "CREATE TABLE t (id serial PRIMARY KEY, parent int REFERENCES t, n int DEFAULT nextval('t_id_seq'))",
    );
    assert!(effects.references.iter().all(|reference| reference.object.name == "nextval"), "{effects:?}");
    let effects = of("CREATE TEMP TABLE t (id int); INSERT INTO t VALUES (1)");
    assert!(effects.references.is_empty(), "{effects:?}");
    assert_eq!(effects.creates[0].schema.as_deref(), Some(TEMPORARY_SCHEMA));
    assert!(effects.creates[0].is_temporary() && effects.session_state);
}

#[test]
fn names_in_a_body_are_needed_only_if_postgresql_binds_them_at_once() {
    let needed =
        |sql: &str| of(sql).references.into_iter().map(|reference| reference.object.name).collect::<Vec<_>>();
    assert_eq!(needed("CREATE FUNCTION f() RETURNS int RETURN (SELECT a FROM t)"), ["t"]);
    assert!(needed("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT a FROM t'").is_empty());
    assert!(needed("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN g(); END'").is_empty());
    assert_eq!(needed("CREATE FUNCTION f() RETURNS int LANGUAGE plperl AS 'x'"), ["plperl"]);
}

#[test]
fn statements_of_bodies_name_what_they_need_and_make() {
    let function = |body: &str| {
        let effects =
            of(&format!("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {body} END $$"));
        let late = effects.late.iter().map(|late| format!("{} ({})", late.object, late.why));
        let made = effects.late_creates.iter().map(|made| format!("makes {made}"));
        late.chain(made).collect::<Vec<_>>()
    };
    for (body, found) in [
        ("TRUNCATE t;", "table t (emptied in a function)"),
        ("LOCK TABLE t;", "relation t (locked in a function)"),
        ("COPY t FROM '/x';", "relation t (copied into in a function)"),
        ("CREATE INDEX i ON t (a);", "relation t (indexed in a function) makes index i"),
        ("ALTER TABLE t ADD a int;", "table t (altered in a function) makes column t.a"),
        ("DROP TABLE t;", "table t (dropped in a function)"),
        ("DROP TABLE IF EXISTS t;", ""),
        ("REFRESH MATERIALIZED VIEW m;", "materialized view m (refreshed in a function)"),
        (
            "CREATE TEMP TABLE x (a int); INSERT INTO x VALUES (1); INSERT INTO t SELECT a FROM x;",
            "relation t (written in a function)",
        ),
        ("CREATE TABLE made (a int); INSERT INTO made VALUES (1);", "makes table made"),
    ] {
        assert_eq!(function(body).join(" "), found, "{body}");
    }
    let deep = format!("{} DELETE FROM t; {}", "IF true THEN ".repeat(60), "END IF; ".repeat(60));
    assert_eq!(function(&deep), ["relation t (written in a function)"]);
}

#[test]
fn plain_statements_leave_nothing_in_the_session() {
    for sql in [
        "CREATE TABLE t (a timestamptz DEFAULT now())",
        "INSERT INTO t SELECT count(*), now(), nextval('s') FROM u",
        "UPDATE t SET a = lower(b) WHERE c IN (SELECT d FROM u)",
        "SELECT pg_catalog.setval('s', 1)",
        "GRANT SELECT ON t TO reader",
    ] {
        let effects = of(sql);
        assert!(!effects.session_state && effects.opaque.is_none(), "{sql}: {effects:?}");
    }
    for sql in [
        "SELECT f()",
        "SELECT app.lower('x')",
        "UPDATE t SET a = f(b)",
        "SET a.b = 1",
        "SELECT set_config('a.b', '', true)",
    ] {
        assert!(of(sql).session_state, "{sql}");
    }
}

#[test]
fn the_search_path_is_noticed() {
    for sql in [
        "SET search_path = a",
        "SET LOCAL search_path TO a",
        "SET SCHEMA 'a'",
        "RESET search_path",
        "RESET ALL",
        "SELECT pg_catalog.set_config('search_path', '', false)",
        "SELECT set_config(name, '', false) FROM t",
        "DISCARD ALL",
        "SET ROLE boss",
    ] {
        assert!(of(sql).sets_search_path, "{sql}");
    }
    assert!(!of("SET work_mem = '1MB'").sets_search_path);
    assert!(!of("SELECT set_config('work_mem', '1MB', false)").sets_search_path);
}

#[test]
fn the_columns_of_a_table_are_known_in_their_order() {
    let mut known = Context::EMPTY;
    for sql in [
        "CREATE TABLE app.t (a int, b int GENERATED ALWAYS AS (a + 1) STORED, c int GENERATED ALWAYS AS (a) STORED)",
        "ALTER TABLE app.t ADD d int, DROP COLUMN a, ALTER c DROP EXPRESSION",
        "CREATE TABLE u (LIKE app.t)",
        "CREATE TABLE one.twice (a int)",
        "CREATE TABLE other.twice (b int)",
    ] {
        effects_and_after(sql, &mut known).expect(sql);
    }
    let columns = |schema: Option<&str>, name: &str| {
        let columns = known.table_columns(schema, name)?;
        Some(
            columns
                .into_iter()
                .map(|c| format!("{}{}", c.name, if c.generated { "*" } else { "" }))
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(columns(Some("app"), "t").expect("known"), ["b*", "c", "d"]);
    // The search path of the file may lead to the only one of that name.
    assert_eq!(columns(None, "t"), columns(Some("app"), "t"));
    for (schema, name) in [(None, "u"), (None, "twice"), (Some("public"), "t"), (None, "nowhere")] {
        assert_eq!(columns(schema, name), None, "{name}");
    }
}

#[test]
fn copy_data_from_the_client_is_told_from_files() {
    assert!(of("COPY t (a) FROM STDIN WITH (FORMAT csv)").copy_from_stdin);
    assert!(!of("COPY t FROM '/tmp/x'").copy_from_stdin);
    assert!(!of("COPY t TO STDOUT").copy_from_stdin);
    assert!(of("COPY t FROM PROGRAM 'x'").opaque.is_some());
}

#[test]
fn what_a_transaction_forbids_can_be_checked_or_repeated() {
    let retry = |sql: &str| {
        let effects = of(sql);
        assert!(matches!(effects.transaction, TransactionRule::Forbidden { .. }), "{sql}");
        effects.retry
    };
    let index = ObjectRef { table: Some("t".into()), ..ObjectRef::new(ObjectKind::Index, None, "i") };
    assert_eq!(
        retry("CREATE INDEX CONCURRENTLY i ON t (a)"),
        Retry::Checkable(Check::IndexValid {
            index,
            table: Some(ObjectRef::new(ObjectKind::Relation, None, "t")),
            unique: false,
        })
    );
    assert_eq!(retry("VACUUM t"), Retry::Idempotent);
    assert!(matches!(retry("DROP INDEX CONCURRENTLY i"), Retry::Checkable(Check::IndexAbsent { .. })));
    for sql in [
        "ALTER TYPE mood ADD VALUE 'x'",
        "ANALYZE t",
        "REINDEX TABLE t",
        "CLUSTER t USING i",
        "CREATE INDEX i ON t (a)",
        "REINDEX (CONCURRENTLY false) TABLE t",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
        "ALTER TABLE p DETACH PARTITION q FINALIZE",
        "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (create_slot = off)",
    ] {
        assert_eq!(of(sql).transaction, TransactionRule::Allowed, "{sql}");
    }
    for (sql, control) in [
        ("BEGIN", Control::Begin),
        ("END", Control::Commit),
        ("ABORT", Control::Rollback),
        ("ROLLBACK TO a", Control::Other),
    ] {
        assert_eq!(of(sql).transaction, TransactionRule::Control(control), "{sql}");
    }
}
