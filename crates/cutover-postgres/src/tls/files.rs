//! Certificates and keys from PEM files.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::TlsError;
use crate::connect::ClientCertificate;

/// The certificates of a PEM file; at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable =
        |why: String| TlsError::new(format!("the certificate file {}: {why}", path.display()), "");
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(error.to_string()))?;
    if found.is_empty() {
        return Err(unreadable("holds no certificate".to_owned()));
    }
    Ok(found)
}

/// The revocation lists of a PEM file; at least one.
pub(super) fn revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let unreadable =
        |why: String| TlsError::new(format!("the revocation list {}: {why}", path.display()), "");
    let found: Vec<_> = CertificateRevocationListDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(error.to_string()))?;
    if found.is_empty() {
        return Err(unreadable("holds no revocation list".to_owned()));
    }
    Ok(found)
}

/// The authorities of a PEM file, as a store.
pub(super) fn roots(path: &Path, listed: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in listed {
        store.add(certificate.clone()).map_err(|error| {
            TlsError::new(format!("the root certificate file {}: {error}", path.display()), "")
        })?;
    }
    Ok(store)
}

/// The authorities the operating system trusts.
pub(super) fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        return Err(TlsError::new(
            "sslrootcert=system, and the operating system knows no certificate authority",
            "install the system's certificates (package ca-certificates), or name a file in sslrootcert",
        ));
    }
    Ok(store)
}

/// The client's certificate chain and key.
pub(super) fn client_certificate(
    client: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(&client.certificate)?;
    let path = client.key.display();
    check_key_mode(&client.key)?;
    let key = PrivateKeyDer::from_pem_file(&client.key).map_err(|error| {
        TlsError::new(
            format!("the private key {path}: {error}"),
            "an encrypted key must be decrypted first (openssl pkey -in key -out key.plain)",
        )
    })?;
    Ok((chain, key))
}

/// libpq's rule: only the owner may read the key, or also the group when root owns it.
fn check_key_mode(path: &Path) -> Result<(), TlsError> {
    use std::os::unix::fs::MetadataExt;
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| {
        TlsError::new(format!("the private key {shown} of the client certificate: {error}"), "set sslkey")
    })?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(TlsError::new(
            format!("the private key {shown} can be read by others"),
            "chmod 0600 it (0640 when root owns it)",
        ));
    }
    Ok(())
}
