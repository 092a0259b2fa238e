//! What is taken away and made again, and how long it is missed meanwhile.

use std::collections::BTreeSet;

use super::actions::{Action, Verb};
use super::order::Graph;
use crate::effects::ObjectKind;
use crate::schema::{Id, Place, Sql};

/// What guards rows is taken away as late as can be, and made again as early: in one transaction where nothing is in
/// between that needs another one.
pub(super) fn shorten(graph: &Graph, actions: &[Action<'_>], remade: &BTreeSet<&Id>, order: &mut Vec<usize>) {
    let guards = |id: &Id| {
        matches!(
            id.kind,
            ObjectKind::Policy | ObjectKind::Trigger | ObjectKind::Rule | ObjectKind::Constraint
        )
    };
    let of = |wanted: Verb| -> Vec<usize> {
        let is = |at: &usize| {
            let action = actions.get(*at);
            action.is_some_and(|(verb, id)| *verb == wanted && guards(id) && remade.contains(*id))
        };
        order.iter().copied().filter(is).collect()
    };
    // Of two, the one first that the other may have to stand behind, or before.
    let (made, gone) = (of(Verb::Create), of(Verb::Drop));
    for at in made {
        let Some(place) = order.iter().position(|other| *other == at) else { continue };
        let (before, _) = graph.neighbours(at);
        let behind = order.iter().take(place).rposition(|other| before.contains(other));
        if let Some(behind) = behind.filter(|behind| behind + 1 < place) {
            order.remove(place);
            order.insert(behind + 1, at);
        }
    }
    for at in gone.into_iter().rev() {
        let Some(place) = order.iter().position(|other| *other == at) else { continue };
        let (_, after) = graph.neighbours(at);
        let ahead = order.iter().skip(place + 1).position(|other| after.contains(other));
        if let Some(between) = ahead.filter(|between| *between > 0) {
            order.remove(place);
            order.insert(place + between, at);
        }
    }
}

/// Whether what the statement at `at` takes away is missing for others until `made` has made it again: another transaction
/// begins in between.
pub(super) fn is_gap(statements: &[Sql], at: usize, made: &[Sql]) -> bool {
    let first = statements.get(at).map(|sql| sql.place);
    let mut others = statements.iter().skip(at + 1).chain(made.first());
    matches!(first, Some(Place::Outside | Place::Alone)) || others.any(|sql| sql.place != Place::Together)
}
