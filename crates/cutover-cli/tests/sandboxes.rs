//! Throwaway servers of the command: not misled by what the environment says, and gone however the command ends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here has failed the test")]

mod common;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use common::Place;
use rustix::process::{Pid, Signal, kill_process};

/// What leads another program of PostgreSQL elsewhere, or nowhere.
const NONSENSE: &[(&str, &str)] = &[
    ("PGHOST", "nowhere.invalid"),
    ("PGHOSTADDR", "127.0.0.2"),
    ("PGPORT", "1"),
    ("PGDATABASE", "nothing"),
    ("PGUSER", "nobody"),
    ("PGPASSWORD", "wrong"),
    ("PGPASSFILE", "/nonexistent"),
    ("PGSERVICE", "none"),
    ("PGSERVICEFILE", "/nonexistent"),
    ("PGSYSCONFDIR", "/nonexistent"),
    ("PGOPTIONS", "-c nonsense=1"),
    ("PGSSLMODE", "verify-full"),
    ("PGCHANNELBINDING", "require"),
    ("PGTARGETSESSIONATTRS", "standby"),
    ("PGREQUIREAUTH", "none"),
    ("PGDATA", "/nonexistent"),
    ("PGTZ", "Nowhere/Land"),
    ("CUTOVER_URL", "nonsense://"),
    ("DATABASE_URL", "postgresql://nowhere.invalid:1/nothing"),
    ("LANG", "xx_YY"),
    ("LC_ALL", "xx_YY.UTF-8"),
    ("TMPDIR", "/nonexistent"),
];

#[test]
fn nothing_in_the_environment_misleads_a_sandbox() {
    let place = Place::without_database();
    place.write("cutover.toml", "[project]\nname = \"p\"\n[design]\nddl = [\"design.sql\"]\n");
    place.write("design.sql", "CREATE TABLE a (n int);\n");
    place.write("migrations/V1__a.sql", "CREATE TABLE a (n int);\n");
    place.write(".env", "PGHOST=nowhere.invalid\nDATABASE_URL=postgresql://nowhere.invalid/nothing\n");
    for arguments in [&["apply", "--sandbox", "--verify"][..], &["demo", "-C", ".", "-o", "report.html"]] {
        let mut command = place.command(arguments);
        command.envs(NONSENSE.iter().copied());
        let outcome = common::outcome(&command.output().unwrap()).ends_with(0);
        assert!(outcome.stdout.contains("1 applied"), "{arguments:?}: {}", outcome.stdout);
        assert_eq!(outcome.stderr, "", "{arguments:?}");
    }
}

/// How far a throwaway server has got.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Its folder is there, and nothing in it yet.
    Folder,
    /// The data folder is being made.
    Data,
    /// The server is being started.
    Server,
    /// It takes connections.
    Ready,
}

/// The folder of the server that process `owner` makes, once there is one.
fn folder_of(owner: u32) -> Option<PathBuf> {
    let bases = [PathBuf::from("/dev/shm"), std::env::temp_dir(), PathBuf::from("/tmp")];
    let entries = bases.iter().filter_map(|base| fs::read_dir(base).ok()).flatten().flatten();
    let ours = format!("process {owner}\n");
    entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cutover-sandbox-"))
        })
        .find(|path| fs::read_to_string(path.join("owner")).is_ok_and(|text| text.ends_with(&ours)))
}

fn reached(moment: Moment, folder: &Path) -> bool {
    let data = folder.join("data");
    match moment {
        Moment::Folder => true,
        Moment::Data => data.join("PG_VERSION").exists(),
        Moment::Server => folder.join("log").exists(),
        Moment::Ready => fs::read_to_string(data.join("postmaster.pid"))
            .is_ok_and(|text| text.lines().nth(7).is_some_and(|state| state.trim() == "ready")),
    }
}

fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < give_up, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether a process works for the server in `folder`.
fn at_work(folder: &Path) -> bool {
    let folder = folder.display().to_string();
    if Path::new("/proc/self").exists() {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        return lines.any(|line| String::from_utf8_lossy(&line).contains(&folder));
    }
    let processes = Command::new("ps").args(["-e", "-o", "args="]).output().unwrap();
    String::from_utf8_lossy(&processes.stdout).contains(&folder)
}

fn send(signal: Signal, child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal).unwrap();
}

/// What a command that has ended said.
fn said(child: &mut Child) -> String {
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    said
}

fn ended(signal: Signal, moment: Moment, arguments: &[&str]) {
    let what = format!("{arguments:?}, {signal:?}, {moment:?}");
    let place = Place::without_database();
    place.write("migrations/V1__a.sql", "SELECT pg_sleep(600);\n");
    let mut child = place.command(arguments).spawn().unwrap();
    let folder = eventually(&what, || folder_of(child.id()).filter(|folder| reached(moment, folder)));
    send(signal, &child);
    // A command that changes a database finishes its step at the first, and cancels it at the second.
    let status = eventually(&what, || {
        let ended = child.try_wait().unwrap();
        if ended.is_none() && signal != Signal::KILL && arguments[0] == "apply" {
            send(signal, &child);
        }
        ended
    });
    let expected = match signal {
        Signal::KILL => None,
        // How far it had got when it took note of the signal, it says itself: with a server to offer, that is how it ends.
        _ if arguments[0] == "sandbox" && said(&mut child).contains("postgresql://") => {
            status.code().filter(|code| [0, 130].contains(code))
        }
        _ => Some(130),
    };
    assert_eq!(status.code(), expected, "{what}");
    eventually(&format!("nothing is left: {what}"), || (!folder.exists() && !at_work(&folder)).then_some(()));
}

#[test]
fn a_sandbox_is_gone_however_and_whenever_it_ends() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        for moment in [Moment::Folder, Moment::Data, Moment::Server, Moment::Ready] {
            ended(signal, moment, &["sandbox"]);
        }
    }
}

#[test]
fn an_apply_on_a_throwaway_server_leaves_none_behind() {
    for signal in [Signal::TERM, Signal::KILL] {
        for moment in [Moment::Data, Moment::Ready] {
            ended(signal, moment, &["apply", "--sandbox"]);
        }
    }
}
