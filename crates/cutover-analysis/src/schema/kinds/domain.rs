//! Domains with their constraints.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, by_word, first_word, hazards, lists, plain_drop, text};
use super::query::{Row, comment, grants, in_scope, not_a_member, owner};
use super::types::column_with;
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
            ("constraint comments[]", "(SELECT json_agg(quote_ident(k.conname) || ' IS ' || quote_literal(kd.description) ORDER BY k.conname COLLATE \"C\") FROM pg_constraint k
               JOIN pg_description kd ON kd.classoid = 'pg_constraint'::regclass AND kd.objoid = k.oid WHERE k.contypid = t.oid AND k.contype = 'c')".to_owned()),
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
    // CREATE DOMAIN knows no constraints that are not valid.
    let (behind, inside): (Vec<&String>, Vec<&String>) =
        object.list("constraints").iter().partition(|constraint| constraint.ends_with(NOT_VALID));
    for constraint in inside {
        sql.extend([format!(" {constraint}")]);
    }
    let mut statements = vec![Sql::new(sql)];
    let add = |constraint: &String| Sql::new(format!("ALTER DOMAIN {} ADD {constraint}", id.name_sql()));
    statements.extend(behind.into_iter().map(add));
    statements
        .extend(object.list("constraint comments").iter().map(|entry| comment_on_constraint(id, entry)));
    statements
}

const NOT_VALID: &str = " NOT VALID";

/// A column that holds values of the domain within others: PostgreSQL cannot look at these.
fn held_within(change: &Change<'_>) -> Option<Id> {
    let (from, to) = (change.world.from, change.world.to);
    let mut to_see = vec![change.id];
    while let Some(domain) = to_see.pop() {
        let name = domain.name_sql();
        for (other, object) in from.objects.iter().filter(|(_, object)| object.needs.contains(domain)) {
            let is_of_it = object.text("type") == Some(name.as_str());
            let is_array_of_it = object.text("type").and_then(|text| text.strip_suffix("[]")) == Some(&name);
            let user = match other.kind {
                ObjectKind::Column if is_array_of_it => Some(other.clone()),
                ObjectKind::Domain if is_of_it => {
                    to_see.push(other);
                    None
                }
                ObjectKind::Domain | ObjectKind::Type => column_with(from, other),
                _ => None,
            };
            if let Some(user) = user.filter(|user| to.objects.contains_key(user)) {
                return Some(user);
            }
        }
    }
    None
}

/// `entry` is `name IS 'text'`.
fn comment_on_constraint(id: &Id, entry: &str) -> Sql {
    let name = first_word(entry);
    let text = entry.get(name.len()..).unwrap_or_default();
    Sql::new(format!("COMMENT ON CONSTRAINT {name} ON DOMAIN {}{text}", id.name_sql()))
}

fn change(change: &mut Change<'_>) {
    let alter = format!("ALTER DOMAIN {}", change.id.name_sql());
    if let Some((_, default)) = change.take("default") {
        change.push(match text(default) {
            Some(default) => format!("{alter} SET DEFAULT {default}"),
            None => format!("{alter} DROP DEFAULT"),
        });
    }
    let within = held_within(change);
    let refused = |what: &str| {
        let column = within.as_ref()?;
        Some(format!(
            "{what}: PostgreSQL refuses that while {column} holds it within an array or another type"
        ))
    };
    if let Some((_, not_null)) = change.take("not null") {
        match (not_null, refused("NOT NULL")) {
            (None, _) => change.push(format!("{alter} DROP NOT NULL")),
            (Some(_), Some(why)) => change.impossible.push(why),
            (Some(_), None) => {
                change.statements.push(Sql::new(format!("{alter} SET NOT NULL")).hazard(hazards::MAY_FAIL));
            }
        }
    }
    if let Some(values) = change.take("constraints") {
        let (mut gone, mut new) = lists(values);
        new.retain(|constraint| {
            let why = refused(constraint).filter(|_| !constraint.ends_with(NOT_VALID));
            let is_made = why.is_none();
            if !is_made {
                gone.retain(|old| constraint_name(old) != constraint_name(constraint));
            }
            change.impossible.extend(why);
            is_made
        });
        for constraint in gone {
            change.push(format!("{alter} DROP {}", constraint_name(constraint)));
        }
        for constraint in new {
            let add = Sql::new(format!("{alter} ADD {constraint}"));
            let is_checked = !constraint.ends_with(NOT_VALID);
            change.statements.push(if is_checked { add.hazard(hazards::MAY_FAIL) } else { add });
        }
    }
    change_comments(change);
}

/// Comments of constraints; one that was made anew has none yet.
fn change_comments(change: &mut Change<'_>) {
    let values = change.take("constraint comments").unwrap_or_default();
    let (gone, mut new) = lists(values);
    let is_of = |constraint: &str, entry: &str| {
        constraint_name(constraint).strip_prefix("CONSTRAINT ") == Some(first_word(entry))
    };
    let (from, to) = (change.from.list("constraints"), change.to.list("constraints"));
    let remade = |entry: &str| to.iter().any(|one| is_of(one, entry) && !from.contains(one));
    for entry in change.to.list("constraint comments").iter().filter(|entry| remade(entry)) {
        if !new.contains(&entry.as_str()) {
            new.push(entry);
        }
    }
    for entry in gone {
        let named = |other: &&str| first_word(other) == first_word(entry);
        let stays = from.iter().any(|one| is_of(one, entry) && to.contains(one));
        if stays && !new.iter().any(named) {
            change
                .statements
                .push(comment_on_constraint(change.id, &format!("{} IS NULL", first_word(entry))));
        }
    }
    change.statements.extend(new.into_iter().map(|entry| comment_on_constraint(change.id, entry)));
}

/// `CONSTRAINT name` of `CONSTRAINT name CHECK …`; the name may be quoted.
fn constraint_name(constraint: &str) -> &str {
    let words = "CONSTRAINT ".len();
    let name = constraint.get(words..).map_or(0, |rest| first_word(rest).len());
    constraint.get(..words + name).unwrap_or(constraint)
}
