//! Writing rows: also where it leads to other tables. Through a view to the table it shows, through foreign keys to the
//! rows that follow, and through triggers and rules to whatever their code says.

use smol_str::SmolStr;

use super::super::context::{Event, Follow, Name};
use super::super::lock_mode::LockMode as Mode;
use super::super::model::{ObjectRef, WorkKind};
use super::super::walk::RowChange;
use super::Site;

/// Rows of one relation that change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Written {
    relation: ObjectRef,
    event: Event,
    /// The columns that an UPDATE sets; none where that is not known.
    columns: Option<Vec<SmolStr>>,
    alone: bool,
}

/// What a statement does to the rows of a relation, with all that follows.
pub(super) fn change(change: &RowChange, site: &mut Site<'_>) {
    let RowChange { relation, event, columns, alone } = change;
    let columns = Some(columns.clone());
    let mut pending = vec![Written { relation: relation.clone(), event: *event, columns, alone: *alone }];
    let mut seen: Vec<(Name, Event)> = Vec::new();
    while let Some(next) = pending.pop() {
        let place = (site.known.resolve(&next.relation), next.event);
        if !seen.contains(&place) {
            seen.push(place);
            pending.extend(written(&next, site));
        }
    }
}

/// Locks what rows are written in, and says where that leads.
fn written(change: &Written, site: &mut Site<'_>) -> Vec<Written> {
    site.lock(&change.relation, Mode::RowExclusive);
    let heirs = match change.event {
        _ if change.alone => Vec::new(),
        // New rows go to partitions, but to no other heirs.
        Event::Insert => site.partitions(&change.relation),
        _ => site.descendants(&change.relation),
    };
    for heir in &heirs {
        site.lock_named(heir, Mode::RowExclusive);
        reacts(&super::object(heir), change.event, site);
    }
    let name = site.known.resolve(&change.relation);
    for whole in site.known.whole(&name) {
        reacts(&super::object(&whole), change.event, site);
    }
    let reacts = reacts(&change.relation, change.event, site);
    let reads = site.relation(&change.relation).map(|known| known.reads.clone()).unwrap_or_default();
    if reads.is_empty() {
        return following(change, &heirs, site);
    }
    // A view with a trigger or rule of its own may lead elsewhere.
    match reads.as_slice() {
        _ if reacts => {}
        [shown] => {
            let relation = super::object(shown);
            return vec![Written { relation, event: change.event, columns: None, alone: false }];
        }
        // Which of them its rows are of is not known here.
        _ => site.lock_more(format!(
            "what view {} reads, the table that it shows as by writing it",
            change.relation.name
        )),
    }
    Vec::new()
}

/// The tables whose foreign keys have their rows follow.
fn following(change: &Written, heirs: &[Name], site: &mut Site<'_>) -> Vec<Written> {
    let name = site.known.resolve(&change.relation);
    let mut parents = site.known.whole(&name);
    parents.push(name);
    parents.extend(heirs.iter().cloned());
    let mut found = Vec::new();
    for parent in &parents {
        for child in site.known.referring(parent) {
            let keys = site.known.relations[child].foreign_keys.iter().filter(|key| key.parent == *parent);
            for key in keys {
                let is_set =
                    |column: &SmolStr| change.columns.as_ref().is_none_or(|set| set.contains(column));
                let event = match (change.event, key.on_delete, key.on_update) {
                    (Event::Delete, Follow::Cascade, _) => Event::Delete,
                    (Event::Delete, Follow::Set, _) => Event::Update,
                    (Event::Update, _, Follow::Cascade | Follow::Set)
                        if key.parent_columns.is_empty() || key.parent_columns.iter().any(is_set) =>
                    {
                        Event::Update
                    }
                    _ => continue,
                };
                let (relation, columns) = (super::object(child), Some(key.columns.clone()));
                found.push(Written { relation, event, columns, alone: false });
            }
        }
    }
    for next in &found {
        site.work_if(
            &next.relation,
            WorkKind::Scan,
            "as far as no index serves to find the rows that follow",
        );
    }
    found
}

/// Whether triggers or rules of a relation run at such a change. What they lock their code says.
pub(super) fn reacts(relation: &ObjectRef, event: Event, site: &mut Site<'_>) -> bool {
    let Some(known) = site.relation(relation) else { return false };
    let reacts = known.reactions.iter().any(|known| known.on.contains(&event));
    if reacts {
        site.lock_more(format!("what triggers and rules of {} write and read", relation.name));
    }
    reacts
}
