//! `DROP INDEX` without `CONCURRENTLY`.

use pg_query::NodeEnum;
use pg_query::protobuf::{DropBehavior, ObjectType};

use super::{Look, Rule};
use crate::effects::names;
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "drop-index-locks",
        severity: Severity::Error,
        on: true,
        why: "DROP INDEX takes ACCESS EXCLUSIVE on the index and its table: whoever uses the table is waited for, and waits.",
        safe: "DROP INDEX CONCURRENTLY, in a migration of its own",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("DROP INDEX orders_customer;"),
            Example::of("DROP INDEX IF EXISTS a.b, a.c;"),
            Example::of("DROP INDEX i;").over("CREATE TABLE t (n int); CREATE INDEX i ON t (n);"),
            // The index is that of the table that is there, under a name that was another table's.
            Example::of("ALTER TABLE t RENAME TO old; CREATE TABLE t (n int); DROP INDEX i;")
                .over("CREATE TABLE t (n int); CREATE INDEX i ON t (n);"),
            Example::of("DO $$ BEGIN DROP INDEX IF EXISTS i; END $$;"),
        ],
        good: &[
            Example::of("DROP INDEX CONCURRENTLY orders_customer;"),
            Example::of("DROP TABLE orders;"),
            Example::of("DROP INDEX pg_temp.i;"),
            Example::of("DROP INDEX IF EXISTS i;").over("CREATE TABLE t (n int);").and_nothing_else(),
            Example::of("CREATE TABLE t (n int); CREATE INDEX i ON t (n); DROP INDEX i;"),
            Example::of("DROP INDEX i;")
                .over("CREATE TABLE t (n int); CREATE INDEX i ON t (n);")
                .with_empty(&["public.t"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let NodeEnum::DropStmt(drop) = site.node else { return };
    if drop.remove_type() != ObjectType::ObjectIndex || drop.concurrent {
        return;
    }
    for index in drop.objects.iter().filter_map(|node| names::addressed(drop.remove_type(), node)) {
        let Some(table) = site.known.table_of_index(&index) else {
            if index.is_temporary() || drop.missing_ok && site.known.is_complete() {
                continue;
            }
            found.say(format!("the table of {} is locked against everybody", index.named()));
            continue;
        };
        if site.is_harmless(&table) {
            continue;
        }
        let message = format!("{} is locked against everybody", table.named());
        if site.known.is_partitioned(&table) || drop.behavior() == DropBehavior::DropCascade {
            // PostgreSQL refuses CONCURRENTLY with either.
            found.advise(
                -1,
                message,
                "a short transaction of its own, with a lock_timeout and further attempts",
            );
        } else {
            found.say(message);
        }
    }
}
