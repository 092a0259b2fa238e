//! Conversions between encodings.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, by_word, never, plain_drop};
use super::query::{Row, comment, flag, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::quote_literal;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Conversion],
    present: Some("pg_conversion WHERE oid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'conversion'",
        name: ["n.nspname", "NULL", "c.conname", "NULL"],
        addresses: &[("pg_conversion", "c.oid", "0")],
        attributes: vec![
            ("default?", flag("c.condefault")),
            ("from", "pg_encoding_to_char(c.conforencoding)::text".to_owned()),
            ("to", "pg_encoding_to_char(c.contoencoding)::text".to_owned()),
            ("function", "c.conproc::regproc::text".to_owned()),
            owner("c.conowner"),
            comment("pg_conversion", "c.oid"),
        ],
        from: format!(
            "FROM pg_conversion c JOIN pg_namespace n ON n.oid = c.connamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_conversion", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change: never, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let default = if object.has("default") { "DEFAULT " } else { "" };
    vec![Sql::new(format!(
        "CREATE {default}CONVERSION {} FOR {} TO {} FROM {}",
        id.name_sql(),
        quote_literal(object.text("from").unwrap_or_default()),
        quote_literal(object.text("to").unwrap_or_default()),
        object.text("function").unwrap_or_default()
    ))]
}
