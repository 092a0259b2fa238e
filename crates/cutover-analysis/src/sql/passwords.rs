//! Where a text shows a password: literals after PASSWORD and its like, `password=` in connection strings, URLs with
//! one, headers of HTTP with credentials, arguments of functions that are keys, commands of COPY … PROGRAM, at any depth of
//! quotes. Works on whole statements, on pieces of them, and on what a server says about them.
//!
//! It finds places and changes nothing. Where it cannot tell, it says yes: a harmless word is lost then, not a secret.

use std::collections::BTreeSet;
use std::ops::Range;

use super::columns::{self, KnownColumns};
use super::lexer::{Kind, Scan, scan};
use super::{arguments, headers};

/// Strings within strings are followed to this depth.
const DEPTH: usize = 6;

/// Parts of names that hold a secret.
const PARTS: [&str; 6] = ["passw", "pwd", "passphrase", "secret", "credential", "pgpass"];
/// Ends of names that hold a secret, in words with a blank between: written with `_`, `-` or nothing there.
const ENDS: [&str; 16] = [
    "token",
    "access key",
    "account key",
    "api key",
    "auth key",
    "cipher key",
    "decryption key",
    "encryption key",
    "hmac key",
    "master key",
    "private key",
    "service key",
    "shared key",
    "signing key",
    "ssh key",
    "webhook key",
];
/// What joins the words of [`ENDS`].
const JOINTS: [&str; 3] = ["_", "-", ""];
/// Shorter values are not looked for where nothing says that they are secrets: at 3 bytes (`dev`, `abc`) they would be
/// found within half the words of every message, and a secret of that length is guessed sooner than read.
const SHORTEST_ALONE: usize = 4;
/// Values that options with such names have, and that are no secrets.
const HARMLESS: [&str; 11] = [
    "true",
    "false",
    "null",
    "none",
    "infinity",
    "scram-sha-256",
    "password",
    "secret",
    "token",
    "base64",
    "utf8",
];
/// What a command that runs on the server stands behind, in COPY and in what the server says of it.
const PROGRAM: &str = "program";

/// Whether a value is too common to be looked for elsewhere.
pub(super) fn is_harmless(value: &str) -> bool {
    HARMLESS.contains(&value.to_ascii_lowercase().as_str())
}

/// Whether a name (of an option, a column, a placeholder) says that its value is secret.
pub fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    PARTS.iter().any(|part| name.contains(part)) || ends().any(|end| name.ends_with(&end))
}

/// [`ENDS`] in all their spellings.
fn ends() -> impl Iterator<Item = String> {
    ENDS.iter().flat_map(|end| JOINTS.iter().map(|joint| end.replace(' ', joint)))
}

/// The passwords a text shows, as ranges of bytes: in order, apart from each other, on character boundaries.
pub fn password_spans(text: &str) -> Vec<Range<usize>> {
    merge(found(text).into_iter().map(|found| found.at).collect())
}

fn found(text: &str) -> Vec<Found> {
    let mut spans = Vec::new();
    if may_show_passwords(text) {
        code(text, DEPTH, &mut spans);
        literals(text, &mut spans);
        prose(text, Bare::Attached, &mut spans);
    }
    spans
}

/// Literals that are secret by the column or the argument they stand for.
fn literals(text: &str, spans: &mut Vec<Found>) {
    let within = |literal: Range<usize>| shift(content(&text[literal.clone()]), literal.start);
    let columns = columns::secret_values(text).into_iter();
    spans.extend(columns.map(|literal| Found { at: within(literal), certain: true }));
    let arguments = arguments::secret_arguments(text).into_iter();
    spans.extend(arguments.map(|literal| Found { at: within(literal.at), certain: literal.certain }));
}

/// The passwords a text shows, as they are written and as they are meant (`it''s`, `it's`): to be looked for where
/// nothing says what they are. Left out are values under 4 bytes, those that are words of the SQL itself
/// (`CREATE ROLE app_user PASSWORD 'app_user'`: the name is shown anyway), and plain words where it is not certain that
/// they are values at all (`the password: must be longer`, `format('… PASSWORD %L', 'a_role', …)`). Also those that an INSERT puts into a
/// table whose columns are known, where it does not list them.
pub fn passwords(text: &str, known: &KnownColumns<'_>) -> BTreeSet<String> {
    let mut spans = found(text);
    let unlisted = columns::secret_values_of_known(text, known).into_iter();
    spans.extend(
        unlisted.map(|literal| Found {
            at: shift(content(&text[literal.clone()]), literal.start),
            certain: true,
        }),
    );
    if spans.is_empty() {
        return BTreeSet::new();
    }
    let words = words(text);
    let mut values = BTreeSet::new();
    for Found { at, certain } in spans {
        let written = &text[at];
        if !certain && is_plain(written) {
            continue;
        }
        let unescaped = [true, false].map(|escapes| Unquoted::new(written, Some('\''), escapes).text);
        let bare = written.trim_end_matches([',', ';', ')', '}', ']']);
        for value in [written, bare, &unescaped[0], &unescaped[1]] {
            let harmless = is_harmless(value) || words.contains(&value.to_ascii_lowercase());
            if value.len() >= SHORTEST_ALONE && !harmless {
                values.insert(value.to_owned());
            }
        }
    }
    values
}

/// The words of a text as SQL that stand outside its strings, in lower case.
fn words(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut at = 0;
    while at < text.len() {
        let (kind, token) = token(text, at);
        match kind {
            Kind::Word => drop(words.insert(token.to_ascii_lowercase())),
            Kind::QuotedIdentifier => drop(words.insert(token[content(token)].to_ascii_lowercase())),
            _ => {}
        }
        at += token.len();
    }
    words
}

/// Words that may be prose, or a name.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | ' ' | '.' | ',' | ':' | '%'))
}

/// A place that is to be starred.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    at: Range<usize>,
    /// That it is a secret is not only likely.
    certain: bool,
}

fn merge(mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    spans.retain(|span| !span.is_empty());
    spans.sort_by_key(|span| (span.start, span.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// Whether there can be anything to find: most texts are left alone at once.
pub fn may_show_passwords(text: &str) -> bool {
    if !may_mention(text.as_bytes()) {
        return false;
    }
    let lower = text.to_ascii_lowercase();
    let others = [PROGRAM, headers::NAME, headers::SCHEME, arguments::PART, arguments::OTHER_PART];
    lower.contains("://")
        || others.iter().any(|part| lower.contains(part))
        || PARTS.iter().any(|part| lower.contains(part))
        || ends().any(|end| lower.contains(&end))
}

/// One look at each byte, for texts of many megabytes: false where [`may_show_passwords`] would find nothing.
fn may_mention(text: &[u8]) -> bool {
    // Two letters tell most of what is left alone.
    let begins_a_word = |pair: &[u8]| {
        let [one, other] = pair else { return false };
        match one | 0x20 {
            b'p' => matches!(other | 0x20, b'a' | b'w' | b'g' | b'r'),
            b's' | b'k' | b'b' => other | 0x20 == b'e',
            b'c' => other | 0x20 == b'r',
            b'h' => other | 0x20 == b'm',
            b'a' => other | 0x20 == b'u',
            b't' => other | 0x20 == b'o',
            b':' => *other == b'/',
            _ => false,
        }
    };
    text.windows(2).enumerate().any(|(at, pair)| begins_a_word(pair) && mentioned_at(text, at))
}

/// Whether one of the words begins there.
fn mentioned_at(text: &[u8], at: usize) -> bool {
    let begins = |at: usize, word: &[u8]| {
        text.get(at..at + word.len()).is_some_and(|here| here.eq_ignore_ascii_case(word))
    };
    match text.get(at).copied().unwrap_or_default() {
        b'p' | b'P' => [&b"pass"[..], b"pwd", b"pgpass", b"program"].iter().any(|word| begins(at, word)),
        b's' | b'S' => begins(at, b"secret"),
        b'c' | b'C' => begins(at, b"credential") || begins(at, arguments::PART.as_bytes()),
        b'h' | b'H' => begins(at, arguments::OTHER_PART.as_bytes()),
        b'a' | b'A' => begins(at, headers::NAME.as_bytes()),
        b'b' | b'B' => begins(at, headers::SCHEME.as_bytes()),
        b't' | b'T' => begins(at, b"token"),
        b':' => begins(at, b"://"),
        // The word before the key is joined to it: PRIMARY KEY is none.
        b'k' | b'K' => at > 0 && !text[at - 1].is_ascii_whitespace() && begins(at, b"key"),
        _ => false,
    }
}

/// A name that holds a secret came by; what follows decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Armed {
    No,
    /// The next literal is the secret.
    Next,
    /// The literal was one, and goes on on the next line.
    Continues,
    /// The next literal is a command with whatever it is given.
    Command,
}

/// Goes through a text as SQL. Says whether it ends in the middle of things, so that a secret follows in another
/// literal: `'… PASSWORD ' || quote_literal('…')`.
fn code(text: &str, depth: usize, spans: &mut Vec<Found>) -> bool {
    let mut armed = Armed::No;
    // All literals up to the end of the statement are arguments of something that makes a password's text.
    let mut spilled = false;
    let mut at = 0;
    while at < text.len() {
        let (kind, token) = token(text, at);
        match kind {
            Kind::Space | Kind::LineComment | Kind::BlockComment => {}
            Kind::Word => armed = after_word(token, armed),
            Kind::QuotedIdentifier => {
                let inner = content(token);
                if armed == Armed::Next {
                    spans.push(Found { at: shift(inner.clone(), at), certain: !spilled });
                    armed = Armed::No;
                } else if armed == Armed::Command {
                    spans.push(Found { at: given(token, at), certain: false });
                    armed = Armed::No;
                } else if names_a_secret(&token[inner.clone()]) && is_name(&token[inner.clone()]) {
                    armed = Armed::Next;
                } else {
                    spilled |= nested(token, at, depth, spans);
                    armed = Armed::No;
                }
            }
            Kind::String => {
                if armed == Armed::Command {
                    spans.push(Found { at: given(token, at), certain: false });
                    armed = Armed::No;
                } else if armed == Armed::No && !spilled {
                    spilled |= nested(token, at, depth, spans);
                } else {
                    spans.push(Found { at: shift(content(token), at), certain: armed != Armed::No });
                    armed = Armed::Continues;
                }
            }
            Kind::Semicolon => (armed, spilled) = (Armed::No, false),
            Kind::Open if armed == Armed::Next => {}
            Kind::Other if armed == Armed::Next && token == "%" => (armed, spilled) = (Armed::No, true),
            Kind::Other if armed == Armed::Next && matches!(token, "=" | ":" | ">" | "&") => {}
            _ => armed = Armed::No,
        }
        at += token.len();
    }
    armed == Armed::Next || spilled
}

/// All that a command in quotes is given: what of it is secret is for the command to know.
fn given(token: &str, at: usize) -> Range<usize> {
    let inner = content(token);
    let command = &token[inner.clone()];
    let start = command.len() - command.trim_start().len();
    let name = start + command[start..].find(char::is_whitespace).unwrap_or(command.len() - start);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+');
    let behind = if command[start..name].chars().all(is_name) {
        command.len() - command[name..].trim_start().len()
    } else {
        // NAME=value before it.
        start
    };
    at + inner.start + behind..at + inner.end
}

/// The token at a place; what never ends counts as a string.
fn token(text: &str, at: usize) -> (Kind, &str) {
    let rest = &text[at..];
    let (kind, mut length) = match scan(rest.as_bytes(), true) {
        Scan::Token { kind, len } => (kind, len.max(1)),
        Scan::More | Scan::Unterminated(_) => (Kind::String, rest.len()),
    };
    while !rest.is_char_boundary(length) {
        length += 1;
    }
    (kind, &rest[..length])
}

fn after_word(word: &str, armed: Armed) -> Armed {
    // E'…', U&'…', N'…' and TO stand between a name and its value.
    let between = word.len() == 1 || word.eq_ignore_ascii_case("to");
    if word.eq_ignore_ascii_case(PROGRAM) {
        Armed::Command
    } else if armed == Armed::Command && word.len() == 1 {
        armed
    } else if names_a_secret(word) {
        Armed::Next
    } else if between && armed == Armed::Next {
        armed
    } else {
        Armed::No
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn shift(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// What stands between the quotes of a string or a quoted name, also where the closing ones are missing.
fn content(token: &str) -> Range<usize> {
    let start = token.find(['\'', '"', '$']).unwrap_or(0);
    match token.as_bytes().get(start) {
        Some(b'$') => {
            let tag = token[start + 1..].find('$').map_or(token.len(), |end| start + end + 2);
            let delimiter = &token[start..tag];
            let closed = token.len() >= tag + delimiter.len() && token.ends_with(delimiter);
            tag..if closed { token.len() - delimiter.len() } else { token.len() }
        }
        Some(quote) => {
            let closed = token.len() > start + 1 && token.as_bytes().last() == Some(quote);
            start + 1..if closed { token.len() - 1 } else { token.len() }
        }
        None => 0..token.len(),
    }
}

/// Looks into a string: it may be a statement, the body of a function, a connection string.
fn nested(token: &str, at: usize, depth: usize, spans: &mut Vec<Found>) -> bool {
    let inner = content(token);
    let text = &token[inner.clone()];
    if depth == 0 || !may_show_passwords(text) {
        return false;
    }
    let quote = token[..inner.start].chars().next_back();
    let plain = Unquoted::new(text, quote, token.starts_with(['e', 'E']));
    let mut found = Vec::new();
    let spilled = code(&plain.text, depth - 1, &mut found) || headers::ends_before_credentials(&plain.text);
    literals(&plain.text, &mut found);
    prose(&plain.text, Bare::Spaced, &mut found);
    spans.extend(found.into_iter().map(|Found { at: span, certain }| Found {
        at: shift(plain.origin(span), at + inner.start),
        certain,
    }));
    spilled
}

/// The text of a string as it is meant, with the place where each byte of it came from.
struct Unquoted {
    text: String,
    /// Offsets of the bytes, and the end; empty where nothing was changed.
    places: Vec<usize>,
}

impl Unquoted {
    fn new(text: &str, quote: Option<char>, escapes: bool) -> Self {
        let Some(quote) = quote.filter(|quote| matches!(quote, '\'' | '"')) else {
            return Self { text: text.to_owned(), places: Vec::new() };
        };
        let mut plain = String::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len() + 1);
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let pair = (c == quote && chars.peek().is_some_and(|(_, next)| *next == quote))
                || (escapes && c == '\\' && chars.peek().is_some());
            let (at, c) = if pair { chars.next().unwrap_or((at, c)) } else { (at, c) };
            plain.push(c);
            places.extend((0..c.len_utf8()).map(|byte| at + byte));
        }
        places.push(text.len());
        Self { text: plain, places }
    }

    fn origin(&self, span: Range<usize>) -> Range<usize> {
        let place = |at: usize| self.places.get(at).copied().unwrap_or(at);
        // The end is that of the last byte: of a doubled quote behind it neither half belongs to it.
        place(span.start)..place(span.end.saturating_sub(1)) + usize::from(span.end > 0)
    }
}

/// How far a value without quotes may stand from its `=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bare {
    /// Not at all: with a blank it is more likely an expression.
    Attached,
    /// As connection strings allow: blanks around the `=`.
    Spaced,
}

/// Goes through a text as whatever it is: connection strings, URLs, JSON, messages, pieces of SQL.
fn prose(text: &str, bare: Bare, spans: &mut Vec<Found>) {
    urls(text, spans);
    spans.extend(headers::credentials(text).into_iter().map(|at| Found { at, certain: false }));
    let lower = text.to_ascii_lowercase();
    for part in PARTS.iter().map(|part| (*part).to_owned()).chain(ends()) {
        for (start, _) in lower.match_indices(&part) {
            let rest = &text[start + part.len()..];
            let more = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            spans.extend(value(text, start, start + part.len() + more, bare));
        }
    }
}

/// The value behind a name that ends at `at`; the telling part of it begins at `name`.
fn value(text: &str, name: usize, at: usize, bare: Bare) -> Option<Found> {
    let blanks = |at: usize| at + text[at..].len() - text[at..].trim_start().len();
    // The name itself may stand in quotes, as in JSON.
    let mut here =
        at + usize::from(text[at..].starts_with(['"', '\'']) && !text[at + 1..].starts_with(['"', '\'']));
    let mut sign = None;
    let after_blanks = blanks(here);
    // A cast is none of them.
    let signs = if text[after_blanks..].starts_with("::") { &[][..] } else { &["=>", ":=", "=", ":"] };
    for word in signs {
        if text[after_blanks..].starts_with(word) {
            sign = Some((*word, after_blanks == here));
            here = after_blanks + word.len();
            break;
        }
    }
    let start = blanks(here);
    let rest = &text[start..];
    let prefix = ["E'", "e'", "U&'", "u&'", "\\\""].iter().find(|prefix| rest.starts_with(**prefix));
    let start = start + prefix.map_or(0, |prefix| prefix.len() - 1);
    match text[start..].chars().next() {
        // Where the quotes of the name were taken for those of a value, nothing may stand between.
        Some(quote @ ('\'' | '"')) if sign.is_some() || here == at => {
            Some(Found { at: quoted(text, start, quote), certain: sign.is_some() })
        }
        Some(_) => {
            let (sign, before) = sign?;
            if sign == ":" {
                let length = before.then(|| after_colon(text, name, start))?;
                return Some(Found { at: start..start + length, certain: false });
            }
            let attached = before && start == here;
            let allowed = sign == "=" && (attached || bare == Bare::Spaced);
            let length = || bare_length(&text[start..], in_url(&text[..at]), bare);
            allowed.then(|| Found { at: start..start + length(), certain: true })
        }
        None => None,
    }
}

/// A value in quotes, from the first of them at `start`. Two in a row are those of a string within a string, unless
/// nothing stands between.
fn quoted(text: &str, start: usize, quote: char) -> Range<usize> {
    let twice = text[start + 1..].starts_with(quote)
        && text[start + 2..].chars().next().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
    let begin = start + if twice { 2 } else { 1 };
    let mut chars = text[begin..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            match chars.peek() {
                // A doubled quote is part of a value in single ones.
                Some((_, next)) if *next == quote && !twice => drop(chars.next()),
                _ => return begin..begin + at,
            }
        }
    }
    begin..text.len()
}

/// The length of a value without quotes behind a colon, as in YAML and in messages. Where the name is the first word of
/// its line, the rest of the line is the value, but for a remark; elsewhere one word is. On the next line there is none.
fn after_colon(text: &str, name: usize, start: usize) -> usize {
    let rest = &text[start..];
    let line = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
    let begins = text[..name].rfind('\n').map_or(0, |at| at + 1);
    let before = text[begins..name].trim_start_matches([' ', '\t', '-', '"', '\'', '#', '*', '/']);
    let key = before.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if text[name..start].contains('\n') {
        return 0;
    }
    if key && !line.contains(['"', '\'']) {
        return line[..line.find(" #").unwrap_or(line.len())].trim_end().len();
    }
    line.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '}' | ']')).unwrap_or(line.len())
}

fn bare_length(text: &str, in_url: bool, bare: Bare) -> usize {
    let ends = |c: char| {
        c.is_whitespace() || (c == '&' && in_url) || (bare == Bare::Attached && matches!(c, '"' | '\''))
    };
    text.find(ends).unwrap_or(text.len())
}

/// Whether a text ends inside a URL.
fn in_url(text: &str) -> bool {
    let word = text.rfind(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).map_or(0, |at| at + 1);
    text[word..].contains("://")
}

/// `scheme://user:password@host`; the last @ counts, for a password may hold one.
fn urls(text: &str, spans: &mut Vec<Found>) {
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        let rest = &text[start..];
        let word = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
        let short = &word[..word.find(['"', '\'']).unwrap_or(word.len())];
        let authority = if short.contains('@') { short } else { word };
        if let Some(host) = authority.rfind('@')
            && let Some(colon) = authority[..host].find(':')
        {
            spans.push(Found { at: start + colon + 1..start + host, certain: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn learnable(text: &str) -> BTreeSet<String> {
        passwords(text, &|_, _| None)
    }

    fn starred(text: &str) -> String {
        let mut shown = String::new();
        let mut at = 0;
        for span in password_spans(text) {
            shown.push_str(&text[at..span.start]);
            shown.push('*');
            at = span.end;
        }
        shown + &text[at..]
    }

    #[test]
    fn literals_behind_their_names() {
        let cases = [
            (
                "CREATE ROLE a PASSWORD 'S3' VALID UNTIL '2030-01-01'",
                "CREATE ROLE a PASSWORD '*' VALID UNTIL '2030-01-01'",
            ),
            (
                "ALTER USER a WITH ENCRYPTED PASSWORD\n  E'S\\'3'",
                "ALTER USER a WITH ENCRYPTED PASSWORD\n  E'*'",
            ),
            ("ALTER ROLE a PASSWORD U&'S3' LOGIN", "ALTER ROLE a PASSWORD U&'*' LOGIN"),
            ("ALTER ROLE a PASSWORD $x$S3$x$", "ALTER ROLE a PASSWORD $x$*$x$"),
            ("ALTER ROLE a PASSWORD /* its */ 'S3'\n 'S4'", "ALTER ROLE a PASSWORD /* its */ '*'\n '*'"),
            ("ALTER ROLE a PASSWORD 'S''3'", "ALTER ROLE a PASSWORD '*'"),
            ("ALTER ROLE a PASSWORD NULL", "ALTER ROLE a PASSWORD NULL"),
            ("ALTER ROLE a PASSWORD 'never closed", "ALTER ROLE a PASSWORD '*"),
            (
                "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password 'S3')",
                "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password '*')",
            ),
            (
                "ALTER USER MAPPING FOR a SERVER s OPTIONS (SET \"password\" 'S3', ADD sslpassword 'S4')",
                "ALTER USER MAPPING FOR a SERVER s OPTIONS (SET \"password\" '*', ADD sslpassword '*')",
            ),
            ("SET app.api_token TO 'S3'", "SET app.api_token TO '*'"),
            ("SELECT f(password => 'S3', a => 'b')", "SELECT f(password => '*', a => 'b')"),
        ];
        for (text, shown) in cases {
            assert_eq!(starred(text), shown);
        }
    }

    #[test]
    fn connection_strings_and_urls() {
        let cases = [
            (
                "CREATE SUBSCRIPTION s CONNECTION 'host=h password=S3&4 user=u' PUBLICATION p",
                "CREATE SUBSCRIPTION s CONNECTION 'host=h password=* user=u' PUBLICATION p",
            ),
            (
                "SELECT dblink_connect('c', 'host=h password=''S3 and more'' user=u')",
                "SELECT dblink_connect('c', 'host=h password=''*'' user=u')",
            ),
            (
                "SELECT dblink('postgres://u:S3@CRET@h:1/db', 'SELECT 1')",
                "SELECT dblink('postgres://u:*@h:1/db', 'SELECT 1')",
            ),
            ("url = \"postgres://u:S3@h:1/db\" # x", "url = \"postgres://u:*@h:1/db\" # x"),
            ("url = \"host=h password=S3 user=u\"", "url = \"host=h password=* user=u\""),
            ("a = \"postgres://h/db?password=S3&x=1\"", "a = \"postgres://h/db?password=*&x=1\""),
            ("PASSWORD = \"S3\"", "PASSWORD = \"*\""),
            ("postgres://host/db", "postgres://host/db"),
            ("postgres://u@host:5432/db", "postgres://u@host:5432/db"),
            (
                "INSERT INTO c VALUES ('{\"password\": \"S\\\"3\", \"a\": \"b\"}')",
                "INSERT INTO c VALUES ('{\"password\": \"*\", \"a\": \"b\"}')",
            ),
        ];
        for (text, shown) in cases {
            assert_eq!(starred(text), shown);
        }
    }

    #[test]
    fn values_behind_a_colon() {
        let cases = [
            ("password: S3 cret # its", "password: * # its"),
            ("a: b\n  - db_password:  S3\nb: c", "a: b\n  - db_password:  *\nb: c"),
            ("{user: u, password: S3, a: b}", "{user: u, password: *, a: b}"),
            ("{\"password\": 12345}", "{\"password\": *}"),
            (
                "INSERT INTO c VALUES ('a: b\n  password: S3\n')",
                "INSERT INTO c VALUES ('a: b\n  password: *\n')",
            ),
            ("password:\n  nested: a", "password:\n  nested: a"),
            ("SELECT password::text, a.secret :: bytea", "SELECT password::text, a.secret :: bytea"),
        ];
        for (text, shown) in cases {
            assert_eq!(starred(text), shown);
        }
    }

    #[test]
    fn the_first_look_misses_nothing() {
        let others = [PROGRAM, headers::NAME, headers::SCHEME, arguments::PART, arguments::OTHER_PART];
        let parts = PARTS.iter().chain(&others).map(|part| (*part).to_owned());
        for part in parts.chain(ends()) {
            assert!(may_mention(format!("a {} b", part.to_ascii_uppercase()).as_bytes()), "{part}");
        }
        assert!(!may_mention(b"CREATE TABLE t (id int PRIMARY KEY, key int, n int CHECK (n > 0))"));
    }

    #[test]
    fn names_of_keys() {
        for name in [
            "signing_key",
            "signing-key",
            "signingKey",
            "PRIVATE_KEY",
            "app.encryption_key",
            "client_secret",
            "clientSecret",
            "accessToken",
            "stripe_api_key",
            "hmac_key",
        ] {
            assert!(names_a_secret(name), "{name}");
            assert!(!starred(&format!("a {name} => 'S3'")).contains("S3"), "{name}");
        }
        for name in ["primary_key", "foreign_key", "key", "keys", "signing_key_id", "monkey"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    #[test]
    fn what_is_looked_for_elsewhere() {
        let cases: [(&str, &[&str]); 9] = [
            ("CREATE ROLE a PASSWORD 'hunter' VALID UNTIL 'infinity'", &["hunter"]),
            ("CREATE ROLE a PASSWORD 'it''s-S3'", &["it''s-S3", "it's-S3"]),
            ("CREATE ROLE app_user PASSWORD 'app_user'", &[]),
            ("CREATE ROLE a PASSWORD 'abc'", &[]),
            ("CREATE SERVER s OPTIONS (password_required 'false')", &[]),
            ("SELECT 'host=h password=S3CRET user=u'", &["S3CRET"]),
            ("-- invalid password: must be longer", &[]),
            (
                "DO $$ BEGIN EXECUTE format('ALTER ROLE %I PASSWORD %L', 'some_role', 'S3-x'); END $$",
                &["S3-x"],
            ),
            ("SELECT 1", &[]),
        ];
        for (text, expected) in cases {
            let found = learnable(text);
            assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn statements_within_strings() {
        for text in [
            "DO $$ BEGIN EXECUTE 'CREATE ROLE a PASSWORD ''S3'''; END $$",
            "DO 'BEGIN EXECUTE ''CREATE ROLE a PASSWORD ''''S3''''''; END'",
            "DO $$ BEGIN EXECUTE format('ALTER ROLE %I PASSWORD %L', 'a', 'S3'); END $$",
            "DO $$ BEGIN EXECUTE 'ALTER ROLE a PASSWORD ' || quote_literal('S3'); END $$",
            "SQL statement \"CREATE ROLE a PASSWORD 'S3'\"\nPL/pgSQL function f() line 3 at EXECUTE",
            "it can't run: ALTER ROLE a PASSWORD 'S3'",
            "  PASSWORD\n  'S3'",
            "invalid connection option in \"host=h password=S3\"",
        ] {
            assert!(!starred(text).contains("S3"), "{}", starred(text));
        }
    }

    #[test]
    fn what_a_command_is_given() {
        let cases = [
            (
                "COPY t FROM PROGRAM 'curl -u u:S3 https://h/' WITH (FORMAT csv)",
                "COPY t FROM PROGRAM 'curl *' WITH (FORMAT csv)",
            ),
            ("COPY (SELECT 1) TO PROGRAM E'PGPASS\\'S3 psql'", "COPY (SELECT 1) TO PROGRAM E'*'"),
            (
                "DO $$ BEGIN EXECUTE 'COPY t FROM PROGRAM ''x -p''''S3'''''''; END $$",
                "DO $$ BEGIN EXECUTE 'COPY t FROM PROGRAM ''x *'''; END $$",
            ),
            ("program \"mysql -pS3\" failed", "program \"mysql *\" failed"),
            ("COPY t FROM PROGRAM 'cat'", "COPY t FROM PROGRAM 'cat'"),
            (
                "SELECT program, 'a b' FROM t WHERE program = 'a b'",
                "SELECT program, 'a b' FROM t WHERE program = 'a b'",
            ),
        ];
        for (text, shown) in cases {
            assert_eq!(starred(text), shown);
        }
        let learnt = learnable("COPY t FROM PROGRAM 'mysql -p''S3'' db'");
        assert!(learnt.contains("-p''S3'' db") && learnt.contains("-p'S3' db"), "{learnt:?}");
        assert!(learnable("COPY t FROM PROGRAM 'cat users.csv'").is_empty());
    }

    #[test]
    fn arguments_and_headers_at_any_depth() {
        for text in [
            "SELECT pgp_sym_encrypt(a, 'S3')",
            "DO $$ BEGIN PERFORM crypt('S3', gen_salt('bf')); END $$",
            "DO $$ BEGIN EXECUTE 'SELECT hmac(a, ''S3'', ''sha256'')'; END $$",
            "DO $$ BEGIN INSERT INTO u (n, password) VALUES ('a', 'S3'); END $$",
            "SELECT http(('GET', 'https://h', ARRAY[http_header('Authorization', 'Bearer S3')], NULL, NULL))",
            "SELECT net.http_post('https://h', headers := '{\"Authorization\": \"Basic S3\"}'::jsonb)",
            "DO $$ BEGIN PERFORM f('Authorization: Bearer ' || 'S3'); END $$",
        ] {
            assert!(!starred(text).contains("S3"), "{}", starred(text));
        }
        let learnt = learnable("SELECT f('Authorization: Bearer eyJS3.x'), pgp_sym_decrypt(a, 'key to it')");
        assert!(learnt.contains("eyJS3.x") && learnt.contains("key to it"), "{learnt:?}");
        let words = learnable("SELECT pgp_sym_encrypt('users', k), f('the bearer of this')");
        assert!(words.is_empty(), "{words:?}");
    }

    #[test]
    fn ordinary_sql_is_left_alone() {
        for text in [
            "CREATE TABLE users (name text, password text NOT NULL DEFAULT '', CHECK (password <> 'x'))",
            "COMMENT ON COLUMN users.password IS 'never in clear'",
            "UPDATE users SET password = crypt(given, gen_salt('bf')) WHERE id = 1",
            "SELECT token, secret FROM sessions WHERE name = 'a'",
            "FATAL: password authentication failed for user \"u\"",
            "SELECT 'https://example.org/a:b'",
        ] {
            assert_eq!(starred(text), text);
        }
    }

    proptest! {
        #[test]
        fn spans_lie_in_the_text_in_order(text in "(password|PASSWORD |://|=|'|\"|\\$\\$|\\\\|@|:|%L|E'|[a-z ]|\u{e9}|;|\\||--|/\\*){0,24}") {
            let mut end = 0;
            for span in password_spans(&text) {
                prop_assert!(span.start >= end && span.start < span.end && span.end <= text.len());
                prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
                end = span.end;
            }
        }

        #[test]
        fn no_password_of_a_statement_is_missed(password in "S3[a-zA-Z0-9 ,;:@/&=?#%$()\\-\u{e9}]{0,12}3S", depth in 0_u32..4) {
            let mut literal = format!("'{password}'");
            let mut text = format!("ALTER ROLE a PASSWORD {literal}");
            for _ in 0..depth {
                literal = text.replace('\'', "''");
                text = format!("SELECT exec('{literal}')");
            }
            prop_assert!(!starred(&text).contains("S3"), "{}", text);
            let conninfo = format!("host=h password=''{password}'' user=u").replace('\'', if depth == 0 { "\"" } else { "'" });
            let text = format!("CREATE SUBSCRIPTION s CONNECTION '{conninfo}' PUBLICATION p");
            prop_assert!(!starred(&text).contains("S3"), "{}", text);
        }

        #[test]
        fn a_cut_text_shows_no_password(before in 0_usize..30, after in 0_usize..20) {
            let text = "CREATE ROLE a LOGIN PASSWORD 'S3S3S3S3S3' VALID UNTIL 'infinity'";
            let cut = &text[before.min(20)..(text.len() - after).max(30)];
            prop_assert!(!starred(cut).contains("S3"), "{}", cut);
        }
    }
}
