//! Any bytes of a migration are normalised, filled in and hashed or refused, and the same however they are read.
#![no_main]

use std::io::{self, Read};

use cutover::project::Vars;
use cutover::project::text::{checksums, normalise, substitute};
use libfuzzer_sys::fuzz_target;

/// Gives one byte at a time.
struct Bytes<'a>(&'a [u8]);

impl Read for Bytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(1);
        self.0.read(&mut buffer[..len])
    }
}

fn vars() -> Vars {
    let mut vars = Vars::new();
    for (name, value) in [("a", ""), ("role", "app"), ("x.y-z", "$${a}")] {
        vars.insert(name, value).expect("a placeholder");
    }
    vars
}

/// What comes out, and how it ends.
fn outcome(mut reader: impl Read) -> (Vec<u8>, Option<String>) {
    let mut text = Vec::new();
    let ended = reader.read_to_end(&mut text);
    (text, ended.err().map(|error| error.to_string()))
}

fuzz_target!(|bytes: &[u8]| {
    let whole = outcome(normalise(bytes));
    assert_eq!(whole, outcome(normalise(Bytes(bytes))));
    assert_eq!(whole.1.is_none(), checksums(bytes).is_ok());
    let filled = outcome(substitute(bytes, vars()));
    let piecewise = outcome(substitute(Bytes(bytes), vars()));
    assert_eq!(filled.1, piecewise.1);
    if filled.1.is_none() {
        assert_eq!(filled.0, piecewise.0);
    }
    if whole.1.is_none() {
        // Normalised text is normal.
        assert_eq!(outcome(normalise(&*whole.0)), whole);
    }
});
