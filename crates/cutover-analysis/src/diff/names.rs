//! Keys and indexes that only have another name: they are renamed rather than built anew. Nothing is guessed by that: what
//! they are is the same to the letter, and they hold nothing of their own.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, What};
use crate::effects::ObjectKind;
use crate::schema::kinds;
use crate::schema::{Id, Object, Schema, Sql, Value};
use crate::sql::quote_ident;

/// The first schema with the names of the second, and the statements that lead there; none where there is nothing to rename.
pub(super) fn renamed(from: &Schema, to: &Schema, changes: &[Change]) -> Option<(Schema, Vec<Sql>)> {
    let of = |what: &What| -> Vec<&Id> {
        let these = changes.iter().filter(|change| change.what == *what).map(|change| &change.object);
        these.filter(|id| matches!(id.kind, ObjectKind::Constraint | ObjectKind::Index)).collect()
    };
    let (gone, mut new) = (of(&What::Dropped), of(&What::Created));
    if gone.is_empty() || new.is_empty() {
        return None;
    }
    let taken = taken(from);
    let mut names: BTreeMap<&Id, &Id> = BTreeMap::new();
    for old in gone.into_iter().filter(|old| stands_alone(from, old) && is_whole_kept(from, to, old)) {
        let alike = |other: &&Id| {
            other.kind == old.kind
                && other.schema == old.schema
                && other.table == old.table
                && !taken.contains(&(other.schema.as_deref(), other.name.as_str()))
                && stands_alone(to, other)
                && is_same(from, to, old, other)
        };
        if let Some(at) = new.iter().position(alike) {
            names.insert(old, new.remove(at));
        }
    }
    (!names.is_empty())
        .then(|| (with_names(from, to, &names), names.iter().map(|(old, new)| rename(old, new)).collect()))
}

/// Names of relations, and of constraints, which may have indexes.
fn taken(schema: &Schema) -> BTreeSet<(Option<&str>, &str)> {
    let named = schema.objects.keys().filter(|id| {
        id.kind == ObjectKind::Constraint
            || matches!(id.kind.family(), ObjectKind::Relation | ObjectKind::Type)
    });
    named.map(|id| (id.schema.as_deref(), id.name.as_str())).collect()
}

/// Whether nothing of other tables is called after it or comes with it.
fn stands_alone(schema: &Schema, id: &Id) -> bool {
    let of_parent = |object: &Object| object.has("inherited") || object.has("partition of");
    let follows = |(other, object): (&Id, &Object)| {
        other.kind == id.kind
            && of_parent(object)
            && (other.name == id.name && other.table != id.table || object.needs.contains(id))
    };
    schema.get(id).is_some_and(|object| !of_parent(object)) && !schema.objects.iter().any(follows)
}

fn is_whole_kept(from: &Schema, to: &Schema, part: &Id) -> bool {
    kinds::WITH_PARTS.iter().any(|kind| {
        let (Some(schema), Some(table)) = (&part.schema, &part.table) else { return false };
        let whole = Id::new(*kind, schema.clone(), table.clone());
        from.objects.contains_key(&whole) && to.objects.contains_key(&whole)
    })
}

fn is_same(from: &Schema, to: &Schema, old: &Id, new: &Id) -> bool {
    let (Some(before), Some(after)) = (from.get(old), to.get(new)) else { return false };
    let mut expected = before.attributes.clone();
    if let (ObjectKind::Index, Some(Value::Text(definition))) = (old.kind, expected.get_mut("definition")) {
        *definition = definition.replacen(
            &format!(" {} ON ", quote_ident(&old.name)),
            &format!(" {} ON ", quote_ident(&new.name)),
            1,
        );
    }
    expected == after.attributes
}

fn rename(old: &Id, new: &Id) -> Sql {
    let name = quote_ident(&new.name);
    Sql::new(match old.kind {
        ObjectKind::Index => format!("ALTER INDEX {} RENAME TO {name}", old.name_sql()),
        _ => {
            format!("ALTER TABLE {} RENAME CONSTRAINT {} TO {name}", old.table_sql(), quote_ident(&old.name))
        }
    })
}

fn with_names(from: &Schema, to: &Schema, names: &BTreeMap<&Id, &Id>) -> Schema {
    let called = |id: &Id| names.get(id).map_or_else(|| id.clone(), |new| (*new).clone());
    let objects = from.objects.iter().map(|(id, object)| {
        let attributes = match names.get(id).and_then(|new| to.get(new)) {
            Some(renamed) => renamed.attributes.clone(),
            None => object.attributes.clone(),
        };
        (called(id), Object { attributes, needs: object.needs.iter().map(called).collect() })
    });
    Schema { objects: objects.collect(), owner: from.owner.clone(), ..*from }
}
