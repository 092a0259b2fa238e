//! How far a statement has been read, and whether a `;` would end it.

use super::lexer::Kind;

/// The beginning of a statement, as far as it decides how the rest is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Head {
    #[default]
    Empty,
    Create,
    CreateOr,
    CreateOrReplace,
    /// `CREATE FUNCTION` or `CREATE PROCEDURE`: the body may be `BEGIN ATOMIC … END`.
    Routine,
    Copy,
    Plain,
}

/// The token before, as far as it changes the meaning of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Previous {
    #[default]
    Any,
    Begin,
    From,
    /// `.` or `AS`: any keyword after it is a name.
    NameFollows,
}

#[derive(Debug, Default)]
pub(crate) struct Progress {
    head: Head,
    previous: Previous,
    parentheses: usize,
    /// Open `BEGIN ATOMIC` and, inside it, open `CASE`.
    blocks: usize,
    copy_from_stdin: bool,
    /// Offsets of the first and after the last token, from the beginning of the text not yet handed out.
    tokens: Option<(usize, usize)>,
}

impl Progress {
    pub(crate) fn tokens(&self) -> Option<(usize, usize)> {
        self.tokens
    }

    pub(crate) fn is_ended_by_semicolon(&self) -> bool {
        self.parentheses == 0 && self.blocks == 0
    }

    pub(crate) fn is_copy_from_stdin(&self) -> bool {
        self.copy_from_stdin
    }

    /// Takes the next token that is neither space nor comment.
    pub(crate) fn take(&mut self, kind: Kind, at: usize, text: &[u8]) {
        let (first, _) = self.tokens.unwrap_or((at, at));
        self.tokens = Some((first, at + text.len()));
        match kind {
            Kind::Open => self.parentheses += 1,
            Kind::Close => self.parentheses = self.parentheses.saturating_sub(1),
            _ => {}
        }
        self.previous = match self.head {
            Head::Plain => return,
            Head::Routine => self.take_in_routine(kind, text),
            Head::Copy => self.take_in_copy(kind, text),
            head => {
                self.head = head.next(kind, text);
                Previous::Any
            }
        };
    }

    fn take_in_routine(&mut self, kind: Kind, text: &[u8]) -> Previous {
        match kind {
            Kind::Dot => return Previous::NameFollows,
            Kind::Word if self.previous != Previous::NameFollows && self.parentheses == 0 => {}
            _ => return Previous::Any,
        }
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        if is("begin") {
            return Previous::Begin;
        } else if is("as") {
            return Previous::NameFollows;
        } else if is("atomic") && self.previous == Previous::Begin || self.blocks > 0 && is("case") {
            self.blocks += 1;
        } else if is("end") {
            self.blocks = self.blocks.saturating_sub(1);
        }
        Previous::Any
    }

    fn take_in_copy(&mut self, kind: Kind, text: &[u8]) -> Previous {
        if kind != Kind::Word || self.parentheses > 0 {
            return Previous::Any;
        }
        if text.eq_ignore_ascii_case(b"from") {
            return Previous::From;
        }
        if self.previous == Previous::From {
            self.copy_from_stdin |= text.eq_ignore_ascii_case(b"stdin");
        }
        Previous::Any
    }
}

impl Head {
    fn next(self, kind: Kind, text: &[u8]) -> Self {
        if kind != Kind::Word {
            return Self::Plain;
        }
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        match self {
            Self::Empty if is("copy") => Self::Copy,
            Self::Empty if is("create") => Self::Create,
            Self::Create if is("or") => Self::CreateOr,
            Self::CreateOr if is("replace") => Self::CreateOrReplace,
            Self::Create | Self::CreateOrReplace if is("function") || is("procedure") => Self::Routine,
            _ => Self::Plain,
        }
    }
}
