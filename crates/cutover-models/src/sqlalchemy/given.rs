//! What calls are given, with what is unpacked in them.

use super::columns::At;
use crate::python::{Argument, Expression};

/// The arguments of a call.
pub(super) struct Given {
    pub(super) arguments: Vec<Argument>,
    /// There may be more: something is unpacked that is not known. It is left among them as it is written.
    pub(super) is_open: bool,
}

/// Takes apart `*columns` and `**options` where it is known what they are.
pub(super) fn of(at: At<'_>, arguments: &[Argument]) -> Given {
    let mut given = Given { arguments: Vec::new(), is_open: false };
    for argument in arguments {
        if !matches!(argument.keyword.as_deref(), Some("*" | "**")) {
            given.arguments.push(argument.clone());
        } else if let Some(more) = unpacked(at, argument) {
            given.arguments.extend(more);
        } else {
            given.is_open = true;
            given.arguments.push(argument.clone());
        }
    }
    given
}

fn unpacked(at: At<'_>, argument: &Argument) -> Option<Vec<Argument>> {
    let made = |keyword: Option<String>, value: &Expression| Argument {
        keyword,
        value: value.clone(),
        line: argument.line,
    };
    match (argument.keyword.as_deref()?, at.known.value(at.module, &argument.value)) {
        ("*", Expression::List(items)) => {
            let is_plain = |item: &&Expression| !matches!(item, Expression::Other(_));
            let plain: Vec<Argument> =
                items.iter().take_while(is_plain).map(|item| made(None, item)).collect();
            (plain.len() == items.len()).then_some(plain)
        }
        ("**", Expression::Dictionary(pairs)) => {
            pairs.iter().map(|(key, value)| Some(made(Some(key.text()?.to_owned()), value))).collect()
        }
        ("**", Expression::Call { function, arguments, .. }) if function.last_name() == Some("dict") => {
            let is_plain =
                |argument: &Argument| argument.keyword.as_deref().is_some_and(|word| !word.starts_with('*'));
            arguments.iter().all(is_plain).then(|| arguments.clone())
        }
        _ => None,
    }
}
