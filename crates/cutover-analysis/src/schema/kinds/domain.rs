//! Domains with their constraints.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, by_word, first_word, hazards, lists, plain_drop, text};
use super::query::{Row, comment, grants, in_scope, not_a_member, owner};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind = Kind {
    kinds: &[ObjectKind::Domain],
    present: Some("pg_type WHERE oid >= 16384 AND typtype = 'd'"),
    query,
    making: MAKING,
};

fn query(asked: &Asked<'_>) -> String {
    let [granted, revoked] = grants("t.typacl", "'T'", "t.typowner");
    Row {
        kind: "'domain'",
        name: ["n.nspname", "NULL", "t.typname", "NULL"],
        addresses: &[
            ("pg_type", "t.oid", "0"),
            ("pg_type", "NULLIF(t.typarray, 0)", "0"),
        ],
        attributes: vec![
            ("type", "format_type(t.typbasetype, t.typtypmod)".to_owned()),
            ("collation", "CASE WHEN t.typcollation <> bt.typcollation THEN (SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = t.typcollation) END".to_owned()),
            ("not null?", "CASE WHEN t.typnotnull THEN true END".to_owned()),
            // Not `typdefault`: that has names as they were written under the search path of then.
            ("default", "pg_get_expr(t.typdefaultbin, 0)".to_owned()),
            ("constraints[]", "(SELECT json_agg('CONSTRAINT ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid) ORDER BY k.conname COLLATE \"C\") FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c')".to_owned()),
            owner("t.typowner"),
            comment("pg_type", "t.oid"),
            granted,
            revoked,
        ],
        from: format!(
            "FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace AND {} JOIN pg_type bt ON bt.oid = t.typbasetype
             WHERE t.typtype = 'd' AND {}",
            in_scope(asked),
            not_a_member(asked, "pg_type", "t.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: by_word, grantee: None, create, change, drop: plain_drop, remade: false };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let mut sql = format!("CREATE DOMAIN {} AS {}", id.name_sql(), object.text("type").unwrap_or_default());
    if let Some(collation) = object.text("collation") {
        sql.extend([format!(" COLLATE {collation}")]);
    }
    if let Some(default) = object.text("default") {
        sql.extend([format!(" DEFAULT {default}")]);
    }
    if object.has("not null") {
        sql += " NOT NULL";
    }
    for constraint in object.list("constraints") {
        sql.extend([format!(" {constraint}")]);
    }
    vec![Sql::new(sql)]
}

fn change(change: &mut Change<'_>) {
    let alter = format!("ALTER DOMAIN {}", change.id.name_sql());
    if let Some((_, default)) = change.take("default") {
        change.push(match text(default) {
            Some(default) => format!("{alter} SET DEFAULT {default}"),
            None => format!("{alter} DROP DEFAULT"),
        });
    }
    if let Some((_, not_null)) = change.take("not null") {
        let verb = if not_null.is_some() { "SET" } else { "DROP" };
        let sql = Sql::new(format!("{alter} {verb} NOT NULL"));
        change.statements.push(if not_null.is_some() { sql.hazard(hazards::MAY_FAIL) } else { sql });
    }
    if let Some(values) = change.take("constraints") {
        let (gone, new) = lists(values);
        for constraint in gone {
            change.push(format!("{alter} DROP {}", constraint_name(constraint)));
        }
        for constraint in new {
            change.statements.push(Sql::new(format!("{alter} ADD {constraint}")).hazard(hazards::MAY_FAIL));
        }
    }
}

/// `CONSTRAINT name` of `CONSTRAINT name CHECK …`; the name may be quoted.
fn constraint_name(constraint: &str) -> &str {
    let words = "CONSTRAINT ".len();
    let name = constraint.get(words..).map_or(0, |rest| first_word(rest).len());
    constraint.get(..words + name).unwrap_or(constraint)
}
