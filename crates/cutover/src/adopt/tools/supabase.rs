//! Supabase: `supabase_migrations.schema_migrations`.
//!
//! Source: `pkg/migration/history.go` and `file.go` of supabase/cli: `version` is the time that a file's name begins with, `name`
//! the rest, and `statements` what was run, cut at semicolons; old tables have the version alone. There is no checksum, but the
//! statements are compared with the file without white space, semicolons and comments that end with their line.

use sha2::{Digest as _, Sha256};

use super::{About, Family, File, Sum, Tool, digits, qualified, schema_and, text};
use crate::migration::Migration;
use crate::project::Project;
use crate::project::text::hex;

/// The tool `supabase`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Supabase;

const SCHEMA: &str = "supabase_migrations";

impl Tool for Supabase {
    fn name(&self) -> &'static str {
        "supabase"
    }

    fn about(&self) -> About {
        About {
            called: "Supabase",
            checksum: "none, but the statements, which are compared",
            told: "the schema is `supabase_migrations`",
        }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["schema_migrations"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[("version", Family::Text)]
    }

    fn is_own(&self, schema: &str, _beside: &[String]) -> bool {
        schema == SCHEMA
    }

    fn owns_schema(&self) -> bool {
        true
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["supabase"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        // Old tables have neither name nor statements: a row as JSON has what there is.
        Ok(format!(
            "SELECT {0}, {0}, CASE WHEN j->'statements' IS NOT NULL AND j->>'statements' IS NOT NULL
                    THEN (SELECT encode(sha256(convert_to(coalesce(string_agg(regexp_replace(one, '--[^\\n]*|[ \\t\\r\\n;]', '', 'g'),
                                 '' ORDER BY place), ''), 'UTF8')), 'hex')
                            FROM jsonb_array_elements_text(j->'statements') WITH ORDINALITY AS s (one, place)) END,
                    NULL::int8, 'applied'
               FROM (SELECT version, to_jsonb(t) AS j FROM {table} AS t) AS r ORDER BY version COLLATE \"C\"",
            text("version"),
        ))
    }

    fn row_key(&self, key: &str) -> Option<String> {
        (!key.is_empty() && digits(key) == key).then(|| key.to_owned())
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        let digits = digits(migration.file_name());
        (!digits.is_empty()).then(|| digits.to_owned())
    }

    fn compare(&self, file: &File<'_>, kept: &str) -> Sum {
        let Some(content) = file.text() else { return Sum::Unknown("the file is not UTF-8") };
        Sum::by_value(hex(&Sha256::digest(letters(content))), kept)
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        let create = format!(
            "CREATE TABLE {} (version text PRIMARY KEY, statements text[], name text)",
            qualified(schema, table)
        );
        schema_and(schema, create)
    }

    fn settle(&self) -> &'static str {
        "`supabase migration repair` says what became of it"
    }
}

/// What is left of a text without white space, semicolons and comments that end with their line. Texts of strings lose the
/// same on both sides.
fn letters(content: &str) -> String {
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    let lines = content.split('\n').map(|line| line.split_once("--").map_or(line, |(before, _)| before));
    lines.flat_map(|line| line.chars().filter(|c| !matches!(c, ' ' | '\t' | '\r' | ';'))).collect()
}
