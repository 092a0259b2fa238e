//! Which classes are tables, and what they are made of.

use std::collections::BTreeSet;

use super::arguments::{self, part, table_arguments, table_keyword};
use super::aside;
use super::columns::{self, At, is_column};
use super::given;
use super::known::{Found, Known, MADE_BASES};
use super::naming::Parts;
use crate::model::{Aspect, Models, Place, Table};
use crate::python::{Class, Expression, Module, Statement, keyword, positional};

/// What classes inherit from, of which files say nothing.
const BASES: &[&str] =
    &["SQLModel", "DeclarativeBase", "DeclarativeBaseNoMeta", "MappedAsDataclass", "Model"];

pub(super) fn read(known: &Known<'_>, models: &mut Models) {
    let mut labels: Vec<(String, usize)> = Vec::new();
    let mut inheritors: Vec<(Found<'_>, String)> = Vec::new();
    let mut imperative: Vec<Found<'_>> = Vec::new();
    for module in known.modules {
        for statement in &module.statements {
            match statement {
                Statement::Class(class) => {
                    let mut of = Read {
                        labels: &mut labels,
                        inheritors: &mut inheritors,
                        imperative: &mut imperative,
                    };
                    of.class(known, Found { module, class }, models);
                }
                Statement::Assign { target, value: Some(value), line, .. } => {
                    table_call(known, (module, target, *line), value, &mut labels, models);
                }
                Statement::Bare(value, line) => {
                    table_call(known, (module, "", *line), value, &mut labels, models);
                }
                _ => {}
            }
        }
    }
    for found in imperative {
        of_imperative(known, found, &mut labels, models);
    }
    let mut done: Vec<&Class> = Vec::new();
    for (found, parent) in inheritors {
        let Some((_, at)) = labels.iter().find(|(class, _)| *class == parent) else { continue };
        let Some(mut table) = models.tables.get_mut(*at).map(std::mem::take) else { continue };
        let inherited = inherited(known, found);
        let own = known
            .ancestry(found)
            .into_iter()
            .filter(|one| !inherited.iter().chain(&done).any(|known| std::ptr::eq(*known, one.class)));
        let own: Vec<Found<'_>> = own.collect();
        all_fields(known, &own, false, &mut table, models);
        done.extend(own.iter().map(|one| one.class));
        labels.push((found.class.name.clone(), *at));
        if let Some(place) = models.tables.get_mut(labels.last().map_or(0, |(_, at)| *at)) {
            *place = table;
        }
    }
    beside(known, &labels, models);
    aside::read(known, &labels, models);
    for table in &mut models.tables {
        // Of several columns none numbers the rows unless it says so.
        if table.primary_key.len() > 1 {
            let numbering = known.numbering.borrow();
            for column in table.columns.iter_mut().filter(|column| !numbering.contains(&column.place)) {
                column.identity = column.identity.filter(|own| *own != crate::model::Identity::Serial);
            }
        }
        if !table.primary_key.is_empty() {
            let own = table.primary_key_name.clone();
            table.primary_key_name =
                known.naming.name("pk", Parts::of(table, &table.primary_key, own.as_deref()));
        }
    }
    arguments::resolve(models, &labels);
}

/// What is read of classes, in the order of the files.
struct Read<'r, 'a> {
    labels: &'r mut Vec<(String, usize)>,
    inheritors: &'r mut Vec<(Found<'a>, String)>,
    imperative: &'r mut Vec<Found<'a>>,
}

impl<'a> Read<'_, 'a> {
    /// A class and those that stand in it.
    fn class(&mut self, known: &Known<'a>, found: Found<'a>, models: &mut Models) {
        let Found { module, class } = found;
        match kind(known, found) {
            Kind::Table { name, is_sqlmodel } => {
                let mut read = Models::default();
                match of_class(known, found, name, is_sqlmodel, &mut read) {
                    Ok(table) => add(table, read, self.labels, models),
                    Err(why) => models.unnamed(Place::new(&module.path, class.line), why),
                }
            }
            Kind::PartOf(parent) => self.inheritors.push((found, parent)),
            Kind::Imperative => self.imperative.push(found),
            Kind::Unnamed(why) => models.unnamed(Place::new(&module.path, class.line), why),
            Kind::Other => {
                if let Some(name) = table_of_unknown(known, found) {
                    models.may_have(Place::new(&module.path, class.line), name);
                }
            }
        }
        for statement in &class.body {
            match statement {
                Statement::Class(inner) => self.class(known, Found { module, class: inner }, models),
                Statement::Assign { target, value: Some(value), line, .. }
                    if target != "__table__" && aside::is_table(module, value) =>
                {
                    table_call(known, (module, target, *line), value, self.labels, models);
                }
                _ => {}
            }
        }
    }
}

/// `__table__ = Table(…)` in a class, or one that is made beside it.
fn of_imperative(
    known: &Known<'_>,
    found: Found<'_>,
    labels: &mut Vec<(String, usize)>,
    models: &mut Models,
) {
    let Found { module, class } = found;
    let said = class.body.iter().rev().find_map(|statement| match statement {
        Statement::Assign { target, value: Some(value), line, .. } if target == "__table__" => {
            Some((value, *line))
        }
        _ => None,
    });
    let Some((value, line)) = said else { return };
    if aside::is_table(module, value) {
        return table_call(known, (module, &class.name, line), value, labels, models);
    }
    let beside = value.last_name().and_then(|name| labels.iter().find(|(label, _)| label == name));
    if let Some(at) = beside.map(|(_, at)| *at) {
        labels.push((class.name.clone(), at));
    } else {
        let what = format!("the table of {}: {}", class.name, value.shown());
        models.unnamed(Place::new(&module.path, line), what);
    }
}

/// Adds the table of `Table(…)`, where that is one.
fn table_call(
    known: &Known<'_>,
    (module, target, line): (&Module, &str, u32),
    value: &Expression,
    labels: &mut Vec<(String, usize)>,
    models: &mut Models,
) {
    let mut read = Models::default();
    match of_table_call(known, (module, target, line), value, &mut read) {
        Some(table) => add(table, read, labels, models),
        None if aside::is_table(module, value) => {
            let what = format!("a table whose name or schema is not known: {}", value.shown());
            models.unnamed(Place::new(&module.path, line), what);
        }
        None => {}
    }
}

/// Adds a table with what has been read with it, where it is the first of its name.
fn add(table: Table, read: Models, labels: &mut Vec<(String, usize)>, models: &mut Models) {
    if models.tables.iter().any(|known| known.schema == table.schema && known.name == table.name) {
        return models.unsupported(table.place, format!("a second table {}: {}", table.name, table.label));
    }
    read.enums.into_iter().for_each(|made| models.add_enum(made));
    models.unsupported.extend(read.unsupported);
    models.unsaid.extend(read.unsaid);
    labels.push((table.label.clone(), models.tables.len()));
    models.tables.push(table);
}

/// The parent that is a table, and what that is made from.
fn inherited<'a>(known: &Known<'a>, found: Found<'a>) -> Vec<&'a Class> {
    let parent = known.ancestry(found).into_iter().skip(1).find(|one| is_table_itself(known, *one));
    let all = parent.map(|parent| known.ancestry(parent)).unwrap_or_default();
    all.into_iter().map(|one| one.class).collect()
}

pub(super) enum Kind {
    /// A table of that name.
    Table { name: String, is_sqlmodel: bool },
    /// More columns of the table of that class.
    PartOf(String),
    /// A table that is made by `Table(…)`.
    Imperative,
    /// A table whose name is not understood.
    Unnamed(String),
    /// No table.
    Other,
}

pub(super) fn kind(known: &Known<'_>, found: Found<'_>) -> Kind {
    let ancestry = known.ancestry(found);
    let class = found.class;
    if class.value("__abstract__") == Some(&Expression::Flag(true)) {
        return Kind::Other;
    }
    if class.value("__table__").is_some_and(|value| *value != Expression::Nothing) {
        return Kind::Imperative;
    }
    let is_table = class.keyword("table") == Some(&Expression::Flag(true));
    let is_sqlmodel = is_table || ancestry.iter().any(|one| bases(one.class).any(|name| name == "SQLModel"));
    if is_sqlmodel {
        if !is_table {
            return Kind::Other;
        }
        return match table_name(known, found, &ancestry) {
            Some(Ok(name)) => Kind::Table { name, is_sqlmodel },
            Some(Err(why)) => Kind::Unnamed(why),
            None => Kind::Table { name: class.name.to_lowercase(), is_sqlmodel },
        };
    }
    // Without a base, and without what stands for one, nothing is declared.
    if !class.bases.iter().any(|base| base.keyword.is_none()) && !is_decorated(class) || is_root(class) {
        return Kind::Other;
    }
    let parents = || ancestry.iter().skip(1);
    let has_columns = class.body.iter().any(is_column_statement);
    let parent = parents().find(|one| is_table_itself(known, **one));
    let is_declarative = parent.is_some()
        || is_decorated(class)
        || ancestry.iter().any(|one| {
            bases(one.class)
                .any(|name| BASES.contains(&name) || name == "Base" || is_made_base(known, one.module, name))
        });
    // A base of which the files say nothing may be that of models.
    let is_perhaps = || has_columns && ancestry.iter().any(|one| !unknown_bases(known, *one).is_empty());
    if !is_declarative && !is_perhaps() {
        return Kind::Other;
    }
    match table_name(known, found, &ancestry).filter(|_| has_own_table(known, found)) {
        Some(Ok(name)) => Kind::Table { name, is_sqlmodel },
        Some(Err(why)) if has_columns => Kind::Unnamed(why),
        _ => match parent {
            Some(parent) => Kind::PartOf(parent.class.name.clone()),
            // Flask-SQLAlchemy names tables by itself.
            None if has_columns
                && ancestry.iter().any(|one| bases(one.class).any(|name| name == "Model")) =>
            {
                Kind::Table { name: snake_case(&class.name), is_sqlmodel }
            }
            // Neither a mixin nor a base has columns and a base and no name: something else makes it.
            None if has_columns && !is_inherited(known, found) && !is_only_dataclass(&ancestry) => {
                Kind::Unnamed(format!("the name of {}'s table: none is said", class.name))
            }
            None => Kind::Other,
        },
    }
}

/// The table that a class names whose base may be one of models, and which has no column that would show it.
fn table_of_unknown(known: &Known<'_>, found: Found<'_>) -> Option<String> {
    let ancestry = known.ancestry(found);
    let is_open = ancestry.iter().any(|one| !unknown_bases(known, *one).is_empty());
    table_name(known, found, &ancestry).filter(|_| is_open)?.ok()
}

/// Whether other classes are made from one.
fn is_inherited(known: &Known<'_>, found: Found<'_>) -> bool {
    let is_heir = |class: &Class| bases(class).any(|name| name == found.class.name);
    known.modules.iter().any(|module| module.classes().any(is_heir))
}

/// Whether what a class is made from makes dataclasses and no tables.
fn is_only_dataclass(ancestry: &[Found<'_>]) -> bool {
    let mut all = ancestry.iter().flat_map(|one| bases(one.class));
    all.all(|name| name == "MappedAsDataclass" || ancestry.iter().any(|one| one.class.name == name))
}

/// `@registry.mapped`, `@registry.mapped_as_dataclass(…)`: a table without a base.
fn is_decorated(class: &Class) -> bool {
    decorators(class).any(|name| matches!(name, "mapped" | "mapped_as_dataclass"))
}

/// The base of models itself: no table, whatever it says of those.
pub(super) fn is_root(class: &Class) -> bool {
    bases(class).any(|name| matches!(name, "DeclarativeBase" | "DeclarativeBaseNoMeta"))
        || is_made_root(class)
}

/// `@as_declarative()`
fn is_made_root(class: &Class) -> bool {
    decorators(class).any(|name| matches!(name, "as_declarative" | "as_declarative_base"))
}

fn decorators(class: &Class) -> impl Iterator<Item = &str> {
    class.decorators.iter().filter_map(|one| match one {
        Expression::Call { function, .. } => function.last_name(),
        other => other.last_name(),
    })
}

/// Whether a name is that of a class which models are made from.
pub(super) fn is_base(known: &Known<'_>, module: &Module, name: &str) -> bool {
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    let found = known.class(module, name);
    BASES.contains(&last)
        || last == "Base"
        || is_made_base(known, module, name)
        || found.is_some_and(|found| {
            known.ancestry(found).iter().any(|one| bases(one.class).any(|name| BASES.contains(&name)))
        })
}

fn bases(class: &Class) -> impl Iterator<Item = &str> {
    let named = class.bases.iter().filter(|base| base.keyword.is_none()).map(|base| base_of(&base.value));
    named.filter_map(Expression::last_name)
}

/// A base without what stands in brackets behind it.
fn base_of(base: &Expression) -> &Expression {
    match base {
        Expression::Subscript { value, .. } => value,
        other => other,
    }
}

/// Whether a class is one with a table of its own.
fn is_table_itself(known: &Known<'_>, found: Found<'_>) -> bool {
    is_mapped(known, found) && has_own_table(known, found)
}

/// How a class says the name of its table.
#[derive(PartialEq, Eq)]
enum Says {
    Nothing,
    /// That there is none of its own.
    None,
    /// A name.
    Name,
    /// A function that makes one of each class.
    Function,
}

fn says(class: &Class) -> Says {
    let is_function = |statement: &Statement| matches!(statement, Statement::Function(function) if function.name == "__tablename__");
    match class.value("__tablename__").or(class.value("__table__")) {
        Some(Expression::Nothing) => Says::None,
        Some(_) => Says::Name,
        None if class.body.iter().any(is_function) => Says::Function,
        None => Says::Nothing,
    }
}

/// Whether rows are kept of a class, in its own table or in that of one above it: it is no base, no mixin and not abstract.
fn is_mapped(known: &Known<'_>, found: Found<'_>) -> bool {
    let class = found.class;
    let is_abstract = class.value("__abstract__") == Some(&Expression::Flag(true));
    if is_root(class) || is_abstract || bases(class).next().is_none() && !is_decorated(class) {
        return false;
    }
    let ancestry = known.ancestry(found);
    if is_decorated(class) {
        return ancestry.iter().any(|one| says(one.class) != Says::Nothing);
    }
    let is_base = |one: &Found<'_>| {
        bases(one.class).any(|name| {
            BASES.contains(&name) && name != "MappedAsDataclass"
                || name == "Base"
                || is_made_base(known, one.module, name)
        })
    };
    ancestry.iter().any(is_base) && ancestry.iter().any(|one| says(one.class) != Says::Nothing)
}

/// Whether a class gets a table of its own: it, a mixin or a base says the name, or one that is a table has a function for it.
/// (`_scan_attributes` in `sqlalchemy/orm/decl_base.py`.)
fn has_own_table(known: &Known<'_>, found: Found<'_>) -> bool {
    for one in known.ancestry(found) {
        let is_own = std::ptr::eq(one.class, found.class);
        match says(one.class) {
            Says::None if is_own => return false,
            Says::Function => return true,
            Says::Name if is_own || !is_mapped(known, one) => return true,
            Says::Name | Says::None | Says::Nothing => {}
        }
    }
    false
}

/// `Base = declarative_base()`.
fn is_made_base(known: &Known<'_>, module: &Module, name: &str) -> bool {
    let value = known.value(module, &Expression::Name(name.to_owned())).clone();
    value.call().is_some_and(|(name, _)| MADE_BASES.contains(&name))
        || value.last_name().is_some_and(|last| value.name() != Some(name) && BASES.contains(&last))
        || known.class(module, name).is_some_and(|found| is_made_root(found.class))
}

fn is_column_statement(statement: &Statement) -> bool {
    match statement {
        Statement::Assign { annotation, value, .. } => {
            let is_call = value.as_ref().and_then(Expression::call).is_some_and(|(name, _)| is_column(name));
            let is_mapped = annotation.as_ref().is_some_and(|one| {
                matches!(one, Expression::Subscript { value, .. } if value.last_name() == Some("Mapped"))
                    || matches!(one, Expression::Text(text) if text.contains("Mapped["))
            });
            is_call || is_mapped
        }
        _ => false,
    }
}

/// The name that is said; an error where it is computed in a way that is not understood.
fn table_name(known: &Known<'_>, found: Found<'_>, ancestry: &[Found<'_>]) -> Option<Result<String, String>> {
    let class = &found.class.name;
    for one in ancestry {
        for statement in &one.class.body {
            match statement {
                Statement::Assign { target, value: Some(value), line, .. } if target == "__tablename__" => {
                    // That of a parent which is a table is the parent's.
                    let value = known.value(one.module, value);
                    let name = put_together(known, one.module, value);
                    return Some(name.ok_or_else(|| {
                        format!("the name of {class}'s table (line {line}): {}", value.shown())
                    }));
                }
                Statement::Function(function) if function.name == "__tablename__" => {
                    let returned = function.returns.as_ref().map(Expression::shown).unwrap_or_default();
                    return Some(match returned.as_str() {
                        "cls.__name__.lower()" => Ok(class.to_lowercase()),
                        "cls.__name__.lower() + \"s\"" => Ok(class.to_lowercase() + "s"),
                        "cls.__name__" => Ok(class.clone()),
                        other => Err(format!("the name of {class}'s table: {other}")),
                    });
                }
                _ => {}
            }
        }
    }
    None
}

/// A text, also one that is put together with `+`.
fn put_together(known: &Known<'_>, module: &Module, value: &Expression) -> Option<String> {
    match known.value(module, value) {
        Expression::Text(text) => Some(text.clone()),
        Expression::Other(written) => known.formatted(module, "", written),
        Expression::Operation(operator, left, right) if operator == "+" => {
            Some(put_together(known, module, left)? + &put_together(known, module, right)?)
        }
        _ => None,
    }
}

/// As Flask-SQLAlchemy makes it of a class.
fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let after = letters.get(at + 1);
        let begins = letter.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() && *before != '_'
                    || before.is_uppercase() && after.is_some_and(|after| after.is_lowercase())
            });
        if begins {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

fn of_class(
    known: &Known<'_>,
    found: Found<'_>,
    name: String,
    is_sqlmodel: bool,
    models: &mut Models,
) -> Result<Table, String> {
    let mut table = Table {
        schema: known.schema.clone(),
        name,
        label: found.class.name.clone(),
        place: Place::new(&found.module.path, found.class.line),
        ..Table::default()
    };
    let all = known.ancestry(found);
    let mut ancestry = all.clone();
    // Columns of a parent that is a table stay there, with those of what it is made from.
    if !is_sqlmodel {
        let inherited = inherited(known, found);
        ancestry.retain(|one| !inherited.iter().any(|class| std::ptr::eq(*class, one.class)));
    }
    let settings = settings_of(known, &all);
    if let Some(schema) = settings.and_then(|(of, value, _)| schema_of(known, of, value)) {
        match known.value(found.module, schema) {
            Expression::Text(schema) => table.schema = Some(schema.clone()),
            Expression::Nothing => {}
            other => return Err(format!("the schema of {}'s table: {}", table.label, other.shown())),
        }
    }
    for one in &ancestry {
        if bases(one.class).any(|name| is_reflected(known, one.module, name)) {
            let what = format!("what the database says of {}: its table is read from there", table.label);
            models.unsupported(Place::new(&one.module.path, one.class.line), what);
            open_to_all(&mut table);
        }
        for base in unknown_bases(known, *one) {
            let what =
                format!("the base {base} of {}: it is in no file, and may have more columns", one.class.name);
            models.unsupported(Place::new(&one.module.path, one.class.line), what);
            table.unstated.insert(Aspect::Columns);
        }
    }
    all_fields(known, &ancestry, is_sqlmodel, &mut table, models);
    if table.primary_key.is_empty() && table.unstated.contains(&Aspect::Columns) {
        table.unstated.insert(Aspect::PrimaryKey);
    }
    if let Some((of, _, line)) = settings.filter(|(of, _, line)| of.class.is_below_condition(*line)) {
        models.unsupported(
            Place::new(&of.module.path, line),
            format!("__table_args__ of {}, below a condition", table.label),
        );
        table.unstated.extend([Aspect::Unique, Aspect::Check, Aspect::Index, Aspect::ForeignKey]);
    } else if let Some((of, value, line)) = settings {
        let (module, class) = (of.module, found.class.name.as_str());
        let at = At { known, module, class, attribute: "__table_args__", line };
        table_arguments(at, value, &mut table, models);
    }
    Ok(table)
}

/// Leaves open what a table may be made of besides what is said.
pub(super) fn open_to_all(table: &mut Table) {
    table.unstated.extend([
        Aspect::Columns,
        Aspect::PrimaryKey,
        Aspect::Unique,
        Aspect::Check,
        Aspect::ForeignKey,
        Aspect::Index,
    ]);
}

/// Bases whose tables are read from the database.
fn is_reflected(known: &Known<'_>, module: &Module, name: &str) -> bool {
    let base = Expression::Name(name.to_owned());
    let made = known.value(module, &base).call();
    name == "DeferredReflection" || matches!(made, Some(("automap_base", _)))
}

/// Bases that may have columns and of which the files say nothing.
fn unknown_bases(known: &Known<'_>, found: Found<'_>) -> Vec<String> {
    let is_known = |name: &str| {
        let meaning = found.module.meaning(name);
        let from = meaning.split('.').next().unwrap_or_default();
        let last = meaning.rsplit('.').next().unwrap_or_default();
        BASES.contains(&last)
            || HARMLESS.contains(&last)
            || last == "Base"
            || ["typing", "typing_extensions", "abc", "enum", "sqlalchemy", "sqlmodel", "pydantic"]
                .contains(&from)
            || is_made_base(known, found.module, name)
            || known.class(found.module, name).is_some()
    };
    let bases = found.class.bases.iter().filter(|base| matches!(base.keyword.as_deref(), None | Some("*")));
    let is_unknown = |base: &&Expression| match base {
        Expression::Name(name) => !is_known(name),
        // What a function makes of something; nothing is known of it.
        Expression::Call { .. } => base.call().is_none_or(|(name, _)| !MADE_BASES.contains(&name)),
        _ => true,
    };
    bases.map(|base| base_of(&base.value)).filter(is_unknown).map(Expression::shown).collect()
}

/// Bases without columns.
const HARMLESS: &[&str] = &["object", "str", "int", "Exception", "dict"];

/// The columns of classes, nearest first. What one says hides what those behind it say. SQLAlchemy has the nearest ones first in the
/// table, and SQLModel has them last.
fn all_fields(
    known: &Known<'_>,
    ancestry: &[Found<'_>],
    is_sqlmodel: bool,
    table: &mut Table,
    models: &mut Models,
) {
    if is_sqlmodel {
        for one in ancestry.iter().rev() {
            fields(known, *one, true, &BTreeSet::new(), table, models);
        }
        return;
    }
    let mut hidden: BTreeSet<&str> = BTreeSet::new();
    for one in ancestry {
        fields(known, *one, false, &hidden, table, models);
        hidden.extend(one.class.body.iter().filter_map(|statement| match statement {
            Statement::Assign { target, value: Some(_), .. } => Some(target.as_str()),
            Statement::Assign { target, annotation: Some(annotation), .. } => {
                annotation.shown().contains("Mapped").then_some(target.as_str())
            }
            Statement::Function(function) => Some(function.name.as_str()),
            _ => None,
        }));
    }
}

/// The columns that a class says itself, but for those that are hidden.
fn fields(
    known: &Known<'_>,
    found: Found<'_>,
    is_sqlmodel: bool,
    hidden: &BTreeSet<&str>,
    table: &mut Table,
    models: &mut Models,
) {
    // What begins so is Python's own, and to SQLModel no field.
    let private = if is_sqlmodel { "_" } else { "__" };
    let class = &found.class.name;
    for statement in &found.class.body {
        match statement {
            Statement::Assign { target, annotation, value, line }
                if !target.starts_with(private)
                    && target != "model_config"
                    && !hidden.contains(target.as_str()) =>
            {
                let at = At { known, module: found.module, class, attribute: target, line: *line };
                let said = (annotation.as_ref(), value.as_ref());
                if found.class.is_below_condition(*line) {
                    let (mut other, mut unread) = (table.clone(), Models::default());
                    if columns::add(at, said, is_sqlmodel, &mut other, &mut unread) {
                        more(at, &format!("{target}, below a condition"), table, models);
                    }
                    continue;
                }
                let is_added = columns::add(at, said, is_sqlmodel, table, models);
                if let (false, false, Some(value)) = (is_added, is_sqlmodel, value)
                    && (aside::makes_column(known, found.module, value)
                        || columns::is_mapped_call(at, annotation.as_ref(), value))
                {
                    more(at, &format!("{target} = {}", value.shown()), table, models);
                }
            }
            Statement::Put { target, value, line }
                if !is_sqlmodel && aside::makes_column(known, found.module, value) =>
            {
                let at = At { known, module: found.module, class, attribute: "", line: *line };
                more(at, &format!("{} = {}", target.shown(), value.shown()), table, models);
            }
            Statement::Bare(value, line) => {
                let shown = value.shown();
                let is_dynamic = ["locals().", "vars().", "exec("].iter().any(|call| shown.starts_with(call));
                // `if (a := mapped_column()): …`, and `__table_args__ += (…)`.
                if is_dynamic
                    || matches!(value, Expression::Other(_))
                        && aside::makes_column(known, found.module, value)
                {
                    let at = At { known, module: found.module, class, attribute: "", line: *line };
                    more(at, &shown, table, models);
                } else if shown.starts_with("__table_args__") {
                    let at = At { known, module: found.module, class, attribute: "", line: *line };
                    table_arguments(at, value, table, models);
                }
            }
            Statement::Function(function) => {
                let is_declared = function.decorators.iter().any(|one| one.shown().contains("declared_attr"));
                let at =
                    At { known, module: found.module, class, attribute: &function.name, line: function.line };
                if is_declared && !function.name.starts_with("__") && !hidden.contains(function.name.as_str())
                {
                    let said = (function.annotation.as_ref(), function.returns.as_ref());
                    let is_added = columns::add(at, said, false, table, models);
                    let is_open = match &function.returns {
                        Some(value) => aside::makes_column(known, found.module, value),
                        None => !columns::is_relationship(function.annotation.as_ref()),
                    };
                    if !is_added && is_open {
                        more(at, &format!("{}()", function.name), table, models);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Names what may be a column and is not understood.
fn more(at: At<'_>, what: &str, table: &mut Table, models: &mut Models) {
    table.unstated.insert(Aspect::Columns);
    models.unsupported(at.place(), format!("what may be a column of {}: {what}", at.class));
}

/// The nearest `__table_args__` that counts for a class: its own, that of a mixin or a base, or a function. Those of a parent with a
/// table are the parent's own.
fn settings_of<'a>(known: &Known<'a>, ancestry: &[Found<'a>]) -> Option<(Found<'a>, &'a Expression, u32)> {
    static UNKNOWN: Expression = Expression::Other(String::new());
    ancestry.iter().enumerate().find_map(|(at, one)| {
        one.class.body.iter().rev().find_map(|statement| match statement {
            Statement::Assign { target, value: Some(value), line, .. } if target == "__table_args__" => {
                (at == 0 || !is_mapped(known, *one)).then_some((*one, value, *line))
            }
            Statement::Function(function) if function.name == "__table_args__" => {
                Some((*one, function.returns.as_ref().unwrap_or(&UNKNOWN), function.line))
            }
            _ => None,
        })
    })
}

/// The schema that `__table_args__` say, which names are made with.
fn schema_of<'e>(known: &'e Known<'_>, of: Found<'_>, value: &'e Expression) -> Option<&'e Expression> {
    match known.value(of.module, value) {
        Expression::List(items) => items.iter().find_map(|item| schema_of(known, of, item)),
        Expression::Operation(_, left, right) => {
            schema_of(known, of, left).or_else(|| schema_of(known, of, right))
        }
        Expression::Dictionary(pairs) => {
            let (_, schema) = pairs.iter().find(|(key, _)| key.text() == Some("schema"))?;
            Some(known.value(of.module, schema))
        }
        _ => None,
    }
}

/// `users = Table("users", metadata, Column(…), …)`.
fn of_table_call(
    known: &Known<'_>,
    (module, target, line): (&Module, &str, u32),
    value: &Expression,
    models: &mut Models,
) -> Option<Table> {
    let (_, arguments) = value.call().filter(|(name, _)| *name == "Table")?;
    let name = keyword(arguments, "name").or(positional(arguments).next().map(|first| &first.value))?;
    let name = known.value(module, name).text()?.to_owned();
    let mut table = Table {
        schema: known.schema.clone(),
        name,
        label: target.to_owned(),
        place: Place::new(&module.path, line),
        ..Table::default()
    };
    // Names are made with the schema.
    if let Some(schema) = keyword(arguments, "schema") {
        match known.value(module, schema) {
            Expression::Text(schema) => table.schema = Some(schema.clone()),
            Expression::Nothing => {}
            _ => return None,
        }
    }
    let at = At { known, module, class: target, attribute: "", line };
    let given = given::of(at, arguments);
    let mut is_first = true;
    for argument in given.arguments.iter().skip_while(|argument| argument.keyword.is_some()).skip(1) {
        let at = At { line: argument.line, ..at };
        match argument.keyword.as_deref() {
            None => table_part(at, &argument.value, is_first, &mut table, models),
            Some(word @ ("*" | "**")) => {
                let what = format!("what is in {}: {word}{}", table.name, argument.value.shown());
                models.unsupported(at.place(), what);
                open_to_all(&mut table);
            }
            Some(_) => {}
        }
        is_first = false;
    }
    for argument in arguments {
        if let Some(keyword) = &argument.keyword {
            let at = At { known, module, class: target, attribute: "", line: argument.line };
            table_keyword(at, keyword, &argument.value, &mut table, models);
        }
    }
    Some(table)
}

/// A column or a constraint in `Table(…)`. The first is the `MetaData`, where it is no call.
fn table_part(at: At<'_>, said: &Expression, is_first: bool, table: &mut Table, models: &mut Models) {
    let value = at.known.value(at.module, said);
    match value.call() {
        Some((kind, inner)) if is_column(kind) => {
            let own = keyword(inner, "name").or(positional(inner).next().map(|first| &first.value));
            let own = own.map(|own| at.known.value(at.module, own)).and_then(Expression::text);
            let Some(attribute) = own else {
                models.unsupported(
                    at.place(),
                    format!("what may be a column of {}: {}", table.name, value.shown()),
                );
                table.unstated.insert(Aspect::Columns);
                return;
            };
            columns::add(At { attribute, ..at }, (None, Some(value)), false, table, models);
        }
        None | Some(("MetaData", _)) if is_first => {}
        Some((kind, inner)) if PARTS.contains(&kind) => part(at, kind, inner, table, models),
        _ => {
            let what = format!("what may be a column of {}: {}", table.name, value.shown());
            models.unsupported(at.place(), what);
            open_to_all(table);
        }
    }
}

/// What tables are made of besides columns.
const PARTS: &[&str] = &[
    "UniqueConstraint",
    "PrimaryKeyConstraint",
    "ForeignKeyConstraint",
    "CheckConstraint",
    "ExcludeConstraint",
    "Index",
];

/// `Index("name", User.email)` beside the classes.
fn beside(known: &Known<'_>, labels: &[(String, usize)], models: &mut Models) {
    for module in known.modules {
        for statement in &module.statements {
            let (value, line) = match statement {
                Statement::Bare(value, line) | Statement::Assign { value: Some(value), line, .. } => {
                    (value, *line)
                }
                _ => continue,
            };
            let Some(("Index", inner)) = value.call() else { continue };
            let of = inner.iter().find_map(|argument| class_in(&argument.value));
            let at_table =
                of.and_then(|class| labels.iter().find(|(known, _)| *known == class)).map(|(_, at)| *at);
            let at = At { known, module, class: "", attribute: "", line };
            let taken = at_table.and_then(|at| models.tables.get_mut(at).map(std::mem::take));
            match (at_table, taken) {
                (Some(place), Some(mut table)) => {
                    arguments::index(at, inner, &mut table, models);
                    if let Some(slot) = models.tables.get_mut(place) {
                        *slot = table;
                    }
                }
                _ => models.unsupported(
                    Place::new(&module.path, line),
                    "an index of a table that is not known here",
                ),
            }
        }
    }
}

/// The class, or table, whose column is mentioned.
fn class_in(value: &Expression) -> Option<String> {
    match value {
        Expression::Name(name) => {
            let (class, _) = name.split_once('.')?;
            Some(class.to_owned())
        }
        Expression::Call { function, arguments, .. } => class_in(function)
            .filter(|class| !matches!(class.as_str(), "func" | "sa" | "text"))
            .or_else(|| arguments.iter().find_map(|argument| class_in(&argument.value))),
        Expression::Member(value, _) => class_in(value),
        _ => None,
    }
}
