//! Extensions. What belongs to one is the extension's own affair.

use super::super::{Id, Object, Value};
use super::making::{Change, Making, Sql, World, by_word, plain_drop};
use super::query::{Row, comment, everything};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::{quote_ident, quote_literal};

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Extension],
    present: Some("pg_extension WHERE oid >= 16384"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'extension'",
        name: ["NULL", "NULL", "x.extname", "NULL"],
        addresses: &[("pg_extension", "x.oid", "0")],
        attributes: vec![
            ("version", "x.extversion".to_owned()),
            ("schema", "CASE WHEN n.nspname <> 'pg_catalog' THEN n.nspname END".to_owned()),
            ("takes along[]", MEMBERS_WITH_ROWS.to_owned()),
            comment_of_ours(),
        ],
        // `plpgsql` is there from the beginning.
        from: format!(
            "FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace WHERE x.oid >= 16384 AND {}",
            everything(asked)
        ),
    }
    .sql()
}

/// Members that hold rows or count: they are dropped with it.
const MEMBERS_WITH_ROWS: &str = "(SELECT json_agg(m.objid::regclass::text ORDER BY m.objid::regclass::text COLLATE \"C\") FROM pg_depend m
    JOIN pg_class mc ON mc.oid = m.objid AND mc.relkind IN ('r', 'p', 'S')
   WHERE m.refclassid = 'pg_extension'::regclass AND m.refobjid = x.oid AND m.deptype = 'e' AND m.classid = 'pg_class'::regclass)";

/// An extension's control file brings a comment of its own.
fn comment_of_ours() -> (&'static str, String) {
    let (name, sql) = comment("pg_extension", "x.oid");
    (
        name,
        format!("NULLIF({sql}, (SELECT a.comment FROM pg_available_extensions a WHERE a.name = x.extname))"),
    )
}

const MAKING: Making = Making { target: by_word, grantee: None, create, change, drop, remade: false };

fn drop(id: &Id, object: &Object, world: &World<'_>) -> Vec<Sql> {
    plain_drop(id, object, world).into_iter().map(|sql| sql.taking_along(object)).collect()
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let schema =
        object.text("schema").map(|schema| format!(" SCHEMA {}", quote_ident(schema))).unwrap_or_default();
    vec![Sql::new(format!("CREATE EXTENSION {}{schema}", id.name_sql()))]
}

fn change(change: &mut Change<'_>) {
    if let Some((_, version)) = change.take("version") {
        let version = version.map(Value::text).unwrap_or_default();
        change.push(format!(
            "ALTER EXTENSION {} UPDATE TO {}",
            change.id.name_sql(),
            quote_literal(&version)
        ));
    }
    if let Some((_, Some(schema))) = change.take("schema") {
        change.push(format!(
            "ALTER EXTENSION {} SET SCHEMA {}",
            change.id.name_sql(),
            quote_ident(&schema.text())
        ));
    }
}
