//! The schemas of cutover's own. What it keeps in a database is nobody's design: no drift, no way back, no loss.

/// That of the history.
pub const HISTORY: &str = "cutover";
/// That of the worker.
pub const WORKER: &str = "cutover_worker";
/// Both, as literals of SQL: `n.nspname NOT IN ('information_schema', {IN_SQL})`.
pub const IN_SQL: &str = crate::own_schemas!();

/// `ours::IN_SQL` as a literal, for `concat!`.
#[macro_export]
macro_rules! own_schemas {
    () => {
        "'cutover', 'cutover_worker'"
    };
}

/// Whether a schema is cutover's own.
pub fn is_ours(schema: &str) -> bool {
    [HISTORY, WORKER].contains(&schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_sql_is_the_same() {
        assert_eq!(IN_SQL, format!("'{HISTORY}', '{WORKER}'"));
        assert!(is_ours(HISTORY) && is_ours(WORKER) && !is_ours("public"));
    }
}
