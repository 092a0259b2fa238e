//! Cutting a byte stream into protocol frames, incrementally. Bodies that nobody asks for are skipped, never
//! collected, so that a row of a gigabyte costs nothing here.

/// Bytes of a frame's head: one of type, four of length (which counts itself).
const HEADER: usize = 5;

/// Reads frames from pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER],
    header_length: usize,
    /// Bytes of the body still to come, once the header is whole.
    remaining: usize,
    /// Bytes of the body still to be collected.
    wanted: usize,
    body: Vec<u8>,
    /// A length below four came by: from here on nothing can be understood.
    broken: bool,
}

impl Frames {
    /// Whether the last frame is whole and the next has not begun.
    pub(super) fn at_boundary(&self) -> bool {
        self.header_length == 0
    }

    /// Takes the next piece of the stream. `keep` says for a frame type how many bytes of its body are wanted,
    /// `frame` is called with type and body (cut to that many bytes) when a frame is whole.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        keep: impl Fn(u8) -> usize,
        mut frame: impl FnMut(u8, &[u8]),
    ) {
        while !bytes.is_empty() && !self.broken {
            if self.header_length < HEADER && !self.take_header(&mut bytes, &keep) {
                return;
            }
            if self.body.is_empty() && bytes.len() >= self.remaining {
                // The usual case: the whole body is here, no copy needed.
                let (body, rest) = bytes.split_at(self.remaining);
                frame(self.header[0], &body[..self.wanted.min(body.len())]);
                bytes = rest;
                self.header_length = 0;
                continue;
            }
            let (part, rest) = bytes.split_at(self.remaining.min(bytes.len()));
            let kept = &part[..self.wanted.min(part.len())];
            self.body.extend_from_slice(kept);
            self.wanted -= kept.len();
            self.remaining -= part.len();
            bytes = rest;
            if self.remaining == 0 {
                frame(self.header[0], &self.body);
                self.body.clear();
                self.header_length = 0;
            }
        }
    }

    /// Fills the header; true when it is whole and the frame can go on (a frame without a body needs no more bytes).
    fn take_header(&mut self, bytes: &mut &[u8], keep: &impl Fn(u8) -> usize) -> bool {
        let missing = (HEADER - self.header_length).min(bytes.len());
        let (part, rest) = bytes.split_at(missing);
        self.header[self.header_length..self.header_length + missing].copy_from_slice(part);
        self.header_length += missing;
        *bytes = rest;
        if self.header_length < HEADER {
            return false;
        }
        let [tag, length @ ..] = self.header;
        let length = u32::from_be_bytes(length) as usize;
        if length < 4 {
            self.broken = true;
            return false;
        }
        self.remaining = length - 4;
        self.wanted = keep(tag).min(self.remaining);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn keep(tag: u8) -> usize {
        match tag {
            b'D' | b'd' => 0,
            b'T' => 3,
            _ => 1 << 10,
        }
    }

    fn read(pieces: &[&[u8]]) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for piece in pieces {
            frames.feed(piece, keep, |tag, body| found.push((tag, body.to_vec())));
        }
        assert!(frames.at_boundary());
        found
    }

    fn recorded() -> Vec<u8> {
        [
            frame(b'T', b"columns"),
            frame(b'D', b"a long row that nobody reads"),
            frame(b'D', b""),
            frame(b'C', b"SELECT 2\0"),
            frame(b'I', b""),
            frame(b'E', b"VERROR\0C42P01\0Mmissing\0\0"),
            frame(b'Z', b"E"),
        ]
        .concat()
    }

    #[test]
    fn any_single_split_reads_the_same() {
        let bytes = recorded();
        let whole = read(&[&bytes]);
        assert_eq!(whole.len(), 7);
        assert_eq!(whole[0], (b'T', b"col".to_vec()));
        assert_eq!(whole[1], (b'D', Vec::new()));
        for at in 0..=bytes.len() {
            assert_eq!(read(&[&bytes[..at], &bytes[at..]]), whole, "split at {at}");
        }
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&bytewise), whole);
    }

    #[test]
    fn a_length_that_cannot_be_stops_the_reading() {
        let mut frames = Frames::default();
        frames.feed(b"Z\0\0\0\x01ZZZZZZZZZZZ", keep, |_, _| panic!("no frame is whole"));
    }

    proptest! {
        #[test]
        fn any_split_of_any_frames_reads_the_same(
            bodies in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let bytes: Vec<u8> = bodies.iter().flat_map(|(tag, body)| frame(*tag, body)).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&pieces), read(&[&bytes]));
        }
    }
}
