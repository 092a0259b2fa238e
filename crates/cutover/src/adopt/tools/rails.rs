//! Rails: `schema_migrations` with a row for each version, a text, and `ar_internal_metadata` beside it. Its migrations are
//! programs; what is adopted are SQL files of the same versions.
//!
//! Source: `activerecord/lib/active_record/schema_migration.rs` and `internal_metadata.rs` of rails/rails.

use super::{About, Family, File, NO_CHECKSUM, Sum, Tool, qualified, text, whole, whole_of};
use crate::migration::Migration;
use crate::project::Project;

/// The tool `rails`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rails;

/// What tells its table from that of dbmate.
const METADATA: &str = "ar_internal_metadata";

impl Tool for Rails {
    fn name(&self) -> &'static str {
        "rails"
    }

    fn about(&self) -> About {
        About {
            called: "Rails",
            checksum: "none",
            told: "nothing else; its migrations in Ruby are adopted as SQL files of the same versions",
        }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["schema_migrations"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[("version", Family::Text)]
    }

    fn is_own(&self, _schema: &str, beside: &[String]) -> bool {
        beside.iter().any(|table| table == METADATA)
    }

    fn others(&self) -> &'static [&'static str] {
        &[METADATA]
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["numbered", "sqlx", "golang-migrate", "dbmate"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        Ok(format!(
            "SELECT {0}, {0}, NULL, NULL::int8, 'applied' FROM {table} ORDER BY length(version), version COLLATE \"C\"",
            text("version")
        ))
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
        vec![
            format!("CREATE TABLE {} (version varchar PRIMARY KEY)", qualified(schema, table)),
            format!(
                "CREATE TABLE {} (key varchar PRIMARY KEY, value varchar, created_at timestamp(6) NOT NULL, \
                 updated_at timestamp(6) NOT NULL)",
                qualified(schema, METADATA)
            ),
        ]
    }

    fn settle(&self) -> &'static str {
        "take back by hand what it left behind"
    }
}
