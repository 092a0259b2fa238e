//! From a project, its history and a selection to a [`Plan`] with the scripts it would run.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use cutover_analysis::effects::{Context, ObjectKind, ObjectRef};

use super::does::Does;
use super::graph;
use super::select::{self, SelectError, Selection, Standing};
use super::{DownSummary, FORMAT_VERSION, Plan, StageSummary, Step, StepState, Target, failures, label};
use crate::history::differences::Renumbering;
use crate::history::records::History;
use crate::history::schema::Found;
use crate::migration::{Migration, MigrationKind};
use crate::project::{Project, Stage};
use crate::script::{Made, Script, ScriptError, Texts};

/// A plan and what stands behind it.
#[derive(Debug)]
pub struct Built {
    /// The plan.
    pub plan: Plan,
    /// Scripts by index of the migration in the project, for those that were read.
    pub scripts: BTreeMap<usize, Script>,
    /// The history it was made from; its rows have followed their files to other numbers.
    pub history: History,
    /// The rows that have done so here and not yet in the database.
    pub renumbered: Vec<Renumbering>,
    /// What was known of the database's tables before the first of those that would run; nothing where none would, or nobody was asked.
    pub before: Context,
}

impl Built {
    /// Says of what follows its file to another number or name that it does.
    #[must_use]
    pub fn renumbering(mut self, renumbered: Vec<Renumbering>) -> Self {
        let note = |Renumbering { from, to, from_path, to_path, .. }: &Renumbering| {
            if from == to {
                return format!("{to_path}: was applied as {from_path}; the history follows its new name");
            }
            format!(
                "{to_path}: is {from_path} under another number; the history follows it from {from} to {to}"
            )
        };
        self.plan.notes.extend(renumbered.iter().map(note));
        self.renumbered = renumbered;
        self
    }

    /// Refuses what would take schema `cutover` from its owner in this database, who will be the current role where it is not
    /// there yet.
    #[must_use]
    pub fn guarding(mut self, found: &Found) -> Self {
        let owner = found.owner.as_ref().unwrap_or(&found.role);
        for script in self.scripts.values_mut() {
            script.refuse_for_owner(owner);
        }
        self
    }

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
    /// Those that would run, with what each of their statements does: for a plan that is kept.
    Listed,
    /// All, likewise.
    AllListed,
    /// Those that would run; where none would, the plan has no steps: ten thousand applied migrations are not described
    /// to say that there is nothing to do.
    Work,
    /// All, to show what each creates. Their texts are not kept: no run reads what is applied already.
    All,
}

/// Plans. `known` is what the database has, as far as anybody asked it.
///
/// # Errors
/// [`SelectError`]. Files that cannot run are not an error here: see [`Built::script_errors`].
pub fn build(
    project: &Project,
    history: History,
    selection: &Selection,
    target: Option<Target>,
    read: Read,
    known: Context,
) -> Result<Built, SelectError> {
    let (states, reached) = select::states(project, &history, selection)?;
    Ok(build_with(project, history, (states, reached), target, read, known))
}

/// Plans what can be planned, and says what [`build`] would refuse.
///
/// # Errors
/// [`SelectError`] for versions and stages that do not exist.
pub fn build_leniently(
    project: &Project,
    history: History,
    selection: &Selection,
    target: Option<Target>,
    read: Read,
    known: Context,
) -> Result<(Built, Vec<SelectError>), SelectError> {
    let Standing { states, reached, refused } = select::states_leniently(project, &history, selection)?;
    Ok((build_with(project, history, (states, reached), target, read, known), refused))
}

fn build_with(
    project: &Project,
    history: History,
    (states, reached): (Vec<StepState>, Option<usize>),
    target: Option<Target>,
    read: Read,
    mut known: Context,
) -> Built {
    let idle = read == Read::Work && !states.iter().any(StepState::will_run);
    let will_run = states.iter().any(StepState::will_run);
    let before = if will_run { known.clone() } else { Context::EMPTY };
    let mut scripts = BTreeMap::new();
    let deferred = deferred_note(project, &states);
    let mut notes = Vec::new();
    let mut steps = Vec::new();
    // What is applied finds what the files before it made; what would run finds the database.
    let mut by_files = Context::EMPTY;
    let is_wanted = |migration: &Migration, state: &StepState| {
        // What another stands for would be thought to make what that one makes.
        let is_needed = !matches!(state, StepState::NotNeeded { .. });
        is_needed && matches!(read, Read::All | Read::AllListed)
            || state.will_run()
            || history.begun(&migration.id).is_some()
    };
    if !idle {
        let all = project.migrations.iter().zip(&states);
        let wanted: Vec<usize> = all
            .enumerate()
            .filter(|(_, (migration, state))| is_wanted(migration, state))
            .map(|(index, _)| index)
            .collect();
        let migrations: Vec<&Migration> = wanted.iter().map(|index| &project.migrations[*index]).collect();
        let texts = match read {
            Read::All => Texts::Dropped,
            Read::Listed | Read::AllListed => Texts::Listed,
            Read::Pending | Read::Work => Texts::Kept,
        };
        let label = graph::labels(project);
        Script::analyse_all(&migrations, &project.vars, texts, |place, analyse| {
            let index = wanted[place];
            let (migration, state) = (&project.migrations[index], &states[index]);
            let mut script = analyse(if state.will_run() { &mut known } else { &mut by_files });
            if history.begun(&migration.id).is_some() || history.failed(&migration.id).is_some() {
                script.take_parts(migration, &project.vars);
            }
            label(index, &mut script.vertex);
            scripts.insert(index, script);
        });
        let all = project.migrations.iter().zip(states).enumerate();
        steps.extend(all.map(|(index, (migration, state))| {
            step(project, migration, state, scripts.get(&index), &history)
        }));
    }
    // All that is known by now is of no use any more, and is much.
    drop((known, by_files));
    graph::describe(project, &mut steps, &scripts);
    notes.extend(reached.and_then(|stage| empty_stage_note(project, stage, &steps)));
    notes.extend(backup_note(project, &steps));
    notes.extend(deferred);
    let plan = Plan {
        format_version: FORMAT_VERSION,
        project: project.name.clone(),
        target,
        stages: stages(project, reached),
        steps,
        notes,
    };
    Built { plan, scripts, history, renumbered: Vec::new(), before }
}

/// A plan without steps, for a history that is known to be exactly the project.
pub fn idle(project: &Project, found: &Found) -> Built {
    let target = Target {
        system_identifier: found.system_identifier.clone(),
        database: found.database.clone(),
        server_version_num: found.server_version_num,
    };
    let plan = Plan {
        format_version: FORMAT_VERSION,
        project: project.name.clone(),
        target: Some(target),
        stages: stages(project, None),
        steps: Vec::new(),
        notes: Vec::new(),
    };
    let history = History::default();
    Built { plan, scripts: BTreeMap::new(), history, renumbered: Vec::new(), before: Context::EMPTY }
}

/// A migration's place in the plan; without its script where it was not read.
fn step(
    project: &Project,
    migration: &Migration,
    state: StepState,
    script: Option<&Script>,
    history: &History,
) -> Step {
    let earlier = |unit| failures::earlier(history, &migration.id, script, unit);
    let unread = Script::default();
    let script = script.unwrap_or(&unread);
    let Does { mut creates, parts, mut drops, renames, replaces, own, .. } = Does::of(script);
    creates.extend(replaces.iter().cloned());
    drops.extend(replaces);
    let own = Made::of(&own);
    let elsewhere = |objects: &[ObjectRef]| {
        let is_elsewhere = |object: &&ObjectRef| !own.has(object) && !own.has_whole_of(object);
        names(&objects.iter().filter(is_elsewhere).collect::<Vec<_>>())
    };
    Step {
        migration: migration.id.clone(),
        name: migration.name.clone(),
        path: migration.path.clone(),
        stage: migration.stage.map(|stage| project.stages[stage].id.clone()),
        claims: migration.claims.clone(),
        checksum: migration.checksums.normalised.clone(),
        bytes: migration.checksums.bytes,
        statements: script.statements,
        units: script.unit_summaries(earlier),
        alters: elsewhere(&script.alters),
        references: elsewhere(&script.refers),
        writes: elsewhere(&script.writes),
        creates,
        parts,
        drops,
        renames,
        opaque: script.opaque.clone(),
        needs: Vec::new(),
        conflicts: Vec::new(),
        late: Vec::new(),
        unseen: graph::unseen(script),
        locks: graph::locks(script),
        more_locks: script.vertex.more_locks.clone(),
        work: graph::work(script),
        notes: made_anew(migration, &state, history).into_iter().chain(script.notes.clone()).collect(),
        sql: Vec::new(),
        sql_more: 0,
        findings: Vec::new(),
        kind: migration.kind,
        no_transaction: migration.no_transaction,
        down: migration.down.as_deref().map(DownSummary::of),
        state,
    }
}

/// Why something that is applied already would run.
fn made_anew(migration: &Migration, state: &StepState, history: &History) -> Option<String> {
    let row = history.get(&migration.id).filter(|_| migration.kind == MigrationKind::Repeatable)?;
    let when = crate::report::format::utc(row.at_micros);
    state.will_run().then(|| format!("its text has changed since it was applied ({when}): it is made anew"))
}

fn stages(project: &Project, reached: Option<usize>) -> Vec<StageSummary> {
    let summary = |(index, stage): (usize, &Stage)| StageSummary {
        id: stage.id.clone(),
        title: stage.title.clone(),
        kind: stage.kind.clone(),
        notes: stage.notes.clone(),
        uses: stage.uses.clone(),
        within_target: reached.is_none_or(|reached| index <= reached),
    };
    project.stages.iter().enumerate().map(summary).collect()
}

/// Objects as `kind name`, each once; by name alone where no statement says what kind of relation it is.
pub(crate) fn names(objects: &[&ObjectRef]) -> Vec<String> {
    let name = |object: &&ObjectRef| {
        let text = object.to_string();
        text.strip_prefix("relation ").map_or(text.clone(), str::to_owned)
    };
    distinct(objects).iter().map(name).collect()
}

/// Each object once: a relation of which one statement says what it is and another does not is one.
fn distinct<'a>(objects: &[&'a ObjectRef]) -> Vec<&'a ObjectRef> {
    let mut places = HashMap::new();
    let mut distinct: Vec<&ObjectRef> = Vec::with_capacity(objects.len());
    for object in objects {
        let is_relation = object.kind.family() == ObjectKind::Relation;
        let (kind, table) =
            if is_relation { (ObjectKind::Relation, &None) } else { (object.kind, &object.table) };
        match places.entry((kind, &object.schema, object.name.as_str(), table)) {
            Entry::Vacant(place) => {
                place.insert(distinct.len());
                distinct.push(object);
            }
            Entry::Occupied(place) => {
                if let Some(known) = distinct.get_mut(*place.get())
                    && known.kind == ObjectKind::Relation
                {
                    *known = object;
                }
            }
        }
    }
    distinct
}

/// What is said of a stage without migrations, or with optional ones alone, whatever is pending before it; `None` for
/// other stages.
pub fn empty_stage(project: &Project, stage: usize) -> Option<String> {
    let target = project.stages.get(stage)?;
    let mut own = project.migrations.iter().filter(|migration| migration.stage == Some(stage)).peekable();
    let besides = if own.peek().is_some() { " but optional ones" } else { "" };
    let empty = own.all(|migration| migration.claims.optional);
    let name = format!("{} {}", target.kind, target.id);
    let title = if target.title == target.id { String::new() } else { format!(" ({})", target.title) };
    empty.then(|| format!("{}{title} has no migrations of its own{besides}", name.trim()))
}

/// A backup comes before the first statement of the run. Not a note of the run itself: it has one, or does not begin.
pub(crate) fn backup_note(project: &Project, steps: &[Step]) -> Option<String> {
    let pending = steps.iter().filter(|step| step.state.will_run()).filter_map(|step| step.stage.as_deref());
    let mut stages = pending.filter_map(|id| project.stages.iter().find(|stage| stage.id == id));
    let stage = stages.find(|stage| stage.require_backup)?;
    Some(format!("{} {} requires a backup: `apply` needs --backup-dir", stage.kind, stage.id))
}

/// Whatever a run left for later is said by each later one: it would be forgotten otherwise.
fn deferred_note(project: &Project, states: &[StepState]) -> Option<String> {
    /// More of them are not named one by one.
    const NAMED: usize = 10;
    let deferred: Vec<&Migration> = (project.migrations.iter().zip(states))
        .filter(|(_, state)| **state == StepState::Deferred)
        .map(|(migration, _)| migration)
        .collect();
    let several = project.has_several_folders();
    let name = |migration: &&Migration| {
        let label = label(&migration.path, &migration.id.version);
        if several { format!("{}/{label}", migration.id.root) } else { label }
    };
    let names: Vec<String> = deferred.iter().take(NAMED).map(name).collect();
    match deferred.len() {
        0 => None,
        many if many > NAMED => Some(format!(
            "{many} deferred: {} … and {} more; `cutover apply --deferred` applies them",
            names.join(", "),
            many - NAMED
        )),
        many => Some(format!(
            "{many} deferred: {}; `cutover apply {}` applies {}",
            names.join(", "),
            names.join(" "),
            if many == 1 { "it" } else { "them" }
        )),
    }
}

/// A stage without migrations says so, and what a run up to it comes to.
fn empty_stage_note(project: &Project, stage: usize, steps: &[Step]) -> Option<String> {
    let empty = empty_stage(project, stage)?;
    let id = project.stages.get(stage).map(|stage| stage.id.as_str());
    let will_run = || steps.iter().filter(|step| step.state.will_run());
    let before = match will_run().filter(|step| step.stage.as_deref() != id).count() {
        0 if will_run().next().is_some() => "nothing of earlier stages is pending".to_owned(),
        0 => "nothing is pending up to it".to_owned(),
        1 => "1 migration of earlier stages goes with it".to_owned(),
        many => format!("{many} migrations of earlier stages go with it"),
    };
    Some(format!("{empty}; {before}"))
}

/// Counts of a plan in one line, e.g. for `status`.
pub fn counts(plan: &Plan) -> (usize, usize) {
    let applied = plan.steps.iter().filter(|step| matches!(step.state, StepState::Applied { .. })).count();
    let pending = plan.steps.iter().filter(|step| step.state.will_run()).count();
    (applied, pending)
}
