//! Transforms: how values of a type go into and come out of a language.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, never, plain_drop};
use super::query::{Row, comment, everything, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::Transform], present: Some("pg_transform"), query, making: MAKING };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'transform'",
        name: [
            "NULL",
            "NULL",
            "format_type(t.trftype, NULL) || ' LANGUAGE ' || quote_ident(l.lanname)",
            "NULL",
        ],
        addresses: &[("pg_transform", "t.oid", "0")],
        attributes: vec![
            ("from SQL", "NULLIF(t.trffromsql, 0)::regprocedure::text".to_owned()),
            ("to SQL", "NULLIF(t.trftosql, 0)::regprocedure::text".to_owned()),
            comment("pg_transform", "t.oid"),
        ],
        from: format!(
            "FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang WHERE {} AND {}",
            everything(asked),
            not_a_member(asked, "pg_transform", "t.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target, grantee: None, create, change: never, drop: plain_drop, remade: true };

fn target(id: &Id) -> String {
    format!("TRANSFORM FOR {}", id.name)
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let parts = [("FROM SQL", "from SQL"), ("TO SQL", "to SQL")];
    let parts: Vec<String> = parts
        .iter()
        .filter_map(|(word, attribute)| Some(format!("{word} WITH FUNCTION {}", object.text(attribute)?)))
        .collect();
    vec![Sql::new(format!("CREATE {} ({})", target(id), parts.join(", ")))]
}
