//! Who runs the 8 schedules. At speed 1 it is the worker of cutover, which knows nothing of the clients. Faster than real time it
//! cannot be: it counts whole seconds of the server's clock, and what it runs would not know the simulated time. Then
//! a timer in here runs them by the clock that the clients have, each on a connection of its own, and the report says so.

use std::time::{Duration, Instant};

use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session};
use cutover_worker::{RunOutcome, Settings, WorkerError, WorkerEvent, schema};

use crate::clients::connect;
use crate::clock::Clock;
use crate::plan::Millis;
use crate::runs::{JobRun, Runs, Schedule};
use crate::tally::Shared;

/// How long a connection that was lost is left alone.
const REST: Duration = Duration::from_millis(500);

/// Asks the database what there is to run.
///
/// # Errors
/// As the server says.
pub async fn declared(session: &mut Session) -> Result<Vec<Schedule>, Failure> {
    let done = session.query_text("SELECT name, seconds, command FROM public.spark_schedules()").await?;
    let text = |row: &[Option<String>], n: usize| row.get(n).and_then(Clone::clone).unwrap_or_default();
    let one = |row: &Vec<Option<String>>| Schedule {
        name: text(row, 0),
        seconds: text(row, 1).parse().unwrap_or(0),
        command: text(row, 2),
    };
    Ok(done.rows.iter().map(one).filter(|schedule| schedule.seconds > 0).collect())
}

/// Makes what the worker needs, and has the database declare its schedules to it.
///
/// # Errors
/// As the server says.
pub async fn register(session: &mut Session) -> Result<(), WorkerError> {
    schema::ensure(session).await?;
    session.execute("SELECT public.setup_schedulers()").await?;
    Ok(())
}

/// Runs the schedules until it is asked to stop: the worker.
pub async fn by_worker(options: ConnectOptions, clock: Clock, runs: Shared<Runs>, stop: Stop) {
    let settings = Settings {
        jobs: 8,
        poll: Duration::from_millis(500),
        ..Settings::new(format!("spark simulator {}", std::process::id()))
    };
    let told = runs.clone();
    let mut sink = move |event: &WorkerEvent| hear(&mut told.lock(), &clock, event);
    let result = cutover_worker::run(&options, None, &settings, &stop, &mut sink).await;
    let mut runs = runs.lock();
    runs.ended = true;
    if let Err(error) = result {
        runs.problems.push(format!("the worker ended: {error}"));
    }
}

fn hear(runs: &mut Runs, clock: &Clock, event: &WorkerEvent) {
    match event {
        WorkerEvent::RunEnded(end) if end.outcome != RunOutcome::Lost => {
            let lag = Duration::try_from_secs_f64(end.lag_seconds).unwrap_or_default();
            let lag_micros = i64::try_from(lag.as_micros()).unwrap_or(0);
            runs.runs.push(JobRun {
                job: end.job.clone(),
                began: clock.at(end.scheduled_micros.saturating_add(lag_micros)),
                seconds: end.seconds,
                lag: millis(lag),
                error: (end.outcome != RunOutcome::Done)
                    .then(|| end.error.clone().unwrap_or_else(|| end.outcome.name().to_owned())),
            });
        }
        WorkerEvent::Skipped { .. } => runs.skipped += 1,
        WorkerEvent::Problem { job, why } => runs.problems.push(format!("{job}: {why}")),
        WorkerEvent::Disconnected { why } => {
            runs.problems.push(format!("the worker lost the database: {why}"));
        }
        _ => {}
    }
}

/// The same by a timer: each schedule at every multiple of its interval; one that takes longer leaves due times out.
pub async fn by_timer(options: ConnectOptions, clock: Clock, runs: Shared<Runs>, stop: Stop) {
    let schedules = runs.lock().schedules.clone();
    let each = schedules.into_iter().map(|schedule| {
        tokio::spawn(timer(options.clone(), clock.clone(), runs.clone(), stop.clone(), schedule))
    });
    for one in each.collect::<Vec<_>>() {
        if let Err(error) = one.await {
            runs.lock().problems.push(format!("a timer broke off: {error}"));
        }
    }
    runs.lock().ended = true;
}

async fn timer(options: ConnectOptions, clock: Clock, runs: Shared<Runs>, stop: Stop, schedule: Schedule) {
    let every = schedule.seconds * 1000;
    let mut session = None;
    let mut due: Millis = every;
    loop {
        tokio::select! {
            () = tokio::time::sleep(clock.until(due)) => {}
            () = stop.requested() => {}
        }
        if stop.is_requested() {
            break;
        }
        let run = once(&options, &clock, &mut session, &schedule, due).await;
        let now = clock.now();
        let left_out = (now / every).saturating_sub(due / every);
        due = (now / every + 1) * every;
        let mut runs = runs.lock();
        runs.skipped += left_out;
        runs.runs.push(run);
    }
    if let Some(session) = session {
        session.close().await;
    }
}

async fn once(
    options: &ConnectOptions,
    clock: &Clock,
    session: &mut Option<Session>,
    schedule: &Schedule,
    due: Millis,
) -> JobRun {
    let connected = match session.take().filter(|session| !session.is_closed()) {
        Some(open) => Ok(open),
        None => connect(options, &format!("spark simulator: {}", schedule.name)).await,
    };
    let began = clock.now();
    let since = Instant::now();
    let result = match connected {
        Ok(open) => {
            let open = session.insert(open);
            let sql = format!("{}{}", clock.prefix(began), schedule.command);
            open.execute(&sql).await.map(|_| ()).map_err(|failure| failure.to_string())
        }
        Err(why) => {
            tokio::time::sleep(REST).await;
            Err(why)
        }
    };
    JobRun {
        job: schedule.name.clone(),
        began,
        seconds: since.elapsed().as_secs_f64(),
        lag: began.saturating_sub(due),
        error: result.err(),
    }
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
