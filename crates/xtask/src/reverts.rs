//! Public histories of other tools gone back: each is applied by cutover as an ordinary role, rows are put in, and all of it is
//! reverted, once by its own down files and once by what undoes its migrations. What cannot be reverted is named with why. In the
//! end the catalogue must be that of the database before, but for what the ways back were said to leave.
//!
//! The folder and its list are those of [`crate::histories`].

use std::process::Command;
use std::time::Instant;

use crate::Failure;
use crate::histories::{self, ROWS, Stage};

/// What is accepted: the point is what is told of it.
const ALLOWED: [&str; 6] = ["--allow", "data-loss", "--allow", "rows-stay", "--allow", "revert-differs"];

/// Reverts every history of a list.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Failure> {
    histories::each("reverts", arguments, go_back)
}

fn go_back(stage: &Stage<'_>) -> Result<String, Failure> {
    let by_files = stage.project.migrations.iter().filter(|migration| migration.down.is_some()).count();
    let files = by_down_files(stage).map_err(|error| format!("by its down files: {error}"))?;
    let derived = with_rows_or_without(stage, "derived", &["--derive", "all"]);
    let (left, how) = derived.map_err(|error| format!("by what undoes its migrations: {error}"))?;
    if !left.is_empty() {
        return Err(format!("what undoes its migrations leaves:\n{}", left.join("\n")).into());
    }
    Ok(format!(
        "{} migrations, {by_files} with a down file; {files}; by what undoes them all of it {how}, and nothing is left",
        stage.project.migrations.len(),
    ))
}

/// By its own down files, as far as they work: what does not is said.
fn by_down_files(stage: &Stage<'_>) -> Result<String, Failure> {
    let name = &stage.history.name;
    match reverted(stage, "files", &[], true) {
        Ok((left, took)) => {
            return Ok(told(name, &left, &format!("with rows, {took:.1} s"), "by its down files"));
        }
        Err(error) => println!("{name}: by all its down files: {error}"),
    }
    let (left, how) = with_rows_or_without(stage, "failing", &["--derive", "failing"])?;
    Ok(told(name, &left, &how, "by those of its down files that work"))
}

/// With rows, else without: rows that do not fit what was before stop a way back.
fn with_rows_or_without(
    stage: &Stage<'_>,
    database: &str,
    how: &[&str],
) -> Result<(Vec<String>, String), Failure> {
    match reverted(stage, database, how, true) {
        Ok((left, took)) => return Ok((left, format!("with rows, {took:.1} s"))),
        Err(error) => println!("{}: {}, with rows: {error}", stage.history.name, how.join(" ")),
    }
    let (left, took) = reverted(stage, &format!("{database}_empty"), how, false)?;
    Ok((left, format!("without rows, {took:.1} s")))
}

fn told(name: &str, left: &[String], took: &str, how: &str) -> String {
    for line in left {
        println!("{name}: left: {line}");
    }
    format!("{how} all of it {took}, {} lines of the catalogue are other ones", left.len())
}

/// Applies, puts rows in if so, and reverts all; the lines by which the catalogue is another one then than before, and the seconds
/// that the way back took.
fn reverted(
    stage: &Stage<'_>,
    database: &str,
    how: &[&str],
    rows: bool,
) -> Result<(Vec<String>, f64), Failure> {
    stage.database(database)?;
    let before = stage.dump(database)?;
    stage.cutover(database, &["apply", "--yes", "--allow", "empty-migration"])?;
    if rows {
        stage.psql("app", database, ROWS)?;
    }
    let verb = [&["revert", "--all", "--yes"], &ALLOWED[..], how].concat();
    let began = Instant::now();
    let outcome = all_of(&mut stage.program(database, &verb)?);
    let took = began.elapsed().as_secs_f64();
    outcome?;
    let after = stage.dump(database)?;
    let not_in = |line: &&str, other: &str| !other.lines().any(|known| known == *line) && !line.is_empty();
    let more = after.lines().filter(|line| not_in(line, &before)).map(|line| format!("+ {line}"));
    let less = before.lines().filter(|line| not_in(line, &after)).map(|line| format!("- {line}"));
    Ok((more.chain(less).collect(), took))
}

/// Runs a command to its end; all that it said of what went wrong is the error.
fn all_of(command: &mut Command) -> Result<(), Failure> {
    let output = command.output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
    }
}
