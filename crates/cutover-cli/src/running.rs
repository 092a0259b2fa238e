//! A run as it is watched from the command line: a line for each event, signals, and how it ended.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use cutover::apply::{self, Context, Request};
use cutover::clock::SystemClock;
use cutover::plan::{FORMAT_VERSION as PLAN_VERSION, Plan, Step, StepState};
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
    names: &'a OnceLock<Plan>,
    progress: Option<Progress<'a>>,
}

impl<'a> Reporter<'a> {
    /// `names` is filled at the first event: a run with nothing to do needs none.
    pub(crate) fn new(output: &'a Output, project: &'a Project, names: &'a OnceLock<Plan>) -> Self {
        Self { output, project, names, progress: None }
    }

    pub(crate) fn event(&mut self, event: &RunEvent) {
        if self.output.is_json() {
            print_event(self.output, event);
            return;
        }
        let style = self.output.style();
        let names = self.names;
        let project = self.project;
        let progress =
            self.progress.get_or_insert_with(|| Progress::new(names.get_or_init(|| outline(project)), style));
        if let Some(line) = progress.line(event) {
            // What failed and why is the error's to say, on standard error.
            let failed = matches!(event.kind, EventKind::StepFailed { .. });
            self.output.say(if failed { line.lines().next().unwrap_or_default() } else { &line });
        }
    }
}

/// Versions and names of a project's migrations, in the form progress lines take them from.
fn outline(project: &Project) -> Plan {
    let step = |migration: &cutover::migration::Migration| Step {
        migration: migration.id.clone(),
        name: migration.name.clone(),
        path: migration.path.clone(),
        stage: None,
        claims: cutover::migration::Claims::default(),
        checksum: String::new(),
        bytes: 0,
        statements: 0,
        units: Vec::new(),
        parts: Vec::new(),
        creates: Vec::new(),
        alters: Vec::new(),
        drops: Vec::new(),
        opaque: None,
        state: StepState::Pending,
    };
    Plan {
        format_version: PLAN_VERSION,
        project: project.name.clone(),
        target: None,
        stages: Vec::new(),
        steps: project.migrations.iter().map(step).collect(),
        notes: Vec::new(),
    }
}

/// Applies and tells of it.
pub(crate) async fn apply(
    app: &App,
    project: &Project,
    options: &ConnectOptions,
    request: &Request,
    signals: &mut Signals,
) -> Result<Run, CliError> {
    let clock = SystemClock::new();
    let stop = Stop::new();
    let names = OnceLock::new();
    let begun = AtomicBool::new(false);
    let mut reporter = Reporter::new(&app.output, project, &names);
    let mut sink = |event: &RunEvent| {
        if matches!(event.kind, EventKind::RunStarted { .. }) {
            begun.store(true, Ordering::Relaxed);
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
    Ok(signals.in_stages(&stop, || !begun.load(Ordering::Relaxed), &app.output, work).await??)
}

/// Says how a run ended: what went well on standard output, what did not on standard error.
pub(crate) fn tell_end(app: &App, run: &Run) -> Exit {
    let exit = run.outcome.map_or(Exit::NeedsPerson, Exit::from);
    if !app.output.is_json() {
        for note in &run.plan.notes {
            app.output.say(&format!("note: {}", cutover::text::visible(note)));
        }
    }
    if matches!(run.outcome, Some(Outcome::Completed | Outcome::NothingToDo)) {
        app.output.say(summary(run, app.output.style()).trim_end());
        return exit;
    }
    let failures = run.events.iter().filter_map(|event| match &event.kind {
        EventKind::StepFailed { message, .. } => Some(message),
        _ => None,
    });
    for message in failures {
        app.output.error(&CliError::new(exit, message));
    }
    app.output.to_stderr(&summary(run, app.output.error_style()));
    exit
}
