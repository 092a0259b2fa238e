//! dbmate: `schema_migrations` with a row for each version, a text.
//!
//! Source: `pkg/driver/postgres/postgres.go` of amacneil/dbmate: `version varchar` (earlier of 255, then of 128 characters)
//! is all there is. The row and the migration commit together, so that nothing fails half; a rollback deletes the row.

use super::{About, Family, File, NO_CHECKSUM, Sum, Tool, digits, qualified, text};
use crate::migration::Migration;
use crate::project::Project;

/// The tool `dbmate`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dbmate;

impl Tool for Dbmate {
    fn name(&self) -> &'static str {
        "dbmate"
    }

    fn about(&self) -> About {
        About { called: "dbmate", checksum: "none", told: "nothing else" }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["schema_migrations"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[("version", Family::Text)]
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["dbmate", "numbered"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        Ok(format!(
            "SELECT {0}, {0}, NULL, NULL::int8, 'applied' FROM {table} ORDER BY version COLLATE \"C\"",
            text("version")
        ))
    }

    fn row_key(&self, key: &str) -> Option<String> {
        (!key.is_empty() && digits(key) == key).then(|| key.to_owned())
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        let digits = digits(migration.file_name());
        (!digits.is_empty()).then(|| digits.to_owned())
    }

    fn compare(&self, _file: &File<'_>, _kept: &str) -> Sum {
        Sum::Unknown(NO_CHECKSUM)
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        vec![format!("CREATE TABLE {} (version varchar PRIMARY KEY)", qualified(schema, table))]
    }

    fn settle(&self) -> &'static str {
        "take back by hand what it left behind"
    }
}
