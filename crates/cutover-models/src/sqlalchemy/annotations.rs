//! What annotations say: `Mapped[…]`, SQLModel's fields, and `type_annotation_map`.

use super::classes::is_root;
use super::known::{Found, Known};
use super::types::{DATETIME, DEEPEST};
use super::values::Callable;
use crate::model::{Enum, Place, Table};
use crate::python::{Argument, Expression, Module, Statement, keyword};

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

/// What an annotation says: its type, as SQL, and whether it takes None.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Annotated {
    pub(super) data_type: Option<String>,
    pub(super) is_optional: bool,
    /// Calls inside `Annotated[…]`: `mapped_column(…)`, `Field(…)`.
    pub(super) calls: Vec<Expression>,
    /// The `Annotated[…]` stands inside `Optional[…]`.
    pub(super) is_inside: bool,
    /// The type with a list of values that `data_type` is.
    pub(super) made: Option<Enum>,
    /// It is a name of which the files say nothing: it may be an `Annotated[…]`, which says more than a type.
    pub(super) is_unknown: bool,
}

/// Reads an annotation, without `Mapped[…]` around it.
pub(super) fn annotated(known: &Known<'_>, module: &Module, annotation: &Expression) -> Annotated {
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
                    found.is_inside |= found.is_optional;
                    for more in rest {
                        let more = known.value(module, more);
                        found.is_unknown |= more.name().is_some();
                        found.calls.push(more.clone());
                    }
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
                if let Some(class) = known.class(module, name) {
                    if known.is_enum(class) {
                        of_enumeration(known, class, &mut found);
                    }
                    return found;
                }
                // A name for a type: `intpk = Annotated[int, mapped_column(primary_key=True)]`.
                let value = known.value(module, &annotation);
                if *value == annotation {
                    found.is_unknown = true;
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

fn of_enumeration(known: &Known<'_>, class: Found<'_>, found: &mut Annotated) {
    let Some(values) = Callable::names().values(known, class) else { return };
    let name = class.class.name.to_lowercase();
    let place = Place::new(&class.module.path, class.class.line);
    found.data_type = Some(crate::model::qualified(None, &name));
    found.made = Some(Enum { schema: None, name, values, unordered: false, place });
}

/// A `type_annotation_map`.
#[derive(Debug)]
pub(super) struct Map<'a> {
    /// The base class that says it; nothing where it stands beside the classes.
    owner: Option<Found<'a>>,
    /// What it is assigned to.
    target: &'a str,
    /// What it has, with where that stands.
    pairs: Vec<(&'a Module, &'a Expression, &'a Expression)>,
    /// As it is written, where it may have more than that.
    unread: Option<String>,
}

/// All that there are in the files.
pub(super) fn maps<'a>(known: &Known<'a>) -> Vec<Map<'a>> {
    let mut found = Vec::new();
    for module in known.modules {
        for statement in &module.statements {
            match statement {
                Statement::Class(class) => {
                    for inner in &class.body {
                        of_statement(known, module, (Some(Found { module, class }), inner), &mut found);
                    }
                }
                other => of_statement(known, module, (None, other), &mut found),
            }
        }
    }
    found
}

fn of_statement<'a>(
    known: &Known<'a>,
    module: &'a Module,
    (owner, statement): (Option<Found<'a>>, &'a Statement),
    found: &mut Vec<Map<'a>>,
) {
    let mut map = Map { owner, target: "", pairs: Vec::new(), unread: None };
    match statement {
        Statement::Assign { target, value: Some(value), .. } => {
            let of_call =
                || value.call().and_then(|(_, arguments)| keyword(arguments, "type_annotation_map"));
            let is_it = target == "type_annotation_map" && owner.is_some();
            let Some(value) = is_it.then_some(value).or_else(of_call) else { return };
            map.target = target;
            map.fill(known, module, value, 0);
        }
        // `Base.registry.update_type_annotation_map({…})`
        Statement::Bare(Expression::Call { function, arguments, .. }, _)
            if function.last_name() == Some("update_type_annotation_map") =>
        {
            let name = function.name().and_then(|name| name.split('.').next()).unwrap_or_default();
            map.owner = known.class(module, name);
            map.target = name;
            for argument in arguments {
                map.fill(known, module, &argument.value, 0);
            }
        }
        // What decides for itself, since SQLAlchemy 2.1.
        Statement::Function(function) => {
            let event =
                function.decorators.iter().find(|one| one.shown().contains("resolve_type_annotation"));
            let Some(event) = event else { return };
            map.unread = Some(event.shown());
        }
        _ => return,
    }
    // What is said last counts.
    found.insert(0, map);
}

impl<'a> Map<'a> {
    fn fill(&mut self, known: &Known<'a>, module: &'a Module, value: &'a Expression, depth: usize) {
        let (of, value) = known.assigned_value(module, value);
        match value {
            Expression::Dictionary(pairs) if depth < DEEPEST => {
                // What is said last counts.
                for (key, value) in pairs.iter().rev() {
                    match key {
                        Expression::Other(_) => self.fill(known, of, value, depth + 1),
                        key => self.pairs.push((of, key, value)),
                    }
                }
            }
            Expression::Or(left, right) if depth < DEEPEST => {
                self.fill(known, of, right, depth + 1);
                self.fill(known, of, left, depth + 1);
            }
            other => self.unread = Some(other.shown()),
        }
    }
}

/// The maps that count for the classes of a table.
fn of_table<'k, 'a>(known: &'k Known<'a>, table: &Table) -> Vec<&'k Map<'a>> {
    let module = known.modules.iter().find(|module| module.path == table.place.path);
    let class = module.and_then(|module| known.class(module, &table.label));
    let ancestry = class.map(|class| known.ancestry(class)).unwrap_or_default();
    let is_own = |map: &&Map<'_>| {
        map.owner.is_some_and(|owner| ancestry.iter().any(|one| std::ptr::eq(one.class, owner.class)))
    };
    let own: Vec<&Map<'_>> = known.maps.iter().filter(is_own).collect();
    if !own.is_empty() {
        return own;
    }
    // A base that makes a registry of its own has no other's map; an event may be of all.
    let root = ancestry.iter().find(|one| is_root(one.class)).map(|root| root.class.value("registry"));
    let is_free = |map: &&Map<'_>| match root {
        Some(registry) => {
            map.target.is_empty() || registry.and_then(Expression::last_name) == Some(map.target)
        }
        None => true,
    };
    let beside = || known.maps.iter().filter(|map| map.owner.is_none()).filter(is_free);
    // The base, or the registry in front of `.mapped`, by its name.
    let is_named = |map: &&Map<'_>| {
        ancestry.iter().any(|one| {
            let decorators = one.class.decorators.iter().map(Expression::shown);
            one.class.bases.iter().any(|base| base.value.last_name() == Some(map.target))
                || decorators.into_iter().any(|one| one.starts_with(&format!("{}.", map.target)))
        })
    };
    let named: Vec<&Map<'_>> = beside().filter(is_named).collect();
    if named.is_empty() { beside().collect() } else { named }
}

/// What a `type_annotation_map` has for an annotation.
#[derive(Debug, PartialEq)]
pub(super) enum Mapping<'k> {
    /// This type, as it is written in that module.
    Type(&'k Module, Expression),
    /// One that is not known.
    Unknown(String),
}

/// A type in `type_annotation_map`, by the type of Python.
/// What is meant is looked for as it is written first, then without `None`, and then without what else is said of it.
pub(super) fn mapped<'k>(
    known: &'k Known<'_>,
    module: &Module,
    annotation: &Expression,
    table: &Table,
) -> Option<Mapping<'k>> {
    let maps = of_table(known, table);
    let mut form = Some(annotation.clone());
    for _ in 0..DEEPEST {
        let Some(now) = form else { break };
        for map in &maps {
            let pair = map.pairs.iter().find(|(of, key, _)| {
                is_same(key, &now) || is_same(known.value(of, key), &now) && now.name().is_none()
            });
            let general = || map.pairs.iter().find(|(_, key, _)| is_general(known, module, key, &now));
            if let Some((of, _, value)) = pair.or_else(general) {
                let value = known.value(of, value);
                return Some(Mapping::Type(of, of_general(known, of, value, &now)));
            }
        }
        form = within(known, module, &now);
    }
    let unread = maps.iter().find_map(|map| map.unread.as_ref());
    unread.map(|unread| Mapping::Unknown(format!("type_annotation_map: {unread}")))
}

fn is_same(key: &Expression, form: &Expression) -> bool {
    normal(key) == normal(form)
}

/// As it is written, without the modules that names come from.
fn normal(form: &Expression) -> String {
    match form {
        Expression::Name(_) => form.last_name().unwrap_or_default().to_owned(),
        Expression::Subscript { value, items } => {
            let items: Vec<String> = items.iter().map(normal).collect();
            format!("{}[{}]", normal(value), items.join(", "))
        }
        Expression::Or(left, right) => format!("{} | {}", normal(left), normal(right)),
        other => other.shown(),
    }
}

/// `enum.Enum` is there for all enumerations, and `Literal` for all of those.
fn is_general(known: &Known<'_>, module: &Module, key: &Expression, form: &Expression) -> bool {
    match (key.last_name(), form) {
        (Some("Literal"), Expression::Subscript { value, .. }) => value.last_name() == Some("Literal"),
        (Some("Enum"), Expression::Name(name)) => {
            known.class(module, name).is_some_and(|class| known.is_enum(class))
        }
        (Some(own @ ("IntEnum" | "StrEnum")), Expression::Name(name)) => {
            let class = known.class(module, name);
            class
                .is_some_and(|class| class.class.bases.iter().any(|base| base.value.last_name() == Some(own)))
        }
        _ => false,
    }
}

/// `Enum(enum.Enum, …)` of one that is annotated: the same with that.
fn of_general(known: &Known<'_>, module: &Module, value: &Expression, form: &Expression) -> Expression {
    let Expression::Call { function, arguments, line } = value else { return value.clone() };
    let [first, rest @ ..] = arguments.as_slice() else { return value.clone() };
    let is_general = first.keyword.is_none()
        && first.value.last_name() == Some("Enum")
        && first.value.name().is_none_or(|name| known.class(module, name).is_none());
    if function.last_name() != Some("Enum") || !is_general {
        return value.clone();
    }
    let plain = |value: Expression| Argument { keyword: None, value, line: *line };
    let mut given: Vec<Argument> = Vec::new();
    let is_literal = match form {
        Expression::Subscript { items, .. } => {
            given.extend(items.iter().cloned().map(plain));
            true
        }
        other => {
            given.push(plain(other.clone()));
            false
        }
    };
    let is_native = |argument: &&Argument| argument.keyword.as_deref() == Some("native_enum");
    given.extend(rest.iter().filter(|argument| !is_literal || !is_native(argument)).cloned());
    if is_literal {
        let value = Expression::Flag(false);
        given.push(Argument { keyword: Some("native_enum".to_owned()), value, line: *line });
    }
    Expression::Call { function: function.clone(), arguments: given, line: *line }
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
