//! Which migration makes an object, by its name.

use std::borrow::Borrow;

use rustc_hash::FxHashMap;

use super::Vertex;
use crate::effects::{ObjectKind, ObjectRef, implied};

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
    made: FxHashMap<Key<'a>, Vec<(Option<&'a str>, usize)>>,
}

impl<'a> Makers<'a> {
    pub(super) fn of<V: Borrow<Vertex>>(vertices: &'a [V]) -> Self {
        let mut made: FxHashMap<Key<'a>, Vec<_>> = FxHashMap::default();
        for (index, vertex) in vertices.iter().map(Borrow::borrow).enumerate() {
            let created = vertex.creates.iter().chain(&vertex.chosen);
            for object in created.filter(|object| !object.name.is_empty()) {
                // Nearly all names are made once.
                let makers = made.entry(key(object)).or_insert_with(|| Vec::with_capacity(1));
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
        self.find(from, key(object), schema).or_else(|| {
            let (family, name, _) = key(object);
            match family {
                ObjectKind::Type => self.of_type(from, name, schema),
                // A range type brings functions of its name.
                ObjectKind::Routine => [name.to_owned()]
                    .into_iter()
                    .chain(implied::range_of(name))
                    .find_map(|range| self.find(from, (ObjectKind::Type, &range, None), schema)),
                ObjectKind::Column => {
                    self.find(from, (ObjectKind::Relation, object.table.as_deref()?, None), schema)
                }
                _ => None,
            }
        })
    }

    /// Whether a migration makes an object of this very name, and not only what it comes with.
    pub(super) fn makes(&self, migration: usize, object: &ObjectRef) -> bool {
        self.made.get(&key(object)).is_some_and(|makers| makers.iter().any(|(_, index)| *index == migration))
    }

    /// What PostgreSQL makes a type for: rows of a relation, arrays of a type, multiranges of a range.
    fn of_type(&self, from: usize, name: &str, schema: Option<&str>) -> Option<usize> {
        let of = |name: &str| {
            [ObjectKind::Type, ObjectKind::Relation]
                .into_iter()
                .find_map(|family| self.find(from, (family, name, None), schema))
        };
        let element = name.strip_prefix('_').unwrap_or(name);
        of(name)
            .or_else(|| of(element))
            .or_else(|| implied::range_of(element).iter().find_map(|range| of(range)))
    }

    fn find(&self, from: usize, key: Key<'_>, schema: Option<&str>) -> Option<usize> {
        let makers = self.made.get(&key)?;
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
