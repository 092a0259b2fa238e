//! Migrations and stages: their files, what they do, where they stand, and how long they took when they ran.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::time::Duration;

use serde::Serialize;

use super::does::Does;
use super::tables::{Numbers, TableNote};
use crate::history::records::History;
use crate::migration::{Migration, MigrationId};
use crate::plan::{Plan, Step, StepState};
use crate::project::Project;
use crate::report::format::{bytes, duration, utc};
use crate::revert;
use crate::run::{EventKind, Outcome, Run};
use crate::source;

/// Bytes of a file that are looked at for what it says of itself.
const HEAD: u64 = 4096;

/// A stage of the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct StageNote {
    pub(super) id: String,
    pub(super) kind: String,
    /// Empty where it has none of its own.
    pub(super) title: String,
    pub(super) notes: Vec<String>,
    pub(super) uses: Vec<String>,
    /// Versions of its migrations, as their files spell them.
    pub(super) migrations: Vec<String>,
    /// Size of its files together.
    pub(super) bytes: u64,
    pub(super) size: String,
    /// How many of its migrations are applied.
    pub(super) applied: usize,
    /// In words.
    pub(super) state: String,
}

/// A migration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct MigrationNote {
    /// The version as its file spells it, with its folder where there are several.
    pub(super) label: String,
    /// What a command is told to mean it.
    pub(super) version: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) stage: Option<String>,
    pub(super) task: Option<String>,
    /// The design file it is cut from, as `cutover.toml` says.
    pub(super) source: Option<String>,
    /// What the comment at the head of the file says; empty where there is none.
    pub(super) purpose: String,
    pub(super) bytes: u64,
    pub(super) size: String,
    pub(super) statements: u32,
    pub(super) creates: Vec<String>,
    /// Indexes, constraints and the like of tables that it creates itself.
    pub(super) parts: Vec<String>,
    pub(super) alters: Vec<String>,
    pub(super) drops: Vec<String>,
    /// `table a to b`.
    pub(super) renames: Vec<String>,
    /// What it drops and makes again under the same name.
    pub(super) replaces: Vec<String>,
    pub(super) references: Vec<String>,
    pub(super) writes: Vec<String>,
    /// The tables it creates, as they are now.
    pub(super) tables: Vec<MadeTable>,
    pub(super) needs: Vec<Need>,
    /// From 1; what is in one wave needs nothing of it.
    pub(super) wave: usize,
    /// Statements outside a transaction, each with why.
    pub(super) outside: Vec<String>,
    /// Why what it does is not fully known, where it is not.
    pub(super) opaque: Option<String>,
    pub(super) state: String,
    pub(super) applied: bool,
    /// Nobody ran it here as one of this project: it was recorded as applied.
    pub(super) recorded: bool,
    pub(super) applied_at: Option<String>,
    pub(super) run: Option<String>,
    /// As the run recorded it; none where none did.
    pub(super) took: Option<String>,
    pub(super) attempts: Option<u32>,
    /// How often runs applied it and took it back, as far as they are told of.
    pub(super) times_applied: usize,
    pub(super) times_reverted: usize,
    /// The query behind its state.
    pub(super) query: String,
    /// What applies it, or would tell more.
    pub(super) command: String,
}

/// A table that a migration creates, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct MadeTable {
    pub(super) name: String,
    pub(super) numbers: Numbers,
}

/// A migration that another one needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Need {
    pub(super) label: String,
    pub(super) why: Vec<String>,
}

/// A run that applied something, took something back, or failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct RunNote {
    pub(super) id: String,
    pub(super) started: String,
    pub(super) outcome: String,
    pub(super) jobs: u32,
    pub(super) server: String,
    /// It went ways back.
    pub(super) reverts: bool,
    /// How many migrations it applied, or how many it took back.
    pub(super) applied: usize,
    pub(super) reverted: usize,
    /// Their labels, in the order of their ends.
    pub(super) migrations: Vec<String>,
    /// From its beginning to its end, without what was measured later.
    pub(super) took: Option<String>,
    /// What failed in it.
    pub(super) failures: Vec<FailureNote>,
    /// It left parts of a migration applied.
    #[serde(skip)]
    left_parts: bool,
}

/// What a run failed with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct FailureNote {
    pub(super) label: String,
    pub(super) sqlstate: Option<String>,
    pub(super) message: String,
    pub(super) state: String,
}

/// How migrations are called in the documents.
pub(super) struct Labels {
    labels: BTreeMap<MigrationId, String>,
    /// A version alone may mean several.
    several: bool,
}

impl Labels {
    pub(super) fn of(project: &Project, plan: &Plan) -> Self {
        let several = project.has_several_folders();
        let one = |step: &Step| {
            let folder = if several { format!("{}/", step.migration.root) } else { String::new() };
            (step.migration.clone(), format!("{folder}{}", step.label()))
        };
        Self { labels: plan.steps.iter().map(one).collect(), several }
    }

    pub(super) fn of_id(&self, id: &MigrationId) -> String {
        self.labels.get(id).cloned().unwrap_or_else(|| id.to_string())
    }

    /// The migration that a way back is of, which is known by its spelling alone once the history's row is gone.
    fn of_way_back(&self, id: &MigrationId) -> String {
        let version = id.version.text().strip_suffix(revert::BACK).unwrap_or(id.version.text());
        let mut of_version = self.labels.iter().filter(|(known, _)| known.version.text() == version);
        match (of_version.next(), of_version.next()) {
            (Some((_, label)), None) => label.clone(),
            _ => version.to_owned(),
        }
    }

    /// What a command is told to mean it.
    pub(super) fn version(&self, id: &MigrationId) -> String {
        let version = id.version.text();
        if self.several { format!("{}/{version}", id.root) } else { version.to_owned() }
    }
}

/// What the history and its runs say of migrations.
pub(super) struct Past<'a> {
    pub(super) history: &'a History,
    pub(super) runs: &'a [Run],
    /// Where each stands, by a plan made against the database.
    pub(super) states: &'a Plan,
    /// What was recorded and not run.
    pub(super) recorded: &'a BTreeMap<MigrationId, &'static str>,
}

impl Past<'_> {
    /// Time, in words, and attempts of the run that applied it; where earlier ones left parts of it applied, also those.
    fn finished(&self, id: &MigrationId, run: &str) -> Option<(String, u32)> {
        let place = self.runs.iter().position(|one| one.id == run)?;
        let finished = |run: &Run| {
            run.events.iter().find_map(|event| match &event.kind {
                EventKind::StepFinished { migration, took, attempts, .. } if migration == id => {
                    Some((*took, *attempts))
                }
                _ => None,
            })
        };
        let (took, attempts) = finished(self.runs.get(place)?)?;
        // The newest run stands first. What was taken back since was begun anew.
        let before = self.runs.iter().skip(place + 1);
        let before =
            before.take_while(|run| !revert::is_project_name(&run.project) && finished(run).is_none());
        let kept: Vec<(&Run, Kept)> =
            before.filter_map(|run| Some((run, parts_kept(run).remove(id)?))).collect();
        let earlier = kept.iter().rev().map(|(run, kept)| {
            format!(", and {} for {} in run {}", duration(kept.took), kept.parts(), run.id)
        });
        Some((duration(took) + &earlier.collect::<String>(), attempts))
    }
}

/// What a run left applied of a migration that it did not apply as a whole.
#[derive(Debug, Clone, Default)]
struct Kept {
    parts: u32,
    of: u32,
    took: Duration,
}

impl Kept {
    fn parts(&self) -> String {
        format!("{} of {} parts", self.parts, self.of)
    }
}

/// The parts of migrations that are applied and recorded by a run that did not come to their ends.
fn parts_kept(run: &Run) -> BTreeMap<MigrationId, Kept> {
    let mut kept: BTreeMap<MigrationId, Kept> = BTreeMap::new();
    for event in &run.events {
        match &event.kind {
            EventKind::UnitFinished { migration, units, took, .. } => {
                let of = kept.entry(migration.clone()).or_default();
                *of = Kept { parts: of.parts + 1, of: *units, took: of.took + *took };
            }
            EventKind::StepFinished { migration, .. } => _ = kept.remove(migration),
            _ => {}
        }
    }
    kept
}

/// All migrations in their order. `plan` is made of the files alone, and `all` says what each does as a whole.
pub(super) fn migrations(
    project: &Project,
    (plan, all): (&Plan, &[Does]),
    past: &Past<'_>,
    labels: &Labels,
    (tables, runs): (&[TableNote], &[RunNote]),
    waves: &[Vec<usize>],
) -> Vec<MigrationNote> {
    let mut notes = Vec::with_capacity(plan.steps.len());
    for (place, ((step, does), migration)) in plan.steps.iter().zip(all).zip(&project.migrations).enumerate()
    {
        let label = labels.of_id(&step.migration);
        let row = past.history.get(&step.migration);
        let recorded = past.recorded.get(&step.migration).filter(|_| row.is_some());
        let finished =
            row.filter(|_| recorded.is_none()).and_then(|row| past.finished(&step.migration, &row.run));
        let times = |reverts: bool| {
            let ends = runs.iter().filter(|run| run.reverts == reverts).flat_map(|run| &run.migrations);
            ends.filter(|one| **one == label).count()
        };
        let state =
            past.states.steps.iter().find(|one| one.migration == step.migration).map(|one| &one.state);
        let made = tables.iter().filter(|table| table.migration.as_ref() == Some(&label));
        let version = labels.version(&step.migration);
        notes.push(MigrationNote {
            version: version.clone(),
            name: step.name.clone(),
            path: step.path.clone(),
            stage: step.stage.clone(),
            task: step.claims.task.clone(),
            source: step.claims.source.clone(),
            purpose: purpose(migration, step.claims.task.as_deref()),
            bytes: step.bytes,
            size: bytes(step.bytes),
            statements: step.statements,
            creates: does.creates.clone(),
            parts: does.parts.clone(),
            alters: step.alters.clone(),
            drops: does.drops.clone(),
            renames: does.renames.clone(),
            replaces: does.replaces.clone(),
            references: step.references.clone(),
            writes: step.writes.clone(),
            tables: made.map(|table| MadeTable { name: table.name.clone(), numbers: table.numbers() }).collect(),
            needs: step.needs.iter().map(|need| Need { label: labels.of_id(&need.migration), why: need.why.clone() }).collect(),
            wave: waves.iter().position(|wave| wave.contains(&place)).map_or(0, |wave| wave + 1),
            outside: step.units.iter().filter_map(|unit| unit.why.clone()).collect(),
            opaque: step.opaque.clone(),
            state: recorded.map_or_else(|| state.map(state_in_words).unwrap_or_default(), |how| (*how).to_owned()),
            applied: row.is_some(),
            recorded: recorded.is_some(),
            applied_at: row.map(|row| utc(row.at_micros)),
            run: row.map(|row| row.run.clone()),
            attempts: finished.as_ref().map(|(_, attempts)| *attempts),
            took: finished.map(|(took, _)| took),
            times_applied: times(false),
            times_reverted: times(true),
            query: format!(
                "SELECT applied_at, took, attempts FROM cutover.migration WHERE project = {} AND root = {} AND version_text = {}",
                cutover_analysis::sql::quote_literal(&project.name),
                cutover_analysis::sql::quote_literal(&step.migration.root),
                cutover_analysis::sql::quote_literal(step.migration.version.text()),
            ),
            command: if row.is_some() { format!("cutover status --show {version}") } else { "cutover plan".to_owned() },
            label,
        });
    }
    notes
}

pub(super) fn state_in_words(state: &StepState) -> String {
    match state {
        StepState::Pending => "pending".to_owned(),
        StepState::PendingOutOfOrder => "pending, out of order".to_owned(),
        StepState::Resume { done } => format!("begun: {done} parts are done"),
        StepState::Applied { .. } => "applied".to_owned(),
        StepState::Deferred => "deferred".to_owned(),
        StepState::Optional => "optional, not applied".to_owned(),
        StepState::AboveTarget => "above the target".to_owned(),
        StepState::NotNeeded { why } => format!("not needed: {why}"),
    }
}

/// What the comment at the head of a file says, in one line, without what speaks to a tool and without what the plan says of its
/// task.
fn purpose(migration: &Migration, task: Option<&str>) -> String {
    let Ok(text) = source::normalised(migration) else { return String::new() };
    let mut head = Vec::new();
    if text.take(HEAD).read_to_end(&mut head).is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&head);
    let lines = text.lines().map(str::trim).skip_while(|line| line.is_empty());
    let comment = lines.map_while(|line| line.strip_prefix("--")).map(str::trim);
    let to_a_tool = |line: &&str| {
        let line = line.trim_start_matches('+').trim_start().to_ascii_lowercase();
        !["cutover:", "migrate:", "goose", "squawk", "atlas:", "flyway:"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let of_task = |line: &&str| !task.is_some_and(|task| says_only(line, task));
    in_one_line(&comment.filter(to_a_tool).filter(of_task).collect::<Vec<_>>())
}

/// Whether a line says nothing but which task it is: `[Task] T-008`, `Task: T-008`.
fn says_only(line: &str, task: &str) -> bool {
    let signs = |c: char| c.is_whitespace() || "[](){}:.-#".contains(c);
    let rest = line.trim_matches(signs);
    let is_word = rest.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("task"));
    let rest = if is_word { rest.get(4..).unwrap_or_default() } else { rest };
    rest.trim_matches(signs) == task.trim_matches(signs)
}

/// Lines that are shorter than this are not broken for their length, unless all are as short.
const NARROW: usize = 60;

/// A comment in one line. Where a line was ended on purpose, and not because it was full, what follows is a sentence of its own.
fn in_one_line(lines: &[&str]) -> String {
    let length = |line: &str| line.chars().count();
    let width = lines.iter().map(|line| length(line)).max().unwrap_or_default().max(NARROW);
    let (mut text, mut last, mut gap) = (String::new(), "", false);
    for line in lines.iter().copied() {
        if line.is_empty() {
            gap = true;
            continue;
        }
        let first = line.split_whitespace().next().unwrap_or_default();
        let on_purpose = gap || length(last) + 1 + length(first) <= width;
        let begins = line.starts_with(|c: char| !c.is_lowercase());
        let is_open = last.ends_with(|c: char| c.is_alphanumeric() || c == ')' || c == '`');
        if !text.is_empty() {
            text.push_str(if on_purpose && begins && is_open { ". " } else { " " });
        }
        text.push_str(line);
        (last, gap) = (line, false);
    }
    text
}

/// All stages in their order.
pub(super) fn stages(project: &Project, migrations: &[MigrationNote]) -> Vec<StageNote> {
    let mut notes = Vec::with_capacity(project.stages.len());
    for stage in &project.stages {
        let members: Vec<&MigrationNote> =
            stage.migrations.iter().filter_map(|at| migrations.get(*at)).collect();
        let size: u64 = members.iter().map(|one| one.bytes).sum();
        let applied = members.iter().filter(|one| one.applied).count();
        let mut state = match (applied, members.len()) {
            (_, 0) => "no migrations".to_owned(),
            (all, of) if all == of => "applied".to_owned(),
            (applied, of) => format!("{applied} of {of} applied"),
        };
        let waiting: BTreeSet<&str> =
            members.iter().filter(|one| !one.applied).map(|one| one.state.as_str()).collect();
        if !waiting.is_empty() {
            state = format!("{state}; {}", waiting.into_iter().collect::<Vec<_>>().join(", "));
        }
        notes.push(StageNote {
            id: stage.id.clone(),
            kind: stage.kind.clone(),
            title: if stage.title == stage.id { String::new() } else { stage.title.clone() },
            notes: stage.notes.clone(),
            uses: stage.uses.clone(),
            migrations: members.iter().map(|one| one.label.clone()).collect(),
            bytes: size,
            size: bytes(size),
            applied,
            state,
        });
    }
    notes
}

/// The runs in which anything was applied, taken back or failed, oldest first. One that only recorded has run nothing.
pub(super) fn runs(runs: &[Run], labels: &Labels) -> Vec<RunNote> {
    let mut notes: Vec<RunNote> = runs.iter().rev().map(|run| run_note(run, labels)).collect();
    notes.retain(|note| note.applied + note.reverted > 0 || note.left_parts || !note.failures.is_empty());
    notes
}

fn run_note(run: &Run, labels: &Labels) -> RunNote {
    let mut note = RunNote {
        id: run.id.clone(),
        started: utc(run.started_micros),
        outcome: run.outcome.map_or("no end recorded", outcome).to_owned(),
        jobs: run.jobs,
        server: run.server_version.clone(),
        reverts: revert::is_project_name(&run.project),
        ..RunNote::default()
    };
    for event in &run.events {
        match &event.kind {
            // Nothing is applied without an attempt: it was recorded.
            EventKind::StepFinished { attempts: 0, .. } => {}
            EventKind::StepFinished { migration, .. } => {
                if note.reverts {
                    note.reverted += 1;
                    note.migrations.push(labels.of_way_back(migration));
                } else {
                    note.applied += 1;
                    note.migrations.push(labels.of_id(migration));
                }
            }
            EventKind::StepFailed { migration, message, code, state, .. } => {
                let label = if note.reverts {
                    format!("the way back of {}", labels.of_way_back(migration))
                } else {
                    labels.of_id(migration)
                };
                note.failures.push(FailureNote {
                    label,
                    sqlstate: code.clone(),
                    message: message.lines().next().unwrap_or_default().to_owned(),
                    state: state.clone(),
                });
            }
            EventKind::RunFinished { .. } => note.took = Some(duration(event.elapsed)),
            _ => {}
        }
    }
    for (migration, kept) in parts_kept(run) {
        let label = if note.reverts {
            format!("the way back of {}", labels.of_way_back(&migration))
        } else {
            labels.of_id(&migration)
        };
        // What is kept is not rolled back.
        let ended = match run.outcome {
            Some(Outcome::FailedClean) => "failed",
            _ => note.outcome.as_str(),
        };
        note.outcome = format!("{ended}; {} of {label} are applied and recorded", kept.parts());
        note.left_parts = true;
    }
    note
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::NothingToDo => "nothing to do",
        Outcome::FailedClean => "failed and rolled back",
        Outcome::NeedsDecision => "needs a decision",
        Outcome::Interrupted => "interrupted",
        Outcome::LockNotObtained => "lock not obtained",
        Outcome::ConnectionLost => "connection lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_were_ended_on_purpose_are_sentences() {
        let title = ["create items and orders", "Makes the migrations into what the models say."];
        assert_eq!(
            in_one_line(&title),
            "create items and orders. Makes the migrations into what the models say."
        );
        let wrapped = [
            "Who is served sees and changes what is theirs, as it is said by",
            "PostgreSQL itself",
            "and by nobody else.",
        ];
        assert_eq!(
            in_one_line(&wrapped),
            "Who is served sees and changes what is theirs, as it is said by PostgreSQL itself and by nobody else."
        );
        assert_eq!(in_one_line(&["a title", "", "Then more."]), "a title. Then more.");
        assert_eq!(in_one_line(&["A sentence.", "Another."]), "A sentence. Another.");
    }

    #[test]
    fn a_line_that_names_the_task_alone_is_known() {
        for line in ["[Task] T-008", "Task: T-008", "task T-008.", "T-008", "[T-008]"] {
            assert!(says_only(line, "T-008"), "{line}");
        }
        assert!(!says_only("[Task] T-008 makes users", "T-008") && !says_only("[Task] T-009", "T-008"));
        assert!(says_only("[Task] T-009, T-010", "T-009, T-010"));
    }
}
