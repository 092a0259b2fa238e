//! Tables that inherit from others: what they have from these changes with them, what they have besides stays theirs, and both
//! must fit while one is the other's heir.

use super::actions::{Action, Plan, Verb};
use crate::effects::ObjectKind;
use crate::schema::kinds::making::World;
use crate::schema::{Id, Schema};

/// Whether a column or a check is a table's own beside being a parent's.
fn is_own_too(id: &Id, schema: &Schema, world: &World<'_>) -> bool {
    let Some(object) = schema.get(id) else { return false };
    let can_be = match id.kind {
        ObjectKind::Column => true,
        ObjectKind::Constraint => object.text("definition").is_some_and(|text| text.starts_with("CHECK")),
        _ => false,
    };
    can_be && !object.has("inherited") && world.comes_along(id)
}

/// The parts of the same name of all that a table inherits from, before (`from`) or after.
fn above(id: &Id, schema: &Schema) -> Vec<Id> {
    let mut all: Vec<Id> = Vec::new();
    let mut to_see = vec![id.clone()];
    while let Some(next) = to_see.pop() {
        for table in parents(&next, schema) {
            let part = Id { schema: table.schema, table: Some(table.name), ..next.clone() };
            if !all.contains(&part) {
                all.push(part.clone());
                to_see.push(part);
            }
        }
    }
    all
}

/// The tables that the table of a part inherits from, or is a partition of.
fn parents(part: &Id, schema: &Schema) -> Vec<Id> {
    let (Some(namespace), Some(table)) = (&part.schema, &part.table) else { return Vec::new() };
    let own = Id::new(ObjectKind::Table, namespace.clone(), table.clone());
    let needed = schema.get(&own).into_iter().flat_map(|object| &object.needs);
    needed.filter(|needed| needed.kind == ObjectKind::Table && **needed != own).cloned().collect()
}

impl<'a> Plan<'a> {
    /// Whether a column that is dropped or made is its table's own, while another one is a parent's: then the order between
    /// the two is not by what needs what, see [`Plan::connect_own`].
    pub(super) fn is_own_of_heir(&self, id: &Id, needed: &Id, schema: &Schema) -> bool {
        id.kind == ObjectKind::Column
            && needed.kind == ObjectKind::Column
            && needed.table != id.table
            && is_own_too(id, schema, self.world)
    }

    /// What an heir has as its own too is there before the parent's, which is put together with it then; it can only be dropped
    /// when the parent's is gone.
    pub(super) fn connect_own(&mut self) {
        for (verb, id) in self.actions.clone() {
            let schema = match verb {
                Verb::Drop => self.world.from,
                Verb::Create => self.world.to,
                Verb::Alter | Verb::Finish => continue,
            };
            if !is_own_too(id, schema, self.world) {
                continue;
            }
            for parent in above(id, schema) {
                if verb == Verb::Drop {
                    self.edge((verb, &parent), (verb, id));
                } else {
                    self.edge((verb, id), (verb, &parent));
                }
            }
        }
    }

    /// A table that inherits from others afterwards leaves the old ones before anything of either is changed, and comes to the new
    /// ones when all of it is.
    pub(super) fn connect_inheritance(&mut self) {
        let changed: Vec<&'a Id> = (self.actions.iter())
            .filter(|(verb, id)| {
                *verb == Verb::Alter && id.kind == ObjectKind::Table && self.has_other_parents(id)
            })
            .map(|(_, id)| *id)
            .collect();
        for table in changed {
            let mut tables = vec![table.clone()];
            let inherited = |schema: &'a Schema| {
                let needed = schema.get(table).into_iter().flat_map(|object| &object.needs);
                needed.filter(|needed| needed.kind == ObjectKind::Table)
            };
            let (old, new): (Vec<&Id>, Vec<&Id>) =
                (inherited(self.world.from).collect(), inherited(self.world.to).collect());
            tables.extend(old.iter().filter(|parent| !new.contains(parent)).map(|parent| (*parent).clone()));
            let joined: Vec<Id> =
                new.iter().filter(|parent| !old.contains(parent)).map(|parent| (*parent).clone()).collect();
            for (verb, part) in self.parts() {
                let is_of =
                    |table: &Id| part.schema == table.schema && part.table.as_ref() == Some(&table.name);
                if tables.iter().any(is_of) {
                    self.edge((Verb::Alter, table), (verb, part));
                }
                if joined.iter().any(is_of) {
                    self.edge((verb, part), (Verb::Finish, table));
                }
            }
        }
    }

    fn parts(&self) -> Vec<Action<'a>> {
        let is_part = |(verb, id): &&Action<'a>| {
            *verb != Verb::Finish && matches!(id.kind, ObjectKind::Column | ObjectKind::Constraint)
        };
        self.actions.iter().filter(is_part).copied().collect()
    }

    fn has_other_parents(&self, table: &Id) -> bool {
        let of = |schema: &'a Schema| schema.get(table).map(|object| object.list("inherits"));
        of(self.world.from) != of(self.world.to)
    }
}
