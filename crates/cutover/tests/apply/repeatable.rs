//! Migrations that are made anew whenever they change, those that stand for others, and the history that knows both.

use cutover::Project;
use cutover::apply::{ApplyError, Request};
use cutover::inspect;
use cutover::plan::StepState;
use cutover::plan::build::Read;
use cutover::plan::select::Selection;
use cutover::report::text::{TextStyle, plan_lines};
use cutover::run::{EventKind, Outcome, Run};
use cutover_postgres::connect::ConnectOptions;
use testkit::{Database, database};

use crate::support::{Folder, apply, apply_with, completes, failure, finished, looking, session, value};

const NAMED: (&str, &str) = ("cutover.toml", "[project]\nname = \"p\"\n");
const T: (&str, &str) = ("sql/V1__t.sql", "CREATE TABLE t (n int);");
const B_VIEW: (&str, &str) = ("sql/R__b_view.sql", "CREATE OR REPLACE VIEW b AS SELECT n FROM a;");
const A_VIEW: (&str, &str) = ("sql/views/R__a_view.sql", "CREATE OR REPLACE VIEW a AS SELECT n FROM t;");

async fn nothing_to_do(project: &Project, options: &ConnectOptions) {
    let run = apply(project, options).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.outcome, Some(Outcome::NothingToDo), "{}", failure(&run));
}

async fn side_by_side(project: &Project, options: &ConnectOptions) -> Run {
    let request = Request { jobs: 2, ..Request::default() };
    let run = apply_with(project, options, &request).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    run
}

#[tokio::test]
async fn what_has_changed_is_made_anew_and_each_run_is_kept() {
    let database = database();
    let folder = Folder::with(&[NAMED, B_VIEW, A_VIEW, T]);
    let run = completes(&folder.load(), &database.options()).await;
    assert_eq!(finished(&run), ["1", "R__a_view", "R__b_view"]);
    nothing_to_do(&folder.load(), &database.options()).await;
    // Another way to end lines is no change.
    folder.write(A_VIEW.0, &format!("{}\r\n", A_VIEW.1));
    assert_eq!(finished(&completes(&folder.load(), &database.options()).await), ["R__a_view"]);
    folder.write(A_VIEW.0, &format!("{}\n", A_VIEW.1));
    nothing_to_do(&folder.load(), &database.options()).await;
    // What was there before is made again too.
    folder.write(A_VIEW.0, A_VIEW.1);
    folder.write("sql/V2__u.sql", "CREATE TABLE u ();");
    let run = completes(&folder.load(), &database.options()).await;
    assert_eq!(finished(&run), ["2", "R__a_view"]);
    let mut session = session(&database.options()).await;
    let runs =
        "SELECT string_agg(name || ' ' || version_text, ', ' ORDER BY applied_at) FROM cutover.migration";
    assert_eq!(
        value(&mut session, runs).await,
        "t 1, a_view R__a_view, b_view R__b_view, a_view R__a_view, u 2, a_view R__a_view"
    );
    // Each run's own record tells of it.
    let told = "SELECT count(DISTINCT run) FROM cutover.migration WHERE version LIKE '~a\\_view#%'";
    assert_eq!(value(&mut session, told).await, "3");
    // Moved to another folder it is the same.
    folder.remove(A_VIEW.0);
    folder.write("sql/R__a_view.sql", A_VIEW.1);
    nothing_to_do(&folder.load(), &database.options()).await;
    // One that is gone is missed as any other.
    folder.remove(B_VIEW.0);
    let error = apply(&folder.load(), &database.options()).await.unwrap_err();
    assert!(matches!(error, ApplyError::ChangedFiles(_)), "{error:?}");
    assert!(error.to_string().contains("sql/R__b_view.sql"), "{error}");
}

#[tokio::test]
async fn side_by_side_they_still_come_last_and_in_order() {
    for round in 0..5 {
        let database = database();
        let folder = Folder::with(&[
            NAMED,
            ("sql/V1__t.sql", "CREATE TABLE t (n int);"),
            ("sql/V2__u.sql", "CREATE TABLE u (n int);"),
            ("sql/R__1.sql", "CREATE TABLE IF NOT EXISTS first (n int);"),
            ("sql/R__2.sql", "CREATE TABLE IF NOT EXISTS second (n int);"),
        ]);
        let run = side_by_side(&folder.load(), &database.options()).await;
        let order: Vec<String> = run
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::StepStarted { migration, .. } => Some(format!("+{migration}")),
                EventKind::StepFinished { migration, .. } => Some(format!("-{migration}")),
                _ => None,
            })
            .collect();
        assert_eq!(order[4..], ["+R__1", "-R__1", "+R__2", "-R__2"], "round {round}: {order:?}");
        let mut ordinary = order[..4].to_vec();
        ordinary.sort();
        assert_eq!(ordinary, ["+1", "+2", "-1", "-2"]);
    }
}

#[tokio::test]
async fn a_failed_one_is_not_recorded_and_runs_again() {
    let database = database();
    let folder = Folder::with(&[NAMED, T, A_VIEW]);
    completes(&folder.load(), &database.options()).await;
    folder.write(A_VIEW.0, "CREATE OR REPLACE VIEW a AS SELECT nothing FROM t;");
    let run = apply(&folder.load(), &database.options()).await.unwrap();
    assert!(failure(&run).contains("sql/views/R__a_view.sql:1:36"), "{}", failure(&run));
    // Its parts, where it has several, are gone on with like those of any other.
    folder.write(
        A_VIEW.0,
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_n ON t (n);\nCREATE OR REPLACE VIEW a AS SELECT n / 0 AS n FROM t WHERE n / 0 = 1;\nSELECT 1 / 0;",
    );
    let run = apply(&folder.load(), &database.options()).await.unwrap();
    assert!(failure(&run).contains("R__a_view.sql:3:"), "{}", failure(&run));
    folder.write(
        A_VIEW.0,
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_n ON t (n);\nCREATE OR REPLACE VIEW a AS SELECT n / 0 AS n FROM t WHERE n / 0 = 1;\nSELECT 1;",
    );
    let request = Request { allow: vec!["edited-unfinished".into()], ..Request::default() };
    let run = apply_with(&folder.load(), &database.options(), &request).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    assert_eq!(finished(&run), ["R__a_view"]);
    nothing_to_do(&folder.load(), &database.options()).await;
}

async fn planned(folder: &Folder, database: &Database) -> String {
    let mut session = looking(&database.options()).await;
    let project = folder.load();
    let looked = inspect::database(&project, &mut session, &Selection::default(), Read::All).await.unwrap();
    plan_lines(&looked.built.plan, TextStyle::PLAIN)
}

#[tokio::test]
async fn a_plan_says_that_something_is_made_anew() {
    let database = database();
    let folder = Folder::with(&[NAMED, T, A_VIEW]);
    completes(&folder.load(), &database.options()).await;
    folder.write(A_VIEW.0, &format!("-- changed\n{}", A_VIEW.1));
    let said = planned(&folder, &database).await;
    assert!(said.contains("its text has changed since it was applied"), "{said}");
}

const BASE: (&str, &str) = ("sql/B2__all.sql", "CREATE TABLE t (n int);\nCREATE TABLE u (n int);");

#[tokio::test]
async fn a_baseline_migration_stands_for_others_where_there_is_no_history() {
    let files = [
        NAMED,
        T,
        ("sql/V2__u.sql", "CREATE TABLE u (n int);"),
        ("sql/B1__old.sql", "CREATE TABLE t (n int);"),
        BASE,
        ("sql/V3__v.sql", "CREATE TABLE v ();"),
        A_VIEW,
    ];
    let fresh = database();
    let folder = Folder::with(&files);
    let run = completes(&folder.load(), &fresh.options()).await;
    assert_eq!(finished(&run), ["B2", "3", "R__a_view"]);
    let state =
        |run: &Run, path: &str| run.plan.steps.iter().find(|step| step.path == path).unwrap().state.clone();
    let StepState::NotNeeded { why } = state(&run, T.0) else { panic!("{:?}", state(&run, T.0)) };
    assert_eq!(why, "contained in sql/B2__all.sql");
    assert!(matches!(state(&run, "sql/B1__old.sql"), StepState::NotNeeded { .. }));
    let again = apply(&folder.load(), &fresh.options()).await.unwrap();
    assert_eq!(again.outcome, Some(Outcome::NothingToDo));
    // A database with a history goes on with it.
    let grown = database();
    let old = Folder::with(&files[..2]);
    completes(&old.load(), &grown.options()).await;
    let run = completes(&folder.load(), &grown.options()).await;
    assert_eq!(finished(&run), ["2", "3", "R__a_view"]);
    assert!(matches!(state(&run, BASE.0), StepState::NotNeeded { .. }));
    // What is above the target does not count.
    let up_to = database();
    let request = Request {
        selection: Selection { to: Some("1".into()), ..Selection::default() },
        ..Request::default()
    };
    let run = apply_with(&folder.load(), &up_to.options(), &request).await.unwrap();
    assert_eq!(finished(&run), ["1"]);
}

#[tokio::test]
async fn a_history_of_the_first_version_is_read_and_upgraded() {
    let database = database();
    let folder = Folder::with(&[NAMED, T]);
    completes(&folder.load(), &database.options()).await;
    database.run("DROP TABLE cutover.snapshot, cutover.adoption; UPDATE cutover.meta SET version = 1");
    assert!(planned(&folder, &database).await.contains("applied"));
    nothing_to_do(&folder.load(), &database.options()).await;
    assert_eq!(database.value("SELECT version FROM cutover.meta"), "1", "nothing was written");
    folder.write(A_VIEW.0, A_VIEW.1);
    completes(&folder.load(), &database.options()).await;
    assert_eq!(database.value("SELECT version FROM cutover.meta"), "2");
    database.run("UPDATE cutover.meta SET version = 3");
    let error = apply(&folder.load(), &database.options()).await.unwrap_err();
    assert!(error.to_string().contains("has version 3, this build knows 2"), "{error}");
}
