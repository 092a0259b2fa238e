//! What is to have the database for itself, though it may run beside others by the names it uses. What may run beside others
//! is listed, not what may not: it makes new things, or changes tables by name. All else may matter to a migration that
//! does not name it.

use std::collections::BTreeSet;

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::graph::Vertex;

use crate::script::is_made;

/// What is there, or comes to be there in the run.
pub(crate) struct Made<'a> {
    /// Views, those of the run too.
    views: BTreeSet<&'a str>,
    /// Views and routines that are there before the migration that makes them, or are made by several.
    replaced: BTreeSet<&'a str>,
    /// Places of the migrations that make something without saying in which schema: at most two, to tell one from several.
    unqualified: Vec<usize>,
}

impl<'a> Made<'a> {
    /// From the vertices of a run by their migration's place in the project, and the names of views and routines that are
    /// there before it.
    pub(crate) fn by(
        vertices: impl Iterator<Item = (usize, &'a Vertex)> + Clone,
        views: impl Iterator<Item = &'a str>,
        routines: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut views: BTreeSet<&str> = views.collect();
        let mut known: BTreeSet<&str> = views.iter().copied().collect();
        known.extend(routines);
        let mut replaced = BTreeSet::new();
        for object in vertices.clone().flat_map(|(_, vertex)| &vertex.creates) {
            let is_view = matches!(object.kind, ObjectKind::View | ObjectKind::MaterializedView);
            if is_view {
                views.insert(&object.name);
            }
            if (is_view || object.kind.family() == ObjectKind::Routine) && !known.insert(&object.name) {
                replaced.insert(object.name.as_str());
            }
        }
        let unqualified = vertices.filter(|(_, vertex)| vertex.creates.iter().any(follows_the_path));
        Self { views, replaced, unqualified: unqualified.map(|(index, _)| index).take(2).collect() }
    }

    /// Why a migration is to have the database for itself, where it is.
    pub(crate) fn why_alone(&self, index: usize, vertex: &Vertex) -> Option<&'static str> {
        let by_view = |read: &ObjectRef| self.views.contains(read.name.as_str());
        let makes_a_schema = vertex.creates.iter().any(|object| object.kind == ObjectKind::Schema);
        if makes_a_schema && self.unqualified.iter().any(|other| *other != index) {
            // One may be called as the role is, or stand in a search path of anybody's making.
            Some("others may make in its schema what they name without one")
        } else if vertex.unnamed {
            Some("a statement does not name what it works on")
        } else if !vertex.drops.is_empty() {
            Some("what it drops may have been in the way of others")
        } else if !vertex.writes.iter().all(|table| vertex.creates.iter().any(|made| is_made(made, table))) {
            Some("keys, triggers and checks may tie the rows that it writes to others")
        } else if vertex.reads.iter().any(by_view) {
            Some("it reads what a view shows")
        } else if !vertex.creates.iter().all(|object| self.is_new_and_plain(object)) {
            Some("what it makes may matter to those that do not name it")
        } else if vertex.alters.iter().any(|object| object.kind == ObjectKind::Index) {
            Some("a copy of its table takes over what it changes of an index")
        } else if !vertex.alters.iter().all(is_part_of_a_table) {
            Some("what it changes may matter to those that do not name it")
        } else {
            None
        }
    }

    /// Whoever needs it names it.
    fn is_new_and_plain(&self, object: &ObjectRef) -> bool {
        match object.kind {
            ObjectKind::Schema | ObjectKind::Type | ObjectKind::Domain | ObjectKind::Sequence => true,
            ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Function
            | ObjectKind::Procedure
            | ObjectKind::Aggregate => !self.replaced.contains(object.name.as_str()),
            _ => is_part_of_a_table(object),
        }
    }
}

/// Where it is made depends on which schemas of the search path there are.
fn follows_the_path(object: &ObjectRef) -> bool {
    let is_placed = matches!(
        object.kind,
        ObjectKind::Table
            | ObjectKind::Relation
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Sequence
            | ObjectKind::ForeignTable
            | ObjectKind::Type
            | ObjectKind::Domain
            | ObjectKind::Function
            | ObjectKind::Procedure
            | ObjectKind::Aggregate
    );
    is_placed && object.schema.is_none()
}

/// A table, or what belongs to one by name.
fn is_part_of_a_table(object: &ObjectRef) -> bool {
    matches!(
        object.kind,
        ObjectKind::Table
            | ObjectKind::Relation
            | ObjectKind::Column
            | ObjectKind::Constraint
            | ObjectKind::Index
            | ObjectKind::Statistics
            | ObjectKind::Trigger
            | ObjectKind::Policy
    )
}
