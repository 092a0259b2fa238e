//! Values of parameters as types, with errors that name where the value was written. The value itself is never
//! repeated: where parameters are mixed up, it may be the password.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::Word;
use super::origin::Values;
use super::{ClientCertificate, ConnectError, Keepalives, SslMode, SslNegotiation, TlsOptions, TlsVersion};

/// A reader of values.
pub(super) struct Typed<'a>(pub(super) &'a Values);

impl Typed<'_> {
    /// A value that cannot be read.
    fn wrong(&self, name: &str, what: &str, advice: impl Into<String>) -> ConnectError {
        ConnectError::usage(format!("{}: the value of {name} {what}", self.0.origin(name)), advice)
    }

    /// A parameter that cannot be as it is said.
    fn contradiction(&self, name: &str, what: &str, advice: impl Into<String>) -> ConnectError {
        ConnectError::usage(format!("{}: {name} {what}", self.0.origin(name)), advice)
    }

    /// A list at commas; empty when nothing was said.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.0
            .get(name)
            .map(|text| text.split(',').map(|part| part.trim().to_owned()).collect())
            .unwrap_or_default()
    }

    pub(super) fn addresses(&self) -> Result<Vec<Option<IpAddr>>, ConnectError> {
        let read = |part: &String| match part.as_str() {
            "" => Ok(None),
            part => part
                .parse()
                .map(Some)
                .map_err(|_| self.wrong("hostaddr", "is no IP address", "a host name belongs into host")),
        };
        self.list("hostaddr").iter().map(read).collect()
    }

    pub(super) fn ports(&self) -> Result<Vec<Option<u16>>, ConnectError> {
        let read = |part: &String| match part.as_str() {
            "" => Ok(None),
            part => part
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .map(Some)
                .ok_or_else(|| self.wrong("port", "is no port number", "ports are from 1 to 65535")),
        };
        self.list("port").iter().map(read).collect()
    }

    /// One of a set of words; the default when nothing was said.
    pub(super) fn word<W: Word>(&self, name: &str) -> Result<W, ConnectError> {
        let Some(text) = self.0.get(name) else {
            return Ok(W::default());
        };
        W::from_text(text)
            .ok_or_else(|| self.wrong(name, "is not known", format!("one of {}", W::texts().join(", "))))
    }

    fn integer(&self, name: &str) -> Result<Option<i64>, ConnectError> {
        let Some(text) = self.0.get(name) else {
            return Ok(None);
        };
        text.trim().parse().map(Some).map_err(|_| self.wrong(name, "is no whole number", ""))
    }

    fn positive(&self, name: &str) -> Result<Option<u64>, ConnectError> {
        Ok(self.integer(name)?.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0))
    }

    /// Whole seconds; zero and less mean none.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>, ConnectError> {
        Ok(self.positive(name)?.map(Duration::from_secs))
    }

    pub(super) fn keepalives(&self) -> Result<Keepalives, ConnectError> {
        Ok(Keepalives {
            enabled: self.integer("keepalives")? != Some(0),
            idle: self.seconds("keepalives_idle")?,
            interval: self.seconds("keepalives_interval")?,
            count: self.positive("keepalives_count")?.and_then(|count| u32::try_from(count).ok()),
            user_timeout: self.positive("tcp_user_timeout")?.map(Duration::from_millis),
        })
    }

    pub(super) fn tls(&self, home: Option<&Path>) -> Result<TlsOptions, ConnectError> {
        let mode: SslMode = self.word("sslmode")?;
        let system_roots = self.0.get("sslrootcert") == Some("system");
        if system_roots && mode != SslMode::VerifyFull {
            return Err(self.contradiction(
                "sslmode",
                "is too weak for sslrootcert=system",
                "anyone can get a certificate of a public authority: use sslmode=verify-full",
            ));
        }
        let negotiation: SslNegotiation = self.word("sslnegotiation")?;
        let firm = matches!(mode, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull);
        if negotiation == SslNegotiation::Direct && !firm {
            return Err(self.contradiction("sslnegotiation", "needs TLS", "use sslmode=require or stronger"));
        }
        if self.0.get("sslcertmode") == Some("require") && !firm {
            return Err(self.wrong("sslcertmode", "needs TLS", "use sslmode=require or stronger"));
        }
        if self.0.get("min_protocol_version").is_some_and(|version| version != "3.0") {
            return Err(self.wrong("min_protocol_version", "cannot be had: only version 3.0 is spoken", ""));
        }
        if self.0.get("sslcertmode") == Some("require") && !firm {
            return Err(self.wrong("sslcertmode", "needs TLS", "use sslmode=require or stronger"));
        }
        if self.0.get("min_protocol_version").is_some_and(|version| version != "3.0") {
            return Err(self.wrong("min_protocol_version", "cannot be had: only version 3.0 is spoken", ""));
        }
        if self.0.get("gssencmode") == Some("require") {
            return Err(self.contradiction("gssencmode", "cannot be had: GSSAPI is not supported", ""));
        }
        let file = |name: &str, usual: &str| {
            let usual = || home.map(|home| home.join(".postgresql").join(usual));
            self.0.get(name).map(PathBuf::from).or_else(usual)
        };
        Ok(TlsOptions {
            mode,
            negotiation,
            root_certificate: file("sslrootcert", "root.crt").filter(|_| !system_roots),
            system_roots,
            client: self.client(file("sslcert", "postgresql.crt"), file("sslkey", "postgresql.key"))?,
            certificate_required: self.0.get("sslcertmode") == Some("require"),
            revocations: file("sslcrl", "root.crl"),
            server_name_indication: self.integer("sslsni")? != Some(0),
            min_version: self.version("ssl_min_protocol_version", TlsVersion::V12)?,
            max_version: self.version("ssl_max_protocol_version", TlsVersion::V13)?,
        })
    }

    /// As libpq, a certificate that does not exist is not sent.
    fn client(
        &self,
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<ClientCertificate>, ConnectError> {
        let mode = self.0.get("sslcertmode").unwrap_or("allow");
        if !["disable", "allow", "require"].contains(&mode) {
            return Err(self.wrong("sslcertmode", "is not known", "one of disable, allow, require"));
        }
        let client = match (certificate.filter(|path| path.exists()), key) {
            (Some(certificate), Some(key)) if mode != "disable" => {
                Some(ClientCertificate { certificate, key })
            }
            _ => None,
        };
        if mode == "require" && client.is_none() {
            return Err(self.contradiction(
                "sslcertmode",
                "needs a client certificate",
                "set sslcert and sslkey",
            ));
        }
        Ok(client)
    }

    /// Versions older than 1.2 are allowed to be named as the lowest: they are just not spoken.
    fn version(&self, name: &str, default: TlsVersion) -> Result<TlsVersion, ConnectError> {
        match self.0.get(name) {
            None => Ok(default),
            Some("TLSv1" | "TLSv1.1") if name == "ssl_min_protocol_version" => Ok(TlsVersion::V12),
            Some(_) => self.word(name),
        }
    }
}
