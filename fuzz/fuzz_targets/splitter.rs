//! Any bytes are split or refused, and the same however they are read.
#![no_main]

use std::io::Read;

use cutover_analysis::sql::Splitter;
use libfuzzer_sys::fuzz_target;

/// Gives one byte at a time.
struct Bytes<'a>(&'a [u8]);

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = buffer.len().min(1);
        self.0.read(&mut buffer[..len])
    }
}

fn outcome(reader: impl Read) -> Vec<String> {
    Splitter::new(reader).map(|item| format!("{item:?}")).collect()
}

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(outcome(bytes), outcome(Bytes(bytes)));
});
