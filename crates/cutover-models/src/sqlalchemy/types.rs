//! Types, as SQLAlchemy's PostgreSQL dialect writes them.

use cutover_analysis::sql::quote_ident;

use super::columns::Collation;
use super::known::{Known, last_of};
use super::values::Callable;
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
    ("LargeBinary", "bytea"),
    ("BYTEA", "bytea"),
    ("PickleType", "bytea"),
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

/// Decorators that are followed from one to the next at most.
pub(super) const DEEPEST: usize = 16;

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
    if arguments.iter().any(|argument| matches!(argument.keyword.as_deref(), Some("*" | "**"))) {
        return None;
    }
    let first = positional(arguments).next().map(|argument| &argument.value);
    if let Some((_, plain)) = PLAIN.iter().find(|(known, _)| *known == name) {
        return Some((*plain).to_owned());
    }
    match name {
        "ARRAY" => Some(format!("{}[]", inner(first?, models)?)),
        "as_mutable" | "with_variant" => inner(first?, models),
        "Enum" | "ENUM" => enumeration(known, module, (arguments, line), models),
        _ => match (Made { known, module, arguments }).data_type(name) {
            Some(made) => made,
            None => decorated(known, module, expression, models, depth),
        },
    }
}

/// A type with what it is made with.
#[derive(Clone, Copy)]
struct Made<'e> {
    known: &'e Known<'e>,
    module: &'e Module,
    arguments: &'e [Argument],
}

/// Nothing where something is said that is not understood: that is no missing one.
type Said<T> = Option<Option<T>>;

impl<'e> Made<'e> {
    fn value(self, place: usize, word: &str) -> Option<&'e Expression> {
        let plain = positional(self.arguments).nth(place).map(|argument| &argument.value);
        plain.or(keyword(self.arguments, word)).map(|value| self.known.value(self.module, value))
    }

    fn number(self, place: usize, word: &str) -> Said<String> {
        match self.value(place, word) {
            None | Some(Expression::Nothing) => Some(None),
            Some(Expression::Number(number)) => Some(Some(number.clone())),
            Some(_) => None,
        }
    }

    fn flag(self, place: usize, word: &str) -> Said<bool> {
        match self.value(place, word) {
            None | Some(Expression::Nothing) => Some(None),
            Some(Expression::Flag(flag)) => Some(Some(*flag)),
            Some(_) => None,
        }
    }

    fn limited(self, name: &str, (place, word): (usize, &str)) -> Option<String> {
        Some(limited(name, self.number(place, word)?))
    }

    /// A type of SQLAlchemy's own, by its name; nothing inside where what it is made with is not understood.
    fn data_type(self, name: &str) -> Said<String> {
        const BY_WORD: usize = usize::MAX;
        Some(match name {
            "String" | "VARCHAR" | "Unicode" | "AutoString" => self.limited("varchar", (0, "length")),
            "CHAR" | "NCHAR" => self.limited("char", (0, "length")),
            "Numeric" | "NUMERIC" | "DECIMAL" | "Decimal" => self.numeric(),
            "Float" | "FLOAT" => self.number(0, "precision").map(|precision| match precision {
                Some(precision) => format!("float({precision})"),
                None => "double precision".to_owned(),
            }),
            "DateTime" | "TIMESTAMP" => self.moment("timestamp"),
            "Time" | "TIME" => self.moment("time"),
            "INTERVAL" => interval(self.value(BY_WORD, "fields"))
                .and_then(|interval| self.limited(&interval, (BY_WORD, "precision"))),
            "Interval" => self.flag(0, "native").and_then(|native| match native {
                Some(false) => Some("timestamp without time zone".to_owned()),
                _ => self.limited("interval", (1, "second_precision")),
            }),
            "Uuid" => self.flag(1, "native_uuid").map(|native| match native {
                Some(false) => "char(32)".to_owned(),
                _ => "uuid".to_owned(),
            }),
            "BIT" => self.flag(1, "varying").and_then(|varying| {
                self.limited(if varying == Some(true) { "varbit" } else { "bit" }, (0, "length"))
            }),
            "Vector" => self.limited("vector", (0, "dim")),
            _ => return None,
        })
    }

    fn numeric(self) -> Option<String> {
        Some(match (self.number(0, "precision")?, self.number(1, "scale")?) {
            (Some(precision), Some(scale)) => format!("numeric({precision}, {scale})"),
            (precision, _) => limited("numeric", precision),
        })
    }

    fn moment(self, base: &str) -> Option<String> {
        let zone = self.flag(0, "timezone")? == Some(true);
        let base = self.limited(base, (usize::MAX, "precision"))?;
        Some(format!("{base} {} time zone", if zone { "with" } else { "without" }))
    }
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
    let says_more = ancestry.iter().any(|one| one.class.body.iter().any(is_made_with_more));
    if has("load_dialect_impl") || has("__init__") && !given.is_empty() || says_more {
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

/// `def __init__(self): super().__init__(length=36)`: what it is made with is not what it is called with.
fn is_made_with_more(statement: &Statement) -> bool {
    let Statement::Function(function) = statement else { return false };
    function.name == "__init__"
        && function.body.iter().any(|inner| match inner {
            Statement::Bare(value @ Expression::Call { function, arguments, .. }, _) => {
                let is_constructor = function.shown().ends_with(".__init__");
                is_constructor && !arguments.is_empty() && !value.shown().contains("**")
            }
            _ => false,
        })
}

/// `Enum(Status)`, `Enum("a", "b", name="status")`.
fn enumeration(
    known: &Known<'_>,
    module: &Module,
    (arguments, line): (&[Argument], u32),
    models: &mut Models,
) -> Option<String> {
    let (name, values) = values_of(known, module, arguments)?;
    let is_native = match keyword(arguments, "native_enum").map(|flag| known.value(module, flag)) {
        None | Some(Expression::Flag(true)) => true,
        Some(Expression::Flag(false)) => false,
        Some(_) => return None,
    };
    if !is_native {
        let longest = values.iter().map(|value| value.chars().count()).max().unwrap_or(0).max(1);
        let length = match keyword(arguments, "length").map(|length| known.value(module, length)) {
            Some(Expression::Number(length)) => length.clone(),
            None | Some(Expression::Nothing) => longest.to_string(),
            Some(_) => return None,
        };
        return Some(format!("varchar({length})"));
    }
    let schema = match keyword(arguments, "schema").map(|schema| known.value(module, schema)) {
        None | Some(Expression::Nothing) => None,
        Some(schema) => Some(schema.text()?.to_owned()),
    };
    let place = Place::new(&module.path, line);
    Some(add(Enum { schema, name: name?, values, unordered: false, place }, models))
}

/// The name of an enumeration, where it has one, and its values.
fn values_of(
    known: &Known<'_>,
    module: &Module,
    arguments: &[Argument],
) -> Option<(Option<String>, Vec<String>)> {
    let first = &positional(arguments).next()?.value;
    let given = match keyword(arguments, "name").map(|name| known.value(module, name)) {
        None | Some(Expression::Nothing) => None,
        Some(name) => Some(name.text()?.to_owned()),
    };
    if let Some(found) = known.class_of(module, first).filter(|_| first.name().is_some()) {
        let callable = match keyword(arguments, "values_callable") {
            None | Some(Expression::Nothing) => Callable::names(),
            Some(callable) => Callable::of(known, module, callable)?,
        };
        return Some((given.or(Some(found.class.name.to_lowercase())), callable.values(known, found)?));
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

/// Adds a type, and gives its name as SQL.
pub(super) fn add(made: Enum, models: &mut Models) -> String {
    let is_other =
        |one: &Enum| one.schema == made.schema && one.name == made.name && one.values != made.values;
    if models.enums.iter().any(is_other) {
        let what = format!("a second type {}, with other values: {}", made.name, made.values.join(", "));
        models.unsupported(made.place.clone(), what);
    }
    let data_type = qualified(made.schema.as_deref(), &made.name);
    models.add_enum(made);
    data_type
}

/// Whether the schema of a type with a list of values is another one in SQLAlchemy 2.1, which takes that of the `MetaData`, than it was
/// before: where it is said in a column and says none itself.
pub(super) fn has_schema_by_version(known: &Known<'_>, module: &Module, data_type: &Expression) -> bool {
    let Some((name, arguments)) = known.value(module, data_type).call() else { return false };
    let says = |word: &str| keyword(arguments, word).is_some_and(|value| *value != Expression::Nothing);
    match name {
        "Enum" | "ENUM" => {
            let is_text = keyword(arguments, "native_enum") == Some(&Expression::Flag(false));
            known.schema.is_some()
                && !is_text
                && !["schema", "metadata", "inherit_schema"].into_iter().any(says)
        }
        "ARRAY" => positional(arguments).any(|inner| has_schema_by_version(known, module, &inner.value)),
        _ => false,
    }
}

/// The collation that a type is said with: `String(50, collation="C")`.
pub(super) fn collation(known: &Known<'_>, module: &Module, data_type: &Expression) -> Option<Collation> {
    let (name, arguments) = known.value(module, data_type).call()?;
    if !matches!(
        name,
        "String"
            | "VARCHAR"
            | "Unicode"
            | "AutoString"
            | "CHAR"
            | "NCHAR"
            | "Text"
            | "TEXT"
            | "UnicodeText"
            | "Enum"
    ) {
        return None;
    }
    let second = positional(arguments).nth(1).map(|argument| &argument.value).filter(|_| name != "Enum");
    match known.value(module, keyword(arguments, "collation").or(second)?) {
        Expression::Text(name) => Some(Collation::Named(name.clone())),
        Expression::Nothing => None,
        other => Some(Collation::Unknown(other.shown())),
    }
}

/// A name of a type or column in quotes where it needs them.
pub(super) fn ident(name: &str) -> String {
    quote_ident(name)
}
