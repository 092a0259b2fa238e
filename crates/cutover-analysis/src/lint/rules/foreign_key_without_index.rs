//! A foreign key whose columns have no index.

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, ConstrType, Constraint};

use super::{Look, Rule};
use crate::effects::{ForeignKey, Index, Name, ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::relation_of;
use crate::lint::site::{Found, Site, Still, column_constraints, constraints};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "foreign-key-without-index",
        severity: Severity::Warning,
        on: true,
        why: "Whenever a referenced row is deleted or its key changes, all rows of the table with the foreign key are read.",
        safe: "an index that begins with the columns of the foreign key",
        seen: &[Seen::Catalogue, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers);"),
            Example::of("CREATE TABLE orders (a int, b int, UNIQUE (a), FOREIGN KEY (a, b) REFERENCES p (a, b));"),
            Example::of("ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;").over("CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (customer_id int, at date); CREATE INDEX ON orders (at, customer_id);"),
            Example::of("ALTER TABLE orders ADD COLUMN customer_id int REFERENCES customers;").over("CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (id int);"),
        ],
        good: &[
            Example::of("CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers); DROP TABLE orders;"),
            Example::of("ALTER TABLE orders ADD CONSTRAINT k FOREIGN KEY (customer_id) REFERENCES customers NOT VALID; ALTER TABLE orders DROP CONSTRAINT k;").over("CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (customer_id int);"),
            Example::of("CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers); CREATE INDEX ON orders (customer_id);"),
            Example::of("CREATE TABLE orders (a int, b int, PRIMARY KEY (b, a, c), c int, FOREIGN KEY (a, b) REFERENCES p (a, b));"),
            Example::of("CREATE TABLE orders (id int PRIMARY KEY REFERENCES things);"),
            Example::of("ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;").over("CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (customer_id int, at date); CREATE INDEX ON orders (customer_id, at);"),
            Example::of("ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;"),
            Example::of("CREATE TEMP TABLE orders (customer_id int REFERENCES customers);"),
            Example::of("ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;").over("CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (customer_id int);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let Some((table, keys)) = keys(site) else { return };
    if site.is_temporary(&table) {
        return;
    }
    let name = site.known.context.resolve(&table);
    let known = site.known.relation(&table);
    // Concurrently none is built on a partitioned table, and on a new one there is no need to.
    let is_new = matches!(site.node, NodeEnum::CreateStmt(_)) || site.is_new(&table);
    let how = if is_new || known.is_some_and(|known| known.partitioned) { "" } else { "CONCURRENTLY " };
    for columns in keys {
        let help = format!("CREATE INDEX {how}ON {} ({})", super::in_sql(&table), super::listed(&columns));
        found.later(-1, help, still(name.clone(), columns));
    }
}

/// The foreign keys that a statement makes, by their columns, and their table.
fn keys(site: &Site<'_>) -> Option<(ObjectRef, Vec<Vec<String>>)> {
    let NodeEnum::CreateStmt(create) = site.node else {
        let (_, table) = site.alter_table()?;
        let own = site.added_constraints().filter_map(|(constraint, _)| key(constraint, None));
        let of_columns = site.added_columns().flat_map(|(column, _)| keys_of(column));
        return Some((table, own.chain(of_columns).collect()));
    };
    // A partition has the keys and indexes of its table.
    let relation = create.relation.as_ref().filter(|_| create.partbound.is_none())?;
    let table = names::relation(ObjectKind::Table, relation);
    if create.if_not_exists && site.known.relation(&table).is_some() {
        return None;
    }
    let of_table = constraints(&create.table_elts).chain(constraints(&create.constraints));
    let own = of_table.filter_map(|constraint| key(constraint, None));
    let of_columns = create.table_elts.iter().flat_map(|node| match node.node.as_ref() {
        Some(NodeEnum::ColumnDef(column)) => keys_of(column),
        _ => Vec::new(),
    });
    Some((table, own.chain(of_columns).collect()))
}

fn keys_of(column: &ColumnDef) -> Vec<Vec<String>> {
    column_constraints(column).filter_map(|constraint| key(constraint, Some(&column.colname))).collect()
}

/// The columns of a constraint that is a foreign key.
fn key(constraint: &Constraint, column: Option<&str>) -> Option<Vec<String>> {
    let listed = constraint.fk_attrs.iter().filter_map(names::text);
    let is_key = constraint.contype() == ConstrType::ConstrForeign;
    is_key.then(|| listed.chain(column).map(str::to_owned).collect())
}

/// Which indexes there are is known at the end of the run.
fn still(name: Name, columns: Vec<String>) -> Still {
    Box::new(move |known| {
        let table = relation_of(&name);
        let relation = known.relation(&table).filter(|relation| relation.columns_known)?;
        let key = |key: &ForeignKey| key.columns.iter().eq(columns.iter());
        let is_there = relation.foreign_keys.iter().any(key);
        if !is_there || known.is_small(&table) || relation.indexes.iter().any(|index| serves(index, &columns))
        {
            return None;
        }
        let (table, columns) = (table.named(), columns.join(", "));
        Some(format!(
            "no index of {table} begins with ({columns}), by which rows of the foreign key are looked for"
        ))
    })
}

/// Whether an index finds the rows of a key: it begins with its columns, in whichever order. One with a condition may.
fn serves(index: &Index, columns: &[String]) -> bool {
    let first: Vec<&str> =
        index.columns.iter().take(columns.len()).filter_map(|key| key.as_deref()).collect();
    first.len() == columns.len() && columns.iter().all(|column| first.contains(&column.as_str()))
}
