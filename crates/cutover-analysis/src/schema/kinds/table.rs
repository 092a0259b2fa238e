//! Tables, partitioned, partitions and foreign ones too: what is theirs as a whole. Columns, keys and the like are objects of
//! their own, and so is being a partition of another table.

use super::query::{Row, comment, flag, grants, in_scope, not_a_member, owner, sorted};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Table, ObjectKind::ForeignTable], query };

/// Storage parameters of a relation and of its TOAST table, as WITH spells them.
pub(super) fn options(relation: &str) -> String {
    format!(
        "(SELECT json_agg(o ORDER BY o COLLATE \"C\") FROM (SELECT unnest({relation}.reloptions) UNION ALL
           SELECT 'toast.' || unnest(tc.reloptions) FROM pg_class tc WHERE tc.oid = {relation}.reltoastrelid) x(o))"
    )
}

/// The access method where it is not the usual one, and the tablespace where it is not the database's.
pub(super) fn place(relation: &str) -> [(&'static str, String); 2] {
    [
        ("access method", format!("(SELECT NULLIF(am.amname, 'heap') FROM pg_am am WHERE am.oid = {relation}.relam)")),
        ("tablespace", format!("(SELECT ts.spcname FROM pg_tablespace ts WHERE ts.oid = {relation}.reltablespace)")),
    ]
}

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("c.relacl", "'r'", "c.relowner");
    let [method, tablespace] = place("c");
    let index_where = |condition: &str| {
        format!(
            "(SELECT ic.relname FROM pg_index ix JOIN pg_class ic ON ic.oid = ix.indexrelid WHERE ix.indrelid = c.oid AND ix.{condition})"
        )
    };
    Row {
        kind: "CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'table' END",
        name: ["n.nspname", "NULL", "c.relname", "NULL"],
        addresses: &[
            ("pg_class", "c.oid", "0"),
            ("pg_type", "c.reltype", "0"),
            ("pg_type", "(SELECT NULLIF(rt.typarray, 0) FROM pg_type rt WHERE rt.oid = c.reltype)", "0"),
        ],
        attributes: vec![
            ("unlogged", flag("c.relpersistence = 'u'")),
            ("partition key", "CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END".to_owned()),
            ("inherits", "CASE WHEN NOT c.relispartition THEN (SELECT json_agg(h.inhparent::regclass::text ORDER BY h.inhseqno) FROM pg_inherits h WHERE h.inhrelid = c.oid) END".to_owned()),
            ("of type", "NULLIF(c.reloftype, 0)::regtype::text".to_owned()),
            ("options", options("c")),
            ("row security", flag("c.relrowsecurity")),
            ("force row security", flag("c.relforcerowsecurity")),
            ("replica identity", format!("CASE c.relreplident WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL' WHEN 'i' THEN 'USING INDEX ' || quote_ident({}) END", index_where("indisreplident"))),
            ("clustered on", format!("quote_ident({})", index_where("indisclustered"))),
            ("server", "(SELECT s.srvname FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid)".to_owned()),
            ("foreign options", format!("(SELECT {} FROM pg_foreign_table f WHERE f.ftrelid = c.oid)", sorted("f.ftoptions"))),
            method,
            tablespace,
            owner("c.relowner"),
            comment("pg_class", "c.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND {}",
            in_scope(asked),
            not_a_member("pg_class", "c.oid")
        ),
    }
    .sql()
}
