//! What the types of Diesel are in PostgreSQL.

use super::tokens::{Custom, RawTable, RawType};
use crate::model::{Enum, Models, qualified};

/// A type that is understood.
pub(super) struct Resolved {
    /// As SQL.
    pub(super) data_type: String,
    pub(super) nullable: bool,
    pub(super) is_array: bool,
}

pub(super) fn resolve(
    raw: &RawType,
    table: &RawTable,
    customs: &[Custom],
    models: &mut Models,
) -> Option<Resolved> {
    let (mut inner, nullable) = without(raw, &["Nullable"]);
    let mut is_array = false;
    // PostgreSQL does not know of the number of dimensions, nor of elements that are no NULL.
    loop {
        let (next, has_array) = without(inner, &["Array"]);
        is_array |= has_array;
        let (next, is_more) = if has_array { without(next, &["Nullable"]) } else { (next, false) };
        inner = next;
        if !has_array && !is_more {
            break;
        }
    }
    let name = table
        .renamed
        .iter()
        .find(|(other, _)| *other == inner.name)
        .map_or(inner.name.as_str(), |(_, own)| own.as_str());
    let data_type = match inner.arguments.as_slice() {
        [] => match nearest(name, table, customs) {
            Some(custom) => of_custom(custom, models),
            None => of_name(name)?.to_owned(),
        },
        [element] => of_range(name, &element.name)?.to_owned(),
        _ => return None,
    };
    Some(Resolved { data_type, nullable, is_array })
}

fn without<'a>(raw: &'a RawType, names: &[&str]) -> (&'a RawType, bool) {
    match raw.arguments.as_slice() {
        [inner] if names.contains(&raw.name.as_str()) => (inner, true),
        _ => (raw, false),
    }
}

/// The declared type of that name with the most modules in common.
fn nearest<'a>(name: &str, table: &RawTable, customs: &'a [Custom]) -> Option<&'a Custom> {
    let common = |custom: &Custom| {
        custom.module.iter().zip(&table.module).take_while(|(one, other)| one == other).count()
    };
    customs.iter().filter(|custom| custom.name == name).max_by_key(|custom| common(custom))
}

/// A type that is declared. Of one that is not known everywhere no more than its name is stated: that is one without values here.
fn of_custom(custom: &Custom, models: &mut Models) -> String {
    let schema = custom.schema.as_deref().filter(|schema| *schema != "pg_catalog");
    let name = custom.sql_name.as_str();
    if name == "char" {
        return "\"char\"".to_owned();
    }
    if !KNOWN.contains(&name) {
        let (schema, name, place) = (schema.map(str::to_owned), name.to_owned(), custom.place.clone());
        models.add_enum(Enum { schema, name, place, ..Enum::default() });
    }
    qualified(schema, name)
}

/// Types of PostgreSQL and of well-known extensions that Diesel has no name for, or `print-schema` makes one for.
const KNOWN: &[&str] = &[
    "bpchar",
    "box",
    "cidr",
    "circle",
    "citext",
    "cube",
    "datemultirange",
    "daterange",
    "geography",
    "geometry",
    "hstore",
    "inet",
    "int4multirange",
    "int4range",
    "int8multirange",
    "int8range",
    "interval",
    "jsonpath",
    "line",
    "lquery",
    "lseg",
    "ltree",
    "ltxtquery",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "nummultirange",
    "numrange",
    "oid",
    "path",
    "pg_lsn",
    "pg_snapshot",
    "point",
    "polygon",
    "regclass",
    "regproc",
    "regtype",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "txid_snapshot",
    "varbit",
    "vector",
    "halfvec",
    "sparsevec",
    "xid8",
    "xml",
];

fn of_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "Bool" | "Boolean" => "boolean",
        "SmallInt" | "Int2" | "SmallSerial" => "smallint",
        "Integer" | "Int4" | "Serial" => "integer",
        "BigInt" | "Int8" | "BigSerial" | "Bigint" => "bigint",
        "Float" | "Float4" => "real",
        "Double" | "Float8" => "double precision",
        "Numeric" | "Decimal" => "numeric",
        "Text" => "text",
        "VarChar" | "Varchar" => "varchar",
        "Bpchar" | "Char" => "bpchar",
        "CChar" => "\"char\"",
        "Citext" => "citext",
        "Binary" | "Bytea" => "bytea",
        "Date" => "date",
        "Time" => "time",
        "Timestamp" => "timestamp",
        "Timestamptz" => "timestamptz",
        "Interval" => "interval",
        "Uuid" => "uuid",
        "Json" => "json",
        "Jsonb" => "jsonb",
        "Inet" => "inet",
        "Cidr" => "cidr",
        "MacAddr" | "Macaddr" => "macaddr",
        "MacAddr8" | "Macaddr8" => "macaddr8",
        "Money" | "Cash" => "money",
        "Oid" => "oid",
        "PgLsn" => "pg_lsn",
        "Int4range" => "int4range",
        "Int8range" => "int8range",
        "Numrange" => "numrange",
        "Tsrange" => "tsrange",
        "Tstzrange" => "tstzrange",
        "Daterange" => "daterange",
        "Int4multirange" => "int4multirange",
        "Int8multirange" => "int8multirange",
        "Nummultirange" => "nummultirange",
        "Tsmultirange" => "tsmultirange",
        "Tstzmultirange" => "tstzmultirange",
        "Datemultirange" => "datemultirange",
        // Of crates for extensions and for full text search.
        "TsVector" | "Tsvector" => "tsvector",
        "TsQuery" | "Tsquery" => "tsquery",
        "Ltree" => "ltree",
        "Lquery" => "lquery",
        "Ltxtquery" => "ltxtquery",
        "Geometry" => "geometry",
        "Geography" => "geography",
        "Vector" => "vector",
        "HalfVector" => "halfvec",
        "SparseVector" => "sparsevec",
        _ => return None,
    })
}

fn of_range(name: &str, element: &str) -> Option<&'static str> {
    let element = of_name(element)?;
    Some(match (name, element) {
        ("Range", "integer") => "int4range",
        ("Range", "bigint") => "int8range",
        ("Range", "numeric") => "numrange",
        ("Range", "timestamp") => "tsrange",
        ("Range", "timestamptz") => "tstzrange",
        ("Range", "date") => "daterange",
        ("Multirange", "integer") => "int4multirange",
        ("Multirange", "bigint") => "int8multirange",
        ("Multirange", "numeric") => "nummultirange",
        ("Multirange", "timestamp") => "tsmultirange",
        ("Multirange", "timestamptz") => "tstzmultirange",
        ("Multirange", "date") => "datemultirange",
        _ => return None,
    })
}
