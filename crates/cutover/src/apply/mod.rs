//! Applying migrations: one runner at a time, each migration and its history row in one transaction, every stop
//! resumable. What happened is told as events and returned as a [`Run`].
//!
//! This module decides nothing about which migrations there are (`plan`) and prints nothing.

mod backup;
mod crash;
mod error;
mod failure;
mod feed;
mod lost;
mod measured;
mod outside;
pub(crate) mod pooler;
mod preflight;
mod recorder;
mod step;
mod watch;
mod worker;

use std::time::Duration;

use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Session, Startup};

pub use backup::BackupSettings;
pub use crash::CrashPoints;
pub use error::ApplyError;
pub use failure::describe as describe_blocker;
pub use preflight::{describe as describe_difference, may_write};

use self::failure::StepFailure;
use self::recorder::Recorder;
use self::step::{OpenUnit, Step, Tools};
use self::watch::Watch;
use crate::clock::Clock;
use crate::history::{journal, lock, records, schema};
use crate::plan::build::{self, Built, Read};
use crate::plan::select::Selection;
use crate::plan::{StepState, Target};
use crate::project::Project;
use crate::run::{EventKind, EventSink, FORMAT_VERSION, Outcome, Run};
use crate::stop::Stop;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which migrations.
    pub selection: Selection,
    /// Codes of hazards that are accepted, e.g. `edited-migration`.
    pub allow: Vec<String>,
    /// Make each migration durable by itself instead of all together at the end of the run.
    pub durable_each: bool,
    /// How long to wait for a server that is starting; `None`: try once.
    pub wait: Option<Duration>,
    /// How long to wait for another runner.
    pub runner_wait: Duration,
    /// Where and how backups are taken, for stages that require one.
    pub backup: Option<BackupSettings>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            allow: Vec::new(),
            durable_each: false,
            wait: None,
            runner_wait: Duration::from_secs(600),
            backup: None,
        }
    }
}

/// What the engine is given by its surroundings.
pub struct Context<'a> {
    /// The time.
    pub clock: &'a dyn Clock,
    /// Hears every event as it happens.
    pub sink: &'a mut dyn EventSink,
    /// Asks the run to stop.
    pub stop: Stop,
    /// Who runs it, in words, e.g. `user@host`; recorded, not believed.
    pub operator: String,
    /// Name and version of the program, e.g. `cutover 0.1.0`.
    pub tool: String,
    /// Points at which a test build ends itself.
    pub crash: CrashPoints,
}

/// The `application_name` of every session of a run.
pub fn application_name(run: &str) -> String {
    format!("cutover/{run}")
}

/// A short id that two runs do not share: the time in microseconds and the process, in base 36.
pub fn run_id(clock: &dyn Clock) -> String {
    let base36 = |mut number: u64| {
        let mut digits = Vec::new();
        while number > 0 || digits.is_empty() {
            digits.push(char::from_digit(u32::try_from(number % 36).unwrap_or(0), 36).unwrap_or('0'));
            number /= 36;
        }
        digits.iter().rev().collect::<String>()
    };
    let micros = u64::try_from(clock.now_micros()).unwrap_or(0);
    format!("{}-{}", base36(micros), base36(u64::from(std::process::id())))
}

/// Settings of the sessions that only carry our own statements.
fn own_startup(run: &str, wait: Option<Duration>) -> Startup {
    Startup {
        application_name: application_name(run),
        settings: vec![("search_path".into(), schema::SEARCH_PATH.into())],
        wait,
    }
}

/// Applies what is pending.
///
/// A migration that fails is not an error here: the returned [`Run`] says so in its outcome and events. After an error
/// nothing was done, unless the error says otherwise.
///
/// # Errors
/// See [`ApplyError`].
pub async fn apply(
    project: &Project,
    options: &ConnectOptions,
    request: &Request,
    context: Context<'_>,
) -> Result<Run, ApplyError> {
    let Context { clock, sink, stop, operator, tool, crash } = context;
    let id = run_id(clock);
    let started_micros = clock.now_micros();
    let mut recorder = Recorder::new(id.clone(), clock, sink);
    let mut monitor = Session::connect(options, &own_startup(&id, request.wait)).await?;
    let found = schema::look(&mut monitor).await?;
    // Commits of a run that is under way, or was killed, may not be on disk yet: nothing is done before they are.
    let open_runs = found.version.is_some() && journal::has_open_runs(&mut monitor, &project.name).await?;
    let mut built = first_plan(project, &found, open_runs, request, &mut monitor).await?;
    let mut run = Run {
        format_version: FORMAT_VERSION,
        id: id.clone(),
        project: project.name.clone(),
        tool,
        role: found.role.clone(),
        operator: operator.clone(),
        started_micros,
        server_version: found.server_version.clone(),
        database: found.database.clone(),
        outcome: None,
        plan: built.plan.clone(),
        events: Vec::new(),
    };
    if !has_work(&built, request) && !open_runs {
        return Ok(nothing_to_do(run, recorder));
    }
    may_write(&found)?;
    pooler::refuse(&found, &mut monitor, options, &id).await?;
    backup::required(project, &built, request.backup.as_ref())?;
    // A check that is written wrong is found now, not when it is its turn.
    crate::verify::prepare(project).map_err(|problems| ApplyError::NotAllowed(problems.to_string()))?;
    if found.version.is_none() {
        // A database that cannot be migrated is left without so much as our own schema.
        preflight::nothing_missing_yet(project, &built, options, &id).await?;
    }
    let token = take_over(&mut monitor, &id, &operator, request, &stop, &mut recorder).await?;
    // Only now nobody else can commit: what a runner that lost its lock had under way is decided.
    if records::read(&mut monitor, &project.name).await? != built.history {
        let found = schema::look(&mut monitor).await?;
        built = read_and_plan(project, &found, request, &mut monitor).await?;
        run.plan = built.plan.clone();
    }
    if !has_work(&built, request) {
        store(&mut monitor, &journal::close_open_runs(&project.name), &mut recorder).await?;
        return Ok(nothing_to_do(run, recorder));
    }
    let mut worker = preflight::worker(project, options, request, &id, token, &mut monitor).await?;
    preflight::nothing_missing(project, &built, &mut worker.session).await?;
    begin(&mut monitor, &run, project, request, token, &mut recorder).await?;
    backup::take_required(project, &built, options, request.backup.as_ref(), &mut monitor, &mut recorder)
        .await?;
    measured::take_figures(project, options, &mut monitor, &mut recorder).await?;
    let result = {
        let mut watch = Watch::new(&mut monitor, &stop);
        let mut tools =
            Tools { worker: &mut worker, watch: &mut watch, recorder: &mut recorder, crash: &crash };
        run_steps(project, options, &built, &mut tools).await
    };
    let outcome = match result {
        Ok(outcome) => outcome,
        Err((index, failure)) => {
            fail(project, index, failure, options, &mut monitor, token, request, &mut recorder).await
        }
    };
    worker.session.close().await;
    finish(&mut monitor, &id, outcome, &mut recorder).await?;
    monitor.close().await;
    run.outcome = Some(outcome);
    run.events = recorder.into_events();
    Ok(run)
}

/// Plans, by one digest where the history is exactly the project.
async fn first_plan(
    project: &Project,
    found: &schema::Found,
    open_runs: bool,
    request: &Request,
    monitor: &mut Session,
) -> Result<Built, ApplyError> {
    let ordinary = found.version.is_some() && !open_runs && request.selection == Selection::default();
    if ordinary && records::is_exactly(monitor, &project.name, &project.migrations).await? {
        return Ok(build::idle(project, found));
    }
    read_and_plan(project, found, request, monitor).await
}

/// Becomes the one runner: the lock, our tables, the next fencing token.
async fn take_over(
    monitor: &mut Session,
    run: &str,
    operator: &str,
    request: &Request,
    stop: &Stop,
    recorder: &mut Recorder<'_>,
) -> Result<i64, ApplyError> {
    let mut waiting = |holder: &str| recorder.mention(EventKind::RunnerWaiting { holder: holder.to_owned() });
    lock::acquire(monitor, request.runner_wait, stop, &mut waiting).await?;
    // Somebody else may have worked while this runner waited.
    let found = schema::look(monitor).await?;
    schema::create_or_upgrade(monitor, found.version).await?;
    Ok(lock::take_token(monitor, run, operator, request.runner_wait, stop, waiting).await?)
}

/// There is something to apply, or something to record.
fn has_work(built: &Built, request: &Request) -> bool {
    built.pending().next().is_some() || !request.selection.defer.is_empty()
}

fn nothing_to_do(mut run: Run, mut recorder: Recorder<'_>) -> Run {
    recorder.mention(EventKind::RunFinished { outcome: Outcome::NothingToDo });
    run.outcome = Some(Outcome::NothingToDo);
    run.events = recorder.into_events();
    run
}

async fn read_and_plan(
    project: &Project,
    found: &schema::Found,
    request: &Request,
    monitor: &mut Session,
) -> Result<Built, ApplyError> {
    let history = match found.version {
        Some(_) => records::read(monitor, &project.name).await?,
        None => records::History::default(),
    };
    preflight::unchanged_files(project, &history, &request.allow, monitor).await?;
    let target = Target {
        system_identifier: found.system_identifier.clone(),
        database: found.database.clone(),
        server_version_num: found.server_version_num,
    };
    let built = build::build(project, history, &request.selection, Some(target), Read::Work)?;
    let errors: Vec<_> = built.script_errors(&request.allow).cloned().collect();
    if !errors.is_empty() {
        return Err(ApplyError::Scripts(errors));
    }
    Ok(built)
}

/// Records the run before its first step, durably: its id must be known to whoever finds a half-done step.
async fn begin(
    monitor: &mut Session,
    run: &Run,
    project: &Project,
    request: &Request,
    token: i64,
    recorder: &mut Recorder<'_>,
) -> Result<(), ApplyError> {
    let steps = run.plan.steps.iter().filter(|step| step.state.will_run()).count();
    recorder.tell(EventKind::RunStarted { run: run.id.clone(), steps });
    recorder.tell(EventKind::RunnerLocked { token });
    for step in &run.plan.steps {
        let why = match step.state {
            StepState::Deferred => "deferred",
            StepState::Optional => "optional",
            _ => continue,
        };
        recorder.tell(EventKind::StepSkipped { migration: step.migration.clone(), why: why.into() });
    }
    let mut record = format!("{}; {}", journal::close_open_runs(&project.name), journal::insert_run(run));
    for text in &request.selection.defer {
        let (_, migration) = crate::plan::select::find(project, text)?;
        record.push_str("; ");
        record.push_str(&journal::insert_deferral(&project.name, &run.id, migration));
    }
    store(monitor, &record, recorder).await?;
    Ok(())
}

/// Writes a record and all events so far, durably. Everything the worker committed before is durable with it.
async fn store(monitor: &mut Session, record: &str, recorder: &mut Recorder<'_>) -> Result<(), ApplyError> {
    let events = recorder.flush();
    let text = format!(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp; {record}; {events}; COMMIT"
    );
    match monitor.execute(&text).await {
        Ok(_) => {
            recorder.stored();
            Ok(())
        }
        Err(failure) => {
            if !monitor.is_closed() {
                let _ = monitor.execute("ROLLBACK").await;
            }
            Err(ApplyError::Journal(failure))
        }
    }
}

async fn run_steps(
    project: &Project,
    options: &ConnectOptions,
    built: &Built,
    tools: &mut Tools<'_, '_, '_>,
) -> Result<Outcome, (usize, StepFailure)> {
    let pending: Vec<usize> = built.pending().collect();
    for (n, &index) in pending.iter().enumerate() {
        if tools.watch.stop().is_requested() {
            return Ok(Outcome::Interrupted);
        }
        let next_is_transactional = pending.get(n + 1).is_some_and(|next| {
            built.scripts.get(next).is_some_and(starts_in_transaction)
                && !measured::has_preconditions(project, &project.migrations[*next])
        });
        let Some(step) = step(project, built, index, next_is_transactional) else { continue };
        if measured::has_preconditions(project, step.migration) {
            measured::preconditions(project, options, &step, tools)
                .await
                .map_err(|failure| (index, failure))?;
        }
        step.run(tools).await.map_err(|failure| (index, failure))?;
    }
    Ok(Outcome::Completed)
}

fn starts_in_transaction(script: &crate::script::Script) -> bool {
    script.units.first().is_none_or(|unit| unit.outside.is_none())
}

fn step<'a>(
    project: &'a Project,
    built: &'a Built,
    index: usize,
    next_is_transactional: bool,
) -> Option<Step<'a>> {
    let migration = &project.migrations[index];
    let units = built.history.units_of(&migration.id);
    let done = units.iter().take_while(|unit| unit.done).count();
    let open_unit = units.iter().find(|unit| !unit.done);
    Some(Step {
        project: &project.name,
        migration,
        script: built.scripts.get(&index)?,
        stage: migration.stage.map(|stage| project.stages[stage].id.as_str()),
        vars: &project.vars,
        config: &project.apply,
        done: u32::try_from(done).unwrap_or(u32::MAX),
        open_unit: open_unit.map(|unit| OpenUnit { unit: unit.unit, run: unit.run.clone() }),
        was_deferred: built.history.deferred.contains(&migration.id),
        next_is_transactional,
    })
}

/// Tells of a step that failed, after learning what a lost connection left behind.
#[allow(clippy::too_many_arguments, reason = "one call, at the end of a run")]
async fn fail(
    project: &Project,
    index: usize,
    mut failure: StepFailure,
    options: &ConnectOptions,
    monitor: &mut Session,
    token: i64,
    request: &Request,
    recorder: &mut Recorder<'_>,
) -> Outcome {
    let migration = &project.migrations[index];
    if failure.lost.is_some() || monitor.is_closed() {
        lost::learn(
            project,
            migration,
            &mut failure,
            options,
            monitor,
            token,
            request,
            recorder.run().to_owned(),
        )
        .await;
    }
    recorder.step_failed();
    recorder.tell(EventKind::StepFailed {
        migration: migration.id.clone(),
        message: failure.message,
        code: failure.code,
        state: failure.state,
    });
    failure.outcome
}

/// The run's last transaction: it writes and waits for the disk, and with it all before it are durable.
async fn finish(
    monitor: &mut Session,
    run: &str,
    outcome: Outcome,
    recorder: &mut Recorder<'_>,
) -> Result<(), ApplyError> {
    recorder.tell(EventKind::RunFinished { outcome });
    let result = store(monitor, &journal::finish_run(run, outcome), recorder).await;
    match result {
        // The run is over and its failure is told; a journal that cannot be reached must not hide that. Success, however,
        // is said only once it is on disk.
        Err(_) if outcome != Outcome::Completed => Ok(()),
        other => other,
    }
}
