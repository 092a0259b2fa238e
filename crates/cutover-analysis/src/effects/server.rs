//! Objects beside or above schemas: databases, roles, tablespaces, extensions, foreign servers, replication; and
//! CREATE SCHEMA, whose elements are statements of their own.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterSubscriptionStmt, AlterSubscriptionType, CreateSchemaStmt, CreateSubscriptionStmt, Node,
    PublicationObjSpecType, RoleSpec, VariableSetStmt,
};

use super::builder::Builder;
use super::maintenance::{is_set, is_unset};
use super::model::{Check, ObjectKind as Kind, ObjectRef, Retry};
use super::{names, objects, relations, session};

pub(super) fn add(node: &NodeEnum, to: &mut Builder) -> bool {
    databases(node, to) || roles(node, to) || foreign(node, to) || replication(node, to) || others(node, to)
}

fn plain(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef::new(kind, None, name)
}

fn databases(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::CreatedbStmt(create) => {
            let object = plain(Kind::Database, &create.dbname);
            to.forbidden_checkable("CREATE DATABASE", Check::Exists(object.clone()));
            to.creates(object);
        }
        NodeEnum::DropdbStmt(drop) => {
            let object = plain(Kind::Database, &drop.dbname);
            to.forbidden_checkable("DROP DATABASE", Check::Absent(object.clone()));
            dropped(object, drop.missing_ok, to);
        }
        NodeEnum::AlterDatabaseStmt(alter) => {
            to.changes(plain(Kind::Database, &alter.dbname), false, "altered");
            if alter.options.iter().filter_map(relations::definition).any(|o| o.defname == "tablespace") {
                to.forbidden("ALTER DATABASE … SET TABLESPACE", Retry::Idempotent);
            }
        }
        NodeEnum::AlterDatabaseSetStmt(alter) => {
            to.changes(plain(Kind::Database, &alter.dbname), false, "altered");
            set(alter.setstmt.as_ref(), to);
        }
        NodeEnum::AlterDatabaseRefreshCollStmt(alter) => {
            to.changes(plain(Kind::Database, &alter.dbname), false, "altered");
        }
        NodeEnum::CreateTableSpaceStmt(create) => {
            let object = plain(Kind::Tablespace, &create.tablespacename);
            to.forbidden_checkable("CREATE TABLESPACE", Check::Exists(object.clone()));
            to.creates(object);
        }
        NodeEnum::DropTableSpaceStmt(drop) => {
            let object = plain(Kind::Tablespace, &drop.tablespacename);
            to.forbidden_checkable("DROP TABLESPACE", Check::Absent(object.clone()));
            dropped(object, drop.missing_ok, to);
        }
        NodeEnum::AlterTableSpaceOptionsStmt(alter) => {
            to.changes(plain(Kind::Tablespace, &alter.tablespacename), false, "altered");
        }
        NodeEnum::AlterSystemStmt(alter) => {
            set(alter.setstmt.as_ref(), to);
            to.forbidden("ALTER SYSTEM", Retry::Idempotent);
        }
        _ => return false,
    }
    true
}

/// A default of the sessions to come.
fn set(setting: Option<&VariableSetStmt>, to: &mut Builder) {
    if let Some(setting) = setting {
        session::search_path(setting, to);
    }
}

fn dropped(object: ObjectRef, missing_ok: bool, to: &mut Builder) {
    if !missing_ok {
        to.needs(object.clone(), "dropped");
    }
    to.drops(object);
}

fn roles(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::CreateRoleStmt(create) => to.creates(plain(Kind::Role, &create.role)),
        NodeEnum::AlterRoleStmt(alter) => altered_role(alter.role.as_ref(), to),
        NodeEnum::AlterRoleSetStmt(alter) => {
            altered_role(alter.role.as_ref(), to);
            set(alter.setstmt.as_ref(), to);
        }
        NodeEnum::DropRoleStmt(drop) => {
            for node in &drop.roles {
                if let Some(NodeEnum::RoleSpec(spec)) = node.node.as_ref()
                    && let Some(role) = names::role(spec)
                {
                    dropped(role, drop.missing_ok, to);
                }
            }
        }
        NodeEnum::DropOwnedStmt(drop) => {
            objects::roles(&drop.roles, "owner", to);
            disowned(&drop.roles, to);
            to.opaque("DROP OWNED drops what a role owns");
        }
        NodeEnum::ReassignOwnedStmt(reassign) => {
            objects::roles(&reassign.roles, "owner", to);
            disowned(&reassign.roles, to);
            if let Some(role) = reassign.newrole.as_ref().and_then(names::role) {
                to.needs(role, "new owner");
            }
            to.opaque("REASSIGN OWNED changes what a role owns");
        }
        _ => return false,
    }
    true
}

fn disowned(owners: &[Node], to: &mut Builder) {
    for node in owners {
        if let Some(NodeEnum::RoleSpec(spec)) = node.node.as_ref() {
            to.disowns(plain(Kind::Role, &spec.rolename));
        }
    }
}

fn altered_role(role: Option<&RoleSpec>, to: &mut Builder) {
    if let Some(role) = role.and_then(names::role) {
        to.changes(role, false, "altered");
    }
}

fn foreign(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::CreateFdwStmt(create) => {
            to.creates(plain(Kind::ForeignDataWrapper, &create.fdwname));
            for option in create.func_options.iter().filter_map(relations::definition) {
                if let Some(NodeEnum::List(name)) = option.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
                    to.needs_named(Kind::Function, &name.items, "handler of a wrapper");
                }
            }
        }
        NodeEnum::AlterFdwStmt(alter) => {
            to.changes(plain(Kind::ForeignDataWrapper, &alter.fdwname), false, "altered");
        }
        NodeEnum::CreateForeignServerStmt(create) => {
            to.creates(plain(Kind::ForeignServer, &create.servername));
            to.needs(plain(Kind::ForeignDataWrapper, &create.fdwname), "wrapper of a server");
        }
        NodeEnum::AlterForeignServerStmt(alter) => {
            to.changes(plain(Kind::ForeignServer, &alter.servername), false, "altered");
        }
        NodeEnum::CreateUserMappingStmt(create) => {
            to.needs(plain(Kind::ForeignServer, &create.servername), "server of a user mapping");
            to.creates(user_mapping(create.user.as_ref(), &create.servername));
        }
        NodeEnum::AlterUserMappingStmt(alter) => {
            to.changes(user_mapping(alter.user.as_ref(), &alter.servername), false, "altered");
        }
        NodeEnum::DropUserMappingStmt(drop) => {
            dropped(user_mapping(drop.user.as_ref(), &drop.servername), drop.missing_ok, to);
        }
        NodeEnum::ImportForeignSchemaStmt(import) => {
            to.needs(plain(Kind::ForeignServer, &import.server_name), "imported from");
            to.needs(plain(Kind::Schema, &import.local_schema), "imported into");
            to.opaque("IMPORT FOREIGN SCHEMA creates what the other server has");
        }
        _ => return false,
    }
    true
}

fn user_mapping(user: Option<&RoleSpec>, server: &str) -> ObjectRef {
    let name = user.map(|user| user.rolename.clone()).unwrap_or_default();
    ObjectRef { kind: Kind::UserMapping, schema: None, name: name.into(), table: Some(server.into()) }
}

fn replication(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::CreatePublicationStmt(create) => {
            to.creates(plain(Kind::Publication, &create.pubname));
            published(&create.pubobjects, to);
        }
        NodeEnum::AlterPublicationStmt(alter) => {
            to.changes(plain(Kind::Publication, &alter.pubname), false, "altered");
            published(&alter.pubobjects, to);
        }
        NodeEnum::CreateSubscriptionStmt(create) => create_subscription(create, to),
        NodeEnum::AlterSubscriptionStmt(alter) => alter_subscription(alter, to),
        NodeEnum::DropSubscriptionStmt(drop) => {
            let object = plain(Kind::Subscription, &drop.subname);
            to.forbidden_checkable("DROP SUBSCRIPTION", Check::Absent(object.clone()));
            dropped(object, drop.missing_ok, to);
        }
        _ => return false,
    }
    true
}

fn published(specs: &[Node], to: &mut Builder) {
    for node in specs {
        let Some(NodeEnum::PublicationObjSpec(spec)) = node.node.as_ref() else {
            continue;
        };
        if let Some(table) = &spec.pubtable {
            to.needs_relation(Kind::Table, table.relation.as_ref(), "published");
            to.needs_all_in(&table.where_clause, "in the condition of a publication");
        }
        if spec.pubobjtype() == PublicationObjSpecType::PublicationobjTablesInSchema {
            to.needs(plain(Kind::Schema, &spec.name), "published");
        }
    }
}

fn create_subscription(create: &CreateSubscriptionStmt, to: &mut Builder) {
    let object = plain(Kind::Subscription, &create.subname);
    // With a slot to create on the other server, as is the default.
    if !is_unset(&create.options, "connect") && !is_unset(&create.options, "create_slot") {
        to.forbidden_checkable("CREATE SUBSCRIPTION with a replication slot", Check::Exists(object.clone()));
    }
    to.creates(object);
}

fn alter_subscription(alter: &AlterSubscriptionStmt, to: &mut Builder) {
    use AlterSubscriptionType as Type;
    to.changes(plain(Kind::Subscription, &alter.subname), false, "altered");
    let refreshes = match alter.kind() {
        Type::AlterSubscriptionRefresh => true,
        Type::AlterSubscriptionSetPublication
        | Type::AlterSubscriptionAddPublication
        | Type::AlterSubscriptionDropPublication => !is_unset(&alter.options, "refresh"),
        _ => false,
    };
    if refreshes {
        to.forbidden("ALTER SUBSCRIPTION with refresh", Retry::Idempotent);
    } else if ["failover", "two_phase"]
        .iter()
        .any(|name| is_set(&alter.options, name) || is_unset(&alter.options, name))
    {
        to.forbidden("ALTER SUBSCRIPTION of its slot", Retry::Idempotent);
    }
}

fn others(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::CreateSchemaStmt(create) => schema(create, to),
        NodeEnum::CreateExtensionStmt(create) => {
            to.creates(plain(Kind::Extension, &create.extname));
            to.must_be_new(create.if_not_exists);
            for option in create.options.iter().filter_map(relations::definition) {
                let schema = option.arg.as_deref().and_then(names::text);
                if let ("schema", Some(schema)) = (option.defname.as_str(), schema) {
                    to.needs(plain(Kind::Schema, schema), "schema of an extension");
                }
            }
            to.opaque("CREATE EXTENSION creates what its script says");
            to.session_state();
        }
        NodeEnum::AlterExtensionStmt(alter) => {
            to.changes(plain(Kind::Extension, &alter.extname), false, "altered");
            to.opaque("ALTER EXTENSION … UPDATE does what its script says");
            to.session_state();
        }
        NodeEnum::AlterExtensionContentsStmt(alter) => {
            to.changes(plain(Kind::Extension, &alter.extname), false, "altered");
            let object = alter.object.as_deref().and_then(|object| names::addressed(alter.objtype(), object));
            if let Some(object) = object {
                to.changes(object, false, "member of an extension");
            }
        }
        _ => return false,
    }
    true
}

fn schema(create: &CreateSchemaStmt, to: &mut Builder) {
    let owner = create.authrole.as_ref().and_then(names::role);
    let name = match (&owner, create.schemaname.as_str()) {
        // Named after its owner.
        (Some(owner), "") => owner.name.clone(),
        (_, name) => name.into(),
    };
    to.creates(plain(Kind::Schema, &name));
    to.must_be_new(create.if_not_exists);
    if let Some(owner) = owner {
        to.needs(owner, "owner of a schema");
    }
    for element in create.schema_elts.iter().filter_map(|node| node.node.as_ref()) {
        let mut within = Builder::default();
        super::statement(element, &mut within);
        to.take_in_schema(within, &name);
    }
}
