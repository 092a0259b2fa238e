//! A column that gets another type.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableType as Type, Node};

use super::{Look, Rule};
use crate::effects::{DataType, ObjectRef, Work, WorkKind};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site, definition};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "type-change-rewrites",
        severity: Severity::Error,
        on: true,
        why: "A column whose new type is stored differently has every row written anew under ACCESS EXCLUSIVE, and all indexes built anew.",
        safe: "add a column of the new type, have clients write both, fill the old rows in batches, then swap the two",
        seen: &[Seen::Static, Seen::Catalogue, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders ALTER COLUMN id TYPE bigint;"),
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE varchar(80);"),
            Example::of("ALTER TABLE orders ALTER COLUMN id TYPE text;").over("CREATE TABLE orders (id int);"),
            Example::of("ALTER TABLE orders ALTER id SET DATA TYPE text USING id::text;"),
            Example::of("ALTER TABLE orders ALTER number TYPE text USING trim(number);").over("CREATE TABLE orders (number varchar(10));"),
            Example::of("ALTER TABLE orders ALTER COLUMN total TYPE bigint;").over("CREATE TABLE orders (id int PRIMARY KEY, number varchar(10), total int, at timestamp); CREATE INDEX orders_lower ON orders (lower(number));"),
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE varchar(5);").over("CREATE TABLE orders (id int PRIMARY KEY, number varchar(10), total int, at timestamp); CREATE INDEX orders_lower ON orders (lower(number));"),
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE text;").over("CREATE TABLE orders (id int PRIMARY KEY, number varchar(10), total int, at timestamp); CREATE INDEX orders_lower ON orders (lower(number));"),
            Example::of("ALTER TABLE events ALTER id TYPE numeric;").over("CREATE TABLE events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at); CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"),
        ],
        good: &[
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE varchar(20);").over("CREATE TABLE orders (number varchar(10));"),
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE text;").over("CREATE TABLE orders (number varchar(10)); CREATE INDEX ON orders (number);"),
            Example::of("CREATE TABLE orders (id int); ALTER TABLE orders ALTER COLUMN id TYPE bigint;"),
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE text;"),
            Example::of("ALTER TABLE orders ALTER COLUMN number TYPE varchar USING number;"),
            Example::of("ALTER TABLE orders ALTER number TYPE text USING number::text;").over("CREATE TABLE orders (number varchar(10));"),
            Example::of("ALTER TABLE orders ALTER number TYPE varchar(20) USING (number::varchar(20));").over("CREATE TABLE orders (number varchar(10));"),
            Example::of("ALTER TYPE address ALTER ATTRIBUTE street TYPE text;"),
            Example::of("ALTER TABLE orders ALTER COLUMN total TYPE bigint;").over("CREATE TABLE orders (id int PRIMARY KEY, number varchar(10), total int, at timestamp); CREATE INDEX orders_lower ON orders (lower(number));").with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (command, table) in site.commands() {
        if command.subtype() != Type::AtAlterColumnType || site.is_new(&table) {
            continue;
        }
        if may_well_be_free(command, &table, site) {
            continue;
        }
        // By itself: what else the statement does is said of that.
        let effects = site.effects_of(command);
        let harms = |work: &&Work| !site.is_harmless(&work.relation);
        let Some(work) = effects.work.iter().filter(harms).max_by_key(|work| (work.kind, work.sure)) else {
            continue;
        };
        let what = match work.kind {
            WorkKind::Rewrite => "every row is written anew",
            WorkKind::Reindex => "its indexes are built anew",
            WorkKind::Scan | WorkKind::Empty => "all its rows are read",
        };
        let condition = if work.sure { String::new() } else { format!(", {}", work.why) };
        let (table, column) = (work.relation.named(), &command.name);
        let message = format!("nobody can use {table} while {what} for the new type of {column}{condition}");
        found.say(message);
    }
}

/// Whether a column of which nothing is known becomes a text without a limit: what becomes one has mostly been a text with a
/// limit, and stays as it is stored. Clients have to be thought of all the same, and another rule says so.
fn may_well_be_free(command: &AlterTableCmd, table: &ObjectRef, site: &Site<'_>) -> bool {
    let Some(NodeEnum::ColumnDef(column)) = definition(command) else { return false };
    let new = column.type_name.as_ref().map(DataType::of).unwrap_or_default();
    let is_text = new.schema.is_none()
        && matches!(new.name.as_str(), "text" | "varchar")
        && new.modifiers.is_empty()
        && !new.array;
    // (A cast to text says that it has mostly not been one.)
    let is_itself = |using: &Node| matches!(using.node.as_ref(), Some(NodeEnum::ColumnRef(_)));
    is_text
        && column.raw_default.as_deref().is_none_or(is_itself)
        && site.known.column(table, &command.name).is_none()
}
