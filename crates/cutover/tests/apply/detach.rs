//! Partitions that are detached concurrently: a detach that was cut off is finished, and never run twice.

use cutover::apply::Request;
use cutover::run::{EventKind, Outcome, Run, RunEvent};
use cutover::stop::Stop;
use testkit::{Database, database};

use crate::support::{APPLIED, apply_watched, completes, failure, project, session, soon, until, value};

const DETACH: &str = "ALTER TABLE pt DETACH PARTITION pt1 CONCURRENTLY;";
const PENDING: &str = "SELECT coalesce(string_agg(inhdetachpending::text, ','), 'none') FROM pg_inherits WHERE inhrelid = 'pt1'::regclass";
const JOURNAL: &str =
    "SELECT coalesce(string_agg(concat_ws(' ', unit, state, code), ','), '') FROM cutover.unit";

/// A detach that waited for a reader in its second transaction and was cancelled there.
async fn cut_off(database: &Database) -> Run {
    database.run(
        "CREATE TABLE pt (a int) PARTITION BY RANGE (a); CREATE TABLE pt1 PARTITION OF pt FOR VALUES FROM (0) TO (10);
         INSERT INTO pt VALUES (1)",
    );
    let options = database.options();
    let (mut reader, mut observer) = (session(&options).await, session(&options).await);
    reader.execute("BEGIN; SELECT count(*) FROM pt").await.unwrap();
    let stop = Stop::new();
    let files = project(&[("V1__detach.sql", DETACH)]);
    let cancelling = async {
        until(&mut observer, PENDING, "true").await;
        stop.request();
        stop.request();
    };
    let (request, mut deaf) = (Request::default(), |_: &RunEvent| {});
    let running = apply_watched(&files, &options, &request, &stop, &mut deaf);
    let (run, ()) = soon(async { tokio::join!(running, cancelling) }).await;
    let run = run.unwrap();
    assert_eq!(value(&mut observer, PENDING).await, "true");
    reader.execute("ROLLBACK").await.unwrap();
    run
}

#[tokio::test]
async fn a_detach_that_was_cut_off_is_finished() {
    let database = database();
    if session(&database.options()).await.server_version_num() < 140_000 {
        // Such a server has no such statement.
        return;
    }
    let run = cut_off(&database).await;
    assert_eq!(run.outcome, Some(Outcome::Interrupted), "{}", failure(&run));
    assert!(failure(&run).contains("the detach has begun and is pending"), "{}", failure(&run));
    assert_eq!(database.value(JOURNAL), "0 started 57014");
    let run = completes(&project(&[("V1__detach.sql", DETACH)]), &database.options()).await;
    let told = run.events.iter().any(|event| {
        matches!(&event.kind, EventKind::Notice { message, .. } if message.ends_with("DETACH PARTITION pt1 FINALIZE"))
    });
    assert!(told, "{:?}", run.events);
    assert_eq!((database.value(PENDING), database.value(JOURNAL)), ("none".into(), String::new()));
    assert_eq!(database.value(APPLIED), "1");
    assert_eq!(
        database.value("SELECT (SELECT count(*) FROM pt) || ' ' || (SELECT count(*) FROM pt1)"),
        "0 1"
    );
}

#[tokio::test]
async fn what_somebody_finished_or_undid_meanwhile_is_seen() {
    for (meanwhile, notice) in [
        ("ALTER TABLE pt DETACH PARTITION pt1 FINALIZE", 0),
        (
            "ALTER TABLE pt DETACH PARTITION pt1 FINALIZE; ALTER TABLE pt ATTACH PARTITION pt1 FOR VALUES FROM (0) TO (10)",
            0,
        ),
    ] {
        let database = database();
        if session(&database.options()).await.server_version_num() < 140_000 {
            return;
        }
        cut_off(&database).await;
        database.run(meanwhile);
        let run = completes(&project(&[("V1__detach.sql", DETACH)]), &database.options()).await;
        let notices =
            run.events.iter().filter(|event| matches!(event.kind, EventKind::Notice { .. })).count();
        assert_eq!(notices, notice, "{:?}", run.events);
        assert_eq!((database.value(PENDING), database.value(JOURNAL)), ("none".into(), String::new()));
    }
}

/// A table that is no partition of that parent: the statement fails, and its failure is not taken for its effect.
#[tokio::test]
async fn a_detach_that_cannot_be_is_not_taken_for_done() {
    let database = database();
    if session(&database.options()).await.server_version_num() < 140_000 {
        return;
    }
    database.run("CREATE TABLE pt (a int) PARTITION BY RANGE (a); CREATE TABLE pt1 (a int)");
    let files = project(&[("V1__detach.sql", DETACH)]);
    for _ in 0..2 {
        let run = crate::support::apply(&files, &database.options()).await.unwrap();
        assert!(failure(&run).contains("is not a partition of"), "{}", failure(&run));
        assert!(database.value(JOURNAL).starts_with("0 failed"), "{}", database.value(JOURNAL));
    }
}
