//! PostgreSQL's client programs, run against any server. What they need to connect goes through the environment of
//! the child alone: arguments can be read by every user of the machine.

use std::path::Path;
use std::process::{Command, Stdio};

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
}
