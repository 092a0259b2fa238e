//! The tokens of a statement without space and comments, for what is looked for in its text.

use super::lexer::{self, Kind, Scan};

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

/// The tokens of a statement.
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let rest = self.text.get(self.at..)?;
            let Scan::Token { kind, len } = lexer::scan(rest.as_bytes(), true) else { return None };
            let at = self.at;
            self.at += len;
            if !matches!(kind, Kind::Space | Kind::LineComment | Kind::BlockComment) {
                return Some(Token { kind, text: rest.get(..len)?, at });
            }
        }
    }
}
