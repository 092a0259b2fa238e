//! Constraints of tables with the indexes behind them. NOT NULL is the column's, triggers that are constraints are triggers.

use super::query::{Row, comment, flag, in_scope, not_a_member, sorted};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Constraint], query };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'constraint'",
        name: ["n.nspname", "c.relname", "k.conname", "NULL"],
        addresses: &[
            ("pg_constraint", "k.oid", "0"),
            ("pg_class", "CASE WHEN k.contype IN ('p', 'u', 'x') THEN NULLIF(k.conindid, 0) END", "0"),
        ],
        attributes: vec![
            ("definition", "pg_get_constraintdef(k.oid)".to_owned()),
            ("options", format!("CASE WHEN k.contype IN ('p', 'u', 'x') THEN {} END", sorted("i.reloptions"))),
            ("tablespace", "CASE WHEN k.contype IN ('p', 'u', 'x') THEN (SELECT ts.spcname FROM pg_tablespace ts WHERE ts.oid = i.reltablespace) END".to_owned()),
            ("inherited", flag("NOT k.conislocal OR k.conparentid <> 0")),
            comment("pg_constraint", "k.oid"),
        ],
        from: format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {} JOIN pg_constraint k ON k.conrelid = c.oid
             LEFT JOIN pg_class i ON i.oid = k.conindid
             WHERE k.contype IN ('p', 'u', 'x', 'c', 'f') AND c.relpersistence <> 't' AND {}",
            in_scope(asked),
            not_a_member("pg_class", "c.oid")
        ),
    }
    .sql()
}
