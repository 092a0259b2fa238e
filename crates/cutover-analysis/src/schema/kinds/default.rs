//! Defaults of columns: objects of their own, because the sequence of a `serial` belongs to the column and the default needs
//! the sequence.

use super::query::{Row, in_scope, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Default], query };

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
            not_a_member("pg_class", "c.oid")
        ),
    }
    .sql()
}
