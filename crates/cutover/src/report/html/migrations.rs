//! The table of migrations in the order they run, with what each does.

use maud::{Markup, html};

use super::super::digest::{Digest, Fate, Objects, StepView, bare, objects, parts_in_words};
use super::super::format::{count, duration, grouped, utc};
use super::Shown;
use super::sections::{class, mark, named};
use crate::plan::Step;

/// With more migrations than this, those applied by earlier runs are only counted.
const LISTED: usize = 1_500;
/// Objects named in a row before the rest is folded.
const OBJECTS: usize = 12;

pub(super) fn section(digest: &Digest<'_>) -> Markup {
    let before = |step: &StepView<'_>| matches!(step.fate, Fate::AppliedBefore { .. });
    let folded = digest.steps.len() > LISTED;
    let hidden = if folded { digest.steps.iter().filter(|step| before(step)).count() } else { 0 };
    html! {
        section #migrations {
            h2 { "Migrations" }
            @if digest.steps.is_empty() {
                p.lead { "The project has no migrations." }
            } @else {
                p.lead {
                    (count(digest.steps.len(), "migration", "migrations")) " in order of execution."
                    @if hidden > 0 { " " (grouped(hidden)) " applied by earlier runs are not listed." }
                }
                table.migrations {
                    thead { tr {
                        th.number scope="col" { "#" } th scope="col" { "Migration" }
                        @if !digest.stages.is_empty() { th scope="col" { "Stage" } }
                        th scope="col" { "Does" } th.number scope="col" { "Statements" } th.number scope="col" { "Took" }
                        th.number scope="col" { "Attempts" } th scope="col" { "State" }
                    } }
                    tbody {
                        @for (i, step) in digest.steps.iter().enumerate().filter(|(_, step)| !(folded && before(step))) {
                            (row(digest, i + 1, step))
                        }
                    }
                }
            }
        }
    }
}

fn row(digest: &Digest<'_>, order: usize, step: &StepView<'_>) -> Markup {
    html! {
        tr class=(class(step.fate)) {
            td.number data-label="#" { (order) }
            td data-label="Migration" {
                (named(step))
                div.small.path { @if digest.several_roots && step.step.is_none() { (Shown(&step.id.root)) } (Shown(step.path())) }
            }
            @if !digest.stages.is_empty() { td data-label="Stage" { (Shown(step.stage().unwrap_or_default())) } }
            td data-label="Does" { @if let Some(planned) = step.step { (does(planned, &step.parts_lines())) } }
            td.number data-label="Statements" { @if let Some(n) = step.statements() { (n) } }
            td.number data-label="Took" { @if let Some(took) = step.took { (duration(took)) } }
            td.number data-label="Attempts" { @if let Some(n) = step.attempts { (n) } }
            td data-label="State" {
                span class={ "badge " (class(step.fate)) } { (mark(step.fate)) " " (step.fate.word()) }
                @if let Fate::AppliedBefore { at_micros } = step.fate { div.small { (utc(at_micros)) } }
            }
        }
    }
}

fn does(step: &Step, units: &[String]) -> Markup {
    let Objects { creates, parts, alters, references, writes, drops, renames, claimed } = objects(step);
    let parts = parts_in_words(parts);
    let kinds = [
        ("+", "creates", creates),
        ("~", "alters", alters),
        ("→", "renames", renames),
        ("−", "drops", drops),
    ];
    let all =
        || kinds.iter().flat_map(|(sign, verb, names)| names.iter().map(move |name| (sign, verb, name)));
    let named = |names: &[String]| names.iter().map(|name| bare(name)).collect::<Vec<_>>().join(", ");
    let total: usize = kinds.iter().map(|(_, _, names)| names.len()).sum();
    html! {
        @if total > 0 {
            ul.objects {
                @for (sign, verb, name) in all().take(OBJECTS) {
                    li { i title=(verb) { (sign) } " " (Shown(name)) }
                }
            }
            @if total > OBJECTS {
                details { summary { (grouped(total - OBJECTS)) " more" }
                    ul.objects { @for (sign, verb, name) in all().skip(OBJECTS) { li { i title=(verb) { (sign) } " " (Shown(name)) } } }
                }
            }
        }
        @if !parts.is_empty() {
            details { summary { "with " (parts) }
                ul.objects { @for name in &step.parts { li { i title="creates" { "+" } " " (Shown(name)) } } }
            }
        }
        @if !references.is_empty() { div.small { "references " (Shown(&named(references))) } }
        @if !writes.is_empty() { div.small { "writes " (Shown(&named(writes))) } }
        @if claimed && (total > 0 || !step.state.will_run()) { div.small { @if total > 0 { "as claimed; " } "the file was not read" } }
        @if let Some(why) = &step.opaque { div.small { "not fully known: " (Shown(why)) } }
        @for unit in units { div.small { (Shown(unit)) } }
        @if let Some(source) = &step.claims.source { div.small { "from " code { (Shown(source)) } } }
        @if let Some(task) = &step.claims.task { div.small { (Shown(task)) } }
    }
}
