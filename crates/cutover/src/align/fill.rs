//! What rows that are there get: columns that take values of their rows' own come first, with nothing over them, are filled, and only
//! then get what would refuse the rows that have none (NOT NULL, keys, checks). Pure.

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::{ObjectKind, WorkKind, effects_of_text, reads_rows};
use cutover_analysis::schema::{Id, Object, Place, Schema, Sql, Value};
use cutover_analysis::sql::quote_ident;

use super::decide::{self, Fill};

/// How rows are filled on the way from what is there to what is wanted.
pub(super) struct Filling {
    /// What is there, with the columns that are filled as they are to be, but that they take NULL and nothing new is over them.
    pub(super) early: Schema,
    /// What fills them.
    pub(super) updates: Vec<Sql>,
    /// What is wanted; new columns that take one value for all have it as their default.
    pub(super) middle: Schema,
    /// What is wanted, with its columns in the order in which they come.
    pub(super) to: Schema,
}

/// Finds it out.
pub(super) fn filling(from: &Schema, to: &Schema, fills: &[Fill]) -> Filling {
    let mut filling =
        Filling { early: from.clone(), updates: Vec::new(), middle: to.clone(), to: to.clone() };
    let mut updates = OfTables::new();
    for fill in fills {
        let Some(value) = fill.expression() else { continue };
        let named = |id: &&Id| id.kind == ObjectKind::Column && decide::column_name(id) == fill.column;
        let Some(column) = to.objects.keys().find(named) else { continue };
        let default = Id { kind: ObjectKind::Default, ..column.clone() };
        let before = from.get(column);
        if before.is_none() && is_one_for_all(column, to, &value) {
            // One value for all rows is kept beside the table: nothing is written anew.
            let mut object = Object::default();
            object.attributes.insert("expression".into(), Value::Text(value));
            object.needs.insert(column.clone());
            filling.middle.objects.insert(default, object);
            continue;
        }
        updates.entry(column.table_sql()).or_default().push((quote_ident(&column.name), value));
        filling.types_come_early(column);
        match before {
            None => filling.comes_early(column),
            Some(before) if before.text("type") != to.get(column).and_then(|object| object.text("type")) => {
                filling.changes_early(column, default, before.has("not null"));
            }
            Some(_) => {}
        }
    }
    filling.updates = heirs_first(updates, to);
    filling
}

/// What columns of a table get, by its name in statements: names and values.
type OfTables = BTreeMap<String, Vec<(String, String)>>;

/// An UPDATE of a table reaches the rows of its heirs: what was decided for those comes before it.
fn heirs_first(all: OfTables, to: &Schema) -> Vec<Sql> {
    let depth = |name: &str| {
        let is_it = |id: &&Id| id.kind == ObjectKind::Table && id.name_sql() == name;
        to.objects.keys().find(is_it).map_or(0, |table| depth_of(table, to))
    };
    let mut all: Vec<(String, Vec<(String, String)>)> = all.into_iter().collect();
    all.sort_by_key(|(name, _)| std::cmp::Reverse(depth(name)));
    all.into_iter().map(update).collect()
}

/// How many tables are above one from which it inherits; PostgreSQL has no circles of them.
fn depth_of(table: &Id, schema: &Schema) -> usize {
    let heir = schema.get(table).filter(|object| object.has("inherits"));
    let parents = heir.into_iter().flat_map(|object| &object.needs).filter(|id| id.kind == ObjectKind::Table);
    parents.map(|parent| depth_of(parent, schema) + 1).max().unwrap_or(0)
}

impl Filling {
    /// What a column is made of, with the values that an enum has besides those that are there.
    fn types_come_early(&mut self, column: &Id) {
        let mut waiting: Vec<Id> =
            self.to.get(column).into_iter().flat_map(|object| object.needs.iter().cloned()).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            let Some(needed) = self.to.get(&id).filter(|_| seen.insert(id.clone())) else { continue };
            let is_wider = |there: &Object| {
                there.has("values")
                    && there.list("values").iter().all(|value| needed.list("values").contains(value))
            };
            if self.early.get(&id).is_none_or(is_wider) {
                waiting.extend(needed.needs.iter().cloned());
                self.early.objects.insert(id, needed.clone());
            }
        }
    }

    /// The type of a column, with its default: what fills it is of that type.
    fn changes_early(&mut self, column: &Id, default: Id, was_not_null: bool) {
        let Some(mut object) = self.to.get(column).cloned() else { return };
        if !was_not_null {
            object.attributes.remove("not null");
        }
        self.early.objects.insert(column.clone(), object);
        match self.to.get(&default).cloned() {
            Some(wanted) => self.early.objects.insert(default, wanted),
            None => self.early.objects.remove(&default),
        };
    }

    /// A new column before everything else: without what rows that have no value would be refused for.
    fn comes_early(&mut self, column: &Id) {
        let Some(mut object) = self.to.get(column).cloned() else { return };
        object.attributes.remove("not null");
        self.early.objects.insert(column.clone(), object);
        let Some(table) = table_of(column) else { return };
        let before = columns(&mut self.early, &table);
        if let Some(before) = before.filter(|names| !names.iter().any(|name| *name == column.name)) {
            before.push(column.name.to_string());
        }
        let first = columns(&mut self.early, &table).cloned().unwrap_or_default();
        for schema in [&mut self.middle, &mut self.to] {
            if let Some(all) = columns(schema, &table) {
                let (mut front, behind): (Vec<String>, Vec<String>) =
                    std::mem::take(all).into_iter().partition(|name| first.contains(name));
                front.sort_by_key(|name| first.iter().position(|known| known == name));
                *all = front.into_iter().chain(behind).collect();
            }
        }
    }
}

fn columns<'a>(schema: &'a mut Schema, table: &Id) -> Option<&'a mut Vec<String>> {
    match schema.objects.get_mut(table)?.attributes.get_mut("columns")? {
        Value::List(columns) => Some(columns),
        _ => None,
    }
}

fn table_of(column: &Id) -> Option<Id> {
    Some(Id::new(ObjectKind::Table, column.schema.clone()?, column.table.clone()?))
}

/// One statement for a table: what is said of several columns together is true of each row at once.
fn update((table, values): (String, Vec<(String, String)>)) -> Sql {
    let is_one = values.len() == 1;
    let set = values.iter().map(|(name, value)| {
        if is_one {
            format!("{name} = {value}")
        } else {
            format!("{name} = CASE WHEN {name} IS NULL THEN {value} ELSE {name} END")
        }
    });
    let set: Vec<String> = set.collect();
    let without: Vec<String> = values.iter().map(|(name, _)| format!("{name} IS NULL")).collect();
    let text = format!("UPDATE {table} SET {} WHERE {}", set.join(", "), without.join(" OR "));
    Sql::plain(text).at(Place::Alone)
}

/// The statements with each table's rows filled once more where a check has begun to refuse new ones: what clients wrote between the
/// first time and then would make its validation fail.
pub(super) fn once_more(statements: Vec<Sql>, updates: &[Sql]) -> Vec<Sql> {
    let mut waiting: Vec<(String, &Sql)> = updates
        .iter()
        .filter_map(|sql| Some((sql.text.strip_prefix("UPDATE ")?.split_once(" SET ")?.0.to_owned(), sql)))
        .collect();
    let mut all = Vec::new();
    for statement in statements {
        let validated = statement
            .text
            .strip_prefix("ALTER TABLE ")
            .and_then(|rest| rest.split_once(" VALIDATE CONSTRAINT "))
            .map(|(table, _)| table.to_owned());
        if let Some(at) = validated.and_then(|table| waiting.iter().position(|(of, _)| *of == table)) {
            all.push(waiting.remove(at).1.clone());
        }
        all.push(statement);
    }
    all
}

/// Whether a new column with this default needs no row to be written anew.
fn is_one_for_all(column: &Id, to: &Schema, value: &str) -> bool {
    let data_type = to.get(column).and_then(|object| object.text("type")).unwrap_or_default();
    if reads_rows(value) {
        return false;
    }
    let name = quote_ident(&column.name);
    let text = format!("ALTER TABLE {} ADD COLUMN {name} {data_type} DEFAULT {value}", column.table_sql());
    effects_of_text(&text).is_ok_and(|effects| effects.work.iter().all(|work| work.kind != WorkKind::Rewrite))
}
