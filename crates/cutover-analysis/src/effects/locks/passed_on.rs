//! What ALTER TABLE does to those that inherit from the table: not all subcommands are passed on, and a constraint is
//! passed on in ways of its own.

use pg_query::protobuf::{AlterTableCmd, AlterTableType as Type, ConstrType, Constraint};

use super::super::context::Name;
use super::super::lock_mode::LockMode as Mode;
use super::super::model::{ObjectRef, WorkKind};
use super::super::names;
use super::{Site, alter_table};

/// Whether what is done to a table is done to those that inherit from it. Constraints are added by [`constraint`].
///
/// Source: `ATPrepCmd` in PostgreSQL's `tablecmds.c`, and measured.
pub(super) fn is_passed_on(command: &AlterTableCmd, table: &ObjectRef, site: &Site<'_>) -> bool {
    match command.subtype() {
        Type::AtAddColumn
        | Type::AtDropColumn
        | Type::AtAlterColumnType
        | Type::AtColumnDefault
        | Type::AtDropConstraint
        | Type::AtValidateConstraint
        | Type::AtSetNotNull
        | Type::AtDropExpression
        | Type::AtSetExpression
        | Type::AtSetStatistics
        | Type::AtSetStorage => true,
        // Version 18 looks first whether there is anything to drop.
        Type::AtDropNotNull => {
            site.known.server_major < 18
                || site.known.column(table, &command.name).is_none_or(|column| column.not_null)
        }
        Type::AtAlterConstraint => site.is_partitioned(table),
        other if alter_table::switches_triggers(other) => {
            site.is_partitioned(table) && has_row_trigger(command, table, site)
        }
        Type::AtAddIdentity | Type::AtSetIdentity | Type::AtDropIdentity => {
            site.is_partitioned(table) && !site.is_older_than(17)
        }
        _ => false,
    }
}

/// Whether a partitioned table has, or may have, a trigger for each row that is meant: only those are switched in its partitions.
fn has_row_trigger(command: &AlterTableCmd, table: &ObjectRef, site: &Site<'_>) -> bool {
    let Some(known) = site.relation(table) else { return true };
    let mut triggers = known.reactions.iter().filter(|known| !known.is_rule && known.for_rows);
    match command.subtype() {
        Type::AtEnableTrigUser | Type::AtDisableTrigUser => triggers.next().is_some(),
        // Those of foreign keys too, on both sides.
        Type::AtEnableTrigAll | Type::AtDisableTrigAll => {
            let name = site.known.resolve(table);
            let all = || site.known.relations.values().flat_map(|known| &known.foreign_keys);
            triggers.next().is_some() || !known.foreign_keys.is_empty() || all().any(|key| key.parent == name)
        }
        _ => triggers.any(|known| known.name == command.name),
    }
}

/// A new constraint, on those that inherit from its table; `mode` is that of the whole statement.
pub(super) fn constraint(
    constraint: &Constraint,
    table: &ObjectRef,
    heirs: &[Name],
    mode: Mode,
    site: &mut Site<'_>,
) {
    let partitioned = site.is_partitioned(table);
    // Version 18 locks them all, whatever becomes of them.
    let all = !site.is_older_than(18);
    // Their columns take no NULL either from then on.
    let strengthened = match constraint.contype() {
        ConstrType::ConstrPrimary => !partitioned || takes_null(constraint, table, site),
        _ => false,
    };
    for heir in heirs {
        let object = super::object(heir);
        if all {
            site.lock_named(heir, mode);
        }
        match constraint.contype() {
            ConstrType::ConstrCheck | ConstrType::ConstrNotnull if !constraint.is_no_inherit => {
                site.lock_named(heir, mode);
                alter_table::add_constraint(constraint, &object, site);
            }
            ConstrType::ConstrForeign if partitioned => {
                site.lock_named(heir, Mode::ShareRowExclusive);
                alter_table::add_constraint(constraint, &object, site);
            }
            ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion => {
                if partitioned {
                    site.lock_named(heir, Mode::Share);
                    site.work(&object, WorkKind::Scan, "to build an index");
                }
                if strengthened {
                    site.lock_named(heir, mode);
                    for column in constraint.keys.iter().filter_map(names::text) {
                        alter_table::set_not_null(column, &object, site);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether one of the columns of a primary key takes NULL so far.
fn takes_null(constraint: &Constraint, table: &ObjectRef, site: &Site<'_>) -> bool {
    let mut columns = constraint.keys.iter().filter_map(names::text);
    columns.any(|column| site.known.column(table, column).is_none_or(|known| !known.not_null))
}
