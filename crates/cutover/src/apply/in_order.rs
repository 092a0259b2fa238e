//! Steps one after the other on one session. It knows nothing of other sessions that may work beside it.

use cutover_postgres::connect::ConnectOptions;

use super::crash::CrashPoints;
use super::failure::{self, StepFailure};
use super::step::{OpenUnit, Step, Tools};
use super::{measured, pipelined};
use crate::history::records::Begun;
use crate::plan::build::Built;
use crate::plan::failures;
use crate::project::Project;
use crate::run::Outcome;

/// What a run works on.
pub(super) struct Work<'a> {
    pub(super) project: &'a Project,
    pub(super) options: &'a ConnectOptions,
    pub(super) built: &'a Built,
    pub(super) crash: &'a CrashPoints,
}

impl Work<'_> {
    /// Whether something is to be measured before the migration.
    pub(super) fn has_preconditions(&self, index: usize) -> bool {
        measured::has_preconditions(self.project, &self.project.migrations[index])
    }
}

/// The steps of the run, in order.
pub(super) fn steps<'a>(work: &Work<'a>) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> =
        work.built.pending().filter_map(|index| step(work.project, work.built, index)).collect();
    chain(work, &mut steps);
    steps
}

/// Tells each step whether the next one, which is sure to follow it, begins with a transaction.
pub(super) fn chain(work: &Work<'_>, steps: &mut [Step<'_>]) {
    let mut next_is_transactional = false;
    for step in steps.iter_mut().rev() {
        step.next_is_transactional = next_is_transactional;
        next_is_transactional = starts_in_transaction(step.script) && !work.has_preconditions(step.index);
    }
}

/// Runs steps one after the other, small ones one close behind the other.
pub(super) async fn run(
    work: &Work<'_>,
    steps: &[Step<'_>],
    tools: &mut Tools<'_, '_, '_>,
) -> Result<Outcome, (usize, StepFailure)> {
    run_all(work, steps, tools).await.map_err(|(index, failure)| {
        let session = &tools.worker.session;
        let silent = session.fell_silent().then(|| session.backend_pid());
        (index, StepFailure { silent, ..failure })
    })
}

async fn run_all(
    work: &Work<'_>,
    steps: &[Step<'_>],
    tools: &mut Tools<'_, '_, '_>,
) -> Result<Outcome, (usize, StepFailure)> {
    let checked = |index: usize| work.has_preconditions(index);
    let mut rest = steps;
    while let Some((first, others)) = rest.split_first() {
        if !tools.watch.may_begin() {
            return Ok(Outcome::Interrupted);
        }
        keep_lock(first, tools).await.map_err(|failure| (first.index, failure))?;
        if checked(first.index) {
            measured::preconditions(work.project, work.options, first, tools)
                .await
                .map_err(|failure| (first.index, failure))?;
        }
        // Its own preconditions are measured; those of the others are not yet.
        let together =
            others.iter().take_while(|next| next.may_be_pipelined() && !checked(next.index)).count();
        if together > 0 && first.may_be_pipelined() {
            let done = pipelined::run(&rest[..=together], tools)
                .await
                .map_err(|(place, failure)| (rest[place].index, failure))?;
            rest = &rest[done..];
        } else {
            first.run(tools).await.map_err(|failure| (first.index, failure))?;
            rest = others;
        }
    }
    Ok(Outcome::Completed)
}

/// No step begins without the runner's lock: where its session was lost, it is taken again, or the run ends.
async fn keep_lock(step: &Step<'_>, tools: &mut Tools<'_, '_, '_>) -> Result<(), StepFailure> {
    let kept = {
        let mut monitor = tools.watch.monitor().await;
        let kept = monitor.ready().await.map(drop);
        for news in monitor.news() {
            tools.recorder.tell(news);
        }
        kept
    };
    if let Err(lost) = kept {
        // The transaction that the last flush opened would keep the other runner waiting.
        tools.worker.roll_back().await;
        return Err(failure::lock_lost(step, &lost));
    }
    Ok(())
}

fn starts_in_transaction(script: &crate::script::Script) -> bool {
    script.units.first().is_none_or(|unit| unit.outside.is_none())
}

fn step<'a>(project: &'a Project, built: &'a Built, index: usize) -> Option<Step<'a>> {
    let migration = &project.migrations[index];
    let begun = built.history.begun(&migration.id);
    let done = begun.map_or(0, Begun::done);
    let open_unit = begun.and_then(Begun::open);
    Some(Step {
        index,
        project: &project.name,
        migration,
        script: built.scripts.get(&index)?,
        stage: migration.stage.map(|stage| project.stages[stage].id.as_str()),
        vars: &project.vars,
        config: &project.apply,
        done: u32::try_from(done).unwrap_or(u32::MAX),
        open_unit: open_unit.map(|unit| OpenUnit {
            unit: unit.unit,
            run: unit.run.clone(),
            failure: unit.failure.clone(),
            found: unit.found.clone(),
        }),
        has_failed: built.history.failed(&migration.id).is_some(),
        failed_before: built.plan.steps.get(index).and_then(failures::of_step),
        text_is_kept: begun.is_some_and(|begun| begun.checksum == migration.checksums.normalised),
        was_deferred: built.history.deferred.contains(&migration.id),
        takes_back: project.takes_back.as_ref().map(|base| base.project.as_str()),
        next_is_transactional: false,
    })
}
