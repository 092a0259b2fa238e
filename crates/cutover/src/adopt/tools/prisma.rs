//! Prisma: `_prisma_migrations`.
//!
//! Source: `schema-engine/connectors/schema-connector/src/checksum.rs` and `migration_persistence` of prisma/prisma-engines: the
//! checksum is the SHA-256 of `migration.sql` in hex, and is that of the same text with other line endings too; some old ones
//! lack the leading zero of a byte. A row that has not ended and was not rolled back is of a migration that failed.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::{About, Family, File, Sum, Tool, micros, qualified, text};
use crate::migration::{Migration, VersionSort};
use crate::project::Project;
use crate::project::text::hex;

/// The tool `prisma`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prisma;

impl Tool for Prisma {
    fn name(&self) -> &'static str {
        "prisma"
    }

    fn about(&self) -> About {
        About {
            called: "Prisma",
            checksum: "SHA-256 of `migration.sql`, whatever its line endings",
            told: "when; what failed, what was resolved as rolled back",
        }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["_prisma_migrations"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[
            ("id", Family::Text),
            ("checksum", Family::Text),
            ("finished_at", Family::Timestamp),
            ("migration_name", Family::Text),
            ("rolled_back_at", Family::Timestamp),
            ("started_at", Family::Timestamp),
        ]
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["prisma"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        Ok(format!(
            "SELECT {0}, {0}, {1}, {2},
                    CASE WHEN rolled_back_at IS NOT NULL THEN 'rolled back'
                         WHEN finished_at IS NULL THEN 'failed' ELSE 'applied' END
               FROM {table} ORDER BY started_at, id",
            text("migration_name"),
            text("checksum"),
            micros("finished_at"),
        ))
    }

    fn row_key(&self, key: &str) -> Option<String> {
        (!key.is_empty()).then(|| key.to_owned())
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        let version = &migration.id.version;
        (version.sort() == VersionSort::Named).then(|| version.name().to_owned())
    }

    fn compare(&self, file: &File<'_>, kept: &str) -> Sum {
        let Some(content) = file.text() else { return Sum::Unknown("the file is not UTF-8") };
        let texts = [content.to_owned(), content.replace("\r\n", "\n"), content.replace('\n', "\r\n")];
        let is_it = |content: &String| {
            let digest = Sha256::digest(content);
            hex(&digest) == kept || (kept.len() < 64 && !kept.is_empty() && unpadded(&digest) == kept)
        };
        if texts.iter().any(is_it) { Sum::Same } else { Sum::Changed(hex(&Sha256::digest(content))) }
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        vec![format!(
            "CREATE TABLE {} (id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz, \
             migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz, \
             started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0)",
            qualified(schema, table)
        )]
    }

    fn settle(&self) -> &'static str {
        "`prisma migrate resolve --rolled-back NAME` once nothing of it is there, or `--applied NAME` where all of it is"
    }
}

/// Hex as it was written once: each byte without its leading zero.
fn unpadded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:x}");
        text
    })
}
