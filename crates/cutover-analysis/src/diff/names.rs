//! Keys and indexes that only have another name: they are renamed rather than built anew. Nothing is guessed by that: what
//! they are is the same to the letter, and they hold nothing of their own.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, What};
use crate::effects::{ObjectKind, SmolStr};
use crate::schema::kinds;
use crate::schema::{Id, Object, Schema, Sql, Value};
use crate::sql::quote_ident;

/// The first schema with the names of the second, and the statements that lead there; none where there is nothing to rename.
pub(super) fn renamed(from: &Schema, to: &Schema, changes: &[Change]) -> Option<(Schema, Vec<Sql>)> {
    let of = |what: &What| -> Vec<&Id> {
        let these = changes.iter().filter(|change| change.what == *what).map(|change| &change.object);
        these.filter(|id| matches!(id.kind, ObjectKind::Constraint | ObjectKind::Index)).collect()
    };
    let (mut gone, mut new) = (of(&What::Dropped), of(&What::Created));
    if gone.is_empty() || new.is_empty() {
        return None;
    }
    let relations = relations(from);
    let mut names: BTreeMap<&Id, &Id> = BTreeMap::new();
    gone.retain(|old| is_renamed_alone(from, old) && is_whole_kept(from, to, old));
    // What a partition has is called by its parent's name too, which must be known before.
    loop {
        let known = names.len();
        gone.retain(|old| {
            let alike = |other: &&Id| {
                other.kind == old.kind
                    && other.schema == old.schema
                    && other.table == old.table
                    && !is_taken(from, to, &relations, other)
                    && is_renamed_alone(to, other)
                    && is_same(from, to, (old, other), &names)
            };
            let found = new.iter().position(alike);
            names.extend(found.map(|at| (*old, new.remove(at))));
            found.is_none()
        });
        if names.len() == known {
            break;
        }
    }
    (!names.is_empty())
        .then(|| (with_names(from, to, &names), names.iter().map(|(old, new)| rename(old, new)).collect()))
}

/// Names of relations and types, and of constraints, which may have indexes.
fn relations(schema: &Schema) -> BTreeSet<(Option<&str>, &str)> {
    let named = schema.objects.keys().filter(|id| {
        id.kind == ObjectKind::Constraint
            || matches!(id.kind.family(), ObjectKind::Relation | ObjectKind::Type)
    });
    named.map(|id| (id.schema.as_deref(), id.name.as_str())).collect()
}

/// Checks and keys to other tables have their names within their table only.
fn is_taken(from: &Schema, to: &Schema, relations: &BTreeSet<(Option<&str>, &str)>, new: &Id) -> bool {
    let has_index = !to.get(new).and_then(|object| object.text("definition")).is_some_and(|definition| {
        new.kind == ObjectKind::Constraint
            && (definition.starts_with("CHECK") || definition.starts_with("FOREIGN KEY"))
    });
    from.objects.contains_key(new)
        || has_index && relations.contains(&(new.schema.as_deref(), new.name.as_str()))
}

/// Whether it is renamed without others: checks are called alike in all that inherits them, and are not renamed there.
fn is_renamed_alone(schema: &Schema, id: &Id) -> bool {
    let follows = |(other, object): (&Id, &Object)| {
        other.kind == id.kind
            && object.has("inherited")
            && (other.name == id.name && other.table != id.table || object.needs.contains(id))
    };
    let is_check = |object: &Object| object.text("definition").is_some_and(|text| text.starts_with("CHECK"));
    schema.get(id).is_some_and(|object| {
        !is_check(object) || !object.has("inherited") && !schema.objects.iter().any(follows)
    })
}

fn is_whole_kept(from: &Schema, to: &Schema, part: &Id) -> bool {
    kinds::WITH_PARTS.iter().any(|kind| {
        let (Some(schema), Some(table)) = (&part.schema, &part.table) else { return false };
        let whole = Id::new(*kind, schema.clone(), table.clone());
        from.objects.contains_key(&whole) && to.objects.contains_key(&whole)
    })
}

/// Whether the attributes are the same but for the name, with what is called otherwise already.
fn is_same(from: &Schema, to: &Schema, (old, new): (&Id, &Id), names: &BTreeMap<&Id, &Id>) -> bool {
    let (Some(before), Some(after)) = (from.get(old), to.get(new)) else { return false };
    let mut expected = before.attributes.clone();
    if let (ObjectKind::Index, Some(Value::Text(definition))) = (old.kind, expected.get_mut("definition")) {
        *definition = definition.replacen(
            &format!(" {} ON ", quote_ident(&old.name)),
            &format!(" {} ON ", quote_ident(&new.name)),
            1,
        );
    }
    under_renamed(&mut expected, names);
    expected == after.attributes
}

/// An index of a partition names the index that it is a part of.
fn under_renamed(attributes: &mut BTreeMap<SmolStr, Value>, names: &BTreeMap<&Id, &Id>) {
    let Some(Value::Text(parent)) = attributes.get_mut("partition of") else { return };
    if let Some((_, new)) = names.iter().find(|(old, _)| old.name_sql() == *parent) {
        *parent = new.name_sql();
    }
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
            None => {
                let mut attributes = object.attributes.clone();
                under_renamed(&mut attributes, names);
                attributes
            }
        };
        (called(id), Object { attributes, needs: object.needs.iter().map(called).collect() })
    });
    Schema { objects: objects.collect(), owner: from.owner.clone(), ..*from }
}
