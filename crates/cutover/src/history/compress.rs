//! The applied text is kept compressed, so that an edited file can be shown against what really ran.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// Compressed texts larger than this are not kept (their checksums are): 8 MiB.
pub const LARGEST_KEPT: usize = 8 << 20;
/// A stored text is not unpacked beyond this: 512 MiB. Guards against a planted row.
const LARGEST_UNPACKED: u64 = 512 << 20;

/// Texts up to this size are stored as they are, within the same format: there is little to gain, and a compressor
/// takes longer to set up than most migrations take to read.
const TOO_SMALL: usize = 1 << 10;

/// Compresses text as it streams by, and gives up (keeping nothing) once the result grows too large.
pub struct Keeper {
    state: State,
}

enum State {
    Small(Vec<u8>),
    Large(DeflateEncoder<Vec<u8>>),
    TooLarge,
}

impl Keeper {
    /// An empty keeper.
    pub fn new() -> Self {
        Self { state: State::Small(Vec::new()) }
    }

    /// Takes the next piece of text.
    pub fn push(&mut self, bytes: &[u8]) {
        if let State::Small(text) = &mut self.state {
            text.extend_from_slice(bytes);
            if text.len() <= TOO_SMALL {
                return;
            }
            let text = std::mem::take(text);
            self.state = State::Large(DeflateEncoder::new(Vec::new(), Compression::fast()));
            return self.push(&text);
        }
        let State::Large(encoder) = &mut self.state else { return };
        let failed = encoder.write_all(bytes).is_err();
        if failed || encoder.get_ref().len() > LARGEST_KEPT {
            self.state = State::TooLarge;
        }
    }

    /// The compressed text, or `None` where it is too large to keep.
    pub fn finish(self) -> Option<Vec<u8>> {
        match self.state {
            State::Small(text) => Some(stored_block(&text)),
            State::Large(encoder) => encoder.finish().ok().filter(|bytes| bytes.len() <= LARGEST_KEPT),
            State::TooLarge => None,
        }
    }
}

/// One final stored block of DEFLATE (RFC 1951, 3.2.4): a header byte, the length and its complement, the bytes.
fn stored_block(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let mut block = Vec::with_capacity(text.len() + 5);
    block.push(1);
    block.extend(length.to_le_bytes());
    block.extend((!length).to_le_bytes());
    block.extend_from_slice(text);
    block
}

impl Default for Keeper {
    fn default() -> Self {
        Self::new()
    }
}

/// Unpacks what [`Keeper`] packed.
///
/// # Errors
/// When the bytes are not a DEFLATE stream of UTF-8 text of bounded size.
pub fn unpack(bytes: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    let mut limited = DeflateDecoder::new(bytes).take(LARGEST_UNPACKED);
    limited.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_at_any_size() {
        let sizes = [0, 1, TOO_SMALL - 1, TOO_SMALL, TOO_SMALL + 1, 70_000];
        for size in sizes {
            let text: String = "CREATE TABLE ü ();\n".chars().cycle().take(size).collect();
            let mut keeper = Keeper::new();
            for piece in text.as_bytes().chunks(700) {
                keeper.push(piece);
            }
            assert_eq!(unpack(&keeper.finish().unwrap()).unwrap(), text, "{size} characters");
        }
    }

    #[test]
    fn too_large_a_text_is_not_kept() {
        let mut keeper = Keeper::new();
        let mut state = 1u64;
        for _ in 0..1200 {
            // Noise does not compress.
            let block: Vec<u8> = (0..8192)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            keeper.push(&block);
        }
        assert!(keeper.finish().is_none());
    }
}
