//! Types, domains, and what is defined around them: aggregates, operators, casts, collations, text search.

use pg_query::NodeEnum;
use pg_query::protobuf::{self, AlterDomainStmt, CreateDomainStmt, DefineStmt, ObjectWithArgs};

use super::builder::Builder;
use super::model::{ObjectKind as Kind, ObjectRef};
use super::{names, relations};

pub(super) fn add(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::CreateEnumStmt(create) => {
            new(Kind::Type, &create.type_name, to);
            to.must_be_new(false);
        }
        NodeEnum::AlterEnumStmt(alter) => altered(Kind::Type, &alter.type_name, to),
        NodeEnum::AlterTypeStmt(alter) => altered(Kind::Type, &alter.type_name, to),
        NodeEnum::CompositeTypeStmt(create) => {
            if let Some(relation) = &create.typevar {
                to.creates(names::relation(Kind::Type, relation));
                to.must_be_new(false);
            }
            for found in to.needs_all_in(&create.coldeflist, "type of an attribute").types {
                to.handles(&found);
            }
        }
        NodeEnum::CreateRangeStmt(create) => {
            new(Kind::Type, &create.type_name, to);
            to.must_be_new(false);
            for option in create.params.iter().filter_map(relations::definition) {
                range_option(option, to);
            }
        }
        NodeEnum::CreateDomainStmt(create) => domain(create, to),
        NodeEnum::AlterDomainStmt(alter) => alter_domain(alter, to),
        NodeEnum::DefineStmt(create) => define(create, to),
        NodeEnum::AlterOperatorStmt(alter) => {
            if let Some(name) = &alter.opername {
                altered(Kind::Operator, &name.objname, to);
            }
        }
        NodeEnum::AlterCollationStmt(alter) => altered(Kind::Collation, &alter.collname, to),
        NodeEnum::AlterStatsStmt(alter) => {
            if let Some(object) = names::object(Kind::Statistics, &alter.defnames) {
                to.changes(object, alter.missing_ok, "altered");
            }
        }
        NodeEnum::AlterTsdictionaryStmt(alter) => altered(Kind::TextSearchDictionary, &alter.dictname, to),
        NodeEnum::AlterTsconfigurationStmt(alter) => {
            altered(Kind::TextSearchConfiguration, &alter.cfgname, to);
        }
        _ => return conversions(node, to),
    }
    true
}

fn conversions(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::CreateCastStmt(create) => {
            let text = |name: &Option<protobuf::TypeName>| name.as_ref().map(type_text).unwrap_or_default();
            let name = format!("{} AS {}", text(&create.sourcetype), text(&create.targettype));
            to.creates(ObjectRef::new(Kind::Cast, None, name));
            to.needs_type(create.sourcetype.as_ref(), "source of a cast");
            to.needs_type(create.targettype.as_ref(), "target of a cast");
            needs_routine(create.func.as_ref(), "function of a cast", to);
        }
        NodeEnum::CreateTransformStmt(create) => {
            let of = create.type_name.as_ref().map(type_text).unwrap_or_default();
            to.creates(ObjectRef::new(Kind::Transform, None, format!("{of} LANGUAGE {}", create.lang)));
            to.needs_type(create.type_name.as_ref(), "type of a transform");
            to.needs(ObjectRef::new(Kind::Language, None, create.lang.as_str()), "language of a transform");
            needs_routine(create.fromsql.as_ref(), "function of a transform", to);
            needs_routine(create.tosql.as_ref(), "function of a transform", to);
        }
        NodeEnum::CreateConversionStmt(create) => {
            new(Kind::Conversion, &create.conversion_name, to);
            to.needs_named(Kind::Function, &create.func_name, "function of a conversion");
        }
        NodeEnum::CreateOpClassStmt(create) => {
            new(Kind::OperatorClass, &create.opclassname, to);
            to.needs_named(Kind::OperatorFamily, &create.opfamilyname, "family of an operator class");
            to.needs_type(create.datatype.as_ref(), "type of an operator class");
            operator_class_items(&create.items, to);
        }
        NodeEnum::CreateOpFamilyStmt(create) => new(Kind::OperatorFamily, &create.opfamilyname, to),
        NodeEnum::AlterOpFamilyStmt(alter) => {
            altered(Kind::OperatorFamily, &alter.opfamilyname, to);
            if !alter.is_drop {
                operator_class_items(&alter.items, to);
            }
        }
        NodeEnum::CreateAmStmt(create) => {
            to.creates(ObjectRef::new(Kind::AccessMethod, None, create.amname.as_str()));
            to.needs_named(Kind::Function, &create.handler_name, "handler of an access method");
        }
        _ => return false,
    }
    true
}

/// An option of a range type: a bare name is parsed as a type, whatever it means.
fn range_option(option: &protobuf::DefElem, to: &mut Builder) {
    let Some(NodeEnum::TypeName(name)) = option.arg.as_deref().and_then(|arg| arg.node.as_ref()) else {
        return;
    };
    match option.defname.as_str() {
        "subtype" => to.needs_type(Some(name), "type of the bounds of a range"),
        "subtype_opclass" => to.needs_named(Kind::OperatorClass, &name.names, "operator class of a range"),
        "collation" => to.needs_named(Kind::Collation, &name.names, "collation of a range"),
        "canonical" | "subtype_diff" => to.needs_named(Kind::Function, &name.names, "function of a range"),
        "multirange_type_name" => new(Kind::Type, &name.names, to),
        _ => {}
    }
}

fn new(kind: Kind, name: &[protobuf::Node], to: &mut Builder) {
    if let Some(object) = names::object(kind, name) {
        to.creates(object);
    }
}

fn altered(kind: Kind, name: &[protobuf::Node], to: &mut Builder) {
    if let Some(object) = names::object(kind, name) {
        to.changes(object, false, "altered");
    }
}

fn type_text(name: &protobuf::TypeName) -> String {
    name.names.iter().filter_map(names::text).collect::<Vec<_>>().join(".")
}

fn needs_routine(name: Option<&ObjectWithArgs>, why: &str, to: &mut Builder) {
    if let Some(name) = name {
        to.needs_named(Kind::Function, &name.objname, why);
    }
}

/// The number of FUNCTION among the items of an operator class.
const FUNCTION: i32 = 2;

fn operator_class_items(items: &[protobuf::Node], to: &mut Builder) {
    for node in items {
        if let Some(NodeEnum::CreateOpClassItem(item)) = node.node.as_ref() {
            to.needs_type(item.storedtype.as_ref(), "storage type of an operator class");
            // Operators are mostly PostgreSQL's own; a function has a name that says whose it is.
            if item.itemtype == FUNCTION {
                needs_routine(item.name.as_ref(), "function of an operator class", to);
            }
        }
    }
}

fn domain(create: &CreateDomainStmt, to: &mut Builder) {
    new(Kind::Domain, &create.domainname, to);
    to.must_be_new(false);
    to.needs_type(create.type_name.as_ref(), "type of a domain");
    if let Some(clause) = &create.coll_clause {
        to.needs_named(Kind::Collation, &clause.collname, "collation of a domain");
    }
    for node in &create.constraints {
        if let Some(NodeEnum::Constraint(constraint)) = node.node.as_ref() {
            to.needs_all_in(&constraint.raw_expr, "in a domain");
        }
    }
}

fn alter_domain(alter: &AlterDomainStmt, to: &mut Builder) {
    altered(Kind::Domain, &alter.type_name, to);
    let constraint = |name: &str| ObjectRef::new(Kind::Constraint, None, name);
    match alter.subtype.as_str() {
        "C" => {
            if let Some(NodeEnum::Constraint(new)) = alter.def.as_deref().and_then(|def| def.node.as_ref()) {
                to.creates(constraint(&new.conname));
                to.needs_all_in(&new.raw_expr, "in a domain");
            }
        }
        "X" => to.drops(constraint(&alter.name)),
        _ => {
            to.needs_all_in(&alter.def, "in a domain");
        }
    }
}

fn define(create: &DefineStmt, to: &mut Builder) {
    let kind = names::kind(create.kind());
    if let Some(object) = names::object(kind, &create.defnames) {
        if create.replace {
            to.alters(object.clone());
        }
        to.creates(object);
    }
    to.needs_all_in(&create.args, "type of a parameter");
    for option in create.definition.iter().filter_map(relations::definition) {
        define_option(kind, option, to);
    }
}

fn define_option(kind: Kind, option: &protobuf::DefElem, to: &mut Builder) {
    // A bare name in the list is parsed as a type, whatever it means.
    let Some(NodeEnum::TypeName(name)) = option.arg.as_deref().and_then(|arg| arg.node.as_ref()) else {
        return;
    };
    match (kind, option.defname.as_str()) {
        (
            Kind::Aggregate,
            "sfunc" | "finalfunc" | "combinefunc" | "serialfunc" | "deserialfunc" | "msfunc" | "minvfunc"
            | "mfinalfunc",
        )
        | (Kind::Operator, "procedure" | "function" | "restrict" | "join")
        | (
            Kind::Type,
            "input" | "output" | "receive" | "send" | "typmod_in" | "typmod_out" | "analyze" | "subscript",
        ) => to.needs_named(Kind::Function, &name.names, "function of it"),
        (Kind::Aggregate, "stype" | "mstype" | "basetype")
        | (Kind::Operator, "leftarg" | "rightarg")
        | (Kind::Type, "like" | "element") => to.needs_type(Some(name), "type of it"),
        (Kind::TextSearchDictionary, "template") => {
            to.needs_named(Kind::TextSearchTemplate, &name.names, "template of it");
        }
        (Kind::TextSearchConfiguration, "parser") => {
            to.needs_named(Kind::TextSearchParser, &name.names, "parser of it");
        }
        (Kind::TextSearchConfiguration, "copy") => {
            to.needs_named(Kind::TextSearchConfiguration, &name.names, "copied");
        }
        (Kind::Collation, "from") => to.needs_named(Kind::Collation, &name.names, "copied"),
        _ => {}
    }
}
