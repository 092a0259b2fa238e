//! A column that gets another type, as clients see it.

use pg_query::NodeEnum;
use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule};
use crate::effects::{Column, DataType, names};
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
            // The collation belongs to what a statement gives back.
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE varchar(10) COLLATE \"C\";").over("CREATE TABLE orders (number varchar(10));"),
            Example::of("ALTER TABLE orders ALTER COLUMN id TYPE bigint;"),
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE varchar(20);").over("CREATE TABLE orders (id int PRIMARY KEY, number varchar(10), total int, at timestamp); CREATE INDEX orders_lower ON orders (lower(number));"),
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE text;").over("CREATE TABLE orders (id int PRIMARY KEY, number varchar(10), total int, at timestamp); CREATE INDEX orders_lower ON orders (lower(number));").with_empty(&["public.orders"]),
        ],
        good: &[
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE varchar(10);").over("CREATE TABLE orders (id int PRIMARY KEY, number varchar(10), total int, at timestamp); CREATE INDEX orders_lower ON orders (lower(number));"),
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
        let collation = definition.coll_clause.as_ref().and_then(|clause| clause.collname.last());
        let collation = collation.and_then(names::text);
        // Source: equalRowTypes in PostgreSQL's tupdesc.c: type, modifiers, collation.
        let is_same =
            |old: &Column| Some(&old.data_type) == new.as_ref() && old.collation.as_deref() == collation;
        if !site.known.column(&table, column).is_some_and(is_same) {
            found.say(format!(
                "statements that clients have prepared over {}.{column} fail once",
                table.named()
            ));
        }
    }
}
