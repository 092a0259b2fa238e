//! One reading of a run's events, shared by every form of report: what became of each migration, stage and check.

mod groups;
mod parts;
mod step;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

pub(super) use groups::{Group, grouped_checks};
pub use parts::parts_lines;
pub(super) use step::{Fate, Objects, StepView, bare, objects, parts_in_words};

use super::format::{count, duration, grouped};
use crate::lint::of_run;
use crate::migration::MigrationId;
use crate::plan::{Plan, StageSummary, Step};
use crate::revert::is_project_name;
use crate::run::{CheckResult, EventKind, Outcome, PartsDone, Run, Verdict};

/// What is measured within this time after the run is taken for a part of the same command.
const AT_ONCE: Duration = Duration::from_secs(60);

/// A run, digested.
pub(super) struct Digest<'a> {
    pub(super) run: &'a Run,
    /// The plan's steps in order, then migrations only the events know.
    pub(super) steps: Vec<StepView<'a>>,
    /// Indices into `steps` for each stage of the plan, in the plan's order of stages.
    pub(super) stages: Vec<(&'a StageSummary, Vec<usize>)>,
    /// The newest answer of each check, in the order they were first given.
    pub(super) checks: Vec<&'a CheckResult>,
    /// Each time that checks were measured after the run.
    pub(super) passes: Vec<Pass<'a>>,
    pub(super) backups: Vec<Backup<'a>>,
    /// What went on around the migrations and is worth a line, e.g. that the lock's session was lost.
    pub(super) remarks: Vec<String>,
    /// Times spent waiting for another runner, and whom for.
    pub(super) runner_waits: Vec<Phase<'a>>,
    /// Stretches in which the run itself measured: preconditions of a migration, with its id, or figures of tables.
    pub(super) measured: Vec<(Option<&'a MigrationId>, Phase<'a>)>,
    /// Time until the run had its plan and began, where it did.
    pub(super) planned: Option<Duration>,
    /// Time from the start to the run's end, or to the last event where no end is recorded. What was measured later has
    /// its own time, see `verification`.
    pub(super) took: Duration,
    /// Whether migrations come from several folders, so that a version alone does not name one.
    pub(super) several_roots: bool,
}

/// A stretch of the run that is not a migration.
pub(super) struct Phase<'a> {
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) what: &'a str,
}

/// One time that checks were measured after the run.
pub(super) struct Pass<'a> {
    /// Wall clock at its beginning, microseconds since the Unix epoch.
    pub(super) at_micros: i64,
    pub(super) operator: &'a str,
    /// Whether it followed the run as part of the same command, as far as the time tells.
    pub(super) at_once: bool,
    pub(super) took: Duration,
    pub(super) checks: Vec<&'a CheckResult>,
}

impl Pass<'_> {
    /// Verdicts in words, and how long it took.
    pub(super) fn words(&self) -> String {
        let words = verdict_words(&self.checks).unwrap_or_else(|| "no checks".to_owned());
        format!("{words}, measured in {}", duration(self.took))
    }
}

/// A backup, as far as it came.
pub(super) struct Backup<'a> {
    pub(super) from: Duration,
    pub(super) at: Duration,
    pub(super) stage: &'a str,
    pub(super) path: &'a str,
    /// Size in bytes and SHA-256, once the dump was complete.
    pub(super) dump: Option<(u64, &'a str)>,
    /// Tables and rows compared, once it was restored.
    pub(super) restored: Option<(u64, u64)>,
}

impl Backup<'_> {
    /// Whether it is proven, and how, in words.
    pub(super) fn proof(&self) -> String {
        match (self.restored, self.dump) {
            (Some((tables, rows)), _) => format!(
                "restored in a throwaway server: {}, {} in all, as in the database",
                grouped_count(tables, "table", "tables"),
                grouped_count(rows, "row", "rows")
            ),
            (None, Some(_)) => "not proven: it was not restored".to_owned(),
            (None, None) => "not complete".to_owned(),
        }
    }
}

fn grouped_count(number: u64, one: &str, many: &str) -> String {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// Indices of `plan.steps` for each of the plan's stages, and of those that belong to none of them.
pub(super) fn by_stage(plan: &Plan) -> (Vec<(&StageSummary, Vec<usize>)>, Vec<usize>) {
    let mut stages: Vec<_> = plan.stages.iter().map(|stage| (stage, Vec::new())).collect();
    let places: HashMap<&str, usize> =
        plan.stages.iter().enumerate().map(|(i, stage)| (stage.id.as_str(), i)).collect();
    let mut others = Vec::new();
    for (i, step) in plan.steps.iter().enumerate() {
        let place = step.stage.as_deref().and_then(|id| places.get(id));
        match place.and_then(|&place| stages.get_mut(place)) {
            Some((_, members)) => members.push(i),
            None => others.push(i),
        }
    }
    (stages, others)
}

/// Whether the plan's migrations come from more than one folder.
pub(super) fn several_roots(plan: &Plan) -> bool {
    let mut roots = plan.steps.iter().map(|step| step.migration.root.as_str());
    let first = roots.next();
    roots.any(|root| Some(root) != first)
}

/// Remarks on a plan and on its migrations, each of those with its label.
pub(super) fn remarks(plan: &Plan) -> Vec<String> {
    let of_step = |step: &Step| -> Vec<String> {
        let findings = step.findings.iter().map(of_run::line);
        let all = step.notes.iter().cloned().chain(findings);
        all.map(|note| format!("{}: {note}", step.label())).collect()
    };
    plan.steps.iter().flat_map(of_step).chain(plan.notes.iter().cloned()).collect()
}

impl<'a> Digest<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        let steps = run.plan.steps.iter().map(|step| StepView::new(&step.migration, Some(step))).collect();
        let mut digest = Self {
            run,
            steps,
            stages: by_stage(&run.plan).0,
            checks: Vec::new(),
            backups: Vec::new(),
            remarks: Vec::new(),
            runner_waits: Vec::new(),
            measured: Vec::new(),
            planned: None,
            passes: Vec::new(),
            took: took(run),
            several_roots: several_roots(&run.plan),
        };
        digest.read_events();
        digest.passes.retain(|pass| !pass.checks.is_empty());
        digest
    }

    fn read_backup(
        &mut self,
        from: Duration,
        at: Duration,
        (stage, path): (&'a str, &'a str),
        kind: &'a EventKind,
    ) {
        let place = self.backups.iter().position(|backup| backup.path == path);
        let place = place.unwrap_or_else(|| {
            self.backups.push(Backup { from, at, stage, path, dump: None, restored: None });
            self.backups.len() - 1
        });
        let Some(backup) = self.backups.get_mut(place) else { return };
        backup.at = at;
        match kind {
            EventKind::BackupTaken { bytes, sha256, .. } => backup.dump = Some((*bytes, sha256)),
            EventKind::BackupRestored { tables, rows, .. } => backup.restored = Some((*tables, *rows)),
            _ => {}
        }
    }

    fn read_events(&mut self) {
        let run = self.run;
        let mut places: HashMap<&'a MigrationId, usize> =
            run.plan.steps.iter().enumerate().map(|(i, step)| (&step.migration, i)).collect();
        let mut waiting: Option<(Duration, &'a str)> = None;
        let mut previous = Duration::ZERO;
        let mut pass_began = Duration::ZERO;
        let mut answered: HashMap<(&str, &str), usize> = HashMap::new();
        for event in &run.events {
            let at = event.elapsed;
            if let Some(id) = migration_of(&event.kind) {
                let place = *places.entry(id).or_insert_with(|| {
                    self.steps.push(StepView::new(id, None));
                    self.steps.len() - 1
                });
                if let Some(view) = self.steps.get_mut(place) {
                    view.read(at, &event.kind);
                }
            }
            match &event.kind {
                EventKind::RunnerWaiting { holder } => {
                    let from = waiting.map_or(at, |(from, _)| from);
                    waiting = Some((from, holder));
                }
                kind @ (EventKind::BackupStarted { stage, path }
                | EventKind::BackupTaken { stage, path, .. }
                | EventKind::BackupRestored { stage, path, .. }) => {
                    let from = if matches!(kind, EventKind::BackupStarted { .. }) { at } else { previous };
                    self.read_backup(from, at, (stage, path), kind);
                }
                EventKind::RunnerLockLost { why } => {
                    self.remarks.push(format!("the session that holds the runner's lock was lost: {why}"));
                }
                EventKind::RunnerLockRegained { .. } => self
                    .remarks
                    .push("the runner's lock was taken again; no other runner had it in between".to_owned()),
                EventKind::VerificationStarted { operator } => {
                    pass_began = at;
                    let (at_micros, checks) = (event.at_micros, Vec::new());
                    let at_once = at.saturating_sub(self.took) < AT_ONCE;
                    self.passes.push(Pass { at_micros, operator, at_once, took: Duration::ZERO, checks });
                }
                EventKind::CheckDone(check) => {
                    if let Some(pass) = self.passes.last_mut() {
                        pass.checks.push(check);
                        pass.took = at.saturating_sub(pass_began);
                    }
                    if self.passes.is_empty() {
                        self.note_measured(check.migration.as_ref(), previous, at, "preconditions");
                    }
                    // A later answer stands in place of an earlier one.
                    match answered.entry((check.name.as_str(), check.kind.as_str())) {
                        Entry::Occupied(place) => self.checks[*place.get()] = check,
                        Entry::Vacant(place) => {
                            place.insert(self.checks.len());
                            self.checks.push(check);
                        }
                    }
                }
                EventKind::RunStarted { .. } => self.planned = Some(at),
                EventKind::Figures { .. } => self.note_measured(None, previous, at, "figures of tables"),
                _ => {}
            }
            if !matches!(event.kind, EventKind::RunnerWaiting { .. })
                && let Some((from, what)) = waiting.take()
            {
                self.runner_waits.push(Phase { from, to: at, what });
            }
            previous = at;
        }
        if let Some((from, what)) = waiting {
            self.runner_waits.push(Phase { from, to: previous, what });
        }
    }

    /// Something was measured by the run itself: a stretch of its own, or the one before goes on.
    fn note_measured(&mut self, of: Option<&'a MigrationId>, from: Duration, to: Duration, what: &'a str) {
        match self.measured.last_mut() {
            Some((id, phase)) if *id == of && phase.to == from => phase.to = to,
            _ => self.measured.push((of, Phase { from, to, what })),
        }
    }

    /// Number of migrations whose fate satisfies `test`.
    pub(super) fn number(&self, test: impl Fn(Fate<'a>) -> bool) -> usize {
        self.steps.iter().filter(|step| test(step.fate)).count()
    }

    /// Number of checks with this verdict.
    pub(super) fn verdicts(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    /// Migrations of this run that failed.
    pub(super) fn failures(
        &self,
    ) -> impl Iterator<Item = (&StepView<'a>, &'a str, Option<&'a str>, &'a str)> {
        self.steps.iter().filter_map(|step| match step.fate {
            Fate::Failed { message, code, state, .. } => Some((step, message, code, state)),
            _ => None,
        })
    }

    /// Whether a check is a precondition that kept its migration from starting: what is said of the failure says it.
    pub(super) fn is_said_by_failure(&self, check: &CheckResult) -> bool {
        let measured_later =
            self.passes.iter().any(|pass| pass.checks.iter().any(|other| std::ptr::eq(*other, check)));
        let failed = self.failures().any(|(step, ..)| check.migration.as_ref() == Some(step.id));
        failed && !measured_later && matches!(check.verdict, Verdict::False | Verdict::NotMeasured)
    }

    /// Checks that are false or could not be measured, but for preconditions that a failure tells of.
    pub(super) fn doubtful(&self) -> Vec<&'a CheckResult> {
        let doubtful = self.checks.iter().copied().filter(|check| {
            matches!(check.verdict, Verdict::False | Verdict::NotMeasured) && !self.is_said_by_failure(check)
        });
        doubtful.collect()
    }

    /// Whether these steps (places in [`steps`](Self::steps)) are some, and each is declared optional.
    pub(super) fn are_all_optional(&self, members: &[usize]) -> bool {
        let is_optional = |place: &usize| {
            self.steps.get(*place).and_then(|view| view.step).is_some_and(|step| step.claims.optional)
        };
        !members.is_empty() && members.iter().all(is_optional)
    }

    /// How long it took. What was verified in the same go was verified after the end of the run, and is not part of it.
    pub(super) fn took_in_words(&self) -> String {
        let took = duration(self.took);
        let at_once = self.passes.iter().filter(|pass| pass.at_once).map(|pass| pass.took).max();
        match at_once {
            Some(verified) => format!("{took}, verified in {}", duration(verified)),
            None => took,
        }
    }

    /// How many migrations the run might work on at once, where that is more than one and there was work.
    pub(super) fn side_by_side(&self) -> Option<String> {
        let several = self.run.jobs > 1 && self.run.outcome != Some(Outcome::NothingToDo);
        several.then(|| format!("up to {}", grouped(usize::try_from(self.run.jobs).unwrap_or(usize::MAX))))
    }

    /// Parts such as `20 applied`, `3 skipped`, without those that are zero.
    pub(super) fn tally(&self) -> Vec<String> {
        let applied = self.number(|fate| fate == Fate::Applied);
        let mut parts = Vec::new();
        let recorded = self.number(|fate| fate == Fate::Recorded);
        if applied > 0 || recorded == 0 && self.run.outcome != Some(Outcome::NothingToDo) {
            let word = if is_project_name(&self.run.project) { "reverted" } else { "applied" };
            parts.push(count(applied, word, word));
        }
        let rest = [
            (recorded, "recorded without being run"),
            (self.number(|fate| matches!(fate, Fate::Failed { .. })), "failed"),
            (self.number(|fate| fate == Fate::Unfinished), "without a recorded end"),
            (self.number(|fate| fate == Fate::NotReached), "not reached"),
            (self.number(|fate| matches!(fate, Fate::AppliedBefore { .. })), "applied before"),
            (self.number(|fate| matches!(fate, Fate::Deferred { .. })), "deferred"),
            (self.number(|fate| matches!(fate, Fate::Optional { .. })), "optional"),
            (self.number(|fate| matches!(fate, Fate::AboveTarget { .. })), "not chosen"),
            (self.number(|fate| matches!(fate, Fate::Skipped { .. })), "skipped"),
        ];
        parts.extend(rest.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(n, what, what)));
        parts
    }

    /// How the run ended: a short word for a badge, and a sentence. Claims that do not hold take the shine off a run
    /// in which everything was applied.
    pub(super) fn headline(&self) -> (&'static str, String) {
        let (word, sentence) = self.outcome();
        let Some(doubts) = self.doubts() else { return (word, sentence) };
        let word = match self.run.outcome {
            Some(Outcome::Completed | Outcome::NothingToDo) if self.verdicts(Verdict::False) > 0 => {
                "Verification failed"
            }
            Some(Outcome::Completed | Outcome::NothingToDo) => "Verification incomplete",
            _ => word,
        };
        (word, format!("{sentence} {doubts}."))
    }

    /// Whether all that it applied it only recorded.
    fn ran_nothing(&self) -> bool {
        let number = |what: Fate<'_>| self.number(|fate| fate == what);
        number(Fate::Recorded) > 0 && number(Fate::Applied) == 0
    }

    /// How the run itself ended, whatever was measured: a short word, and a sentence. The sentence may name a file.
    pub(super) fn outcome(&self) -> (&'static str, String) {
        let (word, sentence) = match self.run.outcome {
            Some(Outcome::Completed) if is_project_name(&self.run.project) => REVERTED,
            Some(Outcome::Completed) if self.ran_nothing() => RECORDED,
            other => outcome_words(other),
        };
        match self.partly() {
            None => (word, sentence.to_owned()),
            Some(applied) => partly_words(self.run.outcome, word, &applied),
        }
    }

    /// Whether parts of a migration are applied that did not come to its end.
    pub(super) fn is_partly_applied(&self) -> bool {
        self.partly().is_some()
    }

    /// What is applied of the migration that failed, in words: `1 of 3 parts of a.sql is applied and recorded`.
    fn partly(&self) -> Option<String> {
        self.steps.iter().find_map(|step| match step.fate {
            Fate::Failed { parts: PartsDone { done, of }, .. } if done > 0 => {
                let are = if done == 1 { "is" } else { "are" };
                let (parts, path) = (count(of as usize, "part", "parts"), step.path());
                Some(format!("{done} of {parts} of {path} {are} applied and recorded"))
            }
            _ => None,
        })
    }

    /// Claims that do not hold, in words.
    pub(super) fn doubts(&self) -> Option<String> {
        let doubtful = self.doubtful();
        let number = |verdict| doubtful.iter().filter(|check| check.verdict == verdict).count();
        let (wrong, unknown) = (number(Verdict::False), number(Verdict::NotMeasured));
        let mut doubts = Vec::new();
        if wrong > 0 {
            doubts.push(count(wrong, "claim is false", "claims are false"));
        }
        if unknown > 0 {
            doubts.push(count(unknown, "claim could not be measured", "claims could not be measured"));
        }
        (!doubts.is_empty()).then(|| doubts.join(", "))
    }

    /// Verdicts in words: `24 checks: 23 hold, 1 false`; `None` when nothing was checked.
    pub(super) fn verdict_words(&self) -> Option<String> {
        verdict_words(&self.checks)
    }
}

/// Verdicts in words: `24 checks: 23 hold, 1 false`; `None` without checks.
pub(super) fn verdict_words(checks: &[&CheckResult]) -> Option<String> {
    let number = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (held, wrong, unknown, skipped) = (
        number(Verdict::Holds),
        number(Verdict::False),
        number(Verdict::NotMeasured),
        number(Verdict::Skipped),
    );
    if checks.is_empty() {
        return None;
    }
    let mut words = Vec::new();
    if held > 0 {
        words.push(count(held, "holds", "hold"));
    }
    for (n, what) in [(wrong, "false"), (unknown, "not measured"), (skipped, "skipped")] {
        if n > 0 {
            words.push(count(n, what, what));
        }
    }
    Some(format!("{}: {}", count(checks.len(), "check", "checks"), words.join(", ")))
}

fn migration_of(kind: &EventKind) -> Option<&MigrationId> {
    match kind {
        EventKind::StepStarted { migration, .. }
        | EventKind::LockWaiting { migration, .. }
        | EventKind::Notice { migration, .. }
        | EventKind::UnitFinished { migration, .. }
        | EventKind::StepFinished { migration, .. }
        | EventKind::StepFailed { migration, .. }
        | EventKind::StepSkipped { migration, .. } => Some(migration),
        _ => None,
    }
}

/// Time from the start to the recorded end, else to the last event.
fn took(run: &Run) -> Duration {
    let ended = run.events.iter().find(|event| matches!(event.kind, EventKind::RunFinished { .. }));
    let last = || run.events.iter().map(|event| event.elapsed).max();
    ended.map(|event| event.elapsed).or_else(last).unwrap_or_default()
}

/// How a run ended that left a migration applied in part.
fn partly_words(outcome: Option<Outcome>, word: &'static str, applied: &str) -> (&'static str, String) {
    match outcome {
        Some(Outcome::FailedClean) => (
            "Failed, partly applied",
            format!("A migration failed: {applied}, the rest of it was rolled back."),
        ),
        Some(Outcome::LockNotObtained) => (
            word,
            format!(
                "A lock could not be had in time: {applied}, nothing of the rest is, and trying again is safe."
            ),
        ),
        other => {
            let (_, sentence) = outcome_words(other);
            (word, format!("{sentence} {applied}."))
        }
    }
}

/// How a run ended that went ways back.
const REVERTED: (&str, &str) =
    ("Reverted", "Every way back was gone to its end; what was reverted is pending again.");

/// How a run ended that ran nothing.
const RECORDED: (&str, &str) =
    ("Recorded", "What was in the database already was recorded as applied, without being run.");

/// How a run ended: a short word for a badge, and a sentence.
fn outcome_words(outcome: Option<Outcome>) -> (&'static str, &'static str) {
    match outcome {
        Some(Outcome::Completed) => ("Completed", "Everything planned was applied."),
        Some(Outcome::NothingToDo) => {
            ("Nothing to do", "Nothing was pending; the database was left as it was.")
        }
        Some(Outcome::FailedClean) => (
            "Failed, rolled back",
            "A migration failed; the database is as the last finished migration left it.",
        ),
        Some(Outcome::NeedsDecision) => (
            "Needs a decision",
            "The state of a step outside a transaction is not known: a person must decide.",
        ),
        Some(Outcome::Interrupted) => {
            ("Interrupted", "The run was stopped on request; the next one goes on from there.")
        }
        Some(Outcome::LockNotObtained) => (
            "Lock not obtained",
            "A lock could not be had in time; nothing of that migration is applied, and trying again is safe.",
        ),
        Some(Outcome::ConnectionLost) => (
            "Connection lost",
            "The connection to the server was lost; each migration's state says what is known of it.",
        ),
        None => ("No end recorded", "The run was killed, or was still going when this report was made."),
    }
}
