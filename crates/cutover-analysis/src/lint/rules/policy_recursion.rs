//! Policies that read their own tables.

use pg_query::NodeEnum;

use super::{Look, Rule};
use crate::effects::{ObjectKind, SmolStr, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::Known;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "policy-recursion",
        severity: Severity::Error,
        on: true,
        why: "A policy that reads its own table asks that table's policies again, and so on: every query of it fails with infinite recursion.",
        safe: "put the query into a SECURITY DEFINER function with a fixed search path, whose owner the policies do not bind",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of(
                "CREATE POLICY p ON members USING (team IN (SELECT team FROM members WHERE who = current_user));",
            ),
            Example::of("CREATE POLICY p ON a USING (EXISTS (SELECT FROM b));")
                .over("CREATE POLICY q ON b FOR SELECT USING (EXISTS (SELECT FROM a));"),
            Example::of("ALTER POLICY p ON t USING (EXISTS (SELECT FROM t u WHERE u.n = 1));")
                .over("CREATE POLICY p ON t USING (n = 1);"),
            Example::of(
                "CREATE POLICY p ON a FOR SELECT USING (EXISTS (SELECT FROM b)); CREATE POLICY q ON b USING (EXISTS (SELECT FROM public.a));",
            ),
        ],
        good: &[
            Example::of("CREATE POLICY p ON members USING (team = any (teams_of(current_user)));"),
            Example::of(
                "CREATE POLICY p ON members USING (EXISTS (SELECT FROM teams WHERE teams.id = team));",
            ),
            Example::of(
                "CREATE POLICY p ON members FOR INSERT WITH CHECK (NOT EXISTS (SELECT FROM members));",
            ),
            Example::of("CREATE POLICY p ON a USING (EXISTS (SELECT FROM b));")
                .over("CREATE POLICY q ON b FOR INSERT WITH CHECK (EXISTS (SELECT FROM a));"),
            Example::of("CREATE POLICY p ON a USING (EXISTS (SELECT FROM b));")
                .over("CREATE TABLE b (n int); CREATE POLICY q ON b USING (EXISTS (SELECT FROM a));"),
            Example::of("CREATE POLICY p ON t USING (EXISTS (SELECT FROM t)); DROP POLICY p ON t;"),
            Example::of("CREATE POLICY p ON t USING (EXISTS (WITH t AS (SELECT 1) SELECT FROM t));"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let (relation, name) = match site.node {
        NodeEnum::CreatePolicyStmt(create) => (create.table.as_ref(), &create.policy_name),
        NodeEnum::AlterPolicyStmt(alter) => (alter.table.as_ref(), &alter.policy_name),
        _ => return,
    };
    let Some(relation) = relation else { return };
    let table = site.known.context.resolve(&names::relation(ObjectKind::Table, relation));
    let name = SmolStr::new(name);
    let still = move |known: &Known| {
        let policy = known.policies(&table)?.iter().find(|policy| policy.name == name)?;
        let way = known.security.recursion(&table, policy)?;
        let own = format!("{}.{}", table.schema, table.name);
        let by: Vec<String> = way.iter().map(|name| format!("{}.{}", name.schema, name.name)).collect();
        Some(match by.as_slice() {
            [_] => format!("every query of {own} fails with infinite recursion: {name} reads it too"),
            _ => format!(
                "every query of {own} fails with infinite recursion: {name} reads it again by way of {}",
                by.iter().take(by.len() - 1).cloned().collect::<Vec<_>>().join(", ")
            ),
        })
    };
    found.later(relation.location, found.about.safe, Box::new(still));
}
