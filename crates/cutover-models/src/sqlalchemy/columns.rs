//! Columns: `Column(…)`, `mapped_column(…)`, `Mapped[…]` and SQLModel's `Field(…)`.

use cutover_analysis::sql::quote_literal;

use super::annotations::{self, Annotated, Mapping, annotated};
use super::given::{self, Given};
use super::known::Known;
use super::naming::Parts;
use super::sqlmodel;
use super::types::{self, data_type};
use super::{arguments, defaults};
use crate::model::{Aspect, Check, Column, Default, Identity, Index, Models, Place, Table, Unique};
use crate::python::{Argument, Class, Expression, Module, Statement, keyword, positional};

/// Calls that make a column.
pub(super) fn is_column(name: &str) -> bool {
    matches!(name, "Column" | "mapped_column" | "MappedColumn")
}

/// Where a column is said.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) known: &'a Known<'a>,
    pub(super) module: &'a Module,
    /// The class, for messages.
    pub(super) class: &'a str,
    /// The attribute.
    pub(super) attribute: &'a str,
    pub(super) line: u32,
}

impl At<'_> {
    pub(super) fn place(&self) -> Place {
        Place::new(&self.module.path, self.line)
    }

    pub(super) fn label(&self) -> String {
        format!("{}.{}", self.class, self.attribute)
    }
}

/// What is said of a column, from wherever.
#[derive(Default)]
pub(super) struct Said<'e> {
    pub(super) data_type: Option<String>,
    /// As it is written, where it is not understood.
    pub(super) unknown: Option<String>,
    /// The check of its type: its name and the values that it takes.
    pub(super) check: Option<(Option<String>, Vec<String>)>,
    /// NULL is taken, by the annotation.
    pub(super) optional: Option<bool>,
    pub(super) name: Option<String>,
    pub(super) collation: Option<Collation>,
    pub(super) arguments: Vec<&'e [Argument]>,
}

/// What a type says of its collation.
pub(super) enum Collation {
    Named(String),
    /// As it is written, where it is not understood.
    Unknown(String),
}

/// Adds the column of an attribute to a table. Says whether it is one.
pub(super) fn add(
    at: At<'_>,
    (annotation, value): (Option<&Expression>, Option<&Expression>),
    is_sqlmodel: bool,
    table: &mut Table,
    models: &mut Models,
) -> bool {
    // `id = key` of `key = mapped_column(…)`.
    let kept = value.map(|value| at.known.value(at.module, value)).filter(|value| makes_one(value));
    let value = kept.or(value).map(unwrapped);
    let mapped = annotation.and_then(|annotation| mapped_of(at, annotation));
    let call = value.and_then(Expression::call);
    match call {
        Some((name, arguments)) if is_column(name) => {
            let found = mapped.as_ref().map(|inner| annotated(at.known, at.module, inner));
            let found = found.or_else(|| unmapped(at, annotation, name));
            of_call(at, arguments, (found.as_ref(), mapped.as_ref()), table, models);
            true
        }
        Some(("composite", arguments)) if !is_sqlmodel => {
            composite(at, mapped.as_ref(), arguments, table, models)
        }
        _ if is_sqlmodel => sqlmodel::add(at, (annotation, value), table, models),
        // Nothing else makes a column of a bare annotation, and a relationship is never said like that.
        None if mapped.is_some() && value.is_none_or(|value| *value == Expression::Nothing) => {
            let found = mapped.as_ref().map(|inner| annotated(at.known, at.module, inner));
            of_call(at, &[], (found.as_ref(), mapped.as_ref()), table, models);
            true
        }
        _ => false,
    }
}

fn makes_one(value: &Expression) -> bool {
    unwrapped(value).call().is_some_and(|(name, _)| is_column(name))
}

/// `n: int = mapped_column()` where `__allow_unmapped__` is said: its annotation counts as well.
fn unmapped(at: At<'_>, annotation: Option<&Expression>, call: &str) -> Option<Annotated> {
    let annotation = annotation.filter(|_| call == "mapped_column")?;
    let class = at.known.class(at.module, at.class)?;
    let ancestry = at.known.ancestry(class);
    let is_allowed =
        ancestry.iter().any(|one| one.class.value("__allow_unmapped__") == Some(&Expression::Flag(true)));
    is_allowed.then(|| annotated(at.known, at.module, annotation))
}

/// `composite(Point, mapped_column("x"), mapped_column("y"))`: the columns in it, with the types of the class's fields.
fn composite(
    at: At<'_>,
    mapped: Option<&Expression>,
    arguments: &[Argument],
    table: &mut Table,
    models: &mut Models,
) -> bool {
    let parts: Vec<&Expression> = positional(arguments).map(|argument| &argument.value).collect();
    let is_made = |value: &Expression| value.call().is_some_and(|(name, _)| is_column(name));
    let class = mapped.or_else(|| parts.first().copied().filter(|first| !is_made(first)));
    let class = class.and_then(|class| at.known.class_of(at.module, class));
    let fields: Vec<(&str, &Expression)> = class.map(|class| fields_of(class.class)).unwrap_or_default();
    let first = parts.first().is_some_and(|first| first.name().is_some() && mapped.is_none());
    for (which, part) in parts.iter().skip(usize::from(first)).enumerate() {
        let Some((call, inner)) = at.known.value(at.module, part).call().filter(|(name, _)| is_column(name))
        else {
            // A name of another attribute.
            if !matches!(part, Expression::Text(_) | Expression::Name(_)) {
                return false;
            }
            continue;
        };
        let field = fields.get(which);
        let own = positional(inner).next().and_then(|first| first.value.text());
        let Some(attribute) =
            own.or(keyword(inner, "name").and_then(Expression::text)).or(field.map(|field| field.0))
        else {
            return false;
        };
        let at = At { attribute, ..at };
        let annotation = field.map(|field| field.1).filter(|_| call == "mapped_column");
        let found = annotation.map(|annotation| annotated(at.known, at.module, annotation));
        of_call(at, inner, (found.as_ref(), annotation), table, models);
        if call == "mapped_column"
            && found.is_none()
            && let Some(column) = table.columns.last_mut()
        {
            column.unstated.insert(Aspect::Nullable);
        }
    }
    true
}

/// The fields of a dataclass, in their order.
fn fields_of(class: &Class) -> Vec<(&str, &Expression)> {
    class
        .body
        .iter()
        .filter_map(|statement| match statement {
            Statement::Assign { target, annotation: Some(annotation), .. } => {
                Some((target.as_str(), annotation))
            }
            _ => None,
        })
        .collect()
}

/// Leaves open all that may be said of the column that was added last, and names what it is made with.
pub(super) fn open_all(at: At<'_>, (shown, has_type): (&str, bool), table: &mut Table, models: &mut Models) {
    models.unsupported(at.place(), format!("what {} is made with: {shown}", at.label()));
    table.unstated.insert(Aspect::PrimaryKey);
    let Some(column) = table.columns.last_mut() else { return };
    column.unstated.extend([
        Aspect::Nullable,
        Aspect::Default,
        Aspect::Identity,
        Aspect::Comment,
        Aspect::Unique,
        Aspect::Index,
        Aspect::ForeignKey,
        Aspect::Check,
    ]);
    if !has_type {
        column.unstated.insert(Aspect::Type);
    }
}

/// `Mapped["User"]` and `Mapped[list["Task"]]` without a value: nobody but a relationship is said like that.
pub(super) fn is_relationship(annotation: Option<&Expression>) -> bool {
    let shown = annotation.map(Expression::shown).unwrap_or_default();
    ["WriteOnlyMapped", "DynamicMapped", "list[", "List[", "set[", "Set["]
        .iter()
        .any(|sign| shown.contains(sign))
}

/// `deferred(Column(…))` is the column.
fn unwrapped(value: &Expression) -> &Expression {
    match value.call() {
        Some(("deferred" | "column_property" | "declared_attr", arguments)) => {
            let first = positional(arguments).next().map(|argument| &argument.value);
            first.filter(|first| first.call().is_some_and(|(name, _)| is_column(name))).unwrap_or(value)
        }
        _ => value,
    }
}

/// `Mapped[int]` with a value that is none of SQLAlchemy's own: it may make a column.
pub(super) fn is_mapped_call(at: At<'_>, annotation: Option<&Expression>, value: &Expression) -> bool {
    let plain = annotation
        .and_then(|annotation| mapped_of(at, annotation))
        .is_some_and(|_| !is_relationship(annotation));
    let may_be = match value {
        Expression::Call { .. } => value.call().is_none_or(|(name, _)| !super::aside::is_no_column(name)),
        // A name of which nothing is known, or something of a list.
        Expression::Name(_)
        | Expression::Member(..)
        | Expression::Subscript { .. }
        | Expression::Other(_) => true,
        _ => false,
    };
    plain && may_be
}

/// What is inside `Mapped[…]`, also where that has a name.
fn mapped_of(at: At<'_>, annotation: &Expression) -> Option<Expression> {
    match at.known.value(at.module, annotation) {
        Expression::Subscript { value, items }
            if matches!(value.last_name(), Some("Mapped" | "MappedColumn")) =>
        {
            items.first().cloned()
        }
        Expression::Text(text) => mapped_of(at, &crate::python::expression(text)),
        _ => None,
    }
}

/// Adds the type with a list of values that an annotation is.
pub(super) fn models_made(found: &Annotated, models: &mut Models) {
    if let Some(made) = &found.made {
        types::add(made.clone(), models);
    }
}

pub(super) fn shown_of(given: &[Argument], found: &Annotated) -> String {
    let all = given.iter().map(Argument::shown).chain(found.calls.iter().map(Expression::shown));
    all.collect::<Vec<_>>().join(", ")
}

pub(super) fn of_call(
    at: At<'_>,
    given: &[Argument],
    (found, annotation): (Option<&Annotated>, Option<&Expression>),
    table: &mut Table,
    models: &mut Models,
) {
    let Given { arguments: given, mut is_open } = given::of(at, given);
    let given = given.as_slice();
    let mut plain: Vec<&Argument> = positional(given).collect();
    let mut said = Said { arguments: vec![given], ..Said::default() };
    let name = keyword(given, "name").or(plain.first().map(|first| &first.value));
    // Also one that is kept in a variable.
    let name = name.map(|name| at.known.value(at.module, name)).and_then(Expression::text);
    if let Some(name) = name {
        said.name = Some(name.to_owned());
        if keyword(given, "name").is_none() {
            plain.remove(0);
        }
    }
    let own = keyword(given, "type_").or(plain.first().map(|first| &first.value));
    let is_type = |own: &&Expression| {
        !matches!(
            own.call(),
            Some((
                "ForeignKey" | "Identity" | "Computed" | "Sequence" | "FetchedValue" | "CheckConstraint",
                _
            ))
        ) && **own != Expression::Nothing
    };
    let own = own.filter(is_type);
    let calls = found.map(|found| found.calls.iter().filter_map(Expression::call)).into_iter().flatten();
    let inner: Vec<Given> =
        calls.filter(|(name, _)| is_column(name)).map(|(_, inner)| given::of(at, inner)).collect();
    let is_key = |arguments: &[Argument]| {
        positional(arguments).any(|argument| matches!(argument.value.call(), Some(("ForeignKey", _))))
    };
    // A column that points to another has the type of that one, whatever its annotation says.
    let is_key = is_key(given) || inner.iter().any(|inner| is_key(&inner.arguments));
    let of_inner = || {
        inner.iter().find_map(|inner| positional(&inner.arguments).map(|first| &first.value).find(is_type))
    };
    if let Some(own) =
        own.or_else(of_inner).filter(|own| types::has_schema_by_version(at.known, at.module, own))
    {
        let why = "in SQLAlchemy 2.1 its schema is that of the MetaData, and before that it is not; schema= says it";
        said.unknown = Some(format!("{}: {why}", own.shown()));
    } else if let Some(own) = own.or_else(of_inner) {
        typed(at, (at.module, own), &mut said, models);
    } else if !is_key {
        of_annotation(at, (found, annotation), &mut said, table, models);
        is_open |= found.is_some_and(|found| found.is_unknown) && said.data_type.is_none();
    }
    is_open |= inner.iter().any(|inner| inner.is_open);
    said.arguments.extend(inner.iter().map(|inner| inner.arguments.as_slice()));
    said.optional = found.map(|found| found.is_optional);
    finish(at, &said, table, models);
    if is_open {
        let shown = found.map_or_else(
            || shown_of(given, &Annotated::default()),
            |found| {
                let annotation = annotation.map(Expression::shown).unwrap_or_default();
                let more = shown_of(given, found);
                if more.is_empty() { annotation } else { format!("{annotation}, {more}") }
            },
        );
        open_all(at, (&shown, said.data_type.is_some()), table, models);
    }
}

/// The type that an expression means, with what else follows from it.
fn typed(at: At<'_>, (module, own): (&Module, &Expression), said: &mut Said<'_>, models: &mut Models) {
    match data_type(at.known, module, own, models) {
        Some(own) => said.data_type = Some(own),
        None => said.unknown = Some(own.shown()),
    }
    said.check = types::checked(at.known, module, own);
    said.collation = types::collation(at.known, module, own);
}

/// The type of an annotation: by `type_annotation_map` before it is SQLAlchemy's own.
fn of_annotation(
    at: At<'_>,
    (found, annotation): (Option<&Annotated>, Option<&Expression>),
    said: &mut Said<'_>,
    table: &Table,
    models: &mut Models,
) {
    said.unknown = Some(annotation.map_or_else(|| "its annotation".to_owned(), Expression::shown));
    match annotation.and_then(|annotation| annotations::mapped(at.known, at.module, annotation, table)) {
        Some(Mapping::Type(of, own)) => typed(at, (of, &own), said, models),
        Some(Mapping::Unknown(why)) => said.unknown = Some(why),
        None => {
            if let Some(found) = found {
                models_made(found, models);
                said.data_type.clone_from(&found.data_type);
            }
        }
    }
}

/// What is true or false of a column, and what is open of it where that is not known.
const FLAGS: &[(&str, &[Aspect])] = &[
    ("nullable", &[Aspect::Nullable, Aspect::Making]),
    ("primary_key", &[Aspect::Nullable, Aspect::Identity]),
    ("unique", &[Aspect::Unique]),
    ("index", &[Aspect::Index, Aspect::Unique]),
    ("autoincrement", &[Aspect::Identity]),
    ("comment", &[Aspect::Comment]),
];

pub(super) fn finish(at: At<'_>, said: &Said<'_>, table: &mut Table, models: &mut Models) {
    let find = |name: &str| said.arguments.iter().find_map(|arguments| keyword(arguments, name));
    let is = |name: &str| match find(name).map(|value| at.known.value(at.module, value)) {
        Some(Expression::Flag(flag)) => Some(*flag),
        _ => None,
    };
    let is_key = is("primary_key") == Some(true);
    let name = said.name.clone().unwrap_or_else(|| at.attribute.to_owned());
    if let Some(known) = table.columns.iter().position(|known| known.name == name) {
        if is("use_existing_column") == Some(true) {
            return;
        }
        said_anew(table, known);
    }
    let mut column = Column {
        label: at.label(),
        place: at.place(),
        not_null: is_key || !is("nullable").or(said.optional).unwrap_or(true),
        comment: find("comment")
            .map(|comment| at.known.value(at.module, comment))
            .and_then(Expression::text)
            .map(str::to_owned),
        name: name.clone(),
        data_type: said.data_type.clone().unwrap_or_default(),
        default: of_client(&said.arguments),
        ..Column::default()
    };
    not_understood(at, said, &mut column, table, models);
    if let Some(default) = find("server_default") {
        of_server(at, default, &mut column, models);
    }
    let mut has_foreign_key = false;
    for argument in said.arguments.iter().flat_map(|arguments| positional(arguments)) {
        match argument.value.call() {
            Some(("ForeignKey", inner)) => {
                has_foreign_key = true;
                arguments::foreign_key(at, inner, &mut column, table, models);
            }
            // The client draws from it: it is no default of the column.
            Some(("Sequence", inner)) if keyword(inner, "optional") != Some(&Expression::Flag(true)) => {
                column.default = Default::Client(argument.value.shown());
                let what = format!("the sequence of {}: {}", at.label(), argument.value.shown());
                models.unsupported(at.place(), what);
            }
            Some(("Identity" | "Computed" | "FetchedValue", _)) => {
                of_server(at, &argument.value, &mut column, models);
            }
            Some(("CheckConstraint", inner)) => arguments::check(at, inner, table, models),
            _ => {}
        }
    }
    if let Some(target) = find("foreign_key") {
        has_foreign_key = true;
        let line = at.line;
        let on = find("ondelete").map(|on| (Some("ondelete".to_owned()), on));
        let inner = std::iter::once((None, target)).chain(on);
        let inner: Vec<Argument> =
            inner.map(|(keyword, value)| Argument { keyword, value: value.clone(), line }).collect();
        arguments::foreign_key(at, &inner, &mut column, table, models);
    }
    if is_key {
        table.primary_key.push(name.clone());
        // Which column numbers the rows is known when all are: it may be one of several.
        let is_off = find("autoincrement") == Some(&Expression::Flag(false));
        let is_on = find("autoincrement") == Some(&Expression::Flag(true));
        let is_integer = matches!(column.data_type.as_str(), "integer" | "bigint" | "smallint");
        let is_free = column.default == Default::None
            && !has_foreign_key
            && column.identity.is_none()
            && find("server_default").is_none();
        if is_on {
            at.known.numbering.borrow_mut().insert(column.place.clone());
        }
        if is_integer && !is_off && (is_free || is_on && column.identity.is_none()) {
            column.identity = Some(Identity::Serial);
        }
    }
    of_type(at, &name, said, table);
    indexed(at, &name, (is("index") == Some(true), is("unique") == Some(true)), table);
    table.columns.push(column);
}

/// Names what is said of a column and not understood, and leaves that open.
fn not_understood(at: At<'_>, said: &Said<'_>, column: &mut Column, table: &mut Table, models: &mut Models) {
    let find = |name: &str| {
        let value = said.arguments.iter().find_map(|arguments| keyword(arguments, name));
        value.map(|value| at.known.value(at.module, value))
    };
    for (flag, open) in FLAGS {
        let is_read = |value: &&Expression| match value {
            Expression::Flag(_) | Expression::Nothing => true,
            Expression::Text(_) => matches!(*flag, "autoincrement" | "comment"),
            _ => false,
        };
        let Some(value) = find(flag).filter(|value| !is_read(value)) else { continue };
        models.unsupported(at.place(), format!("{flag} of {}: {}", at.label(), value.shown()));
        column.unstated.extend(*open);
        if *flag == "primary_key" {
            table.unstated.insert(Aspect::PrimaryKey);
        }
    }
    match &said.collation {
        Some(Collation::Named(name)) => column.collation = Some(name.clone()),
        Some(Collation::Unknown(shown)) => {
            models.unsupported(at.place(), format!("the collation of {}: {shown}", at.label()));
            column.unstated.extend([Aspect::Collation, Aspect::Making]);
        }
        None => {}
    }
    if let (None, Some(unknown)) = (&said.data_type, &said.unknown) {
        models.unsupported(at.place(), format!("the type of {}: {unknown}", at.label()));
        column.unstated.insert(Aspect::Type);
    }
}

/// Takes out a column that a base class has said and that is said anew, with what that one said itself.
fn said_anew(table: &mut Table, known: usize) {
    let column = table.columns.remove(known);
    let only = [column.name.clone()];
    let keys = [types::ident(&column.name)];
    table.primary_key.retain(|name| *name != column.name);
    table.indexes.retain(|index| index.place != column.place || index.keys != keys);
    table.uniques.retain(|unique| unique.place != column.place || unique.columns != only);
    table.foreign_keys.retain(|key| key.place != column.place || key.columns != only);
}

/// What the client puts in by itself, wherever that is said.
fn of_client(said: &[&[Argument]]) -> Default {
    let mut found = said.iter().map(|arguments| defaults::client(arguments));
    found.find(|default| *default != Default::None).unwrap_or_default()
}

/// The check that a type makes.
fn of_type(at: At<'_>, name: &str, said: &Said<'_>, table: &mut Table) {
    let Some((own, values)) = &said.check else { return };
    let values: Vec<String> = values.iter().map(|value| quote_literal(value)).collect();
    let expression = format!("{} IN ({})", types::ident(name), values.join(", "));
    let name = own.as_deref().and_then(|own| at.known.naming.name("ck", Parts::of(table, &[], Some(own))));
    table.checks.push(Check { name, expression, place: at.place() });
}

/// The index, or the unique constraint, that a column says itself.
fn indexed(at: At<'_>, name: &str, (is_index, is_unique): (bool, bool), table: &mut Table) {
    let columns = [name.to_owned()];
    let parts = Parts::of(table, &columns, None);
    if is_index {
        table.indexes.push(Index {
            name: at.known.naming.name("ix", parts),
            keys: vec![types::ident(name)],
            unique: is_unique,
            place: at.place(),
            ..Index::default()
        });
    } else if is_unique {
        let name = at.known.naming.name("uq", parts);
        let unique = Unique { name, columns: columns.to_vec(), place: at.place(), ..Unique::default() };
        arguments::add_unique(table, unique);
    }
}

/// What the server does for a column.
fn of_server(at: At<'_>, value: &Expression, column: &mut Column, models: &mut Models) {
    let value = at.known.value(at.module, value);
    match value.call() {
        Some(("Identity", arguments)) => {
            let first = positional(arguments).next().map(|first| &first.value);
            let always = keyword(arguments, "always").or(first) == Some(&Expression::Flag(true));
            column.identity = Some(if always { Identity::Always } else { Identity::ByDefault });
            if let Some(counting) = counting(at, arguments) {
                column.counting = counting;
            } else {
                column.unstated.insert(Aspect::Identity);
                models.unsupported(at.place(), format!("how {} counts: {}", at.label(), value.shown()));
            }
        }
        Some(("Computed", arguments)) => {
            let first =
                positional(arguments).next().map(|argument| at.known.value(at.module, &argument.value));
            let text = first.and_then(|first| {
                first.text().map(str::to_owned).or_else(|| defaults::sql(at.known, at.module, first))
            });
            let is_stored = keyword(arguments, "persisted") != Some(&Expression::Flag(false));
            match text {
                Some(text) => column.generated = Some((text, is_stored)),
                None => unknown(at, value, column, models),
            }
        }
        Some(("FetchedValue", _)) => unknown(at, value, column, models),
        _ => match defaults::server(at.known, at.module, value) {
            Some(default) => column.default = Default::Sql(default),
            None => unknown(at, value, column, models),
        },
    }
}

/// How an identity counts, as SQL; nothing where that is not understood.
fn counting(at: At<'_>, arguments: &[Argument]) -> Option<String> {
    let mut said: Vec<String> = Vec::new();
    for (name, sql) in [
        ("increment", "INCREMENT BY"),
        ("start", "START WITH"),
        ("minvalue", "MINVALUE"),
        ("maxvalue", "MAXVALUE"),
        ("cache", "CACHE"),
    ] {
        match keyword(arguments, name).map(|value| at.known.value(at.module, value)) {
            None | Some(Expression::Nothing) => {}
            Some(Expression::Number(number)) => said.push(format!("{sql} {number}")),
            Some(_) => return None,
        }
    }
    for (name, sql) in [("nominvalue", "NO MINVALUE"), ("nomaxvalue", "NO MAXVALUE"), ("cycle", "CYCLE")] {
        match keyword(arguments, name).map(|value| at.known.value(at.module, value)) {
            None | Some(Expression::Nothing | Expression::Flag(false)) => {}
            Some(Expression::Flag(true)) => said.push(sql.to_owned()),
            Some(_) => return None,
        }
    }
    (positional(arguments).count() <= 1).then(|| said.join(" "))
}

fn unknown(at: At<'_>, value: &Expression, column: &mut Column, models: &mut Models) {
    column.unstated.extend([Aspect::Default, Aspect::Identity]);
    models.unsupported(at.place(), format!("the default of {}: {}", at.label(), value.shown()));
}
