//! What nobody can know is asked about, and never run twice.

use cutover::Project;
use cutover::repair::{self, Mark, RepairError};
use cutover::run::Outcome;
use cutover_postgres::session::{Session, Startup};
use testkit::{Database, database};

use crate::support::{APPLIED, apply, completes, failure, finished, project, session, settle, until};

/// Parts: an insert, something outside a transaction whose effect is not looked up, an insert that fails as long as
/// `switch` holds a zero.
pub(crate) fn unknowable() -> Project {
    let text = "INSERT INTO log VALUES (1);\n-- cutover: no-transaction\nDO $$ BEGIN INSERT INTO effects VALUES (2); END $$;\n\
                INSERT INTO log SELECT 3 / n FROM switch;";
    project(&[("V1__a.sql", text)])
}

/// The database after a run that was killed while the second part ran.
pub(crate) async fn killed_in_the_second_part() -> Database {
    let database = database();
    database
        .run("CREATE TABLE log (n int); CREATE TABLE effects (n int); CREATE TABLE switch AS SELECT 0 AS n");
    let run = apply(&unknowable(), &database.options()).await.unwrap();
    assert!(failure(&run).contains("2 of 3 parts are applied and recorded"), "{}", failure(&run));
    database.run(
        "TRUNCATE effects; UPDATE switch SET n = 1; UPDATE cutover.unit SET state = 'started', run = 'gone' WHERE unit = 1",
    );
    database
}

#[tokio::test]
async fn nothing_runs_until_a_person_has_said_what_is_there() {
    let database = killed_in_the_second_part().await;
    let options = database.options();
    for _ in 0..2 {
        let run = apply(&unknowable(), &options).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::NeedsDecision));
        let said = failure(&run);
        for part in [
            "V1__a.sql: an earlier run began DO (no-transaction) (part 2 of 3)",
            "nothing was run",
            "cutover repair 1 --mark done",
        ] {
            assert!(said.contains(part), "{part:?} is not in\n{said}");
        }
    }
    assert_eq!(database.value("SELECT string_agg(n::text, ' ') FROM log"), "1");
    settle(&unknowable(), &options, "1", Mark::Done).await.unwrap();
    let run = completes(&unknowable(), &options).await;
    assert_eq!(finished(&run), ["1"]);
    assert_eq!(database.value("SELECT string_agg(n::text, ' ') FROM log"), "1 3");
    let again = settle(&unknowable(), &options, "1", Mark::Done).await;
    assert!(matches!(again, Err(RepairError::NothingOpen { .. })), "{again:?}");
}

/// The answer is about what was asked. Between the two somebody else settled it, and a run came to another statement.
#[tokio::test]
async fn an_answer_about_another_statement_settles_nothing() {
    let database = killed_in_the_second_part().await;
    let options = database.options();
    let asked = repair::look(&unknowable(), &options, "1").await.unwrap();
    assert_eq!((asked.part, asked.lines.first, asked.run.as_str()), (2, 3, "gone"));
    assert_eq!(asked.to_string(), "part 2 of V1__a.sql (line 3), which run gone began,");
    database.run("UPDATE cutover.unit SET run = 'another' WHERE unit = 1");
    let settled = repair::mark(&unknowable(), &options, "1", &asked, Mark::Done).await;
    assert!(matches!(settled, Err(RepairError::NothingOpen { .. })), "{settled:?}");
    assert_eq!(database.value("SELECT state FROM cutover.unit WHERE unit = 1"), "started");
}

#[tokio::test]
async fn what_a_person_says_is_not_there_is_run() {
    let database = killed_in_the_second_part().await;
    let options = database.options();
    settle(&unknowable(), &options, "1", Mark::NotDone).await.unwrap();
    completes(&unknowable(), &options).await;
    assert_eq!(database.value("SELECT count(*) FROM effects"), "1", "it ran");
    assert_eq!(database.value("SELECT string_agg(n::text, ' ') FROM log"), "1 3");
    assert_eq!(database.value(APPLIED), "1");
}

/// Databases are looked up: a drop that was cut off is run again if it is not done, and not if it is.
#[tokio::test]
async fn a_database_that_was_being_dropped_is_looked_for() {
    for there in [true, false] {
        let database = database();
        let other = format!("{}_other", database.name());
        let text = format!(
            "-- cutover: allow drop-database it is what is tried\nDROP DATABASE {other};\nSELECT 1 / n FROM switch;"
        );
        let files = project(&[("V1__a.sql", &text)]);
        database.run("CREATE TABLE switch AS SELECT 0 AS n");
        database.run(&format!("CREATE DATABASE {other}"));
        let run = apply(&files, &database.options()).await.unwrap();
        assert!(failure(&run).contains("1 of 2 parts is applied and recorded"), "{}", failure(&run));
        database.run(
            "UPDATE switch SET n = 1; UPDATE cutover.unit SET state = 'started', run = 'gone' WHERE unit = 0",
        );
        if there {
            database.run(&format!("CREATE DATABASE {other}"));
        }
        // Run again where it is gone, it would fail: there is no IF EXISTS.
        completes(&files, &database.options()).await;
        let found = format!("SELECT count(*) FROM pg_database WHERE datname = '{other}'");
        assert_eq!((database.value(&found), database.value(APPLIED)), ("0".into(), "1".into()));
    }
}

/// Whoever looks at the database finds nothing of a statement that is still at work there.
#[tokio::test]
async fn a_statement_that_is_still_running_is_not_settled() {
    let database = killed_in_the_second_part().await;
    let options = database.options();
    let asked = repair::look(&unknowable(), &options, "1").await.unwrap();
    let startup = Startup { application_name: "cutover/gone".to_owned(), ..Startup::default() };
    let owner = Session::connect(&options, &startup).await.unwrap();
    for mark in [Mark::Done, Mark::NotDone] {
        let refused = [
            settle(&unknowable(), &options, "1", mark).await,
            repair::mark(&unknowable(), &options, "1", &asked, mark).await,
        ];
        for error in refused.map(Result::unwrap_err) {
            let pid = owner.backend_pid();
            assert!(
                matches!(&error, RepairError::StillRunning { pid: named, .. } if *named == pid),
                "{error}"
            );
            assert!(error.to_string().contains(&format!("cutover/gone (pid {pid}, idle)")), "{error}");
        }
    }
    assert_eq!(database.value("SELECT state FROM cutover.unit WHERE unit = 1"), "started");
    owner.close().await;
    let mut watcher = session(&options).await;
    until(&mut watcher, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cutover/gone'", "0")
        .await;
    settle(&unknowable(), &options, "1", Mark::Done).await.unwrap();
}

/// What the catalogue can tell is not a person's to say otherwise; what is left stays known to be ours.
#[tokio::test]
async fn an_index_is_looked_at_whatever_a_person_says() {
    let files = project(&[(
        "V1__a.sql",
        "CREATE INDEX CONCURRENTLY busy_n ON busy (n);\nINSERT INTO busy SELECT 1 / n FROM busy;",
    )]);
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE busy AS SELECT 0 AS n");
    apply(&files, &options).await.unwrap();
    database
        .run("UPDATE busy SET n = 1; UPDATE cutover.unit SET state = 'started', run = 'gone' WHERE unit = 0");
    let refused = settle(&files, &options, "1", Mark::NotDone).await;
    assert!(matches!(refused, Err(RepairError::Contradicted { .. })), "{refused:?}");
    database.run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'busy_n'::regclass");
    let refused = settle(&files, &options, "1", Mark::Done).await;
    assert!(matches!(refused, Err(RepairError::Contradicted { .. })), "{refused:?}");
    assert_eq!(database.value("SELECT state FROM cutover.unit WHERE unit = 0"), "started");
    settle(&files, &options, "1", Mark::NotDone).await.unwrap();
    completes(&files, &options).await;
    assert_eq!(database.value("SELECT indisvalid FROM pg_index WHERE indexrelid = 'busy_n'::regclass"), "t");
}
