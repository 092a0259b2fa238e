//! The tables that are said in statements: what they are is read from the catalogue that the statements made; where each thing is said
//! is found in their text. Pure.

use std::collections::BTreeMap;

use cutover_analysis::effects::{ObjectKind, ObjectRef, effects_of_text};
use cutover_analysis::models::{Check, Column, Enum, Index, Models, Part, Place, Table, Unsupported};
use cutover_analysis::schema::{Id, Object, Schema};

/// Kinds that are part of what is compared, or come with it.
const COMPARED: [ObjectKind; 8] = [
    ObjectKind::Table,
    ObjectKind::Column,
    ObjectKind::Default,
    ObjectKind::Constraint,
    ObjectKind::Index,
    ObjectKind::Partition,
    ObjectKind::Schema,
    ObjectKind::Extension,
];

/// Adds the tables and types that the statements of the models made.
pub(super) fn add(models: &mut Models, made: &Schema) {
    if models.statements.is_empty() {
        return;
    }
    let statements = models.statements.clone();
    let texts = Texts::of(&statements);
    // What a block makes is said in no text.
    let first =
        statements.first().map(|first| Place::new(&first.place.path, first.place.line)).unwrap_or_default();
    for (id, object) in &made.objects {
        let is_known = models.tables.iter().any(|table| is_of(table, id));
        match id.kind {
            ObjectKind::Table if !is_known => {
                let place = texts.made(id).unwrap_or_else(|| first.clone());
                models.tables.push(table(id, object, made, (&place, &texts)));
            }
            ObjectKind::Type if object.has("values") => {
                models.add_enum(Enum {
                    schema: id.schema.as_ref().map(ToString::to_string),
                    name: id.name.to_string(),
                    values: object.list("values").to_vec(),
                    place: texts.made(id).unwrap_or_else(|| first.clone()),
                    ..Enum::default()
                });
            }
            _ => {}
        }
    }
    models.tables.sort_by(|one, other| one.place.cmp(&other.place));
    others(models, made);
}

/// Whether a table is the one of that name and schema.
fn is_of(table: &Table, id: &Id) -> bool {
    table.name == id.name
        && table.schema.as_deref().unwrap_or("public") == id.schema.as_deref().unwrap_or("public")
}

/// What the statements say besides: `diff` compares all of it.
fn others(models: &mut Models, made: &Schema) {
    let Some(place) = models.statements.first().map(|first| Place::new(&first.place.path, 1)) else { return };
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (id, object) in &made.objects {
        let is_own_sequence = id.kind == ObjectKind::Sequence && object.has("owned by");
        let is_enum = id.kind == ObjectKind::Type && object.has("values");
        if !COMPARED.contains(&id.kind) && !is_own_sequence && !is_enum {
            *counts.entry(id.kind.word()).or_default() += 1;
        }
    }
    for (word, count) in counts {
        let what = format!("{count} of kind {word}: `cutover diff` compares those");
        models.unsupported.push(Unsupported { place: place.clone(), what });
    }
}

fn table(id: &Id, object: &Object, made: &Schema, (place, texts): (&Place, &Texts<'_>)) -> Table {
    let mut table = Table {
        schema: id.schema.as_ref().map(ToString::to_string).filter(|schema| schema != "public"),
        name: id.name.to_string(),
        label: id.to_string(),
        place: place.clone(),
        comment: object.text("comment").map(str::to_owned),
        is_exact: true,
        ..Table::default()
    };
    for name in object.list("columns") {
        let column = Id {
            kind: ObjectKind::Column,
            table: Some(id.name.clone()),
            name: name.as_str().into(),
            ..id.clone()
        };
        let comment = made.get(&column).and_then(|object| object.text("comment")).map(str::to_owned);
        table.columns.push(Column {
            name: name.clone(),
            label: format!("{}.{name}", id.name),
            place: texts.line_of(name, id).unwrap_or_else(|| place.clone()),
            // It is said to be none, where it is none.
            collation: Some(String::new()),
            comment,
            ..Column::default()
        });
    }
    for (part, _) in made.parts_of(id) {
        let Some(place) = texts.line_of(&part.name, id) else { continue };
        let name = Some(part.name.to_string());
        match part.kind {
            ObjectKind::Index => table.indexes.push(Index { name, place, ..Index::default() }),
            ObjectKind::Constraint => table.checks.push(Check { name, place, ..Check::default() }),
            _ => {}
        }
    }
    table
}

/// Statements with what each makes and changes.
struct Texts<'a> {
    all: Vec<(&'a Part, Vec<ObjectRef>)>,
}

impl<'a> Texts<'a> {
    fn of(statements: &'a [Part]) -> Self {
        let about = |part: &'a Part| {
            let effects = effects_of_text(&part.sql).unwrap_or_default();
            (part, effects.creates.into_iter().chain(effects.alters).collect())
        };
        Self { all: statements.iter().map(about).collect() }
    }

    /// Where something is made.
    fn made(&self, id: &Id) -> Option<Place> {
        let is_it =
            |object: &ObjectRef| object.kind == id.kind && object.name == id.name && is_in(object, id);
        self.all.iter().find(|(_, about)| about.iter().any(is_it)).map(|(part, _)| part.place.clone())
    }

    /// The line on which something of a table is named first, among the statements that make or change the table.
    fn line_of(&self, name: &str, table: &Id) -> Option<Place> {
        let is_of = |object: &ObjectRef| {
            let own = object.table.as_ref().unwrap_or(&object.name);
            *own == table.name && is_in(object, table)
        };
        let of_table = self.all.iter().filter(|(_, about)| about.iter().any(is_of));
        of_table.into_iter().find_map(|(part, _)| {
            let at = line_within(&part.sql, name)?;
            Some(Place::new(&part.place.path, part.place.line.saturating_add(at)))
        })
    }
}

fn is_in(object: &ObjectRef, id: &Id) -> bool {
    object.schema.is_none() || object.schema == id.schema
}

/// The line of a text, from 0, on which a name stands as a word: after the first parenthesis, where there is one.
fn line_within(text: &str, name: &str) -> Option<u32> {
    let from = text.find('(').unwrap_or(0);
    let place = |from: usize| {
        let behind = text.get(from..)?;
        let is_word = |at: usize| {
            let before = behind.get(..at).and_then(|before| before.chars().next_back());
            let after = behind.get(at + name.len()..).and_then(|after| after.chars().next());
            let is_apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            is_apart(before) && is_apart(after)
        };
        let lower = behind.to_ascii_lowercase();
        let found =
            lower.match_indices(&name.to_ascii_lowercase()).map(|(at, _)| at).find(|at| is_word(*at))?;
        let lines = text.get(..from + found)?.matches('\n').count();
        u32::try_from(lines).ok()
    };
    place(from).or_else(|| place(0))
}

#[cfg(test)]
mod tests {
    use super::line_within;

    #[test]
    fn a_name_is_found_on_its_line() {
        let text = "CREATE TABLE ids (\n  id int,\n  \"Mail\" text,\n  CONSTRAINT mail_is CHECK (true)\n)";
        for (name, line) in
            [("id", Some(1)), ("Mail", Some(2)), ("mail_is", Some(3)), ("ids", Some(0)), ("x", None)]
        {
            assert_eq!(line_within(text, name), line, "{name}");
        }
    }
}
