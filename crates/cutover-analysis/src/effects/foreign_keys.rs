//! Foreign keys that statements put on tables that are there.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableStmt, AlterTableType, ConstrType};

use super::model::{ObjectKind, ObjectRef};
use super::{bodies, names};
use crate::sql::parse;

/// A foreign key that a table is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewForeignKey {
    /// The table.
    pub table: ObjectRef,
    /// Its columns.
    pub columns: Vec<String>,
    /// The table that they refer to.
    pub parent: ObjectRef,
    /// Its columns; none where it is the primary key.
    pub parent_columns: Vec<String>,
}

/// Those of the text of a statement, also in a block.
pub fn new_foreign_keys(sql: &str) -> Vec<NewForeignKey> {
    let mut keys = Vec::new();
    let Ok(parsed) = parse(sql) else { return keys };
    for node in parsed.statements() {
        match node {
            NodeEnum::AlterTableStmt(alter) => added(alter, &mut keys),
            NodeEnum::DoStmt(block) => {
                // What is put together at run time is in no text.
                let _ = bodies::each_statement(block, &mut |node| {
                    if let NodeEnum::AlterTableStmt(alter) = node {
                        added(alter, &mut keys);
                    }
                });
            }
            _ => {}
        }
    }
    keys
}

fn added(alter: &AlterTableStmt, keys: &mut Vec<NewForeignKey>) {
    let Some(table) = &alter.relation else { return };
    for command in &alter.cmds {
        let Some(NodeEnum::AlterTableCmd(command)) = &command.node else { continue };
        let constraint = command.def.as_ref().and_then(|def| def.node.as_ref());
        let (AlterTableType::AtAddConstraint, Some(NodeEnum::Constraint(constraint))) =
            (command.subtype(), constraint)
        else {
            continue;
        };
        if let (ConstrType::ConstrForeign, Some(parent)) = (constraint.contype(), &constraint.pktable) {
            let texts = |nodes: &[pg_query::protobuf::Node]| {
                nodes.iter().filter_map(names::text).map(ToString::to_string).collect()
            };
            keys.push(NewForeignKey {
                table: names::relation(ObjectKind::Table, table),
                columns: texts(&constraint.fk_attrs),
                parent: names::relation(ObjectKind::Table, parent),
                parent_columns: texts(&constraint.pk_attrs),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::new_foreign_keys;

    #[test]
    fn keys_that_tables_get_are_found() {
        let of = |sql: &str| {
            let keys = new_foreign_keys(sql);
            let shown = keys.iter().map(|key| {
                format!("{} {:?} {} {:?}", key.table, key.columns, key.parent, key.parent_columns)
            });
            shown.collect::<Vec<_>>()
        };
        let wanted = ["table s.c [\"a\", \"B\"] table p []"];
        let text = "ALTER TABLE s.c ADD CONSTRAINT k FOREIGN KEY (a, \"B\") REFERENCES p NOT VALID";
        assert_eq!(of(text), wanted);
        assert_eq!(of(&format!("DO $$ BEGIN {text}; END $$")), wanted);
        assert_eq!(
            of("ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES p (b)"),
            ["table c [\"a\"] table p [\"b\"]"]
        );
        assert_eq!(of("ALTER TABLE c ADD CHECK (a > 0)"), [""; 0]);
    }
}
