//! Every rule, one a file; those that are a kind of statement and a sentence stand in [`super::plain`].

mod backfill_with_ddl;
mod create_index_blocks_writes;
mod drop_column;
mod drop_if_exists_before_create;
mod drop_table;
mod duplicate_assignment;
mod enum_add_value_used_in_same_transaction;
mod files;
mod function_body_names_missing_object;
mod function_name_unresolved_after_move;
mod identifier_too_long;
mod int_primary_key;
mod naming_convention;
mod no_lock_timeout;
mod no_statement_timeout;
mod not_rerunnable_outside_transaction;
mod policy_always_true;
mod policy_recursion;
mod policy_without_rls;
mod rename_column;
mod rename_table;
mod replace_view_drops_options;
mod row_level_security_disabled;
mod security_definer_without_search_path;
mod set_not_null_scans;
mod transaction_control_in_file;
mod truncate_cascade;
mod uncommitted_transaction;
mod unqualified_name;
mod update_or_delete_without_where;
mod validate_in_same_transaction;
mod view_bypasses_rls;

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
    fn end(self: Box<Self>, _end: &FileEnd, _found: &mut Found<'_>) {}
}

/// Every rule, in the order of the documentation.
pub(crate) static RULES: &[&Rule] = &[
    &create_index_blocks_writes::RULE,
    &super::plain::DROP_INDEX_LOCKS,
    &validate_in_same_transaction::RULE,
    &set_not_null_scans::RULE,
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
    &no_lock_timeout::RULE,
    &no_statement_timeout::RULE,
    &transaction_control_in_file::RULE,
    &uncommitted_transaction::RULE,
    &not_rerunnable_outside_transaction::RULE,
    &enum_add_value_used_in_same_transaction::RULE,
    &super::plain::taste::CREATE_ENUM,
    &super::plain::taste::ENUM_ADD_VALUE_WITHOUT_POSITION,
    &super::plain::taste::JSON_COLUMN,
    &int_primary_key::RULE,
    &super::plain::taste::SERIAL_TYPE,
    &super::plain::taste::VARCHAR_LENGTH,
    &super::plain::taste::CHAR_TYPE,
    &super::plain::taste::TIMESTAMP_WITHOUT_TIME_ZONE,
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
];

/// The column of an `ADD CONSTRAINT … NOT NULL column` that looks at the rows.
fn not_null_constraint(command: &AlterTableCmd) -> Option<String> {
    let NodeEnum::Constraint(constraint) = super::site::definition(command)? else { return None };
    if constraint.contype() != ConstrType::ConstrNotnull || constraint.skip_validation {
        return None;
    }
    constraint.keys.first().and_then(crate::effects::names::text).map(str::to_owned)
}
