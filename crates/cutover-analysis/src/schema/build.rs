//! Rows of the catalogue's queries, put together to a schema.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use thiserror::Error;

use super::spelling::canonical;
use super::{FORMAT_VERSION, Id, Schema, Value, kinds};
use crate::effects::ObjectKind;

/// A row that is not as the queries make it.
#[derive(Debug, Error)]
#[error("the catalogue answered with a row that cannot be read: {0}")]
pub struct BadRow(String);

/// Catalogue and number: how PostgreSQL itself names objects in `pg_depend`.
type Address = (u32, u32);

/// What an address stands for: an object, and its columns by number where it has any.
#[derive(Debug, Default)]
struct Addresses {
    wholes: FxHashMap<Address, Id>,
    columns: FxHashMap<(u32, u32, i32), Id>,
}

impl Addresses {
    /// The object at an address, the column where one is named.
    fn at(&self, class: u32, object: u32, part: i32) -> Option<&Id> {
        let column = (part != 0).then(|| self.columns.get(&(class, object, part))).flatten();
        column.or_else(|| self.wholes.get(&(class, object)))
    }
}

/// Puts the rows of [`super::queries`] together.
///
/// # Errors
/// [`BadRow`] for a row that none of the queries makes.
pub fn from_rows(
    rows: Vec<Vec<Option<String>>>,
    server_version: u32,
    owner: impl Into<String>,
) -> Result<Schema, BadRow> {
    let mut schema = Schema {
        format_version: FORMAT_VERSION,
        server_version,
        owner: owner.into(),
        objects: BTreeMap::new(),
    };
    let mut addresses = Addresses::default();
    let mut needs = Vec::new();
    let mut members = Vec::new();
    for row in rows {
        let mut fields = row.into_iter();
        match fields.next().flatten().as_deref() {
            Some("needs") => needs.push(fields),
            Some("member") => members.push(fields),
            Some(word) => {
                let kind = kinds::by_word(word).ok_or_else(|| BadRow(format!("kind {word:?}")))?;
                object(&mut schema, &mut addresses, kind, fields)?;
            }
            None => return Err(BadRow("no kind".to_owned())),
        }
    }
    for member in members {
        let [class, object, extension] = numbers(member)?;
        if let Some(id) = addresses.wholes.get(&(kinds::extension::CLASS, extension)).cloned() {
            addresses.wholes.insert((class, object), id);
        }
    }
    for need in needs {
        let [class, object, part, on_class, on, on_part] = numbers(need)?;
        let found = (
            addresses.at(class, object, part.cast_signed()),
            addresses.at(on_class, on, on_part.cast_signed()),
        );
        if let (Some(id), Some(needed)) = found
            && id != needed
            && let Some(known) = schema.objects.get_mut(id)
        {
            known.needs.insert(needed.clone());
        }
    }
    complete(&mut schema);
    Ok(schema)
}

fn numbers<const N: usize>(mut fields: std::vec::IntoIter<Option<String>>) -> Result<[u32; N], BadRow> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        // Columns come as `smallint` or `integer`, the system's own negative.
        let text = fields.next().flatten().unwrap_or_default();
        let value: i64 = text.parse().map_err(|_| BadRow(format!("number {text:?}")))?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an oid, or a column's number in 32 bits"
        )]
        {
            *number = value as u32;
        }
    }
    Ok(numbers)
}

fn object(
    schema: &mut Schema,
    addresses: &mut Addresses,
    kind: ObjectKind,
    mut fields: std::vec::IntoIter<Option<String>>,
) -> Result<(), BadRow> {
    let mut next = || fields.next().flatten();
    let id = Id { kind, schema: next(), table: next(), name: next().unwrap_or_default(), arguments: next() };
    let (address, attributes) = (next().unwrap_or_default(), next().unwrap_or_default());
    for alias in address.split(',').filter(|alias| !alias.is_empty()) {
        let mut parts = alias.split(':');
        let mut number = || -> Result<i64, BadRow> {
            parts.next().unwrap_or("0").parse().map_err(|_| BadRow(format!("address {alias:?}")))
        };
        let (class, object, part) = (number()?, number()?, number()?);
        let (Ok(class), Ok(object), Ok(part)) = (class.try_into(), object.try_into(), part.try_into()) else {
            return Err(BadRow(format!("address {alias:?}")));
        };
        if part == 0 {
            addresses.wholes.insert((class, object), id.clone());
        } else {
            addresses.columns.insert((class, object, part), id.clone());
        }
    }
    let attributes = attributes_of(&attributes)?;
    if kind == ObjectKind::Column {
        put_in_order(schema, &id);
    }
    schema.objects.entry(id).or_default().attributes.extend(attributes);
    Ok(())
}

/// Columns come in their order; the table keeps it.
fn put_in_order(schema: &mut Schema, column: &Id) {
    let (Some(namespace), Some(table)) = (&column.schema, &column.table) else { return };
    let table = [ObjectKind::Table, ObjectKind::ForeignTable]
        .map(|kind| Id::new(kind, namespace.clone(), table.clone()))
        .into_iter()
        .find(|table| schema.objects.contains_key(table));
    let Some(table) = table.and_then(|table| schema.objects.get_mut(&table)) else { return };
    let columns = table.attributes.entry("columns".to_owned()).or_insert_with(|| Value::List(Vec::new()));
    if let Value::List(columns) = columns {
        columns.push(column.name.clone());
    }
}

/// Attributes as JSON: texts, lists of texts and `true`; what is null, false or an empty list is not there.
fn attributes_of(json: &str) -> Result<BTreeMap<String, Value>, BadRow> {
    if json.is_empty() {
        return Ok(BTreeMap::new());
    }
    let parsed: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(json).map_err(|error| BadRow(error.to_string()))?;
    let mut attributes = BTreeMap::new();
    for (name, value) in parsed {
        let value = match value {
            serde_json::Value::Null | serde_json::Value::Bool(false) => continue,
            serde_json::Value::Bool(true) => Value::Flag(true),
            serde_json::Value::String(text) => Value::Text(canonical(&text).into_owned()),
            serde_json::Value::Number(number) => Value::Text(number.to_string()),
            serde_json::Value::Array(list) if list.is_empty() => continue,
            serde_json::Value::Array(list) => Value::List(
                list.into_iter()
                    .map(|element| {
                        element
                            .as_str()
                            .map_or_else(|| element.to_string(), |text| canonical(text).into_owned())
                    })
                    .collect(),
            ),
            serde_json::Value::Object(_) => return Err(BadRow(format!("attribute {name:?}"))),
        };
        attributes.insert(name, value);
    }
    Ok(attributes)
}

/// What `pg_depend` does not say: what is in a schema needs it (`public` is there before anything else), parts need their
/// whole.
fn complete(schema: &mut Schema) {
    let ids: Vec<Id> = schema.objects.keys().cloned().collect();
    for id in ids {
        // `pg_depend` is not asked about schemas.
        if id.kind == ObjectKind::Extension {
            let namespace = schema.objects.get(&id).and_then(|object| object.text("schema"));
            let namespace = namespace.map(|name| Id::global(ObjectKind::Schema, name));
            let known = namespace.filter(|namespace| schema.objects.contains_key(namespace));
            if let (Some(namespace), Some(object)) = (known, schema.objects.get_mut(&id)) {
                object.needs.insert(namespace);
            }
        }
        let Some(namespace) = &id.schema else { continue };
        let mut needed = vec![Id::global(ObjectKind::Schema, namespace.clone())];
        if let Some(table) = &id.table {
            needed.extend(kinds::WITH_PARTS.map(|kind| Id::new(kind, namespace.clone(), table.clone())));
        }
        if id.kind == ObjectKind::Partition {
            needed.extend(schema.objects.get(&id).and_then(parent_of));
        }
        needed.retain(|needed| schema.objects.contains_key(needed));
        if let Some(object) = schema.objects.get_mut(&id) {
            object.needs.extend(needed);
        }
    }
}

/// The table that a partition belongs to.
pub(crate) fn parent_of(partition: &super::Object) -> Option<Id> {
    Some(Id::new(ObjectKind::Table, partition.text("schema of parent")?, partition.text("name of parent")?))
}
