//! A migration file taken apart: its items, and what each statement says by itself. Most of the work of an analysis, and
//! none of it depends on other files, so that [`Ahead`](super::ahead::Ahead) can have it done by other threads.

use std::io;
use std::sync::Arc;

use cutover_analysis::effects::{Prepared, Spent};
use cutover_analysis::sql::{Directive, Item, SplitError, Splitter, without_comments};

use crate::migration::Migration;
use crate::source::{self, Opened, Passed, Vars};

/// So many bytes are enough to tell what a statement is.
const FIRST_WORDS: usize = 200;

/// Larger files are read while they are analysed: 64 KiB.
pub(super) const SMALL: u64 = 64 << 10;

/// Whether the texts of small files are kept for their apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Texts {
    /// They are: each file is read once.
    Kept,
    /// They are, and what each statement locks and works on is remembered: for a plan that is kept.
    Listed,
    /// They are not: nobody will apply them.
    Dropped,
    /// They are, while the file is looked at; and nobody asks what its statements would be to a session.
    Looked,
}

/// One item of a file, with what its text says by itself where it is a statement.
pub(super) type Piece = Result<(Item, Option<Facts>), SplitError>;

/// What the text of a statement says whatever is known of the database.
pub(super) struct Facts {
    pub(super) prepared: Prepared,
    /// See [`first_words`].
    pub(super) words: String,
    /// See [`leaves_nothing`].
    pub(super) leaves_nothing: bool,
}

impl Facts {
    fn of(text: &str, texts: Texts) -> Self {
        if texts == Texts::Looked {
            return Self { prepared: Prepared::of(text), words: String::new(), leaves_nothing: false };
        }
        let words = first_words(text);
        let leaves_nothing = leaves_nothing(&words, text);
        Self { prepared: Prepared::of(text), words, leaves_nothing }
    }
}

/// The items of a file, as they are read.
pub(super) struct Reading {
    pieces: Pieces,
    passed: Option<Passed>,
    spent: Vec<Spent>,
    texts: Texts,
    /// The text of a small file that is looked at, where it is sent as the file has it.
    text: Option<Arc<str>>,
}

enum Pieces {
    /// One by one: the file may be of any size.
    Streamed(Splitter<Box<dyn io::Read + Send>>),
    /// All of them, and the directives behind the last one.
    Ready(std::vec::IntoIter<Piece>, Vec<Directive>),
}

impl Reading {
    /// Opens a file to be read while it is analysed.
    pub(super) fn open(migration: &Migration, vars: &Vars, texts: Texts) -> io::Result<Self> {
        if texts == Texts::Looked
            && migration.checksums.bytes <= SMALL
            && let Some(reading) = Self::of_text(migration, texts)
        {
            return Ok(reading);
        }
        let (reader, passed) = match texts {
            Texts::Kept | Texts::Listed => {
                let Opened { reader, passed, .. } = source::open(migration, vars)?;
                (reader, Some(passed))
            }
            Texts::Dropped | Texts::Looked => (source::open_for_looking(migration, vars)?, None),
        };
        let pieces = Pieces::Streamed(Splitter::new(reader));
        Ok(Self { pieces, passed, spent: Vec::new(), texts, text: None })
    }

    /// The same from a text that is kept at hand; none where what is sent is not what the file has.
    fn of_text(migration: &Migration, texts: Texts) -> Option<Self> {
        let text: Arc<str> = source::as_it_is(migration).ok()??.into();
        let reader: Box<dyn io::Read + Send> = Box::new(io::Cursor::new(Shared(Arc::clone(&text))));
        let pieces = Pieces::Streamed(Splitter::new(reader));
        Some(Self { pieces, passed: None, spent: Vec::new(), texts, text: Some(text) })
    }

    /// Reads all of a file now.
    pub(super) fn ready(migration: &Migration, vars: &Vars, texts: Texts) -> io::Result<Self> {
        let mut reading = Self::open(migration, vars, texts)?;
        let pieces: Vec<Piece> = reading.by_ref().collect();
        let trailing = reading.trailing_directives();
        Ok(Self { pieces: Pieces::Ready(pieces.into_iter(), trailing), ..reading })
    }

    /// The directives behind the last statement. Meaningful once all items were read.
    pub(super) fn trailing_directives(&self) -> Vec<Directive> {
        match &self.pieces {
            Pieces::Streamed(splitter) => splitter.trailing_directives().to_vec(),
            Pieces::Ready(_, trailing) => trailing.clone(),
        }
    }

    /// The text of the file, where it was kept and is sent so.
    pub(super) fn text(&self) -> Option<Arc<str>> {
        self.text.clone()
    }

    /// Keeps what is left of a statement for whoever read it ahead.
    pub(super) fn give_back(&mut self, spent: Spent) {
        if matches!(self.pieces, Pieces::Ready(..)) {
            self.spent.push(spent);
        }
    }

    /// What was given back.
    pub(super) fn into_spent(self) -> Vec<Spent> {
        self.spent
    }

    /// What was read, where it is kept.
    pub(super) fn passed(&self) -> Option<Passed> {
        self.passed.clone()
    }
}

/// A text as bytes to read from.
struct Shared(Arc<str>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Iterator for Reading {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let texts = self.texts;
        match &mut self.pieces {
            Pieces::Streamed(splitter) => Some(splitter.next()?.map(|item| {
                let facts = match &item {
                    Item::Statement(statement) => Some(Facts::of(&statement.text, texts)),
                    _ => None,
                };
                (item, facts)
            })),
            Pieces::Ready(pieces, _) => pieces.next(),
        }
    }
}

/// The beginning of a statement in upper case, without comments and with single blanks: enough to tell what it is.
pub(super) fn first_words(text: &str) -> String {
    let plain = without_comments(text, FIRST_WORDS);
    let mut words = String::with_capacity(plain.len());
    for word in plain.split_ascii_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    words.make_ascii_uppercase();
    words
}

/// Statements that run no code of anybody's and leave nothing in the session. Whatever else a file holds (queries may
/// reach functions through views, operators and domains), the session is washed after it.
fn leaves_nothing(words: &str, text: &str) -> bool {
    const PLAIN: [&str; 7] = [
        "CREATE TABLE ",
        "CREATE INDEX ",
        "CREATE UNIQUE INDEX ",
        "CREATE SCHEMA ",
        "CREATE SEQUENCE ",
        "CREATE TYPE ",
        "COMMENT ON ",
    ];
    const QUERY: [&str; 5] = ["SELECT", "EXECUTE", "AS TABLE", "AS VALUES", "AS WITH"];
    if !PLAIN.iter().any(|start| words.starts_with(start)) {
        return false;
    }
    let all = without_comments(text, usize::MAX).to_ascii_uppercase();
    !QUERY.iter().any(|word| all.contains(word))
}
