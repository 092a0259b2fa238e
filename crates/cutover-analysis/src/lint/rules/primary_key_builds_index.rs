//! A primary key that builds its index.

use pg_query::protobuf::ConstrType;

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "primary-key-builds-index",
        severity: Severity::Error,
        on: true,
        why: "ADD PRIMARY KEY builds an index under ACCESS EXCLUSIVE: nobody can use the table until it is done.",
        safe: "CREATE UNIQUE INDEX CONCURRENTLY in a migration of its own, then ADD CONSTRAINT … PRIMARY KEY USING INDEX",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ADD PRIMARY KEY (id);"),
            Example::of("ALTER TABLE orders ADD CONSTRAINT orders_pk PRIMARY KEY (id, number) INCLUDE (total);"),
            Example::of("ALTER TABLE orders ADD COLUMN id bigserial PRIMARY KEY;"),
            Example::of("ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (id);"),
            Example::of("ALTER TABLE events ADD PRIMARY KEY (id, at);").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_id;"),
            Example::of("CREATE TABLE orders (id bigint); ALTER TABLE orders ADD PRIMARY KEY (id);"),
            Example::of("ALTER TABLE ONLY events ADD PRIMARY KEY (id, at);").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"),
            Example::of("ALTER TABLE orders ADD PRIMARY KEY (number);").over("CREATE TABLE orders (number text);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for added in site.all_added() {
        let key = added.constraint;
        let builds = key.contype() == ConstrType::ConstrPrimary && key.indexname.is_empty();
        if !builds || site.is_harmless(&added.table) {
            continue;
        }
        let table = added.table.named();
        let message = format!("nobody can use {table} until the index of the primary key is built");
        if site.known.is_partitioned(&added.table) {
            found.advise(key.location, message, super::OF_PARTITIONS);
        } else {
            let (columns, table) = (super::listed(&added.columns()), super::in_sql(&added.table));
            let first = if added.column.is_some() { "add the column by itself, " } else { "" };
            let help = format!(
                "{first}CREATE UNIQUE INDEX CONCURRENTLY … ON {table} ({columns}) in a migration of its own, then ADD CONSTRAINT … PRIMARY KEY USING INDEX, once none of its columns takes NULL"
            );
            found.advise(key.location, message, help);
        }
    }
}
