//! What a file says of the functions that it makes: the comment directly above each. What a file of functions alone begins with is of its
//! first one, where nothing but empty lines is between them; else of the one that has no comment of its own, where that is one.

use std::io::{self, Read};

use crate::migration::Migration;
use crate::project::text;
use crate::secrets::starred;

/// Larger files are not looked through: 8 MiB.
const MOST: u64 = 8 << 20;

/// What other lines of comments are than words for people: those of cutover, and of tools that read SQL.
const DIRECTIVES: [&str; 12] = [
    "cutover:",
    "+",
    "migrate:",
    "name:",
    "rambler ",
    "//@",
    "liquibase",
    "changeset",
    "rollback",
    "sqlfluff",
    "noqa",
    "squawk-ignore",
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Empty,
    /// Without its marks.
    Comment(String),
    Other,
}

/// The lines of a file as far as comments go.
pub(super) struct Comments(Vec<Line>);

/// Lines of comments that belong together: from, and to before.
type Block = (usize, usize);

impl Comments {
    /// Those of a migration; none where it cannot be read any more, or is very large.
    pub(super) fn read(migration: &Migration) -> Self {
        let whole = || -> io::Result<String> {
            let mut whole = String::new();
            text::open(&migration.source)?.read_to_string(&mut whole)?;
            Ok(whole)
        };
        let whole =
            if migration.checksums.bytes <= MOST { whole().unwrap_or_default() } else { String::new() };
        Self::of(&starred(&whole))
    }

    fn of(text: &str) -> Self {
        let texts: Vec<&str> = text.lines().map(str::trim).collect();
        let mut lines = Vec::with_capacity(texts.len());
        while let Some(line) = texts.get(lines.len()) {
            let rest = texts.get(lines.len()..).unwrap_or_default();
            // One that does not end with its line is none that stands by itself.
            let end =
                line.starts_with("/*").then(|| rest.iter().position(|line| line.contains("*/"))).flatten();
            match end {
                Some(end) if rest.get(end).is_some_and(|line| line.ends_with("*/")) => {
                    lines.extend(rest.iter().take(end + 1).map(|line| Line::Comment(inside(line))));
                }
                _ => lines.push(match line.strip_prefix("--") {
                    Some(comment) => Line::Comment(comment.trim().to_owned()),
                    None if line.is_empty() => Line::Empty,
                    None => Line::Other,
                }),
            }
        }
        Self(lines)
    }

    /// The comment that ends with the line before this index.
    fn before(&self, end: usize) -> Option<Block> {
        let lines = self.0.get(..end)?;
        let many = lines.iter().rev().take_while(|line| matches!(line, Line::Comment(_))).count();
        (many > 0).then_some((end - many, end))
    }

    /// What the file begins with, where an empty line is behind it.
    fn first(&self) -> Option<Block> {
        let from = self.0.iter().position(|line| *line != Line::Empty)?;
        let lines = self.0.get(from..)?;
        let to = from + lines.iter().take_while(|line| matches!(line, Line::Comment(_))).count();
        (to > from && self.0.get(to) == Some(&Line::Empty)).then_some((from, to))
    }

    /// The words of a comment, a text for each of its paragraphs.
    fn paragraphs(&self, (from, to): Block) -> Vec<String> {
        let mut paragraphs = vec![Vec::new()];
        for line in self.0.get(from..to).unwrap_or_default() {
            let Line::Comment(text) = line else { continue };
            if text.is_empty() {
                paragraphs.push(Vec::new());
            } else if text.chars().any(char::is_alphanumeric)
                && !DIRECTIVES.iter().any(|directive| text.starts_with(directive))
                && let Some(last) = paragraphs.last_mut()
            {
                last.push(text.as_str());
            }
        }
        paragraphs.iter().filter(|one| !one.is_empty()).map(|one| one.join(" ")).collect()
    }

    /// What stands above a function: all of it.
    fn words(&self, block: Block) -> Option<String> {
        let paragraphs = self.paragraphs(block);
        (!paragraphs.is_empty()).then(|| paragraphs.join(" "))
    }

    /// What is said of the functions whose statements begin in these lines, counted from 1. `alone`: the file has no other statements.
    pub(super) fn above(&self, statements: &[u32], alone: bool) -> Vec<Option<String>> {
        let index = |line: &u32| usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let blocks: Vec<Option<Block>> = statements.iter().map(|line| self.before(index(line))).collect();
        let mut said: Vec<Option<String>> = blocks.iter().map(|block| self.words((*block)?)).collect();
        let Some(first) = self.first().filter(|_| alone) else { return said };
        let is_next = |line: &u32| {
            let between = self.0.get(first.1..index(line)).unwrap_or_default();
            between.iter().all(|line| *line == Line::Empty)
        };
        let silent: Vec<usize> = (0..said.len()).filter(|at| blocks.get(*at) == Some(&None)).collect();
        let of = match silent.as_slice() {
            [at, ..] if statements.get(*at).is_some_and(is_next) => Some(*at),
            [at] => Some(*at),
            _ => None,
        };
        if let Some(of) = of.and_then(|of| said.get_mut(of)) {
            // What follows is of the file, or of more than it.
            *of = self.paragraphs(first).into_iter().next();
        }
        said
    }
}

/// A line of a comment between its marks, without what adorns it.
fn inside(line: &str) -> String {
    let line = line.strip_prefix("/*").unwrap_or(line);
    let line = line.strip_suffix("*/").unwrap_or(line);
    line.trim_start_matches('*').trim_end_matches('*').trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, alone: bool) -> Vec<String> {
        let lines: Vec<u32> = (1..)
            .zip(text.lines())
            .filter(|(_, line)| line.starts_with("CREATE F"))
            .map(|(n, _)| n)
            .collect();
        let said = Comments::of(text).above(&lines, alone);
        said.into_iter().map(|one| one.unwrap_or_else(|| "-".to_owned())).collect()
    }

    #[test]
    fn the_comment_directly_above_is_of_the_function() {
        let text = "-- +goose Up\n\n-- Says hello\n-- to all.\n--\n-- ------\n-- Twice.\nCREATE FUNCTION a\n$$ -- b\n$$;\n\nCREATE FUNCTION b\n\
            $$\n-- inside\n$$;\n-- cutover: allow x y\nCREATE FUNCTION c\n;\n/* One\n * two. */\nCREATE FUNCTION d\n;\n-- far\n\nCREATE FUNCTION e";
        assert_eq!(said(text, false), ["Says hello to all. Twice.", "-", "-", "One two.", "-"]);
    }

    #[test]
    fn what_a_file_begins_with_is_of_its_first_function_or_of_the_only_silent_one() {
        assert_eq!(
            said("\n-- The file.\n--\n-- And more.\n\nCREATE FUNCTION a\n;\nCREATE FUNCTION b", true),
            ["The file.", "-"]
        );
        let text = "-- The file.\n\n-- Of a.\nCREATE FUNCTION a\n;\nCREATE FUNCTION b\n;\n-- Of c.\nCREATE FUNCTION c";
        assert_eq!(said(text, true), ["Of a.", "The file.", "Of c."]);
        // Of two nobody knows which is meant; nor where there is a table.
        assert_eq!(said(&format!("{text}\n;\nCREATE FUNCTION d"), true), ["Of a.", "-", "Of c.", "-"]);
        assert_eq!(said(text, false), ["Of a.", "-", "Of c."]);
        assert_eq!(said("-- T.\nCREATE TABLE t();\nCREATE FUNCTION a", true), ["-"]);
    }

    #[test]
    fn what_only_looks_like_a_comment_is_none() {
        assert_eq!(said("/* a */ SELECT 1;\nCREATE FUNCTION a", false), ["-"]);
        assert_eq!(said("SELECT '\n/* never closed';\nCREATE FUNCTION a", false), ["-"]);
        assert_eq!(said("", true), Vec::<String>::new());
    }
}
