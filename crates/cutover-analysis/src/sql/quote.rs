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

/// The names in a list as settings hold it (`"$user", public`): unquoted ones in lower case, without the space around them.
pub fn identifier_list(list: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let (mut quoted, mut was_quoted) = (false, false);
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(name) = names.last_mut() else { break };
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => name.extend(chars.next()),
            '"' => (quoted, was_quoted) = (!quoted, true),
            ',' if !quoted => {
                was_quoted = false;
                names.push(String::new());
            }
            _ if quoted => name.push(c),
            _ if c.is_whitespace() && (name.is_empty() || was_quoted) => {}
            _ => name.push(c.to_ascii_lowercase()),
        }
    }
    let names = names.into_iter().map(|name| name.trim_end().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::identifier_list;

    #[test]
    fn lists_are_read_as_settings_are() {
        assert_eq!(identifier_list("\"$user\", Public"), ["$user", "public"]);
        assert_eq!(identifier_list(" $user ,\n\"A, \"\"b\"\"\" , c"), ["$user", "A, \"b\"", "c"]);
        assert!(identifier_list("").is_empty() && identifier_list(" \"\" ").is_empty());
    }
}
