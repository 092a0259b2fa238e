//! Uniqueness of what is there already.

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, ConstrType};

use super::{Look, Rule};
use crate::effects::{ObjectKind, ObjectRef, SmolStr, Volatility, names, volatility};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site, column_constraints, is_null};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "unique-over-existing-data",
        severity: Severity::Warning,
        on: true,
        why: "A unique index over rows that are there fails where two are equal; built CONCURRENTLY it leaves an invalid index behind.",
        safe: "look for equal keys first: SELECT key FROM table GROUP BY key HAVING count(*) > 1",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE UNIQUE INDEX CONCURRENTLY orders_number ON orders (number);"),
            Example::of("CREATE UNIQUE INDEX ON orders (lower(number)) WHERE total > 0;"),
            Example::of("ALTER TABLE orders ADD CONSTRAINT orders_number_key UNIQUE (number);"),
            Example::of("ALTER TABLE orders ADD PRIMARY KEY (id);"),
            Example::of("ALTER TABLE orders ADD COLUMN number text DEFAULT '' UNIQUE;"),
            Example::of("CREATE UNIQUE INDEX CONCURRENTLY ON orders (number);").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);"),
        ],
        good: &[
            Example::of("CREATE UNIQUE INDEX IF NOT EXISTS n ON orders (number);").over("CREATE TABLE orders (number text); CREATE UNIQUE INDEX n ON orders (number);"),
            Example::of("CREATE INDEX CONCURRENTLY orders_number ON orders (number);"),
            Example::of("ALTER TABLE orders ADD CONSTRAINT orders_number_key UNIQUE USING INDEX orders_number;"),
            Example::of("ALTER TABLE orders ADD COLUMN number text UNIQUE;"),
            Example::of("ALTER TABLE orders ADD COLUMN id bigserial PRIMARY KEY;"),
            Example::of("ALTER TABLE orders ADD COLUMN key uuid; CREATE UNIQUE INDEX ON orders (key);"),
            Example::of("CREATE TABLE orders (number text); CREATE UNIQUE INDEX ON orders (number);"),
            Example::of("CREATE UNIQUE INDEX CONCURRENTLY ON orders (number, id);").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);"),
            Example::of("CREATE UNIQUE INDEX CONCURRENTLY ON orders (number);").over("CREATE TABLE orders (id bigint PRIMARY KEY, number text, total int, note text NOT NULL);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    if let NodeEnum::IndexStmt(index) = site.node {
        let Some(relation) = index.relation.as_ref().filter(|_| index.unique && !site.is_there(index)) else {
            return;
        };
        let table = names::relation(ObjectKind::Table, relation);
        let columns: Vec<&str> = index
            .index_params
            .iter()
            .filter_map(|node| match node.node.as_ref()? {
                NodeEnum::IndexElem(element) if element.expr.is_none() => Some(element.name.as_str()),
                _ => None,
            })
            .collect();
        let is_whole = columns.len() == index.index_params.len() && !index.nulls_not_distinct;
        let is_partial = index.where_clause.is_some();
        let location = relation.location;
        say(&Claim { table: &table, columns, is_whole, is_partial, location }, site, found);
        return;
    }
    for added in site.all_added() {
        let key = added.constraint;
        let is_unique = matches!(key.contype(), ConstrType::ConstrUnique | ConstrType::ConstrPrimary);
        // Numbers that the statement itself gives are different, and NULLs are not equal.
        let is_apart = added.column.is_some_and(|column| !has_one_value(column));
        if is_unique && key.indexname.is_empty() && !is_apart {
            let (columns, is_whole) = (added.columns(), !key.nulls_not_distinct);
            let claim =
                Claim { table: &added.table, columns, is_whole, is_partial: false, location: key.location };
            say(&claim, site, found);
        }
    }
}

/// Whether a new column has one and the same value in all rows.
fn has_one_value(column: &ColumnDef) -> bool {
    let mut constraints = column_constraints(column);
    let default = constraints.find(|one| one.contype() == ConstrType::ConstrDefault);
    let value = default.and_then(|one| one.raw_expr.as_deref()).filter(|value| !is_null(value));
    value.is_some_and(|value| matches!(volatility(&value), Volatility::None))
}

/// What is to be unique from now on.
struct Claim<'a> {
    table: &'a ObjectRef,
    columns: Vec<&'a str>,
    /// The columns are all of the key, and rows with NULL in one of them are different.
    is_whole: bool,
    /// It is said of some rows only.
    is_partial: bool,
    location: i32,
}

fn say(claim: &Claim<'_>, site: &Site<'_>, found: &mut Found<'_>) {
    let Claim { table, columns, is_whole, is_partial, location } = claim;
    let is_new = |column: &&str| site.known.is_new_column(table, column);
    // In a column that the run added stands what the run put there, or NULL.
    let is_filled = !is_whole || columns.is_empty() || !columns.iter().any(is_new);
    let is_empty = site.is_new(table) || site.known.is_empty(table);
    if is_empty || !is_filled || is_unique_already(table, columns, site) {
        return;
    }
    let key = super::listed(columns);
    let what = if columns.is_empty() { "its key".to_owned() } else { format!("({key})") };
    let message = format!("it fails if two rows of {} are equal in {what}", table.named());
    if columns.is_empty() || !is_whole || *is_partial {
        found.say_at(*location, message);
    } else {
        let help = format!(
            "look for equal keys first: SELECT {key} FROM {} GROUP BY {key} HAVING count(*) > 1",
            super::in_sql(table)
        );
        found.advise(*location, message, help);
    }
}

/// Whether another unique index over some of the columns keeps rows from being equal.
fn is_unique_already(table: &ObjectRef, columns: &[&str], site: &Site<'_>) -> bool {
    let Some(known) = site.known.relation(table) else { return false };
    known.indexes.iter().filter(|index| index.unique && index.ordinary && !index.computed).any(|index| {
        let is_there = |key: &Option<SmolStr>| key.as_deref().is_some_and(|key| columns.contains(&key));
        !index.columns.is_empty() && index.columns.iter().all(is_there)
    })
}
