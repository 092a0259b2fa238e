//! A table that is written anew for a reason that no other rule is about.

use pg_query::protobuf::AlterTableType as Type;

use super::{Look, Rule};
use crate::effects::WorkKind;
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "any-other-rewrite",
        severity: Severity::Error,
        on: true,
        why: "A table that is written anew is locked against everybody until all rows are copied and all indexes built.",
        safe: "build the new table beside the old one, copy in batches, and swap the two",
        seen: &[Seen::Static, Seen::Catalogue, Seen::Trace],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE orders SET UNLOGGED;"),
            Example::of("ALTER TABLE orders SET LOGGED;").over("CREATE UNLOGGED TABLE orders (id int);"),
            Example::of("ALTER TABLE orders SET TABLESPACE fast;"),
        ],
        good: &[
            Example::of("ALTER TABLE orders SET LOGGED;").over("CREATE TABLE orders (id int);"),
            Example::of("CREATE TABLE orders (id int); ALTER TABLE orders SET UNLOGGED;"),
            Example::of("ALTER TABLE orders SET UNLOGGED;")
                .over("CREATE TABLE orders (id int);")
                .with_empty(&["public.orders"]),
            Example::of("ALTER INDEX orders_at SET (fillfactor = 70);"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (command, table) in site.commands() {
        let is_meant = matches!(
            command.subtype(),
            Type::AtSetLogged | Type::AtSetUnLogged | Type::AtSetTableSpace | Type::AtSetAccessMethod
        );
        if !is_meant || site.is_new(&table) {
            continue;
        }
        let effects = site.effects_of(command);
        for work in effects
            .work
            .iter()
            .filter(|work| work.kind == WorkKind::Rewrite && !site.is_harmless(&work.relation))
        {
            let condition = if work.sure { String::new() } else { format!(", {}", work.why) };
            found
                .say(format!("{} is written anew while nobody can use it{condition}", work.relation.named()));
        }
    }
}
