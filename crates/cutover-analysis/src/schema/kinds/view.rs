//! Views and materialized views.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, by_word, parameters, plain_drop, storage_options, text};
use super::query::{Row, comment, grants, in_scope, not_a_member, owner, sorted};
use super::table::place;
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::quote_ident;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::View, ObjectKind::MaterializedView],
    present: Some("pg_class WHERE oid >= 16384 AND relkind IN ('v', 'm')"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("c.relacl", "'r'", "c.relowner");
    let [method, tablespace] = place("c");
    Row {
        kind: "CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END",
        name: ["n.nspname", "NULL", "c.relname", "NULL"],
        addresses: &[
            ("pg_class", "c.oid", "0"),
            ("pg_type", "c.reltype", "0"),
            ("pg_type", "(SELECT NULLIF(rt.typarray, 0) FROM pg_type rt WHERE rt.oid = c.reltype)", "0"),
            ("pg_rewrite", "(SELECT rw.oid FROM pg_rewrite rw WHERE rw.ev_class = c.oid AND rw.rulename = '_RETURN')", "0"),
        ],
        attributes: vec![
            // Which columns there are decides whether CREATE OR REPLACE can change it.
            ("columns[]", "(SELECT json_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)".to_owned()),
            ("definition", "rtrim(pg_get_viewdef(c.oid), ';')".to_owned()),
            ("options[]", sorted("c.reloptions")),
            ("clustered on", "(SELECT quote_ident(ic.relname) FROM pg_index ix JOIN pg_class ic ON ic.oid = ix.indexrelid WHERE ix.indrelid = c.oid AND ix.indisclustered)".to_owned()),
            method,
            tablespace,
            owner("c.relowner"),
            comment("pg_class", "c.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND {}
             WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't' AND {}",
            in_scope(asked),
            not_a_member(asked, "pg_class", "c.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: Some(grantee), create, change, drop: plain_drop, remade: true };

/// GRANT knows views as tables.
fn grantee(id: &Id) -> String {
    format!("TABLE {}", id.name_sql())
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let method = object
        .text("access method")
        .map(|method| format!(" USING {}", quote_ident(method)))
        .unwrap_or_default();
    let tablespace = object
        .text("tablespace")
        .map(|name| format!(" TABLESPACE {}", quote_ident(name)))
        .unwrap_or_default();
    let mut statements = vec![Sql::new(format!(
        "CREATE {}{method}{}{tablespace} AS\n{}",
        by_word(id),
        with_options(object),
        definition(object)
    ))];
    if let Some(index) = object.text("clustered on") {
        statements.push(Sql::new(format!("ALTER {} CLUSTER ON {index}", by_word(id))).late());
    }
    statements
}

fn with_options(object: &Object) -> String {
    if object.has("options") {
        format!(" WITH ({})", parameters(object.list("options")))
    } else {
        String::new()
    }
}

fn definition(object: &Object) -> &str {
    object.text("definition").unwrap_or_default()
}

fn change(change: &mut Change<'_>) {
    let alter = format!("ALTER {}", by_word(change.id));
    let before = change.from.list("columns");
    let keeps_columns = change.to.list("columns").starts_with(before);
    if change.id.kind == ObjectKind::View && keeps_columns && change.left.contains_key("definition") {
        change.take("definition");
        change.take("columns");
        // Without its options CREATE OR REPLACE would take them away.
        change.take("options");
        let sql = format!(
            "CREATE OR REPLACE {}{} AS\n{}",
            by_word(change.id),
            with_options(change.to),
            definition(change.to)
        );
        change.push(sql);
    }
    if change.left.contains_key("definition") || change.left.contains_key("columns") {
        return;
    }
    if let Some(values) = change.take("options") {
        change.statements.extend(storage_options(&alter, values));
    }
    if let Some((_, to)) = change.take("clustered on") {
        let sql =
            text(to).map_or_else(|| "SET WITHOUT CLUSTER".to_owned(), |index| format!("CLUSTER ON {index}"));
        change.statements.push(Sql::new(format!("{alter} {sql}")).late());
    }
    if let Some((_, to)) = change.take("tablespace") {
        change.push(format!(
            "{alter} SET TABLESPACE {}",
            quote_ident(&text(to).unwrap_or_else(|| "pg_default".to_owned()))
        ));
    }
}
