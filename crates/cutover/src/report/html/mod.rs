//! A run as one self-contained HTML page: nothing is fetched, no script runs, and it prints.
//!
//! Markup is written with `maud`, which escapes every value it is given: a forgotten escape is not a mistake one can
//! make here. [`Shown`] adds what markup escaping does not cover: control and direction characters.

mod erd;
mod graph;
mod migrations;
mod rehearsal;
mod sections;
mod timeline;
mod verification;

use std::fmt::Write as _;

use maud::{DOCTYPE, Escaper, Markup, PreEscaped, Render, html};

use super::digest::{Digest, remarks};
use super::escape;
use super::format::utc;
use crate::revert::shown_name;
use crate::run::{Outcome, Run, Verdict};

/// The style sheet of every page.
const STYLE: &str = include_str!("style.css");

/// Nothing may be fetched, framed, submitted or run; only the page's own style sheet applies.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Text from outside, on one line.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl Render for Shown<'_> {
    fn render_to(&self, buffer: &mut String) {
        // Writing to a string cannot fail.
        let _ = Escaper::new(buffer).write_str(&escape::line(self.0));
    }
}

pub use rehearsal::html as rehearsal_html;

/// A page of its own, that fetches nothing and runs nothing; `more` is style that it needs besides.
pub fn page(title: &Markup, more: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(more)) }
            }
            body { (body) }
        }
    };
    page.into_string()
}

/// The run as one HTML page.
pub fn html(run: &Run) -> String {
    let digest = Digest::new(run);
    let title = html! { (Shown(&shown_name(&run.project))) ": " (digest.headline().0) };
    let body = html! {
                (header(&digest))
                main {
                    (sections::failures(&digest))
                    (verification::false_claims(&digest))
                    (timeline::section(&digest))
                    (sections::stages(&digest))
                    (graph::section(&digest))
                    (erd::section(&digest))
                    (migrations::section(&digest))
                    (sections::left_out(&digest))
                    (sections::waiting(&digest))
                    (sections::notices(&digest))
                    (sections::backups(&digest))
                    (verification::section(&digest))
                }
                footer {
                    p { "Made by " (Shown(&run.tool)) " from the events of run " code { (Shown(&run.id)) }
                        ". A mark stands only where a measurement stands behind it." }
                }
    };
    page(&title, "", &body)
}

/// Class of the outcome's colour: `good`, `bad`, `warn` or `idle`.
fn tone(digest: &Digest<'_>) -> &'static str {
    let doubts = digest.verdicts(Verdict::NotMeasured);
    match digest.run.outcome {
        _ if digest.verdicts(Verdict::False) > 0 => "bad",
        Some(Outcome::Completed) if doubts > 0 => "warn",
        Some(Outcome::Completed) => "good",
        Some(Outcome::NothingToDo) if doubts == 0 => "idle",
        Some(Outcome::FailedClean | Outcome::NeedsDecision) => "bad",
        _ => "warn",
    }
}

fn header(digest: &Digest<'_>) -> Markup {
    let run = digest.run;
    let (word, sentence) = digest.headline();
    let open = run.outcome.is_none();
    html! {
        header class=(tone(digest)) {
            p.kicker { "Migration report" }
            div.title {
                h1 { (Shown(&shown_name(&run.project))) }
                span.outcome { (word) }
            }
            p.sentence { (Shown(&sentence)) }
            dl.facts {
                (fact("Database", &html! { code { (Shown(&run.database)) } }))
                (fact("Server", &html! { "PostgreSQL " (Shown(&run.server_version)) }))
                (fact("Role", &html! { code { (Shown(&run.role)) } }))
                @if !run.operator.is_empty() { (fact("Run by", &html! { (Shown(&run.operator)) })) }
                (fact("Started", &html! { time datetime=(utc(run.started_micros)) { (utc(run.started_micros)) } }))
                (fact("Duration", &html! { (digest.took_in_words()) @if open { " until the last event" } }))
                @if let Some(most) = digest.side_by_side() { (fact("Side by side", &html! { (most) " migrations" })) }
            }
            ul.tally {
                @for (number, what, tone) in tally(digest) {
                    li class=[(!tone.is_empty()).then_some(tone)] { b { (number) } " " (what) }
                }
            }
            @if !digest.remarks.is_empty() {
                details.remarks open {
                    summary { "Remarks of the run" }
                    ul { @for remark in &digest.remarks { li { (Shown(remark)) } } }
                }
            }
            @let notes = remarks(&run.plan);
            @if !notes.is_empty() {
                details.remarks open[notes.len() <= 3] {
                    summary { "Remarks of the plan" }
                    ul { @for note in &notes { li { (Shown(note)) } } }
                }
            }
        }
    }
}

fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

/// What the tiles under the title count: number, word, class.
fn tally(digest: &Digest<'_>) -> Vec<(String, String, &'static str)> {
    let mut tiles = Vec::new();
    for part in digest.tally() {
        if let Some((number, what)) = part.split_once(' ') {
            let tone = match what {
                "applied" | "reverted" if number != "0" => "good",
                "failed" => "bad",
                "without a recorded end" => "warn",
                _ => "",
            };
            tiles.push((number.to_owned(), what.to_owned(), tone));
        }
    }
    let verdicts = [
        (Verdict::Holds, "checks hold", "good"),
        (Verdict::False, "checks false", "bad"),
        (Verdict::NotMeasured, "checks not measured", "warn"),
        (Verdict::Skipped, "checks skipped", ""),
    ];
    for (verdict, what, tone) in verdicts {
        let number = digest.verdicts(verdict);
        if number > 0 {
            let what = if number == 1 { what.replacen("checks", "check", 1) } else { what.to_owned() };
            let what = if number == 1 { what.replacen("hold", "holds", 1) } else { what };
            tiles.push((number.to_string(), what, tone));
        }
    }
    tiles
}
