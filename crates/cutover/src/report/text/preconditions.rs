//! What is known of preconditions before a run: a line for each.

use super::columns::{Cell, Column, Columns};
use super::{TextStyle, Tone};
use crate::plan::label;
use crate::report::escape;
use crate::report::format::duration;
use crate::run::{CheckResult, Verdict};
use crate::verify::Precondition;

/// Longest text of what was found.
const FOUND: usize = 160;

/// A line for each precondition: what was measured now, or that it is for the run to measure. Nothing where there are
/// none.
pub fn precondition_lines(preconditions: &[Precondition], style: TextStyle) -> String {
    let rows: Vec<Vec<Cell>> = preconditions.iter().flat_map(rows).collect();
    if rows.is_empty() {
        return String::new();
    }
    let kinds = [Column::Left, Column::Left, Column::Wrapped(3), Column::Wrapped(5), Column::Right];
    let columns = Columns::fit(style, 2, &kinds, rows.iter().map(Vec::as_slice));
    let mut out = format!("\n{}\n", style.paint(Tone::Strong, "Preconditions"));
    for row in &rows {
        columns.put(&mut out, row);
    }
    out
}

fn rows(precondition: &Precondition) -> Vec<Vec<Cell>> {
    let label = escape::line(&label(&precondition.path, &precondition.migration.version)).into_owned();
    let row = |mark: &str, tone: Tone, name: &str, words: String, took: String| {
        vec![
            Cell::new(tone, mark),
            Cell::new(Tone::Strong, label.clone()),
            Cell::new(Tone::Plain, escape::line(name)),
            Cell::new(tone, words),
            Cell::new(Tone::Dim, took),
        ]
    };
    let later = |why: &str| escape::line(&format!("would be measured before {label}: {why}")).into_owned();
    if let (true, Some(why)) = (precondition.answers.is_empty(), &precondition.later) {
        return vec![row("·", Tone::Dim, &precondition.name, later(why), String::new())];
    }
    let answer = |answer: &CheckResult| {
        let found = escape::excerpt(&answer.found, FOUND);
        let (mark, tone, words) = match answer.verdict {
            Verdict::Holds => ("✓", Tone::Good, format!("holds now: {found}")),
            Verdict::False => ("✗", Tone::Bad, format!("false now: {found}")),
            Verdict::NotMeasured => ("?", Tone::Warn, format!("not measured: {found}")),
            Verdict::Skipped => ("–", Tone::Dim, format!("skipped: {found}")),
        };
        let (mark, tone, words) = match &precondition.later {
            // What holds or not can change before it counts.
            Some(why) => (
                "·",
                Tone::Dim,
                escape::line(&format!("{words}; is measured again then: {why}")).into_owned(),
            ),
            None => (mark, tone, words),
        };
        row(mark, tone, &answer.name, words, duration(answer.elapsed))
    };
    precondition.answers.iter().map(answer).collect()
}
