//! Text search dictionaries.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, by_word, never, plain_drop};
use super::query::{Row, comment, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::TextSearchDictionary],
    present: Some("pg_ts_dict WHERE oid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'text search dictionary'",
        name: ["n.nspname", "NULL", "d.dictname", "NULL"],
        addresses: &[("pg_ts_dict", "d.oid", "0")],
        attributes: vec![
            ("template", "(SELECT format('%I.%I', tn.nspname, t.tmplname) FROM pg_ts_template t JOIN pg_namespace tn ON tn.oid = t.tmplnamespace WHERE t.oid = d.dicttemplate)".to_owned()),
            // As CREATE spells them, values quoted.
            ("options", "d.dictinitoption".to_owned()),
            owner("d.dictowner"),
            comment("pg_ts_dict", "d.oid"),
        ],
        from: format!(
            "FROM pg_ts_dict d JOIN pg_namespace n ON n.oid = d.dictnamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_ts_dict", "d.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change: never, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let options = object.text("options").map(|options| format!(", {options}")).unwrap_or_default();
    let template = object.text("template").unwrap_or_default();
    vec![Sql::new(format!("CREATE {} (TEMPLATE = {template}{options})", by_word(id)))]
}
