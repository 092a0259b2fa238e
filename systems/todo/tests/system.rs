//! What the reference system must hold, each line proven on a real server through the library.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use cutover::apply::{self, Context, CrashPoints, Request};
use cutover::history::records;
use cutover::plan::select::Selection;
use cutover::project::Overrides;
use cutover::report::graph::ProjectGraph;
use cutover::run::{CheckResult, EventKind, Outcome, RunEvent, Verdict};
use cutover::stop::Stop;
use cutover::verify::{SandboxProvider, VerifyRequest, verify};
use cutover::{Project, SystemClock, catalog, inspect, migrate};
use testkit::Database;

const TABLES: [&str; 4] = ["users", "tasks", "conversations", "messages"];

fn load(folder: &Path) -> Project {
    Project::load(folder, &Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn system() -> Project {
    load(Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// A database with everything applied.
async fn fresh() -> Database {
    let database = testkit::database();
    let run = migrate(&system(), &database.url()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed));
    database
}

async fn measured(database: &Database) -> Vec<CheckResult> {
    let project = system();
    let mut session = inspect::connect(&database.options(), None).await.unwrap();
    let history = records::read(&mut session, &project.name).await.unwrap();
    session.close().await;
    let scratch = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let request = VerifyRequest::default();
    verify(&project, &database.options(), &scratch, &history, &request, |_| {}).await.unwrap()
}

/// 200 users with 250 tasks each, a conversation each, and two messages in it.
fn fill(database: &Database) {
    database.run(
        "INSERT INTO users (email, password_hash) SELECT 'user-' || n || '@todo.invalid', md5(n::text) FROM generate_series(1, 200) n;
         INSERT INTO tasks (user_id, title, created_at)
           SELECT u.id, 'task ' || n, now() - n * interval '1 hour' FROM users u, generate_series(1, 250) n;
         INSERT INTO conversations (user_id, title) SELECT id, 'about tasks' FROM users;
         INSERT INTO messages (conversation_id, user_id, role, content)
           SELECT c.id, c.user_id, r, 'x' FROM conversations c, unnest(ARRAY['user', 'agent']) r",
    );
    for table in TABLES {
        database.run(&format!("ANALYZE {table}"));
    }
}

#[tokio::test]
async fn a_fresh_install_is_what_the_summary_says_but_for_two_claims() {
    let database = fresh().await;
    let results = measured(&database).await;
    let wrong: Vec<(&str, Verdict, &str)> = results
        .iter()
        .filter(|result| result.verdict != Verdict::Holds && result.verdict != Verdict::Skipped)
        .map(|result| (result.name.as_str(), result.verdict, result.found.as_str()))
        .collect();
    assert_eq!(
        wrong,
        [
            (
                "tasks has 8 columns",
                Verdict::False,
                "7 columns: id, user_id, title, description, completed, created_at, updated_at"
            ),
            (
                "messages has 8 columns",
                Verdict::False,
                "7 columns: id, conversation_id, user_id, role, content, tool_calls, created_at"
            ),
        ]
    );
    let columns = database.value(
        "SELECT string_agg(n::text, '/' ORDER BY ord) FROM (
           SELECT ord, (SELECT count(*) FROM pg_attribute WHERE attrelid = t::regclass AND attnum > 0) AS n
             FROM unnest(ARRAY['users', 'tasks', 'conversations', 'messages']) WITH ORDINALITY AS u (t, ord)) x",
    );
    assert_eq!(columns, "5/7/5/7");
    for table in TABLES {
        assert_eq!(database.value(&format!("SELECT count(*) FROM {table}")), "0");
    }
}

/// Applies on two connections; calls `told` with the version of each migration that waits for a lock.
async fn on_two_connections(database: &Database, to: Option<&str>, mut told: impl FnMut(&str) + Send) {
    let clock = SystemClock::new();
    let mut sink = |event: &RunEvent| {
        if let EventKind::LockWaiting { migration, .. } = &event.kind {
            told(migration.version.text());
        }
    };
    let context = Context {
        clock: &clock,
        sink: &mut sink,
        stop: Stop::new(),
        operator: "test".into(),
        tool: "test".into(),
        crash: CrashPoints::default(),
    };
    let selection = Selection { to: to.map(str::to_owned), ..Selection::default() };
    let request = Request { jobs: 2, selection, ..Request::default() };
    let run = apply::apply(&system(), &database.options(), &request, context).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed));
}

/// 001 and 002 both refer to users and have nothing else in common: while somebody writes users, both wait.
#[tokio::test]
async fn two_migrations_run_side_by_side_and_leave_the_same_catalogue() {
    let (serial, beside) = (fresh().await, testkit::database());
    on_two_connections(&beside, Some("000"), |_| {}).await;
    let writer = beside.hold("LOCK TABLE public.users IN ROW EXCLUSIVE MODE");
    let (tell, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let run = on_two_connections(&beside, None, |version| tell.send(version.to_owned()).unwrap());
    let letting_go = async {
        let mut missing = BTreeSet::from(["001".to_owned(), "002".to_owned()]);
        while !missing.is_empty() {
            let version = heard.recv().await.unwrap();
            assert_ne!(version, "003", "it needs what 002 makes");
            missing.remove(&version);
        }
        writer.lets_go();
    };
    let patience = std::time::Duration::from_secs(30);
    tokio::time::timeout(patience, async { tokio::join!(run, letting_go) }).await.expect("both wait");
    let dump = |database: &Database| testkit::catalogue_dump(&database.options(), &["cutover"]);
    assert_eq!(dump(&serial), dump(&beside));
}

#[tokio::test]
async fn a_second_run_has_nothing_to_do_and_changes_no_row() {
    let database = fresh().await;
    fill(&database);
    let tables: Vec<String> = TABLES.iter().map(ToString::to_string).collect();
    let before = catalog::digests(&database.options(), &tables).await.unwrap();
    assert_eq!(before.iter().map(|table| table.rows).collect::<Vec<_>>(), [200, 50_000, 200, 400]);
    let run = migrate(&system(), &database.url()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::NothingToDo));
    assert_eq!(catalog::digests(&database.options(), &tables).await.unwrap(), before);
}

#[tokio::test]
async fn a_user_takes_along_what_is_theirs_and_nothing_else() {
    let database = fresh().await;
    fill(&database);
    database.run("DELETE FROM users WHERE email = 'user-7@todo.invalid'");
    for (table, rows) in [("users", "199"), ("tasks", "49750"), ("conversations", "199"), ("messages", "398")]
    {
        assert_eq!(database.value(&format!("SELECT count(*) FROM {table}")), rows, "{table}");
    }
    assert_eq!(database.value("SELECT count(DISTINCT user_id) FROM tasks"), "199");
}

#[tokio::test]
async fn the_dashboard_is_read_in_the_order_of_the_index() {
    let database = fresh().await;
    fill(&database);
    let plan = database.rows(
        "EXPLAIN SELECT * FROM tasks WHERE user_id = (SELECT id FROM users WHERE email = 'user-9@todo.invalid')
         ORDER BY created_at DESC LIMIT 100",
    );
    let plan: Vec<String> = plan.into_iter().flatten().flatten().collect();
    let plan = plan.join("\n");
    assert!(plan.contains("idx_tasks_user_id_created_at"), "{plan}");
    assert!(!plan.contains("Sort"), "{plan}");
}

#[tokio::test]
async fn wrong_rows_are_refused() {
    let database = fresh().await;
    database.run("INSERT INTO users (email, password_hash) VALUES ('a@todo.invalid', 'x')");
    let conversation = "(SELECT id FROM conversations LIMIT 1)";
    database.run("INSERT INTO conversations (user_id) SELECT id FROM users");
    for (sql, code) in [
        ("INSERT INTO tasks (user_id, title) VALUES (gen_random_uuid(), 'x')".to_owned(), "23503"),
        ("INSERT INTO tasks (title) VALUES ('x')".to_owned(), "23502"),
        ("INSERT INTO tasks (user_id, title) SELECT id, repeat('x', 256) FROM users".to_owned(), "22001"),
        (
            format!(
                "INSERT INTO messages (conversation_id, user_id, role, content) SELECT {conversation}, id, 'bot', 'x' FROM users"
            ),
            "23514",
        ),
        ("INSERT INTO users (email, password_hash) VALUES ('a@todo.invalid', 'y')".to_owned(), "23505"),
    ] {
        let error = database.try_rows(&sql).expect_err(&sql);
        assert_eq!(error.code().map(|code| code.code().to_owned()).as_deref(), Some(code), "{sql}");
    }
}

#[test]
fn tasks_and_conversations_may_run_side_by_side() {
    let project = system();
    let graph = ProjectGraph::of(&project);
    assert!(graph.is_in_order());
    assert_eq!(
        graph.text(),
        "001 needs 000: foreign key tasks.user_id → users\n\
         002 needs 000: foreign key conversations.user_id → users\n\
         003 needs 000: foreign key messages.user_id → users\n\
         003 needs 002: foreign key messages.conversation_id → conversations\n\
         4 migrations in 3 waves\n  1: 000\n  2: 001, 002\n  3: 003\n"
    );
}

#[tokio::test]
async fn without_the_first_files_users_is_named_as_missing() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["002_add_conversations_table.sql", "003_add_messages_table.sql"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(name);
        std::fs::copy(from, folder.path().join(name)).unwrap();
    }
    let database = testkit::database();
    let error = migrate(&load(folder.path()), &database.url()).await.unwrap_err().to_string();
    assert!(error.contains("002_add_conversations_table.sql:6:"), "{error}");
    assert!(error.contains("needs table users (foreign key to it), which does not exist"), "{error}");
    assert_eq!(database.value("SELECT to_regclass('conversations') IS NULL"), "t");
}
