//! Text search parsers.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, by_word, never, plain_drop};
use super::query::{Row, comment, in_scope, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::TextSearchParser],
    present: Some("pg_ts_parser WHERE oid >= 16384"),
    query,
    making: MAKING,
};

/// Words of CREATE with attributes.
const PARTS: [(&str, &str); 5] = [
    ("START", "start"),
    ("GETTOKEN", "get token"),
    ("END", "end"),
    ("HEADLINE", "headline"),
    ("LEXTYPES", "token types"),
];

fn query(asked: &Asked<'_>) -> String {
    let function = |column: &str| format!("NULLIF(p.{column}, 0)::regproc::text");
    Row {
        kind: "'text search parser'",
        name: ["n.nspname", "NULL", "p.prsname", "NULL"],
        addresses: &[("pg_ts_parser", "p.oid", "0")],
        attributes: vec![
            ("start", function("prsstart")),
            ("get token", function("prstoken")),
            ("end", function("prsend")),
            ("headline", function("prsheadline")),
            ("token types", function("prslextype")),
            comment("pg_ts_parser", "p.oid"),
        ],
        from: format!(
            "FROM pg_ts_parser p JOIN pg_namespace n ON n.oid = p.prsnamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_ts_parser", "p.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change: never, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    vec![Sql::new(format!("CREATE {} ({})", by_word(id), given(object, &PARTS)))]
}

/// `WORD = value` for each attribute that is there.
pub(super) fn given(object: &Object, parts: &[(&str, &str)]) -> String {
    let given =
        parts.iter().filter_map(|(word, attribute)| Some(format!("{word} = {}", object.text(attribute)?)));
    given.collect::<Vec<_>>().join(", ")
}
