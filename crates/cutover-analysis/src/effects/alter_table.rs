//! ALTER TABLE and the other ALTER commands with its subcommands.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType as Type, DropBehavior, ObjectType, PartitionCmd,
};

use super::builder::Builder;
use super::model::{Check, ObjectKind as Kind, ObjectRef, Taking};
use super::{names, relations};

pub(super) fn add(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::AlterTableStmt(alter) => alter_table(alter, to),
        NodeEnum::AlterTableMoveAllStmt(alter) => {
            for name in [&alter.orig_tablespacename, &alter.new_tablespacename] {
                to.needs(ObjectRef::new(Kind::Tablespace, None, name.as_str()), "tablespace");
            }
            to.opaque("ALTER … ALL IN TABLESPACE moves what is there");
        }
        NodeEnum::AlterSeqStmt(alter) => {
            if let Some(relation) = &alter.sequence {
                to.changes(names::relation(Kind::Sequence, relation), alter.missing_ok, "altered");
            }
            relations::sequence_options(&alter.options, to);
        }
        _ => return false,
    }
    true
}

fn alter_table(alter: &AlterTableStmt, to: &mut Builder) {
    let Some(relation) = &alter.relation else { return };
    let kind = match alter.objtype() {
        // ALTER TABLE also works on views, sequences and indexes.
        ObjectType::ObjectTable => Kind::Table,
        other => names::kind(other),
    };
    let own = names::relation(kind, relation);
    to.changes(own.clone(), alter.missing_ok, "altered");
    for node in &alter.cmds {
        if let Some(NodeEnum::AlterTableCmd(command)) = node.node.as_ref() {
            subcommand(command, &own, to);
            let is_of_a_table = matches!(own.kind, Kind::Table | Kind::ForeignTable);
            let taking = match command.subtype() {
                Type::AtDropColumn if command.behavior() != DropBehavior::DropCascade => Some(Taking::Drop),
                Type::AtAlterColumnType => Some(Taking::Type),
                _ => None,
            };
            if let Some(taking) = taking.filter(|_| is_of_a_table) {
                to.takes(names::part_of(Kind::Column, &own, command.name.as_str()), taking);
            }
            let drops = matches!(command.subtype(), Type::AtDropColumn | Type::AtDropConstraint);
            if drops && command.behavior() == DropBehavior::DropCascade {
                to.opaque("CASCADE drops what depends on it");
            }
        }
    }
}

fn subcommand(command: &AlterTableCmd, table: &ObjectRef, to: &mut Builder) {
    let definition = command.def.as_deref().and_then(|definition| definition.node.as_ref());
    let part = |kind| names::part_of(kind, table, command.name.as_str());
    match (command.subtype(), definition) {
        (Type::AtAddColumn, Some(NodeEnum::ColumnDef(definition))) => {
            to.creates(names::part_of(Kind::Column, table, definition.colname.as_str()));
            relations::column(definition, table, to);
        }
        (Type::AtDropColumn, _) => drop_part(part(Kind::Column), command.missing_ok, to),
        (Type::AtDropConstraint, _) => drop_part(part(Kind::Constraint), command.missing_ok, to),
        (Type::AtAddConstraint, Some(NodeEnum::Constraint(definition))) => {
            relations::constraint(definition, table, None, to);
            if definition.conname.is_empty() {
                to.creates(names::part_of(Kind::Constraint, table, ""));
            }
        }
        (Type::AtValidateConstraint | Type::AtAlterConstraint, _) => {
            to.changes(part(Kind::Constraint), false, "altered");
        }
        (Type::AtAlterColumnType, Some(NodeEnum::ColumnDef(definition))) => {
            to.changes(part(Kind::Column), false, "altered");
            to.needs_type(definition.type_name.as_ref(), "type of a column");
            to.needs_all_in(&definition.raw_default, "in USING");
        }
        (Type::AtColumnDefault | Type::AtSetExpression, _) => {
            to.changes(part(Kind::Column), false, "altered");
            to.needs_all_in(&command.def, "in a column default");
        }
        (Type::AtAddIdentity, Some(NodeEnum::Constraint(definition))) => {
            to.changes(part(Kind::Column), false, "altered");
            relations::constraint(definition, table, Some(&command.name), to);
        }
        (Type::AtAddInherit | Type::AtDropInherit, Some(NodeEnum::RangeVar(parent))) => {
            to.changes(names::relation(Kind::Table, parent), false, "inherited table");
        }
        (Type::AtAddOf, Some(NodeEnum::TypeName(name))) => to.needs_type(Some(name), "type of it"),
        (
            Type::AtAttachPartition | Type::AtDetachPartition | Type::AtDetachPartitionFinalize,
            Some(NodeEnum::PartitionCmd(partition)),
        ) => partition_command(command.subtype(), partition, table, to),
        (Type::AtChangeOwner, _) => {
            if let Some(role) = command.newowner.as_ref().and_then(names::role) {
                to.needs(role, "new owner");
            }
        }
        (Type::AtSetTableSpace, _) => {
            to.needs(ObjectRef::new(Kind::Tablespace, None, command.name.as_str()), "new tablespace");
        }
        (Type::AtClusterOn, _) => {
            to.needs(
                ObjectRef::new(Kind::Index, table.schema.clone(), command.name.as_str()),
                "clustered on",
            );
        }
        (Type::AtReplicaIdentity, Some(NodeEnum::ReplicaIdentityStmt(identity))) => {
            if !identity.name.is_empty() {
                let index = ObjectRef::new(Kind::Index, table.schema.clone(), identity.name.as_str());
                to.needs(index, "replica identity");
            }
        }
        (subtype, _) => named_part(subtype, command, table, to),
    }
}

/// Subcommands that only change the column, trigger or rule they name.
fn named_part(subtype: Type, command: &AlterTableCmd, table: &ObjectRef, to: &mut Builder) {
    let kind = match subtype {
        Type::AtDropNotNull
        | Type::AtSetNotNull
        | Type::AtDropExpression
        | Type::AtSetStatistics
        | Type::AtSetOptions
        | Type::AtResetOptions
        | Type::AtSetStorage
        | Type::AtSetCompression
        | Type::AtAlterColumnGenericOptions
        | Type::AtSetIdentity
        | Type::AtDropIdentity => Kind::Column,
        Type::AtEnableTrig | Type::AtEnableAlwaysTrig | Type::AtEnableReplicaTrig | Type::AtDisableTrig => {
            Kind::Trigger
        }
        Type::AtEnableRule | Type::AtEnableAlwaysRule | Type::AtEnableReplicaRule | Type::AtDisableRule => {
            Kind::Rule
        }
        _ => return,
    };
    // Statistics can be set for a column by its number.
    if !command.name.is_empty() {
        to.changes(names::part_of(kind, table, command.name.as_str()), command.missing_ok, "altered");
    }
}

fn drop_part(object: ObjectRef, missing_ok: bool, to: &mut Builder) {
    if !missing_ok {
        to.needs(object.clone(), "dropped");
    }
    to.drops(object);
}

fn partition_command(subtype: Type, command: &PartitionCmd, parent: &ObjectRef, to: &mut Builder) {
    let Some(relation) = &command.name else { return };
    let partition = names::relation(parent.kind, relation);
    let why = if subtype == Type::AtAttachPartition { "attached" } else { "detached" };
    to.changes(partition.clone(), false, why);
    if subtype == Type::AtAttachPartition {
        // As many as the parent has and the partition lacks.
        to.chooses(names::part_of(Kind::Index, &partition, ""));
    }
    if subtype == Type::AtDetachPartition && command.concurrent {
        let parent = parent.clone();
        let check = Check::PartitionDetached { parent, partition };
        to.forbidden_checkable("ALTER TABLE … DETACH PARTITION CONCURRENTLY", check);
    }
}
