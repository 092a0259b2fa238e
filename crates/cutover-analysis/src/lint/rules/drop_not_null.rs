//! A column that takes NULL from now on.

use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "drop-not-null",
        severity: Severity::Warning,
        on: true,
        why: "Clients that have never met NULL in the column meet it from now on.",
        safe: "have every reader of the column cope with NULL first",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ALTER COLUMN number DROP NOT NULL;"),
            Example::of("ALTER TABLE orders ALTER note DROP NOT NULL;").over(
                "CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);",
            ),
        ],
        good: &[
            Example::of("ALTER TABLE orders ALTER COLUMN number SET NOT NULL;"),
            Example::of("ALTER TABLE orders ALTER number DROP NOT NULL;").over(
                "CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);",
            ),
            Example::of("CREATE TABLE orders (n int NOT NULL); ALTER TABLE orders ALTER n DROP NOT NULL;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (command, table) in site.commands() {
        let column = command.name.as_str();
        let is_one = command.subtype() == Type::AtDropNotNull && !site.is_new(&table);
        if is_one && !site.known.takes_null(&table, column) && !site.known.is_new_column(&table, column) {
            found.say(format!("whoever reads {}.{column} has to cope with NULL from now on", table.named()));
        }
    }
}
