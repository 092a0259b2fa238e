//! The diagram as SVG: a box a table with its columns, from left to right what refers to more, a line a foreign key.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};

use super::super::html::Shown;
use super::super::{escape, picture};
use crate::erd::{Erd, ErdReference, ErdTable};

/// Width of a box.
const WIDTH: f64 = 240.0;
/// Height of a line in it.
const LINE: f64 = 17.0;
/// Between boxes that stand side by side, and one below the other.
const APART: (f64, f64) = (70.0, 22.0);
/// Around everything.
const MARGIN: f64 = 10.0;
/// A column of boxes that is higher is divided.
const HIGHEST: f64 = 900.0;
/// Columns of a table that are drawn; the others are counted.
const COLUMNS: usize = 30;

/// A box with its place.
struct Placed<'a> {
    table: &'a ErdTable,
    left: f64,
    top: f64,
}

impl Placed<'_> {
    /// The middle of the line of a column; of the heading where it is not drawn.
    fn line_of(&self, column: Option<&String>) -> f64 {
        let at = self.table.columns.iter().take(COLUMNS).position(|known| Some(&known.name) == column);
        self.top + LINE * (at.map_or(0.5, |at| 1.7 + precise(at)))
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few boxes and lines")]
fn precise(number: usize) -> f64 {
    number as f64
}

fn height(table: &ErdTable) -> f64 {
    let lines = table.columns.len().min(COLUMNS) + usize::from(table.columns.len() > COLUMNS);
    LINE * (1.4 + precise(lines))
}

/// The picture as part of a page.
pub(in super::super) fn markup(erd: &Erd) -> Markup {
    svg(
        erd,
        None,
        "The tables that were touched: a line leads from each foreign key to the table it refers to",
    )
}

/// The picture as a file of its own.
pub(crate) fn file(erd: &Erd) -> String {
    let what = "Tables: a line leads from each foreign key to the table it refers to";
    format!("{}\n", svg(erd, Some("http://www.w3.org/2000/svg"), what).into_string())
}

fn svg(erd: &Erd, namespace: Option<&str>, what: &str) -> Markup {
    let (boxes, width, tall) = placed(erd);
    html! {
        svg.graph.erd xmlns=[namespace] height=[namespace.map(|_| format!("{tall:.0}"))] viewBox=(format!("0 0 {width:.0} {tall:.0}")) style=(format!("width:{width:.0}px")) role="img"
            aria-label=(what) {
            @if namespace.is_some() { style { (PreEscaped(picture::STYLE)) } }
            defs {
                marker #refers viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse" {
                    path.head d="M0 0L8 4L0 8z" {}
                }
            }
            @for from in boxes.values() {
                @for key in &from.table.references {
                    @if let Some(to) = boxes.get(key.to.as_str()) { (line(from, to, key)) }
                }
            }
            @for one in boxes.values() { (table(one)) }
        }
    }
}

fn table(placed: &Placed<'_>) -> Markup {
    let Placed { table, left, top } = placed;
    let class = if table.touched { "node" } else { "node opaque" };
    html! {
        g {
            title { (Shown(&table.name)) }
            rect class=(class) x=(px(*left)) y=(px(*top)) rx="5" width=(px(WIDTH)) height=(px(height(table))) {}
            text.stage x=(px(left + 8.0)) y=(px(top + LINE * 0.85)) { (Shown(&escape::excerpt(&table.name, 32))) }
            @for (at, column) in table.columns.iter().take(COLUMNS).enumerate() {
                text.label x=(px(left + 8.0)) y=(px(top + LINE * (2.0 + precise(at)))) {
                    @if column.primary { "◆ " }
                    (Shown(&escape::excerpt(&column.name, 20))) " "
                    tspan.soft { (Shown(&escape::excerpt(&short(&column.type_name), 20))) @if !column.not_null { " ?" } }
                }
            }
            @if table.columns.len() > COLUMNS {
                text.label x=(px(left + 8.0)) y=(px(top + LINE * (2.0 + precise(COLUMNS)))) { "… " (table.columns.len() - COLUMNS) " more" }
            }
        }
    }
}

/// From the left of the column to the right of the table it refers to.
fn line(from: &Placed<'_>, to: &Placed<'_>, key: &ErdReference) -> Markup {
    let start = (from.left, from.line_of(key.columns.first()));
    let end = (to.left + WIDTH, to.top + LINE * 0.6);
    let bend = if std::ptr::eq(from.table, to.table) { WIDTH / 3.0 } else { APART.0 * 0.8 };
    let path = format!(
        "M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
        start.0,
        start.1,
        start.0 - bend,
        start.1,
        end.0 + bend,
        end.1,
        end.0,
        end.1
    );
    html! {
        g {
            title { (Shown(&key.name)) ": " (Shown(&from.table.name)) " (" (Shown(&key.columns.join(", "))) ") → " (Shown(&key.to)) }
            path.grip d=(path) {}
            path.edge d=(path) marker-end="url(#refers)" {}
        }
    }
}

/// Where the boxes lie: what refers to nothing on the left, what refers to it right of it.
fn placed(erd: &Erd) -> (BTreeMap<&str, Placed<'_>>, f64, f64) {
    let mut layers: BTreeMap<usize, Vec<&ErdTable>> = BTreeMap::new();
    let depths = depths(erd);
    for table in &erd.tables {
        layers.entry(depths.get(table.name.as_str()).copied().unwrap_or_default()).or_default().push(table);
    }
    let mut boxes = BTreeMap::new();
    // Room for lines that bend around the outermost boxes.
    let (mut left, mut tallest) = (MARGIN + WIDTH / 3.0, 0.0_f64);
    for tables in layers.into_values() {
        let mut top = MARGIN;
        for table in tables {
            if top > MARGIN && top + height(table) > HIGHEST {
                left += WIDTH + APART.0;
                top = MARGIN;
            }
            boxes.insert(table.name.as_str(), Placed { table, left, top });
            top += height(table) + APART.1;
            tallest = tallest.max(top);
        }
        left += WIDTH + APART.0;
    }
    (boxes, (left - APART.0 + MARGIN + WIDTH / 3.0).max(500.0), tallest)
}

/// How many keys lead from each table to one that refers to nothing, at most; circles end at where they began.
fn depths(erd: &Erd) -> BTreeMap<&str, usize> {
    let mut depths: BTreeMap<&str, usize> = erd.tables.iter().map(|table| (table.name.as_str(), 0)).collect();
    for round in 0..erd.tables.len() {
        let mut moved = false;
        for table in &erd.tables {
            let others = table.references.iter().filter(|key| key.to != table.name);
            let deepest =
                others.filter_map(|key| depths.get(key.to.as_str())).max().map_or(0, |depth| depth + 1);
            // In a circle depths would grow for ever.
            if deepest > depths[table.name.as_str()] && deepest <= round + 1 {
                depths.insert(&table.name, deepest);
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    depths
}

/// A type by the name that people write.
fn short(type_name: &str) -> String {
    type_name
        .replace("character varying", "varchar")
        .replace("timestamp with time zone", "timestamptz")
        .replace("timestamp without time zone", "timestamp")
        .replace("double precision", "float8")
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}
