//! What statements give other names: objects, and values of enums.

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

/// Whether a statement only gives an object another name, or puts it into another schema: of its effects the object that it drops is
/// then the one that it creates.
pub fn only_renames(parsed: &Parsed) -> bool {
    let mut statements = parsed.statements();
    let first = statements.next();
    matches!(first, Some(NodeEnum::RenameStmt(_) | NodeEnum::AlterObjectSchemaStmt(_)))
        && statements.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::{only_renames, renamed_values};
    use crate::sql::parse;

    #[test]
    fn statements_that_only_rename_are_known() {
        let is = |sql: &str| only_renames(&parse(sql).unwrap());
        assert!(
            is("ALTER TABLE a RENAME TO b")
                && is("ALTER TABLE a RENAME c TO d")
                && is("ALTER TABLE a SET SCHEMA s")
        );
        assert!(!is("ALTER TABLE a DROP c, ADD d int") && !is("ALTER TABLE a RENAME TO b; DROP TABLE c"));
    }

    #[test]
    fn values_with_other_names_are_read() {
        let parsed = parse("ALTER TYPE mood ADD VALUE 'so so'; ALTER TYPE mood RENAME VALUE 'bad' TO 'sad'");
        assert_eq!(renamed_values(&parsed.unwrap()), [("bad".to_owned(), "sad".to_owned())]);
    }
}
