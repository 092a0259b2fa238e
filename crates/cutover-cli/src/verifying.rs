//! Measuring and telling of it, for the verbs that verify.

use cutover::clock::{Clock as _, SystemClock};
use cutover::history::records::History;
use cutover::history::{journal, records, schema};
use cutover::inspect;
use cutover::plan::select::find_stage;
use cutover::project::Project;
use cutover::report::format::count;
use cutover::report::text::verification_table;
use cutover::run::{CheckResult, EventKind, Outcome, Run, RunEvent};
use cutover::verify::{self, Figure, VerifyRequest};
use cutover_postgres::connect::ConnectOptions;

use crate::app::App;
use crate::error::{CliError, Exit};
use crate::running::print_event;

/// Measures, prints each answer as a JSON line, and returns them as events that follow `after`.
pub(crate) async fn measure(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    request: &VerifyRequest,
    after: std::time::Duration,
) -> Result<Vec<RunEvent>, CliError> {
    let clock = SystemClock::new();
    let history = history(app, project, options).await?;
    let scratch = app.scratch()?;
    let mut events = Vec::new();
    let on_result = |result: &CheckResult| {
        let event = RunEvent {
            at_micros: clock.now_micros(),
            elapsed: after + clock.monotonic(),
            kind: EventKind::CheckDone(result.clone()),
        };
        if app.output.is_json() {
            print_event(&app.output, &event);
        }
        events.push(event);
    };
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

/// Measures after a run, and adds the answers to the run and, where the run is in the journal, to the journal.
pub(crate) async fn after_run(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    request: &VerifyRequest,
    run: &mut Run,
) -> Result<(), CliError> {
    let after = run.events.last().map(|event| event.elapsed).unwrap_or_default();
    let request = VerifyRequest { figures: figures(&run.events), ..request.clone() };
    let events = measure(app, project, options, &request, after).await?;
    if run.outcome == Some(Outcome::Completed) {
        let mut session = inspect::connect(options, None).await?;
        journal::append_events(&mut session, &run.id, &events).await?;
        session.close().await;
    }
    run.events.extend(events);
    // Preconditions, which the run itself measured, are among them.
    print_table(app, &run.events);
    Ok(())
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

/// All answers among events in a table, where output is for people.
pub(crate) fn print_table(app: &App, events: &[RunEvent]) {
    if !app.output.is_json() {
        app.output.print(&verification_table(&checks(events), app.output.style()));
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
pub(crate) fn verdict(events: &[RunEvent]) -> Result<(), CliError> {
    let results = checks(events);
    if verify::succeeded(&results) {
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
