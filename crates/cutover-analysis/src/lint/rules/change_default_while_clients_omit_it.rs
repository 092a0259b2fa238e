//! A default that becomes another one.

use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "change-default-while-clients-omit-it",
        severity: Severity::Warning,
        on: true,
        why: "Clients that leave the column out write another value from one moment to the next, and old and new rows mean different things.",
        safe: "have clients write the column themselves first, then change the default",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ALTER COLUMN state SET DEFAULT 'open';"),
            Example::of("ALTER TABLE orders ALTER state DROP DEFAULT;"),
            Example::of("ALTER TABLE orders ALTER COLUMN total SET DEFAULT 1;").over(
                "CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);",
            ),
        ],
        good: &[
            Example::of(
                "CREATE TABLE orders (state text); ALTER TABLE orders ALTER COLUMN state SET DEFAULT 'open';",
            ),
            Example::of(
                "ALTER TABLE orders ADD COLUMN state text; ALTER TABLE orders ALTER COLUMN state SET DEFAULT 'open';",
            ),
            Example::of(
                "ALTER TABLE orders ADD COLUMN state text NOT NULL DEFAULT ''; ALTER TABLE orders ALTER state DROP DEFAULT;",
            ),
            Example::of("ALTER TABLE orders ALTER COLUMN state SET NOT NULL;"),
            // With another type a default has to be said anew.
            Example::of(
                "ALTER TABLE orders ALTER COLUMN state DROP DEFAULT, ALTER COLUMN state TYPE varchar, ALTER COLUMN state SET DEFAULT 'open';",
            ),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    // Of a column that the same statement adds nobody has left out anything yet.
    let added: Vec<&str> = site.added_columns().map(|(column, _)| column.colname.as_str()).collect();
    let retyped = |column: &str| {
        let mut commands = site.commands();
        commands.any(|(command, _)| command.subtype() == Type::AtAlterColumnType && command.name == column)
    };
    for (command, table) in site.commands() {
        let column = command.name.as_str();
        let is_new =
            || site.is_new(&table) || site.known.is_new_column(&table, column) || added.contains(&column);
        if command.subtype() != Type::AtColumnDefault || is_new() || retyped(column) {
            continue;
        }
        let value = if command.def.is_some() { "another value" } else { "NULL, or nothing at all," };
        let table = table.named();
        found.say(format!("whoever inserts into {table} without {column} writes {value} from now on"));
    }
}
