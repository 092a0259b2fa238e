//! The tables of the page.

use cutover::report::format::grouped;
use maud::{Markup, html};

use super::Shown;
use crate::agent::KINDS;
use crate::figures::Sorted;
use crate::invariants::{INVARIANTS, Source};
use crate::simulation::Outcome;
use crate::summary::{durations, latencies, took};

/// A row of numbers, with what they are above for narrow screens.
fn cells(labels: &[&str], values: &[String]) -> Markup {
    html! {
        @for (label, value) in labels.iter().zip(values) { td.number data-label=(label) { (Shown(value)) } }
    }
}

fn head(labels: &[&str]) -> Markup {
    html! { @for label in labels { th.number scope="col" { (label) } } }
}

/// The figures of a chart, for who wants to read them.
pub(super) fn figures(labels: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Markup {
    html! {
        details.figures {
            summary { "The figures as a table" }
            div.scroll { table {
                thead { tr { (head(labels)) } }
                tbody { @for row in rows { tr { (cells(labels, &row)) } } }
            } }
        }
    }
}

const SPREAD: [&str; 4] = ["p50", "p90", "p99", "Most"];

fn spread(sorted: &Sorted) -> Vec<String> {
    [50, 90, 99, 100].map(|percent| took(sorted.percentile(percent))).to_vec()
}

pub(super) fn schedules(outcome: &Outcome) -> Markup {
    let labels = ["Every", "Runs", "Failed", "p50", "p90", "p99", "Most", "Latest"];
    html! {
        table {
            thead { tr { th scope="col" { "Schedule" } (head(&labels)) } }
            tbody {
                @for schedule in &outcome.runs.schedules {
                    @let runs: Vec<_> = outcome.runs.runs.iter().filter(|run| run.job == schedule.name).collect();
                    @let failed = runs.iter().filter(|run| run.error.is_some()).count();
                    @let latest = runs.iter().map(|run| run.lag).max().unwrap_or(0);
                    tr {
                        td data-label="Schedule" { code { (Shown(&schedule.name)) } }
                        @let mut row = vec![format!("{} s", schedule.seconds), runs.len().to_string(), failed.to_string()];
                        @let () = row.extend(spread(&durations(outcome, &schedule.name)));
                        @let () = row.push(took(std::time::Duration::from_millis(latest).as_secs_f64()));
                        (cells(&labels, &row))
                    }
                }
            }
        }
        p.note { "Latest: the longest time after its due time at which a run began, in simulated time. Due times left out: " (outcome.runs.skipped) "." }
    }
}

pub(super) fn calls(outcome: &Outcome) -> Markup {
    let all = latencies(outcome, None);
    let labels: Vec<&str> = std::iter::once("Calls").chain(SPREAD).collect();
    html! {
        section #calls {
            h2 { "Calls of the clients" }
            p.lead { (grouped(all.len())) " calls, " (format!("{:.0}", crate::summary::rate(all.len(), outcome.took.as_secs_f64())))
                " a second over " (outcome.settings.connections) " connections. Times are real ones, as the client sees them. In simulated time they came after users meant to: "
                (crate::summary::spread(&crate::summary::late(outcome), crate::summary::seconds)) "." }
            table {
                thead { tr { th scope="col" { "Call" } (head(&labels)) th scope="col" { "Errors" } } }
                tbody {
                    @for (n, ((name, lawful), kind)) in KINDS.iter().zip(&outcome.tally.kinds).enumerate() {
                        @let of = latencies(outcome, Some(n));
                        tr {
                            td data-label="Call" { (name) }
                            @let mut row = vec![grouped(of.len())];
                            @let () = row.extend(spread(&of));
                            (cells(&labels, &row))
                            td data-label="Errors" {
                                @if kind.errors.is_empty() && kind.met_a_deletion == 0 { "none" }
                                ul.chips {
                                    @if kind.met_a_deletion > 0 { li { (kind.met_a_deletion) " met the end of an account" } }
                                    @for (code, times) in &kind.errors {
                                        @let expected = lawful.contains(&code.as_str());
                                        li.bad[!expected] { (Shown(code)) " × " (times) @if expected { ", somebody was quicker" } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn invariants(outcome: &Outcome) -> Markup {
    html! {
        section #invariants {
            h2 { "What must hold" }
            p.lead { "Looked at in " (outcome.seen.rounds) " rounds while the simulation ran and once at its end, each in one snapshot, by questions of its own. "
                "Each violation counts once." }
            table {
                thead { tr {
                    th scope="col" { "Invariant" } th scope="col" { "What must hold" } th.number scope="col" { "Rounds" }
                    th.number scope="col" { "Looked at" } th.number scope="col" { "Violations" }
                } }
                tbody {
                    @for (invariant, looked) in INVARIANTS.iter().zip(&outcome.seen.invariants) {
                        tr {
                            td data-label="Invariant" { code { (invariant.name) } }
                            td data-label="What must hold" { (invariant.sentence)
                                @if matches!(invariant.source, Source::Calls(_) | Source::Runs(_)) { " " span.small { "By what the simulator itself has heard." } } }
                            td.number data-label="Rounds" { (looked.rounds) }
                            td.number data-label="Looked at" { (grouped(usize::try_from(looked.things).unwrap_or(usize::MAX))) }
                            td.number data-label="Violations" {
                                span.badge.good[looked.violations == 0].bad[looked.violations > 0] { (looked.violations) }
                            }
                        }
                    }
                }
            }
        }
    }
}
