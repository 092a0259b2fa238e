//! One simulation, from people to figures.

use std::future::Future;
use std::time::{Duration, Instant};

use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::Session;
use tokio::sync::oneshot;

use crate::agent::{Agent, Taken};
use crate::checker::{Checker, Seen};
use crate::clients::{Clients, connect};
use crate::clock::Clock;
use crate::figures::{self, Figures};
use crate::invariants::literal;
use crate::people;
use crate::plan::Millis;
use crate::record;
use crate::runs::Runs;
use crate::schedules;
use crate::tally::{Shared, Tally};

/// What is simulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many users.
    pub users: u32,
    /// How many in a hundred men and women are men.
    pub men: u32,
    /// Over how many connections.
    pub connections: u32,
    /// For how many simulated seconds.
    pub seconds: u32,
    /// Where everything random comes from.
    pub seed: u64,
    /// How many times as fast as real time.
    pub speed: u32,
    /// Of how many in a hundred occasions users make use to delete their account.
    pub deleting: u32,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was simulated.
    pub settings: Settings,
    /// Which server.
    pub server: String,
    /// For how long, in simulated time.
    pub simulated: Millis,
    /// For how long, in real time.
    pub took: Duration,
    /// It was stopped before its time.
    pub interrupted: bool,
    /// Numbers.
    pub figures: Figures,
    /// What the clients heard.
    pub tally: Tally,
    /// What the schedules did.
    pub runs: Runs,
    /// What the eye saw.
    pub seen: Seen,
    /// What each user decided, in order.
    pub taken: Vec<Vec<Taken>>,
    /// Why it cannot be relied on, where that is so.
    pub problems: Vec<String>,
}

impl Outcome {
    /// Whether everything held, and was looked at.
    pub fn holds(&self) -> bool {
        self.seen.violations() == 0 && self.problems.is_empty()
    }

    /// Who ran the schedules.
    pub fn scheduler(&self) -> &'static str {
        if self.settings.speed == 1 { "cutover worker" } else { "a timer on the simulated clock" }
    }
}

/// Runs a simulation in a database that has everything applied and nobody in it.
///
/// # Errors
/// It cannot begin, or its figures cannot be read: why.
pub async fn run(options: &ConnectOptions, settings: &Settings, stop: &Stop) -> Result<Outcome, String> {
    let mut session = connect(options, "spark simulator").await?;
    let (clock, runs) = prepare(&mut session, settings).await?;
    let (tally, seen) = (Shared::new(Tally::default()), Shared::new(Seen::default()));
    let checker = Checker {
        options: options.clone(),
        clock: clock.clone(),
        tally: tally.clone(),
        runs: runs.clone(),
        seen: seen.clone(),
    };
    let begun = Instant::now();
    let (scheduling, checking) = (Stop::new(), Stop::new());
    let scheduled = schedule(options, &clock, &runs, &scheduling);
    let watched = {
        let (checker, stop) = (checker.clone(), checking.clone());
        apart("checker", async move { checker.watch(&stop).await })
    };
    let (agents, interrupted) = serve(options, settings, &clock, &tally, stop).await;
    let simulated = clock.now();
    let took = begun.elapsed();
    checking.request();
    scheduling.request();
    let mut problems = Vec::new();
    match watched.await {
        Ok(Ok(())) => {}
        Ok(Err(why)) => problems.push(format!("the checker ended: {why}")),
        Err(_) => problems.push("the checker broke off".to_owned()),
    }
    if scheduled.await.is_err() {
        problems.push("whoever runs the schedules broke off".to_owned());
    }
    checker.last_look().await?;
    let now = literal(clock.micros(simulated));
    let figures = figures::read(&mut session, &clock, &now).await.map_err(|failure| failure.to_string())?;
    let server = session.parameter("server_version").unwrap_or_default();
    session.close().await;
    let (tally, runs, seen) = (tally.lock().clone(), runs.lock().clone(), seen.lock().clone());
    Ok(Outcome {
        settings: settings.clone(),
        server,
        simulated,
        took,
        interrupted,
        figures,
        tally,
        runs,
        seen,
        taken: agents.into_iter().map(|agent| agent.taken).collect(),
        problems,
    })
}

/// Writes people down, and declares the schedules. From here on time passes.
async fn prepare(session: &mut Session, settings: &Settings) -> Result<(Clock, Shared<Runs>), String> {
    let text = |failure: cutover_postgres::session::Failure| failure.to_string();
    let base = moment(session).await?;
    session.execute(record::STATEMENTS).await.map_err(text)?;
    let people = people::population(settings.seed, settings.users, settings.men);
    let blocks = people::blocks(settings.seed, settings.users);
    for statement in people::statements(&people, &blocks, &literal(base)) {
        session.execute(&statement).await.map_err(text)?;
    }
    session.execute("ANALYZE public.profiles, public.blocked_users").await.map_err(text)?;
    let declared = schedules::declared(session).await.map_err(text)?;
    if settings.speed == 1 {
        schedules::register(session).await.map_err(|error| error.to_string())?;
    }
    let clock = Clock::begin(moment(session).await?, settings.speed);
    let slack = if clock.is_told() { 5_000 * Millis::from(settings.speed) } else { 0 };
    Ok((clock, Shared::new(Runs { schedules: declared, slack, ..Runs::default() })))
}

/// What the server's clock says, in microseconds since the Unix epoch.
async fn moment(session: &mut Session) -> Result<i64, String> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let done = session.query_text(sql).await.map_err(|failure| failure.to_string())?;
    let micros = done.scalar().and_then(|micros| micros.parse().ok());
    micros.ok_or_else(|| "the server does not say what time it is".to_owned())
}

fn schedule(
    options: &ConnectOptions,
    clock: &Clock,
    runs: &Shared<Runs>,
    stop: &Stop,
) -> oneshot::Receiver<()> {
    let (options, clock, runs, stop) = (options.clone(), clock.clone(), runs.clone(), stop.clone());
    if clock.is_told() {
        apart("schedules", schedules::by_timer(options, clock, runs, stop))
    } else {
        apart("worker", schedules::by_worker(options, clock, runs, stop))
    }
}

/// Has the users served until the time is over: they, in their order, and whether it was stopped before.
async fn serve(
    options: &ConnectOptions,
    settings: &Settings,
    clock: &Clock,
    tally: &Shared<Tally>,
    stop: &Stop,
) -> (Vec<Agent>, bool) {
    let connections = usize::try_from(settings.connections.max(1)).unwrap_or(1);
    let mut parts: Vec<Vec<Agent>> = (0..connections).map(|_| Vec::new()).collect();
    for (n, person) in people::population(settings.seed, settings.users, settings.men).into_iter().enumerate()
    {
        if let Some(part) = parts.get_mut(n % connections) {
            part.push(Agent::new(settings.seed, settings.deleting, person));
        }
    }
    let over = Stop::new();
    let clients =
        Clients { options: options.clone(), clock: clock.clone(), tally: tally.clone(), stop: over.clone() };
    let serving: Vec<_> = parts.into_iter().map(|part| tokio::spawn(clients.clone().serve(part))).collect();
    let end = Millis::from(settings.seconds) * 1000;
    let interrupted = tokio::select! {
        () = tokio::time::sleep(clock.until(end)) => false,
        () = stop.requested() => true,
    };
    over.request();
    let mut agents = Vec::new();
    for one in serving {
        agents.extend(one.await.unwrap_or_default());
    }
    agents.sort_by_key(|agent| agent.person.n);
    (agents, interrupted)
}

/// Runs a future on a thread of its own: it shares nothing with the clients but the database and what is written down for the report.
fn apart<T: Send + 'static>(
    name: &str,
    future: impl Future<Output = T> + Send + 'static,
) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            let _ = sender.send(runtime.block_on(future));
        }
    };
    // Without a thread the sender is dropped, which the receiver notices.
    let _ = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    receiver
}
