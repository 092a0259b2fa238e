//! Applying migrations: one runner at a time, each migration and its history row in one transaction, every stop
//! resumable. What happened is told as events and returned as a [`Run`].
//!
//! This module decides nothing about which migrations there are (`plan`) and prints nothing.

mod backup;
mod beside;
mod crash;
mod emptied;
mod ending;
mod error;
mod failure;
mod feed;
mod in_order;
mod indexes;
mod locate;
mod lost;
pub(crate) mod measured;
mod monitor;
mod objects;
mod outside;
mod pipelined;
pub(crate) mod pooler;
mod preflight;
mod recorder;
mod refusals;
pub(crate) mod search_path;
mod step;
mod watch;
mod worker;

use std::time::Duration;

use cutover_analysis::effects::ObjectKind;
use cutover_postgres::connect::ConnectOptions;
use cutover_postgres::session::{Failure, Session, Startup};
use tokio::sync::Mutex;

pub use backup::BackupSettings;
pub use crash::CrashPoints;
pub use error::ApplyError;
pub use failure::{advice_about, describe as describe_blocker};
pub(crate) use indexes::found_before;
pub(crate) use outside::{Settled, look};
pub use preflight::may_write;

use self::beside::Lanes;
use self::error::Phase;
use self::failure::StepFailure;
use self::in_order::Work;
use self::monitor::Monitor;
use self::recorder::Recorder;
use self::refusals::Refusals;
use self::step::Tools;
use self::watch::Watch;
use self::worker::Worker;
use crate::catalog;
use crate::clock::Clock;
use crate::compare::drift::Before;
use crate::erd::Touched;
use crate::hazard;
use crate::history::differences::Renumbering;
use crate::history::{journal, lock, records, schema};
use crate::inspect;
use crate::lint::{AtApply, of_run};
use crate::migration::Migration;
use crate::plan::build::{self, Built, Read};
use crate::plan::file::PlanFile;
use crate::plan::select::Selection;
use crate::plan::{Plan, StepState};
use crate::project::Project;
use crate::revert;
use crate::run::{EventKind, EventSink, Outcome, Run, Runner};
use crate::secrets::Secrets;
use crate::stop::Stop;
use crate::text::visible;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which migrations.
    pub selection: Selection,
    /// Codes of hazards that are accepted, e.g. `edited-migration`.
    pub allow: Vec<String>,
    /// How many migrations may run side by side, each on a connection of its own; 0 and 1: one after the other.
    pub jobs: usize,
    /// Make each migration durable by itself instead of all together at the end of the run.
    pub durable_each: bool,
    /// How long to wait for a server that is starting; `None`: try once.
    pub wait: Option<Duration>,
    /// How long to wait for another runner.
    pub runner_wait: Duration,
    /// Where and how backups are taken, for stages that require one.
    pub backup: Option<BackupSettings>,
    /// The plan to apply: the run is refused where anything has moved since it was made. The selection is its own.
    pub plan: Option<Box<PlanFile>>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            selection: Selection::default(),
            allow: Vec::new(),
            jobs: 1,
            durable_each: false,
            wait: None,
            runner_wait: Duration::from_secs(600),
            backup: None,
            plan: None,
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
pub(crate) fn own_startup(run: &str, wait: Option<Duration>) -> Startup {
    Startup {
        application_name: application_name(run),
        settings: vec![("search_path".into(), schema::SEARCH_PATH.into())],
        wait,
        ..Startup::default()
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
    let mut phase = Phase::Connecting;
    let result = Box::pin(apply_to_its_end(project, options, request, context, &mut phase)).await;
    result.map_err(|error| error.at(phase))
}

/// `phase` says how far it came.
async fn apply_to_its_end(
    project: &Project,
    options: &ConnectOptions,
    request: &Request,
    context: Context<'_>,
    phase: &mut Phase,
) -> Result<Run, ApplyError> {
    let Context { clock, sink, stop, operator, tool, crash } = context;
    hazard::all_known(&request.allow).map_err(ApplyError::NotAllowed)?;
    let id = run_id(clock);
    let started_micros = clock.now_micros();
    let mut recorder = Recorder::new(id.clone(), clock, sink);
    let mut session = Session::connect(options, &own_startup(&id, request.wait)).await?;
    *phase = Phase::Looking;
    let found = schema::look(&mut session).await?;
    // Commits of a run that is under way, or was killed, may not be on disk yet: nothing is done before they are.
    let open_runs = found.version.is_some() && journal::has_open_runs(&mut session, &project.name).await?;
    let (mut built, mut refusals) = first_plan(project, &found, open_runs, request, &mut session).await?;
    let runner = Runner { id: id.clone(), operator: operator.clone(), tool, started_micros };
    let mut run = Run::begun_by(runner, &project.name, &found, built.plan.clone());
    run.jobs = u32::try_from(request.jobs.max(1)).unwrap_or(u32::MAX);
    if !has_work(project, &built, request) && !open_runs {
        refusals.into_result()?;
        if found.version.is_some() && project.takes_back.is_none() {
            run.plan.notes.extend(revert::begun(&project.name, &mut session).await?);
        }
        return Ok(nothing_to_do(run, recorder));
    }
    pooler::refuse(&found, &mut session, options, &id).await?;
    refusals.note(lint(project, &mut built, request, options, &id).await?);
    // A database that cannot be migrated is left without so much as our own schema.
    refusals.complete(project, &built, &found, request, (options, &id)).await?;
    run.plan = plan_of_run(project, &built);
    let token = take_over(&mut session, &id, &operator, request, &stop, &mut recorder, phase).await?;
    if let Some(planned) = plan_again(project, &built, request, (options, &id), &mut session).await? {
        built = planned;
        run.plan = plan_of_run(project, &built);
    }
    still_looked_at(project, &mut session).await?;
    // Nobody else migrates from here on; what somebody did by hand meanwhile is found.
    still_holds(project, &built, request, &mut session).await??;
    recorder.hide(secrets(project, &built, &mut session).await?);
    let mut monitor = Monitor::new(session, options, &id, token);
    if !has_work(project, &built, request) {
        monitor.ready().await.map_err(|lost| ApplyError::lock_lost(&lost, *phase))?;
        store_early(&mut monitor, &journal::close_open_runs(&project.name), &mut recorder)
            .await
            .map_err(|failure| ApplyError::Journal { failure, state: NOTHING_PENDING.to_owned() })?;
        return Ok(nothing_to_do(run, recorder));
    }
    let lanes = request.jobs.clamp(1, built.pending().count().max(1));
    let mut workers =
        preflight::workers(project, options, request, &id, token, &mut monitor, lanes, *phase).await?;
    let work = Work { project, options, built: &built, crash: &crash };
    let own = monitor.ready().await.map_err(|lost| ApplyError::lock_lost(&lost, *phase))?;
    let tasks = tasks(&work, request, &mut workers, own).await?;
    let own = monitor.ready().await.map_err(|lost| ApplyError::lock_lost(&lost, *phase))?;
    let before = Before::of(own).await;
    run.plan.notes.extend(before.as_ref().map(Before::note));
    phase.recording();
    monitor.ready().await.map_err(|lost| ApplyError::lock_lost(&lost, *phase))?;
    begin(&mut monitor, &run, project, request, &built.renumbered, token, &mut recorder).await?;
    *phase = Phase::Begun;
    let prepared = prepare(project, &built, options, request, &stop, &mut monitor, &mut recorder).await;
    let outcome = match &prepared {
        Ok(Prepared::Interrupted) => Outcome::Interrupted,
        Ok(Prepared::Ready) => {
            let shared = Mutex::new(monitor);
            let lanes = Lanes { workers, monitor: &shared, stop: &stop, recorder: &mut recorder };
            let ended;
            (workers, ended) = run_steps(&work, lanes, tasks).await;
            monitor = shared.into_inner();
            outcome_of(ended, &work, (&id, token), request, &mut recorder).await
        }
        // The error itself is the caller's; the journal says that the run is over.
        Err(_) => Outcome::FailedClean,
    };
    close(workers).await;
    let touched = touched(&built);
    let kept_for = project.takes_back.as_ref().map_or(&project.name, |base| &base.project);
    let ended =
        ending::finish(&mut monitor, kept_for, &id, (outcome, &touched, before.as_ref()), &mut recorder)
            .await;
    monitor.close().await;
    prepared?;
    ended?;
    run.outcome = Some(outcome);
    run.events = recorder.into_events();
    Ok(run)
}

/// What is true where an earlier run could not be closed.
const NOTHING_PENDING: &str = "nothing is pending, but it is not known whether all that an earlier run committed is on disk: a \
                               crash of the server could undo the last migrations together with their records\n\
                               the next run looks, and waits for the disk";

/// The plan as the run keeps it: that a backup is required is settled by then.
fn plan_of_run(project: &Project, built: &Built) -> Plan {
    let mut plan = built.plan.clone();
    let settled = build::backup_note(project, &plan.steps);
    plan.notes.retain(|note| Some(note) != settled.as_ref());
    plan
}

/// The plan anew, where the history has changed since. Only for the holder of the lock and the token: nobody else can
/// commit any more, so what a runner that lost its lock had under way is decided.
async fn plan_again(
    project: &Project,
    built: &Built,
    request: &Request,
    (options, run): (&ConnectOptions, &str),
    session: &mut Session,
) -> Result<Option<Built>, ApplyError> {
    let now = history_of(project, session).await?;
    if now.renumbered(&built.renumbered) == built.history {
        return Ok(None);
    }
    let found = schema::look(session).await?;
    let (mut planned, mut refusals) = read_and_plan(project, &found, request, session).await?;
    refusals.note(lint(project, &mut planned, request, options, run).await?);
    refusals.into_result()?;
    Ok(Some(planned))
}

/// What no event of the run shows.
async fn secrets(project: &Project, built: &Built, session: &mut Session) -> Result<Secrets, ApplyError> {
    let mut secrets = Secrets::of(&project.vars);
    for script in built.scripts.values() {
        secrets.learn_from(&script.passwords);
    }
    secrets.spare_objects(built.scripts.values());
    secrets.spare_known(session).await?;
    Ok(secrets)
}

/// Whether the first step may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prepared {
    Ready,
    /// Asked to stop before the first step.
    Interrupted,
}

/// What comes between the record of the run and its first step: backups and figures.
async fn prepare(
    project: &Project,
    built: &Built,
    options: &ConnectOptions,
    request: &Request,
    stop: &Stop,
    monitor: &mut Monitor,
    recorder: &mut Recorder<'_>,
) -> Result<Prepared, ApplyError> {
    let settings = request.backup.as_ref();
    if !backup::take_required(project, built, options, settings, stop, monitor, recorder).await? {
        return Ok(Prepared::Interrupted);
    }
    measured::take_figures(project, options, monitor, recorder).await?;
    Ok(Prepared::Ready)
}

/// Looks at what would run. The inner error is what was found and is not allowed.
async fn lint(
    project: &Project,
    built: &mut Built,
    request: &Request,
    options: &ConnectOptions,
    run: &str,
) -> Result<Result<(), ApplyError>, ApplyError> {
    let startup = Startup { application_name: application_name(run), ..Startup::default() };
    of_run::look_apart(project, built, options, startup).await?;
    let stops_at_errors = project.lint.apply == AtApply::Error;
    let stops: Vec<String> = of_run::stops(&built.plan, stops_at_errors, &request.allow).collect();
    Ok(if stops.is_empty() { Ok(()) } else { Err(ApplyError::Linted(stops)) })
}

/// Plans, by one digest where the history is exactly the project.
async fn first_plan(
    project: &Project,
    found: &schema::Found,
    open_runs: bool,
    request: &Request,
    monitor: &mut Session,
) -> Result<(Built, Refusals), ApplyError> {
    let ordinary = found.version.is_some()
        && !open_runs
        && request.plan.is_none()
        && request.selection == Selection::default();
    if ordinary && records::is_exactly(monitor, &project.name, &project.migrations).await? {
        return Ok((build::idle(project, found), Refusals::default()));
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
    phase: &mut Phase,
) -> Result<i64, ApplyError> {
    *phase = Phase::Locking;
    let mut waiting = |holder: &str| recorder.mention(EventKind::RunnerWaiting { holder: holder.to_owned() });
    lock::acquire(monitor, request.runner_wait, stop, &mut waiting).await?;
    // Somebody else may have worked while this runner waited.
    let found = schema::look(monitor).await?;
    *phase = Phase::Creating;
    schema::create_or_upgrade(monitor, found.version).await?;
    *phase = Phase::Holding { created: found.version.is_none() };
    Ok(lock::take_token(monitor, run, operator, request.runner_wait, stop, waiting).await?)
}

/// There is something to apply, or something to record.
fn has_work(project: &Project, built: &Built, request: &Request) -> bool {
    let unheard = |text: &String| {
        crate::plan::select::find(project, text)
            .is_ok_and(|(_, migration)| !built.history.deferred.contains(&migration.id))
    };
    built.pending().next().is_some()
        || !built.renumbered.is_empty()
        || request.selection.defer.iter().any(unheard)
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
) -> Result<(Built, Refusals), ApplyError> {
    let history = match found.version {
        Some(_) => history_of(project, monitor).await?,
        None => records::History::default(),
    };
    let mut refusals = Refusals::default();
    let (history, renumbered, changed) =
        preflight::agreed_history(project, history, found.version.is_some(), &request.allow, monitor).await?;
    refusals.note(changed);
    let known = inspect::known(project, &history, monitor).await?;
    // A plan that is to be applied describes all migrations, also where nothing is to be done any more.
    let read = if request.plan.is_some() { Read::Pending } else { Read::Work };
    let (built, refused) =
        build::build_leniently(project, history, &request.selection, Some(found.target()), read, known)?;
    let built = built.renumbering(renumbered).guarding(found);
    refusals.note_plan(&built, refused, request);
    refusals.note(still_holds(project, &built, request, monitor).await?);
    Ok((built, refusals))
}

/// What is known of the project. Ways back that were gone before have no file any more: they are finished.
async fn history_of(project: &Project, session: &mut Session) -> Result<records::History, ApplyError> {
    let history = records::read(session, &project.name).await?;
    Ok(match project.takes_back {
        Some(_) => history.only(|id| project.migrations.iter().any(|migration| migration.id == *id)),
        None => history,
    })
}

/// Whether ways back are those of what is applied now; and, of any other project, that no way back of it is begun. Only for
/// the holder of the lock.
async fn still_looked_at(project: &Project, session: &mut Session) -> Result<(), ApplyError> {
    let complaint = if let Some(base) = &project.takes_back {
        if records::read(session, &base.project).await?.digest() == base.history {
            return Ok(());
        }
        format!(
            "the history of project {} has moved since it was looked at: another run has applied or reverted something\n  \
             hint: run it again",
            visible(&base.project)
        )
    } else {
        let begun = revert::begun(&project.name, session).await?;
        let Some(words) = begun.into_iter().next() else { return Ok(()) };
        words
    };
    Err(ApplyError::NotAllowed(complaint))
}

/// Whether the plan that is to be applied is the one that would be made now; the outer error is the server's.
async fn still_holds(
    project: &Project,
    built: &Built,
    request: &Request,
    session: &mut Session,
) -> Result<Result<(), ApplyError>, ApplyError> {
    let Some(file) = &request.plan else { return Ok(Ok(())) };
    let objects = catalog::state(session).await?;
    let moved = file.moved(project, &built.plan, &objects);
    Ok(if moved.is_empty() { Ok(()) } else { Err(ApplyError::Moved(moved)) })
}

/// Records the run before its first step, durably: its id must be known to whoever finds a half-done step.
async fn begin(
    monitor: &mut Monitor,
    run: &Run,
    project: &Project,
    request: &Request,
    renumbered: &[Renumbering],
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
    if !renumbered.is_empty() {
        record.push_str("; ");
        record.push_str(&journal::renumber(&project.name, renumbered));
    }
    for Renumbering { from, from_path, to, to_path, .. } in renumbered {
        recorder.tell(EventKind::Renumbered {
            migration: to.clone(),
            path: to_path.clone(),
            from: from.clone(),
            from_path: from_path.clone(),
        });
    }
    for text in &request.selection.defer {
        let (_, migration) = crate::plan::select::find(project, text)?;
        record.push_str("; ");
        record.push_str(&journal::insert_deferral(&project.name, &run.id, migration));
    }
    store_early(monitor, &record, recorder).await?;
    Ok(())
}

/// As [`store`], on the session that the monitor has.
async fn store_early(
    monitor: &mut Monitor,
    record: &str,
    recorder: &mut Recorder<'_>,
) -> Result<(), Failure> {
    let Some(session) = monitor.session() else { return Err(Failure::Lost("it ended again".to_owned())) };
    store(session, record, recorder).await
}

/// Writes a record and all events so far, durably. Everything the worker committed before is durable with it.
async fn store(session: &mut Session, record: &str, recorder: &mut Recorder<'_>) -> Result<(), Failure> {
    let events = recorder.flush();
    let text = format!(
        "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL search_path = pg_catalog, pg_temp; {record}; {events}; COMMIT"
    );
    match session.execute(&text).await {
        Ok(_) => {
            recorder.stored();
            Ok(())
        }
        Err(failure) => {
            if !session.is_closed() {
                let _ = session.execute("ROLLBACK").await;
            }
            Err(failure)
        }
    }
}

/// The tables that the planned migrations make or change.
fn touched(built: &Built) -> Touched {
    let scripts = built.pending().filter_map(|index| built.scripts.get(&index));
    let objects = scripts.flat_map(|script| script.creates.iter().chain(&script.alters));
    objects
        .filter_map(|object| {
            let name = match object.kind {
                ObjectKind::Table | ObjectKind::Relation | ObjectKind::ForeignTable => Some(&object.name),
                _ => object.table.as_ref(),
            };
            Some((object.schema.clone(), name?.clone()))
        })
        .collect()
}

async fn close(workers: Vec<Worker>) {
    for worker in workers {
        worker.session.close().await;
    }
}

/// What may run beside what, where there are several sessions. Nothing that is needed is missing.
async fn tasks(
    work: &Work<'_>,
    request: &Request,
    workers: &mut [Worker],
    own: &mut Session,
) -> Result<Option<Vec<beside::Task>>, ApplyError> {
    preflight::ready(work.project, work.built, request, &mut workers[0].session).await?.into_result()?;
    Ok(if workers.len() > 1 { Some(beside::tasks(work, own).await?) } else { None })
}

/// Runs the steps, one after the other or, with tasks, side by side. Gives the sessions back.
async fn run_steps(
    work: &Work<'_>,
    lanes: Lanes<'_, '_>,
    tasks: Option<Vec<beside::Task>>,
) -> (Vec<Worker>, Result<Outcome, Failures>) {
    let Some(tasks) = tasks else {
        let Lanes { mut workers, monitor, stop, recorder } = lanes;
        let mut watch = Watch::new(monitor, stop, recorder.secrets().clone());
        let worker = &mut workers[0];
        let mut tools = Tools { worker, watch: &mut watch, recorder, crash: work.crash };
        let ended = in_order::run(work, &in_order::steps(work), &mut tools).await;
        return (workers, ended.map_err(|failed| Failures { untold: vec![failed], ..Failures::default() }));
    };
    beside::run(work, lanes, tasks).await
}

/// Steps that failed.
#[derive(Default)]
struct Failures {
    /// How the run ends because of those that were told.
    told: Vec<Outcome>,
    /// The others, by their place in the project. Those that a lost connection ended are told last: what became of them is
    /// known when nothing runs any more.
    untold: Vec<(usize, StepFailure)>,
}

/// How the run ended; tells of the steps that failed. Several do where several ran side by side: what weighs most counts.
async fn outcome_of(
    ended: Result<Outcome, Failures>,
    work: &Work<'_>,
    run: (&str, i64),
    request: &Request,
    recorder: &mut Recorder<'_>,
) -> Outcome {
    let Failures { mut told, mut untold } = match ended {
        Ok(outcome) => return outcome,
        Err(failures) => failures,
    };
    untold.sort_by_key(|(index, _)| *index);
    for (index, mut failure) in untold {
        let migration = &work.project.migrations[index];
        if failure.lost.is_some() {
            let finished = recorder.finished();
            let (options, wait) = (work.options, request.wait);
            lost::learn(work.project, migration, &mut failure, options, run, wait, &finished).await;
        }
        told.push(tell_failure(migration, failure, recorder));
    }
    let weight = |outcome: &Outcome| match outcome {
        Outcome::NeedsDecision => 4,
        Outcome::ConnectionLost => 3,
        Outcome::FailedClean => 2,
        Outcome::LockNotObtained => 1,
        _ => 0,
    };
    // Of those that weigh the same, any.
    told.into_iter().max_by_key(weight).unwrap_or(Outcome::Interrupted)
}

/// Tells of a step that failed, and says how the run ends because of it.
fn tell_failure(migration: &Migration, failure: StepFailure, recorder: &mut Recorder<'_>) -> Outcome {
    recorder.step_failed();
    recorder.tell(EventKind::StepFailed {
        migration: migration.id.clone(),
        message: failure.message,
        code: failure.code,
        state: failure.state,
        parts: failure.parts,
    });
    failure.outcome
}
