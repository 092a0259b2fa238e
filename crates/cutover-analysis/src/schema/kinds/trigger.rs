//! Triggers. What a partition has from its parent is the parent's.

use super::super::{Id, Object, Schema, parent_of};
use super::making::{Change, Making, Sql, World, by_word, on_table, plain_drop, text};
use super::query::{Row, comment, in_scope, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::quote_ident;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Trigger],
    present: Some("pg_trigger WHERE NOT tgisinternal"),
    query,
    making: MAKING,
};

/// When a trigger or rule fires, where it is not the usual way; as ALTER TABLE spells it.
pub(super) fn enabled(column: &str) -> String {
    format!(
        "CASE {column} WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END"
    )
}

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'trigger'",
        name: ["n.nspname", "c.relname", "t.tgname", "NULL"],
        addresses: &[("pg_trigger", "t.oid", "0"), ("pg_constraint", "NULLIF(t.tgconstraint, 0)", "0")],
        attributes: vec![
            ("definition", "pg_get_triggerdef(t.oid)".to_owned()),
            ("fires", enabled("t.tgenabled")),
            comment("pg_trigger", "t.oid"),
        ],
        from: format!(
            "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE NOT t.tgisinternal AND coalesce(to_jsonb(t) ->> 'tgparentid', '0') = '0' AND {}",
            in_scope(asked),
            not_a_member(asked, "pg_trigger", "t.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: on_table, grantee: None, create, change, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    let mut statements = vec![Sql::new(object.text("definition").unwrap_or_default())];
    if let Some(how) = object.text("fires") {
        statements.push(Sql::new(fires(id, how)));
    }
    statements.extend(in_partitions(id, world));
    statements
}

/// What is said of a trigger in partitions that were there: how it fires for them too follows the parent's when that changes.
fn in_partitions(id: &Id, world: &World<'_>) -> Vec<Sql> {
    if !world.from.objects.contains_key(id) {
        return Vec::new();
    }
    let name = quote_ident(&id.name);
    let mut statements = Vec::new();
    for (table, object) in
        world.to.objects.iter().filter(|(table, _)| world.from.objects.contains_key(*table))
    {
        let mut said = object.list("triggers of parent").iter();
        let how = said.find(|entry| entry.split_once(" TRIGGER ").is_some_and(|(_, other)| other == name));
        if let Some(how) = how.filter(|_| is_below(world.to, table, id)) {
            statements.push(Sql::new(format!("ALTER {} {how}", by_word(table))));
        }
    }
    statements
}

/// Whether a table is a partition of the trigger's, or of one of its partitions.
fn is_below(schema: &Schema, table: &Id, trigger: &Id) -> bool {
    let mut above = partition_parent(schema, table);
    while let Some(parent) = above {
        if parent.schema == trigger.schema && Some(&parent.name) == trigger.table.as_ref() {
            return true;
        }
        above = partition_parent(schema, &parent);
    }
    false
}

/// The table that a table is a partition of.
pub(super) fn partition_parent(schema: &Schema, table: &Id) -> Option<Id> {
    let (namespace, name) = (table.schema.clone()?, table.name.clone());
    parent_of(schema.get(&Id::part(ObjectKind::Partition, namespace, name.clone(), name))?)
}

/// `how` is `DISABLE`, `ENABLE ALWAYS` …; for triggers and rules.
pub(super) fn fires(id: &Id, how: &str) -> String {
    format!(
        "ALTER TABLE {} {how} {} {}",
        id.table_sql(),
        id.kind.word().to_uppercase(),
        quote_ident(&id.name)
    )
}

fn change(change: &mut Change<'_>) {
    if change.left.contains_key("definition") {
        return;
    }
    if let Some((_, to)) = change.take("fires") {
        let how = text(to).unwrap_or_else(|| "ENABLE".to_owned());
        change.push(fires(change.id, &how));
        change.statements.extend(in_partitions(change.id, change.world));
    }
}
