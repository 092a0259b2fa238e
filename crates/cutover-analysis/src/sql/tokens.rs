//! The tokens of a statement without space and comments, for what is looked for in its text.

use std::borrow::Cow;

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

/// A statement as psql must be given it: what could stand for one of its variables there (`a[1:n]`, where somebody has set
/// `n`) does not. psql looks for them outside quotes; a blank behind the colon changes nothing for the server.
pub fn without_psql_variables(statement: &str) -> Cow<'_, str> {
    let names = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || b"_'\"{".contains(&byte);
    let bytes = statement.as_bytes();
    let mut text = String::new();
    let mut written = 0;
    for token in Tokens::new(statement).filter(|token| token.text == ":") {
        let after = token.at + 1;
        let is_cast = token.at.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b':');
        if !is_cast && bytes.get(after).is_some_and(|byte| names(*byte)) {
            text.push_str(&statement[written..after]);
            text.push(' ');
            written = after;
        }
    }
    if written == 0 {
        return Cow::Borrowed(statement);
    }
    text.push_str(&statement[written..]);
    Cow::Owned(text)
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
    use super::{without_comments, without_psql_variables};

    #[test]
    fn nothing_stands_for_a_variable_of_psql() {
        let same = [
            "a::text[1 : 2]",
            "':a', $$:a$$, E'\\':a', \":a\" -- :a\n /* :a */",
            "x := :",
            "a[:]",
            "b::c::d",
        ];
        for sql in same {
            assert_eq!(without_psql_variables(sql), sql);
        }
        for (sql, given) in [
            ("SELECT a[1:n], ':n'", "SELECT a[1: n], ':n'"),
            ("a[1:\"n\"]||b[x:'2']||c[:é]", "a[1: \"n\"]||b[x: '2']||c[: é]"),
            ("a::b[i:j]", "a::b[i: j]"),
            ("a[b::int:c]", "a[b::int: c]"),
        ] {
            assert_eq!(without_psql_variables(sql), given);
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
