//! Default privileges: what will be granted on objects that a role makes later.

use super::super::{Id, Object};
use super::making::{Change, Making, Sql, World, lists};
use super::query::{Row, grants, in_scope};
use super::{Asked, Kind};
use crate::effects::ObjectKind;
use crate::sql::quote_ident;

pub(crate) const KIND: Kind =
    Kind { kinds: &[ObjectKind::DefaultPrivileges], present: Some("pg_default_acl"), query, making: MAKING };

fn query(asked: &Asked<'_>) -> String {
    // Those of a schema come on top of the defaults; those of a role alone replace them.
    let letter = "CASE WHEN d.defaclnamespace = 0 THEN CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END END";
    let at_first = format!("({letter})::\"char\"");
    let [granted, revoked] = grants("d.defaclacl", &at_first, "d.defaclrole");
    Row {
        kind: "'default privileges'",
        name: [
            "n.nspname",
            "NULL",
            "quote_ident(pg_get_userbyid(d.defaclrole))",
            "CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END",
        ],
        addresses: &[("pg_default_acl", "d.oid", "0")],
        attributes: vec![granted, revoked],
        from: format!(
            "FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace WHERE d.defaclnamespace = 0 AND {} OR {}",
            super::query::everything(asked),
            in_scope(asked)
        ),
    }
    .sql()
}

const MAKING: Making = Making { target, grantee: None, create, change, drop, remade: false };

fn target(id: &Id) -> String {
    id.to_string()
}

fn statement(id: &Id, verb: &str, entry: &str) -> Sql {
    let schema =
        id.schema.as_ref().map(|schema| format!(" IN SCHEMA {}", quote_ident(schema))).unwrap_or_default();
    let (privilege, rest) = entry.split_once(" TO ").unwrap_or((entry, "PUBLIC"));
    let objects = id.arguments.as_deref().unwrap_or("TABLES");
    let whom = if verb == "GRANT" {
        format!("TO {rest}")
    } else {
        format!("FROM {}", rest.trim_end_matches(" WITH GRANT OPTION"))
    };
    Sql::new(format!(
        "ALTER DEFAULT PRIVILEGES FOR ROLE {}{schema} {verb} {privilege} ON {objects} {whom}",
        id.name
    ))
}

fn create(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let revoked = object.list("revoked").iter().map(|entry| statement(id, "REVOKE", entry));
    revoked.chain(object.list("grants").iter().map(|entry| statement(id, "GRANT", entry))).collect()
}

fn change(change: &mut Change<'_>) {
    let (given_back, taken) = lists(change.take("revoked").unwrap_or_default());
    let (gone, new) = lists(change.take("grants").unwrap_or_default());
    // What is taken may be what is given in another way.
    change.statements.extend(gone.iter().chain(&taken).map(|entry| statement(change.id, "REVOKE", entry)));
    change.statements.extend(given_back.iter().chain(&new).map(|entry| statement(change.id, "GRANT", entry)));
}

fn drop(id: &Id, object: &Object, _: &World<'_>) -> Vec<Sql> {
    let granted = object.list("grants").iter().map(|entry| statement(id, "REVOKE", entry));
    granted.chain(object.list("revoked").iter().map(|entry| statement(id, "GRANT", entry))).collect()
}
