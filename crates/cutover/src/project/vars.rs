//! Placeholders: `${name}` in a migration's text stands for a value of `[vars]`.
//!
//! A name is a letter or `_`, then letters, digits, `_`, `.` and `-`; before it may stand `flyway:`, as in the placeholders that
//! Flyway itself has values for and cutover has none. Placeholders count everywhere in the file, also
//! in strings and comments, and the value is put in as it is: nothing is quoted. `$${name}` stands for the text
//! `${name}`. Anything else with a dollar sign is left alone, so `$$`, `$body$`, `$1` and `${"a": 1}` need no care;
//! nor does the dollar-quoted text `$${a}$$`. `${cutover.dollar}` is a dollar sign in every project. Checksums are taken before the replacement.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::problem::{Place, Problem};
use crate::secrets::is_hidden;

/// Values of placeholders, by name. Cheap to clone. `Debug` shows the names alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Vars(Arc<BTreeMap<String, Value>>);

#[derive(Clone, PartialEq, Eq)]
struct Value {
    text: String,
    /// It is not from a file of the project, which everybody may read.
    from_outside: bool,
}

impl fmt::Debug for Vars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a placeholder cannot be defined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VarError {
    /// The name could not be written in a file.
    #[error("{0:?} cannot be a placeholder's name: a letter or _, then letters, digits, _, . and -")]
    Name(String),
    /// PostgreSQL text cannot hold NUL.
    #[error("the value of {0:?} contains a NUL character")]
    Nul(String),
}

/// A placeholder that every project has: the dollar sign, for texts such as `$${name}` that cannot be written otherwise.
const DOLLAR: &str = "cutover.dollar";
const DOLLAR_WRITTEN: &str = "${cutover.dollar}";

/// The longest name of a placeholder, in bytes.
const LONGEST_NAME: usize = 128;

impl Vars {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Defines a placeholder, or changes its value.
    ///
    /// # Errors
    /// The name or the value is unacceptable.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<(), VarError> {
        self.define(name.into(), value.into(), false)
    }

    /// As [`insert`](Self::insert), for a value that may be a secret: from a flag, the environment, a store of secrets.
    /// It is starred wherever a statement or a message would show it, see [`crate::secrets`].
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub fn insert_hidden(
        &mut self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<(), VarError> {
        self.define(name.into(), value.into(), true)
    }

    fn define(&mut self, name: String, text: String, from_outside: bool) -> Result<(), VarError> {
        if !is_name(name.as_bytes()) {
            return Err(VarError::Name(name));
        }
        if text.contains('\0') {
            return Err(VarError::Nul(name));
        }
        Arc::make_mut(&mut self.0).insert(name, Value { text, from_outside });
        Ok(())
    }

    /// The value of a placeholder.
    pub fn get(&self, name: &str) -> Option<&str> {
        if name == DOLLAR {
            return Some("$");
        }
        self.0.get(name).map(|value| value.text.as_str())
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.text.as_str()))
    }

    /// Names and values of those that are not to be shown, sorted by name.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = (&str, &str)> {
        let hidden = |(name, value): &(&String, &Value)| is_hidden(name, &value.text, value.from_outside);
        self.0.iter().filter(hidden).map(|(name, value)| (name.as_str(), value.text.as_str()))
    }
}

/// What the placeholders begin with that Flyway has values for.
const OF_FLYWAY: &[u8] = b"flyway:";

fn is_name(name: &[u8]) -> bool {
    let own = name.strip_prefix(OF_FLYWAY).unwrap_or(name);
    let first = own.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    first && name.len() <= LONGEST_NAME && own.iter().all(|byte| is_name_byte(*byte))
}

/// How many bytes a text begins with that may be those of a name.
fn name_length(text: &[u8]) -> usize {
    let skipped = if text.starts_with(OF_FLYWAY) { OF_FLYWAY.len() } else { 0 };
    skipped + text[skipped..].iter().take_while(|byte| is_name_byte(**byte)).count()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// What stands at a dollar sign.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// So many bytes without a meaning of ours.
    Plain(usize),
    /// Dollar signs to keep, then `${name}` with the name at this range.
    Placeholder { keep: usize, name: Range<usize> },
    /// Dollar signs to keep, one to drop, then `{name}` up to this length.
    Escaped { keep: usize, length: usize },
    /// The text ends before it is clear.
    Unclear,
}

/// More dollar signs than this in a row are passed on in pieces; even, so that pairs stay pairs.
const LONGEST_RUN: usize = 1024;

/// Reads the token at the start of `text`, which begins with a dollar sign.
fn token(text: &[u8], complete: bool) -> Token {
    let dollars = text.iter().take_while(|byte| **byte == b'$').count();
    if dollars > LONGEST_RUN {
        return Token::Plain(LONGEST_RUN);
    }
    let unclear = |plain: usize| if complete { Token::Plain(plain) } else { Token::Unclear };
    match text.get(dollars) {
        None => return unclear(dollars),
        Some(b'{') => {}
        Some(_) => return Token::Plain(dollars),
    }
    let start = dollars + 1;
    let length = name_length(&text[start..text.len().min(start + LONGEST_NAME + 1)]);
    let end = start + length;
    match text.get(end) {
        None if length <= LONGEST_NAME => return unclear(dollars),
        Some(b'}') if is_name(&text[start..end]) => {}
        _ => return Token::Plain(dollars),
    }
    if dollars % 2 == 1 {
        return Token::Placeholder { keep: dollars - 1, name: start..end };
    }
    match text.get(end + 1..end + 3) {
        // A dollar-quoted `{name}`, most likely an array.
        Some(b"$$") => Token::Plain(end + 1),
        Some(_) => Token::Escaped { keep: dollars - 2, length: end + 1 },
        None if complete => Token::Escaped { keep: dollars - 2, length: end + 1 },
        None => Token::Unclear,
    }
}

fn value<'v>(vars: &'v Vars, text: &[u8], name: &Range<usize>) -> Option<&'v str> {
    vars.get(std::str::from_utf8(text.get(name.clone())?).ok()?)
}

/// A placeholder without a value. Reading fails with it within [`io::Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceholderError {
    /// Its name.
    pub name: String,
    /// Where its `$` stands in the file.
    pub place: Place,
    /// That line.
    pub source_line: String,
    /// What to do: the names that are known, and how to write the text itself.
    pub hint: String,
}

impl PlaceholderError {
    /// The error within an error of reading, if it is one.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// What is wrong, without place and hint.
    pub fn message(&self) -> String {
        format!("no value for the placeholder ${{{}}}", self.name)
    }

    /// The same with the name of the file.
    pub fn in_file(&self, path: impl Into<String>) -> Problem {
        Problem {
            path: path.into(),
            place: Some(self.place),
            source_line: self.source_line.clone(),
            message: self.message(),
            hint: Some(self.hint.clone()),
            twin: false,
        }
    }
}

impl fmt::Display for PlaceholderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{} at line {line}, column {column}; {}", self.message(), self.hint)
    }
}

impl std::error::Error for PlaceholderError {}

/// What was replaced while a text was read, so that pieces of it can be shown as they were written: the values of
/// placeholders may be secrets, and mean nothing to a comparison of texts. Shared between the reader that replaces
/// and whoever asks. Offsets count bytes of the replaced text; pieces are asked for in their order.
#[derive(Debug, Clone, Default)]
pub struct Replaced(Arc<Mutex<VecDeque<Replacement>>>);

#[derive(Debug)]
struct Replacement {
    /// Where it stands in the replaced text.
    at: Range<usize>,
    /// What the file says there.
    written: Vec<u8>,
}

impl Replaced {
    fn note(&self, at: Range<usize>, written: &[u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(Replacement { at, written: written.to_vec() });
    }

    /// The piece of the text that begins at this offset as the file writes it; `None` where nothing in it was
    /// replaced. A placeholder whose value reaches over several pieces stands in the one it begins in.
    pub fn as_written(&self, start: usize, piece: &[u8]) -> Option<Vec<u8>> {
        let mut replacements = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while replacements.front().is_some_and(|first| first.at.end.max(first.at.start + 1) <= start) {
            replacements.pop_front();
        }
        let end = start + piece.len();
        let mut written = Vec::new();
        let mut copied = start;
        for Replacement { at, written: name } in replacements.iter().take_while(|other| other.at.start < end)
        {
            if at.start >= start {
                written.extend_from_slice(piece.get(copied - start..at.start - start).unwrap_or_default());
                written.extend_from_slice(name);
            }
            copied = at.end.clamp(copied, end);
        }
        if copied == start && written.is_empty() {
            return None;
        }
        written.extend_from_slice(piece.get(copied - start..).unwrap_or_default());
        Some(written)
    }
}

/// A reader that replaces placeholders. An unknown one is a [`PlaceholderError`] within [`io::Error`].
pub struct Substituted<R> {
    inner: R,
    vars: Vars,
    /// Hears of every replacement.
    replaced: Option<Replaced>,
    /// Bytes given out before `output`.
    before: usize,
    /// Text read from `inner`, not yet replaced.
    input: Vec<u8>,
    position: usize,
    ended: bool,
    output: Vec<u8>,
    given: usize,
    line: LineCounter,
    /// Set where text is looked through and not sent: unknown placeholders stay, and what is asked for is noted.
    look: Option<Look>,
}

/// What is noted while a text is looked through.
#[derive(Debug, Default)]
struct Look {
    /// Names of the placeholders seen.
    names: BTreeSet<String>,
    /// Places of the replaced text that are wanted, with their number, the next one last.
    wanted: Vec<(Place, usize)>,
    /// Where they are in the text itself, by number.
    found: Vec<Option<Place>>,
    /// Where the replaced text has come to.
    sent: LineCounter,
}

impl Look {
    /// A token with what was made of it.
    fn take(&mut self, token: &[u8], made: &[u8], at: &LineCounter) {
        if token == made {
            self.note_name(token);
            return self.same(token, at);
        }
        self.note_name(token);
        self.other(made, at);
    }

    /// Notes the name of a token that is a placeholder.
    fn note_name(&mut self, text: &[u8]) {
        if let Token::Placeholder { name, .. } = token(text, true)
            && let Some(name) = text.get(name).and_then(|name| std::str::from_utf8(name).ok())
        {
            self.names.insert(name.to_owned());
        }
    }

    /// Text that is replaced by itself, and begins at `at`.
    fn same(&mut self, text: &[u8], at: &LineCounter) {
        while let Some((place, number)) = self.next_within(text) {
            let within = text.get(..offset_of(text, self.sent.next_place(), place)).unwrap_or(text);
            let mut source = at.position();
            source.pass(within);
            self.found[number] = Some(source.next_place());
            self.wanted.pop();
        }
        self.sent.pass(text);
    }

    /// Text that stands in place of something at `at`.
    fn other(&mut self, text: &[u8], at: &LineCounter) {
        while let Some((_, number)) = self.next_within(text) {
            self.found[number] = Some(at.next_place());
            self.wanted.pop();
        }
        self.sent.pass(text);
    }

    /// The next place that is wanted, if it is in this text.
    fn next_within(&self, text: &[u8]) -> Option<(Place, usize)> {
        let (place, number) = *self.wanted.last()?;
        let mut end = self.sent.position();
        end.pass(text);
        (place < end.next_place()).then_some((place, number))
    }
}

/// The byte offset of a place in a text that begins at `start`.
fn offset_of(text: &[u8], start: Place, wanted: Place) -> usize {
    let mut at = 0;
    let mut column = start.column;
    if wanted.line > start.line {
        let skipped = usize::try_from(wanted.line - start.line - 1).unwrap_or(usize::MAX);
        at = memchr::memchr_iter(b'\n', text).nth(skipped).map_or(text.len(), |newline| newline + 1);
        column = 1;
    }
    let rest = text.get(at..).unwrap_or_default();
    let starts = rest.iter().enumerate().filter(|(_, byte)| **byte & 0xC0 != 0x80).map(|(index, _)| index);
    let characters = usize::try_from(wanted.column.saturating_sub(column)).unwrap_or(0);
    at + starts.chain([rest.len()]).nth(characters).unwrap_or(rest.len())
}

/// Where places of the replaced text are in the text itself, which `inner` gives; none for places behind its end. What
/// a placeholder stands for is at the placeholder.
///
/// # Errors
/// As `inner` has them.
pub(crate) fn places_in_source<R: Read>(
    inner: R,
    vars: &Vars,
    wanted: &[Place],
) -> io::Result<Vec<Option<Place>>> {
    let mut sorted: Vec<(Place, usize)> =
        wanted.iter().copied().enumerate().map(|(number, at)| (at, number)).collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let look = Look { wanted: sorted, found: vec![None; wanted.len()], ..Look::default() };
    let mut reader = Substituted { look: Some(look), ..Substituted::new(inner, vars.clone()) };
    let mut sink = vec![0; CHUNK];
    while reader.look.as_ref().is_some_and(|look| !look.wanted.is_empty()) && reader.read(&mut sink)? > 0 {}
    Ok(reader.look.take().map(|look| look.found).unwrap_or_default())
}

/// Names of the placeholders in a text, whether they have a value or not.
///
/// # Errors
/// As `inner` has them.
pub(crate) fn names_in<R: Read>(inner: R) -> io::Result<BTreeSet<String>> {
    let mut reader = Substituted { look: Some(Look::default()), ..Substituted::new(inner, Vars::new()) };
    io::copy(&mut reader, &mut io::sink())?;
    Ok(reader.look.take().map(|look| look.names).unwrap_or_default())
}

/// Bytes read at once: 64 KiB.
const CHUNK: usize = 16 << 10;

impl<R: Read> Substituted<R> {
    /// Replaces placeholders in what `inner` gives.
    pub fn new(inner: R, vars: Vars) -> Self {
        Self {
            inner,
            vars,
            replaced: None,
            before: 0,
            input: Vec::new(),
            position: 0,
            ended: false,
            output: Vec::new(),
            given: 0,
            line: LineCounter::default(),
            look: None,
        }
    }

    /// Notes what is replaced.
    #[must_use]
    pub fn noting(mut self, replaced: Replaced) -> Self {
        self.replaced = Some(replaced);
        self
    }

    /// Bytes held at the moment.
    #[cfg(test)]
    pub(super) fn buffered(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    fn fill(&mut self) -> io::Result<()> {
        self.before += self.output.len();
        self.output.clear();
        self.given = 0;
        while self.output.is_empty() && !(self.ended && self.position == self.input.len()) {
            self.read_more()?;
            while self.step()? {}
        }
        Ok(())
    }

    fn read_more(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        self.input.drain(..self.position);
        self.position = 0;
        let kept = self.input.len();
        self.input.resize(kept + CHUNK, 0);
        let count = loop {
            match self.inner.read(&mut self.input[kept..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.input.truncate(kept + count.as_ref().copied().unwrap_or(0));
        self.ended = count? == 0;
        Ok(())
    }

    /// Replaces up to and including the next token; false if more input is needed.
    fn step(&mut self) -> io::Result<bool> {
        let rest = &self.input[self.position..];
        if rest.is_empty() {
            return Ok(false);
        }
        let plain = memchr::memchr(b'$', rest).unwrap_or(rest.len());
        self.output.extend_from_slice(&rest[..plain]);
        if let Some(look) = &mut self.look {
            look.same(&rest[..plain], &self.line);
        }
        self.line.pass(&rest[..plain]);
        self.position += plain;
        let rest = &self.input[self.position..];
        if rest.is_empty() {
            return Ok(false);
        }
        let sent = self.output.len();
        let consumed = match token(rest, self.ended) {
            Token::Unclear => return Ok(false),
            Token::Plain(length) => {
                self.output.extend_from_slice(&rest[..length]);
                length
            }
            Token::Placeholder { name, .. }
                if self.look.is_some() && value(&self.vars, rest, &name).is_none() =>
            {
                self.output.extend_from_slice(&rest[..=name.end]);
                name.end + 1
            }
            Token::Escaped { keep, length } => {
                self.output.extend_from_slice(&rest[..keep]);
                let start = self.before + self.output.len();
                self.output.extend_from_slice(&rest[keep + 1..length]);
                if let Some(replaced) = &self.replaced {
                    replaced.note(start..self.before + self.output.len(), &rest[keep..length]);
                }
                length
            }
            Token::Placeholder { keep, name } => {
                let end = name.end + 1;
                let Some(value) = value(&self.vars, rest, &name) else {
                    return Err(self.unknown(keep, name));
                };
                self.output.extend_from_slice(&rest[..keep]);
                let start = self.before + self.output.len();
                self.output.extend_from_slice(value.as_bytes());
                if let Some(replaced) = &self.replaced {
                    replaced.note(start..start + value.len(), &rest[keep..end]);
                }
                end
            }
        };
        let (before, _) = rest.split_at(consumed);
        if let Some(look) = &mut self.look {
            look.take(before, &self.output[sent..], &self.line);
        }
        self.line.pass(before);
        self.position += consumed;
        Ok(true)
    }

    fn unknown(&mut self, keep: usize, name: Range<usize>) -> io::Error {
        let rest = &self.input[self.position..];
        let name = String::from_utf8_lossy(&rest[name]).into_owned();
        self.line.pass(&rest[..keep]);
        let (place, source_line) = self.line.place(&rest[keep..]);
        let known: Vec<&str> = self.vars.0.keys().map(String::as_str).collect();
        let known_list = match known.as_slice() {
            [] => "no placeholders have one".to_owned(),
            some => format!("known placeholders: {}", crate::text::known_list(some.iter().copied())),
        };
        let advice = match crate::text::suggest(&name, known) {
            Some(alike) => format!("did you mean ${{{alike}}}? {known_list}"),
            None => known_list,
        };
        // Keys of TOML are quoted where there is a colon in them.
        let (advice, key) = if name.as_bytes().starts_with(OF_FLYWAY) {
            ("Flyway has a value of its own for it, which is not known here".to_owned(), format!("{name:?}"))
        } else {
            (advice, name.clone())
        };
        let hint = format!(
            "{advice}; `--var {name}=…`, or {key} in [vars] of cutover.toml, gives it a value, and $${{{name}}} stands for \
             the text itself"
        );
        let error = PlaceholderError { name, place, source_line, hint };
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl<R: Read> Read for Substituted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.output.len() {
            self.fill()?;
        }
        let count = buffer.len().min(self.output.len() - self.given);
        buffer[..count].copy_from_slice(&self.output[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// Where reading has come to, and how its line began.
#[derive(Debug, Default)]
struct LineCounter {
    newlines: u32,
    /// Characters of the line so far.
    characters: u32,
    /// The beginning of the line, for showing it; cut at [`SHOWN`] bytes.
    shown: Vec<u8>,
}

/// Bytes of a line kept for showing it.
const SHOWN: usize = 4096;

impl LineCounter {
    fn pass(&mut self, text: &[u8]) {
        let line = match memchr::memrchr(b'\n', text) {
            Some(at) => {
                let count = memchr::memchr_iter(b'\n', text).count();
                self.newlines = self.newlines.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                self.characters = 0;
                self.shown.clear();
                &text[at + 1..]
            }
            None => text,
        };
        let characters = line.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        self.characters = self.characters.saturating_add(u32::try_from(characters).unwrap_or(u32::MAX));
        let room = SHOWN.saturating_sub(self.shown.len());
        self.shown.extend_from_slice(&line[..room.min(line.len())]);
    }

    /// The place that what comes next will have.
    fn next_place(&self) -> Place {
        Place { line: self.newlines.saturating_add(1), column: self.characters.saturating_add(1) }
    }

    /// The same place, without the text of its line.
    fn position(&self) -> Self {
        Self { shown: Vec::new(), ..*self }
    }

    fn place(&self, rest: &[u8]) -> (Place, String) {
        let mut line = self.shown.clone();
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len()).min(SHOWN);
        line.extend_from_slice(&rest[..end]);
        let place = self.next_place();
        let whole = line.len() <= SHOWN;
        (place, if whole { String::from_utf8_lossy(&line).into_owned() } else { String::new() })
    }
}

/// The text with what looks like a placeholder written so that it is none.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (head, tail) = rest.split_at(at);
        escaped += head;
        let dollars = tail.bytes().take_while(|byte| *byte == b'$').count();
        let length = match token(tail.as_bytes(), true) {
            // A dollar-quoted `{name}` is one by what stands behind it.
            Token::Plain(length) if length <= dollars || ends_quoted(&tail[length..]) => length,
            Token::Placeholder { name, .. } if !tail[name.end + 1..].starts_with('$') => {
                escaped.push('$');
                name.end + 1
            }
            // One dollar more or less would not do.
            _ => {
                (0..dollars).for_each(|_| escaped += DOLLAR_WRITTEN);
                rest = &tail[dollars..];
                continue;
            }
        };
        escaped += &tail[..length];
        rest = &tail[length..];
    }
    escaped + rest
}

/// Whether a text begins with `$$` that stays so.
fn ends_quoted(text: &str) -> bool {
    text.strip_prefix("$$").is_some_and(|rest| !rest.starts_with(['$', '{']))
}
