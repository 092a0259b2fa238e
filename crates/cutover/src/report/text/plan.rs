//! A plan for people: every stage, also those without migrations, and what each migration would do.

use super::columns::{Cell, Column, Columns, wrap};
use super::{TextStyle, Tone};
use crate::plan::{Plan, StageSummary, Step, StepState};
use crate::report::digest::{Objects, by_stage, label, objects, several_roots};
use crate::report::escape;
use crate::report::format::{count, grouped, server_version, utc};

/// More applied migrations than this in a row are shown as one line.
const FOLDED: usize = 20;
/// Place of text that belongs to the line above.
const INDENT: usize = 8;

/// The plan's steps in order, grouped by stage. The number before each is its place in the order of execution, also
/// where stages interleave.
pub fn plan_lines(plan: &Plan, style: TextStyle) -> String {
    let mut out = String::new();
    head(&mut out, plan, style);
    let several = several_roots(plan);
    let rows: Vec<Vec<Cell>> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(i, step)| row(i + 1, step, several))
        .collect();
    let view = View::fit(plan, &rows, style);
    let (stages, others) = by_stage(plan);
    for (stage, members) in &stages {
        heading(&mut out, stage, members.is_empty(), style);
        view.steps(&mut out, members);
    }
    if !others.is_empty() {
        let title = if stages.is_empty() {
            "Migrations"
        } else {
            "Without a stage"
        };
        put!(&mut out, "\n{}", style.paint(Tone::Strong, title));
        view.steps(&mut out, &others);
    }
    if !plan.notes.is_empty() {
        out.push('\n');
        for note in &plan.notes {
            remark(
                &mut out,
                0,
                &format!("note: {}", escape::line(note)),
                Tone::Plain,
                style,
            );
        }
    }
    out
}

fn head(out: &mut String, plan: &Plan, style: TextStyle) {
    let to_run = plan.steps.iter().filter(|step| step.state.will_run()).count();
    let target = plan.target.as_ref().map_or_else(String::new, |target| {
        let version = server_version(target.server_version_num);
        format!(
            " on database {} (PostgreSQL {version})",
            escape::line(&target.database)
        )
    });
    out.push_str(&style.paint(Tone::Strong, &escape::line(&plan.project)));
    if plan.steps.is_empty() {
        out.push_str(": no migrations\n");
        return;
    }
    let total = count(plan.steps.len(), "migration", "migrations");
    let to_run = if to_run == 0 {
        "nothing".to_owned()
    } else {
        grouped(to_run)
    };
    put!(out, ": {to_run} of {total} to apply{target}");
}

fn heading(out: &mut String, stage: &StageSummary, empty: bool, style: TextStyle) {
    let id = format!("{} {}", stage.kind, stage.id);
    let id = escape::line(id.trim());
    let beyond = if stage.within_target {
        ""
    } else {
        "  (beyond the target)"
    };
    put!(
        out,
        "\n{}  {}{}",
        style.paint(Tone::Strong, &id),
        escape::line(&stage.title),
        style.paint(Tone::Dim, beyond)
    );
    if empty {
        remark(out, INDENT, "no migrations", Tone::Dim, style);
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
            Column::Wrapped(usize::MAX),
            Column::Wrapped(3),
        ];
        let short = |length: usize| rows.iter().map(move |row| row.get(..length).unwrap_or(row));
        let columns = Columns::fit(style, 2, &kinds, short(kinds.len()));
        let stacked = !columns.fits();
        let columns = if stacked {
            Columns::fit(style, 2, kinds.get(..5).unwrap_or(&kinds), short(5))
        } else {
            columns
        };
        Self {
            plan,
            rows,
            columns,
            stacked,
            style,
        }
    }

    fn steps(&self, out: &mut String, members: &[usize]) {
        let all: Vec<(&Step, &Vec<Cell>)> = members
            .iter()
            .filter_map(|&i| Some((self.plan.steps.get(i)?, self.rows.get(i)?)))
            .collect();
        for part in all.chunk_by(|(one, _), (next, _)| applied(one) && applied(next)) {
            match part {
                [(first, _), .., (last, _)] if part.len() > FOLDED => {
                    let range = format!("✓ {} – {}", label(first), label(last));
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

    fn details(&self, out: &mut String, step: &Step) {
        let mut lines = Vec::new();
        if self.stacked {
            lines.push(contents(step));
            lines.extend(step.claims.source.as_ref().map(|source| format!("from {source}")));
        }
        for why in step.units.iter().filter_map(|unit| unit.why.as_ref()) {
            lines.push(format!("outside a transaction: {why}"));
        }
        lines.extend(
            step.opaque
                .as_ref()
                .map(|why| format!("effects not fully known: {why}")),
        );
        if !step.claims.requires.is_empty() && !applied(step) {
            lines.push(format!("requires {}", step.claims.requires.join(", ")));
        }
        for line in lines.iter().filter(|line| !line.is_empty()) {
            remark(out, INDENT, &escape::line(line), Tone::Dim, self.style);
        }
    }
}

fn applied(step: &Step) -> bool {
    matches!(step.state, StepState::Applied { .. })
}

fn row(order: usize, step: &Step, several_roots: bool) -> Vec<Cell> {
    let (mark, tone, state) = match &step.state {
        StepState::Pending => ("+", Tone::Good, "pending".to_owned()),
        StepState::PendingOutOfOrder => ("+", Tone::Warn, "pending, out of order".to_owned()),
        StepState::Resume { done } => {
            let units = count(step.units.len(), "unit", "units");
            ("▸", Tone::Warn, format!("to be finished, {done} of {units} done"))
        }
        StepState::Applied { at_micros, .. } => ("✓", Tone::Dim, format!("applied {}", utc(*at_micros))),
        StepState::Deferred => ("–", Tone::Dim, "deferred".to_owned()),
        StepState::Optional => ("–", Tone::Dim, "optional".to_owned()),
        StepState::AboveTarget => ("·", Tone::Dim, "above the target".to_owned()),
    };
    let text = if step.state.will_run() {
        Tone::Plain
    } else {
        Tone::Dim
    };
    let root = if several_roots {
        format!("{}/", step.migration.root)
    } else {
        String::new()
    };
    let version = format!("{root}{}", label(step));
    let source = step.claims.source.as_deref().unwrap_or_default();
    vec![
        Cell::new(Tone::Dim, grouped(order)),
        Cell::new(tone, mark),
        Cell::new(
            if text == Tone::Plain { Tone::Strong } else { text },
            escape::line(&version),
        ),
        Cell::new(text, escape::line(&step.name)),
        Cell::new(tone, state),
        Cell::new(text, contents(step)),
        Cell::new(Tone::Dim, escape::line(source)),
    ]
}

/// What the migration creates; what it alters and drops follows in words.
fn contents(step: &Step) -> String {
    let Objects {
        creates,
        alters,
        drops,
        claimed,
    } = objects(step);
    let mut parts = Vec::new();
    if !creates.is_empty() {
        parts.push(creates.join(", "));
    }
    for (verb, names) in [("alters", alters), ("drops", drops)] {
        if !names.is_empty() {
            parts.push(format!("{verb} {}", names.join(", ")));
        }
    }
    let claimed = if claimed && !parts.is_empty() {
        " (claimed)"
    } else {
        ""
    };
    format!("{}{claimed}", escape::line(&parts.join("; ")))
}
