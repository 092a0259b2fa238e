//! A primary key over a column that takes NULL so far.

use pg_query::protobuf::ConstrType;

use super::{Look, Rule};
use crate::effects::ObjectRef;
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};
use crate::sql::quote_ident;

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "primary-key-over-nullable-column",
        severity: Severity::Error,
        on: true,
        why: "A primary key makes its columns NOT NULL, and for that reads the whole table under ACCESS EXCLUSIVE, also with USING INDEX.",
        safe: "ADD CONSTRAINT … CHECK (column IS NOT NULL) NOT VALID, VALIDATE it in another transaction, then the primary key; drop the check",
        seen: &[Seen::Catalogue, Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_number;").over("CREATE TABLE orders (number text); CREATE UNIQUE INDEX orders_number ON orders (number);"),
            Example::of("ALTER TABLE orders ADD PRIMARY KEY (id, number);").over("CREATE TABLE orders (id int NOT NULL, number text);"),
            Example::of("ALTER TABLE orders ADD CONSTRAINT c CHECK (number IS NOT NULL) NOT VALID; ALTER TABLE orders ADD PRIMARY KEY (number);").over("CREATE TABLE orders (number text);"),
            Example::of("ALTER TABLE orders ADD COLUMN key uuid; ALTER TABLE orders ADD PRIMARY KEY (key);"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ADD PRIMARY KEY (id);").over("CREATE TABLE orders (id int NOT NULL);"),
            Example::of("ALTER TABLE orders ADD PRIMARY KEY (number);").over("CREATE TABLE orders (number text, CHECK (number IS NOT NULL));"),
            Example::of("ALTER TABLE orders ADD PRIMARY KEY USING INDEX orders_id;").over("CREATE TABLE orders (id int NOT NULL); CREATE UNIQUE INDEX orders_id ON orders (id);"),
            Example::of("ALTER TABLE orders ADD PRIMARY KEY USING INDEX orders_id;"),
            Example::of("ALTER TABLE orders ADD PRIMARY KEY (id);"),
            Example::of("ALTER TABLE orders ADD COLUMN key uuid NOT NULL DEFAULT gen_random_uuid(); ALTER TABLE orders ADD PRIMARY KEY (key);"),
            Example::of("CREATE TABLE orders (id int); ALTER TABLE orders ADD PRIMARY KEY (id);"),
            Example::of("ALTER TABLE orders ADD PRIMARY KEY (number);").over("CREATE TABLE orders (number text);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for added in site.all_added() {
        let key = added.constraint;
        if key.contype() != ConstrType::ConstrPrimary
            || added.column.is_some()
            || site.is_harmless(&added.table)
        {
            continue;
        }
        let mut columns: Vec<String> = added.columns().into_iter().map(str::to_owned).collect();
        if !key.indexname.is_empty() {
            columns = columns_of(&key.indexname, &added.table, site);
        }
        let takes_null = columns.iter().find(|column| takes_null(&added.table, column, site));
        let Some(column) = takes_null else { continue };
        let message = format!(
            "all rows of {} are read for NULLs in {column} while nobody can use it",
            added.table.named()
        );
        let column = quote_ident(column);
        let help = format!(
            "ADD CONSTRAINT … CHECK ({column} IS NOT NULL) NOT VALID, VALIDATE it in another transaction, then the primary key; drop the check"
        );
        found.advise(key.location, message, help);
    }
}

/// The columns of an index, where it is known.
fn columns_of(index: &str, table: &ObjectRef, site: &Site<'_>) -> Vec<String> {
    let indexes = site.known.relation(table).into_iter().flat_map(|known| &known.indexes);
    let found = indexes.filter(|known| known.name == index).flat_map(|known| known.columns.iter().flatten());
    found.map(ToString::to_string).collect()
}

/// Whether a column is known to take NULL, and nothing proves that there is none.
fn takes_null(table: &ObjectRef, column: &str, site: &Site<'_>) -> bool {
    site.known.takes_null(table, column) && !site.known.has_no_nulls(table, column)
}
