//! What became of one migration in a run.

use std::time::Duration;

use crate::migration::MigrationId;
use crate::plan::{Step, StepState};
use crate::report::format::count;
use crate::run::{Blocker, EventKind, PartsDone};

/// What became of one migration.
pub(in crate::report) struct StepView<'a> {
    pub(in crate::report) id: &'a MigrationId,
    /// Its place in the plan; `None` for a migration the plan does not know.
    pub(in crate::report) step: Option<&'a Step>,
    pub(in crate::report) fate: Fate<'a>,
    pub(in crate::report) started: Option<Duration>,
    pub(in crate::report) ended: Option<Duration>,
    /// Statements run, once it is finished.
    pub(in crate::report) statements: Option<u32>,
    pub(in crate::report) took: Option<Duration>,
    /// Attempts known so far.
    pub(in crate::report) attempts: Option<u32>,
    pub(in crate::report) waits: Vec<Wait<'a>>,
    /// When each unit was done.
    pub(in crate::report) units: Vec<Duration>,
    pub(in crate::report) notices: Vec<Notice<'a>>,
}

/// One attempt that did not get its lock.
pub(in crate::report) struct Wait<'a> {
    pub(in crate::report) at: Duration,
    pub(in crate::report) attempt: u32,
    pub(in crate::report) blockers: &'a [Blocker],
}

/// Something the server said.
pub(in crate::report) struct Notice<'a> {
    pub(in crate::report) severity: &'a str,
    pub(in crate::report) code: &'a str,
    pub(in crate::report) message: &'a str,
    pub(in crate::report) line: u32,
}

/// How a migration came out of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Fate<'a> {
    Applied,
    /// Recorded as applied, and not run: a baseline, or an adoption from another tool.
    Recorded,
    Failed {
        message: &'a str,
        code: Option<&'a str>,
        state: &'a str,
        parts: PartsDone,
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
    fn planned(state: &'a StepState) -> Self {
        match state {
            StepState::Pending | StepState::PendingOutOfOrder | StepState::Resume { .. } => Self::NotReached,
            StepState::Applied { at_micros, .. } => Self::AppliedBefore { at_micros: *at_micros },
            StepState::Deferred => Self::Deferred { why: None },
            StepState::Optional => Self::Optional { why: None },
            StepState::AboveTarget => Self::AboveTarget { why: None },
            StepState::NotNeeded { why } => Self::Skipped { why: Some(why) },
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
    pub(in crate::report) fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Recorded => "recorded, not run",
            Self::Failed { parts: PartsDone { done: 0, .. }, .. } => "failed",
            Self::Failed { .. } => "partly applied",
            Self::Unfinished => "end not recorded",
            Self::NotReached => "not reached",
            Self::AppliedBefore { .. } => "applied before",
            Self::Deferred { .. } => "deferred",
            Self::Optional { .. } => "optional",
            Self::AboveTarget { .. } => "not chosen",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// Why it was left out, for the fates that leave a migration out on purpose.
    pub(in crate::report) fn left_out(self) -> Option<&'a str> {
        let (why, otherwise) = match self {
            Self::Deferred { why } => (why, "declared deferred; it waits until it is named"),
            Self::Optional { why } => (why, "declared optional; it waits until it is named"),
            Self::AboveTarget { why } => (why, "was not chosen for this run"),
            Self::Skipped { why } => (why, ""),
            _ => return None,
        };
        // The state is said already: what is of interest is what can be done about it.
        Some(why.filter(|why| *why != self.word()).unwrap_or(otherwise))
    }
}

impl<'a> StepView<'a> {
    pub(super) fn new(id: &'a MigrationId, step: Option<&'a Step>) -> Self {
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
    pub(in crate::report) fn label(&self) -> String {
        self.step.map_or_else(|| self.id.version.text().to_owned(), Step::label)
    }

    pub(in crate::report) fn name(&self) -> &'a str {
        self.step.map_or("", |step| step.name.as_str())
    }

    pub(in crate::report) fn path(&self) -> &'a str {
        self.step.map_or("", |step| step.path.as_str())
    }

    /// Stage id.
    pub(in crate::report) fn stage(&self) -> Option<&'a str> {
        self.step.and_then(|step| step.stage.as_deref())
    }

    /// Statements run, or how many the plan counted.
    pub(in crate::report) fn statements(&self) -> Option<u32> {
        self.statements.or_else(|| self.step.map(|step| step.statements).filter(|&n| n > 0))
    }
}

/// What a step creates and changes, as `+ table users` would be read: the parser's findings, or the claims where the
/// file was not read (`claimed` is then true).
pub(in crate::report) struct Objects<'a> {
    pub(in crate::report) creates: &'a [String],
    /// What belongs to a table among `creates`.
    pub(in crate::report) parts: &'a [String],
    pub(in crate::report) alters: &'a [String],
    /// Tables its foreign keys point to.
    pub(in crate::report) references: &'a [String],
    /// Tables whose rows it writes.
    pub(in crate::report) writes: &'a [String],
    pub(in crate::report) drops: &'a [String],
    /// What gets another name.
    pub(in crate::report) renames: &'a [String],
    pub(in crate::report) claimed: bool,
}

/// Objects that belong to a table in numbers: `2 constraints, 1 index`. An index that a constraint of the same name
/// keeps is the constraint's.
pub(in crate::report) fn parts_in_words(parts: &[String]) -> String {
    let named =
        |part: &'static str| parts.iter().filter_map(move |text| text.strip_prefix(part)?.strip_prefix(' '));
    let constraints: std::collections::BTreeSet<&str> =
        named("constraint").map(|name| name.rsplit('.').next().unwrap_or(name)).collect();
    let counted = |kind: &str| match kind {
        "index" => named("index")
            .filter(|name| !constraints.contains(name.rsplit('.').next().unwrap_or(name)))
            .count(),
        kind => parts.iter().filter(|text| text.split(' ').next() == Some(kind)).count(),
    };
    let mut words = Vec::new();
    let mut rest = parts.len();
    for (kind, many) in [
        ("constraint", "constraints"),
        ("index", "indexes"),
        // Sequences belong to columns, which are not counted either.
        ("sequence", ""),
        ("trigger", "triggers"),
        ("policy", "policies"),
        ("rule", "rules"),
    ] {
        rest -= parts.iter().filter(|text| text.split(' ').next() == Some(kind)).count();
        let number = counted(kind);
        if number > 0 && !many.is_empty() {
            words.push(count(number, kind, many));
        }
    }
    if rest > 0 {
        words.push(count(rest, "other object", "other objects"));
    }
    words.join(", ")
}

/// A table without the word for it: what is altered, referred to or dropped is one unless something else is said.
pub(in crate::report) fn bare(object: &str) -> &str {
    object.strip_prefix("table ").unwrap_or(object)
}

pub(in crate::report) fn objects(step: &Step) -> Objects<'_> {
    let lists = [&step.creates, &step.alters, &step.references, &step.writes, &step.drops, &step.renames];
    let seen = lists.iter().any(|list| !list.is_empty());
    if seen || step.statements > 0 {
        Objects {
            creates: &step.creates,
            parts: &step.parts,
            alters: &step.alters,
            references: &step.references,
            writes: &step.writes,
            drops: &step.drops,
            renames: &step.renames,
            claimed: false,
        }
    } else {
        Objects {
            creates: &step.claims.creates,
            parts: &[],
            alters: &step.claims.alters,
            references: &[],
            writes: &[],
            drops: &[],
            renames: &[],
            claimed: true,
        }
    }
}

impl<'a> StepView<'a> {
    pub(super) fn read(&mut self, at: Duration, kind: &'a EventKind) {
        match kind {
            EventKind::StepStarted { .. } => {
                self.started = Some(at);
                self.fate = Fate::Unfinished;
            }
            EventKind::LockWaiting { attempt, blockers, .. } => {
                self.attempts = Some(*attempt);
                self.waits.push(Wait { at, attempt: *attempt, blockers });
            }
            EventKind::Notice { severity, code, message, line, .. } => {
                self.notices.push(Notice { severity, code, message, line: *line });
            }
            EventKind::UnitFinished { .. } => self.units.push(at),
            EventKind::StepFinished { statements, took, attempts, .. } => {
                self.fate = if *attempts == 0 { Fate::Recorded } else { Fate::Applied };
                self.ended = Some(at);
                self.statements = Some(*statements);
                self.took = Some(*took);
                self.attempts = Some(*attempts);
            }
            EventKind::StepFailed { message, code, state, parts, .. } => {
                self.fate = Fate::Failed { message, code: code.as_deref(), state, parts: *parts };
                self.ended = Some(at);
                self.took = self.started.map(|started| at.saturating_sub(started));
            }
            EventKind::StepSkipped { why, .. } => self.fate = self.fate.skipped(why),
            _ => {}
        }
    }

    /// Stretches spent waiting for locks: from the start of a unit to its last attempt that did not get the lock.
    pub(in crate::report) fn waited(&self) -> Vec<(Duration, Duration)> {
        let mut stretches: Vec<(Duration, Duration)> = Vec::new();
        for wait in &self.waits {
            let from = self.units.iter().copied().filter(|unit| *unit <= wait.at).max().or(self.started);
            let from = from.unwrap_or(wait.at).min(wait.at);
            match stretches.last_mut() {
                Some(last) if last.0 == from => last.1 = wait.at,
                _ => stretches.push((from, wait.at)),
            }
        }
        stretches
    }

    /// Total of [`Self::waited`].
    pub(in crate::report) fn waited_total(&self) -> Duration {
        self.waited().iter().map(|(from, to)| to.saturating_sub(*from)).sum()
    }

    /// Every session seen in the way, once a process id.
    pub(in crate::report) fn blockers(&self) -> Vec<&'a Blocker> {
        let mut seen: Vec<&Blocker> = Vec::new();
        for blocker in self.waits.iter().rev().flat_map(|wait| wait.blockers) {
            if !seen.iter().any(|other| other.pid == blocker.pid) {
                seen.push(blocker);
            }
        }
        seen
    }
}
