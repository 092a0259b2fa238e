//! How things are to be called.

/// What the names of new things have to look like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Naming {
    /// Tables, views and materialized views.
    pub tables: Pattern,
    /// Columns.
    pub columns: Pattern,
    /// Indexes.
    pub indexes: Pattern,
    /// Constraints.
    pub constraints: Pattern,
    /// Functions, types, triggers and whatever else has a name.
    pub others: Pattern,
}

/// What a name has to look like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pattern {
    /// Small letters, digits and `_`, with a letter first.
    #[default]
    SnakeCase,
    /// In snake case, and this with anything for each `*`: `*_idx`, `fk_*`.
    Like(String),
    /// As it pleases.
    Any,
}

impl Pattern {
    /// Whether a name looks so.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::SnakeCase => is_snake_case(name),
            Self::Like(pattern) => is_snake_case(name) && is_like(pattern, name),
            Self::Any => true,
        }
    }

    /// It in words, as in "is not …".
    pub(crate) fn words(&self) -> String {
        match self {
            Self::SnakeCase => "in snake_case".to_owned(),
            Self::Like(pattern) => format!("like {pattern}"),
            Self::Any => "of any kind".to_owned(),
        }
    }
}

fn is_snake_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|part| part.is_ascii_lowercase() || part.is_ascii_digit() || part == '_')
}

fn is_like(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    rest.char_indices()
        .map(|(at, _)| at)
        .chain([rest.len()])
        .any(|at| rest.get(at..).is_some_and(|rest| is_like(after, rest)))
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn names_look_like_patterns() {
        assert!(Pattern::SnakeCase.matches("order_lines2"));
        for name in ["OrderLines", "2nd", "_x", "order-lines", ""] {
            assert!(!Pattern::SnakeCase.matches(name), "{name}");
        }
        let like = |pattern: &str, name| Pattern::Like(pattern.to_owned()).matches(name);
        assert!(like("*_idx", "orders_at_idx") && like("fk_*_*", "fk_a_b") && like("a", "a"));
        assert!(!like("*_idx", "orders_at") && !like("fk_*", "orders") && !like("a", "ab"));
        assert!(Pattern::Any.matches("As It Pleases"));
    }
}
