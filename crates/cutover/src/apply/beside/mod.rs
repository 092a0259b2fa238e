//! Migrations side by side, each session with one after the other. What may overlap is decided by the `schedule`, from
//! what the `tasks` say; a step is run as ever (`in_order`), with a recorder and a watch of its own.
//!
//! When one fails, that is told at once, nothing new begins, and what is running ends as it would have.

mod schedule;
mod tasks;

use std::sync::atomic::{AtomicBool, Ordering};

use cutover_postgres::session::{Failure, Session};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Mutex;

pub(super) use self::schedule::Task;
use self::schedule::{Batch, Schedule};
use self::tasks::Server;
use super::failure::StepFailure;
use super::in_order::{self, Work};
use super::monitor::Monitor;
use super::recorder::Recorder;
use super::step::{Step, Tools};
use super::watch::Watch;
use super::worker::Worker;
use super::{Failures, store, tell_failure};
use crate::run::Outcome;
use crate::stop::Stop;

/// What a run works with.
pub(super) struct Lanes<'a, 'w> {
    /// Sessions that change the database, at least one.
    pub(super) workers: Vec<Worker>,
    /// The session that holds the runner's lock.
    pub(super) monitor: &'a Mutex<Monitor>,
    pub(super) stop: &'a Stop,
    pub(super) recorder: &'a mut Recorder<'w>,
}

/// A session with what it needs to run steps.
struct Lane<'a, 'w> {
    worker: Worker,
    watch: Watch<'a>,
    recorder: Recorder<'w>,
}

/// What may run beside what, for the steps of the run. `own` is a session that carries only statements of ours.
///
/// # Errors
/// As the server says.
pub(super) async fn tasks(work: &Work<'_>, own: &mut Session) -> Result<Vec<Task>, Failure> {
    let server = Server::look(own).await?;
    Ok(tasks::of(work, &in_order::steps(work), &server))
}

/// How a batch ended.
enum End {
    /// All its steps are done, or the run is to stop.
    Ended(Outcome),
    /// A step failed, which was told; how the run ends because of it.
    Told(Outcome),
    /// The connection was lost during the step at this place of the project.
    Lost(usize, StepFailure),
}

/// Runs the steps. Gives the sessions back, and what failed.
pub(super) async fn run(
    work: &Work<'_>,
    lanes: Lanes<'_, '_>,
    tasks: Vec<Task>,
) -> (Vec<Worker>, Result<Outcome, Failures>) {
    let Lanes { workers, monitor, stop, recorder } = lanes;
    let steps = in_order::steps(work);
    let mut schedule = Schedule::new(tasks, workers.len());
    let halt = AtomicBool::new(false);
    let lane = |worker| Lane {
        worker,
        watch: Watch::new(monitor, stop, recorder.secrets().clone()).halted_by(&halt),
        recorder: recorder.beside(),
    };
    let mut idle: Vec<Lane<'_, '_>> = workers.into_iter().map(lane).collect();
    let mut running = FuturesUnordered::new();
    let mut failures = Failures::default();
    let mut outcome = Outcome::Completed;
    let mut event_triggers = false;
    loop {
        while !halt.load(Ordering::Relaxed) && outcome == Outcome::Completed {
            let Some(mut lane) = idle.pop() else { break };
            let Some(batch) = schedule.take() else {
                idle.push(lane);
                break;
            };
            lane.worker.event_triggers |= event_triggers;
            running.push(run_batch(work, &steps, batch, lane, &halt));
        }
        let Some((lane, batch, ended)) = running.next().await else { break };
        event_triggers |= lane.worker.event_triggers;
        idle.push(lane);
        match ended {
            End::Ended(Outcome::Completed) => schedule.done(&batch),
            End::Ended(other) => outcome = other,
            End::Told(because) => failures.told.push(because),
            End::Lost(index, failure) => failures.untold.push((index, failure)),
        }
    }
    drop(running);
    let workers = idle
        .into_iter()
        .map(|lane| {
            recorder.absorb(lane.recorder);
            lane.worker
        })
        .collect();
    (workers, if halt.load(Ordering::Relaxed) { Err(failures) } else { Ok(outcome) })
}

/// Runs the steps of a batch, as far as all goes well. A failure keeps new steps from beginning, and is told while the
/// others run.
async fn run_batch<'a, 'w>(
    work: &Work<'_>,
    steps: &[Step<'_>],
    batch: Batch,
    mut lane: Lane<'a, 'w>,
    halt: &AtomicBool,
) -> (Lane<'a, 'w>, Batch, End) {
    let mut steps: Vec<Step<'_>> = batch.tasks.iter().map(|task| steps[*task].clone()).collect();
    in_order::chain(work, &mut steps);
    let mut tools = Tools {
        worker: &mut lane.worker,
        watch: &mut lane.watch,
        recorder: &mut lane.recorder,
        crash: work.crash,
    };
    let end = match in_order::run(work, &steps, &mut tools).await {
        Ok(outcome) => End::Ended(outcome),
        Err((index, failure)) => {
            halt.store(true, Ordering::Relaxed);
            if failure.lost.is_some() {
                End::Lost(index, failure)
            } else {
                let outcome = tell_failure(&work.project.migrations[index], failure, tools.recorder);
                store_told(&mut tools).await;
                End::Told(outcome)
            }
        }
    };
    (lane, batch, end)
}

/// Stores what was told, for whoever looks while the others run. What cannot be stored goes with the end of the run.
async fn store_told(tools: &mut Tools<'_, '_, '_>) {
    let mut monitor = tools.watch.monitor().await;
    let Some(session) = monitor.session() else { return };
    if let Err(error) = store(session, "", tools.recorder).await {
        tracing::debug!(%error, "a failure is stored later");
    }
}
