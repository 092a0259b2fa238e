//! Sequences that stand for themselves or serve a `serial`; those of identity columns are part of the column.

use super::query::{Row, comment, grants, in_scope, not_a_member, owner, sequence_options};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Sequence], query };

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("c.relacl", "'s'", "c.relowner");
    Row {
        kind: "'sequence'",
        name: ["n.nspname", "NULL", "c.relname", "NULL"],
        addresses: &[("pg_class", "c.oid", "0")],
        attributes: vec![
            ("type", "NULLIF(format_type(s.seqtypid, NULL), 'bigint')".to_owned()),
            ("options", sequence_options("s")),
            ("owned by", "(SELECT format('%I.%I.%I', tn.nspname, t.relname, a.attname) FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
               JOIN pg_namespace tn ON tn.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
               WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a')".to_owned()),
            ("unlogged", "CASE WHEN c.relpersistence = 'u' THEN true END".to_owned()),
            owner("c.relowner"),
            comment("pg_class", "c.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_class c JOIN pg_sequence s ON s.seqrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE c.relpersistence <> 't' AND {}
               AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_class'::regclass AND i.objid = c.oid AND i.deptype = 'i')",
            in_scope(asked),
            not_a_member("pg_class", "c.oid")
        ),
    }
    .sql()
}
