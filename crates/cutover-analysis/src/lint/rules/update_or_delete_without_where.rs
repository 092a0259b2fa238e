//! `UPDATE` and `DELETE` of every row.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar};

use super::{Look, Rule};
use crate::effects::{ObjectKind, names};
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
    every(site.node, &mut |node| match node {
        NodeEnum::UpdateStmt(update) => {
            say(site, update.relation.as_ref(), update.where_clause.as_deref(), WRITTEN, found);
        }
        NodeEnum::DeleteStmt(delete) => {
            say(site, delete.relation.as_ref(), delete.where_clause.as_deref(), DELETED, found);
        }
        _ => {}
    });
}

fn say(
    site: &Site<'_>,
    relation: Option<&RangeVar>,
    filter: Option<&Node>,
    what: &str,
    found: &mut Found<'_>,
) {
    let Some(relation) = relation else { return };
    let table = names::relation(ObjectKind::Table, relation);
    if filter.is_some_and(|filter| !security::is_always(filter)) || site.is_harmlessly_written(&table) {
        return;
    }
    let message = format!("every row of {} is {what} at once", table.named());
    if what == DELETED {
        let help = "a WHERE, and batches outside the migration; TRUNCATE where the table is to be emptied";
        found.advise(relation.location, message, help);
    } else {
        found.say_at(relation.location, message);
    }
}

/// A statement, and those that change rows in its WITH.
pub(super) fn every<'a>(node: &'a NodeEnum, each: &mut dyn FnMut(&'a NodeEnum)) {
    each(node);
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
