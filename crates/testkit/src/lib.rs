//! For tests only: one PostgreSQL server a test run, a database a test, a proxy that cuts connections at a chosen
//! message, a connection pooler, somebody whose locks are in the way, and `pg_dump` as an independent witness.
//!
//! Everything here blocks, works inside and outside async tests, and panics when something cannot be had: a test
//! without its server has failed, it is never skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod blocking;
mod catalogue;
mod database;
mod holder;
pub mod markdown;
mod pooler;
pub mod proxy;
mod role;
mod run;

pub use blocking::block_on;
pub use catalogue::catalogue_dump;
pub use database::{Database, database, database_from_template};
pub use holder::Holder;
pub use pooler::{PoolMode, PoolSettings, Pooler, PoolerOptions};
pub use proxy::Proxy;
pub use role::{Role, role};
pub use run::{STATE_VARIABLE, TestServer, server};

use std::path::Path;

use cutover_postgres::Environment;
use cutover_postgres::sandbox::{Binaries, Sandbox, SandboxOptions};

/// Variable that names the folder of the server programs to test with; without it the newest installed are taken.
pub const BIN_VARIABLE: &str = "CUTOVER_TEST_PG_BIN";

/// Variable that names a folder with `pg_dump` and `pg_restore` beside a server, for tests that need them. Without it
/// the folder of [`BIN_VARIABLE`] serves where it has them, else the installed programs of the same major or the next
/// newer one.
pub const CLIENT_BIN_VARIABLE: &str = "CUTOVER_TEST_PG_CLIENT_BIN";

/// This process's surroundings.
pub fn environment() -> Environment {
    Environment {
        vars: std::env::vars().collect(),
        home: std::env::var_os("HOME").map(Into::into),
        user: std::env::var("USER").ok(),
    }
}

/// Options of a server for tests.
pub fn sandbox_options() -> SandboxOptions {
    let environment = environment();
    SandboxOptions {
        bin_dir: environment.var(BIN_VARIABLE).map(Into::into),
        ..SandboxOptions::new(&environment)
    }
}

/// PostgreSQL's client programs that fit the servers of this run, with the server programs beside them. Those need not
/// be the ones under test: some ways to get a server bring no client programs along.
///
/// Panics where there are none: what a test dumps is its proof.
pub fn clients() -> Binaries {
    let environment = environment();
    let search_path = environment.var("PATH").unwrap_or_default();
    let tested = sandbox_options().bin_dir;
    let major = Binaries::find(tested.as_deref(), search_path, None).expect("server programs").major;
    if let Some(named) = environment.var(CLIENT_BIN_VARIABLE) {
        return Binaries::find_for_dump(Some(Path::new(named)), search_path, major)
            .expect(CLIENT_BIN_VARIABLE);
    }
    tested
        .and_then(|tested| Binaries::find_for_dump(Some(&tested), search_path, major).ok())
        .or_else(|| Binaries::find_for_dump(None, search_path, major).ok())
        .unwrap_or_else(|| {
            panic!(
                "this test needs pg_dump and pg_restore of PostgreSQL {major} or newer: \
                 {CLIENT_BIN_VARIABLE} names the folder that has them, beside a server"
            )
        })
}

/// Runs a file by psql, as whoever is handed it does: its exit code, and what it said on standard error.
pub fn psql(database: &Database, file: &Path, variables: &[&str]) -> (i32, String) {
    let mut command = std::process::Command::new(clients().folder.join("psql"));
    command.arg("-X").arg("-f").arg(file).arg("-d").arg(database.url());
    for variable in variables {
        command.arg("-v").arg(variable);
    }
    let output = command.output().expect("psql runs");
    (output.status.code().expect("an exit code"), String::from_utf8(output.stderr).expect("text"))
}

/// Every psql that is there: beside the server of this run, in the folders that `CUTOVER_TEST_PG_BINS` names (with colons
/// between them, as for `xtask test-majors`), and installed. Each with its major; a server of any major may be spoken to by any.
pub fn psqls() -> Vec<(u32, std::path::PathBuf)> {
    let environment = environment();
    let named = environment.var("CUTOVER_TEST_PG_BINS").unwrap_or_default();
    let named =
        std::env::split_paths(named).filter_map(|folder| Binaries::find(Some(&folder), "", None).ok());
    let installed = Binaries::all(environment.var("PATH").unwrap_or_default());
    let all = std::iter::once(clients()).chain(named).chain(installed);
    let mut found: Vec<_> = all.filter_map(|one| Some((one.major, one.psql?))).collect();
    found.sort();
    found.dedup_by_key(|(major, _)| *major);
    found
}

/// Options of a server whose programs have `pg_dump` and `pg_restore` beside them; see [`clients`].
pub fn client_sandbox_options() -> SandboxOptions {
    SandboxOptions { bin_dir: Some(clients().folder), ..sandbox_options() }
}

/// A server of the test's own, for what must not disturb others: crashes, server settings, roles with known names.
/// It takes a second or so to start; everything else uses [`database`].
pub fn private_server(settings: &[(&str, &str)]) -> Sandbox {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sandbox::start(&SandboxOptions { settings, ..sandbox_options() }).expect("a private server")
}

/// Kills a server, so that it has no time for a word to anybody, and starts it again.
pub fn kill_and_restart(server: &mut Sandbox) {
    let pid = server.pid().and_then(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?));
    rustix::process::kill_process(pid.expect("it runs"), rustix::process::Signal::KILL)
        .expect("it is killed");
    server.stop_immediately();
    // Its sessions find out by themselves, and nobody starts beside them.
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while let Err(error) = server.restart() {
        assert!(std::time::Instant::now() < give_up, "it does not start again: {error}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
