//! What a simulation came to, as lines for the terminal.

use cutover::report::format::{count, duration, grouped};

use crate::agent::KINDS;
use crate::figures::{Gender, Sorted};
use crate::invariants::INVARIANTS;
use crate::simulation::Outcome;

/// `p50 1.2 s, p90 3.4 s, p99 5.6 s, most 7.8 s`
pub(crate) fn spread(sorted: &Sorted, unit: impl Fn(f64) -> String) -> String {
    if sorted.is_empty() {
        return "none".to_owned();
    }
    let [p50, p90, p99] = [50, 90, 99].map(|percent| unit(sorted.percentile(percent)));
    format!("p50 {p50}, p90 {p90}, p99 {p99}, most {}", unit(sorted.max()))
}

pub(crate) fn seconds(value: f64) -> String {
    format!("{value:.1} s")
}

/// Of seconds.
pub(crate) fn took(value: f64) -> String {
    duration(std::time::Duration::try_from_secs_f64(value).unwrap_or_default())
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn rate(number: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { number as f64 / seconds } else { 0.0 }
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
pub(crate) fn simulated_seconds(outcome: &Outcome) -> f64 {
    outcome.simulated as f64 / 1000.0
}

/// Durations of a schedule's runs, in seconds.
pub(crate) fn durations(outcome: &Outcome, job: &str) -> Sorted {
    Sorted::of(outcome.runs.runs.iter().filter(|run| run.job == job).map(|run| run.seconds))
}

/// Latencies of calls of a kind, in seconds; of all kinds where none is named.
pub(crate) fn latencies(outcome: &Outcome, kind: Option<usize>) -> Sorted {
    let kinds = outcome.tally.kinds.iter().enumerate().filter(|(n, _)| kind.is_none_or(|kind| kind == *n));
    Sorted::of(kinds.flat_map(|(_, kind)| &kind.micros).map(|micros| f64::from(*micros) / 1e6))
}

/// How long after users meant to call they did, in simulated seconds.
pub(crate) fn late(outcome: &Outcome) -> Sorted {
    Sorted::of(outcome.tally.late.iter().map(|millis| f64::from(*millis) / 1000.0))
}

/// The settings in a sentence.
pub fn settings(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let pace = if settings.speed == 1 {
        "in real time".to_owned()
    } else {
        format!("in {}, {} times as fast as real time", duration(outcome.took), settings.speed)
    };
    let deleting = match settings.deleting {
        0 => String::new(),
        share => format!(", {share} in a hundred occasions end with a deleted account"),
    };
    format!(
        "{} over {}, {:.0} s {pace}, seed {}{deleting}; schedules run by {}; PostgreSQL {}",
        count(settings.users as usize, "user", "users"),
        count(settings.connections as usize, "connection", "connections"),
        simulated_seconds(outcome),
        settings.seed,
        outcome.scheduler(),
        outcome.server
    )
}

/// Everything, a line each.
pub fn lines(outcome: &Outcome) -> Vec<String> {
    let mut lines = vec![settings(outcome)];
    if outcome.interrupted {
        lines.push("stopped before its time".to_owned());
    }
    lines.extend(pairs(outcome));
    lines.extend(fairness(outcome));
    lines.extend(work(outcome));
    lines.extend(invariants(outcome));
    lines
}

fn pairs(outcome: &Outcome) -> Vec<String> {
    let figures = &outcome.figures;
    let ends: Vec<String> =
        figures.outcomes.iter().map(|(name, times)| format!("{name} {}", grouped_u64(*times))).collect();
    vec![
        format!(
            "pairs      {} made, {:.2} a second; {}",
            grouped(figures.pairs.len()),
            rate(figures.pairs.len(), simulated_seconds(outcome)),
            ends.join(", ")
        ),
        format!("waits      of those matched: {}", spread(&figures.ended(None), seconds)),
        format!("  of all   the unfinished so far: {}", spread(&figures.all(None), seconds)),
    ]
}

fn fairness(outcome: &Outcome) -> Vec<String> {
    let figures = &outcome.figures;
    let of = |gender| {
        let (ended, all) = (figures.ended(Some(gender)), figures.all(Some(gender)));
        format!("matched: {}; all so far: {}", spread(&ended, seconds), spread(&all, seconds))
    };
    let waiting = [Gender::Men, Gender::Women, Gender::Others].map(|gender| {
        let scores = figures.scores(gender);
        if scores.is_empty() {
            return format!("no {}", gender.name());
        }
        format!(
            "{} {} (scores {:.0} to {:.0}, median {:.0})",
            scores.len(),
            gender.name(),
            scores.percentile(0),
            scores.max(),
            scores.percentile(50)
        )
    });
    vec![
        format!("  men      {}", of(Gender::Men)),
        format!("  women    {}", of(Gender::Women)),
        format!(
            "fairness   Gini {:.2} of the mean waits of {} (0: all wait the same)",
            figures.means().gini(),
            count(figures.means().len(), "man or woman", "men and women")
        ),
        format!("  waiting  {} at the end", waiting.join(", ")),
    ]
}

fn work(outcome: &Outcome) -> Vec<String> {
    let ticks = durations(outcome, "matching-orchestrator");
    let mut lines = vec![format!("ticks      {}: {}", ticks.len(), spread(&ticks, took))];
    lines.push(format!(
        "schedules  {}, {} failed, due times left out {}",
        count(outcome.runs.runs.len(), "run", "runs"),
        outcome.runs.runs.iter().filter(|run| run.error.is_some()).count(),
        outcome.runs.skipped
    ));
    let all = latencies(outcome, None);
    lines.push(format!(
        "calls      {}, {:.0} a second: {}",
        grouped(all.len()),
        rate(all.len(), outcome.took.as_secs_f64()),
        spread(&all, took)
    ));
    lines.push(format!(
        "  behind    {} of simulated time after users meant to",
        spread(&late(outcome), seconds)
    ));
    for (n, ((name, lawful), kind)) in KINDS.iter().zip(&outcome.tally.kinds).enumerate() {
        let errors: Vec<String> = kind
            .errors
            .iter()
            .map(|(code, times)| {
                let meaning =
                    if lawful.contains(&code.as_str()) { "somebody was quicker" } else { "UNEXPECTED" };
                format!("{code} {times} ({meaning})")
            })
            .collect();
        let met =
            (kind.met_a_deletion > 0).then(|| format!("{} met the end of an account", kind.met_a_deletion));
        let errors: Vec<String> = errors.into_iter().chain(met).collect();
        let errors = if errors.is_empty() { String::new() } else { format!("; {}", errors.join(", ")) };
        lines.push(format!(
            "  {name:<9} {}: {}{errors}",
            grouped(kind.micros.len()),
            spread(&latencies(outcome, Some(n)), took)
        ));
    }
    lines
}

fn invariants(outcome: &Outcome) -> Vec<String> {
    let seen = &outcome.seen;
    let mut lines = vec![format!(
        "invariants {} looked at in {}, {}",
        INVARIANTS.len(),
        count(usize::try_from(seen.rounds).unwrap_or(0), "round", "rounds"),
        count(usize::try_from(seen.violations()).unwrap_or(0), "violation", "violations")
    )];
    // What had nothing to look at has shown nothing.
    let idle = INVARIANTS.iter().zip(&seen.invariants).filter(|(_, looked)| looked.things == 0);
    let idle: Vec<&str> = idle.map(|(invariant, _)| invariant.name).collect();
    if !idle.is_empty() {
        lines.push(format!("  not shown, for there was nothing to look at: {}", idle.join(", ")));
    }
    for (invariant, looked) in INVARIANTS.iter().zip(&seen.invariants) {
        lines.push(format!(
            "  {:<34}{:>9} looked at, {} violated",
            invariant.name,
            grouped_u64(looked.things),
            looked.violations
        ));
        for example in &looked.examples {
            lines.push(format!("    {}", cutover::text::visible(example)));
        }
    }
    for problem in &outcome.problems {
        lines.push(format!("problem: {}", cutover::text::visible(problem)));
    }
    lines
}

fn grouped_u64(number: u64) -> String {
    grouped(usize::try_from(number).unwrap_or(usize::MAX))
}
