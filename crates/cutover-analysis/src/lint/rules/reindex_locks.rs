//! `REINDEX` without `CONCURRENTLY`.

use pg_query::NodeEnum;
use pg_query::protobuf::{ReindexObjectType as Type, ReindexStmt};

use super::{Look, Rule};
use crate::effects::{ObjectKind, ObjectRef, is_option_set, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "reindex-locks",
        severity: Severity::Error,
        on: true,
        why: "REINDEX locks the table against writes and the index against everybody: even reading waits, because every query looks at all indexes.",
        safe: "REINDEX … CONCURRENTLY, in a migration of its own",
        seen: &[Seen::Static],
        origin: Origin::Sql,
        bad: &[
            Example::of("REINDEX TABLE orders;"),
            Example::of("REINDEX INDEX orders_number;"),
            Example::of("REINDEX (VERBOSE, CONCURRENTLY false) TABLE orders;"),
            Example::of("REINDEX SCHEMA app;"),
            Example::of("REINDEX DATABASE shop;"),
            Example::of("REINDEX SYSTEM shop;"),
        ],
        good: &[
            Example::of("REINDEX TABLE CONCURRENTLY orders;"),
            Example::of("REINDEX (CONCURRENTLY) INDEX orders_number;"),
            Example::of("REINDEX SCHEMA CONCURRENTLY app;"),
            Example::of(
                "CREATE TABLE orders (n int); CREATE INDEX i ON orders (n); REINDEX INDEX i; REINDEX TABLE orders;",
            ),
            Example::of("CREATE SCHEMA app; CREATE TABLE app.orders (n int UNIQUE); REINDEX SCHEMA app;"),
            Example::of("REINDEX INDEX i;")
                .over("CREATE TABLE orders (n int); CREATE INDEX i ON orders (n);")
                .with_empty(&["public.orders"]),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let NodeEnum::ReindexStmt(reindex) = site.node else { return };
    if is_option_set(&reindex.params, "concurrently") {
        return;
    }
    let Some(what) = reindexed(reindex, site) else { return };
    let message =
        format!("nobody can write to {what} until the indexes are built anew, and most queries wait too");
    // Indexes of catalogues are not built CONCURRENTLY; REINDEX DATABASE leaves them out then.
    if reindex.kind() == Type::ReindexObjectSystem {
        found.advise(
            -1,
            message,
            "only where an index of a catalogue is damaged, while nobody uses the database",
        );
    } else {
        found.say(message);
    }
}

/// Which tables a REINDEX keeps from being written, in words; none where that harms nobody.
fn reindexed(reindex: &ReindexStmt, site: &Site<'_>) -> Option<String> {
    let relation = reindex.relation.as_ref().map(|relation| names::relation(ObjectKind::Relation, relation));
    match (reindex.kind(), relation) {
        (Type::ReindexObjectIndex, Some(index)) => match site.known.table_of_index(&index) {
            Some(table) => (!site.is_harmless(&table)).then(|| table.named()),
            None => Some(format!("the table of {}", index.named())),
        },
        (Type::ReindexObjectTable, Some(table)) => (!site.is_harmless(&table)).then(|| table.named()),
        (Type::ReindexObjectSchema, _) => {
            let schema = ObjectRef::new(ObjectKind::Schema, None, reindex.name.as_str());
            (!site.known.is_made(&schema)).then(|| format!("the tables of schema {}", reindex.name))
        }
        (Type::ReindexObjectSystem, _) => Some("the system catalogues".to_owned()),
        _ => Some("the tables of the database".to_owned()),
    }
}
