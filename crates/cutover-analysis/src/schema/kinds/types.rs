//! Types: enums, composites, ranges, and base types, which are only looked at.

use super::query::{Row, comment, grants, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Type], query };

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("t.typacl", "'T'", "t.typowner");
    let range = |column: &str| format!("(SELECT {column} FROM pg_range r WHERE r.rngtypid = t.oid)");
    Row {
        kind: "'type'",
        name: ["n.nspname", "NULL", "t.typname", "NULL"],
        addresses: &[
            ("pg_type", "t.oid", "0"),
            ("pg_type", "NULLIF(t.typarray, 0)", "0"),
            ("pg_class", "NULLIF(t.typrelid, 0)", "0"),
            ("pg_type", "(SELECT (to_jsonb(r) ->> 'rngmultitypid')::oid FROM pg_range r WHERE r.rngtypid = t.oid)", "0"),
        ],
        attributes: vec![
            ("form", "CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite' WHEN 'r' THEN 'range' ELSE CASE WHEN t.typisdefined THEN 'base' ELSE 'shell' END END".to_owned()),
            ("values", "(SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid)".to_owned()),
            ("attributes", "CASE WHEN t.typtype = 'c' THEN (SELECT json_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attcollation <> ty.typcollation THEN (SELECT format(' COLLATE %I.%I', cn.nspname, co.collname) FROM pg_collation co
                    JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) ELSE '' END ORDER BY a.attnum)
               FROM pg_attribute a JOIN pg_type ty ON ty.oid = a.atttypid WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) END".to_owned()),
            ("subtype", range("format_type(r.rngsubtype, NULL)")),
            ("subtype operator class", range("(SELECT format('%I.%I', cn.nspname, oc.opcname) FROM pg_opclass oc JOIN pg_namespace cn ON cn.oid = oc.opcnamespace WHERE oc.oid = r.rngsubopc AND NOT oc.opcdefault)")),
            ("collation", range("(SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace JOIN pg_type st ON st.oid = r.rngsubtype WHERE co.oid = r.rngcollation AND r.rngcollation <> st.typcollation)")),
            ("canonical function", range("NULLIF(r.rngcanonical, 0)::regproc::text")),
            ("subtype difference function", range("NULLIF(r.rngsubdiff, 0)::regproc::text")),
            ("multirange", range("(SELECT NULLIF(mt.typname, CASE WHEN t.typname ~ 'range' THEN regexp_replace(t.typname, 'range', 'multirange') ELSE t.typname || '_multirange' END) FROM pg_type mt WHERE mt.oid = (to_jsonb(r) ->> 'rngmultitypid')::oid)")),
            ("definition", "CASE WHEN t.typtype = 'b' AND t.typisdefined THEN concat_ws(', ', 'INPUT = ' || t.typinput::regproc, 'OUTPUT = ' || t.typoutput::regproc,
               'INTERNALLENGTH = ' || t.typlen, CASE WHEN t.typbyval THEN 'PASSEDBYVALUE' END, 'ALIGNMENT = ' || t.typalign::text, 'STORAGE = ' || t.typstorage::text, 'CATEGORY = ' || t.typcategory::text) END".to_owned()),
            owner("t.typowner"),
            comment("pg_type", "t.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace AND {}
             WHERE t.typtype IN ('e', 'c', 'r', 'b', 'p') AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
               AND NOT EXISTS (SELECT FROM pg_type el WHERE el.typarray = t.oid) AND {}",
            in_scope(asked),
            not_a_member("pg_type", "t.oid")
        ),
    }
    .sql()
}
