//! The network swallows a message, and everything behind it in its direction: the run ends all the same, tells the truth,
//! and the next one goes on from there.

use std::sync::Mutex;
use std::time::Duration;

use cutover::adopt::{self, AdoptError};
use cutover::baseline::{self, BaselineError};
use cutover::recording::RecordError;
use cutover::repair::Mark;
use cutover::verify::SandboxProvider;
use cutover::{Project, SystemClock};
use cutover_postgres::connect::ConnectOptions;
use testkit::proxy::{Direction, Message, Point, When};
use testkit::{Proxy, database};

use crate::checked::{agree, checked_project, empty, next_run_completes, told_the_truth};
use crate::cuts::{learn, run_async};
use crate::support::{apply, project, session, settle};
use crate::undecided::{killed_in_the_second_part, unknowable};

/// Longest time that a run may take: it waits for one answer, then looks what became of it.
const LIMIT: Duration = Duration::from_secs(60);
/// Most runs at a time. Each waits most of the time, on up to four connections of the server's hundred.
const AT_ONCE: usize = 20;

/// Everything that is asked after a message was swallowed.
fn swallowed_at(point: Point, expected: &str) {
    let database = database();
    let proxy = Proxy::start(database.server());
    let hold = proxy.hold(point);
    let (direct, through): (ConnectOptions, ConnectOptions) =
        (database.options(), proxy.server().options(database.name()));
    let what = format!("{point:?}");
    run_async(async {
        let project = checked_project();
        let result = tokio::time::timeout(LIMIT, apply(&project, &through)).await;
        let Ok(result) = result else { panic!("{what}: the run does not end") };
        drop((hold, proxy));
        let mut session = session(&direct).await;
        let aftermath = agree(&mut session, &what).await;
        told_the_truth(&result, &aftermath, &what);
        next_run_completes(&project, &direct, &mut session, expected, &what).await;
        empty(&mut session).await;
    });
}

fn sweep(messages: Vec<Message>, expected: &str) {
    each(messages, |message| swallowed_at(message.point(When::Before), expected));
}

/// Does something with each message, many at a time.
fn each(messages: Vec<Message>, work: impl Fn(Message) + Sync) {
    assert!(!messages.is_empty());
    let threads = messages.len().min(AT_ONCE);
    let queue = Mutex::new(messages);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(message) = queue.lock().unwrap().pop() else { break };
                    work(message);
                }
            });
        }
    });
}

/// Ends of requests and of answers: what is between them is awaited with them.
fn is_awaited(message: &Message) -> bool {
    matches!(
        (message.direction, message.tag),
        (Direction::Frontend, b'Q' | b'S') | (Direction::Backend, b'Z')
    )
}

/// Up to the message that makes our tables, by far the longest: reading, checking, taking the lock.
#[test]
fn a_question_before_the_run_that_is_swallowed_ends_it() {
    let (messages, expected) = learn();
    let tables = messages.iter().position(|message| message.tag == b'Q' && message.length > 2000).unwrap();
    let before = messages.into_iter().take(tables + 1).filter(is_awaited);
    sweep(before.filter(|message| message.direction == Direction::Frontend).collect(), &expected);
}

/// A sample of all messages: each takes a quarter of a minute.
#[test]
fn what_is_swallowed_on_the_way_of_a_run_ends_it() {
    let (messages, expected) = learn();
    let awaited: Vec<Message> = messages.into_iter().filter(is_awaited).collect();
    let step = awaited.len() / AT_ONCE + 1;
    sweep(awaited.into_iter().step_by(step).collect(), &expected);
}

/// The ends of all requests so far, and those of the last answers: what was written may be there.
fn requests(proxy: &Proxy) -> Vec<Message> {
    let (mut requests, mut answers): (Vec<Message>, Vec<Message>) = proxy
        .messages()
        .into_iter()
        .filter(is_awaited)
        .partition(|message| message.direction == Direction::Frontend);
    requests.extend(answers.drain(answers.len().saturating_sub(3)..));
    requests
}

const THERE: &str = "CREATE TABLE a (n int); CREATE TABLE b (n int)";

fn baseline_project() -> Project {
    project(&[("V1__a.sql", "CREATE TABLE a (n int);"), ("V2__b.sql", "CREATE TABLE b (n int);")])
}

async fn baselined(options: &ConnectOptions) -> Result<usize, BaselineError> {
    let clock = SystemClock::new();
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let request = baseline::Request {
        to: "2",
        allow: &[],
        sandbox: &sandbox,
        operator: "tester@here".into(),
        tool: "cutover test".into(),
        clock: &clock,
    };
    let project = baseline_project();
    let outlook = baseline::look(&project, options, &request).await?;
    assert_eq!(outlook.recorded, ["V1__a.sql", "V2__b.sql"]);
    Ok(baseline::record(&project, options, &request, &outlook).await?.len())
}

/// Whatever is swallowed of a baseline, it ends, and what it says is so.
#[test]
fn a_baseline_ends_and_says_whether_it_is_recorded() {
    let first = database();
    first.run(THERE);
    let proxy = Proxy::start(first.server());
    assert_eq!(run_async(baselined(&proxy.server().options(first.name()))).unwrap(), 2);
    let answered = Mutex::new(0);
    each(requests(&proxy), |message| {
        let database = database();
        database.run(THERE);
        let proxy = Proxy::start(database.server());
        let hold = proxy.hold(message.point(When::Before));
        let through: ConnectOptions = proxy.server().options(database.name());
        let ended =
            run_async(async { tokio::time::timeout(LIMIT, baselined(&through)).await }).expect("it ends");
        // The session that is left in the server, if one is, does not keep a secret from this one.
        let has_table = database.value("SELECT to_regclass('cutover.migration') IS NOT NULL") == "t";
        let count = "SELECT count(*) FROM cutover.migration";
        let recorded = if has_table { database.value(count) } else { "0".to_owned() };
        drop((hold, proxy));
        match ended {
            Ok(_) => {
                assert_eq!(recorded, "2", "{message:?}");
                *answered.lock().unwrap() += 1;
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("it did not answer within 15 s"), "{message:?}: {said}");
                assert!(said.ends_with("nothing was recorded"), "{message:?}: {said}");
                assert_eq!(recorded, "0", "{message:?}: {said}");
            }
        }
    });
    assert!(*answered.lock().unwrap() >= 1, "the answer to the last write is not needed");
}

#[tokio::test]
async fn a_baseline_records_what_was_looked_at_or_nothing() {
    let database = database();
    let (options, project) = (database.options(), baseline_project());
    database.run(THERE);
    let clock = SystemClock::new();
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let request = baseline::Request {
        to: "2",
        allow: &[],
        sandbox: &sandbox,
        operator: String::new(),
        tool: "cutover test".into(),
        clock: &clock,
    };
    let outlook = baseline::look(&project, &options, &request).await.unwrap();
    database.run("DROP TABLE b");
    let moved = baseline::record(&project, &options, &request, &outlook).await;
    assert!(matches!(moved, Err(BaselineError::Record(RecordError::Moved))), "{moved:?}");
    assert_eq!(database.value("SELECT to_regnamespace('cutover') IS NULL"), "t");
    database.run("CREATE TABLE b (n int)");
    baseline::record(&project, &options, &request, &outlook).await.unwrap();
    let again = baseline::record(&project, &options, &request, &outlook).await;
    assert!(matches!(again, Err(BaselineError::Record(RecordError::Moved))), "{again:?}");
    assert_eq!(database.value("SELECT count(*) FROM cutover.run"), "1");
}

async fn adopted(options: &ConnectOptions) -> Result<usize, AdoptError> {
    let clock = SystemClock::new();
    let sandbox = SandboxProvider::dev_url(testkit::server().server().options("postgres"));
    let request = adopt::Request {
        from: None,
        allow: &[],
        sandbox: &sandbox,
        operator: "tester@here".into(),
        tool: "cutover test".into(),
        clock: &clock,
    };
    let project =
        project(&[("1_a.up.sql", "CREATE TABLE a (n int);"), ("2_b.up.sql", "CREATE TABLE b (n int);")]);
    let outlook = adopt::look(&project, options, &request).await?;
    assert_eq!(outlook.recorded(), 2);
    Ok(adopt::record(&project, options, &request, &outlook).await?.migrations)
}

/// Whatever is swallowed of an adoption, it ends, and what it says is so.
#[test]
fn an_adoption_ends_and_says_whether_it_is_recorded() {
    let there = format!(
        "{THERE}; CREATE TABLE schema_migrations (version bigint, dirty boolean); INSERT INTO schema_migrations VALUES (2, false)"
    );
    let first = database();
    first.run(&there);
    let proxy = Proxy::start(first.server());
    assert_eq!(run_async(adopted(&proxy.server().options(first.name()))).unwrap(), 2);
    let answered = Mutex::new(0);
    each(requests(&proxy), |message| {
        let database = database();
        database.run(&there);
        let proxy = Proxy::start(database.server());
        let hold = proxy.hold(message.point(When::Before));
        let through: ConnectOptions = proxy.server().options(database.name());
        let ended =
            run_async(async { tokio::time::timeout(LIMIT, adopted(&through)).await }).expect("it ends");
        let has_table = database.value("SELECT to_regclass('cutover.migration') IS NOT NULL") == "t";
        let count = "SELECT (SELECT count(*) FROM cutover.migration) || ' ' || (SELECT count(*) FROM cutover.snapshot)";
        let recorded = if has_table { database.value(count) } else { "0 0".to_owned() };
        drop((hold, proxy));
        match ended {
            Ok(_) => {
                assert_eq!(recorded, "2 1", "{message:?}");
                *answered.lock().unwrap() += 1;
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("it did not answer within 15 s"), "{message:?}: {said}");
                assert!(said.ends_with("nothing was recorded"), "{message:?}: {said}");
                assert_eq!(recorded, "0 0", "{message:?}: {said}");
            }
        }
    });
    assert!(*answered.lock().unwrap() >= 1, "the answer to the last write is not needed");
}

/// Whatever is swallowed of a repair, it ends, and what it says is so.
#[test]
fn a_repair_ends_and_says_whether_it_is_settled() {
    let settled = async |options: &ConnectOptions| settle(&unknowable(), options, "1", Mark::Done).await;
    let ready = || run_async(killed_in_the_second_part());
    let first = ready();
    let proxy = Proxy::start(first.server());
    run_async(settled(&proxy.server().options(first.name()))).unwrap();
    let answered = Mutex::new(0);
    each(requests(&proxy), |message| {
        let database = ready();
        let proxy = Proxy::start(database.server());
        let hold = proxy.hold(message.point(When::Before));
        let through: ConnectOptions = proxy.server().options(database.name());
        let ended =
            run_async(async { tokio::time::timeout(LIMIT, settled(&through)).await }).expect("it ends");
        let state = database.value("SELECT state FROM cutover.unit WHERE unit = 1");
        drop((hold, proxy));
        match ended {
            Ok(()) => {
                assert_eq!(state, "done", "{message:?}");
                *answered.lock().unwrap() += 1;
            }
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains("it did not answer within 15 s"), "{message:?}: {said}");
                assert!(said.ends_with("nothing was changed"), "{message:?}: {said}");
                assert_ne!(state, "done", "{message:?}: {said}");
            }
        }
    });
    assert!(*answered.lock().unwrap() >= 1, "the answer to the last write is not needed");
}
