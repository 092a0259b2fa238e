//! Whatever somebody changes in a database is named by `diff` and by `verify`, and nothing else is.

use std::fmt::Write as _;

use cutover::verify::VerifyRequest;
use expect_test::expect_file;

use crate::support::{drifted, measured, not_held, system, whole};

/// One statement for each part of a table that somebody might change: what it is, and the statement. Types of columns that
/// policies name cannot be changed while those are there.
const CHANGES: &str = "
WITH tables AS (SELECT oid, oid::regclass AS name, relname FROM pg_class WHERE relname = $TABLE AND relnamespace = 'public'::regnamespace)
SELECT format('index %s', c.relname), format('DROP INDEX %I', c.relname)
  FROM tables t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid
 WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = t.oid)
UNION ALL
SELECT format('constraint %s.%s', name, conname), format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', name, conname)
  FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid WHERE contype IN ('p', 'u', 'f', 'c')
UNION ALL
SELECT format('default %s.%s', name, attname), format('ALTER TABLE %s ALTER %I DROP DEFAULT', name, attname)
  FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid WHERE atthasdef
UNION ALL
SELECT format('column %s.%s', name, attname), format('ALTER TABLE %s ALTER %I TYPE %s', name, attname,
         CASE format_type(atttypid, atttypmod) WHEN 'text' THEN 'varchar(4000)' WHEN 'jsonb' THEN 'json' WHEN 'boolean' THEN 'text'
           WHEN 'timestamp with time zone' THEN 'timestamp' WHEN 'character varying(10)' THEN 'varchar(20)' ELSE 'varchar(254)' END)
  FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid WHERE attnum > 0 AND atttypid <> 'uuid'::regtype
UNION ALL
SELECT format('column %s.%s', name, attname), format('ALTER TABLE %s ALTER %I DROP NOT NULL', name, attname)
  FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid WHERE attnum > 0 AND attnotnull AND attname <> 'id'
UNION ALL
SELECT format('policy %s.%s', name, polname), format('DROP POLICY %I ON %s', polname, name)
  FROM tables t JOIN pg_policy p ON p.polrelid = t.oid
UNION ALL
SELECT format('policy %s.%s', name, polname), format('ALTER POLICY %I ON %s USING (false)', polname, name)
  FROM tables t JOIN pg_policy p ON p.polrelid = t.oid
UNION ALL
SELECT format('trigger %s.%s', name, tgname), format('DROP TRIGGER %I ON %s', tgname, name)
  FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT tgisinternal
UNION ALL
SELECT format('trigger %s.%s', name, tgname), format('ALTER TABLE %s DISABLE TRIGGER %I', name, tgname)
  FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT tgisinternal
UNION ALL
SELECT format('table %s', name), format('ALTER TABLE %s %s ROW LEVEL SECURITY', name, how)
  FROM tables, unnest(ARRAY['DISABLE', 'NO FORCE']) how
UNION ALL
SELECT format('column %s.note', name), format('ALTER TABLE %s ADD note text', name) FROM tables
 ORDER BY 1, 2";

/// Everything but the replay of the claims, which looks at files and at what is there, and not at how it is.
const KINDS: [&str; 8] =
    ["design", "columns", "scalar", "no_rows", "fails", "foreign_keys", "explain", "access"];

/// What `diff` and the checks say of each change to a table.
async fn named(table: &str) -> String {
    let changes = whole().rows(&CHANGES.replace("$TABLE", &format!("'{table}'")));
    let mut told = String::new();
    for change in changes {
        let [Some(object), Some(sql)] = &change[..] else { panic!("{change:?}") };
        let database = whole();
        database.run(sql);
        let lines = drifted(&database).await;
        assert!(lines.iter().any(|line| line.contains(object)), "{sql}: {lines:?}");
        let kinds = KINDS.map(str::to_owned).to_vec();
        let request = VerifyRequest { kinds, ..VerifyRequest::default() };
        let results = measured(&system(), &database.options(), &request).await;
        let of_design = "the database equals the design: public.";
        let (design, others): (Vec<_>, Vec<_>) =
            not_held(&results).into_iter().partition(|(name, ..)| name.starts_with(of_design));
        // The design names the same, table by table.
        let named: Vec<String> = design
            .iter()
            .flat_map(|(.., found)| found.trim_start_matches("not as the design makes it: ").split("; "))
            .map(str::to_owned)
            .collect();
        let (mut named, mut expected) =
            (named, lines.join("; ").split("; ").map(str::to_owned).collect::<Vec<_>>());
        named.sort();
        expected.sort();
        assert_eq!(named, expected, "{sql}");
        let _ = writeln!(told, "{sql}");
        for line in lines {
            let _ = writeln!(told, "    {line}");
        }
        for (name, verdict, _) in others {
            let _ = writeln!(told, "    {verdict:?}: {name}");
        }
    }
    told
}

#[tokio::test]
async fn what_changes_in_users_is_named() {
    expect_file!["drift/users.text"].assert_eq(&named("users").await);
}

#[tokio::test]
async fn what_changes_in_tasks_is_named() {
    expect_file!["drift/tasks.text"].assert_eq(&named("tasks").await);
}

#[tokio::test]
async fn what_changes_in_conversations_is_named() {
    expect_file!["drift/conversations.text"].assert_eq(&named("conversations").await);
}

#[tokio::test]
async fn what_changes_in_messages_is_named() {
    expect_file!["drift/messages.text"].assert_eq(&named("messages").await);
}

/// What is no part of a table: functions, and who may do what.
#[tokio::test]
async fn what_changes_besides_is_named() {
    for (sql, line, checks) in [
        (
            "CREATE OR REPLACE FUNCTION app_user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT NULL::uuid $$",
            "function app_user_id()",
            &[
                "nobody hands a row to somebody else",
                "an UPDATE of everything changes what is one's own",
                "a DELETE of everything deletes what is one's own",
                "each user has what is theirs, and nobody anything else",
            ][..],
        ),
        (
            "CREATE OR REPLACE FUNCTION keep_updated_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
             AS $$ BEGIN RETURN NEW; END $$",
            "function keep_updated_at()",
            &["updated_at does not go back, and is never ahead"],
        ),
        (
            "CREATE OR REPLACE FUNCTION touch_conversations() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
             AS $$ BEGIN RETURN NULL; END $$",
            "function touch_conversations()",
            &["a new message touches its conversation, and no other one"],
        ),
        (
            "REVOKE DELETE ON tasks FROM todo_app",
            "todo_app",
            &["a DELETE of everything deletes what is one's own", "each user has what is theirs, and nobody anything else"],
        ),
        (
            "GRANT SELECT (created_at) ON users TO todo_login",
            "todo_login",
            &["each user has what is theirs, and nobody anything else"],
        ),
    ] {
        let database = whole();
        database.run(sql);
        let lines = drifted(&database).await;
        assert!(lines.len() == 1 && lines[0].contains(line), "{sql}: {lines:?}");
        let results = measured(&system(), &database.options(), &VerifyRequest::default()).await;
        let names: Vec<&str> = not_held(&results).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, checks, "{sql}");
    }
}

/// What is claimed and gone is named by the claims too.
#[tokio::test]
async fn what_is_claimed_and_gone_is_named() {
    for (sql, object) in [
        (
            "ALTER TABLE messages DROP CONSTRAINT messages_conversation_id_user_id_fkey",
            "messages_conversation_id_user_id_fkey",
        ),
        ("DROP POLICY tasks_own ON tasks", "policy tasks.tasks_own"),
        (
            "DROP TRIGGER messages_touch_conversations ON messages",
            "trigger messages.messages_touch_conversations",
        ),
    ] {
        let database = whole();
        database.run(sql);
        let request = VerifyRequest { kinds: vec!["claims".into()], ..VerifyRequest::default() };
        let results = measured(&system(), &database.options(), &request).await;
        let wrong = not_held(&results);
        assert!(wrong.len() == 1 && wrong[0].2.contains(object), "{sql}: {wrong:?}");
    }
}
