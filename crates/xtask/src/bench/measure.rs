//! Time and memory of whole processes.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// Something that is measured: a label and how to run it against a URL.
pub(crate) struct Contender {
    pub(crate) label: String,
    pub(crate) command: Box<dyn Fn(&str) -> Command>,
}

impl Contender {
    pub(crate) fn new(label: &str, command: impl Fn(&str) -> Command + 'static) -> Self {
        Self { label: label.to_owned(), command: Box::new(command) }
    }
}

/// A bound on the ratio to the floor that the project promises for a label.
pub(crate) struct Bound {
    pub(crate) label: &'static str,
    pub(crate) at_most: f64,
}

/// Runs a process to its end. Its output is shown only if it fails.
pub(crate) fn time(command: Command) -> Result<Duration, Failure> {
    time_of(command, &[0])
}

/// The same for a process that says by how it ends what it has found.
pub(crate) fn time_of(mut command: Command, accepted: &[i32]) -> Result<Duration, Failure> {
    command.stdin(Stdio::null());
    let start = Instant::now();
    let output = command.output()?;
    let took = start.elapsed();
    if !output.status.code().is_some_and(|code| accepted.contains(&code)) {
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        return Err(format!("{command:?} failed: {}", said.chars().take(2000).collect::<String>()).into());
    }
    Ok(took)
}

/// Peak resident memory of a process in KiB, and its time, by GNU time.
pub(crate) fn memory(command: &Command) -> Result<(u64, Duration), Failure> {
    let report: PathBuf = super::folder()?.join("peak-memory");
    let mut wrapped = Command::new("/usr/bin/time");
    wrapped
        .arg("--format=%M")
        .arg("--output")
        .arg(&report)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            wrapped.env(name, value);
        }
    }
    let took = time(wrapped).map_err(|error| format!("{error} (GNU time is needed to measure memory)"))?;
    let text = std::fs::read_to_string(&report)?;
    let last = text.lines().last().unwrap_or_default();
    Ok((last.trim().parse()?, took))
}

/// KiB as MiB, for people.
pub(crate) fn mebibytes(kib: u64) -> f64 {
    u32::try_from(kib).map_or(f64::INFINITY, |kib| f64::from(kib) / 1024.0)
}

pub(crate) fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Prints a table of medians and ratios to the first contender, and whether the promised bounds hold.
pub(crate) fn report(title: &str, rows: &mut [(String, Vec<Duration>)], bounds: &[Bound]) {
    println!("\n{title}");
    let floor = rows.first_mut().map_or(Duration::ZERO, |(_, times)| median(times)).as_secs_f64();
    for (label, times) in rows.iter_mut() {
        let middle = median(times);
        let (least, most) =
            (times.first().copied().unwrap_or_default(), times.last().copied().unwrap_or_default());
        let ratio = middle.as_secs_f64() / floor;
        let verdict = bounds.iter().find(|bound| bound.label == label).map_or(String::new(), |bound| {
            let word = if ratio <= bound.at_most { "holds" } else { "MISSED" };
            format!("   promised <= {:.2}: {word}", bound.at_most)
        });
        println!(
            "  {label:<28} {:>9.1} ms   {ratio:>6.2}   ({:.1} to {:.1}){verdict}",
            middle.as_secs_f64() * 1e3,
            least.as_secs_f64() * 1e3,
            most.as_secs_f64() * 1e3,
        );
    }
}
