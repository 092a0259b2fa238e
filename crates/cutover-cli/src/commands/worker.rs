//! `cutover worker`.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Args, Subcommand};
use cutover::project::{Overrides, Project};
use cutover::report::format::count;
use cutover::stop::Stop;
use cutover::text::visible;
use cutover_postgres::session::Startup;
use cutover_worker::{JobStatus, RunEnd, RunOutcome, Settings, WorkerEvent, pg_cron};
use serde::Serialize;

use crate::app::App;
use crate::args::duration;
use crate::error::{CliError, Exit};
use crate::output::{FORMAT_VERSION, Output};
use crate::signals::Signals;
use crate::surroundings;

/// Run jobs on time: those of [[job]] in cutover.toml, and those that SQL declares
///
/// Any number of workers on any machines share the jobs of a database, each run is recorded there, and no two runs of one job
/// overlap. Ctrl-C or SIGTERM once finishes what runs and takes nothing more, twice cancels it. See docs/worker.md.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
It makes schema cutover_worker where it is not there yet. It ends with 0 once it is asked to stop and has finished what ran, with
130 where that was cancelled, and comes back by itself when the database was away.

Examples:
  cutover worker --metrics 9187        figures for Prometheus on http://127.0.0.1:9187/metrics
  cutover worker --jobs 8 --wait 60s
  cutover worker status                each job: its last run, and when it is due next
  cutover worker pg-cron               the same jobs run by the extension pg_cron, without a worker")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// How many jobs it runs at once, each on a connection of its own
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// After how long without a sign of life another worker takes over what this one runs
    #[arg(long, value_name = "DURATION", value_parser = a_while, default_value = "30s")]
    lease: Duration,
    /// How often to look at the least, whether or not anything is known to be due
    #[arg(long, value_name = "DURATION", value_parser = a_while, default_value = "2s")]
    poll: Duration,
    /// How long runs are remembered; the last one of each job always is
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "7d")]
    keep: Duration,
    /// How long what runs may go on once it is asked to stop; then it is cancelled, and run again later
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s")]
    finish: Duration,
    /// Do not listen for changed declarations; they are noticed when it looks
    #[arg(long)]
    no_listen: bool,
    /// Serve figures for Prometheus there, under /metrics: a port of 127.0.0.1, or an address with a port
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    metrics: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(StatusArguments),
    PgCron(PgCronArguments),
}

/// Show each job: its last run, and when it is due next
#[derive(Debug, Args)]
struct StatusArguments {
    /// End with 1 when a job is overdue, cannot be run, or its last run did not do its work
    #[arg(long)]
    exit_code: bool,
}

/// Make the same declarations jobs of the extension `pg_cron`, which needs no worker
///
/// Declares the jobs of cutover.toml, and gives all that are enabled to `pg_cron`: all or none. Workers do not run them any more.
/// Seconds need `pg_cron` 1.5. What it cannot do is refused by name, or said where a job loses something by it.
#[derive(Debug, Args)]
struct PgCronArguments {
    /// Take them back: workers run them again
    #[arg(long)]
    undo: bool,
}

/// At least 100 ms.
fn a_while(text: &str) -> Result<Duration, String> {
    let given = duration(text)?;
    if given < Duration::from_millis(100) { Err("at least 100ms".to_owned()) } else { Ok(given) }
}

/// A port of this machine, or an address with a port.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| "expected a port, or an address with a port such as 127.0.0.1:9187".to_owned())
}

impl Arguments {
    /// Whether it works until it is asked to stop.
    pub(crate) fn works(&self) -> bool {
        self.verb.is_none()
    }

    fn settings(&self, app: &App) -> Settings {
        let name = format!("{}:{}", surroundings::operator(&app.environment), std::process::id());
        Settings {
            jobs: usize::from(self.jobs),
            lease: self.lease,
            poll: self.poll,
            keep: self.keep,
            finish: self.finish,
            wait: app.global.wait,
            listen: !self.no_listen,
            metrics: self.metrics,
            ..Settings::new(name)
        }
    }
}

pub(crate) fn run(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    match &arguments.verb {
        None => work(app, arguments),
        Some(Verb::Status(arguments)) => status(app, arguments),
        Some(Verb::PgCron(arguments)) => give(app, arguments),
    }
}

/// What `cutover.toml` says, if there is one; all that is wrong with its jobs is said at once. Where a worker runs, migrations
/// often are not.
fn project(app: &App) -> Result<Project, CliError> {
    let draft = Project::without_migrations(&app.folder()?, &Overrides::default())?;
    let mut problems = cutover_worker::problems(&draft.project);
    problems.absorb(draft.problems);
    if problems.is_empty() { Ok(draft.project) } else { Err(CliError::usage(problems.sorted())) }
}

/// Without a file there is nothing it could not declare any more.
fn declaring(project: &Project) -> Option<&Project> {
    project.config_path.is_some().then_some(project)
}

fn work(app: &App, arguments: &Arguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("worker", "")?;
    let project = project(app)?;
    let settings = arguments.settings(app);
    app.block_on(async |signals| {
        let target = signals.or_end(app.target(&project)).await?;
        // What it runs is nothing to be left without a word, however late this thread looks: asked to stop it ends by itself.
        signals.guard().store(true, Ordering::Relaxed);
        let stop = Stop::new();
        let mut told = |event: &WorkerEvent| tell(&app.output, event);
        let declaring = declaring(&project);
        let working = Box::pin(cutover_worker::run(&target.options, declaring, &settings, &stop, &mut told));
        in_stages(&app.output, signals, &stop, working).await
    })
}

/// Heeds signals: the first one finishes what runs, the second cancels it, the third lets go.
async fn in_stages(
    output: &Output,
    signals: &mut Signals,
    stop: &Stop,
    working: impl Future<Output = Result<cutover_worker::Summary, cutover_worker::WorkerError>>,
) -> Result<Exit, CliError> {
    let mut working = pin!(working);
    let mut heard = 0_u8;
    loop {
        tokio::select! {
            ended = &mut working => {
                let summary = ended?;
                output.say(&format!("stopped: {} done, {} failed, {} cut off", summary.done, summary.failed, summary.lost));
                return Ok(if heard > 1 { Exit::Interrupted } else { Exit::Done });
            }
            () = signals.next() => {}
        }
        heard = heard.saturating_add(1);
        match heard {
            1 => output.remark("stopping: what runs is finished; once more cancels it"),
            2 => output.remark("cancelling what runs"),
            _ => {
                let message = "left without waiting for the server, which rolls back what was not committed";
                return Err(CliError::new(Exit::Interrupted, message));
            }
        }
        stop.request();
    }
}

/// An event as one line of JSON.
#[derive(Serialize)]
struct EventLine<'a> {
    format_version: u32,
    #[serde(flatten)]
    event: &'a WorkerEvent,
}

fn tell(output: &Output, event: &WorkerEvent) {
    if output.is_json() {
        // An event is made of text and numbers: there is nothing JSON could not say.
        let _ = output.json(&EventLine { format_version: FORMAT_VERSION, event });
        return;
    }
    match event {
        WorkerEvent::Started { worker, made_schema, declared, removed } => {
            let made = if *made_schema { "; made schema cutover_worker" } else { "" };
            let declared = match (declared, removed) {
                (0, 0) => String::new(),
                (declared, removed) => format!("; declared {declared}, took away {removed}"),
            };
            output.say(&format!("worker {} begins{made}{declared}", visible(worker)));
        }
        WorkerEvent::RunEnded(end) => run_ended(output, end),
        WorkerEvent::Skipped { job } => {
            output.warn(&format!("{}: due times were missed, and left out", visible(job)));
        }
        WorkerEvent::Problem { job, why } => output.warn(&format!("{}: {}", visible(job), visible(why))),
        WorkerEvent::Disconnected { why } => {
            output.warn(&format!("the database is away, trying again: {}", visible(why)));
        }
        WorkerEvent::Connected => output.remark("the database is there again"),
        WorkerEvent::Stopping { running } => {
            output.remark(&format!("waiting for {}", count(*running, "run", "runs")));
        }
    }
}

fn run_ended(output: &Output, end: &RunEnd) {
    let job = visible(&end.job);
    let why = end.error.as_deref().map_or_else(String::new, |why| format!(": {}", visible(why)));
    let again = if end.again { "; it is tried again" } else { "" };
    let said = match end.outcome {
        RunOutcome::Done if output.is_verbose() => {
            return output.say(&format!("{job}: done in {:.3} s", end.seconds));
        }
        RunOutcome::Done => return,
        RunOutcome::Failed => "failed",
        RunOutcome::TimedOut => "took too long",
        RunOutcome::Lost => "cancelled",
        RunOutcome::Unknown => "cut off",
    };
    output.warn(&format!("{job}: {said} (try {}){why}{again}", end.attempt));
}

/// What `worker status` says, as JSON.
#[derive(Serialize)]
struct Document<'a> {
    format_version: u32,
    database: &'a str,
    jobs: &'a [JobStatus],
}

fn status(app: &App, arguments: &StatusArguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("worker status", "")?;
    let project = project(app)?;
    let (database, jobs) = app.block_on(async |signals| {
        let asking = async {
            let target = app.target(&project).await?;
            let startup = Startup { wait: app.global.wait, ..Startup::default() };
            let jobs = cutover_worker::status(&target.options, &startup).await?;
            Ok((target.options.database, jobs))
        };
        signals.or_end(Box::pin(asking)).await
    })?;
    if app.output.is_json() {
        app.output.json(&Document { format_version: FORMAT_VERSION, database: &database, jobs: &jobs })?;
    } else {
        app.output.print(&text(&jobs));
    }
    let amiss = jobs.iter().any(JobStatus::is_amiss);
    Ok(if arguments.exit_code && amiss { Exit::No } else { Exit::Done })
}

fn text(jobs: &[JobStatus]) -> String {
    if jobs.is_empty() {
        return "no jobs are declared\n".to_owned();
    }
    let wide = |of: fn(&JobStatus) -> &str| {
        jobs.iter().map(|job| visible(of(job)).chars().count()).max().unwrap_or(0)
    };
    let (names, schedules) = (wide(|job| &job.name), wide(|job| &job.schedule));
    let mut text = String::new();
    for job in jobs {
        let last = match (&job.last_outcome, &job.last_ended) {
            (Some(outcome), Some(ended)) => format!("{outcome} {ended}"),
            _ if job.runner == "pg_cron" => "its runs are in cron.job_run_details".to_owned(),
            _ => "never run".to_owned(),
        };
        let next = if !job.enabled {
            "disabled".to_owned()
        } else if job.runner == "pg_cron" {
            "run by pg_cron".to_owned()
        } else if job.running {
            format!("running on {}", visible(job.worker.as_deref().unwrap_or_default()))
        } else {
            let overdue = if job.overdue { " (overdue)" } else { "" };
            format!("next {}{overdue}", job.next_at.as_deref().unwrap_or("not known: no worker has looked"))
        };
        let (name, schedule) = (visible(&job.name), visible(&job.schedule));
        let _ = writeln!(text, "{name:names$}  {schedule:schedules$}  {last}  {next}");
        let error = job.last_error.as_deref().filter(|_| job.last_outcome.as_deref() != Some("done"));
        for (what, why) in [("last error", error), ("problem", job.problem.as_deref())] {
            if let Some(why) = why {
                let _ = writeln!(text, "  {what}: {}", visible(why));
            }
        }
        if job.gaps > 0 {
            let _ = writeln!(
                text,
                "  due times were left out {}",
                count(usize::try_from(job.gaps).unwrap_or(0), "time", "times")
            );
        }
    }
    text
}

fn give(app: &App, arguments: &PgCronArguments) -> Result<Exit, CliError> {
    app.not_in_a_sandbox("worker pg-cron", "")?;
    let project = project(app)?;
    let given = app.block_on(async |signals| {
        let giving = async {
            let target = app.target(&project).await?;
            let startup = Startup { wait: app.global.wait, ..Startup::default() };
            Ok(if arguments.undo {
                pg_cron::take_back(&target.options, &startup).await?
            } else {
                pg_cron::give(&target.options, declaring(&project), &startup).await?
            })
        };
        signals.or_end(Box::pin(giving)).await
    })?;
    for (name, schedule) in &given.jobs {
        app.output.say(&format!("{}: {schedule}", visible(name)));
    }
    for name in &given.removed {
        app.output.say(&format!("{}: taken away from pg_cron", visible(name)));
    }
    for remark in &given.remarks {
        app.output.warn(&visible(remark));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        assert_eq!(address("9187"), Ok("127.0.0.1:9187".parse().unwrap()));
        assert_eq!(address("[::1]:1"), Ok("[::1]:1".parse().unwrap()));
        assert!(address("localhost:1").is_err() && address("99999").is_err());
        assert!(a_while("10ms").is_err() && a_while("1s").is_ok());
    }
}
