//! The run's timeline as SVG: a bar a migration, from left to right in time. A run of more migrations than one can
//! read as rows is drawn in lanes, a stage a lane.

use std::time::Duration;

use maud::{Markup, html};

use super::super::digest::{Digest, Fate, Phase, StepView};
use super::super::escape;
use super::super::format::{bytes, count, duration};
use super::Shown;

/// Above this number of migrations that ran, lanes are drawn in place of rows.
const ROWS: usize = 60;
/// Migrations in one lane at most.
const LANE: usize = 100;

/// Geometry, in the SVG's own units; the page scales the whole.
const WIDTH: f64 = 1080.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 90.0;
const AXIS: f64 = 26.0;
const ROW: f64 = 22.0;
const HEADING: f64 = 24.0;

/// A piece of the picture.
struct Bar {
    from: Duration,
    to: Duration,
    class: &'static str,
    tooltip: String,
    waits: Vec<(Duration, Duration)>,
    units: Vec<Duration>,
}

/// A line of the picture: several bars in a lane, one in a row.
struct Row {
    stage: Option<String>,
    label: String,
    note: String,
    bars: Vec<Bar>,
}

pub(super) fn section(digest: &Digest<'_>) -> Markup {
    let ran = digest.steps.iter().filter(|step| step.started.is_some()).count();
    let rows = if ran > ROWS { lanes(digest) } else { rows(digest) };
    if rows.is_empty() || digest.took.is_zero() {
        return html! {};
    }
    let lanes = ran > ROWS;
    html! {
        section #timeline {
            h2 { "Timeline" }
            p.lead {
                (count(ran, "migration", "migrations")) " in " (duration(digest.took)) ". "
                @if lanes { "Each lane shows one stage or up to 100 migrations of it. " }
                "Point at a bar for its figures."
            }
            div.scroll { (picture(digest, &rows)) }
            (legend(&rows))
        }
    }
}

fn rows(digest: &Digest<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = other_phases(digest);
    rows.extend(work_around(digest));
    for step in &digest.steps {
        let Some(bar) = bar(digest, step) else { continue };
        rows.push(Row {
            stage: step.stage().map(|id| stage_title(digest, id)),
            label: format!("{} {}", step.label(), step.name()),
            note: step.took.map(duration).unwrap_or_default(),
            bars: vec![bar],
        });
    }
    rows.sort_by_key(|row| row.bars.first().map(|bar| bar.from));
    rows
}

fn lanes(digest: &Digest<'_>) -> Vec<Row> {
    let mut groups: Vec<(Option<&str>, Vec<&StepView<'_>>)> = Vec::new();
    for step in digest.steps.iter().filter(|step| step.started.is_some()) {
        let stage = step.stage();
        match groups.iter_mut().rev().find(|(id, members)| *id == stage && members.len() < LANE) {
            Some((_, members)) => members.push(step),
            None => groups.push((stage, vec![step])),
        }
    }
    let mut rows = other_phases(digest);
    rows.extend(work_around(digest));
    for (stage, members) in groups {
        let ends = (members.first().map(|step| step.label()), members.last().map(|step| step.label()));
        let range = format!("{} – {}", ends.0.unwrap_or_default(), ends.1.unwrap_or_default());
        let label = stage.map_or(range, |id| stage_title(digest, id));
        let note = count(members.len(), "file", "files");
        let bars = members.into_iter().filter_map(|step| bar(digest, step)).collect();
        rows.push(Row { stage: None, label, note, bars });
    }
    rows
}

fn stage_title(digest: &Digest<'_>, id: &str) -> String {
    let title =
        digest.stages.iter().find(|(stage, _)| stage.id == id).map_or("", |(stage, _)| stage.own_title());
    format!("{id} {title}").trim_end().to_owned()
}

fn bar(digest: &Digest<'_>, step: &StepView<'_>) -> Option<Bar> {
    let from = step.started?;
    let class = match step.fate {
        Fate::Applied | Fate::Recorded => "applied",
        Fate::Failed { .. } => "failed",
        _ => "open",
    };
    let mut facts = vec![step.fate.word().to_owned()];
    facts.extend(step.took.map(duration));
    facts.extend(step.statements.map(|n| count(n as usize, "statement", "statements")));
    facts.push(format!("began at {}", duration(from)));
    if !step.waits.is_empty() {
        facts.push(format!("{} for locks", duration(step.waited_total())));
    }
    let waits = step.waited();
    let tooltip = format!("{} {}: {}", step.label(), step.name(), facts.join(", "));
    Some(Bar {
        from,
        to: step.ended.unwrap_or(digest.took),
        class,
        tooltip,
        waits,
        units: step.units.clone(),
    })
}

fn other_phases(digest: &Digest<'_>) -> Vec<Row> {
    let waits = digest.runner_waits.iter().map(|Phase { from, to, what }| Row {
        stage: None,
        label: "another runner".to_owned(),
        note: duration(to.saturating_sub(*from)),
        bars: vec![Bar {
            from: *from,
            to: *to,
            class: "waiting",
            tooltip: format!("waiting for {what}: {}", duration(to.saturating_sub(*from))),
            waits: vec![(*from, *to)],
            units: Vec::new(),
        }],
    });
    let backups = digest.backups.iter().map(|backup| Row {
        stage: Some(stage_title(digest, backup.stage)),
        label: "backup".to_owned(),
        note: duration(backup.at.saturating_sub(backup.from)),
        bars: vec![Bar {
            from: backup.from,
            to: backup.at,
            class: "backup",
            tooltip: match backup.dump {
                Some((size, _)) => format!("backup of {}: {}", bytes(size), backup.path),
                None => format!("backup, not complete: {}", backup.path),
            },
            waits: Vec::new(),
            units: Vec::new(),
        }],
    });
    waits.chain(backups).collect()
}

/// What the run did besides migrating: reading and planning, figures, preconditions.
fn work_around(digest: &Digest<'_>) -> Vec<Row> {
    let row = |stage: Option<String>, label: String, class: &'static str, from: Duration, to: Duration| {
        let took = duration(to.saturating_sub(from));
        let tooltip = format!("{label}: {took}");
        let bars = vec![Bar { from, to, class, tooltip, waits: Vec::new(), units: Vec::new() }];
        Row { stage, label, note: took, bars }
    };
    let mut rows = Vec::new();
    // Waiting for another runner is shown by itself, and comes before the run begins.
    let planned = digest.planned.filter(|_| digest.runner_waits.is_empty());
    rows.extend(planned.map(|at| row(None, "reading and planning".to_owned(), "plan", Duration::ZERO, at)));
    for (id, phase) in &digest.measured {
        let step = digest.steps.iter().find(|step| Some(step.id) == *id);
        let stage = step.and_then(StepView::stage).map(|id| stage_title(digest, id));
        let before = step.map_or_else(String::new, |step| format!(" of {}", step.label()));
        rows.push(row(stage, format!("{}{before}", phase.what), "verify", phase.from, phase.to));
    }
    rows
}

/// Where rows and the bands of their stages lie.
struct Layout<'a> {
    /// Stage heading, top and height of each band.
    bands: Vec<(Option<&'a str>, f64, f64)>,
    /// Top of each row.
    tops: Vec<f64>,
    height: f64,
}

fn layout(rows: &[Row]) -> Layout<'_> {
    let (mut bands, mut tops): (Vec<(Option<&str>, f64, f64)>, _) = (Vec::new(), Vec::new());
    let mut y = AXIS;
    for (i, row) in rows.iter().enumerate() {
        let stage = row.stage.as_deref();
        let begins = i == 0 || rows.get(i - 1).is_none_or(|before| before.stage.as_deref() != stage);
        if begins {
            bands.push((stage, y, 0.0));
            y += if stage.is_some() { HEADING } else { 0.0 };
        }
        tops.push(y);
        y += ROW;
        if let Some(band) = bands.last_mut() {
            band.2 = y - band.1;
        }
    }
    Layout { bands, tops, height: y + 6.0 }
}

fn picture(digest: &Digest<'_>, rows: &[Row]) -> Markup {
    let layout = layout(rows);
    let whole = digest.took.as_secs_f64();
    let x = |at: Duration| LEFT + (WIDTH - LEFT - RIGHT) * (at.as_secs_f64() / whole).min(1.0);
    let bottom = layout.height - 6.0;
    html! {
        svg.timeline viewBox=(format!("0 0 {WIDTH} {:.0}", layout.height)) role="img"
            aria-label="Timeline of the run: a bar for each migration" {
            defs {
                pattern #hatch width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.hatch-ground width="6" height="6" {}
                    rect.hatch-line width="2.5" height="6" {}
                }
            }
            @for (i, (stage, top, height)) in layout.bands.iter().enumerate() {
                rect.band.even[i % 2 == 0] x="0" y=(px(*top)) width=(WIDTH) height=(px(*height)) {}
                @if let Some(stage) = stage {
                    text.stage x="8" y=(px(top + 16.5)) { (Shown(&escape::excerpt(stage, 60))) title { (Shown(stage)) } }
                }
            }
            @for (at, label) in ticks(digest.took) {
                line.grid x1=(px(x(at))) x2=(px(x(at))) y1=(AXIS - 6.0) y2=(px(bottom)) {}
                text.tick x=(px(x(at))) y=(AXIS - 11.0) { (label) }
            }
            @for (row, top) in rows.iter().zip(&layout.tops) {
                (line(row, *top, &x))
            }
        }
    }
}

fn line(row: &Row, top: f64, x: &impl Fn(Duration) -> f64) -> Markup {
    let indent = if row.stage.is_some() { 20.0 } else { 8.0 };
    let middle = px(top + 15.0);
    html! {
        text.label x=(indent) y=(middle) {
            (Shown(&escape::excerpt(&row.label, 34))) title { (Shown(&row.label)) }
        }
        @for bar in &row.bars {
            @let (from, to) = (x(bar.from), x(bar.to));
            g {
                title { (Shown(&bar.tooltip)) }
                rect class={ "bar " (bar.class) } x=(px(from)) y=(px(top + 4.0)) rx="2"
                    width=(px((to - from).max(if row.bars.len() > 1 { 0.8 } else { 2.0 }))) height="14" {}
                @for (from, to) in &bar.waits {
                    rect.wait x=(px(x(*from))) y=(px(top + 4.0)) rx="2" width=(px((x(*to) - x(*from)).max(2.0))) height="14" {}
                }
                @for unit in bar.units.iter().filter(|unit| **unit < bar.to) {
                    line.unit x1=(px(x(*unit))) x2=(px(x(*unit))) y1=(px(top + 4.0)) y2=(px(top + 18.0)) {}
                }
            }
        }
        @if let Some(bar) = row.bars.last() {
            // A note beside a bar that ends far to the right would leave the picture: it has its own margin there.
            text.note x=(px(x(bar.to) + 6.0)) y=(middle) { (row.note) }
        }
    }
}

/// A coordinate with one decimal.
pub(super) fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// Marks of the time axis: four to ten round times.
pub(super) fn ticks(whole: Duration) -> Vec<(Duration, String)> {
    let target = whole.as_secs_f64() / 8.0;
    let steps = [1.0, 2.0, 5.0];
    let minutes = [60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0];
    let decades = (-6..=1).flat_map(|power| steps.map(|step| step * 10_f64.powi(power)));
    let mut sizes = decades.filter(|size| *size < 60.0).chain(minutes);
    let size = sizes.find(|size| *size >= target).unwrap_or(target);
    let mut marks = Vec::new();
    for n in 0..16_u32 {
        let at = Duration::try_from_secs_f64(size * f64::from(n)).unwrap_or(Duration::MAX);
        if at > whole {
            break;
        }
        marks.push((at, round(at)));
    }
    marks
}

/// A round time without needless zeros: `0`, `200 ms`, `1.5 s`, `5 min`.
fn round(at: Duration) -> String {
    let seconds = at.as_secs_f64();
    if at.is_zero() {
        "0".to_owned()
    } else if seconds < 1.0 {
        format!("{} ms", (seconds * 1e6).round() / 1e3)
    } else if seconds < 120.0 {
        format!("{} s", (seconds * 1e3).round() / 1e3)
    } else {
        format!("{} min", (seconds / 6.0).round() / 10.0)
    }
}

fn legend(rows: &[Row]) -> Markup {
    let bars = || rows.iter().flat_map(|row| &row.bars);
    let kinds = [
        ("applied", "applied"),
        ("failed", "failed"),
        ("open", "end not recorded"),
        ("backup", "backup"),
        ("plan", "reading and planning"),
        ("verify", "measuring"),
    ];
    html! {
        ul.legend {
            @for (class, words) in kinds {
                @if bars().any(|bar| bar.class == class) { li { i class=(class) {} (words) } }
            }
            @if bars().any(|bar| !bar.waits.is_empty()) { li { i.wait {} "waiting for a lock" } }
            @if bars().any(|bar| bar.units.len() > 1) { li { i.unit {} "end of a part" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_a_few_round_marks() {
        let labels = |millis| ticks(Duration::from_millis(millis)).into_iter().map(|(_, label)| label);
        assert_eq!(labels(1_100).collect::<Vec<_>>(), ["0", "200 ms", "400 ms", "600 ms", "800 ms", "1 s"]);
        assert_eq!(
            labels(3).collect::<Vec<_>>(),
            ["0", "0.5 ms", "1 ms", "1.5 ms", "2 ms", "2.5 ms", "3 ms"]
        );
        assert_eq!(
            labels(1_500_000).collect::<Vec<_>>(),
            ["0", "5 min", "10 min", "15 min", "20 min", "25 min"]
        );
        for millis in [1, 7, 59_000, 61_000, 90_000_000, 40_000_000_000] {
            assert!((2..=16).contains(&labels(millis).count()), "{millis}");
        }
    }
}
