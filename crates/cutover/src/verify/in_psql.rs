//! What a script for psql can measure of a check without cutover: values that say what is asked and what is expected. How a
//! script asks it is the script's business.

/// A check as a script can measure it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InPsql {
    /// A query returns no rows.
    NoRows(String),
    /// A query returns one value; `equals` without one is NULL.
    Scalar { setup: Vec<String>, sql: String, equals: Option<String> },
    /// A statement is refused with one of these.
    Refused { setup: Vec<String>, sql: String, sqlstates: Vec<String> },
    /// A query is answered from an index.
    Explained { sql: String, index: String, no_sort: bool },
    /// A table has so many columns, or these.
    Columns { table: String, count: Option<usize>, names: Vec<String> },
    /// Tables, indexes, views and the like are there, each as SQL names it.
    Relations(Vec<String>),
    /// Foreign keys for which this condition on the constraint `k` holds are validated and have no orphans.
    ForeignKeys { condition: String },
}

impl InPsql {
    /// The texts that somebody wrote.
    pub(crate) fn texts(&self) -> Vec<&String> {
        match self {
            Self::NoRows(sql) => vec![sql],
            Self::Scalar { setup, sql, equals } => setup.iter().chain([sql]).chain(equals).collect(),
            Self::Refused { setup, sql, .. } => setup.iter().chain([sql]).collect(),
            Self::Explained { sql, index, .. } => vec![sql, index],
            Self::Columns { table, names, .. } => names.iter().chain([table]).collect(),
            Self::Relations(names) => names.iter().collect(),
            Self::ForeignKeys { condition } => vec![condition],
        }
    }
}
