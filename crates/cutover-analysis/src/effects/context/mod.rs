//! What is known of the tables a statement finds: what it locks and how long it works depends on them.
//!
//! Filled from the statements before it ([`Context::learn`]) or from a catalogue (by whoever can ask one). Nothing here
//! guesses: what is not known is missing, and the rules say then what it depends on.

mod doubt;
mod learn;

pub(crate) use learn::is_ordinary;

use std::collections::{BTreeMap, HashMap};

use rustc_hash::{FxBuildHasher, FxHashMap};
use smol_str::SmolStr;

use super::model::{ObjectRef, TEMPORARY_SCHEMA};
use crate::sql::TableColumn;

/// Schema and name of a relation or domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// Its schema.
    pub schema: SmolStr,
    /// Its name.
    pub name: SmolStr,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Column {
    /// Its name.
    pub name: SmolStr,
    /// Its type.
    pub data_type: DataType,
    /// It takes no NULL.
    pub not_null: bool,
    /// The collation it was given, if any.
    pub collation: Option<SmolStr>,
    /// It is computed from others.
    pub generated: bool,
}

/// A type with its modifiers, as the parser names it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DataType {
    /// Schema, where one is named that is not PostgreSQL's own.
    pub schema: Option<SmolStr>,
    /// Internal name, e.g. `int4`, `varchar`, `timestamptz`.
    pub name: SmolStr,
    /// Modifiers, e.g. 10 and 2 of `numeric(10, 2)`.
    pub modifiers: Vec<i32>,
    /// It is an array of it.
    pub array: bool,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Name of the constraint.
    pub name: SmolStr,
    /// The table it points to.
    pub parent: Name,
    /// Its columns.
    pub columns: Vec<SmolStr>,
    /// The columns of the other table it points to; empty where they are not known.
    pub parent_columns: Vec<SmolStr>,
    /// What becomes of its rows when the one they point to is deleted.
    pub on_delete: Follow,
    /// What becomes of its rows when the key they point to changes.
    pub on_update: Follow,
}

/// What becomes of rows with a foreign key when the row they point to is deleted or its key changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Follow {
    /// Nothing: it is refused.
    #[default]
    Refused,
    /// They are deleted, or get the new key: `CASCADE`.
    Cascade,
    /// Their key is set: `SET NULL`, `SET DEFAULT`.
    Set,
}

impl Follow {
    /// From the letter by which the catalogue and the parser say it.
    pub fn of_letter(letter: &str) -> Self {
        match letter {
            "c" => Self::Cascade,
            "n" | "d" => Self::Set,
            _ => Self::Refused,
        }
    }
}

impl ForeignKey {
    /// Whether it may point to this column.
    pub(crate) fn points_to(&self, column: &str) -> bool {
        self.parent_columns.is_empty() || self.parent_columns.iter().any(|known| known == column)
    }
}

/// A check constraint that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckConstraint {
    /// Its name.
    pub name: SmolStr,
    /// All rows are known to satisfy it.
    pub valid: bool,
    /// Columns that it keeps from being NULL.
    pub not_null: Vec<SmolStr>,
    /// Columns that it mentions, sorted.
    pub columns: Vec<SmolStr>,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct Index {
    /// Its name, in the table's schema.
    pub name: SmolStr,
    /// Its key columns; `None` for an expression.
    pub columns: Vec<Option<SmolStr>>,
    /// What other columns it has, or mentions in expressions and its condition; sorted.
    pub others: Vec<SmolStr>,
    /// It has expressions or a condition.
    pub computed: bool,
    /// It allows no two equal keys.
    pub unique: bool,
    /// It is a valid btree whose columns ascend, in the orders of their types: one like any other over the same columns.
    pub ordinary: bool,
    /// It belongs to a constraint.
    pub constraint: bool,
    /// It is the primary key's.
    pub primary: bool,
}

impl Index {
    /// Whether it is built from this column, in whichever way.
    pub(crate) fn mentions(&self, column: &str) -> bool {
        self.columns.iter().flatten().chain(&self.others).any(|known| known == column)
    }

    /// Whether its key is these columns, in any order.
    pub(crate) fn is_over(&self, columns: &[SmolStr]) -> bool {
        self.columns.len() == columns.len()
            && self.columns.iter().all(|key| key.as_ref().is_some_and(|key| columns.contains(key)))
    }
}

/// What is done to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// They are inserted.
    Insert,
    /// They are deleted.
    Delete,
    /// They are updated.
    Update,
    /// All of them are thrown away.
    Truncate,
}

impl Event {
    /// From the bits by which PostgreSQL stores what a trigger waits for: 4, 8, 16 and 32.
    pub fn of_bits(bits: i32) -> Vec<Self> {
        let all = [(4, Self::Insert), (8, Self::Delete), (16, Self::Update), (32, Self::Truncate)];
        all.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, event)| event).collect()
    }
}

/// A trigger or rule: what is done to rows of the table leads to what its code says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// Its name.
    pub name: SmolStr,
    /// It is a rule, not a trigger.
    pub is_rule: bool,
    /// It is called for each row, and so of each partition too.
    pub for_rows: bool,
    /// What it waits for.
    pub on: Vec<Event>,
}

/// A table, view or other relation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, not a state")]
pub struct Relation {
    /// Its columns, as far as known; see `columns_known`.
    pub columns: Vec<Column>,
    /// `columns` are all there are.
    pub columns_known: bool,
    /// Its foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// Its check constraints.
    pub checks: Vec<CheckConstraint>,
    /// Its indexes, with those of its constraints.
    pub indexes: Vec<Index>,
    /// Tables it inherits from, or whose partition it is.
    pub parents: Vec<Name>,
    /// It is the default partition of its parent.
    pub is_default: bool,
    /// A view: what it reads.
    pub reads: Vec<Name>,
    /// It is partitioned, and holds no rows itself.
    pub partitioned: bool,
    /// The columns that say to which partition a row belongs; none where these are not known, or one is an expression.
    pub partition_key: Vec<SmolStr>,
    /// Extended statistics on it.
    pub statistics: Vec<Name>,
    /// It is not logged.
    pub unlogged: bool,
    /// A table that a composite type describes: the type.
    pub of_type: Option<Name>,
    /// Its own triggers and rules; not those it has from the table it is a partition of.
    pub reactions: Vec<Reaction>,
}

impl Relation {
    /// Whether a column takes no NULL, or a check that holds says so.
    pub(crate) fn has_no_nulls(&self, column: &str) -> bool {
        let not_null = self.columns.iter().any(|known| known.name == column && known.not_null);
        not_null || self.valid_checks().any(|check| check.not_null.iter().any(|of| of == column))
    }

    /// Whether checks that hold may prove to which partition of a table with this key the rows belong, so that PostgreSQL looks at
    /// none. Values are for the server to compare. `is_in`: that they belong to one, for which no NULL may be there, rather than
    /// that they do not. (Source: `PartConstraintImpliedByRelConstraint` in PostgreSQL's `tablecmds.c`.)
    pub(crate) fn may_prove_place(&self, key: &[SmolStr], is_in: bool) -> bool {
        let speaks_of = |column: &SmolStr| self.valid_checks().any(|check| check.columns.contains(column));
        if key.is_empty() {
            return self.valid_checks().any(|check| !check.columns.is_empty());
        }
        if is_in {
            key.iter().all(|column| speaks_of(column) && self.has_no_nulls(column))
        } else {
            key.iter().any(speaks_of)
        }
    }

    fn valid_checks(&self) -> impl Iterator<Item = &CheckConstraint> {
        self.checks.iter().filter(|check| check.valid)
    }
}

/// What is known before a statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// Relations.
    pub relations: FxHashMap<Name, Relation>,
    /// Domains, and whether they have constraints.
    pub domains: BTreeMap<Name, bool>,
    /// Where unqualified names are looked for, in this order; `public` where empty.
    pub search_path: Vec<String>,
    /// Relations that are not here do not exist: an empty database was the beginning.
    pub complete: bool,
    /// Major version of the server; 0 where it is not known.
    pub server_major: u32,
    /// Sessions run in UTC; `None` where it is not known.
    pub utc: Option<bool>,
    /// Who mentions whom, so that nobody has to look through all relations.
    links: Links,
}

/// For each name the relations that are called so, or mention it as parent, foreign key or view, and for each index its table. A link that
/// is no more true does no harm: whoever follows it looks at the relation itself.
#[derive(Debug, Clone, Default)]
struct Links {
    /// Something temporary may be among them.
    temporary: bool,
    mentioned: FxHashMap<Name, Names>,
    indexed: FxHashMap<Name, Name>,
    /// Relations by their name alone.
    named: FxHashMap<SmolStr, Names>,
}

/// Names, sorted, each once. Most lists have one, so that a tree would be large.
#[derive(Debug, Clone, Default)]
struct Names(Vec<Name>);

impl Names {
    fn insert(&mut self, name: &Name) {
        if let Err(place) = self.0.binary_search(name) {
            self.0.reserve_exact(usize::from(self.0.is_empty()));
            self.0.insert(place, name.clone());
        }
    }
}

/// Links follow from the rest.
impl PartialEq for Links {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Links {}

impl Context {
    /// Nothing is known.
    pub const EMPTY: Self = Self {
        relations: HashMap::with_hasher(FxBuildHasher),
        domains: BTreeMap::new(),
        search_path: Vec::new(),
        complete: false,
        server_major: 0,
        utc: None,
        links: Links {
            temporary: false,
            mentioned: HashMap::with_hasher(FxBuildHasher),
            indexed: HashMap::with_hasher(FxBuildHasher),
            named: HashMap::with_hasher(FxBuildHasher),
        },
    };

    /// Makes a relation known.
    pub fn insert(&mut self, name: &Name, relation: Relation) {
        self.links.temporary |= name.schema == TEMPORARY_SCHEMA;
        self.relations.insert(name.clone(), relation);
        self.link(name);
    }

    /// Forgets what is temporary; says whether there may have been something. Most sessions have none: looking through all relations
    /// behind each would cost more than all else.
    pub(crate) fn forget_temporary(&mut self) -> bool {
        if !std::mem::take(&mut self.links.temporary) {
            return false;
        }
        self.relations.retain(|name, _| name.schema != TEMPORARY_SCHEMA);
        true
    }

    /// Notes whom a relation mentions by now.
    fn link(&mut self, name: &Name) {
        let Some(relation) = self.relations.get(name) else { return };
        self.links.named.entry(name.name.clone()).or_default().insert(name);
        let parents = relation.foreign_keys.iter().map(|key| &key.parent);
        for other in parents.chain(&relation.parents).chain(&relation.reads).chain(&relation.of_type) {
            self.links.mentioned.entry(other.clone()).or_default().insert(name);
        }
        for index in &relation.indexes {
            let index = Name { schema: name.schema.clone(), name: index.name.clone() };
            self.links.indexed.insert(index, name.clone());
        }
    }

    /// Notes a new mention of a relation by another.
    fn link_mention(&mut self, of: &Name, by: &Name) {
        self.links.mentioned.entry(of.clone()).or_default().insert(by);
    }

    /// Notes a new index of a relation.
    fn link_index(&mut self, index: &str, table: &Name) {
        let index = Name { schema: table.schema.clone(), name: index.into() };
        self.links.indexed.insert(index, table.clone());
    }

    /// Relations that may mention this one.
    fn mentioning(&self, name: &Name) -> impl Iterator<Item = (&Name, &Relation)> {
        let names = self.links.mentioned.get(name).into_iter().flat_map(|names| &names.0);
        names.filter_map(|name| self.relations.get_key_value(name))
    }

    /// Views that read this relation.
    pub(crate) fn reading(&self, relation: &Name) -> impl Iterator<Item = &Name> {
        self.mentioning(relation)
            .filter(move |(_, known)| known.reads.contains(relation))
            .map(|(name, _)| name)
    }

    /// An empty database of a major version: what is not learnt is not there.
    #[must_use]
    pub fn of_empty_database(server_major: u32) -> Self {
        Self { complete: true, server_major, ..Self::EMPTY }
    }

    fn path(&self) -> impl Iterator<Item = &str> {
        let fallback = self.search_path.is_empty().then_some("public");
        self.search_path.iter().map(String::as_str).chain(fallback)
    }

    /// The name under which something new is made.
    pub(crate) fn new_name(&self, object: &ObjectRef) -> Name {
        let schema =
            object.schema.clone().or_else(|| self.path().next().map(SmolStr::new)).unwrap_or_default();
        Name { schema, name: object.name.clone() }
    }

    /// The name of what is there already; the first place it would be looked for where it is not known.
    pub fn resolve(&self, object: &ObjectRef) -> Name {
        let named = |schema: &str| Name { schema: schema.into(), name: object.name.clone() };
        if object.schema.is_none() {
            let found = self
                .path()
                .map(named)
                .find(|n| self.relations.contains_key(n) || self.domains.contains_key(n));
            if let Some(name) = found {
                return name;
            }
        }
        self.new_name(object)
    }

    /// What is known of a relation.
    pub fn relation(&self, object: &ObjectRef) -> Option<&Relation> {
        self.relations.get(&self.resolve(object))
    }

    /// The columns of a table in their order, where all of them are known. A name without a schema that is not found where
    /// such names are looked for may be that of the only table so called: the search path of a file is not known here.
    pub fn table_columns(&self, schema: Option<&str>, name: &str) -> Option<Vec<TableColumn>> {
        let object = ObjectRef::new(super::ObjectKind::Relation, schema.map(SmolStr::new), name);
        let relation = self.relation(&object).or_else(|| {
            let named = self.links.named.get(name).filter(|_| schema.is_none())?;
            let mut called = named.0.iter().filter_map(|name| self.relations.get(name));
            called.next().filter(|_| called.next().is_none())
        })?;
        let columns = relation.columns.iter();
        relation.columns_known.then(|| {
            columns
                .map(|column| TableColumn { name: column.name.to_string(), generated: column.generated })
                .collect()
        })
    }

    /// Whether a relation of this name is known in some schema.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let named = self.links.named.get(name).into_iter().flat_map(|names| &names.0);
        named.into_iter().any(|name| self.relations.contains_key(name))
    }

    /// What is known of a column.
    pub(crate) fn column(&self, table: &ObjectRef, column: &str) -> Option<&Column> {
        self.relation(table)?.columns.iter().find(|known| known.name == column)
    }

    /// Tables with a foreign key to this one.
    pub(crate) fn referring(&self, parent: &Name) -> impl Iterator<Item = &Name> {
        self.mentioning(parent)
            .filter(move |(_, table)| table.foreign_keys.iter().any(|key| key.parent == *parent))
            .map(|(name, _)| name)
    }

    /// Tables that inherit from this one, its partitions among them; only the next level.
    pub(crate) fn children(&self, parent: &Name) -> impl Iterator<Item = (&Name, &Relation)> {
        self.mentioning(parent).filter(move |(_, table)| table.parents.contains(parent))
    }

    /// Tables that this composite type describes.
    pub(crate) fn typed(&self, of: &Name) -> impl Iterator<Item = &Name> {
        self.mentioning(of).filter(move |(_, table)| table.of_type.as_ref() == Some(of)).map(|(name, _)| name)
    }

    /// The partitioned tables that this is a partition of, or a partition of a partition.
    pub(crate) fn whole(&self, part: &Name) -> Vec<Name> {
        let mut found: Vec<Name> = Vec::new();
        let mut next = Some(part.clone());
        while let Some(known) = next.take().and_then(|name| self.relations.get(&name)) {
            let partitioned = |name: &&Name| self.relations.get(*name).is_some_and(|known| known.partitioned);
            let parent = known.parents.iter().find(partitioned).filter(|name| !found.contains(name));
            found.extend(parent.cloned());
            next = parent.cloned();
        }
        found
    }

    /// The table an index is on.
    pub(crate) fn indexed(&self, index: &Name) -> Option<&Name> {
        let (name, table) = self.relations.get_key_value(self.links.indexed.get(index)?)?;
        table.indexes.iter().any(|known| known.name == index.name).then_some(name)
    }

    /// Tables with a column of a domain, by name.
    pub(crate) fn using(&self, domain: &Name) -> Vec<&Name> {
        let uses = |column: &Column| {
            column.data_type.name == domain.name
                && column.data_type.schema.as_ref().is_none_or(|schema| *schema == domain.schema)
        };
        self.names_where(|table| table.columns.iter().any(uses))
    }

    /// Relations of which something holds, by name.
    pub(crate) fn names_where(&self, holds: impl Fn(&Relation) -> bool) -> Vec<&Name> {
        let found = self.relations.iter().filter(|(_, relation)| holds(relation));
        let mut names: Vec<&Name> = found.map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    /// Whether a type is a domain with constraints; `None` where that is not known.
    pub(crate) fn is_constrained_domain(&self, data_type: &DataType) -> Option<bool> {
        let object =
            ObjectRef::new(super::ObjectKind::Domain, data_type.schema.clone(), data_type.name.as_str());
        match self.domains.get(&self.resolve(&object)) {
            Some(constrained) => Some(*constrained),
            None => self.complete.then_some(false),
        }
    }
}
