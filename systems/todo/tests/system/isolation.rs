//! Alice is served: whatever statement she gets to send, nothing of Bob's is seen or changed.

use testkit::Database;

use crate::support::{ALICE, BOB, TABLES, as_role, as_user, with_two_users};

/// What all tables hold, whatever policies say.
fn rows(database: &Database) -> Vec<Vec<Option<String>>> {
    let of = |table: &&str| format!("SELECT '{table}', to_jsonb(t)::text FROM {table} t");
    let all: Vec<String> = TABLES.iter().map(of).collect();
    database.rows(&format!("{} ORDER BY 1, 2", all.join(" UNION ALL ")))
}

/// The column that says whose a row is.
fn owner(table: &str) -> &str {
    if table == "users" { "id" } else { "user_id" }
}

#[test]
fn a_user_reads_their_own_rows_and_no_others() {
    let database = with_two_users();
    for (user, other) in [(ALICE, BOB), (BOB, ALICE)] {
        for (table, rows) in [("users", "1"), ("tasks", "2"), ("conversations", "1"), ("messages", "2")] {
            let owner = owner(table);
            let seen = format!("SELECT count(*), count(*) FILTER (WHERE {owner} = '{user}') FROM {table}");
            assert_eq!(as_user(&database, user, &seen).unwrap(), [[rows, rows]], "{table}");
            for asked in [
                format!("SELECT * FROM {table} WHERE {owner} = '{other}'"),
                format!("SELECT * FROM {table} WHERE id = '{other}' FOR UPDATE"),
                format!("TABLE {table} EXCEPT SELECT * FROM {table} WHERE {owner} = '{user}'"),
                format!("SELECT 1 FROM {table} WHERE {owner} <> '{user}'"),
            ] {
                assert_eq!(as_user(&database, user, &asked).unwrap().len(), 0, "{asked}");
            }
        }
        // Where tables meet, too.
        let met = "SELECT 1 FROM users u, tasks t, conversations c, messages m";
        assert_eq!(as_user(&database, user, met).unwrap().len(), 4);
    }
    // The case of a uuid's digits means nothing.
    let count = "SELECT count(*) FROM tasks";
    assert_eq!(as_user(&database, &ALICE.to_uppercase(), count).unwrap(), [["2"]]);
}

#[test]
fn a_user_changes_none_of_somebody_elses_rows() {
    let database = with_two_users();
    let before = rows(&database);
    let updates = [
        format!("UPDATE users SET email = 'x' WHERE id = '{BOB}'"),
        format!("UPDATE tasks SET title = 'x' WHERE user_id = '{BOB}'"),
        format!("UPDATE conversations SET title = 'x' WHERE id = '{BOB}'"),
        format!("UPDATE messages SET content = 'x' WHERE user_id <> '{ALICE}'"),
        format!("UPDATE tasks t SET title = 'x' FROM users u WHERE u.id = t.user_id AND u.id = '{BOB}'"),
    ];
    let deletes = TABLES.map(|table| format!("DELETE FROM {table} WHERE {} = '{BOB}'", owner(table)));
    for sql in updates.iter().chain(&deletes) {
        assert_eq!(as_user(&database, ALICE, &format!("{sql} RETURNING 1")).unwrap().len(), 0, "{sql}");
        assert_eq!(rows(&database), before, "{sql}");
    }
}

#[test]
fn what_would_be_somebody_elses_is_refused() {
    let database = with_two_users();
    let before = rows(&database);
    let refused = [
        // New rows of Bob's, or of nobody's.
        (
            format!("INSERT INTO users (id, email, password_hash) VALUES ('{BOB}', 'c@todo.invalid', 'x')"),
            "42501",
        ),
        ("INSERT INTO users (email, password_hash) VALUES ('c@todo.invalid', 'x')".to_owned(), "42501"),
        (format!("INSERT INTO tasks (user_id, title) VALUES ('{BOB}', 'x')"), "42501"),
        (format!("INSERT INTO tasks (user_id, title) VALUES ('{ALICE}', 'x'), ('{BOB}', 'x')"), "42501"),
        (format!("INSERT INTO conversations (user_id) VALUES ('{BOB}')"), "42501"),
        (message(BOB, BOB), "42501"),
        (message(ALICE, BOB), "42501"),
        // A message of Alice's in Bob's conversation: as if there were no such conversation.
        (message(BOB, ALICE), "23503"),
        (message("00000000-0000-4000-8000-000000000000", ALICE), "23503"),
        // Rows of hers that would become Bob's, or go into what is Bob's.
        (format!("UPDATE users SET id = '{BOB}'"), "42501"),
        (format!("UPDATE tasks SET user_id = '{BOB}'"), "42501"),
        (format!("UPDATE conversations SET user_id = '{BOB}'"), "42501"),
        (format!("UPDATE messages SET user_id = '{BOB}'"), "42501"),
        (format!("UPDATE messages SET user_id = '{BOB}', conversation_id = '{BOB}'"), "42501"),
        (format!("UPDATE messages SET conversation_id = '{BOB}'"), "23503"),
        // What is there already is Bob's.
        (
            format!(
                "INSERT INTO tasks (id, user_id, title) VALUES ('{BOB}', '{ALICE}', 'x') ON CONFLICT (id) DO UPDATE SET title = 'x'"
            ),
            "42501",
        ),
        (
            format!(
                "INSERT INTO tasks (id, user_id, title) VALUES ('{ALICE}', '{ALICE}', 'x') ON CONFLICT (id) DO UPDATE SET user_id = '{BOB}'"
            ),
            "42501",
        ),
        (
            format!(
                "INSERT INTO conversations (id, user_id) VALUES ('{BOB}', '{ALICE}') ON CONFLICT (id) DO UPDATE SET user_id = '{ALICE}'"
            ),
            "42501",
        ),
        // Ways in which policies are not asked, or not allowed.
        ("COPY tasks (user_id, title) FROM STDIN".to_owned(), "0A000"),
        ("TRUNCATE messages".to_owned(), "42501"),
        ("TRUNCATE users CASCADE".to_owned(), "42501"),
        ("CREATE TABLE mine (id uuid REFERENCES users)".to_owned(), "42501"),
        ("SET LOCAL row_security = off; SELECT * FROM tasks".to_owned(), "42501"),
        ("ALTER TABLE tasks DISABLE ROW LEVEL SECURITY".to_owned(), "42501"),
        ("DROP POLICY tasks_own ON tasks".to_owned(), "42501"),
        ("ALTER TABLE tasks DISABLE TRIGGER USER".to_owned(), "42501"),
        (
            "CREATE OR REPLACE FUNCTION app_user_id() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'"
                .to_owned(),
            "42501",
        ),
        ("SET LOCAL session_replication_role = replica".to_owned(), "42501"),
    ];
    for (sql, code) in &refused {
        // Of a schema that everybody may write the function could be replaced by no one else either.
        assert_eq!(as_user(&database, ALICE, sql), Err((*code).to_owned()), "{sql}");
        assert_eq!(rows(&database), before, "{sql}");
    }
    let nothing = format!(
        "INSERT INTO tasks (id, user_id, title) VALUES ('{BOB}', '{ALICE}', 'x') ON CONFLICT DO NOTHING"
    );
    assert_eq!(as_user(&database, ALICE, &format!("{nothing} RETURNING 1")).unwrap().len(), 0);
    assert_eq!(rows(&database), before);
}

fn message(conversation: &str, user: &str) -> String {
    format!(
        "INSERT INTO messages (conversation_id, user_id, role, content) VALUES ('{conversation}', '{user}', 'agent', 'x')"
    )
}

#[test]
fn a_user_does_what_is_theirs_to_do() {
    let database = with_two_users();
    let carol = "ca101000-0000-4000-8000-000000000000";
    let sign_up =
        format!("INSERT INTO users (id, email, password_hash) VALUES ('{carol}', 'carol@todo.invalid', 'x')");
    as_user(&database, carol, &sign_up).unwrap();
    for sql in [
        format!("INSERT INTO tasks (user_id, title) VALUES ('{carol}', 'x') RETURNING id"),
        format!("INSERT INTO conversations (id, user_id) VALUES ('{carol}', '{carol}') RETURNING id"),
        format!("{} RETURNING id", message(carol, carol)),
        "UPDATE tasks SET completed = true RETURNING id".to_owned(),
        "UPDATE conversations SET title = 'x' RETURNING id".to_owned(),
        "UPDATE messages SET content = 'y' RETURNING id".to_owned(),
        "DELETE FROM messages RETURNING id".to_owned(),
        "UPDATE users SET email = 'c@todo.invalid' RETURNING id".to_owned(),
    ] {
        assert_eq!(as_user(&database, carol, &sql).unwrap().len(), 1, "{sql}");
    }
    let others = rows(&database).len() - 3;
    as_user(&database, carol, "DELETE FROM users").unwrap();
    assert_eq!(rows(&database).len(), others);
}

#[test]
fn whoever_serves_nobody_sees_nothing() {
    let database = with_two_users();
    let before = rows(&database);
    let settings = [
        "SELECT",
        "SET LOCAL app.user_id = ''",
        "SET LOCAL app.user_id = 'nobody'",
        "SET LOCAL app.user_id = 'NULL'",
        "SET LOCAL app.user_id = 'a11ce000-0000-4000-8000-00000000000'",
        "SET LOCAL app.user_id = '{a11ce000-0000-4000-8000-000000000000}'",
        "SET LOCAL app.user_id = ' a11ce000-0000-4000-8000-000000000000'",
        "SET LOCAL app.user_id = E'a11ce000-0000-4000-8000-000000000000\\n'",
        "SET LOCAL app.user_id = '00000000-0000-0000-0000-000000000000'",
    ];
    for set in settings {
        for table in TABLES {
            for sql in [
                format!("SELECT * FROM {table}"),
                format!("DELETE FROM {table} RETURNING 1"),
                format!("UPDATE {table} SET created_at = now() RETURNING 1"),
            ] {
                let seen = as_role(&database, "todo_app", &format!("{set}; {sql}")).unwrap();
                assert!(seen.concat().is_empty(), "{set}; {sql}: {seen:?}");
            }
        }
        let sql = format!("{set}; INSERT INTO tasks (user_id, title) VALUES ('{ALICE}', 'x')");
        assert_eq!(as_role(&database, "todo_app", &sql), Err("42501".to_owned()), "{set}");
    }
    assert_eq!(rows(&database), before);
}

/// A connection goes from one request to the next: whom the one served, the other does not.
#[tokio::test]
async fn who_is_served_is_forgotten_at_the_end_of_the_transaction() {
    let database = with_two_users();
    let mut session = cutover_postgres::session::Session::connect(
        &database.options(),
        &cutover_postgres::session::Startup::default(),
    )
    .await
    .unwrap();
    session.execute("SET ROLE todo_app").await.unwrap();
    for (user, seen) in [(Some(ALICE), "2"), (None, "0"), (Some(BOB), "2"), (None, "0")] {
        session.execute("BEGIN").await.unwrap();
        if let Some(user) = user {
            session.execute(&format!("SET LOCAL app.user_id = '{user}'")).await.unwrap();
        }
        let count = session.query_text("SELECT count(*) FROM tasks").await.unwrap();
        assert_eq!(count.scalar(), Some(seen));
        session.execute(if seen == "2" { "COMMIT" } else { "ROLLBACK" }).await.unwrap();
    }
    session.close().await;
}

/// The function goes into the query: the policy is compared with the index, whatever workers there are.
#[test]
fn the_policy_is_a_condition_of_the_index_and_works_in_parallel() {
    let database = with_two_users();
    let plan =
        as_user(&database, ALICE, "SET LOCAL enable_seqscan = off; EXPLAIN SELECT * FROM tasks").unwrap();
    let plan = plan.concat().join("\n");
    assert!(plan.contains("Index Cond: (user_id = "), "{plan}");
    let parallel = "SET LOCAL min_parallel_table_scan_size = 0; SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
                    SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_indexonlyscan = off";
    let plan = as_user(&database, ALICE, &format!("{parallel}; EXPLAIN SELECT count(*) FROM tasks")).unwrap();
    assert!(plan.concat().join("\n").contains("Workers Planned"), "{plan:?}");
    let count = as_user(&database, ALICE, &format!("{parallel}; SELECT count(*) FROM tasks")).unwrap();
    assert_eq!(count, [["2"]]);
}

/// Where rows are of another user than their conversation, the key cannot be: they are named, and nothing is done.
#[tokio::test]
async fn messages_in_somebody_elses_conversation_are_named_before_the_key() {
    let database = crate::support::up_to("003").await;
    database.run(&crate::support::two_users());
    database.run(&message(BOB, ALICE));
    let before = (rows(&database), crate::support::dump(&database));
    let project = crate::support::system();
    let error = cutover::migrate(&project, &database.url()).await.unwrap_err().to_string();
    assert!(error.contains("every message is of the user whose conversation it is in: "), "{error}");
    assert!(error.contains(&format!("of_user = {ALICE}, in_conversation_of = {BOB}")), "{error}");
    assert_eq!((rows(&database), crate::support::dump(&database)), before);
    database.run(&format!("DELETE FROM messages WHERE conversation_id = '{BOB}' AND user_id = '{ALICE}'"));
    let run = cutover::migrate(&project, &database.url()).await.unwrap();
    assert_eq!(run.outcome, Some(cutover::run::Outcome::Completed));
}
