//! Types, as SQLAlchemy's PostgreSQL dialect writes them.

use cutover_analysis::sql::quote_ident;

use super::known::{Found, Known, last_of};
use crate::model::qualified;
use crate::model::{Enum, Models, Place};
use crate::python::{Argument, Expression, Module, Statement, keyword, positional};

/// Types without arguments that matter here.
const PLAIN: &[(&str, &str)] = &[
    ("Integer", "integer"),
    ("INTEGER", "integer"),
    ("INT", "integer"),
    ("BigInteger", "bigint"),
    ("BIGINT", "bigint"),
    ("SmallInteger", "smallint"),
    ("SMALLINT", "smallint"),
    ("Boolean", "boolean"),
    ("BOOLEAN", "boolean"),
    ("Text", "text"),
    ("TEXT", "text"),
    ("UnicodeText", "text"),
    ("Date", "date"),
    ("DATE", "date"),
    ("JSON", "json"),
    ("JSONB", "jsonb"),
    ("UUID", "uuid"),
    ("Uuid", "uuid"),
    ("LargeBinary", "bytea"),
    ("BYTEA", "bytea"),
    ("PickleType", "bytea"),
    ("Interval", "interval"),
    ("Double", "double precision"),
    ("DOUBLE", "double precision"),
    ("DOUBLE_PRECISION", "double precision"),
    ("REAL", "real"),
    ("INET", "inet"),
    ("CIDR", "cidr"),
    ("MACADDR", "macaddr"),
    ("MACADDR8", "macaddr8"),
    ("TSVECTOR", "tsvector"),
    ("TSQUERY", "tsquery"),
    ("HSTORE", "hstore"),
    ("CITEXT", "citext"),
    ("MONEY", "money"),
    ("OID", "oid"),
    ("REGCLASS", "regclass"),
    ("INT4RANGE", "int4range"),
    ("INT8RANGE", "int8range"),
    ("NUMRANGE", "numrange"),
    ("DATERANGE", "daterange"),
    ("TSRANGE", "tsrange"),
    ("TSTZRANGE", "tstzrange"),
    ("INT4MULTIRANGE", "int4multirange"),
    ("INT8MULTIRANGE", "int8multirange"),
    ("NUMMULTIRANGE", "nummultirange"),
    ("DATEMULTIRANGE", "datemultirange"),
    ("TSMULTIRANGE", "tsmultirange"),
    ("TSTZMULTIRANGE", "tstzmultirange"),
];

/// What `datetime` is to SQLAlchemy, and to SQLModel before 0.0.45.
pub(super) const DATETIME: &str = "timestamp";

/// Types of Python that have one in the database, for `Mapped[…]` and SQLModel.
const ANNOTATED: &[(&str, &str)] = &[
    ("int", "integer"),
    ("str", "varchar"),
    ("float", "double precision"),
    ("bool", "boolean"),
    ("bytes", "bytea"),
    ("date", "date"),
    ("datetime", DATETIME),
    ("AwareDatetime", DATETIME),
    ("NaiveDatetime", "timestamp without time zone"),
    ("time", "time"),
    ("timedelta", "interval"),
    ("Decimal", "numeric"),
    ("condecimal", "numeric"),
    ("UUID", "uuid"),
    ("UUID1", "uuid"),
    ("UUID4", "uuid"),
    ("UUID7", "uuid"),
    ("EmailStr", "varchar"),
    ("NameEmail", "varchar"),
    ("Path", "varchar"),
    ("IPv4Address", "varchar(50)"),
    ("IPv6Address", "varchar(50)"),
    ("IPv4Network", "varchar(50)"),
    ("IPv6Network", "varchar(50)"),
];

/// Decorators that are followed from one to the next at most.
const DEEPEST: usize = 16;

/// The type that an expression means, as SQL.
pub(super) fn data_type(
    known: &Known<'_>,
    module: &Module,
    expression: &Expression,
    models: &mut Models,
) -> Option<String> {
    at_depth(known, module, expression, models, 0)
}

fn at_depth(
    known: &Known<'_>,
    module: &Module,
    expression: &Expression,
    models: &mut Models,
    depth: usize,
) -> Option<String> {
    if depth > DEEPEST {
        return None;
    }
    let inner =
        |expression: &Expression, models: &mut Models| at_depth(known, module, expression, models, depth + 1);
    let expression = known.value(module, expression);
    let (name, arguments, line) = match expression {
        Expression::Name(_) => (last_of(module, expression)?, &[][..], 1),
        Expression::Call { function, arguments, line } => match function.as_ref() {
            Expression::Name(name) if name.ends_with(".with_variant") || name.ends_with(".as_mutable") => {
                (function.last_name()?.to_owned(), arguments.as_slice(), *line)
            }
            // `JSON().with_variant(JSONB(), "postgresql")`
            Expression::Member(value, member) if member == "with_variant" => {
                return if is_for_postgresql(arguments) {
                    inner(&positional(arguments).next()?.value, models)
                } else {
                    inner(value, models)
                };
            }
            function => (last_of(module, function)?, arguments.as_slice(), *line),
        },
        _ => return None,
    };
    let name = name.as_str();
    let first = positional(arguments).next().map(|argument| &argument.value);
    if let Some((_, plain)) = PLAIN.iter().find(|(known, _)| *known == name) {
        return Some((*plain).to_owned());
    }
    let number = |place: usize, word: &str| {
        let value =
            positional(arguments).nth(place).map(|argument| &argument.value).or(keyword(arguments, word))?;
        match known.value(module, value) {
            Expression::Number(number) => Some(number.clone()),
            _ => None,
        }
    };
    // A length that is computed in a way that is not understood is no missing one.
    let has_unread = |word: &str| {
        let given = first.filter(|_| word == "length").or(keyword(arguments, word));
        given.is_some_and(|value| {
            !matches!(known.value(module, value), Expression::Number(_) | Expression::Nothing)
        })
    };
    let is = |word: &str| keyword(arguments, word) == Some(&Expression::Flag(true));
    Some(match name {
        "String" | "VARCHAR" | "Unicode" | "AutoString" | "CHAR" | "NCHAR" if has_unread("length") => {
            return None;
        }
        "String" | "VARCHAR" | "Unicode" | "AutoString" => limited("varchar", number(0, "length")),
        "CHAR" | "NCHAR" => limited("char", number(0, "length")),
        "Numeric" | "NUMERIC" | "DECIMAL" | "Decimal" => match (number(0, "precision"), number(1, "scale")) {
            (Some(precision), Some(scale)) => format!("numeric({precision}, {scale})"),
            (precision, _) => limited("numeric", precision),
        },
        "Float" | "FLOAT" => match number(0, "precision") {
            Some(precision) => format!("float({precision})"),
            None => "double precision".to_owned(),
        },
        "DateTime" | "TIMESTAMP" | "Time" | "TIME" => {
            let zone = is("timezone") || first == Some(&Expression::Flag(true));
            let base =
                if name.to_ascii_uppercase().starts_with("TIME") && !name.eq_ignore_ascii_case("TIMESTAMP") {
                    "time"
                } else {
                    "timestamp"
                };
            let base = limited(base, number(usize::MAX, "precision"));
            format!("{base} {} time zone", if zone { "with" } else { "without" })
        }
        "INTERVAL" => {
            let fields = keyword(arguments, "fields").map(|value| known.value(module, value));
            limited(&interval(fields)?, number(usize::MAX, "precision"))
        }
        "BIT" => limited(if is("varying") { "varbit" } else { "bit" }, number(0, "length")),
        "ARRAY" => format!("{}[]", inner(first?, models)?),
        "Vector" => limited("vector", number(0, "dim")),
        "as_mutable" | "with_variant" => inner(first?, models)?,
        "Enum" | "ENUM" => return enumeration(known, module, (arguments, line), models),
        _ => return decorated(known, module, expression, models, depth),
    })
}

/// `interval`, with the fields that are kept of it.
fn interval(fields: Option<&Expression>) -> Option<String> {
    match fields {
        None | Some(Expression::Nothing) => Some("interval".to_owned()),
        Some(fields) => Some(format!("interval {}", fields.text()?)),
    }
}

fn is_for_postgresql(arguments: &[Argument]) -> bool {
    positional(arguments).skip(1).any(|argument| argument.value.text() == Some("postgresql"))
}

fn limited(name: &str, limit: Option<String>) -> String {
    limit.map_or_else(|| name.to_owned(), |limit| format!("{name}({limit})"))
}

/// A type of the application's own: `class X(TypeDecorator)` with `impl = …`, which gets what the type is called with. One that chooses
/// by the database, or makes something of its arguments, is not understood.
fn decorated(
    known: &Known<'_>,
    module: &Module,
    expression: &Expression,
    models: &mut Models,
    depth: usize,
) -> Option<String> {
    let (name, given) = match expression {
        Expression::Name(name) => (name.as_str(), &[][..]),
        Expression::Call { function, arguments, .. } => (function.name()?, arguments.as_slice()),
        _ => return None,
    };
    let found = known.class(module, name)?;
    let ancestry = known.ancestry(found);
    let has = |method: &str| {
        let is_it = |statement: &Statement| matches!(statement, Statement::Function(function) if function.name == method);
        ancestry.iter().any(|one| one.class.body.iter().any(is_it))
    };
    if has("load_dialect_impl") || has("__init__") && !given.is_empty() {
        return None;
    }
    let (of, value) = ancestry.iter().find_map(|one| Some((one.module, one.class.value("impl")?)))?;
    match value {
        Expression::Name(_) if !given.is_empty() => {
            let function = Box::new(value.clone());
            let call = Expression::Call { function, arguments: given.to_vec(), line: 1 };
            at_depth(known, of, &call, models, depth + 1)
        }
        _ => at_depth(known, of, value, models, depth + 1),
    }
}

/// `Enum(Status)`, `Enum("a", "b", name="status")`.
fn enumeration(
    known: &Known<'_>,
    module: &Module,
    (arguments, line): (&[Argument], u32),
    models: &mut Models,
) -> Option<String> {
    let (name, values) = values_of(known, module, arguments)?;
    if keyword(arguments, "native_enum") == Some(&Expression::Flag(false)) {
        let longest = values.iter().map(|value| value.chars().count()).max().unwrap_or(0).max(1);
        let length = match keyword(arguments, "length") {
            Some(Expression::Number(length)) => length.clone(),
            _ => longest.to_string(),
        };
        return Some(format!("varchar({length})"));
    }
    let schema = keyword(arguments, "schema").and_then(Expression::text).map(str::to_owned);
    Some(add(name?, schema, values, Place::new(&module.path, line), models))
}

/// The name of an enumeration, where it has one, and its values.
fn values_of(
    known: &Known<'_>,
    module: &Module,
    arguments: &[Argument],
) -> Option<(Option<String>, Vec<String>)> {
    let first = &positional(arguments).next()?.value;
    let given = keyword(arguments, "name").and_then(Expression::text).map(str::to_owned);
    if let Some(found) = known.class_of(module, first).filter(|_| first.name().is_some()) {
        let by_value = keyword(arguments, "values_callable").is_some();
        return Some((given.or(Some(found.class.name.to_lowercase())), members(found, by_value)?));
    }
    let values: Option<Vec<String>> =
        positional(arguments).map(|argument| argument.value.text().map(str::to_owned)).collect();
    Some((given, values?))
}

/// The check of an enumeration that is a text in the database, and has one: its name, where it has one, and the values that it takes.
/// (`create_constraint=True`)
pub(super) fn checked(
    known: &Known<'_>,
    module: &Module,
    data_type: &Expression,
) -> Option<(Option<String>, Vec<String>)> {
    let (name, arguments) = known.value(module, data_type).call()?;
    let is = |word: &str, flag: bool| keyword(arguments, word) == Some(&Expression::Flag(flag));
    let is_it = name == "Enum" && is("native_enum", false) && is("create_constraint", true);
    is_it.then(|| values_of(known, module, arguments)).flatten()
}

fn add(
    name: String,
    schema: Option<String>,
    values: Vec<String>,
    place: Place,
    models: &mut Models,
) -> String {
    let data_type = qualified(schema.as_deref(), &name);
    models.add_enum(Enum { schema, name, values, unordered: false, place });
    data_type
}

/// The members of an enumeration: their names, as SQLAlchemy stores them, or their values.
pub(super) fn members(found: Found<'_>, by_value: bool) -> Option<Vec<String>> {
    let members = found.class.body.iter().filter_map(|statement| match statement {
        Statement::Assign { target, annotation: None, value: Some(value), .. }
            if !target.starts_with('_') =>
        {
            Some((target, value))
        }
        _ => None,
    });
    // A second name for a value is no value of its own.
    let mut known: Vec<(&String, &Expression)> = Vec::new();
    for (name, value) in members {
        let is_alias = known.iter().any(|(other, same)| {
            value.name() == Some(other.as_str()) || value == *same && value.call().is_none()
        });
        if !is_alias {
            known.push((name, value));
        }
    }
    known
        .into_iter()
        .map(|(name, value)| match (by_value, value) {
            (false, _) => Some(name.clone()),
            (true, Expression::Text(value)) => Some(value.clone()),
            (true, Expression::Call { function, .. }) if function.last_name() == Some("auto") => {
                Some(name.to_lowercase())
            }
            (true, _) => None,
        })
        .collect()
}

/// What an annotation says: its type, as SQL, and whether it takes None.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Annotated {
    pub(super) data_type: Option<String>,
    pub(super) is_optional: bool,
    /// Calls inside `Annotated[…]`: `mapped_column(…)`, `Field(…)`.
    pub(super) calls: Vec<Expression>,
}

/// Reads an annotation, without `Mapped[…]` around it. `limit`: SQLModel's `max_length`, or its digits.
pub(super) fn annotated(
    known: &Known<'_>,
    module: &Module,
    annotation: &Expression,
    models: &mut Models,
) -> Annotated {
    let mut found = Annotated::default();
    let mut annotation = annotation.clone();
    for _ in 0..DEEPEST {
        annotation = match annotation {
            // In quotes, because what it names comes later.
            Expression::Text(text) => crate::python::expression(&text),
            Expression::Or(left, right) => {
                found.is_optional |= *left == Expression::Nothing || *right == Expression::Nothing;
                if *left == Expression::Nothing { *right } else { *left }
            }
            Expression::Subscript { value, items } => match (value.last_name(), items.as_slice()) {
                (Some("Optional"), [one]) => {
                    found.is_optional = true;
                    one.clone()
                }
                (Some("Union"), items) => {
                    found.is_optional |= items.contains(&Expression::Nothing);
                    match items.iter().filter(|item| **item != Expression::Nothing).collect::<Vec<_>>()[..] {
                        [one] => one.clone(),
                        _ => return found,
                    }
                }
                (Some("Annotated"), [one, rest @ ..]) => {
                    found.calls.extend(rest.iter().cloned());
                    one.clone()
                }
                (Some("Literal"), items) => {
                    let longest =
                        items.iter().filter_map(Expression::text).map(|text| text.chars().count()).max();
                    found.data_type = longest.map(|longest| format!("varchar({longest})"));
                    return found;
                }
                _ => return found,
            },
            Expression::Name(ref name) => {
                let meaning = module.meaning(name);
                let last = meaning.rsplit_once('.').map_or(meaning.as_str(), |(_, last)| last);
                if let Some((_, known)) = ANNOTATED.iter().find(|(known, _)| *known == last) {
                    found.data_type = Some((*known).to_owned());
                    return found;
                }
                if let Some(class) = known.class(module, name).filter(|class| known.is_enum(*class)) {
                    let place = Place::new(&class.module.path, class.class.line);
                    let values = members(class, false);
                    found.data_type = values
                        .map(|values| add(class.class.name.to_lowercase(), None, values, place, models));
                    return found;
                }
                // A name for a type: `intpk = Annotated[int, mapped_column(primary_key=True)]`.
                let value = known.value(module, &annotation);
                if *value == annotation {
                    return found;
                }
                value.clone()
            }
            Expression::Call { ref function, .. } => {
                let last = function.last_name().unwrap_or_default();
                let known = ANNOTATED.iter().find(|(known, _)| *known == last);
                found.data_type = known.map(|(_, data_type)| (*data_type).to_owned());
                if matches!(last, "constr") {
                    found.data_type = Some("varchar".to_owned());
                }
                found.calls.push(annotation.clone());
                return found;
            }
            _ => return found,
        };
    }
    found
}

/// A type in `type_annotation_map`, by the type of Python.
/// What is meant is looked for as it is written first, then without `None`, and then without what else is said of it.
pub(super) fn mapped(
    known: &Known<'_>,
    module: &Module,
    annotation: &Expression,
    models: &mut Models,
) -> Option<String> {
    let mut form = Some(annotation.clone());
    for _ in 0..DEEPEST {
        let now = form?;
        let of_map = known.maps.iter().find_map(|(of, pairs)| {
            let (_, value) = pairs.iter().find(|(key, _)| is_same(key, &now))?;
            Some((*of, value))
        });
        if let Some((of, value)) = of_map {
            return data_type(known, of, value, models);
        }
        form = within(known, module, &now);
    }
    None
}

fn is_same(key: &Expression, form: &Expression) -> bool {
    match (key.last_name(), form.last_name()) {
        (Some(key), Some(form)) => key == form,
        _ => key.shown() == form.shown(),
    }
}

/// What an annotation is made from: the type that it is said of.
fn within(known: &Known<'_>, module: &Module, annotation: &Expression) -> Option<Expression> {
    match annotation {
        Expression::Text(text) => Some(crate::python::expression(text)),
        Expression::Or(left, right) if **right == Expression::Nothing => Some((**left).clone()),
        Expression::Or(left, right) if **left == Expression::Nothing => Some((**right).clone()),
        Expression::Subscript { value, items } => match (value.last_name()?, items.as_slice()) {
            ("Optional" | "Annotated", [one, ..])
            | ("Union", [one, Expression::Nothing] | [Expression::Nothing, one]) => Some(one.clone()),
            _ => None,
        },
        Expression::Name(_) => {
            let value = known.value(module, annotation);
            (value != annotation).then(|| value.clone())
        }
        _ => None,
    }
}

/// A name of a type or column in quotes where it needs them.
pub(super) fn ident(name: &str) -> String {
    quote_ident(name)
}
