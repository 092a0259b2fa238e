//! `.env` files: `KEY=VALUE` lines for the environment of a project.

use std::collections::BTreeMap;

/// A line that cannot be read. The line itself is not shown: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct DotenvError {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub message: &'static str,
}

/// Reads `KEY=VALUE` lines. `export` before a key is allowed, `#` at the start of a line or after a blank begins a
/// comment, single quotes keep everything, double quotes know `\n`, `\t`, `\r`, `\"`, `\\`, `\$` and may span lines.
/// Variables within values are not replaced. A key given twice keeps the last value.
///
/// # Errors
/// Names the first line that cannot be read.
pub fn parse_dotenv(text: &str) -> Result<BTreeMap<String, String>, DotenvError> {
    let mut values = BTreeMap::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    while !rest.is_empty() {
        let fail = |message| DotenvError { line: line_of(text, rest), message };
        let line = rest.lines().next().unwrap_or_default();
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after_line(rest);
            continue;
        }
        let Some((key, _)) = line.split_once('=') else {
            return Err(fail("there is no ="));
        };
        let after = &rest[key.len() + 1..];
        let key = key.trim();
        let key =
            key.strip_prefix("export").filter(|key| key.starts_with([' ', '\t'])).map_or(key, str::trim);
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if key.is_empty() || !key.chars().all(valid) {
            return Err(fail("what is before = is no name of a variable"));
        }
        let (value, left) = value(after).map_err(fail)?;
        values.insert(key.to_owned(), value);
        rest = left;
    }
    Ok(values)
}

fn line_of(text: &str, rest: &str) -> usize {
    text[..text.len() - rest.len()].matches('\n').count() + 1
}

fn after_line(text: &str) -> &str {
    text.find('\n').map_or("", |end| &text[end + 1..])
}

/// A value and what follows its line.
fn value(text: &str) -> Result<(String, &str), &'static str> {
    let start = text.trim_start_matches([' ', '\t']);
    let (value, rest) = if let Some(quoted) = start.strip_prefix('\'') {
        let end = quoted.find('\'').ok_or("the single quote is not closed")?;
        (quoted[..end].to_owned(), &quoted[end + 1..])
    } else if let Some(quoted) = start.strip_prefix('"') {
        double_quoted(quoted)?
    } else {
        let line = start.lines().next().unwrap_or_default();
        let end = comment_start(line);
        return Ok((line[..end].trim_end().to_owned(), after_line(start)));
    };
    let tail = rest.lines().next().unwrap_or_default().trim();
    if !tail.is_empty() && !tail.starts_with('#') {
        return Err("there is text after the closing quote");
    }
    Ok((value, after_line(rest)))
}

/// Where a comment begins: a `#` at the start or after a blank, so that one inside a URL stays.
fn comment_start(line: &str) -> usize {
    line.match_indices('#')
        .find(|(at, _)| *at == 0 || line[..*at].ends_with([' ', '\t']))
        .map_or(line.len(), |(at, _)| at)
}

fn double_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, c @ ('"' | '\\' | '$'))) => value.push(c),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err("the double quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_line() {
        let text = "\u{feff}# comment\nA=1\r\n export B = two words # note\nC='# \\n $X'\nD=\"a\\n\\\"b\\\" \\$ #\nnext\" # x\n\nE=\nF=http://h/#frag\nA=2\nG=last";
        let values = parse_dotenv(text).unwrap();
        let expected = [
            ("A", "2"),
            ("B", "two words"),
            ("C", "# \\n $X"),
            ("D", "a\n\"b\" $ #\nnext"),
            ("E", ""),
            ("F", "http://h/#frag"),
            ("G", "last"),
        ];
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn mistakes_are_named_by_line() {
        for (text, line) in [("A=1\nB\n", 2), ("A='x\n", 1), ("\n\nA=\"x", 3), ("A='x' y", 1), ("a b=1", 1)] {
            assert_eq!(parse_dotenv(text).unwrap_err().line, line, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A-C=\"'\\\\# \n\r\t\u{e9}]{0,40}") {
            let _ = parse_dotenv(&text);
        }

        #[test]
        fn quoted_values_come_back(value in "[^\0]{0,20}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let values = parse_dotenv(&format!("A=\"{quoted}\"\nB=1\n")).unwrap();
            prop_assert_eq!(values.get("A"), Some(&value));
            prop_assert_eq!(values.len(), 2);
        }
    }
}
