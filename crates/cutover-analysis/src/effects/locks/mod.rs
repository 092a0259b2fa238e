//! What a statement locks, and what it does there that takes time in proportion to a table's size.
//!
//! The rules are PostgreSQL's own; `facts/postgres_locks.tsv` has what servers were measured to do, and a test compares
//! these rules with each of its rows. Locks on what the statement itself creates, and on temporary tables, are nobody
//! else's concern and left out.

mod alter_table;
mod column_type;
mod create;
mod drop;
mod rows;
mod volatile;

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
        self.to.locks(relation.clone(), mode);
    }

    fn lock_range(&mut self, relation: Option<&RangeVar>, mode: LockMode) {
        if let Some(relation) = relation {
            self.to.locks(names::relation(Kind::Relation, relation), mode);
        }
    }

    fn lock_named(&mut self, name: &Name, mode: LockMode) {
        self.to.locks(object(name), mode);
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
        self.to.works(relation.clone(), kind, true, why.into());
    }

    /// Work that depends on what is not known here.
    fn work_if(&mut self, relation: &ObjectRef, kind: WorkKind, condition: impl Into<String>) {
        if self.is_partitioned(relation) {
            return;
        }
        self.to.works(relation.clone(), kind, false, condition.into());
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
        let mut found: Vec<Name> = Vec::new();
        let mut pending = vec![self.known.resolve(table)];
        while let Some(parent) = pending.pop() {
            for (child, _) in self.known.children(&parent) {
                if !found.contains(child) {
                    found.push(child.clone());
                    pending.push(child.clone());
                }
            }
        }
        found
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
