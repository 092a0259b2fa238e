//! Operators. Their names are signs and are not quoted.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, plain_drop, text};
use super::query::{Row, comment, flag, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::quote_ident;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Operator],
    present: Some("pg_operator WHERE oid >= 16384"),
    query,
    making: MAKING,
};

/// An operator by its number, as another one names it.
fn other(column: &str) -> String {
    format!(
        "(SELECT format('OPERATOR(%I.%s)', xn.nspname, x.oprname) FROM pg_operator x JOIN pg_namespace xn ON xn.oid = x.oprnamespace WHERE x.oid = {column})"
    )
}

fn query(asked: &Asked<'_>) -> String {
    let side =
        |column: &str| format!("CASE WHEN {column} = 0 THEN 'NONE' ELSE format_type({column}, NULL) END");
    let arguments = format!("{} || ', ' || {}", side("o.oprleft"), side("o.oprright"));
    Row {
        kind: "'operator'",
        name: ["n.nspname", "NULL", "o.oprname", &arguments],
        addresses: &[("pg_operator", "o.oid", "0")],
        attributes: vec![
            ("function", "o.oprcode::regproc::text".to_owned()),
            ("left", "format_type(NULLIF(o.oprleft, 0), NULL)".to_owned()),
            ("right", "format_type(NULLIF(o.oprright, 0), NULL)".to_owned()),
            ("commutator", other("o.oprcom")),
            ("negator", other("o.oprnegate")),
            ("restrict", "NULLIF(o.oprrest, 0)::regproc::text".to_owned()),
            ("join", "NULLIF(o.oprjoin, 0)::regproc::text".to_owned()),
            ("hashes?", flag("o.oprcanhash")),
            ("merges?", flag("o.oprcanmerge")),
            owner("o.oprowner"),
            comment("pg_operator", "o.oid"),
        ],
        // One that is only named by another has no function yet.
        from: format!(
            "FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace AND {} WHERE o.oprcode <> 0 AND {}",
            in_scope(asked),
            not_a_member(asked, "pg_operator", "o.oid")
        ),
    }
    .sql()
}

const MAKING: Making = Making { target, grantee: None, create, change, drop: plain_drop, remade: true };

fn name(id: &Id) -> String {
    format!("{}.{}", quote_ident(id.schema.as_deref().unwrap_or_default()), id.name)
}

fn target(id: &Id) -> String {
    format!("OPERATOR {} ({})", name(id), id.arguments.as_deref().unwrap_or_default())
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let words = [
        ("FUNCTION", "function"),
        ("LEFTARG", "left"),
        ("RIGHTARG", "right"),
        ("COMMUTATOR", "commutator"),
        ("NEGATOR", "negator"),
        ("RESTRICT", "restrict"),
        ("JOIN", "join"),
    ];
    let given =
        words.iter().filter_map(|(word, attribute)| Some(format!("{word} = {}", object.text(attribute)?)));
    let flags = [("HASHES", "hashes"), ("MERGES", "merges")];
    let flags =
        flags.iter().filter(|(_, attribute)| object.has(attribute)).map(|(word, _)| (*word).to_owned());
    let parts: Vec<String> = given.chain(flags).collect();
    vec![Sql::new(format!("CREATE OPERATOR {} ({})", name(id), parts.join(", ")))]
}

fn change(change: &mut Change<'_>) {
    // Anything else makes it anew.
    if change.left.keys().any(|attribute| !["restrict", "join", "owner", "comment"].contains(attribute)) {
        return;
    }
    for (attribute, word) in [("restrict", "RESTRICT"), ("join", "JOIN")] {
        if let Some((_, to)) = change.take(attribute) {
            let function = text(to).unwrap_or_else(|| "NONE".to_owned());
            change.push(format!("ALTER {} SET ({word} = {function})", target(change.id)));
        }
    }
}
