//! The figures of `systems/spark`: how long a crowd takes until all are paired, what a tick over many who wait takes, and how that grows.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use cutover::project::Overrides;
use cutover::{Project, migrate};
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::Sandbox;
use cutover_postgres::session::{Session, Startup};

use super::measure::{self, Bound};
use super::server;
use crate::Failure;

const SPARK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../systems/spark");
const CROWDS: &str = include_str!("../../../../systems/spark/tests/crowd.sql");
const ROUNDS: usize = 3;
const MANY: &str = "a tick over 50,000";
const CONNECTIONS: usize = 8;

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// A database with everything of Spark and a crowd.
fn crowd(server: &Sandbox, name: &str, crowd: &str) -> Result<ConnectOptions, Failure> {
    let project = Project::load(Path::new(SPARK), &Overrides::default())?;
    block_on(async {
        server.create_database(name, None).await?;
        migrate(&project, &server.url(name)).await?;
        let options = server.options(name);
        let mut session = Session::connect(&options, &Startup::default()).await?;
        for sql in [CROWDS, crowd, "VACUUM ANALYZE"] {
            session.execute(sql).await?;
        }
        session.close().await;
        Ok(options)
    })
}

/// Ticks until nobody is matched twice in a row.
fn ticks(options: &ConnectOptions) -> Result<(), String> {
    let work = async {
        let mut session = Session::connect(options, &Startup::default()).await?;
        let mut idle = 0;
        while idle < 2 {
            let answer = session.query_text("SELECT matching_orchestrator()").await?;
            let answer = answer.scalar().unwrap_or_default();
            if answer.contains("\"matched\": 0") {
                idle += 1;
            } else if answer.contains("success") {
                idle = 0;
            }
        }
        session.close().await;
        Ok(())
    };
    block_on(work).map_err(|failure| failure.to_string())
}

/// Until 250 men and 250 women are paired by connections that tick all at once.
fn pairing(server: &Sandbox, round: usize) -> Result<Duration, Failure> {
    let options = crowd(server, &format!("pairs_{round}"), "SELECT crowd.joins(250, 250)")?;
    let began = Instant::now();
    thread::scope(|scope| {
        let all: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(|| ticks(&options))).collect();
        all.into_iter().try_for_each(|one| one.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    let took = began.elapsed();
    let pairs = block_on(async {
        let mut session = Session::connect(&options, &Startup::default()).await?;
        let pairs = session.query_text("SELECT count(*) FROM matches").await?;
        Ok(pairs.scalar().unwrap_or_default().to_owned())
    })?;
    if pairs == "250" { Ok(took) } else { Err(format!("{pairs} pairs, not 250").into()) }
}

/// One tick over so many who wait.
fn tick(server: &Sandbox, people: u32, miles: u32, round: usize) -> Result<Duration, Failure> {
    let name = format!("waiting_{people}_{miles}_{round}");
    let options = crowd(server, &name, &format!("SELECT crowd.waits({people}, {miles})"))?;
    block_on(async {
        let mut session = Session::connect(&options, &Startup::default()).await?;
        let began = Instant::now();
        session.query_text("SELECT matching_orchestrator()").await?;
        Ok(began.elapsed())
    })
}

pub(crate) fn run() -> Result<(), Failure> {
    let server = server(false)?;
    let labels =
        ["a tick over 500, nobody fits", MANY, "a tick over 5,000 who wait", "250 men and 250 women"];
    let mut rows: Vec<(String, Vec<Duration>)> = labels.map(|label| (label.to_owned(), Vec::new())).into();
    for round in 0..ROUNDS {
        let took = [
            tick(&server, 500, 0, round)?,
            tick(&server, 50_000, 0, round)?,
            tick(&server, 5_000, 60, round)?,
            pairing(&server, round)?,
        ];
        for ((_, times), took) in rows.iter_mut().zip(took) {
            times.push(took);
        }
    }
    // n log n from 500 to 50,000.
    let growth = Bound { label: MANY, at_most: 174.0 };
    measure::report("systems/spark", &mut rows, &[growth]);
    for ((label, times), promised) in rows.iter_mut().skip(2).zip([1.0, 10.0]) {
        let took = measure::median(times).as_secs_f64();
        let verdict = if took <= promised { "holds" } else { "MISSED" };
        println!("  {label}: {took:.2} s   promised <= {promised:.0}: {verdict}");
    }
    Ok(())
}
