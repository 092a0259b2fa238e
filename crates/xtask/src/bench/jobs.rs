//! Index builds side by side and one after the other: side by side must never lose, whatever the server's own workers do.

use std::fmt::Write as _;
use std::time::Duration;

use cutover_postgres::session::{Session, Startup};

use super::apply::cutover;
use super::measure::{self, Bound};
use super::{folder, server};
use crate::Failure;

const ROUNDS: usize = 5;
const TABLES: usize = 2;
const ROWS: u32 = 2_000_000;

pub(crate) fn run() -> Result<(), Failure> {
    let files = folder()?.join("indexes");
    super::corpus::rewrite(&files)?;
    for n in 1..=TABLES {
        let name = format!("V{n}__index.sql");
        std::fs::write(files.join(name), format!("CREATE INDEX t{n}_name ON t{n} (name);\n"))?;
    }
    let contenders =
        [cutover("one after the other", &files, &[])?, cutover("--jobs 2", &files, &["--jobs", "2"])?];
    let server = server(false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(server.create_database("filled", None))?;
    runtime.block_on(fill(&server.options("filled")))?;
    for workers in [0, 2] {
        let set = format!("ALTER ROLE ALL SET max_parallel_maintenance_workers = {workers}");
        runtime.block_on(execute(&server.options("postgres"), &set))?;
        let mut rows: Vec<(String, Vec<Duration>)> =
            contenders.iter().map(|c| (c.label.clone(), Vec::new())).collect();
        for round in 0..=ROUNDS {
            for (n, (contender, (_, times))) in contenders.iter().zip(&mut rows).enumerate() {
                let name = format!("jobs_{workers}_{round}_{n}");
                runtime.block_on(server.create_database(&name, Some("filled")))?;
                let took = measure::time((contender.command)(&server.url(&name)))?;
                if round > 0 {
                    times.push(took);
                }
                runtime.block_on(server.drop_database(&name))?;
            }
        }
        // Two processes where the server would use one; and no worse than the server's own three.
        let at_most = if workers == 0 { 0.65 } else { 1.0 };
        let bounds = [Bound { label: "--jobs 2", at_most }];
        let title =
            format!("{TABLES} indexes on tables of {ROWS} rows, {workers} parallel workers of the server's");
        measure::report(&title, &mut rows, &bounds);
    }
    Ok(())
}

async fn fill(options: &cutover_postgres::connect::ConnectOptions) -> Result<(), Failure> {
    let mut text = String::new();
    for n in 1..=TABLES {
        let _ = write!(
            text,
            "CREATE TABLE t{n} AS SELECT n, md5(n::text) AS name FROM generate_series(1, {ROWS}) n; ANALYZE t{n}; "
        );
    }
    execute(options, &text).await
}

async fn execute(options: &cutover_postgres::connect::ConnectOptions, text: &str) -> Result<(), Failure> {
    let mut session = Session::connect(options, &Startup::default()).await?;
    session.execute(text).await?;
    session.close().await;
    Ok(())
}
