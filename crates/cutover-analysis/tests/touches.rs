//! What statements name in a schema other than to read it. `UPDATE_EXPECT=1` writes the list anew.
#![allow(clippy::expect_used, reason = "a test helper")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use cutover_analysis::effects::{Effects, ObjectKind, ObjectRef, effects_of_text};
use cutover_analysis::sql::{Item, Splitter};

/// The schema that is watched.
const WATCHED: &str = "watched";

fn is_touched(effects: &Effects) -> bool {
    let watched = |name: &str| name == WATCHED;
    effects.searched_schemas.iter().any(|name| watched(name))
        || effects.touches().any(|object| {
            object.schema.as_deref().is_some_and(watched)
                || object.kind == ObjectKind::Schema && watched(&object.name)
        })
}

/// The words of a statement that stand outside its strings and comments; of `a.b` the first.
fn words(sql: &str) -> Vec<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = sql.as_bytes();
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let start = at;
        if bytes[at] == b'\'' || bytes[at] == b'"' {
            at = sql[at + 1..].find(char::from(bytes[at])).map_or(bytes.len(), |end| at + end + 2);
        } else if bytes[at] == b'$' && sql[at + 1..].contains('$') {
            let tag = &sql[at..=at + 1 + sql[at + 1..].find('$').expect("just seen")];
            at = sql[at + tag.len()..].find(tag).map_or(bytes.len(), |end| at + end + 2 * tag.len());
        } else if is_part(bytes[at]) {
            while bytes.get(at).is_some_and(|byte| is_part(*byte)) {
                at += 1;
            }
            if !bytes[start].is_ascii_digit() && (start == 0 || bytes[start - 1] != b'.') {
                found.push(start..at);
            }
        } else {
            at += 1;
        }
    }
    found
}

/// How an object of the watched schema is known that is not touched.
fn otherwise(effects: &Effects) -> &'static str {
    let watched = |object: &ObjectRef| object.schema.as_deref() == Some(WATCHED);
    match effects.references.iter().map(|reference| &reference.object).find(|object| watched(object)) {
        Some(object) if object.kind == ObjectKind::Routine => "calls",
        Some(object) if object.kind == ObjectKind::Type => "mentions the type",
        Some(_) => "reads",
        None => "unseen",
    }
}

/// Every name in the corpus, moved into the watched schema, is found to be touched, but for those in this list: what is
/// read or called, types in expressions and signatures, and what names nothing in a schema: columns, settings, values.
#[test]
fn nothing_but_what_is_read_is_left_out() {
    let (mut text, mut tried) = (String::new(), 0);
    for item in Splitter::new(include_str!("corpus.sql").as_bytes()) {
        let Item::Statement(statement) = item.expect("right") else { continue };
        let sql = statement.text.as_str();
        let mut left_out: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for word in words(sql) {
            let name = match &sql[word.clone()] {
                _ if sql[word.end..].starts_with('.') => WATCHED.to_owned(),
                name => format!("{WATCHED}.{name}"),
            };
            let moved = format!("{}{name}{}", &sql[..word.start], &sql[word.end..]);
            let Ok(effects) = effects_of_text(&moved) else { continue };
            tried += 1;
            if !is_touched(&effects) {
                left_out.entry(otherwise(&effects)).or_default().push(&sql[word]);
            }
        }
        let _ = writeln!(text, "{sql}");
        for (how, words) in left_out {
            let _ = writeln!(text, "    {how}: {}", words.join(", "));
        }
    }
    assert!(tried > 400, "{tried}");
    expect_test::expect_file!["corpus.untouched"].assert_eq(&text);
}

/// What names a schema alone, and what a statement does by its parts, bodies and settings.
#[test]
fn a_schema_is_touched_by_many_ways() {
    for sql in [
        "CREATE SCHEMA IF NOT EXISTS watched",
        "CREATE SCHEMA AUTHORIZATION watched",
        "CREATE SCHEMA app GRANT SELECT ON watched.t TO r",
        "ALTER SCHEMA watched RENAME TO other",
        "ALTER SCHEMA other RENAME TO watched",
        "ALTER SCHEMA watched OWNER TO r",
        "DROP SCHEMA a, watched CASCADE",
        "COMMENT ON SCHEMA watched IS 'x'",
        "SECURITY LABEL ON SCHEMA watched IS 'x'",
        "SECURITY LABEL FOR p ON COLUMN watched.t.c IS 'x'",
        "GRANT USAGE ON SCHEMA app, watched TO r",
        "REVOKE ALL ON ALL TABLES IN SCHEMA app, watched FROM r",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA watched TO r",
        "GRANT EXECUTE ON ALL ROUTINES IN SCHEMA watched TO r",
        "GRANT SELECT (a) ON watched.t TO r",
        "ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA app, watched GRANT SELECT ON TABLES TO r",
        "CREATE EXTENSION x WITH SCHEMA watched CASCADE",
        "ALTER EXTENSION x SET SCHEMA watched",
        "ALTER EXTENSION x ADD SCHEMA watched",
        "ALTER EXTENSION x DROP TABLE watched.t",
        "IMPORT FOREIGN SCHEMA remote LIMIT TO (a) FROM SERVER s INTO watched",
        "ALTER TABLE t SET SCHEMA watched",
        "ALTER TYPE t SET SCHEMA watched",
        "ALTER FUNCTION f(int) SET SCHEMA watched",
        "ALTER OPERATOR FAMILY f USING btree SET SCHEMA watched",
        "CREATE PUBLICATION p FOR TABLES IN SCHEMA a, watched",
        "ALTER PUBLICATION p ADD TABLE watched.t",
        "ALTER PUBLICATION p SET TABLES IN SCHEMA watched",
        "REINDEX SCHEMA watched",
        "LOCK TABLE a, watched.t IN ACCESS SHARE MODE",
        "VACUUM ANALYZE watched.t",
        "CREATE TABLE t (a int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME watched.s))",
        "CREATE TABLE t (a watched.t)",
        "CREATE TYPE c AS (a watched.t)",
        "COMMENT ON CONSTRAINT c ON DOMAIN watched.d IS 'x'",
        "ALTER DOMAIN watched.d RENAME CONSTRAINT a TO b",
        // Rows that are locked, and sequences that are moved on.
        "SELECT * FROM watched.t FOR UPDATE",
        "SELECT * FROM a, LATERAL (SELECT * FROM b JOIN watched.t ON true) c FOR KEY SHARE NOWAIT",
        "SELECT * FROM a JOIN watched.t AS c ON true FOR SHARE OF a FOR UPDATE OF c SKIP LOCKED",
        "SELECT * FROM watched.t TABLESAMPLE system (1) FOR NO KEY UPDATE OF t",
        "SELECT * FROM a WHERE EXISTS (SELECT FROM watched.t FOR SHARE)",
        "DECLARE c CURSOR FOR SELECT * FROM watched.t FOR UPDATE",
        "WITH w AS (SELECT * FROM watched.t FOR UPDATE) SELECT * FROM w",
        "WITH w AS (DELETE FROM watched.t RETURNING *) SELECT * FROM w",
        "CREATE VIEW v AS SELECT * FROM watched.t FOR UPDATE",
        "SELECT nextval('watched.s')",
        "INSERT INTO a VALUES (setval('watched.s'::regclass, 1))",
        "EXPLAIN ANALYZE DELETE FROM watched.t",
        "PREPARE p AS UPDATE watched.t SET a = 1",
        "COPY (DELETE FROM watched.t RETURNING *) TO STDOUT",
        // What is done later.
        "CREATE RULE r AS ON INSERT TO a DO ALSO INSERT INTO watched.t VALUES (1)",
        "CREATE RULE r AS ON DELETE TO a DO INSTEAD SELECT * FROM watched.t FOR UPDATE",
        "CREATE FUNCTION f() RETURNS void BEGIN ATOMIC DELETE FROM watched.t; END",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SELECT 1; TRUNCATE watched.t'",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'not sql; watched.t'",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DROP TABLE watched.t; RETURN NEW; END'",
        "DO $$ BEGIN LOCK watched.t; END $$",
        "DO $$ BEGIN GRANT SELECT ON ALL TABLES IN SCHEMA watched TO r; END $$",
        "DO $$ DECLARE n int := nextval('watched.s'); BEGIN END $$",
        "DO $$ BEGIN IF true THEN PERFORM 1 FROM watched.t FOR UPDATE; END IF; END $$",
        "DO $$ BEGIN EXECUTE 'DROP TABLE watched.t'; END $$",
        "DO $$ BEGIN EXECUTE 'CREATE FUNCTION f() RETURNS void LANGUAGE sql AS ''DELETE FROM watched.t'''; END $$",
        "DO $$ BEGIN broken DELETE FROM watched.t; END $$",
        // Where unqualified names lead.
        "SET search_path = a, watched",
        "SET LOCAL SCHEMA 'watched'",
        "SELECT set_config('search_path', 'a, \"watched\"', false)",
        "DO $$ BEGIN SET LOCAL search_path = watched; END $$",
        "DO $$ BEGIN PERFORM set_config('search_path', 'watched', true); END $$",
        "ALTER ROLE r IN DATABASE d SET search_path TO watched, a",
        "ALTER DATABASE d SET search_path = watched",
        "ALTER SYSTEM SET search_path = watched",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = watched AS 'SELECT 1'",
        "ALTER FUNCTION f() SET search_path = watched",
        "ALTER PROCEDURE f() SET search_path = watched",
    ] {
        let effects = effects_of_text(sql).expect(sql);
        assert!(is_touched(&effects), "{sql}: {effects:#?}");
    }
}

#[test]
fn what_reads_a_schema_does_not_touch_it() {
    for sql in [
        "SELECT * FROM watched.t",
        "TABLE watched.t",
        "SELECT * FROM a JOIN watched.t ON true FOR UPDATE OF a",
        "SELECT * FROM a WHERE EXISTS (SELECT FROM watched.t) FOR UPDATE",
        "WITH w AS (SELECT * FROM watched.t) SELECT * FROM a, w FOR UPDATE OF a",
        "SELECT currval('watched.s'), 'watched.t'::regclass, NULL::watched.t",
        "INSERT INTO a SELECT * FROM watched.t",
        "UPDATE a SET b = (SELECT max(b) FROM watched.t)",
        "DELETE FROM a USING watched.t",
        "CREATE TABLE a AS SELECT * FROM watched.t",
        "CREATE TABLE a (LIKE watched.t)",
        "CREATE VIEW v AS SELECT * FROM watched.t",
        "COPY watched.t TO STDOUT",
        "EXPLAIN SELECT * FROM watched.t",
        "DECLARE c CURSOR FOR SELECT * FROM watched.t",
        "CREATE POLICY p ON a USING (EXISTS (SELECT FROM watched.t))",
        "CREATE FUNCTION f(a watched.t) RETURNS SETOF watched.t LANGUAGE sql AS 'SELECT * FROM watched.t'",
        "CREATE FUNCTION f() RETURNS int RETURN (SELECT max(n) FROM watched.t)",
        "DO $$ BEGIN IF EXISTS (SELECT FROM watched.t) THEN UPDATE a SET b = 1; END IF; END $$",
        "DO $$ BEGIN EXECUTE 'SELECT * FROM watched.t'; END $$",
        "DO $$ DECLARE r watched.t%ROWTYPE; BEGIN SELECT * INTO r FROM watched.t; END $$",
        "IMPORT FOREIGN SCHEMA watched FROM SERVER s INTO public",
        "INSERT INTO a VALUES ('DROP TABLE watched.t')",
        "SET app.watched = 'watched'",
        "COMMENT ON TABLE a IS 'watched.t'",
    ] {
        let effects = effects_of_text(sql).expect(sql);
        assert!(!is_touched(&effects), "{sql}: {:?}", effects.touches().collect::<Vec<_>>());
    }
}

#[test]
fn what_a_role_owns_is_not_named() {
    let of = |sql: &str| -> Vec<String> {
        effects_of_text(sql).expect(sql).disowns.into_iter().map(|role| role.name.to_string()).collect()
    };
    assert_eq!(of("DROP OWNED BY a, CURRENT_USER CASCADE"), ["a", ""]);
    assert_eq!(of("REASSIGN OWNED BY SESSION_USER, b TO c"), ["", "b"]);
    assert_eq!(of("DO $$ BEGIN DROP OWNED BY a; END $$"), ["a"]);
    assert!(of("DROP ROLE a").is_empty());
}
