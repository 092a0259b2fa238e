//! From everything that may say where to connect to, to one set of options, with the origin of each value.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::keywords::{KEYWORDS, Use};
use super::origin::{Origin, Setting, Values, shown};
use super::passfile::Passfile;
use super::typed::Typed;
use super::{ConnectError, ConnectOptions, Host, HostAddress, Secret, SslMode, TlsOptions, service, text};
use crate::environment::Environment;

/// Variables that may hold a URL, in order.
const URL_VARIABLES: [&str; 2] = ["CUTOVER_URL", "DATABASE_URL"];
/// Where Debian's and the project's own builds put the socket.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
const DEFAULT_PORT: u16 = 5432;
/// Variables with which libpq sets something in every session it opens. They are not heard: what a migration does must
/// not depend on who runs it, and these stand in a profile and are forgotten. `PGOPTIONS` is asked for on purpose.
const NOT_HEARD: [(&str, &str); 3] = [("PGTZ", "TimeZone"), ("PGDATESTYLE", "DateStyle"), ("PGGEQO", "geqo")];
/// Where Debian's libpq looks for the service file of the machine.
const SYSTEM_CONFIGURATION: &str = "/etc/postgresql-common";

/// Everything that may say where to connect to. `Debug` shows names alone: any value may hold a password.
#[derive(Clone)]
pub struct Inputs<'a> {
    /// The `--url` argument: a URL or a list of `key=value`.
    pub url: Option<&'a str>,
    /// Variables of the project's `.env` file, see [`parse_dotenv`](super::parse_dotenv).
    pub dotenv: BTreeMap<String, String>,
    /// The URL of the project's configuration file.
    pub config: Option<&'a str>,
    /// Environment, home and user.
    pub env: &'a Environment,
}

impl std::fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inputs")
            .field("url", &self.url.is_some())
            .field("dotenv", &self.dotenv.keys().collect::<Vec<_>>())
            .field("config", &self.config.is_some())
            .field("env", self.env)
            .finish()
    }
}

/// Options and how they came about.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The options.
    pub options: ConnectOptions,
    /// Each value with its origin: those every connection has first, then what else was said, by name.
    pub origins: Vec<Setting>,
    /// What the user should know, e.g. a password file that is not used.
    pub warnings: Vec<String>,
    /// Variables that libpq would heed and that are not heeded here, each in a sentence. Worth saying where more is asked
    /// for.
    pub not_heard: Vec<String>,
    /// The `--url` argument holds a password, where other users of the machine can read it.
    pub password_in_argument: bool,
    /// The URL of the configuration file holds a password, which would be committed.
    pub password_in_config: bool,
}

impl ConnectOptions {
    /// Finds out where to connect to. The first of these that exists is read: the argument, the environment's
    /// `CUTOVER_URL` or `DATABASE_URL`, those of `.env`, the configuration's URL. What it leaves open is filled from
    /// the service it names, `PG*` variables (process first, then `.env`), and libpq's defaults.
    ///
    /// # Errors
    /// [`ConnectError::Usage`], naming where the mistake was written.
    pub fn resolve(inputs: Inputs<'_>) -> Result<Resolved, ConnectError> {
        Resolver { inputs, values: Values::default(), warnings: Vec::new() }.run()
    }
}

/// Variables that are set and not heard.
fn not_heard(inputs: &Inputs<'_>) -> Vec<String> {
    let is_set = |name: &str| {
        inputs.env.var(name).is_some() || inputs.dotenv.get(name).is_some_and(|value| !value.is_empty())
    };
    let words = |(name, setting): &(&str, &str)| {
        format!(
            "{name} is not heard: what a migration does must not depend on who runs it; options=-c {setting}=… sets it for a \
             connection, ALTER DATABASE … SET {setting} for everybody"
        )
    };
    NOT_HEARD.iter().filter(|(name, _)| is_set(name)).map(words).collect()
}

struct Resolver<'a> {
    inputs: Inputs<'a>,
    values: Values,
    warnings: Vec<String>,
}

impl Resolver<'_> {
    fn run(mut self) -> Result<Resolved, ConnectError> {
        let (password_in_argument, password_in_config) = self.take_text()?;
        self.take_service()?;
        self.take_variables();
        self.take_defaults();
        self.refuse()?;
        let hosts = self.hosts()?;
        let options = self.options(hosts)?;
        let origins = self.origins(&options);
        self.warn_of_missing_files(&options);
        let (mut options, mut origins, mut warnings) = (options, origins, std::mem::take(&mut self.warnings));
        passwords(&self.inputs, &self.values, &mut options, &mut origins, &mut warnings);
        let not_heard = not_heard(&self.inputs);
        Ok(Resolved { options, origins, warnings, not_heard, password_in_argument, password_in_config })
    }

    /// The URL or list that counts; says whether it holds a password where none belongs.
    fn take_text(&mut self) -> Result<(bool, bool), ConnectError> {
        let Some((source, origin)) = self.text() else {
            return Ok((false, false));
        };
        let mut password = false;
        let pairs = text::parse(&source, &origin.to_string())?;
        // The last of two mentions counts, as in libpq.
        for (keyword, value) in pairs.into_iter().rev() {
            password |= keyword.name == "password" && !value.is_empty();
            self.values.offer(keyword.name, value, origin.clone());
        }
        Ok((password && origin == Origin::Argument, password && origin == Origin::Config))
    }

    fn text(&self) -> Option<(String, Origin)> {
        let Inputs { url, dotenv, config, env } = &self.inputs;
        if let Some(url) = url {
            return Some(((*url).to_owned(), Origin::Argument));
        }
        for name in URL_VARIABLES {
            if let Some(value) = env.var(name) {
                return Some((value.to_owned(), Origin::Environment(name.to_owned())));
            }
        }
        for name in URL_VARIABLES {
            if let Some(value) = dotenv.get(name).filter(|value| !value.is_empty()) {
                return Some((value.clone(), Origin::Dotenv(name.to_owned())));
            }
        }
        config.map(|config| (config.to_owned(), Origin::Config))
    }

    /// A parameter that decides where others are found: from the text, else its variable.
    fn early(&self, name: &str, variable: &str) -> Option<(String, Origin)> {
        let named = |origin: fn(String) -> Origin| origin(variable.to_owned());
        let value = self.values.get(name).map(|value| (value, self.values.origin(name)));
        let value = value.or_else(|| Some((self.inputs.env.var(variable)?, named(Origin::Variable))));
        let dotenv = || Some((self.inputs.dotenv.get(variable)?.as_str(), named(Origin::DotenvVariable)));
        value.or_else(dotenv).map(|(value, origin)| (value.to_owned(), origin))
    }

    fn take_service(&mut self) -> Result<(), ConnectError> {
        let service = self.early("service", "PGSERVICE").filter(|(name, _)| !name.is_empty());
        let Some((name, named_by)) = service else {
            return Ok(());
        };
        let env = self.inputs.env;
        let user_file = self
            .early("servicefile", "PGSERVICEFILE")
            .map(|(file, _)| PathBuf::from(file))
            .or_else(|| env.home.as_ref().map(|home| home.join(".pg_service.conf")));
        let system = env.var("PGSYSCONFDIR").unwrap_or(SYSTEM_CONFIGURATION);
        let files: Vec<PathBuf> =
            user_file.into_iter().chain([PathBuf::from(system).join("pg_service.conf")]).collect();
        let (pairs, file) = service::look_up(&name, &named_by, &files)?;
        let origin = Origin::Service { file: shown(&file, env.home.as_deref()), name };
        for (keyword, value) in pairs {
            self.values.offer(keyword.name, value, origin.clone());
        }
        Ok(())
    }

    fn take_variables(&mut self) {
        for keyword in KEYWORDS {
            let Some(variable) = keyword.variable else {
                continue;
            };
            if let Some(value) = self.inputs.env.var(variable) {
                self.values.offer(keyword.name, value.to_owned(), Origin::Variable(variable.to_owned()));
            }
            if let Some(value) = self.inputs.dotenv.get(variable).filter(|value| !value.is_empty()) {
                let origin = Origin::DotenvVariable(variable.to_owned());
                self.values.offer(keyword.name, value.clone(), origin);
            }
        }
    }

    /// Defaults that depend on other values.
    fn take_defaults(&mut self) {
        if let Some(name) = self.values.get("fallback_application_name").map(str::to_owned) {
            let origin = self.values.origin("fallback_application_name");
            self.values.offer("application_name", name, origin);
        }
        if self.values.get("sslrootcert") == Some("system") && !self.values.contains("sslmode") {
            self.values.offer("sslmode", "verify-full".to_owned(), Origin::Default);
        }
    }

    /// Parameters without which the connection would be weaker than asked for.
    fn refuse(&self) -> Result<(), ConnectError> {
        for keyword in KEYWORDS {
            if let (Use::Refused(why), Some(_)) = (keyword.usage, self.values.get(keyword.name)) {
                let origin = self.values.origin(keyword.name);
                return Err(ConnectError::usage(format!("{origin}: {} is set, but {why}", keyword.name), ""));
            }
        }
        Ok(())
    }

    fn hosts(&self) -> Result<Vec<Host>, ConnectError> {
        let typed = Typed(&self.values);
        let names = typed.list("host");
        let addresses = typed.addresses()?;
        let ports = typed.ports()?;
        let count = names.len().max(addresses.len()).max(1);
        for (name, length) in [("host", names.len()), ("hostaddr", addresses.len())] {
            if length != 0 && length != count {
                return Err(ConnectError::usage(
                    format!(
                        "{}: {name} lists {length} servers, the others {count}",
                        self.values.origin(name)
                    ),
                    "give one for each",
                ));
            }
        }
        if ports.len() > 1 && ports.len() != count {
            return Err(ConnectError::usage(
                format!("{}: {} ports for {count} servers", self.values.origin("port"), ports.len()),
                "give one port for all, or one for each",
            ));
        }
        (0..count)
            .map(|index| {
                let port =
                    ports.get(index).or_else(|| ports.first()).copied().flatten().unwrap_or(DEFAULT_PORT);
                let name = names.get(index).map_or("", String::as_str);
                let address = addresses.get(index).copied().flatten();
                Ok(Host { address: host_address(name, address, port)?, port, password: None })
            })
            .collect()
    }

    fn options(&self, hosts: Vec<Host>) -> Result<ConnectOptions, ConnectError> {
        let typed = Typed(&self.values);
        let text = |name: &str| self.values.get(name).map(str::to_owned);
        let Some(user) = text("user").or_else(|| self.inputs.env.user.clone()) else {
            return Err(ConnectError::usage("no user name is known", "give one in the URL or in PGUSER"));
        };
        Ok(ConnectOptions {
            hosts,
            database: text("dbname").unwrap_or_else(|| user.clone()),
            user,
            application_name: text("application_name"),
            options: text("options"),
            connect_timeout: typed.seconds("connect_timeout")?,
            keepalives: typed.keepalives()?,
            target_session_attrs: typed.word("target_session_attrs")?,
            load_balance: typed.word("load_balance_hosts")?,
            tls: self.tls()?,
            channel_binding: typed.word("channel_binding")?,
        })
    }

    fn tls(&self) -> Result<TlsOptions, ConnectError> {
        Typed(&self.values).tls(self.inputs.env.home.as_deref())
    }

    /// libpq goes on without a file that was named and does not exist; the user should know what that means.
    fn warn_of_missing_files(&mut self, options: &ConnectOptions) {
        let missing = |name| {
            let path = self.values.get(name).filter(|value| *value != "system")?;
            (!PathBuf::from(path).exists())
                .then(|| format!("{}: the file of {name} does not exist", self.values.origin(name)))
        };
        let uses_tls = options.tls.mode != SslMode::Disable;
        let consequences = [
            ("sslrootcert", "the server's certificate is not checked"),
            ("sslcert", "no client certificate is sent"),
            ("sslcrl", "revoked certificates are not noticed"),
        ];
        let found: Vec<String> = consequences
            .iter()
            .filter(|_| uses_tls)
            .filter_map(|(name, consequence)| missing(name).map(|text| format!("{text}: {consequence}")))
            .collect();
        self.warnings.extend(found);
    }

    fn origins(&self, options: &ConnectOptions) -> Vec<Setting> {
        let mut settings = Vec::new();
        let mut add = |name, value: String| {
            settings.push(Setting { name, value, origin: self.values.origin(name) });
        };
        let list =
            |value: &dyn Fn(&Host) -> String| options.hosts.iter().map(value).collect::<Vec<_>>().join(",");
        add("host", list(&Host::name));
        add("port", list(&|host| host.port.to_string()));
        add("dbname", options.database.clone());
        add("user", options.user.clone());
        add("sslmode", options.tls.mode.to_string());
        let shown = ["host", "port", "dbname", "user", "sslmode", "password"];
        for (name, value, origin) in self.values.iter() {
            if !shown.contains(&name) && !value.is_empty() {
                settings.push(Setting { name, value: value.to_owned(), origin: origin.clone() });
            }
        }
        settings
    }
}

/// Passwords: the one given, else each server's line in the password file.
fn passwords(
    inputs: &Inputs<'_>,
    values: &Values,
    options: &mut ConnectOptions,
    origins: &mut Vec<Setting>,
    warnings: &mut Vec<String>,
) {
    let mut add = |origin| {
        let value = "***".to_owned();
        origins.push(Setting { name: "password", value, origin });
    };
    if let Some(password) = values.get("password") {
        for host in &mut options.hosts {
            host.password = Some(Secret::new(password));
        }
        add(values.origin("password"));
        return;
    }
    let home = inputs.env.home.as_deref();
    let path = values.get("passfile").map(PathBuf::from).or_else(|| home.map(|home| home.join(".pgpass")));
    let Some(path) = path else { return };
    let file = Passfile::read(&path, warnings);
    for host in &mut options.hosts {
        let name = match &host.address {
            HostAddress::Unix(folder) if SOCKET_FOLDERS.iter().any(|known| folder.as_os_str() == *known) => {
                "localhost".to_owned()
            }
            _ => host.name(),
        };
        if let Some((password, line)) = file.look_up(&name, host.port, &options.database, &options.user) {
            host.password = Some(Secret::new(password));
            add(Origin::Passfile { file: shown(&path, home), line });
        }
    }
}

fn host_address(
    name: &str,
    address: Option<std::net::IpAddr>,
    port: u16,
) -> Result<HostAddress, ConnectError> {
    if name.starts_with('@') {
        return Err(ConnectError::usage("sockets in the abstract namespace (host=@…) are not supported", ""));
    }
    if address.is_none() && name.starts_with('/') {
        return Ok(HostAddress::Unix(PathBuf::from(name)));
    }
    if address.is_none() && name.is_empty() {
        return Ok(default_address(&SOCKET_FOLDERS, port));
    }
    Ok(HostAddress::Tcp { name: name.to_owned(), address })
}

/// The first folder that has a socket of this port, else localhost.
fn default_address(folders: &[&str], port: u16) -> HostAddress {
    folders
        .iter()
        .map(PathBuf::from)
        .find(|folder| folder.join(format!(".s.PGSQL.{port}")).exists())
        .map_or_else(|| HostAddress::Tcp { name: "localhost".to_owned(), address: None }, HostAddress::Unix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_host_the_first_socket_counts_else_localhost() {
        let folder = std::env::temp_dir().join(format!("cutover-sockets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(folder.join(".s.PGSQL.7001")).unwrap();
        let folders = ["/nonexistent", folder.to_str().unwrap()];
        assert_eq!(default_address(&folders, 7001), HostAddress::Unix(folder.clone()));
        let localhost = HostAddress::Tcp { name: "localhost".to_owned(), address: None };
        assert_eq!(default_address(&folders, 7002), localhost);
        drop(socket);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
