//! The applied text is kept compressed, so that an edited file can be shown against what really ran.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// Compressed texts larger than this are not kept (their checksums are): 8 MiB.
pub const LARGEST_KEPT: usize = 8 << 20;
/// A stored text is not unpacked beyond this: 512 MiB. Guards against a planted row.
const LARGEST_UNPACKED: u64 = 512 << 20;

/// Compresses text as it streams by, and gives up (keeping nothing) once the result grows too large.
pub struct Keeper {
    encoder: Option<DeflateEncoder<Vec<u8>>>,
}

impl Keeper {
    /// An empty keeper.
    pub fn new() -> Self {
        Self { encoder: Some(DeflateEncoder::new(Vec::new(), Compression::fast())) }
    }

    /// Takes the next piece of text.
    pub fn push(&mut self, bytes: &[u8]) {
        let Some(encoder) = &mut self.encoder else { return };
        let failed = encoder.write_all(bytes).is_err();
        if failed || encoder.get_ref().len() > LARGEST_KEPT {
            self.encoder = None;
        }
    }

    /// The compressed text, or `None` where it is too large to keep.
    pub fn finish(self) -> Option<Vec<u8>> {
        self.encoder?.finish().ok().filter(|bytes| bytes.len() <= LARGEST_KEPT)
    }
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
    fn text_survives() {
        let mut keeper = Keeper::new();
        keeper.push("CREATE TABLE a ();\n".as_bytes());
        keeper.push("-- ü".as_bytes());
        let packed = keeper.finish().unwrap();
        assert_eq!(unpack(&packed).unwrap(), "CREATE TABLE a ();\n-- ü");
    }

    #[test]
    fn too_large_a_text_is_not_kept() {
        let mut keeper = Keeper::new();
        let mut state = 1u64;
        for _ in 0..1200 {
            // Noise does not compress.
            let block: Vec<u8> = (0..8192)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            keeper.push(&block);
        }
        assert!(keeper.finish().is_none());
    }
}
