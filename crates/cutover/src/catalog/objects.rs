//! The set of all objects, each with a text that changes when the object does: taken before and after something, the
//! two sets say what was created, changed and dropped.

use std::collections::BTreeMap;
use std::fmt;

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::sql::{quote_ident, quote_literal};
use cutover_postgres::session::{Failure, Session};

use super::{Fields, SEQUENCE, read_all};

/// Which object. Names are as stored, not quoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Its kind; partitioned tables are tables, sequences behind identity columns are sequences.
    pub kind: ObjectKind,
    /// Its schema; none for what has none, e.g. extensions.
    pub schema: Option<String>,
    /// The table (or view) it belongs to, in the same schema.
    pub table: Option<String>,
    /// Its own name.
    pub name: String,
    /// Argument types of a routine.
    pub arguments: Option<String>,
}

/// Stands between the parts of a definition. No text of the catalogue has it in practice; if one has, it is in more parts.
pub(super) const NEXT: char = '\u{1f}';
/// Stands between the name of a part and what it is.
pub(super) const IS: char = '\u{1e}';

/// What is known of an object besides its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// A text that changes when the object does, for comparing: parts with the sign U+001F between them, each of which may begin
    /// with its name and U+001E.
    pub definition: String,
    /// Its comment; changed along with the object, and no part of what it is.
    pub comment: Option<String>,
    /// It came along with another object: the index behind a constraint, the sequence of a column, what a partition
    /// has from its parent. Nobody creates it by name.
    pub implied: bool,
}

/// All objects of some schemas at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects(pub BTreeMap<Object, Known>);

/// What lies between two moments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// There now, not before; with whether it is implied.
    pub created: Vec<(Object, bool)>,
    /// There at both moments and not the same.
    pub altered: Vec<Object>,
    /// There before, not now.
    pub dropped: Vec<Object>,
}

impl Known {
    fn differs(&self, other: &Self) -> bool {
        (&self.definition, &self.comment) != (&other.definition, &other.comment)
    }
}

impl Objects {
    /// What changed from `self` to `after`.
    pub fn change(&self, after: &Self) -> Change {
        let mut change = Change::default();
        for (object, known) in &after.0 {
            match self.0.get(object) {
                None => change.created.push((object.clone(), known.implied)),
                Some(before) if before.differs(known) => change.altered.push(object.clone()),
                Some(_) => {}
            }
        }
        let gone = self.0.keys().filter(|object| !after.0.contains_key(object));
        change.dropped = gone.cloned().collect();
        change
    }
}

impl fmt::Display for Object {
    /// As claims spell it: `table users`, `constraint users.users_pkey`, `table app.orders` outside `public`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", word(self.kind))?;
        if let Some(schema) = self.schema.as_ref().filter(|schema| *schema != "public") {
            write!(f, "{}.", quote_ident(schema))?;
        }
        let belongs = matches!(
            self.kind,
            ObjectKind::Column
                | ObjectKind::Constraint
                | ObjectKind::Trigger
                | ObjectKind::Policy
                | ObjectKind::Rule
        );
        if let Some(table) = self.table.as_ref().filter(|_| belongs) {
            write!(f, "{}.", quote_ident(table))?;
        }
        f.write_str(&quote_ident(&self.name))?;
        if let Some(arguments) = &self.arguments {
            write!(f, "({arguments})")?;
        }
        Ok(())
    }
}

/// The kinds this module reads, by the word the query gives them.
const KINDS: [(&str, ObjectKind); 20] = [
    ("table", ObjectKind::Table),
    ("column", ObjectKind::Column),
    ("constraint", ObjectKind::Constraint),
    ("index", ObjectKind::Index),
    ("view", ObjectKind::View),
    ("materialized view", ObjectKind::MaterializedView),
    ("sequence", ObjectKind::Sequence),
    ("foreign table", ObjectKind::ForeignTable),
    ("type", ObjectKind::Type),
    ("domain", ObjectKind::Domain),
    ("function", ObjectKind::Function),
    ("procedure", ObjectKind::Procedure),
    ("aggregate", ObjectKind::Aggregate),
    ("trigger", ObjectKind::Trigger),
    ("policy", ObjectKind::Policy),
    ("rule", ObjectKind::Rule),
    ("schema", ObjectKind::Schema),
    ("extension", ObjectKind::Extension),
    ("statistics", ObjectKind::Statistics),
    ("publication", ObjectKind::Publication),
];

/// The word for a kind in claims.
fn word(kind: ObjectKind) -> &'static str {
    KINDS.iter().find(|(_, known)| *known == kind).map_or("object", |(word, _)| word)
}

/// The kind a word in a claim means.
pub(crate) fn kind(word: &str) -> Option<ObjectKind> {
    KINDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind)
}

/// Whether objects of a kind are among those that are read.
pub(crate) fn is_read(kind: ObjectKind) -> bool {
    KINDS.iter().any(|(_, known)| known.family() == kind.family())
}

/// The words for kinds, for messages.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(word, _)| *word)
}

/// One row an object: kind, schema, table, name, arguments, definition, comment, implied.
const QUERY: &str = "
SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'f' THEN 'foreign table' WHEN 'v' THEN 'view'
         WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'index' END,
       s.nspname, coalesce(i.table_name, q.table_name), c.relname, NULL,
       concat_ws({next}, CASE c.relpersistence WHEN 'u' THEN 'persistence' {is} 'unlogged' END,
         'options' {is} array_to_string(c.reloptions, ', '),
         CASE WHEN c.relrowsecurity THEN 'row level security' {is} 'enabled' END,
         CASE WHEN c.relforcerowsecurity THEN 'row level security of the owner' {is} 'forced' END,
         CASE WHEN c.relkind IN ('r', 'p', 'm') THEN 'replica identity' {is}
           CASE c.relreplident WHEN 'f' THEN 'full' WHEN 'n' THEN 'nothing' WHEN 'i' THEN 'an index' END END,
         CASE WHEN c.relkind = 'p' THEN 'partition key' {is} pg_get_partkeydef(c.oid) END,
         CASE WHEN c.relispartition THEN 'partition bound' {is} pg_get_expr(c.relpartbound, c.oid) END,
         'parents' {is} (SELECT string_agg(h.inhparent::regclass::text, ', ' ORDER BY h.inhseqno) FROM pg_inherits h WHERE h.inhrelid = c.oid),
         CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
         CASE WHEN c.relkind IN ('i', 'I') THEN pg_get_indexdef(c.oid) END,
         CASE WHEN NOT i.valid THEN 'state' {is} 'not valid' END,
         (SELECT {sequence} FROM pg_sequence WHERE seqrelid = c.oid)),
       obj_description(c.oid, 'pg_class'),
       coalesce(i.implied, q.table_name IS NOT NULL, false)
  FROM s JOIN pg_class c ON c.relnamespace = s.oid
  LEFT JOIN LATERAL (
    SELECT t.relname AS table_name, x.indisvalid AS valid,
           c.relispartition OR EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')) AS implied
      FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid WHERE x.indexrelid = c.oid) i ON c.relkind IN ('i', 'I')
  LEFT JOIN LATERAL (
    SELECT t.relname AS table_name FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
     WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
       AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') LIMIT 1) q ON c.relkind = 'S'
 WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'i', 'I') AND c.relpersistence <> 't'
   AND NOT EXISTS (SELECT FROM e WHERE e.classid = 'pg_class'::regclass AND e.objid IN (c.oid, (SELECT x.indrelid FROM pg_index x WHERE x.indexrelid = c.oid)))
UNION ALL
SELECT 'column', s.nspname, c.relname, a.attname, NULL,
       concat_ws({next}, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attcollation::text,
         a.attstorage, a.attstattarget, a.attoptions, pg_get_expr(d.adbin, d.adrelid)),
       col_description(c.oid, a.attnum), true
  FROM s JOIN pg_class c ON c.relnamespace = s.oid AND c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE NOT EXISTS (SELECT FROM e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid)
UNION ALL
SELECT 'constraint', s.nspname, c.relname, k.conname, NULL,
       concat_ws({next}, pg_get_constraintdef(k.oid), k.convalidated), obj_description(k.oid, 'pg_constraint'), NOT k.conislocal
  FROM s JOIN pg_class c ON c.relnamespace = s.oid JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x')
 WHERE NOT EXISTS (SELECT FROM e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid)
UNION ALL
SELECT 'trigger', s.nspname, c.relname, t.tgname, NULL, concat_ws({next}, pg_get_triggerdef(t.oid),
         CASE t.tgenabled WHEN 'D' THEN 'state' {is} 'disabled' WHEN 'R' THEN 'state' {is} 'enabled for replication' WHEN 'A' THEN 'state' {is} 'always enabled' END), NULL,
       coalesce(to_jsonb(t) ->> 'tgparentid', '0') <> '0'
  FROM s JOIN pg_class c ON c.relnamespace = s.oid JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
UNION ALL
SELECT 'policy', s.nspname, c.relname, p.polname, NULL,
       concat_ws({next}, p.polcmd, p.polpermissive, p.polroles, pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid)), NULL, false
  FROM s JOIN pg_class c ON c.relnamespace = s.oid JOIN pg_policy p ON p.polrelid = c.oid
UNION ALL
SELECT 'rule', s.nspname, c.relname, r.rulename, NULL, pg_get_ruledef(r.oid), NULL, false
  FROM s JOIN pg_class c ON c.relnamespace = s.oid JOIN pg_rewrite r ON r.ev_class = c.oid AND r.rulename <> '_RETURN'
UNION ALL
SELECT CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, s.nspname, NULL, t.typname, NULL,
       concat_ws({next}, 'kind' {is} CASE t.typtype WHEN 'b' THEN 'base type' WHEN 'c' THEN 'composite type' WHEN 'd' THEN 'domain'
           WHEN 'e' THEN 'enum' WHEN 'm' THEN 'multirange' WHEN 'p' THEN 'pseudo-type' ELSE 'range' END,
         CASE WHEN t.typtype = 'd' THEN 'type' {is} format_type(t.typbasetype, t.typtypmod) END,
         CASE WHEN t.typnotnull THEN 'nulls' {is} 'NOT NULL' END, 'default' {is} t.typdefault,
         'values' {is} (SELECT string_agg(l.enumlabel, ', ' ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid),
         'attributes' {is} (SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) FROM pg_attribute a
           WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
         'constraints' {is} (SELECT string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), ', ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid),
         'range over' {is} (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = t.oid)),
       obj_description(t.oid, 'pg_type'), t.typtype = 'm'
  FROM s JOIN pg_type t ON t.typnamespace = s.oid
 WHERE (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
   AND NOT EXISTS (SELECT FROM pg_type el WHERE el.typarray = t.oid)
   AND NOT EXISTS (SELECT FROM e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid)
UNION ALL
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, s.nspname, NULL, p.proname,
       pg_get_function_identity_arguments(p.oid),
       CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE '' END, obj_description(p.oid, 'pg_proc'),
       EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
  FROM s JOIN pg_proc p ON p.pronamespace = s.oid
 WHERE NOT EXISTS (SELECT FROM e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid)
UNION ALL
SELECT 'statistics', s.nspname, NULL, x.stxname, NULL, pg_get_statisticsobjdef(x.oid), NULL, false
  FROM s JOIN pg_statistic_ext x ON x.stxnamespace = s.oid
UNION ALL
SELECT 'schema', NULL, NULL, s.nspname, NULL, '', obj_description(s.oid, 'pg_namespace'), false FROM s
UNION ALL
SELECT 'extension', NULL, NULL, x.extname, NULL, concat_ws({next}, x.extversion, x.extnamespace::regnamespace), NULL, false FROM pg_extension x
UNION ALL
SELECT 'publication', NULL, NULL, p.pubname, NULL,
       concat_ws({next}, CASE WHEN p.puballtables THEN 'tables' {is} 'all' END,
         'publishes' {is} concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
           CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END),
         'tables' {is} (SELECT string_agg(r.prrelid::regclass::text, ', ' ORDER BY r.prrelid::regclass::text) FROM pg_publication_rel r WHERE r.prpubid = p.oid)),
       NULL, false
  FROM pg_publication p";

/// Reads the objects of the schemas; with no schema named, of all but the system's and cutover's own. Members of
/// extensions are left out. The session must not be inside a transaction.
///
/// # Errors
/// As the server says.
pub async fn objects(session: &mut Session, schemas: &[String]) -> Result<Objects, Failure> {
    let filter = if schemas.is_empty() {
        "nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'cutover')".to_owned()
    } else {
        let names: Vec<String> = schemas.iter().map(|schema| quote_literal(schema)).collect();
        format!("nspname = ANY (ARRAY[{}]::text[])", names.join(", "))
    };
    let query = format!(
        "WITH s AS MATERIALIZED (SELECT oid, nspname FROM pg_namespace WHERE {filter}),
              e AS MATERIALIZED (SELECT classid, objid FROM pg_depend WHERE deptype = 'e')
         {}",
        QUERY
            .replace("{sequence}", SEQUENCE)
            .replace("{next}", &format!("pg_catalog.chr({})", u32::from(NEXT)))
            .replace("{is}", &format!("|| pg_catalog.chr({}) ||", u32::from(IS)))
    );
    let [rows] = read_all(session, [&query]).await?;
    let objects = rows.into_iter().filter_map(|row| {
        let mut fields = Fields::new(row);
        let kind = kind(&fields.text())?;
        let (schema, table) = (fields.optional(), fields.optional());
        let (name, arguments) = (fields.text(), fields.optional());
        let known = Known { definition: fields.text(), comment: fields.optional(), implied: fields.flag() };
        Some((Object { kind, schema, table, name, arguments }, known))
    });
    Ok(Objects(objects.collect()))
}
