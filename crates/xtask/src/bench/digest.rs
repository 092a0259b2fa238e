//! Content digests beside a sequential scan and beside `md5(string_agg(…))`.

use std::process::Command;
use std::time::Duration;

use cutover_postgres::session::{Session, Startup};

use super::measure::{self, Bound, Contender};
use super::server_with;
use crate::Failure;

const ROWS: u32 = 5_000_000;
const ROUNDS: usize = 3;

/// Once a table that the server has in its cache, and once one that it has to take from the system's cache, page by page: a
/// sequential scan then keeps to a small ring of buffers, which PostgreSQL has for no reading of ranges, so that these cost
/// it more.
pub(crate) fn run() -> Result<(), Failure> {
    measured("2GB", "in the server's cache")?;
    measured("512MB", "twice the server's cache")
}

fn measured(cache: &str, which: &str) -> Result<(), Failure> {
    let server = server_with(cache, false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fill(&server.options("postgres")))?;
    let program = std::env::current_exe()?;
    let ours = |name: &'static str, label: &str| {
        let program = program.clone();
        Contender::new(label, move |url| {
            let mut command = Command::new(&program);
            command.args(["floor", name, "public.digest_me", url]);
            command
        })
    };
    let contenders =
        [ours("scan", "sequential scan"), ours("digest", "cutover digest"), ours("md5", "md5(string_agg)")];
    let url = server.url("postgres");
    let mut rows: Vec<(String, Vec<Duration>)> =
        contenders.iter().map(|c| (c.label.clone(), Vec::new())).collect();
    for round in 0..=ROUNDS {
        for (contender, (_, times)) in contenders.iter().zip(&mut rows) {
            let took = measure::time((contender.command)(&url))?;
            if round > 0 {
                times.push(took);
            }
        }
    }
    let bounds = [Bound { label: "cutover digest", at_most: 5.0 }];
    measure::report(&format!("content digest of 5,000,000 rows (970 MB, {which})"), &mut rows, &bounds);
    let mut middle =
        |n: usize| rows.get_mut(n).map_or(Duration::ZERO, |(_, times)| measure::median(times)).as_secs_f64();
    let faster = middle(2) / middle(1);
    let verdict = if faster >= 7.0 { "holds" } else { "MISSED" };
    println!("  md5(string_agg) takes {faster:.1} times as long   promised >= 7: {verdict}");
    let (peak, _) = measure::memory(&(contenders[1].command)(&url))?;
    let verdict = if peak <= 20 << 10 { "holds" } else { "MISSED" };
    println!(
        "  peak memory of the digest's process {:.1} MB   promised <= 20: {verdict}",
        measure::mebibytes(peak)
    );
    Ok(())
}

async fn fill(options: &cutover_postgres::connect::ConnectOptions) -> Result<(), Failure> {
    let mut session = Session::connect(options, &Startup::default()).await?;
    let create = format!(
        "CREATE TABLE digest_me AS SELECT n::bigint AS id, md5(n::text) AS name, n * 1.25::numeric AS amount,
                now() - n * interval '1 second' AS made_at, repeat(md5((n * 7)::text), 3) AS filler
           FROM generate_series(1, {ROWS}) AS n; VACUUM ANALYZE digest_me"
    );
    for text in create.split("; ") {
        session.execute(text).await?;
    }
    Ok(())
}
