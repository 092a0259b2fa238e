//! Domains with their constraints.

use super::query::{Row, comment, grants, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Domain], query };

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("t.typacl", "'T'", "t.typowner");
    Row {
        kind: "'domain'",
        name: ["n.nspname", "NULL", "t.typname", "NULL"],
        addresses: &[
            ("pg_type", "t.oid", "0"),
            ("pg_type", "NULLIF(t.typarray, 0)", "0"),
            ("pg_constraint", "(SELECT min(k.oid) FROM pg_constraint k WHERE k.contypid = t.oid)", "0"),
        ],
        attributes: vec![
            ("type", "format_type(t.typbasetype, t.typtypmod)".to_owned()),
            ("collation", "CASE WHEN t.typcollation <> bt.typcollation THEN (SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = t.typcollation) END".to_owned()),
            ("not null", "CASE WHEN t.typnotnull THEN true END".to_owned()),
            ("default", "t.typdefault".to_owned()),
            ("constraints", "(SELECT json_agg('CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid) ORDER BY k.conname COLLATE \"C\") FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c')".to_owned()),
            owner("t.typowner"),
            comment("pg_type", "t.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace AND {} JOIN pg_type bt ON bt.oid = t.typbasetype
             WHERE t.typtype = 'd' AND {}",
            in_scope(asked),
            not_a_member("pg_type", "t.oid")
        ),
    }
    .sql()
}
