//! `cutover worker` as people run it: killed, stopped, asked for its figures.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

use common::{Outcome, Place, is_documented, on_one_server, outcome, says};
use rustix::process::{Pid, Signal, kill_process};

const CONFIG: &str = r#"
[project]
name = "shop"

[[job]]
name = "tick"
schedule = "0 0 1 1 *"
command = "SELECT waits()"
time_zone = "Europe/Berlin"
"#;

/// A database with a job that waits at a gate, and the table it writes to.
fn place() -> Place {
    let place = Place::new();
    place.write("cutover.toml", CONFIG);
    place.database().run(
        "CREATE TABLE ran (at timestamptz DEFAULT clock_timestamp()); CREATE TABLE gate (); CREATE TABLE one AS SELECT 1 AS n;
         CREATE FUNCTION waits() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
             -- Two at once cannot both have this. A row and no advisory lock: what was committed is seen a moment before such a lock is
             -- given back.
             PERFORM FROM one FOR UPDATE NOWAIT;
             INSERT INTO ran DEFAULT VALUES; LOCK TABLE gate IN ACCESS SHARE MODE;
         END $$",
    );
    place
}

fn until(place: &Place, sql: &str) {
    let since = Instant::now();
    while !place
        .database()
        .try_rows(sql)
        .is_ok_and(|rows| rows.first().is_some_and(|row| row[0].as_deref() == Some("t")))
    {
        assert!(since.elapsed() < Duration::from_secs(30), "never true: {sql}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const AT_GATE: &str =
    "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted)";

fn due(place: &Place) {
    until(place, "SELECT bool_and(next_at IS NOT NULL) FROM cutover_worker.lease");
    place.database().run(
        "UPDATE cutover_worker.lease SET next_at = clock_timestamp(), seen_at = NULL; NOTIFY cutover_worker",
    );
}

fn start(place: &Place, arguments: &[&str]) -> Child {
    place.command(&[&["worker", "--poll", "100ms"], arguments].concat()).spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn ended(child: Child) -> Outcome {
    outcome(&child.wait_with_output().unwrap())
}

fn runs(place: &Place) -> String {
    place.database().value(
        "SELECT string_agg(attempt || coalesce(outcome, 'running'), ' ' ORDER BY id) FROM cutover_worker.run",
    )
}

#[test]
fn a_killed_worker_loses_its_run_which_another_one_does_once() {
    let place = place();
    let gate = place.database().hold("LOCK TABLE gate");
    let mut first = start(&place, &[]);
    due(&place);
    until(&place, AT_GATE);
    first.kill().unwrap();
    first.wait().unwrap();
    // Its transaction lives on in the server, which has not noticed yet: nobody may run the job beside it.
    let second = start(&place, &["--lease", "1s"]);
    until(
        &place,
        "SELECT count(*) > 2 FROM pg_stat_activity WHERE application_name LIKE 'cutover worker%' AND datname = current_database()",
    );
    assert_eq!(runs(&place), "1running");
    drop(gate);
    until(&place, "SELECT count(*) = 1 FROM cutover_worker.run WHERE outcome = 'done'");
    signal(&second, Signal::TERM);
    ended(second).ends_with(0);
    assert_eq!(
        (runs(&place).as_str(), place.database().value("SELECT count(*) FROM ran").as_str()),
        ("1lost 2done", "1")
    );
}

/// A worker that is stopped in a run (a frozen machine, a lost network) does not keep the job from the others for ever.
#[test]
fn a_stopped_worker_gives_up_what_it_holds() {
    let place = place();
    let gate = place.database().hold("LOCK TABLE gate");
    let first = start(&place, &["--lease", "1s"]);
    due(&place);
    until(&place, AT_GATE);
    signal(&first, Signal::STOP);
    drop(gate);
    let second = start(&place, &["--lease", "1s"]);
    until(&place, "SELECT count(*) = 1 FROM cutover_worker.run WHERE outcome = 'done'");
    signal(&first, Signal::CONT);
    for worker in [first, second] {
        signal(&worker, Signal::TERM);
        ended(worker).ends_with(0);
    }
    assert_eq!(place.database().value("SELECT count(*) FROM ran"), "1");
}

/// What was switched off in the database stays so, whichever worker starts next.
#[test]
fn a_job_that_was_switched_off_stays_off() {
    let place = place();
    let first = start(&place, &[]);
    until(&place, "SELECT next_at IS NOT NULL FROM cutover_worker.lease");
    place.database().run("UPDATE cutover_worker.job SET enabled = false");
    signal(&first, Signal::TERM);
    ended(first).ends_with(0);
    let mut second = start(&place, &[]);
    let mut said = BufReader::new(second.stdout.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains(" begins"), "it has declared what it has to");
    assert_eq!(place.database().value("SELECT enabled FROM cutover_worker.job"), "f");
    signal(&second, Signal::TERM);
    ended(second).ends_with(0);
}

/// Asked to stop while somebody keeps it from beginning.
#[test]
fn a_worker_that_begins_ends_when_it_is_asked_to() {
    let place = place();
    let first = start(&place, &[]);
    until(&place, "SELECT next_at IS NOT NULL FROM cutover_worker.lease");
    signal(&first, Signal::TERM);
    ended(first).ends_with(0);
    let lock = place.database().hold("LOCK TABLE cutover_worker.meta");
    let second = start(&place, &[]);
    until(
        &place,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name LIKE 'cutover worker%' AND datname = current_database()
                    AND wait_event_type = 'Lock'",
    );
    signal(&second, Signal::TERM);
    ended(second).ends_with(0);
    drop(lock);
}

/// Its thread is kept from looking by a terminal that takes no more: it ends as everybody who is asked to, once it is let.
#[test]
fn a_worker_that_is_slow_to_look_at_a_signal_heeds_it_all_the_same() {
    let place = place();
    let (mut ours, mut terminal) = UnixStream::pair().unwrap();
    terminal.set_nonblocking(true).unwrap();
    while terminal.write(&[b'.'; 4096]).is_ok() {}
    terminal.set_nonblocking(false).unwrap();
    let mut command = place.command(&["worker", "--poll", "100ms"]);
    let mut worker = command.stdout(OwnedFd::from(terminal)).spawn().unwrap();
    drop(command);
    // Declaring is the last that it does before it says that it begins.
    until(&place, "SELECT count(*) = 1 FROM cutover_worker.job");
    signal(&worker, Signal::TERM);
    // Longer than a signal may be left alone where nothing is to be left behind (300 ms).
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(worker.try_wait().unwrap(), None, "it is not ended without a word");
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert!(said.contains(" begins"), "{said}");
    assert!(said.ends_with("stopped: 0 done, 0 failed, 0 cut off\n"), "{said}");
    ended(worker).ends_with(0);
}

#[test]
fn one_signal_finishes_what_runs_and_two_cancel_it() {
    let place = place();
    for (signals, exit, expected) in [(2, 130, "1lost"), (1, 0, "1lost 2done")] {
        let gate = place.database().hold("LOCK TABLE gate");
        let worker = start(&place, &[]);
        if signals == 2 {
            due(&place);
        }
        until(&place, AT_GATE);
        signal(&worker, Signal::TERM);
        if signals == 2 {
            signal(&worker, Signal::INT);
        } else {
            drop(gate);
        }
        let outcome = ended(worker).ends_with(exit);
        says(&outcome, &["stopping: what runs is finished; once more cancels it"]);
        assert_eq!(runs(&place), expected);
    }
    assert_eq!(place.database().value("SELECT count(*) FROM ran"), "1");
}

#[test]
fn figures_status_and_events() {
    let place = place();
    let missing = place.run(&["worker", "status"]).ends_with(1);
    says(&missing, &["schema cutover_worker is not there: no worker was started on this database yet"]);
    let port = free_port();
    let mut worker = start(&place, &["--metrics", &port.to_string(), "--format", "json"]);
    due(&place);
    until(&place, "SELECT count(*) = 1 FROM cutover_worker.run WHERE outcome = 'done'");
    let mut lines = BufReader::new(worker.stdout.take().unwrap()).lines();
    let started: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(
        (&started["event"], &started["declared"], &started["made_schema"]),
        (&"started".into(), &1.into(), &true.into())
    );
    let run: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(
        (&run["event"], &run["job"], &run["outcome"]),
        (&"run_ended".into(), &"tick".into(), &"done".into())
    );
    let page = get(port);
    for line in [
        "HTTP/1.1 200 OK",
        "cutover_worker_runs_total{job=\"tick\",outcome=\"done\"} 1",
        "cutover_worker_connected 1",
        "cutover_worker_leases_held 0",
        "cutover_worker_lag_seconds_count{job=\"tick\"} 1",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    // The address is taken.
    let second = place.run(&["worker", "--metrics", &port.to_string()]).ends_with(2);
    says(&second, &["metrics cannot be served on 127.0.0.1:"]);
    let status = place.run(&["worker", "status", "--exit-code", "--format", "json"]).ends_with(0);
    is_documented("worker status", &serde_json::from_str(&status.stdout).unwrap(), Some("jobs"));
    let status = place.run(&["worker", "status"]).ends_with(0);
    assert!(status.stdout.starts_with("tick  0 0 1 1 *  done 20"), "{}", status.stdout);
    signal(&worker, Signal::TERM);
    ended(worker).ends_with(0);
    // A run that failed is something to look at.
    place.database().run("UPDATE cutover_worker.run SET outcome = 'failed', error = 'no'");
    let status = place.run(&["worker", "status", "--exit-code"]).ends_with(1);
    assert!(status.stdout.contains("\n  last error: no\n"), "{}", status.stdout);
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn mistakes_in_jobs_have_their_line() {
    let place = Place::new();
    place.write(
        "cutover.toml",
        "[[job]]\nname = \"a\"\nschedule = \"61 * * * *\"\ncommand = \"SELECT 1; COMMIT\"\n\
         [[job]]\nname = \"b\"\nschedule = \"5 second\"\ntime_zone = \"Mars\"\nkind = \"shell\"\ncommand = \"SELECT 1\"\n",
    );
    let outcome = place.run(&["worker"]).ends_with(2);
    says(
        &outcome,
        &[
            "cutover.toml:3:12: job \"a\": \"61 * * * *\" is no cron expression",
            "cutover.toml:4:11: job \"a\": the command is 2 statements",
            "cutover.toml:8:13: job \"b\": \"Mars\" is no time zone",
            "cutover.toml:9:8: job \"b\": unknown kind of job \"shell\"; there is: sql",
        ],
    );
    place.write("cutover.toml", CONFIG);
    let outcome = place.run(&["worker", "pg-cron"]).ends_with(2);
    says(&outcome, &["extension pg_cron is not installed in database"]);
    // What SQL declared is not the file's.
    place.database().run("SELECT cutover_worker.unschedule('x')");
    place.write("cutover.toml", "[project]\nname = \"other\"\n[[job]]\nname = \"tick\"\nschedule = \"5 seconds\"\ncommand = \"SELECT 1\"\n");
    let outcome = place.run(&["worker"]).ends_with(1);
    says(&outcome, &["job 'tick' is declared in cutover.toml of project 'shop'"]);
}

/// What a worker keeps is nobody's change of the database: neither drift, nor a reason against a plan that was kept.
#[test]
fn what_a_worker_keeps_is_no_drift() {
    let place = Place::new();
    place.write("migrations/1_a.sql", "CREATE TABLE a (n int);");
    place.run(&["apply"]).ends_with(0);
    place.write("migrations/2_b.sql", "CREATE TABLE b (n int);");
    place.run(&["plan", "--out", "plan.json"]).ends_with(0);
    let worker = start(&place, &[]);
    until(&place, "SELECT to_regclass('cutover_worker.status') IS NOT NULL");
    place.database().run("SELECT cutover_worker.schedule('a', '1 second', 'SELECT 1')");
    until(&place, "SELECT count(*) > 0 FROM cutover_worker.run WHERE outcome = 'done'");
    let diff = on_one_server(&place, &["diff"]).ends_with(0);
    assert!(!diff.stdout.contains("cutover_worker"), "{}", diff.stdout);
    place.run(&["apply", "plan.json"]).ends_with(0);
    let sides = on_one_server(&place, &["diff", &place.database().url(), "migrations"]).ends_with(0);
    assert!(!sides.stdout.contains("cutover_worker"), "{}", sides.stdout);
    signal(&worker, Signal::TERM);
    ended(worker).ends_with(0);
}
