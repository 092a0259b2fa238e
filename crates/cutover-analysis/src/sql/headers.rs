//! Credentials in headers of HTTP as texts show them: `Authorization: Basic …`, `{"Authorization": "…"}`, `Bearer …`.

use std::ops::Range;

/// The header, and its like for proxies.
pub(super) const NAME: &str = "authorization";
/// The scheme that a token comes with, wherever it stands.
pub(super) const SCHEME: &str = "bearer";

/// What says of which kind credentials are, where they stand apart from it.
const SCHEMES: [&str; 4] = [SCHEME, "basic", "digest", "token"];

/// The credentials, without the scheme they are for.
pub(super) fn credentials(text: &str) -> Vec<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let named = lower.match_indices(NAME).filter_map(|(at, _)| header(text, at + NAME.len()));
    let bearers = lower.match_indices(SCHEME).filter_map(|(at, _)| {
        let begins = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        begins.then(|| token(text, at + SCHEME.len())).flatten()
    });
    named.chain(bearers).filter(|span| !span.is_empty()).collect()
}

/// Whether the credentials are what follows: a text that ends like this is put together with them.
pub(super) fn ends_before_credentials(text: &str) -> bool {
    let lower = text.trim_end_matches([' ', ':', '"', '\\']).to_ascii_lowercase();
    if lower.len() == text.len() {
        return false;
    }
    let scheme = SCHEMES.iter().find_map(|scheme| lower.strip_suffix(scheme));
    lower.ends_with(SCHEME)
        || lower.ends_with(NAME)
        || scheme.is_some_and(|before| before.trim_end_matches([' ', ':', '"', '\\']).ends_with(NAME))
}

/// One word behind blanks.
fn token(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = &text[at..];
    let start = at + rest.len() - rest.trim_start_matches([' ', '\t']).len();
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | ')' | '}' | ']' | '\\');
    let length = text[start..].find(ends).unwrap_or(text.len() - start);
    (start > at).then_some(start..start + length)
}

/// The value of a header whose name ends at `at`. SESSION AUTHORIZATION has a role there and neither of these signs.
fn header(text: &str, at: usize) -> Option<Range<usize>> {
    let quotes = |c: char| matches!(c, '"' | '\'' | '\\');
    let after_name = text[at..].trim_start_matches(quotes);
    let quoted_name = after_name.len() < text.len() - at;
    let rest = after_name.trim_start();
    let rest = ["=>", ":=", ":", "="].iter().find_map(|sign| rest.strip_prefix(sign)).or_else(|| {
        // An argument of its own: http_header('Authorization', '…').
        rest.strip_prefix(',').filter(|_| quoted_name)
    })?;
    let value = rest.trim_start_matches([' ', '\t']);
    let inner = value.trim_start_matches(quotes);
    let in_quotes = inner.len() < value.len();
    // Without quotes it ends with the line, or with the string that the whole header stands in.
    let length = inner.find(|c| quotes(c) || matches!(c, '\n' | '\r')).unwrap_or(inner.len());
    let plain_colon = text[..text.len() - rest.len()].ends_with(':') && !rest.starts_with(':');
    if !in_quotes && !plain_colon {
        return None;
    }
    let credentials = scheme_end(&inner[..length]);
    let start = text.len() - inner.len();
    Some(start + credentials..start + length)
}

/// Where the credentials begin behind the word that says of which kind they are.
fn scheme_end(value: &str) -> usize {
    let first = value.split([' ', '\t']).next().unwrap_or_default();
    let rest = &value[first.len()..];
    let blanks = rest.len() - rest.trim_start().len();
    let is_scheme = !first.is_empty() && first.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
    let is_alone = blanks == rest.len();
    let known = SCHEMES.iter().any(|scheme| first.eq_ignore_ascii_case(scheme));
    if is_scheme && !is_alone || known { first.len() + blanks } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_behind_their_names() {
        let starred = |text: &str| {
            let mut shown = text.to_owned();
            let mut spans = credentials(text);
            spans.sort_by_key(|span| std::cmp::Reverse(span.start));
            spans.dedup();
            for span in spans {
                shown.replace_range(span, "*");
            }
            shown
        };
        for (text, shown) in [
            ("'Authorization: Bearer S3', 'x'", "'Authorization: Bearer *', 'x'"),
            ("curl -H 'Authorization: Basic S3=' http://h", "curl -H 'Authorization: Basic *' http://h"),
            ("{\"Authorization\": \"S3 3\", \"a\": \"b\"}", "{\"Authorization\": \"*\", \"a\": \"b\"}"),
            ("{\\\"authorization\\\":\\\"token S3\\\"}", "{\\\"authorization\\\":\\\"token *\\\"}"),
            ("http_header('Authorization', 'Basic S3')", "http_header('Authorization', 'Basic *')"),
            ("'proxy-authorization=>\"S3\"'", "'proxy-authorization=>\"*\"'"),
            ("Authorization: S3\nHost: h", "Authorization: *\nHost: h"),
            ("set_header('bearer S3')", "set_header('bearer *')"),
            ("'Authorization: Bearer ' || x", "'Authorization: Bearer ' || x"),
            // None of these is a header.
            ("SET SESSION AUTHORIZATION 'bob'", "SET SESSION AUTHORIZATION 'bob'"),
            (
                "CREATE SCHEMA AUTHORIZATION bob CREATE TABLE t ()",
                "CREATE SCHEMA AUTHORIZATION bob CREATE TABLE t ()",
            ),
            ("SELECT authorization::text, forbearer x", "SELECT authorization::text, forbearer x"),
            ("WHERE authorization = a.b", "WHERE authorization = a.b"),
        ] {
            assert_eq!(starred(text), shown);
        }
    }

    #[test]
    fn texts_that_credentials_are_put_behind() {
        for text in [
            "Authorization: Bearer ",
            "bearer ",
            "Authorization: ",
            "Authorization: Basic ",
            "{\"Authorization\": \"",
        ] {
            assert!(ends_before_credentials(text), "{text}");
        }
        for text in ["", "the bearer", "a token ", "x: ", "SESSION AUTHORIZATION"] {
            assert!(!ends_before_credentials(text), "{text}");
        }
    }
}
