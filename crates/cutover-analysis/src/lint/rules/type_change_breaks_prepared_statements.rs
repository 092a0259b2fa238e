//! A column that gets another type, as clients see it.

use pg_query::NodeEnum;
use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule};
use crate::effects::DataType;
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site, definition};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "type-change-breaks-prepared-statements",
        severity: Severity::Warning,
        on: true,
        why: "Prepared statements that give the column back fail with \"cached plan must not change result type\", also where the change is free.",
        safe: "restart the clients behind it, or let them read through a view that keeps the type",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ALTER COLUMN id TYPE bigint;"),
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE varchar(20);").over("CREATE TABLE orders (id int PRIMARY KEY, number varchar(10), total int, at timestamp); CREATE INDEX orders_lower ON orders (lower(number));"),
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE text;").over("CREATE TABLE orders (id int PRIMARY KEY, number varchar(10), total int, at timestamp); CREATE INDEX orders_lower ON orders (lower(number));").with_empty(&["public.orders"]),
        ],
        good: &[
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE varchar(10) COLLATE \"C\";").over("CREATE TABLE orders (id int PRIMARY KEY, number varchar(10), total int, at timestamp); CREATE INDEX orders_lower ON orders (lower(number));"),
            Example::of("CREATE TABLE orders (id int); ALTER TABLE orders ALTER COLUMN id TYPE bigint;"),
            Example::of("ALTER TABLE orders ADD COLUMN total int; ALTER TABLE orders ALTER COLUMN total TYPE bigint;"),
            Example::of("ALTER TABLE orders ALTER COLUMN id SET DEFAULT 5;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (command, table) in site.commands() {
        let column = command.name.as_str();
        let is_one = command.subtype() == Type::AtAlterColumnType;
        if !is_one || site.is_new(&table) || site.known.is_new_column(&table, column) {
            continue;
        }
        let Some(NodeEnum::ColumnDef(definition)) = definition(command) else { continue };
        let new = definition.type_name.as_ref().map(DataType::of);
        let old = site.known.context.column(&table, column).map(|known| &known.data_type);
        if old.is_none() || old != new.as_ref() {
            found.say(format!(
                "statements that clients have prepared over {}.{column} fail once",
                table.named()
            ));
        }
    }
}
