//! SQLModel's fields: `name: str = Field(max_length=50)`.

use super::annotations::{Annotated, annotated};
use super::columns::{At, Said, finish, is_column, models_made, of_call, open_all, shown_of};
use super::given::{self, Given};
use super::types::{self, data_type};
use crate::model::{Aspect, Models, Table};
use crate::python::{Argument, Expression, keyword, positional};

/// Adds the column of an attribute to a table. Says whether it is one.
pub(super) fn add(
    at: At<'_>,
    (annotation, value): (Option<&Expression>, Option<&Expression>),
    table: &mut Table,
    models: &mut Models,
) -> bool {
    let Some(annotation) = annotation else { return false };
    if let Some(("Field", arguments)) = value.and_then(Expression::call) {
        of_field(at, annotation, arguments, table, models);
        return true;
    }
    if !is_field(annotation, value) {
        return false;
    }
    let given = value.map(|value| Argument {
        keyword: Some("default".to_owned()),
        value: value.clone(),
        line: at.line,
    });
    of_field(at, annotation, given.as_slice(), table, models);
    if let Some(value) = value.filter(|value| makes_field(at, value)) {
        open_all(at, (&value.shown(), false), table, models);
    }
    true
}

/// Whether an annotated name of a class is a column, and no setting or relationship.
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

/// Whether a call that SQLModel does not know makes a `Field(…)`.
fn makes_field(at: At<'_>, value: &Expression) -> bool {
    let Expression::Call { function, .. } = value else { return false };
    let name = function.last_name().unwrap_or_default();
    let is_so = |made: &Expression| made.call().is_some_and(|(name, _)| name == "Field");
    if let Some(made) = at.known.function(at.module, function) {
        return made.returns.as_ref().is_none_or(is_so);
    }
    let value = at.known.value(at.module, function);
    let first = value.call().filter(|(name, _)| *name == "partial");
    let first = first.and_then(|(_, arguments)| positional(arguments).next());
    first.map_or(name.to_ascii_lowercase().ends_with("field"), |first| {
        first.value.last_name() == Some("Field")
    })
}

/// A field: what `Field(…)` is given, and what its annotation says besides.
struct Field<'f> {
    at: At<'f>,
    found: &'f Annotated,
    given: &'f [Argument],
    inner: &'f [Given],
}

fn of_field(at: At<'_>, annotation: &Expression, given: &[Argument], table: &mut Table, models: &mut Models) {
    let given = given::of(at, given);
    let mut found = annotated(at.known, at.module, annotation);
    // What pydantic does not find, SQLModel does not see.
    if found.is_inside {
        found.calls.clear();
    }
    let calls = found.calls.iter().filter_map(Expression::call);
    let calls = calls.filter(|(name, _)| matches!(*name, "Field" | "condecimal"));
    let inner: Vec<Given> = calls.map(|(_, inner)| given::of(at, inner)).collect();
    let field = Field { at, found: &found, given: &given.arguments, inner: &inner };
    if field.of_own_column(table, models) {
        return;
    }
    let is_open = given.is_open || inner.iter().any(|inner| inner.is_open);
    let (data_type, unknown) = field.data_type(annotation, models);
    let (further, further_is_open) = field.further();
    // A default in the first place is Field's own and no column's name.
    let plain: Vec<Argument> =
        given.arguments.iter().filter(|argument| argument.keyword.is_some()).cloned().collect();
    let default: Vec<Argument> = positional(&given.arguments)
        .take(1)
        .map(|argument| Argument { keyword: Some("default".to_owned()), ..argument.clone() })
        .collect();
    let mut arguments = vec![plain.as_slice(), default.as_slice(), further.as_slice()];
    arguments.extend(inner.iter().map(|inner| inner.arguments.as_slice()));
    let has_type = data_type.is_some();
    let optional = Some(found.is_optional);
    finish(at, &Said { data_type, unknown, optional, arguments, ..Said::default() }, table, models);
    if is_open || further_is_open {
        open_all(at, (&shown_of(&given.arguments, &found), has_type && !is_open), table, models);
    }
}

impl<'f> Field<'f> {
    fn said(&self, name: &str) -> Option<&'f Expression> {
        let inner = self.inner.iter().map(|inner| inner.arguments.as_slice());
        let said = std::iter::once(self.given).chain(inner).find_map(|arguments| keyword(arguments, name))?;
        let value = self.at.known.value(self.at.module, said);
        (*value != Expression::Nothing).then_some(value)
    }

    /// A column of its own says everything.
    fn of_own_column(&self, table: &mut Table, models: &mut Models) -> bool {
        let Some(own) = self.said("sa_column") else { return false };
        match own.call() {
            Some((name, arguments)) if is_column(name) => {
                of_call(self.at, arguments, (None, None), table, models);
            }
            _ => {
                table.unstated.extend([Aspect::Columns, Aspect::PrimaryKey]);
                let what = format!("the column of {}: {}", self.at.label(), own.shown());
                models.unsupported(self.at.place(), what);
            }
        }
        true
    }

    /// Its type, or what of it is not understood.
    fn data_type(&self, annotation: &Expression, models: &mut Models) -> (Option<String>, Option<String>) {
        if let Some(own) = self.said("sa_type") {
            let made = data_type(self.at.known, self.at.module, own, models);
            let unknown = made.is_none().then(|| own.shown());
            return (made, unknown);
        }
        // What is said of the length in another way than by a number is not known.
        let unread = ["max_length", "max_digits", "decimal_places"].into_iter().find_map(|name| {
            let value = self.said(name).filter(|value| !matches!(value, Expression::Number(_)))?;
            Some(format!("{name}={}", value.shown()))
        });
        let of_annotation = self.limited();
        match (of_annotation.as_deref(), unread) {
            (Some(types::DATETIME), _) => match is_utc(&self.at.known.settings.sqlmodel) {
                Some(true) => (Some("timestamptz".to_owned()), None),
                Some(false) => (of_annotation, None),
                None => {
                    let why =
                        "a datetime is another type from SQLModel 0.0.45 on, and its version is not said";
                    (None, Some(why.to_owned()))
                }
            },
            (_, Some(unread)) => (None, Some(unread)),
            (_, None) => {
                models_made(self.found, models);
                (of_annotation, Some(annotation.shown()))
            }
        }
    }

    /// The type of the annotation, as long as it is said to be.
    fn limited(&self) -> Option<String> {
        let mut longest =
            self.found.calls.iter().filter_map(Expression::call).filter(|(name, _)| *name == "MaxLen");
        let longest = longest.find_map(|(_, arguments)| positional(arguments).next());
        let number = |name: &str| {
            let value =
                self.said(name).or(longest.filter(|_| name == "max_length").map(|longest| &longest.value));
            match value.map(|value| self.at.known.value(self.at.module, value)) {
                Some(Expression::Number(number)) => Some(number.clone()),
                _ => None,
            }
        };
        match (
            self.found.data_type.as_deref(),
            number("max_length"),
            number("max_digits"),
            number("decimal_places"),
        ) {
            (Some("varchar"), Some(length), ..) => Some(format!("varchar({length})")),
            (Some("numeric"), _, Some(digits), Some(places)) => Some(format!("numeric({digits}, {places})")),
            (Some("numeric"), _, Some(digits), None) => Some(format!("numeric({digits})")),
            (other, ..) => other.map(str::to_owned),
        }
    }

    /// `sa_column_args` and `sa_column_kwargs`, and whether there may be more of them.
    fn further(&self) -> (Vec<Argument>, bool) {
        let line = self.at.line;
        let unpacked =
            [("sa_column_args", "*"), ("sa_column_kwargs", "**")].into_iter().filter_map(|(name, stars)| {
                Some(Argument { keyword: Some(stars.to_owned()), value: self.said(name)?.clone(), line })
            });
        let Given { arguments, is_open } = given::of(self.at, &unpacked.collect::<Vec<_>>());
        (arguments, is_open)
    }
}

/// Whether SQLModel of that version keeps moments in UTC.
fn is_utc(version: &str) -> Option<bool> {
    let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    parts.map(|parts| parts >= vec![0, 0, 45])
}
