//! One runner at a time: who waits says for whom, and one that lost its lock cannot do harm.

use std::time::Duration;

use cutover::apply::{ApplyError, Request};
use cutover::history::{HistoryError, lock};
use cutover::inspect;
use cutover::plan::build::Read;
use cutover::plan::file::PlanFile;
use cutover::plan::select::Selection;
use cutover::run::{EventKind, EventSink, Outcome, RunEvent};
use cutover::stop::Stop;
use testkit::{database, role};

use crate::support::{
    APPLIED, Gate, WAIT_AT_GATE, apply, apply_watched, apply_with, completes, failure, finished, looking,
    project, session, soon, until, value,
};

/// The lock's holder, by `pg_locks`.
const MONITOR: &str =
    "SELECT coalesce(max(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid <> 77
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

fn slow() -> cutover::Project {
    let second = format!("INSERT INTO log VALUES ('2a');\n{WAIT_AT_GATE}\nINSERT INTO log VALUES ('2b');");
    project(&[
        ("V1__a.sql", "CREATE TABLE log (what text);"),
        ("V2__b.sql", &second),
        ("V3__c.sql", "INSERT INTO log VALUES ('3');"),
    ])
}

const LOG: &str = "SELECT string_agg(what, ' ' ORDER BY what) FROM log";

#[tokio::test]
async fn one_works_and_the_other_waits_and_says_for_whom() {
    let database = database();
    let options = database.options();
    let project = slow();
    let mut gate = Gate::closed(&options).await;
    let first = apply(&project, &options);
    let second = async {
        gate.reached().await;
        let monitor = value(gate.session(), MONITOR).await;
        let (mut sink, heard) = Waiting::new();
        let (request, stop) = (Request::default(), Stop::new());
        let waiting = apply_watched(&project, &options, &request, &stop, &mut sink);
        let opening = async {
            let holder = soon(heard).await.unwrap();
            gate.open().await;
            holder
        };
        let (run, holder) = tokio::join!(waiting, opening);
        (run, holder, monitor)
    };
    let (first, (second, holder, monitor)) = tokio::join!(first, second);
    let first = first.unwrap();
    assert_eq!(first.outcome, Some(Outcome::Completed));
    assert_eq!(second.unwrap().outcome, Some(Outcome::NothingToDo));
    let expected = format!("cutover/{} (pid {monitor}, postgres", first.id);
    assert!(holder.starts_with(&expected), "{holder:?}, not {expected:?}");
    assert_eq!(database.value(LOG), "2a 2b 3");
}

/// A kept plan holds as long as nothing has moved, also while the run waits for another: it is looked at once more when
/// the lock is had.
#[tokio::test]
async fn what_moves_while_a_planned_run_waits_is_named_and_nothing_is_done() {
    let database = database();
    let options = database.options();
    completes(&project(&[("V1__a.sql", "CREATE TABLE a ();")]), &options).await;
    let project = project(&[("V1__a.sql", "CREATE TABLE a ();"), ("V2__b.sql", "CREATE TABLE b ();")]);
    let plan = async || {
        let mut session = looking(&options).await;
        let around = inspect::surroundings(&options, None).await.unwrap();
        let selection = Selection::default();
        let found = inspect::database(&project, &mut session, &selection, Read::Listed).await.unwrap();
        let made = ("cutover test".to_owned(), 0);
        let plan = PlanFile::new(&project, found, selection, around, made).unwrap();
        Request { plan: Some(Box::new(plan)), ..Request::default() }
    };
    let stop = Stop::new();
    let request = plan().await;
    let mut other = session(&options).await;
    other.execute(&format!("SELECT pg_advisory_lock({})", lock::LOCK_KEY)).await.unwrap();
    let (mut sink, heard) = Waiting::new();
    let waiting = apply_watched(&project, &options, &request, &stop, &mut sink);
    let moving = async {
        soon(heard).await.unwrap();
        other.execute("ALTER TABLE a ADD n int; SELECT pg_advisory_unlock_all()").await.unwrap();
    };
    let (run, ()) = tokio::join!(waiting, moving);
    let error = run.unwrap_err();
    let names = |moved: &[String]| moved.iter().any(|line| line.contains("table a"));
    assert!(matches!(&error, ApplyError::Moved(moved) if names(moved)), "{error}");
    assert_eq!(database.value(APPLIED), "1");
    // Planned again, it holds.
    let run = apply_with(&project, &options, &plan().await).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
}

#[tokio::test]
async fn who_waits_too_long_gives_up_without_doing_anything() {
    let database = database();
    let options = database.options();
    let project = slow();
    let mut gate = Gate::closed(&options).await;
    let impatient = async {
        gate.reached().await;
        let request = Request { runner_wait: Duration::from_millis(150), ..Request::default() };
        let result = soon(apply_with(&project, &options, &request)).await;
        let stop = Stop::new();
        stop.request();
        let stopped =
            apply_watched(&project, &options, &Request::default(), &stop, &mut |_: &RunEvent| {}).await;
        gate.open().await;
        (result, stopped)
    };
    let (first, (result, stopped)) = tokio::join!(apply(&project, &options), impatient);
    let first = first.unwrap();
    assert_eq!(first.outcome, Some(Outcome::Completed));
    match result {
        Err(ApplyError::History(HistoryError::LockNotObtained { holder, .. })) => {
            assert!(holder.starts_with(&format!("cutover/{} (pid ", first.id)), "{holder}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(stopped, Err(ApplyError::History(HistoryError::Interrupted))), "{stopped:?}");
    assert_eq!(database.value("SELECT count(*) FROM cutover.run"), "1");
}

/// The first runner's lock session is ended by somebody while its worker is inside a step. A second runner gets the
/// lock, waits until the step is decided, and goes on behind it.
#[tokio::test]
async fn a_runner_that_lost_its_lock_inside_a_step_is_waited_for() {
    let database = database();
    let options = database.options();
    // The first one's own role, so that it can be kept from coming back for the lock before the second one has it.
    let role = role("");
    database.give_to(&role);
    let first_options = database.options_as(&role);
    let project = slow();
    let mut gate = Gate::closed(&options).await;
    let second = async {
        gate.reached().await;
        let monitor = value(gate.session(), MONITOR).await;
        gate.session().execute(&format!("ALTER ROLE {} NOLOGIN", role.name)).await.unwrap();
        value(gate.session(), &format!("SELECT pg_terminate_backend({monitor})")).await;
        let there = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {monitor}");
        until(gate.session(), &there, "0").await;
        let (mut sink, heard) = Waiting::new();
        let (request, stop) = (Request::default(), Stop::new());
        let waiting = apply_watched(&project, &options, &request, &stop, &mut sink);
        let opening = async {
            let holder = soon(heard).await.unwrap();
            // The second one has the lock; the first one may look for it again.
            gate.session().execute(&format!("ALTER ROLE {} LOGIN", role.name)).await.unwrap();
            gate.open().await;
            holder
        };
        tokio::join!(waiting, opening)
    };
    let (first, (second, holder)) = tokio::join!(apply(&project, &first_options), second);
    let second = second.unwrap();
    assert!(holder.starts_with("a transaction of cutover/"), "{holder}");
    // How far the first one gets before the second one has its token is a race; nothing is done twice either way.
    assert!(
        matches!(second.outcome, Some(Outcome::Completed | Outcome::NothingToDo)),
        "{}",
        failure(&second)
    );
    assert_eq!(database.value(LOG), "2a 2b 3");
    assert_eq!(database.value(APPLIED), "1 2 3");
    // Each step is recorded by the run that did it.
    let of_second = format!(
        "SELECT coalesce(string_agg(version_text, ' ' ORDER BY version), '') FROM cutover.migration WHERE run = '{}'",
        second.id
    );
    assert_eq!(database.value(&of_second), finished(&second).join(" "));
    match first {
        Ok(run) => assert_eq!(run.outcome, Some(Outcome::FailedClean), "{}", failure(&run)),
        // It got to the end of its work, and then had no session to record that with.
        Err(ApplyError::Journal { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

/// As above, but the first runner has no transaction open when the second one takes over: it is between two attempts
/// to get a lock.
#[tokio::test]
async fn a_runner_that_lost_its_lock_between_attempts_commits_nothing() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE read (n int); CREATE TABLE log (what text)");
    let project = project(&[
        ("V1__a.sql", "INSERT INTO log VALUES ('1'); ALTER TABLE read ADD m int;"),
        ("V2__b.sql", "INSERT INTO log VALUES ('2');"),
    ]);
    let mut reader = session(&options).await;
    reader.execute("BEGIN; SELECT FROM read").await.unwrap();
    let mut watcher = session(&options).await;
    let (request, stop) = (Request::default(), Stop::new());
    let (mut first_sink, first_waits) = Waiting::new();
    let first = apply_watched(&project, &options, &request, &stop, &mut first_sink);
    let second = async {
        soon(first_waits).await.unwrap();
        let monitor = value(&mut watcher, MONITOR).await;
        value(&mut watcher, &format!("SELECT pg_terminate_backend({monitor})")).await;
        let (mut sink, waits) = Waiting::new();
        let (request, stop) = (Request::default(), Stop::new());
        let run = apply_watched(&project, &options, &request, &stop, &mut sink);
        let release = async {
            // It has its token now and waits for the table, as the first one does.
            soon(waits).await.unwrap();
            reader.execute("COMMIT").await.unwrap();
        };
        tokio::join!(run, release).0
    };
    let (first, second) = tokio::join!(first, second);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(second.outcome, Some(Outcome::Completed), "{}", failure(&second));
    assert_eq!(finished(&second), ["1", "2"]);
    assert_eq!(first.outcome, Some(Outcome::FailedClean));
    assert!(failure(&first).contains("V1__a.sql: another runner has taken over"), "{}", failure(&first));
    assert!(finished(&first).is_empty());
    assert_eq!(database.value(LOG), "1 2");
}

/// The opening of the next transaction goes along with the commit of the one before; it is checked all the same. The
/// second migration does what another runner does when it takes over.
#[tokio::test]
async fn a_token_that_changes_with_a_commit_stops_the_next_step() {
    let trigger = "CREATE FUNCTION take_over() RETURNS event_trigger LANGUAGE plpgsql AS
          $$ BEGIN UPDATE cutover.fence SET token = token + 1; END $$;
        CREATE EVENT TRIGGER take_over ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION take_over();";
    // Sent with its record in one message, and in messages of its own.
    for second in ["CREATE TABLE second ();", "CREATE TABLE second (); SET search_path = public;"] {
        let database = database();
        let project = project(&[
            ("V1__a.sql", trigger),
            ("V2__b.sql", second),
            ("V3__c.sql", "CREATE TABLE third ();"),
        ]);
        let request = Request { allow: vec!["own-schema".into()], ..Request::default() };
        let run = apply_with(&project, &database.options(), &request).await.unwrap();
        assert_eq!(run.outcome, Some(Outcome::FailedClean), "{second}");
        assert!(failure(&run).contains("V3__c.sql: another runner has taken over"), "{}", failure(&run));
        assert_eq!(database.value(APPLIED), "1 2");
        assert_eq!(database.value("SELECT to_regclass('third') IS NULL"), "t");
    }
}

/// It looks many times a second who is in the way, and says so once.
#[tokio::test]
async fn a_wait_is_told_of_once() {
    let database = database();
    let first = project(&[("V1__a.sql", "CREATE TABLE first ();")]);
    completes(&first, &database.options()).await;
    let mut in_the_way = session(&database.options()).await;
    in_the_way.execute("BEGIN; SELECT FROM cutover.fence FOR SHARE").await.unwrap();
    let more = project(&[("V1__a.sql", "CREATE TABLE first ();"), ("V2__b.sql", "SELECT 1;")]);
    let request = Request { runner_wait: Duration::from_millis(700), ..Request::default() };
    let mut told = 0;
    let mut sink =
        |event: &RunEvent| told += usize::from(matches!(event.kind, EventKind::RunnerWaiting { .. }));
    let result = apply_watched(&more, &database.options(), &request, &Stop::new(), &mut sink).await;
    assert!(result.unwrap_err().to_string().contains("a transaction of"));
    assert_eq!(told, 1);
    in_the_way.close().await;
}

/// Hears the first time that a run waits, for the runner's lock or for a table.
struct Waiting(Option<tokio::sync::oneshot::Sender<String>>);

impl Waiting {
    fn new() -> (Self, tokio::sync::oneshot::Receiver<String>) {
        let (told, heard) = tokio::sync::oneshot::channel();
        (Self(Some(told)), heard)
    }
}

impl EventSink for Waiting {
    fn event(&mut self, event: &RunEvent) {
        let who = match &event.kind {
            // Blockers are seen only by a look that comes in time.
            EventKind::LockWaiting { blockers, .. } => {
                blockers.first().map(|b| b.application.clone()).unwrap_or_default()
            }
            EventKind::RunnerWaiting { holder } => holder.clone(),
            _ => return,
        };
        if let Some(told) = self.0.take() {
            let _ = told.send(who);
        }
    }
}
