//! Other migration tools, as their tables in a database show them: how each table is recognised and read, how its rows name
//! files, and how the tool itself computes the checksums that it keeps. A tool is one file here and one line in [`all`].
//!
//! Everything is read, nothing is written. What a row says is somebody else's: it is cut to a length here and shown through
//! [`visible`](crate::text::visible) later.

mod dbmate;
mod diesel;
mod flyway;
mod golang_migrate;
mod goose;
mod graphile;
mod node_pg_migrate;
mod prisma;
mod rails;
mod refinery;
mod sqitch;
mod sqlx;
mod supabase;

use std::fmt;

use crate::migration::{Migration, VersionSort};
use crate::project::Project;

/// One other tool.
pub trait Tool: fmt::Debug + Send + Sync {
    /// Its name on the command line and in the history, e.g. `flyway`.
    fn name(&self) -> &'static str;

    /// What people are told of it.
    fn about(&self) -> About;

    /// Names of its table, where nobody has given it another one.
    fn tables(&self) -> &'static [&'static str];

    /// The columns without which a table is not its own, each with the family of its type.
    fn columns(&self) -> &'static [(&'static str, Family)];

    /// Whether a table with these columns in this schema is its own, where others have tables of the same form.
    fn is_own(&self, _schema: &str, _beside: &[String]) -> bool {
        true
    }

    /// Names of other tables that it keeps beside that one.
    fn others(&self) -> &'static [&'static str] {
        &[]
    }

    /// The schema of its table is its own, with all that is in it; but for `public`, where it may have been put all the same.
    fn owns_schema(&self) -> bool {
        false
    }

    /// Conventions of the files that it runs, the first its own.
    fn conventions(&self) -> &'static [&'static str];

    /// The query for its rows, oldest first: key, label, checksum, time in microseconds since the Unix epoch, state as
    /// [`State::of`] reads it. `table` is qualified and quoted.
    ///
    /// # Errors
    /// In words, why the project's files do not say what to ask for.
    fn rows(&self, table: &str, project: &Project) -> Result<String, String>;

    /// How many rows its table has, where its query gives so many.
    fn rows_there(&self, given: usize) -> usize {
        given
    }

    /// What a row's key comes to; none for one that this tool does not write.
    fn row_key(&self, key: &str) -> Option<String>;

    /// The key of a file; none for one that no row can name.
    fn file_key(&self, migration: &Migration) -> Option<String>;

    /// Whether a file is still what the tool ran, by the checksum that it kept.
    fn compare(&self, file: &File<'_>, kept: &str) -> Sum;

    /// The statements that make its table as the tool makes it, for throwaway databases.
    fn make(&self, schema: &str, table: &str) -> Vec<String>;

    /// What to do about a migration that failed there.
    fn settle(&self) -> &'static str;
}

/// What people are told of a tool; the page about adoption is made of it.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// What it is called.
    pub called: &'static str,
    /// What its table keeps of a file's text.
    pub checksum: &'static str,
    /// What else its rows tell.
    pub told: &'static str,
}

/// Families of types that columns are recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `text`, `character varying`.
    Text,
    /// `smallint`, `integer`, `bigint`.
    Integer,
    /// `boolean`.
    Boolean,
    /// `bytea`.
    Bytes,
    /// With or without a time zone.
    Timestamp,
}

impl Family {
    /// Whether a type is of it, as `format_type` spells it.
    pub fn has(self, type_name: &str) -> bool {
        let names: &[&str] = match self {
            Self::Text => &["text", "character varying", "character"],
            Self::Integer => &["smallint", "integer", "bigint"],
            Self::Boolean => &["boolean"],
            Self::Bytes => &["bytea"],
            Self::Timestamp => &["timestamp"],
        };
        names.iter().any(|name| {
            type_name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['(', ' ']))
        })
    }
}

/// What a row says became of its migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was applied.
    Applied,
    /// It was applied, and all versions up to it, of which there are no rows.
    UpTo,
    /// As [`State::UpTo`], and a file of that version need not exist.
    Baseline,
    /// It failed, and what it left is not known.
    Failed,
    /// It failed, and somebody has said that nothing of it is there.
    RolledBack,
    /// It was applied and taken back.
    Undone,
    /// The row is of no migration.
    Mark,
}

impl State {
    /// As the queries of the tools spell it.
    pub fn of(word: &str) -> Option<Self> {
        Some(match word {
            "applied" => Self::Applied,
            "up to" => Self::UpTo,
            "baseline" => Self::Baseline,
            "failed" => Self::Failed,
            "rolled back" => Self::RolledBack,
            "undone" => Self::Undone,
            "mark" => Self::Mark,
            _ => return None,
        })
    }
}

/// A file that is compared with what a row kept of it.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// The migration.
    pub migration: &'a Migration,
    /// Its bytes, as they are on disk.
    pub bytes: &'a [u8],
    /// What was kept of the migration before it in the tool's order; none of the first one.
    pub before: Option<&'a str>,
}

impl File<'_> {
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes).ok()
    }
}

/// What a comparison with a checksum came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sum {
    /// The file is what was run.
    Same,
    /// It is not; with the checksum that it has now.
    Changed(String),
    /// That cannot be told, and why.
    Unknown(&'static str),
}

impl Sum {
    /// By the value that the tool would keep of the file now.
    fn by_value(now: String, kept: &str) -> Self {
        if now == kept { Self::Same } else { Self::Changed(now) }
    }
}

/// Why nothing can be said of a change where a tool keeps names alone.
const NO_CHECKSUM: &str = "the table keeps no checksum";

/// All tools. Of two whose tables may look alike the more particular one comes first.
pub fn all() -> &'static [&'static dyn Tool] {
    &[
        &flyway::Flyway,
        &sqlx::Sqlx,
        &golang_migrate::GolangMigrate,
        &supabase::Supabase,
        &rails::Rails,
        &dbmate::Dbmate,
        &diesel::Diesel,
        &refinery::Refinery,
        &goose::Goose,
        &prisma::Prisma,
        &sqitch::Sqitch,
        &graphile::Graphile,
        &node_pg_migrate::NodePgMigrate,
    ]
}

/// The tool of a name.
pub fn by_name(name: &str) -> Option<&'static dyn Tool> {
    all().iter().copied().find(|tool| tool.name() == name)
}

/// Longest text of a column that is read: what a tool writes there is far shorter.
const LONGEST: usize = 1000;

/// A column as text, cut to a length.
fn text(column: &str) -> String {
    format!("left(({column})::text, {LONGEST})")
}

/// A time in microseconds since the Unix epoch; none where it is no time at which a migration can have been applied.
/// One without a zone is of the database's own.
fn micros(column: &str) -> String {
    format!(
        "CASE WHEN {column} > '1990-01-01' AND {column} < '2200-01-01' \
         THEN (extract(epoch FROM {column}::timestamptz) * 1000000)::int8 END"
    )
}

/// A whole number without leading zeros; none for what is none.
fn whole(text: &str) -> Option<String> {
    text.parse::<u64>().ok().map(|number| number.to_string())
}

/// The key of a file whose version is one whole number.
fn whole_of(migration: &Migration) -> Option<String> {
    let version = &migration.id.version;
    match (version.sort(), version.parts()) {
        (VersionSort::Numbers, [number]) => Some(number.to_string()),
        (VersionSort::Named, _) => whole(digits(version.name())),
        _ => None,
    }
}

/// The digits that a text begins with.
fn digits(text: &str) -> &str {
    &text[..text.bytes().take_while(u8::is_ascii_digit).count()]
}

/// The file's name without folder and without this ending.
fn stem<'a>(migration: &'a Migration, ending: &str) -> &'a str {
    let name = migration.file_name();
    name.strip_suffix(ending).unwrap_or(name)
}

/// The table's name in SQL.
pub(super) fn qualified(schema: &str, table: &str) -> String {
    use cutover_analysis::sql::quote_ident;
    format!("{}.{}", quote_ident(schema), quote_ident(table))
}

/// A table and the schema that it may have to itself.
fn schema_and(schema: &str, table: String) -> Vec<String> {
    vec![format!("CREATE SCHEMA IF NOT EXISTS {}", cutover_analysis::sql::quote_ident(schema)), table]
}

#[cfg(test)]
mod tests;
