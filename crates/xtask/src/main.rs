//! Chores that are not part of the product: `xtask bench` measures beside floors and peers, `xtask test-majors` runs
//! the tests on every major version of the server, `xtask locks` measures what commands lock, `xtask corpus` generates a large
//! project, `xtask histories` takes public histories of other tools over, `xtask reverts` goes them back.
//!
//! The floors run as processes of their own (`xtask floor …`), like everything they are compared with.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod corpus;
mod floor;
mod histories;
mod locks;
mod majors;
mod reverts;

use std::process::ExitCode;

/// What any chore may fail with; shown to the person who ran it.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["bench", names @ ..] => bench::run(names),
        ["corpus", arguments @ ..] => corpus::run(arguments),
        ["floor", name, rest @ ..] => floor::run(name, rest),
        ["test-majors", arguments @ ..] => majors::run(arguments),
        ["locks", names @ ..] => locks::run(names),
        ["histories", arguments @ ..] => histories::run(arguments),
        ["reverts", arguments @ ..] => reverts::run(arguments),
        _ => Err(
            "usage: xtask bench [apply-tables|apply-chains|apply-trivial|no-op|analysis|lint|digest|catalogue|jobs|large-file]…\n\
                  \x20      xtask corpus FOLDER [MEGABYTES [SEED]]\n\
                  \x20      xtask test-majors [ARGUMENTS OF THE TEST RUNNER]…\n\
                  \x20      xtask locks [PART OF A COMMAND'S NAME]…\n\
                  \x20      xtask histories FOLDER [NAME]…\n\
                  \x20      xtask reverts FOLDER [NAME]…"
                .into(),
        ),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
