//! What statements give other names: values of enums. Objects: [`Effects::renames`](super::Effects::renames).

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
    use crate::effects::effects;
    use crate::sql::parse;

    #[test]
    fn objects_with_other_names_are_told_as_such() {
        let renamed = |sql: &str| {
            let all = effects(&parse(sql).unwrap()).renames;
            all.iter().map(|(old, new)| format!("{old} → {new}")).collect::<Vec<_>>()
        };
        assert_eq!(renamed("ALTER TABLE a RENAME TO b"), ["table a → table b"]);
        assert_eq!(renamed("ALTER TABLE s.a RENAME c TO d"), ["column s.a.c → column s.a.d"]);
        assert_eq!(renamed("ALTER TABLE a SET SCHEMA s"), ["table a → table s.a"]);
        assert_eq!(renamed("ALTER TYPE a RENAME TO b"), ["type a → type b"]);
        assert_eq!(renamed("ALTER TABLE a RENAME CONSTRAINT c TO d"), ["constraint a.c → constraint a.d"]);
        assert_eq!(renamed("ALTER TABLE a ADD CONSTRAINT k UNIQUE USING INDEX i"), ["index i → index k"]);
        assert!(renamed("ALTER TABLE a DROP c, ADD d int").is_empty());
    }

    #[test]
    fn values_with_other_names_are_read() {
        let parsed = parse("ALTER TYPE mood ADD VALUE 'so so'; ALTER TYPE mood RENAME VALUE 'bad' TO 'sad'");
        assert_eq!(renamed_values(&parsed.unwrap()), [("bad".to_owned(), "sad".to_owned())]);
    }
}
