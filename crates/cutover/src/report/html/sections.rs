//! Failures, stages, what was left out, waits, notices and backups.

use maud::{Markup, html};

use super::super::digest::{Digest, Fate, StepView};
use super::super::escape;
use super::super::format::{bytes, count, duration, grouped, seconds};
use super::Shown;

/// Notices shown at most; the run's JSON holds all.
const NOTICES: usize = 200;
/// Versions named on a stage's card.
const CARD: usize = 24;

/// A section with a heading and, in narrow windows, rows that become cards.
pub(super) fn table(id: &str, title: &str, head: &[&str], rows: &Markup) -> Markup {
    html! {
        section id=(id) {
            h2 { (title) }
            table { thead { tr { @for name in head { th scope="col" { (name) } } } } tbody { (rows) } }
        }
    }
}

/// A migration's version and name, linked to its row.
pub(super) fn named(step: &StepView<'_>) -> Markup {
    html! { span.migration { b.version { (Shown(&step.label())) } " " span.name { (Shown(step.name())) } } }
}

pub(super) fn failures(digest: &Digest<'_>) -> Markup {
    html! {
        @for (step, message, sqlstate, state) in digest.failures() {
            section.panel.bad {
                h2 { "Failed: " (named(step)) @if let Some(sqlstate) = sqlstate { " " code.tag { "SQLSTATE " (Shown(sqlstate)) } } }
                pre { (escape::block(message)) }
                p.state { b { "State of the database. " } (Shown(state)) }
            }
        }
    }
}

pub(super) fn stages(digest: &Digest<'_>) -> Markup {
    if digest.stages.is_empty() {
        return html! {};
    }
    let empty = digest.stages.iter().filter(|(_, members)| members.is_empty()).count();
    let optional = digest.stages.iter().filter(|(_, members)| digest.are_all_optional(members)).count();
    html! {
        section #stages {
            h2 { "Stages" }
            p.lead {
                (count(digest.stages.len(), "stage", "stages"))
                @if empty > 0 { ", " (grouped(empty)) " without migrations" }
                @if optional > 0 { ", " (grouped(optional)) " with optional ones alone" }
                "."
            }
            div.cards {
                @for (stage, members) in &digest.stages {
                    div.card.empty[members.is_empty()].beyond[!stage.within_target] {
                        p.kicker { (Shown(&stage.kind)) " " (Shown(&stage.id)) }
                        h3 { (Shown(&stage.title)) }
                        (card_members(digest, members))
                        @if !stage.within_target { p.small { "Beyond the target of this run" } }
                        @if !stage.uses.is_empty() {
                            p.small { "Uses " @for (i, used) in stage.uses.iter().enumerate() {
                                @if i > 0 { ", " } code { (Shown(used)) }
                            } }
                        }
                        @for note in &stage.notes { p.small.note { (Shown(note)) } }
                    }
                }
            }
        }
    }
}

fn card_members(digest: &Digest<'_>, members: &[usize]) -> Markup {
    if members.is_empty() {
        return html! { p.none { "No migrations" } };
    }
    html! {
        ul.chips {
            @for step in members.iter().take(CARD).filter_map(|&i| digest.steps.get(i)) {
                li class=(class(step.fate)) title=(escape::line(&format!("{}: {}", step.name(), step.fate.word()))) {
                    (mark(step.fate)) " " (Shown(&step.label()))
                }
            }
            @if members.len() > CARD { li { "and " (grouped(members.len() - CARD)) " more" } }
        }
    }
}

/// Class of a fate's colour.
pub(super) fn class(fate: Fate<'_>) -> &'static str {
    match fate {
        Fate::Applied => "good",
        Fate::Failed { .. } => "bad",
        Fate::Unfinished => "warn",
        Fate::Recorded | Fate::AppliedBefore { .. } => "before",
        _ => "idle",
    }
}

/// A sign beside the colour, so that colour alone says nothing.
pub(super) fn mark(fate: Fate<'_>) -> &'static str {
    match fate {
        Fate::Applied | Fate::Recorded | Fate::AppliedBefore { .. } => "✓",
        Fate::Failed { .. } => "✗",
        Fate::Unfinished => "?",
        Fate::NotReached => "·",
        Fate::Deferred { .. } | Fate::Optional { .. } | Fate::AboveTarget { .. } | Fate::Skipped { .. } => {
            "–"
        }
    }
}

pub(super) fn left_out(digest: &Digest<'_>) -> Markup {
    let rows: Vec<_> = digest.steps.iter().filter_map(|step| Some((step, step.fate.left_out()?))).collect();
    if rows.is_empty() {
        return html! {};
    }
    let body = html! {
        @for (step, why) in rows {
            tr {
                td data-label="Migration" { (named(step)) }
                td data-label="State" { span.badge.idle { (step.fate.word()) } }
                td data-label="Why" { (Shown(why)) }
            }
        }
    };
    table("left-out", "Left out", &["Migration", "State", "Why"], &body)
}

pub(super) fn waiting(digest: &Digest<'_>) -> Markup {
    let waited: Vec<_> = digest.steps.iter().filter(|step| !step.waits.is_empty()).collect();
    if waited.is_empty() && digest.runner_waits.is_empty() {
        return html! {};
    }
    html! {
        section #waiting {
            h2 { "Waiting" }
            ul {
                @for wait in &digest.runner_waits {
                    li { (duration(wait.to.saturating_sub(wait.from))) " for another runner: " (Shown(wait.what)) }
                }
                @for step in &waited {
                    li {
                        (named(step)) ": " (duration(step.waited_total())) " for a lock, "
                        (count(step.waits.last().map_or(0, |wait| wait.attempt as usize), "attempt", "attempts")) " without it"
                    }
                }
            }
            (blockers(&waited))
        }
    }
}

fn blockers(waited: &[&StepView<'_>]) -> Markup {
    let rows: Vec<_> = waited
        .iter()
        .flat_map(|step| step.blockers().into_iter().map(move |blocker| (step, blocker)))
        .collect();
    let head = ["Waiting", "In the way", "State", "Transaction open", "Last query"];
    html! {
        @if !rows.is_empty() {
            table {
                thead { tr { @for name in head { th scope="col" { (name) } } } }
                tbody {
                    @for (step, blocker) in rows {
                        tr {
                            td data-label="Waiting" { b.version { (Shown(&step.label())) } }
                            td data-label="In the way" {
                                (Shown(&blocker.application)) " "
                                span.small { "role " (Shown(&blocker.user)) ", process " (blocker.pid) }
                            }
                            td data-label="State" { (Shown(&blocker.state)) }
                            td data-label="Transaction open" { (seconds(blocker.transaction_seconds)) }
                            td data-label="Last query" { code { (escape::excerpt(&blocker.query, 200)) } }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn notices(digest: &Digest<'_>) -> Markup {
    let all: Vec<_> =
        digest.steps.iter().flat_map(|step| step.notices.iter().map(move |notice| (step, notice))).collect();
    if all.is_empty() {
        return html! {};
    }
    let body = html! {
        @for (step, notice) in all.iter().take(NOTICES) {
            tr {
                td data-label="Migration" { b.version { (Shown(&step.label())) } span.small { " line " (notice.line) } }
                td data-label="Severity" { (Shown(notice.severity)) " " code { (Shown(notice.code)) } }
                td data-label="Message" { (escape::excerpt(notice.message, 1_000)) }
            }
        }
        @if all.len() > NOTICES {
            tr { td colspan="3" { (grouped(all.len() - NOTICES)) " more are in the run's JSON." } }
        }
    };
    table("notices", "Notices of the server", &["Migration", "Severity", "Message"], &body)
}

pub(super) fn backups(digest: &Digest<'_>) -> Markup {
    if digest.backups.is_empty() {
        return html! {};
    }
    let body = html! {
        @for backup in &digest.backups {
            tr {
                td data-label="Stage" { (Shown(backup.stage)) }
                td data-label="Path" { code { (Shown(backup.path)) } }
                td data-label="Size" { @if let Some((size, _)) = backup.dump { (bytes(size)) } }
                td data-label="SHA-256" {
                    @if let Some((_, sha256)) = backup.dump { code.hash { (Shown(sha256)) } }
                }
                td data-label="Proof" { (backup.proof()) }
            }
        }
    };
    table("backups", "Backups", &["Stage", "Path", "Size", "SHA-256", "Proof"], &body)
}
