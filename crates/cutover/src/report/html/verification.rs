//! What was measured: false claims in full at the top of the page, and every check with its query.

use maud::{Markup, html};

use super::super::digest::{Digest, grouped_checks};
use super::super::escape;
use super::super::format::{duration, utc};
use super::Shown;
use crate::run::{CheckResult, Verdict};

pub(super) fn false_claims(digest: &Digest<'_>) -> Markup {
    let claims = digest.doubtful();
    html! {
        @if !claims.is_empty() {
            section.panel.claims class=(if claims.iter().any(|check| check.verdict == Verdict::False) { "bad" } else { "warn" }) {
                h2 { "Claims that do not hold" }
                @for check in claims {
                    article {
                        h3 { (badge(check)) " " (Shown(&check.name)) }
                        (answer(check))
                    }
                }
            }
        }
    }
}

pub(super) fn section(digest: &Digest<'_>) -> Markup {
    html! {
        section #verification {
            h2 { "Verification" }
            @if let Some(words) = digest.verdict_words() {
                p.lead { (words) ". Open a line for the query that was measured." }
                @if !digest.passes.is_empty() {
                    ul.passes {
                        @for pass in &digest.passes {
                            li {
                                time datetime=(utc(pass.at_micros)) { (utc(pass.at_micros)) }
                                " by " (Shown(pass.operator)) ": " (pass.words())
                            }
                        }
                    }
                }
                @for group in grouped_checks(&digest.checks) {
                    h3 { (Shown(&group.title)) }
                    div.checks { @for (name, check) in &group.checks { (entry(name, check)) } }
                }
            } @else {
                p.lead { "Nothing was measured in this run." }
            }
        }
    }
}

fn entry(name: &str, check: &CheckResult) -> Markup {
    html! {
        details.check {
            summary {
                (badge(check))
                span.name { (Shown(name)) }
                span.found { (escape::excerpt(&check.found, 90)) }
                span.took { (duration(check.elapsed)) }
            }
            (answer(check))
            p.small {
                "Kind " code { (Shown(&check.kind)) }
                @if let Some(stage) = &check.stage { ", stage " (Shown(stage)) }
                @if let Some(migration) = &check.migration { ", migration " (Shown(migration.version.text())) }
            }
        }
    }
}

fn answer(check: &CheckResult) -> Markup {
    html! {
        dl.answer {
            dt { "Expected" } dd { (escape::block(&check.expected)) }
            dt { "Found" } dd { (escape::block(&check.found)) }
            dt { "Measured" } dd { pre { (escape::block(&check.measured)) } }
        }
    }
}

fn badge(check: &CheckResult) -> Markup {
    let (class, mark, word) = match check.verdict {
        Verdict::Holds => ("good", "✓", "holds"),
        Verdict::False => ("bad", "✗", "false"),
        Verdict::NotMeasured => ("warn", "?", "not measured"),
        Verdict::Skipped => ("", "–", "skipped"),
    };
    html! { span class={ "badge " (class) } { (mark) " " (word) } }
}
