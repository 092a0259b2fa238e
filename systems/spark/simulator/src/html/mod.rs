//! A simulation as one self-contained page: nothing is fetched, no script runs. It looks as cutover's reports do.

mod charts;
mod tables;

use std::fmt::Write as _;

use cutover::report::format::{count, duration, grouped};
use cutover::report::page::{one_line, whole};
use maud::{Escaper, Markup, Render, html};

use self::charts::{About, Bar, Spread, areas, bars, number, ordered, spreads, step};
use crate::checker::STATES;
use crate::figures::{Gender, Sorted};
use crate::invariants::INVARIANTS;
use crate::simulation::Outcome;
use crate::summary::{rate, seconds, settings, simulated_seconds, spread, took};

/// What charts need besides.
const CHARTS: &str = include_str!("charts.css");

/// Text from outside, on one line. What is written into the page is escaped by maud; this shows what would act on the reader.
struct Shown<'a>(&'a str);

impl Render for Shown<'_> {
    fn render_to(&self, buffer: &mut String) {
        // Writing to a string cannot fail.
        let _ = Escaper::new(buffer).write_str(&one_line(self.0));
    }
}

/// The page.
pub fn page(outcome: &Outcome) -> String {
    let title = html! { "Spark, simulated: " (verdict(outcome)) };
    let body = html! {
        (header(outcome))
        main {
            (violations(outcome))
            (pairs(outcome))
            (queue(outcome))
            (waits(outcome))
            (fairness(outcome))
            (ticks(outcome))
            (tables::calls(outcome))
            (tables::invariants(outcome))
        }
        footer {
            p { "Made by spark-simulator. Decisions of users come from seed " (outcome.settings.seed)
                "; in which order connections get their turn, and how long the server takes, does not." }
        }
    };
    whole(&title, CHARTS, &body)
}

fn verdict(outcome: &Outcome) -> String {
    match outcome.seen.violations() {
        0 if outcome.problems.is_empty() => "everything held".to_owned(),
        0 => "not looked at to the end".to_owned(),
        n => count(usize::try_from(n).unwrap_or(0), "violation", "violations"),
    }
}

fn header(outcome: &Outcome) -> Markup {
    let figures = &outcome.figures;
    let settings_of = &outcome.settings;
    let tone = if outcome.holds() { "good" } else { "bad" };
    let facts: [(&str, String); 6] = [
        ("Server", format!("PostgreSQL {}", outcome.server)),
        ("Schedules run by", outcome.scheduler().to_owned()),
        ("Simulated", duration(std::time::Duration::from_millis(outcome.simulated))),
        ("Took", duration(outcome.took)),
        ("Seed", settings_of.seed.to_string()),
        (
            "Speed",
            if settings_of.speed == 1 {
                "real time".to_owned()
            } else {
                format!("{} times real time", settings_of.speed)
            },
        ),
    ];
    html! {
        header class=(tone) {
            p.kicker { "Simulation report" }
            div.title { h1 { "Spark" } span.outcome { (verdict(outcome)) } }
            p.sentence { (Shown(&settings(outcome))) @if outcome.interrupted { "; stopped before its time" } }
            dl.facts {
                @for (name, value) in &facts { div { dt { (name) } dd { (Shown(value)) } } }
            }
            ul.tally {
                li { b { (grouped(figures.pairs.len())) } " pairs" }
                li { b { (format!("{:.2}", rate(figures.pairs.len(), simulated_seconds(outcome)))) } " pairs a second" }
                @for (name, times) in &figures.outcomes { li { b { (times) } " " (name) } }
                li class=(tone) { b { (outcome.seen.violations()) } " violations" }
            }
        }
    }
}

/// First of all: what went wrong.
fn violations(outcome: &Outcome) -> Markup {
    if outcome.holds() {
        return html! {};
    }
    html! {
        section.panel.bad {
            h2 { "What did not hold" }
            @for (invariant, looked) in INVARIANTS.iter().zip(&outcome.seen.invariants).filter(|(_, looked)| looked.violations > 0) {
                h3 { (invariant.name) ": " (looked.violations) }
                p.lead { (invariant.sentence) }
                ul { @for example in &looked.examples { li { code { (Shown(example)) } } } }
            }
            @if !outcome.problems.is_empty() {
                h3 { "It could not be looked at to the end" }
                ul { @for problem in &outcome.problems { li { (Shown(problem)) } } }
            }
        }
    }
}

/// How wide a bucket is: a round number of seconds, so that there are at most sixty.
fn bucket(most: f64) -> f64 {
    step(most, 60.0).max(1.0)
}

#[allow(clippy::cast_precision_loss, reason = "a picture")]
fn pairs(outcome: &Outcome) -> Markup {
    let most = simulated_seconds(outcome).max(1.0);
    let width = bucket(most);
    let mut buckets = Vec::new();
    let mut from = 0.0;
    while from < most {
        let to = from + width;
        let made =
            outcome.figures.pairs.iter().filter(|at| (from..to).contains(&(**at as f64 / 1000.0))).count();
        buckets.push((from, to, made));
        from = to;
    }
    let all = outcome.figures.pairs.len();
    let drawn: Vec<Bar> = buckets
        .iter()
        .map(|(from, to, made)| Bar {
            from: *from,
            to: *to,
            parts: vec![(*made as f64, "c0")],
            tooltip: format!("{from:.0} to {to:.0} s: {}", count(*made, "pair", "pairs")),
        })
        .collect();
    let says = format!(
        "{}, at most {} in {width:.0} s",
        count(all, "pair", "pairs"),
        buckets.iter().map(|one| one.2).max().unwrap_or(0)
    );
    html! {
        section #pairs {
            h2 { "Pairs over time" }
            p.lead { (says) ". A tick makes them every five seconds." }
            (bars(&About { id: "pairs-chart", title: "Pairs over time", says: &says, x: "seconds", y: "pairs" }, most, &drawn))
            (tables::figures(&["From", "To", "Pairs"], buckets.iter().map(|(from, to, made)| vec![seconds(*from), seconds(*to), made.to_string()])))
        }
    }
}

const CLASSES: [&str; STATES.len()] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];

#[allow(clippy::cast_precision_loss, reason = "a picture")]
fn queue(outcome: &Outcome) -> Markup {
    let samples = &outcome.seen.samples;
    let points: Vec<(f64, Vec<f64>)> = samples
        .iter()
        .map(|sample| (sample.at as f64 / 1000.0, sample.counts.iter().map(|count| *count as f64).collect()))
        .collect();
    let most = simulated_seconds(outcome).max(1.0);
    let peak = samples.iter().map(|sample| sample.counts.iter().sum::<u64>()).max().unwrap_or(0);
    let says =
        format!("{} in the queue at most, seen in {}", peak, count(samples.len(), "snapshot", "snapshots"));
    // Enough rows to read.
    let every = samples.len().div_ceil(30).max(1);
    let rows = samples.iter().step_by(every).map(|sample| {
        let at = seconds(sample.at as f64 / 1000.0);
        std::iter::once(at).chain(sample.counts.iter().map(ToString::to_string)).collect()
    });
    let names: Vec<&str> = std::iter::once("At").chain(STATES).collect();
    html! {
        section #queue {
            h2 { "Where users are" }
            p.lead { (says) "." }
            (areas(&About { id: "queue-chart", title: "Users in the queue by state over time", says: &says, x: "seconds", y: "users" }, most, &CLASSES, &points))
            ul.legend { @for (state, class) in STATES.iter().zip(CLASSES) { li { i class=(class) {} (state) } } }
            (tables::figures(&names, rows))
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a picture")]
fn waits(outcome: &Outcome) -> Markup {
    let figures = &outcome.figures;
    let all = figures.all(None);
    let of = [Gender::Men, Gender::Women].map(|gender| figures.all(Some(gender)));
    // The last bar holds whoever waited longer than nearly all.
    let most = all.percentile(99).max(1.0);
    let width = step(most, 40.0);
    let mut buckets: Vec<(f64, f64, [usize; 2])> = Vec::new();
    let mut from = 0.0;
    while from <= most {
        let to = from + width;
        let last = to > most;
        let within = |sorted: &Sorted| {
            sorted.all().iter().filter(|wait| **wait >= from && (last || **wait < to)).count()
        };
        buckets.push((from, to, [within(&of[0]), within(&of[1])]));
        from = to;
    }
    let label = |from: f64, to: f64, last: bool| {
        if last {
            format!("{} s and more", number(from, width))
        } else {
            format!("{} to {} s", number(from, width), number(to, width))
        }
    };
    let total = buckets.len();
    let drawn: Vec<Bar> = buckets
        .iter()
        .enumerate()
        .map(|(n, (from, to, [men, women]))| Bar {
            from: *from,
            to: *to,
            parts: vec![(*men as f64, "c0"), (*women as f64, "c1")],
            tooltip: format!("{}: {men} of men, {women} of women", label(*from, *to, n + 1 == total)),
        })
        .collect();
    let ended = figures.ended(None);
    let says = format!(
        "Of {} those matched: {}; of all, the unfinished so far: {}",
        count(all.len(), "wait", "waits"),
        spread(&ended, seconds),
        spread(&all, seconds)
    );
    let rows = buckets.iter().enumerate().map(|(n, (from, to, [men, women]))| {
        vec![label(*from, *to, n + 1 == total), men.to_string(), women.to_string()]
    });
    html! {
        section #waits {
            h2 { "Waits" }
            p.lead { "From the beginning of a spin to " code { "match_found" } ", or to the end of the simulation. " (says) ". The last bar holds all longer ones." }
            (bars(&About { id: "waits-chart", title: "How long users waited", says: &says, x: "seconds waited", y: "waits" }, from, &drawn))
            ul.legend { li { i.c0 {} "men" } li { i.c1 {} "women" } }
            (tables::figures(&["Waited", "Men", "Women"], rows))
        }
    }
}

fn fairness(outcome: &Outcome) -> Markup {
    let figures = &outcome.figures;
    let means = figures.means();
    let row = |name: &str, class, sorted: &Sorted, unit: fn(f64) -> String| {
        (!sorted.is_empty()).then(|| Spread {
            name: name.to_owned(),
            class,
            at: [10, 25, 50, 75, 90, 100].map(|percent| sorted.percentile(percent)),
            tooltip: format!("{name}: {}", spread(sorted, unit)),
        })
    };
    let genders = [(Gender::Men, "c0"), (Gender::Women, "c1"), (Gender::Others, "c5")];
    let of = |take: &dyn Fn(Gender) -> Sorted, unit: fn(f64) -> String| -> Vec<Spread> {
        genders.iter().filter_map(|(gender, class)| row(gender.name(), class, &take(*gender), unit)).collect()
    };
    let waited = of(&|gender| figures.all(Some(gender)), seconds);
    let scores = of(&|gender| figures.scores(gender), |score| format!("{score:.0}"));
    let says =
        |spreads: &[Spread]| spreads.iter().map(|one| one.tooltip.clone()).collect::<Vec<_>>().join("; ");
    let gini = format!(
        "Gini {:.2}: 0 where all wait the same, towards 1 the more of the waiting is with few",
        means.gini()
    );
    html! {
        section #fairness {
            h2 { "Fairness" }
            p.lead { (gini) ". It is of the mean waits of " (count(means.len(), "man or woman", "men and women"))
                ", waits included that were not over. The box is the middle half, the line goes from the tenth to the ninetieth of a hundred, the dot is the longest." }
            h3 { "Waits" }
            (spreads(&About { id: "fairness-waits", title: "Spread of waits", says: &says(&waited), x: "seconds waited", y: "" }, &waited))
            @if !scores.is_empty() {
                h3 { "Scores of those who wait at the end" }
                (spreads(&About { id: "fairness-scores", title: "Spread of fairness scores", says: &says(&scores), x: "fairness", y: "" }, &scores))
            }
            h3 { "Mean wait of each, in order" }
            (ordered(&About { id: "fairness-means", title: "Mean wait of each user in order", says: &gini, x: "users", y: "seconds" }, means.all()))
            @if !figures.boosts.is_empty() {
                p.note { "Boosts of +10: " @for (n, (reason, times)) in figures.boosts.iter().enumerate() { @if n > 0 { ", " } (times) " " (Shown(reason)) } "." }
            }
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a picture")]
fn ticks(outcome: &Outcome) -> Markup {
    let most = simulated_seconds(outcome).max(1.0);
    let runs: Vec<_> = outcome.runs.runs.iter().filter(|run| run.job == "matching-orchestrator").collect();
    let wide = (most / 300.0).min(2.0);
    let drawn: Vec<Bar> = runs
        .iter()
        .map(|run| {
            let at = run.began as f64 / 1000.0;
            let class = if run.error.is_some() { "c6" } else { "c0" };
            let tooltip = format!("at {}: {}", seconds(at), took(run.seconds));
            Bar { from: at, to: at + wide, parts: vec![(run.seconds * 1000.0, class)], tooltip }
        })
        .collect();
    let says = format!(
        "{}: {}",
        count(runs.len(), "tick", "ticks"),
        spread(&Sorted::of(runs.iter().map(|run| run.seconds)), took)
    );
    html! {
        section #ticks {
            h2 { "Ticks and the other schedules" }
            p.lead { (says) ". Run by " (outcome.scheduler()) ". Times are real ones." }
            (bars(&About { id: "ticks-chart", title: "How long ticks took", says: &says, x: "seconds", y: "milliseconds" }, most, &drawn))
            (tables::schedules(outcome))
        }
    }
}

#[cfg(test)]
mod tests;
