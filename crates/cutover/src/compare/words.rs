//! Differences as lines for people.

use std::collections::BTreeMap;

use cutover_analysis::diff::{Change, What};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Value};
use cutover_analysis::sql::names_a_secret;

use crate::secrets::without_passwords;

/// What is not as `whom` makes it, e.g. `the files make it`; `told` is what [`told`] says of it.
pub(crate) fn not_as(whom: &str, told: &str) -> String {
    format!("not as {whom}: {told}")
}

/// One line a difference. What comes or goes along with a table, view or the like is told with it, as a number of columns,
/// keys and so on.
#[must_use]
pub fn told(changes: &[Change]) -> Vec<String> {
    told_each(changes).into_iter().map(|(_, line)| line).collect()
}

/// As [`told`], each line with the difference it is of.
pub(crate) fn told_each(changes: &[Change]) -> Vec<(&Change, String)> {
    let wholes: BTreeMap<(Id, bool), &Id> = changes
        .iter()
        .filter(|change| change.object.table.is_none() || change.object.kind == ObjectKind::Column)
        .filter_map(|change| Some(((change.object.clone(), is_creation(&change.what)?), &change.object)))
        .collect();
    let mut along: BTreeMap<(&Id, bool), BTreeMap<ObjectKind, usize>> = BTreeMap::new();
    let mut told = Vec::new();
    for change in changes {
        let whole = is_creation(&change.what)
            .and_then(|created| Some((whole_of(&change.object, created, &wholes)?, created)));
        match whole {
            Some(whole) => *along.entry(whole).or_default().entry(change.object.kind).or_default() += 1,
            None => told.push(change),
        }
    }
    let line = |change: &Change| {
        let parts = is_creation(&change.what).and_then(|created| along.get(&(&change.object, created)));
        match parts.map(counted) {
            Some(parts) if !parts.is_empty() => format!("{change} ({parts})"),
            _ if hides_its_value(change) => {
                let Change { object, .. } = change;
                format!("~ {object}: another value ({HIDDEN}), for its name is that of a secret")
            }
            _ => without_passwords(&change.to_string()),
        }
    };
    told.into_iter().map(|change| (change, line(change))).collect()
}

/// What stands for a value that is not shown.
const HIDDEN: &str = "***";

/// Whether it is the default of a column that is called like a secret.
fn hides_its_value(change: &Change) -> bool {
    let is_altered = matches!(change.what, What::Altered { .. });
    is_altered && change.object.kind == ObjectKind::Default && names_a_secret(&change.object.name)
}

/// The same with the passwords in values starred, for documents that are kept and sent around.
#[must_use]
pub fn starred(changes: &[Change]) -> Vec<Change> {
    let mut starred = changes.to_vec();
    for change in &mut starred {
        let hides = hides_its_value(change);
        let What::Altered { attributes } = &mut change.what else { continue };
        for value in attributes.iter_mut().flat_map(|one| [&mut one.from, &mut one.to]).flatten() {
            star(value, hides);
        }
    }
    starred
}

fn star(value: &mut Value, hides: bool) {
    let star = |text: &mut String| *text = if hides { HIDDEN.to_owned() } else { without_passwords(text) };
    match value {
        Value::Text(text) => star(text),
        Value::List(list) => list.iter_mut().for_each(star),
        Value::Flag(_) => {}
    }
}

/// Whether something comes, or goes; neither where it is changed.
fn is_creation(what: &What) -> Option<bool> {
    match what {
        What::Created => Some(true),
        What::Dropped => Some(false),
        What::Altered { .. } => None,
    }
}

fn whole_of<'a>(part: &Id, created: bool, wholes: &BTreeMap<(Id, bool), &'a Id>) -> Option<&'a Id> {
    let (schema, table) = (part.schema.as_ref()?, part.table.as_ref()?);
    let kinds = [ObjectKind::Table, ObjectKind::ForeignTable, ObjectKind::View, ObjectKind::MaterializedView];
    let tables = kinds.map(|kind| Id::new(kind, schema.clone(), table.clone()));
    let column = (part.kind == ObjectKind::Default).then(|| Id { kind: ObjectKind::Column, ..part.clone() });
    tables.into_iter().chain(column).find_map(|whole| wholes.get(&(whole, created)).copied())
}

/// `3 columns, 2 constraints`; defaults are within their columns.
fn counted(parts: &BTreeMap<ObjectKind, usize>) -> String {
    let counted =
        parts.iter().filter(|(kind, _)| !matches!(kind, ObjectKind::Default | ObjectKind::Partition));
    let words = counted.map(|(kind, number)| {
        let word = kind.word();
        match (number, word) {
            (1, _) => format!("1 {word}"),
            (_, "index") => format!("{number} indexes"),
            (_, "policy") => format!("{number} policies"),
            _ => format!("{number} {word}s"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}
