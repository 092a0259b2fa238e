//! Operator classes.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, never, plain_drop};
use super::operator_family::members;
use super::query::{Row, comment, flag, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::OperatorClass],
    present: Some("pg_opclass WHERE oid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'operator class'",
        name: ["n.nspname", "NULL", "o.opcname", "(SELECT quote_ident(am.amname) FROM pg_am am WHERE am.oid = o.opcmethod)"],
        addresses: &[("pg_opclass", "o.oid", "0")],
        attributes: vec![
            ("type", "format_type(o.opcintype, NULL)".to_owned()),
            ("default?", flag("o.opcdefault")),
            ("family", "(SELECT format('%I.%I', fn.nspname, f.opfname) FROM pg_opfamily f JOIN pg_namespace fn ON fn.oid = f.opfnamespace WHERE f.oid = o.opcfamily)".to_owned()),
            ("storage", "format_type(NULLIF(o.opckeytype, 0), NULL)".to_owned()),
            ("members[]", members("pg_opclass", "o.oid")),
            owner("o.opcowner"),
            comment("pg_opclass", "o.oid"),
        ],
        from: format!(
            "FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_opclass", "o.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target, grantee: None, create, change: never, drop: plain_drop, remade: true };

fn target(id: &Id) -> String {
    format!("OPERATOR CLASS {} USING {}", id.name_sql(), id.arguments.as_deref().unwrap_or_default())
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let default = if object.has("default") { " DEFAULT" } else { "" };
    let type_name = object.text("type").unwrap_or_default();
    let storage = object.text("storage").map(|storage| format!("STORAGE {storage}"));
    let mut members = object.list("members").to_vec();
    members.extend(storage);
    // A class without members stores what it is for.
    if members.is_empty() {
        members.push(format!("STORAGE {type_name}"));
    }
    vec![Sql::new(format!(
        "CREATE OPERATOR CLASS {}{default} FOR TYPE {type_name} USING {} FAMILY {} AS {}",
        id.name_sql(),
        id.arguments.as_deref().unwrap_or_default(),
        object.text("family").unwrap_or_default(),
        members.join(", ")
    ))]
}
