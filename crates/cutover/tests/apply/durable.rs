//! What is reported as done is on disk.

use cutover::apply::Request;
use cutover::run::{Outcome, Run};
use cutover::{Project, apply::ApplyError};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::{Sandbox, SandboxOptions};

use crate::support::{Gate, WAIT_AT_GATE, apply, apply_with, failure, finished, project, session, value};

/// A server of the test's own that keeps what it has flushed, and writes nothing in the background that nobody waits
/// for: what survives is what was made durable.
fn server() -> Sandbox {
    let settings = [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("wal_writer_delay", "10s"),
        ("autovacuum", "off"),
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
        ("bgwriter_lru_maxpages", "0"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Sandbox::start(&SandboxOptions { durable: true, settings, ..testkit::sandbox_options() }).unwrap()
}

fn upto(version: usize) -> Project {
    let files: Vec<(String, String)> = (1..=version)
        .map(|n| {
            (
                format!("V{n}__t.sql"),
                format!("CREATE TABLE t{n} (n int);\nINSERT INTO t{n} SELECT generate_series(1, 10);"),
            )
        })
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    project(&files)
}

/// How often the server is stopped: `CUTOVER_TEST_STOPS` times, or 20.
fn rounds() -> usize {
    std::env::var("CUTOVER_TEST_STOPS").map_or(20, |stops| stops.parse().unwrap())
}

/// The server is stopped as a crash would, right after success was reported, again and again.
#[tokio::test]
async fn everything_acknowledged_survives_a_crash_of_the_server() {
    let mut server = server();
    for round in 1..=rounds() {
        let options = server.options("postgres");
        let request = Request { jobs: 1 + round % 2, ..Request::default() };
        let run = apply_with(&upto(round * 2), &options, &request).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
        server.stop_immediately();
        server.restart().unwrap();
        let mut session = session(&options).await;
        let applied = value(&mut session, "SELECT count(*) FROM cutover.migration").await;
        assert_eq!(applied, (round * 2).to_string(), "round {round}");
        let last = format!("SELECT count(*) FROM t{}", round * 2);
        assert_eq!(value(&mut session, &last).await, "10", "round {round}");
        let open = "SELECT count(*) FROM cutover.run WHERE outcome IS DISTINCT FROM 'completed'";
        assert_eq!(value(&mut session, open).await, "0", "round {round}");
    }
}

/// WAL that is written and not flushed when a run returns.
async fn unflushed(
    options: &ConnectOptions,
    request: &Request,
    project: &Project,
) -> Result<bool, ApplyError> {
    let mut session = session(options).await;
    apply_with(project, options, request).await?;
    let sql = "SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()";
    Ok(value(&mut session, sql).await == "t")
}

#[tokio::test]
async fn a_run_ends_with_a_write_that_waits_for_the_disk() {
    let server = server();
    let options = server.options("postgres");
    assert!(!unflushed(&options, &Request::default(), &upto(3)).await.unwrap());
    let each = Request { durable_each: true, ..Request::default() };
    assert!(!unflushed(&options, &each, &upto(6)).await.unwrap());
    // The question can be answered with yes: a commit that nobody waits for leaves something unflushed.
    let mut session = session(&options).await;
    session.execute("SET synchronous_commit = off; CREATE TABLE x ()").await.unwrap();
    let sql = "SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()";
    assert_eq!(value(&mut session, sql).await, "t");
}

/// Five migrations and one that the server's crash takes down; gives the run, what was told as applied and what is there.
async fn crashed(server: &mut Sandbox, request: &Request) -> (Run, usize, usize) {
    let options = server.options("postgres");
    let mut files: Vec<(String, String)> =
        (1..=5).map(|n| (format!("V{n}__t.sql"), format!("CREATE TABLE t{n} (n int);"))).collect();
    files.push(("V6__gate.sql".to_owned(), WAIT_AT_GATE.to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let project = project(&files);
    let mut gate = Gate::closed(&options).await;
    let crashing = async {
        gate.reached().await;
        server.stop_immediately();
        server.restart().unwrap();
    };
    let (run, ()) = tokio::join!(apply_with(&project, &options, request), crashing);
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::ConnectionLost), "{}", failure(&run));
    let mut session = session(&options).await;
    let there: usize = value(&mut session, "SELECT count(*) FROM cutover.migration").await.parse().unwrap();
    let told = finished(&run).len();
    assert_eq!(apply(&project, &options).await.unwrap().outcome, Some(Outcome::Completed));
    (run, told, there)
}

/// What was told as applied and was not on disk when the server went down is named as undone.
#[tokio::test]
async fn what_a_crash_of_the_server_undid_is_said() {
    let (run, told, there) = crashed(&mut server(), &Request::default()).await;
    let (undone, said) = (told - there, failure(&run));
    assert!(undone > 0, "{there} of {told}");
    assert!(said.contains(&format!("the last {undone} migration")), "{said}");
}

/// Made durable each by itself, nothing that was told is undone.
#[tokio::test]
async fn what_waits_for_the_disk_each_time_survives_a_crash_in_the_middle() {
    let each = Request { durable_each: true, ..Request::default() };
    let (run, told, there) = crashed(&mut server(), &each).await;
    assert_eq!((told, there), (5, 5), "{}", failure(&run));
    assert!(!failure(&run).contains("not in the database any more"), "{}", failure(&run));
}
