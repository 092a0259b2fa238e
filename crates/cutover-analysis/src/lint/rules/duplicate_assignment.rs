//! Columns that are named twice.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableType, Node};

use super::update_or_delete_without_where::every;
use super::{Look, Rule};
use crate::effects::names;
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::definition;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "duplicate-assignment",
        severity: Severity::Error,
        on: true,
        why: "A column that is named twice is refused when the statement runs.",
        safe: "name it once",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("UPDATE t SET a = 1, b = 2, a = 3 WHERE id = 1;"),
            Example::of("INSERT INTO t (a, b, A) VALUES (1, 2, 3);"),
            Example::of("CREATE TABLE t (a int, b int, a text);"),
            Example::of("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1, b = 2;"),
            Example::of("ALTER TABLE t ADD COLUMN a int, ADD COLUMN a int;"),
            Example::of("COPY t (a, b, a) FROM '/data/t.csv';"),
            Example::of("UPDATE t SET (a, b) = (1, 2), b = 3 WHERE id = 1;"),
            Example::of("WITH x AS (UPDATE t SET a = 1, a = 2 WHERE id = 1 RETURNING *) SELECT * FROM x;"),
            Example::of("MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET a = 1, a = 2;"),
        ],
        good: &[
            Example::of("UPDATE t SET a = 1, b = 2 WHERE id = 1;"),
            Example::of("UPDATE t SET a[1] = 1, a[2] = 2 WHERE id = 1;"),
            Example::of("UPDATE t SET p.x = 1, p.y = 2 WHERE id = 1;"),
            Example::of("INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET a = 1;"),
            Example::of("INSERT INTO t (\"a\", \"A\") VALUES (1, 2);"),
            Example::of("CREATE TABLE t (a int, CONSTRAINT a CHECK (a > 0));"),
            Example::of("ALTER TABLE t ADD COLUMN IF NOT EXISTS a int, ADD COLUMN IF NOT EXISTS a int;"),
            Example::of(
                "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED AND u.n > 1 THEN UPDATE SET a = 1 WHEN MATCHED THEN UPDATE SET a = 2;",
            ),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    every(site.node, &mut |node| {
        for list in lists(node) {
            let mut seen: Vec<&str> = Vec::new();
            for (name, location) in list {
                if seen.contains(&name) {
                    found.say_at(location, format!("the column {name} is named twice"));
                }
                seen.push(name);
            }
        }
    });
    let added = |(command, _): (&AlterTableCmd, _)| -> Option<String> {
        // With IF NOT EXISTS the second one is left out.
        let is_added = command.subtype() == AlterTableType::AtAddColumn && !command.missing_ok;
        match definition(command) {
            Some(NodeEnum::ColumnDef(column)) if is_added => Some(column.colname.clone()),
            _ => None,
        }
    };
    let mut names: Vec<String> = site.commands().filter_map(added).collect();
    names.sort();
    if let Some(name) = names
        .windows(2)
        .find_map(|pair| if let [one, other] = pair { (one == other).then_some(one) } else { None })
    {
        found.say(format!("the column {name} is added twice"));
    }
}

type Columns<'a> = Vec<(&'a str, i32)>;

/// The lists of columns in a statement in which each may stand once.
fn lists(node: &NodeEnum) -> Vec<Columns<'_>> {
    match node {
        NodeEnum::UpdateStmt(update) => vec![targets(&update.target_list)],
        NodeEnum::InsertStmt(insert) => {
            let set = insert.on_conflict_clause.as_deref().map(|clause| targets(&clause.target_list));
            [targets(&insert.cols)].into_iter().chain(set).collect()
        }
        NodeEnum::MergeStmt(merge) => {
            let clauses = merge.merge_when_clauses.iter().filter_map(|node| match node.node.as_ref()? {
                NodeEnum::MergeWhenClause(clause) => Some(targets(&clause.target_list)),
                _ => None,
            });
            clauses.collect()
        }
        NodeEnum::CopyStmt(copy) => {
            vec![copy.attlist.iter().filter_map(|node| Some((names::text(node)?, -1))).collect()]
        }
        NodeEnum::CreateStmt(create) => {
            let columns = create.table_elts.iter().filter_map(|node| match node.node.as_ref()? {
                NodeEnum::ColumnDef(column) => Some((column.colname.as_str(), column.location)),
                _ => None,
            });
            vec![columns.collect()]
        }
        _ => Vec::new(),
    }
}

/// Columns as wholes: fields and elements of one may be set one by one.
fn targets(nodes: &[Node]) -> Columns<'_> {
    fn target(node: &Node) -> Option<(&str, i32)> {
        match node.node.as_ref()? {
            NodeEnum::ResTarget(target) if target.indirection.is_empty() => {
                Some((&target.name, target.location))
            }
            _ => None,
        }
    }
    nodes.iter().filter_map(target).collect()
}
