//! What libpq accepts beyond the web's rules: a certificate whose only name is its common name, and a server
//! certificate that is itself named as the root.

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Checks the host name against the alternative names, or the common name where there are none.
pub(super) fn check_name(certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    match verify_server_name(&parsed, host) {
        Err(_) if common_name_matches(certificate, host) => Ok(()),
        other => other,
    }
}

/// Whether the certificate has no alternative names of hosts, and its common name is this host.
pub(super) fn common_name_matches(certificate: &[u8], host: &ServerName<'_>) -> bool {
    let Ok(parsed) = Certificate::from_der(certificate) else {
        return false;
    };
    let tbs = parsed.tbs_certificate();
    match tbs.get_extension::<SubjectAltName>() {
        Ok(None) => {}
        Ok(Some((_, names))) => {
            let of_a_host =
                |name: &GeneralName| matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_));
            if names.0.iter().any(of_a_host) {
                return false;
            }
        }
        Err(_) => return false,
    }
    let Ok(Some(name)) = tbs.subject().common_name() else {
        return false;
    };
    pattern_matches(name.value().as_ref(), &host.to_str(), matches!(host, ServerName::DnsName(_)))
}

/// Compares without regard to case; `*.` at the start stands for one label of a host name.
fn pattern_matches(pattern: &str, host: &str, is_name: bool) -> bool {
    if pattern.contains('\0') {
        return false;
    }
    match pattern.strip_prefix("*.") {
        Some(domain) if is_name => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain)),
        _ => pattern.eq_ignore_ascii_case(host),
    }
}

/// Whether the certificate is within its time.
pub(super) fn check_time(certificate: &[u8], now: UnixTime) -> Result<(), Error> {
    let parsed = Certificate::from_der(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let validity = parsed.tbs_certificate().validity();
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    fn certificate(common_name: &str, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn matches(common_name: &str, names: &[&str], host: &str) -> bool {
        let host = ServerName::try_from(host.to_owned()).unwrap();
        check_name(&certificate(common_name, names), &host).is_ok()
    }

    #[test]
    fn the_common_name_counts_only_without_alternative_names() {
        assert!(matches("db.example.test", &[], "DB.example.test"));
        assert!(!matches("db.example.test", &[], "other.example.test"));
        assert!(!matches("db.example.test", &["else.test"], "db.example.test"));
        assert!(!matches("db.example.test", &["10.0.0.1"], "db.example.test"));
        assert!(matches("x", &["db.example.test"], "db.example.test"));
        assert!(matches("127.0.0.1", &[], "127.0.0.1"));
    }

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(matches("*.example.test", &[], "db.example.test"));
        assert!(!matches("*.example.test", &[], "a.db.example.test"));
        assert!(!matches("*.example.test", &[], "example.test"));
        assert!(!matches("*.0.0.1", &[], "127.0.0.1"));
    }

    #[test]
    fn time_is_checked_at_both_ends() {
        let certificate = certificate("x", &[]);
        let at = |seconds| {
            check_time(&certificate, UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
        };
        assert!(at(1_600_000_000).is_ok());
        assert_eq!(at(1_500_000_000), Err(Error::InvalidCertificate(CertificateError::NotValidYet)));
        assert_eq!(at(1_700_000_000), Err(Error::InvalidCertificate(CertificateError::Expired)));
    }
}
