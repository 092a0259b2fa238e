//! Rewrite rules other than those that make a view.

use super::query::{Row, comment, in_scope, not_a_member};
use super::trigger::enabled;
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Rule], query };

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
            not_a_member("pg_rewrite", "r.oid")
        ),
    }
    .sql()
}
