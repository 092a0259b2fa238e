//! Flyway: `flyway_schema_history`, before version 5 `schema_version`.
//!
//! Source: `resolver/ChecksumCalculator.java`, `schemahistory/JdbcTableSchemaHistory.java` of flyway/flyway and its manual. The
//! checksum is the CRC-32, as a signed number of 32 bits, of the lines without what ends them, the first without a byte order
//! mark. Of a repeatable migration it is taken after Flyway has filled in its placeholders, which nobody knows here. `BASELINE`
//! stands for all versions up to its own, `SQL_BASELINE` is a `B` migration, `DELETE` is what `repair` writes over a migration
//! whose file is gone, and `version` is empty where a migration is repeatable.

use super::{About, Family, File, Sum, Tool, micros, qualified, text};
use crate::migration::{Migration, MigrationKind};
use crate::project::{Convention as _, Project, conventions};

/// The tool `flyway`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flyway;

impl Tool for Flyway {
    fn name(&self) -> &'static str {
        "flyway"
    }

    fn about(&self) -> About {
        About {
            called: "Flyway",
            checksum: "CRC-32 of the lines, without their ends and the byte order mark; of a repeatable migration with placeholders it is not known",
            told: "when; what failed, what `undo` took back, what `repair` deleted; a baseline stands for all up to it; a repeatable migration that was changed since is pending again",
        }
    }

    fn tables(&self) -> &'static [&'static str] {
        &["flyway_schema_history", "schema_version"]
    }

    fn columns(&self) -> &'static [(&'static str, Family)] {
        &[
            ("installed_rank", Family::Integer),
            ("version", Family::Text),
            ("description", Family::Text),
            ("type", Family::Text),
            ("script", Family::Text),
            ("checksum", Family::Integer),
            ("installed_on", Family::Timestamp),
            ("success", Family::Boolean),
        ]
    }

    fn conventions(&self) -> &'static [&'static str] {
        &["flyway"]
    }

    fn rows(&self, table: &str, _project: &Project) -> Result<String, String> {
        Ok(format!(
            "SELECT {}, {}, checksum::text, {},
                    CASE WHEN type = 'SCHEMA' THEN 'mark' WHEN NOT success THEN 'failed'
                         WHEN type LIKE '%BASELINE%' THEN 'baseline'
                         WHEN type LIKE 'UNDO%' OR type = 'DELETE' THEN 'undone' ELSE 'applied' END
               FROM {table} ORDER BY installed_rank",
            text("coalesce(version, 'R:' || description)"),
            text("script"),
            micros("installed_on"),
        ))
    }

    fn row_key(&self, key: &str) -> Option<String> {
        if key.starts_with("R:") {
            return Some(key.to_owned());
        }
        let is_number = key.starts_with(|c: char| c.is_ascii_digit());
        conventions::Flyway.version(key).filter(|_| is_number).map(|version| version.key())
    }

    fn file_key(&self, migration: &Migration) -> Option<String> {
        match migration.kind {
            MigrationKind::Versioned => Some(migration.id.version.key()),
            // Flyway writes descriptions with spaces.
            MigrationKind::Repeatable => Some(format!("R:{}", migration.name.replace('_', " "))),
            MigrationKind::Baseline => None,
        }
    }

    fn compare(&self, file: &File<'_>, kept: &str) -> Sum {
        let Some(content) = file.text() else { return Sum::Unknown("the file is not UTF-8") };
        let sum = Sum::by_value(checksum(content).to_string(), kept);
        let replaced = file.migration.kind == MigrationKind::Repeatable && content.contains("${");
        match sum {
            Sum::Changed(_) if replaced => {
                Sum::Unknown("its checksum was taken with Flyway's values of its placeholders")
            }
            sum => sum,
        }
    }

    fn make(&self, schema: &str, table: &str) -> Vec<String> {
        vec![format!(
            "CREATE TABLE {} (installed_rank integer PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL, \
             type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum integer, installed_by varchar(100) NOT NULL, \
             installed_on timestamp NOT NULL DEFAULT now(), execution_time integer NOT NULL, success boolean NOT NULL)",
            qualified(schema, table)
        )]
    }

    fn settle(&self) -> &'static str {
        "take back by hand what it left behind, then `flyway repair` removes the row"
    }
}

/// What Flyway keeps of a text.
fn checksum(content: &str) -> i32 {
    let content = content.strip_prefix('\u{feff}').unwrap_or(content);
    let mut hasher = crc32fast::Hasher::new();
    // A line ends with \n, \r, or both, and the end itself is not part of it.
    for line in content.split(['\n', '\r']) {
        hasher.update(line.as_bytes());
    }
    i32::from_ne_bytes(hasher.finalize().to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_lines() {
        // CRC-32 of "123456789" is 0xCBF43926.
        assert_eq!(checksum("123456789"), 0xCBF4_3926_u32.cast_signed());
        for same in ["1234\n56789", "1234\r\n5678\n9\n", "\u{feff}123456789\n\n", "1234\r56789"] {
            assert_eq!(checksum(same), checksum("123456789"), "{same:?}");
        }
        assert_ne!(checksum("12345678 9"), checksum("123456789"));
        assert_eq!(checksum(""), 0);
    }

    #[test]
    fn versions_are_numbers_and_all_else_is_unknown() {
        assert_eq!(Flyway.row_key("1.0").as_deref(), Some("1"));
        assert_eq!(Flyway.row_key("2_10").as_deref(), Some("2.10"));
        assert_eq!(Flyway.row_key("R:my view").as_deref(), Some("R:my view"));
        for none in ["", "B5", "1.x", "x", "R__a", "1\n2"] {
            assert_eq!(Flyway.row_key(none), None, "{none}");
        }
    }
}
