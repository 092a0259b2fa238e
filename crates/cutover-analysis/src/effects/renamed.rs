//! Values of enums that statements give other names.

use pg_query::NodeEnum;

use crate::sql::Parsed;

/// What `ALTER TYPE … RENAME VALUE` says, old and new, of whichever type. What code does that a text runs is not seen.
pub fn renamed_values(parsed: &Parsed) -> Vec<(String, String)> {
    let renamed = |statement: &NodeEnum| match statement {
        NodeEnum::AlterEnumStmt(alter) if !alter.old_val.is_empty() => {
            Some((alter.old_val.clone(), alter.new_val.clone()))
        }
        _ => None,
    };
    parsed.statements().filter_map(renamed).collect()
}

#[cfg(test)]
mod tests {
    use super::renamed_values;
    use crate::sql::parse;

    #[test]
    fn values_with_other_names_are_read() {
        let parsed = parse("ALTER TYPE mood ADD VALUE 'so so'; ALTER TYPE mood RENAME VALUE 'bad' TO 'sad'");
        assert_eq!(renamed_values(&parsed.unwrap()), [("bad".to_owned(), "sad".to_owned())]);
    }
}
