//! Access control lists as PostgreSQL prints them (`reader=r*w/owner`, documentation: Privileges), as GRANT spells them.

use std::collections::BTreeSet;

use super::build::BadRow;
use crate::sql::quote_ident;

/// Each privilege by its letter (PostgreSQL, `acl.h`).
const PRIVILEGES: [(char, &str); 15] = [
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
    ('s', "SET"),
    ('A', "ALTER SYSTEM"),
    ('m', "MAINTAIN"),
];

/// What the first list has and the second has not: `SELECT TO reader WITH GRANT OPTION`, in the order of the alphabet.
pub(super) fn besides(first: &[String], second: &[String]) -> Result<Vec<String>, BadRow> {
    let (first, second) = (entries(first)?, entries(second)?);
    Ok(first.difference(&second).cloned().collect())
}

fn entries(list: &[String]) -> Result<BTreeSet<String>, BadRow> {
    let mut entries = BTreeSet::new();
    for item in list {
        add(item, &mut entries).ok_or_else(|| BadRow(format!("privileges {item:?}")))?;
    }
    Ok(entries)
}

fn add(item: &str, entries: &mut BTreeSet<String>) -> Option<()> {
    let (role, rest) = role(item)?;
    let role = if role.is_empty() { "PUBLIC".to_owned() } else { quote_ident(&role) };
    let mut letters = rest.chars().peekable();
    while let Some(letter) = letters.next().filter(|letter| *letter != '/') {
        let (_, word) = PRIVILEGES.iter().find(|(known, _)| *known == letter)?;
        let option = if letters.next_if_eq(&'*').is_some() { " WITH GRANT OPTION" } else { "" };
        entries.insert(format!("{word} TO {role}{option}"));
    }
    Some(())
}

/// The name before the `=`, without its quotes, and what is behind it.
fn role(item: &str) -> Option<(String, &str)> {
    let Some(quoted) = item.strip_prefix('"') else {
        let (name, rest) = item.split_once('=')?;
        return Some((name.to_owned(), rest));
    };
    let mut name = String::new();
    let mut characters = quoted.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character != '"' {
            name.push(character);
        } else if characters.next_if(|(_, next)| *next == '"').is_some() {
            name.push('"');
        } else {
            return Some((name, quoted.get(at + 1..)?.strip_prefix('=')?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::besides;

    #[test]
    fn privileges_are_spelt_as_grant_spells_them() {
        let now = ["owner=arw/owner", "=r/owner", "\"we \"\"ird=\"=r*w/\"an=other\"", "user=X/owner"];
        let at_first = ["owner=arwd/owner"];
        let [now, at_first] = [&now[..], &at_first[..]]
            .map(|list| list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            besides(&now, &at_first).unwrap(),
            [
                "EXECUTE TO \"user\"",
                "SELECT TO \"we \"\"ird=\" WITH GRANT OPTION",
                "SELECT TO PUBLIC",
                "UPDATE TO \"we \"\"ird=\""
            ]
        );
        assert_eq!(besides(&at_first, &now).unwrap(), ["DELETE TO owner"]);
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for item in ["", "reader", "\"open=r/owner", "\"a\"r/owner", "reader=?/owner"] {
            assert!(besides(&[item.to_owned()], &[]).is_err(), "{item}");
        }
    }
}
