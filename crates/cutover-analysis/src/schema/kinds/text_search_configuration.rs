//! Text search configurations with what they do with each kind of token.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, by_word, lists, plain_drop};
use super::query::{Row, comment, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::TextSearchConfiguration],
    present: Some("pg_ts_config WHERE oid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'text search configuration'",
        name: ["n.nspname", "NULL", "c.cfgname", "NULL"],
        addresses: &[("pg_ts_config", "c.oid", "0")],
        attributes: vec![
            ("parser", "(SELECT format('%I.%I', pn.nspname, p.prsname) FROM pg_ts_parser p JOIN pg_namespace pn ON pn.oid = p.prsnamespace WHERE p.oid = c.cfgparser)".to_owned()),
            ("mappings[]", "(SELECT json_agg(w.text ORDER BY w.text COLLATE \"C\") FROM (
               SELECT quote_ident(k.alias) || ' WITH ' || string_agg(format('%I.%I', dn.nspname, d.dictname), ', ' ORDER BY m.mapseqno)
                 FROM pg_ts_config_map m JOIN ts_token_type(c.cfgparser) k ON k.tokid = m.maptokentype
                 JOIN pg_ts_dict d ON d.oid = m.mapdict JOIN pg_namespace dn ON dn.oid = d.dictnamespace
                WHERE m.mapcfg = c.oid GROUP BY k.alias) w(text))".to_owned()),
            owner("c.cfgowner"),
            comment("pg_ts_config", "c.oid"),
        ],
        from: format!(
            "FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_ts_config", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let parser = object.text("parser").unwrap_or_default();
    let mut statements = vec![Sql::new(format!("CREATE {} (PARSER = {parser})", by_word(id)))];
    statements.extend(object.list("mappings").iter().map(|mapping| add(id, mapping)));
    statements
}

fn add(id: &Id, mapping: &str) -> Sql {
    Sql::new(format!("ALTER {} ADD MAPPING FOR {mapping}", by_word(id)))
}

fn change(change: &mut Change<'_>) {
    if change.left.contains_key("parser") {
        return;
    }
    if let Some(values) = change.take("mappings") {
        let (gone, new) = lists(values);
        for mapping in gone {
            let token = mapping.split(" WITH ").next().unwrap_or_default();
            change.push(format!("ALTER {} DROP MAPPING FOR {token}", by_word(change.id)));
        }
        change.statements.extend(new.into_iter().map(|mapping| add(change.id, mapping)));
    }
}
