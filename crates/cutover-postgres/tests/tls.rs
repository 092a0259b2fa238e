//! The six sslmodes against servers with and without TLS, with the right and the wrong authority, name and client.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cutover_postgres::connect::{
    ChannelBinding, ClientCertificate, ConnectError, ConnectOptions, HostAddress, SslMode, TlsVersion,
};
use cutover_postgres::sandbox::Sandbox;
use cutover_postgres::session::{Session, Startup};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PKCS_ECDSA_P384_SHA384,
};

const HOST: &str = "db.example.test";
const PASSWORD: &str = "secret of the test";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()).unwrap()
}

/// Certificate and key, PEM.
fn issue(
    by: &Authority,
    common_name: &str,
    names: &[&str],
    usage: ExtendedKeyUsagePurpose,
) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

/// A server with TLS, and the files of its clients.
struct Secured {
    server: Sandbox,
    files: PathBuf,
}

impl Secured {
    fn file(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }
}

/// Writes a file that only its owner can read: the user the server runs as, or this one.
fn write(path: &Path, text: &str, for_server: Option<&Path>) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    if let Some(folder) = for_server {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::metadata(folder).unwrap();
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

async fn secure() -> Secured {
    let server = tokio::task::spawn_blocking(common::start).await.unwrap();
    let mut admin = common::connect(&server.options("postgres")).await;
    let mut show = async |name: &str| {
        let done = admin.query_text(&format!("SHOW {name}")).await.unwrap();
        PathBuf::from(done.scalar().unwrap())
    };
    let (data, hba) = (show("data_directory").await, show("hba_file").await);
    let (ours, foreign) = (authority("our authority"), authority("a foreign authority"));
    let (certificate, key) =
        issue(&ours, "the server", &[HOST, "127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth);
    let in_server = |name: &str, text: &str| {
        let path = data.join(name);
        write(&path, text, Some(&data));
        path.display().to_string()
    };
    let settings = [
        ("ssl_cert_file", in_server("tls.crt", &certificate)),
        ("ssl_key_file", in_server("tls.key", &key)),
        ("ssl_ca_file", in_server("tls-ca.crt", &ours.pem())),
        ("ssl", "on".to_owned()),
    ];
    let files = server.folder().join("clients");
    std::fs::create_dir(&files).unwrap();
    write(&files.join("root.crt"), &ours.pem(), None);
    write(&files.join("foreign.crt"), &foreign.pem(), None);
    write(&files.join("server.crt"), &certificate, None);
    let client = |name: &str, by: &Authority, common_name: &str| {
        let (certificate, key) = issue(by, common_name, &[], ExtendedKeyUsagePurpose::ClientAuth);
        write(&files.join(format!("{name}.crt")), &certificate, None);
        write(&files.join(format!("{name}.key")), &key, None);
    };
    client("client", &ours, "by_certificate");
    client("someone", &ours, "someone_else");
    client("stranger", &foreign, "by_certificate");
    let rules = "hostssl all only_tls all scram-sha-256\nhost all only_tls all reject\n\
                 hostnossl all only_plain all scram-sha-256\nhost all only_plain all reject\n\
                 hostssl all by_certificate all scram-sha-256 clientcert=verify-full\n\
                 host all by_certificate all reject\n";
    let old = std::fs::read_to_string(&hba).unwrap();
    write(&hba, &format!("{rules}{old}"), Some(&data));
    for (name, value) in settings {
        admin.execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).await.unwrap();
    }
    for role in ["only_tls", "only_plain", "by_certificate", "anyone"] {
        admin.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")).await.unwrap();
    }
    admin.execute("SELECT pg_reload_conf()").await.unwrap();
    admin.close().await;
    Secured { server, files }
}

async fn secured() -> &'static Secured {
    static SECURED: OnceLock<Secured> = OnceLock::new();
    static ONCE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONCE.lock().await;
    if let Some(secured) = SECURED.get() {
        return secured;
    }
    let secured = secure().await;
    SECURED.get_or_init(|| secured)
}

/// Options for a role of the secured server, called by a name of our choice.
fn options(secured: &Secured, role: &str, host: &str, mode: SslMode) -> ConnectOptions {
    let mut options =
        ConnectOptions::tcp(host, secured.server.port(), role, "postgres").with_password(Some(PASSWORD));
    if let HostAddress::Tcp { address, .. } = &mut options.hosts[0].address {
        *address = Some("127.0.0.1".parse().unwrap());
    }
    options.tls.mode = mode;
    options
}

/// `plain`, `tls`, or the kind of error.
async fn outcome(options: &ConnectOptions) -> &'static str {
    match Session::connect(options, &Startup::default()).await {
        Ok(mut session) => {
            let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            let encrypted = session.query_text(sql).await.unwrap().scalar() == Some("t");
            assert_eq!(encrypted, session.is_encrypted());
            if encrypted { "tls" } else { "plain" }
        }
        Err(error) => {
            let shown = format!("{error} {error:?} {}", error.advice());
            assert!(!shown.contains(PASSWORD), "{shown}");
            match error {
                ConnectError::Tls(_) => "tls error",
                ConnectError::Auth(_) => "auth error",
                other => panic!("{other:?}"),
            }
        }
    }
}

const MODES: [SslMode; 6] = [
    SslMode::Disable,
    SslMode::Allow,
    SslMode::Prefer,
    SslMode::Require,
    SslMode::VerifyCa,
    SslMode::VerifyFull,
];

/// What each mode ends in, in their order.
async fn each_mode(base: impl Fn(SslMode) -> ConnectOptions) -> [&'static str; 6] {
    let mut found = [""; 6];
    for (slot, mode) in found.iter_mut().zip(MODES) {
        *slot = outcome(&base(mode)).await;
    }
    found
}

fn with_root(mut options: ConnectOptions, root: PathBuf) -> ConnectOptions {
    options.tls.root_certificate = Some(root);
    options
}

#[tokio::test]
async fn a_server_without_tls() {
    let secured = secured().await;
    let base = |mode| {
        let mut options = common::server().options("postgres");
        options.hosts[0].port = common::server().port();
        options.hosts[0].address = HostAddress::Tcp { name: "127.0.0.1".to_owned(), address: None };
        options.tls.mode = mode;
        with_root(options, secured.file("root.crt"))
    };
    let found = each_mode(base).await;
    assert_eq!(found, ["plain", "plain", "plain", "tls error", "tls error", "tls error"]);
}

#[tokio::test]
async fn without_a_root_certificate_only_the_verifying_modes_fail() {
    let secured = secured().await;
    let found = each_mode(|mode| options(secured, "anyone", HOST, mode)).await;
    assert_eq!(found, ["plain", "plain", "tls", "tls", "tls error", "tls error"]);
    let missing = |mode| with_root(options(secured, "anyone", HOST, mode), secured.file("missing.crt"));
    assert_eq!(each_mode(missing).await, ["plain", "plain", "tls", "tls", "tls error", "tls error"]);
}

#[tokio::test]
async fn the_right_authority_and_name() {
    let secured = secured().await;
    for host in [HOST, "127.0.0.1", "DB.example.test."] {
        let base = |mode| with_root(options(secured, "anyone", host, mode), secured.file("root.crt"));
        assert_eq!(each_mode(base).await, ["plain", "plain", "tls", "tls", "tls", "tls"], "{host}");
    }
}

#[tokio::test]
async fn the_wrong_name_matters_to_verify_full_alone() {
    let secured = secured().await;
    for host in ["other.example.test", "127.0.0.2"] {
        let base = |mode| with_root(options(secured, "anyone", host, mode), secured.file("root.crt"));
        assert_eq!(each_mode(base).await, ["plain", "plain", "tls", "tls", "tls", "tls error"], "{host}");
    }
}

#[tokio::test]
async fn the_wrong_authority_matters_wherever_a_root_certificate_is_known() {
    let secured = secured().await;
    let base = |mode| with_root(options(secured, "anyone", HOST, mode), secured.file("foreign.crt"));
    // prefer falls back to no encryption, as libpq does.
    let found = each_mode(base).await;
    assert_eq!(found, ["plain", "plain", "plain", "tls error", "tls error", "tls error"]);
    let error = Session::connect(&base(SslMode::VerifyFull), &Startup::default()).await.unwrap_err();
    assert!(error.to_string().contains("sslmode verify-full"), "{error}");
    assert!(error.advice().contains("sslrootcert"), "{}", error.advice());
}

#[tokio::test]
async fn a_server_certificate_may_be_named_as_the_root() {
    let secured = secured().await;
    let base = |host, mode| with_root(options(secured, "anyone", host, mode), secured.file("server.crt"));
    assert_eq!(outcome(&base(HOST, SslMode::VerifyFull)).await, "tls");
    assert_eq!(outcome(&base("other.example.test", SslMode::VerifyCa)).await, "tls");
    assert_eq!(outcome(&base("other.example.test", SslMode::VerifyFull)).await, "tls error");
}

#[tokio::test]
async fn the_system_knows_nothing_of_our_authority() {
    let secured = secured().await;
    let mut options = options(secured, "anyone", HOST, SslMode::VerifyFull);
    options.tls.system_roots = true;
    assert_eq!(outcome(&options).await, "tls error");
}

#[tokio::test]
async fn allow_and_prefer_try_the_other_way_when_the_server_refuses() {
    let secured = secured().await;
    let found = each_mode(|mode| options(secured, "only_tls", HOST, mode)).await;
    assert_eq!(found, ["auth error", "tls", "tls", "tls", "tls error", "tls error"]);
    let found = each_mode(|mode| options(secured, "only_plain", HOST, mode)).await;
    assert_eq!(found, ["plain", "plain", "plain", "auth error", "tls error", "tls error"]);
}

#[tokio::test]
async fn a_login_can_be_bound_to_the_connection() {
    let secured = secured().await;
    let mut bound = options(secured, "anyone", HOST, SslMode::Require);
    bound.channel_binding = ChannelBinding::Require;
    // The authority signs with SHA-384, and the binding must use that too: the server compares.
    assert_eq!(outcome(&bound).await, "tls");
    bound.tls.mode = SslMode::Disable;
    assert_eq!(outcome(&bound).await, "auth error");
    bound.channel_binding = ChannelBinding::Disable;
    bound.tls.mode = SslMode::Require;
    assert_eq!(outcome(&bound).await, "tls");
}

#[tokio::test]
async fn a_client_certificate_where_the_server_asks_for_one() {
    let secured = secured().await;
    let with = |name: &str| {
        let mut options = options(secured, "by_certificate", HOST, SslMode::Require);
        options.tls.client = Some(ClientCertificate {
            certificate: secured.file(&format!("{name}.crt")),
            key: secured.file(&format!("{name}.key")),
        });
        options
    };
    assert_eq!(outcome(&with("client")).await, "tls");
    assert_eq!(outcome(&with("someone")).await, "auth error");
    assert_eq!(outcome(&with("stranger")).await, "tls error");
    assert_eq!(outcome(&options(secured, "by_certificate", HOST, SslMode::Require)).await, "auth error");
    let mut mixed = with("client");
    mixed.tls.client.as_mut().unwrap().key = secured.file("someone.key");
    assert_eq!(outcome(&mixed).await, "tls error");
}

#[tokio::test]
async fn a_key_that_others_can_read_is_refused() {
    let secured = secured().await;
    let (certificate, key) = (secured.file("client.crt"), secured.file("open.key"));
    std::fs::copy(secured.file("client.key"), &key).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let mut options = options(secured, "by_certificate", HOST, SslMode::Require);
    options.tls.client = Some(ClientCertificate { certificate, key });
    let error = Session::connect(&options, &Startup::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls(_)), "{error}");
    assert!(error.advice().contains("chmod"), "{}", error.advice());
}

#[tokio::test]
async fn protocol_versions_are_kept_to() {
    let secured = secured().await;
    for (version, named) in [(TlsVersion::V12, "TLSv1.2"), (TlsVersion::V13, "TLSv1.3")] {
        let mut options = options(secured, "anyone", HOST, SslMode::Require);
        (options.tls.min_version, options.tls.max_version) = (version, version);
        let mut session = common::connect(&options).await;
        let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        assert_eq!(session.query_text(sql).await.unwrap().scalar(), Some(named));
    }
}

#[tokio::test]
async fn cancel_requests_are_encrypted_too() {
    let secured = secured().await;
    let mut session = common::connect(&options(secured, "only_tls", HOST, SslMode::Require)).await;
    let mut watcher = common::connect(&secured.server.options("postgres")).await;
    let (pid, token) = (session.backend_pid(), session.cancel_token());
    let cancel = async {
        let sql = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
        while watcher.query(sql, &[&pid]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        token.cancel().await.unwrap();
    };
    let (result, ()) = tokio::join!(session.execute("SELECT pg_sleep(60)"), cancel);
    assert_eq!(result.unwrap_err().code(), Some("57014"));
}

#[tokio::test]
async fn large_data_both_ways() {
    let secured = secured().await;
    let mut session = common::connect(&options(secured, "anyone", HOST, SslMode::Require)).await;
    session.execute("CREATE TEMPORARY TABLE t (a text)").await.unwrap();
    let mut copy = session.copy_in("COPY t FROM STDIN").await.unwrap();
    let line = bytes::Bytes::from(format!("{}\n", "x".repeat(99_999)));
    for _ in 0..100 {
        copy.send(line.clone()).await.unwrap();
    }
    assert_eq!(copy.finish().await.unwrap().tag(), "COPY 100");
    let rows = session.query_text("SELECT a FROM t").await.unwrap().rows;
    let total: usize = rows.iter().filter_map(|row| row[0].as_deref()).map(str::len).sum();
    assert_eq!(total, 9_999_900);
}
