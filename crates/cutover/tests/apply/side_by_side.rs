//! Migrations that run side by side: what overlaps, what does not, and that nothing else is different.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cutover::Project;
use cutover::apply::{ApplyError, Request};
use cutover::plan::StepState;
use cutover::run::{EventKind, EventSink, Outcome, Run, RunEvent};
use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use testkit::proxy::{Direction, Point, When};
use testkit::{Database, Proxy, catalogue_dump, database, role};
use tokio::sync::mpsc;

use crate::cuts::run_async;
use crate::support::{
    APPLIED, RUNNERS, apply, apply_watched, apply_with, failure, finished, project, session, soon, until,
    value,
};

pub(crate) fn jobs(jobs: usize) -> Request {
    Request { jobs, ..Request::default() }
}

async fn completes_with(project: &Project, options: &ConnectOptions, request: &Request) -> Run {
    let run = apply_with(project, options, request).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    run
}

/// Passes on what happens, in words: `waits 2`, `done 3`.
struct Told(mpsc::UnboundedSender<String>);

impl EventSink for Told {
    fn event(&mut self, event: &RunEvent) {
        let (word, migration) = match &event.kind {
            EventKind::LockWaiting { migration, .. } => ("waits", migration),
            EventKind::StepFinished { migration, .. } => ("done", migration),
            EventKind::StepFailed { migration, .. } => ("failed", migration),
            _ => return,
        };
        let _ = self.0.send(format!("{word} {}", migration.version.text()));
    }
}

/// Returns once all of these were told, whatever comes between.
pub(crate) async fn hears(told: &mut mpsc::UnboundedReceiver<String>, wanted: &[&str]) {
    let mut missing: BTreeSet<&str> = wanted.iter().copied().collect();
    while !missing.is_empty() {
        let heard = told.recv().await.expect("the run goes on");
        missing.remove(heard.as_str());
    }
}

fn two_tables() -> Database {
    let database = database();
    database.run("CREATE TABLE a (n int); CREATE TABLE b (n int)");
    database
}

/// Applies while `meddling` goes on, with what is told.
pub(crate) async fn apply_and<T>(
    project: &Project,
    options: &ConnectOptions,
    request: &Request,
    meddling: impl AsyncFnOnce(mpsc::UnboundedReceiver<String>) -> T,
) -> (Run, T) {
    let (tell, told) = mpsc::unbounded_channel();
    let mut sink = Told(tell);
    let stop = Stop::new();
    let (run, more) = soon(async {
        tokio::join!(apply_watched(project, options, request, &stop, &mut sink), meddling(told))
    })
    .await;
    (run.unwrap_or_else(|error| panic!("{error}")), more)
}

#[tokio::test]
async fn what_has_nothing_to_do_with_one_another_overlaps() {
    let database = two_tables();
    let options = database.options();
    let project = project(&[
        ("V1__a.sql", "ALTER TABLE a ADD m int;"),
        ("V2__b.sql", "ALTER TABLE b ADD m int;"),
        ("V3__a.sql", "ALTER TABLE a ADD o int;"),
    ]);
    let holder = database.hold("SELECT FROM a; SELECT FROM b");
    let (run, ()) = apply_and(&project, &options, &jobs(3), async |mut told| {
        hears(&mut told, &["waits 1", "waits 2"]).await;
        holder.lets_go();
    })
    .await;
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    let done = finished(&run);
    let place = |version: &str| done.iter().position(|done| done == version).unwrap();
    assert!(place("1") < place("3"), "{done:?}: both change table a");
    let columns = "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'a'::regclass AND attnum > 0";
    assert_eq!(database.value(columns), "n m o");
    // The journal has the same story.
    let stored = database.value("SELECT count(*) FROM cutover.migration WHERE seq < end_seq");
    assert_eq!(stored, "3");
}

/// A failure is told, and in the journal, while the others go on.
#[tokio::test]
async fn a_failure_is_told_at_once() {
    let database = two_tables();
    let options = database.options();
    let project = project(&[
        ("V1__a.sql", "ALTER TABLE a ADD m int;"),
        ("V2__c.sql", "CREATE TABLE c (n int);\nALTER TABLE c ADD n int;"),
    ]);
    let holder = database.hold("SELECT FROM a");
    let (run, ()) = apply_and(&project, &options, &jobs(2), async |mut told| {
        hears(&mut told, &["waits 1", "failed 2"]).await;
        let mut reader = session(&options).await;
        let stored = "SELECT count(*) FROM cutover.event WHERE event->>'event' = 'step_failed'";
        until(&mut reader, stored, "1").await;
        assert_eq!(value(&mut reader, APPLIED).await, "");
        holder.lets_go();
    })
    .await;
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    assert_eq!(finished(&run), ["1"], "it ended as it would have");
    let ends = "SELECT count(*) FROM cutover.event WHERE event->>'event' IN ('step_failed', 'step_started')";
    assert_eq!(database.value(ends), "2", "each once");
}

#[tokio::test]
async fn one_after_the_other_only_one_waits() {
    let database = two_tables();
    let options = database.options();
    let project =
        project(&[("V1__a.sql", "ALTER TABLE a ADD m int;"), ("V2__b.sql", "ALTER TABLE b ADD m int;")]);
    let holder = database.hold("SELECT FROM a; SELECT FROM b");
    let (run, heard) = apply_and(&project, &options, &jobs(1), async |mut told| {
        let mut heard = vec![told.recv().await.unwrap(), told.recv().await.unwrap()];
        holder.lets_go();
        heard.dedup();
        heard
    })
    .await;
    assert_eq!(run.outcome, Some(Outcome::Completed));
    assert_eq!(heard, ["waits 1"]);
}

/// A migration that fails does not undo those beside it, and they do not stand in its way afterwards.
#[tokio::test]
async fn what_was_overtaken_is_applied_by_the_next_run() {
    let database = two_tables();
    let options = database.options();
    let project = project(&[
        ("V1__a.sql", "ALTER TABLE a ADD m int;"),
        ("V2__b.sql", "ALTER TABLE b ADD m int;"),
        ("V3__a.sql", "ALTER TABLE a ADD o int;"),
    ]);
    let holder = database.hold("ALTER TABLE a ADD m int");
    let (run, ()) = apply_and(&project, &options, &jobs(2), async |mut told| {
        hears(&mut told, &["waits 1", "done 2"]).await;
        holder.lets_go();
    })
    .await;
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    assert!(failure(&run).contains("column \"m\" of relation \"a\" already exists"), "{}", failure(&run));
    assert_eq!(database.value(APPLIED), "2");
    database.run("ALTER TABLE a DROP COLUMN m");
    let run = apply(&project, &options).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    assert_eq!(finished(&run), ["1", "3"]);
    // Its file may have been edited since: that it comes late is said.
    assert_eq!(run.plan.steps[0].state, StepState::PendingOutOfOrder);
}

/// What a session was given to do after the step at hand is not begun once another one has failed.
#[tokio::test]
async fn nothing_begins_after_a_failure() {
    let database = two_tables();
    let options = database.options();
    let project = project(&[
        ("V1__a.sql", "ALTER TABLE a ADD n int;"),
        ("V2__b.sql", "COMMENT ON TABLE b IS 'm';"),
        ("V3__b.sql", "COMMENT ON TABLE b IS 'o';"),
        ("V4__b.sql", "COMMENT ON TABLE b IS 'p';"),
    ]);
    let holder = database.hold("LOCK TABLE b IN SHARE MODE");
    let (run, ()) = apply_and(&project, &options, &jobs(2), async |mut told| {
        hears(&mut told, &["failed 1"]).await;
        hears(&mut told, &["waits 2"]).await;
        holder.lets_go();
    })
    .await;
    assert_eq!(run.outcome, Some(Outcome::FailedClean), "{}", failure(&run));
    assert_eq!(database.value(APPLIED), "2");
}

/// A file that comes later below what is applied is as out of order as ever.
#[tokio::test]
async fn only_what_the_run_had_planned_counts_as_overtaken() {
    let database = two_tables();
    let options = database.options();
    let files = [("V1__a.sql", "ALTER TABLE a ADD n int;"), ("V3__b.sql", "ALTER TABLE b ADD m int;")];
    let run = apply_with(&project(&files), &options, &jobs(2)).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    database.run("ALTER TABLE a DROP COLUMN n");
    let more = [files[0], ("V2__c.sql", "CREATE TABLE c ();"), files[1]];
    if database.value(APPLIED) != "3" {
        // The first failed before the other one began.
        completes_with(&project(&files[1..]), &options, &jobs(1)).await;
    }
    let refused = apply(&project(&more), &options).await.unwrap_err().to_string();
    assert!(refused.contains("V2__c.sql") && refused.contains("pending below"), "{refused}");
}

/// Two that refer to the same two tables, in opposite order: on two sessions they would wait in a circle.
#[tokio::test]
async fn keys_to_the_same_tables_do_not_deadlock() {
    let database = database();
    let options = database.options();
    let mut files = vec![(
        "V1__parents.sql".to_owned(),
        "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int PRIMARY KEY);".to_owned(),
    )];
    for n in 2..20 {
        let (first, second) = if n % 2 == 0 { ("p", "q") } else { ("q", "p") };
        let text = format!(
            "CREATE TABLE c{n} (a int REFERENCES {first});\nCREATE TABLE d{n} (a int REFERENCES {second});"
        );
        files.push((format!("V{n}__c.sql"), text));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    completes_with(&project(&files), &options, &jobs(4)).await;
    let mut session = session(&options).await;
    until(&mut session, RUNNERS, "0").await;
    let deadlocks = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{}'", database.name());
    assert_eq!(value(&mut session, &deadlocks).await, "0");
}

/// What runs outside a transaction, and what is not fully known, has the database for itself.
#[tokio::test]
async fn some_run_alone() {
    let database = two_tables();
    let options = database.options();
    let project = project(&[
        ("V1__a.sql", "ALTER TABLE a ADD m int;"),
        ("V2__index.sql", "CREATE INDEX CONCURRENTLY b_n ON b (n);"),
        ("V3__code.sql", "DO $$ BEGIN EXECUTE 'CREATE TABLE c ()'; END $$;"),
        ("V4__b.sql", "ALTER TABLE b ADD m int;"),
    ]);
    let run = completes_with(&project, &options, &jobs(4)).await;
    assert_eq!(finished(&run), ["1", "2", "3", "4"]);
    let mut open = 0;
    for event in &run.events {
        match event.kind {
            EventKind::StepStarted { .. } => open += 1,
            EventKind::StepFinished { .. } => open -= 1,
            _ => {}
        }
        assert!(open <= 1, "{:?}", run.events);
    }
}

/// Steps that began before the first one ended.
fn begun_together(run: &Run) -> usize {
    let ends = |event: &RunEvent| matches!(event.kind, EventKind::StepFinished { .. });
    let before = run.events.iter().take_while(|event| !ends(event));
    before.filter(|event| matches!(event.kind, EventKind::StepStarted { .. })).count()
}

/// Where the server puts several processes on one index, two at once would only be in each other's way.
#[tokio::test]
async fn the_parallel_workers_of_the_server_count() {
    let project =
        project(&[("V1__a.sql", "CREATE INDEX a_n ON a (n);"), ("V2__b.sql", "CREATE INDEX b_n ON b (n);")]);
    for (workers, rows, together) in [(2, 60_000, 1), (0, 60_000, 2), (2, 10, 2)] {
        let database = two_tables();
        database.run(&format!(
            // Nobody else may find out how large they are.
            "ALTER TABLE a SET (autovacuum_enabled = off); ALTER TABLE b SET (autovacuum_enabled = off);
             INSERT INTO a SELECT generate_series(1, {rows}); INSERT INTO b SELECT generate_series(1, {rows});
             SET max_parallel_maintenance_workers = 0; ANALYZE a; ANALYZE b;
             UPDATE pg_class SET relpages = 2000 WHERE relname IN ('a', 'b') AND {rows} > 10;
             ALTER DATABASE {} SET max_parallel_maintenance_workers = {workers}",
            database.name()
        ));
        let run = completes_with(&project, &database.options(), &jobs(2)).await;
        assert_eq!(begun_together(&run), together, "{workers} workers, {rows} rows");
    }
}

/// Nothing begins beside or behind a stop.
#[tokio::test]
async fn a_stop_ends_all_sessions() {
    let database = two_tables();
    let options = database.options();
    let project = project(&[
        ("V1__a.sql", "ALTER TABLE a ADD m int;"),
        ("V2__b.sql", "ALTER TABLE b ADD m int;"),
        ("V3__c.sql", "ALTER TABLE a ADD o int;"),
    ]);
    let _holder = database.hold("SELECT FROM a; SELECT FROM b");
    let (tell, mut told) = mpsc::unbounded_channel();
    let (mut sink, stop, request) = (Told(tell), Stop::new(), jobs(2));
    let run = soon(async {
        let stopping = async {
            hears(&mut told, &["waits 1", "waits 2"]).await;
            stop.request();
        };
        tokio::join!(apply_watched(&project, &options, &request, &stop, &mut sink), stopping).0
    })
    .await
    .unwrap();
    assert_eq!(run.outcome, Some(Outcome::Interrupted));
    assert_eq!(database.value(APPLIED), "");
    until(&mut session(&options).await, RUNNERS, "0").await;
}

#[tokio::test]
async fn too_many_connections_are_refused_before_anything_is_done() {
    let database = database();
    let role = role("CONNECTION LIMIT 3");
    database.give_to(&role);
    let options = database.options_as(&role);
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE b (n int);"),
        ("V2__b.sql", "CREATE TABLE c (n int);"),
        ("V3__b.sql", "CREATE TABLE d (n int);"),
    ]);
    let refused = apply_with(&project, &options, &jobs(3)).await.unwrap_err().to_string();
    assert!(refused.contains("--jobs 3") && refused.contains("ask for fewer"), "{refused}");
    assert_eq!(database.value("SELECT to_regclass('b') IS NULL"), "t");
}

/// A server that stops while the sessions are opened is no mistake in the request.
#[tokio::test]
async fn a_server_that_stops_among_the_connections_is_a_lost_connection() {
    let server = testkit::private_server(&[]);
    let direct = server.server().options("postgres");
    let project =
        project(&[("V1__a.sql", "CREATE TABLE b (n int);"), ("V2__b.sql", "CREATE TABLE c (n int);")]);
    let proxy = Proxy::start(server.server());
    // After the monitor and what looks ahead: the first that changes the database, before there is another one.
    let point = Point { connection: Some(2), direction: Direction::Backend, message: 1, when: When::Before };
    let hold = proxy.hold(point);
    let through = proxy.server().options("postgres");
    let request = jobs(2);
    let stopping = async {
        let hold = tokio::task::spawn_blocking(move || {
            hold.wait_reached();
            hold
        });
        let hold = hold.await.unwrap();
        // Those that are there may stay, new ones are refused.
        let mut other = session(&direct).await;
        other
            .execute("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; kill -TERM $(head -n 1 postmaster.pid)'")
            .await
            .unwrap();
        let refused = async || Session::connect(&direct, &Startup::default()).await.is_err();
        while !refused().await {
            tokio::task::yield_now().await;
        }
        hold.release();
    };
    let (run, ()) = soon(async { tokio::join!(apply_with(&project, &through, &request), stopping) }).await;
    let error = run.unwrap_err();
    assert!(matches!(error, ApplyError::Connection { .. }), "{error:?}");
    assert!(error.to_string().ends_with("no migration was applied"), "{error}");
}

/// A project as a chain of choices: each number decides what a migration does to what is there.
fn random_project(choices: &[(u8, u8, u8)]) -> Vec<(String, String)> {
    let mut tables: Vec<usize> = Vec::new();
    let mut files = Vec::new();
    for (n, &(what, one, other)) in choices.iter().enumerate() {
        let pick = |by: u8| tables.get(usize::from(by) % tables.len().max(1)).copied();
        let (Some(a), Some(b)) = (pick(one), pick(other)) else {
            tables.push(n);
            files.push((format!("V{n}__t.sql"), format!("CREATE TABLE t{n} (id int PRIMARY KEY, v int);")));
            continue;
        };
        let mut text = String::new();
        match what % 14 {
            0..=2 => {
                tables.push(n);
                let _ = write!(
                    text,
                    "CREATE TABLE t{n} (id int PRIMARY KEY, v int REFERENCES t{a}, w int REFERENCES t{b});"
                );
            }
            3 => text = format!("ALTER TABLE t{a} ADD c{n} int DEFAULT {n};"),
            4 => text = format!("CREATE INDEX i{n} ON t{a} (v);\nCREATE INDEX j{n} ON t{b} (v, id);"),
            5 => {
                text = format!(
                    "CREATE VIEW v{n} AS SELECT x.*, y.id AS other FROM t{a} x JOIN t{b} y ON y.id = x.v;"
                );
            }
            6 => {
                text = format!(
                    "CREATE FUNCTION f{n}() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t{a}';"
                );
            }
            7 => text = format!("INSERT INTO t{a} SELECT {n}, NULL;\nUPDATE t{b} SET v = NULL;"),
            8 => {
                tables.push(n);
                text = format!(
                    "CREATE TYPE e{n} AS ENUM ('x', 'y');\nCREATE TABLE t{n} (id int PRIMARY KEY, v int, e e{n});"
                );
            }
            9 => text = format!("ALTER TABLE t{a} ADD CONSTRAINT k{n} FOREIGN KEY (v) REFERENCES t{b};"),
            10 => text = format!("GRANT SELECT ON t{a}, t{b} TO PUBLIC;\nCOMMENT ON TABLE t{a} IS '{n}';"),
            11 => text = format!("CREATE INDEX CONCURRENTLY x{n} ON t{a} (v);"),
            12 => {
                text = format!(
                    "CREATE FUNCTION g{n}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;\n\
                 CREATE TRIGGER g{n} BEFORE INSERT ON t{a} FOR EACH ROW EXECUTE FUNCTION g{n}();"
                );
            }
            _ => {
                text = format!(
                    "CREATE TABLE s{n} AS SELECT id, v FROM t{a};\nALTER TABLE s{n} ADD PRIMARY KEY (id);"
                );
            }
        }
        files.push((format!("V{n}__m.sql"), text));
    }
    files
}

fn everything(database: &Database) -> String {
    let rows = "SELECT coalesce(string_agg(xml, E'\\n' ORDER BY relname), '') FROM (
        SELECT relname, query_to_xml(format('SELECT * FROM %I ORDER BY id', relname), true, true, '')::text AS xml
          FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace) AS t";
    catalogue_dump(&database.options(), &["cutover"]) + &database.value(rows)
}

/// The oracle is PostgreSQL's own dump: whatever ran beside what, it is as after one another.
fn check(choices: &[(u8, u8, u8)]) -> Result<(), TestCaseError> {
    let files = random_project(choices);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let project = project(&files);
    let (serial, beside) = (database(), database());
    run_async(completes_with(&project, &serial.options(), &jobs(1)));
    run_async(completes_with(&project, &beside.options(), &jobs(4)));
    prop_assert_eq!(everything(&serial), everything(&beside), "{:?}", files);
    Ok(())
}

fn random_projects(cases: u32, size: std::ops::Range<usize>) {
    let config = Config { cases, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let choices = proptest::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), size);
    TestRunner::new(config)
        .run(&choices, |choices| check(&choices))
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_catalogue_is_that_of_one_after_the_other() {
    random_projects(12, 4..24);
}

#[test]
fn so_it_is_for_five_hundred_migrations() {
    random_projects(1, 500..501);
}
