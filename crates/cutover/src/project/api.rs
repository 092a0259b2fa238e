//! `[api]`: which functions are no client's, and (`[[api.replaces]]`) which call of an old function becomes which call of a new one. Whether
//! they are there, a database says.

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

/// One pattern of `[api] internal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Internal {
    /// Of names, with their schema where it has a dot; as it is written.
    pub pattern: String,
    /// The line in the configuration.
    pub line: u32,
}

impl Internal {
    /// Whether it means this function.
    pub fn means(&self, schema: &str, name: &str) -> bool {
        let Ok(pattern) = glob::Pattern::new(&self.pattern) else { return false };
        if self.pattern.contains('.') {
            pattern.matches(&format!("{schema}.{name}"))
        } else {
            pattern.matches(name)
        }
    }
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

/// What the file says of functions that are no client's; what is wrong is reported to it.
pub(super) fn internal(configs: Vec<Spanned<String>>, file: &mut Table) -> Vec<Internal> {
    let mut all: Vec<Internal> = Vec::with_capacity(configs.len());
    for config in configs {
        let (span, pattern) = (config.span(), config.into_inner());
        let hint =
            "for example \"spark_*\", or \"app.help_*\" with the schema; * is any text, ? one character"
                .to_owned();
        let wrong = if pattern.trim().is_empty() {
            Some("a pattern of functions is empty".to_owned())
        } else if pattern.contains('(') {
            Some(format!("{pattern:?} has arguments: a pattern is of names, and means all functions of one"))
        } else {
            glob::Pattern::new(&pattern)
                .err()
                .map(|error| format!("{pattern:?} is no pattern: {}", error.msg))
        };
        let line = file.line_of(&span);
        if let Some(wrong) = wrong {
            file.report(&span, wrong, Some(hint));
        } else if let Some(first) = all.iter().find(|one| one.pattern == pattern) {
            file.report(&span, format!("the same is said in line {}", first.line), None);
        }
        all.push(Internal { pattern, line });
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
    use super::{Internal, routine_in};

    #[test]
    fn patterns_are_of_names_and_with_a_dot_of_schemas_too() {
        let means = |pattern: &str, schema: &str, name: &str| {
            Internal { pattern: pattern.to_owned(), line: 1 }.means(schema, name)
        };
        assert!(means("spark_*", "public", "spark_pair") && means("spark_*", "app", "spark_pair"));
        assert!(means("app.*", "app", "f") && means("a?p.f", "app", "f"));
        assert!(
            !means("app.*", "public", "f")
                && !means("spark_*", "public", "submit_vote")
                && !means("f", "public", "ff")
        );
    }

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
