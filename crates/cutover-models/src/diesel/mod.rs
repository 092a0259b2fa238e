//! Diesel: `table!` blocks of `schema.rs`. They state names, base types, what takes NULL and the primary key, and `joinable!` names
//! foreign keys. All else is left open. Foreign keys are, too: `diesel print-schema` has no `joinable!` for those of more than one
//! column, those of a table to itself and two to the same table, so that one that is not named may well be there; and people write it
//! for columns that have none.

mod tokens;
mod types;

use proc_macro2::{Span, TokenStream};
use syn::parse::Parser;

use crate::model::{Aspect, Column, ForeignKey, Models, Place, Table};
use crate::source::{File, Settings, Source};
use tokens::{Custom, Join, RawColumn, RawTable};
use types::Resolved;

pub(crate) static SOURCE: Source =
    Source { name: "diesel", about: "Diesel: `table!` blocks of `schema.rs`", extension: "rs", is_so, read };

/// What `table!` has no words for.
const UNSTATED: [Aspect; 11] = [
    Aspect::Default,
    Aspect::Identity,
    Aspect::Comment,
    Aspect::Collation,
    Aspect::Unique,
    Aspect::ForeignKey,
    Aspect::OnDelete,
    Aspect::OnUpdate,
    Aspect::Deferrable,
    Aspect::Check,
    Aspect::Index,
];

fn is_so(text: &str) -> bool {
    let of_macro = |name: &'static str| text.match_indices(name);
    of_macro("table!").chain(of_macro("diesel::view!")).any(|(at, found)| {
        let before = text.get(..at).unwrap_or_default().trim_end_matches("diesel::");
        let after = text.get(at + found.len()..).unwrap_or_default();
        let opens = |after: &str| after.trim_start().starts_with(['{', '(']);
        !before.ends_with(|one: char| one.is_alphanumeric() || one == '_' || one == ':')
            && opens(after)
            && after.contains("->")
    })
}

fn read(files: &[File], _settings: &Settings) -> Models {
    let mut models = Models::default();
    let mut found = tokens::Found::default();
    for file in files {
        match file.text.parse::<TokenStream>() {
            Ok(stream) => tokens::walk(&file.path, stream, &mut found, &mut models),
            Err(error) => {
                let place = place(&file.path, error.span());
                models.unread(place, format!("the file is no Rust: {error}"));
            }
        }
    }
    let made: Vec<Made<'_>> =
        found.tables.iter().filter_map(|raw| table(raw, &found.customs, &mut models)).collect();
    for join in &found.joins {
        foreign_key(join, &made, &mut models);
    }
    for (name, place, given) in &found.calls {
        if found.makers.contains(name) {
            models.unsupported(place.clone(), format!("{name}!, which makes tables: {given}"));
        }
    }
    models.unsupported.sort_by(|one, other| one.place.cmp(&other.place));
    models
}

fn place(path: &str, span: Span) -> Place {
    Place::new(path, u32::try_from(span.start().line).unwrap_or(u32::MAX).max(1))
}

/// A block that a table is made of, and which of the tables that is.
struct Made<'a> {
    raw: &'a RawTable,
    table: usize,
}

fn table<'a>(raw: &'a RawTable, customs: &[Custom], models: &mut Models) -> Option<Made<'a>> {
    let (schema, name) = (raw.schema.clone(), raw.sql_name.clone());
    if models.tables.iter().any(|table| table.schema == schema && table.name == name) {
        models.unsupported(raw.place.clone(), format!("a second table {name}"));
        return None;
    }
    let mut table =
        Table { schema, name, label: raw.name.clone(), place: raw.place.clone(), ..Table::default() };
    table.unstated.extend(UNSTATED);
    for column in &raw.columns {
        if table.columns.iter().any(|known| known.name == column.sql_name) {
            let what = format!("a second column {}.{}", raw.name, column.name);
            models.unsupported(column.place.clone(), what);
            continue;
        }
        table.columns.push(read_column(raw, column, customs, models));
    }
    let keys: Option<Vec<String>> = raw
        .primary_key
        .iter()
        .map(|key| {
            raw.columns.iter().find(|column| column.name == *key).map(|column| column.sql_name.clone())
        })
        .collect();
    if let Some(keys) = keys {
        table.primary_key = keys;
    } else {
        let what = format!("the primary key of {}: {}", raw.name, raw.primary_key.join(", "));
        models.unsupported(raw.place.clone(), what);
        table.unstated.insert(Aspect::PrimaryKey);
    }
    for column in &table.columns {
        if table.primary_key.contains(&column.name) && !column.not_null {
            models.unsupported(
                column.place.clone(),
                format!("a key that takes NULL: {}.{}", raw.name, column.label),
            );
        }
    }
    models.tables.push(table);
    Some(Made { raw, table: models.tables.len() - 1 })
}

fn read_column(raw: &RawTable, column: &RawColumn, customs: &[Custom], models: &mut Models) -> Column {
    let mut made = Column {
        name: column.sql_name.clone(),
        label: column.name.clone(),
        place: column.place.clone(),
        ..Column::default()
    };
    let data_type = column.data_type.as_ref();
    if let Some(resolved) = data_type.ok().and_then(|one| types::resolve(one, raw, customs, models)) {
        let Resolved { data_type, nullable, is_array } = resolved;
        made.not_null = !nullable;
        let modifier = column.max_length.map(|length| format!("({length})")).unwrap_or_default();
        made.data_type = format!("{data_type}{modifier}{}", if is_array { "[]" } else { "" });
    } else {
        let shown = data_type.map_or_else(Clone::clone, tokens::RawType::shown);
        let what = format!("the type of {}.{}: {shown}", raw.name, column.name);
        models.unsupported(column.place.clone(), what);
        made.unstated.insert(Aspect::Type);
        if let Ok(data_type) = data_type {
            made.not_null = data_type.name != "Nullable";
        } else {
            made.unstated.insert(Aspect::Nullable);
        }
    }
    if column.max_length.is_none() {
        made.unstated.insert(Aspect::Modifier);
    }
    made
}

fn foreign_key(join: &Join, made: &[Made<'_>], models: &mut Models) {
    let of = |name: &str| {
        let named = || made.iter().filter(|made| made.raw.name == name);
        named().find(|made| made.raw.module == join.module).or_else(|| named().next())
    };
    let found = of(&join.child).zip(of(&join.parent)).and_then(|(child, parent)| {
        let column = child.raw.columns.iter().find(|column| column.name == join.column)?;
        let parent = models.tables.get(parent.table)?;
        let [key] = parent.primary_key.as_slice() else { return None };
        let referred = parent.columns.iter().find(|column| column.name == *key)?;
        let own = models.tables.get(child.table)?.columns.iter().find(|own| own.name == column.sql_name)?;
        // What is compared with what is not known of one side only cannot be built.
        if own.data_type.is_empty() != referred.data_type.is_empty() {
            return None;
        }
        let key = ForeignKey {
            columns: vec![own.name.clone()],
            parent_schema: parent.schema.clone(),
            parent: parent.name.clone(),
            parent_columns: vec![key.clone()],
            place: join.place.clone(),
            ..ForeignKey::default()
        };
        Some((child.table, key))
    });
    if let Some((table, key)) =
        found.and_then(|(table, key)| models.tables.get_mut(table).map(|table| (table, key)))
    {
        table.foreign_keys.push(key);
    } else {
        let what = format!("joinable!({} -> {} ({}))", join.child, join.parent, join.column);
        models.unsupported(join.place.clone(), what);
    }
}

/// Reads what a macro is called with.
fn parsed<T>(
    parser: impl FnOnce(syn::parse::ParseStream<'_>) -> syn::Result<T>,
    stream: TokenStream,
) -> syn::Result<T> {
    Parser::parse2(parser, stream)
}

#[cfg(test)]
mod tests;
