//! The names that PL/pgSQL has for SQLSTATEs, and what a handler of one catches.

use std::sync::LazyLock;

/// SQLSTATE and name, in the order of PostgreSQL's own list: the first of a name is what `RAISE` means.
static ALL: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let lines = include_str!("../../facts/postgres_conditions.tsv").lines().skip(1);
    lines.filter_map(|line| line.split_once('\t')).collect()
});

/// `query_canceled` and `assert_failure`, which `OTHERS` does not catch.
const NOT_OTHERS: [&str; 2] = ["57014", "P0004"];

/// Whether a text is a SQLSTATE by its form.
pub(crate) fn is_sqlstate(text: &str) -> bool {
    text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

/// The name of a SQLSTATE; none where PostgreSQL has none for it.
pub fn condition_name(sqlstate: &str) -> Option<&'static str> {
    ALL.iter().find(|(code, _)| *code == sqlstate).map(|(_, name)| *name)
}

/// The SQLSTATE that `RAISE` gives for a name, or for a SQLSTATE.
pub(crate) fn raised(condition: &str) -> Option<&str> {
    if is_sqlstate(condition) {
        return Some(condition);
    }
    ALL.iter().find(|(_, name)| *name == condition).map(|(code, _)| *code)
}

/// Whether `WHEN condition` catches a SQLSTATE. One that ends in three zeros stands for its class.
pub(crate) fn catches(condition: &str, sqlstate: &str) -> bool {
    if condition == "others" {
        return !NOT_OTHERS.contains(&sqlstate);
    }
    let is_caught = |code: &str| {
        code == sqlstate
            || code.ends_with("000") && code.get(..2).is_some_and(|class| sqlstate.starts_with(class))
    };
    if is_sqlstate(condition) {
        return is_caught(condition);
    }
    ALL.iter().any(|(code, name)| *name == condition && is_caught(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_those_of_postgresql() {
        assert_eq!(raised("unique_violation"), Some("23505"));
        assert_eq!(raised("SP001"), Some("SP001"));
        assert_eq!(raised("sp001"), None);
        // The first of two.
        assert_eq!(raised("modifying_sql_data_not_permitted"), Some("2F002"));
        assert_eq!(condition_name("P0001"), Some("raise_exception"));
        assert_eq!(condition_name("SP001"), None);
        assert!(ALL.iter().all(|(code, _)| is_sqlstate(code)));
    }

    #[test]
    fn a_code_of_three_zeros_catches_its_class() {
        assert!(catches("SP000", "SP007") && !catches("SP001", "SP007") && !catches("SP000", "SQ007"));
        assert!(catches("integrity_constraint_violation", "23505") && !catches("unique_violation", "23503"));
        assert!(catches("others", "SP001") && !catches("others", "57014") && !catches("others", "P0004"));
        assert!(catches("assert_failure", "P0004") && catches("query_canceled", "57014"));
        assert!(!catches("no_such_condition", "P0001"));
    }
}
