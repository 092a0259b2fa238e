//! What reading and writing rows locks, and maintenance.

use pg_query::NodeEnum;
use pg_query::protobuf::{CopyStmt, DropBehavior, ReindexObjectType, ReindexStmt, TruncateStmt, VacuumStmt};

use super::super::lock_mode::LockMode as Mode;
use super::super::model::{ObjectKind as Kind, ObjectRef, WorkKind};
use super::super::walk::{self, Walk};
use super::super::{maintenance, names};
use super::{Site, create};

pub(super) fn add(node: &NodeEnum, site: &mut Site<'_>) {
    match node {
        NodeEnum::SelectStmt(_)
        | NodeEnum::InsertStmt(_)
        | NodeEnum::UpdateStmt(_)
        | NodeEnum::DeleteStmt(_)
        | NodeEnum::MergeStmt(_) => query(&node, site),
        NodeEnum::DeclareCursorStmt(declare) => query(&declare.query, site),
        NodeEnum::CreateTableAsStmt(create) => query(&create.query, site),
        NodeEnum::CopyStmt(copy) => self::copy(copy, site),
        NodeEnum::TruncateStmt(truncate) => self::truncate(truncate, site),
        NodeEnum::LockStmt(lock) => {
            // The parser counts them from 1.
            let mode = usize::try_from(lock.mode - 1).ok().and_then(|n| Mode::ALL.get(n).copied());
            site.lock_ranges(&lock.relations, mode.unwrap_or(Mode::AccessExclusive));
        }
        NodeEnum::VacuumStmt(vacuum) => self::vacuum(vacuum, site),
        NodeEnum::ClusterStmt(cluster) => match &cluster.relation {
            Some(relation) => {
                let table = names::relation(Kind::Relation, relation);
                site.lock(&table, Mode::AccessExclusive);
                site.work(&table, WorkKind::Rewrite, "in the order of an index");
            }
            None => site.lock_more("every table that was clustered before"),
        },
        NodeEnum::ReindexStmt(reindex) => self::reindex(reindex, site),
        NodeEnum::RefreshMatViewStmt(refresh) => {
            let Some(relation) = &refresh.relation else { return };
            let view = names::relation(Kind::Relation, relation);
            let mode = if refresh.concurrent { Mode::Exclusive } else { Mode::AccessExclusive };
            site.lock(&view, mode);
            if refresh.concurrent {
                site.work(&view, WorkKind::Scan, "to compare it with what its query gives");
            } else {
                site.work(&view, WorkKind::Rewrite, "with what its query gives");
            }
            match site.relation(&view).map(|known| known.reads.clone()) {
                Some(read) => {
                    for name in &read {
                        site.lock_named(name, Mode::AccessShare);
                        read_through(&super::object(name), site);
                    }
                }
                None => site.lock_more("what its query reads"),
            }
        }
        _ => {}
    }
}

fn query(tree: &impl Walk, site: &mut Site<'_>) {
    let found = walk::find(tree);
    let read = if found.locks_rows { Mode::RowShare } else { Mode::AccessShare };
    for relation in &found.reads {
        site.lock(relation, read);
        for child in site.descendants(relation) {
            site.lock_named(&child, read);
        }
        through_views(relation, site);
        site.to.reads(relation.clone());
        read_through(relation, site);
    }
    for relation in &found.writes {
        written(relation, site);
    }
    for relation in &found.searched {
        read_through(relation, site);
    }
}

/// A table whose rows are looked for, and those that inherit from it or that a view reads.
fn read_through(relation: &ObjectRef, site: &mut Site<'_>) {
    const CONDITION: &str = "as far as no index serves the query";
    let mut tables: Vec<ObjectRef> = site.descendants(relation).iter().map(super::object).collect();
    let mut pending = vec![relation.clone()];
    while let Some(next) = pending.pop() {
        match site.relation(&next).map(|known| known.reads.clone()) {
            Some(read) if !read.is_empty() && !tables.contains(&next) => {
                pending.extend(read.iter().map(super::object));
            }
            _ => tables.push(next),
        }
    }
    for table in &tables {
        site.work_if(table, WorkKind::Scan, CONDITION);
    }
}

fn written(relation: &ObjectRef, site: &mut Site<'_>) {
    site.lock(relation, Mode::RowExclusive);
    for child in site.descendants(relation) {
        site.lock_named(&child, Mode::RowExclusive);
    }
}

/// A view is read through to its tables.
fn through_views(relation: &ObjectRef, site: &mut Site<'_>) {
    let mut pending = vec![site.known.resolve(relation)];
    let mut seen = pending.clone();
    while let Some(name) = pending.pop() {
        let Some(known) = site.known.relations.get(&name) else { continue };
        for read in known.reads.clone() {
            if !seen.contains(&read) {
                site.lock_named(&read, Mode::AccessShare);
                seen.push(read.clone());
                pending.push(read);
            }
        }
    }
}

fn copy(copy: &CopyStmt, site: &mut Site<'_>) {
    match &copy.relation {
        Some(relation) if copy.is_from => written(&names::relation(Kind::Relation, relation), site),
        Some(relation) => {
            let relation = names::relation(Kind::Relation, relation);
            // Version 12 lets go of it at once.
            if site.known.server_major != 12 {
                site.lock(&relation, Mode::AccessShare);
            }
            site.work(&relation, WorkKind::Scan, "all rows are read");
            site.to.reads(relation);
        }
        None => query(&copy.query, site),
    }
}

fn truncate(truncate: &TruncateStmt, site: &mut Site<'_>) {
    let cascade = truncate.behavior() == DropBehavior::DropCascade;
    for node in &truncate.relations {
        let Some(NodeEnum::RangeVar(relation)) = node.node.as_ref() else { continue };
        let table = names::relation(Kind::Relation, relation);
        empty(&table, site);
        for child in site.descendants(&table) {
            empty(&super::object(&child), site);
        }
        if cascade {
            emptied_too(&table, site);
        }
    }
}

fn empty(table: &ObjectRef, site: &mut Site<'_>) {
    site.lock(table, Mode::AccessExclusive);
    site.work(table, WorkKind::Empty, "all rows are thrown away");
}

/// CASCADE empties what refers to a table, and so on.
fn emptied_too(table: &ObjectRef, site: &mut Site<'_>) {
    let mut pending = vec![site.known.resolve(table)];
    let mut seen = pending.clone();
    while let Some(name) = pending.pop() {
        let referring: Vec<_> = site.known.referring(&name).cloned().collect();
        for other in referring.into_iter().filter(|other| !seen.contains(other)).collect::<Vec<_>>() {
            empty(&super::object(&other), site);
            seen.push(other.clone());
            pending.push(other);
        }
    }
    if !site.known.complete {
        site.lock_more(format!("the tables that refer to {}", table.name));
    }
}

fn vacuum(vacuum: &VacuumStmt, site: &mut Site<'_>) {
    let full = vacuum.is_vacuumcmd && create::is_full(&vacuum.options);
    let mode = if full { Mode::AccessExclusive } else { Mode::ShareUpdateExclusive };
    let tables: Vec<ObjectRef> = vacuum
        .rels
        .iter()
        .filter_map(|node| match node.node.as_ref()? {
            NodeEnum::VacuumRelation(target) => target.relation.as_ref(),
            _ => None,
        })
        .map(|relation| names::relation(Kind::Relation, relation))
        .collect();
    if tables.is_empty() {
        site.lock_more(if full {
            "every table, one after the other, against reads"
        } else {
            "every table in turn"
        });
    }
    for table in &tables {
        site.lock(table, mode);
        if full {
            site.work(table, WorkKind::Rewrite, "without what is dead");
        } else if vacuum.is_vacuumcmd {
            site.work_if(table, WorkKind::Scan, "as far as there are changes since the last time");
        }
    }
}

fn reindex(reindex: &ReindexStmt, site: &mut Site<'_>) {
    let concurrently = maintenance::is_set(&reindex.params, "concurrently");
    let mode = if concurrently { Mode::ShareUpdateExclusive } else { Mode::Share };
    let Some(relation) = &reindex.relation else {
        site.lock_more("the tables, one after the other, against writes");
        return;
    };
    let object = names::relation(Kind::Relation, relation);
    if reindex.kind() == ReindexObjectType::ReindexObjectIndex {
        site.lock(&object, if concurrently { Mode::ShareUpdateExclusive } else { Mode::AccessExclusive });
        match site.table_of(&object) {
            Some(table) => {
                site.lock(&table, mode);
                site.work(&table, WorkKind::Reindex, "the index is built anew");
            }
            None => site.lock_more(format!("the table of index {}", object.name)),
        }
    } else {
        site.lock(&object, mode);
        site.work(&object, WorkKind::Reindex, "all indexes are built anew");
    }
}
