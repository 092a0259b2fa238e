//! What models of an application say, whatever they are written in, and their SQL ([`ddl`]).
//!
//! What a model leaves open is said with it ([`Aspect`]): it is not compared, and is never called equal. Nothing here reads models:
//! that is `cutover-models`' business.

mod ddl;
mod extensions;
mod over;
mod unsaid;

use std::collections::BTreeSet;

pub use ddl::{About, Part, Piece, Script, ddl, list, pieces, qualified};
pub use extensions::{Needed, mentioned, needed};
pub use over::{Over, over};
pub use unsaid::{Unsaid, unsaid};

/// A line of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its path as it was given.
    pub path: String,
    /// The line, from 1.
    pub line: u32,
}

/// All models of some files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Models {
    /// Tables, in the order of the files.
    pub tables: Vec<Table>,
    /// Types with a list of values.
    pub enums: Vec<Enum>,
    /// Statements that say themselves what is meant, in the order to run them. They say all of their tables.
    pub statements: Vec<Part>,
    /// Extensions that they name themselves; what their types and functions need is found by [`needed`].
    pub extensions: Vec<Extension>,
    /// Tables that there may be or not, by their schemas, where they are said, and names: they are held against nothing.
    pub perhaps: Vec<(Option<String>, String)>,
    /// What is said and not understood. What depends on it is not compared.
    pub unsupported: Vec<Unsupported>,
    /// Where something of a file could not be read at all: what stands there may be any table, or anything of one. It is among
    /// `unsupported` too.
    pub unread: Vec<Place>,
    /// Where it was read and nothing was made of it, and what it may say.
    pub unsaid: Vec<(Place, Unsaid)>,
}

/// Something that is said and not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Where.
    pub place: Place,
    /// What, e.g. `the type of User.photo: sqlalchemy_utils.URLType`.
    pub what: String,
}

/// What a source may leave open: then it is not compared, and is never called equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aspect {
    /// Which columns there are: there may be others. Of a column, whether there is one.
    Columns,
    /// The type of a column.
    Type,
    /// What stands in parentheses behind a type: a length, a precision.
    Modifier,
    /// How a column would be made: its length, collation or whether it takes NULL is said and not understood. Unlike what models have no
    /// words for, it is no free choice: the column is compared in what is known of it, and not made.
    Making,
    /// Whether a column takes NULL.
    Nullable,
    /// What a column has where nothing is said.
    Default,
    /// Whether a column numbers its rows itself, and how.
    Identity,
    /// Comments.
    Comment,
    /// The collation of a column.
    Collation,
    /// The primary key.
    PrimaryKey,
    /// What is unique besides the primary key.
    Unique,
    /// Foreign keys.
    ForeignKey,
    /// What happens to a row when the one that it points to is deleted.
    OnDelete,
    /// What happens to it when the key of that changes.
    OnUpdate,
    /// Whether a constraint is looked at when the transaction ends.
    Deferrable,
    /// Check constraints.
    Check,
    /// Indexes that are there for speed.
    Index,
    /// Whether a constraint or an index keeps columns unique.
    UniqueForm,
    /// Indexes over expressions, and of any index what it includes and is stored with: there are no words for them.
    IndexForm,
    /// Indexes over a part of the rows: there are no words for them.
    IndexPart,
}

/// A table, and the class or block that it is in the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Its schema, where one is said.
    pub schema: Option<String>,
    /// Its name in the database.
    pub name: String,
    /// What it is called in the model.
    pub label: String,
    /// Where.
    pub place: Place,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
    /// The columns of its primary key; none where it has none.
    pub primary_key: Vec<String>,
    /// The name of that, where one is said.
    pub primary_key_name: Option<String>,
    /// What is unique besides.
    pub uniques: Vec<Unique>,
    /// Indexes.
    pub indexes: Vec<Index>,
    /// Foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// Check constraints.
    pub checks: Vec<Check>,
    /// Its comment, where one is said.
    pub comment: Option<String>,
    /// All that it is, is said: also what models of most kinds have no words for.
    pub is_exact: bool,
    /// What is left open of all of it.
    pub unstated: BTreeSet<Aspect>,
    /// Names of constraints and indexes that it says and that are not understood: what is called so there is not in no model.
    pub unread: BTreeSet<String>,
}

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Column {
    /// Its name in the database.
    pub name: String,
    /// What it is called in the model.
    pub label: String,
    /// Where.
    pub place: Place,
    /// Its type as SQL, e.g. `varchar(255)`, `integer[]`; empty where that is not understood.
    pub data_type: String,
    /// It takes no NULL.
    pub not_null: bool,
    /// What it has where nothing is said.
    pub default: Default,
    /// It numbers its rows itself.
    pub identity: Option<Identity>,
    /// How an identity counts, as SQL: `START WITH 10 INCREMENT BY 5`; empty where nothing is said.
    pub counting: String,
    /// It is computed from the others: the expression as SQL, and whether it is stored.
    pub generated: Option<(String, bool)>,
    /// Its collation, where one is said.
    pub collation: Option<String>,
    /// Its comment, where one is said.
    pub comment: Option<String>,
    /// What is left open of it, besides what its table leaves open. Of constraints and indexes, those are meant that are over this
    /// column and no other: [`Aspect::Unique`], [`Aspect::ForeignKey`], [`Aspect::Check`] and [`Aspect::Index`].
    pub unstated: BTreeSet<Aspect>,
}

/// What the database puts into a column where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Default {
    /// Nothing: the client has to say it.
    #[default]
    None,
    /// Nothing, and the client makes it up by itself, as it is written in the model (`uuid4`, `datetime.utcnow`).
    Client(String),
    /// This, as SQL.
    Sql(String),
}

/// How a column numbers its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// With a sequence of its own (`serial`).
    Serial,
    /// `GENERATED BY DEFAULT AS IDENTITY`.
    ByDefault,
    /// `GENERATED ALWAYS AS IDENTITY`.
    Always,
}

/// Columns of which no two rows have the same values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unique {
    /// Its name, where one is said or follows from what is said.
    pub name: Option<String>,
    /// Its columns.
    pub columns: Vec<String>,
    /// It says `DEFERRABLE`.
    pub deferrable: bool,
    /// It says `DEFERRABLE INITIALLY DEFERRED`.
    pub deferred: bool,
    /// NULLs count as the same.
    pub nulls_not_distinct: bool,
    /// Where.
    pub place: Place,
}

/// An index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// Its name, where one is said or follows from what is said.
    pub name: Option<String>,
    /// Its keys as SQL, e.g. `"created_at" DESC`, `lower("email")`.
    pub keys: Vec<String>,
    /// It is unique.
    pub unique: bool,
    /// Its access method, where that is not btree.
    pub method: Option<String>,
    /// Columns that it includes.
    pub include: Vec<String>,
    /// NULLs count as the same.
    pub nulls_not_distinct: bool,
    /// Its condition as SQL.
    pub condition: Option<String>,
    /// Where.
    pub place: Place,
}

/// A foreign key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name, where one is said or follows from what is said.
    pub name: Option<String>,
    /// Its columns.
    pub columns: Vec<String>,
    /// The schema of the table that it points to, where one is said.
    pub parent_schema: Option<String>,
    /// The table that it points to.
    pub parent: String,
    /// The columns there; none: its primary key.
    pub parent_columns: Vec<String>,
    /// As SQL: `CASCADE`, `SET NULL` …; nothing is `NO ACTION`.
    pub on_delete: Option<String>,
    /// As SQL.
    pub on_update: Option<String>,
    /// It says `MATCH FULL`.
    pub is_full: bool,
    /// It says `DEFERRABLE`.
    pub deferrable: bool,
    /// It says `DEFERRABLE INITIALLY DEFERRED`.
    pub deferred: bool,
    /// Where.
    pub place: Place,
}

/// A check constraint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Its name, where one is said.
    pub name: Option<String>,
    /// Its expression as SQL.
    pub expression: String,
    /// Where.
    pub place: Place,
}

/// A type with a list of values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enum {
    /// Its schema, where one is said.
    pub schema: Option<String>,
    /// Its name in the database.
    pub name: String,
    /// Its values, in their order; none where the source says no more than that there is the type.
    pub values: Vec<String>,
    /// To its source the order means nothing.
    pub unordered: bool,
    /// Where.
    pub place: Place,
}

/// An extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extension {
    /// Its name in the database.
    pub name: String,
    /// Its schema, where one is said.
    pub schema: Option<String>,
    /// Where.
    pub place: Place,
}

impl Models {
    /// Remarks that something is not understood.
    pub fn unsupported(&mut self, place: Place, what: impl Into<String>) {
        self.unsupported.push(Unsupported { place, what: what.into() });
    }

    /// Remarks that something could not be read: what stands there may be anything.
    pub fn unread(&mut self, place: Place, what: impl Into<String>) {
        self.unread.push(place.clone());
        self.unsupported(place, what);
    }

    /// Remarks that there is a table whose name is not understood.
    pub fn unnamed(&mut self, place: Place, what: impl Into<String>) {
        self.may_have_any(place.clone());
        self.unsupported(place, what);
    }

    /// Remembers that there is a table that may have any name.
    pub fn may_have_any(&mut self, place: Place) {
        self.unsaid.push((place, Unsaid { a_table: true, ..Unsaid::default() }));
    }

    /// Remembers that there may be a table of that name.
    pub fn may_have(&mut self, place: Place, table: String) {
        self.unsaid.push((place, Unsaid { more: vec![table], ..Unsaid::default() }));
    }

    /// Adds a type with a list of values, once for each name.
    pub fn add_enum(&mut self, found: Enum) {
        if !self.enums.iter().any(|known| known.schema == found.schema && known.name == found.name) {
            self.enums.push(found);
        }
    }
}

impl Place {
    /// A line of a file.
    pub fn new(path: &str, line: u32) -> Self {
        Self { path: path.to_owned(), line }
    }
}
