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

/// What comes out, or why it is refused. How much came out before does not count.
fn outcome(mut reader: impl Read) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    reader.read_to_end(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = outcome(normalise(bytes));
    assert_eq!(whole, outcome(normalise(Bytes(bytes))));
    assert_eq!(whole.is_ok(), checksums(bytes).is_ok());
    assert_eq!(outcome(substitute(bytes, vars())), outcome(substitute(Bytes(bytes), vars())));
    // Normalised text is normal, but for a mark behind another one, and what stood before a line end of two characters.
    if let Ok(text) = &whole
        && !text.starts_with("\u{feff}".as_bytes())
        && !text.contains(&b'\r')
    {
        assert_eq!(outcome(normalise(&**text)), whole);
    }
});
