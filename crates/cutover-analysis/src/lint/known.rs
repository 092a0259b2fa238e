//! What is known before a statement: of the statements before it, and of the database.

use std::collections::{BTreeMap, HashSet};

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;

use crate::effects::{Context, Effects, Name, ObjectKind, ObjectRef, Prepared, Relation, SmolStr};
use crate::lint::naming::Naming;
use crate::lint::security::Security;
use crate::schema::Schema;
use crate::sql::{Parsed, SyntaxError};

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
    /// How things are to be called.
    pub naming: Naming,
}

/// What rules know.
#[derive(Debug, Default)]
pub struct Known {
    /// Tables and what belongs to them, before the next statement.
    pub(crate) context: Context,
    /// What the server says.
    pub(crate) facts: Facts,
    /// Row security, policies, views and functions.
    pub(crate) security: Security,
    /// Relations that statements of this run have made.
    made: HashSet<Name>,
    /// What else statements of this run have made; kinds as [`ObjectKind::family`] says them.
    made_others: HashSet<ObjectRef>,
    /// Relations that there may be besides those that are known.
    perhaps: HashSet<SmolStr>,
    /// Whatever there may be besides: code has run.
    anything: bool,
}

impl Known {
    /// What is there before the first statement.
    pub fn new(context: Context, facts: Facts) -> Self {
        Self { context, facts, ..Self::default() }
    }

    /// The same, with what is known of row security, policies, views and functions.
    #[must_use]
    pub fn with_security(self, security: Security) -> Self {
        Self { security, ..self }
    }

    /// Learns what a statement before the run has left behind.
    ///
    /// # Errors
    /// It does not parse.
    pub fn before(&mut self, prepared: Prepared) -> Result<(), SyntaxError> {
        let mut change = None;
        let spent = prepared.look(&self.context, |parsed, effects| {
            change = Some(Change { new: Vec::new(), others: Vec::new(), ..self.change_by(parsed, effects) });
        })?;
        if let (Some(change), Some(parsed)) = (change, spent.parsed()) {
            self.learn(parsed, change);
        }
        Ok(())
    }

    /// Whether a statement of this run made what is no relation: a schema, type, function, column.
    pub(crate) fn is_made(&self, object: &ObjectRef) -> bool {
        self.made_others.contains(&self.key(object))
    }

    /// One name for what may be called by several.
    pub(crate) fn key(&self, object: &ObjectRef) -> ObjectRef {
        let kind = object.kind.family();
        let schema = match &object.table {
            Some(table) => {
                let table = ObjectRef::new(ObjectKind::Relation, object.schema.clone(), table.clone());
                Some(self.context.resolve(&table).schema)
            }
            None if kind == ObjectKind::Schema => None,
            None => Some(self.context.new_name(object).schema),
        };
        ObjectRef { kind, schema, ..object.clone() }
    }

    /// Whether everything that there is in the database is known.
    pub(crate) fn is_complete(&self) -> bool {
        self.context.complete && !self.anything
    }

    /// Whether a relation of this name may be there that is not known.
    pub(crate) fn may_be_there(&self, name: &str) -> bool {
        self.perhaps.contains(name) || self.security.transition_tables.contains(name)
    }

    /// Whether a statement of this run made the relation: nobody else uses it yet, and it holds what the run put in.
    pub(crate) fn is_new(&self, relation: &ObjectRef) -> bool {
        relation.is_temporary() || self.made.contains(&self.context.resolve(relation))
    }

    /// Whether a statement of this run made the relation of this name.
    pub(crate) fn has_made(&self, name: &Name) -> bool {
        self.made.contains(name)
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
        let others = effects.creates.iter().filter(|object| {
            object.kind.family() != ObjectKind::Relation && !effects.alters.contains(object)
        });
        let others = others.map(|object| self.key(object)).collect();
        let is_relation =
            |object: &&ObjectRef| object.kind.family() == ObjectKind::Relation && object.schema.is_some();
        let late = effects.late.iter().map(|reference| &reference.object).filter(is_relation);
        let mentions = late.map(|object| self.context.resolve(object)).collect();
        // What is not learnt: sequences, foreign tables, what code makes.
        let is_known = |object: &&ObjectRef| {
            matches!(object.kind, ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView)
        };
        let unknown = effects.creates.iter().filter(|object| !is_known(object)).chain(&effects.late_creates);
        let perhaps = unknown.chain(&effects.chosen).map(|object| object.name.clone()).collect();
        let makes_more = |node: &NodeEnum| match node {
            NodeEnum::CreateExtensionStmt(_) | NodeEnum::ImportForeignSchemaStmt(_) => true,
            NodeEnum::CreateSchemaStmt(create) => !create.schema_elts.is_empty(),
            // SELECT … INTO
            NodeEnum::SelectStmt(_) => !effects.creates.is_empty(),
            _ => false,
        };
        // CASCADE takes away, and makes nothing.
        let is_opaque = effects.opaque.as_ref().is_some_and(|why| !why.starts_with("CASCADE"));
        let anything = is_opaque || parsed.statements().any(makes_more);
        Change { new, others, gone, moves, mentions, perhaps, anything }
    }

    /// What a statement inside a block has made is as new as what stands outside. More is not learnt of it: it may not have run.
    pub(crate) fn learn_within(&mut self, change: Change) {
        self.made.extend(change.new);
        self.made_others.extend(change.others);
        self.perhaps.extend(change.perhaps);
        self.anything = true;
    }

    /// Learns what a statement leaves behind.
    pub(crate) fn learn(&mut self, parsed: &Parsed, change: Change) {
        let mut was_new = false;
        for name in &change.gone {
            was_new |= self.made.remove(name);
        }
        for node in parsed.statements() {
            self.security.learn(node, &change.mentions, &self.context);
        }
        self.context.learn(parsed);
        for node in parsed.statements() {
            if let NodeEnum::RenameStmt(rename) = node
                && rename.rename_type() == ObjectType::ObjectSchema
            {
                let is_within = |name: &&Name| name.schema == rename.subname;
                let moved: Vec<Name> = self.made.iter().filter(is_within).cloned().collect();
                let renamed = |name: Name| Name { schema: rename.newname.as_str().into(), ..name };
                self.made.extend(moved.into_iter().map(renamed));
            }
        }
        self.made_others.extend(change.others);
        self.perhaps.extend(change.perhaps);
        self.anything |= change.anything;
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
    others: Vec<ObjectRef>,
    gone: Vec<Name>,
    moves: bool,
    /// Relations that bodies of functions name with their schemas.
    mentions: Vec<Name>,
    perhaps: Vec<SmolStr>,
    anything: bool,
}
