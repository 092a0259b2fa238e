//! CREATE of tables, indexes, views, sequences, statistics.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    self, ColumnDef, ConstrType, Constraint, CreateStmt, CreateTableAsStmt, DefElem, IndexStmt, Node,
    ObjectType, ViewStmt,
};

use super::builder::Builder;
use super::model::{Check, ObjectKind as Kind, ObjectRef};
use super::{chosen, names};

pub(super) fn add(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::CreateStmt(create) => table(create, Kind::Table, to),
        NodeEnum::CreateForeignTableStmt(create) => {
            if let Some(base) = &create.base_stmt {
                table(base, Kind::ForeignTable, to);
            }
            to.needs(ObjectRef::new(Kind::ForeignServer, None, create.servername.as_str()), "server of it");
        }
        NodeEnum::CreateTableAsStmt(create) => table_as(create, to),
        NodeEnum::IndexStmt(create) => index(create, to),
        NodeEnum::ViewStmt(create) => view(create, to),
        NodeEnum::CreateSeqStmt(create) => sequence(create, to),
        NodeEnum::CreateStatsStmt(create) => statistics(create, to),
        _ => return false,
    }
    true
}

fn table(create: &CreateStmt, kind: Kind, to: &mut Builder) {
    let Some(relation) = &create.relation else { return };
    let own = names::relation(kind, relation);
    to.creates(own.clone());
    to.must_be_new(create.if_not_exists);
    tablespace(&create.tablespacename, to);
    access_method(&create.access_method, to);
    for parent in create.inh_relations.iter().filter_map(|node| match node.node.as_ref()? {
        NodeEnum::RangeVar(parent) => Some(names::relation(Kind::Table, parent)),
        _ => None,
    }) {
        let why = if create.partbound.is_some() { "partitioned table of it" } else { "inherited table" };
        to.changes(parent, false, why);
    }
    if create.partbound.is_some() {
        // As many as its parent has.
        to.chooses(names::part_of(Kind::Index, &own, ""));
    }
    to.needs_type(create.of_typename.as_ref(), "type of it");
    if let Some(spec) = &create.partspec {
        to.needs_all_in(&spec.part_params, "in the partition key");
    }
    for element in &create.table_elts {
        match element.node.as_ref() {
            Some(NodeEnum::ColumnDef(definition)) => column(definition, &own, to),
            Some(NodeEnum::Constraint(definition)) => constraint(definition, &own, None, to),
            Some(NodeEnum::TableLikeClause(like)) => {
                if let Some(relation) = &like.relation {
                    to.needs_to_read(names::relation(Kind::Relation, relation), "copied by LIKE");
                    to.chooses(names::part_of(Kind::Index, &own, ""));
                }
            }
            _ => {}
        }
    }
}

/// A column of a new table, or a new one of a table that is there.
pub(super) fn column(definition: &ColumnDef, table: &ObjectRef, to: &mut Builder) {
    let name = definition.colname.as_str();
    if let Some(type_name) = &definition.type_name {
        to.needs_type(Some(type_name), "type of a column");
        let last = type_name.names.last().and_then(names::text).unwrap_or_default();
        if type_name.names.len() == 1 && names::SERIAL_TYPES.contains(&last) {
            owned_sequence(table, name, to);
        }
    }
    to.needs_all_in(&definition.raw_default, "in a column default");
    if let Some(clause) = &definition.coll_clause {
        to.needs_named(Kind::Collation, &clause.collname, "collation of a column");
    }
    for node in &definition.constraints {
        if let Some(NodeEnum::Constraint(definition)) = node.node.as_ref() {
            constraint(definition, table, Some(name), to);
        }
    }
}

fn owned_sequence(table: &ObjectRef, column: &str, to: &mut Builder) {
    let name = names::made_for_column(&table.name, column, "seq");
    let sequence = ObjectRef {
        table: Some(table.name.clone()),
        ..ObjectRef::new(Kind::Sequence, table.schema.clone(), name)
    };
    to.chooses(sequence.clone());
    to.creates(sequence);
}

/// A constraint of a table that is new or altered; `column` if it stands behind one.
pub(super) fn constraint(definition: &Constraint, table: &ObjectRef, column: Option<&str>, to: &mut Builder) {
    let constraint_type = definition.contype();
    match constraint_type {
        ConstrType::ConstrDefault => {
            to.needs_all_in(&definition.raw_expr, "in a column default");
            return;
        }
        ConstrType::ConstrGenerated => {
            to.needs_all_in(&definition.raw_expr, "in a generated column");
            return;
        }
        ConstrType::ConstrIdentity => {
            owned_sequence(table, column.unwrap_or_default(), to);
            sequence_options(&definition.options, to);
            return;
        }
        ConstrType::ConstrForeign => {
            if let Some(parent) = &definition.pktable {
                let parent = names::relation(Kind::Table, parent);
                let mut columns: Vec<&str> = definition.fk_attrs.iter().filter_map(names::text).collect();
                if columns.is_empty() {
                    columns.extend(column);
                }
                to.needs_parent(parent.clone(), table, &columns);
                if parent != *table {
                    to.refers(parent);
                }
            }
        }
        ConstrType::ConstrCheck => {
            to.needs_all_in(&definition.raw_expr, "in a check constraint");
        }
        ConstrType::ConstrPrimary | ConstrType::ConstrUnique | ConstrType::ConstrExclusion => {
            index_constraint(definition, table, column, to);
        }
        _ => {}
    }
    if !definition.conname.is_empty() {
        to.creates(names::part_of(Kind::Constraint, table, definition.conname.as_str()));
    }
}

fn index_constraint(definition: &Constraint, table: &ObjectRef, column: Option<&str>, to: &mut Builder) {
    to.needs_all_in(&definition.exclusions, "in an exclusion constraint");
    to.needs_all_in(&definition.where_clause, "in an exclusion constraint");
    tablespace(&definition.indexspace, to);
    if definition.indexname.is_empty() {
        if definition.conname.is_empty() {
            let name = chosen::constraint_index(definition, &table.name, column).unwrap_or_default();
            to.chooses(names::part_of(Kind::Index, table, name));
        }
        if !definition.conname.is_empty() {
            to.creates(names::part_of(Kind::Index, table, definition.conname.as_str()));
        }
    } else {
        let index = ObjectRef::new(Kind::Index, table.schema.clone(), definition.indexname.as_str());
        if !definition.conname.is_empty() && definition.conname != definition.indexname {
            let own = names::part_of(Kind::Index, table, definition.conname.as_str());
            to.takes_the_name(index.clone(), own);
        }
        to.changes(index, false, "index of the new constraint");
    }
}

fn tablespace(name: &str, to: &mut Builder) {
    if !name.is_empty() {
        to.needs(ObjectRef::new(Kind::Tablespace, None, name), "tablespace of it");
    }
}

fn access_method(name: &str, to: &mut Builder) {
    const BUILT_IN: [&str; 8] = ["", "heap", "btree", "hash", "gist", "gin", "spgist", "brin"];
    if !BUILT_IN.contains(&name) {
        to.needs(ObjectRef::new(Kind::AccessMethod, None, name), "access method of it");
    }
}

fn table_as(create: &CreateTableAsStmt, to: &mut Builder) {
    let kind = match create.objtype() {
        ObjectType::ObjectMatview => Kind::MaterializedView,
        _ => Kind::Table,
    };
    if let Some(into) = &create.into {
        self::into(into, kind, to);
        to.must_be_new(create.if_not_exists);
    }
    // What it reads may be a view, behind which is code.
    to.session_state();
    match create.query.as_deref().and_then(|query| query.node.as_ref()) {
        Some(execute @ NodeEnum::ExecuteStmt(_)) => super::statement(execute, to),
        _ => super::data::query(&create.query, "read by its query", to),
    }
}

pub(super) fn into(into: &protobuf::IntoClause, kind: Kind, to: &mut Builder) {
    if let Some(relation) = &into.rel {
        to.creates(names::relation(kind, relation));
    }
    tablespace(&into.table_space_name, to);
    access_method(&into.access_method, to);
}

fn index(create: &IndexStmt, to: &mut Builder) {
    let Some(relation) = &create.relation else { return };
    let table = names::relation(Kind::Relation, relation);
    let index = names::part_of(Kind::Index, &table, create.idxname.as_str());
    to.changes(table.clone(), false, "indexed");
    to.creates(index.clone());
    to.must_be_new(create.if_not_exists || create.concurrent || index.name.is_empty());
    if index.name.is_empty() {
        to.chooses(names::part_of(Kind::Index, &table, chosen::index(create, &table.name)));
    }
    tablespace(&create.table_space, to);
    access_method(&create.access_method, to);
    for part in [&create.index_params, &create.index_including_params] {
        index_columns(part, to);
    }
    to.needs_all_in(&create.where_clause, "in the condition of an index");
    if create.concurrent {
        let check = Check::IndexValid { index, table: Some(table), unique: create.unique };
        to.forbidden_checkable("CREATE INDEX CONCURRENTLY", check);
    }
}

fn index_columns(columns: &[Node], to: &mut Builder) {
    for node in columns {
        let Some(NodeEnum::IndexElem(element)) = node.node.as_ref() else {
            continue;
        };
        to.needs_all_in(&element.expr, "in an indexed expression");
        to.needs_named(Kind::OperatorClass, &element.opclass, "operator class of an index");
        to.needs_named(Kind::Collation, &element.collation, "collation of an index");
    }
}

fn view(create: &ViewStmt, to: &mut Builder) {
    let Some(relation) = &create.view else { return };
    let own = names::relation(Kind::View, relation);
    if create.replace {
        // It may have been there.
        to.alters(own.clone());
    }
    to.creates(own);
    to.must_be_new(create.replace);
    to.needs_all_in(&create.query, "read by a view");
}

fn sequence(create: &protobuf::CreateSeqStmt, to: &mut Builder) {
    if let Some(relation) = &create.sequence {
        to.creates(names::relation(Kind::Sequence, relation));
        to.must_be_new(create.if_not_exists);
    }
    sequence_options(&create.options, to);
}

pub(super) fn sequence_options(options: &[Node], to: &mut Builder) {
    for option in options.iter().filter_map(definition) {
        let arg = option.arg.as_deref().and_then(|arg| arg.node.as_ref());
        match (option.defname.as_str(), arg) {
            ("owned_by", Some(NodeEnum::List(name))) if name.items.len() > 1 => {
                let table = name.items.split_last().and_then(|(_, table)| names::object(Kind::Table, table));
                if let Some(table) = table {
                    to.needs(table, "owner of a sequence");
                }
            }
            // Of an identity column, for pg_dump.
            ("sequence_name", Some(NodeEnum::List(name))) => {
                if let Some(sequence) = names::object(Kind::Sequence, &name.items) {
                    to.handles(&sequence);
                }
            }
            ("as", Some(NodeEnum::TypeName(name))) => to.needs_type(Some(name), "type of a sequence"),
            _ => {}
        }
    }
}

/// The node as an option, `name [= value]`.
pub(super) fn definition(node: &Node) -> Option<&DefElem> {
    match node.node.as_ref()? {
        NodeEnum::DefElem(option) => Some(option),
        _ => None,
    }
}

fn statistics(create: &protobuf::CreateStatsStmt, to: &mut Builder) {
    let object = names::object(Kind::Statistics, &create.defnames);
    if let Some(chosen) = chosen::statistics(create).filter(|_| object.is_none()) {
        to.chooses(chosen);
    }
    to.creates(object.unwrap_or_else(|| ObjectRef::new(Kind::Statistics, None, "")));
    to.needs_all_in(&create.exprs, "in extended statistics");
    for node in &create.relations {
        if let Some(NodeEnum::RangeVar(relation)) = node.node.as_ref() {
            to.changes(names::relation(Kind::Table, relation), false, "statistics on it");
        }
    }
}
