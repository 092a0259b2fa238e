//! That a table is a partition of another one: an object of its own, because it begins when both are there and may end while
//! both stay.

use super::super::{Id, Object, Schema, parent_of};
use super::making::{Making, Sql, World, by_word, hazards, never};
use super::query::{Row, in_scope, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::Partition], present: Some("pg_inherits"), query, making: MAKING };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'partition'",
        name: ["n.nspname", "c.relname", "c.relname", "NULL"],
        addresses: &[],
        attributes: vec![
            ("of", "(SELECT format('%I.%I', pn.nspname, p.relname) FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE h.inhrelid = c.oid)".to_owned()),
            ("schema of parent", "(SELECT pn.nspname FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace WHERE h.inhrelid = c.oid)".to_owned()),
            ("name of parent", "(SELECT p.relname FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent WHERE h.inhrelid = c.oid)".to_owned()),
            ("bound", "pg_get_expr(c.relpartbound, c.oid)".to_owned()),
        ],
        from: format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE c.relispartition AND c.relkind IN ('r', 'p', 'f') AND {}",
            in_scope(asked),
            not_a_member(asked, "pg_class", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making = Making { target: by_word, grantee: None, create, change: never, drop, remade: true };

fn create(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    let (parent, bound) = (object.text("of").unwrap_or_default(), object.text("bound").unwrap_or_default());
    let sql = Sql::new(format!("ALTER TABLE {parent} ATTACH PARTITION {} {bound}", id.name_sql()));
    // Rows that are there may be outside the bounds.
    vec![if world.was_there(id) { sql.hazard(hazards::MAY_FAIL) } else { sql }]
}

fn drop(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    let parent = object.text("of").unwrap_or_default();
    let sql = Sql::new(format!("ALTER TABLE {parent} DETACH PARTITION {}", id.name_sql()));
    let sql = sql.hazard(hazards::GAP);
    vec![if is_referred_to(object, world.from) { sql.hazard(hazards::MAY_FAIL) } else { sql }]
}

/// Whether rows of other tables may refer to those of the partition: it cannot go then.
fn is_referred_to(partition: &Object, schema: &Schema) -> bool {
    let Some(parent) = parent_of(partition) else { return false };
    let refers = |object: &Object| {
        let is_key = object.text("definition").is_some_and(|text| text.starts_with("FOREIGN KEY"));
        let is_of_parent =
            |needed: &Id| needed.schema == parent.schema && needed.table.as_ref() == Some(&parent.name);
        let mut keys = object.needs.iter();
        is_key
            && keys.any(|one| {
                matches!(one.kind, ObjectKind::Constraint | ObjectKind::Index) && is_of_parent(one)
            })
    };
    let above = World::partition_of(&Id { table: Some(parent.name.clone()), ..parent.clone() });
    schema.objects.iter().any(|(id, object)| id.kind == ObjectKind::Constraint && refers(object))
        || above.and_then(|own| schema.get(&own)).is_some_and(|above| is_referred_to(above, schema))
}
