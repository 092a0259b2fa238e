//! Whether what a statement does stays in the database that it runs in.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;

use super::{beyond, bodies, effects_of_text};
use crate::sql::{parse, routine_body, without_comments};

/// Words of [`beyond`] that are of the database alone all the same.
const OF_THE_DATABASE: [&str; 2] = ["ALTER SCHEMA", "setval"];

/// Kinds that belong to the whole server.
const SHARED: [ObjectType; 4] = [
    ObjectType::ObjectDatabase,
    ObjectType::ObjectRole,
    ObjectType::ObjectTablespace,
    ObjectType::ObjectParameterAcl,
];

/// Why what a statement does may go beyond the database that it runs in: to roles, settings or other databases of the server, its
/// files, or other servers; or because it runs code that may. `None` where the text says that it does not.
pub fn reaches_beyond(text: &str) -> Option<String> {
    let Ok(parsed) = parse(text) else {
        // What a server refuses too does nothing.
        return effects_of_text(text).is_ok().then(|| "it cannot be read".to_owned());
    };
    let of_server = |words: &String| {
        let is_own = OF_THE_DATABASE.iter().any(|own| words.starts_with(own));
        let on = words.strip_prefix("GRANT ON ").or_else(|| words.strip_prefix("REVOKE ON "));
        // PostgreSQL's own functions, relations and languages are those of each database.
        let is_local = on.is_some_and(|on| !on.chars().take_while(|c| *c != ' ').all(char::is_uppercase));
        !is_own && !is_local
    };
    if let Some(words) = beyond(&parsed).into_iter().find(of_server) {
        return Some(words);
    }
    if let Some(why) = parsed.statements().find_map(shared) {
        return Some(why.to_owned());
    }
    let effects = effects_of_text(text).ok()?;
    if let Some(why) = effects.opaque
        && parsed.statements().any(|node| !is_known(node))
    {
        return Some(why);
    }
    if let Some(why) = parsed.statements().find_map(in_routine) {
        return Some(why.to_owned());
    }
    let body = routine_body(text)?;
    let body = text.get(body.start..)?;
    effects.late_opaque.or_else(|| in_body(body))
}

/// The same in the body of a function.
fn in_routine(node: &NodeEnum) -> Option<&'static str> {
    let NodeEnum::CreateFunctionStmt(create) = node else { return None };
    let mut found = None;
    // What cannot be read of it is looked for by its words.
    let _ = bodies::each_of_routine(create, &mut |node| found = found.or_else(|| shared(node)));
    found
}

/// What is not among the words of [`beyond`].
fn shared(node: &NodeEnum) -> Option<&'static str> {
    match node {
        NodeEnum::RenameStmt(rename) if SHARED.contains(&rename.rename_type()) => {
            Some("ALTER … RENAME of what belongs to the server")
        }
        NodeEnum::SecLabelStmt(label) if SHARED.contains(&label.objtype()) => {
            Some("SECURITY LABEL on what belongs to the server")
        }
        NodeEnum::AlterDatabaseRefreshCollStmt(_) => Some("ALTER DATABASE … REFRESH COLLATION VERSION"),
        NodeEnum::DropOwnedStmt(_) => Some("DROP OWNED also takes away what a role may do with databases"),
        NodeEnum::ReassignOwnedStmt(_) => Some("REASSIGN OWNED also gives away databases"),
        NodeEnum::CreateSubscriptionStmt(_)
        | NodeEnum::AlterSubscriptionStmt(_)
        | NodeEnum::DropSubscriptionStmt(_) => Some("a subscription connects to another server"),
        NodeEnum::CopyStmt(copy) if copy.is_program => Some("COPY … PROGRAM runs a program"),
        NodeEnum::CopyStmt(copy) if !copy.is_from && !copy.filename.is_empty() => {
            Some("COPY … TO writes a file")
        }
        _ => None,
    }
}

/// Statements of which not everything is known, and whatever it is, it is in the database.
fn is_known(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::DropStmt(_)
            | NodeEnum::TruncateStmt(_)
            | NodeEnum::GrantStmt(_)
            | NodeEnum::AlterTableStmt(_)
            | NodeEnum::AlterTableMoveAllStmt(_)
            | NodeEnum::AlterObjectSchemaStmt(_)
            | NodeEnum::CreateExtensionStmt(_)
            | NodeEnum::AlterExtensionStmt(_)
            | NodeEnum::AlterExtensionContentsStmt(_)
            | NodeEnum::ImportForeignSchemaStmt(_)
    )
}

/// Pairs of words by which a body does something to the server.
const VERBS: [&str; 5] = ["create", "alter", "drop", "rename", "comment"];
const WHAT: [&str; 7] = ["role", "user", "group", "database", "tablespace", "system", "subscription"];

/// What the text of a body may do to the server when a trigger or a default runs it.
fn in_body(body: &str) -> Option<String> {
    let lower = without_comments(body, usize::MAX).to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let pair = words.windows(2).find(|pair| VERBS.contains(&pair[0]) && WHAT.contains(&pair[1]));
    if let Some(pair) = pair {
        return Some(format!("a body with {}", pair.join(" ").to_uppercase()));
    }
    let one = words.iter().find(|word| {
        matches!(**word, "grant" | "revoke" | "reassign" | "owned" | "program")
            || word.starts_with("dblink")
            || word.starts_with("pg_terminate")
            || word.starts_with("pg_cancel")
            || word.starts_with("pg_reload")
            || word.starts_with("pg_file")
            || word.starts_with("lo_export")
            || word.starts_with("pg_read_")
            || word.ends_with("replication_slot")
    });
    one.map(|word| format!("a body with {word}"))
}

#[cfg(test)]
mod tests {
    use super::reaches_beyond;

    #[test]
    fn what_stays_in_the_database_and_what_may_not() {
        for sql in [
            "CREATE ROLE r",
            "ALTER ROLE r SUPERUSER",
            "GRANT a TO b",
            "GRANT CONNECT ON DATABASE d TO r",
            "ALTER ROLE a RENAME TO b",
            "ALTER DATABASE d RENAME TO e",
            "ALTER SYSTEM SET work_mem = '1MB'",
            "CREATE DATABASE d",
            "DROP OWNED BY r",
            "DO $$ BEGIN CREATE ROLE r; END $$",
            "DO $$ BEGIN EXECUTE 'x'; END $$",
            "CALL p()",
            "SELECT f()",
            "SELECT pg_terminate_backend(1)",
            "SELECT pg_reload_conf()",
            "CREATE TABLE t AS SELECT f() AS x",
            "COPY t TO '/tmp/x'",
            "COPY t FROM PROGRAM 'x'",
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE r SUPERUSER; RETURN 1; END $$",
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'x'; RETURN 1; END $$",
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN COPY t TO '/tmp/x'; RETURN 1; END $$",
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN ALTER -- a b\n /* c */ ROLE r SUPERUSER; RETURN 1; END $$",
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_create_physical_replication_slot('x'); RETURN 1; END $$",
        ] {
            assert!(reaches_beyond(sql).is_some(), "{sql}");
        }
        for sql in [
            "CREATE TABLE t (n int DEFAULT 1)",
            "CREATE TABEL t (n int)",
            "ALTER TABLE t ADD COLUMN at timestamptz DEFAULT now()",
            "DROP TABLE t CASCADE",
            "INSERT INTO t SELECT n FROM generate_series(1, 10) n",
            "UPDATE t SET n = lower(a)::int WHERE n IS NULL",
            "GRANT SELECT ON ALL TABLES IN SCHEMA s TO r",
            "ALTER SCHEMA public OWNER TO r",
            "SELECT setval('s', 3)",
            "COPY t FROM STDIN",
            "CREATE EXTENSION citext",
            "CREATE INDEX CONCURRENTLY i ON t (n)",
            "SET lock_timeout = '1s'",
            "COMMENT ON TABLE t IS 'x'",
            "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at = now(); RETURN NEW; END $$",
        ] {
            assert_eq!(reaches_beyond(sql), None, "{sql}");
        }
    }
}
