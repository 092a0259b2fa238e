//! A foreign key whose columns have no index.

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, ConstrType, Constraint};

use super::{Look, Rule, Watch};
use crate::effects::{Index, ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::linter::FileEnd;
use crate::lint::site::{Found, Site, column_constraints, constraints};

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
            Example::of("CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers); CREATE INDEX ON orders (customer_id);"),
            Example::of("CREATE TABLE orders (a int, b int, PRIMARY KEY (b, a, c), c int, FOREIGN KEY (a, b) REFERENCES p (a, b));"),
            Example::of("CREATE TABLE orders (id int PRIMARY KEY REFERENCES things);"),
            Example::of("ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;").over("CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (customer_id int, at date); CREATE INDEX ON orders (customer_id, at);"),
            Example::of("ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;"),
            Example::of("CREATE TEMP TABLE orders (customer_id int REFERENCES customers);"),
            Example::of("ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;").over("CREATE TABLE customers (id int PRIMARY KEY); CREATE TABLE orders (customer_id int);").with_empty(&["public.orders"]),
        ],
    },
    look: Look::File(|| Box::new(Keys::default())),
};

/// The new foreign keys of a file; which indexes there are is known at its end.
#[derive(Default)]
struct Keys(Vec<Key>);

struct Key {
    number: usize,
    table: ObjectRef,
    columns: Vec<String>,
}

impl Watch for Keys {
    fn statement(&mut self, site: &Site<'_>, _found: &mut Found<'_>) {
        if let NodeEnum::CreateStmt(create) = site.node {
            // A partition has the keys and indexes of its table.
            let Some(relation) = create.relation.as_ref().filter(|_| create.partbound.is_none()) else {
                return;
            };
            let table = names::relation(ObjectKind::Table, relation);
            for constraint in constraints(&create.table_elts).chain(constraints(&create.constraints)) {
                self.add(constraint, None, &table, site);
            }
            for node in &create.table_elts {
                if let Some(NodeEnum::ColumnDef(column)) = node.node.as_ref() {
                    self.add_column(column, &table, site);
                }
            }
        }
        for (constraint, table) in site.added_constraints() {
            self.add(constraint, None, &table, site);
        }
        for (column, table) in site.added_columns() {
            self.add_column(column, &table, site);
        }
    }

    fn end(self: Box<Self>, end: &FileEnd<'_>, found: &mut Found<'_>) {
        for Key { number, table, columns } in self.0 {
            let Some(known) = end.known.relation(&table).filter(|known| known.columns_known) else {
                continue;
            };
            if end.known.is_small(&table) || known.indexes.iter().any(|index| serves(index, &columns)) {
                continue;
            }
            let is_plain = known.partitioned || end.known.is_new(&table);
            let (table, columns) = (table.named(), columns.join(", "));
            let message = format!(
                "no index of {table} begins with ({columns}), by which rows of the foreign key are looked for"
            );
            // Concurrently none is built on a partitioned table, and on a new one there is no need to.
            let how = if is_plain { "" } else { "CONCURRENTLY " };
            let help = format!("CREATE INDEX {how}ON {table} ({columns})");
            found.advise_of(number, end.span(number), message, help);
        }
    }
}

impl Keys {
    fn add_column(&mut self, column: &ColumnDef, table: &ObjectRef, site: &Site<'_>) {
        for constraint in column_constraints(column) {
            self.add(constraint, Some(&column.colname), table, site);
        }
    }

    fn add(&mut self, constraint: &Constraint, column: Option<&str>, table: &ObjectRef, site: &Site<'_>) {
        if constraint.contype() != ConstrType::ConstrForeign || table.is_temporary() {
            return;
        }
        let listed = constraint.fk_attrs.iter().filter_map(names::text);
        let columns = listed.chain(column).map(str::to_owned).collect();
        let (number, table) = (site.number, table.clone());
        self.0.push(Key { number, table, columns });
    }
}

/// Whether an index finds the rows of a key: it begins with its columns, in whichever order. One with a condition may.
fn serves(index: &Index, columns: &[String]) -> bool {
    let first: Vec<&str> =
        index.columns.iter().take(columns.len()).filter_map(|key| key.as_deref()).collect();
    first.len() == columns.len() && columns.iter().all(|column| first.contains(&column.as_str()))
}
