//! What statements take away for good: rows that they delete or change, and what goes along by CASCADE. Objects that they
//! drop by name are effects as any other.

use pg_query::NodeEnum;
use pg_query::protobuf::DropBehavior;

use super::{ObjectRef, effects};
use crate::sql::Parsed;

/// What statements take away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destroys {
    /// Tables whose rows they delete or change; those that they only add rows to are not among them.
    pub rows: Vec<ObjectRef>,
    /// They drop something with all that depends on it.
    pub cascades: bool,
}

/// What a text takes away. What code does that it runs is not seen.
pub fn destroys(parsed: &Parsed) -> Destroys {
    let only_adds = parsed.statements().all(only_adds);
    let rows = if only_adds { Vec::new() } else { effects(parsed).writes };
    Destroys { rows, cascades: parsed.statements().any(cascades) }
}

fn only_adds(statement: &NodeEnum) -> bool {
    match statement {
        // Another statement may stand in front, or an update behind a conflict.
        NodeEnum::InsertStmt(insert) => insert.with_clause.is_none() && insert.on_conflict_clause.is_none(),
        NodeEnum::CopyStmt(_) => true,
        _ => false,
    }
}

fn cascades(statement: &NodeEnum) -> bool {
    let cascade = DropBehavior::DropCascade;
    match statement {
        NodeEnum::DropStmt(drop) => drop.behavior() == cascade,
        NodeEnum::TruncateStmt(truncate) => truncate.behavior() == cascade,
        NodeEnum::DropOwnedStmt(_) => true,
        NodeEnum::AlterTableStmt(alter) => alter.cmds.iter().any(|command| {
            matches!(&command.node, Some(NodeEnum::AlterTableCmd(command)) if command.behavior() == cascade)
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::destroys;
    use crate::sql::parse;

    fn of(sql: &str) -> (Vec<String>, bool) {
        let found = destroys(&parse(sql).unwrap());
        (found.rows.iter().map(|table| table.name.to_string()).collect(), found.cascades)
    }

    #[test]
    fn rows_that_go_are_named_and_those_that_come_are_not() {
        assert_eq!(of("DELETE FROM a"), (vec!["a".to_owned()], false));
        assert_eq!(of("UPDATE a SET n = 1"), (vec!["a".to_owned()], false));
        assert_eq!(of("TRUNCATE a CASCADE"), (vec!["a".to_owned()], true));
        assert_eq!(of("INSERT INTO a VALUES (1)"), (Vec::new(), false));
        let changed = of("INSERT INTO a VALUES (1) ON CONFLICT (n) DO UPDATE SET n = 2");
        assert_eq!(changed, (vec!["a".to_owned()], false));
        assert_eq!(
            of("WITH d AS (DELETE FROM a RETURNING n) SELECT n FROM d"),
            (vec!["a".to_owned()], false)
        );
    }

    #[test]
    fn cascade_is_seen_where_something_is_dropped() {
        assert!(of("DROP TABLE a CASCADE").1);
        assert!(of("ALTER TABLE a DROP COLUMN n CASCADE").1);
        assert!(!of("DROP TABLE a").1);
        assert!(!of("ALTER TABLE a ADD FOREIGN KEY (n) REFERENCES b ON DELETE CASCADE").1);
    }
}
