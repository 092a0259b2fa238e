//! Casts. They are in no schema.

use super::query::{Row, comment, everything, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind { kinds: &[ObjectKind::Cast], query };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'cast'",
        name: ["NULL", "NULL", "format_type(c.castsource, NULL) || ' AS ' || format_type(c.casttarget, NULL)", "NULL"],
        addresses: &[("pg_cast", "c.oid", "0")],
        attributes: vec![
            (
                "method",
                "CASE c.castmethod WHEN 'f' THEN 'WITH FUNCTION ' || c.castfunc::regprocedure WHEN 'i' THEN 'WITH INOUT' ELSE 'WITHOUT FUNCTION' END".to_owned(),
            ),
            ("context", "CASE c.castcontext WHEN 'a' THEN 'AS ASSIGNMENT' WHEN 'i' THEN 'AS IMPLICIT' END".to_owned()),
            comment("pg_cast", "c.oid"),
        ],
        from: format!(
            "FROM pg_cast c WHERE c.oid >= 16384 AND {} AND {}",
            everything(asked),
            not_a_member("pg_cast", "c.oid")
        ),
    }
    .sql()
}
