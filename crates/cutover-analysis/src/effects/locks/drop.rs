//! What is locked by dropping, renaming and moving.

use pg_query::NodeEnum;
use pg_query::protobuf::{DropBehavior, DropStmt, ObjectType, RenameStmt};

use super::super::context::Name;
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
                site.lock(&create::owner(&object), Mode::AccessExclusive);
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
    let parents: Vec<Name> = known
        .foreign_keys
        .iter()
        .map(|key| key.parent.clone())
        .chain(known.parents.iter().cloned())
        .collect();
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
        Some(table) => site.lock(&table, mode),
        None => site.lock_more(format!("the table of index {}", index.name)),
    }
}

fn drop_statistics(statistics: &ObjectRef, site: &mut Site<'_>) {
    let name = site.known.new_name(statistics);
    let tables: Vec<Name> = site
        .known
        .relations
        .iter()
        .filter(|(_, known)| known.statistics.contains(&name))
        .map(|(table, _)| table.clone())
        .collect();
    if tables.is_empty() && !site.known.complete {
        site.lock_more(format!("the table of {statistics}"));
    }
    for table in tables {
        site.lock_named(&table, Mode::ShareUpdateExclusive);
    }
}

fn rename(rename: &RenameStmt, site: &mut Site<'_>) {
    let Some(relation) = &rename.relation else { return };
    let relation = names::relation(Kind::Relation, relation);
    match rename.rename_type() {
        // Only the index itself, and without keeping anyone from using it.
        ObjectType::ObjectIndex => site.lock(&relation, Mode::ShareUpdateExclusive),
        _ => site.lock(&relation, Mode::AccessExclusive),
    }
    if rename.rename_type() == ObjectType::ObjectColumn {
        for child in site.descendants(&relation) {
            site.lock_named(&child, Mode::AccessExclusive);
        }
    }
}
