//! What is known about a statement's effects, as values.

use smol_str::SmolStr;

use super::lock_mode::LockMode;

/// The kinds of objects a statement can create, change or need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A table, also a partitioned one or a partition.
    Table,
    /// A table, view, materialized view, foreign table or sequence: the statement does not say which.
    Relation,
    /// A column; [`ObjectRef::table`] is its table.
    Column,
    /// A column's default; it is called by the column's name.
    Default,
    /// That a table is a partition of another one; it is called by the table's name.
    Partition,
    /// A constraint; [`ObjectRef::table`] is its table, none for a domain's.
    Constraint,
    /// An index. An empty name means that PostgreSQL chooses one.
    Index,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A sequence.
    Sequence,
    /// A foreign table.
    ForeignTable,
    /// A type: enum, composite, range or base type.
    Type,
    /// A domain.
    Domain,
    /// A function.
    Function,
    /// A procedure.
    Procedure,
    /// An aggregate.
    Aggregate,
    /// A function, procedure or aggregate: the statement does not say which.
    Routine,
    /// A trigger; [`ObjectRef::table`] is its table.
    Trigger,
    /// A row-level security policy; [`ObjectRef::table`] is its table.
    Policy,
    /// A rewrite rule; [`ObjectRef::table`] is its table or view.
    Rule,
    /// A schema.
    Schema,
    /// An extension.
    Extension,
    /// A role; also a user or group.
    Role,
    /// A database.
    Database,
    /// A tablespace.
    Tablespace,
    /// A publication.
    Publication,
    /// A subscription.
    Subscription,
    /// Extended statistics.
    Statistics,
    /// An event trigger.
    EventTrigger,
    /// A foreign data wrapper.
    ForeignDataWrapper,
    /// A foreign server.
    ForeignServer,
    /// A user mapping; the name is the role's, the table the server's.
    UserMapping,
    /// A collation.
    Collation,
    /// An encoding conversion.
    Conversion,
    /// An operator.
    Operator,
    /// An operator class.
    OperatorClass,
    /// An operator family.
    OperatorFamily,
    /// A cast; the name is `source AS target`.
    Cast,
    /// A transform; the name is `type LANGUAGE language`.
    Transform,
    /// A procedural language.
    Language,
    /// An index or table access method.
    AccessMethod,
    /// A text search configuration.
    TextSearchConfiguration,
    /// A text search dictionary.
    TextSearchDictionary,
    /// A text search parser.
    TextSearchParser,
    /// A text search template.
    TextSearchTemplate,
    /// What will be granted on what a role makes later; it is called by the role's name.
    DefaultPrivileges,
    /// A large object; the name is its number.
    LargeObject,
    /// Anything else.
    Other,
}

impl ObjectKind {
    /// The most general kind whose names share one space with this one's: within a family, two objects of one
    /// schema cannot have the same name.
    #[must_use]
    pub fn family(self) -> Self {
        match self {
            Self::Table
            | Self::View
            | Self::MaterializedView
            | Self::Sequence
            | Self::ForeignTable
            | Self::Index => Self::Relation,
            Self::Function | Self::Procedure | Self::Aggregate => Self::Routine,
            Self::Domain => Self::Type,
            other => other,
        }
    }
}

/// The name of an object as PostgreSQL stores it: case folded, cut at 63 bytes, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind, as far as the statement says.
    pub kind: ObjectKind,
    /// Its schema if the statement names one; [`TEMPORARY_SCHEMA`] for what is temporary.
    pub schema: Option<SmolStr>,
    /// Its own name.
    pub name: SmolStr,
    /// The table (or view) it belongs to, in the same schema: for columns, constraints, triggers, policies and rules,
    /// and where known for indexes and sequences.
    pub table: Option<SmolStr>,
}

/// The schema of temporary objects. They vanish with the session: nobody looks for them in the catalogue.
pub const TEMPORARY_SCHEMA: &str = "pg_temp";

impl ObjectRef {
    /// An object that belongs to no table.
    pub fn new(kind: ObjectKind, schema: Option<SmolStr>, name: impl Into<SmolStr>) -> Self {
        Self { kind, schema, name: name.into(), table: None }
    }

    /// Whether the object goes away with the session.
    pub fn is_temporary(&self) -> bool {
        self.schema.as_deref() == Some(TEMPORARY_SCHEMA)
    }
}

/// An object that must be there before the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The object.
    pub object: ObjectRef,
    /// What it is needed for, as in "foreign key to it".
    pub why: SmolStr,
    /// The part of the statement that needs it, where there are several of a kind: `messages.conversation_id`.
    pub by: Option<SmolStr>,
}

impl Reference {
    /// The reason as an edge of a graph says it: `foreign key messages.conversation_id → conversations`,
    /// `table users (indexed)`.
    pub fn words(&self) -> String {
        match &self.by {
            Some(by) => {
                let Self { object: ObjectRef { schema, name, .. }, .. } = self;
                let schema = schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
                format!("foreign key {by} → {schema}{name}")
            }
            None => format!("{} ({})", self.object, self.why),
        }
    }
}

/// Statements that control transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// `BEGIN`, `START TRANSACTION`
    Begin,
    /// `COMMIT`, `END`
    Commit,
    /// `ROLLBACK`, `ABORT`
    Rollback,
    /// Savepoints and prepared transactions.
    Other,
}

/// Whether a statement may run inside a transaction block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransactionRule {
    /// It may.
    #[default]
    Allowed,
    /// PostgreSQL refuses it there.
    Forbidden {
        /// The command, as in "CREATE INDEX CONCURRENTLY".
        what: &'static str,
    },
    /// It begins, ends or divides transactions itself.
    Control(Control),
}

/// How it can be found out whether a statement that was cut off has taken effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// `CREATE INDEX CONCURRENTLY`: done if the index is there and valid.
    IndexValid {
        /// The index; an empty name means that PostgreSQL chose it.
        index: ObjectRef,
        /// Its table, if the statement names it.
        table: Option<ObjectRef>,
        /// Whether it allows no two equal rows.
        unique: bool,
    },
    /// `DROP INDEX CONCURRENTLY`: done if the index is gone.
    IndexAbsent {
        /// The index.
        index: ObjectRef,
    },
    /// `DETACH PARTITION CONCURRENTLY`: done if detached, to be finished with `FINALIZE` if pending.
    PartitionDetached {
        /// The partitioned table.
        parent: ObjectRef,
        /// The partition.
        partition: ObjectRef,
    },
    /// `CREATE DATABASE`, `CREATE TABLESPACE` …: done if it is there.
    Exists(ObjectRef),
    /// `DROP DATABASE` …: done if it is gone.
    Absent(ObjectRef),
}

/// What a `REINDEX … CONCURRENTLY` builds anew, and so where it may leave invalid indexes when it is cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reindexed {
    /// One index, or those of its partitions.
    Index(ObjectRef),
    /// All indexes of a table, of its partitions and of what it stores out of line.
    Table(ObjectRef),
    /// Those of all tables of a schema.
    Schema(String),
    /// Those of all tables of the database that are no system catalogues.
    Database,
}

/// What may be done about a statement outside a transaction that was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Retry {
    /// It can simply run again.
    Idempotent,
    /// A `REINDEX … CONCURRENTLY`: it can run again once the invalid indexes it left (`…_ccnew`, `…_ccold`) are removed.
    /// Whether it is done cannot be seen: the indexes were valid before.
    Reindex(Reindexed),
    /// The catalogue tells whether it is done.
    Checkable(Check),
    /// Nobody can tell: a person decides.
    #[default]
    Unknown,
}

/// A lock that a statement takes on a table, view or other relation and keeps to the end of its transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The relation.
    pub relation: ObjectRef,
    /// The strongest mode it takes there.
    pub mode: LockMode,
}

/// What takes time in proportion to the size of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkKind {
    /// All rows are read.
    Scan,
    /// Its indexes, or one of them, are built anew.
    Reindex,
    /// All rows are written into a new file, and all indexes built anew.
    Rewrite,
    /// All rows are thrown away: new, empty files, whatever the size was.
    Empty,
}

/// Work on a table that is done while its lock is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The table.
    pub relation: ObjectRef,
    /// What is done.
    pub kind: WorkKind,
    /// It is certain; otherwise it depends on something that is not known here, see `why`.
    pub sure: bool,
    /// What it is for, or what it depends on: `if the new type is not binary compatible with the old one`.
    pub why: String,
}

/// Why a statement cannot succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub hint: String,
}

/// What is done to something that others may be built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// It is dropped.
    Drop,
    /// It gets another type.
    Type,
}

/// What one statement does, as far as its text says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct Effects {
    /// Objects that are there afterwards and were not before.
    pub creates: Vec<ObjectRef>,
    /// PostgreSQL refuses it where the first of `creates` is there already. Said of relations, types, schemas and extensions
    /// alone, and not of what runs outside a transaction.
    pub must_be_new: bool,
    /// The first of `creates` is there behind it in any case, also where it was there before. Said of the same kinds.
    pub leaves_it_there: bool,
    /// Indexes, sequences and statistics whose names PostgreSQL chooses: the name it takes where that is free (else it
    /// appends a number), and an empty one where the text does not say how many there will be.
    pub chosen: Vec<ObjectRef>,
    /// Objects that are changed; also what a new index or trigger is put on.
    pub alters: Vec<ObjectRef>,
    /// Tables (or views) whose rows it writes or empties: other rows, the same table. Their triggers run.
    pub writes: Vec<ObjectRef>,
    /// Tables that a new foreign key points to: locked against writes while it is made, and given the triggers that keep
    /// it. They are not among `alters`: what they are stays as it was.
    pub refers: Vec<ObjectRef>,
    /// Objects that are gone afterwards, also by renaming.
    pub drops: Vec<ObjectRef>,
    /// Objects that have another name afterwards, or are in another schema: the old one and the new one. They are among `drops` and
    /// `creates`, but for an index that becomes a constraint's and takes its name.
    pub renames: Vec<(ObjectRef, ObjectRef)>,
    /// Tables, views and columns that it drops without CASCADE, and columns that get another type: PostgreSQL refuses that while
    /// something else is built on them.
    pub takes: Vec<(ObjectRef, Taking)>,
    /// Objects that must be there when the statement runs. Not those it creates itself, nor with `IF EXISTS`.
    pub references: Vec<Reference>,
    /// Tables and views whose rows it reads.
    pub reads: Vec<ObjectRef>,
    /// What else it names with its schema, and schemas it names, other than to read: what is locked, granted on, built on, moved
    /// to. With what the bodies of new functions and blocks name so. See [`Effects::touches`].
    pub handles: Vec<ObjectRef>,
    /// Schemas that it puts into a search path: of the session, a function, a role, a database or the server.
    pub searched_schemas: Vec<String>,
    /// Roles whose objects, whichever these are, it drops or gives away; the name is empty for the role that runs it.
    pub disowns: Vec<ObjectRef>,
    /// Locks on relations that were there before, one a relation. Not those of system catalogues, nor the `ROW SHARE` by
    /// which foreign keys of rows that are written are checked.
    pub locks: Vec<Lock>,
    /// What else is locked that cannot be named, in words: `the tables its foreign keys point to`.
    pub more_locks: Vec<String>,
    /// Work in proportion to the size of tables that were there before.
    pub work: Vec<Work>,
    /// Objects that the bodies of new functions mention: needed when they run, not when they are made.
    pub late: Vec<Reference>,
    /// Types of variables in the bodies of new functions: PostgreSQL looks for them when it checks the body, unless
    /// `check_function_bodies` is off.
    pub checked: Vec<Reference>,
    /// What the bodies of new functions make when they run, as far as they are no temporary objects.
    pub late_creates: Vec<ObjectRef>,
    /// Names that a new trigger gives the rows of a statement: its function reads them as if they were tables.
    pub transitions: Vec<SmolStr>,
    /// Why `late` may not be all, e.g. that a body builds statements from text.
    pub late_opaque: Option<String>,
    /// Why the lists above may not be all; none if they are.
    pub opaque: Option<String>,
    /// Whether it may run inside a transaction.
    pub transaction: TransactionRule,
    /// What may be done if it is cut off; only of interest outside a transaction.
    pub retry: Retry,
    /// PostgreSQL refuses it, given what is known of the database.
    pub refused: Option<Box<Refusal>>,
    /// The statement reads COPY data from the client.
    pub copy_from_stdin: bool,
    /// The statement sets `search_path`: unqualified names after it mean something else.
    pub sets_search_path: bool,
    /// The statement may leave something behind in the session.
    pub session_state: bool,
    /// Settings that it gives a value, as far as the text says which.
    pub settings: Vec<Setting>,
    /// How many statements the text really is, or may be where it was too long to be parsed: more than one where it was cut
    /// wrongly.
    pub statements: usize,
}

impl Effects {
    /// Every object with a schema, and every schema, that the statement names other than to read it: what it makes, changes,
    /// writes, locks, refers to or builds on. What it only reads is not among them, nor is what names alone do not say
    /// (`EXECUTE` of a text, CASCADE, views).
    pub fn touches(&self) -> impl Iterator<Item = &ObjectRef> {
        let Self { creates, alters, refers, drops, writes, handles, .. } = self;
        [creates, alters, refers, drops, writes, handles].into_iter().flatten()
    }
}

/// A setting that a statement gives a value, by `SET` or `set_config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in lower case.
    pub name: String,
    /// The value, a list in its parts; none where the text does not say it.
    pub values: Option<Vec<String>>,
}
