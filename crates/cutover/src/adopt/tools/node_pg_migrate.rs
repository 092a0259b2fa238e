//! node-pg-migrate: `pgmigrations`.
//!
//! Source: `src/runner.ts` and `src/migration.ts` of salsita/node-pg-migrate: `name` is the file's name without its ending.

use super::{About, Family, File, NO_CHECKSUM, Sum, Tool, micros, qualified, stem, text};
use crate::migration::Migration;
use crate::project::Project;

/// The tool `node-pg-migrate`.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodePgMigrate;

impl Tool for NodePgMigrate {
    fn name(&self) -> &'static str {
        "node-pg-migrate"
    }

    fn about(&self) -> About {
        About {
            called: "node-pg-migrate",
            checksum: "none",
            told: "when; its migrations in JavaScript are adopted as SQL files of the same names",
        }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["pgmigrations"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[("id", Family::Integer), ("name", Family::Text), ("run_on", Family::Timestamp)]
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["node-pg-migrate", "numbered", "sqlx", "golang-migrate"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        Ok(format!(
            "SELECT {0}, {0}, NULL, {1}, 'applied' FROM {table} ORDER BY id",
            text("name"),
            micros("run_on")
        ))
    }

    fn row_key(&self, key: &str) -> Option<String> {
        (!key.is_empty()).then(|| key.to_owned())
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        let name = stem(migration, ".sql");
        Some(name.strip_suffix(".up").unwrap_or(name).to_owned())
    }

    fn compare(&self, _file: &File<'_>, _kept: &str) -> Sum {
        Sum::Unknown(NO_CHECKSUM)
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        vec![format!(
            "CREATE TABLE {} (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL)",
            qualified(schema, table)
        )]
    }

    fn settle(&self) -> &'static str {
        "take back by hand what it left behind"
    }
}
