//! Other tools, where cargo or pip can install them, in `target/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::measure::Contender;
use crate::Failure;

/// Crate, version, program, features.
const PEERS: &[(&str, &str, &str, &str)] =
    &[("refinery_cli", "0.10.0", "refinery", "postgresql"), ("sqlx-cli", "0.9.0", "sqlx", "postgres,rustls")];

fn root() -> Result<PathBuf, Failure> {
    Ok(super::folder()?.with_file_name("peers"))
}

/// Installs what is missing. A peer that cannot be had is said and left out; its absence proves nothing.
fn program(name: &str) -> Result<Option<PathBuf>, Failure> {
    let root = root()?;
    let path = root.join("bin").join(name);
    if path.exists() {
        return Ok(Some(path));
    }
    let Some((package, version, _, features)) = PEERS.iter().find(|(_, _, program, _)| *program == name)
    else {
        return Err(format!("no peer is called {name}").into());
    };
    println!("installing {package} {version} to compare with (once, some minutes) …");
    let status = Command::new("cargo")
        .args([
            "install",
            "--locked",
            "--quiet",
            "--no-default-features",
            "--features",
            features,
            "--version",
            version,
        ])
        .arg(package)
        .arg("--root")
        .arg(&root)
        .status()?;
    if status.success() {
        return Ok(Some(path));
    }
    println!("{package} could not be installed: it is left out of the comparison");
    Ok(None)
}

/// refinery on a folder of V files.
pub(crate) fn refinery(folder: &Path) -> Result<Option<Contender>, Failure> {
    let Some(program) = program("refinery")? else { return Ok(None) };
    let folder = folder.to_owned();
    Ok(Some(Contender::new("refinery_cli 0.10.0", move |url| {
        let mut command = Command::new(&program);
        command.args(["migrate", "-e", "BENCH_URL", "-p"]).arg(&folder).env("BENCH_URL", url);
        command
    })))
}

/// sqlx on a folder of numbered files.
pub(crate) fn sqlx(folder: &Path) -> Result<Option<Contender>, Failure> {
    let Some(program) = program("sqlx")? else { return Ok(None) };
    let folder = folder.to_owned();
    Ok(Some(Contender::new("sqlx-cli 0.9.0", move |url| {
        let mut command = Command::new(&program);
        command.args(["migrate", "run", "--source"]).arg(&folder).env("DATABASE_URL", url);
        command
    })))
}

/// The version of squawk that is compared with; its wheel holds the program itself.
const SQUAWK: &str = "2.70.0";

/// squawk on the SQL files of a folder, which says what it finds as JSON.
pub(crate) fn squawk(folder: &Path) -> Result<Option<Contender>, Failure> {
    let root = root()?.join("squawk");
    let program = root.join("bin").join("squawk");
    if !program.exists() {
        println!("installing squawk {SQUAWK} to compare with …");
        let status = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
            .arg(&root)
            .arg(format!("squawk-cli=={SQUAWK}"))
            .status();
        if !status.is_ok_and(|status| status.success()) || !program.exists() {
            println!("squawk could not be installed: it is left out of the comparison");
            return Ok(None);
        }
    }
    let pattern = folder.join("*.sql");
    Ok(Some(Contender::new(&format!("squawk {SQUAWK}, JSON"), move |_| {
        let mut command = Command::new(&program);
        command.args(["--reporter", "json"]).arg(&pattern);
        command
    })))
}
