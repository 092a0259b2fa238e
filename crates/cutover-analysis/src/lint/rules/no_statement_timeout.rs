//! Work without a limit of time.

use pg_query::NodeEnum;

use super::no_lock_timeout::Unlimited;
use super::{Look, Rule};
use crate::effects::{ObjectRef, WorkKind};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::Site;

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "no-statement-timeout",
        severity: Severity::Warning,
        on: false,
        why: "A statement that works longer than anybody thought keeps its locks, and keeps old rows from being cleaned up, until somebody notices.",
        safe: "SET LOCAL statement_timeout before it",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("UPDATE users SET a = 1;"),
            Example::of("ALTER TABLE users ALTER COLUMN id TYPE bigint;"),
            Example::of("SET lock_timeout = '1s'; DELETE FROM users WHERE old;"),
            Example::of("SET statement_timeout = 0; CREATE INDEX CONCURRENTLY i ON users (id);"),
        ],
        good: &[
            Example::of("SET statement_timeout = '5min'; UPDATE users SET a = 1;"),
            Example::of("SET LOCAL statement_timeout = '5min'; CREATE INDEX ON users (id);"),
            Example::of("ALTER TABLE users ADD COLUMN a int;"),
            Example::of("CREATE TABLE t (n int); INSERT INTO t VALUES (1); UPDATE t SET n = 2;"),
            Example::of("UPDATE users SET a = 1;")
                .over("CREATE TABLE users (a int);")
                .with_empty(&["public.users"]),
        ],
    },
    look: Look::File(|| Box::new(Unlimited::new("statement_timeout", works))),
};

fn works(site: &Site<'_>) -> Option<String> {
    let is_large = |relation: &&ObjectRef| !site.is_harmless(relation);
    let worked =
        site.effects.work.iter().filter(|work| work.kind != WorkKind::Empty).map(|work| &work.relation);
    let is_change =
        matches!(site.node, NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_) | NodeEnum::MergeStmt(_));
    let written = site.effects.writes.iter().filter(|_| is_change);
    let built = site.effects.alters.iter().filter(|_| matches!(site.node, NodeEnum::IndexStmt(_)));
    let table = worked.chain(written).chain(built).find(is_large)?;
    Some(format!("the work on {} may take as long as it pleases", table.named()))
}
