//! Policies of tables without row security.

use pg_query::NodeEnum;

use super::{Look, Rule};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::Known;
use crate::lint::security;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "policy-without-rls",
        severity: Severity::Warning,
        on: true,
        why: "A policy of a table without row security is never asked.",
        safe: "ALTER TABLE … ENABLE ROW LEVEL SECURITY",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of(
                "CREATE TABLE docs (id int); DO $$ BEGIN CREATE POLICY p ON docs USING (id = 1); END $$;",
            ),
            Example::of("CREATE TABLE docs (id int); CREATE POLICY p ON docs USING (id = 1);"),
            Example::of("CREATE POLICY p ON docs USING (id = 1);").over("CREATE TABLE docs (id int);"),
            Example::of(
                "ALTER TABLE docs DISABLE ROW LEVEL SECURITY; CREATE POLICY p ON docs USING (id = 1);",
            ),
            Example::of("CREATE POLICY p ON docs USING (id = 1); ALTER TABLE docs FORCE ROW LEVEL SECURITY;")
                .over("CREATE TABLE docs (id int);"),
        ],
        good: &[
            Example::of(
                "CREATE TABLE docs (id int); DO $$ BEGIN ALTER TABLE docs ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON docs USING (id = 1); END $$;",
            ),
            Example::of("CREATE POLICY p ON docs USING (id = 1);"),
            Example::of("CREATE POLICY p ON docs USING (id = 1);")
                .over("CREATE TABLE docs (id int, owner text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;"),
            Example::of(
                "CREATE TABLE docs (id int); CREATE POLICY p ON docs USING (id = 1); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;",
            ),
            Example::of(
                "CREATE TABLE docs (id int); CREATE POLICY p ON docs USING (id = 1); DROP POLICY p ON docs;",
            ),
            Example::of(
                "CREATE TABLE d (id int); CREATE POLICY p ON d USING (id = 1); ALTER TABLE d RENAME TO docs; ALTER TABLE docs ENABLE ROW LEVEL SECURITY;",
            ),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let NodeEnum::CreatePolicyStmt(create) = site.node else { return };
    let Some((table, policy)) = security::new_policy(create, &site.known.context) else { return };
    let still = move |known: &Known| {
        known.security.policy(&table, &policy.name)?;
        (known.row_security(&table) == Some(false)).then(|| {
            format!("nobody asks {}: {}.{} has no row security", policy.name, table.schema, table.name)
        })
    };
    found.later(create.table.as_ref().map_or(-1, |table| table.location), found.about.safe, Box::new(still));
}
