//! What is there as the models want it: the schema that is there with what they say otherwise taken over, and nothing else. Pure.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::ObjectKind;
use cutover_analysis::schema::{Id, Object, Schema, Value};

use super::model::{Difference, Subject};
use super::{decide, exact};

/// The schema that a migration is to lead to.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) schema: Schema,
    /// Differences that no statement of it sees to, each with why.
    pub(super) left: Vec<String>,
}

/// Takes over what `differences` say, from what the models have been built into; what only what is there has goes.
/// `keep`: what stays although no model has it.
pub(super) fn wanted(
    expected: &Schema,
    there: &Schema,
    differences: &[Difference],
    keep: &[String],
    renamed: &[(String, String)],
) -> Wanted {
    let mut work = Work {
        expected,
        wanted: there.clone(),
        brought: BTreeSet::new(),
        unknown: differences.iter().filter_map(unknown).collect(),
        left: Vec::new(),
        keep,
        renamed,
    };
    // What goes makes room for what comes under its name, and takes along what is over it.
    for difference in differences {
        if let (None, Some(there)) = (&difference.subject.model, &difference.subject.there) {
            work.without(there, difference);
        }
    }
    for difference in differences {
        work.take_over(difference);
    }
    for difference in differences {
        let kept = decide::kept_values(difference, expected, there, keep);
        let Some(id) = difference.subject.there.as_ref().filter(|_| !kept.is_empty()) else { continue };
        if let Some(Value::List(values)) =
            work.wanted.objects.get_mut(id).and_then(|object| object.attributes.get_mut("values"))
        {
            values.extend(kept);
        }
    }
    Wanted { schema: work.wanted, left: work.left }
}

fn unknown(difference: &Difference) -> Option<(&Id, &str)> {
    difference.subject.unknown.as_ref().map(|(id, columns)| (id, columns.as_str()))
}

fn not_understood(columns: &str) -> String {
    format!("what {columns} is to be is not understood: make it by hand, in a migration of its own")
}

/// Attributes of a column that change only while nothing is built on it.
const REWRITES: [&str; 3] = ["type", "collation", "generated"];

struct Work<'a> {
    expected: &'a Schema,
    wanted: Schema,
    /// What of the models is there by now.
    brought: BTreeSet<Id>,
    /// What of the models is not known well enough to be made: it was built with a type in the place of its own.
    unknown: BTreeMap<&'a Id, &'a str>,
    left: Vec<String>,
    /// What stays although no model has it.
    keep: &'a [String],
    /// Values of types that have another name by now, old and new.
    renamed: &'a [(String, String)],
}

impl Work<'_> {
    fn leave(&mut self, difference: &Difference, why: &str) {
        self.left.push(format!("{}: {why}", told(difference)));
    }

    fn take_over(&mut self, difference: &Difference) {
        let Subject { model, there, attributes, is_renamed, .. } = &difference.subject;
        if let Some((_, columns)) = unknown(difference) {
            return self.leave(difference, &not_understood(columns));
        }
        match (model, there) {
            (None, None) => {
                let why = match difference.code {
                    "column-identity" => "the numbers that are given must go on, which takes thought",
                    "table-options" if difference.message.contains(exact::ROW_SECURITY) => {
                        "it opens or closes all rows: write that by hand, with the policies that go with it"
                    }
                    _ => "there is no statement for it",
                };
                self.leave(difference, why);
            }
            // Gone already.
            (None, Some(_)) => {}
            (Some(model), None) => self.add(model, difference),
            (Some(model), Some(_)) if !attributes.is_empty() => self.set(model, attributes, difference),
            (Some(model), Some(there)) if *is_renamed => self.rename(model, there, difference),
            (Some(model), Some(there)) => {
                let gone = self.wanted.objects.remove(there);
                self.add(model, difference);
                // An index that becomes a constraint's keeps what is said of it.
                if let Some(gone) = gone.filter(|_| model.kind == there.kind) {
                    self.keep_said(model, &gone);
                }
            }
        }
    }

    /// What was said of something is said of what takes its place, where the models say nothing.
    fn keep_said(&mut self, id: &Id, gone: &Object) {
        let Some(object) = self.wanted.objects.get_mut(id) else { return };
        for name in ["comment", "index comment"] {
            if let (Some(comment), false) = (gone.attributes.get(name), object.has(name)) {
                object.attributes.insert(name.into(), comment.clone());
            }
        }
    }

    fn set(&mut self, id: &Id, attributes: &[String], difference: &Difference) {
        let Some(model) = self.expected.get(id) else { return };
        if attributes.iter().any(|name| REWRITES.contains(&name.as_str()))
            && let Some(held) = self.built_on(id)
        {
            let why = format!(
                "{held} is built on it and would be gone meanwhile: take that away first, in a migration of its own"
            );
            return self.leave(difference, &why);
        }
        if let Some(held) = self.held_anew(id, difference) {
            let why = format!(
                "the type is made anew for that, and {held}, which is built on it, would be gone meanwhile: take that away first, in a migration of its own"
            );
            return self.leave(difference, &why);
        }
        let needs = self.above(model);
        if let Err(missing) = self.bring(needs) {
            return self.leave(difference, &missing);
        }
        let Some(object) = self.wanted.objects.get_mut(id) else { return };
        for name in attributes {
            match model.attributes.get(name.as_str()) {
                Some(value) => object.attributes.insert(name.as_str().into(), value.clone()),
                None => object.attributes.remove(name.as_str()),
            };
        }
        object.needs.extend(model.needs.iter().cloned());
        if attributes.iter().any(|name| name == "type") {
            self.follow(id);
        }
    }

    /// What is built on an enum or on a column of it, where the enum has to be made anew: a value goes, or has another place.
    fn held_anew(&self, id: &Id, difference: &Difference) -> Option<Id> {
        let (model, there) = (self.expected.get(id)?, self.wanted.get(id)?);
        if id.kind != ObjectKind::Type || !there.has("values") {
            return None;
        }
        let kept = decide::kept_values(difference, self.expected, &self.wanted, self.keep);
        let to: Vec<&String> = model.list("values").iter().chain(&kept).collect();
        let now = |value: &String| {
            let new = self.renamed.iter().find(|(old, new)| old == value && to.contains(&new));
            new.map_or_else(|| value.clone(), |(_, new)| new.clone())
        };
        let now: Vec<String> = there.list("values").iter().map(now).collect();
        if to.iter().filter(|value| now.contains(value)).copied().eq(now.iter()) {
            return None;
        }
        let kinds = [
            ObjectKind::View,
            ObjectKind::MaterializedView,
            ObjectKind::Rule,
            ObjectKind::Policy,
            ObjectKind::Trigger,
            ObjectKind::Function,
            ObjectKind::Procedure,
            ObjectKind::Aggregate,
            ObjectKind::Domain,
        ];
        let all = &self.wanted.objects;
        let of_it = all
            .iter()
            .filter(|(column, object)| column.kind == ObjectKind::Column && object.needs.contains(id));
        let of_it: BTreeSet<&Id> = of_it.map(|(column, _)| column).chain([id]).collect();
        let is_over = |(other, object): &(&Id, &Object)| {
            kinds.contains(&other.kind) && object.needs.iter().any(|needed| of_it.contains(needed))
        };
        all.iter().find(is_over).map(|(other, _)| other.clone())
    }

    /// What has to go for another type of a column, and is no part of its table that comes along.
    fn built_on(&self, column: &Id) -> Option<Id> {
        let kinds = [
            ObjectKind::View,
            ObjectKind::MaterializedView,
            ObjectKind::Rule,
            ObjectKind::Policy,
            ObjectKind::Trigger,
            ObjectKind::Function,
            ObjectKind::Procedure,
        ];
        let is_over =
            |(id, object): &(&Id, &Object)| kinds.contains(&id.kind) && object.needs.contains(column);
        self.wanted.objects.iter().find(is_over).map(|(id, _)| id.clone())
    }

    /// What goes with the type of a column: how its default is written, and how far its sequence counts.
    fn follow(&mut self, column: &Id) {
        let default = Id { kind: ObjectKind::Default, ..column.clone() };
        if let (Some(model), Some(_)) = (self.expected.get(&default), self.wanted.get(&default)) {
            self.wanted.objects.insert(default, model.clone());
        }
        let own = |schema: &Schema| {
            let is_own = |(id, object): &(&Id, &Object)| {
                id.kind == ObjectKind::Sequence && object.has("owned by") && object.needs.contains(column)
            };
            schema
                .objects
                .iter()
                .find(is_own)
                .map(|(id, object)| (id.clone(), object.attributes.get("type").cloned()))
        };
        let (Some((_, data_type)), Some((id, _))) = (own(self.expected), own(&self.wanted)) else { return };
        let Some(object) = self.wanted.objects.get_mut(&id) else { return };
        match data_type {
            Some(data_type) => object.attributes.insert("type".into(), data_type),
            None => object.attributes.remove("type"),
        };
    }

    /// What is there under the name that the models have: with what it is, it keeps what they do not say.
    fn rename(&mut self, model: &Id, there: &Id, difference: &Difference) {
        if self.wanted.objects.contains_key(model) {
            return self.leave(difference, "what is there has that name already");
        }
        let (Some(object), Some(like)) = (self.wanted.objects.remove(there), self.expected.get(model)) else {
            return;
        };
        let mut object = object;
        if let Some(definition) =
            like.attributes.get("definition").filter(|_| model.kind == ObjectKind::Index)
        {
            object.attributes.insert("definition".into(), definition.clone());
        }
        self.wanted.objects.insert(model.clone(), object);
    }

    /// Adds an object of the models with its parts and all that it cannot be without.
    fn add(&mut self, id: &Id, difference: &Difference) {
        if self.brought.contains(id) {
            // Something else could not be without it.
            return;
        }
        if self.wanted.objects.contains_key(id) {
            return self.leave(difference, "what is there has that name already");
        }
        if let Err(missing) = self.bring(vec![id.clone()]) {
            self.leave(difference, &missing);
        }
    }

    /// Brings objects of the models, and what they need, where that is not there.
    ///
    /// # Errors
    /// A table that they need is nowhere, or not known well enough.
    fn bring(&mut self, mut waiting: Vec<Id>) -> Result<(), String> {
        let mut brought = BTreeSet::new();
        while let Some(next) = waiting.pop() {
            if self.wanted.objects.contains_key(&next) || brought.contains(&next) {
                continue;
            }
            let Some(object) = self.expected.get(&next) else {
                // What PostgreSQL has itself is no object of a schema that was read.
                if next.kind == ObjectKind::Table {
                    return Err(format!("it needs {next}, which is not there"));
                }
                continue;
            };
            if next.kind == ObjectKind::Type
                && object.text("form") == Some("enum")
                && object.list("values").is_empty()
            {
                return Err(format!("it needs {next}, whose values are in no model"));
            }
            let is_unknown = |id: &Id| self.unknown.get(id).map(|columns| (id.clone(), *columns));
            if let Some((id, columns)) = object.needs.iter().chain([&next]).find_map(is_unknown) {
                return Err(format!("it needs {id}, and {}", not_understood(columns)));
            }
            waiting.extend(self.above(object));
            waiting.extend(self.along(&next));
            brought.insert(next);
        }
        for id in brought {
            let Some(object) = self.expected.get(&id) else { continue };
            if id.kind == ObjectKind::Column {
                self.add_to_order(&id);
            }
            self.wanted.objects.insert(id.clone(), object.clone());
            self.brought.insert(id);
        }
        Ok(())
    }

    /// What an object cannot be without. Of a table that is there, what the models have under another name is there already.
    fn above(&self, object: &Object) -> Vec<Id> {
        let is_of_what_is_there =
            |id: &Id| table_of(id).is_some_and(|table| self.wanted.objects.contains_key(&table));
        object.needs.iter().filter(|id| !is_of_what_is_there(id)).cloned().collect()
    }

    /// What comes with an object: the parts of a table, the default of a column, the sequence that is its own.
    fn along(&self, id: &Id) -> Vec<Id> {
        let mut along: Vec<Id> = match id.kind {
            ObjectKind::Table => self.expected.parts_of(id).map(|(part, _)| part.clone()).collect(),
            ObjectKind::Column => vec![Id { kind: ObjectKind::Default, ..id.clone() }],
            _ => Vec::new(),
        };
        along.retain(|part| self.expected.get(part).is_some());
        if id.kind == ObjectKind::Column {
            let own = self.expected.objects.iter().filter(|(sequence, object)| {
                sequence.kind == ObjectKind::Sequence && object.has("owned by") && object.needs.contains(id)
            });
            along.extend(own.map(|(sequence, _)| sequence.clone()));
        }
        along
    }

    /// A new column stands behind those that are there.
    fn add_to_order(&mut self, column: &Id) {
        let Some(table) = table_of(column) else { return };
        let Some(object) = self.wanted.objects.get_mut(&table) else { return };
        if let Some(Value::List(columns)) = object.attributes.get_mut("columns")
            && !columns.iter().any(|name| *name == column.name)
        {
            columns.push(column.name.to_string());
        }
    }

    /// Takes an object away, with its parts; not where something else is built on it.
    fn without(&mut self, id: &Id, difference: &Difference) {
        let Some(object) = self.wanted.get(id) else { return };
        if object.has("inherited") {
            return self.leave(difference, "it comes from a table that this one inherits from");
        }
        let gone = self.goes_along(id);
        let held = self.wanted.objects.iter().find(|(other, object)| {
            !gone.contains(*other) && object.needs.iter().any(|needed| gone.contains(needed))
        });
        if let Some((held, _)) = held {
            let why = format!("{held} is built on it: take that away first, in a migration of its own");
            return self.leave(difference, &why);
        }
        if let (ObjectKind::Column, Some(table)) = (id.kind, table_of(id))
            && let Some(table) = self.wanted.objects.get_mut(&table)
            && let Some(Value::List(columns)) = table.attributes.get_mut("columns")
        {
            columns.retain(|name| *name != id.name);
        }
        self.wanted.objects.retain(|id, _| !gone.contains(id));
    }

    /// What goes with an object as PostgreSQL takes it along, and nobody else's rows or rules.
    fn goes_along(&self, id: &Id) -> BTreeSet<Id> {
        let mut gone = BTreeSet::from([id.clone()]);
        match id.kind {
            ObjectKind::Table => gone.extend(self.wanted.parts_of(id).map(|(part, _)| part.clone())),
            ObjectKind::Column => {
                let with =
                    [ObjectKind::Default, ObjectKind::Constraint, ObjectKind::Index, ObjectKind::Statistics];
                let is_over = |other: &Id, needs: &BTreeSet<Id>| {
                    with.contains(&other.kind)
                        && other.schema == id.schema
                        && other.table == id.table
                        && needs.contains(id)
                };
                let over = self.wanted.objects.iter().filter(|(other, object)| is_over(other, &object.needs));
                gone.extend(over.map(|(other, _)| other.clone()));
            }
            _ => {}
        }
        let own = self.wanted.objects.iter().filter(|(sequence, object)| {
            sequence.kind == ObjectKind::Sequence
                && object.has("owned by")
                && object
                    .needs
                    .iter()
                    .any(|needed| needed.kind == ObjectKind::Column && gone.contains(needed))
        });
        let own: Vec<Id> = own.map(|(sequence, _)| sequence.clone()).collect();
        gone.extend(own);
        gone
    }
}

fn table_of(part: &Id) -> Option<Id> {
    Some(Id::new(ObjectKind::Table, part.schema.clone()?, part.table.clone()?))
}

/// A difference in one line.
pub(super) fn told(difference: &Difference) -> String {
    let column = difference.column.as_ref().map(|column| format!(".{column}")).unwrap_or_default();
    format!("{}{column}: {}", difference.table, difference.message)
}
