//! What columns have where nothing is said: `server_default=…`, and what the client makes up (`default=…`).

use cutover_analysis::sql::quote_literal;

use super::known::Known;
use super::values::members;
use crate::model::Default;
use crate::python::{Argument, Expression, Module, Statement, keyword, positional};

/// `server_default=…` as SQL; `None` where it is not understood.
pub(super) fn server(known: &Known<'_>, module: &Module, expression: &Expression) -> Option<String> {
    let expression = known.value(module, expression);
    match expression {
        Expression::Text(text) => Some(quote_literal(text)),
        Expression::Name(_) => value_of_enum(known, module, expression).map(|value| quote_literal(&value)),
        other => sql(known, module, other),
    }
}

/// An expression of SQLAlchemy as SQL: `text("…")`, `func.now()`, `true()`.
pub(super) fn sql(known: &Known<'_>, module: &Module, expression: &Expression) -> Option<String> {
    let expression = known.value(module, expression);
    match expression {
        Expression::Text(text) => Some(quote_literal(text)),
        Expression::Number(number) => Some(number.clone()),
        Expression::Flag(flag) => Some(flag.to_string()),
        Expression::Nothing => Some("NULL".to_owned()),
        Expression::Call { function, arguments, .. } => call(known, module, function, arguments),
        _ => None,
    }
}

fn call(known: &Known<'_>, module: &Module, function: &Expression, arguments: &[Argument]) -> Option<String> {
    let name = function.name()?;
    let last = function.last_name()?;
    let first = || positional(arguments).next().map(|argument| known.value(module, &argument.value));
    if let Some((before, called)) = name.rsplit_once('.')
        && before.rsplit_once('.').map_or(before, |(_, last)| last) == "func"
    {
        // Functions that are called without parentheses.
        return Some(
            if let special @ ("current_timestamp" | "current_date" | "current_time" | "localtime"
            | "localtimestamp" | "current_user" | "session_user" | "user") =
                called.to_ascii_lowercase().as_str()
            {
                special.to_ascii_uppercase()
            } else {
                let arguments: Option<Vec<String>> =
                    positional(arguments).map(|argument| sql(known, module, &argument.value)).collect();
                format!("{called}({})", arguments?.join(", "))
            },
        );
    }
    match last {
        "text" | "literal_column" => match first()? {
            Expression::Text(text) => Some(text.clone()),
            Expression::Other(written) => known.formatted(module, "", written),
            _ => None,
        },
        "true" => Some("true".to_owned()),
        "false" => Some("false".to_owned()),
        "null" => Some("NULL".to_owned()),
        "literal" => sql(known, module, first()?),
        _ => None,
    }
}

/// `Status.active`, `Status.active.name` and `Status.active.value`. The first is a text where its class is one: SQLAlchemy takes no other
/// there, and what it takes is the value.
pub(super) fn value_of_enum(known: &Known<'_>, module: &Module, expression: &Expression) -> Option<String> {
    let name = expression.name()?;
    let (rest, last) = name.rsplit_once('.')?;
    let (class, member, by_value) = match last {
        "value" | "name" => {
            let (class, member) = rest.rsplit_once('.')?;
            (class, member, last == "value")
        }
        member => (rest, member, true),
    };
    let found = known.class(module, class)?;
    if !by_value {
        return members(found).into_iter().find(|(name, _)| *name == member).map(|(name, _)| name.to_owned());
    }
    found.class.body.iter().find_map(|statement| match statement {
        Statement::Assign { target, value: Some(Expression::Text(text)), .. } if target == member => {
            Some(text.clone())
        }
        _ => None,
    })
}

/// What the client puts into a column by itself: `default=…`, `default_factory=…`.
pub(super) fn client(arguments: &[Argument]) -> Default {
    let said = ["default_factory", "default", "insert_default"]
        .into_iter()
        .find_map(|name| keyword(arguments, name))
        .filter(|value| {
            !matches!(value, Expression::Nothing | Expression::Other(_)) && value.name() != Some("...")
        });
    said.map_or(Default::None, |value| Default::Client(value.shown()))
}
