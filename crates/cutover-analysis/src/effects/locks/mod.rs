//! What a statement locks, and what it does there that takes time in proportion to a table's size.
//!
//! The rules are PostgreSQL's own; `facts/postgres_locks.tsv` has what servers were measured to do, and a test compares
//! these rules with each of its rows. Locks on what the statement itself creates, and on temporary tables, are nobody
//! else's concern and left out.

mod alter_table;
mod column_type;
mod create;
mod drop;
mod passed_on;
mod rows;
mod volatile;
mod written;

pub(crate) use volatile::{Volatility, volatility, volatility_where};

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar};

use super::builder::Builder;
use super::context::{Context, Name, Relation};
use super::lock_mode::LockMode;
use super::model::{ObjectKind as Kind, ObjectRef, WorkKind};
use super::names;

/// Adds what one statement locks and works on.
pub(super) fn add(node: &NodeEnum, known: &Context, to: &mut Builder) {
    let mut site = Site { known, to };
    alter_table::add(node, &mut site);
    create::add(node, &mut site);
    drop::add(node, &mut site);
    rows::add(node, &mut site);
}

/// What the rules look at, and where they put what they find.
struct Site<'a> {
    known: &'a Context,
    to: &'a mut Builder,
}

impl Site<'_> {
    fn lock(&mut self, relation: &ObjectRef, mode: LockMode) {
        let relation = self.as_written(relation);
        self.to.locks(relation, mode);
    }

    fn lock_range(&mut self, relation: Option<&RangeVar>, mode: LockMode) {
        if let Some(relation) = relation {
            self.lock(&names::relation(Kind::Relation, relation), mode);
        }
    }

    fn lock_named(&mut self, name: &Name, mode: LockMode) {
        self.lock(&object(name), mode);
    }

    /// A relation under the name by which the statement is known to lock it already: `orders` and `public.orders` may be one.
    fn as_written(&self, relation: &ObjectRef) -> ObjectRef {
        let is_it = |other: &&ObjectRef| {
            other.name == relation.name
                && other.schema != relation.schema
                && self.known.resolve(other) == self.known.resolve(relation)
        };
        self.to.locked().find(is_it).unwrap_or(relation).clone()
    }

    /// The other table of a new foreign key, with its partitions.
    fn lock_parent(&mut self, parent: &ObjectRef, mode: LockMode) {
        self.lock(parent, mode);
        for part in self.partitions(parent) {
            self.lock_named(&part, mode);
        }
    }

    /// The other table of a foreign key that goes, with its partitions: where the key goes, its triggers go with it. Before
    /// version 15 those that are partitioned had none: the table itself and such partitions are locked in these modes there.
    fn lose_parent(&mut self, parent: &ObjectRef, table: Option<LockMode>, partitions: Option<LockMode>) {
        let old = |site: &Self, relation: &ObjectRef| site.is_older_than(15) && site.is_partitioned(relation);
        let strong = Some(LockMode::AccessExclusive);
        let mode = if old(self, parent) { table } else { strong };
        let mut locks = vec![(parent.clone(), mode)];
        for part in self.partitions(parent) {
            let part = object(&part);
            let mode = if old(self, &part) { partitions } else { strong };
            locks.push((part, mode));
        }
        for (relation, mode) in locks {
            if let Some(mode) = mode {
                self.lock(&relation, mode);
            }
        }
    }

    /// Whether the server is known to be of a major version before this one.
    fn is_older_than(&self, major: u32) -> bool {
        (1..major).contains(&self.known.server_major)
    }

    fn lock_ranges(&mut self, nodes: &[Node], mode: LockMode) {
        for node in nodes {
            if let Some(NodeEnum::RangeVar(relation)) = node.node.as_ref() {
                self.lock_range(Some(relation), mode);
            }
        }
    }

    /// Locks that cannot be named.
    fn lock_more(&mut self, which: impl Into<String>) {
        self.to.locks_more(which.into());
    }

    fn work(&mut self, relation: &ObjectRef, kind: WorkKind, why: impl Into<String>) {
        if self.is_partitioned(relation) {
            return;
        }
        let relation = self.as_written(relation);
        self.to.works(relation, kind, true, why.into());
    }

    /// Work that depends on what is not known here.
    fn work_if(&mut self, relation: &ObjectRef, kind: WorkKind, condition: impl Into<String>) {
        if self.is_partitioned(relation) {
            return;
        }
        let relation = self.as_written(relation);
        self.to.works(relation, kind, false, condition.into());
    }

    fn relation(&self, object: &ObjectRef) -> Option<&Relation> {
        self.known.relation(object)
    }

    /// The table of an index, where it is known.
    fn table_of(&self, index: &ObjectRef) -> Option<ObjectRef> {
        self.known.indexed(&self.known.resolve(index)).map(object)
    }

    /// Everything that inherits from a table, at any depth.
    fn descendants(&self, table: &ObjectRef) -> Vec<Name> {
        self.known.descendants(&self.known.resolve(table))
    }

    /// Tables with a foreign key to this one, or to one that it is a partition of.
    fn referring(&self, table: &ObjectRef) -> Vec<Name> {
        let name = self.known.resolve(table);
        let mut whole = self.known.whole(&name);
        whole.push(name);
        whole.iter().flat_map(|name| self.known.referring(name)).cloned().collect()
    }

    /// The tables that foreign keys point to, of this table or of what it is a partition of.
    fn referred(&self, table: &ObjectRef) -> Vec<Name> {
        let keys = self.relation(table).map(|known| known.foreign_keys.as_slice()).unwrap_or_default();
        keys.iter().map(|key| key.parent.clone()).collect()
    }

    /// The partitions of a table, at any depth; not other tables that inherit from one.
    fn partitions(&self, table: &ObjectRef) -> Vec<Name> {
        if self.is_partitioned(table) { self.descendants(table) } else { Vec::new() }
    }

    /// Whether it is known to hold no rows itself.
    fn is_partitioned(&self, table: &ObjectRef) -> bool {
        self.relation(table).is_some_and(|known| known.partitioned)
    }

    /// Whether nothing of that name was there.
    fn is_certainly_new(&self, relation: &ObjectRef) -> bool {
        self.known.complete && self.relation(relation).is_none()
    }

    /// The default partition of a partitioned table.
    fn default_partition(&self, parent: &ObjectRef) -> Option<Name> {
        let parent = self.known.resolve(parent);
        let found = self.known.children(&parent).find(|(_, child)| child.is_default);
        found.map(|(name, _)| name.clone())
    }
}

fn object(name: &Name) -> ObjectRef {
    ObjectRef::new(Kind::Relation, Some(name.schema.clone()), name.name.as_str())
}
