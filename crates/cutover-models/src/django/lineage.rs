//! What classes are made from: which are models, what they inherit and where their `Meta` says something.
//!
//! As `ModelBase.__new__` of `django/db/models/base.py` does it: fields come from abstract bases, unless something nearer has their
//! name; a base with a table of its own gives a link to it; what a class that is no model has is not seen.

use std::collections::BTreeSet;

use super::fields::{self, Kind, What};
use super::world::{ClassRef, Meaning, Scope, World};
use crate::python::{Argument, Class, Expression, Statement};

/// How far bases are followed.
const DEEPEST: usize = 14;

/// What a call in a class makes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// A field of Django, or one of the files that is made from it and changes nothing.
    Known(&'static Kind),
    /// A field of the files that says its own type, or may say something else than the one that it is made from.
    Own { kind: &'static Kind, data_type: Option<String> },
    /// A field of someone else.
    Foreign(String),
}

/// A field, or another thing that has a name in a class.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub(super) name: String,
    pub(super) found: Found,
    /// The call.
    pub(super) arguments: &'a [Argument],
    pub(super) scope: Scope<'a>,
    pub(super) line: u32,
}

/// What a class has and inherits.
#[derive(Debug, Clone, Default)]
pub(super) struct Members<'a> {
    /// Its fields.
    pub(super) fields: Vec<Member<'a>>,
    /// Names that something has.
    pub(super) taken: BTreeSet<String>,
    /// Bases with a table.
    pub(super) parents: Vec<ClassRef<'a>>,
    /// Bases that are not among the files.
    pub(super) unknown: Vec<(String, usize, u32)>,
    /// What else is not understood.
    pub(super) remarks: Vec<(String, usize, u32)>,
}

/// What a base is.
enum Base<'a> {
    Model,
    Class(ClassRef<'a>),
    Plain,
    Unknown(String),
}

/// Bases outside the files that have no fields and no table.
static WITHOUT_FIELDS: &[&str] = &[
    "object",
    "abc.ABC",
    "ABC",
    "Generic",
    "typing.Generic",
    "typing.Protocol",
    "django.contrib.auth.models.AnonymousUser",
];

fn base<'a>(world: &World<'a>, file: usize, argument: &Argument) -> Base<'a> {
    let mut value = &argument.value;
    while let Expression::Subscript { value: inner, .. } = value {
        value = inner;
    }
    if argument.keyword.as_deref().is_some_and(|keyword| keyword != "*") {
        return Base::Plain;
    }
    let Some(name) = value.name().filter(|_| argument.keyword.is_none()) else {
        return Base::Unknown(value.shown());
    };
    match world.meaning(file, name) {
        Meaning::Class(found) => Base::Class(found),
        Meaning::Outside(path) => match path.as_str() {
            // modelcluster's has no fields.
            "django.db.models.Model"
            | "django.contrib.gis.db.models.Model"
            | "models.Model"
            | "modelcluster.models.ClusterableModel" => Base::Model,
            path if WITHOUT_FIELDS.contains(&path) => Base::Plain,
            _ => Base::Unknown(path),
        },
    }
}

/// Whether a class is a model, also an abstract one.
pub(super) fn is_model(world: &World<'_>, found: ClassRef<'_>) -> bool {
    let key = (found.file, std::ptr::from_ref(found.class));
    if let Some(known) = world.known_models.borrow().get(&key) {
        return *known;
    }
    // Until it is known: a class that is made from itself.
    world.known_models.borrow_mut().insert(key, false);
    let is_so = is_model_at(world, found.file, found.class);
    world.known_models.borrow_mut().insert(key, is_so);
    is_so
}

/// Whether nothing shows that a class is a model, and nothing that it is none: of what it is made from something is not among the files.
pub(super) fn may_be_model(world: &World<'_>, found: ClassRef<'_>) -> bool {
    !is_model(world, found) && has_unknown_base(world, found, &mut Vec::new())
}

fn has_unknown_base<'a>(world: &World<'a>, found: ClassRef<'a>, seen: &mut Vec<ClassRef<'a>>) -> bool {
    if seen.contains(&found) {
        return false;
    }
    seen.push(found);
    found.class.bases.iter().any(|argument| match base(world, found.file, argument) {
        Base::Unknown(path) => !is_of_django(&path),
        Base::Class(above) => has_unknown_base(world, above, seen),
        Base::Model | Base::Plain => false,
    })
}

/// Whether a base is one of Django's that is no model: its models are called so, or stand in applications of `django.contrib`.
fn is_of_django(path: &str) -> bool {
    let of_an_application = path.starts_with("django.contrib.") && path.contains(".models.");
    path.starts_with("django.") && !of_an_application && !path.ends_with("Model")
}

fn is_model_at(world: &World<'_>, file: usize, class: &Class) -> bool {
    class.bases.iter().any(|argument| match base(world, file, argument) {
        Base::Model => true,
        Base::Class(found) => is_model(world, found),
        Base::Plain => false,
        Base::Unknown(path) => {
            let is_called_model = path.ends_with("Model")
                && !["pydantic", "sqlmodel", "ninja"].iter().any(|other| path.starts_with(other))
                && path.contains('.');
            let has_field = || {
                class.body.iter().any(|statement| match statement {
                    Statement::Assign { value: Some(Expression::Call { function, .. }), .. } => {
                        function.name().is_some_and(|name| {
                            matches!(world.meaning(file, name), Meaning::Outside(path)
                                if fields::is_at_home(&path)
                                    && fields::by_path(&path).is_some_and(|kind| kind.what != What::Nothing))
                        })
                    }
                    _ => false,
                })
            };
            !is_of_django(&path) && has_field() || (is_called_model && class.inner("Meta").is_some())
        }
    })
}

/// Whether a class is abstract: only its own `Meta` says that.
pub(super) fn is_abstract(world: &World<'_>, found: ClassRef<'_>) -> bool {
    let said = found.class.inner("Meta").and_then(|meta| meta.value("abstract"));
    said.and_then(|value| world.constant(found.into(), value)) == Some(Expression::Flag(true))
}

/// Whether a class, or one that it is made from, stands below a condition: what it is then depends on what is true when it runs.
pub(super) fn is_conditional(world: &World<'_>, found: ClassRef<'_>) -> bool {
    is_conditional_at(world, found, &mut Vec::new())
}

fn is_conditional_at<'a>(world: &World<'a>, found: ClassRef<'a>, seen: &mut Vec<ClassRef<'a>>) -> bool {
    if found.class.is_conditional || seen.contains(&found) {
        return found.class.is_conditional;
    }
    seen.push(found);
    found.class.bases.iter().any(|argument| match base(world, found.file, argument) {
        Base::Class(above) => is_conditional_at(world, above, seen),
        _ => false,
    })
}

/// What `Meta` says of something: that of the class, of what it is made from, or of an abstract base.
pub(super) fn meta<'a>(
    world: &World<'a>,
    found: ClassRef<'a>,
    option: &str,
) -> Option<(Scope<'a>, &'a Expression)> {
    meta_at(world, found, option, true, &mut Vec::new())
}

fn meta_at<'a>(
    world: &World<'a>,
    found: ClassRef<'a>,
    option: &str,
    with_own: bool,
    seen: &mut Vec<ClassRef<'a>>,
) -> Option<(Scope<'a>, &'a Expression)> {
    if seen.contains(&found) || seen.len() > 200 {
        return None;
    }
    seen.push(found);
    if let Some(own) = found.class.inner("Meta").filter(|_| with_own) {
        return meta_class(world, found, own, option, seen);
    }
    if let Some(meta) = assigned_meta(world, found).filter(|_| with_own) {
        return meta.and_then(|meta| meta_class(world, meta, meta.class, option, seen));
    }
    found.class.bases.iter().find_map(|argument| {
        let Base::Class(above) = base(world, found.file, argument) else { return None };
        // A base with a table does not hand its own `Meta` on, but what it inherited.
        let with_own = !is_model(world, above) || is_abstract(world, above);
        meta_at(world, above, option, with_own, seen)
    })
}

/// `Meta = Other` in a class: the class that is meant, or nothing inside where it is not known.
fn assigned_meta<'a>(world: &World<'a>, found: ClassRef<'a>) -> Option<Option<ClassRef<'a>>> {
    let value = found.class.value("Meta")?;
    Some(match value.name().map(|name| world.meaning(found.file, name)) {
        Some(Meaning::Class(meta)) => Some(meta),
        Some(Meaning::Outside(_)) | None => None,
    })
}

/// What of `Meta` is not among the files.
fn unknown_meta<'a>(world: &World<'a>, found: ClassRef<'a>) -> Option<String> {
    if assigned_meta(world, found) == Some(None) {
        return found.class.value("Meta").map(Expression::shown);
    }
    let meta = found.class.inner("Meta")?;
    let bases = meta.bases.iter().filter(|base| base.keyword.is_none());
    let is_known = |base: &&Argument| {
        let Some(name) = base.value.name() else { return false };
        let owner = name.strip_suffix(".Meta").unwrap_or(name);
        name == "object"
            || matches!(world.meaning(found.file, owner), Meaning::Class(_))
            || matches!(world.meaning(found.file, name), Meaning::Class(_))
    };
    bases.filter(|base| !is_known(base)).map(|base| base.value.shown()).next()
}

fn meta_class<'a>(
    world: &World<'a>,
    found: ClassRef<'a>,
    meta: &'a Class,
    option: &str,
    seen: &mut Vec<ClassRef<'a>>,
) -> Option<(Scope<'a>, &'a Expression)> {
    if seen.len() > 200 {
        return None;
    }
    if let Some(value) = meta.value(option) {
        return Some((found.into(), value));
    }
    meta.bases.iter().find_map(|argument| {
        let name = argument.value.name()?;
        match name.strip_suffix(".Meta") {
            Some(owner) => match world.meaning(found.file, owner) {
                Meaning::Class(above) if option != "abstract" => meta_at(world, above, option, true, seen),
                _ => None,
            },
            None => match world.meaning(found.file, name) {
                Meaning::Class(above) if !seen.contains(&above) => {
                    seen.push(above);
                    meta_class(world, above, above.class, option, seen)
                }
                Meaning::Class(_) | Meaning::Outside(_) => None,
            },
        }
    })
}

/// The fields of a class, with those that it inherits before its own.
pub(super) fn members<'a>(world: &World<'a>, found: ClassRef<'a>) -> Members<'a> {
    members_at(world, found, &mut Vec::new(), 0)
}

fn members_at<'a>(
    world: &World<'a>,
    found: ClassRef<'a>,
    seen: &mut Vec<ClassRef<'a>>,
    depth: usize,
) -> Members<'a> {
    seen.push(found);
    let mut own = own_members(world, found);
    if depth > DEEPEST {
        own.unknown.push(("bases above bases, too many of them".to_owned(), found.file, found.class.line));
        return own;
    }
    let mut inherited: Vec<Member<'a>> = Vec::new();
    for argument in &found.class.bases {
        match base(world, found.file, argument) {
            Base::Model | Base::Plain => {}
            Base::Unknown(path) => own.unknown.push((path, found.file, argument.line)),
            Base::Class(above) if seen.contains(&above) => {}
            Base::Class(above) if !is_model(world, above) => {
                let above = members_at(world, above, seen, depth + 1);
                own.taken.extend(above.taken);
                own.unknown.extend(above.unknown);
            }
            Base::Class(above) if is_abstract(world, above) => {
                let above = members_at(world, above, seen, depth + 1);
                for field in above.fields {
                    if !own.taken.contains(&field.name) {
                        inherited.push(field);
                    }
                }
                own.taken.extend(above.taken);
                let known = |parent: &ClassRef<'a>| own.parents.contains(parent);
                let new: Vec<_> = above.parents.into_iter().filter(|parent| !known(parent)).collect();
                own.parents.extend(new);
                own.unknown.extend(above.unknown);
                own.remarks.extend(above.remarks);
            }
            Base::Class(above) => {
                if !own.parents.contains(&above) {
                    own.parents.push(above);
                }
            }
        }
    }
    inherited.append(&mut own.fields);
    own.fields = inherited;
    own
}

/// The fields of a class that stand in it.
fn own_members<'a>(world: &World<'a>, found: ClassRef<'a>) -> Members<'a> {
    let mut own = Members::default();
    let ClassRef { file, class } = found;
    for statement in &class.body {
        match statement {
            Statement::Function(function) => {
                own.taken.insert(function.name.clone());
            }
            Statement::Class(class) => {
                own.taken.insert(class.name.clone());
            }
            // `exec("…")`, `locals().update({…})`, `if (name := CharField(…)):`
            Statement::Bare(value, line) => {
                let is_dynamic =
                    ["locals().", "vars().", "exec("].iter().any(|call| value.shown().starts_with(call));
                if is_dynamic || mentions_field(world, file, value, 0) {
                    own.remarks.push((format!("{}: {}", class.name, value.shown()), file, *line));
                }
            }
            // `locals()["name"] = CharField(…)`, `a, b = CharField(…), TextField()`
            Statement::Put { target, value, line } => {
                if let (Expression::List(targets), Expression::List(values)) = (target, value)
                    && targets.len() == values.len()
                    && targets.iter().all(|target| target.name().is_some())
                {
                    for (target, value) in targets.iter().zip(values) {
                        assigned(world, found, (target.name().unwrap_or_default(), value, *line), &mut own);
                    }
                } else if mentions_field(world, file, value, 0) {
                    own.remarks.push((
                        format!("{}: {} = {}", class.name, target.shown(), value.shown()),
                        file,
                        *line,
                    ));
                }
            }
            Statement::Assign { target, value, line, .. } => {
                let Some(value) = value else { continue };
                assigned(world, found, (target, value, *line), &mut own);
            }
        }
    }
    // `indexes.extend(…)`, `indexes += …`
    for statement in class.inner("Meta").map_or(&[][..], |meta| &meta.body) {
        if let Statement::Bare(value @ (Expression::Call { .. } | Expression::Other(_)), line)
        | Statement::Put { value, line, .. } = statement
            && value.shown() != "..."
        {
            own.remarks.push((format!("{ADDED} {}: {}", class.name, value.shown()), file, *line));
        }
    }
    if let Some(what) = unknown_meta(world, found) {
        let what = format!("{META} {}: {what}, which is not among the files", class.name);
        own.remarks.push((what, file, class.line));
    }
    own
}

/// How remarks on `Meta` begin.
pub(super) const META: &str = "Meta of";
/// How those begin that are about what is added to it behind its lists.
pub(super) const ADDED: &str = "what is added in Meta of";

/// `name = value` in a class.
fn assigned<'a>(
    world: &World<'a>,
    found: ClassRef<'a>,
    (target, value, line): (&str, &'a Expression, u32),
    own: &mut Members<'a>,
) {
    let ClassRef { file, class } = found;
    own.fields.retain(|field| field.name != target);
    own.taken.insert(target.to_owned());
    let of_call = match value {
        Expression::Call { function, arguments, .. } => Some((function, arguments)),
        _ => None,
    };
    match of_call.map(|(function, arguments)| (field_of(world, file, function), function, arguments)) {
        Some((Some(Found::Known(kind)), ..)) if kind.what == What::Nothing => {}
        // It may be there or not.
        Some((Some(_), function, _)) if class.is_below_condition(line) => {
            own.remarks.push((
                format!("{}.{target}: {}, below a condition", class.name, function.shown()),
                file,
                line,
            ));
        }
        Some((Some(kind), _, arguments)) => {
            let (name, scope) = (target.to_owned(), found.into());
            own.fields.push(Member { name, found: kind, arguments, scope, line });
        }
        Some((None, function, _)) if is_suspicious(function) => {
            // One of the files that is made from a known one brings what that brings.
            let made_from =
                manager(world, file, function).filter(|known| function.last_name() != Some(known));
            let made_from = made_from.map(|known| format!(", which is a {known}")).unwrap_or_default();
            own.remarks.push((
                format!("{}.{target}: {}{made_from}", class.name, function.shown()),
                file,
                line,
            ));
        }
        // What makes forms and the like of a model stands in no model; what is left may be a field.
        _ if mentions_field(world, file, value, 0) || is_kept_field(world, found, value) => {
            own.remarks.push((format!("{}.{target}: {}", class.name, value.shown()), file, line));
        }
        _ => {}
    }
}

/// Whether a field is made somewhere inside a value.
pub(super) fn mentions_field(world: &World<'_>, file: usize, value: &Expression, depth: usize) -> bool {
    if depth > DEEPEST {
        return true;
    }
    let inner = |value: &Expression| mentions_field(world, file, value, depth + 1);
    match value {
        Expression::Call { function, arguments, .. } => {
            let made = field_of(world, file, function);
            let makes_one = match &made {
                Some(Found::Known(kind)) => kind.what != What::Nothing,
                Some(_) => true,
                None => is_suspicious(function),
            };
            // What fields are given, such as managers and validators, makes none.
            makes_one || inner(function) || arguments.iter().any(|argument| inner(&argument.value))
        }
        Expression::List(items) => items.iter().any(inner),
        Expression::Dictionary(pairs) => pairs.iter().any(|(_, item)| inner(item)),
        Expression::Member(value, _) | Expression::Subscript { value, .. } => inner(value),
        Expression::Other(text) => ["Field(", "ForeignKey("].iter().any(|call| {
            // `forms.CharField(` and the like make none.
            text.match_indices(call).any(|(at, _)| {
                let before = text.get(..at).unwrap_or_default();
                let name = before.rsplit(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).next();
                !name.unwrap_or_default().starts_with("forms.")
            })
        }),
        _ => false,
    }
}

/// A name of a field that is made elsewhere, or one of several.
fn is_kept_field<'a>(world: &World<'a>, found: ClassRef<'a>, value: &'a Expression) -> bool {
    let (name, is_one_of) = match value {
        Expression::Subscript { value, .. } => (value.name(), true),
        other => (other.name(), false),
    };
    let Some(name) = name else { return false };
    match world.value(found.into(), name) {
        Some((scope, value)) => {
            // An attribute of this class is no other field.
            (is_one_of || scope.class.is_none()) && mentions_field(world, scope.file, value, 0)
        }
        None => name.to_ascii_lowercase().contains("field"),
    }
}

/// The known manager that a call makes, or that the class which it makes is made from.
fn manager(world: &World<'_>, file: usize, function: &Expression) -> Option<&'static str> {
    let mut made = (file, function);
    for _ in 0..DEEPEST {
        let last = made.1.last_name()?;
        if let Some(known) = super::aside::MANAGERS.iter().find(|known| **known == last) {
            return Some(known);
        }
        let Meaning::Class(found) = world.meaning(made.0, made.1.name()?) else { return None };
        made = (found.file, &found.class.bases.first()?.value);
    }
    None
}

/// Calls that may make columns or tables, and are not known.
fn is_suspicious(function: &Expression) -> bool {
    let name = function.last_name().unwrap_or_default();
    name.to_ascii_lowercase().contains("field")
        || super::aside::MANAGERS.contains(&name)
        || name == "HistoricalRecords"
        || name == "AuditlogHistoryField"
}

/// The field that a call makes.
pub(super) fn field_of(world: &World<'_>, file: usize, function: &Expression) -> Option<Found> {
    let name = function.name()?;
    match world.meaning(file, name) {
        // Also where the library is among the files.
        Meaning::Class(found) => match fields::without_column(&found.class.name) {
            Some(kind) => Some(Found::Known(kind)),
            // Which one it is depends.
            None if is_conditional(world, found) => {
                own_field(world, found, 0).map(|_| Found::Foreign(name.to_owned()))
            }
            None => own_field(world, found, 0),
        },
        Meaning::Outside(path) => match fields::by_path(&path) {
            Some(kind) => Some(Found::Known(kind)),
            None => is_field_name(&path).then_some(Found::Foreign(path)),
        },
    }
}

fn is_field_name(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    let is_form =
        path.starts_with("django.forms") || path.starts_with("forms.") || path.contains("rest_framework");
    let begins = last.starts_with(|c: char| c.is_ascii_uppercase());
    begins && !is_form && (last.ends_with("Field") || last.ends_with("ForeignKey") || last.ends_with("Key"))
}

/// A field that is a class of the files.
fn own_field(world: &World<'_>, found: ClassRef<'_>, depth: usize) -> Option<Found> {
    if depth > DEEPEST {
        return None;
    }
    let mut above = found.class.bases.iter().filter_map(|argument| {
        let (Base::Class(_) | Base::Unknown(_)) = base(world, found.file, argument) else { return None };
        let name = argument.value.name()?;
        match world.meaning(found.file, name) {
            Meaning::Class(other) if other == found => None,
            Meaning::Class(other) => match fields::without_column(&other.class.name) {
                Some(kind) => Some(Found::Known(kind)),
                None => own_field(world, other, depth + 1),
            },
            Meaning::Outside(path) if path == "django.db.models.Field" || is_field_name(&path) => {
                Some(fields::by_path(&path).map_or(Found::Foreign(path), Found::Known))
            }
            Meaning::Outside(_) => None,
        }
    });
    let above = above.next()?;
    let function = |name: &str| {
        found.class.body.iter().find_map(|statement| match statement {
            Statement::Function(function) if function.name == name => Some(function),
            _ => None,
        })
    };
    let says_otherwise =
        ["__init__", "__new__", "db_type", "db_parameters", "get_internal_type", "db_check", "db_default"]
            .iter()
            .any(|name| function(name).is_some());
    let says_type =
        ["db_type", "db_parameters", "get_internal_type"].iter().any(|name| function(name).is_some());
    let is_plain = match &above {
        Found::Foreign(path) => {
            matches!(path.as_str(), "django.db.models.Field" | "django.db.models.fields.Field")
        }
        Found::Known(kind) => kind.what == What::Nothing,
        Found::Own { .. } => false,
    };
    // Django's own `Field` has no type, and makes no column, where nobody says one.
    if is_plain && !says_type {
        return fields::without_column("GenericForeignKey").map(Found::Known);
    }
    let above = if is_plain { Found::Foreign("django.db.models.Field".to_owned()) } else { above };
    if !says_otherwise {
        return Some(above);
    }
    let text = |name: &str| function(name).and_then(|function| function.returns.as_ref()?.text());
    let internal = text("get_internal_type").and_then(fields::by_name);
    let kind = match above {
        Found::Known(kind) | Found::Own { kind, .. } => Some(internal.unwrap_or(kind)),
        Found::Foreign(_) => internal,
    };
    let has = |name: &str| function(name).is_some();
    let data_type = text("db_type").map(str::to_owned).filter(|_| !has("db_parameters"));
    let data_type = data_type.or(match kind.map(|kind| kind.what) {
        Some(What::Plain(known)) if !has("db_type") && !has("db_parameters") => Some(known.to_owned()),
        _ => None,
    });
    Some(match kind {
        Some(kind) => Found::Own { kind, data_type },
        None => Found::Own { kind: fields::by_name("TextField")?, data_type },
    })
}
