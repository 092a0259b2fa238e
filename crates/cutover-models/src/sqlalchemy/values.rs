//! The values of an enumeration: names of its members, or what `values_callable` makes of them.

use super::known::{Found, Known};
use crate::python::{Expression, Module, Statement};

/// What is taken of each member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Name,
    Value,
    /// `str(member.value)`
    ValueAsText,
}

/// What makes values of the members of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Callable {
    of: Of,
    then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    Lower,
    Upper,
}

impl Callable {
    /// As SQLAlchemy stores members where nothing is said.
    pub(super) fn names() -> Self {
        Self { of: Of::Name, then: Then::Nothing }
    }

    /// `values_callable=lambda members: [member.value for member in members]`, or a function that returns such a list; nothing where it
    /// is another one.
    pub(super) fn of(known: &Known<'_>, module: &Module, said: &Expression) -> Option<Self> {
        if let Some(function) = said.name().and_then(|_| known.function(module, said)) {
            return Self::of_list(&function.returns.as_ref()?.shown());
        }
        let said = known.value(module, said).shown();
        let (parameter, body) = said.trim().strip_prefix("lambda")?.split_once(':')?;
        let parameter = parameter.trim();
        (!parameter.is_empty() && !parameter.contains([',', '=', '*'])).then(|| Self::of_list(body)).flatten()
    }

    /// `[member.value for member in members]`
    fn of_list(text: &str) -> Option<Self> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text.as_str();
        let opening = ["[", "list(", "tuple("].into_iter().find(|opening| text.starts_with(opening))?;
        let inner = text.strip_prefix(opening)?.strip_suffix([']', ')'])?;
        let (taken, rest) = inner.trim().split_once(" for ")?;
        let (member, of) = rest.split_once(" in ")?;
        let is_name = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_') && !text.is_empty();
        let of = of.trim().strip_suffix(".__members__.values()").unwrap_or(of.trim());
        if !is_name(of) || !is_name(member.trim()) {
            return None;
        }
        Self::of_member(taken.trim(), member.trim())
    }

    fn of_member(taken: &str, member: &str) -> Option<Self> {
        let (taken, then) = match (taken.strip_suffix(".lower()"), taken.strip_suffix(".upper()")) {
            (Some(taken), _) => (taken, Then::Lower),
            (_, Some(taken)) => (taken, Then::Upper),
            _ => (taken, Then::Nothing),
        };
        let of = match taken.strip_prefix("str(").and_then(|inner| inner.strip_suffix(')')) {
            Some(inner) if inner.strip_prefix(member) == Some(".value") => Of::ValueAsText,
            Some(_) => return None,
            None => match taken.strip_prefix(member)? {
                ".name" => Of::Name,
                ".value" => Of::Value,
                _ => return None,
            },
        };
        Some(Self { of, then })
    }

    /// The values of a class; nothing where one of them is not known.
    pub(super) fn values(self, known: &Known<'_>, found: Found<'_>) -> Option<Vec<String>> {
        let ancestry = known.ancestry(found);
        let has_own_auto = ancestry.iter().any(|one| {
            let is_it = |statement: &Statement| matches!(statement, Statement::Function(function) if function.name == "_generate_next_value_");
            one.class.body.iter().any(is_it)
        });
        let is_text = ancestry
            .iter()
            .any(|one| one.class.bases.iter().any(|base| base.value.last_name() == Some("StrEnum")));
        let value = |name: &str, value: &Expression| match (self.of, value) {
            (Of::Name, _) => Some(name.to_owned()),
            (_, Expression::Text(text)) => Some(text.clone()),
            (Of::ValueAsText, Expression::Number(number)) if !number.contains(['x', 'o', 'b', 'e', '.']) => {
                Some(number.clone())
            }
            // What `auto()` makes is a number but for these.
            (_, Expression::Call { function, .. })
                if function.last_name() == Some("auto") && is_text && !has_own_auto =>
            {
                Some(name.to_lowercase())
            }
            _ => None,
        };
        let then = |text: String| match self.then {
            Then::Nothing => text,
            Then::Lower => text.to_lowercase(),
            Then::Upper => text.to_uppercase(),
        };
        members(found).into_iter().map(|(name, said)| value(name, said).map(then)).collect()
    }
}

/// The members of an enumeration, without second names for a value.
pub(super) fn members(found: Found<'_>) -> Vec<(&str, &Expression)> {
    let members = found.class.body.iter().filter_map(|statement| match statement {
        Statement::Assign { target, value: Some(value), .. } if !target.starts_with('_') => {
            Some((target.as_str(), value))
        }
        _ => None,
    });
    let mut known: Vec<(&str, &Expression)> = Vec::new();
    for (name, value) in members {
        let is_alias = known
            .iter()
            .any(|(other, same)| value.name() == Some(*other) || value == *same && value.call().is_none());
        if !is_alias {
            known.push((name, value));
        }
    }
    known
}
