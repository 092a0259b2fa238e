//! What statements change that is no object of a database's own schemas: the server's roles and settings, the database itself,
//! PostgreSQL's own objects, how far sequences have counted. Whoever compares two schemas does not see it.

use pg_query::NodeEnum;
use pg_query::protobuf::{GrantStmt, ObjectType, RoleSpec};

use super::model::ObjectKind;
use super::{names, walk};
use crate::sql::Parsed;

/// Languages that come with PostgreSQL.
const LANGUAGES: [&str; 4] = ["plpgsql", "sql", "c", "internal"];

/// What a text changes beyond the schemas, in words that begin with the command.
pub fn beyond(parsed: &Parsed) -> Vec<String> {
    parsed.statements().filter_map(words).collect()
}

fn words(node: &NodeEnum) -> Option<String> {
    let of = |command: &str, name: &str| Some(format!("{command} {name}"));
    match node {
        NodeEnum::CreateRoleStmt(create) => of("CREATE ROLE", &create.role),
        NodeEnum::AlterRoleStmt(alter) => of("ALTER ROLE", role(alter.role.as_ref())),
        NodeEnum::AlterRoleSetStmt(alter) => of("ALTER ROLE … SET", role(alter.role.as_ref())),
        NodeEnum::DropRoleStmt(drop) => {
            let roles = drop.roles.iter().filter_map(|node| match &node.node {
                Some(NodeEnum::RoleSpec(spec)) => Some(spec.rolename.as_str()),
                _ => None,
            });
            of("DROP ROLE", &roles.collect::<Vec<_>>().join(", "))
        }
        NodeEnum::GrantRoleStmt(grant) => {
            let granted = grant.granted_roles.iter().filter_map(|node| match &node.node {
                Some(NodeEnum::AccessPriv(role)) => Some(role.priv_name.as_str()),
                _ => None,
            });
            of(if grant.is_grant { "GRANT" } else { "REVOKE" }, &granted.collect::<Vec<_>>().join(", "))
        }
        NodeEnum::GrantStmt(grant) => granted(grant),
        NodeEnum::CreatedbStmt(create) => of("CREATE DATABASE", &create.dbname),
        NodeEnum::DropdbStmt(drop) => of("DROP DATABASE", &drop.dbname),
        NodeEnum::AlterDatabaseStmt(alter) => of("ALTER DATABASE", &alter.dbname),
        NodeEnum::AlterDatabaseSetStmt(alter) => of("ALTER DATABASE … SET", &alter.dbname),
        NodeEnum::AlterSystemStmt(_) => Some("ALTER SYSTEM".to_owned()),
        NodeEnum::CreateTableSpaceStmt(create) => of("CREATE TABLESPACE", &create.tablespacename),
        NodeEnum::DropTableSpaceStmt(drop) => of("DROP TABLESPACE", &drop.tablespacename),
        NodeEnum::AlterTableSpaceOptionsStmt(alter) => of("ALTER TABLESPACE", &alter.tablespacename),
        NodeEnum::CommentStmt(comment) => {
            let word = above(comment.objtype())?;
            let object = names::addressed(comment.objtype(), comment.object.as_deref()?)?;
            Some(format!("COMMENT ON {word} {}", object.name))
        }
        NodeEnum::AlterOwnerStmt(alter) => {
            let object = names::addressed(alter.object_type(), alter.object.as_deref()?)?;
            let public = alter.object_type() == ObjectType::ObjectSchema && object.name == "public";
            let word = if public { "SCHEMA" } else { above(alter.object_type())? };
            Some(format!("ALTER {word} {} OWNER", object.name))
        }
        NodeEnum::SelectStmt(_) => {
            let sets = |routine: &super::ObjectRef| {
                routine.name == "setval"
                    && routine.schema.as_ref().is_none_or(|schema| schema == "pg_catalog")
            };
            walk::find(node).called.iter().any(sets).then(|| "setval".to_owned())
        }
        _ => None,
    }
}

fn role(spec: Option<&RoleSpec>) -> &str {
    spec.map_or("", |spec| spec.rolename.as_str())
}

/// What stands above the schemas of a database.
fn above(object: ObjectType) -> Option<&'static str> {
    match object {
        ObjectType::ObjectDatabase => Some("DATABASE"),
        ObjectType::ObjectRole => Some("ROLE"),
        ObjectType::ObjectTablespace => Some("TABLESPACE"),
        ObjectType::ObjectParameterAcl => Some("PARAMETER"),
        _ => None,
    }
}

fn granted(grant: &GrantStmt) -> Option<String> {
    let verb = if grant.is_grant { "GRANT" } else { "REVOKE" };
    let objtype = grant.objtype();
    let objects = grant.objects.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::RangeVar(relation)) => Some(names::relation(ObjectKind::Relation, relation)),
        _ => names::addressed(objtype, node),
    });
    let is_system = |object: &super::ObjectRef| {
        matches!(object.schema.as_deref(), Some("pg_catalog" | "information_schema"))
            || objtype == ObjectType::ObjectLanguage && LANGUAGES.contains(&object.name.as_str())
            || objtype == ObjectType::ObjectSchema
                && matches!(object.name.as_str(), "pg_catalog" | "information_schema")
            || above(objtype).is_some()
    };
    let found = objects.into_iter().find(is_system);
    match (found, above(objtype)) {
        (Some(object), word) => Some(format!(
            "{verb} ON {}",
            word.map_or_else(|| object.to_string(), |word| format!("{word} {}", object.name))
        )),
        (None, Some(word)) => Some(format!("{verb} ON {word}")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::beyond;
    use crate::sql::parse;

    #[test]
    fn what_no_schema_holds_is_named() {
        for (sql, words) in [
            ("CREATE ROLE r", "CREATE ROLE r"),
            ("ALTER ROLE r SUPERUSER", "ALTER ROLE r"),
            ("ALTER ROLE r SET work_mem = '1MB'", "ALTER ROLE … SET r"),
            ("DROP ROLE a, b", "DROP ROLE a, b"),
            ("GRANT a TO b", "GRANT a"),
            ("REVOKE a FROM b", "REVOKE a"),
            ("COMMENT ON DATABASE d IS 'x'", "COMMENT ON DATABASE d"),
            ("COMMENT ON ROLE r IS 'x'", "COMMENT ON ROLE r"),
            (
                "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO r",
                "GRANT ON function pg_catalog.pg_ls_dir",
            ),
            ("GRANT SELECT ON pg_catalog.pg_authid TO r", "GRANT ON relation pg_catalog.pg_authid"),
            ("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "REVOKE ON language plpgsql"),
            ("GRANT CONNECT ON DATABASE d TO r", "GRANT ON DATABASE d"),
            ("ALTER SCHEMA public OWNER TO r", "ALTER SCHEMA public OWNER"),
            ("ALTER DATABASE d OWNER TO r", "ALTER DATABASE d OWNER"),
            ("ALTER DATABASE d SET work_mem = '1MB'", "ALTER DATABASE … SET d"),
            ("SELECT setval('s', 100)", "setval"),
        ] {
            assert_eq!(beyond(&parse(sql).unwrap()), [words], "{sql}");
        }
        for sql in [
            "GRANT SELECT ON t TO r",
            "GRANT EXECUTE ON FUNCTION f() TO r",
            "ALTER SCHEMA app OWNER TO r",
            "COMMENT ON TABLE t IS 'x'",
            "SELECT app.setval(1)",
            "GRANT USAGE ON LANGUAGE ours TO r",
        ] {
            assert!(beyond(&parse(sql).unwrap()).is_empty(), "{sql}");
        }
    }
}
