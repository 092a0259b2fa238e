//! The connection is cut at every message of a run, in both directions.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;
use testkit::proxy::{Direction, How, Message, Point, Scope, When};
use testkit::{Database, Proxy, catalogue_dump, database};

use crate::checked::{
    agree, checked_project, empty, next_run_completes, told_the_truth, undisturbed, undisturbed_with,
};
use crate::support::{Gate, apply, apply_with, completes, failure, project, session, until};
use cutover::apply::Request;
use cutover::run::Outcome;

/// Where, how, and which connections.
type Cut = (Point, How, Scope);

/// Everything that is asked after one cut. Says whether the cut happened: how many questions the [`MONITOR`] asks
/// depends on how long the worker takes, so a late message of one run may be missing in another.
async fn cut_at(
    (point, how, scope): Cut,
    jobs: usize,
    database: &Database,
    session: &mut Session,
    expected: &str,
) -> bool {
    let proxy = Proxy::start(database.server());
    proxy.cut(point, how, scope);
    let (direct, through): (ConnectOptions, ConnectOptions) =
        (database.options(), proxy.server().options(database.name()));
    let what = format!("{point:?} {how:?} {scope:?}");
    let request = Request { jobs, ..Request::default() };
    let result = apply_with(&checked_project(), &through, &request).await;
    let aftermath = agree(session, &what).await;
    told_the_truth(&result, &aftermath, &what);
    next_run_completes(&checked_project(), &direct, session, expected, &what).await;
    empty(session).await;
    proxy.cuts() == 1
}

/// Number of the session that holds the runner's lock and looks who is in the way.
const MONITOR: Option<usize> = Some(0);

pub(crate) fn run_async<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The messages of an undisturbed run, and what it leaves.
pub(crate) fn learn() -> (Vec<Message>, String) {
    learn_of(1)
}

fn learn_of(jobs: usize) -> (Vec<Message>, String) {
    let database = database();
    let proxy = Proxy::start(database.server());
    let through = proxy.server().options(database.name());
    let request = Request { jobs, ..Request::default() };
    let expected = run_async(async { undisturbed_with(&through, &request).await });
    let dump = catalogue_dump(&database.options(), &["cutover"]);
    let direct = testkit::database();
    run_async(async { undisturbed(&direct.options()).await });
    assert_eq!(catalogue_dump(&direct.options(), &["cutover"]), dump);
    // The last connection is that of the test's own question.
    let last = proxy.connections().len() - 1;
    let messages = proxy.messages().into_iter().filter(|message| message.connection != last);
    (without_the_middle_of_long_answers(messages.collect()), expected)
}

/// An answer of hundreds of rows (what the database is made of, read at the end of a run) is lost alike wherever it is cut:
/// its beginning and its end are enough.
fn without_the_middle_of_long_answers(messages: Vec<Message>) -> Vec<Message> {
    const KEPT: usize = 8;
    let mut answers: BTreeMap<(usize, Direction), Vec<Vec<Message>>> = BTreeMap::new();
    for message in messages {
        let answers =
            answers.entry((message.connection, message.direction)).or_insert_with(|| vec![Vec::new()]);
        let ended = message.tag == b'Z' || message.direction == Direction::Frontend;
        answers.last_mut().unwrap().push(message);
        if ended {
            answers.push(Vec::new());
        }
    }
    let kept = answers.into_values().flatten().flat_map(|answer| {
        let middle = KEPT..answer.len().saturating_sub(KEPT);
        let is_long = answer.len() > 5 * KEPT;
        answer
            .into_iter()
            .enumerate()
            .filter(move |(at, _)| !is_long || !middle.contains(at))
            .map(|(_, one)| one)
    });
    kept.collect()
}

/// Works off all points on two threads with a database each.
fn sweep(points: Vec<Cut>, expected: &str) {
    sweep_with(1, points, expected);
}

fn sweep_with(jobs: usize, points: Vec<Cut>, expected: &str) {
    let counts = |(point, ..): &Cut| point.connection != MONITOR;
    let total = points.iter().filter(|cut| counts(cut)).count();
    let started = Instant::now();
    let queue = Mutex::new(points);
    let hits = Mutex::new(0);
    let work = async || {
        let database = database();
        let mut session = session(&database.options()).await;
        loop {
            let Some(cut) = queue.lock().unwrap().pop() else { break };
            let happened = cut_at(cut, jobs, &database, &mut session, expected).await;
            if happened && counts(&cut) {
                *hits.lock().unwrap() += 1;
            }
        }
        session.close().await;
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| run_async(work()));
        }
    });
    let hits = *hits.lock().unwrap();
    println!("{hits} of {total} cuts happened, {:.1} s", started.elapsed().as_secs_f64());
    // On several sessions, who does what differs from run to run.
    let fewest = if jobs == 1 { 8 } else { 5 };
    assert!(hits * 10 >= total * fewest, "only {hits} of {total} cuts happened");
}

#[test]
fn cut_at_every_message_of_the_client() {
    let (messages, expected) = learn();
    let points = messages.iter().filter(|message| message.direction == Direction::Frontend);
    sweep(points.map(|message| (message.point(When::Before), How::Close, Scope::One)).collect(), &expected);
}

#[test]
fn cut_at_every_message_of_the_server() {
    let (messages, expected) = learn();
    let points = messages.iter().filter(|message| message.direction == Direction::Backend);
    sweep(points.map(|message| (message.point(When::Before), How::Close, Scope::One)).collect(), &expected);
}

/// Numbers that differ from run to run; the seed is printed with the failure's output.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = u64::from(now.subsec_nanos()) | 1;
        println!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

/// Torn messages, resets, and all connections at once: a sample that differs from run to run, for each would take as
/// long as the two above together.
#[test]
fn other_ways_to_lose_connections() {
    let (messages, expected) = learn();
    sweep(sample(&messages, 40), &expected);
}

/// Some of the connections are lost while others work on.
#[test]
fn connections_lost_side_by_side() {
    let (messages, expected) = learn_of(3);
    sweep_with(3, sample(&messages, 60), &expected);
}

fn sample(messages: &[Message], count: usize) -> Vec<Cut> {
    let mut random = Random::new();
    let points = (0..count).map(|_| {
        let message = messages[random.below(messages.len())];
        let when = [When::Before, When::Inside, When::After][random.below(3)];
        let how = [How::Close, How::Reset][random.below(2)];
        (message.point(when), how, [Scope::One, Scope::All][random.below(2)])
    });
    points.collect()
}

/// The next run does not wait until the server has noticed that the first one's connections are gone.
#[test]
fn the_next_run_may_start_at_once() {
    let (messages, expected) = learn();
    let mut random = Random::new();
    let database = database();
    for _ in 0..25 {
        let message = messages[random.below(messages.len())];
        let proxy = Proxy::start(database.server());
        proxy.cut(message.point(When::After), How::Close, Scope::All);
        let what = format!("{message:?}");
        run_async(async {
            let _ = apply(&checked_project(), &proxy.server().options(database.name())).await;
            let mut session = session(&database.options()).await;
            next_run_completes(&checked_project(), &database.options(), &mut session, &expected, &what).await;
            empty(&mut session).await;
        });
    }
}

/// The connection is lost while the server still works on a commit that has reached it: what came of it is waited
/// for, not guessed.
#[tokio::test]
async fn a_commit_on_its_way_is_waited_for() {
    // Waits at the gate when it commits. The data is answered before the commit is sent, so that nothing but the
    // commit is on its way when the connection goes.
    let first = "CREATE TABLE log (n int);
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          PERFORM set_config('lock_timeout', '0', true), pg_advisory_xact_lock_shared(77); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON log DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION wait();";
    let project = project(&[("V1__a.sql", first), ("V2__b.sql", "COPY log FROM stdin;\n2\n\\.\n")]);
    let last = {
        let database = database();
        let proxy = Proxy::start(database.server());
        completes(&project, &proxy.server().options(database.name())).await;
        // The session that changes the database is the last one opened.
        let worker = proxy.messages().iter().map(|message| message.connection).max();
        let of_worker = |message: &&Message| {
            Some(message.connection) == worker
                && message.direction == Direction::Frontend
                && message.tag == b'Q'
        };
        proxy.messages().iter().rfind(of_worker).copied().unwrap()
    };
    let database = database();
    let proxy = Proxy::start(database.server());
    let mut gate = Gate::closed(&database.options()).await;
    proxy.cut(last.point(When::After), How::Close, Scope::One);
    let through = proxy.server().options(database.name());
    let opening = async {
        let asking = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
            AND query LIKE '%cutover.fence%FOR UPDATE%'";
        until(gate.session(), asking, "1").await;
        gate.open().await;
    };
    let (run, ()) = tokio::join!(apply(&project, &through), opening);
    let run = run.unwrap();
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(run.outcome, Some(Outcome::ConnectionLost));
    let said = failure(&run);
    assert!(said.contains("V2__b.sql is applied: its commit had reached the server"), "{said}");
    assert_eq!(database.value("SELECT count(*) FROM log"), "1");
    assert_eq!(database.value("SELECT outcome FROM cutover.run"), "connection_lost");
}
