//! golang-migrate: `schema_migrations` with one row, the version that the database has come to.
//!
//! Source: `database/postgres/postgres.go` of golang-migrate/migrate: `version bigint`, `dirty boolean`; a version is dirty from
//! its beginning to its end, and stays so where it failed. A negative version is none.

use super::{About, Family, File, NO_CHECKSUM, Sum, Tool, qualified, whole, whole_of};
use crate::migration::Migration;
use crate::project::Project;

/// The tool `golang-migrate`.
#[derive(Debug, Clone, Copy)]
pub(super) struct GolangMigrate;

impl Tool for GolangMigrate {
    fn name(&self) -> &'static str {
        "golang-migrate"
    }

    fn about(&self) -> About {
        About {
            called: "golang-migrate",
            checksum: "none",
            told: "the version that it has come to, all up to which is applied; whether that one failed (dirty)",
        }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["schema_migrations"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[("version", Family::Integer), ("dirty", Family::Boolean)]
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["golang-migrate", "sqlx", "numbered"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        Ok(format!(
            "SELECT version::text, version::text, NULL, NULL::int8,
                    CASE WHEN dirty THEN 'failed' WHEN version < 0 THEN 'mark' ELSE 'up to' END
               FROM {table}
             UNION ALL SELECT (version - 1)::text, version::text, NULL, NULL, 'baseline' FROM {table} WHERE dirty AND version > 0"
        ))
    }

    /// A dirty row counts as two: what failed, and all below it.
    fn rows_there(&self, given: usize) -> usize {
        given.min(1)
    }

    fn row_key(&self, key: &str) -> Option<String> {
        whole(key)
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        whole_of(migration)
    }

    fn compare(&self, _file: &File<'_>, _kept: &str) -> Sum {
        Sum::Unknown(NO_CHECKSUM)
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        vec![format!(
            "CREATE TABLE {} (version bigint PRIMARY KEY, dirty boolean NOT NULL)",
            qualified(schema, table)
        )]
    }

    fn settle(&self) -> &'static str {
        "take back by hand what it left behind, then `migrate force VERSION` with the version before it; where all of it is \
         there, with its own"
    }
}
