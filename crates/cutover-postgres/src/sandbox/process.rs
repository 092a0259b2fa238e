//! `initdb` and the server process: started as an ordinary user, watched until ready, stopped by signal.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::account::Account;
use super::binaries::Binaries;
use super::error::SandboxError;
use super::folder::{Folder, new_file};
use super::{SUPERUSER, SandboxOptions};

/// How much of the log an error shows, in bytes.
const LOG_TAIL: u64 = 8 << 10;
const POLL: Duration = Duration::from_millis(3);
/// A server that was told to stop at once and has not after this long is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Creates the data folder: superuser `postgres` with `password`, UTF8.
pub(super) fn init(
    folder: &Folder,
    binaries: &Binaries,
    account: Account,
    options: &SandboxOptions,
    password: &str,
) -> Result<(), SandboxError> {
    let data = folder.make_private("data", account)?;
    let secret = folder.path().join("password");
    new_file(&secret, 0o600)
        .and_then(|mut file| file.write_all(password.as_bytes()))
        .map_err(SandboxError::io(format!("write {}", secret.display())))?;
    account.own(&secret)?;
    let mut command = server_command(&binaries.initdb, folder, account);
    command
        .arg("-D")
        .arg(&data)
        .args(["-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8", "-N"])
        .arg(format!("--locale={}", options.locale))
        .arg(format!("--pwfile={}", secret.display()));
    let output = command.stdin(Stdio::null()).output().map_err(cannot_run(&binaries.initdb))?;
    let _ = fs::remove_file(&secret);
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(SandboxError::Init {
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&text).trim().to_owned(),
    })
}

/// Writes the server's configuration. It lies in the owner's folder, so that the server's user cannot redirect it.
pub(super) fn configure(
    folder: &Folder,
    sockets: Option<&Path>,
    port: u16,
    options: &SandboxOptions,
) -> Result<(), SandboxError> {
    let mut text = String::new();
    let _ =
        writeln!(text, "include {}", quoted(&folder.data().join("postgresql.conf").display().to_string()));
    let sockets = sockets.map_or_else(String::new, |path| path.display().to_string());
    let port = port.to_string();
    let mut all = vec![
        ("data_directory", folder.data().display().to_string()),
        ("hba_file", folder.data().join("pg_hba.conf").display().to_string()),
        ("ident_file", folder.data().join("pg_ident.conf").display().to_string()),
        ("listen_addresses", Ipv4Addr::LOCALHOST.to_string()),
        ("port", port),
        ("unix_socket_directories", sockets),
        ("unix_socket_permissions", "0700".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
    ];
    if !options.durable {
        all.extend([("fsync", "off".to_owned()), ("full_page_writes", "off".to_owned())]);
    }
    all.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.clone())));
    for (name, value) in all {
        let _ = writeln!(text, "{name} = {}", quoted(&value));
    }
    let path = folder.path().join("postgresql.conf");
    fs::write(&path, text).map_err(SandboxError::io(format!("write {}", path.display())))
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// A port nothing listens on just now.
pub(super) fn free_port() -> Result<u16, SandboxError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(SandboxError::io("find a free port"))
}

/// Why a server did not come up.
pub(super) enum StartFailure {
    /// Something else took the port first.
    PortTaken(SandboxError),
    /// Anything else.
    Other(SandboxError),
}

/// Starts the server and waits until it takes connections.
pub(super) fn start(
    folder: &Folder,
    binaries: &Binaries,
    account: Account,
    patience: Duration,
) -> Result<Child, StartFailure> {
    let log_path = folder.path().join("log");
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)
        .map_err(SandboxError::io(format!("write {}", log_path.display())))
        .map_err(StartFailure::Other)?;
    let offset = log.metadata().map_or(0, |meta| meta.len());
    let mut child = spawn(folder, binaries, account, log).map_err(StartFailure::Other)?;
    let give_up = Instant::now() + patience;
    let why = loop {
        if is_ready(&folder.data(), child.id()) {
            return Ok(child);
        }
        match child.try_wait() {
            Ok(Some(status)) => break status.to_string(),
            Ok(None) if Instant::now() < give_up => std::thread::sleep(POLL),
            Ok(None) => {
                stop(&mut child, Signal::QUIT);
                break format!("not ready after {} s", patience.as_secs());
            }
            Err(error) => break error.to_string(),
        }
    };
    let log = log_text(&log_path, offset);
    let taken = log.contains("Address already in use");
    let error = SandboxError::Start { why, log };
    Err(if taken { StartFailure::PortTaken(error) } else { StartFailure::Other(error) })
}

fn spawn(folder: &Folder, binaries: &Binaries, account: Account, log: File) -> Result<Child, SandboxError> {
    let second = log.try_clone().map_err(SandboxError::io("write the log"))?;
    server_command(&binaries.postgres, folder, account)
        .arg("-D")
        .arg(folder.data())
        .arg("-c")
        .arg(format!("config_file={}", folder.path().join("postgresql.conf").display()))
        .stdin(Stdio::null())
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(second))
        // Its own group: the terminal's Ctrl-C is the owner's to handle, not the server's.
        .process_group(0)
        .spawn()
        .map_err(cannot_run(&binaries.postgres))
}

/// One of the server's programs with a clean environment. Its messages are in English: one of them is looked for.
fn server_command(program: &Path, folder: &Folder, account: Account) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir(folder.path());
    account.apply(&mut command);
    command
}

fn cannot_run(program: &Path) -> impl FnOnce(std::io::Error) -> SandboxError {
    SandboxError::io(format!("run {}", program.display()))
}

/// The server writes its state into the eighth line of its pid file.
fn is_ready(data: &Path, pid: u32) -> bool {
    fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| {
        let mut lines = text.lines();
        lines.next() == Some(pid.to_string().as_str())
            && lines.nth(6).is_some_and(|state| state.trim() == "ready")
    })
}

/// The end of the log from `offset` on.
pub(super) fn log_text(path: &Path, offset: u64) -> String {
    let mut text = Vec::new();
    let _ = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(offset.max(length.saturating_sub(LOG_TAIL))))?;
        file.read_to_end(&mut text)
    });
    String::from_utf8_lossy(&text).into_owned()
}

/// Sends `signal` and waits for the server's end; a server that does not obey is killed.
pub(super) fn stop(child: &mut Child, signal: Signal) {
    let give_up = Instant::now() + STOP_PATIENCE;
    if let Ok(None) = child.try_wait() {
        let _ = rustix::process::kill_process(Pid::from_child(child), signal);
    }
    while let Ok(None) = child.try_wait() {
        if Instant::now() >= give_up {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(POLL);
    }
}

/// Stops the server of a data folder that is not a child of this process, if there is one.
pub(super) fn stop_orphan(data: &Path) {
    let Some(pid) = orphan(data) else { return };
    let _ = rustix::process::kill_process(pid, Signal::QUIT);
    let give_up = Instant::now() + STOP_PATIENCE;
    while orphan(data) == Some(pid) {
        if Instant::now() >= give_up {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
            return;
        }
        std::thread::sleep(POLL);
    }
}

/// The server that works in `data`. The pid file alone is not believed: ids are used again, and the file belongs to
/// the server's user.
fn orphan(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    let pid = Pid::from_raw(number)?;
    works_in(number, data).then_some(pid)
}

#[cfg(target_os = "linux")]
fn works_in(pid: i32, data: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == data)
}

#[cfg(not(target_os = "linux"))]
fn works_in(pid: i32, data: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(owner) = fs::symlink_metadata(data).map(|meta| meta.uid()) else {
        return false;
    };
    let shown = Command::new("ps").args(["-o", "uid=", "-o", "args=", "-p", &pid.to_string()]).output();
    shown.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout);
        let user = text.split_whitespace().next().and_then(|uid| uid.parse().ok());
        user == Some(owner) && text.contains(&format!("-D {}", data.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_quoted_for_the_configuration_file() {
        assert_eq!(quoted("it's a \\ back"), "'it''s a \\\\ back'");
    }

    #[test]
    fn a_process_that_works_elsewhere_is_no_orphan() {
        let here = std::env::current_dir().unwrap();
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(works_in(me, &here) || cfg!(not(target_os = "linux")));
        assert!(!works_in(me, Path::new("/no/such/data")));
    }
}
