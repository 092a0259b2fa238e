//! Whole processes measured in turn on one server, round by round, so that a machine that gets slower meanwhile slows
//! them all; medians, and ratios to the first one, the floor.

mod align;
mod analysis;
mod apply;
mod catalogue;
mod corpus;
mod digest;
mod jobs;
mod large_file;
mod lint;
mod measure;
mod peers;
mod rehearse;
mod spark;

use std::path::PathBuf;

use cutover_postgres::Environment;
use cutover_postgres::sandbox::{Sandbox, SandboxOptions};

use crate::Failure;

/// A bench prints its own table.
type Bench = fn() -> Result<(), Failure>;

/// Where everything of a bench run goes: under cargo's target folder.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("the program is not in a target folder")?;
    Ok(target.join("bench"))
}

/// A program built beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(format!("{} is not built: use `make bench`", path.display()).into())
    }
}

/// A server in memory that never waits for the disk, or one on disk that does.
pub(crate) fn server(on_disk: bool) -> Result<Sandbox, Failure> {
    server_with("512MB", on_disk)
}

/// The same with a cache of its own of this size, as `shared_buffers` has it.
pub(crate) fn server_with(cache: &str, on_disk: bool) -> Result<Sandbox, Failure> {
    let environment = Environment {
        vars: std::env::vars().collect(),
        home: std::env::var_os("HOME").map(Into::into),
        user: None,
    };
    let mut options = SandboxOptions::new(&environment);
    options.durable = on_disk;
    options.settings = vec![("shared_buffers".into(), cache.into()), ("max_wal_size".into(), "4GB".into())];
    if on_disk {
        options.base_dir = Some(options.temporary.clone());
    }
    Ok(Sandbox::start(&options)?)
}

/// Runs the benches named, or all.
pub(crate) fn run(names: &[&str]) -> Result<(), Failure> {
    let all: [(&str, Bench); 13] = [
        ("apply-tables", apply::tables),
        ("apply-chains", apply::chains),
        ("apply-trivial", apply::trivial),
        ("no-op", apply::no_op),
        ("analysis", analysis::run),
        ("lint", lint::run),
        ("digest", digest::run),
        ("catalogue", catalogue::run),
        ("jobs", jobs::run),
        ("large-file", large_file::run),
        ("rehearse", rehearse::run),
        ("align", align::run),
        ("spark", spark::run),
    ];
    for name in names {
        if !all.iter().any(|(known, _)| known == name) {
            let known: Vec<&str> = all.iter().map(|(known, _)| *known).collect();
            return Err(format!("no bench is called {name}; there are {}", known.join(", ")).into());
        }
    }
    for (name, bench) in all {
        if names.is_empty() || names.contains(&name) {
            bench()?;
        }
    }
    Ok(())
}
