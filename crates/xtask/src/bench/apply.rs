//! Applying many small files, and finding nothing to do.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cutover_postgres::sandbox::Sandbox;

use super::corpus::{self, Kind};
use super::measure::{self, Bound, Contender};
use super::{beside, peers, server};
use crate::Failure;

const ROUNDS: usize = 7;

pub(super) fn cutover(label: &str, folder: &Path, flags: &[&'static str]) -> Result<Contender, Failure> {
    let program = beside("cutover")?;
    let (folder, flags) = (folder.to_owned(), flags.to_vec());
    Ok(Contender::new(label, move |url| {
        let mut command = Command::new(&program);
        command.arg("-C").arg(&folder).args(["apply", "--quiet"]).args(&flags).env("DATABASE_URL", url);
        command
    }))
}

fn floor(name: &'static str, folder: &Path) -> Result<Contender, Failure> {
    let program = std::env::current_exe()?;
    let folder = folder.to_owned();
    Ok(Contender::new("floor", move |url| {
        let mut command = Command::new(&program);
        command.args(["floor", name]).arg(&folder).arg(url);
        command
    }))
}

/// 1,000 files with a table and an index each, in memory.
pub(crate) fn tables() -> Result<(), Failure> {
    let folder = corpus::folder("tables", Kind::Tables, 1000)?;
    let sqlx = corpus::sqlx_folder("tables", Kind::Tables, 1000)?;
    let mut contenders = vec![
        floor("apply", &folder)?,
        cutover("cutover", &folder, &[])?,
        cutover("cutover --jobs 2", &folder, &["--jobs", "2"])?,
    ];
    contenders.extend(peers::refinery(&folder)?);
    contenders.extend(peers::sqlx(&sqlx)?);
    let server = server(false)?;
    let mut rows = fresh_databases(&server, &contenders)?;
    let bounds = [Bound { label: "cutover", at_most: 1.3 }];
    measure::report("apply 1,000 files, a table and an index each (server in memory)", &mut rows, &bounds);
    Ok(())
}

/// 1,000 files with a table and an index each in ten chains of foreign keys, in memory.
pub(crate) fn chains() -> Result<(), Failure> {
    let folder = corpus::folder("chains", Kind::Chains, 1000)?;
    let contenders = [
        floor("apply", &folder)?,
        cutover("cutover", &folder, &[])?,
        cutover("cutover --jobs 2", &folder, &["--jobs", "2"])?,
    ];
    let server = server(false)?;
    let mut rows = fresh_databases(&server, &contenders)?;
    let bounds = [Bound { label: "cutover --jobs 2", at_most: 0.9 }];
    measure::report(
        "apply 1,000 files, a table and an index each, in ten chains (in memory)",
        &mut rows,
        &bounds,
    );
    Ok(())
}

/// 1,000 files without relation files, on a disk that is waited for.
pub(crate) fn trivial() -> Result<(), Failure> {
    let folder = corpus::folder("trivial", Kind::Trivial, 1000)?;
    let sqlx = corpus::sqlx_folder("trivial", Kind::Trivial, 1000)?;
    let mut contenders = vec![
        floor("apply", &folder)?,
        cutover("cutover", &folder, &[])?,
        cutover("cutover --durable-each", &folder, &["--durable-each"])?,
        cutover("cutover --jobs 2", &folder, &["--jobs", "2"])?,
    ];
    contenders.extend(peers::refinery(&folder)?);
    contenders.extend(peers::sqlx(&sqlx)?);
    let server = server(true)?;
    let mut rows = fresh_databases(&server, &contenders)?;
    // Where nothing can run side by side, several sessions must not lose to one.
    let bounds =
        [Bound { label: "cutover", at_most: 0.8 }, Bound { label: "cutover --jobs 2", at_most: 0.8 }];
    measure::report("apply 1,000 trivial files (server on disk, fsync on)", &mut rows, &bounds);
    Ok(())
}

/// Nothing to do, 10,000 files applied.
pub(crate) fn no_op() -> Result<(), Failure> {
    const FILES: usize = 10_000;
    let folder = corpus::folder("applied", Kind::Trivial, FILES)?;
    let sqlx = corpus::sqlx_folder("applied", Kind::Trivial, FILES)?;
    let mut contenders = vec![floor("no-op", &folder)?, cutover("cutover", &folder, &[])?];
    contenders.extend(peers::refinery(&folder)?);
    contenders.extend(peers::sqlx(&sqlx)?);
    let server = server(false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut urls = Vec::new();
    for (n, contender) in contenders.iter().enumerate() {
        let name = format!("applied_{n}");
        runtime.block_on(server.create_database(&name, None))?;
        let url = server.url(&name);
        let first =
            if n == 0 { floor("apply", &folder)? } else { Contender::new("", |_| Command::new("true")) };
        measure::time(if n == 0 { (first.command)(&url) } else { (contender.command)(&url) })?;
        urls.push(url);
    }
    let mut rows: Vec<(String, Vec<Duration>)> =
        contenders.iter().map(|c| (c.label.clone(), Vec::new())).collect();
    for _ in 0..ROUNDS * 2 {
        for ((contender, url), (_, times)) in contenders.iter().zip(&urls).zip(&mut rows) {
            times.push(measure::time((contender.command)(url))?);
        }
    }
    let bounds = [Bound { label: "cutover", at_most: 1.1 }];
    measure::report("nothing to do, 10,000 applied files", &mut rows, &bounds);
    adopted()
}

/// Nothing to do, 1,000 files that another tool has applied and cutover has adopted.
fn adopted() -> Result<(), Failure> {
    const FILES: usize = 1000;
    let folder = corpus::folder("adopted", Kind::Trivial, FILES)?;
    let sqlx = corpus::sqlx_folder("adopted", Kind::Trivial, FILES)?;
    let server = server(false)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut contenders = Vec::new();
    let mut database = |first: &dyn Fn(&str) -> Command, contender: Contender| -> Result<String, Failure> {
        let name = format!("adopted_{}", contenders.len());
        runtime.block_on(server.create_database(&name, None))?;
        let url = server.url(&name);
        measure::time(first(&url))?;
        contenders.push((contender, url.clone()));
        Ok(url)
    };
    let first = floor("apply", &folder)?;
    database(&first.command, floor("no-op", &folder)?)?;
    for (label, folder, peer) in [
        ("cutover, from sqlx", &sqlx, peers::sqlx(&sqlx)?),
        ("cutover, from refinery", &folder, peers::refinery(&folder)?),
    ] {
        let Some(peer) = peer else { continue };
        let url = database(&peer.command, cutover(label, folder, &[])?)?;
        let mut adopt = Command::new(beside("cutover")?);
        adopt.arg("-C").arg(folder).args(["adopt", "--yes"]).env("DATABASE_URL", url);
        measure::time(adopt)?;
    }
    let mut rows: Vec<(String, Vec<Duration>)> =
        contenders.iter().map(|(contender, _)| (contender.label.clone(), Vec::new())).collect();
    for _ in 0..ROUNDS * 2 {
        for ((contender, url), (_, times)) in contenders.iter().zip(&mut rows) {
            times.push(measure::time((contender.command)(url))?);
        }
    }
    let bounds = [
        Bound { label: "cutover, from sqlx", at_most: 2.0 },
        Bound { label: "cutover, from refinery", at_most: 2.0 },
    ];
    measure::report("nothing to do, 1,000 files adopted from another tool", &mut rows, &bounds);
    Ok(())
}

/// Each contender in turn on a database of its own, round by round; the first round warms up and is not counted.
fn fresh_databases(
    server: &Sandbox,
    contenders: &[Contender],
) -> Result<Vec<(String, Vec<Duration>)>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rows: Vec<(String, Vec<Duration>)> =
        contenders.iter().map(|c| (c.label.clone(), Vec::new())).collect();
    for round in 0..=ROUNDS {
        for (n, (contender, (_, times))) in contenders.iter().zip(&mut rows).enumerate() {
            let name = format!("apply_{round}_{n}");
            runtime.block_on(server.create_database(&name, None))?;
            let took = measure::time((contender.command)(&server.url(&name)))?;
            if round > 0 {
                times.push(took);
            }
            runtime.block_on(server.drop_database(&name))?;
        }
    }
    Ok(rows)
}
