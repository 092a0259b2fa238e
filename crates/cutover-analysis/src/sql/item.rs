//! The values a split file consists of. No scanning happens here.

use std::fmt;

/// A range of bytes in the normalised text of a file; `end` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

/// An instruction to the tool, written in a comment: `-- cutover: name argument`, or the same in `/* */`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Directive {
    /// The first word after `cutover:`.
    pub name: String,
    /// The rest of the comment, trimmed; may be empty.
    pub argument: String,
    /// Line of the comment, from 1.
    pub line: u32,
}

/// One SQL statement of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// From the first byte of the first token to the last byte of the last one, without the closing `;`.
    pub text: String,
    /// Where `text` stands in the file.
    pub span: Span,
    /// Line of the first token, from 1.
    pub line: u32,
    /// Column of the first token in characters, from 1.
    pub column: u32,
    /// The directives in comments before or inside the statement, and behind its `;` on its line; in order.
    pub directives: Vec<Directive>,
}

/// What a file consists of, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A statement. If it is `COPY … FROM STDIN`, its data follows as [`Item::CopyData`] and [`Item::CopyEnd`].
    Statement(Statement),
    /// At most 64 KiB of the data of the `COPY` statement before; ends at a line end wherever a line is shorter
    /// than that.
    CopyData(Vec<u8>),
    /// The `\.` line after the data of a `COPY` statement.
    CopyEnd,
    /// A backslash command of psql at the beginning of a statement. `\restrict` and `\unrestrict` are left out.
    PsqlCommand {
        /// The command to the end of its line.
        text: String,
        /// Line of the backslash, from 1.
        line: u32,
        /// Column of the backslash in characters, from 1.
        column: u32,
    },
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Offset in bytes.
    pub offset: usize,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Place {
    pub(crate) const START: Self = Self { offset: 0, line: 1, column: 1 };

    /// The place after `text`, if `text` begins here.
    pub(crate) fn after(mut self, text: &[u8]) -> Self {
        self.offset += text.len();
        let last_line = match memchr::memrchr(b'\n', text) {
            Some(newline) => {
                let lines = memchr::memchr_iter(b'\n', text).count();
                self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
                self.column = 1;
                text.get(newline + 1..).unwrap_or_default()
            }
            None => text,
        };
        let characters = last_line.iter().filter(|byte| !is_utf8_continuation(**byte)).count();
        self.column = self.column.saturating_add(u32::try_from(characters).unwrap_or(u32::MAX));
        self
    }
}

fn is_utf8_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What was opened and never closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unterminated {
    /// `'…`, also with a prefix.
    String,
    /// `"…`
    Identifier,
    /// `$tag$…`
    DollarString,
    /// `/* …`
    Comment,
    /// The data of a `COPY … FROM STDIN` without the `\.` line.
    CopyData,
}

impl fmt::Display for Unterminated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "a string that is not terminated",
            Self::Identifier => "a quoted identifier that is not terminated",
            Self::DollarString => "a dollar-quoted string that is not terminated",
            Self::Comment => "a comment that is not terminated",
            Self::CopyData => "COPY data without the closing line \\.",
        })
    }
}

/// Why a file cannot be split.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The reader failed.
    #[error("cannot read the SQL text: {0}")]
    Read(#[from] std::io::Error),
    /// The file ends inside something; the place is where that begins.
    #[error("{what}, begun at {at}")]
    Unterminated {
        /// What is open.
        what: Unterminated,
        /// Where it was opened; for COPY data its first line.
        at: Place,
    },
    /// Something other than a comment follows `COPY … FROM STDIN;` on its line.
    #[error("text after COPY … FROM STDIN on the same line ({at}): the data begins on the next line")]
    TextAfterCopy {
        /// Where that text begins.
        at: Place,
    },
    /// A statement that is not UTF-8.
    #[error("invalid UTF-8 at {at}")]
    InvalidUtf8 {
        /// The first wrong byte.
        at: Place,
    },
}

impl SplitError {
    /// Where in the file the error is; none if reading failed.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Read(_) => None,
            Self::Unterminated { at, .. } | Self::TextAfterCopy { at } | Self::InvalidUtf8 { at } => {
                Some(*at)
            }
        }
    }
}
