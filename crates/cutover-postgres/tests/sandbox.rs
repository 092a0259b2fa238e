//! Throwaway servers, for real: started, used, crashed, abandoned, and cleared up.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cutover_postgres::Environment;
use cutover_postgres::sandbox::{Binaries, Owner, Sandbox, SandboxError, SandboxOptions, run_client, sweep};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio_postgres::NoTls;

/// Tells a copy of this test program where to start the server that it is killed over.
const CHILD: &str = "CUTOVER_SANDBOX_TEST_BASE";
const CHILD_TEST: &str = "a_server_to_be_abandoned";

fn environment() -> Environment {
    Environment { vars: std::env::vars().collect(), home: None, user: None }
}

fn options() -> SandboxOptions {
    let environment = environment();
    let bin_dir = environment.var("CUTOVER_TEST_PG_BIN").map(PathBuf::from);
    SandboxOptions { bin_dir, ..SandboxOptions::new(&environment) }
}

/// For what needs `pg_dump`: the programs under test where they have it, else others that could dump such a server.
fn options_with_clients() -> SandboxOptions {
    let options = options();
    let path = &options.search_path;
    let major = Binaries::find(options.bin_dir.as_deref(), path, None).unwrap().major;
    let named = environment().var("CUTOVER_TEST_PG_CLIENT_BIN").map(PathBuf::from);
    let tried = [named, options.bin_dir.clone(), None];
    let found = tried.iter().find_map(|folder| Binaries::find_for_dump(folder.as_deref(), path, major).ok());
    SandboxOptions { bin_dir: Some(found.expect("pg_dump and pg_restore").folder), ..options }
}

/// A folder of this test's own, so that sweeping there disturbs nobody.
struct Base(PathBuf);

impl Base {
    fn new(name: &str) -> Self {
        let root =
            if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
        let path = root.join(format!("cutover-test-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn options(&self) -> SandboxOptions {
        SandboxOptions { base_dir: Some(self.0.clone()), ..options() }
    }

    fn entries(&self) -> Vec<PathBuf> {
        std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < give_up, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What `/proc` says of a process, where there is one; `ps` is not on every machine.
fn runs(pid: u32) -> bool {
    if Path::new("/proc/self").exists() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything; the state follows.
        return stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| !matches!(rest.trim_start().chars().next(), None | Some('Z' | 'X')));
    }
    let state = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(state.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

/// The arguments of every process that may be looked at.
fn command_lines() -> String {
    if Path::new("/proc/self").exists() {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        return lines.map(|line| String::from_utf8_lossy(&line).into_owned() + "\n").collect();
    }
    let arguments = Command::new("ps").args(["-o", "args=", "-e"]).output().unwrap();
    String::from_utf8_lossy(&arguments.stdout).into_owned()
}

fn process(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

fn signal(signal: Signal, pid: u32) {
    kill_process(process(pid), signal).unwrap();
}

#[tokio::main(flavor = "current_thread")]
async fn ask(url: &str, sql: &str) -> Result<String, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let driver = tokio::spawn(connection);
    let rows = client.simple_query(sql).await?;
    drop(client);
    let _ = driver.await;
    Ok(rows
        .iter()
        .find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .unwrap_or_default())
}

#[tokio::test]
async fn a_server_is_used_and_leaves_nothing_behind() {
    let sandbox = Sandbox::start_in_background(options()).await.unwrap();
    let (folder, pid, guard) = (sandbox.folder().to_owned(), sandbox.pid().unwrap(), sandbox.guard_pid());
    sandbox.create_database("first one", None).await.unwrap();
    sandbox.create_database("copy \"of\" it", Some("first one")).await.unwrap();
    let again = sandbox.create_database("first one", None).await.unwrap_err();
    assert!(matches!(again, SandboxError::Sql { .. }), "{again}");
    let (client, connection) = tokio_postgres::connect(&sandbox.url("first one"), NoTls).await.unwrap();
    let connected = tokio::spawn(connection);
    sandbox.drop_database("first one").await.unwrap();
    assert!(connected.await.unwrap().is_err() && client.is_closed(), "whoever is connected is sent away");
    sandbox.drop_database("first one").await.unwrap();
    let url = sandbox.url("copy \"of\" it");
    let answer = tokio::task::spawn_blocking(move || {
        ask(
            &url,
            "select current_database() || current_setting('server_encoding') || current_setting('fsync')",
        )
    });
    assert_eq!(answer.await.unwrap().unwrap(), "copy \"of\" itUTF8off");
    sandbox.stop().unwrap();
    assert!(!folder.exists() && !runs(pid) && !runs(guard));
}

#[test]
fn nobody_gets_in_without_the_password() {
    let sandbox = Sandbox::start(&options()).unwrap();
    let port = sandbox.port();
    let wrong =
        ask(&format!("postgresql://postgres:guess@127.0.0.1:{port}/postgres"), "select 1").unwrap_err();
    assert_eq!(wrong.code().unwrap().code(), "28P01");
    let sockets = sandbox.socket_dir().unwrap().display().to_string();
    let by_socket = |password: &str| {
        ask(
            &format!("host={sockets} port={port} user=postgres password={password} dbname=postgres"),
            "select 1",
        )
    };
    assert_eq!(by_socket("guess").unwrap_err().code().unwrap().code(), "28P01");
    assert_eq!(by_socket(sandbox.password()).unwrap(), "1");
    let arguments = command_lines();
    assert!(arguments.contains(&sandbox.folder().display().to_string()), "{arguments}");
    assert!(!arguments.contains(sandbox.password()));
}

#[test]
fn settings_reach_the_server_and_wrong_ones_are_shown_with_its_log() {
    let mut wanted = options();
    wanted.settings = vec![("application_name".to_owned(), "it's \\ me".to_owned())];
    wanted.durable = true;
    let sandbox = Sandbox::start(&wanted).unwrap();
    let sql = "select current_setting('application_name') || current_setting('fsync')";
    assert_eq!(ask(&sandbox.url("postgres"), sql).unwrap(), "it's \\ meon");

    let base = Base::new("settings");
    let mut wrong = base.options();
    wrong.settings = vec![("shared_buffers".to_owned(), "a lot".to_owned())];
    let error = Sandbox::start(&wrong).unwrap_err().to_string();
    assert!(error.contains("invalid value for parameter \"shared_buffers\": \"a lot\""), "{error}");
    assert_eq!(base.entries(), Vec::<PathBuf>::new(), "a failed start leaves nothing");
}

#[test]
fn two_are_started_at_the_same_time() {
    let started: Vec<_> =
        (0..2).map(|_| std::thread::spawn(|| Sandbox::start(&options()).unwrap())).collect();
    let sandboxes: Vec<_> = started.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_ne!(sandboxes[0].port(), sandboxes[1].port());
    for sandbox in &sandboxes {
        assert_eq!(ask(&sandbox.url("postgres"), "select 1").unwrap(), "1");
    }
}

#[test]
fn a_crash_keeps_the_files_and_a_restart_the_address() {
    let mut wanted = options();
    wanted.durable = true;
    let mut sandbox = Sandbox::start(&wanted).unwrap();
    let url = sandbox.url("postgres");
    ask(&url, "create table kept as select 42 as answer").unwrap();
    sandbox.stop_immediately();
    assert!(ask(&url, "select 1").is_err());
    sandbox.restart().unwrap();
    assert_eq!(ask(&url, "select answer from kept").unwrap(), "42");
    assert!(sandbox.log().contains("database system was not properly shut down"), "{}", sandbox.log());
    sandbox.restart().unwrap();
    assert_eq!(ask(&url, "select answer from kept").unwrap(), "42");
}

#[test]
fn a_panic_of_the_owner_ends_the_server() {
    let thread = std::thread::spawn(|| {
        let sandbox = Sandbox::start(&options()).unwrap();
        std::panic::panic_any((sandbox.folder().to_owned(), sandbox.pid().unwrap()));
    });
    let told = thread.join().unwrap_err();
    let (folder, pid) = told.downcast_ref::<(PathBuf, u32)>().unwrap();
    assert!(!folder.exists() && !runs(*pid));
}

#[test]
fn dumps_and_restores_without_a_password_in_the_arguments() {
    let sandbox = Sandbox::start(&options_with_clients()).unwrap();
    for name in ["from here", "to='there'"] {
        ask(&sandbox.url("postgres"), &format!("create database \"{name}\"")).unwrap();
    }
    ask(&sandbox.url("from here"), "create table t as select 7 as n").unwrap();
    let file = sandbox.folder().join("backup");
    let mut dump = sandbox.binaries().pg_dump(&sandbox.options("from here")).unwrap();
    run_client("pg_dump", dump.arg("-Fc").arg("-f").arg(&file)).unwrap();
    let mut restore = sandbox.binaries().pg_restore(&sandbox.options("to='there'")).unwrap();
    run_client("pg_restore", restore.arg(&file)).unwrap();
    assert_eq!(ask(&sandbox.url("to='there'"), "select n from t").unwrap(), "7");
    let mut missing = sandbox.binaries().pg_dump(&sandbox.options("nowhere")).unwrap();
    let error = run_client("pg_dump", &mut missing).unwrap_err().to_string();
    assert!(error.contains("database \"nowhere\" does not exist"), "{error}");
}

#[test]
#[ignore = "not a test of its own: the owner that other tests start and kill"]
fn a_server_to_be_abandoned() {
    let base = std::env::var(CHILD).unwrap();
    let sandbox =
        Sandbox::start(&SandboxOptions { base_dir: Some(PathBuf::from(base)), ..options() }).unwrap();
    println!("started {} {} {}", sandbox.pid().unwrap(), sandbox.guard_pid(), sandbox.folder().display());
    // Until it is killed, or the test that asked ends.
    let _ = std::io::stdin().read_line(&mut String::new());
}

struct Abandoned {
    owner: std::process::Child,
    server: u32,
    guard: u32,
    folder: PathBuf,
}

/// Runs a copy of this program that owns a server in `base`.
fn owner(base: &Path, prepare: impl FnOnce(&mut Command)) -> Abandoned {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", CHILD_TEST, "--ignored", "--nocapture"]).env(CHILD, base);
    prepare(&mut command);
    let mut owner = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufReader::new(owner.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let facts = lines.find_map(|line| line.split_once("started ").map(|(_, facts)| facts.to_owned()));
    let Some(facts) = facts else {
        kill(&mut owner);
        panic!("the owner did not start a server")
    };
    let facts: Vec<&str> = facts.split(' ').collect();
    let number = |at: usize| facts[at].parse().unwrap();
    Abandoned { server: number(0), guard: number(1), folder: PathBuf::from(facts[2]), owner }
}

/// The guard holds the lock until it is really gone.
fn kill_guard(abandoned: &Abandoned) {
    signal(Signal::KILL, abandoned.guard);
    eventually("the guard is gone", || !runs(abandoned.guard));
}

fn kill(owner: &mut std::process::Child) {
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn the_guard_clears_up_after_a_killed_owner() {
    let base = Base::new("guard");
    let mut abandoned = owner(&base.0, |_| ());
    assert!(runs(abandoned.server));
    kill(&mut abandoned.owner);
    eventually("server and guard are gone", || !runs(abandoned.server) && !runs(abandoned.guard));
    assert_eq!(base.entries(), Vec::<PathBuf>::new());
}

#[test]
fn the_terminals_interrupt_reaches_the_owner_alone() {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    let base = Base::new("interrupt");
    // What a terminal does on Ctrl-C: a signal to the whole group of the program in front.
    let mut abandoned = owner(&base.0, |command| {
        command.process_group(0);
    });
    kill_process_group(process(abandoned.owner.id()), Signal::INT).unwrap();
    assert_eq!(abandoned.owner.wait().unwrap().signal(), Some(2));
    eventually("server and guard are gone", || !runs(abandoned.server) && !runs(abandoned.guard));
    assert_eq!(base.entries(), Vec::<PathBuf>::new());
}

#[test]
fn a_sweep_clears_up_when_the_guard_was_killed_too() {
    let base = Base::new("sweep");
    let mut abandoned = owner(&base.0, |_| ());
    let mut living = Sandbox::start(&base.options()).unwrap();
    assert!(abandoned.folder.exists(), "starting sweeps, but spares the living");
    kill_guard(&abandoned);
    assert_eq!(sweep(&base.options()), Vec::<PathBuf>::new(), "the owner lives");
    kill(&mut abandoned.owner);
    assert!(runs(abandoned.server));
    assert_eq!(sweep(&base.options()), vec![abandoned.folder.clone()]);
    assert!(!runs(abandoned.server));
    assert_eq!(base.entries(), vec![living.folder().to_owned()]);
    living.restart().unwrap();
}

#[test]
fn the_next_start_sweeps() {
    let base = Base::new("next");
    let mut abandoned = owner(&base.0, |_| ());
    kill_guard(&abandoned);
    kill(&mut abandoned.owner);
    let next = Sandbox::start(&base.options()).unwrap();
    assert!(!runs(abandoned.server));
    assert_eq!(base.entries(), vec![next.folder().to_owned()]);
}

#[test]
fn a_server_owned_by_another_process_outlives_its_starter() {
    let base = Base::new("other");
    let mut other = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let sandbox =
        Sandbox::start(&SandboxOptions { owner: Owner::Process(other.id()), ..base.options() }).unwrap();
    let (url, pid) = (sandbox.url("postgres"), sandbox.pid().unwrap());
    drop(sandbox);
    assert_eq!(sweep(&base.options()), Vec::<PathBuf>::new());
    assert_eq!(ask(&url, "select 1").unwrap(), "1");
    kill(&mut other);
    eventually("the server is gone", || !runs(pid) && base.entries().is_empty());
}

#[test]
fn a_sweep_follows_no_link_and_takes_nothing_that_is_not_ours() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let base = Base::new("planted");
    let elsewhere = Base::new("elsewhere");
    let marker = "cutover sandbox 1\nprocess 1\n";
    let make = |name: &str| {
        let path = base.0.join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path
    };
    // What a sweep takes: the control without which the rest proves nothing.
    let taken = make("cutover-sandbox-taken");
    std::fs::write(taken.join("owner"), marker).unwrap();
    symlink(&elsewhere.0, taken.join("link")).unwrap();
    // A link to a folder that looks like ours.
    std::fs::write(elsewhere.0.join("owner"), marker).unwrap();
    symlink(&elsewhere.0, base.0.join("cutover-sandbox-link")).unwrap();
    // A marker that is a link, one with another text, none at all, and a folder others may write to.
    symlink(elsewhere.0.join("owner"), make("cutover-sandbox-linked-marker").join("owner")).unwrap();
    std::fs::write(make("cutover-sandbox-other-text").join("owner"), "somebody else's\n").unwrap();
    std::fs::write(make("cutover-sandbox-no-marker").join("data"), "").unwrap();
    let open = make("cutover-sandbox-open");
    std::fs::write(open.join("owner"), marker).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut kept = base.entries();
    kept.retain(|path| *path != taken);
    kept.sort();

    assert_eq!(sweep(&base.options()), vec![taken]);
    let mut left = base.entries();
    left.sort();
    assert_eq!(left, kept);
    assert!(elsewhere.0.join("owner").exists());
}

#[test]
fn a_pid_file_that_names_somebody_else_kills_nobody() {
    let base = Base::new("pid");
    let mut bystander = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut abandoned = owner(&base.0, |_| ());
    kill_guard(&abandoned);
    signal(Signal::QUIT, abandoned.server);
    kill(&mut abandoned.owner);
    eventually("the server is gone", || !runs(abandoned.server));
    std::fs::write(abandoned.folder.join("data/postmaster.pid"), format!("{}\n", bystander.id())).unwrap();
    assert_eq!(sweep(&base.options()), vec![abandoned.folder]);
    assert!(runs(bystander.id()));
    kill(&mut bystander);
}

#[test]
fn a_folder_others_could_exchange_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let base = Base::new("open");
    std::fs::set_permissions(&base.0, std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = Sandbox::start(&base.options()).unwrap_err().to_string();
    assert!(error.contains("no sticky bit"), "{error}");
    let error =
        Sandbox::start(&SandboxOptions { base_dir: Some("/no/such".into()), ..options() }).unwrap_err();
    assert!(error.to_string().contains("/no/such"), "{error}");
}

/// As root this also proves the way of an ordinary user; otherwise every other test here already does.
#[test]
fn an_ordinary_user_starts_one_too() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    let base = Base::new("user");
    std::fs::set_permissions(&base.0, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let root =
        std::fs::metadata("/proc/self").map_or(1, |meta| std::os::unix::fs::MetadataExt::uid(&meta)) == 0;
    let copy = base.0.join("copy-of-this-program");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut abandoned = owner(&base.0, |command| {
        if root {
            let mut other = Command::new(&copy);
            other
                .args(["--exact", CHILD_TEST, "--ignored", "--nocapture"])
                .env(CHILD, &base.0)
                .uid(NOBODY)
                .gid(NOBODY);
            *command = other;
        }
    });
    assert!(runs(abandoned.server));
    assert_eq!(sweep(&base.options()), Vec::<PathBuf>::new(), "a living owner's, whoever asks");
    kill_guard(&abandoned);
    kill(&mut abandoned.owner);
    let swept = sweep(&base.options());
    assert_eq!(swept.is_empty(), root, "root leaves other users' servers alone");
    if root {
        signal(Signal::QUIT, abandoned.server);
        eventually("the server is gone", || !runs(abandoned.server));
    }
}
