//! Splits a stream of SQL text into statements, COPY data and psql commands.
//!
//! Holds one statement (or one chunk of COPY data) at a time. It decides where statements end and nothing else:
//! whether they are right is for the parser.

use std::io::Read;

use memchr::memchr;

use super::directive::directive_of;
use super::item::{Directive, Item, Place, Span, SplitError, Statement, Unterminated};
use super::lexer::{self, Kind, Scan};
use super::progress::Progress;

/// How much is asked of the reader at a time, and the most COPY data that is handed out at once.
const CHUNK: usize = 64 * 1024;

/// A longer statement is not copied out of what was read: 1 MiB.
const LARGE: usize = 1024 * 1024;

/// An iterator over the items of a SQL file.
///
/// The reader gives normalised text: UTF-8, `\n` line ends, no byte order mark. After an error or the end the
/// iterator gives nothing more.
#[derive(Debug)]
pub struct Splitter<R> {
    source: Source<R>,
    /// The place of the first byte of `source`'s text.
    place: Place,
    directives: Vec<Directive>,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Sql,
    /// After the `;` of a COPY statement, before the end of its line.
    CopyLineEnd,
    CopyData {
        /// Where the data began.
        from: Place,
        /// The last chunk ended inside a line.
        in_line: bool,
    },
    Done,
}

/// The text that was read and not handed out yet.
#[derive(Debug)]
struct Source<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    complete: bool,
}

impl<R: Read> Source<R> {
    fn text(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn skip(&mut self, len: usize) {
        self.start = (self.start + len).min(self.buffer.len());
    }

    /// Takes the first `len` bytes out of the text. Where they are many, as they lie: a copy would be as large again.
    fn take(&mut self, len: usize) -> Vec<u8> {
        if len < LARGE {
            let taken = self.text().get(..len).unwrap_or_default().to_vec();
            self.skip(len);
            return taken;
        }
        let rest = self.buffer.split_off((self.start + len).min(self.buffer.len()));
        let mut taken = std::mem::replace(&mut self.buffer, rest);
        taken.drain(..self.start);
        self.start = 0;
        taken
    }

    /// Reads at least `wanted` more bytes, fewer only at the end of the file.
    fn read_more(&mut self, wanted: usize) -> Result<(), SplitError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.len() < CHUNK {
            // A long statement before must not hold its memory for the rest of the file.
            self.buffer.shrink_to(16 * CHUNK);
        }
        let wanted = u64::try_from(wanted.max(CHUNK)).unwrap_or(u64::MAX);
        let read = (&mut self.reader).take(wanted).read_to_end(&mut self.buffer)?;
        self.complete = u64::try_from(read).is_ok_and(|read| read < wanted);
        Ok(())
    }
}

impl<R: Read> Splitter<R> {
    /// Splits what `reader` gives.
    pub fn new(reader: R) -> Self {
        let source = Source { reader, buffer: Vec::new(), start: 0, complete: false };
        Self { source, place: Place::START, directives: Vec::new(), mode: Mode::Sql }
    }

    /// The directives in comments after the last statement: they belong to nothing, which deserves a warning.
    /// Meaningful once the iterator has ended.
    pub fn trailing_directives(&self) -> &[Directive] {
        &self.directives
    }

    /// Offset in bytes of the text behind the last item. A chunk of COPY data ends exactly here.
    pub fn offset(&self) -> usize {
        self.place.offset
    }

    /// Where the COPY data at hand began: known from its first chunk to its end.
    pub fn copy_data_began(&self) -> Option<Place> {
        match self.mode {
            Mode::CopyData { from, .. } => Some(from),
            _ => None,
        }
    }

    fn next_item(&mut self) -> Result<Option<Item>, SplitError> {
        loop {
            match self.mode {
                Mode::Sql => return self.next_in_sql(),
                Mode::CopyLineEnd => self.end_copy_line()?,
                Mode::CopyData { from, in_line } => return self.next_in_copy(from, in_line).map(Some),
                Mode::Done => return Ok(None),
            }
        }
    }

    /// Leaves the first `len` bytes of the text behind.
    fn skip(&mut self, len: usize) {
        self.place = self.place.after(self.source.text().get(..len).unwrap_or_default());
        self.source.skip(len);
    }

    fn place_at(&self, offset: usize) -> Place {
        self.place.after(self.source.text().get(..offset).unwrap_or_default())
    }

    /// The token at `offset` of the text; none at the end of the file.
    fn token(&mut self, offset: usize) -> Result<Option<(Kind, usize)>, SplitError> {
        loop {
            let rest = self.source.text().get(offset..).unwrap_or_default();
            match lexer::scan(rest, self.source.complete) {
                Scan::Token { kind, len } => return Ok(Some((kind, len))),
                Scan::Unterminated(what) => {
                    return Err(SplitError::Unterminated { what, at: self.place_at(offset) });
                }
                Scan::More if self.source.complete => return Ok(None),
                // As much again as the token has already: scanning it from its beginning each time stays linear.
                Scan::More => {
                    let wanted = rest.len();
                    self.source.read_more(wanted)?;
                }
            }
        }
    }

    fn next_in_sql(&mut self) -> Result<Option<Item>, SplitError> {
        let mut progress = Progress::default();
        let mut at = 0;
        while let Some((kind, len)) = self.token(at)? {
            let started = progress.tokens().is_some();
            match kind {
                Kind::LineComment | Kind::BlockComment => {
                    self.note_directive(at, len);
                }
                Kind::Space => {}
                Kind::Semicolon if !started => {}
                Kind::Semicolon if progress.is_ended_by_semicolon() => {
                    let end = self.behind(&progress, at + len)?;
                    return self.statement(&progress, end).map(Some);
                }
                Kind::Backslash if !started => {
                    if let Some(command) = self.psql_command(at)? {
                        return Ok(Some(command));
                    }
                    at = 0;
                    continue;
                }
                _ => {
                    let text = self.source.text().get(at..at + len).unwrap_or_default();
                    progress.take(kind, at, text);
                }
            }
            at += len;
            if progress.tokens().is_none() {
                self.skip(at);
                at = 0;
            }
        }
        if progress.tokens().is_some() {
            return self.statement(&progress, at).map(Some);
        }
        self.mode = Mode::Done;
        Ok(None)
    }

    /// Where a statement ends whose `;` ends at `at`: a directive behind it on its line is its own.
    fn behind(&mut self, progress: &Progress, at: usize) -> Result<usize, SplitError> {
        // What is behind that on its line is looked at by whoever reads the data.
        if progress.is_copy_from_stdin() {
            return Ok(at);
        }
        let mut end = at;
        loop {
            match self.source.text().get(end) {
                Some(b' ' | b'\t') => end += 1,
                None if !self.source.complete => self.source.read_more(1)?,
                Some(b'-' | b'/') => break,
                _ => return Ok(at),
            }
        }
        let Ok(Some((kind, len))) = self.token(end) else { return Ok(at) };
        let is_comment = matches!(kind, Kind::LineComment | Kind::BlockComment);
        if is_comment && self.note_directive(end, len) { Ok(end + len) } else { Ok(at) }
    }

    /// Keeps the directive that a comment is; says whether it is one.
    fn note_directive(&mut self, at: usize, len: usize) -> bool {
        let comment = self.source.text().get(at..at + len).unwrap_or_default();
        let Some((name, argument)) = directive_of(comment) else { return false };
        let line = self.place_at(at).line;
        self.directives.push(Directive { name, argument, line });
        true
    }

    /// Hands out the statement; the text goes on `end` bytes from here.
    fn statement(&mut self, progress: &Progress, end: usize) -> Result<Item, SplitError> {
        let (first, last) = progress.tokens().unwrap_or_default();
        self.skip(first);
        let start = self.place;
        let text = match String::from_utf8(self.source.take(last - first)) {
            Ok(text) => text,
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let valid = error.as_bytes().get(..valid).unwrap_or_default();
                return Err(SplitError::InvalidUtf8 { at: start.after(valid) });
            }
        };
        let span = Span { start: start.offset, end: start.offset + text.len() };
        self.place = start.after(text.as_bytes());
        self.skip(end - last);
        if progress.is_copy_from_stdin() {
            self.mode = Mode::CopyLineEnd;
        }
        let directives = std::mem::take(&mut self.directives);
        Ok(Item::Statement(Statement { text, span, line: start.line, column: start.column, directives }))
    }

    /// The backslash command `at` bytes from here, to the end of its line; none if it is one without effect.
    fn psql_command(&mut self, at: usize) -> Result<Option<Item>, SplitError> {
        self.skip(at);
        let len = self.line(0)?.len;
        let text = String::from_utf8_lossy(self.source.text().get(..len).unwrap_or_default());
        let text = text.trim_end().to_owned();
        let Place { line, column, .. } = self.place;
        self.skip(len);
        let name = text.split_whitespace().next().unwrap_or_default();
        if matches!(name, "\\restrict" | "\\unrestrict") {
            return Ok(None);
        }
        Ok(Some(Item::PsqlCommand { text, line, column }))
    }

    /// The line `offset` bytes from here.
    fn line(&mut self, offset: usize) -> Result<Line, SplitError> {
        loop {
            let rest = self.source.text().get(offset..).unwrap_or_default();
            match memchr(b'\n', rest) {
                Some(len) => return Ok(Line { len, ended: true }),
                None if self.source.complete => {
                    return Ok(Line { len: rest.len(), ended: false });
                }
                None => {
                    let wanted = rest.len();
                    self.source.read_more(wanted)?;
                }
            }
        }
    }

    /// Only space and a `--` comment may stand between a COPY statement and its data.
    fn end_copy_line(&mut self) -> Result<(), SplitError> {
        let Line { len, ended } = self.line(0)?;
        let rest = self.source.text().get(..len).unwrap_or_default();
        let text = rest.iter().position(|byte| !byte.is_ascii_whitespace());
        if let Some(at) = text.filter(|at| !rest.get(*at..).unwrap_or_default().starts_with(b"--")) {
            return Err(SplitError::TextAfterCopy { at: self.place_at(at) });
        }
        self.skip(len + usize::from(ended));
        self.mode = Mode::CopyData { from: self.place, in_line: false };
        Ok(())
    }

    /// The next chunk of COPY data, or its end.
    fn next_in_copy(&mut self, from: Place, in_line: bool) -> Result<Item, SplitError> {
        // Two more bytes than a chunk: enough to tell a last line `\.` and its line end.
        if self.source.text().len() < CHUNK + 4 && !self.source.complete {
            self.source.read_more(CHUNK + 4)?;
        }
        let text = self.source.text();
        let data = CopyLines { text, complete: self.source.complete }.take(in_line);
        match data {
            CopyPart::End { len } => {
                self.skip(len);
                self.mode = Mode::Sql;
                Ok(Item::CopyEnd)
            }
            CopyPart::Data { len } => {
                let chunk = text.get(..len).unwrap_or_default().to_vec();
                self.mode = Mode::CopyData { from, in_line: chunk.last() != Some(&b'\n') };
                self.skip(len);
                Ok(Item::CopyData(chunk))
            }
            CopyPart::Missing => Err(SplitError::Unterminated { what: Unterminated::CopyData, at: from }),
        }
    }
}

struct Line {
    len: usize,
    ended: bool,
}

enum CopyPart {
    Data { len: usize },
    End { len: usize },
    Missing,
}

struct CopyLines<'a> {
    text: &'a [u8],
    complete: bool,
}

impl CopyLines<'_> {
    /// As many whole lines as fit into a chunk, or a part of one that does not fit.
    fn take(&self, in_line: bool) -> CopyPart {
        let mut at = 0;
        let mut at_line_start = !in_line;
        while at < self.text.len() {
            let rest = self.text.get(at..).unwrap_or_default();
            if at_line_start && let Some(len) = self.end_marker(rest) {
                return if at > 0 { CopyPart::Data { len: at } } else { CopyPart::End { len } };
            }
            let line = memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
            if at + line > CHUNK {
                return CopyPart::Data { len: if at > 0 { at } else { CHUNK } };
            }
            at += line;
            at_line_start = true;
        }
        if at > 0 { CopyPart::Data { len: at } } else { CopyPart::Missing }
    }

    /// The length of a line that only says `\.`.
    fn end_marker(&self, rest: &[u8]) -> Option<usize> {
        match rest {
            [b'\\', b'.', b'\n', ..] => Some(3),
            [b'\\', b'.', b'\r', b'\n', ..] => Some(4),
            [b'\\', b'.'] | [b'\\', b'.', b'\r'] if self.complete => Some(rest.len()),
            _ => None,
        }
    }
}

impl<R: Read> Iterator for Splitter<R> {
    type Item = Result<Item, SplitError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_item();
        if item.is_err() {
            self.mode = Mode::Done;
        }
        item.transpose()
    }
}
