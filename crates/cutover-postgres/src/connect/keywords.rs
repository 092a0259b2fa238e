//! libpq's connection parameters: their names, their variables, and what this crate does with each.

use super::ConnectError;

/// What becomes of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// It has its effect.
    Honoured,
    /// It has no effect here that a user could miss.
    Ignored,
    /// Leaving it out would weaken what was asked for, so it is refused; says why.
    Refused(&'static str),
}

/// A connection parameter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keyword {
    pub(super) name: &'static str,
    pub(super) variable: Option<&'static str>,
    pub(super) usage: Use,
}

const fn honoured(name: &'static str, variable: &'static str) -> Keyword {
    Keyword { name, variable: Some(variable), usage: Use::Honoured }
}

const fn plain(name: &'static str) -> Keyword {
    Keyword { name, variable: None, usage: Use::Honoured }
}

const fn ignored(name: &'static str, variable: Option<&'static str>) -> Keyword {
    Keyword { name, variable, usage: Use::Ignored }
}

const fn refused(name: &'static str, variable: Option<&'static str>, why: &'static str) -> Keyword {
    Keyword { name, variable, usage: Use::Refused(why) }
}

/// All of them.
pub(super) const KEYWORDS: &[Keyword] = &[
    honoured("host", "PGHOST"),
    honoured("hostaddr", "PGHOSTADDR"),
    honoured("port", "PGPORT"),
    honoured("dbname", "PGDATABASE"),
    honoured("user", "PGUSER"),
    honoured("password", "PGPASSWORD"),
    honoured("passfile", "PGPASSFILE"),
    honoured("service", "PGSERVICE"),
    honoured("servicefile", "PGSERVICEFILE"),
    honoured("sslmode", "PGSSLMODE"),
    honoured("sslnegotiation", "PGSSLNEGOTIATION"),
    honoured("sslrootcert", "PGSSLROOTCERT"),
    honoured("sslcert", "PGSSLCERT"),
    honoured("sslkey", "PGSSLKEY"),
    honoured("sslcertmode", "PGSSLCERTMODE"),
    honoured("sslcrl", "PGSSLCRL"),
    honoured("sslsni", "PGSSLSNI"),
    honoured("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    honoured("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    honoured("channel_binding", "PGCHANNELBINDING"),
    honoured("connect_timeout", "PGCONNECT_TIMEOUT"),
    honoured("application_name", "PGAPPNAME"),
    plain("fallback_application_name"),
    honoured("options", "PGOPTIONS"),
    honoured("target_session_attrs", "PGTARGETSESSIONATTRS"),
    honoured("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    plain("keepalives"),
    plain("keepalives_idle"),
    plain("keepalives_interval"),
    plain("keepalives_count"),
    plain("tcp_user_timeout"),
    honoured("gssencmode", "PGGSSENCMODE"),
    ignored("client_encoding", Some("PGCLIENTENCODING")),
    ignored("sslcompression", Some("PGSSLCOMPRESSION")),
    ignored("krbsrvname", Some("PGKRBSRVNAME")),
    ignored("gsslib", Some("PGGSSLIB")),
    ignored("gssdelegation", Some("PGGSSDELEGATION")),
    honoured("min_protocol_version", "PGMINPROTOCOLVERSION"),
    ignored("max_protocol_version", Some("PGMAXPROTOCOLVERSION")),
    refused("sslpassword", None, "encrypted client keys cannot be read: decrypt the key first"),
    refused(
        "sslcrldir",
        Some("PGSSLCRLDIR"),
        "folders of revocation lists cannot be read: name one file in sslcrl",
    ),
    refused("requirepeer", Some("PGREQUIREPEER"), "the owner of a socket cannot be checked"),
    refused(
        "require_auth",
        Some("PGREQUIREAUTH"),
        "the kind of login cannot be restricted: use channel_binding=require",
    ),
    refused("replication", None, "replication connections cannot run migrations"),
    refused("scram_client_key", None, "logins by SCRAM keys are not supported"),
    refused("scram_server_key", None, "logins by SCRAM keys are not supported"),
    refused("oauth_issuer", None, "logins by OAuth are not supported"),
    refused("oauth_client_id", None, "logins by OAuth are not supported"),
    refused("oauth_client_secret", None, "logins by OAuth are not supported"),
    refused("oauth_scope", None, "logins by OAuth are not supported"),
];

/// Finds a parameter by the name a user wrote.
pub(super) fn keyword(name: &str) -> Result<&'static Keyword, ConnectError> {
    KEYWORDS.iter().find(|keyword| keyword.name == name).ok_or_else(|| {
        let advice = suggestion(name).map_or_else(String::new, |near| format!("did you mean {near}?"));
        ConnectError::usage(format!("unknown connection parameter {name:?}"), advice)
    })
}

fn suggestion(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    // Words of other drivers.
    let known = match name.as_str() {
        "database" | "db" => Some("dbname"),
        "username" => Some("user"),
        "ssl_mode" | "ssl" | "tls" => Some("sslmode"),
        "timeout" => Some("connect_timeout"),
        _ => None,
    };
    known.or_else(|| {
        let near = KEYWORDS
            .iter()
            .map(|keyword| (strsim::jaro_winkler(keyword.name, &name), keyword.name))
            .max_by(|a, b| a.0.total_cmp(&b.0))?;
        (near.0 > 0.85).then_some(near.1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_answered_with_the_right_name() {
        let advice = |name: &str| keyword(name).unwrap_err().advice().to_owned();
        assert_eq!(advice("ssl_mode"), "did you mean sslmode?");
        assert_eq!(advice("sslrootcrt"), "did you mean sslrootcert?");
        assert_eq!(advice("aplication_name"), "did you mean application_name?");
        assert_eq!(advice("pgbouncer"), "");
    }

    #[test]
    fn names_and_variables_are_unique() {
        let mut names: Vec<_> = KEYWORDS.iter().map(|keyword| keyword.name).collect();
        let mut variables: Vec<_> = KEYWORDS.iter().filter_map(|keyword| keyword.variable).collect();
        for list in [&mut names, &mut variables] {
            let count = list.len();
            list.sort_unstable();
            list.dedup();
            assert_eq!(list.len(), count);
        }
    }
}
