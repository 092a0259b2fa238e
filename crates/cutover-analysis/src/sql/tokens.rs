//! The tokens of a statement without space and comments, for what is looked for in its text.

use super::lexer::{self, Kind, Scan};
use super::quote::quote_ident;

/// A token that is neither space nor comment.
#[derive(Clone, Copy)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    /// Byte offset in the whole text.
    pub(crate) at: usize,
}

impl Token<'_> {
    /// Whether it is this keyword.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// The identifier it is, as PostgreSQL stores it but for its length.
    pub(crate) fn name(&self) -> String {
        match self.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => self.text.to_ascii_lowercase(),
        }
    }

    /// Where the content of a string constant begins, if its lines are those of the text.
    pub(crate) fn body_start(&self) -> Option<usize> {
        if self.text.starts_with('\'') {
            return Some(self.at + 1);
        }
        let tag = self.text.strip_prefix('$')?.find('$')?;
        Some(self.at + tag + 2)
    }
}

/// A statement without its comments: each of them, and all space between tokens, is one blank, so that what stands
/// between two words does not matter to whoever looks at the words. Ends with the token that reaches `most` bytes, cut
/// where it is a long one.
pub fn without_comments(statement: &str, most: usize) -> String {
    let mut text = String::with_capacity(statement.len().min(most));
    let mut end = 0;
    for token in Tokens::new(statement) {
        if text.len() >= most {
            break;
        }
        if token.at > end && !text.is_empty() {
            text.push(' ');
        }
        let room = most.saturating_sub(text.len()).min(token.text.len());
        let fits = (0..=room).rev().find(|at| token.text.is_char_boundary(*at)).unwrap_or(0);
        text.push_str(token.text.get(..fits).unwrap_or_default());
        end = token.at + token.text.len();
    }
    text
}

/// A statement that alters, comments on or grants on the database `from`, with the database `to` in its place; none where it is
/// another statement or another database.
pub fn with_database(statement: &str, from: &str, to: &str) -> Option<String> {
    if !statement.contains(from) {
        return None;
    }
    let tokens: Vec<Token<'_>> = Tokens::new(statement).collect();
    let first = tokens.first()?;
    let at = tokens.windows(2).position(|pair| {
        let [before, word] = pair else { return false };
        word.is("DATABASE") && (before.is("ON") || before.at == first.at && before.is("ALTER"))
    })?;
    if !["ALTER", "COMMENT", "GRANT", "REVOKE", "SECURITY"].iter().any(|word| first.is(word)) {
        return None;
    }
    let (mut text, mut end, mut found) = (String::new(), 0, false);
    // A list of names: every other token is a comma.
    let mut rest = tokens.get(at + 2..)?.iter();
    while let Some(name) = rest.next() {
        if name.name() == from {
            text += statement.get(end..name.at)?;
            text += &quote_ident(to);
            end = name.at + name.text.len();
            found = true;
        }
        if rest.next().is_none_or(|comma| comma.text != ",") {
            break;
        }
    }
    text += statement.get(end..)?;
    found.then_some(text)
}

/// The tokens of a statement.
#[derive(Clone)]
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    /// What never ends counts as a string.
    cut: bool,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, cut: false }
    }

    /// Of a text that may end anywhere: what never ends counts as a string.
    pub(crate) fn of_cut(text: &'a str) -> Self {
        Self { text, at: 0, cut: true }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let rest = self.text.get(self.at..)?;
            let (kind, len) = match lexer::scan(rest.as_bytes(), true) {
                Scan::Token { kind, len } => (kind, len),
                _ if self.cut && !rest.is_empty() => (Kind::String, rest.len()),
                _ => return None,
            };
            let at = self.at;
            self.at += len;
            if !matches!(kind, Kind::Space | Kind::LineComment | Kind::BlockComment) {
                return Some(Token { kind, text: rest.get(..len)?, at });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{with_database, without_comments};

    #[test]
    fn another_database_stands_in_its_place() {
        let of = |text| with_database(text, "shop", "a b");
        assert_eq!(
            of("ALTER DATABASE shop SET x = 'shop'").unwrap(),
            "ALTER DATABASE \"a b\" SET x = 'shop'"
        );
        assert_eq!(
            of("grant all on /* x */ database other, \"shop\" to shop").unwrap(),
            "grant all on /* x */ database other, \"a b\" to shop"
        );
        for text in [
            "ALTER DATABASE other SET x = shop",
            "CREATE DATABASE shop",
            "SELECT 'on database shop'",
            "COMMENT ON TABLE shop IS 'x'",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn comments_are_blanks() {
        let sql = "SET/* a */x  =-- b\n 'a -- b' /* c */";
        assert_eq!(without_comments(sql, usize::MAX), "SET x = 'a -- b'");
        assert_eq!(without_comments("/* é */ a.b", usize::MAX), "a.b");
        assert_eq!(without_comments("ab 'éé'", 5), "ab '");
    }
}
