//! Extended statistics.

use super::query::{Row, comment, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Statistics], query };

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
            not_a_member("pg_statistic_ext", "x.oid")
        ),
    }
    .sql()
}
