//! The arguments of a field, of an index or of a constraint.

use super::world::{Scope, World};
use crate::python::{Argument, Expression, keyword, positional};

/// The arguments of a call, and what names in them mean.
#[derive(Clone, Copy)]
pub(super) struct Given<'w, 'a> {
    pub(super) world: &'w World<'a>,
    pub(super) scope: Scope<'a>,
    pub(super) arguments: &'w [Argument],
    /// The names of those that have no keyword.
    pub(super) order: &'static [&'static str],
}

/// Yes, no, or not to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    Yes,
    No,
    Unknown,
}

impl<'w> Given<'w, '_> {
    /// An argument.
    pub(super) fn get(&self, name: &str) -> Option<&'w Expression> {
        if let Some(value) = keyword(self.arguments, name) {
            return Some(value);
        }
        let place = self.order.iter().position(|known| *known == name);
        if let Some(found) = place.and_then(|place| positional(self.arguments).nth(place)) {
            return Some(&found.value);
        }
        self.unpacked().find_map(|value| match value {
            Expression::Dictionary(pairs) => {
                pairs.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
            }
            _ => None,
        })
    }

    fn unpacked(&self) -> impl Iterator<Item = &'w Expression> {
        self.arguments
            .iter()
            .filter(|argument| argument.keyword.as_deref() == Some("**"))
            .map(|argument| &argument.value)
    }

    /// Whether there may be arguments that are not seen.
    pub(super) fn is_open(&self) -> bool {
        self.arguments.iter().any(|argument| match argument.keyword.as_deref() {
            Some("*") => true,
            Some("**") => !matches!(argument.value, Expression::Dictionary(_)),
            _ => false,
        })
    }

    /// An argument's value, where it is there and can be told.
    pub(super) fn constant(&self, name: &str) -> Option<Expression> {
        self.world.constant(self.scope, self.get(name)?)
    }

    /// An argument that is true or false.
    pub(super) fn flag(&self, name: &str, without: bool) -> Flag {
        match self.get(name) {
            None if without => Flag::Yes,
            None => Flag::No,
            Some(_) => match self.constant(name) {
                Some(Expression::Flag(true)) => Flag::Yes,
                Some(Expression::Flag(false) | Expression::Nothing) => Flag::No,
                Some(Expression::Number(number)) if number == "1" => Flag::Yes,
                Some(Expression::Number(number)) if number == "0" => Flag::No,
                _ => Flag::Unknown,
            },
        }
    }

    /// An argument that is a text; `Err` where it is there and cannot be told.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ()> {
        match self.get(name) {
            None | Some(Expression::Nothing) => Ok(None),
            Some(_) => match self.constant(name) {
                Some(Expression::Text(text)) => Ok(Some(text)),
                Some(Expression::Nothing) => Ok(None),
                _ => Err(()),
            },
        }
    }

    /// An argument that is a number; `Err` where it is there and cannot be told.
    pub(super) fn number(&self, name: &str) -> Result<Option<u32>, ()> {
        match self.get(name) {
            None | Some(Expression::Nothing) => Ok(None),
            Some(_) => match self.constant(name) {
                Some(Expression::Number(number)) => number.parse().map(Some).map_err(|_| ()),
                Some(Expression::Nothing) => Ok(None),
                _ => Err(()),
            },
        }
    }
}

/// A list of texts, where it is one.
pub(super) fn texts(value: &Expression) -> Option<Vec<String>> {
    match value {
        Expression::List(items) => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
        _ => None,
    }
}
