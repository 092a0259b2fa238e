//! The parts of a migration that is applied in several, in words.

use super::step::{Fate, StepView};
use crate::plan::{Lines, Step, UnitState, UnitSummary};
use crate::report::format::count;

/// More lines than this are counted, not shown.
const SHOWN: usize = 12;

/// A line for each part of a migration that is made of several: where it stands, whether it is done, and why it is
/// outside a transaction where it is. Parts in a row that are alike share a line. For a migration that is one statement
/// outside a transaction, why it is; for one transaction, none. Text from the file: not escaped.
pub fn parts_lines(step: &Step) -> Vec<String> {
    lines_of(&step.units)
}

impl StepView<'_> {
    /// As [`parts_lines`], as the run left them.
    pub(in crate::report) fn parts_lines(&self) -> Vec<String> {
        let mut units = self.step.map(|step| step.units.clone()).unwrap_or_default();
        match self.fate {
            Fate::Failed { parts, .. } => {
                for unit in units.iter_mut().take(parts.done as usize) {
                    (unit.state, unit.failure) = (UnitState::Done, None);
                }
                // What it failed with before says nothing of this run.
                for unit in units.iter_mut().filter(|unit| unit.state == UnitState::Failed) {
                    (unit.state, unit.failure) = (UnitState::Pending, None);
                }
            }
            // That all of them are done is said of the migration.
            Fate::Applied | Fate::Recorded | Fate::AppliedBefore { .. } => {
                for unit in &mut units {
                    (unit.state, unit.failure) = (UnitState::Pending, None);
                }
            }
            _ => {}
        }
        lines_of(&units)
    }
}

fn lines_of(units: &[UnitSummary]) -> Vec<String> {
    if let [only] = units {
        let line = |why| format!("outside a transaction: {why}{}", state_words(only));
        return only.why.as_ref().map(line).into_iter().collect();
    }
    let numbered: Vec<(usize, &UnitSummary)> =
        units.iter().enumerate().map(|(index, unit)| (index + 1, unit)).collect();
    let alike = |(_, one): &(usize, &UnitSummary), (_, next): &(usize, &UnitSummary)| {
        one.why == next.why
            && (one.state, &one.failure, &one.finding) == (next.state, &next.failure, &next.finding)
            && (one.statements, next.statements) == (1, 1)
    };
    let mut lines: Vec<String> = numbered.chunk_by(alike).filter_map(line).collect();
    if lines.len() > SHOWN {
        let rest = lines.split_off(SHOWN - 1).len();
        lines
            .push(format!("and {}", count(rest, "more part or row of parts", "more parts or rows of parts")));
    }
    lines
}

fn line(parts: &[(usize, &UnitSummary)]) -> Option<String> {
    let ((from, first), (to, last)) = (parts.first()?, parts.last()?);
    let numbers = if from == to { format!("part {from}") } else { format!("parts {from}–{to}") };
    let place = match (first.lines, last.lines) {
        (Some(first), Some(last)) => {
            format!(" ({})", Lines { first: first.first, last: last.last })
        }
        _ => String::new(),
    };
    let kind = match (&first.why, parts.len()) {
        (Some(why), _) => format!("outside a transaction: {why}"),
        (None, 1) => {
            format!("a transaction of {}", count(first.statements as usize, "statement", "statements"))
        }
        (None, _) => "a transaction each".to_owned(),
    };
    Some(format!("{numbers}{place}: {kind}{}", state_words(first)))
}

fn state_words(unit: &UnitSummary) -> String {
    match (unit.state, &unit.failure, &unit.finding) {
        (UnitState::Done, ..) => " – done".to_owned(),
        (_, Some(failure), Some(finding)) => format!(" – {}; {finding}", failure.happened()),
        (_, Some(failure), None) => format!(" – {failure}"),
        (UnitState::Begun, None, Some(finding)) => format!(" – begun, its end not recorded: {finding}"),
        (UnitState::Begun, None, None) => " – begun, its end not known".to_owned(),
        (UnitState::Pending | UnitState::Failed, None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn each_part_says_where_it_stands_and_how_far_it_is() {
        let run = fixture::partly();
        assert_eq!(
            parts_lines(&run.plan.steps[0]),
            [
                "part 1 (lines 1–4): a transaction of 2 statements – done",
                "part 2 (line 6): outside a transaction: CREATE INDEX CONCURRENTLY",
                "part 3 (lines 8–11): a transaction of 2 statements",
            ]
        );
        assert_eq!(parts_lines(&run.plan.steps[1]), [""; 0]);
        assert_eq!(parts_lines(&run.plan.steps[8]), ["outside a transaction: CREATE INDEX CONCURRENTLY"]);
    }

    #[test]
    fn many_parts_are_few_lines() {
        let mut step = fixture::partly().plan.steps.remove(0);
        let one = |line: u32, why: Option<&str>| UnitSummary {
            finding: None,
            transactional: why.is_none(),
            statements: 1,
            lines: Some(Lines { first: line, last: line }),
            why: why.map(str::to_owned),
            state: UnitState::Pending,
            failure: None,
        };
        step.units = (1..=1000).map(|line| one(line, None)).collect();
        assert_eq!(parts_lines(&step), ["parts 1–1000 (lines 1–1000): a transaction each"]);
        step.units = (1..=1000).map(|line| one(line, (line % 2 == 0).then_some("VACUUM"))).collect();
        assert_eq!(parts_lines(&step).len(), SHOWN);
    }
}
