//! Relations between models: foreign keys, and the tables between two lists.

use cutover_analysis::sql::quote_ident;

use super::syntax::{Arity, Block, Field, Type, Value};
use super::table::{Made, UNSTATED};
use super::{Known, types};
use crate::model::{Aspect, Column, ForeignKey, Index, Models, Table};

pub(super) fn read(known: &Known<'_>, made: &[Made<'_>], models: &mut Models) {
    for one in made {
        if known.has_foreign_keys.is_none() {
            refuse(models, one.table, Aspect::ForeignKey);
        }
        for field in &one.block.fields {
            let Some(target) = target(field) else { continue };
            if known.views.contains(target) {
                continue;
            }
            if field.is_cut {
                refuse(models, one.table, Aspect::ForeignKey);
                continue;
            }
            let Some(other) = made.iter().find(|other| other.block.name == target) else {
                if known.models.contains_key(target) {
                    let what = format!("the relation {}.{}", one.block.name, field.name);
                    models.unsupported(field.place.clone(), what);
                    refuse(models, one.table, Aspect::ForeignKey);
                }
                continue;
            };
            remark_attributes(one.block, field, models);
            let opposite = opposite(one.block, field, other.block);
            if argument(field, "fields").is_some() {
                foreign_key(known, one, field, other, models);
            } else if field.arity == Arity::List {
                if let Some(opposite) = opposite.filter(|opposite| {
                    opposite.arity == Arity::List && argument(opposite, "fields").is_none()
                }) {
                    let mine = (one.block.name.as_str(), field.name.as_str());
                    if mine < (other.block.name.as_str(), opposite.name.as_str()) {
                        between(known, (one, field), other, models);
                    }
                }
            } else if opposite.is_none_or(|opposite| argument(opposite, "fields").is_none()) {
                let what = format!("the relation {}.{}: no side has fields", one.block.name, field.name);
                models.unsupported(field.place.clone(), what);
                refuse(models, one.table, Aspect::ForeignKey);
            }
        }
    }
}

fn refuse(models: &mut Models, table: usize, aspect: Aspect) {
    if let Some(table) = models.tables.get_mut(table) {
        table.unstated.insert(aspect);
    }
}

fn target(field: &Field) -> Option<&str> {
    match &field.data_type {
        Type::Named(name) => Some(name),
        Type::Sql(_) | Type::None => None,
    }
}

fn argument<'a>(field: &'a Field, name: &str) -> Option<&'a Value> {
    field.attribute("relation").and_then(|attribute| attribute.named(name))
}

/// The name of a relation, where one is said.
fn relation_name(field: &Field) -> Option<&str> {
    let name = field.attribute("relation")?.named_or_first("name")?.text()?;
    (!name.is_empty()).then_some(name)
}

/// The field at the other side.
fn opposite<'b>(block: &Block, field: &Field, other: &'b Block) -> Option<&'b Field> {
    other.fields.iter().find(|candidate| {
        let is_same = other.name == block.name && candidate.name == field.name;
        !is_same && target(candidate) == Some(&block.name) && relation_name(candidate) == relation_name(field)
    })
}

fn remark_attributes(block: &Block, field: &Field, models: &mut Models) {
    for attribute in &field.attributes {
        if !matches!(attribute.name.as_str(), "relation" | "ignore") {
            let what = format!("@{} of the relation {}.{}", attribute.name, block.name, field.name);
            models.unsupported(attribute.place.clone(), what);
        }
    }
}

/// The columns of fields in brackets.
fn columns(value: Option<&Value>, made: &Made<'_>) -> Option<Vec<String>> {
    let found: Option<Vec<String>> = match value? {
        Value::List(fields) => fields.iter().map(|field| made.columns.get(field.word()?).cloned()).collect(),
        Value::Word(field) => made.columns.get(field).cloned().map(|column| vec![column]),
        _ => None,
    };
    found.filter(|columns| !columns.is_empty())
}

fn foreign_key(known: &Known<'_>, one: &Made<'_>, field: &Field, other: &Made<'_>, models: &mut Models) {
    if known.has_foreign_keys == Some(false) {
        return;
    }
    let Some(attribute) = field.attribute("relation") else { return };
    let own = columns(attribute.named("fields"), one);
    let parent_columns = columns(attribute.named("references"), other);
    let action = |name: &str| match attribute.named(name) {
        None => Some(None),
        Some(value) => value.word().and_then(types::action).map(Some),
    };
    let (on_delete, on_update) = (action("onDelete"), action("onUpdate"));
    let parent = models.tables.get(other.table);
    let found = own.zip(parent_columns).zip(on_delete.zip(on_update)).zip(parent).filter(
        |(((own, parent_columns), _), parent)| {
            own.len() == parent_columns.len() && is_unique(parent, parent_columns)
        },
    );
    let Some((((own, parent_columns), (on_delete, on_update)), parent)) = found else {
        let what = format!("the relation {}.{}: its fields or actions", one.block.name, field.name);
        models.unsupported(attribute.place.clone(), what);
        refuse(models, one.table, Aspect::ForeignKey);
        return;
    };
    let (parent_schema, parent) = (parent.schema.clone(), parent.name.clone());
    let Some(table) = models.tables.get_mut(one.table) else { return };
    // A relation counts as required where one of its fields is.
    let is_required = field.arity == Arity::Required
        || table.columns.iter().any(|column| own.contains(&column.name) && is_field_required(one, column));
    let usual = if is_required { "RESTRICT" } else { "SET NULL" };
    let mut parts = vec![table.name.as_str()];
    parts.extend(own.iter().map(String::as_str));
    let name = attribute.text("map").map_or_else(|| types::name_of(&parts, "_fkey"), str::to_owned);
    table.foreign_keys.push(ForeignKey {
        name: Some(name),
        columns: own,
        parent_schema,
        parent,
        parent_columns,
        on_delete: Some(on_delete.unwrap_or(usual).to_owned()),
        on_update: Some(on_update.unwrap_or("CASCADE").to_owned()),
        deferrable: false,
        deferred: false,
        is_full: false,
        place: attribute.place.clone(),
    });
}

fn is_field_required(made: &Made<'_>, column: &Column) -> bool {
    let field = made.block.fields.iter().find(|field| field.name == column.label);
    field.is_some_and(|field| field.arity == Arity::Required)
}

/// PostgreSQL takes a foreign key to no other columns.
fn is_unique(table: &Table, columns: &[String]) -> bool {
    let is_same =
        |names: &[String]| names.len() == columns.len() && names.iter().all(|name| columns.contains(name));
    let keys: Vec<String> = columns.iter().map(|name| quote_ident(name)).collect();
    let is_key = |index: &Index| {
        index.unique
            && index.condition.is_none()
            && index.keys.len() == keys.len()
            && index
                .keys
                .iter()
                .all(|key| keys.contains(&key.strip_suffix(" DESC").unwrap_or(key).to_owned()))
    };
    is_same(&table.primary_key) || table.indexes.iter().any(is_key)
}

/// The table between two lists: `one` is the first by its name.
fn between(known: &Known<'_>, (one, field): (&Made<'_>, &Field), other: &Made<'_>, models: &mut Models) {
    let label = format!("{}.{}", one.block.name, field.name);
    let said = relation_name(field).map(str::to_owned);
    let own = said.unwrap_or_else(|| format!("{}To{}", one.block.name, other.block.name));
    let name = types::cut(&format!("_{own}"), 63).to_owned();
    let side = |made: &Made<'_>| {
        let table = models.tables.get(made.table)?;
        let [id] = table.primary_key.as_slice() else { return None };
        let column = table.columns.iter().find(|column| column.name == *id)?;
        Some((table.schema.clone(), table.name.clone(), column.clone()))
    };
    let schema = models.tables.get(one.table).and_then(|table| table.schema.clone());
    let is_known = models.tables.iter().any(|table| table.schema == schema && table.name == name);
    let (Some(first), Some(second), false) = (side(one), side(other), is_known) else {
        models.unsupported(field.place.clone(), format!("the table {name} of the relation {label}"));
        return;
    };
    let mut table = Table { schema, name, label, place: field.place.clone(), ..Table::default() };
    table.unstated.extend(UNSTATED);
    if known.has_foreign_keys.is_none() {
        table.unstated.insert(Aspect::ForeignKey);
    }
    if !known.is_six {
        // Until Prisma 5, it has a unique index instead of the primary key.
        table.unstated.extend([Aspect::PrimaryKey, Aspect::Unique]);
    }
    for (name, (parent_schema, parent, id)) in [("A", first), ("B", second)] {
        table.columns.push(Column {
            name: name.to_owned(),
            label: name.to_owned(),
            place: field.place.clone(),
            data_type: id.data_type,
            not_null: true,
            unstated: id.unstated.into_iter().filter(|aspect| *aspect == Aspect::Type).collect(),
            ..Column::default()
        });
        if known.has_foreign_keys == Some(false) {
            continue;
        }
        table.foreign_keys.push(ForeignKey {
            name: Some(types::name_of(&[&table.name], &format!("_{name}_fkey"))),
            columns: vec![name.to_owned()],
            parent_schema,
            parent,
            parent_columns: vec![id.name],
            on_delete: Some("CASCADE".to_owned()),
            on_update: Some("CASCADE".to_owned()),
            deferrable: false,
            deferred: false,
            is_full: false,
            place: field.place.clone(),
        });
    }
    table.primary_key = vec!["A".to_owned(), "B".to_owned()];
    table.primary_key_name = Some(types::name_of(&[&table.name], "_AB_pkey"));
    table.indexes.push(Index {
        name: Some(types::name_of(&[&table.name], "_B_index")),
        keys: vec![quote_ident("B")],
        place: field.place.clone(),
        ..Index::default()
    });
    models.tables.push(table);
}
