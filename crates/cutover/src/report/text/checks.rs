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
const TIME: usize = 12;

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
    if detail == Detail::Groups {
        let wide = groups.iter().map(|group| group.title.width()).max().unwrap_or(0);
        let lines = Lines::new(style, wide, 2);
        for group in &groups {
            let took = group.checks.iter().map(|(_, check)| check.elapsed).sum();
            let verdict = worst(group);
            lines.put(
                &mut out,
                mark(verdict),
                &escape::line(&group.title),
                &words_of(group),
                Tone::Plain,
                took,
            );
        }
    } else {
        let names = groups.iter().flat_map(|group| &group.checks).map(|(name, _)| escape::line(name).width());
        let lines = Lines::new(style, names.max().unwrap_or(0), 4);
        for group in &groups {
            let title = style.paint(Tone::Strong, &escape::line(&group.title));
            put!(&mut out, "  {title}  {}", style.paint(Tone::Dim, &words_of(group)));
            for (name, check) in &group.checks {
                if detail == Detail::Full {
                    in_full(&mut out, 4, name, check, style);
                } else {
                    lines.check(&mut out, name, check);
                }
            }
        }
    }
    if detail != Detail::Full {
        for check in all.iter().filter(|check| matches!(check.verdict, Verdict::False | Verdict::NotMeasured))
        {
            out.push('\n');
            in_full(&mut out, 0, &check.name, check, style);
        }
    }
    let doubtful = all.iter().any(|check| matches!(check.verdict, Verdict::False | Verdict::NotMeasured));
    if doubtful && detail != Detail::Full {
        out.push('\n');
    }
    let tone = if doubtful { Tone::Bad } else { Tone::Good };
    put!(&mut out, "{}", style.paint(tone, &words));
    out
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

/// The layout of lines: mark, name, what was found, time.
struct Lines {
    style: TextStyle,
    indent: usize,
    name: usize,
    found: usize,
}

impl Lines {
    /// For names of at most this width.
    fn new(style: TextStyle, longest: usize, indent: usize) -> Self {
        let room = style.width.clamp(40, WIDEST) - indent - MARGIN - TIME;
        let name = longest.min(room * 11 / 20);
        Self { style, indent, name, found: room - name }
    }

    fn check(&self, out: &mut String, name: &str, check: &CheckResult) {
        let (found, tone) = match check.verdict {
            // What a refused statement was told is the evidence that it was refused.
            Verdict::Holds if check.kind == "fails" => {
                (check.found.replacen("ERROR: ", "refused: ", 1), Tone::Dim)
            }
            Verdict::Holds => (check.found.clone(), Tone::Dim),
            Verdict::False => (format!("false: {}", check.found), Tone::Bad),
            Verdict::NotMeasured => (format!("not measured: {}", check.found), Tone::Warn),
            Verdict::Skipped => (format!("skipped: {}", check.found), Tone::Dim),
        };
        self.put(out, mark(check.verdict), &escape::line(name), &escape::folded(&found), tone, check.elapsed);
    }

    /// One line, and more where the name needs them; what was found is cut, unless it is all there is to say.
    fn put(
        &self,
        out: &mut String,
        (mark, tone, word): (&str, Tone, &str),
        name: &str,
        found: &str,
        found_tone: Tone,
        took: Duration,
    ) {
        let names = wrap(name, self.name);
        let founds = if word == "skipped" { wrap(found, self.found) } else { vec![cut(found, self.found)] };
        for line in 0..names.len().max(founds.len()) {
            let part = |texts: &[String]| texts.get(line).cloned().unwrap_or_default();
            let (name, found) = (part(&names), part(&founds));
            let spaces = |width: usize, text: &str| " ".repeat(width.saturating_sub(text.width()));
            let mark = if line == 0 { self.style.paint(tone, mark) } else { " ".to_owned() };
            let took = if line == 0 { duration(took) } else { String::new() };
            let text = format!(
                "{}{mark} {name}{}  {}{}{}",
                " ".repeat(self.indent),
                spaces(self.name, &name),
                self.style.paint(found_tone, &found),
                spaces(self.found, &found),
                if took.is_empty() { took } else { self.style.paint(Tone::Dim, &format!("{took:>TIME$}")) },
            );
            put!(out, "{}", text.trim_end());
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
        for line in escape::block(text).lines().flat_map(|line| wrap(line, width)) {
            let line = format!("{margin}    {what:<8}  {line}");
            put!(out, "{}", line.trim_end());
            what = "";
        }
    }
}
