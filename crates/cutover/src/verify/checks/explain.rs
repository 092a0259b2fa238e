//! `explain`: a query is answered from an index and needs no sorting. Keys: `sql`, `index`, `no_sort` (true unless
//! said otherwise). The query is planned, never run.
//!
//! With few rows every planner prefers to read the whole table, so sequential and bitmap scans are made unattractive:
//! what is measured is whether the index *can* answer the query in order.

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use serde_json::Value;

use super::{Check, Input};
use crate::verify::in_psql::InPsql;
use crate::verify::measure::{Ctx, Measured, Measuring, Mode, Trouble, rolled_back};
use crate::verify::preview::Reads;
use crate::verify::statements;

#[derive(Debug)]
struct Explain {
    sql: String,
    index: String,
    no_sort: bool,
}

pub(super) fn read(input: &mut Input<'_>) -> Box<dyn Check> {
    let table = &mut *input.table;
    let sql = statements::require_one(table, "sql");
    let index = table.require_string("index");
    let no_sort = table.take_bool("no_sort").unwrap_or(true);
    Box::new(Explain { sql, index, no_sort })
}

/// What a plan shows.
#[derive(Debug, Default)]
struct Seen {
    nodes: Vec<String>,
    indexes: Vec<String>,
    sorts: bool,
}

impl Seen {
    fn read(&mut self, node: &Value) {
        let text = |key: &str| node.get(key).and_then(Value::as_str);
        let kind = text("Node Type").unwrap_or("?");
        self.sorts |= matches!(kind, "Sort" | "Incremental Sort");
        let index = text("Index Name");
        let on = index.or_else(|| text("Relation Name"));
        self.nodes.push(on.map_or_else(|| kind.to_owned(), |on| format!("{kind} on {on}")));
        self.indexes.extend(index.map(str::to_owned));
        for inner in node.get("Plans").and_then(Value::as_array).into_iter().flatten() {
            self.read(inner);
        }
    }
}

/// Between what is done first and what takes its rows from it.
const BETWEEN: &str = " ← ";

/// The indexes that a plan reads, and whether it sorts, from what was found.
pub(crate) fn indexes_and_sorts(found: &str) -> (Vec<String>, bool) {
    let mut indexes = Vec::new();
    let mut sorts = false;
    for node in found.split(BETWEEN) {
        sorts |= matches!(node, "Sort" | "Incremental Sort");
        if let Some((kind, on)) = node.split_once(" on ")
            && kind.contains("Index")
        {
            indexes.push(on.to_owned());
        }
    }
    (indexes, sorts)
}

impl Check for Explain {
    fn describe(&self) -> (String, String) {
        let sort = if self.no_sort { ", no sort" } else { "" };
        (format!("EXPLAIN {}", self.sql), format!("uses {}{sort}", self.index))
    }

    fn reads(&self) -> Reads {
        let mut reads = Reads::of(&self.sql);
        reads.objects.push(ObjectRef::new(ObjectKind::Index, None, self.index.as_str()));
        reads
    }

    fn in_psql(&self) -> Option<InPsql> {
        let Self { sql, index, no_sort } = self;
        Some(InPsql::Explained { sql: sql.clone(), index: index.clone(), no_sort: *no_sort })
    }

    fn measure<'a>(&'a self, ctx: &'a mut Ctx<'_>) -> Measuring<'a> {
        Box::pin(async move {
            let setup = ["SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off".to_owned()];
            let explain = format!("EXPLAIN (COSTS off, FORMAT JSON) {}", self.sql);
            let outcome =
                rolled_back(ctx.session, ctx.limits, Mode::ReadAsRole, &setup, &explain, &[]).await?;
            let done = outcome.result?;
            let text =
                done.rows.iter().filter_map(|row| row.first()?.as_deref()).collect::<Vec<_>>().join("\n");
            let plan: Value = serde_json::from_str(&text)
                .map_err(|error| Trouble(format!("the plan cannot be read: {error}")))?;
            let mut seen = Seen::default();
            for statement in plan.as_array().into_iter().flatten() {
                seen.read(statement.get("Plan").unwrap_or(&Value::Null));
            }
            let found = seen.nodes.join(BETWEEN);
            let right = seen.indexes.contains(&self.index) && !(self.no_sort && seen.sorts);
            Ok(vec![if right { Measured::holds(found) } else { Measured::wrong(found) }])
        })
    }
}
