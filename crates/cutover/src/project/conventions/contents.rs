//! What a file says of its own parts: which lines are run, which are the way back, and whether in a transaction.

use std::io::{self, BufRead};

use crate::migration::{LineRange, Section};

/// Bytes of a line that are looked at: no mark is longer.
const LOOKED_AT: u64 = 4096;

/// Reads a file line by line for what it says of its parts.
///
/// # Errors
/// As reading does.
pub type Scan = fn(&mut LineReader<'_>) -> io::Result<Contents>;

/// What a file says of its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// What is run.
    pub up: Section,
    /// The way back, where it stands in the same file.
    pub down: Option<Section>,
    /// What is run, runs outside a transaction.
    pub no_transaction: bool,
    /// The way back does.
    pub down_no_transaction: bool,
    /// What keeps it from being read as the tool reads it.
    pub wrong: Vec<Trouble>,
}

/// A line that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its number, counted from 1.
    pub line: u32,
    /// Its text; empty where there is none to show.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

/// Lines as a [`Scan`] sees them: of very long ones the beginning.
pub struct LineReader<'a> {
    inner: &'a mut dyn BufRead,
    number: u32,
    buffer: Vec<u8>,
}

impl<'a> LineReader<'a> {
    /// Reads normalised text.
    pub fn new(inner: &'a mut dyn BufRead) -> Self {
        Self { inner, number: 0, buffer: Vec::new() }
    }

    /// The next line without its end, with its number from 1; none behind the last one.
    ///
    /// # Errors
    /// As reading does.
    pub fn next_line(&mut self) -> io::Result<Option<(u32, String)>> {
        self.buffer.clear();
        let count = io::Read::take(&mut *self.inner, LOOKED_AT).read_until(b'\n', &mut self.buffer)?;
        if count == 0 {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if self.buffer.len() as u64 == LOOKED_AT {
            self.inner.skip_until(b'\n')?;
        }
        Ok(Some((self.number, String::from_utf8_lossy(&self.buffer).into_owned())))
    }
}

/// Sections while lines go by.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub(super) up: Vec<LineRange>,
    pub(super) down: Vec<LineRange>,
    open: Option<(bool, u32)>,
}

impl Sections {
    /// A section begins behind this line.
    pub(super) fn begin(&mut self, up: bool, line: u32) {
        self.end(line.saturating_sub(1));
        self.open = Some((up, line.saturating_add(1)));
    }

    /// The section that is open, if any: whether it is what is run.
    pub(super) fn is_up(&self) -> Option<bool> {
        self.open.map(|(up, _)| up)
    }

    /// The section that is open ends with this line.
    pub(super) fn end(&mut self, last: u32) {
        if let Some((up, first)) = self.open.take().filter(|(_, first)| *first <= last) {
            let ranges = if up { &mut self.up } else { &mut self.down };
            ranges.push(first..=last);
        }
    }
}
