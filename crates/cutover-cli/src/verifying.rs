//! Measuring and telling of it, for the verbs that verify.

use std::time::Duration;

use cutover::clock::{Clock as _, SystemClock};
use cutover::history::records::History;
use cutover::history::{journal, records, schema};
use cutover::inspect;
use cutover::plan::select::find_stage;
use cutover::project::Project;
use cutover::report::answers;
use cutover::report::format::{count, duration};
use cutover::report::text::{Detail, verification_table};
use cutover::run::{CheckResult, EventKind, Outcome, Run, RunEvent};
use cutover::text::visible;
use cutover::verify::{self, Figure, VerifyRequest};
use cutover_postgres::connect::ConnectOptions;

use crate::app::App;
use crate::error::{CliError, Exit};
use crate::running::print_event;
use crate::surroundings;

/// Measures, prints each answer as a JSON line, and returns them as events that follow `after`.
pub(crate) async fn measure(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    request: &VerifyRequest,
    after: Duration,
) -> Result<Vec<RunEvent>, CliError> {
    let clock = SystemClock::new();
    let history = history(app, project, options).await?;
    let scratch = app.scratch()?;
    let mut events = Vec::new();
    let mut tell = |kind: EventKind| {
        let event = RunEvent { at_micros: clock.now_micros(), elapsed: after + clock.monotonic(), kind };
        if app.output.is_json() {
            print_event(&app.output, &event);
        }
        events.push(event);
    };
    tell(EventKind::VerificationStarted { operator: surroundings::operator(&app.environment) });
    let on_result = |result: &CheckResult| tell(EventKind::CheckDone(result.clone()));
    verify::verify(project, options, &scratch, &history, request, on_result).await?;
    Ok(events)
}

async fn history(app: &App, project: &Project, options: &ConnectOptions) -> Result<History, CliError> {
    let mut session = inspect::connect(options, app.global.wait).await?;
    let history = match schema::look(&mut session).await?.version {
        Some(_) => records::read(&mut session, &project.name).await?,
        None => History::default(),
    };
    session.close().await;
    Ok(history)
}

/// Measures after a run, adds the answers to the run and to the journal, and shows them.
pub(crate) async fn after_run(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    request: &VerifyRequest,
    run: &mut Run,
    detail: Option<Detail>,
) -> Result<(), CliError> {
    let after = run.events.last().map(|event| event.elapsed).unwrap_or_default();
    let request = VerifyRequest { figures: figures(&run.events), ..request.clone() };
    let events = measure(app, project, options, &request, after).await?;
    let recorded = if checks(&events).is_empty() {
        None
    } else if run.outcome == Some(Outcome::Completed) {
        append(options, &run.id, &events).await.err().map(|error| Recorded::No(error.message))
    } else {
        // A run that had nothing to do left no trace; the one before it has.
        Some(record(app, project, options, &events).await)
    };
    let took = elapsed(&events);
    run.events.extend(events);
    // Preconditions, which the run itself measured, are among them.
    app.output.say("");
    print_table(app, &answers(run), took, detail);
    app.output.say("");
    if let Some(recorded) = recorded {
        recorded.tell(app);
    }
    Ok(())
}

/// Adds answers to the journal of this run.
async fn append(options: &ConnectOptions, run: &str, events: &[RunEvent]) -> Result<(), CliError> {
    let mut session = inspect::connect(options, None).await?;
    journal::append_events(&mut session, run, events).await?;
    session.close().await;
    Ok(())
}

/// What became of answers that were to be recorded.
pub(crate) enum Recorded {
    /// In the journal of this run.
    InRun(String),
    /// Nowhere, for this reason.
    No(String),
}

impl Recorded {
    /// Says where the answers are to be found. Only being nowhere is worth a line of its own.
    pub(crate) fn tell(&self, app: &App) {
        match self {
            Self::InRun(run) => app.output.say(&format!("recorded with run {run}")),
            Self::No(why) => app.output.remark(&format!("not recorded: {}", visible(why))),
        }
    }
}

/// Adds answers to the journal of the project's newest run. That they cannot be recorded is no failure: they were
/// measured and are shown.
pub(crate) async fn record(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    events: &[RunEvent],
) -> Recorded {
    match try_record(app, project, options, events).await {
        Ok(recorded) => recorded,
        Err(error) => Recorded::No(error.message),
    }
}

async fn try_record(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    events: &[RunEvent],
) -> Result<Recorded, CliError> {
    if checks(events).is_empty() {
        return Ok(Recorded::No("there is nothing to record".to_owned()));
    }
    let mut session = inspect::connect(options, app.global.wait).await?;
    let none = || Recorded::No(format!("no run of project {} is in this database", project.name));
    if schema::look(&mut session).await?.version.is_none() {
        return Ok(none());
    }
    let Some(run) = journal::list_runs(&mut session, &[&project.name], 1).await?.into_iter().next() else {
        return Ok(none());
    };
    // Its runner numbers its events itself, as long as it is at work.
    if run.outcome.is_none() {
        return Ok(Recorded::No(format!("run {} has not ended, or was killed", run.id)));
    }
    let first = events.first().map_or(run.started_micros, |event| event.at_micros);
    let since = u64::try_from(first.saturating_sub(run.started_micros)).unwrap_or(0);
    let since = Duration::from_micros(since);
    let later = |event: &RunEvent| RunEvent { elapsed: since + event.elapsed, ..event.clone() };
    let events: Vec<RunEvent> = events.iter().map(later).collect();
    session.close().await;
    append(options, &run.id, &events).await?;
    Ok(Recorded::InRun(run.id))
}

/// The figures among events.
fn figures(events: &[RunEvent]) -> Vec<Figure> {
    let figure = |event: &RunEvent| match &event.kind {
        EventKind::Figures { table, rows, digest } => {
            Some(Figure { table: table.clone(), rows: *rows, digest: digest.clone() })
        }
        _ => None,
    };
    events.iter().filter_map(figure).collect()
}

/// Time from the first to the last of these events.
pub(crate) fn elapsed(events: &[RunEvent]) -> Duration {
    let ends = events.first().zip(events.last());
    ends.map(|(first, last)| last.elapsed.saturating_sub(first.elapsed)).unwrap_or_default()
}

/// All answers in a table with the time that measuring took as a whole, where output is for people. What it took besides
/// the checks themselves, to start a server or build the design, is part of it.
pub(crate) fn print_table(app: &App, checks: &[CheckResult], took: Duration, detail: Option<Detail>) {
    if app.output.is_json() {
        return;
    }
    let usual = if app.output.is_quiet() { Detail::Groups } else { Detail::Checks };
    let detail = if app.output.is_verbose() { Detail::Full } else { detail.unwrap_or(usual) };
    app.output.print(&verification_table(checks, detail, app.output.style()));
    if !checks.is_empty() {
        app.output.say(&format!("measured in {}", duration(took)));
    }
}

/// The answers among events.
pub(crate) fn checks(events: &[RunEvent]) -> Vec<CheckResult> {
    let check = |event: &RunEvent| match &event.kind {
        EventKind::CheckDone(result) => Some(result.clone()),
        _ => None,
    };
    events.iter().filter_map(check).collect()
}

/// The verdict on all answers: an error when a claim is false or could not be measured.
pub(crate) fn verdict(results: &[CheckResult]) -> Result<(), CliError> {
    if verify::succeeded(results) {
        return Ok(());
    }
    let bad = results.iter().filter(|result| !verify::succeeded(std::slice::from_ref(result))).count();
    let verb = if bad == 1 { "does" } else { "do" };
    let message = format!(
        "{bad} of {} {verb} not hold or could not be measured",
        count(results.len(), "check", "checks")
    );
    Err(CliError::new(Exit::No, message))
}

/// The index of a stage that is named on the command line.
pub(crate) fn stage(project: &Project, id: Option<&str>) -> Result<Option<usize>, CliError> {
    id.map(|id| find_stage(project, id)).transpose().map_err(CliError::usage)
}
