//! Migration text as it is compared and run: UTF-8, one leading byte order mark removed, CRLF made LF. Works in
//! chunks of any size with bounded memory; the result does not depend on how the text was cut into chunks.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::vars::{Substituted, Vars};
use crate::migration::{Checksums, Source};

/// Why a text is refused. Offsets count bytes of the file from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A NUL byte: PostgreSQL text cannot hold one.
    #[error("a NUL byte at byte offset {offset}")]
    Nul {
        /// Where.
        offset: u64,
    },
    /// A byte sequence that is not UTF-8.
    #[error("invalid UTF-8 at byte offset {offset}; save the file as UTF-8")]
    InvalidUtf8 {
        /// Where the wrong sequence begins.
        offset: u64,
    },
    /// The file is UTF-16 or UTF-32, by its byte order mark or by its NUL bytes.
    #[error("{encoding} text at byte offset 0; save the file as UTF-8")]
    Utf16 {
        /// Which encoding it looks like.
        encoding: &'static str,
    },
}

impl From<TextError> for io::Error {
    fn from(error: TextError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// The state between two chunks of a text.
#[derive(Debug, Default)]
pub struct Normaliser {
    /// The first bytes, until there are enough to know the encoding.
    head: Vec<u8>,
    begun: bool,
    /// The chunk before ended with a CR that may belong to a CRLF.
    carriage_return: bool,
    /// A character cut by the end of the chunk before.
    tail: Vec<u8>,
    /// Bytes checked so far.
    offset: u64,
}

impl Normaliser {
    /// At the beginning of a text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the file and appends the normalised ones to `out`.
    ///
    /// # Errors
    /// The first byte that makes the text unacceptable.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), TextError> {
        if self.begun {
            return self.body(chunk, out);
        }
        let wanted = 4 - self.head.len();
        let (head, rest) = chunk.split_at(wanted.min(chunk.len()));
        self.head.extend_from_slice(head);
        if self.head.len() < 4 {
            return Ok(());
        }
        self.begin(out)?;
        self.body(rest, out)
    }

    /// Ends the text.
    ///
    /// # Errors
    /// As [`Normaliser::push`]; also a character that the end of the file cuts.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), TextError> {
        if !self.begun {
            self.begin(out)?;
        }
        if !self.tail.is_empty() {
            return Err(TextError::InvalidUtf8 { offset: self.offset - self.tail.len() as u64 });
        }
        if std::mem::take(&mut self.carriage_return) {
            out.push(b'\r');
        }
        Ok(())
    }

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), TextError> {
        self.begun = true;
        let head = std::mem::take(&mut self.head);
        if let Some(encoding) = wide_encoding(&head) {
            return Err(TextError::Utf16 { encoding });
        }
        match head.strip_prefix(&BOM) {
            Some(rest) => {
                self.offset = 3;
                self.body(rest, out)
            }
            None => self.body(&head, out),
        }
    }

    fn body(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), TextError> {
        self.check(chunk)?;
        let mut rest = chunk;
        if self.carriage_return && !rest.is_empty() {
            self.carriage_return = false;
            if rest[0] != b'\n' {
                out.push(b'\r');
            }
        }
        while let Some(at) = memchr::memchr(b'\r', rest) {
            out.extend_from_slice(&rest[..at]);
            match rest.get(at + 1) {
                Some(b'\n') => {}
                Some(_) => out.push(b'\r'),
                None => self.carriage_return = true,
            }
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
        Ok(())
    }

    /// Refuses NUL and anything that is not UTF-8, whichever comes first.
    fn check(&mut self, chunk: &[u8]) -> Result<(), TextError> {
        let start = self.offset;
        let nul = memchr::memchr(0, chunk).map(|at| start + at as u64);
        let invalid = self.check_utf8(chunk);
        match (nul, invalid) {
            (Some(offset), Some(wrong)) if wrong < offset => Err(TextError::InvalidUtf8 { offset: wrong }),
            (Some(offset), _) => Err(TextError::Nul { offset }),
            (None, Some(offset)) => Err(TextError::InvalidUtf8 { offset }),
            (None, None) => Ok(()),
        }
    }

    fn check_utf8(&mut self, mut chunk: &[u8]) -> Option<u64> {
        while !self.tail.is_empty() && !chunk.is_empty() {
            self.tail.push(chunk[0]);
            chunk = &chunk[1..];
            self.offset += 1;
            match std::str::from_utf8(&self.tail) {
                Ok(_) => self.tail.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Some(self.offset - self.tail.len() as u64),
            }
        }
        let start = self.offset;
        self.offset += chunk.len() as u64;
        let error = std::str::from_utf8(chunk).err()?;
        if error.error_len().is_some() {
            return Some(start + error.valid_up_to() as u64);
        }
        self.tail.extend_from_slice(&chunk[error.valid_up_to()..]);
        None
    }
}

/// UTF-16 and UTF-32, by byte order mark or by the NUL bytes that ASCII characters have in them.
fn wide_encoding(head: &[u8]) -> Option<&'static str> {
    match head {
        [0xFF, 0xFE, 0, 0] | [0, 0, 0xFE, 0xFF] => Some("UTF-32"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some("UTF-16"),
        [a, 0, b, 0] | [0, a, 0, b] if *a != 0 && *b != 0 => Some("UTF-16"),
        _ => None,
    }
}

/// Whether normalising would change nothing, for a text that is valid.
fn is_plain(bytes: &[u8]) -> bool {
    !bytes.starts_with(&BOM)
        && memchr::memchr2(b'\r', 0, bytes).is_none()
        && wide_encoding(bytes.get(..4).unwrap_or(bytes)).is_none()
        && std::str::from_utf8(bytes).is_ok()
}

/// The whole text, where it needs no normalising; none where it does, or may hold placeholders. Takes no digests.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn plain(source: &Source) -> io::Result<Option<String>> {
    let bytes = match source {
        Source::File(path) => std::fs::read(path)?,
        Source::Embedded(bytes) => bytes.to_vec(),
    };
    let is_sent_so = is_plain(&bytes) && memchr::memmem::find(&bytes, b"${").is_none();
    Ok(if is_sent_so { String::from_utf8(bytes).ok() } else { None })
}

/// Digests of a text that is in memory as a whole.
///
/// # Errors
/// Why the text is refused.
pub fn checksums(bytes: &[u8]) -> Result<Checksums, TextError> {
    let raw = hex(&Sha256::digest(bytes));
    let normalised = if is_plain(bytes) {
        raw.clone()
    } else {
        let mut text = Vec::with_capacity(bytes.len());
        let mut normaliser = Normaliser::new();
        normaliser.push(bytes, &mut text)?;
        normaliser.finish(&mut text)?;
        hex(&Sha256::digest(&text))
    };
    Ok(Checksums { raw, normalised, bytes: bytes.len() as u64 })
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(digest: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    digest.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes read from the file at once: 16 KiB, so that thousands of small files cost no page faults.
const CHUNK: usize = 16 << 10;

/// A reader of the normalised text that computes both digests on its way.
pub struct NormalisedReader<R> {
    inner: R,
    normaliser: Normaliser,
    chunk: Vec<u8>,
    ready: Vec<u8>,
    given: usize,
    ended: bool,
    raw: Sha256,
    normalised: Sha256,
    bytes: u64,
}

/// Reads a file's bytes as normalised text. Its errors are [`TextError`] within [`io::Error`].
pub fn normalise<R: Read>(reader: R) -> NormalisedReader<R> {
    NormalisedReader {
        inner: reader,
        normaliser: Normaliser::new(),
        chunk: vec![0; CHUNK],
        ready: Vec::with_capacity(CHUNK),
        given: 0,
        ended: false,
        raw: Sha256::new(),
        normalised: Sha256::new(),
        bytes: 0,
    }
}

/// Opens a migration's text, normalised; its digests are known once it is read to the end.
///
/// # Errors
/// The file cannot be opened.
pub fn open(source: &Source) -> io::Result<NormalisedReader<Box<dyn Read + Send>>> {
    let reader: Box<dyn Read + Send> = match source {
        Source::File(path) => Box::new(File::open(path)?),
        Source::Embedded(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
    };
    Ok(normalise(reader))
}

/// Replaces placeholders in normalised text; [`crate::project::Vars`] says what counts as one.
pub fn substitute<R: Read>(reader: R, vars: Vars) -> Substituted<R> {
    Substituted::new(reader, vars)
}

impl<R: Read> NormalisedReader<R> {
    /// Digests of what was read; of the whole file once `read` has returned 0.
    pub fn checksums(&self) -> Checksums {
        Checksums {
            raw: hex(&self.raw.clone().finalize()),
            normalised: hex(&self.normalised.clone().finalize()),
            bytes: self.bytes,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.ready.clear();
        self.given = 0;
        while self.ready.is_empty() && !self.ended {
            let count = match self.inner.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            self.bytes += count as u64;
            self.raw.update(&self.chunk[..count]);
            if count == 0 {
                self.ended = true;
                self.normaliser.finish(&mut self.ready)?;
            } else {
                self.normaliser.push(&self.chunk[..count], &mut self.ready)?;
            }
        }
        self.normalised.update(&self.ready);
        Ok(())
    }
}

impl<R: Read> Read for NormalisedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() {
            self.fill()?;
        }
        let count = buffer.len().min(self.ready.len() - self.given);
        buffer[..count].copy_from_slice(&self.ready[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}
