//! What is known before a statement: of the statements before it, and of the database.

use std::collections::{BTreeMap, HashSet};

use pg_query::NodeEnum;

use crate::effects::{
    Context, Effects, Name, ObjectKind, ObjectRef, Relation, SmolStr, TEMPORARY_SCHEMA, names,
};
use crate::schema::Schema;

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
    /// Relations and domains that statements of this run have made.
    made: HashSet<Name>,
    /// Schemas that statements of this run have made.
    made_schemas: HashSet<SmolStr>,
    /// Columns that statements of this run have added.
    made_columns: HashSet<(Name, SmolStr)>,
    /// What statements of this run have said of tables that are not known otherwise: some of their constraints and indexes.
    said: Context,
}

impl Known {
    /// What is there before the first statement.
    pub fn new(context: Context, facts: Facts) -> Self {
        Self { context, facts, ..Self::default() }
    }

    /// Whether a statement of this run made the relation: nobody else uses it yet, and it holds what the run put in.
    pub(crate) fn is_new(&self, relation: &ObjectRef) -> bool {
        // A temporary table hides others of its name.
        let temporary =
            || Name { schema: SmolStr::new_static(TEMPORARY_SCHEMA), name: relation.name.clone() };
        relation.is_temporary()
            || self.made.contains(&self.context.resolve(relation))
            || relation.schema.is_none() && self.made.contains(&temporary())
    }

    /// Whether a statement of this run made the schema.
    pub(crate) fn is_new_schema(&self, schema: &str) -> bool {
        self.made_schemas.contains(schema)
    }

    /// Whether a statement of this run has added the column.
    pub(crate) fn is_new_column(&self, table: &ObjectRef, column: &str) -> bool {
        self.made_columns.contains(&(self.context.resolve(table), column.into()))
    }

    /// Whether it is known that a table of the database has few rows.
    pub(crate) fn is_small(&self, relation: &ObjectRef) -> bool {
        self.has_up_to(SMALL, relation)
    }

    /// Whether it is known that a table of the database has no rows.
    pub(crate) fn is_empty(&self, relation: &ObjectRef) -> bool {
        self.has_up_to(0, relation)
    }

    /// A partitioned table has what its partitions have; what the server says of the table itself may be nothing.
    fn has_up_to(&self, rows: u64, relation: &ObjectRef) -> bool {
        let name = self.context.resolve(relation);
        let few = |name: &Name| self.facts.sizes.get(name).is_some_and(|size| size.rows <= rows);
        let is_partitioned =
            |name: &Name| self.context.relations.get(name).is_some_and(|known| known.partitioned);
        if !is_partitioned(&name) {
            return few(&name);
        }
        let mut parts = self.context.descendants(&name);
        parts.retain(|part| !is_partitioned(part));
        !parts.is_empty() && parts.iter().all(|part| self.made.contains(part) || few(part))
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
        let proves = |known: &Relation| {
            known.columns.iter().any(|known| known.name == column && known.not_null)
                || known
                    .checks
                    .iter()
                    .any(|check| check.valid && check.not_null.iter().any(|of| of == column))
        };
        self.relation(table).is_some_and(proves) || self.said_of(table).is_some_and(proves)
    }

    /// Whether a column is known that takes NULL.
    pub(crate) fn takes_null(&self, table: &ObjectRef, column: &str) -> bool {
        let takes =
            |known: &Relation| known.columns.iter().any(|known| known.name == column && !known.not_null);
        self.relation(table).is_some_and(takes) || self.said_of(table).is_some_and(takes)
    }

    /// Whether some check of the table is known to hold for all rows.
    pub(crate) fn has_valid_check(&self, table: &ObjectRef) -> bool {
        let checked = |known: &Relation| known.checks.iter().any(|check| check.valid);
        self.relation(table).is_some_and(checked) || self.said_of(table).is_some_and(checked)
    }

    /// What this run has said of a table that is not known otherwise.
    fn said_of(&self, table: &ObjectRef) -> Option<&Relation> {
        self.said.relations.get(&self.context.resolve(table))
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

    /// Which relations are new behind statements, and which are gone.
    pub(crate) fn change_by<'n>(
        &self,
        nodes: impl Iterator<Item = &'n NodeEnum>,
        effects: &Effects,
    ) -> Change {
        let nodes: Vec<&NodeEnum> = nodes.collect();
        let mut new = Vec::new();
        let mut columns = Vec::new();
        let schemas = effects.creates.iter().filter(|object| object.kind == ObjectKind::Schema);
        let schemas = schemas.filter(|_| effects.must_be_new).map(|schema| schema.name.clone()).collect();
        for object in &effects.creates {
            if let (ObjectKind::Column, Some(table)) = (object.kind, &object.table) {
                let table = ObjectRef::new(ObjectKind::Table, object.schema.clone(), table.clone());
                columns.push((self.context.resolve(&table), object.name.clone()));
            }
            let is_place = object.kind.family() == ObjectKind::Relation && object.kind != ObjectKind::Index
                || object.kind == ObjectKind::Domain;
            // With IF NOT EXISTS, what is there already is no new one.
            if is_place && (effects.must_be_new || self.context.relation(object).is_none()) {
                new.push(self.context.new_name(object));
            }
        }
        let moves = nodes
            .iter()
            .any(|node| matches!(node, NodeEnum::RenameStmt(_) | NodeEnum::AlterObjectSchemaStmt(_)));
        let gone = effects.drops.iter().map(|object| self.context.resolve(object)).collect();
        Change { new, columns, schemas, gone, moves, path: path_set_by(&nodes, effects) }
    }

    /// Learns what statements leave behind.
    pub(crate) fn learn<'n>(&mut self, nodes: impl Iterator<Item = &'n NodeEnum>, change: Change) {
        let mut was_new = false;
        for name in &change.gone {
            was_new |= self.made.remove(name);
        }
        for node in nodes {
            self.learn_what_is_said(node);
            self.context.statement(node);
        }
        // A table that is called otherwise from now on is as new as it was.
        if was_new || !change.moves {
            self.made.extend(change.new);
        }
        self.made_columns.extend(change.columns);
        self.made_schemas.extend(change.schemas);
        if let Some(path) = change.path {
            self.context.search_path = path;
        }
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

/// The search path that statements set for the session: of a function it is its own.
fn path_set_by(nodes: &[&NodeEnum], effects: &Effects) -> Option<Vec<String>> {
    let of_session =
        |node: &&NodeEnum| matches!(node, NodeEnum::VariableSetStmt(_) | NodeEnum::SelectStmt(_));
    let setting = effects.settings.iter().rfind(|setting| setting.name == "search_path")?;
    let values = setting.values.as_ref().filter(|_| nodes.iter().any(of_session))?;
    let is_schema = |value: &&String| !value.is_empty() && *value != "$user";
    Some(values.iter().filter(is_schema).cloned().collect())
}

/// A relation by its name.
pub(crate) fn relation_of(name: &Name) -> ObjectRef {
    ObjectRef::new(ObjectKind::Relation, Some(name.schema.clone()), name.name.clone())
}

/// What statements change about which relations are new.
#[derive(Debug)]
pub(crate) struct Change {
    new: Vec<Name>,
    columns: Vec<(Name, SmolStr)>,
    schemas: Vec<SmolStr>,
    gone: Vec<Name>,
    moves: bool,
    path: Option<Vec<String>>,
}
