//! PostgreSQL's client programs, run against any server. What they need to connect goes through the environment of
//! the child alone: arguments can be read by every user of the machine.

use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::binaries::Binaries;
use super::error::SandboxError;
use crate::connect::ConnectOptions;

impl Binaries {
    /// `pg_dump` of the database that `target` names, without further arguments.
    ///
    /// # Errors
    /// When `pg_dump` is not installed beside the server.
    pub fn pg_dump(&self, target: &ConnectOptions) -> Result<Command, SandboxError> {
        Ok(client(self.require_pg_dump()?, target))
    }

    /// `pg_restore` into the database that `target` names, stopping at the first error.
    ///
    /// # Errors
    /// When `pg_restore` is not installed beside the server.
    pub fn pg_restore(&self, target: &ConnectOptions) -> Result<Command, SandboxError> {
        let mut command = client(self.require_pg_restore()?, target);
        // Unlike pg_dump, pg_restore does not take the database from the environment. A name with an equals sign would
        // be read as a connection string.
        command.arg(format!("--dbname=dbname='{}'", conninfo_escaped(&target.database)));
        command.arg("--exit-on-error");
        Ok(command)
    }
}

/// Runs a client program to its end and returns what it wrote to standard output. Blocks.
///
/// # Errors
/// [`SandboxError::Program`] with what it wrote to standard error.
pub fn run_client(program: &'static str, command: &mut Command) -> Result<Vec<u8>, SandboxError> {
    let output = command.output().map_err(SandboxError::io(format!("run {program}")))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(SandboxError::Program {
        program,
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// How long a program that was asked to end may take: it cancels what it runs on the server first.
const GRACE: Duration = Duration::from_secs(5);
/// How often is looked whether a program has ended.
const LOOKS: Duration = Duration::from_millis(10);

/// Client programs run one after the other on one thread, which another thread can end.
#[derive(Debug, Default)]
pub struct Interruptible {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When it was asked to end.
    ended: Option<Instant>,
    child: Option<Child>,
}

impl Interruptible {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves a child that can be ended all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the program at work to end, and lets no other begin. It cancels its statement on the server first; one that
    /// does not end within five seconds is killed.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended.get_or_insert_with(Instant::now);
        if let Some(child) = &state.child {
            // Its id is its own until it is waited for, which happens under the same lock.
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
    }

    /// Whether it was asked to end.
    pub fn is_ended(&self) -> bool {
        self.state().ended.is_some()
    }

    /// Runs a client program to its end. Blocks.
    ///
    /// # Errors
    /// [`SandboxError::Interrupted`] after [`end`](Self::end), [`SandboxError::Program`] with what it wrote to standard
    /// error.
    pub fn run(&self, program: &'static str, command: &mut Command) -> Result<(), SandboxError> {
        let failed = || SandboxError::io(format!("run {program}"));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let errors = {
            let mut state = self.state();
            if state.ended.is_some() {
                return Err(SandboxError::Interrupted);
            }
            let child = state.child.insert(command.spawn().map_err(failed())?);
            child.stderr.take()
        };
        // Read on the side, so that a full pipe does not keep it from ending.
        let reader = std::thread::spawn(move || {
            let mut output = Vec::new();
            let _ = errors.map(|mut errors| errors.read_to_end(&mut output));
            output
        });
        let status = loop {
            if let Some(status) = self.look().map_err(failed())? {
                break status;
            }
            std::thread::sleep(LOOKS);
        };
        let output = reader.join().unwrap_or_default();
        if self.is_ended() {
            return Err(SandboxError::Interrupted);
        }
        if status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&output).trim().to_owned();
        Err(SandboxError::Program { program, status: status.to_string(), output })
    }

    /// The status of the program at work, once it has ended.
    fn look(&self) -> io::Result<Option<ExitStatus>> {
        let mut state = self.state();
        let overdue = state.ended.is_some_and(|at| at.elapsed() > GRACE);
        let Some(child) = &mut state.child else { return Ok(None) };
        if overdue {
            let _ = child.kill();
        }
        let status = child.try_wait()?;
        if status.is_some() {
            state.child = None;
        }
        Ok(status)
    }
}

fn client(program: &Path, target: &ConnectOptions) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .arg("--no-password");
    command.envs(target.libpq_variables());
    command
}

fn conninfo_escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::{ChannelBinding, Secret, SslMode, SslNegotiation, TargetSessionAttrs, TlsVersion};

    #[test]
    fn the_password_is_in_the_environment_and_not_in_the_arguments() {
        let mut target = ConnectOptions::tcp("db.example", 6432, "me", "o'brien=1");
        target.hosts[0].password = Some(Secret::new("hush"));
        let command = client(Path::new("pg_dump"), &target);
        assert!(command.get_args().all(|argument| argument == "--no-password"));
        let value = |name: &str| {
            command
                .get_envs()
                .find(|(key, _)| *key == name)
                .and_then(|(_, value)| value?.to_str())
                .map(str::to_owned)
        };
        assert_eq!(value("PGPASSWORD").as_deref(), Some("hush"));
        assert_eq!(value("PGHOST").as_deref(), Some("db.example"));
        assert_eq!(value("PGPORT").as_deref(), Some("6432"));
        // A dump is no less safe than the connection it is made for.
        target.channel_binding = ChannelBinding::Require;
        target.target_session_attrs = TargetSessionAttrs::Primary;
        (target.tls.mode, target.tls.negotiation) = (SslMode::VerifyFull, SslNegotiation::Direct);
        target.tls.min_version = TlsVersion::V13;
        let command = client(Path::new("pg_dump"), &target);
        for (name, expected) in [
            ("PGCHANNELBINDING", "require"),
            ("PGTARGETSESSIONATTRS", "primary"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLNEGOTIATION", "direct"),
            ("PGSSLMINPROTOCOLVERSION", "TLSv1.3"),
            ("PGSSLCERTMODE", "disable"),
        ] {
            let set = command.get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value);
            assert_eq!(set.and_then(|value| value.to_str()), Some(expected), "{name}");
        }
        assert_eq!(conninfo_escaped("o'b\\"), "o\\'b\\\\");
    }

    /// Returns once the program has written the file, so that it is known to be at work.
    fn wait_for(path: &Path) {
        let begun = Instant::now();
        while !path.exists() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the program never began");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_program_is_ended_from_another_thread_also_one_that_does_not_want_to() {
        let folder = std::env::temp_dir().join(format!("cutover-ended-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, script) in [
            ("willing", "touch \"$0\"; exec sleep 600"),
            ("deaf", "trap '' TERM; touch \"$0\"; while :; do sleep 0.1; done"),
        ] {
            let begun = folder.join(name);
            let work = std::sync::Arc::new(Interruptible::default());
            let (working, path) = (std::sync::Arc::clone(&work), begun.clone());
            let thread = std::thread::spawn(move || {
                let mut command = Command::new("/bin/sh");
                command.args(["-c", script]).arg(path).stdin(Stdio::null());
                working.run("sh", &mut command)
            });
            wait_for(&begun);
            work.end();
            assert!(matches!(thread.join().unwrap(), Err(SandboxError::Interrupted)), "{name}");
            let next = work.run("sh", Command::new("/bin/sh").args(["-c", "true"]));
            assert!(matches!(next, Err(SandboxError::Interrupted)), "no other begins");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_program_that_fails_says_why_however_much_it_writes() {
        let work = Interruptible::default();
        let script = "i=0; while [ $i -lt 20000 ]; do echo 'a line of words' >&2; i=$((i+1)); done; exit 3";
        let error = work.run("sh", Command::new("/bin/sh").args(["-c", script])).unwrap_err();
        let SandboxError::Program { status, output, .. } = error else { panic!("{error}") };
        assert!(status.contains('3') && output.lines().count() == 20_000, "{status}");
        work.run("sh", Command::new("/bin/sh").args(["-c", "true"])).unwrap();
    }
}
