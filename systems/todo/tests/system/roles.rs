//! Roles belong to the whole server: who makes them, who may go without them, and the way back.

use cutover::revert::{self, Which};
use cutover::run::Verdict;
use cutover::verify::VerifyRequest;
use cutover::{migrate, run::Outcome};
use cutover_postgres::session::{Session, Startup};

use crate::support::{
    FALSE_CLAIMS, applied, as_role, dump, measured, not_held, scratch, system, two_users, up_to, whole,
    with_two_users,
};

#[tokio::test]
async fn the_way_back_of_the_stage_leads_to_the_catalogue_of_before() {
    let database = with_two_users();
    let rows = |table: &str| {
        database.value(&format!("SELECT string_agg(to_jsonb(t)::text, ',' ORDER BY id) FROM {table} t"))
    };
    let before = crate::support::TABLES.map(rows);
    let (project, options, sandbox) = (system(), database.options(), scratch());
    let request = revert::Request {
        which: Which::Stage("Isolation".into()),
        allow: &["rows-stay".to_owned()],
        derive: &[],
        sandbox: &sandbox,
        only_look: false,
    };
    let outlook = Box::pin(revert::look(&project, &options, &request)).await.unwrap();
    assert_eq!(outlook.backs.len(), 3);
    assert!(outlook.backs.iter().all(|back| back.losses.is_empty()), "{:?}", outlook.backs);
    applied(&outlook.project, &options, (None, 1), &mut |_: &_| {}).await;
    assert_eq!(dump(&database), dump(&up_to("003").await));
    // And there again, with the rows that are there.
    applied(&project, &options, (None, 1), &mut |_: &_| {}).await;
    assert_eq!(dump(&database), dump(&whole()));
    assert_eq!(crate::support::TABLES.map(rows), before);
}

/// Somebody makes the role at the same moment: whoever comes second takes it as it is.
#[tokio::test]
async fn two_databases_of_a_server_make_the_roles_at_once() {
    let private = testkit::private_server(&[]);
    let mut other = Session::connect(&private.options("postgres"), &Startup::default()).await.unwrap();
    other.execute("CREATE DATABASE one").await.unwrap();
    other.execute("CREATE DATABASE two").await.unwrap();
    other.execute("BEGIN").await.unwrap();
    other.execute("CREATE ROLE todo_app").await.unwrap();
    let (project, url) = (system(), private.url("one"));
    let letting_go = async {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        while other.query_text(waiting).await.unwrap().scalar() == Some("0") {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        other.execute("COMMIT").await.unwrap();
    };
    let (run, ()) = tokio::join!(migrate(&project, &url), letting_go);
    assert_eq!(run.unwrap().outcome, Some(Outcome::Completed));
    let run = migrate(&project, &private.url("two")).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed));
    let roles = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'todo\\_%' AND NOT rolcanlogin AND NOT rolbypassrls";
    assert_eq!(other.query_text(roles).await.unwrap().scalar(), Some("2"));
    other.close().await;
}

/// Where the roles are there, an ordinary owner may do everything; and is bound by the policies like everybody else.
#[tokio::test]
async fn an_ordinary_owner_applies_everything_and_sees_nothing() {
    drop(whole());
    let owner = testkit::role("");
    let database = testkit::database();
    database.give_to(&owner);
    let (project, options) = (system(), database.options_as(&owner));
    let run = applied(&project, &options, (None, 1), &mut |_: &_| {}).await;
    assert_eq!(run.role, owner.name);
    database.run(&two_users());
    for table in crate::support::TABLES {
        let seen = as_role(&database, &owner.name, &format!("SELECT count(*) FROM {table}")).unwrap();
        assert_eq!(seen, [["0"]], "{table}");
    }
    // What reads all rows says that it cannot, and does not take none for all.
    let results = measured(&project, &options, &VerifyRequest::default()).await;
    let (unknown, others): (Vec<_>, Vec<_>) =
        not_held(&results).into_iter().partition(|(_, verdict, _)| *verdict == Verdict::NotMeasured);
    assert!(
        unknown.iter().any(|(name, ..)| *name == "every foreign key is validated and has no orphans"),
        "{unknown:?}"
    );
    assert!(!others.iter().any(|(name, ..)| name.contains("foreign")), "{others:?}");
    // With BYPASSRLS, and as a member of the application's roles, everything is measured.
    database.run(&format!("ALTER ROLE {0} BYPASSRLS; GRANT todo_app, todo_login TO {0}", owner.name));
    let results = measured(&project, &options, &VerifyRequest::default()).await;
    assert_eq!(not_held(&results), []);
    assert_eq!(results.iter().filter(|result| result.verdict == Verdict::False).count(), FALSE_CLAIMS.len());
}

/// Who logs in is found by the address, and nothing else of anybody is read.
#[test]
fn who_logs_in_is_found_by_address() {
    let database = with_two_users();
    let ask = |sql: &str| as_role(&database, "todo_login", sql);
    let found = ask("SELECT id, password_hash FROM users WHERE email = 'bob@todo.invalid'").unwrap();
    assert_eq!(found, [[crate::support::BOB, "y"]]);
    for sql in [
        "SELECT * FROM users",
        "SELECT created_at FROM users",
        "SELECT id FROM users FOR UPDATE",
        "UPDATE users SET password_hash = 'z'",
        "DELETE FROM users",
        "SELECT 1 FROM tasks",
        "SELECT 1 FROM conversations",
        "SELECT 1 FROM messages",
    ] {
        assert_eq!(ask(sql), Err("42501".to_owned()), "{sql}");
    }
}

/// What each role may do adds up where one role is both: it reads no more of others than the application does.
#[test]
fn a_role_that_is_both_sees_its_own() {
    let database = with_two_users();
    let both = testkit::role("");
    database.run(&format!("GRANT todo_app, todo_login TO {}", both.name));
    let counted = |before: &str| {
        let sql = format!("{before}SELECT count(*), count(password_hash) FROM users");
        as_role(&database, &both.name, &sql).unwrap()
    };
    assert_eq!(counted(""), [["0", "0"]]);
    let alice = format!("SET LOCAL app.user_id = '{}'; ", crate::support::ALICE);
    assert_eq!(counted(&alice), [["1", "1"]]);
}
