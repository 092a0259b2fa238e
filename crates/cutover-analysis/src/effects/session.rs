//! Transaction control and session state.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    DiscardMode, TransactionStmt, TransactionStmtKind as Kind, VariableSetKind, VariableSetStmt,
};

use super::builder::Builder;
use super::model::{Control, Retry, Setting};
use super::walk;

/// Settings that decide what an unqualified name means; `"$user"` in the search path follows the role.
const SEARCHED: [&str; 3] = ["search_path", "role", "session_authorization"];

pub(super) fn add(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::TransactionStmt(statement) => transaction(statement, to),
        NodeEnum::VariableSetStmt(set) => variable(set, to),
        NodeEnum::DiscardStmt(discard) => {
            to.session_state();
            if discard.target() == DiscardMode::DiscardAll {
                to.search_path();
                to.forbidden("DISCARD ALL", Retry::Idempotent);
            }
        }
        NodeEnum::PrepareStmt(prepare) => {
            let found = to.needs_all_in(&prepare.query, "in a prepared statement");
            for relation in found.writes {
                to.writes(relation);
            }
            to.session_state();
        }
        NodeEnum::ExecuteStmt(execute) => {
            super::data::query(&execute.params, "in a parameter", to);
            to.opaque("EXECUTE runs a prepared statement");
            to.session_state();
        }
        NodeEnum::LoadStmt(_) => {
            to.opaque("LOAD runs the code of a library");
            to.session_state();
        }
        NodeEnum::DeallocateStmt(_)
        | NodeEnum::ListenStmt(_)
        | NodeEnum::UnlistenStmt(_)
        | NodeEnum::FetchStmt(_)
        | NodeEnum::ClosePortalStmt(_)
        | NodeEnum::ConstraintsSetStmt(_) => to.session_state(),
        NodeEnum::NotifyStmt(_) | NodeEnum::VariableShowStmt(_) => {}
        _ => return false,
    }
    true
}

fn transaction(statement: &TransactionStmt, to: &mut Builder) {
    to.control(match statement.kind() {
        Kind::TransStmtBegin | Kind::TransStmtStart => Control::Begin,
        Kind::TransStmtCommit => Control::Commit,
        Kind::TransStmtRollback => Control::Rollback,
        _ => Control::Other,
    });
}

/// The schemas that a setting of something else than this session puts into its search path.
pub(super) fn search_path(set: &VariableSetStmt, to: &mut Builder) {
    if set.kind() == VariableSetKind::VarSetValue && set.name.eq_ignore_ascii_case("search_path") {
        to.searches_in(set.args.iter().filter_map(walk::value_of).collect());
    }
}

fn variable(set: &VariableSetStmt, to: &mut Builder) {
    to.session_state();
    if set.kind() == VariableSetKind::VarSetValue {
        let values: Option<Vec<String>> = set.args.iter().map(walk::value_of).collect();
        to.sets(Setting { name: set.name.to_ascii_lowercase(), values });
    }
    let all = set.kind() == VariableSetKind::VarResetAll;
    if all || SEARCHED.iter().any(|name| set.name.eq_ignore_ascii_case(name)) {
        to.search_path();
    }
}
