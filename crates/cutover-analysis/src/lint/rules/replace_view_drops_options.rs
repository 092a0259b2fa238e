//! `CREATE OR REPLACE VIEW` of a view with options.

use pg_query::NodeEnum;

use super::{Look, Rule};
use crate::effects::{ObjectKind, SmolStr, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::Known;
use crate::lint::security;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "replace-view-drops-options",
        severity: Severity::Error,
        on: true,
        why: "CREATE OR REPLACE VIEW replaces the options of the view too: one that is not repeated is gone, and security_invoker with it.",
        safe: "repeat the options in WITH (…)",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE OR REPLACE VIEW v AS SELECT 1 AS n;")
                .over("CREATE VIEW v WITH (security_invoker = true) AS SELECT 1 AS n;"),
            Example::of("CREATE OR REPLACE VIEW v WITH (security_barrier) AS SELECT 1 AS n;")
                .over("CREATE VIEW v AS SELECT 1 AS n; ALTER VIEW v SET (security_invoker = on, security_barrier = true);"),
            Example::of("CREATE VIEW v WITH (security_barrier) AS SELECT 1 AS n; CREATE OR REPLACE VIEW public.v AS SELECT 2 AS n;"),
        ],
        good: &[
            Example::of("CREATE OR REPLACE VIEW v WITH (security_invoker = on) AS SELECT 1 AS n;")
                .over("CREATE VIEW v WITH (security_invoker = true) AS SELECT 1 AS n;"),
            Example::of("CREATE OR REPLACE VIEW v AS SELECT 1 AS n;")
                .over("CREATE VIEW v AS SELECT 1 AS n;"),
            Example::of("CREATE OR REPLACE VIEW v AS SELECT 1 AS n;")
                .over("CREATE VIEW v WITH (security_invoker = false) AS SELECT 1 AS n;"),
            Example::of("CREATE OR REPLACE VIEW v AS SELECT 1 AS n; ALTER VIEW v SET (security_invoker = true);")
                .over("CREATE VIEW v WITH (security_invoker = true) AS SELECT 1 AS n;"),
            Example::of("CREATE OR REPLACE VIEW v AS SELECT 1 AS n;"),
            Example::of("DROP VIEW v; CREATE VIEW v AS SELECT 1 AS n;")
                .over("CREATE VIEW v WITH (security_invoker = true) AS SELECT 1 AS n;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let NodeEnum::ViewStmt(create) = site.node else { return };
    let Some(view) = create.view.as_ref().filter(|_| create.replace) else { return };
    let name = site.known.context.new_name(&names::relation(ObjectKind::View, view));
    let Some(known) = site.known.view_options(&name) else { return };
    let given = security::options(&create.options);
    // An option that is off is so without being named.
    let lost =
        |(option, value): &(&SmolStr, &String)| !given.contains_key(*option) && !security::is_false(value);
    for (option, value) in known.iter().filter(lost) {
        let (name, option, was) = (name.clone(), option.clone(), value.clone());
        let help = format!("repeat it: WITH ({option} = {was})");
        let still = move |known: &Known| {
            let options = known.view_options(&name)?;
            (!options.contains_key(&option))
                .then(|| format!("{}.{} loses its {option} = {was}", name.schema, name.name))
        };
        found.later(view.location, help, Box::new(still));
    }
}
