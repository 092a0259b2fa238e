//! Old calls and what they become, as `cutover.toml` says and the database has them.

use std::collections::BTreeSet;

use cutover_postgres::session::{Failure, Session};
use serde::Serialize;

use super::catalogue::{Argument, Catalogue, Routine};
use super::{call, makers};
use crate::project::{CONFIG_FILE, Replaces, routine_in};

/// An old call and the one in its place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::documents) struct ReplaceNote {
    /// As `cutover.toml` names them.
    pub(in crate::documents) old: String,
    pub(in crate::documents) new: String,
    pub(in crate::documents) note: Option<String>,
    /// In `cutover.toml`.
    pub(in crate::documents) line: u32,
    /// Which of both is not there, in words.
    pub(in crate::documents) missing: Vec<String>,
    /// What is there.
    pub(in crate::documents) before: Option<SideNote>,
    pub(in crate::documents) after: Option<SideNote>,
    /// What a client has to do otherwise; empty where one of both is not there.
    pub(in crate::documents) differences: Vec<String>,
}

/// A function as it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::documents) struct SideNote {
    pub(in crate::documents) signature: String,
    pub(in crate::documents) call: String,
    pub(in crate::documents) result: String,
    pub(in crate::documents) comment: Option<String>,
}

impl SideNote {
    pub(super) fn of(routine: &Routine) -> Self {
        Self {
            signature: routine.signature(),
            call: call(routine),
            result: routine.result.clone(),
            comment: routine.comment.clone(),
        }
    }
}

/// All of them.
pub(super) struct Calls {
    pub(super) notes: Vec<ReplaceNote>,
    /// The places of both in the catalogue.
    places: Vec<(Option<usize>, Option<usize>)>,
}

impl Calls {
    /// What is replaced.
    pub(super) fn old(&self) -> BTreeSet<usize> {
        self.places.iter().filter_map(|(old, _)| *old).collect()
    }

    /// The old calls that become this one.
    pub(super) fn becomes(&self, new: usize) -> Vec<String> {
        let pairs = self.places.iter().zip(&self.notes).filter(|((_, at), _)| *at == Some(new));
        pairs
            .map(|(_, note)| note.before.as_ref().map_or(&note.old, |side| &side.signature).clone())
            .collect()
    }
}

/// Whether a name is there.
enum Named {
    There(usize),
    /// PostgreSQL's own, or an extension's that is not looked at.
    Elsewhere,
    Not(String),
}

pub(super) async fn read(
    session: &mut Session,
    catalogue: &Catalogue,
    declared: &[Replaces],
    path: &[String],
) -> Result<Calls, Failure> {
    let mut calls = Calls { notes: Vec::new(), places: Vec::new() };
    for one in declared {
        let (old, new) = (
            named(session, catalogue, &one.old, path).await?,
            named(session, catalogue, &one.new, path).await?,
        );
        let mut missing = Vec::new();
        for (key, text, named) in [("old", &one.old, &old), ("new", &one.new, &new)] {
            if let Named::Not(why) = named {
                missing.push(format!("{CONFIG_FILE}:{}: {key} = {text:?} does not resolve: {why}", one.line));
            }
        }
        let place = |named: &Named| if let Named::There(at) = named { Some(*at) } else { None };
        let (old, new) = (place(&old), place(&new));
        let both = (old.and_then(|at| catalogue.get(at)), new.and_then(|at| catalogue.get(at)));
        calls.notes.push(ReplaceNote {
            old: one.old.clone(),
            new: one.new.clone(),
            note: one.note.clone(),
            line: one.line,
            missing,
            before: both.0.map(SideNote::of),
            after: both.1.map(SideNote::of),
            differences: if let (Some(old), Some(new)) = both { differences(old, new) } else { Vec::new() },
        });
        calls.places.push((old, new));
    }
    Ok(calls)
}

async fn named(
    session: &mut Session,
    catalogue: &Catalogue,
    text: &str,
    path: &[String],
) -> Result<Named, Failure> {
    let Some(name) = routine_in(text) else { return Ok(Named::Not("it is no function's name".to_owned())) };
    let Some(procedure) = name.procedure() else {
        let found = catalogue.named(&name, path);
        return Ok(match found.as_slice() {
            [one] => Named::There(*one),
            [] => Named::Not("there is no function of this name".to_owned()),
            _ => Named::Not("there are several of this name: say the types of its arguments".to_owned()),
        });
    };
    Ok(match makers::oid(session, &procedure).await? {
        Some(oid) => catalogue.by_oid(&oid).map_or(Named::Elsewhere, Named::There),
        None => Named::Not("there is no such function".to_owned()),
    })
}

/// What a client of the old one has to do otherwise.
fn differences(old: &Routine, new: &Routine) -> Vec<String> {
    let mut all = Vec::new();
    if (old.kind == "procedure") != (new.kind == "procedure") {
        all.push(
            if new.kind == "procedure" { "it is called by CALL" } else { "it is called in a query" }
                .to_owned(),
        );
    }
    let inputs = |routine: &Routine| -> Vec<Argument> {
        let is_given = |argument: &&Argument| matches!(argument.mode.as_str(), "i" | "b" | "v");
        routine.arguments.iter().filter(is_given).cloned().collect()
    };
    let (before, after) = (inputs(old), inputs(new));
    for at in 0..before.len().max(after.len()) {
        match (before.get(at), after.get(at)) {
            (Some(before), Some(after)) => argument(at + 1, before, after, &mut all),
            (None, Some(after)) => {
                let default = after.default.as_ref();
                let how = default
                    .map_or("must be given".to_owned(), |text| format!("need not be given (default {text})"));
                all.push(format!("argument {}, {}, is new and {how}", at + 1, told(after)));
            }
            (Some(before), None) => all.push(format!("argument {}, {}, is gone", at + 1, told(before))),
            (None, None) => {}
        }
    }
    if old.result != new.result {
        let word = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
        all.push(format!("the result is {} instead of {}", word(&new.result), word(&old.result)));
    }
    all
}

fn argument(number: usize, before: &Argument, after: &Argument, all: &mut Vec<String>) {
    if before.kind != after.kind {
        all.push(format!("argument {number} is {} instead of {}", told(after), told(before)));
    } else if before.name != after.name {
        let name =
            |name: &str| if name.is_empty() { "no name".to_owned() } else { format!("the name {name}") };
        all.push(format!("argument {number} has {} instead of {}", name(&after.name), name(&before.name)));
    }
    match (&before.default, &after.default) {
        (Some(_), None) => all.push(format!("argument {number} must be given")),
        (Some(old), Some(new)) if old != new => {
            all.push(format!("the default of argument {number} is {new} instead of {old}"));
        }
        _ => {}
    }
}

fn told(argument: &Argument) -> String {
    format!("{} {}", argument.name, argument.kind).trim_start().to_owned()
}
