//! A statement as rules look at it, and where they put what they find.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableStmt, ColumnDef, Constraint, Node, TypeName};

use super::about::About;
use super::finding::{Finding, Seen, Severity};
use super::known::Known;
use crate::effects::{Effects, ObjectKind, ObjectRef, TEMPORARY_SCHEMA, names};
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
    /// It stands inside a block, whose text and place are given.
    pub(crate) within: bool,
}

impl<'a> Site<'a> {
    /// Whether a relation is nobody else's yet: made in this run, or temporary.
    pub(crate) fn is_new(&self, relation: &ObjectRef) -> bool {
        self.known.is_new(relation)
    }

    /// Whether to lock it, and to read all of it, harms nobody: it is new, or known to have few rows.
    pub(crate) fn is_harmless(&self, relation: &ObjectRef) -> bool {
        self.is_new(relation) || self.known.is_small(relation)
    }

    /// Whether two names are of one relation.
    pub(crate) fn is_same(&self, one: &ObjectRef, other: &ObjectRef) -> bool {
        self.known.context.resolve(one) == self.known.context.resolve(other)
    }

    /// Whether a relation is one of the session's own, also where it is named without its schema.
    pub(crate) fn is_temporary(&self, relation: &ObjectRef) -> bool {
        let temporary = ObjectRef { schema: Some(TEMPORARY_SCHEMA.into()), ..relation.clone() };
        relation.is_temporary()
            || relation.schema.is_none() && self.known.context.relation(&temporary).is_some()
    }

    /// The columns that a statement gives a type, with their tables; not those of temporary tables.
    pub(crate) fn typed_columns(&self) -> Vec<(ObjectRef, &'a str, &'a TypeName)> {
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
        let relation = alter.relation.as_ref()?;
        Some((alter, names::relation(ObjectKind::Table, relation)))
    }

    /// The subcommands of an `ALTER TABLE`, with its table.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&'a AlterTableCmd, ObjectRef)> + use<'a> {
        self.alter_table().into_iter().flat_map(|(alter, table)| {
            alter.cmds.iter().filter_map(move |node| match node.node.as_ref() {
                Some(NodeEnum::AlterTableCmd(command)) => Some((&**command, table.clone())),
                _ => None,
            })
        })
    }

    /// The constraints that an `ALTER TABLE … ADD CONSTRAINT` adds, with its table.
    pub(crate) fn added_constraints(&self) -> impl Iterator<Item = (&'a Constraint, ObjectRef)> + use<'a> {
        self.commands().filter_map(|(command, table)| match definition(command) {
            Some(NodeEnum::Constraint(constraint))
                if command.subtype() == pg_query::protobuf::AlterTableType::AtAddConstraint =>
            {
                Some((&**constraint, table))
            }
            _ => None,
        })
    }

    /// The columns that an `ALTER TABLE … ADD COLUMN` adds, with its table.
    pub(crate) fn added_columns(&self) -> impl Iterator<Item = (&'a ColumnDef, ObjectRef)> + use<'a> {
        self.commands().filter_map(|(command, table)| match definition(command) {
            Some(NodeEnum::ColumnDef(column))
                if command.subtype() == pg_query::protobuf::AlterTableType::AtAddColumn =>
            {
                Some((&**column, table))
            }
            _ => None,
        })
    }
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
    pub(super) number: usize,
    /// Places in the tree are not those of the text.
    pub(super) within: bool,
    pub(super) file: usize,
    pub(super) findings: &'a mut Vec<Finding>,
    pub(super) pending: &'a mut Vec<Pending>,
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
pub(super) type Still = Box<dyn Fn(&Known) -> Option<String> + Send + Sync>;

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
        self.findings.push(finding);
    }

    /// Something that is wrong unless a later statement of the run puts it right.
    pub(crate) fn later(&mut self, location: i32, help: impl Into<String>, still: Still) {
        let finding = self.finding(location, String::new(), help.into());
        self.pending.push(Pending { file: self.file, finding, still });
    }

    fn finding(&self, location: i32, message: String, help: String) -> Finding {
        let start = usize::try_from(location).ok().filter(|_| !self.within).map(|at| self.span.start + at);
        let start = start.filter(|at| *at < self.span.end).unwrap_or(self.span.start);
        Finding {
            code: self.about.code,
            severity: self.severity,
            span: Span { start, end: self.span.end },
            statement: self.number,
            message,
            help,
            seen_by: self.about.seen.first().copied().unwrap_or(Seen::Static),
        }
    }

    /// Something about an earlier statement of the file.
    pub(crate) fn say_of(&mut self, number: usize, span: Span, message: impl Into<String>) {
        let (was, at) = (self.span, self.number);
        (self.span, self.number) = (span, number);
        self.say(message);
        (self.span, self.number) = (was, at);
    }
}
