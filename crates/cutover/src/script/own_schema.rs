//! What a migration may not do: change, lock or build on schema `cutover`, or have names without a schema mean what is
//! there. Reading it is allowed.
//!
//! It decides by [`Effects::touches`] alone, for all kinds of statements alike; what a text does not say (`EXECUTE` of
//! a text that is put together, views over our tables, CASCADE) it cannot see.

use cutover_analysis::effects::{self, Effects, ObjectKind, ObjectRef, Setting};
use cutover_analysis::sql::quote_ident;

use crate::history::schema::SCHEMA;

/// Why a statement is refused.
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) hint: &'static str,
    /// What it is about, where the statement names it.
    pub(super) object: Option<ObjectRef>,
}

/// How the refusal of a statement ends that only the owner of the schema makes one.
const DISOWNED: &str =
    "name the objects themselves, or let another role own the history; `--allow own-schema` lets it pass";

/// Why a statement is refused whatever database it is for.
pub(super) fn refusal(effects: &Effects) -> Option<Refusal> {
    let ours = || ObjectRef::new(ObjectKind::Schema, None, SCHEMA);
    if effects.searched_schemas.iter().any(|schema| schema == SCHEMA) {
        return Some(Refusal {
            message: "schema cutover in search_path: it holds the history, and nothing is to be found or made there".to_owned(),
            hint: "leave it out of the list; `--allow own-schema` lets it pass",
            object: Some(ours()),
        });
    }
    if effects.settings.iter().any(becomes_the_schema) {
        return Some(Refusal {
            message:
                "role cutover: \"$user\" in search_path then means schema cutover, which holds the history"
                    .to_owned(),
            hint: "qualify the names and leave the role as it is, or give it another name; `--allow own-schema` lets it pass",
            object: Some(ours()),
        });
    }
    if effects.disowns.iter().any(|role| role.name.is_empty()) {
        let message = "schema cutover, which holds the history, may belong to the role that runs this, and would go with it".to_owned();
        return Some(Refusal { message, hint: DISOWNED, object: None });
    }
    let object = effects.touches().find(|object| is_ours(object))?;
    let subject = match object.kind {
        ObjectKind::Schema => String::new(),
        _ => format!("{object}: "),
    };
    let why = if effects.creates.contains(object) {
        "holds the history, and nothing else belongs there"
    } else {
        "holds the history and is not for migrations to change, lock or build on"
    };
    Some(Refusal {
        message: format!("{subject}schema cutover {why}"),
        hint: "put it into another schema, or leave it out; `--allow own-schema` lets it pass",
        object: Some(named(object)),
    })
}

/// What is said of a statement that drops or gives away all that the owner of the schema owns.
pub(super) fn disowned(role: &ObjectRef) -> Refusal {
    Refusal {
        message: format!(
            "schema cutover, which holds the history, belongs to role {} and would go with what else it owns",
            quote_ident(&role.name)
        ),
        hint: DISOWNED,
        object: Some(role.clone()),
    }
}

/// Where a statement names the object: also within a body, where it is looked for as a text.
pub(super) fn place_of(statement: &str, object: &ObjectRef) -> Option<usize> {
    effects::place_of(statement, object).or_else(|| {
        let name = match &object.schema {
            Some(schema) => format!("{schema}.{}", object.name),
            None => object.name.to_string(),
        };
        statement.to_ascii_lowercase().find(&name.to_ascii_lowercase())
    })
}

fn is_ours(object: &ObjectRef) -> bool {
    object.schema.as_deref() == Some(SCHEMA) || object.kind == ObjectKind::Schema && object.name == SCHEMA
}

/// What the statement names with its schema: of a part of a table the table.
fn named(object: &ObjectRef) -> ObjectRef {
    match &object.table {
        Some(table) => ObjectRef::new(ObjectKind::Relation, object.schema.clone(), table.clone()),
        None => object.clone(),
    }
}

/// SET ROLE and its like to a role that is called as the schema is.
fn becomes_the_schema(setting: &Setting) -> bool {
    matches!(setting.name.as_str(), "role" | "session_authorization")
        && matches!(setting.values.as_deref(), Some([role]) if role == SCHEMA)
}
