//! Primary keys that run out.

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnDef, ConstrType, Constraint};

use super::{Look, Rule};
use crate::effects::{ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "int-primary-key",
        severity: Severity::Warning,
        on: false,
        why: "An integer key ends at 2147483647: from then on no row can be added, and a wider type rewrites the table and all that point to it.",
        safe: "bigint",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE TABLE users (id int PRIMARY KEY);"),
            Example::of("CREATE TABLE users (id serial, PRIMARY KEY (id));"),
            Example::of("CREATE TABLE users (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);"),
            Example::of("ALTER TABLE users ADD PRIMARY KEY (id);").over("CREATE TABLE users (id int);"),
            Example::of("ALTER TABLE users ADD COLUMN id int PRIMARY KEY;"),
        ],
        good: &[
            Example::of("CREATE TABLE users (id bigint PRIMARY KEY);"),
            Example::of("CREATE TABLE users (id uuid PRIMARY KEY, age int);"),
            Example::of("CREATE TABLE users (id bigserial PRIMARY KEY);"),
            Example::of("CREATE TABLE lines (part int, at int, PRIMARY KEY (part, at));"),
            Example::of("ALTER TABLE users ADD PRIMARY KEY (id);"),
            Example::of("ALTER TABLE users ADD CONSTRAINT k PRIMARY KEY USING INDEX i;")
                .over("CREATE TABLE users (id int);"),
            Example::of("CREATE TEMP TABLE t (id int PRIMARY KEY);"),
            Example::of("CREATE TABLE users (id int UNIQUE);"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let typed = site.typed_columns();
    for (table, column) in keys(site).into_iter().filter(|(table, _)| !site.is_temporary(table)) {
        let given = typed.iter().find(|(_, name, _)| *name == column);
        let given = given.and_then(|(.., data_type)| names::text(data_type.names.last()?));
        let known = site.known.column(&table, &column).map(|known| known.data_type.name.as_str());
        if given.or(known).is_some_and(is_narrow) {
            let column = names::part_of(ObjectKind::Column, &table, column);
            found.say(format!("{} is a key that ends, at the latest at 2147483647", column.named()));
        }
    }
}

fn is_narrow(name: &str) -> bool {
    matches!(name, "int4" | "int2" | "serial" | "serial4" | "smallserial" | "serial2")
}

/// The primary keys of one column that a statement makes, with their tables. Of several columns each may repeat.
fn keys(site: &Site<'_>) -> Vec<(ObjectRef, String)> {
    let mut columns: Vec<(&ColumnDef, ObjectRef)> = site.added_columns().collect();
    let mut constraints: Vec<(&Constraint, ObjectRef)> = site.added_constraints().collect();
    if let NodeEnum::CreateStmt(create) = site.node
        && let Some(relation) = &create.relation
    {
        let table = names::relation(ObjectKind::Table, relation);
        for node in &create.table_elts {
            if let Some(NodeEnum::ColumnDef(column)) = node.node.as_ref() {
                columns.push((column, table.clone()));
            }
        }
        let all = site::constraints(&create.table_elts).chain(site::constraints(&create.constraints));
        constraints.extend(all.map(|constraint| (constraint, table.clone())));
    }
    let is_key = |constraint: &&Constraint| constraint.contype() == ConstrType::ConstrPrimary;
    let of_columns = columns
        .into_iter()
        .filter(|(column, _)| site::column_constraints(column).any(|one| is_key(&one)))
        .map(|(column, table)| (table, column.colname.clone()));
    let of_table = constraints.into_iter().filter(|(constraint, _)| is_key(constraint)).filter_map(
        |(constraint, table)| match constraint.keys.as_slice() {
            [only] => Some((table, names::text(only)?.to_owned())),
            _ => None,
        },
    );
    of_columns.chain(of_table).collect()
}
