//! Row-level security policies.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, on_table, plain_drop};
use super::query::{Row, comment, flag, in_scope, not_a_member};
use super::{Asked, Kind};
use crate::effects::ObjectKind;

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::Policy], present: Some("pg_policy"), query, making: MAKING };

fn query(asked: &Asked<'_>) -> String {
    Row {
        kind: "'policy'",
        name: ["n.nspname", "c.relname", "p.polname", "NULL"],
        addresses: &[("pg_policy", "p.oid", "0")],
        attributes: vec![
            ("restrictive?", flag("NOT p.polpermissive")),
            ("command", "CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' END".to_owned()),
            ("roles[]", "CASE WHEN p.polroles <> '{0}' THEN (SELECT json_agg(quote_ident(pg_get_userbyid(r)) ORDER BY pg_get_userbyid(r) COLLATE \"C\") FROM unnest(p.polroles) r) END".to_owned()),
            ("using", "pg_get_expr(p.polqual, p.polrelid)".to_owned()),
            ("with check", "pg_get_expr(p.polwithcheck, p.polrelid)".to_owned()),
            comment("pg_policy", "p.oid"),
        ],
        from: format!(
            "FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace AND {} WHERE {}",
            in_scope(asked),
            not_a_member(asked, "pg_policy", "p.oid")
        ),
    }
    .sql()
}

const MAKING: Making =
    Making { target: on_table, grantee: None, create, change, drop: plain_drop, remade: true };

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let mut sql = format!("CREATE {}", on_table(id));
    if object.has("restrictive") {
        sql += " AS RESTRICTIVE";
    }
    if let Some(command) = object.text("command") {
        sql.extend([format!(" FOR {command}")]);
    }
    sql += &rest(object);
    vec![Sql::new(sql)]
}

fn rest(object: &Object) -> String {
    let roles = object.list("roles");
    let roles = if roles.is_empty() { " TO PUBLIC".to_owned() } else { format!(" TO {}", roles.join(", ")) };
    let using = object.text("using").map(|using| format!(" USING ({using})")).unwrap_or_default();
    let check = object.text("with check").map(|check| format!(" WITH CHECK ({check})")).unwrap_or_default();
    format!("{roles}{using}{check}")
}

fn change(change: &mut Change<'_>) {
    // ALTER POLICY can change a condition, not take it away.
    let taken_away = ["using", "with check"]
        .iter()
        .any(|condition| !change.to.has(condition) && change.from.has(condition));
    if taken_away || change.left.contains_key("restrictive") || change.left.contains_key("command") {
        return;
    }
    let differs =
        ["roles", "using", "with check"].map(|attribute| change.take(attribute).is_some()).contains(&true);
    if differs {
        change.push(format!("ALTER {}{}", on_table(change.id), rest(change.to)));
    }
}
