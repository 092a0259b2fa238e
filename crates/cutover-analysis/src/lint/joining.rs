//! Which actions of several `ALTER TABLE` come to the same in one statement.
//!
//! Whatever their order in it, PostgreSQL first drops, then changes types, then adds columns, then does what is left. Source: the
//! passes of `ATPrepCmd` in `tablecmds.c`. Listed is what may stand together, not what may not.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterTableCmd, AlterTableType as Type, ColumnDef, ConstrType, Constraint, DropBehavior,
};

use super::site::{column_constraints, definition, is_serial};
use crate::effects::{SmolStr, names, walk};

/// An action, as far as its order matters.
#[derive(Debug, Clone)]
pub(super) struct Action {
    kind: Kind,
    /// The column or constraint that is dropped, changed or added; empty where it has no name of its own.
    name: SmolStr,
    /// Constraints that come with a new column.
    along: Vec<SmolStr>,
    /// Columns that are mentioned.
    columns: Vec<SmolStr>,
    /// PostgreSQL chooses a name, by those that are there by then.
    chooses: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    DropColumn,
    DropConstraint,
    DropDefault,
    DropNotNull,
    Type,
    AddColumn,
    SetNotNull,
    /// A check or foreign key.
    Constraint,
    /// A key that has, or gets, an index.
    Key,
    SetDefault,
    RowSecurity,
    /// Whatever is not listed here.
    Other,
}

impl Kind {
    /// Whether it is done before all others.
    fn drops(self) -> bool {
        matches!(self, Self::DropColumn | Self::DropConstraint | Self::DropDefault | Self::DropNotNull)
    }

    /// Whether what it names is a constraint.
    fn is_of_constraint(self) -> bool {
        matches!(self, Self::DropConstraint | Self::Constraint | Self::Key)
    }
}

/// How actions come to the same in one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Together {
    AsTheyAre,
    /// That takes thought.
    Perhaps,
    Never,
}

/// How actions, and those behind them, come to the same in one statement.
pub(super) fn together(first: &[Action], then: &[Action]) -> Together {
    let pairs = first.iter().flat_map(|one| then.iter().map(move |other| one.with(other)));
    pairs.max().unwrap_or(Together::Perhaps)
}

impl Action {
    pub(super) fn of(command: &AlterTableCmd) -> Self {
        let mut action = Self {
            kind: Kind::Other,
            name: SmolStr::new(&command.name),
            along: Vec::new(),
            columns: Vec::new(),
            chooses: false,
        };
        let cascades = command.behavior() == DropBehavior::DropCascade;
        match command.subtype() {
            Type::AtDropColumn if !cascades => action.kind = Kind::DropColumn,
            Type::AtDropConstraint if !cascades => action.kind = Kind::DropConstraint,
            Type::AtColumnDefault if command.def.is_none() => action.kind = Kind::DropDefault,
            Type::AtColumnDefault => action.kind = Kind::SetDefault,
            Type::AtDropNotNull => action.kind = Kind::DropNotNull,
            Type::AtSetNotNull => action.kind = Kind::SetNotNull,
            Type::AtEnableRowSecurity
            | Type::AtDisableRowSecurity
            | Type::AtForceRowSecurity
            | Type::AtNoForceRowSecurity => action.kind = Kind::RowSecurity,
            _ => {}
        }
        match definition(command) {
            Some(NodeEnum::ColumnDef(column)) => action.column(command.subtype(), column),
            Some(NodeEnum::Constraint(constraint)) if command.subtype() == Type::AtAddConstraint => {
                action.constraint(constraint);
            }
            _ => {}
        }
        action
    }

    fn column(&mut self, kind: Type, column: &ColumnDef) {
        if kind == Type::AtAlterColumnType {
            self.kind = Kind::Type;
            self.columns = walk::columns(&column.raw_default);
            return;
        }
        self.name = SmolStr::new(&column.colname);
        let is_plain = |one: &Constraint| {
            use ConstrType::{ConstrCheck, ConstrDefault, ConstrNotnull, ConstrNull};
            matches!(one.contype(), ConstrNull | ConstrNotnull | ConstrDefault | ConstrCheck)
        };
        if kind == Type::AtAddColumn && !is_serial(column) && column_constraints(column).all(is_plain) {
            self.kind = Kind::AddColumn;
        }
        for constraint in column_constraints(column) {
            self.columns.extend(walk::columns(&constraint.raw_expr));
            let has_name =
                !matches!(constraint.contype(), ConstrType::ConstrNull | ConstrType::ConstrDefault);
            if has_name && constraint.conname.is_empty() {
                // What says that a column takes no NULL has a name from 18 on, which is its own.
                self.chooses |= constraint.contype() != ConstrType::ConstrNotnull;
            } else if has_name {
                self.along.push(SmolStr::new(&constraint.conname));
            }
        }
        self.columns.retain(|mentioned| *mentioned != self.name);
    }

    fn constraint(&mut self, constraint: &Constraint) {
        self.kind = match constraint.contype() {
            ConstrType::ConstrCheck | ConstrType::ConstrForeign => Kind::Constraint,
            ConstrType::ConstrUnique | ConstrType::ConstrPrimary => Kind::Key,
            _ => Kind::Other,
        };
        self.name = SmolStr::new(&constraint.conname);
        self.chooses = constraint.conname.is_empty();
        let listed = constraint.keys.iter().chain(&constraint.fk_attrs).chain(&constraint.pk_attrs);
        let listed = listed.chain(&constraint.including).filter_map(names::text).map(SmolStr::new);
        self.columns = walk::columns(&constraint.raw_expr).into_iter().chain(listed).collect();
    }

    /// The constraints that it is about.
    fn constraints(&self) -> impl Iterator<Item = &SmolStr> {
        let own = Some(&self.name).filter(|name| self.kind.is_of_constraint() && !name.is_empty());
        own.into_iter().chain(&self.along)
    }

    /// Whether it is about this column.
    fn is_of_column(&self, name: &SmolStr) -> bool {
        !self.kind.is_of_constraint() && self.name == *name
    }

    /// Whether both are about one column or constraint, or one mentions the other's column.
    fn meets(&self, other: &Self) -> bool {
        let is_mentioned = |one: &Self, other: &Self| {
            one.columns.iter().any(|column| other.is_of_column(column))
                || !one.kind.is_of_constraint() && other.is_of_column(&one.name)
        };
        is_mentioned(self, other)
            || is_mentioned(other, self)
            || self.constraints().any(|one| other.constraints().any(|another| one == another))
    }

    /// How this one comes to the same in one statement with one behind it.
    fn with(&self, then: &Self) -> Together {
        let meets = self.meets(then);
        let otherwise = if meets { Together::Never } else { Together::Perhaps };
        let apart = if meets { Together::Never } else { Together::AsTheyAre };
        match (self.kind, then.kind) {
            (Kind::Other, _) | (_, Kind::Other) => otherwise,
            // They go first in either case, in their order.
            (one, _) if one.drops() => Together::AsTheyAre,
            // Keys take the names of indexes, and what refers to them comes by itself.
            (Kind::Key, _) | (_, Kind::Key) => otherwise,
            // The check that proves it has to be there.
            (Kind::SetNotNull, Kind::DropConstraint) => Together::Never,
            (_, Kind::DropConstraint) if self.chooses => Together::Never,
            // What says that it takes no NULL may be a constraint.
            (Kind::AddColumn, Kind::DropConstraint) => otherwise,
            (_, other) if other.drops() => apart,
            // PostgreSQL's documentation has this very pair.
            (Kind::Type, Kind::SetDefault) => Together::AsTheyAre,
            // What a new value is found from is what was there before the statement.
            (Kind::Type, Kind::Type) => apart,
            (Kind::Type, _) | (_, Kind::Type) => otherwise,
            _ if self.chooses && then.chooses => otherwise,
            // What is added to a new column comes behind it.
            (Kind::AddColumn, Kind::SetNotNull | Kind::SetDefault | Kind::Constraint) => {
                let is_same = self.along.iter().any(|one| then.constraints().any(|other| one == other));
                if is_same { Together::Never } else { Together::AsTheyAre }
            }
            // A value that is computed from another new column.
            (Kind::AddColumn, Kind::AddColumn) => {
                if self.name == then.name {
                    Together::Never
                } else if meets {
                    Together::Perhaps
                } else {
                    apart
                }
            }
            (Kind::RowSecurity, Kind::RowSecurity)
            | (Kind::Constraint, Kind::SetNotNull | Kind::SetDefault)
            | (Kind::SetNotNull | Kind::SetDefault, Kind::Constraint)
            | (Kind::SetNotNull, Kind::SetDefault)
            | (Kind::SetDefault, Kind::SetNotNull) => Together::AsTheyAre,
            _ => apart,
        }
    }
}
