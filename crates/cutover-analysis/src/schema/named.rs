//! The objects of a schema as people name them. A schema holds some within others, which have names of their own all the same:
//! the index behind a constraint, the sequence of an identity column, the multirange of a range. And it holds some for
//! themselves that nobody names but by what they belong to: defaults, being a partition, what is said of a view's column.

use std::collections::BTreeMap;

use super::kinds::sequence::of_identity;
use super::{Id, Object, Schema, kinds};
use crate::effects::{ObjectKind, SmolStr, name_in_text};

/// The first version in which a range comes with a multirange.
const WITH_MULTIRANGES: u32 = 140_000;

/// An extension that every new database has. Schemas leave it out: it is nobody's work.
const EVERYWHERE: &str = "plpgsql";

impl Schema {
    /// Every object that has a name of its own, with whether it comes along with another one and nobody makes it by name: the
    /// index behind a constraint, the sequence of a column, what a partition has from its parent. Sequences of columns are
    /// given the table they belong to.
    #[must_use]
    pub fn named(&self) -> BTreeMap<Id, bool> {
        let mut named = BTreeMap::new();
        for (id, object) in &self.objects {
            if !self.is_named(id) {
                continue;
            }
            named.extend(self.within(id, object).map(|inner| (inner.id, true)));
            let id = with_table(id, object);
            let implied = self.is_implied(&id, object);
            named.insert(id, implied);
        }
        named.insert(Id::global(ObjectKind::Extension, EVERYWHERE), true);
        named
    }

    /// The object that people name when they mean this one: a column for its default, a table for its being a partition, a
    /// view for what is said of its column. None where it has no name at all.
    #[must_use]
    pub fn named_by(&self, id: &Id) -> Option<Id> {
        match id.kind {
            ObjectKind::DefaultPrivileges => None,
            ObjectKind::Default => self.named_by(&Id { kind: ObjectKind::Column, ..id.clone() }),
            ObjectKind::Column if self.is_named(id) => Some(id.clone()),
            ObjectKind::Column | ObjectKind::Partition => self.whole_of(id),
            _ => Some(self.objects.get(id).map_or_else(|| id.clone(), |object| with_table(id, object))),
        }
    }

    /// What a column, constraint, index or the like belongs to.
    #[must_use]
    pub fn whole_of(&self, part: &Id) -> Option<Id> {
        let (schema, table) = (part.schema.as_ref()?, part.table.as_ref()?);
        // Columns of composite types are among the objects where something is said of them.
        let kinds = kinds::WITH_PARTS.into_iter().chain([ObjectKind::Type]);
        let mut wholes = kinds.map(|kind| Id::new(kind, schema.clone(), table.clone()));
        wholes.find(|whole| self.objects.contains_key(whole))
    }

    /// Whether an object has a name of its own.
    pub(crate) fn is_named(&self, id: &Id) -> bool {
        match id.kind {
            ObjectKind::Default | ObjectKind::Partition | ObjectKind::DefaultPrivileges => false,
            ObjectKind::Column => self
                .whole_of(id)
                .is_some_and(|whole| matches!(whole.kind, ObjectKind::Table | ObjectKind::ForeignTable)),
            _ => true,
        }
    }

    fn is_implied(&self, id: &Id, object: &Object) -> bool {
        match id.kind {
            ObjectKind::Column | ObjectKind::Constraint => object.has("inherited"),
            ObjectKind::Index => object.has("partition of"),
            ObjectKind::Sequence => id.table.is_some(),
            // CREATE OPERATOR CLASS makes a family of its name where it is given none.
            ObjectKind::OperatorFamily => {
                self.objects.contains_key(&Id { kind: ObjectKind::OperatorClass, ..id.clone() })
            }
            _ => false,
        }
    }

    /// What an object holds that has a name of its own.
    pub(crate) fn within(&self, id: &Id, object: &Object) -> Option<Inner> {
        let sibling = |kind, name: SmolStr, schema: Option<SmolStr>| {
            let table = id.table.clone();
            Id { kind, name, table, schema: schema.or_else(|| id.schema.clone()), arguments: None }
        };
        match id.kind {
            ObjectKind::Constraint if is_key(object) => Some(Inner {
                id: sibling(ObjectKind::Index, id.name.clone(), None),
                attributes: &["options", "tablespace", "index comment"],
            }),
            ObjectKind::Column if object.has("identity") => {
                let name = name_in_text(ObjectKind::Sequence, &of_identity(id, object))?;
                Some(Inner {
                    id: sibling(ObjectKind::Sequence, name.name, name.schema),
                    attributes: &["sequence", "sequence name", "sequence comment", "sequence persistence"],
                })
            }
            ObjectKind::Type
                if object.text("form") == Some("range") && self.server_version >= WITH_MULTIRANGES =>
            {
                let usual = || {
                    if id.name.contains("range") {
                        id.name.replacen("range", "multirange", 1)
                    } else {
                        format!("{}_multirange", id.name)
                    }
                };
                let said = object.text("multirange").and_then(|text| name_in_text(ObjectKind::Type, text));
                let (name, schema) =
                    said.map_or_else(|| (usual().into(), None), |said| (said.name, said.schema));
                Some(Inner { id: sibling(ObjectKind::Type, name, schema), attributes: &["multirange"] })
            }
            _ => None,
        }
    }
}

/// An object within another one.
pub(crate) struct Inner {
    pub(crate) id: Id,
    /// Those attributes of the other one that are its own.
    pub(crate) attributes: &'static [&'static str],
}

/// The name of an object with the table it belongs to, also for the sequence of a column.
fn with_table(id: &Id, object: &Object) -> Id {
    let owned = id.kind == ObjectKind::Sequence && object.has("owned by");
    let column = object.needs.iter().find(|needed| owned && needed.kind == ObjectKind::Column);
    Id { table: column.map_or_else(|| id.table.clone(), |column| column.table.clone()), ..id.clone() }
}

/// Whether there is an index behind a constraint.
fn is_key(constraint: &Object) -> bool {
    let definition = constraint.text("definition").unwrap_or_default();
    ["PRIMARY KEY", "UNIQUE", "EXCLUDE"].iter().any(|word| definition.starts_with(word))
}
