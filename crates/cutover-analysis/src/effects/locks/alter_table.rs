//! ALTER TABLE, subcommand by subcommand; the table is locked in the strongest mode that one of them asks for.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableType as Type, ColumnDef, ConstrType, Constraint, Node, ObjectType, PartitionCmd,
};

use super::super::context::DataType;
use super::super::lock_mode::LockMode as Mode;
use super::super::model::{ObjectKind as Kind, ObjectRef, WorkKind};
use super::super::{names, relations};
use super::volatile::{Volatility, volatility};
use super::{Site, column_type};

pub(super) fn add(node: &NodeEnum, site: &mut Site<'_>) {
    let NodeEnum::AlterTableStmt(alter) = node else { return };
    let Some(relation) = &alter.relation else { return };
    // A composite type is no relation that anybody locks.
    if alter.objtype() == ObjectType::ObjectType {
        return;
    }
    let table = names::relation(Kind::Relation, relation);
    let commands: Vec<&AlterTableCmd> = alter
        .cmds
        .iter()
        .filter_map(|node| match node.node.as_ref() {
            Some(NodeEnum::AlterTableCmd(command)) => Some(&**command),
            _ => None,
        })
        .collect();
    let mode = commands.iter().map(|command| mode(command)).max().unwrap_or(Mode::AccessExclusive);
    // An index is locked itself; its table only as far as it is read.
    if alter.objtype() == ObjectType::ObjectIndex {
        site.lock(&table, mode.min(Mode::ShareUpdateExclusive));
        return;
    }
    site.lock(&table, mode);
    let heirs = if relation.inh { site.descendants(&table) } else { Vec::new() };
    for command in commands {
        subcommand(command, &table, site);
        for heir in heirs.iter().filter(|_| is_passed_on(command)) {
            site.lock_named(heir, mode);
            subcommand(command, &super::object(heir), site);
        }
    }
}

/// Whether what is done to a table is done to those that inherit from it.
fn is_passed_on(command: &AlterTableCmd) -> bool {
    let only_here = constraint(command).is_some_and(|constraint| {
        constraint.is_no_inherit
            || constraint.contype() != ConstrType::ConstrCheck
                && constraint.contype() != ConstrType::ConstrNotnull
    });
    match command.subtype() {
        Type::AtAddConstraint => !only_here,
        Type::AtAddColumn
        | Type::AtDropColumn
        | Type::AtAlterColumnType
        | Type::AtDropConstraint
        | Type::AtValidateConstraint
        | Type::AtSetNotNull
        | Type::AtDropNotNull => true,
        _ => false,
    }
}

/// Source: `AlterTableGetLockLevel` in PostgreSQL's `tablecmds.c`, and measured.
fn mode(command: &AlterTableCmd) -> Mode {
    match command.subtype() {
        Type::AtSetStatistics
        | Type::AtSetOptions
        | Type::AtResetOptions
        | Type::AtClusterOn
        | Type::AtDropCluster
        | Type::AtValidateConstraint
        | Type::AtAttachPartition
        | Type::AtDetachPartitionFinalize => Mode::ShareUpdateExclusive,
        Type::AtDetachPartition => {
            let concurrent = partition(command).is_some_and(|partition| partition.concurrent);
            if concurrent { Mode::ShareUpdateExclusive } else { Mode::AccessExclusive }
        }
        Type::AtEnableTrig
        | Type::AtEnableAlwaysTrig
        | Type::AtEnableReplicaTrig
        | Type::AtDisableTrig
        | Type::AtEnableTrigAll
        | Type::AtDisableTrigAll
        | Type::AtEnableTrigUser
        | Type::AtDisableTrigUser => Mode::ShareRowExclusive,
        Type::AtAddConstraint => match constraint(command) {
            Some(key) if key.contype() == ConstrType::ConstrForeign => Mode::ShareRowExclusive,
            _ => Mode::AccessExclusive,
        },
        Type::AtSetRelOptions | Type::AtResetRelOptions => options_mode(command.def.as_deref()),
        _ => Mode::AccessExclusive,
    }
}

/// Storage parameters that are read by whoever reads or writes the table at the moment.
const STRONG_OPTIONS: [&str; 5] =
    ["user_catalog_table", "security_barrier", "security_invoker", "check_option", "buffering"];

fn options_mode(definition: Option<&Node>) -> Mode {
    let Some(NodeEnum::List(list)) = definition.and_then(|node| node.node.as_ref()) else {
        return Mode::AccessExclusive;
    };
    let mut options = list.items.iter().filter_map(relations::definition);
    if options.any(|option| STRONG_OPTIONS.contains(&option.defname.as_str())) {
        Mode::AccessExclusive
    } else {
        Mode::ShareUpdateExclusive
    }
}

fn definition(command: &AlterTableCmd) -> Option<&NodeEnum> {
    command.def.as_deref()?.node.as_ref()
}

fn constraint(command: &AlterTableCmd) -> Option<&Constraint> {
    match definition(command)? {
        NodeEnum::Constraint(constraint) => Some(constraint),
        _ => None,
    }
}

fn partition(command: &AlterTableCmd) -> Option<&PartitionCmd> {
    match definition(command)? {
        NodeEnum::PartitionCmd(partition) => Some(partition),
        _ => None,
    }
}

fn subcommand(command: &AlterTableCmd, table: &ObjectRef, site: &mut Site<'_>) {
    match (command.subtype(), definition(command)) {
        (Type::AtAddColumn, Some(NodeEnum::ColumnDef(column))) => add_column(column, table, site),
        (Type::AtAlterColumnType, Some(NodeEnum::ColumnDef(column))) => {
            column_type::change(&command.name, column, table, site);
        }
        (Type::AtSetNotNull, _) => set_not_null(&command.name, table, site),
        (Type::AtAddConstraint, Some(NodeEnum::Constraint(constraint))) => {
            add_constraint(constraint, table, site);
        }
        (Type::AtValidateConstraint, _) => validate(&command.name, table, site),
        (Type::AtDropConstraint, _) => drop_constraint(&command.name, table, site),
        (Type::AtDropColumn, _) => drop_column(&command.name, table, site),
        (Type::AtSetExpression, _) => site.work(table, WorkKind::Rewrite, "to compute the column anew"),
        (Type::AtSetLogged | Type::AtSetUnLogged, _) => {
            let unlogged = command.subtype() == Type::AtSetUnLogged;
            match site.relation(table) {
                Some(known) if known.unlogged == unlogged => {}
                Some(_) => site.work(table, WorkKind::Rewrite, "to write it to the log or not"),
                None => site.work_if(table, WorkKind::Rewrite, "unless it is so already"),
            }
        }
        (Type::AtSetTableSpace, _) => {
            site.work_if(table, WorkKind::Rewrite, "unless it is in that tablespace already");
        }
        (Type::AtSetAccessMethod, _) => {
            site.work_if(table, WorkKind::Rewrite, "unless it has that access method already");
        }
        (Type::AtAddInherit, Some(NodeEnum::RangeVar(parent))) => {
            site.lock(&names::relation(Kind::Relation, parent), Mode::ShareUpdateExclusive);
        }
        (Type::AtDropInherit, Some(NodeEnum::RangeVar(parent))) => {
            site.lock(&names::relation(Kind::Relation, parent), Mode::AccessShare);
        }
        (Type::AtAttachPartition, Some(NodeEnum::PartitionCmd(partition))) => attach(partition, table, site),
        (
            Type::AtDetachPartition | Type::AtDetachPartitionFinalize,
            Some(NodeEnum::PartitionCmd(partition)),
        ) => {
            detach(command.subtype(), partition, table, site);
        }
        _ => {}
    }
}

fn add_column(column: &ColumnDef, table: &ObjectRef, site: &mut Site<'_>) {
    let data_type = column.type_name.as_ref().map(DataType::of).unwrap_or_default();
    let serial = data_type.schema.is_none() && names::SERIAL_TYPES.contains(&data_type.name.as_str());
    if serial {
        site.work(table, WorkKind::Rewrite, "each row gets a number");
    } else if column.type_name.as_ref().and_then(names::type_object).is_some() && !data_type.array {
        match site.known.is_constrained_domain(&data_type) {
            Some(true) => site.work(table, WorkKind::Rewrite, "the type is a domain with constraints"),
            None => site.work_if(table, WorkKind::Rewrite, "if the type is a domain with constraints"),
            Some(false) => {}
        }
    }
    let constraints: Vec<&Constraint> = column
        .constraints
        .iter()
        .filter_map(|node| match node.node.as_ref() {
            Some(NodeEnum::Constraint(constraint)) => Some(&**constraint),
            _ => None,
        })
        .collect();
    let has_default = constraints.iter().any(|constraint| constraint.contype() == ConstrType::ConstrDefault);
    for constraint in constraints {
        column_constraint(constraint, has_default || serial, table, site);
    }
}

fn column_constraint(constraint: &Constraint, has_default: bool, table: &ObjectRef, site: &mut Site<'_>) {
    match constraint.contype() {
        ConstrType::ConstrDefault => match volatility(&constraint.raw_expr) {
            Volatility::None => {}
            Volatility::Volatile(function) => {
                site.work(table, WorkKind::Rewrite, format!("each row gets its own value of {function}()"));
            }
            Volatility::Unknown(function) => {
                site.work_if(table, WorkKind::Rewrite, format!("if {function}() is volatile"));
            }
        },
        ConstrType::ConstrGenerated if constraint.generated_kind != "v" => {
            site.work(table, WorkKind::Rewrite, "to compute the column for each row");
        }
        ConstrType::ConstrIdentity => site.work(table, WorkKind::Rewrite, "each row gets a number"),
        ConstrType::ConstrCheck if constraint.is_enforced => {
            site.work(table, WorkKind::Scan, "to check each row");
        }
        ConstrType::ConstrForeign => {
            site.lock_range(constraint.pktable.as_ref(), Mode::ShareRowExclusive);
            // Without a default the column is NULL everywhere: nothing to look up.
            if has_default && constraint.is_enforced {
                looked_up(constraint, table, site);
            }
        }
        ConstrType::ConstrPrimary | ConstrType::ConstrUnique => {
            site.work(table, WorkKind::Scan, "to build an index");
        }
        ConstrType::ConstrNotnull if !has_default => {
            site.work(table, WorkKind::Scan, "to look for NULLs");
        }
        _ => {}
    }
}

/// PostgreSQL looks for no NULLs where the column takes none already or a valid check says so.
fn set_not_null(column: &str, table: &ObjectRef, site: &mut Site<'_>) {
    let Some(relation) = site.relation(table) else {
        site.work_if(table, WorkKind::Scan, "unless a valid CHECK (… IS NOT NULL) proves it");
        return;
    };
    let proven = relation.columns.iter().any(|known| known.name == column && known.not_null)
        || relation
            .checks
            .iter()
            .any(|check| check.valid && check.not_null.iter().any(|name| name == column));
    if !proven {
        site.work(table, WorkKind::Scan, "to look for NULLs");
    }
}

fn add_constraint(constraint: &Constraint, table: &ObjectRef, site: &mut Site<'_>) {
    let checked = !constraint.skip_validation && constraint.is_enforced;
    match constraint.contype() {
        ConstrType::ConstrForeign => {
            site.lock_range(constraint.pktable.as_ref(), Mode::ShareRowExclusive);
            if checked {
                looked_up(constraint, table, site);
            }
        }
        ConstrType::ConstrCheck if checked => site.work(table, WorkKind::Scan, "to check each row"),
        ConstrType::ConstrNotnull if !constraint.skip_validation => {
            for column in constraint.keys.iter().filter_map(names::text) {
                set_not_null(column, table, site);
            }
        }
        kind @ (ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion) => {
            if constraint.indexname.is_empty() {
                site.work(table, WorkKind::Scan, "to build an index");
            } else if kind == ConstrType::ConstrPrimary {
                primary_key_of_index(&constraint.indexname, table, site);
            }
        }
        _ => {}
    }
}

/// Each row is looked up in the other table, which takes reading that too where the planner thinks so.
fn looked_up(constraint: &Constraint, table: &ObjectRef, site: &mut Site<'_>) {
    site.work(table, WorkKind::Scan, "to look each row up in the other table");
    if let Some(parent) = &constraint.pktable {
        let parent = names::relation(Kind::Relation, parent);
        if site.known.resolve(&parent) != site.known.resolve(table) {
            site.work_if(&parent, WorkKind::Scan, "unless its index serves to look rows up");
        }
    }
}

/// A foreign key over it goes with it.
fn drop_column(name: &str, table: &ObjectRef, site: &mut Site<'_>) {
    let Some(known) = site.relation(table) else {
        site.lock_more("the tables that foreign keys over the column point to");
        return;
    };
    let keys = known.foreign_keys.iter().filter(|key| key.columns.iter().any(|column| column == name));
    for parent in keys.map(|key| key.parent.clone()).collect::<Vec<_>>() {
        site.lock_named(&parent, Mode::AccessExclusive);
    }
}

/// The columns of the index become NOT NULL.
fn primary_key_of_index(index: &str, table: &ObjectRef, site: &mut Site<'_>) {
    let columns = site.relation(table).and_then(|known| {
        let index = known.indexes.iter().find(|known| known.name == index)?;
        Some(index.columns.iter().flatten().cloned().collect::<Vec<_>>())
    });
    match columns {
        Some(columns) => columns.iter().for_each(|column| set_not_null(column, table, site)),
        None => site.work_if(table, WorkKind::Scan, "unless the columns are NOT NULL already"),
    }
}

fn validate(name: &str, table: &ObjectRef, site: &mut Site<'_>) {
    site.work(table, WorkKind::Scan, "to check each row");
    match site.relation(table) {
        Some(known) => {
            let parent = known.foreign_keys.iter().find(|key| key.name == name).map(|key| key.parent.clone());
            let known = known.checks.iter().any(|check| check.name == name);
            match parent {
                Some(parent) => {
                    site.lock_named(&parent, Mode::RowShare);
                    let parent = super::object(&parent);
                    site.work_if(&parent, WorkKind::Scan, "unless its index serves to look rows up");
                }
                None if known => {}
                None => site.lock_more("the table that it points to, if it is a foreign key"),
            }
        }
        None => site.lock_more("the table that it points to, if it is a foreign key"),
    }
}

/// The other side of a foreign key loses its triggers.
fn drop_constraint(name: &str, table: &ObjectRef, site: &mut Site<'_>) {
    let parent = site
        .relation(table)
        .and_then(|known| known.foreign_keys.iter().find(|key| key.name == name))
        .map(|key| key.parent.clone());
    let other = site.relation(table).is_some_and(|known| {
        known.checks.iter().any(|check| check.name == name)
            || known.indexes.iter().any(|index| index.name == name)
    });
    match parent {
        Some(parent) => site.lock_named(&parent, Mode::AccessExclusive),
        None if other => {}
        None => site.lock_more("the table that it points to, if it is a foreign key"),
    }
}

fn attach(partition: &PartitionCmd, parent: &ObjectRef, site: &mut Site<'_>) {
    let Some(relation) = &partition.name else { return };
    let child = names::relation(Kind::Relation, relation);
    site.lock(&child, Mode::AccessExclusive);
    // What a CHECK implies is for the server to say.
    match site.relation(&child).map(|known| known.checks.iter().any(|check| check.valid)) {
        Some(false) => site.work(&child, WorkKind::Scan, "to check that its rows belong there"),
        _ => site.work_if(&child, WorkKind::Scan, "unless a valid CHECK proves that its rows belong there"),
    }
    lock_default(parent, site);
}

/// Rows that now belong to another partition must not be in the default one.
pub(super) fn lock_default(parent: &ObjectRef, site: &mut Site<'_>) {
    if let Some(default) = site.default_partition(parent) {
        site.lock_named(&default, Mode::AccessExclusive);
        let default = super::object(&default);
        site.work(&default, WorkKind::Scan, "to look for rows that belong elsewhere now");
    } else if site.relation(parent).is_none() && !site.known.complete {
        site.lock_more("the default partition, if there is one");
    }
}

fn detach(subtype: Type, partition: &PartitionCmd, parent: &ObjectRef, site: &mut Site<'_>) {
    let Some(relation) = &partition.name else { return };
    let child = names::relation(Kind::Relation, relation);
    // Before 14 a concurrent reader of the partition was not waited for.
    let weak = (1..14).contains(&site.known.server_major) && subtype == Type::AtDetachPartition;
    site.lock(&child, if weak { Mode::ShareUpdateExclusive } else { Mode::AccessExclusive });
    if let Some(default) = site.default_partition(parent) {
        site.lock_named(&default, Mode::AccessExclusive);
    }
}
