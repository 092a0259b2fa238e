//! Throwaway PostgreSQL servers from the programs installed on this machine.
//!
//! A [`Sandbox`] listens on 127.0.0.1 and on a Unix-domain socket in its own folder, with a random password, and goes
//! away with its owner: dropped, panicked, exited or killed. It also works as root, by running the server as an
//! ordinary user. Nothing is downloaded, and no server but its own is ever touched.
//!
//! Starting and stopping block; inside async code use [`Sandbox::start_in_background`].

mod account;
mod binaries;
mod error;
mod folder;
mod guard;
mod process;
mod programs;
mod server;
mod sweep;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use rustix::process::Signal;

use self::account::Account;
pub use self::binaries::Binaries;
pub use self::error::{Looked, Need, NoBinaries, SandboxError};
use self::folder::Folder;
use self::guard::Guard;
use self::process::StartFailure;
pub use self::programs::{Interruptible, run_client};
pub use self::server::Server;
pub use self::sweep::sweep;
use crate::Environment;
use crate::connect::{ConnectOptions, Secret};

const SUPERUSER: &str = "postgres";
/// Longest path of a Unix-domain socket that every platform takes, in bytes.
const SOCKET_PATH_LIMIT: usize = 103;
/// How often another port is tried before giving up.
const PORT_ATTEMPTS: usize = 8;

/// Whose end ends the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The process that starts it, or earlier the drop of the [`Sandbox`].
    ThisProcess,
    /// Another process, by id: dropping the [`Sandbox`] leaves the server running. It is noticed within a second or
    /// two that the process is gone.
    Process(u32),
}

/// How a throwaway server is made.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Folder of the server programs; `None` looks for them.
    pub bin_dir: Option<PathBuf>,
    /// Major version; `None` takes the newest.
    pub major: Option<u32>,
    /// Folder to create the server's folder in; `None` takes memory where there is enough, else `temporary`.
    pub base_dir: Option<PathBuf>,
    /// The system's folder for temporary files.
    pub temporary: PathBuf,
    /// Folders in which programs are looked for, as in `PATH`.
    pub search_path: String,
    /// Server settings, on top of and stronger than the sandbox's own.
    pub settings: Vec<(String, String)>,
    /// Whether what is committed survives a crash of the machine (`fsync`).
    pub durable: bool,
    /// Locale of the cluster. `C` exists everywhere and sorts by byte.
    pub locale: String,
    /// As root: the user to run the server as; `None` takes `postgres`, else `nobody`.
    pub run_as: Option<String>,
    /// Whose end ends the server.
    pub owner: Owner,
    /// How long the server may take to become ready.
    pub patience: Duration,
}

impl SandboxOptions {
    /// The defaults, with `PATH` and `TMPDIR` of the environment given.
    pub fn new(environment: &Environment) -> Self {
        Self {
            bin_dir: None,
            major: None,
            base_dir: None,
            temporary: PathBuf::from(environment.var("TMPDIR").unwrap_or("/tmp")),
            search_path: environment.var("PATH").unwrap_or_default().to_owned(),
            settings: Vec::new(),
            durable: false,
            locale: "C".to_owned(),
            run_as: None,
            owner: Owner::ThisProcess,
            patience: Duration::from_secs(60),
        }
    }
}

/// A running throwaway server. Dropping it stops the server and removes its files.
#[derive(Debug)]
pub struct Sandbox {
    folder: Folder,
    guard: Guard,
    child: Option<Child>,
    server: Server,
    binaries: Binaries,
    account: Account,
    owner: Owner,
    patience: Duration,
    /// Stopped and removed: nothing is left for the drop.
    finished: bool,
}

impl Sandbox {
    /// Sweeps up after killed owners, then creates and starts a server. Blocks for as long as `initdb` takes.
    ///
    /// # Errors
    /// [`SandboxError`]: no programs, no folder, no user to run as, or the server's own reason with its log.
    pub fn start(options: &SandboxOptions) -> Result<Self, SandboxError> {
        sweep(options);
        Self::start_at(options, process::free_port()?)
    }

    /// Starts at `port`, or at another one if something else takes it first.
    fn start_at(options: &SandboxOptions, port: u16) -> Result<Self, SandboxError> {
        let account = Account::choose(options.run_as.as_deref())?;
        let binaries = Binaries::find(options.bin_dir.as_deref(), &options.search_path, options.major)?;
        let base = folder::choose_base(options.base_dir.as_deref(), &options.temporary, account)?;
        let folder = Folder::create(&base, account)?;
        let guard = Guard::start(&folder, options.owner, &options.search_path)?;
        let server = Server {
            port,
            socket_folder: None,
            password: Secret::new(folder::random_hex(16)?),
            major: binaries.major,
        };
        // From here on, dropping it cleans up, whatever fails.
        let mut sandbox = Self {
            folder,
            guard,
            child: None,
            server,
            binaries,
            account,
            owner: Owner::ThisProcess,
            patience: options.patience,
            finished: false,
        };
        sandbox.build(options)?;
        sandbox.owner = options.owner;
        Ok(sandbox)
    }

    /// [`Sandbox::start`] on a thread where blocking is allowed. Needs a tokio runtime.
    ///
    /// # Errors
    /// As [`Sandbox::start`].
    pub async fn start_in_background(options: SandboxOptions) -> Result<Self, SandboxError> {
        tokio::task::spawn_blocking(move || Self::start(&options)).await.unwrap_or_else(|error| {
            Err(SandboxError::Io { doing: "start a throwaway server".to_owned(), source: error.into() })
        })
    }

    fn build(&mut self, options: &SandboxOptions) -> Result<(), SandboxError> {
        process::init(&self.folder, &self.binaries, self.account, options, self.server.password.reveal())?;
        let sockets = self.folder.make_private("s", self.account)?;
        let longest = sockets.join(".s.PGSQL.65535");
        self.server.socket_folder = (longest.as_os_str().len() <= SOCKET_PATH_LIMIT).then_some(sockets);
        let mut attempts = 0;
        loop {
            process::configure(&self.folder, self.server.socket_folder(), self.server.port, options)?;
            attempts += 1;
            match self.launch() {
                Ok(()) => return Ok(()),
                Err(StartFailure::PortTaken(_)) if attempts < PORT_ATTEMPTS => {
                    self.server.port = process::free_port()?;
                }
                Err(StartFailure::PortTaken(error) | StartFailure::Other(error)) => return Err(error),
            }
        }
    }

    fn launch(&mut self) -> Result<(), StartFailure> {
        self.child = Some(process::start(&self.folder, &self.binaries, self.account, self.patience)?);
        Ok(())
    }

    /// How to reach the server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The superuser's password.
    pub fn password(&self) -> &str {
        self.server.password.reveal()
    }

    /// Folder of the Unix-domain socket; `None` where its path would be too long.
    pub fn socket_dir(&self) -> Option<&Path> {
        self.server.socket_folder()
    }

    /// URL of a database for the superuser. It holds the password.
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// Connection options of a database for the superuser.
    pub fn options(&self, database: &str) -> ConnectOptions {
        self.server.options(database)
    }

    /// Creates a database; see [`Server::create_database`].
    ///
    /// # Errors
    /// [`SandboxError::Sql`] with the server's reason.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), SandboxError> {
        self.server.create_database(name, template).await
    }

    /// Drops a database; see [`Server::drop_database`].
    ///
    /// # Errors
    /// [`SandboxError::Sql`] with the server's reason.
    pub async fn drop_database(&self, name: &str) -> Result<(), SandboxError> {
        self.server.drop_database(name).await
    }

    /// The programs of this server's installation.
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The folder that holds all of the server's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Process id of the server while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Process id of the guard, which cleans up should this process be killed.
    pub fn guard_pid(&self) -> u32 {
        self.guard.pid()
    }

    /// The end of the server's log.
    pub fn log(&self) -> String {
        process::log_text(&self.folder.path().join("log"), 0)
    }

    /// Stops the server in good order and removes its files.
    ///
    /// # Errors
    /// [`SandboxError::Io`] when files cannot be removed; the next sweep tries again.
    pub fn stop(mut self) -> Result<(), SandboxError> {
        self.end(Signal::INT)
    }

    /// Stops the server as a crash would: nothing is flushed, clients are cut off, the files stay.
    pub fn stop_immediately(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::stop(&mut child, Signal::QUIT);
        }
    }

    /// Starts the server again on the same files and port, after stopping it in good order if it runs.
    ///
    /// # Errors
    /// [`SandboxError::Start`] with the server's log.
    pub fn restart(&mut self) -> Result<(), SandboxError> {
        if let Some(mut child) = self.child.take() {
            process::stop(&mut child, Signal::INT);
        }
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.launch() {
                Ok(()) => return Ok(()),
                // An outgoing connection of somebody may hold the port for a moment.
                Err(StartFailure::PortTaken(_)) if attempts < PORT_ATTEMPTS => {
                    std::thread::sleep(Duration::from_millis(250));
                }
                Err(StartFailure::PortTaken(error) | StartFailure::Other(error)) => return Err(error),
            }
        }
    }

    fn end(&mut self, signal: Signal) -> Result<(), SandboxError> {
        if let Some(mut child) = self.child.take() {
            process::stop(&mut child, signal);
        }
        let path = self.folder.path();
        let removed = self.folder.remove().map_err(SandboxError::io(format!("remove {}", path.display())));
        self.guard.dismiss();
        self.finished = true;
        removed
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.finished || self.owner != Owner::ThisProcess {
            return;
        }
        if let Err(error) = self.end(Signal::QUIT) {
            tracing::warn!(%error, "a throwaway server left files behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_meanwhile_is_exchanged_for_another() {
        let environment = Environment { vars: std::env::vars().collect(), ..Environment::default() };
        let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let bin_dir = environment.var("CUTOVER_TEST_PG_BIN").map(PathBuf::from);
        let options = SandboxOptions { bin_dir, ..SandboxOptions::new(&environment) };
        let sandbox = Sandbox::start_at(&options, port).unwrap();
        assert_ne!(sandbox.port(), port);
        assert!(sandbox.log().contains("Address already in use"), "{}", sandbox.log());
    }
}
