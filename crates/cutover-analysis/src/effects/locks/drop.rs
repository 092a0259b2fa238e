//! What is locked by dropping, renaming and moving.

use pg_query::NodeEnum;
use pg_query::protobuf::{DropBehavior, DropStmt, ObjectType, RangeVar, RenameStmt};

use super::super::context::{ForeignKey, Name};
use super::super::lock_mode::LockMode as Mode;
use super::super::model::{ObjectKind as Kind, ObjectRef};
use super::super::names;
use super::{Site, create};

pub(super) fn add(node: &NodeEnum, site: &mut Site<'_>) {
    match node {
        NodeEnum::DropStmt(drop) => self::drop(drop, site),
        NodeEnum::RenameStmt(rename) => self::rename(rename, site),
        NodeEnum::AlterObjectSchemaStmt(alter) => {
            site.lock_range(alter.relation.as_ref(), Mode::AccessExclusive);
        }
        NodeEnum::AlterOwnerStmt(alter) => site.lock_range(alter.relation.as_ref(), Mode::AccessExclusive),
        NodeEnum::DropOwnedStmt(_) => site.lock_more("everything the role owns"),
        _ => {}
    }
}

fn drop(drop: &DropStmt, site: &mut Site<'_>) {
    let object_type = drop.remove_type();
    let cascade = drop.behavior() == DropBehavior::DropCascade;
    for object in drop.objects.iter().filter_map(|node| names::addressed(object_type, node)) {
        match object_type {
            ObjectType::ObjectTable | ObjectType::ObjectForeignTable => drop_table(&object, cascade, site),
            ObjectType::ObjectView | ObjectType::ObjectMatview | ObjectType::ObjectSequence => {
                site.lock(&object, Mode::AccessExclusive);
            }
            ObjectType::ObjectIndex => drop_index(&object, drop.concurrent, site),
            ObjectType::ObjectTrigger | ObjectType::ObjectPolicy | ObjectType::ObjectRule => {
                let table = create::owner(&object);
                site.lock(&table, Mode::AccessExclusive);
                if object_type == ObjectType::ObjectTrigger && is_for_rows(&object.name, &table, site) {
                    for part in site.partitions(&table) {
                        site.lock_named(&part, Mode::AccessExclusive);
                    }
                }
            }
            ObjectType::ObjectSchema if cascade => {
                site.lock_more(format!("everything in schema {}", object.name));
            }
            ObjectType::ObjectStatisticExt => drop_statistics(&object, site),
            _ if cascade => site.lock_more(format!("tables that depend on {object}")),
            _ => {}
        }
        let table = matches!(
            object_type,
            ObjectType::ObjectTable | ObjectType::ObjectView | ObjectType::ObjectMatview
        );
        if cascade && table {
            dependents(&object, site);
        }
    }
}

fn drop_table(table: &ObjectRef, cascade: bool, site: &mut Site<'_>) {
    site.lock(table, Mode::AccessExclusive);
    let Some(known) = site.relation(table) else {
        if !site.known.complete {
            site.lock_more(format!("the tables that foreign keys of {} point to", table.name));
        }
        return;
    };
    // The other side of a key that is the whole table's keeps its triggers.
    let whole = site.known.whole(&site.known.resolve(table));
    let inherited = |key: &&ForeignKey| {
        let wholes = whole.iter().filter_map(|name| site.known.relations.get(name));
        wholes
            .flat_map(|known| &known.foreign_keys)
            .any(|other| other.parent == key.parent && other.columns == key.columns)
    };
    let keys = known.foreign_keys.iter().filter(|key| !inherited(key));
    let referred: Vec<Name> = keys.map(|key| key.parent.clone()).collect();
    let parents = known.parents.clone();
    for parent in referred {
        site.lose_parent(&super::object(&parent), None, None);
    }
    for parent in parents {
        site.lock_named(&parent, Mode::AccessExclusive);
    }
    let heirs = if cascade { site.descendants(table) } else { site.partitions(table) };
    for child in heirs {
        site.lock_named(&child, Mode::AccessExclusive);
    }
}

/// What CASCADE takes with it.
fn dependents(object: &ObjectRef, site: &mut Site<'_>) {
    let mut pending = vec![site.known.resolve(object)];
    let mut seen = pending.clone();
    while let Some(name) = pending.pop() {
        let referring: Vec<Name> = site.known.referring(&name).cloned().collect();
        let reading: Vec<Name> = site.known.reading(&name).cloned().collect();
        for other in referring {
            site.lock_named(&other, Mode::AccessExclusive);
        }
        for view in reading {
            site.lock_named(&view, Mode::AccessExclusive);
            if !seen.contains(&view) {
                seen.push(view.clone());
                pending.push(view);
            }
        }
    }
    if !site.known.complete {
        site.lock_more(format!("what depends on {}", object.name));
    }
}

fn drop_index(index: &ObjectRef, concurrently: bool, site: &mut Site<'_>) {
    let mode = if concurrently { Mode::ShareUpdateExclusive } else { Mode::AccessExclusive };
    site.lock(index, mode);
    match site.table_of(index) {
        Some(table) => {
            site.lock(&table, mode);
            // The indexes of partitions go with that of the whole table.
            for part in site.partitions(&table) {
                site.lock_named(&part, mode);
            }
            if concurrently && site.is_partitioned(&table) {
                site.to.refused(
                    format!(
                        "{} is an index of a partitioned table: PostgreSQL drops none concurrently",
                        index.name
                    ),
                    "leave out CONCURRENTLY".to_owned(),
                );
            }
        }
        None => site.lock_more(format!("the table of index {}", index.name)),
    }
}

fn drop_statistics(statistics: &ObjectRef, site: &mut Site<'_>) {
    let name = site.known.new_name(statistics);
    let with_it = site.known.names_where(|known| known.statistics.contains(&name));
    let tables: Vec<Name> = with_it.into_iter().cloned().collect();
    if tables.is_empty() && !site.known.complete {
        site.lock_more(format!("the table of {statistics}"));
    }
    for table in tables {
        site.lock_named(&table, Mode::ShareUpdateExclusive);
    }
}

fn rename(rename: &RenameStmt, site: &mut Site<'_>) {
    let Some(relation) = &rename.relation else { return };
    if rename.rename_type() == ObjectType::ObjectAttribute {
        rename_attribute(rename, relation, site);
        return;
    }
    let relation = names::relation(Kind::Relation, relation);
    match rename.rename_type() {
        // Only the index itself, and without keeping anyone from using it.
        ObjectType::ObjectIndex => site.lock(&relation, Mode::ShareUpdateExclusive),
        _ => site.lock(&relation, Mode::AccessExclusive),
    }
    let heirs = match rename.rename_type() {
        ObjectType::ObjectColumn => site.descendants(&relation),
        // Other constraints have names of their own there.
        ObjectType::ObjectTabconstraint if is_check(&rename.subname, &relation, site) => {
            site.descendants(&relation)
        }
        // Before 15 the triggers of partitions kept their names.
        ObjectType::ObjectTrigger if !site.is_older_than(15) => site.partitions(&relation),
        _ => Vec::new(),
    };
    for heir in heirs {
        site.lock_named(&heir, Mode::AccessExclusive);
    }
}

/// An attribute of a composite type, and so a column of the tables it describes.
fn rename_attribute(rename: &RenameStmt, of: &RangeVar, site: &mut Site<'_>) {
    if rename.behavior() != DropBehavior::DropCascade {
        return;
    }
    let name = site.known.resolve(&names::relation(Kind::Type, of));
    for table in site.known.typed(&name).cloned().collect::<Vec<_>>() {
        site.lock_named(&table, Mode::AccessExclusive);
    }
    if !site.known.complete {
        site.lock_more(format!("the tables of type {}", of.relname));
    }
}

/// Whether a trigger is called for each row, so that partitions have it too; also where it is not known.
fn is_for_rows(trigger: &str, table: &ObjectRef, site: &Site<'_>) -> bool {
    let mut reactions = site.relation(table).into_iter().flat_map(|known| &known.reactions);
    reactions.find(|known| !known.is_rule && known.name == trigger).is_none_or(|known| known.for_rows)
}

fn is_check(constraint: &str, table: &ObjectRef, site: &Site<'_>) -> bool {
    site.relation(table).is_none_or(|known| known.checks.iter().any(|check| check.name == constraint))
}
