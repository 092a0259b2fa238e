//! What the tests share: running the engine, copies of the project, databases that are ready, questions to servers.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cutover::apply::{self, ApplyError, Context, CrashPoints, Request};
use cutover::catalog::{self, TableDigest};
use cutover::history::{records, schema};
use cutover::plan::select::Selection;
use cutover::project::Overrides;
use cutover::run::{CheckResult, EventKind, EventSink, Outcome, Run, RunEvent, Verdict};
use cutover::stop::Stop;
use cutover::verify::{SandboxProvider, VerifyRequest, verify};
use cutover::{Project, SystemClock, inspect};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use testkit::Database;

use crate::roadmap;

/// Longest wait for something a test expects to happen. Reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn load(folder: &Path) -> Project {
    Project::load(folder, &Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The project itself.
pub(crate) fn system() -> Project {
    load(folder())
}

/// Text of one of the project's files.
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A copy of the project that a test may change.
pub(crate) struct Copy(tempfile::TempDir);

impl Copy {
    pub(crate) fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        for part in ["cutover.toml", "ddl", "migrations", "checks"] {
            copy_all(&folder().join(part), &copy.0.path().join(part));
        }
        copy
    }

    /// Replaces a text that a file holds exactly once.
    pub(crate) fn replace(&self, path: &str, old: &str, new: &str) -> &Self {
        let file = self.0.path().join(path);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.matches(old).count(), 1, "{old:?} in {path}");
        std::fs::write(file, text.replace(old, new)).unwrap();
        self
    }

    pub(crate) fn append(&self, path: &str, more: &str) -> &Self {
        let file = self.0.path().join(path);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, text + more).unwrap();
        self
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.0.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    pub(crate) fn load(&self) -> Project {
        load(self.0.path())
    }
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_file() {
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        copy_all(&path, &to.join(path.file_name().unwrap()));
    }
}

/// A run of the engine that is being put together.
pub(crate) struct Applying<'a> {
    project: &'a Project,
    options: &'a ConnectOptions,
    request: Request,
    stop: Stop,
}

/// Everything of a project, on a database.
pub(crate) fn applying<'a>(project: &'a Project, options: &'a ConnectOptions) -> Applying<'a> {
    Applying { project, options, request: Request::default(), stop: Stop::new() }
}

impl Applying<'_> {
    pub(crate) fn selecting(mut self, selection: Selection) -> Self {
        self.request.selection = selection;
        self
    }

    pub(crate) fn only(self, version: &str) -> Self {
        self.selecting(Selection { only: vec![version.into()], ..Selection::default() })
    }

    pub(crate) fn until_stage(self, stage: &str) -> Self {
        self.selecting(Selection { to_stage: Some(stage.into()), ..Selection::default() })
    }

    pub(crate) fn deferring(self, version: &str) -> Self {
        self.selecting(Selection { defer: vec![version.into()], ..Selection::default() })
    }

    pub(crate) fn with_optional(self) -> Self {
        self.selecting(Selection { optional: true, ..Selection::default() })
    }

    pub(crate) fn stopped_by(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    pub(crate) async fn run(self) -> Result<Run, ApplyError> {
        self.watched(&mut |_: &RunEvent| {}).await
    }

    pub(crate) async fn watched(self, sink: &mut dyn EventSink) -> Result<Run, ApplyError> {
        let clock = SystemClock::new();
        let context = Context {
            clock: &clock,
            sink,
            stop: self.stop,
            operator: "tester@here".into(),
            tool: "cutover test".into(),
            crash: CrashPoints::default(),
        };
        // It is large, and tests hold several.
        Box::pin(apply::apply(self.project, self.options, &self.request, context)).await
    }

    /// Runs it and expects that it completes.
    pub(crate) async fn completes(self) -> Run {
        let run = self.run().await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
        run
    }

    /// Runs it and expects that it is refused before anything is done.
    pub(crate) async fn refused(self) -> ApplyError {
        match self.run().await {
            Err(error) => error,
            Ok(run) => panic!("it ran: {:?} {}", run.outcome, failure(&run)),
        }
    }
}

/// What a run says of the step that failed: message and state, one after the other; empty when none did.
pub(crate) fn failure(run: &Run) -> String {
    let said = run.events.iter().find_map(|event| match &event.kind {
        EventKind::StepFailed { message, state, .. } => Some(format!("{message}\n{state}")),
        _ => None,
    });
    said.unwrap_or_default()
}

/// Versions of the steps a run says it finished, in order.
pub(crate) fn finished(run: &Run) -> Vec<&str> {
    let version = |event: &'_ RunEvent| match &event.kind {
        EventKind::StepFinished { migration, .. } => run
            .plan
            .steps
            .iter()
            .find(|step| step.migration == *migration)
            .map(|step| step.migration.version.text()),
        _ => None,
    };
    run.events.iter().filter_map(version).collect()
}

/// Measures; designs are built and migrations replayed in scratch databases of the same server.
pub(crate) async fn measured(
    project: &Project,
    options: &ConnectOptions,
    request: &VerifyRequest,
) -> Vec<CheckResult> {
    let mut session = inspect::connect(options, None).await.unwrap();
    let history = match schema::look(&mut session).await.unwrap().version {
        Some(_) => records::read(&mut session, &project.name).await.unwrap(),
        None => records::History::default(),
    };
    session.close().await;
    let scratch = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    verify(project, options, &scratch, &history, request, |_| {})
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Measures the checks of these kinds.
pub(crate) async fn measured_kinds(
    project: &Project,
    database: &Database,
    kinds: &[&str],
) -> Vec<CheckResult> {
    let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    measured(project, &database.options(), &VerifyRequest { kinds, ..VerifyRequest::default() }).await
}

/// What does not hold: names with verdicts and what was found.
pub(crate) fn not_held(results: &[CheckResult]) -> Vec<(&str, Verdict, &str)> {
    let others = results.iter().filter(|result| result.verdict != Verdict::Holds);
    others.map(|result| (result.name.as_str(), result.verdict, result.found.as_str())).collect()
}

/// Everything that decides what applying the project leads to, for keys of templates.
fn project_text() -> String {
    let files: Vec<String> = system()
        .migrations
        .iter()
        .map(|migration| format!("{} {}", migration.path, migration.checksums.raw))
        .collect();
    files.join("\n")
}

/// A database with the 20 migrations and no rows.
pub(crate) fn whole() -> Database {
    testkit::database_from_template(&format!("bitstockerz\n{}", project_text()), |template| {
        let options = template.options();
        testkit::block_on(async { applying(&system(), &options).completes().await });
    })
}

/// A database with the 20 migrations and the rows of `data/seed.sql`.
pub(crate) fn seeded() -> Database {
    let seed = text("data/seed.sql");
    testkit::database_from_template(&format!("bitstockerz seeded\n{}{seed}", project_text()), |template| {
        let options = template.options();
        testkit::block_on(async { applying(&system(), &options).completes().await });
        template.run(&seed);
    })
}

/// Schema of a database as `pg_dump` writes it, without our own.
pub(crate) fn dump(database: &Database) -> String {
    testkit::catalogue_dump(&database.options(), &["cutover"])
}

/// The history as rows of text.
pub(crate) fn history(database: &Database) -> Vec<Vec<Option<String>>> {
    database.rows(
        "SELECT 'migration', to_jsonb(m)::text FROM cutover.migration m UNION ALL \
         SELECT 'unit', to_jsonb(u)::text FROM cutover.unit u UNION ALL \
         SELECT 'deferral', to_jsonb(d)::text FROM cutover.deferral d ORDER BY 1, 2",
    )
}

/// [`history`] with the journal of runs and the runner's lock: everything this tool keeps.
pub(crate) fn everything_kept(database: &Database) -> Vec<Vec<Option<String>>> {
    let mut kept = history(database);
    kept.extend(database.rows(
        "SELECT 'run', to_jsonb(r)::text FROM cutover.run r UNION ALL \
         SELECT 'event', to_jsonb(e)::text FROM cutover.event e UNION ALL \
         SELECT 'fence', to_jsonb(f)::text FROM cutover.fence f UNION ALL \
         SELECT 'meta', to_jsonb(m)::text FROM cutover.meta m ORDER BY 1, 2",
    ));
    kept
}

/// Digests of tables.
pub(crate) async fn digests(database: &Database, tables: &[String]) -> Vec<TableDigest> {
    catalog::digests(&database.options(), tables).await.unwrap()
}

/// Names of the tables in a database, sorted.
pub(crate) fn tables_of(database: &Database) -> Vec<String> {
    column(
        database,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
    )
}

/// The values of the first column of a query, sorted.
pub(crate) fn column(database: &Database, sql: &str) -> Vec<String> {
    let mut values: Vec<String> =
        database.rows(sql).into_iter().map(|row| row[0].clone().unwrap_or_default()).collect();
    values.sort();
    values
}

/// Names sorted, for comparing.
pub(crate) fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Versions in the history, in order.
pub(crate) fn applied(database: &Database) -> Vec<String> {
    column(database, "SELECT version_text FROM cutover.migration")
}

/// Versions of the 20, without some.
pub(crate) fn versions_without(left_out: &[&str]) -> Vec<String> {
    let versions = roadmap::MIGRATIONS.iter().map(|entry| entry.version);
    versions.filter(|version| !left_out.contains(version)).map(str::to_owned).collect()
}

/// A session of the test's own. Nothing it does waits for long.
pub(crate) async fn session(options: &ConnectOptions) -> Session {
    let settings = vec![("statement_timeout".to_owned(), "20s".to_owned())];
    let startup = Startup { application_name: "tester".into(), settings, ..Startup::default() };
    Session::connect(options, &startup).await.unwrap()
}

/// Runs statements that must go well.
pub(crate) async fn run(session: &mut Session, sql: &str) {
    session.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The one value a query gives, as text; empty for NULL.
pub(crate) async fn value(session: &mut Session, sql: &str) -> String {
    let done = session.query_text(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!((done.rows.len(), done.columns.len()), (1, 1), "{sql}");
    done.scalar().unwrap_or_default().to_owned()
}

/// Waits for something that must come, and fails where it does not.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it comes in time")
}

/// Returns once a query gives the value that is waited for.
pub(crate) async fn until(session: &mut Session, sql: &str, wanted: &str) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let found = value(session, sql).await;
        if found == wanted {
            return;
        }
        assert!(Instant::now() < give_up, "{sql}: still {found:?} instead of {wanted:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
