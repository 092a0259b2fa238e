//! Names of constraints and indexes that have none: PostgreSQL's, or those of `MetaData(naming_convention=…)`.

use std::collections::BTreeMap;

use crate::model::Table;
use crate::python::Expression;

/// How they are called, by kind: `ix`, `uq`, `ck`, `fk`, `pk`.
#[derive(Debug, Clone, Default)]
pub(super) struct Naming(BTreeMap<String, String>);

/// What a name is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    /// The schema of the table, where one is said.
    pub(super) schema: Option<&'a str>,
    pub(super) table: &'a str,
    pub(super) columns: &'a [String],
    /// The table that is referred to.
    pub(super) parent: &'a str,
    /// The name that is said.
    pub(super) own: Option<&'a str>,
}

/// What SQLAlchemy calls an index that has no name.
const INDEX: &str = "ix_%(column_0_label)s";

impl<'a> Parts<'a> {
    pub(super) fn of(table: &'a Table, columns: &'a [String], own: Option<&'a str>) -> Self {
        Self { schema: table.schema.as_deref(), table: &table.name, columns, parent: "", own }
    }
}

impl Naming {
    pub(super) fn of(convention: &Expression) -> Self {
        let Expression::Dictionary(pairs) = convention else { return Self::default() };
        let text = |(key, value): &(Expression, Expression)| {
            Some((key.text()?.to_owned(), value.text()?.to_owned()))
        };
        Self(pairs.iter().filter_map(text).collect())
    }

    /// The name of something of that kind; `None` where PostgreSQL gives it one.
    pub(super) fn name(&self, kind: &str, parts: Parts<'_>) -> Option<String> {
        let form = match (self.0.get(kind), kind) {
            (Some(form), _) => form.as_str(),
            (None, "ix") if parts.own.is_none() => INDEX,
            (None, _) => return parts.own.map(str::to_owned),
        };
        // A name that is said is a part of the convention's, or stands for itself.
        if parts.own.is_some() && !form.contains("%(constraint_name)s") {
            return parts.own.map(str::to_owned);
        }
        filled(form, parts)
    }
}

fn filled(form: &str, parts: Parts<'_>) -> Option<String> {
    let mut name = String::new();
    let mut rest = form;
    while let Some((before, behind)) = rest.split_once("%(") {
        let (token, after) = behind.split_once(")s")?;
        name += before;
        name += &value(token, parts)?;
        rest = after;
    }
    name += rest;
    Some(name)
}

fn value(token: &str, parts: Parts<'_>) -> Option<String> {
    let Parts { schema, table, columns, parent, own } = parts;
    let first = columns.first();
    let label = |column: &String| match schema {
        Some(schema) => format!("{}_{table}_{column}", schema.replace('.', "_")),
        None => format!("{table}_{column}"),
    };
    Some(match token {
        "table_name" => table.to_owned(),
        "referred_table_name" => parent.to_owned(),
        "constraint_name" => own?.to_owned(),
        "column_0_name" | "column_0_key" => first?.clone(),
        "column_0_label" => label(first?),
        "column_0N_name" => columns.concat(),
        "column_0_N_name" => columns.join("_"),
        "column_0N_label" => columns.iter().map(label).collect(),
        "column_0_N_label" => columns.iter().map(label).collect::<Vec<_>>().join("_"),
        _ => return None,
    })
}
