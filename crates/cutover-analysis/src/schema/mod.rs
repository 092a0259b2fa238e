//! Everything a database is made of, as one value: each object with its attributes in words and what it needs.
//!
//! Texts are PostgreSQL's own spelling with every name qualified, so that two schemas are alike exactly when their values
//! are. It is read from a catalogue (`kinds`, one file each, say how) and compared by [`crate::diff`]; it knows of no
//! connection and of no migration.

mod build;
mod id;
pub(crate) mod kinds;
mod named;
mod privileges;
pub(crate) mod secrets;
mod spelling;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::effects::{ObjectKind, SmolStr};

pub(crate) use build::parent_of;
pub use build::{BadRow, Builder};
pub use id::Id;
pub(crate) use kinds::making::TAKES_ALONG;
pub use kinds::making::{Place, Sql, hazards};
pub use kinds::{Asked, LEFT_OUT, Present, by_word, queries, query_each, words};

/// What people set for a column (`n_distinct` and others), of the row of `pg_attribute` with that alias: SQL, for `concat!`.
///
/// Since 15.20 (November 2026; its release notes tell of versions of row types, CVE-2026-6460; seen there) the server keeps a number of its own there, `pg_attver`.
/// It is another one in each database, and a new one with each change of the column's type.
#[macro_export]
macro_rules! column_options {
    ($of:literal) => {
        concat!(
            "CASE WHEN ",
            $of,
            ".attoptions IS NULL OR pg_catalog.array_length(",
            $of,
            ".attoptions, 1) = 1 AND pg_catalog.left(",
            $of,
            ".attoptions[1], 10) = 'pg_attver=' THEN NULL ELSE (SELECT pg_catalog.array_agg(o) FROM pg_catalog.unnest(",
            $of,
            ".attoptions) AS o WHERE pg_catalog.left(o, 10) <> 'pg_attver=') END"
        )
    };
}

/// The version of the form a schema is saved in.
pub const FORMAT_VERSION: u32 = 1;

/// All objects of some schemas at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// [`FORMAT_VERSION`]; what has another is not read.
    #[serde(deserialize_with = "known_version")]
    pub format_version: u32,
    /// `server_version_num` of the server it was read from, e.g. 150020.
    pub server_version: u32,
    /// The role that read it: the owner of what names none.
    pub owner: String,
    /// The objects.
    #[serde(with = "as_list")]
    pub objects: BTreeMap<Id, Object>,
}

/// One object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// What it is, by words that people know: `type`, `not null`, `definition`. What is as PostgreSQL makes it by default is
    /// not named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<SmolStr, Value>,
    /// The objects it cannot be without.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needs: BTreeSet<Id>,
}

/// What an attribute is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// It holds, and there is no more to say: `unlogged`.
    Flag(bool),
    /// A text.
    Text(String),
    /// Several, in an order that means something or is the alphabet's.
    List(Vec<String>),
}

impl Value {
    /// The text; of a list, all of it.
    pub fn text(&self) -> String {
        match self {
            Self::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Self::Text(text) => text.clone(),
            Self::List(list) => list.join(", "),
        }
    }
}

impl Object {
    /// The text of an attribute.
    pub fn text(&self, attribute: &str) -> Option<&str> {
        match self.attributes.get(attribute)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an attribute; none where it is not there.
    pub fn list(&self, attribute: &str) -> &[String] {
        match self.attributes.get(attribute) {
            Some(Value::List(list)) => list,
            Some(Value::Text(text)) => std::slice::from_ref(text),
            _ => &[],
        }
    }

    /// Whether an attribute is there.
    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.contains_key(attribute)
    }
}

impl Schema {
    /// A schema without objects.
    pub fn empty(server_version: u32, owner: impl Into<String>) -> Self {
        Self { format_version: FORMAT_VERSION, server_version, owner: owner.into(), objects: BTreeMap::new() }
    }

    /// The object of that name.
    pub fn get(&self, id: &Id) -> Option<&Object> {
        self.objects.get(id)
    }

    /// Whether there is a schema of that name, or something in it.
    pub fn has_namespace(&self, name: &str) -> bool {
        self.objects.keys().any(|id| match id.kind {
            ObjectKind::Schema => id.name == name,
            _ => id.schema.as_deref() == Some(name),
        })
    }

    /// The objects that belong to a table, view or the like.
    pub fn parts_of<'a>(&'a self, whole: &'a Id) -> impl Iterator<Item = (&'a Id, &'a Object)> {
        let of_kind = move |kind| {
            let first =
                Id { kind, table: Some(whole.name.clone()), name: SmolStr::default(), ..whole.clone() };
            let belongs = move |(id, _): &(&Id, &Object)| {
                id.kind == kind
                    && id.schema == whole.schema
                    && id.table.as_deref() == Some(whole.name.as_str())
            };
            self.objects.range(first..).take_while(belongs)
        };
        kinds::KINDS.iter().flat_map(|kind| kind.kinds).flat_map(move |kind| of_kind(*kind))
    }
}

/// A snapshot of a later version may mean something else by the same words.
fn known_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    if version == FORMAT_VERSION {
        return Ok(version);
    }
    Err(serde::de::Error::custom(format!(
        "a schema saved in version {version} of its form cannot be read, only {FORMAT_VERSION}: use the version of cutover that \
         wrote it, or a later one"
    )))
}

/// Maps in JSON have texts as keys; objects are a list instead, each with its name.
mod as_list {
    use std::collections::BTreeMap;

    use serde::ser::SerializeSeq as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Id, Object};

    #[derive(Serialize)]
    struct Written<'a> {
        #[serde(flatten)]
        id: &'a Id,
        #[serde(flatten)]
        object: &'a Object,
    }

    #[derive(Deserialize)]
    struct Read {
        #[serde(flatten)]
        id: Id,
        #[serde(flatten)]
        object: Object,
    }

    pub(super) fn serialize<S: Serializer>(
        objects: &BTreeMap<Id, Object>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(objects.len()))?;
        for (id, object) in objects {
            list.serialize_element(&Written { id, object })?;
        }
        list.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Id, Object>, D::Error> {
        let mut objects = BTreeMap::new();
        for Read { id, mut object } in Vec::<Read>::deserialize(deserializer)? {
            super::secrets::hide(&mut object);
            if objects.contains_key(&id) {
                return Err(serde::de::Error::custom(format!("{id} is there twice")));
            }
            objects.insert(id, object);
        }
        Ok(objects)
    }
}
