//! Names that are cut.

use super::{Look, Rule};
use crate::effects::names;
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};
use crate::sql::lexer::Kind;
use crate::sql::tokens::Tokens;

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "identifier-too-long",
        severity: Severity::Error,
        on: true,
        why: "PostgreSQL cuts a name at 63 bytes without a word: two long names may become one, and what looks for the whole name does not find it.",
        safe: "a shorter name",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of(
                "CREATE TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (n int);",
            ),
            Example::of("ALTER TABLE t ADD CONSTRAINT \"ääääääääääääääääääääääääääääääää\" CHECK (n > 0);"),
            Example::of(
                "CREATE INDEX CONCURRENTLY i_long_long_long_long_long_long_long_long_long_long_long_long_long_ ON t (n);",
            ),
        ],
        good: &[
            Example::of(
                "CREATE TABLE U&\"\\0061\\0061\\0061\\0061\\0061\\0061\\0061\\0061\\0061\\0061\\0061\\0061\\0061\\0061\" (n int);",
            ),
            Example::of(
                "CREATE TABLE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa (n int);",
            ),
            Example::of("ALTER TABLE t ADD CONSTRAINT \"äääääääääääääääääääääääääääääää\" CHECK (n > 0);"),
            Example::of("SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';"),
            Example::of(
                "COMMENT ON TABLE t IS $$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa$$;",
            ),
            Example::of(
                "SELECT 1 /* aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa */;",
            ),
            Example::of(
                "CREATE TABLE \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\"\" (n int);",
            ),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    // The tree has the names as they were cut.
    if site.in_block {
        return;
    }
    let mut said: Vec<String> = Vec::new();
    let text = site.statement.text.as_str();
    if !has_long_run(text) {
        return;
    }
    for token in Tokens::new(text) {
        // U&"…" is shorter than it is written, where it has escapes.
        if text.get(..token.at).is_some_and(|before| before.ends_with('&')) {
            continue;
        }
        if !matches!(token.kind, Kind::Word | Kind::QuotedIdentifier) || token.text.len() <= names::LONGEST {
            continue;
        }
        let name = token.name();
        if name.len() > names::LONGEST && !said.contains(&name) {
            let location = i32::try_from(token.at).unwrap_or(-1);
            let cut = names::cut(&name);
            found.say_at(location, format!("the name has {} bytes and becomes {cut}", name.len()));
            said.push(name);
        }
    }
}

/// Whether anything in a text can be a name that is too long: most have nothing of the kind, and are not taken apart.
fn has_long_run(text: &str) -> bool {
    let is_of_word =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii();
    let bytes = text.as_bytes();
    // A run that is too long covers one of the places that are so far apart.
    let mut at = names::LONGEST;
    while let Some(byte) = bytes.get(at) {
        if is_of_word(*byte) {
            let before = bytes.iter().take(at).rev().take_while(|byte| is_of_word(**byte)).count();
            let behind = bytes.iter().skip(at).take_while(|byte| is_of_word(**byte)).count();
            if before + behind > names::LONGEST {
                return true;
            }
        }
        at += names::LONGEST + 1;
    }
    text.contains('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_seen_wherever_it_stands() {
        for before in 0..2 * names::LONGEST {
            for len in [1, names::LONGEST, names::LONGEST + 1, 3 * names::LONGEST] {
                let text = format!("{}{} {}", " ".repeat(before), "a".repeat(len), "b ".repeat(before));
                assert_eq!(has_long_run(&text), len > names::LONGEST, "{before} {len}");
            }
        }
    }
}
