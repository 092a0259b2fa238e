//! That a table is a partition of another one: an object of its own, because it begins when both are there and may end while
//! both stay.

use super::super::{Id, Object};
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

fn drop(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let parent = object.text("of").unwrap_or_default();
    vec![Sql::new(format!("ALTER TABLE {parent} DETACH PARTITION {}", id.name_sql())).hazard(hazards::GAP)]
}
