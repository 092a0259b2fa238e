//! One column of the models against the same one there. Pure.

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::models::{Aspect, Column, Default};
use cutover_analysis::schema::{Id, Object, Schema};

use super::compare::{At, column_of, said_of};
use super::defaults;
use super::model::{NotCompared, Subject};

pub(super) fn compare(at: &mut At<'_>, column: &Column, not_compared: &mut Vec<NotCompared>) {
    let (table, name) = (at.id.clone(), column.name.as_str());
    let id = |kind| column_of(&table, kind, name);
    let place = &column.place;
    let Some(expected) = at.expected.get(&id(ObjectKind::Column)) else { return };
    let Some(there) = at.there.get(&id(ObjectKind::Column)) else {
        let said = (Some(said_of(expected)), None);
        at.differs("column-missing", Some(name), said, place, "the column is not there");
        let is_known = !at.leaves_column_open(column, Aspect::Type);
        if is_known {
            at.about(Subject::of_model(id(ObjectKind::Column)));
        }
        return;
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
        if !open(Aspect::Collation)
            && column.collation.is_some()
            && text(expected, "collation") != text(there, "collation")
        {
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
    numbering(column, (expected, there), defaults.clone(), &open, &mut found);
    if let Some(comment) = &column.comment
        && there.text("comment") != Some(comment)
    {
        found.push(("comment", Some(comment.clone()), text(there, "comment"), "the comment"));
    }
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

/// Defaults, and how a column numbers its rows.
fn numbering(
    column: &Column,
    (expected, there): (&Object, &Object),
    (model, is): (Option<String>, Option<String>),
    open: &dyn Fn(Aspect) -> bool,
    found: &mut Vec<(&'static str, Option<String>, Option<String>, &str)>,
) {
    let identity =
        |object: &Object| object.text("identity").map(|how| format!("GENERATED {how} AS IDENTITY"));
    let is_next =
        |default: &Option<String>| default.as_ref().is_some_and(|text| text.starts_with("nextval("));
    // Which sequence it is counts for nothing here.
    let numbers = |object: &Object, default: &Option<String>| {
        identity(object).or_else(|| is_next(default).then(|| "a sequence of its own".to_owned()))
    };
    let (by_model, by_it) = (numbers(expected, &model), numbers(there, &is));
    if by_model.is_some() || by_it.is_some() {
        if !open(Aspect::Identity) && by_model != by_it {
            found.push(("column-identity", by_model, by_it, "how it numbers its rows"));
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
