//! What models have been built into against what is there, table by table. Pure.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::models::{Aspect, Column, Models, Needed, Place, Table};
use cutover_analysis::schema::{Id, Object, Schema};

use super::build::Open;
use super::model::{AlignedTable, CODES, Difference, NotCompared, Severity, Subject};
use super::{columns, exact, known, parts};
use crate::report::format::count;

/// What a comparison says.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) tables: Vec<AlignedTable>,
    pub(super) differences: Vec<Difference>,
    pub(super) open: Vec<NotCompared>,
    pub(super) beyond: Vec<String>,
}

/// What both sides are.
pub(super) struct Sides<'a> {
    pub(super) models: &'a Models,
    /// What the models have been built into.
    pub(super) expected: &'a Schema,
    /// What is there.
    pub(super) there: &'a Schema,
    /// Where a table is that names no schema.
    pub(super) default_schema: &'a str,
    /// Tables that could not be built, and are not held against anything.
    pub(super) unbuilt: &'a BTreeSet<Id>,
    /// What of tables could not be built.
    pub(super) open: &'a BTreeMap<Id, Open>,
    /// Extensions that the models need and that are not there.
    pub(super) missing: &'a [Needed],
}

/// One table while it is compared.
pub(super) struct At<'a> {
    pub(super) table: &'a Table,
    pub(super) id: Id,
    pub(super) expected: &'a Schema,
    pub(super) there: &'a Schema,
    pub(super) differences: Vec<Difference>,
    /// What of it could not be built.
    pub(super) open: Option<&'a Open>,
    /// What is there and its models have no words for.
    pub(super) told: Vec<String>,
}

impl At<'_> {
    pub(super) fn leaves_open(&self, aspect: Aspect) -> bool {
        self.table.unstated.contains(&aspect) || self.open.is_some_and(|open| open.aspects.contains(&aspect))
    }

    /// The same of a column.
    pub(super) fn leaves_column_open(&self, column: &Column, aspect: Aspect) -> bool {
        let of_column = self.open.and_then(|open| open.columns.get(&column.name));
        column.unstated.contains(&aspect)
            || of_column.is_some_and(|open| open.contains(&aspect))
            || self.leaves_open(aspect)
    }

    /// Those columns that nobody can make from what is said of them.
    pub(super) fn not_known<'c>(&self, columns: impl IntoIterator<Item = &'c Column>) -> Option<String> {
        let is_open = |column: &&Column| {
            self.leaves_column_open(column, Aspect::Type) || column.unstated.contains(&Aspect::Making)
        };
        let mut open = columns.into_iter().filter(is_open);
        let Column { label, place, .. } = open.next()?;
        let first = format!("{label} ({}:{})", place.path, place.line);
        Some(match open.count() {
            0 => first,
            more => format!("{first} and {}", count(more, "other column", "other columns")),
        })
    }

    /// Adds a difference: what the models say, and what is there.
    pub(super) fn differs(
        &mut self,
        code: &'static str,
        column: Option<&str>,
        (model, there): (Option<String>, Option<String>),
        place: &Place,
        what: &str,
    ) {
        let severity = CODES
            .iter()
            .find(|(known, ..)| *known == code)
            .map_or(Severity::Error, |(_, severity, _)| *severity);
        let said = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".to_owned());
        let message = match (&model, &there) {
            (None, None) => what.to_owned(),
            (model, there) => format!("{what}: {} in the model, {} there", said(model), said(there)),
        };
        let table = shown(self.table);
        let column = column.map(str::to_owned);
        let (path, line) = (place.path.clone(), place.line);
        self.differences.push(Difference {
            code,
            severity,
            table,
            column,
            model,
            there,
            path,
            line,
            message,
            subject: Subject::default(),
        });
    }

    /// Says what the difference that was added last is about.
    pub(super) fn about(&mut self, subject: Subject) {
        if let Some(difference) = self.differences.last_mut() {
            difference.subject = subject;
        }
    }
}

/// A table as people call it.
pub(super) fn shown(table: &Table) -> String {
    table.schema.as_ref().map_or_else(|| table.name.clone(), |schema| format!("{schema}.{}", table.name))
}

pub(super) fn id_of(table: &Table, default_schema: &str) -> Id {
    let schema = table.schema.as_deref().unwrap_or(default_schema);
    Id::new(ObjectKind::Table, schema, table.name.as_str())
}

pub(super) fn compare(sides: &Sides<'_>) -> Compared {
    let mut compared = Compared::default();
    extensions(sides, &mut compared);
    for table in &sides.models.tables {
        let id = id_of(table, sides.default_schema);
        let open = sides.open.get(&id);
        let (expected, there) = (sides.expected, sides.there);
        let (differences, told) = (Vec::new(), Vec::new());
        let mut at = At { table, id, expected, there, differences, open, told };
        let is_built = !sides.unbuilt.contains(&at.id);
        if is_built {
            one_table(&mut at, &mut compared.open);
        }
        compared.beyond.append(&mut at.told);
        beyond(&at, &mut compared.beyond);
        partitions(sides, &at, &mut compared.beyond);
        compared.tables.push(AlignedTable {
            name: shown(table),
            label: table.label.clone(),
            path: table.place.path.clone(),
            line: table.place.line,
            differences: at.differences.len(),
            is_compared: is_built,
        });
        compared.differences.append(&mut at.differences);
    }
    enums(sides, &mut compared);
    unused_enums(sides, &mut compared.beyond);
    without_model(sides, &mut compared);
    compared
}

fn one_table(at: &mut At<'_>, not_compared: &mut Vec<NotCompared>) {
    let Some(there) = at.there.get(&at.id) else {
        // Models of what is only read are often of a view.
        let views = [
            (ObjectKind::View, "a view"),
            (ObjectKind::MaterializedView, "a materialized view"),
            (ObjectKind::ForeignTable, "a foreign table"),
        ];
        let as_view =
            views.into_iter().find(|(kind, _)| at.there.get(&Id { kind: *kind, ..at.id.clone() }).is_some());
        if let Some((_, what)) = as_view {
            let (path, line) = (at.table.place.path.clone(), at.table.place.line);
            return not_compared.push(NotCompared {
                path,
                line,
                what: format!("{}: it is {what} there", at.table.label),
            });
        }
        at.differs("table-missing", None, (None, None), &at.table.place, "the table is not there");
        let id = at.id.clone();
        let subject = match at.not_known(&at.table.columns) {
            None => Subject::of_model(id),
            Some(columns) => Subject::unknown(id, columns),
        };
        at.about(subject);
        return;
    };
    if let Some(comment) = &at.table.comment {
        let said = there.text("comment").map(str::to_owned);
        if said.as_deref() != Some(comment) {
            at.differs(
                "comment",
                None,
                (Some(comment.clone()), said),
                &at.table.place,
                "the comment of the table",
            );
            at.about(Subject::attributes(at.id.clone(), &["comment"]));
        }
    }
    for column in &at.table.columns {
        columns::compare(at, column, not_compared);
    }
    let known: BTreeSet<&str> = at.table.columns.iter().map(|column| column.name.as_str()).collect();
    let more: Vec<(String, String)> = columns_of(at.there, &at.id)
        .filter(|(name, _)| !known.contains(name))
        .map(|(name, object)| (name.to_owned(), said_of(object)))
        .collect();
    // A base that is not among the files may have more.
    let more = if at.leaves_open(Aspect::Columns) { Vec::new() } else { more };
    for (name, said) in more {
        let id = column_of(&at.id, ObjectKind::Column, &name);
        let takes_one = takes_a_value(at.there, &id);
        let is_needed = takes_one && !may_be_filled(at.there, &at.id);
        let what = if is_needed {
            "the column is in no model, and rows of the model cannot be added without it"
        } else if takes_one {
            "the column is in no model, and rows of the model can be added only where a trigger of the table fills it"
        } else {
            "the column is in no model"
        };
        at.differs("column-without-model", Some(&name), (None, Some(said)), &at.table.place, what);
        at.about(Subject::of_there(id));
        if let Some(difference) = at.differences.last_mut().filter(|_| is_needed) {
            difference.severity = Severity::Error;
        }
    }
    parts::compare(at);
    if at.table.is_exact {
        exact::compare(at);
    }
}

/// Whether whoever adds a row has to say something for a column.
pub(super) fn takes_a_value(schema: &Schema, column: &Id) -> bool {
    let default = Id { kind: ObjectKind::Default, ..column.clone() };
    let needs_one =
        |object: &Object| object.has("not null") && !object.has("identity") && !object.has("generated");
    schema.get(column).is_some_and(needs_one) && schema.get(&default).is_none()
}

/// Whether a trigger may give a new row what nobody says of it.
fn may_be_filled(schema: &Schema, table: &Id) -> bool {
    let is_before_insert = |(id, object): (&Id, &Object)| {
        let words = object.text("definition").and_then(|definition| definition.split(" ON ").next());
        id.kind == ObjectKind::Trigger
            && words.is_some_and(|words| words.contains(" BEFORE ") && words.contains("INSERT"))
    };
    schema.parts_of(table).any(is_before_insert)
}

fn columns_of<'a>(schema: &'a Schema, table: &'a Id) -> impl Iterator<Item = (&'a str, &'a Object)> {
    schema
        .parts_of(table)
        .filter(|(id, _)| id.kind == ObjectKind::Column)
        .map(|(id, object)| (id.name.as_str(), object))
}

/// A column in words: `character varying(20) NOT NULL`.
pub(super) fn said_of(object: &Object) -> String {
    let mut said = object.text("type").unwrap_or_default().to_owned();
    if object.has("not null") {
        said += " NOT NULL";
    }
    said
}

/// A column of a table, or what belongs to one under its name.
pub(super) fn column_of(table: &Id, kind: ObjectKind, name: &str) -> Id {
    Id::part(kind, table.schema.clone().unwrap_or_default(), table.name.clone(), name)
}

/// Partitions of a table that are in no model: they are often made as they are needed.
fn partitions(sides: &Sides<'_>, at: &At<'_>, told: &mut Vec<String>) {
    let is_known = |id: &Id| {
        let is_it = |table: &&Table| id_of(table, sides.default_schema).name == id.name;
        sides.models.tables.iter().any(|table| is_it(&table))
    };
    let of = at.id.name_sql();
    let parts = at.there.objects.iter().filter(|(id, object)| {
        id.kind == ObjectKind::Partition && object.text("of") == Some(of.as_str()) && !is_known(id)
    });
    let count = parts.count();
    if count > 0 {
        let words = crate::report::format::count(count, "partition", "partitions");
        told.push(format!("{words} of {} in no model", shown(at.table)));
    }
}

/// What is there of a table and models cannot say.
fn beyond(at: &At<'_>, told: &mut Vec<String>) {
    exact::not_valid(at, told);
    if !at.table.is_exact {
        exact::beyond(at, told);
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (id, _) in at.there.parts_of(&at.id) {
        let word = match id.kind {
            ObjectKind::Trigger => "trigger",
            ObjectKind::Policy => "policy",
            ObjectKind::Rule => "rule",
            _ => continue,
        };
        *counts.entry(word).or_default() += 1;
    }
    let several = |word: &str| if word == "policy" { "policies".to_owned() } else { format!("{word}s") };
    for (word, count) in counts {
        let word = if count == 1 { word.to_owned() } else { several(word) };
        told.push(format!("{count} {word} of {}", shown(at.table)));
    }
    if !at.table.is_exact
        && at
            .there
            .get(&at.id)
            .is_some_and(|table| table.attributes.keys().any(|name| name.contains("row security")))
    {
        told.push(format!("row security of {}", shown(at.table)));
    }
}

fn enums(sides: &Sides<'_>, compared: &mut Compared) {
    for made in &sides.models.enums {
        let schema = made.schema.as_deref().unwrap_or(sides.default_schema);
        let id = Id::new(ObjectKind::Type, schema, made.name.as_str());
        // A column of a type that is not there is said to have another one.
        let Some(there) = sides.there.get(&id) else { continue };
        let is = there.list("values");
        if made.values.is_empty() || is == made.values.as_slice() {
            continue;
        }
        let mut sorted = (made.values.clone(), is.to_vec());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        let (code, severity, what) = match sorted.0 == sorted.1 {
            true if made.unordered => {
                compared.beyond.push(format!("the order of the values of {}", made.name));
                continue;
            }
            true => ("enum-order", Severity::Warning, "the order of the values of the type"),
            false => ("enum-values", Severity::Error, "the values of the type"),
        };
        let (model, is) = (made.values.join(", "), is.join(", "));
        compared.differences.push(Difference {
            code,
            severity,
            table: made.name.clone(),
            column: None,
            message: format!("{what}: {model} in the model, {is} there"),
            model: Some(model),
            there: Some(is),
            path: made.place.path.clone(),
            line: made.place.line,
            subject: Subject::attributes(id, &["values"]),
        });
    }
}

/// Types with values that are in no model and that no column has: what a model that has gone leaves behind.
fn unused_enums(sides: &Sides<'_>, beyond: &mut Vec<String>) {
    let known: BTreeSet<Id> = sides
        .models
        .enums
        .iter()
        .map(|made| {
            let schema = made.schema.as_deref().unwrap_or(sides.default_schema);
            Id::new(ObjectKind::Type, schema, made.name.as_str())
        })
        .collect();
    let schemas: BTreeSet<_> =
        sides.models.tables.iter().filter_map(|table| id_of(table, sides.default_schema).schema).collect();
    let used: BTreeSet<&Id> = sides.there.objects.values().flat_map(|object| &object.needs).collect();
    for (id, object) in &sides.there.objects {
        let is_meant =
            id.kind == ObjectKind::Type && id.schema.as_ref().is_some_and(|it| schemas.contains(it));
        if is_meant && object.has("values") && !known.contains(id) && !used.contains(id) {
            beyond.push(format!("the type {}, which nothing has any more", id.name));
        }
    }
}

/// Extensions that the models need and that are not there.
fn extensions(sides: &Sides<'_>, compared: &mut Compared) {
    for one in sides.missing {
        let table = one.table.and_then(|at| sides.models.tables.get(at));
        let what = match table {
            Some(table) => format!(
                "the extension {} is not there, which {} of {} needs",
                one.extension, one.by, table.label
            ),
            None => format!("the extension {} is not there", one.extension),
        };
        compared.differences.push(Difference {
            code: "extension-missing",
            severity: Severity::Error,
            table: table.map_or_else(|| one.extension.clone(), shown),
            column: None,
            message: what,
            model: Some(one.extension.clone()),
            there: None,
            path: one.place.path.clone(),
            line: one.place.line,
            subject: Subject::of_model(Id::global(ObjectKind::Extension, one.extension.as_str())),
        });
    }
}

/// Tables that are there and in no model.
fn without_model(sides: &Sides<'_>, compared: &mut Compared) {
    let mut known: BTreeSet<Id> =
        sides.models.tables.iter().map(|table| id_of(table, sides.default_schema)).collect();
    let schemas: BTreeSet<_> = known.iter().filter_map(|id| id.schema.clone()).collect();
    known.extend(sides.models.perhaps.iter().map(|(schema, name)| {
        let schema = schema.as_deref().unwrap_or(sides.default_schema);
        Id::new(ObjectKind::Table, schema, name.as_str())
    }));
    // What is elsewhere is none of these models' business.
    let is_meant =
        |id: &&Id| id.schema.as_ref().is_some_and(|schema| schemas.contains(schema)) && !known.contains(*id);
    let partitions: BTreeSet<_> = sides
        .there
        .objects
        .keys()
        .filter(|id| id.kind == ObjectKind::Partition)
        .map(|id| (id.schema.clone(), id.name.clone()))
        .collect();
    let is_part = |id: &Id| partitions.contains(&(id.schema.clone(), id.name.clone()));
    for id in sides
        .there
        .objects
        .keys()
        .filter(|id| id.kind == ObjectKind::Table)
        .filter(is_meant)
        .filter(|id| !is_part(id) && !known::is_bookkeeping(id.schema.as_deref(), &id.name))
    {
        let name = match id.schema.as_deref() {
            Some(schema) if schema != sides.default_schema => format!("{schema}.{}", id.name),
            _ => id.name.to_string(),
        };
        compared.differences.push(Difference {
            code: "table-without-model",
            severity: Severity::Warning,
            message: "the table is in no model".to_owned(),
            table: name,
            column: None,
            model: None,
            there: None,
            path: String::new(),
            line: 0,
            subject: Subject::of_there(id.clone()),
        });
    }
}
