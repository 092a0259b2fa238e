//! Marks by which other tools divide a file into the way there and the way back: a file that has them and is read whole
//! would be run with both. Each mark is looked for as its tool looks for it.

use std::io;

use super::conventions::contents::LineReader;
use super::conventions::is_node_pg_mark;

/// A tool with sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tool {
    /// What it is called, with its mark.
    pub(super) called: &'static str,
    /// The convention that reads its files; empty where there is none.
    pub(super) convention: &'static str,
}

const fn tool(called: &'static str, convention: &'static str) -> Tool {
    Tool { called, convention }
}

const DBMATE: Tool = tool("dbmate (-- migrate:up)", "dbmate");
const GOOSE: Tool = tool("goose (-- +goose Up)", "goose");
const SQL_MIGRATE: Tool = tool("sql-migrate (-- +migrate Up)", "");
const MICRATE: Tool = tool("micrate (-- +micrate Up)", "");
const RAMBLER: Tool = tool("rambler (-- rambler up)", "");
const TERN: Tool = tool("tern (---- create above / drop below ----)", "");
const MYBATIS: Tool = tool("MyBatis Migrations (-- //@UNDO)", "");
const PLAY: Tool = tool("Play's evolutions (-- !Ups)", "");
const NODE_PG_MIGRATE: Tool = tool("node-pg-migrate (-- Down Migration)", "node-pg-migrate");

/// What tells whose sections a file has, while its lines go by.
#[derive(Debug, Default)]
struct Seen {
    /// A line that is neither empty nor a comment, or node-pg-migrate's mark of the way there.
    something: bool,
}

impl Seen {
    fn line(&mut self, line: &str) -> Option<Tool> {
        let text = line.trim_start();
        let rest = match (text.strip_prefix("--"), text.strip_prefix("//")) {
            (Some(rest), _) | (_, Some(rest)) => rest.trim_start(),
            _ if line.starts_with('#') && is_of_play(line) => return Some(PLAY),
            _ => {
                self.something |= !text.is_empty();
                return None;
            }
        };
        if text.starts_with("--") {
            let begins = |mark: &str, words: [&str; 2]| {
                rest.strip_prefix(mark).is_some_and(|rest| words.iter().any(|word| rest.starts_with(word)))
            };
            let marked = [
                (begins("migrate:", ["up", "down"]), DBMATE),
                (begins("+goose ", ["Up", "Down"]), GOOSE),
                (begins("+migrate ", ["Up", "Down"]), SQL_MIGRATE),
                (begins("+micrate ", ["Up", "Down"]), MICRATE),
                (begins("rambler ", ["up", "down"]), RAMBLER),
                (text.contains("---- create above / drop below ----"), TERN),
                (line.starts_with("--") && is_of_play(line), PLAY),
            ];
            if let Some((_, tool)) = marked.into_iter().find(|(is, _)| *is) {
                return Some(tool);
            }
            if is_node_pg_mark(line, "down") && self.something {
                return Some(NODE_PG_MIGRATE);
            }
            self.something |= is_node_pg_mark(line, "up");
        }
        let undo = rest.strip_prefix("//").unwrap_or(rest).trim_start();
        let is_undo = undo.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("@UNDO"));
        is_undo.then_some(MYBATIS)
    }
}

/// `!Ups` or `!Downs` in a line that begins as Play's do.
fn is_of_play(line: &str) -> bool {
    line.contains("!Ups") || line.contains("!Downs")
}

/// The tool whose sections a text has.
pub(super) fn of_text(text: &[u8]) -> Option<Tool> {
    let mut seen = Seen::default();
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', text).chain([text.len()]) {
        let line = text.get(at..end).unwrap_or_default();
        at = end + 1;
        // All but comments say one thing: that something stands above.
        let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
        if !matches!(first, Some(b'-' | b'/' | b'#')) {
            seen.something |= first.is_some();
        } else if let Some(tool) = seen.line(&String::from_utf8_lossy(line)) {
            return Some(tool);
        }
    }
    None
}

/// The same of a text that is too long to be held.
///
/// # Errors
/// As reading does.
pub(super) fn of_lines(lines: &mut LineReader<'_>) -> io::Result<Option<Tool>> {
    let mut seen = Seen::default();
    while let Some((_, line)) = lines.next_line()? {
        if let Some(tool) = seen.line(&line) {
            return Ok(Some(tool));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn the_marks_of_each_tool_are_known() {
        let cases: [(&str, Option<Tool>); 22] = [
            ("-- migrate:up\n", Some(DBMATE)),
            ("SELECT 1;\n--migrate:down\n", Some(DBMATE)),
            ("-- +goose Up\n", Some(GOOSE)),
            ("-- +migrate Up notransaction\n", Some(SQL_MIGRATE)),
            ("-- +micrate Down\n", Some(MICRATE)),
            ("-- rambler up\n", Some(RAMBLER)),
            ("SELECT 1;\n\n---- create above / drop below ----\n", Some(TERN)),
            ("-- // first\nSELECT 1;\n-- //@UNDO\n", Some(MYBATIS)),
            ("SELECT 1;\n  --  // @undo\n", Some(MYBATIS)),
            ("//@UNDO\n", Some(MYBATIS)),
            ("-- !Ups\n", Some(PLAY)),
            ("SELECT 1;\n# --- !Downs\n", Some(PLAY)),
            ("-- Up Migration\nSELECT 1;\n-- Down Migration\n", Some(NODE_PG_MIGRATE)),
            ("SELECT 1;\r\n-- down  migration\r\n", Some(NODE_PG_MIGRATE)),
            // A heading that says what the file is.
            ("-- Down migration of users\nDROP TABLE a;\n", None),
            ("-- Up migration\nCREATE TABLE a ();\n", None),
            ("-- about migrate:up\n", None),
            ("-- we migrate up and down\nSELECT '-- !';\n", None),
            ("SELECT 1; -- +goose Up\n", None),
            ("-- the down migration is elsewhere\n", None),
            ("SELECT '@UNDO';\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(of_text(text.as_bytes()), expected, "{text:?}");
            let mut reader = Cursor::new(text.as_bytes());
            assert_eq!(of_lines(&mut LineReader::new(&mut reader)).unwrap(), expected, "{text:?}");
        }
    }
}
