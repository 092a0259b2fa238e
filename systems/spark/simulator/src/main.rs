//! `spark-simulator`: many users against systems/spark, and whether everything held.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what a command is for")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use cutover::stop::Stop;
use cutover_postgres::Environment;
use spark_simulator::database::{Target, prepare};
use spark_simulator::plan::DELETING;
use spark_simulator::simulation::{Outcome, Settings, run};
use spark_simulator::summary;
use tokio::signal::unix::{SignalKind, signal};

/// Many users against the matching backend of systems/spark, and whether everything that must hold did
///
/// Users join, say that they are there, vanish, come back, reveal and vote over a few connections, while the 8 schedules run. An
/// eye of its own looks all the time at what must hold. Everything random comes from the seed; in which order the connections get
/// their turn does not.
#[derive(Debug, Parser)]
#[command(name = "spark-simulator", version, max_term_width = 110)]
#[command(after_help = "\
Exit codes: 0 everything held; 1 something did not, or could not be looked at; 2 it could not begin; 130 interrupted twice.
Ctrl-C once ends it before its time, with its report.

At speed 1 cutover's worker runs the schedules. Faster than real time it cannot be, since it counts whole seconds of the server's
clock: then a timer in this program runs them on the simulated time, which each call tells (SET spark.now).

Examples:
  spark-simulator                                              200 users for a minute on a throwaway server
  spark-simulator --users 500 --connections 8 --seed 7
  spark-simulator --men 70                                     where women are scarce
  spark-simulator --speed 20 --seconds 1200                    twenty minutes in one
  spark-simulator --url postgresql://localhost/spark_test      an empty database; what is in it then stays")]
struct Arguments {
    /// How many users there are
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    users: u32,
    /// How many in a hundred men and women are men
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100))]
    men: u32,
    /// Over how many connections they are served
    #[arg(long, value_name = "C", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    connections: u32,
    /// For how many seconds of the simulated time
    #[arg(long, value_name = "M", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Where everything random comes from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many times as fast as real time
    #[arg(long, value_name = "F", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60))]
    speed: u32,
    /// Of how many in a hundred occasions users make use to delete their account, and most come anew
    #[arg(long, value_name = "PERCENT", default_value_t = DELETING, value_parser = clap::value_parser!(u32).range(0..=50))]
    deleting: u32,
    /// Write the report there, in a folder that there is
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// An empty database to simulate in; what is missing in it is applied [default: a throwaway server]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Folder of systems/spark [default: that of the sources this was built from]
    #[arg(long, value_name = "FOLDER")]
    project: Option<PathBuf>,
}

/// It could not begin.
const USAGE: u8 = 2;
/// Interrupted twice.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&format!("cannot start: {error}")),
    };
    runtime.block_on(async {
        let stop = Stop::new();
        if let Err(error) = listen(stop.clone()) {
            return refuse(&format!("cannot listen for signals: {error}"));
        }
        tokio::select! {
            code = simulate(&arguments, &stop) => code,
            // A throwaway server has a guard of its own that sees this end.
            () = stop.cancelled() => ExitCode::from(INTERRUPTED),
        }
    })
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::from(USAGE)
}

async fn simulate(arguments: &Arguments, stop: &Stop) -> ExitCode {
    let environment = Environment {
        vars: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        home: std::env::var_os("HOME").map(PathBuf::from),
        user: std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok(),
    };
    if let Some(why) = arguments.report.as_deref().and_then(cannot_be_written) {
        return refuse(&why);
    }
    let settings = Settings {
        users: arguments.users,
        men: arguments.men,
        connections: arguments.connections,
        seconds: arguments.seconds,
        seed: arguments.seed,
        speed: arguments.speed,
        deleting: arguments.deleting,
    };
    let folder = arguments.project.clone();
    let folder = folder.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
    let begun = async {
        let target = Target::get(arguments.url.as_deref(), &environment).await?;
        let prepared = prepare(&folder, &target.options).await?;
        println!(
            "{} migrations applied to {}, {} checks hold",
            prepared.applied,
            target.described(),
            prepared.checks
        );
        Ok::<_, String>(target)
    };
    let target = tokio::select! {
        target = begun => target,
        () = stop.requested() => return ExitCode::from(INTERRUPTED),
    };
    let target = match target {
        Ok(target) => target,
        Err(why) => return refuse(&why),
    };
    match run(&target.options, &settings, stop).await {
        Ok(outcome) => tell(arguments, &outcome),
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn tell(arguments: &Arguments, outcome: &Outcome) -> ExitCode {
    for line in summary::lines(outcome) {
        println!("{line}");
    }
    if let Some(file) = &arguments.report {
        if let Err(error) = std::fs::write(file, spark_simulator::html::page(outcome)) {
            eprintln!("error: {}: {error}", file.display());
            return ExitCode::FAILURE;
        }
        println!("report     {}", file.display());
    }
    if outcome.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Why no report can be written there, asked before anything is simulated. Folders are nobody's to make: a name that is mistyped is no
/// wish for one.
fn cannot_be_written(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if file.is_dir() {
        return Some(format!("--report {}: this is a folder; name a file in it", file.display()));
    }
    (!folder.is_dir()).then(|| {
        format!(
            "--report {}: there is no folder {}; make it before, or name a file in another one",
            file.display(),
            folder.display()
        )
    })
}

/// Each signal asks once more to stop.
fn listen(stop: Stop) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            stop.request();
            eprintln!("ending; once more ends it at once");
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str]) -> String {
        let all = ["spark-simulator"].iter().chain(arguments);
        Arguments::try_parse_from(all).unwrap_err().to_string()
    }

    #[test]
    fn arguments_are_refused_by_name() {
        assert!(refused(&["--users", "1"]).contains("1 is not in 2..=20000"));
        assert!(refused(&["--speed", "0"]).contains("0 is not in 1..=60"));
        assert!(refused(&["--connections", "many"]).contains("invalid value 'many' for '--connections <C>'"));
        assert!(refused(&["--second", "5"]).contains("--seconds"));
        assert!(refused(&["here"]).contains("unexpected argument 'here'"));
    }

    #[test]
    fn a_report_is_written_into_a_folder_that_is_there() {
        let folder = std::env::temp_dir();
        assert_eq!(cannot_be_written(&folder.join("x.html")), None);
        assert_eq!(cannot_be_written(Path::new("x.html")), None);
        assert!(cannot_be_written(&folder).unwrap().contains("this is a folder"));
        let typo = folder.join("spark-simulator-typo/x.html");
        let why = cannot_be_written(&typo).unwrap();
        assert!(why.contains("there is no folder") && why.contains("spark-simulator-typo;"), "{why}");
        assert!(!typo.parent().unwrap().exists());
    }

    #[test]
    fn defaults_are_those_of_the_help() {
        let arguments = Arguments::try_parse_from(["spark-simulator"]).unwrap();
        assert_eq!((arguments.users, arguments.connections, arguments.seconds), (200, 8, 60));
        assert_eq!((arguments.seed, arguments.speed, arguments.report), (1, 1, None));
        let help = <Arguments as clap::CommandFactory>::command().render_help().to_string();
        for option in
            ["--users", "--connections", "--seconds", "--seed", "--speed", "--report", "--url", "Examples:"]
        {
            assert!(help.contains(option), "{option}");
        }
    }
}
