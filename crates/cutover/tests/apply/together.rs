//! Many runners started together.

use cutover::apply::Request;
use cutover::run::Outcome;
use cutover_postgres::connect::ConnectOptions;
use futures_util::future::join_all;
use testkit::{Database, database};

use crate::checked::{self, agree, contents, undisturbed};
use crate::kills::{process, said};
use crate::support::{APPLIED, BUILD_WAITS, Folder, apply, apply_with, named_project, session, soon, until};

const RUNNERS: usize = 20;

/// Statistics reach the others a moment after a session has ended, which `agree` has waited for.
fn assert_no_deadlock(database: &Database) {
    database.run("SELECT pg_stat_clear_snapshot()");
    let deadlocks = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{}'", database.name());
    assert_eq!(database.value(&deadlocks), "0");
}

#[tokio::test]
async fn twenty_runners_in_one_process_apply_everything_once() {
    let expected = undisturbed(&database().options()).await;
    let database = database();
    let options = database.options();
    let project = checked::checked_project();
    let runs = join_all((0..RUNNERS).map(|_| apply(&project, &options))).await;
    let mut worked = 0;
    for run in runs {
        let run = run.unwrap_or_else(|error| panic!("{error}"));
        match run.outcome {
            Some(Outcome::Completed) => worked += 1,
            Some(Outcome::NothingToDo) => {}
            other => panic!("{other:?}: {}", crate::support::failure(&run)),
        }
    }
    assert_eq!(worked, 1, "one works, the others find nothing to do");
    let mut session = session(&options).await;
    assert_eq!(agree(&mut session, "together").await.applied.len(), checked::FILES.len());
    assert_eq!(contents(&mut session).await, expected);
    assert_no_deadlock(&database);
}

/// A concurrent build waits for everybody's old snapshot, while nineteen others wait for the runner.
#[tokio::test]
async fn twenty_runners_behind_an_old_snapshot() {
    let database = database();
    let options = database.options();
    let project = named_project(
        "p",
        &[
            ("V1__t.sql", "CREATE TABLE t (n int); INSERT INTO t SELECT generate_series(1, 100);"),
            ("V2__i.sql", "CREATE INDEX CONCURRENTLY t_n ON t (n);"),
            ("V3__t.sql", "ALTER TABLE t ADD m int;"),
            ("V4__i.sql", "CREATE UNIQUE INDEX CONCURRENTLY t_nm ON t (n, m);"),
        ],
    );
    let mut old = session(&options).await;
    old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.unwrap();
    let request = |n: usize| Request { jobs: 1 + n % 2, ..Request::default() };
    let requests: Vec<Request> = (0..RUNNERS).map(request).collect();
    let all = join_all(requests.iter().map(|request| apply_with(&project, &options, request)));
    let releasing = async {
        until(&mut session(&options).await, BUILD_WAITS, "1").await;
        old.execute("COMMIT").await.unwrap();
    };
    let (runs, ()) = soon(async { tokio::join!(all, releasing) }).await;
    let outcomes: Vec<_> = runs.into_iter().map(|run| run.unwrap().outcome.unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Completed).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Completed | Outcome::NothingToDo)), "{outcomes:?}");
    assert_eq!(database.value(APPLIED), "1 2 3 4");
    let indexes = "SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY 1) FROM (
        SELECT indexrelid::regclass::text::regclass, indisvalid FROM pg_index WHERE indrelid = 't'::regclass) AS i";
    let indexes = indexes.replace("ORDER BY 1", "ORDER BY indexrelid::text");
    assert_eq!(database.value(&indexes), "t_n true, t_nm true");
    assert_no_deadlock(&database);
}

#[tokio::test]
async fn twenty_processes_apply_everything_once() {
    let expected = undisturbed(&database().options()).await;
    let database = database();
    let folder = Folder::with(checked::FILES);
    let children: Vec<_> = (0..RUNNERS).map(|_| process(&folder, &database).spawn().unwrap()).collect();
    let outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let ended = |how: &str| outputs.iter().filter(|output| said(output).starts_with(how)).count();
    let all: Vec<_> = outputs.iter().map(said).collect();
    assert_eq!((ended("outcome Completed"), ended("outcome NothingToDo")), (1, RUNNERS - 1), "{all:?}");
    let mut session = session(&database.options()).await;
    agree(&mut session, "processes").await;
    assert_eq!(contents(&mut session).await, expected);
    assert_no_deadlock(&database);
}

#[tokio::test]
async fn runners_of_two_projects_share_a_database() {
    let database = database();
    let options = database.options();
    let one = named_project(
        "one",
        &[
            ("V1__a.sql", "CREATE TABLE one (n int); INSERT INTO one VALUES (1);"),
            ("V2__i.sql", "CREATE INDEX CONCURRENTLY one_n ON one (n);"),
        ],
    );
    let two = named_project(
        "two",
        &[
            ("V1__a.sql", "CREATE TABLE two (n int); INSERT INTO two VALUES (1);"),
            ("V2__b.sql", "INSERT INTO two VALUES (2);"),
        ],
    );
    let run = |n: usize, options: ConnectOptions| {
        let project = if n.is_multiple_of(2) { &one } else { &two };
        async move { apply(project, &options).await }
    };
    let runs = join_all((0..RUNNERS).map(|n| run(n, options.clone()))).await;
    let completed = runs.iter().map(|run| run.as_ref().unwrap_or_else(|error| panic!("{error}")).outcome);
    let completed: Vec<_> = completed.collect();
    assert!(
        completed.iter().all(|o| matches!(o, Some(Outcome::Completed | Outcome::NothingToDo))),
        "{completed:?}"
    );
    assert_eq!(completed.iter().filter(|o| **o == Some(Outcome::Completed)).count(), 2);
    assert_eq!(database.value("SELECT count(*) FROM one"), "1");
    assert_eq!(database.value("SELECT count(*) FROM two"), "2");
    let rows = "SELECT string_agg(project || version, ' ' ORDER BY project, version) FROM cutover.migration";
    assert_eq!(database.value(rows), "one1 one2 two1 two2");
    assert_no_deadlock(&database);
}
