//! Tables without row security where others have it.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableType as Type, ObjectType};

use super::{Look, Rule};
use crate::effects::{Name, ObjectKind, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::Known;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "row-level-security-disabled",
        severity: Severity::Warning,
        on: true,
        why: "Without row security a table shows all its rows to everybody who may read it: of several tenants each sees those of the others.",
        safe: "ALTER TABLE … ENABLE ROW LEVEL SECURITY, and FORCE for its owner",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE docs DISABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE TABLE notes (id int, owner text);")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE TABLE a (n int); ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE TABLE b (n int);"),
            Example::of("ALTER TABLE docs DISABLE ROW LEVEL SECURITY;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
        ],
        good: &[
            Example::of("CREATE TABLE notes (id int);"),
            Example::of("CREATE TABLE notes (id int); ALTER TABLE notes ENABLE ROW LEVEL SECURITY;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE TABLE other.notes (id int);")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE TEMP TABLE t (id int);")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE TABLE notes (id int); DROP TABLE notes;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE TABLE IF NOT EXISTS docs (id int);")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("ALTER TABLE docs DISABLE ROW LEVEL SECURITY; UPDATE docs SET id = 1 WHERE id = 2; ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE TABLE docs_1 PARTITION OF docs FOR VALUES IN (1);")
                .over("CREATE TABLE docs (id int) PARTITION BY LIST (id); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("ALTER TABLE docs NO FORCE ROW LEVEL SECURITY;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    for (command, table) in site.commands() {
        if command.subtype() == Type::AtDisableRowSecurity && !site.is_new_itself(&table) {
            disabled(site.known.context.resolve(&table), found);
        }
    }
    let table = match site.node {
        // Rows of partitions are mostly read through their parent, whose policies count then.
        NodeEnum::CreateStmt(create) if create.partbound.is_none() => create.relation.as_ref(),
        NodeEnum::CreateTableAsStmt(create) if create.objtype() == ObjectType::ObjectTable => {
            create.into.as_ref().and_then(|into| into.rel.as_ref())
        }
        _ => None,
    };
    let Some(table) = table.map(|table| names::relation(ObjectKind::Table, table)) else { return };
    if !table.is_temporary() && !site.is_temporary(&table) && site.known.relation(&table).is_none() {
        made(site.known.context.new_name(&table), found);
    }
}

fn disabled(name: Name, found: &mut Found<'_>) {
    let still = move |known: &Known| {
        // A table that is gone shows nothing.
        (known.row_security(&name) == Some(false)).then(|| {
            format!("everybody who may read {}.{} sees all its rows from now on", name.schema, name.name)
        })
    };
    found.later(-1, "leave row security on: a policy TO a role lets that role see more", Box::new(still));
}

fn made(name: Name, found: &mut Found<'_>) {
    let still = move |known: &Known| {
        let tables = &known.security.tables;
        let guarded = tables.guarded_in(&name.schema)?;
        known.tell_of(guarded);
        (tables.get(&name) == Some(false)).then(|| {
            format!(
                "everybody who may read {}.{} sees all its rows: it has no row security, as {}.{} has",
                name.schema, name.name, guarded.schema, guarded.name
            )
        })
    };
    found.later(-1, found.about.safe, Box::new(still));
}
