//! The session that holds the runner's lock is lost while the worker lives: ended, cut off, or silent.

use std::time::Duration;

use cutover::Project;
use cutover::apply::{ApplyError, Request};
use cutover::history::journal::{Numbered, insert_events};
use cutover::run::{EventKind, Outcome, Run, RunEvent};
use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;
use testkit::proxy::{ConnectionKind, Direction, Hold, Message, Point, Stall, When};
use testkit::{Database, Proxy, database, role};

use crate::support::{
    APPLIED, Gate, RUNNERS, WAIT_AT_GATE, apply, apply_watched, completes, failure, finished, project,
    session, soon, until, value,
};

/// Process that holds the runner's lock, 0 where none does.
const HOLDER: &str =
    "SELECT coalesce(max(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid <> 77
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
/// The runner's lock, as somebody else would take it.
const LOCK_KEY: i64 = 0x6375_746f_7665_7201;
const LOG: &str = "SELECT coalesce(string_agg(what, ' ' ORDER BY what), '') FROM log";

/// The second migration waits at the gate.
fn slow() -> Project {
    let second = format!("INSERT INTO log VALUES ('2a');\n{WAIT_AT_GATE}\nINSERT INTO log VALUES ('2b');");
    project(&[
        ("V1__a.sql", "CREATE TABLE log (what text);"),
        ("V2__b.sql", &second),
        ("V3__c.sql", "INSERT INTO log VALUES ('3');"),
    ])
}

async fn end(session: &mut Session, process: &str) {
    assert_ne!(process, "0");
    value(session, &format!("SELECT pg_terminate_backend({process})")).await;
}

/// Returns once another process than this one holds the lock.
async fn another_holder(session: &mut Session, old: &str) {
    until(session, &format!("SELECT ({HOLDER}) NOT IN (0, {old})"), "t").await;
}

/// What a run says of its lock, in order; `L` lost, `R` regained.
fn told(run: &Run) -> (String, Vec<String>) {
    let mut marks = String::new();
    let mut whys = Vec::new();
    for event in &run.events {
        match &event.kind {
            EventKind::RunnerLockLost { why } => {
                marks.push('L');
                whys.push(why.clone());
            }
            EventKind::RunnerLockRegained { .. } => marks.push('R'),
            _ => {}
        }
    }
    (marks, whys)
}

fn in_journal(database: &Database) -> String {
    database.value(
        "SELECT coalesce(string_agg(event->>'event', ' ' ORDER BY seq), '') FROM cutover.event
          WHERE event->>'event' ~ '^runner_lock_'",
    )
}

#[tokio::test]
async fn an_ended_session_is_replaced_while_a_statement_runs() {
    let database = database();
    let options = database.options();
    let mut gate = Gate::closed(&options).await;
    let ending = async {
        gate.reached().await;
        let holder = value(gate.session(), HOLDER).await;
        end(gate.session(), &holder).await;
        // The statement still waits: the loss was noticed during it.
        another_holder(gate.session(), &holder).await;
        gate.open().await;
    };
    let project = slow();
    let (run, ()) = soon(async { tokio::join!(apply(&project, &options), ending) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    let (marks, whys) = told(&run);
    assert_eq!(marks, "LR");
    assert!(whys[0].contains("terminating connection due to administrator command"), "{whys:?}");
    assert_eq!(database.value(LOG), "2a 2b 3");
    assert_eq!(in_journal(&database), "runner_lock_lost runner_lock_regained");
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "completed");
}

/// Ended between two steps, before anything was looked at: the next step does not begin without the lock.
#[tokio::test]
async fn an_ended_session_is_replaced_before_the_next_step() {
    let database = database();
    let options = database.options();
    // It waits for the one that it ended: the run may have the lock again before it looks.
    let ends = "DO $$ DECLARE ended int := (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()));
        BEGIN PERFORM pg_terminate_backend(ended);
          WHILE EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = ended) LOOP END LOOP; END $$;";
    let project = project(&[
        ("V1__a.sql", "CREATE TABLE log (what text);"),
        ("V2__b.sql", ends),
        ("V3__c.sql", "INSERT INTO log VALUES ('3');"),
        ("V4__d.sql", "INSERT INTO log VALUES ('4');"),
    ]);
    let run = soon(completes(&project, &options)).await;
    assert_eq!(told(&run).0, "LR");
    assert_eq!(database.value(LOG), "3 4");
    let at =
        |wanted: fn(&EventKind) -> bool| run.events.iter().position(|event| wanted(&event.kind)).unwrap();
    let regained = at(|kind| matches!(kind, EventKind::RunnerLockRegained { .. }));
    let third = at(|kind| matches!(kind, EventKind::StepStarted { path, .. } if path == "V3__c.sql"));
    assert!(regained < third, "{:?}", run.events);
}

#[tokio::test]
async fn a_lock_that_another_has_ends_the_run_before_the_next_step() {
    let database = database();
    let options = database.options();
    let mut gate = Gate::closed(&options).await;
    let mut other = session(&options).await;
    let ending = async {
        gate.reached().await;
        let holder = value(gate.session(), HOLDER).await;
        let lock = format!("SELECT pg_advisory_lock({LOCK_KEY})");
        // It waits in the server, so it is the first to have the lock.
        let waiting = other.execute(&lock);
        let ending = async {
            let waits =
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid <> 77
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            until(gate.session(), waits, "1").await;
            end(gate.session(), &holder).await;
        };
        tokio::join!(waiting, ending).0.unwrap();
        gate.open().await;
    };
    let project = slow();
    let (run, ()) = soon(async { tokio::join!(apply(&project, &options), ending) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    let said = failure(&run);
    for part in [
        "V3__c.sql: another runner has taken over (tester (pid ",
        "terminating connection due to administrator command",
        "nothing of V3__c.sql is in the database; everything reported as applied before it is",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!(finished(&run), ["1", "2"]);
    assert_eq!((database.value(APPLIED), database.value(LOG)), ("1 2".into(), "2a 2b".into()));
    // It kept nobody waiting at its end, and its own end is recorded.
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "failed_clean");
    assert_eq!(in_journal(&database), "runner_lock_lost");
    other.execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    completes(&slow(), &options).await;
    assert_eq!(database.value(LOG), "2a 2b 3");
}

/// Another runner took over and was done before this one could look: the fencing token tells.
#[tokio::test]
async fn a_lock_that_another_has_had_ends_the_run_too() {
    let database = database();
    let options = database.options();
    database.run("CREATE TABLE held (n int)");
    let project = project(&[("V1__a.sql", "ALTER TABLE held ADD m int;"), ("V2__b.sql", "SELECT 1;")]);
    let mut reader = session(&options).await;
    reader.execute("BEGIN; SELECT FROM held").await.unwrap();
    let (sent, waits) = tokio::sync::oneshot::channel();
    let mut sent = Some(sent);
    let mut sink = |event: &RunEvent| {
        if matches!(event.kind, EventKind::LockWaiting { .. })
            && let Some(sent) = sent.take()
        {
            let _ = sent.send(());
        }
    };
    let (request, stop) = (Request::default(), Stop::new());
    let run = apply_watched(&project, &options, &request, &stop, &mut sink);
    let taking_over = async {
        waits.await.unwrap();
        let mut other = session(&options).await;
        let holder = value(&mut other, HOLDER).await;
        // No transaction of the runner holds the fencing row for long.
        other.execute("UPDATE cutover.fence SET token = token + 1, run = 'other'").await.unwrap();
        end(&mut other, &holder).await;
        until(&mut other, RUNNERS, "1").await;
        reader.execute("COMMIT").await.unwrap();
    };
    let (run, ()) = soon(async { tokio::join!(run, taking_over) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::FailedClean));
    assert!(failure(&run).contains("V1__a.sql: another runner has taken over"), "{}", failure(&run));
    assert_eq!(database.value(APPLIED), "");
}

#[tokio::test]
async fn a_lock_that_cannot_be_had_again_ends_the_run_and_says_why() {
    let owner = role("");
    let database = database();
    database.give_to(&owner);
    let options = database.options_as(&owner);
    let mut gate = Gate::closed(&database.options()).await;
    let ending = async {
        gate.reached().await;
        let holder = value(gate.session(), HOLDER).await;
        let limit = format!("ALTER ROLE {} CONNECTION LIMIT 0", owner.name);
        gate.session().execute(&limit).await.unwrap();
        end(gate.session(), &holder).await;
        until(gate.session(), HOLDER, "0").await;
        gate.open().await;
    };
    let project = slow();
    let (run, ()) = soon(async { tokio::join!(apply(&project, &options), ending) }).await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::ConnectionLost));
    let said = failure(&run);
    for part in [
        "V3__c.sql: the session that held the runner's lock was lost (",
        "it could not be had again: cannot connect to",
        "too many connections for role",
        "nothing of V3__c.sql is in the database; everything reported as applied before it is",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!((database.value(APPLIED), database.value(LOG)), ("1 2".into(), "2a 2b".into()));
    database.run(&format!("ALTER ROLE {} CONNECTION LIMIT -1", owner.name));
    completes(&slow(), &options).await;
    assert_eq!(database.value(LOG), "2a 2b 3");
    drop((gate, database));
}

/// What swallows, and keeps swallowing: a session that it knows of has to be ended, for it does not end by itself.
type Swallowing = (Vec<Stall>, Proxy);

/// A run through a proxy that swallows all of its monitor's traffic once the second step is at the gate, and what
/// `then` does after that.
async fn with_a_silent_monitor(
    database: &Database,
    stop: &Stop,
    then: impl AsyncFnOnce(&mut Gate, String, &Proxy) -> (),
) -> (Result<Run, ApplyError>, Swallowing) {
    let proxy = Proxy::start(database.server());
    let through: ConnectOptions = proxy.server().options(database.name());
    let mut gate = Gate::closed(&database.options()).await;
    let silencing = async {
        gate.reached().await;
        let holder = value(gate.session(), HOLDER).await;
        // The first connection of a run is the one that takes the lock.
        let stall = proxy.stall(0);
        let stall = tokio::task::spawn_blocking(move || {
            stall.wait_reached();
            stall
        });
        let stall = stall.await.unwrap();
        then(&mut gate, holder, &proxy).await;
        stall
    };
    let (project, request) = (slow(), Request::default());
    let mut sink = |_: &RunEvent| {};
    let run = apply_watched(&project, &through, &request, stop, &mut sink);
    let (run, stall) = soon(async { tokio::join!(run, silencing) }).await;
    assert!(proxy.connections().contains(&ConnectionKind::Session));
    (run, (vec![stall], proxy))
}

/// Whoever connects from now on is held before the first question, so that nobody takes the lock meanwhile.
fn nobody_new(proxy: &Proxy) -> Vec<Hold> {
    let (direction, message, when) = (Direction::Frontend, 1, When::Before);
    let next = proxy.connections().len();
    let point = |connection| Point { connection: Some(connection), direction, message, when };
    (next..next + 20).map(|connection| proxy.hold(point(connection))).collect()
}

#[tokio::test]
async fn a_silent_session_is_replaced_while_a_statement_runs() {
    let database = database();
    let stop = Stop::new();
    let (run, stall) = with_a_silent_monitor(&database, &stop, async |gate, holder, _| {
        // The server knows nothing of the loss: the old session is ended to have its lock.
        another_holder(gate.session(), &holder).await;
        gate.open().await;
    })
    .await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    let (marks, whys) = told(&run);
    assert_eq!((marks.as_str(), whys[0].as_str()), ("LR", "it did not answer within 5 s"));
    assert_eq!(database.value(LOG), "2a 2b 3");
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "completed");
    drop(stall);
}

/// The request is awaited and goes on while the look hangs; only the end of the run needs the session again.
#[tokio::test]
async fn a_silent_session_holds_up_no_statement() {
    let database = database();
    let stop = Stop::new();
    let (run, stall) = with_a_silent_monitor(&database, &stop, async |gate, holder, proxy| {
        let _held = nobody_new(proxy);
        gate.open().await;
        until(gate.session(), APPLIED, "1 2 3").await;
        assert_eq!(value(gate.session(), HOLDER).await, holder, "the look was not waited for");
    })
    .await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed), "{}", failure(&run));
    assert_eq!(told(&run).0, "LR");
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "completed");
    // The old session does not keep its lock.
    database.becomes(RUNNERS, "0");
    drop(stall);
}

#[tokio::test]
async fn a_request_to_cancel_is_heard_while_a_look_hangs() {
    let database = database();
    let stop = Stop::new();
    let (run, stall) = with_a_silent_monitor(&database, &stop, async |gate, holder, proxy| {
        let _held = nobody_new(proxy);
        stop.request();
        stop.request();
        let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        until(gate.session(), waits, "0").await;
        assert_eq!(value(gate.session(), HOLDER).await, holder, "the look was not waited for");
    })
    .await;
    let run = run.unwrap();
    assert_eq!(run.outcome, Some(Outcome::Interrupted), "{}", failure(&run));
    assert_eq!((database.value(APPLIED), database.value(LOG)), ("1".into(), String::new()));
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "interrupted");
    drop(stall);
}

/// What is told is stored right after it: here on a session whose traffic is swallowed from then on.
#[tokio::test]
async fn a_record_of_the_beginning_that_is_never_answered_ends_the_run() {
    let database = database();
    let proxy = Proxy::start(database.server());
    let through: ConnectOptions = proxy.server().options(database.name());
    let mut stall = None;
    let mut sink = |event: &RunEvent| {
        if let EventKind::RunStarted { .. } = event.kind {
            stall = Some(proxy.stall(0));
        }
    };
    let (project, request, stop) = (slow(), Request::default(), Stop::new());
    let run = soon(apply_watched(&project, &through, &request, &stop, &mut sink)).await;
    let said = run.unwrap_err().to_string();
    assert!(stall.is_some());
    assert!(said.starts_with("recording that the run begins: ") && said.contains("within 15 s"), "{said}");
    assert!(
        said.ends_with("whether the run is recorded is not known, and the next run begins anew"),
        "{said}"
    );
    assert_eq!(database.value("SELECT to_regclass('log') IS NULL"), "t");
    drop(stall);
    let run = completes(&slow_without_gate(), &database.options()).await;
    assert_eq!(finished(&run), ["1"]);
}

fn slow_without_gate() -> Project {
    project(&[("V1__a.sql", "CREATE TABLE log (what text);")])
}

/// Applies through a proxy that swallows these connections from this event on.
async fn swallowed_from(
    database: &Database,
    connections: std::ops::Range<usize>,
    from: fn(&EventKind) -> bool,
) -> (Result<Run, ApplyError>, Swallowing) {
    let proxy = Proxy::start(database.server());
    let through: ConnectOptions = proxy.server().options(database.name());
    let mut stalls = Vec::new();
    let mut sink = |event: &RunEvent| {
        if from(&event.kind) {
            stalls.extend(connections.clone().map(|connection| proxy.stall(connection)));
        }
    };
    let (project, request, stop) = (slow_without_gate(), Request::default(), Stop::new());
    let run = apply_watched(&project, &through, &request, &stop, &mut sink);
    let run = tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends");
    (run, (stalls, proxy))
}

/// The answer to the last record of a run is swallowed: it is stored once more on another session, and is there once.
#[tokio::test]
async fn a_record_of_the_end_that_is_never_answered_is_stored_on_another_session() {
    let database = database();
    let (run, stalls) =
        swallowed_from(&database, 0..1, |kind| matches!(kind, EventKind::RunFinished { .. })).await;
    assert_eq!(stalls.0.len(), 1);
    assert_eq!(run.unwrap().outcome, Some(Outcome::Completed));
    assert_eq!(database.value("SELECT string_agg(outcome, ' ') FROM cutover.run"), "completed");
    let ends = "SELECT count(*) FROM cutover.event WHERE event->>'event' = 'run_finished'";
    assert_eq!(database.value(ends), "1");
    // The old session does not keep its lock.
    database.becomes(RUNNERS, "0");
    drop(stalls);
}

/// A network that swallows everything, also what is tried anew: the run ends, and says what is known.
#[tokio::test]
async fn a_run_whose_end_nobody_hears_of_ends_and_says_what_is_known() {
    let database = database();
    let (run, stalls) =
        swallowed_from(&database, 0..20, |kind| matches!(kind, EventKind::RunFinished { .. })).await;
    let error = run.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ApplyError::Journal { .. }), "{error:?}");
    for part in [
        "the run could not be recorded: the connection to the server was lost: it did not answer within 15 s, and the server cannot be reached anew\n",
        "every migration was committed, but it is not known whether all of them are on disk",
        "the next run looks, and waits for the disk; `cutover status` says what is applied",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    drop(stalls);
    assert_eq!(database.value(APPLIED), "1");
    // The server finds out that the session is gone, and the next run waits for that.
    let run = apply(&slow_without_gate(), &database.options()).await.unwrap();
    assert_eq!(run.outcome, Some(Outcome::NothingToDo), "{}", failure(&run));
}

/// What waits for the disk is waited for: the server is at work on it.
#[tokio::test]
async fn a_record_of_the_end_that_takes_long_is_waited_for() {
    let database = database();
    let slow_commit = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM pg_sleep(17); RETURN NULL; END $f$;
         CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON cutover.run DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION slow()";
    let (options, project) = (database.options(), slow_without_gate());
    let mut sink = |event: &RunEvent| {
        if matches!(event.kind, EventKind::StepFinished { .. }) {
            database.run(slow_commit);
        }
    };
    let (request, stop) = (Request::default(), Stop::new());
    let run = apply_watched(&project, &options, &request, &stop, &mut sink);
    let run = tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends").unwrap();
    assert_eq!(run.outcome, Some(Outcome::Completed));
    assert_eq!(told(&run).0, "", "on the session that it was sent on");
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "completed");
}

/// What is written before there is a run: our tables, the fencing token.
#[tokio::test]
async fn tables_and_a_token_that_are_never_answered_end_the_run() {
    let (seen, project) = (database(), slow_without_gate());
    let proxy = Proxy::start(seen.server());
    completes(&project, &proxy.server().options(seen.name())).await;
    let messages = proxy.messages().into_iter();
    let queries: Vec<_> = messages
        .filter(|message| {
            (message.connection, message.direction, message.tag) == (0, Direction::Frontend, b'Q')
        })
        .collect();
    // By far the largest text on that session creates the tables; the one behind it takes the token.
    let create = queries.iter().position(|query| query.length > 2000).unwrap();
    // Dropped when both runs are over: DROP DATABASE waits for every login that is under way, and blocks this thread, which
    // may have one half done.
    let databases = (database(), database());
    let swallowed = async |database: &Database, query: Message, doing: &str, state: &str| {
        let proxy = Proxy::start(database.server());
        let hold = proxy.hold(query.point(When::Before));
        let through: ConnectOptions = proxy.server().options(database.name());
        let run = apply(&project, &through);
        let run = tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends");
        hold.wait_reached();
        let said = run.unwrap_err().to_string();
        assert!(said.starts_with(doing) && said.contains("it did not answer within 15 s"), "{said}");
        assert!(said.ends_with(state), "{said}");
        drop((hold, proxy));
        completes(&project, &database.options()).await;
    };
    let creating = swallowed(
        &databases.0,
        queries[create],
        "creating or upgrading the tables in schema cutover: ",
        "no migration was applied; whether schema cutover was created or upgraded is not known, and the next run looks",
    );
    let token = swallowed(
        &databases.1,
        queries[create + 1],
        "preparing the run: ",
        "schema cutover was created; no migration was applied",
    );
    tokio::join!(creating, token);
}

/// What was sent and never answered is sent again, and may be there.
#[tokio::test]
async fn an_event_that_is_stored_twice_is_there_once() {
    let database = database();
    let run = completes(&project(&[("V1__a.sql", "CREATE TABLE a ();")]), &database.options()).await;
    let again = insert_events("other", &[Numbered { seq: 1, event: run.events[0].clone() }]);
    database.run(&again);
    database.run(&again);
    assert_eq!(database.value("SELECT count(*) FROM cutover.event WHERE run = 'other'"), "1");
}
