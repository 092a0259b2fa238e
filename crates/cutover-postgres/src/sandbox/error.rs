//! Why a throwaway server could not be had, with what a person needs to cure it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A throwaway server, or one of PostgreSQL's own programs, did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No usable PostgreSQL server programs on this machine.
    #[error("{0}")]
    NoBinaries(Box<NoBinaries>),
    /// A program is missing from an installation that otherwise serves.
    #[error("{program} is not beside the server programs in {}; install PostgreSQL's client programs", folder.display())]
    NoProgram {
        /// Name of the program.
        program: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Running as root, and no ordinary user to run the server as.
    #[error("PostgreSQL refuses to run as root, and none of these users exists: {}", tried.join(", "))]
    NoAccount {
        /// Names looked for in `/etc/passwd`.
        tried: Vec<String>,
    },
    /// No folder to put the server's files in.
    #[error("no folder to put a throwaway server in:{}", lines(refused))]
    NoFolder {
        /// One reason for each folder considered.
        refused: Vec<String>,
    },
    /// A file or process could not be handled.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done, with the path or program.
        doing: String,
        /// The operating system's answer.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb failed ({status}):\n{output}")]
    Init {
        /// How it ended.
        status: String,
        /// What it wrote.
        output: String,
    },
    /// The server ended while it was starting, or did not become ready in time.
    #[error("the throwaway server did not start: {why}\nits log:\n{log}")]
    Start {
        /// How it ended.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// `pg_dump` or `pg_restore` failed.
    #[error("{program} failed ({status}): {output}")]
    Program {
        /// Name of the program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it wrote to standard error.
        output: String,
    },
    /// A program was ended on request, or not begun after the request.
    #[error("interrupted")]
    Interrupted,
    /// The server refused a connection or a statement.
    #[error("the throwaway server refused to {doing}: {source}")]
    Sql {
        /// What was being done.
        doing: String,
        /// The driver's error.
        source: tokio_postgres::Error,
    },
}

impl SandboxError {
    /// Adapter for `map_err`: an operating system error with what was being done.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// Adapter for `map_err`: a driver error with what was being done.
    pub(super) fn sql(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Sql { doing, source }
    }
}

/// What was looked at in vain, and how to get what is missing.
#[derive(Debug)]
pub struct NoBinaries {
    /// What was looked for.
    pub need: Need,
    /// Each place looked at, with why it does not serve.
    pub looked: Vec<Looked>,
}

/// What an installation was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To start a server, of this major version if one was asked for.
    Server(Option<u32>),
    /// To dump a database of a server of this major version, and to restore the dump.
    Dump(u32),
}

/// One place without usable server programs.
#[derive(Debug)]
pub struct Looked {
    /// The folder or pattern.
    pub place: String,
    /// Why it does not serve.
    pub why: String,
}

impl fmt::Display for NoBinaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let major = match self.need {
            Need::Server(major) => {
                let version = major.map_or_else(String::new, |major| format!(" {major}"));
                writeln!(f, "no PostgreSQL{version} server programs (initdb, postgres) found; looked at:")?;
                major
            }
            Need::Dump(major) => {
                writeln!(
                    f,
                    "no programs for a dump of PostgreSQL {major} (pg_dump and pg_restore beside a server, \
                     of {major} or newer) found; looked at:"
                )?;
                Some(major)
            }
        };
        for looked in &self.looked {
            writeln!(f, "  {}: {}", looked.place, looked.why)?;
        }
        let package = major.map_or_else(String::new, |major| format!("-{major}"));
        let formula = major.map_or_else(|| "17".to_owned(), |major| major.to_string());
        write!(
            f,
            "to get them:\n\
             \x20 Debian, Ubuntu   apt-get install postgresql{package}\n\
             \x20 Fedora, RHEL     dnf install postgresql-server\n\
             \x20 Alpine           apk add postgresql\n\
             \x20 Arch             pacman -S postgresql\n\
             \x20 openSUSE         zypper install postgresql-server\n\
             \x20 macOS            brew install postgresql@{formula}\n\
             or name the folder that holds them"
        )
    }
}

fn lines(reasons: &[String]) -> String {
    reasons.iter().fold(String::new(), |text, reason| text + "\n  " + reason)
}
