//! Every rule, one a file; those that are a kind of statement and a sentence stand in [`super::plain`].

mod add_column_not_null_without_default;
mod any_other_rewrite;
mod attach_partition_scans;
mod backfill_with_ddl;
mod change_default_while_clients_omit_it;
mod check_without_not_valid;
mod concurrently_in_transaction;
mod create_index_blocks_writes;
mod detach_partition_locks;
mod disable_trigger_or_rule;
mod domain_with_check_column;
mod drop_column;
mod drop_foreign_key;
mod drop_if_exists_before_create;
mod drop_index_locks;
mod drop_not_null;
mod drop_table;
mod duplicate_assignment;
mod duplicate_index;
mod enum_add_value_used_in_same_transaction;
mod exclusion_constraint;
mod files;
mod foreign_key_without_index;
mod foreign_key_without_not_valid;
mod function_body_names_missing_object;
mod function_name_unresolved_after_move;
mod identifier_too_long;
mod identity_or_serial_on_existing_table;
mod int_primary_key;
mod naming_convention;
mod no_lock_timeout;
mod no_statement_timeout;
mod not_rerunnable_outside_transaction;
mod policy_always_true;
mod policy_recursion;
mod policy_without_rls;
mod primary_key_builds_index;
mod primary_key_over_nullable_column;
mod reindex_locks;
mod rename_column;
mod rename_table;
mod replace_view_drops_options;
mod row_level_security_disabled;
mod security_definer_without_search_path;
mod set_not_null_scans;
mod several_alters_of_one_table;
mod stored_generated_column_rewrites;
mod transaction_control_in_file;
mod truncate_cascade;
mod type_change_breaks_prepared_statements;
mod type_change_rewrites;
mod uncommitted_transaction;
mod unique_constraint_builds_index;
mod unique_over_existing_data;
mod unqualified_name;
mod update_or_delete_without_where;
mod validate_in_same_transaction;
mod view_bypasses_rls;
mod volatile_default_rewrites;
mod work_while_holding_access_exclusive;

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, ConstrType, TypeName};

use super::about::About;
use super::linter::FileEnd;
use super::site::{Found, Site};
use crate::effects::ObjectRef;
use crate::sql::{quote_ident, quote_qualified};

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
    /// At each column that a statement gives a type of PostgreSQL's own, by the type and its name; of the column one thing is said, or
    /// nothing.
    Type(LookAtType),
    /// At each statement by itself.
    Statement(fn(&Site<'_>, &mut Found<'_>)),
    /// At the statements of a file together.
    File(fn() -> Box<dyn Watch>),
    /// Not here: see [`super::Origin`].
    Elsewhere,
}

/// Looks at a type, by its name, of a column, whose name is made when it is asked for.
pub(super) type LookAtType = fn(&TypeName, &str, &dyn Fn() -> String) -> Option<String>;

/// Watches the statements of a file go by.
pub(super) trait Watch {
    /// The next one.
    fn statement(&mut self, site: &Site<'_>, found: &mut Found<'_>);

    /// There are no more.
    fn end(self: Box<Self>, _end: &FileEnd, _found: &mut Found<'_>) {}
}

/// Every rule, in the order of the documentation.
pub(crate) static RULES: &[&Rule] = &[
    &create_index_blocks_writes::RULE,
    &drop_index_locks::RULE,
    &concurrently_in_transaction::RULE,
    &reindex_locks::RULE,
    &super::plain::upkeep::CONCURRENT_INDEX_ON_14_0,
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
    &rename_column::RULE,
    &rename_table::RULE,
    &super::plain::clients::RENAME_SCHEMA,
    &super::plain::clients::RENAME_ENUM_VALUE,
    &drop_column::RULE,
    &drop_table::RULE,
    &super::plain::DROP_SCHEMA,
    &super::plain::clients::DROP_DATABASE,
    &truncate_cascade::RULE,
    &drop_if_exists_before_create::RULE,
    &drop_not_null::RULE,
    &drop_foreign_key::RULE,
    &change_default_while_clients_omit_it::RULE,
    &no_lock_timeout::RULE,
    &no_statement_timeout::RULE,
    &work_while_holding_access_exclusive::RULE,
    &several_alters_of_one_table::RULE,
    &transaction_control_in_file::RULE,
    &uncommitted_transaction::RULE,
    &not_rerunnable_outside_transaction::RULE,
    &detach_partition_locks::RULE,
    &super::plain::upkeep::CREATE_PARTITION_OF_LOCKS,
    &attach_partition_scans::RULE,
    &super::plain::upkeep::VACUUM_FULL_OR_CLUSTER,
    &super::plain::upkeep::REFRESH_MATERIALIZED_VIEW_LOCKS,
    &super::plain::upkeep::ALTER_DOMAIN_ADD_CONSTRAINT,
    &enum_add_value_used_in_same_transaction::RULE,
    &super::plain::taste::CREATE_ENUM,
    &super::plain::taste::ENUM_ADD_VALUE_WITHOUT_POSITION,
    &super::plain::taste::JSON_COLUMN,
    &int_primary_key::RULE,
    &super::plain::taste::SERIAL_TYPE,
    &super::plain::taste::VARCHAR_LENGTH,
    &super::plain::taste::CHAR_TYPE,
    &super::plain::taste::TIMESTAMP_WITHOUT_TIME_ZONE,
    &foreign_key_without_index::RULE,
    &duplicate_index::RULE,
    &super::plain::upkeep::INDEX_OVER_THREE_COLUMNS,
    &unqualified_name::RULE,
    &identifier_too_long::RULE,
    &duplicate_assignment::RULE,
    &naming_convention::RULE,
    &files::OUT_OF_ORDER_FILE,
    &files::DUPLICATE_VERSION,
    &files::VERSION_SORTS_WRONGLY,
    &files::UNUSED_SUPPRESSION,
    &backfill_with_ddl::RULE,
    &update_or_delete_without_where::RULE,
    &security_definer_without_search_path::RULE,
    &row_level_security_disabled::RULE,
    &policy_without_rls::RULE,
    &policy_always_true::RULE,
    &view_bypasses_rls::RULE,
    &replace_view_drops_options::RULE,
    &policy_recursion::RULE,
    &function_body_names_missing_object::RULE,
    &function_name_unresolved_after_move::RULE,
    &super::plain::upkeep::CREATE_TRIGGER_LOCKS,
    &disable_trigger_or_rule::RULE,
];

/// How a partitioned table gets a unique index without keeping anyone from it for long: it takes neither CONCURRENTLY nor USING
/// INDEX.
const OF_PARTITIONS: &str = "ALTER TABLE ONLY the table, CREATE UNIQUE INDEX CONCURRENTLY on each partition, then ALTER INDEX … ATTACH PARTITION for each";

/// Columns as SQL lists them.
pub(super) fn listed<T: AsRef<str>>(columns: &[T]) -> String {
    columns.iter().map(|column| quote_ident(column.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The name of a table as it is written in SQL.
pub(super) fn in_sql(table: &ObjectRef) -> String {
    match &table.schema {
        Some(schema) => quote_qualified(schema, &table.name),
        None => quote_ident(&table.name),
    }
}

/// The column of an `ADD CONSTRAINT … NOT NULL column` that looks at the rows.
fn not_null_constraint(command: &AlterTableCmd) -> Option<String> {
    let NodeEnum::Constraint(constraint) = super::site::definition(command)? else { return None };
    if constraint.contype() != ConstrType::ConstrNotnull || constraint.skip_validation {
        return None;
    }
    constraint.keys.first().and_then(crate::effects::names::text).map(str::to_owned)
}
