//! A kept plan for whoever reviews it: the plan as it was shown when it was made, and the statements that it stands for.

use super::plan::plan_lines;
use super::preconditions::precondition_lines;
use super::{TextStyle, Tone};
use crate::plan::file::PlanFile;
use crate::plan::{PlannedStatement, Step, UnitState};
use crate::report::escape;
use crate::report::format::{count, grouped, utc};

/// All of a kept plan, from its file alone.
pub fn kept_plan_lines(file: &PlanFile, style: TextStyle) -> String {
    let mut out = String::new();
    let made = format!("kept plan of {}, made by {}", utc(file.made_micros), file.tool);
    put!(&mut out, "{}", style.paint(Tone::Dim, &escape::line(&made)));
    out.push_str(&plan_lines(&file.plan, style));
    out.push_str(&precondition_lines(&file.preconditions, style));
    if !file.values.is_empty() {
        put!(&mut out, "\n{}", style.paint(Tone::Strong, "Values of placeholders"));
        for (name, value) in &file.values {
            put!(&mut out, "  {}", escape::line(&format!("{name} = {value}")));
        }
    }
    let with_sql = || file.plan.steps.iter().filter(|step| !step.sql.is_empty());
    if with_sql().next().is_some() {
        put!(&mut out, "\n{}", style.paint(Tone::Strong, "Statements"));
    }
    for step in with_sql() {
        statements(&mut out, step, style);
    }
    out
}

fn statements(out: &mut String, step: &Step, style: TextStyle) {
    put!(out, "\n{}", style.paint(Tone::Strong, &escape::line(&step.path)));
    for statement in &step.sql {
        put!(out, "  {}", style.paint(Tone::Dim, &escape::line(&heading(step, statement))));
        for line in escape::lines(&statement.text).lines() {
            put!(out, "      {line}");
        }
        if statement.cut > 0 {
            put!(out, "      … and {} more bytes of it, in the file", grouped_u64(statement.cut));
        }
    }
    if step.sql_more > 0 {
        put!(out, "  and {} more statements, in the file", grouped_u64(step.sql_more));
    }
}

/// Where a statement stands, and what of it others would notice.
fn heading(step: &Step, statement: &PlannedStatement) -> String {
    let mut words = vec![format!("line {}", statement.line)];
    if step.units.len() > 1 {
        words.push(format!("part {}", statement.unit));
    }
    let unit = usize::try_from(statement.unit).ok().and_then(|unit| step.units.get(unit.checked_sub(1)?));
    if unit.is_some_and(|unit| unit.state == UnitState::Done) {
        words.push("done already".to_owned());
    }
    if statement.data > 0 {
        let bytes = usize::try_from(statement.data).unwrap_or(usize::MAX);
        words.push(format!("with {} of data", count(bytes, "byte", "bytes")));
    }
    let locks = statement.locks.iter().map(|lock| {
        let new = if lock.new { ", made by this plan" } else { "" };
        format!("{} ({}{new})", lock.relation, lock.mode)
    });
    let locks: Vec<String> = locks.collect();
    if !locks.is_empty() {
        words.push(format!("locks {}", locks.join(", ")));
    }
    let mut text = words.join(", ");
    for hazard in &statement.hazards {
        text.push_str("; ");
        text.push_str(hazard);
    }
    text
}

fn grouped_u64(number: u64) -> String {
    grouped(usize::try_from(number).unwrap_or(usize::MAX))
}
