//! The one way names and texts get into SQL.

use super::keywords::NOT_FREE;

/// The name as it is written in SQL: in quotes unless it needs none on any supported version.
///
/// A name cannot contain NUL; the server refuses one that does.
pub fn quote_ident(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// `schema.name`, both quoted where needed.
pub fn quote_qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_ident(schema), quote_ident(name))
}

/// The text as a SQL string. A text with backslashes gets the `E'…'` form, whose meaning does not depend on
/// `standard_conforming_strings`.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

fn is_plain(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let goes_on_well =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    starts_well && goes_on_well && NOT_FREE.binary_search(&name).is_err()
}
