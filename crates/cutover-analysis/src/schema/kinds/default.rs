//! Defaults of columns: objects of their own, because the sequence of a `serial` belongs to the column and the default needs
//! the sequence.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, text};
use super::query::{Row, in_scope, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::quote_ident;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Default],
    present: Some("pg_attrdef WHERE oid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'default'",
        name: ["n.nspname", "c.relname", "a.attname", "NULL"],
        addresses: &[("pg_attrdef", "d.oid", "0")],
        attributes: vec![("expression", "pg_get_expr(d.adbin, d.adrelid)".to_owned())],
        from: format!(
            "FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum
             WHERE a.attgenerated = '' AND c.relpersistence <> 't' AND {}",
            in_scope(asked),
            not_a_member(asked, "pg_class", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making = Making { target, grantee: None, create, change, drop, remade: true };

fn target(id: &Id) -> String {
    format!("COLUMN {}.{}", id.table_sql(), quote_ident(&id.name))
}

/// Views have defaults too; ALTER TABLE takes them. A partition's is its own.
fn alter(id: &Id) -> String {
    format!("ALTER TABLE ONLY {} ALTER COLUMN {}", id.table_sql(), quote_ident(&id.name))
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    vec![Sql::new(format!("{} SET DEFAULT {}", alter(id), object.text("expression").unwrap_or_default()))]
}

fn change(change: &mut Change<'_>) {
    if let Some((_, to)) = change.take("expression") {
        change.push(format!("{} SET DEFAULT {}", alter(change.id), text(to).unwrap_or_default()));
    }
}

fn drop(id: &Id, _: &Object, _: &World<'_>) -> Vec<Sql> {
    vec![Sql::new(format!("{} DROP DEFAULT", alter(id)))]
}
