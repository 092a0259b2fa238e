//! What needs what, what may run side by side, which index answers what, and which tables feed which.

use std::collections::BTreeMap;

use cutover_analysis::schema::Schema;
use cutover_postgres::session::{Failure, Session};
use serde::Serialize;
use serde_json::Value;

use super::checks::CheckNote;
use super::tables::is_table;
use crate::catalog;
use crate::erd;
use crate::report::graph::ProjectGraph;
use crate::verify::checks::explain::indexes_and_sorts;

/// The graph of the files.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct GraphNote {
    /// A Mermaid flowchart.
    pub(super) mermaid: String,
    /// Whether none needs another in a circle, or one that comes later.
    pub(super) in_order: bool,
    /// Everything else as `cutover graph --format json` has it: `edges`, `waves`, `alone`, `conflicts`, `outside` …
    #[serde(flatten)]
    pub(super) document: BTreeMap<String, Value>,
}

impl GraphNote {
    pub(super) fn of(graph: &ProjectGraph<'_>) -> Self {
        let document = match serde_json::to_value(graph.document()) {
            Ok(Value::Object(fields)) => fields.into_iter().collect(),
            _ => BTreeMap::new(),
        };
        Self { mermaid: graph.mermaid(), in_order: graph.is_in_order(), document }
    }

    /// The waves, by places of migrations.
    pub(super) fn waves(&self) -> Vec<Vec<usize>> {
        let list =
            |name: &str| self.document.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let labels = list("migrations");
        let place = |label: &Value| labels.iter().position(|known| known == label);
        let wave = |wave: &Value| wave.as_array().into_iter().flatten().filter_map(place).collect();
        list("waves").iter().map(wave).collect()
    }
}

/// Which index answers what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Coverage {
    pub(super) queries: Vec<QueryNote>,
    pub(super) foreign_keys: Vec<KeyNote>,
}

/// A query that a check of kind `explain` declares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct QueryNote {
    pub(super) name: String,
    pub(super) query: String,
    pub(super) expected: String,
    /// The indexes that the plan reads.
    pub(super) indexes: Vec<String>,
    pub(super) sorts: bool,
    /// The plan, or why there is none.
    pub(super) plan: String,
    pub(super) verdict: &'static str,
}

/// A foreign key: which table feeds which, and the index that leads from one to the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct KeyNote {
    pub(super) name: String,
    /// The table that refers.
    pub(super) table: String,
    pub(super) columns: Vec<String>,
    /// The table referred to.
    pub(super) to: String,
    pub(super) on_delete: String,
    pub(super) on_update: String,
    pub(super) validated: bool,
    /// A valid index of all rows that begins with these columns, the narrowest; none where there is none.
    pub(super) index: Option<String>,
    /// Where there is none: one that begins with one of them.
    pub(super) partly: Option<String>,
}

/// The declared queries, of the checklist.
pub(super) fn queries(items: &[CheckNote]) -> Vec<QueryNote> {
    let explained = items.iter().filter(|item| item.kind == "explain");
    let note = |item: &CheckNote| {
        let (indexes, sorts) = match item.verdict {
            "holds" | "false" => indexes_and_sorts(&item.found),
            _ => (Vec::new(), false),
        };
        QueryNote {
            name: item.name.clone(),
            query: item.query.trim_start_matches("EXPLAIN ").to_owned(),
            expected: item.expected.clone(),
            indexes,
            sorts,
            plan: item.found.clone(),
            verdict: item.verdict,
        }
    };
    explained.map(note).collect()
}

/// Foreign keys with the index that leads from the table referred to, by name of table and key. An index of some rows, or one
/// that is not valid, answers no question about all of them.
const KEYS: &str = "
SELECT n.nspname, c.relname, k.conname, rn.nspname, r.relname, k.confdeltype, k.confupdtype, k.convalidated,
       (SELECT string_agg(a.attname, E'\\x01' ORDER BY l.n) FROM unnest(k.conkey) WITH ORDINALITY AS l (att, n)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = l.att),
       (SELECT ic.relname FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am m ON m.oid = ic.relam
         WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL AND m.amname IN ('btree', 'hash')
           AND (SELECT array_agg(x ORDER BY x) FROM unnest((i.indkey::int2[])[0:cardinality(k.conkey) - 1]) x)
             = (SELECT array_agg(x ORDER BY x) FROM unnest(k.conkey) x)
         ORDER BY i.indnatts, ic.relname LIMIT 1),
       (SELECT ic.relname FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am m ON m.oid = ic.relam
         WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'
           AND (i.indkey::int2[])[0] = ANY (k.conkey)
         ORDER BY i.indnatts, ic.relname LIMIT 1)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0
 ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\", k.conname COLLATE \"C\"";

/// The foreign keys of these tables, measured.
pub(super) async fn foreign_keys(session: &mut Session, live: &Schema) -> Result<Vec<KeyNote>, Failure> {
    let [rows] = catalog::read_all(session, [KEYS]).await?;
    let mut notes = Vec::new();
    for row in rows {
        let mut fields = catalog::Fields::new(row);
        let (schema, table, name) = (fields.text(), fields.text(), fields.text());
        let to = (fields.text(), fields.text());
        let (on_delete, on_update) = (action(&fields.text()), action(&fields.text()));
        let validated = fields.flag();
        let columns = fields.text().split('\u{1}').map(str::to_owned).collect();
        let index = fields.optional();
        let partly = fields.optional().filter(|_| index.is_none());
        let is_here = |id: &cutover_analysis::schema::Id| {
            is_table(id) && id.schema.as_deref() == Some(schema.as_str()) && id.name == table.as_str()
        };
        let Some(id) = live.objects.keys().find(|id| is_here(id)) else { continue };
        let mut to_id = id.clone();
        (to_id.schema, to_id.name) = (Some(to.0.into()), to.1.into());
        let (table, to) = (erd::name(id), erd::name(&to_id));
        notes.push(KeyNote { name, table, columns, to, on_delete, on_update, validated, index, partly });
    }
    Ok(notes)
}

fn action(letter: &str) -> String {
    match letter {
        "c" => "CASCADE",
        "n" => "SET NULL",
        "d" => "SET DEFAULT",
        "r" => "RESTRICT",
        _ => "NO ACTION",
    }
    .to_owned()
}
