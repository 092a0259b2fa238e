//! A run as it is watched from the command line: a line for each event, signals, and how it ended.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cutover::apply::{self, Context, Request};
use cutover::clock::{Clock as _, SystemClock};
use cutover::history::journal;
use cutover::inspect;
use cutover::lint::told;
use cutover::plan::build::empty_stage;
use cutover::plan::select::{Selection, find_stage};
use cutover::project::Project;
use cutover::report::text::{Progress, summary};
use cutover::run::{EventKind, FORMAT_VERSION, Outcome, Run, RunEvent};
use cutover::stop::Stop;
use cutover_postgres::connect::ConnectOptions;
use serde::Serialize;

use crate::app::App;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::signals::Signals;
use crate::{crash, surroundings};

/// An event as one line of JSON.
#[derive(Serialize)]
struct EventLine<'a> {
    format_version: u32,
    #[serde(flatten)]
    event: &'a RunEvent,
}

/// Prints an event as one line of JSON.
pub(crate) fn print_event(output: &Output, event: &RunEvent) {
    // An event is made of text and numbers: there is nothing JSON could not say.
    let _ = output.json(&EventLine { format_version: FORMAT_VERSION, event });
}

/// Prints events as they happen.
pub(crate) struct Reporter<'a> {
    output: &'a Output,
    project: &'a Project,
    /// Whether what is left out on purpose gets a line.
    left_out: bool,
    /// Made at the first event: a run with nothing to do needs none.
    progress: Option<Progress<'a>>,
}

impl<'a> Reporter<'a> {
    fn new(output: &'a Output, project: &'a Project, left_out: bool) -> Self {
        Self { output, project, left_out, progress: None }
    }

    fn event(&mut self, event: &RunEvent) {
        if self.output.is_json() {
            print_event(self.output, event);
        } else {
            self.line(event);
        }
        if let EventKind::StepFailed { message, .. } = &event.kind {
            // At once: what runs beside it may take its time.
            self.output.error(&CliError::new(Exit::RolledBack, message));
        }
    }

    fn line(&mut self, event: &RunEvent) {
        let is_silent = match &event.kind {
            EventKind::StepSkipped { .. } => !self.left_out,
            EventKind::RunFinished { outcome: Outcome::NothingToDo } => true,
            _ => false,
        };
        if is_silent {
            return;
        }
        let (style, project) = (self.output.style(), self.project);
        let progress = self.progress.get_or_insert_with(|| Progress::of(&project.migrations, style));
        let mut lines = progress.lines(event);
        if matches!(event.kind, EventKind::StepFailed { .. })
            && let Some(last) = lines.last_mut()
        {
            // What failed and why is the error's to say, on standard error.
            last.truncate(last.find('\n').unwrap_or(last.len()));
        }
        for line in lines {
            self.output.say(&line);
        }
    }
}

/// What is to be said before a run towards a stage that has no migrations.
fn empty_target(project: &Project, selection: &Selection) -> Option<String> {
    let stage = find_stage(project, selection.to_stage.as_deref()?).ok()?;
    empty_stage(project, stage)
}

/// Applies and tells of it; `left_out` says whether also of what is left out on purpose.
pub(crate) async fn apply(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    request: &Request,
    signals: &mut Signals,
    left_out: bool,
) -> Result<Run, CliError> {
    let clock = SystemClock::new();
    let stop = Stop::new();
    let begun = signals.guard();
    let mut id = None;
    if let Some(words) = empty_target(project, &request.selection) {
        app.output.say(&format!("note: {}", cutover::text::visible(&words)));
    }
    let mut reporter = Reporter::new(&app.output, project, left_out);
    let mut sink = |event: &RunEvent| {
        match &event.kind {
            EventKind::RunStarted { run, .. } => id = Some(run.clone()),
            EventKind::StepStarted { .. } => begun.store(true, Ordering::Relaxed),
            _ => {}
        }
        reporter.event(event);
    };
    let context = Context {
        clock: &clock,
        sink: &mut sink,
        stop: stop.clone(),
        operator: surroundings::operator(&app.environment),
        tool: concat!("cutover ", env!("CARGO_PKG_VERSION")).to_owned(),
        crash: crash::points(&app.environment)?,
    };
    let work = Box::pin(apply::apply(project, options, request, context));
    let result = signals.in_stages(&stop, || !begun.load(Ordering::Relaxed), &app.output, work).await;
    let left = !begun.swap(false, Ordering::Relaxed) && result.is_err();
    if let Some(id) = id.filter(|_| left) {
        let _ = tokio::time::timeout(NOTE_LIMIT, note_interruption(options, &id, &clock)).await;
    }
    Ok(result??)
}

/// How long to try to record an interruption: 10 s. Whoever interrupts does not want to wait for a network that swallows it.
const NOTE_LIMIT: Duration = Duration::from_secs(10);

/// Records that a run was interrupted before its first step. Where that cannot be written, the run has no recorded end,
/// which is as true.
async fn note_interruption(options: &ConnectOptions, id: &str, clock: &SystemClock) {
    let Ok(mut session) = inspect::connect(options, None).await else { return };
    let outcome = Outcome::Interrupted;
    let done = session.execute(&journal::finish_run(id, outcome)).await;
    if done.is_ok_and(|done| done.tags.iter().any(|tag| tag == "UPDATE 1")) {
        let kind = EventKind::RunFinished { outcome };
        let event = RunEvent { at_micros: clock.now_micros(), elapsed: clock.monotonic(), kind };
        let _ = journal::append_events(&mut session, id, &[event]).await;
    }
    session.close().await;
}

/// Says how a run ended: what went well on standard output, what did not on standard error. Which steps failed, and why,
/// was said as it happened.
pub(crate) fn tell_end(app: &App, project: &Project, run: &Run) -> Exit {
    let exit = run.outcome.map_or(Exit::NeedsPerson, Exit::from);
    if !app.output.is_json() {
        // What the run comes to was said before it began.
        let empty: Vec<String> =
            (0..project.stages.len()).filter_map(|stage| empty_stage(project, stage)).collect();
        for note in run.plan.notes.iter().filter(|note| !empty.iter().any(|said| note.starts_with(said))) {
            app.output.say(&format!("note: {}", cutover::text::visible(note)));
        }
        for found in told(&run.plan) {
            app.output.say(&format!("note: {}", cutover::text::visible(&found)));
        }
    }
    if matches!(run.outcome, Some(Outcome::Completed | Outcome::NothingToDo)) {
        app.output.say(summary(run, app.output.style()).trim_end());
        return exit;
    }
    app.output.to_stderr(&summary(run, app.output.error_style()));
    exit
}
