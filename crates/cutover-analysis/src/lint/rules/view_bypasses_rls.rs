//! Views over tables with row security.

use pg_query::NodeEnum;
use pg_query::protobuf::{AlterTableCmd, AlterTableType as Type, Node};

use super::{Look, Rule};
use crate::effects::{Name, ObjectKind, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::Known;
use crate::lint::security;
use crate::lint::site::{Found, Site, commands, definition};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "view-bypasses-rls",
        severity: Severity::Error,
        on: true,
        why: "A view reads its tables as its owner, whom policies seldom bind: whoever may read the view sees rows that the table hides from them.",
        safe: "WITH (security_invoker = true)",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE VIEW v AS SELECT * FROM docs;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE VIEW v WITH (security_barrier) AS SELECT * FROM docs;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;")
                .on(160_000),
            Example::of("CREATE VIEW v AS SELECT * FROM docs;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;")
                .on(140_000),
            Example::of("CREATE TABLE docs (id int); CREATE VIEW v AS SELECT * FROM docs; ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("ALTER TABLE docs ENABLE ROW LEVEL SECURITY;")
                .over("CREATE TABLE docs (id int); CREATE VIEW v AS SELECT * FROM docs;"),
            Example::of("ALTER VIEW v RESET (security_invoker);")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY; CREATE VIEW v WITH (security_invoker = true) AS SELECT * FROM docs;"),
            Example::of("CREATE VIEW w AS SELECT * FROM v;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY; CREATE VIEW v WITH (security_invoker = on) AS SELECT * FROM docs;"),
        ],
        good: &[
            Example::of("CREATE VIEW v WITH (security_invoker = true) AS SELECT * FROM docs;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE VIEW v WITH (security_invoker) AS SELECT * FROM docs;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE VIEW v AS SELECT * FROM docs; ALTER VIEW v SET (security_invoker = on);")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE VIEW v AS SELECT * FROM docs;"),
            Example::of("CREATE VIEW v AS SELECT * FROM docs;")
                .over("CREATE TABLE docs (id int);"),
            Example::of("CREATE VIEW v AS SELECT * FROM docs; DROP VIEW v;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("CREATE VIEW v AS WITH docs AS (SELECT 1) SELECT * FROM docs;")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of("ALTER TABLE docs ENABLE ROW LEVEL SECURITY;")
                .over("CREATE TABLE docs (id int); CREATE VIEW v WITH (security_invoker = true) AS SELECT * FROM docs;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    if let NodeEnum::ViewStmt(create) = site.node
        && let Some(view) = &create.view
        && view.relpersistence != "t"
        && !says_invoker(&create.options)
    {
        let name = site.known.context.new_name(&names::relation(ObjectKind::View, view));
        bypassing(name, view.location, site, found);
    }
    let NodeEnum::AlterTableStmt(alter) = site.node else { return };
    let Some(relation) = &alter.relation else { return };
    let name = site.known.context.resolve(&names::relation(ObjectKind::Relation, relation));
    let location = relation.location;
    for command in commands(alter) {
        match command.subtype() {
            // Who takes it away later is at fault.
            Type::AtSetRelOptions if says_so(command) => {}
            Type::AtSetRelOptions | Type::AtResetRelOptions => bypassing(name.clone(), location, site, found),
            Type::AtEnableRowSecurity if site.known.row_security(&name) != Some(true) => {
                // Those that this run has made are said where they are made.
                let is_old = |view: &&Name| !site.known.has_made(view);
                for view in site.known.context.reading(&name).filter(is_old) {
                    bypassing(view.clone(), location, site, found);
                }
            }
            _ => {}
        }
    }
}

/// Whether the options of a view let it look at its tables as whoever reads it.
fn says_invoker(options: &[Node]) -> bool {
    security::options(options).get("security_invoker").is_some_and(|value| security::is_true(value))
}

/// Whether a command sets that.
fn says_so(command: &AlterTableCmd) -> bool {
    matches!(definition(command), Some(NodeEnum::List(list)) if says_invoker(&list.items))
}

fn bypassing(view: Name, location: i32, site: &Site<'_>, found: &mut Found<'_>) {
    // `security_invoker` came with 15.
    let help = match site.known.major() {
        1..15 => {
            "repeat the condition of the policy in the view, and grant its readers no more; from 15 on, WITH (security_invoker = true)"
        }
        _ => found.about.safe,
    };
    let about = view.clone();
    let still = move |known: &Known| {
        if known.security.is_invoker(&view)? {
            return None;
        }
        let table = known.security.guarded_behind(&view, &known.context)?;
        known.tell_of(&table);
        Some(format!(
            "{}.{} shows rows of {}.{} to whoever may read it, whatever the policies say",
            view.schema, view.name, table.schema, table.name
        ))
    };
    found.later(location, help, Box::new(still));
    found.last_is_about(about);
}
