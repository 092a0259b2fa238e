//! The clients: so many connections, each of which serves its part of the users, one call at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Done, Session, Startup};

use crate::agent::{Agent, Answer, Call, Next};
use crate::clock::Clock;
use crate::plan::Millis;
use crate::tally::{Shared, Tally};

/// How long a connection that was lost is left alone.
const REST: Duration = Duration::from_millis(200);

/// What every connection works with.
#[derive(Debug, Clone)]
pub struct Clients {
    /// The database.
    pub options: ConnectOptions,
    /// The time.
    pub clock: Clock,
    /// What calls come to.
    pub tally: Shared<Tally>,
    /// Asked for when the time is over.
    pub stop: Stop,
}

impl Clients {
    /// Serves these users until it is asked to stop, and gives them back.
    pub async fn serve(self, mut agents: Vec<Agent>) -> Vec<Agent> {
        let mut session = None;
        let mut due: BinaryHeap<Reverse<(Millis, usize)>> =
            agents.iter().enumerate().map(|(n, _)| Reverse((0, n))).collect();
        while let Some(Reverse((at, n))) = due.pop() {
            if !self.reached(at).await {
                break;
            }
            let Some(agent) = agents.get_mut(n) else { continue };
            let now = self.clock.now();
            match agent.next(now) {
                Next::Never => {}
                Next::Wait(until) => due.push(Reverse((until, n))),
                Next::Ask(call) => {
                    let late = u32::try_from(now.saturating_sub(at)).unwrap_or(u32::MAX);
                    self.tally.lock().late.push(late);
                    let answer = self.ask(&mut session, agent, &call).await;
                    let now = self.clock.now();
                    agent.heard(&call, answer, now);
                    due.push(Reverse((now, n)));
                }
            }
        }
        if let Some(session) = session {
            session.close().await;
        }
        agents
    }

    /// Waits for a moment: whether it came before the end.
    async fn reached(&self, at: Millis) -> bool {
        let wait = self.clock.until(at);
        if !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.requested() => {}
            }
        }
        !self.stop.is_requested()
    }

    async fn ask(&self, session: &mut Option<Session>, agent: &Agent, call: &Call) -> Answer {
        let begun = Instant::now();
        let open = match session.take().filter(|session| !session.is_closed()) {
            Some(open) => open,
            None => match connect(&self.options, "spark simulator: client").await {
                Ok(open) => open,
                Err(why) => {
                    let failure = cutover_postgres::session::Failure::Lost(why);
                    self.tally.lock().count(call.kind(), begun.elapsed(), Some(&failure));
                    tokio::time::sleep(REST).await;
                    return Answer::Refused;
                }
            },
        };
        let open = session.insert(open);
        let sql = format!("{}{}", self.clock.prefix(self.clock.now()), call.sql(&agent.person));
        if *call == Call::Delete {
            self.tally.lock().goes(&agent.person.id);
        }
        let begun = Instant::now();
        let result = open.execute(&sql).await;
        let mut tally = self.tally.lock();
        tally.count(call.kind(), begun.elapsed(), result.as_ref().err());
        if *call == Call::Delete && result.as_ref().is_err_and(|failure| failure.server().is_some()) {
            tally.stays(&agent.person.id);
        }
        result.map_or(Answer::Refused, |done| answer(call, &done))
    }
}

fn answer(call: &Call, done: &Done) -> Answer {
    if *call != Call::Look {
        return Answer::Done;
    }
    let row = done.rows.first();
    let column = |n: usize| row.and_then(|row| row.get(n)).and_then(Clone::clone);
    Answer::Seen(column(0), column(1))
}

/// A session under this name.
///
/// # Errors
/// Why there is none.
pub async fn connect(options: &ConnectOptions, name: &str) -> Result<Session, String> {
    let startup = Startup { application_name: name.to_owned(), ..Startup::default() };
    Session::connect(options, &startup).await.map_err(|error| error.to_string())
}
