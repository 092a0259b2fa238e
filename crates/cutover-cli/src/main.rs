//! The `cutover` command. Everything that prints, asks, or reads the environment, the home folder or the terminal
//! lives in this crate; what is done is decided by the library.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this crate is for")]

mod app;
mod args;
mod commands;
mod crash;
mod database;
mod error;
mod help;
mod lsp;
mod output;
mod running;
mod signals;
mod surroundings;
mod terminal;
mod verifying;

#[cfg(test)]
mod reference;

use std::process::ExitCode;

/// An analysis is made of many small texts on one thread that are freed on another: the allocator of the C library takes
/// half as long again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    app::run()
}
