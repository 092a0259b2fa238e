//! Permissive policies that are true of every row.

use pg_query::NodeEnum;

use super::{Look, Rule};
use crate::effects::{ObjectKind, SmolStr, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::Known;
use crate::lint::security::Policy;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "policy-always-true",
        severity: Severity::Error,
        on: true,
        why: "A row is let through when one permissive policy lets it through: one that is true of every row makes the others mean nothing.",
        safe: "give it the condition that is meant, or a role with TO, or AS RESTRICTIVE where it is to narrow the others",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of(
                "CREATE POLICY own ON docs FOR SELECT USING (owner = current_user); CREATE POLICY everybody ON docs FOR SELECT USING (true);",
            ),
            Example::of("CREATE POLICY p ON docs USING (true);"),
            Example::of("CREATE POLICY p ON docs FOR INSERT TO public WITH CHECK (1 = 1);"),
            Example::of("CREATE POLICY p ON docs TO app USING (true);")
                .over("CREATE POLICY own ON docs TO app USING (owner = current_user);"),
            Example::of("CREATE POLICY own ON docs FOR SELECT TO app USING (owner = current_user);")
                .over("CREATE POLICY p ON docs TO app USING (true);"),
            Example::of("ALTER POLICY p ON docs USING (true OR owner = current_user);")
                .over("CREATE POLICY p ON docs USING (owner = current_user);"),
            Example::of("CREATE POLICY p ON docs USING (owner = current_user) WITH CHECK ('t'::bool);"),
        ],
        good: &[
            Example::of("CREATE POLICY everybody_reads ON docs FOR SELECT USING (true);"),
            Example::of(
                "CREATE POLICY own ON docs USING (owner = current_user); CREATE POLICY admins ON docs TO admin USING (true);",
            ),
            // Whoever may read everything may not write everything, in whichever order it is said.
            Example::of(
                "CREATE POLICY own ON docs USING (owner = current_user); CREATE POLICY everybody_reads ON docs FOR SELECT USING (true);",
            ),
            Example::of(
                "CREATE POLICY everybody_reads ON docs FOR SELECT USING (true); CREATE POLICY own ON docs USING (owner = current_user);",
            ),
            Example::of("CREATE POLICY p ON docs USING (owner = current_user);"),
            Example::of("CREATE POLICY p ON docs AS RESTRICTIVE USING (true);"),
            Example::of("CREATE POLICY p ON docs TO admin USING (true);"),
            Example::of("CREATE POLICY p ON docs TO admin USING (true);")
                .over("CREATE POLICY own ON docs TO app USING (owner = current_user);"),
            Example::of("CREATE POLICY p ON docs FOR SELECT TO app USING (true);")
                .over("CREATE POLICY own ON docs FOR UPDATE TO app USING (owner = current_user);"),
            Example::of("CREATE POLICY p ON docs USING (true); DROP POLICY p ON docs;"),
            Example::of("CREATE POLICY narrow ON docs AS RESTRICTIVE TO app USING (owner = current_user);")
                .over("CREATE POLICY p ON docs TO app USING (true);"),
            Example::of("CREATE POLICY p2 ON docs TO admin USING (true);")
                .over("CREATE POLICY p ON docs TO admin USING (true);"),
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
        let policies = known.policies(&table)?;
        let policy = policies.iter().find(|policy| policy.name == name)?;
        said(policy, policies, &format!("{}.{}", table.schema, table.name))
    };
    found.later(relation.location, found.about.safe, Box::new(still));
}

/// What is wrong with a policy among the others of its table.
fn said(policy: &Policy, all: &[Policy], table: &str) -> Option<String> {
    let others = || all.iter().filter(|other| other.name != policy.name && other.permissive);
    if policy.is_always_true() {
        // Others that are as open lose nothing by it.
        if let Some(other) = others().find(|other| policy.covers(other) && !opens(policy, other)) {
            return Some(format!(
                "{} lets every row of {table} through, whatever {} says",
                policy.name, other.name
            ));
        }
        // That everybody may read is often meant.
        let is_for_everybody = policy.roles.is_empty() && policy.command != "select";
        return is_for_everybody
            .then(|| format!("{} lets every row of {table} through, for everybody", policy.name));
    }
    let is_open = |other: &&Policy| policy.permissive && other.is_always_true() && other.covers(policy);
    let open = others().find(is_open)?;
    Some(format!("{} means nothing: {} lets every row of {table} through", policy.name, open.name))
}

/// Whether both let every row through.
fn opens(policy: &Policy, other: &Policy) -> bool {
    policy.is_always_true() && other.is_always_true()
}
