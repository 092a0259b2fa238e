//! `DROP COLUMN` of a column that holds something, and what takes columns along.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType as Type, DropBehavior, ObjectType};

use super::{Look, Rule};
use crate::effects::{ObjectKind, Relation, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "drop-column",
        severity: Severity::Error,
        on: true,
        why: "The values are gone, and whoever runs already and still names the column fails.",
        safe: "stop reading and writing it first, look whether a view or function still uses it, and drop it with the release after that",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of("DROP TYPE IF EXISTS app.mood CASCADE;"),
            Example::of("DROP DOMAIN amount CASCADE;")
                .over("CREATE DOMAIN amount AS int; CREATE TABLE orders (total amount);")
                .and_nothing_else(),
            Example::of("DROP EXTENSION postgis CASCADE;"),
            Example::of("ALTER TABLE users RENAME mail TO email; ALTER TABLE users DROP email;"),
            Example::of("ALTER TABLE users DROP COLUMN mail;"),
            Example::of("ALTER TABLE users ADD COLUMN a int, DROP COLUMN IF EXISTS mail CASCADE;"),
            Example::of("ALTER TABLE users DROP mail;").over("CREATE TABLE users (mail text);"),
            Example::of("DO $$ BEGIN ALTER TABLE users DROP COLUMN mail; END $$;"),
        ],
        good: &[
            Example::of(
                "ALTER TABLE users ADD COLUMN a int; ALTER TABLE users RENAME a TO b; ALTER TABLE users DROP COLUMN b;",
            ),
            Example::of("DROP TYPE mood; DROP DOMAIN IF EXISTS amount RESTRICT;"),
            Example::of("CREATE TYPE mood AS ENUM ('a'); DROP TYPE mood CASCADE;"),
            Example::of("DROP TYPE mood CASCADE;").over("CREATE TABLE users (id int);").and_nothing_else(),
            Example::of("ALTER TABLE IF EXISTS people DROP COLUMN mail;")
                .over("CREATE TABLE users (mail text);")
                .and_nothing_else(),
            Example::of("CREATE TABLE users (mail text); ALTER TABLE users DROP COLUMN mail;"),
            Example::of("ALTER TABLE users ADD COLUMN old_id int; ALTER TABLE users DROP COLUMN old_id;"),
            Example::of("ALTER TABLE users DROP COLUMN IF EXISTS mail;").over("CREATE TABLE users (id int);"),
            Example::of("ALTER TABLE users DROP CONSTRAINT c;"),
            Example::of("ALTER TABLE users ALTER COLUMN mail DROP NOT NULL;"),
            Example::of(
                "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE users DROP mail; END $$;",
            ),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    with_types(site, found);
    for (command, table) in site.commands() {
        if command.subtype() != Type::AtDropColumn || site.is_new(&table) {
            continue;
        }
        let column = names::part_of(ObjectKind::Column, &table, command.name.as_str());
        let is_absent = command.missing_ok
            && site.known.relation(&table).is_some_and(|known| known.columns_known)
            && site.known.column(&table, &command.name).is_none();
        if is_absent || site.known.is_made(&column) {
            continue;
        }
        let message = format!("what {} holds is lost, and whoever still names it fails", column.named());
        found.say(message);
    }
}

/// With CASCADE columns go with their type, and with the extension that it is of.
fn with_types(site: &Site<'_>, found: &mut Found<'_>) {
    let NodeEnum::DropStmt(drop) = site.node else { return };
    let kind = drop.remove_type();
    let is_type = matches!(kind, ObjectType::ObjectType | ObjectType::ObjectDomain);
    if drop.behavior() != DropBehavior::DropCascade || !is_type && kind != ObjectType::ObjectExtension {
        return;
    }
    for object in drop.objects.iter().filter_map(|node| names::addressed(kind, node)) {
        let is_of =
            |relation: &Relation| relation.columns.iter().any(|column| column.data_type.name == object.name);
        let is_unused =
            is_type && site.known.is_complete() && site.known.context.names_where(is_of).is_empty();
        if is_unused || site.known.is_made(&object) {
            continue;
        }
        let which = if is_type { "of" } else { "of a type of" };
        found.say(format!("what columns {which} {} hold is lost with it", object.named()));
    }
}
