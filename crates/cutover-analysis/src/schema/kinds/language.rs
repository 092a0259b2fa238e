//! Languages of routines. Those that come along with an extension are the extension's.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, by_word, never, plain_drop};
use super::query::{Row, comment, everything, flag, grants, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Language],
    present: Some("pg_language WHERE oid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("l.lanacl", "'l'", "l.lanowner");
    let function = |column: &str| format!("NULLIF(l.{column}, 0)::regproc::text");
    Row {
        kind: "'language'",
        name: ["NULL", "NULL", "l.lanname", "NULL"],
        addresses: &[("pg_language", "l.oid", "0")],
        attributes: vec![
            ("trusted?", flag("l.lanpltrusted")),
            ("handler", function("lanplcallfoid")),
            ("inline", function("laninline")),
            ("validator", function("lanvalidator")),
            owner("l.lanowner"),
            comment("pg_language", "l.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_language l WHERE l.oid >= 16384 AND {} AND {}",
            everything(asked),
            not_a_member(asked, "pg_language", "l.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change: never, drop: plain_drop, remade: false };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let trusted = if object.has("trusted") { "TRUSTED " } else { "" };
    let parts = [("HANDLER", "handler"), ("INLINE", "inline"), ("VALIDATOR", "validator")];
    let parts: String = parts
        .iter()
        .filter_map(|(word, attribute)| Some(format!(" {word} {}", object.text(attribute)?)))
        .collect();
    vec![Sql::new(format!("CREATE {trusted}{}{parts}", by_word(id)))]
}
