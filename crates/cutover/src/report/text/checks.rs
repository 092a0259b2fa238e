//! The verification table: what does not hold first and in full, then what holds in one row each.

use super::columns::{Cell, Column, Columns};
use super::{TextStyle, Tone};
use crate::report::digest::verdict_words;
use crate::report::escape;
use crate::report::format::duration;
use crate::run::{CheckResult, Verdict};

/// Verdict, name, what was measured, expected, found and time of each check.
pub fn verification_table(checks: &[CheckResult], style: TextStyle) -> String {
    let all: Vec<&CheckResult> = checks.iter().collect();
    let Some(words) = verdict_words(&all) else {
        return "Verification: nothing was measured\n".to_owned();
    };
    let mut out = format!("{}: {words}\n", style.paint(Tone::Strong, "Verification"));
    for verdict in [Verdict::False, Verdict::NotMeasured, Verdict::Skipped] {
        for check in all.iter().filter(|check| check.verdict == verdict) {
            in_full(&mut out, check, style);
        }
    }
    let held: Vec<&CheckResult> = all
        .into_iter()
        .filter(|check| check.verdict == Verdict::Holds)
        .collect();
    if held.is_empty() {
        return out;
    }
    let names = ["", "Holds", "Measured", "Expected", "Found", "Took"];
    let titles = names.map(|name| Cell::new(Tone::Dim, name)).into_iter().collect();
    let rows: Vec<Vec<Cell>> = std::iter::once(titles)
        .chain(held.iter().map(|check| row(check)))
        .collect();
    let kinds = [
        Column::Left,
        Column::Wrapped(4),
        Column::Wrapped(2),
        Column::Wrapped(2),
        Column::Wrapped(2),
        Column::Right,
    ];
    let columns = Columns::fit(style, 2, &kinds, rows.iter().map(Vec::as_slice));
    if columns.fits() {
        for row in &rows {
            columns.put(&mut out, row);
        }
    } else {
        for check in held {
            in_full(&mut out, check, style);
        }
    }
    out
}

fn row(check: &CheckResult) -> Vec<Cell> {
    vec![
        Cell::new(Tone::Good, "✓"),
        Cell::new(Tone::Plain, escape::line(&check.name)),
        Cell::new(Tone::Dim, escape::excerpt(&check.measured, 120)),
        Cell::new(Tone::Plain, escape::excerpt(&check.expected, 120)),
        Cell::new(Tone::Plain, escape::excerpt(&check.found, 120)),
        Cell::new(Tone::Dim, duration(check.elapsed)),
    ]
}

fn in_full(out: &mut String, check: &CheckResult, style: TextStyle) {
    let (mark, tone, word) = match check.verdict {
        Verdict::Holds => ("✓", Tone::Good, "holds"),
        Verdict::False => ("✗", Tone::Bad, "false"),
        Verdict::NotMeasured => ("?", Tone::Warn, "not measured"),
        Verdict::Skipped => ("–", Tone::Dim, "skipped"),
    };
    let name = escape::line(&check.name);
    let took = duration(check.elapsed);
    let verdict = style.paint(tone, &format!("{mark} {word}:"));
    put!(out, "  {verdict} {name}  {}", style.paint(Tone::Dim, &took));
    for (what, text) in [
        ("expected", &check.expected),
        ("found", &check.found),
        ("measured", &check.measured),
    ] {
        for (i, line) in escape::block(text).lines().enumerate() {
            let what = if i == 0 { what } else { "" };
            let line = format!("      {what:<8}  {line}");
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}
