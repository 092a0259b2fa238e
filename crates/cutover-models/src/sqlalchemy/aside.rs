//! What is made in ways that are not followed: in functions, by `type(…)`, and added to a table from beside its class. Each is named
//! with its line, and what it may add to a table is left open of it.

use super::classes::{self, Kind};
use super::columns::is_column;
use super::known::{Found, Known, last_of};
use crate::model::{Aspect, Models, Place};
use crate::python::{Argument, Class, Expression, Function, Module, Statement, positional};

/// What of a table may be more than its class says.
type Open = &'static [Aspect];

const COLUMNS: Open = &[Aspect::Columns];
const CONSTRAINTS: Open = &[Aspect::Unique, Aspect::Check, Aspect::ForeignKey];

/// Calls in a class that make no column.
const NO_COLUMN: &[&str] = &[
    "relationship",
    "dynamic_loader",
    "relation",
    "backref",
    "association_proxy",
    "synonym",
    "composite",
    "column_property",
    "query_expression",
    "query_property",
    "hybrid_property",
    "declared_attr",
    "deferred",
    "field",
    "declarative_base",
    "partial",
    "property",
    "staticmethod",
    "classmethod",
    "Index",
    "UniqueConstraint",
    "CheckConstraint",
    "registry",
];

/// Names what stands beside the classes, in modules and in functions.
pub(super) fn read(known: &Known<'_>, labels: &[(String, usize)], models: &mut Models) {
    for module in known.modules {
        let aside = Aside { known, module, labels };
        for statement in &module.statements {
            match statement {
                Statement::Function(function) => aside.function(function, models),
                Statement::Class(class) => aside.within(class, models),
                other => aside.statement(other, models),
            }
        }
    }
}

struct Aside<'k> {
    known: &'k Known<'k>,
    module: &'k Module,
    labels: &'k [(String, usize)],
}

impl Aside<'_> {
    fn say(&self, line: u32, what: String, models: &mut Models) {
        models.unsupported(Place::new(&self.module.path, line), what);
    }

    /// What stands in a class and is none of its columns.
    fn within(&self, class: &Class, models: &mut Models) {
        for statement in &class.body {
            match statement {
                Statement::Class(inner) => self.within(inner, models),
                Statement::Assign { value: Some(value), line, .. } if !is_table(self.module, value) => {
                    self.tables(value, *line, models);
                }
                _ => {}
            }
            if let Statement::Function(function) = statement
                && !function.decorators.iter().any(|one| one.shown().contains("declared_attr"))
            {
                self.function(function, models);
            }
        }
    }

    /// What a function makes: how often it is called, and with what, is not known.
    fn function(&self, function: &Function, models: &mut Models) {
        let name = &function.name;
        for statement in &function.body {
            match statement {
                Statement::Class(class) => {
                    let found = Found { module: self.module, class };
                    let kind = classes::kind(self.known, found);
                    match (&kind, class.value("__table__")) {
                        (Kind::Table { name, .. }, _) => {
                            models.perhaps.push((self.known.schema.clone(), name.clone()));
                        }
                        (Kind::Imperative, Some(value)) => self.perhaps(value, class.line, models),
                        (Kind::Imperative | Kind::Unnamed(_), _) => self.any_table(class.line, models),
                        _ => {}
                    }
                    if !matches!(kind, Kind::Other) {
                        let what = format!(
                            "the model {} that {name}() makes: which tables there are of it is not known",
                            class.name
                        );
                        self.say(class.line, what, models);
                    }
                }
                Statement::Function(inner) => self.function(inner, models),
                Statement::Assign { value: Some(value), line, .. } | Statement::Bare(value, line)
                    if is_table(self.module, value) =>
                {
                    self.perhaps(value, *line, models);
                    self.say(*line, format!("a table that {name}() makes: {}", value.shown()), models);
                }
                other => self.statement(other, models),
            }
        }
        if let Some(value) = &function.returns {
            if is_table(self.module, value) {
                let what = format!("a table that {name}() makes: {}", value.shown());
                self.perhaps(value, function.line, models);
                self.say(function.line, what, models);
            } else if self.is_made_class(value) {
                self.perhaps(value, function.line, models);
                self.say(function.line, format!("a model that {name}() makes: {}", value.shown()), models);
            }
        }
    }

    /// Tables that are made somewhere inside a value: `relationship(secondary=Table(…))`, `{"a": Table(…)}`.
    fn tables(&self, value: &Expression, line: u32, models: &mut Models) {
        if is_table(self.module, value) {
            self.perhaps(value, line, models);
            return self.say(
                line,
                format!("a table that is made inside something else: {}", value.shown()),
                models,
            );
        }
        match value {
            Expression::Call { function, arguments, .. } => {
                self.tables(function, line, models);
                for argument in arguments {
                    self.tables(&argument.value, argument.line, models);
                }
            }
            Expression::List(items) => items.iter().for_each(|item| self.tables(item, line, models)),
            Expression::Dictionary(pairs) => {
                for (_, item) in pairs {
                    self.tables(item, line, models);
                }
            }
            Expression::Member(value, _) | Expression::Subscript { value, .. } => {
                self.tables(value, line, models);
            }
            Expression::Other(text) if text.contains("Table(") && text.contains("Column(") => {
                self.any_table(line, models);
                self.say(line, format!("a table that is made inside something else: {text}"), models);
            }
            _ => {}
        }
    }

    fn statement(&self, statement: &Statement, models: &mut Models) {
        if let Statement::Assign { value: Some(value), line, .. }
        | Statement::Bare(value, line)
        | Statement::Put { value, line, .. } = statement
            && !is_table(self.module, value)
        {
            self.tables(value, *line, models);
        }
        match statement {
            Statement::Assign { target, value: Some(value), line, .. } => {
                if self.is_made_class(value) {
                    self.perhaps(value, *line, models);
                    self.say(*line, format!("the model {target} = {}", value.shown()), models);
                } else if let Some((owner, _)) = target.rsplit_once('.')
                    && self.is_model(owner)
                    && makes_column(self.known, self.module, value)
                {
                    let what = format!("a column behind its class: {target} = {}", value.shown());
                    self.open(owner, COLUMNS, *line, what, models);
                }
            }
            Statement::Put { target, value, line }
                if self.is_made_class(value) || is_table(self.module, value) =>
            {
                self.perhaps(value, *line, models);
                self.say(*line, format!("the model {} = {}", target.shown(), value.shown()), models);
            }
            Statement::Bare(value, line) => self.bare(value, *line, models),
            _ => {}
        }
    }

    fn bare(&self, value: &Expression, line: u32, models: &mut Models) {
        let Expression::Call { function, arguments, .. } = value else { return };
        if self.is_made_class(value) {
            self.perhaps(value, line, models);
            return self.say(line, format!("a model: {}", value.shown()), models);
        }
        let (owner, method) = match function.as_ref() {
            Expression::Name(name) => name.rsplit_once('.').unwrap_or(("", name)),
            Expression::Member(_, method) => ("", method.as_str()),
            _ => return,
        };
        let owner = ["metadata", "__table__", "c"].iter().fold(owner, |owner, part| {
            owner.strip_suffix(part).and_then(|rest| rest.strip_suffix('.')).unwrap_or(owner)
        });
        let shown = value.shown();
        match method {
            // Classes without a base that are made into models from beside.
            "map_declaratively" => self.say(line, shown, models),
            "append_column" => self.open(owner, COLUMNS, line, shown, models),
            "append_constraint" => self.open(owner, CONSTRAINTS, line, shown, models),
            "setattr" => {
                let mut given = positional(arguments).map(|argument| &argument.value);
                if let (Some(Expression::Name(owner)), _, Some(value)) =
                    (given.next(), given.next(), given.next())
                    && (self.is_model(owner) || makes_column(self.known, self.module, value))
                    && !matches!(value, Expression::Text(_) | Expression::Number(_) | Expression::Flag(_))
                {
                    self.open(owner, COLUMNS, line, shown, models);
                }
            }
            "listen" | "listens_for" if makes_ddl(arguments) => self.say(line, shown, models),
            _ => {}
        }
    }

    /// The table of a call that makes one, or a class, where its name is said: there may be it. Otherwise there may be any.
    fn perhaps(&self, value: &Expression, line: u32, models: &mut Models) {
        let name = value.call().and_then(|(function, arguments)| match function {
            "Table" => positional(arguments).next().map(|first| &first.value),
            _ => arguments.iter().find_map(|argument| match &argument.value {
                Expression::Dictionary(pairs) => {
                    let own = pairs.iter().find(|(key, _)| key.text() == Some("__tablename__"));
                    own.map(|(_, value)| value)
                }
                _ => None,
            }),
        });
        match name.and_then(|name| self.known.value(self.module, name).text()) {
            Some(name) => models.perhaps.push((self.known.schema.clone(), name.to_owned())),
            None => self.any_table(line, models),
        }
    }

    fn any_table(&self, line: u32, models: &mut Models) {
        models.may_have_any(Place::new(&self.module.path, line));
    }

    fn is_model(&self, name: &str) -> bool {
        let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
        self.labels.iter().any(|(label, _)| label == last)
    }

    /// Names something, and leaves open what it may add to a table.
    fn open(&self, owner: &str, aspects: Open, line: u32, what: String, models: &mut Models) {
        let last = owner.rsplit_once('.').map_or(owner, |(_, last)| last);
        let at = self.labels.iter().find(|(label, _)| label == last).map(|(_, at)| *at);
        match at.and_then(|at| models.tables.get_mut(at)) {
            Some(table) => table.unstated.extend(aspects),
            // Which table it is cannot be told: it may be any.
            None => models.tables.iter_mut().for_each(|table| table.unstated.extend(aspects)),
        }
        self.say(line, what, models);
    }

    /// `type("Name", (Base,), {…})` of something that is a model.
    fn is_made_class(&self, value: &Expression) -> bool {
        let Some(("type" | "new_class" | "make_dataclass" | "create_model", arguments)) = value.call() else {
            return false;
        };
        let bases = arguments.iter().find_map(|argument| match &argument.value {
            Expression::List(bases) => Some(bases.as_slice()),
            _ => None,
        });
        let is_base = |base: &Expression| {
            let named = base.name().filter(|name| classes::is_base(self.known, self.module, name));
            named.is_some() || base.name().is_some_and(|name| self.is_model(name))
        };
        bases.is_some_and(|bases| bases.iter().any(is_base))
    }
}

/// `Table(…)` of SQLAlchemy, and not of one that draws tables.
pub(super) fn is_table(module: &Module, value: &Expression) -> bool {
    let Expression::Call { function, arguments, .. } = value else { return false };
    let mut given = positional(arguments);
    let has_columns =
        || arguments.iter().any(|argument| argument.value.call().is_some_and(|(name, _)| is_column(name)));
    last_of(module, function).as_deref() == Some("Table")
        && (given.nth(1).is_some_and(|second| {
            second.value.last_name().is_some_and(|name| name.to_ascii_lowercase().ends_with("metadata"))
        }) || has_columns())
}

/// A call that makes no column.
pub(super) fn is_no_column(name: &str) -> bool {
    NO_COLUMN.contains(&name) || name.contains("relationship")
}

fn makes_ddl(arguments: &[Argument]) -> bool {
    arguments.iter().any(|argument| argument.value.shown().contains("DDL("))
}

/// Whether a value is, or may be, a column: one that is said, or what a function of the files makes that is not known to be another
/// thing.
pub(super) fn makes_column(known: &Known<'_>, module: &Module, value: &Expression) -> bool {
    match value {
        Expression::Other(text) => ["Column(", "mapped_column("].iter().any(|call| text.contains(call)),
        Expression::List(items) => items.iter().any(|item| makes_column(known, module, item)),
        Expression::Subscript { value, .. } => makes_column(known, module, known.value(module, value)),
        Expression::Dictionary(pairs) => pairs.iter().any(|(_, item)| makes_column(known, module, item)),
        Expression::Call { function, .. } => {
            let name = last_of(module, function).unwrap_or_default();
            if is_column(&name) {
                return true;
            }
            if is_no_column(&name) {
                return mentions_column(value);
            }
            match known.function(module, function) {
                Some(made) => {
                    let returned = made.returns.as_ref().and_then(Expression::call);
                    returned.is_none_or(|(name, _)| !is_no_column(name))
                }
                None => may_make_column(known, module, function, &name),
            }
        }
        _ => false,
    }
}

/// Whether a column is made somewhere inside a value, but for those of another table.
fn mentions_column(value: &Expression) -> bool {
    match value {
        Expression::Call { function, arguments, .. } => {
            let name = function.last_name().unwrap_or_default();
            name != "Table"
                && (is_column(name)
                    || mentions_column(function)
                    || arguments.iter().any(|argument| mentions_column(&argument.value)))
        }
        Expression::List(items) => items.iter().any(mentions_column),
        Expression::Member(value, _) | Expression::Subscript { value, .. } => mentions_column(value),
        Expression::Other(text) => ["Column(", "mapped_column("].iter().any(|call| text.contains(call)),
        _ => false,
    }
}

/// Whether a call makes a column that is to no function of the files: `col = partial(mapped_column, …)`, a lambda, or one that is
/// called after columns.
fn may_make_column(known: &Known<'_>, module: &Module, function: &Expression, name: &str) -> bool {
    let value = known.value(module, function);
    if matches!(value, Expression::Other(text) if text.starts_with("lambda")) {
        return makes_column(known, module, value);
    }
    let of_partial = value.call().filter(|(name, _)| *name == "partial");
    match of_partial.and_then(|(_, arguments)| positional(arguments).next()) {
        Some(first) => first.value.last_name().is_some_and(is_column),
        None => name.to_ascii_lowercase().contains("column"),
    }
}
