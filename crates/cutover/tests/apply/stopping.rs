//! Stopping on request: once finishes the step, twice cancels it.

use cutover::Project;
use cutover::apply::Request;
use cutover::run::{EventKind, Outcome, Run, RunEvent};
use cutover::stop::Stop;
use testkit::{Database, database};

use crate::support::{
    APPLIED, BUILD_WAITS, Gate, WAIT_AT_GATE, apply_watched, completes, failure, project, session, soon,
    until,
};

const LOG: &str = "SELECT coalesce(string_agg(what, ' ' ORDER BY what), '') FROM log";

fn slow() -> Project {
    let second = format!("INSERT INTO log VALUES ('2a');\n{WAIT_AT_GATE}\nINSERT INTO log VALUES ('2b');");
    project(&[
        ("V1__a.sql", "CREATE TABLE log (what text);"),
        ("V2__b.sql", &second),
        ("V3__c.sql", "INSERT INTO log VALUES ('3');"),
    ])
}

/// Asks `times` to stop while the second step is at the gate.
async fn stopped(database: &Database, times: u32) -> Run {
    let options = database.options();
    let project = slow();
    let (request, stop) = (Request::default(), Stop::new());
    let mut gate = Gate::closed(&options).await;
    let asking = async {
        gate.reached().await;
        (0..times).for_each(|_| stop.request());
        if times == 1 {
            gate.open().await;
        }
    };
    let mut sink = |_: &RunEvent| {};
    let run = apply_watched(&project, &options, &request, &stop, &mut sink);
    let (run, ()) = soon(async { tokio::join!(run, asking) }).await;
    run.unwrap()
}

#[tokio::test]
async fn asked_once_it_finishes_the_step() {
    let database = database();
    let run = stopped(&database, 1).await;
    assert_eq!(run.outcome, Some(Outcome::Interrupted));
    assert_eq!(failure(&run), "", "no step failed");
    assert_eq!(database.value(APPLIED), "1 2");
    assert_eq!(database.value(LOG), "2a 2b");
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "interrupted");
    completes(&slow(), &database.options()).await;
    assert_eq!(database.value(LOG), "2a 2b 3");
}

#[tokio::test]
async fn asked_twice_it_cancels_the_step() {
    let database = database();
    let run = stopped(&database, 2).await;
    assert_eq!(run.outcome, Some(Outcome::Interrupted));
    assert!(failure(&run).contains("nothing of V2__b.sql is in the database"), "{}", failure(&run));
    assert_eq!(database.value(APPLIED), "1");
    assert_eq!(database.value(LOG), "");
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "interrupted");
    completes(&slow(), &database.options()).await;
    assert_eq!(database.value(LOG), "2a 2b 3");
}

#[tokio::test]
async fn asked_before_the_first_step_nothing_runs() {
    let database = database();
    let stop = Stop::new();
    stop.request();
    let request = Request::default();
    let run =
        apply_watched(&slow(), &database.options(), &request, &stop, &mut |_: &RunEvent| {}).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Interrupted));
    assert_eq!(database.value(APPLIED), "");
}

#[tokio::test]
async fn asked_once_while_it_waits_for_a_lock_it_stops() {
    let database = database();
    database.run("CREATE TABLE log (what text)");
    let options = database.options();
    let mut reader = session(&options).await;
    reader.execute("BEGIN; SELECT FROM log").await.unwrap();
    let (request, stop) = (Request::default(), Stop::new());
    let asking = stop.clone();
    let mut sink = |event: &RunEvent| {
        if matches!(event.kind, EventKind::LockWaiting { .. }) {
            asking.request();
        }
    };
    let project = project(&[("V1__a.sql", "ALTER TABLE log ADD n int;")]);
    let run = soon(apply_watched(&project, &options, &request, &stop, &mut sink)).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Interrupted));
    let waits = run.events.iter().filter(|event| matches!(event.kind, EventKind::LockWaiting { .. }));
    assert_eq!(waits.count(), 1);
    assert!(failure(&run).contains("nothing of V1__a.sql is in the database"), "{}", failure(&run));
}

/// A cancelled concurrent build leaves an invalid index, which is removed before the run ends, also where that takes
/// a while: the request to cancel is not meant for it.
#[tokio::test]
async fn a_cancelled_concurrent_build_leaves_nothing() {
    let database = database();
    database.run("CREATE TABLE t (n int)");
    let options = database.options();
    let project = project(&[("V1__i.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);")]);
    let mut reader = session(&options).await;
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM t").await.unwrap();
    let mut watcher = session(&options).await;
    let (request, stop) = (Request::default(), Stop::new());
    let asking = async {
        until(&mut watcher, BUILD_WAITS, "1").await;
        stop.request();
        stop.request();
        let dropping =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
            AND query LIKE 'DROP INDEX CONCURRENTLY%' AND wait_event = 'virtualxid'";
        until(&mut watcher, dropping, "1").await;
        reader.execute("COMMIT").await.unwrap();
    };
    let mut sink = |_: &RunEvent| {};
    let run = apply_watched(&project, &options, &request, &stop, &mut sink);
    let (run, ()) = soon(async { tokio::join!(run, asking) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Interrupted));
    assert!(failure(&run).contains("nothing of V1__i.sql is in the database"), "{}", failure(&run));
    assert_eq!(database.value("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass"), "0");
    assert_eq!(database.value("SELECT count(*) FROM cutover.unit WHERE state <> 'failed'"), "0");
    completes(&project, &options).await;
}
