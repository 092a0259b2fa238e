//! Statements on what belongs to the whole server and not to one of its databases.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RoleSpec};

use super::model::{ObjectKind, ObjectRef};
use super::names;
use crate::sql::Parsed;

/// What a statement does to roles or databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerWide {
    /// It makes one.
    Makes(ObjectRef),
    /// It changes what one is.
    Alters(ObjectRef),
    /// It drops them.
    Drops(Vec<ObjectRef>),
}

/// What the text does to roles or databases, where it is one such statement.
pub fn server_wide(parsed: &Parsed) -> Option<ServerWide> {
    let mut statements = parsed.statements();
    let (Some(node), None) = (statements.next(), statements.next()) else { return None };
    let of = |kind, name: &str| ObjectRef::new(kind, None, name);
    let altered = |role: &Option<RoleSpec>| role.as_ref().and_then(names::role).map(ServerWide::Alters);
    match node {
        NodeEnum::CreateRoleStmt(create) => Some(ServerWide::Makes(of(ObjectKind::Role, &create.role))),
        NodeEnum::CreatedbStmt(create) => Some(ServerWide::Makes(of(ObjectKind::Database, &create.dbname))),
        NodeEnum::AlterRoleStmt(alter) => altered(&alter.role),
        NodeEnum::AlterRoleSetStmt(alter) => altered(&alter.role),
        NodeEnum::DropRoleStmt(drop) => Some(ServerWide::Drops(drop.roles.iter().filter_map(role).collect())),
        NodeEnum::DropdbStmt(drop) => Some(ServerWide::Drops(vec![of(ObjectKind::Database, &drop.dbname)])),
        _ => None,
    }
}

fn role(node: &Node) -> Option<ObjectRef> {
    match node.node.as_ref()? {
        NodeEnum::RoleSpec(spec) => names::role(spec),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{ServerWide, server_wide};
    use crate::sql::parse;

    #[test]
    fn roles_and_databases_are_of_the_server() {
        let of = |sql: &str| match server_wide(&parse(sql).unwrap()) {
            Some(ServerWide::Makes(one)) => format!("makes {one}"),
            Some(ServerWide::Alters(one)) => format!("alters {one}"),
            Some(ServerWide::Drops(all)) => format!("drops {}", all.len()),
            None => "nothing".to_owned(),
        };
        assert_eq!(of("CREATE USER a PASSWORD 'x'"), "makes role a");
        assert_eq!(of("ALTER GROUP a ADD USER b"), "alters role a");
        assert_eq!(of("DROP ROLE IF EXISTS a, b"), "drops 2");
        assert_eq!(of("CREATE DATABASE d"), "makes database d");
        assert_eq!(of("CREATE TABLE role (n int)"), "nothing");
    }
}
