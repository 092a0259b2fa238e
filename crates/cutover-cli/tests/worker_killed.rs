//! Spark's schedules with `cutover worker` as people run it, killed in the middle of what it does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use common::{Place, outcome};
use rustix::process::{Pid, Signal, kill_process};
use testkit::Database;

const SPARK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../systems/spark");
/// Notes what is called, beside what the worker notes.
const WITNESS: &str = include_str!("../../../systems/spark/tests/system/witness.sql");

const HEALTHY: &str = "SELECT check_scheduler_health() -> 'healthy'";

/// All that Spark is, two people who wait for each other, and the 8 told to a worker's schema.
fn place() -> (Place, Workers) {
    let place = Place::new();
    place.run(&["-C", SPARK, "--yes", "--quiet", "apply"]).ends_with(0);
    let mut workers = Workers::default();
    workers.one_more(&place);
    place.database().becomes("SELECT to_regclass('cutover_worker.status') IS NOT NULL", "t");
    place.database().run(WITNESS);
    place.database().run(
        "SELECT setup_schedulers();
         INSERT INTO profiles (name, age, gender, is_online) VALUES ('Eve', 25, 'female', true), ('Adam', 25, 'male', true);",
    );
    (place, workers)
}

/// Those that run, and where each one's first line is told; killed with the test.
#[derive(Default)]
struct Workers(Vec<(Child, Receiver<String>)>);

impl Workers {
    fn one_more(&mut self, place: &Place) {
        let mut command = place.command(&["worker", "--poll", "100ms"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = channel();
        // What nobody reads any more is read all the same: a full pipe would stop the worker.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        self.0.push((child, told));
    }

    /// `kill -9`.
    fn killed(&mut self, which: usize) {
        let (mut child, _) = self.0.remove(which);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks those that have begun to end: one that has not says that it was interrupted.
    fn stop(mut self) {
        for (child, told) in std::mem::take(&mut self.0) {
            assert!(told.recv().unwrap().contains(" begins"));
            kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
            outcome(&child.wait_with_output().unwrap()).ends_with(0);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for (child, _) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn all_due(database: &Database) {
    database.becomes("SELECT count(*) = 8 AND bool_and(next_at IS NOT NULL) FROM cutover_worker.lease", "t");
    database.becomes("SELECT witness.all_due()", "t");
}

fn last_run(database: &Database) -> String {
    database.value("SELECT coalesce(max(id), 0) FROM cutover_worker.run")
}

const TICKS: &str = "SELECT coalesce(string_agg(coalesce(outcome, 'running'), ' ' ORDER BY id), '') FROM cutover_worker.run WHERE job = 'matching-orchestrator'";

/// The worker dies when its tick has made a match and told one of the two. Nobody sees it, and nobody runs a tick beside it, as long as
/// its transaction lives in the server; then the other worker runs all that is due, and the match is made once.
#[test]
fn a_worker_killed_in_a_tick_leaves_no_half_a_match_and_the_other_goes_on() {
    let (place, mut workers) = place();
    let database = place.database();
    all_due(database);
    database.becomes(HEALTHY, "true");
    database.becomes("SELECT count(*) FROM cutover_worker.lease WHERE run IS NOT NULL", "0");
    let told = database.hold("SELECT pg_advisory_xact_lock(83)");
    database.run("INSERT INTO matching_queue (user_id, status) SELECT id, 'queue_waiting' FROM profiles; SELECT witness.all_due()");
    database.becomes("SELECT witness.is_in_a_match()", "t");
    workers.killed(0);
    workers.one_more(&place);
    // Also where its lease is over: the other one has looked, since it runs what else is due.
    database.run("UPDATE cutover_worker.lease SET until = clock_timestamp() - interval '1 hour' WHERE job = 'matching-orchestrator'");
    for _ in 0..2 {
        let since = last_run(database);
        database.run("UPDATE cutover_worker.lease SET next_at = clock_timestamp(), seen_at = NULL WHERE job = 'cleanup-soft-offline' AND run IS NULL; NOTIFY cutover_worker");
        let others = format!(
            "SELECT count(*) > 0 FROM cutover_worker.run WHERE id > {since} AND job = 'cleanup-soft-offline' AND outcome = 'done'"
        );
        database.becomes(&others, "t");
    }
    assert!(database.value(TICKS).ends_with(" running"), "{}", database.value(TICKS));
    assert_eq!(database.value("SELECT count(*) FROM matches"), "0");
    told.lets_go();
    all_due(database);
    database.becomes("SELECT witness.done_again()", "8");
    database.becomes("SELECT string_agg(status, ' ') FROM matching_queue", "paired paired");
    database.becomes(HEALTHY, "true");
    workers.stop();
    assert_eq!(database.value("SELECT witness.amiss()"), "");
    assert!(database.value(TICKS).contains("lost done"), "{}", database.value(TICKS));
    assert_eq!(
        database.value(
            "SELECT concat((SELECT count(*) FROM matches), (SELECT count(*) FROM match_participants))"
        ),
        "12"
    );
    let found = "SELECT count(*) FROM spark_event_log WHERE event_type = 'state_transition' AND event_data ->> 'to_state' = 'paired'";
    assert_eq!(database.value(found), "2");
    // No due time of the others was left out meanwhile, but for those that this test made: schedules mean whole seconds.
    let gaps = "SELECT count(*) FROM cutover_worker.lease WHERE job <> 'matching-orchestrator' AND skipped_until = date_trunc('second', skipped_until)";
    assert_eq!(database.value(gaps), "0");
}

/// One of two is killed again and again, whatever it does just then.
#[test]
fn one_of_two_killed_again_and_again_loses_and_doubles_nothing() {
    let (place, mut workers) = place();
    let database = place.database();
    workers.one_more(&place);
    for _ in 0..8 {
        all_due(database);
        workers.killed(0);
        workers.one_more(&place);
        database.becomes("SELECT witness.done_again()", "8");
    }
    database.becomes(HEALTHY, "true");
    workers.stop();
    assert_eq!(database.value("SELECT witness.amiss()"), "");
}
