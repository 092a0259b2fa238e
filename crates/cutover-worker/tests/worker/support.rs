//! What the tests of the worker share.

use std::time::{Duration, Instant};

use cutover::Project;
use cutover::project::{Job, JobPlaces, Problem};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use cutover_worker::schema;
use testkit::Database;

pub(crate) use crate::working::{settings, start};

/// Longest wait for something a test expects to happen. Reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(30);

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
             CREATE TABLE one (job text PRIMARY KEY);
             CREATE FUNCTION work(job text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
                 -- Two at once cannot both have this. A row and no advisory lock: what was committed is seen a moment before such a
                 -- lock is given back.
                 PERFORM FROM one WHERE one.job OPERATOR(pg_catalog.=) $1 FOR UPDATE NOWAIT;
                 IF NOT FOUND THEN INSERT INTO one VALUES ($1); END IF;
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

/// Waits until so many hundreds of runs are done. Each hundred has a patience of its own: how fast they are is the machine's.
pub(crate) async fn hundreds_done(database: &Database, hundreds: u32) {
    for hundred in 1..=hundreds {
        let done = "SELECT count(*) FROM cutover_worker.run WHERE outcome = 'done'";
        until(database, &format!("SELECT ({done}) >= {}", hundred * 100)).await;
    }
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
        enabled: None,
        places: JobPlaces {
            kind: place.clone(),
            schedule: place.clone(),
            command: place.clone(),
            time_zone: place,
        },
    }
}
