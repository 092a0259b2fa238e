//! Which migration makes an object, by its name.

use std::borrow::Borrow;
use std::collections::HashMap;

use super::Vertex;
use crate::effects::{ObjectKind, ObjectRef};

/// Family, own name, and the table's name of what belongs to one.
type Key<'a> = (ObjectKind, &'a str, Option<&'a str>);

fn key(object: &ObjectRef) -> Key<'_> {
    let family = object.kind.family();
    // An index or sequence is found without its table.
    let table = (family != ObjectKind::Relation).then_some(object.table.as_deref()).flatten();
    (family, object.name.as_str(), table)
}

/// Who makes what, in the order of the migrations.
pub(super) struct Makers<'a> {
    /// Schema and migration, for each name.
    made: HashMap<Key<'a>, Vec<(Option<&'a str>, usize)>>,
}

impl<'a> Makers<'a> {
    pub(super) fn of<V: Borrow<Vertex>>(vertices: &'a [V]) -> Self {
        let mut made: HashMap<Key<'a>, Vec<_>> = HashMap::new();
        for (index, vertex) in vertices.iter().map(Borrow::borrow).enumerate() {
            for object in vertex.creates.iter().filter(|object| !object.name.is_empty()) {
                let makers = made.entry(key(object)).or_default();
                if makers.last() != Some(&(object.schema.as_deref(), index)) {
                    makers.push((object.schema.as_deref(), index));
                }
            }
        }
        Self { made }
    }

    /// The migration that `from` has an object from: the last one before it that makes it, else itself, else the first
    /// one after it.
    pub(super) fn maker_for(&self, from: usize, object: &ObjectRef) -> Option<usize> {
        if object.is_temporary() {
            return Some(from);
        }
        let schema = object.schema.as_deref();
        let makers = self.made.get(&key(object))?;
        // An unqualified name may be one in any schema; the same schema is the better match.
        let exact = |(made, _): &&(Option<&str>, usize)| *made == schema;
        let agrees =
            |(made, _): &&(Option<&str>, usize)| *made == schema || made.is_none() || schema.is_none();
        let split = makers.partition_point(|(_, index)| *index < from);
        let (before, after) = makers.split_at(split);
        let found = before
            .iter()
            .rev()
            .find(exact)
            .or_else(|| before.iter().rev().find(agrees))
            .or_else(|| after.iter().find(exact))
            .or_else(|| after.iter().find(agrees));
        found.map(|(_, index)| *index)
    }
}
