//! `xtask locks`: measures what each command of `postgres_locks.tsv` locks, rewrites, rebuilds and scans, on every
//! server that is installed, and writes what it finds back. The static rules are compared with the file by a test.

mod measure;
mod table;

use std::path::PathBuf;

use cutover_postgres::Environment;
use cutover_postgres::sandbox::{Binaries, Sandbox, SandboxOptions};

use self::table::{Command, Measured, Row};
use crate::{Failure, majors};

/// The file and what its commands find, in the analysis crate.
fn facts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cutover-analysis/facts")
}

/// Measures everything, or only the commands whose name contains one of `names` and prints them without writing.
pub(crate) fn run(names: &[&str]) -> Result<(), Failure> {
    let file = facts().join("postgres_locks.tsv");
    let setup = std::fs::read_to_string(facts().join("postgres_locks.sql"))?;
    let mut commands = table::read(&std::fs::read_to_string(&file)?)?;
    if !names.is_empty() {
        commands.retain(|command| names.iter().any(|name| command.name.contains(name)));
    }
    let mut rows: Vec<Row> = Vec::new();
    for binaries in majors::installations(&std::env::var("PATH").unwrap_or_default())? {
        println!("PostgreSQL {} in {}", binaries.version, binaries.folder.display());
        let found = one_major(&binaries, &setup, &commands)?;
        table::merge(&mut rows, &commands, binaries.major, found);
    }
    let text = table::write(&commands, &rows);
    if names.is_empty() {
        std::fs::write(&file, text)?;
        println!("{} commands measured, written to {}", commands.len(), file.display());
    } else {
        print!("{text}");
    }
    Ok(())
}

fn one_major(binaries: &Binaries, setup: &str, commands: &[Command]) -> Result<Vec<Measured>, Failure> {
    let environment = Environment {
        vars: std::env::vars().collect(),
        home: std::env::var_os("HOME").map(Into::into),
        user: None,
    };
    let mut options = SandboxOptions::new(&environment);
    options.bin_dir = Some(binaries.folder.clone());
    // Nothing may take or wait for a lock but what is measured.
    options.settings = vec![("autovacuum".into(), "off".into())];
    let server = Sandbox::start(&options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(measure::all(&server, setup, commands));
    server.stop()?;
    found
}
