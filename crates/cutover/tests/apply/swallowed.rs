//! The network swallows a message, and everything behind it in its direction: the run ends all the same, tells the truth,
//! and the next one goes on from there.

use std::sync::Mutex;
use std::time::Duration;

use cutover_postgres::connect::ConnectOptions;
use testkit::proxy::{Direction, Message, Point, When};
use testkit::{Proxy, database};

use crate::checked::{agree, checked_project, empty, next_run_completes, told_the_truth};
use crate::cuts::{learn, run_async};
use crate::support::{apply, session};

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
    assert!(!messages.is_empty());
    let threads = messages.len().min(AT_ONCE);
    let queue = Mutex::new(messages);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(message) = queue.lock().unwrap().pop() else { break };
                    swallowed_at(message.point(When::Before), expected);
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
