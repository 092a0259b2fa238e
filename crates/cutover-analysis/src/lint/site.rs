//! A statement as rules look at it, and where they put what they find.

use std::cell::OnceCell;

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableStmt, AlterTableType, ColumnDef, ConstrType, Constraint, IndexStmt, Node,
    ObjectType, TypeName,
};

use super::about::About;
use super::finding::{Finding, Seen, Severity};
use super::fix::Mended;
use super::known::{Known, relation_of};
use crate::effects::{Effects, Name, ObjectKind, ObjectRef, effects_of, names};
use crate::sql::{Span, Statement};

/// A statement with what is known before it.
pub(crate) struct Site<'a> {
    /// Its tree.
    pub(crate) node: &'a NodeEnum,
    /// What it does.
    pub(crate) effects: &'a Effects,
    /// What is known before it.
    pub(crate) known: &'a Known,
    /// Its text and place.
    pub(crate) statement: &'a Statement,
    /// Its number in the file, from 0.
    pub(crate) number: usize,
    /// It stands in a DO block, whose text and number these are.
    pub(crate) in_block: bool,
    /// See [`Site::typed_columns`]: several rules ask.
    typed: OnceCell<Vec<TypedColumn<'a>>>,
}

/// A column that a statement gives a type, with its table.
type TypedColumn<'a> = (ObjectRef, &'a str, &'a TypeName);

impl<'a> Site<'a> {
    /// One of the statements that a text has, in a block or not, with its number in the file.
    pub(crate) fn new(
        node: &'a NodeEnum,
        effects: &'a Effects,
        known: &'a Known,
        (statement, number): (&'a Statement, usize),
        in_block: bool,
    ) -> Self {
        Self { node, effects, known, statement, number, in_block, typed: OnceCell::new() }
    }

    /// Whether a relation is nobody else's yet: made in this run, or temporary.
    pub(crate) fn is_new(&self, relation: &ObjectRef) -> bool {
        self.known.is_new(relation)
    }

    /// The same without what inherits from it.
    pub(crate) fn is_new_itself(&self, relation: &ObjectRef) -> bool {
        self.known.is_new_itself(relation)
    }

    /// Whether to write all rows of a relation harms nobody, through a view those of what it shows.
    pub(crate) fn is_harmlessly_written(&self, relation: &ObjectRef) -> bool {
        let is_itself = |shown: &Name| *shown == self.known.context.resolve(relation);
        let shown = self.known.shown_by(relation);
        match shown.as_slice() {
            [one] if is_itself(one) => self.is_harmless(relation),
            _ => shown.iter().all(|one| self.is_harmless(&relation_of(one))),
        }
    }

    /// Whether to lock it, and to read all of it, harms nobody: it is new, or known to have few rows.
    pub(crate) fn is_harmless(&self, relation: &ObjectRef) -> bool {
        self.is_new(relation) || self.known.is_new_over_small(relation) || self.known.is_small(relation)
    }

    /// The same of a table by itself, without what inherits from it.
    pub(crate) fn is_harmless_itself(&self, relation: &ObjectRef) -> bool {
        self.is_new_itself(relation) || self.known.is_small_itself(relation)
    }

    /// Whether two names are of one relation.
    pub(crate) fn is_same(&self, one: &ObjectRef, other: &ObjectRef) -> bool {
        // Where it is looked for changes nothing of its own name.
        one.name == other.name && self.known.context.resolve(one) == self.known.context.resolve(other)
    }

    /// Whether an index is left out because there is one of its name.
    pub(crate) fn is_there(&self, index: &IndexStmt) -> bool {
        let Some(table) = index.relation.as_ref().filter(|_| index.if_not_exists) else { return false };
        let schema = names::relation(ObjectKind::Table, table).schema;
        let index = ObjectRef::new(ObjectKind::Index, schema, index.idxname.as_str());
        self.known.table_of_index(&index).is_some()
    }

    /// Whether a relation is one of the session's own.
    pub(crate) fn is_temporary(&self, relation: &ObjectRef) -> bool {
        self.known.is_temporary(relation)
    }

    /// The columns that a statement gives a type, with their tables; not those of temporary tables.
    pub(crate) fn typed_columns(&self) -> &[TypedColumn<'a>] {
        self.typed.get_or_init(|| self.find_typed_columns())
    }

    fn find_typed_columns(&self) -> Vec<TypedColumn<'a>> {
        let mut columns = Vec::new();
        if let NodeEnum::CreateStmt(create) = self.node
            && let Some(relation) = &create.relation
        {
            let table = names::relation(ObjectKind::Table, relation);
            for node in &create.table_elts {
                if let Some(NodeEnum::ColumnDef(column)) = node.node.as_ref() {
                    columns.push((table.clone(), column.colname.as_str(), column.type_name.as_ref()));
                }
            }
        }
        for (command, table) in self.commands() {
            let Some(NodeEnum::ColumnDef(column)) = definition(command) else { continue };
            // With ALTER COLUMN … TYPE the name stands outside.
            let name = if column.colname.is_empty() { &command.name } else { &column.colname };
            columns.push((table, name.as_str(), column.type_name.as_ref()));
        }
        let typed =
            columns.into_iter().filter_map(|(table, name, data_type)| Some((table, name, data_type?)));
        typed.filter(|(table, ..)| !self.is_temporary(table)).collect()
    }

    /// `ALTER TABLE` with its table, where the statement is one on a table.
    pub(crate) fn alter_table(&self) -> Option<(&'a AlterTableStmt, ObjectRef)> {
        let NodeEnum::AlterTableStmt(alter) = self.node else { return None };
        // Composite types, indexes, views and foreign tables have no rows that anybody waits for.
        let relation = alter.relation.as_ref().filter(|_| alter.objtype() == ObjectType::ObjectTable)?;
        let table = names::relation(ObjectKind::Table, relation);
        // With IF EXISTS nothing is done to what is not there.
        (!alter.missing_ok || !self.known.is_absent(&table)).then_some((alter, table))
    }

    /// The subcommands of an `ALTER TABLE`, with its table.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&'a AlterTableCmd, ObjectRef)> + use<'a> {
        self.alter_table()
            .into_iter()
            .flat_map(|(alter, table)| commands(alter).map(move |command| (command, table.clone())))
    }

    /// The constraints that an `ALTER TABLE … ADD CONSTRAINT` adds, with its table.
    pub(crate) fn added_constraints(&self) -> impl Iterator<Item = (&'a Constraint, ObjectRef)> + use<'a> {
        self.commands().filter_map(|(command, table)| match definition(command) {
            Some(NodeEnum::Constraint(constraint))
                if command.subtype() == AlterTableType::AtAddConstraint =>
            {
                Some((&**constraint, table))
            }
            _ => None,
        })
    }

    /// All constraints that an `ALTER TABLE` adds, also those that stand with new columns, to tables that others use. An
    /// addition to a partitioned table alone reads nothing and is left out.
    pub(crate) fn all_added(&self) -> Vec<Added<'a>> {
        if self.is_alone() || self.alter_table().is_none_or(|(_, table)| self.is_new(&table)) {
            return Vec::new();
        }
        let own =
            self.added_constraints().map(|(constraint, table)| Added { constraint, table, column: None });
        let of_columns = self.added_columns().flat_map(|(column, table)| {
            column_constraints(column).map(move |constraint| Added {
                constraint,
                table: table.clone(),
                column: Some(column),
            })
        });
        own.chain(of_columns).collect()
    }

    /// Whether an `ALTER TABLE ONLY` is about a partitioned table: no row is its own.
    pub(crate) fn is_alone(&self) -> bool {
        self.alter_table().is_some_and(|(alter, table)| {
            alter.relation.as_ref().is_some_and(|relation| !relation.inh) && self.known.is_partitioned(&table)
        })
    }

    /// Whether what is done to a table is passed on to what inherits from it.
    pub(crate) fn has_heirs(&self) -> bool {
        self.alter_table().is_some_and(|(alter, _)| alter.relation.as_ref().is_some_and(|one| one.inh))
    }

    /// What a subcommand of an `ALTER TABLE` would do by itself.
    pub(crate) fn effects_of(&self, command: &AlterTableCmd) -> Effects {
        let Some((alter, _)) = self.alter_table() else { return Effects::default() };
        let command = Node { node: Some(NodeEnum::AlterTableCmd(Box::new(command.clone()))) };
        let alone = AlterTableStmt {
            relation: alter.relation.clone(),
            cmds: vec![command],
            objtype: alter.objtype,
            missing_ok: alter.missing_ok,
        };
        effects_of(&NodeEnum::AlterTableStmt(alone), &self.known.context)
    }

    /// The columns that an `ALTER TABLE … ADD COLUMN` adds, with its table; with IF NOT EXISTS those that are not there yet.
    pub(crate) fn added_columns(&self) -> impl Iterator<Item = (&'a ColumnDef, ObjectRef)> + use<'a> {
        let known = self.known;
        self.commands().filter_map(move |(command, table)| match definition(command) {
            Some(NodeEnum::ColumnDef(column)) if command.subtype() == AlterTableType::AtAddColumn => {
                let is_there = || known.column(&table, &column.colname).is_some();
                (!command.missing_ok || !is_there()).then_some((&**column, table))
            }
            _ => None,
        })
    }
}

/// A constraint that `ALTER TABLE` adds.
pub(crate) struct Added<'a> {
    /// The constraint.
    pub(crate) constraint: &'a Constraint,
    /// Its table.
    pub(crate) table: ObjectRef,
    /// The new column that it stands with.
    pub(crate) column: Option<&'a ColumnDef>,
}

impl Added<'_> {
    /// Its columns; none where the text does not name them.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let foreign = self.constraint.contype() == ConstrType::ConstrForeign;
        let listed = if foreign { &self.constraint.fk_attrs } else { &self.constraint.keys };
        let named = listed.iter().filter_map(names::text);
        named.chain(self.column.map(|column| column.colname.as_str())).collect()
    }

    /// Whether rows have to satisfy it at all.
    pub(crate) fn is_enforced(&self) -> bool {
        // Behind a column this is an entry of its own.
        let mut beside = self.column.into_iter().flat_map(column_constraints);
        self.constraint.is_enforced && !beside.any(|one| one.contype() == ConstrType::ConstrAttrNotEnforced)
    }
}

/// Whether a new column has a value in the rows that are there.
pub(crate) fn has_value(column: &ColumnDef) -> bool {
    is_serial(column)
        || column_constraints(column).any(|one| match one.contype() {
            ConstrType::ConstrDefault => !one.raw_expr.as_deref().is_some_and(is_null),
            ConstrType::ConstrGenerated | ConstrType::ConstrIdentity => true,
            _ => false,
        })
}

/// Whether a column is of a type that makes a sequence.
pub(crate) fn is_serial(column: &ColumnDef) -> bool {
    let type_name = column.type_name.as_ref();
    let name = type_name.filter(|name| name.names.len() == 1).and_then(|name| name.names.first());
    name.and_then(names::text).is_some_and(|name| names::SERIAL_TYPES.contains(&name))
}

/// Whether an expression is NULL, also with a type.
pub(crate) fn is_null(node: &Node) -> bool {
    match node.node.as_ref() {
        Some(NodeEnum::AConst(constant)) => constant.isnull || constant.val.is_none(),
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_null),
        _ => false,
    }
}

/// The subcommands of an `ALTER TABLE`, or of an `ALTER` of something that is altered like a table.
pub(crate) fn commands(alter: &AlterTableStmt) -> impl Iterator<Item = &AlterTableCmd> {
    alter.cmds.iter().filter_map(|node| match node.node.as_ref() {
        Some(NodeEnum::AlterTableCmd(command)) => Some(&**command),
        _ => None,
    })
}

/// What a subcommand of `ALTER TABLE` is about.
pub(crate) fn definition(command: &AlterTableCmd) -> Option<&NodeEnum> {
    command.def.as_deref()?.node.as_ref()
}

/// The constraints that stand with a column.
pub(crate) fn column_constraints(column: &ColumnDef) -> impl Iterator<Item = &Constraint> {
    constraints(&column.constraints)
}

/// Those among the nodes that are constraints.
pub(crate) fn constraints(nodes: &[Node]) -> impl Iterator<Item = &Constraint> {
    nodes.iter().filter_map(|node| match node.node.as_ref() {
        Some(NodeEnum::Constraint(constraint)) => Some(&**constraint),
        _ => None,
    })
}

/// Where a rule puts what it finds.
pub(crate) struct Found<'a> {
    pub(super) about: &'static About,
    pub(super) severity: Severity,
    pub(super) span: Span,
    /// Places in the statement are places in the file.
    pub(super) placed: bool,
    pub(super) number: usize,
    /// The number of the file in the run, from 0.
    pub(super) file: usize,
    pub(super) said: &'a mut Said,
}

/// What rules have said of a file.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What they are sure of.
    pub(super) findings: Vec<Finding>,
    /// What is said at the end of the run, where it is still true then.
    pub(super) pending: Vec<Pending>,
}

/// What is said at the end of a run, where it is still true then.
pub(super) struct Pending {
    /// The number of its file, from 0.
    pub(super) file: usize,
    /// All but the message.
    pub(super) finding: Finding,
    /// The message.
    pub(super) still: Still,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("finding", &self.finding).finish_non_exhaustive()
    }
}

/// What is wrong when everything is known that a run leaves behind; nothing where all is well.
pub(crate) type Still = Box<dyn Fn(&Known) -> Option<String> + Send + Sync>;

impl Found<'_> {
    /// Something about the statement as a whole.
    pub(crate) fn say(&mut self, message: impl Into<String>) {
        self.say_at(-1, message);
    }

    /// Something about the part of the statement that begins at `location`, in bytes from its beginning; the statement where
    /// that is not known.
    pub(crate) fn say_at(&mut self, location: i32, message: impl Into<String>) {
        self.advise(location, message, self.about.safe);
    }

    /// The same, with other help than the rule's own.
    pub(crate) fn advise(&mut self, location: i32, message: impl Into<String>, help: impl Into<String>) {
        let finding = self.finding(location, message.into(), help.into());
        self.said.findings.push(finding);
    }

    /// Something that is wrong unless a later statement of the run puts it right.
    pub(crate) fn later(&mut self, location: i32, help: impl Into<String>, still: Still) {
        let finding = self.finding(location, String::new(), help.into());
        self.said.pending.push(Pending { file: self.file, finding, still });
    }

    /// What was said or put off last is about this object.
    pub(crate) fn last_is_about(&mut self, object: Name) {
        if let Some(later) = self.said.pending.last_mut() {
            later.finding.about = Some(object);
        }
    }

    /// What was said last is mended so, or why it is not.
    pub(crate) fn last_is_mended_by(&mut self, mended: Mended) {
        if let Some(finding) = self.said.findings.last_mut() {
            finding.fix = Some(mended);
        }
    }

    fn finding(&self, location: i32, message: String, help: String) -> Finding {
        let start = usize::try_from(location).ok().filter(|_| self.placed).map(|at| self.span.start + at);
        let start = start.filter(|at| *at < self.span.end).unwrap_or(self.span.start);
        Finding {
            code: self.about.code,
            severity: self.severity,
            offset: start - self.span.start,
            span: Span { start, end: self.span.end },
            statement: self.number,
            message,
            help,
            // Nobody has asked a database yet: what is known of it comes from statements.
            seen_by: Seen::Static,
            about: None,
            fix: None,
        }
    }

    /// Something about an earlier statement of the file.
    pub(crate) fn say_of(&mut self, number: usize, span: Span, message: impl Into<String>) {
        self.advise_of(number, span, message, self.about.safe);
    }

    /// The same, with other help than the rule's own.
    pub(crate) fn advise_of(
        &mut self,
        number: usize,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (was, at) = (self.span, self.number);
        (self.span, self.number) = (span, number);
        self.advise(-1, message, help);
        (self.span, self.number) = (was, at);
    }
}
