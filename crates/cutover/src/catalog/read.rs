//! Reading tables from the catalogue: a few queries in one snapshot, put together by table.

use std::collections::BTreeMap;

use cutover_analysis::sql::quote_literal;
use cutover_postgres::session::Session;

use super::model::{Column, Constraint, Identity, Index, Policy, QualifiedName, Table, TableKind, Trigger};
use super::{CatalogError, Fields, SEQUENCE, read_all};

/// Tables that belong to no extension, of the schemas asked for.
fn wanted(schemas: &[String]) -> String {
    let names: Vec<String> = schemas.iter().map(|schema| quote_literal(schema)).collect();
    format!(
        "wanted AS (
           SELECT c.*, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
              AND n.nspname = ANY (ARRAY[{}]::text[])
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                              AND d.objid = c.oid AND d.deptype = 'e'))",
        names.join(", ")
    )
}

const TABLES: &str = "
SELECT w.oid, w.nspname, w.relname, w.relkind, w.relpersistence = 'u', pg_get_partkeydef(w.oid),
       CASE WHEN w.relispartition THEN pg_get_expr(w.relpartbound, w.oid) END,
       (SELECT string_agg(i.inhparent::regclass::text, E'\\n' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = w.oid),
       (SELECT string_agg(o, E'\\n' ORDER BY o) FROM unnest(w.reloptions) o),
       w.relrowsecurity, w.relforcerowsecurity, w.relreplident, obj_description(w.oid, 'pg_class')
  FROM wanted w ORDER BY w.nspname, w.relname";

const COLUMNS: &str = "
SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
       CASE a.attgenerated WHEN 's' THEN pg_get_expr(d.adbin, d.adrelid) || ' STORED'
                           WHEN 'v' THEN pg_get_expr(d.adbin, d.adrelid) || ' VIRTUAL' END,
       CASE WHEN a.attcollation <> t.typcollation THEN
         (SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
           WHERE co.oid = a.attcollation) END,
       col_description(a.attrelid, a.attnum), a.attidentity = 'a',
       CASE WHEN a.attidentity <> '' THEN
         (SELECT {sequence}
            FROM pg_depend p JOIN pg_sequence s ON s.seqrelid = p.objid
           WHERE p.classid = 'pg_class'::regclass AND p.refclassid = 'pg_class'::regclass
             AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype = 'i') END
  FROM wanted w JOIN pg_attribute a ON a.attrelid = w.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 ORDER BY a.attrelid, a.attnum";

const CONSTRAINTS: &str = "
SELECT k.conrelid, k.conname, pg_get_constraintdef(k.oid), k.convalidated, k.condeferrable, obj_description(k.oid, 'pg_constraint')
  FROM wanted w JOIN pg_constraint k ON k.conrelid = w.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x')
 ORDER BY k.conrelid, k.conname";

const INDEXES: &str = "
SELECT i.indrelid, c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid AND i.indisready, obj_description(c.oid, 'pg_class')
  FROM wanted w JOIN pg_index i ON i.indrelid = w.oid JOIN pg_class c ON c.oid = i.indexrelid
 WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid
                   AND k.contype IN ('p', 'u', 'x'))
 ORDER BY i.indrelid, c.relname";

const TRIGGERS: &str = "
SELECT t.tgrelid, t.tgname, pg_get_triggerdef(t.oid), t.tgenabled
  FROM wanted w JOIN pg_trigger t ON t.tgrelid = w.oid AND NOT t.tgisinternal
 ORDER BY t.tgrelid, t.tgname";

const POLICIES: &str = "
SELECT p.polrelid, p.polname,
       format('%s for %s to %s%s%s', CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END,
              CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete' ELSE 'all' END,
              (SELECT string_agg(CASE WHEN r = 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(r)) END, ', ' ORDER BY 1)
                 FROM unnest(p.polroles) r),
              ' using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
              ' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
  FROM wanted w JOIN pg_policy p ON p.polrelid = w.oid
 ORDER BY p.polrelid, p.polname";

/// Reads the tables of the schemas, ordered by name. The session must not be inside a transaction.
///
/// # Errors
/// As the server says.
pub async fn tables(session: &mut Session, schemas: &[String]) -> Result<Vec<Table>, CatalogError> {
    let wanted = wanted(schemas);
    let query = |select: &str| format!("WITH {wanted} {}", select.replace("{sequence}", SEQUENCE));
    let queries = [TABLES, COLUMNS, CONSTRAINTS, INDEXES, TRIGGERS, POLICIES].map(query);
    let [tables, columns, constraints, indexes, triggers, policies] =
        read_all(session, queries.each_ref().map(String::as_str)).await?;
    let mut columns = by_table(columns, column);
    let mut constraints = by_table(constraints, constraint);
    let mut indexes = by_table(indexes, index);
    let mut triggers = by_table(triggers, trigger);
    let mut policies = by_table(policies, |fields| Policy { name: fields.text(), definition: fields.text() });
    let tables = tables.into_iter().map(|row| {
        let mut fields = Fields::new(row);
        let oid = fields.text();
        let mut table = table(&mut fields);
        table.columns = columns.remove(&oid).unwrap_or_default();
        table.constraints = constraints.remove(&oid).unwrap_or_default();
        table.indexes = indexes.remove(&oid).unwrap_or_default();
        table.triggers = triggers.remove(&oid).unwrap_or_default();
        table.policies = policies.remove(&oid).unwrap_or_default();
        table
    });
    Ok(tables.collect())
}

/// Groups rows by their first field, the table's oid.
fn by_table<T>(
    rows: Vec<Vec<Option<String>>>,
    mut value: impl FnMut(&mut Fields) -> T,
) -> BTreeMap<String, Vec<T>> {
    let mut groups: BTreeMap<String, Vec<T>> = BTreeMap::new();
    for row in rows {
        let mut fields = Fields::new(row);
        groups.entry(fields.text()).or_default().push(value(&mut fields));
    }
    groups
}

fn table(fields: &mut Fields) -> Table {
    let lines =
        |text: Option<String>| text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default();
    Table {
        name: QualifiedName { schema: fields.text(), name: fields.text() },
        kind: match fields.text().as_str() {
            "p" => TableKind::Partitioned,
            "f" => TableKind::Foreign,
            _ => TableKind::Ordinary,
        },
        unlogged: fields.flag(),
        partition_key: fields.optional(),
        partition_bound: fields.optional(),
        parents: lines(fields.optional()),
        options: lines(fields.optional()),
        row_security: fields.flag(),
        force_row_security: fields.flag(),
        replica_identity: fields.text(),
        comment: fields.optional(),
        columns: Vec::new(),
        constraints: Vec::new(),
        indexes: Vec::new(),
        triggers: Vec::new(),
        policies: Vec::new(),
    }
}

fn column(fields: &mut Fields) -> Column {
    let mut column = Column {
        name: fields.text(),
        type_name: fields.text(),
        not_null: fields.flag(),
        default: fields.optional(),
        identity: None,
        generated: fields.optional(),
        collation: fields.optional(),
        comment: fields.optional(),
    };
    let always = fields.flag();
    column.identity = fields.optional().map(|sequence| Identity { always, sequence });
    column
}

fn constraint(fields: &mut Fields) -> Constraint {
    Constraint {
        name: fields.text(),
        definition: fields.text(),
        validated: fields.flag(),
        deferrable: fields.flag(),
        comment: fields.optional(),
    }
}

fn index(fields: &mut Fields) -> Index {
    Index { name: fields.text(), definition: fields.text(), valid: fields.flag(), comment: fields.optional() }
}

fn trigger(fields: &mut Fields) -> Trigger {
    Trigger { name: fields.text(), definition: fields.text(), enabled: fields.text() }
}
