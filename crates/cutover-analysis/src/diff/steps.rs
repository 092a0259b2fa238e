//! What was done between two schemas, by the names that people have for objects: made, changed, gone.

use std::collections::BTreeSet;

use super::{Attribute, Change, What, changes};
use crate::effects::SmolStr;
use crate::schema::{Id, Schema};

/// What lies between two moments of one database. Who owns what and who may do what is no part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// There now, not before; with whether it came along with another object: see [`Schema::named`].
    pub created: Vec<(Id, bool)>,
    /// There at both moments and not the same.
    pub altered: Vec<Id>,
    /// Changed along with what holds it: the index behind a constraint.
    pub along: Vec<Id>,
    /// There before, not now; with whether it had come along with another object.
    pub dropped: Vec<(Id, bool)>,
}

/// What was done between two moments.
#[must_use]
pub fn steps(from: &Schema, to: &Schema) -> Steps {
    let (before, after) = (from.named(), to.named());
    let (mut altered, mut along) = (BTreeSet::new(), BTreeSet::new());
    for change in changes(from, to) {
        altered_by(&change, (from, to), &mut altered, &mut along);
    }
    let in_both = |id: &Id| before.contains_key(id) && after.contains_key(id);
    Steps {
        created: after.iter().filter(|(id, _)| !before.contains_key(id)).map(owned).collect(),
        dropped: before.iter().filter(|(id, _)| !after.contains_key(id)).map(owned).collect(),
        along: along.into_iter().filter(|id| in_both(id) && !altered.contains(id)).collect(),
        altered: altered.into_iter().filter(in_both).collect(),
    }
}

fn owned((id, implied): (&Id, &bool)) -> (Id, bool) {
    (id.clone(), *implied)
}

/// The objects that are another by a change, as people name them, and those that changed along with them.
fn altered_by(
    change: &Change,
    (from, to): (&Schema, &Schema),
    altered: &mut BTreeSet<Id>,
    along: &mut BTreeSet<Id>,
) {
    let id = &change.object;
    let schema = if change.what == What::Dropped { from } else { to };
    let Some(object) = schema.get(id) else { return };
    let names: Vec<&str> = match &change.what {
        What::Altered { attributes } => attributes.iter().map(|attribute| attribute.name.as_str()).collect(),
        // An index may be that of a constraint from now on, and is there all the same.
        What::Created | What::Dropped if schema.is_named(id) => return,
        What::Created | What::Dropped => object.attributes.keys().map(SmolStr::as_str).collect(),
    };
    let names: Vec<&str> = names.into_iter().filter(|name| !Attribute::is_privilege(name)).collect();
    if names.is_empty() {
        return;
    }
    let Some(inner) = schema.within(id, object) else {
        altered.extend(schema.named_by(id));
        return;
    };
    if names.iter().any(|name| inner.attributes.contains(name)) {
        altered.insert(inner.id.clone());
    }
    if names.iter().any(|name| !inner.attributes.contains(name)) {
        altered.extend(schema.named_by(id));
        along.insert(inner.id);
    }
}
