//! Rewrite rules other than those that make a view.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, on_table, plain_drop, text};
use super::query::{Row, comment, in_scope, not_a_member};
use super::trigger::enabled;
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Rule],
    present: Some("pg_rewrite WHERE oid >= 16384 AND rulename <> '_RETURN'"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'rule'",
        name: ["n.nspname", "c.relname", "r.rulename", "NULL"],
        addresses: &[("pg_rewrite", "r.oid", "0")],
        attributes: vec![
            ("definition", "rtrim(pg_get_ruledef(r.oid), ';')".to_owned()),
            ("fires", enabled("r.ev_enabled")),
            comment("pg_rewrite", "r.oid"),
        ],
        from: format!(
            "FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE r.rulename <> '_RETURN' AND {}",
            in_scope(asked),
            not_a_member(asked, "pg_rewrite", "r.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: on_table, grantee: None, create, change, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let mut statements = vec![Sql::new(object.text("definition").unwrap_or_default())];
    if let Some(how) = object.text("fires") {
        statements.push(Sql::new(super::trigger::fires(id, how)));
    }
    statements
}

fn change(change: &mut Change<'_>) {
    if change.take("definition").is_some() {
        let definition = change.to.text("definition").unwrap_or_default();
        change.push(definition.replacen("CREATE RULE", "CREATE OR REPLACE RULE", 1));
    }
    if let Some((_, to)) = change.take("fires") {
        let how = text(to).unwrap_or_else(|| "ENABLE".to_owned());
        change.push(super::trigger::fires(change.id, &how));
    }
}
