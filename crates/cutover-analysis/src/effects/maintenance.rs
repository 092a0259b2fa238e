//! Maintenance: VACUUM, ANALYZE, CLUSTER, REINDEX, REFRESH, CHECKPOINT.

use pg_query::NodeEnum;
use pg_query::protobuf::{ClusterStmt, Node, ReindexObjectType, ReindexStmt, VacuumStmt};

use super::builder::Builder;
use super::model::{ObjectKind as Kind, ObjectRef, Reindexed, Retry};
use super::{names, relations};

pub(super) fn add(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::VacuumStmt(vacuum) => self::vacuum(vacuum, to),
        NodeEnum::ClusterStmt(cluster) => self::cluster(cluster, to),
        NodeEnum::ReindexStmt(reindex) => self::reindex(reindex, to),
        NodeEnum::RefreshMatViewStmt(refresh) => {
            if let Some(relation) = &refresh.relation {
                to.changes(names::relation(Kind::MaterializedView, relation), false, "refreshed");
            }
        }
        NodeEnum::CheckPointStmt(_) => {}
        _ => return false,
    }
    true
}

fn vacuum(vacuum: &VacuumStmt, to: &mut Builder) {
    for node in &vacuum.rels {
        if let Some(NodeEnum::VacuumRelation(target)) = node.node.as_ref() {
            let why = if vacuum.is_vacuumcmd { "vacuumed" } else { "analyzed" };
            to.needs_relation(Kind::Relation, target.relation.as_ref(), why);
        }
    }
    if vacuum.is_vacuumcmd {
        to.forbidden("VACUUM", Retry::Idempotent);
    }
}

fn cluster(cluster: &ClusterStmt, to: &mut Builder) {
    let Some(relation) = &cluster.relation else {
        to.forbidden("CLUSTER of all tables", Retry::Idempotent);
        return;
    };
    let table = names::relation(Kind::Table, relation);
    if !cluster.indexname.is_empty() {
        let index = ObjectRef::new(Kind::Index, table.schema.clone(), cluster.indexname.as_str());
        to.needs(index, "clustered on");
    }
    to.changes(table, false, "clustered");
}

fn reindex(reindex: &ReindexStmt, to: &mut Builder) {
    let concurrently = is_set(&reindex.params, "concurrently");
    let mut whole = |plain, concurrent, reindexed| {
        if concurrently {
            to.forbidden(concurrent, Retry::Reindex(reindexed));
        } else {
            to.forbidden(plain, Retry::Idempotent);
        }
    };
    let kind = match reindex.kind() {
        ReindexObjectType::ReindexObjectIndex => Kind::Index,
        ReindexObjectType::ReindexObjectTable => Kind::Table,
        ReindexObjectType::ReindexObjectSchema => {
            let schema = reindex.name.clone();
            whole("REINDEX SCHEMA", "REINDEX SCHEMA CONCURRENTLY", Reindexed::Schema(schema.clone()));
            to.needs(ObjectRef::new(Kind::Schema, None, schema), "reindexed");
            return;
        }
        _ => {
            let concurrent = "REINDEX of a database CONCURRENTLY";
            whole("REINDEX of a database", concurrent, Reindexed::Database);
            return;
        }
    };
    let Some(relation) = &reindex.relation else { return };
    let object = names::relation(kind, relation);
    to.changes(object.clone(), false, "reindexed");
    match (concurrently, kind) {
        (true, Kind::Index) => {
            to.forbidden("REINDEX INDEX CONCURRENTLY", Retry::Reindex(Reindexed::Index(object)));
        }
        (true, _) => to.forbidden("REINDEX TABLE CONCURRENTLY", Retry::Reindex(Reindexed::Table(object))),
        _ => {}
    }
}

/// Whether a boolean option is there and not switched off.
pub(crate) fn is_set(options: &[Node], name: &str) -> bool {
    options.iter().filter_map(relations::definition).any(|option| {
        option.defname == name && !is_false(option.arg.as_deref().and_then(|arg| arg.node.as_ref()))
    })
}

/// Whether a boolean option is there and switched off.
pub(super) fn is_unset(options: &[Node], name: &str) -> bool {
    options.iter().filter_map(relations::definition).any(|option| {
        option.defname == name && is_false(option.arg.as_deref().and_then(|arg| arg.node.as_ref()))
    })
}

fn is_false(value: Option<&NodeEnum>) -> bool {
    match value {
        Some(NodeEnum::Boolean(value)) => !value.boolval,
        Some(NodeEnum::Integer(value)) => value.ival == 0,
        Some(NodeEnum::String(value)) => is_false_word(&value.sval),
        // A bare word in a WITH list is parsed as a type.
        Some(NodeEnum::TypeName(value)) => {
            value.names.last().and_then(names::text).is_some_and(is_false_word)
        }
        _ => false,
    }
}

fn is_false_word(text: &str) -> bool {
    ["false", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
}
