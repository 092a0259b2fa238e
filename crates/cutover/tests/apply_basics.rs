//! The main road of `apply`, on a real server.
#![allow(missing_docs)]

use cutover::run::{EventKind, Outcome, Run, RunEvent};
use cutover::{Project, SystemClock, apply};
use cutover_postgres::Environment;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::{Sandbox, SandboxOptions};
use cutover_postgres::session::{Session, Startup};

fn sandbox() -> Sandbox {
    let env = Environment { vars: std::env::vars().collect(), home: None, user: None };
    Sandbox::start(&SandboxOptions::new(&env)).unwrap()
}

async fn run(project: &Project, options: &ConnectOptions) -> Result<Run, apply::ApplyError> {
    let clock = SystemClock::new();
    let mut sink = |event: &RunEvent| println!("{:?}", event.kind);
    let context = apply::Context {
        clock: &clock,
        sink: &mut sink,
        stop: cutover::stop::Stop::new(),
        operator: "test".into(),
        tool: "test".into(),
        crash: apply::CrashPoints::default(),
    };
    apply::apply(project, options, &apply::Request::default(), context).await
}

#[tokio::test]
async fn applies_and_finds_nothing_to_do_again() {
    let sandbox = sandbox();
    let options = sandbox.options("postgres");
    let project = Project::embedded(
        "p",
        &[
            ("V1__a.sql", b"CREATE TABLE a (id int PRIMARY KEY);\nINSERT INTO a VALUES (1);".as_slice()),
            ("V2__b.sql", b"CREATE TABLE b (id int PRIMARY KEY REFERENCES a);\nDO $$ BEGIN RAISE NOTICE 'hello'; END $$;"),
            ("V3__c.sql", b"COPY a FROM stdin;\n2\n3\n\\.\nINSERT INTO b SELECT id FROM a;"),
            ("V4__d.sql", b"CREATE INDEX CONCURRENTLY b_id ON b (id);"),
            ("V5__e.sql", b"BEGIN; SET search_path = ''; SET ROLE NONE; CREATE TABLE public.e (); COMMIT;"),
            ("V6__f.sql", b"-- nothing"),
            ("V7__g.sql", b"ALTER TABLE b ADD x int;\n-- cutover: new-transaction\nALTER TABLE b ADD y int;"),
        ],
    )
    .unwrap();
    let first = run(&project, &options).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(first.outcome, Some(Outcome::Completed));
    let second = run(&project, &options).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(second.outcome, Some(Outcome::NothingToDo));
    let mut session = Session::connect(&options, &Startup::default()).await.unwrap();
    let rows = session.query("SELECT version_text, took, statements FROM cutover.migration ORDER BY version", &[]).await.unwrap();
    assert_eq!(rows.len(), 7);
    let stored = cutover::history::journal::read_run(&mut session, &first.id).await.unwrap().unwrap();
    for event in &stored.events {
        println!("{event:?}");
    }
    assert_eq!(stored.outcome, Some(Outcome::Completed));
}

#[tokio::test]
async fn a_failing_file_leaves_no_trace() {
    let sandbox = sandbox();
    let options = sandbox.options("postgres");
    let project = Project::embedded(
        "p",
        &[
            ("V1__a.sql", b"CREATE TABLE a (id int PRIMARY KEY);".as_slice()),
            ("V2__b.sql", b"CREATE TABLE b (id int);\nINSERT INTO b\n  SELECT nope FROM a;"),
        ],
    )
    .unwrap();
    let run = run(&project, &options).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let failed = run.events.iter().find_map(|event| match &event.kind {
        EventKind::StepFailed { message, .. } => Some(message.clone()),
        _ => None,
    });
    let message = failed.unwrap();
    println!("{message}");
    assert!(message.contains("V2__b.sql:3:10:"), "{message}");
}
