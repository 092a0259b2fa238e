//! What statements take away for good: rows that they delete or change, objects that they drop by name, values that they
//! compute anew, and what goes along by CASCADE; the same of the bodies of DO blocks. What else they run is named.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, DropBehavior};

use super::builder::Builder;
use super::model::ObjectKind;
use super::{Code, ObjectRef, bodies, names};
use crate::sql::Parsed;

/// What statements take away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destroys {
    /// Tables whose rows they delete or change; those that they only add rows to are not among them.
    pub rows: Vec<ObjectRef>,
    /// What they drop by name, also `IF EXISTS`.
    pub drops: Vec<ObjectRef>,
    /// Columns that they give a type: their values are computed anew.
    pub types: Vec<ObjectRef>,
    /// Those of them that stand under a condition: `IF EXISTS`, or in a block.
    pub perhaps: Vec<ObjectRef>,
    /// They drop something with all that depends on it.
    pub cascades: bool,
    /// What they run for each row that they find.
    pub runs: Code,
    /// What else they run of which nobody knows what it does, in words.
    pub unknown: Vec<String>,
}

impl Destroys {
    /// Of a statement that cannot be taken apart.
    pub fn unread(why: impl Into<String>) -> Self {
        Self { unknown: vec![why.into()], ..Self::default() }
    }
}

/// What a text takes away. Into functions that it calls it is not looked.
pub fn destroys(parsed: &Parsed) -> Destroys {
    let mut found = Destroys::default();
    parsed.statements().for_each(|node| add(node, &mut found));
    found
}

pub(super) fn add(node: &NodeEnum, found: &mut Destroys) {
    let mut within = Builder::default();
    super::statement(node, &mut within);
    let effects = within.finish();
    if !only_adds(node) {
        found.rows.extend(effects.writes);
    }
    found.cascades |= cascades(node);
    found.runs.add(node);
    match node {
        NodeEnum::DropStmt(_) | NodeEnum::DropdbStmt(_) => found.drops.extend(effects.drops),
        NodeEnum::AlterTableStmt(alter) => {
            let is_part =
                |object: &ObjectRef| matches!(object.kind, ObjectKind::Column | ObjectKind::Constraint);
            found.drops.extend(effects.drops.into_iter().filter(is_part));
            let Some(relation) = &alter.relation else { return };
            let table = names::relation(ObjectKind::Table, relation);
            for command in &alter.cmds {
                if let Some(NodeEnum::AlterTableCmd(command)) = &command.node
                    && command.subtype() == AlterTableType::AtAlterColumnType
                {
                    let column = names::part_of(ObjectKind::Column, &table, command.name.as_str());
                    found.perhaps.extend(alter.missing_ok.then(|| column.clone()));
                    found.types.push(column);
                }
            }
        }
        NodeEnum::DoStmt(block) => {
            let before = found.types.len();
            if let Err(why) = bodies::each_statement(block, &mut |node| add(node, found)) {
                found.unknown.push(why);
            }
            let types: Vec<_> = found.types.iter().skip(before).cloned().collect();
            found.perhaps.extend(types);
        }
        NodeEnum::DropOwnedStmt(_) | NodeEnum::ExecuteStmt(_) | NodeEnum::LoadStmt(_) => {
            found.unknown.extend(effects.opaque);
        }
        NodeEnum::CopyStmt(copy) if copy.is_program => found.unknown.extend(effects.opaque),
        _ => {}
    }
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
    fn what_goes_by_name_is_named_in_blocks_too() {
        let of = |sql: &str| {
            let found = destroys(&parse(sql).unwrap());
            let names = |list: &[super::ObjectRef]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
            (
                names(&found.drops),
                names(&found.types),
                found.rows.len(),
                names(&found.runs.calls),
                found.unknown.len(),
            )
        };
        let none = Vec::new;
        assert_eq!(
            of(
                "DROP TABLE IF EXISTS s.a; ALTER TABLE b DROP COLUMN IF EXISTS c, ALTER d TYPE text USING null"
            ),
            (
                vec!["table s.a".to_owned(), "column b.c".to_owned()],
                vec!["column b.d".to_owned()],
                0,
                none(),
                0
            )
        );
        // Another name is not dropped.
        assert_eq!(
            of("ALTER TABLE a RENAME TO b; ALTER TABLE b RENAME c TO d"),
            (none(), none(), 0, none(), 0)
        );
        assert_eq!(
            of(
                "DO $$ BEGIN IF true THEN DELETE FROM a; END IF; DROP TABLE b; EXECUTE 'DROP TABLE c'; END $$"
            ),
            (vec!["table b".to_owned(), "table c".to_owned()], none(), 1, none(), 0)
        );
        assert_eq!(of("DO $$ BEGIN EXECUTE 'del' || 'ete from ' || 't'; END $$").4, 1);
        assert_eq!(of("DO $$ BEGIN PERFORM wipe(); END $$").3, ["routine wipe"]);
        assert_eq!(of("SELECT app.wipe(), now(); CALL p(1)").3, ["routine app.wipe", "procedure p"]);
        assert_eq!(of("DO LANGUAGE plperl 'x'; EXECUTE q").4, 2);
    }

    #[test]
    fn cascade_is_seen_where_something_is_dropped() {
        assert!(of("DROP TABLE a CASCADE").1);
        assert!(of("ALTER TABLE a DROP COLUMN n CASCADE").1);
        assert!(!of("DROP TABLE a").1);
        assert!(!of("ALTER TABLE a ADD FOREIGN KEY (n) REFERENCES b ON DELETE CASCADE").1);
    }
}
