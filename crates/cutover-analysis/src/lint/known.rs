//! What is known before a statement: of the statements before it, and of the database.

use std::collections::{BTreeMap, HashSet};

use pg_query::NodeEnum;

use crate::effects::{Context, Effects, Name, ObjectKind, ObjectRef, Relation};
use crate::schema::Schema;
use crate::sql::Parsed;

/// Tables of up to so many rows are as good as empty to whoever waits for a lock on them: reading them all takes a few
/// milliseconds.
const SMALL: u64 = 10_000;

/// What a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Rows, as the server estimates them.
    pub rows: u64,
    /// Bytes, with its indexes.
    pub bytes: u64,
}

/// What a server says of its database.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `server_version_num`; 0 where it is not known.
    pub server: u32,
    /// What tables hold.
    pub sizes: BTreeMap<Name, Size>,
    /// Everything that is there, where it was read.
    pub schema: Option<Schema>,
}

/// What rules know.
#[derive(Debug, Default)]
pub struct Known {
    /// Tables and what belongs to them, before the next statement.
    pub(crate) context: Context,
    /// What the server says.
    pub(crate) facts: Facts,
    /// Relations that statements of this run have made.
    made: HashSet<Name>,
}

impl Known {
    /// What is there before the first statement.
    pub fn new(context: Context, facts: Facts) -> Self {
        Self { context, facts, made: HashSet::new() }
    }

    /// Whether a statement of this run made the relation: nobody else uses it yet, and it holds what the run put in.
    pub(crate) fn is_new(&self, relation: &ObjectRef) -> bool {
        relation.is_temporary() || self.made.contains(&self.context.resolve(relation))
    }

    /// Whether it is known that a table of the database has few rows.
    pub(crate) fn is_small(&self, relation: &ObjectRef) -> bool {
        let name = self.context.resolve(relation);
        self.facts.sizes.get(&name).is_some_and(|size| size.rows <= SMALL)
    }

    /// Whether it is known that a table of the database has no rows.
    pub(crate) fn is_empty(&self, relation: &ObjectRef) -> bool {
        let name = self.context.resolve(relation);
        self.facts.sizes.get(&name).is_some_and(|size| size.rows == 0)
    }

    /// What is known of a relation.
    pub(crate) fn relation(&self, relation: &ObjectRef) -> Option<&Relation> {
        self.context.relation(relation)
    }

    /// The table of an index, where it is known.
    pub(crate) fn table_of_index(&self, index: &ObjectRef) -> Option<ObjectRef> {
        let table = self.context.indexed(&self.context.resolve(index))?;
        Some(ObjectRef::new(ObjectKind::Table, Some(table.schema.clone()), table.name.clone()))
    }

    /// The server's major version; 0 where it is not known.
    pub(crate) fn major(&self) -> u32 {
        match self.facts.server / 10_000 {
            0 => self.context.server_major,
            major => major,
        }
    }

    /// Which relations are new behind a statement, and which are gone.
    pub(crate) fn change_by(&self, parsed: &Parsed, effects: &Effects) -> Change {
        let relations = effects.creates.iter().filter(|object| {
            object.kind.family() == ObjectKind::Relation && object.kind != ObjectKind::Index
        });
        // With IF NOT EXISTS, what is there already is no new one.
        let new = relations
            .filter(|object| effects.must_be_new || self.context.relation(object).is_none())
            .map(|object| self.context.new_name(object))
            .collect();
        let moves = parsed
            .statements()
            .any(|node| matches!(node, NodeEnum::RenameStmt(_) | NodeEnum::AlterObjectSchemaStmt(_)));
        let gone = effects.drops.iter().map(|object| self.context.resolve(object)).collect();
        Change { new, gone, moves }
    }

    /// Learns what a statement leaves behind.
    pub(crate) fn learn(&mut self, parsed: &Parsed, change: Change) {
        let mut was_new = false;
        for name in &change.gone {
            was_new |= self.made.remove(name);
        }
        self.context.learn(parsed);
        // A table that is called otherwise from now on is as new as it was.
        if was_new || !change.moves {
            self.made.extend(change.new);
        }
    }
}

/// What a statement changes about which relations are new.
#[derive(Debug)]
pub(crate) struct Change {
    new: Vec<Name>,
    gone: Vec<Name>,
    moves: bool,
}
