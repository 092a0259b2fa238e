//! What each migration does as a whole, and where a table comes from.

use cutover_analysis::effects::{ObjectKind, ObjectRef};
use cutover_analysis::schema::Id;

use crate::inspect::Inspection;
pub(super) use crate::plan::does::Does;
use crate::project::Project;

/// Where a table comes from.
pub(super) struct Origin {
    /// The place of the migration that creates it.
    pub(super) created: Option<usize>,
    /// The places of those that gave it another name, each with the name before: the first of them first.
    pub(super) renamed: Vec<(usize, Id)>,
}

/// What each migration does, in their order.
pub(super) fn all(project: &Project, files: &Inspection) -> Vec<Does> {
    let script = |place| files.built.scripts.get(&place);
    (0..project.migrations.len()).map(|place| script(place).map(Does::of).unwrap_or_default()).collect()
}

/// The last migration that creates a table of this name, and what has renamed it since.
pub(super) fn origin(all: &[Does], table: &Id) -> Origin {
    let (mut id, mut renamed) = (table.clone(), Vec::new());
    for (place, does) in all.iter().enumerate().rev() {
        if let Some((from, _)) = does.renamed.iter().find(|(_, to)| is_table(to, &id)) {
            id.name = from.name.clone();
            id.schema = from.schema.clone().or(id.schema);
            renamed.insert(0, (place, id.clone()));
        } else if does.made.iter().any(|made| is_table(made, &id)) {
            return Origin { created: Some(place), renamed };
        }
    }
    Origin { created: None, renamed }
}

fn is_table(object: &ObjectRef, table: &Id) -> bool {
    object.kind.family() == ObjectKind::Relation
        && object.name == table.name
        && object.schema.as_ref().is_none_or(|schema| Some(schema) == table.schema.as_ref())
}
