//! sqlx: `_sqlx_migrations`.
//!
//! Source: `sqlx-postgres/src/migrate.rs` and `sqlx-core/src/migrate/migration.rs` of launchbadge/sqlx: the checksum is the
//! SHA-384 of the file's bytes, and a row that is not a success is of a migration that ran without a transaction and failed.

use sha2::{Digest as _, Sha384};

use super::{About, Family, File, Sum, Tool, micros, qualified, text, whole, whole_of};
use crate::migration::Migration;
use crate::project::Project;
use crate::project::text::hex;

/// The tool `sqlx`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sqlx;

impl Tool for Sqlx {
    fn name(&self) -> &'static str {
        "sqlx"
    }

    fn about(&self) -> About {
        About { called: "sqlx", checksum: "SHA-384 of the file", told: "when; what failed" }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["_sqlx_migrations"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[
            ("version", Family::Integer),
            ("description", Family::Text),
            ("installed_on", Family::Timestamp),
            ("success", Family::Boolean),
            ("checksum", Family::Bytes),
        ]
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["sqlx", "numbered", "golang-migrate"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        Ok(format!(
            "SELECT version::text, {}, encode(substring(checksum FROM 1 FOR 100), 'hex'), {},
                    CASE WHEN success THEN 'applied' ELSE 'failed' END
               FROM {table} ORDER BY version",
            text("version || ' ' || description"),
            micros("installed_on"),
        ))
    }

    fn row_key(&self, key: &str) -> Option<String> {
        whole(key)
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        whole_of(migration)
    }

    fn compare(&self, file: &File<'_>, kept: &str) -> Sum {
        Sum::by_value(hex(&Sha384::digest(file.bytes)), kept)
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        vec![format!(
            "CREATE TABLE {} (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL \
             DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL)",
            qualified(schema, table)
        )]
    }

    fn settle(&self) -> &'static str {
        "take back by hand what it left behind, and delete its row; where all of it is there, set success to true"
    }
}
