//! Differences as lines for people.

use std::collections::BTreeMap;

use cutover_analysis::diff::{Change, What};
use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::Id;

/// One line a difference. What comes or goes along with a table, view or the like is told with it, as a number of columns,
/// keys and so on.
#[must_use]
pub fn told(changes: &[Change]) -> Vec<String> {
    told_each(changes).into_iter().map(|(_, line)| line).collect()
}

/// The same, each line with the difference that it tells first of all.
pub(crate) fn told_each(changes: &[Change]) -> Vec<(&Change, String)> {
    let wholes: BTreeMap<(Id, bool), &Id> = changes
        .iter()
        .filter(|change| change.object.table.is_none())
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
            _ => change.to_string(),
        }
    };
    told.into_iter().map(|change| (change, line(change))).collect()
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
    kinds.iter().find_map(|kind| {
        let whole = Id::new(*kind, schema.clone(), table.clone());
        wholes.get(&(whole, created)).copied()
    })
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
