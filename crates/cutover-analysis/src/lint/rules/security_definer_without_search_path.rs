//! Functions that run as their owners, with names that whoever calls them can give a meaning to.

use pg_query::NodeEnum;

use super::{Look, Rule};
use crate::effects::{ObjectKind, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::Known;
use crate::lint::security::{self, OwnPath, Routine};
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "security-definer-without-search-path",
        severity: Severity::Error,
        on: true,
        why: "A SECURITY DEFINER function runs as its owner with the search path of whoever calls it: who can make objects decides what it runs.",
        safe: "SET search_path = pg_catalog, … , pg_temp in its definition",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*)::int FROM t';"),
            Example::of("CREATE OR REPLACE PROCEDURE p() LANGUAGE plpgsql SECURITY DEFINER SET work_mem = '64MB' AS $$ BEGIN END $$;"),
            Example::of("ALTER FUNCTION f(int) SECURITY DEFINER;"),
            Example::of("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS 'SELECT 1';"),
            Example::of(r#"CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = "$user", public AS 'SELECT 1';"#),
            Example::of("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; ALTER FUNCTION f() SET search_path FROM CURRENT;"),
            Example::of("ALTER FUNCTION f() RESET search_path;")
                .over("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT 1';"),
            Example::of("CREATE FUNCTION f(int) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; ALTER FUNCTION f(text) SET search_path = '';"),
        ],
        good: &[
            Example::of("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT 1';"),
            Example::of("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY INVOKER AS 'SELECT 1';"),
            Example::of("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; ALTER FUNCTION f() SET search_path = '';"),
            Example::of("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'; DROP FUNCTION f;"),
            Example::of("CREATE FUNCTION f() RETURNS int SECURITY DEFINER RETURN 1;"),
            Example::of("SET search_path = app, pg_temp; CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS 'SELECT 1';"),
            Example::of("ALTER FUNCTION f() SECURITY DEFINER;")
                .over("CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = pg_catalog AS 'SELECT 1';"),
            Example::of("ALTER FUNCTION f() SECURITY DEFINER SET search_path = pg_catalog;"),
            Example::of("ALTER FUNCTION f() SECURITY DEFINER; ALTER FUNCTION f() SET search_path = pg_catalog;"),
            Example::of("ALTER FUNCTION f() STABLE;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let (object, arguments) = match site.node {
        NodeEnum::CreateFunctionStmt(create) => {
            (names::object(ObjectKind::Routine, &create.funcname), Some(security::arguments(create)))
        }
        NodeEnum::AlterFunctionStmt(alter) => {
            let Some(func) = &alter.func else { return };
            let object = names::object(ObjectKind::Routine, &func.objname);
            let settings = security::settings(&alter.actions, false);
            // Only what changes one of both is a matter of this statement.
            let matters = settings != (None, None);
            (object.filter(|_| matters), (!func.args_unspecified).then(|| security::types(&func.objargs)))
        }
        _ => return,
    };
    let Some(object) = object else { return };
    let name = site.known.context.resolve(&object);
    let still = move |known: &Known| {
        let routines = known.security.routines.get(&name)?;
        let is_meant =
            |routine: &&Routine| arguments.as_ref().is_none_or(|meant| routine.arguments == *meant);
        let is_open =
            |routine: &&Routine| routine.definer && routine.search_path != OwnPath::Pinned && !routine.bound;
        let open = routines.iter().filter(is_meant).find(is_open)?;
        let called = object.named();
        Some(match open.search_path {
            OwnPath::Open => {
                format!(
                    "the search path of {called} follows the name of a role, or the session that made it: what it runs as its owner is not certain"
                )
            }
            _ => format!("whoever calls {called} decides by their search path what it runs as its owner"),
        })
    };
    found.later(-1, found.about.safe, Box::new(still));
}
