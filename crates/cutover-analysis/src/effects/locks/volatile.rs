//! Whether an expression must be computed for each row anew.

use smol_str::SmolStr;

use super::super::data;
use super::super::model::ObjectRef;
use super::super::walk::{self, Walk};

/// PostgreSQL's own volatile functions that stand in defaults.
///
/// Source: `SELECT proname FROM pg_proc WHERE provolatile = 'v'`, those that are among the known harmless ones or are
/// made for it.
const VOLATILE: &[&str] = &[
    "clock_timestamp",
    "currval",
    "gen_random_uuid",
    "lastval",
    "nextval",
    "random",
    "random_normal",
    "setval",
    "timeofday",
    "uuidv4",
    "uuidv7",
];

/// What an expression is computed from.
pub(crate) enum Volatility {
    /// One value does for all rows.
    None,
    /// This function gives each row its own.
    Volatile(SmolStr),
    /// Nothing is known of this function.
    Unknown(SmolStr),
}

/// Whether one value of the expression does for all rows.
pub(crate) fn volatility(expression: &impl Walk) -> Volatility {
    volatility_where(expression, |_| false)
}

/// The same where of some functions it is known that they are not volatile.
pub(crate) fn volatility_where(expression: &impl Walk, is_stable: impl Fn(&ObjectRef) -> bool) -> Volatility {
    let found = walk::find(expression);
    let mut unknown = None;
    for routine in &found.called {
        if data::is_builtin_name(routine) && VOLATILE.binary_search(&routine.name.as_str()).is_ok() {
            return Volatility::Volatile(routine.name.clone());
        }
        if !data::is_harmless(routine) && !is_stable(routine) {
            unknown.get_or_insert_with(|| routine.name.clone());
        }
    }
    unknown.map_or(Volatility::None, Volatility::Unknown)
}

#[cfg(test)]
mod tests {
    #[test]
    fn volatile_functions_are_sorted() {
        assert!(super::VOLATILE.is_sorted());
    }
}
