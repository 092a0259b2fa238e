//! For tests only: one PostgreSQL server a test run, a database a test, a proxy that cuts connections at a chosen
//! message, and `pg_dump` as an independent witness.
//!
//! Everything here blocks, works inside and outside async tests, and panics when something cannot be had: a test
//! without its server has failed, it is never skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod blocking;
mod catalogue;
mod database;
pub mod proxy;
mod role;
mod run;

pub use catalogue::catalogue_dump;
pub use database::{Database, database, database_from_template};
pub use proxy::Proxy;
pub use role::{Role, role};
pub use run::{STATE_VARIABLE, TestServer, server};

use cutover_postgres::Environment;
use cutover_postgres::sandbox::{Sandbox, SandboxOptions};

/// Variable that names the folder of the server programs to test with; without it the newest installed are taken.
pub const BIN_VARIABLE: &str = "CUTOVER_TEST_PG_BIN";

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

/// A server of the test's own, for what must not disturb others: crashes, server settings, roles with known names.
/// It takes a second or so to start; everything else uses [`database`].
pub fn private_server(settings: &[(&str, &str)]) -> Sandbox {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sandbox::start(&SandboxOptions { settings, ..sandbox_options() }).expect("a private server")
}
