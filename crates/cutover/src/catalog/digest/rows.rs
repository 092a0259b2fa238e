//! The stream of `COPY … TO STDOUT (FORMAT binary)`, cut into rows and hashed as it comes.
//!
//! A row is hashed with its field lengths, so that NULL, the empty string and any delimiter inside a value cannot be
//! mistaken for each other. Nothing is kept of a row but the state of its hash.

use cutover_postgres::session::CopySink;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// What every such stream begins with.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the extension.
const HEADER: usize = 19;

/// Rows seen and the sum of their hashes. Sums add up in any order; unlike with XOR, two equal rows do not cancel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RowSum {
    pub(super) rows: u64,
    pub(super) sum: u128,
}

impl RowSum {
    fn add(&mut self, hash: u128) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

/// Where in the stream the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the header.
    Header,
    /// In the extension of the header, this many bytes before its end.
    Extension(usize),
    /// Before or within the number of fields.
    Count,
    /// Before or within the length of a field; so many fields are left.
    Length(u16),
    /// Within a field, this many bytes before its end; so many fields are left after it.
    Field { bytes: usize, fields: u16 },
    /// After the trailer.
    End,
}

/// Takes the stream in pieces cut anywhere.
pub(super) struct Rows {
    at: At,
    /// A number or the header, as far as it has come.
    partial: [u8; HEADER],
    partial_len: usize,
    row: Xxh3,
    total: RowSum,
    /// What is wrong with the stream; the rest of it is not looked at.
    wrong: Option<&'static str>,
}

impl CopySink for Rows {
    fn take(&mut self, data: &[u8]) {
        if self.wrong.is_none() {
            self.wrong = self.feed(data).err();
        }
    }

    fn may_rest(&self) -> bool {
        true
    }
}

impl Rows {
    pub(super) fn new() -> Self {
        Self {
            at: At::Header,
            partial: [0; HEADER],
            partial_len: 0,
            row: Xxh3::new(),
            total: RowSum::default(),
            wrong: None,
        }
    }

    /// Takes the next piece.
    fn feed(&mut self, mut data: &[u8]) -> Result<(), &'static str> {
        while !data.is_empty() {
            let at_row = self.at == At::Count && self.partial_len == 0;
            data = match at_row.then(|| whole_row(data)).flatten() {
                Some(length) => {
                    let (row, rest) = data.split_at(length);
                    self.total.add(xxh3_128(row));
                    rest
                }
                None => self.step(data)?,
            };
        }
        Ok(())
    }

    /// The rows of the stream, once all of it was fed.
    pub(super) fn finish(self) -> Result<RowSum, &'static str> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        if self.at == At::End { Ok(self.total) } else { Err("it ends before its trailer") }
    }

    /// Takes as much as belongs to what is at hand; gives the rest.
    fn step<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8], &'static str> {
        match self.at {
            At::Header => {
                let (header, rest) = self.number::<HEADER>(data);
                if let Some(header) = header {
                    self.header(&header)?;
                }
                Ok(rest)
            }
            At::Extension(left) => {
                let taken = left.min(data.len());
                self.at = if taken == left { At::Count } else { At::Extension(left - taken) };
                Ok(&data[taken..])
            }
            At::Count => {
                let (count, rest) = self.number::<2>(data);
                if let Some(count) = count {
                    self.count(count)?;
                }
                Ok(rest)
            }
            At::Length(fields) => {
                let (length, rest) = self.number::<4>(data);
                if let Some(length) = length {
                    self.length(length, fields)?;
                }
                Ok(rest)
            }
            At::Field { bytes, fields } => {
                let (taken, rest) = data.split_at(bytes.min(data.len()));
                self.row.update(taken);
                self.at = At::Field { bytes: bytes - taken.len(), fields };
                if taken.len() == bytes {
                    self.next_field(fields);
                }
                Ok(rest)
            }
            At::End => Err("it goes on after its trailer"),
        }
    }

    /// Collects `N` bytes; none while there are fewer.
    fn number<'a, const N: usize>(&mut self, data: &'a [u8]) -> (Option<[u8; N]>, &'a [u8]) {
        let (taken, rest) = data.split_at((N - self.partial_len).min(data.len()));
        self.partial[self.partial_len..self.partial_len + taken.len()].copy_from_slice(taken);
        self.partial_len += taken.len();
        if self.partial_len < N {
            return (None, rest);
        }
        self.partial_len = 0;
        let mut number = [0; N];
        number.copy_from_slice(&self.partial[..N]);
        (Some(number), rest)
    }

    fn header(&mut self, header: &[u8; HEADER]) -> Result<(), &'static str> {
        let (signature, rest) = header.split_at(SIGNATURE.len());
        if signature != SIGNATURE {
            return Err("it does not begin as one");
        }
        // Only the sixteen upper flags are critical; none of them but the one for oids was ever used.
        if rest[..2] != [0, 0] {
            return Err("it has flags that are not known");
        }
        let extension = u32::from_be_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
        self.at = if extension == 0 { At::Count } else { At::Extension(extension) };
        Ok(())
    }

    fn count(&mut self, count: [u8; 2]) -> Result<(), &'static str> {
        match i16::from_be_bytes(count) {
            -1 => self.at = At::End,
            fields => {
                let fields = u16::try_from(fields).map_err(|_| "a row has a negative number of fields")?;
                self.row.reset();
                self.row.update(&count);
                self.next_field(fields);
            }
        }
        Ok(())
    }

    fn length(&mut self, length: [u8; 4], fields: u16) -> Result<(), &'static str> {
        self.row.update(&length);
        match i32::from_be_bytes(length) {
            -1 | 0 => self.next_field(fields - 1),
            bytes => {
                let bytes = usize::try_from(bytes).map_err(|_| "a field has a negative length")?;
                self.at = At::Field { bytes, fields: fields - 1 };
            }
        }
        Ok(())
    }

    fn next_field(&mut self, fields: u16) {
        if fields == 0 {
            self.total.add(self.row.digest128());
            self.at = At::Count;
        } else {
            self.at = At::Length(fields);
        }
    }
}

/// Length of the row that begins here, if all of it is here. Strange numbers are left to the careful way.
fn whole_row(data: &[u8]) -> Option<usize> {
    let (count, _) = data.split_first_chunk::<2>()?;
    let fields = u16::try_from(i16::from_be_bytes(*count)).ok()?;
    let mut at = 2;
    for _ in 0..fields {
        let length = i32::from_be_bytes(*data.get(at..)?.first_chunk::<4>()?);
        at += 4;
        if length != -1 {
            at += usize::try_from(length).ok()?;
        }
    }
    (at <= data.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        for row in rows {
            bytes.extend(i16::try_from(row.len()).unwrap().to_be_bytes());
            for field in *row {
                match field {
                    None => bytes.extend((-1_i32).to_be_bytes()),
                    Some(value) => {
                        bytes.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
                        bytes.extend(*value);
                    }
                }
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    fn sum(stream: &[u8], piece: usize) -> Result<RowSum, &'static str> {
        let mut rows = Rows::new();
        for piece in stream.chunks(piece) {
            rows.feed(piece)?;
        }
        rows.finish()
    }

    fn of(rows: &[&[Option<&[u8]>]]) -> RowSum {
        let stream = stream(rows);
        let whole = sum(&stream, stream.len()).unwrap();
        for piece in [1, 2, 3, 5, 19, 20] {
            assert_eq!(sum(&stream, piece).unwrap(), whole, "pieces of {piece}");
        }
        whole
    }

    #[test]
    fn the_cut_into_pieces_does_not_matter_and_rows_are_counted() {
        let long = vec![7_u8; 1000];
        assert_eq!(of(&[&[Some(b"a"), None], &[Some(b""), Some(&long)], &[]]).rows, 3);
        assert_eq!(of(&[]), RowSum::default());
    }

    #[test]
    fn what_is_alike_as_text_is_not_alike() {
        assert_ne!(of(&[&[None]]), of(&[&[Some(b"")]]));
        assert_ne!(of(&[&[Some(b"a|b"), Some(b"c")]]), of(&[&[Some(b"a"), Some(b"b|c")]]));
        assert_ne!(of(&[&[Some(b"a")], &[Some(b"b")]]), of(&[&[Some(b"a"), Some(b"b")]]));
    }

    #[test]
    fn order_does_not_matter_and_duplicates_do() {
        let (a, b): (&[_], &[_]) = (&[Some(b"a".as_slice())], &[Some(b"b".as_slice())]);
        assert_eq!(of(&[a, b, a]), of(&[a, a, b]));
        // With XOR both of these would be the empty table but for the count.
        assert_ne!(of(&[a, a]).sum, of(&[b, b]).sum);
        assert_ne!(of(&[a, a, b]).sum, of(&[b]).sum);
    }

    #[test]
    fn a_broken_stream_is_an_error() {
        let good = stream(&[&[Some(b"abc")]]);
        for end in 0..good.len() {
            assert!(sum(&good[..end], 4).is_err(), "cut after {end}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(sum(&longer, 64).is_err());
        let mut wrong = good;
        wrong[0] = b'X';
        assert!(sum(&wrong, 64).is_err());
    }
}
