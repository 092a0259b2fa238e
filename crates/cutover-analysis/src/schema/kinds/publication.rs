//! Publications: what is published, and which changes.

use super::query::{Row, comment, everything, flag, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Publication], query };

/// Columns and rows of a table can be chosen, and whole schemas published.
const WITH_SCHEMAS: u32 = 150_000;

fn query(asked: &Asked<'_>) -> String {
    let (columns, schemas) = if asked.server_version >= WITH_SCHEMAS {
        (
            "|| coalesce((SELECT ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')' FROM pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)), '')
             || coalesce(' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')', '')",
            "(SELECT json_agg(quote_ident(pn.nspname) ORDER BY pn.nspname COLLATE \"C\") FROM pg_publication_namespace s JOIN pg_namespace pn ON pn.oid = s.pnnspid WHERE s.pnpubid = p.oid)",
        )
    } else {
        ("", "NULL")
    };
    let tables = format!(
        "(SELECT json_agg(w.text ORDER BY w.text COLLATE \"C\") FROM (SELECT format('%I.%I', tn.nspname, t.relname) {columns} FROM pg_publication_rel r
           JOIN pg_class t ON t.oid = r.prrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace WHERE r.prpubid = p.oid) w(text))"
    );
    Row {
        kind: "'publication'",
        name: ["NULL", "NULL", "p.pubname", "NULL"],
        addresses: &[("pg_publication", "p.oid", "0")],
        attributes: vec![
            ("all tables", flag("p.puballtables")),
            ("publish", "CASE WHEN NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate) THEN concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END, CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END) END".to_owned()),
            ("via root", flag("(to_jsonb(p) ->> 'pubviaroot')::boolean")),
            ("generated columns", "NULLIF(to_jsonb(p) ->> 'pubgencols', 'n')".to_owned()),
            ("tables", tables),
            ("schemas", schemas.to_owned()),
            owner("p.pubowner"),
            comment("pg_publication", "p.oid"),
        ],
        from: format!(
            "FROM pg_publication p WHERE {} AND {}",
            everything(asked),
            not_a_member("pg_publication", "p.oid")
        ),
    }
    .sql()
}
