//! One column of the models against the same one there. Pure.

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::models::{Aspect, Column, Default};
use cutover_analysis::schema::{Id, Object, Schema};
use cutover_analysis::sql::{quote_ident, quote_literal};

use super::compare::{At, column_of, said_of};
use super::defaults;
use super::model::{NotCompared, Subject};

/// A column that is not there.
fn missing(at: &mut At<'_>, column: &Column, expected: &Object, not_compared: &mut Vec<NotCompared>) {
    let (name, place) = (column.name.as_str(), &column.place);
    if column.unstated.contains(&Aspect::Columns) {
        let what = format!("{}: whether there is such a column", column.label);
        return not_compared.push(NotCompared { path: place.path.clone(), line: place.line, what });
    }
    at.differs(
        "column-missing",
        Some(name),
        (Some(said_of(expected)), None),
        place,
        "the column is not there",
    );
    let id = column_of(&at.id, ObjectKind::Column, name);
    at.about(match at.not_known([column]) {
        None => Subject::of_model(id),
        Some(columns) => Subject::unknown(id, columns),
    });
}

pub(super) fn compare(at: &mut At<'_>, column: &Column, not_compared: &mut Vec<NotCompared>) {
    let (table, name) = (at.id.clone(), column.name.as_str());
    let id = |kind| column_of(&table, kind, name);
    let place = &column.place;
    let Some(expected) = at.expected.get(&id(ObjectKind::Column)) else { return };
    let Some(there) = at.there.get(&id(ObjectKind::Column)) else {
        return missing(at, column, expected, not_compared);
    };
    let open = |aspect: Aspect| at.leaves_column_open(column, aspect);
    let mut found: Vec<(&'static str, Option<String>, Option<String>, &str)> = Vec::new();
    let text = |object: &Object, attribute: &str| object.text(attribute).map(str::to_owned);
    if open(Aspect::Type) {
        let what = format!("{}: its type, which is {} there", column.label, said_of(there));
        not_compared.push(NotCompared { path: place.path.clone(), line: place.line, what });
    } else {
        let (model, is) = (text(expected, "type"), text(there, "type"));
        let same = if open(Aspect::Modifier) {
            model.as_deref().map(without_modifier) == is.as_deref().map(without_modifier)
        } else {
            model == is
        };
        if !same {
            found.push(("column-type", model, is, "the type"));
        }
        // What says none means the type's own.
        if !open(Aspect::Collation) && text(expected, "collation") != text(there, "collation") {
            found.push((
                "column-collation",
                text(expected, "collation"),
                text(there, "collation"),
                "the collation",
            ));
        }
    }
    if !open(Aspect::Nullable) && expected.has("not null") != there.has("not null") {
        let said =
            |object: &Object| Some(if object.has("not null") { "NOT NULL" } else { "NULL" }.to_owned());
        found.push(("column-null", said(expected), said(there), "NULL"));
    }
    if !open(Aspect::Default) && expected.text("generated") != there.text("generated") {
        found.push((
            "column-generated",
            text(expected, "generated"),
            text(there, "generated"),
            "how it is computed",
        ));
    }
    let default_of =
        |schema: &Schema| schema.get(&id(ObjectKind::Default)).and_then(|object| text(object, "expression"));
    let defaults = (default_of(at.expected), default_of(at.there));
    let is_open = open(Aspect::Identity);
    let of_column = id(ObjectKind::Column);
    let numbers = (
        numbers(at.expected, expected, &of_column, defaults.0.as_deref()),
        numbers(at.there, there, &of_column, defaults.1.as_deref()),
    );
    let foreign = numbers.1.as_ref().filter(|numbers| !at.table.is_exact && numbers.is_foreign());
    let foreign =
        foreign.map(|foreign| format!("{name} of {} numbers its rows by {}", at.id.name, foreign.text()));
    numbering((column, at.table.is_exact), (expected, there), (defaults.clone(), numbers), &open, &mut found);
    if let Some(comment) = &column.comment
        && there.text("comment") != Some(comment)
    {
        found.push(("comment", Some(comment.clone()), text(there, "comment"), "the comment"));
    }
    at.told.extend(foreign);
    for (code, model, there, what) in found {
        at.differs(code, Some(name), (model, there), place, what);
        at.about(Subject::of_column(code, (at.expected, at.there), &id));
    }
    if !is_open {
        sequence(at, column, &defaults);
    }
}

/// How far the sequence counts that a column has for itself.
fn sequence(at: &mut At<'_>, column: &Column, defaults: &(Option<String>, Option<String>)) {
    let id = column_of(&at.id, ObjectKind::Column, &column.name);
    let own = |default: &Option<String>, schema: &Schema| {
        let is_next = default.as_ref().is_some_and(|text| text.starts_with("nextval("));
        is_next.then(|| counts(schema, &id)).flatten()
    };
    let counted = (own(&defaults.0, at.expected), own(&defaults.1, at.there));
    if let (Some((model, of_model)), Some((sequence, of_there))) = counted
        && of_model != of_there
    {
        let what = "how far its sequence counts";
        let said = (Some(of_model), Some(of_there));
        at.differs("column-options", Some(&column.name), said, &column.place, what);
        if model == sequence {
            at.about(Subject::attributes(sequence, &["type"]));
        }
    }
}

/// The type of the sequence that a column has for itself: its numbers end with that.
fn counts(schema: &Schema, column: &Id) -> Option<(Id, String)> {
    let first =
        Id { kind: ObjectKind::Sequence, schema: None, table: None, name: "".into(), arguments: None };
    let sequences = schema.objects.range(first..).take_while(|(id, _)| id.kind == ObjectKind::Sequence);
    let mut own = sequences.filter(|(_, object)| object.has("owned by") && object.needs.contains(column));
    own.next().map(|(id, object)| (id.clone(), object.text("type").unwrap_or("bigint").to_owned()))
}

/// How a column numbers its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Numbers {
    /// `GENERATED … AS IDENTITY`.
    Identity(String),
    /// A sequence that belongs to it.
    Own,
    /// Another sequence, by the expression that draws from it.
    Foreign(String),
}

impl Numbers {
    fn text(&self) -> String {
        match self {
            Self::Identity(how) => format!("GENERATED {how} AS IDENTITY"),
            Self::Own => "a sequence of its own".to_owned(),
            Self::Foreign(expression) => format!("a sequence that is not its own, {expression}"),
        }
    }

    fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign(_))
    }

    /// Whether rows are numbered in the same way, whichever sequence that is.
    fn are_alike((one, other): &(Option<Self>, Option<Self>)) -> bool {
        match (one, other) {
            (Some(Self::Own | Self::Foreign(_)), Some(Self::Own | Self::Foreign(_))) => true,
            _ => one == other,
        }
    }
}

fn numbers(schema: &Schema, object: &Object, column: &Id, default: Option<&str>) -> Option<Numbers> {
    if let Some(how) = object.text("identity") {
        return Some(Numbers::Identity(how.to_owned()));
    }
    let expression = default.filter(|text| text.starts_with("nextval("))?;
    let is_own = counts(schema, column).is_some_and(|(sequence, _)| {
        [sequence.name_sql(), quote_ident(&sequence.name)]
            .iter()
            .any(|name| expression == format!("nextval({}::regclass)", quote_literal(name)))
    });
    Some(if is_own { Numbers::Own } else { Numbers::Foreign(expression.to_owned()) })
}

/// What it is in the model, and there.
type Two<T> = (Option<T>, Option<T>);

/// Defaults, and how a column numbers its rows.
fn numbering(
    (column, is_exact): (&Column, bool),
    (expected, there): (&Object, &Object),
    ((model, is), numbers): (Two<String>, Two<Numbers>),
    open: &dyn Fn(Aspect) -> bool,
    found: &mut Vec<(&'static str, Option<String>, Option<String>, &str)>,
) {
    let is_any = numbers.0.is_some() || numbers.1.is_some();
    let are_foreign =
        [&numbers.0, &numbers.1].iter().all(|one| one.as_ref().is_some_and(Numbers::is_foreign));
    // Which sequence it is counts for nothing where a model only says that there is one. Where each names one, that is a default.
    if is_any && !(is_exact && are_foreign) {
        let same = if is_exact { numbers.0 == numbers.1 } else { Numbers::are_alike(&numbers) };
        if !open(Aspect::Identity) && !same {
            let said = |numbers: Option<Numbers>| numbers.map(|numbers| numbers.text());
            let (model, is) = (said(numbers.0), said(numbers.1));
            found.push(("column-identity", model, is, "how it numbers its rows"));
        }
        return;
    }
    let one =
        defaults::Default { text: model.as_deref(), data_type: expected.text("type").unwrap_or_default() };
    let other = defaults::Default { text: is.as_deref(), data_type: there.text("type").unwrap_or_default() };
    if open(Aspect::Default) || defaults::same(one, other) {
        return;
    }
    let model = match (&model, &column.default) {
        (None, Default::Client(how)) => Some(format!("none (the client puts {how})")),
        _ => model,
    };
    found.push(("column-default", model, is, "the default"));
}

/// `character varying(20)[]` is a `character varying[]`.
fn without_modifier(data_type: &str) -> String {
    match (data_type.find('('), data_type.find(')')) {
        (Some(from), Some(to)) if from < to => {
            let (before, behind) =
                (data_type.get(..from).unwrap_or_default(), data_type.get(to + 1..).unwrap_or_default());
            format!("{before}{behind}")
        }
        _ => data_type.to_owned(),
    }
}
