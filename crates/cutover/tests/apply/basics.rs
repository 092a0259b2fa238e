//! The main road: every kind of file, the records it leaves, and what a failing one says.

use std::fmt::Write as _;

use cutover::history::journal;
use cutover::run::{EventKind, Outcome};
use testkit::{catalogue_dump, database};

use crate::support::{APPLIED, apply, completes, failure, finished, project, session};

const KINDS: &[(&str, &str)] = &[
    ("V1__a.sql", "CREATE TABLE a (id int PRIMARY KEY);\nINSERT INTO a VALUES (1);"),
    (
        "V2__b.sql",
        "CREATE TABLE b (id int PRIMARY KEY REFERENCES a);\nDO $$ BEGIN RAISE NOTICE 'hello'; END $$;",
    ),
    ("V3__c.sql", "COPY a FROM stdin;\n2\n3\n\\.\nINSERT INTO b SELECT id FROM a;"),
    ("V4__d.sql", "CREATE INDEX CONCURRENTLY b_id ON b (id);"),
    ("V5__e.sql", "BEGIN;\nSET search_path = '';\nCREATE TABLE public.e ();\nCOMMIT;"),
    ("V6__f.sql", "-- nothing\nSELECT;"),
    ("V7__g.sql", "ALTER TABLE b ADD x int;\n-- cutover: new-transaction\nALTER TABLE b ADD y int;"),
];

#[tokio::test]
async fn every_kind_of_file_is_applied_once_and_recorded() {
    let database = database();
    let project = project(KINDS);
    let run = completes(&project, &database.options()).await;
    assert_eq!(finished(&run), ["1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(database.value("SELECT count(*) FROM a"), "3");
    assert_eq!(database.value("SELECT count(*) FROM b"), "3");
    let rows = database.rows(
        "SELECT version_text, name, path, statements, source IS NOT NULL, took > 0, run, role, bytes, checksum_raw
           FROM cutover.migration ORDER BY version",
    );
    let row =
        |at: usize| rows[at].iter().map(|column| column.clone().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(row(0)[..6], ["1", "a", "V1__a.sql", "2", "t", "t"]);
    assert_eq!(row(0)[6], run.id);
    assert_eq!(row(0)[7], "postgres");
    assert_eq!(row(0)[8], KINDS[0].1.len().to_string());
    assert_eq!(row(0)[9], database.value(&format!("SELECT encode(sha256($x${}$x$), 'hex')", KINDS[0].1)));
    assert_eq!(row(4)[3], "2", "an outer BEGIN and COMMIT are not sent");
    assert_eq!(row(5)[3], "1");
    assert_eq!(
        database.value("SELECT count(*) FROM cutover.unit"),
        "0",
        "units of finished migrations are forgotten"
    );
    let again = apply(&project, &database.options()).await.unwrap();
    assert_eq!(again.outcome, Some(Outcome::NothingToDo));
    assert_eq!(database.value("SELECT count(*) FROM cutover.run"), "1", "a run without work leaves no trace");
}

#[tokio::test]
async fn the_journal_in_the_database_tells_what_the_caller_heard() {
    let database = database();
    let run = completes(&project(KINDS), &database.options()).await;
    let mut session = session(&database.options()).await;
    let stored = journal::read_run(&mut session, &run.id).await.unwrap().unwrap();
    assert_eq!(stored.outcome, Some(Outcome::Completed));
    assert_eq!(finished(&stored), finished(&run));
    assert_eq!(stored.plan, run.plan);
    let notices = |events: &[cutover::run::RunEvent]| {
        let text = |event: &cutover::run::RunEvent| match &event.kind {
            EventKind::Notice { message, line, .. } => Some(format!("{line}: {message}")),
            _ => None,
        };
        events.iter().filter_map(text).collect::<Vec<_>>()
    };
    assert_eq!(notices(&run.events), ["2: hello"]);
    assert_eq!(notices(&stored.events), ["2: hello"]);
    let times: Vec<_> = stored.events.iter().map(|event| event.at_micros).collect();
    assert!(times.is_sorted(), "{times:?}");
    // What is done otherwise than the file says is said where the file is, and before it is done.
    let note = "its outer BEGIN … COMMIT is replaced by cutover's own transaction";
    let noted: Vec<_> = run.plan.steps.iter().filter(|step| step.notes == [note]).collect();
    assert!(matches!(&noted[..], [step] if step.path == "V5__e.sql"), "{noted:?}");
    let told = |event: &cutover::run::RunEvent| match &event.kind {
        EventKind::StepStarted { path, .. } if path == "V5__e.sql" => Some("started"),
        EventKind::StepNote { note: told, .. } if told == note => Some("note"),
        EventKind::StepFinished { migration, .. } if migration.version.text() == "5" => Some("finished"),
        _ => None,
    };
    assert_eq!(run.events.iter().filter_map(told).collect::<Vec<_>>(), ["started", "note", "finished"]);
}

#[tokio::test]
async fn a_failing_file_leaves_no_trace_and_says_where() {
    let database = database();
    let good = ("V1__a.sql", "CREATE TABLE a (id int PRIMARY KEY);");
    let project = project(&[
        good,
        ("V2__b.sql", "CREATE TABLE b (id int);\nINSERT INTO b\n  SELECT nope FROM a;"),
        ("V3__c.sql", "CREATE TABLE c ();"),
    ]);
    let run = apply(&project, &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    for part in [
        "V2__b.sql:3:10: ERROR: column \"nope\" does not exist (42703)",
        "3 |   SELECT nope FROM a",
        "^",
        "nothing of V2__b.sql is in the database",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!(database.value(APPLIED), "1");
    assert_eq!(database.value("SELECT to_regclass('b') IS NULL AND to_regclass('c') IS NULL"), "t");
    let other = testkit::database();
    completes(&crate::support::project(&[good]), &other.options()).await;
    assert_eq!(catalogue_dump(&database.options(), &[]), catalogue_dump(&other.options(), &[]));
}

#[tokio::test]
async fn a_constraint_that_fails_at_commit_says_so() {
    let database = database();
    let project = project(&[
        (
            "V1__a.sql",
            "CREATE TABLE a (id int PRIMARY KEY, up int REFERENCES a DEFERRABLE INITIALLY DEFERRED);",
        ),
        ("V2__b.sql", "CREATE TABLE b ();\nINSERT INTO a VALUES (1, 2);"),
        ("V3__c.sql", "CREATE TABLE c ();"),
    ]);
    let run = apply(&project, &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    assert!(
        said.starts_with("V2__b.sql: at commit: ERROR: insert or update on table \"a\" violates"),
        "{said}"
    );
    assert!(said.contains("nothing of V2__b.sql is in the database"), "{said}");
    assert_eq!(database.value(APPLIED), "1");
    assert_eq!(database.value("SELECT to_regclass('b') IS NULL AND to_regclass('c') IS NULL"), "t");
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "failed_clean");
}

#[tokio::test]
async fn a_failure_after_many_windows_names_the_right_line() {
    let database = database();
    let mut text = String::from("CREATE TABLE t (n int CHECK (n <> 150));\n");
    for n in 0..200 {
        writeln!(text, "INSERT INTO t VALUES ({n});").unwrap();
    }
    let run = apply(&project(&[("V1__t.sql", &text)]), &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    assert!(
        said.starts_with("V1__t.sql:152:1: ERROR: new row for relation \"t\" violates check constraint"),
        "{said}"
    );
    assert_eq!(database.value("SELECT to_regclass('t') IS NULL"), "t");
}

#[tokio::test]
async fn data_that_the_server_refuses_is_named_with_its_line() {
    let database = database();
    let text = "CREATE TABLE t (n int);\nCOPY t FROM stdin;\n1\nx\n3\n\\.\nSELECT 1;";
    let run = apply(&project(&[("V1__t.sql", text)]), &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    for part in [
        "V1__t.sql:4:1: ERROR: invalid input syntax for type integer: \"x\" (22P02)\n  |\n4 | x\n  | ^",
        "in the statement at V1__t.sql:2:1",
        "context: COPY t, line 2, column n",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!(database.value("SELECT to_regclass('t') IS NULL"), "t");
}

#[tokio::test]
async fn a_migration_whose_record_cannot_be_written_is_not_applied() {
    let database = database();
    let options = database.options();
    let files = [
        ("V1__a.sql", "CREATE TABLE a ();"),
        ("V2__b.sql", "CREATE TABLE b ();"),
        ("V3__c.sql", "CREATE TABLE c ();"),
    ];
    completes(&project(&files[..1]), &options).await;
    database.run("ALTER TABLE cutover.migration ADD CONSTRAINT not_two CHECK (version <> '2')");
    let run = apply(&project(&files), &options).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    assert!(failure(&run).contains("violates check constraint \"not_two\""), "{}", failure(&run));
    assert_eq!(database.value("SELECT to_regclass('b') IS NULL AND to_regclass('c') IS NULL"), "t");
    assert_eq!(database.value(APPLIED), "1");
}
