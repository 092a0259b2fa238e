//! The part of a file that is run, where it holds more: the way back, or what another tool keeps there.
//!
//! [`only`] gives the lines of a section and nothing else: what checksums are taken over. [`padded`] gives them with the
//! line ends of what stands between, so that whatever is found in them has the lines of the file.

use std::io::{self, Read};

use crate::migration::Section;

/// Bytes read at once: 16 KiB.
const CHUNK: usize = 16 << 10;

/// The lines of a section, without those outside it. A line that the end of the text cuts is one too.
pub(crate) fn only<R: Read>(inner: R, section: &Section) -> Lines<R> {
    Lines::new(inner, section)
}

/// The lines of a section as [`only`] gives them, each again in the line that it has in the file.
pub(crate) fn padded<R: Read>(inner: R, section: &Section) -> Padded<R> {
    let mut gaps = Vec::new();
    let mut next = 1;
    for lines in section.lines().unwrap_or_default() {
        let missing = lines.start().saturating_sub(next);
        let length = (lines.end() - lines.start()).saturating_add(1);
        gaps.push((missing, length));
        next = lines.end().saturating_add(1);
    }
    gaps.reverse();
    let whole = section.lines().is_none();
    Padded { inner, gaps, whole, missing: 0, left: 0, input: Vec::new(), given: 0 }
}

/// See [`only`].
pub(crate) struct Lines<R> {
    inner: R,
    section: Section,
    /// The line that the next byte belongs to, from 1.
    line: u32,
    ready: Vec<u8>,
    given: usize,
    chunk: Vec<u8>,
    ended: bool,
}

impl<R: Read> Lines<R> {
    fn new(inner: R, section: &Section) -> Self {
        let section = section.clone();
        Self { inner, section, line: 1, ready: Vec::new(), given: 0, chunk: Vec::new(), ended: false }
    }

    /// What is inside.
    pub(crate) fn inner(&self) -> &R {
        &self.inner
    }

    fn fill(&mut self) -> io::Result<()> {
        self.chunk.resize(CHUNK, 0);
        self.ready.clear();
        self.given = 0;
        while self.ready.is_empty() && !self.ended {
            let count = match self.inner.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            self.ended = count == 0;
            let ranges = self.section.lines().unwrap_or_default();
            for piece in self.chunk[..count].split_inclusive(|byte| *byte == b'\n') {
                // Ranges are in order, so the first that does not lie before the line decides.
                let next = ranges.partition_point(|range| *range.end() < self.line);
                if ranges.get(next).is_some_and(|range| range.contains(&self.line)) {
                    self.ready.extend_from_slice(piece);
                }
                if piece.ends_with(b"\n") {
                    self.line = self.line.saturating_add(1);
                }
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.section.lines().is_none() {
            return self.inner.read(buffer);
        }
        if self.given == self.ready.len() {
            self.fill()?;
        }
        Ok(give(&self.ready, &mut self.given, buffer))
    }
}

/// See [`padded`].
pub(crate) struct Padded<R> {
    inner: R,
    /// Lines that are missing, and lines that are there behind them; the next ones last.
    gaps: Vec<(u32, u32)>,
    whole: bool,
    /// Line ends to give before anything else.
    missing: u32,
    /// Lines until the next gap.
    left: u32,
    input: Vec<u8>,
    given: usize,
}

impl<R: Read> Padded<R> {
    /// Whoever remembers what went by must have seen its end.
    fn drain(&mut self) -> io::Result<usize> {
        self.input.resize(CHUNK, 0);
        while self.inner.read(&mut self.input)? > 0 {}
        self.input.clear();
        self.given = 0;
        Ok(0)
    }
}

impl<R: Read> Read for Padded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.whole {
            return self.inner.read(buffer);
        }
        loop {
            if self.missing > 0 && !buffer.is_empty() {
                let count = usize::try_from(self.missing).unwrap_or(usize::MAX).min(buffer.len());
                buffer[..count].fill(b'\n');
                self.missing -= u32::try_from(count).unwrap_or(self.missing);
                return Ok(count);
            }
            if self.left == 0 {
                let Some((missing, left)) = self.gaps.pop() else { return self.drain() };
                (self.missing, self.left) = (missing, left);
                continue;
            }
            if self.given == self.input.len() {
                self.input.resize(CHUNK, 0);
                let count = self.inner.read(&mut self.input);
                self.input.truncate(count.as_ref().copied().unwrap_or(0));
                self.given = 0;
                if count? == 0 {
                    return Ok(0);
                }
            }
            let rest = &self.input[self.given..];
            let piece = memchr::memchr(b'\n', rest).map_or(rest, |at| &rest[..=at]);
            let count = piece.len().min(buffer.len());
            buffer[..count].copy_from_slice(&piece[..count]);
            self.given += count;
            if buffer[..count].ends_with(b"\n") {
                self.left -= 1;
            }
            return Ok(count);
        }
    }
}

/// Copies what is ready and not given yet.
fn give(ready: &[u8], given: &mut usize, buffer: &mut [u8]) -> usize {
    let count = buffer.len().min(ready.len() - *given);
    buffer[..count].copy_from_slice(&ready[*given..*given + count]);
    *given += count;
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a few bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn all(mut reader: impl Read) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn what_is_outside_is_left_out_and_lines_keep_their_numbers() {
        let text = "one\ntwo\nthree\n\nfive\nsix";
        let section = Section::of_lines(vec![2..=3, 5..=6]);
        assert_eq!(all(only(text.as_bytes(), &section)), "two\nthree\nfive\nsix");
        assert_eq!(all(padded(only(text.as_bytes(), &section), &section)), "\ntwo\nthree\n\nfive\nsix");
        for reader in
            [all(only(text.as_bytes(), &Section::WHOLE)), all(padded(text.as_bytes(), &Section::WHOLE))]
        {
            assert_eq!(reader, text);
        }
        assert_eq!(
            all(padded(only(text.as_bytes(), &Section::of_lines(vec![])), &Section::of_lines(vec![]))),
            ""
        );
    }

    proptest! {
        #[test]
        fn sections_do_not_depend_on_how_the_text_is_cut(
            lines in proptest::collection::vec("[a-c]{0,5}", 0..12),
            bounds in proptest::collection::btree_set(1_u32..14, 0..6),
            step in 1_usize..7,
        ) {
            let text = lines.join("\n");
            let bounds: Vec<u32> = bounds.into_iter().collect();
            let section = Section::of_lines(bounds.chunks_exact(2).map(|pair| pair[0]..=pair[1] - 1).collect());
            let inside = |number: usize| section.lines().unwrap().iter().any(|range| range.contains(&u32::try_from(number + 1).unwrap()));
            let expected: String = text.split_inclusive('\n').enumerate().filter(|(n, _)| inside(*n)).map(|(_, line)| line).collect();
            prop_assert_eq!(all(only(Dribble(text.as_bytes(), step), &section)), expected);
            let found = all(padded(only(Dribble(text.as_bytes(), step), &section), &section));
            let lines: Vec<&str> = text.split('\n').collect();
            for (number, line) in found.split('\n').enumerate() {
                let expected = lines.get(number).copied().unwrap_or_default();
                prop_assert_eq!(line, if inside(number) { expected } else { "" });
            }
        }
    }
}
