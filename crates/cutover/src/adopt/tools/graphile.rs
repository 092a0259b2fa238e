//! graphile-migrate: `graphile_migrate.migrations`.
//!
//! Source: `src/migration.ts` and `src/hash.ts` of graphile/migrate: `hash` is `sha1:` and the SHA-1, in hex, of the hash before, a
//! line feed and the text below the header, without white space around all of it and with one line feed at its end. The file
//! begins with the same hash.

use super::{About, Family, File, Sum, Tool, digits, micros, qualified, schema_and, text, whole, whole_of};
use crate::migration::Migration;
use crate::project::Project;
use crate::project::conventions::graphile::hash_of;

/// The tool `graphile-migrate`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Graphile;

impl Tool for Graphile {
    fn name(&self) -> &'static str {
        "graphile-migrate"
    }

    fn about(&self) -> About {
        About {
            called: "graphile-migrate",
            checksum: "SHA-1 of the hash before and the text below the header",
            told: "the schema is `graphile_migrate`; when",
        }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["migrations"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[
            ("hash", Family::Text),
            ("previous_hash", Family::Text),
            ("filename", Family::Text),
            ("date", Family::Timestamp),
        ]
    }

    fn is_own(&self, schema: &str, _beside: &[String]) -> bool {
        schema == "graphile_migrate"
    }

    fn owns_schema(&self) -> bool {
        true
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["graphile-migrate"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        Ok(format!(
            "SELECT {0}, {0}, {1}, {2}, 'applied' FROM {table} ORDER BY filename COLLATE \"C\"",
            text("filename"),
            text("hash"),
            micros("date"),
        ))
    }

    fn row_key(&self, key: &str) -> Option<String> {
        let stem = key.strip_suffix(".sql")?;
        let number = digits(stem);
        let is_name = number.len() == stem.len() || stem[number.len()..].starts_with('-');
        whole(number).filter(|_| is_name)
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        whole_of(migration)
    }

    fn compare(&self, file: &File<'_>, kept: &str) -> Sum {
        let Some(content) = file.text() else { return Sum::Unknown("the file is not UTF-8") };
        let Some((_, body)) = content.split_once("\n\n") else {
            return Sum::Unknown("the file has no header");
        };
        Sum::by_value(hash_of(file.before.unwrap_or_default(), body), kept)
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        let name = qualified(schema, table);
        let create = format!(
            "CREATE TABLE {name} (hash text PRIMARY KEY, previous_hash text REFERENCES {name}, filename text NOT NULL, \
             date timestamptz NOT NULL DEFAULT now())"
        );
        let mut made = schema_and(schema, create);
        made.push(format!(
            "CREATE TABLE {} (filename text PRIMARY KEY DEFAULT 'current.sql', content text NOT NULL, \
             date timestamptz NOT NULL DEFAULT now())",
            qualified(schema, "current")
        ));
        made
    }

    fn settle(&self) -> &'static str {
        "take back by hand what it left behind"
    }
}
