//! Access methods of tables and indexes.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, by_word, never, plain_drop};
use super::query::{Row, comment, everything, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::AccessMethod],
    present: Some("pg_am WHERE oid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'access method'",
        name: ["NULL", "NULL", "m.amname", "NULL"],
        addresses: &[("pg_am", "m.oid", "0")],
        attributes: vec![
            ("of", "CASE m.amtype WHEN 't' THEN 'TABLE' ELSE 'INDEX' END".to_owned()),
            ("handler", "m.amhandler::regproc::text".to_owned()),
            comment("pg_am", "m.oid"),
        ],
        from: format!(
            "FROM pg_am m WHERE m.oid >= 16384 AND {} AND {}",
            everything(asked),
            not_a_member(asked, "pg_am", "m.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change: never, drop: plain_drop, remade: false };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let (of, handler) = (object.text("of").unwrap_or_default(), object.text("handler").unwrap_or_default());
    vec![Sql::new(format!("CREATE {} TYPE {of} HANDLER {handler}", by_word(id)))]
}
