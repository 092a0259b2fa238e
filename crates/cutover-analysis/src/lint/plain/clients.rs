//! What running clients, or what they rely on, do not survive.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;

use super::plain;
use crate::effects::{ObjectKind, ObjectRef, names};
use crate::lint::about::Example;
use crate::lint::finding::Severity;
use crate::lint::rules::Rule;

pub(in crate::lint) static RENAME_SCHEMA: Rule = plain(
    "rename-schema",
    Severity::Error,
    "Whoever runs already asks for everything in the schema by its old name, and fails from the moment it is called otherwise.",
    "a new schema with views of what is in the old one; move the clients, then what is there, then drop the views",
    |site| {
        let NodeEnum::RenameStmt(rename) = site.node else { return None };
        let schema = ObjectRef::new(ObjectKind::Schema, None, rename.subname.as_str());
        if rename.rename_type() != ObjectType::ObjectSchema || site.known.is_made(&schema) {
            return None;
        }
        Some(format!(
            "whoever asks for anything in the schema {} fails: it is called {} from now on",
            rename.subname, rename.newname
        ))
    },
    (
        &[
            Example::of("ALTER SCHEMA app RENAME TO core;"),
            Example::of("DO $$ BEGIN ALTER SCHEMA app RENAME TO core; END $$;"),
        ],
        &[
            Example::of("CREATE SCHEMA app; ALTER SCHEMA app RENAME TO core;"),
            Example::of("ALTER SCHEMA app OWNER TO other;"),
            Example::of("CREATE SCHEMA core; CREATE VIEW core.users AS SELECT * FROM app.users;"),
        ],
    ),
);

pub(in crate::lint) static RENAME_ENUM_VALUE: Rule = plain(
    "rename-enum-value",
    Severity::Error,
    "Whoever runs already reads and writes the value by its old name: writing it fails, and the new one is not understood.",
    "add the new value, move the rows in batches, and let nobody write the old one any more",
    |site| {
        let NodeEnum::AlterEnumStmt(alter) = site.node else { return None };
        let own = names::object(ObjectKind::Type, &alter.type_name)?;
        if alter.old_val.is_empty() || site.known.is_made(&own) {
            return None;
        }
        Some(format!(
            "whoever writes '{}' into {} fails, and reads '{}' instead of it",
            alter.old_val,
            own.named(),
            alter.new_val
        ))
    },
    (
        &[
            Example::of("ALTER TYPE mood RENAME VALUE 'bad' TO 'sad';"),
            Example::of("ALTER TYPE app.mood RENAME VALUE 'so so' TO 'meh';"),
        ],
        &[
            Example::of("ALTER TYPE mood ADD VALUE 'sad';"),
            Example::of("ALTER TYPE mood RENAME TO temper;"),
            Example::of("CREATE TYPE mood AS ENUM ('bad'); ALTER TYPE mood RENAME VALUE 'bad' TO 'sad';"),
        ],
    ),
);

pub(in crate::lint) static DROP_DATABASE: Rule = plain(
    "drop-database",
    Severity::Error,
    "DROP DATABASE takes everything in it, and no transaction brings it back.",
    "leave it to a person, outside of any migration",
    |site| {
        let NodeEnum::DropdbStmt(drop) = site.node else { return None };
        let database = ObjectRef::new(ObjectKind::Database, None, drop.dbname.as_str());
        let is_made = site.known.is_made(&database);
        (!is_made).then(|| format!("everything in the database {} is lost", drop.dbname))
    },
    (
        &[Example::of("DROP DATABASE shop;"), Example::of("DROP DATABASE IF EXISTS shop WITH (FORCE);")],
        &[
            Example::of("CREATE DATABASE scratch; DROP DATABASE scratch;"),
            Example::of("ALTER DATABASE shop SET timezone = 'UTC';"),
        ],
    ),
);
