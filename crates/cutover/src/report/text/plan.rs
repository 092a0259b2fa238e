//! A plan for people: every stage, also those without migrations, and what each migration would do.

use std::collections::{BTreeSet, HashMap, VecDeque};

use cutover_analysis::graph::Why;

use super::columns::{Cell, Column, Columns, cut, wrap};
use super::{TextStyle, Tone};
use crate::lint::of_run;
use crate::plan::graph::{felt_work, who_waits};
use crate::plan::{Plan, StageSummary, Step, StepState};
use crate::report::digest::{Objects, bare, objects, parts_in_words, parts_lines, remarks, several_roots};
use crate::report::escape;
use crate::report::format::{count, grouped, server_version};

/// More applied migrations than this in a row are shown as one line.
const FOLDED: usize = 20;
/// More objects than this of one migration are counted, not named.
const NAMED: usize = 8;
/// Longer names are cut: the path has all of it.
const NAME: usize = 50;
/// Longer ids of stages are cut in the overview.
const STAGE: usize = 24;
/// Place of text that belongs to the line above.
const INDENT: usize = 8;

/// The plan's steps in the order in which they run, under the stages they belong to. A stage that others come between
/// has several headings.
pub fn plan_lines(plan: &Plan, style: TextStyle) -> String {
    let mut out = String::new();
    head(&mut out, plan, style);
    let several = several_roots(plan);
    let rows: Vec<Vec<Cell>> =
        plan.steps.iter().enumerate().map(|(i, step)| row(i + 1, step, several)).collect();
    let view = View::fit(plan, &rows, style);
    let mut roomy = true;
    for Part { stage, members, again } in parts(plan) {
        // Stages that are one line each stand together.
        let short =
            members.is_empty() && stage.is_some_and(|stage| stage.uses.is_empty() && stage.notes.is_empty());
        if roomy || !short {
            out.push('\n');
        }
        if let Some(stage) = stage {
            heading(&mut out, stage, members.is_empty(), again, style);
        } else {
            let title = if plan.stages.is_empty() { "Migrations" } else { "Without a stage" };
            put!(&mut out, "{}", style.paint(Tone::Strong, title));
        }
        view.steps(&mut out, &members);
        roomy = !short;
    }
    notes(&mut out, &plan.notes, style);
    out
}

/// Migrations that run one after the other and belong to one stage, or to none.
struct Part<'a> {
    stage: Option<&'a StageSummary>,
    /// Indices of steps.
    members: Vec<usize>,
    /// The stage had migrations before.
    again: bool,
}

/// The plan in the order of execution. Stages without migrations stand where the file has them.
fn parts(plan: &Plan) -> Vec<Part<'_>> {
    let place: HashMap<&str, usize> =
        plan.stages.iter().enumerate().map(|(i, stage)| (stage.id.as_str(), i)).collect();
    let stage_of = |step: &Step| step.stage.as_deref().and_then(|id| place.get(id).copied());
    let used: BTreeSet<usize> = plan.steps.iter().filter_map(stage_of).collect();
    let mut empty: VecDeque<usize> = (0..plan.stages.len()).filter(|i| !used.contains(i)).collect();
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut seen = BTreeSet::new();
    let without = |i: usize| Part { stage: plan.stages.get(i), members: Vec::new(), again: false };
    let mut first = 0;
    for steps in plan.steps.chunk_by(|one, next| stage_of(one) == stage_of(next)) {
        let stage = steps.first().and_then(stage_of);
        while let Some(&i) = empty.front().filter(|i| stage.is_some_and(|stage| **i < stage)) {
            parts.push(without(i));
            empty.pop_front();
        }
        let members = (first..first + steps.len()).collect();
        first += steps.len();
        let again = stage.is_some_and(|stage| !seen.insert(stage));
        parts.push(Part { stage: stage.and_then(|stage| plan.stages.get(stage)), members, again });
    }
    parts.extend(empty.into_iter().map(without));
    parts
}

/// The plan in one line a stage, in the order of execution; of a project without stages, all of it.
pub fn plan_overview(plan: &Plan, style: TextStyle) -> String {
    if plan.stages.is_empty() {
        return plan_lines(plan, style);
    }
    let mut out = String::new();
    head(&mut out, plan, style);
    let line = |Part { stage, members, again }: &Part<'_>| {
        let id = stage.map_or_else(
            || "without a stage".to_owned(),
            |stage| cut(&escape::line(format!("{} {}", stage.kind, stage.id).trim()), STAGE),
        );
        let title = stage.map_or("", |stage| stage.own_title());
        let title = match (*again, title) {
            (false, title) => title.to_owned(),
            (true, "") => "continued".to_owned(),
            (true, title) => format!("{title}, continued"),
        };
        vec![
            Cell::new(Tone::Strong, id),
            Cell::new(Tone::Plain, escape::line(&title)),
            Cell::new(if members.is_empty() { Tone::Dim } else { Tone::Plain }, overview(plan, members)),
        ]
    };
    let rows: Vec<Vec<Cell>> = parts(plan).iter().map(line).collect();
    let kinds = [Column::Left, Column::Wrapped(2), Column::Wrapped(3)];
    let columns = Columns::fit(style, 2, &kinds, rows.iter().map(Vec::as_slice));
    for row in &rows {
        columns.put(&mut out, row);
    }
    notes(&mut out, &remarks(plan), style);
    out
}

/// The versions of one stage: what would run, then what would not, and why.
fn overview(plan: &Plan, members: &[usize]) -> String {
    if members.is_empty() {
        return "no migrations".to_owned();
    }
    let steps: Vec<&Step> = members.iter().filter_map(|&i| plan.steps.get(i)).collect();
    let mut parts = Vec::new();
    for of_one in steps.chunk_by(|one, next| state(one).1 == state(next).1) {
        let words = match of_one {
            [only] => only.label(),
            [one, other] => format!("{}, {}", one.label(), other.label()),
            [first, .., last] => format!("{} – {} ({})", first.label(), last.label(), grouped(of_one.len())),
            [] => continue,
        };
        let (_, state, _) = state(of_one[0]);
        let state = if state == PENDING { String::new() } else { format!(" {state}") };
        parts.push(format!("{words}{state}"));
    }
    escape::line(&parts.join(", ")).into_owned()
}

fn notes(out: &mut String, notes: &[String], style: TextStyle) {
    if notes.is_empty() {
        return;
    }
    out.push('\n');
    for note in notes {
        remark(out, 0, &format!("note: {}", escape::line(note)), Tone::Plain, style);
    }
}

fn head(out: &mut String, plan: &Plan, style: TextStyle) {
    let to_run = plan.steps.iter().filter(|step| step.state.will_run()).count();
    let target = plan.target.as_ref().map_or_else(String::new, |target| {
        let version = server_version(target.server_version_num);
        format!(" on database {} (PostgreSQL {version})", escape::line(&target.database))
    });
    out.push_str(&style.paint(Tone::Strong, &escape::line(&plan.project)));
    if plan.steps.is_empty() {
        out.push_str(": no migrations\n");
        return;
    }
    let total = count(plan.steps.len(), "migration", "migrations");
    let to_run = if to_run == 0 { "none".to_owned() } else { grouped(to_run) };
    put!(out, ": {to_run} of {total} to apply{target}");
}

fn heading(out: &mut String, stage: &StageSummary, empty: bool, again: bool, style: TextStyle) {
    let id = format!("{} {}", stage.kind, stage.id);
    let id = escape::line(id.trim());
    let remarks = match (empty, stage.within_target) {
        (false, true) if again => "  (continued)",
        (false, true) => "",
        (true, true) => "  (no migrations)",
        (false, false) => "  (beyond the target)",
        (true, false) => "  (no migrations, beyond the target)",
    };
    let title = match stage.own_title() {
        "" => String::new(),
        title => format!("  {}", escape::line(title)),
    };
    put!(out, "{}{title}{}", style.paint(Tone::Strong, &id), style.paint(Tone::Dim, remarks));
    if again {
        return;
    }
    if !stage.uses.is_empty() {
        let uses = format!("uses {}", escape::line(&stage.uses.join(", ")));
        remark(out, INDENT, &uses, Tone::Dim, style);
    }
    for note in &stage.notes {
        remark(out, INDENT, &escape::line(note), Tone::Dim, style);
    }
}

/// A line of its own, wrapped with its indent.
fn remark(out: &mut String, indent: usize, text: &str, tone: Tone, style: TextStyle) {
    for line in wrap(text, style.width.saturating_sub(indent).max(20)) {
        out.extend(std::iter::repeat_n(' ', indent));
        out.push_str(&style.paint(tone, &line));
        out.push('\n');
    }
}

/// The rows and how they are laid out: on one line each, or, where the terminal is too narrow for that, with what a
/// migration does below it.
struct View<'a> {
    plan: &'a Plan,
    rows: &'a [Vec<Cell>],
    columns: Columns,
    stacked: bool,
    /// There is no room for the source in each row: it is said once for the steps of a stage.
    sources_apart: bool,
    style: TextStyle,
}

impl<'a> View<'a> {
    fn fit(plan: &'a Plan, rows: &'a [Vec<Cell>], style: TextStyle) -> Self {
        let kinds = [
            Column::Right,
            Column::Left,
            Column::Left,
            Column::Wrapped(4),
            Column::Left,
            Column::Wrapped(6),
            Column::Wrapped(3),
        ];
        let short = |length: usize| rows.iter().map(move |row| row.get(..length).unwrap_or(row));
        let of = |length: usize| Columns::fit(style, 2, kinds.get(..length).unwrap_or(&kinds), short(length));
        // The source is left out before anything is wrapped for it.
        let whole = of(kinds.len());
        let natural = whole.is_natural();
        let columns = if natural { whole } else { of(kinds.len() - 1) };
        let stacked = !columns.fits();
        let columns = if stacked { of(kinds.len() - 2) } else { columns };
        Self { plan, rows, columns, stacked, sources_apart: !natural && !stacked, style }
    }

    /// The design files that steps which are not applied are cut from, with the steps where they differ.
    fn sources(&self, out: &mut String, members: &[usize]) {
        let steps: Vec<&Step> = members.iter().filter_map(|&i| self.plan.steps.get(i)).collect();
        let cut: Vec<&Step> =
            steps.into_iter().filter(|step| !applied(step) && step.claims.source.is_some()).collect();
        let parts: Vec<&[&Step]> =
            cut.chunk_by(|one, next| one.claims.source == next.claims.source).collect();
        for part in &parts {
            let Some(source) = part.first().and_then(|step| step.claims.source.as_ref()) else { continue };
            let labels: Vec<String> = part.iter().map(|step| step.label()).collect();
            let which = if parts.len() > 1 { format!(": {}", labels.join(", ")) } else { String::new() };
            remark(out, INDENT, &escape::line(&format!("cut from {source}{which}")), Tone::Dim, self.style);
        }
    }

    fn steps(&self, out: &mut String, members: &[usize]) {
        if self.sources_apart {
            self.sources(out, members);
        }
        let all: Vec<(&Step, &Vec<Cell>)> =
            members.iter().filter_map(|&i| Some((self.plan.steps.get(i)?, self.rows.get(i)?))).collect();
        for part in all.chunk_by(|(one, _), (next, _)| applied(one) && applied(next)) {
            match part {
                [(first, _), .., (last, _)] if part.len() > FOLDED => {
                    let range = format!("✓ {} – {}", first.label(), last.label());
                    let words = format!("{}: {} applied", escape::line(&range), grouped(part.len()));
                    remark(out, INDENT, &words, Tone::Dim, self.style);
                }
                _ => {
                    for (step, row) in part {
                        self.columns.put(out, row);
                        self.details(out, step);
                    }
                }
            }
        }
    }

    /// A version that `cutover.toml` names, as its file spells it.
    fn label_of(&self, version: &str) -> String {
        let named = self.plan.steps.iter().find(|step| step.migration.version.text() == version);
        named.map_or_else(|| version.to_owned(), Step::label)
    }

    fn details(&self, out: &mut String, step: &Step) {
        let mut lines: Vec<String> = step.notes.iter().map(|note| format!("note: {note}")).collect();
        if self.stacked {
            lines.push(contents(step));
            lines.extend(step.claims.source.as_ref().map(|source| format!("from {source}")));
        }
        lines.extend(parts_lines(step));
        if !applied(step) {
            lines.extend(step.findings.iter().map(of_run::line));
            lines.extend(needs(self.plan, step));
            lines.extend(locks(step));
            lines.extend(work(step));
            lines.extend(step.late.iter().map(|late| format!("a body names {late}")));
            lines.extend(step.unseen.iter().cloned());
        }
        lines.extend(step.opaque.as_ref().map(|why| format!("effects not fully known: {why}")));
        if !step.claims.requires.is_empty() && !applied(step) {
            let required: Vec<String> = step.claims.requires.iter().map(|text| self.label_of(text)).collect();
            lines.push(format!("requires {}", required.join(", ")));
        }
        for line in lines.iter().filter(|line| !line.is_empty()) {
            remark(out, INDENT, &escape::line(line), Tone::Dim, self.style);
        }
    }
}

/// More of a kind are counted.
const LISTED: usize = 4;

/// The migrations that it needs, each with the first reason; not those that only `requires` names, which has a line of its
/// own.
fn needs(plan: &Plan, step: &Step) -> Option<String> {
    let several = several_roots(plan);
    let words = step.needs.iter().filter_map(|need| {
        let why = need.why.iter().find(|why| **why != Why::Declared.to_string())?;
        let other = plan.steps.iter().find(|other| other.migration == need.migration)?;
        let root = if several { format!("{}/", need.migration.root) } else { String::new() };
        Some(format!("{root}{} ({why})", other.label()))
    });
    listed("needs ", words.collect())
}

/// Locks that others would notice, on what is there before the run.
fn locks(step: &Step) -> Vec<String> {
    let felt = step.locks.iter().filter(|lock| !lock.new && !who_waits(lock).is_empty());
    let words = felt.map(|lock| {
        format!("{} in {} mode (line {}: {})", lock.relation, lock.mode, lock.line, who_waits(lock))
    });
    let mut lines = Vec::new();
    lines.extend(listed("locks ", words.collect()));
    lines.extend(step.more_locks.iter().map(|more| format!("locks {more}")));
    lines
}

/// Work in proportion to a table's size, on what is there before the run.
fn work(step: &Step) -> Option<String> {
    listed("", step.work.iter().filter_map(felt_work).collect())
}

fn listed(start: &str, words: Vec<String>) -> Option<String> {
    let more = words.len().saturating_sub(LISTED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let shown: Vec<String> = words.into_iter().take(LISTED).collect();
    (!shown.is_empty()).then(|| format!("{start}{}{more}", shown.join("; ")))
}

fn applied(step: &Step) -> bool {
    matches!(step.state, StepState::Applied { .. })
}

/// The word for what would simply run.
const PENDING: &str = "pending";

/// Mark, words and tone of where a migration stands.
fn state(step: &Step) -> (&'static str, String, Tone) {
    match &step.state {
        StepState::Pending => ("+", PENDING.to_owned(), Tone::Good),
        StepState::PendingOutOfOrder => ("+", "pending, out of order".to_owned(), Tone::Warn),
        StepState::Resume { done } => {
            let units = count(step.units.len(), "part", "parts");
            ("▸", format!("to be finished, {done} of {units} done"), Tone::Warn)
        }
        StepState::Applied { .. } => ("✓", "applied".to_owned(), Tone::Dim),
        StepState::Deferred => ("–", "deferred".to_owned(), Tone::Dim),
        StepState::Optional => ("–", "optional".to_owned(), Tone::Dim),
        StepState::AboveTarget => ("·", "not chosen".to_owned(), Tone::Dim),
        StepState::NotNeeded { .. } => ("·", "not needed".to_owned(), Tone::Dim),
    }
}

fn row(order: usize, step: &Step, several_roots: bool) -> Vec<Cell> {
    let (mark, state, tone) = state(step);
    let text = if step.state.will_run() { Tone::Plain } else { Tone::Dim };
    let root = if several_roots { format!("{}/", step.migration.root) } else { String::new() };
    let version = format!("{root}{}", step.label());
    let source = step.claims.source.as_deref().unwrap_or_default();
    vec![
        Cell::new(Tone::Dim, grouped(order)),
        Cell::new(tone, mark),
        Cell::new(if text == Tone::Plain { Tone::Strong } else { text }, escape::line(&version)),
        Cell::new(text, cut(&escape::line(&step.name), NAME)),
        Cell::new(tone, state),
        Cell::new(text, contents(step)),
        Cell::new(Tone::Dim, escape::line(source)),
    ]
}

/// What the migration creates, with what belongs to it in numbers; what it alters and drops follows in words.
fn contents(step: &Step) -> String {
    let Objects { creates, parts, alters, references, writes, drops, renames, claimed } = objects(step);
    let mut all = Vec::new();
    let owned = parts_in_words(parts);
    match (creates.is_empty(), owned.is_empty()) {
        (false, true) => all.push(names(creates)),
        (false, false) => all.push(format!("{} (+{owned})", names(creates))),
        (true, false) => all.push(owned),
        (true, true) => {}
    }
    for (verb, objects) in [
        ("alters", alters),
        ("references", references),
        ("writes", writes),
        ("renames", renames),
        ("drops", drops),
    ] {
        if !objects.is_empty() {
            let bare: Vec<String> = objects.iter().map(|object| bare(object).to_owned()).collect();
            all.push(format!("{verb} {}", names(&bare)));
        }
    }
    if all.is_empty() && step.statements == 0 && step.opaque.is_none() && step.state.will_run() {
        return "no statements".to_owned();
    }
    let claimed = if claimed && !all.is_empty() { " (claimed)" } else { "" };
    format!("{}{claimed}", escape::line(&all.join("; ")))
}

/// The first objects by name, the others in numbers.
fn names(objects: &[String]) -> String {
    let shown = objects.get(..NAMED).unwrap_or(objects);
    let mut words = shown.join(", ");
    if shown.len() < objects.len() {
        add!(&mut words, " and {} more", grouped(objects.len() - shown.len()));
    }
    words
}
