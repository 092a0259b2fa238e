//! The real worker runs the 8 schedules: on its own tables, killed, beside another one, and when clocks do what they do.
//! The process `cutover worker` is killed in the tests of the command line.

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};
use cutover_worker::{Settings, WorkerEvent, schema};

use crate::schedules::SCHEDULES;
use crate::support::{Spark, migrated};
use crate::working::{Working, settings, start};

/// Notes what is called, beside what the worker notes.
const WITNESS: &str = include_str!("witness.sql");

const HEALTHY: &str = "SELECT check_scheduler_health() -> 'healthy'";

/// A database whose worker knows the 8 but does not run yet, with so many people.
async fn registered(people: u32) -> Spark {
    let spark = Spark::with(people);
    register(&spark.0.options()).await;
    spark
}

async fn register(options: &ConnectOptions) {
    let mut session = Session::connect(options, &Startup::default()).await.unwrap();
    assert!(schema::ensure(&mut session).await.unwrap());
    let done =
        session.query_text("SELECT s ->> 'scheduler', s ->> 'registered' FROM setup_schedulers() s").await;
    assert_eq!(done.unwrap().rows, [[Some("worker".to_owned()), Some("8".to_owned())]]);
    session.execute(WITNESS).await.unwrap();
    session.close().await;
}

fn quick(name: &str) -> Settings {
    Settings { poll: std::time::Duration::from_millis(5), ..settings(name) }
}

/// Every job is run again, at its next due time.
fn all_run_again(spark: &Spark) {
    spark.0.becomes("SELECT bool_and(next_at IS NOT NULL) FROM cutover_worker.lease", "t");
    spark.0.becomes("SELECT witness.all_due()", "t");
    spark.0.becomes("SELECT witness.done_again()", "8");
}

/// Men and women in the queue, who can all be paired; nothing is said of the time, as for a real client.
fn join(spark: &Spark, people: u32) {
    spark.0.run(&format!("SELECT queue_join(test.u(n)) FROM generate_series(1, {people}) n"));
}

/// Nothing of a match is there without the rest of it.
fn no_match_is_half_made(spark: &Spark) {
    let half = "SELECT count(*) FROM matching_queue q FULL JOIN match_participants p USING (user_id)
                 WHERE (coalesce(q.status, '') = 'paired') <> (p.match_id IS NOT NULL)";
    assert_eq!(spark.0.value(half), "0");
    let logged = "SELECT (SELECT count(*) FROM spark_event_log WHERE event_data #>> '{event_data,event}' = 'match_found'
                       OR event_data ->> 'event' = 'match_found' OR event_data ->> 'to_state' = 'paired') = 2 * count(*) FROM matches";
    assert_eq!(spark.0.value(logged), "t");
}

async fn stop(workers: impl IntoIterator<Item = Working>) {
    for worker in workers {
        worker.stops().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_eight_are_registered_run_and_healthy() {
    let spark = registered(4).await;
    let known = "SELECT string_agg(name || ' ' || schedule, ', ' ORDER BY name) FROM cutover_worker.job";
    assert_eq!(spark.0.value(known), SCHEDULES);
    assert_eq!(spark.0.value(HEALTHY), "false");
    join(&spark, 4);
    let worker = start(&spark.0.options(), settings("w"));
    all_run_again(&spark);
    spark.0.becomes(HEALTHY, "true");
    let health = "SELECT concat_ws(' ', h -> 'active_schedulers', h -> 'inactive_schedulers', h -> 'late') FROM check_scheduler_health() h";
    assert_eq!(spark.0.value(health), "8 0 []");
    // A tick that has waited for something for 20 ms leaves somebody to the next one.
    spark.0.becomes("SELECT test.states()", "1 paired, 2 paired, 3 paired, 4 paired");
    no_match_is_half_made(&spark);
    // The worker says the same of each.
    assert_eq!(
        spark
            .0
            .value("SELECT count(*) FROM cutover_worker.status WHERE last_outcome = 'done' AND NOT overdue"),
        "8"
    );
    stop([worker]).await;
    assert_eq!(spark.0.value("SELECT witness.amiss()"), "");
    // Who is disabled is late, and nobody else.
    spark.0.run("UPDATE cutover_worker.job SET enabled = false WHERE name = 'gender-balancing'");
    assert!(spark.0.value("SELECT check_scheduler_health() -> 'late'").contains("gender-balancing"));
}

/// 1,000 ticks that are all due: with a man whom nobody waits for, each leaves its trace in his row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_do_each_of_a_thousand_ticks_once() {
    let spark = registered(1).await;
    join(&spark, 1);
    spark.0.run(
        "SELECT cutover_worker.schedule('matching-orchestrator', '5 seconds', 'SELECT public.matching_orchestrator()', missed => 'all');
         UPDATE cutover_worker.job SET enabled = name = 'matching-orchestrator';
         UPDATE cutover_worker.lease SET next_at = cutover_worker._time(cutover_worker._micros(clock_timestamp()) / 5000000 * 5000000)
                                                   - interval '4995 seconds'",
    );
    let workers = ["one", "two"].map(|name| start(&spark.0.options(), quick(name)));
    // Each hundred has a patience of its own: how fast they are is the machine's.
    for done in (100..=1000).step_by(100) {
        let sql = format!("SELECT count(*) >= {done} FROM cutover_worker.run WHERE outcome = 'done'");
        spark.0.becomes(&sql, "t");
    }
    let [one, two] = workers;
    let (one, two) = (one.stops().await, two.stops().await);
    assert_eq!(spark.0.value("SELECT witness.amiss()"), "");
    assert!(one.done > 0 && two.done > 0 && one.lost + two.lost == 0, "{one:?} {two:?}");
    let gaps = "SELECT count(*) FROM (SELECT scheduled - lag(scheduled) OVER (ORDER BY scheduled) AS step FROM cutover_worker.run) s
                 WHERE step <> interval '5 seconds'";
    assert_eq!(spark.0.value(gaps), "0");
    let traces = "SELECT skip_count = (SELECT count(*) FROM witness.called WHERE result ->> 'status' = 'success') FROM matching_queue";
    assert_eq!(spark.0.value(traces), "t");
}

/// The server is killed while a tick has made half a match: both workers come back, and every job is run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_job_and_leaves_no_half_a_match() {
    let mut server = testkit::private_server(&[]);
    server.create_database("spark", None).await.unwrap();
    let options = server.options("spark");
    migrated(&server.url("spark"), &options);
    register(&options).await;
    let mut session = Session::connect(&options, &Startup::default()).await.unwrap();
    session
        .execute("SELECT test.people(2); SELECT queue_join(test.u(n)) FROM generate_series(1, 2) n")
        .await
        .unwrap();
    session.execute("BEGIN; SELECT pg_advisory_xact_lock(83)").await.unwrap();
    let workers = ["one", "two"].map(|name| start(&options, settings(name)));
    let mut other = Session::connect(&options, &Startup::default()).await.unwrap();
    until(&mut other, "SELECT bool_and(next_at IS NOT NULL) FROM cutover_worker.lease", "t").await;
    other.execute("SELECT witness.all_due()").await.unwrap();
    until(&mut other, "SELECT witness.is_in_a_match()", "t").await;
    testkit::kill_and_restart(&mut server);
    for worker in &workers {
        worker.tells(|event| matches!(event, WorkerEvent::Connected)).await;
    }
    let mut other = Session::connect(&options, &Startup::default()).await.unwrap();
    until(&mut other, "SELECT witness.all_due()", "t").await;
    until(&mut other, HEALTHY, "true").await;
    // A tick that has waited for something for 20 ms leaves somebody to the next one.
    until(&mut other, "SELECT test.states()", "1 paired, 2 paired").await;
    stop(workers).await;
    let lost = "SELECT count(*) > 0 FROM cutover_worker.run WHERE job = 'matching-orchestrator' AND outcome = 'lost'";
    for (sql, answer) in [("SELECT witness.amiss()", ""), (lost, "t"), ("SELECT count(*) FROM matches", "1")]
    {
        until(&mut other, sql, answer).await;
    }
}

async fn until(session: &mut Session, sql: &str, answer: &str) {
    let give_up = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let found = session.query_text(sql).await.unwrap().scalar().unwrap_or_default().to_owned();
        if found == answer {
            return;
        }
        assert!(std::time::Instant::now() < give_up, "{sql}: still {found:?}, never {answer:?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Declaring them again, also in the middle of a tick, is waited for by nobody and changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn set_up_again_while_workers_run_changes_nothing() {
    let spark = registered(2).await;
    join(&spark, 2);
    let workers = ["one", "two"].map(|name| start(&spark.0.options(), settings(name)));
    all_run_again(&spark);
    let declared = "SELECT string_agg(j::text, '; ' ORDER BY name) FROM cutover_worker.job j";
    let before = spark.0.value(declared);
    // A tick that has locked its row and waits: somebody has blocked the table it reads.
    let busy = spark.0.hold("LOCK TABLE user_preferences IN ACCESS EXCLUSIVE MODE");
    spark.0.run("SELECT witness.all_due()");
    spark.0.becomes("SELECT count(*) > 0 FROM cutover_worker.lease WHERE job = 'matching-orchestrator' AND run IS NOT NULL", "t");
    let leases = "SELECT string_agg(concat_ws(' ', job, next_at, scheduled, token, run), '; ') FROM cutover_worker.lease WHERE job = 'matching-orchestrator'";
    let lease = spark.0.value(leases);
    for _ in 0..10 {
        spark.0.run("SET statement_timeout = '10s'; SELECT setup_schedulers()");
    }
    assert_eq!((spark.0.value(declared), spark.0.value(leases)), (before.clone(), lease));
    busy.lets_go();
    all_run_again(&spark);
    spark.0.becomes(HEALTHY, "true");
    stop(workers).await;
    assert_eq!(spark.0.value(declared), before);
    assert_eq!(spark.0.value("SELECT witness.amiss()"), "");
}

/// The server's clock goes back by an hour: what the tables have is an hour further on. Nothing is run twice meanwhile, also where
/// it is declared anew, and when the hour has passed everything goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_goes_back_makes_the_eight_wait_and_doubles_nothing() {
    let spark = registered(1).await;
    join(&spark, 1);
    let worker = start(&spark.0.options(), quick("w"));
    all_run_again(&spark);
    stop([worker]).await;
    let shift = |by: &str| {
        spark.0.run(&format!(
            "UPDATE cutover_worker.lease SET next_at = next_at + interval '{by}', seen_at = seen_at + interval '{by}', not_before = not_before + interval '{by}';
             UPDATE cutover_worker.run SET scheduled = scheduled + interval '{by}', started = started + interval '{by}', ended = ended + interval '{by}'"
        ));
    };
    shift("1 hour");
    let ran = spark.0.value("SELECT count(*) FROM cutover_worker.run");
    let worker = start(&spark.0.options(), quick("w"));
    worker.tells(|event| matches!(event, WorkerEvent::Started { .. })).await;
    spark.0.run("SELECT setup_schedulers()");
    assert_eq!(spark.0.value("SELECT count(*) FROM cutover_worker._look()"), "0");
    stop([worker]).await;
    assert_eq!(spark.0.value("SELECT count(*) FROM cutover_worker.run"), ran);
    // Another schedule and back again: due times are those of the clock that is, and the next one was run already.
    spark.0.run("SELECT cutover_worker.schedule(name, '7 seconds', command) FROM cutover_worker.job; SELECT setup_schedulers()");
    spark.0.run(
        "INSERT INTO cutover_worker.run (job, scheduled, attempt, token, worker, started, ended, outcome)
         SELECT 'matching-orchestrator', cutover_worker._time((cutover_worker._micros(clock_timestamp()) / 5000000 + n) * 5000000), 1, 1, 'w', now(), now(), 'done'
           FROM generate_series(0, 1) n;
         INSERT INTO witness.called SELECT 'matching-orchestrator' FROM generate_series(0, 1)",
    );
    let worker = start(&spark.0.options(), quick("w"));
    spark.0.becomes(
        "SELECT next_at > clock_timestamp() AND next_at > (SELECT max(scheduled) FROM cutover_worker.run WHERE worker = 'w' AND started = ended)
           FROM cutover_worker.lease WHERE job = 'matching-orchestrator'",
        "t",
    );
    all_run_again(&spark);
    stop([worker]).await;
    assert_eq!(spark.0.value("SELECT witness.amiss()"), "");
}

/// A job of every day at 02:30 in Berlin, over the last two years and therefore over a change in each direction: PostgreSQL's own idea
/// of that zone says which days there were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_day_has_its_time_once_whatever_its_clocks_do() {
    let spark = registered(0).await;
    spark.0.run(
        "UPDATE cutover_worker.job SET enabled = false;
         SELECT cutover_worker.schedule('queue-size-monitoring', '30 2 * * *', 'SELECT public.monitor_queue_size()', 'Europe/Berlin', 'all');
         UPDATE cutover_worker.job SET enabled = true WHERE name = 'queue-size-monitoring';
         UPDATE cutover_worker.lease SET next_at = (current_date - 500 + time '02:30') AT TIME ZONE 'Europe/Berlin' WHERE job = 'queue-size-monitoring'",
    );
    let workers = ["one", "two"].map(|name| start(&spark.0.options(), quick(name)));
    spark.0.becomes(
        "SELECT next_at > clock_timestamp() FROM cutover_worker.lease WHERE job = 'queue-size-monitoring'",
        "t",
    );
    stop(workers).await;
    assert_eq!(spark.0.value("SELECT witness.amiss()"), "");
    let days = "SELECT concat_ws(' ', count(*) = count(DISTINCT d) AND count(*) = max(d) - min(d) + 1, count(*) >= 499,
                       bool_and(t = '02:30' OR t = '03:00'), count(*) FILTER (WHERE t = '03:00') BETWEEN 1 AND 2,
                       count(DISTINCT scheduled - d::timestamp AT TIME ZONE 'UTC') >= 2)
                  FROM (SELECT scheduled, (scheduled AT TIME ZONE 'Europe/Berlin')::date AS d, (scheduled AT TIME ZONE 'Europe/Berlin')::time AS t
                          FROM cutover_worker.run WHERE outcome = 'done') r";
    assert_eq!(spark.0.value(days), "t t t t t");
}
