//! Connection strings: URLs and `key=value` lists. Errors never repeat what was written where a password may be.

use percent_encoding::percent_decode_str;

use super::ConnectError;
use super::keywords::{Keyword, keyword};

/// Parameters in the order they were written.
pub(super) type Pairs = Vec<(&'static Keyword, String)>;

const SCHEMES: [&str; 2] = ["postgresql://", "postgres://"];

/// What a URL of another kind begins with. Anything else before `://` may be a password, and is not shown.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let word = scheme.strip_prefix("jdbc:").unwrap_or(scheme);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.len() <= 20 && word.chars().all(plain))
        .then_some(scheme)
}

/// Reads either form. `source` names where the text was found, for errors.
pub(super) fn parse(text: &str, source: &str) -> Result<Pairs, ConnectError> {
    let text = text.trim();
    let parsed = if let Some(rest) = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) {
        url(rest)
    } else if let Some(scheme) = scheme(text) {
        Err(ConnectError::usage(
            format!("{scheme}:// is no PostgreSQL URL"),
            "it must begin with postgresql://",
        ))
    } else if text.contains('=') {
        conninfo(text)
    } else {
        Err(ConnectError::usage(
            "neither a URL nor a list of key=value",
            "write postgresql://user@host:port/database, or host=… dbname=…",
        ))
    };
    parsed.map_err(|error| match error {
        ConnectError::Usage { message, advice } => {
            ConnectError::usage(format!("{source}: {message}"), advice)
        }
        other => other,
    })
}

/// A URL behind its scheme.
fn url(text: &str) -> Result<Pairs, ConnectError> {
    let mut pairs = Pairs::new();
    let authority_end = text.find('/').unwrap_or(text.len());
    let mut rest = text;
    if let Some(at) = text[..authority_end].find('@') {
        credentials(&text[..at], &mut pairs)?;
        rest = &text[at + 1..];
        let host_end = rest.find(['/', '?']).unwrap_or(rest.len());
        if rest[..host_end].contains('@') {
            return Err(ConnectError::usage(
                "the URL has two @ signs before the database",
                "an @ in a user name or password is written %40",
            ));
        }
    }
    rest = hosts(rest, &mut pairs)?;
    if let Some(path) = rest.strip_prefix('/') {
        let end = path.find('?').unwrap_or(path.len());
        push(&mut pairs, "dbname", decode(&path[..end], "database name")?)?;
        rest = &path[end..];
    }
    if let Some(query) = rest.strip_prefix('?') {
        parameters(query, &mut pairs)?;
    }
    Ok(pairs)
}

fn credentials(text: &str, pairs: &mut Pairs) -> Result<(), ConnectError> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    };
    push(pairs, "user", decode(user, "user name")?)?;
    match password {
        Some(password) => push(pairs, "password", decode(password, "password")?),
        None => Ok(()),
    }
}

/// The list of hosts and ports; gives what follows.
fn hosts<'a>(text: &'a str, pairs: &mut Pairs) -> Result<&'a str, ConnectError> {
    let end = text.find(['/', '?']).unwrap_or(text.len());
    let (list, rest) = text.split_at(end);
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for entry in list.split(',') {
        let (host, port) = if let Some(inner) = entry.strip_prefix('[') {
            let Some((address, after)) = inner.split_once(']') else {
                return Err(ConnectError::usage(
                    "the URL has a [ without its ]",
                    "an IPv6 address is written [::1]",
                ));
            };
            let port = match after.strip_prefix(':') {
                Some(port) => port,
                None if after.is_empty() => "",
                None => return Err(ConnectError::usage("the URL has text between ] and the port", "")),
            };
            (address, port)
        } else {
            entry.split_once(':').unwrap_or((entry, ""))
        };
        if port.contains(':') {
            return Err(ConnectError::usage(
                "the URL has two colons in one host",
                "an IPv6 address is written [::1]; a / or : in a password %2F or %3A",
            ));
        }
        let port = decode(port, "port")?;
        if !port.chars().all(|c| c.is_ascii_digit()) {
            return Err(ConnectError::usage(
                "the port in the URL is no number",
                "a / in a user name or password is written %2F",
            ));
        }
        hosts.push(decode(host, "host")?);
        ports.push(port);
    }
    for (name, values) in [("host", hosts), ("port", ports)] {
        if values.iter().any(|value| !value.is_empty()) {
            push(pairs, name, values.join(","))?;
        }
    }
    Ok(rest)
}

fn parameters(query: &str, pairs: &mut Pairs) -> Result<(), ConnectError> {
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            return Err(ConnectError::usage(
                "a URL parameter has no =",
                "parameters are written ?name=value&name=value",
            ));
        };
        let name = decode(name, "parameter name")?;
        let value = decode(value, &name)?;
        // The spelling of JDBC, which libpq takes too.
        if name == "ssl" && value == "true" {
            push(pairs, "sslmode", "require".to_owned())?;
        } else {
            push(pairs, &name, value)?;
        }
    }
    Ok(())
}

fn push(pairs: &mut Pairs, name: &str, value: String) -> Result<(), ConnectError> {
    pairs.push((keyword(name)?, value));
    Ok(())
}

fn decode(text: &str, what: &str) -> Result<String, ConnectError> {
    let bad = |message: String| Err(ConnectError::usage(message, "a % itself is written %25"));
    let escapes = text.split('%').skip(1);
    for escape in escapes {
        let digits = escape.as_bytes().get(..2).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return bad(format!("the {what} in the URL has a % without two hexadecimal digits"));
        }
        if digits == b"00" {
            return bad(format!("the {what} in the URL has a %00"));
        }
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => bad(format!("the {what} in the URL is not UTF-8")),
    }
}

/// A list of `key=value` or `key = 'value'`; a backslash takes the next character as it is.
fn conninfo(text: &str) -> Result<Pairs, ConnectError> {
    let mut pairs = Pairs::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = &rest[..end];
        let Some(value) = rest[end..].trim_start().strip_prefix('=') else {
            // The name may be part of a password with a blank that was not quoted.
            return Err(ConnectError::usage(
                "a connection parameter has no =",
                "a value with blanks is written in single quotes",
            ));
        };
        let keyword = keyword(name)?;
        let (value, after) = conninfo_value(value.trim_start())?;
        pairs.push((keyword, value));
        rest = after.trim_start();
    }
    Ok(pairs)
}

fn conninfo_value(text: &str) -> Result<(String, &str), ConnectError> {
    let (quoted, text) = text.strip_prefix('\'').map_or((false, text), |rest| (true, rest));
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, next)| next)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            c if !quoted && c.is_whitespace() => return Ok((value, &text[at..])),
            c => value.push(c),
        }
    }
    if quoted {
        return Err(ConnectError::usage(
            "a quoted value has no closing quote",
            "a quote in a value is written \\'",
        ));
    }
    Ok((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(&'static str, String)> {
        parse(text, "here").unwrap().into_iter().map(|(keyword, value)| (keyword.name, value)).collect()
    }

    fn owned(list: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        list.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
    }

    #[test]
    fn urls_as_libpq_documents_them() {
        let cases: &[(&str, &[(&'static str, &str)])] = &[
            ("postgresql://", &[]),
            ("postgresql://localhost", &[("host", "localhost")]),
            ("postgresql://localhost:5433", &[("host", "localhost"), ("port", "5433")]),
            ("postgres://localhost/mydb", &[("host", "localhost"), ("dbname", "mydb")]),
            (
                "postgresql://user:secret@localhost",
                &[("user", "user"), ("password", "secret"), ("host", "localhost")],
            ),
            (
                "postgresql://other@localhost/otherdb?connect_timeout=10&application_name=my%20app",
                &[
                    ("user", "other"),
                    ("host", "localhost"),
                    ("dbname", "otherdb"),
                    ("connect_timeout", "10"),
                    ("application_name", "my app"),
                ],
            ),
            (
                "postgresql://host1:123,host2:456/somedb?target_session_attrs=any",
                &[
                    ("host", "host1,host2"),
                    ("port", "123,456"),
                    ("dbname", "somedb"),
                    ("target_session_attrs", "any"),
                ],
            ),
            (
                "postgresql://user@localhost:5433/mydb?options=-c%20synchronous_commit%3Doff",
                &[
                    ("user", "user"),
                    ("host", "localhost"),
                    ("port", "5433"),
                    ("dbname", "mydb"),
                    ("options", "-c synchronous_commit=off"),
                ],
            ),
            ("postgresql://[2001:db8::1234]/database", &[("host", "2001:db8::1234"), ("dbname", "database")]),
            (
                "postgresql:///dbname?host=/var/lib/postgresql",
                &[("dbname", "dbname"), ("host", "/var/lib/postgresql")],
            ),
            (
                "postgresql://%2Fvar%2Flib%2Fpostgresql/dbname",
                &[("host", "/var/lib/postgresql"), ("dbname", "dbname")],
            ),
            ("postgresql://h?ssl=true", &[("host", "h"), ("sslmode", "require")]),
        ];
        for (text, expected) in cases {
            assert_eq!(pairs(text), owned(expected), "{text}");
        }
    }

    #[test]
    fn conninfo_strings() {
        assert_eq!(
            pairs(r"host=localhost port = 5433 password='it\'s \\ here' dbname=a\ b options=''"),
            owned(&[
                ("host", "localhost"),
                ("port", "5433"),
                ("password", r"it's \ here"),
                ("dbname", "a b"),
                ("options", ""),
            ])
        );
    }

    #[test]
    fn urls_of_other_kinds_are_named_and_values_may_hold_one() {
        for text in ["mysql://h/db", "jdbc:postgresql://h/db", "postgresql+psycopg://h/db"] {
            let error = parse(text, "here").unwrap_err().to_string();
            assert_eq!(error, format!("here: {}:// is no PostgreSQL URL", text.split_once("://").unwrap().0));
        }
        assert_eq!(
            pairs("password=hunter2 application_name=http://h"),
            owned(&[("password", "hunter2"), ("application_name", "http://h")])
        );
    }

    #[test]
    fn errors_say_where_and_never_show_the_password() {
        for text in [
            "postgresql://u:hunter2%@h/db",
            "postgresql://u:hunter2@x@h/db",
            "postgresql://u:hunter2/x@h/db",
            "postgresql://u:hunter2@h/db?nosuch=1",
            "postgresql://u:hunter2@[::1/db",
            "mysql://u:hunter2@h/db",
            "password=x hunter2",
            "password=hunter2 # see http://h",
            "me:hunter2@h://db",
            "password='hunter2",
            "hunter2",
        ] {
            let error = parse(text, "environment DATABASE_URL").unwrap_err();
            let shown = format!("{error} {} {error:?}", error.advice());
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(error.to_string().starts_with("environment DATABASE_URL: "), "{error}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            let _ = parse(&text, "x");
            let _ = parse(&format!("postgresql://{text}"), "x");
            let _ = parse(&format!("host={text}"), "x");
        }

        #[test]
        fn url_pieces_never_panic(text in "[a%@:/?&=,\\[\\]\u{e9}0-9]{0,40}") {
            let _ = parse(&format!("postgres://{text}"), "x");
        }

        #[test]
        fn what_is_encoded_comes_back(
            user in "[^\0]{1,12}", password in "[^\0]{0,12}", host in "[^\0,]{1,12}", db in "[^\0]{0,12}",
            name in "[^\0]{0,12}",
        ) {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let text = format!(
                "postgresql://{}:{}@{}:5432/{}?application_name={}",
                encode(&user), encode(&password), encode(&host), encode(&db), encode(&name)
            );
            let expected = [
                ("user", user), ("password", password), ("host", host), ("port", "5432".to_owned()),
                ("dbname", db), ("application_name", name),
            ];
            prop_assert_eq!(pairs(&text), expected);
        }

        #[test]
        fn quoted_values_come_back(value in "[^\0]{0,20}") {
            let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
            prop_assert_eq!(pairs(&format!("dbname='{quoted}' port=1")), [("dbname", value), ("port", "1".to_owned())]);
        }
    }
}
