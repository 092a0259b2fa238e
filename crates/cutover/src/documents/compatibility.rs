//! What those notice who used the database before, what lint finds, and what to do where something goes wrong: only what applies
//! to these files.

use std::collections::BTreeMap;

use serde::Serialize;

use super::checks::CheckNote;
use super::does::Does;
use super::migrations::{Labels, RunNote};
use super::tables::Consistency;
use crate::lint::Found;
use crate::plan::{Plan, Step};

/// What clients of before notice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Compatibility {
    /// No migration changes, drops, writes or hides anything that is there before it.
    pub(super) creates_only: bool,
    pub(super) migrations: Vec<Noticed>,
}

/// What clients notice of a migration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Noticed {
    pub(super) label: String,
    pub(super) path: String,
    pub(super) creates_only: bool,
    /// In words; nothing where they notice nothing.
    pub(super) notices: Vec<String>,
}

impl Compatibility {
    pub(super) fn of(plan: &Plan, all: &[Does], labels: &Labels) -> Self {
        let noticed = |(step, does): (&Step, &Does)| Noticed {
            label: labels.of_id(&step.migration),
            path: step.path.clone(),
            creates_only: creates_only(step, does),
            notices: notices(step, does),
        };
        let migrations: Vec<Noticed> = plan.steps.iter().zip(all).map(noticed).collect();
        Self { creates_only: migrations.iter().all(|one| one.creates_only), migrations }
    }
}

fn creates_only(step: &Step, does: &Does) -> bool {
    step.alters.is_empty() && does.keeps_all() && step.writes.is_empty() && step.opaque.is_none()
}

fn notices(step: &Step, does: &Does) -> Vec<String> {
    let mut words = Vec::new();
    let mut each = |verb: &str, objects: &[String]| {
        words.extend(objects.iter().map(|object| format!("{verb} {object}")));
    };
    each("changes", &step.alters);
    each("renames", &does.renames);
    each("drops", &does.drops);
    each("drops and makes again", &does.replaces);
    each("writes rows of", &step.writes);
    each("refers to", &step.references);
    words.extend(
        step.locks.iter().map(|lock| format!("locks {} {} (line {})", lock.relation, lock.mode, lock.line)),
    );
    words.extend(step.more_locks.iter().cloned());
    words.extend(step.work.iter().map(|work| {
        let sure = if work.sure { "" } else { "perhaps " };
        format!("{sure}{} of {}: {} (line {})", work.kind, work.relation, work.why, work.line)
    }));
    words.extend(
        step.units
            .iter()
            .filter_map(|unit| Some(format!("runs outside a transaction: {}", unit.why.as_ref()?))),
    );
    words.extend(step.opaque.iter().map(|why| format!("is not fully known: {why}")));
    words
}

/// Something that lint finds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Risk {
    pub(super) code: String,
    pub(super) severity: String,
    pub(super) path: String,
    pub(super) line: u32,
    pub(super) message: String,
    pub(super) help: String,
}

/// What lint finds in the files, each as a run of its own on a database in use.
pub(super) fn risks(found: &Found) -> Vec<Risk> {
    let risk = |one: &crate::lint::Located| Risk {
        code: one.code.clone(),
        severity: one.severity.to_string(),
        path: one.path.clone(),
        line: one.line,
        message: one.message.clone(),
        help: one.help.clone(),
    };
    found.findings.iter().map(risk).collect()
}

/// What may go wrong here, and what to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    /// What is seen, with its SQLSTATE where there is one.
    pub(super) symptom: String,
    pub(super) cause: String,
    pub(super) commands: Vec<String>,
}

/// What troubles are looked for in.
pub(super) struct Sources<'a> {
    pub(super) plan: &'a Plan,
    pub(super) labels: &'a Labels,
    pub(super) runs: &'a [RunNote],
    pub(super) checks: &'a [CheckNote],
    pub(super) consistency: &'a Consistency,
    /// How applied files differ from the history, in words.
    pub(super) differences: &'a [String],
}

pub(super) fn troubles(sources: &Sources<'_>) -> Vec<Trouble> {
    let mut all = Vec::new();
    all.extend(failed(sources.runs));
    all.extend(drifted(sources.consistency));
    all.extend(edited(sources.differences));
    all.extend(needed(sources));
    all.extend(locked(sources));
    all.extend(outside(sources));
    all.extend(refused(sources.checks));
    all.extend(wrong(sources.checks));
    all
}

fn trouble(symptom: String, cause: String, commands: &[&str]) -> Trouble {
    Trouble { symptom, cause, commands: commands.iter().map(|&command| command.to_owned()).collect() }
}

/// What has failed here before.
fn failed(runs: &[RunNote]) -> impl Iterator<Item = Trouble> + '_ {
    runs.iter().flat_map(|run| {
        run.failures.iter().map(|failure| {
            let state = failure.sqlstate.as_deref().map_or_else(String::new, |state| format!(" ({state})"));
            let symptom = format!("{} failed{state}: {}", failure.label, failure.message);
            let report = format!("cutover report --run {}", run.id);
            trouble(symptom, format!("in run {}: {}", run.id, failure.state), &["cutover status", &report])
        })
    })
}

fn drifted(consistency: &Consistency) -> Option<Trouble> {
    let number = consistency.totals.do_not_hold;
    let symptom = format!("{number} objects are not what the applied migrations make");
    let cause = "somebody changed the database by hand or with another tool".to_owned();
    (number > 0).then(|| trouble(symptom, cause, &["cutover diff --replay", "cutover repair --accept-drift"]))
}

fn edited(differences: &[String]) -> impl Iterator<Item = Trouble> + '_ {
    differences.iter().map(|words| {
        let symptom = words.lines().next().unwrap_or_default().to_owned();
        trouble(symptom, "a file is not what was applied".to_owned(), &["cutover status", "cutover repair"])
    })
}

/// Applied alone, a file finds nothing of what it needs.
fn needed(sources: &Sources<'_>) -> Option<Trouble> {
    let mut pairs = Vec::new();
    for step in &sources.plan.steps {
        let others: Vec<String> =
            step.needs.iter().map(|need| sources.labels.of_id(&need.migration)).collect();
        if !others.is_empty() {
            pairs.push(format!("{} without {}", sources.labels.of_id(&step.migration), others.join(", ")));
        }
    }
    let symptom = "something that a file names does not exist (42P01, 42703, 42704)".to_owned();
    let cause = format!("a file is run before those it needs: {}", pairs.join("; "));
    (!pairs.is_empty()).then(|| trouble(symptom, cause, &["cutover plan", "cutover graph"]))
}

/// Locks on what others use.
fn locked(sources: &Sources<'_>) -> Option<Trouble> {
    let mut strongest: BTreeMap<(String, &str), &str> = BTreeMap::new();
    for step in &sources.plan.steps {
        for lock in &step.locks {
            strongest.entry((sources.labels.of_id(&step.migration), &lock.relation)).or_insert(&lock.mode);
        }
    }
    let words: Vec<String> = strongest
        .iter()
        .map(|((label, relation), mode)| format!("{label} locks {relation} {mode}"))
        .collect();
    let symptom = "a lock is not had in time (55P03; exit code 6)".to_owned();
    let cause = format!("other sessions hold what these need: {}", words.join("; "));
    (!words.is_empty()).then(|| trouble(symptom, cause, &["cutover status", "cutover apply"]))
}

/// Statements whose outcome a crash may leave open.
fn outside(sources: &Sources<'_>) -> impl Iterator<Item = Trouble> {
    let steps = sources.plan.steps.iter().filter(|step| step.units.iter().any(|unit| !unit.transactional));
    steps.map(|step| {
        let label = sources.labels.of_id(&step.migration);
        let version = sources.labels.version(&step.migration);
        let why: Vec<&str> = step.units.iter().filter_map(|unit| unit.why.as_deref()).collect();
        let repair = format!("cutover repair {version}");
        trouble(
            format!("{label} was begun and its end is not known"),
            format!("statements of it run outside a transaction: {}", why.join("; ")),
            &["cutover status", &repair, "cutover apply"],
        )
    })
}

/// What the database refuses, by the checks that say so.
fn refused(checks: &[CheckNote]) -> impl Iterator<Item = Trouble> {
    let mut by_state: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for check in checks.iter().filter(|check| check.kind == "fails" && check.verdict == "holds") {
        let state = check.found.trim_start_matches("refused with ");
        by_state.entry(state).or_default().push(&check.name);
    }
    let told = |(state, names): (&str, Vec<&str>)| {
        trouble(
            format!("an application's statement is refused with {state}"),
            format!("the database holds to: {}", names.join("; ")),
            &["cutover verify --kind fails -v"],
        )
    };
    by_state.into_iter().map(told).collect::<Vec<_>>().into_iter()
}

fn wrong(checks: &[CheckNote]) -> Option<Trouble> {
    let names: Vec<&str> =
        checks.iter().filter(|check| check.verdict == "false").map(|check| check.name.as_str()).collect();
    let symptom = "verification ends with 1".to_owned();
    let cause = format!("what is claimed is not so: {}", names.join("; "));
    (!names.is_empty()).then(|| trouble(symptom, cause, &["cutover verify -v"]))
}
