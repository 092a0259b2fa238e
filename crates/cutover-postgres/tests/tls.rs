//! The six sslmodes against servers with and without TLS, with the right and the wrong authority, name and client.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod common;

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cutover_postgres::connect::{
    ChannelBinding, ClientCertificate, ConnectError, ConnectOptions, HostAddress, SslMode, SslNegotiation,
    TlsVersion,
};
use cutover_postgres::sandbox::Sandbox;
use cutover_postgres::session::{Session, Startup};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, PKCS_ECDSA_P384_SHA384, RevokedCertParams,
    SerialNumber, date_time_ymd,
};

const HOST: &str = "db.example.test";
const PASSWORD: &str = "secret of the test";
/// Serial number of every certificate that a server has.
const SERVER_SERIAL: u64 = 4711;
/// First major that lets a connection begin with TLS.
const DIRECT_SINCE: u32 = 17;

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
    if usage == ExtendedKeyUsagePurpose::ServerAuth {
        params.serial_number = Some(SerialNumber::from(SERVER_SERIAL));
    }
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

/// The authority's list of revoked certificates, PEM.
fn revocations(by: &Authority, serials: &[u64], until_year: i32) -> String {
    let revoked_certs = serials.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2024, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 2),
        next_update: date_time_ymd(until_year, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: revoked_certs.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(by).unwrap().pem().unwrap()
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
    for (name, text) in [
        ("nobody.crl", revocations(&ours, &[SERVER_SERIAL + 1], 2200)),
        ("server.crl", revocations(&ours, &[SERVER_SERIAL], 2200)),
        ("expired.crl", revocations(&ours, &[], 2025)),
        ("foreign.crl", revocations(&foreign, &[], 2200)),
    ] {
        write(&files.join(name), &text, None);
    }
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
                 host all by_certificate all reject\n\
                 host all trusted all trust\nhost all in_clear all password\nhost all old_hash all md5\n";
    let old = std::fs::read_to_string(&hba).unwrap();
    write(&hba, &format!("{rules}{old}"), Some(&data));
    for (name, value) in settings {
        admin.execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).await.unwrap();
    }
    for role in ["only_tls", "only_plain", "by_certificate", "anyone", "trusted", "in_clear"] {
        admin.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")).await.unwrap();
    }
    let old_hash =
        format!("SET password_encryption = 'md5'; CREATE ROLE old_hash LOGIN PASSWORD '{PASSWORD}'");
    admin.execute(&old_hash).await.unwrap();
    speaks_tls(admin, &server).await;
    Secured { server, files }
}

/// Makes the server read its configuration, and waits until it has.
async fn speaks_tls(mut admin: Session, server: &Sandbox) {
    admin.execute("SELECT pg_reload_conf()").await.unwrap();
    admin.close().await;
    let mut options = server.options("postgres");
    options.tls.mode = SslMode::Require;
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while let Err(error) = Session::connect(&options, &Startup::default()).await {
        assert!(std::time::Instant::now() < give_up, "{error}");
        tokio::task::yield_now().await;
    }
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

/// An authority's word says nothing of who took the password.
#[tokio::test]
async fn a_login_that_proves_nothing_of_the_server_is_refused_where_binding_is_required() {
    let secured = secured().await;
    for role in ["trusted", "in_clear", "old_hash"] {
        let mut free = options(secured, role, HOST, SslMode::Require);
        assert_eq!(outcome(&free).await, "tls", "{role}");
        free.channel_binding = ChannelBinding::Require;
        assert_eq!(outcome(&free).await, "auth error", "{role}");
        let error = Session::connect(&free, &Startup::default()).await.unwrap_err();
        assert!(error.advice().contains("channel_binding"), "{role}: {error}: {}", error.advice());
    }
}

async fn with_list(secured: &Secured, list: &str, mode: SslMode) -> Result<(), ConnectError> {
    let mut options = with_root(options(secured, "anyone", HOST, mode), secured.file("root.crt"));
    options.tls.revocations = Some(secured.file(list));
    let session = Session::connect(&options, &Startup::default()).await?;
    session.close().await;
    Ok(())
}

/// As libpq: where a list exists, every authority of the chain must have a valid one.
#[tokio::test]
async fn revoked_certificates_are_refused_and_lists_must_be_complete_and_valid() {
    let secured = secured().await;
    for mode in [SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull] {
        with_list(secured, "nobody.crl", mode).await.unwrap();
        with_list(secured, "missing.crl", mode).await.unwrap();
        for (list, advice) in [
            ("server.crl", "called this one back"),
            ("expired.crl", "current list"),
            ("foreign.crl", "every authority in the chain"),
        ] {
            let error = with_list(secured, list, mode).await.unwrap_err();
            assert!(matches!(error, ConnectError::Tls(_)), "{list}: {error}");
            assert!(error.advice().contains(advice), "{list}: {error}: {}", error.advice());
        }
        // A file without a list is a mistake, and not a list without entries.
        let error = with_list(secured, "root.crt", mode).await.unwrap_err();
        assert!(error.to_string().contains("holds no revocation list"), "{error}");
    }
    // A revoked certificate is revoked also where it is named as the root.
    let mut named =
        with_root(options(secured, "anyone", HOST, SslMode::VerifyCa), secured.file("server.crt"));
    assert_eq!(outcome(&named).await, "tls");
    named.tls.revocations = Some(secured.file("server.crl"));
    assert_eq!(outcome(&named).await, "tls error");
}

#[tokio::test]
async fn a_connection_may_begin_with_tls_where_the_server_knows_that() {
    let secured = secured().await;
    let direct = |mode| {
        let mut options = with_root(options(secured, "only_tls", HOST, mode), secured.file("root.crt"));
        options.tls.negotiation = SslNegotiation::Direct;
        options.channel_binding = ChannelBinding::Require;
        options
    };
    for mode in [SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull] {
        let options = direct(mode);
        if secured.server.server().major >= DIRECT_SINCE {
            assert_eq!(outcome(&options).await, "tls", "{mode}");
            cancels(&options, &secured.server.options("postgres")).await;
        } else {
            let error = Session::connect(&options, &Startup::default()).await.unwrap_err();
            assert!(matches!(error, ConnectError::Tls(_)), "{mode}: {error:?}");
            assert!(error.advice().contains("from 17 on"), "{mode}: {error}: {}", error.advice());
        }
    }
}

/// Something else that speaks TLS on that port, with a certificate that holds: it does not name the protocol.
#[tokio::test]
async fn a_connection_that_begins_with_tls_ends_where_the_protocol_is_not_confirmed() {
    let (ours, files) = (authority("our authority"), scratch("alpn"));
    let (certificate, key) = issue(&ours, "the server", &[HOST], ExtendedKeyUsagePurpose::ServerAuth);
    write(&files.join("root.crt"), &ours.pem(), None);
    let port = stranger_with_tls(&certificate, &key).await;
    let mut options = ConnectOptions::tcp(HOST, port, "anyone", "postgres").with_password(Some(PASSWORD));
    if let HostAddress::Tcp { address, .. } = &mut options.hosts[0].address {
        *address = Some("127.0.0.1".parse().unwrap());
    }
    (options.tls.mode, options.tls.negotiation) = (SslMode::VerifyFull, SslNegotiation::Direct);
    let error =
        Session::connect(&with_root(options, files.join("root.crt")), &Startup::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Tls(_)), "{error:?}");
    assert!(error.to_string().contains("does not confirm that it is PostgreSQL"), "{error}");
    std::fs::remove_dir_all(&files).unwrap();
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("cutover-tls-{name}-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// Speaks TLS to whoever comes, and knows no names of protocols.
async fn stranger_with_tls(certificate: &str, key: &str) -> u16 {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    port
}

#[tokio::test]
async fn a_server_that_asks_for_no_certificate_is_refused_where_it_must() {
    let secured = secured().await;
    let mut options = options(secured, "anyone", HOST, SslMode::Require);
    options.tls.client =
        Some(ClientCertificate { certificate: secured.file("client.crt"), key: secured.file("client.key") });
    options.tls.certificate_required = true;
    assert_eq!(outcome(&options).await, "tls");
    // The same server without an authority for clients does not ask.
    let server = tokio::task::spawn_blocking(common::start).await.unwrap();
    let mut admin = common::connect(&server.options("postgres")).await;
    let data = PathBuf::from(admin.query_text("SHOW data_directory").await.unwrap().scalar().unwrap());
    let ours = authority("an authority for servers alone");
    let (certificate, key) = issue(&ours, "the server", &[HOST], ExtendedKeyUsagePurpose::ServerAuth);
    write(&data.join("server.crt"), &certificate, Some(&data));
    write(&data.join("server.key"), &key, Some(&data));
    admin.execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    speaks_tls(admin, &server).await;
    options =
        ConnectOptions { hosts: server.options("postgres").hosts, user: "postgres".to_owned(), ..options };
    let error = Session::connect(&options, &Startup::default()).await.unwrap_err();
    assert!(error.to_string().contains("did not ask for a client certificate"), "{error}");
    options.tls.certificate_required = false;
    assert_eq!(outcome(&options).await, "tls");
    // Over a socket nobody could ask.
    let mut local = ConnectOptions::unix(server.socket_dir().unwrap(), server.port(), "postgres", "postgres");
    local.tls.certificate_required = true;
    let error = Session::connect(&local, &Startup::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Usage { .. }), "{error:?}");
}

/// Tells a copy of this test program which authority is the system's.
const SYSTEM_CHILD: &str = "CUTOVER_TLS_TEST_PORT";

#[tokio::test]
#[ignore = "not a test of its own: it is run where the system's authorities are those of another test"]
async fn a_connection_that_trusts_the_system() {
    let port = std::env::var(SYSTEM_CHILD).unwrap().parse().unwrap();
    for (host, expected) in [(HOST, "tls"), ("other.example.test", "tls error")] {
        let mut options = ConnectOptions::tcp(host, port, "anyone", "postgres").with_password(Some(PASSWORD));
        if let HostAddress::Tcp { address, .. } = &mut options.hosts[0].address {
            *address = Some("127.0.0.1".parse().unwrap());
        }
        (options.tls.mode, options.tls.system_roots) = (SslMode::VerifyFull, true);
        assert_eq!(outcome(&options).await, expected, "{host}");
    }
}

#[tokio::test]
async fn the_systems_own_authorities_are_trusted() {
    let secured = secured().await;
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_connection_that_trusts_the_system", "--ignored", "--nocapture"])
        .env(SYSTEM_CHILD, secured.server.port().to_string())
        .env("SSL_CERT_FILE", secured.file("root.crt"))
        .output();
    let output = child.unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
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
    let options = options(secured, "only_tls", HOST, SslMode::Require);
    cancels(&options, &secured.server.options("postgres")).await;
}

/// A session's statement is cancelled by a request over a connection of its own.
async fn cancels(options: &ConnectOptions, watcher: &ConnectOptions) {
    let mut session = common::connect(options).await;
    let mut watcher = common::connect(watcher).await;
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
