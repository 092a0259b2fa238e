//! How far the server's certificate is checked: not at all, its authority, or its authority and its name.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::{TlsError, files, name};
use crate::connect::{SslMode, TlsOptions};

/// Checks what the options ask for.
#[derive(Debug)]
struct Verifier {
    /// Checks authority and name; `None` when no root certificate is known, then nothing is checked.
    inner: Option<Arc<WebPkiServerVerifier>>,
    /// The root certificates themselves: a server may present one of them as its own, as self-signed ones do.
    roots: Vec<CertificateDer<'static>>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

/// The verifier for these options.
pub(super) fn verifier(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let (roots, listed) = if options.system_roots {
        (Some(files::system_roots()?), Vec::new())
    } else {
        // As libpq: a file that does not exist is an error only where the mode promises a check.
        match &options.root_certificate {
            Some(path) if path.exists() => {
                let listed = files::certificates(path)?;
                (Some(files::roots(path, &listed)?), listed)
            }
            _ => (None, Vec::new()),
        }
    };
    let verifying = matches!(options.mode, SslMode::VerifyCa | SslMode::VerifyFull);
    if roots.is_none() && verifying {
        return Err(no_root(options));
    }
    let revocations = options.revocations.as_ref().filter(|path| path.exists());
    let inner = match roots {
        None => None,
        Some(roots) => {
            let mut builder =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            if let Some(path) = revocations {
                // As libpq: every certificate of the chain needs a list that is still valid.
                builder = builder.with_crls(files::revocations(path)?).enforce_revocation_expiration();
            }
            Some(builder.build().map_err(|error| TlsError::new(error.to_string(), ""))?)
        }
    };
    let check_name = options.mode == SslMode::VerifyFull;
    // A certificate that speaks for itself is in nobody's list: where lists count, it does not.
    let roots = if revocations.is_some() { Vec::new() } else { listed };
    Ok(Arc::new(Verifier { inner, roots, check_name, provider: Arc::clone(provider) }))
}

fn no_root(options: &TlsOptions) -> TlsError {
    let place = match &options.root_certificate {
        Some(path) => format!("the root certificate file {} does not exist", path.display()),
        None => "no root certificate file is known".to_owned(),
    };
    TlsError::new(
        format!("sslmode={} cannot check the server: {place}", options.mode),
        "put the authority's certificate there, set sslrootcert, or use sslrootcert=system for a public authority",
    )
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        if self.roots.iter().any(|root| root.as_ref() == end_entity.as_ref()) {
            name::check_time(end_entity, now)?;
            if self.check_name {
                name::check_name(end_entity, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is checked last: everything else held.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name || name::common_name_matches(end_entity, server_name) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
