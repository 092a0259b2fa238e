//! diesel: `__diesel_schema_migrations`.
//!
//! Source: `diesel_migrations` and `diesel/src/migration` of diesel-rs/diesel: `version` is what stands before the first `_` of
//! the folder's name, without dashes; the row and the migration commit together unless the migration runs without a transaction.

use super::{About, Family, File, NO_CHECKSUM, Sum, Tool, micros, qualified, text};
use crate::migration::{Migration, VersionSort};
use crate::project::Project;

/// The tool `diesel`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Diesel;

impl Tool for Diesel {
    fn name(&self) -> &'static str {
        "diesel"
    }

    fn about(&self) -> About {
        About { called: "diesel", checksum: "none", told: "when" }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["__diesel_schema_migrations"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[("version", Family::Text), ("run_on", Family::Timestamp)]
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["diesel"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        Ok(format!(
            "SELECT {0}, {0}, NULL, {1}, 'applied' FROM {table} ORDER BY version COLLATE \"C\"",
            text("version"),
            micros("run_on"),
        ))
    }

    fn row_key(&self, key: &str) -> Option<String> {
        let is_version = !key.is_empty() && !key.contains(['_', '-', '/']);
        is_version.then(|| key.to_owned())
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        let version = &migration.id.version;
        (version.sort() == VersionSort::Named).then(|| version.name().to_owned())
    }

    fn compare(&self, _file: &File<'_>, _kept: &str) -> Sum {
        Sum::Unknown(NO_CHECKSUM)
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        vec![format!(
            "CREATE TABLE {} (version varchar(50) PRIMARY KEY, run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)",
            qualified(schema, table)
        )]
    }

    fn settle(&self) -> &'static str {
        "take back by hand what it left behind"
    }
}
