//! Which object: kind, schema, table, name and argument types, as the catalogue has them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::effects::{ObjectKind, SmolStr};
use crate::sql::quote_ident;

/// Which object. Names are as stored, not quoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id {
    /// Its kind; partitioned tables are tables, sequences behind identity columns are sequences.
    #[serde(with = "word")]
    pub kind: ObjectKind,
    /// Its schema; none for what has none, e.g. extensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SmolStr>,
    /// The table (or view) it belongs to, in the same schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<SmolStr>,
    /// Its own name.
    pub name: SmolStr,
    /// Argument types of a routine, an operator, an operator class (its access method).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<SmolStr>,
}

impl Id {
    /// An object of a schema that belongs to no table.
    pub fn new(kind: ObjectKind, schema: impl Into<SmolStr>, name: impl Into<SmolStr>) -> Self {
        Self { kind, schema: Some(schema.into()), table: None, name: name.into(), arguments: None }
    }

    /// An object that belongs to a table.
    pub fn part(
        kind: ObjectKind,
        schema: impl Into<SmolStr>,
        table: impl Into<SmolStr>,
        name: impl Into<SmolStr>,
    ) -> Self {
        Self { table: Some(table.into()), ..Self::new(kind, schema, name) }
    }

    /// An object that is in no schema.
    pub fn global(kind: ObjectKind, name: impl Into<SmolStr>) -> Self {
        Self { kind, schema: None, table: None, name: name.into(), arguments: None }
    }

    /// What it belongs to, as SQL spells it: `app.users`.
    pub fn table_sql(&self) -> String {
        self.qualified(self.table.as_deref().unwrap_or(&self.name))
    }

    /// Its own name, as SQL spells it, with its schema where it has one.
    pub fn name_sql(&self) -> String {
        self.qualified(&self.name)
    }

    fn qualified(&self, name: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote_ident(schema), quote_ident(name)),
            None => quote_ident(name),
        }
    }

    /// Whether its name is within that of its table.
    pub fn is_part_of_a_table(&self) -> bool {
        self.kind.is_part_of_a_table()
    }
}

impl fmt::Display for Id {
    /// As claims spell it: `table users`, `constraint users.users_pkey`, `table app.orders` outside `public`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.word())?;
        if let Some(schema) = self.schema.as_ref().filter(|schema| *schema != "public") {
            write!(f, "{}.", quote_ident(schema))?;
        }
        if let Some(table) = self.table.as_ref().filter(|_| self.is_part_of_a_table()) {
            write!(f, "{}.", quote_ident(table))?;
        }
        f.write_str(&quote_ident(&self.name))?;
        if let Some(arguments) = &self.arguments {
            write!(f, "({arguments})")?;
        }
        Ok(())
    }
}

/// Kinds in snapshots are their words, so that a snapshot can be read by people and by later versions.
mod word {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::effects::ObjectKind;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
    pub(super) fn serialize<S: Serializer>(kind: &ObjectKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.word())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectKind, D::Error> {
        let word = String::deserialize(deserializer)?;
        super::super::kinds::by_word(&word)
            .ok_or_else(|| D::Error::custom(format!("there is no kind of object called {word:?}")))
    }
}
