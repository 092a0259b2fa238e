//! `[[api.replaces]]`: which call of an old function becomes which call of a new one. Whether both are there, a database says.

use std::collections::BTreeMap;

use cutover_analysis::effects::{RoutineName, routine_statements};
use toml::Spanned;

use super::config::{ReplacesConfig, Table};

/// One `[[api.replaces]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// The old function, as it is written.
    pub old: String,
    /// The new one.
    pub new: String,
    /// What is to be known of the change.
    pub note: Option<String>,
    /// The line in the configuration.
    pub line: u32,
}

/// A function as a text names it: `name`, `schema.name`, `name(types)`; none where it is something else.
pub(crate) fn routine_in(text: &str) -> Option<RoutineName> {
    // Whatever does not end there is no name.
    match routine_statements(&format!("DROP ROUTINE {text}\n")).as_slice() {
        [one] if !text.contains(';') => Some(one.routine.clone()),
        _ => None,
    }
}

/// What the file says; what is wrong is reported to it.
pub(super) fn replaces(configs: Vec<ReplacesConfig>, file: &mut Table) -> Vec<Replaces> {
    let mut pairs: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut all = Vec::with_capacity(configs.len());
    for config in configs {
        let (old, new) = (named(config.old, "old", file), named(config.new, "new", file));
        let span = old.span();
        let line = file.line_of(&span);
        let pair = (old.into_inner(), new.into_inner());
        if let Some(first) = pairs.get(&pair) {
            file.report(&span, format!("the same is said in line {first}"), None);
        } else if !pair.0.is_empty() {
            pairs.insert(pair.clone(), line);
        }
        all.push(Replaces { old: pair.0, new: pair.1, note: config.note, line });
    }
    all
}

fn named(text: Spanned<String>, key: &str, file: &mut Table) -> Spanned<String> {
    if !text.get_ref().trim().is_empty() && routine_in(text.get_ref()).is_none() {
        let hint =
            "for example \"queue_join(uuid, jsonb)\", or \"queue_join\" where there is one of that name"
                .to_owned();
        file.report(
            &text.span(),
            format!("{key} is a function with the types of its arguments, not {:?}", text.get_ref()),
            Some(hint),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::routine_in;

    #[test]
    fn functions_are_named_as_sql_names_them() {
        for right in ["f", "s.f", "f()", "\"My f\"(int, s.t[])", "f(a int)", "f(uuid) "] {
            assert!(routine_in(right).is_some(), "{right}");
        }
        for wrong in ["", "f(", "f, g", "f; DROP TABLE t", "f() CASCADE; SELECT 1", "f(int", "1f", "f;"] {
            assert!(routine_in(wrong).is_none(), "{wrong}");
        }
    }
}
