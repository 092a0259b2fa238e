//! Where to connect to: precedence and origins, files, and what happens when nothing suitable answers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cutover_postgres::Environment;
use cutover_postgres::connect::{
    ConnectError, ConnectOptions, Host, HostAddress, Inputs, Resolved, SslMode, TargetSessionAttrs,
};
use cutover_postgres::sandbox::Sandbox;
use cutover_postgres::session::{Session, Startup};
use proptest::prelude::*;

/// A folder of a test's own.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cutover-home-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path.display().to_string()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn environment(vars: &[(&str, &str)], home: Option<&Path>) -> Environment {
    Environment { vars: map(vars), home: home.map(Path::to_owned), user: Some("me".to_owned()) }
}

fn resolve(
    url: Option<&str>,
    vars: &[(&str, &str)],
    dotenv: &[(&str, &str)],
    config: Option<&str>,
) -> Result<Resolved, ConnectError> {
    let env = environment(vars, None);
    ConnectOptions::resolve(Inputs { url, dotenv: map(dotenv), config, env: &env })
}

fn with_home(url: &str, vars: &[(&str, &str)], home: &Home) -> Result<Resolved, ConnectError> {
    let env = environment(vars, Some(&home.0));
    ConnectOptions::resolve(Inputs { url: Some(url), dotenv: BTreeMap::new(), config: None, env: &env })
}

fn origin(resolved: &Resolved, name: &str) -> String {
    let setting = resolved.origins.iter().find(|setting| setting.name == name);
    setting.map(|setting| format!("{} from {}", setting.value, setting.origin)).unwrap_or_default()
}

fn password(resolved: &Resolved, index: usize) -> Option<&str> {
    resolved.options.hosts[index].password.as_ref().map(cutover_postgres::connect::Secret::reveal)
}

#[test]
fn the_first_source_that_says_something_is_read() {
    let (url, config) = (Some("postgres://argument"), Some("postgres://config"));
    let (vars, dotenv) = ([("DATABASE_URL", "postgres://env")], [("DATABASE_URL", "postgres://dotenv")]);
    let host = |resolved: Result<Resolved, ConnectError>| origin(&resolved.unwrap(), "host");
    assert_eq!(host(resolve(url, &vars, &dotenv, config)), "argument from --url");
    assert_eq!(host(resolve(None, &vars, &dotenv, config)), "env from environment DATABASE_URL");
    let both = [("DATABASE_URL", "postgres://env"), ("CUTOVER_URL", "postgres://ours")];
    assert_eq!(host(resolve(None, &both, &dotenv, config)), "ours from environment CUTOVER_URL");
    assert_eq!(host(resolve(None, &[], &dotenv, config)), "dotenv from .env DATABASE_URL");
    assert_eq!(host(resolve(None, &[("PGHOST", "pg")], &[], config)), "config from cutover.toml");
    assert_eq!(host(resolve(None, &[("PGHOST", "pg")], &[], None)), "pg from PGHOST");
    assert_eq!(host(resolve(None, &[], &[("PGHOST", "pg")], None)), "pg from .env PGHOST");
    assert_eq!(
        host(resolve(None, &[("DATABASE_URL", "")], &[("PGHOST", "pg")], None)),
        "pg from .env PGHOST"
    );
}

#[test]
fn what_a_url_leaves_open_is_filled() {
    let vars = [("PGUSER", "pguser"), ("PGPASSWORD", "pgpass"), ("PGPORT", "6000"), ("PGDATABASE", "pgdb")];
    let resolved = resolve(Some("postgres://h/db"), &vars, &[("PGUSER", "other")], None).unwrap();
    assert_eq!(origin(&resolved, "dbname"), "db from --url");
    assert_eq!(origin(&resolved, "user"), "pguser from PGUSER");
    assert_eq!(origin(&resolved, "port"), "6000 from PGPORT");
    assert_eq!(origin(&resolved, "password"), "*** from PGPASSWORD");
    assert_eq!(origin(&resolved, "sslmode"), "prefer from default");
    assert_eq!(password(&resolved, 0), Some("pgpass"));
    assert!(!resolved.password_in_argument);
    let bare = resolve(Some("postgres://h"), &[], &[], None).unwrap();
    assert_eq!((bare.options.user.as_str(), bare.options.database.as_str()), ("me", "me"));
}

#[test]
fn passwords_are_flagged_and_never_shown() {
    let url = "postgres://u:hunter2@h/db";
    let argument = resolve(Some(url), &[], &[], None).unwrap();
    let config = resolve(None, &[], &[], Some(url)).unwrap();
    let list = resolve(Some("host=h password=hunter2"), &[], &[], None).unwrap();
    let environment = resolve(None, &[("DATABASE_URL", url)], &[], None).unwrap();
    assert!(argument.password_in_argument && list.password_in_argument && config.password_in_config);
    assert!(!environment.password_in_argument && !environment.password_in_config);
    for resolved in [&argument, &config, &environment] {
        let shown = format!("{resolved:?} {}", resolved.options);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let variables = environment.options.libpq_variables();
    assert!(variables.contains(&("PGPASSWORD", "hunter2".to_owned())));
}

/// What is handed to somebody else leads to the same place, and says no password.
#[test]
fn a_string_for_psql_says_everything_but_the_password() {
    let plain = resolve(Some("postgres://me:hunter2@db.example:6000/shop"), &[], &[], None).unwrap();
    assert_eq!(plain.options.libpq_string(), "host=db.example port=6000 dbname=shop user=me");
    for url in [
        "postgres://u:hunter2@one:1,two:2/db?target_session_attrs=read-write&sslmode=verify-full&sslrootcert=system",
        "host='/run/a b' port=7 dbname='it''s \\\\ =' user='o''o' password=hunter2 options='-c geqo=off' connect_timeout=7",
        "host=h hostaddr=127.0.0.1 dbname=d user=u channel_binding=require ssl_min_protocol_version=TLSv1.3",
    ] {
        let url = url.replace("''", "\\'");
        let given = resolve(Some(&url), &[("PGPASSWORD", "hunter2")], &[], None).unwrap().options;
        let text = given.libpq_string();
        assert!(!text.contains("hunter2"), "{text}");
        let read = resolve(Some(&text), &[], &[], None).unwrap().options;
        assert_eq!(read, given.with_password(None), "{text}");
    }
}

/// Files are those of the machine they are named on.
#[test]
fn a_string_for_another_machine_names_no_file() {
    let cert = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let url = format!(
        "host=h user=u sslmode=require sslrootcert=/of/mine/root sslcrl=/of/mine/crl sslcert='{cert}' sslkey='{cert}'"
    );
    let given = resolve(Some(&url), &[], &[], None).unwrap().options;
    assert!(given.libpq_string().contains("sslcrl="), "{}", given.libpq_string());
    let (text, left_out) = given.libpq_string_elsewhere();
    assert_eq!(text, "host=h port=5432 dbname=u user=u sslmode=require");
    assert_eq!(left_out, ["sslrootcert", "sslcert", "sslkey", "sslcrl"]);
    let system =
        resolve(Some("host=h user=u sslmode=verify-full sslrootcert=system"), &[], &[], None).unwrap();
    assert_eq!(system.options.libpq_string_elsewhere(), (system.options.libpq_string(), Vec::new()));
}

/// A password as people choose them, with whatever means something in a URL; `MARK` is what must not be seen.
fn password_with_mark() -> impl Strategy<Value = String> {
    let piece = "[a-z0-9@:/?#%&='\"\\\\+,;!\\[\\] .\u{e9}-]{0,6}";
    (piece, piece).prop_map(|(before, after)| format!("{before}MARK{after}"))
}

fn encoded(text: &str) -> String {
    percent_encoding::percent_encode(text.as_bytes(), percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Parameters whose values are words, numbers or names of things that must exist.
const CHECKED: [&str; 16] = [
    "sslmode",
    "port",
    "hostaddr",
    "connect_timeout",
    "channel_binding",
    "target_session_attrs",
    "load_balance_hosts",
    "keepalives",
    "tcp_user_timeout",
    "sslnegotiation",
    "sslcertmode",
    "ssl_min_protocol_version",
    "sslpassword",
    "service",
    "sslsni",
    "nosuchparameter",
];

/// Ways to write a connection with a password in it, right and wrong.
fn with_password() -> impl Strategy<Value = String> {
    let shapes =
        (password_with_mark(), 0_usize..12, proptest::sample::select(CHECKED.as_slice()), "[a-z0-9]{0,3}");
    shapes.prop_map(|(password, shape, name, word)| {
        let quoted = password.replace('\\', "\\\\").replace('\'', "\\'");
        match shape {
            0 => format!("postgres://u:{password}@h/db"),
            1 => format!("postgres://u:{}@h:1/db?{name}={word}", encoded(&password)),
            2 => format!("postgresql://u@h/db?password={password}"),
            3 => format!("postgresql://u@h/db?password={}&{name}={word}", encoded(&password)),
            4 => format!("postgresql://u:x@h/db?{name}={}", encoded(&password)),
            5 => format!("postgresql://u:x@h/db?{name}={password}"),
            6 => format!("host=h user=u password={password} {name}={word}"),
            7 => format!("host=h password='{quoted}' {name}={word}"),
            8 => format!("host=h password={word} {name}='{quoted}'"),
            9 => format!("{word}://u:{password}@h/db"),
            10 => format!("postgres://u:{password}@h:{word}/db"),
            _ => format!("postgres://{word}:{password}@"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_password_is_ever_shown(text in with_password(), place in 0_usize..4) {
        let (vars, dotenv) = ([("DATABASE_URL", text.as_str())], [("CUTOVER_URL", text.as_str())]);
        let resolved = match place {
            0 => resolve(Some(&text), &[], &[], None),
            1 => resolve(None, &vars, &[], None),
            2 => resolve(None, &[], &dotenv, None),
            _ => resolve(None, &[], &[], Some(&text)),
        };
        let shown = match &resolved {
            Ok(resolved) => format!("{resolved:?} {}", resolved.options),
            Err(error) => format!("{error} {error:?} {}", error.advice()),
        };
        prop_assert!(!shown.contains("MARK"), "{}\n{}", text, shown);
        let env = environment(&vars, None);
        let inputs = Inputs { url: Some(&text), dotenv: map(&dotenv), config: Some(&text), env: &env };
        let inputs = format!("{inputs:?}");
        prop_assert!(!inputs.contains("MARK"), "{}", inputs);
    }

    /// A value in its variable is no more to be shown than one in a URL.
    #[test]
    fn no_variable_is_repeated_where_it_is_wrong(password in password_with_mark(), at in 0_usize..7) {
        let name = ["PGSSLMODE", "PGPORT", "PGHOSTADDR", "PGCONNECT_TIMEOUT", "PGCHANNELBINDING", "PGSERVICE", "PGTARGETSESSIONATTRS"][at];
        let error = resolve(Some("postgres://u@h/db"), &[(name, &password), ("PGSYSCONFDIR", "/nowhere")], &[], None).unwrap_err();
        let shown = format!("{error} {error:?} {}", error.advice());
        prop_assert!(!shown.contains("MARK"), "{}", shown);
        prop_assert!(error.to_string().starts_with(name), "{}", error);
    }
}

#[test]
fn several_servers() {
    let options = |url| resolve(Some(url), &[], &[], None).map(|resolved| resolved.options);
    let ports = |options: &ConnectOptions| options.hosts.iter().map(|host| host.port).collect::<Vec<_>>();
    let found = options("postgres://a:1,b,c:3/db?target_session_attrs=read-write").unwrap();
    assert_eq!(ports(&found), [1, 5432, 3]);
    assert_eq!(found.target_session_attrs, TargetSessionAttrs::ReadWrite);
    assert_eq!(ports(&options("host=a,b port=7").unwrap()), [7, 7]);
    let found = options("host=a,/run/x hostaddr=10.0.0.1,").unwrap();
    assert_eq!(found.hosts[1].address, HostAddress::Unix("/run/x".into()));
    assert!(matches!(&found.hosts[0].address, HostAddress::Tcp { name, address: Some(_) } if name == "a"));
    for wrong in
        ["host=a,b port=1,2,3", "host=a,b hostaddr=10.0.0.1", "host=a hostaddr=name", "host=a port=0"]
    {
        assert!(matches!(options(wrong), Err(ConnectError::Usage { .. })), "{wrong}");
    }
}

#[test]
fn options_keep_libpqs_meaning() {
    let url = "postgres:///db?host=/run/pg&sslmode=verify-full&connect_timeout=7&keepalives_idle=3&keepalives_count=2\
               &keepalives_interval=1&tcp_user_timeout=1500&options=-c%20geqo%3Doff&application_name=app\
               &channel_binding=require&client_encoding=latin1&ssl_min_protocol_version=TLSv1.3";
    let options = resolve(Some(url), &[], &[], None).unwrap().options;
    assert_eq!(options.hosts[0].socket_path(), Some(PathBuf::from("/run/pg/.s.PGSQL.5432")));
    assert_eq!(options.tls.mode, SslMode::VerifyFull);
    assert_eq!(options.connect_timeout, Some(Duration::from_secs(7)));
    assert_eq!(options.keepalives.idle, Some(Duration::from_secs(3)));
    assert_eq!(options.keepalives.user_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(options.options.as_deref(), Some("-c geqo=off"));
    let system = resolve(Some("postgres://h?sslrootcert=system"), &[], &[], None).unwrap().options;
    assert_eq!((system.tls.mode, system.tls.system_roots), (SslMode::VerifyFull, true));
}

#[test]
fn what_would_weaken_the_connection_is_refused() {
    for (url, vars) in [
        ("postgres://h?sslmode=verify", &[][..]),
        ("postgres://h?sslrootcert=system&sslmode=require", &[]),
        ("postgres://h?gssencmode=require", &[]),
        ("postgres://h?sslpassword=x", &[]),
        ("postgres://h?sslnegotiation=direct", &[]),
        ("postgres://h?sslcertmode=require", &[]),
        ("postgres://h?sslmode=require&sslcertmode=require", &[]),
        ("postgres://h?min_protocol_version=3.2", &[]),
        ("postgres://h?sslcrldir=/etc", &[]),
        ("postgres://h?requirepeer=postgres", &[]),
        ("postgres://h", &[("PGREQUIREAUTH", "scram-sha-256")]),
        ("postgres://h", &[("PGSSLMODE", "on")]),
        ("postgres://h?connect_timeout=soon", &[]),
    ] {
        let error = resolve(Some(url), vars, &[], None).unwrap_err();
        assert!(matches!(error, ConnectError::Usage { .. }), "{url}: {error:?}");
    }
    let error = resolve(None, &[("PGSSLMODE", "verify-al")], &[], None).unwrap_err();
    assert!(error.to_string().starts_with("PGSSLMODE: the value of sslmode is not known"), "{error}");
    assert!(error.advice().contains("verify-ca"), "{}", error.advice());
}

#[test]
fn files_that_are_named_and_missing_are_told() {
    let url = "postgres://h?sslmode=require&sslrootcert=/nowhere/root.crt&sslcert=/nowhere/c.crt";
    let resolved = resolve(Some(url), &[], &[], None).unwrap();
    assert_eq!(resolved.warnings.len(), 2, "{:?}", resolved.warnings);
    assert!(
        resolved.warnings[0]
            .contains("the file of sslrootcert does not exist: the server's certificate is not checked")
    );
    assert_eq!(resolved.options.tls.client, None);
}

#[test]
fn the_password_file_is_looked_up_for_each_server() {
    let home = Home::new("pgpass");
    home.write(".pgpass", "# mine\na:5432:db:me:first\n*:*:db:me:rest\nlocalhost:*:*:*:socket\n");
    let resolved = with_home("postgres://a,b/db", &[], &home).unwrap();
    assert_eq!((password(&resolved, 0), password(&resolved, 1)), (Some("first"), Some("rest")));
    assert_eq!(origin(&resolved, "password"), "*** from pgpass ~/.pgpass:2");
    let socket = with_home("postgres:///x?host=/var/run/postgresql", &[], &home).unwrap();
    assert_eq!(password(&socket, 0), Some("socket"));
    let elsewhere = home.write("other", "*:*:*:*:elsewhere\n");
    let resolved = with_home("postgres://a/db", &[("PGPASSFILE", &elsewhere)], &home).unwrap();
    assert_eq!(password(&resolved, 0), Some("elsewhere"));
    let explicit = with_home("postgres://a/db", &[("PGPASSWORD", "explicit")], &home).unwrap();
    assert_eq!(password(&explicit, 0), Some("explicit"));
    std::fs::set_permissions(home.0.join(".pgpass"), PermissionsExt::from_mode(0o640)).unwrap();
    let refused = with_home("postgres://a/db", &[], &home).unwrap();
    assert_eq!(password(&refused, 0), None);
    assert!(refused.warnings[0].contains("chmod 0600"), "{:?}", refused.warnings);
}

#[test]
fn services_stand_between_the_url_and_the_variables() {
    let home = Home::new("service");
    let text = "[one]\nhost=service-host\nuser=service-user\nport=7000\n[two]\nhost=two\n";
    home.write(".pg_service.conf", text);
    let resolved =
        with_home("postgres://u@/db?service=one", &[("PGPORT", "1"), ("PGOPTIONS", "-c a=b")], &home)
            .unwrap();
    assert_eq!(origin(&resolved, "host"), "service-host from service ~/.pg_service.conf [one]");
    assert_eq!(origin(&resolved, "user"), "u from --url");
    assert_eq!(resolved.options.hosts[0].port, 7000);
    assert_eq!(origin(&resolved, "options"), "-c a=b from PGOPTIONS");
    let other = home.write("services", "[one]\nhost=elsewhere\n");
    let vars = [("PGSERVICE", "one"), ("PGSERVICEFILE", other.as_str())];
    assert_eq!(with_home("postgres://", &vars, &home).unwrap().options.hosts[0].name(), "elsewhere");
    let system = Home::new("sysconf");
    system.write("pg_service.conf", "[machine]\nhost=machine\n");
    let folder = system.0.display().to_string();
    let vars = [("PGSERVICE", "machine"), ("PGSYSCONFDIR", folder.as_str())];
    assert_eq!(with_home("postgres://", &vars, &home).unwrap().options.hosts[0].name(), "machine");
    let error = with_home("postgres://", &[("PGSERVICE", "nowhere")], &home).unwrap_err();
    assert_eq!(error.to_string(), "PGSERVICE: the service it names is not defined");
    assert!(error.advice().contains(".pg_service.conf"), "{}", error.advice());
}

/// Names, addresses and passwords from the files of a home folder, over each way to a server on this machine.
#[tokio::test]
async fn files_of_the_home_folder_lead_to_a_server() {
    let mut wanted = common::sandbox_options();
    wanted.settings.push(("listen_addresses".to_owned(), "127.0.0.1,::1".to_owned()));
    let server = Sandbox::start_in_background(wanted).await.unwrap();
    let (port, sockets) = (server.port(), server.socket_dir().unwrap().display().to_string());
    let mut admin = common::connect(&server.options("postgres")).await;
    // Each way has a password of its own: whoever takes another line does not get in.
    let ways = [("four", "127.0.0.1"), ("named", "localhost"), ("six", "::1"), ("socket", sockets.as_str())];
    let (mut passfile, mut services) = (String::new(), String::new());
    for (role, host) in ways {
        admin.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'p:{role}\\'")).await.unwrap();
        let _ = writeln!(passfile, "{}:{port}:*:{role}:p\\:{role}\\\\", host.replace(':', "\\:"));
        let _ = writeln!(services, "[{role}]\nhost={host}\nport={port}\ndbname=postgres\nuser={role}");
    }
    admin.close().await;
    let home = Home::new("whole");
    home.write(".pgpass", &format!("# all of them\n{passfile}*:*:*:*:wrong\n"));
    home.write(".pg_service.conf", &services);
    let has_six = TcpListener::bind("[::1]:0").is_ok();
    for (role, host) in ways {
        let resolved = with_home("postgres://", &[("PGSERVICE", role)], &home).unwrap();
        assert!(origin(&resolved, "password").starts_with("*** from pgpass"), "{role}");
        match Session::connect(&resolved.options, &Startup::default()).await {
            Ok(mut session) => {
                let who = session.query_text("SELECT current_user").await.unwrap();
                assert_eq!(who.scalar(), Some(role));
                session.close().await;
            }
            // Such a machine cannot show more.
            Err(error) => assert!(
                role == "six" && !has_six && matches!(error, ConnectError::Unreachable(_)),
                "{role}: {error}"
            ),
        }
        let url = format!("postgres://{role}@/postgres?host={host}&port={port}");
        std::fs::set_permissions(home.0.join(".pgpass"), PermissionsExt::from_mode(0o644)).unwrap();
        let without = with_home(&url, &[], &home).unwrap();
        std::fs::set_permissions(home.0.join(".pgpass"), PermissionsExt::from_mode(0o600)).unwrap();
        let error = Session::connect(&without.options, &Startup::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Auth(_)) || role == "six", "{role}: {error}");
    }
    // Over a socket there is no TLS to bind the login to.
    let url = format!("postgres://socket@/postgres?host={sockets}&port={port}&channel_binding=require");
    let bound = with_home(&url, &[], &home).unwrap();
    let error = Session::connect(&bound.options, &Startup::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Auth(_)) && error.advice().contains("TLS"), "{error}");
}

async fn error_of(options: &ConnectOptions) -> ConnectError {
    let error = Session::connect(options, &Startup::default()).await.expect_err("it must fail");
    let password = common::server().password();
    assert!(!format!("{error} {error:?} {}", error.advice()).contains(password));
    error
}

fn tcp(options: &ConnectOptions, port: u16) -> ConnectOptions {
    let mut options = options.clone();
    let password = options.hosts[0].password.clone();
    let address = HostAddress::Tcp { name: "127.0.0.1".to_owned(), address: None };
    options.hosts = vec![Host { address, port, password }];
    options
}

/// A port nobody listens on.
fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn errors_say_what_was_tried_and_of_what_kind_they_are() {
    let good = common::server().options("postgres");
    let error = error_of(&good.clone().with_database("no such db")).await;
    assert!(matches!(error, ConnectError::NoSuchDatabase(_)), "{error:?}");
    let error = error_of(&tcp(&good, common::server().port()).with_password(Some("wrong"))).await;
    assert!(matches!(error, ConnectError::Auth(_)), "{error:?}");
    assert_eq!(error.attempt().unwrap().server.as_ref().unwrap().code, "28P01");
    let error = error_of(&tcp(&good, common::server().port()).with_password(None)).await;
    assert!(matches!(error, ConnectError::Auth(_)), "{error:?}");
    assert!(error.advice().contains("PGPASSWORD"), "{}", error.advice());
    let port = dead_port();
    let error = error_of(&tcp(&good, port)).await;
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    for part in ["127.0.0.1", &port.to_string(), "user postgres", "database postgres", "refused"] {
        assert!(error.to_string().contains(part), "{part} in {error}");
    }
    let error = error_of(&ConnectOptions::unix("/nonexistent", 5432, "u", "d")).await;
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    let startup = Startup { settings: vec![("no_such_setting".into(), "1".into())], ..Startup::default() };
    let error = Session::connect(&good, &startup).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = tcp(&common::server().options("postgres"), listener.local_addr().unwrap().port());
    options.connect_timeout = Some(Duration::from_millis(50));
    let error = error_of(&options).await;
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    assert!(error.to_string().contains("connect_timeout"), "{error}");
    options.connect_timeout = None;
    let brief = Some(Duration::from_millis(50));
    for startup in [
        Startup { wait: brief, silence: None, ..Startup::default() },
        Startup { silence: brief, ..Startup::default() },
    ] {
        let error = Session::connect(&options, &startup).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn the_next_server_of_the_list_is_tried() {
    let good = tcp(&common::server().options("postgres"), common::server().port());
    let mut options = tcp(&good, dead_port());
    options.hosts.extend(good.hosts.clone());
    common::connect(&options).await.close().await;
    // A refused login ends the search, as in libpq.
    options.hosts.rotate_left(1);
    let options = options.with_password(Some("wrong"));
    assert!(matches!(error_of(&options).await, ConnectError::Auth(_)));
}

#[tokio::test]
async fn servers_of_the_wrong_kind_are_passed_over() {
    let mut options = common::server().options("postgres");
    for (wanted, suits) in [
        (TargetSessionAttrs::Any, true),
        (TargetSessionAttrs::ReadWrite, true),
        (TargetSessionAttrs::Primary, true),
        (TargetSessionAttrs::PreferStandby, true),
        (TargetSessionAttrs::ReadOnly, false),
        (TargetSessionAttrs::Standby, false),
    ] {
        options.target_session_attrs = wanted;
        match Session::connect(&options, &Startup::default()).await {
            Ok(_) => assert!(suits, "{wanted}"),
            Err(error) => {
                assert!(!suits && matches!(error, ConnectError::WrongServer(_)), "{wanted}: {error}");
            }
        }
    }
    options.options = Some("-c default_transaction_read_only=on".to_owned());
    options.target_session_attrs = TargetSessionAttrs::ReadOnly;
    common::connect(&options).await.close().await;
}

/// A server that is a hot standby: it is told to wait for a log nobody sends.
async fn standby() -> Sandbox {
    let mut options = common::sandbox_options();
    for (name, value) in [("wal_level", "replica"), ("hot_standby", "on")] {
        options.settings.push((name.to_owned(), value.to_owned()));
    }
    let mut server = Sandbox::start_in_background(options).await.unwrap();
    let mut admin = common::connect(&server.options("postgres")).await;
    let data = admin.query_text("SHOW data_directory").await.unwrap();
    admin.execute("CHECKPOINT").await.unwrap();
    admin.close().await;
    std::fs::write(Path::new(data.scalar().unwrap()).join("standby.signal"), "").unwrap();
    tokio::task::spawn_blocking(move || {
        server.stop_immediately();
        server.restart().unwrap();
        server
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_standby_is_known_and_found_in_a_list() {
    let standby = standby().await;
    let (primary, standby_options) = (common::server().options("postgres"), standby.options("postgres"));
    let mut session = common::connect(&standby_options).await;
    assert!(session.is_standby().await.unwrap());
    assert_eq!(session.execute("CREATE TABLE t ()").await.unwrap_err().code(), Some("25006"));
    let mut both = primary.clone();
    both.hosts.extend(standby_options.hosts);
    for (wanted, is_standby) in [
        (TargetSessionAttrs::Any, false),
        (TargetSessionAttrs::Standby, true),
        (TargetSessionAttrs::ReadOnly, true),
        (TargetSessionAttrs::PreferStandby, true),
        (TargetSessionAttrs::Primary, false),
        (TargetSessionAttrs::ReadWrite, false),
    ] {
        for hosts in [both.hosts.clone(), both.hosts.iter().rev().cloned().collect()] {
            let any_standby = wanted == TargetSessionAttrs::Any && hosts[0] == both.hosts[1];
            let options = ConnectOptions { hosts, target_session_attrs: wanted, ..both.clone() };
            let mut session = common::connect(&options).await;
            assert_eq!(session.is_standby().await.unwrap(), is_standby || any_standby, "{wanted}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_starting_is_waited_for() {
    let mut server = tokio::task::spawn_blocking(common::start).await.unwrap();
    let options = server.options("postgres");
    server.stop_immediately();
    assert!(error_of(&options).await.is_transient());
    let startup = Startup { wait: Some(Duration::from_secs(60)), ..Startup::default() };
    let waiting = tokio::spawn(async move { Session::connect(&options, &startup).await });
    // The server stays, so that the session can be used once it is there.
    let server = tokio::task::spawn_blocking(move || {
        server.restart().unwrap();
        server
    });
    let mut session = waiting.await.unwrap().unwrap();
    let _server = server.await.unwrap();
    assert_eq!(session.query_text("SELECT 1").await.unwrap().scalar(), Some("1"));
}

/// The folder of a socket that is not there: connecting fails at once, without the network, so that the paused clock
/// decides alone.
fn no_server(folder: &Path) -> ConnectOptions {
    ConnectOptions::unix(folder, 5432, "me", "db")
}

#[tokio::test(start_paused = true)]
async fn a_server_is_waited_for_until_the_time_is_up() {
    let home = Home::new("wait");
    for wait in [0, 20, 1_700, 2_000, 10_000].map(Duration::from_millis) {
        let begun = tokio::time::Instant::now();
        let startup = Startup { wait: Some(wait), ..Startup::default() };
        let error = Session::connect(&no_server(&home.0), &startup).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
        let waited = begun.elapsed();
        assert!(waited >= wait && waited < wait + Duration::from_millis(5), "{waited:?} for {wait:?}");
    }
    let begun = tokio::time::Instant::now();
    Session::connect(&no_server(&home.0), &Startup::default()).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::ZERO, "without a wait there is one try");
}

/// Between the pauses, which grow, and the end there is room for a server to come: the last try finds it.
#[tokio::test(start_paused = true)]
async fn the_last_try_is_made_when_the_wait_is_over() {
    let home = Home::new("last");
    let path = home.0.join(".s.PGSQL.5432");
    let listening = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1_990)).await;
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let begun = tokio::time::Instant::now();
    let startup = Startup { wait: Some(Duration::from_secs(2)), ..Startup::default() };
    let error = Session::connect(&no_server(&home.0), &startup).await.unwrap_err();
    assert!(error.to_string().contains("no answer within 2s"), "{error}");
    assert!(begun.elapsed() < Duration::from_millis(3_010), "{:?}", begun.elapsed());
    assert!(listening.await.unwrap().accept().is_ok(), "it was tried once more");
}
