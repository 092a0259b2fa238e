//! The crate is a function of its input: nothing in its sources reaches the world outside.
#![allow(clippy::unwrap_used, reason = "a test helper")]

use std::path::Path;

const FORBIDDEN: [&str; 7] =
    ["std::fs", "std::net", "std::env", "std::process", "std::time", "tokio", "tracing"];

fn check(folder: &Path, checked: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check(&path, checked);
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            for word in FORBIDDEN {
                assert!(!text.contains(word), "{} uses {word}", path.display());
            }
            let is_shim = path.ends_with("sql/ffi.rs");
            assert!(is_shim || !text.contains("unsafe"), "{} has unsafe code", path.display());
            *checked += 1;
        }
    }
}

#[test]
fn the_sources_are_pure() {
    let mut checked = 0;
    check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut checked);
    assert!(checked > 20);
}
