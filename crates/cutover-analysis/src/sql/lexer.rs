//! The lexical rules of PostgreSQL that matter for where a statement ends.
//!
//! One call scans one token. A token is only reported when it is complete and what follows it cannot change it;
//! otherwise the caller has to bring more text and scan again from the token's beginning. That is why the
//! boundaries of the chunks a text is read in cannot matter. Nothing here checks grammar.

use memchr::{memchr, memchr2, memmem};

use super::item::Unterminated;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Space,
    LineComment,
    BlockComment,
    /// A keyword or an identifier without quotes.
    Word,
    QuotedIdentifier,
    String,
    Number,
    Semicolon,
    Open,
    Close,
    Dot,
    Comma,
    Backslash,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    Token {
        kind: Kind,
        len: usize,
    },
    /// The token may go on after the text given.
    More,
    Unterminated(Unterminated),
}

/// Scans the token at the beginning of `text`. `complete` says that nothing follows `text`.
pub(crate) fn scan(text: &[u8], complete: bool) -> Scan {
    let Some(&first) = text.first() else {
        return Scan::More;
    };
    let input = Input { text, complete };
    match first {
        byte if is_space(byte) => input.run(Kind::Space, is_space),
        b'e' | b'E' => input.word_or_escape_string(),
        byte if is_identifier_start(byte) => input.run(Kind::Word, is_identifier_part),
        b'0'..=b'9' => input.run(Kind::Number, |byte| byte.is_ascii_digit()),
        b'\'' => input.quoted(b'\'', Kind::String, Unterminated::String),
        b'"' => input.quoted(b'"', Kind::QuotedIdentifier, Unterminated::Identifier),
        b'$' => input.dollar(),
        b'-' => input.pair(b'-', Input::line_comment),
        b'/' => input.pair(b'*', Input::block_comment),
        b';' => single(Kind::Semicolon),
        b'(' => single(Kind::Open),
        b')' => single(Kind::Close),
        b'.' => single(Kind::Dot),
        b',' => single(Kind::Comma),
        b'\\' => single(Kind::Backslash),
        _ => single(Kind::Other),
    }
}

fn single(kind: Kind) -> Scan {
    Scan::Token { kind, len: 1 }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B | 0x0C)
}

fn is_identifier_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_identifier_part(byte: u8) -> bool {
    is_tag_part(byte) || byte == b'$'
}

/// Unlike an identifier, the tag of a dollar-quoted string contains no `$`.
fn is_tag_part(byte: u8) -> bool {
    is_identifier_start(byte) || byte.is_ascii_digit()
}

#[derive(Clone, Copy)]
struct Input<'a> {
    text: &'a [u8],
    complete: bool,
}

impl Input<'_> {
    fn from(&self, at: usize) -> &[u8] {
        self.text.get(at..).unwrap_or_default()
    }

    /// A token that ends before the first byte at or after `from` that does not belong to it.
    fn run_from(&self, from: usize, kind: Kind, belongs: impl Fn(u8) -> bool) -> Scan {
        match self.from(from).iter().position(|byte| !belongs(*byte)) {
            Some(len) => Scan::Token { kind, len: from + len },
            None if self.complete => Scan::Token { kind, len: self.text.len() },
            None => Scan::More,
        }
    }

    fn run(&self, kind: Kind, belongs: impl Fn(u8) -> bool) -> Scan {
        self.run_from(1, kind, belongs)
    }

    fn end_missing(&self, what: Unterminated) -> Scan {
        if self.complete { Scan::Unterminated(what) } else { Scan::More }
    }

    /// The first byte alone, or what `scan` finds if it is followed by `second`.
    fn pair(self, second: u8, scan: impl Fn(Self) -> Scan) -> Scan {
        match self.text.get(1) {
            Some(&byte) if byte == second => scan(self),
            None if !self.complete => Scan::More,
            _ => single(Kind::Other),
        }
    }

    /// PostgreSQL ends a `--` comment at a carriage return too.
    fn line_comment(self) -> Scan {
        match memchr2(b'\n', b'\r', self.text) {
            Some(len) => Scan::Token { kind: Kind::LineComment, len },
            None if self.complete => Scan::Token { kind: Kind::LineComment, len: self.text.len() },
            None => Scan::More,
        }
    }

    fn block_comment(self) -> Scan {
        let mut depth = 1_usize;
        let mut at = 2;
        while let Some(found) = memchr2(b'*', b'/', self.from(at)) {
            at += found;
            match self.from(at) {
                [b'/', b'*', ..] => depth += 1,
                [b'*', b'/', ..] => depth -= 1,
                _ => {
                    at += 1;
                    continue;
                }
            }
            at += 2;
            if depth == 0 {
                return Scan::Token { kind: Kind::BlockComment, len: at };
            }
        }
        self.end_missing(Unterminated::Comment)
    }

    /// A token in quotes, where only the doubled quote is special.
    fn quoted(self, quote: u8, kind: Kind, what: Unterminated) -> Scan {
        let mut at = 1;
        while let Some(found) = memchr(quote, self.from(at)) {
            at += found + 1;
            match self.text.get(at) {
                Some(&next) if next == quote => at += 1,
                None if !self.complete => return Scan::More,
                _ => return Scan::Token { kind, len: at },
            }
        }
        self.end_missing(what)
    }

    fn word_or_escape_string(self) -> Scan {
        match self.text.get(1) {
            Some(b'\'') => self.escape_string(2),
            _ => self.run(Kind::Word, is_identifier_part),
        }
    }

    /// `E'…'`, `at` being after the opening quote. Backslashes also escape in a part that continues it on another
    /// line, so those parts belong to the token.
    fn escape_string(self, mut at: usize) -> Scan {
        while let Some(found) = memchr2(b'\'', b'\\', self.from(at)) {
            at += found;
            match self.from(at) {
                [b'\\', _, ..] | [b'\'', b'\'', ..] => at += 2,
                [b'\'', rest @ ..] if !rest.is_empty() || self.complete => {
                    match (Input { text: rest, complete: self.complete }).continuation() {
                        Continuation::At(next) => at += 1 + next,
                        Continuation::None => {
                            return Scan::Token { kind: Kind::String, len: at + 1 };
                        }
                        Continuation::More => return Scan::More,
                    }
                }
                _ => break,
            }
        }
        self.end_missing(Unterminated::String)
    }

    /// Looks for the opening quote of a part that continues a string: after white space and `--` comments with at
    /// least one line end between. The answer is the offset after that quote.
    fn continuation(&self) -> Continuation {
        let mut at = 0;
        let mut line_ended = false;
        loop {
            match self.from(at) {
                [b'\'', ..] if line_ended => return Continuation::At(at + 1),
                [byte, ..] if is_space(*byte) => {
                    line_ended |= matches!(byte, b'\n' | b'\r');
                    at += 1;
                }
                [b'-', b'-', ..] => match memchr2(b'\n', b'\r', self.from(at)) {
                    Some(len) => at += len,
                    None => return self.no_continuation(),
                },
                [] | [b'-'] => return self.no_continuation(),
                _ => return Continuation::None,
            }
        }
    }

    fn no_continuation(&self) -> Continuation {
        if self.complete { Continuation::None } else { Continuation::More }
    }

    /// A dollar-quoted string, a parameter (`$1`) or a lone `$`.
    fn dollar(self) -> Scan {
        let rest = self.from(1);
        if rest.first().is_some_and(u8::is_ascii_digit) {
            return self.run(Kind::Number, |byte| byte.is_ascii_digit());
        }
        let Some(tag) = rest.iter().position(|byte| !is_tag_part(*byte)) else {
            return if self.complete { single(Kind::Other) } else { Scan::More };
        };
        if rest.get(tag) != Some(&b'$') {
            return single(Kind::Other);
        }
        let opening = tag + 2;
        let delimiter = self.text.get(..opening).unwrap_or_default();
        match memmem::find(self.from(opening), delimiter) {
            Some(body) => Scan::Token { kind: Kind::String, len: opening + body + opening },
            None => self.end_missing(Unterminated::DollarString),
        }
    }
}

enum Continuation {
    At(usize),
    None,
    More,
}
