//! From a project, its history and a selection to a [`Plan`] with the scripts it would run.

use std::collections::BTreeMap;

use cutover_analysis::effects::ObjectRef;

use super::select::{self, SelectError, Selection};
use super::{FORMAT_VERSION, Plan, StageSummary, Step, StepState, Target};
use crate::history::records::History;
use crate::project::Project;
use crate::script::{Script, ScriptError};

/// A plan and what stands behind it.
#[derive(Debug)]
pub struct Built {
    /// The plan.
    pub plan: Plan,
    /// Scripts by index of the migration in the project, for those that were read.
    pub scripts: BTreeMap<usize, Script>,
    /// The history it was made from.
    pub history: History,
}

impl Built {
    /// Indexes (into the project's migrations and the plan's steps) of what would run, in order.
    pub fn pending(&self) -> impl Iterator<Item = usize> + '_ {
        self.plan.steps.iter().enumerate().filter(|(_, step)| step.state.will_run()).map(|(index, _)| index)
    }

    /// What stops the pending scripts, except what is allowed by code.
    pub fn script_errors<'a>(&'a self, allowed: &'a [String]) -> impl Iterator<Item = &'a ScriptError> {
        self.pending()
            .filter_map(|index| self.scripts.get(&index))
            .flat_map(|script| &script.errors)
            .filter(|error| error.code.is_none_or(|code| !allowed.iter().any(|name| name == code)))
    }
}

/// Which files are read and analysed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Those that would run.
    Pending,
    /// All, to show what each creates.
    All,
}

/// Plans.
///
/// # Errors
/// [`SelectError`]. Files that cannot run are not an error here: see [`Built::script_errors`].
pub fn build(
    project: &Project,
    history: History,
    selection: &Selection,
    target: Option<Target>,
    read: Read,
) -> Result<Built, SelectError> {
    let (states, reached) = select::states(project, &history, selection)?;
    let mut scripts = BTreeMap::new();
    let mut notes = Vec::new();
    let mut steps = Vec::with_capacity(states.len());
    for (index, (migration, state)) in project.migrations.iter().zip(states).enumerate() {
        let script = (read == Read::All || state.will_run()).then(|| Script::analyse(migration, &project.vars));
        if let Some(script) = &script {
            notes.extend(script.notes.iter().cloned());
        }
        let empty = Script::default();
        let found = script.as_ref().unwrap_or(&empty);
        let (parts, creates): (Vec<&ObjectRef>, Vec<&ObjectRef>) = found.creates.iter().partition(|object| found.is_part(object));
        let alters: Vec<&ObjectRef> = found.alters.iter().filter(|object| !found.makes(object) && !found.is_part(object)).collect();
        steps.push(Step {
            migration: migration.id.clone(),
            name: migration.name.clone(),
            path: migration.path.clone(),
            stage: migration.stage.map(|stage| project.stages[stage].id.clone()),
            claims: migration.claims.clone(),
            checksum: migration.checksums.normalised.clone(),
            bytes: migration.checksums.bytes,
            statements: found.statements,
            units: found.unit_summaries(),
            creates: names(&creates),
            parts: names(&parts),
            alters: names(&alters),
            drops: found.drops.iter().map(ToString::to_string).collect(),
            opaque: found.opaque.clone(),
            state,
        });
        if let Some(script) = script {
            scripts.insert(index, script);
        }
    }
    if let Some(stage) = reached {
        notes.extend(empty_stage_note(project, stage, &steps));
    }
    let stages = project.stages.iter().enumerate().map(|(index, stage)| StageSummary {
        id: stage.id.clone(),
        title: stage.title.clone(),
        kind: stage.kind.clone(),
        notes: stage.notes.clone(),
        uses: stage.uses.clone(),
        within_target: reached.is_none_or(|reached| index <= reached),
    });
    let plan = Plan {
        format_version: FORMAT_VERSION,
        project: project.name.clone(),
        target,
        stages: stages.collect(),
        steps,
        notes,
    };
    Ok(Built { plan, scripts, history })
}

fn names(objects: &[&ObjectRef]) -> Vec<String> {
    objects.iter().map(ToString::to_string).collect()
}

/// A stage without migrations says so, and what a run up to it comes to.
fn empty_stage_note(project: &Project, stage: usize, steps: &[Step]) -> Option<String> {
    let target = &project.stages[stage];
    if project.migrations.iter().any(|migration| migration.stage == Some(stage)) {
        return None;
    }
    let pending = steps.iter().filter(|step| step.state.will_run()).count();
    let before = match pending {
        0 => "nothing is pending up to it".to_owned(),
        1 => "1 migration of earlier stages is pending".to_owned(),
        many => format!("{many} migrations of earlier stages are pending"),
    };
    Some(format!("{} {} ({}) has no migrations; {before}", target.kind, target.id, target.title))
}

/// Counts of a plan in one line, e.g. for `status`.
pub fn counts(plan: &Plan) -> (usize, usize) {
    let applied = plan.steps.iter().filter(|step| matches!(step.state, StepState::Applied { .. })).count();
    let pending = plan.steps.iter().filter(|step| step.state.will_run()).count();
    (applied, pending)
}
