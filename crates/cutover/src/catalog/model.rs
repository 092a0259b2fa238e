//! Tables as values. All texts are PostgreSQL's own spelling with every name outside `pg_catalog` qualified, so that
//! two tables are alike exactly when their values are.

use std::fmt;

use cutover_analysis::sql::quote_qualified;

/// A schema and a name in it, as stored (not quoted).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QualifiedName {
    /// Schema.
    pub schema: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for QualifiedName {
    /// As SQL spells it, quoted where needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote_qualified(&self.schema, &self.name))
    }
}

/// What kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// An ordinary table.
    Ordinary,
    /// A partitioned table.
    Partitioned,
    /// A foreign table.
    Foreign,
}

/// A table with everything that belongs to it. Owner and grants are not part of its structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: QualifiedName,
    /// Its kind.
    pub kind: TableKind,
    /// `UNLOGGED`.
    pub unlogged: bool,
    /// `PARTITION BY` clause without the keywords, e.g. `RANGE (at)`.
    pub partition_key: Option<String>,
    /// `FOR VALUES …` or `DEFAULT`, where it is a partition.
    pub partition_bound: Option<String>,
    /// Tables it inherits from, also the one it is a partition of.
    pub parents: Vec<String>,
    /// Storage parameters, e.g. `fillfactor=70`, sorted.
    pub options: Vec<String>,
    /// Row-level security is on.
    pub row_security: bool,
    /// Row-level security is on for the owner too.
    pub force_row_security: bool,
    /// `REPLICA IDENTITY`: `d`, `n`, `f` or `i`, as the catalogue has it.
    pub replica_identity: String,
    /// Comment.
    pub comment: Option<String>,
    /// Columns in their order.
    pub columns: Vec<Column>,
    /// Constraints by name, those that columns' NOT NULL makes (18+) left out.
    pub constraints: Vec<Constraint>,
    /// Indexes by name, those behind constraints left out.
    pub indexes: Vec<Index>,
    /// Triggers by name, internal ones left out.
    pub triggers: Vec<Trigger>,
    /// Policies by name.
    pub policies: Vec<Policy>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type with its modifier, e.g. `numeric(18,6)`.
    pub type_name: String,
    /// NOT NULL.
    pub not_null: bool,
    /// Default.
    pub default: Option<String>,
    /// `GENERATED … AS IDENTITY`.
    pub identity: Option<Identity>,
    /// Expression of a generated column, with how it is kept: `STORED` or `VIRTUAL`.
    pub generated: Option<String>,
    /// Collation where it is not the type's own.
    pub collation: Option<String>,
    /// Comment.
    pub comment: Option<String>,
}

/// How an identity column gets its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `ALWAYS`, otherwise `BY DEFAULT`.
    pub always: bool,
    /// The sequence: type, start, increment, bounds, cache, cycle.
    pub sequence: String,
}

/// A constraint of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// Name.
    pub name: String,
    /// As `pg_get_constraintdef` prints it: `NOT VALID` and `DEFERRABLE` are part of it.
    pub definition: String,
    /// All rows are known to keep it.
    pub validated: bool,
    /// May be deferred to the end of the transaction.
    pub deferrable: bool,
    /// Comment.
    pub comment: Option<String>,
}

/// An index that stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Name, in the schema of its table.
    pub name: String,
    /// As `pg_get_indexdef` prints it.
    pub definition: String,
    /// Finished and usable: false is what an interrupted CREATE INDEX CONCURRENTLY leaves behind.
    pub valid: bool,
    /// Comment.
    pub comment: Option<String>,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Name.
    pub name: String,
    /// As `pg_get_triggerdef` prints it.
    pub definition: String,
    /// When it fires, as the catalogue has it: `O` origin, `D` disabled, `R` replica, `A` always.
    pub enabled: String,
}

/// A row-level security policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Name.
    pub name: String,
    /// The rest of its CREATE POLICY.
    pub definition: String,
}
