//! Indexes that stand for themselves; those behind constraints are part of the constraint.

use super::query::{Row, comment, flag, in_scope, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Index], query };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'index'",
        name: ["n.nspname", "t.relname", "c.relname", "NULL"],
        addresses: &[("pg_class", "c.oid", "0")],
        attributes: vec![
            ("definition", "pg_get_indexdef(c.oid)".to_owned()),
            ("tablespace", "(SELECT ts.spcname FROM pg_tablespace ts WHERE ts.oid = c.reltablespace)".to_owned()),
            ("invalid", flag("NOT x.indisvalid")),
            ("partition of", "CASE WHEN c.relispartition THEN (SELECT format('%I.%I', pn.nspname, p.relname) FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE h.inhrelid = c.oid) END".to_owned()),
            ("statistics", "(SELECT json_agg(a.attnum || ' ' || a.attstattarget ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attstattarget >= 0)".to_owned()),
            comment("pg_class", "c.oid"),
        ],
        from: format!(
            "FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE c.relpersistence <> 't' AND t.relkind IN ('r', 'p', 'm') AND {}
               AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))",
            in_scope(asked),
            not_a_member("pg_class", "t.oid")
        ),
    }
    .sql()
}
