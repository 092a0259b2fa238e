//! The process is killed: at every point it names itself, and from outside while a statement runs.

use std::process::{Child, Command, Output, Stdio};

use cutover::apply::Request;
use cutover::run::{EventKind, Outcome, RunEvent};
use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;
use testkit::{Database, Proxy, database};

use crate::checked::{self, Aftermath, agree, contents, empty, next_run_completes, undisturbed};
use crate::support::{
    APPLIED, BUILD_WAITS, Folder, Gate, RUNNERS, WAIT_AT_GATE, apply_watched, completes, failure, session,
    soon, until, value,
};

/// A run in a process of its own.
pub(crate) fn process(folder: &Folder, database: &Database) -> Command {
    process_at(folder, &database.url())
}

fn process_at(folder: &Folder, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apply-folder"));
    command.arg(folder.path()).arg(url).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(crate) fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The checked project as a folder.
fn folder() -> Folder {
    Folder::with(checked::FILES)
}

async fn reference() -> String {
    undisturbed(&database().options()).await
}

#[tokio::test]
async fn killed_at_every_point() {
    // The points reach into every migration and between its parts.
    assert!(killed_at_points(&[]).await > 10);
}

/// As an ordinary run sends them: statements together, small migrations one behind the other.
#[tokio::test]
async fn killed_at_every_point_of_an_ordinary_run() {
    assert!(killed_at_points(&[("CUTOVER_CRASH_TOGETHER", "1")]).await > 8);
}

/// The next run goes on with what was overtaken, without being told to.
#[tokio::test]
async fn killed_at_every_point_of_a_run_side_by_side() {
    assert!(killed_at_points(&[("CUTOVER_CRASH_TOGETHER", "1"), ("CUTOVER_JOBS", "3")]).await > 8);
}

/// Gives how many different states of history and units were left behind.
async fn killed_at_points(env: &[(&str, &str)]) -> usize {
    let expected = reference().await;
    let database = database();
    let folder = folder();
    let mut session = session(&database.options()).await;
    let mut seen = Vec::new();
    for point in 1.. {
        let mut process = process(&folder, &database);
        let output =
            process.envs(env.iter().copied()).env("CUTOVER_CRASH_AT", point.to_string()).output().unwrap();
        let what = format!("point {point}");
        let Aftermath { applied, units } = agree(&mut session, &what).await;
        let survived = output.status.success();
        assert!(survived || output.status.code().is_none(), "{what}: {}", said(&output));
        next_run_completes(&folder.load(), &database.options(), &mut session, &expected, &what).await;
        empty(&mut session).await;
        if survived {
            assert!(said(&output).starts_with("outcome Completed"), "{}", said(&output));
            break;
        }
        seen.push((applied, units));
    }
    seen.dedup();
    println!("{seen:?}");
    seen.len()
}

/// Whether the server notices that the client of a running statement is gone (`client_connection_check_interval`).
/// Older ones finish the statement, and what was sent behind it.
fn notices_a_killed_client(session: &Session) -> bool {
    session.server_version_num() >= 140_000
}

/// A step that blocks, in the middle of others, and what is in the database before it. Tells whether the server went
/// on with the step when nobody wanted it any more, and recorded it.
async fn killed_while_blocked(
    blocked: &str,
    options: &ConnectOptions,
    database: &Database,
) -> (Folder, bool) {
    let files = [
        ("V1__a.sql", "CREATE TABLE log (what text);"),
        ("V2__b.sql", blocked),
        ("V3__c.sql", "INSERT INTO log VALUES ('c');"),
    ];
    let folder = Folder::with(&files);
    let mut gate = Gate::closed(options).await;
    let child = process(&folder, database).spawn().unwrap();
    gate.reached().await;
    kill(child);
    if !notices_a_killed_client(gate.session()) {
        gate.open().await;
        until(gate.session(), RUNNERS, "0").await;
        // How far it gets depends on when it first writes to the client.
        let applied = value(gate.session(), APPLIED).await;
        return (folder, applied == "1 2");
    }
    // With the client gone the server gives up by itself, while the gate is still closed.
    until(gate.session(), RUNNERS, "0").await;
    assert_eq!(value(gate.session(), APPLIED).await, "1");
    gate.open().await;
    assert_eq!(value(gate.session(), APPLIED).await, "1");
    (folder, false)
}

#[tokio::test]
async fn killed_inside_a_statement_of_a_transaction() {
    let database = database();
    let options = database.options();
    let blocked = format!("INSERT INTO log VALUES ('b1');\n{WAIT_AT_GATE}\nINSERT INTO log VALUES ('b2');");
    let (folder, went_on) = killed_while_blocked(&blocked, &options, &database).await;
    let mut session = session(&options).await;
    let rows = value(&mut session, "SELECT count(*) FROM log").await;
    assert_eq!(rows, if went_on { "2" } else { "0" }, "the step and its record, or none of them");
    completes(&folder.load(), &options).await;
    let all = "SELECT string_agg(what, ' ' ORDER BY what) FROM log";
    assert_eq!(value(&mut session, all).await, "b1 b2 c");
}

#[tokio::test]
async fn killed_between_the_parts_of_a_file() {
    let database = database();
    let options = database.options();
    let blocked = format!(
        "INSERT INTO log VALUES ('b1');\n-- cutover: new-transaction\nINSERT INTO log VALUES ('b2');\n{WAIT_AT_GATE}"
    );
    let (folder, went_on) = killed_while_blocked(&blocked, &options, &database).await;
    let mut session = session(&options).await;
    let all = "SELECT string_agg(what, ' ' ORDER BY what) FROM log";
    assert_eq!(value(&mut session, all).await, if went_on { "b1 b2" } else { "b1" });
    let units = "SELECT string_agg(unit || state, ' ' ORDER BY unit) FROM cutover.unit";
    assert_eq!(value(&mut session, units).await, if went_on { "" } else { "0done" });
    completes(&folder.load(), &options).await;
    assert_eq!(value(&mut session, all).await, "b1 b2 c");
}

#[tokio::test]
async fn killed_inside_a_concurrent_index_build() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE big AS SELECT n FROM generate_series(1, 10) n");
    let mut writer = session(&options).await;
    writer.execute("BEGIN; INSERT INTO big VALUES (0)").await.unwrap();
    let files = [
        ("V1__a.sql", "CREATE TABLE log (what text);"),
        ("V2__b.sql", "CREATE INDEX CONCURRENTLY big_n ON big (n);"),
    ];
    let folder = Folder::with(&files);
    let child = process(&folder, &database).spawn().unwrap();
    let mut session = session(&options).await;
    // The build waits for the writer.
    until(&mut session, BUILD_WAITS, "1").await;
    kill(child);
    let invalid = if notices_a_killed_client(&session) {
        until(&mut session, RUNNERS, "0").await;
        writer.execute("COMMIT").await.unwrap();
        "1"
    } else {
        writer.execute("COMMIT").await.unwrap();
        until(&mut session, RUNNERS, "0").await;
        "0"
    };
    assert_eq!(value(&mut session, "SELECT state FROM cutover.unit").await, "started");
    assert_eq!(value(&mut session, "SELECT count(*) FROM pg_index WHERE NOT indisvalid").await, invalid);
    completes(&folder.load(), &options).await;
    assert_eq!(
        value(&mut session, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'big_n'::regclass").await,
        "t"
    );
    assert_eq!(value(&mut session, "SELECT count(*) FROM pg_index WHERE NOT indisvalid").await, "0");
    assert_eq!(value(&mut session, APPLIED).await, "1 2");
}

/// The server notices a killed client only after a while: until then the build goes on, and the next run waits for it. Here
/// it does not notice before the next run has: nothing gets through to it.
#[tokio::test]
async fn the_next_run_waits_for_a_build_that_goes_on_without_its_client() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE big AS SELECT n FROM generate_series(1, 10) n");
    let mut writer = session(&options).await;
    writer.execute("BEGIN; INSERT INTO big VALUES (0)").await.unwrap();
    let folder = Folder::with(&[("V1__b.sql", "CREATE INDEX CONCURRENTLY big_n ON big (n);")]);
    let proxy = Proxy::start(database.server());
    let child = process_at(&folder, &proxy.server().url(database.name())).spawn().unwrap();
    let mut session = session(&options).await;
    until(&mut session, BUILD_WAITS, "1").await;
    // The session that changes the database is the last one opened.
    let stall = proxy.stall(proxy.connections().len() - 1);
    kill(child);
    let (told, heard) = tokio::sync::oneshot::channel();
    let mut told = Some(told);
    let mut sink = |event: &RunEvent| {
        if let EventKind::RunnerWaiting { holder } = &event.kind
            && let Some(told) = told.take()
        {
            let _ = told.send(holder.clone());
        }
    };
    let (project, request, stop) = (folder.load(), Request::default(), Stop::new());
    let releasing = async {
        let holder = soon(heard).await.unwrap();
        writer.execute("COMMIT").await.unwrap();
        drop(stall);
        holder
    };
    let (run, holder) =
        tokio::join!(apply_watched(&project, &options, &request, &stop, &mut sink), releasing);
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    assert!(holder.starts_with("cutover/") && holder.ends_with("active)"), "{holder}");
    let indexes = "SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ',') FROM pg_index WHERE indrelid = 'big'::regclass";
    assert_eq!(value(&mut session, indexes).await, "big_n true");
}

/// Killed again and again at moments that differ from run to run, until a run gets through.
#[tokio::test]
async fn killed_at_any_moment() {
    let expected = reference().await;
    let database = database();
    let folder = folder();
    let options = database.options();
    let mut session = session(&options).await;
    for _ in 0..10 {
        // Each round ends a run when it has got to a version drawn by lot, wherever it is by then.
        let lot =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos() % 8;
        let mut child = process(&folder, &database).spawn().unwrap();
        let reached = format!(
            "SELECT CASE WHEN to_regclass('cutover.migration') IS NULL THEN {lot} = 0
               ELSE (xpath('/row/c/text()', query_to_xml('SELECT count(*) c FROM cutover.migration', true, true, '')))[1]::text::int >= {lot} END"
        );
        while value(&mut session, &reached).await == "f" && child.try_wait().unwrap().is_none() {}
        kill(child);
        let what = format!("killed after {lot}");
        agree(&mut session, &what).await;
        next_run_completes(&folder.load(), &options, &mut session, &expected, &what).await;
        assert_eq!(contents(&mut session).await, expected);
        empty(&mut session).await;
    }
}
