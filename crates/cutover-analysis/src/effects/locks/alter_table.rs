//! ALTER TABLE, subcommand by subcommand; the table is locked in the strongest mode that one of them asks for.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType as Type, ColumnDef, ConstrType, Constraint, DropBehavior,
    Node, ObjectType, PartitionCmd, RangeVar,
};

use super::super::context::{DataType, ForeignKey, Name};
use super::super::lock_mode::LockMode as Mode;
use super::super::model::{ObjectKind as Kind, ObjectRef, WorkKind};
use super::super::{names, relations};
use super::volatile::{Volatility, volatility};
use super::{Site, column_type, passed_on};

pub(super) fn add(node: &NodeEnum, site: &mut Site<'_>) {
    let NodeEnum::AlterTableStmt(alter) = node else { return };
    let Some(relation) = &alter.relation else { return };
    // A composite type is no relation that anybody locks, but the tables that it describes are.
    if alter.objtype() == ObjectType::ObjectType {
        typed_tables(alter, relation, site);
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
        site.lock(&table, mode);
        if commands.iter().any(|command| command.subtype() == Type::AtSetTableSpace) {
            site.work_if(&table, WorkKind::Rewrite, "unless it is in that tablespace already");
        }
        return;
    }
    site.lock(&table, mode);
    let heirs = if relation.inh { site.descendants(&table) } else { Vec::new() };
    for command in commands {
        subcommand(command, &table, site);
        if command.subtype() == Type::AtAddConstraint
            && let Some(constraint) = constraint(command)
        {
            passed_on::constraint(constraint, &table, &heirs, mode, site);
        } else if passed_on::is_passed_on(command, &table, site) {
            for heir in &heirs {
                site.lock_named(heir, mode);
                // A constraint of the table is what is dropped there, under whichever name.
                if command.subtype() != Type::AtDropConstraint {
                    subcommand(command, &super::object(heir), site);
                }
            }
        }
    }
}

/// Tables that a composite type describes change with it.
fn typed_tables(alter: &AlterTableStmt, relation: &RangeVar, site: &mut Site<'_>) {
    let commands = || {
        alter.cmds.iter().filter_map(|node| match node.node.as_ref() {
            Some(NodeEnum::AlterTableCmd(command)) => Some(command),
            _ => None,
        })
    };
    if !commands().any(|command| command.behavior() == DropBehavior::DropCascade) {
        return;
    }
    let rewritten = commands().any(|command| command.subtype() == Type::AtAlterColumnType);
    let name = site.known.resolve(&names::relation(Kind::Type, relation));
    for table in site.known.typed(&name).cloned().collect::<Vec<_>>() {
        site.lock_named(&table, Mode::AccessExclusive);
        if rewritten {
            let unless = "unless values of the old type are stored in the same way";
            site.work_if(&super::object(&table), WorkKind::Rewrite, unless);
        }
    }
    if !site.known.complete {
        site.lock_more(format!("the tables of type {}", relation.relname));
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
        other if switches_triggers(other) => Mode::ShareRowExclusive,
        Type::AtAddConstraint => match constraint(command) {
            Some(key) if key.contype() == ConstrType::ConstrForeign => Mode::ShareRowExclusive,
            _ => Mode::AccessExclusive,
        },
        Type::AtSetRelOptions | Type::AtResetRelOptions => options_mode(command.def.as_deref()),
        _ => Mode::AccessExclusive,
    }
}

/// ENABLE and DISABLE TRIGGER in all their forms.
pub(super) fn switches_triggers(subtype: Type) -> bool {
    matches!(
        subtype,
        Type::AtEnableTrig
            | Type::AtEnableAlwaysTrig
            | Type::AtEnableReplicaTrig
            | Type::AtDisableTrig
            | Type::AtEnableTrigAll
            | Type::AtDisableTrigAll
            | Type::AtEnableTrigUser
            | Type::AtDisableTrigUser
    )
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
        // With IF NOT EXISTS nothing is done where the column is there.
        (Type::AtAddColumn, Some(NodeEnum::ColumnDef(column)))
            if command.missing_ok && site.known.column(table, &column.colname).is_some() => {}
        (Type::AtAddColumn, Some(NodeEnum::ColumnDef(column))) => add_column(column, table, site),
        (Type::AtAlterColumnType, Some(NodeEnum::ColumnDef(column))) => {
            column_type::change(&command.name, column, table, site);
        }
        (Type::AtSetNotNull, _) => set_not_null(&command.name, table, site),
        (Type::AtAddConstraint, Some(NodeEnum::Constraint(constraint))) => {
            add_constraint(constraint, table, site);
        }
        (Type::AtValidateConstraint, _) => validate(&command.name, table, site),
        (Type::AtDropConstraint, _) => drop_constraint(command, table, site),
        (Type::AtDropColumn, _) => drop_column(command, table, site),
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
            refer(constraint, site);
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
pub(super) fn set_not_null(column: &str, table: &ObjectRef, site: &mut Site<'_>) {
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

pub(super) fn add_constraint(constraint: &Constraint, table: &ObjectRef, site: &mut Site<'_>) {
    let checked = !constraint.skip_validation && constraint.is_enforced;
    match constraint.contype() {
        ConstrType::ConstrForeign => {
            refer(constraint, site);
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

/// A new foreign key to a table: the other side gets triggers.
pub(super) fn refer(constraint: &Constraint, site: &mut Site<'_>) {
    if let Some(parent) = &constraint.pktable {
        site.lock_parent(&names::relation(Kind::Relation, parent), Mode::ShareRowExclusive);
    }
}

/// Each row is looked up in the other table, which takes reading that too where the planner thinks so.
fn looked_up(constraint: &Constraint, table: &ObjectRef, site: &mut Site<'_>) {
    site.work(table, WorkKind::Scan, "to look each row up in the other table");
    if let Some(parent) = &constraint.pktable {
        let parent = names::relation(Kind::Relation, parent);
        if site.known.resolve(&parent) != site.known.resolve(table) {
            looked_up_in(&parent, site);
        }
    }
}

/// A table in which rows are looked up, or its partitions.
pub(super) fn looked_up_in(parent: &ObjectRef, site: &mut Site<'_>) {
    const CONDITION: &str = "unless its index serves to look rows up";
    site.work_if(parent, WorkKind::Scan, CONDITION);
    for part in site.partitions(parent) {
        site.work_if(&super::object(&part), WorkKind::Scan, CONDITION);
    }
}

/// A foreign key over it goes with it; with CASCADE also one that points to it.
fn drop_column(command: &AlterTableCmd, table: &ObjectRef, site: &mut Site<'_>) {
    let name = command.name.as_str();
    let Some(known) = site.relation(table) else {
        site.lock_more("the tables that foreign keys over the column point to");
        return;
    };
    let keys = known.foreign_keys.iter().filter(|key| key.columns.iter().any(|column| column == name));
    for parent in keys.map(|key| key.parent.clone()).collect::<Vec<_>>() {
        site.lose_parent(&super::object(&parent), Some(Mode::AccessExclusive), None);
    }
    if command.behavior() == DropBehavior::DropCascade {
        drop_referring(table, |key| key.points_to(name), site);
    }
}

/// What CASCADE takes away from other tables: foreign keys to this one.
fn drop_referring(table: &ObjectRef, goes: impl Fn(&ForeignKey) -> bool, site: &mut Site<'_>) {
    let name = site.known.resolve(table);
    for other in site.known.referring(&name).cloned().collect::<Vec<_>>() {
        let keys = site.known.relations.get(&other).map(|known| known.foreign_keys.as_slice());
        if keys.unwrap_or_default().iter().any(|key| key.parent == name && goes(key)) {
            site.lock_named(&other, Mode::AccessExclusive);
        }
    }
    if site.known.reading(&name).next().is_some() {
        site.lock_more(format!("the views that need this of {}", table.name));
    }
    if !site.known.complete {
        site.lock_more(format!("what depends on this of {}", table.name));
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
                    looked_up_in(&super::object(&parent), site);
                }
                None if known => {}
                None => site.lock_more("the table that it points to, if it is a foreign key"),
            }
        }
        None => site.lock_more("the table that it points to, if it is a foreign key"),
    }
}

/// The other side of a foreign key loses its triggers; a key that others refer to takes their keys with it, if CASCADE
/// says so.
fn drop_constraint(command: &AlterTableCmd, table: &ObjectRef, site: &mut Site<'_>) {
    let name = command.name.as_str();
    let known = site.relation(table);
    let parent = known
        .and_then(|known| known.foreign_keys.iter().find(|key| key.name == name))
        .map(|key| key.parent.clone());
    let index = known.and_then(|known| known.indexes.iter().find(|index| index.name == name)).cloned();
    let check = known.is_some_and(|known| known.checks.iter().any(|check| check.name == name));
    let cascade = command.behavior() == DropBehavior::DropCascade;
    match (parent, index) {
        (Some(parent), _) => site.lose_parent(&super::object(&parent), Some(Mode::AccessExclusive), None),
        (None, Some(index)) if cascade => drop_referring(
            table,
            |key| key.parent_columns.is_empty() || index.is_over(&key.parent_columns),
            site,
        ),
        (None, Some(_)) => {}
        (None, None) if check => {}
        (None, None) if cascade => site.lock_more("the tables that it points to, or that refer to it"),
        (None, None) => site.lock_more("the table that it points to, if it is a foreign key"),
    }
}

fn attach(partition: &PartitionCmd, parent: &ObjectRef, site: &mut Site<'_>) {
    let Some(relation) = &partition.name else { return };
    let child = names::relation(Kind::Relation, relation);
    site.lock(&child, Mode::AccessExclusive);
    // What a CHECK implies is for the server to say.
    let key = site.relation(parent).map(|known| known.partition_key.clone()).unwrap_or_default();
    match site.relation(&child).map(|known| known.may_prove_place(&key, true)) {
        Some(false) => site.work(&child, WorkKind::Scan, "to check that its rows belong there"),
        _ => site.work_if(&child, WorkKind::Scan, "unless a valid CHECK proves that its rows belong there"),
    }
    lock_default(parent, site);
    become_partition(parent, site);
}

/// A new partition takes part in the foreign keys of its table, and in those to it.
pub(super) fn become_partition(parent: &ObjectRef, site: &mut Site<'_>) {
    // Before 15 the others were only looked at.
    let mode = if site.is_older_than(15) { Mode::AccessShare } else { Mode::ShareRowExclusive };
    for other in site.referring(parent) {
        site.lock_named(&other, mode);
    }
    for other in site.referred(parent) {
        site.lock_parent(&super::object(&other), Mode::ShareRowExclusive);
    }
    if site.relation(parent).is_none() && !site.known.complete {
        site.lock_more(format!("the tables that foreign keys of {0} and to {0} lead to", parent.name));
    }
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
        if partition.concurrent {
            site.to.refused(
                format!(
                    "{} has a default partition, {}: PostgreSQL detaches no partition of it concurrently",
                    parent.name, default.name
                ),
                "leave out CONCURRENTLY, or detach the default partition first".to_owned(),
            );
        }
    }
    for part in site.partitions(&child) {
        site.lock_named(&part, Mode::AccessExclusive);
    }
    for other in site.referred(parent) {
        site.lock_parent(&super::object(&other), Mode::ShareRowExclusive);
    }
    let referring = site.referring(parent);
    if !referring.is_empty() {
        look_for_orphans(&child, &referring, site);
    }
    if site.relation(parent).is_none() && !site.known.complete {
        site.lock_more(format!("the tables that foreign keys of {0} and to {0} lead to", parent.name));
    }
}

/// No row of a partition that leaves may be one that others refer to.
fn look_for_orphans(child: &ObjectRef, referring: &[Name], site: &mut Site<'_>) {
    const CONDITION: &str = "as far as no index serves to look for rows that refer to the partition";
    for part in site.partitions(child) {
        site.work_if(&super::object(&part), WorkKind::Scan, CONDITION);
    }
    site.lock(child, Mode::AccessExclusive);
    site.work_if(child, WorkKind::Scan, CONDITION);
    for other in referring {
        site.lock_named(other, Mode::AccessExclusive);
        site.work_if(&super::object(other), WorkKind::Scan, CONDITION);
    }
}
