//! Functions and procedures, and what calls them: triggers, rules, policies, event triggers, languages.

use pg_query::NodeEnum;
use pg_query::protobuf::{self, CreateFunctionStmt, CreateTrigStmt, FunctionParameterMode, Node, RuleStmt};

use super::builder::Builder;
use super::model::{ObjectKind as Kind, ObjectRef};
use super::{bodies, names, objects, relations, session};

pub(super) fn add(node: &NodeEnum, to: &mut Builder) -> bool {
    match node {
        NodeEnum::CreateFunctionStmt(create) => function(create, to),
        NodeEnum::AlterFunctionStmt(alter) => {
            let kind = names::kind(alter.objtype());
            let own = alter.func.as_ref().and_then(|func| names::object(kind, &func.objname));
            if let Some(own) = own {
                to.changes(own, false, "altered");
            }
            settings(&alter.actions, to);
        }
        NodeEnum::CreateTrigStmt(create) => trigger(create, to),
        NodeEnum::CreateEventTrigStmt(create) => {
            to.creates(ObjectRef::new(Kind::EventTrigger, None, create.trigname.as_str()));
            to.needs_named(Kind::Function, &create.funcname, "called by an event trigger");
        }
        NodeEnum::AlterEventTrigStmt(alter) => {
            to.changes(ObjectRef::new(Kind::EventTrigger, None, alter.trigname.as_str()), false, "altered");
        }
        NodeEnum::RuleStmt(create) => rule(create, to),
        NodeEnum::CreatePolicyStmt(create) => {
            policy(create.table.as_ref(), &create.policy_name, true, to);
            objects::roles(&create.roles, "role of a policy", to);
            to.needs_all_in(&create.qual, "in a policy");
            to.needs_all_in(&create.with_check, "in a policy");
        }
        NodeEnum::AlterPolicyStmt(alter) => {
            policy(alter.table.as_ref(), &alter.policy_name, false, to);
            objects::roles(&alter.roles, "role of a policy", to);
            to.needs_all_in(&alter.qual, "in a policy");
            to.needs_all_in(&alter.with_check, "in a policy");
        }
        NodeEnum::CreatePlangStmt(create) => {
            to.creates(ObjectRef::new(Kind::Language, None, create.plname.as_str()));
            for handler in [&create.plhandler, &create.plinline, &create.plvalidator] {
                to.needs_named(Kind::Function, handler, "handler of a language");
            }
        }
        NodeEnum::DoStmt(block) => {
            bodies::block(block, to);
            to.opaque("DO runs code");
            to.session_state();
        }
        NodeEnum::CallStmt(call) => {
            if let Some(call) = &call.funccall {
                to.needs_named(Kind::Procedure, &call.funcname, "called");
                super::data::query(&call.args, "read", to);
            }
            to.opaque("CALL runs a procedure");
            to.session_state();
        }
        _ => return false,
    }
    true
}

fn function(create: &CreateFunctionStmt, to: &mut Builder) {
    let kind = if create.is_procedure { Kind::Procedure } else { Kind::Function };
    if let Some(own) = names::object(kind, &create.funcname) {
        if create.replace {
            to.alters(own.clone());
        }
        to.creates(own);
    }
    for node in &create.parameters {
        let Some(NodeEnum::FunctionParameter(parameter)) = node.node.as_ref() else {
            continue;
        };
        let why = match parameter.mode() {
            FunctionParameterMode::FuncParamTable => "type of a result column",
            _ => "type of a parameter",
        };
        to.needs_type_to_read(parameter.arg_type.as_ref(), why);
        to.needs_all_in(&parameter.defexpr, "in the default of a parameter");
    }
    to.needs_type_to_read(create.return_type.as_ref(), "result type");
    to.needs_all_in(&create.sql_body, "in the body of a function");
    language(&create.options, to);
    settings(&create.options, to);
    bodies::function(create, to);
}

/// The search path that a function runs with.
fn settings(options: &[Node], to: &mut Builder) {
    for option in options.iter().filter_map(relations::definition) {
        if let Some(NodeEnum::VariableSetStmt(set)) = option.arg.as_deref().and_then(|arg| arg.node.as_ref())
        {
            session::search_path(set, to);
        }
    }
}

/// Names in a body given as text are bound when it runs (see `bodies`): even those in SQL, which PostgreSQL checks when
/// the function is created, need not be there under `check_function_bodies = off`.
fn language(options: &[Node], to: &mut Builder) {
    const ALWAYS_THERE: [&str; 4] = ["sql", "plpgsql", "c", "internal"];
    let language =
        options.iter().filter_map(relations::definition).find(|option| option.defname == "language");
    let name = language.and_then(|option| names::text(option.arg.as_deref()?));
    if let Some(name) = name.filter(|name| !ALWAYS_THERE.contains(name)) {
        to.needs(ObjectRef::new(Kind::Language, None, name), "language of a function");
    }
}

fn trigger(create: &CreateTrigStmt, to: &mut Builder) {
    let Some(relation) = &create.relation else { return };
    let table = names::relation(Kind::Relation, relation);
    let own = names::part_of(Kind::Trigger, &table, create.trigname.as_str());
    if create.replace {
        to.alters(own.clone());
    }
    to.creates(own);
    to.changes(table, false, "trigger on it");
    to.needs_named(Kind::Function, &create.funcname, "called by a trigger");
    to.needs_relation(Kind::Table, create.constrrel.as_ref(), "other table of a constraint trigger");
    to.needs_all_in(&create.when_clause, "in the condition of a trigger");
    let handed = create.transition_rels.iter().filter_map(|node| match node.node.as_ref()? {
        NodeEnum::TriggerTransition(rows) => Some(rows.name.as_str()),
        _ => None,
    });
    to.hands_over(handed);
}

fn rule(create: &RuleStmt, to: &mut Builder) {
    let Some(relation) = &create.relation else { return };
    let table = names::relation(Kind::Relation, relation);
    let own = names::part_of(Kind::Rule, &table, create.rulename.as_str());
    if create.replace {
        to.alters(own.clone());
    }
    to.creates(own);
    to.changes(table, false, "rule on it");
    to.needs_all_in(&create.where_clause, "in a rule");
    to.needs_all_in(&create.actions, "in a rule");
}

fn policy(table: Option<&protobuf::RangeVar>, name: &str, is_new: bool, to: &mut Builder) {
    let Some(table) = table.map(|table| names::relation(Kind::Table, table)) else {
        return;
    };
    let own = names::part_of(Kind::Policy, &table, name);
    to.changes(table, false, "policy on it");
    if is_new {
        to.creates(own);
    } else {
        to.changes(own, false, "altered");
    }
}
