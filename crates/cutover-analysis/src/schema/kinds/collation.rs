//! Collations.

use super::super::{Id, Object};
use super::making::{Making, Sql, World, by_word, never, plain_drop};
use super::query::{Row, comment, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::quote_literal;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Collation],
    present: Some("pg_collation WHERE oid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    // The columns for the locale have other names in each of 15, 16 and 17.
    let locale = "coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', c.collcollate)";
    Row {
        kind: "'collation'",
        name: ["n.nspname", "NULL", "c.collname", "NULL"],
        addresses: &[("pg_collation", "c.oid", "0")],
        attributes: vec![
            ("provider", "CASE c.collprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' WHEN 'b' THEN 'builtin' ELSE 'default' END".to_owned()),
            ("locale", format!("CASE WHEN c.collprovider = 'c' AND c.collcollate IS DISTINCT FROM c.collctype THEN NULL ELSE {locale} END")),
            ("lc_collate", "CASE WHEN c.collprovider = 'c' AND c.collcollate IS DISTINCT FROM c.collctype THEN c.collcollate END".to_owned()),
            ("lc_ctype", "CASE WHEN c.collprovider = 'c' AND c.collcollate IS DISTINCT FROM c.collctype THEN c.collctype END".to_owned()),
            ("nondeterministic?", "CASE WHEN NOT c.collisdeterministic THEN true END".to_owned()),
            ("rules", "to_jsonb(c) ->> 'collicurules'".to_owned()),
            owner("c.collowner"),
            comment("pg_collation", "c.oid"),
        ],
        from: format!(
            "FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_collation", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change: never, drop: plain_drop, remade: false };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let mut parts = vec![format!("PROVIDER = {}", object.text("provider").unwrap_or("libc"))];
    for (word, attribute) in
        [("LOCALE", "locale"), ("LC_COLLATE", "lc_collate"), ("LC_CTYPE", "lc_ctype"), ("RULES", "rules")]
    {
        parts.extend(object.text(attribute).map(|value| format!("{word} = {}", quote_literal(value))));
    }
    if object.has("nondeterministic") {
        parts.push("DETERMINISTIC = false".to_owned());
    }
    vec![Sql::new(format!("CREATE COLLATION {} ({})", id.name_sql(), parts.join(", ")))]
}
