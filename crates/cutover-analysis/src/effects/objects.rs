//! Commands that exist for many kinds of objects: DROP, renaming, moving, owners, comments, grants.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    self, DropStmt, GrantStmt, GrantTargetType, Node, ObjectType, RangeVar, RenameStmt,
};

use super::builder::Builder;
use super::model::{Check, ObjectKind as Kind, ObjectRef, Taking};
use super::{names, relations};

pub(super) fn add(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::DropStmt(drop) => self::drop(drop, to),
        NodeEnum::RenameStmt(rename) => self::rename(rename, to),
        NodeEnum::AlterObjectSchemaStmt(alter) => set_schema(alter, to),
        NodeEnum::AlterOwnerStmt(alter) => {
            change(alter.object_type(), alter.relation.as_ref(), alter.object.as_deref(), false, to);
            if let Some(role) = alter.newowner.as_ref().and_then(names::role) {
                to.needs(role, "new owner");
            }
        }
        NodeEnum::AlterObjectDependsStmt(alter) => {
            if let Some(object) = depending(alter) {
                to.changes(object, false, "altered");
            }
            if let Some(extension) = &alter.extname {
                to.needs(ObjectRef::new(Kind::Extension, None, extension.sval.as_str()), "depended on");
            }
        }
        NodeEnum::CommentStmt(comment) => {
            change(comment.objtype(), None, comment.object.as_deref(), false, to);
        }
        NodeEnum::SecLabelStmt(label) => {
            change(label.objtype(), None, label.object.as_deref(), false, to);
        }
        NodeEnum::GrantStmt(grant) => self::grant(grant, to),
        NodeEnum::GrantRoleStmt(grant) => grant_role(grant, to),
        NodeEnum::AlterDefaultPrivilegesStmt(alter) => {
            let schemas = alter.options.iter().filter_map(relations::definition);
            for option in schemas.filter(|option| option.defname == "schemas") {
                if let Some(NodeEnum::List(list)) = option.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
                    for schema in list.items.iter().filter_map(names::text) {
                        to.needs(ObjectRef::new(Kind::Schema, None, schema), "default privileges in it");
                    }
                }
            }
            if let Some(grant) = &alter.action {
                roles(&grant.grantees, "grantee", to);
            }
        }
        _ => return false,
    }
    true
}

/// The object a command addresses, either as a relation or as a node of its own.
fn addressed(object_type: ObjectType, relation: Option<&RangeVar>, node: Option<&Node>) -> Option<ObjectRef> {
    match (relation, node) {
        (Some(relation), _) => Some(names::relation(names::kind(object_type), relation)),
        (None, Some(node)) => names::addressed(object_type, node),
        (None, None) => None,
    }
}

fn change(
    object_type: ObjectType,
    relation: Option<&RangeVar>,
    node: Option<&Node>,
    missing_ok: bool,
    to: &mut Builder,
) {
    match addressed(object_type, relation, node) {
        Some(object) => to.changes(object, missing_ok, "altered"),
        None => to.opaque("an object that is not known"),
    }
}

fn drop(drop: &DropStmt, to: &mut Builder) {
    let object_type = drop.remove_type();
    for object in drop.objects.iter().filter_map(|node| names::addressed(object_type, node)) {
        if !drop.missing_ok {
            to.needs(object.clone(), "dropped");
        }
        if drop.concurrent {
            let check = Check::IndexAbsent { index: object.clone() };
            to.forbidden_checkable("DROP INDEX CONCURRENTLY", check);
        }
        let is_whole =
            matches!(object.kind, Kind::Table | Kind::ForeignTable | Kind::View | Kind::MaterializedView);
        if is_whole && drop.behavior() != protobuf::DropBehavior::DropCascade {
            to.takes(object.clone(), Taking::Drop);
        }
        to.drops(object);
    }
    if drop.behavior() == protobuf::DropBehavior::DropCascade {
        to.opaque("CASCADE drops what depends on it");
    }
}

fn rename(rename: &RenameStmt, to: &mut Builder) {
    let kind = names::kind(rename.rename_type());
    let whole = addressed(rename.rename_type(), rename.relation.as_ref(), rename.object.as_deref());
    let Some(mut old) = whole else {
        let by_name = ObjectRef::new(kind, None, rename.subname.as_str());
        renamed(by_name, rename, to);
        return;
    };
    // Columns, constraints, triggers … are named beside their table.
    if !rename.subname.is_empty() && rename.relation.is_some() {
        let owner = match kind {
            Kind::Column => names::kind(rename.relation_type()),
            _ => Kind::Table,
        };
        let table = ObjectRef { kind: owner, ..old };
        to.changes(table.clone(), rename.missing_ok, "altered");
        old = names::part_of(kind, &table, rename.subname.as_str());
    } else if !rename.subname.is_empty() {
        old.name = rename.subname.as_str().into();
    }
    renamed(old, rename, to);
}

fn renamed(old: ObjectRef, rename: &RenameStmt, to: &mut Builder) {
    let new = ObjectRef { name: rename.newname.as_str().into(), ..old.clone() };
    if !rename.missing_ok {
        to.needs(old.clone(), "renamed");
    }
    to.renames(old, new);
}

fn set_schema(alter: &protobuf::AlterObjectSchemaStmt, to: &mut Builder) {
    to.needs(ObjectRef::new(Kind::Schema, None, alter.newschema.as_str()), "new schema");
    let Some(old) = addressed(alter.object_type(), alter.relation.as_ref(), alter.object.as_deref()) else {
        return;
    };
    if old.kind == Kind::Extension {
        to.changes(old, alter.missing_ok, "moved");
        to.opaque("moves all objects of an extension");
        return;
    }
    if !alter.missing_ok {
        to.needs(old.clone(), "moved");
    }
    let new = ObjectRef { schema: Some(alter.newschema.as_str().into()), ..old.clone() };
    to.renames(old, new);
}

fn depending(alter: &protobuf::AlterObjectDependsStmt) -> Option<ObjectRef> {
    let kind = names::kind(alter.object_type());
    match (&alter.relation, alter.object.as_deref()) {
        // A trigger is addressed by its table and its own name.
        (Some(relation), Some(node)) if kind == Kind::Trigger => {
            let table = names::relation(Kind::Table, relation);
            let name = match node.node.as_ref()? {
                NodeEnum::List(list) => names::text(list.items.last()?)?,
                _ => names::text(node)?,
            };
            Some(names::part_of(kind, &table, name))
        }
        (relation, node) => addressed(alter.object_type(), relation.as_ref(), node),
    }
}

fn grant(grant: &GrantStmt, to: &mut Builder) {
    let object_type = grant.objtype();
    match grant.targtype() {
        GrantTargetType::AclTargetObject => {
            for object in grant.objects.iter().filter_map(|node| names::addressed(object_type, node)) {
                let kind = if object.kind == Kind::Table { Kind::Relation } else { object.kind };
                if kind != Kind::Other {
                    to.changes(ObjectRef { kind, ..object }, false, "granted on");
                }
            }
        }
        GrantTargetType::AclTargetAllInSchema => {
            for schema in grant.objects.iter().filter_map(names::text) {
                to.needs(ObjectRef::new(Kind::Schema, None, schema), "granted in");
            }
            to.opaque("GRANT on all objects of a schema changes what is there");
        }
        _ => {}
    }
    roles(&grant.grantees, "grantee", to);
}

fn grant_role(grant: &protobuf::GrantRoleStmt, to: &mut Builder) {
    for node in &grant.granted_roles {
        if let Some(NodeEnum::AccessPriv(role)) = node.node.as_ref() {
            to.changes(ObjectRef::new(Kind::Role, None, role.priv_name.as_str()), false, "granted");
        }
    }
    roles(&grant.grantee_roles, "grantee", to);
}

/// The roles named in a list have to be there.
pub(super) fn roles(nodes: &[Node], why: &str, to: &mut Builder) {
    for node in nodes {
        if let Some(NodeEnum::RoleSpec(spec)) = node.node.as_ref()
            && let Some(role) = names::role(spec)
        {
            to.needs(role, why);
        }
    }
}
