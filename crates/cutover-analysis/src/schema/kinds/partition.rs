//! That a table is a partition of another one: an object of its own, because it begins when both are there and may end while
//! both stay.

use super::query::{Row, in_scope, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Partition], query };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'partition'",
        name: ["n.nspname", "c.relname", "c.relname", "NULL"],
        addresses: &[],
        attributes: vec![
            ("of", "(SELECT format('%I.%I', pn.nspname, p.relname) FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE h.inhrelid = c.oid)".to_owned()),
            ("schema of parent", "(SELECT pn.nspname FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE h.inhrelid = c.oid)".to_owned()),
            ("name of parent", "(SELECT p.relname FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent WHERE h.inhrelid = c.oid)".to_owned()),
            ("bound", "pg_get_expr(c.relpartbound, c.oid)".to_owned()),
        ],
        from: format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE c.relispartition AND c.relkind IN ('r', 'p', 'f') AND {}",
            in_scope(asked),
            not_a_member("pg_class", "c.oid")
        ),
    }
    .sql()
}
