//! Functions that name what is not there.

use pg_query::NodeEnum;

use super::function_name_unresolved_after_move::{full, written};
use super::{Look, Rule};
use crate::effects::{Name, ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::Known;
use crate::lint::security;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "function-body-names-missing-object",
        severity: Severity::Error,
        on: true,
        why: "Names in the body of a function are looked up when it runs: it is made without complaint, and fails when somebody calls it.",
        safe: "make what it names in the same run, or correct the name",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of("CREATE SCHEMA app; CREATE FUNCTION app.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM app.orders; END $$;")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM app.userz; END $$;")
                .over("CREATE TABLE app.users (id int);")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM nowhere); END $$;")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET id = 1; END $$; DROP TABLE users;")
                .over("CREATE TABLE users (id int);")
                .and_nothing_else(),
            Example::of("DROP TABLE users;")
                .over("CREATE TABLE users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET id = 1; END $$;"),
            Example::of("DROP VIEW app.users;")
                .over("CREATE VIEW app.users AS SELECT 1 AS id; CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.users';"),
        ],
        good: &[
            Example::of("DROP TABLE users; CREATE TABLE users (id bigint);")
                .over("CREATE TABLE users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET id = 1; END $$;"),
            Example::of("DROP TABLE users; DROP FUNCTION f;")
                .over("CREATE TABLE users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET id = 1; END $$;"),
            Example::of("DROP TABLE app.users;")
                .over("CREATE TABLE app.users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET id = 1; END $$;"),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql SET search_path = app AS $$ BEGIN DELETE FROM users; END $$;")
                .over("CREATE SCHEMA app; CREATE TABLE app.users (id int);")
                .and_nothing_else(),
            Example::of("SET search_path = app; CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; END $$;")
                .over("CREATE SCHEMA app; CREATE TABLE app.users (id int);")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM copied; END $$;")
                .over("SELECT 1 AS n INTO copied;")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM app.userz; END $$;"),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM later; END $$; CREATE TABLE later (n int);")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM v; PERFORM nextval('s'); END $$;")
                .over("CREATE VIEW v AS SELECT 1 AS n; CREATE SEQUENCE s;")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM changed; RETURN NULL; END $$;")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE t (n int); DELETE FROM t; END $$;")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE TABLE ' || 't ()'; DELETE FROM t; END $$;")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM pg_class); END $$;")
                .and_nothing_else(),
            Example::of("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM old; END $$; DROP FUNCTION f;")
                .and_nothing_else(),
            Example::of("CREATE EXTENSION postgis; CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM spatial_ref_sys); END $$;")
                .and_nothing_else(),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    if matches!(site.node, NodeEnum::DropStmt(_)) {
        dropped(site, found);
    }
    let NodeEnum::CreateFunctionStmt(create) = site.node else { return };
    // What a body runs that it puts together may make what it names.
    if site.effects.late_opaque.is_some() || site.in_block {
        return;
    }
    // Names without a schema may be those of rows that the trigger hands over.
    let is_trigger = create
        .return_type
        .as_ref()
        .is_some_and(|name| name.names.last().and_then(names::text) == Some("trigger"));
    let Some(own) = names::object(ObjectKind::Routine, &create.funcname) else { return };
    let routine = site.known.context.new_name(&own);
    let arguments = security::arguments(create);
    for reference in &site.effects.late {
        let object = reference.object.clone();
        if !is_relation(&object) || is_trigger && object.schema.is_none() {
            continue;
        }
        let (routine, arguments) = (routine.clone(), arguments.clone());
        let called = own.named();
        let still = move |known: &Known| {
            known.security.routine(&routine, &arguments)?;
            let is_there = match &object.schema {
                Some(_) => known.relation(&object).is_some(),
                // Where it is looked for when the function runs, the function or whoever calls it says.
                None => known.context.is_called(&object.name),
            };
            let is_there = is_there || known.may_be_there(&object.name);
            (known.is_complete() && !is_there)
                .then(|| format!("{called} fails when it is called: there is no {}", object.named()))
        };
        found.later(-1, found.about.safe, Box::new(still));
    }
}

/// What is dropped while a function names it. Of one that this run makes it is said there.
fn dropped(site: &Site<'_>, found: &mut Found<'_>) {
    let known = site.known;
    let is_relation = |object: &&ObjectRef| object.kind.family() == ObjectKind::Relation;
    let gone: Vec<Name> =
        site.effects.drops.iter().filter(is_relation).map(|object| known.context.resolve(object)).collect();
    if gone.is_empty() {
        return;
    }
    for (routine, all) in &known.security.routines {
        let own = ObjectRef::new(ObjectKind::Routine, Some(routine.schema.clone()), routine.name.clone());
        if known.is_made(&own) {
            continue;
        }
        for one in all {
            let is_gone = |mention: &&Name| gone.contains(&full(mention, known));
            for mention in one.mentions.iter().filter(is_gone) {
                let (routine, arguments, mention) = (routine.clone(), one.arguments.clone(), mention.clone());
                let still = move |known: &Known| {
                    let now = known.security.routine(&routine, &arguments)?;
                    known.tell_of(&routine);
                    (now.mentions.contains(&mention) && now.misses(&mention, known)).then(|| {
                        let (routine, mention) = (written(&routine), written(&mention));
                        format!("{routine} fails when it is called: there is no {mention} any more")
                    })
                };
                found.later(-1, "drop what names it, or write it anew", Box::new(still));
            }
        }
    }
}

/// Whether it is one that is known of where everything is known: not PostgreSQL's own.
fn is_relation(object: &ObjectRef) -> bool {
    matches!(object.kind, ObjectKind::Relation | ObjectKind::Table | ObjectKind::View)
        && !object.is_temporary()
        && !matches!(object.schema.as_deref(), Some("pg_catalog" | "information_schema"))
        // Catalogues are found without their schema.
        && !object.name.starts_with("pg_")
}
