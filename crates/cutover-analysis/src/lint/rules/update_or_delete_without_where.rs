//! `UPDATE` and `DELETE` of every row.

use pg_query::NodeEnum;
use pg_query::protobuf::{CmdType, InsertStmt, MergeMatchKind, MergeStmt, Node, OnConflictAction, RangeVar};

use super::{Look, Rule};
use crate::effects::{ObjectKind, is_option_set, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::security;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "update-or-delete-without-where",
        severity: Severity::Error,
        on: true,
        why: "Every row is written or deleted at once: each is locked to the end, and the table grows by as much again.",
        safe: "a WHERE, and batches outside the migration",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("UPDATE users SET active = true;"),
            Example::of("DELETE FROM app.users;"),
            Example::of("UPDATE users SET a = 1 WHERE true;"),
            Example::of("DELETE FROM users WHERE 1 = 1;"),
            Example::of(
                "WITH gone AS (DELETE FROM users RETURNING *) INSERT INTO old_users SELECT * FROM gone;",
            ),
            Example::of("ALTER TABLE users ADD COLUMN a int; UPDATE users SET a = 0;"),
            Example::of("UPDATE users SET team = teams.id FROM teams;"),
            Example::of("DO $$ BEGIN UPDATE users SET a = 1; END $$;"),
            Example::of("DELETE FROM users WHERE id = id;"),
            Example::of("EXPLAIN ANALYZE DELETE FROM users;"),
            Example::of("PREPARE clear AS DELETE FROM users; EXECUTE clear;"),
            Example::of("COPY (DELETE FROM users RETURNING *) TO STDOUT;"),
            Example::of("CREATE VIEW v AS SELECT * FROM users; DELETE FROM v;"),
            Example::of("MERGE INTO users USING teams ON true WHEN MATCHED THEN DELETE;"),
            Example::of(
                "MERGE INTO users u USING users v ON u.id = v.id WHEN MATCHED THEN UPDATE SET a = 1;",
            ),
            Example::of("INSERT INTO users SELECT id, 0 FROM users ON CONFLICT (id) DO UPDATE SET a = 0;"),
        ],
        good: &[
            Example::of("UPDATE users SET active = true WHERE id = 1;"),
            Example::of("DELETE FROM users WHERE gone;"),
            Example::of("CREATE TABLE t (n int); UPDATE t SET n = 1;"),
            Example::of("DELETE FROM pg_temp.t;"),
            Example::of("CREATE TEMP TABLE t (n int); UPDATE t SET n = 1;"),
            Example::of("UPDATE users SET a = 1;")
                .over("CREATE TABLE users (a int);")
                .with_empty(&["public.users"]),
            Example::of("INSERT INTO users VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1;"),
            Example::of("SELECT * FROM users FOR UPDATE;"),
            Example::of("EXPLAIN DELETE FROM users;"),
            Example::of(
                "PREPARE clear AS DELETE FROM users; DEALLOCATE clear; PREPARE clear AS SELECT 1; EXECUTE clear;",
            ),
            Example::of("MERGE INTO users u USING gone g ON u.id = g.id WHEN MATCHED THEN DELETE;"),
            Example::of(
                "MERGE INTO users u USING users v ON u.id = v.id WHEN MATCHED AND v.gone THEN DELETE;",
            ),
            Example::of(
                "INSERT INTO users SELECT id, 0 FROM new_users ON CONFLICT (id) DO UPDATE SET a = 0;",
            ),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'DELETE FROM users';"),
            Example::of("CREATE RULE r AS ON DELETE TO v DO INSTEAD DELETE FROM users;"),
        ],
    },
    look: Look::Statement(look),
};

/// What is done to the rows.
const WRITTEN: &str = "written";
const DELETED: &str = "deleted";

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    every(site.node, &mut |node| statement(node, site, false, found));
    if let Some(prepared) = executed(site.node).and_then(|name| site.known.prepared(name)) {
        every(prepared, &mut |node| statement(node, site, true, found));
    }
}

/// The prepared statement that is executed.
fn executed(node: &NodeEnum) -> Option<&str> {
    match node {
        NodeEnum::ExecuteStmt(execute) => Some(&execute.name),
        NodeEnum::ExplainStmt(explain) if is_option_set(&explain.options, "analyze") => {
            executed(explain.query.as_deref()?.node.as_ref()?)
        }
        _ => None,
    }
}

/// What a statement does to all rows; one that was `prepared` has its text elsewhere.
fn statement(node: &NodeEnum, site: &Site<'_>, prepared: bool, found: &mut Found<'_>) {
    let (relation, what) = match node {
        NodeEnum::UpdateStmt(update) if is_all(update.where_clause.as_deref()) => {
            (update.relation.as_ref(), WRITTEN)
        }
        NodeEnum::DeleteStmt(delete) if is_all(delete.where_clause.as_deref()) => {
            (delete.relation.as_ref(), DELETED)
        }
        NodeEnum::MergeStmt(merge) => match merged(merge, site) {
            Some(what) => (merge.relation.as_ref(), what),
            None => return,
        },
        NodeEnum::InsertStmt(insert) if meets_itself(insert, site) => (insert.relation.as_ref(), WRITTEN),
        _ => return,
    };
    let Some(relation) = relation else { return };
    let table = names::relation(ObjectKind::Table, relation);
    if site.is_harmlessly_written(&table) {
        return;
    }
    let location = if prepared { -1 } else { relation.location };
    let message = format!("every row of {} is {what} at once", table.named());
    if what == DELETED {
        let help = "a WHERE, and batches outside the migration; TRUNCATE where the table is to be emptied";
        found.advise(location, message, help);
    } else {
        found.say_at(location, message);
    }
}

/// Whether a condition leaves nothing out.
fn is_all(filter: Option<&Node>) -> bool {
    filter.is_none_or(|filter| security::is_always(filter) || is_of_itself(filter))
}

/// Whether a condition compares a column with itself, which only leaves out where it is NULL.
fn is_of_itself(filter: &Node) -> bool {
    let Some(NodeEnum::AExpr(compared)) = filter.node.as_ref() else { return false };
    let column = |side: &Option<Box<Node>>| match side.as_deref()?.node.as_ref()? {
        NodeEnum::ColumnRef(column) => {
            let fields: Option<Vec<String>> =
                column.fields.iter().map(|field| names::text(field).map(str::to_owned)).collect();
            fields
        }
        _ => None,
    };
    let is_equality = compared.name.iter().filter_map(names::text).eq(["="]);
    is_equality && column(&compared.lexpr).is_some_and(|left| column(&compared.rexpr) == Some(left))
}

/// What MERGE does to every row of its table: where each is met by some row of what it is merged with, and nothing else is asked.
fn merged(merge: &MergeStmt, site: &Site<'_>) -> Option<&'static str> {
    let join = merge.join_condition.as_deref()?;
    let target = merge.relation.as_ref()?;
    let is_met = security::is_always(join)
        || merge.source_relation.as_deref().is_some_and(|source| is_itself(target, source, site))
            && compares_a_column(join);
    let clauses = merge.merge_when_clauses.iter().filter_map(|node| match node.node.as_ref()? {
        NodeEnum::MergeWhenClause(clause) => Some(clause),
        _ => None,
    });
    let mut done = clauses
        .filter(|clause| clause.match_kind() == MergeMatchKind::MergeWhenMatched)
        .filter(|clause| is_met && is_all(clause.condition.as_deref()));
    match done.next()?.command_type() {
        CmdType::CmdDelete => Some(DELETED),
        CmdType::CmdUpdate => Some(WRITTEN),
        _ => None,
    }
}

/// Whether an entry of FROM is the table itself.
fn is_itself(table: &RangeVar, source: &Node, site: &Site<'_>) -> bool {
    let Some(NodeEnum::RangeVar(source)) = source.node.as_ref() else { return false };
    let of = |relation| names::relation(ObjectKind::Table, relation);
    site.is_same(&of(table), &of(source))
}

/// Whether a condition is that a column of two tables is the same.
fn compares_a_column(condition: &Node) -> bool {
    let Some(NodeEnum::AExpr(compared)) = condition.node.as_ref() else { return false };
    let column = |side: &Option<Box<Node>>| match side.as_deref()?.node.as_ref()? {
        NodeEnum::ColumnRef(column) => column.fields.last().and_then(names::text).map(str::to_owned),
        _ => None,
    };
    let is_equality = compared.name.iter().filter_map(names::text).eq(["="]);
    is_equality && column(&compared.lexpr).is_some_and(|left| column(&compared.rexpr) == Some(left))
}

/// Whether all rows of a table are inserted into it, and those that are there are updated.
fn meets_itself(insert: &InsertStmt, site: &Site<'_>) -> bool {
    let Some(NodeEnum::SelectStmt(select)) =
        insert.select_stmt.as_deref().and_then(|query| query.node.as_ref())
    else {
        return false;
    };
    let updates = insert.on_conflict_clause.as_deref().is_some_and(|clause| {
        clause.action() == OnConflictAction::OnconflictUpdate && is_all(clause.where_clause.as_deref())
    });
    let is_whole = is_all(select.where_clause.as_deref())
        && select.limit_count.is_none()
        && select.limit_offset.is_none()
        && select.group_clause.is_empty();
    let table = insert.relation.as_ref().filter(|_| updates && is_whole);
    matches!((table, select.from_clause.as_slice()), (Some(table), [one]) if is_itself(table, one, site))
}

/// A statement, and those that change rows in its WITH, or that it runs.
pub(super) fn every<'a>(node: &'a NodeEnum, each: &mut dyn FnMut(&'a NodeEnum)) {
    each(node);
    let inner = match node {
        NodeEnum::ExplainStmt(explain) if is_option_set(&explain.options, "analyze") => {
            explain.query.as_deref()
        }
        NodeEnum::CopyStmt(copy) => copy.query.as_deref(),
        _ => None,
    };
    if let Some(inner) = inner.and_then(|inner| inner.node.as_ref()) {
        every(inner, each);
    }
    let with = match node {
        NodeEnum::SelectStmt(select) => select.with_clause.as_ref(),
        NodeEnum::InsertStmt(insert) => insert.with_clause.as_ref(),
        NodeEnum::UpdateStmt(update) => update.with_clause.as_ref(),
        NodeEnum::DeleteStmt(delete) => delete.with_clause.as_ref(),
        NodeEnum::MergeStmt(merge) => merge.with_clause.as_ref(),
        _ => None,
    };
    for node in with.into_iter().flat_map(|with| &with.ctes) {
        if let Some(NodeEnum::CommonTableExpr(table)) = node.node.as_ref()
            && let Some(query) = table.ctequery.as_deref().and_then(|query| query.node.as_ref())
        {
            every(query, each);
        }
    }
}
