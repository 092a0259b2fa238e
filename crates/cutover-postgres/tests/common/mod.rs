//! One throwaway server a test program, shared by its tests; each test has a database of its own.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use cutover_postgres::Environment;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::sandbox::{Sandbox, SandboxOptions};
use cutover_postgres::session::{Session, Startup};

pub(crate) fn sandbox_options() -> SandboxOptions {
    let environment = Environment { vars: std::env::vars().collect(), home: None, user: None };
    let bin_dir = environment.var("CUTOVER_TEST_PG_BIN").map(Into::into);
    SandboxOptions { bin_dir, ..SandboxOptions::new(&environment) }
}

pub(crate) fn start() -> Sandbox {
    Sandbox::start(&sandbox_options()).expect("a throwaway server starts")
}

/// The server of this test program. A static is never dropped: the sandbox ends with the process.
pub(crate) fn server() -> &'static Sandbox {
    static SERVER: OnceLock<Sandbox> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// Options for a new, empty database of the shared server.
pub(crate) async fn database() -> ConnectOptions {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    server().create_database(&name, None).await.expect("a database can be created");
    server().options(&name)
}

pub(crate) async fn connect(options: &ConnectOptions) -> Session {
    Session::connect(options, &Startup::default()).await.expect("a session can be had")
}

/// A session of a database of its own.
pub(crate) async fn session() -> Session {
    connect(&database().await).await
}
