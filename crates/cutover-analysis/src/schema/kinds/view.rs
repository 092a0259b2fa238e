//! Views and materialized views.

use super::query::{Row, comment, grants, in_scope, not_a_member, owner, sorted};
use super::table::place;
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::View, ObjectKind::MaterializedView], query };

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("c.relacl", "'r'", "c.relowner");
    let [method, tablespace] = place("c");
    Row {
        kind: "CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END",
        name: ["n.nspname", "NULL", "c.relname", "NULL"],
        addresses: &[
            ("pg_class", "c.oid", "0"),
            ("pg_type", "c.reltype", "0"),
            ("pg_rewrite", "(SELECT rw.oid FROM pg_rewrite rw WHERE rw.ev_class = c.oid AND rw.rulename = '_RETURN')", "0"),
        ],
        attributes: vec![
            // Which columns there are decides whether CREATE OR REPLACE can change it.
            ("columns", "(SELECT json_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)".to_owned()),
            ("definition", "rtrim(pg_get_viewdef(c.oid), ';')".to_owned()),
            ("options", sorted("c.reloptions")),
            ("clustered on", "(SELECT quote_ident(ic.relname) FROM pg_index ix JOIN pg_class ic ON ic.oid = ix.indexrelid WHERE ix.indrelid = c.oid AND ix.indisclustered)".to_owned()),
            method,
            tablespace,
            owner("c.relowner"),
            comment("pg_class", "c.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND {}",
            in_scope(asked),
            not_a_member("pg_class", "c.oid")
        ),
    }
    .sql()
}
