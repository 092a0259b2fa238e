//! Publications: what is published, and which changes.

use super::super::{Id, Object, Value};
use super::making::{Change, Making, Sql, World, by_word, first_word, plain_drop};
use super::query::{Row, comment, everything, flag, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::quote_literal;

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::Publication], present: Some("pg_publication"), query, making: MAKING };

/// What partitions do can be published as their root's.
const WITH_ROOTS: u32 = 130_000;

/// Generated columns can be published.
const WITH_GENERATED: u32 = 180_000;

/// Columns and rows of a table can be chosen, and whole schemas published.
const WITH_SCHEMAS: u32 = 150_000;

fn query(asked: &Asked<'_>) -> String {
    let (columns, schemas) = if asked.server_version >= WITH_SCHEMAS {
        (
            "|| coalesce((SELECT ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')' FROM pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)), '')
             || coalesce(' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')', '')",
            "(SELECT json_agg(quote_ident(pn.nspname) ORDER BY pn.nspname COLLATE \"C\") FROM pg_publication_namespace s JOIN pg_namespace pn ON pn.oid = s.pnnspid WHERE s.pnpubid = p.oid)",
        )
    } else {
        ("", "NULL")
    };
    let tables = format!(
        "(SELECT json_agg(w.text ORDER BY w.text COLLATE \"C\") FROM (SELECT format('%I.%I', tn.nspname, t.relname) {columns} FROM pg_publication_rel r
           JOIN pg_class t ON t.oid = r.prrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace WHERE r.prpubid = p.oid) w(text))"
    );
    Row {
        kind: "'publication'",
        name: ["NULL", "NULL", "p.pubname", "NULL"],
        addresses: &[("pg_publication", "p.oid", "0")],
        attributes: vec![
            ("all tables?", flag("p.puballtables")),
            ("publish", "CASE WHEN NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate) THEN concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END, CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END) END".to_owned()),
            ("via root?", flag("(to_jsonb(p) ->> 'pubviaroot')::boolean")),
            ("generated columns", "NULLIF(to_jsonb(p) ->> 'pubgencols', 'n')".to_owned()),
            ("tables[]", tables),
            ("schemas[]", schemas.to_owned()),
            owner("p.pubowner"),
            comment("pg_publication", "p.oid"),
        ],
        from: format!(
            "FROM pg_publication p WHERE {} AND {}",
            everything(asked),
            not_a_member(asked, "pg_publication", "p.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let what =
        if object.has("all tables") { " FOR ALL TABLES".to_owned() } else { published(object, " FOR ") };
    vec![Sql::new(format!("CREATE {}{what}{}", by_word(id), with(object, false, 0)))]
}

/// Tables and schemas, behind `before`.
fn published(object: &Object, before: &str) -> String {
    let mut parts = Vec::new();
    if object.has("tables") {
        // What inherits from a table is published where it is named itself.
        parts.push(format!("TABLE ONLY {}", object.list("tables").join(", ONLY ")));
    }
    if object.has("schemas") {
        parts.push(format!("TABLES IN SCHEMA {}", object.list("schemas").join(", ")));
    }
    if parts.is_empty() { String::new() } else { format!("{before}{}", parts.join(", ")) }
}

/// What is published of it; `all` says the defaults too.
fn with(object: &Object, all: bool, server_version: u32) -> String {
    let mut parts = Vec::new();
    match object.text("publish") {
        Some(publish) => parts.push(format!("publish = {}", quote_literal(publish))),
        None if all => parts.push("publish = 'insert, update, delete, truncate'".to_owned()),
        None => {}
    }
    if object.has("via root") || all && server_version >= WITH_ROOTS {
        parts.push(format!("publish_via_partition_root = {}", object.has("via root")));
    }
    let columns = object.text("generated columns");
    if columns.is_some() || all && server_version >= WITH_GENERATED {
        let columns = if columns == Some("s") { "stored" } else { "none" };
        parts.push(format!("publish_generated_columns = {columns}"));
    }
    match (parts.is_empty(), all) {
        (true, _) => String::new(),
        (false, true) => format!("({})", parts.join(", ")),
        (false, false) => format!(" WITH ({})", parts.join(", ")),
    }
}

fn change(change: &mut Change<'_>) {
    if change.left.contains_key("all tables") {
        return;
    }
    let alter = format!("ALTER {}", by_word(change.id));
    let differs = ["publish", "via root", "generated columns"]
        .map(|attribute| change.take(attribute).is_some())
        .contains(&true);
    if differs {
        change.push(format!("{alter} SET {}", with(change.to, true, change.world.from.server_version)));
    }
    if [change.take("tables"), change.take("schemas")].iter().any(Option::is_some) {
        match published(change.to, "SET ") {
            empty if empty.is_empty() => change.push(format!("{alter} {}", published_names(change.from))),
            set => change.push(format!("{alter} {set}")),
        }
    }
}

/// What has to be dropped so that nothing is left; columns and conditions are not named there.
fn published_names(object: &Object) -> String {
    let name = |table: &String| first_word(table).to_owned();
    let bare = Object {
        attributes: object
            .attributes
            .iter()
            .map(|(attribute, value)| match value {
                Value::List(list) if attribute == "tables" => {
                    (attribute.clone(), Value::List(list.iter().map(name).collect()))
                }
                other => (attribute.clone(), other.clone()),
            })
            .collect(),
        needs: std::collections::BTreeSet::new(),
    };
    published(&bare, "DROP ")
}
