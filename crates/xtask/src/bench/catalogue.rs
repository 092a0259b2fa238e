//! Reading a whole catalogue, its fingerprint, and what lies between two, beside `pg_dump --schema-only` of the same database.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use cutover_postgres::Environment;
use cutover_postgres::sandbox::{Binaries, Sandbox};
use cutover_postgres::session::{Session, Startup};

use super::measure::{self, Bound, Contender};
use super::server;
use crate::Failure;

const ROUNDS: usize = 5;

/// The tables of each measurement, and how long reading two such databases and comparing them may take.
const SIZES: [(usize, Duration); 2] = [(200, Duration::from_millis(300)), (5_000, Duration::from_secs(3))];

pub(crate) fn run() -> Result<(), Failure> {
    for (tables, limit) in SIZES {
        measured(tables, limit)?;
    }
    Ok(())
}

/// Two databases with as many tables each; one in a hundred tables is not the same.
fn measured(tables: usize, limit: Duration) -> Result<(), Failure> {
    let server = server(false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        server.create_database("changed", None).await?;
        fill(&server, "postgres", tables, false).await?;
        fill(&server, "changed", tables, true).await
    })?;
    let program = std::env::current_exe()?;
    let ours = |name: &'static str, label: &str| {
        let program = program.clone();
        Contender::new(label, move |url| {
            let mut command = Command::new(&program);
            command.args(["floor", name, "changed", url]);
            command
        })
    };
    let pg_dump = dumper()?;
    let contenders = [
        Contender::new("pg_dump --schema-only", move |url| {
            let mut command = Command::new(&pg_dump);
            command.args(["--schema-only", "--file=/dev/null", url]);
            command
        }),
        ours("schema", "cutover: catalogue and fingerprint"),
        ours("schema-diff", "cutover: two catalogues and their difference"),
    ];
    let url = server.url("postgres");
    let mut rows: Vec<(String, Vec<Duration>)> =
        contenders.iter().map(|contender| (contender.label.clone(), Vec::new())).collect();
    for round in 0..=ROUNDS {
        for (contender, (_, times)) in contenders.iter().zip(&mut rows) {
            let took = measure::time((contender.command)(&url))?;
            if round > 0 {
                times.push(took);
            }
        }
    }
    let bounds = [
        Bound { label: "cutover: catalogue and fingerprint", at_most: 1.0 },
        Bound { label: "cutover: two catalogues and their difference", at_most: 2.0 },
    ];
    let title =
        format!("catalogue of {tables} tables of 10 columns, a primary and a foreign key and 2 indexes each");
    measure::report(&title, &mut rows, &bounds);
    let took = rows.get_mut(2).map_or(Duration::ZERO, |(_, times)| measure::median(times));
    let verdict = if took <= limit { "holds" } else { "MISSED" };
    println!(
        "  two catalogues and their difference in {:.2} s   promised <= {:.1}: {verdict}",
        took.as_secs_f64(),
        limit.as_secs_f64()
    );
    Ok(())
}

fn dumper() -> Result<std::path::PathBuf, Failure> {
    let environment = Environment { vars: std::env::vars().collect(), home: None, user: None };
    let path = environment.var("PATH").unwrap_or_default().to_owned();
    let binaries = Binaries::find_for_dump(None, &path, 0)?;
    Ok(binaries.folder.join("pg_dump"))
}

async fn fill(server: &Sandbox, database: &str, tables: usize, changed: bool) -> Result<(), Failure> {
    let mut session = Session::connect(&server.options(database), &Startup::default()).await?;
    // A transaction locks all that it makes.
    for from in (0..tables).step_by(200) {
        let mut sql = String::new();
        for table in from..(from + 200).min(tables) {
            statements(&mut sql, table, changed && table % 100 == 7)?;
        }
        session.execute(&sql).await?;
    }
    session.execute("ANALYZE").await?;
    Ok(())
}

fn statements(sql: &mut String, table: usize, changed: bool) -> std::fmt::Result {
    let parent = match table.checked_sub(1) {
        Some(parent) => format!("REFERENCES t{parent} (id)"),
        None => String::new(),
    };
    let (length, more) = if changed { (80, ", j integer DEFAULT 5") } else { (40, "") };
    write!(
        sql,
        "CREATE TABLE t{table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent bigint {parent},
           a varchar({length}) NOT NULL DEFAULT 'x', b integer DEFAULT 7, c timestamptz NOT NULL DEFAULT now(), d text,
           e numeric(12,2), f boolean, g uuid, h jsonb{more});
         CREATE INDEX t{table}_a ON t{table} (a); CREATE INDEX t{table}_parent ON t{table} (parent, b);"
    )
}
