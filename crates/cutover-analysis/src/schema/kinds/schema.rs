//! Schemas.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, by_word, never, plain_drop};
use super::query::{Row, comment, grants_besides, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Schema], present: None, query, making: MAKING };

fn query(asked: &Asked<'_>) -> String {
    let at_first = "coalesce((SELECT ip.initprivs FROM pg_init_privs ip WHERE ip.classoid = 'pg_namespace'::regclass AND ip.objoid = n.oid), \
                    acldefault('n', n.nspowner))";
    let [granted, revoked] = grants_besides("n.nspacl", at_first);
    Row {
        kind: "'schema'",
        name: ["NULL", "NULL", "n.nspname", "NULL"],
        addresses: &[("pg_namespace", "n.oid", "0")],
        // What everybody finds in a new database is no work of anybody: who owns `public` and who may create in it
        // differs between versions. These are the one that made the server, and `pg_database_owner` (14+).
        attributes: vec![
            owner("CASE WHEN n.oid >= 16384 OR n.nspowner NOT IN (10, 6171) THEN n.nspowner END"),
            comment_of_ours(),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_namespace n WHERE {} AND {}",
            in_scope(asked),
            not_a_member(asked, "pg_namespace", "n.oid")
        ),
    }
    .sql()
}

/// `public` has a comment from the beginning.
fn comment_of_ours() -> (&'static str, String) {
    let (name, sql) = comment("pg_namespace", "n.oid");
    (name, format!("NULLIF({sql}, CASE n.nspname WHEN 'public' THEN 'standard public schema' ELSE '' END)"))
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change: never, drop: plain_drop, remade: false };

fn create(id: &Id, _: &Object, _: &World<'_>) -> Vec<Sql> {
    vec![Sql::new(format!("CREATE SCHEMA {}", id.name_sql()))]
}
