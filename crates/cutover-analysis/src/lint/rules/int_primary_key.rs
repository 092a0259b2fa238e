//! Primary keys that run out.

use crate::effects::{ObjectKind, ObjectRef, names};
use crate::lint::site;
use pg_query::NodeEnum;
use pg_query::protobuf::ConstrType;

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};

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
    let mut keys: Vec<(ObjectRef, String)> = Vec::new();
    for (definition, table) in definitions(site) {
        match definition {
            NodeEnum::ColumnDef(column) => {
                let is_key =
                    site::column_constraints(column).any(|one| one.contype() == ConstrType::ConstrPrimary);
                keys.extend(is_key.then(|| (table, column.colname.clone())));
            }
            NodeEnum::Constraint(constraint) if constraint.contype() == ConstrType::ConstrPrimary => {
                // Of several columns each may repeat.
                if let [only] = constraint.keys.as_slice() {
                    keys.extend(names::text(only).map(|column| (table, column.to_owned())));
                }
            }
            _ => {}
        }
    }
    for (table, column) in keys.into_iter().filter(|(table, _)| !site.is_temporary(table)) {
        let given = typed.iter().find(|(_, name, _)| *name == column);
        let given = given.and_then(|(.., data_type)| names::text(data_type.names.last()?));
        let known = site.known.context.column(&table, &column).map(|known| known.data_type.name.as_str());
        if given.or(known).is_some_and(is_narrow) {
            let column = names::part_of(ObjectKind::Column, &table, column);
            found.say(format!("{} is a key that ends, at the latest at 2147483647", column.named()));
        }
    }
}

fn is_narrow(name: &str) -> bool {
    matches!(name, "int4" | "int2" | "serial" | "serial4" | "smallserial" | "serial2")
}

/// Columns and constraints that a statement defines, with their tables.
fn definitions<'a>(site: &Site<'a>) -> Vec<(&'a NodeEnum, ObjectRef)> {
    if let NodeEnum::CreateStmt(create) = site.node
        && let Some(relation) = &create.relation
    {
        let table = names::relation(ObjectKind::Table, relation);
        let nodes = create.table_elts.iter().chain(&create.constraints);
        return nodes.filter_map(|node| Some((node.node.as_ref()?, table.clone()))).collect();
    }
    site.commands().filter_map(|(command, table)| Some((site::definition(command)?, table))).collect()
}
