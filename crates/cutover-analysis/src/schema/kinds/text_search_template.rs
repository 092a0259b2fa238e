//! Text search templates.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, by_word, never, plain_drop};
use super::query::{Row, comment, in_scope, not_a_member};
use super::text_search_parser::given;
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::TextSearchTemplate],
    present: Some("pg_ts_template WHERE oid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'text search template'",
        name: ["n.nspname", "NULL", "t.tmplname", "NULL"],
        addresses: &[("pg_ts_template", "t.oid", "0")],
        attributes: vec![
            ("init", "NULLIF(t.tmplinit, 0)::regproc::text".to_owned()),
            ("lexize", "t.tmpllexize::regproc::text".to_owned()),
            comment("pg_ts_template", "t.oid"),
        ],
        from: format!(
            "FROM pg_ts_template t JOIN pg_namespace n ON n.oid = t.tmplnamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_ts_template", "t.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change: never, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let parts = given(object, &[("INIT", "init"), ("LEXIZE", "lexize")]);
    vec![Sql::new(format!("CREATE {} ({parts})", by_word(id)))]
}
