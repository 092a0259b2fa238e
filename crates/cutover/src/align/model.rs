//! What an alignment says.

use std::time::Duration;

use serde::Serialize;

/// The version of the form of its document.
pub const FORMAT_VERSION: u32 = 1;

/// Models against a schema.
#[derive(Debug, Clone, Serialize)]
pub struct Alignment {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// What the models are held against.
    pub against: String,
    /// The tables that the models have.
    pub tables: Vec<AlignedTable>,
    /// What is otherwise, in the order of the models.
    pub differences: Vec<Difference>,
    /// What the models say and is not compared, and why.
    pub not_compared: Vec<NotCompared>,
    /// What is there and models like these cannot say: `2 triggers of tasks`. It is not held against them.
    pub beyond: Vec<String>,
    /// Remarks.
    pub remarks: Vec<String>,
    /// How long it took, in seconds.
    #[serde(serialize_with = "seconds")]
    pub took: Duration,
}

/// A table of the models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlignedTable {
    /// Its name, with its schema where the models say one.
    pub name: String,
    /// What it is in the models.
    pub label: String,
    /// The file.
    pub path: String,
    /// The line.
    pub line: u32,
    /// How much of it is otherwise.
    pub differences: usize,
    /// What the models say of it could be built.
    pub is_compared: bool,
}

/// How bad a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Who works with the models fails, or stores what the database does not keep.
    Error,
    /// It works, and is not what the models say.
    Warning,
}

/// Something that the models say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is, for `--allow`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The table.
    pub table: String,
    /// The column, where it is about one.
    pub column: Option<String>,
    /// What the models say; nothing where they say nothing of it.
    pub model: Option<String>,
    /// What is there.
    pub there: Option<String>,
    /// The file of the models.
    pub path: String,
    /// The line there.
    pub line: u32,
    /// In words.
    pub message: String,
}

/// Something that is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotCompared {
    /// The file of the models.
    pub path: String,
    /// The line there.
    pub line: u32,
    /// What, and why.
    pub what: String,
}

impl Alignment {
    /// Whether nothing is otherwise but what is allowed.
    pub fn is_aligned(&self, allow: &[String]) -> bool {
        !self.differences.iter().any(|difference| !allow.iter().any(|code| code == difference.code))
    }
}

/// Codes of differences, with what each is.
pub const CODES: &[(&str, Severity, &str)] = &[
    ("table-missing", Severity::Error, "a table of the models is not there"),
    ("table-without-model", Severity::Warning, "a table is there and in no model"),
    ("column-missing", Severity::Error, "a column of a model is not there"),
    ("column-without-model", Severity::Warning, "a column is there and in no model"),
    ("column-type", Severity::Error, "a column has another type"),
    ("column-null", Severity::Error, "a column takes NULL here and not there"),
    ("column-default", Severity::Warning, "a column has another default, or one on one side alone"),
    ("column-identity", Severity::Warning, "a column numbers its rows in another way"),
    ("column-generated", Severity::Error, "a column is computed in another way"),
    ("column-collation", Severity::Warning, "a column sorts in another way"),
    ("comment", Severity::Warning, "a comment is another one"),
    ("primary-key", Severity::Error, "the primary key is another one"),
    ("unique", Severity::Error, "columns are unique on one side alone"),
    ("foreign-key", Severity::Error, "a foreign key is on one side alone, or points elsewhere"),
    (
        "foreign-key-action",
        Severity::Error,
        "a foreign key does something else when its parent goes, or is looked at at another time",
    ),
    ("check", Severity::Warning, "a check is on one side alone"),
    ("index", Severity::Warning, "an index is on one side alone, or another one"),
    ("name", Severity::Warning, "a constraint or index is the same under another name"),
    ("enum-values", Severity::Error, "a type has other values"),
    ("enum-order", Severity::Warning, "a type has the same values in another order"),
    ("extension-missing", Severity::Error, "an extension that the models need is not there"),
];

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
