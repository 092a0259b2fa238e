//! The server that all tests of one run share.
//!
//! A run is one `cargo test` or `cargo nextest run`: the process that starts the test programs, which is their
//! parent. The first test to ask starts the server and writes down where it is; the others, in this process or
//! another, read that. The server belongs to the run and not to the test that happened to start it: its guard waits
//! for the end of the run and then stops it and removes its files. A test program started in another way (by hand, by
//! a debugger) is a run of its own.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use cutover_postgres::connect::Secret;
use cutover_postgres::sandbox::{Binaries, Owner, Sandbox, SandboxOptions, Server};
use rustix::fs::FlockOperation;

use crate::sandbox_options;

/// Variable that names the folder for the state of runs; without it, `testkit` in the target folder.
pub const STATE_VARIABLE: &str = "CUTOVER_TEST_DIR";

/// The shared server.
#[derive(Debug)]
pub struct TestServer {
    server: Server,
    binaries: Binaries,
    /// Locks and flags of this run.
    state: PathBuf,
    /// Where this process is the run, it owns the server itself.
    _own: Option<Sandbox>,
}

impl TestServer {
    /// How to reach it.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The programs of its installation.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Takes a lock that all processes of the run share; it is given back when the file is dropped.
    pub(crate) fn lock(&self, name: &str) -> File {
        lock(&self.state.join(format!("{name}.lock")))
    }

    /// Path of a flag that all processes of the run share.
    pub(crate) fn flag(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }
}

/// The server of this test run, started if need be.
pub fn server() -> &'static TestServer {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    SERVER.get_or_init(|| match cargo_run() {
        Some((pid, key)) => join(pid, &key),
        None => own(),
    })
}

/// A server of this process alone. Its guard ends it with the process.
fn own() -> TestServer {
    let sandbox = Sandbox::start(&options(Owner::ThisProcess)).expect("a test server");
    TestServer {
        server: sandbox.server().clone(),
        binaries: sandbox.binaries().clone(),
        state: sandbox.folder().to_owned(),
        _own: Some(sandbox),
    }
}

/// The server of the run led by process `pid`.
fn join(pid: u32, key: &str) -> TestServer {
    let root = state_root();
    let state = root.join(key);
    private_folder(&state);
    let _starting = lock(&state.join("start.lock"));
    let facts = state.join("server");
    if !facts.exists() {
        forget_finished_runs(&root, key);
        let sandbox = Sandbox::start(&options(Owner::Process(pid))).expect("the run's test server");
        record(&facts, &sandbox);
    }
    let (server, bin) = recall(&facts);
    let binaries = Binaries::find(Some(&bin), "", None).expect("the programs of the run's test server");
    TestServer { server, binaries, state, _own: None }
}

fn options(owner: Owner) -> SandboxOptions {
    let settings = vec![("max_connections".to_owned(), "400".to_owned())];
    SandboxOptions { owner, settings, ..sandbox_options() }
}

/// Process id of the run, and a name that no other run ever has. `None` when cargo did not start this process.
fn cargo_run() -> Option<(u32, String)> {
    let parent = std::os::unix::process::parent_id();
    let shown = |column: &str| {
        let output =
            Command::new("ps").args(["-o", column, "-p", &parent.to_string()]).env("LC_ALL", "C").output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let program = fs::read_to_string(format!("/proc/{parent}/comm")).ok().or_else(|| shown("comm="))?;
    if !program.rsplit('/').next()?.starts_with("cargo") {
        return None;
    }
    let started = fs::read_to_string(format!("/proc/{parent}/stat")).map_or_else(
        |_| shown("lstart="),
        // The name, in parentheses, may hold spaces; the start is the 20th field after it.
        |stat| stat.rsplit(')').next()?.split_whitespace().nth(19).map(str::to_owned),
    )?;
    let started: String = started.chars().filter(char::is_ascii_alphanumeric).collect();
    Some((parent, format!("run-{parent}-{started}")))
}

fn state_root() -> PathBuf {
    if let Some(given) = std::env::var_os(STATE_VARIABLE) {
        return PathBuf::from(given);
    }
    let program = std::env::current_exe().expect("this program's path");
    let target = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    let target = target.expect("test programs are in cargo's target folder, unless CUTOVER_TEST_DIR is set");
    target.join("testkit")
}

fn private_folder(path: &Path) {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).expect("a folder for the run's state");
}

fn lock(path: &Path) -> File {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.expect("a lock file");
    rustix::fs::flock(&file, FlockOperation::LockExclusive).expect("a lock");
    file
}

fn record(path: &Path, sandbox: &Sandbox) {
    let sockets = sandbox.socket_dir().map_or_else(String::new, |folder| folder.display().to_string());
    let facts = format!(
        "{}\n{}\n{}\n{sockets}\n{}\n{}\n",
        sandbox.folder().display(),
        sandbox.port(),
        sandbox.password(),
        sandbox.binaries().major,
        sandbox.binaries().folder.display(),
    );
    let fresh = path.with_extension("new");
    let _ = fs::remove_file(&fresh);
    let file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&fresh);
    file.and_then(|mut file| file.write_all(facts.as_bytes())).expect("the run's state");
    fs::rename(&fresh, path).expect("the run's state");
}

fn recall(path: &Path) -> (Server, PathBuf) {
    let facts = fs::read_to_string(path).expect("the run's state");
    let [_, port, password, sockets, major, bin] = facts.lines().collect::<Vec<_>>()[..] else {
        panic!("{} is damaged", path.display())
    };
    let server = Server {
        port: port.parse().expect("a port"),
        socket_folder: Some(sockets).filter(|folder| !folder.is_empty()).map(PathBuf::from),
        password: Secret::new(password),
        major: major.parse().expect("a major version"),
    };
    (server, PathBuf::from(bin))
}

/// Removes the state of runs whose server is gone.
fn forget_finished_runs(root: &Path, current: &str) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let facts = fs::read_to_string(entry.path().join("server")).unwrap_or_default();
        let gone = facts.lines().next().is_some_and(|folder| !Path::new(folder).exists());
        if gone && name != current && name.to_string_lossy().starts_with("run-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
