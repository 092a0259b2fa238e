//! Places and paths as the protocol has them: lines and columns from 0, columns in UTF-16, paths as URLs.

use std::path::PathBuf;

use serde_json::{Value, json};

/// The file of a `file:` URL of this machine.
pub(super) fn path(uri: &str) -> Option<PathBuf> {
    let rest = uri.strip_prefix("file://")?;
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return None;
    }
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    file(&bytes)
}

#[cfg(unix)]
fn file(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    (!bytes.contains(&0)).then(|| PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn file(bytes: &[u8]) -> Option<PathBuf> {
    let path = std::str::from_utf8(bytes).ok().filter(|path| !path.contains('\0'))?;
    Some(PathBuf::from(path.trim_start_matches('/')))
}

/// The range from a line and column, both from 1, in characters, to the end of the line.
pub(super) fn range(text: &str, line: u32, column: u32) -> Value {
    let number = line.saturating_sub(1);
    let shown = text.split('\n').nth(number as usize).unwrap_or_default();
    let shown = shown.trim_end();
    // A byte order mark is no part of what cutover counts.
    let mark = usize::from(number == 0 && shown.starts_with('\u{feff}'));
    let before = column.saturating_sub(1) as usize + mark;
    let start: usize = shown.chars().take(before).map(char::len_utf16).sum();
    let end: usize = shown.chars().map(char::len_utf16).sum();
    json!({ "start": position(number, start.min(end)), "end": position(number, end) })
}

/// The edit that makes one text of another: what both have at their ends stays.
pub(super) fn edit(before: &str, after: &str) -> Value {
    let lead: usize = before
        .chars()
        .zip(after.chars())
        .take_while(|(one, other)| one == other)
        .map(|(one, _)| one.len_utf8())
        .sum();
    let (old, new) = (before.get(lead..).unwrap_or_default(), after.get(lead..).unwrap_or_default());
    let back = old.chars().rev().zip(new.chars().rev()).take_while(|(one, other)| one == other);
    let tail: usize = back.map(|(one, _)| one.len_utf8()).sum();
    let end = before.len() - tail;
    let new_text = new.get(..new.len() - tail).unwrap_or_default();
    json!({ "range": { "start": place(before, lead), "end": place(before, end) }, "newText": new_text })
}

/// The position of a byte.
fn place(text: &str, at: usize) -> Value {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count();
    let last = before.rsplit('\n').next().unwrap_or_default();
    let column: usize = last.chars().map(char::len_utf16).sum();
    position(u32::try_from(line).unwrap_or(u32::MAX), column)
}

fn position(line: u32, character: usize) -> Value {
    json!({ "line": line, "character": character })
}

/// Whether two ranges touch.
pub(super) fn touch(one: &Value, other: &Value) -> bool {
    let at = |range: &Value, end: &str| {
        let number = |field: &str| range[end][field].as_u64().unwrap_or(0);
        (number("line"), number("character"))
    };
    at(one, "start") <= at(other, "end") && at(other, "start") <= at(one, "end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_paths() {
        assert_eq!(path("file:///a/b%20c%C3%A9.sql"), Some(PathBuf::from("/a/b cé.sql")));
        assert_eq!(path("file://localhost/a"), Some(PathBuf::from("/a")));
        for wrong in
            ["", "untitled:1", "file://other/a", "file:///a%2", "file:///a%zz", "file:///a%00b", "file:///%é"]
        {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn columns_are_counted_in_utf_16() {
        let text = "\u{feff}é𝄞 x\r\n𝄞𝄞y";
        assert_eq!(range(text, 1, 4)["start"]["character"], 5);
        assert_eq!(range(text, 1, 4)["end"]["character"], 6);
        assert_eq!(
            range(text, 2, 3),
            json!({"start": {"line": 1, "character": 4}, "end": {"line": 1, "character": 5}})
        );
        assert_eq!(range(text, 99, 99)["start"], json!({"line": 98, "character": 0}));
    }

    #[test]
    fn an_edit_leaves_what_is_the_same() {
        let of = |before: &str, after: &str| edit(before, after);
        let found = of("𝄞é\n𝄞 INDEX i", "𝄞é\n𝄞 INDEX CONCURRENTLY i");
        assert_eq!(found["newText"], "CONCURRENTLY ");
        assert_eq!(found["range"]["start"], json!({"line": 1, "character": 9}));
        assert_eq!(found["range"]["start"], found["range"]["end"]);
        assert_eq!(of("aa", "aaa")["newText"], "a");
        assert_eq!(of("aaa", "aa")["newText"], "");
        assert_eq!(of("é", "è")["newText"], "è");
    }
}
