//! Statements outside a transaction beside other sessions and after crashes; those that are outside because the file
//! says so.

use cutover::Project;
use cutover::apply::Request;
use cutover::repair::Mark;
use cutover::run::Outcome;
use cutover_postgres::connect::ConnectOptions;
use testkit::{Database, database};

use crate::kills::process;
use crate::support::{
    APPLIED, BUILD_WAITS, Folder, Gate, OBJECTS, RUNNERS, apply, apply_with, completes, failure, finished,
    project, session, settle, soon, until, value,
};

const INDEXES: &str = "SELECT coalesce(string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY 1), '') \
    FROM pg_index WHERE indrelid = 'big'::regclass";

/// An index that is not valid may be one that somebody is building right now: it is theirs.
#[tokio::test]
async fn an_index_that_another_session_is_building_is_left_alone() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE big AS SELECT n FROM generate_series(1, 10) n");
    let mut writer = session(&options).await;
    writer.execute("BEGIN; INSERT INTO big VALUES (0)").await.unwrap();
    let mut builder = session(&options).await;
    let building = builder.execute("CREATE INDEX CONCURRENTLY big_n ON big (n)");
    let meanwhile = async {
        let mut session = session(&options).await;
        // The build waits for the writer.
        until(&mut session, BUILD_WAITS, "1").await;
        for exists in ["", "IF NOT EXISTS "] {
            let text = format!("CREATE INDEX CONCURRENTLY {exists}big_n ON big (n);");
            let run = soon(apply(&project(&[("V1__i.sql", &text)]), &options)).await.unwrap();
            let said = failure(&run);
            assert_eq!(run.outcome, Some(Outcome::FailedClean), "{said}");
            assert!(
                said.contains(
                    "V1__i.sql: index big_n is not valid, and another session is at work on its table"
                ),
                "{said}"
            );
            assert!(said.contains("try again when it is done"), "{said}");
            assert_eq!(value(&mut session, INDEXES).await, "big_n false", "it is still being built");
            assert_eq!(value(&mut session, "SELECT count(*) FROM cutover.unit").await, "0");
        }
        writer.execute("COMMIT").await.unwrap();
    };
    let (built, ()) = soon(async { tokio::join!(building, meanwhile) }).await;
    built.unwrap();
    assert_eq!(database.value(INDEXES), "big_n true");
    let text = "CREATE INDEX CONCURRENTLY IF NOT EXISTS big_n ON big (n);";
    completes(&project(&[("V1__i.sql", text)]), &options).await;
    assert_eq!(database.value(INDEXES), "big_n true");
}

#[tokio::test]
async fn a_reindex_that_was_killed_is_run_again() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE big AS SELECT n FROM generate_series(1, 10) n");
    database.run("CREATE INDEX big_n ON big (n)");
    let node = "SELECT relfilenode FROM pg_class WHERE relname = 'big_n'";
    let before = database.value(node);
    let mut writer = session(&options).await;
    writer.execute("BEGIN; INSERT INTO big VALUES (0)").await.unwrap();
    let folder = Folder::with(&[("V1__r.sql", "REINDEX INDEX CONCURRENTLY big_n;")]);
    let mut session = session(&options).await;
    killed_once(&folder, &database, &mut session, BUILD_WAITS).await;
    assert_eq!(value(&mut session, "SELECT state FROM cutover.unit").await, "started");
    assert_eq!(value(&mut session, INDEXES).await, "big_n true, big_n_ccnew false");
    writer.execute("COMMIT").await.unwrap();
    assert_eq!(value(&mut session, node).await, before);
    let run = completes(&folder.load(), &options).await;
    assert_eq!(finished(&run), ["1"]);
    assert_ne!(value(&mut session, node).await, before, "it ran again");
    assert_eq!(value(&mut session, INDEXES).await, "big_n true", "what the killed one left is gone");
    assert_eq!(value(&mut session, "SELECT count(*) FROM cutover.unit").await, "0");
}

/// A run in a process of its own is killed once `sign` is 1; returns when nothing of it is left in the server.
async fn killed_once(
    folder: &Folder,
    database: &Database,
    session: &mut cutover_postgres::session::Session,
    sign: &str,
) {
    let mut child = process(folder, database).spawn().unwrap();
    until(session, sign, "1").await;
    child.kill().unwrap();
    child.wait().unwrap();
    until(session, RUNNERS, "0").await;
}

/// Three batches, each committed by itself; between the first and the second it waits at the gate.
const PROCEDURE: &str = "CREATE TABLE log (n int, transaction xid8 DEFAULT pg_current_xact_id());
CREATE PROCEDURE batches() LANGUAGE plpgsql AS $$ BEGIN
  FOR n IN 1..3 LOOP
    INSERT INTO log VALUES (n);
    COMMIT;
    PERFORM pg_advisory_xact_lock_shared(77);
  END LOOP;
END $$;";

const LOG: &str = "SELECT coalesce(string_agg(n::text, ' ' ORDER BY n), '') FROM log";

fn calling() -> Folder {
    let text = "INSERT INTO log VALUES (0);\n-- cutover: no-transaction\nCALL batches();\nINSERT INTO log VALUES (4);\n";
    Folder::with(&[("V1__base.sql", PROCEDURE), ("V2__call.sql", text)])
}

#[tokio::test]
async fn a_procedure_may_commit_where_the_file_says_so() {
    let database = database();
    let folder = calling();
    let run = completes(&folder.load(), &database.options()).await;
    assert_eq!(finished(&run), ["1", "2"]);
    assert_eq!(database.value(LOG), "0 1 2 3 4");
    assert_eq!(database.value("SELECT count(DISTINCT transaction) FROM log"), "5");
    assert_eq!(database.value("SELECT count(*) FROM cutover.unit"), "0");
    let units: Vec<_> =
        run.plan.steps[1].units.iter().map(|unit| unit.why.as_deref().unwrap_or_default()).collect();
    assert_eq!(units, ["", "CALL (no-transaction)", ""]);

    let without = project(&[("V1__base.sql", PROCEDURE), ("V2__call.sql", "CALL batches();")]);
    let other = testkit::database();
    let run = apply(&without, &other.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    assert!(
        said.contains("(2D000)") && said.contains("`-- cutover: no-transaction` above the statement"),
        "{said}"
    );
}

async fn killed_in_the_procedure(options: &ConnectOptions, database: &Database) -> (Folder, Project) {
    let folder = calling();
    let mut gate = Gate::closed(options).await;
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted \
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    killed_once(&folder, database, gate.session(), waits).await;
    gate.open().await;
    let project = folder.load();
    (folder, project)
}

/// Nobody can know how far it got, so it is asked about, and never run twice.
#[tokio::test]
async fn a_procedure_that_was_killed_is_asked_about() {
    for (found, log) in [(Mark::Done, "0 1 4"), (Mark::NotDone, "0 1 1 2 3 4")] {
        let database = database();
        let options = database.options();
        let (_folder, project) = killed_in_the_procedure(&options, &database).await;
        assert_eq!(database.value(LOG), "0 1");
        for _ in 0..2 {
            let run = apply(&project, &options).await.unwrap();
            assert_eq!(run.outcome, Some(Outcome::NeedsDecision));
            let said = failure(&run);
            assert!(
                said.contains("V2__call.sql: an earlier run began CALL (no-transaction) (part 2 of 3)"),
                "{said}"
            );
            assert_eq!(database.value(LOG), "0 1");
        }
        settle(&project, &options, "2", found).await.unwrap();
        completes(&project, &options).await;
        assert_eq!(database.value(LOG), log);
    }
}

#[tokio::test]
async fn an_error_within_a_procedure_leaves_a_question_and_one_within_a_statement_does_not() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE log (n int PRIMARY KEY)");
    database.run("CREATE PROCEDURE half() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (1); COMMIT; INSERT INTO log VALUES (1); END $$");
    let called = project(&[("V1__a.sql", "-- cutover: no-transaction\nCALL half();")]);
    let run = apply(&called, &options).await.unwrap();
    let said = failure(&run);
    assert_eq!(run.outcome, Some(Outcome::NeedsDecision), "{said}");
    assert!(
        said.contains("V1__a.sql:2:1: ERROR: duplicate key") && said.contains("cutover repair 1 --mark done"),
        "{said}"
    );
    assert_eq!(database.value("SELECT state FROM cutover.unit"), "started");

    let other = testkit::database();
    other.run("CREATE TABLE log (n int PRIMARY KEY); INSERT INTO log VALUES (1)");
    let plain = project(&[("V1__a.sql", "-- cutover: no-transaction\nINSERT INTO log VALUES (2), (1);")]);
    let run = apply(&plain, &other.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean), "{}", failure(&run));
    assert!(failure(&run).contains("nothing of V1__a.sql is in the database"), "{}", failure(&run));
    assert_eq!(other.value("SELECT state FROM cutover.unit"), "failed");
    other.run("DELETE FROM log");
    completes(&plain, &other.options()).await;
    assert_eq!(other.value("SELECT count(*) FROM log"), "2");
    assert_eq!(other.value(APPLIED), "1");
}

/// The statement is the same, so the file may be gone on with; what became of it is asked all the same.
#[tokio::test]
async fn a_directive_that_is_taken_away_answers_no_question() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE log (n int)");
    database.run("CREATE PROCEDURE once() LANGUAGE sql AS 'INSERT INTO log VALUES (1)'");
    let text = "-- cutover: no-transaction\nCALL once();\n-- cutover: new-transaction\nSELECT 1 / 0;";
    apply(&project(&[("V1__a.sql", text)]), &options).await.unwrap();
    database.run("UPDATE cutover.unit SET state = 'started', run = 'gone' WHERE unit = 0");
    let edited = project(&[("V1__a.sql", &text[text.find("CALL").unwrap()..].replace("/ 0", "/ 1"))]);
    let request = Request { allow: vec!["edited-unfinished".into()], ..Request::default() };
    let run = apply_with(&edited, &options, &request).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::NeedsDecision), "{}", failure(&run));
    assert!(
        failure(&run).contains("began a statement outside a transaction (part 1 of 2)"),
        "{}",
        failure(&run)
    );
    settle(&edited, &options, "1", Mark::Done).await.unwrap();
    assert_eq!(apply_with(&edited, &options, &request).await.unwrap().outcome, Some(Outcome::Completed));
    assert_eq!(database.value(LOG), "1");
}

#[tokio::test]
async fn directives_that_mean_nothing_are_refused() {
    let database = database();
    let cases = [
        (
            "CREATE TABLE a ();\n-- cutover: no-transaction\n",
            "V1__x.sql:2:1: `-- cutover: no-transaction` stands below the last statement",
        ),
        (
            "CREATE TABLE a ();\n-- cutover: no-transactoin\nSELECT 1;",
            "V1__x.sql:2:1: unknown directive \"no-transactoin\"",
        ),
        (
            "CREATE TABLE a (n int);\n-- cutover: no-transaction\nCOPY a FROM stdin;\n1\n\\.\n",
            "V1__x.sql:3:1: COPY with data in the file cannot run outside a transaction",
        ),
        (
            "-- cutover: no-transaction\nBEGIN;\nSELECT 1;\nCOMMIT;",
            "V1__x.sql:2:1: BEGIN under `-- cutover: no-transaction`",
        ),
    ];
    for (text, words) in cases {
        let error =
            apply(&project(&[("V1__x.sql", text)]), &database.options()).await.unwrap_err().to_string();
        assert!(error.contains(words), "{text}:\n{error}");
    }
    assert_eq!(database.value(OBJECTS), "");
}
