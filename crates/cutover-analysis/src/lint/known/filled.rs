//! What statements of a run put into tables: what a database says of them is not true any more.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, SelectStmt, SetOperation};

use super::Known;
use crate::effects::{Event, Name, ObjectKind, ObjectRef, is_harmless, names, walk};

impl Known {
    /// Learns what a statement puts into tables that were there, many times where it `repeats`.
    pub(super) fn fill(&mut self, node: &NodeEnum, repeats: bool) {
        let (relations, rows) = match node {
            NodeEnum::CopyStmt(copy) if copy.is_from => {
                let table = copy.relation.as_ref();
                (table.map(|table| names::relation(ObjectKind::Relation, table)).into_iter().collect(), None)
            }
            NodeEnum::InsertStmt(insert) if insert.with_clause.is_none() => {
                let rows = match insert.select_stmt.as_deref() {
                    // DEFAULT VALUES
                    None => Some(1),
                    Some(query) => self.most_rows(query),
                };
                (inserted(node), rows)
            }
            NodeEnum::InsertStmt(_)
            | NodeEnum::MergeStmt(_)
            | NodeEnum::SelectStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_) => (inserted(node), None),
            NodeEnum::CreateTableAsStmt(create) => (inserted(&create.query), None),
            NodeEnum::ExplainStmt(explain) => (inserted(&explain.query), None),
            NodeEnum::PrepareStmt(prepare) => (inserted(&prepare.query), None),
            _ => return,
        };
        let rows = rows.filter(|_| !repeats);
        for relation in relations {
            for base in self.shown_by(&relation) {
                let parts = self.context.descendants(&base);
                for table in std::iter::once(base).chain(parts) {
                    let known = self.filled.entry(table).or_insert(Some(0));
                    *known = known.zip(rows).map(|(before, more)| before.saturating_add(more));
                }
            }
        }
    }

    /// The tables whose rows a view shows, where the relation is one that is written through; itself otherwise.
    pub(crate) fn shown_by(&self, relation: &ObjectRef) -> Vec<Name> {
        let mut seen: Vec<Name> = vec![self.name_of(relation)];
        let mut shown = Vec::new();
        let mut at = 0;
        while let Some(name) = seen.get(at).cloned() {
            at += 1;
            let known = self.context.relations.get(&name);
            // What a trigger or rule makes of it is not known.
            let view = known.filter(|known| !known.reads.is_empty() && known.reactions.is_empty());
            let Some(view) = view else {
                shown.push(name);
                continue;
            };
            for read in &view.reads {
                if !seen.contains(read) {
                    seen.push(read.clone());
                }
            }
        }
        shown
    }

    /// How many rows a query gives at most, where that is known.
    fn most_rows(&self, query: &Node) -> Option<u64> {
        match query.node.as_ref()? {
            NodeEnum::SelectStmt(select) => self.most_rows_of(select),
            _ => None,
        }
    }

    fn most_rows_of(&self, select: &SelectStmt) -> Option<u64> {
        if !select.values_lists.is_empty() {
            return u64::try_from(select.values_lists.len()).ok();
        }
        if select.op() != SetOperation::SetopNone && select.op() != SetOperation::Undefined {
            let (left, right) = (select.larg.as_deref()?, select.rarg.as_deref()?);
            return Some(self.most_rows_of(left)?.saturating_add(self.most_rows_of(right)?));
        }
        // A function among them may give many rows.
        let mut called = walk::find(&select.target_list).called.into_iter();
        if called.any(|routine| MANY.contains(&routine.name.as_str()) || !is_harmless(&routine)) {
            return None;
        }
        match select.from_clause.as_slice() {
            [] => Some(1),
            [one] => match one.node.as_ref()? {
                NodeEnum::RangeSubselect(query) => self.most_rows(query.subquery.as_deref()?),
                NodeEnum::RangeVar(table) => {
                    let table = names::relation(ObjectKind::Relation, table);
                    let name = self.name_of(&table);
                    let is_whole = self.context.children(&name).next().is_none();
                    let size = self.facts.sizes.get(&name).filter(|_| is_whole)?;
                    self.filled
                        .get(&name)
                        .copied()
                        .unwrap_or(Some(0))
                        .map(|more| size.rows.saturating_add(more))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// PostgreSQL's own functions that give many rows.
const MANY: [&str; 8] = [
    "generate_series",
    "generate_subscripts",
    "unnest",
    "regexp_split_to_table",
    "regexp_matches",
    "string_to_table",
    "json_array_elements",
    "jsonb_array_elements",
];

/// The relations that a statement inserts rows into.
fn inserted(tree: &impl walk::Walk) -> Vec<ObjectRef> {
    let changes = walk::find(tree).changes.into_iter();
    changes.filter(|change| change.event == Event::Insert).map(|change| change.relation).collect()
}
