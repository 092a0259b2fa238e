//! Models as tables: columns, keys and indexes.

use std::collections::BTreeMap;

use cutover_analysis::sql::{quote_ident, quote_literal};

use super::syntax::{Argument, Arity, Attribute, Block, Field, Type, Value};
use super::{Known, mapped, schema, types};
use crate::model::{Aspect, Column, Default, Identity, Index, Models, Place, Table};

/// What Prisma has no words for, or takes either way.
pub(super) const UNSTATED: [Aspect; 7] = [
    Aspect::Check,
    Aspect::Comment,
    Aspect::Collation,
    Aspect::Deferrable,
    Aspect::UniqueForm,
    Aspect::IndexForm,
    Aspect::IndexPart,
];

/// A model that a table is made of.
pub(super) struct Made<'a> {
    pub(super) block: &'a Block,
    /// Its place among the tables.
    pub(super) table: usize,
    /// What its fields are called in the database.
    pub(super) columns: BTreeMap<String, String>,
}

/// Adds the table of a model.
pub(super) fn read<'a>(block: &'a Block, known: &Known<'_>, models: &mut Models) -> Option<Made<'a>> {
    let name = mapped(block.attribute("map"), &block.name, &block.name, models);
    let schema = schema(block, models);
    if models.tables.iter().any(|table| table.schema == schema && table.name == name) {
        models.unsupported(block.place.clone(), format!("a second table {name}: model {}", block.name));
        return None;
    }
    let mut reader = Reader {
        block,
        known,
        models,
        columns: BTreeMap::new(),
        table: Table {
            schema,
            name,
            label: block.name.clone(),
            place: block.place.clone(),
            unstated: UNSTATED.into(),
            ..Table::default()
        },
    };
    if known.has_partial_indexes {
        reader.table.unstated.remove(&Aspect::IndexPart);
    }
    reader.read();
    let Reader { table, columns, .. } = reader;
    models.tables.push(table);
    Some(Made { block, table: models.tables.len() - 1, columns })
}

struct Reader<'a, 'm> {
    block: &'a Block,
    known: &'a Known<'a>,
    models: &'m mut Models,
    columns: BTreeMap<String, String>,
    table: Table,
}

/// A column in an index.
struct Key {
    name: String,
    sql: String,
}

impl Reader<'_, '_> {
    fn refuse(&mut self, place: &Place, what: impl Into<String>, aspects: &[Aspect]) {
        self.models.unsupported(place.clone(), what);
        self.table.unstated.extend(aspects);
    }

    fn read(&mut self) {
        let block = self.block;
        for field in &block.fields {
            if let Some(column) = self.column(field) {
                let is_known = self.table.columns.iter().any(|known| known.name == column.name);
                if is_known || self.columns.contains_key(&field.name) {
                    let what = format!("a second column {}: {}.{}", column.name, block.name, field.name);
                    self.refuse(&field.place, what, &[]);
                    continue;
                }
                self.columns.insert(field.name.clone(), column.name.clone());
                self.table.columns.push(column);
            }
        }
        for field in &block.fields {
            if !self.columns.contains_key(&field.name) {
                continue;
            }
            let own = || Some(vec![Value::Word(field.name.clone())]);
            for attribute in &field.attributes {
                match attribute.name.as_str() {
                    "id" => self.primary_key(attribute, own()),
                    "unique" => self.index(attribute, own(), true),
                    _ => {}
                }
            }
        }
        for name in &block.unread {
            self.table.unstated.insert(match name.as_str() {
                "id" => Aspect::PrimaryKey,
                "unique" => Aspect::Unique,
                _ => Aspect::Index,
            });
        }
        for attribute in &block.attributes {
            let fields = || match attribute.named_or_first("fields") {
                Some(Value::List(fields)) => Some(fields.clone()),
                Some(field @ (Value::Word(_) | Value::Call(..))) => Some(vec![field.clone()]),
                _ => None,
            };
            match attribute.name.as_str() {
                "id" => self.primary_key(attribute, fields()),
                "unique" => self.index(attribute, fields(), true),
                "index" => self.index(attribute, fields(), false),
                // What the client does not show is in the database all the same.
                "map" | "schema" | "ignore" => {}
                name => {
                    let what = format!("@@{name} of {}", block.name);
                    self.refuse(&attribute.place, what, &[]);
                }
            }
        }
    }

    /// The column that a field is; none where it is a relation.
    fn column(&mut self, field: &Field) -> Option<Column> {
        let known = self.known;
        let shown = format!("{}.{}", self.block.name, field.name);
        let mut column = Column {
            name: field.name.clone(),
            label: field.name.clone(),
            place: field.place.clone(),
            not_null: field.arity == Arity::Required,
            ..Column::default()
        };
        let mut values = None;
        let mut scalar = "";
        match &field.data_type {
            Type::Sql(data_type) => column.data_type.clone_from(data_type),
            Type::Named(name) if known.is_relation(name) => return None,
            Type::Named(name) => {
                scalar = name;
                if let Some(found) = known.enums.get(name.as_str()) {
                    column.data_type.clone_from(&found.data_type);
                    values = Some(found.values.as_slice());
                } else if let Some(found) = types::of_scalar(name) {
                    found.clone_into(&mut column.data_type);
                } else {
                    self.refuse(&field.place, format!("the type of {shown}: {name}"), &[]);
                    // A relation to a model in a file that is not there has no column.
                    if field.attribute("relation").is_some() {
                        self.table.unstated.insert(Aspect::ForeignKey);
                        return None;
                    }
                    if known.composites.contains(name.as_str()) || field.arity != Arity::List {
                        column.unstated.extend([Aspect::Type, Aspect::Nullable, Aspect::Default]);
                    } else {
                        return None;
                    }
                }
            }
            Type::None => {
                if !field.is_cut {
                    self.refuse(&field.place, format!("the type of {shown}: none"), &[]);
                }
                column.unstated.extend([Aspect::Type, Aspect::Nullable, Aspect::Default]);
            }
        }
        column.name = mapped(field.attribute("map"), &field.name, &shown, self.models);
        self.attributes(field, &mut column, &shown);
        if field.arity == Arity::List && !column.data_type.is_empty() {
            column.data_type += "[]";
        }
        if field.arity == Arity::List {
            // Made without NOT NULL, and with it the same to Prisma.
            column.unstated.insert(Aspect::Nullable);
        }
        if let Some(attribute) = field.attribute("default") {
            self.default(attribute, &mut column, &shown, scalar, values);
        } else if field.attribute("updatedAt").is_some() {
            column.default = Default::Client("@updatedAt".to_owned());
        }
        if field.is_cut {
            let open = [Aspect::Type, Aspect::Nullable, Aspect::Default, Aspect::Identity, Aspect::Unique];
            column.unstated.extend(open);
            self.table.unstated.insert(Aspect::PrimaryKey);
        }
        Some(column)
    }

    /// The native type, and what is not known.
    fn attributes(&mut self, field: &Field, column: &mut Column, shown: &str) {
        for attribute in &field.attributes {
            let name = attribute.name.as_str();
            if let Some((source, native)) = name.split_once('.') {
                let is_ours = source == self.known.datasource || source == "db";
                if let Some(data_type) = types::of_native(native, attribute).filter(|_| is_ours) {
                    column.data_type = data_type;
                } else {
                    self.refuse(&attribute.place, format!("the type of {shown}: @{name}"), &[]);
                    column.data_type.clear();
                    column.unstated.insert(Aspect::Type);
                }
            } else if !matches!(name, "id" | "unique" | "default" | "map" | "updatedAt" | "ignore") {
                self.refuse(&attribute.place, format!("@{name} of {shown}"), &[]);
            }
        }
    }

    fn default(
        &mut self,
        attribute: &Attribute,
        column: &mut Column,
        shown: &str,
        scalar: &str,
        values: Option<&[(String, String)]>,
    ) {
        let value = attribute.named_or_first("value");
        let constant = |value: &Value| types::constant(value, scalar, values);
        let found = match value {
            Some(Value::Call(name, arguments)) => {
                let text = arguments.first().and_then(|argument| argument.value.text());
                match (name.as_str(), text) {
                    ("autoincrement", _) => {
                        let is_number =
                            matches!(column.data_type.as_str(), "smallint" | "integer" | "bigint");
                        column.identity = is_number.then_some(Identity::Serial);
                        is_number.then_some(Default::None)
                    }
                    ("now", _) => Some(Default::Sql("CURRENT_TIMESTAMP".to_owned())),
                    ("dbgenerated", Some(sql)) if !sql.trim().is_empty() => {
                        Some(Default::Sql(sql.to_owned()))
                    }
                    ("uuid" | "cuid" | "nanoid" | "ulid", _) => {
                        Some(Default::Client(value.map(Value::shown).unwrap_or_default()))
                    }
                    _ => None,
                }
            }
            Some(Value::List(items)) if column.data_type.ends_with("[]") => {
                let items: Option<Vec<String>> = items.iter().map(constant).collect();
                items.map(|items| Default::Sql(format!("ARRAY[{}]::{}", items.join(", "), column.data_type)))
            }
            Some(value) if !column.data_type.ends_with("[]") => constant(value).map(Default::Sql),
            _ => None,
        };
        if let Some(default) = found {
            column.default = default;
        } else {
            let value = value.map_or_else(|| "nothing".to_owned(), Value::shown);
            self.refuse(&attribute.place, format!("the default of {shown}: {value}"), &[]);
            column.unstated.extend([Aspect::Default, Aspect::Identity]);
        }
    }

    fn primary_key(&mut self, attribute: &Attribute, fields: Option<Vec<Value>>) {
        let keys = fields.and_then(|fields| self.keys(&fields)).filter(|_| self.table.primary_key.is_empty());
        let Some(keys) = keys else {
            let what = format!("the primary key of {}", self.block.name);
            self.refuse(&attribute.place, what, &[Aspect::PrimaryKey]);
            return;
        };
        self.table.primary_key = keys.into_iter().map(|key| key.name).collect();
        let own = attribute.text("map").map(str::to_owned);
        self.table.primary_key_name =
            Some(own.unwrap_or_else(|| types::name_of(&[&self.table.name], "_pkey")));
        for name in &self.table.primary_key {
            for column in self.table.columns.iter_mut().filter(|column| column.name == *name) {
                column.not_null = true;
            }
        }
    }

    fn index(&mut self, attribute: &Attribute, fields: Option<Vec<Value>>, unique: bool) {
        let kind = if unique { "unique index" } else { "index" };
        let aspect = if unique { Aspect::Unique } else { Aspect::Index };
        let keys = fields.and_then(|fields| self.keys(&fields));
        let condition = match attribute.named("where") {
            None => Some(None),
            Some(Value::Call(name, arguments)) if name == "raw" => first_text(arguments).map(Some),
            Some(Value::Object(members)) => self.condition(members).map(Some),
            Some(_) => None,
        };
        let method = match attribute.named("type") {
            None => Some(None),
            Some(value) => value.word().filter(|name| types::is_method(name)).map(Some),
        };
        // The name of an index may be said with `name`, from the time before `map`.
        let said = attribute.text("map").or_else(|| attribute.text("name").filter(|_| !unique));
        let ending = if unique { "_key" } else { "_idx" };
        let of_keys = |keys: &Vec<Key>| {
            let mut parts = vec![self.table.name.as_str()];
            parts.extend(keys.iter().map(|key| key.name.as_str()));
            types::name_of(&parts, ending)
        };
        let name = said.map(str::to_owned).or_else(|| keys.as_ref().map(of_keys));
        let (Some(keys), Some(condition), Some(method)) = (keys, condition, method) else {
            let what = format!("the {kind} of {}: {}", self.block.name, shown(attribute));
            // What is called so is left out, or all of that kind where its name is not known either.
            let open = [aspect];
            self.refuse(&attribute.place, what, if name.is_some() { &[] } else { &open });
            self.table.unread.extend(name);
            return;
        };
        self.table.indexes.push(Index {
            name,
            keys: keys.into_iter().map(|key| key.sql).collect(),
            unique,
            method: method.filter(|name| *name != "BTree").map(str::to_lowercase),
            condition,
            place: attribute.place.clone(),
            ..Index::default()
        });
        if unique {
            // An argument of a single field is said beside it, not within.
            if let (Some(index), Some("Desc")) =
                (self.table.indexes.last_mut(), attribute.named("sort").and_then(Value::word))
            {
                for key in &mut index.keys {
                    *key += " DESC";
                }
            }
        }
    }

    /// `{ active: true, goneAt: null, state: { not: "gone" } }`, as Prisma makes SQL of it.
    fn condition(&self, members: &[(String, Value)]) -> Option<String> {
        let one = |(field, value): &(String, Value)| {
            let (value, is_not) = match value {
                Value::Object(inner) => match inner.as_slice() {
                    [(key, value)] if key == "not" => (value, true),
                    _ => return None,
                },
                value => (value, false),
            };
            let column = quote_ident(self.columns.get(field)?);
            if value.word() == Some("null") {
                return Some(format!("{column} IS {}NULL", if is_not { "NOT " } else { "" }));
            }
            let field = self.block.fields.iter().find(|known| known.name == *field)?;
            let value = self.compared(field, value)?;
            Some(format!("{column} {} {value}", if is_not { "<>" } else { "=" }))
        };
        let all: Option<Vec<String>> = members.iter().map(one).collect();
        all.filter(|all| !all.is_empty()).map(|all| all.join(" AND "))
    }

    /// What a field is compared with.
    fn compared(&self, field: &Field, value: &Value) -> Option<String> {
        let Type::Named(scalar) = &field.data_type else { return None };
        match (self.known.enums.get(scalar.as_str()), value) {
            // One that is called otherwise in the database may mean either.
            (Some(found), Value::Text(text)) => {
                let is_meant = |(name, own): &(String, String)| name == text && own == text;
                found.values.iter().any(is_meant).then(|| quote_literal(text))
            }
            (Some(_), _) => None,
            (None, value) => types::constant(value, scalar, None),
        }
    }

    /// Fields in brackets: none where one of them is not understood.
    fn keys(&self, fields: &[Value]) -> Option<Vec<Key>> {
        let keys: Option<Vec<Key>> = fields.iter().map(|field| self.key(field)).collect();
        keys.filter(|keys| !keys.is_empty())
    }

    fn key(&self, field: &Value) -> Option<Key> {
        let (name, arguments): (_, &[Argument]) = match field {
            Value::Word(name) | Value::Number(name) => (name, &[]),
            Value::Call(name, arguments) => (name, arguments),
            Value::Text(_) | Value::List(_) | Value::Object(_) => return None,
        };
        let name = self.columns.get(name)?.clone();
        let mut class = String::new();
        let mut order = "";
        for argument in arguments {
            match (argument.name.as_deref()?, &argument.value) {
                ("sort", Value::Word(word)) if word == "Desc" => order = " DESC",
                ("sort", Value::Word(word)) if word == "Asc" => {}
                ("ops", Value::Word(word)) => class = format!(" {}", types::operator_class(word)?),
                ("ops", Value::Call(raw, arguments)) if raw == "raw" => {
                    class = format!(" {}", first_text(arguments)?);
                }
                _ => return None,
            }
        }
        Some(Key { sql: format!("{}{class}{order}", quote_ident(&name)), name })
    }
}

fn first_text(arguments: &[Argument]) -> Option<String> {
    arguments.first().and_then(|argument| argument.value.text()).map(str::to_owned)
}

fn shown(attribute: &Attribute) -> String {
    Value::Call(attribute.name.clone(), attribute.arguments.clone()).shown()
}
