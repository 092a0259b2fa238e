//! What the queries of all kinds have in common: their columns, and the pieces of SQL that more than one needs.
//!
//! Everything is named with its schema where the search path could matter to a reader; the session's path is `pg_catalog`.

use std::fmt::Write as _;

use super::Asked;
use crate::sql::{quote_ident, quote_literal};

/// Which catalogue has which number, for those that rows name their addresses in.
pub(super) const CLASSES: &str = "
SELECT 'class', c.oid, c.relname FROM pg_class c
 WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r' AND c.oid < 16384";

/// Whoever asks owns what names no owner.
pub(super) const OWNER: &str = "SELECT 'asked by', current_user";

/// Where there are extensions.
pub(super) const EXTENSIONS: &str = "pg_extension WHERE oid >= 16384";

const INHERITANCE: &str = "pg_inherits";

/// More that is known of objects than their kinds' queries say, each with where its rows are seen: members of extensions
/// (catalogue, object, extension), and what needs what, as `pg_depend` has it: catalogue, object, part, and the same of what is
/// needed. What the system itself brings (below 16384) is always there; schemas, row types and toast tables follow from the
/// rest. Then what `pg_depend` does not say of objects but of their pieces, or not at all: columns need those that they are
/// inherited from, keys to a partitioned table the keys of its partitions, operator classes and families the operators and
/// functions of their members, domains what their constraints need, publications what they publish.
pub(super) const BESIDES: &[(Option<&str>, &str)] = &[
    (
        Some(EXTENSIONS),
        "SELECT 'member', classid, objid, refobjid FROM pg_depend
 WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass AND refobjid >= 16384",
    ),
    // What belongs to a member: before PostgreSQL 18 arrays and row types are no members themselves.
    (
        Some(EXTENSIONS),
        "SELECT 'member', 'pg_type'::regclass::oid, a.oid, d.refobjid FROM pg_depend d
  JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid OR d.classid = 'pg_class'::regclass AND t.typrelid = d.objid
  JOIN pg_type a ON a.oid IN (t.oid, t.typarray)
 WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass AND d.refobjid >= 16384",
    ),
    (
        None,
        "SELECT 'needs', d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, d.refobjsubid
  FROM pg_depend d
 WHERE d.deptype IN ('n', 'a', 'i', 'P', 'S') AND d.refobjid >= 16384 AND d.objid >= 16384
   AND d.refclassid <> 'pg_namespace'::regclass
   AND NOT (d.deptype = 'i' AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid = 0
            AND d.classid IN ('pg_type'::regclass, 'pg_class'::regclass))",
    ),
    (
        Some(INHERITANCE),
        "SELECT 'needs', 'pg_class'::regclass::oid, a.attrelid, a.attnum, 'pg_class'::regclass::oid, p.attrelid, p.attnum
  FROM pg_inherits h JOIN pg_attribute p ON p.attrelid = h.inhparent AND p.attnum > 0
  JOIN pg_attribute a ON a.attrelid = h.inhrelid AND a.attname = p.attname AND a.attinhcount > 0",
    ),
    (
        Some(INHERITANCE),
        "WITH RECURSIVE below(oid, conrelid, root) AS (
  SELECT k.oid, k.conrelid, k.conparentid FROM pg_constraint k JOIN pg_constraint p ON p.oid = k.conparentid AND p.conrelid = k.conrelid
   WHERE p.conparentid = 0 OR NOT EXISTS (SELECT FROM pg_constraint pp WHERE pp.oid = p.conparentid AND pp.conrelid = p.conrelid)
  UNION ALL SELECT k.oid, k.conrelid, b.root FROM below b JOIN pg_constraint k ON k.conparentid = b.oid AND k.conrelid = b.conrelid)
SELECT 'needs', d.classid, b.root, 0, d.refclassid, d.refobjid, d.refobjsubid
  FROM below b JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = b.oid AND d.deptype = 'n'",
    ),
    (
        Some("(SELECT oid FROM pg_opclass UNION ALL SELECT oid FROM pg_opfamily) o WHERE o.oid >= 16384"),
        "SELECT 'needs', t.refclassid, t.refobjid, 0, d.refclassid, d.refobjid, d.refobjsubid
  FROM pg_depend t JOIN pg_depend d ON d.classid = t.classid AND d.objid = t.objid
 WHERE t.classid IN ('pg_amop'::regclass, 'pg_amproc'::regclass) AND t.refclassid IN ('pg_opclass'::regclass, 'pg_opfamily'::regclass)
   AND d.refclassid NOT IN ('pg_opclass'::regclass, 'pg_opfamily'::regclass) AND d.refobjid >= 16384",
    ),
    (
        Some("pg_type WHERE oid >= 16384 AND typtype = 'd'"),
        "SELECT 'needs', 'pg_type'::regclass::oid, k.contypid, 0, d.refclassid, d.refobjid, d.refobjsubid
  FROM pg_constraint k JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
 WHERE k.contypid <> 0 AND d.refobjid >= 16384",
    ),
    (
        Some("pg_publication"),
        "SELECT 'needs', 'pg_publication'::regclass::oid, r.prpubid, 0, d.refclassid, d.refobjid, d.refobjsubid
  FROM pg_publication_rel r JOIN pg_depend d ON d.classid = 'pg_publication_rel'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass",
    ),
];

/// One kind's query.
pub(super) struct Row<'a> {
    /// An expression for the word of the kind.
    pub(super) kind: &'a str,
    /// Expressions for schema, table, name and arguments.
    pub(super) name: [&'a str; 4],
    /// Catalogue and expression for the object, and a column's number (`0` for none): how `pg_depend` names it, and what else
    /// stands for it there.
    pub(super) addresses: &'a [(&'a str, &'a str, &'a str)],
    /// Names of attributes with expressions. What is behind a name says what comes: `[]` a list as JSON, `?` what holds or
    /// does not, `{}` an access control list as JSON, nothing a text. What is null is not there.
    pub(super) attributes: Vec<(&'a str, String)>,
    /// From FROM on.
    pub(super) from: String,
}

impl Row<'_> {
    /// Kind, schema, table, name and arguments; then a column `@pg_class` with the number for each address, `#` before it for
    /// the part; then the attributes by their names.
    pub(super) fn sql(&self) -> String {
        let [schema, table, name, arguments] = self.name;
        let mut sql = format!("SELECT {}, {schema}, {table}, {name}, {arguments}", self.kind);
        for (class, object, part) in self.addresses {
            if *part != "0" {
                let _ = write!(sql, ", {part} AS \"#\"");
            }
            let _ = write!(sql, ", {object} AS \"@{class}\"");
        }
        for (attribute, expression) in &self.attributes {
            let _ = write!(sql, ",\n    {expression} AS {}", quote_ident(attribute));
        }
        sql.push('\n');
        sql.push_str(&self.from);
        sql
    }
}

/// The condition that schema `n` is asked for: where none is named, all but PostgreSQL's, the history's and the worker's.
pub(super) fn in_scope(asked: &Asked<'_>) -> String {
    if asked.schemas.is_empty() {
        return format!(
            "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', {})",
            crate::ours::IN_SQL
        );
    }
    let names: Vec<String> = asked.schemas.iter().map(|schema| quote_literal(schema)).collect();
    format!("n.nspname = ANY (ARRAY[{}]::text[])", names.join(", "))
}

/// The condition under which what is in no schema is asked for.
pub(super) fn everything(asked: &Asked<'_>) -> &'static str {
    if asked.schemas.is_empty() { "true" } else { "false" }
}

/// The condition that an object is no member of an extension.
pub(super) fn not_a_member(asked: &Asked<'_>, class: &str, object: &str) -> String {
    if !asked.present.has(EXTENSIONS) {
        return "true".to_owned();
    }
    // Looked up once, not for each object.
    format!(
        "{object} NOT IN (SELECT em.objid FROM pg_depend em WHERE em.refclassid = 'pg_extension'::regclass \
           AND em.classid = '{class}'::regclass AND em.deptype = 'e')"
    )
}

/// The comment of an object.
pub(super) fn comment(class: &str, object: &str) -> (&'static str, String) {
    let sql = format!(
        "(SELECT de.description FROM pg_description de WHERE de.classoid = '{class}'::regclass AND de.objoid = {object} AND de.objsubid = 0)"
    );
    ("comment", sql)
}

/// The owner.
pub(super) fn owner(role: &str) -> (&'static str, String) {
    ("owner", format!("pg_get_userbyid({role})"))
}

/// What is granted, and what the owner and everybody have from the beginning. `letter` is what `acldefault` calls the kind.
pub(super) fn grants(acl: &str, letter: &str, owner: &str) -> [(&'static str, String); 2] {
    grants_besides(acl, &format!("acldefault({letter}, {owner})"))
}

/// As [`grants`], where it is known what there is from the beginning. Taken apart by [`super::super::privileges`].
pub(super) fn grants_besides(acl: &str, from_the_beginning: &str) -> [(&'static str, String); 2] {
    [
        ("grants{}", format!("CASE WHEN {acl} IS NOT NULL THEN to_json({acl}::text[]) END")),
        (
            "revoked{}",
            format!("CASE WHEN {acl} IS NOT NULL THEN to_json(({from_the_beginning})::text[]) END"),
        ),
    ]
}

/// What differs from a sequence's defaults, as CREATE SEQUENCE spells it. `s` is the row of `pg_sequence`.
pub(super) fn sequence_options(s: &str) -> String {
    let largest = format!(
        "CASE {s}.seqtypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE 9223372036854775807 END"
    );
    let smallest = format!(
        "CASE {s}.seqtypid WHEN 'int2'::regtype THEN -32768 WHEN 'int4'::regtype THEN -2147483648 ELSE -9223372036854775808 END"
    );
    format!(
        "to_json(array_remove(ARRAY[
          CASE WHEN {s}.seqincrement <> 1 THEN 'INCREMENT BY ' || {s}.seqincrement END,
          CASE WHEN {s}.seqmin <> CASE WHEN {s}.seqincrement > 0 THEN 1 ELSE {smallest} END THEN 'MINVALUE ' || {s}.seqmin END,
          CASE WHEN {s}.seqmax <> CASE WHEN {s}.seqincrement > 0 THEN {largest} ELSE -1 END THEN 'MAXVALUE ' || {s}.seqmax END,
          CASE WHEN {s}.seqstart <> CASE WHEN {s}.seqincrement > 0 THEN {s}.seqmin ELSE {s}.seqmax END THEN 'START WITH ' || {s}.seqstart END,
          CASE WHEN {s}.seqcache <> 1 THEN 'CACHE ' || {s}.seqcache END,
          CASE WHEN {s}.seqcycle THEN 'CYCLE' END], NULL))"
    )
}

/// An array, sorted.
pub(super) fn sorted(array: &str) -> String {
    // Most have none, and an aggregate of nothing costs as much as one of something.
    format!(
        "CASE WHEN {array} IS NOT NULL THEN (SELECT json_agg(o ORDER BY o COLLATE \"C\") FROM unnest({array}) o) END"
    )
}

/// A boolean attribute that does not hold for most objects is null where it does not.
pub(super) fn flag(condition: &str) -> String {
    format!("CASE WHEN {condition} THEN true END")
}
