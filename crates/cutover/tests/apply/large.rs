//! Files far larger than the memory a run may take.

use std::fmt::Write as _;
use std::io::Write as _;

use testkit::database;

use crate::kills::{process, said};
use crate::support::Folder;

/// What a run may take at its peak, whatever the size of its files. 256 MiB is promised; it is about 25, and a bound
/// below the size of the files shows when one is held in memory.
const LIMIT_KB: u64 = 64 << 10;
const SIZE: usize = 100 << 20;

fn peak(text: &str) -> u64 {
    let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_else(|| panic!("{text}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Applies one file in a process of its own and gives its peak memory in KiB.
fn apply_file(folder: &Folder, rows: usize) -> u64 {
    let database = database();
    let output = process(folder, &database).output().unwrap();
    let text = said(&output);
    assert!(text.starts_with("outcome Completed"), "{text}");
    assert_eq!(database.value("SELECT count(*) FROM big"), rows.to_string());
    let peak = peak(&text);
    println!("{peak} KiB");
    peak
}

#[test]
fn a_hundred_megabytes_of_copy_data() {
    let folder = Folder::with(&[]);
    let mut file = std::io::BufWriter::new(std::fs::File::create(folder.path().join("V1__big.sql")).unwrap());
    file.write_all(b"CREATE UNLOGGED TABLE big (n int, t text);\nCOPY big FROM stdin;\n").unwrap();
    let text = "x".repeat(1000);
    let rows = SIZE / 1000;
    for row in 0..rows {
        writeln!(file, "{row}\t{text}").unwrap();
    }
    file.write_all(b"\\.\n").unwrap();
    file.into_inner().unwrap().sync_data().unwrap();
    let peak = apply_file(&folder, rows);
    assert!(peak < LIMIT_KB, "{peak} KiB");
}

#[test]
fn a_hundred_megabytes_of_inserts() {
    let mut text = String::from("CREATE UNLOGGED TABLE big (n int, t text);\n");
    let mut rows = 0;
    let long = "y".repeat(900);
    while text.len() < SIZE {
        writeln!(text, "INSERT INTO big VALUES ({rows}, '{long}');").unwrap();
        rows += 1;
    }
    let folder = Folder::with(&[("V1__big.sql", &text)]);
    drop(text);
    let peak = apply_file(&folder, rows);
    assert!(peak < LIMIT_KB, "{peak} KiB");
}
