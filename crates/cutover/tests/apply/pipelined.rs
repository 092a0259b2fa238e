//! Small migrations are sent one behind the other. If one does not commit, nothing of the one behind it may run.

use cutover::Project;
use cutover::apply::Request;
use cutover::run::{EventKind, Outcome, Run, RunEvent};
use cutover::stop::Stop;
use testkit::{Database, database};

use crate::support::{
    APPLIED, Gate, WAIT_AT_GATE, apply, apply_watched, completes, failure, finished, looking, project,
    session, soon,
};

/// The first waits at the gate; the other three go one behind the other.
fn gated() -> Project {
    project(&[
        ("V1__gate.sql", WAIT_AT_GATE),
        ("V2__a.sql", "CREATE TABLE a (n int);"),
        ("V3__b.sql", "CREATE TABLE b (n int);"),
        ("V4__c.sql", "CREATE TABLE c (n int);"),
    ])
}

const TABLES: &str = "SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'";

/// Applies while the third migration's commit does what `body` says: a deferred trigger on the history, made behind
/// the engine's back.
async fn with_commit_of_the_third(database: &Database, body: &str) -> Run {
    let options = database.options();
    let project = gated();
    let mut gate = Gate::closed(&options).await;
    let trigger = format!(
        "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.version = '3' THEN {body} END IF; RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON cutover.migration DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION at_commit()"
    );
    let meddling = async {
        gate.reached().await;
        gate.session().execute(&trigger).await.unwrap();
        gate.open().await;
    };
    let (run, ()) = soon(async { tokio::join!(apply(&project, &options), meddling) }).await;
    run.unwrap()
}

/// The line a step ends with says what every later report of the run says: the time of its history row, however the file
/// was sent. Behind one that may have made event triggers, records are written another way.
#[tokio::test]
async fn the_time_of_a_step_is_what_its_row_says() {
    let database = database();
    let many = "COMMENT ON TABLE a IS 'x';\n".repeat(150);
    let parts = "CREATE TABLE c ();\n-- cutover: new-transaction\nCREATE TABLE d ();";
    let files = [
        ("V1__a.sql", "CREATE TABLE a (n int);"),
        ("V2__b.sql", "CREATE TABLE b (n int);"),
        ("V3__state.sql", "SET search_path = public;\nINSERT INTO a VALUES (1);"),
        ("V4__windows.sql", &many),
        ("V5__data.sql", "COPY a FROM STDIN;\n1\n\\.\n"),
        ("V6__parts.sql", parts),
        ("V7__outside.sql", "CREATE INDEX CONCURRENTLY i ON a (n);"),
        ("V8__opaque.sql", "SELECT pg_sleep(0);"),
        ("V9__e.sql", "CREATE TABLE e (n int);"),
        ("V10__f.sql", "CREATE TABLE f (n int);"),
    ];
    let options = database.options();
    let run = completes(&project(&files), &options).await;
    let stored =
        cutover::inspect::stored_run(&mut looking(&options).await, "p", None).await.unwrap().unwrap();
    let ends = |run: &Run| -> Vec<EventKind> {
        let kinds = run.events.iter().map(|event| event.kind.clone());
        kinds.filter(|kind| matches!(kind, EventKind::StepFinished { .. })).collect()
    };
    assert_eq!(ends(&run).len(), files.len());
    assert_eq!(ends(&run), ends(&stored));
}

/// A transaction that fails while it commits leaves none open, so what was sent behind it would run in one of its own.
#[tokio::test]
async fn nothing_runs_behind_a_commit_that_failed() {
    let database = database();
    let run = with_commit_of_the_third(&database, "RAISE EXCEPTION 'not today';").await;
    assert_eq!(run.outcome, Some(Outcome::FailedClean), "{}", failure(&run));
    let said = failure(&run);
    assert!(said.contains("V3__b.sql: at commit") && said.contains("not today"), "{said}");
    assert_eq!(database.value(APPLIED), "1 2");
    assert_eq!(database.value(TABLES), "a");
    assert_eq!(finished(&run), ["1", "2"]);
    database.run("DROP TRIGGER at_commit ON cutover.migration");
    // It began when it was its turn, as was told, and not when it was sent.
    let of_third = |event: &&RunEvent| matches!(&event.kind, EventKind::StepStarted { migration, .. } if migration.version.text() == "3");
    let told = run.events.iter().find(of_third).unwrap().at_micros;
    let stored = "SELECT event->>'at_micros' FROM cutover.event WHERE event->>'event' = 'step_started'";
    assert_eq!(database.value(stored), told.to_string());
}

#[tokio::test]
async fn nothing_runs_behind_a_lost_fence() {
    let database = database();
    let run = with_commit_of_the_third(&database, "UPDATE cutover.fence SET token = token + 1;").await;
    let said = failure(&run);
    assert!(said.contains("V4__c.sql: another runner has taken over"), "{said}");
    assert_eq!(database.value(APPLIED), "1 2 3");
    assert_eq!(database.value(TABLES), "a b");
}

/// The place of an error counts from the statement, whatever was sent before it in the same text.
#[tokio::test]
async fn the_place_of_an_error_is_exact_also_behind_another() {
    let database = database();
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE a (n int);"),
        ("V2__b.sql", "CREATE TABLE b (ä int);\nCREATE INDEX b_n ON b (ä, missing);"),
        ("V3__c.sql", "CREATE TABLE c (n int);"),
    ]);
    let run = apply(&project, &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    // The server gives no position for a column an index lacks: the statement is where it begins.
    assert!(said.contains("V2__b.sql:2:1: ERROR") && said.contains("missing"), "{said}");
    assert_eq!((database.value(APPLIED).as_str(), database.value(TABLES).as_str()), ("1", "a"));
}

#[tokio::test]
async fn positions_count_from_the_statement() {
    let database = database();
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE a (n int);"),
        ("V2__b.sql", "CREATE TABLE ä (n int);\nCREATE TABLE b (ö int CHECK (missing > 0));"),
        ("V3__c.sql", "CREATE TABLE c (n int);"),
    ]);
    let run = apply(&project, &database.options()).await.unwrap();
    let said = failure(&run);
    assert!(said.contains("V2__b.sql:2:30: ERROR") && said.contains("missing"), "{said}");
}

/// A lock that is not had: the step is tried again by itself, and what was sent behind it goes after it.
#[tokio::test]
async fn a_step_that_gets_no_lock_is_tried_again_before_the_next() {
    let database = database();
    database.run("CREATE TABLE busy (n int)");
    let options = database.options();
    let mut writer = session(&options).await;
    writer.execute("BEGIN; INSERT INTO busy VALUES (1)").await.unwrap();
    let (waited, waits) = tokio::sync::oneshot::channel();
    let mut waited = Some(waited);
    let mut sink = move |event: &RunEvent| {
        if let EventKind::LockWaiting { attempt: 2, .. } = &event.kind
            && let Some(waited) = waited.take()
        {
            let _ = waited.send(());
        }
    };
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE a (n int);"),
        ("V2__i.sql", "CREATE INDEX busy_n ON busy (n);"),
        ("V3__c.sql", "CREATE TABLE c (n int);"),
        ("V4__d.sql", "CREATE TABLE d (n int);"),
    ]);
    let (request, stop) = (Request::default(), Stop::new());
    let run = apply_watched(&project, &options, &request, &stop, &mut sink);
    let releasing = async {
        soon(waits).await.unwrap();
        writer.execute("COMMIT").await.unwrap();
    };
    let (run, ()) = soon(async { tokio::join!(run, releasing) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    assert_eq!(finished(&run), ["1", "2", "3", "4"]);
    assert_eq!(database.value("SELECT attempts >= 3 FROM cutover.migration WHERE version = '2'"), "t");
    assert_eq!(database.value(TABLES), "a busy c d");
}

/// The one that was already on its way ends too; nothing is sent after the request.
#[tokio::test]
async fn asked_to_stop_it_ends_with_what_is_on_its_way() {
    let database = database();
    let options = database.options();
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE a (n int);"),
        ("V2__b.sql", "CREATE TABLE b (n int);"),
        ("V3__c.sql", "CREATE TABLE c (n int);"),
    ]);
    let (request, stop) = (Request::default(), Stop::new());
    let asking = stop.clone();
    let mut sink = move |event: &RunEvent| {
        if matches!(&event.kind, EventKind::StepFinished { .. }) {
            asking.request();
        }
    };
    let run = soon(apply_watched(&project, &options, &request, &stop, &mut sink)).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Interrupted));
    assert_eq!(finished(&run), ["1", "2"]);
    assert_eq!(database.value(APPLIED), "1 2");
    completes(&project, &options).await;
}

/// What is stored of a run is what was told of it.
#[tokio::test]
async fn the_journal_has_every_step_once_and_in_order() {
    let database = database();
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE a (n int);"),
        ("V2__b.sql", "CREATE TABLE IF NOT EXISTS a (n int);"),
        ("V3__c.sql", "CREATE TABLE c (n int);"),
        ("V4__d.sql", "CREATE TABLE IF NOT EXISTS c (n int);\nCREATE TABLE d (n int);"),
    ]);
    let run = completes(&project, &database.options()).await;
    let mut session = session(&database.options()).await;
    let stored = cutover::history::journal::read_run(&mut session, &run.id).await.unwrap().unwrap();
    assert_eq!(finished(&stored), ["1", "2", "3", "4"]);
    let notices = |run: &Run| {
        let said = run.events.iter().filter_map(|event| match &event.kind {
            EventKind::Notice { migration, message, line, .. } => {
                Some(format!("{migration} {line} {message}"))
            }
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    assert_eq!(notices(&stored), notices(&run));
    assert_eq!(notices(&run).len(), 2, "{:?}", notices(&run));
}
