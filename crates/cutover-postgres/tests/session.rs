//! Sessions against a real server: what is read from the wire, and what happens when things go wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{connect, database, session};
use cutover_postgres::session::{CopySink, Failure, Session, Startup, StatementOutcome, TransactionStatus};

fn tags(outcome: &StatementOutcome) -> Vec<&str> {
    match &outcome.result {
        Ok(done) => done.tags.iter().map(String::as_str).collect(),
        Err(failure) => vec![failure.code().unwrap_or("lost")],
    }
}

/// Ends on its own only if nothing hangs.
async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it hangs")
}

#[tokio::test]
async fn a_failure_in_the_middle_turns_the_commit_into_a_rollback() {
    let mut session = session().await;
    let outcomes = session
        .pipeline(&[
            "BEGIN",
            "CREATE TABLE t (a int)",
            "SELECT * FROM missing",
            "INSERT INTO t VALUES (1)",
            "COMMIT",
            "SELECT 1",
        ])
        .await;
    let found: Vec<_> = outcomes.iter().map(|outcome| (tags(outcome), outcome.status)).collect();
    assert_eq!(
        found,
        [
            (vec!["BEGIN"], TransactionStatus::InTransaction),
            (vec!["CREATE TABLE"], TransactionStatus::InTransaction),
            (vec!["42P01"], TransactionStatus::Failed),
            (vec!["25P02"], TransactionStatus::Failed),
            (vec!["ROLLBACK"], TransactionStatus::Idle),
            (vec!["SELECT 1"], TransactionStatus::Idle),
        ]
    );
    let Err(failure) = &outcomes[2].result else { panic!("the table is missing") };
    assert_eq!(failure.server().unwrap().position, Some(15));
    assert_eq!(session.transaction_status(), TransactionStatus::Idle);
}

#[tokio::test]
async fn notices_belong_to_the_statement_that_raised_them() {
    let mut session = session().await;
    let raise = |text: &str| format!("DO $$ BEGIN RAISE NOTICE '{text}'; END $$");
    let outcomes = session.pipeline(&[&raise("one"), "SELECT 1", &raise("three"), "COMMIT"]).await;
    let said: Vec<Vec<&str>> = outcomes
        .iter()
        .map(|outcome| outcome.notices.iter().map(|notice| notice.message.as_str()).collect())
        .collect();
    assert_eq!(said, [vec!["one"], vec![], vec!["three"], vec!["there is no transaction in progress"]]);
    assert_eq!(outcomes[3].notices[0].code, "25P01");
    session.query(&raise("typed"), &[]).await.unwrap();
    let other: Vec<_> = session.take_notices().into_iter().map(|notice| notice.message).collect();
    assert_eq!(other, ["typed"]);
}

#[tokio::test]
async fn a_deferred_constraint_fails_at_commit() {
    let mut session = session().await;
    session
        .execute(
            "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (p int REFERENCES p INITIALLY DEFERRED)",
        )
        .await
        .unwrap();
    let outcomes = session.pipeline(&["BEGIN", "INSERT INTO c VALUES (1)", "COMMIT"]).await;
    let Err(failure) = &outcomes[2].result else { panic!("the key does not exist") };
    let message = failure.server().unwrap();
    assert_eq!((message.code.as_str(), message.table.as_deref()), ("23503", Some("c")));
    assert_eq!(message.constraint.as_deref(), Some("c_p_fkey"));
    assert_eq!(outcomes[2].status, TransactionStatus::Idle);
}

#[tokio::test]
async fn several_statements_in_one_text_have_a_tag_each() {
    let mut session = session().await;
    let done =
        session.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); -- end").await.unwrap();
    assert_eq!(done.tags, ["CREATE TABLE", "INSERT 0 2"]);
    assert_eq!(done.rows_affected(), Some(2));
    assert_eq!(session.execute(" -- nothing").await.unwrap().tags, Vec::<String>::new());
}

#[tokio::test]
async fn rows_come_as_text_and_only_as_many_as_asked_for() {
    let mut session = session().await;
    let sql = "SELECT i, NULL AS n FROM generate_series(1, 250) AS i";
    let all = session.query_text(sql).await.unwrap();
    assert_eq!((all.rows.len(), all.rows_dropped, all.tag()), (250, 0, "SELECT 250"));
    assert_eq!(all.columns, ["i", "n"]);
    assert_eq!(all.rows[1], [Some("2".to_owned()), None]);
    let some = session.execute(sql).await.unwrap();
    assert_eq!((some.rows.len(), some.rows_dropped), (100, 150));
}

#[tokio::test]
async fn typed_queries_and_their_failures() {
    let mut session = session().await;
    let rows = session.query("SELECT $1::int + 1, $2::text", &[&41_i32, &"x"]).await.unwrap();
    assert_eq!((rows[0].get::<_, i32>(0), rows[0].get::<_, &str>(1)), (42, "x"));
    let failure = session.query("SELECT 1 / $1::int", &[&0_i32]).await.unwrap_err();
    assert_eq!(failure.code(), Some("22012"));
    assert!(matches!(session.query("SELECT $1::int", &[&"x"]).await, Err(Failure::Invalid(_))));
    session.execute("BEGIN").await.unwrap();
    let failure = session.query("SELECT * FROM missing", &[]).await.unwrap_err();
    assert_eq!(failure.code(), Some("42P01"));
    assert_eq!(session.transaction_status(), TransactionStatus::Failed);
    // What the dropped statements send in the background does not shift the outcomes.
    assert_eq!(tags(&session.pipeline(&["COMMIT"]).await[0]), ["ROLLBACK"]);
}

#[tokio::test]
async fn a_text_with_a_nul_is_not_sent() {
    let mut session = session().await;
    let outcomes = session.pipeline(&["SELECT 1", "SELECT 'a\0b'", "SELECT 3"]).await;
    assert!(matches!(outcomes[1].result, Err(Failure::Invalid(_))));
    assert_eq!(tags(&outcomes[2]), ["SELECT 1"]);
    assert_eq!(outcomes[2].result.as_ref().unwrap().scalar(), Some("3"));
}

#[tokio::test]
async fn a_session_ended_by_an_administrator_is_lost_with_the_reason() {
    let options = database().await;
    let mut session = connect(&options).await;
    let mut other = connect(&options).await;
    let pid = session.backend_pid();
    let work = session.pipeline(&["SELECT pg_sleep(60)", "SELECT 2"]);
    let end = async {
        until_active(&mut other, pid).await;
        other.query("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
    };
    let (outcomes, ()) = within(async { tokio::join!(work, end) }).await;
    for outcome in &outcomes {
        let Err(Failure::Lost(why)) = &outcome.result else { panic!("{outcome:?}") };
        assert!(why.contains("57P01"), "{why}");
    }
    assert!(session.is_closed());
    assert!(matches!(session.execute("SELECT 1").await, Err(Failure::Lost(why)) if why.contains("57P01")));
    assert!(matches!(session.query("SELECT 1", &[]).await, Err(Failure::Lost(_))));
}

#[tokio::test]
async fn a_server_that_dies_takes_the_outcome_with_it() {
    let mut server = common::start();
    let mut session = connect(&server.options("postgres")).await;
    let mut other = connect(&server.options("postgres")).await;
    let pid = session.backend_pid();
    let work = tokio::spawn(async move { session.pipeline(&["SELECT pg_sleep(60)", "SELECT 2"]).await });
    until_active(&mut other, pid).await;
    server.stop_immediately();
    let outcomes = within(work).await.unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome.result, Err(Failure::Lost(_)))), "{outcomes:?}");
}

#[tokio::test]
async fn a_query_can_be_cancelled_from_elsewhere() {
    let options = database().await;
    let mut session = connect(&options).await;
    let mut other = connect(&options).await;
    let pid = session.backend_pid();
    let token = session.cancel_token();
    let work = session.pipeline(&["SELECT pg_sleep(60)", "SELECT 2"]);
    let cancel = async {
        until_active(&mut other, pid).await;
        token.cancel().await.unwrap();
    };
    let (outcomes, ()) = within(async { tokio::join!(work, cancel) }).await;
    assert_eq!(tags(&outcomes[0]), ["57014"]);
    assert_eq!(tags(&outcomes[1]), ["SELECT 1"]);
}

#[tokio::test]
async fn a_pipeline_that_is_given_up_does_not_shift_later_outcomes() {
    let options = database().await;
    let mut session = connect(&options).await;
    let mut other = connect(&options).await;
    let (pid, token) = (session.backend_pid(), session.cancel_token());
    tokio::select! {
        _ = session.pipeline(&["SELECT pg_sleep(60)", "SELECT * FROM missing"]) => panic!("it sleeps"),
        () = until_active(&mut other, pid) => {}
    }
    token.cancel().await.unwrap();
    let outcomes = within(session.pipeline(&["CREATE TABLE t (a int)"])).await;
    assert_eq!(tags(&outcomes[0]), ["CREATE TABLE"]);
    // Given up before anything was sent: the queries go out all the same.
    tokio::select! {
        biased;
        _ = session.pipeline(&["SELECT * FROM missing", "DROP TABLE t"]) => panic!("nothing is sent yet"),
        () = std::future::ready(()) => {}
    }
    let mut copy = within(session.copy_in("COPY t FROM STDIN")).await;
    assert_eq!(
        copy.as_mut().err().and_then(|failure| failure.code().map(str::to_owned)).as_deref(),
        Some("42P01")
    );
}

#[tokio::test]
async fn copy_in_takes_data_and_reports_the_tag() {
    let mut session = session().await;
    session.execute("CREATE TABLE t (a int, b text)").await.unwrap();
    session.execute("BEGIN").await.unwrap();
    let mut copy = within(session.copy_in("COPY t FROM STDIN")).await.unwrap();
    for i in 0..10_000 {
        copy.send(Bytes::from(format!("{i}\trow {i}\n"))).await.unwrap();
    }
    let outcome = within(copy.finish_outcome()).await;
    assert_eq!((tags(&outcome), outcome.status), (vec!["COPY 10000"], TransactionStatus::InTransaction));
    assert_eq!(tags(&session.pipeline(&["COMMIT"]).await[0]), ["COMMIT"]);
    let done = session.query_text("SELECT count(*), sum(a) FROM t").await.unwrap();
    assert_eq!(done.rows[0], [Some("10000".to_owned()), Some("49995000".to_owned())]);
}

#[tokio::test]
async fn copy_in_refused_midway_says_why_and_the_session_goes_on() {
    let mut session = session().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let mut copy = within(session.copy_in("COPY t FROM STDIN")).await.unwrap();
    copy.send(Bytes::from_static(b"1\nnot a number\n")).await.unwrap();
    // The error may come while still sending, or at the end.
    let mut failure = None;
    for _ in 0..200 {
        if let Err(error) = within(copy.send(Bytes::from(vec![b'\n'; 1 << 16]))).await {
            failure = Some(error);
            break;
        }
    }
    let failure = match failure {
        Some(failure) => failure,
        None => within(copy.finish()).await.unwrap_err(),
    };
    assert_eq!(failure.code(), Some("22P02"), "{failure}");
    assert!(failure.server().unwrap().where_.as_deref().unwrap().contains("line 2"));
    assert_eq!(session.query_text("SELECT count(*) FROM t").await.unwrap().scalar(), Some("0"));
}

#[tokio::test]
async fn copy_in_given_up_is_rolled_back() {
    let mut session = session().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let mut copy = within(session.copy_in("COPY t FROM STDIN")).await.unwrap();
    copy.send(Bytes::from_static(b"1\n")).await.unwrap();
    drop(copy);
    let done = within(session.query_text("SELECT count(*) FROM t")).await.unwrap();
    assert_eq!(done.scalar(), Some("0"));
    let mut copy = within(session.copy_in("COPY t FROM STDIN")).await.unwrap();
    copy.send(Bytes::from_static(b"1\n")).await.unwrap();
    within(copy.abort("interrupted")).await.unwrap();
    assert_eq!(session.transaction_status(), TransactionStatus::Idle);
    let rows = session.query("SELECT * FROM t", &[]).await.unwrap();
    assert!(rows.is_empty());
}

#[tokio::test]
async fn copy_in_of_what_is_no_copy_or_not_allowed_fails() {
    let mut session = session().await;
    assert!(matches!(within(session.copy_in("SELECT 1")).await, Err(Failure::Invalid(_))));
    let failure = within(session.copy_in("COPY missing FROM STDIN")).await.unwrap_err();
    assert_eq!(failure.code(), Some("42P01"));
    assert_eq!(session.query_text("SELECT 1").await.unwrap().scalar(), Some("1"));
}

#[tokio::test]
async fn copy_in_a_pipeline_by_mistake_does_not_hang() {
    let mut session = session().await;
    session.execute("CREATE TABLE t (a int)").await.unwrap();
    let outcomes = within(session.pipeline(&["SELECT 1", "COPY t FROM STDIN"])).await;
    assert_eq!(tags(&outcomes[0]), ["SELECT 1"]);
    assert_eq!(tags(&outcomes[1]), ["57014"]);
    assert_eq!(tags(&within(session.pipeline(&["SELECT 1"])).await[0]), ["SELECT 1"]);
    let outcomes = within(session.pipeline(&["COPY t TO STDOUT", "SELECT 1"])).await;
    assert_eq!((tags(&outcomes[0]), tags(&outcomes[1])), (vec!["COPY 0"], vec!["SELECT 1"]));
    // In front of others it ends the connection: the server takes the next query for data.
    let outcomes = within(session.pipeline(&["COPY t FROM STDIN", "SELECT 1"])).await;
    assert!(outcomes.iter().all(|outcome| outcome.result.is_err()), "{outcomes:?}");
}

#[tokio::test]
async fn copy_out_gives_the_rows() {
    let mut session = session().await;
    let mut copy =
        session.copy_out("COPY (SELECT i FROM generate_series(1, 3) AS i) TO STDOUT").await.unwrap();
    let mut text = Vec::new();
    while let Some(data) = copy.next().await.unwrap() {
        text.extend_from_slice(&data);
    }
    assert_eq!(text, b"1\n2\n3\n");
    let failure = session.copy_out("COPY missing TO STDOUT").await.err().unwrap();
    assert_eq!(failure.code(), Some("42P01"));
    let mut copy = session
        .copy_out("COPY (SELECT 1 / (3 - i) FROM generate_series(1, 3) AS i) TO STDOUT")
        .await
        .unwrap();
    let failure = loop {
        match copy.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the division by zero is missing"),
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure.code(), Some("22012"));
    assert_eq!(tags(&session.pipeline(&["SELECT 1"]).await[0]), ["SELECT 1"]);
}

/// Keeps what it takes.
#[derive(Default)]
struct Kept(Vec<u8>);

impl CopySink for Kept {
    fn take(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }
}

#[tokio::test]
async fn copy_into_gives_the_sink_the_same_bytes() {
    const ROWS: &str =
        "COPY (SELECT i, repeat('x', i % 90000) FROM generate_series(1, 20000, 97) AS i) TO STDOUT";
    let mut session = session().await;
    let mut whole = Vec::new();
    let mut copy = session.copy_out(ROWS).await.unwrap();
    while let Some(data) = copy.next().await.unwrap() {
        whole.extend_from_slice(&data);
    }
    let kept = session.copy_into(ROWS, Kept::default()).await.unwrap();
    assert!(kept.0 == whole, "{} and {} bytes", kept.0.len(), whole.len());
    // Nothing of it is left for what comes after.
    assert_eq!(session.execute("SELECT 7").await.unwrap().scalar(), Some("7"));
    let empty = session.copy_into("COPY (SELECT 1 WHERE false) TO STDOUT", Kept::default()).await.unwrap();
    assert_eq!(empty.0, b"");
}

#[tokio::test]
async fn a_copy_into_that_fails_leaves_a_session_that_works() {
    let mut session = session().await;
    for (copy, code) in [
        ("COPY missing TO STDOUT", "42P01"),
        ("COPY (SELECT 1 / (3 - i) FROM generate_series(1, 3) AS i) TO STDOUT", "22012"),
    ] {
        let failure = session.copy_into(copy, Kept::default()).await.err().unwrap();
        assert_eq!(failure.code(), Some(code));
        // The sink of the failed one takes nothing of the next.
        let mut copy = session.copy_out("COPY (SELECT 5) TO STDOUT").await.unwrap();
        assert_eq!(copy.next().await.unwrap().as_deref(), Some(b"5\n".as_slice()));
        assert!(copy.next().await.unwrap().is_none());
    }
    let endless = "COPY (SELECT i FROM generate_series(1, 3000000) AS i) TO STDOUT";
    let started = tokio::time::timeout(Duration::from_millis(5), session.copy_into(endless, Kept::default()));
    assert!(started.await.is_err(), "3,000,000 rows take longer than that");
    let kept = session.copy_into("COPY (SELECT 8) TO STDOUT", Kept::default()).await.unwrap();
    assert_eq!(kept.0, b"8\n");
}

#[tokio::test]
async fn startup_settings_are_what_reset_returns_to() {
    let startup = Startup {
        application_name: "cutover/test run".to_owned(),
        settings: vec![
            ("lock_timeout".to_owned(), "250ms".to_owned()),
            ("search_path".to_owned(), r#"pg_catalog, "a b\c""#.to_owned()),
        ],
        ..Startup::default()
    };
    let mut session = Session::connect(&database().await, &startup).await.unwrap();
    session.execute("SET lock_timeout = 0; SET search_path = public; RESET ALL").await.unwrap();
    let show = "SELECT current_setting('lock_timeout'), current_setting('search_path'), current_setting('application_name')";
    let done = session.query_text(show).await.unwrap();
    let row: Vec<_> = done.rows[0].iter().map(|value| value.as_deref().unwrap()).collect();
    assert_eq!(row, ["250ms", r#"pg_catalog, "a b\c""#, "cutover/test run"]);
}

#[tokio::test]
async fn what_a_session_knows_of_its_server() {
    let options = database().await;
    let mut session = connect(&options).await;
    let number: u32 =
        session.query_text("SHOW server_version_num").await.unwrap().scalar().unwrap().parse().unwrap();
    assert_eq!(session.server_version_num(), number);
    let pid: i32 = session.query("SELECT pg_backend_pid()", &[]).await.unwrap()[0].get(0);
    assert_eq!(session.backend_pid(), pid);
    assert!(!session.is_standby().await.unwrap());
    assert_eq!(session.parameter("client_encoding").as_deref(), Some("UTF8"));
    session.execute("SET TimeZone = 'Asia/Tokyo'").await.unwrap();
    assert_eq!(session.parameter("TimeZone").as_deref(), Some("Asia/Tokyo"));
}

#[tokio::test]
async fn closing_waits_until_the_backend_is_gone() {
    let options = database().await;
    let mut other = connect(&options).await;
    for _ in 0..50 {
        let session = connect(&options).await;
        let pid = session.backend_pid();
        session.close().await;
        let left = other.query("SELECT 1 FROM pg_stat_activity WHERE pid = $1", &[&pid]).await.unwrap();
        assert!(left.is_empty());
    }
}

#[tokio::test]
async fn a_flood_of_rows_is_not_kept() {
    let mut session = session().await;
    let before = resident_kilobytes();
    let outcomes = session.pipeline(&["SELECT repeat('x', 1000) FROM generate_series(1, 200000)"]).await;
    assert_eq!(tags(&outcomes[0]), ["SELECT 200000"]);
    let grown = resident_kilobytes().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} kB for 200 MB of rows");
}

fn resident_kilobytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until the server says that a session runs its query.
async fn until_active(watcher: &mut Session, pid: i32) {
    let sql = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
    while watcher.query(sql, &[&pid]).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn notifications_are_counted_and_their_end_is_noticed() {
    let options = database().await;
    let (mut listener, mut other) = (connect(&options).await, connect(&options).await);
    listener.execute("LISTEN here").await.unwrap();
    assert_eq!(listener.notifications(), 0);
    other.execute("NOTIFY here, 'one'; NOTIFY elsewhere; NOTIFY here, 'two'").await.unwrap();
    let came = within(listener.notified(1)).await.unwrap();
    assert_eq!(came, 2);
    let end = format!("SELECT pg_terminate_backend({})", listener.backend_pid());
    other.execute(&end).await.unwrap();
    assert!(matches!(within(listener.notified(came)).await, Err(Failure::Lost(_))));
}
