//! A new column that must not be NULL, and of which nobody says what it is.

use pg_query::protobuf::ConstrType;

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site, column_constraints, has_value};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "add-column-not-null-without-default",
        severity: Severity::Error,
        on: true,
        why: "A NOT NULL column without a default cannot be added to a table with rows, and clients that do not know it cannot insert.",
        safe: "add it as nullable, have clients write it, fill the old rows, then SET NOT NULL; or give it a constant DEFAULT",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ADD COLUMN number text NOT NULL;"),
            Example::of("ALTER TABLE orders ADD number text NOT NULL DEFAULT NULL;"),
            Example::of("ALTER TABLE orders ADD COLUMN IF NOT EXISTS key uuid PRIMARY KEY;"),
            Example::of(
                "ALTER TABLE orders ADD COLUMN a int DEFAULT 1, ADD COLUMN b int CONSTRAINT b_there NOT NULL;",
            ),
            Example::of("ALTER TABLE orders ADD COLUMN state text NOT NULL;").over(
                "CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);",
            ),
            Example::of("ALTER TABLE ONLY events ADD COLUMN state text NOT NULL;")
                .over("CREATE TABLE events (id int) PARTITION BY HASH (id);"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ADD COLUMN number text;"),
            Example::of("ALTER TABLE orders ADD COLUMN number text NOT NULL DEFAULT '';"),
            Example::of("ALTER TABLE orders ADD COLUMN number bigserial NOT NULL;"),
            Example::of("ALTER TABLE orders ADD COLUMN number int NOT NULL GENERATED ALWAYS AS IDENTITY;"),
            Example::of(
                "ALTER TABLE orders ADD COLUMN doubled int GENERATED ALWAYS AS (total * 2) STORED NOT NULL;",
            ),
            Example::of("CREATE TABLE orders (id int); ALTER TABLE orders ADD COLUMN number text NOT NULL;"),
            Example::of("ALTER TYPE address ADD ATTRIBUTE street text;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (column, table) in site.added_columns() {
        let is_required = column_constraints(column)
            .any(|one| matches!(one.contype(), ConstrType::ConstrNotnull | ConstrType::ConstrPrimary));
        if !is_required || has_value(column) || site.is_new(&table) {
            continue;
        }
        let (name, table_name) = (&column.colname, table.named());
        let message = if site.known.is_empty(&table) {
            format!("whoever inserts into {table_name} without {name} gets an error")
        } else {
            format!("it fails if {table_name} has rows, and whoever inserts without {name} gets an error")
        };
        found.say_at(column.location, message);
    }
}
