//! Tables that a run touched, with their columns and keys, and the tables these keys lead to: what an entity-relationship
//! diagram shows. A value that travels with the run; drawing it is the report's.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{ObjectKind, SmolStr};
use cutover_analysis::schema::{Id, Object, Schema};
use serde::{Deserialize, Serialize};

/// More tables are not drawn.
const MOST: usize = 60;

/// Tables and what leads from one to the other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erd {
    /// The tables, by name.
    pub tables: Vec<ErdTable>,
    /// Tables that the run touched and that are left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErdTable {
    /// Its name, with its schema where that is not `public`.
    pub name: String,
    /// The run made or changed it; others are there because a key leads to or from them, without their columns.
    pub touched: bool,
    /// Its columns, in their order.
    pub columns: Vec<ErdColumn>,
    /// Its foreign keys to tables of the diagram.
    pub references: Vec<ErdReference>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErdColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// It cannot be null.
    pub not_null: bool,
    /// It is part of the primary key.
    pub primary: bool,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErdReference {
    /// The constraint's name.
    pub name: String,
    /// The columns it is made of.
    pub columns: Vec<String>,
    /// The table it leads to, named as in the diagram.
    pub to: String,
    /// A row need not lead anywhere: one of the columns may be null.
    #[serde(default)]
    pub optional: bool,
    /// At most one row leads to each: the columns are a key of their own table, or hold one.
    #[serde(default)]
    pub unique: bool,
}

/// A table as a statement names it: perhaps without its schema.
pub type Touched = BTreeSet<(Option<SmolStr>, SmolStr)>;

impl Erd {
    /// Of the tables that were touched and are still there; `None` where none is.
    pub fn of(schema: &Schema, touched: &Touched) -> Option<Self> {
        let is_touched = |id: &Id| {
            touched.contains(&(id.schema.clone(), id.name.clone()))
                || touched.contains(&(None, id.name.clone()))
        };
        let tables = schema.objects.keys().filter(|id| is_table(id));
        let mut all: Vec<&Id> = tables.filter(|id| is_touched(id)).collect();
        let more = all.len().saturating_sub(MOST);
        all.truncate(MOST);
        if all.is_empty() {
            return None;
        }
        let chosen: BTreeSet<&Id> = all.into_iter().collect();
        let keys = keys(schema);
        let mut drawn: BTreeMap<&Id, bool> = chosen.iter().map(|id| (*id, true)).collect();
        for key in &keys {
            if chosen.contains(key.from) || chosen.contains(key.to) {
                drawn.entry(key.from).or_insert(false);
                drawn.entry(key.to).or_insert(false);
            }
        }
        let tables = drawn.iter().map(|(id, touched)| ErdTable {
            name: name(id),
            touched: *touched,
            columns: if *touched { columns(schema, id) } else { Vec::new() },
            references: keys
                .iter()
                .filter(|key| key.from == *id && drawn.contains_key(key.to))
                .filter(|key| *touched || chosen.contains(key.to))
                .map(|key| ErdReference {
                    name: key.name.clone(),
                    columns: key.columns.clone(),
                    to: name(key.to),
                    optional: key.optional,
                    unique: key.unique,
                })
                .collect(),
        });
        Some(Self { tables: tables.collect(), more })
    }
}

struct Key<'a> {
    name: String,
    from: &'a Id,
    columns: Vec<String>,
    to: &'a Id,
    optional: bool,
    unique: bool,
}

fn is_table(id: &Id) -> bool {
    matches!(id.kind, ObjectKind::Table | ObjectKind::ForeignTable)
}

/// What a table is called where `public` goes without saying.
pub(crate) fn name(id: &Id) -> String {
    match &id.schema {
        Some(schema) if schema != "public" => format!("{schema}.{}", id.name),
        _ => id.name.to_string(),
    }
}

/// All foreign keys that are not merely a partition's.
fn keys(schema: &Schema) -> Vec<Key<'_>> {
    let tables: BTreeMap<(&str, &str), &Id> = schema
        .objects
        .keys()
        .filter(|id| is_table(id))
        .filter_map(|id| Some(((id.schema.as_deref()?, id.name.as_str()), id)))
        .collect();
    let of = |part: &Id| tables.get(&(part.schema.as_deref()?, part.table.as_deref()?)).copied();
    let foreign = schema.objects.iter().filter(|(id, object)| is_foreign_key(id, object));
    foreign
        .filter_map(|(id, object)| {
            let from = of(id)?;
            let columns = object.needs.iter().filter(|needed| needed.kind == ObjectKind::Column);
            let others = columns.clone().filter_map(of).find(|table| *table != from);
            let own = columns.filter(|column| of(column) == Some(from)).map(|column| column.name.to_string());
            let columns = in_order(object, own.collect());
            let not_null = |column: &String| {
                let namespace = from.schema.clone()?;
                let column = Id::part(ObjectKind::Column, namespace, from.name.clone(), column.as_str());
                schema.get(&column).map(|object| object.has("not null"))
            };
            let optional = columns.iter().any(|column| not_null(column) == Some(false));
            let unique = is_unique(schema, from, &columns);
            // One that leads to its own table names no other.
            Some(Key {
                name: id.name.to_string(),
                from,
                columns,
                to: others.unwrap_or(from),
                optional,
                unique,
            })
        })
        .collect()
}

/// Whether the columns hold all of some key of the table.
fn is_unique(schema: &Schema, table: &Id, columns: &[String]) -> bool {
    let is_key = |(id, object): &(&Id, &Object)| {
        let definition = object.text("definition").unwrap_or_default();
        match id.kind {
            ObjectKind::Constraint => {
                ["PRIMARY KEY", "UNIQUE"].iter().any(|word| definition.starts_with(word))
            }
            // Of an expression, or of some rows, nothing follows.
            ObjectKind::Index => {
                definition.starts_with("CREATE UNIQUE INDEX")
                    && definition.matches('(').count() == 1
                    && !definition.contains(" WHERE ")
            }
            _ => false,
        }
    };
    let within = |object: &Object| {
        let mut needed = object.needs.iter().filter(|needed| needed.kind == ObjectKind::Column).peekable();
        needed.peek().is_some() && needed.all(|needed| columns.iter().any(|column| needed.name == *column))
    };
    schema.parts_of(table).filter(is_key).any(|(_, object)| within(object))
}

fn is_foreign_key(id: &Id, object: &Object) -> bool {
    id.kind == ObjectKind::Constraint
        && !object.has("inherited")
        && object.text("definition").is_some_and(|definition| definition.starts_with("FOREIGN KEY"))
}

/// The columns that stand before REFERENCES, in the order of the key.
fn in_order(object: &Object, mut columns: Vec<String>) -> Vec<String> {
    let definition = object.text("definition").unwrap_or_default();
    let before = definition.split(" REFERENCES ").next().unwrap_or_default();
    let place = |column: &String| before.find(&cutover_analysis::sql::quote_ident(column));
    columns.retain(|column| place(column).is_some());
    columns.sort_by_key(place);
    columns
}

fn columns(schema: &Schema, table: &Id) -> Vec<ErdColumn> {
    let part =
        |kind, name: &str| Id::part(kind, table.schema.clone().unwrap_or_default(), table.name.clone(), name);
    let primary: BTreeSet<&str> = schema
        .parts_of(table)
        .filter(|(id, object)| {
            id.kind == ObjectKind::Constraint
                && object.text("definition").is_some_and(|definition| definition.starts_with("PRIMARY KEY"))
        })
        .flat_map(|(_, object)| &object.needs)
        .filter(|needed| needed.kind == ObjectKind::Column && needed.table.as_ref() == Some(&table.name))
        .map(|column| column.name.as_str())
        .collect();
    let names = schema.get(table).map_or(&[][..], |object| object.list("columns"));
    names
        .iter()
        .filter_map(|name| {
            let column = schema.get(&part(ObjectKind::Column, name))?;
            Some(ErdColumn {
                name: name.clone(),
                type_name: column.text("type").unwrap_or_default().to_owned(),
                not_null: column.has("not null"),
                primary: primary.contains(name.as_str()),
            })
        })
        .collect()
}
