//! Jobs run, and what is recorded of them.

use std::time::Duration;

use cutover_postgres::session::Startup;
use cutover_worker::{RunOutcome, Settings, WorkerEvent, status};
use testkit::{PoolMode, PoolSettings, Pooler, PoolerOptions};

use crate::support::{due, ended, prepared, ran, runs, schedule, settings, start, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_run_and_recorded_with_its_work() {
    let database = prepared().await;
    database.run("SELECT cutover_worker.schedule('each second', '1 second', 'INSERT INTO ran SELECT 1 FROM generate_series(1, 3)')");
    let worker = start(&database.options(), settings("w"));
    ended(&database, "each second", 2).await;
    let summary = worker.stops().await;
    assert!(summary.done >= 2 && summary.failed == 0 && summary.lost == 0, "{summary:?}");
    let amiss =
        "SELECT count(*) FROM cutover_worker.run WHERE outcome <> 'done' OR rows <> 3 OR ended < started
                  OR scheduled > started OR attempt <> 1 OR extract(epoch FROM scheduled)::numeric % 1 <> 0";
    assert_eq!(database.value(amiss), "0");
    assert_eq!(
        database.value("SELECT (SELECT count(*) FROM ran) = 3 * count(*) FROM cutover_worker.run"),
        "t"
    );
    let [job] = &status(&database.options(), &Startup::default()).await.unwrap()[..] else { panic!("one") };
    assert_eq!(job.last_outcome.as_deref(), Some("done"));
    assert!(!job.running && job.next_at.is_some() && job.last_succeeded.is_some(), "{job:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_rolled_back_recorded_and_tried_again() {
    let database = prepared().await;
    database.run("SELECT cutover_worker.schedule('f', '0 0 1 1 *', 'SELECT fails(''f'')', retries => 2)");
    let worker = start(&database.options(), settings("w"));
    worker.tells(|event| matches!(event, WorkerEvent::Started { .. })).await;
    // Noted as it is decided: the next try may have begun before anybody else looks. Each wait a little too long and a little too short.
    database.run(
        "CREATE TABLE waits (attempt int, since_ended interval, from_now interval);
         CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO public.waits SELECT attempt, NEW.not_before - ended, NEW.not_before - clock_timestamp()
               FROM cutover_worker.run WHERE job = NEW.job ORDER BY id DESC LIMIT 1;
             RETURN NULL;
         END $$;
         CREATE TRIGGER noted AFTER UPDATE ON cutover_worker.lease FOR EACH ROW
             WHEN (NEW.not_before IS NOT NULL AND OLD.not_before IS DISTINCT FROM NEW.not_before) EXECUTE FUNCTION noted()",
    );
    due(&database, "f").await;
    for tries in 1..3 {
        ended(&database, "f", tries).await;
        database
            .run("UPDATE cutover_worker.lease SET not_before = NULL WHERE job = 'f'; NOTIFY cutover_worker");
    }
    ended(&database, "f", 3).await;
    // They grow, between a half and one and a half of one and two seconds.
    let right = "since_ended >= attempt * interval '0.5 s' AND from_now <= attempt * interval '1.5 s'";
    let waits = format!("SELECT string_agg(attempt || ' ' || ({right}), ', ' ORDER BY attempt) FROM waits");
    assert_eq!(database.value(&waits), "1 true, 2 true");
    until(&database, "SELECT next_at > clock_timestamp() + interval '1 second' AND scheduled IS NULL FROM cutover_worker.lease").await;
    assert_eq!(runs(&database), ["f 1 failed", "f 2 failed", "f 3 failed"]);
    assert_eq!(ran(&database), "0");
    assert_eq!(
        database
            .value("SELECT count(DISTINCT error) FROM cutover_worker.run WHERE error LIKE '%no f today%'"),
        "1"
    );
    assert_eq!(database.value("SELECT count(DISTINCT scheduled) FROM cutover_worker.run"), "1");
    worker.tells(|event| matches!(event, WorkerEvent::RunEnded(end) if end.attempt == 3)).await;
    let again: Vec<bool> = worker.ends().iter().map(|end| end.again).collect();
    assert_eq!(again, [true, true, false]);
    assert_eq!(worker.stops().await.failed, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_ended_and_said_to_have() {
    let database = prepared().await;
    let gate = database.hold("LOCK TABLE gate");
    database.run(
        "SELECT cutover_worker.schedule('slow', '0 0 1 1 *', 'SELECT waits(''slow'')', timeout => '200 ms')",
    );
    let worker = start(&database.options(), settings("w"));
    due(&database, "slow").await;
    ended(&database, "slow", 1).await;
    drop(gate);
    assert_eq!((runs(&database), ran(&database)), (vec!["slow 1 timed_out".to_owned()], "0".to_owned()));
    worker
        .tells(|event| matches!(event, WorkerEvent::RunEnded(end) if end.outcome == RunOutcome::TimedOut))
        .await;
    // A deferred trigger is within the time too.
    database.run(
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(20); RETURN NULL; END';
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON ran DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
         SELECT cutover_worker.schedule('late', '0 0 1 1 *', 'SELECT work(''late'')', timeout => '200 ms')",
    );
    due(&database, "late").await;
    ended(&database, "late", 1).await;
    assert_eq!(runs(&database)[1], "late 1 timed_out");
    // And so is the beginning of its transaction, which others may keep waiting.
    schedule(&database, "kept", "SELECT work('kept')");
    database.run("UPDATE cutover_worker.job SET timeout = '200 ms' WHERE name = 'kept'");
    let fence = database.hold("SELECT FROM cutover_worker.fence WHERE job = 'kept' FOR UPDATE");
    due(&database, "kept").await;
    ended(&database, "kept", 1).await;
    drop(fence);
    assert_eq!(runs(&database)[2], "kept 1 timed_out");
    worker.stops().await;
}

/// Nobody was there for an hour and a half.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_goes_by_the_policy() {
    let database = prepared().await;
    for missed in ["skip", "one", "all"] {
        for (every, schedule) in [("minutes", "30 minutes"), ("yearly", "0 0 1 1 *")] {
            database.run(&format!(
                "SELECT cutover_worker.schedule('{missed} {every}', '{schedule}', 'SELECT work(''{missed} {every}'')', missed => '{missed}');
                 UPDATE cutover_worker.lease SET next_at = date_bin_('{every}') WHERE job = '{missed} {every}'"
            ).replace("date_bin_('minutes')", "date_trunc('hour', clock_timestamp()) - interval '1 hour'")
             .replace("date_bin_('yearly')", "clock_timestamp() - interval '90 minutes'"));
        }
    }
    let first = database.value("SELECT next_at FROM cutover_worker.lease WHERE job = 'all minutes'");
    let begun = database.value("SELECT clock_timestamp()");
    let worker = start(&database.options(), settings("w"));
    until(
        &database,
        "SELECT bool_and(next_at > clock_timestamp() AND run IS NULL) FROM cutover_worker.lease",
    )
    .await;
    worker.stops().await;
    // Every half hour, from an hour before this hour: two or three passed, and the one that is due now. Another one may come meanwhile.
    let all = "SELECT concat_ws(' ', min(scheduled), max(scheduled) > timestamptz '{begun}' - interval '30 minutes',
                      count(*) = count(DISTINCT scheduled) AND count(*) = extract(epoch FROM max(scheduled) - min(scheduled)) / 1800 + 1)
                 FROM cutover_worker.run WHERE job = 'all minutes'";
    assert_eq!(database.value(&all.replace("{begun}", &begun)), format!("{first} t t"));
    let missed = |job: &str| {
        database.value(&format!(
            "SELECT count(*) FROM cutover_worker.run WHERE job = '{job}' AND scheduled <= timestamptz '{begun}'"
        ))
    };
    assert_eq!(missed("one minutes"), "1");
    assert_eq!(
        (missed("skip yearly"), missed("one yearly"), missed("all yearly")),
        ("0".into(), "1".into(), "1".into())
    );
    assert_eq!(
        database.value(
            "SELECT count(*) = (SELECT count(*) FROM ran) FROM cutover_worker.run WHERE outcome = 'done'"
        ),
        "t"
    );
    let gap = "SELECT gaps = 1 AND skipped_from = skipped_until FROM cutover_worker.lease WHERE job = 'skip yearly'";
    assert_eq!(database.value(gap), "t");
}

/// A job that has thousands of due times to catch up with and a worker with one session: the others have their turn all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_catches_up_does_not_keep_the_others_waiting() {
    let database = prepared().await;
    database.run(
        "SELECT cutover_worker.schedule('behind', '1 second', $$SELECT work('behind')$$, missed => 'all');
         SELECT cutover_worker.schedule('other', '1 second', $$SELECT work('other')$$);",
    );
    let worker = start(&database.options(), Settings { jobs: 1, ..settings("one") });
    until(&database, "SELECT bool_and(next_at IS NOT NULL) FROM cutover_worker.lease").await;
    database.run(
        "UPDATE cutover_worker.lease SET next_at = date_trunc('second', clock_timestamp()) - interval '2 hours' WHERE job = 'behind'",
    );
    let before = database.value("SELECT coalesce(max(id), 0) FROM cutover_worker.run");
    ended(&database, "behind", 3).await;
    let done = |job: &str| {
        format!(
            "SELECT count(*) FROM cutover_worker.run WHERE job = '{job}' AND id > {before} AND outcome = 'done'"
        )
    };
    until(&database, &format!("SELECT ({}) >= 3", done("other"))).await;
    let behind: u32 = database.value(&done("behind")).parse().unwrap();
    assert!(behind < 7200, "it was done with first");
    worker.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_declarations_are_noticed_by_a_worker_that_listens() {
    let database = prepared().await;
    // It would look again in an hour.
    let worker = start(&database.options(), Settings { poll: Duration::from_secs(3_600), ..settings("w") });
    until(&database, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN cutover_worker' AND state = 'idle')").await;
    schedule(&database, "a", "SELECT work('a')");
    due(&database, "a").await;
    ended(&database, "a", 1).await;
    // Not due any more, and away.
    database.run("SELECT cutover_worker.unschedule('a')");
    assert_eq!(database.value("SELECT cutover_worker.unschedule('a')"), "f");
    assert_eq!(database.value("SELECT count(*) FROM cutover_worker.status"), "0");
    worker.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_lends_sessions_by_the_transaction_is_no_hindrance() {
    let database = prepared().await;
    let options = PoolerOptions { mode: PoolMode::Transaction, settings: PoolSettings::Dropped };
    let pooler = Pooler::start(database.server(), options);
    database.run("SELECT cutover_worker.schedule('a', '1 second', 'SELECT work(''a'')')");
    let workers: Vec<_> =
        ["one", "two"].map(|name| start(&pooler.server().options(database.name()), settings(name))).into();
    ended(&database, "a", 3).await;
    for worker in workers {
        worker.stops().await;
    }
    assert_eq!(
        database.value("SELECT count(*) FROM cutover_worker.run WHERE outcome <> 'done' OR attempt <> 1"),
        "0"
    );
    assert_eq!(database.value("SELECT (SELECT count(*) FROM ran) = count(*) FROM cutover_worker.run"), "t");
    drop(pooler);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_runs_are_forgotten_but_for_the_last() {
    let database = prepared().await;
    schedule(&database, "a", "SELECT 1");
    database.run(
        "INSERT INTO cutover_worker.run (job, scheduled, attempt, token, worker, started, ended, outcome)
         SELECT 'a', t, 1, 1, 'w', t, t, CASE WHEN n < 40 THEN 'done' ELSE 'failed' END
           FROM generate_series(1, 50) n, LATERAL (SELECT now() - interval '100 days' + n * interval '1 hour') x (t)",
    );
    let worker = start(&database.options(), settings("w"));
    until(&database, "SELECT count(*) = 12 FROM cutover_worker.run").await;
    worker.stops().await;
    // The last one that was done, and what came behind it.
    assert_eq!(database.value("SELECT count(*) FROM cutover_worker.run WHERE outcome = 'done'"), "1");
    assert_eq!(
        database
            .value("SELECT last_outcome || ' ' || (last_succeeded IS NOT NULL) FROM cutover_worker.status"),
        "failed true"
    );
}
