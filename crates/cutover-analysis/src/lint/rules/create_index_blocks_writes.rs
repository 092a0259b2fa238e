//! `CREATE INDEX` without `CONCURRENTLY`.

use pg_query::NodeEnum;

use super::{Look, Rule};
use crate::effects::{ObjectKind, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "create-index-blocks-writes",
        severity: Severity::Error,
        on: true,
        why: "CREATE INDEX holds a SHARE lock while it reads the whole table: nobody can write to it until the index is built.",
        safe: "CREATE INDEX CONCURRENTLY, in a migration of its own",
        seen: &[Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE INDEX orders_customer ON orders (customer_id);"),
            Example::of("CREATE UNIQUE INDEX ON orders (number);"),
            Example::of(
                "DO $$ BEGIN IF true THEN CREATE INDEX IF NOT EXISTS i ON orders (number); END IF; END $$;",
            ),
            Example::of("CREATE TABLE orders (id int); DROP TABLE orders; CREATE INDEX ON orders (id);"),
            Example::of("CREATE INDEX ON new_orders (id);").over("CREATE TABLE new_orders (id int);"),
            // The parent is there, and its partitions are indexed with it.
            Example::of("CREATE TABLE other (id int); CREATE INDEX ON events (at);")
                .over("CREATE TABLE events (at timestamptz) PARTITION BY RANGE (at);"),
        ],
        good: &[
            // The column of another table is gone, not the table.
            Example::of(
                "CREATE TABLE users (id int); ALTER TABLE orders DROP COLUMN users; CREATE INDEX ON users (id);",
            ),
            Example::of("CREATE INDEX CONCURRENTLY orders_customer ON orders (customer_id);"),
            Example::of("CREATE TABLE orders (id int); CREATE INDEX ON orders (id);"),
            Example::of("CREATE TABLE a (id int); ALTER TABLE a RENAME TO b; CREATE INDEX ON b (id);"),
            Example::of("CREATE TEMP TABLE t AS SELECT 1 AS n; CREATE INDEX ON pg_temp.t (n);"),
            Example::of("CREATE TABLE t AS SELECT 1 AS n; CREATE INDEX ON t (n);"),
            Example::of("CREATE INDEX ON orders (customer_id);")
                .over("CREATE TABLE orders (customer_id int);")
                .with_empty(&["public.orders"]),
            Example::of("CREATE TEMP TABLE t (n int); CREATE INDEX ON t (n);"),
            Example::of("SELECT 1 AS n INTO t; CREATE INDEX ON t (n);"),
            Example::of("SET search_path TO app; CREATE TABLE t (n int); CREATE INDEX ON app.t (n);"),
            Example::of("CREATE INDEX IF NOT EXISTS i ON orders (n);")
                .over("CREATE TABLE orders (n int); CREATE INDEX i ON orders (n);"),
            Example::of(
                "DO $$ BEGIN CREATE TABLE t (n int); CREATE INDEX ON t (n); END $$; CREATE INDEX ON t (n);",
            ),
            Example::of("CREATE INDEX events_at ON ONLY events (at);"),
            // An index of the parent alone reads nothing.
            Example::of("CREATE INDEX events_at ON ONLY events (at);")
                .over("CREATE TABLE events (at timestamptz) PARTITION BY RANGE (at);"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let NodeEnum::IndexStmt(index) = site.node else { return };
    let Some(relation) = index.relation.as_ref().filter(|_| !index.concurrent) else { return };
    let table = names::relation(ObjectKind::Table, relation);
    let known = site.known.relation(&table);
    // ONLY stands where the table is partitioned: of others nothing inherits an index.
    let is_alone = !relation.inh && known.is_none_or(|known| known.partitioned);
    if is_alone || site.is_there(index) || site.is_harmless(&table) {
        return;
    }
    let message = format!("nobody can write to {} until the index is built", table.named());
    if known.is_some_and(|known| known.partitioned) {
        let help = "CREATE INDEX … ON ONLY the table, CREATE INDEX CONCURRENTLY on each partition, then ALTER INDEX … ATTACH PARTITION";
        found.advise(relation.location, message, help);
    } else {
        found.say_at(relation.location, message);
    }
}
