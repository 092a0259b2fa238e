//! Columns: `Column(…)`, `mapped_column(…)`, `Mapped[…]` and SQLModel's `Field(…)`.

use cutover_analysis::sql::quote_literal;

use super::known::Known;
use super::naming::Parts;
use super::types::{self, Annotated, annotated, data_type};
use super::{arguments, defaults};
use crate::model::{Aspect, Check, Column, Default, Identity, Index, Models, Place, Table, Unique};
use crate::python::{Argument, Expression, Module, keyword, positional};

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

    fn label(&self) -> String {
        format!("{}.{}", self.class, self.attribute)
    }
}

/// What is said of a column, from wherever.
#[derive(Default)]
struct Said<'e> {
    data_type: Option<String>,
    /// As it is written, where it is not understood.
    unknown: Option<String>,
    /// The check of its type: its name and the values that it takes.
    check: Option<(Option<String>, Vec<String>)>,
    /// NULL is taken, by the annotation.
    optional: Option<bool>,
    name: Option<String>,
    arguments: Vec<&'e [Argument]>,
}

/// Adds the column of an attribute to a table. Says whether it is one.
pub(super) fn add(
    at: At<'_>,
    (annotation, value): (Option<&Expression>, Option<&Expression>),
    is_sqlmodel: bool,
    table: &mut Table,
    models: &mut Models,
) -> bool {
    let value = value.map(unwrapped);
    let mapped = annotation.and_then(mapped_of);
    let call = value.and_then(Expression::call);
    match call {
        Some((name, arguments)) if is_column(name) => {
            let found = mapped.map(|inner| annotated(at.known, at.module, &inner, models));
            let by_map = mapped_type(at, annotation, models);
            of_call(at, arguments, found.as_ref(), by_map, table, models);
            true
        }
        Some(("Field", arguments)) if is_sqlmodel => of_field(at, annotation, arguments, table, models),
        _ if is_sqlmodel => match annotation {
            Some(annotation) if is_field(annotation, value) => {
                let given = value.map(|value| Argument {
                    keyword: Some("default".to_owned()),
                    value: value.clone(),
                    line: at.line,
                });
                of_field(at, Some(annotation), given.as_slice(), table, models)
            }
            _ => false,
        },
        None if mapped.is_some() && value.is_none() => {
            let found =
                mapped.map(|inner| annotated(at.known, at.module, &inner, models)).unwrap_or_default();
            if found.data_type.is_none() && is_relationship(annotation) {
                return false;
            }
            let by_map = mapped_type(at, annotation, models);
            of_call(at, &[], Some(&found), by_map, table, models);
            true
        }
        _ => false,
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

/// `Mapped[int]` with a call that is none of SQLAlchemy's own: it may make a column.
pub(super) fn is_mapped_call(annotation: Option<&Expression>, value: &Expression) -> bool {
    let plain = annotation.and_then(mapped_of).is_some_and(|_| !is_relationship(annotation));
    plain && value.call().is_some_and(|(name, _)| !super::aside::is_no_column(name))
}

/// What is inside `Mapped[…]`.
fn mapped_of(annotation: &Expression) -> Option<Expression> {
    match annotation {
        Expression::Subscript { value, items } if value.last_name() == Some("Mapped") => {
            items.first().cloned()
        }
        Expression::Text(text) => mapped_of(&crate::python::expression(text)),
        _ => None,
    }
}

fn mapped_type(at: At<'_>, annotation: Option<&Expression>, models: &mut Models) -> Option<String> {
    let inner = annotation.and_then(mapped_of)?;
    types::mapped(at.known, at.module, &inner, models)
}

/// Whether an annotated name of a SQLModel class is a column, and no setting or relationship.
fn is_field(annotation: &Expression, value: Option<&Expression>) -> bool {
    let is_class_var =
        matches!(annotation, Expression::Subscript { value, .. } if value.last_name() == Some("ClassVar"));
    let call = value.and_then(Expression::call).map(|(name, _)| name);
    !is_class_var
        && !matches!(
            call,
            Some("Relationship" | "PrivateAttr" | "ConfigDict" | "SQLModelConfig" | "computed_field")
        )
}

fn of_field(
    at: At<'_>,
    annotation: Option<&Expression>,
    given: &[Argument],
    table: &mut Table,
    models: &mut Models,
) -> bool {
    let Some(annotation) = annotation else { return false };
    // A column of its own says everything.
    if let Some(value) = keyword(given, "sa_column")
        && let Some((name, arguments)) = at.known.value(at.module, value).call()
        && is_column(name)
    {
        of_call(at, arguments, None, None, table, models);
        return true;
    }
    let found = annotated(at.known, at.module, annotation, models);
    let inner: Vec<&[Argument]> =
        found.calls.iter().filter_map(Expression::call).map(|(_, arguments)| arguments).collect();
    let all = || std::iter::once(given).chain(inner.iter().copied());
    let said = |name: &str| all().find_map(|arguments| keyword(arguments, name));
    let number = |name: &str| match said(name).map(|value| at.known.value(at.module, value)) {
        Some(Expression::Number(number)) => Some(number.clone()),
        _ => None,
    };
    let of_annotation = match (
        found.data_type.as_deref(),
        number("max_length"),
        number("max_digits"),
        number("decimal_places"),
    ) {
        (Some("varchar"), Some(length), ..) => Some(format!("varchar({length})")),
        (Some("numeric"), _, Some(digits), Some(places)) => Some(format!("numeric({digits}, {places})")),
        (Some("numeric"), _, Some(digits), None) => Some(format!("numeric({digits})")),
        (other, ..) => other.map(str::to_owned),
    };
    let of_own =
        said("sa_type").map(|own| data_type(at.known, at.module, own, models).ok_or_else(|| own.shown()));
    let (data_type, unknown) = match of_own {
        Some(Ok(own)) => (Some(own), None),
        Some(Err(own)) => (None, Some(own)),
        None if of_annotation.as_deref() == Some(types::DATETIME) => {
            match is_utc(&at.known.settings.sqlmodel) {
                Some(true) => (Some("timestamptz".to_owned()), None),
                Some(false) => (of_annotation, None),
                None => (
                    None,
                    Some(
                        "a datetime is another type from SQLModel 0.0.45 on, and its version is not said"
                            .to_owned(),
                    ),
                ),
            }
        }
        None => (of_annotation, Some(annotation.shown())),
    };
    let further = match said("sa_column_kwargs").map(|value| at.known.value(at.module, value)) {
        Some(Expression::Dictionary(pairs)) => pairs
            .iter()
            .filter_map(|(key, value)| {
                Some(Argument { keyword: Some(key.text()?.to_owned()), value: value.clone(), line: at.line })
            })
            .collect(),
        Some(Expression::Call { arguments, .. }) => arguments.clone(),
        _ => Vec::new(),
    };
    let positional_only = said("sa_column_args").map(|value| at.known.value(at.module, value));
    let args: Vec<Argument> = match positional_only {
        Some(Expression::List(items)) => items
            .iter()
            .map(|value| Argument { keyword: None, value: value.clone(), line: at.line })
            .collect(),
        _ => Vec::new(),
    };
    // A default in the first place is Field's own and no column's name.
    let plain: Vec<Argument> = given.iter().filter(|argument| argument.keyword.is_some()).cloned().collect();
    let default: Vec<Argument> = positional(given)
        .take(1)
        .map(|argument| Argument { keyword: Some("default".to_owned()), ..argument.clone() })
        .collect();
    let mut arguments = vec![plain.as_slice(), default.as_slice(), further.as_slice(), args.as_slice()];
    arguments.extend(inner);
    let optional = Some(found.is_optional);
    let said = Said { data_type, unknown, optional, arguments, ..Said::default() };
    finish(at, &said, table, models);
    true
}

/// Whether SQLModel of that version keeps moments in UTC.
fn is_utc(version: &str) -> Option<bool> {
    let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    parts.map(|parts| parts >= vec![0, 0, 45])
}

fn of_call(
    at: At<'_>,
    given: &[Argument],
    found: Option<&Annotated>,
    by_map: Option<String>,
    table: &mut Table,
    models: &mut Models,
) {
    let mut plain: Vec<&Argument> = positional(given).collect();
    let mut said = Said { arguments: vec![given], ..Said::default() };
    if let Some(name) =
        keyword(given, "name").or(plain.first().map(|first| &first.value)).and_then(Expression::text)
    {
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
        )
    };
    let own = own.filter(is_type);
    let calls: Vec<Expression> = found.map(|found| found.calls.clone()).unwrap_or_default();
    let is_key = |arguments: &[Argument]| {
        positional(arguments).any(|argument| matches!(argument.value.call(), Some(("ForeignKey", _))))
    };
    // A column that points to another has the type of that one, whatever its annotation says.
    let is_key = is_key(given) || calls.iter().filter_map(Expression::call).any(|(_, inner)| is_key(inner));
    if let Some(own) = own {
        match data_type(at.known, at.module, own, models) {
            Some(own) => said.data_type = Some(own),
            None => said.unknown = Some(own.shown()),
        }
        said.check = types::checked(at.known, at.module, own);
    } else if !is_key {
        said.data_type = by_map.or_else(|| found.and_then(|found| found.data_type.clone()));
        said.unknown = Some("its annotation".to_owned());
    }
    for (name, arguments) in calls.iter().filter_map(Expression::call) {
        if is_column(name) {
            said.arguments.push(arguments);
            let first = positional(arguments).next().map(|argument| &argument.value);
            if own.is_none()
                && let Some(inner) =
                    first.filter(is_type).and_then(|first| data_type(at.known, at.module, first, models))
            {
                said.data_type = Some(inner);
            }
        }
    }
    said.optional = found.map(|found| found.is_optional);
    finish(at, &said, table, models);
}

fn finish(at: At<'_>, said: &Said<'_>, table: &mut Table, models: &mut Models) {
    let find = |name: &str| said.arguments.iter().find_map(|arguments| keyword(arguments, name));
    let is = |name: &str| match find(name) {
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
        comment: find("comment").and_then(Expression::text).map(str::to_owned),
        name: name.clone(),
        data_type: said.data_type.clone().unwrap_or_default(),
        default: of_client(&said.arguments),
        ..Column::default()
    };
    if let (None, Some(unknown)) = (&said.data_type, &said.unknown) {
        models.unsupported(at.place(), format!("the type of {}: {unknown}", at.label()));
        column.unstated.insert(Aspect::Type);
    }
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
        let target = Argument { keyword: None, value: target.clone(), line: at.line };
        let on = find("ondelete").map(|on| Argument {
            keyword: Some("ondelete".to_owned()),
            value: on.clone(),
            line: at.line,
        });
        let inner: Vec<Argument> = std::iter::once(target).chain(on).collect();
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
