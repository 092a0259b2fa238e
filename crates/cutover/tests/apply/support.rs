//! What the tests of the engine share.

use std::path::Path;
use std::time::{Duration, Instant};

use cutover::apply::{self, ApplyError, Context, CrashPoints, Request};
use cutover::project::Overrides;
use cutover::repair::{self, Mark, RepairError};
use cutover::run::{EventKind, EventSink, Outcome, Run, RunEvent};
use cutover::stop::Stop;
use cutover::{Project, SystemClock};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

/// Longest wait for something a test expects to happen. Reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A project named `p`, compiled in.
pub(crate) fn project(files: &[(&str, &str)]) -> Project {
    named_project("p", files)
}

pub(crate) fn named_project(name: &str, files: &[(&str, &str)]) -> Project {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    Project::embedded(name, &files).unwrap_or_else(|error| panic!("{error}"))
}

/// A project folder that goes away with the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder with these files, by path relative to it.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            folder.write(path, text);
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        std::fs::remove_file(self.path().join(path)).unwrap();
    }

    pub(crate) fn load(&self) -> Project {
        Project::load(self.path(), &Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Applies with the defaults.
pub(crate) async fn apply(project: &Project, options: &ConnectOptions) -> Result<Run, ApplyError> {
    apply_with(project, options, &Request::default()).await
}

pub(crate) async fn apply_with(
    project: &Project,
    options: &ConnectOptions,
    request: &Request,
) -> Result<Run, ApplyError> {
    apply_watched(project, options, request, &Stop::new(), &mut |_: &RunEvent| {}).await
}

pub(crate) async fn apply_watched(
    project: &Project,
    options: &ConnectOptions,
    request: &Request,
    stop: &Stop,
    sink: &mut dyn EventSink,
) -> Result<Run, ApplyError> {
    let clock = SystemClock::new();
    let context = Context {
        clock: &clock,
        sink,
        stop: stop.clone(),
        operator: "tester@here".into(),
        tool: "cutover test".into(),
        crash: CrashPoints::default(),
    };
    apply::apply(project, options, request, context).await
}

/// Applies and expects everything to go well.
pub(crate) async fn completes(project: &Project, options: &ConnectOptions) -> Run {
    let run = apply(project, options).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    run
}

/// Settles the open statement of a migration, as a person does.
pub(crate) async fn settle(
    project: &Project,
    options: &ConnectOptions,
    version: &str,
    found: Mark,
) -> Result<(), RepairError> {
    let open = repair::look(project, options, version).await?;
    repair::mark(project, options, version, &open, found).await
}

/// What a run says of the step that failed: message and state, one after the other; empty when none did.
pub(crate) fn failure(run: &Run) -> String {
    let said = run.events.iter().find_map(|event| match &event.kind {
        EventKind::StepFailed { message, state, .. } => Some(format!("{message}\n{state}")),
        _ => None,
    });
    said.unwrap_or_default()
}

/// Versions (as written) of the steps a run says it finished, in order.
pub(crate) fn finished(run: &Run) -> Vec<String> {
    let version = |event: &RunEvent| match &event.kind {
        EventKind::StepFinished { migration, .. } => Some(migration.version.text().to_owned()),
        _ => None,
    };
    run.events.iter().filter_map(version).collect()
}

/// A session of the test's own.
pub(crate) async fn session(options: &ConnectOptions) -> Session {
    let startup = Startup { application_name: "tester".into(), ..Startup::default() };
    Session::connect(options, &startup).await.unwrap()
}

/// A session as `status` and `plan` look with.
pub(crate) async fn looking(options: &ConnectOptions) -> Session {
    cutover::inspect::connect(options, None).await.unwrap()
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

/// A gate that migrations wait at: [`WAIT_AT_GATE`] blocks until the test opens it.
pub(crate) struct Gate(Session);

/// Waits for the gate, without the engine's short lock timeout.
pub(crate) const WAIT_AT_GATE: &str = "SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock_shared(77);";

/// Sessions that wait at the gate.
const AT_GATE: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

impl Gate {
    pub(crate) async fn closed(options: &ConnectOptions) -> Self {
        let mut session = session(options).await;
        session.execute("SELECT pg_advisory_lock(77)").await.unwrap();
        Self(session)
    }

    /// Returns once a migration waits.
    pub(crate) async fn reached(&mut self) {
        until(&mut self.0, AT_GATE, "1").await;
    }

    pub(crate) async fn open(&mut self) {
        self.0.execute("SELECT pg_advisory_unlock(77)").await.unwrap();
    }

    /// The test's own questions, while the gate is closed.
    pub(crate) fn session(&mut self) -> &mut Session {
        &mut self.0
    }
}

/// Sessions of runs in this database.
pub(crate) const RUNNERS: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND application_name LIKE 'cutover/%'";

/// Sessions that wait for another's transaction or snapshot, as a concurrent index build does.
pub(crate) const BUILD_WAITS: &str = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
    WHERE l.locktype = 'virtualxid' AND NOT l.granted AND a.datname = current_database()";

/// Tables, columns, indexes, constraints and functions outside `cutover`, one line each.
pub(crate) const OBJECTS: &str = "
SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM (
  SELECT format('%s %s.%s %s', c.relkind, n.nspname, c.relname, coalesce(i.indisvalid, true)) AS line
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
   WHERE n.nspname NOT IN ('cutover', 'information_schema') AND n.nspname !~ '^pg_'
  UNION ALL
  SELECT format('column %s.%s %s %s', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE a.attnum > 0 AND NOT a.attisdropped AND n.nspname NOT IN ('cutover', 'information_schema') AND n.nspname !~ '^pg_'
  UNION ALL
  SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(o.oid)) FROM pg_constraint o
    JOIN pg_namespace n ON n.oid = o.connamespace
   WHERE n.nspname NOT IN ('cutover', 'information_schema') AND n.nspname !~ '^pg_'
  UNION ALL
  SELECT 'function ' || p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
   WHERE n.nspname NOT IN ('cutover', 'information_schema') AND n.nspname !~ '^pg_'
) AS all_objects";

/// Versions in the history, in order, joined by spaces.
pub(crate) const APPLIED: &str =
    "SELECT coalesce(string_agg(version_text, ' ' ORDER BY version_text), '') FROM cutover.migration";
