//! Takes the data of a `COPY … TO STDOUT` out of the stream from the server before tokio-postgres sees it, and hands it
//! to a sink where it lies in the buffer. A message a row is what the server sends; passing each on costs more than
//! most sinks do.
//!
//! What is no COPY data goes through unchanged. Memory is bounded: nothing of the data is kept.

use std::any::Any;

/// Bytes of a frame's head.
const HEADER: usize = 5;
/// The type of a frame of COPY data.
const COPY_DATA: u8 = b'd';
/// The type of the frame that ends the answer to a request.
const READY: u8 = b'Z';

/// Takes COPY data.
pub trait CopySink: Any + Send {
    /// Takes the next piece, cut anywhere.
    fn take(&mut self, data: &[u8]);

    /// Whether the reading thread may sleep for a moment whenever it has read all there is of a long stream. A server
    /// sends 8 KiB at a time, and to wake a reader for each of them costs it a fifth of its time. Only for a thread that
    /// does nothing else: all it runs stands still meanwhile.
    fn may_rest(&self) -> bool {
        false
    }
}

/// A stream is long once it had so many bytes: short ones are not held up.
const LONG: u64 = 1 << 20;

/// A sink at work, and where in the stream the next byte stands.
pub(crate) struct Sieve {
    sink: Box<dyn CopySink>,
    /// Number of the simple query whose data it takes.
    query: u64,
    /// The answer that goes by is that query's.
    active: bool,
    header: [u8; HEADER],
    header_length: usize,
    /// Bytes of the body still to come.
    remaining: usize,
    /// Bytes the sink took.
    taken: u64,
}

impl std::fmt::Debug for Sieve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sieve").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

impl Sieve {
    /// Begins at the boundary between two frames; the data of other queries goes through.
    pub(crate) fn new(query: u64, sink: Box<dyn CopySink>) -> Self {
        Self { sink, query, active: false, header: [0; HEADER], header_length: 0, remaining: 0, taken: 0 }
    }

    /// Number of the simple query whose data it takes.
    pub(crate) fn query(&self) -> u64 {
        self.query
    }

    /// Whether the answer that goes by is that query's.
    pub(crate) fn is_active(&self) -> bool {
        self.active
    }

    /// From here on the answer of the query goes by.
    pub(crate) fn activate(&mut self) {
        self.active = true;
    }

    /// Whether the reader may sleep now that it has read all there is.
    pub(crate) fn may_rest(&self) -> bool {
        self.taken >= LONG && self.sink.may_rest()
    }

    /// The sink, with all it took.
    pub(crate) fn into_sink(self) -> Box<dyn CopySink> {
        self.sink
    }

    /// Takes the next piece up to the end of the answer to a request, and gives what lies behind that. What is not for
    /// the sink is added to `through`.
    pub(crate) fn feed<'b>(&mut self, bytes: &'b [u8], through: &mut Vec<u8>) -> &'b [u8] {
        let mut rest = bytes;
        while !rest.is_empty() || self.is_whole() {
            if self.active && self.header_length == 0 {
                rest = self.take_whole(rest);
            }
            if self.header_length < HEADER {
                let (part, others) = rest.split_at((HEADER - self.header_length).min(rest.len()));
                self.header[self.header_length..self.header_length + part.len()].copy_from_slice(part);
                self.header_length += part.len();
                rest = others;
                if self.header_length == HEADER {
                    self.open(through);
                }
                continue;
            }
            let (part, others) = rest.split_at(self.remaining.min(rest.len()));
            if self.takes() {
                self.sink.take(part);
                self.taken += part.len() as u64;
            } else {
                through.extend_from_slice(part);
            }
            self.remaining -= part.len();
            rest = others;
            if self.remaining == 0 {
                self.header_length = 0;
                if self.header[0] == READY {
                    return rest;
                }
            }
        }
        rest
    }

    /// Takes the frames of data that are here as a whole, and gives what comes behind them. A row has a frame of its own,
    /// so that this is where the time goes.
    fn take_whole<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        while let Some((&[COPY_DATA, ref length @ ..], rest)) = bytes.split_first_chunk::<HEADER>() {
            let body = (u32::from_be_bytes(*length) as usize).saturating_sub(4);
            let Some((data, behind)) = rest.split_at_checked(body) else { break };
            self.sink.take(data);
            self.taken += body as u64;
            bytes = behind;
        }
        bytes
    }

    /// The frame at hand is for the sink.
    fn takes(&self) -> bool {
        self.active && self.header[0] == COPY_DATA
    }

    /// A frame without a body has come to its end with its head.
    fn is_whole(&self) -> bool {
        self.header_length == HEADER && self.remaining == 0
    }

    fn open(&mut self, through: &mut Vec<u8>) {
        let [_, length @ ..] = self.header;
        // A length that cannot be is passed on as it is, and found there.
        self.remaining = (u32::from_be_bytes(length) as usize).saturating_sub(4);
        if !self.takes() {
            through.extend_from_slice(&self.header);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Default)]
    struct Kept(Vec<u8>);

    impl CopySink for Kept {
        fn take(&mut self, data: &[u8]) {
            self.0.extend_from_slice(data);
        }
    }

    fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn kept(sieve: Sieve) -> Vec<u8> {
        let sink: Box<dyn Any> = sieve.into_sink();
        sink.downcast::<Kept>().unwrap().0
    }

    fn sieve(active: bool) -> Sieve {
        let mut sieve = Sieve::new(3, Box::new(Kept::default()));
        if active {
            sieve.activate();
        }
        sieve
    }

    #[test]
    fn it_takes_its_own_data_and_stops_at_the_end_of_each_answer() {
        let first = [frame(b'd', b"another's"), frame(b'Z', b"I")].concat();
        let second = [frame(b'd', b"ours"), frame(b'C', b"COPY 1\0"), frame(b'Z', b"I")].concat();
        let (all, mut through) = ([first.clone(), second.clone()].concat(), Vec::new());
        let mut sieve = sieve(false);
        assert_eq!(sieve.feed(&all, &mut through), second);
        assert_eq!(through, first);
        sieve.activate();
        through.clear();
        assert_eq!(sieve.feed(&second, &mut through), b"");
        assert_eq!(through, second[frame(b'd', b"ours").len()..]);
        assert_eq!(kept(sieve), b"ours");
    }

    proptest! {
        #[test]
        fn data_and_the_rest_are_parted_at_any_cut(
            frames in prop::collection::vec(
                (prop::sample::select(vec![b'd', b'd', b'N', b'S', b'H', b'c']), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let all: Vec<u8> = frames.iter().flat_map(|(tag, body)| frame(*tag, body)).collect();
            let data: Vec<u8> = frames.iter().filter(|(tag, _)| *tag == b'd').flat_map(|(_, body)| body.clone()).collect();
            let others: Vec<u8> =
                frames.iter().filter(|(tag, _)| *tag != b'd').flat_map(|(tag, body)| frame(*tag, body)).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect();
            at.extend([0, all.len()]);
            at.sort_unstable();
            let (mut sieve, mut through) = (sieve(true), Vec::new());
            for pair in at.windows(2) {
                prop_assert!(sieve.feed(&all[pair[0]..pair[1]], &mut through).is_empty());
            }
            prop_assert_eq!(through, others);
            prop_assert_eq!(kept(sieve), data);
        }
    }
}
