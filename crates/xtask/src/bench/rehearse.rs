//! Rehearsing small migrations: the traced pass and the full proof against a plain run of the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::measure::{self, Bound};
use super::{apply, beside, corpus, server};
use crate::Failure;

const FILES: usize = 200;
const ROUNDS: usize = 5;

/// 200 files with a table and an index each, and their ways back.
fn folder() -> Result<PathBuf, Failure> {
    let folder = super::folder()?.join("rehearsed");
    corpus::rewrite(&folder)?;
    for n in 1..=FILES {
        let up = format!(
            "CREATE TABLE step_{n} (\n    id bigint PRIMARY KEY,\n    name text NOT NULL\n);\nCREATE INDEX step_{n}_name ON step_{n} (name);\n"
        );
        fs::write(folder.join(format!("{n:06}_step.up.sql")), up)?;
        fs::write(folder.join(format!("{n:06}_step.down.sql")), format!("DROP TABLE step_{n};\n"))?;
    }
    Ok(folder)
}

/// A rehearsal as a whole process, and what its passes took by its own account, without building the copy of the schema.
struct Rehearsed {
    whole: Duration,
    traced: Duration,
    passes: Duration,
}

/// On a server that is warm, each over an empty database.
pub(crate) fn run() -> Result<(), Failure> {
    let folder = folder()?;
    let server = server(false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let plain = apply::cutover("plain apply", &folder, &[])?;
    let labels =
        ["plain apply", "traced pass", "all passes of --full", "rehearse, whole", "rehearse --full, whole"];
    let mut rows: Vec<(String, Vec<Duration>)> =
        labels.iter().map(|label| ((*label).to_owned(), Vec::new())).collect();
    for round in 0..=ROUNDS {
        let name = format!("rehearsed_{round}");
        runtime.block_on(server.create_database(&name, None))?;
        let url = server.url(&name);
        // Before anything is applied there.
        let traced = rehearsed(&folder, &url, &server.url("postgres"), &[])?;
        let full = rehearsed(&folder, &url, &server.url("postgres"), &["--full"])?;
        let applied = measure::time((plain.command)(&url))?;
        if round > 0 {
            let all = [applied, traced.traced, full.passes, traced.whole, full.whole];
            for ((_, times), took) in rows.iter_mut().zip(all) {
                times.push(took);
            }
        }
        runtime.block_on(server.drop_database(&name))?;
    }
    let bounds =
        [Bound { label: "traced pass", at_most: 2.0 }, Bound { label: "all passes of --full", at_most: 6.0 }];
    measure::report("rehearse 200 small migrations on a warm server", &mut rows, &bounds);
    Ok(())
}

fn rehearsed(folder: &Path, url: &str, server: &str, flags: &[&str]) -> Result<Rehearsed, Failure> {
    let mut command = Command::new(beside("cutover")?);
    command.arg("-C").arg(folder).args([
        "rehearse",
        "--format",
        "json",
        "--allow-url-password",
        "--dev-url",
        server,
    ]);
    command.args(flags).env("DATABASE_URL", url);
    let began = Instant::now();
    let output = command.output()?;
    let whole = began.elapsed();
    if !output.status.success() {
        return Err(format!("rehearse: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let seconds = |value: &serde_json::Value| {
        value.as_f64().map(Duration::from_secs_f64).ok_or("a rehearsal says how long it took")
    };
    let traced = seconds(&document["took"])?;
    let passes = seconds(&document["took_in_all"])?.saturating_sub(seconds(&document["ground"]["took"])?);
    Ok(Rehearsed { whole, traced, passes })
}
