//! Functions and procedures. Their identity are the types of their arguments, by which calls find them.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, plain_drop, with_arguments};
use super::query::{Row, comment, grants, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Function, ObjectKind::Procedure],
    present: Some("pg_proc WHERE oid >= 16384"),
    query,
    making: MAKING,
};

/// The types of the arguments by which a routine is called.
pub(super) const ARGUMENTS: &str = "coalesce((SELECT string_agg(format_type(a.t, NULL), ', ' ORDER BY a.i) FROM unnest(p.proargtypes) WITH ORDINALITY a(t, i)), '')";

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("p.proacl", "'f'", "p.proowner");
    Row {
        kind: "CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END",
        name: ["n.nspname", "NULL", "p.proname", ARGUMENTS],
        addresses: &[("pg_proc", "p.oid", "0")],
        attributes: vec![
            // What CREATE OR REPLACE refuses to change.
            ("arguments", "NULLIF(pg_get_function_arguments(p.oid), '')".to_owned()),
            ("result", "pg_get_function_result(p.oid)".to_owned()),
            ("definition", "pg_get_functiondef(p.oid)".to_owned()),
            owner("p.proowner"),
            comment("pg_proc", "p.oid"),
            granted,
            revoked,
        ],
        // The constructors of a range come along with it.
        from: format!(
            "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace AND {}
             WHERE p.prokind <> 'a' AND {}
               AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')",
            in_scope(asked),
            not_a_member(asked, "pg_proc", "p.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: with_arguments, grantee: None, create, change, drop: plain_drop, remade: true };

fn create(_: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let definition = object.text("definition").unwrap_or_default();
    let plain = definition.trim_end().replacen("CREATE OR REPLACE ", "CREATE ", 1);
    vec![Sql::new(plain)]
}

fn change(change: &mut Change<'_>) {
    // Names, defaults and the result are part of what calls rely on; PostgreSQL does not replace them.
    if change.left.contains_key("arguments") || change.left.contains_key("result") {
        return;
    }
    if change.take("definition").is_some() {
        let definition = change.to.text("definition").unwrap_or_default().trim_end().to_owned();
        change.push(definition);
    }
}
