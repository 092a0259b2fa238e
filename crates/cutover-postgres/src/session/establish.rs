//! From options to a session: servers in order, addresses of a name, TLS fallbacks, waiting for a server that starts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::config::{self, Config};

use super::problem::{Problem, combine, goes_on, login_problem, summary};
use super::silence::Lookout;
use super::socket::{Address, Endpoint, Opened, Wish};
use super::{Session, Startup, TransactionStatus};
use crate::connect::{
    Attempt, ChannelBinding, ConnectError, ConnectOptions, Host, HostAddress, LoadBalance, SslMode,
    TargetSessionAttrs,
};
use crate::message::error_chain;
use crate::sqlstate;
use crate::tls::TlsClient;
use crate::wire::{Passthrough, Wire, lock, share};

/// Pauses between tries while waiting for a server: doubled up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long a try may take that begins when the wait is all but over: 1 s.
const LAST_TRY: Duration = Duration::from_secs(1);

/// `application_name` where nothing else is asked for.
const DEFAULT_APPLICATION: &str = "cutover";

pub(super) async fn connect(options: &ConnectOptions, startup: &Startup) -> Result<Session, ConnectError> {
    let plan = Plan::new(options, startup)?;
    let deadline = startup.wait.map(|wait| Instant::now() + wait);
    let mut pause = PAUSE.0;
    loop {
        let attempt = plan.try_all();
        let error = match deadline {
            // A server that hangs must not outlast the wait. The last try, made when it is over, gets a moment.
            Some(deadline) => {
                match tokio::time::timeout_at(deadline.max(Instant::now() + LAST_TRY), attempt).await {
                    Ok(Ok(session)) => return Ok(session),
                    Ok(Err(error)) => error,
                    Err(_) => return Err(plan.waited_too_long(startup.wait)),
                }
            }
            None => match attempt.await {
                Ok(session) => return Ok(session),
                Err(error) => error,
            },
        };
        match deadline {
            Some(deadline) if error.is_transient() && Instant::now() < deadline => {
                tracing::debug!(%error, "waiting for the server");
                tokio::time::sleep_until(deadline.min(Instant::now() + pause)).await;
                pause = (pause * 2).min(PAUSE.1);
            }
            _ => return Err(error),
        }
    }
}

/// What is the same for every try.
struct Plan<'a> {
    options: &'a ConnectOptions,
    config: Config,
    tls: Option<TlsClient>,
    /// See [`Startup::silence`].
    silence: Option<Duration>,
}

impl<'a> Plan<'a> {
    fn new(options: &'a ConnectOptions, startup: &Startup) -> Result<Self, ConnectError> {
        if options.hosts.is_empty() {
            return Err(ConnectError::usage("no server to connect to", ""));
        }
        let socket = options.hosts.iter().find(|host| matches!(host.address, HostAddress::Unix(_)));
        if let Some(socket) = socket.filter(|_| options.tls.certificate_required) {
            return Err(ConnectError::usage(
                format!("{socket}: no certificate is asked for there, and sslcertmode=require wants one"),
                "leave sslcertmode out, or connect over TCP",
            ));
        }
        let local = options.hosts.iter().all(|host| matches!(host.address, HostAddress::Unix(_)));
        let tls = if local || options.tls.mode == SslMode::Disable {
            None
        } else {
            Some(TlsClient::new(&options.tls).map_err(|error| {
                ConnectError::Tls(Box::new(Attempt {
                    target: options.to_string(),
                    happened: error.message,
                    advice: error.advice,
                    server: None,
                }))
            })?)
        };
        Ok(Self { options, config: config(options, startup)?, tls, silence: startup.silence })
    }

    async fn try_all(&self) -> Result<Session, ConnectError> {
        match self.options.target_session_attrs {
            TargetSessionAttrs::PreferStandby => match self.try_hosts(TargetSessionAttrs::Standby).await {
                Err(ConnectError::WrongServer(_)) => self.try_hosts(TargetSessionAttrs::Any).await,
                other => other,
            },
            wanted => self.try_hosts(wanted).await,
        }
    }

    async fn try_hosts(&self, wanted: TargetSessionAttrs) -> Result<Session, ConnectError> {
        let mut failures = Vec::new();
        for host in order(&self.options.hosts, self.options.load_balance) {
            let addresses = match self.addresses(host).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    failures.push(error);
                    continue;
                }
            };
            for address in addresses {
                match self.try_address(host, address, wanted).await {
                    Ok(session) => return Ok(session),
                    Err(error) if goes_on(&error) => failures.push(error),
                    Err(error) => return Err(error),
                }
            }
        }
        Err(summary(failures))
    }

    async fn addresses(&self, host: &Host) -> Result<Vec<Address>, ConnectError> {
        let name = match &host.address {
            HostAddress::Unix(_) => {
                return Ok(host.socket_path().map(Address::Unix).into_iter().collect());
            }
            HostAddress::Tcp { address: Some(address), .. } => {
                return Ok(vec![Address::Tcp(SocketAddr::new(*address, host.port))]);
            }
            HostAddress::Tcp { name, .. } => name,
        };
        let lookup = tokio::net::lookup_host((name.as_str(), host.port));
        let found = self.limited(async { lookup.await.map_err(Problem::Io) }).await;
        match found {
            Ok(found) => {
                let mut addresses: Vec<Address> = found.map(Address::Tcp).collect();
                addresses.dedup();
                if self.options.load_balance == LoadBalance::Random {
                    shuffle(&mut addresses);
                }
                Ok(addresses)
            }
            Err(problem) => {
                let happened = format!("the host name cannot be resolved: {}", problem.describe());
                Err(ConnectError::Unreachable(Box::new(Attempt {
                    target: self.target(host),
                    happened,
                    advice: "check the spelling of the host name".to_owned(),
                    server: None,
                })))
            }
        }
    }

    async fn limited<T>(&self, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        match self.options.connect_timeout.or(self.silence) {
            Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or(Err(Problem::Timeout(limit))),
            None => work.await,
        }
    }

    async fn try_address(
        &self,
        host: &Host,
        address: Address,
        wanted: TargetSessionAttrs,
    ) -> Result<Session, ConnectError> {
        let server_name = match &host.address {
            HostAddress::Tcp { .. } => host.name(),
            HostAddress::Unix(_) => String::new(),
        };
        let endpoint = Arc::new(Endpoint::new(address, server_name, self.tls.clone(), self.options));
        let mut config = self.config.clone();
        if let Some(password) = &host.password {
            config.password(password.reveal());
        }
        let work = async {
            let mut session = self.by_sslmode(&endpoint, &config).await?;
            let suits = suits(&mut session, wanted).await;
            if !suits {
                session.close().await;
                return Ok(None);
            }
            Ok(Some(session))
        };
        match self.limited(work).await {
            Ok(Some(mut session)) => {
                session.lookout = self.lookout(host, &endpoint.address);
                Ok(session)
            }
            Ok(None) => Err(ConnectError::WrongServer(Box::new(Attempt {
                target: self.target(host),
                happened: format!(
                    "the server answers, and is not what target_session_attrs={wanted} asks for"
                ),
                advice: "name the right server, or all of the cluster's".to_owned(),
                server: None,
            }))),
            Err(problem) => Err(problem.into_error(self.target(host))),
        }
    }

    /// Who looks where this server says nothing: another session there, and on no other server of the list.
    fn lookout(&self, host: &Host, address: &Address) -> Option<Arc<Lookout>> {
        let silence = self.silence?;
        let mut host = host.clone();
        if let (HostAddress::Tcp { address: wanted, .. }, Address::Tcp(there)) = (&mut host.address, address)
        {
            *wanted = Some(there.ip());
        }
        let mut options = self.options.clone();
        options.hosts = vec![host];
        options.target_session_attrs = TargetSessionAttrs::Any;
        Some(Arc::new(Lookout::new(options, silence)))
    }

    /// The tries of one sslmode, in libpq's order.
    async fn by_sslmode(&self, endpoint: &Arc<Endpoint>, config: &Config) -> Result<Session, Problem> {
        let local = matches!(endpoint.address, Address::Unix(_));
        let (first, second) = match self.options.tls.mode {
            _ if local => (Wish::Plain, None),
            SslMode::Disable => (Wish::Plain, None),
            SslMode::Allow => (Wish::Plain, Some(Wish::Tls)),
            SslMode::Prefer => (Wish::IfOffered, Some(Wish::Plain)),
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Wish::Tls, None),
        };
        let failed = match establish(endpoint, config, first).await {
            Ok(session) => return Ok(session),
            Err(failed) => failed,
        };
        match second {
            Some(second) if failed.other_way_may_help(second) => {
                establish(endpoint, config, second).await.map_err(|again| match again.problem {
                    // The server has no TLS to try: the first answer stands.
                    Problem::NoTls => failed.problem,
                    problem => combine(first, &failed.problem, problem),
                })
            }
            _ => Err(failed.problem),
        }
    }

    fn target(&self, host: &Host) -> String {
        let ConnectOptions { user, database, .. } = self.options;
        let mode = match host.address {
            HostAddress::Unix(_) => String::new(),
            HostAddress::Tcp { .. } => format!(" (sslmode {})", self.options.tls.mode),
        };
        format!("{host}, user {user}, database {database}{mode}")
    }

    fn waited_too_long(&self, wait: Option<Duration>) -> ConnectError {
        ConnectError::Unreachable(Box::new(Attempt {
            target: self.options.to_string(),
            happened: format!("no answer within {:?}", wait.unwrap_or_default()),
            advice: "check that the server is running and listens there".to_owned(),
            server: None,
        }))
    }
}

/// A session that was not established.
struct Failed {
    problem: Problem,
    /// The login was accepted before.
    authenticated: bool,
    encrypted: bool,
}

impl Failed {
    /// Whether libpq would try the other kind of connection.
    fn other_way_may_help(&self, other: Wish) -> bool {
        match &self.problem {
            Problem::Tls(_) => other == Wish::Plain,
            Problem::Server(message) => {
                // The server answers in the same way over any connection when it is not ready.
                let not_ready = message.code == sqlstate::CANNOT_CONNECT_NOW;
                !self.authenticated && !not_ready && self.encrypted == (other == Wish::Plain)
            }
            _ => false,
        }
    }
}

/// One try: socket, TLS, login.
async fn establish(endpoint: &Arc<Endpoint>, config: &Config, wish: Wish) -> Result<Session, Failed> {
    let opened = endpoint.open(wish).await.map_err(|problem| Failed {
        problem,
        authenticated: false,
        encrypted: wish != Wish::Plain,
    })?;
    let Opened { transport, channel_binding, encrypted } = opened;
    let recorder = share();
    let wire = Wire::new(transport, Arc::clone(&recorder), channel_binding);
    let (client, mut connection) = config.connect_raw(wire, Passthrough).await.map_err(|error| Failed {
        problem: login_problem(&error),
        authenticated: lock(&recorder).state().authenticated,
        encrypted,
    })?;
    lock(&recorder).start_listening();
    let watched = Arc::clone(&recorder);
    let driver = tokio::spawn(async move {
        let ended = (&mut connection).await;
        let mut recorder = lock(&watched);
        let state = recorder.state();
        let why =
            ended.err().map_or_else(|| "the connection was closed".to_owned(), |error| error_chain(&error));
        state.lost = Some(why);
        state.status = TransactionStatus::Idle;
        state.settled.notify_waiters();
        drop(recorder);
        // Only now: whoever waits for an answer learns of the end by this, and then asks why.
        drop(connection);
    });
    Ok(Session {
        client,
        recorder,
        driver,
        simple_sent: 0,
        endpoint: Arc::clone(endpoint),
        encrypted,
        lookout: None,
    })
}

async fn suits(session: &mut Session, wanted: TargetSessionAttrs) -> bool {
    match wanted {
        TargetSessionAttrs::Any | TargetSessionAttrs::PreferStandby => true,
        TargetSessionAttrs::Primary => session.is_standby().await == Ok(false),
        TargetSessionAttrs::Standby => session.is_standby().await == Ok(true),
        TargetSessionAttrs::ReadWrite => read_only(session).await == Some(false),
        TargetSessionAttrs::ReadOnly => read_only(session).await == Some(true),
    }
}

async fn read_only(session: &mut Session) -> Option<bool> {
    let done = session.query_text("SHOW transaction_read_only").await.ok()?;
    Some(done.scalar()? == "on")
}

fn order(hosts: &[Host], balance: LoadBalance) -> Vec<&Host> {
    let mut hosts: Vec<&Host> = hosts.iter().collect();
    if balance == LoadBalance::Random {
        shuffle(&mut hosts);
    }
    hosts
}

/// Random enough to spread load.
fn shuffle<T>(list: &mut [T]) {
    use std::hash::{BuildHasher, RandomState};
    for index in (1..list.len()).rev() {
        let random = RandomState::new().hash_one(index);
        let other = random % (index as u64 + 1);
        list.swap(index, usize::try_from(other).unwrap_or(0));
    }
}

fn config(options: &ConnectOptions, startup: &Startup) -> Result<Config, ConnectError> {
    let mut config = Config::new();
    config.user(&options.user).dbname(&options.database);
    let name = [startup.application_name.as_str(), options.application_name.as_deref().unwrap_or("")];
    config.application_name(name.into_iter().find(|name| !name.is_empty()).unwrap_or(DEFAULT_APPLICATION));
    let words = command_line(options.options.as_deref(), &startup.settings)?;
    if !words.is_empty() {
        config.options(words);
    }
    // Encryption is settled before tokio-postgres sees the stream; this lets it use the channel binding.
    config.ssl_mode(config::SslMode::Require).ssl_negotiation(config::SslNegotiation::Direct);
    config.channel_binding(match options.channel_binding {
        ChannelBinding::Disable => config::ChannelBinding::Disable,
        ChannelBinding::Prefer => config::ChannelBinding::Prefer,
        ChannelBinding::Require => config::ChannelBinding::Require,
    });
    Ok(config)
}

/// The `options` text: what the user asked for, then our settings.
fn command_line(options: Option<&str>, settings: &[(String, String)]) -> Result<String, ConnectError> {
    let mut text = options.unwrap_or_default().to_owned();
    for (name, value) in settings {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(ConnectError::usage(format!("{name:?} is no name of a setting"), ""));
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str("-c ");
        text.push_str(name);
        text.push('=');
        for c in value.chars() {
            if c == '\\' || c.is_ascii_whitespace() {
                text.push('\\');
            }
            text.push(c);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_escaped_for_the_command_line() {
        let settings = [("search_path".to_owned(), r"pg_catalog, a\b".to_owned())];
        let text = command_line(Some("-c geqo=off"), &settings).unwrap();
        assert_eq!(text, r"-c geqo=off -c search_path=pg_catalog,\ a\\b");
        assert!(command_line(None, &[("a -c b".to_owned(), String::new())]).is_err());
    }
}
