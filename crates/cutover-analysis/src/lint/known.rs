//! What is known before a statement: of the statements before it, and of the database.

mod branch;
mod filled;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use pg_query::NodeEnum;
use pg_query::protobuf::{DiscardMode, ObjectType, TransactionStmtKind as Ends, VariableSetKind};
use rustc_hash::{FxHashMap, FxHashSet};

pub(crate) use branch::Branches;

use crate::effects::{
    Column, Context, Effects, Name, ObjectKind, ObjectRef, Prepared, Relation, SmolStr, TEMPORARY_SCHEMA,
    names,
};
use crate::lint::about::About;
use crate::lint::finding::Seen;
use crate::lint::naming::Naming;
use crate::lint::security::{self, Policy, Security};
use crate::lint::site::Said;
use crate::schema::Schema;
use crate::sql::SyntaxError;

/// Tables of up to so many rows are as good as empty to whoever waits for a lock on them: reading them all takes a few
/// milliseconds.
const SMALL: u64 = 10_000;

/// The schema of what was made where that is not known.
const SOMEWHERE: SmolStr = SmolStr::new_static("");

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
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Tables and what belongs to them, before the next statement.
    pub(crate) context: Context,
    /// What the server says.
    pub(crate) facts: Facts,
    /// Row security, policies, views and functions.
    pub(crate) security: Security,
    /// Relations that statements of this run have made.
    made: FxHashSet<Name>,
    /// What else statements of this run have made; under the names of [`Known::key`].
    made_others: FxHashSet<ObjectRef>,
    /// What statements of this run have said of tables that are not known otherwise: some of their constraints and indexes.
    said: Context,
    /// Relations that there may be besides those that are known.
    perhaps: FxHashSet<SmolStr>,
    /// Whatever there may be besides: code has run.
    anything: bool,
    /// Materialized views that hold nothing yet.
    unfilled: FxHashSet<Name>,
    /// Where names are looked for at the beginning of a file.
    path: Vec<String>,
    /// Where names without a schema are looked for is not known.
    is_doubtful: bool,
    /// Tables that statements of this run have put rows into, and how many at most; none where these may be many.
    filled: FxHashMap<Name, Option<u64>>,
    /// Statements that the session has prepared, by name.
    prepared: BTreeMap<String, NodeEnum>,
    /// The database's word was asked for and given since [`Known::forget`].
    told: Told,
}

/// A mark that is set by whoever only reads.
#[derive(Debug, Default)]
struct Told(AtomicBool);

impl Clone for Told {
    fn clone(&self) -> Self {
        Self(AtomicBool::new(self.0.load(Ordering::Relaxed)))
    }
}

impl Known {
    /// What is there before the first statement.
    pub fn new(context: Context, facts: Facts) -> Self {
        let path = context.search_path.clone();
        Self { context, facts, path, ..Self::default() }
    }

    /// The same, with what is known of row security, policies, views and functions.
    #[must_use]
    pub fn with_security(self, security: Security) -> Self {
        Self { security, ..self }
    }

    /// The same, where things are to be called so.
    #[must_use]
    pub fn with_naming(mut self, naming: Naming) -> Self {
        self.facts.naming = naming;
        self
    }

    /// Whether a database was asked; otherwise all that is known comes from statements.
    pub(crate) fn is_of_database(&self) -> bool {
        self.facts.server != 0
    }

    /// Forgets that the database was asked anything.
    pub(crate) fn forget(&self) {
        self.told.0.store(false, Ordering::Relaxed);
    }

    /// Whether an answer since then was the database's.
    pub(crate) fn was_told(&self) -> bool {
        self.told.0.load(Ordering::Relaxed)
    }

    /// Whether what a rule says is what the database has told: it can see that, and has told something; or nobody else can.
    pub(crate) fn has_decided(&self, about: &About) -> bool {
        let can = about.seen.contains(&Seen::Catalogue);
        let only = !about.seen.contains(&Seen::Static);
        can && (self.was_told() || only && self.is_of_database())
    }

    /// Of what a rule has found since `before`: who saw it.
    pub(super) fn mark(&self, about: &About, said: &mut Said, before: usize) {
        if said.findings.len() > before && self.has_decided(about) {
            said.findings.iter_mut().skip(before).for_each(|finding| finding.seen_by = Seen::Catalogue);
        }
    }

    /// Remembers that the database has answered.
    fn tell(&self) {
        self.told.0.store(true, Ordering::Relaxed);
    }

    /// Remembers it where what is known of a relation is not this run's doing.
    pub(crate) fn tell_of(&self, name: &Name) {
        if self.is_of_database() && !self.made.contains(name) {
            self.tell();
        }
    }

    /// What the run so far has made is there and in use.
    pub(crate) fn is_another_run(&mut self) {
        self.made.clear();
        self.made_others.clear();
    }

    /// Learns what a statement before the run has left behind.
    ///
    /// # Errors
    /// It does not parse.
    pub fn before(&mut self, prepared: Prepared) -> Result<(), SyntaxError> {
        let mut change = None;
        let spent = prepared.look(&self.context, |parsed, effects| {
            let nodes: Vec<&NodeEnum> = parsed.statements().collect();
            change = Some(Change { new: Vec::new(), others: Vec::new(), ..self.change_by(&nodes, effects) });
        })?;
        if let (Some(change), Some(parsed)) = (change, spent.parsed()) {
            self.learn(&parsed.statements().collect::<Vec<_>>(), change);
        }
        Ok(())
    }

    /// Whether a statement of this run made what is no relation: a schema, type, function, column.
    pub(crate) fn is_made(&self, object: &ObjectRef) -> bool {
        let is_somewhere = object.kind != ObjectKind::Schema && self.is_somewhere(object);
        !is_somewhere && self.made_others.contains(&self.key(object))
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
        let is_complete = self.context.complete && !self.anything;
        if is_complete && self.is_of_database() {
            self.tell();
        }
        is_complete
    }

    /// Whether it is known that there is no such relation.
    pub(crate) fn is_absent(&self, relation: &ObjectRef) -> bool {
        self.is_complete() && !self.is_somewhere(relation) && self.relation(relation).is_none()
    }

    /// Whether a relation of this name may be there that is not known.
    pub(crate) fn may_be_there(&self, name: &str) -> bool {
        self.perhaps.contains(name) || self.security.transition_tables.contains(name)
    }

    /// Whether a statement of this run made the relation, and all that inherits from it: nobody else uses it yet, and it holds what the
    /// run put in.
    pub(crate) fn is_new(&self, relation: &ObjectRef) -> bool {
        let is_old = |heir: &Name| !self.made.contains(heir);
        self.is_new_itself(relation) && !self.context.descendants(&self.name_of(relation)).iter().any(is_old)
    }

    /// The same of a relation without what inherits from it.
    pub(crate) fn is_new_itself(&self, relation: &ObjectRef) -> bool {
        self.is_temporary(relation) || self.made.contains(&self.name_of(relation))
    }

    /// Whether it is not known where a name without a schema is looked for.
    fn is_somewhere(&self, object: &ObjectRef) -> bool {
        self.is_doubtful && object.schema.is_none()
    }

    /// Whether a relation is one of the session's own, also where it is named without its schema: it hides others of its name.
    pub(crate) fn is_temporary(&self, relation: &ObjectRef) -> bool {
        let temporary = || Name { schema: TEMPORARY_SCHEMA.into(), name: relation.name.clone() };
        relation.is_temporary() || relation.schema.is_none() && self.made.contains(&temporary())
    }

    /// The name of a relation that is there, among those that this run has made.
    fn name_of(&self, relation: &ObjectRef) -> Name {
        if self.is_temporary(relation) {
            return Name { schema: TEMPORARY_SCHEMA.into(), name: relation.name.clone() };
        }
        if self.is_somewhere(relation) {
            return Name { schema: SOMEWHERE, name: relation.name.clone() };
        }
        self.context.resolve(relation)
    }

    /// The name under which something new is made.
    fn new_name(&self, object: &ObjectRef) -> Name {
        if self.is_somewhere(object) {
            return Name { schema: SOMEWHERE, name: object.name.clone() };
        }
        self.context.new_name(object)
    }

    /// Whether a statement of this run has added the column.
    pub(crate) fn is_new_column(&self, table: &ObjectRef, column: &str) -> bool {
        self.is_made(&names::part_of(ObjectKind::Column, table, column))
    }

    /// Whether a statement of this run made the relation of this name.
    pub(crate) fn has_made(&self, name: &Name) -> bool {
        self.made.contains(name)
    }

    /// Whether it is known that a table of the database has few rows.
    pub(crate) fn is_small(&self, relation: &ObjectRef) -> bool {
        self.has_up_to(SMALL, relation)
    }

    /// The same of a table that is named as `regclass` reads it.
    pub fn is_small_by_name(&self, table: &str) -> bool {
        names::from_text(ObjectKind::Relation, table).is_some_and(|table| self.is_small(&table))
    }

    /// Whether it is known that a table of the database has no rows.
    pub(crate) fn is_empty(&self, relation: &ObjectRef) -> bool {
        self.has_up_to(0, relation)
    }

    /// Whether a new relation leads only to what is new too, or has few rows.
    pub(crate) fn is_new_over_small(&self, relation: &ObjectRef) -> bool {
        let is_few = |name: &Name| self.made.contains(name) || self.has_itself_up_to(SMALL, name);
        self.is_new_itself(relation) && self.context.descendants(&self.name_of(relation)).iter().all(is_few)
    }

    /// With what inherits from it, which is locked and read along with it.
    fn has_up_to(&self, rows: u64, relation: &ObjectRef) -> bool {
        let name = self.name_of(relation);
        let heirs = self.context.descendants(&name);
        let is_few = |name: &Name| self.made.contains(name) || self.has_itself_up_to(rows, name);
        self.has_itself_up_to(rows, &name) && heirs.iter().all(is_few)
    }

    /// Of a partitioned table the server says that it has nothing, where it is asked; otherwise that is known of its partitions.
    fn has_itself_up_to(&self, rows: u64, name: &Name) -> bool {
        let more = match self.filled.get(name) {
            Some(None) => return false,
            Some(Some(more)) => *more,
            None => 0,
        };
        if let Some(size) = self.facts.sizes.get(name) {
            self.tell_of(name);
            return size.rows.saturating_add(more) <= rows;
        }
        let is_partitioned = self.context.relations.get(name).is_some_and(|known| known.partitioned);
        is_partitioned && self.context.children(name).next().is_some()
    }

    /// Whether a table by itself, without what inherits from it, is known to have few rows.
    pub(crate) fn is_small_itself(&self, relation: &ObjectRef) -> bool {
        self.has_itself_up_to(SMALL, &self.name_of(relation))
    }

    /// Whether it is partitioned, and so has no rows of its own.
    pub(crate) fn is_partitioned(&self, relation: &ObjectRef) -> bool {
        self.relation(relation).is_some_and(|known| known.partitioned)
    }

    /// The tables whose rows are those of this one: itself, and with `heirs` what inherits from it.
    pub(crate) fn holders(&self, table: &ObjectRef, heirs: bool) -> Vec<ObjectRef> {
        let name = self.context.resolve(table);
        let heirs = if heirs { self.context.descendants(&name) } else { Vec::new() };
        let heirs = heirs.iter().map(relation_of);
        let all = std::iter::once(table.clone()).chain(heirs);
        all.filter(|one| !self.is_partitioned(one)).collect()
    }

    /// Whether a column takes no NULL, or a valid check says so: PostgreSQL then looks at no row.
    pub(crate) fn has_no_nulls(&self, table: &ObjectRef, column: &str) -> bool {
        let proves = |known: &Relation| known.has_no_nulls(column);
        self.relation(table).is_some_and(proves) || self.said_of(table).is_some_and(proves)
    }

    /// Whether a column is known that takes NULL.
    pub(crate) fn takes_null(&self, table: &ObjectRef, column: &str) -> bool {
        let takes =
            |known: &Relation| known.columns.iter().any(|known| known.name == column && !known.not_null);
        self.relation(table).is_some_and(takes) || self.said_of(table).is_some_and(takes)
    }

    /// Whether checks of a table may prove that its rows belong to a partition of another one (`is_in`), or that they do not.
    pub(crate) fn may_prove_place(&self, table: &ObjectRef, of: &ObjectRef, is_in: bool) -> bool {
        let key = self.relation(of).map(|known| known.partition_key.as_slice()).unwrap_or_default();
        let proves = |known: &Relation| known.may_prove_place(key, is_in);
        self.relation(table).is_some_and(proves) || self.said_of(table).is_some_and(proves)
    }

    /// What this run has said of a table that is not known otherwise.
    fn said_of(&self, table: &ObjectRef) -> Option<&Relation> {
        self.said.relations.get(&self.name_of(table))
    }

    /// What is known of a relation.
    pub(crate) fn relation(&self, relation: &ObjectRef) -> Option<&Relation> {
        let name = self.context.resolve(relation);
        let known = self.context.relations.get(&name).filter(|_| !self.is_somewhere(relation))?;
        self.tell_of(&name);
        Some(known)
    }

    /// What is known of a column.
    pub(crate) fn column(&self, table: &ObjectRef, column: &str) -> Option<&Column> {
        self.relation(table)?.columns.iter().find(|known| known.name == column)
    }

    /// Whether a table has row security, where that is known.
    pub(crate) fn row_security(&self, table: &Name) -> Option<bool> {
        let known = self.security.tables.get(table)?;
        self.tell_of(table);
        Some(known)
    }

    /// The policies of a table, where any are known.
    pub(crate) fn policies(&self, table: &Name) -> Option<&Vec<Policy>> {
        let known = self.security.policies.get(table)?;
        self.tell_of(table);
        Some(known)
    }

    /// The options of a view, where it is known.
    pub(crate) fn view_options(&self, view: &Name) -> Option<&BTreeMap<SmolStr, String>> {
        let known = self.security.views.get(view)?;
        self.tell_of(view);
        Some(known)
    }

    /// The server's version, as `server_version_num` says it; 0 where it is not known.
    pub(crate) fn server(&self) -> u32 {
        if self.is_of_database() {
            self.tell();
        }
        self.facts.server
    }

    /// The table of an index, where it is known.
    pub(crate) fn table_of_index(&self, index: &ObjectRef) -> Option<ObjectRef> {
        let table = self.context.indexed(&self.context.resolve(index))?;
        Some(ObjectRef::new(ObjectKind::Table, Some(table.schema.clone()), table.name.clone()))
    }

    /// The default partition of a partitioned table, where it is known.
    pub(crate) fn default_partition(&self, parent: &ObjectRef) -> Option<ObjectRef> {
        let parent = self.context.resolve(parent);
        let mut children = self.context.children(&parent);
        children.find(|(_, child)| child.is_default).map(|(name, _)| relation_of(name))
    }

    /// The tables with columns of a domain; none where the domain, and so who uses it, is not known.
    pub(crate) fn users_of_domain(&self, domain: &ObjectRef) -> Option<Vec<ObjectRef>> {
        let name = self.context.resolve(domain);
        self.context.domains.get(&name)?;
        Some(self.context.using(&name).into_iter().map(relation_of).collect())
    }

    /// The server's major version; 0 where it is not known.
    pub(crate) fn major(&self) -> u32 {
        match self.facts.server / 10_000 {
            0 => self.context.server_major,
            major => major,
        }
    }

    /// What statements make, and what they take away.
    pub(crate) fn change_by(&self, nodes: &[&NodeEnum], effects: &Effects) -> Change {
        let is_relation = |object: &&ObjectRef| object.kind.family() == ObjectKind::Relation;
        let moves = nodes
            .iter()
            .any(|node| matches!(node, NodeEnum::RenameStmt(_) | NodeEnum::AlterObjectSchemaStmt(_)));
        let made = || effects.creates.iter().filter(|object| moves || self.is_made_by(effects, object));
        let places = made().filter(is_relation).filter(|object| object.kind != ObjectKind::Index);
        let others = made().filter(|object| !is_relation(object));
        let late = effects.late.iter().map(|reference| &reference.object).filter(is_relation);
        // What is not learnt: sequences, foreign tables, what code makes.
        let is_learnt = |object: &&ObjectRef| {
            matches!(object.kind, ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView)
        };
        let unknown = effects.creates.iter().filter(|object| !is_learnt(object));
        let perhaps = unknown.chain(&effects.late_creates).chain(&effects.chosen);
        // CASCADE takes away, and makes nothing.
        let is_opaque = effects.opaque.as_ref().is_some_and(|why| !why.starts_with("CASCADE"));
        Change {
            new: places.map(|object| self.new_name(object)).collect(),
            others: others.map(|object| self.key(object)).collect(),
            gone: effects.drops.clone(),
            moves,
            mentions: late
                .filter(|object| !effects.late_creates.iter().any(|made| made.name == object.name))
                .map(|object| Name {
                    schema: object.schema.clone().unwrap_or_default(),
                    name: object.name.clone(),
                })
                .collect(),
            perhaps: perhaps.map(|object| object.name.clone()).collect(),
            anything: is_opaque || nodes.iter().any(|node| makes_more(node, effects)),
            path: self.path_set_by(nodes, effects),
        }
    }

    /// Whether what a statement creates was not there before: with IF NOT EXISTS and OR REPLACE it may have been.
    fn is_made_by(&self, effects: &Effects, object: &ObjectRef) -> bool {
        if effects.must_be_new {
            return true;
        }
        match object.kind.family() {
            ObjectKind::Relation if self.is_somewhere(object) => false,
            ObjectKind::Relation => self.context.relation(object).is_none(),
            ObjectKind::Schema | ObjectKind::Extension => false,
            ObjectKind::Column => {
                let table = object.table.clone().unwrap_or_default();
                let table = ObjectRef::new(ObjectKind::Relation, object.schema.clone(), table);
                self.context.column(&table, &object.name).is_none()
            }
            _ => !effects.alters.contains(object),
        }
    }

    /// Learns what statements leave behind.
    pub(crate) fn learn(&mut self, nodes: &[&NodeEnum], change: Change) {
        self.learn_once_or_often(nodes, change, false);
    }

    /// Learns what statements leave behind that may run many times, where it `repeats`.
    fn learn_once_or_often(&mut self, nodes: &[&NodeEnum], change: Change, repeats: bool) {
        let mut was_new = false;
        for object in &change.gone {
            was_new |= if object.kind.family() == ObjectKind::Relation {
                self.made.remove(&self.name_of(object))
            } else {
                self.made_others.remove(&self.key(object))
            };
        }
        for node in nodes {
            self.security.learn(node, &change.mentions, &self.context);
            self.learn_what_is_said(node);
            self.learn_what_is_filled(node);
            self.learn_what_is_prepared(node);
            self.learn_what_is_lost(node);
            // Without a database nobody knows what was empty.
            if self.is_of_database() {
                self.fill(node, repeats);
            }
            self.context.statement(node);
            self.move_what_is_made(node);
        }
        // What is called otherwise from now on is as new as it was.
        if was_new || !change.moves {
            self.made.extend(change.new);
            self.made_others.extend(change.others);
        }
        self.perhaps.extend(change.perhaps);
        self.anything |= change.anything;
        match change.path {
            Path::AsBefore => {}
            Path::Known(path, pinned) => {
                self.context.search_path = path;
                self.security.pinned = pinned;
                self.doubts_path(false);
            }
            Path::Unknown => {
                self.security.pinned = false;
                self.doubts_path(true);
            }
        }
    }

    /// Where names without a schema are looked for is not known from now on, or is.
    fn doubts_path(&mut self, doubts: bool) {
        self.is_doubtful = doubts;
        // What was made somewhere may not be what is found now.
        self.made.retain(|name| name.schema != SOMEWHERE);
    }

    /// A file ends: the next one begins with a session of its own.
    pub(crate) fn end_file(&mut self) {
        self.context.search_path.clone_from(&self.path);
        self.security.pinned = false;
        self.doubts_path(false);
        self.prepared.clear();
        self.lose_temporary();
    }

    /// What becomes of the session's search path: that of a function is its own.
    fn path_set_by(&self, nodes: &[&NodeEnum], effects: &Effects) -> Path {
        use VariableSetKind as Kind;
        let is_back = |node: &&NodeEnum| match node {
            NodeEnum::VariableSetStmt(set) => match set.kind() {
                Kind::VarResetAll => true,
                Kind::VarReset | Kind::VarSetDefault => set.name.eq_ignore_ascii_case("search_path"),
                _ => false,
            },
            NodeEnum::DiscardStmt(discard) => discard.target() == DiscardMode::DiscardAll,
            _ => false,
        };
        if nodes.iter().any(is_back) {
            return Path::Known(self.path.clone(), false);
        }
        let of_session =
            |node: &&NodeEnum| matches!(node, NodeEnum::VariableSetStmt(_) | NodeEnum::SelectStmt(_));
        let setting = effects.settings.iter().rfind(|setting| setting.name == "search_path");
        let Some(setting) = setting.filter(|_| nodes.iter().any(of_session)) else { return Path::AsBefore };
        let Some(values) = &setting.values else { return Path::Unknown };
        let pinned = security::is_pinned(values.iter().map(String::as_str));
        let is_schema = |value: &&String| !value.is_empty() && *value != "$user";
        Path::Known(values.iter().filter(is_schema).cloned().collect(), pinned)
    }

    /// Learns what a statement of a block leaves behind, as far as it has run where it stands.
    pub(crate) fn learn_in_block(&mut self, node: &NodeEnum, change: Change, branches: &mut Branches) {
        let only_rows = matches!(
            node,
            NodeEnum::SelectStmt(_)
                | NodeEnum::InsertStmt(_)
                | NodeEnum::UpdateStmt(_)
                | NodeEnum::DeleteStmt(_)
                | NodeEnum::MergeStmt(_)
        );
        if only_rows && change.is_nothing() || branches.learn(self) {
            self.learn_once_or_often(&[node], change, branches.repeat());
        } else {
            self.anything = true;
        }
    }

    /// A block begins, of which all that it runs is known: what is not there is known until it ends. Gives what it has to be
    /// ended with.
    pub(crate) fn begin_block(&mut self, was_complete: bool) -> bool {
        std::mem::replace(&mut self.anything, !was_complete)
    }

    /// A block ends.
    pub(crate) fn end_block(&mut self, anything: bool) {
        self.anything |= anything;
    }

    /// Whether there is nothing but what is known, also where nobody has asked the database.
    pub(crate) fn is_closed(&self) -> bool {
        !self.anything
    }

    /// Whether a materialized view is known to hold nothing yet: it can be read once it was refreshed.
    pub(crate) fn is_unfilled(&self, view: &ObjectRef) -> bool {
        self.unfilled.contains(&self.context.resolve(view))
    }

    /// What is temporary goes with the session.
    fn lose_temporary(&mut self) {
        if self.context.forget_temporary() {
            self.made.retain(|name| name.schema != TEMPORARY_SCHEMA);
        }
    }

    /// What is taken back or discarded is not what was made.
    fn learn_what_is_lost(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::TransactionStmt(statement)
                if matches!(statement.kind(), Ends::TransStmtRollback | Ends::TransStmtRollbackTo) =>
            {
                self.made.clear();
                self.made_others.clear();
                self.is_doubtful |= self.context.search_path != self.path;
            }
            NodeEnum::DiscardStmt(discard)
                if matches!(discard.target(), DiscardMode::DiscardAll | DiscardMode::DiscardTemp) =>
            {
                self.lose_temporary();
            }
            _ => {}
        }
    }

    /// A statement that the session has prepared.
    pub(crate) fn prepared(&self, name: &str) -> Option<&NodeEnum> {
        self.prepared.get(name)
    }

    fn learn_what_is_prepared(&mut self, node: &NodeEnum) {
        match node {
            NodeEnum::PrepareStmt(prepare) => {
                if let Some(query) = prepare.query.as_deref().and_then(|query| query.node.clone()) {
                    self.prepared.insert(prepare.name.clone(), query);
                }
            }
            NodeEnum::DeallocateStmt(free) if free.isall => self.prepared.clear(),
            NodeEnum::DeallocateStmt(free) => {
                self.prepared.remove(&free.name);
            }
            _ => {}
        }
    }

    fn learn_what_is_filled(&mut self, node: &NodeEnum) {
        let (view, filled) = match node {
            NodeEnum::CreateTableAsStmt(create) => {
                let Some(into) = &create.into else { return };
                (&into.rel, !into.skip_data)
            }
            NodeEnum::RefreshMatViewStmt(refresh) => (&refresh.relation, !refresh.skip_data),
            _ => return,
        };
        let Some(view) = view else { return };
        let view = self.context.resolve(&names::relation(ObjectKind::MaterializedView, view));
        if filled {
            self.unfilled.remove(&view);
        } else {
            self.unfilled.insert(view);
        }
    }

    /// What this run has made in a schema is new under the schema's new name too.
    fn move_what_is_made(&mut self, node: &NodeEnum) {
        let NodeEnum::RenameStmt(rename) = node else { return };
        if rename.rename_type() != ObjectType::ObjectSchema {
            return;
        }
        let is_within = |name: &&Name| name.schema == rename.subname;
        let moved: Vec<Name> = self.made.iter().filter(is_within).cloned().collect();
        let renamed = |name: Name| Name { schema: rename.newname.as_str().into(), ..name };
        self.made.extend(moved.into_iter().map(renamed));
    }

    /// Constraints of a table that nothing is known of, so that a later statement can rely on them.
    fn learn_what_is_said(&mut self, node: &NodeEnum) {
        let table = match node {
            NodeEnum::AlterTableStmt(alter) => alter.relation.as_ref(),
            NodeEnum::RenameStmt(rename) => rename.relation.as_ref(),
            _ => None,
        };
        let Some(table) = table.map(|table| names::relation(ObjectKind::Table, table)) else { return };
        if self.context.relation(&table).is_some() {
            return;
        }
        let name = self.context.resolve(&table);
        if !self.said.relations.contains_key(&name) {
            self.said.insert(&name, Relation::default());
        }
        self.said.search_path.clone_from(&self.context.search_path);
        self.said.statement(node);
    }
}

/// A relation by its name.
pub(crate) fn relation_of(name: &Name) -> ObjectRef {
    ObjectRef::new(ObjectKind::Relation, Some(name.schema.clone()), name.name.clone())
}

/// Whether a statement makes relations that are not learnt one by one.
fn makes_more(node: &NodeEnum, effects: &Effects) -> bool {
    match node {
        NodeEnum::CreateExtensionStmt(_) | NodeEnum::ImportForeignSchemaStmt(_) => true,
        NodeEnum::CreateSchemaStmt(create) => !create.schema_elts.is_empty(),
        // SELECT … INTO
        NodeEnum::SelectStmt(_) => !effects.creates.is_empty(),
        _ => false,
    }
}

/// What statements make, and what they take away.
#[derive(Debug)]
pub(crate) struct Change {
    /// Relations.
    new: Vec<Name>,
    /// What else there is.
    others: Vec<ObjectRef>,
    gone: Vec<ObjectRef>,
    /// What is new has only another name.
    moves: bool,
    /// Relations that bodies of functions name, with no schema where they name none.
    mentions: Vec<Name>,
    perhaps: Vec<SmolStr>,
    anything: bool,
    path: Path,
}

/// What becomes of the search path.
#[derive(Debug)]
enum Path {
    AsBefore,
    /// With whether it is the same whoever runs it.
    Known(Vec<String>, bool),
    Unknown,
}

impl Change {
    /// Whether there is nothing to learn of a statement that only reads or writes rows.
    pub(crate) fn is_nothing(&self) -> bool {
        self.new.is_empty()
            && self.others.is_empty()
            && self.gone.is_empty()
            && matches!(self.path, Path::AsBefore)
    }
}
