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
            Example::of("TRUNCATE orders_a CASCADE;")
                .over(
                    "CREATE TABLE orders (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE orders_a PARTITION OF orders DEFAULT; CREATE TABLE items (o int REFERENCES orders);",
                )
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
    let named: Vec<(ObjectRef, bool)> = truncate
        .relations
        .iter()
        .filter_map(|node| match node.node.as_ref()? {
            NodeEnum::RangeVar(relation) => {
                Some((names::relation(ObjectKind::Table, relation), relation.inh))
            }
            _ => None,
        })
        .collect();
    let more = more(site, &named);
    // Nothing that is there can point to what this run has made, but as a part of something that was there.
    let leads_to_old = more.iter().any(|name| !site.known.has_made(name));
    let mut tables = named.iter().map(|(table, _)| table);
    let Some(table) = tables.find(|table| leads_to_old || !site.is_new(table)) else { return };
    let more: Vec<String> = more.iter().map(|name| format!("{}.{}", name.schema, name.name)).collect();
    if more.is_empty() && site.known.is_complete() {
        return;
    }
    let which =
        if more.is_empty() { "every table with a foreign key to it".to_owned() } else { more.join(", ") };
    found.say(format!("besides {} it empties {which}", table.named()));
}

/// The tables that are known to be emptied too, and not named: those whose foreign keys point to one that is emptied, to what it is a
/// part of, or to what inherits from it. Partitions are those of their tables.
fn more(site: &Site<'_>, named: &[(ObjectRef, bool)]) -> Vec<Name> {
    let context = &site.known.context;
    let mut emptied: Vec<Name> = Vec::new();
    for (table, with_heirs) in named {
        let name = context.resolve(table);
        emptied.extend(with_heirs.then(|| context.descendants(&name)).into_iter().flatten());
        emptied.push(name);
    }
    let mut more: Vec<Name> = Vec::new();
    let mut at = 0;
    while let Some(parent) = emptied.get(at).cloned() {
        at += 1;
        for parent in context.whole(&parent).iter().chain([&parent]) {
            for child in context.referring(parent) {
                if !emptied.contains(child) {
                    // Its partitions have the foreign key too.
                    let is_part = context
                        .whole(child)
                        .iter()
                        .any(|whole| context.referring(parent).any(|one| one == whole));
                    more.extend((!is_part).then(|| child.clone()));
                    emptied.push(child.clone());
                    for heir in context.descendants(child) {
                        if !emptied.contains(&heir) {
                            emptied.push(heir);
                        }
                    }
                }
            }
        }
    }
    more
}
