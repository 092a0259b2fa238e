//! The verification table: a line for each check that holds, grouped; what does not hold in full at the end, where a
//! terminal shows it.

use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::columns::{cut, wrap};
use super::{TextStyle, Tone};
use crate::report::digest::{Group, grouped_checks, verdict_words};
use crate::report::escape;
use crate::report::format::duration;
use crate::run::{CheckResult, Verdict};

/// Wider lines than this are not easier to read.
const WIDEST: usize = 120;
/// Mark and gaps of a line.
const MARGIN: usize = 4;
/// Room for a time, with the gap before it.
const TIME: usize = 10;

/// How much of a verification is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// A line for each group; checks that do not hold in full.
    Groups,
    /// A line for each check; those that do not hold also in full.
    Checks,
    /// Every check in full: what was measured, expected and found.
    Full,
}

/// Name, what was found and time of each check in groups, then what does not hold, and the number of each verdict.
pub fn verification_table(checks: &[CheckResult], detail: Detail, style: TextStyle) -> String {
    let all: Vec<&CheckResult> = checks.iter().collect();
    let Some(words) = verdict_words(&all) else {
        return "Verification: nothing was measured\n".to_owned();
    };
    let mut out = format!("{}\n", style.paint(Tone::Strong, "Verification"));
    let groups = grouped_checks(&all);
    match detail {
        Detail::Groups => group_lines(&mut out, &groups, style),
        Detail::Checks => check_lines(&mut out, &groups, style),
        Detail::Full => {
            for group in &groups {
                title(&mut out, group, style);
                for (name, check) in &group.checks {
                    in_full(&mut out, 4, name, check, style);
                }
            }
        }
    }
    let doubtful: Vec<&CheckResult> = all
        .into_iter()
        .filter(|check| matches!(check.verdict, Verdict::False | Verdict::NotMeasured))
        .collect();
    let tone = if doubtful.is_empty() { Tone::Good } else { Tone::Bad };
    if detail != Detail::Full {
        for check in &doubtful {
            out.push('\n');
            in_full(&mut out, 0, &check.name, check, style);
        }
        if !doubtful.is_empty() {
            out.push('\n');
        }
    }
    put!(&mut out, "{}", style.paint(tone, &words));
    out
}

fn title(out: &mut String, group: &Group<'_>, style: TextStyle) {
    let title = style.paint(Tone::Strong, &escape::line(&group.title));
    put!(out, "  {title}  {}", style.paint(Tone::Dim, &words_of(group)));
}

fn group_lines(out: &mut String, groups: &[Group<'_>], style: TextStyle) {
    let row = |group: &Group<'_>| Row {
        verdict: worst(group),
        name: escape::line(&group.title).into_owned(),
        found: words_of(group),
        tone: Tone::Plain,
        took: group.checks.iter().map(|(_, check)| check.elapsed).sum(),
    };
    let rows: Vec<Row> = groups.iter().map(row).collect();
    let layout = Layout::fit(style, 2, rows.iter());
    for row in &rows {
        layout.put(out, row);
    }
}

fn check_lines(out: &mut String, groups: &[Group<'_>], style: TextStyle) {
    let rows: Vec<Vec<Row>> = groups
        .iter()
        .map(|group| group.checks.iter().map(|(name, check)| Row::new(name, check)).collect())
        .collect();
    let widest = rows.iter().map(|rows| Layout::fit(style, 4, rows.iter()).width()).max().unwrap_or(0);
    for (group, rows) in groups.iter().zip(&rows) {
        title(out, group, style);
        // Each group has its own columns, and all have their times in one.
        let layout = Layout::fit(style, 4, rows.iter()).widened(widest);
        for row in rows {
            layout.put(out, row);
        }
    }
}

fn words_of(group: &Group<'_>) -> String {
    let checks: Vec<&CheckResult> = group.checks.iter().map(|(_, check)| *check).collect();
    let words = verdict_words(&checks).unwrap_or_default();
    words.split_once(": ").map_or(words.clone(), |(_, tally)| tally.to_owned())
}

/// The verdict that says most of a group.
fn worst(group: &Group<'_>) -> Verdict {
    let any = |verdict: Verdict| group.checks.iter().any(|(_, check)| check.verdict == verdict);
    let order = [Verdict::False, Verdict::NotMeasured, Verdict::Holds];
    order.into_iter().find(|verdict| any(*verdict)).unwrap_or(Verdict::Skipped)
}

fn mark(verdict: Verdict) -> (&'static str, Tone, &'static str) {
    match verdict {
        Verdict::Holds => ("✓", Tone::Good, "holds"),
        Verdict::False => ("✗", Tone::Bad, "false"),
        Verdict::NotMeasured => ("?", Tone::Warn, "not measured"),
        Verdict::Skipped => ("–", Tone::Dim, "skipped"),
    }
}

/// One line: mark, name, what was found, time.
struct Row {
    verdict: Verdict,
    name: String,
    found: String,
    tone: Tone,
    took: Duration,
}

impl Row {
    fn new(name: &str, check: &CheckResult) -> Self {
        let found = escape::folded(&check.found);
        let (found, tone) = match check.verdict {
            // What a refused statement was told is the evidence that it was refused.
            Verdict::Holds if check.kind == "fails" => (found.replacen("ERROR: ", "refused: ", 1), Tone::Dim),
            Verdict::Holds => (found, Tone::Dim),
            Verdict::False => (format!("false: {found}"), Tone::Bad),
            Verdict::NotMeasured => (format!("not measured: {found}"), Tone::Warn),
            Verdict::Skipped => (format!("skipped: {found}"), Tone::Dim),
        };
        let name = escape::line(name).into_owned();
        Self { verdict: check.verdict, name, found, tone, took: check.elapsed }
    }
}

/// Widths that fit a set of rows.
struct Layout {
    style: TextStyle,
    indent: usize,
    name: usize,
    found: usize,
}

impl Layout {
    fn fit<'a>(style: TextStyle, indent: usize, rows: impl Iterator<Item = &'a Row>) -> Self {
        let widest = rows
            .fold((0, 0), |(name, found), row| (row.name.width().max(name), row.found.width().max(found)));
        let room = style.width.clamp(40, WIDEST) - indent - MARGIN - TIME;
        let name = widest.0.min(room * 11 / 20);
        Self { style, indent, name, found: widest.1.min(room - name) }
    }

    /// Columns of a line before its time.
    fn width(&self) -> usize {
        self.name + self.found
    }

    fn widened(self, width: usize) -> Self {
        Self { found: width.saturating_sub(self.name).max(self.found), ..self }
    }

    /// One line, and more where the name needs them. What was found is cut; why a check was skipped is all there is to
    /// say of it and stands below in full.
    fn put(&self, out: &mut String, row: &Row) {
        let (mark, tone, _) = mark(row.verdict);
        let margin = " ".repeat(self.indent);
        if row.verdict == Verdict::Skipped {
            put!(out, "{margin}{} {}", self.style.paint(tone, mark), row.name);
            let width = self.style.width.clamp(40, WIDEST) - self.indent - MARGIN;
            for line in wrap(&row.found, width) {
                put!(out, "{margin}    {}", self.style.paint(row.tone, &line));
            }
            return;
        }
        let spaces = |width: usize, text: &str| " ".repeat(width.saturating_sub(text.width()));
        for (line, name) in wrap(&row.name, self.name).iter().enumerate() {
            if line > 0 {
                put!(out, "{margin}  {name}");
                continue;
            }
            let found = cut(&row.found, self.found);
            let (after_name, after_found) = (spaces(self.name, name), spaces(self.found, &found));
            let (mark, found) = (self.style.paint(tone, mark), self.style.paint(row.tone, &found));
            let took = self.style.paint(Tone::Dim, &format!("{:>TIME$}", duration(row.took)));
            put!(out, "{margin}{mark} {name}{after_name}  {found}{after_found}{took}");
        }
    }
}

fn in_full(out: &mut String, indent: usize, name: &str, check: &CheckResult, style: TextStyle) {
    let (mark, tone, word) = mark(check.verdict);
    let name = escape::line(name);
    let took = duration(check.elapsed);
    let verdict = style.paint(tone, &format!("{mark} {word}:"));
    let margin = " ".repeat(indent);
    put!(out, "{margin}{verdict} {name}  {}", style.paint(Tone::Dim, &took));
    let width = style.width.saturating_sub(indent + 14).max(20);
    for (what, text) in
        [("expected", &check.expected), ("found", &check.found), ("measured", &check.measured)]
    {
        let mut what = what;
        for line in escape::block(text).lines() {
            let begins = line.trim_start();
            let lead = " ".repeat((line.len() - begins.len()).min(width / 2));
            for part in wrap(begins, width - lead.len()) {
                let text = format!("{margin}    {what:<8}  {lead}{part}");
                put!(out, "{}", text.trim_end());
                what = "";
            }
        }
    }
}
