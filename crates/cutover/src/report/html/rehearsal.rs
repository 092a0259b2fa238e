//! A rehearsal as one page: who held which table when and who waited, what ran when, what was found and proven.

use std::time::Duration;

use maud::{Markup, html};

use super::super::escape;
use super::super::format::{count, duration};
use super::timeline::{px, ticks};
use super::{Shown, page};
use crate::lint::Severity;
use crate::rehearse::{Answer, Held, Proof, Rehearsal, Traced};

/// Tables and migrations that are drawn at most, those that hold up longest.
const ROWS: usize = 60;

/// Geometry, in the picture's own units.
const WIDTH: f64 = 1080.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 90.0;
const AXIS: f64 = 26.0;
const ROW: f64 = 22.0;

/// The rehearsal as a page.
pub fn html(rehearsal: &Rehearsal) -> String {
    let title = html! { (Shown(&rehearsal.project)) ": rehearsal" };
    let body = html! {
        (header(rehearsal))
        main {
            (failures(rehearsal))
            (locks(rehearsal))
            (gantt(rehearsal))
            (findings(rehearsal))
            (workload(rehearsal))
            @if let Some(proof) = &rehearsal.proof { (self::proof(proof)) }
            (statements(rehearsal))
            (disagreements(rehearsal))
        }
        footer { p { "Everything here was measured on a throwaway server. A mark stands only where a measurement stands behind it." } }
    };
    page(&title, "", &body)
}

fn header(rehearsal: &Rehearsal) -> Markup {
    let failed = rehearsal.failed();
    let errors = rehearsal.blocking(&[]).count();
    let is_clean = rehearsal.is_clean(&[]);
    let ground = &rehearsal.ground;
    html! {
        header class=(if is_clean { "good" } else { "bad" }) {
            p.kicker { "Rehearsal" }
            div.title {
                h1 { (Shown(&rehearsal.project)) }
                span.outcome { (if is_clean { "nothing stands in the way" } else { "not as it is" }) }
            }
            p.sentence {
                (count(rehearsal.migrations.len(), "migration", "migrations")) " in " (duration(rehearsal.took)) ", "
                (failed) " failed, " (count(errors, "finding", "findings")) " that would stop a run."
            }
            dl.facts {
                @if let Some(database) = &rehearsal.database { (super::fact("Schema of", &html! { code { (Shown(database)) } })) }
                (super::fact("Server", &html! { "PostgreSQL " (Shown(&rehearsal.server_version)) }))
                (super::fact("Tables", &html! { (ground.tables) }))
                (super::fact("Rows", &html! { (ground.rows) }))
            }
            @if !ground.remarks.is_empty() || !ground.left_out.is_empty() {
                details.remarks open {
                    summary { "Remarks" }
                    ul {
                        @for remark in &ground.remarks { li { (Shown(remark)) } }
                        @for left_out in &ground.left_out {
                            li { "left out: " code { (Shown(&left_out.what)) } ": " (Shown(&left_out.why)) }
                        }
                    }
                }
            }
        }
    }
}

fn failures(rehearsal: &Rehearsal) -> Markup {
    let failed: Vec<_> =
        rehearsal.migrations.iter().filter_map(|traced| Some((traced, traced.failure.as_ref()?))).collect();
    html! {
        @if !failed.is_empty() {
            section #failed .panel.bad {
                h2 { (count(failed.len(), "migration", "migrations")) " cannot be applied" }
                ul {
                    @for (traced, failed) in failed {
                        li {
                            code { (Shown(&traced.path)) ":" (failed.line) } " " (Shown(&failed.message))
                            @if let Some(hint) = &failed.hint { " (" (Shown(hint)) ")" }
                        }
                    }
                }
            }
        }
    }
}

/// The class of a lock's colour.
fn class(held: &Held) -> &'static str {
    match (held.blocks_reads(), held.blocks_writes()) {
        (true, _) => "all",
        (_, true) => "writes",
        _ => "mild",
    }
}

/// Tables with the locks that others may wait for, each with its migration.
fn held_tables(rehearsal: &Rehearsal) -> Vec<(&str, Vec<(&Traced, &Held)>)> {
    let mut tables: Vec<(&str, Vec<(&Traced, &Held)>)> = Vec::new();
    for traced in &rehearsal.migrations {
        let wanted = |held: &&Held| held.holds_up() || (held.is_table && held.waiting.is_some());
        for held in traced.locks.iter().filter(wanted) {
            match tables.iter_mut().find(|(table, _)| *table == held.relation) {
                Some((_, list)) => list.push((traced, held)),
                None => tables.push((&held.relation, vec![(traced, held)])),
            }
        }
    }
    let took = |list: &[(&Traced, &Held)]| list.iter().map(|(_, held)| held.took()).sum::<Duration>();
    if tables.len() > ROWS {
        tables.sort_by_key(|(_, list)| std::cmp::Reverse(took(list)));
        tables.truncate(ROWS);
        tables.sort_by_key(|(_, list)| list.first().map(|(_, held)| held.from));
    }
    tables
}

/// When clients waited for a table, on the axis of the traced pass.
fn ticks_of(rehearsal: &Rehearsal, table: &str) -> Vec<(Duration, String)> {
    let felt =
        rehearsal.workload.iter().flat_map(|workload| &workload.felt).filter(|felt| felt.table == table);
    felt.flat_map(|felt| felt.blocked.iter().map(move |blocked| (felt, blocked)))
        .filter_map(|(felt, blocked)| {
            let traced = rehearsal.migrations.iter().find(|traced| traced.path == blocked.during)?;
            let what = if felt.writes { "a client that writes" } else { "a client that reads" };
            let words = format!("{what} waited {} during {}", duration(blocked.took), blocked.during);
            Some(((traced.from + blocked.since).min(traced.to), words))
        })
        .collect()
}

fn locks(rehearsal: &Rehearsal) -> Markup {
    let tables = held_tables(rehearsal);
    if tables.is_empty() || rehearsal.took.is_zero() {
        return html! {};
    }
    let any = |wanted: &str| tables.iter().flat_map(|(_, list)| list).any(|(_, held)| class(held) == wanted);
    let waits = tables.iter().flat_map(|(_, list)| list).any(|(_, held)| held.waiting.is_some());
    let blocked = tables.iter().any(|(table, _)| !ticks_of(rehearsal, table).is_empty());
    html! {
        section #locks {
            h2 { "Locks" }
            p.lead { "Tables that were there before, and for how long each was held so that somebody has to wait. Point at a bar for its figures." }
            div.scroll { (lock_picture(rehearsal, &tables)) }
            ul.legend {
                @if any("all") { li { i.all {} "nobody reads or writes" } }
                @if any("writes") { li { i.writes {} "nobody writes" } }
                @if any("mild") { li { i.mild {} "reads and writes go on" } }
                @if waits { li { i.wait {} "waits for whoever uses the table" } }
                @if blocked { li { i.unit {} "a client waited here" } }
            }
        }
    }
}

fn lock_picture(rehearsal: &Rehearsal, tables: &[(&str, Vec<(&Traced, &Held)>)]) -> Markup {
    let rows: Vec<(String, Markup)> = tables
        .iter()
        .enumerate()
        .map(|(n, (table, list))| {
            let top = AXIS + ROW * row_number(n);
            let x = |at: Duration| x(rehearsal.took, at);
            let bars = html! {
                @for (traced, held) in list { (lock_bar(traced, held, top, &x)) }
                @for (at, words) in ticks_of(rehearsal, table) {
                    g {
                        title { (Shown(&words)) }
                        line.blocked x1=(px(x(at))) x2=(px(x(at))) y1=(px(top + 1.0)) y2=(px(top + 21.0)) {}
                    }
                }
            };
            ((*table).to_owned(), bars)
        })
        .collect();
    picture(rehearsal.took, "Locks: a bar for each table while it is held", &rows)
}

fn lock_bar(traced: &Traced, held: &Held, top: f64, x: &dyn Fn(Duration) -> f64) -> Markup {
    let words = format!(
        "{} on {} for {}: {} line {}",
        held.mode.sql(),
        held.relation,
        duration(held.took()),
        traced.path,
        held.line
    );
    let width = |from: Duration, to: Duration| px((x(to) - x(from)).max(2.0));
    html! {
        g {
            title { (Shown(&words)) }
            rect class={ "bar lock " (class(held)) } x=(px(x(held.from))) y=(px(top + 4.0)) rx="2"
                width=(width(held.from, held.to)) height="14" {}
            @if let Some(waiting) = held.waiting {
                rect.wait x=(px(x(waiting.from))) y=(px(top + 4.0)) rx="2" width=(width(waiting.from, waiting.to)) height="14" {}
            }
        }
    }
}

fn gantt(rehearsal: &Rehearsal) -> Markup {
    let mut shown: Vec<&Traced> = rehearsal.migrations.iter().collect();
    if shown.len() > ROWS {
        shown.sort_by_key(|traced| {
            (traced.failure.is_none(), std::cmp::Reverse(traced.to.saturating_sub(traced.from)))
        });
        shown.truncate(ROWS);
        shown.sort_by_key(|traced| traced.from);
    }
    if shown.is_empty() || rehearsal.took.is_zero() {
        return html! {};
    }
    let rows: Vec<(String, Markup)> = shown
        .iter()
        .enumerate()
        .map(|(n, traced)| {
            let top = AXIS + ROW * row_number(n);
            (
                traced.path.rsplit('/').next().unwrap_or(&traced.path).to_owned(),
                gantt_bar(rehearsal.took, traced, top),
            )
        })
        .collect();
    html! {
        section #timeline {
            h2 { "What ran when" }
            p.lead {
                (count(rehearsal.migrations.len(), "migration", "migrations")) " in " (duration(rehearsal.took))
                @if shown.len() < rehearsal.migrations.len() { "; those that failed, and the longest" }
                ". Marks divide statements."
            }
            div.scroll { (picture(rehearsal.took, "Timeline: a bar for each migration", &rows)) }
        }
    }
}

fn gantt_bar(whole: Duration, traced: &Traced, top: f64) -> Markup {
    let class = if traced.failure.is_some() { "failed" } else { "applied" };
    let took = traced.to.saturating_sub(traced.from);
    let words = format!(
        "{}: {}, {}",
        traced.path,
        count(traced.statements.len(), "statement", "statements"),
        duration(took)
    );
    let (from, to) = (x(whole, traced.from), x(whole, traced.to));
    html! {
        g {
            title { (Shown(&words)) }
            rect class={ "bar " (class) } x=(px(from)) y=(px(top + 4.0)) rx="2" width=(px((to - from).max(2.0))) height="14" {}
            @for statement in traced.statements.iter().skip(1).take(200) {
                line.unit x1=(px(x(whole, statement.from))) x2=(px(x(whole, statement.from))) y1=(px(top + 4.0)) y2=(px(top + 18.0)) {}
            }
        }
        text.note x=(px(to + 6.0)) y=(px(top + 15.0)) { (duration(took)) }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a handful of rows")]
fn row_number(n: usize) -> f64 {
    n as f64
}

fn x(whole: Duration, at: Duration) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * (at.as_secs_f64() / whole.as_secs_f64()).min(1.0)
}

fn picture(whole: Duration, label: &str, rows: &[(String, Markup)]) -> Markup {
    let bottom = AXIS + ROW * row_number(rows.len());
    html! {
        svg.timeline viewBox=(format!("0 0 {WIDTH} {:.0}", bottom + 6.0)) role="img" aria-label=(label) {
            defs {
                pattern #hatch width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.hatch-ground width="6" height="6" {}
                    rect.hatch-line width="2.5" height="6" {}
                }
            }
            @for (n, _) in rows.iter().enumerate() {
                rect.band.even[n % 2 == 0] x="0" y=(px(AXIS + ROW * row_number(n))) width=(WIDTH) height=(ROW) {}
            }
            @for (at, label) in ticks(whole) {
                line.grid x1=(px(x(whole, at))) x2=(px(x(whole, at))) y1=(AXIS - 6.0) y2=(px(bottom)) {}
                text.tick x=(px(x(whole, at))) y=(AXIS - 11.0) { (label) }
            }
            @for (n, (label, bars)) in rows.iter().enumerate() {
                text.label x="8" y=(px(AXIS + ROW * row_number(n) + 15.0)) {
                    (Shown(&escape::excerpt(label, 34))) title { (Shown(label)) }
                }
                (bars)
            }
        }
    }
}

fn findings(rehearsal: &Rehearsal) -> Markup {
    html! {
        @if !rehearsal.findings.is_empty() {
            section #findings {
                h2 { "Findings" }
                table {
                    thead { tr { th scope="col" { "Where" } th scope="col" { "Finding" } th scope="col" { "Measured" } th scope="col" { "What to do" } } }
                    tbody {
                        @for finding in &rehearsal.findings {
                            @let found = &finding.found;
                            tr {
                                td data-label="Where" { code { @for part in found.path.split_inclusive('/') { wbr; (Shown(part)) } ":" (found.line) } }
                                td data-label="Finding" {
                                    span class={ "badge " (if found.severity == Severity::Error { "bad" } else { "warn" }) } { (Shown(&found.code)) }
                                    " " (Shown(&found.message))
                                }
                                td data-label="Measured" { (Shown(finding.measured.as_deref().unwrap_or("–"))) }
                                td data-label="What to do" { (Shown(&found.help)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn workload(rehearsal: &Rehearsal) -> Markup {
    let Some(workload) = rehearsal.workload.as_ref().filter(|workload| !workload.felt.is_empty()) else {
        return html! {};
    };
    html! {
        section #workload {
            h2 { "What clients felt" }
            p.lead { "One client that reads and one that writes for each table, at work while the migrations ran once more. Waits above " (duration(workload.limit)) " count." }
            @if !workload.failed.is_empty() {
                ul { @for failed in &workload.failed { li { "failed with clients at work: " (Shown(failed)) } } }
            }
            table {
                thead { tr { th scope="col" { "Client" } th scope="col" { "Statements" } th scope="col" { "Longest" } th scope="col" { "Blocked" } th scope="col" { "Errors" } } }
                tbody {
                    @for felt in &workload.felt {
                        tr {
                            td data-label="Client" { (if felt.writes { "writes " } else { "reads " }) code { (Shown(&felt.table)) } }
                            td.number data-label="Statements" { (felt.statements) }
                            td.number data-label="Longest" { (duration(felt.longest)) }
                            td data-label="Blocked" {
                                @for blocked in felt.blocked.iter().take(5) {
                                    div { (duration(blocked.took)) " during " code { (Shown(&blocked.during)) } }
                                }
                            }
                            td data-label="Errors" {
                                @for hurt in &felt.errors {
                                    div { (hurt.times) "× " (Shown(&hurt.message)) " since " code { (Shown(&hurt.during)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn answer(answer: &Answer) -> Markup {
    match answer {
        Answer::Yes => html! { span.badge.good { "yes" } },
        Answer::No(why) => html! { span.badge.bad { "no" } " " (Shown(why)) },
        Answer::NotMeasured(why) => html! { span.badge.warn { "not measured" } " " (Shown(why)) },
        Answer::NotAsked => html! { "–" },
    }
}

fn proof(proof: &Proof) -> Markup {
    html! {
        section #proof {
            h2 { "Proven" }
            ul {
                @for differs in &proof.differs { li { (Shown(differs)) } }
                @for not_proven in &proof.not_proven { li { "not proven: " (Shown(not_proven)) } }
                @for unresolved in &proof.unresolved {
                    li {
                        code { (Shown(&unresolved.routine)) } " " (Shown(&unresolved.message))
                        @if !unresolved.is_new { " (so before the migrations)" }
                    }
                }
            }
            table {
                thead { tr { th scope="col" { "Migration" } th scope="col" { "Rolled back, nothing is left" } th scope="col" { "Can be reverted" } th scope="col" { "The same again" } } }
                tbody {
                    @for proven in &proof.migrations {
                        tr {
                            td data-label="Migration" { code { (Shown(&proven.path)) } }
                            td data-label="Rolled back" { (answer(&proven.rolled_back)) }
                            td data-label="Reverted" { (answer(&proven.reverted)) }
                            td data-label="Again" { (answer(&proven.again)) }
                        }
                    }
                }
            }
        }
    }
}

/// What each statement did, folded.
fn statements(rehearsal: &Rehearsal) -> Markup {
    html! {
        section #statements {
            h2 { "Statement by statement" }
            @for traced in &rehearsal.migrations {
                details {
                    summary { code { (Shown(&traced.path)) } " " (duration(traced.to.saturating_sub(traced.from))) }
                    table {
                        tbody {
                            @for statement in &traced.statements {
                                tr {
                                    td.number data-label="Line" { (statement.line) }
                                    td data-label="Statement" { code { (Shown(&statement.text)) } }
                                    td data-label="Did" {
                                        @for (what, list) in [("makes", &statement.created), ("changes", &statement.altered), ("drops", &statement.dropped)] {
                                            @for object in list.iter().take(20) { div { (what) " " (Shown(&object.kind)) " " code { (Shown(&object.name)) } } }
                                        }
                                        @for taken in &statement.locks { div { (taken.mode.sql()) " on " code { (Shown(&taken.relation)) } } }
                                        @for table in &statement.rewritten { div { "writes " code { (Shown(table)) } " anew" } }
                                        @for table in &statement.scanned { div { "reads all of " code { (Shown(table)) } } }
                                    }
                                    td.number data-label="Took" { (duration(statement.to.saturating_sub(statement.from))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn disagreements(rehearsal: &Rehearsal) -> Markup {
    html! {
        @if !rehearsal.disagreements.is_empty() {
            section #disagreements .panel.warn {
                h2 { "Not foreseen by cutover's own analysis" }
                ul {
                    @for one in &rehearsal.disagreements {
                        li { code { (Shown(&one.path)) ":" (one.line) } " " (Shown(&one.what)) }
                    }
                }
            }
        }
    }
}
