//! Other people's locks: waited for in short attempts, named, and given up on in time.

use std::fmt::Write as _;
use std::time::Duration;

use cutover::Project;
use cutover::run::{Blocker, EventKind, EventSink, Outcome, RunEvent};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;
use testkit::{Database, database};

use crate::support::{APPLIED, apply, apply_watched, completes, failure, project, session, soon};

fn altering() -> Project {
    project(&[
        ("V1__a.sql", "INSERT INTO log VALUES (1);\nALTER TABLE busy ADD m int;"),
        ("V2__b.sql", "INSERT INTO log VALUES (2);"),
    ])
}

fn tables() -> Database {
    let database = database();
    database.run("CREATE TABLE busy (n int); CREATE TABLE log (n int); CREATE TABLE other ()");
    database
}

/// Somebody with a lock on table `busy`.
async fn reader(options: &ConnectOptions) -> Session {
    let mut reader = session(options).await;
    reader.execute("BEGIN; SELECT n FROM busy").await.unwrap();
    reader
}

/// Hears of blockers, and says so once it has heard of some three times.
struct Blockers {
    heard: Vec<Blocker>,
    enough: Option<tokio::sync::oneshot::Sender<()>>,
}

impl EventSink for Blockers {
    fn event(&mut self, event: &RunEvent) {
        let EventKind::LockWaiting { blockers, .. } = &event.kind else { return };
        self.heard.extend(blockers.iter().cloned());
        if self.heard.len() >= 3
            && let Some(enough) = self.enough.take()
        {
            let _ = enough.send(());
        }
    }
}

#[tokio::test]
async fn a_reader_in_the_way_is_named_and_waited_for() {
    let database = tables();
    let options = database.options();
    let mut reader = reader(&options).await;
    let (enough, heard_enough) = tokio::sync::oneshot::channel();
    let mut sink = Blockers { heard: Vec::new(), enough: Some(enough) };
    let (project, request, stop) =
        (altering(), cutover::apply::Request::default(), cutover::stop::Stop::new());
    let pid = reader.backend_pid();
    let release = async {
        soon(heard_enough).await.unwrap();
        reader.execute("COMMIT").await.unwrap();
    };
    let (run, ()) = tokio::join!(apply_watched(&project, &options, &request, &stop, &mut sink), release);
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    // Who is seen later may be on the way out.
    for blocker in &sink.heard[..3] {
        assert_eq!(
            (blocker.pid, blocker.application.as_str(), blocker.user.as_str()),
            (pid, "tester", "postgres")
        );
        assert_eq!(
            (blocker.state.as_str(), blocker.query.as_str()),
            ("idle in transaction", "BEGIN; SELECT n FROM busy")
        );
    }
    let attempts = run.events.iter().find_map(|event| match &event.kind {
        EventKind::StepFinished { attempts, .. } => Some(*attempts),
        _ => None,
    });
    assert!(attempts.unwrap() > 3, "{attempts:?}");
    assert_eq!(
        database.value("SELECT string_agg(n::text, ' ') FROM log"),
        "1 2",
        "each attempt but the last is undone"
    );
}

/// The whole file is read again for each attempt, also where it was too large to be kept.
#[tokio::test]
async fn a_file_with_data_is_tried_again_as_a_whole() {
    for rows in [3, 60_000] {
        let database = tables();
        let options = database.options();
        let mut text = String::from("INSERT INTO log VALUES (-1);\nCOPY log FROM stdin;\n");
        (0..rows).for_each(|row| writeln!(text, "{row}").unwrap());
        text.push_str("\\.\nALTER TABLE busy ADD m int;\nINSERT INTO log VALUES (-2);");
        let project = project(&[("V1__a.sql", &text)]);
        let mut reader = reader(&options).await;
        // Whether or not somebody was seen in the way.
        let (enough, tried_enough) = tokio::sync::oneshot::channel();
        let (mut enough, mut attempts) = (Some(enough), 0);
        let mut sink = |event: &RunEvent| {
            attempts += u32::from(matches!(event.kind, EventKind::LockWaiting { .. }));
            if attempts == 3
                && let Some(enough) = enough.take()
            {
                let _ = enough.send(());
            }
        };
        let release = async {
            soon(tried_enough).await.unwrap();
            reader.execute("COMMIT").await.unwrap();
        };
        let (request, stop) = (cutover::apply::Request::default(), cutover::stop::Stop::new());
        let (run, ()) = tokio::join!(apply_watched(&project, &options, &request, &stop, &mut sink), release);
        let run = run.unwrap();
        assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
        assert_eq!(
            database.value("SELECT count(*) || ' ' || count(DISTINCT n) FROM log"),
            format!("{0} {0}", rows + 2)
        );
    }
}

#[tokio::test]
async fn a_lock_that_is_never_had_is_given_up_on() {
    let database = tables();
    let options = database.options();
    let mut reader = reader(&options).await;
    let mut project = altering();
    project.apply.lock_wait = Duration::from_millis(1200);
    let run = soon(apply(&project, &options)).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::LockNotObtained));
    let said = failure(&run);
    let who = format!("in the way: pid {} (postgres, tester), idle in transaction", reader.backend_pid());
    for part in [
        "V1__a.sql:2:1: ERROR: canceling statement due to lock timeout (55P03)",
        "(lock_wait)",
        &who,
        "nothing of V1__a.sql",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!(database.value("SELECT count(*) FROM log"), "0");
    assert_eq!(database.value(APPLIED), "");
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "lock_not_obtained");
    reader.execute("COMMIT").await.unwrap();
    completes(&project, &options).await;
    assert_eq!(database.value("SELECT string_agg(n::text, ' ') FROM log"), "1 2");
}

/// A first attempt of 5 ms, a tenth of a second after it was sent: nobody looked just then. So there is one more, to see who
/// it is.
#[tokio::test]
async fn who_is_in_the_way_is_looked_for_before_giving_up() {
    let database = tables();
    let options = database.options();
    let reader = reader(&options).await;
    let mut project = project(&[("V1__a.sql", "SELECT pg_sleep(0.1);\nALTER TABLE busy ADD m int;")]);
    project.apply.lock_wait = Duration::ZERO;
    // Longer than a project may say: whoever looks has the time that it takes.
    project.apply.lock_timeout = Duration::from_secs(3);
    let run = soon(apply(&project, &options)).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::LockNotObtained));
    let said = failure(&run);
    let who = format!("in the way: pid {} (postgres, tester), idle in transaction", reader.backend_pid());
    assert!(said.contains(&who), "{said}");
    assert_eq!(said.matches("in the way: ").count(), 1, "{said}");
}

fn indexing(lock_wait: Duration) -> Project {
    let mut project = project(&[
        ("V1__i.sql", "CREATE INDEX CONCURRENTLY busy_n ON busy (n);"),
        ("V2__b.sql", "INSERT INTO log VALUES (2);"),
    ]);
    project.apply.lock_wait = lock_wait;
    project
}

const INDEXES: &str = "SELECT coalesce(string_agg(indexrelid::regclass || ' ' || indisvalid, ','), '') FROM pg_index WHERE indrelid = 'busy'::regclass";

#[tokio::test]
async fn a_concurrent_build_behind_an_old_snapshot_is_given_up_on_and_cleaned_up() {
    let database = tables();
    let options = database.options();
    let mut old = session(&options).await;
    old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM other").await.unwrap();
    let run = soon(apply(&indexing(Duration::from_millis(300)), &options)).await.unwrap();
    let said = failure(&run);
    assert_eq!(run.outcome, Some(Outcome::LockNotObtained), "{said}");
    assert!(
        said.contains("waited too long for other sessions") && said.contains("nothing of V1__i.sql"),
        "{said}"
    );
    assert!(said.contains(&format!("pid {} (postgres, tester)", old.backend_pid())), "{said}");
    assert_eq!(database.value(INDEXES), "", "nothing is left of it");
    assert_eq!(database.value("SELECT count(*) FROM cutover.unit WHERE state <> 'failed'"), "0");
    old.execute("COMMIT").await.unwrap();
    completes(&indexing(Duration::from_secs(60)), &options).await;
    assert_eq!(database.value(INDEXES), "busy_n true");
}

/// What a failed build left cannot be removed either while somebody reads the table: it is said, and the next run
/// removes it.
#[tokio::test]
async fn an_invalid_index_that_cannot_be_dropped_is_named_and_dropped_by_the_next_run() {
    let database = tables();
    let options = database.options();
    let mut old = session(&options).await;
    old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT n FROM busy").await.unwrap();
    let run = soon(apply(&indexing(Duration::from_millis(300)), &options)).await.unwrap();
    let said = failure(&run);
    assert_eq!(run.outcome, Some(Outcome::LockNotObtained), "{said}");
    assert!(said.contains("the invalid index busy_n is still there and could not be dropped"), "{said}");
    assert!(!said.contains("nothing of V1__i.sql"), "{said}");
    assert_eq!(database.value(INDEXES), "busy_n false");
    old.execute("COMMIT").await.unwrap();
    completes(&indexing(Duration::from_secs(60)), &options).await;
    assert_eq!(database.value(INDEXES), "busy_n true");
}

#[tokio::test]
async fn an_index_that_cannot_be_built_leaves_nothing_behind() {
    let database = tables();
    let options = database.options();
    database.run("INSERT INTO busy VALUES (1), (1)");
    let project = project(&[("V1__i.sql", "CREATE UNIQUE INDEX CONCURRENTLY busy_n ON busy (n);")]);
    let run = soon(apply(&project, &options)).await.unwrap();
    let said = failure(&run);
    assert_eq!(run.outcome, Some(Outcome::FailedClean), "{said}");
    assert!(
        said.contains("V1__i.sql:1:1: ERROR: could not create unique index \"busy_n\" (23505)"),
        "{said}"
    );
    assert!(said.contains("Key (n)=(1) is duplicated"), "{said}");
    assert_eq!(database.value(INDEXES), "");
    database.run("DELETE FROM busy");
    completes(&project, &options).await;
    assert_eq!(database.value(INDEXES), "busy_n true");
}

/// Two transactions that wait for each other: the server picks one, and when it picks ours, it is tried again.
#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let database = tables();
    let options = database.options();
    database.run("CREATE TABLE tries (n serial)");
    let body = "DO $$ BEGIN IF nextval('tries_n_seq') < 3 THEN RAISE SQLSTATE '40P01'; END IF; END $$;\nINSERT INTO log VALUES (1);";
    completes(&project(&[("V1__a.sql", body)]), &options).await;
    assert_eq!(database.value("SELECT count(*) FROM log"), "1");
    assert_eq!(database.value("SELECT last_value FROM tries_n_seq"), "3");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_and_says_why() {
    let database = tables();
    // So short for the one statement that must exceed it: whatever else the run asks takes as long as it takes.
    let text = "INSERT INTO log VALUES (1);\nSET LOCAL statement_timeout = 30;\nSELECT pg_sleep(60);";
    let mut project = project(&[
        ("V1__a.sql", "INSERT INTO log SELECT 0 WHERE current_setting('statement_timeout') = '1h';"),
        ("V2__b.sql", text),
    ]);
    project.apply.statement_timeout = Duration::from_secs(3600);
    let run = apply(&project, &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    assert!(
        said.contains("V2__b.sql:3:1: ERROR: canceling statement due to statement timeout (57014)"),
        "{said}"
    );
    assert!(said.contains("hint: a timeout ended the statement: see statement_timeout"), "{said}");
    assert_eq!(database.value("SELECT string_agg(n::text, ' ') FROM log"), "0", "that of the project counts");
}
