//! Schemas.

use super::query::{Row, comment, grants, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Schema], query };

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("n.nspacl", "'n'", "n.nspowner");
    Row {
        kind: "'schema'",
        name: ["NULL", "NULL", "n.nspname", "NULL"],
        addresses: &[("pg_namespace", "n.oid", "0")],
        // What everybody finds in a new database is no work of anybody: who owns `public` and who may create in it
        // differs between versions.
        attributes: vec![owner("CASE WHEN n.oid >= 16384 THEN n.nspowner END"), comment_of_ours(), granted, revoked],
        from: format!(
            "FROM pg_namespace n WHERE {} AND {}",
            in_scope(asked),
            not_a_member("pg_namespace", "n.oid")
        ),
    }
    .sql()
}

/// `public` has a comment from the beginning.
fn comment_of_ours() -> (&'static str, String) {
    let (name, sql) = comment("pg_namespace", "n.oid");
    (name, format!("NULLIF({sql}, CASE n.nspname WHEN 'public' THEN 'standard public schema' ELSE '' END)"))
}
