//! How to reach a throwaway server, as a value that may outlive or be far from the process that started it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::NoTls;

use super::SUPERUSER;
use super::error::SandboxError;
use crate::connect::{ConnectOptions, Secret, SslMode};

/// First major whose CREATE DATABASE knows STRATEGY; before it, copying files was the only way.
const STRATEGY_SINCE: u32 = 15;

/// First major whose DROP DATABASE ends the connections of others.
const FORCE_SINCE: u32 = 13;

/// What has a meaning in a URL.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Address and superuser of a running throwaway server.
#[derive(Debug, Clone)]
pub struct Server {
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// Folder of its Unix-domain socket; `None` where the path would be too long for one.
    pub socket_folder: Option<PathBuf>,
    /// The superuser's password.
    pub password: Secret,
    /// Major version, e.g. 15.
    pub major: u32,
}

impl Server {
    /// Name of the superuser.
    pub fn user(&self) -> &'static str {
        SUPERUSER
    }

    /// Folder of the Unix-domain socket, where there is one.
    pub fn socket_folder(&self) -> Option<&Path> {
        self.socket_folder.as_deref()
    }

    /// URL of a database for the superuser. It holds the password: not for output or arguments.
    pub fn url(&self, database: &str) -> String {
        self.url_as(SUPERUSER, self.password.reveal(), database)
    }

    /// URL of a database for another role.
    pub fn url_as(&self, role: &str, password: &str, database: &str) -> String {
        let encode = |text| utf8_percent_encode(text, RESERVED);
        format!(
            "postgresql://{}:{}@127.0.0.1:{}/{}?sslmode=disable",
            encode(role),
            encode(password),
            self.port,
            encode(database)
        )
    }

    /// Connection options of a database for the superuser, over TCP.
    pub fn options(&self, database: &str) -> ConnectOptions {
        self.options_as(SUPERUSER, self.password.reveal(), database)
    }

    /// Connection options of a database for another role, over TCP.
    pub fn options_as(&self, role: &str, password: &str, database: &str) -> ConnectOptions {
        let mut options = ConnectOptions::tcp("127.0.0.1", self.port, role, database);
        for host in &mut options.hosts {
            host.password = Some(Secret::new(password));
        }
        options.tls.mode = SslMode::Disable;
        options
    }

    /// Creates a database, as a copy of `template` where one is given. Nothing may be connected to the template.
    ///
    /// # Errors
    /// [`SandboxError::Sql`] with the server's reason.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), SandboxError> {
        let mut sql = format!("CREATE DATABASE {}", escape_identifier(name));
        if let Some(template) = template {
            let _ = write!(sql, " TEMPLATE {}", escape_identifier(template));
            if self.major >= STRATEGY_SINCE {
                // Copying files beats writing the copy to the log wherever the template is more than empty.
                sql += " STRATEGY file_copy";
            }
        }
        self.administer(&format!("create database {name}"), &sql).await
    }

    /// Drops a database if it exists, ending its connections.
    ///
    /// # Errors
    /// [`SandboxError::Sql`] with the server's reason.
    pub async fn drop_database(&self, name: &str) -> Result<(), SandboxError> {
        let doing = format!("drop database {name}");
        let quoted = escape_identifier(name);
        if self.major >= FORCE_SINCE {
            return self.administer(&doing, &format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")).await;
        }
        // Not all at once: DROP DATABASE runs in no transaction, and several statements of one text are one.
        let end = format!(
            "UPDATE pg_database SET datallowconn = false WHERE datname = {0}; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {0}",
            escape_literal(name)
        );
        self.administer(&doing, &end).await?;
        self.administer(&doing, &format!("DROP DATABASE IF EXISTS {quoted}")).await
    }

    /// Runs statements in the maintenance database, as one transaction where it is more than one.
    async fn administer(&self, doing: &str, sql: &str) -> Result<(), SandboxError> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(SUPERUSER).dbname("postgres");
        config.password(self.password.reveal()).application_name("cutover sandbox");
        let (client, connection) = config.connect(NoTls).await.map_err(SandboxError::sql(doing))?;
        // The connection is driven here: no task is left behind if the caller gives up.
        let work = async move { client.batch_execute(sql).await };
        let (outcome, _) = tokio::join!(work, connection);
        outcome.map_err(SandboxError::sql(doing))
    }
}
