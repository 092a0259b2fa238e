//! Columns. Of views, only those of which something is said; of composite types, only comments.

use super::query::{Row, flag, grants, in_scope, not_a_member, sequence_options, sorted};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Column], query };

/// From 18 on NOT NULL is a constraint with a name.
const NAMED_NOT_NULL: u32 = 180_000;

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("a.attacl", "'c'", "c.relowner");
    let not_null = if asked.server_version >= NAMED_NOT_NULL {
        "CASE WHEN a.attnotnull THEN coalesce((SELECT NULLIF('CONSTRAINT ' || quote_ident(k.conname) || ' ', 'CONSTRAINT ' || quote_ident(c.relname || '_' || a.attname || '_not_null') || ' ')
           FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]), '') || 'NOT NULL'
           || coalesce((SELECT CASE WHEN k.connoinherit THEN ' NO INHERIT' ELSE '' END || CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END
           FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum]), '') END"
    } else {
        "CASE WHEN a.attnotnull THEN 'NOT NULL' END"
    };
    let of_table = |sql: &str| format!("CASE WHEN c.relkind IN ('r', 'p', 'f') THEN {sql} END");
    Row {
        kind: "'column'",
        name: ["n.nspname", "c.relname", "a.attname", "NULL"],
        addresses: &[
            ("pg_class", "c.oid", "a.attnum"),
            ("pg_class", "i.sequence", "0"),
            ("pg_attrdef", "CASE WHEN a.attgenerated <> '' THEN d.oid END", "0"),
        ],
        attributes: vec![
            ("type", of_table("format_type(a.atttypid, a.atttypmod)")),
            ("collation", of_table("CASE WHEN a.attcollation <> t.typcollation THEN (SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END")),
            ("not null", of_table(not_null)),
            ("generated", "CASE a.attgenerated WHEN 's' THEN pg_get_expr(d.adbin, d.adrelid) || ' STORED' WHEN 'v' THEN pg_get_expr(d.adbin, d.adrelid) || ' VIRTUAL' END".to_owned()),
            ("identity", "CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END".to_owned()),
            ("sequence", format!("CASE WHEN i.sequence IS NOT NULL THEN (SELECT {} FROM pg_sequence s WHERE s.seqrelid = i.sequence) END", sequence_options("s"))),
            ("sequence name", "CASE WHEN i.sequence IS NOT NULL THEN (SELECT CASE WHEN sc.relname <> c.relname || '_' || a.attname || '_seq' OR sc.relnamespace <> c.relnamespace THEN sc.oid::regclass::text END FROM pg_class sc WHERE sc.oid = i.sequence) END".to_owned()),
            ("storage", of_table("CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END")),
            ("compression", "CASE to_jsonb(a) ->> 'attcompression' WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END".to_owned()),
            ("statistics", "CASE WHEN a.attstattarget >= 0 THEN a.attstattarget::text END".to_owned()),
            ("options", sorted("a.attoptions")),
            ("foreign options", sorted("a.attfdwoptions")),
            ("inherited", flag("a.attinhcount > 0 AND NOT a.attislocal")),
            ("comment", "de.description".to_owned()),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             JOIN pg_type t ON t.oid = a.atttypid
             LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
             LEFT JOIN pg_description de ON de.classoid = 'pg_class'::regclass AND de.objoid = c.oid AND de.objsubid = a.attnum
             LEFT JOIN LATERAL (SELECT p.objid AS sequence FROM pg_depend p WHERE a.attidentity <> '' AND p.classid = 'pg_class'::regclass
               AND p.refclassid = 'pg_class'::regclass AND p.refobjid = c.oid AND p.refobjsubid = a.attnum AND p.deptype = 'i') i ON true
             WHERE c.relpersistence <> 't' AND {}
               AND (c.relkind IN ('r', 'p', 'f')
                    OR c.relkind = 'v' AND (de.description IS NOT NULL OR a.attacl IS NOT NULL)
                    OR c.relkind = 'm' AND (de.description IS NOT NULL OR a.attacl IS NOT NULL OR a.attstattarget >= 0 OR a.attoptions IS NOT NULL)
                    OR c.relkind = 'c' AND de.description IS NOT NULL)
             ORDER BY c.oid, a.attnum",
            in_scope(asked),
            not_a_member("pg_class", "c.oid")
        ),
    }
    .sql()
}
