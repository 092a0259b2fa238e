//! Row-level security policies.

use super::query::{Row, comment, flag, in_scope, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Policy], query };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'policy'",
        name: ["n.nspname", "c.relname", "p.polname", "NULL"],
        addresses: &[("pg_policy", "p.oid", "0")],
        attributes: vec![
            ("restrictive", flag("NOT p.polpermissive")),
            ("command", "CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END".to_owned()),
            ("roles", "CASE WHEN p.polroles <> '{0}' THEN (SELECT json_agg(quote_ident(pg_get_userbyid(r)) ORDER BY pg_get_userbyid(r) COLLATE \"C\") FROM unnest(p.polroles) r) END".to_owned()),
            ("using", "pg_get_expr(p.polqual, p.polrelid)".to_owned()),
            ("with check", "pg_get_expr(p.polwithcheck, p.polrelid)".to_owned()),
            comment("pg_policy", "p.oid"),
        ],
        from: format!(
            "FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member("pg_policy", "p.oid")
        ),
    }
    .sql()
}
