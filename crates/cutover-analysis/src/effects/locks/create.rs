//! What is locked by making something: parents, referenced tables, what a view reads.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterDomainStmt, AlterPublicationAction, CommentStmt, ConstrType, CreateStmt, GrantStmt, GrantTargetType,
    IndexStmt, Node, ObjectType,
};

use super::super::lock_mode::LockMode as Mode;
use super::super::model::{ObjectKind as Kind, ObjectRef, WorkKind};
use super::super::walk::{self, Walk};
use super::super::{maintenance, names};
use super::{Site, alter_table};

pub(super) fn add(node: &NodeEnum, site: &mut Site<'_>) {
    match node {
        NodeEnum::CreateStmt(create) => table(create, site),
        NodeEnum::CreateForeignTableStmt(create) => {
            if let Some(base) = &create.base_stmt {
                table(base, site);
            }
        }
        NodeEnum::IndexStmt(create) => index(create, site),
        NodeEnum::ViewStmt(create) => {
            reads(&create.query, site);
            let known = create.view.as_ref().map(|view| names::relation(Kind::View, view));
            let may_be_there = known.is_some_and(|view| !site.is_certainly_new(&view));
            if create.replace && may_be_there {
                site.lock_range(create.view.as_ref(), Mode::AccessExclusive);
            }
        }
        NodeEnum::RuleStmt(create) => {
            site.lock_range(create.relation.as_ref(), Mode::AccessExclusive);
            reads(&create.where_clause, site);
            reads(&create.actions, site);
            // What its actions write is locked as by writing it.
            for relation in walk::find(&create.actions).writes {
                site.lock(&relation, Mode::RowExclusive);
            }
        }
        NodeEnum::CreateTrigStmt(create) => {
            site.lock_range(create.relation.as_ref(), Mode::ShareRowExclusive);
            site.lock_range(create.constrrel.as_ref(), Mode::AccessShare);
            if let Some(relation) = create.relation.as_ref().filter(|_| create.row) {
                for part in site.partitions(&names::relation(Kind::Relation, relation)) {
                    site.lock_named(&part, Mode::ShareRowExclusive);
                }
            }
        }
        NodeEnum::CreatePolicyStmt(create) => {
            site.lock_range(create.table.as_ref(), Mode::AccessExclusive);
            reads(&create.qual, site);
            reads(&create.with_check, site);
        }
        NodeEnum::AlterPolicyStmt(alter) => {
            site.lock_range(alter.table.as_ref(), Mode::AccessExclusive);
            reads(&alter.qual, site);
            reads(&alter.with_check, site);
        }
        NodeEnum::CreateStatsStmt(create) => site.lock_ranges(&create.relations, Mode::ShareUpdateExclusive),
        NodeEnum::CreatePublicationStmt(create) => published(&create.pubobjects, site),
        NodeEnum::AlterPublicationStmt(alter) => {
            published(&alter.pubobjects, site);
            if alter.action() == AlterPublicationAction::ApSetObjects {
                site.lock_more(format!("the tables that leave publication {}", alter.pubname));
            }
        }
        NodeEnum::CommentStmt(comment) => self::comment(comment, site),
        NodeEnum::GrantStmt(grant) => self::grant(grant, site),
        NodeEnum::AlterSeqStmt(alter) => {
            site.lock_range(alter.sequence.as_ref(), Mode::ShareRowExclusive);
        }
        NodeEnum::AlterDomainStmt(alter) => domain(alter, site),
        _ => {}
    }
}

fn index(create: &IndexStmt, site: &mut Site<'_>) {
    let Some(relation) = &create.relation else { return };
    let table = names::relation(Kind::Relation, relation);
    site.lock(&table, if create.concurrent { Mode::ShareUpdateExclusive } else { Mode::Share });
    if create.concurrent && site.is_partitioned(&table) {
        site.to.refused(
            format!("{} is partitioned: PostgreSQL builds no index on it concurrently", table.name),
            format!(
                "write CREATE INDEX … ON ONLY {0} (…), CREATE INDEX CONCURRENTLY on each partition, and \
                 ALTER INDEX … ATTACH PARTITION for each of them; or leave out CONCURRENTLY",
                table.name
            ),
        );
    }
    if create.if_not_exists {
        let index = ObjectRef::new(Kind::Index, table.schema.clone(), create.idxname.as_str());
        if site.table_of(&index).is_some() {
            // It is there, and stays as it is.
            return;
        }
    }
    let parts = if relation.inh { site.partitions(&table) } else { Vec::new() };
    for part in &parts {
        site.lock_named(part, Mode::Share);
        site.work(&super::object(part), WorkKind::Scan, "to build the index");
    }
    if !site.is_partitioned(&table) {
        site.work(&table, WorkKind::Scan, "to build the index");
    }
}

fn table(create: &CreateStmt, site: &mut Site<'_>) {
    for node in &create.inh_relations {
        let Some(NodeEnum::RangeVar(parent)) = node.node.as_ref() else { continue };
        let parent = names::relation(Kind::Relation, parent);
        if create.partbound.is_some() {
            site.lock(&parent, Mode::AccessExclusive);
            alter_table::lock_default(&parent, site);
            alter_table::become_partition(&parent, site);
        } else {
            site.lock(&parent, Mode::ShareUpdateExclusive);
        }
    }
    for node in create.table_elts.iter().chain(&create.constraints) {
        match node.node.as_ref() {
            Some(NodeEnum::TableLikeClause(like)) => {
                site.lock_range(like.relation.as_ref(), Mode::AccessShare);
            }
            Some(NodeEnum::ColumnDef(column)) => {
                column.constraints.iter().for_each(|one| referenced(one, site));
            }
            _ => referenced(node, site),
        }
    }
}

/// A new constraint is checked against all columns of the domain.
fn domain(alter: &AlterDomainStmt, site: &mut Site<'_>) {
    let checked = match alter.subtype.as_str() {
        "C" => match alter.def.as_deref().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::Constraint(constraint)) => !constraint.skip_validation,
            _ => true,
        },
        "O" | "V" => true,
        _ => false,
    };
    let Some(object) = names::object(Kind::Domain, &alter.type_name).filter(|_| checked) else { return };
    let tables: Vec<_> = site.known.using(&site.known.resolve(&object)).into_iter().cloned().collect();
    for table in &tables {
        site.lock_named(table, Mode::Share);
        site.work(&super::object(table), WorkKind::Scan, "to check each value of the domain");
    }
    if !site.known.complete {
        site.lock_more("the tables with columns of the domain, against writes while they are checked");
    }
}

fn referenced(node: &Node, site: &mut Site<'_>) {
    if let Some(NodeEnum::Constraint(constraint)) = node.node.as_ref()
        && constraint.contype() == ConstrType::ConstrForeign
    {
        alter_table::refer(constraint, site);
    }
}

/// What a query reads is locked as by reading it.
pub(super) fn reads(query: &impl Walk, site: &mut Site<'_>) {
    for relation in walk::find(query).reads {
        site.lock(&relation, Mode::AccessShare);
    }
}

fn published(objects: &[Node], site: &mut Site<'_>) {
    for node in objects {
        if let Some(NodeEnum::PublicationObjSpec(object)) = node.node.as_ref()
            && let Some(table) = &object.pubtable
        {
            site.lock_range(table.relation.as_ref(), Mode::ShareUpdateExclusive);
        }
    }
}

/// A comment locks what it is about; of a part of a table, the table.
fn comment(comment: &CommentStmt, site: &mut Site<'_>) {
    let object_type = comment.objtype();
    let Some(object) = comment.object.as_deref().and_then(|node| names::addressed(object_type, node)) else {
        return;
    };
    match object_type {
        ObjectType::ObjectTable
        | ObjectType::ObjectView
        | ObjectType::ObjectMatview
        | ObjectType::ObjectForeignTable
        | ObjectType::ObjectSequence
        | ObjectType::ObjectIndex => site.lock(&object, Mode::ShareUpdateExclusive),
        ObjectType::ObjectColumn => site.lock(&owner(&object), Mode::ShareUpdateExclusive),
        ObjectType::ObjectTabconstraint
        | ObjectType::ObjectTrigger
        | ObjectType::ObjectPolicy
        | ObjectType::ObjectRule => site.lock(&owner(&object), Mode::AccessShare),
        _ => {}
    }
}

/// The table a column, constraint, trigger … belongs to.
pub(super) fn owner(part: &ObjectRef) -> ObjectRef {
    ObjectRef::new(Kind::Relation, part.schema.clone(), part.table.clone().unwrap_or_default())
}

/// From version 18 on a table whose privileges change is locked against being dropped meanwhile.
fn grant(grant: &GrantStmt, site: &mut Site<'_>) {
    let on_relations = matches!(grant.objtype(), ObjectType::ObjectTable | ObjectType::ObjectSequence);
    if !on_relations || (1..18).contains(&site.known.server_major) {
        return;
    }
    if grant.targtype() == GrantTargetType::AclTargetObject {
        site.lock_ranges(&grant.objects, Mode::AccessShare);
    }
}

/// Whether VACUUM has FULL among its options.
pub(super) fn is_full(options: &[Node]) -> bool {
    maintenance::is_set(options, "full")
}
