//! Functions whose text names what is called otherwise from now on.

use pg_query::NodeEnum;
use pg_query::protobuf::ObjectType;

use super::{Look, Rule};
use crate::effects::{Name, ObjectKind, ObjectRef, names};
use crate::lint::about::{About, Example, Origin};
use crate::lint::finding::{Seen, Severity};
use crate::lint::known::Known;
use crate::lint::site::{Found, Site};

pub(crate) static RULE: Rule = Rule {
    about: About {
        code: "function-name-unresolved-after-move",
        severity: Severity::Error,
        on: true,
        why: "The body of a function is text: it names a table by the name that the table had when it was written, and fails when it is called.",
        safe: "write the body anew with CREATE OR REPLACE FUNCTION, or leave a view under the old name",
        seen: &[Seen::Static, Seen::Catalogue],
        origin: Origin::Sql,
        bad: &[
            Example::of("ALTER TABLE app.users SET SCHEMA core;")
                .over("CREATE TABLE app.users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM app.users; END $$;"),
            Example::of("ALTER TABLE app.users RENAME TO people;")
                .over("CREATE TABLE app.users (id int); CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM app.users';"),
            Example::of("ALTER SCHEMA app RENAME TO core;")
                .over("CREATE TABLE app.users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM app.users; END $$;"),
            Example::of("ALTER TABLE users RENAME TO people;")
                .over("CREATE TABLE users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; END $$;"),
            Example::of("ALTER TABLE users SET SCHEMA core;")
                .over("CREATE TABLE users (id int); CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users';"),
        ],
        good: &[
            Example::of("ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT * FROM people;")
                .over("CREATE TABLE users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM users; END $$;"),
            Example::of("ALTER TABLE users SET SCHEMA core;")
                .over("CREATE TABLE users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql SET search_path = core AS $$ BEGIN DELETE FROM users; END $$;"),
            Example::of("ALTER TABLE users RENAME TO people;")
                .over("CREATE TABLE users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE users (n int); DELETE FROM users; END $$;"),
            Example::of("ALTER TABLE app.users SET SCHEMA core;")
                .over("CREATE TABLE app.users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM other.users; END $$;"),
            Example::of("ALTER TABLE app.users SET SCHEMA core; CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM core.users; END $$;")
                .over("CREATE TABLE app.users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM app.users; END $$;"),
            Example::of("ALTER TABLE app.users SET SCHEMA core; CREATE VIEW app.users AS SELECT * FROM core.users;")
                .over("CREATE TABLE app.users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM app.users; END $$;"),
            Example::of("ALTER TABLE app.users SET SCHEMA core; DROP FUNCTION f();")
                .over("CREATE TABLE app.users (id int); CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN DELETE FROM app.users; END $$;"),
            Example::of("ALTER TABLE app.users RENAME TO people;")
                .over("CREATE TABLE app.users (id int); CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM app.users; END;"),
            Example::of("ALTER TABLE app.users SET SCHEMA core;"),
        ],
    },
    look: Look::Statement(look),
};

fn look(site: &Site<'_>, found: &mut Found<'_>) {
    let known = site.known;
    let is_gone: Box<dyn Fn(&Name) -> bool> = match site.node {
        NodeEnum::AlterObjectSchemaStmt(alter) => {
            let Some(relation) = &alter.relation else { return };
            let old = known.context.resolve(&names::relation(ObjectKind::Relation, relation));
            Box::new(move |name| *name == old)
        }
        NodeEnum::RenameStmt(rename) if rename.rename_type() == ObjectType::ObjectSchema => {
            let old = rename.subname.clone();
            Box::new(move |name| name.schema == old)
        }
        NodeEnum::RenameStmt(rename)
            if matches!(
                rename.rename_type(),
                ObjectType::ObjectTable
                    | ObjectType::ObjectView
                    | ObjectType::ObjectMatview
                    | ObjectType::ObjectSequence
            ) =>
        {
            let Some(relation) = &rename.relation else { return };
            let old = known.context.resolve(&names::relation(ObjectKind::Relation, relation));
            Box::new(move |name| *name == old)
        }
        _ => return,
    };
    for (routine, all) in &known.security.routines {
        for one in all {
            let is_meant = |mention: &&Name| is_gone(&full(mention, known));
            if let Some(old) = one.mentions.iter().find(is_meant) {
                named(routine.clone(), one.arguments.clone(), old.clone(), found);
            }
        }
    }
}

/// What a name in a body comes to.
pub(super) fn full(mention: &Name, known: &Known) -> Name {
    if !mention.schema.is_empty() {
        return mention.clone();
    }
    known.context.resolve(&ObjectRef::new(ObjectKind::Relation, None, mention.name.clone()))
}

/// A name as a body has it.
pub(super) fn written(mention: &Name) -> String {
    match mention.schema.as_str() {
        "" => mention.name.to_string(),
        schema => format!("{schema}.{}", mention.name),
    }
}

/// The routine's body still names what is called otherwise by then.
fn named(routine: Name, arguments: Vec<String>, old: Name, found: &mut Found<'_>) {
    let still = move |known: &Known| {
        let known_routine = known.security.routine(&routine, &arguments)?;
        known.tell_of(&routine);
        let is_named = known_routine.mentions.contains(&old);
        (is_named && known_routine.misses(&old, known)).then(|| {
            format!(
                "{}.{} fails when it is called: its body names {}, which is called otherwise from now on",
                routine.schema,
                routine.name,
                written(&old)
            )
        })
    };
    found.later(-1, found.about.safe, Box::new(still));
}
