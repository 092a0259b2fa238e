use std::io::{self, Read};

use proptest::prelude::*;

use super::super::text::{Normaliser, TextError, checksums, normalise, substitute};
use super::super::vars::{names_in, places_in_source};
use super::super::{Place, PlaceholderError, Vars};

/// Gives at most so many bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(buffer.len());
        self.0.read(&mut buffer[..count])
    }
}

fn normalised(bytes: &[u8], cuts: usize) -> Result<Vec<u8>, TextError> {
    let mut out = Vec::new();
    let mut normaliser = Normaliser::new();
    for chunk in bytes.chunks(cuts) {
        normaliser.push(chunk, &mut out)?;
    }
    normaliser.finish(&mut out)?;
    Ok(out)
}

#[test]
fn one_byte_order_mark_and_crlf_go_away_and_nothing_else() {
    let cases: [(&[u8], &[u8]); 7] = [
        (b"", b""),
        (b"\xEF\xBB\xBF", b""),
        (b"\xEF\xBB\xBF\xEF\xBB\xBFx", b"\xEF\xBB\xBFx"),
        (b"a\r\nb\r\n", b"a\nb\n"),
        (b"a\rb\r\r\nc\r", b"a\rb\r\nc\r"),
        (b"x\xEF\xBB\xBF", b"x\xEF\xBB\xBF"),
        ("é\r\n".as_bytes(), "é\n".as_bytes()),
    ];
    for (text, expected) in cases {
        for cuts in [1, 2, 3, 100] {
            assert_eq!(normalised(text, cuts).unwrap(), expected, "{text:?} by {cuts}");
        }
    }
}

#[test]
fn digests_are_those_of_sha256sum() {
    let sums = checksums(b"SELECT 1;\r\n").unwrap();
    assert_eq!(sums.raw, "d3cd5042f97738960d802ad6b3a548dfa18152215118ba18f04493bc6944b0e4");
    assert_eq!(sums.normalised, checksums(b"SELECT 1;\n").unwrap().raw);
    assert_eq!(sums.normalised, checksums(b"\xEF\xBB\xBFSELECT 1;\n").unwrap().normalised);
    assert_eq!(sums.bytes, 11);
}

#[test]
fn the_first_wrong_byte_is_named() {
    assert_eq!(normalised(b"ab\xFFc\0", 2), Err(TextError::InvalidUtf8 { offset: 2 }));
    assert_eq!(normalised(b"abcd\0\xFF", 5), Err(TextError::Nul { offset: 4 }));
    assert_eq!(normalised(b"abcdef\xC3", 3), Err(TextError::InvalidUtf8 { offset: 6 }));
    assert_eq!(normalised(b"\0abc", 3), Err(TextError::Nul { offset: 0 }));
    assert!(matches!(normalised(b"\0a\0b", 1), Err(TextError::Utf16 { .. })));
    assert!(matches!(normalised(b"\xFE\xFF", 1), Err(TextError::Utf16 { .. })));
}

fn vars() -> Vars {
    let mut vars = Vars::new();
    vars.insert("role", "app").unwrap();
    vars.insert("a.b-c", "${role}").unwrap();
    vars
}

fn substituted(text: &str, cuts: usize) -> Result<String, io::Error> {
    let mut out = String::new();
    substitute(Pieces(text.as_bytes(), cuts), vars()).read_to_string(&mut out)?;
    Ok(out)
}

#[test]
fn placeholders_are_replaced_and_other_dollars_left_alone() {
    let cases = [
        ("GRANT x TO ${role};", "GRANT x TO app;"),
        ("'${role}' -- ${role}", "'app' -- app"),
        ("${a.b-c}", "${role}"),
        ("$${role}", "${role}"),
        ("$$${role}$$", "$$app$$"),
        ("$$$${role}", "$$${role}"),
        ("SELECT $${role}$$::text[]", "SELECT $${role}$$::text[]"),
        ("DO $body$ BEGIN $1; END $body$", "DO $body$ BEGIN $1; END $body$"),
        ("$${\"a\": 1}$$ ${} ${1} ${a b} $", "$${\"a\": 1}$$ ${} ${1} ${a b} $"),
        ("${role", "${role"),
        ("${role}${role}", "appapp"),
    ];
    for (text, expected) in cases {
        for cuts in [1, 2, 3, 1000] {
            assert_eq!(substituted(text, cuts).unwrap(), expected, "{text} by {cuts}");
        }
    }
}

#[test]
fn an_unknown_placeholder_is_shown_with_its_place_and_the_known_ones() {
    for cuts in [1, 7, 1000] {
        let error = substituted("SELECT 1;\nSELECT 'é', '${rol}'; -- x\nSELECT 2;", cuts).unwrap_err();
        let error = PlaceholderError::of(&error).unwrap();
        assert_eq!((error.name.as_str(), error.place), ("rol", Place { line: 2, column: 14 }));
        let shown = error.in_file("a.sql").to_string();
        assert!(shown.starts_with("a.sql:2:14: no value for the placeholder ${rol}"), "{shown}");
        assert!(shown.contains("did you mean ${role}? known placeholders: a.b-c, role"), "{shown}");
        assert!(shown.contains("`--var rol=…`, or rol in [vars] of cutover.toml"), "{shown}");
    }
}

#[test]
fn a_placeholder_that_flyway_has_a_value_for_wants_one_here() {
    for cuts in [1, 4, 1000] {
        let error = substituted("GRANT x TO ${flyway:user};", cuts).unwrap_err();
        let shown = PlaceholderError::of(&error).unwrap().in_file("a.sql").to_string();
        assert!(shown.starts_with("a.sql:1:12: no value for the placeholder ${flyway:user}"), "{shown}");
        assert!(shown.contains("\"flyway:user\" in [vars] of cutover.toml"), "{shown}");
        let mut vars = Vars::new();
        vars.insert("flyway:user", "app").unwrap();
        let mut made = String::new();
        let text = "a ${flyway:user} $${flyway:user} ${other:user} ${flyway:} ${flyway:1}";
        let _ = substitute(Pieces(text.as_bytes(), cuts), vars).read_to_string(&mut made).unwrap();
        assert_eq!(made, "a app ${flyway:user} ${other:user} ${flyway:} ${flyway:1}");
    }
}

#[test]
fn names_and_values_are_checked() {
    let mut vars = Vars::new();
    for name in ["", "1a", "a b", "ä", "a}", "flyway:", "a:b"] {
        assert!(vars.insert(name, "x").is_err(), "{name}");
    }
    assert!(vars.insert("a", "\0").is_err());
}

#[test]
fn a_large_text_is_read_within_bounded_memory() {
    let line: &[u8] = b"INSERT INTO t VALUES ('${role}', '$$');\r\n";
    let lines = (64 << 20) / line.len();
    let mut reader = substitute(normalise(Repeat { line, left: lines, at: 0 }), vars());
    let mut count = 0_u64;
    let mut buffer = [0; 8192];
    loop {
        let read = reader.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        count += read as u64;
    }
    assert_eq!(count, lines as u64 * b"INSERT INTO t VALUES ('app', '$$');\n".len() as u64);
    assert!(reader.buffered() < 1 << 20, "{} bytes", reader.buffered());
}

/// A line again and again.
struct Repeat {
    line: &'static [u8],
    left: usize,
    at: usize,
}

impl Read for Repeat {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut given = 0;
        while given < buffer.len() && self.left > 0 {
            let count = (self.line.len() - self.at).min(buffer.len() - given);
            buffer[given..given + count].copy_from_slice(&self.line[self.at..self.at + count]);
            given += count;
            self.at += count;
            if self.at == self.line.len() {
                (self.at, self.left) = (0, self.left - 1);
            }
        }
        Ok(given)
    }
}

/// Bytes that are often special.
fn awkward() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\xEF\xBB\xBF".to_vec()),
        Just("é€😀".as_bytes().to_vec()),
        Just(b"SELECT".to_vec()),
        any::<[u8; 1]>().prop_map(|byte| byte.to_vec()),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn chunks_do_not_matter(text in awkward(), cuts in 1..9_usize) {
        let whole = normalised(&text, usize::MAX);
        prop_assert_eq!(&whole, &normalised(&text, cuts));
        let mut read = Vec::new();
        let mut reader = normalise(Pieces(&text, cuts));
        let result = reader.read_to_end(&mut read);
        prop_assert_eq!(result.is_ok(), whole.is_ok());
        if whole.is_ok() {
            prop_assert_eq!(reader.checksums(), checksums(&text).unwrap());
        } else {
            prop_assert_eq!(checksums(&text).unwrap_err(), whole.unwrap_err());
        }
    }

    #[test]
    fn nor_do_they_for_placeholders(text in "([${}]|role|a|\n|é){0,24}", cuts in 1..9_usize) {
        let outcome = |cuts| substituted(&text, cuts).map_err(|error| error.to_string());
        prop_assert_eq!(outcome(cuts), outcome(1000));
    }
}

#[test]
fn places_of_the_sent_text_are_found_in_the_file() {
    let mut vars = Vars::new();
    vars.insert("long", "a value\nof two lines").unwrap();
    vars.insert("s", "x").unwrap();
    let text = "é ${s} ${long} b\nc $${s} d ${unknown}";
    // As it is sent: "é x a value\nof two lines b\nc ${s} d ${unknown}".
    let cases = [
        ((1, 1), Some((1, 1))),
        ((1, 2), Some((1, 2))),
        ((1, 3), Some((1, 3))),
        ((1, 4), Some((1, 7))),
        ((1, 5), Some((1, 8))),
        ((2, 3), Some((1, 8))),
        ((2, 13), Some((1, 15))),
        ((2, 14), Some((1, 16))),
        ((3, 1), Some((2, 1))),
        ((3, 3), Some((2, 3))),
        ((3, 8), Some((2, 9))),
        ((3, 10), Some((2, 11))),
        ((9, 1), None),
    ];
    let at = |(line, column): (u32, u32)| Place { line, column };
    let wanted: Vec<Place> = cases.iter().map(|(sent, _)| at(*sent)).collect();
    for size in [1, 3, 1000] {
        let found = places_in_source(Pieces(text.as_bytes(), size), &vars, &wanted).unwrap();
        let expected: Vec<Option<Place>> = cases.iter().map(|(_, file)| file.map(at)).collect();
        assert_eq!(found, expected, "{size}");
    }
}

#[test]
fn names_of_placeholders_are_collected_with_and_without_a_value() {
    let text = "${a} $${b} $$${c} $x$ ${a-b.c} ${\"d\": 1} ${a}";
    for size in [1, 4, 100] {
        let names = names_in(Pieces(text.as_bytes(), size)).unwrap();
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "a-b.c", "c"], "{size}");
    }
}

#[test]
fn what_looks_like_a_placeholder_is_written_as_none() {
    use crate::project::vars::escaped;
    assert_eq!(escaped("a ${name} $${x}$$ ${\"a\": 1} $body$"), "a $${name} $${x}$$ ${\"a\": 1} $body$");
    assert_eq!(escaped("${a} ${b}"), "$${a} $${b}");
    assert_eq!(escaped("'$${q}'"), "'${cutover.dollar}${cutover.dollar}{q}'");
    assert_eq!(escaped("none"), "none");
}

proptest! {
    #[test]
    fn what_is_written_as_none_is_read_as_it_was(text in "[${}a ]{0,14}") {
        let written = crate::project::vars::escaped(&text);
        let mut read = String::new();
        substitute(written.as_bytes(), Vars::new()).read_to_string(&mut read).unwrap();
        prop_assert_eq!(read, text, "{}", written);
    }
}
