//! Prisma: `schema.prisma`, in one file or many. What it means is what Prisma Migrate makes of it on PostgreSQL. It does not state check
//! constraints, comments, collations and what is deferrable, and it has no words for expressions in indexes.

mod relations;
mod syntax;
mod table;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::qualified;
use crate::model::{Enum, Extension, Models, Place};
use crate::source::{File, Settings, Source};
use syntax::{Attribute, Block, Document, Value};

pub(crate) static SOURCE: Source =
    Source { name: "prisma", about: "Prisma: `schema.prisma`", extension: "prisma", is_so, read };

fn is_so(text: &str) -> bool {
    let kinds = ["model", "datasource", "generator", "enum", "view"];
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next().is_some_and(|kind| kinds.contains(&kind))
            && words.next().is_some_and(|name| name.ends_with('{') || words.next() == Some("{"))
    })
}

fn read(files: &[File], _settings: &Settings) -> Models {
    let mut models = Models::default();
    let documents: Vec<Document> = files.iter().map(syntax::parse).collect();
    for document in &documents {
        models.unsupported.extend(document.unsupported.iter().cloned());
        models.unread.extend(document.unread.iter().cloned());
    }
    let blocks: Vec<&Block> = documents.iter().flat_map(|document| &document.blocks).collect();
    let nowhere = Place::new(files.first().map_or("", |file| &file.path), 1);
    let Some(mut known) = Known::of(&blocks, nowhere, &mut models) else { return models };
    for block in blocks {
        known.add(block, &mut models);
    }
    let made: Vec<_> =
        known.in_order.iter().filter_map(|block| table::read(block, &known, &mut models)).collect();
    relations::read(&known, &made, &mut models);
    models.unsupported.sort_by(|one, other| one.place.cmp(&other.place));
    models
}

/// What all blocks need to know of the others.
struct Known<'a> {
    models: BTreeMap<&'a str, &'a Block>,
    in_order: Vec<&'a Block>,
    enums: BTreeMap<&'a str, Values>,
    views: BTreeSet<&'a str>,
    /// Composite types, which PostgreSQL does not get.
    composites: BTreeSet<&'a str>,
    /// Name of the datasource: `@db.Text` has it in front.
    datasource: &'a str,
    /// There are foreign keys; not known where there is no datasource.
    has_foreign_keys: Option<bool>,
    /// It says by its form that it is of Prisma 6 or later.
    is_six: bool,
    /// It has words for indexes over a part of the rows (`partialIndexes`, since Prisma 7.4).
    has_partial_indexes: bool,
}

/// An enum: its type as SQL, and its values as the model and as the database calls them.
struct Values {
    data_type: String,
    values: Vec<(String, String)>,
}

impl<'a> Known<'a> {
    /// What datasource and generators say; nothing where the database is another one.
    fn of(blocks: &[&'a Block], nowhere: Place, models: &mut Models) -> Option<Self> {
        let of_kind = |kind: &'static str| blocks.iter().copied().filter(move |block| block.kind == kind);
        let is_new_client = of_kind("generator")
            .any(|block| block.key("provider").and_then(Value::text) == Some("prisma-client"));
        let has_partial_indexes = of_kind("generator")
            .filter_map(|block| block.key("previewFeatures"))
            .any(|features| features.items().iter().any(|one| one.text() == Some("partialIndexes")));
        let mut known = Self {
            models: BTreeMap::new(),
            in_order: Vec::new(),
            enums: BTreeMap::new(),
            views: BTreeSet::new(),
            composites: BTreeSet::new(),
            datasource: "db",
            has_foreign_keys: None,
            is_six: is_new_client,
            has_partial_indexes,
        };
        let mut datasources = of_kind("datasource");
        let Some(datasource) = datasources.next() else {
            models.unsupported(
                nowhere,
                "no datasource: it is taken to be PostgreSQL, and foreign keys are not known",
            );
            return Some(known);
        };
        for other in datasources {
            models.unsupported(other.place.clone(), format!("a second datasource: {}", other.name));
        }
        let provider = datasource.key("provider");
        if !matches!(provider.and_then(Value::text), Some("postgresql" | "postgres")) {
            let shown = provider.map_or_else(|| "none".to_owned(), Value::shown);
            let what = format!(
                "the provider of datasource {} is {shown}: models of another database than PostgreSQL are not read",
                datasource.name
            );
            models.unsupported(datasource.place.clone(), what);
            return None;
        }
        for (key, value, place) in &datasource.keys {
            if key == "extensions" {
                let found = match value {
                    Value::List(items) => items.iter().map(|item| extension(item, place)).collect(),
                    _ => None,
                };
                match found {
                    Some(found) => models.extensions = found,
                    None => models.unsupported(
                        place.clone(),
                        format!("the extensions of datasource {}: {}", datasource.name, value.shown()),
                    ),
                }
            }
        }
        let mode = datasource.key("relationMode").or_else(|| datasource.key("referentialIntegrity"));
        known.has_foreign_keys = match mode.map(|mode| (mode.text(), mode)) {
            None | Some((Some("foreignKeys"), _)) => Some(true),
            Some((Some("prisma"), _)) => Some(false),
            Some((_, mode)) => {
                let what = format!("the relationMode of datasource {}: {}", datasource.name, mode.shown());
                models.unsupported(datasource.place.clone(), what);
                None
            }
        };
        known.datasource = &datasource.name;
        // Before, a datasource has its address in the same file.
        known.is_six |= datasource.key("url").is_none();
        Some(known)
    }

    fn add(&mut self, block: &'a Block, models: &mut Models) {
        let name = block.name.as_str();
        let is_known = self.models.contains_key(name)
            || self.enums.contains_key(name)
            || self.views.contains(name)
            || self.composites.contains(name);
        match block.kind.as_str() {
            "datasource" | "generator" => {}
            _ if is_known => {
                models.unsupported(block.place.clone(), format!("a second {} {name}", block.kind));
            }
            "model" => {
                self.models.insert(name, block);
                self.in_order.push(block);
            }
            "enum" => {
                let values = read_enum(block, models);
                self.enums.insert(name, values);
            }
            "view" => {
                self.views.insert(name);
                models.unsupported(block.place.clone(), format!("view {name}"));
            }
            "type" => {
                self.composites.insert(name);
                models.unsupported(block.place.clone(), format!("type {name}"));
            }
            kind => models.unsupported(block.place.clone(), format!("{kind} {name}")),
        }
    }

    /// The names of models and views stand for relations.
    fn is_relation(&self, name: &str) -> bool {
        self.models.contains_key(name) || self.views.contains(name)
    }
}

/// `pgcrypto`, `uuidOssp(map: "uuid-ossp", schema: "extensions")`.
fn extension(value: &Value, place: &Place) -> Option<Extension> {
    let place = place.clone();
    match value {
        Value::Word(name) => Some(Extension { name: name.clone(), schema: None, place }),
        Value::Call(name, arguments) => {
            let text = |key: &str| {
                let found = arguments.iter().find(|argument| argument.name.as_deref() == Some(key))?;
                found.value.text().map(str::to_owned)
            };
            let name = text("map").unwrap_or_else(|| name.clone());
            Some(Extension { name, schema: text("schema"), place })
        }
        Value::Text(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => None,
    }
}

fn read_enum(block: &Block, models: &mut Models) -> Values {
    let mut values: Vec<(String, String)> = Vec::new();
    for value in &block.fields {
        let shown = format!("{}.{}", block.name, value.name);
        if !matches!(value.data_type, syntax::Type::None) {
            models.unsupported(value.place.clone(), format!("the value {shown}"));
            continue;
        }
        for attribute in value.attributes.iter().filter(|attribute| attribute.name != "map") {
            models.unsupported(attribute.place.clone(), format!("@{} of {shown}", attribute.name));
        }
        let name = mapped(value.attribute("map"), &value.name, &shown, models);
        if values.iter().any(|(_, known)| *known == name) {
            models.unsupported(value.place.clone(), format!("a second value {shown}"));
            continue;
        }
        values.push((value.name.clone(), name));
    }
    for attribute in &block.attributes {
        if !matches!(attribute.name.as_str(), "map" | "schema") {
            models.unsupported(attribute.place.clone(), format!("@@{} of {}", attribute.name, block.name));
        }
    }
    let name = mapped(block.attribute("map"), &block.name, &block.name, models);
    let schema = schema(block, models);
    let data_type = qualified(schema.as_deref(), &name);
    let found = values.iter().map(|(_, value)| value.clone()).collect();
    if models.enums.iter().any(|known| known.schema == schema && known.name == name) {
        models.unsupported(block.place.clone(), format!("a second type {data_type}: enum {}", block.name));
    }
    // Prisma takes the values in any order, and adds new ones at the end.
    models.add_enum(Enum { schema, name, values: found, unordered: true, place: block.place.clone() });
    Values { data_type, values }
}

/// The name that `@map` or `@@map` says.
fn mapped(attribute: Option<&Attribute>, own: &str, shown: &str, models: &mut Models) -> String {
    let Some(attribute) = attribute else { return own.to_owned() };
    match attribute.named_or_first("name").and_then(Value::text) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => {
            models.unsupported(attribute.place.clone(), format!("the name of {shown}"));
            own.to_owned()
        }
    }
}

/// The schema that `@@schema` says.
fn schema(block: &Block, models: &mut Models) -> Option<String> {
    let attribute = block.attribute("schema")?;
    let schema = attribute.named_or_first("map").and_then(Value::text).filter(|schema| !schema.is_empty());
    if schema.is_none() {
        models.unsupported(attribute.place.clone(), format!("the schema of {}", block.name));
    }
    schema.map(str::to_owned)
}

#[cfg(test)]
mod tests;
