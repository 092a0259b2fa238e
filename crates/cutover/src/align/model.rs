//! What an alignment says.

use std::time::Duration;

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Schema};
use serde::Serialize;

use crate::project::Problem;

/// The version of the form of its document.
pub const FORMAT_VERSION: u32 = 1;

/// The application's models, as `[models]` of `cutover.toml` says.
#[derive(Debug, Clone, Default)]
pub struct ModelsSettings {
    /// Files or folders, relative to the project, with the place of each: a problem that says nothing yet.
    pub paths: Vec<(String, Problem)>,
    /// What they are written in, and where that is said; none: each file says it itself.
    pub kind: Option<(String, Problem)>,
    /// The version of SQLModel; empty where it is not said.
    pub sqlmodel: String,
    /// Django's `DEFAULT_AUTO_FIELD`; empty where it is not said.
    pub default_auto_field: String,
    /// Codes of differences that are accepted.
    pub allow: Vec<String>,
    /// What is meant to be there without a model.
    pub keep: Vec<String>,
}

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
    /// What is in no model and is said to be meant: it counts as no difference.
    pub kept: Vec<String>,
    /// Remarks.
    pub remarks: Vec<String>,
    /// How long it took, in seconds; `cutover align` adds what reading the models took.
    #[serde(serialize_with = "crate::run::seconds::serialize")]
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
    /// What of the two schemas it is about.
    #[serde(skip)]
    pub subject: Subject,
}

/// What of the two schemas a difference is about: for whoever makes the one into the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// What the models say; nothing where they say nothing of it.
    pub model: Option<Id>,
    /// What is there.
    pub there: Option<Id>,
    /// What of it: these attributes, or all of it.
    pub attributes: Vec<String>,
    /// It has another name, and is the same.
    pub is_renamed: bool,
    /// What the models have and nobody can make, as it is not understood, and which columns that are.
    pub unknown: Option<(Id, String)>,
}

impl Subject {
    /// Something that only the models have.
    pub(super) fn of_model(id: Id) -> Self {
        Self { model: Some(id), ..Self::default() }
    }

    /// Something that only the models have and that is not understood.
    pub(super) fn unknown(id: Id, columns: String) -> Self {
        Self { unknown: Some((id, columns)), ..Self::default() }
    }

    /// Something that only what is there has.
    pub(super) fn of_there(id: Id) -> Self {
        Self { there: Some(id), ..Self::default() }
    }

    /// Two that stand for each other and are not the same.
    pub(super) fn both(model: Id, there: Id) -> Self {
        Self { model: Some(model), there: Some(there), ..Self::default() }
    }

    /// Two that are the same but for their names.
    pub(super) fn renamed(model: Id, there: Id) -> Self {
        Self { is_renamed: true, ..Self::both(model, there) }
    }

    /// Attributes of what both have.
    pub(super) fn attributes(id: Id, attributes: &[&str]) -> Self {
        let attributes = attributes.iter().map(|name| (*name).to_owned()).collect();
        Self { attributes, ..Self::both(id.clone(), id) }
    }

    /// What a difference with this code in a column that both have is about.
    pub(super) fn of_column(
        code: &str,
        (expected, there): (&Schema, &Schema),
        id: &dyn Fn(ObjectKind) -> Id,
    ) -> Self {
        let attributes: &[&str] = match code {
            "column-default" => {
                let default = id(ObjectKind::Default);
                let of = |schema: &Schema| schema.get(&default).is_some().then(|| default.clone());
                return Self { model: of(expected), there: of(there), ..Self::default() };
            }
            "column-type" => &["type"],
            "column-collation" => &["collation"],
            "column-null" => &["not null"],
            "column-generated" => &["generated"],
            "comment" => &["comment"],
            // The numbers that are given must go on: that is no matter of a schema alone.
            _ => return Self::default(),
        };
        Self::attributes(id(ObjectKind::Column), attributes)
    }
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
    /// Whether anything was held against what is there.
    pub fn has_compared(&self) -> bool {
        self.not_compared.is_empty() || self.tables.iter().any(|table| table.is_compared)
    }

    /// Whether nothing is otherwise but what is allowed. Where nothing could be compared, nothing is known of that.
    pub fn is_aligned(&self, allow: &[String]) -> bool {
        self.has_compared()
            && self.differences.iter().all(|difference| allow.iter().any(|code| code == difference.code))
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
    ("exclusion", Severity::Error, "an exclusion constraint is on one side alone"),
    (
        "table-options",
        Severity::Error,
        "a table is otherwise as a whole: partitioned, inheriting, unlogged, with row security or other options",
    ),
    ("column-options", Severity::Warning, "a column is stored, or numbers its rows, with other options"),
    ("enum-values", Severity::Error, "a type has other values"),
    ("enum-order", Severity::Warning, "a type has the same values in another order"),
    ("extension-missing", Severity::Error, "an extension that the models need is not there"),
];
