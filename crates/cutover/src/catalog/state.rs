//! Everything a database is made of, each object with a digest of all that the catalogues say of it: whether anything at
//! all has moved between two moments. What changed *within* an object is not told apart; see [`super::objects`] for that.
//!
//! The catalogues are taken as they are, row by row, so that what is not thought of here counts too: privileges, owners,
//! comments, options, kinds of objects that a later major brings. Left out is what moves by itself: statistics, sizes, files,
//! what vacuum keeps, and the identity of indexes, which REINDEX CONCURRENTLY changes.

use std::collections::BTreeMap;

use cutover_analysis::ours::IN_SQL;
use cutover_analysis::sql::{quote_ident, quote_literal};
use cutover_analysis::{column_options, own_schemas};
use cutover_postgres::session::{Failure, Session};

use super::{BEGIN_READING, Fields};

/// Objects and settings of a database by what people call them, each with a digest.
pub type State = BTreeMap<String, String>;

/// Catalogues that are not read row by row as objects of their own: they belong to others ([`OF_RELATIONS`],
/// [`OF_OBJECTS`]), are read in their own way, or hold nothing that is made by a statement about structure.
const NOT_BY_ITSELF: [&str; 7] = [
    "pg_class",
    "pg_attrdef",
    "pg_constraint",
    "pg_trigger",
    "pg_rewrite",
    "pg_policy",
    // Data, as rows of tables are.
    "pg_largeobject_metadata",
];

/// Catalogues whose rows belong to a relation: name, the column that says which, columns that move by themselves, further
/// conditions (`r` is the relation, `x` the row).
const OF_RELATIONS: [(&str, &str, &str, &str); 11] = [
    (
        "pg_attribute",
        "attrelid",
        // The second and third are gone once the table is rewritten; of the last one only what people set is read, below.
        "attcacheoff,atthasmissing,attmissingval,attoptions",
        "x.attnum > 0 AND NOT x.attisdropped AND r.relkind NOT IN ('i', 'I')",
    ),
    ("pg_attrdef", "adrelid", "oid", "true"),
    // Its expressions lose their places in the text when it is built anew: it is read as a definition too.
    ("pg_index", "indexrelid", "indexrelid,indcheckxmin,indexprs,indpred", "true"),
    ("pg_constraint", "conrelid", "oid,conindid", "x.conrelid <> 0"),
    ("pg_trigger", "tgrelid", "oid,tgconstrindid", "true"),
    ("pg_rewrite", "ev_class", "oid", "true"),
    ("pg_policy", "polrelid", "oid", "true"),
    ("pg_inherits", "inhrelid", "", "r.relkind NOT IN ('i', 'I')"),
    ("pg_partitioned_table", "partrelid", "", "true"),
    ("pg_foreign_table", "ftrelid", "", "true"),
    ("pg_sequence", "seqrelid", "", "true"),
];

/// Catalogues whose rows belong to an object of another one: name, that catalogue, the column that says which object.
const OF_OBJECTS: [(&str, &str, &str); 9] = [
    ("pg_aggregate", "pg_proc", "aggfnoid"),
    ("pg_enum", "pg_type", "enumtypid"),
    ("pg_range", "pg_type", "rngtypid"),
    ("pg_amop", "pg_opfamily", "amopfamily"),
    ("pg_amproc", "pg_opfamily", "amprocfamily"),
    ("pg_ts_config_map", "pg_ts_config", "mapcfg"),
    ("pg_publication_rel", "pg_publication", "prpubid"),
    ("pg_publication_namespace", "pg_publication", "pnpubid"),
    ("pg_constraint", "pg_type", "contypid"),
];

/// The first OID of what is made after `initdb`.
const FIRST_NORMAL: u32 = 16384;

/// Relations of people's schemas, each with the object that people know it as part of: an index belongs to its table, the
/// columns of a composite type to the type.
const RELATIONS: &str = concat!(
    "
SELECT c.oid, c.relkind, c.relname,
       CASE c.relkind WHEN 'c' THEN 'pg_catalog.pg_type'::pg_catalog.regclass ELSE 'pg_catalog.pg_class'::pg_catalog.regclass END::oid AS classid,
       CASE WHEN c.relkind = 'c' THEN c.reltype WHEN c.relkind IN ('i', 'I') THEN i.indrelid ELSE c.oid END AS objid
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
 WHERE c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ",
    own_schemas!(),
    ")"
);

/// The rows of `pg_class` themselves, by the columns that statements set.
const CLASS: &str = "
SELECT r.classid, r.objid, 'pg_class',
       pg_catalog.jsonb_build_array(x.relname, x.relnamespace, x.reloftype, x.relowner, x.relam, x.reltablespace, x.relpersistence,
         x.relkind, x.relrowsecurity, x.relforcerowsecurity, x.relreplident, x.relispartition, x.relacl, x.reloptions,
         x.relpartbound)::text
  FROM rel r JOIN pg_catalog.pg_class x ON x.oid = r.oid";

/// Comments, labels, and the ties to extensions that statements make; those of parts of relations go to the relation.
const TIES: &str = "
SELECT coalesce(r.classid, x.classid), coalesce(r.objid, x.objid), x.what, pg_catalog.concat_ws(' ', r.relname, x.words)
  FROM (SELECT classoid AS classid, objoid AS objid, 'comment' AS what, pg_catalog.concat_ws(' ', objsubid, description) AS words
          FROM pg_catalog.pg_description WHERE objoid >= {first} OR classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
         UNION ALL
        SELECT classoid, objoid, 'label', pg_catalog.concat_ws(' ', objsubid, provider, label) FROM pg_catalog.pg_seclabel
         UNION ALL
        SELECT classid, objid, 'extension', pg_catalog.concat_ws(' ', refobjid, deptype) FROM pg_catalog.pg_depend
         WHERE deptype IN ('e', 'x') AND objid >= {first}) x
  LEFT JOIN rel r ON x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND r.oid = x.objid";

/// Who may use what a user mapping says is its own business: of secrets only the names are looked at.
const USER_MAPPINGS: &str = "
SELECT 'pg_catalog.pg_user_mapping'::pg_catalog.regclass::oid, m.umid, 'pg_user_mapping',
       pg_catalog.concat_ws(' ', m.srvid, m.umuser,
         (SELECT pg_catalog.string_agg(CASE WHEN o ~* '^[^=]*(pass|secret|key|token)' THEN pg_catalog.split_part(o, '=', 1) ELSE o END, ' ')
            FROM pg_catalog.unnest(m.umoptions) AS o))
  FROM pg_catalog.pg_user_mappings m";

/// What is no object that can be identified: name and text.
const OTHERS: &str = "
SELECT 'the database itself (owner, privileges, comment)',
       pg_catalog.concat_ws(' ', d.datdba, d.datacl, d.encoding, d.dattablespace, d.datcollate, d.datctype,
                            pg_catalog.shobj_description(d.oid, 'pg_database'))
  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
UNION ALL
SELECT CASE WHEN s.setrole = 0 THEN 'a setting of all roles' ELSE 'a setting of role ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(s.setrole)) END
       || CASE WHEN s.setdatabase = 0 THEN '' ELSE ' in this database' END,
       s.setconfig::text
  FROM pg_catalog.pg_db_role_setting s
 WHERE s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    OR s.setdatabase = 0 AND (s.setrole = 0 OR pg_catalog.pg_get_userbyid(s.setrole) IN (CURRENT_USER, SESSION_USER))
UNION ALL
SELECT 'role ' || pg_catalog.quote_ident(r.rolname) || ' (attributes, memberships)',
       pg_catalog.concat_ws(' ', r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls,
         CASE WHEN NOT r.rolsuper THEN
           (SELECT pg_catalog.string_agg(o.rolname, ' ' ORDER BY o.oid) FROM pg_catalog.pg_roles o WHERE pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER')) END)
  FROM pg_catalog.pg_roles r WHERE r.rolname IN (CURRENT_USER, SESSION_USER)
UNION ALL
SELECT 'subscription ' || pg_catalog.quote_ident(s.subname), pg_catalog.concat_ws(' ', s.subowner, s.subenabled, s.subslotname, s.subpublications)
  FROM pg_catalog.pg_subscription s
 WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
UNION ALL
SELECT 'privileges on the system''s own objects', pg_catalog.string_agg(a.words, ' ' ORDER BY a.words)
  FROM (SELECT pg_catalog.concat_ws(' ', oid, relacl) AS words FROM pg_catalog.pg_class WHERE oid < {first} AND relacl IS NOT NULL
        UNION ALL SELECT pg_catalog.concat_ws(' ', oid, proacl) FROM pg_catalog.pg_proc WHERE oid < {first} AND proacl IS NOT NULL
        UNION ALL SELECT pg_catalog.concat_ws(' ', oid, typacl) FROM pg_catalog.pg_type WHERE oid < {first} AND typacl IS NOT NULL
        UNION ALL SELECT pg_catalog.concat_ws(' ', attrelid, attnum, attacl) FROM pg_catalog.pg_attribute
                   WHERE attrelid < {first} AND attacl IS NOT NULL) a";

/// Types that come along with others: of rows of relations, arrays, multiranges.
const TYPES: &str = "x.typtype <> 'm' AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = x.oid) \
     AND (x.typrelid = 0 OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = x.typrelid AND c.relkind = 'c'))";

/// Reads what all of a database is now, but for the system's own schemas and ours. The session must not be inside a
/// transaction.
///
/// # Errors
/// As the server says.
pub async fn state(session: &mut Session) -> Result<State, Failure> {
    session.execute(BEGIN_READING).await?;
    let read = read(session).await;
    // Whatever the queries said, the transaction must end; its own failure matters only when they went well.
    let end = session.execute("ROLLBACK").await;
    let state = read?;
    end?;
    Ok(state)
}

async fn read(session: &mut Session) -> Result<State, Failure> {
    // Which catalogues there are is the server's to say: a later major has more.
    let catalogues = session
        .query_text(
            "SELECT c.relname, a.attname IS NOT NULL FROM pg_catalog.pg_class c
               LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'oid'
              WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND c.relkind = 'r' AND NOT c.relisshared
                AND pg_catalog.has_table_privilege(c.oid, 'SELECT') ORDER BY 1",
        )
        .await?;
    let mut there = Vec::new();
    for row in catalogues.rows {
        let mut fields = Fields::new(row);
        there.push((fields.text(), fields.flag()));
    }
    let done = session.query_text(&query(&there)).await?;
    let mut state = State::new();
    for row in done.rows {
        let mut fields = Fields::new(row);
        state.insert(name(&fields.text(), &fields.text()), fields.text());
    }
    Ok(state)
}

/// What people call an object: as claims spell it, without `public`.
fn name(kind: &str, identity: &str) -> String {
    if kind.is_empty() {
        return identity.to_owned();
    }
    let kind = if kind == "default acl" { "default privileges" } else { kind };
    let identity = identity.strip_prefix("public.").unwrap_or(identity);
    format!("{kind} {}", identity.replace(" on public.", " on "))
}

/// One row an object: its kind (none for what has none), its name, its digest.
fn query(there: &[(String, bool)]) -> String {
    let is_there = |catalogue: &str| there.iter().any(|(name, _)| name == catalogue);
    let mut parts = vec![CLASS.to_owned(), TIES.to_owned(), USER_MAPPINGS.to_owned()];
    for (catalogue, column, moving, condition) in OF_RELATIONS {
        if is_there(catalogue) {
            let definition = match catalogue {
                "pg_index" => "pg_catalog.pg_get_indexdef(x.indexrelid)",
                "pg_attribute" => {
                    concat!("pg_catalog.concat_ws(' ', r.relname, ", column_options!("x"), ")")
                }
                _ => "r.relname",
            };
            parts.push(format!(
                "SELECT r.classid, r.objid, {}, {definition} || ' ' || {} FROM rel r JOIN pg_catalog.{} x ON x.{} = r.oid WHERE {condition}",
                quote_literal(catalogue),
                row(moving),
                quote_ident(catalogue),
                quote_ident(column),
            ));
        }
    }
    for (catalogue, of, column) in OF_OBJECTS {
        if is_there(catalogue) {
            parts.push(format!(
                "SELECT 'pg_catalog.{of}'::pg_catalog.regclass::oid, x.{column}::oid, {}, {} FROM pg_catalog.{} x WHERE x.{column}::oid >= {FIRST_NORMAL}",
                quote_literal(catalogue),
                row("oid"),
                quote_ident(catalogue),
            ));
        }
    }
    let belongs = |name: &str| OF_OBJECTS.iter().any(|(catalogue, ..)| *catalogue == name);
    for (catalogue, has_oid) in there {
        if !has_oid
            || NOT_BY_ITSELF.contains(&catalogue.as_str())
            || belongs(catalogue)
            || catalogue == "pg_user_mapping"
        {
            continue;
        }
        let condition = match catalogue.as_str() {
            "pg_type" => format!("x.oid >= {FIRST_NORMAL} AND {TYPES}"),
            // Schema public and the languages are there from the beginning, and are changed all the same.
            "pg_namespace" => "x.nspname !~ '^pg_(temp|toast)'".to_owned(),
            "pg_language" | "pg_extension" => "true".to_owned(),
            _ => format!("x.oid >= {FIRST_NORMAL}"),
        };
        parts.push(format!(
            "SELECT x.tableoid, x.oid, {}, {} FROM pg_catalog.{} x WHERE {condition}",
            quote_literal(catalogue),
            row(""),
            quote_ident(catalogue)
        ));
    }
    let digest = |text: &str| {
        format!(
            "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to({text}, pg_catalog.getdatabaseencoding())), 'hex')"
        )
    };
    format!(
        "WITH rel AS MATERIALIZED ({RELATIONS}),
              part (classid, objid, catalogue, words) AS ({}),
              whole AS MATERIALIZED (
                SELECT classid, objid, {} AS digest FROM part WHERE objid IS NOT NULL GROUP BY classid, objid)
         SELECT i.type, i.identity, w.digest FROM whole w, LATERAL pg_catalog.pg_identify_object(w.classid, w.objid, 0) i
          WHERE i.identity IS NOT NULL AND coalesce(i.schema, '') !~ '^pg_' AND coalesce(i.schema, '') NOT IN ('information_schema', {IN_SQL})
            AND NOT (i.type = 'schema' AND i.identity IN ({IN_SQL}))
         UNION ALL
         SELECT '', o.name, {} FROM ({OTHERS}) AS o (name, words)",
        parts.join(" UNION ALL "),
        digest("pg_catalog.string_agg(catalogue || ' ' || words, E'\\n' ORDER BY catalogue COLLATE \"C\", words COLLATE \"C\")"),
        digest("coalesce(o.words, '')"),
    )
    .replace("{first}", &FIRST_NORMAL.to_string())
}

/// A row of a catalogue as text, without some of its columns.
fn row(without: &str) -> String {
    format!("(pg_catalog.to_jsonb(x) OPERATOR(pg_catalog.-) '{{{without}}}'::pg_catalog.text[])::text")
}

/// Settings that decide what the text of a migration means or where what it makes lands.
const TERMS: [&str; 22] = [
    "array_nulls",
    "backslash_quote",
    "bytea_output",
    "check_function_bodies",
    "DateStyle",
    "default_table_access_method",
    "default_tablespace",
    "default_toast_compression",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "escape_string_warning",
    "IntervalStyle",
    "lo_compat_privileges",
    "password_encryption",
    "row_security",
    "search_path",
    "session_replication_role",
    "standard_conforming_strings",
    "TimeZone",
    "transform_null_equals",
    "xmlbinary",
    "xmloption",
];

/// Roles and settings of a session as migrations would find them, by name. The session must have begun as theirs do.
///
/// # Errors
/// As the server says.
pub async fn terms(session: &mut Session) -> Result<BTreeMap<String, String>, Failure> {
    let names: Vec<String> = TERMS.iter().map(|name| quote_literal(name)).collect();
    let done = session
        .query_text(&format!(
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ({})
             UNION ALL SELECT 'role', CURRENT_USER UNION ALL SELECT 'session_user', SESSION_USER",
            names.join(", ")
        ))
        .await?;
    let mut terms = BTreeMap::new();
    for row in done.rows {
        let mut fields = Fields::new(row);
        terms.insert(fields.text(), fields.text());
    }
    Ok(terms)
}
