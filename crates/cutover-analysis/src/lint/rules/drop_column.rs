//! `DROP COLUMN` of a column that holds something.

use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule};
use crate::effects::{ObjectKind, names};
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
            Example::of("ALTER TABLE users DROP COLUMN mail;"),
            Example::of("ALTER TABLE users ADD COLUMN a int, DROP COLUMN IF EXISTS mail CASCADE;"),
            Example::of("ALTER TABLE users DROP mail;").over("CREATE TABLE users (mail text);"),
            Example::of("DO $$ BEGIN ALTER TABLE users DROP COLUMN mail; END $$;"),
        ],
        good: &[
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
    for (command, table) in site.commands() {
        if command.subtype() != Type::AtDropColumn || site.is_new(&table) {
            continue;
        }
        let column = names::part_of(ObjectKind::Column, &table, command.name.as_str());
        let is_absent = command.missing_ok
            && site.known.relation(&table).is_some_and(|known| known.columns_known)
            && site.known.context.column(&table, &command.name).is_none();
        if is_absent || site.known.is_made(&column) {
            continue;
        }
        let message = format!("what {} holds is lost, and whoever still names it fails", column.named());
        found.say(message);
    }
}
