//! The checklist: every check and claim with what it asks, what was found now, and how long that took when it was recorded.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::migration::MigrationId;
use crate::project::When;
use crate::report::format::{duration, utc};
use crate::run::{CheckResult, EventKind, Run, Verdict};
use crate::verify::Prepared;

/// The checklist with its totals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Checklist {
    pub(super) items: Vec<CheckNote>,
    pub(super) totals: Verdicts,
}

/// How many answers have each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Verdicts {
    pub(super) holds: usize,
    #[serde(rename = "false")]
    pub(super) wrong: usize,
    pub(super) not_measured: usize,
    pub(super) skipped: usize,
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct CheckNote {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) stage: Option<String>,
    /// The migration it speaks of, as its file spells the version.
    pub(super) migration: Option<String>,
    /// The query behind it, or what was measured in words.
    pub(super) query: String,
    pub(super) expected: String,
    pub(super) found: String,
    /// `holds`, `false`, `not measured` or `skipped`.
    pub(super) verdict: &'static str,
    /// How long it took when it was last recorded.
    pub(super) took: Option<String>,
    /// When that was.
    pub(super) recorded_at: Option<String>,
    /// The verdict then, where it was another one.
    pub(super) recorded_verdict: Option<&'static str>,
    /// What measures it, where nothing has.
    pub(super) command: Option<String>,
}

/// An answer that a run keeps.
struct Recorded<'a> {
    answer: &'a CheckResult,
    at_micros: i64,
}

/// The newest recorded answer of each check. `runs` are newest first.
fn recorded(runs: &[Run]) -> BTreeMap<&str, Recorded<'_>> {
    let mut newest: BTreeMap<&str, Recorded<'_>> = BTreeMap::new();
    for run in runs {
        for event in &run.events {
            let EventKind::CheckDone(answer) = &event.kind else { continue };
            let one = Recorded { answer, at_micros: event.at_micros };
            match newest.get(answer.name.as_str()) {
                Some(known) if known.at_micros > one.at_micros => {}
                _ => _ = newest.insert(&answer.name, one),
            }
        }
    }
    newest
}

pub(super) fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::False => "false",
        Verdict::NotMeasured => "not measured",
        Verdict::Skipped => "skipped",
    }
}

impl Checklist {
    /// Of what was measured now, what runs have recorded, and what there is to measure.
    pub(super) fn of(
        prepared: &[Prepared],
        answers: &[CheckResult],
        runs: &[Run],
        label: &dyn Fn(&MigrationId) -> String,
        stage: &dyn Fn(usize) -> Option<String>,
    ) -> Self {
        let recorded = recorded(runs);
        let names: BTreeSet<&str> = prepared.iter().map(|check| check.name.as_str()).collect();
        let mut items: Vec<CheckNote> = Vec::new();
        for check in prepared {
            let belongs =
                |name: &str| name == check.name || (!names.contains(name) && belongs(name, &check.name));
            let mut found = false;
            for answer in answers.iter().filter(|answer| answer.kind == check.kind && belongs(&answer.name)) {
                found = true;
                items.push(note(answer, recorded.get(answer.name.as_str()), label));
            }
            if found {
                continue;
            }
            let kept: Vec<_> = recorded
                .values()
                .filter(|one| one.answer.kind == check.kind && belongs(&one.answer.name))
                .collect();
            items.extend(
                kept.iter()
                    .map(|one| CheckNote { recorded_verdict: None, ..note(one.answer, Some(one), label) }),
            );
            if kept.is_empty() {
                items.push(never(check, stage));
            }
        }
        let mut totals = Verdicts::default();
        for item in &items {
            match item.verdict {
                "holds" => totals.holds += 1,
                "false" => totals.wrong += 1,
                "skipped" => totals.skipped += 1,
                _ => totals.not_measured += 1,
            }
        }
        Self { items, totals }
    }
}

/// Whether an answer is one of a check: of its name, or of a part of it.
fn belongs(answer: &str, check: &str) -> bool {
    answer.strip_prefix(check).is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
}

fn note(
    answer: &CheckResult,
    recorded: Option<&Recorded<'_>>,
    label: &dyn Fn(&MigrationId) -> String,
) -> CheckNote {
    // A skipped one measured nothing: what a run recorded says more.
    let kept = recorded.filter(|_| answer.verdict == Verdict::Skipped && answer.kind == "unchanged");
    let answer = kept.map_or(answer, |kept| kept.answer);
    let verdict = word(answer.verdict);
    CheckNote {
        name: answer.name.clone(),
        kind: answer.kind.clone(),
        stage: answer.stage.clone(),
        migration: answer.migration.as_ref().map(label),
        query: answer.measured.clone(),
        expected: answer.expected.clone(),
        found: steady(answer),
        verdict,
        took: recorded.map(|one| duration(one.answer.elapsed)),
        recorded_at: recorded.map(|one| utc(one.at_micros)),
        recorded_verdict: recorded.map(|one| word(one.answer.verdict)).filter(|word| *word != verdict),
        command: recorded.is_none().then(|| "cutover verify".to_owned()),
    }
}

/// What was found, without what is another thing each time: a refused row is shown with the values that it was given by chance
/// and by the clock.
fn steady(answer: &CheckResult) -> String {
    if answer.kind != "fails" {
        return answer.found.clone();
    }
    let states = answer.expected.trim_start_matches("refused with ").split(" or ");
    let refused = states.into_iter().find(|state| answer.found.contains(&format!("({state})")));
    match refused {
        Some(state) if answer.verdict == Verdict::Holds => format!("refused with {state}"),
        _ => {
            // SEVERITY: message (SQLSTATE): detail
            let end = answer.found.find("): ").map_or(answer.found.len(), |at| at + 1);
            answer.found.get(..end).unwrap_or(&answer.found).to_owned()
        }
    }
}

/// One that nobody has measured.
fn never(check: &Prepared, stage: &dyn Fn(usize) -> Option<String>) -> CheckNote {
    let (measured, expected) = check.check.describe();
    let (why, command) = match (&check.when, check.kind) {
        (When::Before(_), _) => {
            ("a precondition: it is measured before its migration", "cutover apply".to_owned())
        }
        (_, "empty") => {
            ("for a database that holds only what migrations put there", "cutover verify --fresh".to_owned())
        }
        _ => ("its stage is not reached", "cutover apply --verify".to_owned()),
    };
    CheckNote {
        name: check.name.clone(),
        kind: check.kind.to_owned(),
        stage: check.stage.and_then(stage),
        query: measured,
        expected,
        found: why.to_owned(),
        verdict: "not measured",
        command: Some(command),
        ..CheckNote::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(kind: &str, expected: &str, found: &str, verdict: Verdict) -> CheckResult {
        CheckResult {
            name: "n".to_owned(),
            kind: kind.to_owned(),
            migration: None,
            stage: None,
            measured: String::new(),
            expected: expected.to_owned(),
            found: found.to_owned(),
            verdict,
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn what_chance_puts_into_an_answer_is_left_out() {
        let found =
            "ERROR: null value in column \"a\" (23502): Failing row contains (7c9e, null, 2026-11-28 10:00)";
        let holds = answer("fails", "refused with 23503 or 23502", found, Verdict::Holds);
        assert_eq!(steady(&holds), "refused with 23502");
        let wrong = answer("fails", "refused with 23505", found, Verdict::False);
        assert_eq!(steady(&wrong), "ERROR: null value in column \"a\" (23502)");
        let other = answer("scalar", "8", "7", Verdict::False);
        assert_eq!(steady(&other), "7");
    }

    #[test]
    fn parts_belong_to_their_check() {
        assert!(belongs("every claim", "every claim") && belongs("every claim: a.sql", "every claim"));
        assert!(!belongs("every claims", "every claim") && !belongs("8 indexes", "8"));
    }
}
