//! The tests that talk to a server, on every major version that is there: each time the whole suite, with one
//! installation's server programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use cutover_postgres::sandbox::Binaries;

use crate::Failure;

/// Variable with the folders of server programs, separated by colons; without it every major that is installed is
/// taken.
const FOLDERS: &str = "CUTOVER_TEST_PG_BINS";
/// What the tests themselves read: see testkit.
const SERVER: &str = "CUTOVER_TEST_PG_BIN";
const CLIENTS: &str = "CUTOVER_TEST_PG_CLIENT_BIN";

/// Runs them all; `arguments` go to the test runner in place of the choice of crates, e.g. `-p cutover-postgres`.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    let search_path = std::env::var("PATH").unwrap_or_default();
    let installations = installations(&search_path)?;
    let mut outcomes = Vec::new();
    for tested in &installations {
        println!("\nPostgreSQL {} in {}", tested.version, tested.folder.display());
        let passed = tests(arguments, tested, clients(tested, &installations))?;
        outcomes.push((tested, passed));
    }
    println!();
    for (tested, passed) in &outcomes {
        let outcome = if *passed { "passed" } else { "FAILED" };
        println!("{outcome}  PostgreSQL {}  {}", tested.version, tested.folder.display());
    }
    let failed = outcomes.iter().filter(|(_, passed)| !passed).count();
    if failed > 0 { Err(format!("{failed} of {} failed", outcomes.len()).into()) } else { Ok(()) }
}

/// The installations to test with: those named, else one of each major that is installed; oldest first.
pub(crate) fn installations(search_path: &str) -> Result<Vec<Binaries>, Failure> {
    let named = std::env::var(FOLDERS).unwrap_or_default();
    let folders = std::env::split_paths(&named).filter(|folder| !folder.as_os_str().is_empty());
    let mut found =
        folders.map(|folder| Binaries::find(Some(&folder), "", None)).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() {
        let mut each = BTreeMap::new();
        for binaries in Binaries::all(search_path) {
            each.entry(binaries.major).or_insert(binaries);
        }
        found = each.into_values().collect();
    }
    if found.is_empty() {
        return Err(format!("no server programs are installed; {FOLDERS} names their folders").into());
    }
    found.sort_by_key(|binaries| binaries.major);
    Ok(found)
}

/// Programs for a dump where the tested ones have none: the oldest of the others that can dump such a server. Without
/// one the tests look for themselves.
fn clients(tested: &Binaries, installations: &[Binaries]) -> Option<PathBuf> {
    let can_dump = |binaries: &&Binaries| {
        binaries.major >= tested.major && binaries.pg_dump.is_some() && binaries.pg_restore.is_some()
    };
    if can_dump(&tested) {
        return Some(tested.folder.clone());
    }
    installations.iter().find(can_dump).map(|binaries| binaries.folder.clone())
}

/// Whether the tests pass.
fn tests(arguments: &[&str], tested: &Binaries, clients: Option<PathBuf>) -> Result<bool, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    if has_nextest(Path::new(&cargo)) {
        command.args(["nextest", "run", "--no-fail-fast", "--status-level", "fail"]);
    } else {
        command.args(["test", "--no-fail-fast", "--quiet", "--lib", "--bins", "--tests"]);
    }
    command.arg("--all-features");
    if arguments.is_empty() {
        // The others never speak to a server.
        command.args(["--workspace", "--exclude", "xtask", "--exclude", "cutover-analysis"]);
    } else {
        command.args(arguments);
    }
    command.env(SERVER, &tested.folder).env_remove(CLIENTS);
    if let Some(clients) = clients {
        command.env(CLIENTS, clients);
    }
    Ok(command.status()?.success())
}

fn has_nextest(cargo: &Path) -> bool {
    Command::new(cargo).args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}
