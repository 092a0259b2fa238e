//! Rows of the catalogue's queries, put together to a schema.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use thiserror::Error;

use super::spelling::canonical;
use super::{Id, Object, Schema, Value, kinds, privileges, secrets};
use crate::effects::{ObjectKind, SmolStr};

/// A row that is not as the queries make it.
#[derive(Debug, Error)]
#[error("the catalogue answered with a row that cannot be read: {0}")]
pub struct BadRow(pub(super) String);

/// Catalogue and number: how PostgreSQL itself names objects in `pg_depend`.
type Address = (u32, u32);

/// What comes before the attributes: kind, schema, table, name, arguments.
const NAMED: usize = 5;

/// Puts the results of [`super::queries`] together, row by row.
#[derive(Debug)]
pub struct Builder {
    server_version: u32,
    owner: String,
    columns: Vec<Column>,
    objects: Vec<(Id, Object)>,
    /// The number of each catalogue.
    classes: FxHashMap<String, u32>,
    /// What an address stands for: an object, and its columns by number where it has any; each by its place in `objects`.
    wholes: FxHashMap<Address, usize>,
    parts: FxHashMap<(u32, u32, i32), usize>,
    /// Columns of tables, by schema, table and place.
    orders: FxHashMap<(SmolStr, SmolStr), Vec<(i32, SmolStr)>>,
    needs: Vec<[u32; 6]>,
    members: Vec<[u32; 3]>,
}

/// A column of the result that is being read, behind those that are named.
#[derive(Debug, Clone)]
enum Column {
    /// The number of the part that the next address is of.
    Part,
    /// An address in this catalogue.
    Address(String),
    Text(SmolStr),
    Flag(SmolStr),
    List(SmolStr),
    /// Who may do what now, and from the beginning: `grants` and `revoked`, of the object or of a part that is named before it.
    Privileges(SmolStr),
}

impl Column {
    fn read(name: &str) -> Self {
        let (first, suffixes) = (name.strip_prefix('@'), ["[]", "?", "{}"]);
        match (first, suffixes.map(|suffix| name.strip_suffix(suffix))) {
            _ if name == "#" => Self::Part,
            (Some(class), _) => Self::Address(class.to_owned()),
            (None, [Some(list), ..]) => Self::List(list.into()),
            (None, [_, Some(flag), _]) => Self::Flag(flag.into()),
            (None, [.., Some(privileges)]) => Self::Privileges(privileges.into()),
            (None, _) => Self::Text(name.into()),
        }
    }
}

impl Builder {
    /// Nothing read yet.
    #[must_use]
    pub fn new(server_version: u32) -> Self {
        Self {
            server_version,
            owner: String::new(),
            columns: Vec::new(),
            objects: Vec::new(),
            classes: FxHashMap::default(),
            wholes: FxHashMap::default(),
            parts: FxHashMap::default(),
            orders: FxHashMap::default(),
            needs: Vec::new(),
            members: Vec::new(),
        }
    }

    /// A result begins whose columns have these names.
    pub fn columns<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.columns.clear();
        self.columns.extend(names.skip(NAMED).map(Column::read));
    }

    /// A row of it: `field` gives the text of each column, nothing for null.
    ///
    /// # Errors
    /// [`BadRow`] for a row that none of the queries makes.
    pub fn row<'a>(&mut self, field: impl Fn(usize) -> Option<&'a str>) -> Result<(), BadRow> {
        match field(0) {
            Some("needs") => self.needs.push(numbers(field)?),
            Some("member") => self.members.push(numbers(field)?),
            Some("class") => {
                let number = number(field(1).unwrap_or_default())?;
                self.classes.insert(field(2).unwrap_or_default().to_owned(), number);
            }
            Some("asked by") => field(1).unwrap_or_default().clone_into(&mut self.owner),
            Some(word) => {
                let kind = kinds::by_word(word).ok_or_else(|| BadRow(format!("kind {word:?}")))?;
                self.object(kind, field)?;
            }
            None => return Err(BadRow("no kind".to_owned())),
        }
        Ok(())
    }

    fn object<'a>(
        &mut self,
        kind: ObjectKind,
        field: impl Fn(usize) -> Option<&'a str>,
    ) -> Result<(), BadRow> {
        let id = Id {
            kind,
            schema: field(1).map(SmolStr::from),
            table: field(2).map(SmolStr::from),
            name: field(3).unwrap_or_default().into(),
            arguments: field(4).map(SmolStr::from),
        };
        let (place, mut part) = (self.objects.len(), 0);
        let mut acl: BTreeMap<&str, [Vec<String>; 2]> = BTreeMap::new();
        let mut object = Object::default();
        for (column, index) in self.columns.iter().zip(NAMED..) {
            let Some(text) = field(index) else { continue };
            let (name, value) = match column {
                Column::Part => {
                    part = signed(text)?;
                    continue;
                }
                Column::Address(class) => {
                    let class =
                        self.classes.get(class).ok_or_else(|| BadRow(format!("catalogue {class:?}")))?;
                    let address = (*class, number(text)?);
                    match std::mem::take(&mut part) {
                        0 => self.wholes.insert(address, place),
                        part => self.parts.insert((address.0, address.1, part), place),
                    };
                    continue;
                }
                Column::Privileges(name) => {
                    let (of, at) = match name.strip_suffix("revoked") {
                        Some(of) => (of, 1),
                        None => (name.trim_end_matches("grants"), 0),
                    };
                    acl.entry(of).or_default()[at] = list(text)?;
                    continue;
                }
                Column::Text(name) => (name, Value::Text(canonical(text).into_owned())),
                Column::Flag(_) if text == "f" => continue,
                Column::Flag(name) => (name, Value::Flag(true)),
                Column::List(name) => {
                    let list = list(text)?;
                    if list.is_empty() {
                        continue;
                    }
                    (name, Value::List(list.iter().map(|one| canonical(one).into_owned()).collect()))
                }
            };
            object.attributes.insert(name.clone(), value);
        }
        // Where nobody has anything from the beginning the second is null.
        for (of, [now, at_first]) in acl {
            for (name, [first, second]) in [("grants", [&now, &at_first]), ("revoked", [&at_first, &now])] {
                let besides = privileges::besides(first, second)?;
                if !besides.is_empty() {
                    object.attributes.insert(format!("{of}{name}").into(), Value::List(besides));
                }
            }
        }
        if let (ObjectKind::Column, Some(schema), Some(table)) = (kind, &id.schema, &id.table) {
            let at = self.columns.iter().position(|column| matches!(column, Column::Part));
            let order = signed(at.and_then(|at| field(NAMED + at)).unwrap_or("0"))?;
            let columns = self.orders.entry((schema.clone(), table.clone())).or_default();
            columns.push((order, id.name.clone()));
        }
        secrets::hide(&mut object);
        self.objects.push((id, object));
        Ok(())
    }

    /// The object at an address, the column where one is named.
    fn at(&self, class: u32, object: u32, part: u32) -> Option<usize> {
        let part = part.cast_signed();
        let column = (part != 0).then(|| self.parts.get(&(class, object, part))).flatten();
        column.or_else(|| self.wholes.get(&(class, object))).copied()
    }

    /// All that was read.
    pub fn finish(mut self) -> Schema {
        let extensions = self.classes.get("pg_extension").copied().unwrap_or_default();
        for [class, object, extension] in std::mem::take(&mut self.members) {
            if let Some(place) = self.wholes.get(&(extensions, extension)).copied() {
                self.wholes.insert((class, object), place);
            }
        }
        for [class, object, part, on_class, on, on_part] in std::mem::take(&mut self.needs) {
            let found = (self.at(class, object, part), self.at(on_class, on, on_part));
            if let (Some(place), Some(needed)) = found
                && self.objects[place].0 != self.objects[needed].0
            {
                let needed = self.objects[needed].0.clone();
                self.objects[place].1.needs.insert(needed);
            }
        }
        let mut schema = Schema::empty(self.server_version, self.owner);
        schema.objects = self.objects.into_iter().collect();
        put_in_order(&mut schema, self.orders);
        complete(&mut schema);
        schema
    }
}

fn number(text: &str) -> Result<u32, BadRow> {
    text.parse().map_err(|_| BadRow(format!("number {text:?}")))
}

/// Columns that the system itself brings have negative numbers.
fn signed(text: &str) -> Result<i32, BadRow> {
    text.parse().map_err(|_| BadRow(format!("number {text:?}")))
}

/// The numbers behind the word that says what a row is.
fn numbers<'a, const N: usize>(field: impl Fn(usize) -> Option<&'a str>) -> Result<[u32; N], BadRow> {
    let mut numbers = [0; N];
    for (place, into) in (1..).zip(&mut numbers) {
        let text = field(place).unwrap_or_default();
        *into = number(text).or_else(|_| signed(text).map(i32::cast_unsigned))?;
    }
    Ok(numbers)
}

/// A list, as JSON.
fn list(json: &str) -> Result<Vec<String>, BadRow> {
    serde_json::from_str(json).map_err(|error| BadRow(error.to_string()))
}

/// Tables keep the order of their columns.
fn put_in_order(schema: &mut Schema, orders: FxHashMap<(SmolStr, SmolStr), Vec<(i32, SmolStr)>>) {
    for ((namespace, table), mut columns) in orders {
        let tables = [ObjectKind::Table, ObjectKind::ForeignTable];
        let mut tables = tables.map(|kind| Id::new(kind, namespace.clone(), table.clone())).into_iter();
        let Some(table) = tables.find(|table| schema.objects.contains_key(table)) else { continue };
        let Some(table) = schema.objects.get_mut(&table) else { continue };
        columns.sort_unstable();
        let columns = columns.into_iter().map(|(_, name)| name.to_string()).collect();
        table.attributes.insert("columns".into(), Value::List(columns));
    }
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
pub(crate) fn parent_of(partition: &Object) -> Option<Id> {
    Some(Id::new(ObjectKind::Table, partition.text("schema of parent")?, partition.text("name of parent")?))
}
