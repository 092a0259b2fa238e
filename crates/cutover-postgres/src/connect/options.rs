//! The options of a connection, complete and typed.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A password: shown nowhere, neither by `Debug` nor by errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password itself: for the server, or the environment of a child process, never for output.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where one server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostAddress {
    /// A name or IP address, reached over TCP.
    Tcp {
        /// The name: looked up unless `address` is given, checked against the certificate, looked up in the password
        /// file.
        name: String,
        /// `hostaddr`: connect to this address without a name lookup.
        address: Option<IpAddr>,
    },
    /// The folder of a Unix-domain socket.
    Unix(PathBuf),
}

/// One server of the list that is tried in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Where it listens.
    pub address: HostAddress,
    /// Port; for a Unix-domain socket the number in the socket's name.
    pub port: u16,
    /// The password for this server: the one given for all, or its line in the password file.
    pub password: Option<Secret>,
}

impl Host {
    /// The socket file, for a Unix-domain socket.
    pub fn socket_path(&self) -> Option<PathBuf> {
        match &self.address {
            HostAddress::Unix(folder) => Some(folder.join(format!(".s.PGSQL.{}", self.port))),
            HostAddress::Tcp { .. } => None,
        }
    }

    /// Name, address or folder, as `PGHOST` would have it.
    pub fn name(&self) -> String {
        match &self.address {
            HostAddress::Tcp { name, address } => match address {
                Some(address) if name.is_empty() => address.to_string(),
                _ => name.clone(),
            },
            HostAddress::Unix(folder) => folder.display().to_string(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            HostAddress::Tcp { name, address: Some(address) } if !name.is_empty() => {
                write!(f, "host {name} ({address}), port {}", self.port)
            }
            HostAddress::Tcp { .. } => write!(f, "host {}, port {}", self.name(), self.port),
            HostAddress::Unix(_) => {
                write!(f, "socket {}", self.socket_path().unwrap_or_default().display())
            }
        }
    }
}

/// A parameter whose value is one of a few words.
pub(super) trait Word: Default {
    fn from_text(text: &str) -> Option<Self>;
    fn texts() -> &'static [&'static str];
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// Every spelling, in the order of the variants.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// Reads libpq's spelling.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// libpq's spelling.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl Word for $name {
            fn from_text(text: &str) -> Option<Self> {
                Self::from_word(text)
            }

            fn texts() -> &'static [&'static str] {
                Self::WORDS
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// `sslmode`. A root certificate, where one is found, is checked in every mode that uses TLS.
    SslMode {
        /// Never TLS.
        Disable = "disable",
        /// First without, and with TLS if the server refuses that.
        Allow = "allow",
        /// First with TLS, and without if that fails.
        #[default]
        Prefer = "prefer",
        /// Only TLS.
        Require = "require",
        /// Only TLS, with a certificate from a known authority.
        VerifyCa = "verify-ca",
        /// Only TLS, with a certificate from a known authority for this very host.
        VerifyFull = "verify-full",
    }
}

words! {
    /// `channel_binding`: whether the login is tied to the TLS connection (SCRAM-SHA-256-PLUS).
    ChannelBinding {
        /// Never.
        Disable = "disable",
        /// Where the server offers it.
        #[default]
        Prefer = "prefer",
        /// Refuse a login without it.
        Require = "require",
    }
}

words! {
    /// `sslnegotiation`.
    SslNegotiation {
        /// Ask the server first.
        #[default]
        Postgres = "postgres",
        /// Begin with the TLS handshake (servers from 17 on).
        Direct = "direct",
    }
}

words! {
    /// `target_session_attrs`: which servers of a list will do.
    TargetSessionAttrs {
        /// Any.
        #[default]
        Any = "any",
        /// One that accepts writes by default.
        ReadWrite = "read-write",
        /// One that does not.
        ReadOnly = "read-only",
        /// Not a standby.
        Primary = "primary",
        /// A standby.
        Standby = "standby",
        /// A standby, or any when there is none.
        PreferStandby = "prefer-standby",
    }
}

words! {
    /// `load_balance_hosts`.
    LoadBalance {
        /// In the order given.
        #[default]
        Disable = "disable",
        /// In random order.
        Random = "random",
    }
}

words! {
    /// A TLS protocol version to stay at or above, or at or below. Older ones than these are not spoken.
    TlsVersion {
        /// TLS 1.2.
        #[default]
        V12 = "TLSv1.2",
        /// TLS 1.3.
        V13 = "TLSv1.3",
    }
}

/// A client certificate with its private key, PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// `sslcert`.
    pub certificate: PathBuf,
    /// `sslkey`.
    pub key: PathBuf,
}

/// Everything about TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// `sslmode`.
    pub mode: SslMode,
    /// `sslnegotiation`.
    pub negotiation: SslNegotiation,
    /// `sslrootcert`: a file that must exist for the verifying modes, and is checked against in all modes if it does.
    pub root_certificate: Option<PathBuf>,
    /// `sslrootcert=system`: the authorities the operating system trusts.
    pub system_roots: bool,
    /// The client's certificate, where there is one.
    pub client: Option<ClientCertificate>,
    /// `sslcertmode=require`: the server must ask for that certificate.
    pub certificate_required: bool,
    /// `sslcrl`: revoked certificates, a PEM file. Where it exists, every authority in the server's chain needs a list
    /// in it that is still valid.
    pub revocations: Option<PathBuf>,
    /// `sslsni`: whether the host name is sent in clear at the start of the handshake.
    pub server_name_indication: bool,
    /// `ssl_min_protocol_version`.
    pub min_version: TlsVersion,
    /// `ssl_max_protocol_version`.
    pub max_version: TlsVersion,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            mode: SslMode::default(),
            negotiation: SslNegotiation::default(),
            root_certificate: None,
            system_roots: false,
            client: None,
            certificate_required: false,
            revocations: None,
            server_name_indication: true,
            min_version: TlsVersion::V12,
            max_version: TlsVersion::V13,
        }
    }
}

/// TCP keepalives: how soon a dead peer is noticed. `None` leaves the operating system's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalives {
    /// `keepalives`: whether they are used at all.
    pub enabled: bool,
    /// `keepalives_idle`: silence before the first probe.
    pub idle: Option<Duration>,
    /// `keepalives_interval`: time between probes.
    pub interval: Option<Duration>,
    /// `keepalives_count`: lost probes before the connection is dead.
    pub count: Option<u32>,
    /// `tcp_user_timeout`: how long sent data may stay unacknowledged.
    pub user_timeout: Option<Duration>,
}

impl Default for Keepalives {
    fn default() -> Self {
        Self { enabled: true, idle: None, interval: None, count: None, user_timeout: None }
    }
}

/// The options of a connection, complete and typed. `Debug` and `Display` never show a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Servers, tried in order. Never empty when made by this crate.
    pub hosts: Vec<Host>,
    /// Role.
    pub user: String,
    /// Database.
    pub database: String,
    /// `application_name`, where one was asked for.
    pub application_name: Option<String>,
    /// `options`: command-line options for the backend, e.g. `-c geqo=off`.
    pub options: Option<String>,
    /// `connect_timeout` for each address; `None`: see [`Startup::silence`](crate::session::Startup::silence).
    pub connect_timeout: Option<Duration>,
    /// TCP keepalives.
    pub keepalives: Keepalives,
    /// Which servers will do.
    pub target_session_attrs: TargetSessionAttrs,
    /// Order in which servers are tried.
    pub load_balance: LoadBalance,
    /// TLS.
    pub tls: TlsOptions,
    /// Channel binding.
    pub channel_binding: ChannelBinding,
}

impl ConnectOptions {
    /// A server on a Unix-domain socket, libpq's defaults otherwise.
    pub fn unix(folder: impl Into<PathBuf>, port: u16, user: &str, database: &str) -> Self {
        Self::single(HostAddress::Unix(folder.into()), port, user, database)
    }

    /// A server reached over TCP, libpq's defaults otherwise.
    pub fn tcp(host: &str, port: u16, user: &str, database: &str) -> Self {
        Self::single(HostAddress::Tcp { name: host.to_owned(), address: None }, port, user, database)
    }

    fn single(address: HostAddress, port: u16, user: &str, database: &str) -> Self {
        Self {
            hosts: vec![Host { address, port, password: None }],
            user: user.to_owned(),
            database: database.to_owned(),
            application_name: None,
            options: None,
            connect_timeout: None,
            keepalives: Keepalives::default(),
            target_session_attrs: TargetSessionAttrs::default(),
            load_balance: LoadBalance::default(),
            tls: TlsOptions::default(),
            channel_binding: ChannelBinding::default(),
        }
    }

    /// The same servers and role, another database.
    #[must_use]
    pub fn with_database(mut self, database: &str) -> Self {
        database.clone_into(&mut self.database);
        self
    }

    /// Another role, with its password.
    #[must_use]
    pub fn with_user(mut self, user: &str, password: Option<&str>) -> Self {
        user.clone_into(&mut self.user);
        self.with_password(password)
    }

    /// Another password for every server.
    #[must_use]
    pub fn with_password(mut self, password: Option<&str>) -> Self {
        for host in &mut self.hosts {
            host.password = password.map(Secret::new);
        }
        self
    }

    /// The variables under which a libpq program (`pg_dump`, `psql`) connects to the same place, no less safely. They
    /// hold the password of the first server that has one, so they are for a child's environment only.
    pub fn libpq_variables(&self) -> Vec<(&'static str, String)> {
        let list =
            |value: &dyn Fn(&Host) -> String| self.hosts.iter().map(value).collect::<Vec<_>>().join(",");
        let mut variables = vec![
            ("PGHOST", list(&Host::name)),
            ("PGPORT", list(&|host| host.port.to_string())),
            ("PGDATABASE", self.database.clone()),
            ("PGUSER", self.user.clone()),
            ("PGSSLMODE", self.tls.mode.to_string()),
            ("PGCHANNELBINDING", self.channel_binding.to_string()),
            ("PGTARGETSESSIONATTRS", self.target_session_attrs.to_string()),
        ];
        if self.hosts.iter().any(|host| matches!(host.address, HostAddress::Tcp { address: Some(_), .. })) {
            variables.push(("PGHOSTADDR", list(&host_address_text)));
        }
        let mut add = |name, value: Option<String>| variables.extend(value.map(|value| (name, value)));
        let path = |path: &Path| path.display().to_string();
        add(
            "PGPASSWORD",
            self.hosts.iter().find_map(|host| host.password.as_ref()).map(|password| password.0.clone()),
        );
        add("PGOPTIONS", self.options.clone());
        add("PGAPPNAME", self.application_name.clone());
        // Zero would mean for ever.
        add("PGCONNECT_TIMEOUT", self.connect_timeout.map(|timeout| timeout.as_secs().max(1).to_string()));
        add("PGSSLROOTCERT", self.tls.system_roots.then(|| "system".to_owned()));
        add("PGSSLROOTCERT", self.tls.root_certificate.as_deref().map(path));
        add("PGSSLCERT", self.tls.client.as_ref().map(|client| path(&client.certificate)));
        add("PGSSLKEY", self.tls.client.as_ref().map(|client| path(&client.key)));
        let certificate = if self.tls.certificate_required {
            "require"
        } else if self.tls.client.is_some() {
            "allow"
        } else {
            "disable"
        };
        add("PGSSLCERTMODE", Some(certificate.to_owned()));
        add("PGSSLSNI", Some(u8::from(self.tls.server_name_indication).to_string()));
        add("PGSSLMINPROTOCOLVERSION", Some(self.tls.min_version.to_string()));
        add("PGSSLMAXPROTOCOLVERSION", Some(self.tls.max_version.to_string()));
        let direct = self.tls.negotiation != SslNegotiation::Postgres;
        add("PGSSLNEGOTIATION", direct.then(|| self.tls.negotiation.to_string()));
        add("PGSSLCRL", self.tls.revocations.as_deref().map(path));
        variables
    }

    /// A connection string of keywords and values with which a libpq program connects to the same place, no less safely:
    /// what is libpq's default is left out, and so is every password.
    pub fn libpq_string(&self) -> String {
        self.libpq_string_but(&[])
    }

    /// The same for another machine: without the files of this one, which were named, found in the home folder, or came from
    /// a service. With the keywords of those that are left out and that another machine would not look for by itself.
    pub fn libpq_string_elsewhere(&self) -> (String, Vec<&'static str>) {
        let is_system = |name: &str| name == "PGSSLROOTCERT" && self.tls.system_roots;
        let files = FILES.iter().filter(|(name, _)| !is_system(name));
        let left_out: Vec<&str> = files.clone().map(|(name, _)| *name).collect();
        let given = self.libpq_variables();
        let is_named = |(variable, usual): &&(&str, &str)| {
            let usual = Path::new(".postgresql").join(usual);
            given.iter().any(|(name, path)| name == variable && !Path::new(path).ends_with(&usual))
        };
        let named = files.filter(is_named);
        let keyword = |(variable, _): &(&str, &str)| {
            KEYWORDS.iter().find(|(name, _)| name == variable).map(|(_, keyword)| *keyword)
        };
        (self.libpq_string_but(&left_out), named.filter_map(keyword).collect())
    }

    /// The string without some of libpq's variables.
    fn libpq_string_but(&self, left_out: &[&str]) -> String {
        let plain = Self::single(HostAddress::Unix(PathBuf::new()), 0, "", "");
        let mut defaults = plain.libpq_variables();
        defaults.retain(|(name, _)| !matches!(*name, "PGHOST" | "PGPORT" | "PGDATABASE" | "PGUSER"));
        // Where there is a certificate it is sent if asked for: libpq's default.
        defaults.push(("PGSSLCERTMODE", "allow".to_owned()));
        let parts = self.libpq_variables().into_iter();
        let parts = parts.filter(|variable| !defaults.contains(variable) && !left_out.contains(&variable.0));
        let words = parts.filter_map(|(name, value)| {
            let keyword = KEYWORDS.iter().find(|(variable, _)| *variable == name)?.1;
            Some(format!("{keyword}={}", conninfo_value(&value)))
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Variables that name files, with the names that libpq looks for in `~/.postgresql` without them.
const FILES: [(&str, &str); 4] = [
    ("PGSSLROOTCERT", "root.crt"),
    ("PGSSLCERT", "postgresql.crt"),
    ("PGSSLKEY", "postgresql.key"),
    ("PGSSLCRL", "root.crl"),
];

/// Keywords of libpq's variables; a password has none, as no connection string of ours shows one.
const KEYWORDS: [(&str, &str); 20] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGUSER", "user"),
    ("PGDATABASE", "dbname"),
    ("PGSSLMODE", "sslmode"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGOPTIONS", "options"),
    ("PGAPPNAME", "application_name"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLSNI", "sslsni"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLCRL", "sslcrl"),
];

/// A value as connection strings have it.
fn conninfo_value(value: &str) -> String {
    let plain = |c: char| {
        c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ',' | ':' | '@' | '%' | '+' | '~')
    };
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn host_address_text(host: &Host) -> String {
    match &host.address {
        HostAddress::Tcp { address: Some(address), .. } => address.to_string(),
        _ => String::new(),
    }
}

impl fmt::Display for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.hosts.iter().enumerate() {
            if index > 0 {
                f.write_str(" or ")?;
            }
            write!(f, "{host}")?;
        }
        write!(f, ", user {}, database {}", self.user, self.database)
    }
}
