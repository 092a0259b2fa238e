//! Every rule, one a file; those that are a kind of statement and a sentence stand in [`super::plain`].

mod add_column_not_null_without_default;
mod any_other_rewrite;
mod attach_partition_scans;
mod change_default_while_clients_omit_it;
mod check_without_not_valid;
mod concurrently_in_transaction;
mod create_index_blocks_writes;
mod detach_partition_locks;
mod disable_trigger_or_rule;
mod domain_with_check_column;
mod drop_foreign_key;
mod drop_index_locks;
mod drop_not_null;
mod duplicate_index;
mod exclusion_constraint;
mod foreign_key_without_index;
mod foreign_key_without_not_valid;
mod identity_or_serial_on_existing_table;
mod primary_key_builds_index;
mod primary_key_over_nullable_column;
mod set_not_null_scans;
mod several_alters_of_one_table;
mod stored_generated_column_rewrites;
mod type_change_breaks_prepared_statements;
mod type_change_rewrites;
mod unique_constraint_builds_index;
mod unique_over_existing_data;
mod validate_in_same_transaction;
mod volatile_default_rewrites;
mod work_while_holding_access_exclusive;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, ConstrType};

use super::about::About;
use super::linter::FileEnd;
use super::site::{Found, Site};

/// A rule.
pub(crate) struct Rule {
    /// What it says of itself.
    pub(crate) about: About,
    /// How it looks.
    pub(super) look: Look,
}

/// How a rule looks.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// At each statement by itself, which it says one thing of, or nothing.
    Plain(fn(&Site<'_>) -> Option<String>),
    /// At each statement by itself.
    Statement(fn(&Site<'_>, &mut Found<'_>)),
    /// At the statements of a file together.
    File(fn() -> Box<dyn Watch>),
    /// Not here: see [`super::Origin`].
    Elsewhere,
}

/// Watches the statements of a file go by.
pub(super) trait Watch {
    /// The next one.
    fn statement(&mut self, site: &Site<'_>, found: &mut Found<'_>);

    /// There are no more.
    fn end(self: Box<Self>, _end: &FileEnd<'_>, _found: &mut Found<'_>) {}
}

/// Every rule, in the order of the documentation.
pub(crate) static RULES: &[&Rule] = &[
    &create_index_blocks_writes::RULE,
    &drop_index_locks::RULE,
    &concurrently_in_transaction::RULE,
    &super::plain::REINDEX_LOCKS,
    &super::plain::CONCURRENT_INDEX_ON_14_0,
    &foreign_key_without_not_valid::RULE,
    &check_without_not_valid::RULE,
    &validate_in_same_transaction::RULE,
    &unique_constraint_builds_index::RULE,
    &unique_over_existing_data::RULE,
    &exclusion_constraint::RULE,
    &primary_key_builds_index::RULE,
    &primary_key_over_nullable_column::RULE,
    &set_not_null_scans::RULE,
    &add_column_not_null_without_default::RULE,
    &volatile_default_rewrites::RULE,
    &stored_generated_column_rewrites::RULE,
    &identity_or_serial_on_existing_table::RULE,
    &type_change_rewrites::RULE,
    &type_change_breaks_prepared_statements::RULE,
    &domain_with_check_column::RULE,
    &any_other_rewrite::RULE,
    &super::plain::DROP_SCHEMA,
    &drop_not_null::RULE,
    &drop_foreign_key::RULE,
    &change_default_while_clients_omit_it::RULE,
    &work_while_holding_access_exclusive::RULE,
    &several_alters_of_one_table::RULE,
    &detach_partition_locks::RULE,
    &super::plain::CREATE_PARTITION_OF_LOCKS,
    &attach_partition_scans::RULE,
    &super::plain::VACUUM_FULL_OR_CLUSTER,
    &super::plain::REFRESH_MATERIALIZED_VIEW_LOCKS,
    &super::plain::ALTER_DOMAIN_ADD_CONSTRAINT,
    &foreign_key_without_index::RULE,
    &duplicate_index::RULE,
    &super::plain::INDEX_OVER_THREE_COLUMNS,
    &super::plain::CREATE_TRIGGER_LOCKS,
    &disable_trigger_or_rule::RULE,
];

/// How a partitioned table gets a unique index without keeping anyone from it for long: it takes neither CONCURRENTLY nor USING
/// INDEX.
const OF_PARTITIONS: &str = "ALTER TABLE ONLY the table, CREATE UNIQUE INDEX CONCURRENTLY on each partition, then ALTER INDEX … ATTACH PARTITION for each";

/// The column of an `ADD CONSTRAINT … NOT NULL column` that looks at the rows.
fn not_null_constraint(command: &AlterTableCmd) -> Option<String> {
    let NodeEnum::Constraint(constraint) = super::site::definition(command)? else { return None };
    if constraint.contype() != ConstrType::ConstrNotnull || constraint.skip_validation {
        return None;
    }
    constraint.keys.first().and_then(crate::effects::names::text).map(str::to_owned)
}
