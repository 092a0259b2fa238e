//! What the tests of the worker share.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cutover::Project;
use cutover::project::{Job, JobPlaces, Problem};
use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use cutover_worker::{RunEnd, Settings, Summary, WorkerError, WorkerEvent, run, schema};
use testkit::Database;
use tokio::task::JoinHandle;

/// Longest wait for something a test expects to happen. Reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A worker at work.
pub(crate) struct Working {
    stop: Stop,
    task: JoinHandle<Result<Summary, WorkerError>>,
    events: Arc<Mutex<Vec<WorkerEvent>>>,
}

impl Working {
    pub(crate) fn events(&self) -> Vec<WorkerEvent> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn ends(&self) -> Vec<RunEnd> {
        let of = |event| if let WorkerEvent::RunEnded(end) = event { Some(end) } else { None };
        self.events().into_iter().filter_map(of).collect()
    }

    pub(crate) fn asks_to_stop(&self) {
        self.stop.request();
    }

    pub(crate) async fn ended(self) -> Result<Summary, WorkerError> {
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends").unwrap()
    }

    pub(crate) async fn stops(self) -> Summary {
        self.asks_to_stop();
        self.ended().await.unwrap()
    }

    /// Waits until it has told this.
    pub(crate) async fn tells(&self, what: impl Fn(&WorkerEvent) -> bool) {
        let since = Instant::now();
        while !self.events().iter().any(&what) {
            assert!(since.elapsed() < PATIENCE, "never told: {:?}", self.events());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub(crate) fn settings(name: &str) -> Settings {
    Settings { poll: Duration::from_millis(100), ..Settings::new(name) }
}

pub(crate) fn start(options: &ConnectOptions, settings: Settings) -> Working {
    start_with(options, None, settings)
}

pub(crate) fn start_with(options: &ConnectOptions, project: Option<Project>, settings: Settings) -> Working {
    let (stop, events) = (Stop::new(), Arc::new(Mutex::new(Vec::new())));
    let (options, asked, told) = (options.clone(), stop.clone(), Arc::clone(&events));
    let task = tokio::spawn(async move {
        let mut sink = |event: &WorkerEvent| told.lock().unwrap().push(event.clone());
        run(&options, project.as_ref(), &settings, &asked, &mut sink).await
    });
    Working { stop, task, events }
}

pub(crate) async fn session(options: &ConnectOptions) -> Session {
    Session::connect(options, &Startup::default()).await.unwrap()
}

/// A database with the schema, a table that runs write to, and a gate they can be kept at.
pub(crate) async fn prepared() -> Database {
    let database = testkit::database();
    prepare(&database.options()).await;
    database
}

pub(crate) async fn prepare(options: &ConnectOptions) {
    let mut session = session(options).await;
    assert!(schema::ensure(&mut session).await.unwrap());
    session
        .execute(
            "CREATE TABLE ran (job text, at timestamptz DEFAULT clock_timestamp()); CREATE TABLE gate ();
             CREATE FUNCTION work(job text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
                 -- Two at once cannot both have this.
                 IF NOT pg_try_advisory_xact_lock(hashtext($1)) THEN RAISE EXCEPTION 'two at once'; END IF;
                 INSERT INTO ran VALUES ($1);
             END $$;
             CREATE FUNCTION waits(job text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM work($1); LOCK TABLE gate IN ACCESS SHARE MODE;
             END $$;
             CREATE FUNCTION fails(job text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM work($1); RAISE EXCEPTION 'no % today', $1;
             END $$",
        )
        .await
        .unwrap();
    session.close().await;
}

/// Never due by itself in the life of a test.
pub(crate) const YEARLY: &str = "0 0 1 1 *";

pub(crate) fn schedule(database: &Database, name: &str, command: &str) {
    database.run(&format!("SELECT cutover_worker.schedule('{name}', '{YEARLY}', $c${command}$c$)"));
}

/// Makes a job due now. Its own due times are found out first.
pub(crate) async fn due(database: &Database, name: &str) {
    until(
        database,
        &format!("SELECT next_at IS NOT NULL AND run IS NULL FROM cutover_worker.lease WHERE job = '{name}'"),
    )
    .await;
    database.run(&format!(
        "UPDATE cutover_worker.lease SET next_at = clock_timestamp(), seen_at = NULL WHERE job = '{name}';
         NOTIFY cutover_worker"
    ));
}

/// Waits until the query says true.
pub(crate) async fn until(database: &Database, sql: &str) {
    let since = Instant::now();
    while database
        .try_rows(sql)
        .is_ok_and(|rows| rows.first().is_none_or(|row| row[0].as_deref() != Some("t")))
    {
        assert!(since.elapsed() < PATIENCE, "never true: {sql}\n{:?}", runs(database));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until so many runs of a job have ended.
pub(crate) async fn ended(database: &Database, name: &str, count: u32) {
    until(
        database,
        &format!(
            "SELECT count(*) >= {count} FROM cutover_worker.run WHERE job = '{name}' AND outcome IS NOT NULL"
        ),
    )
    .await;
}

/// Waits until a run waits at the gate.
pub(crate) const AT_GATE: &str =
    "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted)";

/// Runs as `job attempt outcome`, in their order.
pub(crate) fn runs(database: &Database) -> Vec<String> {
    let sql = "SELECT job || ' ' || attempt || ' ' || coalesce(outcome, 'running') FROM cutover_worker.run ORDER BY id";
    database.rows(sql).into_iter().map(|mut row| row.remove(0).unwrap()).collect()
}

pub(crate) fn ran(database: &Database) -> String {
    database.value("SELECT count(*) FROM ran")
}

/// A project with these jobs.
pub(crate) fn project(name: &str, jobs: &[(&str, &str)]) -> Project {
    let mut project = Project::embedded(name, &[("V1__a.sql", b"SELECT 1;")]).unwrap();
    project.jobs = jobs.iter().map(|(name, command)| job(name, command)).collect();
    project
}

pub(crate) fn job(name: &str, command: &str) -> Job {
    let place = Problem::of_file("cutover.toml", "");
    Job {
        name: name.into(),
        kind: "sql".into(),
        schedule: YEARLY.into(),
        command: command.into(),
        time_zone: "UTC".into(),
        missed: "skip".into(),
        timeout: Duration::from_secs(60),
        retries: 0,
        enabled: true,
        places: JobPlaces {
            kind: place.clone(),
            schedule: place.clone(),
            command: place.clone(),
            time_zone: place,
        },
    }
}
