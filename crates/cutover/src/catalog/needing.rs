//! What needs relations or columns of them and does not go with them: without CASCADE PostgreSQL does not drop what it needs,
//! and does not change the type of such a column.

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, by_word};
use cutover_postgres::session::{Failure, Session};

/// Something that needs another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needing {
    /// Which of those that were asked about.
    pub(crate) of: usize,
    /// What needs it.
    pub(crate) id: Id,
    /// The relation or routine that this is or belongs to.
    pub(crate) whole: String,
}

impl Needing {
    /// Whether no other type is given to a column that it needs: a constraint, or a column of the type of a table's rows, is of
    /// another kind.
    pub(crate) fn holds_types(&self) -> bool {
        !matches!(self.id.kind, ObjectKind::Constraint | ObjectKind::Column)
    }
}

/// What needs relations, each by its name as SQL and the name of a column, which is empty where all of the relation is meant. A name that
/// leads nowhere is needed by nothing; what is temporary is left out: it ends with its session.
///
/// # Errors
/// As the server says.
pub(crate) async fn needing(
    session: &mut Session,
    asked: &[(String, String)],
) -> Result<Vec<Needing>, Failure> {
    let (relations, columns): (Vec<String>, Vec<String>) = asked.iter().cloned().unzip();
    let rows = session.query(NEEDING, &[&relations, &columns]).await?;
    let all = rows.iter().filter_map(|row| {
        let (kind, schema, whole, name): (String, String, String, Option<String>) =
            (row.get(1), row.get(2), row.get(3), row.get(4));
        let kind = by_word(&kind)?;
        let id = match name {
            Some(name) => Id::part(kind, schema, whole.clone(), name),
            None => Id::new(kind, schema, whole.clone()),
        };
        Some(Needing { of: usize::try_from(row.get::<_, i64>(0) - 1).ok()?, id, whole })
    });
    Ok(all.collect())
}

/// Which one of those asked about (from 1), kind, schema, relation or routine, name within it. With a column its own table counts
/// too: a policy or a trigger over it does not go with it.
const NEEDING: &str = "
WITH asked AS (
    -- A schema that the role may not use is no error here.
    SELECT n, CASE WHEN pg_catalog.cardinality(pg_catalog.parse_ident(name)) = 1 THEN pg_catalog.to_regclass(name)::pg_catalog.oid
                   ELSE (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
                          WHERE ARRAY[s.nspname::text, c.relname::text] = pg_catalog.parse_ident(name)) END AS oid,
           nullif(part, '') AS part
      FROM ROWS FROM (unnest($1::text[]), unnest($2::text[])) WITH ORDINALITY AS w (name, part, n)),
it AS (
    SELECT k.n, 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid AS class, k.oid, coalesce(a.attnum, 0) AS part, k.oid AS own
      FROM asked k LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = k.oid AND a.attname = k.part AND NOT a.attisdropped
     WHERE k.oid IS NOT NULL AND (k.part IS NULL OR a.attnum > 0)
    UNION ALL
    SELECT k.n, 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid, t.oid, 0, k.oid
      FROM asked k JOIN pg_catalog.pg_class c ON c.oid = k.oid JOIN pg_catalog.pg_type t ON t.oid = c.reltype OR t.typelem = c.reltype
     WHERE k.part IS NULL),
needing AS (
    SELECT it.n, it.own, it.part, d.classid, d.objid, d.objsubid
      FROM it JOIN pg_catalog.pg_depend d ON d.refclassid = it.class AND d.refobjid = it.oid AND (it.part = 0 OR d.refobjsubid = it.part)
     WHERE d.deptype = 'n'),
relations AS (
    SELECT c.oid, n.nspname::text, c.relname::text, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END AS kind
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname <> 'pg_toast' AND c.relpersistence <> 't'),
found (n, kind, nspname, whole, name, own) AS (
    SELECT n, CASE w.ev_type WHEN '1' THEN r.kind ELSE 'rule' END, r.nspname, r.relname, CASE WHEN w.ev_type <> '1' THEN w.rulename::text END,
           r.oid = own AND (part = 0 OR w.ev_type = '1')
      FROM needing JOIN pg_catalog.pg_rewrite w ON classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = objid JOIN relations r ON r.oid = w.ev_class
    UNION ALL
    SELECT n, 'constraint', r.nspname, r.relname, k.conname::text, r.oid = own
      FROM needing JOIN pg_catalog.pg_constraint k ON classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND k.oid = objid JOIN relations r ON r.oid = k.conrelid
    UNION ALL
    SELECT n, 'policy', r.nspname, r.relname, p.polname::text, r.oid = own AND part = 0
      FROM needing JOIN pg_catalog.pg_policy p ON classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND p.oid = objid JOIN relations r ON r.oid = p.polrelid
    UNION ALL
    SELECT n, 'trigger', r.nspname, r.relname, t.tgname::text, r.oid = own AND part = 0
      FROM needing JOIN pg_catalog.pg_trigger t ON classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND t.oid = objid JOIN relations r ON r.oid = t.tgrelid
     WHERE NOT t.tgisinternal
    UNION ALL
    SELECT n, 'column', r.nspname, r.relname, a.attname::text, r.oid = own
      FROM needing JOIN relations r ON classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND r.oid = objid
      JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = objsubid WHERE objsubid > 0
    UNION ALL
    SELECT n, CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END, s.nspname::text, p.proname::text, NULL, false
      FROM needing JOIN pg_catalog.pg_proc p ON classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = objid JOIN pg_catalog.pg_namespace s ON s.oid = p.pronamespace)
SELECT DISTINCT n, kind, nspname, whole, name FROM found WHERE NOT own ORDER BY 1, 2, 3, 4, 5";
