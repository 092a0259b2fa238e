//! What constraints and indexes are made over.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{Constraint, IndexStmt, Node};

use crate::effects::{names, walk};
use crate::sql::parse;

/// What a constraint or an index of a table is made over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Over {
    /// The columns of its own table that it mentions.
    pub columns: BTreeSet<String>,
    /// It says more than columns by their names: an expression or a condition, which is written otherwise over other types.
    pub is_computed: bool,
}

/// From a definition as catalogues have it: `UNIQUE (a)`, `CHECK (…)`, or of an index what follows its table, `USING btree (a)`.
/// Nothing where it cannot be read.
pub fn over(definition: &str) -> Option<Over> {
    let text = match definition.strip_prefix("USING ") {
        Some(_) => format!("CREATE INDEX ON t {definition}"),
        None => format!("ALTER TABLE t ADD {definition}"),
    };
    let parsed = parse(&text).ok()?;
    let found = match parsed.statements().next()? {
        NodeEnum::IndexStmt(index) => of_index(index),
        NodeEnum::AlterTableStmt(alter) => match alter.cmds.first()?.node.as_ref()? {
            NodeEnum::AlterTableCmd(command) => match command.def.as_deref()?.node.as_ref()? {
                NodeEnum::Constraint(constraint) => of_constraint(constraint),
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    };
    Some(found)
}

fn of_index(index: &IndexStmt) -> Over {
    let mut columns: BTreeSet<String> =
        walk::columns(&(&index.index_params, &index.where_clause)).iter().map(ToString::to_string).collect();
    let mut is_computed = index.where_clause.is_some();
    for node in index.index_params.iter().chain(&index.index_including_params) {
        if let Some(NodeEnum::IndexElem(element)) = node.node.as_ref() {
            is_computed |= element.expr.is_some();
            columns.extend(Some(element.name.clone()).filter(|name| !name.is_empty()));
        }
    }
    Over { columns, is_computed }
}

fn of_constraint(constraint: &Constraint) -> Over {
    let listed = |nodes: &[Node]| nodes.iter().filter_map(names::text).map(str::to_owned).collect::<Vec<_>>();
    let mut columns: BTreeSet<String> =
        walk::columns(&constraint.raw_expr).iter().map(ToString::to_string).collect();
    for nodes in [&constraint.keys, &constraint.fk_attrs, &constraint.including] {
        columns.extend(listed(nodes));
    }
    Over { columns, is_computed: constraint.raw_expr.is_some() }
}

#[cfg(test)]
mod tests {
    use super::over;

    #[test]
    fn columns_are_told_from_everything_else_that_has_a_name() {
        for (definition, columns, is_computed) in [
            ("UNIQUE (a, \"B c\")", vec!["B c", "a"], false),
            ("PRIMARY KEY (a) INCLUDE (b)", vec!["a", "b"], false),
            ("FOREIGN KEY (a) REFERENCES other(b) ON DELETE CASCADE", vec!["a"], false),
            ("CHECK (((a)::text <> 'b'::text) AND (lower(c) = d))", vec!["a", "c", "d"], true),
            ("USING btree (a varchar_pattern_ops, b DESC) INCLUDE (c)", vec!["a", "b", "c"], false),
            ("USING btree (lower((a)::text)) WHERE (b IS NOT NULL)", vec!["a", "b"], true),
            ("USING gin (a jsonb_path_ops) WITH (fastupdate='off')", vec!["a"], false),
        ] {
            let found = over(definition).unwrap_or_default();
            let names: Vec<&str> = found.columns.iter().map(String::as_str).collect();
            assert_eq!((names, found.is_computed), (columns, is_computed), "{definition}");
        }
        assert_eq!(over("what is that"), None);
    }
}
