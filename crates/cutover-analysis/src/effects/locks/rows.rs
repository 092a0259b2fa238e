//! What reading and writing rows locks, and maintenance.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    CopyStmt, DropBehavior, RangeVar, ReindexObjectType, ReindexStmt, TruncateStmt, VacuumStmt,
};

use super::super::context::{Event, Relation};
use super::super::lock_mode::LockMode as Mode;
use super::super::model::{ObjectKind as Kind, ObjectRef, Retry, WorkKind};
use super::super::walk::{self, RowChange, Walk};
use super::super::{maintenance, names};
use super::{Site, create, written};

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
            for node in &lock.relations {
                if let Some(NodeEnum::RangeVar(relation)) = node.node.as_ref() {
                    by_hand(relation, mode.unwrap_or(Mode::AccessExclusive), site);
                }
            }
        }
        NodeEnum::VacuumStmt(vacuum) => self::vacuum(vacuum, site),
        NodeEnum::ClusterStmt(cluster) => match &cluster.relation {
            Some(relation) => self::cluster(&names::relation(Kind::Relation, relation), site),
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
                        read_through(&super::object(name), false, site);
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
        // A sequence has no rows that anybody looks for; one that is moved on is written.
        if relation.kind == Kind::Sequence {
            let moved = found.held.contains(relation);
            site.lock(relation, if moved { Mode::RowExclusive } else { Mode::AccessShare });
            site.to.reads(relation.clone());
            continue;
        }
        let times = |list: &[ObjectRef]| list.iter().filter(|other| *other == relation).count();
        let alone = times(&found.alone) == times(&found.reads);
        site.lock(relation, read);
        if !alone {
            for child in site.descendants(relation) {
                site.lock_named(&child, read);
            }
        }
        through_views(relation, Mode::AccessShare, site);
        site.to.reads(relation.clone());
        read_through(relation, alone, site);
    }
    for relation in &found.writes {
        site.lock(relation, Mode::RowExclusive);
    }
    for change in &found.changes {
        written::change(change, site);
    }
    for relation in &found.searched {
        let alone =
            found.changes.iter().filter(|change| change.relation == *relation).all(|change| change.alone);
        read_through(relation, alone, site);
    }
}

/// A table whose rows are looked for, and those that inherit from it (unless it stands `alone`) or that a view reads.
fn read_through(relation: &ObjectRef, alone: bool, site: &mut Site<'_>) {
    const CONDITION: &str = "as far as no index serves the query";
    let heirs = if alone { Vec::new() } else { site.descendants(relation) };
    let mut tables: Vec<ObjectRef> = heirs.iter().map(super::object).collect();
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

/// `LOCK TABLE` reaches what inherits from a table, and what a view reads.
fn by_hand(relation: &RangeVar, mode: Mode, site: &mut Site<'_>) {
    let object = names::relation(Kind::Relation, relation);
    site.lock(&object, mode);
    if relation.inh {
        for child in site.descendants(&object) {
            site.lock_named(&child, mode);
        }
    }
    through_views(&object, mode, site);
}

/// A partitioned table has one partition after the other put in order, those that are partitioned themselves left out.
fn cluster(table: &ObjectRef, site: &mut Site<'_>) {
    const WHY: &str = "in the order of an index";
    site.lock(table, Mode::AccessExclusive);
    site.work(table, WorkKind::Rewrite, WHY);
    if site.is_partitioned(table) && site.is_older_than(15) {
        site.to.refused(
            format!("{} is partitioned: this server clusters no such table", table.name),
            "write CLUSTER for each partition".to_owned(),
        );
    } else if site.is_partitioned(table) {
        site.to.forbidden("CLUSTER of a partitioned table", Retry::Idempotent);
    }
    for part in leaves(table, site) {
        site.lock(&part, Mode::AccessExclusive);
        site.work(&part, WorkKind::Rewrite, WHY);
    }
}

/// The partitions of a table that have rows.
fn leaves(table: &ObjectRef, site: &Site<'_>) -> Vec<ObjectRef> {
    let parts = site.partitions(table);
    parts.iter().map(super::object).filter(|part| !site.is_partitioned(part)).collect()
}

/// A view is read through to its tables.
fn through_views(relation: &ObjectRef, mode: Mode, site: &mut Site<'_>) {
    let mut pending = vec![site.known.resolve(relation)];
    let mut seen = pending.clone();
    while let Some(name) = pending.pop() {
        let Some(known) = site.known.relations.get(&name) else { continue };
        for read in known.reads.clone() {
            if !seen.contains(&read) {
                site.lock_named(&read, mode);
                seen.push(read.clone());
                pending.push(read);
            }
        }
    }
}

fn copy(copy: &CopyStmt, site: &mut Site<'_>) {
    match &copy.relation {
        Some(relation) if copy.is_from => {
            let relation = names::relation(Kind::Relation, relation);
            let event = Event::Insert;
            written::change(&RowChange { relation, event, columns: Vec::new(), alone: false }, site);
        }
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
        if relation.inh {
            for child in site.descendants(&table) {
                empty(&super::object(&child), site);
            }
        }
        if cascade {
            emptied_too(&table, site);
        }
    }
}

fn empty(table: &ObjectRef, site: &mut Site<'_>) {
    site.lock(table, Mode::AccessExclusive);
    site.work(table, WorkKind::Empty, "all rows are thrown away");
    written::reacts(table, Event::Truncate, site);
}

/// CASCADE empties what refers to a table, and so on.
fn emptied_too(table: &ObjectRef, site: &mut Site<'_>) {
    let mut pending = vec![site.known.resolve(table)];
    let mut seen = pending.clone();
    while let Some(name) = pending.pop() {
        // Also to what it is a part of: PostgreSQL empties whoever points there.
        let referring: Vec<_> = site.referring(&super::object(&name));
        for other in referring.into_iter().filter(|other| !seen.contains(other)).collect::<Vec<_>>() {
            for heir in std::iter::once(other.clone()).chain(site.known.descendants(&other)) {
                if !seen.contains(&heir) {
                    empty(&super::object(&heir), site);
                    seen.push(heir.clone());
                    pending.push(heir);
                }
            }
        }
    }
    if !site.known.complete {
        site.lock_more(format!("the tables that refer to {}", table.name));
    }
}

fn vacuum(vacuum: &VacuumStmt, site: &mut Site<'_>) {
    let full = vacuum.is_vacuumcmd && create::is_full(&vacuum.options);
    let mode = if full { Mode::AccessExclusive } else { Mode::ShareUpdateExclusive };
    let targets: Vec<&RangeVar> = vacuum
        .rels
        .iter()
        .filter_map(|node| match node.node.as_ref()? {
            NodeEnum::VacuumRelation(target) => target.relation.as_ref(),
            _ => None,
        })
        .collect();
    if targets.is_empty() {
        site.lock_more(if full {
            "every table, one after the other, against reads"
        } else {
            "every table in turn"
        });
    }
    for target in targets {
        let table = names::relation(Kind::Relation, target);
        let mut tables = vec![table.clone()];
        let heirs = site.descendants(&table);
        // Other heirs than partitions are maintained with their parent from version 18 on; otherwise ANALYZE reads them.
        if target.inh && (site.is_partitioned(&table) || !site.is_older_than(18)) {
            tables.extend(heirs.iter().map(super::object));
        } else if !vacuum.is_vacuumcmd || maintenance::is_set(&vacuum.options, "analyze") {
            for heir in &heirs {
                site.lock_named(heir, Mode::AccessShare);
            }
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
        const WHY: &str = "the index is built anew";
        site.lock(&object, if concurrently { Mode::ShareUpdateExclusive } else { Mode::AccessExclusive });
        match site.table_of(&object) {
            Some(table) => {
                site.lock(&table, mode);
                site.work(&table, WorkKind::Reindex, WHY);
                for part in leaves(&table, site) {
                    site.lock(&part, mode);
                    site.work(&part, WorkKind::Reindex, WHY);
                }
                if site.is_partitioned(&table) && site.is_older_than(14) {
                    site.to.refused(
                        format!(
                            "{} is an index of a partitioned table: this server rebuilds none",
                            object.name
                        ),
                        "write REINDEX INDEX for the index of each partition".to_owned(),
                    );
                }
                one_by_one(&table, "REINDEX of a partitioned index", concurrently, site);
            }
            None => site.lock_more(format!("the table of index {}", object.name)),
        }
    } else {
        const WHY: &str = "all indexes are built anew";
        site.lock(&object, mode);
        let has_none = |known: &Relation| known.columns_known && known.indexes.is_empty();
        if !site.relation(&object).is_some_and(has_none) {
            site.work(&object, WorkKind::Reindex, WHY);
        }
        // Before 14 a partitioned table was passed over.
        let parts = if site.is_older_than(14) { Vec::new() } else { site.partitions(&object) };
        for part in parts {
            site.lock_named(&part, mode);
            site.work(&super::object(&part), WorkKind::Reindex, WHY);
        }
        one_by_one(&object, "REINDEX of a partitioned table", concurrently, site);
    }
}

/// Each partition is done in a transaction of its own.
fn one_by_one(table: &ObjectRef, what: &'static str, concurrently: bool, site: &mut Site<'_>) {
    // What is done concurrently runs outside a transaction in any case.
    if !concurrently && site.is_partitioned(table) && !site.is_older_than(14) {
        site.to.forbidden(what, Retry::Idempotent);
    }
}
