//! Models as SQL, statement by statement, each with the place in the model that it comes from.

use std::fmt::Write as _;

use super::{
    Aspect, Check, Column, Default, Enum, ForeignKey, Identity, Index, Models, Place, Table, Unique,
};
use crate::sql::{quote_ident, quote_literal, quote_qualified};

/// The statements that make what the models say, in an order in which they can be run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// The statements.
    pub parts: Vec<Part>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its text, without `;`.
    pub sql: String,
    /// What of the model it is.
    pub place: Place,
    /// What it makes.
    pub about: About,
}

/// What a statement makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A schema.
    Schema,
    /// One of the types with a list of values, by its place among them.
    Enum(usize),
    /// One of the tables with its columns and its primary key.
    Table(usize),
    /// A unique constraint: which table, and which of its unique constraints.
    Unique(usize, usize),
    /// A check of a table.
    Check(usize, usize),
    /// An index of a table.
    Index(usize, usize),
    /// A foreign key of a table.
    ForeignKey(usize, usize),
    /// A comment.
    Comment(usize),
    /// What it says itself: it is one of [`Models::statements`].
    Said,
}

impl Script {
    /// All of it, to be read by people.
    pub fn text(&self) -> String {
        self.parts.iter().fold(String::new(), |mut text, part| {
            let _ = writeln!(text, "{};", part.sql);
            text
        })
    }
}

/// A type that stands where the model's own is not understood: it is not compared.
const UNKNOWN_TYPE: &str = "text";

/// The statements of models.
pub fn ddl(models: &Models) -> Script {
    let mut parts = Vec::new();
    let mut add = |sql: String, place: &Place, about: About| {
        parts.push(Part { sql, place: place.clone(), about });
    };
    let nowhere = Place::default();
    for schema in schemas(models) {
        add(format!("CREATE SCHEMA IF NOT EXISTS {}", quote_ident(schema)), &nowhere, About::Schema);
    }
    for (at, made) in models.enums.iter().enumerate() {
        add(create_enum(made), &made.place, About::Enum(at));
    }
    for (at, table) in models.tables.iter().enumerate() {
        add(create_table(table), &table.place, About::Table(at));
    }
    for (at, table) in models.tables.iter().enumerate() {
        let name = name_of(table);
        for (which, unique) in table.uniques.iter().enumerate() {
            // PostgreSQL makes one of a primary key and a constraint over the same columns, where CREATE TABLE has both
            // (`transformIndexConstraints`), as every framework writes it.
            if unique.columns == table.primary_key {
                continue;
            }
            let text = constraint(unique.name.as_ref(), &of_unique(unique));
            add(format!("ALTER TABLE {name} ADD {text}"), &unique.place, About::Unique(at, which));
        }
        for (which, Check { name: own, expression, place }) in table.checks.iter().enumerate() {
            let text = constraint(own.as_ref(), &format!("CHECK ({expression})"));
            add(format!("ALTER TABLE {name} ADD {text}"), place, About::Check(at, which));
        }
        for (which, index) in table.indexes.iter().enumerate() {
            add(create_index(table, index), &index.place, About::Index(at, which));
        }
        if let Some(comment) = &table.comment {
            let text = format!("COMMENT ON TABLE {name} IS {}", quote_literal(comment));
            add(text, &table.place, About::Comment(at));
        }
        for column in &table.columns {
            if let Some(comment) = &column.comment {
                let own = quote_ident(&column.name);
                let text = format!("COMMENT ON COLUMN {name}.{own} IS {}", quote_literal(comment));
                add(text, &column.place, About::Comment(at));
            }
        }
    }
    for (at, table) in models.tables.iter().enumerate() {
        for (which, key) in table.foreign_keys.iter().enumerate() {
            let text = constraint(key.name.as_ref(), &of_foreign_key(key));
            let sql = format!("ALTER TABLE {} ADD {text}", name_of(table));
            add(sql, &key.place, About::ForeignKey(at, which));
        }
    }
    Script { parts }
}

/// A part of a table, where it cannot be made in one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Which of the columns; none where it is the primary key.
    pub column: Option<usize>,
    /// Ways to make it, each with what it leaves open; the first that the server takes is meant.
    pub ways: Vec<(String, Vec<Aspect>)>,
}

/// A table as statements of which each makes a part: the empty table, then its columns, those that are computed from others behind
/// them, and the primary key.
pub fn pieces(table: &Table) -> (String, Vec<Piece>) {
    let name = name_of(table);
    let mut columns: Vec<(usize, &Column)> = table.columns.iter().enumerate().collect();
    columns.sort_by_key(|(_, column)| column.generated.is_some());
    let ways = |whole: &Column| {
        let plain = Column { default: Default::None, generated: None, ..whole.clone() };
        let untyped = Column { data_type: String::new(), identity: None, collation: None, ..plain.clone() };
        let add = |one: &Column| format!("ALTER TABLE {name} ADD COLUMN {}", column(one));
        let mut ways = vec![(add(whole), Vec::new())];
        if plain != *whole {
            ways.push((add(&plain), vec![Aspect::Default]));
        }
        ways.push((add(&untyped), vec![Aspect::Type, Aspect::Default, Aspect::Identity, Aspect::Collation]));
        ways
    };
    let mut pieces: Vec<Piece> =
        columns.into_iter().map(|(at, column)| Piece { column: Some(at), ways: ways(column) }).collect();
    if !table.primary_key.is_empty() {
        let text = format!("ALTER TABLE {name} ADD {}", primary_key(table));
        pieces.push(Piece { column: None, ways: vec![(text, Vec::new())] });
    }
    (format!("CREATE TABLE {name} ()"), pieces)
}

/// The schemas that something is in.
fn schemas(models: &Models) -> Vec<&str> {
    let tables = models.tables.iter().filter_map(|table| table.schema.as_deref());
    let enums = models.enums.iter().filter_map(|made| made.schema.as_deref());
    let mut schemas: Vec<&str> = tables.chain(enums).collect();
    schemas.sort_unstable();
    schemas.dedup();
    schemas
}

fn name_of(table: &Table) -> String {
    qualified(table.schema.as_deref(), &table.name)
}

fn create_enum(made: &Enum) -> String {
    let values: Vec<_> = made.values.iter().map(|value| quote_literal(value)).collect();
    format!("CREATE TYPE {} AS ENUM ({})", qualified(made.schema.as_deref(), &made.name), values.join(", "))
}

fn create_table(table: &Table) -> String {
    let mut lines: Vec<String> = table.columns.iter().map(column).collect();
    if !table.primary_key.is_empty() {
        lines.push(primary_key(table));
    }
    let lines: Vec<String> = lines.into_iter().map(|line| format!("    {line}")).collect();
    format!("CREATE TABLE {} (\n{}\n)", name_of(table), lines.join(",\n"))
}

fn primary_key(table: &Table) -> String {
    let key = format!("PRIMARY KEY ({})", list(&table.primary_key));
    constraint(table.primary_key_name.as_ref(), &key)
}

fn column(column: &Column) -> String {
    let data_type = match (column.identity, column.data_type.as_str()) {
        (_, "") => UNKNOWN_TYPE,
        (Some(Identity::Serial), "smallint") => "smallserial",
        (Some(Identity::Serial), "integer") => "serial",
        (Some(Identity::Serial), "bigint") => "bigserial",
        (_, data_type) => data_type,
    };
    let mut text = format!("{} {data_type}", quote_ident(&column.name));
    if let Some(collation) = &column.collation {
        let _ = write!(text, " COLLATE {}", quote_ident(collation));
    }
    if column.not_null {
        text += " NOT NULL";
    }
    if let Default::Sql(default) = &column.default {
        let _ = write!(text, " DEFAULT {default}");
    }
    match column.identity {
        Some(Identity::ByDefault) => text += " GENERATED BY DEFAULT AS IDENTITY",
        Some(Identity::Always) => text += " GENERATED ALWAYS AS IDENTITY",
        Some(Identity::Serial) | None => {}
    }
    if !column.counting.is_empty() && matches!(column.identity, Some(Identity::ByDefault | Identity::Always))
    {
        let _ = write!(text, " ({})", column.counting);
    }
    if let Some((expression, is_stored)) = &column.generated {
        let how = if *is_stored { "STORED" } else { "VIRTUAL" };
        let _ = write!(text, " GENERATED ALWAYS AS ({expression}) {how}");
    }
    text
}

fn constraint(name: Option<&String>, text: &str) -> String {
    match name {
        Some(name) => format!("CONSTRAINT {} {text}", quote_ident(name)),
        None => text.to_owned(),
    }
}

fn of_unique(unique: &Unique) -> String {
    let nulls = if unique.nulls_not_distinct { "NULLS NOT DISTINCT " } else { "" };
    format!("UNIQUE {nulls}({}){}", list(&unique.columns), deferred(unique.deferrable, unique.deferred))
}

fn of_foreign_key(key: &ForeignKey) -> String {
    let parent = qualified(key.parent_schema.as_deref(), &key.parent);
    let mut text = format!("FOREIGN KEY ({}) REFERENCES {parent}", list(&key.columns));
    if !key.parent_columns.is_empty() {
        let _ = write!(text, " ({})", list(&key.parent_columns));
    }
    if key.is_full {
        text += " MATCH FULL";
    }
    for (when, what) in [("DELETE", &key.on_delete), ("UPDATE", &key.on_update)] {
        if let Some(what) = what {
            let _ = write!(text, " ON {when} {what}");
        }
    }
    text + deferred(key.deferrable, key.deferred)
}

fn deferred(may_be: bool, is_so: bool) -> &'static str {
    match (may_be, is_so) {
        (_, true) => " DEFERRABLE INITIALLY DEFERRED",
        (true, false) => " DEFERRABLE",
        (false, false) => "",
    }
}

fn create_index(table: &Table, index: &Index) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let name = index.name.as_ref().map(|name| quote_ident(name) + " ").unwrap_or_default();
    let method =
        index.method.as_ref().map(|method| format!(" USING {}", quote_ident(method))).unwrap_or_default();
    let mut text =
        format!("CREATE {unique}INDEX {name}ON {}{method} ({})", name_of(table), index.keys.join(", "));
    if !index.include.is_empty() {
        let _ = write!(text, " INCLUDE ({})", list(&index.include));
    }
    if index.nulls_not_distinct {
        text += " NULLS NOT DISTINCT";
    }
    if let Some(condition) = &index.condition {
        let _ = write!(text, " WHERE {condition}");
    }
    text
}

/// Names in quotes where they need them, separated by commas.
pub fn list(names: &[String]) -> String {
    names.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

/// A name with its schema, where one is said.
pub fn qualified(schema: Option<&str>, name: &str) -> String {
    match schema {
        Some(schema) => quote_qualified(schema, name),
        None => quote_ident(name),
    }
}
