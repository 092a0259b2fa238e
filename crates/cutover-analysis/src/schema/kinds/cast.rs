//! Casts. They are in no schema.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, never, plain_drop};
use super::query::{Row, comment, everything, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::Cast], present: Some("pg_cast WHERE oid >= 16384"), query, making: MAKING };

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
            "FROM pg_cast c WHERE c.oid >= 16384 AND {} AND {}
               AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_cast'::regclass AND i.objid = c.oid AND i.deptype = 'i')",
            everything(asked),
            not_a_member(asked, "pg_cast", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target, grantee: None, create, change: never, drop: plain_drop, remade: true };

fn target(id: &Id) -> String {
    format!("CAST ({})", id.name)
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let context = object.text("context").map(|context| format!(" {context}")).unwrap_or_default();
    vec![Sql::new(format!("CREATE {} {}{context}", target(id), object.text("method").unwrap_or_default()))]
}
