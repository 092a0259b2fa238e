//! Names in the parse tree as references to objects.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ObjectType, RangeVar, RoleSpec, TypeName};

use smol_str::SmolStr;

use super::model::{ObjectKind, ObjectRef, TEMPORARY_SCHEMA};

/// The longest name PostgreSQL stores, in bytes.
pub(crate) const LONGEST: usize = 63;

/// Types of the schema `pg_catalog` that SQL text names without it. They cannot be meant to be anyone's own: that
/// schema is searched first.
const BUILT_IN_TYPES: &[&str] = &[
    "aclitem",
    "any",
    "anyarray",
    "anycompatible",
    "anycompatiblearray",
    "anycompatiblemultirange",
    "anycompatiblenonarray",
    "anycompatiblerange",
    "anyelement",
    "anyenum",
    "anymultirange",
    "anynonarray",
    "anyrange",
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "circle",
    "cstring",
    "date",
    "datemultirange",
    "daterange",
    "event_trigger",
    "fdw_handler",
    "float4",
    "float8",
    "gtsvector",
    "index_am_handler",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "internal",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "language_handler",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "oid8",
    "oidvector",
    "path",
    "pg_lsn",
    "pg_snapshot",
    "point",
    "polygon",
    "record",
    "refcursor",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "table_am_handler",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "trigger",
    "tsm_handler",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "unknown",
    "uuid",
    "varbit",
    "varchar",
    "void",
    "xid",
    "xid8",
    "xml",
];

/// Pseudo types of columns that make a sequence.
pub(crate) const SERIAL_TYPES: &[&str] =
    &["bigserial", "serial", "serial2", "serial4", "serial8", "smallserial"];

/// The text of a string node.
pub(crate) fn text(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::String(text) => Some(&text.sval),
        _ => None,
    }
}

fn texts(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().filter_map(text).collect()
}

fn own(text: &str) -> Option<SmolStr> {
    (!text.is_empty()).then(|| text.into())
}

pub(crate) fn relation(kind: ObjectKind, relation: &RangeVar) -> ObjectRef {
    let schema = own(&relation.schemaname)
        .or_else(|| (relation.relpersistence == "t").then(|| SmolStr::new_static(TEMPORARY_SCHEMA)));
    ObjectRef::new(kind, schema, relation.relname.as_str())
}

/// `[catalogue.][schema.]name`
pub(crate) fn object(kind: ObjectKind, names: &[Node]) -> Option<ObjectRef> {
    from_parts(kind, &texts(names))
}

fn from_parts(kind: ObjectKind, parts: &[&str]) -> Option<ObjectRef> {
    let (name, before) = parts.split_last()?;
    let schema = before.last().and_then(|schema| own(schema));
    Some(ObjectRef::new(kind, schema, *name))
}

/// `[schema.]table.name`
fn of_table(kind: ObjectKind, names: &[Node]) -> Option<ObjectRef> {
    let parts = texts(names);
    let (name, table) = parts.split_last()?;
    Some(part_of(kind, &from_parts(ObjectKind::Table, table)?, *name))
}

/// What belongs to `table` and is named `name`.
pub(crate) fn part_of(kind: ObjectKind, table: &ObjectRef, name: impl Into<SmolStr>) -> ObjectRef {
    ObjectRef { kind, schema: table.schema.clone(), name: name.into(), table: Some(table.name.clone()) }
}

/// The type, unless it is one of PostgreSQL's own. For `table.column%TYPE` the column.
pub(crate) fn type_object(name: &TypeName) -> Option<ObjectRef> {
    if name.pct_type {
        return of_table(ObjectKind::Column, &name.names);
    }
    let object = object(ObjectKind::Type, &name.names)?;
    let is_built_in = if let Some(schema) = object.schema.as_deref() {
        schema == "pg_catalog"
    } else {
        let name = object.name.as_str();
        BUILT_IN_TYPES.binary_search(&name).is_ok() || SERIAL_TYPES.contains(&name)
    };
    (!is_built_in).then_some(object)
}

/// Whether text is the name of one of PostgreSQL's own types, in the spelling of the catalogue or the standard.
pub(super) fn is_built_in_type(text: &str) -> bool {
    BUILT_IN_TYPES.binary_search(&text).is_ok()
        || matches!(text, "bigint" | "boolean" | "int" | "integer" | "smallint")
}

/// A name inside a string, as `regclass` reads it: folded unless in quotes. None for a number.
pub(crate) fn from_text(kind: ObjectKind, text: &str) -> Option<ObjectRef> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_part(quoted)?
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (part, after) = rest.split_at_checked(end)?;
            (part.trim().to_ascii_lowercase(), after)
        };
        if part.is_empty() || part.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        parts.push(cut(&part).to_owned());
        match after.trim_start().strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None => break,
        }
    }
    from_parts(kind, &parts.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The text up to the closing quote, and what follows that quote.
fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut at = 0;
    loop {
        let end = at + text.get(at..)?.find('"')?;
        if text.get(end + 1..)?.starts_with('"') {
            at = end + 2;
        } else {
            return Some((text.get(..end)?.replace("\"\"", "\""), text.get(end + 1..)?));
        }
    }
}

/// The text cut to what PostgreSQL stores, between characters.
pub(crate) fn cut(text: &str) -> &str {
    cut_to(text, LONGEST)
}

fn cut_to(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// The name PostgreSQL gives to what it makes for a column: `table_column_label`, where the longer part gives way.
/// If that is taken, it appends a number; the text does not say.
pub(crate) fn made_for_column(table: &str, column: &str, label: &str) -> String {
    let room = LONGEST.saturating_sub(label.len() + 2);
    let (mut first, mut second) = (table.len(), column.len());
    while first + second > room {
        if first > second { first -= 1 } else { second -= 1 }
    }
    format!("{}_{}_{label}", cut_to(table, first), cut_to(column, second))
}

/// The name PostgreSQL gives to what it makes for a table: `table_label`, cut in the table's name.
pub(crate) fn made_for_table(table: &str, label: &str) -> String {
    format!("{}_{label}", cut_to(table, LONGEST.saturating_sub(label.len() + 1)))
}

/// A role that is named; none for `CURRENT_USER`, `PUBLIC` and the like.
pub(crate) fn role(role: &RoleSpec) -> Option<ObjectRef> {
    own(&role.rolename).map(|name| ObjectRef::new(ObjectKind::Role, None, name))
}

/// The object of DROP, COMMENT, ALTER … OWNER and the like.
pub(crate) fn addressed(object_type: ObjectType, node: &Node) -> Option<ObjectRef> {
    let kind = kind(object_type);
    match node.node.as_ref()? {
        NodeEnum::String(name) => Some(ObjectRef::new(kind, None, name.sval.as_str())),
        NodeEnum::RangeVar(name) => Some(relation(kind, name)),
        NodeEnum::ObjectWithArgs(routine) => object(kind, &routine.objname),
        NodeEnum::TypeName(name) => object(kind, &name.names),
        NodeEnum::Integer(number) => Some(ObjectRef::new(kind, None, number.ival.to_string())),
        NodeEnum::Float(number) => Some(ObjectRef::new(kind, None, number.fval.as_str())),
        NodeEnum::List(list) => addressed_by_list(object_type, kind, &list.items),
        _ => None,
    }
}

fn addressed_by_list(object_type: ObjectType, kind: ObjectKind, items: &[Node]) -> Option<ObjectRef> {
    use ObjectType as T;
    match object_type {
        T::ObjectColumn | T::ObjectTabconstraint | T::ObjectTrigger | T::ObjectPolicy | T::ObjectRule => {
            of_table(kind, items)
        }
        // The access method stands first.
        T::ObjectOpclass | T::ObjectOpfamily => object(kind, items.get(1..)?),
        T::ObjectCast => {
            let [source, target] = items else { return None };
            Some(ObjectRef::new(kind, None, format!("{} AS {}", type_text(source)?, type_text(target)?)))
        }
        T::ObjectTransform => {
            let [of, language] = items else { return None };
            Some(ObjectRef::new(kind, None, format!("{} LANGUAGE {}", type_text(of)?, text(language)?)))
        }
        T::ObjectDomconstraint => {
            // The domain as a type and the constraint's name, or (to rename one) the domain's name alone.
            match items {
                [domain, name] if text(domain).is_none() => {
                    let NodeEnum::TypeName(domain) = domain.node.as_ref()? else { return None };
                    let schema = object(ObjectKind::Domain, &domain.names)?.schema;
                    Some(ObjectRef::new(kind, schema, text(name)?))
                }
                domain => object(kind, domain),
            }
        }
        _ => object(kind, items),
    }
}

/// A type's name without modifiers.
pub(crate) fn type_text(node: &Node) -> Option<String> {
    match node.node.as_ref()? {
        NodeEnum::TypeName(name) => Some(texts(&name.names).join(".")),
        _ => None,
    }
}

/// The kind of object that a kind of the parser stands for.
pub(crate) fn kind(object_type: ObjectType) -> ObjectKind {
    use ObjectKind as K;
    use ObjectType as T;
    match object_type {
        T::ObjectAccessMethod => K::AccessMethod,
        T::ObjectAggregate => K::Aggregate,
        T::ObjectCast => K::Cast,
        T::ObjectAttribute | T::ObjectColumn => K::Column,
        T::ObjectCollation => K::Collation,
        T::ObjectConversion => K::Conversion,
        T::ObjectDatabase => K::Database,
        T::ObjectDomain => K::Domain,
        T::ObjectTabconstraint | T::ObjectDomconstraint => K::Constraint,
        T::ObjectEventTrigger => K::EventTrigger,
        T::ObjectExtension => K::Extension,
        T::ObjectFdw => K::ForeignDataWrapper,
        T::ObjectForeignServer => K::ForeignServer,
        T::ObjectForeignTable => K::ForeignTable,
        T::ObjectFunction => K::Function,
        T::ObjectIndex => K::Index,
        T::ObjectLanguage => K::Language,
        T::ObjectLargeobject => K::LargeObject,
        T::ObjectMatview => K::MaterializedView,
        T::ObjectOpclass => K::OperatorClass,
        T::ObjectOperator => K::Operator,
        T::ObjectOpfamily => K::OperatorFamily,
        T::ObjectPolicy => K::Policy,
        T::ObjectProcedure => K::Procedure,
        T::ObjectPublication => K::Publication,
        T::ObjectRole => K::Role,
        T::ObjectRoutine => K::Routine,
        T::ObjectRule => K::Rule,
        T::ObjectSchema => K::Schema,
        T::ObjectSequence => K::Sequence,
        T::ObjectSubscription => K::Subscription,
        T::ObjectStatisticExt => K::Statistics,
        T::ObjectTable => K::Table,
        T::ObjectTablespace => K::Tablespace,
        T::ObjectTransform => K::Transform,
        T::ObjectTrigger => K::Trigger,
        T::ObjectTsconfiguration => K::TextSearchConfiguration,
        T::ObjectTsdictionary => K::TextSearchDictionary,
        T::ObjectTsparser => K::TextSearchParser,
        T::ObjectTstemplate => K::TextSearchTemplate,
        T::ObjectType => K::Type,
        T::ObjectUserMapping => K::UserMapping,
        T::ObjectView => K::View,
        _ => K::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_types_are_sorted() {
        assert!(BUILT_IN_TYPES.is_sorted());
    }

    #[test]
    fn a_name_in_a_string_is_read_as_regclass_does() {
        let read = |text| from_text(ObjectKind::Sequence, text).map(|object| (object.schema, object.name));
        let name = |schema: Option<&str>, name: &str| Some((schema.map(SmolStr::new), SmolStr::new(name)));
        assert_eq!(read("Orders_Id"), name(None, "orders_id"));
        assert_eq!(read("app.\"Orders.Id\""), name(Some("app"), "Orders.Id"));
        assert_eq!(read(" \"a\"\"b\" . C "), name(Some("a\"b"), "c"));
        assert_eq!(read("16384"), None);
        assert_eq!(read("\"open"), None);
        assert_eq!(read(""), None);
        assert_eq!(read(&"ä".repeat(40)), name(None, &"ä".repeat(31)));
    }

    #[test]
    fn made_names_give_way_in_the_longer_part() {
        assert_eq!(made_for_column("users", "id", "seq"), "users_id_seq");
        let made = made_for_column(&"t".repeat(60), "identifier", "seq");
        assert_eq!(made, format!("{}_identifier_seq", "t".repeat(48)));
        assert!(made_for_column(&"ü".repeat(31), &"ß".repeat(31), "seq").len() <= LONGEST);
    }
}
