//! Types, names, defaults and operator classes, as Prisma Migrate makes them on PostgreSQL.

use std::fmt::Write as _;

use super::syntax::{Attribute, Value, is_number};
use cutover_analysis::sql::quote_literal;

/// The type of a field without `@db.…`.
pub(super) fn of_scalar(name: &str) -> Option<&'static str> {
    Some(match name {
        "Int" => "integer",
        "BigInt" => "bigint",
        "String" => "text",
        "Boolean" => "boolean",
        "DateTime" => "timestamp(3)",
        "Float" => "double precision",
        "Decimal" => "decimal(65,30)",
        "Json" => "jsonb",
        "Bytes" => "bytea",
        _ => return None,
    })
}

/// The type that `@db.…` says.
pub(super) fn of_native(name: &str, attribute: &Attribute) -> Option<String> {
    let (data_type, most) = match name {
        "SmallInt" => ("smallint", 0),
        "Integer" => ("integer", 0),
        "BigInt" => ("bigint", 0),
        "Decimal" => ("decimal", 2),
        "Money" => ("money", 0),
        "Inet" => ("inet", 0),
        "Oid" => ("oid", 0),
        "Citext" => ("citext", 0),
        "Real" => ("real", 0),
        "DoublePrecision" => ("double precision", 0),
        "VarChar" => ("varchar", 1),
        "Char" => ("char", 1),
        "Text" => ("text", 0),
        "ByteA" => ("bytea", 0),
        "Timestamp" => ("timestamp", 1),
        "Timestamptz" => ("timestamptz", 1),
        "Date" => ("date", 0),
        "Time" => ("time", 1),
        "Timetz" => ("timetz", 1),
        "Boolean" => ("boolean", 0),
        "Bit" => ("bit", 1),
        "VarBit" => ("varbit", 1),
        "Uuid" => ("uuid", 0),
        "Xml" => ("xml", 0),
        "Json" => ("json", 0),
        "JsonB" => ("jsonb", 0),
        _ => return None,
    };
    if attribute.arguments.len() > most {
        return None;
    }
    let mut numbers = Vec::new();
    for argument in &attribute.arguments {
        match &argument.value {
            Value::Number(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                numbers.push(number.as_str());
            }
            _ => return None,
        }
    }
    Some(if numbers.is_empty() {
        data_type.to_owned()
    } else {
        format!("{data_type}({})", numbers.join(","))
    })
}

/// How many bytes of a name PostgreSQL keeps.
const LONGEST: usize = 63;

/// The parts with `_` between them and the ending behind them, cut before the ending where that is too long.
pub(super) fn name_of(parts: &[&str], ending: &str) -> String {
    format!("{}{ending}", cut(&parts.join("_"), LONGEST.saturating_sub(ending.len())))
}

/// The bytes of a text up to a number of them, in whole characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}

/// A value as SQL, for a field of that type; nothing where it is none that Prisma takes there. `values` are those of an enum, as they
/// are called in the model and in the database.
pub(super) fn constant(value: &Value, scalar: &str, values: Option<&[(String, String)]>) -> Option<String> {
    match (value, values) {
        (Value::Word(word), Some(values)) => {
            values.iter().find(|(name, _)| name == word).map(|(_, value)| quote_literal(value))
        }
        (Value::Word(word), None) if scalar == "Boolean" && (word == "true" || word == "false") => {
            Some(word.clone())
        }
        (Value::Number(number), None) if matches!(scalar, "Int" | "BigInt" | "Float" | "Decimal") => {
            Some(number.clone())
        }
        (Value::Text(text), None) => match scalar {
            "String" | "DateTime" | "Json" => Some(quote_literal(text)),
            "Decimal" if is_number(text) => Some(text.clone()),
            "Bytes" => base64(text).map(|bytes| quote_literal(&hex(&bytes))),
            _ => None,
        },
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("\\x".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        held = (held << 6 | u32::from(six)) & 0xFFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

/// `JsonbPathOps` as PostgreSQL calls it: `jsonb_path_ops`.
pub(super) fn operator_class(name: &str) -> Option<String> {
    if !name.ends_with("Ops") || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let mut text = String::new();
    for one in name.chars() {
        if one.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(one.to_ascii_lowercase());
    }
    let text = text.replace("min_max", "minmax").replace("var_bit", "varbit");
    Some(text.replace("timestamp_tz", "timestamptz").replace("time_tz", "timetz"))
}

/// Whether `type:` of an index may be so; PostgreSQL calls it the same, in lower case.
pub(super) fn is_method(name: &str) -> bool {
    matches!(name, "BTree" | "Hash" | "Gin" | "Gist" | "SpGist" | "Brin")
}

/// What a referential action is as SQL.
pub(super) fn action(name: &str) -> Option<&'static str> {
    Some(match name {
        "Cascade" => "CASCADE",
        "Restrict" => "RESTRICT",
        "NoAction" => "NO ACTION",
        "SetNull" => "SET NULL",
        "SetDefault" => "SET DEFAULT",
        _ => return None,
    })
}
