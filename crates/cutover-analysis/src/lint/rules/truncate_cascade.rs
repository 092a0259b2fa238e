//! `TRUNCATE … CASCADE`.

use pg_query::NodeEnum;
use pg_query::protobuf::DropBehavior;

use super::{Look, Rule};
use crate::effects::{Name, ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "truncate-cascade",
        severity: Severity::Error,
        on: true,
        why: "TRUNCATE … CASCADE also empties every table with a foreign key to those that are named, and the tables behind these.",
        safe: "name all the tables that are meant, without CASCADE",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("TRUNCATE users CASCADE;"),
            Example::of("TRUNCATE TABLE ONLY a, b RESTART IDENTITY CASCADE;"),
            Example::of("TRUNCATE users CASCADE;")
                .over(
                    "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE orders (u int REFERENCES users);",
                )
                .and_nothing_else(),
            Example::of("TRUNCATE users_1 CASCADE;")
                .over("CREATE TABLE users (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE users_1 PARTITION OF users FOR VALUES IN (1); CREATE TABLE orders (u int REFERENCES users);")
                .and_nothing_else(),
        ],
        good: &[
            Example::of("TRUNCATE users;"),
            Example::of("TRUNCATE users, orders RESTRICT;"),
            Example::of("CREATE TABLE users (id int PRIMARY KEY); TRUNCATE users CASCADE;"),
            Example::of("TRUNCATE users CASCADE;")
                .over("CREATE TABLE users (id int PRIMARY KEY);")
                .and_nothing_else(),
            Example::of("TRUNCATE users, orders CASCADE;")
                .over(
                    "CREATE TABLE users (id int PRIMARY KEY); CREATE TABLE orders (u int REFERENCES users);",
                )
                .and_nothing_else(),
            Example::of("DELETE FROM users WHERE id = 1;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let NodeEnum::TruncateStmt(truncate) = site.node else { return };
    if truncate.behavior() != DropBehavior::DropCascade {
        return;
    }
    let tables: Vec<ObjectRef> = truncate
        .relations
        .iter()
        .filter_map(|node| match node.node.as_ref()? {
            NodeEnum::RangeVar(relation) => Some(names::relation(ObjectKind::Table, relation)),
            _ => None,
        })
        .collect();
    let more = more(site, &tables);
    // Nothing that is there can point to what this run has made, but for what the run made too.
    let Some(table) = tables.iter().find(|table| !site.is_new(table)) else { return };
    if more.is_empty() && site.known.is_complete() {
        return;
    }
    let which =
        if more.is_empty() { "every table with a foreign key to it".to_owned() } else { more.join(", ") };
    found.say(format!("besides {} it empties {which}", table.named()));
}

/// The tables that are known to be emptied too, and not named.
fn more(site: &Site<'_>, named: &[ObjectRef]) -> Vec<String> {
    let context = &site.known.context;
    let mut all: Vec<Name> = named.iter().map(|table| context.resolve(table)).collect();
    let count = all.len();
    let mut at = 0;
    while let Some(parent) = all.get(at).cloned() {
        // A key to a partitioned table is one to each of its partitions.
        let mut above = vec![parent];
        while let Some(one) = above.pop() {
            for child in context.referring(&one) {
                if !all.contains(child) {
                    all.push(child.clone());
                }
            }
            let known = context.relations.get(&one).into_iter().flat_map(|known| &known.parents);
            above.extend(
                known.filter(|up| context.relations.get(*up).is_some_and(|up| up.partitioned)).cloned(),
            );
        }
        at += 1;
    }
    all.iter().skip(count).map(|name| format!("{}.{}", name.schema, name.name)).collect()
}
