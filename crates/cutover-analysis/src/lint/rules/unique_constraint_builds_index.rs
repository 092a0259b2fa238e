//! A unique constraint that builds its index.

use pg_query::protobuf::ConstrType;

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "unique-constraint-builds-index",
        severity: Severity::Error,
        on: true,
        why: "ADD UNIQUE builds an index under ACCESS EXCLUSIVE: nobody can use the table until it is done.",
        safe: "CREATE UNIQUE INDEX CONCURRENTLY in a migration of its own, then ADD CONSTRAINT … UNIQUE USING INDEX",
        seen: &[Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ADD CONSTRAINT orders_number_key UNIQUE (number);"),
            Example::of("ALTER TABLE orders ADD UNIQUE NULLS NOT DISTINCT (number, total) DEFERRABLE;"),
            Example::of("ALTER TABLE orders ADD COLUMN number text UNIQUE;"),
            Example::of("ALTER TABLE events ADD UNIQUE (id, at);").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ADD CONSTRAINT orders_number_key UNIQUE USING INDEX orders_number;"),
            Example::of("CREATE UNIQUE INDEX CONCURRENTLY orders_number ON orders (number);"),
            Example::of("CREATE TABLE orders (number text UNIQUE); ALTER TABLE orders ADD UNIQUE (number);"),
            Example::of("ALTER TABLE ONLY events ADD UNIQUE (id, at);").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"),
            Example::of("ALTER TABLE orders ADD UNIQUE (number);").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for added in site.all_added() {
        let key = added.constraint;
        let builds = key.contype() == ConstrType::ConstrUnique && key.indexname.is_empty();
        if !builds || site.is_harmless(&added.table) {
            continue;
        }
        let table = added.table.named();
        let message = format!("nobody can use {table} until the index of the unique constraint is built");
        if site.known.is_partitioned(&added.table) {
            found.advise(key.location, message, super::OF_PARTITIONS);
        } else {
            let (columns, table) = (super::listed(&added.columns()), super::in_sql(&added.table));
            let first = if added.column.is_some() { "add the column by itself, " } else { "" };
            let nulls = if key.nulls_not_distinct { " NULLS NOT DISTINCT" } else { "" };
            let help = format!(
                "{first}CREATE UNIQUE INDEX CONCURRENTLY … ON {table} ({columns}){nulls} in a migration of its own, then ADD CONSTRAINT … UNIQUE USING INDEX"
            );
            found.advise(key.location, message, help);
        }
    }
}
