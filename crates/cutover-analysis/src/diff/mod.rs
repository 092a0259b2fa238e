//! What lies between two schemas: in words, as values, and as the statements that make one into the other.
//!
//! Both are read from catalogues, so that texts are PostgreSQL's own on both sides. Nothing is guessed: an object of another
//! name is another object, unless the caller has renamed it before. What cannot be done by a statement is said.

mod actions;
mod bodies;
mod connect;
mod gaps;
mod heirs;
mod meanwhile;
mod names;
mod order;
mod privileges;
mod steps;
mod versions;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::effects::ObjectKind;
use crate::schema::kinds::column;
use crate::schema::kinds::table::COLUMN_ORDER;
use crate::schema::{Id, Object, Schema, Sql, TAKES_ALONG, Value};

pub use steps::{Steps, steps};

/// How the statements are to be written.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Tables that are there are taken to be in use: indexes are built concurrently, constraints validated in a transaction of
    /// their own.
    pub safe: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { safe: true }
    }
}

/// What lies between two schemas.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Diff {
    /// What is not the same, by object.
    pub changes: Vec<Change>,
    /// What makes the first into the second, in the order to run it.
    #[serde(skip)]
    pub statements: Vec<Sql>,
    /// What no statement of it sees to, with the object and why.
    pub left: Vec<Left>,
}

/// An object that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which.
    pub object: Id,
    /// In what.
    #[serde(flatten)]
    pub what: What,
}

/// How an object differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum What {
    /// Only the second has it.
    Created,
    /// Only the first has it.
    Dropped,
    /// Both have it, and these attributes are not the same.
    Altered {
        /// Each attribute, by its name.
        attributes: Vec<Attribute>,
    },
}

/// An attribute that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// Its name, as in [`Object::attributes`].
    pub name: String,
    /// In the first; none where it is as PostgreSQL makes it by default.
    pub from: Option<Value>,
    /// In the second.
    pub to: Option<Value>,
}

/// What no statement sees to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Of which object.
    pub object: Id,
    /// What and why.
    pub what: String,
}

/// Attributes that only lead to other objects, or say what is outside of what was asked for.
const INTERNAL: [&str; 3] = ["schema of parent", "name of parent", TAKES_ALONG];

/// Attributes that follow from whether a table is a partition.
const OF_PARENT: [&str; 2] = ["inherited", "partition of"];

impl Change {
    /// Whether it is only about who may do what, or owns what: that is often another matter in each database.
    pub fn is_of_privileges(&self) -> bool {
        self.object.kind == ObjectKind::DefaultPrivileges
            || matches!(&self.what, What::Altered { attributes }
                if attributes.iter().all(|attribute| Attribute::is_privilege(&attribute.name)))
    }

    /// The change without what it says of some attributes; none where nothing is left.
    #[must_use]
    pub fn without(mut self, left_out: impl Fn(&Attribute) -> bool) -> Option<Self> {
        if let What::Altered { attributes } = &mut self.what {
            attributes.retain(|attribute| !left_out(attribute));
            if attributes.is_empty() {
                return None;
            }
        }
        Some(self)
    }
}

impl Attribute {
    /// Whether an attribute of that name says who owns what or who may do what.
    pub fn is_privilege(name: &str) -> bool {
        matches!(name, "owner" | "grants" | "revoked" | "sequence grants" | "sequence revoked")
    }
}

impl Diff {
    /// Whether the two are the same.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The difference without what it says of the order of columns, which no statement of PostgreSQL changes.
    #[must_use]
    pub fn without_column_order(mut self) -> Self {
        self.changes = without_column_order(self.changes);
        self.left.retain(|left| !left.what.starts_with(COLUMN_ORDER));
        self
    }
}

/// Changes without those of the order of columns alone: PostgreSQL cannot move a column.
pub fn without_column_order(changes: Vec<Change>) -> Vec<Change> {
    let without = |change: Change| {
        let object = change.object.clone();
        change.without(|attribute| is_order(&object, &attribute.name))
    };
    changes.into_iter().filter_map(without).collect()
}

/// What is not the same, without statements.
pub fn changes(from: &Schema, to: &Schema) -> Vec<Change> {
    let mut changes: BTreeMap<&Id, What> = BTreeMap::new();
    for (id, object) in &from.objects {
        match to.objects.get(id) {
            None => {
                changes.insert(id, What::Dropped);
            }
            Some(other) => {
                let attributes = attributes(id, (from, object), (to, other));
                if !attributes.is_empty() {
                    changes.insert(id, What::Altered { attributes });
                }
            }
        }
    }
    let created = to.objects.keys().filter(|id| !from.objects.contains_key(id));
    changes.extend(created.map(|id| (id, What::Created)));
    changes.into_iter().map(|(object, what)| Change { object: object.clone(), what }).collect()
}

/// What is not the same, and the statements that make the first into the second.
pub fn diff(from: &Schema, to: &Schema, options: Options) -> Diff {
    diff_with_renamed_values(from, to, options, &[])
}

/// As [`diff`], where values of enums are known to have got other names, old and new: they are renamed then, and the rows keep
/// them.
pub fn diff_with_renamed_values(
    from: &Schema,
    to: &Schema,
    options: Options,
    values: &[(String, String)],
) -> Diff {
    let found = changes(from, to);
    let (statements, left) = match names::renamed(from, to, &found) {
        Some((from, renames)) => {
            let (rest, left) = actions::statements(&from, to, &changes(&from, to), options, values);
            (renames.into_iter().chain(rest).collect(), left)
        }
        None => actions::statements(from, to, &found, options, values),
    };
    Diff { changes: found, statements, left }
}

fn attributes(id: &Id, from: (&Schema, &Object), to: (&Schema, &Object)) -> Vec<Attribute> {
    let attached = is_partition(id, from.0) != is_partition(id, to.0);
    let names = from.1.attributes.keys().chain(to.1.attributes.keys().filter(|name| !from.1.has(name)));
    let mut differing: Vec<Attribute> = names
        .filter(|name| !INTERNAL.contains(&name.as_str()))
        .filter(|name| !same(name, from, to))
        .filter(|name| {
            !attached || !OF_PARENT.contains(&name.as_str()) && !comes_with_parent(id, name, from, to)
        })
        // Columns that come and go are told for themselves.
        .filter(|name| !is_order(id, name) || !same_order(from.1.list(name), to.1.list(name)))
        .map(|name| Attribute {
            name: name.to_string(),
            from: from.1.attributes.get(name).cloned(),
            to: to.1.attributes.get(name).cloned(),
        })
        .collect();
    differing.sort_by(|a, b| a.name.cmp(&b.name));
    differing
}

/// Whether a column has an identity only while its table is a partition, which has that of its parent.
fn comes_with_parent(id: &Id, name: &str, from: (&Schema, &Object), to: (&Schema, &Object)) -> bool {
    let (inside, outside) = if is_partition(id, to.0) { (to, from.1) } else { (from, to.1) };
    id.kind == ObjectKind::Column
        && inside.0.server_version >= column::WITH_IDENTITY_OF_PARENT
        && !outside.has("identity")
        && (name == "identity" || name.starts_with("sequence"))
}

fn same(name: &str, (first, from): (&Schema, &Object), (second, to): (&Schema, &Object)) -> bool {
    let (before, after) = (from.attributes.get(name), to.attributes.get(name));
    if before == after {
        return true;
    }
    // Two servers may have other roles: what belongs to whoever made the whole belongs to the same.
    name == "owner" && from.text(name) == Some(&first.owner) && to.text(name) == Some(&second.owner)
}

/// Whether an attribute is the order of a table's columns.
fn is_order(id: &Id, attribute: &str) -> bool {
    attribute == "columns" && matches!(id.kind, ObjectKind::Table | ObjectKind::ForeignTable)
}

/// Whether the columns that both have stand in one order, with the new ones behind them.
fn same_order(from: &[String], to: &[String]) -> bool {
    let mut expected: Vec<&String> = from.iter().filter(|column| to.contains(column)).collect();
    expected.extend(to.iter().filter(|column| !from.contains(column)));
    expected.into_iter().eq(to)
}

/// Whether the table that a part belongs to is a partition.
fn is_partition(part: &Id, schema: &Schema) -> bool {
    let (Some(namespace), Some(table)) = (&part.schema, &part.table) else { return false };
    let partition = Id::part(ObjectKind::Partition, namespace.clone(), table.clone(), table.clone());
    part.kind != ObjectKind::Partition && schema.objects.contains_key(&partition)
}
