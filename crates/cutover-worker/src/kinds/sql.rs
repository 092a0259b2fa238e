//! A statement of SQL, most often `SELECT some_function()`.

use cutover::project::one_statement;

use super::Kind;

/// See the module.
pub(super) struct Sql;

impl Kind for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn check(&self, command: &str) -> Result<(), String> {
        one_statement(command)
    }

    fn statement(&self, command: &str) -> String {
        command.to_owned()
    }
}
