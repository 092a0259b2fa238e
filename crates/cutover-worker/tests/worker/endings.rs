//! How a worker stops.

use cutover_worker::{RunOutcome, WorkerEvent};

use testkit::{Database, Holder};

use crate::support::{AT_GATE, due, ended, prepared, ran, runs, schedule, settings, start, until};
use crate::working::Working;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_once_it_finishes_what_runs_and_takes_nothing_more() {
    let database = prepared().await;
    let gate = database.hold("LOCK TABLE gate");
    schedule(&database, "a", "SELECT waits('a')");
    schedule(&database, "b", "SELECT work('b')");
    let worker = start(&database.options(), settings("w"));
    due(&database, "a").await;
    until(&database, AT_GATE).await;
    worker.asks_to_stop();
    worker.tells(|event| matches!(event, WorkerEvent::Stopping { running: 1 })).await;
    database.run(
        "UPDATE cutover_worker.lease SET next_at = clock_timestamp() WHERE job = 'b'; NOTIFY cutover_worker",
    );
    drop(gate);
    let summary = worker.ended().await.unwrap();
    assert_eq!((summary.done, summary.lost), (1, 0));
    assert_eq!((runs(&database), ran(&database)), (vec!["a 1 done".to_owned()], "1".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_twice_it_cancels_what_runs_which_another_worker_runs_again() {
    let database = prepared().await;
    let gate = database.hold("LOCK TABLE gate");
    schedule(&database, "a", "SELECT waits('a')");
    let worker = start(&database.options(), settings("w"));
    due(&database, "a").await;
    until(&database, AT_GATE).await;
    worker.asks_to_stop();
    worker.tells(|event| matches!(event, WorkerEvent::Stopping { .. })).await;
    worker.asks_to_stop();
    worker
        .tells(|event| matches!(event, WorkerEvent::RunEnded(end) if end.outcome == RunOutcome::Lost))
        .await;
    let summary = worker.ended().await.unwrap();
    assert_eq!((summary.done, summary.lost), (0, 1));
    assert_eq!((runs(&database), ran(&database)), (vec!["a 1 lost".to_owned()], "0".to_owned()));
    drop(gate);
    let other = start(&database.options(), settings("other"));
    ended(&database, "a", 2).await;
    other.stops().await;
    assert_eq!((runs(&database)[1].as_str(), ran(&database).as_str()), ("a 2 done", "1"));
}

/// A run that lasts as long as the gate is held, by a worker that keeps its lease often.
async fn long_run(database: &Database) -> (Holder, Working) {
    let gate = database.hold("LOCK TABLE gate");
    schedule(database, "a", "SELECT waits('a')");
    let mut often = settings("w");
    often.lease = std::time::Duration::from_millis(300);
    let worker = start(&database.options(), often);
    due(database, "a").await;
    until(database, AT_GATE).await;
    (gate, worker)
}

/// The lease that there is, which ends at the time given, is kept.
async fn is_kept(database: &Database, until_then: &str) {
    let kept = format!(
        "SELECT until > timestamptz '{until_then}' + interval '200 ms' AND worker = 'w' FROM cutover_worker.lease"
    );
    until(database, &kept).await;
}

const UNTIL: &str = "SELECT until FROM cutover_worker.lease";

/// Leases of long runs are kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_kept_as_long_as_its_run_takes() {
    let database = prepared().await;
    let (gate, worker) = long_run(&database).await;
    let until_then = database.value(UNTIL);
    is_kept(&database, &until_then).await;
    // Also while it winds down.
    worker.asks_to_stop();
    worker.tells(|event| matches!(event, WorkerEvent::Stopping { .. })).await;
    let until_then = database.value(UNTIL);
    is_kept(&database, &until_then).await;
    drop(gate);
    assert_eq!(worker.ended().await.unwrap().done, 1);
}

const WAITS: &str = "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                        AND application_name LIKE 'cutover worker%'";

/// Somebody has locked the worker's own tables: its end does not wait for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_waits_for_a_lock_does_not_keep_it_from_stopping() {
    let database = prepared().await;
    let worker = start(&database.options(), settings("w"));
    worker.tells(|event| matches!(event, WorkerEvent::Started { .. })).await;
    let lock = database.hold("LOCK TABLE cutover_worker.lease");
    until(&database, WAITS).await;
    let summary = worker.stops().await;
    assert_eq!((summary.done, summary.lost), (0, 0));
    drop(lock);
}

/// What keeps leases was cancelled once, as the tables were locked: it goes on when they are not any more, also where nothing more is begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_kept_again_once_the_tables_are_free() {
    let database = prepared().await;
    let (gate, worker) = long_run(&database).await;
    let lock = database.hold("LOCK TABLE cutover_worker.lease IN EXCLUSIVE MODE");
    worker.asks_to_stop();
    worker.tells(|event| matches!(event, WorkerEvent::Stopping { running: 1 })).await;
    let kept =
        "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%cutover_worker._keep(%'
                   AND application_name LIKE 'cutover worker%' AND wait_event_type = 'Lock'";
    until(&database, &format!("SELECT count(*) = 1 {kept}")).await;
    let first = database.value(&format!("SELECT query_start {kept}"));
    until(&database, &format!("SELECT count(*) = 1 {kept} AND query_start > timestamptz '{first}'")).await;
    let until_then = database.value(UNTIL);
    drop(lock);
    is_kept(&database, &until_then).await;
    drop(gate);
    assert_eq!(worker.ended().await.unwrap().done, 1);
}

/// The same while it waits for what runs and keeps its lease, and before it has begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_do_keeping_a_lease_and_beginning() {
    let database = prepared().await;
    let (gate, worker) = long_run(&database).await;
    let lock = database.hold("LOCK TABLE cutover_worker.lease IN EXCLUSIVE MODE");
    let two_wait = WAITS.replace("count(*) = 1", "count(*) = 2");
    until(&database, &two_wait).await;
    worker.asks_to_stop();
    worker.tells(|event| matches!(event, WorkerEvent::Stopping { running: 1 })).await;
    until(&database, &two_wait).await;
    worker.asks_to_stop();
    until(&database, &format!("SELECT NOT ({AT_GATE})")).await;
    drop(lock);
    let summary = worker.ended().await.unwrap();
    assert_eq!((summary.done, ran(&database).as_str()), (0, "0"));
    drop(gate);
    let lock = database.hold("LOCK TABLE cutover_worker.meta");
    let worker = start(&database.options(), settings("other"));
    until(&database, WAITS).await;
    assert_eq!(worker.stops().await, cutover_worker::Summary::default());
    drop(lock);
}
