//! One reading of a run's events, shared by every form of report: what became of each migration, stage and check.

use std::collections::HashMap;
use std::time::Duration;

use super::format::count;
use crate::migration::MigrationId;
use crate::plan::{Plan, StageSummary, Step, StepState};
use crate::run::{Blocker, CheckResult, EventKind, Outcome, Run, Verdict};

/// A run, digested.
pub(super) struct Digest<'a> {
    pub(super) run: &'a Run,
    /// The plan's steps in order, then migrations only the events know.
    pub(super) steps: Vec<StepView<'a>>,
    /// Indices into `steps` for each stage of the plan, in the plan's order of stages.
    pub(super) stages: Vec<(&'a StageSummary, Vec<usize>)>,
    /// False claims first, then what was not measured, then what holds.
    pub(super) checks: Vec<&'a CheckResult>,
    pub(super) backups: Vec<Backup<'a>>,
    /// Times spent waiting for another runner, and whom for.
    pub(super) runner_waits: Vec<Phase<'a>>,
    /// From just before the first check to the last, where there are checks after the last step.
    pub(super) verification: Option<Phase<'a>>,
    /// Time from the start to the last event.
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

/// A backup that was taken.
pub(super) struct Backup<'a> {
    pub(super) from: Duration,
    pub(super) at: Duration,
    pub(super) stage: &'a str,
    pub(super) path: &'a str,
    pub(super) bytes: u64,
    pub(super) sha256: &'a str,
}

/// What became of one migration.
pub(super) struct StepView<'a> {
    pub(super) id: &'a MigrationId,
    /// Its place in the plan; `None` for a migration the plan does not know.
    pub(super) step: Option<&'a Step>,
    pub(super) fate: Fate<'a>,
    pub(super) started: Option<Duration>,
    pub(super) ended: Option<Duration>,
    /// Statements run, once it is finished.
    pub(super) statements: Option<u32>,
    pub(super) took: Option<Duration>,
    /// Attempts known so far.
    pub(super) attempts: Option<u32>,
    pub(super) waits: Vec<Wait<'a>>,
    /// When each unit was done.
    pub(super) units: Vec<Duration>,
    pub(super) notices: Vec<Notice<'a>>,
}

/// One attempt that did not get its lock.
pub(super) struct Wait<'a> {
    pub(super) at: Duration,
    pub(super) attempt: u32,
    pub(super) blockers: &'a [Blocker],
}

/// Something the server said.
pub(super) struct Notice<'a> {
    pub(super) severity: &'a str,
    pub(super) code: &'a str,
    pub(super) message: &'a str,
    pub(super) line: u32,
}

/// How a migration came out of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate<'a> {
    Applied,
    Failed {
        message: &'a str,
        code: Option<&'a str>,
        state: &'a str,
    },
    /// It began, and no event tells of its end.
    Unfinished,
    /// It would have run, but never began.
    NotReached,
    AppliedBefore {
        at_micros: i64,
    },
    Deferred {
        why: Option<&'a str>,
    },
    Optional {
        why: Option<&'a str>,
    },
    AboveTarget {
        why: Option<&'a str>,
    },
    Skipped {
        why: Option<&'a str>,
    },
}

impl<'a> Fate<'a> {
    fn planned(state: &StepState) -> Self {
        match state {
            StepState::Pending | StepState::PendingOutOfOrder | StepState::Resume { .. } => Self::NotReached,
            StepState::Applied { at_micros, .. } => Self::AppliedBefore {
                at_micros: *at_micros,
            },
            StepState::Deferred => Self::Deferred { why: None },
            StepState::Optional => Self::Optional { why: None },
            StepState::AboveTarget => Self::AboveTarget { why: None },
        }
    }

    fn skipped(self, why: &'a str) -> Self {
        let why = Some(why);
        match self {
            Self::Deferred { .. } => Self::Deferred { why },
            Self::Optional { .. } => Self::Optional { why },
            Self::AboveTarget { .. } => Self::AboveTarget { why },
            _ => Self::Skipped { why },
        }
    }

    /// The word reports show.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Failed { .. } => "failed",
            Self::Unfinished => "end not recorded",
            Self::NotReached => "not reached",
            Self::AppliedBefore { .. } => "applied before",
            Self::Deferred { .. } => "deferred",
            Self::Optional { .. } => "optional",
            Self::AboveTarget { .. } => "above the target",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// Why it was left out, for the fates that leave a migration out on purpose.
    pub(super) fn left_out(self) -> Option<&'a str> {
        let (why, otherwise) = match self {
            Self::Deferred { why } => (why, "declared deferred; it waits until it is named"),
            Self::Optional { why } => (why, "declared optional; it waits until it is named"),
            Self::AboveTarget { why } => (why, "lies above the target of this run"),
            Self::Skipped { why } => (why, ""),
            _ => return None,
        };
        Some(why.unwrap_or(otherwise))
    }
}

impl<'a> StepView<'a> {
    fn new(id: &'a MigrationId, step: Option<&'a Step>) -> Self {
        Self {
            id,
            step,
            fate: step.map_or(Fate::NotReached, |step| Fate::planned(&step.state)),
            started: None,
            ended: None,
            statements: None,
            took: None,
            attempts: None,
            waits: Vec::new(),
            units: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// The version as its file spells it, e.g. `V0001`.
    pub(super) fn label(&self) -> String {
        self.step.map_or_else(|| self.id.version.text().to_owned(), label)
    }

    pub(super) fn name(&self) -> &'a str {
        self.step.map_or("", |step| step.name.as_str())
    }

    pub(super) fn path(&self) -> &'a str {
        self.step.map_or("", |step| step.path.as_str())
    }

    /// Stage id.
    pub(super) fn stage(&self) -> Option<&'a str> {
        self.step.and_then(|step| step.stage.as_deref())
    }

    /// Statements run, or how many the plan counted.
    pub(super) fn statements(&self) -> Option<u32> {
        self.statements
            .or_else(|| self.step.map(|step| step.statements).filter(|&n| n > 0))
    }
}

/// The version with the letter its file name puts before it: `V0001` of `V0001__create_users.sql`.
pub(super) fn label(step: &Step) -> String {
    let file = step.path.rsplit('/').next().unwrap_or_default();
    let version = step.migration.version.text();
    let mut chars = file.chars();
    match chars.next() {
        Some(letter) if letter.is_ascii_alphabetic() && chars.as_str().starts_with(version) => {
            format!("{letter}{version}")
        }
        _ => version.to_owned(),
    }
}

/// What a step creates and changes, as `+ table users` would be read: the parser's findings, or the claims where the
/// file was not read (`claimed` is then true).
pub(super) struct Objects<'a> {
    pub(super) creates: &'a [String],
    pub(super) alters: &'a [String],
    pub(super) drops: &'a [String],
    pub(super) claimed: bool,
}

pub(super) fn objects(step: &Step) -> Objects<'_> {
    let seen = !(step.creates.is_empty() && step.alters.is_empty() && step.drops.is_empty());
    if seen || step.statements > 0 {
        Objects {
            creates: &step.creates,
            alters: &step.alters,
            drops: &step.drops,
            claimed: false,
        }
    } else {
        Objects {
            creates: &step.claims.creates,
            alters: &step.claims.alters,
            drops: &[],
            claimed: true,
        }
    }
}

/// Indices of `plan.steps` for each of the plan's stages, and of those that belong to none of them.
pub(super) fn by_stage(plan: &Plan) -> (Vec<(&StageSummary, Vec<usize>)>, Vec<usize>) {
    let mut stages: Vec<_> = plan.stages.iter().map(|stage| (stage, Vec::new())).collect();
    let places: HashMap<&str, usize> = plan
        .stages
        .iter()
        .enumerate()
        .map(|(i, stage)| (stage.id.as_str(), i))
        .collect();
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

impl<'a> Digest<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        let steps = run
            .plan
            .steps
            .iter()
            .map(|step| StepView::new(&step.migration, Some(step)))
            .collect();
        let mut digest = Self {
            run,
            steps,
            stages: by_stage(&run.plan).0,
            checks: Vec::new(),
            backups: Vec::new(),
            runner_waits: Vec::new(),
            verification: None,
            took: run
                .events
                .iter()
                .map(|event| event.elapsed)
                .max()
                .unwrap_or_default(),
            several_roots: several_roots(&run.plan),
        };
        digest.read_events();
        digest.checks.sort_by_key(|check| match check.verdict {
            Verdict::False => 0,
            Verdict::NotMeasured => 1,
            Verdict::Holds => 2,
        });
        digest
    }

    fn read_events(&mut self) {
        let run = self.run;
        let mut places: HashMap<&'a MigrationId, usize> = run
            .plan
            .steps
            .iter()
            .enumerate()
            .map(|(i, step)| (&step.migration, i))
            .collect();
        let mut waiting: Option<(Duration, &'a str)> = None;
        let mut previous = Duration::ZERO;
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
                EventKind::BackupTaken {
                    stage,
                    path,
                    bytes,
                    sha256,
                } => {
                    self.backups.push(Backup {
                        from: previous,
                        at,
                        stage,
                        path,
                        bytes: *bytes,
                        sha256,
                    });
                }
                EventKind::CheckDone(check) => {
                    let from = self.verification.as_ref().map_or(previous, |phase| phase.from);
                    self.verification = Some(Phase {
                        from,
                        to: at,
                        what: "",
                    });
                    self.checks.push(check);
                }
                EventKind::StepStarted { .. } => self.verification = None,
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
            self.runner_waits.push(Phase {
                from,
                to: previous,
                what,
            });
        }
    }

    /// Number of migrations whose fate satisfies `test`.
    pub(super) fn number(&self, test: impl Fn(Fate<'a>) -> bool) -> usize {
        self.steps.iter().filter(|step| test(step.fate)).count()
    }

    /// Number of checks with this verdict.
    pub(super) fn verdicts(&self, verdict: Verdict) -> usize {
        self.checks
            .iter()
            .filter(|check| check.verdict == verdict)
            .count()
    }

    /// Migrations of this run that failed.
    pub(super) fn failures(
        &self,
    ) -> impl Iterator<Item = (&StepView<'a>, &'a str, Option<&'a str>, &'a str)> {
        self.steps.iter().filter_map(|step| match step.fate {
            Fate::Failed { message, code, state } => Some((step, message, code, state)),
            _ => None,
        })
    }

    /// Parts such as `20 applied`, `3 skipped`, without those that are zero.
    pub(super) fn tally(&self) -> Vec<String> {
        let applied = self.number(|fate| fate == Fate::Applied);
        let mut parts = vec![count(applied, "applied", "applied")];
        let rest = [
            (self.number(|fate| matches!(fate, Fate::Failed { .. })), "failed"),
            (
                self.number(|fate| fate == Fate::Unfinished),
                "without a recorded end",
            ),
            (self.number(|fate| fate == Fate::NotReached), "not reached"),
            (
                self.number(|fate| matches!(fate, Fate::AppliedBefore { .. })),
                "applied before",
            ),
            (
                self.number(|fate| matches!(fate, Fate::Deferred { .. })),
                "deferred",
            ),
            (
                self.number(|fate| matches!(fate, Fate::Optional { .. })),
                "optional",
            ),
            (
                self.number(|fate| matches!(fate, Fate::AboveTarget { .. })),
                "above the target",
            ),
            (
                self.number(|fate| matches!(fate, Fate::Skipped { .. })),
                "skipped",
            ),
        ];
        parts.extend(
            rest.into_iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, what)| count(n, what, what)),
        );
        parts
    }

    /// How the run ended: a short word for a badge, and a sentence. Claims that do not hold take the shine off a run
    /// in which everything was applied.
    pub(super) fn headline(&self) -> (&'static str, String) {
        let (word, sentence) = outcome_words(self.run.outcome);
        let (wrong, unknown) = (self.verdicts(Verdict::False), self.verdicts(Verdict::NotMeasured));
        let mut doubts = Vec::new();
        if wrong > 0 {
            doubts.push(count(wrong, "claim is false", "claims are false"));
        }
        if unknown > 0 {
            doubts.push(count(
                unknown,
                "claim could not be measured",
                "claims could not be measured",
            ));
        }
        if doubts.is_empty() {
            return (word, sentence.to_owned());
        }
        let word = match self.run.outcome {
            Some(Outcome::Completed | Outcome::NothingToDo) if wrong > 0 => "Verification failed",
            Some(Outcome::Completed | Outcome::NothingToDo) => "Verification incomplete",
            _ => word,
        };
        (word, format!("{sentence} {}.", doubts.join(", ")))
    }

    /// Verdicts in words: `24 checks: 23 hold, 1 false`; `None` when nothing was checked.
    pub(super) fn verdict_words(&self) -> Option<String> {
        verdict_words(&self.checks)
    }
}

/// Verdicts in words: `24 checks: 23 hold, 1 false`; `None` without checks.
pub(super) fn verdict_words(checks: &[&CheckResult]) -> Option<String> {
    let number = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (held, wrong, unknown) = (
        number(Verdict::Holds),
        number(Verdict::False),
        number(Verdict::NotMeasured),
    );
    if checks.is_empty() {
        return None;
    }
    let mut words = format!(
        "{}: {}",
        count(checks.len(), "check", "checks"),
        count(held, "holds", "hold")
    );
    for (n, what) in [(wrong, "false"), (unknown, "not measured")] {
        if n > 0 {
            words = format!("{words}, {}", count(n, what, what));
        }
    }
    Some(words)
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

impl<'a> StepView<'a> {
    fn read(&mut self, at: Duration, kind: &'a EventKind) {
        match kind {
            EventKind::StepStarted { .. } => {
                self.started = Some(at);
                self.fate = Fate::Unfinished;
            }
            EventKind::LockWaiting {
                attempt, blockers, ..
            } => {
                self.attempts = Some(*attempt);
                self.waits.push(Wait {
                    at,
                    attempt: *attempt,
                    blockers,
                });
            }
            EventKind::Notice {
                severity,
                code,
                message,
                line,
                ..
            } => {
                self.notices.push(Notice {
                    severity,
                    code,
                    message,
                    line: *line,
                });
            }
            EventKind::UnitFinished { .. } => self.units.push(at),
            EventKind::StepFinished {
                statements,
                took,
                attempts,
                ..
            } => {
                self.fate = Fate::Applied;
                self.ended = Some(at);
                self.statements = Some(*statements);
                self.took = Some(*took);
                self.attempts = Some(*attempts);
            }
            EventKind::StepFailed {
                message, code, state, ..
            } => {
                self.fate = Fate::Failed {
                    message,
                    code: code.as_deref(),
                    state,
                };
                self.ended = Some(at);
                self.took = self.started.map(|started| at.saturating_sub(started));
            }
            EventKind::StepSkipped { why, .. } => self.fate = self.fate.skipped(why),
            _ => {}
        }
    }

    /// Stretches spent waiting for locks: from the start of a unit to its last attempt that did not get the lock.
    pub(super) fn waited(&self) -> Vec<(Duration, Duration)> {
        let mut stretches: Vec<(Duration, Duration)> = Vec::new();
        for wait in &self.waits {
            let from = self
                .units
                .iter()
                .copied()
                .filter(|unit| *unit <= wait.at)
                .max()
                .or(self.started);
            let from = from.unwrap_or(wait.at).min(wait.at);
            match stretches.last_mut() {
                Some(last) if last.0 == from => last.1 = wait.at,
                _ => stretches.push((from, wait.at)),
            }
        }
        stretches
    }

    /// Total of [`Self::waited`].
    pub(super) fn waited_total(&self) -> Duration {
        self.waited()
            .iter()
            .map(|(from, to)| to.saturating_sub(*from))
            .sum()
    }

    /// Every session seen in the way, once a process id.
    pub(super) fn blockers(&self) -> Vec<&'a Blocker> {
        let mut seen: Vec<&Blocker> = Vec::new();
        for blocker in self.waits.iter().rev().flat_map(|wait| wait.blockers) {
            if !seen.iter().any(|other| other.pid == blocker.pid) {
                seen.push(blocker);
            }
        }
        seen
    }
}

/// How a run ended: a short word for a badge, and a sentence.
fn outcome_words(outcome: Option<Outcome>) -> (&'static str, &'static str) {
    match outcome {
        Some(Outcome::Completed) => ("Completed", "Everything planned was applied."),
        Some(Outcome::NothingToDo) => (
            "Nothing to do",
            "Nothing was pending; the database was left as it was.",
        ),
        Some(Outcome::FailedClean) => (
            "Failed, rolled back",
            "A migration failed; the database is as the last finished migration left it.",
        ),
        Some(Outcome::NeedsDecision) => (
            "Needs a decision",
            "The state of a step outside a transaction is not known: a person must decide.",
        ),
        Some(Outcome::Interrupted) => (
            "Interrupted",
            "The run was stopped on request; what is applied is listed below.",
        ),
        Some(Outcome::LockNotObtained) => (
            "Lock not obtained",
            "A lock could not be had in time; nothing of that migration is applied, and trying again is safe.",
        ),
        Some(Outcome::ConnectionLost) => (
            "Connection lost",
            "The connection to the server was lost; each migration's state says what is known of it.",
        ),
        None => (
            "No end recorded",
            "The run was killed, or was still going when this report was made.",
        ),
    }
}
