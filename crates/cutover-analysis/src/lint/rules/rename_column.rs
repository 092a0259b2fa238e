//! `RENAME COLUMN` of a column that clients know.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;

use super::{Look, Rule};
use crate::effects::{ObjectKind, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "rename-column",
        severity: Severity::Error,
        on: true,
        why: "Whoever runs already asks for the column by its old name, and fails from the moment the new one is there.",
        safe: "add a column of the new name, write both, move the readers, then drop the old one",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE users RENAME COLUMN mail TO email;"),
            Example::of("ALTER TABLE IF EXISTS app.users RENAME mail TO email;"),
            Example::of("ALTER VIEW active_users RENAME COLUMN mail TO email;"),
            Example::of("ALTER TABLE users RENAME mail TO email;").over("CREATE TABLE users (mail text);"),
            Example::of(
                "DO $$ BEGIN IF current_user = 'a' THEN ALTER TABLE users RENAME mail TO email; END IF; END $$;",
            ),
        ],
        good: &[
            Example::of("CREATE TABLE users (mail text); ALTER TABLE users RENAME COLUMN mail TO email;"),
            Example::of("ALTER TABLE users RENAME CONSTRAINT a TO b;"),
            Example::of("CREATE TABLE a (n int); ALTER TABLE a RENAME TO b; ALTER TABLE b RENAME n TO m;"),
            Example::of("ALTER TABLE users ADD COLUMN email text;"),
            Example::of("ALTER TABLE users ADD COLUMN mail2 text; ALTER TABLE users RENAME mail2 TO email;"),
            Example::of(
                "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE users RENAME mail TO email; END $$;",
            ),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let NodeEnum::RenameStmt(rename) = site.node else { return };
    let Some(relation) =
        rename.relation.as_ref().filter(|_| rename.rename_type() == ObjectType::ObjectColumn)
    else {
        return;
    };
    let table = names::relation(ObjectKind::Relation, relation);
    let column = names::part_of(ObjectKind::Column, &table, rename.subname.as_str());
    if site.is_new(&table) || site.known.is_made(&column) {
        return;
    }
    let message = format!(
        "whoever reads or writes {} fails: it is called {} from now on",
        column.named(),
        rename.newname
    );
    found.say_at(relation.location, message);
}
