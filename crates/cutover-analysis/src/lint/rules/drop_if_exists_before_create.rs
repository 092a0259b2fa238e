//! `DROP … IF EXISTS` before `CREATE`.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType, DropBehavior, ObjectType};

use super::{Look, Rule, Watch};
use crate::effects::{ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "drop-if-exists-before-create",
        severity: Severity::Error,
        on: true,
        why: "A migration that drops what it is about to make can be run twice, and destroys what is there each time.",
        safe: "CREATE … IF NOT EXISTS, and a look at whether what is there is what is meant",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("DROP TABLE IF EXISTS users; CREATE TABLE users (id int);"),
            Example::of(
                "DROP TABLE IF EXISTS app.users CASCADE; SELECT 1; CREATE TABLE IF NOT EXISTS app.users (id int);",
            ),
            Example::of(
                "ALTER TABLE users DROP COLUMN IF EXISTS mail; ALTER TABLE users ADD COLUMN mail text;",
            ),
            Example::of("ALTER TABLE users DROP COLUMN IF EXISTS mail, ADD COLUMN mail text;"),
            Example::of("DROP SEQUENCE IF EXISTS s; CREATE SEQUENCE s;"),
            Example::of("DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app;"),
        ],
        good: &[
            Example::of("CREATE TABLE IF NOT EXISTS users (id int);"),
            Example::of("DROP TABLE IF EXISTS users;"),
            Example::of("DROP TABLE users; CREATE TABLE users (id int);"),
            Example::of("DROP TABLE IF EXISTS users; CREATE TABLE people (id int);"),
            Example::of("DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT 1 AS n;"),
            Example::of(
                "DROP FUNCTION IF EXISTS f(); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
            ),
            Example::of("DROP SCHEMA IF EXISTS app; CREATE SCHEMA app;"),
            Example::of("CREATE TABLE t (n int); DROP TABLE IF EXISTS t; CREATE TABLE t (n bigint);"),
            Example::of("DROP TABLE IF EXISTS pg_temp.t; CREATE TEMP TABLE t (n int);"),
            Example::of("DROP TABLE IF EXISTS users; CREATE TABLE users (id int);")
                .over("CREATE TABLE other (id int);")
                .and_nothing_else(),
        ],
    },
    look: Look::File(|| Box::new(Dropped::default())),
};

/// What was dropped if it was there.
#[derive(Default)]
struct Dropped(Vec<ObjectRef>);

impl Watch for Dropped {
    fn statement(&mut self, site: &Site<'_>, found: &mut Found<'_>) {
        self.0.extend(dropped(site).into_iter().map(|object| site.known.key(&object)));
        self.made(site, found);
    }
}

impl Dropped {
    /// Says of what is made now that it was dropped before.
    fn made(&mut self, site: &Site<'_>, found: &mut Found<'_>) {
        if self.0.is_empty() {
            return;
        }
        for made in &site.effects.creates {
            let key = site.known.key(made);
            let place = self.0.iter().position(|object| *object == key);
            if let Some(place) = place {
                self.0.remove(place);
                let message = format!("{made} is dropped with all it holds, and made anew empty");
                found.say(message);
            }
        }
    }
}

/// What a statement drops if it is there, and what is lost with it: nothing is lost with a view.
fn dropped(site: &Site<'_>) -> Vec<ObjectRef> {
    match site.node {
        NodeEnum::DropStmt(drop) if drop.missing_ok => {
            let cascade = drop.behavior() == DropBehavior::DropCascade;
            let holds = match drop.remove_type() {
                ObjectType::ObjectTable | ObjectType::ObjectSequence => true,
                ObjectType::ObjectSchema | ObjectType::ObjectType => cascade,
                _ => false,
            };
            let named = drop.objects.iter().filter_map(|node| names::addressed(drop.remove_type(), node));
            named.filter(|object| holds && !is_new(site, object)).collect()
        }
        _ => site
            .commands()
            .filter(|(command, table)| {
                command.subtype() == AlterTableType::AtDropColumn && command.missing_ok && !site.is_new(table)
            })
            .map(|(command, table)| names::part_of(ObjectKind::Column, &table, command.name.as_str()))
            .filter(|column| !site.known.is_made(column))
            .collect(),
    }
}

fn is_new(site: &Site<'_>, object: &ObjectRef) -> bool {
    if object.kind.family() != ObjectKind::Relation {
        return site.known.is_made(object);
    }
    let is_absent = object.kind == ObjectKind::Table && site.known.is_absent(object);
    is_absent || site.is_new(object)
}
