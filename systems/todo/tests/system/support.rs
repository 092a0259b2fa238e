//! What the tests share: running the engine, copies of the project, databases that are ready, questions to servers.

use std::path::{Path, PathBuf};

use cutover::apply::{self, Context, CrashPoints, Request};
use cutover::compare::{Options, diff, drift, told};
use cutover::history::records;
use cutover::plan::select::Selection;
use cutover::project::Overrides;
use cutover::run::{CheckResult, EventSink, Outcome, Run, Verdict};
use cutover::stop::Stop;
use cutover::verify::{SandboxProvider, VerifyRequest, verify};
use cutover::{Project, SystemClock, inspect, migrate};
use cutover_postgres::connect::ConnectOptions;
use testkit::Database;

pub(crate) const TABLES: [&str; 4] = ["users", "tasks", "conversations", "messages"];

/// What the summary says and is not so.
pub(crate) const FALSE_CLAIMS: [&str; 2] = ["tasks has 8 columns", "messages has 8 columns"];

pub(crate) const ALICE: &str = "a11ce000-0000-4000-8000-000000000000";
pub(crate) const BOB: &str = "b0b00000-0000-4000-8000-000000000000";

pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn load(folder: &Path) -> Project {
    Project::load(folder, &Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn system() -> Project {
    load(folder())
}

/// The migrations' files in their order.
pub(crate) fn files() -> Vec<PathBuf> {
    system().migrations.iter().map(|migration| folder().join(&migration.path)).collect()
}

/// A copy of the project that a test may change.
pub(crate) struct Copy(tempfile::TempDir);

impl Copy {
    pub(crate) fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        std::fs::copy(folder().join("cutover.toml"), copy.0.path().join("cutover.toml")).unwrap();
        for part in ["migrations", "ddl"] {
            std::fs::create_dir(copy.0.path().join(part)).unwrap();
            for entry in std::fs::read_dir(folder().join(part)).unwrap() {
                let from = entry.unwrap().path();
                std::fs::copy(&from, copy.0.path().join(part).join(from.file_name().unwrap())).unwrap();
            }
        }
        copy
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> &Self {
        std::fs::write(self.0.path().join(path), text).unwrap();
        self
    }

    /// Puts a text before that of a file.
    pub(crate) fn prepend(&self, path: &str, text: &str) -> &Self {
        let old = std::fs::read_to_string(self.0.path().join(path)).unwrap();
        self.write(path, &format!("{text}{old}"))
    }

    pub(crate) fn load(&self) -> Project {
        load(self.0.path())
    }
}

/// Applies up to a version, or everything, on so many connections.
pub(crate) async fn applied(
    project: &Project,
    options: &ConnectOptions,
    (to, jobs): (Option<&str>, usize),
    sink: &mut dyn EventSink,
) -> Run {
    let allow = vec!["applied-elsewhere".to_owned(), "empty-migration".to_owned()];
    let selection = Selection { to: to.map(str::to_owned), ..Selection::default() };
    let request = Request { jobs, selection, allow, ..Request::default() };
    let clock = SystemClock::new();
    let context = Context {
        clock: &clock,
        sink,
        stop: Stop::new(),
        operator: "test".into(),
        tool: "test".into(),
        crash: CrashPoints::default(),
    };
    let run = Box::pin(apply::apply(project, options, &request, context)).await;
    let run = run.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.outcome, Some(Outcome::Completed), "{:?}", run.events);
    run
}

/// A database of its own with everything up to a version.
pub(crate) async fn up_to(version: &str) -> Database {
    let database = testkit::database();
    applied(&system(), &database.options(), (Some(version), 1), &mut |_: &_| {}).await;
    database
}

/// A database with everything applied, and no rows.
pub(crate) fn whole() -> Database {
    let texts: Vec<String> = files()
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .chain(["todo".to_owned()])
        .collect();
    testkit::database_from_template(&texts.join("\n"), |template| {
        let url = template.url();
        let run = testkit::block_on(async { migrate(&system(), &url).await.unwrap() });
        assert_eq!(run.outcome, Some(Outcome::Completed));
    })
}

/// [`whole`] with Alice and Bob, who have two tasks, a conversation and two messages each. Their conversations have their ids.
pub(crate) fn with_two_users() -> Database {
    let database = whole();
    database.run(&two_users());
    database
}

pub(crate) fn two_users() -> String {
    format!(
        "INSERT INTO users (id, email, password_hash) VALUES
           ('{ALICE}', 'alice@todo.invalid', 'x'), ('{BOB}', 'bob@todo.invalid', 'y');
         INSERT INTO tasks (id, user_id, title) SELECT id, id, 'first' FROM users;
         INSERT INTO tasks (user_id, title) SELECT id, 'second' FROM users;
         INSERT INTO conversations (id, user_id) SELECT id, id FROM users;
         INSERT INTO messages (id, conversation_id, user_id, role, content) SELECT id, id, id, 'user', 'x' FROM users;
         INSERT INTO messages (conversation_id, user_id, role, content) SELECT id, id, 'agent', 'y' FROM users;"
    )
}

/// 200 users with 250 tasks each, a conversation each, and two messages in it.
pub(crate) fn fill(database: &Database) {
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

/// Measures; the design is built and migrations are replayed in scratch databases of the same server.
pub(crate) async fn measured(
    project: &Project,
    options: &ConnectOptions,
    request: &VerifyRequest,
) -> Vec<CheckResult> {
    let mut session = inspect::connect(options, None).await.unwrap();
    let history = records::read(&mut session, &project.name).await.unwrap();
    session.close().await;
    verify(project, options, &scratch(), &history, request, |_| {}).await.unwrap()
}

pub(crate) fn scratch() -> SandboxProvider {
    SandboxProvider::dev_url(testkit::server().server().options("postgres"))
}

/// What does not hold, but for the two claims that never do: names and what was found.
pub(crate) fn not_held(results: &[CheckResult]) -> Vec<(&str, Verdict, &str)> {
    let others = results
        .iter()
        .filter(|result| result.verdict != Verdict::Holds && !FALSE_CLAIMS.contains(&result.name.as_str()));
    others.map(|result| (result.name.as_str(), result.verdict, result.found.as_str())).collect()
}

/// What somebody changed since the last run, a line each.
pub(crate) async fn drifted(database: &Database) -> Vec<String> {
    let found = drift::drift(&system(), &database.options(), &[], None).await.unwrap();
    told(&diff(&found.expected, &found.live, Options { safe: true }).changes)
}

/// Schema of a database as `pg_dump` writes it, without our own.
pub(crate) fn dump(database: &Database) -> String {
    testkit::catalogue_dump(&database.options(), &["cutover"])
}

/// Rows, or the SQLSTATE.
pub(crate) type Answer = Result<Vec<Vec<String>>, String>;

/// What the server says of statements, as somebody whom the application serves.
pub(crate) fn as_user(database: &Database, user: &str, sql: &str) -> Answer {
    as_role(database, "todo_app", &format!("SET LOCAL app.user_id = '{user}'; {sql}"))
}

/// As [`as_user`], as a role that serves nobody yet. All statements are one transaction.
pub(crate) fn as_role(database: &Database, role: &str, sql: &str) -> Answer {
    let done = database.try_rows(&format!("BEGIN; SET LOCAL ROLE {role}; {sql}; COMMIT"));
    match done {
        Ok(rows) => {
            Ok(rows.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect())
        }
        Err(error) => Err(error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())),
    }
}
