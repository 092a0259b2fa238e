//! Constraints of tables with the indexes behind them. NOT NULL is the column's, triggers that are constraints are triggers.

use super::super::{Id, Object};
use super::making::{
    self, Change, Making, Place, Sql, World, hazards, on_table, parameters, storage_options, text,
};
use super::query::{Row, comment, flag, in_scope, not_a_member, sorted};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::{quote_ident, quote_literal};

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Constraint], present: None, query, making: MAKING };

/// A key to a partitioned table has one more of its kind for each partition there, which comes and goes with it.
fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'constraint'",
        name: ["n.nspname", "c.relname", "k.conname", "NULL"],
        addresses: &[
            ("pg_constraint", "k.oid", "0"),
            ("pg_class", "CASE WHEN k.contype IN ('p', 'u', 'x') THEN NULLIF(k.conindid, 0) END", "0"),
        ],
        attributes: vec![
            ("definition", "pg_get_constraintdef(k.oid)".to_owned()),
            ("options[]", format!("CASE WHEN k.contype IN ('p', 'u', 'x') THEN {} END", sorted("i.reloptions"))),
            ("tablespace", "CASE WHEN k.contype IN ('p', 'u', 'x') THEN (SELECT ts.spcname FROM pg_tablespace ts WHERE ts.oid = i.reltablespace) END".to_owned()),
            ("inherited?", flag("NOT k.conislocal OR k.conparentid <> 0")),
            comment("pg_constraint", "k.oid"),
            ("index comment", format!("CASE WHEN k.contype IN ('p', 'u', 'x') THEN {} END", comment("pg_class", "k.conindid").1)),
        ],
        from: format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {} JOIN pg_constraint k ON k.conrelid = c.oid
             LEFT JOIN pg_class i ON i.oid = k.conindid
             WHERE k.contype IN ('p', 'u', 'x', 'c', 'f') AND c.relpersistence <> 't' AND {}
               AND NOT EXISTS (SELECT FROM pg_constraint kp WHERE kp.oid = k.conparentid AND kp.conrelid = k.conrelid)",
            in_scope(asked),
            not_a_member(asked, "pg_class", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making = Making { target: on_table, grantee: None, create, change, drop, remade: true };

fn alter(id: &Id) -> String {
    format!("ALTER TABLE {}", id.table_sql())
}

/// As it stands inside CREATE TABLE.
pub(crate) fn inline(id: &Id, object: &Object) -> String {
    format!("CONSTRAINT {} {}", quote_ident(&id.name), definition_with(object))
}

/// The definition with the parameters of its index.
fn definition_with(object: &Object) -> String {
    let definition = object.text("definition").unwrap_or_default();
    if !object.has("options") {
        return definition.to_owned();
    }
    // WITH stands behind the columns, before what may be deferred.
    let at = definition.find(" DEFERRABLE").unwrap_or(definition.len());
    format!("{} WITH ({}){}", &definition[..at], parameters(object.list("options")), &definition[at..])
}

fn create(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    let mut statements = create_key(id, object, world);
    statements.extend(object.text("index comment").map(|text| comment_on_index(id, Some(text))));
    statements
}

/// What is said of the index behind a key.
pub(crate) fn comment_on_index(id: &Id, text: Option<&str>) -> Sql {
    let text = text.map_or_else(|| "NULL".to_owned(), quote_literal);
    Sql::new(format!("COMMENT ON INDEX {} IS {text}", id.name_sql()))
}

fn create_key(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    let is_heir = || !world.was_there(id) && world.whole(id).is_some_and(|(_, table)| table.has("inherits"));
    if object.has("inherited") && (world.comes_along(id) || is_heir()) && !is_named_by_hand(id, object, world)
    {
        // The parent's brought it along.
        return Vec::new();
    }
    let definition = object.text("definition").unwrap_or_default();
    let name = quote_ident(&id.name);
    let plain = Sql::new(format!("{} ADD {}", alter(id), inline(id, object))).hazard(hazards::MAY_FAIL);
    if !world.is_in_use(id) || world.is_partitioned(id) {
        return vec![if world.from.objects.contains_key(&whole(id)) {
            plain
        } else {
            Sql { hazards: Vec::new(), ..plain }
        }];
    }
    if definition.starts_with("CHECK") || definition.starts_with("FOREIGN KEY") {
        if definition.ends_with(" NOT VALID") || definition.contains(" NOT ENFORCED") {
            return vec![Sql { hazards: Vec::new(), ..plain }];
        }
        let add = Sql::new(format!("{} ADD {} NOT VALID", alter(id), inline(id, object)));
        let validate = Sql::new(format!("{} VALIDATE CONSTRAINT {name}", alter(id)));
        return vec![add, validate.at(Place::NewTransaction).hazard(hazards::MAY_FAIL)];
    }
    match index_of(definition) {
        Some((index, kind, deferred)) => {
            let with = if object.has("options") {
                format!(" WITH ({})", parameters(object.list("options")))
            } else {
                String::new()
            };
            let tablespace = object
                .text("tablespace")
                .map(|name| format!(" TABLESPACE {}", quote_ident(name)))
                .unwrap_or_default();
            let build = format!(
                "CREATE UNIQUE INDEX CONCURRENTLY {name} ON {} {index}{with}{tablespace}",
                id.table_sql()
            );
            let add = format!("{} ADD CONSTRAINT {name} {kind} USING INDEX {name}{deferred}", alter(id));
            vec![Sql::new(build).at(Place::Outside).hazard(hazards::MAY_FAIL), Sql::new(add)]
        }
        None => vec![plain],
    }
}

/// Whether a partition calls what it has from its parent otherwise than PostgreSQL would: it is made before its parent's then,
/// which takes it as its own.
pub(crate) fn is_named_by_hand(id: &Id, object: &Object, world: &World<'_>) -> bool {
    let is_partition = || World::partition_of(id).is_some_and(|own| world.from.objects.contains_key(&own));
    if !object.has("inherited") || !world.comes_along(id) || !is_partition() {
        return false;
    }
    let definition = object.text("definition").unwrap_or_default();
    if definition.starts_with("FOREIGN KEY") {
        let of_parent = object.needs.iter().filter(|needed| needed.table != id.table);
        return of_parent
            .filter(|needed| is_parent_of(needed, id, world))
            .all(|needed| needed.name != id.name);
    }
    let Some((columns, kind, _)) = index_of(definition) else { return false };
    let table = id.table.as_deref().unwrap_or_default();
    let usual = if kind == "PRIMARY KEY" {
        format!("{table}_pkey")
    } else {
        let names = columns.replace(['(', ')', '"'], "").replace(", ", "_").replace(" INCLUDE ", "_");
        format!("{table}_{names}_key")
    };
    usual != id.name
}

/// Whether the key of a parent is the one that the partition's is a part of.
pub(crate) fn is_parent_of(parent: &Id, key: &Id, world: &World<'_>) -> bool {
    let partition = World::partition_of(key).and_then(|own| world.to.get(&own));
    parent.kind == ObjectKind::Constraint
        && partition.and_then(|partition| partition.text("name of parent")) == parent.table.as_deref()
}

fn whole(id: &Id) -> Id {
    Id::new(ObjectKind::Table, id.schema.clone().unwrap_or_default(), id.table.clone().unwrap_or_default())
}

/// What CREATE INDEX needs for a key, the word for the key, and how it is deferred; none for what no index can be given to.
fn index_of(definition: &str) -> Option<(String, &'static str, &str)> {
    let (kind, rest) = match definition.strip_prefix("PRIMARY KEY ") {
        Some(rest) => ("PRIMARY KEY", rest),
        None => ("UNIQUE", definition.strip_prefix("UNIQUE ")?),
    };
    let (distinct, rest) = match rest.strip_prefix("NULLS NOT DISTINCT ") {
        Some(rest) => (" NULLS NOT DISTINCT", rest),
        None => ("", rest),
    };
    if rest.contains("WITHOUT OVERLAPS") {
        return None;
    }
    let at = rest.find(" DEFERRABLE").unwrap_or(rest.len());
    Some((format!("{}{distinct}", &rest[..at]), kind, &rest[at..]))
}

fn change(change: &mut Change<'_>) {
    // With the parent's it goes, where the table stays below that, and is made anew as its own.
    let alone = matches!(change.left.get("inherited"), Some((Some(_), None)));
    if !(alone && change.world.comes_along(change.id)) {
        change.take("inherited");
    }
    let (from, to) = (
        change.from.text("definition").unwrap_or_default(),
        change.to.text("definition").unwrap_or_default(),
    );
    if change.left.contains_key("definition") && from.strip_suffix(" NOT VALID") == Some(to) {
        change.take("definition");
        let sql = format!("{} VALIDATE CONSTRAINT {}", alter(change.id), quote_ident(&change.id.name));
        change.statements.push(Sql::new(sql).hazard(hazards::MAY_FAIL));
    }
    if change.left.contains_key("definition") && !change.left.contains_key("inherited") {
        replace_in_use(change);
    }
    if change.left.contains_key("definition") || change.left.contains_key("inherited") {
        return;
    }
    if change.anew {
        return;
    }
    let index = format!(
        "ALTER INDEX {}",
        Id { table: None, kind: ObjectKind::Index, ..change.id.clone() }.name_sql()
    );
    if let Some(values) = change.take("options") {
        change.statements.extend(storage_options(&index, values));
    }
    if let Some((_, to)) = change.take("index comment") {
        change.statements.push(comment_on_index(change.id, text(to).as_deref()));
    }
    if let Some((_, to)) = change.take("tablespace") {
        change.push(format!(
            "{index} SET TABLESPACE {}",
            quote_ident(&text(to).unwrap_or_else(|| "pg_default".to_owned()))
        ));
    }
}

/// The new one is there before the old one goes: at no moment may rows come that neither would let in.
fn replace_in_use(change: &mut Change<'_>) {
    let (id, world) = (change.id, change.world);
    let of = |object: &Object| object.text("definition").unwrap_or_default().to_owned();
    let (from, to) = (of(change.from), of(change.to));
    let is_plain = |object: &Object| !object.has("inherited");
    let is_held = world.from.objects.values().any(|object| object.needs.contains(id));
    // What the table says of the index behind it would be forgotten.
    let is_said = ["replica identity", "clustered on"].iter().any(|attribute| {
        [world.from, world.to]
            .iter()
            .filter_map(|schema| schema.get(&whole(id)))
            .any(|table| table.has(attribute))
    });
    if !world.is_in_use(id)
        || world.is_partitioned(id)
        || is_said
        || !is_plain(change.from)
        || !is_plain(change.to)
        || is_held
    {
        return;
    }
    let new = making::free_name(&id.name, "__new", &|name| {
        let of_name = |other: &Id| other.name == name && other.schema == id.schema;
        [world.from, world.to].iter().any(|schema| schema.objects.keys().any(of_name))
    });
    let (own, other) = (quote_ident(&id.name), quote_ident(&new));
    let is_of = |text: &str, kind: &str| text.starts_with(kind);
    let checked = ["FOREIGN KEY", "CHECK"].into_iter().find(|kind| is_of(&from, kind) && is_of(&to, kind));
    let statements = if checked.is_some() {
        if to.ends_with(" NOT VALID") || to.contains(" NOT ENFORCED") {
            return;
        }
        let alter = alter(id);
        vec![
            Sql::new(format!("{alter} ADD CONSTRAINT {other} {} NOT VALID", definition_with(change.to))),
            Sql::new(format!("{alter} VALIDATE CONSTRAINT {other}"))
                .at(Place::NewTransaction)
                .hazard(hazards::MAY_FAIL),
            Sql::new(format!("{alter} DROP CONSTRAINT {own}")).at(Place::NewTransaction),
            Sql::new(format!("{alter} RENAME CONSTRAINT {other} TO {own}")),
        ]
    } else {
        let (Some((_, before, _)), Some((index, kind, deferred))) = (index_of(&from), index_of(&to)) else {
            return;
        };
        let is_otherwise_stored = change.to.has("options") || change.to.has("tablespace");
        if before != kind || is_otherwise_stored {
            return;
        }
        let build = format!("CREATE UNIQUE INDEX CONCURRENTLY {other} ON {} {index}", id.table_sql());
        let swap = format!(
            "{} DROP CONSTRAINT {own}, ADD CONSTRAINT {own} {kind} USING INDEX {other}{deferred}",
            alter(id)
        );
        vec![Sql::new(build).at(Place::Outside).hazard(hazards::MAY_FAIL), Sql::new(swap)]
    };
    for attribute in ["definition", "options", "tablespace"] {
        change.take(attribute);
    }
    change.statements.extend(statements);
    change.anew = true;
    if change.to.has("index comment") {
        change.statements.push(comment_on_index(id, change.to.text("index comment")));
    }
    change.take("index comment");
}

fn drop(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    if object.has("inherited") && (world.comes_along(id) || !world.was_there(id)) {
        return Vec::new();
    }
    vec![Sql::new(format!("{} DROP CONSTRAINT {}", alter(id), quote_ident(&id.name)))]
}
