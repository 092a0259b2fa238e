//! A stored generated column of a table that is there.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType as Type, ColumnDef, ConstrType};

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site, column_constraints, definition};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "stored-generated-column-rewrites",
        severity: Severity::Error,
        on: true,
        why: "A stored generated column is computed for every row under ACCESS EXCLUSIVE, and all indexes are built anew.",
        safe: "an ordinary column that a trigger fills, then the old rows in batches; from version 18 on a VIRTUAL one",
        seen: &[Seen::Static, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ADD COLUMN doubled int GENERATED ALWAYS AS (total * 2) STORED;"),
            Example::of("ALTER TABLE IF EXISTS orders ADD COLUMN IF NOT EXISTS doubled int NOT NULL GENERATED ALWAYS AS (total * 2) STORED;"),
            Example::of("ALTER TABLE orders ALTER COLUMN doubled SET EXPRESSION AS (total * 3);"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ADD COLUMN doubled int GENERATED ALWAYS AS (total * 2) VIRTUAL;"),
            Example::of("ALTER TABLE orders ALTER COLUMN doubled DROP EXPRESSION;"),
            Example::of("CREATE TABLE orders (total int); ALTER TABLE orders ADD COLUMN doubled int GENERATED ALWAYS AS (total * 2) STORED;"),
            Example::of("ALTER TABLE orders ADD COLUMN doubled int GENERATED ALWAYS AS (total * 2) STORED;").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (command, table) in site.commands() {
        if site.is_alone() || site.is_harmless(&table) {
            continue;
        }
        let (name, location) = match (command.subtype(), definition(command)) {
            (Type::AtSetExpression, _) => (&command.name, -1),
            (Type::AtAddColumn, Some(NodeEnum::ColumnDef(column))) if is_stored(column) => {
                (&column.colname, column.location)
            }
            _ => continue,
        };
        let message =
            format!("{name} is computed for every row of {} while nobody can use it", table.named());
        found.say_at(location, message);
    }
}

fn is_stored(column: &ColumnDef) -> bool {
    column_constraints(column)
        .any(|one| one.contype() == ConstrType::ConstrGenerated && one.generated_kind != "v")
}
