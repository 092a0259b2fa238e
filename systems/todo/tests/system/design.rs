//! The design against the migrations, and each check against what it guards.

use std::collections::BTreeSet;

use cutover::run::Verdict;
use cutover::verify::VerifyRequest;

use crate::support::{dump, folder, measured, system, whole};

#[test]
fn the_design_is_what_the_migrations_make() {
    let designed = testkit::database();
    designed.run(&std::fs::read_to_string(folder().join("ddl/todo.sql")).unwrap());
    assert_eq!(dump(&whole()), dump(&designed));
}

/// Checks with what they guard, taken away.
const DAMAGES: &[(&str, &str)] = &[
    ("users has 5 columns", "ALTER TABLE users ADD COLUMN name text"),
    ("conversations has 5 columns", "ALTER TABLE conversations DROP COLUMN title"),
    ("8 indexes", "CREATE INDEX ON messages (content)"),
    ("4 foreign keys, all with CASCADE", "ALTER TABLE tasks DROP CONSTRAINT tasks_user_id_fkey"),
    (
        "every foreign key is validated and has no orphans",
        "ALTER TABLE tasks DROP CONSTRAINT tasks_user_id_fkey;
         ALTER TABLE tasks ADD CONSTRAINT tasks_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE NOT VALID",
    ),
    ("fresh tables are empty", "INSERT INTO users (email, password_hash) VALUES ('a', 'b')"),
    (
        "SC-002: the dashboard is answered by the composite index, without a sort",
        "DROP INDEX idx_tasks_user_id_created_at; CREATE INDEX idx_tasks_user_id_created_at ON tasks (created_at, user_id)",
    ),
    (
        "a user's latest conversations are read in the order of an index",
        "DROP INDEX idx_conversations_user_id_updated_at",
    ),
    (
        "a conversation is read in the order of an index",
        "DROP INDEX idx_messages_conversation_id_created_at",
    ),
    ("a task belongs to a user that exists", "ALTER TABLE tasks DROP CONSTRAINT tasks_user_id_fkey"),
    ("a task belongs to a user", "ALTER TABLE tasks ALTER COLUMN user_id DROP NOT NULL"),
    ("a title has at most 255 characters", "ALTER TABLE tasks ALTER COLUMN title TYPE varchar(256)"),
    ("an e-mail address is one user's", "ALTER TABLE users DROP CONSTRAINT users_email_key"),
    ("a message is the user's or the agent's", "ALTER TABLE messages DROP CONSTRAINT messages_role_check"),
    (
        "a user takes tasks, conversations and messages along, and nobody else's",
        "ALTER TABLE tasks DROP CONSTRAINT tasks_user_id_fkey",
    ),
    (
        "a message's user owns its conversation",
        "ALTER TABLE messages DROP CONSTRAINT messages_conversation_id_user_id_fkey",
    ),
    ("row security binds everybody, the owner too", "ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY"),
    ("the application's roles are bound by policies", "ALTER TABLE tasks OWNER TO todo_app"),
    ("no view shows what its reader may not see", "CREATE VIEW all_tasks AS SELECT * FROM tasks"),
    (
        "no view shows what its reader may not see",
        "CREATE MATERIALIZED VIEW all_tasks AS SELECT title FROM tasks",
    ),
    ("nobody hands a row to somebody else", "ALTER POLICY tasks_own ON tasks WITH CHECK (true)"),
    ("an UPDATE of everything changes what is one's own", "ALTER POLICY messages_own ON messages USING (true) WITH CHECK (true)"),
    ("a DELETE of everything deletes what is one's own", "ALTER POLICY tasks_own ON tasks USING (true)"),
    ("updated_at does not go back, and is never ahead", "DROP TRIGGER users_keep_updated_at ON users"),
    ("updated_at does not go back, and is never ahead", "DROP TRIGGER tasks_keep_updated_at ON tasks"),
    (
        "a new message touches its conversation, and no other one",
        "DROP TRIGGER messages_touch_conversations ON messages",
    ),
    ("nobody may do what no policy is asked about", "GRANT TRUNCATE ON tasks TO todo_app"),
    ("nobody may do what no policy is asked about", "GRANT REFERENCES (id) ON users TO PUBLIC"),
    ("each user has what is theirs, and nobody anything else", "GRANT SELECT (title) ON tasks TO PUBLIC"),
    ("each user has what is theirs, and nobody anything else", "ALTER POLICY messages_own ON messages USING (true)"),
    (
        "each user has what is theirs, and nobody anything else",
        "CREATE OR REPLACE FUNCTION app_user_id() RETURNS uuid LANGUAGE sql STABLE
         AS $$ SELECT '00000000-0000-4000-8000-000000000001'::uuid $$",
    ),
];

/// Those that are damaged elsewhere, or never hold.
const ELSEWHERE: [&str; 5] = [
    "tasks has 8 columns",
    "messages has 8 columns",
    "every message is of the user whose conversation it is in",
    "every claim",
    "design",
];

/// The answers of one check that are false.
async fn wrong(database: &testkit::Database, name: &str) -> usize {
    let request = VerifyRequest { names: vec![name.to_owned()], fresh: true, ..VerifyRequest::default() };
    let results = measured(&system(), &database.options(), &request).await;
    assert!(!results.is_empty(), "{name}");
    let wrong = results.iter().filter(|result| match result.verdict {
        Verdict::False => true,
        Verdict::Holds => false,
        other => panic!("{name}: {other:?}: {}", result.found),
    });
    wrong.count()
}

#[tokio::test]
async fn every_check_can_fail() {
    for (name, damage) in DAMAGES {
        let database = whole();
        assert_eq!(wrong(&database, name).await, 0, "{name} holds at first");
        database.run(damage);
        assert_eq!(wrong(&database, name).await, 1, "{name} turns false, once: {damage}");
    }
}

#[test]
fn no_check_is_left_out() {
    let damaged: BTreeSet<&str> = DAMAGES.iter().map(|(name, _)| *name).chain(ELSEWHERE).collect();
    let prepared = cutover::verify::prepare(&system()).unwrap();
    let named = prepared.iter().filter(|check| check.kind != "uses");
    let all: BTreeSet<&str> =
        named.map(|check| if check.kind == "design" { "design" } else { check.name.as_str() }).collect();
    assert_eq!(damaged, all);
}
