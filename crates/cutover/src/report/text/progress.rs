//! A line for an event, as it happens.

use std::collections::{BTreeMap, HashMap};

use unicode_width::UnicodeWidthStr as _;

use super::{TextStyle, Tone};
use crate::migration::{Migration, MigrationId};
use crate::plan::{Plan, label};
use crate::report::escape;
use crate::report::format::{bytes, count, duration, grouped, seconds};
use crate::run::{Blocker, EventKind, Outcome, RunEvent};

/// Longest name the durations are aligned behind; longer ones push them to the right.
const NAME: usize = 44;

/// Names longer than this are cut in lines of progress.
const LONGEST: usize = 50;

/// Turns events into lines, with the names and the alignment a plan gives.
#[derive(Debug)]
pub struct Progress<'a> {
    style: TextStyle,
    /// Version as its file spells it, and name.
    names: HashMap<&'a MigrationId, (String, String)>,
    /// The place of each in the order of the run.
    places: HashMap<&'a MigrationId, usize>,
    /// The next place that lines have not come to yet.
    reached: usize,
    /// Lines about what is left out, by place: a run says all of it when it begins.
    left_out: BTreeMap<usize, String>,
    paths: HashMap<&'a MigrationId, &'a str>,
    label_width: usize,
    name_width: usize,
    /// What is applied are ways back.
    goes_back: bool,
    /// The attempt and the processes in the way that were last told of.
    told: Option<(u32, Vec<i32>)>,
}

/// A line for the event without a plan at hand: migrations are named by their version alone. See [`Progress::lines`].
pub fn event_line(event: &RunEvent, style: TextStyle) -> Option<String> {
    Progress::without_plan(style).line(event)
}

impl<'a> Progress<'a> {
    /// For a run of this plan.
    pub fn new(plan: &'a Plan, style: TextStyle) -> Self {
        let steps = plan.steps.iter();
        let names = steps.map(|step| (&step.migration, step.label(), &*step.name, step.state.will_run()));
        let paths = plan.steps.iter().map(|step| (&step.migration, step.path.as_str())).collect();
        Self { paths, ..Self::named_by(names, style) }
    }

    /// For a run whose plan is not known yet: lines are aligned as if all of these ran.
    pub fn of(migrations: &'a [Migration], style: TextStyle) -> Self {
        let names = migrations.iter().map(|migration| {
            (&migration.id, label(&migration.path, &migration.id.version), &*migration.name, true)
        });
        let paths = migrations.iter().map(|migration| (&migration.id, migration.path.as_str())).collect();
        let goes_back = migrations.iter().any(|migration| migration.takes_back.is_some());
        Self { paths, goes_back, ..Self::named_by(names, style) }
    }

    /// Id, version and name of each, and whether lines make room for it.
    fn named_by(
        names: impl Iterator<Item = (&'a MigrationId, String, &'a str, bool)>,
        style: TextStyle,
    ) -> Self {
        let mut progress = Self::without_plan(style);
        for (place, (id, label, name, aligned)) in names.enumerate() {
            progress.places.insert(id, place);
            let label = escape::line(&label).into_owned();
            let name = escape::excerpt(name, LONGEST);
            if aligned {
                progress.label_width = progress.label_width.max(label.width());
                progress.name_width = progress.name_width.max(name.width()).min(NAME);
            }
            progress.names.insert(id, (label, name));
        }
        progress
    }

    fn without_plan(style: TextStyle) -> Self {
        Self {
            style,
            names: HashMap::new(),
            places: HashMap::new(),
            reached: 0,
            left_out: BTreeMap::new(),
            paths: HashMap::new(),
            label_width: 0,
            name_width: 0,
            goes_back: false,
            told: None,
        }
    }

    /// What to print for the event, each without the last line feed: nothing for events that need no line (the start of
    /// a step, and what [`verification_table`](super::verification_table) and [`summary`](super::summary) show at
    /// the end), and before its own line those about migrations left out whose place in the order comes now.
    pub fn lines(&mut self, event: &RunEvent) -> Vec<String> {
        let mut lines = self.left_out_before(&event.kind);
        match (self.line(event), &event.kind) {
            (Some(line), EventKind::StepSkipped { migration, .. }) => match self.places.get(migration) {
                Some(place) if *place >= self.reached => {
                    self.left_out.insert(*place, line);
                }
                _ => lines.push(line),
            },
            (line, _) => lines.extend(line),
        }
        lines
    }

    /// Lines about migrations left out that come before what this event is about; at a good end, all that there are.
    fn left_out_before(&mut self, kind: &EventKind) -> Vec<String> {
        let place = match kind {
            EventKind::RunFinished { outcome: Outcome::Completed } => Some(usize::MAX),
            EventKind::StepStarted { migration, .. }
            | EventKind::StepFinished { migration, .. }
            | EventKind::StepFailed { migration, .. } => self.places.get(migration).copied(),
            _ => None,
        };
        let Some(place) = place else { return Vec::new() };
        self.reached = self.reached.max(place);
        let later = self.left_out.split_off(&place);
        std::mem::replace(&mut self.left_out, later).into_values().collect()
    }

    fn line(&mut self, event: &RunEvent) -> Option<String> {
        match &event.kind {
            EventKind::RunStarted { run, steps } => {
                let what = if self.goes_back {
                    format!("{} to revert", count(*steps, "migration", "migrations"))
                } else {
                    format!("{} to apply", count(*steps, "migration", "migrations"))
                };
                Some(self.dim(&format!("run {}: {what}", escape::line(run))))
            }
            EventKind::RunnerWaiting { holder } => {
                let words = format!("waiting for {}", escape::line(holder));
                Some(self.marked("…", Tone::Warn, &words))
            }
            EventKind::Renumbered { migration, from, from_path, .. } => {
                let was = if from == migration {
                    format!("was {}", escape::line(from_path))
                } else {
                    format!("was {} ({})", escape::line(from.version.text()), escape::line(from_path))
                };
                let words = format!("{}  {was}: the history follows its file", self.named(migration));
                Some(self.marked("→", Tone::Plain, &words))
            }
            EventKind::RunnerLockLost { why } => {
                let why = escape::line(why);
                let words = format!("the session that holds the runner's lock was lost: {why}");
                Some(self.marked("…", Tone::Warn, &words))
            }
            EventKind::RunnerLockRegained { .. } => {
                let words = "the runner's lock is held again; no other runner had it in between";
                Some(self.marked("✓", Tone::Good, words))
            }
            kind @ (EventKind::BackupStarted { .. }
            | EventKind::BackupTaken { .. }
            | EventKind::BackupRestored { .. }) => self.backup(kind),
            EventKind::LockWaiting { migration, attempt, blockers } => {
                self.news(*attempt, blockers).then(|| self.waiting(migration, *attempt, blockers))
            }
            EventKind::StepFinished { migration, took, attempts, .. } => {
                let retried = match attempts {
                    0 | 1 => String::new(),
                    n => self.dim(&format!("  after {n} attempts")),
                };
                let words = format!("{}  {:>7}{retried}", self.named(migration), duration(*took));
                Some(self.marked("✓", Tone::Good, &words))
            }
            EventKind::StepSkipped { migration, why } => {
                let words = self.dim(&format!("{}  {}", self.named(migration), escape::line(why)));
                Some(self.marked("–", Tone::Dim, &words))
            }
            EventKind::RunnerLocked { .. }
            | EventKind::StepStarted { .. }
            | EventKind::VerificationStarted { .. }
            | EventKind::CheckDone(_)
            | EventKind::SchemaLeft { .. }
            | EventKind::RunFinished { .. } => None,
            other => self.within_step(other),
        }
    }

    fn backup(&self, kind: &EventKind) -> Option<String> {
        match kind {
            EventKind::BackupStarted { stage, path } => {
                let (stage, path) = (escape::line(stage), escape::line(path));
                Some(self.marked("…", Tone::Dim, &format!("backup for {stage}: dumping to {path}")))
            }
            EventKind::BackupTaken { stage, bytes: size, sha256, .. } => {
                let digest = self.dim(&format!("sha256 {}", escape::line(sha256)));
                let words = format!(
                    "backup for {}: {}, restoring it\n    {digest}",
                    escape::line(stage),
                    bytes(*size)
                );
                Some(self.marked("…", Tone::Dim, &words))
            }
            EventKind::BackupRestored { stage, tables, rows, took, .. } => {
                let number = |number: u64| grouped(usize::try_from(number).unwrap_or(usize::MAX));
                let words = format!(
                    "backup for {}: restored and compared, {} tables with {} rows  {:>7}",
                    escape::line(stage),
                    number(*tables),
                    number(*rows),
                    duration(*took)
                );
                Some(self.marked("✓", Tone::Good, &words))
            }
            _ => None,
        }
    }

    /// Whether an attempt is worth a line: a first one, one with others in the way than before, and else ever rarer.
    fn news(&mut self, attempt: u32, blockers: &[Blocker]) -> bool {
        let pids: Vec<i32> = blockers.iter().map(|blocker| blocker.pid).collect();
        let known = self.told.as_ref().is_some_and(|(told, before)| *told < attempt && *before == pids);
        let news = !known || attempt.is_power_of_two();
        if news {
            self.told = Some((attempt, pids));
        }
        news
    }

    /// Lines about something within a step.
    fn within_step(&self, kind: &EventKind) -> Option<String> {
        match kind {
            EventKind::Notice { migration, severity, code, message, line } => {
                let words = format!(
                    "{}:{line}  {} {}: {}",
                    self.path(migration),
                    escape::line(severity).to_lowercase(),
                    escape::line(code),
                    escape::excerpt(message, 500)
                );
                let plain = matches!(severity.as_str(), "NOTICE" | "INFO" | "LOG" | "DEBUG");
                Some(self.marked(
                    " ",
                    Tone::Plain,
                    &self.style.paint(if plain { Tone::Dim } else { Tone::Warn }, &words),
                ))
            }
            EventKind::StepNote { migration, note } => {
                let words = format!("{}  note: {}", self.label(migration), escape::line(note));
                Some(self.marked(" ", Tone::Plain, &self.dim(&words)))
            }
            // The only part there is says nothing that the end of the migration does not say.
            EventKind::UnitFinished { units: 1, .. } => None,
            EventKind::UnitFinished { migration, unit, units, took } => {
                let words = format!("{}  part {unit} of {units}  {}", self.label(migration), duration(*took));
                Some(self.marked(" ", Tone::Plain, &self.dim(&words)))
            }
            EventKind::StepFailed { migration, message, state, .. } => {
                let mut words =
                    format!("{}  {}\n", self.named(migration), self.style.paint(Tone::Bad, "failed"));
                for line in escape::block(message).lines() {
                    words.push_str(format!("    {line}").trim_end());
                    words.push('\n');
                }
                words.push_str("    ");
                words.push_str(&self.style.paint(Tone::Strong, &escape::line(state)));
                Some(self.marked("✗", Tone::Bad, &words))
            }
            _ => None,
        }
    }

    fn waiting(&self, migration: &MigrationId, attempt: u32, blockers: &[Blocker]) -> String {
        let mut words = format!("{}  waiting for a lock, attempt {attempt}", self.label(migration));
        for blocker in blockers {
            let open = seconds(blocker.transaction_seconds);
            let application = match blocker.application.as_str() {
                "" => String::new(),
                name => format!(" ({})", escape::line(name)),
            };
            add!(
                &mut words,
                "\n      process {} of {}{application}: {} for {open}",
                blocker.pid,
                escape::line(&blocker.user),
                escape::line(&blocker.state)
            );
            if !blocker.query.is_empty() {
                words.push_str("\n        ");
                words.push_str(&self.dim(&escape::excerpt(&blocker.query, 200)));
            }
        }
        self.marked("…", Tone::Warn, &words)
    }

    fn label(&self, migration: &MigrationId) -> String {
        let text = match self.names.get(migration) {
            Some((label, _)) => label.clone(),
            None => escape::line(migration.version.text()).into_owned(),
        };
        pad(text, self.label_width)
    }

    /// The file as errors name it; its version where that is not known.
    fn path(&self, migration: &MigrationId) -> String {
        let path = self.paths.get(migration).copied();
        escape::line(path.unwrap_or(migration.version.text())).into_owned()
    }

    /// Version and name in their columns.
    fn named(&self, migration: &MigrationId) -> String {
        let label = self.label(migration);
        match self.names.get(migration) {
            Some((_, name)) => format!("{label}  {}", pad(name.clone(), self.name_width)),
            None => label,
        }
    }

    fn marked(&self, mark: &str, tone: Tone, words: &str) -> String {
        format!("  {} {words}", self.style.paint(tone, mark))
    }

    fn dim(&self, words: &str) -> String {
        self.style.paint(Tone::Dim, words)
    }
}

/// Fills up with spaces to a width in terminal columns.
fn pad(mut text: String, width: usize) -> String {
    let free = width.saturating_sub(text.width());
    text.extend(std::iter::repeat_n(' ', free));
    text
}
