//! Extended statistics.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, by_word, plain_drop, text};
use super::query::{Row, comment, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::Statistics], present: Some("pg_statistic_ext"), query, making: MAKING };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'statistics'",
        name: ["n.nspname", "NULL", "x.stxname", "NULL"],
        addresses: &[("pg_statistic_ext", "x.oid", "0")],
        attributes: vec![
            ("definition", "pg_get_statisticsobjdef(x.oid)".to_owned()),
            ("target", "(SELECT v.target FROM (SELECT to_jsonb(x) ->> 'stxstattarget') v(target) WHERE v.target::int >= 0)".to_owned()),
            owner("x.stxowner"),
            comment("pg_statistic_ext", "x.oid"),
        ],
        from: format!(
            "FROM pg_statistic_ext x JOIN pg_namespace n ON n.oid = x.stxnamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_statistic_ext", "x.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let mut statements = vec![Sql::new(object.text("definition").unwrap_or_default())];
    if let Some(target) = object.text("target") {
        statements.push(Sql::new(format!("ALTER {} SET STATISTICS {target}", by_word(id))));
    }
    statements
}

fn change(change: &mut Change<'_>) {
    if change.left.contains_key("definition") {
        return;
    }
    if let Some((_, to)) = change.take("target") {
        change.push(format!(
            "ALTER {} SET STATISTICS {}",
            by_word(change.id),
            text(to).unwrap_or_else(|| "-1".to_owned())
        ));
    }
}
