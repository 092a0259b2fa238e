//! TLS by libpq's rules on rustls: which authorities count, whether the host name does, the client's certificate,
//! and the data that ties a login to the connection.

mod binding;
mod files;
mod name;
mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::{IpAddr, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connect::{SslNegotiation, TlsOptions, TlsVersion};
use crate::message::error_chain;

/// TLS did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsError {
    pub(crate) message: String,
    pub(crate) advice: String,
}

impl TlsError {
    fn new(message: impl Into<String>, advice: &str) -> Self {
        Self { message: message.into(), advice: advice.to_owned() }
    }
}

/// The name of PostgreSQL's protocol within TLS. A server that confirms it cannot be one of another protocol to which
/// somebody has led the connection.
const PROTOCOL: &[u8] = b"postgresql";

/// Makes TLS connections by one set of options. The files they name are read once, when it is made.
#[derive(Clone)]
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    /// Begins with the handshake: the server must confirm the protocol.
    direct: bool,
    /// The server must ask for the client's certificate.
    certificate_required: bool,
}

/// Notes whether the server asks for a certificate.
#[derive(Debug)]
struct Noting {
    inner: Arc<dyn ResolvesClientCert>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Noting {
    fn resolve(&self, root_hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.inner.resolve(root_hints, schemes)
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsClient")
    }
}

impl TlsClient {
    pub(crate) fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = verify::verifier(options, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(options)?)
            .map_err(|error| TlsError::new(error_chain(&error), ""))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &options.client {
            None => builder.with_no_client_auth(),
            Some(client) => {
                let (chain, key) = files::client_certificate(client)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let path = client.certificate.display();
                    TlsError::new(
                        format!("the client certificate {path} cannot be used: {error}"),
                        "check that certificate and key belong together",
                    )
                })?
            }
        };
        config.enable_sni = options.server_name_indication;
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // A resumed session would skip what is asked and checked in a full handshake.
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            direct: options.negotiation == SslNegotiation::Direct,
            certificate_required: options.certificate_required,
        })
    }

    /// The handshake, and the `tls-server-end-point` data of the server's certificate.
    pub(crate) async fn handshake(
        &self,
        stream: TcpStream,
        host: &str,
    ) -> Result<(TlsStream<TcpStream>, Option<Vec<u8>>), TlsError> {
        let name = server_name(host)?;
        let (connector, noting) = self.connector();
        let stream = connector.connect(name, stream).await.map_err(|error| self.failed(&error))?;
        if self.direct && stream.get_ref().1.alpn_protocol() != Some(PROTOCOL) {
            return Err(TlsError::new(
                "the server speaks TLS at once and does not confirm that it is PostgreSQL",
                DIRECT_ADVICE,
            ));
        }
        if self.certificate_required && !noting.asked.load(Ordering::Relaxed) {
            return Err(TlsError::new(
                "the server did not ask for a client certificate, and sslcertmode=require wants it to",
                "set ssl_ca_file in the server's configuration, or use sslcertmode=allow",
            ));
        }
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let binding = certificate.and_then(|certificate| binding::server_end_point(certificate));
        Ok((stream, binding))
    }

    /// Makes one connection, and notes what the server asks for.
    fn connector(&self) -> (TlsConnector, Arc<Noting>) {
        let noting = Arc::new(Noting {
            inner: Arc::clone(&self.config.client_auth_cert_resolver),
            asked: AtomicBool::new(false),
        });
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::clone(&noting) as Arc<dyn ResolvesClientCert>;
        (TlsConnector::from(Arc::new(config)), noting)
    }

    fn failed(&self, error: &std::io::Error) -> TlsError {
        let rustls = rustls_error(error);
        let refused = matches!(
            rustls,
            Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol))
        );
        let advice = if self.direct && (rustls.is_none() || refused) { DIRECT_ADVICE } else { advice(error) };
        TlsError::new(format!("the TLS handshake failed: {}", explain(error)), advice)
    }
}

const DIRECT_ADVICE: &str =
    "sslnegotiation=direct is for servers from 17 on, or a proxy that knows it: leave it out for others";

fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    // A trailing dot marks a full name; certificates are written without it.
    let host = host.strip_suffix('.').unwrap_or(host);
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return Ok(ServerName::IpAddress(IpAddr::from(address)));
    }
    ServerName::try_from(host.to_owned())
        .map_err(|_| TlsError::new(format!("{host:?} is no host name a certificate could be for"), ""))
}

fn versions(options: &TlsOptions) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    match (options.min_version, options.max_version) {
        (TlsVersion::V12, TlsVersion::V13) => Ok(vec![&rustls::version::TLS13, &rustls::version::TLS12]),
        (TlsVersion::V12, TlsVersion::V12) => Ok(vec![&rustls::version::TLS12]),
        (TlsVersion::V13, TlsVersion::V13) => Ok(vec![&rustls::version::TLS13]),
        (TlsVersion::V13, TlsVersion::V12) => Err(TlsError::new(
            "ssl_min_protocol_version is above ssl_max_protocol_version",
            "correct one of the two",
        )),
    }
}

fn rustls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>()
}

/// TLS problems that show only after the handshake, e.g. a client certificate the server does not trust.
pub(crate) fn late_error(error: &(dyn std::error::Error + 'static)) -> Option<TlsError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && rustls_error(io).is_some()
        {
            return Some(TlsError::new(format!("TLS broke off: {}", explain(io)), advice(io)));
        }
        cause = error.source();
    }
    None
}

fn explain(error: &std::io::Error) -> String {
    rustls_error(error).map_or_else(|| error_chain(error), ToString::to_string)
}

fn advice(error: &std::io::Error) -> &'static str {
    use rustls::CertificateError as Certificate;
    match rustls_error(error) {
        Some(rustls::Error::InvalidCertificate(problem)) => match problem {
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "use the host name the certificate is for, or sslmode=verify-ca where names do not matter"
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => "renew the server's certificate",
            Certificate::Revoked => {
                "the server must have another certificate: its authority has called this one back"
            }
            Certificate::UnknownRevocationStatus => {
                "sslcrl (by default ~/.postgresql/root.crl) needs a list of every authority in the chain"
            }
            Certificate::ExpiredRevocationList | Certificate::ExpiredRevocationListContext { .. } => {
                "get the authority's current list and put it where sslcrl says"
            }
            Certificate::UnknownIssuer => {
                "check that sslrootcert (by default ~/.postgresql/root.crt) holds the authority of the server's certificate"
            }
            _ => "check the server's certificate",
        },
        Some(rustls::Error::AlertReceived(_)) => {
            "the server refused: it may ask for another client certificate (sslcert, sslkey) or TLS version"
        }
        _ => "",
    }
}
