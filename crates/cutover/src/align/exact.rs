//! What only files of DDL say of a table: what it is as a whole, how its columns are stored and numbered, and what excludes what. Of other
//! models it is listed where it is there, and not held against them.

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Object, Schema};

use super::compare::{At, shown};
use super::model::Subject;

/// What is compared elsewhere, or is no matter of what a table is.
const OF_TABLES: [&str; 9] = [
    "columns",
    "comment",
    "owner",
    "grants",
    "revoked",
    "takes along",
    "clustered on",
    "schema of parent",
    "name of parent",
];

/// What attributes that switch row security are called.
pub(super) const ROW_SECURITY: &str = "row security";

/// What of a column is said by nothing else.
const OF_COLUMNS: [&str; 5] = ["sequence", "storage", "compression", "statistics", "options"];

/// What of a sequence is its own matter, or compared of every model (`type`).
const OF_SEQUENCES: [&str; 6] = ["owner", "grants", "revoked", "comment", "owned by", "type"];

/// Compares it for a table of which all is said.
pub(super) fn compare(at: &mut At<'_>) {
    let (Some(expected), Some(there)) = (at.expected.get(&at.id), at.there.get(&at.id)) else { return };
    let place = at.table.place.clone();
    for name in names(expected, there).into_iter().filter(|name| !OF_TABLES.contains(&name.as_str())) {
        let said = (told(expected, &name), told(there, &name));
        at.differs("table-options", None, said, &place, &name);
        // Who sees which rows is nothing to be switched along with the rest.
        if !name.contains(ROW_SECURITY) {
            at.about(Subject::attributes(at.id.clone(), &[&name]));
        }
    }
    for column in &at.table.columns {
        let id = |kind| Id {
            kind,
            table: Some(at.id.name.clone()),
            name: column.name.as_str().into(),
            ..at.id.clone()
        };
        let id = id(ObjectKind::Column);
        let (Some(expected), Some(there)) = (at.expected.get(&id), at.there.get(&id)) else { continue };
        for name in names(expected, there).into_iter().filter(|name| OF_COLUMNS.contains(&name.as_str())) {
            let said = (told(expected, &name), told(there, &name));
            at.differs("column-options", Some(&column.name), said, &column.place, &name);
            at.about(Subject::attributes(id.clone(), &[&name]));
        }
        heirs(at, (expected, there), column);
        sequences(at, &id, column);
    }
    exclusions(at);
    partition(at);
}

/// Whether those that inherit a column take NULL in it: a constraint with a name of its own says that, from 18 on.
fn heirs(at: &mut At<'_>, (expected, there): (&Object, &Object), column: &cutover_analysis::models::Column) {
    let is_alone = |object: &Object| object.text("not null").map(|text| text.contains(" NO INHERIT"));
    if let (Some(model), Some(is)) = (is_alone(expected), is_alone(there))
        && model != is
    {
        let said = |alone: bool| Some(if alone { "NOT NULL NO INHERIT" } else { "NOT NULL" }.to_owned());
        let what = "whether heirs take NULL";
        at.differs("column-options", Some(&column.name), (said(model), said(is)), &column.place, what);
    }
}

/// Of what it is a partition, and for which rows.
fn partition(at: &mut At<'_>) {
    let Some(schema) = at.id.schema.clone() else { return };
    let id = Id::part(ObjectKind::Partition, schema, at.id.name.clone(), at.id.name.clone());
    let said = |schema: &Schema| {
        let object = schema.get(&id)?;
        let (of, bound) = (object.text("of").unwrap_or_default(), object.text("bound").unwrap_or_default());
        Some(format!("of {of} {bound}"))
    };
    let (model, there) = (said(at.expected), said(at.there));
    if model == there {
        return;
    }
    let (is_new, place) = (there.is_none(), at.table.place.clone());
    at.differs("table-options", None, (model, there), &place, "which partition it is");
    if is_new {
        at.about(Subject::of_model(id));
    }
}

/// Attributes that are not the same.
fn names(expected: &Object, there: &Object) -> Vec<String> {
    let all = expected.attributes.keys().chain(there.attributes.keys().filter(|name| !expected.has(name)));
    let differ = all.filter(|name| expected.attributes.get(*name) != there.attributes.get(*name));
    differ.map(ToString::to_string).collect()
}

fn told(object: &Object, name: &str) -> Option<String> {
    object.attributes.get(name).map(cutover_analysis::schema::Value::text)
}

/// The sequence that a column has for itself.
fn sequences(at: &mut At<'_>, id: &Id, column: &cutover_analysis::models::Column) {
    let own = |schema: &Schema| {
        let is_own = |(sequence, object): &(&Id, &Object)| {
            sequence.kind == ObjectKind::Sequence && object.has("owned by") && object.needs.contains(id)
        };
        schema.objects.iter().find(is_own).map(|(id, object)| (id.clone(), object.clone()))
    };
    let (Some((_, expected)), Some((id, there))) = (own(at.expected), own(at.there)) else { return };
    for name in names(&expected, &there).into_iter().filter(|name| !OF_SEQUENCES.contains(&name.as_str())) {
        let said = (told(&expected, &name), told(&there, &name));
        let what = format!("{name} of {id}");
        at.differs("column-options", Some(&column.name), said, &column.place, &what);
    }
}

/// Definitions of exclusion constraints, with what they are called.
fn of(schema: &Schema, table: &Id) -> Vec<(String, Id)> {
    let mine = schema.parts_of(table).filter(|(id, _)| id.kind == ObjectKind::Constraint);
    let definition = |object: &Object| {
        object.text("definition").filter(|text| text.starts_with("EXCLUDE")).map(str::to_owned)
    };
    mine.filter_map(|(id, object)| Some((definition(object)?, id.clone()))).collect()
}

fn exclusions(at: &mut At<'_>) {
    let (model, there) = (of(at.expected, &at.id), of(at.there, &at.id));
    let place = at.table.place.clone();
    let others = |all: &[(String, Id)], known: &[(String, Id)]| -> Vec<(String, Id)> {
        all.iter().filter(|(text, _)| !known.iter().any(|(other, _)| other == text)).cloned().collect()
    };
    for (text, id) in others(&model, &there) {
        at.differs(
            "exclusion",
            None,
            (Some(text), None),
            &place,
            &format!("the exclusion constraint {} is not there", id.name),
        );
        at.about(Subject::of_model(id));
    }
    for (text, id) in others(&there, &model) {
        at.differs(
            "exclusion",
            None,
            (None, Some(text)),
            &place,
            &format!("the exclusion constraint {} is in no model", id.name),
        );
        at.about(Subject::of_there(id));
    }
}

/// What is there and counts for nothing, or is not known to hold.
pub(super) fn not_valid(at: &At<'_>, told_of: &mut Vec<String>) {
    for (id, object) in at.there.parts_of(&at.id) {
        let is_index = id.kind == ObjectKind::Index && object.has("invalid");
        let is_open_null = id.kind == ObjectKind::Column
            && object.text("not null").is_some_and(|text| text.ends_with(" NOT VALID"));
        if is_open_null {
            told_of.push(format!("NOT NULL of {id} is not valid: rows that are there may not hold it"));
        }
        let is_open = id.kind == ObjectKind::Constraint
            && object.text("definition").is_some_and(|text| text.ends_with(" NOT VALID"));
        if is_index {
            told_of.push(format!("{} of {} is not valid, and counts for nothing", id, shown(at.table)));
        } else if is_open {
            told_of.push(format!("{id} is not valid: rows that are there may not hold it"));
        }
    }
}

/// What is there of it, in words, where the models have none.
pub(super) fn beyond(at: &At<'_>, told_of: &mut Vec<String>) {
    let table = shown(at.table);
    let exclusions = of(at.there, &at.id).len();
    if exclusions > 0 {
        let words = crate::report::format::count(exclusions, "exclusion constraint", "exclusion constraints");
        told_of.push(format!("{words} of {table}"));
    }
    let Some(there) = at.there.get(&at.id) else { return };
    for name in ["partition key", "inherits", "unlogged", "options", "replica identity"] {
        if let Some(what) = told(there, name) {
            told_of.push(format!("{name} of {table}: {what}"));
        }
    }
}
