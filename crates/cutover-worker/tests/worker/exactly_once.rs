//! Each due time is run once, whoever dies meanwhile, and no two runs of one job overlap.

use std::time::Duration;

use cutover_worker::{Settings, WorkerEvent};
use testkit::private_server;

use crate::support::{
    AT_GATE, due, ended, hundreds_done, prepare, prepared, ran, runs, schedule, session, settings, start,
    until,
};

/// Two workers and 1,000 due times of four jobs, all of them due at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_run_each_of_a_thousand_due_times_once() {
    let database = prepared().await;
    database.run(
        "DO $$ BEGIN FOR n IN 1..4 LOOP
             PERFORM cutover_worker.schedule('job ' || n, '1 second', format('SELECT work(%L)', 'job ' || n), missed => 'all');
         END LOOP; END $$;
         UPDATE cutover_worker.lease SET next_at = date_trunc('second', clock_timestamp()) - interval '249 seconds'",
    );
    let quick = |name: &str| Settings { poll: Duration::from_millis(5), jobs: 2, ..settings(name) };
    let workers = ["one", "two"].map(|name| start(&database.options(), quick(name)));
    hundreds_done(&database, 10).await;
    until(&database, "SELECT count(DISTINCT job) = 4 FROM cutover_worker.run WHERE outcome = 'done'").await;
    for worker in workers {
        let summary = worker.stops().await;
        assert!(summary.done > 0 && summary.failed == 0 && summary.lost == 0, "{summary:?}");
    }
    let amiss =
        "SELECT count(*) FROM cutover_worker.run WHERE outcome IS DISTINCT FROM 'done' OR attempt <> 1";
    assert_eq!(database.value(amiss), "0");
    assert_eq!(database.value("SELECT (SELECT count(*) FROM ran) = count(*) FROM cutover_worker.run"), "t");
    // None twice, and none left out between the first and the last.
    let gaps = "SELECT count(*) FROM (SELECT scheduled - lag(scheduled) OVER (PARTITION BY job ORDER BY scheduled) AS step
                  FROM cutover_worker.run) s WHERE step <> interval '1 second'";
    assert_eq!(database.value(gaps), "0");
    let overlaps = "SELECT count(*) FROM cutover_worker.run a JOIN cutover_worker.run b
                      ON a.job = b.job AND a.id < b.id AND a.started < b.ended AND b.started < a.ended";
    assert_eq!(database.value(overlaps), "0");
}

/// The session that runs it is ended by somebody: the work is not there, the run is lost, and it is run again once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_session_is_ended_is_run_again() {
    let database = prepared().await;
    let gate = database.hold("LOCK TABLE gate");
    schedule(&database, "a", "SELECT waits('a')");
    let worker = start(&database.options(), settings("w"));
    due(&database, "a").await;
    until(&database, AT_GATE).await;
    database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted",
    );
    // Long before its lease is over: its session is gone.
    until(&database, "SELECT count(*) = 2 FROM cutover_worker.run").await;
    until(&database, AT_GATE).await;
    drop(gate);
    ended(&database, "a", 2).await;
    worker.stops().await;
    assert_eq!(runs(&database), ["a 1 lost", "a 2 done"]);
    assert_eq!(ran(&database), "1");
    assert_eq!(database.value("SELECT count(DISTINCT scheduled) FROM cutover_worker.run"), "1");
}

/// The database is restarted in the middle of a run, without a word to anybody: the worker comes back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_killed_and_started_is_worked_on_again() {
    let mut server = private_server(&[]);
    server.create_database("d", None).await.unwrap();
    let options = server.options("d");
    prepare(&options).await;
    let mut holder = session(&options).await;
    holder.execute("BEGIN; LOCK TABLE gate").await.unwrap();
    let mut other = session(&options).await;
    other.execute("SELECT cutover_worker.schedule('a', '0 0 1 1 *', 'SELECT waits(''a'')')").await.unwrap();
    other.execute("UPDATE cutover_worker.lease SET next_at = clock_timestamp()").await.unwrap();
    let worker = start(&options, settings("w"));
    while other.execute(AT_GATE).await.unwrap().scalar() != Some("t") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.stop_immediately();
    worker.tells(|event| matches!(event, WorkerEvent::Disconnected { .. })).await;
    server.restart().unwrap();
    worker.tells(|event| matches!(event, WorkerEvent::Connected)).await;
    worker.tells(|event| matches!(event, WorkerEvent::RunEnded(end) if end.attempt == 2)).await;
    worker.stops().await;
    let mut other = session(&options).await;
    let found = other
        .query_text("SELECT string_agg(attempt || outcome, ' ' ORDER BY id), (SELECT count(*) FROM ran) FROM cutover_worker.run")
        .await
        .unwrap();
    assert_eq!(found.rows, [[Some("1lost 2done".to_owned()), Some("1".to_owned())]]);
}

/// The lease of a run that still works is over (its worker could not keep it): nobody takes it before its transaction ends,
/// and its work counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_ran_out_lets_nobody_in_while_its_transaction_lives() {
    let database = prepared().await;
    let gate = database.hold("LOCK TABLE gate");
    schedule(&database, "a", "SELECT waits('a')");
    let first = start(&database.options(), settings("first"));
    due(&database, "a").await;
    until(&database, AT_GATE).await;
    database.run("UPDATE cutover_worker.lease SET until = clock_timestamp() - interval '1 hour'");
    // Another worker sees it as over, and may not have it.
    let take = "SELECT count(*) FROM cutover_worker._look() l, LATERAL cutover_worker._take(l.job, l.revision, l.token, l.next_us,
                  NULL, NULL, NULL, 'second', 30000) t";
    assert_eq!(database.value("SELECT count(*) FROM cutover_worker._look() WHERE taken"), "1");
    assert_eq!(database.value(take), "0");
    let second = start(&database.options(), settings("second"));
    second.tells(|event| matches!(event, WorkerEvent::Started { .. })).await;
    assert_eq!(database.value("SELECT count(*) FROM cutover_worker.run"), "1");
    drop(gate);
    ended(&database, "a", 1).await;
    assert_eq!((first.stops().await.done, second.stops().await.done), (1, 0));
    assert_eq!((runs(&database), ran(&database)), (vec!["a 1 done".to_owned()], "1".to_owned()));
}

/// A worker that was stopped between taking a job and beginning its transaction, and goes on after another has taken over: its
/// token is too old at the beginning, and, should it have begun, at the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_token_neither_begins_nor_ends_a_run() {
    let database = prepared().await;
    schedule(&database, "a", "SELECT work('a')");
    database.run("UPDATE cutover_worker.lease SET next_at = clock_timestamp() - interval '1 second'");
    let mut old = session(&database.options()).await;
    let take = |who: &str| {
        format!(
            "SELECT t.token, t.run FROM cutover_worker._look() l, LATERAL cutover_worker._take(l.job, l.revision, l.token,
               l.next_us, l.next_us, l.next_us + 1000000000, NULL, '{who}', 30000) t"
        )
    };
    let taken = old.query_text(&take("old")).await.unwrap();
    assert_eq!(taken.rows[0][0].as_deref(), Some("1"));
    // Nobody else as long as the lease lasts and the session lives.
    assert_eq!(database.rows(&take("new")).len(), 0);
    database.run("UPDATE cutover_worker.lease SET until = clock_timestamp()");
    let again = database.rows(&take("new"));
    assert_eq!(again[0][0].as_deref(), Some("2"));
    let refused = old.execute("SELECT cutover_worker._begin('a', 1)").await.unwrap_err();
    assert!(refused.to_string().contains("the lease of job 'a' was taken over"), "{refused}");
    let run = taken.rows[0][1].clone().unwrap();
    let finish = format!("SELECT cutover_worker._finish('a', 1, {run}, 0)");
    assert!(old.execute(&finish).await.unwrap_err().to_string().contains("was taken over"));
    let fail = format!("SELECT cutover_worker._fail('a', 1, {run}, 'failed', 'x', 0, false)");
    assert_eq!(old.query_text(&fail).await.unwrap().scalar(), Some("f"));
    assert_eq!(runs(&database), ["a 1 lost", "a 2 running"]);
}

/// The clock went backwards, and the job was declared anew: its next due time by the clock is one that was run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_due_time_that_was_run_is_not_run_again_when_it_comes_again() {
    let database = prepared().await;
    schedule(&database, "a", "SELECT work('a')");
    let worker = start(&database.options(), settings("w"));
    due(&database, "a").await;
    ended(&database, "a", 1).await;
    database.run(
        "UPDATE cutover_worker.lease SET next_at = (SELECT scheduled FROM cutover_worker.run); NOTIFY cutover_worker",
    );
    until(&database, "SELECT next_at > clock_timestamp() FROM cutover_worker.lease").await;
    worker.stops().await;
    assert_eq!((runs(&database), ran(&database)), (vec!["a 1 done".to_owned()], "1".to_owned()));
}

/// What ends its worker each time is not tried for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_loses_its_workers_is_given_up_for_this_time() {
    let database = prepared().await;
    schedule(&database, "a", "SELECT pg_terminate_backend(pg_backend_pid())");
    let worker = start(&database.options(), settings("w"));
    due(&database, "a").await;
    until(&database, "SELECT next_at > clock_timestamp() + interval '1 second' FROM cutover_worker.lease")
        .await;
    assert_eq!(
        database.value("SELECT string_agg(DISTINCT outcome, ' ') || count(*) FROM cutover_worker.run"),
        "lost6"
    );
    worker.stops().await;
}

/// A server that restarts between two looks leaves no trace but closed connections: that it was away is told all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_closed_between_two_looks_is_told() {
    let database = prepared().await;
    let mut seldom = settings("w");
    seldom.poll = Duration::from_secs(3_600);
    let worker = start(&database.options(), seldom);
    let looks =
        "FROM pg_stat_activity WHERE application_name = 'cutover worker w' AND datname = current_database()
                    AND query <> 'LISTEN cutover_worker'";
    worker.tells(|event| matches!(event, WorkerEvent::Started { .. })).await;
    until(&database, &format!("SELECT bool_and(state = 'idle') {looks}")).await;
    // It may look once more by itself just now, and have another session before this one is seen to be gone.
    let ended = format!(
        "SELECT string_agg(pid::text, ', ') FROM (SELECT pid, pg_terminate_backend(pid) AS ended {looks}) e WHERE ended"
    );
    let ended = database.value(&ended);
    until(&database, &format!("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid IN ({ended}))"))
        .await;
    database.run("NOTIFY cutover_worker");
    worker.tells(|event| matches!(event, WorkerEvent::Disconnected { .. })).await;
    worker.tells(|event| matches!(event, WorkerEvent::Connected)).await;
    worker.stops().await;
}
