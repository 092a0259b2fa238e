//! `DROP TABLE` of a table that holds something.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;

use super::{Look, Rule};
use crate::effects::{ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "drop-table",
        severity: Severity::Error,
        on: true,
        why: "The rows are gone, whoever runs already and still reads the table fails, and the tables it points to are locked meanwhile.",
        safe: "look that nobody uses it any more, rename it for a while, keep a copy of its rows, then drop it",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            // The second one is not the temporary table any more.
            Example::of("CREATE TEMP TABLE users (id int); DROP TABLE users; DROP TABLE users;"),
            Example::of("DROP TABLE users;"),
            Example::of("DROP TABLE IF EXISTS a, app.b CASCADE;"),
            Example::of("ALTER TABLE users RENAME TO users_old; DROP TABLE users_old;"),
            Example::of("DROP TABLE orders;").over(
                "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE orders (u int REFERENCES users);",
            ),
            Example::of("DO $$ BEGIN DROP TABLE IF EXISTS users; END $$;"),
        ],
        good: &[
            Example::of("CREATE TABLE scratch (id int); DROP TABLE scratch;"),
            Example::of("CREATE TEMP TABLE t AS SELECT 1; DROP TABLE t;"),
            Example::of("DROP TABLE pg_temp.t;"),
            Example::of("DROP VIEW v;"),
            Example::of("DROP TABLE users;")
                .over("CREATE TABLE users (id int);")
                .with_empty(&["public.users"]),
            Example::of("DROP TABLE IF EXISTS users;")
                .over("CREATE TABLE other (id int);")
                .and_nothing_else(),
            Example::of(
                "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DROP TABLE users; END $$;",
            ),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let NodeEnum::DropStmt(drop) = site.node else { return };
    if drop.remove_type() != ObjectType::ObjectTable {
        return;
    }
    let tables = drop.objects.iter().filter_map(|node| names::addressed(drop.remove_type(), node));
    for table in tables {
        let is_absent = drop.missing_ok && site.known.is_absent(&table);
        if is_absent || site.is_new(&table) || site.known.is_empty(&table) {
            continue;
        }
        let mut message = format!("the rows of {} are lost, and whoever still reads it fails", table.named());
        let parents = parents(site, &table);
        if !parents.is_empty() {
            message = format!("{message}; locked meanwhile: {}", parents.join(", "));
        }
        found.say(message);
    }
}

/// The tables that foreign keys of this one point to: their triggers go with the table, under ACCESS EXCLUSIVE.
fn parents(site: &Site<'_>, table: &ObjectRef) -> Vec<String> {
    let own = site.known.context.resolve(table);
    let keys = site.known.relation(table).into_iter().flat_map(|known| &known.foreign_keys);
    let mut parents: Vec<String> = keys
        .filter(|key| key.parent != own)
        .map(|key| format!("{}.{}", key.parent.schema, key.parent.name))
        .collect();
    parents.sort();
    parents.dedup();
    parents
}
