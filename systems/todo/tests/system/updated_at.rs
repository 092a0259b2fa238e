//! `updated_at` says when a row was changed, also when several write at once.

use testkit::Database;

use crate::support::{ALICE, BOB, as_user, with_two_users};

fn updated_at(database: &Database, table: &str, id: &str) -> String {
    database.value(&format!("SELECT updated_at AT TIME ZONE 'UTC' FROM {table} WHERE id = '{id}'"))
}

#[test]
fn every_change_is_kept_and_no_client_says_otherwise() {
    let database = with_two_users();
    for table in ["users", "tasks", "conversations"] {
        for set in [
            "updated_at = '2001-01-01'",
            "updated_at = 'infinity'",
            "updated_at = NULL",
            "created_at = created_at",
        ] {
            let before = updated_at(&database, table, ALICE);
            let other = updated_at(&database, table, BOB);
            as_user(&database, ALICE, &format!("UPDATE {table} SET {set} WHERE id = '{ALICE}'")).unwrap();
            let after = updated_at(&database, table, ALICE);
            assert!(after > before, "{table} {set}: {before} {after}");
            assert_eq!(
                database.value(&format!(
                    "SELECT updated_at <= clock_timestamp() FROM {table} WHERE id = '{ALICE}'"
                )),
                "t"
            );
            assert_eq!(updated_at(&database, table, BOB), other);
        }
    }
    // The past comes along with a new row, the future does not.
    let new = |at: &str| {
        database.value(&format!("INSERT INTO tasks (user_id, title, updated_at) VALUES ('{ALICE}', 'x', {at}) RETURNING updated_at <= clock_timestamp()"))
    };
    assert_eq!(
        (new("'2001-01-01'"), new("now()"), new("'2999-01-01'")),
        ("t".into(), "t".into(), "t".into())
    );
    assert_eq!(database.value("SELECT count(*) FROM tasks WHERE updated_at = '2001-01-01'"), "1");
    // A fresh row was changed when it was made.
    assert_eq!(database.value("INSERT INTO tasks (user_id, title) SELECT id, 'x' FROM users LIMIT 1 RETURNING created_at = updated_at"), "t");
}

fn says(conversation: &str, user: &str) -> String {
    format!(
        "INSERT INTO messages (conversation_id, user_id, role, content) VALUES ('{conversation}', '{user}', 'agent', 'x')"
    )
}

#[test]
fn a_new_message_touches_its_conversation_wherever_the_client_looks_for_names() {
    let database = with_two_users();
    for path in ["public", "''", "pg_catalog"] {
        let (before, other) =
            (updated_at(&database, "conversations", ALICE), updated_at(&database, "conversations", BOB));
        let message = says(ALICE, ALICE).replace("INTO messages", "INTO public.messages");
        as_user(&database, ALICE, &format!("SET LOCAL search_path = {path}; {message}")).unwrap();
        assert!(updated_at(&database, "conversations", ALICE) > before, "{path}");
        assert_eq!(updated_at(&database, "conversations", BOB), other);
    }
    // A table of the client's own that is called so is nobody's conversation.
    let before = updated_at(&database, "conversations", ALICE);
    as_user(
        &database,
        ALICE,
        &format!("CREATE TEMP TABLE conversations (id uuid, updated_at timestamptz); {}", says(ALICE, ALICE)),
    )
    .unwrap();
    assert!(updated_at(&database, "conversations", ALICE) > before);
    // No message, nothing touched.
    let before = updated_at(&database, "conversations", ALICE);
    database.run("INSERT INTO messages (conversation_id, user_id, role, content) SELECT id, user_id, 'user', 'x' FROM conversations WHERE false");
    assert_eq!(updated_at(&database, "conversations", ALICE), before);
}

/// The first began earlier, and is committed while the second waits: the second's time is the later one.
#[test]
fn two_messages_for_one_conversation_wait_for_each_other_and_time_goes_on() {
    let database = with_two_users();
    let second = format!("SET ROLE todo_app; SET app.user_id = '{ALICE}'; {}", says(ALICE, ALICE));
    for _ in 0..3 {
        std::thread::scope(|scope| {
            let first = database.hold(&says(ALICE, ALICE));
            let second = database.meanwhile(scope, &second);
            database.until_waiting(1);
            let waited = database.value("SELECT clock_timestamp() AT TIME ZONE 'UTC'");
            first.lets_go();
            second.join().unwrap().unwrap();
            assert!(updated_at(&database, "conversations", ALICE) > waited);
        });
    }
    let count = format!("SELECT count(*) FROM messages WHERE conversation_id = '{ALICE}'");
    assert_eq!(database.value(&count), "8");
}

/// Each writes into both conversations, in opposite order, while somebody else has one of them.
#[test]
fn statements_that_write_into_the_same_conversations_are_no_deadlock() {
    let database = with_two_users();
    let both = |one: &str, other: &str| {
        format!(
            "INSERT INTO messages (conversation_id, user_id, role, content)
             VALUES ('{one}', '{one}', 'user', 'x'), ('{other}', '{other}', 'agent', 'x')"
        )
    };
    for held in [ALICE, BOB] {
        std::thread::scope(|scope| {
            let holder = database.hold(&format!("UPDATE conversations SET title = 'x' WHERE id = '{held}'"));
            let one = database.meanwhile(scope, &both(ALICE, BOB));
            database.until_waiting(1);
            let other = database.meanwhile(scope, &both(BOB, ALICE));
            database.until_waiting(2);
            holder.lets_go();
            one.join().unwrap().unwrap();
            other.join().unwrap().unwrap();
        });
    }
}

/// The key to the user is looked at first: who deletes a user and who writes a message for them take their locks in one order.
#[test]
fn a_message_for_a_user_who_is_being_deleted_waits_and_is_refused() {
    let database = with_two_users();
    std::thread::scope(|scope| {
        let deleting = database.hold(&format!("DELETE FROM users WHERE id = '{ALICE}'"));
        let message = database.meanwhile(scope, &says(ALICE, ALICE));
        database.until_waiting(1);
        deleting.lets_go();
        assert_eq!(message.join().unwrap(), Err("23503".to_owned()));
        // The other way round the deletion waits, and takes the message along.
        let message = database.hold(&says(BOB, BOB));
        let deleting = database.meanwhile(scope, &format!("DELETE FROM users WHERE id = '{BOB}'"));
        database.until_waiting(1);
        message.lets_go();
        deleting.join().unwrap().unwrap();
    });
    assert_eq!(database.value("SELECT count(*) FROM messages"), "0");
}
