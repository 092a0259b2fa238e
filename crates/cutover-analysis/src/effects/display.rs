//! Objects in words, as plans and claims write them: `table users`, `constraint orders.orders_customer_fk`.

use std::fmt;

use super::model::{ObjectKind, ObjectRef};

impl ObjectKind {
    /// The SQL word for the kind, in lower case.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Relation => "relation",
            Self::Column => "column",
            Self::Default => "default",
            Self::Partition => "partition",
            Self::Constraint => "constraint",
            Self::Index => "index",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Sequence => "sequence",
            Self::ForeignTable => "foreign table",
            Self::Type => "type",
            Self::Domain => "domain",
            Self::Function => "function",
            Self::Procedure => "procedure",
            Self::Aggregate => "aggregate",
            Self::Routine => "routine",
            Self::Trigger => "trigger",
            Self::Policy => "policy",
            Self::Rule => "rule",
            Self::Schema => "schema",
            Self::Extension => "extension",
            Self::Role => "role",
            Self::Database => "database",
            Self::Tablespace => "tablespace",
            Self::Publication => "publication",
            Self::Subscription => "subscription",
            Self::Statistics => "statistics",
            Self::EventTrigger => "event trigger",
            Self::ForeignDataWrapper => "foreign data wrapper",
            Self::ForeignServer => "server",
            Self::UserMapping => "user mapping",
            Self::Collation => "collation",
            Self::Conversion => "conversion",
            Self::Operator => "operator",
            Self::OperatorClass => "operator class",
            Self::OperatorFamily => "operator family",
            Self::Cast => "cast",
            Self::Transform => "transform",
            Self::Language => "language",
            Self::AccessMethod => "access method",
            Self::TextSearchConfiguration => "text search configuration",
            Self::TextSearchDictionary => "text search dictionary",
            Self::TextSearchParser => "text search parser",
            Self::TextSearchTemplate => "text search template",
            Self::DefaultPrivileges => "default privileges",
            Self::LargeObject => "large object",
            Self::Other => "object",
        }
    }

    /// Whether the object lives in a table's namespace: its name is written `table.name`.
    pub fn is_part_of_a_table(self) -> bool {
        matches!(
            self,
            Self::Column | Self::Default | Self::Constraint | Self::Trigger | Self::Policy | Self::Rule
        )
    }
}

impl ObjectRef {
    /// Its name as people write it, without its kind: `app.users`, `users.mail`.
    pub fn named(&self) -> String {
        let parts =
            [self.schema.as_deref(), self.table.as_deref().filter(|_| self.kind.is_part_of_a_table())];
        let before: String = parts.into_iter().flatten().fold(String::new(), |text, part| text + part + ".");
        if self.name.is_empty() { format!("{before}(named by PostgreSQL)") } else { before + &self.name }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        f.write_str(" ")?;
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        if let Some(table) = self.table.as_ref().filter(|_| self.kind.is_part_of_a_table()) {
            write!(f, "{table}.")?;
        }
        if self.name.is_empty() { f.write_str("(named by PostgreSQL)") } else { f.write_str(&self.name) }
    }
}
