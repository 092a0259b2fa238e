//! Everything that the schemas of a database are made of, as a value, and how another database departs from it, in words.
//! Both are read by name, so that the two may be on different servers. Owners, privileges, comments and rows are no part of
//! it, nor are objects that no claim can name (operators, casts, foreign servers, event triggers …).

use std::collections::{BTreeMap, BTreeSet};

use cutover_analysis::effects::ObjectKind;
use cutover_postgres::session::Session;

use super::diff::{Aspect, Difference, Side, Sides, differences};
use super::model::{QualifiedName, Table};
use super::objects::{IS, Known, NEXT, Object, Objects, objects};
use super::{CatalogError, tables};

/// The tables of some schemas with their parts, and every other object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    tables: BTreeMap<QualifiedName, Table>,
    objects: Objects,
}

/// One thing in which a database is not of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The object it is about, as closely as it has a name.
    pub object: Object,
    /// What is otherwise, in words, both sides named; `None` where the object is not there.
    pub otherwise: Option<String>,
}

/// Reads the objects of the schemas; with no schema named, of all but the system's and cutover's own. Members of extensions
/// are left out. The session must not be inside a transaction.
///
/// # Errors
/// As the server says.
pub async fn shape(session: &mut Session, schemas: &[String]) -> Result<Shape, CatalogError> {
    // Constants in definitions are printed by these, which a database or role may have set.
    session.execute("SET DateStyle = 'ISO, MDY'; SET IntervalStyle = 'postgres'").await?;
    let objects = objects(session, schemas).await?;
    let named: Vec<String> = if schemas.is_empty() { schemas_of(&objects) } else { schemas.to_vec() };
    let tables = tables(session, &named).await?;
    Ok(Shape { tables: tables.into_iter().map(|table| (table.name.clone(), table)).collect(), objects })
}

/// The schemas that are among the objects.
fn schemas_of(objects: &Objects) -> Vec<String> {
    let schemas = objects.0.keys().filter(|object| object.kind == ObjectKind::Schema);
    schemas.map(|schema| schema.name.clone()).collect()
}

impl Shape {
    /// The schemas that are part of it.
    pub fn schemas(&self) -> Vec<String> {
        schemas_of(&self.objects)
    }

    /// In what `other` is not of this shape: what it lacks, what it has otherwise, and what tables, views and the like of
    /// this shape have there besides. What it has besides as a whole is no departure: see [`Shape::besides`].
    pub fn departures(&self, other: &Self, sides: Sides<'_>) -> Vec<Departure> {
        let mut found = Vec::new();
        for (object, known) in &self.objects.0 {
            if self.stands_alone(object, known) {
                found.extend(Self::departure(object, known, other, sides));
            }
            let table =
                name_of(object).and_then(|name| Some((self.tables.get(&name)?, other.tables.get(&name)?)));
            if let Some((here, there)) = table {
                found.extend(
                    differences(here, there, sides)
                        .into_iter()
                        .filter_map(|difference| of_table(object, difference)),
                );
            }
        }
        found.extend(self.parts_besides(other, sides));
        found
    }

    /// In what one object is another one there, or that it is not there; nothing where what it belongs to is not there.
    fn departure(object: &Object, known: &Known, other: &Self, sides: Sides<'_>) -> Option<Departure> {
        let Some(there) = other.objects.0.get(object) else {
            let absent = Departure { object: object.clone(), otherwise: None };
            return other.has_whole_of(object).then_some(absent);
        };
        let words =
            first_difference(&known.definition, &there.definition, sides).filter(|_| is_defined(object))?;
        Some(Departure { object: object.clone(), otherwise: Some(format!("{object}: {words}")) })
    }

    /// What `other` has in the schemas of this shape and this shape has not, as a whole.
    pub fn besides(&self, other: &Self) -> Vec<Object> {
        let schemas: BTreeSet<String> = self.schemas().into_iter().collect();
        let is_whole = |object: &Object, known: &Known| {
            let within = object.schema.as_ref().is_some_and(|schema| schemas.contains(schema));
            within && object.table.is_none() && !known.implied
        };
        let whole = other.objects.0.iter().filter(|(object, known)| is_whole(object, known));
        whole
            .map(|(object, _)| object)
            .filter(|object| !self.objects.0.contains_key(object))
            .cloned()
            .collect()
    }

    /// What is told of by itself, tables with their parts; schemas go without saying, and what every new database has.
    pub fn whole(&self) -> impl Iterator<Item = &Object> {
        let all = self.objects.0.iter().filter(|(object, known)| self.stands_alone(object, known));
        all.map(|(object, _)| object).filter(|object| match object.kind {
            ObjectKind::Schema => false,
            ObjectKind::Extension => object.name != "plpgsql",
            _ => true,
        })
    }

    /// Whether it is not told of with something else: parts of tables are, and what comes along with another object. The
    /// sequence of a column is not: statements may name it.
    fn stands_alone(&self, object: &Object, known: &Known) -> bool {
        let part = object.kind != ObjectKind::Sequence && self.is_of_table(object);
        !part && (!known.implied || object.kind == ObjectKind::Sequence)
    }

    fn is_of_table(&self, object: &Object) -> bool {
        whole_of(object).is_some_and(|table| self.tables.contains_key(&table))
    }

    /// Whether what it belongs to is there, if it belongs to anything.
    fn has_whole_of(&self, object: &Object) -> bool {
        let Some(whole) = whole_of(object) else { return true };
        self.objects.0.keys().any(|known| name_of(known).as_ref() == Some(&whole))
    }

    /// Rules, and what views and materialized views have, that are there alone.
    fn parts_besides(&self, other: &Self, Sides(here, there): Sides<'_>) -> Vec<Departure> {
        let is_part = |object: &&Object| {
            whole_of(object).is_some() && object.kind != ObjectKind::Column && self.has_whole_of(object)
        };
        let parts = other.objects.0.iter().filter(|(_, known)| !known.implied).map(|(object, _)| object);
        let besides = parts
            .filter(is_part)
            .filter(|object| !other.is_of_table(object) && !self.objects.0.contains_key(object));
        besides
            .map(|object| Departure {
                object: object.clone(),
                otherwise: Some(format!("{object} is in {there}, not in {here}")),
            })
            .collect()
    }
}

/// What it belongs to.
fn whole_of(object: &Object) -> Option<QualifiedName> {
    Some(QualifiedName { schema: object.schema.clone()?, name: object.table.clone()? })
}

/// The name of what can have parts.
fn name_of(object: &Object) -> Option<QualifiedName> {
    let can_have_parts = matches!(
        object.kind,
        ObjectKind::Table | ObjectKind::ForeignTable | ObjectKind::View | ObjectKind::MaterializedView
    );
    let schema = object.schema.clone().filter(|_| can_have_parts)?;
    Some(QualifiedName { schema, name: object.name.clone() })
}

/// Whether its definition is compared. Tables are compared part by part; which version of an extension is there is for the
/// installation to say.
fn is_defined(object: &Object) -> bool {
    !matches!(object.kind, ObjectKind::Table | ObjectKind::ForeignTable | ObjectKind::Extension)
}

/// A difference within a table, as one about the part.
fn of_table(table: &Object, difference: Difference) -> Option<Departure> {
    let Difference { aspect, side, text } = difference;
    let (kind, name) = match aspect {
        Aspect::Comment => return None,
        Aspect::Table | Aspect::ColumnOrder => {
            return Some(Departure { object: table.clone(), otherwise: Some(format!("{table}: {text}")) });
        }
        Aspect::Column(name) => (ObjectKind::Column, name),
        Aspect::Constraint(name) => (ObjectKind::Constraint, name),
        Aspect::Index(name) => (ObjectKind::Index, name),
        Aspect::Trigger(name) => (ObjectKind::Trigger, name),
        Aspect::Policy(name) => (ObjectKind::Policy, name),
    };
    let object =
        Object { kind, schema: table.schema.clone(), table: Some(table.name.clone()), name, arguments: None };
    let otherwise = (side != Side::First).then(|| format!("{table}: {text}"));
    Some(Departure { object, otherwise })
}

/// The first part in which two definitions are not the same; of one that has several lines, the first line.
fn first_difference(first: &str, second: &str, Sides(here, there): Sides<'_>) -> Option<String> {
    if first == second {
        return None;
    }
    let (first, second) = (parts(first), parts(second));
    let part = |list: &[(String, String)], name: &str| -> Option<String> {
        list.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone())
    };
    let names = first.iter().chain(&second).map(|(name, _)| name.as_str());
    let (name, one, other) = names
        .map(|name| (name, part(&first, name), part(&second, name)))
        .find(|(_, one, other)| one != other)?;
    let several = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\n'));
    let what = if name.is_empty() { String::new() } else { format!("{name}: ") };
    let (line, one, other) = if several(&one) || several(&other) {
        let lines = |text: Option<String>| -> Vec<String> {
            text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
        };
        let (one, other) = (lines(one), lines(other));
        let at = (0..one.len().max(other.len())).find(|at| one.get(*at) != other.get(*at))?;
        (format!("line {}: ", at + 1), one.get(at).cloned(), other.get(at).cloned())
    } else {
        (String::new(), one, other)
    };
    let shown =
        |part: Option<String>| part.map_or_else(|| "nothing".to_owned(), |part| format!("`{}`", part.trim()));
    Some(format!("{what}{line}{} in {here}, {} in {there}", shown(one), shown(other)))
}

/// The parts of a definition by their names; those without one as one text.
fn parts(definition: &str) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for part in definition.split(NEXT) {
        let (name, text) = part.split_once(IS).unwrap_or(("", part));
        match parts.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => {
                known.push(' ');
                known.push_str(text);
            }
            None => parts.push((name.to_owned(), text.to_owned())),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_or_line_that_differs_is_shown() {
        let differs = |first: &str, second: &str| {
            let text = |text: &str| text.replace('|', "\u{1f}").replace('=', "\u{1e}");
            first_difference(&text(first), &text(second), Sides("the files", "the database"))
        };
        assert_eq!(differs("a\nb", "a\nb"), None);
        assert_eq!(
            differs("a\n b\nc", "a\n d\nc").as_deref(),
            Some("line 2: `b` in the files, `d` in the database")
        );
        assert_eq!(
            differs("a\nb", "a").as_deref(),
            Some("line 2: `b` in the files, nothing in the database")
        );
        assert_eq!(
            differs("a=p|b=f", "a=p|b=t").as_deref(),
            Some("b: `f` in the files, `t` in the database")
        );
        // What one side has alone shifts nothing.
        assert_eq!(
            differs("x\ny", "options=on|x\ny").as_deref(),
            Some("options: nothing in the files, `on` in the database")
        );
    }
}
