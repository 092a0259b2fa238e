//! What a concurrent rebuild or removal of an index leaves behind when it fails, is cancelled or killed is removed, and
//! the statement runs again.

use std::time::Duration;

use cutover::Project;
use cutover::apply::Request;
use cutover::history::units::{self, UnitRecord};
use cutover::run::{Blocker, EventKind, Outcome, Run, RunEvent};
use cutover::script::Script;
use cutover::stop::Stop;
use cutover_postgres::session::Session;
use testkit::{Database, database};

use crate::kills::{kill, process};
use crate::support::{
    APPLIED, BUILD_WAITS, Folder, RUNNERS, apply, apply_watched, apply_with, completes, failure, project,
    session, soon, until, value,
};

/// Indexes of the table, with whether they are valid.
const INDEXES: &str =
    "SELECT coalesce(string_agg(format('%s %s', indexrelid::regclass, indisvalid), ', ' ORDER BY indexrelid::regclass::text), '')
    FROM pg_index WHERE indrelid = 'busy'::regclass";
/// Invalid indexes anywhere, also of what tables store out of line.
const INVALID: &str = "SELECT coalesce(string_agg(indexrelid::regclass::text, ' ' ORDER BY indexrelid::regclass::text), '') FROM pg_index WHERE NOT indisvalid";
const UNITS: &str =
    "SELECT coalesce(string_agg(unit || state, ' '), '') FROM cutover.unit WHERE state <> 'failed'";
/// A DROP INDEX that waits for a reader.
const DROP_WAITS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
    AND query LIKE 'DROP INDEX CONCURRENTLY%' AND wait_event = 'virtualxid'";

fn tables() -> Database {
    let database = database();
    database.run(
        "CREATE TABLE busy (n int, t text); CREATE INDEX busy_n ON busy (n); INSERT INTO busy VALUES (1, 'a');
         CREATE TABLE other (n int)",
    );
    database
}

/// The file behind an index: another one once it was built anew.
fn file(database: &Database, index: &str) -> String {
    database.value(&format!("SELECT relfilenode FROM pg_class WHERE oid = '{index}'::regclass"))
}

fn one(statement: &str, lock_wait: Duration) -> Project {
    let mut project = project(&[("V1__i.sql", statement)]);
    project.apply.lock_wait = lock_wait;
    project
}

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_rebuild_that_is_given_up_on_leaves_nothing_and_runs_again() {
    let database = tables();
    let options = database.options();
    // Its name says what it is not: no index stands beside it.
    database.run("CREATE INDEX lonely_ccnew ON busy (t); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'lonely_ccnew'::regclass");
    let name = database.value("SELECT quote_ident(current_database())");
    for (what, said) in [
        ("REINDEX INDEX CONCURRENTLY busy_n".to_owned(), "the index works"),
        ("REINDEX TABLE CONCURRENTLY busy".to_owned(), "every index works"),
        ("REINDEX SCHEMA CONCURRENTLY public".to_owned(), "every index works"),
        (format!("REINDEX DATABASE CONCURRENTLY {name}"), "every index works"),
    ] {
        let before = file(&database, "busy_n");
        let mut old = session(&options).await;
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM other").await.unwrap();
        let run = soon(apply(&one(&what, SHORT), &options)).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::LockNotObtained), "{what}: {}", failure(&run));
        assert!(failure(&run).contains(said), "{what}: {}", failure(&run));
        assert_eq!(database.value(INDEXES), "busy_n t, lonely_ccnew f", "{what}");
        assert_eq!(database.value(INVALID), "lonely_ccnew", "{what}");
        assert_eq!(database.value(UNITS), "", "{what}");
        old.execute("COMMIT").await.unwrap();
        completes(&one(&what, LONG), &options).await;
        assert_eq!(database.value(INVALID), "lonely_ccnew", "{what}");
        assert_ne!(file(&database, "busy_n"), before, "{what}: it was built anew");
        database.run("DROP SCHEMA cutover CASCADE");
    }
}

/// Asks twice to stop once the statement waits for a reader, and lets the reader go once the clean-up waits for it too.
async fn cancelled_behind_a_reader(database: &Database, statement: &str) -> Run {
    let options = database.options();
    let (request, stop) = (Request::default(), Stop::new());
    let mut reader = session(&options).await;
    // It holds a lock and no snapshot: a rebuild gets as far as to the removal of the old index.
    reader.execute("BEGIN; SELECT FROM busy").await.unwrap();
    // Behind the reader itself: the statement also waits a moment for whoever looks.
    let behind_reader = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'cutover/%'
          AND {} = ANY (pg_blocking_pids(pid))",
        reader.backend_pid()
    );
    let mut watcher = session(&options).await;
    let project = one(statement, LONG);
    let mut sink = |_: &RunEvent| {};
    let run = apply_watched(&project, &options, &request, &stop, &mut sink);
    let asking = async {
        until(&mut watcher, &behind_reader, "1").await;
        stop.request();
        stop.request();
        if statement.starts_with("DROP") {
            // The same words: the second one is another statement.
            let again = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
                AND query = 'DROP INDEX CONCURRENTLY public.busy_n' AND wait_event = 'virtualxid'";
            until(&mut watcher, again, "1").await;
        } else {
            until(&mut watcher, DROP_WAITS, "1").await;
        }
        reader.execute("COMMIT").await.unwrap();
    };
    let (run, ()) = soon(async { tokio::join!(run, asking) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Interrupted), "{}", failure(&run));
    run
}

/// Applies while `writer` is in the way; it commits once the run has told of it. Gives whom the run told first.
async fn told_while_it_waits(
    project: &Project,
    database: &Database,
    writer: &mut Session,
    waits: &str,
) -> Blocker {
    let options = database.options();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let mut sink = move |event: &RunEvent| {
        if let EventKind::LockWaiting { blockers, .. } = &event.kind {
            let _ = tell.send(blockers.clone());
        }
    };
    let (request, stop) = (Request::default(), Stop::new());
    let run = apply_watched(project, &options, &request, &stop, &mut sink);
    let releasing = async {
        let [blocker] = <[Blocker; 1]>::try_from(told.recv().await.unwrap()).unwrap();
        assert_eq!(database.value(waits), "1");
        writer.execute("COMMIT").await.unwrap();
        blocker
    };
    let (run, blocker) = soon(async { tokio::join!(run, releasing) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    blocker
}

#[tokio::test]
async fn whom_a_statement_waits_for_is_told_while_it_waits() {
    for statement in [
        "CREATE INDEX CONCURRENTLY busy_t ON busy (t)",
        "REINDEX INDEX CONCURRENTLY busy_n",
        "DROP INDEX CONCURRENTLY busy_n",
    ] {
        let database = tables();
        let mut writer = session(&database.options()).await;
        writer.execute("BEGIN; INSERT INTO busy VALUES (0)").await.unwrap();
        let project = one(statement, LONG);
        let blocker = told_while_it_waits(&project, &database, &mut writer, BUILD_WAITS).await;
        assert_eq!(blocker.pid, writer.backend_pid(), "{statement}");
        assert_eq!((blocker.application.as_str(), blocker.state.as_str()), ("tester", "idle in transaction"));
        assert!(blocker.query.contains("INSERT INTO busy"), "{}", blocker.query);
    }
}

#[tokio::test]
async fn whom_the_removal_of_what_is_left_waits_for_is_told_too() {
    let database = tables();
    let mut writer = session(&database.options()).await;
    writer.execute("BEGIN; INSERT INTO busy VALUES (0)").await.unwrap();
    let folder = killed_while_it_waits(&database, "CREATE INDEX CONCURRENTLY busy_t ON busy (t)").await;
    assert_eq!(database.value(INVALID), "busy_t");
    let blocker = told_while_it_waits(&folder.load(), &database, &mut writer, DROP_WAITS).await;
    assert_eq!(blocker.pid, writer.backend_pid());
    assert_eq!(database.value(INDEXES), "busy_n t, busy_t t");
}

#[tokio::test]
async fn a_rebuild_that_is_cancelled_after_the_swap_leaves_no_old_index() {
    for what in ["REINDEX INDEX CONCURRENTLY busy_n", "REINDEX TABLE CONCURRENTLY busy"] {
        let database = tables();
        let before = file(&database, "busy_n");
        let run = cancelled_behind_a_reader(&database, what).await;
        let heard = run
            .events
            .iter()
            .any(|event| format!("{event:?}").contains("dropped the invalid index busy_n_ccold"));
        assert!(heard, "{what}: {:?}", run.events);
        assert_eq!(
            (database.value(INDEXES), database.value(INVALID)),
            ("busy_n t".into(), String::new()),
            "{what}"
        );
        assert_ne!(file(&database, "busy_n"), before, "{what}: it was built anew");
        assert_eq!(database.value(UNITS), "", "{what}");
        completes(&one(what, LONG), &database.options()).await;
        assert_eq!(database.value(INVALID), "", "{what}");
    }
}

/// Once begun, a removal cannot be taken back: the index is of no use any more.
#[tokio::test]
async fn a_removal_that_is_cancelled_is_finished() {
    let database = tables();
    let run = cancelled_behind_a_reader(&database, "DROP INDEX CONCURRENTLY busy_n").await;
    let said = failure(&run);
    assert!(said.contains("index busy_n is removed, and the next run goes on behind it"), "{said}");
    assert_eq!((database.value(INDEXES), database.value(UNITS)), (String::new(), "0done".into()));
    completes(&one("DROP INDEX CONCURRENTLY busy_n", LONG), &database.options()).await;
    assert_eq!(database.value(APPLIED), "1");
}

#[tokio::test]
async fn a_removal_that_cannot_be_finished_is_said_and_finished_by_the_next_run() {
    let database = tables();
    let options = database.options();
    let mut reader = session(&options).await;
    reader.execute("BEGIN; SELECT FROM busy").await.unwrap();
    let drop = "DROP INDEX CONCURRENTLY busy_n";
    let run = soon(apply(&one(drop, SHORT), &options)).await.unwrap();
    let said = failure(&run);
    assert_eq!(run.outcome, Some(Outcome::LockNotObtained), "{said}");
    assert!(
        said.contains("the invalid index busy_n is still there and could not be dropped")
            && said.ends_with("the next run of V1__i.sql removes it"),
        "{said}"
    );
    assert_eq!(database.value(INDEXES), "busy_n f");
    reader.execute("COMMIT").await.unwrap();
    completes(&one(drop, LONG), &options).await;
    assert_eq!((database.value(INDEXES), database.value(UNITS)), (String::new(), String::new()));
}

#[tokio::test]
async fn a_removal_of_what_is_not_there_leaves_no_open_statement() {
    let database = tables();
    let options = database.options();
    let files = [(
        "V1__i.sql",
        "CREATE TABLE made (n int);\nDROP INDEX CONCURRENTLY IF EXISTS nowhere;\nDROP INDEX CONCURRENTLY nowhere;",
    )];
    let mut project = project(&files);
    // What it needs is looked for before the run; here it is the server that says so.
    database.run("CREATE INDEX nowhere ON busy (t)");
    project.apply.lock_wait = LONG;
    let run = apply(&project, &options).await.unwrap();
    assert!(failure(&run).contains("index \"nowhere\" does not exist (42704)"), "{}", failure(&run));
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    assert_eq!(database.value(UNITS), "0done 1done");
}

/// Kills a run of its own once its statement waits, and waits until the server has noticed.
async fn killed_while_it_waits(database: &Database, statement: &str) -> Folder {
    let mut watcher = session(&database.options()).await;
    let folder = Folder::with(&[("V1__a.sql", "CREATE TABLE log (what text);"), ("V2__i.sql", statement)]);
    let child = process(&folder, database).spawn().unwrap();
    until(&mut watcher, BUILD_WAITS, "1").await;
    kill(child);
    until(&mut watcher, RUNNERS, "0").await;
    assert_eq!(value(&mut watcher, UNITS).await, "0started");
    folder
}

#[tokio::test]
async fn a_rebuild_that_is_killed_is_cleaned_up_and_run_again() {
    let long = "i".repeat(63);
    let cut = format!("{}_ccnew", "i".repeat(57));
    for (statement, index, left) in [
        ("REINDEX INDEX CONCURRENTLY busy_n", "busy_n", "busy_n_ccnew"),
        ("REINDEX TABLE CONCURRENTLY busy", "busy_n", "busy_n_ccnew pg_toast.pg_toast_TOAST_index_ccnew"),
        ("REINDEX INDEX CONCURRENTLY LONG", &long, &cut),
    ] {
        let database = tables();
        if index == long {
            database.run(&format!("CREATE INDEX {long} ON busy (t)"));
        }
        let toast = database.value("SELECT 'busy'::regclass::oid");
        let before = file(&database, index);
        let mut writer = session(&database.options()).await;
        writer.execute("BEGIN; INSERT INTO busy VALUES (0)").await.unwrap();
        let folder = killed_while_it_waits(&database, &statement.replace("LONG", &long)).await;
        assert_eq!(database.value(INVALID), left.replace("TOAST", &toast), "{statement}");
        writer.execute("COMMIT").await.unwrap();
        completes(&folder.load(), &database.options()).await;
        assert_eq!(
            (database.value(INVALID), database.value(UNITS)),
            (String::new(), String::new()),
            "{statement}"
        );
        assert_ne!(file(&database, index), before, "{statement}: it was built anew");
        assert_eq!(database.value(APPLIED), "1 2", "{statement}");
    }
}

#[tokio::test]
async fn a_removal_that_is_killed_is_finished_by_the_next_run() {
    let database = tables();
    let mut reader = session(&database.options()).await;
    reader.execute("BEGIN; SELECT FROM busy").await.unwrap();
    let folder = killed_while_it_waits(&database, "DROP INDEX CONCURRENTLY busy_n").await;
    assert_eq!(database.value(INDEXES), "busy_n f");
    reader.execute("COMMIT").await.unwrap();
    completes(&folder.load(), &database.options()).await;
    assert_eq!((database.value(INDEXES), database.value(UNITS)), (String::new(), String::new()));
    assert_eq!(database.value(APPLIED), "1 2");
}

/// Killed between the end of the removal and its record: what the file needed before is gone, and that is right.
#[tokio::test]
async fn a_removal_that_is_done_and_not_recorded_is_recorded_by_the_next_run() {
    let database = tables();
    let mut reader = session(&database.options()).await;
    reader.execute("BEGIN; SELECT FROM busy").await.unwrap();
    let folder = killed_while_it_waits(&database, "DROP INDEX CONCURRENTLY busy_n").await;
    reader.execute("COMMIT").await.unwrap();
    database.run("DROP INDEX busy_n");
    completes(&folder.load(), &database.options()).await;
    assert_eq!(database.value(APPLIED), "1 2");
    assert_eq!(database.value(UNITS), "");
}

/// The unfinished index of another session's rebuild of the same table is not ours to drop.
#[tokio::test]
async fn what_another_session_is_building_is_left_alone() {
    let database = tables();
    let options = database.options();
    database.run("CREATE INDEX busy_t ON busy (t)");
    let mut writer = session(&options).await;
    writer.execute("BEGIN; INSERT INTO busy VALUES (0)").await.unwrap();
    let mut other = session(&options).await;
    let building = async { other.execute("REINDEX INDEX CONCURRENTLY busy_t").await };
    let mut watcher = session(&options).await;
    let ours = async {
        until(&mut watcher, BUILD_WAITS, "1").await;
        assert_eq!(value(&mut watcher, INVALID).await, "busy_t_ccnew");
        let run = soon(apply(&one("REINDEX TABLE CONCURRENTLY busy", SHORT), &options)).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::LockNotObtained), "{}", failure(&run));
        // As after a crash: what it would have left is looked for before it runs again.
        let text = "REINDEX TABLE CONCURRENTLY busy";
        let project = one(text, SHORT);
        let script = Script::analyse(&project.migrations[0], &project.vars);
        let (migration, part) = (&project.migrations[0], &script.parts.list[0]);
        let begun =
            UnitRecord { project: "p", run: "gone", migration, unit: 0, part, done: false, found: None };
        let kept = units::keep_text("p", "gone", migration, script.parts.text.as_deref());
        watcher.execute(&format!("{}; {kept}", units::upsert(&begun))).await.unwrap();
        let run = soon(apply(&project, &options)).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::LockNotObtained), "{}", failure(&run));
        assert_eq!(value(&mut watcher, INVALID).await, "busy_t_ccnew");
        writer.execute("COMMIT").await.unwrap();
    };
    let (built, ()) = soon(async { tokio::join!(building, ours) }).await;
    built.unwrap();
    assert_eq!(database.value(INDEXES), "busy_n t, busy_t t");
    completes(&one("REINDEX TABLE CONCURRENTLY busy", LONG), &options).await;
}

#[tokio::test]
async fn what_is_left_in_partitions_is_found() {
    let database = tables();
    let options = database.options();
    let version: u32 = database.value("SHOW server_version_num").parse().unwrap();
    if version < 140_000 {
        return; // REINDEX of a partitioned table came with 14.
    }
    database.run(
        "CREATE TABLE parted (n int) PARTITION BY RANGE (n); CREATE INDEX parted_n ON parted (n);
         CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10)",
    );
    for what in ["REINDEX TABLE CONCURRENTLY parted", "REINDEX INDEX CONCURRENTLY parted_n"] {
        let mut old = session(&options).await;
        old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM other").await.unwrap();
        let run = soon(apply(&one(what, SHORT), &options)).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::LockNotObtained), "{what}: {}", failure(&run));
        assert_eq!(
            (database.value(INVALID), database.value(UNITS)),
            (String::new(), String::new()),
            "{what}"
        );
        old.execute("COMMIT").await.unwrap();
        completes(&one(what, LONG), &options).await;
        database.run("DROP SCHEMA cutover CASCADE");
    }
}

/// After a crash an index of the right name is not enough: somebody else may have made another one meanwhile.
#[tokio::test]
async fn another_index_of_that_name_is_not_taken_for_ours() {
    let database = database();
    let options = database.options();
    let text = "CREATE UNIQUE INDEX CONCURRENTLY ix ON public.t (n, (lower(s) || 'x')) INCLUDE (m) WHERE t.n > 0 AND s <> 'a';";
    let project = begun(&database, text).await;
    for other in [
        "INDEX ix ON t (n, (lower(s) || 'x')) INCLUDE (m) WHERE n > 0 AND s <> 'a'",
        "UNIQUE INDEX ix ON t (m, (lower(s) || 'x')) INCLUDE (n) WHERE n > 0 AND s <> 'a'",
        "UNIQUE INDEX ix ON t (n, (lower(s) || 'x'), m) WHERE n > 0 AND s <> 'a'",
        "UNIQUE INDEX ix ON t (n, (lower(s) || 'x')) INCLUDE (m)",
        "UNIQUE INDEX ix ON t (n, (lower(s) || 'x')) INCLUDE (m) WHERE n > 1 AND s <> 'a'",
        "UNIQUE INDEX ix ON t (n, (upper(s) || 'x')) INCLUDE (m) WHERE n > 0 AND s <> 'a'",
        "UNIQUE INDEX ix ON t (n, lower(s)) INCLUDE (m) WHERE n > 0 AND s <> 'a'",
        "UNIQUE INDEX ix ON t (n DESC, (lower(s) || 'x')) INCLUDE (m) WHERE n > 0 AND s <> 'a'",
        "UNIQUE INDEX ix ON t (n, (lower(s) || 'x') COLLATE \"C\") INCLUDE (m) WHERE n > 0 AND s <> 'a'",
        "UNIQUE INDEX ix ON t (n, (lower(s) || 'x') text_pattern_ops) INCLUDE (m) WHERE n > 0 AND s <> 'a'",
        "UNIQUE INDEX ix ON t (n, (lower(s) || 'x')) INCLUDE (m) WITH (fillfactor = 50) WHERE n > 0 AND s <> 'a'",
        "INDEX ix ON t USING hash (n) WHERE n > 0",
    ] {
        database.run(&format!("CREATE {other}"));
        let run = apply(&project, &options).await.unwrap();
        let said = failure(&run);
        assert_eq!(run.outcome, Some(Outcome::NeedsDecision), "{other}: {said}");
        assert!(
            said.contains("index ix is there, but it is not what the statement makes\n  there:     "),
            "{said}"
        );
        assert!(said.contains("\n  statement: UNIQUE USING btree (n, ((lower(s) || 'x'::text)))"), "{said}");
        database.run("DROP INDEX ix");
    }
    database.run("CREATE UNIQUE INDEX ix ON t (n, ((lower((s)) || 'x'::text))) INCLUDE (m) WHERE ((n) > 0::int) AND ((s <> 'a'::text))");
    completes(&project, &options).await;
    assert_eq!(database.value(APPLIED), "1 2");
    assert_eq!(database.value("SELECT count(*) FROM pg_class WHERE relname = 't'"), "1", "the copy is gone");
}

/// The table is made, and the second file was begun by a run that is gone.
async fn begun(database: &Database, text: &str) -> Project {
    let project = project(&[
        ("V1__t.sql", "CREATE TABLE t (gone int, n int, m int, s text); ALTER TABLE t DROP COLUMN gone;"),
        ("V2__i.sql", text),
    ]);
    let first = Request {
        selection: cutover::plan::select::Selection { to: Some("1".into()), ..Default::default() },
        ..Request::default()
    };
    apply_with(&project, &database.options(), &first).await.unwrap();
    let script = Script::analyse(&project.migrations[1], &project.vars);
    let (migration, part) = (&project.migrations[1], &script.parts.list[0]);
    let begun = UnitRecord { project: "p", run: "gone", migration, unit: 0, part, done: false, found: None };
    let kept = units::keep_text("p", "gone", migration, script.parts.text.as_deref());
    database.run(&format!("{}; {kept}", units::upsert(&begun)));
    project
}

#[tokio::test]
async fn what_cannot_be_compared_is_asked_about() {
    let database = database();
    let options = database.options();
    // The condition names the schema too, which the copy is not in.
    let text = "CREATE INDEX CONCURRENTLY ix ON public.t (n) WHERE public.t.n > 0;";
    let project = begun(&database, text).await;
    database.run(&text.replace("CONCURRENTLY ", ""));
    let run = apply(&project, &options).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::NeedsDecision), "{}", failure(&run));
    assert!(
        failure(&run).contains("whether it is what the statement makes could not be found out: "),
        "{}",
        failure(&run)
    );
}

/// Only what the journal knows to be begun by this project may be removed.
#[tokio::test]
async fn an_invalid_index_that_is_not_ours_is_refused() {
    let database = tables();
    let options = database.options();
    database.run("INSERT INTO busy VALUES (1, 'b')");
    let mut other = session(&options).await;
    other.execute("CREATE UNIQUE INDEX CONCURRENTLY mine ON busy (n)").await.unwrap_err();
    assert_eq!(database.value(INVALID), "mine");
    for exists in ["", "IF NOT EXISTS "] {
        let text = format!("CREATE INDEX CONCURRENTLY {exists}mine ON busy (n)");
        let run = apply(&one(&text, LONG), &options).await.unwrap();
        let said = failure(&run);
        assert_eq!(run.outcome, Some(Outcome::FailedClean), "{said}");
        assert!(said.contains("V1__i.sql: index public.mine exists already and is not valid"), "{said}");
        assert_eq!(said.contains("IF NOT EXISTS would leave it so"), !exists.is_empty(), "{said}");
        assert!(said.contains("hint: DROP INDEX CONCURRENTLY public.mine, and"), "{said}");
        assert_eq!(database.value(INVALID), "mine", "{text}");
        assert_eq!(database.value("SELECT count(*) FROM cutover.unit"), "0");
    }
    database.run("DROP INDEX mine");
    completes(&one("CREATE INDEX CONCURRENTLY mine ON busy (n)", LONG), &options).await;
    assert_eq!(database.value(INDEXES), "busy_n t, mine t");
}

/// What is left of ours stays ours until it is gone, however often its removal fails.
#[tokio::test]
async fn an_invalid_index_of_ours_is_removed_in_the_end() {
    let database = tables();
    let options = database.options();
    let build = "CREATE INDEX CONCURRENTLY mine ON busy (t)";
    let mut writer = session(&options).await;
    writer.execute("BEGIN; INSERT INTO busy VALUES (0)").await.unwrap();
    let folder = killed_while_it_waits(&database, build).await;
    for _ in 0..2 {
        let mut project = folder.load();
        project.apply.lock_wait = SHORT;
        let run = soon(apply(&project, &options)).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::LockNotObtained), "{}", failure(&run));
        assert_eq!((database.value(INVALID), database.value(UNITS)), ("mine".into(), "0started".into()));
    }
    writer.execute("COMMIT").await.unwrap();
    completes(&folder.load(), &options).await;
    assert_eq!((database.value(INDEXES), database.value(UNITS)), ("busy_n t, mine t".into(), String::new()));
}

/// Ends the session in which a run's statement waits for a reader.
async fn worker_is_ended(database: &Database, statement: &'static str) {
    let options = database.options();
    let mut reader = session(&options).await;
    reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM busy").await.unwrap();
    let mut watcher = session(&options).await;
    let waits = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'cutover/%' \
                 AND state = 'active' AND wait_event = 'virtualxid'";
    let project = one(statement, LONG);
    let ending = async {
        until(&mut watcher, &format!("SELECT count(*) {waits}"), "1").await;
        watcher.execute(&format!("SELECT pg_terminate_backend(pid) {waits}")).await.unwrap();
    };
    let (run, ()) = soon(async { tokio::join!(apply(&project, &options), ending) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::ConnectionLost), "{}", failure(&run));
    reader.execute("COMMIT").await.unwrap();
    assert!(database.value(UNITS).starts_with("0started"));
}

/// A drop that was cut off is about the index that was there, not about whatever has its name by then.
#[tokio::test]
async fn another_index_of_the_name_is_not_dropped() {
    let database = tables();
    worker_is_ended(&database, "DROP INDEX CONCURRENTLY busy_n").await;
    database.run("DROP INDEX busy_n; CREATE INDEX busy_n ON busy (t)");
    completes(&one("DROP INDEX CONCURRENTLY busy_n", LONG), &database.options()).await;
    assert_eq!(database.value(INDEXES), "busy_n t");
}

/// What was invalid before a rebuild began is not left behind by it, whatever its name.
#[tokio::test]
async fn invalid_indexes_that_were_there_before_a_rebuild_are_spared() {
    let database = tables();
    let rebuild = "REINDEX INDEX CONCURRENTLY busy_n";
    database.run(
        "CREATE INDEX busy_n_ccnew7 ON busy (t); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'busy_n_ccnew7'::regclass",
    );
    // In the run itself …
    let mut old = session(&database.options()).await;
    old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM other").await.unwrap();
    let run = soon(apply(&one(rebuild, SHORT), &database.options())).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::LockNotObtained), "{}", failure(&run));
    old.execute("COMMIT").await.unwrap();
    assert_eq!(database.value(INVALID), "busy_n_ccnew7");
    // … and in the next one.
    worker_is_ended(&database, rebuild).await;
    assert_eq!(database.value(INVALID), "busy_n_ccnew busy_n_ccnew7");
    completes(&one(rebuild, LONG), &database.options()).await;
    assert_eq!(database.value(INVALID), "busy_n_ccnew7");
}

/// The server passes over it and says no more than that.
#[tokio::test]
async fn if_not_exists_does_not_pass_over_what_is_no_such_index() {
    let database = tables();
    let statement = "CREATE INDEX CONCURRENTLY IF NOT EXISTS same ON busy (t)";
    for (made, words) in [
        ("CREATE INDEX same ON other (n)", "same is the name of an index of table other: IF NOT EXISTS"),
        ("DROP INDEX same; CREATE VIEW same AS SELECT 1", "same is the name of a view: IF NOT EXISTS"),
    ] {
        database.run(made);
        let run = apply(&one(statement, LONG), &database.options()).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::FailedClean), "{}", failure(&run));
        assert!(failure(&run).contains(words), "{}", failure(&run));
        assert_eq!(database.value(UNITS), "");
    }
    database.run("DROP VIEW same");
    completes(&one(statement, LONG), &database.options()).await;
    assert_eq!(database.value(INDEXES), "busy_n t, same t");
}
