//! refinery: `refinery_schema_history`.
//!
//! Source: `refinery_core/src/runner.rs` and `traits/mod.rs` of rust-db/refinery: the checksum is SipHash-1-3, without a key, of
//! name, version and text as Rust hashes a string, a number of 32 bits (of 64 with the feature `int8-versions`) and a string; it
//! is kept as a decimal. `applied_on` is RFC 3339 in a column of text.

use std::hash::{Hash as _, Hasher as _};

use siphasher::sip::SipHasher13;

use super::{About, Family, File, Sum, Tool, qualified, text, whole, whole_of};
use crate::migration::Migration;
use crate::project::Project;

/// The tool `refinery`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refinery;

/// What RFC 3339 with a zone looks like, as far as PostgreSQL reads it without an error.
const RFC_3339: &str = r"^(199\d|20\d\d)-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-](0\d|1[0-4]):[0-5]\d)$";
/// The last days of the months that have them.
const LAST_DAYS: &str = r"^(199\d|20\d\d)-((0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-](0\d|1[0-4]):[0-5]\d)$";

impl Tool for Refinery {
    fn name(&self) -> &'static str {
        "refinery"
    }

    fn about(&self) -> About {
        About { called: "refinery", checksum: "SipHash-1-3 of name, version and text", told: "when" }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["refinery_schema_history"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[
            ("version", Family::Integer),
            ("name", Family::Text),
            ("applied_on", Family::Text),
            ("checksum", Family::Text),
        ]
    }

    fn conventions(&self) -> &'static [&'static str] {
        // What names alone do not tell from Flyway is read in the same way.
        &["refinery", "flyway"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        Ok(format!(
            "SELECT version::text, {}, {},
                    CASE WHEN applied_on ~ '{RFC_3339}' OR applied_on ~ '{LAST_DAYS}'
                         THEN (extract(epoch FROM applied_on::timestamptz) * 1000000)::int8 END,
                    'applied'
               FROM {table} ORDER BY version",
            text("version || ' ' || name"),
            text("checksum"),
        ))
    }

    fn row_key(&self, key: &str) -> Option<String> {
        whole(key)
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        whole_of(migration)
    }

    fn compare(&self, file: &File<'_>, kept: &str) -> Sum {
        let Some(content) = file.text() else { return Sum::Unknown("the file is not UTF-8") };
        let [version] = file.migration.id.version.parts() else {
            return Sum::Unknown("its version is no whole number");
        };
        let name = &file.migration.name;
        let sums = [
            u32::try_from(*version).ok().map(|version| checksum(name, version.cast_signed(), content)),
            Some(checksum(name, version.cast_signed(), content)),
        ];
        let mut sums = sums.into_iter().flatten().map(|sum| sum.to_string());
        let now = sums.clone().next().unwrap_or_default();
        if sums.any(|sum| sum == kept) { Sum::Same } else { Sum::Changed(now) }
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        vec![format!(
            "CREATE TABLE {} (version integer PRIMARY KEY, name varchar(255), applied_on varchar(255), checksum varchar(255))",
            qualified(schema, table)
        )]
    }

    fn settle(&self) -> &'static str {
        "take back by hand what it left behind"
    }
}

fn checksum(name: &str, version: impl std::hash::Hash, content: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    name.hash(&mut hasher);
    version.hash(&mut hasher);
    content.hash(&mut hasher);
    hasher.finish()
}
